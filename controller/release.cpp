// release: gives back what is held. Also the daemon's last word when it was killed.

#include <algorithm>
#include <thread>

#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include "controller/commands.h"
#include "controller/lock.h"
#include "controller/log.h"
#include "controller/publish.h"
#include "controller/session.h"

namespace controller {
namespace {

using haproxy::Command;

/// A write backend of servers that stay as set, in which the writer takes no connections: a switch was not begun or not ended.
bool switch_was_interrupted(const Loop::Preview& preview) {
  for (const haproxy::Backend& backend : preview.decided.desired) {
    if (!backend.one_writer) continue;
    for (const haproxy::DesiredServer& server : backend.servers) {
      if (server.steering != haproxy::Steering::admin || server.want != haproxy::Want::in) continue;
      const haproxy::Server* found = preview.running.find(backend.name, server.name);
      if (found != nullptr && !found->usable() && preview.decided.memories.ours.contains({backend.name, server.name}))
        return true;
    }
  }
  return false;
}

/// The commands that give back every drain, and every maint but those that keep servers of the second kind apart (`all`: those
/// too).
std::vector<haproxy::Step> give_back(const Loop::Preview& preview, bool all) {
  std::vector<haproxy::Step> steps;
  for (const haproxy::Backend& backend : preview.decided.desired) {
    for (const haproxy::DesiredServer& wanted : backend.servers) {
      const haproxy::Server* server = preview.running.find(backend.name, wanted.name);
      if (server == nullptr || !preview.decided.memories.ours.contains({backend.name, wanted.name})) continue;
      const auto add = [&](Command command) { steps.push_back({backend.name, wanted.name, command, "release"}); };
      const bool by_health = wanted.steering == haproxy::Steering::health;
      if (server->in_maint() && by_health) {
        // Anything shorter lets connections through before its own check has spoken.
        add(Command::state_drain);
        add(Command::health_down);
        add(Command::state_ready);
      } else if (server->in_drain() || (server->in_maint() && all)) {
        add(Command::state_ready);
      }
    }
  }
  // Also what a backend that is no longer configured still has of ours.
  for (const haproxy::ServerName& name : preview.decided.memories.ours) {
    const haproxy::Server* server = preview.running.find(name.first, name.second);
    const bool steered = std::any_of(preview.decided.desired.begin(), preview.decided.desired.end(),
                                     [&](const haproxy::Backend& backend) { return backend.name == name.first; });
    if (!steered && server != nullptr && (server->in_drain() || all))
      steps.push_back({name.first, name.second, Command::state_ready, "release"});
  }
  return steps;
}

/// The servers whose maint is ours and is not given back.
std::string what_stays(const Loop::Preview& preview, bool all) {
  std::string names;
  for (const haproxy::Backend& backend : preview.decided.desired) {
    for (const haproxy::DesiredServer& wanted : backend.servers) {
      const haproxy::Server* server = preview.running.find(backend.name, wanted.name);
      if (all || server == nullptr || !server->in_maint() || wanted.steering != haproxy::Steering::admin) continue;
      if (preview.decided.memories.ours.contains({backend.name, wanted.name})) names += " " + backend.name + "/" + wanted.name;
    }
  }
  return names;
}

/// Sends the plan, then what is left of the ramps, until every maxconn is what it was.
bool carry_out(haproxy::Plan plan, haproxy::Running running, Ramps ramps, haproxy::Talk& talk) {
  haproxy::World world{talk, [] { return haproxy::BootClock::now(); },
                       [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }};
  const Instant until = world.now() + kRampLinger + std::chrono::seconds(1);
  for (;;) {
    for (const haproxy::Limit& limit : plan.limits) fmt::print("{}\n", limit.line());
    for (const haproxy::Step& step : plan.reads) fmt::print("{}\n", step.line());
    auto steered = haproxy::apply(plan, running, world, world.now() + kStalePlan);
    for (const std::string& trouble : steered.troubles) spdlog::error("{}", trouble);
    if (!steered.confirmed) return false;
    running = std::move(steered.running);
    plan = haproxy::diff({}, running, {}, end_ramps(running, world.now(), ramps));
    if (ramps.empty()) return true;
    if (world.now() >= until) return false;
    world.pause(std::chrono::milliseconds(5));
  }
}

int release(Session& session, bool all) {
  const auto fail = [](const haproxy::Error& error) {
    spdlog::error("{}", error.text());
    return 1;
  };
  session.await_first_answers();
  auto preview = session.loop.preview(session.board.snapshot());
  if (!preview) return fail(preview.error());
  if (switch_was_interrupted(*preview)) {
    if (session.round().failed) {
      spdlog::error("an interrupted switch could not be finished");
      return 1;
    }
    fmt::print("finished an interrupted switch\n");
    preview = session.loop.preview(session.board.snapshot());
    if (!preview) return fail(preview.error());
  }
  Ramps ramps = preview->decided.memories.ramps;
  haproxy::Plan plan = haproxy::diff({}, preview->running, {}, end_ramps(preview->running, haproxy::BootClock::now(), ramps));
  plan.reads = give_back(*preview, all);
  const bool nothing = plan.nothing_to_send();
  const bool done = carry_out(std::move(plan), preview->running, std::move(ramps), session.socket);
  if (const std::string kept = what_stays(*preview, all); !kept.empty()) {
    fmt::print("in maint as set, since their own checks cannot tell roles (--all frees them):{}\n", kept);
  } else if (nothing) {
    fmt::print("nothing is held\n");
  }
  if (session.loop.preview(session.board.snapshot())) session.loop.save(session.board.snapshot());
  return done ? 0 : 1;
}

}  // namespace

int release_command(const Options& options) {
  auto config = read_config(options.config);
  if (!config) return print_complaints(config.error());
  start_log(LogLevel::warning, config->log_format);
  if (config->haproxy.observe) {
    fmt::print("observing only: nothing is held\n");
    return 0;
  }
  const auto lock = Lock::take(steering_socket(*config), config->state, Held::once, std::chrono::seconds(5));
  if (!lock) {
    spdlog::error("{}", lock.error().text());
    return 1;
  }
  if (!*lock) {
    spdlog::error("another pointsman (pid {}) steers this HAProxy: stop it first, or it will take back what is released",
                  lock->error().pid);
    return 1;
  }
  Session session(std::move(*config));
  return release(session, options.all);
}

}  // namespace controller
