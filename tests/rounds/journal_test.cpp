// Whole rounds, and what is written down of them.

#include <algorithm>

#include "tests/catch.h"
#include "tests/rounds/world.h"

using namespace rounds;

namespace {

struct Line {
  Entry entry;
  std::size_t after = 0;  ///< commands that HAProxy had carried out when it was written
  bool urgent = false;
};

/// A world with a journal; every line of it is read back, and judged again in every part.
struct Written : World {
  std::vector<Line> lines;

  explicit Written(Kind kind = Kind::documented) : World(kind) {
    journal = {[this](const std::string& text, bool urgent) {
                 auto entry = parse_entry(text, "the journal");
                 REQUIRE(entry);
                 lines.push_back({std::move(*entry), fake.commands.size(), urgent});
                 if (const auto* decision = std::get_if<DecisionEntry>(&lines.back().entry))
                   CHECK(conclude(decide_again(decision->evidence)) == decision->conclusion);
               },
               [this] { return unix_now * 1000; }, 815};
    begin();
  }
  std::vector<Line> written() { return std::exchange(lines, {}); }
};

const DecisionEntry& decision(const Line& line) {
  return std::get<DecisionEntry>(line.entry);
}
const OutcomeEntry& outcome(const Line& line) {
  return std::get<OutcomeEntry>(line.entry);
}
bool is_outcome(const Line& line) {
  return std::holds_alternative<OutcomeEntry>(line.entry);
}

}  // namespace

TEST_CASE("the first decision is written, and while all stays well one an hour") {
  Written w;
  w.all_well_for(20, 0);
  auto lines = w.written();
  REQUIRE(lines.size() == 1);
  CHECK(decision(lines[0]).pid == 815);
  CHECK(decision(lines[0]).version == "test");
  CHECK(decision(lines[0]).conclusion.clusters[0].writer == url(0));
  CHECK_FALSE(lines[0].urgent);
  w.now += 59min;
  w.all_well_for(20, 0);
  CHECK(w.written().empty());
  w.now += 1min;
  w.all_well_for(20, 0);
  CHECK(w.written().size() == 1);
}

TEST_CASE("a one-shot that decides what the one before did writes nothing, and what is new is written") {
  Written w;
  w.all_well_for(3, 0);
  w.journal.last = render_entry(w.written()[0].entry);
  w.begin();
  w.all_well_for(3, 0);
  CHECK(w.written().empty());
  w.all_well_for(3, 1);
  CHECK_FALSE(w.written().empty());
  w.now -= 30min;  // the machine was started anew
  w.begin();
  w.all_well_for(1, 1);
  CHECK_FALSE(w.written().empty());
}

TEST_CASE("a switch is written with its evidence before any of it is carried out, and then what came of it") {
  Written w;
  w.all_well_for(3, 0);
  w.written();
  w.fake.server("pg_primary", "pg1").sessions = 2;
  w.all_well(1);
  w.round();
  const auto lines = w.written();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].urgent);
  CHECK(lines[0].after == 0);
  const DecisionEntry& decided = decision(lines[0]);
  CHECK(decided.evidence.seen == w.seen);
  CHECK(decided.evidence.memories.clusters[0].holder == url(0));
  CHECK(decided.evidence.running.find("pg_primary", "pg1")->sessions == 2);
  CHECK(commands(decided.conclusion.plan) ==
        Words{"set server pg_primary/pg1 health down", "end sessions on pg_primary/pg1", "set server pg_primary/pg2 health up",
              "set server pg_replicas/pg1 health up", "set server pg_replicas/pg2 health down"});
  const OutcomeEntry& came = outcome(lines[1]);
  CHECK(lines[1].after == w.fake.commands.size());
  CHECK(came.of == decided.evidence.now);
  CHECK(came.confirmed);
  CHECK(came.sessions_ended == 2);
  CHECK(came.sent == std::map<std::string, unsigned>{{"health up", 2}, {"health down", 2}, {"shutdown session", 2}});
  CHECK(came.usable == std::map<std::string, Words>{{"pg_primary", {"pg2"}}, {"pg_replicas", {"pg1", "pg3"}}});
}

TEST_CASE("another verdict is written though nothing is sent") {
  Written w;
  w.all_well_for(3, 0);
  w.written();
  falls_silent(w.seen.clusters[0], 0, w.now);
  w.now += 2s;
  w.round();
  const auto lines = w.written();
  REQUIRE(lines.size() == 1);
  CHECK(decision(lines[0]).conclusion.clusters[0].decisions[0].verdict.reason == Reason::kept_silent);
}

TEST_CASE("what is only repeated is counted, and written again after a minute") {
  Written w;
  w.all_well_for(3, 0);
  w.fake.holds.emplace();
  w.seen.clusters[0].switchover = Handover{"7", "pg1", w.now};
  w.round();
  w.written();
  const auto renewals = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      (*w.fake.holds)["pg_primary"].left = 0ms;
      w.seen.clusters[0].members[0].silence = Silence{w.now, {Failure::refused, ""}, 1};
      w.round();
    }
  };
  renewals(1);  // another verdict: silent
  w.written();
  w.sent();
  renewals(10);
  CHECK(w.sent().size() == 10);
  CHECK(w.written().empty());
}

TEST_CASE("HAProxy that fights a command has it written again after a minute, with how often that was") {
  Written w(Kind::documented);
  w.all_well_for(3, 0);
  const auto fight = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      w.fake.server("pg_replicas", "pg1").op_state = haproxy::OperationalState::running;
      w.all_well(0);
      w.round();
    }
  };
  fight(1);
  CHECK(w.written().size() == 3);  // the first decision; the fight's, with its outcome
  fight(9);
  CHECK(w.written().empty());
  w.now += 1min;
  fight(1);
  const auto lines = w.written();
  REQUIRE(lines.size() == 2);
  CHECK(decision(lines[0]).again == 9);
}

TEST_CASE("new trouble with what is only repeated is written") {
  Written w;
  w.all_well_for(3, 0);
  const auto fight = [&] {
    w.fake.server("pg_replicas", "pg1").op_state = haproxy::OperationalState::running;
    w.all_well(0);
    w.round();
  };
  fight();
  w.written();
  w.fake.refuse = [](const std::string& command) { return command.find("health down") != std::string::npos; };
  fight();
  const auto lines = w.written();
  REQUIRE(lines.size() == 1);
  CHECK(outcome(lines[0]).refused.size() == 1);
  fight();
  CHECK(w.written().empty());
}

TEST_CASE("another worker of HAProxy's is news") {
  Written w;
  w.all_well_for(3, 0);
  w.written();
  w.fake.reload();
  w.all_well_for(1, 0);
  const auto lines = w.written();
  REQUIRE(lines.size() == 2);
  CHECK(decision(lines[0]).evidence.running.worker == w.fake.running.worker);
  CHECK(outcome(lines[1]).confirmed);
}

TEST_CASE("a HAProxy that cannot be read is written once, and what is judged meanwhile") {
  Written w;
  w.all_well_for(3, 0);
  w.written();
  for (int i = 0; i < 5; ++i) {
    w.fake.fail_at = w.fake.exchanges + 1;
    w.round();
  }
  auto lines = w.written();
  REQUIRE(lines.size() == 1);
  CHECK_FALSE(decision(lines[0]).blind.empty());
  w.fake.fail_at = w.fake.exchanges + 1;
  w.all_well(1);
  w.round();
  lines = w.written();
  REQUIRE(lines.size() == 1);
  CHECK(decision(lines[0]).conclusion.clusters[0].writer == url(1));
  w.fake.fail_at.reset();
  w.round();
  lines = w.written();
  REQUIRE(lines.size() == 2);
  CHECK(decision(lines[0]).blind.empty());
}

TEST_CASE("refused commands are in the outcome") {
  Written w;
  w.all_well_for(3, 0);
  w.written();
  w.fake.refuse = [](const std::string& command) { return command.find("pg1 health down") != std::string::npos; };
  w.all_well(1);
  w.round();
  const auto lines = w.written();
  REQUIRE(lines.size() == 2);
  CHECK_FALSE(outcome(lines[1]).confirmed);
  CHECK_FALSE(outcome(lines[1]).troubles.empty());
  CHECK(outcome(lines[1]).refused.contains("health down"));
  CHECK(outcome(lines[1]).usable.at("pg_primary") == Words{"pg1"});
}

TEST_CASE("who observes writes what would be sent, and that it is not") {
  Written w;
  w.config.haproxy.observe = true;
  w.begin();
  w.all_well_for(3, 0);
  w.written();
  w.all_well_for(10, 1);
  const auto lines = w.written();
  REQUIRE(lines.size() == 1);
  CHECK(decision(lines[0]).observe);
  CHECK_FALSE(lines[0].urgent);
  CHECK_FALSE(decision(lines[0]).conclusion.plan.nothing_to_send());
}

TEST_CASE("the fragment's way is written too") {
  Written w;
  w.use_fragment(Method::file);
  w.all_well_for(3, 0);
  w.written();
  w.all_well(1);
  w.round();
  const auto lines = w.written();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].urgent);
  CHECK(decision(lines[0]).conclusion.fragment->backends[0].servers[0].name == "pg2");
  CHECK(is_outcome(lines[1]));
  CHECK(outcome(lines[1]).wrote_fragment);
  CHECK(outcome(lines[1]).reloaded == "writer");
}
