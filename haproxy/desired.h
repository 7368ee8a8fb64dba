#pragma once
// What each backend should look like. Made by whoever decides; here are only the words.

#include <cstdint>
#include <string>
#include <vector>

namespace haproxy {

/// What is wanted of a server: `in` takes new connections, `out` takes none and its sessions are ended, `drain` takes none and
/// its sessions finish, `leave` is nobody's wish: whatever HAProxy's own check says.
enum class Want : std::uint8_t { in, out, drain, leave };
[[nodiscard]] const char* word(Want want);

/// By what a server is steered. `health`: its own check tells roles apart, so forcing its health is a lease that expires alone
/// once it is no longer renewed. `admin`: no check, or one that cannot tell roles, so its admin state is set and stays as set.
enum class Steering : std::uint8_t { health, admin };
[[nodiscard]] const char* word(Steering steering);

struct DesiredServer {
  std::string name;
  Want want = Want::leave;
  Steering steering = Steering::admin;
  /// Would its own check keep it out just now? Asked only with `rise 1`, where forced health is no lease.
  bool check_keeps_out = false;
  std::string reason;  ///< one word of the decider's list, for people
  friend bool operator==(const DesiredServer&, const DesiredServer&) = default;
};

/// What is wanted of new connections to a backend: `hold` has them wait (where hold.lua is loaded), `release` ends a hold of
/// ours, `leave` touches no hold, which may be somebody else's.
enum class HoldWish : std::uint8_t { leave, hold, release };

struct Backend {
  std::string name;
  bool one_writer = false;             ///< never two usable servers, and old out before new in
  std::vector<DesiredServer> servers;  ///< only those that are to be steered; others are the user's own
  HoldWish hold = HoldWish::leave;
  friend bool operator==(const Backend&, const Backend&) = default;
};

}  // namespace haproxy
