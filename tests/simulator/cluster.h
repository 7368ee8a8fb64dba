#pragma once
// The truth: PostgreSQL, Patroni and the DCS of one cluster, in virtual time, and what each member says of itself.
//
// Modelled after what Patroni 3.0.2 to 4.1.5 were seen to do: the lock is a lease of `ttl`, renewed each `loop_wait`; /primary
// is 200 for as long as the member believes in its lease, whatever PostgreSQL does; a promotion answers 200 with role replica
// until it is finished; a member that loses the lock demotes, and one that cannot reach the DCS does so within `loop_wait`,
// unless failsafe mode finds everybody; under `pause` nobody is promoted or demoted; a clean stop releases the lock and
// silences the API at once.

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "controller/report.h"
#include "tests/simulator/script.h"
#include "tests/simulator/timeline.h"

namespace simulator {

enum class Postgres : std::uint8_t { running, starting, stopping, stopped, hung };
enum class Patroni : std::uint8_t { running, frozen, stopped };
enum class Lie : std::uint8_t { none, lock, primary, timeline, future, scope, system };

struct Member {
  Postgres postgres = Postgres::running;
  bool primary = false;
  std::uint32_t timeline = 3;
  std::uint64_t system = 1;
  unsigned starts = 1;
  Patroni patroni = Patroni::running;
  Instant lease_until{};  ///< believes to hold the lock until then
  Instant dcs_seen{};
  bool unlocked = false;  ///< as it believes
  bool paused = false;
  bool failsafe = false;
  bool busy = false;  ///< promotes, demotes or restarts
  bool restarting = false;
  unsigned life = 1;  ///< what was begun before Patroni or PostgreSQL was killed is void
  unsigned hung_turns = 0;
  std::optional<std::size_t> leader;  ///< as it last saw in the DCS
  Lie lie = Lie::none;
  Millis slow{2};
  std::int64_t resets = 0;
  std::int64_t garbles = 0;
  std::array<bool, 3> parted{};   ///< by Peer, but `member`
  std::vector<bool> parted_from;  ///< members
};

/// How a connection to a member's API goes.
enum class Door : std::uint8_t { open, refused, swallowed, hangs, resets };

class Cluster {
 public:
  Cluster(const Setup& setup, Timeline& time);
  void happen(const Event& event);

  /// Called when the DCS announces a switchover from the leader, or forgets it.
  std::function<void(bool announced, const std::string& id)> on_switchover;
  std::function<void(const std::string&)> tell;  ///< the story, line by line

  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] const Member& member(std::size_t i) const { return members_[i]; }
  [[nodiscard]] const Setup& setup() const { return setup_; }

  /// A connection to the API that would be tried now. Uses up a reset.
  [[nodiscard]] Door knock(std::size_t i, Peer from);
  /// Does the way between them let anything through?
  [[nodiscard]] bool linked(std::size_t i, Peer peer) const { return !members_[i].parted[static_cast<std::size_t>(peer)]; }
  /// What a start-up packet to PostgreSQL brings just now; nothing: no byte, however long it is waited for.
  [[nodiscard]] std::optional<controller::PortSays> port(std::size_t i, Peer from) const;
  [[nodiscard]] bool accepts_connections(std::size_t i) const;
  /// What `GET /primary` says just now; nothing: a body that is none. Uses up a garbled one.
  [[nodiscard]] std::optional<controller::Answer> answer(std::size_t i);
  [[nodiscard]] int primary_code(std::size_t i) const;
  [[nodiscard]] bool replica_is_good(std::size_t i) const;
  [[nodiscard]] controller::ClusterReport listed(std::size_t i) const;

  /// One primary with the lock, everybody else streams from it, nobody lies, all ways are open: who it is.
  [[nodiscard]] std::optional<std::size_t> all_well() const;

 private:
  void turn(std::size_t i);
  void take_turn(std::size_t i);
  void blind_turn(std::size_t i);
  void leader_turn(std::size_t i);
  void open_turn(std::size_t i);
  void follower_turn(std::size_t i);
  void wake_everybody();
  void promote(std::size_t i);
  void demote(std::size_t i);
  void start_postgres(std::size_t i);
  void restart_postgres(std::size_t i);
  void switch_over(std::size_t to);
  void stop_patroni(std::size_t i);
  void heal();
  void later(std::size_t i, Duration delay, std::function<void(Member&)> what);
  [[nodiscard]] bool reaches_dcs(std::size_t i) const { return dcs_up_ && linked(i, Peer::dcs); }
  [[nodiscard]] bool may_lead(std::size_t i) const;
  [[nodiscard]] bool streams(std::size_t i) const;
  void give_lock(std::optional<std::size_t> owner);

  Setup setup_;
  Timeline& time_;
  std::vector<Member> members_;
  bool dcs_up_ = true;
  bool pause_ = false;
  std::optional<std::size_t> lock_;
  Instant lock_until_{};
  std::optional<std::size_t> failover_to_;
  unsigned failovers_ = 0;
};

}  // namespace simulator
