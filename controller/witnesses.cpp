#include "controller/witnesses.h"

#include "controller/claim.h"

namespace controller {
namespace {

using std::chrono::seconds;

/// What members have heard of the leader since the silence began.
enum class Heard : std::uint8_t { nothing, holder, another };
Heard heard_since(const ClusterSnapshot& seen, const Holder& holder) {
  Heard heard = Heard::nothing;
  for (const Hearsay& hearsay : seen.hearsay) {
    if (hearsay.asked_at <= holder.silent_since || hearsay.leader_url.empty()) continue;
    if (hearsay.leader_url != seen.members[holder.member].url) return Heard::another;
    heard = Heard::holder;
  }
  return heard;
}

bool is_locked_by(const ClusterSnapshot& seen, const ClusterConfig& policy, const Holder& holder, Instant now) {
  const Heard heard = heard_since(seen, holder);
  if (heard != Heard::nothing) return heard == Heard::holder;
  if (now - holder.silent_since < keep_silent(policy, seen.timings)) return true;
  for (std::size_t i = 0; i < seen.members.size(); ++i) {
    if (i != holder.member && !is_fresh(seen.members[i], policy.poll, now)) return false;
  }
  return true;
}

/// Has it looked at the DCS since then? Both times are read off its own clock, in whole seconds: no two clocks are compared.
bool has_looked(const Answer& answer, Instant answered_at, Instant since) {
  if (!answer.date || !answer.dcs_last_seen) return false;
  return seconds{*answer.date - *answer.dcs_last_seen + 1} < answered_at - since;
}

}  // namespace

Duration keep_silent(const ClusterConfig& policy, const Timings& timings) {
  return policy.keep_silent.value_or(seconds(timings.ttl));
}

Lock ask_witnesses(const ClusterSnapshot& seen, const ClusterConfig& policy, const Holder& holder, Instant now) {
  bool locked = false;
  bool paused = false;
  bool unlocked = false;
  for (std::size_t i = 0; i < seen.members.size(); ++i) {
    const Sighting& member = seen.members[i];
    const Answer* a = member.answer ? member.answer->answer() : nullptr;
    if (i == holder.member || a == nullptr || !is_fresh(member, policy.poll, now)) continue;
    if (member.answer->asked_at <= holder.silent_since) continue;
    if (a->scope != seen.scope || !is_of_system(*a, holder.system_identifier)) continue;
    if (a->code == 200) return Lock::elsewhere;
    locked = locked || !a->cluster_unlocked;
    if (a->pause) {
      paused = paused || (a->replication_state == "streaming" && a->timeline == holder.timeline);
    } else if (!a->failsafe) {
      unlocked = unlocked || has_looked(*a, member.answer->answered_at, holder.silent_since);
    }
  }
  if (locked) return is_locked_by(seen, policy, holder, now) ? Lock::held : Lock::gone;
  return paused ? Lock::paused : unlocked ? Lock::gone : Lock::unknown;
}

}  // namespace controller
