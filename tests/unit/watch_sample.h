#pragma once
// A Watcher with what it told, for tests.

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controller/watch.h"
#include "haproxy/clock.h"

namespace fake {

/// Announcements as text: "leader pg1", "switchover 17 pg1>pg2 @now", "over 17".
inline std::string text(const controller::Announcement& news) {
  using What = controller::Announcement::What;
  if (news.what == What::leader) return "leader " + news.leader;
  if (news.what == What::switchover_over) return "over " + news.id;
  return "switchover " + news.id + " " + news.from + ">" + news.to + " @" + (news.at ? std::to_string(*news.at) : "now");
}

class Watched {
 public:
  /// A short pace, so that tests need not wait.
  static constexpr controller::WatchPace kPace{std::chrono::milliseconds(150), std::chrono::milliseconds(500),
                                               std::chrono::milliseconds(300), std::chrono::milliseconds(400)};

  Watched() {
    config_.scope = "main";
    config_.watch.emplace();
  }
  ~Watched() { watcher_.reset(); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  [[nodiscard]] controller::WatchConfig& watch() { return *config_.watch; }
  void at(std::uint16_t port, const std::string& host = "127.0.0.1") {
    watch().endpoints.push_back({"http://" + host + ":" + std::to_string(port), false, host, port});
  }
  void start(const controller::WatchPace& pace = kPace) {
    watcher_ = std::make_unique<controller::Watcher>(
        std::vector{config_},
        [this](const controller::Announcement& news) {
          const std::lock_guard lock(mutex_);
          told_.push_back(text(news));
        },
        pace);
  }
  void end() { watcher_.reset(); }

  [[nodiscard]] std::vector<std::string> told() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }
  [[nodiscard]] controller::WatchState state() const { return watcher_->states().at(0); }
  [[nodiscard]] bool connected() const { return state().connected; }

 private:
  controller::ClusterConfig config_;
  mutable std::mutex mutex_;
  std::vector<std::string> told_;
  std::unique_ptr<controller::Watcher> watcher_;
};

inline bool eventually(const std::function<bool()>& is_so, std::chrono::milliseconds within = std::chrono::seconds(8)) {
  const auto until = haproxy::BootClock::now() + within;
  while (!is_so()) {
    if (haproxy::BootClock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace fake
