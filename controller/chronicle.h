#pragma once
// Which decisions are worth a line of the journal. Pure, but for the line that it hands on.
//
// A decision is written before it is carried out, with what it was made from; then what came of it. Written is what people
// would call another decision: another verdict, alarm or hold, another worker of HAProxy, a command that has not been sent
// since the last such change. What is only repeated (the lease of a hold, a forced health that is renewed, the steps of a ramp)
// is counted and written again after a minute; a calm system has a line an hour.

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/entry.h"

namespace controller {

inline constexpr std::chrono::minutes kRepeatAfter{1};
inline constexpr std::chrono::hours kRefreshAfter{1};

/// What the chronicle needs of the world.
struct JournalEdge {
  /// `urgent`: something is about to be carried out, and the line should be in the file before that. Empty: nothing is
  /// written.
  std::function<void(std::string line, bool urgent)> write;
  std::function<std::int64_t()> unix_ms;
  int pid = 0;
  /// The last decision's line, of a one-shot before this one: what is decided again is not written again. Empty: the first
  /// decision is written.
  std::string last = {};
};

/// One thread.
class Chronicle {
 public:
  Chronicle(JournalEdge edge, std::string version);

  /// To be called with what `decide` was given and has said, before any of it is carried out. `blind`: why HAProxy could not be
  /// read; empty: it could.
  void decided(const Config& config, const Snapshot& seen, const haproxy::Running& running, const Memories& memories,
               const Decided& decided, const std::string& blind = {});
  /// What came of the decision before; `then`: HAProxy as re-read. Written where that decision was and something was done, and
  /// where there is trouble that was not there before.
  void carried_out(OutcomeEntry outcome, const haproxy::Running& then);

 private:
  [[nodiscard]] bool is_news(const Conclusion& conclusion, const haproxy::Worker& worker, bool blind, Instant now);

  JournalEdge edge_;
  std::string version_;
  std::optional<Conclusion> last_;
  haproxy::Worker worker_;
  bool blind_ = false;
  Instant last_at_{};
  std::set<std::string> told_;  ///< commands since the last other verdict
  std::uint64_t again_ = 0;
  bool noted_ = false;  ///< the decision before was written
  std::vector<std::string> troubles_;
};

}  // namespace controller
