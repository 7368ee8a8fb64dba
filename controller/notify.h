#pragma once
// systemd's notifications (sd_notify); nothing happens where there is no NOTIFY_SOCKET.

#include <chrono>
#include <optional>
#include <string_view>

namespace controller {

void notify_ready(std::string_view status);   ///< READY=1, STATUS=
void notify_reloading();                      ///< RELOADING=1 with MONOTONIC_USEC
void notify_stopping();                       ///< STOPPING=1
void notify_status(std::string_view status);  ///< STATUS=
void notify_watchdog();                       ///< WATCHDOG=1
/// Half of WatchdogSec, where systemd asks for it of this process.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace controller
