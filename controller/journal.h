#pragma once
// Lines for the disk, written by a thread of their own: whatever the disk does, who steers waits a millisecond for it at most.
//
// What a crash can lose. Killed pointsman: what is queued, which mostly is nothing, since an urgent line is waited for until it
// is in the file; with a disk that takes longer than the wait it is there a little after the decision was carried out. Power:
// what was written in the last second, as the file is synchronised that long after a line, not for each: that would take as
// long as a whole switch.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "haproxy/result.h"

namespace controller {

struct JournalTimes {
  std::chrono::milliseconds wait{1};      ///< the longest that an urgent line is waited for
  std::chrono::milliseconds sync{1000};   ///< from a line to the synchronisation after it
  std::chrono::milliseconds again{1000};  ///< between two trials to write what cannot be written
};
/// What cannot be written is kept up to so many bytes; lines beyond are lost, and counted.
inline constexpr std::size_t kQueuedBytes = 16'000'000;

/// The seam to the disk. One thread.
class Lines {
 public:
  virtual ~Lines() = default;
  /// Longer ones, newline included, cannot be written.
  [[nodiscard]] virtual std::size_t longest() const = 0;
  /// The whole line, with its newline, or nothing of it. May block for as long as the disk does.
  [[nodiscard]] virtual haproxy::Result<void> append(std::string_view line) = 0;
  [[nodiscard]] virtual haproxy::Result<void> sync() = 0;
};

/// Threads: any.
class Journal {
 public:
  struct State {
    std::string trouble;     ///< why it cannot be written; empty: it can
    std::uint64_t lost = 0;  ///< lines
    friend bool operator==(const State&, const State&) = default;
  };

  /// The thread begins with the first line. Trouble is logged when it begins and when it is over.
  explicit Journal(std::unique_ptr<Lines> lines, JournalTimes times = {});
  /// Writes what is queued, for a second at most: a disk that hangs is left behind with its thread.
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// `line`: without its newline. `urgent`: waits until it is in the file, for so long at most, and not at all while the disk
  /// is behind.
  void write(std::string line, bool urgent);
  [[nodiscard]] State state() const;

 private:
  struct Shared;
  static void work(Shared& shared);
  std::shared_ptr<Shared> shared_;
};

}  // namespace controller
