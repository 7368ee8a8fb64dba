// Whole rounds in the situations that once went wrong: the fragment and reloads, the state file, and what is logged how often.

#include <memory>
#include <mutex>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "tests/catch.h"
#include "tests/rounds/world.h"

using namespace rounds;

namespace {

bool anything(const std::string&) {
  return true;
}

bool state_folder(const std::string& path) {
  return path.starts_with("/var/lib/pointsman/");
}

/// Counts the error lines that are logged while it lives.
class ErrorLines {
 public:
  ErrorLines() {
    const auto logger = std::make_shared<spdlog::logger>("errors", sink_);
    logger->set_level(spdlog::level::err);
    spdlog::set_default_logger(logger);
  }
  ~ErrorLines() { spdlog::set_default_logger(before_); }
  ErrorLines(const ErrorLines&) = delete;
  ErrorLines& operator=(const ErrorLines&) = delete;

  [[nodiscard]] int count() const { return sink_->lines; }

 private:
  struct Sink final : spdlog::sinks::base_sink<std::mutex> {
    int lines = 0;
    void sink_it_(const spdlog::details::log_msg&) override { ++lines; }
    void flush_() override {}
  };
  std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

/// A HAProxy whose master socket is somebody else's.
class NoMaster final : public haproxy::Talk {
 public:
  explicit NoMaster(FakeHaproxy& fake) : fake_(fake) {}

  haproxy::Result<std::string> ask(haproxy::To to, std::string_view line, std::chrono::milliseconds within) override {
    if (to.kind == haproxy::To::Kind::master)
      return haproxy::fail("connect to", "/run/haproxy-master.sock", "permission denied");
    return fake_.ask(to, line, within);
  }

 private:
  FakeHaproxy& fake_;
};

/// A second cluster, of its own three members, in the backends o_w and o_r of the same HAProxy.
void add_other_cluster(World& w) {
  ClusterConfig config = policy();
  config.scope = "other";
  config.backends[0].name = "o_w";
  config.backends[1].name = "o_r";
  for (auto& member : config.members) member.url += "9";
  ClusterSnapshot seen = three();
  seen.scope = "other";
  for (auto& member : seen.members) {
    member.url += "9";
    member.api_port = 8009;
    member.postgres->port = 5433;
  }
  w.config.clusters.push_back(config);
  w.seen.clusters.push_back(seen);
  for (std::size_t b = 0; b < 2; ++b) {
    haproxy::BackendState backend = w.fake.running.backends[b];
    backend.name = config.backends[b].name;
    for (auto& server : backend.servers) {
      server.port = 5433;
      server.check.port = 8009;
    }
    w.fake.running.backends.push_back(backend);
  }
}

/// The second cluster's members answer; without a `writer` all are replicas.
void other_says(World& w, std::optional<std::size_t> writer) {
  for (std::size_t i = 0; i < 3; ++i) {
    Answer answer = i == writer ? primary() : replica();
    answer.scope = "other";
    says(w.seen.clusters[1], i, answer, w.now);
  }
}

}  // namespace

TEST_CASE("by file: a template with a server of its own is loaded once, not for ever, and not after a restart") {
  World w;
  w.use_fragment(Method::file);
  w.files.files[kTemplate] =
      "{{#backends}}backend {{name}}\n{{#servers}}    server {{name}} {{address}} {{options}}{{#backup}} backup{{/backup}}\n"
      "{{/servers}}{{#write}}    server hold 127.0.0.1:1 backup\n{{/write}}\n{{/backends}}";
  w.reload.after_each = [&w] {
    haproxy::Server hold = make_server(8, Kind::naive, true);
    hold.name = "hold";
    hold.ip = "127.0.0.1";
    hold.port = 1;
    hold.backup = true;
    auto& servers = w.fake.running.backends[0].servers;
    std::erase_if(servers, [](const haproxy::Server& s) { return s.name == "hold"; });
    servers.push_back(hold);
  };
  w.all_well_for(300, 0);
  CHECK(w.reload.reloads == 1);
  w.begin();
  w.all_well_for(20, 0);
  CHECK(w.reload.reloads == 1);
}

TEST_CASE("by file: a full disk under the state folder does not make every round reload") {
  World w;
  w.use_fragment(Method::file);
  w.round();
  REQUIRE(w.reload.reloads == 1);
  w.files.full = state_folder;
  w.begin();
  w.all_well_for(600, 1);
  CHECK(w.reload.reloads == 2);
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("by file: a cluster without a writer does not hold up the failover of another") {
  World w;
  add_other_cluster(w);
  w.use_fragment(Method::file);
  for (int i = 0; i < 5; ++i) {
    other_says(w, 0);
    w.all_well_for(1, 0);
  }
  REQUIRE(w.reload.reloads == 1);
  for (int i = 0; i < 100; ++i) {
    other_says(w, std::nullopt);
    w.all_well_for(1, 1);
  }
  CHECK(w.reload.reloads == 2);
  CHECK(w.fake.running.backends[0].servers[0].name == "pg2");
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("by file: a member of which nothing was ever heard is left out, with an alarm, and the rest goes on") {
  World w;
  w.use_fragment(Method::file);
  auto& unknown = w.seen.clusters[0].members[2];
  unknown.postgres.reset();
  unknown.postgres_host.clear();
  unknown.name.clear();
  for (auto& backend : w.fake.running.backends)
    std::erase_if(backend.servers, [](const haproxy::Server& s) { return s.name == "pg3"; });
  w.begin();
  for (const std::size_t writer : {0U, 1U}) {
    for (int i = 0; i < 20; ++i) {
      w.all_well(writer);
      w.never_heard(2);
      w.round();
    }
  }
  CHECK(w.usable() == Words{"pg2"});
  CHECK(w.reload.reloads == 2);
  CHECK(w.topology().alarms == Words{"member http://127.0.0.13:8008 has never told its name and address: it may be missing in "
                                     "the fragment"});
}

TEST_CASE("by file: a round that waits before it tries an invalid fragment again has failed too") {
  World w;
  w.use_fragment(Method::file);
  w.reload.invalid = true;
  CHECK(w.round().failed);
  CHECK(w.round().failed);
  CHECK(w.reload.validations == 1);
}

TEST_CASE("by file: a replica that restarts costs no reload") {
  World w;
  w.use_fragment(Method::file);
  w.all_well_for(5, 0);
  REQUIRE(w.reload.reloads == 1);
  w.now += 20s;
  Answer starting = replica();
  starting.state = State::starting;
  for (int i = 0; i < 300; ++i) {
    w.all_well(0);
    says(w.seen.clusters[0], 1, starting, w.now);
    w.round();
  }
  w.all_well_for(300, 0);
  CHECK(w.reload.reloads == 1);
}

TEST_CASE("a fragment with an IPv6 address counts as loaded where HAProxy has that address") {
  haproxy::Server server;
  server.name = "a";
  server.ip = "::1";
  server.port = 5432;
  haproxy::Running running;
  running.backends = {{"b", {server}}};
  CHECK(has_loaded(running, {{{"b", true, "/primary", {{"a", "[::1]:5432", "", false}}}}}));
  CHECK_FALSE(has_loaded(running, {{{"b", true, "/primary", {{"a", "[::2]:5432", "", false}}}}}));
}

TEST_CASE("a state file that failed once is written later") {
  World w(Kind::naive);
  w.files.fail_at = 1;
  w.all_well_for(1200, 0);
  w.begin();
  w.all_well_for(20, 1);
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("a state file that could not be written is tried once a second, and written as soon as it can be") {
  World w(Kind::naive);
  w.files.full = anything;
  w.all_well_for(40, 0);
  CHECK(w.files.replacements == 3);
  CHECK_FALSE(w.files.files.contains(kStateFile));
  w.files.full = nullptr;
  w.all_well_for(20, 0);
  CHECK(w.files.files.contains(kStateFile));
  w.begin();
  w.all_well_for(20, 1);
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("a new configuration knows whose maint it is though the state file cannot be written") {
  World w(Kind::naive);
  w.files.full = anything;
  w.all_well_for(5, 0);
  auto next = w.make_loop(Remembered{});
  next->carry_over(*w.loop);
  w.loop = std::move(next);
  w.all_well_for(20, 1);
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("a master socket that may not be opened is logged once, not once a second") {
  World w;
  w.config.haproxy.master_socket = "/run/haproxy-master.sock";
  NoMaster no_master(w.fake);
  w.talk = &no_master;
  w.begin();
  const ErrorLines errors;
  w.all_well_for(1200, 0);
  CHECK(errors.count() == 1);
}

TEST_CASE("a paused cluster whose primary is silent for minutes is logged once") {
  World w;
  w.round();
  falls_silent(w.seen.clusters[0], 0, w.now);
  Answer paused = replica();
  paused.pause = true;
  paused.cluster_unlocked = true;
  const ErrorLines errors;
  for (int i = 0; i < 2400; ++i) {
    says(w.seen.clusters[0], 1, paused, w.now);
    says(w.seen.clusters[0], 2, paused, w.now);
    w.round();
  }
  CHECK(w.topology().alarms == Words{"writer pg1 is silent and kept: kept_paused"});
  CHECK(errors.count() == 1);
}
