// interrupt kill|fail N LIST PROGRAM WORD...
// Runs the program, kills it before its N-th system call that changes a file or has that call fail for want of room (ENOSPC),
// and writes the calls into LIST, one a line: with fewer than N it was not interrupted. Exits as the program did.

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "tests/crash/traced.h"

int main(int argc, char** argv) {
  if (argc < 5) {
    fmt::print(stderr, "interrupt kill|fail N LIST PROGRAM WORD...\n");
    return 64;
  }
  crash::Interruption interruption;
  using Kind = crash::Interruption::Kind;
  interruption.kind = std::string_view(argv[1]) == "fail" ? Kind::fail : Kind::kill;
  interruption.at = std::strtoul(argv[2], nullptr, 10);
  interruption.error = ENOSPC;
  const auto program = [&] {
    ::execv(argv[4], argv + 4);
    return 127;
  };
  const crash::Traced traced = crash::trace(program, interruption);
  std::ofstream list(argv[3]);
  for (const std::string& call : traced.calls) list << call << '\n';
  return list.flush() ? traced.exit_code : 70;
}
