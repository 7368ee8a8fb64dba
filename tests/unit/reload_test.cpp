#include "haproxy/reload.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "haproxy/started.h"
#include "tests/catch.h"

namespace {

namespace fs = std::filesystem;
using haproxy::check_words;
using haproxy::HaproxyReload;
using haproxy::ReloadOptions;
using haproxy::Result;
using Words = std::vector<std::string>;

const Words kDebian = {"/usr/sbin/haproxy",
                       "-Ws",
                       "-f",
                       "/etc/haproxy/haproxy.cfg",
                       "-p",
                       "/run/haproxy.pid",
                       "-S",
                       "/run/haproxy-master.sock,mode,660",
                       "-f",
                       "/etc/haproxy/conf.d/"};
const Words kDebianCheck = {"/usr/sbin/haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg", "-f", "/etc/haproxy/conf.d/"};

/// A HAProxy 3 that says what it is told to: the replies to a line one after the other, the last one for ever.
class ScriptedTalk final : public haproxy::Talk {
 public:
  Result<std::string> ask(haproxy::To to, std::string_view line, std::chrono::milliseconds) override {
    const std::string key = (to.kind == haproxy::To::Kind::master ? "master: " : "worker: ") + std::string(line);
    ++asked[key];
    std::vector<std::string>& left = replies[key];
    if (left.empty()) return haproxy::fail("connect to", "socket", "No such file or directory");
    const std::string reply = left.front();
    if (left.size() > 1) left.erase(left.begin());
    return reply;
  }
  std::map<std::string, std::vector<std::string>> replies;
  std::map<std::string, int> asked;
};

const std::string kTitle = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n";
const std::string kBefore = kTitle +
                            "1584            master          3 [failed: 1]   0d00h00m02s     3.0.11-1+deb13u3\n"
                            "# workers\n"
                            "1603            worker          1               0d00h00m02s     3.0.11-1+deb13u3\n"
                            "# programs\n\n";
const std::string kLoaded = kTitle +
                            "1584            master          4 [failed: 0]   0d00h00m03s     3.0.11-1+deb13u3\n"
                            "# workers\n"
                            "1661            worker          0               0d00h00m01s     3.0.11-1+deb13u3\n"
                            "# old workers\n"
                            "1603            worker          2               0d00h00m03s     3.0.11-1+deb13u3\n"
                            "# programs\n\n";

std::string info(int pid, int stopping = 0) {
  return "Name: HAProxy\nVersion: 3.0.11-1+deb13u3\nPid: " + std::to_string(pid) +
         "\nUptime: 0d 0h00m02s\nUptime_sec: 2\nStart_time_sec: 1700000000\nStopping: " + std::to_string(stopping) +
         "\nnode: here\n\n";
}

ReloadOptions impatient() {
  ReloadOptions options;
  options.fragment = "/etc/haproxy/conf.d/pg_backends.cfg";
  options.validate = {"true"};
  options.reload_within = std::chrono::milliseconds(200);
  return options;
}

}  // namespace

TEST_CASE("the check of Debian's HAProxy keeps its files and nothing else") {
  REQUIRE(check_words(kDebian, "/") == kDebianCheck);
}

TEST_CASE("what a reload puts into the command line is passed over") {
  Words reloaded = kDebian;
  const Words inserted = {"-sf", "1595", "1661", "-x", "sockpair@4"};
  reloaded.insert(reloaded.begin() + 1, inserted.begin(), inserted.end());
  REQUIRE(check_words(reloaded, "/") == kDebianCheck);
}

TEST_CASE("options that take a value do not lend it to the check") {
  const Words words = {"haproxy", "-db", "-q", "-dW", "-D", "-L",  "-f", "-m", "16", "-n",
                       "9",       "-N",  "8",  "-p",  "x",  "-cc", "1",  "-V", "-f", "/a"};
  REQUIRE(check_words(words, "") == Words{"haproxy", "-c", "-f", "/a"});
}

TEST_CASE("files after -- and several after one -f are kept in their order") {
  REQUIRE(check_words({"haproxy", "-f", "/a", "/b", "-W", "-f", "/c", "--", "/d", "-e"}, "/") ==
          Words{"haproxy", "-c", "-f", "/a", "-f", "/b", "-f", "/c", "--", "/d", "/-e"});
}

TEST_CASE("relative files are read where HAProxy reads them") {
  CHECK(check_words({"haproxy", "-f", "a.cfg", "--", "b.cfg"}, "/srv") ==
        Words{"haproxy", "-c", "-f", "/srv/a.cfg", "--", "/srv/b.cfg"});
  CHECK(check_words({"haproxy", "-f", "a.cfg"}, "") == Words{"haproxy", "-c", "-f", "a.cfg"});
  CHECK(check_words({"./haproxy", "-f", "a.cfg", "-C", "/etc"}, "/srv") ==
        Words{"/srv/./haproxy", "-c", "-C", "/etc", "-f", "/etc/a.cfg"});
  // It was in / when it was started with -C etc, and is in /etc now.
  CHECK(check_words({"haproxy", "-C", "etc", "-f", "a.cfg"}, "/etc") ==
        Words{"haproxy", "-c", "-C", "/etc", "-f", "/etc/a.cfg"});
  CHECK(check_words({"haproxy", "-C", "etc", "-f", "a.cfg"}, "") == Words{"haproxy", "-c", "-C", "etc", "-f", "a.cfg"});
}

TEST_CASE("a command line that is not HAProxy's is refused") {
  for (const Words& words :
       {Words{}, Words{"/usr/bin/python3", "-f", "/a"}, Words{"haproxy"}, Words{"haproxy", "-W", "-f"}, Words{""}}) {
    const auto checked = check_words(words, "/");
    REQUIRE_FALSE(checked);
    CHECK(checked.error().hint == "name the words that check the configuration in haproxy.validate");
  }
}

TEST_CASE("HAProxy 3 says that the reload succeeded, and the new worker is waited for") {
  ScriptedTalk talk;
  talk.replies["master: show proc"] = {kBefore, kBefore, kLoaded};
  talk.replies["master: reload"] = {
      "Success=1\n--\n[NOTICE]   (1584) : New worker (1661) forked\n[NOTICE]   (1584) : Loading success.\n\n"};
  talk.replies["worker: show info"] = {info(1603, 1), info(1603), info(1661)};
  REQUIRE(HaproxyReload(impatient(), talk).reload());
  REQUIRE(talk.asked["master: reload"] == 1);
  REQUIRE(talk.asked["worker: show info"] == 3);
}

TEST_CASE("HAProxy 3 says why a reload failed") {
  ScriptedTalk talk;
  talk.replies["master: show proc"] = {kBefore};
  talk.replies["master: reload"] = {
      "Success=0\n--\n[NOTICE]   (1584) : haproxy version is 3.0.11-1+deb13u3\n"
      "[ALERT]    (1584) : config : [/etc/haproxy/conf.d//pg_backends.cfg:4] : 'server pg/n2' : unknown keyword 'chekc'; did "
      "you "
      "mean 'check' maybe ?\n"
      "[ALERT]    (1584) : config : Error(s) found in configuration file : /etc/haproxy/conf.d//pg_backends.cfg\n"
      "[ALERT]    (1584) : config : Fatal errors found in configuration.\n[WARNING]  (1584) : Loading failure!\n\n"};
  const Result<void> reloaded = HaproxyReload(impatient(), talk).reload();
  REQUIRE(reloaded.error().text() ==
          "cannot reload HAProxy: [/etc/haproxy/conf.d//pg_backends.cfg:4] : 'server pg/n2' : unknown keyword 'chekc'; did you "
          "mean "
          "'check' maybe ? (the old worker goes on serving)");
}

TEST_CASE("a new worker that does not answer is no success") {
  ScriptedTalk talk;
  talk.replies["master: show proc"] = {kBefore, kLoaded};
  talk.replies["master: reload"] = {""};
  talk.replies["worker: show info"] = {info(1603)};
  CHECK(HaproxyReload(impatient(), talk).reload().error().detail == "no new worker within 200 ms");
  talk.replies["master: show proc"] = {kBefore, kLoaded};
  talk.replies["worker: show info"] = {};
  CHECK(HaproxyReload(impatient(), talk).reload().error().detail == "no new worker within 200 ms");
  talk.replies["master: show proc"] = {kBefore, kLoaded};
  talk.replies["worker: show info"] = {info(1661, 1)};
  CHECK(HaproxyReload(impatient(), talk).reload().error().detail == "no new worker within 200 ms");
}

TEST_CASE("a master that refuses the command is believed") {
  ScriptedTalk talk;
  talk.replies["master: show proc"] = {kBefore};
  talk.replies["master: reload"] = {"Permission denied\n\n"};
  const Result<void> reloaded = HaproxyReload(impatient(), talk).reload();
  REQUIRE(reloaded.error().detail == "Permission denied");
}

TEST_CASE("without a master socket nothing is sent, and the socket's own error comes back") {
  ScriptedTalk talk;
  talk.replies["worker: show info"] = {info(1603)};
  REQUIRE(HaproxyReload(impatient(), talk).reload().error().text() == "cannot connect to socket: No such file or directory");
  REQUIRE(talk.asked["master: reload"] == 0);
}

TEST_CASE("a process that is not a HAProxy is not asked for its files") {
  ScriptedTalk talk;
  talk.replies["worker: show info"] = {info(1)};  // not HAProxy where the test runs
  ReloadOptions options = impatient();
  options.validate.clear();
  const Result<void> valid = HaproxyReload(options, talk).validate("backend b\n");
  REQUIRE_FALSE(valid);
  REQUIRE(valid.error().hint == "name the words that check the configuration in haproxy.validate");
}

TEST_CASE("the private copy of a check that was killed is removed by the next one, and that of one that lives is not") {
  std::string temporary = "/tmp/pm-reload-XXXXXX";
  REQUIRE(mkdtemp(temporary.data()) != nullptr);
  const fs::path folder = temporary;
  for (const char* name : {"conf.d", "pointsman-check.killed", "pointsman-check.living", "another.killed"}) {
    fs::create_directory(folder / name);
    std::ofstream(folder / name / "a.cfg") << "\n";
  }
  const int living = open((folder / "pointsman-check.living").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(flock(living, LOCK_EX) == 0);
  const char* const before = std::getenv("TMPDIR");
  const std::string restored = before == nullptr ? "" : before;
  setenv("TMPDIR", temporary.c_str(), 1);
  ScriptedTalk talk;
  ReloadOptions options;
  options.fragment = folder / "conf.d/pg.cfg";
  options.validate = {"true"};
  const Result<void> valid = HaproxyReload(options, talk).validate("\n");
  before == nullptr ? unsetenv("TMPDIR") : setenv("TMPDIR", restored.c_str(), 1);
  close(living);
  CHECK(valid);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  CHECK(names == Words{"another.killed", "conf.d", "pointsman-check.living"});
  CHECK(fs::exists(folder / "pointsman-check.living/a.cfg"));
  fs::remove_all(folder);
}
