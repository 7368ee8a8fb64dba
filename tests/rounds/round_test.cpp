// Whole rounds on fakes with memory: from what members say to what HAProxy is told.

#include "controller/loop.h"

#include <map>

#include "tests/catch.h"
#include "tests/rounds/fake_haproxy.h"
#include "tests/unit/members.h"

using namespace members;
using haproxy::OperationalState;
using rounds::FakeHaproxy;

namespace {

/// Files in memory; can fail the n-th replacement.
class FakeFiles final : public haproxy::Files {
 public:
  std::map<std::string, std::string> files;
  int replacements = 0;
  std::optional<int> fail_at;

  haproxy::Result<std::string> read(const std::filesystem::path& path) override {
    const auto at = files.find(path.string());
    if (at == files.end()) return haproxy::fail("read", path.string(), "no such file");
    return at->second;
  }
  haproxy::Result<void> replace(const std::filesystem::path& path, std::string_view bytes) override {
    if (++replacements == fail_at) return haproxy::fail("replace", path.string(), "No space left on device");
    files[path.string()] = bytes;
    return {};
  }
};

/// Reloads the fake HAProxy with the servers in the order of the fragment.
class FakeReload final : public haproxy::Reload {
 public:
  FakeReload(FakeHaproxy& to, FakeFiles& from) : haproxy_(to), files_(from) {}
  int validations = 0;
  int reloads = 0;
  std::optional<int> fail_at;
  bool invalid = false;

  haproxy::Result<void> validate(std::string_view) override {
    ++validations;
    if (invalid) return haproxy::fail("validate", "the fragment", "unknown keyword 'chekc'");
    return {};
  }
  haproxy::Result<void> reload() override {
    if (++reloads == fail_at) return haproxy::fail("reload", "HAProxy", "the new worker did not come");
    haproxy_.reload();
    for (auto& backend : haproxy_.running.backends) load(backend);
    return {};
  }

 private:
  void load(haproxy::BackendState& backend) {
    const std::string text = files_.files["/etc/haproxy/conf.d/pg_backends.cfg"];
    const std::size_t begin = text.find("backend " + backend.name + "\n");
    if (begin == std::string::npos) return;
    const std::string section = text.substr(begin, text.find("backend ", begin + 1) - begin);
    std::vector<haproxy::Server> servers;
    std::vector<std::pair<std::size_t, std::size_t>> order;
    for (std::size_t i = 0; i < backend.servers.size(); ++i) {
      const auto at = section.find("server " + backend.servers[i].name + " ");
      if (at != std::string::npos) order.emplace_back(at, i);
    }
    std::sort(order.begin(), order.end());
    unsigned id = 0;
    for (const auto& [at, i] : order) {
      servers.push_back(backend.servers[i]);
      servers.back().id = ++id;
    }
    backend.servers = servers;
  }

  FakeHaproxy& haproxy_;
  FakeFiles& files_;
};

enum class Kind { documented, naive };

haproxy::Server make_server(std::size_t member, Kind kind, bool up) {
  haproxy::Server s;
  s.name = "pg" + std::to_string(member + 1);
  s.id = static_cast<unsigned>(member + 1);
  s.ip = "127.0.0.1" + std::to_string(member + 1);
  s.port = 5432;
  if (kind == Kind::documented) {
    s.op_state = up ? OperationalState::running : OperationalState::stopped;
    s.check = {true, up ? 15U : 17U, up ? 3U : 2U, up ? 4 : 0, 2, 3, 8008};
  } else {
    s.op_state = OperationalState::running;
    s.check = {true, 6, 3, 4, 2, 3, 5432};
  }
  return s;
}

/// Three members with pg1 as the writer, and a HAProxy that has it so.
struct World {
  FakeHaproxy fake;
  FakeFiles files;
  FakeReload reload{fake, files};
  Config config;
  Snapshot seen;
  Instant now = kStart;
  std::int64_t unix_now = 1'800'000'000;
  std::unique_ptr<Loop> loop;

  explicit World(Kind kind = Kind::documented) {
    config.clusters = {policy()};
    config.clusters[0].backends[1].fallback_primary = true;
    config.haproxy.socket = "/run/haproxy/admin.sock";
    config.state = "/var/lib/pointsman";
    seen.clusters = {three()};
    fake.running.worker = {2, 1'800'000'000, false, "2.6.12-1+deb12u4"};
    haproxy::BackendState write{"pg_primary", {}}, read{"pg_replicas", {}};
    for (std::size_t i = 0; i < 3; ++i) {
      write.servers.push_back(make_server(i, kind, i == 0));
      read.servers.push_back(make_server(i, kind, i != 0));
    }
    fake.running.backends = {write, read};
    begin();
    all_well(0);
  }
  void begin() {
    Remembered remembered;
    const auto bytes = files.read("/var/lib/pointsman/" + state_path("", "/run/haproxy/admin.sock").string());
    if (bytes) remembered = parse_state(*bytes, "state").value();
    loop = std::make_unique<Loop>(config, "test",
                                  Edges{{fake, [this] { return now; }, [this](std::chrono::milliseconds t) { now += t; }},
                                        files,
                                        reload,
                                        [this] { return unix_now; }},
                                  remembered);
  }
  void all_well(std::size_t writer) {
    for (std::size_t i = 0; i < 3; ++i) says(seen.clusters[0], i, i == writer ? primary() : replica(), now);
  }
  Outcome round() {
    now += 50ms;
    ++seen.version;
    return loop->round(seen);
  }
  std::vector<std::string> sent() { return std::exchange(fake.commands, {}); }
  std::vector<std::string> usable(std::size_t backend = 0) const {
    return haproxy::usable_servers(fake.running.backends[backend]);
  }
  void use_fragment(Method method) {
    config.haproxy.method = method;
    config.haproxy.fragment = "/etc/haproxy/conf.d/pg_backends.cfg";
    config.haproxy.template_path = "/template";
    files.files["/template"] =
        "{{#backends}}backend {{name}}\n{{#servers}}    server {{name}} {{address}} {{options}}{{#backup}} backup{{/backup}}\n"
        "{{/servers}}\n{{/backends}}";
    begin();
  }
};
using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a calm system gets no commands at all") {
  World w;
  for (int i = 0; i < 40; ++i) {
    w.all_well(0);
    const Outcome outcome = w.round();
    CHECK_FALSE(outcome.failed);
    CHECK_FALSE(outcome.changed);
  }
  CHECK(w.sent() == Words{});
  CHECK(w.loop->published().clusters[0].routes_right);
  CHECK(w.loop->published().clusters[0].writer_in);
}

TEST_CASE("a switchover by health: old down, its sessions ended, new up, readers swapped") {
  World w;
  w.round();
  w.fake.server("pg_primary", "pg1").sessions = 2;
  w.fake.server("pg_replicas", "pg2").sessions = 1;
  w.all_well(1);
  CHECK_FALSE(w.round().failed);
  CHECK(w.sent() == Words{"pg_primary/pg1 health down", "shutdown session", "shutdown session", "pg_primary/pg2 health up",
                          "pg_replicas/pg1 health up", "pg_replicas/pg2 health down", "shutdown session"});
  CHECK(w.usable() == Words{"pg2"});
  CHECK(w.usable(1) == Words{"pg1", "pg3"});
}

TEST_CASE("a session that is still connecting is not touched, and does not hold up the new writer") {
  World w;
  w.round();
  w.fake.server("pg_primary", "pg1").sessions = 1;
  w.fake.connecting[{"pg_primary", "pg1"}] = 1;
  w.all_well(1);
  w.round();
  CHECK(w.sent() == Words{"pg_primary/pg1 health down", "pg_primary/pg2 health up", "pg_replicas/pg1 health up",
                          "pg_replicas/pg2 health down"});
}

TEST_CASE("a switchover by admin state goes in one line, and marks are kept across a restart") {
  World w(Kind::naive);
  w.round();
  CHECK(w.usable() == Words{"pg1"});
  CHECK(w.usable(1) == Words{"pg2", "pg3"});
  w.sent();
  w.begin();  // killed and started again
  w.all_well(1);
  const int before = w.fake.exchanges;
  CHECK_FALSE(w.round().failed);
  CHECK(w.usable() == Words{"pg2"});
  CHECK(w.sent() == Words{"pg_primary/pg1 state maint", "pg_primary/pg2 state ready", "pg_replicas/pg1 state ready",
                          "pg_replicas/pg2 state maint"});
  CHECK(w.fake.exchanges - before == 4);  // look, switch, reads, look
}

TEST_CASE("whoever puts a server into maint by hand is respected, on both kinds") {
  const Kind kind = GENERATE(Kind::documented, Kind::naive);
  World w(kind);
  w.round();
  w.sent();
  haproxy::carry_out(haproxy::Command::state_maint, w.fake.server("pg_primary", "pg1"));
  for (int i = 0; i < 3; ++i) w.round();
  CHECK(w.sent() == Words{});
  CHECK(w.usable() == Words{});
  const auto& servers = w.loop->published().clusters[0].servers;
  CHECK(servers[0].reason == Reason::operators_hand);
  w.begin();
  w.round();
  CHECK(w.sent() == Words{});
}

TEST_CASE("a foreign reload is put right in the next round") {
  const Kind kind = GENERATE(Kind::documented, Kind::naive);
  World w(kind);
  w.round();
  w.fake.reload();
  CHECK(w.usable().size() == 3);
  CHECK_FALSE(w.round().failed);
  CHECK(w.usable() == Words{"pg1"});
  CHECK(w.loop->published().counters.foreign_restarts == 1);
}

TEST_CASE("interrupted between any two commands and started again, it lands, and never with two writers") {
  const Kind kind = GENERATE(Kind::documented, Kind::naive);
  for (int cut = 1; cut < 12; ++cut) {
    World w(kind);
    w.round();
    w.all_well(1);
    std::size_t most = 0;
    w.fake.after_each = [&] { most = std::max(most, w.usable().size()); };
    w.fake.fail_at = w.fake.exchanges + cut;
    w.round();
    w.fake.fail_at.reset();
    w.begin();
    w.all_well(1);
    w.round();
    CHECK(w.round().changed == false);
    CHECK(w.usable() == Words{"pg2"});
    CHECK(most <= 1);
  }
}

TEST_CASE("where HAProxy refuses to put the old writer out, the new one does not go in") {
  World w;
  w.round();
  w.fake.server("pg_primary", "pg1").sessions = 1;
  w.fake.refuse = [](const std::string& command) { return command.find("health down") != std::string::npos; };
  w.all_well(1);
  CHECK(w.round().failed);
  CHECK(w.usable() == Words{"pg1"});
  CHECK(w.loop->published().counters.commands_refused.at("health down") >= 1);
  CHECK_FALSE(w.loop->published().clusters[0].routes_right);
}

TEST_CASE("an observer sends nothing") {
  World w;
  w.config.haproxy.observe = true;
  w.begin();
  w.round();
  w.all_well(1);
  w.round();
  CHECK(w.sent() == Words{});
  CHECK(w.loop->published().observe);
  CHECK(w.loop->published().clusters[0].topology.writer == 1u);
}

TEST_CASE("a preview touches nothing") {
  World w;
  w.all_well(1);
  const auto before = w.fake.running;
  const auto preview = w.loop->preview(w.seen);
  REQUIRE(preview);
  CHECK(preview->decided.plan.out.size() == 1);
  CHECK(w.sent() == Words{});
  CHECK(w.fake.running == before);
  CHECK(w.files.replacements == 0);
}

TEST_CASE("at the start nobody is put in from memory: the server that HAProxy has in is the holder") {
  World w;
  w.round();
  // A failover while pointsman was away: HAProxy alone has moved to pg2, and nobody has answered yet.
  haproxy::carry_out(haproxy::Command::health_down, w.fake.server("pg_primary", "pg1"));
  haproxy::carry_out(haproxy::Command::health_up, w.fake.server("pg_primary", "pg2"));
  w.sent();
  w.seen.clusters = {three()};
  w.begin();
  w.round();
  CHECK(w.usable() == Words{"pg2"});
  CHECK(w.sent() == Words{});
}

TEST_CASE("without a reader the primary serves reads in the same pass, and leaves when one is back") {
  World w;
  w.round();
  w.sent();
  Answer tagged = replica();
  tagged.noloadbalance = true;
  for (const std::size_t i : {1u, 2u}) says(w.seen.clusters[0], i, tagged, w.now);
  w.round();
  CHECK(w.sent() == Words{"pg_replicas/pg1 health up", "pg_replicas/pg2 health down", "pg_replicas/pg3 health down"});
  says(w.seen.clusters[0], 1, replica(), w.now);
  w.round();
  CHECK(w.sent() == Words{"pg_replicas/pg2 health up", "pg_replicas/pg1 health down"});
}

TEST_CASE("the state that says whose maint it is, is written before the command goes out") {
  World w(Kind::naive);
  bool recorded = true;
  w.fake.after_each = [&] {
    const auto path = "/var/lib/pointsman/" + state_path("", "/run/haproxy/admin.sock").string();
    const auto state = parse_state(w.files.files[path], "state");
    for (const auto& backend : w.fake.running.backends)
      for (const auto& s : backend.servers)
        if (s.in_maint()) recorded = recorded && state->ours.contains({backend.name, s.name});
  };
  w.round();
  CHECK(recorded);
  CHECK(w.sent().size() == 3);
}

TEST_CASE("by file: the old writer is out before the reload that puts the new one first, and nothing is reloaded twice") {
  World w;
  w.use_fragment(Method::file);
  w.round();
  CHECK(w.reload.reloads == 1);
  for (int i = 0; i < 10; ++i) {
    w.all_well(0);
    w.round();
  }
  CHECK(w.reload.reloads == 1);
  w.sent();
  w.all_well(1);
  CHECK_FALSE(w.round().failed);
  CHECK(w.sent() == Words{"pg_primary/pg1 health down"});
  CHECK(w.reload.reloads == 2);
  CHECK(w.loop->published().counters.reloads.at("writer") == 1);
  CHECK(w.fake.running.backends[0].servers[0].name == "pg2");
  w.all_well(1);
  w.round();  // a fresh worker has every server up until its first check
  CHECK(w.usable() == Words{"pg2"});
  CHECK(w.reload.reloads == 2);
}

TEST_CASE("by file: what is invalid is not written, and a reload that does not come is reverted") {
  World w;
  w.use_fragment(Method::file);
  w.round();
  const std::string good = w.files.files["/etc/haproxy/conf.d/pg_backends.cfg"];
  REQUIRE(w.loop->published().counters.reloads_failed == 0);
  w.all_well(1);
  SECTION("invalid") {
    w.reload.invalid = true;
    CHECK(w.round().failed);
    CHECK(w.files.files["/etc/haproxy/conf.d/pg_backends.cfg"] == good);
  }
  SECTION("reverted") {
    w.reload.fail_at = w.reload.reloads + 1;
    CHECK(w.round().failed);
    CHECK(w.files.files["/etc/haproxy/conf.d/pg_backends.cfg"] == good);
    CHECK(w.loop->published().counters.reloads.at("reverted") == 1);
    w.now += 2s;
    w.all_well(1);
    CHECK_FALSE(w.round().failed);
    CHECK(w.fake.running.backends[0].servers[0].name == "pg2");
  }
}

TEST_CASE("by runtime with a fragment: it is written through, without a reload") {
  World w;
  w.use_fragment(Method::runtime);
  w.round();
  w.all_well(1);
  w.round();
  const std::string text = w.files.files["/etc/haproxy/conf.d/pg_backends.cfg"];
  CHECK(text.find("server pg2") < text.find("server pg1"));
  CHECK(w.reload.reloads == 0);
  CHECK(w.loop->published().counters.fragment_writes == 2);
}

TEST_CASE("with the whole world silent nothing is forced down and no session is ended") {
  World w;
  w.round();
  w.sent();
  w.fake.server("pg_primary", "pg1").sessions = 5;
  for (std::size_t i = 0; i < 3; ++i) falls_silent(w.seen.clusters[0], i, w.now);
  for (int i = 0; i < 2000; ++i) w.round();
  CHECK(w.sent() == Words{});
  CHECK(w.fake.server("pg_primary", "pg1").sessions == 5);
  CHECK_FALSE(w.loop->published().clusters[0].routes_right);
}
