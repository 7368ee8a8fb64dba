#pragma once
// The pure helpers of the loop: what is remembered from one run to the next, and what is told to the world.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "controller/decide.h"
#include "controller/published.h"
#include "controller/state_file.h"
#include "haproxy/plan.h"

namespace controller {

/// The socket that names this HAProxy: the stats socket, or the master socket without one.
[[nodiscard]] const std::filesystem::path& steering_socket(const Config& config);

/// A cluster's memory at the start: the one member that HAProxy has in is the writer, silent since now, or since what is
/// remembered where that names the same. What is remembered alone makes nobody the writer: a failover may lie between.
[[nodiscard]] Memory first_memory(const ClusterConfig& cluster, const ClusterSnapshot& seen, const Remembered& remembered,
                                  const haproxy::Running& running, std::int64_t unix_now, Instant now);

/// The other way round. `saved` is what was written last: an unchanged silence keeps its second.
[[nodiscard]] Remembered to_remember(const Memories& memories, const Snapshot& seen, const Remembered& saved,
                                     std::int64_t unix_now, Instant now);

/// The board's start, from the configuration and what is remembered of names and addresses.
[[nodiscard]] Snapshot first_snapshot(const Config& config, const Remembered& remembered);

/// Every server that is out of a write backend: old workers may still have sessions on it.
[[nodiscard]] std::vector<haproxy::Fence> fences_for_all(const std::vector<haproxy::Backend>& desired);

[[nodiscard]] std::vector<PublishedCluster> publish_clusters(const Config& config, const Snapshot& seen, const Decided& decided,
                                                             const haproxy::Running& running, bool confirmed);

void count_round(Counters& counters, Duration took);

}  // namespace controller
