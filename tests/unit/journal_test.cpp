#include "controller/journal.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "tests/catch.h"

using controller::Journal;
using controller::Lines;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using Clock = std::chrono::steady_clock;

/// What a fake disk has and does. Outlives it.
class Disk {
 public:
  std::vector<std::string> lines;
  int syncs = 0;
  int failures = 0;  ///< so many appends more fail
  bool hangs = false;
  int begun = 0;  ///< appends

  void let_go() {
    const std::lock_guard lock(mutex);
    hangs = false;
    changed.notify_all();
  }
  template <class Condition>
  bool await(Condition condition, seconds within = seconds(10)) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, within, condition);
  }

  std::mutex mutex;
  std::condition_variable changed;
};

class FakeLines final : public Lines {
 public:
  explicit FakeLines(std::shared_ptr<Disk> disk) : disk_(std::move(disk)) {}
  [[nodiscard]] std::size_t longest() const override { return 2'000'000; }
  haproxy::Result<void> append(std::string_view line) override {
    std::unique_lock lock(disk_->mutex);
    ++disk_->begun;
    disk_->changed.notify_all();
    disk_->changed.wait(lock, [&] { return !disk_->hangs; });
    if (disk_->failures > 0) {
      --disk_->failures;
      disk_->changed.notify_all();
      return haproxy::fail("write the journal", "/j", "No space left on device");
    }
    disk_->lines.emplace_back(line);
    disk_->changed.notify_all();
    return {};
  }
  haproxy::Result<void> sync() override {
    const std::lock_guard lock(disk_->mutex);
    ++disk_->syncs;
    disk_->changed.notify_all();
    return {};
  }

 private:
  std::shared_ptr<Disk> disk_;
};

struct Written {
  std::shared_ptr<Disk> disk = std::make_shared<Disk>();
  std::unique_ptr<Journal> journal;
  explicit Written(controller::JournalTimes times = {}) {
    journal = std::make_unique<Journal>(std::make_unique<FakeLines>(disk), times);
  }
};

std::vector<std::string> numbered(int count) {
  std::vector<std::string> lines;
  for (int i = 0; i < count; ++i) lines.push_back(std::to_string(i) + "\n");
  return lines;
}

}  // namespace

TEST_CASE("lines are written whole and in their order, and the last ones at the end") {
  Written written;
  for (int i = 0; i < 1000; ++i) written.journal->write(std::to_string(i), false);
  written.journal.reset();
  CHECK(written.disk->lines == numbered(1000));
  CHECK(written.disk->syncs >= 1);
}

TEST_CASE("an urgent line is in the file when write returns") {
  Written written({seconds(10)});
  for (int i = 0; i < 100; ++i) {
    written.journal->write(std::to_string(i), true);
    const std::lock_guard lock(written.disk->mutex);
    REQUIRE(written.disk->lines == numbered(i + 1));
  }
}

TEST_CASE("a disk that hangs is waited for once, for as long as was said, and is left behind at the end") {
  Written written({milliseconds(20)});
  written.disk->hangs = true;
  const auto begun = Clock::now();
  written.journal->write("0", true);
  CHECK(Clock::now() - begun >= milliseconds(20));
  const auto later = Clock::now();
  for (int i = 1; i < 500; ++i) written.journal->write(std::to_string(i), true);
  CHECK(Clock::now() - later < milliseconds(1000));  // each for itself would be 10 s
  const auto ending = Clock::now();
  written.journal.reset();
  CHECK(Clock::now() - ending < seconds(5));
  CHECK(written.disk->lines.empty());
  written.disk->let_go();
  CHECK(written.disk->await([&] { return written.disk->lines == numbered(500); }));
}

TEST_CASE("what cannot be written is said, kept, tried again and written in its order") {
  Written written({seconds(10), seconds(1), milliseconds(1)});
  written.disk->failures = 3;
  written.journal->write("0", true);
  CHECK(written.journal->state() == Journal::State{"cannot write the journal /j: No space left on device", 0});
  const auto begun = Clock::now();
  written.journal->write("1", true);  // it is behind: nobody waits
  CHECK(Clock::now() - begun < seconds(5));
  CHECK(written.disk->await([&] { return written.disk->lines == numbered(2); }));
  written.journal->write("2", true);
  CHECK(written.disk->await([&] { return written.disk->lines == numbered(3) && written.disk->begun == 6; }));
  CHECK(written.journal->state() == Journal::State{});
}

TEST_CASE("what cannot be kept is lost, the newest first, and counted") {
  Written written;
  written.disk->hangs = true;
  for (int i = 0; i < 20; ++i) written.journal->write(std::string(999'999, static_cast<char>('a' + i)), false);
  CHECK(written.journal->state().lost == 4);
  written.disk->let_go();
  REQUIRE(written.disk->await([&] { return written.disk->lines.size() == 16; }));
  CHECK(written.disk->lines.back().front() == 'a' + 15);
  written.journal->write(std::string(2'000'000, 'x'), false);
  CHECK(written.journal->state().lost == 5);
  written.journal->write("y", false);
  CHECK(written.disk->await([&] { return written.disk->lines.back() == "y\n"; }));
}

TEST_CASE("a line is synchronised a while later, and not each for itself") {
  Written written({seconds(10), milliseconds(100), seconds(1)});
  for (int i = 0; i < 10; ++i) written.journal->write("x", true);
  CHECK(written.disk->syncs <= 1);
  CHECK(written.disk->await([&] { return written.disk->syncs == 1; }));
}

TEST_CASE("a journal that cannot be written does not hinder the end") {
  Written written;
  written.disk->failures = 1'000'000;
  written.journal->write("0", false);
  const auto begun = Clock::now();
  written.journal.reset();
  CHECK(Clock::now() - begun < milliseconds(900));
}
