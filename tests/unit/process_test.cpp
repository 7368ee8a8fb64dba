#include "haproxy/process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "tests/catch.h"

using namespace haproxy;
using namespace std::chrono_literals;

namespace {

/// A process that is there and no zombie.
bool is_running(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const std::size_t name_end = line.rfind(") ");
  return name_end != std::string::npos && line[name_end + 2] != 'Z';
}

bool ends_soon(pid_t pid) {
  for (int i = 0; i < 1000 && is_running(pid); ++i) std::this_thread::sleep_for(5ms);
  return !is_running(pid);
}

}  // namespace

TEST_CASE("a program's output, both kinds, and its exit code come back") {
  const auto finished = run({"sh", "-c", "echo out; echo err >&2; exit 3"}, 10s);
  REQUIRE(finished);
  CHECK(finished->output == "out\nerr\n");
  CHECK(finished->exit_code == 3);
}

TEST_CASE("words reach the program as they are") {
  const auto finished = run({"printf", "%s|", "a b", "$HOME", "*", ";", ""}, 10s);
  REQUIRE(finished);
  CHECK(finished->output == "a b|$HOME|*|;||");
}

TEST_CASE("a program that a signal killed says which") {
  const auto finished = run({"sh", "-c", "kill -TERM $$"}, 10s);
  REQUIRE(finished);
  CHECK(finished->exit_code == 128 + SIGTERM);
}

TEST_CASE("a program that is not there is an error that names it") {
  const auto missing = run({"no-such-program-here"}, 10s);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().subject == "no-such-program-here");
  CHECK(missing.error().detail == "no such program");
  CHECK_FALSE(run({"/etc/passwd"}, 10s));
  CHECK_FALSE(run({"/"}, 10s));
  CHECK_FALSE(run({}, 10s));
  CHECK_FALSE(run({""}, 10s));
}

TEST_CASE("programs in the system's folders are found with cron's PATH too") {
  const std::string before = std::getenv("PATH") == nullptr ? "" : std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  const auto finished = run({"sh", "-c", "command -v sh"}, 10s);
  setenv("PATH", before.c_str(), 1);
  REQUIRE(finished);
  CHECK(finished->exit_code == 0);
}

TEST_CASE("a program sees PATH and LANG and nothing else of the environment") {
  setenv("POINTSMAN_TEST_SECRET", "x", 1);
  const auto finished = run({"env"}, 10s);
  unsetenv("POINTSMAN_TEST_SECRET");
  REQUIRE(finished);
  CHECK(finished->output.starts_with("PATH=/"));
  CHECK(finished->output.ends_with("\nLANG=C\n"));
  CHECK(std::count(finished->output.begin(), finished->output.end(), '\n') == 2);
}

TEST_CASE("a program inherits no descriptor and reads nothing") {
  const int inheritable = open("/dev/null", O_RDONLY);
  REQUIRE(inheritable > 2);
  const auto finished = run({"sh", "-c", "cat; ls /proc/$$/fd"}, 10s);
  close(inheritable);
  REQUIRE(finished);
  CHECK(finished->output == "0\n1\n2\n");
}

TEST_CASE("a program starts with no signal blocked or ignored") {
  signal(SIGUSR1, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &mask, nullptr);
  const auto finished = run({"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}, 10s);
  pthread_sigmask(SIG_UNBLOCK, &mask, nullptr);
  signal(SIGUSR1, SIG_DFL);
  REQUIRE(finished);
  const std::size_t ignored = finished->output.find("SigIgn:\t");
  REQUIRE(ignored != std::string::npos);
  CHECK(finished->output.starts_with("SigBlk:\t0000000000000000\n"));
  // The C library keeps two signals above 31 to itself.
  CHECK((std::stoull(finished->output.substr(ignored + 8), nullptr, 16) & 0x7fffffffU) == 0);
}

TEST_CASE("of a long output the end is kept") {
  const auto finished = run({"sh", "-c", "yes 0123456789abcde | head -c 3200000; echo last"}, 20s);
  REQUIRE(finished);
  CHECK(finished->output.size() == 64 * 1024);
  CHECK(finished->output.ends_with("0123456789abcde\nlast\n"));
}

TEST_CASE("a program that takes too long is killed with all that it started") {
  const std::string note = "/tmp/pointsman-process-test-" + std::to_string(getpid());
  const auto begin = std::chrono::steady_clock::now();
  const auto finished = run({"sh", "-c", "sleep 60 & echo $! >" + note + "; wait"}, 500ms);
  const auto took = std::chrono::steady_clock::now() - begin;
  REQUIRE_FALSE(finished);
  CHECK(finished.error().text() == "cannot run sh: it did not end within 500 ms and was killed");
  CHECK(took >= 500ms);
  CHECK(took < 5s);
  pid_t sleeper = 0;
  std::ifstream(note) >> sleeper;
  unlink(note.c_str());
  REQUIRE(sleeper > 0);
  CHECK(ends_soon(sleeper));
}

TEST_CASE("a program that never stops writing is killed in time too") {
  const auto begin = std::chrono::steady_clock::now();
  CHECK_FALSE(run({"yes"}, 200ms));
  CHECK(std::chrono::steady_clock::now() - begin < 5s);
}

TEST_CASE("a daemon that holds the output open is neither waited for nor killed") {
  const auto begin = std::chrono::steady_clock::now();
  const auto finished = run({"sh", "-c", "sleep 60 & echo $!"}, 20s);
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  REQUIRE(finished);
  CHECK(finished->exit_code == 0);
  const pid_t daemon = std::atoi(finished->output.c_str());
  REQUIRE(daemon > 0);
  CHECK(is_running(daemon));
  kill(daemon, SIGKILL);
}

TEST_CASE("a program that closes its output is waited for") {
  const auto finished = run({"sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 7"}, 10s);
  REQUIRE(finished);
  CHECK(finished->exit_code == 7);
}
