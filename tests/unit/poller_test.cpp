#include "controller/poller.h"

#include <dlfcn.h>
#include <netdb.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <thread>

#include "tests/catch.h"
#include "tests/unit/fake_patroni.h"
#include "tests/unit/fake_port.h"
#include "tests/unit/fake_tls_patroni.h"

using namespace controller;
using fake::Manner;
using haproxy::BootClock;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Stands before libc's: a name that ends in ".slow.test" takes 3 s, one in ".none.test" does not exist, one in ".local.test"
/// is 127.0.0.1.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** result) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  const std::string_view asked = name == nullptr ? "" : name;
  if (asked.ends_with(".slow.test")) std::this_thread::sleep_for(seconds(3));
  if (asked.ends_with(".slow.test") || asked.ends_with(".none.test")) return EAI_NONAME;
  return real(asked.ends_with(".local.test") ? "127.0.0.1" : name, service, hints, result);
}

namespace {

const std::string kPrimary =
    R"({"state": "running", "role": "primary", "timeline": 1, "patroni": {"version": "4.0.7", "scope": "demo"}})";
const std::string kReplica =
    R"({"state": "running", "role": "replica", "timeline": 1, "patroni": {"version": "4.0.7", "scope": "demo"}})";

bool eventually(const std::function<bool()>& is_so, milliseconds within = seconds(8)) {
  const auto until = BootClock::now() + within;
  while (!is_so()) {
    if (BootClock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

MemberUrl url_of(const std::string& scheme, const std::string& host, std::uint16_t port) {
  return {scheme + "://" + host + ":" + std::to_string(port), scheme == "https", host, port};
}

/// One cluster, its board and its poller.
struct Watch {
  std::vector<ClusterConfig> clusters{1};
  std::unique_ptr<Board> board;
  std::unique_ptr<Poller> poller;

  void member(const fake::Patroni& server) { member(url_of("http", "127.0.0.1", server.port())); }
  void member(MemberUrl url) { clusters[0].members.push_back(std::move(url)); }
  void start(bool remembered = false) {
    Snapshot snapshot;
    auto& cluster = snapshot.clusters.emplace_back();
    for (const auto& url : clusters[0].members) cluster.members.emplace_back().url = url.url;
    board = std::make_unique<Board>(std::move(snapshot));
    poller = std::make_unique<Poller>(clusters, *board, remembered);
  }
  [[nodiscard]] Sighting seen(std::size_t index = 0) const { return board->snapshot().clusters[0].members[index]; }
  [[nodiscard]] bool answers(std::size_t index = 0) const { return seen(index).answer && !seen(index).silence; }
  [[nodiscard]] bool fails_as(Failure failure, std::size_t index = 0) const {
    const auto member = seen(index);
    return member.silence && member.silence->latest.failure == failure;
  }
  [[nodiscard]] std::string detail(std::size_t index = 0) const {
    const auto member = seen(index);
    return member.silence ? member.silence->latest.detail : "";
  }
};

std::string list_of(const std::vector<const fake::Patroni*>& servers, std::size_t leader) {
  std::string text = R"({"members": [)";
  for (std::size_t at = 0; at < servers.size(); ++at) {
    text += (at == 0 ? "" : ", ") + (R"({"name": "n)" + std::to_string(at + 1)) + R"(", "role": ")" +
            (at == leader ? "leader" : "replica") + R"(", "api_url": ")" + servers[at]->url() +
            R"(/patroni", "host": "127.0.0.1", "port": )" + std::to_string(5432 + at) + "}";
  }
  return text + "]}";
}

struct Three {
  fake::Patroni a, b, c;
  Watch watch;
  Three() {
    for (auto* const server : {&a, &b, &c}) {
      server->say("/primary", server == &a ? 200 : 503, server == &a ? kPrimary : kReplica);
      server->say("/cluster", 200, list_of({&a, &b, &c}, 0));
      server->say("/config", 200, R"({"ttl": 40, "loop_wait": 7})");
      watch.member(*server);
    }
  }
  [[nodiscard]] std::size_t requests(const std::string& path) const {
    return a.requests(path).size() + b.requests(path).size() + c.requests(path).size();
  }
};

}  // namespace

TEST_CASE("every member is asked at once at the start, then one for the addresses and the timings") {
  Three three;
  three.watch.start();
  REQUIRE(eventually([&] { return three.watch.answers(0) && three.watch.answers(1) && three.watch.answers(2); }));
  REQUIRE(eventually([&] {
    const auto cluster = three.watch.board->snapshot().clusters[0];
    return cluster.timings == Timings{40, 7} && cluster.members[2].postgres == haproxy::Address{"127.0.0.1", 5434};
  }));
  const auto seen = three.watch.seen(0);
  CHECK(seen.answer->answer()->role == Role::primary);
  CHECK(seen.answer->answer()->code == 200);
  CHECK(seen.answer->answer()->date == 1795322807);
  CHECK(seen.answer->asked_at <= seen.answer->answered_at);
  CHECK(seen.name == "n1");
  CHECK(seen.api_ip == "127.0.0.1");
  CHECK(three.watch.board->snapshot().clusters[0].hearsay[0].leader_url == three.a.url());
  REQUIRE(eventually([&] { return three.requests("/primary") > 30; }));
  CHECK(three.requests("/cluster") == 1);
  CHECK(three.requests("/config") == 1);
}

TEST_CASE("a request is a connection of its own, asks at once, and is closed") {
  Three three;
  three.watch.start();
  REQUIRE(eventually([&] { return three.requests("/primary") > 30; }));
  three.watch.poller.reset();
  for (const auto* const server : {&three.a, &three.b, &three.c}) {
    const auto asked =
        server->requests("/primary").size() + server->requests("/cluster").size() + server->requests("/config").size();
    CHECK(server->accepted() - static_cast<int>(asked) <= 1);  // the last may be cut by the end
    CHECK(server->most_open() == 1);
    CHECK(server->longest_idle() < milliseconds(100));
    CHECK(eventually([&] { return server->open() == 0; }));
  }
  const auto request = three.a.last_request();
  CHECK(request.starts_with("GET /"));
  CHECK(request.find(" HTTP/1.0\r\n") != std::string::npos);
  CHECK(request.find("keep-alive") == std::string::npos);
}

TEST_CASE("where the addresses are remembered the start asks for no more than /primary") {
  Three three;
  three.watch.start(true);
  const auto begun = BootClock::now();
  REQUIRE(eventually([&] { return three.watch.answers(0) && three.watch.answers(1) && three.watch.answers(2); }));
  CHECK(three.requests("/cluster") + three.requests("/config") == 0);
  REQUIRE(eventually([&] { return three.requests("/cluster") == 1 && three.requests("/config") == 1; }));
  CHECK(BootClock::now() - begun > milliseconds(900));
}

TEST_CASE("each way of not answering is told apart, is no answer, and ends") {
  struct Case {
    Manner manner;
    Failure failure;
    const char* detail;
  };
  const auto [manner, failure, detail] = GENERATE(values<Case>({
      {Manner::hang, Failure::timed_out, "connected, and no answer within 200 ms"},
      {Manner::reset, Failure::reset, "reset by peer"},
      {Manner::empty, Failure::empty, "Empty reply"},
      {Manner::bare, Failure::bad_answer, "an empty body"},
      {Manner::drip_body, Failure::bad_answer, "the answer was not complete within 200 ms"},
      {Manner::drip_header, Failure::bad_answer, "within 200 ms"},
      {Manner::big_body, Failure::bad_answer, "a body over 1000000 bytes"},
      {Manner::endless_header, Failure::bad_answer, "a header over 64 kB"},
      {Manner::endless_line, Failure::bad_answer, "header"},
      {Manner::endless_interim, Failure::bad_answer, "a header over 64 kB"},
      {Manner::truncated, Failure::bad_answer, "not the JSON expected"},
      {Manner::short_of_length, Failure::bad_answer, "transfer closed"},
      {Manner::html, Failure::bad_answer, "it begins with \"<html>"},
      {Manner::deep_json, Failure::bad_answer, "nested too deep"},
      {Manner::bad_utf8, Failure::bad_answer, "not the JSON expected"},
      {Manner::no_http, Failure::bad_answer, "HTTP/0.9"},
      {Manner::redirect, Failure::bad_answer, "HTTP code 302"},
  }));
  fake::Patroni server;
  server.say("/primary", 200, kPrimary);
  server.behave(manner);
  Watch watch;
  watch.member(server);
  watch.clusters[0].poll.timeout = milliseconds(200);
  watch.start();
  REQUIRE(eventually([&] { return watch.seen().silence.has_value(); }));
  INFO(static_cast<int>(manner) << ": " << watch.detail());
  CHECK(watch.fails_as(failure));
  CHECK(watch.detail().find(detail) != std::string::npos);
  CHECK(!watch.seen().answer);
  CHECK(watch.board->snapshot().clusters[0].refused == (failure == Failure::bad_answer ? 1U : 0U));
  CHECK(server.sent() < 6'000'000);  // what the sockets' buffers hold, and not 50 MB
  server.behave(Manner::answer);
  CHECK(eventually([&] { return watch.answers(); }));
  CHECK(server.most_open() == 1);
}

TEST_CASE("nobody listening is refused") {
  Watch watch;
  {
    const fake::Patroni gone;
    watch.member(gone);
  }
  watch.start();
  REQUIRE(eventually([&] { return watch.fails_as(Failure::refused); }));
  CHECK(watch.detail() == "Connection refused");
  CHECK(watch.seen().api_ip == "127.0.0.1");
}

TEST_CASE("a member that hangs delays nobody, is left alone for longer and longer, and its connections are closed") {
  Three three;
  three.watch.clusters[0].poll.timeout = milliseconds(200);
  three.b.behave(Manner::hang);
  three.watch.start();
  const auto begun = BootClock::now();
  const auto hangs = [&] { return three.watch.board->snapshot().clusters[0].members[1].in_flight; };
  REQUIRE(eventually([&] { return hangs().has_value(); }, milliseconds(150)));  // long before it has failed
  CHECK(*hangs() - begun < milliseconds(100));
  REQUIRE(eventually([&] { return three.b.requests("/primary").size() == 3; }));
  const auto hung = three.b.requests("/primary");
  CHECK(hung[1] - hung[0] >= milliseconds(1190));
  CHECK(hung[2] - hung[1] >= milliseconds(2190));
  CHECK(hung[2] - hung[1] < milliseconds(3000));
  CHECK(three.b.most_open() == 1);
  CHECK(three.b.accepted() == 3);
  const auto others = three.a.requests("/primary");
  CHECK(others.size() > 35);  // 3.4 s at 50 ms, slowing down after 2.5 s
  for (std::size_t at = 1; at < others.size(); ++at) CHECK(others[at] - others[at - 1] < milliseconds(200));
}

TEST_CASE("that the answer of one that claims is late is news long before it has failed") {
  for (const bool claims : {true, false}) {
    Three three;
    three.watch.clusters[0].poll = {milliseconds(200), milliseconds(200), milliseconds(1500)};
    three.watch.start();
    REQUIRE(eventually([&] { return three.requests("/config") == 1 && three.requests("/primary") > 9; }));
    const auto version = three.watch.board->version();
    (claims ? three.a : three.b).behave(Manner::hang);
    const bool told = eventually([&] { return three.watch.board->version() > version; }, milliseconds(800));
    CHECK(told == claims);
    CHECK_FALSE(three.watch.seen(0).silence);
    CHECK_FALSE(three.watch.seen(1).silence);
    CHECK(three.watch.board->version() <= version + 1);
  }
}

TEST_CASE("the port of a suspect is asked as soon as there is one") {
  Three three;
  three.watch.clusters[0].poll = {seconds(20), seconds(20), milliseconds(1500)};
  three.watch.start();
  REQUIRE(eventually([&] { return three.requests("/config") == 1 && three.watch.answers(2); }));
  fake::Port port;
  port.listen_to(fake::authentication());
  three.watch.board->put_suspect(0, Suspect{0, port.address(), {}});
  three.watch.poller->wake();
  const auto accepts = [&] {
    port.turn();
    const auto report = three.watch.seen(0).port;
    return report && report->says == PortSays::accepting;
  };
  CHECK(eventually(accepts, milliseconds(400)));
}

TEST_CASE("/cluster that hangs is cut after half a second, asked of another then, and seldom") {
  Three three;
  for (auto* const server : {&three.a, &three.b, &three.c}) server->behave("/cluster", Manner::hang);
  three.watch.start();
  REQUIRE(eventually([&] { return three.requests("/cluster") == 3; }));
  CHECK(three.a.requests("/cluster").size() <= 1);
  CHECK(three.b.requests("/cluster").size() <= 2);
  CHECK(three.watch.answers(0));
  CHECK(three.requests("/config") == 1);
}

TEST_CASE("a wrong list is refused and asked for again") {
  Three three;
  for (auto* const server : {&three.a, &three.b, &three.c}) server->say("/cluster", 200, R"({"members": [{"name": "a b"}]})");
  three.watch.start();
  REQUIRE(eventually([&] { return three.requests("/cluster") >= 2; }));
  CHECK(three.watch.seen(0).postgres_host.empty());
  for (auto* const server : {&three.a, &three.b, &three.c})
    server->say("/cluster", 200, list_of({&three.a, &three.b, &three.c}, 0));
  CHECK(eventually([&] { return three.watch.seen(0).postgres_port == 5432; }));
}

TEST_CASE("while two members claim, the third is asked for what it hears") {
  Three three;
  three.watch.start();
  REQUIRE(eventually([&] { return three.requests("/cluster") == 1; }));
  const auto before = three.c.requests("/cluster").size();
  three.b.say("/primary", 200, kPrimary);
  CHECK(eventually([&] { return three.c.requests("/cluster").size() >= before + 3; }));
  const auto asked = three.c.requests("/cluster");
  CHECK(asked[asked.size() - 1] - asked[asked.size() - 2] >= milliseconds(200));
  CHECK(three.a.requests("/cluster").size() + three.b.requests("/cluster").size() <= 1);
  three.b.say("/primary", 503, kReplica);
  REQUIRE(eventually([&] { return three.watch.seen(1).answer->answer()->role == Role::replica; }));
}

TEST_CASE("a change makes the poller alert") {
  Three three;
  three.watch.clusters[0].poll.calm = seconds(3);
  three.watch.clusters[0].poll.alert = milliseconds(20);
  three.watch.start();
  const auto slowed = [&] {
    const auto asked = three.c.requests("/primary");
    return asked.size() > 20 && asked[asked.size() - 1] - asked[asked.size() - 2] > milliseconds(90);
  };
  REQUIRE(eventually(slowed, seconds(20)));
  three.a.say("/primary", 503, kPrimary);
  REQUIRE(eventually([&] { return three.watch.seen(0).answer->answer()->code == 503; }));
  const auto before = three.c.requests("/primary").size();
  CHECK(eventually([&] { return three.c.requests("/primary").size() >= before + 15; }, milliseconds(1000)));
}

TEST_CASE("while the writer is missing the poller does not calm down, for a hold") {
  Three three;
  three.watch.clusters[0].poll = {seconds(3), milliseconds(5), milliseconds(1500)};
  three.watch.clusters[0].hold = seconds(4);
  three.watch.start(true);
  REQUIRE(eventually([&] { return three.watch.answers(0) && three.watch.answers(2); }));
  three.a.say("/primary", 503, kReplica);
  const auto changed = std::chrono::steady_clock::now();
  REQUIRE(eventually([&] { return std::chrono::steady_clock::now() > changed + milliseconds(5500); }));
  const auto asked = three.c.requests("/primary");
  const auto between = [&](milliseconds from, milliseconds to) {
    return std::ranges::count_if(asked, [&](auto at) { return at >= changed + from && at < changed + to; });
  };
  // 20 ms, where the age of the news alone makes it 60 ms and more.
  CHECK(between(milliseconds(3000), milliseconds(3900)) > 20);
  CHECK(between(milliseconds(4600), milliseconds(5500)) <= 10);
}

TEST_CASE("in calm the members are asked together, and none sooner than calm after it was asked before") {
  Three three;
  three.watch.clusters[0].poll = {milliseconds(200), milliseconds(200), milliseconds(1500)};
  three.watch.start(true);
  REQUIRE(eventually([&] { return three.requests("/primary") >= 3 * 12; }));
  three.watch.poller.reset();
  const auto a = three.a.requests("/primary");
  const auto b = three.b.requests("/primary");
  int together = 0;
  for (std::size_t at = 1; at < 11; ++at) {
    CHECK(a[at] - a[at - 1] > milliseconds(180));  // less what the way here took the one time and not the other
    if (std::chrono::abs(a[at] - b[at]) < milliseconds(10)) ++together;
  }
  CHECK(together >= 7);
}

TEST_CASE("a nudge asks everybody at once") {
  Three three;
  three.watch.clusters[0].poll = {seconds(20), seconds(20), milliseconds(1500)};
  three.watch.start();
  REQUIRE(eventually([&] { return three.requests("/primary") == 3 && three.requests("/cluster") == 1; }));
  REQUIRE(eventually([&] { return three.requests("/config") == 1 && three.watch.answers(2); }));
  CHECK_FALSE(eventually([&] { return three.requests("/primary") > 3; }, milliseconds(200)));
  three.watch.poller->nudge(0);
  CHECK(eventually([&] { return three.requests("/primary") == 6; }, seconds(1)));
}

TEST_CASE("many nudges do not outrun manners") {
  fake::Patroni server;
  server.say("/primary", 200, kPrimary);
  Watch watch;
  watch.member(server);
  watch.clusters[0].poll = {seconds(20), seconds(20), milliseconds(1500)};
  watch.start(true);
  CHECK_FALSE(eventually(
      [&] {
        watch.poller->nudge(0);
        return false;
      },
      milliseconds(500)));
  CHECK(server.requests("/primary").size() > 3);
  CHECK(server.requests("/primary").size() <= 52);
  CHECK(server.most_open() == 1);
}

TEST_CASE("the end does not wait for what is open, nor for a name that takes long") {
  fake::Patroni server;
  server.behave(Manner::hang);
  Watch watch;
  watch.member(server);
  watch.member(url_of("http", "pg.slow.test", 8008));
  watch.clusters[0].poll.timeout = seconds(30);
  watch.start();
  REQUIRE(eventually([&] { return server.requests("/primary").size() == 1; }));
  const auto before = BootClock::now();
  watch.poller.reset();
  CHECK(BootClock::now() - before < milliseconds(500));
  CHECK(eventually([&] { return server.open() == 0; }));
}

TEST_CASE("names are resolved beside the asking, and one that takes long is unresolved") {
  fake::Patroni server;
  server.say("/primary", 200, kPrimary);
  Watch watch;
  watch.member(server);
  watch.member(url_of("http", "pg.slow.test", 8008));
  watch.member(url_of("http", "pg.none.test", 8008));
  watch.member(url_of("http", "pg.local.test", server.port()));
  watch.clusters[0].poll.timeout = milliseconds(600);
  watch.start();
  REQUIRE(eventually([&] { return watch.seen(1).silence.has_value(); }));
  CHECK(watch.fails_as(Failure::unresolved, 1));
  CHECK(watch.detail(1) == "the name pg.slow.test was not resolved within 600 ms");
  CHECK(watch.fails_as(Failure::unresolved, 2));
  CHECK(watch.answers(3));
  CHECK(watch.seen(3).api_ip == "127.0.0.1");
  const auto asked = server.requests("/primary");
  for (std::size_t at = 1; at < asked.size(); ++at) CHECK(asked[at] - asked[at - 1] < milliseconds(200));
}

TEST_CASE("no proxy is used") {
  ::setenv("http_proxy", "http://127.0.0.1:1", 1);
  ::setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
  fake::Patroni server;
  server.say("/primary", 200, kPrimary);
  Watch watch;
  watch.member(server);
  watch.start();
  CHECK(eventually([&] { return watch.answers() || watch.seen().silence; }));
  CHECK(watch.answers());
  ::unsetenv("http_proxy");
  ::unsetenv("ALL_PROXY");
}

namespace {

const std::string kTls = std::string(POINTSMAN_FIXTURES) + "/tls";

/// What comes of asking a TLS server: "answer", or the failure and its detail.
std::string outcome(const Tls& tls, bool ask_client = false, bool says_goodbye = true, const std::string& body = kPrimary) {
  const fake::TlsPatroni server(kTls, body, ask_client, says_goodbye);
  Watch watch;
  watch.member(url_of("https", "127.0.0.1", server.port()));
  watch.clusters[0].tls = tls;
  watch.start();
  if (!eventually([&] { return watch.answers() || watch.seen().silence; })) return "nothing";
  const auto seen = watch.seen();
  return seen.silence ? std::string(word(seen.silence->latest.failure)) + ": " + seen.silence->latest.detail : "answer";
}

Tls trusting() {
  Tls tls;
  tls.ca = kTls + "/ca.pem";
  tls.server_name = "pg1.example";
  return tls;
}

}  // namespace

TEST_CASE("a certificate is verified, with its name") {
  CHECK(outcome(trusting()) == "answer");
  auto other = trusting();
  other.ca = kTls + "/other_ca.pem";
  CHECK(outcome(other).starts_with("tls: SSL certificate problem"));
  CHECK(outcome(Tls{}).starts_with("tls: SSL certificate problem"));
  auto named = trusting();
  named.server_name = "pg2.example";
  CHECK(outcome(named).find("target host name 'pg2.example'") != std::string::npos);
  named.server_name = "";
  CHECK(outcome(named).starts_with("tls: "));
  named.ca = "/no/such/file.pem";
  CHECK(outcome(named).find("/no/such/file.pem") != std::string::npos);
  Tls trusts_all;
  trusts_all.verify = false;
  CHECK(outcome(trusts_all) == "answer");
}

TEST_CASE("a client certificate with an encrypted key is shown where it is asked for") {
  auto tls = trusting();
  CHECK(outcome(tls, true).starts_with("tls: "));
  tls.cert = kTls + "/client.pem";
  tls.key = kTls + "/client.key";
  tls.key_password_file = kTls + "/client.password";
  CHECK(outcome(tls, true) == "answer");
  tls.key_password_file = kTls + "/ca.pem";
  CHECK(outcome(tls, true).starts_with("tls: "));
  tls.key_password_file = "/no/such/file";
  CHECK(outcome(tls, true) == "tls: cannot read the key's password from /no/such/file");
}

TEST_CASE("an answer that ends without TLS's goodbye is one if it is whole") {
  CHECK(outcome(trusting(), false, false) == "answer");
  CHECK(outcome(trusting(), false, false, kPrimary.substr(0, 50)).starts_with("bad_answer: not the JSON expected"));
}

TEST_CASE("plain HTTP and TLS that meet each other are told") {
  fake::Patroni server;
  server.behave(Manner::hang);
  Watch watch;
  watch.member(url_of("https", "127.0.0.1", server.port()));
  watch.clusters[0].poll.timeout = milliseconds(200);
  watch.start();
  REQUIRE(eventually([&] { return watch.seen().silence.has_value(); }));
  CHECK(watch.fails_as(Failure::timed_out));
}
