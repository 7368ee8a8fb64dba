#include "controller/announced.h"

#include "controller/judge.h"
#include "tests/catch.h"
#include "tests/unit/members.h"

using namespace members;

namespace {

/// pg1 is the writer, and all is well.
struct World {
  ClusterSnapshot seen = three();
  ClusterConfig config = policy();
  Memory judged;
  HoldMemory memory;
  Instant now = kStart;

  World() { all_well(0); }
  void all_well(std::size_t writer) {
    for (std::size_t i = 0; i < 3; ++i) says(seen, i, i == writer ? primary() : replica(), now);
  }
  HoldReason hold() {
    const Judgement judgement = judge(seen, judged, config, now);
    judged = judgement.memory;
    return judge_hold(seen, judgement.topology, config, now, memory).reason;
  }
  /// Time goes by in steps of 20 ms while everybody answers as before.
  HoldReason after(Duration time, std::size_t writer = 0) {
    HoldReason reason = hold();
    for (const Instant until = now + time; now < until;) {
      now += 20ms;
      all_well(writer);
      reason = hold();
    }
    return reason;
  }
  void announce(const std::string& id, const std::string& from = "pg1") { seen.switchover = Handover{id, from, now}; }
  void stop(const std::string& member) {
    std::uint64_t number = 1;
    for (const auto& stop : seen.stops) number = std::max(number, stop.number + 1);
    seen.stops.push_back({number, member, now});
  }
};

Answer stopping() {
  Answer answer = primary();
  answer.state = State::stopping;
  return answer;
}

}  // namespace

TEST_CASE("in calm nobody waits") {
  World w;
  CHECK(w.after(5s) == HoldReason::none);
}

TEST_CASE("an announced switchover holds for pre_hold, once, where nothing comes of it") {
  World w;
  w.hold();
  w.announce("7");
  CHECK(w.hold() == HoldReason::switchover);
  CHECK(w.after(980ms) == HoldReason::switchover);
  CHECK(w.after(40ms) == HoldReason::none);
  CHECK(w.after(60s) == HoldReason::none);
}

TEST_CASE("a switchover from another member, or one that is not due yet, holds nobody") {
  World w;
  w.hold();
  w.announce("7", "pg2");
  CHECK(w.hold() == HoldReason::none);
  w.announce("8");
  w.seen.switchover->due = w.now + 1s;
  CHECK(w.after(980ms) == HoldReason::none);
  CHECK(w.after(40ms) == HoldReason::switchover);
}

TEST_CASE("a switchover that is taken back ends the hold with the next good answer") {
  World w;
  w.hold();
  w.announce("7");
  CHECK(w.after(100ms) == HoldReason::switchover);
  w.seen.switchover.reset();
  CHECK(w.hold() == HoldReason::switchover);
  CHECK(w.after(40ms) == HoldReason::none);
}

TEST_CASE("a watch that announces one switchover after another is believed once in a longest hold") {
  World w;
  w.hold();
  Duration held{};
  for (int i = 0; i < 4000; ++i) {
    if (i % 50 == 0) w.announce(std::to_string(i));
    if (w.after(20ms) != HoldReason::none) held += 20ms;
  }
  CHECK(held <= 3 * 1040ms);
  CHECK(held >= 1000ms);
}

TEST_CASE("what the holder shows makes the hold last until another is the writer") {
  World w;
  w.hold();
  w.announce("7");
  CHECK(w.after(200ms) == HoldReason::switchover);
  for (int i = 0; i < 100; ++i) {
    w.now += 20ms;
    says(w.seen, 0, stopping(), w.now);
    CHECK(w.hold() == HoldReason::switchover);
  }
  w.now += 20ms;
  w.all_well(1);
  w.seen.switchover.reset();
  CHECK(w.hold() == HoldReason::none);
  w.announce("8", "pg2");  // it came true: the next one is believed at once
  CHECK(w.hold() == HoldReason::switchover);
}

TEST_CASE("silence after an announcement counts as more seen, up to the longest hold") {
  World w;
  w.config.hold = 10s;
  w.hold();
  w.stop("pg1");
  CHECK(w.hold() == HoldReason::stop);
  w.now += 20ms;
  falls_silent(w.seen, 0, w.now);
  for (int i = 0; i < 480; ++i) {
    w.now += 20ms;
    CHECK(w.hold() == HoldReason::stop);
  }
  w.now += 1s;
  CHECK(w.hold() == HoldReason::none);
}

TEST_CASE("a stop that is announced when the API is silent already is waited for: the hook is the member's own word") {
  World w;
  w.config.hold = 10s;
  w.hold();
  falls_silent(w.seen, 0, w.now);
  const auto others_answer = [&] {
    for (const std::size_t i : {1, 2}) says(w.seen, i, replica(), w.now);
  };
  w.now += 500ms;
  others_answer();
  CHECK(w.hold() == HoldReason::none);
  w.stop("pg1");
  for (int i = 0; i < 490; ++i) {
    CHECK(w.hold() == HoldReason::stop);
    w.now += 20ms;
    others_answer();
  }
  w.now += 1s;
  CHECK(w.hold() == HoldReason::none);
}

TEST_CASE("a stop of a replica holds nobody, and one of the writer that comes to nothing is over after pre_hold") {
  World w;
  w.hold();
  w.stop("pg2");
  CHECK(w.after(100ms) == HoldReason::none);
  w.stop("pg1");
  CHECK(w.hold() == HoldReason::stop);
  CHECK(w.after(1020ms) == HoldReason::none);
}

TEST_CASE("a hook after a long CHECKPOINT is believed though the switchover's own hold came to nothing") {
  World w;
  w.hold();
  w.announce("7");
  CHECK(w.after(5s) == HoldReason::none);
  w.stop("pg1");
  CHECK(w.hold() == HoldReason::stop);
}

TEST_CASE("a holder that hangs after the announcement is waited for, though its request has not failed yet") {
  World w;
  w.hold();
  w.stop("pg1");
  CHECK(w.hold() == HoldReason::stop);
  for (int i = 0; i < 74; ++i) {  // the last answer is the one before the stop, until the request times out
    w.now += 20ms;
    CHECK(w.hold() == HoldReason::stop);
  }
  falls_silent(w.seen, 0, w.now - 1480ms);
  for (int i = 0; i < 50; ++i) {
    w.now += 20ms;
    CHECK(w.hold() == HoldReason::stop);
  }
  w.now += 20ms;
  w.all_well(1);
  CHECK(w.hold() == HoldReason::none);
}

TEST_CASE("a holder that was silent before the announcement is held for pre_hold only") {
  World w;
  w.hold();
  falls_silent(w.seen, 0, w.now);
  w.now += 5s;
  says(w.seen, 1, replica(), w.now);
  says(w.seen, 2, replica(), w.now);
  CHECK(w.hold() == HoldReason::none);
  w.announce("7");
  CHECK(w.hold() == HoldReason::switchover);
  w.now += 980ms;
  CHECK(w.hold() == HoldReason::switchover);
  w.now += 40ms;
  CHECK(w.hold() == HoldReason::none);
}

TEST_CASE("a hook that announces one stop after another that does not come is believed three times in a row") {
  World w;
  w.hold();
  Duration held{};
  for (int i = 0; i < 1500; ++i) {
    if (i % 10 == 0) w.stop("pg1");
    if (w.after(20ms) != HoldReason::none) held += 20ms;
  }
  CHECK(held >= 2900ms);
  CHECK(held <= 3500ms);
}

TEST_CASE("a stop after which the writer is back, restarted, came true: the next one is believed") {
  World w;
  w.hold();
  for (int i = 1; i <= 5; ++i) {
    w.stop("pg1");
    CHECK(w.hold() == HoldReason::stop);
    w.now += 20ms;
    says(w.seen, 0, stopping(), w.now);
    CHECK(w.hold() == HoldReason::stop);
    w.now += 2s;
    for (std::size_t m = 0; m < 3; ++m) {
      Answer answer = m == 0 ? primary() : replica();
      if (m == 0) answer.postmaster_start_time = "start " + std::to_string(i);
      says(w.seen, m, answer, w.now);
    }
    CHECK(w.hold() == HoldReason::none);
  }
}

TEST_CASE("a switchover that is announced before the writer is known holds as soon as it is") {
  World w;
  w.seen = three();
  for (auto& member : w.seen.members) member.name.clear();
  w.announce("7");
  CHECK(w.hold() == HoldReason::none);
  for (std::size_t i = 0; i < 3; ++i) w.seen.members[i].name = "pg" + std::to_string(i + 1);
  w.all_well(0);
  CHECK(w.hold() == HoldReason::switchover);
}

TEST_CASE("with pre_hold 0 announcements hold nobody") {
  World w;
  w.config.pre_hold = 0ms;
  w.hold();
  w.announce("7");
  CHECK(w.hold() == HoldReason::none);
}

TEST_CASE("a writer that wavers is waited for") {
  World w;
  w.hold();
  Answer unknown = primary();
  unknown.state = State::unknown;
  w.now += 50ms;
  says(w.seen, 0, unknown, w.now);
  CHECK(w.hold() == HoldReason::wavers);
}
