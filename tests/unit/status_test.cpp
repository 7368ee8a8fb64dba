#include "controller/status.h"

#include <fmt/core.h>

#include "controller/json.h"
#include "controller/status_view.h"
#include "tests/catch.h"
#include "tests/unit/published_sample.h"

using controller::readiness;
using controller::status_json;
using controller::status_text;
using controller::status_text_from_json;
using controller::why_text;
using controller::why_text_from_json;
using sample::at;

TEST_CASE("the status shows each member and each server in aligned columns") {
  CHECK("\n" + status_text(sample::published(), at(0), "from the daemon") == R"(
pointsman 0.1.0, from the daemon, 15 ms old; HAProxy 2.6.12, pid 4711, method runtime

scope main: writer pg2 (settled), 2 of 3 members answer
  MEMBER  ROLE     STATE    TL     LAG  ANSWERED
  pg1     replica  running   3  1.5 kB  120 ms ago
  pg2     primary  running   3       -  80 ms ago
  pg3     replica  running   2       -  silent for 12 s (timed_out)
  BACKEND      SERVER  IN/OUT          STEERED BY  SESSIONS  REASON
  pg_primary   pg1     out             health             0  other_is_writer
  pg_primary   pg2     in              health            42  claims_writer
  pg_primary   pg3     in, wanted out  health             1  other_is_writer
  pg_replicas  pg1     in              health             7  reads
  pg_replicas  pg3     out             health             0  silent
)");
}

TEST_CASE("alarms, a dispute and an unreachable HAProxy stand at the end") {
  auto published = sample::published();
  published.haproxy_error = "cannot connect to /run/haproxy/admin.sock: no such file";
  published.worker = {};
  published.observe = true;
  auto& cluster = published.clusters[0];
  cluster.topology.writer_state = controller::WriterState::disputed;
  cluster.topology.writer.reset();
  cluster.topology.alarms = {"two members claim: pg1, pg2"};
  cluster.routes_right = false;
  cluster.servers.clear();
  cluster.members[0].answer.reset();
  CHECK("\n" + status_text(published, at(0), "own look") == R"(
pointsman 0.1.0, own look, 15 ms old; HAProxy not seen, method runtime
observe: everything is judged, nothing is sent

scope main: no writer (disputed), 1 of 3 members answer; HAProxy does not route as it should
  MEMBER  ROLE     STATE    TL     LAG  ANSWERED
  pg1     -        -         -  1.5 kB  not asked yet
  pg2     primary  running   3       -  80 ms ago
  pg3     replica  running   2       -  silent for 12 s (timed_out)

ALARMS
  HAProxy: cannot connect to /run/haproxy/admin.sock: no such file
  scope main: two members claim: pg1, pg2
)");
}

TEST_CASE("one server is explained with all the evidence") {
  auto published = sample::published();
  published.clusters[0].topology.alarms = {"an alarm"};
  published.clusters[0].hold = controller::HoldReason::stop;
  const auto text = why_text(published, at(0), "from the daemon", "pg_primary/pg1");
  REQUIRE(text);
  CHECK("\n" + *text == R"(
pointsman 0.1.0, from the daemon, 15 ms old; HAProxy 2.6.12, pid 4711, method runtime

pg_primary/pg1 (10.0.0.1:5432), member pg1 of scope main
  in HAProxy  out: ready, stopped, 0 sessions, steered by health
  wanted      out, other_is_writer: somebody else is the writer
  because     HTTP 200
  member      replica, running, timeline 3, lag 1.5 kB, 120 ms ago
  writes      out, other_is_writer (e1)
  reads       in, reads (e2)
  cluster     writer pg2 (settled), 1 claims to be it
  hold        new connections wait (stop)
  alarm       an alarm
)");
  CHECK(why_text_from_json(status_json(published, at(0), "from the daemon"), "pg_primary/pg1") == text);
  published.clusters[0].servers[1].member = "";
  published.clusters[0].servers[1].steering = "nobody";
  CHECK(why_text(published, at(0), "x", "pg_primary/pg2")
            ->find("pg_primary/pg2 (10.0.0.1:5432), no member of scope main\n"
                   "  in HAProxy  in: ready, running, 42 sessions of 57, nobody "
                   "steers it\n") != std::string::npos);
}

TEST_CASE("every reason is explained in words") {
  auto published = sample::published();
  for (int i = 0; word(static_cast<controller::Reason>(i)) != std::string("?"); ++i) {
    const auto reason = static_cast<controller::Reason>(i);
    published.clusters[0].servers[0].reason = reason;
    CHECK(why_text(published, at(0), "x", "pg_primary/pg1")->find(fmt::format("  wanted      out, {}: ", word(reason))) !=
          std::string::npos);
  }
}

TEST_CASE("a server goes by its name, by its backend's and its own, and by its member's name or URL") {
  const auto published = sample::published();
  const auto named = [&](const std::string& name) {
    const auto text = why_text(published, at(0), "x", name);
    if (!text) return text.error().text();
    std::string servers;
    for (std::size_t line = text->find("\n\n"); line != std::string::npos; line = text->find("\n\n", line + 1))
      servers += text->substr(line + 2, text->find(' ', line + 2) - line - 2) + " ";
    return servers;
  };
  CHECK(named("pg1") == "pg_primary/pg1 pg_replicas/pg1 ");
  CHECK(named("http://10.0.0.3:8008") == "pg_primary/pg3 pg_replicas/pg3 ");
  CHECK(named("pg_replicas/pg3") == "pg_replicas/pg3 ");
  CHECK(named("pg") ==
        "cannot explain pg: nobody is called so (there are pg_primary/pg1, pg_primary/pg2, pg_primary/pg3, pg_replicas/pg1, "
        "pg_replicas/pg3)");
}

TEST_CASE("the text made from the JSON is the text made from the values") {
  auto published = sample::published();
  CHECK(status_text_from_json(status_json(published, at(0), "own look")) == status_text(published, at(0), "own look"));
  published.clusters[0].topology.alarms = {"quote \" and \\ and \x01 and \xff"};
  published.clusters[0].servers[0].evidence = "\xc3\x28";
  published.haproxy_error = "line\nbreak";
  published.clusters.push_back(published.clusters[0]);
  published.clusters[1].scope = "gr\xc3\xb6\xc3\x9f";
  CHECK(status_text_from_json(status_json(published, at(99), "x")) == status_text(published, at(99), "x"));
  CHECK(status_text_from_json(status_json({}, at(0), "x")) == status_text({}, at(0), "x"));
}

TEST_CASE("what is read back from the JSON is what was written") {
  const auto view = controller::status_view(sample::published(), at(0), "s");
  const auto again = controller::parse_status_json(controller::render_status_json(view, {}));
  REQUIRE(again);
  CHECK(*again == view);
}

TEST_CASE("the JSON has the documented keys") {
  const std::string text = status_json(sample::published(), at(0), "from the daemon");
  const auto json = controller::read_json(text, "status");
  REQUIRE(json);
  CHECK(controller::json_string(*json, "source") == "from the daemon");
  CHECK(controller::json_double(*json, "age") == 0.015);
  const auto& cluster = (*controller::json_array(*json, "clusters"))[0];
  CHECK(controller::json_string(cluster, "writer") == "pg2");
  const auto& member = (*controller::json_array(cluster, "members"))[2];
  CHECK(controller::json_double(member, "silent_for") == 12.5);
  CHECK(controller::json_string(member, "silent_why") == "timed_out");
  CHECK(controller::json_uint((*controller::json_array(cluster, "servers"))[1], "maxconn") == 57U);
  const auto& counters = *controller::json_object(*json, "counters");
  CHECK(controller::json_uint(*controller::json_object(counters, "commands_sent"), "health up") == 4U);
}

TEST_CASE("JSON that no daemon of this version made is an error, never more") {
  CHECK(status_text_from_json("").error().operation == "read");
  CHECK(status_text_from_json("{}").error().detail == "'source' is missing or of the wrong type");
  CHECK_FALSE(status_text_from_json("[]"));
  const std::string good = status_json(sample::published(), at(0), "s");
  for (std::size_t i = 0; i + 1 < good.size(); i += 7) CHECK_FALSE(status_text_from_json(good.substr(0, i)));
  for (const char* other : {"null", "[]", "{}", "7", "[null]", "[7]", "[{}]"}) {
    for (const char* key :
         {"\"clusters\": ", "\"members\": ", "\"servers\": ", "\"wanted\": ", "\"haproxy\": ", "\"sessions\": "}) {
      // A second value for the key is refused as doubled, so the first is renamed.
      std::string broken = good;
      const auto found = broken.find(key);
      REQUIRE(found != std::string::npos);
      broken.insert(found, std::string(key) + other + ", \"x-");
      broken.erase(broken.find("\"x-") + 3, 1);
      const bool taken = status_text_from_json(broken).has_value();
      CHECK((!taken || std::string(other) == "[]" || std::string(other) == "7"));
    }
  }
}

TEST_CASE("ready is who routes right, and where asked has the writer in") {
  auto published = sample::published();
  CHECK(readiness(published, "", false).ready);
  CHECK(readiness(published, "main", true).ready);
  CHECK(readiness(published, "other", false).why == "there is no scope other");
  CHECK_FALSE(readiness(published, "other", false).ready);

  published.clusters[0].writer_in = false;
  CHECK(readiness(published, "", false).ready);
  CHECK_FALSE(readiness(published, "", true).ready);
  CHECK(readiness(published, "", true).why == "scope main: the writer is not in");

  published.clusters.push_back(published.clusters[0]);
  published.clusters[1].scope = "second";
  published.clusters[1].routes_right = false;
  CHECK(readiness(published, "main", false).ready);
  CHECK(readiness(published, "", false).why == "scope second: HAProxy does not route as it should");
  CHECK_FALSE(readiness(published, "", false).ready);

  published.haproxy_error = "cannot connect";
  CHECK(readiness(published, "main", false).why == "cannot connect");
  CHECK_FALSE(readiness(published, "main", false).ready);
  CHECK_FALSE(readiness({}, "", false).ready);
}
