#include "controller/journal_file.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/catch.h"

using controller::each_line;
using controller::journal_files;
using controller::journal_path;
using controller::JournalFile;

namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = "/tmp/pm-journal-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

std::string slurp(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines;
  REQUIRE(each_line(path, [&](std::size_t number, std::string_view line) {
    CHECK(number == lines.size() + 1);
    lines.emplace_back(line);
  }));
  return lines;
}

/// No file grows beyond so many bytes while this lives: what a full disk does, only with another errno.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    old_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    (void)std::signal(SIGXFSZ, old_);
  }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
  void (*old_)(int) = SIG_DFL;
};

constexpr std::uint64_t kPlenty = 1'000'000;

}  // namespace

TEST_CASE("each HAProxy socket has a journal of its own, in two files") {
  const fs::path path = journal_path("/var/lib/pointsman", "/run/haproxy/admin.sock");
  CHECK(path == "/var/lib/pointsman/run-haproxy-admin.sock.journal");
  CHECK(journal_files(path) == std::vector<fs::path>{"/var/lib/pointsman/run-haproxy-admin.sock.journal.1", path});
}

TEST_CASE("lines are appended, also to a file that is there, which only its group may read") {
  const Folder folder;
  CHECK(JournalFile(folder / "j", kPlenty).append("one\n"));
  JournalFile file(folder / "j", kPlenty);
  CHECK(file.append("two\n"));
  CHECK(file.append("three\n"));
  CHECK(file.sync());
  CHECK(slurp(folder / "j") == "one\ntwo\nthree\n");
  struct stat status {};
  REQUIRE(stat((folder / "j").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777 & ~0640U) == 0);
}

TEST_CASE("a half line that a crash left stays for itself") {
  const Folder folder;
  write(folder / "j", "one\n{\"ha");
  JournalFile file(folder / "j", kPlenty);
  CHECK(file.append("two\n"));
  CHECK(file.append("three\n"));
  CHECK(slurp(folder / "j") == "one\n{\"ha\ntwo\nthree\n");
}

TEST_CASE("both files together never have more than was said, and what they have is the newest, without a gap") {
  const Folder folder;
  constexpr std::uint64_t kKeep = 1000;
  JournalFile file(folder / "j", kKeep);
  int written = 0;
  for (; written < 500; ++written) {
    REQUIRE(file.append(std::string(static_cast<std::size_t>(written % 90), '.') + std::to_string(written) + "\n"));
    std::uint64_t bytes = 0;
    std::vector<std::string> lines;
    for (const fs::path& path : journal_files(folder / "j")) {
      if (!fs::exists(path)) continue;
      bytes += fs::file_size(path);
      for (std::string& line : lines_of(path)) lines.push_back(std::move(line));
    }
    REQUIRE(bytes <= kKeep);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const int number = std::stoi(lines[i].substr(lines[i].find_first_not_of('.')));
      REQUIRE(number == written - static_cast<int>(lines.size() - 1 - i));
    }
  }
  CHECK(fs::file_size(folder / "j.1") > kKeep / 2 - 100);
  CHECK(file.longest() == kKeep / 2 - 1);
}

TEST_CASE("a disk that is full in the middle of a line leaves nothing of it, and is written again when it is not") {
  const Folder folder;
  JournalFile file(folder / "j", kPlenty);
  REQUIRE(file.append("one\n"));
  std::string detail;
  {
    const FileLimit limit(10);
    if (const auto done = file.append("two, which is too long\n"); !done) detail = done.error().detail;
  }
  CHECK(detail == "File too large");
  CHECK(slurp(folder / "j") == "one\n");
  CHECK(file.append("three\n"));
  CHECK(slurp(folder / "j") == "one\nthree\n");
}

TEST_CASE("a folder that is not there is an error with a remedy, and is written to once it is") {
  const Folder folder;
  JournalFile file(folder / "later/j", kPlenty);
  for (int i = 0; i < 2; ++i) {
    const auto done = file.append("one\n");
    REQUIRE_FALSE(done);
    CHECK(done.error().detail == "No such file or directory");
    CHECK(done.error().hint.find("must be able to write into " + (folder / "later").string()) != std::string::npos);
  }
  CHECK(file.sync());
  fs::create_directory(folder / "later");
  CHECK(file.append("two\n"));
  CHECK(slurp(folder / "later/j") == "two\n");
}

TEST_CASE("a file that somebody moved, removed or cut is begun anew or gone on with") {
  const Folder folder;
  JournalFile file(folder / "j", kPlenty);
  REQUIRE(file.append("one\n"));
  fs::rename(folder / "j", folder / "moved");
  REQUIRE(file.append("two\n"));
  CHECK(slurp(folder / "moved") == "one\n");
  CHECK(slurp(folder / "j") == "two\n");
  fs::remove(folder / "j");
  REQUIRE(file.append("three\n"));
  CHECK(slurp(folder / "j") == "three\n");
  fs::resize_file(folder / "j", 2);
  REQUIRE(file.append("four\n"));
  CHECK(slurp(folder / "j") == "th\nfour\n");
}

TEST_CASE("what is no plain file is not written to") {
  const Folder folder;
  fs::create_directory(folder / "folder");
  REQUIRE(mkfifo((folder / "fifo").c_str(), 0600) == 0);
  fs::create_symlink("elsewhere", folder / "link");
  CHECK_FALSE(JournalFile(folder / "folder", kPlenty).append("x\n"));
  CHECK_FALSE(JournalFile(folder / "fifo", kPlenty).append("x\n"));
  CHECK_FALSE(JournalFile(folder / "link", kPlenty).append("x\n"));
  CHECK_FALSE(fs::exists(folder / "elsewhere"));
}

TEST_CASE("the last decision is found behind outcomes, where it is whole") {
  const Folder folder;
  const std::string decision = R"({"v":1,"time":"x","kind":"decision","number":)";
  const std::string outcome = R"({"v":1,"time":"x","kind":"outcome"})";
  CHECK(controller::last_decision(folder / "j").empty());
  write(folder / "j", outcome + "\n");
  CHECK(controller::last_decision(folder / "j").empty());
  write(folder / "j", decision + "1\n" + decision + "2\n" + outcome + "\n" + outcome + "\n");
  CHECK(controller::last_decision(folder / "j") == decision + "2");
  write(folder / "j", decision + "1\n" + std::string(2'000'000, ' ') + "\n");
  CHECK(controller::last_decision(folder / "j").empty());
}

TEST_CASE("lines are read whole however long they are, the last without its newline too") {
  const Folder folder;
  const std::string half(100'000, 'h');
  write(folder / "j", half + half + "\n\nlast");
  CHECK(lines_of(folder / "j") == std::vector<std::string>{half + half, "", "last"});
  write(folder / "empty", "");
  CHECK(lines_of(folder / "empty").empty());
  CHECK(each_line(folder / "none", [](std::size_t, std::string_view) {}).error().detail == "no such file");
  CHECK_FALSE(each_line("/tmp", [](std::size_t, std::string_view) {}));
}
