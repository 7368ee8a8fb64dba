#include "tests/simulator/poller.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

namespace simulator {

using controller::Failure;
using controller::MemberReport;
using controller::Role;
using controller::State;
using std::chrono::seconds;

namespace {

constexpr Instant kNever = Instant::max();
constexpr Millis kNudgedFor{1000};

std::string ip_of(std::size_t member) {
  return fmt::format("127.0.0.1{}", member + 1);
}

}  // namespace

Poller::Poller(Cluster& cluster, Timeline& time, controller::Board& board, const controller::Poll& poll)
    : cluster_(cluster),
      time_(time),
      board_(board),
      poll_(poll),
      members_(cluster.size()),
      changed_at_(time.now()),
      cluster_due_(time.now()),
      config_due_(time.now()) {
  wake(time_.now());
}

void Poller::later(Instant when, std::function<void()> what) {
  time_.at(when, [this, what = std::move(what), alive = alive_]() mutable {
    if (!*alive) return;
    // Suspended: what came meanwhile is read afterwards.
    if (asleep_until > time_.now()) return later(asleep_until, std::move(what));
    what();
  });
}

void Poller::wake(Instant when) {
  if (when >= woken_for_ && woken_for_ > time_.now()) return;
  woken_for_ = when;
  later(when, [this, when] {
    if (woken_for_ == when) work();
  });
}

bool Poller::claims(const Asker& member) const {
  const auto* answer = member.last ? member.last->answer() : nullptr;
  return answer != nullptr && answer->code == 200 && answer->role == Role::primary && answer->state == State::running;
}

Instant Poller::due(const Asker& member, double jitter) const {
  if (member.asked.in_flight) return kNever;
  if (member.hurry) return std::max({controller::rested(member.asked, true), member.asked.last_asked + Millis(10), hurry_at_});
  const Instant now = time_.now();
  controller::News news{now - changed_at_, controller::Announced::nothing};
  const bool announced = now - nudged_at_ < kNudgedFor || (announced_ && now >= *announced_ && now - *announced_ < seconds(40));
  if (announced) {
    const auto promotes = [](const Asker& m) {
      const auto* answer = m.last ? m.last->answer() : nullptr;
      return answer != nullptr && answer->code == 200 && answer->role == Role::replica;
    };
    const bool any = std::any_of(members_.begin(), members_.end(), promotes);
    news.announced = !any               ? controller::Announced::change
                     : promotes(member) ? controller::Announced::promotion
                                        : controller::Announced::nothing;
  }
  return controller::next_ask(member.asked, poll_, news, jitter);
}

/// Of the members that are well, one that does not claim where there is one; the one that was asked longest ago.
std::optional<std::size_t> Poller::errand_member() const {
  for (const bool claiming : {false, true}) {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const Asker& m = members_[i];
      if (!m.well || claims(m) != claiming || m.asked.in_flight || controller::rested(m.asked) > time_.now()) continue;
      if (!best || m.cluster_asked < members_[*best].cluster_asked) best = i;
    }
    if (best) return best;
  }
  return std::nullopt;
}

void Poller::work() {
  const Instant now = time_.now();
  woken_for_ = kNever;
  const bool any = std::any_of(members_.begin(), members_.end(), [&](const Asker& m) { return due(m, m.jitter) <= now; });
  for (std::size_t i = 0; any && i < members_.size(); ++i) {
    if (due(members_[i], 0) <= now) ask(i, Path::primary);
  }
  if (std::count_if(members_.begin(), members_.end(), [&](const Asker& m) { return claims(m); }) > 1) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const Asker& m = members_[i];
      if (m.well && !m.asked.in_flight && !claims(m) &&
          std::max(controller::rested(m.asked), m.cluster_asked + Millis(250)) <= now)
        ask(i, Path::cluster);
    }
  }
  const auto run_errand = [&](Instant when, bool& under_way, Path path) {
    if (under_way || when > now) return;
    const auto member = errand_member();
    if (!member) return;
    under_way = true;
    ask(*member, path);
  };
  run_errand(cluster_due_, cluster_under_way_, Path::cluster);
  run_errand(config_due_, config_under_way_, Path::config);
  ask_port();
  Instant next = now + seconds(60);
  for (const Asker& m : members_) next = std::min(next, due(m, m.jitter));
  for (const auto& [due, under_way] :
       {std::pair(cluster_due_, cluster_under_way_), std::pair(config_due_, config_under_way_)}) {
    for (const Asker& m : members_) {
      if (!under_way && m.well && !m.asked.in_flight) next = std::min(next, std::max(due, controller::rested(m.asked)));
    }
  }
  if (suspect_ && !port_under_way_) next = std::min(next, port_due_);
  wake(std::max(next, now + std::chrono::microseconds(100)));
}

/// The port of the board's suspect, by the same schedule as controller/ports.cpp.
void Poller::ask_port() {
  const Instant now = time_.now();
  if (const auto suspect = board_.suspect(0); suspect != suspect_) {
    suspect_ = suspect;
    suspect_since_ = port_due_ = now;
    port_under_way_ = false;
    ++port_questions_;
  }
  if (!suspect_ || port_under_way_ || port_due_ > now) return;
  port_under_way_ = true;
  port_due_ = now + controller::port_pace(now - suspect_since_);
  const auto says = cluster_.port(suspect_->member, Peer::pointsman);
  const Duration takes = says ? time_.between(Millis(0), Millis(5)) : controller::port_patience(suspect_->took);
  later(now + takes, [this, now, says, number = ++port_questions_] {
    if (number != port_questions_) return;
    port_under_way_ = false;
    const controller::PortReport report{suspect_->address, now, time_.now(), says.value_or(controller::PortSays::nothing),
                                        "simulated"};
    on_port(suspect_->member, report);
    board_.put_port(0, suspect_->member, report);
    wake(time_.now());
  });
}

void Poller::notice_late(std::size_t member, Instant begun) {
  const Asker& m = members_[member];
  if (!claims(m)) return;
  later(controller::late_at(m.last->answered_at - m.last->asked_at, begun), [this, member, begun] {
    const Asker& late = members_[member];
    if (!late.asked.in_flight || late.asked.last_asked != begun) return;
    changed_at_ = time_.now();
    board_.put_late(0);
    wake(time_.now());
  });
}

void Poller::ask(std::size_t member, Path path) {
  Asker& m = members_[member];
  const Instant now = time_.now();
  m.asked.in_flight = true;
  if (path == Path::primary) {
    m.asked.last_asked = now;
    m.hurry = false;
    board_.put_asked(0, member, now);
    notice_late(member, now);
  } else if (path == Path::cluster) {
    m.cluster_asked = now;
  }
  const Duration way = time_.chance(0.01) ? time_.between(Millis(1), Millis(60)) : time_.between(Millis(0), Millis(1));
  later(now + way, [this, member, path, now] { arrive(member, path, now); });
}

void Poller::fail(std::size_t member, Path path, Instant begun, Instant when, Failure failure, bool hung) {
  later(when, [this, member, path, begun, failure, hung] { finish(member, path, begun, {}, failure, hung, {}, {}); });
}

void Poller::arrive(std::size_t member, Path path, Instant begun) {
  const Instant deadline = begun + (path == Path::primary ? poll_.timeout : std::min(poll_.timeout, Millis(500)));
  switch (cluster_.knock(member, Peer::pointsman)) {
    case Door::swallowed:
      return fail(member, path, begun, deadline, Failure::timed_out, false);
    case Door::hangs:
      return fail(member, path, begun, deadline, Failure::timed_out, true);
    case Door::refused:
      return fail(member, path, begun, time_.now() + Millis(1), Failure::refused, false);
    case Door::resets:
      return fail(member, path, begun, time_.now() + Millis(1), Failure::reset, false);
    case Door::open:
      break;
  }
  auto answer = path == Path::primary ? cluster_.answer(member) : std::nullopt;
  auto listed = path == Path::cluster ? cluster_.listed(member) : controller::ClusterReport{};
  const Duration takes = cluster_.member(member).slow + time_.between(Millis(0), Millis(1));
  const Instant done = time_.now() + takes;
  if (done > deadline) return fail(member, path, begun, deadline, Failure::timed_out, true);
  later(done, [this, member, path, begun, deadline, takes, answer = std::move(answer), listed = std::move(listed)] {
    if (!cluster_.linked(member, Peer::pointsman)) return fail(member, path, begun, deadline, Failure::timed_out, true);
    if (path == Path::primary && !answer) return finish(member, path, begun, {}, Failure::bad_answer, false, {}, {});
    finish(member, path, begun, takes, std::nullopt, false, answer, listed);
  });
}

void Poller::finish(std::size_t member, Path path, Instant begun, Duration served_in, std::optional<Failure> failure, bool hung,
                    const std::optional<controller::Answer>& answer, const controller::ClusterReport& listed) {
  Asker& m = members_[member];
  const Instant now = time_.now();
  m.asked.in_flight = false;
  m.asked.last_done = now;
  m.asked.hung = hung ? m.asked.hung + 1 : 0;
  m.asked.last_took = served_in;
  m.well = !failure;
  if (path == Path::primary) {
    MemberReport report{begun, now, {}};
    if (failure) {
      report.outcome = controller::NoAnswer{*failure, "simulated"};
    } else {
      report.outcome = *answer;
    }
    m.jitter = time_.unit();
    if (m.last && controller::is_news(*m.last, report)) changed_at_ = now;
    m.last = report;
    on_report(member, report);
    board_.put(0, member, std::move(report), ip_of(member));
  } else if (path == Path::cluster) {
    if (!failure) {
      auto report = listed;
      report.asked_at = begun;
      board_.put_cluster(0, member, report);
      if (!addresses_known_) on_addresses();
      addresses_known_ = true;
    }
    cluster_under_way_ = false;
    cluster_due_ = now + (failure || !addresses_known_ ? seconds(1) : seconds(60));
  } else {
    if (!failure) board_.put_timings(0, {static_cast<int>(cluster_.setup().ttl), static_cast<int>(cluster_.setup().loop_wait)});
    config_under_way_ = false;
    config_due_ = now + (failure ? Duration(seconds(1)) : Duration(std::chrono::hours(1)));
  }
  wake(now);
}

void Poller::nudge() {
  later(time_.now(), [this] {
    changed_at_ = nudged_at_ = time_.now();
    hurry_at_ = time_.now() + time_.between(Millis(0), Millis(20));
    for (Asker& m : members_) m.hurry = true;
    wake(time_.now());
  });
}

}  // namespace simulator
