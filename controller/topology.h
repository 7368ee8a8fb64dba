#pragma once
// What the judge says: for each member, whether it takes writes and reads, and why.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller/report.h"

namespace controller {

/// Every reason there is. A verdict carries exactly one; the words are part of the interface (logs, metrics, JSON).
enum class Reason : std::uint8_t {
  // taking writes
  claims_writer,  ///< 200, role primary, state running, fresh
  kept_locked,    ///< silent; another member sees the cluster locked
  kept_paused,    ///< silent; another member reports pause and streams from it
  kept_silent,    ///< silent for less than keep_silent
  holding,        ///< denies softly (state unknown, lock lost, restarting), for up to 1 s, or did and is silent: left as it is
  // not taking writes
  other_is_writer,  ///< somebody else is
  not_running,      ///< state is not running
  not_primary,      ///< role is not primary
  lock_lost,        ///< 503 with role primary for longer than a hold
  disputed,         ///< two claim, and nothing settles it
  promoting,        ///< has the lock, is not yet writable
  wrong_scope,      ///< answers for another cluster
  wrong_system,     ///< another system identifier
  no_claim,         ///< answered, and does not claim to be the writer
  // neither asserted nor removed
  let_go,  ///< silent for too long: left to HAProxy's own check
  silent,  ///< no answer (reads, and members that were never the writer)
  unseen,  ///< not asked yet
  // taking reads
  reads,     ///< a running replica
  fallback,  ///< the writer, since no reader is left
  // not taking reads
  not_replica,
  noloadbalance,
  wrong_timeline,
  not_streaming,
  lagging,  ///< drained, not ended
  // a server that is no member's, or is in somebody's hand
  no_member,
  operators_hand,
};
[[nodiscard]] const char* word(Reason reason);

/// What is to become of a member's servers in a backend of one kind.
enum class Place : std::uint8_t { in, out, drain, leave };
[[nodiscard]] const char* word(Place place);

struct Verdict {
  Place place = Place::leave;
  Reason reason = Reason::unseen;
  std::string evidence;  ///< one line: "HTTP 200, role primary, state running, timeline 3, 12 ms ago"
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

struct MemberVerdict {
  std::string url;
  std::string name;  ///< for people; the URL's host where no name is known
  Verdict write;
  Verdict read;  ///< for `serves: replica` without a lag bound; bounds are each backend's own
  std::optional<std::uint64_t> lag_bytes;
  friend bool operator==(const MemberVerdict&, const MemberVerdict&) = default;
};

/// Why there is, or is no, writer.
enum class WriterState : std::uint8_t {
  settled,   ///< one claims, or is kept
  holding,   ///< it denies softly, for up to 1 s, or did when it was last heard
  none,      ///< known to be none now: it rightly waits for the next
  let_go,    ///< the last one is silent for too long: HAProxy's own checks decide
  disputed,  ///< several claim
  unknown,   ///< none has been seen since the start
};
[[nodiscard]] const char* word(WriterState state);

struct Topology {
  std::string scope;
  WriterState writer_state = WriterState::unknown;
  std::optional<std::size_t> writer;   ///< index of the member that takes writes: settled or holding
  unsigned claims = 0;                 ///< members with a fresh claim
  std::vector<MemberVerdict> members;  ///< in the order of the configuration
  std::vector<std::string> alarms;     ///< what a person should look at, one line each; closed set of openings
  friend bool operator==(const Topology&, const Topology&) = default;
};

}  // namespace controller
