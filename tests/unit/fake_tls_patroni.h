#pragma once
// A TLS server on 127.0.0.1, one connection after another, that answers every request with 200 and one body.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <string>
#include <thread>

namespace fake {

class TlsPatroni {
 public:
  /// Files of the `folder`; `ask_client`: a certificate of the client's, signed by ca.pem, is needed; `says_goodbye`: closes as
  /// TLS demands.
  TlsPatroni(const std::string& folder, std::string body, bool ask_client, bool says_goodbye)
      : body_(std::move(body)), says_goodbye_(says_goodbye), context_(SSL_CTX_new(TLS_server_method())) {
    SSL_CTX_use_certificate_file(context_, (folder + "/server.pem").c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context_, (folder + "/server.key").c_str(), SSL_FILETYPE_PEM);
    if (ask_client) {
      SSL_CTX_load_verify_locations(context_, (folder + "/ca.pem").c_str(), nullptr);
      SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 16) != 0) std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~TlsPatroni() {
    stop_ = true;
    thread_.join();
    ::close(listener_);
    SSL_CTX_free(context_);
  }
  TlsPatroni(const TlsPatroni&) = delete;
  TlsPatroni& operator=(const TlsPatroni&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void run() {
    sigset_t pipe;  // OpenSSL writes without MSG_NOSIGNAL
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    while (!stop_) {
      pollfd waiting{listener_, POLLIN, 0};
      if (::poll(&waiting, 1, 20) <= 0) continue;
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) continue;
      const timeval patience{2, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      SSL* const ssl = SSL_new(context_);
      SSL_set_fd(ssl, fd);
      if (SSL_accept(ssl) == 1) answer(ssl);
      SSL_free(ssl);
      ::shutdown(fd, SHUT_WR);
      char rest[1024];
      while (::recv(fd, rest, sizeof rest, 0) > 0) {
      }
      ::close(fd);
    }
  }

  void answer(SSL* ssl) {
    std::string request;
    char buffer[1024];
    while (request.find("\r\n\r\n") == std::string::npos && request.size() < 10'000) {
      const int got = SSL_read(ssl, buffer, sizeof buffer);
      if (got <= 0) return;
      request.append(buffer, static_cast<std::size_t>(got));
    }
    const std::string whole = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body_;
    SSL_write(ssl, whole.data(), static_cast<int>(whole.size()));
    if (says_goodbye_) SSL_shutdown(ssl);
  }

  std::string body_;
  bool says_goodbye_;
  SSL_CTX* context_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace fake
