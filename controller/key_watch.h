#pragma once
// One cluster's watch: what both kinds of DCS share. Seen by the Watcher alone.

#include <mutex>
#include <random>

#include "controller/parse_dcs.h"
#include "controller/transfer.h"
#include "controller/watch.h"
#include "haproxy/clock.h"

namespace controller {

using haproxy::Duration;
using haproxy::Instant;
using Tell = std::function<void(const Announcement&)>;

/// What all watches share. Outlives them.
struct WatchSurroundings {
  CURLM* multi;
  const Tell& tell;
  const WatchPace& pace;
};

/// Driven by one thread: `turn` after every round of libcurl's. Level, not edge: a step looks at what its transfers have
/// brought and at the time, and does what is due.
class KeyWatch {
 public:
  virtual ~KeyWatch() = default;
  KeyWatch(const KeyWatch&) = delete;
  KeyWatch& operator=(const KeyWatch&) = delete;

  /// Does what is due, and says when to come again at the latest.
  [[nodiscard]] Instant turn(Instant now);
  /// Any thread.
  [[nodiscard]] WatchState state() const;

 protected:
  /// `config` has a watch. It is kept by reference.
  KeyWatch(std::size_t cluster, const ClusterConfig& config, const WatchSurroundings& surroundings);

  virtual void connect(Instant now) = 0;          ///< begins anew, at `endpoint()`
  virtual void disconnect() = 0;                  ///< gives up all transfers
  virtual void look(Instant now) = 0;             ///< while connecting or connected
  [[nodiscard]] virtual Instant due() const = 0;  ///< of `look`, where nothing comes

  [[nodiscard]] const WatchConfig& watch() const { return *config_.watch; }
  [[nodiscard]] const WatchPace& pace() const { return around_.pace; }
  [[nodiscard]] const MemberUrl& endpoint() const { return watch().endpoints[endpoint_]; }
  [[nodiscard]] std::unique_ptr<Transfer> new_transfer();

  void leader_is(const std::optional<DcsKey>& now);
  void failover_is(const std::optional<DcsKey>& now);
  void connected(Instant now);
  /// Something good came. A connection is believed in once it has lasted for almost the time between two checks.
  void went_well(Instant now);
  /// `why` is a copy: what it was read from is gone with the transfers.
  void lost(std::string why, Instant now);
  [[nodiscard]] bool is_lost() const { return waiting_; }
  /// False, and lost, where too much came in too short a time.
  [[nodiscard]] bool bearable(std::size_t lines, std::size_t bytes, Instant now);

  const DcsPaths& paths() const { return paths_; }

 private:
  void take(const haproxy::Result<std::vector<Announcement>>& news, bool& complained);

  std::size_t cluster_;
  const ClusterConfig& config_;
  const WatchSurroundings around_;
  DcsPaths paths_;
  KnownKeys known_;

  bool touched_ = false;
  bool waiting_ = true;
  Instant next_{};            ///< of `turn`
  std::size_t endpoint_ = 0;  ///< its index
  unsigned failures_ = 0;     ///< since a connection lasted
  Instant connected_at_{};
  bool ever_connected_ = false;
  bool complained_ = false;  ///< of the connection, in the log
  bool complained_of_leader_ = false;
  bool complained_of_failover_ = false;
  Instant window_{};  ///< of what is bearable
  std::size_t lines_ = 0, bytes_ = 0;
  std::minstd_rand random_{std::random_device{}()};

  mutable std::mutex mutex_;
  WatchState state_;
};

[[nodiscard]] std::unique_ptr<KeyWatch> watch_etcd(std::size_t cluster, const ClusterConfig& config,
                                                   const WatchSurroundings& surroundings);
[[nodiscard]] std::unique_ptr<KeyWatch> watch_consul(std::size_t cluster, const ClusterConfig& config,
                                                     const WatchSurroundings& surroundings);

}  // namespace controller
