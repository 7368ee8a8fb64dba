#include "haproxy/socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "haproxy/clock.h"
#include "haproxy/descriptor.h"

namespace haproxy {
namespace {

constexpr std::size_t kLongestLine = 16'000;       // HAProxy's own limit is tune.bufsize, 16384
constexpr std::size_t kLongestReply = 64U << 20U;  // `show sess` of 150,000 sessions

/// One exchange: where it goes, and until when.
struct Exchange {
  const std::filesystem::path& path;
  bool master;  ///< for hints, and for who ends the connection
  Instant end;
  std::chrono::milliseconds within;

  [[nodiscard]] Duration left() const { return end - BootClock::now(); }

  [[nodiscard]] tl::unexpected<Error> late() const {
    return fail("ask", path.string(), "no whole answer within " + std::to_string(within.count()) + " ms",
                "HAProxy hangs or is overloaded, or others hold all its connections to this socket (ten, where `stats maxconn` "
                "does not say otherwise)");
  }
  [[nodiscard]] tl::unexpected<Error> failed(int error) const {
    return fail("ask", path.string(), std::strerror(error),
                error == ECONNRESET || error == EPIPE ? "HAProxy closed the connection; is it stopping?" : "");
  }
  [[nodiscard]] tl::unexpected<Error> no_connection(int error) const;
};

tl::unexpected<Error> Exchange::no_connection(int error) const {
  const auto refused = [&](std::string detail, std::string hint) {
    return fail("connect to", path.string(), std::move(detail), std::move(hint));
  };
  switch (error) {
    case EAGAIN:
    case EINTR:
      return late();
    case ENOENT:
    case ENOTDIR:
      return refused("no such file", master ? "is HAProxy running in master-worker mode, and does its -S option name this path?"
                                            : "is HAProxy running? does `stats socket` in haproxy.cfg name this path?");
    case EACCES:
    case EPERM:
      return refused("permission denied",
                     master
                         ? "start HAProxy with -S /run/haproxy-master.sock,mode,660,group,haproxy and run as a user in group "
                           "haproxy"
                         : "run as a user in group haproxy, or write `mode 660 group haproxy` after `stats socket` in "
                           "haproxy.cfg");
    case ECONNREFUSED: {
      std::error_code unknown;
      if (std::filesystem::status(path, unknown).type() != std::filesystem::file_type::socket && !unknown) {
        return refused("this is not a socket", "name the path that HAProxy's configuration gives");
      }
      return refused("connection refused", "HAProxy is not running; the file was left behind");
    }
    case EPROTOTYPE:
      return refused("this socket takes datagrams", "name the stats socket, not a log socket");
    default:
      return refused(std::strerror(error), "");
  }
}

/// Bounds the next blocking connect() or send(); false where no time is left.
bool limit_sending(const Descriptor& fd, Duration left) {
  const auto micros = std::chrono::ceil<std::chrono::microseconds>(left).count();
  if (micros <= 0) return false;
  const timeval bound{micros / 1'000'000, static_cast<suseconds_t>(micros % 1'000'000)};
  return setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound) == 0;
}

Result<void> open_connection(const Descriptor& fd, const Exchange& exchange) {
  const std::string& path = exchange.path.native();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path || path.find('\0') != std::string::npos) {
    return fail("connect to", path, "a socket's path has 1 to " + std::to_string(sizeof address.sun_path - 1) + " bytes",
                "HAProxy itself takes 97 at most");
  }
  path.copy(address.sun_path, path.size());
  if (fd.get() < 0) return exchange.no_connection(errno);
  // With a full backlog connect() waits.
  if (!limit_sending(fd, exchange.left())) return exchange.late();
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return exchange.no_connection(errno);
  return {};
}

Result<void> send_all(const Descriptor& fd, std::string_view bytes, const Exchange& exchange) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      return exchange.failed(errno);
    }
    if (!bytes.empty() && !limit_sending(fd, exchange.left())) return exchange.late();
  }
  return {};
}

/// Waits for `events` on the connection, until the time is over.
bool await(const Descriptor& fd, short events, Duration most) {
  if (most <= Duration::zero()) return false;
  const auto nanos = std::chrono::ceil<std::chrono::nanoseconds>(most).count();
  const timespec bound{nanos / 1'000'000'000, nanos % 1'000'000'000};
  pollfd waited{fd.get(), events, 0};
  return ppoll(&waited, 1, &bound, nullptr) != 0;  // a signal's interruption counts as an event: the receive tells
}

/// HAProxy answers, then closes: a short reply is awaited by its end, which wakes this thread once and not twice (it runs 20
/// times a second). A reply that does not fit into the connection's buffer has no end before it is read.
Result<std::string> read_to_end(const Descriptor& fd, const Exchange& exchange) {
  constexpr Duration kEndOfShortReply = std::chrono::milliseconds(5);
  std::array<char, 16'384> chunk;  // not cleared
  std::string reply;
  await(fd, POLLRDHUP, std::min<Duration>(exchange.left(), kEndOfShortReply));
  for (;;) {
    const ssize_t got = recv(fd.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got == 0) return reply;
    if (got > 0) {
      reply.append(chunk.data(), static_cast<std::size_t>(got));
      if (reply.size() > kLongestReply) return fail("ask", exchange.path.string(), "the reply is longer than 64 MB");
      if (exchange.left() <= Duration::zero()) return exchange.late();
    } else if (errno == EAGAIN) {
      if (!await(fd, POLLIN | POLLRDHUP, exchange.left())) return exchange.late();
    } else if (errno != EINTR) {
      return exchange.failed(errno);
    }
  }
}

/// What stands before the line on the socket it goes to.
std::string prefix_for(To to, bool through_master) {
  if (to.kind == To::Kind::old_worker) return "@!" + std::to_string(to.pid) + "; ";
  return to.kind == To::Kind::worker && through_master ? "@1; " : "";
}

}  // namespace

Socket::Socket(std::filesystem::path stats, std::filesystem::path master)
    : stats_(std::move(stats)), master_(std::move(master)) {
  assert(!stats_.empty() || !master_.empty());
}

Result<std::string> Socket::ask(To to, std::string_view line, std::chrono::milliseconds within) {
  const bool through_master = to.kind != To::Kind::worker || stats_.empty();
  if (through_master && master_.empty()) {
    return fail("ask", to.kind == To::Kind::master ? "HAProxy's master" : "HAProxy's old worker " + std::to_string(to.pid),
                "no master socket is configured",
                "start HAProxy with -S /run/haproxy-master.sock,mode,660,group,haproxy and name that path as `master_socket`");
  }
  const Exchange exchange{through_master ? master_ : stats_, through_master, BootClock::now() + within, within};
  std::string bytes = prefix_for(to, through_master);
  bytes.reserve(bytes.size() + line.size() + 1);
  bytes.append(line).push_back('\n');
  if (bytes.size() > kLongestLine || line.find_first_of(std::string_view("\n\0", 2)) != std::string_view::npos) {
    return fail("ask", exchange.path.string(), "a line has no newline in it and under 16,000 bytes");
  }

  const Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (const Result<void> open = open_connection(fd, exchange); !open) return tl::unexpected(open.error());
  if (const Result<void> sent = send_all(fd, bytes, exchange); !sent) return tl::unexpected(sent.error());
  if (through_master) shutdown(fd.get(), SHUT_WR);
  Result<std::string> reply = read_to_end(fd, exchange);
  if (reply && to.kind == To::Kind::old_worker && reply->starts_with("Can't find the target PID")) {
    return fail("ask", "HAProxy's old worker " + std::to_string(to.pid), "it has gone");
  }
  return reply;
}

}  // namespace haproxy
