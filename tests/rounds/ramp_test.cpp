// Whole rounds in which a new writer takes few connections at first.

#include <algorithm>
#include <stdexcept>

#include "tests/catch.h"
#include "tests/rounds/world.h"

using namespace rounds;

namespace {

struct RampWorld : World {
  explicit RampWorld(unsigned maxconn, Kind kind = Kind::documented) : World(kind) {
    fake.file_maxconn = maxconn;
    for (auto& backend : fake.running.backends)
      for (auto& server : backend.servers) server.maxconn = maxconn;
    config.clusters[0].backends[0].ramp = RampConfig{20, 1000ms};
    begin();
    round();
    sent();
  }
  haproxy::Server& writer() { return fake.server("pg_primary", "pg2"); }
  [[nodiscard]] unsigned queued() const { return fake.running.backends[0].queued; }
  /// What the new writer's maxconn was set to since the last call.
  std::vector<unsigned> limits() {
    std::vector<unsigned> numbers;
    const std::string begin = "maxconn server pg_primary/pg2 ";
    for (const std::string& command : sent())
      if (command.starts_with(begin)) numbers.push_back(static_cast<unsigned>(std::stoul(command.substr(begin.size()))));
    return numbers;
  }
  std::string state() { return files.files[kStateFile]; }
};

/// pointsman is killed.
struct Killed : std::runtime_error {
  Killed() : std::runtime_error("killed") {}
};

bool rises(const std::vector<unsigned>& limits) {
  return std::is_sorted(limits.begin(), limits.end(), std::less_equal<>());
}

}  // namespace

TEST_CASE("a new writer's limit is lowered before it goes in, raised, and put back; then all is calm") {
  RampWorld w(100);
  w.all_well(1);
  CHECK_FALSE(w.round().failed);
  const Words sent = w.sent();
  REQUIRE(sent.size() >= 3);
  CHECK(Words(sent.begin(), sent.begin() + 3) ==
        Words{"pg_primary/pg1 health down", "maxconn server pg_primary/pg2 20", "pg_primary/pg2 health up"});
  CHECK(w.writer().maxconn == 20);
  const Outcome later = w.all_well_for(22, 1);
  CHECK_FALSE(later.failed);
  const auto limits = w.limits();
  CHECK(limits.size() > 10);
  CHECK(rises(limits));
  CHECK(limits.back() == 100);
  CHECK(w.writer().maxconn == 100);
  w.all_well_for(100, 1);
  CHECK(w.sent() == Words{});
  CHECK(w.fake.server("pg_primary", "pg1").maxconn == 100);
  CHECK(w.fake.server("pg_replicas", "pg2").maxconn == 100);
}

TEST_CASE("by admin state, where a switch goes in one line, the limit goes in between") {
  RampWorld w(100, Kind::naive);
  w.all_well(1);
  w.round();
  const Words sent = w.sent();
  REQUIRE(sent.size() >= 3);
  CHECK(Words(sent.begin(), sent.begin() + 3) ==
        Words{"pg_primary/pg1 state maint", "maxconn server pg_primary/pg2 20", "pg_primary/pg2 state ready"});
}

TEST_CASE("a ramp goes on by itself: no word from anybody is needed, and no short round skips a step") {
  RampWorld w(100);
  w.all_well_for(1, 1);
  std::vector<unsigned> seen;
  for (int i = 0; i < 21; ++i) {
    CHECK(w.loop->short_round(w.seen.version) == std::nullopt);
    w.quiet_round();
    seen.push_back(w.writer().maxconn);
  }
  CHECK(seen.front() == 20);
  CHECK(seen.back() == 100);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  CHECK(seen[10] == 44);
}

TEST_CASE("5,000 who waited are let in within the ramp, never more than its steps allow, and none stays in the queue") {
  const unsigned original = GENERATE(0U, 8000U);
  RampWorld w(original);
  w.fake.arrive("pg_primary", 3);
  w.all_well(1);
  unsigned most = 0;
  w.fake.after_each = [&] { most = std::max(most, w.writer().sessions); };
  w.round();
  w.fake.arrive("pg_primary", 5000);
  CHECK(w.writer().sessions == 20);
  for (int i = 0; i < 50; ++i) {
    w.all_well(1);
    const unsigned limit = w.writer().maxconn;
    most = 0;
    w.round();
    CHECK(most <= std::max(limit, w.writer().maxconn));
    if (i < 19) CHECK(w.writer().sessions <= ramp_limit(original, {20, 1000ms}, (i + 1) * 50ms));
  }
  CHECK(w.queued() == 0);
  CHECK(w.writer().sessions == 5000);
  CHECK(w.writer().maxconn == original);
  w.sent();
  w.all_well_for(50, 1);
  CHECK(w.sent() == Words{});
}

TEST_CASE("without a ramp no limit is touched") {
  RampWorld w(100);
  w.config.clusters[0].backends[0].ramp.reset();
  w.begin();
  w.all_well_for(30, 1);
  for (const std::string& command : w.sent()) CHECK(command.find("maxconn") == std::string::npos);
}

TEST_CASE("killed between any two commands and started again, the limit is what it was in the end") {
  const unsigned original = GENERATE(0U, 100U);
  const Kind kind = GENERATE(Kind::documented, Kind::naive);
  const bool still_configured = GENERATE(true, false);
  int cuts = 0;
  for (bool killed = true; killed; ++cuts) {
    RampWorld w(original, kind);
    killed = false;
    std::size_t most_writers = 0;
    w.fake.after_each = [&, left = cuts]() mutable {
      most_writers = std::max(most_writers, w.usable().size());
      if (left-- == 0) throw Killed();
    };
    try {
      w.all_well_for(1, 1);
      w.fake.arrive("pg_primary", 700);
      w.all_well_for(40, 1);
    } catch (const Killed&) {
      killed = true;
    }
    w.fake.after_each = nullptr;
    if (!still_configured) w.config.clusters[0].backends[0].ramp.reset();
    w.begin();
    w.fake.arrive("pg_primary", 50);
    w.all_well_for(50, 1);
    CHECK(w.usable() == Words{"pg2"});
    CHECK(most_writers <= 1);
    CHECK(w.writer().maxconn == original);
    if (original == 0) CHECK(w.queued() == 0);
    CHECK(w.state().find("\"maxconn\"") == std::string::npos);
    w.sent();
    w.all_well_for(30, 1);
    CHECK(w.sent() == Words{});
  }
  CHECK(cuts > 15);
}

TEST_CASE("an exchange that fails at any point of a ramp is made good") {
  const unsigned original = GENERATE(0U, 100U);
  for (int cut = 1; cut < 100; cut += 3) {
    RampWorld w(original);
    w.fake.fail_at = w.fake.exchanges + cut;
    w.all_well_for(40, 1);
    CHECK(w.usable() == Words{"pg2"});
    CHECK(w.writer().maxconn == original);
  }
}

TEST_CASE("what a limit was is written before it is lowered") {
  RampWorld w(100);
  bool known = true;
  w.fake.after_each = [&] {
    if (w.writer().maxconn == 100) return;
    const auto state = parse_state(w.state(), "state");
    const auto ramp = state->ramps.find({"pg_primary", "pg2"});
    known = known && ramp != state->ramps.end() && ramp->second == RememberedRamp{100, 20, 1000ms};
  };
  w.all_well_for(30, 1);
  CHECK(known);
  CHECK(parse_state(w.state(), "state")->ramps.empty());
}

TEST_CASE("the state is written at a ramp's beginning and end, not at each step") {
  RampWorld w(100);
  w.all_well_for(1, 1);
  const int replacements = w.files.replacements;
  w.all_well_for(30, 1);
  CHECK(w.files.replacements - replacements <= 2);
}

TEST_CASE("a limit that somebody changes in the middle of a ramp is left as it is, after a restart too") {
  const bool restarted = GENERATE(false, true);
  const unsigned theirs = GENERATE(0U, 7U, 200U);
  RampWorld w(100);
  w.all_well_for(8, 1);
  w.writer().maxconn = theirs;
  if (restarted) w.begin();
  w.sent();
  w.all_well_for(60, 1);
  CHECK(w.limits() == std::vector<unsigned>{});
  CHECK(w.writer().maxconn == theirs);
}

TEST_CASE("a reload in the middle ends a ramp: the new worker has every limit as the file says, and nothing is put back") {
  const int rounds = GENERATE(1, 2, 8, 20);
  RampWorld w(100);
  w.all_well_for(rounds, 1);
  w.fake.reload();
  w.sent();
  w.all_well_for(60, 1);
  CHECK(w.limits() == std::vector<unsigned>{});
  CHECK(w.writer().maxconn == 100);
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("a new configuration in the middle of a ramp: it goes on") {
  RampWorld w(100);
  w.all_well_for(8, 1);
  const unsigned then = w.writer().maxconn;
  w.config.clusters[0].backends[0].ramp.reset();
  auto next = w.make_loop(parse_state(w.state(), "state").value());
  next->carry_over(*w.loop);
  w.loop = std::move(next);
  w.sent();
  w.all_well_for(1, 1);
  CHECK(w.writer().maxconn > then);
  w.all_well_for(15, 1);
  CHECK(rises(w.limits()));
  CHECK(w.writer().maxconn == 100);
}

TEST_CASE("where HAProxy refuses to set a limit, the new writer goes in all the same, and it is told") {
  RampWorld w(100);
  w.fake.refuse = [](const std::string& command) { return command.starts_with("set maxconn"); };
  w.all_well(1);
  CHECK(w.round().failed);
  CHECK(w.usable() == Words{"pg2"});
  CHECK(w.loop->published().counters.commands_refused.at("set maxconn server") >= 1);
  CHECK(w.writer().maxconn == 100);
}

TEST_CASE("a limit that HAProxy takes and does not have is told") {
  RampWorld w(100);
  w.fake.after_each = [&] { w.writer().maxconn = 100; };
  w.all_well(1);
  CHECK(w.round().failed);
  w.fake.after_each = nullptr;
  CHECK_FALSE(w.all_well_for(30, 1).failed);
  CHECK(w.writer().maxconn == 100);
}

TEST_CASE("an observer sends no limit, and sees its ramp end") {
  RampWorld w(100);
  w.config.haproxy.observe = true;
  w.begin();
  w.all_well_for(3, 1);
  haproxy::carry_out(haproxy::Command::health_down, w.fake.server("pg_primary", "pg1"));
  haproxy::carry_out(haproxy::Command::health_up, w.writer());
  CHECK(w.all_well_for(10, 1).ramping);
  CHECK_FALSE(w.all_well_for(20, 1).ramping);
  CHECK(w.sent() == Words{});
}

TEST_CASE("held by hold.lua: who waited is let go after the limit, and meets it") {
  RampWorld w(100);
  w.fake.holds.emplace();
  w.seen.clusters[0].switchover = Handover{"7", "pg1", w.now};
  w.all_well_for(1, 0);
  w.sent();
  w.seen.clusters[0].switchover.reset();
  w.all_well(1);
  w.round();
  CHECK(Words(w.fake.commands.begin(), w.fake.commands.begin() + 4) == Words{"pg_primary/pg1 health down",
                                                                             "maxconn server pg_primary/pg2 20",
                                                                             "pg_primary/pg2 health up", "hold pg_primary 0"});
}

TEST_CASE("plan says which limits would be set, and why") {
  RampWorld w(100);
  w.all_well(1);
  const auto preview = w.loop->preview(w.seen);
  REQUIRE(preview);
  CHECK(preview->decided.plan.limits == std::vector<haproxy::Limit>{{"pg_primary", "pg2", 20, "ramp"}});
  CHECK(w.sent() == Words{});
}
