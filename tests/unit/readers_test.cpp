#include "tests/catch.h"
#include "tests/unit/members.h"

using namespace members;

namespace {

struct World {
  ClusterSnapshot seen = three();
  ClusterConfig config = policy();
  Memory memory;
  Instant now = kStart;
  Judgement last;

  World() {
    config.backends[1].max_lag_bytes = 16'000;
    config.backends[1].lag_back_bytes = 12'000;
    says(seen, 0, primary(), now);
    says(seen, 1, replica(), now);
    says(seen, 2, replica(), now);
    judge_now();
  }
  void judge_now() {
    last = judge(seen, memory, config, now);
    memory = last.memory;
  }
  void replica_says(Answer a) {
    says(seen, 0, primary(), now);
    says(seen, 1, std::move(a), now);
    judge_now();
  }
  const Verdict& read(std::size_t member) const { return last.reads[1][member]; }
};

Answer lagging(std::uint64_t bytes) {
  Answer a = replica();
  a.replayed = 1'000'000 - bytes;
  return a;
}

}  // namespace

TEST_CASE("running replicas serve reads and the primary does not") {
  World w;
  CHECK(w.read(0).place == Place::out);
  CHECK(w.read(0).reason == Reason::not_replica);
  CHECK(w.read(1).place == Place::in);
  CHECK(w.read(2).reason == Reason::reads);
  CHECK(w.last.reads[0].empty());
}

TEST_CASE("a replica that is tagged, stopping, on another timeline or not streaming is out") {
  World w;
  const auto why = GENERATE(Reason::noloadbalance, Reason::not_running, Reason::wrong_timeline, Reason::not_streaming);
  Answer a = replica();
  if (why == Reason::noloadbalance) a.noloadbalance = true;
  if (why == Reason::not_running) a.state = State::stopping;
  if (why == Reason::wrong_timeline) a.timeline = 2;
  if (why == Reason::not_streaming) a.replication_state.reset();
  w.replica_says(a);
  CHECK(w.read(1).place == Place::out);
  CHECK(w.read(1).reason == why);
}

TEST_CASE("replicas that break off from a writer that has not answered since stay, as it may be the writer that stops") {
  World w;
  Answer broken = replica();
  if (GENERATE(true, false)) {
    broken.replication_state.reset();
  } else {
    broken.timeline = 4;
  }
  for (int i = 0; i < 20; ++i) {
    w.now += 50ms;
    for (const std::size_t member : {1u, 2u}) says(w.seen, member, broken, w.now);
    w.judge_now();
    CHECK(w.last.topology.writer_state == WriterState::settled);
    CHECK(w.read(1).reason == Reason::reads);
    CHECK(w.read(2).reason == Reason::reads);
  }
  says(w.seen, 0, primary(), w.now);  // it is not: they are out, and stay out where the writer's answer is the older one again
  for (int i = 0; i < 20; ++i) {
    w.judge_now();
    CHECK(w.read(1).place == Place::out);
    w.now += 20ms;
    says(w.seen, 1, broken, w.now);
  }
  says(w.seen, 1, replica(), w.now);
  w.judge_now();
  CHECK(w.read(1).reason == Reason::reads);
}

TEST_CASE("an unknown timeline is not a wrong one") {
  World w;
  Answer a = replica();
  a.timeline.reset();
  w.replica_says(a);
  CHECK(w.read(1).place == Place::in);
}

TEST_CASE("before 3.0.4 the upstream tells who streams") {
  World w;
  Answer old = replica();
  old.version = "3.0.2";
  old.replication_state.reset();
  Answer upstream = primary();
  upstream.replication = {{"pg2", "127.0.0.1", "streaming"}};
  for (const std::size_t i : {1u, 2u}) says(w.seen, i, old, w.now);
  says(w.seen, 0, upstream, w.now);
  w.judge_now();
  CHECK(w.read(1).place == Place::in);
  CHECK(w.read(2).reason == Reason::not_streaming);

  SECTION("a cascading replica is found at its own upstream") {
    Answer cascading = old;
    cascading.replication = {{"pg3", "127.0.0.1", "streaming"}};
    says(w.seen, 1, cascading, w.now);
    w.judge_now();
    CHECK(w.read(2).place == Place::in);
  }
  SECTION("while somebody is silent, being on no list proves nothing") {
    falls_silent(w.seen, 1, w.now);
    w.now += 2s;
    says(w.seen, 0, upstream, w.now);
    says(w.seen, 2, old, w.now);
    w.judge_now();
    CHECK(w.read(2).place == Place::in);
  }
}

TEST_CASE("over max_lag a replica is drained, and it comes back after lag_hold under lag_back") {
  World w;
  w.replica_says(lagging(16'001));
  CHECK(w.read(1).place == Place::drain);
  CHECK(w.read(1).reason == Reason::lagging);
  CHECK(w.last.topology.members[1].lag_bytes == 16'001u);
  w.now += 1s;
  w.replica_says(lagging(14'000));
  CHECK(w.read(1).place == Place::drain);
  w.now += 1s;
  w.replica_says(lagging(11'000));
  w.now += 4s;
  w.replica_says(lagging(11'000));
  CHECK(w.read(1).place == Place::drain);
  w.now += 1s;
  w.replica_says(lagging(11'000));
  CHECK(w.read(1).place == Place::in);
  w.now += 1s;
  w.replica_says(lagging(14'000));
  CHECK(w.read(1).place == Place::in);
}

TEST_CASE("a replica ahead of the writer's older report has no lag") {
  World w;
  Answer ahead = replica();
  ahead.replayed = 2'000'000;
  w.replica_says(ahead);
  CHECK(w.last.topology.members[1].lag_bytes == 0u);
  CHECK(w.read(1).place == Place::in);
}

TEST_CASE("within `follow` of a change of writer only role and state remove a reader") {
  World w;
  w.now += 20s;
  Answer promoted = primary();
  promoted.timeline = 4;
  says(w.seen, 1, promoted, w.now);
  says(w.seen, 2, replica(), w.now);  // timeline 3 still
  says(w.seen, 0, replica(), w.now);
  w.judge_now();
  REQUIRE(w.last.topology.writer == 1u);
  CHECK(w.read(2).place == Place::in);
  w.now += 16s;
  says(w.seen, 1, promoted, w.now);
  says(w.seen, 2, replica(), w.now);
  w.judge_now();
  CHECK(w.read(2).reason == Reason::wrong_timeline);
}

TEST_CASE("a silent reader is neither asserted nor removed") {
  World w;
  falls_silent(w.seen, 1, w.now);
  w.now += 2s;
  says(w.seen, 0, primary(), w.now);
  w.judge_now();
  CHECK(w.read(1).place == Place::leave);
  CHECK(w.read(1).reason == Reason::silent);
}

TEST_CASE("without a writer lag and timeline remove nobody") {
  World w;
  w.now += 2s;
  falls_silent(w.seen, 0, w.now - 1s);
  Answer behind = lagging(500'000);
  behind.timeline = 2;
  says(w.seen, 1, behind, w.now);
  w.judge_now();
  CHECK(w.read(1).place == Place::in);
}
