#include "haproxy/reload.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "haproxy/fragment.h"
#include "haproxy/socket.h"
#include "tests/catch.h"
#include "tests/haproxy/real_haproxy.h"

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using haproxy::HaproxyReload;
using haproxy::ReloadOptions;
using haproxy::Result;
using Words = std::vector<std::string>;

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string backend(const std::string& server) {
  return "backend pg\n  server " + server + "\n";
}

/// A HAProxy with a door in its main file and the backend behind it in a fragment, and a temporary folder of its own, in which
/// private copies are made.
class Running {
 public:
  explicit Running(const Words& extra_words = {"-f", "{folder}/conf.d/"})
      : port_(tests::free_port()),
        haproxy_(fmt::format("defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 9s\n  timeout server 9s\n"
                             "frontend door\n  bind 127.0.0.1:{}\n  default_backend pg\n",
                             port_),
                 extra_words,
                 {{"conf.d/pg_backends.cfg", backend("first 127.0.0.1:1")},
                  {"conf.d/other.cfg", "backend other\n  server o 127.0.0.1:1\n"},
                  {"conf.d/.hidden.cfg", "not HAProxy's words\n"},
                  {"conf.d/notes.txt", "not HAProxy's words\n"},
                  {"tmp/keep", ""}}),
        socket_(haproxy_.stats_socket(), haproxy_.master_socket()),
        stats_only_(haproxy_.stats_socket(), "") {
    setenv("TMPDIR", (haproxy_.folder() / "tmp").c_str(), 1);
  }
  ~Running() { unsetenv("TMPDIR"); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  [[nodiscard]] fs::path fragment() const { return haproxy_.folder() / "conf.d/pg_backends.cfg"; }
  [[nodiscard]] ReloadOptions options() const {
    ReloadOptions options;
    options.fragment = fragment();
    return options;
  }
  [[nodiscard]] HaproxyReload reload() { return {options(), socket_}; }
  [[nodiscard]] HaproxyReload reload(const ReloadOptions& options) { return {options, socket_}; }
  [[nodiscard]] HaproxyReload reload_without_master(const ReloadOptions& options) { return {options, stats_only_}; }
  tests::RealHaproxy& haproxy() { return haproxy_; }

  void write(const std::string& fragment) { haproxy_.write("conf.d/pg_backends.cfg", fragment); }
  [[nodiscard]] bool serves(const std::string& server) const {
    return haproxy_.ask("show servers state pg").find(" " + server + " ") != std::string::npos;
  }
  /// Does the door open?
  [[nodiscard]] bool accepts() const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool accepted = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return accepted;
  }
  /// No private copy is left.
  [[nodiscard]] bool tidy() const {
    const fs::directory_iterator entries(haproxy_.folder() / "tmp");
    return std::distance(fs::begin(entries), fs::end(entries)) == 1;
  }

 private:
  std::uint16_t port_;
  tests::RealHaproxy haproxy_;
  haproxy::Socket socket_;
  haproxy::Socket stats_only_;
};

Words kill_usr2(Running& running) {
  return {"kill", "-USR2", std::to_string(running.haproxy().master_pid())};
}

/// Bytes, times, inode and mode of all that is in a folder.
std::map<std::string, std::string> look_of(const fs::path& folder) {
  std::map<std::string, std::string> look;
  for (const auto& entry : fs::directory_iterator(folder)) {
    struct stat status {};
    REQUIRE(stat(entry.path().c_str(), &status) == 0);
    look[entry.path().filename().string()] =
        fmt::format("{} {}.{} {}.{} {:o} {}", status.st_ino, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                    status.st_ctim.tv_sec, status.st_ctim.tv_nsec, status.st_mode, slurp(entry.path()));
  }
  struct stat status {};
  REQUIRE(stat(folder.c_str(), &status) == 0);
  look["."] = fmt::format("{}.{}", status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  return look;
}

std::string cmdline(pid_t pid) {
  std::string words = slurp(fmt::format("/proc/{}/cmdline", pid));
  for (char& c : words) c = c == '\0' ? ' ' : c;
  return words;
}

}  // namespace

TEST_CASE("a good fragment is reloaded, and the new worker has it") {
  Running running;
  const pid_t before = running.haproxy().worker_pid();
  running.write(backend("second 127.0.0.1:1"));
  const Result<void> reloaded = running.reload().reload();
  REQUIRE(reloaded);
  REQUIRE(running.haproxy().worker_pid() != before);
  REQUIRE(running.serves("second"));
  REQUIRE(running.accepts());
  REQUIRE(running.reload().reload());
}

TEST_CASE("a good candidate is taken, and a broken one refused with HAProxy's own reason") {
  Running running;
  REQUIRE(running.reload().validate(backend("first 127.0.0.1:1 check")));
  const Result<void> valid = running.reload().validate(backend("first 127.0.0.1:1 chekc"));
  REQUIRE_FALSE(valid);
  CHECK(valid.error().operation == "validate");
  CHECK(valid.error().subject == running.fragment().string());
  CHECK(valid.error().detail ==
        fmt::format("[{}:2] : 'server pg/first' : unknown keyword 'chekc'; did you mean 'check' maybe ?",
                    running.fragment().string()));
  CHECK(running.tidy());
}

TEST_CASE("a candidate is checked with everything that it will be read with") {
  Running running;
  CHECK_THAT(running.reload().validate("backend other\n" + backend("first 127.0.0.1:1")).error().detail,
             Contains("backend 'other' has the same name as backend 'other' declared at"));
  CHECK_THAT(running.reload().validate("# nothing\n").error().detail,
             Contains("unable to find required default_backend: 'pg'"));
  CHECK_THAT(running.reload().validate("backend pg").error().detail, Contains("Missing LF on last line"));
  CHECK_THAT(running.reload().validate(backend("a 127.0.0.1:1") + "  server a 127.0.0.1:2\n").error().detail,
             Contains("another server named 'a'"));
}

TEST_CASE("validating leaves the real folder as it is, and no private copy") {
  Running running;
  const auto before = look_of(running.fragment().parent_path());
  REQUIRE(running.reload().validate(backend("second 127.0.0.1:1")));
  REQUIRE_FALSE(running.reload().validate("rubbish\n"));
  REQUIRE(look_of(running.fragment().parent_path()) == before);
  REQUIRE(running.tidy());
}

TEST_CASE("the private copy is nobody else's to read, and holds the files that HAProxy reads") {
  Running running;
  ReloadOptions options = running.options();
  const std::string folder = options.fragment.parent_path().string();
  running.haproxy().write("expected/pg_backends.cfg", "candidate\n");
  running.haproxy().write("expected/other.cfg", slurp(folder + "/other.cfg"));
  options.validate = {"diff", "-r", folder, (running.haproxy().folder() / "expected").string()};
  CHECK(running.reload(options).validate("candidate\n"));
  CHECK_FALSE(running.reload(options).validate("another\n"));
  options.validate = {"find", folder + "/", "-maxdepth", "0", "-not", "-perm", "0700", "-exec", "false", "{}", "+"};
  CHECK(running.reload(options).validate("candidate\n"));
}

TEST_CASE("paths into the folder lead into the copy, and others stay") {
  Running running;
  ReloadOptions options = running.options();
  const fs::path folder = options.fragment.parent_path();
  running.haproxy().write("expected", "candidate\n");
  const std::string expected = (running.haproxy().folder() / "expected").string();
  fs::create_symlink(folder, running.haproxy().folder() / "link");
  for (const fs::path& path : {options.fragment, folder / "." / ".." / "conf.d" / "pg_backends.cfg",
                               running.haproxy().folder() / "link" / "pg_backends.cfg"}) {
    CAPTURE(path);
    options.validate = {"cmp", path.string(), expected};
    CHECK(running.reload(options).validate("candidate\n"));
  }
  options.fragment = running.haproxy().folder() / "link" / "pg_backends.cfg";
  options.validate = {"cmp", (folder / "pg_backends.cfg").string(), expected};
  CHECK(running.reload(options).validate("candidate\n"));
  // The copy has no such file: HAProxy's main file may lie in the same folder under any name.
  options.validate = {"cmp", (folder / "notes.txt").string(), expected};
  running.haproxy().write("expected", "not HAProxy's words\n");
  CHECK(running.reload(options).validate("candidate\n"));
}

TEST_CASE("a check that hangs ends at its deadline and leaves no private copy") {
  Running running;
  ReloadOptions options = running.options();
  options.validate = {"sleep", "60"};
  options.validate_within = std::chrono::milliseconds(200);
  REQUIRE_FALSE(running.reload(options).validate("candidate\n"));
  REQUIRE(running.tidy());
}

TEST_CASE("the check is derived from the worker where there is no master socket, and after reloads") {
  Running running;
  REQUIRE(running.reload_without_master(running.options()).validate(backend("first 127.0.0.1:1")));
  REQUIRE_FALSE(running.reload_without_master(running.options()).validate("rubbish\n"));
  REQUIRE(running.reload().reload());
  REQUIRE_THAT(cmdline(running.haproxy().worker_pid()), Contains("-sf ") && Contains(" -x sockpair@"));
  for (HaproxyReload reload : {running.reload(), running.reload_without_master(running.options())}) {
    CHECK(reload.validate(backend("first 127.0.0.1:1")));
    CHECK_THAT(reload.validate("rubbish\n").error().detail, Contains("unknown keyword 'rubbish'"));
  }
}

TEST_CASE("relative names are found where HAProxy was told to read them") {
  Running running({"-C", "{folder}", "-f", "conf.d/other.cfg", "-f", "conf.d/pg_backends.cfg"});
  REQUIRE(running.reload().validate(backend("first 127.0.0.1:1")));
  REQUIRE_THAT(running.reload().validate("rubbish\n").error().detail, Contains("unknown keyword 'rubbish'"));
}

TEST_CASE("a HAProxy that was not given the fragment is told from one that was") {
  Running running({"-f", "{folder}/conf.d/pg_backends.cfg"});
  ReloadOptions options = running.options();
  options.fragment = running.haproxy().folder() / "conf.d/new.cfg";
  const Result<void> valid = running.reload(options).validate(backend("first 127.0.0.1:1"));
  REQUIRE_THAT(valid.error().detail, Contains("HAProxy was not started with it: haproxy -c -f "));
  REQUIRE_THAT(valid.error().hint, Contains("start HAProxy with -f " + options.fragment.parent_path().string()));
}

TEST_CASE("a name in the folder that HAProxy passes over is no fragment") {
  Running running;
  ReloadOptions options = running.options();
  options.fragment = running.haproxy().folder() / "conf.d/pg_backends.conf";
  REQUIRE_THAT(running.reload(options).validate("# nothing\n").error().detail, Contains("HAProxy was not started with it"));
}

TEST_CASE("where the check may not read what HAProxy reads, the hint says what to do") {
  Running running;
  if (geteuid() != 0) return;
  ReloadOptions options = running.options();
  options.validate = {"setpriv",
                      "--reuid=65534",
                      "--regid=65534",
                      "--clear-groups",
                      "haproxy",
                      "-c",
                      "-f",
                      options.fragment.parent_path().string()};
  const Result<void> valid = running.reload(options).validate(backend("first 127.0.0.1:1"));
  REQUIRE_THAT(valid.error().detail, Contains("Permission denied"));
  REQUIRE_THAT(valid.error().hint, Contains("haproxy.validate"));
}

TEST_CASE("a reload of a broken file fails with HAProxy's reason, and the old worker goes on serving") {
  Running running;
  const pid_t before = running.haproxy().worker_pid();
  const auto start = std::chrono::steady_clock::now();
  for (int attempt = 0; attempt < 2; ++attempt) {
    running.write(backend("second 127.0.0.1:1 chekc"));
    const Result<void> reloaded = running.reload().reload();
    REQUIRE_FALSE(reloaded);
    CHECK(reloaded.error().detail ==
          fmt::format("[{}:2] : 'server pg/second' : unknown keyword 'chekc'; did you mean 'check' maybe ?",
                      (running.haproxy().folder() / "conf.d//pg_backends.cfg").string()));
    CHECK(reloaded.error().hint == "the old worker goes on serving");
    CHECK(running.haproxy().worker_pid() == before);
    CHECK(running.serves("first"));
    CHECK(running.accepts());
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(9));  // seen, not waited for
  running.write(backend("third 127.0.0.1:1"));
  REQUIRE(running.reload().reload());
  REQUIRE(running.serves("third"));
}

TEST_CASE("a reload by command is believed when a new worker answers") {
  Running running;
  ReloadOptions options = running.options();
  options.reload = kill_usr2(running);
  const pid_t before = running.haproxy().worker_pid();
  running.write(backend("second 127.0.0.1:1"));
  REQUIRE(running.reload(options).reload());
  REQUIRE(running.serves("second"));
  const pid_t between = running.haproxy().worker_pid();
  REQUIRE(between != before);
  running.write(backend("third 127.0.0.1:1"));
  REQUIRE(running.reload_without_master(options).reload());
  REQUIRE(running.serves("third"));
  REQUIRE(running.haproxy().worker_pid() != between);
}

TEST_CASE("a reload command that does nothing is noticed") {
  Running running;
  ReloadOptions options = running.options();
  options.reload = {"true"};
  options.reload_within = std::chrono::milliseconds(300);
  for (const Result<void>& reloaded : {running.reload(options).reload(), running.reload_without_master(options).reload()}) {
    REQUIRE_FALSE(reloaded);
    CHECK(reloaded.error().text() ==
          "cannot reload HAProxy: no new worker within 300 ms (does haproxy.reload reload this HAProxy?)");
  }
  options.reload = {"false"};
  CHECK(running.reload(options).reload().error().text() == "cannot reload HAProxy with false: exit code 1");
  options.reload = {"kill", "-USR2", "no-pid"};
  CHECK_THAT(running.reload(options).reload().error().detail, Contains("exit code 1: ") && Contains("no-pid"));
  options.reload = {"/nonexistent/reload"};
  CHECK_FALSE(running.reload(options).reload());
  options.reload = {"sleep", "60"};
  CHECK_FALSE(running.reload(options).reload());
}

TEST_CASE("a broken file is noticed after a reload by command too") {
  Running running;
  ReloadOptions options = running.options();
  options.reload = kill_usr2(running);
  running.write("rubbish\n");
  CHECK_THAT(running.reload(options).reload().error().detail, Contains("unknown keyword 'rubbish'"));
  options.reload_within = std::chrono::milliseconds(500);
  CHECK(running.reload_without_master(options).reload().error().detail == "no new worker within 500 ms");
  CHECK(running.serves("first"));
}

TEST_CASE("without a HAProxy there is an error and nothing else") {
  haproxy::Socket nowhere("/nonexistent/stats.sock", "/nonexistent/master.sock");
  ReloadOptions options;
  options.fragment = "/nonexistent/conf.d/pg_backends.cfg";
  CHECK_FALSE(HaproxyReload(options, nowhere).reload());
  CHECK_FALSE(HaproxyReload(options, nowhere).validate("x\n"));
  options.reload = {"true"};
  CHECK_FALSE(HaproxyReload(options, nowhere).reload());
  options.validate = {"true"};
  CHECK_FALSE(HaproxyReload(options, nowhere).validate("x\n"));
}

TEST_CASE("the example haproxy.cfg and the packaged template are taken by HAProxy without a warning") {
  const fs::path templates = fs::path(POINTSMAN_FIXTURES) / "../../templates";
  Running running;
  haproxy::Fragment fragment{{{"pg_primary", true, "/primary", {}}, {"pg_replicas", false, "/replica", {}}}};
  for (haproxy::FragmentBackend& one : fragment.backends) {
    const std::string options = "check port 8008 inter 3s fall 3 rise 2 on-marked-down shutdown-sessions";
    one.servers = {{"pg2", "10.0.0.12:5432", options, false}, {"pg1", "[2001:db8::11]:5432", options, !one.write}};
  }
  const auto text = haproxy::render(fragment, slurp(templates / "pg_backends.cfg.mustache"), "pg_backends.cfg.mustache");
  REQUIRE(text);
  ReloadOptions options = running.options();
  fs::remove(options.fragment.parent_path() / "other.cfg");
  const std::string folder = options.fragment.parent_path().string();
  std::string example = slurp(templates / "haproxy.cfg");
  const std::string installed = "/usr/share/pointsman/hold.lua";
  const std::size_t at = example.find("lua-load " + installed);
  REQUIRE(at != std::string::npos);
  example.replace(at + std::string("lua-load ").size(), installed.size(),
                  fs::absolute(templates / "../haproxy/hold.lua").lexically_normal().string());
  const fs::path main_file = options.fragment.parent_path().parent_path() / "example.cfg";
  std::ofstream(main_file) << example;
  options.validate = {"haproxy", "-c", "-dW", "-f", main_file.string(), "-f", folder};
  const Result<void> taken = running.reload(options).validate(*text);
  CHECK((taken ? "taken" : taken.error().text()) == "taken");
  // The first fragment that the example's comments give.
  CHECK(running.reload(options).validate("backend pg_primary\n    mode tcp\nbackend pg_replicas\n    mode tcp\n"));
  CHECK_FALSE(running.reload(options).validate("backend pg_primary\n    mode tcp\n"));
}
