#pragma once
// What replicas know of a writer that says nothing. Pure.
//
// The rule and where it comes from (Patroni 4.0.7, 4.1.5): a graceful stop silences the writer's API at once and shows nothing
// else there; its PostgreSQL refuses within 50 ms, and its replicas lose `replication_state: streaming` within 0.1 s, as after
// a crash. A writer whose API alone is gone or frozen goes on streaming to them. Replicas tell it from 3.0.4 on.

#include <map>
#include <optional>
#include <string>

#include "controller/board.h"

namespace controller {

/// The replicas that the writer streamed to, as both said.
struct Streamers {
  std::string from;  ///< the writer's URL
  /// By URL, the start of the replica's own PostgreSQL: what it says after another one says nothing of the writer.
  std::map<std::string, std::string> started;
  friend bool operator==(const Streamers&, const Streamers&) = default;
};

/// Brings `streamers` up to what is known. New ones are taken in while the writer claims (`claims`). One that has stopped to
/// stream is forgotten with the writer's next answer to a request that was sent after that.
void note_streamers(const ClusterSnapshot& seen, const Sighting& writer, bool claims, Streamers& streamers);
/// Has one stopped to stream, and the writer not answered since?
[[nodiscard]] bool is_doubtful(const ClusterSnapshot& seen, const Streamers& streamers);

/// Does this replica say that it streams?
[[nodiscard]] bool streams(const Answer& answer);

enum class Replication : std::uint8_t {
  unknown,  ///< nobody who could tell has told: also while the writer answers
  goes_on,  ///< the writer says nothing, and one of them streams: it lives
  lost,     ///< the writer says nothing, and all of them that answered since stream no more
};
/// Somebody says nothing once a request has failed, and before that once it takes much longer than the last one did.
[[nodiscard]] Replication replication(const ClusterSnapshot& seen, const Sighting& writer, const Streamers& streamers,
                                      Instant now);

}  // namespace controller
