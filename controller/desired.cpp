#include "controller/desired.h"

#include <algorithm>

#include <fmt/format.h>

#include "controller/claim.h"

namespace controller {
namespace {

using haproxy::Steering;

enum class Tells : std::uint8_t { roles, no_roles, undecided };

/// srv_check_status, see haproxy/running.h.
Tells what_check_tells(unsigned status) {
  switch (status) {
    case 12:
    case 13:
    case 15:
    case 16:
    case 17:
      return Tells::roles;
    case 6:   // L4OK
    case 9:   // L6OK
    case 20:  // PROCOK: an external program, nobody knows what it looks at
      return Tells::no_roles;
    default:
      return Tells::undecided;
  }
}

bool passed(const haproxy::Check& check) {
  return check.result == 3 || check.result == 4;
}

const Verdict& verdict_of(const ClusterConfig& cluster, const Judgement& judgement, std::size_t backend, std::size_t member) {
  return cluster.backends[backend].serves == Serves::primary ? judgement.topology.members[member].write
                                                             : judgement.reads[backend][member];
}

/// Nobody can step in for a moment: whoever serves reads still is not taken out meanwhile.
void keep_serving(std::vector<Decision>& decisions, WriterState writer, const haproxy::BackendState& state) {
  const bool for_a_moment = writer == WriterState::holding || writer == WriterState::disputed;
  for (Decision& decision : decisions) {
    if (!decision.member || decision.verdict.place != Place::out) continue;
    const Reason reason = decision.verdict.reason;
    const haproxy::Server* server = state.find(decision.server);
    if (server == nullptr || !server->usable()) continue;
    if (reason == Reason::promoting || (for_a_moment && reason == Reason::not_replica)) decision.verdict.place = Place::leave;
  }
}

/// No reader is left, neither judged in nor silent and up: the writer serves reads in the same pass.
void fall_back(std::vector<Decision>& decisions, const Judgement& judgement, const haproxy::BackendState& state) {
  for (const Decision& decision : decisions) {
    if (!decision.member) continue;
    const haproxy::Server* server = state.find(decision.server);
    // Admin state cannot bring in whom HAProxy's own check keeps out.
    const bool beyond_reach = decision.steering == Steering::admin && server != nullptr && !server->usable() &&
                              !server->in_maint() && !server->in_drain();
    if (decision.verdict.place == Place::in && !beyond_reach) return;
    if (decision.verdict.place == Place::leave && server != nullptr && server->usable()) return;
  }
  const WriterState writer = judgement.topology.writer_state;
  if (writer != WriterState::settled) return keep_serving(decisions, writer, state);
  for (Decision& decision : decisions) {
    if (decision.member != judgement.topology.writer) continue;
    decision.verdict.place = Place::in;
    decision.verdict.reason = Reason::fallback;
  }
}

void alarm_strangers(const ClusterSnapshot& seen, const BackendConfig& backend, const haproxy::BackendState& state,
                     const std::vector<Decision>& decisions, std::vector<std::string>& alarms) {
  // Not yet asked is no reason to worry; an address that cannot be had is.
  const bool all_asked = std::all_of(seen.members.begin(), seen.members.end(), [](const Sighting& member) {
    return member.postgres || !member.postgres_host.empty() || member.silence;
  });
  if (!all_asked) return;
  for (const Decision& decision : decisions) {
    const haproxy::Server* server = state.find(decision.server);
    if (decision.member || server == nullptr || server->backup || backend.serves != Serves::primary) continue;
    alarms.push_back(fmt::format("server {}/{} ({}:{}) in a write backend is no member's: it may be a second writer",
                                 backend.name, server->name, server->ip, server->port));
  }
  for (std::size_t i = 0; i < seen.members.size(); ++i) {
    const bool has_server =
        std::any_of(decisions.begin(), decisions.end(), [i](const Decision& decision) { return decision.member == i; });
    if (has_server) continue;
    const Sighting& member = seen.members[i];
    if (member.postgres) {
      alarms.push_back(
          fmt::format("member {} ({}) has no server in backend {}", member.name, member.postgres->text(), backend.name));
    } else if (!member.postgres_host.empty()) {
      alarms.push_back(
          fmt::format("member {} gives PostgreSQL's address as {}, which is no number and not its API's host: no server in "
                      "backend {} can be matched to it",
                      member.name, member.postgres_host, backend.name));
    }
  }
}

}  // namespace

std::optional<std::size_t> find_member(const haproxy::Server& server, const std::vector<Sighting>& members) {
  if (server.ip.empty()) return std::nullopt;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].postgres && members[i].postgres->ip == server.ip && members[i].postgres->port == server.port) return i;
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (server.check.enabled && members[i].api_ip == server.ip && members[i].api_port == server.check.port) return i;
  }
  return std::nullopt;
}

haproxy::Steering classify(const haproxy::Server& server, const Sighting& member, bool write, const Poll& poll, Instant now,
                           CheckMemory& memory) {
  if (!server.check.enabled || server.check.port != member.api_port) return Steering::admin;
  const Tells tells = what_check_tells(server.check.status);
  if (tells == Tells::no_roles) {
    memory.steering = Steering::admin;
  } else if (tells == Tells::roles) {
    if (!memory.steering) memory.steering = Steering::health;
    const Answer* a = member.answer ? member.answer->answer() : nullptr;
    const bool denies = a != nullptr && is_fresh(member, poll, now) && a->code != 200;
    if (!passed(server.check)) {
      memory.steering = Steering::health;
      memory.passes_wrongly_since.reset();
    } else if (write && denies) {
      // The last result stays as it was for a whole interval; only a counter that rises again shows a pass of now.
      if (server.check.health > 0 && !memory.passes_wrongly_since) memory.passes_wrongly_since = now;
      if (server.check.health > 0 && now - *memory.passes_wrongly_since >= kWrongPass) memory.steering = Steering::admin;
    } else if (!server.in_maint()) {
      memory.passes_wrongly_since.reset();
    }
  }
  // Not decided: whoever put it into maint knew better than this moment does.
  return memory.steering.value_or(server.in_maint() && tells == Tells::undecided ? Steering::admin : Steering::health);
}

std::vector<Decision> decide_servers(const ClusterConfig& cluster, const ClusterSnapshot& seen, const Judgement& judgement,
                                     const haproxy::Running& running, Instant now, CheckMemories& checks,
                                     std::vector<std::string>& alarms) {
  std::vector<Decision> all;
  for (std::size_t b = 0; b < cluster.backends.size(); ++b) {
    const BackendConfig& backend = cluster.backends[b];
    const bool write = backend.serves == Serves::primary;
    const haproxy::BackendState* state = running.find(backend.name);
    if (state == nullptr) {
      alarms.push_back("HAProxy has no backend " + backend.name);
      continue;
    }
    std::vector<Decision> decisions;
    for (const haproxy::Server& server : state->servers) {
      Decision decision{backend.name, server.name, find_member(server, seen.members), Steering::admin, false, {}};
      if (!decision.member) {
        decision.verdict = {Place::leave, Reason::no_member, "its address is no member's"};
      } else {
        const Sighting& member = seen.members[*decision.member];
        decision.steering = classify(server, member, write, cluster.poll, now, checks[{backend.name, server.name}]);
        decision.verdict = verdict_of(cluster, judgement, b, *decision.member);
        const Answer* a = member.answer ? member.answer->answer() : nullptr;
        decision.check_keeps_out = write && a != nullptr && is_fresh(member, cluster.poll, now) && a->code != 200;
      }
      decisions.push_back(std::move(decision));
    }
    if (backend.fallback_primary) fall_back(decisions, judgement, *state);
    alarm_strangers(seen, backend, *state, decisions, alarms);
    std::move(decisions.begin(), decisions.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<haproxy::Backend> desired(const ClusterConfig& cluster, const std::vector<Decision>& decisions) {
  std::vector<haproxy::Backend> backends;
  for (const BackendConfig& config : cluster.backends) {
    haproxy::Backend backend{config.name, config.serves == Serves::primary, {}};
    for (const Decision& decision : decisions) {
      if (decision.backend != config.name || !decision.member) continue;
      haproxy::Want want = haproxy::Want::leave;
      switch (decision.verdict.place) {
        case Place::in:
          want = haproxy::Want::in;
          break;
        case Place::out:
          want = haproxy::Want::out;
          break;
        case Place::drain:
          want = haproxy::Want::drain;
          break;
        case Place::leave:
          break;
      }
      backend.servers.push_back(
          {decision.server, want, decision.steering, decision.check_keeps_out, word(decision.verdict.reason)});
    }
    backends.push_back(std::move(backend));
  }
  return backends;
}

}  // namespace controller
