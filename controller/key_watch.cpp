#include "controller/key_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

namespace controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kNextEndpoint{20};
constexpr milliseconds kFirstRetry{100};
constexpr Duration kWindow = seconds(10);
constexpr std::size_t kMostLines = 1000;
constexpr std::size_t kMostBytes = 4'000'000;

/// How long after `failures` in a row.
milliseconds back_off(unsigned failures, std::size_t endpoints, milliseconds most) {
  if (failures < endpoints) return kNextEndpoint;
  const auto doublings = std::min<std::size_t>(failures - endpoints, 10);
  return std::min(kFirstRetry * (1 << doublings), most);
}

}  // namespace

KeyWatch::KeyWatch(std::size_t cluster, const ClusterConfig& config, const WatchSurroundings& surroundings)
    : cluster_(cluster), config_(config), around_(surroundings), paths_(dcs_paths(config.watch->name_space, config.scope)) {
  state_.configured = true;
  state_.endpoint = endpoint().url;
}

Instant KeyWatch::turn(Instant now) {
  if (!touched_ && now < next_) return next_;
  touched_ = false;
  if (waiting_ && now >= next_) {
    waiting_ = false;
    window_ = {};
    connect(now);
  }
  if (!waiting_) look(now);
  if (!waiting_) next_ = due();
  return touched_ && !waiting_ ? now : next_;
}

WatchState KeyWatch::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::unique_ptr<Transfer> KeyWatch::new_transfer() {
  return std::make_unique<Transfer>(around_.multi, endpoint(), watch().tls, touched_);
}

void KeyWatch::leader_is(const std::optional<DcsKey>& now) {
  take(note_leader(known_, cluster_, now), complained_of_leader_);
}

void KeyWatch::failover_is(const std::optional<DcsKey>& now) {
  take(note_failover(known_, cluster_, now), complained_of_failover_);
}

void KeyWatch::take(const haproxy::Result<std::vector<Announcement>>& news, bool& complained) {
  if (!news) {
    if (!complained) spdlog::warn("{}: what {} says is refused: {}", config_.scope, endpoint().url, news.error().text());
    complained = true;
    const std::lock_guard lock(mutex_);
    ++state_.refused;
    return;
  }
  complained = false;
  for (const auto& announcement : *news) {
    around_.tell(announcement);
    const std::lock_guard lock(mutex_);
    ++state_.announced;
    state_.leader = known_.leader.value_or("");
  }
}

void KeyWatch::connected(Instant now) {
  connected_at_ = now;
  const std::lock_guard lock(mutex_);
  state_.connected = true;
  state_.trouble.clear();
  if (ever_connected_) ++state_.reconnects;
  ever_connected_ = true;
}

void KeyWatch::went_well(Instant now) {
  if (now - connected_at_ < pace().check * 9 / 10) return;
  failures_ = 0;
  if (complained_) spdlog::info("{}: the watch on {} is well", config_.scope, endpoint().url);
  complained_ = false;
}

void KeyWatch::lost(std::string why, Instant now) {
  disconnect();
  waiting_ = true;
  ++failures_;
  const auto delay = back_off(failures_, watch().endpoints.size(), pace().last_retry);
  next_ = now + delay * std::uniform_int_distribution<int>{50, 100}(random_) / 100;
  if (!complained_) spdlog::warn("{}: no watch on {}: {}", config_.scope, endpoint().url, why);
  complained_ = true;
  endpoint_ = (endpoint_ + 1) % watch().endpoints.size();
  const std::lock_guard lock(mutex_);
  state_.connected = false;
  state_.trouble = std::move(why);
  state_.endpoint = endpoint().url;
}

bool KeyWatch::bearable(std::size_t lines, std::size_t bytes, Instant now) {
  if (now - window_ >= kWindow) {
    window_ = now;
    lines_ = bytes_ = 0;
  }
  lines_ += lines;
  bytes_ += bytes;
  if (lines_ <= kMostLines && bytes_ <= kMostBytes) return true;
  lost(fmt::format("{} lines and {} bytes within 10 s", lines_, bytes_), now);
  return false;
}

}  // namespace controller
