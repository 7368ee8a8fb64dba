#pragma once
// Asks every member of every cluster, side by side, and puts what they say on the board.

#include <memory>
#include <vector>

#include "controller/board.h"
#include "controller/config.h"

namespace controller {

/// One thread, libcurl's multi interface. At most one request is in flight to a member, of whatever path; each is a connection
/// of its own (never reused, never opened before there is something to send), closed at once after the answer, with its own
/// total deadline `poll.timeout`, at most kMaxBodyBytes of body and 64 kB of header; a body or header that drips is cut by the
/// deadline. No redirect is followed, no proxy is used, no file of the user's (netrc) is read. Names are resolved off the
/// thread.
///
/// `GET /primary` by the schedule, of everybody at once at the start. `GET /cluster` of one answering member, of one that does
/// not claim to be the writer where there is one: right after the first answer, then until every member's address is known
/// (once a second, slower as that lasts, at once again after news), every 60 s, and of every member that does not claim while
/// two members claim (four times a second). `/cluster` is asked only of one that answered its last request: in a DCS outage it
/// blocks for 10 s and on 4.1.5 takes the whole API with it; after a failure it is asked after 1, 2, 4 … 60 s. `GET /config` of
/// an answering member at start and hourly. A refused answer, and a failure of TLS, is logged once when it begins (warning,
/// with what was wrong) and once when the member is well again. Where the answer of one that claims is late, the board is told.
///
/// The ports of the board's suspects are asked beside that, see ports.h.
class Poller {
 public:
  /// Starts the thread. `board` must outlive it; its clusters and members are those of `clusters`, in their order.
  /// `remembered`: the board knows every address already, so `/cluster` and `/config` are asked 1 s after the start only, and a
  /// process that asks once need not wait for them.
  Poller(const std::vector<ClusterConfig>& clusters, Board& board, bool remembered = false);
  /// Stops the thread and closes what is open, at once.
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// Ask every member of this cluster as soon as manners allow, and go on at kUrgent for a second, or for as long as the board
  /// has something announced: a change is believed to be under way. Any thread.
  void nudge(std::size_t cluster);
  /// The board has another suspect. Any thread.
  void wake();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace controller
