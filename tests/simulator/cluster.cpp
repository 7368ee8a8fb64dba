#include "tests/simulator/cluster.h"

#include <algorithm>

#include <fmt/format.h>

namespace simulator {

using std::chrono::seconds;

Cluster::Cluster(const Setup& setup, Timeline& time) : setup_(setup), time_(time), members_(setup.members) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Member& m = members_[i];
    m.primary = i == 0;
    m.dcs_seen = time_.now();
    m.leader = 0;
    m.parted_from.resize(members_.size());
    m.slow = Millis(1 + static_cast<int>(time_.pick(6)));
    time_.in(time_.between(Millis(0), seconds(setup_.loop_wait)), [this, i] { turn(i); });
  }
  give_lock(0);
}

void Cluster::give_lock(std::optional<std::size_t> owner) {
  lock_ = owner;
  if (!owner) return;
  lock_until_ = time_.now() + seconds(setup_.ttl);
  members_[*owner].lease_until = lock_until_;
}

void Cluster::turn(std::size_t i) {
  time_.in(seconds(setup_.loop_wait) + time_.between(Millis(0), Millis(100)), [this, i] { turn(i); });
  take_turn(i);
}

void Cluster::take_turn(std::size_t i) {
  Member& m = members_[i];
  if (m.patroni != Patroni::running) return;
  if (lock_ && lock_until_ <= time_.now()) lock_.reset();
  if (!reaches_dcs(i)) return blind_turn(i);
  m.dcs_seen = time_.now();
  m.paused = pause_;
  m.failsafe = false;
  m.leader = lock_;
  m.unlocked = !lock_;
  if (lock_ == i && (m.busy || m.postgres == Postgres::running)) give_lock(i);
  if (m.busy) return;
  if (lock_ == i) return leader_turn(i);
  m.lease_until = std::min(m.lease_until, time_.now());
  lock_ ? follower_turn(i) : open_turn(i);
}

void Cluster::blind_turn(std::size_t i) {
  Member& m = members_[i];
  m.unlocked = true;
  if (m.busy || !m.primary || m.postgres != Postgres::running || m.paused) return;
  bool everybody = setup_.failsafe && m.lease_until > time_.now();
  for (std::size_t other = 0; other < members_.size() && everybody; ++other)
    everybody = other == i || (members_[other].patroni == Patroni::running && !m.parted_from[other]);
  if (everybody) {
    m.failsafe = true;
    m.lease_until = time_.now() + seconds(setup_.ttl);
  } else {
    m.failsafe = false;
    demote(i);
  }
}

void Cluster::leader_turn(std::size_t i) {
  Member& m = members_[i];
  if (m.postgres == Postgres::running) {
    m.hung_turns = 0;
    if (!m.primary) promote(i);
    return;
  }
  if (m.postgres == Postgres::stopped && !pause_) {
    give_lock(i);
    return start_postgres(i);
  }
  // Hung, or stopped under pause.
  if (m.postgres == Postgres::hung && ++m.hung_turns < 3) return give_lock(i);
  m.hung_turns = 0;
  m.lease_until = time_.now();
  give_lock(std::nullopt);
  wake_everybody();
}

bool Cluster::may_lead(std::size_t i) const {
  const Member& m = members_[i];
  if (m.postgres != Postgres::running || (pause_ && !m.primary)) return false;
  for (std::size_t other = 0; other < members_.size(); ++other) {
    const Member& o = members_[other];
    if (other == i || o.patroni != Patroni::running || o.postgres != Postgres::running || m.parted_from[other]) continue;
    if (o.system != m.system) continue;
    if (o.timeline > m.timeline || (o.primary && !m.primary)) return false;
  }
  return !failover_to_ || failover_to_ == i || members_[*failover_to_].patroni != Patroni::running;
}

void Cluster::open_turn(std::size_t i) {
  Member& m = members_[i];
  if (may_lead(i)) {
    give_lock(i);
    m.leader = i;
    m.unlocked = false;
    tell(fmt::format("pg{} takes the lock", i + 1));
    if (!m.primary) promote(i);
    return wake_everybody();
  }
  if (m.primary && m.postgres == Postgres::running && !pause_) return demote(i);
  if (m.postgres == Postgres::stopped && !pause_) start_postgres(i);
}

void Cluster::follower_turn(std::size_t i) {
  Member& m = members_[i];
  const Member& leader = members_[*lock_];
  if (m.postgres == Postgres::stopped && !pause_) return start_postgres(i);
  if (m.postgres != Postgres::running || pause_) return;
  if (m.primary) return demote(i);
  const bool joins = leader.primary && leader.postgres == Postgres::running && !m.parted_from[*lock_];
  if (!joins || (m.timeline == leader.timeline && m.system == leader.system)) return;
  m.busy = true;
  later(i, time_.between(Millis(100), Millis(3000)), [this](Member& me) {
    me.busy = false;
    if (!lock_) return;
    me.timeline = members_[*lock_].timeline;
    me.system = members_[*lock_].system;
  });
}

void Cluster::wake_everybody() {
  for (std::size_t i = 0; i < members_.size(); ++i)
    time_.in(time_.between(Millis(5), Millis(300)), [this, i] { take_turn(i); });
}

/// Unless Patroni or PostgreSQL is killed before.
void Cluster::later(std::size_t i, Duration delay, std::function<void(Member&)> what) {
  time_.in(delay, [this, i, what = std::move(what), life = members_[i].life] {
    if (members_[i].life == life) what(members_[i]);
  });
}

void Cluster::promote(std::size_t i) {
  Member& m = members_[i];
  m.busy = true;
  later(i, time_.between(Millis(80), time_.chance(0.2) ? Millis(6000) : Millis(500)), [this, i](Member& me) {
    me.busy = false;
    if (me.postgres != Postgres::running) return;
    me.primary = true;
    ++me.timeline;
    tell(fmt::format("pg{} is promoted, timeline {}", i + 1, me.timeline));
    if (failover_to_) {
      failover_to_.reset();
      on_switchover(false, "");
    }
    wake_everybody();
  });
}

void Cluster::demote(std::size_t i) {
  Member& m = members_[i];
  tell(fmt::format("pg{} demotes", i + 1));
  m.busy = true;
  m.lease_until = std::min(m.lease_until, time_.now());
  m.postgres = Postgres::stopping;
  later(i, time_.between(Millis(100), Millis(2000)), [this, i](Member& me) {
    me.postgres = Postgres::starting;
    me.primary = false;
    ++me.starts;
    later(i, time_.between(Millis(200), Millis(1500)), [](Member& up) {
      up.busy = false;
      up.postgres = Postgres::running;
    });
  });
}

void Cluster::start_postgres(std::size_t i) {
  Member& m = members_[i];
  m.busy = true;
  m.postgres = Postgres::starting;
  ++m.starts;
  if (lock_ != i) m.primary = false;
  later(i, time_.between(Millis(200), Millis(3000)), [](Member& me) {
    me.busy = false;
    me.postgres = Postgres::running;
  });
}

void Cluster::restart_postgres(std::size_t i) {
  Member& m = members_[i];
  if (m.patroni != Patroni::running || m.busy || m.postgres != Postgres::running) return;
  m.busy = m.restarting = true;
  m.postgres = Postgres::stopping;
  later(i, time_.between(Millis(100), Millis(1500)), [this, i](Member& me) {
    me.postgres = Postgres::starting;
    ++me.starts;
    later(i, time_.between(Millis(200), Millis(1000)), [](Member& up) {
      up.busy = up.restarting = false;
      up.postgres = Postgres::running;
    });
  });
}

void Cluster::switch_over(std::size_t to) {
  if (!lock_ || lock_ == to || pause_ || !dcs_up_) return;
  const std::size_t from = *lock_;
  Member& m = members_[from];
  if (m.patroni != Patroni::running || m.busy || !m.primary || m.postgres != Postgres::running) return;
  if (members_[to].postgres != Postgres::running || members_[to].primary) return;
  failover_to_ = to;
  on_switchover(true, fmt::format("{}", ++failovers_));
  m.busy = true;
  // CHECKPOINT, then the stop, then the lock.
  later(from, time_.between(Millis(50), time_.chance(0.1) ? Millis(8000) : Millis(600)), [this, from](Member& me) {
    me.postgres = Postgres::stopping;
    later(from, time_.between(Millis(100), Millis(1500)), [this, from](Member& stopped) {
      stopped.lease_until = time_.now();
      stopped.postgres = Postgres::starting;
      stopped.primary = false;
      ++stopped.starts;
      if (lock_ == from && reaches_dcs(from)) give_lock(std::nullopt);
      wake_everybody();
      later(from, time_.between(Millis(200), Millis(2000)), [](Member& up) {
        up.busy = false;
        up.postgres = Postgres::running;
      });
    });
  });
  // A switchover that came to nothing is forgotten.
  time_.in(seconds(setup_.ttl), [this, number = failovers_] {
    if (!failover_to_ || failovers_ != number) return;
    failover_to_.reset();
    on_switchover(false, "");
  });
}

void Cluster::stop_patroni(std::size_t i) {
  Member& m = members_[i];
  if (m.patroni == Patroni::stopped) return;
  m.patroni = Patroni::stopped;
  ++m.life;
  m.busy = m.restarting = false;
  if (m.paused) return;  // PostgreSQL runs on
  m.postgres = Postgres::stopping;
  later(i, time_.between(Millis(50), Millis(1500)), [this, i](Member& me) {
    me.postgres = Postgres::stopped;
    me.lease_until = std::min(me.lease_until, time_.now());
    if (lock_ != i || !reaches_dcs(i)) return;
    give_lock(std::nullopt);
    wake_everybody();
  });
}

void Cluster::happen(const Event& event) {
  Member& m = members_[event.member];
  const auto part = [&](bool parted) {
    if (event.peer != Peer::member) {
      m.parted[static_cast<std::size_t>(event.peer)] = parted;
    } else {
      m.parted_from[event.other] = members_[event.other].parted_from[event.member] = parted;
    }
  };
  const auto kill = [&] {
    ++m.life;
    m.busy = m.restarting = false;
  };
  const auto start = [&] {
    if (m.patroni != Patroni::stopped) return;
    m.patroni = Patroni::running;
    ++m.life;
    m.busy = false;
    if (m.postgres == Postgres::stopping) m.postgres = Postgres::stopped;
    time_.in(Millis(200), [this, i = event.member] { take_turn(i); });
  };
  switch (event.what) {
    case What::crash_postgres:
      kill();
      m.postgres = Postgres::stopped;
      break;
    case What::hang_postgres:
      if (m.postgres == Postgres::running) m.postgres = Postgres::hung;
      break;
    case What::wake_postgres:
      if (m.postgres == Postgres::hung) m.postgres = Postgres::running;
      break;
    case What::restart_postgres:
      restart_postgres(event.member);
      break;
    case What::stop_patroni:
      stop_patroni(event.member);
      break;
    case What::kill_patroni:
      kill();
      m.patroni = Patroni::stopped;
      if (m.postgres == Postgres::starting) m.postgres = Postgres::running;
      if (m.postgres == Postgres::stopping) m.postgres = Postgres::stopped;
      break;
    case What::start_patroni:
    case What::start_member:
      start();
      break;
    case What::freeze_patroni:
      if (m.patroni == Patroni::running) m.patroni = Patroni::frozen;
      break;
    case What::thaw_patroni:
      if (m.patroni != Patroni::frozen) break;
      m.patroni = Patroni::running;
      time_.in(time_.between(Millis(10), seconds(1)), [this, i = event.member] { take_turn(i); });
      break;
    case What::kill_member:
      kill();
      m.patroni = Patroni::stopped;
      m.postgres = Postgres::stopped;
      break;
    case What::switchover:
      switch_over(event.member);
      break;
    case What::pause:
      pause_ = true;
      break;
    case What::resume:
      pause_ = false;
      break;
    case What::stop_dcs:
      dcs_up_ = false;
      break;
    case What::start_dcs:
      dcs_up_ = true;
      break;
    case What::partition:
      part(true);
      break;
    case What::join:
      part(false);
      break;
    case What::slow:
      m.slow = Millis(event.amount);
      break;
    case What::reset:
      m.resets = event.amount;
      break;
    case What::garble:
      m.garbles = event.amount;
      break;
    case What::lie_lock:
    case What::lie_primary:
    case What::lie_timeline:
    case What::lie_future:
    case What::lie_scope:
    case What::lie_system:
      m.lie = static_cast<Lie>(static_cast<int>(event.what) - static_cast<int>(What::lie_lock) + 1);
      break;
    case What::be_honest:
      m.lie = Lie::none;
      break;
    case What::new_system:
      m.system = m.system == 1 ? 2 : 1;
      m.primary = true;
      m.timeline = 1;
      ++m.starts;
      break;
    case What::heal:
      heal();
      break;
    default:
      break;
  }
}

void Cluster::heal() {
  dcs_up_ = true;
  pause_ = false;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Member& m = members_[i];
    m.parted = {};
    m.parted_from.assign(members_.size(), false);
    m.lie = Lie::none;
    m.slow = Millis(2);
    m.resets = m.garbles = 0;
    if (m.postgres == Postgres::hung) m.postgres = Postgres::running;
    if (m.patroni == Patroni::stopped) ++m.life;
    if (m.patroni == Patroni::stopped && m.postgres == Postgres::stopping) m.postgres = Postgres::stopped;
    m.patroni = Patroni::running;
  }
  wake_everybody();
}

}  // namespace simulator
