#include "controller/dcs.h"

#include "controller/parse_dcs.h"
#include "tests/catch.h"

using namespace controller;

namespace {

const DcsPaths kPaths = dcs_paths("/service", "main");

std::string refusal(const std::string& value) {
  const auto wish = parse_failover({value, "1"});
  return wish ? "" : wish.error().detail;
}

}  // namespace

TEST_CASE("keys are named as Patroni names them") {
  CHECK(kPaths == DcsPaths{"/service/main/leader", "/service/main/failover"});
  CHECK(dcs_paths("service/", "main") == kPaths);
  CHECK(dcs_paths("//service//", "main") == kPaths);
  CHECK(dcs_paths("/", "main").leader == "/main/leader");
  CHECK(dcs_paths("/a/b", "c").leader == "/a/b/c/leader");
}

TEST_CASE("times need a zone") {
  CHECK(parse_time("2026-11-22T19:00:00+00:00") == 1795374000);
  CHECK(parse_time("2026-11-22 19:00:00Z") == 1795374000);
  CHECK(parse_time("2026-11-22T21:00:00.123456+02:00") == 1795374000);
  CHECK(parse_time("2026-11-22T11:30-0730") == 1795374000);
  CHECK(parse_time("2026-11-22T20:00:00+01") == 1795374000);
  CHECK(parse_time("2016-02-29T00:00:00Z") == 1456704000);
  for (const char* const none :
       {"", "2026-11-22", "2026-11-22T19:00:00", "2026-13-22T19:00:00Z", "2026-02-29T19:00:00Z", "2026-11-22T24:00:00Z",
        "2026-11-22T19:60:00Z", "2026-11-22T19:00:00.Z", "tomorrow", "2026-11-22T19:00:00+00:00x", "2026-11-22T19:00:00+",
        "2026-11-22T19:00:00+25:00", "-026-11-22T19:00:00Z", "2026-11-22T19:00:00+00:"}) {
    CAPTURE(none);
    CHECK_FALSE(parse_time(none));
  }
}

TEST_CASE("a failover key asks for what it names") {
  CHECK(parse_failover({R"({"leader":"pg1","member":"pg2"})", "7"}).value() == Switchover{"7", "pg1", "pg2", std::nullopt});
  CHECK(parse_failover({R"({"member":"pg2","leader":null,"x":[1]})", "7"}).value() == Switchover{"7", "", "pg2", std::nullopt});
  CHECK(parse_failover({R"({"leader":"pg1","scheduled_at":"2026-11-22T19:00:00+00:00"})", "7"}).value() ==
        Switchover{"7", "pg1", "", 1795374000});
  CHECK(parse_failover({"pg1:pg2", "7"}).value() == Switchover{"7", "pg1", "pg2", std::nullopt});
  CHECK(parse_failover({":pg2", "7"}).value() == Switchover{"7", "", "pg2", std::nullopt});
}

TEST_CASE("a failover key that names nobody asks for nothing") {
  for (const char* const nothing :
       {"", " ", "{}", "null", R"({"leader":"","member":null})", ":", R"({"scheduled_at":"2026-11-22T19:00:00+00:00"})"}) {
    CAPTURE(nothing);
    const auto wish = parse_failover({nothing, "1"});
    CHECK((wish && !*wish));
  }
}

TEST_CASE("a failover key that cannot be believed is refused, and says why") {
  CHECK(refusal(R"({"leader":"a b"})") == "a name that cannot name a server: \"a b\"");
  CHECK(refusal(R"({"leader":7})") == "a value in it that is no text");
  CHECK(refusal(R"({"leader":"a","scheduled_at":"soon"})") == "a time that is none: \"soon\"");
  CHECK(refusal("{") == "not the JSON expected: Missing a name for object member. (at byte 1)");
  CHECK(refusal("[]") == "a name that cannot name a server: \"[]\"");
}

TEST_CASE("base64 is taken whole or not at all") {
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                                                    {"f", "Zg=="},
                                                                                    {"fo", "Zm8="},
                                                                                    {"foo", "Zm9v"},
                                                                                    {"foob", "Zm9vYg=="},
                                                                                    {std::string("\0\xff\xfe", 3), "AP/+"}}) {
    CHECK(base64(bytes) == text);
    CHECK(from_base64(text) == bytes);
  }
  for (const char* const none : {"Z", "Zg", "Zg=", "Zg==Zg==", "Zm9*", "Z===", "====", "Zm9v\n"}) {
    CAPTURE(none);
    CHECK_FALSE(from_base64(none));
  }
}

TEST_CASE("etcd is asked for two keys, and for what comes after a revision") {
  CHECK(etcd_read_request(kPaths) == R"({"success":[{"request_range":{"key":"L3NlcnZpY2UvbWFpbi9sZWFkZXI="}},)"
                                     R"({"request_range":{"key":"L3NlcnZpY2UvbWFpbi9mYWlsb3Zlcg=="}}]})");
  CHECK(etcd_watch_request(kPaths, 18) ==
        R"({"create_request":{"key":"L3NlcnZpY2UvbWFpbi9sZWFkZXI=","start_revision":"18"}})"
        R"({"create_request":{"key":"L3NlcnZpY2UvbWFpbi9mYWlsb3Zlcg==","start_revision":"18"}})");
  CHECK(etcd_login_request("a\"b", "c") == R"({"name":"a\"b","password":"c"})");
}

TEST_CASE("etcd's answers, as 3.4.23 gave them") {
  const auto read = parse_etcd_read(
      R"({"header":{"cluster_id":"3921160875990403204","member_id":"14184348814924130791","revision":"2","raft_term":"2"},)"
      R"("succeeded":true,"responses":[{"response_range":{"header":{"revision":"2"},"kvs":[{"key":)"
      R"("L3NlcnZpY2UvbWFpbi9sZWFkZXI=","create_revision":"2","mod_revision":"2","version":"1","value":"cGcx"}],)"
      R"("count":"1"}},{"response_range":{"header":{"revision":"2"}}}]})",
      kPaths);
  REQUIRE(read);
  CHECK(*read == EtcdRead{2, DcsKey{"pg1", "2"}, std::nullopt, 2});

  const auto event = parse_etcd_line(
      R"({"result":{"header":{"revision":"4"},"watch_id":"1","events":[{"kv":{"key":"L3NlcnZpY2UvbWFpbi9mYWlsb3Zlcg==",)"
      R"("create_revision":"4","mod_revision":"4","version":"1","value":"e30="}},{"type":"DELETE","kv":)"
      R"({"key":"L3NlcnZpY2UvbWFpbi9mYWlsb3Zlcg==","mod_revision":"5"}},{"kv":{"key":"Zg==","mod_revision":"6"}}]}})",
      kPaths);
  REQUIRE(event);
  CHECK(event->events == std::vector<EtcdEvent>{{true, DcsKey{"{}", "4"}, 4}, {true, std::nullopt, 5}});

  const auto canceled = parse_etcd_line(R"({"result":{"header":{},"canceled":true,"compact_revision":"4"}})", kPaths);
  REQUIRE(canceled);
  CHECK(canceled->canceled);
  CHECK(canceled->compact_revision == 4);
  CHECK(etcd_complaint(R"({"error":"etcdserver: key is not provided","message":"etcdserver: key is not provided","code":3})") ==
        "etcdserver: key is not provided");
}

TEST_CASE("answers that are none of etcd's are refused") {
  for (const char* const none :
       {"", "[]", "{}", R"({"header":{"revision":"0"},"responses":[]})", R"({"header":{"revision":"-1"},"responses":[{},{}]})",
        R"({"header":{"revision":"2"},"responses":[{},{}]})", R"({"header":[],"responses":{}})",
        R"({"header":{"revision":"2"},"responses":[{"response_range":{"kvs":[7]}},{"response_range":{}}]})",
        R"({"header":{"revision":"2"},"responses":[{"response_range":{"kvs":[{"key":"Zg=="}]}},{"response_range":{}}]})"}) {
    CAPTURE(none);
    CHECK_FALSE(parse_etcd_read(none, kPaths));
  }
  for (const char* const none : {"", "{}", R"({"result":7})", R"({"result":{"events":[7]}})",
                                 R"({"result":{"events":[{"kv":{"key":7}}]}})", R"({"result":{"compact_revision":"x"}})"}) {
    CAPTURE(none);
    CHECK((std::string(none) == R"({"result":{"events":[{"kv":{"key":7}}]}})" || !parse_etcd_line(none, kPaths)));
  }
  for (const char* const none : {"{}", R"({"token":""})", R"({"token":"a\r\nX: b"})", R"({"token":7})"}) {
    CAPTURE(none);
    CHECK_FALSE(parse_etcd_token(none));
  }
}

TEST_CASE("Consul's keys") {
  CHECK(consul_request("/service/ma in/leader", 0, std::chrono::seconds(20)) == "/v1/kv/service/ma%20in/leader");
  CHECK(consul_request("/service/main/leader", 7, std::chrono::seconds(20)) ==
        "/v1/kv/service/main/leader?index=7&wait=20000ms");
  CHECK(parse_consul_key(
            R"([{"LockIndex":0,"Key":"service/main/leader","Flags":0,"Value":"cGcx","CreateIndex":5,"ModifyIndex":9}])")
            .value() == DcsKey{"pg1", "9"});
  CHECK(parse_consul_key(R"([{"Value":null,"ModifyIndex":9}])").value() == DcsKey{"", "9"});
  for (const char* const none :
       {"", "[]", "{}", "[7]", R"([{"Value":"cGcx"}])", R"([{"ModifyIndex":9}])", R"([{"Value":"*","ModifyIndex":9}])",
        R"([{},{}])", R"([],"x":[])", R"([{"Value":null,"ModifyIndex":9}],"more":[])"}) {
    CAPTURE(none);
    CHECK_FALSE(parse_consul_key(none));
  }
}
