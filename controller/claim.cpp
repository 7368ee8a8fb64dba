#include "controller/claim.h"

#include <algorithm>

#include <fmt/format.h>

#include "controller/schedule.h"

namespace controller {

bool is_of_system(const Answer& answer, const std::string& system_identifier) {
  return system_identifier.empty() || answer.system_identifier.empty() || answer.system_identifier == system_identifier;
}

bool is_claim(const Answer& answer, const std::string& scope, const std::string& system_identifier,
              const std::string& started) {
  if (answer.code != 200 || answer.role != Role::primary || answer.scope != scope) return false;
  if (!is_of_system(answer, system_identifier)) return false;
  if (answer.state == State::running) return true;
  return answer.state == State::starting && answer.location && !started.empty() && !answer.postmaster_start_time.empty() &&
         answer.postmaster_start_time != started;
}

bool is_fresh(const Sighting& member, const Poll& poll, Instant now) {
  if (!member.answer) return false;
  const Duration age = now - member.answer->asked_at;
  if (member.silence) return age < poll.timeout;
  const Duration gap = std::max<Duration>(poll.calm, 4 * (member.answer->answered_at - member.answer->asked_at));
  return age < gap * 11 / 10 + poll.timeout;  // the jitter is a tenth
}

std::optional<Instant> says_nothing_since(const Sighting& member, Instant now) {
  if (member.silence) return member.silence->since;
  const Duration took = member.answer ? member.answer->answered_at - member.answer->asked_at : Duration::zero();
  return member.in_flight && now >= late_at(took, *member.in_flight) ? member.in_flight : std::nullopt;
}

std::string evidence(const Sighting& member, Instant now) {
  std::string line;
  if (member.answer && member.answer->answer() != nullptr) {
    const Answer& a = *member.answer->answer();
    line = fmt::format("HTTP {}, role {}, state {}", a.code, word(a.role), word(a.state));
    if (a.timeline) line += fmt::format(", timeline {}", *a.timeline);
    if (a.pause) line += ", paused";
    if (a.cluster_unlocked) line += ", cluster unlocked";
    line += fmt::format(", {} ms ago",
                        std::chrono::duration_cast<std::chrono::milliseconds>(now - member.answer->asked_at).count());
  }
  if (member.silence) {
    line += fmt::format("{}{} for {:.1f} s ({})", line.empty() ? "" : "; ", word(member.silence->latest.failure),
                        std::chrono::duration<double>(now - member.silence->since).count(), member.silence->latest.detail);
  }
  if (member.port) line += fmt::format("; {} {}", member.port->address.text(), member.port->detail);
  return line.empty() ? "not asked yet" : line;
}

}  // namespace controller
