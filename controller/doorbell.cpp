#include "controller/doorbell.h"

#include <algorithm>

#include "controller/parse_patroni.h"
#include "controller/session.h"

namespace controller {
namespace {

constexpr int kMostPerSecond = 50;

tl::unexpected<Doorbell::Refused> refuse(Doorbell::Refusal why, std::string line) {
  return tl::unexpected(Doorbell::Refused{why, std::move(line)});
}

}  // namespace

void Doorbell::attach(Session* session) {
  const std::lock_guard lock(mutex_);
  session_ = session;
}

bool Doorbell::Rate::exceeded() {
  const auto now = haproxy::BootClock::now();
  if (now - second >= std::chrono::seconds(1)) {
    second = now;
    count = 0;
  }
  return ++count > kMostPerSecond;
}

Doorbell::OrRefused<void> Doorbell::nudge(const std::string& scope) {
  const std::lock_guard lock(mutex_);
  if (session_ == nullptr || nudges_.exceeded()) return refuse(Refusal::too_many, "too many requests");
  bool found = false;
  const auto& clusters = session_->config.clusters;
  for (std::size_t c = 0; c < clusters.size(); ++c) {
    if (!scope.empty() && clusters[c].scope != scope) continue;
    session_->poller.nudge(c);
    found = true;
  }
  if (!found) return refuse(Refusal::unknown, "there is no scope " + printable(scope, 100));
  return {};
}

Doorbell::OrRefused<Doorbell::Noted> Doorbell::announce_stop(const std::string& scope, const std::string& member) {
  const std::lock_guard lock(mutex_);
  if (session_ == nullptr || stops_.exceeded()) return refuse(Refusal::too_many, "too many requests");
  const Snapshot seen = session_->board.snapshot();
  std::optional<std::size_t> found;
  bool all_names_known = true;
  for (std::size_t c = 0; c < seen.clusters.size(); ++c) {
    const auto& members = seen.clusters[c].members;
    if (!scope.empty() && seen.clusters[c].scope != scope) continue;
    const auto is_named = [&](const std::string& name) {
      return std::any_of(members.begin(), members.end(), [&](const Sighting& m) { return m.name == name; });
    };
    all_names_known = all_names_known && !is_named("");
    if (!is_named(member)) continue;
    if (found) return refuse(Refusal::ambiguous, "more than one cluster has a member of that name: add &scope=");
    found = c;
  }
  if (!found && !all_names_known) return refuse(Refusal::not_known_yet, "the members' names are not known yet");
  if (!found) return refuse(Refusal::unknown, "there is no member " + printable(member, 100));
  const std::uint64_t version = session_->board.put_stop(*found, member, haproxy::BootClock::now());
  session_->poller.nudge(*found);
  return Noted{version, seen.clusters[*found].scope};
}

}  // namespace controller
