#pragma once
// Runs something under ptrace and comes between it and the system calls by which it changes files. Linux, x86-64.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace crash {

/// What becomes of the `at`-th of those calls (from 1): before it everything is killed, or it is not carried out and fails with
/// `error` (an errno). With 0 they are only listed.
struct Interruption {
  enum class Kind : std::uint8_t { kill, fail };
  Kind kind = Kind::kill;
  std::size_t at = 0;
  int error = 0;
};

struct Traced {
  std::vector<std::string> calls;  ///< in their order, as far as they came: "renameat /tmp/a -> /tmp/b"
  bool interrupted = false;        ///< there was an `at`-th one
  int exit_code = 0;               ///< 128 + signal where it was killed by one
};

/// Runs `action` in a process of its own and with all its threads, but not the processes that it starts. The calls counted are
/// those that create, write, sync, close, rename or remove regular files and folders, or change their mode or owner.
[[nodiscard]] Traced trace(const std::function<int()>& action, const Interruption& interruption);

}  // namespace crash
