#pragma once
// The real world of one configuration, put together.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "controller/board.h"
#include "controller/config.h"
#include "controller/journal.h"
#include "controller/loop.h"
#include "controller/poller.h"
#include "controller/watch.h"
#include "haproxy/files.h"
#include "haproxy/reload.h"
#include "haproxy/socket.h"

namespace controller {

/// Does the journal begin with the first decision, or is that left out where it is the last line's?
enum class JournalStart : std::uint8_t { anew, go_on };

/// Owns everything that a round needs. Polling starts with it and ends with it.
class Session {
 public:
  /// The state file is read here; one that cannot be understood is logged and passed over.
  explicit Session(Config config, JournalStart start = JournalStart::anew);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Waits until every member has answered or failed, and, where somebody answered, some address is known; `poll.timeout` (the
  /// longest of the clusters') at most.
  void await_first_answers();
  /// A short round where that is enough, else a whole one.
  Outcome round();
  /// What the DCS announces wakes the poller and goes on the board, from now on.
  void watch();

  const Config config;
  haproxy::DiskFiles files;
  haproxy::Socket socket;
  haproxy::HaproxyReload reload;
  Remembered remembered;
  Board board;
  Poller poller;
  std::unique_ptr<Journal> journal;  ///< nothing: none is wanted
  Loop loop;
  std::optional<Watcher> watcher;  ///< of the daemon alone: last, so that it tells nobody who has gone
};

[[nodiscard]] std::int64_t unix_seconds();
[[nodiscard]] std::int64_t unix_ms();

/// For messages: each complaint on a line of its own to standard error. Returns 78, the exit code.
int print_complaints(const std::vector<Complaint>& complaints);

}  // namespace controller
