#pragma once
// From who takes what to what each of HAProxy's servers should be. Pure.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/judge.h"
#include "haproxy/desired.h"
#include "haproxy/plan.h"
#include "haproxy/running.h"

namespace controller {

/// A check that passes for this long for a member that denies to be the writer cannot tell roles apart.
inline constexpr std::chrono::seconds kWrongPass{10};

/// What is remembered of a server's own check.
struct CheckMemory {
  std::optional<haproxy::Steering> steering;  ///< as last known for sure
  std::optional<Instant> passes_wrongly_since;
  friend bool operator==(const CheckMemory&, const CheckMemory&) = default;
};
using CheckMemories = std::map<haproxy::ServerName, CheckMemory>;

/// One server of one of our backends: whose it is, what is wanted of it and why.
struct Decision {
  std::string backend;
  std::string server;
  std::optional<std::size_t> member;  ///< index in the cluster; nothing: it matches no member and is not touched
  haproxy::Steering steering = haproxy::Steering::admin;
  bool check_keeps_out = false;
  Verdict verdict;
  friend bool operator==(const Decision&, const Decision&) = default;
};

/// The member behind a server: PostgreSQL's address and port from `/cluster`, or the API's address with the API's port as the
/// check's. By address only: a server's name is the user's.
[[nodiscard]] std::optional<std::size_t> find_member(const haproxy::Server& server, const std::vector<Sighting>& members);

/// Can this server's own check tell roles apart (steered by health), or not (by admin state)? Its check must go to the member's
/// API port and its last result must be one of layer 7 (srv_check_status 12, 13, 15 to 17): a plain TCP check on that port
/// shows 6 (2.6.12). Not decided yet (a fresh worker, a refused connection): as remembered, else health, which is only a lease.
/// A check that goes on passing in a write backend for a member that denies cannot know roles.
[[nodiscard]] haproxy::Steering classify(const haproxy::Server& server, const Sighting& member, bool write, const Poll& poll,
                                         Instant now, CheckMemory& memory);

/// Decides every server of this cluster's backends. `alarms` gets a line for each server of a write backend that is no
/// member's, unless it is a `backup`, once every member's address is known; and for a member without a server.
[[nodiscard]] std::vector<Decision> decide_servers(const ClusterConfig& cluster, const ClusterSnapshot& seen,
                                                   const Judgement& judgement, const haproxy::Running& running, Instant now,
                                                   CheckMemories& checks, std::vector<std::string>& alarms);

/// The decisions in HAProxy's words, one Backend for each of the cluster's.
[[nodiscard]] std::vector<haproxy::Backend> desired(const ClusterConfig& cluster, const std::vector<Decision>& decisions);

}  // namespace controller
