#pragma once
// The daemon's HTTP listener: /metrics /healthz /readyz /status.json.

#include <functional>
#include <memory>
#include <optional>

#include "controller/config.h"
#include "controller/published.h"
#include "haproxy/result.h"

namespace controller {

/// Gives the newest Published, or nothing before the first round. Called from the listener's threads.
using Latest = std::function<std::optional<Published>()>;

/// How long the loop may be silent before /healthz answers 503 ("the loop is stuck").
inline constexpr std::chrono::seconds kStuckAfter{5};

/// cpp-httplib with bounds of our own, so that a slow or huge client cannot starve anything: 2 threads, a queue of at most 16
/// connections (more are closed at once), 1 s to read and to write, a request of at most 8 kB, no keep-alive beyond 5 requests
/// and 1 s. GET and HEAD only. Answers: 200, 404, 405; /healthz and /readyz 200 or 503 with one line of text saying why;
/// /readyz takes `scope` (an unknown one is 404) and `writer=1`.
class Listener {
 public:
  /// Binds and starts. An address in use is an Error that names it.
  [[nodiscard]] static haproxy::Result<std::unique_ptr<Listener>> start(const HttpConfig& http, Latest latest);
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
