#include "controller/metrics.h"

#include <map>
#include <set>
#include <sstream>

#include "tests/catch.h"
#include "tests/unit/published_sample.h"

using controller::metrics_text;
using sample::at;

namespace {

std::set<std::string> lines_of(const std::string& text) {
  std::set<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.insert(line);
  return lines;
}

}  // namespace

TEST_CASE("every value that is published has its metric") {
  auto published = sample::published();
  published.clusters[0].topology.alarms = {"one"};
  published.clusters[0].bad_answers = 4;
  published.counters.foreign_restarts = 9;
  const auto lines = lines_of(metrics_text(published, at(0)));
  for (const char* line : {
           R"(pointsman_build_info{version="0.1.0"} 1)",
           "pointsman_haproxy_reachable 1",
           "pointsman_observe 0",
           "pointsman_last_round_age_seconds 0.015",
           R"(pointsman_member_observation_age_seconds{scope="main",member="pg1"} 0.12)",
           R"(pointsman_member_silent_seconds{scope="main",member="pg1"} 0)",
           R"(pointsman_member_silent_seconds{scope="main",member="pg3"} 12.5)",
           R"(pointsman_member_timeline{scope="main",member="pg2"} 3)",
           R"(pointsman_member_lag_bytes{scope="main",member="pg1"} 1536)",
           R"(pointsman_writer{scope="main",member="pg1"} 0)",
           R"(pointsman_writer{scope="main",member="pg2"} 1)",
           R"(pointsman_writers_claimed{scope="main"} 1)",
           R"(pointsman_writer_state{scope="main",state="settled"} 1)",
           R"(pointsman_writer_state{scope="main",state="disputed"} 0)",
           R"(pointsman_routes_right{scope="main"} 1)",
           R"(pointsman_writer_in{scope="main"} 1)",
           R"(pointsman_bad_answers_total{scope="main"} 4)",
           R"(pointsman_alarms{scope="main"} 1)",
           R"(pointsman_servers{scope="main",backend="pg_primary",in="false",reason="other_is_writer"} 1)",
           R"(pointsman_servers{scope="main",backend="pg_primary",in="true",reason="claims_writer"} 1)",
           R"(pointsman_server_usable{scope="main",backend="pg_primary",server="pg2"} 1)",
           R"(pointsman_server_usable{scope="main",backend="pg_replicas",server="pg3"} 0)",
           R"(pointsman_server_sessions{scope="main",backend="pg_primary",server="pg2"} 42)",
           R"(pointsman_server_maxconn{scope="main",backend="pg_primary",server="pg2"} 57)",
           R"(pointsman_commands_sent_total{command="health up"} 4)",
           R"(pointsman_reloads_total{reason="writer"} 2)",
           "pointsman_reloads_failed_total 0",
           "pointsman_sessions_ended_total 5",
           "pointsman_fragment_writes_total 0",
           "pointsman_writer_changes_total 0",
           "pointsman_haproxy_restarts_total 9",
           "pointsman_rounds_total 3",
           R"(pointsman_round_duration_seconds_bucket{le="0.0005"} 0)",
           R"(pointsman_round_duration_seconds_bucket{le="0.001"} 2)",
           R"(pointsman_round_duration_seconds_bucket{le="0.5"} 3)",
           R"(pointsman_round_duration_seconds_bucket{le="1"} 3)",
           R"(pointsman_round_duration_seconds_bucket{le="+Inf"} 4)",
           "pointsman_round_duration_seconds_count 4",
           "pointsman_round_duration_seconds_sum 0.5",
           "# TYPE pointsman_round_duration_seconds histogram",
           "# TYPE pointsman_rounds_total counter",
       }) {
    INFO(line);
    CHECK(lines.count(line) == 1);
  }
}

TEST_CASE("no series comes twice, whatever the members are called, and each family has one head") {
  auto published = sample::published();
  published.clusters[0].topology.members[1].name = "pg1";
  published.clusters.push_back(published.clusters[0]);
  published.clusters[1].scope = "second";
  for (auto& server : published.clusters[1].servers) server.backend += "_2";
  std::map<std::string, int> seen;
  std::istringstream in(metrics_text(published, at(0)));
  for (std::string line; std::getline(in, line);) ++seen[line.substr(0, line.rfind(' '))];
  for (const auto& [series, times] : seen) {
    INFO(series);
    CHECK(times == 1);
  }
  CHECK(seen.count(R"(pointsman_writer{scope="main",member="http://10.0.0.1:8008"})") == 1);
}

TEST_CASE("quotes, backslashes and line breaks in labels are escaped") {
  auto published = sample::published();
  published.clusters[0].scope = "a\"b\\c\nd";
  const auto lines = lines_of(metrics_text(published, at(0)));
  CHECK(lines.count(R"(pointsman_writers_claimed{scope="a\"b\\c\nd"} 1)") == 1);
}

TEST_CASE("names are lower case with a unit or _total, and begin with pointsman_") {
  std::istringstream in(metrics_text(sample::published(), at(0)));
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("# TYPE ")) continue;
    const std::string name = line.substr(7, line.find(' ', 7) - 7);
    INFO(line);
    CHECK(name.starts_with("pointsman_"));
    CHECK(name.ends_with("_total") == line.ends_with(" counter"));
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos);
  }
}

TEST_CASE("nothing published yet still gives a text") {
  const std::string text = metrics_text({}, at(0));
  CHECK(text.find("pointsman_rounds_total 0\n") != std::string::npos);
  CHECK(text.find(R"(pointsman_round_duration_seconds_bucket{le="+Inf"} 0)") != std::string::npos);
}
