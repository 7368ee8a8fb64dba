#pragma once
// A server on 127.0.0.1 that answers as Patroni does (HTTP/1.0, no length, close), or misbehaves as told. Bounded: it holds at
// most kMostConnections, and each endless thing ends after kMostBytes.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace fake {

enum class Manner : std::uint8_t {
  answer,
  hang,  ///< reads, and never says a byte
  reset,
  empty,      ///< closes without a byte
  bare,       ///< "HTTP/1.0 503 Service Unavailable", an empty line, and nothing else
  drip_body,  ///< a byte each 2 ms
  drip_header,
  big_body,         ///< 50 MB
  endless_header,   ///< line after line
  endless_line,     ///< one header line that does not end
  endless_interim,  ///< "100 Continue" again and again
  truncated,        ///< half of the answer
  short_of_length,  ///< Content-Length says more than comes
  html,
  deep_json,  ///< 1,000 deep
  bad_utf8,
  no_http,  ///< JSON without a header
  redirect,
};

class Patroni {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMostConnections = 64;
  static constexpr std::size_t kMostBytes = 200'000'000;

  explicit Patroni(std::string ip = "127.0.0.1") : ip_(std::move(ip)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    ::inet_pton(AF_INET, ip_.c_str(), &address.sin_addr);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 64) != 0) std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~Patroni() {
    stop_ = true;
    thread_.join();
    for (auto& connection : connections_) ::close(connection.fd);
    ::close(listener_);
  }
  Patroni(const Patroni&) = delete;
  Patroni& operator=(const Patroni&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url() const { return "http://" + ip_ + ":" + std::to_string(port_); }

  void say(const std::string& path, int code, const std::string& body) {
    const std::lock_guard lock(mutex_);
    answers_[path] = {code, body};
  }
  void behave(Manner manner) {
    const std::lock_guard lock(mutex_);
    manners_.clear();
    manner_ = manner;
  }
  void behave(const std::string& path, Manner manner) {
    const std::lock_guard lock(mutex_);
    manners_[path] = manner;
  }

  [[nodiscard]] int accepted() const { return accepted_; }
  [[nodiscard]] int open() const { return open_; }
  [[nodiscard]] int most_open() const { return most_open_; }
  /// Bytes that the client took.
  [[nodiscard]] std::size_t sent() const { return sent_; }
  /// The longest that a connection was open before its request had come.
  [[nodiscard]] std::chrono::milliseconds longest_idle() const { return std::chrono::milliseconds(longest_idle_ms_); }
  /// When each request for `path` came.
  [[nodiscard]] std::vector<Clock::time_point> requests(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    const auto found = requests_.find(path);
    return found == requests_.end() ? std::vector<Clock::time_point>{} : found->second;
  }
  /// The whole of the last request.
  [[nodiscard]] std::string last_request() const {
    const std::lock_guard lock(mutex_);
    return last_request_;
  }

 private:
  struct Connection {
    int fd = -1;
    Clock::time_point since;
    std::string in;
    bool asked = false;
    bool silent = false;   ///< never says anything
    std::string out;       ///< to send
    std::string more;      ///< to send again and again after it
    std::size_t left = 0;  ///< bytes of `more` to go
    std::size_t at_once = 1 << 20;
    bool over = false;
  };

  void run() {
    while (!stop_) {
      std::vector<pollfd> fds{{listener_, POLLIN, 0}};
      for (const auto& connection : connections_) fds.push_back({connection.fd, POLLIN, 0});
      ::poll(fds.data(), fds.size(), busy() ? 2 : 20);
      for (auto& connection : connections_) serve(connection);
      accept_all();
      for (auto& connection : connections_) serve(connection);
      std::erase_if(connections_, [this](const Connection& connection) {
        if (!connection.over) return false;
        --open_;
        ::close(connection.fd);
        return true;
      });
    }
  }

  [[nodiscard]] bool busy() const {
    return std::ranges::any_of(connections_, [](const auto& c) { return c.asked && !c.silent; });
  }

  void accept_all() {
    while (connections_.size() < kMostConnections) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      ++accepted_;
      most_open_ = std::max(most_open_.load(), ++open_);
      Connection connection;
      connection.fd = fd;
      connection.since = Clock::now();
      connections_.push_back(std::move(connection));
    }
  }

  void serve(Connection& connection) {
    if (connection.over) return;
    char buffer[4096];
    const auto got = ::recv(connection.fd, buffer, sizeof buffer, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
      connection.over = true;
      return;
    }
    if (got > 0) connection.in.append(buffer, static_cast<std::size_t>(got));
    if (!connection.asked && connection.in.find("\r\n\r\n") != std::string::npos) prepare(connection);
    if (connection.asked && !connection.over && !connection.silent) send_some(connection);
  }

  void prepare(Connection& connection) {
    connection.asked = true;
    const auto idle = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - connection.since).count();
    longest_idle_ms_ = std::max<std::int64_t>(longest_idle_ms_, idle);
    const auto from = connection.in.find(' ') + 1;
    const std::string path = connection.in.substr(from, connection.in.find(' ', from) - from);
    const std::lock_guard lock(mutex_);
    last_request_ = connection.in;
    requests_[path].push_back(Clock::now());
    const auto manner = manners_.find(path);
    const auto answer = answers_.find(path);
    fill(connection, manner == manners_.end() ? manner_ : manner->second,
         answer == answers_.end() ? Answer{503, "{}"} : answer->second);
  }

  struct Answer {
    int code = 503;
    std::string body;
  };

  static std::string head(int code) {
    return "HTTP/1.0 " + std::to_string(code) + (code == 200 ? " OK" : " Service Unavailable") +
           "\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\nDate: Sun, 22 Nov 2026 04:46:47 GMT\r\nContent-Type: "
           "application/json\r\n\r\n";
  }

  void fill(Connection& connection, Manner manner, const Answer& answer) {
    const std::string whole = head(answer.code) + answer.body;
    switch (manner) {
      case Manner::answer:
        connection.out = whole;
        break;
      case Manner::hang:
        connection.silent = true;
        break;
      case Manner::reset: {
        const linger now{1, 0};
        ::setsockopt(connection.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        connection.over = true;
        break;
      }
      case Manner::empty:
        connection.over = true;
        break;
      case Manner::bare:
        connection.out = "HTTP/1.0 503 Service Unavailable\r\n\r\n";
        break;
      case Manner::drip_body:
        repeat(connection, head(200) + "{", " ", 1);
        break;
      case Manner::drip_header:
        repeat(connection, "HTTP/1.0 200 OK\r\nX: ", "x", 1);
        break;
      case Manner::big_body:
        repeat(connection, head(200), std::string(65536, ' '), 1 << 20, 50'000'000);
        break;
      case Manner::endless_header:
        repeat(connection, "HTTP/1.0 200 OK\r\n", "X: " + std::string(100, 'y') + "\r\n");
        break;
      case Manner::endless_line:
        repeat(connection, "HTTP/1.0 200 OK\r\nX: ", std::string(1000, 'y'));
        break;
      case Manner::endless_interim:
        repeat(connection, "", "HTTP/1.1 100 Continue\r\n\r\n");
        break;
      case Manner::truncated:
        connection.out = whole.substr(0, head(answer.code).size() + answer.body.size() / 2);
        break;
      case Manner::short_of_length:
        connection.out = "HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n" + answer.body;
        break;
      case Manner::html:
        connection.out = "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body>Hello</body></html>";
        break;
      case Manner::deep_json:
        connection.out = head(200) + "{\"a\":" + std::string(1000, '[') + std::string(1000, ']') + "}";
        break;
      case Manner::bad_utf8:
        connection.out = head(200) + "{\"state\": \"run\xff\"}";
        break;
      case Manner::no_http:
        connection.out = answer.body;
        break;
      case Manner::redirect:
        connection.out = "HTTP/1.0 302 Found\r\nLocation: /elsewhere\r\n\r\n";
        break;
    }
  }

  static void repeat(Connection& connection, std::string first, std::string more, std::size_t at_once = 1 << 20,
                     std::size_t most = kMostBytes) {
    connection.out = std::move(first);
    connection.more = std::move(more);
    connection.left = most;
    connection.at_once = at_once;
  }

  void send_some(Connection& connection) {
    std::size_t budget = connection.more.size() == 1 ? std::max<std::size_t>(1, connection.out.size()) : connection.at_once;
    while (budget > 0) {
      if (connection.out.empty()) {
        if (connection.left == 0) {
          connection.over = true;
          return;
        }
        connection.out = connection.more;
        connection.left -= std::min(connection.left, connection.more.size());
      }
      const auto sent = ::send(connection.fd, connection.out.data(), std::min(budget, connection.out.size()), MSG_NOSIGNAL);
      if (sent < 0) {
        connection.over = errno != EAGAIN;
        return;
      }
      sent_ += static_cast<std::size_t>(sent);
      budget -= std::min(budget, static_cast<std::size_t>(sent));
      connection.out.erase(0, static_cast<std::size_t>(sent));
    }
    if (connection.out.empty() && connection.left == 0) connection.over = true;
  }

  std::string ip_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::vector<Connection> connections_;  // the thread's alone
  mutable std::mutex mutex_;
  std::map<std::string, Answer> answers_;
  std::map<std::string, Manner> manners_;
  Manner manner_ = Manner::answer;
  std::map<std::string, std::vector<Clock::time_point>> requests_;
  std::string last_request_;
  std::atomic<int> accepted_ = 0;
  std::atomic<int> open_ = 0;
  std::atomic<int> most_open_ = 0;
  std::atomic<std::size_t> sent_ = 0;
  std::atomic<std::int64_t> longest_idle_ms_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace fake
