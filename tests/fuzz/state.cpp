// The state file.

#include "controller/state_file.h"
#include "haproxy/address.h"
#include "tests/fuzz/fuzz.h"

namespace {

using fuzz::require;

void require_name(const haproxy::ServerName& name) {
  require(haproxy::is_name(name.first) && haproxy::is_name(name.second), "backends and servers have names");
}

}  // namespace

bool fuzz::look_at(std::string_view input) {
  const auto state = controller::parse_state(input, "/var/lib/pointsman/state.json");
  if (!state) return refused(state.error());
  const std::string text = controller::render_state(*state);
  const auto again = controller::parse_state(text, "again");
  require(again && *again == *state, "what was remembered is read back");
  require(controller::render_state(*again) == text, "the same state makes the same bytes");
  require(state->worker.pid >= 0 && state->worker.start_time_sec >= 0, "a worker has a pid and a start");
  for (const auto& name : state->ours) require_name(name);
  for (const auto& name : state->by_admin) require_name(name);
  for (const auto& [name, since] : state->passes_wrongly_since) {
    require_name(name);
    require(since > 0, "since when is after 1970");
  }
  for (const auto& [name, ramp] : state->ramps) {
    require_name(name);
    require(ramp.start > 0 && ramp.over.count() > 0 && ramp.over <= std::chrono::hours(24), "a ramp has a start and an end");
  }
  for (const controller::RememberedCluster& cluster : state->clusters) {
    require(cluster.ttl >= 1 && cluster.ttl <= 86'400 && cluster.loop_wait >= 1 && cluster.loop_wait <= 86'400, "1 s to a day");
    require(cluster.silent_since >= 0, "silent since after 1970");
    require(cluster.system_identifier.size() <= 20, "a system identifier is at most 20 digits");
    for (const controller::RememberedMember& member : cluster.members) {
      require(!member.url.empty(), "a member has a URL");
      require(member.name.empty() || haproxy::is_name(member.name), "a member's name is one");
      require(member.host.empty() || haproxy::parse_ip(member.host) || haproxy::is_host_name(member.host), "a host is one");
    }
  }
  return true;
}
