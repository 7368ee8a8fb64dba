#pragma once
// Who takes reads. Pure; a part of judge.h, whose rules it follows.

#include "controller/judge.h"

namespace controller {

/// Fills `read` and `lag_bytes` of the topology's members and returns the verdicts per backend (see Judgement::reads). `memory`
/// is the judgement's own: its lag part is brought up to date.
[[nodiscard]] std::vector<std::vector<Verdict>> judge_reads(const ClusterSnapshot& seen, const ClusterConfig& policy,
                                                            Instant now, Topology& topology, Memory& memory);

/// Does `upstream` say that it streams to this replica? It names it by `application_name`, which Patroni sets to the member's
/// name, and by address.
[[nodiscard]] bool streams_to(const Answer& upstream, const Sighting& replica);

}  // namespace controller
