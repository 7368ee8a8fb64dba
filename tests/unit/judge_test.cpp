#include "controller/judge.h"

#include "controller/claim.h"
#include "tests/catch.h"
#include "tests/unit/members.h"

using namespace members;

namespace {

/// A cluster whose first member has been accepted as the writer a long time ago.
struct World {
  ClusterSnapshot seen = three();
  ClusterConfig config = policy();
  Memory memory;
  Instant now = kStart;
  Judgement last;

  World() {
    all_well();
    judge_now();
    now += 60s;
    all_well();
    judge_now();
  }
  void all_well() {
    says(seen, 0, primary(), now);
    says(seen, 1, replica(), now);
    says(seen, 2, replica(), now);
  }
  const Topology& judge_now() {
    last = judge(seen, memory, config, now);
    memory = last.memory;
    return last.topology;
  }
  void pass(Duration time) { now += time; }
  const Verdict& write(std::size_t member) const { return last.topology.members[member].write; }
  const Verdict& read(std::size_t member) const { return last.topology.members[member].read; }
};

}  // namespace

TEST_CASE("the member that answers 200, primary, running is the writer, and nobody else") {
  World w;
  CHECK(w.last.topology.writer == 0u);
  CHECK(w.last.topology.writer_state == WriterState::settled);
  CHECK(w.write(0).place == Place::in);
  CHECK(w.write(0).reason == Reason::claims_writer);
  CHECK(w.write(1).place == Place::out);
  CHECK(w.write(1).reason == Reason::other_is_writer);
  CHECK(w.last.topology.alarms.empty());
}

TEST_CASE("neither the code nor the role alone makes a claim") {
  Answer promoting = primary();
  promoting.role = Role::replica;
  CHECK_FALSE(is_claim(promoting, "main", "", ""));
  Answer lock_lost = primary();
  lock_lost.code = 503;
  CHECK_FALSE(is_claim(lock_lost, "main", "", ""));
  for (const State state : {State::stopping, State::restarting, State::crashed, State::unknown, State::stopped, State::other}) {
    Answer stopping = primary();
    stopping.state = state;
    CHECK_FALSE(is_claim(stopping, "main", "", ""));
  }
  CHECK(is_claim(primary(), "main", "7000000000000000001", ""));
  CHECK_FALSE(is_claim(primary(), "other", "", ""));
  CHECK_FALSE(is_claim(primary(), "main", "7000000000000000002", ""));
}

TEST_CASE("a starting primary claims only with a position and another start than the known one") {
  Answer starting = primary();
  starting.state = State::starting;
  CHECK_FALSE(is_claim(starting, "main", "", starting.postmaster_start_time));
  CHECK_FALSE(is_claim(starting, "main", "", ""));
  CHECK(is_claim(starting, "main", "", "2025-01-01 00:00:00+00:00"));
  starting.location.reset();
  CHECK_FALSE(is_claim(starting, "main", "", "2025-01-01 00:00:00+00:00"));
}

TEST_CASE("another member's claim moves the writer at once, though the old one is silent") {
  World w;
  falls_silent(w.seen, 0, w.now);
  w.pass(2s);
  says(w.seen, 1, primary(), w.now);
  w.judge_now();
  CHECK(w.last.topology.writer == 1u);
  CHECK(w.write(0).place == Place::out);
  CHECK(w.write(0).reason == Reason::other_is_writer);
}

TEST_CASE("a claim asked for after the old writer's last answer wins while that answer is still fresh") {
  World w;
  w.pass(300ms);
  says(w.seen, 1, primary(), w.now);
  w.judge_now();
  CHECK(w.last.topology.claims == 2);
  CHECK(w.last.topology.writer == 1u);
  CHECK(w.last.topology.alarms.empty());
}

TEST_CASE("the old writer claiming again is a dispute, not a move back") {
  World w;
  w.pass(300ms);
  says(w.seen, 1, primary(), w.now);
  w.judge_now();
  w.pass(50ms);
  says(w.seen, 0, primary(), w.now);
  w.judge_now();
  CHECK(w.last.topology.writer_state == WriterState::disputed);
  CHECK_FALSE(w.last.topology.writer);
  CHECK(w.write(0).place == Place::out);
  CHECK(w.write(1).place == Place::leave);  // it is in, and may stay for a hold
  CHECK_FALSE(w.last.topology.alarms.empty());
  for (int i = 0; i < 30; ++i) {
    w.pass(50ms);
    says(w.seen, i % 2, primary(), w.now);
    says(w.seen, 2, replica(), w.now);
    w.judge_now();
    CHECK_FALSE(w.last.topology.writer);
  }
  CHECK(w.write(0).place == Place::out);
  CHECK(w.write(1).place == Place::out);
}

TEST_CASE("a dispute is settled by what another member's /cluster says") {
  World w;
  w.pass(300ms);
  says(w.seen, 1, primary(), w.now);
  w.judge_now();
  w.pass(50ms);
  says(w.seen, 0, primary(), w.now);
  w.seen.hearsay = {{url(2), w.now - 1h, url(0)}};  // older than the claims: no witness
  w.judge_now();
  CHECK_FALSE(w.last.topology.writer);
  w.pass(50ms);
  w.seen.hearsay = {{url(0), w.now, url(0)}};  // a claimant is no witness for itself
  w.judge_now();
  CHECK_FALSE(w.last.topology.writer);
  w.seen.hearsay = {{url(2), w.now, url(1)}};
  w.judge_now();
  CHECK(w.last.topology.writer == 1u);
}

TEST_CASE("a higher timeline breaks a tie, and a lower one does not shut out the only claimant") {
  World w;
  w.pass(300ms);
  Answer promoted = primary();
  promoted.timeline = 4;
  says(w.seen, 1, promoted, w.now);
  w.judge_now();
  w.pass(50ms);
  says(w.seen, 0, primary(), w.now);
  w.judge_now();
  CHECK(w.last.topology.writer == 1u);

  // The one on timeline 4 denies: timeline 3 is all there is.
  w.pass(50ms);
  Answer stopping = replica();
  stopping.state = State::stopping;
  says(w.seen, 1, stopping, w.now);
  says(w.seen, 0, primary(), w.now);
  w.judge_now();
  CHECK(w.last.topology.writer == 0u);
  CHECK(w.last.topology.alarms.size() == 1);
}

TEST_CASE("a switchover and one back move the writer each time") {
  World w;
  for (const std::size_t to : {1u, 0u, 2u}) {
    w.pass(20s);
    for (std::size_t i = 0; i < 3; ++i) says(w.seen, i, replica(), w.now);
    w.judge_now();
    w.pass(100ms);
    says(w.seen, to, primary(), w.now);
    w.judge_now();
    CHECK(w.last.topology.writer == to);
  }
}

TEST_CASE("a holder that stops, crashed or changed its role is fenced at once") {
  const auto denial = GENERATE(0, 1, 2, 3);
  World w;
  w.pass(1s);
  Answer a = primary();
  if (denial == 0) a.state = State::stopping;
  if (denial == 1) a.state = State::crashed;
  if (denial == 2) a.role = Role::demoted;
  if (denial == 3) a = replica();
  says(w.seen, 0, a, w.now);
  w.judge_now();
  CHECK(w.write(0).place == Place::out);
  CHECK(w.last.topology.writer_state == WriterState::none);
  CHECK_FALSE(w.last.topology.writer);
}

TEST_CASE("a soft denial is waited out for a hold, and then believed") {
  World w;
  Answer unknown = primary();
  unknown.state = State::unknown;
  unknown.location.reset();
  w.pass(1s);
  says(w.seen, 0, unknown, w.now);
  w.judge_now();
  CHECK(w.last.topology.writer_state == WriterState::holding);
  CHECK(w.write(0).place == Place::leave);
  CHECK(w.write(1).place == Place::out);
  w.pass(990ms);
  says(w.seen, 0, unknown, w.now);
  w.judge_now();
  CHECK(w.last.topology.writer_state == WriterState::holding);
  w.pass(20ms);
  says(w.seen, 0, unknown, w.now);
  w.judge_now();
  CHECK(w.last.topology.writer_state == WriterState::none);
  CHECK(w.write(0).place == Place::out);
  w.pass(20ms);
  says(w.seen, 0, primary(), w.now);
  w.judge_now();
  CHECK(w.last.topology.writer == 0u);
}

TEST_CASE("silence alone never takes the writer out: it is kept while others see the cluster locked") {
  World w;
  falls_silent(w.seen, 0, w.now + 1ms, Failure::timed_out);
  for (int i = 0; i < 100; ++i) {
    w.pass(1s);
    says(w.seen, 1, replica(), w.now);
    says(w.seen, 2, replica(), w.now);
    w.judge_now();
    REQUIRE(w.write(0).place == Place::in);
  }
  CHECK(w.write(0).reason == Reason::kept_locked);
  CHECK_FALSE(w.last.topology.alarms.empty());
}

TEST_CASE("a writer whose last word was that it is not running, and that falls silent then, is not asserted") {
  World w;
  w.pass(1s);
  Answer last = primary();
  last.code = 503;
  SECTION("PostgreSQL restarts") {
    last.state = State::restarting;
  }
  SECTION("it has lost the lock") {
    last.state = State::running;
  }
  says(w.seen, 0, last, w.now);
  w.judge_now();
  CHECK(w.write(0).reason == Reason::holding);
  falls_silent(w.seen, 0, w.now + 10ms);
  for (int i = 0; i < 29; ++i) {
    w.pass(1s);
    says(w.seen, 1, replica(), w.now);
    says(w.seen, 2, replica(), w.now);
    w.judge_now();
    REQUIRE(w.write(0).place == Place::leave);
    REQUIRE(w.last.topology.writer_state == WriterState::holding);
  }
  w.pass(2s);
  says(w.seen, 1, replica(), w.now);
  says(w.seen, 2, replica(), w.now);
  w.judge_now();
  CHECK(w.write(0).place == Place::leave);
  CHECK(w.last.topology.writer_state == WriterState::let_go);
}

TEST_CASE("a writer with the lock, one of whose queries failed before it fell silent, is kept") {
  World w;
  w.pass(1s);
  Answer last = primary();
  last.state = State::unknown;
  says(w.seen, 0, last, w.now);
  w.judge_now();
  falls_silent(w.seen, 0, w.now + 10ms);
  w.pass(10s);
  says(w.seen, 1, replica(), w.now);
  w.judge_now();
  CHECK(w.write(0).place == Place::in);
  CHECK(w.write(0).reason == Reason::kept_locked);
}

TEST_CASE("with everybody silent the writer is kept for keep_silent, then let go, never forced down") {
  World w;
  for (std::size_t i = 0; i < 3; ++i) falls_silent(w.seen, i, w.now + 1ms);
  w.pass(29s);
  w.judge_now();
  CHECK(w.write(0).reason == Reason::kept_silent);
  CHECK(w.write(0).place == Place::in);
  w.pass(2s);
  w.judge_now();
  CHECK(w.last.topology.writer_state == WriterState::let_go);
  for (std::size_t i = 0; i < 3; ++i) CHECK(w.write(i).place == Place::leave);
}

TEST_CASE("an unlocked cluster counts only from a member that has seen the DCS since the silence began") {
  World w;
  falls_silent(w.seen, 0, w.now + 1ms);
  w.pass(5s);
  Answer unlocked = replica();
  unlocked.cluster_unlocked = true;
  unlocked.dcs_last_seen = *unlocked.date - 9;
  says(w.seen, 1, unlocked, w.now);
  falls_silent(w.seen, 2, w.now - 4s);
  w.judge_now();
  CHECK(w.write(0).reason == Reason::kept_silent);
  unlocked.dcs_last_seen = *unlocked.date - 1;
  SECTION("and then the writer is let go") {
    says(w.seen, 1, unlocked, w.now);
    w.judge_now();
    CHECK(w.last.topology.writer_state == WriterState::let_go);
  }
  SECTION("not in failsafe mode") {
    unlocked.failsafe = true;
    says(w.seen, 1, unlocked, w.now);
    w.judge_now();
    CHECK(w.write(0).reason == Reason::kept_silent);
  }
  SECTION("not under pause, where a replica that streams keeps it") {
    unlocked.pause = true;
    says(w.seen, 1, unlocked, w.now);
    w.judge_now();
    CHECK(w.write(0).reason == Reason::kept_paused);
  }
}

TEST_CASE("a fenced holder that falls silent stays out, but not for ever") {
  World w;
  w.pass(1s);
  Answer crashed = primary();
  crashed.state = State::crashed;
  says(w.seen, 0, crashed, w.now);
  w.judge_now();
  falls_silent(w.seen, 0, w.now + 10ms);
  w.pass(10s);
  w.judge_now();
  CHECK(w.write(0).place == Place::out);
  w.pass(40s);
  w.judge_now();
  CHECK(w.write(0).place == Place::leave);
}

TEST_CASE("members of another scope or system are out everywhere") {
  World w;
  Answer other = primary();
  other.scope = "other";
  says(w.seen, 1, other, w.now);
  Answer another = replica();
  another.system_identifier = "7000000000000000009";
  says(w.seen, 2, another, w.now);
  w.judge_now();
  CHECK(w.last.topology.writer == 0u);
  CHECK(w.read(1).reason == Reason::wrong_scope);
  CHECK(w.read(2).reason == Reason::wrong_system);
  CHECK(w.read(2).place == Place::out);
}

TEST_CASE("a new system identifier is adopted once nobody reports the old one and the lock holder reports the new") {
  World w;
  Answer anew = primary();
  anew.system_identifier = "7000000000000000009";
  w.pass(5s);
  says(w.seen, 1, anew, w.now);
  says(w.seen, 2, replica(), w.now);
  w.judge_now();
  CHECK(w.last.topology.writer != 1u);
  w.pass(40s);
  says(w.seen, 1, anew, w.now);
  w.judge_now();
  CHECK(w.last.topology.writer == 1u);
}

TEST_CASE("nobody seen yet: nothing is asserted and nobody removed") {
  const ClusterSnapshot seen = three();
  const Judgement j = judge(seen, {}, policy(), kStart);
  CHECK(j.topology.writer_state == WriterState::unknown);
  for (const MemberVerdict& member : j.topology.members) {
    CHECK(member.write.place == Place::leave);
    CHECK(member.read.place == Place::leave);
    CHECK(member.write.reason == Reason::unseen);
  }
}
