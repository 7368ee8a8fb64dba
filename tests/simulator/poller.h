#pragma once
// The poller in virtual time: controller/poller.cpp's turns, by the same schedule, onto a real board; answers take their time,
// are lost, reset and garbled.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/board.h"
#include "controller/schedule.h"
#include "tests/simulator/cluster.h"

namespace simulator {

class Poller {
 public:
  Poller(Cluster& cluster, Timeline& time, controller::Board& board, const controller::Poll& poll);
  /// What was asked is answered to nobody.
  ~Poller() { *alive_ = false; }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// Every report that is put on the board.
  std::function<void(std::size_t member, const controller::MemberReport& report)> on_report;
  std::function<void(std::size_t member, const controller::PortReport& report)> on_port;
  /// Every member's address has become known.
  std::function<void()> on_addresses;
  /// pointsman is suspended until then.
  Instant asleep_until{};

  void nudge();
  /// The board has another suspect.
  void look() { wake(time_.now()); }
  /// A watch announces a switchover that begins now, or forgets it.
  void announce(bool announced) { announced_ = announced ? std::optional(time_.now()) : std::nullopt; }

 private:
  enum class Path : std::uint8_t { primary, cluster, config };
  struct Asker {
    controller::Asked asked;
    bool hurry = false;
    bool well = false;
    double jitter = 0;
    std::optional<controller::MemberReport> last;
    Instant cluster_asked{};
  };

  void wake(Instant when);
  void work();
  void ask(std::size_t member, Path path);
  void ask_port();
  void notice_late(std::size_t member, Instant begun);
  void arrive(std::size_t member, Path path, Instant begun);
  void fail(std::size_t member, Path path, Instant begun, Instant when, controller::Failure failure, bool hung);
  void finish(std::size_t member, Path path, Instant begun, Duration served_in, std::optional<controller::Failure> failure,
              bool hung, const std::optional<controller::Answer>& answer, const controller::ClusterReport& listed);
  [[nodiscard]] bool claims(const Asker& member) const;
  [[nodiscard]] Instant due(const Asker& member, double jitter) const;
  [[nodiscard]] std::optional<std::size_t> errand_member() const;
  void later(Instant when, std::function<void()> what);

  Cluster& cluster_;
  Timeline& time_;
  controller::Board& board_;
  controller::Poll poll_;
  std::vector<Asker> members_;
  Instant changed_at_;
  Instant nudged_at_{};
  Instant hurry_at_{};
  Instant woken_for_ = Instant::max();
  Instant cluster_due_;
  Instant config_due_;
  bool cluster_under_way_ = false;
  bool config_under_way_ = false;
  bool addresses_known_ = false;
  std::optional<Instant> announced_;
  std::optional<controller::Suspect> suspect_;
  Instant suspect_since_{};
  Instant port_due_{};
  unsigned port_questions_ = 0;  ///< what an older one brings is void
  bool port_under_way_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace simulator
