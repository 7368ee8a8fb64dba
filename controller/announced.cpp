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

bool claims_since(const ClusterSnapshot& seen, const Sighting& holder, Instant then) {
  const Answer* answer = answer_of(holder);
  return answer != nullptr && holder.answer->answered_at > then && is_claim(*answer, seen.scope, "", "");
}

/// Silent, and so is its port, asked since then and not long ago. Once is enough: the API's answer is missing too, and whoever
/// is let through meanwhile is lost, where one who waits in vain loses a moment.
bool is_not_accepting(const Sighting& holder, Instant given_up, Instant now) {
  constexpr Duration kFresh = std::chrono::seconds(3);
  const auto since = says_nothing_since(holder, now);
  if (!since || *since <= given_up || !holder.port || holder.port->says == PortSays::accepting) return false;
  return holder.port->asked_at >= *since && now - holder.port->asked_at < kFresh;
}

/// Until the holder claims, or its port accepts.
bool accepts_again(const ClusterSnapshot& seen, const Sighting& holder, const HoldMemory& memory) {
  if (claims_since(seen, holder, memory.began)) return true;
  return holder.port && holder.port->says == PortSays::accepting;
}

/// Until the holder claims, and not when a replica streams from it again, for so long that it would have been heard of
/// if that were another writer's stream.
bool is_unreplicated(const ClusterSnapshot& seen, const Sighting& holder, Instant now, HoldMemory& memory) {
  if (claims_since(seen, holder, memory.began)) return false;
  if (replication(seen, holder, memory.streamers, now) != Replication::goes_on) {
    memory.streams_again_at.reset();
    return true;
  }
  if (!memory.streams_again_at) memory.streams_again_at = now;
  return now - *memory.streams_again_at < std::chrono::seconds(1);
}

/// Does the hold under way go on?
bool goes_on(const ClusterSnapshot& seen, const ClusterConfig& policy, Instant now, HoldMemory& memory) {
  const Sighting* holder = find_member(seen, memory.holder);
  if (holder == nullptr || now - memory.began >= longest_hold(policy, seen.timings)) return false;
  if (memory.cause == HoldReason::unreplicated) return is_unreplicated(seen, *holder, now, memory);
  if (memory.cause == HoldReason::not_accepting) return !accepts_again(seen, *holder, memory);
  if (shows_more(*holder, seen.scope, memory.cause, memory.began, now)) return true;
  if (memory.cause == HoldReason::switchover && !seen.switchover) {
    if (!memory.key_gone_at) memory.key_gone_at = now;
    // Taken back, or refused: it claims still, asked after that.
    if (holder->answer && holder->answer->asked_at > *memory.key_gone_at) return false;
  }
  return now - memory.began < policy.pre_hold;
}

void note_fruitless(HoldMemory& memory, Duration longest, Instant now) {
  const auto before = memory.fruitless.find(memory.cause);
  const bool in_a_row = before != memory.fruitless.end() && now - before->second.last < longest;
  memory.fruitless[memory.cause] = {now, in_a_row ? before->second.in_a_row + 1 : 1};
}

bool is_believed(HoldReason reason, const HoldMemory& memory, Duration longest, Instant now) {
  // A hook is the member's own, and comes behind a CHECKPOINT that may have taken longer than the switchover's pre_hold; what
  // replicas show is their own too.
  const unsigned most = reason == HoldReason::switchover ? 1 : 3;
  const auto fruitless = memory.fruitless.find(reason);
  return fruitless == memory.fruitless.end() || fruitless->second.in_a_row < most || now - fruitless->second.last >= longest;
}

void begin(HoldReason reason, const Sighting& holder, Instant now, HoldMemory& memory) {
  const Answer* answer = answer_of(holder);
  memory.cause = reason;
  memory.holder = holder.url;
  memory.holder_started = answer != nullptr ? answer->postmaster_start_time : "";
  memory.began = now;
  memory.key_gone_at.reset();
  memory.streams_again_at.reset();
}

/// The writer that the hold was about is the writer again, and its PostgreSQL another process.
bool has_restarted(const ClusterSnapshot& seen, const HoldMemory& memory) {
  const Sighting* holder = find_member(seen, memory.holder);
  const Answer* answer = holder != nullptr ? answer_of(*holder) : nullptr;
  return answer != nullptr && !memory.holder_started.empty() && !answer->postmaster_start_time.empty() &&
         answer->postmaster_start_time != memory.holder_started;
}

/// The hold under way is over once another is the writer, and where nothing comes of it.
void end_if_over(const ClusterSnapshot& seen, const Topology& topology, const ClusterConfig& policy, Instant now,
                 HoldMemory& memory) {
  const Duration longest = longest_hold(policy, seen.timings);
  const bool came_true = topology.writer_state == WriterState::settled && topology.writer &&
                         topology.members[*topology.writer].url != memory.holder;
  if (!came_true && goes_on(seen, policy, now, memory)) return;
  if (came_true || has_restarted(seen, memory)) {
    memory.fruitless.clear();
  } else {
    note_fruitless(memory, longest, now);
  }
  if (now - memory.began >= longest) {  // no second hold for the same silence
    memory.streamers = {};
    memory.given_up = now;
  }
  memory.cause = HoldReason::none;
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
    case HoldReason::unreplicated:
      return "unreplicated";
    case HoldReason::not_accepting:
      return "not_accepting";
  }
  return "?";
}

Duration longest_hold(const ClusterConfig& policy, const Timings& timings) {
  return policy.hold.value_or(std::chrono::seconds(timings.ttl + timings.loop_wait));
}

HoldVerdict judge_hold(const ClusterSnapshot& seen, const Topology& topology, const ClusterConfig& policy, Instant now,
                       HoldMemory& memory) {
  const Duration longest = longest_hold(policy, seen.timings);
  const MemberVerdict* judged = topology.writer ? &topology.members[*topology.writer] : nullptr;
  const Sighting* writer = judged != nullptr ? find_member(seen, judged->url) : nullptr;

  if (memory.cause != HoldReason::none) end_if_over(seen, topology, policy, now, memory);
  const HoldReason announced =
      writer != nullptr && !writer->name.empty() ? heard(seen, judged->name, policy.pre_hold, now, memory) : HoldReason::none;
  if (announced != HoldReason::none && policy.pre_hold.count() > 0 && is_believed(announced, memory, longest, now)) {
    if (memory.cause == HoldReason::none) {
      begin(announced, *writer, now, memory);
    } else if (announced == HoldReason::stop && memory.cause == HoldReason::switchover) {
      memory.cause = HoldReason::stop;  // the same one, and now for good
      memory.began = now;
    }
  }
  bool uncertain = false;
  if (memory.cause == HoldReason::none && writer != nullptr) {
    note_streamers(seen, *writer, judged->write.reason == Reason::claims_writer, memory.streamers);
    if (replication(seen, *writer, memory.streamers, now) == Replication::lost &&
        is_believed(HoldReason::unreplicated, memory, longest, now)) {
      begin(HoldReason::unreplicated, *writer, now, memory);
    } else if (is_not_accepting(*writer, memory.given_up, now) &&
               is_believed(HoldReason::not_accepting, memory, longest, now)) {
      begin(HoldReason::not_accepting, *writer, now, memory);
    }
    uncertain = is_doubtful(seen, memory.streamers);
  }
  if (memory.cause != HoldReason::none) return {memory.cause};
  if (topology.writer_state == WriterState::holding) return {HoldReason::wavers};
  return {HoldReason::none, uncertain};
}

}  // namespace controller
