#pragma once
// What others may ask of the daemon over HTTP: to look now, and to hold new connections since a member is about to stop.
// Both are announcements, no more: who is the writer is always asked of the members.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include <tl/expected.hpp>

#include "controller/bulletin.h"
#include "haproxy/clock.h"

namespace controller {

class Session;

/// Threads: `attach` from the loop's, the others from the listener's.
class Doorbell {
 public:
  /// `bulletin` outlives it: there stands what came of an announcement.
  explicit Doorbell(const Bulletin& bulletin) : bulletin_(bulletin) {}

  enum class Refusal : std::uint8_t { too_many, unknown, ambiguous, not_known_yet };
  struct Refused {
    Refusal why = Refusal::too_many;
    std::string line;  ///< for people
  };
  template <class T>
  using OrRefused = tl::expected<T, Refused>;

  /// From now on, requests go to this session; null: to none.
  void attach(Session* session);

  /// Every member of the scope (empty: of all clusters) is asked at once.
  [[nodiscard]] OrRefused<void> nudge(const std::string& scope);

  /// `member`, by its name, is about to stop. Says the version of the board that knows it. `not_known_yet`: it may be one whose
  /// name nobody has told yet (Patroni before 3.2.0 tells it in /cluster alone).
  struct Noted {
    std::uint64_t version = 0;
    std::string scope;
  };
  [[nodiscard]] OrRefused<Noted> announce_stop(const std::string& scope, const std::string& member);

  /// So many may wait for what came of their announcements at a time.
  static constexpr int kMostWaiting = 4;
  /// Somebody who would.
  class Waiting {
   public:
    explicit Waiting(Doorbell& doorbell) : waiting_(doorbell.waiting_), may_(++waiting_ <= kMostWaiting) {}
    ~Waiting() { --waiting_; }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    [[nodiscard]] bool may() const { return may_; }

   private:
    std::atomic<int>& waiting_;
    bool may_;
  };
  [[nodiscard]] const Bulletin& bulletin() const { return bulletin_; }

 private:
  /// So many in a second, each kind for itself: nudges may not keep a hook out.
  struct Rate {
    haproxy::Instant second{};
    int count = 0;
    [[nodiscard]] bool exceeded();
  };

  const Bulletin& bulletin_;
  std::atomic<int> waiting_ = 0;
  std::mutex mutex_;
  Session* session_ = nullptr;
  Rate nudges_, stops_;
};

}  // namespace controller
