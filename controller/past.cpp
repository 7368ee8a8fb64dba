#include "controller/past.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "controller/chronicle.h"
#include "controller/journal_file.h"
#include "controller/parse_patroni.h"
#include "controller/publish.h"
#include "controller/when.h"

namespace controller {
namespace {

namespace fs = std::filesystem;

/// Of what a file says: for a terminal.
constexpr std::size_t kLongestText = 4000;

/// Lines, not yet read but for their beginnings.
struct Found {
  std::string place, decision, outcome, next;
};

void look_at(const fs::path& file, std::size_t number, std::string_view line, std::int64_t unix_ms, Found& found) {
  const auto time = entry_time(line);
  if (!time) return;
  if (*time > unix_ms) {
    if (found.next.empty()) found.next = line;
    return;
  }
  found.next.clear();
  if (is_decision(line)) {
    found = {fmt::format("{}:{}", file.string(), number), std::string(line), {}, {}};
  } else {
    found.outcome = line;
  }
}

int pid_of(const Entry& entry) {
  return std::visit([](const auto& each) { return each.pid; }, entry);
}

std::string counted(const std::map<std::string, unsigned>& words) {
  std::string text;
  for (const auto& [word, times] : words) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", times, word);
  return text;
}

void tell_outcome(const OutcomeEntry& outcome, std::vector<std::string>& told) {
  std::string text = fmt::format("  came of it  {} after {:.1f} ms", outcome.confirmed ? "confirmed" : "not confirmed",
                                 static_cast<double>(outcome.took.count()) / 1000);
  if (!outcome.refused.empty()) text += "; refused: " + counted(outcome.refused);
  if (outcome.sessions_ended > 0) text += fmt::format("; {} sessions ended", outcome.sessions_ended);
  if (outcome.wrote_fragment) text += "; the fragment was written";
  if (!outcome.reloaded.empty()) text += fmt::format("; HAProxy was reloaded ({})", outcome.reloaded);
  told.push_back(std::move(text));
  for (const auto& [backend, servers] : outcome.usable)
    told.push_back(fmt::format("              {} then sent new connections to {}", backend,
                               servers.empty() ? "nobody" : fmt::format("{}", fmt::join(servers, ", "))));
  for (const std::string& trouble : outcome.troubles) told.push_back("  trouble     " + trouble);
}

}  // namespace

haproxy::Result<std::optional<Past>> find_past(const std::vector<fs::path>& files, std::int64_t unix_ms) {
  Found found;
  for (const fs::path& file : files) {
    const auto read =
        each_line(file, [&](std::size_t number, std::string_view line) { look_at(file, number, line, unix_ms, found); });
    if (!read && read.error().detail != "no such file") return tl::unexpected(read.error());
  }
  if (found.decision.empty()) return std::nullopt;
  auto decision = parse_entry(found.decision, found.place);
  if (!decision) return tl::unexpected(std::move(decision).error());
  if (!std::holds_alternative<DecisionEntry>(*decision)) return haproxy::fail("read", found.place, "it is no decision");
  Past past{found.place, std::get<DecisionEntry>(std::move(*decision)), std::nullopt, entry_time(found.next), false};
  if (auto outcome = parse_entry(found.outcome, found.place); outcome && std::holds_alternative<OutcomeEntry>(*outcome)) {
    past.outcome = std::get<OutcomeEntry>(std::move(*outcome));
    if (past.outcome->pid != past.decision.pid) past.outcome.reset();
  }
  const auto next = parse_entry(found.next, found.place);
  past.next_is_another = next && pid_of(*next) != past.decision.pid;
  return past;
}

Published publish_past(const DecisionEntry& entry) {
  const Evidence& evidence = entry.evidence;
  Decided decided = decide_again(evidence);
  for (std::size_t c = 0; c < std::min(decided.decisions.size(), entry.conclusion.clusters.size()); ++c) {
    const ConcludedCluster& cluster = entry.conclusion.clusters[c];
    const auto count = evidence.seen.clusters[c].members.size();
    const bool fits = std::all_of(cluster.decisions.begin(), cluster.decisions.end(),
                                  [&](const Decision& decision) { return !decision.member || *decision.member < count; });
    if (fits) decided.decisions[c] = cluster.decisions;
    decided.alarms[c] = cluster.alarms;
    decided.holds[c].reason = cluster.hold;
  }
  Published published;
  published.at = evidence.now;
  published.version = entry.version;
  published.haproxy_error = entry.blind;
  published.worker = evidence.running.worker;
  published.method = word(evidence.config.haproxy.method);
  published.observe = entry.observe;
  published.clusters = publish_clusters(evidence.config, evidence.seen, decided, evidence.running, true);
  return published;
}

std::string past_head(const Past& past, std::int64_t unix_ms) {
  const auto seconds_before = static_cast<double>(unix_ms - past.decision.unix_ms) / 1000;
  std::string text = fmt::format("as of {}: decided {}, {:.3f} s before, by pid {} ({})\n", utc_text(unix_ms),
                                 utc_text(past.decision.unix_ms), seconds_before, past.decision.pid, past.place);
  constexpr std::chrono::milliseconds kQuiet = kRefreshAfter + kRepeatAfter;
  if (past.next_is_another) {
    text += fmt::format("the next line, {}, is another process's: this one may have ended before {}\n",
                        utc_text(past.next_unix_ms.value_or(0)), utc_text(unix_ms));
  } else if (!past.next_unix_ms && unix_ms - past.decision.unix_ms > kQuiet.count()) {
    text += "nothing was written since, not even what is written every hour: pointsman may not have been running\n";
  }
  return text;
}

std::string past_tail(const Past& past) {
  std::vector<std::string> told = commands(past.decision.conclusion.plan);
  for (std::size_t i = 0; i < told.size(); ++i)
    told[i] = (i > 0 ? "              " : past.decision.observe ? "  to be sent  " : "  sent        ") + told[i];
  if (past.outcome) tell_outcome(*past.outcome, told);
  for (const std::string& other : differences(past.decision.conclusion, conclude(decide_again(past.decision.evidence))))
    told.push_back("  this version would decide otherwise: " + other);
  std::string text;
  for (const std::string& line : told) text += printable(line, kLongestText) + "\n";
  return text;
}

}  // namespace controller
