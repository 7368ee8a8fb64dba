#pragma once
// Watches on the DCS: they only wake the loop. What they tell is hearsay; the truth is asked of the members.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controller/config.h"
#include "controller/dcs.h"

namespace controller {

/// How one cluster's watch is doing.
struct WatchState {
  bool configured = false;
  bool connected = false;        ///< both keys are watched now
  std::string endpoint;          ///< the URL that is watched, or is tried now
  std::string trouble;           ///< why it is not connected, one line of printable ASCII; empty: it is, or was not tried yet
  std::string leader;            ///< what the leader key said last; empty: nothing, or it is not there (wrong namespace?)
  std::uint64_t reconnects = 0;  ///< connections after the first
  std::uint64_t refused = 0;     ///< values that could not be believed: a name that cannot be one, a time that is none
  std::uint64_t announced = 0;   ///< what was told
  friend bool operator==(const WatchState&, const WatchState&) = default;
};

/// What a watch does how often.
struct WatchPace {
  std::chrono::milliseconds check{10'000};       ///< etcd: between two reads of what is watched
  std::chrono::milliseconds answer{5'000};       ///< for an answer that need not be waited for
  std::chrono::milliseconds blocked{20'000};     ///< Consul: for how long a query may wait
  std::chrono::milliseconds last_retry{10'000};  ///< the longest between two connections
};

/// Watches NAMESPACE/SCOPE/leader and NAMESPACE/SCOPE/failover of every cluster that has a `watch`, on one thread, over
/// libcurl's multi interface.
///
/// etcd (3.4 and later, which serve /v3; measured with 3.4.23; what Patroni keeps under `etcd3`, for keys of the v2 API that it
/// writes under `etcd` are not seen there): both keys are read at one revision, then watched from the next
/// one on, on one stream. Every 10 s they are read again, linearizably, within 5 s: an endpoint that is frozen, cut off from
/// its cluster, or whose stream brings nothing is found out by that, and left for the next one. With a `username` a token is
/// fetched for each connection, and again when it is refused (tokens expire; a check that finds so costs no reconnect).
///
/// Consul (1.6 and later; tried on a small server of its documented API only): a blocking query for each of the two keys.
/// Not one for the folder: members and status in it change all the time. They wait for 20 s, not for the longest that Consul
/// would take, so that a dead connection is found out in 27 s; two of one key are at least 100 ms apart, however fast it
/// answers.
///
/// After a trouble the next endpoint is tried at once, and when all were tried, after 0.1, 0.2 … 10 s, with jitter. A trouble
/// is logged once when it begins (warning) and once when a connection has lasted for 10 s again (info). A connection that
/// brings over 1000 lines or 4 MB in 10 s, a line over 1 MB, or anything that is not what etcd or Consul say, is given up.
class Watcher {
 public:
  /// Starts the thread; none where no cluster has a `watch`. `tell` is called from it, at most 1000 times in 10 s for a
  /// cluster, with what is news: the keys as first read (a leader key that is not there is none), and each change. What changed
  /// while there was no connection is told once there is one again, as one change.
  Watcher(const std::vector<ClusterConfig>& clusters, std::function<void(const Announcement&)> tell,
          const WatchPace& pace = {});
  /// Stops the thread and closes what is open, at once; `tell` is not called afterwards.
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// One for each cluster, in the order of the configuration. Any thread.
  [[nodiscard]] std::vector<WatchState> states() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace controller
