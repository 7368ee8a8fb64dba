#include "controller/parse_patroni.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "controller/json.h"
#include "tests/catch.h"

using namespace controller;

namespace {

const std::filesystem::path kSamples = std::filesystem::path(POINTSMAN_FIXTURES) / "patroni";

struct Sample {
  int code = 0;
  std::string body;
  std::string date;
};

/// A recorded answer; code 0 where none came.
Sample load(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  const auto read = read_json(text.str(), file.string());
  REQUIRE(read);
  Sample sample;
  const auto status = json_string(*read, "status_line");
  if (!status) return sample;
  sample.code = std::stoi(status->substr(9, 3));
  sample.body = json_string(*read, "body_raw").value_or("");
  if (const auto* const headers = json_array(*read, "headers")) {
    for (const auto& header : headers->GetArray()) {
      const std::string line = header.GetString();
      if (line.starts_with("Date: ")) sample.date = line.substr(6);
    }
  }
  return sample;
}

Answer answer_of(const std::string& file) {
  const auto sample = load(kSamples / file);
  auto answer = parse_answer(sample.code, sample.body, sample.date, "s");
  REQUIRE(answer);
  return *answer;
}

std::string body(const std::string& changed = {}) {
  return R"({"state": "running", "role": "replica", "patroni": {"version": "4.0.7", "scope": "demo", "name": "n1"})" +
         (changed.empty() ? std::string() : ", " + changed) + "}";
}

Answer read(const std::string& changed) {
  auto answer = parse_answer(200, body(changed), "", "s");
  INFO(changed << (answer ? "" : answer.error().detail));
  REQUIRE(answer);
  return *answer;
}

std::string refusal(const std::string& text, int code = 200) {
  const auto answer = parse_answer(code, text, "", "http://a:8008");
  return answer ? "accepted" : answer.error().detail;
}

std::string cluster_refusal(const std::string& text, int code = 200) {
  const auto report = parse_cluster(code, text, "http://a:8008");
  return report ? "accepted" : report.error().detail;
}

std::string member(const std::string& name, const std::string& api_url, const std::string& rest) {
  return R"({"members": [{"name": ")" + name + R"(", "role": "leader", "api_url": ")" + api_url + "\"" + rest + "}]}";
}

}  // namespace

TEST_CASE("every recorded answer of Patroni is read") {
  int primaries = 0;
  int clusters = 0;
  int configs = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kSamples)) {
    if (!entry.is_regular_file()) continue;
    const auto sample = load(entry.path());
    if (sample.code == 0) continue;
    const std::string name = entry.path().filename().string();
    INFO(entry.path().string());
    if (name.ends_with("-primary.json")) {
      const auto answer = parse_answer(sample.code, sample.body, sample.date, "s");
      REQUIRE(answer);
      CHECK(!answer->scope.empty());
      CHECK(answer->role != Role::other);
      CHECK(answer->state != State::other);
      CHECK(answer->dcs_last_seen.has_value());
      CHECK(answer->date.has_value() == !sample.date.empty());
      ++primaries;
    } else if (name.ends_with("-cluster.json")) {
      CHECK(parse_cluster(sample.code, sample.body, "s"));
      ++clusters;
    } else if (name.ends_with("-config.json")) {
      CHECK(parse_timings(sample.code, sample.body, "s") == Timings{30, 10});
      ++configs;
    }
  }
  CHECK(primaries > 600);
  CHECK(clusters > 800);
  CHECK(configs == 9);
}

TEST_CASE("a primary of 3.0.2 says master, and is read as primary") {
  const auto answer = answer_of("3.0.2/healthy/n1-primary.json");
  CHECK(answer.code == 200);
  CHECK(answer.role == Role::primary);
  CHECK(answer.state == State::running);
  CHECK(answer.timeline == 1U);
  CHECK(answer.location == 67252640U);
  CHECK(!answer.received);
  CHECK(answer.postmaster_start_time == "2026-11-22 04:46:10.679962+00:00");
  CHECK(!answer.replication_state);
  CHECK(answer.replication == std::vector<WalSender>{{"n3", "127.0.0.1", "streaming"}, {"n2", "127.0.0.1", "streaming"}});
  CHECK(!answer.pause);
  CHECK(answer.dcs_last_seen == 1795322801);
  CHECK(answer.date == 1795322807);
  CHECK(answer.system_identifier == "7710852581878446106");
  CHECK(answer.scope == "demo");
  CHECK(answer.name.empty());
  CHECK(answer.version == "3.0.2");
}

TEST_CASE("a replica of 4.1.5 says its name, its positions and that it streams") {
  const auto answer = answer_of("4.1.5/healthy/n2-primary.json");
  CHECK(answer.code == 503);
  CHECK(answer.role == Role::replica);
  CHECK(answer.received == 84066712U);
  CHECK(answer.replayed == 84066712U);
  CHECK(!answer.location);
  CHECK(answer.replication_state == "streaming");
  CHECK(answer.name == "n2");
}

TEST_CASE("pause, tags and the making of a replica are seen") {
  CHECK(answer_of("4.1.5/paused/n1-primary.json").pause);
  bool tagged = false;
  for (const char* const node : {"n1", "n2", "n3"}) {
    tagged =
        tagged || answer_of(std::string("4.0.7/tags-noloadbalance-nofailover-nosync/") + node + "-primary.json").noloadbalance;
  }
  CHECK(tagged);
  bool creating = false;
  for (const char* const node : {"n1", "n2", "n3"}) {
    const auto answer = answer_of(std::string("4.0.7/creating-replica/") + node + "-primary.json");
    if (answer.state != State::creating_replica) continue;
    creating = true;
    CHECK(answer.system_identifier.empty());
    CHECK(!answer.timeline);
  }
  CHECK(creating);
}

TEST_CASE("a null timeline is unknown, not wrong") {
  CHECK(!read(R"("timeline": null)").timeline);
  CHECK(read(R"("timeline": 7)").timeline == 7U);
  CHECK(!read(R"("xlog": {"received_location": null})").received);
}

TEST_CASE("a state or role that is not known is other") {
  const std::string text = R"({"state": "restart failed", "role": "x", "patroni": {"scope": "s"}})";
  const auto parsed = parse_answer(503, text, "", "s");
  REQUIRE(parsed);
  CHECK(parsed->state == State::other);
  CHECK(parsed->role == Role::other);
  CHECK(parsed->version.empty());
}

TEST_CASE("only 200 and 503 are answers") {
  CHECK(refusal(body(), 404) == "HTTP code 404");
  CHECK(refusal(body(), 302) == "HTTP code 302");
  CHECK(refusal(body(), 503) == "accepted");
  CHECK(parse_answer(500, body(), "", "http://a:8008").error().text() == "cannot read http://a:8008: HTTP code 500");
}

TEST_CASE("a body that is not Patroni's is refused") {
  CHECK(refusal("") == "an empty body");
  CHECK(refusal("<html>\x01</html>") == "no JSON object, it begins with \"<html>\\x01</html>\"");
  CHECK(refusal("[{}]") == "no JSON object, it begins with \"[{}]\"");
  CHECK(refusal(body().substr(0, 60)).find("not the JSON expected") == 0);
  CHECK(refusal(std::string(1'000'001, ' ')) == "a body over 1000000 bytes");
  CHECK(refusal("{\"a\":" + std::string(1000, '[') + std::string(1000, ']') + "}").find("nested too deep") !=
        std::string::npos);
  CHECK(refusal(body(R"("state": "stopped")")).find("already") != std::string::npos);
  CHECK(refusal(body("\"x\": \"\xff\"")) != "accepted");
  CHECK(refusal("{}") == "no 'state', or not a text");
}

TEST_CASE("a missing or wrongly typed needed key is refused") {
  CHECK(refusal(R"({"role": "replica", "patroni": {"scope": "s"}})") == "no 'state', or not a text");
  CHECK(refusal(R"({"state": 1, "role": "replica", "patroni": {"scope": "s"}})") == "no 'state', or not a text");
  CHECK(refusal(R"({"state": "running", "patroni": {"scope": "s"}})") == "no 'role', or not a text");
  CHECK(refusal(R"({"state": "running", "role": "replica"})") == "no 'patroni' object");
  CHECK(refusal(R"({"state": "running", "role": "replica", "patroni": "x"})") == "no 'patroni' object");
  CHECK(refusal(R"({"state": "running", "role": "replica", "patroni": {}})") == "no 'patroni.scope', or no plain text");
  CHECK(refusal(R"({"state": "running", "role": "replica", "patroni": {"scope": "a\nb"}})") ==
        "no 'patroni.scope', or no plain text");
  CHECK(refusal("{\"state\": \"a\", \"role\": \"b\", \"patroni\": {\"scope\": \"\xc2\x9b\"}}") ==
        "no 'patroni.scope', or no plain text");
}

TEST_CASE("numbers that are none are refused") {
  for (const char* const bad : {R"("timeline": "1")", R"("timeline": -1)", R"("timeline": 1.5)", R"("timeline": 4294967296)",
                                R"("timeline": true)", R"("xlog": {"location": -1})", R"("xlog": {"received_location": "1"})",
                                R"("xlog": {"replayed_location": 18446744073709551616})"}) {
    INFO(bad);
    CHECK(refusal(body(bad)).find("no unsigned integer") != std::string::npos);
  }
}

TEST_CASE("an identifier is 1 to 20 digits, a name one that HAProxy takes") {
  CHECK(read(R"("database_system_identifier": "18446744073709551615")").system_identifier == "18446744073709551615");
  for (const char* const bad : {R"("")", R"("123456789012345678901")", R"("12a")", "123", R"("1 2")"}) {
    INFO(bad);
    CHECK(refusal(body(R"("database_system_identifier": )" + std::string(bad))).find("identifier") != std::string::npos);
  }
  for (const char* const bad : {R"("a b")", R"("a;b")", R"("")", "1", R"("a\nshutdown")"}) {
    INFO(bad);
    const auto text = R"({"state": "running", "role": "replica", "patroni": {"scope": "s", "name": )" + std::string(bad) + "}}";
    CHECK(refusal(text).find("a name that cannot name a server") == 0);
  }
}

TEST_CASE("who streams is read whatever it calls itself, its address in one spelling") {
  const auto answer =
      read(R"("replication": [{"application_name": "a\u0007b", "client_addr": "::FFFF:0:1", "state": "streaming"},
                                              {"application_name": "c", "client_addr": null, "state": "backup"},
                                              {"client_addr": "x; y"}, 5])");
  REQUIRE(answer.replication.size() == 3);
  CHECK(answer.replication[0].application_name == "a\\x07b");
  CHECK(!answer.replication[0].client_addr.empty());
  CHECK(answer.replication[1] == WalSender{"c", "", "backup"});
  CHECK(answer.replication[2] == WalSender{"", "", ""});
}

TEST_CASE("noloadbalance is set as Patroni reads it") {
  CHECK(read(R"("tags": {"noloadbalance": true})").noloadbalance);
  CHECK(read(R"("tags": {"noloadbalance": 1})").noloadbalance);
  CHECK(read(R"("tags": {"noloadbalance": "yes"})").noloadbalance);
  CHECK_FALSE(read(R"("tags": {"noloadbalance": false})").noloadbalance);
  CHECK_FALSE(read(R"("tags": {"noloadbalance": 0, "x": [1]})").noloadbalance);
  CHECK_FALSE(read(R"("tags": {"nofailover": true})").noloadbalance);
  CHECK_FALSE(read(R"("tags": {})").noloadbalance);
}

TEST_CASE("a date that is none is not told") {
  const auto date = [](const char* text) { return parse_answer(200, body(), text, "s")->date; };
  CHECK(date("Thu, 01 Jan 1970 00:00:01 GMT") == 1);
  CHECK(date("Tue, 29 Feb 2028 23:59:59 GMT") == 1835481599);
  CHECK(!date(""));
  CHECK(!date("Thu, 31 Feb 2026 00:00:01 GMT"));
  CHECK(!date("Thu, 01 Jan 1970 24:00:01 GMT"));
  CHECK(!date("Thu, 01 Xxx 1970 00:00:01 GMT"));
  CHECK(!date("Thursday, 01-Jan-70 00:00:01 GMT"));
}

TEST_CASE("the members of a cluster are read with both their addresses") {
  const auto sample = load(kSamples / "3.0.2/healthy/n1-cluster.json");
  const auto report = parse_cluster(sample.code, sample.body, "s");
  REQUIRE(report);
  REQUIRE(report->members.size() == 3);
  CHECK(report->members[0] == ListedMember{"n1", "127.0.0.41", 8008, "127.0.0.41", 5432, true});
  CHECK(report->members[1] == ListedMember{"n2", "127.0.0.42", 8008, "127.0.0.42", 5432, false});
  CHECK(!report->pause);
  const auto paused = load(kSamples / "4.1.5/paused/n1-cluster.json");
  CHECK(parse_cluster(paused.code, paused.body, "s")->pause);
}

TEST_CASE("an empty list of members is an answer, a missing one is not") {
  CHECK(parse_cluster(200, R"({"members": []})", "s")->members.empty());
  CHECK(cluster_refusal("{}") == "no 'members', or no list");
  CHECK(cluster_refusal(R"({"members": {}})") == "no 'members', or no list");
  CHECK(cluster_refusal(R"({"members": []})", 503) == "HTTP code 503");
}

TEST_CASE("a member without an address is listed without one") {
  const auto report =
      parse_cluster(200, R"({"members": [{"name": "n1", "api_url": null}, {"name": "n2", "host": "pg2"}]})", "s");
  REQUIRE(report);
  CHECK(report->members[0] == ListedMember{"n1", "", 0, "", 0, false});
  CHECK(report->members[1] == ListedMember{"n2", "", 0, "pg2", 5432, false});
}

TEST_CASE("addresses are numeric or host names, in one spelling") {
  const auto report =
      parse_cluster(200, member("n1", "https://[::0001]:8008/patroni", R"(, "host": "fe80::0:1", "port": 6432)"), "s");
  REQUIRE(report);
  CHECK(report->members[0] == ListedMember{"n1", "::1", 8008, "fe80::1", 6432, true});
}

TEST_CASE("one lie refuses the whole list") {
  const std::string url = "http://10.0.0.1:8008/patroni";
  CHECK(cluster_refusal(member("n1", url, R"(, "host": "10.0.0.1", "port": 5432)")) == "accepted");
  CHECK(cluster_refusal(member("n 1", url, "")).find("a member name") == 0);
  for (const char* const bad :
       {"ftp://10.0.0.1:8008", "http://10.0.0.1", "http://10.0.0.1:0/", "http://10.0.0.1:70000/", "http://a@10.0.0.1:8008/",
        "http://10.0.0.1 :8008/", "10.0.0.1:8008", "", "http://10.1:8008/"}) {
    INFO(bad);
    CHECK(cluster_refusal(member("n1", bad, "")).find("an 'api_url' of n1 that is none") == 0);
  }
  for (const char* const bad :
       {"10.0.0.1 weight 0", "a\\nb", "10.0.0.300", "127.1", "0x7f.0x1", "-;", "2130706433", "/var/run"}) {
    INFO(bad);
    CHECK(cluster_refusal(member("n1", url, R"(, "host": ")" + std::string(bad) + "\"")).find("a 'host' of n1") == 0);
  }
  for (const char* const bad : {"0", "65536", "-1", "\"5432\"", "5432.0", "true"}) {
    INFO(bad);
    CHECK(cluster_refusal(member("n1", url, R"(, "host": "a", "port": )" + std::string(bad))).find("a 'port' of n1") == 0);
  }
  CHECK(cluster_refusal(R"({"members": [{"name": "a"}, {"name": "a"}]})") == "two members named a");
  CHECK(cluster_refusal(R"({"members": [1]})") == "a member that is no object");
  CHECK(cluster_refusal(R"({"members": [{}]})").find("a member name") == 0);
}

TEST_CASE("ttl and loop_wait have Patroni's defaults and bounds") {
  CHECK(parse_timings(200, R"({"ttl": 60, "loop_wait": 5})", "s") == Timings{60, 5});
  CHECK(parse_timings(200, R"({})", "s") == Timings{30, 10});
  CHECK(parse_timings(200, R"({"ttl": null})", "s") == Timings{30, 10});
  CHECK(!parse_timings(503, R"({})", "s"));
  for (const char* const bad : {"0", "86401", "-1", "\"30\"", "1.5"}) {
    INFO(bad);
    CHECK(!parse_timings(200, R"({"ttl": )" + std::string(bad) + "}", "s"));
    CHECK(!parse_timings(200, R"({"loop_wait": )" + std::string(bad) + "}", "s"));
  }
}

TEST_CASE("text from the network is made printable and short") {
  CHECK(printable("a\r\nb\xff~\x7f") == "a\\x0d\\x0ab\\xff~\\x7f");
  CHECK(printable("abcdef", 3) == "abc");
  CHECK(printable("ab\n", 5) == "ab");
  CHECK(printable("") == "");
}
