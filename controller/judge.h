#pragma once
// Who takes writes and who takes reads. Pure: a function of what is known, what is remembered, policy and time.
//
// The rules and where they come from (Patroni 3.0.2, 4.0.7, 4.1.5):
//  - Neither the HTTP code nor the role is enough: 200 with role replica (promotion not finished) and 503 with role primary
//    (lock lost) both occur in ordinary failovers, and 200 lasts while PostgreSQL stops, restarts or crashes.
//  - Silence is no denial: a graceful stop, a frozen Patroni and a partition look alike. Another member's claim settles it.
//  - The timeline breaks a tie between two claims and never shuts out the only claimant: 3.0.2 with etcd v3 can go back to a
//    lower one.
//  - For seconds after a failover every replica looks broken: then only role and state remove a reader.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/board.h"
#include "controller/config.h"
#include "controller/topology.h"

namespace controller {

/// A soft denial (state unknown, the lock lost with PostgreSQL running) is believed when it is repeated after this long: a
/// Patroni restarted under `pause` says so for 0.2 s. Silence after it is silence: the member is forced down by no more than
/// its word, though one whose last word spoke against itself (restarting, no lock) is not asserted either.
inline constexpr std::chrono::milliseconds kHold{1000};

/// What the judge remembers of one member's lag in one backend.
struct LagMemory {
  bool out = false;                    ///< was over the bound, and has not yet been under `lag_back` for `lag_hold`
  std::optional<Instant> below_since;  ///< under `lag_back` without a break
  friend bool operator==(const LagMemory&, const LagMemory&) = default;
};

/// What is carried from one judgement to the next, per cluster.
struct Memory {
  std::string holder;                   ///< URL of the last accepted writer; empty: none yet
  std::string system_identifier;        ///< of the first accepted writer
  std::uint32_t timeline = 0;           ///< the writer's, last known; 0: not known
  std::string holder_started;           ///< its postmaster_start_time when it was last `running`
  std::optional<Instant> settled_at;    ///< a change of writer, or a restart of it, was seen: `follow` counts from here
  std::optional<Instant> silent_since;  ///< the holder's silence, also one that began before this process did
  bool fenced = false;                  ///< the holder denied: it is the writer no more until it claims again
  Reason fenced_for = Reason::no_claim;
  std::optional<Instant> disputed_since;    ///< two claim and nothing settles it
  std::optional<Instant> holding_since;     ///< a soft denial, or a dispute, began
  std::map<std::string, Instant> claiming;  ///< by URL: when the first claim of an unbroken run of claims was answered
  std::map<std::pair<std::string, std::string>, LagMemory> lag;  ///< by backend and URL
  std::map<std::string, Instant> broke_off;  ///< by URL: when a replica was asked that first no longer followed the writer
  friend bool operator==(const Memory&, const Memory&) = default;
};

struct Judgement {
  Topology topology;
  /// By backend (in the order of the configuration) and member; empty for a backend that does not serve replicas. The
  /// fallback is not in it: whether a reader is left is seen in HAProxy, see desired.h.
  std::vector<std::vector<Verdict>> reads;
  Memory memory;  ///< to hand in next time
  friend bool operator==(const Judgement&, const Judgement&) = default;
};

[[nodiscard]] Judgement judge(const ClusterSnapshot& seen, const Memory& memory, const ClusterConfig& policy, Instant now);

}  // namespace controller
