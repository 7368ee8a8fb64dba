#include "controller/ramp.h"

#include <algorithm>
#include <cmath>

namespace controller {
namespace {

using haproxy::Server;
using haproxy::Want;

const RampConfig* course_of(const Config& config, const std::string& backend) {
  for (const ClusterConfig& cluster : config.clusters) {
    for (const BackendConfig& each : cluster.backends) {
      if (each.name == backend && each.ramp) return &*each.ramp;
    }
  }
  return nullptr;
}

Want want_of(const std::vector<haproxy::Backend>& desired, const haproxy::ServerName& name) {
  for (const haproxy::Backend& backend : desired) {
    if (backend.name != name.first) continue;
    for (const haproxy::DesiredServer& server : backend.servers) {
      if (server.name == name.second) return server.want;
    }
  }
  return Want::leave;
}

/// It is out and about to go in, if it is not in another's hand.
bool waits_to_go_in(Want want, const Server& server, bool is_ours) {
  return want == Want::in && !server.usable() && (is_ours || (!server.in_maint() && !server.in_drain()));
}

/// Of a server that is in, from the end of its course on; nothing: it is over.
std::optional<unsigned> last_limit(unsigned original, const Server& server, unsigned queued, Duration since_end) {
  const bool stands = queued > 0 && since_end < kRampLinger;
  if (server.maxconn == original) {
    const bool has_room = original > server.sessions;
    return stands && has_room ? std::optional(original) : std::nullopt;
  }
  if (original > 0) return original;
  return server.maxconn == kNoLimit && !stands ? 0 : kNoLimit;
}

std::optional<unsigned> next_limit(const Server& server, Want want, bool waits, unsigned queued, Instant now,
                                   RampMemory& memory) {
  if (waits) {
    memory.began.reset();
    return memory.course.start;
  }
  if (!server.usable()) return server.maxconn == memory.original ? std::nullopt : std::optional(memory.original);
  if (want == Want::out) return server.maxconn;  // raised on its way out, it would take more
  if (!memory.began) memory.began = now;
  const Duration since = now - *memory.began;
  if (since < memory.course.over) return ramp_limit(memory.original, memory.course, since);
  return last_limit(memory.original, server, queued, since - memory.course.over);
}

}  // namespace

unsigned ramp_limit(unsigned original, const RampConfig& course, Duration since) {
  if (since >= course.over) return original > 0 ? original : kNoLimit;
  const unsigned top = std::max(original > 0 ? original : kRampTop, course.start);
  const auto steps = static_cast<double>(std::max<Duration::rep>(course.over / kRampStep, 1));
  const auto step = static_cast<double>(std::max<Duration::rep>(since / kRampStep, 0));
  return static_cast<unsigned>(course.start * std::pow(static_cast<double>(top) / course.start, step / steps));
}

std::vector<haproxy::Limit> judge_ramps(const Config& config, const std::vector<haproxy::Backend>& desired,
                                        const haproxy::Running& running, const std::set<haproxy::ServerName>& ours, Instant now,
                                        Ramps& ramps) {
  for (const haproxy::Backend& backend : desired) {
    const RampConfig* course = course_of(config, backend.name);
    if (course == nullptr) continue;
    for (const haproxy::DesiredServer& wanted : backend.servers) {
      const haproxy::ServerName name{backend.name, wanted.name};
      const Server* server = running.find(name.first, name.second);
      if (server == nullptr || !waits_to_go_in(wanted.want, *server, ours.contains(name))) continue;
      if (server->maxconn > 0 && server->maxconn <= course->start) continue;  // it never takes more at once
      ramps.try_emplace(name, RampMemory{server->maxconn, *course, server->maxconn, server->maxconn});
    }
  }
  std::vector<haproxy::Limit> limits;
  for (auto ramp = ramps.begin(); ramp != ramps.end();) {
    auto& [name, memory] = *ramp;
    const Server* server = running.find(name.first, name.second);
    const bool as_left = server != nullptr && (server->maxconn == memory.before || server->maxconn == memory.asked);
    const Want want = want_of(desired, name);
    const auto limit = as_left ? next_limit(*server, want, waits_to_go_in(want, *server, ours.contains(name)),
                                            running.find(name.first)->queued, now, memory)
                               : std::nullopt;
    if (!limit) {
      ramp = ramps.erase(ramp);
      continue;
    }
    memory.before = server->maxconn;
    memory.asked = *limit;
    limits.push_back({name.first, name.second, *limit, "ramp"});
    ++ramp;
  }
  return limits;
}

std::optional<RampMemory> resume_ramp(unsigned original, const RampConfig& course, const Server& server, Instant now) {
  const unsigned is = server.maxconn;
  RampMemory memory{original, course, is, is, now - course.over};
  if (is == original || is == kNoLimit) return memory;
  if (is < course.start || is > (original > 0 ? original : std::max(kRampTop, course.start))) return std::nullopt;
  Duration since{0};
  while (since < course.over && ramp_limit(original, course, since + kRampStep) <= is) since += kRampStep;
  memory.began = now - since;
  return memory;
}

std::vector<haproxy::Limit> end_ramps(const haproxy::Running& running, Instant now, Ramps& ramps) {
  for (auto& [name, memory] : ramps) memory.began = std::min(memory.began.value_or(now), now - memory.course.over);
  return judge_ramps({}, {}, running, {}, now, ramps);
}

bool any_ramp_runs(const Ramps& ramps, const haproxy::Running& running) {
  return std::any_of(ramps.begin(), ramps.end(), [&](const auto& ramp) {
    const Server* server = running.find(ramp.first.first, ramp.first.second);
    return server != nullptr && server->usable();
  });
}

}  // namespace controller
