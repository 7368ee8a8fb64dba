#include "haproxy/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "haproxy/descriptor.h"
#include "haproxy/leftover.h"

namespace haproxy {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestFile = std::size_t{16} * 1024 * 1024;
constexpr mode_t kModeOfNewFile = 0640;
constexpr int kNamesToTry = 100;
constexpr std::string_view kTemporaryStart = ".pointsman.";
constexpr std::string_view kTemporaryEnd = ".new";

/// A temporary beside the file that it is to become, claimed; gone unless it was renamed.
class Temporary {
 public:
  explicit Temporary(int folder) : folder_(folder) {}
  ~Temporary() {
    if (!name_.empty()) ::unlinkat(folder_, name_.c_str(), 0);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  [[nodiscard]] Descriptor create() {
    static std::atomic<unsigned> count{0};
    for (int i = 0; i < kNamesToTry; ++i) {
      std::string name = fmt::format("{}{}.{}{}", kTemporaryStart, ::getpid(), count++, kTemporaryEnd);
      Descriptor file(::openat(folder_, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (!file.is_open() && errno != EEXIST) return file;
      if (!file.is_open() || !claim(file)) continue;
      name_ = std::move(name);
      return file;
    }
    errno = EEXIST;
    return Descriptor();
  }
  [[nodiscard]] bool rename_to(const std::string& name) {
    if (::renameat(folder_, name_.c_str(), folder_, name.c_str()) != 0) return false;
    name_.clear();
    return true;
  }

 private:
  int folder_;
  std::string name_;
};

/// Removes the temporaries of writers that were killed.
void sweep(int folder) {
  DIR* const entries = ::fdopendir(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (entries == nullptr) return;
  while (const dirent* const entry = ::readdir(entries)) {
    const std::string_view name(entry->d_name);
    if (!name.starts_with(kTemporaryStart) || !name.ends_with(kTemporaryEnd)) continue;
    const Descriptor file(::openat(folder, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (is_leftover(file)) ::unlinkat(folder, entry->d_name, 0);
  }
  ::closedir(entries);
}

std::string message(int error) {
  return std::generic_category().message(error);
}

std::string hint_for(int error, const fs::path& folder) {
  switch (error) {
    case EACCES:
    case EPERM:
      return fmt::format(
          "the folder {0} needs group write for the user that pointsman runs as (uid {1}, group haproxy): "
          "chgrp haproxy {0}; chmod g+rwx {0}",
          folder.string(), ::geteuid());
    case EROFS:
      return fmt::format("under systemd, add ReadWritePaths={} to the unit of pointsman", folder.string());
    case ENOENT:
    case ENOTDIR:
      return fmt::format("create the folder {}", folder.string());
    default:
      return {};
  }
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool sync(int fd) {
  while (::fsync(fd) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

/// Only root gives files away: another user keeps the group where it may, and becomes the owner.
bool take_over(int fd, const struct stat& old) {
  struct stat now {};
  if (::fstat(fd, &now) != 0) return false;
  if ((now.st_uid != old.st_uid || now.st_gid != old.st_gid) && ::fchown(fd, old.st_uid, old.st_gid) != 0) {
    if (errno != EPERM) return false;
    if (now.st_gid != old.st_gid && ::fchown(fd, static_cast<uid_t>(-1), old.st_gid) != 0 && errno != EPERM) return false;
  }
  return ::fchmod(fd, old.st_mode & 07777) == 0;
}

/// Where a symbolic link leads, so that the link itself stays.
Result<fs::path> follow(const fs::path& path) {
  std::error_code error;
  if (!fs::is_symlink(fs::symlink_status(path, error))) return path;
  fs::path target = fs::canonical(path, error);
  if (error) return fail("replace", path.string(), "a symbolic link that leads nowhere: " + error.message());
  return target;
}

Result<void> replace_in(int folder, const fs::path& path, std::string_view bytes) {
  const auto failed = [&](const char* step, int error) {
    return fail("replace", path.string(), fmt::format("{}: {}", step, message(error)), hint_for(error, path.parent_path()));
  };
  const std::string name = path.filename().string();
  struct stat old {};
  const bool is_there = ::fstatat(folder, name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (!is_there && errno != ENOENT) return failed("look at the old file", errno);
  if (is_there && !S_ISREG(old.st_mode)) return fail("replace", path.string(), "not a regular file");

  sweep(folder);
  Temporary temporary(folder);
  const Descriptor file = temporary.create();
  if (!file.is_open()) return failed("create a temporary in its folder", errno);
  if (!write_all(file.get(), bytes)) return failed("write", errno);
  const bool has_mode = is_there ? take_over(file.get(), old) : ::fchmod(file.get(), kModeOfNewFile) == 0;
  if (!has_mode) return failed("set the mode and the owner", errno);
  if (!sync(file.get())) return failed("fsync", errno);
  if (!temporary.rename_to(name)) return failed("rename", errno);
  if (!sync(folder) && errno != EINVAL) return failed("fsync of the folder, after the new file was put in place", errno);
  return {};
}

Result<std::string> read_all(int fd, const fs::path& path) {
  std::string text;
  std::array<char, std::size_t{64} * 1024> piece;
  while (true) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail("read", path.string(), message(errno));
    if (got == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
    if (text.size() > kLargestFile) return fail("read", path.string(), "larger than 16 MB");
  }
}

}  // namespace

Result<std::string> DiskFiles::read(const fs::path& path) {
  try {
    // O_NONBLOCK: a FIFO must not hang us before we have seen what it is.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.is_open()) {
      const int error = errno;
      if (error == ENOENT) return fail("read", path.string(), "no such file");
      const char* hint = error == EACCES ? "the user that pointsman runs as needs the right to read it" : "";
      return fail("read", path.string(), message(error), hint);
    }
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return fail("read", path.string(), message(errno));
    if (!S_ISREG(status.st_mode)) return fail("read", path.string(), "not a regular file");
    return read_all(file.get(), path);
  } catch (const std::exception& error) {
    return fail("read", path.string(), error.what());
  }
}

Result<void> DiskFiles::replace(const fs::path& path, std::string_view bytes) {
  try {
    if (path.filename().empty()) return fail("replace", path.string(), "not the name of a file");
    Result<fs::path> target = follow(path);
    if (!target) return tl::unexpected(std::move(target.error()));
    if (!target->has_parent_path()) *target = fs::path(".") / *target;
    const fs::path parent = target->parent_path();
    const Descriptor folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.is_open()) {
      const int error = errno;
      return fail("replace", path.string(), fmt::format("open its folder: {}", message(error)), hint_for(error, parent));
    }
    return replace_in(folder.get(), *target, bytes);
  } catch (const std::exception& error) {
    return fail("replace", path.string(), error.what());
  }
}

}  // namespace haproxy
