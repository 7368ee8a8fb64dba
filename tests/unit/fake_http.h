#pragma once
// An HTTP/1.1 server on 127.0.0.1 for fakes of a DCS: it keeps connections, and answers may come later or in pieces.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace fake {

class Http {
 public:
  static constexpr std::size_t kMostConnections = 64;

  struct Connection {
    int fd = -1;
    std::string in, out;
    std::string path, head;  ///< of the request that waits or streams
    bool waits = false;      ///< its answer comes later
    bool streams = false;
    std::uint64_t since = 0;  ///< what it waits for is newer than that
    std::string endless;      ///< sent again and again
    bool over = false;        ///< closed when `out` is sent
  };

  Http() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 64) != 0) std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  virtual ~Http() { ::close(listener_); }
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// It accepts, reads, and never says anything more.
  void freeze(bool on = true) { frozen_ = on; }
  /// One byte a turn.
  void dribble() { at_once_ = 1; }
  /// Closes every connection.
  void drop() {
    const std::lock_guard lock(mutex_);
    for (auto& connection : connections_) connection.over = true;
  }
  [[nodiscard]] int accepted() const { return accepted_; }
  [[nodiscard]] int open() const { return open_; }

 protected:
  /// Called with the mutex held.
  virtual void serve(Connection& connection, const std::string& body) = 0;
  virtual void turn(Connection&) {}

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  /// Each fake calls it first when it ends.
  void stop() {
    stop_ = true;
    thread_.join();
    for (auto& connection : connections_) ::close(connection.fd);
  }

  static void answer(Connection& connection, int code, const std::string& body, const std::string& headers = "") {
    connection.out += "HTTP/1.1 " + std::to_string(code) + " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
                      headers + "\r\n" + body;
  }
  static void begin_stream(Connection& connection) {
    connection.streams = true;
    connection.out += "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  }
  static std::string chunk(const std::string& text) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", text.size());
    return size + text + "\r\n";
  }

  mutable std::mutex mutex_;
  std::list<Connection> connections_;

 private:
  void run() {
    while (!stop_) {
      std::vector<pollfd> fds{{listener_, POLLIN, 0}};
      for (const auto& connection : connections_) fds.push_back({connection.fd, POLLIN, 0});
      ::poll(fds.data(), fds.size(), 1);
      const std::lock_guard lock(mutex_);
      while (connections_.size() < kMostConnections) {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) break;
        ++accepted_;
        ++open_;
        connections_.emplace_back().fd = fd;
      }
      for (auto& connection : connections_) work(connection);
      std::erase_if(connections_, [this](const Connection& connection) {
        if (!connection.over || !connection.out.empty()) return false;
        --open_;
        ::close(connection.fd);
        return true;
      });
    }
  }

  void work(Connection& connection) {
    char buffer[4096];
    const auto got = ::recv(connection.fd, buffer, sizeof buffer, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
      connection.over = true;
      connection.out.clear();
      return;
    }
    if (got > 0) connection.in.append(buffer, static_cast<std::size_t>(got));
    if (frozen_) return;
    take_request(connection);
    turn(connection);
    if (connection.out.empty() && !connection.over) connection.out = connection.endless;
    const auto sent =
        ::send(connection.fd, connection.out.data(), std::min(connection.out.size(), at_once_.load()), MSG_NOSIGNAL);
    if (sent > 0) connection.out.erase(0, static_cast<std::size_t>(sent));
    if (sent < 0 && errno != EAGAIN) {
      connection.over = true;
      connection.out.clear();
    }
  }

  void take_request(Connection& connection) {
    const auto end = connection.in.find("\r\n\r\n");
    if (end == std::string::npos) return;
    const std::string head = connection.in.substr(0, end + 2);
    std::size_t length = 0;
    if (const auto at = head.find("Content-Length: "); at != std::string::npos) length = std::stoul(head.substr(at + 16));
    if (connection.in.size() < end + 4 + length) return;
    const std::string body = connection.in.substr(end + 4, length);
    connection.in.erase(0, end + 4 + length);
    connection.head = head;
    const auto from = head.find(' ') + 1;
    connection.path = head.substr(from, head.find(' ', from) - from);
    serve(connection, body);
  }

  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> frozen_ = false;
  std::atomic<std::size_t> at_once_ = 1 << 18;
  std::atomic<int> accepted_ = 0;
  std::atomic<int> open_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace fake
