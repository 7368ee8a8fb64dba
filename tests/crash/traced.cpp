#include "tests/crash/traced.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <system_error>

namespace crash {
namespace {

namespace fs = std::filesystem;

enum class On : std::uint8_t { path, path_at, two_paths, two_paths_at, descriptor, second_descriptor, opened, opened_at };

struct Call {
  const char* name;
  On on;
};

const std::map<std::uint64_t, Call>& changing_calls() {
  static const std::map<std::uint64_t, Call> kCalls{
      {SYS_open, {"open", On::opened}},
      {SYS_openat, {"openat", On::opened_at}},
      {SYS_creat, {"creat", On::path}},
      {SYS_write, {"write", On::descriptor}},
      {SYS_writev, {"writev", On::descriptor}},
      {SYS_pwrite64, {"pwrite", On::descriptor}},
      {SYS_pwritev, {"pwritev", On::descriptor}},
      {SYS_sendfile, {"sendfile", On::descriptor}},
      {SYS_copy_file_range, {"copy_file_range", On::second_descriptor}},
      {SYS_fallocate, {"fallocate", On::descriptor}},
      {SYS_ftruncate, {"ftruncate", On::descriptor}},
      {SYS_truncate, {"truncate", On::path}},
      {SYS_fsync, {"fsync", On::descriptor}},
      {SYS_fdatasync, {"fdatasync", On::descriptor}},
      {SYS_close, {"close", On::descriptor}},
      {SYS_rename, {"rename", On::two_paths}},
      {SYS_renameat, {"renameat", On::two_paths_at}},
      {SYS_renameat2, {"renameat2", On::two_paths_at}},
      {SYS_link, {"link", On::two_paths}},
      {SYS_linkat, {"linkat", On::two_paths_at}},
      {SYS_unlink, {"unlink", On::path}},
      {SYS_unlinkat, {"unlinkat", On::path_at}},
      {SYS_mkdir, {"mkdir", On::path}},
      {SYS_mkdirat, {"mkdirat", On::path_at}},
      {SYS_rmdir, {"rmdir", On::path}},
      {SYS_chmod, {"chmod", On::path}},
      {SYS_fchmodat, {"fchmodat", On::path_at}},
      {SYS_fchmod, {"fchmod", On::descriptor}},
      {SYS_chown, {"chown", On::path}},
      {SYS_lchown, {"lchown", On::path}},
      {SYS_fchownat, {"fchownat", On::path_at}},
      {SYS_fchown, {"fchown", On::descriptor}},
  };
  return kCalls;
}

std::string text_at(pid_t thread, std::uint64_t address) {
  std::ifstream memory(fmt::format("/proc/{}/mem", thread), std::ios::binary);
  memory.seekg(static_cast<std::streamoff>(address));
  std::string text;
  std::getline(memory, text, '\0');
  return text;
}

std::string link_of(pid_t thread, const std::string& name) {
  std::error_code error;
  return fs::read_symlink(fmt::format("/proc/{}/{}", thread, name), error).string();
}

std::string path_of(pid_t thread, std::uint64_t folder, std::uint64_t address) {
  const bool from_here = static_cast<int>(folder) == AT_FDCWD;
  const std::string base = link_of(thread, from_here ? "cwd" : fmt::format("fd/{}", static_cast<int>(folder)));
  return (fs::path(base) / text_at(thread, address)).lexically_normal().string();
}

/// The regular file or folder that a descriptor leads to; nothing for sockets, pipes and devices.
std::optional<std::string> file_of(pid_t thread, std::uint64_t descriptor) {
  const std::string path = link_of(thread, fmt::format("fd/{}", static_cast<int>(descriptor)));
  std::error_code error;
  if (!path.starts_with('/') || path.starts_with("/proc/")) return std::nullopt;
  const fs::file_status status = fs::status(path, error);
  const bool is_gone = status.type() == fs::file_type::not_found;  // "/tmp/a (deleted)"
  if (!is_gone && !fs::is_regular_file(status) && !fs::is_directory(status)) return std::nullopt;
  return path;
}

bool is_open_for_writing(pid_t thread, std::uint64_t descriptor) {
  std::ifstream info(fmt::format("/proc/{}/fdinfo/{}", thread, static_cast<int>(descriptor)));
  std::string word;
  while (info >> word && word != "flags:") {
  }
  int flags = 0;
  info >> std::oct >> flags;
  return (flags & O_ACCMODE) != O_RDONLY;
}

/// What the call says, where it is one that changes files.
std::optional<std::string> described(pid_t thread, std::uint64_t number, const std::array<std::uint64_t, 6>& a) {
  const auto found = changing_calls().find(number);
  if (found == changing_calls().end()) return std::nullopt;
  constexpr auto kHere = static_cast<std::uint64_t>(AT_FDCWD);
  const auto changes = [](std::uint64_t flags) { return (flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)) != 0; };
  std::optional<std::string> subject;
  switch (found->second.on) {
    case On::path:
      subject = path_of(thread, kHere, a[0]);
      break;
    case On::path_at:
      subject = path_of(thread, a[0], a[1]);
      break;
    case On::two_paths:
      subject = path_of(thread, kHere, a[0]) + " -> " + path_of(thread, kHere, a[1]);
      break;
    case On::two_paths_at:
      subject = path_of(thread, a[0], a[1]) + " -> " + path_of(thread, a[2], a[3]);
      break;
    case On::descriptor:
      if (number != SYS_close || is_open_for_writing(thread, a[0])) subject = file_of(thread, a[0]);
      break;
    case On::second_descriptor:
      subject = file_of(thread, a[2]);
      break;
    case On::opened:
      if (changes(a[1])) subject = path_of(thread, kHere, a[0]);
      break;
    case On::opened_at:
      if (changes(a[2])) subject = path_of(thread, a[0], a[1]);
      break;
  }
  if (!subject || subject->starts_with("/dev/") || subject->starts_with("/proc/")) return std::nullopt;
  return fmt::format("{} {}", found->second.name, *subject);
}

class Tracer {
 public:
  Tracer(pid_t child, const Interruption& interruption) : child_(child), interruption_(interruption) {}

  Traced run() {
    int status = 0;
    while (true) {
      const pid_t thread = ::waitpid(-1, &status, __WALL);
      if (thread < 0) return std::move(traced_);
      if (thread == child_ && (WIFEXITED(status) || WIFSIGNALED(status))) {
        traced_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return std::move(traced_);
      }
      if (!WIFSTOPPED(status)) continue;
      const int signal = WSTOPSIG(status);
      if (signal == (SIGTRAP | 0x80)) on_call(thread);
      // A thread's first stop, and the news that there is one, are no signals of its own.
      const bool is_first = signal == SIGSTOP && seen_.insert(thread).second;
      const bool is_ours = signal == (SIGTRAP | 0x80) || (status >> 16) != 0 || is_first;
      ::ptrace(PTRACE_SYSCALL, thread, nullptr, is_ours ? 0L : static_cast<long>(signal));
    }
  }

 private:
  void on_call(pid_t thread) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0) return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && failing_.erase(thread) > 0) {
      user_regs_struct registers{};
      ::ptrace(PTRACE_GETREGS, thread, nullptr, &registers);
      registers.rax = static_cast<unsigned long long>(-interruption_.error);
      ::ptrace(PTRACE_SETREGS, thread, nullptr, &registers);
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    const auto& a = info.entry.args;
    auto call = described(thread, info.entry.nr, {a[0], a[1], a[2], a[3], a[4], a[5]});
    if (!call) return;
    traced_.calls.push_back(std::move(*call));
    if (traced_.calls.size() != interruption_.at) return;
    traced_.interrupted = true;
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, thread, nullptr, &registers);
    registers.orig_rax = ~0ULL;  // no call: it is not carried out
    ::ptrace(PTRACE_SETREGS, thread, nullptr, &registers);
    if (interruption_.kind == Interruption::Kind::kill)
      ::kill(child_, SIGKILL);
    else
      failing_.insert(thread);
  }

  pid_t child_;
  Interruption interruption_;
  Traced traced_;
  std::set<pid_t> seen_;
  std::set<pid_t> failing_;
};

}  // namespace

Traced trace(const std::function<int()>& action, const Interruption& interruption) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    ::_exit(action());
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return {{}, false, -1};
  constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, kOptions);
  ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  return Tracer(child, interruption).run();
}

}  // namespace crash
