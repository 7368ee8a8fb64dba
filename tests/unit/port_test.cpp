#include "controller/port.h"

#include "controller/ports.h"
#include "controller/schedule.h"
#include "tests/catch.h"
#include "tests/unit/fake_port.h"

using namespace controller;
using namespace std::chrono_literals;
using haproxy::BootClock;

namespace {

/// One suspect, asked as the poller does.
struct Play {
  fake::Port port;
  Board board;
  Ports ports;

  explicit Play(int backlog = 16) : port(backlog), board(one_member()), ports(board, 1) {}
  static Snapshot one_member() {
    Snapshot snapshot;
    snapshot.clusters.emplace_back().members.emplace_back().url = "http://127.0.0.11:8008";
    return snapshot;
  }
  void suspect() { board.put_suspect(0, Suspect{0, port.address(), {}}); }
  [[nodiscard]] std::optional<PortReport> seen() const { return board.snapshot().clusters[0].members[0].port; }
  void turn() {
    const Instant next = std::min(ports.work(BootClock::now()), BootClock::now() + 5ms);
    auto waits = ports.waits();
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - BootClock::now());
    poll(waits.data(), waits.size(), static_cast<int>(std::max<std::int64_t>(wait.count(), 0)));
    port.turn();
  }
  void turns_for(Duration time) {
    for (const Instant until = BootClock::now() + time; BootClock::now() < until;) turn();
  }
  /// The first report after this moment.
  PortReport ask() {
    const Instant from = BootClock::now();
    suspect();
    while (BootClock::now() < from + 5s) {
      turn();
      if (const auto report = seen(); report && report->asked_at >= from) return *report;
    }
    return {};
  }
};

constexpr const char* kStarting = "the database system is starting up";

}  // namespace

TEST_CASE("a start-up packet is of protocol 3.0, as long as it says, with names and values ended by zeros") {
  const std::string packet = start_up_packet();
  CHECK(packet.size() == 68);
  CHECK(packet.substr(0, 8) == std::string("\0\0\0\x44\0\3\0\0", 8));
  CHECK(packet.find(std::string("user\0postgres\0database\0postgres\0", 32)) == 8);
  CHECK(packet.ends_with(std::string("pointsman\0\0", 11)));
}

TEST_CASE("a server that wants to know who we are accepts connections") {
  CHECK(parse_port_answer(fake::authentication(), false) == PortAnswer{PortSays::accepting, "accepts connections"});
  CHECK(parse_port_answer("R", false)->says == PortSays::accepting);
}

TEST_CASE("one that says 57P03 rejects them, whatever it calls that") {
  for (const char* message : {kStarting, "the database system is shutting down", "the database system is in recovery mode"}) {
    CHECK(parse_port_answer(fake::error("57P03", message), false) == PortAnswer{PortSays::rejecting, message});
  }
  CHECK(parse_port_answer(fake::error("57P02", "crash of another server process"), false)->says == PortSays::rejecting);
}

TEST_CASE("any other error is of a server that accepts: a user it does not know, a TLS it wants, too many clients") {
  for (const char* sqlstate : {"28000", "3D000", "53300", "08P01", "57014", "57P04"}) {
    CHECK(parse_port_answer(fake::error(sqlstate, "no"), false) == PortAnswer{PortSays::accepting, "accepts connections (no)"});
  }
}

TEST_CASE("half an error is waited for, and taken as it is when nothing more comes") {
  const std::string error = fake::error("57P03", kStarting);
  for (std::size_t size = 1; size < error.size(); ++size)
    CHECK(parse_port_answer(error.substr(0, size), false) == std::nullopt);
  CHECK(parse_port_answer(error.substr(0, 30), true)->says == PortSays::rejecting);
  CHECK(parse_port_answer("E", true)->says == PortSays::accepting);
  CHECK(parse_port_answer("Ecould not fork new process for connection\n", true)->says == PortSays::accepting);
}

TEST_CASE("nothing at all is no answer, and a length that lies is not waited for beyond the bound") {
  CHECK(parse_port_answer("", false) == std::nullopt);
  CHECK(parse_port_answer("", true)->says == PortSays::nothing);
  std::string endless = fake::error("57P03", std::string(900, 'x'));
  endless[1] = '\x7f';
  CHECK(parse_port_answer(endless, false) == std::nullopt);
  endless.resize(kPortAnswerBytes, 'x');
  CHECK(parse_port_answer(endless, false)->says == PortSays::rejecting);
  CHECK(parse_port_answer(endless, false)->detail.size() <= 110);
}

TEST_CASE("a port is asked every 250 ms at first, every 2 s in the end, and given longer where the API took long") {
  CHECK(port_pace(0s) == 250ms);
  CHECK(port_pace(10s) == 250ms);
  CHECK(port_pace(40s) == 1s);
  CHECK(port_pace(1h) == 2s);
  CHECK(port_patience(0s) == 500ms);
  CHECK(port_patience(100ms) == 1s);
  CHECK(port_patience(1500ms) == 2s);
}

TEST_CASE("a port that accepts is reported so, is asked again and again, and each connection is closed") {
  Play play;
  play.port.listen_to(fake::authentication());
  const PortReport report = play.ask();
  CHECK(report.says == PortSays::accepting);
  CHECK(report.address == play.port.address());
  CHECK(report.answered_at - report.asked_at < 200ms);
  CHECK(play.port.asked == start_up_packet());
  play.turns_for(1100ms);
  CHECK(play.port.accepted >= 4);
  CHECK(play.port.accepted <= 6);
  play.board.put_suspect(0, std::nullopt);
  play.turns_for(400ms);
  CHECK(play.port.left == play.port.accepted);
  const int before = play.port.accepted;
  play.turns_for(600ms);
  CHECK(play.port.accepted == before);
}

TEST_CASE("one that is starting, that refuses, that closes without a word, is reported at once") {
  Play play;
  play.port.listen_to(fake::error("57P03", kStarting), true);
  PortReport report = play.ask();
  CHECK(report.says == PortSays::rejecting);
  CHECK(report.detail == kStarting);
  play.port.listen_to("", true);
  report = play.ask();
  CHECK(report.says == PortSays::nothing);
  CHECK(report.detail == "closed without an answer");
  play.port.close();
  report = play.ask();
  CHECK(report.says == PortSays::nothing);
  CHECK(report.detail == "Connection refused");
  CHECK(report.answered_at - report.asked_at < 200ms);
}

TEST_CASE("one that takes connections and says nothing is given up after half a second") {
  Play play;
  const PortReport report = play.ask();
  CHECK(report.says == PortSays::nothing);
  CHECK(report.detail == "connected, and no answer within 500 ms");
  CHECK(report.answered_at - report.asked_at >= 500ms);
  CHECK(report.answered_at - report.asked_at < 700ms);
}

TEST_CASE("an error that comes in parts is read to its end, and taken as it is when that does not come") {
  Play play;
  const std::string error = fake::error("57P03", kStarting);
  play.port.at_once = 10;
  play.port.listen_to(error);
  CHECK(play.ask().detail == kStarting);
  play.port.listen_to(error.substr(0, 12));
  const PortReport report = play.ask();
  CHECK(report.says == PortSays::accepting);
  CHECK(report.answered_at - report.asked_at >= 500ms);
}

TEST_CASE("where no connection comes to stand it is tried once more, and then given up") {
  Play play(0);
  std::vector<int> full;
  for (int i = 0; i < 3; ++i) {  // its backlog: from now on SYNs are lost
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(play.port.address().port);
    connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
    full.push_back(fd);
  }
  const PortReport report = play.ask();
  CHECK(report.says == PortSays::nothing);
  CHECK(report.detail == "no connection within 500 ms");
  play.board.put_suspect(0, std::nullopt);
  play.turn();
  play.suspect();
  play.turns_for(100ms);
  const Instant begun = BootClock::now();
  play.port.listen_to(fake::authentication());  // room is there again: a second SYN finds it, the first comes again after 1 s
  while (play.seen()->says != PortSays::accepting && BootClock::now() < begun + 2s) play.turn();
  CHECK(BootClock::now() - begun < 400ms);
  for (const int fd : full) close(fd);
}

TEST_CASE("an address of IPv6 is asked as well, and one that is none is not asked and keeps nobody busy") {
  Play play;
  play.board.put_suspect(0, Suspect{0, {"::1", play.port.address().port}, {}});
  play.turns_for(50ms);
  REQUIRE(play.seen());
  CHECK(play.seen()->detail == "Connection refused");
  CHECK(play.seen()->address.text() == "[::1]:" + std::to_string(play.port.address().port));
  Play none;
  none.board.put_suspect(0, Suspect{0, {"pg1", 5432}, {}});
  const Instant next = none.ports.work(BootClock::now());
  CHECK(next > BootClock::now() + 200ms);
  CHECK(none.ports.waits().empty());
  CHECK_FALSE(none.seen());
}

TEST_CASE("a port whose member has answered meanwhile is no news") {
  Play play;
  play.port.listen_to(fake::authentication());
  play.suspect();
  play.turn();
  Answer answer;
  answer.code = 200;
  play.board.put(0, 0, {BootClock::now(), BootClock::now(), answer}, "127.0.0.11");
  play.turns_for(100ms);
  CHECK(play.port.accepted == 1);
  CHECK_FALSE(play.seen());
}
