#pragma once
// The round, and what is carried from one to the next. The daemon, `once` and `plan` are the same round.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controller/board.h"
#include "controller/chronicle.h"
#include "controller/config.h"
#include "controller/decide.h"
#include "controller/fragment_file.h"
#include "controller/journal.h"
#include "controller/published.h"
#include "controller/state_file.h"
#include "haproxy/files.h"
#include "haproxy/reload.h"
#include "haproxy/steer.h"

namespace controller {

/// A plan older than this is thrown away unsent: a process that slept must not act on what it knew before.
inline constexpr std::chrono::milliseconds kStalePlan{200};
/// HAProxy is looked at this often, always: a reload or restart by anybody wipes runtime state and is announced by nothing.
inline constexpr std::chrono::milliseconds kLookEvery{50};

/// While nothing moves, what is known is thought over this often: time alone changes verdicts too.
inline constexpr std::chrono::milliseconds kThinkEvery{1000};

/// The seams to the world. Everything outlives the loop.
struct Edges {
  haproxy::World world;
  haproxy::Files& files;
  haproxy::Reload& reload;
  std::function<std::int64_t()> unix_seconds;
  JournalEdge journal = {};
};

/// How a round ended, as far as exit codes go.
struct Outcome {
  bool failed = false;                 ///< HAProxy could not be read or brought to what was decided
  bool changed = false;                ///< commands were sent, or files written
  bool writer_known = true;            ///< in every cluster
  bool holding = false;                ///< some writer denies softly: a moment later it is known
  bool ramping = false;                ///< some writer does not take as many connections yet as it will
  std::vector<std::size_t> doubted{};  ///< clusters where HAProxy's own check may know better by now: to be asked at once
  std::vector<std::optional<Suspect>> suspects{};  ///< by cluster, for the board; empty where HAProxy could not be read
};

/// One thread.
class Loop {
 public:
  /// `remembered` is evidence from an earlier run; without any, the server that HAProxy has in is taken as the last writer.
  Loop(const Config& config, std::string version, Edges edges, Remembered remembered);

  /// One round: read HAProxy, decide, carry out (unless `observe`), publish.
  Outcome round(const Snapshot& seen);
  /// The short round of a calm time: HAProxy is looked at, and is as it was when all was well, and nobody has said anything
  /// new since (`version`, of the board). Nothing: a whole round is due.
  std::optional<Outcome> short_round(std::uint64_t version);

  /// As far as deciding, with nothing touched: what `plan` prints.
  struct Preview {
    haproxy::Running running;
    Decided decided;
    std::optional<FragmentStep> fragment;
  };
  [[nodiscard]] haproxy::Result<Preview> preview(const Snapshot& seen);

  /// Writes what the next run should know, where it differs from what was written last.
  void save(const Snapshot& seen);

  /// After a change of configuration: goes on with the memory of the clusters that both have, and with the counters.
  void carry_over(const Loop& before);

  [[nodiscard]] const Published& published() const { return published_; }
  /// How the watches are doing, by cluster: published with the rest.
  void publish_watches(const std::vector<WatchState>& states);
  /// How the journal is doing: likewise.
  void publish_journal(const Journal::State& state);
  /// What the next run should know.
  [[nodiscard]] Remembered remember(const Snapshot& seen) const;

 private:
  struct Carried;
  void begin_with(const haproxy::Running& running, const Snapshot& seen);
  void notice_restart(const haproxy::Worker& worker);
  void carry_out(const Decided& decided, const haproxy::Running& running, const Snapshot& seen, Carried& carried);
  void steer(const Decided& decided, const haproxy::Running& running, const Snapshot& seen, Carried& carried);
  void keep_fragment(const Decided& decided, Carried& carried);
  void fence_old_workers(const Decided& decided, Carried& carried);
  void chronicle(const Decided& decided, Carried& carried);
  void log_changes(const Decided& decided);
  void log_ramps(const Ramps& next) const;
  void publish(const Snapshot& seen, const Decided& decided, const Carried& carried, Instant begun);
  void publish_without_haproxy(const Snapshot& seen, const haproxy::Error& error, Instant begun);
  void log_troubles(const std::vector<std::string>& troubles);

  const Config& config_;
  Edges edges_;
  std::filesystem::path state_path_;
  FragmentFile fragment_file_;
  Chronicle chronicle_;
  Remembered remembered_;
  Remembered saved_;
  Remembered unsaved_;  ///< what could not be written
  Instant save_again_at_{};
  Memories memories_;
  bool begun_ = false;
  std::map<std::string, Memory> carried_over_;       ///< by scope, for the first round
  std::map<std::string, HoldMemory> carried_holds_;  ///< likewise
  bool old_workers_possible_ = true;
  Instant old_workers_looked_{};
  std::vector<haproxy::Fence> fenced_;  ///< what old workers were last looked at for
  unsigned master_failures_ = 0;        ///< in a row
  Instant fragment_looked_{};
  std::optional<haproxy::Fragment> fragment_;
  std::map<std::string, Instant> troubles_;  ///< when last met: each is logged when it begins
  std::vector<std::vector<Decision>> last_decisions_;
  std::vector<std::vector<std::string>> last_alarms_;
  std::vector<HoldReason> last_holds_;
  Published published_;

  /// The last round that was thought through, and what it looked at.
  struct {
    Instant at{};
    std::uint64_t version = 0;
    haproxy::Running running;
    std::string same_reply;  ///< of a short look
    Outcome outcome;
    Instant due = Instant::max();  ///< when something announced begins: that is news without anybody's saying so
    bool quiet = false;            ///< nothing was to be done, and nothing is about to change
  } last_;
};

}  // namespace controller
