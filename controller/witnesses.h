#pragma once
// What the other members say of the leader lock while its holder is silent. Pure.
//
// The rules and where they come from (Patroni 3.0.2, 4.0.7, 4.1.5): every member tells `cluster_unlocked` as of its own last
// look at the DCS, so it counts from one alone that has looked since the silence began; under `pause` and in failsafe mode a
// cluster without a lock is in order; `/cluster` names who is the leader, and says nothing of whether it lives.

#include <cstdint>
#include <string>

#include "controller/board.h"
#include "controller/config.h"

namespace controller {

/// What is known of the last accepted writer.
struct Holder {
  std::size_t member = 0;
  std::string system_identifier;
  std::uint32_t timeline = 0;  ///< 0: not known
  Instant silent_since{};
};

enum class Lock : std::uint8_t {
  unknown,    ///< nobody has looked since the silence began
  held,       ///< by the silent one, as far as can be told
  paused,     ///< maintenance mode, and a replica streams on on its timeline
  gone,       ///< free, or held by one that is silent too, or said to be another's
  elsewhere,  ///< a member answers that it has it itself, and is not yet writable
};

/// "Locked" may mean locked by a member that is silent to us alone: after `keep_silent` it counts only where that cannot be.
[[nodiscard]] Lock ask_witnesses(const ClusterSnapshot& seen, const ClusterConfig& policy, const Holder& holder, Instant now);

/// How long a silent writer is kept on no more than that: the configured time, or `ttl`.
[[nodiscard]] Duration keep_silent(const ClusterConfig& policy, const Timings& timings);

}  // namespace controller
