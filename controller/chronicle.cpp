#include "controller/chronicle.h"

#include <utility>

#include "haproxy/hold.h"

namespace controller {
namespace {

/// The commands without what changes from one repetition to the next.
std::vector<std::string> kinds(haproxy::Plan plan) {
  for (haproxy::Limit& limit : plan.limits) limit.maxconn = 0;
  for (auto* leases : {&plan.holds, &plan.releases}) {
    for (haproxy::Lease& lease : *leases) {
      if (lease.length.count() > 0) lease.length = haproxy::kHoldLease;
    }
  }
  return commands(plan);
}

bool is_same(const haproxy::Worker& a, const haproxy::Worker& b) {
  return a.pid == b.pid && a.start_time_sec == b.start_time_sec;
}

}  // namespace

Chronicle::Chronicle(JournalEdge edge, std::string version) : edge_(std::move(edge)), version_(std::move(version)) {
  if (edge_.last.empty()) return;
  const auto entry = parse_entry(edge_.last, "the last line");
  const auto* before = entry ? std::get_if<DecisionEntry>(&*entry) : nullptr;
  if (before == nullptr) return;
  last_ = before->conclusion;
  worker_ = before->evidence.running.worker;
  blind_ = !before->blind.empty();
  last_at_ = before->evidence.now;
  for (std::string& command : kinds(before->conclusion.plan)) told_.insert(std::move(command));
}

bool Chronicle::is_news(const Conclusion& conclusion, const haproxy::Worker& worker, bool blind, Instant now) {
  const bool other = !last_ || !is_same(worker_, worker) || blind_ != blind || !other_verdicts(*last_, conclusion).empty();
  if (other) told_.clear();
  bool news = other;
  for (std::string& command : kinds(conclusion.plan)) news = told_.insert(std::move(command)).second || news;
  const Duration since = now < last_at_ ? kRefreshAfter : now - last_at_;  // the machine was started anew
  return news || since >= kRefreshAfter || (since >= kRepeatAfter && !conclusion.plan.nothing_to_send());
}

void Chronicle::decided(const Config& config, const Snapshot& seen, const haproxy::Running& running, const Memories& memories,
                        const Decided& decided, const std::string& blind) {
  if (!edge_.write) return;
  Conclusion conclusion = conclude(decided);
  const bool sends = !conclusion.plan.nothing_to_send();
  noted_ = is_news(conclusion, running.worker, !blind.empty(), decided.at);
  if (!noted_) {
    again_ += sends ? 1 : 0;
    return;
  }
  last_ = conclusion;
  worker_ = running.worker;
  blind_ = !blind.empty();
  last_at_ = decided.at;
  const bool urgent = !config.haproxy.observe && (sends || decided.fragment);
  edge_.write(render_entry(DecisionEntry{edge_.unix_ms(),
                                         edge_.pid,
                                         version_,
                                         config.haproxy.observe,
                                         blind,
                                         std::exchange(again_, 0),
                                         {config, seen, running, memories, decided.at},
                                         std::move(conclusion)}),
              urgent);
}

void Chronicle::carried_out(OutcomeEntry outcome, const haproxy::Running& then) {
  if (!edge_.write) return;
  const bool done = !outcome.sent.empty() || outcome.sessions_ended > 0 || outcome.wrote_fragment || !outcome.reloaded.empty();
  const bool new_trouble = outcome.troubles != troubles_ && !outcome.troubles.empty();
  troubles_ = outcome.troubles;
  if (!new_trouble && !(noted_ && done)) return;
  outcome.unix_ms = edge_.unix_ms();
  outcome.pid = edge_.pid;
  for (const haproxy::BackendState& backend : then.backends) outcome.usable[backend.name] = haproxy::usable_servers(backend);
  edge_.write(render_entry(outcome), false);
}

}  // namespace controller
