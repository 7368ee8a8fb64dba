// Whole rounds in which new connections wait.

#include "tests/catch.h"
#include "tests/rounds/world.h"

using namespace rounds;
using Words = std::vector<std::string>;

namespace {

/// HAProxy has hold.lua, and pg1 has been the writer for a while.
struct HoldWorld : World {
  HoldWorld() {
    fake.holds.emplace();
    all_well_for(20, 0);
    sent();
  }
  void announce(const std::string& id) { seen.clusters[0].switchover = Handover{id, "pg1", now}; }
  /// A round, and the leases run.
  Outcome tick() {
    const Outcome outcome = round();
    for (auto& [backend, hold] : *fake.holds) hold.left = std::max(hold.left - 50ms, 0ms);
    return outcome;
  }
  [[nodiscard]] milliseconds left() { return (*fake.holds)["pg_primary"].left; }
};

Answer stopping() {
  Answer answer = primary();
  answer.state = State::stopping;
  answer.timeline.reset();
  return answer;
}

}  // namespace

TEST_CASE("an announced switchover: new connections wait, the old one goes out when it stops, the new one in, and they go on") {
  HoldWorld w;
  w.announce("7");
  w.all_well(0);
  w.tick();
  CHECK(w.sent() == Words{"hold pg_primary 1000"});
  CHECK(w.usable() == Words{"pg1"});  // its sessions live
  says(w.seen.clusters[0], 0, stopping(), w.now);
  w.tick();
  CHECK(w.sent() == Words{"pg_primary/pg1 health down"});
  for (int i = 0; i < 30; ++i) {
    says(w.seen.clusters[0], 0, stopping(), w.now);
    w.tick();
    CHECK(w.left() > 0ms);
  }
  w.sent();
  w.all_well(1);
  w.seen.clusters[0].switchover.reset();
  w.tick();
  const auto sent = w.sent();
  REQUIRE(sent.size() >= 2);
  CHECK(sent[0] == "pg_primary/pg2 health up");
  CHECK(sent[1] == "hold pg_primary 0");
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("an announcement that comes to nothing costs new connections pre_hold, and no more commands are sent after it") {
  HoldWorld w;
  w.announce("7");
  for (int i = 0; i < 25; ++i) {
    w.all_well(0);
    w.tick();
  }
  const auto sent = w.sent();
  REQUIRE(sent.size() >= 3);
  CHECK(sent.back() == "hold pg_primary 0");
  CHECK(std::count(sent.begin(), sent.end(), "hold pg_primary 1000") == static_cast<std::ptrdiff_t>(sent.size()) - 1);
  w.all_well_for(100, 0);
  CHECK(w.sent() == Words{});
}

TEST_CASE("a hold of somebody else's is left alone") {
  HoldWorld w;
  (*w.fake.holds)["pg_primary"].left = 30s;
  w.all_well_for(10, 0);
  CHECK(w.sent() == Words{});
}

TEST_CASE("a worker that forgot the hold is told again") {
  HoldWorld w;
  w.announce("7");
  w.all_well(0);
  w.tick();
  w.sent();
  (*w.fake.holds)["pg_primary"].left = 0ms;  // a reload
  w.all_well(0);
  w.tick();
  CHECK(w.sent() == Words{"hold pg_primary 1000"});
}

TEST_CASE("without hold.lua an announcement sends nothing") {
  World w;
  w.all_well_for(20, 0);
  w.sent();
  w.seen.clusters[0].switchover = Handover{"7", "pg1", w.now};
  w.all_well_for(5, 0);
  CHECK(w.sent() == Words{});
}

TEST_CASE("by file, where clients may wait: the new writer goes in before the reload leaves them behind") {
  World w;
  w.fake.holds.emplace();
  w.use_fragment(Method::file);
  w.round();
  w.all_well_for(10, 0);
  w.sent();
  std::string order;
  w.fake.after_each = [&] { order += w.fake.commands.back() + "; "; };
  w.reload.after_each = [&] { order += "reload"; };
  w.all_well(1);
  CHECK_FALSE(w.round().failed);
  CHECK(order.starts_with("pg_primary/pg1 health down; pg_primary/pg2 health up; "));
  CHECK(order.find("reload") != std::string::npos);
}
