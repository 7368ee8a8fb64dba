// Whole rounds in the situations that once went wrong: who is the writer, and whose maint a server is in.

#include <algorithm>

#include "tests/catch.h"
#include "tests/rounds/world.h"

using namespace rounds;
using haproxy::OperationalState;

namespace {

/// A HAProxy that takes this long for each look at it.
class SlowLook final : public haproxy::Talk {
 public:
  SlowLook(World& world, std::chrono::milliseconds takes) : world_(world), takes_(takes) {}

  haproxy::Result<std::string> ask(haproxy::To to, std::string_view line, std::chrono::milliseconds within) override {
    if (line.find("show info") != std::string_view::npos) world_.now += takes_;
    return world_.fake.ask(to, line, within);
  }

 private:
  World& world_;
  std::chrono::milliseconds takes_;
};

/// A HAProxy that answers nothing while it is `mute`.
class Mute final : public haproxy::Talk {
 public:
  explicit Mute(FakeHaproxy& fake) : fake_(fake) {}
  bool mute = false;

  haproxy::Result<std::string> ask(haproxy::To to, std::string_view line, std::chrono::milliseconds within) override {
    if (mute) return haproxy::fail("connect to", "/run/haproxy/admin.sock", "connection refused");
    return fake_.ask(to, line, within);
  }

 private:
  FakeHaproxy& fake_;
};

/// HAProxy's own check of a server passes, or fails, once more.
void check_once(haproxy::Server& server, bool passes) {
  haproxy::Check& check = server.check;
  check.result = passes ? 3 : 2;
  check.status = passes ? 15 : 17;
  check.health = std::clamp(check.health + (passes ? 1 : -1), 0, check.rise + check.fall - 1);
  if (check.health < check.rise && !passes) check.health = 0;
  server.op_state = check.health >= check.rise ? OperationalState::running : OperationalState::stopped;
}

}  // namespace

TEST_CASE("a maint of ours stays ours when HAProxy does not answer the look after the switch") {
  World w(Kind::naive);
  w.round();
  w.fake.fail_at = w.fake.exchanges + 4;  // look, switch, reads, look
  w.all_well_for(1, 1);
  w.fake.fail_at.reset();
  w.all_well_for(5, 1);
  CHECK(w.usable() == Words{"pg2"});
  w.all_well_for(20, 0);
  CHECK(w.usable() == Words{"pg1"});
}

TEST_CASE("a maint of ours stays ours across a reload that keeps admin states") {
  World w(Kind::naive);
  w.round();
  CHECK(w.usable() == Words{"pg1"});
  ++w.fake.running.worker.pid;  // as with a server-state-file: the new worker has everything as the old one had it
  w.all_well_for(5, 0);
  w.all_well_for(20, 1);
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("the holder is out as soon as another member answers that it has the lock, writable or not") {
  World w;
  for (int i = 0; i < 11; ++i) w.round();
  falls_silent(w.seen.clusters[0], 0, w.now);
  w.now += 2s;
  Answer promoting = replica();
  promoting.code = 200;
  says(w.seen.clusters[0], 1, promoting, w.now);
  says(w.seen.clusters[0], 2, replica(), w.now);
  w.round();
  CHECK(w.topology().members[0].write.place == Place::out);
  CHECK(w.topology().members[0].write.reason == Reason::lock_lost);
}

TEST_CASE("a new leader that is silent to us alone comes in by HAProxy's own check") {
  World w;
  w.round();
  falls_silent(w.seen.clusters[0], 0, w.now);
  falls_silent(w.seen.clusters[0], 1, w.now);
  w.seen.clusters[0].hearsay.push_back({url(2), w.now + 10s, url(1)});
  for (int i = 0; i < 1200; ++i) {
    says(w.seen.clusters[0], 2, replica(), w.now);
    if (i % 40 == 0) {
      check_once(w.fake.server("pg_primary", "pg1"), false);
      check_once(w.fake.server("pg_primary", "pg2"), true);
    }
    w.round();
  }
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("another cluster of the same scope is not adopted while ours is silent for a moment") {
  World w;
  w.round();
  Answer foreign = primary();
  foreign.system_identifier = "9999";
  for (int i = 0; i < 40; ++i) {
    says(w.seen.clusters[0], 0, primary(), w.now);
    says(w.seen.clusters[0], 1, replica(), w.now);
    says(w.seen.clusters[0], 2, foreign, w.now);
    w.round();
  }
  CHECK(w.usable() == Words{"pg1"});
  falls_silent(w.seen.clusters[0], 0, w.now);
  falls_silent(w.seen.clusters[0], 1, w.now);
  for (int i = 0; i < 100; ++i) {
    says(w.seen.clusters[0], 2, foreign, w.now);
    w.round();
  }
  CHECK(w.usable() == Words{"pg1"});
}

TEST_CASE("a writer that wavers after a dispute is held for a whole hold") {
  World w;
  w.round();
  for (int i = 0; i < 4; ++i) {
    says(w.seen.clusters[0], 0, primary(), w.now);
    says(w.seen.clusters[0], 1, primary(), w.now);
    w.round();
  }
  CHECK(w.topology().writer_state == WriterState::disputed);
  falls_silent(w.seen.clusters[0], 0, w.now);
  w.seen.clusters[0].members[0].answer->asked_at = w.now - 5s;
  for (int i = 0; i < 60; ++i) {
    says(w.seen.clusters[0], 1, replica(), w.now);
    says(w.seen.clusters[0], 2, replica(), w.now);
    w.round();
  }
  Answer wavers = primary();
  wavers.state = State::unknown;
  says(w.seen.clusters[0], 0, wavers, w.now);
  w.round();
  CHECK(w.topology().members[0].write.place == Place::leave);
  CHECK(w.topology().members[0].write.reason == Reason::holding);
}

TEST_CASE("the first thing ever known of a primary may be one failed query: its sessions stay") {
  World w;
  w.fake.reload();
  w.begin();
  w.fake.server("pg_primary", "pg1").sessions = 4;
  Answer wavers = primary();
  wavers.state = State::unknown;
  wavers.timeline.reset();
  wavers.location.reset();
  w.all_well(0);
  says(w.seen.clusters[0], 0, wavers, w.now);
  w.round();
  CHECK(w.fake.server("pg_primary", "pg1").sessions == 4);
}

TEST_CASE("a writer that is asked once a minute is kept between two answers") {
  World w;
  w.config.clusters[0].poll.calm = 60s;
  w.begin();
  int let_go = 0;
  for (int i = 0; i < 2400; ++i) {
    if (i % 1200 == 0) w.all_well(0);
    w.round();
    if (w.topology().writer_state == WriterState::let_go) ++let_go;
  }
  CHECK(let_go == 0);
}

TEST_CASE("a reader that is asked more seldom than an answer may take stays out between two answers") {
  World w;
  w.config.clusters[0].poll.timeout = 500ms;
  w.begin();
  w.all_well_for(20, 0);
  const int replacements = w.files.replacements;
  Words readers = w.usable(1);
  int changes = 0;
  Answer diverged = replica();
  diverged.timeline = 2;
  for (int i = 0; i < 1200; ++i) {
    if (i % 20 == 0) {
      w.all_well(0);
      says(w.seen.clusters[0], 2, diverged, w.now);
      ++w.unix_now;
    }
    w.round();
    if (readers != w.usable(1)) ++changes;
    readers = w.usable(1);
  }
  CHECK(readers == Words{"pg2"});
  CHECK(changes == 1);
  CHECK(w.files.replacements - replacements == 0);
}

TEST_CASE("a check that has passed before the switchover, and not since, is steered by health still") {
  World w;
  w.round();
  w.all_well_for(205, 1);  // the last result is the old one for a whole `inter`, here more than 10 s
  CHECK_FALSE(w.fake.server("pg_primary", "pg1").in_maint());
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("a server without a role check, in our maint and down, is not given back after a restart") {
  World w;
  for (auto& backend : w.fake.running.backends) {
    for (auto& s : backend.servers) {
      s.op_state = OperationalState::running;
      s.check = {true, 6, 3, 4, 2, 3, 8008};
    }
  }
  w.begin();
  w.round();
  CHECK(w.usable() == Words{"pg1"});
  auto& old = w.fake.server("pg_primary", "pg1");
  old.op_state = OperationalState::stopped;
  old.check.status = 8;
  old.check.result = 2;
  old.check.health = 0;
  for (int i = 0; i < 5; ++i) {
    w.all_well(1);
    w.never_heard(0);
    w.round();
  }
  CHECK(old.in_maint());
  w.sent();
  w.begin();
  w.all_well(1);
  w.never_heard(0);
  w.round();
  CHECK(old.in_maint());
  CHECK(w.sent() == Words{});
}

TEST_CASE("a check of HAProxy's that begins to pass for a member that denies has the cluster asked at once, and once") {
  World w;
  CHECK(w.round().doubted.empty());
  auto& replica = w.fake.server("pg_primary", "pg2");
  replica.check = {true, 15, 3, 1, 2, 3, 8008};
  CHECK(w.round().doubted == std::vector<std::size_t>{0});
  CHECK(w.usable() == Words{"pg1"});
  CHECK(w.round().doubted.empty());
  replica.check = {true, 17, 2, 0, 2, 3, 8008};
  CHECK(w.round().doubted.empty());
}

TEST_CASE("one-shots a minute apart find a check that passes for everybody") {
  World w;
  for (auto& server : w.fake.running.backends[0].servers) {
    server.op_state = OperationalState::running;
    server.check = {true, 15, 3, 4, 2, 3, 8008};
  }
  w.begin();
  w.round();
  auto& replica = w.fake.server("pg_primary", "pg2");
  CHECK(replica.op_state == OperationalState::stopped);  // by health: a lease that its own check ends
  CHECK_FALSE(replica.in_maint());
  replica.op_state = OperationalState::running;
  replica.check = {true, 15, 3, 4, 2, 3, 8008};
  w.now += 60s;
  w.unix_now += 60;
  w.begin();
  w.all_well(0);
  w.round();
  CHECK(replica.in_maint());
  CHECK(w.usable() == Words{"pg1"});
}

TEST_CASE("a HAProxy that takes longer for a look than a plan may be old is steered all the same") {
  World w;
  w.round();
  SlowLook slow(w, 250ms);
  w.talk = &slow;
  w.begin();
  w.all_well_for(100, 1);
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("where putting the old writer out is refused in the one line of a switch, the new one goes out again") {
  World w;
  w.round();
  w.fake.refuse = [](const std::string& command) { return command == "set server pg_primary/pg1 health down"; };
  w.all_well_for(5, 1);
  CHECK(w.usable() == Words{"pg1"});
}

TEST_CASE("servers that cannot be matched to any member raise an alarm") {
  World w(Kind::naive);
  for (auto& member : w.seen.clusters[0].members) {
    member.postgres.reset();
    member.postgres_host = "pg.example";
  }
  w.begin();
  w.all_well_for(20, 0);
  CHECK(w.sent() == Words{});
  const Words& alarms = w.topology().alarms;
  REQUIRE(alarms.size() == 9);
  CHECK(alarms[0] == "server pg_primary/pg1 (127.0.0.11:5432) in a write backend is no member's: it may be a second writer");
  CHECK(alarms[3] ==
        "member pg1 gives PostgreSQL's address as pg.example, which is no number and not its API's host: no server in "
        "backend pg_primary can be matched to it");
}

TEST_CASE("one round without HAProxy in a calm time is told, and told no more once it answers again") {
  World w;
  Mute socket(w.fake);
  w.talk = &socket;
  w.begin();
  w.all_well_for(6, 0);
  socket.mute = true;
  CHECK(w.quiet_round().failed);
  CHECK(w.loop->published().haproxy_error == "cannot connect to /run/haproxy/admin.sock: connection refused");
  socket.mute = false;
  for (int i = 0; i < 3; ++i) w.quiet_round();
  CHECK(w.loop->published().haproxy_error == "");
  CHECK(w.loop->published().clusters[0].routes_right);
}
