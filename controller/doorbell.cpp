#include "controller/doorbell.h"

#include <algorithm>

#include "controller/parse_patroni.h"
#include "controller/session.h"

namespace controller {
namespace {

constexpr int kMostPerSecond = 50;

tl::unexpected<haproxy::Error> unknown(const std::string& what, const std::string& name) {
  return haproxy::fail("find", what, "there is no " + what + " " + printable(name, 100));
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

haproxy::Result<void> Doorbell::nudge(const std::string& scope) {
  const std::lock_guard lock(mutex_);
  if (session_ == nullptr || nudges_.exceeded()) return haproxy::fail("ask", "the members", "too many requests");
  bool found = false;
  const auto& clusters = session_->config.clusters;
  for (std::size_t c = 0; c < clusters.size(); ++c) {
    if (!scope.empty() && clusters[c].scope != scope) continue;
    session_->poller.nudge(c);
    found = true;
  }
  if (!found) return unknown("scope", scope);
  return {};
}

haproxy::Result<Doorbell::Noted> Doorbell::announce_stop(const std::string& scope, const std::string& member) {
  const std::lock_guard lock(mutex_);
  if (session_ == nullptr || stops_.exceeded()) return haproxy::fail("hold", "new connections", "too many requests");
  const Snapshot seen = session_->board.snapshot();
  std::optional<std::size_t> found;
  for (std::size_t c = 0; c < seen.clusters.size(); ++c) {
    const auto& cluster = seen.clusters[c];
    if (!scope.empty() && cluster.scope != scope) continue;
    if (std::none_of(cluster.members.begin(), cluster.members.end(), [&](const Sighting& m) { return m.name == member; })) {
      continue;
    }
    if (found) return haproxy::fail("find", "member", "more than one cluster has a member of that name", "add &scope=");
    found = c;
  }
  if (!found) return unknown("member", member);
  const std::uint64_t version = session_->board.put_stop(*found, member, haproxy::BootClock::now());
  session_->poller.nudge(*found);
  return Noted{version, seen.clusters[*found].scope};
}

}  // namespace controller
