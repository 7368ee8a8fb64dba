#include "haproxy/hold.h"

#include "haproxy/parse.h"
#include "haproxy/plan.h"
#include "tests/catch.h"

using namespace haproxy;
using std::chrono::milliseconds;

namespace {

const std::string kHeader = "# backend waiting left_ms held_total expired_total longest_ms\n";

Running running_with(std::optional<Holds> holds) {
  Running running;
  Server server;
  server.name = "pg1";
  server.op_state = OperationalState::running;
  running.backends = {{"pg_primary", {server}}};
  running.holds = std::move(holds);
  return running;
}

Backend wish(HoldWish hold) {
  return {"pg_primary", true, {}, hold};
}

Holds left(int ms) {
  return {{"pg_primary", HoldState{3, milliseconds(ms), 7, 1}}};
}

}  // namespace

TEST_CASE("what hold.lua says of each backend is read") {
  const auto holds = parse_holds(kHeader + "pg_primary 3 480 7 1 900\npg_other 0 0 0 0 0\n\n");
  REQUIRE(holds);
  REQUIRE(*holds);
  CHECK((*holds)->at("pg_primary") == HoldState{3, milliseconds(480), 7, 1});
  CHECK((*holds)->at("pg_other") == HoldState{});
  CHECK(parse_holds(kHeader + "\n").value()->empty());
}

TEST_CASE("a HAProxy that does not know the command has no hold.lua") {
  CHECK_FALSE(parse_holds("Unknown command: 'show hold', but maybe one of the following ones is a better match:\n").value());
}

TEST_CASE("what is no answer of hold.lua's is refused") {
  CHECK_FALSE(parse_holds(""));
  CHECK_FALSE(parse_holds("hello\n"));
  for (const char* row : {"pg_primary\n", "pg_primary x 0 0 0\n", "pg_primary 0 -5 0 0\n", "pg_primary 0 61001 0 0\n",
                          "pg;primary 0 0 0 0\n", "pg_primary 0 0 0 99999999999999999999\n"})
    CHECK_FALSE(parse_holds(kHeader + row + "\n"));
}

TEST_CASE("a hold is asked for where it is wanted, and again before it is over") {
  CHECK(diff({wish(HoldWish::hold)}, running_with(Holds{}), {}).holds ==
        std::vector<Lease>{{"pg_primary", milliseconds(1000)}});
  CHECK(diff({wish(HoldWish::hold)}, running_with(left(800)), {}).holds.size() == 1);
  CHECK(diff({wish(HoldWish::hold)}, running_with(left(801)), {}).nothing_to_send());
}

TEST_CASE("a hold of ours is ended, and one that nobody wishes away is somebody else's") {
  CHECK(diff({wish(HoldWish::release)}, running_with(left(1)), {}).releases ==
        std::vector<Lease>{{"pg_primary", milliseconds(0)}});
  CHECK(diff({wish(HoldWish::release)}, running_with(Holds{}), {}).nothing_to_send());
  CHECK(diff({wish(HoldWish::leave)}, running_with(left(30'000)), {}).nothing_to_send());
}

TEST_CASE("without hold.lua nothing is held") {
  CHECK(diff({wish(HoldWish::hold)}, running_with(std::nullopt), {}).nothing_to_send());
}

TEST_CASE("after a hold the plan has nothing left to ask for") {
  const auto before = running_with(Holds{});
  const auto plan = diff({wish(HoldWish::hold)}, before, {});
  CHECK(diff({wish(HoldWish::hold)}, after(plan, before), {}).nothing_to_send());
}

TEST_CASE("what hold.lua says to a hold is no complaint") {
  CHECK_FALSE(complaint("\nheld pg_primary 1000\n\n\n"));
  CHECK(complaint("\nno such backend\n\n") == "no such backend");
}
