// What members say: the truth, as each of them sees it, and lies.

#include <algorithm>

#include <fmt/format.h>

#include "tests/simulator/cluster.h"

namespace simulator {
namespace {

using controller::Answer;
using controller::Role;
using controller::State;
using std::chrono::seconds;

std::int64_t wall(Instant t) {
  return 1'800'000'000 + std::chrono::duration_cast<seconds>(t - kBegin).count();
}

std::string system_identifier(std::uint64_t system) {
  return fmt::format("700000000000000000{}", system);
}

}  // namespace

Door Cluster::knock(std::size_t i, Peer from) {
  Member& m = members_[i];
  if (!linked(i, from)) return Door::swallowed;
  if (m.patroni == Patroni::stopped) return Door::refused;
  if (m.patroni == Patroni::frozen) return Door::hangs;
  if (m.resets > 0) {
    --m.resets;
    return Door::resets;
  }
  return Door::open;
}

std::optional<controller::PortSays> Cluster::port(std::size_t i, Peer from) const {
  if (!linked(i, from)) return std::nullopt;
  switch (members_[i].postgres) {
    case Postgres::running:
      return controller::PortSays::accepting;
    case Postgres::starting:
    case Postgres::stopping:
      return controller::PortSays::rejecting;
    case Postgres::stopped:
      return controller::PortSays::nothing;
    case Postgres::hung:
      break;
  }
  return std::nullopt;
}

bool Cluster::accepts_connections(std::size_t i) const {
  const Postgres p = members_[i].postgres;
  return p == Postgres::running || p == Postgres::hung || p == Postgres::stopping;
}

int Cluster::primary_code(std::size_t i) const {
  const Member& m = members_[i];
  return m.lie != Lie::none || m.lease_until > time_.now() ? 200 : 503;
}

bool Cluster::replica_is_good(std::size_t i) const {
  const Member& m = members_[i];
  return m.lie == Lie::none && m.postgres == Postgres::running && !m.primary && m.lease_until <= time_.now();
}

bool Cluster::streams(std::size_t i) const {
  const Member& m = members_[i];
  for (std::size_t other = 0; other < members_.size(); ++other) {
    const Member& o = members_[other];
    if (o.primary && o.postgres == Postgres::running && o.timeline == m.timeline && o.system == m.system &&
        !m.parted_from[other])
      return true;
  }
  return false;
}

std::optional<Answer> Cluster::answer(std::size_t i) {
  Member& m = members_[i];
  if (m.garbles > 0) {
    --m.garbles;
    return std::nullopt;
  }
  Answer a;
  a.code = primary_code(i);
  a.scope = "main";
  a.version = "4.0.7";
  a.name = fmt::format("pg{}", i + 1);
  a.date = wall(time_.now());
  a.dcs_last_seen = wall(m.dcs_seen);
  a.system_identifier = system_identifier(m.system);
  a.pause = m.paused;
  a.cluster_unlocked = m.unlocked;
  a.failsafe = m.failsafe;
  a.role = m.primary ? Role::primary : Role::replica;
  switch (m.postgres) {
    case Postgres::running:
      a.state = State::running;
      break;
    case Postgres::starting:
      a.state = m.restarting ? State::restarting : State::starting;
      break;
    case Postgres::stopping:
      a.state = m.restarting ? State::restarting : State::stopping;
      break;
    case Postgres::stopped:
      a.state = m.patroni == Patroni::running ? State::crashed : State::stopped;
      break;
    case Postgres::hung:
      a.state = State::unknown;
      break;
  }
  if (m.postgres == Postgres::running) {
    a.postmaster_start_time = fmt::format("2026-01-01 00:00:{:02}+00:00", m.starts % 60);
    const auto position = static_cast<std::uint64_t>((time_.now() - kBegin).count() / 1'000'000);
    a.timeline = m.timeline;
    if (m.primary) {
      a.location = position;
    } else {
      a.received = a.replayed = position;
      if (streams(i)) a.replication_state = "streaming";
    }
  }
  if (m.lie == Lie::none || m.lie == Lie::lock) return a;
  a.role = Role::primary;
  a.state = State::running;
  a.location = 1'000'000;
  a.postmaster_start_time = "2026-01-01 00:00:00+00:00";
  a.timeline = m.timeline;
  if (m.lie == Lie::timeline) a.timeline = 1;
  if (m.lie == Lie::future) a.timeline = 99;
  if (m.lie == Lie::scope) a.scope = "other";
  if (m.lie == Lie::system) a.system_identifier = system_identifier(9);
  return a;
}

controller::ClusterReport Cluster::listed(std::size_t i) const {
  controller::ClusterReport report;
  report.pause = members_[i].paused;
  for (std::size_t other = 0; other < members_.size(); ++other) {
    const std::string ip = fmt::format("127.0.0.1{}", other + 1);
    report.members.push_back({fmt::format("pg{}", other + 1), ip, 8008, ip, 5432, members_[i].leader == other});
  }
  return report;
}

std::optional<std::size_t> Cluster::all_well() const {
  if (!dcs_up_ || pause_ || !lock_ || failover_to_) return std::nullopt;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const Member& m = members_[i];
    const bool parted = std::count(m.parted.begin(), m.parted.end(), true) > 0 ||
                        std::count(m.parted_from.begin(), m.parted_from.end(), true) > 0;
    if (parted || m.busy || m.lie != Lie::none || m.postgres != Postgres::running || m.patroni != Patroni::running ||
        m.paused || m.failsafe || m.unlocked || m.slow > Millis(50) || m.resets > 0 || m.garbles > 0 ||
        m.system != members_[*lock_].system)
      return std::nullopt;
    const bool leads = lock_ == i;
    if (m.primary != leads || (m.lease_until > time_.now()) != leads || m.timeline != members_[*lock_].timeline)
      return std::nullopt;
  }
  return lock_;
}

}  // namespace simulator
