#include "controller/readers.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "controller/claim.h"

namespace controller {
namespace {

/// `replication_state` is told by a replica itself from 3.0.4 on.
bool tells_replication_state(const std::string& version) {
  std::array<int, 3> parts{0, 0, 0};
  const char* at = version.data();
  const char* const end = version.data() + version.size();
  for (int& part : parts) {
    const auto [next, error] = std::from_chars(at, end, part);
    if (error != std::errc{}) break;
    at = next;
    if (at != end && *at == '.') ++at;
  }
  return parts >= std::array<int, 3>{3, 0, 4};
}

enum class Streams : std::uint8_t { yes, no, unknown };

/// Before 3.0.4 only the upstream knows, whoever of the members that is.
Streams streams_by_upstreams(const ClusterSnapshot& seen, const Sighting& replica, const Poll& poll, Instant now) {
  if (replica.name.empty() && !replica.postgres) return Streams::unknown;
  bool everybody_told = true;
  for (const Sighting& upstream : seen.members) {
    if (&upstream == &replica) continue;
    const Answer* a = upstream.answer ? upstream.answer->answer() : nullptr;
    if (a == nullptr || !is_fresh(upstream, poll, now)) {
      everybody_told = false;
      continue;
    }
    if (streams_to(*a, replica)) return Streams::yes;
  }
  return everybody_told ? Streams::no : Streams::unknown;
}

Streams streams(const ClusterSnapshot& seen, const Sighting& replica, const Answer& a, const Poll& poll, Instant now) {
  if (a.replication_state) return *a.replication_state == "streaming" ? Streams::yes : Streams::no;
  if (a.version.empty()) return Streams::unknown;
  if (tells_replication_state(a.version)) return Streams::no;
  return streams_by_upstreams(seen, replica, poll, now);
}

/// What the writer says that readers are measured by; nothing while none is known and settled.
struct Measure {
  std::optional<std::uint32_t> timeline;
  std::optional<std::uint64_t> location;
  Instant answered_at{};
};
std::optional<Measure> settled_measure(const ClusterSnapshot& seen, const ClusterConfig& policy, Instant now,
                                       const Topology& topology, const Memory& memory) {
  if (topology.writer_state != WriterState::settled || !topology.writer) return std::nullopt;
  if (topology.members[*topology.writer].write.reason != Reason::claims_writer) return std::nullopt;
  if (memory.settled_at && now - *memory.settled_at < policy.follow) return std::nullopt;
  const MemberReport& report = *seen.members[*topology.writer].answer;
  return Measure{report.answer()->timeline, report.answer()->location, report.answered_at};
}

/// Why it does not follow the writer; nothing when it does. Replicas break off when their writer stops, too, which shows
/// nothing of itself (4.0.7: a graceful stop silences its API): only what the writer has answered since counts against them.
std::optional<Reason> broken_off(const ClusterSnapshot& seen, const Sighting& member, const Answer& a, const Poll& poll,
                                 Instant now, const Measure& measure, std::map<std::string, Instant>& since) {
  const bool wrong_timeline = a.timeline && measure.timeline && *a.timeline != *measure.timeline;
  if (!wrong_timeline && streams(seen, member, a, poll, now) != Streams::no) {
    since.erase(member.url);
    return std::nullopt;
  }
  const Instant first = since.try_emplace(member.url, member.answer->asked_at).first->second;
  if (measure.answered_at < first) return std::nullopt;
  return wrong_timeline ? Reason::wrong_timeline : Reason::not_streaming;
}

Verdict judge_reader(const ClusterSnapshot& seen, const Sighting& member, const ClusterConfig& policy, Instant now,
                     Memory& memory, const std::optional<Measure>& measure) {
  const auto out = [](Reason reason) { return Verdict{Place::out, reason, {}}; };
  const Answer* a = member.answer ? member.answer->answer() : nullptr;
  if (a == nullptr || !is_fresh(member, policy.poll, now))
    return {Place::leave, a == nullptr && !member.silence ? Reason::unseen : Reason::silent, {}};
  if (a->scope != seen.scope) return out(Reason::wrong_scope);
  if (!memory.system_identifier.empty() && !a->system_identifier.empty() && a->system_identifier != memory.system_identifier)
    return out(Reason::wrong_system);
  if (a->role != Role::replica) return out(Reason::not_replica);
  if (a->state != State::running) return out(Reason::not_running);
  if (a->code == 200) return out(Reason::promoting);
  if (a->noloadbalance) return out(Reason::noloadbalance);
  if (measure) {
    if (const auto why = broken_off(seen, member, *a, policy.poll, now, *measure, memory.broke_off)) return out(*why);
  }
  return {Place::in, Reason::reads, {}};
}

std::optional<std::uint64_t> lag_bytes(const Sighting& member, const std::optional<Measure>& measure) {
  const Answer* a = member.answer ? member.answer->answer() : nullptr;
  if (!measure || !measure->location || a == nullptr || !a->replayed) return std::nullopt;
  // The writer's position is up to one turn older than the replica's: a replica may seem to be ahead of it.
  return *measure->location > *a->replayed ? *measure->location - *a->replayed : 0;
}

/// Out at once above `max_lag`, back after `lag_hold` under `lag_back`. An unknown lag changes nothing.
bool is_lagging(const BackendConfig& backend, std::optional<std::uint64_t> lag, LagMemory& memory, Instant now) {
  if (!lag) return memory.out;
  if (*lag > *backend.max_lag_bytes) {
    memory = {true, std::nullopt};
  } else if (memory.out && *lag < backend.lag_back_bytes) {
    if (!memory.below_since) memory.below_since = now;
    if (now - *memory.below_since >= backend.lag_hold) memory = {};
  } else {
    memory.below_since.reset();
  }
  return memory.out;
}

}  // namespace

bool streams_to(const Answer& upstream, const Sighting& replica) {
  return std::any_of(upstream.replication.begin(), upstream.replication.end(), [&](const WalSender& sender) {
    const bool is_it = replica.name.empty() ? replica.postgres && sender.client_addr == replica.postgres->ip
                                            : sender.application_name == replica.name;
    return is_it && sender.state == "streaming";
  });
}

std::vector<std::vector<Verdict>> judge_reads(const ClusterSnapshot& seen, const ClusterConfig& policy, Instant now,
                                              Topology& topology, Memory& memory) {
  const auto measure = settled_measure(seen, policy, now, topology, memory);
  for (std::size_t i = 0; i < seen.members.size(); ++i) {
    MemberVerdict& verdict = topology.members[i];
    std::string line = std::move(verdict.read.evidence);
    verdict.read = judge_reader(seen, seen.members[i], policy, now, memory, measure);
    verdict.read.evidence = std::move(line);
    if (topology.writer != i) verdict.lag_bytes = lag_bytes(seen.members[i], measure);
  }
  std::vector<std::vector<Verdict>> reads;
  for (const BackendConfig& backend : policy.backends) {
    auto& verdicts = reads.emplace_back();
    if (backend.serves != Serves::replica) continue;
    for (const MemberVerdict& member : topology.members) {
      Verdict verdict = member.read;
      if (verdict.place == Place::in && backend.max_lag_bytes &&
          is_lagging(backend, member.lag_bytes, memory.lag[{backend.name, member.url}], now)) {
        verdict.place = Place::drain;
        verdict.reason = Reason::lagging;
        if (member.lag_bytes)
          verdict.evidence += fmt::format(", lag {} bytes of {} allowed", *member.lag_bytes, *backend.max_lag_bytes);
      }
      verdicts.push_back(std::move(verdict));
    }
  }
  return reads;
}

}  // namespace controller
