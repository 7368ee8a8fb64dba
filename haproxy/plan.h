#pragma once
// From what is to what should be: the commands, in an order in which every prefix is safe. Pure.
//
// Sources (HAProxy 2.6.12 unless said):
//  - `health down` holds a checked server out until `rise` good checks, `health up` holds it in until `fall` failed ones: with
//  2 or
//    more of them, renewing it whenever the health counter moves keeps it without a break. With `rise 1` nothing is seen to
//    move before the flip.
//  - `state maint` then `state ready` makes a checked server UP at once; `state ready; health down` let connections through in
//  1 of
//    300; `state drain; health down; state ready` in 0 of 300.
//  - `health stopping` leaks: each good check turns it back.
//  - A batch is not atomic towards traffic: `ready new; maint old` lets both take connections in between.
//  - `set maxconn server` lets go who waits in the queue, but no more than tune.maxpollevents (200) with one command: who is
//    left waits for a session to end, or for the command again. Set to 0 it lets nobody go: who is queued then waits until
//    `timeout queue` ends it (also 3.0.11 and 3.2.26).

#include <chrono>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "haproxy/desired.h"
#include "haproxy/running.h"

namespace haproxy {

enum class Command : std::uint8_t { health_up, health_down, state_ready, state_drain, state_maint };
/// As it stands in the CLI: "health up", "state maint".
[[nodiscard]] const char* word(Command command);

struct Step {
  std::string backend;
  std::string server;
  Command command = Command::state_ready;
  std::string reason;
  /// "set server pg_primary/pg1 health up".
  [[nodiscard]] std::string line() const;
  friend bool operator==(const Step&, const Step&) = default;
};

/// End the established sessions of this server, wherever they are.
struct Fence {
  std::string backend;
  std::string server;
  std::string reason;
  friend auto operator<=>(const Fence&, const Fence&) = default;
};

/// New connections to this backend are to wait for so long from now on; 0: no more.
struct Lease {
  std::string backend;
  std::chrono::milliseconds length{0};
  friend bool operator==(const Lease&, const Lease&) = default;
};

/// A server's maxconn: so many connections at once, others wait in HAProxy's queue; 0: any number.
struct Limit {
  std::string backend;
  std::string server;
  unsigned maxconn = 0;
  std::string reason;
  /// "set maxconn server pg_primary/pg1 20".
  [[nodiscard]] std::string line() const;
  friend bool operator==(const Limit&, const Limit&) = default;
};

struct Plan {
  std::vector<Lease> holds;           ///< 0. write backends: new connections wait
  std::vector<Step> out;              ///< 1. write backends: old out
  std::vector<Fence> fences;          ///< 2. its sessions ended
  std::vector<Limit> limits;          ///< 3. how many connections servers take at once: before a new one takes the first
  std::vector<Step> in;               ///< 4. write backends: new in
  std::vector<Lease> releases;        ///< 5. those that waited go on
  std::vector<Step> reads;            ///< 6. read backends: new in before old out
  std::vector<Fence> read_fences;     ///< 7. sessions of those that are out ended, of drained ones not
  std::vector<ServerName> operators;  ///< in maint or drain by somebody else's hand: left alone
  std::set<ServerName> ours;          ///< whose maint or drain is ours once all is carried out

  [[nodiscard]] bool nothing_to_send() const {
    return holds.empty() && out.empty() && limits.empty() && in.empty() && releases.empty() && reads.empty() &&
           fences.empty() && read_fences.empty();
  }
  friend bool operator==(const Plan&, const Plan&) = default;
};

/// `ours`: the servers of this worker whose maint or drain was set by us. `limits`: the maxconn that some servers are to have;
/// it is also sent again where connections wait though there is room for them. A server that HAProxy lacks is passed over.
[[nodiscard]] Plan diff(const std::vector<Backend>& desired, const Running& running, const std::set<ServerName>& ours,
                        const std::vector<Limit>& limits = {});

/// Where a plan's commands land: `running` with each carried out in order, sessions of fenced servers ended, queued ones let in
/// as far as a limit that was set lets them. HAProxy's own checks do not run meanwhile.
[[nodiscard]] Running after(const Plan& plan, const Running& running);
/// One command's effect on a server.
void carry_out(Command command, Server& server);

/// Servers, not `backup`, that take new connections in this backend.
[[nodiscard]] std::vector<std::string> usable_servers(const BackendState& backend);

}  // namespace haproxy
