#pragma once
// When a member is asked next. Pure.

#include "controller/config.h"
#include "controller/report.h"

namespace controller {

/// What the schedule remembers of one member.
struct Asked {
  Instant last_asked{};
  Instant last_done{};
  Duration last_took{};    ///< of the last answer, from the connection on
  int hung = 0;            ///< time-outs with an open connection in a row: each may hold a worker of Patroni's pool
  bool in_flight = false;  ///< at most one request a member
  friend bool operator==(const Asked&, const Asked&) = default;
};

/// The pace while something is announced: a watch, a hook or an operator says that a change is under way.
inline constexpr std::chrono::milliseconds kUrgent{20};

/// What the pace depends on.
struct News {
  Duration since_change{};  ///< since an answer last differed
  bool announced = false;   ///< something is, and has not been over for long
};

/// How long between two requests to a member: kUrgent while something is announced (`alert`, where that is less); else `alert`
/// at first, then slower with the age of the news (a fiftieth of it), `calm` at the most.
[[nodiscard]] Duration pace(const Poll& poll, News news);

/// When this member may be asked next: the pace after the last request, no sooner than 4 times the last answer's time after it,
/// 1, 2, then 4 s after a time-out that had a connection (closing does not free a worker that waits for PostgreSQL;
/// Patroni 4.1.5 has five). `jitter` in [0, 1) delays requests by up to half of the pace, calm ones by a tenth: pointsmen that
/// were woken by the same event must not come together (3.0.2 has a backlog of 5; the sixth waits for a second).
[[nodiscard]] Instant next_ask(const Asked& asked, const Poll& poll, News news, double jitter);

/// The manners alone, without the pace: how soon this member may be asked for anything at all.
[[nodiscard]] Instant rested(const Asked& asked);

/// Is `now_says` news after `before`: another code, role, state, timeline, start of PostgreSQL, identifier,
/// `replication_state`, `pause` or `cluster_unlocked`, newly silent or back, or unusually slow (over 5 times and 100 ms more
/// than before)? A state, however bad, is no change.
[[nodiscard]] bool is_news(const MemberReport& before, const MemberReport& now_says);

}  // namespace controller
