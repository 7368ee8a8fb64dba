#include "haproxy/socket.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <string>

#include "haproxy/parse.h"
#include "tests/catch.h"
#include "tests/haproxy/real_haproxy.h"

using namespace haproxy;
using namespace std::chrono_literals;
using tests::await;
using tests::free_port;
using tests::RealHaproxy;

namespace {

constexpr auto kLong = 5s;

struct Fd {
  int fd;
  explicit Fd(int f) : fd(f) { REQUIRE(fd >= 0); }
  ~Fd() { close(fd); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// Listens on a port of its own; the kernel completes the handshakes, nobody ever accepts.
struct Listener {
  Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port = 0;
  Listener() {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    REQUIRE(bind(socket.fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(socket.fd, 100) == 0);
    REQUIRE(getsockname(socket.fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port = ntohs(address.sin_port);
  }
};

/// A Unix socket whose owner does nothing at all.
struct SilentSocket {
  std::filesystem::path path;
  Fd socket;
  explicit SilentSocket(const std::string& name, int type = SOCK_STREAM, int backlog = 10)
      : path("/tmp/pm-silent-" + std::to_string(getpid()) + name), socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    unlink(path.c_str());
    REQUIRE(bind(socket.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    if (type == SOCK_STREAM && backlog >= 0) REQUIRE(listen(socket.fd, backlog) == 0);
  }
  ~SilentSocket() { unlink(path.c_str()); }
};

/// Two backends of three servers, as a user has them; the first has a frontend on `port`.
std::string two_backends(std::uint16_t port, std::uint16_t server_port) {
  const std::string server = " 127.0.0.1:" + std::to_string(server_port);
  return "global\n  stats socket {folder}/operator.sock level operator\n"
         "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
         "frontend fe\n  bind 127.0.0.1:" +
         std::to_string(port) +
         "\n  default_backend pg_primary\n"
         "backend pg_primary\n  balance first\n"
         "  server pg1" +
         server + " check port " + std::to_string(server_port) +
         " inter 3s fall 3 rise 2\n"
         "  server pg2" +
         server + " disabled\n  server hold" + server +
         " backup\n"
         "backend pg_replicas\n  server pg1" +
         server + "\n  server pg2" + server + " weight 20\n  server pg3" + server + "\n";
}

Result<std::string> ask(Socket& socket, std::string_view line) {
  return socket.ask(To::worker(), line, kLong);
}

}  // namespace

TEST_CASE("a command is answered, on a fresh connection each time") {
  const Listener postgres;
  const RealHaproxy haproxy(two_backends(free_port(), postgres.port));
  Socket socket(haproxy.stats_socket(), haproxy.master_socket());
  for (int i = 0; i < 30; ++i) {  // more than HAProxy's ten CLI slots
    const auto reply = ask(socket, "show version");
    REQUIRE(reply);
    CHECK(reply->starts_with("2."));
    CHECK(reply->ends_with("\n\n"));
  }
}

TEST_CASE("the replies to a batch come in order, and an error does not stop it") {
  const Listener postgres;
  const RealHaproxy haproxy(two_backends(free_port(), postgres.port));
  Socket socket(haproxy.stats_socket(), {});
  const auto reply = ask(socket, "show backend; set server pg_primary/nobody state ready; show backend");
  REQUIRE(reply);
  const std::string list = "# name\npg_primary\npg_replicas\n\n";
  CHECK(*reply == list + "No such server.\n\n" + list);
}

TEST_CASE("complaints are told from warnings by their severity") {
  const Listener postgres;
  const RealHaproxy haproxy(two_backends(free_port(), postgres.port));
  Socket socket(haproxy.stats_socket(), {});
  const auto said = [&](const std::string& line) {
    const auto reply = ask(socket, "set severity-output number; " + line);
    REQUIRE(reply);
    return complaint(*reply);
  };
  CHECK_FALSE(said("set server pg_replicas/pg1 state drain; set server pg_replicas/pg2 state maint"));
  CHECK_FALSE(said("set server pg_replicas/pg3 addr 127.0.0.9; set server pg_replicas/pg2 state ready"));
  CHECK_FALSE(said("set server pg_replicas/pg3 addr 127.0.0.9"));
  CHECK_FALSE(said("add server pg_replicas/pg4 127.0.0.1:5432"));
  CHECK(said("set server pg_replicas/pg1 state ready; set server pg_replicas/pg9 state ready") == "No such server.");
  CHECK(said("set server nothing/pg9 state ready") == "No such backend.");
  CHECK(said("enable health pg_replicas/pg1") == "Health check was not configured on this server, cannot enable.");
  CHECK(said("shutdown session 0x1") == "No such session (use 'show sess').");
  CHECK(said("nonsense").value_or("").starts_with("Unknown command"));
}

TEST_CASE("servers state, stat and info of one line are merged into what the worker is doing") {
  const Listener postgres;
  const std::uint16_t port = free_port();
  const RealHaproxy haproxy(two_backends(port, postgres.port));
  const bool through_master = GENERATE(false, true);
  CAPTURE(through_master);
  Socket socket(through_master ? std::filesystem::path() : haproxy.stats_socket(), haproxy.master_socket());
  REQUIRE(ask(socket, "set server pg_replicas/pg3 state drain"));
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  REQUIRE(connect(client.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);

  Running running;
  REQUIRE(await([&] {
    const auto reply = ask(socket, kLookLine);
    REQUIRE(reply);
    auto look = parse_look(*reply);
    if (!look) FAIL(look.error().text());
    running = *std::move(look);
    const Server* const pg1 = running.find("pg_primary", "pg1");
    REQUIRE(pg1 != nullptr);
    return pg1->sessions == 1 && pg1->check.status == 6;
  }));
  CHECK(running.worker.pid == haproxy.worker_pid());
  CHECK_FALSE(running.worker.stopping);
  CHECK(running.worker.start_time_sec > 1'600'000'000);
  REQUIRE(running.backends.size() == 2);
  REQUIRE(running.backends[0].servers.size() == 3);

  const Server& pg1 = running.backends[0].servers[0];
  CHECK(pg1.ip == "127.0.0.1");
  CHECK(pg1.port == postgres.port);
  CHECK(pg1.usable());
  CHECK(pg1.check == Check{true, 6, 3, 4, 2, 3, postgres.port});
  CHECK_FALSE(pg1.backup);
  CHECK(running.backends[0].servers[1].in_maint());
  CHECK(running.backends[0].servers[2].backup);
  CHECK_FALSE(running.backends[0].servers[2].check.enabled);
  CHECK(running.find("pg_replicas", "pg2")->weight == 20);
  CHECK(running.find("pg_replicas", "pg3")->in_drain());
}

TEST_CASE("a server without an IP address, or on an API's check port, is read as such") {
  const RealHaproxy haproxy(
      "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n"
      "backend pg\n  option httpchk GET /primary\n  server n1 127.0.0.1:5432 check port 8008\n  server n2 unix@/nowhere\n"
      "  server n3 [::1]:5432\n");
  Socket socket(haproxy.stats_socket(), {});
  const auto reply = ask(socket, kLookLine);
  REQUIRE(reply);
  const auto running = parse_look(*reply);
  REQUIRE(running);
  CHECK(running->find("pg", "n1")->check.port == 8008);
  CHECK(running->find("pg", "n2")->ip.empty());
  CHECK(running->find("pg", "n3")->ip == "::1");
}

TEST_CASE("an old worker that holds a connection is reached after a reload, and its session is ended") {
  const Listener postgres;
  const std::uint16_t port = free_port();
  RealHaproxy haproxy(two_backends(port, postgres.port));
  Socket socket(haproxy.stats_socket(), haproxy.master_socket());
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  REQUIRE(connect(client.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const auto sessions = [&](To to) {
    const auto reply = socket.ask(to, "show sess", kLong);
    REQUIRE(reply);
    auto parsed = parse_sessions(*reply);
    REQUIRE(parsed);
    return *parsed;
  };
  REQUIRE(await([&] { return sessions(To::worker()).size() == 1 && sessions(To::worker())[0].established; }));

  const int old_worker = haproxy.worker_pid();
  const int new_worker = haproxy.reload();
  REQUIRE(new_worker != old_worker);
  const auto proc = socket.ask(To::master(), "show proc", kLong);
  REQUIRE(proc);
  const auto processes = parse_proc(*proc);
  REQUIRE(processes);
  CHECK(processes->master == Process{haproxy.master_pid(), 1});
  CHECK(processes->failed == 0);
  CHECK(processes->workers == std::vector<Process>{{new_worker, 0}});
  CHECK(processes->old_workers == std::vector<Process>{{old_worker, 1}});
  CHECK(sessions(To::worker()).empty());

  const To to = To::old_worker(old_worker);
  const auto look = socket.ask(to, kLookLine, kLong);
  REQUIRE(look);
  const auto running = parse_look(*look);
  REQUIRE(running);
  CHECK(running->worker.pid == old_worker);
  CHECK(running->worker.stopping);
  const auto refused = socket.ask(to, "set severity-output number; shutdown sessions server pg_primary/pg1", kLong);
  REQUIRE(refused);
  CHECK(complaint(*refused) == "Proxy is disabled.");

  const auto held = sessions(to);
  REQUIRE(held.size() == 1);
  CHECK(held[0].frontend == "fe");
  CHECK(held[0].backend == "pg_primary");
  CHECK(held[0].server == "pg1");
  CHECK(held[0].established);
  const auto ended = socket.ask(to, "shutdown session " + held[0].id, kLong);
  REQUIRE(ended);
  CHECK_FALSE(complaint(*ended));
  const timeval patience{10, 0};
  setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char byte = 0;
  const ssize_t got = recv(client.fd, &byte, 1, 0);
  CHECK((got == 0 || (got < 0 && errno == ECONNRESET)));

  Result<std::string> gone;
  REQUIRE(await([&] { return !(gone = socket.ask(to, "show info", kLong)); }));
  CHECK(gone.error().text() == "cannot ask HAProxy's old worker " + std::to_string(old_worker) + ": it has gone");
}

TEST_CASE("a reload by the master socket leaves a new worker") {
  const Listener postgres;
  const RealHaproxy haproxy(two_backends(free_port(), postgres.port));
  Socket socket(haproxy.stats_socket(), haproxy.master_socket());
  const int before = haproxy.worker_pid();
  REQUIRE(socket.ask(To::master(), "reload", kLong));
  CHECK(await([&] { return haproxy.worker_pid() != before && haproxy.worker_pid() != 0; }));
}

TEST_CASE("the operating level may look and is told when it may not act") {
  const Listener postgres;
  const RealHaproxy haproxy(two_backends(free_port(), postgres.port));
  Socket socket(haproxy.folder() / "operator.sock", {});
  const auto look = ask(socket, kLookLine);
  REQUIRE(look);
  CHECK(parse_look(*look));
  const auto reply = ask(socket, "set severity-output number; set server pg_primary/pg1 state maint");
  REQUIRE(reply);
  CHECK(complaint(*reply) == "Permission denied");
}

TEST_CASE("a reply of many pieces is read whole") {
  std::string configuration =
      "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nbackend pg\n";
  for (int i = 0; i < 1000; ++i) configuration += "  server n" + std::to_string(i) + " 127.0.0.1:5432\n";
  const RealHaproxy haproxy(configuration);
  Socket socket(haproxy.stats_socket(), {});
  const auto reply = ask(socket, kLookLine);
  REQUIRE(reply);
  CHECK(reply->size() > 100'000);
  const auto running = parse_look(*reply);
  REQUIRE(running);
  CHECK(running->find("pg")->servers.size() == 1000);
}

TEST_CASE("a line just under the limit is run, a longer one or two lines in one are not sent") {
  const Listener postgres;
  const RealHaproxy haproxy(two_backends(free_port(), postgres.port));
  Socket socket(haproxy.stats_socket(), {});
  std::string line = "show version";
  while (line.size() + 14 < 16'000) line += "; show version";
  const auto reply = ask(socket, line);
  REQUIRE(reply);
  CHECK(static_cast<std::size_t>(std::count(reply->begin(), reply->end(), '\n')) == 2 * (line.size() + 2) / 14);
  CHECK_FALSE(ask(socket, std::string(16'000, 'x')));
  CHECK_FALSE(ask(socket, "show version\nset server pg_primary/pg1 state maint"));
  CHECK_FALSE(ask(socket, std::string_view("show\0version", 12)));
  CHECK(haproxy.ask("show servers state pg_primary").find(" pg1 127.0.0.1 2 0 ") != std::string::npos);
}

TEST_CASE("a peer that accepts and never answers costs no more than the deadline") {
  const SilentSocket silent("answer");
  Socket socket(silent.path, {});
  const auto begin = std::chrono::steady_clock::now();
  const auto reply = socket.ask(To::worker(), "show info", 150ms);
  const auto took = std::chrono::steady_clock::now() - begin;
  REQUIRE_FALSE(reply);
  CHECK(reply.error().detail == "no whole answer within 150 ms");
  CHECK(took >= 150ms);
  CHECK(took < 2s);
  CHECK_FALSE(socket.ask(To::worker(), "show info", 0ms));
}

TEST_CASE("a peer that answers half and then nothing costs no more than the deadline") {
  const SilentSocket silent("half");
  const pid_t peer = fork();
  if (peer == 0) {
    const int connection = accept(silent.socket.fd, nullptr, nullptr);
    for (int i = 0; i < 100 && write(connection, "Name: HAProxy\n", 14) == 14; ++i) usleep(20'000);
    _exit(0);
  }
  Socket socket(silent.path, {});
  const auto begin = std::chrono::steady_clock::now();
  const auto reply = socket.ask(To::worker(), "show info", 200ms);
  const auto took = std::chrono::steady_clock::now() - begin;
  kill(peer, SIGKILL);
  waitpid(peer, nullptr, 0);
  CHECK_FALSE(reply);
  CHECK(took >= 200ms);
  CHECK(took < 2s);
}

TEST_CASE("a peer whose backlog is full costs no more than the deadline") {
  const SilentSocket silent("full", SOCK_STREAM, 0);
  Socket socket(silent.path, {});
  const Fd first(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, silent.path.c_str(), sizeof address.sun_path - 1);
  REQUIRE(connect(first.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const auto begin = std::chrono::steady_clock::now();
  const auto reply = socket.ask(To::worker(), "show info", 150ms);
  CHECK_FALSE(reply);
  CHECK(std::chrono::steady_clock::now() - begin >= 150ms);
  CHECK(std::chrono::steady_clock::now() - begin < 2s);
}

TEST_CASE("a path where nothing is asks whether HAProxy runs and names it") {
  Socket socket("/tmp/pm-no-such-folder/admin.sock", "/tmp/pm-no-such-folder/master.sock");
  CHECK(ask(socket, "show info").error() == Error{"connect to", "/tmp/pm-no-such-folder/admin.sock", "no such file",
                                                  "is HAProxy running? does `stats socket` in haproxy.cfg name this path?"});
  CHECK(socket.ask(To::master(), "show proc", kLong).error() ==
        Error{"connect to", "/tmp/pm-no-such-folder/master.sock", "no such file",
              "is HAProxy running in master-worker mode, and does its -S option name this path?"});
}

TEST_CASE("a socket that HAProxy left behind is told from other files") {
  const SilentSocket left("left", SOCK_STREAM, -1);
  Socket socket(left.path, {});
  CHECK(ask(socket, "show info").error() ==
        Error{"connect to", left.path.string(), "connection refused", "HAProxy is not running; the file was left behind"});
  Socket no_socket("/etc/passwd", {});
  CHECK(ask(no_socket, "show info").error().detail == "this is not a socket");
  const SilentSocket log("log", SOCK_DGRAM);
  Socket datagrams(log.path, {});
  CHECK(ask(datagrams, "show info").error().detail == "this socket takes datagrams");
}

TEST_CASE("a socket that may not be opened says which rights to give") {
  const SilentSocket closed("rights");
  REQUIRE(chmod(closed.path.c_str(), 0600) == 0);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t other_user = fork();
  if (other_user == 0) {  // root may open everything
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(1);
    Socket socket(closed.path, closed.path);
    const std::string both =
        ask(socket, "show info").error().text() + "\n" + socket.ask(To::master(), "show proc", kLong).error().text();
    _exit(write(ends[1], both.data(), both.size()) == static_cast<ssize_t>(both.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string said;
  char buffer[1024];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  waitpid(other_user, nullptr, 0);
  if (getuid() == 0) {
    CHECK(said == "cannot connect to " + closed.path.string() +
                      ": permission denied (run as a user in group haproxy, or write `mode 660 group haproxy` after `stats "
                      "socket` in haproxy.cfg)\ncannot connect to " +
                      closed.path.string() +
                      ": permission denied (start HAProxy with -S /run/haproxy-master.sock,mode,660,group,haproxy and run as a "
                      "user in group haproxy)");
  }
}

TEST_CASE("a path that does not fit into a socket's address is refused") {
  Socket socket("/tmp/" + std::string(103, 'x'), {});
  CHECK(ask(socket, "show info").error().detail == "a socket's path has 1 to 107 bytes");
  Socket just_fits("/tmp/" + std::string(102, 'x'), {});
  CHECK(ask(just_fits, "show info").error().detail == "no such file");
}

TEST_CASE("old workers and the master need a master socket") {
  Socket socket("/tmp/pm-no-such-file", {});
  const auto old_worker = socket.ask(To::old_worker(17), "show info", kLong);
  REQUIRE_FALSE(old_worker);
  CHECK(old_worker.error().text() ==
        "cannot ask HAProxy's old worker 17: no master socket is configured (start HAProxy with -S "
        "/run/haproxy-master.sock,mode,660,group,haproxy and name that path as `master_socket`)");
  CHECK_FALSE(socket.ask(To::master(), "show proc", kLong));
}
