#include "controller/judge.h"

#include <algorithm>

#include <fmt/format.h>

#include "controller/claim.h"
#include "controller/readers.h"
#include "controller/witnesses.h"

namespace controller {
namespace {

/// One judgement's working values: what came in, and what is being made of it.
struct Case {
  const ClusterSnapshot& seen;
  const ClusterConfig& policy;
  Instant now;
  Memory memory;
  Topology topology;

  [[nodiscard]] bool fresh(std::size_t member) const { return is_fresh(seen.members[member], policy.poll, now); }
  [[nodiscard]] const Answer* answer(std::size_t member) const {
    return seen.members[member].answer ? seen.members[member].answer->answer() : nullptr;
  }
  [[nodiscard]] bool same_system(const Answer& answer) const { return is_of_system(answer, memory.system_identifier); }
  [[nodiscard]] bool silent_for_long(Instant since) const { return now - since >= keep_silent(policy, seen.timings); }
  void alarm(std::string line) { topology.alarms.push_back(std::move(line)); }
};

std::optional<std::size_t> find_holder(const Case& c) {
  if (c.memory.holder.empty()) return std::nullopt;
  for (std::size_t i = 0; i < c.seen.members.size(); ++i)
    if (c.seen.members[i].url == c.memory.holder) return i;
  return std::nullopt;
}

/// A new system identifier is adopted when no member reports the old one and the lock holder reports the new one.
void adopt_system(Case& c) {
  if (c.memory.system_identifier.empty()) return;
  std::string claimed;
  for (std::size_t i = 0; i < c.seen.members.size(); ++i) {
    const Answer* a = c.answer(i);
    if (a == nullptr || a->scope != c.seen.scope) continue;
    // A member that was of the old one a moment ago is silent, not gone.
    const bool recent = !c.silent_for_long(c.seen.members[i].answer->asked_at);
    if (recent && a->system_identifier == c.memory.system_identifier) return;
    if (!c.fresh(i)) continue;
    if (a->system_identifier == c.memory.system_identifier) return;
    if (!a->system_identifier.empty() && is_claim(*a, c.seen.scope, "", "")) claimed = a->system_identifier;
  }
  if (claimed.empty()) return;
  c.alarm(
      fmt::format("system identifier changed from {} to {}: the cluster was made anew", c.memory.system_identifier, claimed));
  c.memory.system_identifier = claimed;
  c.memory.timeline = 0;
}

/// Members with a fresh claim; keeps the runs of claims up to date. Silence does not break a run, a denial does.
std::vector<std::size_t> find_claims(Case& c, std::optional<std::size_t> holder) {
  std::vector<std::size_t> claims;
  for (std::size_t i = 0; i < c.seen.members.size(); ++i) {
    const Sighting& member = c.seen.members[i];
    const Answer* a = c.answer(i);
    if (a == nullptr) continue;
    const std::string started = holder == i ? c.memory.holder_started : std::string();
    if (!is_claim(*a, c.seen.scope, c.memory.system_identifier, started)) {
      c.memory.claiming.erase(member.url);
      continue;
    }
    c.memory.claiming.try_emplace(member.url, member.answer->answered_at);
    if (c.fresh(i)) claims.push_back(i);
  }
  return claims;
}

/// `winner` was asked after the other's last answer, and the other has not claimed again since `winner` began to.
bool later_claim_wins(const Case& c, std::size_t winner, std::size_t other) {
  const MemberReport& w = *c.seen.members[winner].answer;
  const MemberReport& o = *c.seen.members[other].answer;
  return w.asked_at > o.answered_at && o.asked_at < c.memory.claiming.at(c.seen.members[winner].url);
}

/// The claimant that `/cluster` of members that do not claim names, asked after both claims had begun; nothing unless they
/// agree.
std::optional<std::size_t> named_by_others(const Case& c, const std::vector<std::size_t>& claims) {
  Instant begun{};
  for (std::size_t i : claims) begun = std::max(begun, c.memory.claiming.at(c.seen.members[i].url));
  std::optional<std::size_t> named;
  for (const Hearsay& hearsay : c.seen.hearsay) {
    if (hearsay.asked_at <= begun || hearsay.leader_url.empty()) continue;
    std::optional<std::size_t> leader;
    bool from_claimant = false;
    for (std::size_t i : claims) {
      if (c.seen.members[i].url == hearsay.from) from_claimant = true;
      if (c.seen.members[i].url == hearsay.leader_url) leader = i;
    }
    if (from_claimant) continue;
    if (!leader || (named && named != leader)) return std::nullopt;
    named = leader;
  }
  return named;
}

std::optional<std::size_t> highest_timeline(const Case& c, const std::vector<std::size_t>& claims) {
  std::optional<std::size_t> best;
  bool tie = false;
  for (std::size_t i : claims) {
    const auto timeline = c.answer(i)->timeline;
    if (!timeline) return std::nullopt;
    if (!best || *timeline > *c.answer(*best)->timeline) {
      best = i;
      tie = false;
    } else if (*timeline == *c.answer(*best)->timeline) {
      tie = true;
    }
  }
  return tie ? std::nullopt : best;
}

std::optional<std::size_t> settle(const Case& c, const std::vector<std::size_t>& claims) {
  if (claims.size() == 1) return claims.front();
  for (std::size_t candidate : claims) {
    const bool beats_all = std::all_of(claims.begin(), claims.end(), [&](std::size_t other) {
      return other == candidate || later_claim_wins(c, candidate, other);
    });
    if (beats_all) return candidate;
  }
  if (auto named = named_by_others(c, claims)) return named;
  return highest_timeline(c, claims);
}

void accept(Case& c, std::size_t writer) {
  const Sighting& member = c.seen.members[writer];
  const Answer& a = *c.answer(writer);
  Memory& m = c.memory;
  const bool changed = m.holder != member.url;
  const bool restarted =
      !changed && !m.holder_started.empty() && !a.postmaster_start_time.empty() && m.holder_started != a.postmaster_start_time;
  if ((changed && !m.holder.empty()) || restarted) m.settled_at = c.now;
  if (a.timeline && m.timeline != 0 && *a.timeline < m.timeline)
    c.alarm(fmt::format("timeline went back from {} to {}: writes may have been lost", m.timeline, *a.timeline));
  m.holder = member.url;
  if (m.system_identifier.empty()) m.system_identifier = a.system_identifier;
  if (a.timeline) m.timeline = *a.timeline;
  // While it is `starting` again, the start to compare with stays the one before.
  if (a.state == State::running && !a.postmaster_start_time.empty()) m.holder_started = a.postmaster_start_time;
  m.silent_since.reset();
  m.holding_since.reset();
  m.fenced = false;
}

/// What a member that answers freshly, and does not claim, says against itself.
Reason denial(const Case& c, const Answer& a) {
  if (a.scope != c.seen.scope) return Reason::wrong_scope;
  if (!c.same_system(a)) return Reason::wrong_system;
  if (a.code == 200 && a.role == Role::replica) return Reason::promoting;
  if (a.state == State::stopping || a.state == State::stopped || a.state == State::crashed) return Reason::not_running;
  if (a.role != Role::primary) return Reason::not_primary;
  return a.state == State::running ? Reason::lock_lost : Reason::not_running;
}

/// A denial that may be a moment's trouble: one failed query makes the state `unknown`, and a Patroni that was restarted under
/// `pause` answers 503 with role primary and state running.
bool is_soft(const Answer& a) {
  if (a.role != Role::primary) return false;
  return a.state == State::unknown || a.state == State::running || a.state == State::starting || a.state == State::restarting;
}

void fence(Case& c, MemberVerdict& verdict, Reason reason) {
  c.memory.fenced = true;
  c.memory.fenced_for = reason;
  c.memory.holding_since.reset();
  c.topology.writer_state = WriterState::none;
  verdict.write.place = Place::out;
  verdict.write.reason = reason;
}

/// New connections wait, sessions live; HAProxy's own check goes on.
void wait_for(Case& c, std::size_t holder, MemberVerdict& verdict) {
  c.topology.writer = holder;
  c.topology.writer_state = WriterState::holding;
  verdict.write.place = Place::leave;
  verdict.write.reason = Reason::holding;
}

/// Its last word was that it is not writable, or has no lock; not that one of its queries failed.
bool spoke_against_itself(const Case& c, std::size_t holder) {
  const Answer* a = c.answer(holder);
  if (a == nullptr || is_claim(*a, c.seen.scope, c.memory.system_identifier, c.memory.holder_started)) return false;
  return a->code != 200 || a->state != State::unknown;
}

void judge_silent_holder(Case& c, std::size_t holder, MemberVerdict& verdict) {
  const Sighting& member = c.seen.members[holder];
  if (!c.memory.silent_since) c.memory.silent_since = member.silence ? member.silence->since : c.now;
  const Instant since = *c.memory.silent_since;
  const auto let_go = [&] {
    c.topology.writer_state = WriterState::let_go;
    verdict.write.place = Place::leave;
    verdict.write.reason = Reason::let_go;
  };
  const auto keep = [&](Reason reason) {
    if (reason != Reason::kept_paused && spoke_against_itself(c, holder)) {
      return c.silent_for_long(since) ? let_go() : wait_for(c, holder, verdict);
    }
    c.topology.writer = holder;
    c.topology.writer_state = WriterState::settled;
    verdict.write.place = Place::in;
    verdict.write.reason = reason;
    if (c.silent_for_long(since)) c.alarm(fmt::format("writer {} is silent and kept: {}", verdict.name, word(reason)));
  };
  switch (ask_witnesses(c.seen, c.policy, {holder, c.memory.system_identifier, c.memory.timeline, since}, c.now)) {
    case Lock::elsewhere:
      return fence(c, verdict, Reason::lock_lost);
    case Lock::held:
      return keep(Reason::kept_locked);
    case Lock::paused:
      return keep(Reason::kept_paused);
    case Lock::unknown:
      return c.silent_for_long(since) ? let_go() : keep(Reason::kept_silent);
    case Lock::gone:
      return let_go();
  }
}

/// Not a wavering, but a no.
bool is_hard_denial(const Case& c, const Answer& a) {
  const Reason reason = denial(c, a);
  if (reason == Reason::wrong_scope || reason == Reason::wrong_system) return true;
  return !is_soft(a) && !is_claim(a, c.seen.scope, c.memory.system_identifier, c.memory.holder_started);
}

/// Nobody claims. The last accepted writer denies, wavers or is silent.
void judge_holder(Case& c, std::size_t holder) {
  MemberVerdict& verdict = c.topology.members[holder];
  const Answer* a = c.answer(holder);
  if (a == nullptr || !c.fresh(holder)) {
    // A denial that came while a round took long, and the silence after it.
    if (a != nullptr && !c.memory.fenced && is_hard_denial(c, *a)) {
      c.memory.fenced = true;
      c.memory.fenced_for = denial(c, *a);
    }
    if (!c.memory.fenced) return judge_silent_holder(c, holder, verdict);
    if (!c.memory.silent_since) c.memory.silent_since = c.now;
    fence(c, verdict, c.memory.fenced_for);
    // A denial is not believed for ever: it may have come back where only HAProxy can see it.
    if (c.silent_for_long(*c.memory.silent_since))
      verdict.write = {Place::leave, Reason::let_go, std::move(verdict.write.evidence)};
    return;
  }
  c.memory.silent_since.reset();
  const Reason reason = denial(c, *a);
  if (c.memory.fenced || is_hard_denial(c, *a)) return fence(c, verdict, reason);
  if (!c.memory.holding_since) c.memory.holding_since = c.now;
  // It has to say so once more after a hold: silence after one such word is silence.
  if (c.seen.members[holder].answer->asked_at - *c.memory.holding_since >= kHold) return fence(c, verdict, reason);
  wait_for(c, holder, verdict);
}

/// Several claim and nothing settles it: no new one goes in, and the holder is out too once it has lasted for a hold.
void judge_dispute(Case& c, const std::vector<std::size_t>& claims, std::optional<std::size_t> holder) {
  if (!c.memory.disputed_since) c.memory.disputed_since = c.now;
  c.topology.writer_state = WriterState::disputed;
  std::string names;
  for (std::size_t i : claims) {
    Verdict& write = c.topology.members[i].write;
    const bool wait = holder == i && !c.memory.fenced && c.now - *c.memory.disputed_since < kHold;
    write.place = wait ? Place::leave : Place::out;
    write.reason = Reason::disputed;
    names += (names.empty() ? "" : ", ") + c.topology.members[i].name;
  }
  c.alarm("several members claim to be the writer: " + names);
}

/// Everybody on whom nothing has been said yet.
void judge_the_rest(Case& c, const std::vector<bool>& judged) {
  const bool known = c.topology.writer.has_value();
  for (std::size_t i = 0; i < c.seen.members.size(); ++i) {
    if (judged[i]) continue;
    Verdict& write = c.topology.members[i].write;
    const Answer* a = c.answer(i);
    if (known) {
      write.place = Place::out;
      write.reason = Reason::other_is_writer;
    } else if (a != nullptr && c.fresh(i) && a->code == 200 && is_soft(*a) && c.memory.holder.empty()) {
      write.place = Place::leave;  // the lock is its own: it may well be the writer, and nobody else is known
      write.reason = Reason::holding;
    } else if (a != nullptr && c.fresh(i)) {
      write.place = Place::out;
      const Reason reason = denial(c, *a);
      write.reason = reason == Reason::not_primary ? Reason::no_claim : reason;
    } else {
      write.place = Place::leave;
      write.reason = a == nullptr && !c.seen.members[i].silence ? Reason::unseen : Reason::silent;
    }
  }
}

void judge_writes(Case& c) {
  adopt_system(c);
  const auto holder = find_holder(c);
  const auto claims = find_claims(c, holder);
  c.topology.claims = static_cast<unsigned>(claims.size());
  std::vector<bool> judged(c.seen.members.size(), false);
  bool disputed = false;
  if (claims.empty()) {
    if (holder) {
      judge_holder(c, *holder);
      judged[*holder] = true;
    }
  } else if (const auto writer = settle(c, claims)) {
    accept(c, *writer);
    c.topology.writer = writer;
    c.topology.writer_state = WriterState::settled;
    c.topology.members[*writer].write.place = Place::in;
    c.topology.members[*writer].write.reason = Reason::claims_writer;
    judged[*writer] = true;
    // In a quick switchover the old writer's last claim is still fresh: one that is overtaken is no second writer.
    const bool overtaken = std::all_of(claims.begin(), claims.end(), [&](std::size_t other) {
      return other == *writer || later_claim_wins(c, *writer, other);
    });
    if (!overtaken) c.alarm(fmt::format("{} members claim to be the writer", claims.size()));
  } else {
    judge_dispute(c, claims, holder);
    disputed = true;
    for (std::size_t i : claims) judged[i] = true;
  }
  if (!disputed) c.memory.disputed_since.reset();
  judge_the_rest(c, judged);
}

}  // namespace

Judgement judge(const ClusterSnapshot& seen, const Memory& memory, const ClusterConfig& policy, Instant now) {
  Case c{seen, policy, now, memory, {}};
  c.topology.scope = seen.scope;
  for (const Sighting& member : seen.members) {
    MemberVerdict verdict;
    verdict.url = member.url;
    verdict.name = member.name.empty() ? member.url : member.name;
    verdict.write.evidence = verdict.read.evidence = evidence(member, now);
    c.topology.members.push_back(std::move(verdict));
  }
  judge_writes(c);
  Judgement judgement;
  judgement.reads = judge_reads(seen, policy, now, c.topology, c.memory);
  judgement.topology = std::move(c.topology);
  judgement.memory = std::move(c.memory);
  return judgement;
}

}  // namespace controller
