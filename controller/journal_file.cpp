#include "controller/journal_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "controller/entry.h"
#include "controller/state_file.h"

namespace controller {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kMode = 0640;

std::string message(int error) {
  return std::generic_category().message(error);
}

tl::unexpected<haproxy::Error> failed(const fs::path& path, int error) {
  std::string hint;
  if (error == EACCES || error == EPERM || error == EROFS || error == ENOENT)
    hint = fmt::format("the user that pointsman runs as (uid {}) must be able to write into {}", ::geteuid(),
                       path.parent_path().string());
  if (error == ENOSPC || error == EDQUOT) hint = "make room, or lower journal.keep";
  return haproxy::fail("write the journal", path.string(), message(error), std::move(hint));
}

fs::path older(const fs::path& path) {
  return path.string() + ".1";
}

/// Says how much of it was written, and errno where that is not all.
std::pair<std::size_t, int> write_all(int fd, std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return {done, errno};
    done += static_cast<std::size_t>(written);
  }
  return {done, 0};
}

}  // namespace

fs::path journal_path(const fs::path& folder, const fs::path& socket) {
  return state_path(folder, socket).replace_extension(".journal");
}

std::vector<fs::path> journal_files(const fs::path& path) {
  return {older(path), path};
}

JournalFile::JournalFile(fs::path path, std::uint64_t keep) : path_(std::move(path)), keep_(keep) {}

JournalFile::~JournalFile() {
  close();
}

void JournalFile::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

haproxy::Result<void> JournalFile::open() {
  // O_NONBLOCK: a FIFO must not hang us before we have seen what it is.
  fd_ = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kMode);
  if (fd_ < 0) return failed(path_, errno);
  struct stat status {};
  if (::fstat(fd_, &status) != 0) return failed(path_, errno);
  if (!S_ISREG(status.st_mode)) return haproxy::fail("write the journal", path_.string(), "not a regular file");
  size_ = static_cast<std::uint64_t>(status.st_size);
  char last = '\n';
  if (size_ > 0 && ::pread(fd_, &last, 1, status.st_size - 1) != 1) return failed(path_, errno);
  torn_ = last != '\n';
  return {};
}

bool JournalFile::is_elsewhere() const {
  struct stat mine {};
  struct stat there {};
  return ::fstat(fd_, &mine) != 0 || ::stat(path_.c_str(), &there) != 0 || mine.st_ino != there.st_ino ||
         mine.st_dev != there.st_dev || static_cast<std::uint64_t>(mine.st_size) != size_;
}

haproxy::Result<void> JournalFile::make_room(std::size_t bytes) {
  if (size_ == 0 || size_ + bytes <= keep_ / 2) return {};
  if (::rename(path_.c_str(), older(path_).c_str()) != 0) return failed(path_, errno);
  close();
  return open();
}

std::size_t JournalFile::longest() const {
  return static_cast<std::size_t>(std::min<std::uint64_t>(keep_ / 2, kLongestEntry)) - 1;
}

haproxy::Result<void> JournalFile::append(std::string_view line) {
  if (fd_ >= 0 && is_elsewhere()) close();
  if (fd_ < 0) {
    if (auto opened = open(); !opened) {
      close();
      return opened;
    }
  }
  if (auto room = make_room(line.size() + 1); !room) {
    close();
    return room;
  }
  const std::string bytes = torn_ ? "\n" + std::string(line) : std::string(line);
  const auto [done, error] = write_all(fd_, bytes);
  if (error == 0) {
    size_ += done;
    torn_ = false;
    return {};
  }
  // Where what was written of it cannot be taken back, the next open sees a torn line.
  if (done > 0 && ::ftruncate(fd_, static_cast<off_t>(size_)) != 0) close();
  return failed(path_, error);
}

haproxy::Result<void> JournalFile::sync() {
  if (fd_ < 0 || ::fdatasync(fd_) == 0) return {};
  return failed(path_, errno);
}

std::string last_decision(const fs::path& file) {
  constexpr std::uint64_t kTail = 1'000'000;
  std::error_code error;
  const std::uint64_t size = fs::is_regular_file(file, error) ? fs::file_size(file, error) : 0;
  if (error || size == 0) return {};
  const std::uint64_t from = size - std::min(size, kTail);
  std::string tail(static_cast<std::size_t>(size - from), '\0');
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(from));
  in.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  for (std::string_view rest(tail.data(), static_cast<std::size_t>(in.gcount())); rest.ends_with('\n');) {
    rest.remove_suffix(1);
    const std::size_t before = rest.rfind('\n');
    const std::string_view line = before == std::string_view::npos ? rest : rest.substr(before + 1);
    if (is_decision(line)) return std::string(line);
    rest = rest.substr(0, before == std::string_view::npos ? 0 : before + 1);
  }
  return {};
}

haproxy::Result<void> each_line(const fs::path& file, const std::function<void(std::size_t, std::string_view)>& take) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) return haproxy::fail("read", file.string(), "no such file");
  if (fs::is_directory(status)) return haproxy::fail("read", file.string(), "it is a folder");
  std::ifstream in(file, std::ios::binary);
  if (!in) return haproxy::fail("read", file.string(), message(errno));
  std::vector<char> piece(std::size_t{64} * 1024);
  std::string line;
  std::size_t number = 0;
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) {
    std::string_view rest(piece.data(), static_cast<std::size_t>(in.gcount()));
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::string_view part = rest.substr(0, end);
      line.append(part.substr(0, kLongestEntry + 1 - std::min(line.size(), kLongestEntry + 1)));
      if (end == std::string_view::npos) break;
      take(++number, line);
      line.clear();
      rest.remove_prefix(end + 1);
    }
  }
  if (in.bad()) return haproxy::fail("read", file.string(), "the disk does not give it");
  if (!line.empty()) take(++number, line);
  return {};
}

}  // namespace controller
