#include "haproxy/parse.h"

#include <fstream>
#include <sstream>
#include <string>

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

std::string whole_look(const std::string& version) {
  return fixture(version, "show_info.txt") + fixture(version, "show_servers_state.txt") +
         fixture(version, "show_stat_servers_csv.txt");
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

const std::string kHeader =
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change "
    "srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id "
    "srv_fqdn "
    "srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n";

}  // namespace

TEST_CASE("show info names the worker, in every version") {
  const auto [version, pid, full] = GENERATE(table<std::string, int, std::string>({
      {"2.6", 20934, "2.6.12-1+deb12u4"},
      {"3.0", 20921, "3.0.11-1+deb13u3"},
      {"3.2", 20938, "3.2.26-1"},
  }));
  const Result<Worker> worker = parse_info(fixture(version, "show_info.txt"));
  REQUIRE(worker);
  CHECK(*worker == Worker{pid, 1795319898, false, full});
}

TEST_CASE("an old worker says that it is stopping") {
  const Result<Worker> worker = parse_info(replaced(fixture("2.6", "show_info.txt"), "Stopping: 0", "Stopping: 1"));
  REQUIRE(worker);
  CHECK(worker->stopping);
}

TEST_CASE("a description in show info cannot pass for a value") {
  const Result<Worker> worker =
      parse_info(replaced(fixture("2.6", "show_info.txt"), "description: lab", "description: Pid: 1"));
  REQUIRE(worker);
  CHECK(worker->pid == 20934);
}

TEST_CASE("show info without one of its values, with a bad one or cut short is refused") {
  const std::string good = fixture("3.0", "show_info.txt");
  CHECK_FALSE(parse_info(replaced(good, "\nPid: 20921", "")));
  CHECK_FALSE(parse_info(replaced(good, "\nStart_time_sec: 1795319898", "")));
  CHECK_FALSE(parse_info(replaced(good, "\nStopping: 0", "")));
  CHECK_FALSE(parse_info(replaced(good, "\nVersion: 3.0.11-1+deb13u3", "")));
  CHECK_FALSE(parse_info(replaced(good, "Version: 3.0.11", "Version: 3\xff")));
  CHECK_FALSE(parse_info(replaced(good, "Start_time_sec: 17", "Start_time_sec: -17")));
  CHECK_FALSE(parse_info(replaced(good, "Pid: 20921", "Pid: x")));
  CHECK_FALSE(parse_info(replaced(good, "Pid: 20921", "Pid: 0")));
  CHECK_FALSE(parse_info(replaced(good, "Pid: 20921", "Pid: 99999999999999999999")));
  CHECK_FALSE(parse_info(good.substr(0, good.size() - 1)));
  CHECK_FALSE(parse_info(good.substr(0, good.size() - 5)));
  CHECK_FALSE(parse_info(""));
  CHECK(parse_info("Permission denied\n\n").error().text() ==
        "cannot read the reply to show info: expected \"Name: \" first, found \"Permission denied\"");
}

TEST_CASE("show servers state lists backends and servers, in every version") {
  const auto [version, port] = GENERATE(table<std::string, std::uint16_t>({{"2.6", 15401}, {"3.0", 16401}, {"3.2", 17401}}));
  const auto backends = parse_servers_state(fixture(version, "show_servers_state.txt"));
  REQUIRE(backends);
  REQUIRE(backends->size() == 3);
  CHECK((*backends)[0].name == "pg_primary");
  CHECK((*backends)[1].servers.size() == 4);
  CHECK((*backends)[2].servers.size() == 1);

  Server node1;
  node1.name = "node1";
  node1.id = 1;
  node1.ip = "127.0.0.11";
  node1.port = port;
  node1.op_state = OperationalState::running;
  node1.check = Check{true, 6, 3, 4, 0, 0, port};
  CHECK((*backends)[0].servers[0] == node1);

  const Server& by_check = (*backends)[0].servers[1];
  CHECK(by_check.op_state == OperationalState::stopped);
  CHECK(by_check.check == Check{true, 8, 2, 0, 0, 0, port});
  CHECK_FALSE(by_check.usable());
  const Server& disabled = (*backends)[0].servers[2];
  CHECK(disabled.admin_state == 5);
  CHECK(disabled.in_maint());
  CHECK(disabled.check.enabled);  // 14: paused, for as long as it is in maintenance

  const Server& unchecked = (*backends)[1].servers[1];
  CHECK(unchecked.ip == "::1");
  CHECK_FALSE(unchecked.check.enabled);
  CHECK(unchecked.usable());
  CHECK((*backends)[1].servers[0].weight == 10);
}

TEST_CASE("a server whose weight is 0 or that is forced to maintenance is seen as such") {
  const auto backends = parse_servers_state(fixture("2.6", "show_servers_state_after.txt"));
  REQUIRE(backends);
  CHECK((*backends)[1].servers[3].in_maint());
  CHECK((*backends)[2].servers[0].weight == 0);
  CHECK_FALSE((*backends)[2].servers[0].usable());
}

TEST_CASE("a server without an address has none, and its neighbours have theirs") {
  const std::string version = GENERATE("2.6", "3.0", "3.2");
  const auto backends = parse_servers_state(fixture(version, "show_servers_state_resolvers.txt"));
  REQUIRE(backends);
  const std::vector<Server>& servers = (*backends)[0].servers;
  CHECK(servers[0].ip == "127.0.0.11");
  CHECK(servers[1].ip.empty());
  CHECK(servers[1].in_maint());
  CHECK(servers[2].ip == "127.0.0.13");
}

TEST_CASE("the port of a check is its own where it has one") {
  const auto backends = parse_servers_state(kHeader + "2 pg 1 n1 10.0.0.1 2 0 1 1 4 15 3 4 6 0 0 0 - 5432 - 0 8008 - - 0\n\n");
  REQUIRE(backends);
  CHECK((*backends)[0].servers[0].check.port == 8008);
  CHECK((*backends)[0].servers[0].port == 5432);
}

TEST_CASE("a check that is configured but not enabled does not count as enabled") {
  const auto backends = parse_servers_state(kHeader + "2 pg 1 n1 10.0.0.1 2 0 1 1 4 1 0 2 2 0 0 0 - 5432 - 0 0 - - 0\n\n");
  REQUIRE(backends);
  CHECK_FALSE((*backends)[0].servers[0].check.enabled);
}

TEST_CASE("servers stand in the order of their ids") {
  const auto backends = parse_servers_state(kHeader +
                                            "2 pg 7 n7 10.0.0.7 2 0 1 1 4 1 0 2 0 0 0 0 - 1 - 0 0 - - 0\n"
                                            "3 other 1 o 10.0.0.9 2 0 1 1 4 1 0 2 0 0 0 0 - 1 - 0 0 - - 0\n"
                                            "2 pg 3 n3 10.0.0.3 2 0 1 1 4 1 0 2 0 0 0 0 - 1 - 0 0 - - 0\n\n");
  REQUIRE(backends);
  REQUIRE(backends->size() == 2);
  CHECK((*backends)[0].servers[0].name == "n3");
  CHECK((*backends)[0].servers[1].name == "n7");
}

TEST_CASE("a server whose name could end a command is refused, and a backend of HAProxy's own is passed over") {
  const std::string good = fixture("3.0", "show_servers_state.txt");
  CHECK_FALSE(parse_servers_state(replaced(good, " pg_primary 1 node1 ", " pg_primary 1 node1;quit ")));
  const auto backends = parse_servers_state(replaced(good, " pg_primary 1 node1 ", " <HTTPCLIENT> 1 <OPEN> "));
  REQUIRE(backends);
  CHECK(backends->front().servers.front().name == "node2");
}

TEST_CASE("HAProxy without any server is no error") {
  const auto backends = parse_servers_state(kHeader + "\n");
  REQUIRE(backends);
  CHECK(backends->empty());
}

TEST_CASE("servers state in another form or cut short is refused") {
  const std::string good = fixture("2.6", "show_servers_state.txt");
  for (std::size_t length = 0; length < good.size(); ++length) {
    CAPTURE(length);
    REQUIRE_FALSE(parse_servers_state(good.substr(0, length)));
  }
  CHECK_FALSE(parse_servers_state("2" + good.substr(1)));
  CHECK_FALSE(parse_servers_state(replaced(good, "srv_op_state", "srv_oper_state")));
  for (const auto& [what, with] :
       std::vector<std::pair<std::string, std::string>>{{"127.0.0.11 2 0", "127.0.0.11 4 0"},
                                                        {"127.0.0.11 2 0", "127.0.0.11 x 0"},
                                                        {"127.0.0.11 2 0", "127.0.0.11 2 -1"},
                                                        {"- 15401 -", "- 70000 -"},
                                                        {"pg_primary 1 node1", "pg_primary -1 node1"},
                                                        {" 6 3 4 6 ", " 6 3 4 6x "}}) {
    CAPTURE(with);
    CHECK_FALSE(parse_servers_state(replaced(good, what, with)));
  }
  CHECK(parse_servers_state(fixture("3.2", "show_servers_state_unknown_backend.txt")).error().detail ==
        "expected \"1\" first, found \"Can't find backend.\"");
  CHECK(parse_servers_state("1\n" + std::string(500, '\x01')).error().detail.size() < 200);
}

TEST_CASE("show stat adds rise, fall, backup, sessions and maxconn, in every version") {
  const std::string version = GENERATE("2.6", "3.0", "3.2");
  const std::string stat = GENERATE("show_stat_servers_csv.txt", "show_stat_csv.txt");
  CAPTURE(version, stat);
  auto backends = parse_servers_state(fixture(version, "show_servers_state.txt"));
  REQUIRE(backends);
  REQUIRE(merge_stat(fixture(version, stat), *backends));
  const Server& node1 = (*backends)[0].servers[0];
  CHECK(node1.check.rise == 3);
  CHECK(node1.check.fall == 2);
  CHECK(node1.sessions == 1);
  CHECK(node1.maxconn == 0);
  CHECK((*backends)[1].servers[0].maxconn == 100);
  CHECK_FALSE(node1.backup);
  const Server& backup = (*backends)[1].servers[2];
  CHECK(backup.backup);
  CHECK(backup.sessions == 0);
  CHECK(backup.check.rise == 0);
}

TEST_CASE("columns of show stat are found by name") {
  std::vector<BackendState> backends = {{"pg", {Server{}}}};
  backends[0].servers[0].name = "n1";
  REQUIRE(merge_stat(
      "# pxname,svname,qcur,new,scur,slim,bck,type,check_rise,other,check_fall,\npg,n1,3,77,5,20,1,2,4,88,6,\n\n", backends));
  const Server& server = backends[0].servers[0];
  CHECK(server.sessions == 5);
  CHECK(server.maxconn == 20);
  CHECK(backends[0].queued == 3);
  CHECK(server.backup);
  CHECK(server.check.rise == 4);
  CHECK(server.check.fall == 6);
}

TEST_CASE("a backend's own line in show stat is not taken for a server of that name") {
  std::vector<BackendState> backends = {{"pg", {Server{}}}};
  backends[0].servers[0].name = "BACKEND";
  REQUIRE(merge_stat(
      "# pxname,svname,qcur,scur,slim,bck,type,check_rise,check_fall,\npg,BACKEND,0,3,,0,2,,,\npg,BACKEND,4,9,200,1,1,,,\n\n",
      backends));
  CHECK(backends[0].servers[0].sessions == 3);
  CHECK(backends[0].servers[0].maxconn == 0);
}

TEST_CASE("who is queued counts, for the backend and for one of its servers") {
  std::vector<BackendState> backends = {{"a", {Server{}}}, {"b", {Server{}}}};
  backends[0].servers[0].name = "n1";
  REQUIRE(
      merge_stat("# pxname,svname,qcur,scur,slim,bck,type,check_rise,check_fall,\n"
                 "a,FRONTEND,,9,2000,,0,,,\na,n1,2,20,20,0,2,2,3,\na,BACKEND,480,500,200,0,1,,,\nc,BACKEND,7,7,200,0,1,,,\n\n",
                 backends));
  CHECK(backends[0].queued == 482);
  CHECK(backends[0].servers[0].maxconn == 20);
  CHECK(backends[1].queued == 0);
}

TEST_CASE("what a checked server answered cannot forge a line of show stat") {
  std::vector<BackendState> backends = {{"pg", {Server{}, Server{}}}};
  backends[0].servers[0].name = "n1";
  backends[0].servers[1].name = "n2";
  REQUIRE(
      merge_stat("# pxname,svname,qcur,scur,slim,bck,type,last_chk,check_rise,check_fall,\n"
                 "pg,n1,0,1,,0,2,\"a, \"\"b\"\"\npg,n2,9,9,9,1,2,x,9,9,\n\",2,3,\n"
                 "pg,n2,0,2,,0,2,fine,4,5,\n\n",
                 backends));
  CHECK(backends[0].servers[0].sessions == 1);
  CHECK(backends[0].servers[0].check.rise == 2);
  CHECK(backends[0].servers[1].sessions == 2);
  CHECK_FALSE(backends[0].servers[1].backup);
  CHECK(backends[0].servers[1].check.fall == 5);
}

TEST_CASE("servers that only one of the two replies names are left as they are") {
  std::vector<BackendState> backends = {{"pg", {Server{}}}, {"gone", {Server{}}}};
  backends[0].servers[0].name = "n1";
  backends[1].servers[0].name = "n1";
  backends[1].servers[0].sessions = 42;
  REQUIRE(
      merge_stat("# pxname,svname,qcur,scur,slim,bck,type,check_rise,check_fall,\n"
                 "new,n1,0,7,,0,2,2,3,\npg,n9,0,8,,0,2,2,3,\npg,n1,0,9,,0,2,2,3,\n\n",
                 backends));
  CHECK(backends[0].servers[0].sessions == 9);
  CHECK(backends[1].servers[0].sessions == 42);
}

TEST_CASE("show stat is matched whatever order it comes in") {
  std::vector<BackendState> backends = {{"a", {Server{}, Server{}}}, {"b", {Server{}}}};
  backends[0].servers[0].name = "n1";
  backends[0].servers[1].name = "n2";
  backends[1].servers[0].name = "n1";
  REQUIRE(
      merge_stat("# pxname,svname,qcur,scur,slim,bck,type,check_rise,check_fall,\n"
                 "b,n1,0,3,,0,2,,,\na,n2,0,2,,0,2,,,\na,n1,0,1,,0,2,,,\n\n",
                 backends));
  CHECK(backends[0].servers[0].sessions == 1);
  CHECK(backends[0].servers[1].sessions == 2);
  CHECK(backends[1].servers[0].sessions == 3);
}

TEST_CASE("show stat in another form or cut short is refused") {
  const std::string good = fixture("3.0", "show_stat_servers_csv.txt");
  const auto merge = [](const std::string& reply) {
    auto backends = parse_servers_state(fixture("3.0", "show_servers_state.txt"));
    REQUIRE(backends);
    return merge_stat(reply, *backends);
  };
  REQUIRE(merge(good));
  for (std::size_t length = 0; length < good.size(); length += 7) {
    CAPTURE(length);
    REQUIRE_FALSE(merge(good.substr(0, length)));
  }
  CHECK_FALSE(merge(good.substr(0, good.size() - 1)));
  CHECK_FALSE(merge(replaced(good, ",scur,", ",cur,")));
  CHECK_FALSE(merge(replaced(good, ",slim,", ",lim,")));
  CHECK_FALSE(merge(replaced(good, "pg_primary,node1,0,", "pg_primary,node1,many,")));
  CHECK_FALSE(merge(replaced(good, "pg_replicas,node1,0,0,0,0,100,", "pg_replicas,node1,0,0,0,0,ten,")));
  CHECK_FALSE(merge(replaced(good, "check_fall", "check_full")));
  CHECK_FALSE(merge(replaced(good, "pg_primary,node1,0,0,1,", "pg_primary,node1,0,0,one,")));
  CHECK_FALSE(merge(replaced(good, "pg_primary,node1,0,0,1,", "pg_primary,node1,0,0,-1,")));
  CHECK_FALSE(merge(replaced(good, "\npg_primary,node1,", "\nPermission denied\npg_primary,node1,")));
  CHECK_FALSE(merge("Permission denied\n\n"));
  CHECK_FALSE(merge(good + "\n"));
}

TEST_CASE("one look is split into its three parts, in every version") {
  const std::string version = GENERATE("2.6", "3.0", "3.2");
  const std::string reply = whole_look(version);
  const Result<Look> look = split_look(reply);
  REQUIRE(look);
  CHECK(look->info == fixture(version, "show_info.txt"));
  CHECK(look->servers_state == fixture(version, "show_servers_state.txt"));
  CHECK(look->stat == fixture(version, "show_stat_servers_csv.txt"));

  const Result<Running> running = parse_look(reply);
  REQUIRE(running);
  CHECK(running->worker.start_time_sec == 1795319898);
  REQUIRE(running->find("pg_primary", "node1") != nullptr);
  CHECK(running->find("pg_primary", "node1")->check.rise == 3);
  CHECK(running->find("pg_replicas", "node3")->backup);
  CHECK(running->find("pg_replicas", "nobody") == nullptr);
  CHECK(running->find("nothing") == nullptr);
  CHECK(running->find("nothing", "node1") == nullptr);
}

TEST_CASE("a look that was cut short anywhere is refused") {
  const std::string reply = whole_look("2.6");
  for (std::size_t length = 0; length < reply.size(); ++length) {
    CAPTURE(length);
    REQUIRE_FALSE(parse_look(reply.substr(0, length)));
  }
}

TEST_CASE("a look with a part missing, out of order or refused is refused") {
  const std::string info = fixture("3.2", "show_info.txt");
  const std::string state = fixture("3.2", "show_servers_state.txt");
  const std::string stat = fixture("3.2", "show_stat_servers_csv.txt");
  CHECK_FALSE(split_look(info + state));
  CHECK_FALSE(split_look(info + stat));
  CHECK_FALSE(split_look(state + stat));
  CHECK_FALSE(split_look(info + stat + state));
  CHECK_FALSE(split_look(state + info + stat));
  CHECK_FALSE(split_look(info + "Permission denied\n\n" + stat));
  CHECK_FALSE(parse_look(info + "Permission denied\n\n" + state + stat));
  CHECK_FALSE(parse_look(info + state + "Permission denied\n\n" + stat));
  CHECK_FALSE(parse_look(info + state + stat + "Permission denied\n\n"));
  CHECK_FALSE(split_look("\n\n1\n# be_id \n\n# pxname,"));
}

TEST_CASE("a look is not misled by what a checked server answered") {
  const std::string info = fixture("2.6", "show_info.txt");
  const std::string stat =
      "# pxname,svname,qcur,scur,slim,bck,type,last_chk,check_rise,check_fall,\npg,n1,0,6,,0,2,\"\n\n1\n# be_id \n\n# "
      "pxname,\",2,3,\n\n";
  const Result<Running> running =
      parse_look(info + kHeader + "2 pg 1 n1 10.0.0.1 2 0 1 1 4 1 0 2 0 0 0 0 - 1 - 0 0 - - 0\n\n" + stat);
  REQUIRE(running);
  CHECK(running->find("pg", "n1")->sessions == 6);
}
