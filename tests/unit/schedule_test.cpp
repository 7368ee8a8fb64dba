#include "controller/schedule.h"

#include "tests/catch.h"

using namespace controller;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Instant kStart{std::chrono::hours(1)};
const Poll kPoll{};

MemberReport said(Answer answer, Duration took = milliseconds(1)) {
  return {kStart, kStart + took, std::move(answer)};
}

Answer primary() {
  Answer answer;
  answer.code = 200;
  answer.role = Role::primary;
  answer.state = State::running;
  answer.timeline = 3;
  answer.postmaster_start_time = "2026-11-22 04:46:10";
  answer.system_identifier = "77";
  return answer;
}

template <class Change>
bool news(Change change) {
  auto changed = primary();
  change(changed);
  return is_news(said(primary()), said(changed));
}

}  // namespace

TEST_CASE("the pace is alert after a change and slows down to calm") {
  CHECK(pace(kPoll, {seconds(0), Announced::nothing}) == milliseconds(50));
  CHECK(pace(kPoll, {milliseconds(2500), Announced::nothing}) == milliseconds(50));
  CHECK(pace(kPoll, {seconds(5), Announced::nothing}) == milliseconds(100));
  CHECK(pace(kPoll, {seconds(25), Announced::nothing}) == milliseconds(500));
  CHECK(pace(kPoll, {seconds(50), Announced::nothing}) == milliseconds(1000));
  CHECK(pace(kPoll, {std::chrono::hours(9), Announced::nothing}) == milliseconds(1000));
  CHECK(pace(kPoll, {seconds(-1), Announced::nothing}) == milliseconds(50));
}

TEST_CASE("a member that was never asked is asked at once") {
  CHECK(next_ask(Asked{}, kPoll, {seconds(0), Announced::nothing}, 0.5) < kStart);
}

TEST_CASE("while something is announced the pace is the highest, however old the last change") {
  CHECK(pace(kPoll, {std::chrono::hours(9), Announced::change}) == milliseconds(20));
  CHECK(pace(kPoll, {std::chrono::hours(9), Announced::promotion}) == milliseconds(10));
  CHECK(pace({milliseconds(100), milliseconds(10), seconds(1)}, {seconds(0), Announced::change}) == milliseconds(10));
}

TEST_CASE("while the writer is missing the pace does not slow down to calm") {
  CHECK(pace(kPoll, {seconds(1), Announced::nothing, true}) == kPoll.alert);
  CHECK(pace(kPoll, {seconds(5), Announced::nothing, true}) == milliseconds(100));
  CHECK(pace(kPoll, {std::chrono::hours(9), Announced::nothing, true}) == milliseconds(200));
  CHECK(pace(kPoll, {std::chrono::hours(9), Announced::change, true}) == milliseconds(20));
}

TEST_CASE("the pace counts from the last request") {
  const Asked asked{kStart, kStart + milliseconds(2), milliseconds(2), 0, false};
  CHECK(next_ask(asked, kPoll, {seconds(0), Announced::nothing}, 0) == kStart + milliseconds(50));
  CHECK(next_ask(asked, kPoll, {std::chrono::hours(1), Announced::nothing}, 0) == kStart + seconds(1));
}

TEST_CASE("jitter delays calm requests by up to a tenth of the pace, and others by up to half of it") {
  const Asked asked{kStart, kStart, milliseconds(2), 0, false};
  CHECK(next_ask(asked, kPoll, {std::chrono::hours(1), Announced::nothing}, 0.5) == kStart + milliseconds(1050));
  CHECK(next_ask(asked, kPoll, {std::chrono::hours(1), Announced::nothing}, 7) == kStart + milliseconds(1100));
  CHECK(next_ask(asked, kPoll, {seconds(5), Announced::nothing}, 0.5) == kStart + milliseconds(125));
  CHECK(next_ask(asked, kPoll, {seconds(0), Announced::change}, 1) == kStart + milliseconds(30));
}

TEST_CASE("a slow member rests for four times its last answer") {
  const Asked asked{kStart, kStart + milliseconds(300), milliseconds(300), 0, false};
  CHECK(next_ask(asked, kPoll, {seconds(3), Announced::nothing}, 0) == kStart + milliseconds(1500));
  CHECK(next_ask(asked, kPoll, {seconds(3), Announced::change}, 0) == kStart + milliseconds(1500));
  CHECK(rested(asked) == kStart + milliseconds(1500));
}

TEST_CASE("while a change is young a slow member rests for as long as its last answer took") {
  const Asked asked{kStart, kStart + milliseconds(300), milliseconds(300), 0, false};
  CHECK(next_ask(asked, kPoll, {milliseconds(2500), Announced::nothing}, 0) == kStart + milliseconds(600));
  CHECK(next_ask(asked, kPoll, {milliseconds(2600), Announced::nothing}, 0) == kStart + milliseconds(1500));
  CHECK(rested(asked, true) == kStart + milliseconds(600));
}

TEST_CASE("a member that hangs rests for its second while a change is young, too") {
  const Asked asked{kStart, kStart + milliseconds(1500), {}, 1, false};
  CHECK(rested(asked, true) == asked.last_done + seconds(1));
}

TEST_CASE("a member that hangs rests for 1, 2, then 4 seconds") {
  Asked asked{kStart, kStart + milliseconds(1500), {}, 1, false};
  const Instant done = asked.last_done;
  CHECK(next_ask(asked, kPoll, {seconds(0), Announced::nothing}, 0) == done + seconds(1));
  asked.hung = 2;
  CHECK(next_ask(asked, kPoll, {seconds(0), Announced::nothing}, 0) == done + seconds(2));
  asked.hung = 3;
  CHECK(next_ask(asked, kPoll, {seconds(0), Announced::nothing}, 0) == done + seconds(4));
  asked.hung = 1000;
  CHECK(next_ask(asked, kPoll, {seconds(0), Announced::nothing}, 0) == done + seconds(4));
}

TEST_CASE("the same answer is no news") {
  CHECK_FALSE(is_news(said(primary()), said(primary())));
}

TEST_CASE("positions and what was last seen of the DCS are no news") {
  CHECK_FALSE(news([](Answer& a) { a.location = 5; }));
  CHECK_FALSE(news([](Answer& a) { a.replayed = 5; }));
  CHECK_FALSE(news([](Answer& a) { a.dcs_last_seen = 5; }));
  CHECK_FALSE(news([](Answer& a) { a.date = 5; }));
}

TEST_CASE("each change that matters is news") {
  CHECK(news([](Answer& a) { a.code = 503; }));
  CHECK(news([](Answer& a) { a.role = Role::replica; }));
  CHECK(news([](Answer& a) { a.state = State::stopping; }));
  CHECK(news([](Answer& a) { a.timeline = 4; }));
  CHECK(news([](Answer& a) { a.timeline.reset(); }));
  CHECK(news([](Answer& a) { a.postmaster_start_time = "x"; }));
  CHECK(news([](Answer& a) { a.system_identifier = "78"; }));
  CHECK(news([](Answer& a) { a.replication_state = "streaming"; }));
  CHECK(news([](Answer& a) { a.pause = true; }));
  CHECK(news([](Answer& a) { a.cluster_unlocked = true; }));
}

TEST_CASE("newly silent and newly back are news, still silent is none") {
  const MemberReport silent{kStart, kStart, NoAnswer{Failure::refused, ""}};
  const MemberReport reset{kStart, kStart + seconds(1), NoAnswer{Failure::reset, ""}};
  CHECK(is_news(said(primary()), silent));
  CHECK(is_news(silent, said(primary())));
  CHECK_FALSE(is_news(silent, reset));
}

TEST_CASE("an answer is unusually slow over five times and 100 ms more than before") {
  CHECK_FALSE(is_news(said(primary(), milliseconds(1)), said(primary(), milliseconds(101))));
  CHECK(is_news(said(primary(), milliseconds(1)), said(primary(), milliseconds(102))));
  CHECK_FALSE(is_news(said(primary(), milliseconds(50)), said(primary(), milliseconds(250))));
  CHECK(is_news(said(primary(), milliseconds(50)), said(primary(), milliseconds(251))));
  CHECK_FALSE(is_news(said(primary(), milliseconds(900)), said(primary(), milliseconds(1))));
}

TEST_CASE("an answer is late from when it would be unusually slow on") {
  CHECK(late_at(milliseconds(2), kStart) == kStart + milliseconds(110));
  CHECK(late_at(milliseconds(50), kStart) == kStart + milliseconds(350));
}
