#include "controller/watch.h"

#include <filesystem>
#include <fstream>

#include "tests/catch.h"
#include "tests/unit/fake_consul.h"
#include "tests/unit/fake_etcd.h"
#include "tests/unit/watch_sample.h"

using fake::eventually;
using fake::Stream;
using fake::Watched;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Told = std::vector<std::string>;

namespace {

const std::string kSwitchover = R"({"leader":"pg1","member":"pg2"})";

struct Secret {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("pointsman-secret-" + std::to_string(::getpid()));
  explicit Secret(const std::string& text) { std::ofstream(path) << text << "\n"; }
  ~Secret() { std::filesystem::remove(path); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
};

struct OnEtcd : Watched {
  fake::Etcd etcd;
  OnEtcd() { at(etcd.port()); }
  ~OnEtcd() { end(); }
  bool tells(const Told& all) {
    return eventually([&] { return told() == all; });
  }
};

struct OnConsul : Watched {
  fake::Consul consul;
  OnConsul() {
    watch().dcs = controller::WatchConfig::Dcs::consul;
    at(consul.port());
  }
  ~OnConsul() { end(); }
  bool tells(const Told& all) {
    return eventually([&] { return told() == all; });
  }
};

}  // namespace

TEST_CASE("a leader is told when the watch begins, and each change of it") {
  OnEtcd on;
  on.etcd.leader("pg1");
  on.start();
  CHECK(on.tells({"leader pg1"}));
  on.etcd.leader("pg2");
  CHECK(on.tells({"leader pg1", "leader pg2"}));
  CHECK(eventually([&] { return on.state().leader == "pg2"; }));
  on.etcd.put(fake::Etcd::kLeader, std::nullopt);
  CHECK(on.tells({"leader pg1", "leader pg2", "leader "}));
  CHECK(eventually([&] { return on.state().announced == 3; }));
  CHECK(on.state().leader.empty());
  CHECK(on.state().reconnects == 0);
}

TEST_CASE("a switchover is told once for each write of its key, and when it is over") {
  OnEtcd on;
  on.start();
  REQUIRE(eventually([&] { return on.connected(); }));
  on.etcd.failover(kSwitchover);
  on.etcd.failover("{}");
  on.etcd.failover(R"({"leader":"pg2","scheduled_at":"2026-11-22T21:00:00+02:00"})");
  on.etcd.failover(R"({"member":"pg1"})");
  on.etcd.failover(std::nullopt);
  on.etcd.failover(std::nullopt);
  on.etcd.leader("last");
  CHECK(on.tells({"switchover 2 pg1>pg2 @now", "over 2", "switchover 4 pg2> @1795374000", "over 4", "switchover 5 >pg1 @now",
                  "over 5", "leader last"}));
}

TEST_CASE("a switchover that is asked for already when the watch begins is told") {
  OnEtcd on;
  on.etcd.failover(kSwitchover);
  on.start();
  CHECK(on.tells({"switchover 2 pg1>pg2 @now"}));
}

TEST_CASE("the same leader written again is no news") {
  OnEtcd on;
  on.etcd.leader("pg1");
  on.start();
  REQUIRE(eventually([&] { return on.connected(); }));
  for (int times = 0; times < 5; ++times) on.etcd.leader("pg1");
  on.etcd.leader("pg2");
  CHECK(on.tells({"leader pg1", "leader pg2"}));
}

TEST_CASE("a line that comes byte by byte is one line") {
  OnEtcd on;
  on.etcd.dribble();
  on.start({seconds(60), seconds(20), seconds(1), seconds(1)});
  REQUIRE(eventually([&] { return on.connected(); }));
  on.etcd.failover(kSwitchover);
  on.etcd.leader("pg2");
  CHECK(on.tells({"switchover 2 pg1>pg2 @now", "leader pg2"}));
}

TEST_CASE("what changed while there was no connection is told as one change, and only that") {
  OnEtcd on;
  on.etcd.leader("pg1");
  on.etcd.failover(kSwitchover);
  on.start();
  REQUIRE(on.tells({"leader pg1", "switchover 3 pg1>pg2 @now"}));
  REQUIRE(eventually([&] { return on.connected(); }));
  on.etcd.freeze();
  on.etcd.leader("pg2");
  on.etcd.failover("{}");
  on.etcd.leader("pg1");
  on.etcd.drop();
  REQUIRE(eventually([&] { return !on.connected(); }));
  CHECK(on.state().trouble.find("transfer closed") != std::string::npos);
  on.etcd.freeze(false);
  CHECK(on.tells({"leader pg1", "switchover 3 pg1>pg2 @now", "over 3"}));
  CHECK(eventually([&] { return on.connected(); }));
  CHECK(on.state().reconnects == 1);
  CHECK(on.state().trouble.empty());
}

TEST_CASE("what is no watch of etcd's is given up, and tried again with patience") {
  const auto [stream, trouble] = GENERATE(table<Stream, std::string>({
      {Stream::never_made, "no watch was made within 500 ms"},
      {Stream::ends, "the watch ended"},
      {Stream::compacted, "compacted up to 7"},
      {Stream::refused, "the watch is canceled: permission denied"},
      {Stream::error, "cannot read etcd's watch: the server is stopping"},
      {Stream::garbage, "cannot read etcd's watch: not the JSON expected: Invalid value. (at byte 0)"},
      {Stream::bad_base64, "cannot read etcd's watch: a key or value that is none"},
      {Stream::bad_utf8, "cannot read etcd's watch: not the JSON expected: Invalid encoding in string. (at byte 16)"},
      {Stream::endless_line, "over 1000000 bytes at once"},
      {Stream::flood, "1001 lines and"},
  }));
  CAPTURE(trouble);
  OnEtcd on;
  on.etcd.leader("pg1");
  on.etcd.behave(stream);
  on.start();
  REQUIRE(eventually([&] { return !on.state().trouble.empty(); }));
  std::string seen;
  CHECK(eventually([&] {
    const auto now = on.state().trouble;
    if (!now.empty()) seen = now;
    return seen.starts_with(trouble);
  }));
  CHECK(seen.substr(0, trouble.size()) == trouble);
  const int before = on.etcd.watches();
  std::this_thread::sleep_for(milliseconds(1000));  // how often it tries is what is measured
  CHECK(on.etcd.watches() - before <= 6);
  CHECK(on.told() == Told{"leader pg1"});
  on.etcd.behave(Stream::serve);
  on.etcd.leader("pg2");
  CHECK(on.tells({"leader pg1", "leader pg2"}));
  CHECK(eventually([&] { return on.connected(); }));
}

TEST_CASE("a watch that brings nothing is found out by a read, which tells the news itself") {
  OnEtcd on;
  on.etcd.behave(Stream::mute);
  auto pace = Watched::kPace;
  pace.check = milliseconds(500);
  on.start(pace);
  REQUIRE(eventually([&] { return on.connected(); }));
  on.etcd.failover(kSwitchover);
  CHECK(on.tells({"switchover 2 pg1>pg2 @now"}));
  CHECK(on.etcd.reads() <= 3);  // at the start, perhaps one before the news; to begin anew would take a fourth
  CHECK(eventually([&] { return on.state().reconnects == 1; }));
  CHECK(on.told().size() == 1);
}

TEST_CASE("a quiet watch is left alone, and its connection stays") {
  OnEtcd on;
  on.etcd.leader("pg1");
  on.start();
  CHECK(eventually([&] { return on.etcd.reads() >= 6; }));
  CHECK(on.state().reconnects == 0);
  CHECK(on.etcd.watches() == 1);
  CHECK(on.etcd.accepted() == 2);
}

TEST_CASE("a frozen endpoint is left for the next one") {
  fake::Etcd other;
  other.leader("pg1");
  OnEtcd on;
  on.etcd.leader("pg1");
  on.at(other.port());
  on.start();
  REQUIRE(eventually([&] { return on.connected(); }));
  on.etcd.freeze();
  CHECK(eventually([&] { return on.connected() && on.state().endpoint.ends_with(std::to_string(other.port())); }));
  other.leader("pg2");
  CHECK(on.tells({"leader pg1", "leader pg2"}));
}

TEST_CASE("of two endpoints the one that is dead costs no second") {
  std::uint16_t dead = 0;
  { dead = fake::Etcd().port(); }
  fake::Etcd living;
  living.leader("pg1");
  Watched watched;
  watched.at(dead);
  watched.at(living.port());
  watched.start();
  CHECK(eventually([&] { return watched.connected(); }, milliseconds(900)));
  CHECK(watched.told() == Told{"leader pg1"});
  watched.end();
}

TEST_CASE("a wrong password is said, and the right one gets in") {
  const Secret secret("wrong");
  OnEtcd on;
  on.etcd.need_login("right");
  on.etcd.leader("pg1");
  on.watch().username = "reader";
  on.watch().password_file = secret.path;
  on.start();
  CHECK(eventually([&] {
    return on.state().trouble ==
           "the log-in is refused: HTTP 400, etcdserver: authentication failed, invalid user ID or password";
  }));
  CHECK(on.told().empty());
  std::ofstream(secret.path) << "right\n";
  CHECK(on.tells({"leader pg1"}));
}

TEST_CASE("no password file, no watch") {
  OnEtcd on;
  on.watch().username = "reader";
  on.watch().password_file = "/no/such/file";
  on.start();
  CHECK(eventually([&] { return on.state().trouble == "cannot read the watch's password from /no/such/file: no line comes"; }));
  CHECK(on.etcd.accepted() == 0);
}

TEST_CASE("a token that expired is replaced, and the watch stays") {
  const Secret secret("right");
  OnEtcd on;
  on.etcd.need_login("right");
  on.watch().username = "reader";
  on.watch().password_file = secret.path;
  on.start();
  REQUIRE(eventually([&] { return on.connected(); }));
  on.etcd.expire();
  CHECK(eventually([&] { return on.etcd.logins() == 2; }));
  const int reads = on.etcd.reads();
  CHECK(eventually([&] { return on.etcd.reads() > reads + 2; }));
  on.etcd.leader("pg1");
  CHECK(on.tells({"leader pg1"}));
  CHECK(on.state().reconnects == 0);
  CHECK(on.etcd.watches() == 1);
}

TEST_CASE("a user where etcd has no authentication is no trouble") {
  const Secret secret("any");
  OnEtcd on;
  on.etcd.leader("pg1");
  on.watch().username = "reader";
  on.watch().password_file = secret.path;
  on.start();
  CHECK(on.tells({"leader pg1"}));
}

TEST_CASE("names that cannot name a server are told to nobody") {
  OnEtcd on;
  on.etcd.leader("pg1");
  on.start();
  REQUIRE(on.tells({"leader pg1"}));
  REQUIRE(eventually([&] { return on.connected(); }));
  on.etcd.leader("pg1; shutdown");
  on.etcd.leader("pg\n");
  on.etcd.leader(std::string(300, 'a'));
  on.etcd.failover(R"({"leader":"pg1","member":"pg2 "})");
  on.etcd.failover(R"({"leader":"pg1","member":7})");
  on.etcd.failover(R"({"leader":"pg1","scheduled_at":"tomorrow"})");
  on.etcd.failover("\xff\xfe");
  on.etcd.failover(R"({"leader":"pg1","leader":"pg2"})");
  on.etcd.leader("pg2");
  CHECK(on.tells({"leader pg1", "leader pg2"}));
  CHECK(on.state().refused >= 8);
}

TEST_CASE("a name that is not resolved holds up nobody at the end") {
  Watched watched;
  watched.at(2379, "etcd.slow.test");
  watched.start();
  std::this_thread::sleep_for(milliseconds(100));  // it is being resolved
  const auto before = haproxy::BootClock::now();
  watched.end();
  CHECK(haproxy::BootClock::now() - before < milliseconds(500));
}

TEST_CASE("nothing is told after the end") {
  OnEtcd on;
  on.start();
  REQUIRE(eventually([&] { return on.connected(); }));
  on.end();
  on.etcd.leader("pg1");
  CHECK(eventually([&] { return on.etcd.open() == 0; }));
  CHECK(on.told().empty());
}

TEST_CASE("a cluster without a watch has none") {
  const controller::Watcher watcher(std::vector<controller::ClusterConfig>(2), [](const auto&) {});
  CHECK(watcher.states() == std::vector<controller::WatchState>(2));
}

TEST_CASE("Consul: leader and switchover are told as with etcd") {
  OnConsul on;
  on.consul.put("leader", "pg1");
  on.consul.put("failover", "{}");
  on.start();
  CHECK(on.tells({"leader pg1"}));
  REQUIRE(eventually([&] { return on.connected(); }));
  on.consul.put("failover", kSwitchover);
  CHECK(on.tells({"leader pg1", "switchover 13 pg1>pg2 @now"}));
  on.consul.put("leader", "pg2");
  CHECK(on.tells({"leader pg1", "switchover 13 pg1>pg2 @now", "leader pg2"}));
  on.consul.put("failover", "");
  CHECK(on.tells({"leader pg1", "switchover 13 pg1>pg2 @now", "leader pg2", "over 13"}));
  on.consul.put("leader", std::nullopt);
  CHECK(on.tells({"leader pg1", "switchover 13 pg1>pg2 @now", "leader pg2", "over 13", "leader "}));
  CHECK(on.state().reconnects == 0);
}

TEST_CASE("Consul: a query that waited in vain is asked again from the same index") {
  OnConsul on;
  on.consul.put("leader", "pg1");
  on.start();
  CHECK(eventually(
      [&] { return std::ranges::count(on.consul.requests(), "/v1/kv/service/main/leader?index=11&wait=300ms") >= 3; }));
  CHECK(on.told() == Told{"leader pg1"});
  CHECK(on.connected());
}

TEST_CASE("Consul: an index that goes back is begun anew") {
  OnConsul on;
  on.consul.put("leader", "pg1");
  on.start();
  REQUIRE(eventually([&] { return on.connected(); }));
  on.consul.go_back();
  CHECK(eventually([&] {
    const auto requests = on.consul.requests();
    return std::ranges::count(requests, "/v1/kv/service/main/leader") == 2 &&
           std::ranges::count(requests, "/v1/kv/service/main/leader?index=1&wait=300ms") >= 1;
  }));
  CHECK(on.told() == Told{"leader pg1"});
}

TEST_CASE("Consul: an answer at once, for ever, is asked for ten times a second at the most") {
  OnConsul on;
  on.consul.hurry();
  on.start();
  REQUIRE(eventually([&] { return on.connected(); }));
  const auto before = on.consul.requests().size();
  std::this_thread::sleep_for(milliseconds(1000));  // how often it asks is what is measured
  CHECK(on.consul.requests().size() - before <= 22);
}

TEST_CASE("Consul: what is no answer of its is said, and tried again") {
  const auto [code, body, trouble] = GENERATE(table<int, std::string, std::string>({
      {500, "No cluster leader", "HTTP 500, No cluster leader"},
      {403, "Permission denied\n", "HTTP 403, Permission denied\\x0a"},
      {404, "", "no X-Consul-Index in its answer"},
  }));
  OnConsul on;
  on.consul.put("leader", "pg1");
  on.consul.say(code, body);
  on.start();
  CHECK(eventually([&] { return on.state().trouble == trouble; }));
  on.consul.say(200, "");
  CHECK(on.tells({"leader pg1"}));
}

TEST_CASE("Consul: the token is sent") {
  const Secret secret("s3cret");
  OnConsul on;
  on.consul.need_token("s3cret");
  on.consul.put("leader", "pg1");
  on.watch().password_file = secret.path;
  on.start();
  CHECK(on.tells({"leader pg1"}));
}

TEST_CASE("Consul: a server that froze is found out, and its news come when it thaws") {
  OnConsul on;
  on.consul.put("leader", "pg1");
  on.start();
  REQUIRE(eventually([&] { return on.connected(); }));
  on.consul.freeze();
  on.consul.put("leader", "pg2");
  const auto said = [&] { return on.state().trouble.starts_with("Operation timed out after"); };
  CHECK(eventually(said));
  on.consul.freeze(false);
  CHECK(on.tells({"leader pg1", "leader pg2"}));
}
