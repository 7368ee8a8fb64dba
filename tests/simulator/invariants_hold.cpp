// When new connections are made to wait for a port.

#include <algorithm>

#include <fmt/format.h>

#include "tests/simulator/invariants.h"

namespace simulator {

using std::chrono::seconds;

namespace {

constexpr seconds kLongestHold{40};
constexpr Millis kSlack{10};

}  // namespace

bool Invariants::is_dead(std::size_t member) const {
  return cluster_.port(member, Peer::pointsman) != controller::PortSays::accepting &&
         (!cluster_.linked(member, Peer::pointsman) || cluster_.member(member).patroni != Patroni::running);
}

void Invariants::look_at_hold(const controller::PublishedCluster& cluster) {
  const bool waits = cluster.hold == controller::HoldReason::not_accepting;
  if (!waits) waiting_since_.reset();
  if (waits && !waiting_since_) waiting_since_ = time_.now();
  waited_ = waited_ || waits;
  if (waits && (!holder_ || !known_[*holder_].port || known_[*holder_].port->says == controller::PortSays::accepting))
    violate(8, "new connections wait for a port, and there is no evidence");
  if (waits && time_.now() - *waiting_since_ > kLongestHold + kSlack)
    violate(8, "new connections wait for a port for too long");

  const bool able = cluster_.setup().hold && haproxy_->is_well() && last_.writer && last_.writer == holder_ &&
                    last_.writer_state == controller::WriterState::settled;
  const auto report = able ? known_[*holder_].answer : nullptr;
  const auto* last = report ? report->answer() : nullptr;
  const bool in_time = last != nullptr && is_claim(*last) && last->state == controller::State::running &&
                       report->answered_at - report->asked_at < Millis(50);
  if (!in_time || waited_ || !is_dead(*holder_)) return dead_since_.reset();
  if (!dead_since_) dead_since_ = time_.now();
  const Instant since = std::max({*dead_since_, able_since_, worker_answered_at_});
  if (cluster.hold == controller::HoldReason::none && time_.now() - since > seconds(3))
    violate(9, fmt::format("pg{} has been dead for 3 s, and nobody waits", *holder_ + 1));
}

}  // namespace simulator
