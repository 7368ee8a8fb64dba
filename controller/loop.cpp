#include "controller/loop.h"

#include <algorithm>
#include <iterator>

#include <spdlog/spdlog.h>

#include "controller/publish.h"

namespace controller {

using std::chrono::seconds;

/// A one-shot from cron looks once a minute or so.
constexpr seconds kRememberedWrongPass = std::chrono::hours(1);

/// What came of a round's decisions.
struct Loop::Carried {
  haproxy::Running running;            ///< as re-read
  haproxy::Worker worker;              ///< the one that was steered, or that a reload of ours brought
  std::set<haproxy::ServerName> ours;  ///< whose maint or drain is ours now
  bool confirmed = true;
  bool changed = false;
  std::vector<std::string> troubles;
  OutcomeEntry done;  ///< as the journal has it
};

Loop::Loop(const Config& config, std::string version, Edges edges, Remembered remembered)
    : config_(config),
      edges_(std::move(edges)),
      state_path_(state_path(config.state, steering_socket(config))),
      fragment_file_(config.haproxy, std::filesystem::path(state_path_).replace_extension(".last-good"), edges_.files,
                     edges_.reload),
      chronicle_(edges_.journal, version),
      remembered_(remembered),
      saved_(std::move(remembered)) {
  published_.version = std::move(version);
  published_.method = word(config.haproxy.method);
  published_.observe = config.haproxy.observe;
  published_.counters.round_seconds_buckets.assign(std::size(kRoundBuckets) + 1, 0);
}

namespace {

/// When the next announced switchover begins.
Instant next_due(const Snapshot& seen, Instant now) {
  Instant next = Instant::max();
  for (const ClusterSnapshot& cluster : seen.clusters) {
    if (cluster.switchover && cluster.switchover->due > now) next = std::min(next, cluster.switchover->due);
  }
  return next;
}

}  // namespace

Outcome Loop::round(const Snapshot& seen) {
  const Instant begun = edges_.world.now();
  const auto running = haproxy::look(edges_.world.talk);
  if (!running || running->worker.stopping) {
    const haproxy::Error old{"read", "HAProxy", "an old worker answered: it is being reloaded", ""};
    publish_without_haproxy(seen, running ? old : running.error(), begun);
    Outcome outcome;
    outcome.failed = true;
    return outcome;
  }
  if (!begun_) begin_with(*running, seen);
  notice_restart(running->worker);

  // What is known is judged as of now: a look that took long must not make every plan a stale one.
  const Decided decided = decide(config_, seen, *running, memories_, edges_.world.now());
  log_changes(decided);
  log_ramps(decided.memories.ramps);
  chronicle_.decided(config_, seen, *running, memories_, decided);
  Carried carried{*running, running->worker, decided.memories.ours, true, false, {}, {}};
  if (!config_.haproxy.observe) carry_out(decided, *running, seen, carried);
  chronicle(decided, carried);
  log_troubles(carried.troubles);

  memories_ = decided.memories;
  memories_.worker = carried.worker;
  memories_.ours = std::move(carried.ours);
  save(seen);
  publish(seen, decided, carried, begun);

  Outcome outcome;
  outcome.failed = !carried.confirmed;
  outcome.changed = carried.changed;
  outcome.doubted = decided.doubted;
  outcome.suspects = decided.suspects;
  bool settled = true;
  for (const Judgement& judgement : decided.judgements) {
    settled = settled && judgement.topology.claims == 1;
    outcome.writer_known = outcome.writer_known && judgement.topology.writer.has_value();
    outcome.holding = outcome.holding || judgement.topology.writer_state == WriterState::holding;
  }
  for (const HoldVerdict& hold : decided.holds) settled = settled && !hold.uncertain;
  outcome.ramping = any_ramp_runs(decided.memories.ramps, carried.running);
  // A hold is a lease that has to be renewed, a ramp goes on by itself.
  const bool quiet = settled && decided.memories.held.empty() && decided.plan.nothing_to_send() && !outcome.failed &&
                     !outcome.changed && !outcome.holding && !outcome.ramping;
  last_ = {begun, seen.version, std::move(carried.running), {}, outcome, next_due(seen, decided.at), quiet};
  return outcome;
}

std::optional<Outcome> Loop::short_round(std::uint64_t version) {
  const Instant begun = edges_.world.now();
  if (!last_.quiet || version != last_.version || begun - last_.at >= kThinkEvery || begun >= last_.due) return std::nullopt;
  const auto same = haproxy::is_unchanged(edges_.world.talk, last_.running, last_.same_reply);
  if (!same || !*same) return std::nullopt;
  count_round(published_.counters, edges_.world.now() - begun);
  return last_.outcome;
}

haproxy::Result<Loop::Preview> Loop::preview(const Snapshot& seen) {
  auto running = haproxy::look(edges_.world.talk);
  if (!running) return tl::unexpected(std::move(running).error());
  if (!begun_) begin_with(*running, seen);
  Preview preview{std::move(*running), {}, {}};
  preview.decided = decide(config_, seen, preview.running, memories_, edges_.world.now());
  if (preview.decided.fragment) {
    auto step = fragment_file_.plan(*preview.decided.fragment, preview.running);
    if (!step) return tl::unexpected(std::move(step).error());
    preview.fragment = std::move(*step);
  }
  memories_ = preview.decided.memories;
  publish(seen, preview.decided, Carried{preview.running, {}, {}, true, false, {}, {}}, edges_.world.now());
  return preview;
}

/// The first round: what an earlier run remembers, else the one server that HAProxy has in is the last writer, silent since
/// now.
void Loop::begin_with(const haproxy::Running& running, const Snapshot& seen) {
  begun_ = true;
  const Instant now = edges_.world.now();
  memories_.worker = remembered_.worker;
  memories_.ours = remembered_.ours;
  for (std::size_t c = 0; c < config_.clusters.size(); ++c) {
    const auto carried = carried_over_.find(config_.clusters[c].scope);
    memories_.clusters.push_back(
        carried != carried_over_.end()
            ? carried->second
            : first_memory(config_.clusters[c], seen.clusters[c], remembered_, running, edges_.unix_seconds(), now));
  }
  memories_.holding.resize(config_.clusters.size());
  for (std::size_t c = 0; c < config_.clusters.size(); ++c) {
    const auto carried = carried_holds_.find(config_.clusters[c].scope);
    if (carried != carried_holds_.end()) memories_.holding[c] = carried->second;
  }
  for (const auto& [name, before] : remembered_.ramps) {
    const haproxy::Server* server = running.find(name.first, name.second);
    if (server == nullptr || memories_.ramps.contains(name)) continue;
    if (auto ramp = resume_ramp(before.original, {before.start, before.over}, *server, now)) memories_.ramps[name] = *ramp;
  }
  for (const auto& name : remembered_.by_admin) memories_.checks[name].steering = haproxy::Steering::admin;
  for (const auto& [name, since] : remembered_.passes_wrongly_since) {
    const auto ago = std::clamp<std::int64_t>(edges_.unix_seconds() - since, 0, kRememberedWrongPass.count());
    memories_.checks[name].passes_wrongly_since = now - seconds(ago);
  }
  if (memories_.worker.pid == 0) memories_.worker = running.worker;
}

void Loop::carry_over(const Loop& before) {
  for (std::size_t c = 0; c < before.memories_.clusters.size(); ++c)
    carried_over_[before.config_.clusters[c].scope] = before.memories_.clusters[c];
  for (std::size_t c = 0; c < before.memories_.holding.size(); ++c)
    carried_holds_[before.config_.clusters[c].scope] = before.memories_.holding[c];
  memories_.checks = before.memories_.checks;
  remembered_.ours = before.memories_.ours;
  memories_.held = before.memories_.held;
  remembered_.worker = before.memories_.worker;
  memories_.ramps = before.memories_.ramps;
  remembered_.ramps.clear();
  published_.counters = before.published_.counters;
}

void Loop::notice_restart(const haproxy::Worker& worker) {
  if (worker.pid == memories_.worker.pid && worker.start_time_sec == memories_.worker.start_time_sec) return;
  spdlog::info("HAProxy worker {} has taken over from {}: its runtime state is put right", worker.pid, memories_.worker.pid);
  ++published_.counters.foreign_restarts;
  old_workers_possible_ = true;
  old_workers_looked_ = {};
}

void Loop::carry_out(const Decided& decided, const haproxy::Running& running, const Snapshot& seen, Carried& carried) {
  if (!decided.plan.nothing_to_send()) steer(decided, running, seen, carried);
  if (decided.fragment) keep_fragment(decided, carried);
  fence_old_workers(decided, carried);
}

void Loop::steer(const Decided& decided, const haproxy::Running& running, const Snapshot& seen, Carried& carried) {
  // Whose maint it is, and what a maxconn was, must be known even if this process dies between two commands.
  memories_.ours = decided.memories.ours;
  memories_.ours.insert(decided.plan.ours.begin(), decided.plan.ours.end());
  memories_.ramps = decided.memories.ramps;
  save(seen);
  auto steered = haproxy::apply(decided.plan, running, edges_.world, decided.at + kStalePlan);
  carried.ours.clear();
  if (!steered.seen) carried.ours = memories_.ours;  // what came of it is not known: none of them may become anybody else's
  for (const auto& name : memories_.ours) {
    if (!steered.seen) break;
    const haproxy::Server* server = steered.running.find(name.first, name.second);
    if (server != nullptr && (server->in_maint() || server->in_drain())) carried.ours.insert(name);
  }
  for (const auto& [command, times] : steered.sent) published_.counters.commands_sent[command] += times;
  for (const auto& [command, times] : steered.refused) published_.counters.commands_refused[command] += times;
  published_.counters.sessions_ended += steered.sessions_ended;
  carried.done.sent = steered.sent;
  carried.done.refused = steered.refused;
  carried.done.sessions_ended = steered.sessions_ended;
  carried.changed = carried.changed || !steered.sent.empty();
  carried.confirmed = carried.confirmed && steered.confirmed;
  carried.running = std::move(steered.running);
  std::move(steered.troubles.begin(), steered.troubles.end(), std::back_inserter(carried.troubles));
}

void Loop::keep_fragment(const Decided& decided, Carried& carried) {
  const Instant now = edges_.world.now();
  const bool file_mode = config_.haproxy.method == Method::file;
  const bool same = fragment_ == decided.fragment && (!file_mode || has_loaded(carried.running, *decided.fragment));
  if (same && now - fragment_looked_ < seconds(1)) return;  // somebody may have edited it: looked at once a second
  fragment_looked_ = now;
  const auto step = fragment_file_.plan(*decided.fragment, carried.running);
  if (!step) {
    carried.troubles.push_back(step.error().text());
    carried.confirmed = false;
    return;
  }
  fragment_ = decided.fragment;
  const FragmentDone done = fragment_file_.carry_out(*step, now);
  published_.counters.fragment_writes += done.wrote ? 1 : 0;
  published_.counters.reloads_failed += done.failed ? 1 : 0;
  if (done.reloaded) ++published_.counters.reloads[step->why];
  if (done.reverted) ++published_.counters.reloads["reverted"];
  carried.done.wrote_fragment = done.wrote;
  carried.done.reloaded = done.reverted ? "reverted" : done.reloaded ? step->why : "";
  carried.changed = carried.changed || done.wrote || done.reloaded;
  carried.confirmed = carried.confirmed && done.troubles.empty();
  std::copy(done.troubles.begin(), done.troubles.end(), std::back_inserter(carried.troubles));
  if (!done.reloaded && !done.reverted) return;
  spdlog::info("reloaded HAProxy ({})", step->why);
  if (auto again = haproxy::look(edges_.world.talk)) {
    carried.running = std::move(*again);
    carried.worker = carried.running.worker;
    carried.ours.clear();
    if (done.reloaded) fragment_file_.loaded(*step, carried.worker);
  }
  old_workers_possible_ = true;
  old_workers_looked_ = {};
}

/// A reload by anybody leaves sessions on the worker before it, glued to the server they were on.
void Loop::fence_old_workers(const Decided& decided, Carried& carried) {
  if (config_.haproxy.master_socket.empty() || !old_workers_possible_) return;
  const Instant now = edges_.world.now();
  const auto fences = fences_for_all(decided.desired);
  // Who is out may have changed without a command: HAProxy's own check was there first.
  if (decided.plan.out.empty() && fences == fenced_ && now - old_workers_looked_ < seconds(1)) return;
  old_workers_looked_ = now;
  fenced_ = fences;
  const auto pids = haproxy::old_workers(edges_.world.talk);
  if (!pids) {
    // A master that is reloading executes itself anew, and refuses connections meanwhile.
    if (++master_failures_ > 1) carried.troubles.push_back(pids.error().text());
    return;
  }
  master_failures_ = 0;
  old_workers_possible_ = !pids->empty();
  if (fences.empty()) return;
  for (const int pid : *pids) {
    const auto ended = haproxy::end_sessions(fences, haproxy::To::old_worker(pid), edges_.world.talk);
    if (!ended || *ended == 0) continue;  // it may have gone meanwhile; what is left is looked at again in a second
    spdlog::info("ended {} sessions on servers that are out, on HAProxy's old worker {}", *ended, pid);
    published_.counters.sessions_ended += *ended;
    published_.counters.commands_sent["shutdown session"] += *ended;
    carried.done.sessions_ended += *ended;
  }
}

void Loop::chronicle(const Decided& decided, Carried& carried) {
  carried.done.of = decided.at;
  carried.done.took = std::chrono::duration_cast<std::chrono::microseconds>(edges_.world.now() - decided.at);
  carried.done.confirmed = carried.confirmed;
  carried.done.troubles = carried.troubles;
  chronicle_.carried_out(std::move(carried.done), carried.running);
}

Remembered Loop::remember(const Snapshot& seen) const {
  return to_remember(memories_, seen, saved_, edges_.unix_seconds(), edges_.world.now());
}

void Loop::save(const Snapshot& seen) {
  Remembered now = remember(seen);
  if (now == saved_ || (now == unsaved_ && edges_.world.now() < save_again_at_)) return;
  const auto written = edges_.files.replace(state_path_, render_state(now));
  if (written) {
    saved_ = std::move(now);
    return;
  }
  log_troubles({written.error().text()});
  unsaved_ = std::move(now);
  save_again_at_ = edges_.world.now() + seconds(1);
}

void Loop::log_troubles(const std::vector<std::string>& troubles) {
  constexpr seconds kForgotten{30};
  const Instant now = edges_.world.now();
  for (const std::string& trouble : troubles) {
    const auto [at, is_new] = troubles_.insert_or_assign(trouble, now);
    if (is_new) spdlog::error("{}", trouble);
  }
  std::erase_if(troubles_, [&](const auto& trouble) { return now - trouble.second > kForgotten; });
}

void Loop::log_changes(const Decided& decided) {
  last_decisions_.resize(decided.decisions.size());
  last_alarms_.resize(decided.alarms.size());
  last_holds_.resize(decided.holds.size(), HoldReason::none);
  for (std::size_t c = 0; c < decided.decisions.size(); ++c) {
    for (const Decision& decision : decided.decisions[c]) {
      const auto before = std::find_if(last_decisions_[c].begin(), last_decisions_[c].end(), [&](const Decision& last) {
        return last.backend == decision.backend && last.server == decision.server;
      });
      const bool same = before != last_decisions_[c].end() && before->verdict.place == decision.verdict.place &&
                        before->verdict.reason == decision.verdict.reason;
      if (!same && decision.verdict.reason != Reason::unseen)
        spdlog::info("{}/{}: {}, {} ({})", decision.backend, decision.server, word(decision.verdict.place),
                     word(decision.verdict.reason), decision.verdict.evidence);
    }
    for (const std::string& alarm : decided.alarms[c]) {
      if (std::find(last_alarms_[c].begin(), last_alarms_[c].end(), alarm) == last_alarms_[c].end())
        spdlog::error("ALARM {}: {}", config_.clusters[c].scope, alarm);
    }
    const HoldReason hold = decided.holds[c].reason;
    if (hold != last_holds_[c]) {
      if (hold != HoldReason::none) {
        const Topology& topology = decided.judgements[c].topology;
        const std::string why = topology.writer ? ": " + topology.members[*topology.writer].write.evidence : "";
        spdlog::info("{}: new connections wait ({}){}", config_.clusters[c].scope, word(hold), why);
        ++published_.counters.holds[word(hold)];
      } else {
        spdlog::info("{}: new connections wait no more", config_.clusters[c].scope);
      }
    }
    last_holds_[c] = hold;
    last_alarms_[c] = decided.alarms[c];
    last_decisions_[c] = decided.decisions[c];
  }
}

void Loop::log_ramps(const Ramps& next) const {
  for (const auto& [name, ramp] : next) {
    if (!memories_.ramps.contains(name))
      spdlog::info("{}/{}: takes {} connections at once at first (ramp)", name.first, name.second, ramp.asked);
  }
  for (const auto& [name, ramp] : memories_.ramps) {
    if (!next.contains(name)) spdlog::info("{}/{}: its ramp is over", name.first, name.second);
  }
}

void Loop::publish_watches(const std::vector<WatchState>& states) {
  for (std::size_t c = 0; c < published_.clusters.size() && c < states.size(); ++c) published_.clusters[c].watch = states[c];
}

void Loop::publish_journal(const Journal::State& state) {
  published_.journal_trouble = state.trouble;
  published_.counters.journal_lost = state.lost;
}

void Loop::publish(const Snapshot& seen, const Decided& decided, const Carried& carried, Instant begun) {
  for (std::size_t c = 0; c < decided.judgements.size(); ++c) {
    const auto writer = [&](const Topology& topology) {
      return topology.writer ? topology.members[*topology.writer].url : std::string();
    };
    const std::string before = c < published_.clusters.size() ? writer(published_.clusters[c].topology) : "";
    const std::string after = writer(decided.judgements[c].topology);
    if (!before.empty() && !after.empty() && before != after) ++published_.counters.writer_changes;
  }
  published_.haproxy_error.clear();
  published_.worker = carried.running.worker;
  published_.clusters = publish_clusters(config_, seen, decided, carried.running, carried.confirmed);
  count_round(published_.counters, edges_.world.now() - begun);
  published_.at = edges_.world.now();
  published_.seen = seen.version;
}

void Loop::publish_without_haproxy(const Snapshot& seen, const haproxy::Error& error, Instant begun) {
  log_troubles({error.text()});
  published_.haproxy_error = error.text();
  last_.quiet = false;
  const haproxy::Running nothing{memories_.worker, {}};
  const Decided decided = decide(config_, seen, nothing, memories_, begun);
  chronicle_.decided(config_, seen, nothing, memories_, decided, error.text());
  if (begun_) memories_.clusters = decided.memories.clusters;  // who is the writer is judged all the same
  published_.clusters = publish_clusters(config_, seen, decided, nothing, false);
  count_round(published_.counters, edges_.world.now() - begun);
  published_.at = edges_.world.now();
  published_.seen = seen.version;
}

}  // namespace controller
