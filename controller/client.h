#pragma once
// The one HTTP client: GET requests to members, side by side on one thread, over libcurl's multi interface.

#include <poll.h>

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "controller/config.h"
#include "controller/report.h"

namespace controller {

/// What one request brought. Nobody has looked at the body yet.
struct Fetched {
  std::size_t slot = 0;
  Instant begun{};
  Instant ended{};
  std::optional<NoAnswer> failure;  ///< nothing: `code`, `body` and `date` are an HTTP answer, complete as far as HTTP can tell
  bool hung = false;                ///< timed out with an open connection
  Duration served_in{};             ///< from the connection to the end
  int code = 0;
  std::string body;  ///< at most kMaxBodyBytes
  std::string date;  ///< the Date header's value; empty: none
  std::string ip;    ///< the numeric address that was asked; empty: none was
};

/// Each request is a connection of its own, begun when there is something to send and closed at once after the answer. No
/// redirect is followed, no proxy used, no file of the user's read; at most kMaxBodyBytes of body and 64 kB of header are
/// taken. Names are resolved on threads of libcurl's; one that hangs holds up nobody and is not waited for at the end. Threads:
/// all from one, but `wake`.
class Client {
 public:
  Client();
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Makes a place for requests to one member; slots count from 0. TLS files that cannot be read fail each request, with that
  /// reason.
  std::size_t add(const MemberUrl& member, const Tls& tls);

  /// Begins `GET path`, to be over within `timeout`. A slot has at most one request at a time.
  void begin(std::size_t slot, const char* path, std::chrono::milliseconds timeout);

  /// Works on what is under way until one request ends, `most` is over, `wake` was called, or one of `others` is ready.
  void work(Duration most, std::span<const pollfd> others = {});

  /// A request that ended, each once.
  [[nodiscard]] std::optional<Fetched> take();

  /// Ends a `work` at once. Any thread.
  void wake();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace controller
