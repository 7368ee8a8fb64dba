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

TEST_CASE(
    "a writer whose API falls silent: its port is asked where HAProxy routes to, and new connections wait while that is dead") {
  HoldWorld w;
  w.fake.server("pg_primary", "pg1").port = 6432;  // a pooler's, matched by its check
  w.all_well_for(1, 0);
  w.sent();
  falls_silent(w.seen.clusters[0], 0, w.now);
  CHECK(w.tick().suspects == std::vector{std::optional(Suspect{0, {"127.0.0.11", 6432}, 2ms})});
  CHECK(w.sent() == Words{});
  auto& writer = w.seen.clusters[0].members[0];
  for (int i = 0; i < 40; ++i) {
    writer.port = PortReport{{"127.0.0.11", 6432}, w.now, w.now, PortSays::nothing, "Connection refused"};
    for (const std::size_t member : {1U, 2U}) says(w.seen.clusters[0], member, replica(), w.now);
    CHECK(w.tick().suspects.at(0));
    CHECK(w.left() > 0ms);
  }
  const auto sent = w.sent();
  CHECK(std::all_of(sent.begin(), sent.end(), [](const auto& command) { return command == "hold pg_primary 1000"; }));
  CHECK(w.usable() == Words{"pg1"});
  CHECK(w.loop->published().clusters[0].hold == HoldReason::not_accepting);
  CHECK(w.topology().members[0].write.evidence.ends_with("; 127.0.0.11:6432 Connection refused"));
  writer.port.reset();
  w.all_well(1);
  CHECK_FALSE(w.tick().suspects.at(0));
  const auto last = w.sent();
  CHECK(std::count(last.begin(), last.end(), "hold pg_primary 0") == 1);
  CHECK(w.usable() == Words{"pg2"});
}

TEST_CASE("of two routes to the writer, one by a pooler, PostgreSQL's own port is asked, in whatever order they are") {
  for (const std::size_t place : {0U, 1U}) {
    HoldWorld w;
    BackendConfig pooled = w.config.clusters[0].backends[0];
    pooled.name = "pg_pooled";
    auto& backends = w.config.clusters[0].backends;
    backends.insert(backends.begin() + static_cast<std::ptrdiff_t>(place), pooled);
    w.fake.running.backends.push_back(w.fake.running.backends[0]);
    w.fake.running.backends.back().name = "pg_pooled";
    for (auto& server : w.fake.running.backends.back().servers) server.port = 6432;
    w.begin();
    w.all_well_for(5, 0);
    falls_silent(w.seen.clusters[0], 0, w.now);
    CHECK(w.tick().suspects.at(0)->address.text() == "127.0.0.11:5432");
  }
}

TEST_CASE("the port of a silent member that is not the writer is not asked") {
  HoldWorld w;
  falls_silent(w.seen.clusters[0], 1, w.now);
  CHECK_FALSE(w.tick().suspects.at(0));
}

TEST_CASE("a writer whose API alone is silent is asked for its port, and nobody waits") {
  HoldWorld w;
  falls_silent(w.seen.clusters[0], 0, w.now);
  w.seen.clusters[0].members[0].port =
      PortReport{{"127.0.0.11", 5432}, w.now, w.now, PortSays::accepting, "accepts connections"};
  for (int i = 0; i < 40; ++i) {
    w.seen.clusters[0].members[0].port->asked_at = w.now;
    for (const std::size_t member : {1U, 2U}) says(w.seen.clusters[0], member, replica(), w.now);
    CHECK(w.tick().suspects.at(0));
    CHECK(w.left() == 0ms);
  }
  w.all_well(0);
  CHECK_FALSE(w.tick().suspects.at(0));
}

TEST_CASE("a late answer is enough for the port to be asked, and is looked at once it is told of") {
  HoldWorld w;
  auto& writer = w.seen.clusters[0].members[0];
  writer.in_flight = w.now;
  CHECK_FALSE(w.tick().suspects.at(0));
  w.quiet_round();
  CHECK_FALSE(w.quiet_round().suspects.at(0));
  CHECK(w.tick().suspects.at(0));
}

TEST_CASE("without hold.lua a dead port sends nothing, and is told of all the same") {
  World w;
  w.all_well_for(20, 0);
  w.sent();
  falls_silent(w.seen.clusters[0], 0, w.now);
  w.seen.clusters[0].members[0].port = PortReport{{"127.0.0.11", 5432}, w.now, w.now, PortSays::nothing, "Connection refused"};
  CHECK(w.round().suspects.at(0));
  CHECK(w.sent() == Words{});
  CHECK(w.topology().members[0].write.evidence.ends_with("; 127.0.0.11:5432 Connection refused"));
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
