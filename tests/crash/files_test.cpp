#include "haproxy/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/crash/traced.h"

namespace {

namespace fs = std::filesystem;
using crash::Interruption;
using crash::Traced;
using Kind = Interruption::Kind;
using Names = std::vector<std::string>;

constexpr mode_t kMode = 0664;
constexpr uid_t kOwner = 65534;
constexpr gid_t kGroup = 64999;
const std::string kOld = "old\n";
const std::string kNew(100'000, 'n');

/// A folder with, or without, the old file in it.
class World {
 public:
  explicit World(bool with_old) {
    std::string name = "/tmp/pm-crash-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    if (!with_old) return;
    std::ofstream(file()) << kOld;
    REQUIRE(::chmod(file().c_str(), kMode) == 0);
    is_root_ = ::chown(file().c_str(), kOwner, kGroup) == 0;
  }
  ~World() { fs::remove_all(folder_); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] fs::path file() const { return folder_ / "f.cfg"; }
  [[nodiscard]] Traced replace(const Interruption& interruption) const {
    return crash::trace([this] { return haproxy::DiskFiles().replace(file(), kNew) ? 0 : 1; }, interruption);
  }
  [[nodiscard]] Names names() const {
    Names names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename().string());
    return names;
  }
  [[nodiscard]] std::string bytes() const {
    std::ostringstream text;
    text << std::ifstream(file(), std::ios::binary).rdbuf();
    return text.str();
  }
  [[nodiscard]] mode_t mode() const { return status().st_mode & 07777; }
  [[nodiscard]] bool has_its_owner() const { return !is_root_ || (status().st_uid == kOwner && status().st_gid == kGroup); }
  /// The calls without what differs from run to run.
  [[nodiscard]] Names without_names(Names calls) const {
    for (std::string& call : calls) {
      for (std::size_t at; (at = call.find(folder_.string() + "/")) != std::string::npos;)
        call.erase(at, folder_.string().size() + 1);
      if (const auto at = call.find(folder_.string()); at != std::string::npos)
        call.replace(at, folder_.string().size(), "FOLDER");
      if (const auto at = call.find(".pointsman."); at != std::string::npos) {
        call.replace(at, std::min(call.find(".new", at), call.size()) + 4 - at, "TEMPORARY");
      }
    }
    return calls;
  }

 private:
  [[nodiscard]] struct stat status() const {
    struct stat status {};
    REQUIRE(::stat(file().c_str(), &status) == 0);
    return status;
  }
  fs::path folder_;
  bool is_root_ = false;
};

/// Its whole work, interrupted at every call in turn.
template <class Check>
std::size_t interrupt_each(bool with_old, Kind kind, int error, Check check) {
  for (std::size_t at = 1;; ++at) {
    const World world(with_old);
    const Traced traced = world.replace({kind, at, error});
    if (!traced.interrupted) {
      CHECK(traced.exit_code == 0);
      return traced.calls.size();
    }
    CAPTURE(traced.calls);
    check(world, traced);
    REQUIRE(world.replace({}).exit_code == 0);
    CHECK(world.bytes() == kNew);
    CHECK(world.mode() == (with_old ? kMode : mode_t{0640}));
    CHECK(world.has_its_owner());
    CHECK(world.names() == Names{"f.cfg"});
  }
}

}  // namespace

TEST_CASE("the new bytes are on the disk before they have the name, and the name before it is done") {
  const World world(true);
  const Traced traced = world.replace({});
  REQUIRE(traced.exit_code == 0);
  CHECK(world.without_names(traced.calls) == Names{"openat TEMPORARY", "write TEMPORARY", "fchown TEMPORARY",
                                                   "fchmod TEMPORARY", "fsync TEMPORARY", "renameat TEMPORARY -> f.cfg",
                                                   "fsync FOLDER", "close f.cfg"});
}

TEST_CASE("killed before any call, a replacement leaves the old file or the new one, and the next one clears up") {
  std::size_t old = 0;
  const std::size_t calls = interrupt_each(true, Kind::kill, 0, [&](const World& world, const Traced& traced) {
    CHECK(traced.exit_code == 128 + SIGKILL);
    CHECK((world.bytes() == kOld || world.bytes() == kNew));
    CHECK(world.mode() == kMode);
    CHECK(world.has_its_owner());
    old += world.bytes() == kOld ? 1U : 0U;
  });
  CHECK(old == 6);  // up to the rename
  CHECK(calls == 8);
}

TEST_CASE("killed before any call, a first writing leaves no file or the whole one, and the next one clears up") {
  interrupt_each(false, Kind::kill, 0, [](const World& world, const Traced&) {
    if (!fs::exists(world.file())) return;
    CHECK(world.bytes() == kNew);
    CHECK(world.mode() == 0640);
  });
}

TEST_CASE("whichever call fails, the old file stays and no temporary, or the new one is in place") {
  for (const int error : {ENOSPC, EIO, EDQUOT}) {
    interrupt_each(true, Kind::fail, error, [](const World& world, const Traced& traced) {
      CHECK((world.bytes() == kOld || world.bytes() == kNew));
      CHECK(world.mode() == kMode);
      CHECK(world.has_its_owner());
      CHECK(world.names() == Names{"f.cfg"});
      if (traced.exit_code == 0) CHECK(world.bytes() == kNew);
    });
  }
}

TEST_CASE("a first writing that fails leaves nothing, or the whole file") {
  interrupt_each(false, Kind::fail, ENOSPC, [](const World& world, const Traced& traced) {
    const bool there = fs::exists(world.file());
    CHECK(world.names() == (there ? Names{"f.cfg"} : Names{}));
    if (there) CHECK(world.bytes() == kNew);
    if (traced.exit_code == 0) CHECK(there);
  });
}
