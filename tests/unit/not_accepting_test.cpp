#include "controller/announced.h"
#include "controller/judge.h"
#include "tests/catch.h"
#include "tests/unit/members.h"

using namespace members;

namespace {

/// pg1 is the writer, of a Patroni that does not tell who streams; its port says what a test has it say, when it is asked.
struct World {
  ClusterSnapshot seen = three();
  ClusterConfig config = policy();
  Memory judged;
  HoldMemory memory;
  Instant now = kStart;
  bool api_answers = true;
  std::optional<PortSays> port = PortSays::accepting;

  World() {
    config.hold = 10s;
    after(200ms);
  }
  HoldReason hold() {
    const Judgement judgement = judge(seen, judged, config, now);
    judged = judgement.memory;
    return judge_hold(seen, judgement.topology, config, now, memory).reason;
  }
  /// Turns of 20 ms in which the others answer, and pg1's port is asked while its API says nothing.
  HoldReason after(Duration time) {
    HoldReason reason = hold();
    for (const Instant until = now + time; now < until;) {
      now += 20ms;
      Sighting& writer = seen.members[0];
      if (api_answers) {
        says(seen, 0, primary(), now);
        writer.in_flight.reset();
        writer.port.reset();
      } else if (port) {
        writer.port = PortReport{{"127.0.0.11", 5432}, now - 2ms, now, *port, "as told"};
      }
      for (const std::size_t other : {1U, 2U}) {
        Answer answer = replica();
        answer.replication_state.reset();
        says(seen, other, answer, now);
      }
      reason = hold();
    }
    return reason;
  }
  /// A request to pg1's API is begun, and brings nothing.
  void ask_in_vain() {
    api_answers = false;
    now += 20ms;
    seen.members[0].in_flight = now;
  }
  void request_fails() {
    api_answers = false;
    falls_silent(seen, 0, seen.members[0].in_flight.value_or(now), Failure::timed_out);
  }
};

}  // namespace

TEST_CASE("a writer whose API is late is held as soon as its port says nothing, or that it does not accept") {
  for (const PortSays says : {PortSays::nothing, PortSays::rejecting}) {
    World w;
    w.ask_in_vain();
    w.port.reset();
    CHECK(w.after(300ms) == HoldReason::none);  // not asked yet
    w.port = says;
    CHECK(w.after(20ms) == HoldReason::not_accepting);
    CHECK(w.after(1s) == HoldReason::not_accepting);
    w.request_fails();
    CHECK(w.after(5s) == HoldReason::not_accepting);
  }
}

TEST_CASE("a writer whose port accepts lives, and holds nobody, however long its API says nothing") {
  World w;
  w.ask_in_vain();
  CHECK(w.after(1500ms) == HoldReason::none);
  w.request_fails();
  CHECK(w.after(60s) == HoldReason::none);
}

TEST_CASE("a port that does not accept holds nobody while the API answers, or is not late yet") {
  World w;
  w.port = PortSays::nothing;
  w.seen.members[0].port = PortReport{{"127.0.0.11", 5432}, w.now, w.now, PortSays::nothing, "refused"};
  CHECK(w.hold() == HoldReason::none);
  w.ask_in_vain();
  CHECK(w.after(100ms) == HoldReason::none);
  CHECK(w.after(20ms) == HoldReason::not_accepting);
}

TEST_CASE("what a port said before the silence, or long ago, is no evidence") {
  World w;
  w.seen.members[0].port = PortReport{{"127.0.0.11", 5432}, w.now, w.now, PortSays::nothing, "refused"};
  w.port.reset();
  w.ask_in_vain();
  CHECK(w.after(500ms) == HoldReason::none);
  w.now += 10s;  // asleep
  w.seen.members[0].port->asked_at = w.now - 3s;
  CHECK(w.hold() == HoldReason::none);
  w.seen.members[0].port->asked_at = w.now - 2900ms;
  CHECK(w.hold() == HoldReason::not_accepting);
}

TEST_CASE("the hold goes when the port accepts again, when the API answers, and when another is the writer") {
  World w;
  w.port = PortSays::rejecting;
  w.ask_in_vain();
  w.request_fails();
  CHECK(w.after(2s) == HoldReason::not_accepting);
  w.port = PortSays::accepting;
  CHECK(w.after(20ms) == HoldReason::none);
  w.port = PortSays::nothing;
  CHECK(w.after(20ms) == HoldReason::not_accepting);
  w.api_answers = true;
  CHECK(w.after(20ms) == HoldReason::none);
  w.ask_in_vain();
  w.request_fails();
  CHECK(w.after(100ms) == HoldReason::not_accepting);
  w.now += 20ms;
  says(w.seen, 1, primary(), w.now);
  CHECK(w.hold() == HoldReason::none);
}

TEST_CASE("an answer that denies does not end it: another will be the writer") {
  World w;
  w.port = PortSays::rejecting;
  w.ask_in_vain();
  w.request_fails();
  CHECK(w.after(1s) == HoldReason::not_accepting);
  Answer stopping = primary();
  stopping.state = State::stopping;
  w.now += 20ms;
  says(w.seen, 0, stopping, w.now);
  w.seen.members[0].port.reset();
  CHECK(w.hold() == HoldReason::not_accepting);
}

TEST_CASE("a hold for a writer that stays dead is over after the longest hold, and does not come again for the same silence") {
  World w;
  w.port = PortSays::nothing;
  w.ask_in_vain();
  w.request_fails();
  CHECK(w.after(9800ms) == HoldReason::not_accepting);
  CHECK(w.after(500ms) == HoldReason::none);
  CHECK(w.after(60s) == HoldReason::none);
  w.api_answers = true;
  CHECK(w.after(1s) == HoldReason::none);
  w.ask_in_vain();
  CHECK(w.after(500ms) == HoldReason::not_accepting);
}

TEST_CASE("a port that accepts now and then is believed three times in a row") {
  World w;
  w.ask_in_vain();
  w.request_fails();
  Duration held{};
  for (int i = 0; i < 40; ++i) {
    w.port = i % 2 == 0 ? PortSays::nothing : PortSays::accepting;
    if (w.after(100ms) == HoldReason::not_accepting) held += 100ms;
  }
  CHECK(held == 300ms);
}

TEST_CASE("a start while the last writer is cut off: its port is believed before the first request has failed") {
  World w;
  w.seen = three();
  w.judged = Memory{};
  w.judged.holder = url(0);
  w.port.reset();
  w.ask_in_vain();
  CHECK(w.after(600ms) == HoldReason::none);
  w.port = PortSays::nothing;
  CHECK(w.after(20ms) == HoldReason::not_accepting);
}

TEST_CASE("a silent replica's port holds nobody") {
  World w;
  w.after(100ms);
  falls_silent(w.seen, 1, w.now);
  w.seen.members[1].port = PortReport{{"127.0.0.12", 5432}, w.now, w.now, PortSays::nothing, "refused"};
  CHECK(w.hold() == HoldReason::none);
}
