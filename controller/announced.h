#pragma once
// From what was announced to whether new connections wait. Pure.
//
// The rules and where they come from (Patroni 3.0.2, 4.0.7, 4.1.5):
//  - A planned switchover begins with the `failover` key in the DCS; the old primary goes on serving during its CHECKPOINT,
//    then says `stopping`, and its PostgreSQL accepts connections only to answer FATAL. Nothing but holding them earlier helps.
//  - A graceful stop silences the REST API at once and shows nothing else: silence after an announcement counts as more seen,
//    and before a stop's too, as the hook comes only when the API has been shut down (4.0.7).
//  - `before_stop` (3.0.3 and later) runs before every stop, also of a restart and on replicas.
//  - A writer that says nothing and streams to nobody any more stops or is dead (unreplicated.h).
//  - So does one that says nothing and whose PostgreSQL port does not accept connections (port.h), whatever Patroni it has:
//    killed, cut off, frozen, starting or shutting down. One that accepts lives, and its Patroni alone is dead or frozen.
// Announcements are hearsay. They begin a hold of `pre_hold`, once each; only what the members themselves show afterwards
// makes it last, up to `hold`; and a switchover that came to nothing is followed by as long a time in which the DCS is not
// believed, as three of the others in a row are.

#include <string>

#include "controller/board.h"
#include "controller/config.h"
#include "controller/topology.h"
#include "controller/unreplicated.h"

namespace controller {

/// Why new connections to a write backend are to wait, from a closed list.
enum class HoldReason : std::uint8_t {
  none,           ///< they are not
  wavers,         ///< the writer denies softly: a moment later it is known
  switchover,     ///< the DCS announces one
  stop,           ///< a hook announces the writer's stop
  unreplicated,   ///< the writer is silent, and its replicas stream from it no more
  not_accepting,  ///< the writer is silent, and so is its PostgreSQL port, or that says that it does not accept connections
};
[[nodiscard]] const char* word(HoldReason reason);

/// Holds of one reason that came to nothing.
struct Fruitless {
  Instant last{};
  unsigned in_a_row = 0;  ///< none longer than a longest hold after the one before
  friend bool operator==(const Fruitless&, const Fruitless&) = default;
};

/// What is carried from one round to the next, per cluster.
struct HoldMemory {
  HoldReason cause = HoldReason::none;  ///< of the hold under way: any but wavers
  std::string holder;                   ///< URL of the writer that it is about
  std::string holder_started;           ///< when its PostgreSQL was started, in its own words
  Instant began{};
  std::string switchover_id;                  ///< the last one that was heard of
  std::uint64_t stop_number = 0;              ///< likewise
  std::optional<Instant> key_gone_at;         ///< the announcement was taken back, and the holder still claims
  std::map<HoldReason, Fruitless> fruitless;  ///< since one came true
  Streamers streamers;                        ///< of the writer
  std::optional<Instant> streams_again_at;    ///< during a hold of `unreplicated`: one of them does
  Instant given_up{};                         ///< a silence that began before this was waited for as long as it may be
  friend bool operator==(const HoldMemory&, const HoldMemory&) = default;
};

struct HoldVerdict {
  HoldReason reason = HoldReason::none;
  bool uncertain = false;  ///< a moment without news may change it: to be asked again at once
  [[nodiscard]] bool wanted() const { return reason != HoldReason::none; }
  friend bool operator==(const HoldVerdict&, const HoldVerdict&) = default;
};

/// `topology`: as judged of `seen` just now.
[[nodiscard]] HoldVerdict judge_hold(const ClusterSnapshot& seen, const Topology& topology, const ClusterConfig& policy,
                                     Instant now, HoldMemory& memory);

/// The longest that announced holds last: `hold`, by default the cluster's `ttl` and `loop_wait`.
[[nodiscard]] Duration longest_hold(const ClusterConfig& policy, const Timings& timings);

}  // namespace controller
