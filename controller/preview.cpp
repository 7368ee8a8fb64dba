#include "controller/preview.h"

#include <algorithm>

#include <fmt/format.h>

#include "haproxy/fragment.h"

namespace controller {
namespace {

std::string state_line(const haproxy::Server& server) {
  const char* admin = server.in_maint() ? "maint" : server.in_drain() ? "drain" : "ready";
  const char* operational = server.op_state == haproxy::OperationalState::stopped ? "down" : "up";
  std::string line = fmt::format("  server {} {} {} {}", server.name,
                                 server.ip.empty() ? "-" : haproxy::Address{server.ip, server.port}.text(), operational, admin);
  if (server.check.enabled && server.check.rise > 0)
    line += fmt::format(" health {}/{}", server.check.health, server.check.rise + server.check.fall - 1);
  return line;
}

std::string reason_for(const haproxy::Plan& plan, const std::string& backend, const std::string& server) {
  for (const auto* steps : {&plan.out, &plan.in, &plan.reads}) {
    for (const haproxy::Step& step : *steps) {
      if (step.backend == backend && step.server == server) return step.reason;
    }
  }
  return {};
}

/// The servers of the steered backends, a line each; the reason stands on the lines that change.
std::string states_text(const Decided& decided, const haproxy::Running& running) {
  std::string text;
  for (const haproxy::Backend& backend : decided.desired) {
    const haproxy::BackendState* state = running.find(backend.name);
    if (state == nullptr) continue;
    text += "backend " + backend.name + "\n";
    for (const haproxy::Server& server : state->servers) {
      const std::string reason = reason_for(decided.plan, backend.name, server.name);
      text += state_line(server) + (reason.empty() ? "" : "  # " + reason) + "\n";
    }
  }
  return text;
}

std::string commands_text(const haproxy::Plan& plan, const haproxy::Running& running) {
  std::string text;
  const auto steps = [&](const std::vector<haproxy::Step>& list) {
    for (const haproxy::Step& step : list) text += fmt::format("would send: {}  # {}\n", step.line(), step.reason);
  };
  const auto fences = [&](const std::vector<haproxy::Fence>& list) {
    for (const haproxy::Fence& fence : list) {
      const haproxy::Server* server = running.find(fence.backend, fence.server);
      text += fmt::format("would end {} sessions on {}/{}  # {}\n", server == nullptr ? 0 : server->sessions, fence.backend,
                          fence.server, fence.reason);
    }
  };
  const auto leases = [&](const std::vector<haproxy::Lease>& list) {
    for (const haproxy::Lease& lease : list)
      text += fmt::format("would send: {}\n", haproxy::hold_line(lease.backend, lease.length));
  };
  leases(plan.holds);
  steps(plan.out);
  fences(plan.fences);
  for (const haproxy::Limit& limit : plan.limits) text += fmt::format("would send: {}  # {}\n", limit.line(), limit.reason);
  steps(plan.in);
  leases(plan.releases);
  steps(plan.reads);
  fences(plan.read_fences);
  return text;
}

}  // namespace

std::string preview_text(const Loop::Preview& preview, const Config& config) {
  const haproxy::Plan& plan = preview.decided.plan;
  std::string text =
      haproxy::unified_diff(states_text(preview.decided, preview.running),
                            states_text(preview.decided, haproxy::after(plan, preview.running)), "HAProxy now", "HAProxy then");
  text += commands_text(plan, preview.running);
  if (preview.fragment && preview.fragment->write) {
    const std::string path = config.haproxy.fragment.string();
    text += haproxy::unified_diff(preview.fragment->before, preview.fragment->bytes, path, path);
    text += fmt::format("would write: {}\n", path);
  }
  if (preview.fragment && preview.fragment->reload) {
    text += fmt::format("would reload HAProxy  # {}\n", preview.fragment->why);
    for (const haproxy::Backend& backend : preview.decided.desired) {
      if (!backend.one_writer) continue;
      for (const haproxy::DesiredServer& server : backend.servers) {
        if (server.want == haproxy::Want::out)
          text += fmt::format("would end sessions on {}/{} on old workers  # {}\n", backend.name, server.name, server.reason);
      }
    }
  }
  if (text.empty()) return text;
  std::string alarms;
  for (std::size_t c = 0; c < preview.decided.alarms.size(); ++c) {
    for (const std::string& alarm : preview.decided.alarms[c])
      alarms += fmt::format("# ALARM {}: {}\n", config.clusters[c].scope, alarm);
  }
  return alarms + text;
}

}  // namespace controller
