#include "controller/lock.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>

#include "tests/catch.h"

using controller::Held;
using controller::Lock;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

/// A socket path that no other run uses, the file of its lock, and a folder to fall back to.
struct Place {
  Place() {
    char made[] = "/tmp/pointsman-lock-XXXXXX";
    folder = ::mkdtemp(made);
    socket = folder + "/admin.sock";
    std::string name = socket.substr(1);
    for (char& c : name)
      if (c == '/') c = '-';
    for (const std::string& candidate : {"/run/pointsman/" + name + ".lock", folder + "/" + name + ".lock"})
      files.push_back(candidate);
  }
  ~Place() {
    for (const std::string& file : files) ::unlink(file.c_str());
    ::rmdir(folder.c_str());
    ::rmdir("/run/pointsman");  // only where it is empty
  }
  [[nodiscard]] std::string file() const { return ::access(files[0].c_str(), F_OK) == 0 ? files[0] : files[1]; }
  [[nodiscard]] auto take(Held as, milliseconds within) const { return Lock::take(socket, folder, as, within); }

  std::string folder, socket;
  std::vector<std::string> files;
};

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// A process that holds the lock from before this returns until it is killed.
pid_t hold_in_child(const Place& place, Held as) {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = place.take(as, milliseconds(0));
    const char said = lock && *lock ? 'y' : 'n';
    if (::write(ready[1], &said, 1) == 1) ::pause();
    ::_exit(0);
  }
  char said = 0;
  REQUIRE(::read(ready[0], &said, 1) == 1);
  REQUIRE(said == 'y');
  ::close(ready[0]);
  ::close(ready[1]);
  return child;
}

void end(pid_t child) {
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace

TEST_CASE("a lock says who holds it, and is free again when it is gone; the file stays") {
  const Place place;
  {
    const auto lock = place.take(Held::run, milliseconds(0));
    REQUIRE(lock);
    REQUIRE(*lock);
    CHECK(slurp(place.file()) == "run " + std::to_string(::getpid()) + "\n");
    struct stat file {};
    REQUIRE(::stat(place.file().c_str(), &file) == 0);
    CHECK((file.st_mode & 07777U & ~0640U) == 0);
  }
  CHECK(::access(place.file().c_str(), F_OK) == 0);
  const auto again = place.take(Held::once, milliseconds(0));
  REQUIRE(again);
  REQUIRE(*again);
  CHECK(slurp(place.file()) == "once " + std::to_string(::getpid()) + "\n");
}

TEST_CASE("a run refuses at once, with its pid") {
  const Place place;
  const pid_t child = hold_in_child(place, Held::run);
  const auto before = steady_clock::now();
  const auto lock = place.take(Held::once, std::chrono::seconds(30));
  CHECK(steady_clock::now() - before < std::chrono::seconds(2));
  REQUIRE(lock);
  REQUIRE_FALSE(*lock);
  CHECK(lock->error().by == Held::run);
  CHECK(lock->error().pid == child);
  end(child);
}

TEST_CASE("a once is waited for, and refuses when the time is over") {
  const Place place;
  const pid_t child = hold_in_child(place, Held::once);
  const auto before = steady_clock::now();
  const auto lock = place.take(Held::once, milliseconds(200));
  CHECK(steady_clock::now() - before >= milliseconds(200));
  REQUIRE(lock);
  REQUIRE_FALSE(*lock);
  CHECK(lock->error().by == Held::once);
  CHECK(lock->error().pid == child);

  // It ends while the next one waits.
  const pid_t killer = ::fork();
  if (killer == 0) {
    ::usleep(100'000);
    ::kill(child, SIGKILL);
    ::_exit(0);
  }
  const auto waited = place.take(Held::run, std::chrono::seconds(30));
  REQUIRE(waited);
  CHECK(waited->has_value());
  ::waitpid(killer, nullptr, 0);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("a holder that was killed leaves nothing behind that refuses") {
  const Place place;
  end(hold_in_child(place, Held::run));
  CHECK(slurp(place.file()).starts_with("run "));
  const auto lock = place.take(Held::once, milliseconds(0));
  REQUIRE(lock);
  CHECK(lock->has_value());
}

TEST_CASE("a lock can be moved, and is held once") {
  const Place place;
  auto lock = place.take(Held::run, milliseconds(0));
  REQUIRE(lock);
  REQUIRE(*lock);
  Lock moved = std::move(**lock);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto other = place.take(Held::once, milliseconds(0));
    ::_exit(other && !*other ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("a symbolic link in the lock's place is not followed") {
  const Place place;
  ::mkdir("/run/pointsman", 0755);
  const std::string victim = place.folder + "/victim";
  std::ofstream(victim) << "untouched";
  const bool first = ::symlink(victim.c_str(), place.files[0].c_str()) == 0;
  if (!first) REQUIRE(::symlink(victim.c_str(), place.files[1].c_str()) == 0);
  const auto lock = place.take(Held::run, milliseconds(0));
  REQUIRE_FALSE(lock);
  CHECK(lock.error().operation == "open");
  CHECK(lock.error().subject == place.files[first ? 0 : 1]);
  CHECK(slurp(victim) == "untouched");
  ::unlink(victim.c_str());
}
