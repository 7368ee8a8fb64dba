#include "controller/announced.h"

#include <algorithm>

#include "controller/judge.h"

namespace controller {
namespace {

const Sighting* find_member(const ClusterSnapshot& seen, const std::string& url) {
  const auto found = std::find_if(seen.members.begin(), seen.members.end(), [&](const Sighting& m) { return m.url == url; });
  return found == seen.members.end() ? nullptr : &*found;
}

const Answer* answer_of(const Sighting& member) {
  return member.answer ? member.answer->answer() : nullptr;
}

/// What was announced since, each once.
HoldReason heard(const ClusterSnapshot& seen, const std::string& writer, Duration pre_hold, Instant now, HoldMemory& memory) {
  HoldReason reason = HoldReason::none;
  if (seen.switchover && seen.switchover->due <= now && seen.switchover->id != memory.switchover_id) {
    memory.switchover_id = seen.switchover->id;
    if (seen.switchover->from.empty() || seen.switchover->from == writer) reason = HoldReason::switchover;
  }
  if (seen.stop && seen.stop->number != memory.stop_number) {
    memory.stop_number = seen.stop->number;
    if (seen.stop->member == writer && now - seen.stop->at < pre_hold) reason = HoldReason::stop;
  }
  return reason;
}

/// Does the hold under way go on?
bool goes_on(const ClusterSnapshot& seen, const ClusterConfig& policy, Instant now, HoldMemory& memory) {
  const Sighting* holder = find_member(seen, memory.holder);
  if (holder == nullptr || now - memory.began >= longest_hold(policy, seen.timings)) return false;
  const Answer* answer = answer_of(*holder);
  const bool shows_more = holder->silence || answer == nullptr || !is_claim(*answer, seen.scope, "", "");
  if (shows_more) return true;
  if (memory.cause == HoldReason::switchover && !seen.switchover) {
    if (!memory.key_gone_at) memory.key_gone_at = now;
    // Taken back, or refused: it claims still, asked after that.
    if (holder->answer->asked_at > *memory.key_gone_at) return false;
  }
  return now - memory.began < policy.pre_hold;
}

}  // namespace

const char* word(HoldReason reason) {
  switch (reason) {
    case HoldReason::none:
      return "none";
    case HoldReason::wavers:
      return "wavers";
    case HoldReason::switchover:
      return "switchover";
    case HoldReason::stop:
      return "stop";
  }
  return "?";
}

Duration longest_hold(const ClusterConfig& policy, const Timings& timings) {
  return policy.hold.value_or(std::chrono::seconds(timings.ttl + timings.loop_wait));
}

HoldVerdict judge_hold(const ClusterSnapshot& seen, const Topology& topology, const ClusterConfig& policy, Instant now,
                       HoldMemory& memory) {
  const bool writing = topology.writer.has_value();
  const std::string url = writing ? topology.members[*topology.writer].url : "";
  const std::string name = writing ? topology.members[*topology.writer].name : "";

  if (memory.cause != HoldReason::none) {
    if (topology.writer_state == WriterState::settled && url != memory.holder) {
      memory.cause = HoldReason::none;  // it came true
      memory.fruitless_at.reset();
    } else if (!goes_on(seen, policy, now, memory)) {
      memory.cause = HoldReason::none;
      memory.fruitless_at = now;
    }
  }
  const HoldReason announced = heard(seen, name, policy.pre_hold, now, memory);
  // The hook is the member's own, and comes behind a CHECKPOINT that may have taken longer than the switchover's pre_hold.
  const bool believed =
      announced == HoldReason::stop || !memory.fruitless_at || now - *memory.fruitless_at >= longest_hold(policy, seen.timings);
  if (announced != HoldReason::none && memory.cause == HoldReason::none && writing && believed && policy.pre_hold.count() > 0) {
    memory.cause = announced;
    memory.holder = url;
    memory.began = now;
    memory.key_gone_at.reset();
  } else if (announced == HoldReason::stop && memory.cause == HoldReason::switchover) {
    memory.cause = HoldReason::stop;  // the same one, and now for good
    memory.began = now;
  }
  if (memory.cause != HoldReason::none) return {memory.cause};
  if (topology.writer_state == WriterState::holding) return {HoldReason::wavers};
  return {};
}

}  // namespace controller
