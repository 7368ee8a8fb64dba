#pragma once
// What was decided at a moment gone by, from the journal.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "controller/entry.h"
#include "controller/published.h"
#include "haproxy/result.h"

namespace controller {

/// The last decision up to a moment, what came of it, and the line after that moment.
struct Past {
  std::string place;  ///< "FILE:17"
  DecisionEntry decision;
  std::optional<OutcomeEntry> outcome;
  std::optional<std::int64_t> next_unix_ms;  ///< nothing: that was the last line
  bool next_is_another = false;              ///< of another process: this one may have ended before that moment
};

/// `files`: the older first; one that is not there is passed over. Nothing: there is no decision up to then. Error: a file, or
/// the line of that moment, cannot be read.
[[nodiscard]] haproxy::Result<std::optional<Past>> find_past(const std::vector<std::filesystem::path>& files,
                                                             std::int64_t unix_ms);

/// Pure: the decision as it would have been published then, with the verdicts as they were written down.
[[nodiscard]] Published publish_past(const DecisionEntry& decision);

/// Pure. Of this decision as of `unix_ms`: when it was made and by whom, and whether it can be trusted to have been in force.
[[nodiscard]] std::string past_head(const Past& past, std::int64_t unix_ms);
/// Pure. What was sent, what came of it, and where this version would decide differently.
[[nodiscard]] std::string past_tail(const Past& past);

}  // namespace controller
