#pragma once
// The daemon's HTTP listener: /metrics /healthz /readyz /status.json, POST /nudge and /hold.

#include <functional>
#include <memory>
#include <optional>

#include "controller/config.h"
#include "controller/doorbell.h"
#include "controller/published.h"
#include "haproxy/result.h"

namespace controller {

/// Gives the newest Published, or nothing before the first round. Called from the listener's threads.
using Latest = std::function<std::optional<Published>()>;

/// The longest that POST /hold waits for the hold to be in force.
inline constexpr std::chrono::milliseconds kHoldAnswer{1000};
/// Of that, what those get who were let through just before: a short session ends before its server does. (Patroni 4.0.7 stops
/// PostgreSQL milliseconds after its hook. Without this, one stop in three broke off a client that connects for 20 ms.)
inline constexpr std::chrono::milliseconds kLetEnd{200};

/// How long the loop may be silent before /healthz answers 503 ("the loop is stuck").
inline constexpr std::chrono::seconds kStuckAfter{5};

/// cpp-httplib with bounds of our own, so that a slow or huge client cannot starve anything: 6 threads, of which at most 4 wait
/// for what comes of a /hold (one more is answered 503 at once, and announced all the same), a queue of at most 16 connections
/// (more are closed at once), 1 s to read and to write, a request of at most 8 kB, no keep-alive beyond 5 requests and 1 s.
/// Answers to GET and HEAD: 200, 404, 405; /healthz and /readyz 200 or 503 with one line of text saying why; /readyz takes
/// `scope` (an unknown one is 404) and `writer=1`. POST /nudge and POST /hold?member=NAME (both with `scope`) need the token
/// (`Authorization: Bearer TOKEN`) where there is one, and are refused (403) without one beyond loopback. /hold is for
/// Patroni's `before_stop` hook: it answers once new connections have waited for kLetEnd (200), or that there is nothing to
/// hold since another is the writer (200), or why they do not wait (503), within kHoldAnswer; a name that may become known is
/// 503 with Retry-After, one that is known to be none 404. More than 50 a second are refused (429).
class Listener {
 public:
  /// Binds and starts. An address in use is an Error that names it.
  /// `doorbell` outlives the listener; null: POST is not answered. A token file that cannot be read is an Error.
  [[nodiscard]] static haproxy::Result<std::unique_ptr<Listener>> start(const HttpConfig& http, Latest latest,
                                                                        Doorbell* doorbell = nullptr);
  ~Listener();  ///< stops, within about a second
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  [[nodiscard]] std::uint16_t port() const;  ///< the one bound to (for port 0)

 private:
  class Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace controller
