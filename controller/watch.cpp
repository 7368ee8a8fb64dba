#include "controller/watch.h"

#include <atomic>
#include <thread>
#include <utility>

#include "controller/curl.h"
#include "controller/key_watch.h"
#include "controller/thread.h"

namespace controller {

using haproxy::BootClock;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Watcher::Impl {
 public:
  Impl(const std::vector<ClusterConfig>& clusters, Tell tell, const WatchPace& pace)
      : clusters_(clusters), tell_(std::move(tell)), pace_(pace) {
    const WatchSurroundings surroundings{multi_, tell_, pace_};
    bool any = false;
    for (std::size_t index = 0; index < clusters_.size(); ++index) {
      auto& watch = watches_.emplace_back();
      const auto& config = clusters_[index];
      if (!config.watch) continue;
      any = true;
      watch = config.watch->dcs == WatchConfig::Dcs::etcd ? watch_etcd(index, config, surroundings)
                                                          : watch_consul(index, config, surroundings);
    }
    if (any) thread_ = start_without_signals([this] { run(); });
  }

  ~Impl() {
    stopping_ = true;
    if (multi_ != nullptr) curl_multi_wakeup(multi_);
    if (thread_.joinable()) thread_.join();
    watches_.clear();
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] std::vector<WatchState> states() const {
    std::vector<WatchState> all;
    for (const auto& watch : watches_) all.push_back(watch ? watch->state() : WatchState{});
    return all;
  }

 private:
  void run() {
    while (!stopping_) {
      const Instant now = BootClock::now();
      Instant next = now + seconds(60);
      for (const auto& watch : watches_) {
        if (watch) next = std::min(next, watch->turn(now));
      }
      work(next - BootClock::now());
    }
  }

  void work(Duration most) {
    const auto wait = std::chrono::ceil<milliseconds>(std::max(most, Duration::zero()));
    if (curl_multi_poll(multi_, nullptr, 0, static_cast<int>(wait.count()), nullptr) != CURLM_OK) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    int running = 0;
    curl_multi_perform(multi_, &running);
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE) Transfer::end(message->easy_handle, message->data.result);
    }
  }

  const std::vector<ClusterConfig> clusters_;
  const Tell tell_;
  const WatchPace pace_;
  CURLM* multi_ = new_multi();
  std::vector<std::unique_ptr<KeyWatch>> watches_;  ///< by cluster; nullptr: it has none
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

Watcher::Watcher(const std::vector<ClusterConfig>& clusters, std::function<void(const Announcement&)> tell,
                 const WatchPace& pace)
    : impl_(std::make_unique<Impl>(clusters, std::move(tell), pace)) {}
Watcher::~Watcher() = default;
std::vector<WatchState> Watcher::states() const {
  return impl_->states();
}

}  // namespace controller
