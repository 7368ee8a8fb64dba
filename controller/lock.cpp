#include "controller/lock.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <thread>
#include <utility>

#include "haproxy/clock.h"

namespace controller {

namespace {

constexpr const char* kFolder = "/run/pointsman";
constexpr std::chrono::milliseconds kPause{20};

std::string file_name(const std::filesystem::path& socket) {
  std::string name = socket.native();
  name.erase(0, name.find_first_not_of('/'));
  std::replace(name.begin(), name.end(), '/', '-');
  return name + ".lock";
}

std::string reason(int error) {
  return std::strerror(error);
}

int open_file(const std::filesystem::path& path) {
  return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
}

/// Where the lock is, open. The second folder is for those who may not write in the first; a lock file that is there and may
/// not be opened is an Error, for another place would be another lock.
haproxy::Result<std::pair<int, std::filesystem::path>> open_lock(const std::filesystem::path& socket,
                                                                 const std::filesystem::path& fallback_folder) {
  std::filesystem::path path = std::filesystem::path(kFolder) / file_name(socket);
  ::mkdir(kFolder, 0755);
  int fd = open_file(path);
  int error = errno;
  struct stat found {};
  if (fd < 0 && ::lstat(path.c_str(), &found) != 0 && (errno == ENOENT || errno == EACCES)) {
    path = fallback_folder / file_name(socket);
    ::mkdir(fallback_folder.c_str(), 0750);
    fd = open_file(path);
    error = errno;
  }
  if (fd >= 0) return std::pair(fd, path);
  return haproxy::fail("open", path.string(), reason(error), "run it as the user of the daemon, or as root");
}

/// Is the open file still the one that goes by this name?
bool is_still(int fd, const std::filesystem::path& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino;
}

Lock::Refused holder(int fd) {
  char buffer[64];
  const ssize_t length = ::pread(fd, buffer, sizeof buffer, 0);
  std::string_view text(buffer, length > 0 ? static_cast<std::size_t>(length) : 0);
  Lock::Refused refused{Held::once, 0};
  if (text.starts_with("run ")) {
    refused.by = Held::run;
    text.remove_prefix(4);
  } else if (text.starts_with("once ")) {
    text.remove_prefix(5);
  } else {
    return refused;
  }
  std::from_chars(text.data(), text.data() + text.size(), refused.pid);
  return refused;
}

bool write_holder(int fd, Held as) {
  const std::string text = fmt::format("{} {}\n", as == Held::run ? "run" : "once", ::getpid());
  return ::ftruncate(fd, 0) == 0 && ::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

}  // namespace

haproxy::Result<tl::expected<Lock, Lock::Refused>> Lock::take(const std::filesystem::path& socket,
                                                              const std::filesystem::path& fallback_folder, Held as,
                                                              std::chrono::milliseconds within) {
  const haproxy::Instant deadline = haproxy::BootClock::now() + within;
  bool run_seen = false;
  while (true) {
    const auto opened = open_lock(socket, fallback_folder);
    if (!opened) return tl::unexpected(opened.error());
    const auto& [fd, path] = *opened;
    Lock lock(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      if (!is_still(fd, path)) continue;
      if (!write_holder(fd, as)) return haproxy::fail("write", path.string(), reason(errno));
      return tl::expected<Lock, Refused>(std::move(lock));
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return haproxy::fail("lock", path.string(), reason(errno));
    const Refused refused = holder(fd);
    // The words of a `run` that was killed stay until the next holder has written its own: a look once more tells them apart.
    if (refused.by == Held::run && std::exchange(run_seen, true)) return tl::expected<Lock, Refused>(tl::unexpected(refused));
    if (refused.by != Held::run) {
      run_seen = false;
      if (haproxy::BootClock::now() >= deadline) return tl::expected<Lock, Refused>(tl::unexpected(refused));
    }
    std::this_thread::sleep_for(kPause);
  }
}

Lock::Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Lock& Lock::operator=(Lock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Lock::~Lock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace controller
