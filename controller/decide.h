#pragma once
// One round's thinking, from what is known to what is to be done. Pure: the daemon, `once` and `plan` all stand on it.

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/announced.h"
#include "controller/board.h"
#include "controller/config.h"
#include "controller/desired.h"
#include "controller/judge.h"
#include "controller/ramp.h"
#include "haproxy/fragment.h"
#include "haproxy/plan.h"
#include "haproxy/running.h"

namespace controller {

/// What is carried from one round to the next.
struct Memories {
  std::vector<Memory> clusters;     ///< in the order of the configuration
  std::vector<HoldMemory> holding;  ///< likewise
  std::set<std::string> held;       ///< backends whose hold is ours
  CheckMemories checks;
  std::set<haproxy::ServerName> ours;  ///< servers of `worker` whose maint or drain is ours
  Ramps ramps;                         ///< of servers of `worker`
  haproxy::Worker worker;              ///< `ours` and `ramps` are void for any other
  friend bool operator==(const Memories&, const Memories&) = default;
};

struct Decided {
  Instant at{};                       ///< what was known when this was decided
  std::vector<Judgement> judgements;  ///< per cluster
  std::vector<HoldVerdict> holds;     ///< per cluster: do new connections to its write backends wait? Without hold.lua: never
  std::vector<std::optional<Suspect>> suspects;  ///< per cluster: whose port is to be asked, as its API says nothing
  std::vector<std::vector<Decision>> decisions;  ///< per cluster
  std::vector<std::vector<std::string>> alarms;  ///< per cluster: the judge's and those about servers
  std::vector<std::size_t> doubted;  ///< clusters where a check of HAProxy's begins to pass for a member that denies
  std::vector<haproxy::Backend> desired;
  haproxy::Plan plan;
  /// What the fragment should hold; nothing while a cluster has no writer (the file then stays as it is) or an address is not
  /// known.
  std::optional<haproxy::Fragment> fragment;
  Memories memories;  ///< for the next round, were all carried out
  friend bool operator==(const Decided&, const Decided&) = default;
};

/// In file mode `plan` keeps old writers out, and leaves bringing the new one in to the fragment and a reload.
[[nodiscard]] Decided decide(const Config& config, const Snapshot& seen, const haproxy::Running& running,
                             const Memories& memories, Instant now);

/// The fragment for these clusters. A write backend has every member, the writer first. A read backend has its readers, then
/// those that HAProxy's own check keeps out (wrong role or state); lagging and diverged ones are left out unless nobody else is
/// there. With `fallback: primary` the writer is its `backup`, under `/read-only`, so that HAProxy falls back by itself. A
/// member without a known address is taken as the running HAProxy has it, else nothing is rendered.
[[nodiscard]] std::optional<haproxy::Fragment> fragment_for(const Config& config, const Snapshot& seen,
                                                            const std::vector<Judgement>& judgements,
                                                            const haproxy::Running& running);

/// Has this worker been started with this fragment, as far as can be seen: each backend there, with the same servers at the
/// same addresses, in the same order?
[[nodiscard]] bool has_loaded(const haproxy::Running& running, const haproxy::Fragment& fragment);

}  // namespace controller
