#pragma once
// Time that counts suspended time: a machine that slept must not act on what it knew before.

#include <chrono>
#include <ctime>

namespace haproxy {

/// CLOCK_BOOTTIME. Monotonic, and goes on while the machine is suspended.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept {
    timespec t{};
    clock_gettime(CLOCK_BOOTTIME, &t);
    return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  }
};

using Instant = BootClock::time_point;
using Duration = BootClock::duration;

}  // namespace haproxy
