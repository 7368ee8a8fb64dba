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

/// pg1 streams to the others (Patroni 3.0.4 and later).
struct StreamingWorld : HoldWorld {
  StreamingWorld() {
    for (int i = 0; i < 5; ++i) {
      all_stream();
      tick();
    }
  }
  void all_stream() {
    all_well(0);
    Answer writer = primary();
    writer.replication = {{"pg2", "127.0.0.12", "streaming"}, {"pg3", "127.0.0.13", "streaming"}};
    says(seen.clusters[0], 0, writer, now);
  }
  void stream_no_more() {
    Answer lost = replica();
    lost.replication_state.reset();
    for (const std::size_t member : {1U, 2U}) says(seen.clusters[0], member, lost, now);
    ++seen.version;
  }
  /// What was sent that concerns writes.
  Words sent_of_writes() {
    Words all = sent();
    std::erase_if(all, [](const std::string& command) { return command.find("pg_primary") == std::string::npos; });
    return all;
  }
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

TEST_CASE("a graceful stop, of which only the replicas tell: new connections wait 150 ms after it, and nobody is forced out") {
  StreamingWorld w;
  auto& writer = w.seen.clusters[0].members[0];
  writer.in_flight = w.now;
  w.now += 2ms;
  w.stream_no_more();
  for (int i = 0; i < 4 && w.left() == 0ms; ++i) w.quiet_round();
  CHECK(w.sent_of_writes() == Words{"hold pg_primary 1000"});
  CHECK(w.now - *writer.in_flight <= 200ms);
  CHECK(w.usable() == Words{"pg1"});
  for (int i = 0; i < 40; ++i) {
    w.stream_no_more();
    w.tick();
    CHECK(w.left() > 0ms);
  }
  const auto sent = w.sent_of_writes();
  CHECK(std::all_of(sent.begin(), sent.end(), [](const auto& command) { return command == "hold pg_primary 1000"; }));
  w.all_well(1);
  writer.in_flight.reset();
  w.tick();
  CHECK(w.sent_of_writes().back() == "hold pg_primary 0");
  CHECK(w.usable() == Words{"pg2"});
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
