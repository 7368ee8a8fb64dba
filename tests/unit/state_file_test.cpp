#include "controller/state_file.h"

#include "tests/catch.h"

using controller::parse_state;
using controller::Remembered;
using controller::render_state;
using controller::state_path;

namespace {

Remembered sample_state() {
  Remembered state;
  state.worker = {4711, 1'700'000'000, false, "2.6.12"};
  state.ours = {{"pg_primary", "pg1"}, {"pg_replicas", "pg2"}};
  state.by_admin = {{"pg_primary", "pg3"}};
  state.passes_wrongly_since = {{{"pg_primary", "pg2"}, 1'700'000'050}};
  state.ramps = {{{"pg_primary", "pg3"}, {100, 20, std::chrono::milliseconds(2000)}}};
  state.clusters = {{"main",
                     "http://10.0.0.1:8008",
                     "7311111111111111111",
                     3,
                     1'700'000'100,
                     20,
                     5,
                     {{"http://10.0.0.1:8008", "pg1", "10.0.0.1", 5432}, {"http://10.0.0.2:8008", "", "", 0}}}};
  return state;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string detail(const std::string& json) {
  const auto state = parse_state(json, "f");
  return state ? "" : state.error().detail;
}

}  // namespace

TEST_CASE("what was remembered is read back") {
  const auto again = parse_state(render_state(sample_state()), "f");
  REQUIRE(again);
  CHECK(*again == sample_state());
  CHECK(*parse_state(render_state({}), "f") == Remembered{});
  CHECK(*parse_state("", "f") == Remembered{});
}

TEST_CASE("the file is indented JSON with a version, the same bytes for the same state") {
  CHECK(render_state({}) ==
        "{\n"
        "  \"version\": 1,\n"
        "  \"worker\": {\n"
        "    \"pid\": 0,\n"
        "    \"start_time\": 0,\n"
        "    \"stopping\": false,\n"
        "    \"version\": \"\"\n"
        "  },\n"
        "  \"ours\": [],\n"
        "  \"by_admin\": [],\n"
        "  \"passes_wrongly\": [],\n"
        "  \"ramps\": [],\n"
        "  \"clusters\": []\n"
        "}\n");
  CHECK(render_state(sample_state()) == render_state(sample_state()));
}

TEST_CASE("a file from before there were ramps is read") {
  const auto state = parse_state(replaced(render_state({}), "  \"ramps\": [],\n", ""), "f");
  REQUIRE(state);
  CHECK(*state == Remembered{});
}

TEST_CASE("another version, and a file without one, is an error that names it") {
  CHECK(detail(replaced(render_state({}), "\"version\": 1", "\"version\": 2")) == "its version is 2");
  CHECK(detail("{}") == "it has no version");
  CHECK(parse_state("{}", "/var/lib/pointsman/x.json").error().subject == "/var/lib/pointsman/x.json");
}

TEST_CASE("a file that is cut short or damaged is an error, never more") {
  const std::string good = render_state(sample_state());
  for (std::size_t i = 1; i + 2 < good.size(); ++i) CHECK_FALSE(parse_state(good.substr(0, i), "f"));
  std::size_t taken = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'0', '"', '{', ']', '\0', '\xff'}) {
      std::string broken = good;
      broken[i] = c;
      taken += parse_state(broken, "f").has_value() ? 1U : 0U;
    }
  }
  CHECK(taken < good.size() * 3);
}

TEST_CASE("values out of their range are refused by their key") {
  const std::string good = render_state(sample_state());
  CHECK(detail(replaced(good, "\"port\": 5432", "\"port\": 70000")) == "'port' is missing or wrong");
  CHECK(detail(replaced(good, "\"port\": 5432", "\"port\": -1")) == "'port' is missing or wrong");
  CHECK(detail(replaced(good, "\"ttl\": 20", "\"ttl\": 0")) == "'ttl' is missing or wrong");
  CHECK(detail(replaced(good, "\"loop_wait\": 5", "\"loop_wait\": 86401")) == "'loop_wait' is missing or wrong");
  CHECK(detail(replaced(good, "\"timeline\": 3", "\"timeline\": 4294967296")) == "'timeline' is missing or wrong");
  CHECK(detail(replaced(good, "\"maxconn\": 100", "\"maxconn\": -1")) == "'maxconn' is missing or wrong");
  CHECK(detail(replaced(good, "\"start\": 20", "\"start\": 0")) == "'start' is missing or wrong");
  CHECK(detail(replaced(good, "\"over_ms\": 2000", "\"over_ms\": 0")) == "'over_ms' is missing or wrong");
  CHECK(detail(replaced(good, "\"pid\": 4711", "\"pid\": \"4711\"")) == "'pid' is missing or wrong");
  CHECK(detail(replaced(good, "7311111111111111111", "73; x")) == "'system_identifier' is missing or wrong");
  CHECK(detail(replaced(good, "\"server\": \"pg1\"", "\"server\": \"pg1; show info\"")) == "'ours' is missing or wrong");
  CHECK(detail(replaced(good, "\"name\": \"pg1\"", "\"name\": \"p g\"")) == "'name' is missing or wrong");
  CHECK(detail(replaced(good, "\"host\": \"10.0.0.1\"", "\"host\": \"a b\"")) == "'host' is missing or wrong");
  CHECK(detail(replaced(good, "\"ours\": [", "\"ours\": [null, ")) == "'ours' is missing or wrong");
}

TEST_CASE("each HAProxy socket has a file of its own") {
  CHECK(state_path("/var/lib/pointsman", "/run/haproxy/admin.sock") == "/var/lib/pointsman/run-haproxy-admin.sock.json");
}
