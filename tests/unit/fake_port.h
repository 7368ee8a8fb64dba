#pragma once
// A PostgreSQL port on 127.0.0.1, played in the test's own thread.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "haproxy/address.h"

namespace fake {

/// An error as PostgreSQL sends it.
inline std::string error(const std::string& sqlstate, const std::string& message) {
  const std::string zero(1, '\0');
  const std::string fields = "SFATAL" + zero + "VFATAL" + zero + "C" + sqlstate + zero + "M" + message + zero + zero;
  std::string length(4, '\0');
  length[2] = static_cast<char>((fields.size() + 4) >> 8);
  length[3] = static_cast<char>((fields.size() + 4) & 0xFF);
  return "E" + length + fields;
}

/// It wants a password by SCRAM.
inline std::string authentication() {
  const std::string zero(1, '\0');
  return "R" + std::string("\0\0\0\x17\0\0\0\x0a", 8) + "SCRAM-SHA-256" + zero + zero;
}

class Port {
 public:
  explicit Port(int backlog = 16) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, backlog) != 0)
      std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  ~Port() {
    close();
    for (const auto& connection : connections_) ::close(connection.fd);
  }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  [[nodiscard]] haproxy::Address address() const { return {"127.0.0.1", port_}; }
  /// Nobody listens any more.
  void close() {
    if (listener_ >= 0) ::close(listener_);
    listener_ = -1;
  }
  void listen_to(std::string answer, bool then_close = false) {
    answers_ = true;
    answer_ = std::move(answer);
    closes_ = then_close;
  }
  /// Takes the connections that are there, and answers each.
  void turn() {
    for (int fd = 0; answers_ && (fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      connections_.push_back({fd, {}});
      ++accepted;
    }
    for (auto& connection : connections_) serve(connection);
    std::erase_if(connections_, [](const Connection& connection) { return connection.fd < 0; });
  }

  int accepted = 0;
  int left = 0;       ///< connections that the other side closed
  std::string asked;  ///< by the last one

  std::size_t at_once = 1000;  ///< bytes of an answer that it sends in one turn

 private:
  struct Connection {
    int fd = -1;
    std::optional<std::string> to_send;  ///< nothing: not asked yet
  };

  void serve(Connection& connection) {
    char bytes[1024];
    const auto got = ::recv(connection.fd, bytes, sizeof bytes, 0);
    if (got > 0) {
      asked.assign(bytes, static_cast<std::size_t>(got));
      connection.to_send = answer_;
    }
    if (got == 0) ++left;
    if (connection.to_send) {
      const auto sent =
          ::send(connection.fd, connection.to_send->data(), std::min(at_once, connection.to_send->size()), MSG_NOSIGNAL);
      connection.to_send->erase(0, sent < 0 ? std::string::npos : static_cast<std::size_t>(sent));
    }
    const bool over = closes_ && connection.to_send && connection.to_send->empty();
    if (got != 0 && !over) return;
    ::close(connection.fd);
    connection.fd = -1;
  }

  int listener_ = -1;
  std::uint16_t port_ = 0;
  bool answers_ = false;
  bool closes_ = false;
  std::string answer_;
  std::vector<Connection> connections_;
};

}  // namespace fake
