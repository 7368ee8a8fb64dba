#pragma once
// What others may ask of the daemon over HTTP: to look now, and to hold new connections since a member is about to stop.
// Both are announcements, no more: who is the writer is always asked of the members.

#include <cstdint>
#include <mutex>
#include <string>

#include "haproxy/clock.h"
#include "haproxy/result.h"

namespace controller {

class Session;

/// Threads: `attach` from the loop's, the others from the listener's.
class Doorbell {
 public:
  /// From now on, requests go to this session; null: to none.
  void attach(Session* session);

  /// Every member of the scope (empty: of all clusters) is asked at once.
  [[nodiscard]] haproxy::Result<void> nudge(const std::string& scope);

  /// `member`, by its name, is about to stop. Says the version of the board that knows it.
  struct Noted {
    std::uint64_t version = 0;
    std::string scope;
  };
  [[nodiscard]] haproxy::Result<Noted> announce_stop(const std::string& scope, const std::string& member);

 private:
  /// So many in a second, each kind for itself: nudges may not keep a hook out.
  struct Rate {
    haproxy::Instant second{};
    int count = 0;
    [[nodiscard]] bool exceeded();
  };

  std::mutex mutex_;
  Session* session_ = nullptr;
  Rate nudges_, stops_;
};

}  // namespace controller
