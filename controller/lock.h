#pragma once
// One pointsman for one HAProxy: a flock named after its socket.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "haproxy/result.h"

namespace controller {

/// Who holds a lock.
enum class Held : unsigned char { free, run, once };

/// Held from `take` to destruction, or the process's end however it comes. In /run/pointsman (made where the rights allow; else
/// in the `state` folder), one file per HAProxy socket; it tells who holds it ("run PID", "once PID").
class Lock {
 public:
  struct Refused {
    Held by = Held::free;
    int pid = 0;
  };
  /// Tries until `within` is over while an `once` holds it; a `run` refuses at once.
  [[nodiscard]] static haproxy::Result<tl::expected<Lock, Refused>> take(const std::filesystem::path& socket,
                                                                         const std::filesystem::path& fallback_folder, Held as,
                                                                         std::chrono::milliseconds within);
  Lock(Lock&& other) noexcept;
  Lock& operator=(Lock&& other) noexcept;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock();

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace controller
