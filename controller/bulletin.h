#pragma once
// Where the loop posts what it publishes, and the listener's threads read it.

#include <memory>
#include <mutex>
#include <utility>

#include "controller/published.h"

namespace controller {

class Bulletin {
 public:
  void post(const Published& published) {
    auto copy = std::make_shared<const Published>(published);
    const std::lock_guard lock(mutex_);
    latest_ = std::move(copy);
  }
  /// Null before the first round.
  [[nodiscard]] std::shared_ptr<const Published> read() const {
    const std::lock_guard lock(mutex_);
    return latest_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Published> latest_;
};

}  // namespace controller
