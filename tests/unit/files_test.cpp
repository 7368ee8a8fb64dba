#include "haproxy/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.h"

namespace {

namespace fs = std::filesystem;
using haproxy::DiskFiles;
using haproxy::Result;

constexpr uid_t kNobody = 65534;
constexpr gid_t kSomeGroup = 64999;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = "/tmp/pm-files-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  fs::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  fs::path path_;
};

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string slurp(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

struct stat status_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status;
}

/// What `action` says when an ordinary user with one extra group does it. A child process, since there is no way back.
template <class Action>
std::string as_nobody(Action action) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const gid_t group = kSomeGroup;
    std::string said = "cannot become nobody";
    if (setgroups(1, &group) == 0 && setgid(kNobody) == 0 && setuid(kNobody) == 0) said = action();
    const ssize_t sent = ::write(ends[1], said.data(), said.size());
    _exit(sent == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string said;
  char piece[512];
  for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) > 0;) said.append(piece, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  return said;
}

std::string said(const Result<void>& result) {
  return result ? "done" : result.error().text();
}

/// Writes fail beyond so many bytes, as on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

bool is_root() {
  return geteuid() == 0;
}

}  // namespace

TEST_CASE("what was written is read back byte for byte") {
  const TemporaryFolder folder;
  DiskFiles files;
  const std::string bytes("one\0two\r\n\xff", 10);
  REQUIRE(files.replace(folder / "f.cfg", bytes));
  REQUIRE(files.read(folder / "f.cfg") == bytes);
  REQUIRE(files.replace(folder / "f.cfg", ""));
  REQUIRE(files.read(folder / "f.cfg") == "");
  REQUIRE(folder.names() == std::vector<std::string>{"f.cfg"});
}

TEST_CASE("a file that is not there is told from one that cannot be read") {
  const TemporaryFolder folder;
  DiskFiles files;
  REQUIRE(files.read(folder / "none").error().detail == "no such file");
  REQUIRE(files.read(folder.path()).error().detail == "not a regular file");
  write(folder / "file", "");
  REQUIRE(files.read(folder / "file/below").error().detail == "Not a directory");
}

TEST_CASE("reading a FIFO is refused without waiting for its writer") {
  const TemporaryFolder folder;
  REQUIRE(mkfifo((folder / "fifo").c_str(), 0600) == 0);
  REQUIRE(DiskFiles().read(folder / "fifo").error().detail == "not a regular file");
}

TEST_CASE("16 MB are read and one byte more is refused") {
  const TemporaryFolder folder;
  const std::string bytes(16 * 1024 * 1024, 'x');
  write(folder / "large", bytes);
  REQUIRE(DiskFiles().read(folder / "large").value().size() == bytes.size());
  write(folder / "larger", bytes + "x");
  REQUIRE(DiskFiles().read(folder / "larger").error().detail == "larger than 16 MB");
}

TEST_CASE("a new file has mode 0640 whatever the umask") {
  const TemporaryFolder folder;
  for (const mode_t mask : {mode_t{0}, mode_t{0022}, mode_t{0777}}) {
    const mode_t before = umask(mask);
    const Result<void> replaced = DiskFiles().replace(folder / "new", "x");
    umask(before);
    REQUIRE(replaced);
    REQUIRE((status_of(folder / "new").st_mode & 07777) == 0640);
    fs::remove(folder / "new");
  }
}

TEST_CASE("a replaced file keeps its mode") {
  const TemporaryFolder folder;
  write(folder / "f", "old");
  for (const mode_t mode : {mode_t{0600}, mode_t{0664}, mode_t{0444}}) {
    REQUIRE(chmod((folder / "f").c_str(), mode) == 0);
    REQUIRE(DiskFiles().replace(folder / "f", "new"));
    REQUIRE((status_of(folder / "f").st_mode & 07777) == mode);
  }
}

TEST_CASE("root keeps the owner and the group of a replaced file") {
  if (!is_root()) return;
  const TemporaryFolder folder;
  write(folder / "f", "old");
  REQUIRE(chown((folder / "f").c_str(), kNobody, kSomeGroup) == 0);
  REQUIRE(DiskFiles().replace(folder / "f", "new"));
  REQUIRE(slurp(folder / "f") == "new");
  REQUIRE(status_of(folder / "f").st_uid == kNobody);
  REQUIRE(status_of(folder / "f").st_gid == kSomeGroup);
}

TEST_CASE("an ordinary user with group write on the folder replaces root's file and keeps its group and mode") {
  if (!is_root()) return;
  const TemporaryFolder folder;
  write(folder / "f", "old");
  REQUIRE(chown((folder / "f").c_str(), 0, kSomeGroup) == 0);
  REQUIRE(chmod((folder / "f").c_str(), 0640) == 0);
  REQUIRE(chown(folder.path().c_str(), 0, kSomeGroup) == 0);
  REQUIRE(chmod(folder.path().c_str(), 0770) == 0);
  REQUIRE(as_nobody([&] { return said(DiskFiles().replace(folder / "f", "new")); }) == "done");
  REQUIRE(slurp(folder / "f") == "new");
  REQUIRE(status_of(folder / "f").st_gid == kSomeGroup);
  REQUIRE((status_of(folder / "f").st_mode & 07777) == 0640);
}

TEST_CASE("a missing right is an error that says what right is needed") {
  if (!is_root()) return;
  const TemporaryFolder folder;
  write(folder / "f", "old");
  REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
  const std::string expected = fmt::format(
      "cannot replace {0}/f: create a temporary in its folder: Permission denied "
      "(the folder {0} needs group write for the user that pointsman runs as (uid 65534, group haproxy): "
      "chgrp haproxy {0}; chmod g+rwx {0})",
      folder.path().string());
  REQUIRE(as_nobody([&] { return said(DiskFiles().replace(folder / "f", "new")); }) == expected);
  REQUIRE(slurp(folder / "f") == "old");
  REQUIRE(folder.names() == std::vector<std::string>{"f"});

  REQUIRE(chmod(folder.path().c_str(), 0700) == 0);
  REQUIRE_THAT(as_nobody([&] { return said(DiskFiles().replace(folder / "f", "new")); }),
               Catch::Matchers::Contains("open its folder: Permission denied (the folder " + folder.path().string()));
}

TEST_CASE("a folder that is not there is an error that says so") {
  const TemporaryFolder folder;
  const Result<void> replaced = DiskFiles().replace(folder / "none/f", "new");
  REQUIRE(replaced.error().detail == "open its folder: No such file or directory");
  REQUIRE(replaced.error().hint == "create the folder " + (folder / "none").string());
}

TEST_CASE("a full disk leaves the old file as it was and no temporary") {
  const TemporaryFolder folder;
  write(folder / "f", "old");
  Result<void> replaced;
  {
    const FullDisk full(1000);
    replaced = DiskFiles().replace(folder / "f", std::string(5000, 'x'));
  }
  REQUIRE(replaced.error().detail == "write: File too large");
  REQUIRE(slurp(folder / "f") == "old");
  REQUIRE(folder.names() == std::vector<std::string>{"f"});
}

TEST_CASE("what is no regular file is not replaced, and no temporary is left") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "sub");
  REQUIRE(DiskFiles().replace(folder / "sub", "x").error().detail == "not a regular file");
  REQUIRE_FALSE(DiskFiles().replace(folder / "sub/", "x"));
  REQUIRE(DiskFiles().replace("", "x").error().detail == "not the name of a file");
  REQUIRE(folder.names() == std::vector<std::string>{"sub"});
}

TEST_CASE("another's temporary is never taken, even with the same process id in another container") {
  const TemporaryFolder folder;
  constexpr int kMany = 3000;  // more than this process has made
  const auto name = [](int i) { return fmt::format(".pointsman.{}.{}.new", getpid(), i); };
  write(folder / name(0), "another's");
  const int held = open((folder / name(0)).c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(flock(held, LOCK_EX | LOCK_NB) == 0);
  for (int i = 1; i < kMany; ++i) fs::create_hard_link(folder / name(0), folder / name(i));
  const Result<void> replaced = DiskFiles().replace(folder / "f", "mine");
  close(held);
  REQUIRE(replaced.error().detail == "create a temporary in its folder: File exists");
  REQUIRE(folder.names().size() == kMany);
  for (int i = 0; i < kMany; ++i) REQUIRE(slurp(folder / name(i)) == "another's");
}

TEST_CASE("what writers that were killed left behind is removed by the next one, and nothing else") {
  const TemporaryFolder folder;
  for (const char* name :
       {".pointsman.1.0.new", ".pointsman.4711.12.new", ".pointsman.keep", "pointsman.1.0.new", ".other.new"}) {
    write(folder / name, "left");
  }
  fs::create_symlink("f", folder / ".pointsman.2.0.new");
  REQUIRE(DiskFiles().replace(folder / "f", "new"));
  REQUIRE(folder.names() ==
          std::vector<std::string>{".other.new", ".pointsman.2.0.new", ".pointsman.keep", "f", "pointsman.1.0.new"});
  REQUIRE(slurp(folder / "f") == "new");
}

TEST_CASE("a symbolic link stays and what it leads to is replaced") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "elsewhere");
  write(folder / "elsewhere/real", "old");
  fs::create_symlink("elsewhere/real", folder / "link");
  REQUIRE(DiskFiles().replace(folder / "link", "new"));
  REQUIRE(fs::is_symlink(folder / "link"));
  REQUIRE(slurp(folder / "elsewhere/real") == "new");
  fs::create_symlink("nowhere", folder / "dangling");
  REQUIRE_THAT(said(DiskFiles().replace(folder / "dangling", "new")), Catch::Matchers::Contains("leads nowhere"));
}

TEST_CASE("a name without a folder means the working directory") {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  const Result<void> replaced = DiskFiles().replace("bare", "x");
  fs::current_path(before);
  REQUIRE(replaced);
  REQUIRE(slurp(folder / "bare") == "x");
}

TEST_CASE("two writers do not collide, and a reader never sees a part") {
  const TemporaryFolder folder;
  const std::string first(200'000, 'a');
  const std::string second(300'000, 'b');
  REQUIRE(DiskFiles().replace(folder / "f.cfg", first));
  std::atomic<int> failures{0};
  std::atomic<int> writing{2};
  const auto writer = [&](const std::string& bytes) {
    for (int i = 0; i < 100; ++i) {
      if (!DiskFiles().replace(folder / "f.cfg", bytes)) ++failures;
    }
    --writing;
  };
  std::thread one(writer, first);
  std::thread two(writer, second);
  int parts = 0;
  int odd_names = 0;
  while (writing > 0) {
    const Result<std::string> seen = DiskFiles().read(folder / "f.cfg");
    if (!seen || (*seen != first && *seen != second)) ++parts;
    for (const std::string& name : folder.names()) {
      if (name != "f.cfg" && (!name.starts_with('.') || name.ends_with(".cfg"))) ++odd_names;
    }
  }
  one.join();
  two.join();
  REQUIRE(failures == 0);
  REQUIRE(parts == 0);
  REQUIRE(odd_names == 0);
  REQUIRE(folder.names() == std::vector<std::string>{"f.cfg"});
}

TEST_CASE("whenever the writer is killed, the file is whole") {
  const TemporaryFolder folder;
  const std::string first(400'000, 'a');
  const std::string second(400'000, 'b');
  write(folder / "f.cfg", first);
  for (int round = 0; round < 15; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      for (int i = 0;; ++i) {
        if (!DiskFiles().replace(folder / "f.cfg", i % 2 == 0 ? second : first)) _exit(1);
      }
    }
    // Killed at another point of its work each time.
    for (int look = 0; look < 3 + round; ++look) {
      const std::string seen = slurp(folder / "f.cfg");
      CHECK((seen == first || seen == second));
    }
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    const std::string left = slurp(folder / "f.cfg");
    REQUIRE((left == first || left == second));
    for (const std::string& name : folder.names()) {
      if (name == "f.cfg") continue;
      CHECK(name.starts_with('.'));
      CHECK_FALSE(name.ends_with(".cfg"));
      fs::remove(folder / name);
    }
  }
}
