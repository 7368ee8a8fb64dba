#pragma once
// Runs a program. Never a shell: a list of words, the first is looked up in PATH and then in the system's own folders (cron
// leaves /usr/sbin out, where HAProxy is).

#include <chrono>
#include <string>
#include <vector>

#include "haproxy/result.h"

namespace haproxy {

struct Finished {
  int exit_code = 0;   ///< 128 + signal where it was killed by one
  std::string output;  ///< standard output and error together, at most 64 kB of the end
};

/// Standard input is /dev/null, no descriptor is inherited, no signal is blocked or ignored, the environment is PATH and LANG=C
/// only. After `within` the whole process group is killed and it is an Error. Returns when the program itself has ended: what
/// it left running (a daemon that holds its output open) is not waited for. Any exit code is a success here. Blocks.
[[nodiscard]] Result<Finished> run(const std::vector<std::string>& words, std::chrono::milliseconds within);

}  // namespace haproxy
