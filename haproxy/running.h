#pragma once
// What a HAProxy worker is doing now, as read from it: plain values, no I/O.
//
// Sources: `show info`, `show servers state` (format 1) and `show stat -1 6 -1` of HAProxy 2.6.12, 3.0.11 and 3.2.26; the
// three versions share the columns used here.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "haproxy/address.h"
#include "haproxy/hold.h"

namespace haproxy {

/// srv_op_state.
enum class OperationalState : std::uint8_t { stopped = 0, starting = 1, running = 2, stopping = 3 };
[[nodiscard]] const char* word(OperationalState state);

/// srv_admin_state is a set of bits. 0x04 (`disabled` in the file) stays set after `state ready`, and 0x40 (FQDN changed)
/// is in service: neither means maintenance.
inline constexpr unsigned kAdminForcedMaint = 0x01;
inline constexpr unsigned kAdminMaintMask = 0x23;
inline constexpr unsigned kAdminForcedDrain = 0x08;
inline constexpr unsigned kAdminDrainMask = 0x18;

/// A server's own check, as HAProxy sees it.
struct Check {
  bool enabled = false;  ///< srv_check_state & 2 (configured) and & 4 (enabled); paused (8) counts as enabled
  unsigned status = 0;   ///< srv_check_status: 6 L4OK, 8 L4CON, 12 L7TOUT, 13 L7RSP, 15 L7OK, 16 L7OKC, 17 L7STS ...
  unsigned result = 0;   ///< srv_check_result: 0 unknown, 1 neutral, 2 failed, 3 passed, 4 conditional
  int health = 0;        ///< srv_check_health: up from `rise`, full at rise + fall - 1
  int rise = 0;          ///< from `show stat`; 0 where HAProxy does not say
  int fall = 0;
  std::uint16_t port = 0;  ///< the port that is checked: srv_check_port, or the server's own where that is 0

  friend bool operator==(const Check&, const Check&) = default;
};

/// Backend and server.
using ServerName = std::pair<std::string, std::string>;

struct Server {
  std::string name;
  unsigned id = 0;  ///< srv_id: order in the file; `balance first` takes the usable server with the lowest
  std::string ip;   ///< canonical; empty where HAProxy has none yet ("-")
  std::uint16_t port = 0;
  OperationalState op_state = OperationalState::stopped;
  unsigned admin_state = 0;
  unsigned weight = 1;  ///< srv_uweight; 0 takes no new connections
  bool backup = false;
  unsigned sessions = 0;  ///< scur: sessions on it now, connecting ones included
  unsigned maxconn = 0;   ///< slim: so many sessions at once, others wait in HAProxy's queue; 0: any number
  Check check;

  [[nodiscard]] bool in_maint() const { return (admin_state & kAdminMaintMask) != 0; }
  [[nodiscard]] bool in_drain() const { return (admin_state & kAdminDrainMask) != 0; }
  /// Would HAProxy send a new connection to it (`backup` servers: once no other is usable)?
  [[nodiscard]] bool usable() const {
    return (op_state == OperationalState::running || op_state == OperationalState::starting) && !in_maint() && !in_drain() &&
           weight > 0;
  }
  friend bool operator==(const Server&, const Server&) = default;
};

struct BackendState {
  std::string name;
  std::vector<Server> servers;  ///< in the order of srv_id
  unsigned queued = 0;          ///< qcur: connections that wait for a server to have room, in its servers' own queues too

  [[nodiscard]] const Server* find(std::string_view server) const;
  friend bool operator==(const BackendState&, const BackendState&) = default;
};

/// One HAProxy process. `pid` changes with every reload; pid and start together name a worker for good.
struct Worker {
  int pid = 0;
  std::int64_t start_time_sec = 0;  ///< Unix seconds
  bool stopping = false;            ///< an old worker: it refuses `set server` with "Proxy is disabled."
  std::string version;              ///< "2.6.12-1+deb12u4"

  friend bool operator==(const Worker&, const Worker&) = default;
};

struct Running {
  Worker worker;
  std::vector<BackendState> backends;
  std::optional<Holds> holds = std::nullopt;  ///< nothing: hold.lua is not loaded, or was not asked

  [[nodiscard]] const BackendState* find(std::string_view backend) const;
  [[nodiscard]] const Server* find(std::string_view backend, std::string_view server) const;
  friend bool operator==(const Running&, const Running&) = default;
};

}  // namespace haproxy
