#pragma once
// Virtual time: what happens when, in one thread.

#include <cstdint>
#include <functional>
#include <queue>
#include <random>
#include <vector>

#include "haproxy/clock.h"

namespace simulator {

using haproxy::Duration;
using haproxy::Instant;
using Millis = std::chrono::milliseconds;

/// Where every story begins.
inline const Instant kBegin{std::chrono::hours(1)};

class Timeline {
 public:
  explicit Timeline(std::uint64_t seed) : random_(seed) {}

  [[nodiscard]] Instant now() const { return now_; }
  /// Handlers that ran so far.
  [[nodiscard]] std::uint64_t happened() const { return happened_; }
  /// One more thing that happened outside of a handler.
  void count() { ++happened_; }

  void at(Instant when, std::function<void()> what) { due_.push({std::max(when, now_), ++order_, std::move(what)}); }
  void in(Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  [[nodiscard]] Instant next() const { return due_.empty() ? Instant::max() : due_.top().when; }

  /// Lets everything happen that is due up to then. Not from within a handler.
  void advance(Instant until) {
    while (!due_.empty() && due_.top().when <= until) {
      now_ = std::max(now_, due_.top().when);
      const auto what = std::move(const_cast<Due&>(due_.top()).what);
      due_.pop();
      ++happened_;
      what();
    }
    now_ = std::max(now_, until);
  }

  /// Evenly spread over [from, to).
  Duration between(Duration from, Duration to) {
    return from + Duration(static_cast<Duration::rep>(unit() * static_cast<double>((to - from).count())));
  }
  double unit() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }
  /// 0 to below `bound`.
  std::size_t pick(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
  bool chance(double probability) { return unit() < probability; }

 private:
  struct Due {
    Instant when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Due& other) const { return when != other.when ? when > other.when : order > other.order; }
  };

  Instant now_ = kBegin;
  std::uint64_t order_ = 0;
  std::uint64_t happened_ = 0;
  std::priority_queue<Due> due_;
  std::mt19937_64 random_;
};

}  // namespace simulator
