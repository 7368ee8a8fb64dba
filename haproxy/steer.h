#pragma once
// Carries a plan out, and looks whether it came true.

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "haproxy/clock.h"
#include "haproxy/plan.h"
#include "haproxy/result.h"
#include "haproxy/talk.h"

namespace haproxy {

/// What steering needs of the world.
struct World {
  Talk& talk;
  std::function<Instant()> now;
  std::function<void(std::chrono::milliseconds)> pause;
};

/// One exchange with HAProxy: it answers in 0.1 ms; a HAProxy that takes longer than this is stuck.
inline constexpr std::chrono::milliseconds kExchange{1000};
/// How long the new writer waits for the old one's sessions to end.
inline constexpr std::chrono::milliseconds kFenceWait{200};

/// What came of a plan.
struct Steered {
  bool confirmed = false;                ///< re-read, and every server is as usable as it was meant to be
  bool seen = false;                     ///< the last re-reading worked
  Running running;                       ///< as re-read; as before where it could not be
  std::vector<std::string> troubles;     ///< one line each: refused commands, what did not come true
  std::map<std::string, unsigned> sent;  ///< by command word
  std::map<std::string, unsigned> refused;
  unsigned sessions_ended = 0;
};

/// Reads what HAProxy is doing now, holds included: two exchanges.
[[nodiscard]] Result<Running> look(Talk& talk);

/// Is every server in the same state as in `last`? Costs a fraction of `look`; sessions are not counted. `same_reply` is kept
/// between calls: a reply that is word for word the one that was found the same before is not parsed again.
[[nodiscard]] Result<bool> is_unchanged(Talk& talk, const Running& last, std::string& same_reply);

/// Sends the plan in its order. The old writers' exit is confirmed by re-reading before a new one goes in: where one is still
/// usable, its backend's `in` steps are not sent. Where no session has to be ended, the whole switch goes in one line, since a
/// batch takes microseconds and clients between two lines would be refused. Sessions that do not end within kFenceWait are a
/// trouble, not a reason to wait longer. Blocks for kFenceWait and some exchanges at most. Where `not_after` is over before the
/// first command, nothing is sent; where it is over by more than kFenceWait before a new writer goes in, the rest is not sent.
[[nodiscard]] Steered apply(const Plan& plan, const Running& running, World& world, Instant not_after);

/// Ends the established sessions of `fences` on one process, by `show sess` and `shutdown session`: unlike `shutdown sessions
/// server`, that works on old workers too, and never touches a session that is still connecting (3.0.11 leaks it for ever).
/// Says how many were told to end.
[[nodiscard]] Result<unsigned> end_sessions(const std::vector<Fence>& fences, To to, Talk& talk);

/// The processes that earlier reloads left behind, from `show proc`; needs the master socket.
[[nodiscard]] Result<std::vector<int>> old_workers(Talk& talk);

}  // namespace haproxy
