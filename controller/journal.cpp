#include "controller/journal.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <spdlog/spdlog.h>

#include "controller/thread.h"

namespace controller {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kLastWords{1};

}  // namespace

/// Outlives the journal where its thread hangs on the disk.
struct Journal::Shared {
  mutable std::mutex mutex;
  std::condition_variable wake;    ///< of the thread
  std::condition_variable caught;  ///< up, or given up
  std::unique_ptr<Lines> lines;
  JournalTimes times;
  std::thread thread;
  std::deque<std::string> queue;
  std::size_t queued_bytes = 0;
  bool writing = false;
  bool stop = false;
  bool ended = false;
  Clock::time_point again_at{};
  Clock::time_point sync_at = Clock::time_point::max();
  State state;

  [[nodiscard]] bool has_work(Clock::time_point now) const { return !queue.empty() && now >= again_at; }
  void write_one(std::unique_lock<std::mutex>& lock);
  void sync(std::unique_lock<std::mutex>& lock);
  void note(const haproxy::Result<void>& done);
  void lose(const char* why);
};

Journal::Journal(std::unique_ptr<Lines> lines, JournalTimes times) : shared_(std::make_shared<Shared>()) {
  shared_->lines = std::move(lines);
  shared_->times = times;
}

Journal::~Journal() {
  std::unique_lock lock(shared_->mutex);
  if (!shared_->thread.joinable()) return;
  shared_->stop = true;
  shared_->wake.notify_one();
  const bool ended = shared_->caught.wait_for(lock, kLastWords, [&] { return shared_->ended; });
  std::thread thread = std::move(shared_->thread);
  if (!ended) spdlog::error("the journal's disk hangs: {} lines are lost", shared_->queue.size() + (shared_->writing ? 1 : 0));
  lock.unlock();
  ended ? thread.join() : thread.detach();
}

void Journal::write(std::string line, bool urgent) {
  line += '\n';
  std::unique_lock lock(shared_->mutex);
  if (line.size() > shared_->lines->longest()) return shared_->lose("too long for journal.keep");
  if (shared_->queued_bytes + line.size() > kQueuedBytes) return shared_->lose("too much waits to be written");
  if (!shared_->thread.joinable()) {
    try {
      shared_->thread = start_without_signals([shared = shared_] { work(*shared); });
    } catch (const std::system_error&) {
      return shared_->lose("no thread can be started");
    }
  }
  const bool behind = shared_->writing || !shared_->queue.empty();
  shared_->queued_bytes += line.size();
  shared_->queue.push_back(std::move(line));
  shared_->wake.notify_one();
  if (!urgent || behind) return;
  shared_->caught.wait_for(lock, shared_->times.wait,
                           [&] { return (shared_->queue.empty() && !shared_->writing) || !shared_->state.trouble.empty(); });
}

Journal::State Journal::state() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->state;
}

void Journal::work(Shared& shared) {
  std::unique_lock lock(shared.mutex);
  while (!shared.stop) {
    const Clock::time_point now = Clock::now();
    if (shared.has_work(now)) {
      shared.write_one(lock);
    } else if (now >= shared.sync_at) {
      shared.sync(lock);
    } else {
      const auto until = shared.queue.empty() ? shared.sync_at : std::min(shared.sync_at, shared.again_at);
      if (until == Clock::time_point::max()) {
        shared.wake.wait(lock);
      } else {
        shared.wake.wait_until(lock, until);
      }
    }
  }
  while (!shared.queue.empty()) {
    shared.write_one(lock);
    if (shared.state.trouble.empty()) continue;
    spdlog::error("{} lines of the journal are lost", shared.queue.size());
    break;
  }
  if (shared.sync_at != Clock::time_point::max()) shared.sync(lock);
  shared.ended = true;
  shared.caught.notify_all();
}

/// The queue's first, which stays where it cannot be written.
void Journal::Shared::write_one(std::unique_lock<std::mutex>& lock) {
  std::string line = std::move(queue.front());
  queue.pop_front();
  writing = true;
  lock.unlock();
  const auto done = lines->append(line);
  lock.lock();
  writing = false;
  note(done);
  if (done) {
    queued_bytes -= line.size();
    if (sync_at == Clock::time_point::max()) sync_at = Clock::now() + times.sync;
  } else {
    queue.push_front(std::move(line));
    again_at = Clock::now() + times.again;
  }
  if (queue.empty() || !done) caught.notify_all();
}

void Journal::Shared::sync(std::unique_lock<std::mutex>& lock) {
  sync_at = Clock::time_point::max();
  writing = true;
  lock.unlock();
  const auto done = lines->sync();
  lock.lock();
  writing = false;
  if (!done) note(done);
}

void Journal::Shared::lose(const char* why) {
  if (state.lost++ == 0) spdlog::error("a line of the journal is lost: {}; more of them are counted", why);
}

void Journal::Shared::note(const haproxy::Result<void>& done) {
  const std::string trouble = done ? std::string() : done.error().text();
  if (trouble.empty() && !state.trouble.empty()) spdlog::info("the journal is written again; {} lines are lost", state.lost);
  if (!trouble.empty() && state.trouble.empty())
    spdlog::error("{}; steering goes on, and this is tried again and again", trouble);
  state.trouble = trouble;
}

}  // namespace controller
