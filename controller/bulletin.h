#pragma once
// Where the loop posts what it publishes, and the listener's threads read it.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "controller/published.h"

namespace controller {

/// Threads: `post` from the loop's, the others from any.
class Bulletin {
 public:
  using Posted = std::shared_ptr<const Published>;

  void post(const Published& published) {
    auto copy = std::make_shared<const Published>(published);
    {
      const std::lock_guard lock(mutex_);
      latest_ = std::move(copy);
    }
    posted_.notify_all();
  }
  /// Null before the first round.
  [[nodiscard]] Posted read() const {
    const std::lock_guard lock(mutex_);
    return latest_;
  }
  /// Waits until another than `known` is there, or `until` has come; says the newest.
  [[nodiscard]] Posted read_after(const Posted& known, Instant until) const {
    std::unique_lock lock(mutex_);
    posted_.wait_until(lock, until, [&] { return latest_ != known; });
    return latest_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable posted_;
  Posted latest_;
};

}  // namespace controller
