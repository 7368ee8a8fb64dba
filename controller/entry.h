#pragma once
// What the journal has of a decision: what it was made from, all of it, and what it was; and what came of it. Pure.
//
// A line stands for itself: it is judged again from what is in it alone, whatever became of the lines around it.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "controller/decide.h"
#include "haproxy/result.h"

namespace controller {

/// What `decide` was given. Of the configuration only what it looks at: neither secrets nor the paths of any.
struct Evidence {
  Config config;
  Snapshot seen;
  haproxy::Running running;
  Memories memories;
  Instant now{};
  friend bool operator==(const Evidence&, const Evidence&) = default;
};

struct ConcludedCluster {
  std::string scope;
  WriterState writer_state = WriterState::unknown;
  std::string writer;  ///< URL; empty: none
  HoldReason hold = HoldReason::none;
  std::vector<std::string> alarms;
  std::vector<Decision> decisions;
  friend bool operator==(const ConcludedCluster&, const ConcludedCluster&) = default;
};

/// What was decided, as far as it shows.
struct Conclusion {
  std::vector<ConcludedCluster> clusters;
  haproxy::Plan plan;
  std::optional<haproxy::Fragment> fragment;
  friend bool operator==(const Conclusion&, const Conclusion&) = default;
};
[[nodiscard]] Conclusion conclude(const Decided& decided);

/// The pure function again. The evidence must have as many clusters seen as configured: parse_entry sees to it.
[[nodiscard]] Decided decide_again(const Evidence& evidence);

/// The plan's commands in their order, as HAProxy is told them; fences as "end sessions on pg_primary/pg1".
[[nodiscard]] std::vector<std::string> commands(const haproxy::Plan& plan);

/// What people would call another decision, one line each: "pg_primary/pg1: out (not_primary), now leave (silent)". Neither
/// the wording of evidence nor the commands: those follow from HAProxy's state as well.
[[nodiscard]] std::vector<std::string> other_verdicts(const Conclusion& before, const Conclusion& after);
/// The same, with the commands.
[[nodiscard]] std::vector<std::string> differences(const Conclusion& before, const Conclusion& after);

struct DecisionEntry {
  std::int64_t unix_ms = 0;
  int pid = 0;              ///< of the pointsman that decided
  std::string version;      ///< its version
  bool observe = false;     ///< nothing of it was to be sent
  std::string blind;        ///< why HAProxy could not be read; then nothing could be sent. Empty: it could
  std::uint64_t again = 0;  ///< so often was the same decided and sent since the last line, and not written
  Evidence evidence;
  Conclusion conclusion;
  friend bool operator==(const DecisionEntry&, const DecisionEntry&) = default;
};

/// What came of a decision, whose `evidence.now` is `of`.
struct OutcomeEntry {
  std::int64_t unix_ms = 0;
  int pid = 0;
  Instant of{};
  std::chrono::microseconds took{0};
  bool confirmed = false;
  std::map<std::string, unsigned> sent;  ///< by command word
  std::map<std::string, unsigned> refused;
  unsigned sessions_ended = 0;
  bool wrote_fragment = false;
  std::string reloaded;  ///< why HAProxy was reloaded; empty: it was not
  std::vector<std::string> troubles;
  std::map<std::string, std::vector<std::string>> usable;  ///< by backend: the servers that take new connections afterwards
  friend bool operator==(const OutcomeEntry&, const OutcomeEntry&) = default;
};

using Entry = std::variant<DecisionEntry, OutcomeEntry>;

/// The version of the form. A line of another one is not read: it would be misunderstood.
inline constexpr std::uint64_t kEntryVersion = 1;
/// A longer line is neither written nor read.
inline constexpr std::size_t kLongestEntry = 16'000'000;

/// One line of JSON, without its newline. Begins with {"v":1,"time":"2026-01-31T12:34:56.789Z",
[[nodiscard]] std::string render_entry(const Entry& entry);
/// Refuses what is cut short, of another version, lacks a key, has one that it does not know, or a value out of range.
[[nodiscard]] haproxy::Result<Entry> parse_entry(std::string_view line, const std::string& subject);
/// The time of a line without reading the rest of it; nothing where it does not begin as a line does.
[[nodiscard]] std::optional<std::int64_t> entry_time(std::string_view line);
/// Is the line one of a decision, as far as its beginning shows?
[[nodiscard]] bool is_decision(std::string_view line);

}  // namespace controller
