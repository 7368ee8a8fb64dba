#include "controller/http_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace controller {

namespace {

using haproxy::BootClock;
using haproxy::Instant;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{100};  ///< with a client that says nothing, while others wait
constexpr milliseconds kLinger{50};
constexpr int kLingerReads = 32;

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

bool wait_for(int fd, short events, int stop, Instant deadline) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - BootClock::now());
    if (left <= milliseconds(0)) return false;
    std::array<pollfd, 2> polled{pollfd{fd, events, 0}, pollfd{stop, POLLIN, 0}};
    const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0) return polled[1].revents == 0;
  }
}

bool HttpConnection::begin_request(const std::function<bool()>& others_wait) {
  taken_ = 0;
  write_by_.reset();
  const Instant give_up = BootClock::now() + kWithin;
  while (next_ == end_) {
    const Instant now = BootClock::now();
    if (now >= give_up) return false;
    read_by_ = std::min(give_up, now + kPatience);
    if (!fill() && (gone_ || others_wait())) return false;
  }
  read_by_ = BootClock::now() + kWithin;
  return true;
}

void HttpConnection::finish() {
  ::shutdown(socket_.get(), SHUT_WR);
  read_by_ = BootClock::now() + kLinger;
  for (int i = 0; i < kLingerReads && fill(); ++i) {
  }
}

ssize_t HttpConnection::read(char* to, std::size_t size) {
  if (taken_ >= kMostRequestBytes) return -1;
  if (next_ == end_ && !fill()) return gone_ ? 0 : -1;
  const std::size_t length = std::min({size, end_ - next_, kMostRequestBytes - taken_});
  std::memcpy(to, buffer_.data() + next_, length);
  next_ += length;
  taken_ += length;
  return static_cast<ssize_t>(length);
}

ssize_t HttpConnection::write(const char* from, std::size_t size) {
  if (!write_by_) write_by_ = BootClock::now() + kWithin;
  std::size_t sent = 0;
  while (sent < size) {
    const ssize_t length = ::send(socket_.get(), from + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (length >= 0) {
      sent += static_cast<std::size_t>(length);
    } else if (errno == EAGAIN) {
      if (!wait_for(socket_.get(), POLLOUT, stop_, *write_by_)) return -1;
    } else if (errno != EINTR) {
      return -1;
    }
  }
  return static_cast<ssize_t>(size);
}

bool HttpConnection::fill() {
  while (true) {
    const ssize_t length = ::recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (length > 0) {
      next_ = 0;
      end_ = static_cast<std::size_t>(length);
      return true;
    }
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == EAGAIN) {
      if (wait_for(socket_.get(), POLLIN, stop_, read_by_)) continue;
      return false;
    }
    gone_ = true;
    return false;
  }
}

}  // namespace controller
