#pragma once
// From a new writer to how many connections it takes at once: few at first, then more, then as many as ever. Pure.
//
// Who waited for a writer, and who lost the old one, would all connect to the new one within some milliseconds of its going in.
// A ramp lowers its `maxconn` before that, by `set maxconn server`, and raises it in steps: HAProxy queues the others.
//
// Each step raises it by the same factor, not by the same number: nobody knows how many will come, and a server that copes with
// so many copes with a share more. A crowd of 50 is spread as well as one of 5,000, and the course has an end also where the
// server has no limit of its own.
//
// Sources (HAProxy 2.6.12, 3.0.11 and 3.2.26, all alike):
//  - What a queued client sees: it is connected to HAProxy and hears nothing. After `timeout queue`, or `timeout connect` where
//    that is not set, HAProxy closes its connection (in the log: sQ). So that should be longer than the ramp.
//  - `set maxconn server b/s 0` leaves the queue standing. Where the limit was none, one that nobody reaches comes before it,
//    and is sent again until nobody is queued (see haproxy/plan.h).
//  - `show stat` has a server's limit as `slim`, empty where there is none. A reload brings back the file's. The old worker
//    refuses another ("Proxy is disabled."): who is queued there gets a turn when a session ends, or none.
//  - A server with a `minconn` takes that many at least; once its maxconn has been set to just that, HAProxy takes both for one
//    static limit, until a reload.

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "controller/config.h"
#include "controller/judge.h"
#include "haproxy/desired.h"
#include "haproxy/plan.h"
#include "haproxy/running.h"

namespace controller {

/// As long as a step lasts: the pace at which HAProxy is looked at.
inline constexpr std::chrono::milliseconds kRampStep{50};
/// What a ramp rises to where the server's own limit is none, just before its end.
inline constexpr unsigned kRampTop = 10'000;
/// A limit that nobody reaches.
inline constexpr unsigned kNoLimit = 1'000'000;
/// For so long after its end a ramp sees to it that nobody stays in the queue who has room.
inline constexpr std::chrono::seconds kRampLinger{10};
inline constexpr std::chrono::seconds kLongestRamp = std::chrono::minutes(1) + kRampLinger;

/// One server's ramp, carried from one round to the next; it ends with HAProxy's worker.
struct RampMemory {
  unsigned original = 0;  ///< maxconn before and after; 0: none
  RampConfig course;
  unsigned before = 0;  ///< maxconn as it was seen when it was last asked for, and as it was asked for: what is neither is
  unsigned asked = 0;   ///< somebody else's
  std::optional<Instant> began = std::nullopt;  ///< when it was first seen in; nothing: it is not in yet
  friend bool operator==(const RampMemory&, const RampMemory&) = default;
};
using Ramps = std::map<haproxy::ServerName, RampMemory>;

/// What a server takes at once so long after it went in. From `over` on: `original`, or kNoLimit where that is none.
[[nodiscard]] unsigned ramp_limit(unsigned original, const RampConfig& course, Duration since);

/// Begins a ramp for every server that is to go into a backend with one, goes on with those under way, forgets those that are
/// over or that somebody else has had a hand in, and says what each server's maxconn is to be now. One that goes out again is
/// put back once it is out. `ours`: the servers whose maint or drain is ours.
[[nodiscard]] std::vector<haproxy::Limit> judge_ramps(const Config& config, const std::vector<haproxy::Backend>& desired,
                                                      const haproxy::Running& running,
                                                      const std::set<haproxy::ServerName>& ours, Instant now, Ramps& ramps);

/// A ramp that an earlier run left behind goes on where its server's maxconn shows it to be; nothing where that shows another
/// hand.
[[nodiscard]] std::optional<RampMemory> resume_ramp(unsigned original, const RampConfig& course, const haproxy::Server& server,
                                                    Instant now);

/// To the end with all of them at once: what is to be sent now; empty when there is nothing left to do.
[[nodiscard]] std::vector<haproxy::Limit> end_ramps(const haproxy::Running& running, Instant now, Ramps& ramps);

/// Is a server in whose limit is still to change?
[[nodiscard]] bool any_ramp_runs(const Ramps& ramps, const haproxy::Running& running);

}  // namespace controller
