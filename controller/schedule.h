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

/// What a watch, a hook or an operator says is under way, as far as it concerns one member.
enum class Announced : std::uint8_t {
  nothing,    ///< or it is for another member to show it
  change,     ///< anybody may show it next
  promotion,  ///< this member has the lock, and is not yet writable
};

/// The pace while something is announced.
inline constexpr std::chrono::milliseconds kUrgent{20};
/// The pace for the one member that is being promoted: the others are then asked no faster than in alert.
inline constexpr std::chrono::milliseconds kPromotion{10};

/// While the writer is missing the pace is at the slowest so many times the alert one. Who takes the lock shows it 0.2 s and
/// more before it is writable, and that is news: the pace is then alert. (To ask in alert all the while, from three pointsmen,
/// took half a core of two for Patroni's answers, and the promotion was the later for it.)
inline constexpr int kAlertsMissing = 4;

/// What the pace depends on.
struct News {
  Duration since_change{};  ///< since an answer last differed
  Announced announced = Announced::nothing;
  bool writer_missing = false;  ///< nobody claims to be the writer, and not for long: the next one may any moment
};

/// How long between two requests to a member: kUrgent or kPromotion while something is announced (`alert`, where that is less);
/// else `alert` at first, then slower with the age of the news (a fiftieth of it), kAlertsMissing of them at the most while
/// the writer is missing, `calm` at the most in any case.
[[nodiscard]] Duration pace(const Poll& poll, News news);

/// While a change is this young the pace is the alert one, and a member rests for as long as its last answer took, not longer:
/// a promotion makes every answer slow (25 to 30 ms on Patroni 3.0.2), and is over within it.
[[nodiscard]] bool is_young(const Poll& poll, Duration since_change);

/// When this member may be asked next: the pace after the last request, and once it has rested. `jitter` in [0, 1) delays
/// requests by up to half of the pace, calm ones by a tenth: pointsmen that were woken by the same event must not come together
/// (3.0.2 has a backlog of 5; the sixth waits for a second).
[[nodiscard]] Instant next_ask(const Asked& asked, const Poll& poll, News news, double jitter);

/// The manners alone, without the pace: how soon this member may be asked for anything at all. No sooner than 4 times the last
/// answer's time after it (once that time, where `hurried`), 1, 2, then 4 s after a time-out that had a connection (closing
/// does not free a worker that waits for PostgreSQL; Patroni 4.1.5 has five).
[[nodiscard]] Instant rested(const Asked& asked, bool hurried = false);

/// Is `now_says` news after `before`: another code, role, state, timeline, start of PostgreSQL, identifier,
/// `replication_state`, `pause` or `cluster_unlocked`, newly silent or back, or unusually slow (over 5 times and 100 ms more
/// than before)? A state, however bad, is no change.
[[nodiscard]] bool is_news(const MemberReport& before, const MemberReport& now_says);

/// When an answer that has not come yet is late: the member's last one `took` so much less that it is news.
[[nodiscard]] Instant late_at(Duration took, Instant asked);

/// The pace of questions to a port, by how long they have been asked: every 250 ms, from 10 s on slower (a fortieth of it),
/// every 2 s at the least. Each costs PostgreSQL a process.
[[nodiscard]] Duration port_pace(Duration asked_for);

/// How long a port has to answer: 500 ms and more where the member's API, which is as far away, `took` long; 2 s at the most.
[[nodiscard]] Duration port_patience(Duration took);

}  // namespace controller
