#include "controller/ramp.h"

#include "tests/catch.h"
#include "tests/unit/members.h"

using namespace members;
using haproxy::Limit;
using haproxy::OperationalState;
using haproxy::Running;
using haproxy::Server;
using haproxy::Want;

namespace {

/// One write backend with a ramp from 20 within 1 s, and its two servers: pg1 is in, pg2 is not.
struct Stage {
  Config config;
  Running running;
  std::vector<haproxy::Backend> desired{{"pg_primary", true, {}}};
  std::set<haproxy::ServerName> ours;
  Instant now = kStart;
  Ramps ramps;

  explicit Stage(unsigned maxconn, RampConfig course = {20, 1000ms}) {
    config.clusters = {policy()};
    config.clusters[0].backends[0].ramp = course;
    running.worker = {2, 1, false, "2.6.12"};
    running.backends = {{"pg_primary", {}}};
    for (const char* name : {"pg1", "pg2"}) {
      Server server;
      server.name = name;
      server.maxconn = maxconn;
      running.backends[0].servers.push_back(server);
      desired[0].servers.push_back({name, Want::out, haproxy::Steering::health, false, "because"});
    }
    set_in(0, true);
    want(0);
  }
  Server& server(std::size_t i) { return running.backends[0].servers[i]; }
  void set_in(std::size_t i, bool in) { server(i).op_state = in ? OperationalState::running : OperationalState::stopped; }
  void want(std::size_t writer) {
    for (std::size_t i = 0; i < 2; ++i) desired[0].servers[i].want = i == writer ? Want::in : Want::out;
  }
  std::vector<Limit> judge() { return judge_ramps(config, desired, running, ours, now, ramps); }
  /// A round: judged, and HAProxy brought there.
  std::vector<Limit> play() {
    const auto plan = haproxy::diff({}, running, {}, judge());
    running = haproxy::after(plan, running);
    now += 50ms;
    return plan.limits;
  }
  /// pg2 is the writer, and goes in.
  void switch_over() {
    want(1);
    play();
    set_in(0, false);
    set_in(1, true);
  }
};

std::vector<Limit> to(unsigned maxconn) {
  return {{"pg_primary", "pg2", maxconn, "ramp"}};
}
const std::vector<Limit> kNothing;

}  // namespace

TEST_CASE("a ramp rises by the same factor in each step, from its start to what the limit was") {
  const RampConfig course{20, 1000ms};
  CHECK(ramp_limit(320, course, 0ms) == 20);
  CHECK(ramp_limit(320, course, 49ms) == 20);
  CHECK(ramp_limit(320, course, 250ms) == 40);
  CHECK(ramp_limit(320, course, 500ms) == 80);
  CHECK(ramp_limit(320, course, 799ms) == ramp_limit(320, course, 750ms));
  CHECK(ramp_limit(320, course, 1000ms) == 320);
  CHECK(ramp_limit(320, course, 1h) == 320);
}

TEST_CASE("to no limit a ramp rises by way of 10,000 to a limit that nobody reaches") {
  const RampConfig course{10, 2000ms};
  CHECK(ramp_limit(0, course, 0ms) == 10);
  CHECK(ramp_limit(0, course, 1000ms) == 316);
  CHECK(ramp_limit(0, course, 1999ms) < 10'000);
  CHECK(ramp_limit(0, course, 2000ms) == kNoLimit);
  CHECK(ramp_limit(0, {10'000, 500ms}, 499ms) == 10'000);
}

TEST_CASE("a ramp never falls, whatever its course") {
  for (const unsigned original : {0U, 2U, 21U, 100U, 12'345U}) {
    for (const auto& course : {RampConfig{1, 100ms}, RampConfig{1, 1500ms}, RampConfig{1, 1min}}) {
      unsigned last = 0;
      for (milliseconds since{0}; since <= course.over; since += 10ms) {
        const unsigned limit = ramp_limit(original, course, since);
        CHECK(limit >= last);
        last = limit;
      }
      CHECK(last == (original > 0 ? original : kNoLimit));
    }
  }
}

TEST_CASE("nothing is done while the writer stays, and where there is no ramp") {
  Stage calm(100);
  CHECK(calm.judge() == kNothing);
  Stage without(100);
  without.config.clusters[0].backends[0].ramp.reset();
  without.want(1);
  CHECK(without.judge() == kNothing);
  CHECK(without.ramps.empty());
}

TEST_CASE("a new writer takes few before it goes in, its clock runs from there, and in the end it is as it was") {
  Stage s(100);
  s.want(1);
  CHECK(s.play() == to(20));
  s.now += 10s;  // it does not go in yet
  CHECK(s.play() == kNothing);
  s.set_in(0, false);
  s.set_in(1, true);
  unsigned last = 20;
  for (int i = 0; i < 20; ++i) {
    for (const Limit& limit : s.play()) {
      CHECK(limit.server == "pg2");
      CHECK(limit.maxconn > last);
      CHECK(limit.maxconn < 100);
      last = limit.maxconn;
    }
  }
  CHECK(s.play() == to(100));
  CHECK(s.play() == kNothing);
  CHECK(s.ramps.empty());
  CHECK(s.server(0).maxconn == 100);
}

TEST_CASE("a server that takes no more than the start anyway is left alone") {
  Stage s(20);
  s.want(1);
  CHECK(s.judge() == kNothing);
  CHECK(s.ramps.empty());
}

TEST_CASE("a new writer in somebody else's maint is left alone; in ours it is about to go in") {
  Stage s(100);
  s.want(1);
  s.server(1).admin_state = haproxy::kAdminForcedMaint;
  CHECK(s.judge() == kNothing);
  s.ours = {{"pg_primary", "pg2"}};
  CHECK(s.judge() == to(20));
}

TEST_CASE("a limit that somebody changes in the middle is left as it is") {
  const unsigned theirs = GENERATE(0U, 21U, 77U, 100U, 500U);
  Stage s(100);
  s.switch_over();
  for (int i = 0; i < 5; ++i) s.play();
  REQUIRE(s.server(1).maxconn != theirs);
  s.server(1).maxconn = theirs;
  for (int i = 0; i < 50; ++i) CHECK(s.play() == kNothing);
  CHECK(s.ramps.empty());
}

TEST_CASE("a command that did not arrive is sent again, and is nobody's hand") {
  Stage s(100);
  s.want(1);
  s.judge();
  CHECK(s.judge() == to(20));
  s.play();
  s.set_in(0, false);
  s.set_in(1, true);
  s.now += 200ms;
  s.judge();  // not carried out
  s.now += 400ms;
  s.judge();
  s.now += 10s;
  CHECK(s.play() == to(100));
}

TEST_CASE("a writer that goes out in the middle keeps its limit until it is out, and is then put back at once") {
  for (const unsigned original : {0U, 100U}) {
    Stage s(original);
    s.switch_over();
    for (int i = 0; i < 5; ++i) s.play();
    s.want(0);
    CHECK(haproxy::diff({}, s.running, {}, s.judge()).limits == std::vector<Limit>{{"pg_primary", "pg1", 20, "ramp"}});
    s.set_in(1, false);
    s.server(0).maxconn = 20;
    CHECK(s.play() == to(original));
    CHECK(s.play() == kNothing);
    CHECK(s.ramps.size() == 1);
  }
}

TEST_CASE("a writer that goes in again in the middle begins anew, and ends with what it had at the very first") {
  Stage s(100);
  s.switch_over();
  for (int i = 0; i < 10; ++i) s.play();
  s.set_in(1, false);
  CHECK(s.play() == to(20));
  s.set_in(1, true);
  for (int i = 0; i < 30; ++i) s.play();
  CHECK(s.server(1).maxconn == 100);
}

TEST_CASE("no limit comes back when nobody is queued any more, and not before") {
  Stage s(0);
  s.switch_over();
  s.running.backends[0].queued = 100'000;
  for (int i = 0; i < 21; ++i) s.play();
  CHECK(s.server(1).maxconn == kNoLimit);
  s.running.backends[0].queued = 600;  // as many go with each command as HAProxy lets go
  CHECK(s.judge() == to(kNoLimit));
  s.running.backends[0].queued = 0;
  CHECK(s.play() == to(0));
  CHECK(s.play() == kNothing);
  CHECK(s.ramps.empty());
}

TEST_CASE("a limit is sent again at the end while somebody is queued who has room, but not for ever") {
  Stage s(100);
  s.switch_over();
  for (int i = 0; i < 22; ++i) s.play();
  REQUIRE(s.ramps.empty());
  s.set_in(1, false);
  s.play();
  s.set_in(1, true);
  for (int i = 0; i < 20; ++i) s.play();
  s.running.backends[0].queued = 30;
  CHECK(haproxy::diff({}, s.running, {}, s.judge()).limits == to(100));
  s.server(1).maxconn = 100;
  s.server(1).sessions = 90;
  CHECK(haproxy::diff({}, s.running, {}, s.judge()).limits == to(100));
  s.now += 11s;
  CHECK(s.judge() == kNothing);
  CHECK(s.ramps.empty());
}

TEST_CASE("what an earlier run left behind goes on from where it stands") {
  Stage s(100);
  const auto begun = [&](unsigned maxconn) {
    s.server(1).maxconn = maxconn;
    const auto ramp = resume_ramp(100, {20, 1000ms}, s.server(1), s.now);
    REQUIRE(ramp);
    return s.now - *ramp->began;
  };
  CHECK(begun(20) == 0ms);
  CHECK(begun(ramp_limit(100, {20, 1000ms}, 500ms)) == 500ms);
  CHECK(begun(99) == 950ms);
  CHECK(begun(100) == 1000ms);
  s.server(1).maxconn = kNoLimit;
  CHECK(s.now - *resume_ramp(0, {20, 1000ms}, s.server(1), s.now)->began == 1000ms);
}

TEST_CASE("what no ramp would have left is somebody else's") {
  Stage s(100);
  for (const unsigned maxconn : {0U, 19U, 101U}) {
    s.server(1).maxconn = maxconn;
    CHECK_FALSE(resume_ramp(100, {20, 1000ms}, s.server(1), s.now));
  }
  s.server(1).maxconn = 10'001;
  CHECK_FALSE(resume_ramp(0, {20, 1000ms}, s.server(1), s.now));
}

TEST_CASE("all ramps are ended at once on demand, and a queue is let go on the way to no limit") {
  Stage s(0);
  s.switch_over();
  for (int i = 0; i < 3; ++i) s.play();
  s.running.backends[0].queued = 500;
  const auto end = [&] {
    const auto plan = haproxy::diff({}, s.running, {}, end_ramps(s.running, s.now, s.ramps));
    s.running = haproxy::after(plan, s.running);
    return plan.limits;
  };
  CHECK(end() == to(kNoLimit));
  CHECK(end() == to(0));
  CHECK(end() == kNothing);
  CHECK(s.ramps.empty());
  CHECK(s.server(1).sessions == 500);
}

TEST_CASE("a ramp whose backend is configured no more goes on to its end") {
  Stage s(100);
  s.switch_over();
  s.config.clusters[0].backends.clear();
  s.desired.clear();
  for (int i = 0; i < 23; ++i) s.play();
  CHECK(s.server(1).maxconn == 100);
  CHECK(s.ramps.empty());
}
