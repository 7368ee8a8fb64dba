// replay: a journal through the judge again.

#include <fmt/core.h>

#include "controller/commands.h"
#include "controller/entry.h"
#include "controller/journal_file.h"
#include "controller/parse_patroni.h"
#include "controller/when.h"

namespace controller {
namespace {

/// Of what a file says: for a terminal.
constexpr std::size_t kLongestText = 4000;

struct Tally {
  std::size_t decisions = 0;
  std::size_t others = 0;
  std::size_t unreadable = 0;
};

void judge_line(const std::string& place, std::string_view line, Tally& tally) {
  const auto entry = parse_entry(line, place);
  if (!entry) {
    ++tally.unreadable;
    fmt::print("{}\n", entry.error().text());
    return;
  }
  const auto* decision = std::get_if<DecisionEntry>(&*entry);
  if (decision == nullptr) return;
  ++tally.decisions;
  const auto lines = differences(decision->conclusion, conclude(decide_again(decision->evidence)));
  if (lines.empty()) return;
  ++tally.others;
  fmt::print("{}: {}, decided by pointsman {}\n", place, utc_text(decision->unix_ms), printable(decision->version));
  for (const std::string& difference : lines) fmt::print("    {}\n", printable(difference, kLongestText));
}

}  // namespace

int replay_command(const Options& options) {
  Tally tally;
  const auto read = each_line(options.file, [&](std::size_t number, std::string_view line) {
    judge_line(fmt::format("{}:{}", options.file.string(), number), line, tally);
  });
  if (!read) {
    fmt::print(stderr, "{}\n", read.error().text());
    return 1;
  }
  fmt::print("{} decisions, {} of them decided differently now", tally.decisions, tally.others);
  fmt::print("{}\n", tally.unreadable == 0 ? "" : fmt::format("; {} lines cannot be read", tally.unreadable));
  if (tally.others > 0) return 2;
  return tally.unreadable > 0 ? 1 : 0;
}

}  // namespace controller
