#include "controller/unreplicated.h"

#include <algorithm>

#include "controller/claim.h"
#include "controller/readers.h"

namespace controller {
namespace {

const Answer* answer_of(const Sighting& member) {
  return member.answer ? member.answer->answer() : nullptr;
}

}  // namespace

bool streams(const Answer& answer) {
  return answer.role == Role::replica && answer.replication_state == "streaming";
}

void note_streamers(const ClusterSnapshot& seen, const Sighting& writer, bool claims, Streamers& streamers) {
  if (streamers.from != writer.url) streamers = {writer.url, {}};
  const Answer* told = answer_of(writer);
  if (told == nullptr) return;
  for (const Sighting& member : seen.members) {
    const Answer* answer = answer_of(member);
    if (answer == nullptr || &member == &writer) continue;
    if (streams(*answer)) {
      if (claims && streams_to(*told, member)) streamers.started[member.url] = answer->postmaster_start_time;
    } else if (writer.answer->asked_at > member.says_since) {
      streamers.started.erase(member.url);
    }
  }
}

bool is_doubtful(const ClusterSnapshot& seen, const Streamers& streamers) {
  return std::any_of(seen.members.begin(), seen.members.end(), [&](const Sighting& member) {
    const Answer* answer = answer_of(member);
    return answer != nullptr && !streams(*answer) && streamers.started.contains(member.url);
  });
}

Replication replication(const ClusterSnapshot& seen, const Sighting& writer, const Streamers& streamers, Instant now) {
  const auto since = says_nothing_since(writer, now);
  const Answer* told = answer_of(writer);
  if (!since || told == nullptr) return Replication::unknown;
  bool lost = false;
  bool to_come = false;
  for (const Sighting& member : seen.members) {
    const auto known = streamers.started.find(member.url);
    const Answer* answer = answer_of(member);
    if (known == streamers.started.end() || answer == nullptr || says_nothing_since(member, now)) continue;
    if (member.answer->answered_at <= *since) {
      to_come = true;
    } else if (streams(*answer)) {
      if (!answer->timeline || !told->timeline || answer->timeline == told->timeline) return Replication::goes_on;
    } else if (answer->state == State::running && answer->role == Role::replica && answer->scope == seen.scope &&
               answer->postmaster_start_time == known->second) {
      lost = true;
    }
  }
  return lost && !to_come ? Replication::lost : Replication::unknown;
}

}  // namespace controller
