#pragma once
// What befalls the world, as a list of events that can be written down: one line each, "12.350s partition pg1 pointsman".
// Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simulator/timeline.h"

namespace simulator {

enum class What : std::uint8_t {
  // PostgreSQL
  crash_postgres,
  hang_postgres,
  wake_postgres,
  restart_postgres,  ///< in place, by Patroni
  // Patroni
  stop_patroni,  ///< SIGTERM: PostgreSQL is stopped, the lock released
  kill_patroni,  ///< kill -9: PostgreSQL runs on
  start_patroni,
  freeze_patroni,
  thaw_patroni,
  kill_member,  ///< both at once
  start_member,
  // the cluster
  switchover,  ///< to the member, announced in the DCS
  pause,
  resume,
  stop_dcs,
  start_dcs,
  // the network
  partition,  ///< of the member and: pointsman, haproxy, dcs, a member
  join,
  slow,    ///< the member's API takes so many ms for each answer
  reset,   ///< the member's API resets the next so many connections
  garble,  ///< likewise, with a body that is none
  // lies
  lie_lock,      ///< 200, though somebody else has the lock
  lie_primary,   ///< 200, role primary, state running
  lie_timeline,  ///< the same on a timeline of the past
  lie_future,    ///< the same on a timeline of the future
  lie_scope,     ///< the same for another cluster
  lie_system,    ///< the same with another system identifier
  be_honest,
  new_system,  ///< the member comes back with another system identifier, as a primary of its own
  // HAProxy
  reload,
  restart,  ///< away for so many ms
  refuse,   ///< the command after so many is refused
  drop,     ///< the socket is closed in the middle of a line, after so many commands
  mute,     ///< no answer for so many ms
  late,     ///< each answer takes so many ms
  prompt,   ///< no longer
  // pointsman
  kill_pointsman,  ///< after so many commands more; at once where none comes within a second
  start_pointsman,
  forget,      ///< the state file is lost
  suspend,     ///< pointsman for so many ms
  sleep,       ///< its whole machine, HAProxy included
  wall_clock,  ///< jumps by so many seconds
  heal,        ///< everything is well again
};

/// Whom a member is parted from.
enum class Peer : std::uint8_t { pointsman, haproxy, dcs, member };

struct Event {
  Millis at{0};
  What what = What::heal;
  std::size_t member = 0;  ///< index
  Peer peer = Peer::pointsman;
  std::size_t other = 0;  ///< the member that `peer` is
  std::int64_t amount = 0;
  friend bool operator==(const Event&, const Event&) = default;
};

/// What the world is made of.
struct Setup {
  std::uint64_t seed = 1;  ///< of latencies and of when members take their turns
  unsigned members = 3;
  bool naive = false;   ///< servers' checks cannot tell roles
  bool mixed = false;   ///< those of the read backend are of the other kind
  bool hold = false;    ///< hold.lua is loaded
  bool master = false;  ///< pointsman may use the master socket
  bool failsafe = false;
  bool fallback = true;  ///< the read backend's
  unsigned ttl = 30;
  unsigned loop_wait = 10;
  unsigned inter_ms = 3000;
  unsigned rise = 2;
  unsigned fall = 3;
  friend bool operator==(const Setup&, const Setup&) = default;
};

struct Script {
  Setup setup;
  std::vector<Event> events;  ///< by time
  friend bool operator==(const Script&, const Script&) = default;
};

[[nodiscard]] std::string render(const Event& event);
[[nodiscard]] std::string render(const Script& script);

/// Lines as render() writes them; '#' begins a comment. Nothing, and `complaint` set, where a line is not understood.
[[nodiscard]] std::optional<Script> parse_script(std::string_view text, std::string& complaint);

/// The same seed makes the same script.
[[nodiscard]] Script random_script(std::uint64_t seed);

}  // namespace simulator
