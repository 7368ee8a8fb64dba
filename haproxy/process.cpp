#include "haproxy/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "haproxy/clock.h"
#include "haproxy/descriptor.h"

namespace haproxy {
namespace {

constexpr std::size_t kKeptOutput = 64U << 10U;

/// posix_spawn's two parameter objects.
struct Spawning {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  Spawning() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~Spawning() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  Spawning(const Spawning&) = delete;
  Spawning& operator=(const Spawning&) = delete;
};

std::string search_path() {
  const char* const own = std::getenv("PATH");
  std::string path = own == nullptr ? "" : own;
  if (!path.empty()) path += ':';
  return path + "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

bool is_program(const std::string& path) {
  struct stat file {};
  return stat(path.c_str(), &file) == 0 && S_ISREG(file.st_mode) && access(path.c_str(), X_OK) == 0;
}

/// The path of the program; empty where there is none.
std::string look_up(const std::string& word, std::string_view path) {
  if (word.find('/') != std::string::npos) return is_program(word) ? word : "";
  while (!path.empty()) {
    const std::size_t end = path.find(':');
    const std::filesystem::path folder(path.substr(0, end));
    // An empty or relative entry would mean the current folder, which is no place for programs.
    if (folder.is_absolute() && is_program((folder / word).string())) return (folder / word).string();
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
  }
  return "";
}

/// Starts it as the leader of a process group of its own. An errno, or 0.
int spawn(pid_t& pid, const std::string& program, const std::vector<std::string>& words, const std::string& path, int output) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::string path_setting = "PATH=" + path;
  std::string language = "LANG=C";
  char* environment[] = {path_setting.data(), language.data(), nullptr};

  Spawning spawning;
  posix_spawn_file_actions_addopen(&spawning.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&spawning.actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&spawning.actions, output, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&spawning.actions, 3);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&spawning.attributes, &none);
  posix_spawnattr_setsigdefault(&spawning.attributes, &all);
  posix_spawnattr_setpgroup(&spawning.attributes, 0);
  posix_spawnattr_setflags(&spawning.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  return posix_spawn(&pid, program.c_str(), &spawning.actions, &spawning.attributes, arguments.data(), environment);
}

/// Appends what can be read without waiting. False at the end of the output.
bool drain(int fd, std::string& output) {
  std::array<char, 8192> chunk;
  // Bounded, so that a program that never stops writing does not keep us from looking at the clock.
  for (int round = 0; round < 16; ++round) {
    const ssize_t got = read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    output.append(chunk.data(), static_cast<std::size_t>(got));
    if (output.size() > 2 * kKeptOutput) output.erase(0, output.size() - kKeptOutput);
  }
  return true;
}

int collect(pid_t pid, int& status) {
  pid_t got = -1;
  do {
    got = waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  return got < 0 ? errno : 0;
}

/// Reads `output` until the program ends; false where it has not by `end`.
bool follow(int ended, Descriptor& pipe, Instant end, std::string& output) {
  for (;;) {
    const Duration left = end - BootClock::now();
    if (left <= Duration::zero()) return false;
    const auto millis = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    std::array<pollfd, 2> both{pollfd{ended, POLLIN, 0}, pollfd{pipe.get(), POLLIN, 0}};
    const int ready = poll(both.data(), both.size(), static_cast<int>(std::min<std::int64_t>(millis, 3'600'000)));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    if (both[1].revents != 0 && !drain(pipe.get(), output)) pipe.reset();
    if (both[0].revents != 0) {
      if (pipe.get() >= 0) drain(pipe.get(), output);
      return true;
    }
  }
}

}  // namespace

Result<Finished> run(const std::vector<std::string>& words, std::chrono::milliseconds within) {
  if (words.empty() || words.front().empty()) return fail("run", "a program", "no words are given");
  const std::string& name = words.front();
  const Instant end = BootClock::now() + within;
  const std::string path = search_path();
  const std::string program = look_up(name, path);
  if (program.empty()) {
    return fail(
        "run", name, "no such program",
        name.find('/') == std::string::npos ? "it was looked for in " + path : "it must be a file that may be executed");
  }

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail("run", name, std::strerror(errno));
  Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  pid_t pid = -1;
  if (const int error = spawn(pid, program, words, path, writing.get()); error != 0) {
    return fail("run", name, std::strerror(error));
  }
  writing.reset();

  Finished finished;
  // Not pidfd_open(): the header of glibc 2.36 cannot be used from C++.
  const Descriptor ended(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const int no_watch = ended.get() < 0 ? errno : 0;
  const bool in_time = no_watch == 0 && follow(ended.get(), reading, end, finished.output);
  if (!in_time) kill(-pid, SIGKILL);
  int status = 0;
  if (const int error = collect(pid, status); error != 0) return fail("run", name, std::strerror(error));
  if (no_watch != 0) return fail("run", name, std::string("cannot watch it: ") + std::strerror(no_watch));
  if (!in_time) return fail("run", name, "it did not end within " + std::to_string(within.count()) + " ms and was killed");

  if (finished.output.size() > kKeptOutput) finished.output.erase(0, finished.output.size() - kKeptOutput);
  finished.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return finished;
}

}  // namespace haproxy
