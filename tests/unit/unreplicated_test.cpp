#include "controller/unreplicated.h"

#include "controller/announced.h"
#include "controller/judge.h"
#include "tests/catch.h"
#include "tests/unit/members.h"

using namespace members;

namespace {

/// As Patroni has it from 3.0.4 on: the writer names who streams from it, and they say so themselves.
Answer writer() {
  Answer answer = primary();
  answer.replication = {{"pg2", "127.0.0.12", "streaming"}, {"pg3", "127.0.0.13", "streaming"}};
  return answer;
}
Answer lost() {
  Answer answer = replica();
  answer.replication_state.reset();
  return answer;
}

/// pg1 is the writer, and streams to pg2 and pg3.
struct World {
  ClusterSnapshot seen = three();
  ClusterConfig config = policy();
  Memory judged;
  HoldMemory memory;
  HoldVerdict verdict;
  Instant now = kStart;
  Answer says1 = writer(), says2 = replica(), says3 = replica();

  World() {
    config.hold = 10s;
    for (int i = 0; i < 10; ++i) all_answer();
  }
  HoldReason hold() {
    const Judgement judgement = judge(seen, judged, config, now);
    judged = judgement.memory;
    verdict = judge_hold(seen, judgement.topology, config, now, memory);
    return verdict.reason;
  }
  HoldReason all_answer() {
    now += 20ms;
    says(seen, 0, says1, now);
    seen.members[0].in_flight.reset();
    return replicas_answer(0ms);
  }
  /// And pg1 says nothing.
  HoldReason replicas_answer(Duration later = 20ms) {
    now += later;
    says(seen, 1, says2, now);
    says(seen, 2, says3, now);
    return hold();
  }
  HoldReason replicas_answer_for(Duration time) {
    HoldReason reason = hold();
    for (const Instant until = now + time; now < until;) reason = replicas_answer();
    return reason;
  }
  /// A request to pg1 is begun, and brings nothing from now on.
  void ask_writer() {
    now += 20ms;
    seen.members[0].in_flight = now;
  }
  void request_fails(Failure failure = Failure::timed_out) {
    falls_silent(seen, 0, seen.members[0].in_flight.value_or(now), failure);
    seen.members[0].in_flight.reset();
  }
  void stop_gracefully() {
    ask_writer();
    says2 = says3 = lost();
  }
};

}  // namespace

TEST_CASE("a writer that says nothing while its replicas stream no more is held within 120 ms, until another is the writer") {
  World w;
  w.stop_gracefully();
  CHECK(w.replicas_answer_for(100ms) == HoldReason::none);
  CHECK(w.verdict.uncertain);
  CHECK(w.replicas_answer() == HoldReason::unreplicated);
  CHECK(w.replicas_answer_for(1400ms) == HoldReason::unreplicated);
  w.request_fails();
  CHECK(w.replicas_answer_for(1s) == HoldReason::unreplicated);
  w.now += 20ms;
  w.says2 = writer();
  CHECK(w.replicas_answer() == HoldReason::none);
}

TEST_CASE("a writer that refuses is waited for with the first replica's word") {
  World w;
  w.request_fails(Failure::refused);
  CHECK(w.replicas_answer() == HoldReason::none);  // it takes a moment until they notice
  w.says2 = w.says3 = lost();
  CHECK(w.replicas_answer() == HoldReason::unreplicated);
}

TEST_CASE("a writer that says nothing and streams lives: a frozen or killed API alone holds nobody") {
  World w;
  w.ask_writer();
  CHECK(w.replicas_answer_for(1500ms) == HoldReason::none);
  w.request_fails();
  CHECK(w.replicas_answer_for(20s) == HoldReason::none);
}

TEST_CASE("one replica that streams still is enough for the writer to live") {
  World w;
  w.ask_writer();
  w.says2 = lost();
  CHECK(w.replicas_answer_for(3s) == HoldReason::none);
  w.says2 = replica();
  w.says3 = lost();
  CHECK(w.replicas_answer_for(3s) == HoldReason::none);
}

TEST_CASE("a replica that has not answered since the silence began is waited for, one that is silent itself is not") {
  World w;
  w.stop_gracefully();
  w.now += 60ms;
  says(w.seen, 1, lost(), w.now);
  w.seen.members[2].in_flight = w.now;
  w.now += 90ms;
  CHECK(w.hold() == HoldReason::none);
  w.now += 40ms;
  CHECK(w.hold() == HoldReason::unreplicated);
}

TEST_CASE("replicas that stream no more from a writer that answers hold nobody, neither then nor at its next silence") {
  World w;
  w.says2 = w.says3 = lost();
  for (int i = 0; i < 20; ++i) CHECK(w.all_answer() == HoldReason::none);
  CHECK_FALSE(w.verdict.uncertain);
  w.ask_writer();
  CHECK(w.replicas_answer_for(3s) == HoldReason::none);
}

TEST_CASE("a replica in archive recovery has lost the writer as one without a restore_command has, and does so once") {
  World w;
  w.stop_gracefully();
  w.says2.replication_state = w.says3.replication_state = "in archive recovery";
  CHECK(w.replicas_answer_for(200ms) == HoldReason::unreplicated);
  w.says1.replication.clear();
  CHECK(w.all_answer() == HoldReason::none);
  CHECK(w.all_answer() == HoldReason::none);
  w.ask_writer();
  CHECK(w.replicas_answer_for(3s) == HoldReason::none);
}

TEST_CASE("a replica whose own PostgreSQL was started anew, stops, or is being made, says nothing of the writer") {
  World w;
  w.stop_gracefully();
  w.says2.postmaster_start_time = w.says3.postmaster_start_time = "2026-01-02 00:00:00+00:00";
  CHECK(w.replicas_answer_for(3s) == HoldReason::none);
  World v;
  v.stop_gracefully();
  v.says2.state = v.says3.state = State::stopping;
  CHECK(v.replicas_answer_for(3s) == HoldReason::none);
}

TEST_CASE("replicas that streamed from somebody else, and those of 3.0.2 that never say, know nothing of the writer") {
  World cascade;
  cascade.says1.replication.clear();
  cascade.says2.replication_state.reset();
  for (int i = 0; i < 3; ++i) cascade.all_answer();
  cascade.says2.replication_state = "streaming";
  cascade.says3.replication_state.reset();
  for (int i = 0; i < 3; ++i) cascade.all_answer();
  cascade.stop_gracefully();
  CHECK(cascade.replicas_answer_for(3s) == HoldReason::none);

  ClusterSnapshot old = three();
  says(old, 0, writer(), kStart);
  says(old, 1, lost(), kStart);
  Streamers streamers;
  note_streamers(old, old.members[0], true, streamers);
  CHECK(streamers.started.empty());
}

TEST_CASE("a writer that answers after all denies it, and is believed when it stops the next time") {
  World w;
  w.stop_gracefully();
  CHECK(w.replicas_answer_for(200ms) == HoldReason::unreplicated);
  w.says2 = w.says3 = replica();
  CHECK(w.all_answer() == HoldReason::none);
  CHECK(w.all_answer() == HoldReason::none);
  w.stop_gracefully();
  CHECK(w.replicas_answer_for(200ms) == HoldReason::unreplicated);
}

TEST_CASE("a slow answer to a request from before the stop ends the hold for a moment only") {
  World w;
  w.stop_gracefully();
  CHECK(w.replicas_answer_for(200ms) == HoldReason::unreplicated);
  const Instant asked = *w.seen.members[0].in_flight;
  w.seen.members[0].answer = MemberReport{asked, w.now + 20ms, writer()};
  w.seen.members[0].in_flight.reset();
  CHECK(w.replicas_answer() == HoldReason::none);
  CHECK(w.verdict.uncertain);
  w.ask_writer();
  w.request_fails(Failure::refused);
  CHECK(w.replicas_answer() == HoldReason::unreplicated);
}

TEST_CASE("a hold for a writer that stays silent is over after the longest hold, and does not come again") {
  World w;
  w.stop_gracefully();
  CHECK(w.replicas_answer_for(200ms) == HoldReason::unreplicated);
  w.request_fails();
  CHECK(w.replicas_answer_for(9800ms) == HoldReason::unreplicated);
  CHECK(w.replicas_answer_for(200ms) == HoldReason::none);
  CHECK(w.replicas_answer_for(60s) == HoldReason::none);
}

TEST_CASE("replicas that stream again from a silent writer for a second end the hold") {
  World w;
  w.stop_gracefully();
  CHECK(w.replicas_answer_for(200ms) == HoldReason::unreplicated);
  w.says2 = replica();
  CHECK(w.replicas_answer_for(980ms) == HoldReason::unreplicated);
  CHECK(w.replicas_answer_for(60ms) == HoldReason::none);
  World v;  // from another one, on its timeline: that one is about to be the writer
  v.stop_gracefully();
  CHECK(v.replicas_answer_for(200ms) == HoldReason::unreplicated);
  v.says2 = replica();
  v.says2.timeline = 4;
  CHECK(v.replicas_answer_for(5s) == HoldReason::unreplicated);
}

TEST_CASE("a writer whose replicas come and go while it says nothing for moments is believed three times in a row") {
  World w;
  Duration held{};
  for (int i = 0; i < 30; ++i) {
    w.stop_gracefully();
    if (w.replicas_answer_for(200ms) == HoldReason::unreplicated) held += 100ms;
    w.says2 = w.says3 = replica();
    w.all_answer();
    w.all_answer();
  }
  CHECK(held >= 300ms);
  CHECK(held <= 400ms);
}

TEST_CASE("with pre_hold 0, which is for announcements, what replicas show holds all the same") {
  World w;
  w.config.pre_hold = 0ms;
  w.stop_gracefully();
  CHECK(w.replicas_answer_for(200ms) == HoldReason::unreplicated);
}
