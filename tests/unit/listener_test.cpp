#include "controller/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "tests/catch.h"
#include "tests/unit/published_sample.h"

using controller::Listener;
using controller::Published;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

namespace {

controller::Instant now() {
  return haproxy::BootClock::now();
}

std::optional<Published> fresh() {
  Published published = sample::published();
  published.at = now();
  return published;
}

std::unique_ptr<Listener> start(controller::Latest latest = fresh) {
  auto listener = Listener::start({"127.0.0.1", 0, true}, std::move(latest));
  REQUIRE(listener);
  return std::move(*listener);
}

/// A client that does what it is told, byte by byte.
class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// Everything until the other side closes, or what came within the time.
  std::string read_all(milliseconds within = seconds(10)) {
    std::string all;
    const auto deadline = steady_clock::now() + within;
    while (true) {
      const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
      pollfd polled{fd_, POLLIN, 0};
      if (left <= milliseconds(0) || ::poll(&polled, 1, static_cast<int>(left.count())) <= 0) return all;
      char buffer[4096];
      const ssize_t length = ::recv(fd_, buffer, sizeof buffer, 0);
      if (length <= 0) {
        closed_ = true;
        return all;
      }
      all.append(buffer, static_cast<std::size_t>(length));
    }
  }
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  int fd_;
  bool connected_ = false;
  bool closed_ = false;
};

std::string ask(std::uint16_t port, const std::string& line, const std::string& more = "Connection: close\r\n\r\n") {
  Client client(port);
  client.send(line + " HTTP/1.1\r\nHost: x\r\n" + more);
  return client.read_all();
}
std::string get(std::uint16_t port, const std::string& path) {
  return ask(port, "GET " + path);
}
int code(const std::string& answer) {
  return answer.size() > 12 ? std::stoi(answer.substr(9, 3)) : 0;
}
std::string body(const std::string& answer) {
  const auto at = answer.find("\r\n\r\n");
  return at == std::string::npos ? "" : answer.substr(at + 4);
}

/// It answers again, with a good answer, within the time.
bool answers_within(std::uint16_t port, seconds within) {
  const auto deadline = steady_clock::now() + within;
  while (steady_clock::now() < deadline) {
    if (code(get(port, "/healthz")) == 200) return true;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return false;
}

}  // namespace

TEST_CASE("each path is answered in its own type") {
  const auto listener = start();
  const std::string metrics = get(listener->port(), "/metrics");
  CHECK(code(metrics) == 200);
  CHECK(metrics.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n") != std::string::npos);
  CHECK(body(metrics).find("pointsman_build_info{version=\"0.1.0\"} 1\n") != std::string::npos);
  const std::string status = get(listener->port(), "/status.json");
  CHECK(code(status) == 200);
  CHECK(status.find("Content-Type: application/json\r\n") != std::string::npos);
  CHECK(body(status).find("\"source\": \"from the daemon\"") != std::string::npos);
  CHECK(body(get(listener->port(), "/healthz")) == "the loop is running\n");
  CHECK(body(get(listener->port(), "/readyz")) == "HAProxy routes as it should\n");
  CHECK(code(get(listener->port(), "/")) == 404);
  CHECK(code(get(listener->port(), "/metrics/")) == 404);
  CHECK(code(get(listener->port(), "/../etc/passwd")) == 404);
}

TEST_CASE("only GET and HEAD are answered, and HEAD without a body") {
  const auto listener = start();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    const std::string answer = ask(listener->port(), std::string(method) + " /metrics", "Content-Length: 3\r\n\r\nabc");
    CHECK(code(answer) == 405);
    CHECK(answer.find("Allow: GET, HEAD\r\n") != std::string::npos);
  }
  const std::string head = ask(listener->port(), "HEAD /healthz");
  CHECK(code(head) == 200);
  CHECK(body(head).empty());
  CHECK(head.find("Content-Length: 20\r\n") != std::string::npos);
}

TEST_CASE("ready takes a scope and the writer") {
  auto published = std::make_shared<Published>(*fresh());
  published->clusters[0].writer_in = false;
  const auto listener = start([published] {
    Published copy = *published;
    copy.at = now();
    return std::optional(copy);
  });
  CHECK(code(get(listener->port(), "/readyz?scope=main")) == 200);
  const std::string strict = get(listener->port(), "/readyz?scope=main&writer=1");
  CHECK(code(strict) == 503);
  CHECK(body(strict) == "scope main: the writer is not in\n");
  CHECK(code(get(listener->port(), "/readyz?scope=other")) == 404);
  CHECK(code(get(listener->port(), "/healthz")) == 200);
}

TEST_CASE("a loop that is stuck, or has not ended a round, is neither well nor ready") {
  std::atomic<int> mode{0};
  const auto listener = start([&mode]() -> std::optional<Published> {
    if (mode == 0) return std::nullopt;
    auto published = fresh();
    published->at = now() - (mode == 1 ? seconds(60) : seconds(4));
    return published;
  });
  for (const char* path : {"/healthz", "/readyz", "/metrics", "/status.json"}) {
    CHECK(code(get(listener->port(), path)) == 503);
    CHECK(body(get(listener->port(), path)) == "no round has ended yet\n");
  }
  mode = 1;
  for (const char* path : {"/healthz", "/readyz", "/readyz?scope=main"}) {
    const std::string answer = get(listener->port(), path);
    CHECK(code(answer) == 503);
    CHECK(body(answer) == "the loop is stuck: its last round ended 60 s ago\n");
  }
  CHECK(code(get(listener->port(), "/metrics")) == 200);
  mode = 2;
  CHECK(code(get(listener->port(), "/healthz")) == 200);
}

TEST_CASE("a source that throws is an answer of its own, and the next request is served") {
  std::atomic<bool> broken{true};
  const auto listener = start([&broken]() -> std::optional<Published> {
    if (broken) throw std::runtime_error("x");
    return fresh();
  });
  CHECK(code(get(listener->port(), "/metrics")) == 500);
  broken = false;
  CHECK(code(get(listener->port(), "/metrics")) == 200);
}

TEST_CASE("a connection is kept for five requests") {
  const auto listener = start();
  Client client(listener->port());
  for (int i = 0; i < 7; ++i) client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string all = client.read_all();
  CHECK(client.closed());
  std::size_t answers = 0;
  for (std::size_t at = 0; (at = all.find("HTTP/1.1 200", at)) != std::string::npos; ++at) ++answers;
  CHECK(answers == 5);
}

TEST_CASE("a client that says nothing, or drips, is closed after about a second") {
  const auto listener = start();
  const auto begun = steady_clock::now();
  Client mute(listener->port());
  CHECK(mute.read_all() == "");
  CHECK(mute.closed());
  CHECK(steady_clock::now() - begun < seconds(4));

  Client drip(listener->port());
  const auto first = steady_clock::now();
  bool open = drip.send("GET /healthz HTTP/1.1\r\n");
  while (open && steady_clock::now() - first < seconds(8)) {
    open = drip.send("X");
    (void)drip.read_all(milliseconds(50));
    open = open && !drip.closed();
  }
  CHECK_FALSE(open);
  CHECK(steady_clock::now() - first < seconds(4));
  CHECK(answers_within(listener->port(), seconds(4)));
}

TEST_CASE("a client that does not take its answer is closed after about a second") {
  auto published = std::make_shared<Published>(*fresh());
  // Some megabytes: more than the buffers between the two hold.
  for (int i = 0; i < 20'000; ++i) published->clusters[0].servers.push_back(published->clusters[0].servers[0]);
  const auto listener = start([published] {
    Published copy = *published;
    copy.at = now();
    return std::optional(copy);
  });
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<Client>(listener->port()));
    clients.back()->send("GET /status.json HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  CHECK(answers_within(listener->port(), seconds(20)));
  CHECK(code(get(listener->port(), "/status.json")) == 200);
}

TEST_CASE("a request of over 8 kB, in its line, its headers or its body, is cut off") {
  const auto listener = start();
  const std::string endless(1'000'000, 'a');
  for (const std::string& request :
       {"GET /" + endless, "GET /healthz HTTP/1.1\r\nX: " + endless, "GET /healthz HTTP/1.1\r\n" + [&] {
          std::string headers;
          for (int i = 0; i < 50'000; ++i) headers += "X" + std::to_string(i) + ": y\r\n";
          return headers;
        }()}) {
    const auto begun = steady_clock::now();
    Client client(listener->port());
    client.send(request);
    const std::string answer = client.read_all();
    CHECK((answer.empty() || code(answer) == 400 || code(answer) == 414));
    CHECK(steady_clock::now() - begun < seconds(4));
  }
  Client body_sender(listener->port());
  body_sender.send("POST /metrics HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n" + endless);
  CHECK((code(body_sender.read_all()) == 405 || body_sender.closed()));
  const std::string small = ask(listener->port(), "POST /metrics", "Content-Length: 100000\r\n\r\n" + endless.substr(0, 100));
  CHECK(code(small) == 405);
  const std::string chunked = ask(listener->port(), "POST /metrics", "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n");
  CHECK(code(chunked) == 405);
  const std::string expects = ask(listener->port(), "POST /metrics", "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n");
  CHECK(code(expects) == 405);
  CHECK(answers_within(listener->port(), seconds(4)));
}

TEST_CASE("what follows a body is not taken for a second request") {
  const auto listener = start();
  const std::string answer =
      ask(listener->port(), "POST /metrics", "Content-Length: 40\r\n\r\nGET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n");
  CHECK(code(answer) == 405);
  CHECK(answer.find("HTTP/1.1 200") == std::string::npos);
}

TEST_CASE("a request for ranges gets the whole, once") {
  const auto listener = start();
  const std::string whole = get(listener->port(), "/healthz");
  std::string ranges = "bytes=0-";
  for (int i = 0; i < 2000; ++i) ranges += ",0-";
  const std::string answer = ask(listener->port(), "GET /healthz", "Range: " + ranges + "\r\nConnection: close\r\n\r\n");
  CHECK(body(answer) == body(whole));
  CHECK(code(ask(listener->port(), "GET /healthz", "Range: bytes=9-1\r\nConnection: close\r\n\r\n")) == 416);
  CHECK(answers_within(listener->port(), seconds(4)));
}

TEST_CASE("bytes that are no HTTP are refused or dropped") {
  const auto listener = start();
  std::string every;
  for (int i = 0; i < 256; ++i) every += static_cast<char>(i);
  for (const std::string& garbage :
       {std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET /healthz HTTP/9.9\r\n\r\n"), every,
        every + "\r\n\r\n", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), std::string("GET /%00%ff%zz?%=&&=%u0000 HTTP/1.1\r\n\r\n"),
        std::string("GET /readyz?scope=%ff%00 HTTP/1.1\r\n\r\n"),
        std::string("GET /healthz HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), std::string(4000, '\0') + "\r\n\r\n"}) {
    const auto begun = steady_clock::now();
    Client client(listener->port());
    client.send(garbage);
    (void)client.read_all(seconds(6));
    CHECK(client.closed());
    CHECK(steady_clock::now() - begun < seconds(4));
  }
  CHECK(answers_within(listener->port(), seconds(4)));
}

TEST_CASE("two hundred connections at once: some are served, the rest is closed, and then all is well") {
  const auto listener = start();
  const auto begun = steady_clock::now();
  {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 200; ++i) clients.push_back(std::make_unique<Client>(listener->port()));
    std::size_t closed = 0;
    for (const auto& client : clients) {
      (void)client->read_all(seconds(20));
      closed += client->closed() ? 1U : 0U;
    }
    CHECK(closed == clients.size());
    CHECK(steady_clock::now() - begun < seconds(30));
  }
  CHECK(answers_within(listener->port(), seconds(4)));
}

TEST_CASE("connections beyond the queue are closed at once, those in it are not") {
  const auto listener = start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 60; ++i) {
    clients.push_back(std::make_unique<Client>(listener->port()));
    clients.back()->send("GET /he");
  }
  const auto closed = [&] {
    std::size_t count = 0;
    for (const auto& client : clients) {
      if (!client->closed()) (void)client->read_all(milliseconds(5));
      count += client->closed() ? 1U : 0U;
    }
    return count;
  };
  const auto begun = steady_clock::now();
  std::size_t count = closed();
  while (count < 38 && steady_clock::now() - begun < milliseconds(700)) count = closed();
  CHECK(count >= 38);
}

TEST_CASE("it stops within about a second, whatever its clients do") {
  auto listener = start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 30; ++i) {
    clients.push_back(std::make_unique<Client>(listener->port()));
    clients.back()->send("GET /he");
  }
  const auto begun = steady_clock::now();
  listener.reset();
  CHECK(steady_clock::now() - begun < seconds(2));
}

TEST_CASE("an address in use, and one that is not here, are errors that name it") {
  const auto listener = start();
  const auto second = Listener::start({"127.0.0.1", listener->port(), true}, fresh);
  REQUIRE_FALSE(second);
  CHECK(second.error().text() == "cannot listen on 127.0.0.1:" + std::to_string(listener->port()) +
                                     ": Address already in use (name another port with http.listen, or http: off)");
  const auto elsewhere = Listener::start({"192.0.2.1", 0, true}, fresh);
  REQUIRE_FALSE(elsewhere);
  CHECK(elsewhere.error().detail == "Cannot assign requested address");
  CHECK_FALSE(Listener::start({"localhost", 0, true}, fresh));
}

TEST_CASE("it listens on IPv6") {
  const auto listener = Listener::start({"::1", 0, true}, fresh);
  if (!listener) {
    WARN("no IPv6 here: " << listener.error().text());
    return;
  }
  CHECK((*listener)->port() != 0);
}
