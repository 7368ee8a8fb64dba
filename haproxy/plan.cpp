#include "haproxy/plan.h"

#include <algorithm>

namespace haproxy {
namespace {

/// A lease needs a check that must pass, or fail, twice: with one, nothing is seen to move before the flip.
bool down_is_a_lease(const Check& check) {
  return check.rise != 1;
}

/// Would the next failed check, or the one after it, take it out?
bool up_is_slipping(const Check& check) {
  return check.rise > 0 && check.fall > 1 && check.health < check.rise + check.fall - 1;
}

/// The commands that bring one server to where it is wanted.
class Mover {
 public:
  Mover(const Backend& backend, const DesiredServer& wanted, const Server& server, bool ours)
      : backend_(backend), wanted_(wanted), server_(server), held_(ours && (server.in_maint() || server.in_drain())) {}

  std::vector<Step> steps() {
    const bool health = wanted_.steering == Steering::health;
    switch (wanted_.want) {
      case Want::in:
        health ? in_by_health() : in_by_admin();
        break;
      case Want::out:
        health ? out_by_health() : out_by_admin();
        break;
      case Want::drain:
        if (!server_.in_drain()) add(Command::state_drain);
        break;
      case Want::leave:
        // A health lease expires alone; a maint of ours would not.
        if (health && server_.in_maint()) give_back();
        break;
    }
    return std::move(steps_);
  }

 private:
  void in_by_health() {
    if (held_) add(Command::state_ready);
    // After maint it is up, but falls at the first failed check.
    if (server_.in_maint() || server_.op_state == OperationalState::stopped || server_.op_state == OperationalState::stopping ||
        up_is_slipping(server_.check))
      add(Command::health_up);
  }

  void in_by_admin() {
    if (held_) add(Command::state_ready);
  }

  void out_by_health() {
    if (!down_is_a_lease(server_.check) && !wanted_.check_keeps_out) {
      if (!server_.in_maint()) add(Command::state_maint);
      return;
    }
    if (server_.in_maint()) return give_back();
    if (server_.op_state != OperationalState::stopped || server_.check.health > 0) add(Command::health_down);
    if (held_) add(Command::state_ready);
  }

  void out_by_admin() {
    if (!server_.in_maint()) add(Command::state_maint);
  }

  /// From maint to its own check, down: anything shorter lets connections through.
  void give_back() {
    add(Command::state_drain);
    add(Command::health_down);
    add(Command::state_ready);
  }

  void add(Command command) { steps_.push_back({backend_.name, server_.name, command, wanted_.reason}); }

  const Backend& backend_;
  const DesiredServer& wanted_;
  const Server& server_;
  bool held_;
  std::vector<Step> steps_;
};

void append(std::vector<Step>& to, std::vector<Step> steps) {
  std::move(steps.begin(), steps.end(), std::back_inserter(to));
}

void diff_hold(const Backend& backend, const Holds& holds, Plan& plan) {
  const auto known = holds.find(backend.name);
  const auto left = known == holds.end() ? std::chrono::milliseconds(0) : known->second.left;
  if (backend.hold == HoldWish::hold && left <= kHoldRenew) plan.holds.push_back({backend.name, kHoldLease});
  if (backend.hold == HoldWish::release && left.count() > 0)
    plan.releases.push_back({backend.name, std::chrono::milliseconds(0)});
}

void diff_backend(const Backend& backend, const BackendState& state, const std::set<ServerName>& ours, Plan& plan) {
  std::vector<Step> in;
  std::vector<Step> out;
  for (const DesiredServer& wanted : backend.servers) {
    const Server* server = state.find(wanted.name);
    if (server == nullptr) continue;
    const ServerName name{backend.name, wanted.name};
    if (wanted.want == Want::out && server->sessions > 0)
      (backend.one_writer ? plan.fences : plan.read_fences).push_back({backend.name, wanted.name, wanted.reason});
    const bool is_ours = ours.contains(name);
    if ((server->in_maint() || server->in_drain()) && !is_ours) {
      plan.operators.push_back(name);
      continue;
    }
    auto steps = Mover(backend, wanted, *server, is_ours).steps();
    Server then = *server;
    for (const Step& step : steps) carry_out(step.command, then);
    if (then.in_maint() || then.in_drain()) plan.ours.insert(name);
    append(wanted.want == Want::in ? in : out, std::move(steps));
  }
  append(backend.one_writer ? plan.in : plan.reads, std::move(in));
  append(backend.one_writer ? plan.out : plan.reads, std::move(out));
}

/// How many more of those that are queued `set maxconn server` lets in.
unsigned room(const BackendState& backend, const Server& server) {
  if (!server.usable() || server.maxconn <= server.sessions) return 0;
  return std::min(backend.queued, server.maxconn - server.sessions);
}

}  // namespace

const char* word(Want want) {
  switch (want) {
    case Want::in:
      return "in";
    case Want::out:
      return "out";
    case Want::drain:
      return "drain";
    case Want::leave:
      return "leave";
  }
  return "?";
}

const char* word(Steering steering) {
  return steering == Steering::health ? "health" : "admin state";
}

const char* word(Command command) {
  switch (command) {
    case Command::health_up:
      return "health up";
    case Command::health_down:
      return "health down";
    case Command::state_ready:
      return "state ready";
    case Command::state_drain:
      return "state drain";
    case Command::state_maint:
      return "state maint";
  }
  return "?";
}

std::string Step::line() const {
  return "set server " + backend + "/" + server + " " + word(command);
}

std::string Limit::line() const {
  return "set maxconn server " + backend + "/" + server + " " + std::to_string(maxconn);
}

Plan diff(const std::vector<Backend>& desired, const Running& running, const std::set<ServerName>& ours,
          const std::vector<Limit>& limits) {
  Plan plan;
  for (const Backend& backend : desired) {
    const BackendState* state = running.find(backend.name);
    if (state == nullptr) continue;
    if (running.holds) diff_hold(backend, *running.holds, plan);
    diff_backend(backend, *state, ours, plan);
  }
  for (const Limit& limit : limits) {
    const Server* server = running.find(limit.backend, limit.server);
    if (server == nullptr) continue;
    if (server->maxconn != limit.maxconn || room(*running.find(limit.backend), *server) > 0) plan.limits.push_back(limit);
  }
  return plan;
}

void carry_out(Command command, Server& server) {
  const int full = std::max(server.check.rise, 1) + std::max(server.check.fall, 1) - 1;
  switch (command) {
    case Command::health_up:
      server.check.health = full;
      if (!server.in_maint()) server.op_state = OperationalState::running;
      break;
    case Command::health_down:
      server.check.health = 0;
      server.op_state = OperationalState::stopped;
      break;
    case Command::state_ready:
      if (server.in_maint()) {
        server.op_state = OperationalState::running;
        server.check.health = std::max(server.check.rise, 1);
      }
      server.admin_state &= ~(kAdminForcedMaint | kAdminForcedDrain);
      break;
    case Command::state_drain:
      if (server.in_maint()) {
        server.op_state = OperationalState::running;
        server.check.health = std::max(server.check.rise, 1);
      }
      server.admin_state = (server.admin_state & ~kAdminForcedMaint) | kAdminForcedDrain;
      break;
    case Command::state_maint:
      server.admin_state = (server.admin_state & ~kAdminForcedDrain) | kAdminForcedMaint;
      server.op_state = OperationalState::stopped;
      break;
  }
}

Running after(const Plan& plan, const Running& running) {
  Running then = running;
  const auto find = [&then](const std::string& backend, const std::string& server) {
    return const_cast<Server*>(then.find(backend, server));  // `then` is ours and not const
  };
  for (const auto* steps : {&plan.out, &plan.in, &plan.reads}) {
    for (const Step& step : *steps) {
      if (Server* server = find(step.backend, step.server)) carry_out(step.command, *server);
    }
  }
  for (const auto* leases : {&plan.holds, &plan.releases}) {
    for (const Lease& lease : *leases) {
      if (then.holds) (*then.holds)[lease.backend].left = lease.length;
    }
  }
  for (const auto* fences : {&plan.fences, &plan.read_fences}) {
    for (const Fence& fence : *fences) {
      if (Server* server = find(fence.backend, fence.server)) server->sessions = 0;
    }
  }
  for (const Limit& limit : plan.limits) {
    Server* server = find(limit.backend, limit.server);
    if (server == nullptr) continue;
    server->maxconn = limit.maxconn;
    auto& backend = const_cast<BackendState&>(*then.find(limit.backend));
    const unsigned let_in = room(backend, *server);
    server->sessions += let_in;
    backend.queued -= let_in;
  }
  return then;
}

std::vector<std::string> usable_servers(const BackendState& backend) {
  std::vector<std::string> names;
  for (const Server& server : backend.servers) {
    if (server.usable() && !server.backup) names.push_back(server.name);
  }
  return names;
}

}  // namespace haproxy
