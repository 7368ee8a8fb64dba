#include "controller/notify.h"

#include <fmt/core.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <string>

namespace controller {

namespace {

/// A line break would begin another assignment.
std::string one_line(std::string_view status) {
  std::string line(status);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

void notify(const std::string& state) {
  ::sd_notify(0, state.c_str());
}

}  // namespace

void notify_ready(std::string_view status) {
  notify("READY=1\nSTATUS=" + one_line(status));
}

void notify_reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000));
}

void notify_stopping() {
  notify("STOPPING=1");
}
void notify_status(std::string_view status) {
  notify("STATUS=" + one_line(status));
}
void notify_watchdog() {
  notify("WATCHDOG=1");
}

std::optional<std::chrono::microseconds> watchdog_interval() {
  std::uint64_t within = 0;
  if (::sd_watchdog_enabled(0, &within) <= 0) return std::nullopt;
  return std::chrono::microseconds(static_cast<std::int64_t>(within / 2));
}

}  // namespace controller
