#include <fstream>
#include <sstream>
#include <string>

#include "haproxy/parse.h"
#include "tests/catch.h"

using namespace haproxy;

namespace {

std::string fixture(const std::string& version, const std::string& name) {
  std::ifstream file(std::string(POINTSMAN_FIXTURES) + "/haproxy/" + version + "/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  REQUIRE_FALSE(text.str().empty());
  return text.str();
}

}  // namespace

TEST_CASE("sessions with servers are told from the CLI's own, in every version") {
  const auto [version, id] = GENERATE(table<std::string, std::string>({
      {"2.6", "0x5636b6e7e5b0"},
      {"3.0", "0x7f0e83855c00"},
      {"3.2", "0x7fba6277f000"},
  }));
  const auto sessions = parse_sessions(fixture(version, "show_sess.txt"));
  REQUIRE(sessions);
  CHECK(*sessions == std::vector<Session>{{id, "pg_primary", "pg_primary", "node1", true}});
}

TEST_CASE("established sessions are told from connecting ones, in every version") {
  const std::string version = GENERATE("2.6", "3.0", "3.2");
  const auto sessions = parse_sessions(fixture(version, "show_sess_3_established_3_connecting.txt"));
  REQUIRE(sessions);
  int established = 0;
  int connecting = 0;
  for (const Session& session : *sessions) {
    CHECK(session.server == "n1");
    ++(session.established ? established : connecting);
  }
  CHECK(established == 3);
  CHECK(connecting == 3);
}

TEST_CASE("no session at all is an empty list, no reply at all is an error") {
  CHECK(parse_sessions("\n")->empty());
  CHECK_FALSE(parse_sessions(""));
}

TEST_CASE("show sess in another form or cut short is refused") {
  CHECK_FALSE(parse_sessions("Permission denied\n\n"));
  CHECK_FALSE(parse_sessions("0x7f: proto=tcpv4 fe=a be=a srv=s\n\n"));
  CHECK_FALSE(parse_sessions("0x7f proto=tcpv4 fe=a be=a srv=s scb=[8\n\n"));
  const std::string good = fixture("3.0", "show_sess.txt");
  CHECK_FALSE(parse_sessions(good.substr(0, good.size() - 1)));
  CHECK_FALSE(parse_sessions(good.substr(0, 40)));
  CHECK_FALSE(parse_sessions("x"));
}

TEST_CASE("show proc names the master and its worker, in every version") {
  const auto [version, master, worker, full] = GENERATE(table<std::string, int, int, std::string>({
      {"2.6", 1577, 1595, "2.6.12-1+deb12u4"},
      {"3.0", 1584, 1603, "3.0.11-1+deb13u3"},
      {"3.2", 1591, 1605, "3.2.26-1"},
  }));
  const auto processes = parse_proc(fixture(version, "master_show_proc.txt"));
  REQUIRE(processes);
  CHECK(*processes == Processes{{master, 0}, 0, {{worker, 0}}, {}, full});
}

TEST_CASE("show proc lists old workers apart") {
  const auto [version, worker, old_worker] =
      GENERATE(table<std::string, int, int>({{"2.6", 1651, 1595}, {"3.0", 1661, 1603}, {"3.2", 1665, 1605}}));
  const auto processes = parse_proc(fixture(version, "master_show_proc_old_worker.txt"));
  REQUIRE(processes);
  CHECK(processes->master.reloads == 1);
  CHECK(processes->workers == std::vector<Process>{{worker, 0}});
  CHECK(processes->old_workers == std::vector<Process>{{old_worker, 1}});
}

TEST_CASE("show proc counts failed reloads") {
  const std::string version = GENERATE("2.6", "3.0", "3.2");
  const auto processes = parse_proc(fixture(version, "master_show_proc_failed.txt"));
  REQUIRE(processes);
  CHECK(processes->failed == 1);
  CHECK(processes->master.reloads == 4);
  CHECK(processes->workers.empty() == (version == "3.2"));
  CHECK(processes->old_workers.size() == (version == "3.2" ? 1 : 0));
}

TEST_CASE("a program that the master keeps is no worker") {
  const auto processes = parse_proc(
      "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
      "10              master          2 [failed: 0]   0d00h00m02s     2.6.12         \n"
      "# workers\n11              worker          0               0d00h00m02s     2.6.12\n"
      "# programs\n12              sidecar         0               0d00h00m02s     -\n\n");
  REQUIRE(processes);
  CHECK(processes->workers == std::vector<Process>{{11, 0}});
  CHECK(processes->old_workers.empty());
}

TEST_CASE("show proc in another form or cut short is refused") {
  const std::string good = fixture("2.6", "master_show_proc.txt");
  for (std::size_t length = 0; length < good.size(); ++length) {
    CAPTURE(length);
    REQUIRE_FALSE(parse_proc(good.substr(0, length)));
  }
  CHECK_FALSE(parse_proc("#<PID>\n# workers\n\n"));
  CHECK_FALSE(parse_proc("#<PID>\n10 worker 0 0d 2.6\n\n"));
  CHECK_FALSE(parse_proc("#<PID>\n10 master x 0d 2.6\n\n"));
  CHECK_FALSE(parse_proc("#<PID>\n10 master 0 [failed: x] 0d 2.6\n\n"));
  CHECK_FALSE(parse_proc("#<PID>\n-1 master 0 [failed: 0] 0d 2.6\n\n"));
  CHECK_FALSE(parse_proc("Unknown command\n\n"));
}

TEST_CASE("empty lines are success") {
  CHECK_FALSE(complaint("\n"));
  CHECK_FALSE(complaint("\n\n\n"));
  CHECK_FALSE(complaint(""));
}

TEST_CASE("a warning and a notice are no complaint") {
  CHECK_FALSE(complaint("\n[4]: IP changed from '127.0.0.1' to '127.0.0.9' by 'stats socket command'\n\n"));
  CHECK_FALSE(complaint("[6]: New server registered.\n\n"));
}

TEST_CASE("the first error among the replies to a line is the complaint") {
  CHECK(complaint("\n[4]: IP changed from 'a' to 'b'\n\n[3]: No such server.\n\n[3]: No such backend.\n\n") ==
        "No such server.");
  CHECK(complaint("\n\n[0]: worse\n\n") == "worse");
}

TEST_CASE("text without a severity is a complaint") {
  CHECK(complaint("\nPermission denied\n\n") == "Permission denied");
  CHECK(complaint("Proxy is disabled.\n\n") == "Proxy is disabled.");
  CHECK(complaint("[x]: what\n\n") == "[x]: what");
  CHECK(complaint("[3] no colon\n\n") == "[3] no colon");
}

TEST_CASE("an unknown command is a complaint though HAProxy calls it a notice") {
  CHECK(complaint("\n[6]: Unknown command, but maybe one of the following ones is a better match:\n  show fd\n\n") ==
        "Unknown command, but maybe one of the following ones is a better match:");
}

TEST_CASE("sessions of HAProxy's own, without a server, are passed over") {
  const auto sessions = parse_sessions(
      "0x55e0: proto=? ts=00 epoch=0 age=1s calls=1 rate=0 cpu=0 lat=0 rq[f=0h] scf=[8,0h,fd=-1]\n"
      "0x7f70: proto=tcpv4 src=127.0.0.1:5 fe=fe be=pg srv=n1 ts=00 scf=[8,0h,fd=1] scb=[8,1h,fd=2] exp=1s\n\n");
  REQUIRE(sessions);
  REQUIRE(sessions->size() == 1);
  CHECK(sessions->front().id == "0x7f70");
}

TEST_CASE("a session's address that is no hexadecimal number is refused") {
  for (const char* const id : {"0x7f;shutdown frontend fe", "0x", "0x12345678901234567"}) {
    CHECK_FALSE(parse_sessions(std::string(id) + ": proto=tcpv4 fe=a be=a srv=s scb=[8,1h]\n\n"));
  }
}
