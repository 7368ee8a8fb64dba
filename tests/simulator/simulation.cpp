#include "tests/simulator/simulation.h"

#include <algorithm>

#include <fmt/format.h>

#include "controller/publish.h"

namespace simulator {
namespace {

using controller::Config;
using controller::Loop;
using controller::Remembered;
using std::chrono::seconds;

/// A cluster heals in a lease and some turns; then `follow` has to pass.
constexpr seconds kLongestHealing{240};

class NoReload final : public haproxy::Reload {
 public:
  haproxy::Result<void> validate(std::string_view) override { return haproxy::fail("validate", "nothing", "not in this mode"); }
  haproxy::Result<void> reload() override { return haproxy::fail("reload", "nothing", "not in this mode"); }
};

Config make_config(const Setup& setup) {
  Config config;
  controller::ClusterConfig cluster = members::policy();
  cluster.members.clear();
  for (std::size_t i = 0; i < setup.members; ++i)
    cluster.members.push_back({members::url(i), false, fmt::format("127.0.0.1{}", i + 1), 8008});
  cluster.backends[1].fallback_primary = setup.fallback;
  config.clusters = {cluster};
  config.haproxy.socket = "/run/haproxy/admin.sock";
  if (setup.master) config.haproxy.master_socket = "/run/haproxy-master.sock";
  config.state = "/var/lib/pointsman";
  return config;
}

/// The process: all that a kill takes away.
struct Process {
  controller::Board board;
  Poller poller;
  Loop loop;

  Process(const Config& config, const Remembered& remembered, Cluster& cluster, Timeline& time, controller::Edges edges)
      : board(controller::first_snapshot(config, remembered)),
        poller(cluster, time, board, config.clusters[0].poll),
        loop(config, "simulated", std::move(edges), remembered) {}
};

/// Invariant 8.
void judge_again(const std::string& line, Instant now) {
  const auto entry = controller::parse_entry(line, "the journal");
  if (!entry) throw Violation{10, entry.error().text(), now};
  const auto* decision = std::get_if<controller::DecisionEntry>(&*entry);
  if (decision == nullptr) return;
  if (controller::conclude(controller::decide_again(decision->evidence)) != decision->conclusion)
    throw Violation{10, "the evidence leads to another decision: " + line, now};
}

class Simulation {
 public:
  Simulation(const Script& script, const std::function<void(const std::string&)>& story);
  Outcome run();

 private:
  void happen(const Event& event);
  void start();
  void stop();
  void round();
  void spend(Duration time);
  void live();
  void wait(std::uint64_t version);
  void tell_reports(std::size_t member, const controller::MemberReport& report);
  void tell_verdicts();
  [[nodiscard]] bool is_over() const;

  const Script& script_;
  std::function<void(const std::string&)> tell_;
  bool telling_;
  Timeline time_;
  Config config_;
  Cluster cluster_;
  Invariants invariants_;
  Haproxy haproxy_;
  rounds::FakeFiles files_;
  NoReload reload_;
  std::unique_ptr<Process> process_;
  bool start_wanted_ = true;
  bool die_now_ = false;
  Instant asleep_until_{};
  std::int64_t wall_offset_ = 0;
  Instant last_event_ = kBegin;
  std::vector<std::string> told_answers_;
  std::string told_verdicts_;
};

Simulation::Simulation(const Script& script, const std::function<void(const std::string&)>& story)
    : script_(script),
      tell_([this, story](const std::string& line) {
        if (!story) return;
        const auto ms = std::chrono::duration_cast<std::chrono::microseconds>(time_.now() - kBegin).count();
        story(fmt::format("{:4}.{:04}s  {}", ms / 1'000'000, ms % 1'000'000 / 100, line));
      }),
      telling_(static_cast<bool>(story)),
      time_(script.setup.seed),
      config_(make_config(script.setup)),
      cluster_(script.setup, time_),
      invariants_(cluster_, time_),
      haproxy_(cluster_, time_, invariants_),
      told_answers_(cluster_.size()) {
  invariants_.watch(haproxy_);
  haproxy_.tell = cluster_.tell = tell_;
  haproxy_.spend = [this](Duration time) { spend(time); };
  cluster_.on_switchover = [this](bool announced, const std::string& id) {
    if (!process_) return;
    process_->poller.announce(announced);
    process_->board.put_switchover(0, announced ? std::optional(controller::Handover{id, "", time_.now()}) : std::nullopt);
    process_->poller.nudge();
  };
  for (const Event& event : script_.events) {
    last_event_ = std::max(last_event_, kBegin + event.at);
    time_.at(kBegin + event.at, [this, event] { happen(event); });
  }
}

void Simulation::happen(const Event& event) {
  tell_("*** " + render(event));
  invariants_.shaken();
  cluster_.happen(event);
  haproxy_.happen(event);
  switch (event.what) {
    case What::kill_pointsman:
      if (!process_) break;
      haproxy_.kill_after = event.amount;
      time_.in(seconds(1), [this] { die_now_ = die_now_ || haproxy_.kill_after.has_value(); });
      break;
    case What::heal:
    case What::start_pointsman:
      if (event.what == What::heal) haproxy_.kill_after.reset();
      start_wanted_ = !process_ || haproxy_.kill_after || die_now_;
      break;
    case What::forget:
      files_.files.clear();
      invariants_.forgot();
      break;
    case What::suspend:
    case What::sleep:
      asleep_until_ = time_.now() + Millis(event.amount);
      if (process_) process_->poller.asleep_until = asleep_until_;
      if (event.what == What::sleep) haproxy_.asleep_until = asleep_until_;
      invariants_.sleeps(asleep_until_);
      break;
    case What::wall_clock:
      wall_offset_ += event.amount;
      break;
    default:
      break;
  }
}

void Simulation::start() {
  start_wanted_ = die_now_ = false;
  haproxy_.kill_after.reset();
  Remembered remembered;
  if (const auto bytes = files_.read(rounds::kStateFile)) {
    if (auto parsed = controller::parse_state(*bytes, "state")) remembered = std::move(*parsed);
  }
  controller::Edges edges{{haproxy_, [this] { return time_.now(); }, [this](Millis t) { spend(t); }}, files_, reload_, [this] {
                            return 1'800'000'000 + wall_offset_ +
                                   std::chrono::duration_cast<seconds>(time_.now() - kBegin).count();
                          }};
  edges.journal = {[this](const std::string& line, bool) { judge_again(line, time_.now()); },
                   [edges] { return edges.unix_seconds() * 1000; }, 1};
  process_ = std::make_unique<Process>(config_, remembered, cluster_, time_, std::move(edges));
  process_->poller.asleep_until = asleep_until_;
  process_->poller.on_report = [this](std::size_t member, const controller::MemberReport& report) {
    tell_reports(member, report);
    invariants_.told(member, report);
  };
  process_->poller.on_port = [this](std::size_t member, const controller::PortReport& report) {
    tell_(fmt::format("port of pg{}: {}", member + 1, word(report.says)));
    invariants_.told(member, report);
  };
  process_->poller.on_addresses = [this] { invariants_.knows_addresses(); };
  invariants_.started(remembered);
  tell_("pointsman starts");
}

void Simulation::stop() {
  process_.reset();
  die_now_ = false;
  haproxy_.kill_after.reset();
  invariants_.stopped();
  tell_("pointsman dies");
}

/// Time passes while pointsman waits for HAProxy.
void Simulation::spend(Duration time) {
  time_.advance(time_.now() + time);
  if (asleep_until_ > time_.now()) {
    time_.advance(asleep_until_);
    invariants_.disturbed();
  }
  if (die_now_) throw Killed();
}

void Simulation::round() {
  time_.count();
  const std::uint64_t version = process_->board.version();
  invariants_.round_begins();
  if (!process_->loop.short_round(version)) {
    invariants_.round_begins();
    const auto outcome = process_->loop.round(process_->board.snapshot());
    if (!outcome.doubted.empty()) process_->poller.nudge();
    if (!outcome.suspects.empty() && process_->board.put_suspect(0, outcome.suspects[0])) process_->poller.look();
    tell_verdicts();
  }
  invariants_.round_ended(process_->loop);
  wait(version);
}

void Simulation::wait(std::uint64_t version) {
  const Instant until = time_.now() + controller::kLookEvery;
  while (time_.now() < until && process_->board.version() == version && !die_now_) time_.advance(std::min(until, time_.next()));
  if (die_now_) throw Killed();
}

void Simulation::live() {
  if (!process_ && start_wanted_) start();
  if (!process_) {
    time_.advance(std::min(time_.now() + Millis(50), time_.next()));
    return invariants_.look();
  }
  if (asleep_until_ > time_.now()) {
    time_.advance(asleep_until_);
    return invariants_.disturbed();
  }
  try {
    round();
  } catch (const Killed&) {
    stop();
  }
}

bool Simulation::is_over() const {
  return time_.now() > last_event_ && invariants_.satisfied();
}

Outcome Simulation::run() {
  Outcome outcome;
  try {
    while (!is_over()) {
      live();
      const bool healed = !script_.events.empty() && script_.events.back().what == What::heal;
      if (time_.now() < last_event_ + kLongestHealing) continue;
      if (healed) throw Violation{0, "the cluster has not become well by itself", time_.now()};
      break;
    }
  } catch (Violation& violation) {
    tell_(fmt::format("VIOLATION of {}: {}", violation.invariant, violation.text));
    outcome.violation = std::move(violation);
  }
  outcome.events = time_.happened();
  outcome.commands = haproxy_.commands();
  outcome.lasted = time_.now() - kBegin;
  return outcome;
}

void Simulation::tell_reports(std::size_t member, const controller::MemberReport& report) {
  if (!telling_) return;
  std::string line;
  if (const auto* a = report.answer()) {
    line = fmt::format("HTTP {}, {}, {}, timeline {}, system {}, scope {}{}{}{}", a->code, word(a->role), word(a->state),
                       a->timeline.value_or(0), a->system_identifier.back(), a->scope, a->pause ? ", paused" : "",
                       a->cluster_unlocked ? ", unlocked" : "", a->replication_state ? ", streaming" : "");
  } else {
    line = word(report.no_answer()->failure);
  }
  if (told_answers_[member] == line) return;
  told_answers_[member] = line;
  tell_(fmt::format("pg{}: {} ({} ms)", member + 1, line,
                    std::chrono::duration_cast<Millis>(report.answered_at - report.asked_at).count()));
}

void Simulation::tell_verdicts() {
  if (!telling_ || process_->loop.published().clusters.empty()) return;
  const auto& topology = process_->loop.published().clusters[0].topology;
  std::string line = fmt::format("judged: {}", word(topology.writer_state));
  for (const auto& member : topology.members)
    line += fmt::format(", {} {} ({})", member.name, word(member.write.place), word(member.write.reason));
  for (const auto& alarm : topology.alarms) line += "; ALARM " + alarm;
  if (told_verdicts_ == line) return;
  told_verdicts_ = line;
  tell_(line);
}

}  // namespace

Outcome simulate(const Script& script, const std::function<void(const std::string&)>& story) {
  return Simulation(script, story).run();
}

}  // namespace simulator
