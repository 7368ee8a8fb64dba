#pragma once
// A client's connection to the listener, with bounds of our own: cpp-httplib's time-outs are for each read, so that a client
// that drips would hold a thread for as long as it likes.

#include <httplib.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "haproxy/clock.h"

namespace controller {

/// A file descriptor, closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// Waits until `fd` is ready (true), or `stop` is readable or the deadline has come (false).
bool wait_for(int fd, short events, int stop, haproxy::Instant deadline);

class HttpConnection final : public httplib::Stream {
 public:
  static constexpr std::size_t kMostRequestBytes = 8192;
  /// For a request to begin, then for it to be there, then for its answer to be taken.
  static constexpr std::chrono::milliseconds kWithin{1000};

  /// `socket` does not block. `stop`, once readable, ends every wait.
  HttpConnection(Descriptor socket, int stop) : socket_(std::move(socket)), stop_(stop) {}

  /// Waits for the first byte of a request; false: none came, or `others_wait` for the thread and this one has nothing to say.
  [[nodiscard]] bool begin_request(const std::function<bool()>& others_wait);
  /// Says that no more comes, and takes for a moment what the client still sends: closing at once would be a reset, which takes
  /// the answer away from it.
  void finish();

  bool is_readable() const override { return next_ < end_; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  socket_t socket() const override { return socket_.get(); }

 private:
  bool fill();

  Descriptor socket_;
  int stop_;
  std::array<char, 2048> buffer_{};
  std::size_t next_ = 0, end_ = 0;
  std::size_t taken_ = 0;  ///< bytes of this request
  bool gone_ = false;      ///< no more will come
  haproxy::Instant read_by_{};
  std::optional<haproxy::Instant> write_by_;
};

}  // namespace controller
