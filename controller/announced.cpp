#include "controller/announced.h"

#include <algorithm>

#include "controller/claim.h"

namespace controller {
namespace {

const Sighting* find_member(const ClusterSnapshot& seen, const std::string& url) {
  const auto found = std::find_if(seen.members.begin(), seen.members.end(), [&](const Sighting& m) { return m.url == url; });
  return found == seen.members.end() ? nullptr : &*found;
}

const Answer* answer_of(const Sighting& member) {
  return member.answer ? member.answer->answer() : nullptr;
}

/// What was announced since, each once. While no writer is known by its name nothing is used up.
HoldReason heard(const ClusterSnapshot& seen, const std::string& writer, Duration pre_hold, Instant now, HoldMemory& memory) {
  HoldReason reason = HoldReason::none;
  if (seen.switchover && seen.switchover->due <= now && seen.switchover->id != memory.switchover_id) {
    memory.switchover_id = seen.switchover->id;
    if (seen.switchover->from.empty() || seen.switchover->from == writer) reason = HoldReason::switchover;
  }
  for (const StopNotice& stop : seen.stops) {
    if (stop.member != writer || stop.number <= memory.stop_number) continue;
    memory.stop_number = stop.number;
    if (now - stop.at < pre_hold) reason = HoldReason::stop;
  }
  return reason;
}

/// Has the holder shown, since the hold began, that more is coming? A claim counts against it only while it is young: a member
/// that hangs has not failed before its request times out, which takes longer than `pre_hold`.
bool shows_more(const Sighting& holder, const std::string& scope, HoldReason cause, Instant began, Instant now) {
  constexpr Duration kInFlight = std::chrono::milliseconds(100);
  if (holder.silence) return cause == HoldReason::stop || holder.silence->since >= began - kInFlight;
  const Answer* answer = answer_of(holder);
  if (answer == nullptr) return true;  // not asked yet, after a change of configuration
  if (!is_claim(*answer, scope, "", "")) return holder.answer->asked_at >= began - kInFlight;
  const Duration took = holder.answer->answered_at - holder.answer->asked_at;
  return now - holder.answer->asked_at > std::chrono::milliseconds(150) + 5 * took;
}

/// Does the hold under way go on?
bool goes_on(const ClusterSnapshot& seen, const ClusterConfig& policy, Instant now, HoldMemory& memory) {
  const Sighting* holder = find_member(seen, memory.holder);
  if (holder == nullptr || now - memory.began >= longest_hold(policy, seen.timings)) return false;
  if (shows_more(*holder, seen.scope, memory.cause, memory.began, now)) return true;
  if (memory.cause == HoldReason::switchover && !seen.switchover) {
    if (!memory.key_gone_at) memory.key_gone_at = now;
    // Taken back, or refused: it claims still, asked after that.
    if (holder->answer && holder->answer->asked_at > *memory.key_gone_at) return false;
  }
  return now - memory.began < policy.pre_hold;
}

void note_fruitless(HoldMemory& memory, Duration longest, Instant now) {
  if (memory.cause == HoldReason::switchover) {
    memory.fruitless_at = now;
    return;
  }
  const bool in_a_row = memory.fruitless_stop_at && now - *memory.fruitless_stop_at < longest;
  memory.fruitless_stops = in_a_row ? memory.fruitless_stops + 1 : 1;
  memory.fruitless_stop_at = now;
}

bool is_believed(HoldReason announced, const HoldMemory& memory, Duration longest, Instant now) {
  constexpr unsigned kMostFruitless = 3;
  if (announced == HoldReason::switchover) return !memory.fruitless_at || now - *memory.fruitless_at >= longest;
  // The hook is the member's own, and comes behind a CHECKPOINT that may have taken longer than the switchover's pre_hold.
  return memory.fruitless_stops < kMostFruitless || now - *memory.fruitless_stop_at >= longest;
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

  const Duration longest = longest_hold(policy, seen.timings);

  if (memory.cause != HoldReason::none) {
    if (topology.writer_state == WriterState::settled && url != memory.holder) {
      memory.cause = HoldReason::none;  // it came true
      memory.fruitless_at.reset();
      memory.fruitless_stops = 0;
    } else if (!goes_on(seen, policy, now, memory)) {
      note_fruitless(memory, longest, now);
      memory.cause = HoldReason::none;
    }
  }
  const Sighting* writer = writing ? find_member(seen, url) : nullptr;
  const HoldReason announced =
      writer != nullptr && !writer->name.empty() ? heard(seen, name, policy.pre_hold, now, memory) : HoldReason::none;
  if (announced != HoldReason::none && policy.pre_hold.count() > 0 && is_believed(announced, memory, longest, now)) {
    if (memory.cause == HoldReason::none) {
      memory.cause = announced;
      memory.holder = url;
      memory.began = now;
      memory.key_gone_at.reset();
    } else if (announced == HoldReason::stop && memory.cause == HoldReason::switchover) {
      memory.cause = HoldReason::stop;  // the same one, and now for good
      memory.began = now;
    }
  }
  if (memory.cause != HoldReason::none) return {memory.cause};
  if (topology.writer_state == WriterState::holding) return {HoldReason::wavers};
  return {};
}

}  // namespace controller
