#pragma once
// What must hold at every moment, checked after every command that HAProxy carries out, every check of its own and every round.
// Told by the world, not by the product: what each member answered is noted here as it is put on the board.
//
//  1. One writer. At most one server, not `backup`, is usable in a write backend. None is ever brought in by a command while
//     another is usable. Where HAProxy's own check, or a fresh worker, has two in, pointsman puts it right within 100 ms, from
//     when it is alive, awake and has an undisturbed socket, and the worker first answered. Excused: a server of which the last
//     round said `leave` (nobody's wish: HAProxy's own check decides; design, 3, "left to its own check").
//  2. Brought in on evidence. A server of a write backend is brought in, or held in, on its own member's fresh claim (200, role
//     primary, running or starting anew, scope, system identifier) which no later claim of another has overtaken, or as the
//     last accepted writer by the rules of silence; and at most 400 ms after it was decided (200 ms
//     until the first command, 200 ms of waiting for sessions to end), however long pointsman slept.
//  3. Silence is no denial. A server that was usable is forced out, or its session ended, only where its member's last answer
//     was no claim, another member claims or has the lock, or another is the accepted writer; a reader only on its member's
//     own fresh answer.
//  4. Old out before new in. Part of 1: the command that brings one in finds no other usable.
//  5. Somebody reads. With `fallback`, no command takes the last usable server out of a read backend while the writer claims
//  and
//     could serve in its place (HAProxy's own check may keep its server out, and admin state cannot change that).
//  6. It arrives, and rests. Once the cluster, the ways and HAProxy are well, and every member has answered a request since,
//  the
//     write backend is as it should be within two rounds; the read backend after `follow`; and no command is sent then.
//  7. No write reaches two. While a writer is in, no other server of its backend keeps an established session for more than
//     200 ms, on a worker that a reload left behind neither, where there is a master socket.
//  8. Waiting on evidence. New connections wait for a port that does not accept only while what that port of the accepted
//     writer said last is not that it accepts, and was asked since the writer's last claim; for the longest hold at most.
//  9. Nobody is let through to the dead. Where hold.lua is loaded, new connections wait once the accepted writer's API and port
//     have been dead for 3 s, where nobody has waited for a port since pointsman was started.
// 10. It can be judged again. Each line of the journal is read back, and its evidence leads to its decision in every part.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/loop.h"
#include "tests/simulator/haproxy.h"

namespace simulator {

struct Violation {
  int invariant = 0;  ///< 0: the simulated cluster did not become well by itself, a mistake of the simulator
  std::string text;
  Instant at{};
};

class Invariants final : public Watcher {
 public:
  Invariants(const Cluster& cluster, Timeline& time) : cluster_(cluster), time_(time), heard_(cluster.size()) {}
  void watch(const Haproxy& haproxy) { haproxy_ = &haproxy; }

  // pointsman's life.
  void started(const controller::Remembered& remembered);
  void stopped();
  void disturbed();  ///< something excuses it for a moment
  void sleeps(Instant until);
  void knows_addresses();  ///< until then servers whose check goes to PostgreSQL are nobody's
  void forgot() { forgotten_ = true; }
  void told(std::size_t member, const controller::MemberReport& report);
  void told(std::size_t member, const controller::PortReport& report);
  void round_begins();
  void round_ended(const controller::Loop& loop);

  // HAProxy's.
  void worker_began() override;
  void worker_answered() override;
  void looked() override;
  void commanded(const haproxy::BackendState& before, const haproxy::BackendState& after, const std::string& server,
                 haproxy::Command command) override;
  void session_ended(const std::string& backend, const std::string& server) override;
  void checked() override;
  void faulted() override { disturbed(); }

  /// Something was done to the world: calm begins anew.
  void shaken();
  /// What time alone may violate. Throws a Violation, as the others do.
  void look();
  /// Calm, and found as it should be, for long enough.
  [[nodiscard]] bool satisfied() const { return satisfied_; }

 private:
  struct Heard {
    std::shared_ptr<const controller::MemberReport> answer;
    std::optional<Instant> silent_since;
    std::optional<Instant> claiming_since;
    std::optional<Instant> wavering_since;       ///< since its last claim
    bool denies = false;                         ///< since its last claim: for good, or wavering for a hold
    std::optional<controller::PortReport> port;  ///< since the last claim
  };

  [[noreturn]] void violate(int invariant, std::string text) const { throw Violation{invariant, std::move(text), time_.now()}; }
  [[nodiscard]] bool fresh(std::size_t i) const;
  [[nodiscard]] bool is_claim(const controller::Answer& answer) const;
  void adopt_system();
  [[nodiscard]] bool claims(std::size_t i) const;
  [[nodiscard]] bool overtaken(std::size_t i) const;
  [[nodiscard]] bool kept(std::size_t i) const;
  [[nodiscard]] bool denied(std::size_t i) const;
  void check_in(std::size_t member, const std::string& server);
  void check_out(const haproxy::BackendState& backend, std::size_t member, const std::string& server, const std::string& how);
  void look_at_writers();
  void look_at_sessions();
  void look_at_calm();
  void look_at_hold(const controller::PublishedCluster& cluster);
  [[nodiscard]] bool is_dead(std::size_t member) const;
  void check_calm(std::size_t leader, Duration calm);
  [[nodiscard]] bool left_alone(const std::string& server) const;

  const Cluster& cluster_;
  Timeline& time_;
  const Haproxy* haproxy_ = nullptr;
  std::vector<Heard> heard_;  ///< as it is now
  std::vector<Heard> known_;  ///< as it was when the round began
  bool alive_ = false;
  bool forgotten_ = false;
  bool addresses_known_ = false;
  Instant started_at_{};
  Instant able_since_{};
  Instant round_at_{};
  Instant decided_at_{};     ///< the round's look was over
  bool commanding_ = false;  ///< the round's first command has been sent
  Instant worker_answered_at_ = Instant::max();
  std::optional<std::size_t> holder_;
  bool holder_set_ = false;
  std::string system_;
  controller::Topology last_;  ///< of the last round
  std::optional<Instant> two_since_;
  std::vector<std::optional<Instant>> sessions_since_, old_sessions_since_;
  Instant calm_since_{};
  std::optional<std::size_t> calm_leader_;
  bool all_heard_ = false;
  int rounds_since_heard_ = 0;
  std::uint64_t commands_when_calm_ = 0;
  bool counting_ = false;
  bool satisfied_ = false;
  std::optional<Instant> waiting_since_;  ///< new connections, for a port
  bool waited_ = false;                   ///< likewise, since the start
  std::optional<Instant> dead_since_;
};

}  // namespace simulator
