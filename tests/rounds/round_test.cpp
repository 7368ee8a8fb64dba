// Whole rounds on fakes with memory: from what members say to what HAProxy is told.

#include "tests/catch.h"
#include "tests/rounds/world.h"

using namespace rounds;

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
  CHECK(w.fake.exchanges - before == 6);  // look, switch, reads, look
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
