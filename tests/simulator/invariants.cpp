#include "tests/simulator/invariants.h"

#include <algorithm>

#include <fmt/format.h>

namespace simulator {

using controller::Answer;
using controller::Role;
using controller::State;
using haproxy::Command;
using std::chrono::seconds;

namespace {

constexpr Millis kTimeout{1500};
constexpr Millis kCalmPace{1000};
constexpr Millis kPutRight{100};
constexpr Millis kSlack{10};  ///< some exchanges of 0.1 ms
constexpr Millis kFenced{200};
constexpr Millis kOldestPlan{400};
constexpr seconds kKeepSilent{30};
constexpr Millis kHold{1000};

const Answer* answer_of(const std::shared_ptr<const controller::MemberReport>& report) {
  return report ? report->answer() : nullptr;
}

/// It has the lock, and one of its queries failed: if it falls silent then, it is kept like any other.
bool has_failed_query(const Answer& a) {
  return a.code == 200 && a.role == Role::primary && a.scope == "main" && a.state == State::unknown;
}

/// A denial that may be a moment's trouble.
bool wavers(const Answer& a) {
  return a.role == Role::primary && a.scope == "main" &&
         (a.state == State::unknown || a.state == State::running || a.state == State::starting || a.state == State::restarting);
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string server_of(std::size_t member) {
  return fmt::format("pg{}", member + 1);
}

}  // namespace

void Invariants::started(const controller::Remembered& remembered) {
  alive_ = true;
  started_at_ = able_since_ = time_.now();
  heard_.assign(cluster_.size(), {});
  for (Heard& heard : heard_) heard.silent_since = time_.now();
  holder_.reset();
  holder_set_ = false;
  system_ = remembered.clusters.empty() ? "" : remembered.clusters.front().system_identifier;
  last_ = {};
  waiting_since_.reset();
  dead_since_.reset();
  waited_ = false;
  addresses_known_ = !remembered.clusters.empty() && !remembered.clusters.front().members.empty();
  for (const auto& cluster : remembered.clusters)
    for (const auto& member : cluster.members) addresses_known_ = addresses_known_ && !member.host.empty();
  shaken();
}

void Invariants::stopped() {
  alive_ = false;
  shaken();
}

void Invariants::shaken() {
  calm_since_ = time_.now();
  all_heard_ = counting_ = satisfied_ = false;
  rounds_since_heard_ = 0;
}

void Invariants::knows_addresses() {
  if (!addresses_known_) able_since_ = std::max(able_since_, time_.now());
  addresses_known_ = true;
}

void Invariants::disturbed() {
  able_since_ = std::max(able_since_, time_.now());
  shaken();
}

void Invariants::sleeps(Instant until) {
  able_since_ = std::max(able_since_, until);
  shaken();
}

void Invariants::told(std::size_t member, const controller::MemberReport& report) {
  Heard& heard = heard_[member];
  if (report.answer() == nullptr) {
    if (!heard.silent_since) heard.silent_since = report.asked_at;
    return;
  }
  heard.silent_since.reset();
  heard.answer = std::make_shared<const controller::MemberReport>(report);
  const bool foreign = !system_.empty() && report.answer()->system_identifier != system_;
  if (is_claim(*report.answer())) {
    if (!heard.claiming_since) heard.claiming_since = report.answered_at;
    heard.wavering_since.reset();
    heard.denies = foreign;
    if (report.answer()->state == State::running) heard.port.reset();
    return;
  }
  heard.claiming_since.reset();
  if (!foreign && wavers(*report.answer())) {
    if (!heard.wavering_since) heard.wavering_since = report.asked_at;
    heard.denies = heard.denies || report.asked_at - *heard.wavering_since >= kHold;
  } else {
    heard.denies = true;
  }
}

void Invariants::told(std::size_t member, const controller::PortReport& report) {
  Heard& heard = heard_[member];
  const bool outdated = heard.answer && heard.answer->answered_at > report.asked_at;
  if (!outdated) heard.port = report;
}

void Invariants::round_begins() {
  round_at_ = decided_at_ = time_.now();
  commanding_ = false;
  known_ = heard_;
  adopt_system();
  if (holder_set_) return;
  for (Heard& heard : known_) {
    if (!heard.answer) heard.silent_since = round_at_;
  }
  for (Heard& heard : heard_) {
    if (!heard.answer) heard.silent_since = round_at_;
  }
  const auto in = haproxy::usable_servers(haproxy_->running().backends[0]);
  holder_ = in.size() == 1 ? std::optional(member_of(in.front())) : std::nullopt;
}

void Invariants::round_ended(const controller::Loop& loop) {
  if (loop.published().clusters.empty()) return;
  last_ = loop.published().clusters[0].topology;
  if (loop.published().haproxy_error.empty()) holder_set_ = true;
  // Before HAProxy has been seen, nothing that is judged is remembered.
  if (holder_set_ && last_.writer && last_.members[*last_.writer].write.reason == controller::Reason::claims_writer) {
    holder_ = last_.writer;
    if (const Answer* a = answer_of(known_[*holder_].answer)) system_ = a->system_identifier;
  }
  if (all_heard_) ++rounds_since_heard_;
  look_at_hold(loop.published().clusters[0]);
  look();
}

void Invariants::worker_began() {
  worker_answered_at_ = Instant::max();
  shaken();
}

void Invariants::worker_answered() {
  worker_answered_at_ = time_.now();
}

void Invariants::looked() {
  if (!commanding_) decided_at_ = time_.now();
}

/// As controller/judge.h documents it.
bool Invariants::fresh(std::size_t i) const {
  const Heard& heard = known_[i];
  if (answer_of(heard.answer) == nullptr) return false;
  const Duration age = round_at_ - heard.answer->asked_at;
  if (heard.silent_since) return age < kTimeout;
  const Duration gap = std::max<Duration>(kCalmPace, 4 * (heard.answer->answered_at - heard.answer->asked_at));
  return age < gap * 11 / 10 + kTimeout;
}

bool Invariants::is_claim(const Answer& a) const {
  if (a.code != 200 || a.role != Role::primary || a.scope != "main") return false;
  return a.state == State::running || (a.state == State::starting && a.location);
}

bool Invariants::claims(std::size_t i) const {
  if (!fresh(i)) return false;
  const Answer& a = *answer_of(known_[i].answer);
  if (!is_claim(a)) return false;
  if (system_.empty() || a.system_identifier.empty() || a.system_identifier == system_) return true;
  return false;
}

/// A new system identifier counts once nobody reports the old one, and one that claims reports the new.
void Invariants::adopt_system() {
  if (system_.empty()) return;
  std::string claimed;
  for (std::size_t i = 0; i < known_.size(); ++i) {
    const Answer* a = answer_of(known_[i].answer);
    if (a == nullptr || a->scope != "main") continue;
    const bool recent = fresh(i) || round_at_ - known_[i].answer->asked_at < seconds(cluster_.setup().ttl) - kTimeout;
    if (recent && a->system_identifier == system_) return;
    if (fresh(i) && is_claim(*a)) claimed = a->system_identifier;
  }
  if (!claimed.empty()) system_ = claimed;
}

/// By one that beats every other claim.
bool Invariants::overtaken(std::size_t i) const {
  const auto beats = [&](std::size_t winner, std::size_t other) {
    const auto& w = *known_[winner].answer;
    const auto& o = *known_[other].answer;
    return w.asked_at > o.answered_at && o.asked_at < *known_[winner].claiming_since;
  };
  for (std::size_t winner = 0; winner < known_.size(); ++winner) {
    if (winner == i || !claims(winner)) continue;
    bool all = true;
    for (std::size_t other = 0; other < known_.size(); ++other)
      all = all && (other == winner || !claims(other) || beats(winner, other));
    if (all) return true;
  }
  return false;
}

bool Invariants::kept(std::size_t i) const {
  if (holder_ != i || fresh(i)) return false;
  const Heard& heard = known_[i];
  const Answer* last = answer_of(heard.answer);
  if (last != nullptr && !is_claim(*last) && !has_failed_query(*last)) return false;
  const Instant since = heard.silent_since.value_or(round_at_);
  if (round_at_ - since < kKeepSilent + kTimeout) return true;
  for (std::size_t other = 0; other < known_.size(); ++other) {
    const Answer* o = answer_of(known_[other].answer);
    if (other != i && fresh(other) && known_[other].answer->asked_at > since && (!o->cluster_unlocked || o->pause)) return true;
  }
  return false;
}

bool Invariants::denied(std::size_t i) const {
  const Answer* last = answer_of(known_[i].answer);
  if (last != nullptr && !system_.empty() && last->system_identifier != system_) return true;
  if (last != nullptr && (holder_ == i ? known_[i].denies : !is_claim(*last))) return true;
  if (holder_ && holder_ != i) return true;
  for (std::size_t other = 0; other < known_.size(); ++other) {
    if (other != i && fresh(other) && answer_of(known_[other].answer)->code == 200) return true;
  }
  return false;
}

void Invariants::check_in(std::size_t member, const std::string& server) {
  if (time_.now() - decided_at_ > kOldestPlan + kSlack)
    violate(2, fmt::format("{} is brought in by a plan that is {} ms old", server,
                           std::chrono::duration_cast<Millis>(time_.now() - decided_at_).count()));
  if (claims(member)) {
    if (overtaken(member)) violate(2, server + " is brought in though another's later claim has overtaken its own");
    return;
  }
  if (!kept(member)) violate(2, server + " is brought in without a fresh claim of its own");
}

void Invariants::check_out(const haproxy::BackendState& backend, std::size_t member, const std::string& server,
                           const std::string& how) {
  const bool write = backend.name == "pg_primary";
  if (write ? denied(member) : fresh(member)) return;
  violate(3, fmt::format("{} of {} on silence alone: {}", server, backend.name, how));
}

void Invariants::commanded(const haproxy::BackendState& before, const haproxy::BackendState& after, const std::string& server,
                           Command command) {
  commanding_ = true;
  const bool write = before.name == "pg_primary";
  const bool was = before.find(server)->usable();
  const bool is = after.find(server)->usable();
  const std::size_t member = member_of(server);
  const auto others = haproxy::usable_servers(before);
  const bool in = command == Command::health_up || command == Command::state_ready;
  const bool undisturbed = time_.now() - able_since_ > seconds(1) || able_since_ == started_at_;
  const bool refused = able_since_ == time_.now() && able_since_ != started_at_;  // a command before it in the same line
  if (write && is && in) {
    if (!refused) check_in(member, server);
    if (!was && others.size() > 0 && undisturbed && !left_alone(others.front()))
      violate(4, fmt::format("{} is brought in while {} is usable", server, others.front()));
  }
  if (was && !in && undisturbed) check_out(before, member, server, word(command));
  if (!write && was && !is && others.size() == 1 && cluster_.setup().fallback && undisturbed && !forgotten_) {
    for (std::size_t i = 0; i < known_.size(); ++i) {
      const haproxy::Server& fallback = *after.find(server_of(i));
      if (i == member &&
          std::count_if(heard_.begin(), heard_.end(), [](const Heard& h) { return h.claiming_since.has_value(); }) > 1)
        continue;  // another has come
      const bool can_serve = fallback.check.port == 8008 || fallback.usable() || fallback.in_maint();
      if (claims(i) && !overtaken(i) && last_.writer == i && can_serve)
        violate(5, server + ", the last that serves reads, is taken out before the fallback is in");
    }
  }
  look_at_writers();
}

void Invariants::session_ended(const std::string& backend, const std::string& server) {
  commanding_ = true;
  const auto* state = haproxy_->running().find(backend);
  if (state != nullptr && (backend == "pg_primary")) check_out(*state, member_of(server), server, "its session is ended");
}

void Invariants::checked() {
  look_at_writers();
}

bool Invariants::left_alone(const std::string& server) const {
  if (last_.members.empty()) return true;
  return last_.members[member_of(server)].write.place == controller::Place::leave;
}

void Invariants::look_at_writers() {
  const auto in = haproxy::usable_servers(haproxy_->running().backends[0]);
  const bool excused = in.size() < 2 || std::any_of(in.begin(), in.end(), [&](const auto& name) { return left_alone(name); });
  if (excused) {
    two_since_.reset();
    return;
  }
  if (!two_since_) two_since_ = time_.now();
  if (!alive_ || !addresses_known_ || worker_answered_at_ == Instant::max()) return;
  const Instant since = std::max({*two_since_, able_since_, worker_answered_at_});
  if (time_.now() - since > kPutRight + kSlack && haproxy_->is_well())
    violate(1, fmt::format("{} servers are usable in the write backend", in.size()));
}

void Invariants::look_at_sessions() {
  sessions_since_.resize(cluster_.size());
  old_sessions_since_.resize(cluster_.size());
  const auto in = haproxy::usable_servers(haproxy_->running().backends[0]);
  const bool able = alive_ && addresses_known_ && haproxy_->is_well() &&
                    last_.writer_state == controller::WriterState::settled && last_.writer && has(in, server_of(*last_.writer));
  for (std::size_t i = 0; i < cluster_.size(); ++i) {
    const auto measure = [&](unsigned sessions, std::optional<Instant>& since, Duration most, const char* where) {
      if (!able || last_.writer == i || sessions == 0 || left_alone(server_of(i))) return since.reset();
      if (!since) since = time_.now();
      const Instant from =
          std::max({*since, able_since_, worker_answered_at_ == Instant::max() ? time_.now() : worker_answered_at_});
      if (time_.now() - from > most + kSlack)
        violate(7, fmt::format("{} keeps {} sessions{} while {} is the writer", server_of(i), sessions, where,
                               server_of(*last_.writer)));
    };
    measure(haproxy_->established("pg_primary", server_of(i)), sessions_since_[i], kFenced, "");
    if (cluster_.setup().master)
      measure(haproxy_->established_on_old("pg_primary", server_of(i)), old_sessions_since_[i], kFenced, " on an old worker");
  }
}

void Invariants::look() {
  look_at_writers();
  look_at_sessions();
  look_at_calm();
}

void Invariants::look_at_calm() {
  const auto leader = cluster_.all_well();
  if (!leader || leader != calm_leader_ || !alive_ || !haproxy_->is_well()) shaken();
  calm_leader_ = leader;
  const Duration calm = time_.now() - calm_since_;
  if (calm == Duration::zero()) return;
  all_heard_ = all_heard_ || std::all_of(heard_.begin(), heard_.end(), [&](const Heard& heard) {
                 return !heard.silent_since && answer_of(heard.answer) != nullptr && heard.answer->asked_at > calm_since_;
               });
  if (!all_heard_ && calm > seconds(12)) violate(6, "a well member has not been asked for 12 s");
  check_calm(*leader, calm);
}

void Invariants::check_calm(std::size_t leader, Duration calm) {
  const auto& backends = haproxy_->running().backends;
  const auto stuck = [&](const haproxy::Server& server) { return forgotten_ && (server.in_maint() || server.in_drain()); };
  // A server that is steered by its admin state comes back when HAProxy itself has found PostgreSQL again.
  const Setup& setup = cluster_.setup();
  const bool found = !setup.naive || calm > Millis(setup.inter_ms) * (setup.rise + 1);
  if (rounds_since_heard_ > 2 && found && !stuck(backends[0].servers[leader])) {
    const auto in = haproxy::usable_servers(backends[0]);
    if (in.size() != 1 || in.front() != server_of(leader))
      violate(6, fmt::format("all is well, {} is the primary, and {} is in", server_of(leader),
                             in.empty() ? "nobody" : fmt::format("{}", fmt::join(in, " "))));
  }
  if (calm < seconds(26)) return;
  for (const auto& server : backends[1].servers) {
    const bool reads = member_of(server.name) != leader;
    if (server.usable() != reads && !stuck(server))
      violate(6, fmt::format("all is well, and {} {} reads", server.name, reads ? "does not serve" : "serves"));
  }
  if (!counting_) commands_when_calm_ = haproxy_->commands();
  counting_ = true;
  if (haproxy_->commands() != commands_when_calm_) violate(6, "all is well, and a command is sent");
  satisfied_ = calm > seconds(29);
}

}  // namespace simulator
