#include "haproxy/steer.h"

#include <algorithm>
#include <string_view>

#include "haproxy/parse.h"

namespace haproxy {
namespace {

// HAProxy's limit is tune.bufsize, 16384 by default; 3.2 counts the whole line.
constexpr std::size_t kLongestLine = 15'000;
constexpr std::string_view kNumbered = "set severity-output number";

/// A command as it is sent, and as it is counted.
struct Order {
  std::string line;
  std::string word;
};

void append(std::vector<Order>& orders, const std::vector<Step>& steps) {
  for (const Step& step : steps) orders.push_back({step.line(), word(step.command)});
}

void append(std::vector<Order>& orders, const std::vector<Limit>& limits) {
  for (const Limit& limit : limits) orders.push_back({limit.line(), "set maxconn server"});
}

void append(std::vector<Order>& orders, const std::vector<Lease>& leases) {
  for (const Lease& lease : leases)
    orders.push_back({hold_line(lease.backend, lease.length), lease.length.count() > 0 ? "hold" : "release"});
}

/// Joins commands into as few lines as HAProxy takes.
std::vector<std::string> join_lines(const std::vector<std::string>& commands) {
  std::vector<std::string> lines;
  for (const std::string& command : commands) {
    if (lines.empty() || lines.back().size() + command.size() + 2 > kLongestLine) lines.emplace_back(kNumbered);
    lines.back().append("; ").append(command);
  }
  return lines;
}

bool send(const std::vector<Order>& orders, World& world, Steered& steered) {
  std::vector<std::string> commands;
  commands.reserve(orders.size());
  for (const Order& order : orders) {
    commands.push_back(order.line);
    ++steered.sent[order.word];
  }
  bool good = true;
  for (const std::string& line : join_lines(commands)) {
    const auto reply = world.talk.ask(To::worker(), line, kExchange);
    std::optional<std::string> trouble;
    if (!reply) {
      trouble = reply.error().text();
    } else if (auto words = complaint(*reply)) {
      trouble = "HAProxy refused: " + *words;
    }
    if (!trouble) continue;
    good = false;
    for (const Order& order : orders) ++steered.refused[order.word];
    steered.troubles.push_back(std::move(*trouble));
  }
  return good;
}

template <class... Parts>
bool send_all(World& world, Steered& steered, const Parts&... parts) {
  std::vector<Order> orders;
  (append(orders, parts), ...);
  return orders.empty() || send(orders, world, steered);
}

bool reread(World& world, Steered& steered) {
  auto seen = look(world.talk);
  steered.seen = seen.has_value();
  if (!seen) {
    steered.troubles.push_back(seen.error().text());
    return false;
  }
  steered.running = std::move(*seen);
  return true;
}

/// Backends of `out` steps in which a server that was to go is usable still.
std::set<std::string> still_usable(const std::vector<Step>& out, const Running& running, Steered& steered) {
  std::set<std::string> backends;
  for (const Step& step : out) {
    const Server* server = running.find(step.backend, step.server);
    if (server == nullptr || !server->usable() || !backends.insert(step.backend).second) continue;
    steered.troubles.push_back(step.backend + "/" + step.server + " is still usable after `" + step.line() + "`");
  }
  return backends;
}

/// Something of a one-line switch was refused: where an old writer is usable still, the new one goes out again.
void take_back(const Plan& plan, World& world, Steered& steered) {
  if (!reread(world, steered)) return;
  const auto stuck = still_usable(plan.out, steered.running, steered);
  std::vector<Step> back;
  for (const Step& step : plan.in) {
    if (!stuck.contains(step.backend)) continue;
    back.push_back(step);
    back.back().command = step.command == Command::health_up ? Command::health_down : Command::state_maint;
  }
  // Whoever was let go for the new writer waits again.
  std::vector<Lease> again;
  for (const Lease& lease : plan.releases) {
    if (stuck.contains(lease.backend)) again.push_back({lease.backend, kHoldLease});
  }
  send_all(world, steered, again, back);
}

unsigned sessions_on(const std::vector<Fence>& fences, const Running& running) {
  unsigned sessions = 0;
  for (const Fence& fence : fences) {
    if (const Server* server = running.find(fence.backend, fence.server)) sessions += server->sessions;
  }
  return sessions;
}

/// Ends sessions until `show stat` counts none, or kFenceWait is over.
void carry_out_fences(const std::vector<Fence>& fences, World& world, Steered& steered) {
  const Instant until = world.now() + kFenceWait;
  for (;;) {
    const auto ended = end_sessions(fences, To::worker(), world.talk);
    if (!ended) {
      steered.troubles.push_back(ended.error().text());
      return;
    }
    steered.sessions_ended += *ended;
    if (*ended > 0) steered.sent["shutdown session"] += *ended;
    if (!reread(world, steered)) return;
    // What is left is connecting still: not ours to kill, and it cannot reach a server that is out.
    if (*ended == 0 || sessions_on(fences, steered.running) == 0) return;
    if (world.now() >= until) {
      steered.troubles.push_back("sessions on " + fences.front().backend + "/" + fences.front().server +
                                 " have not ended within " + std::to_string(kFenceWait.count()) + " ms");
      return;
    }
    world.pause(std::chrono::milliseconds(5));
  }
}

/// Did every server become as usable as the plan meant it to, and take as many connections?
bool came_true(const Plan& plan, const Running& meant, Steered& steered) {
  bool all = true;
  for (const auto* steps : {&plan.out, &plan.in, &plan.reads}) {
    for (const Step& step : *steps) {
      const Server* wanted = meant.find(step.backend, step.server);
      const Server* is = steered.running.find(step.backend, step.server);
      if (wanted == nullptr || is == nullptr || wanted->usable() == is->usable()) continue;
      all = false;
      steered.troubles.push_back(step.backend + "/" + step.server + " is " + (is->usable() ? "usable" : "not usable") +
                                 " after `" + step.line() + "`");
    }
  }
  for (const Limit& limit : plan.limits) {
    const Server* is = steered.running.find(limit.backend, limit.server);
    if (is == nullptr || is->maxconn == limit.maxconn) continue;
    all = false;
    steered.troubles.push_back(limit.backend + "/" + limit.server + " has a maxconn of " + std::to_string(is->maxconn) +
                               " after `" + limit.line() + "`");
  }
  return all;
}

}  // namespace

Result<Running> look(Talk& talk) {
  auto reply = talk.ask(To::worker(), kLookLine, kExchange);
  if (!reply) return tl::unexpected(std::move(reply).error());
  auto running = parse_look(*reply);
  if (!running) return running;
  const auto holds = talk.ask(To::worker(), kShowHold, kExchange);
  if (!holds) return tl::unexpected(holds.error());
  // A command of this name that says something else is somebody else's.
  running->holds = parse_holds(*holds).value_or(std::nullopt);
  return running;
}

Result<bool> is_unchanged(Talk& talk, const Running& last, std::string& same_reply) {
  auto reply = talk.ask(To::worker(), kGlanceLine, kExchange);
  if (!reply) return tl::unexpected(std::move(reply).error());
  if (!same_reply.empty() && *reply == same_reply) return true;
  auto same = same_at_a_glance(*reply, last);
  same_reply = same && *same ? std::move(*reply) : std::string();
  return same;
}

Steered apply(const Plan& plan, const Running& running, World& world, Instant not_after) {
  Steered steered;
  steered.running = running;
  if (world.now() > not_after) {
    steered.troubles.emplace_back("a plan grew too old before it was sent, and was thrown away");
    return steered;
  }
  const Running meant = after(plan, running);
  bool good = true;
  std::vector<Step> in = plan.in;
  std::vector<Lease> releases = plan.releases;
  if (plan.fences.empty() && !plan.out.empty()) {
    good = send_all(world, steered, plan.holds, plan.out, plan.limits, in, plan.releases);
    if (!good) take_back(plan, world, steered);
  } else {
    good = send_all(world, steered, plan.holds, plan.out);
    if (!plan.out.empty()) {
      if (!reread(world, steered)) return steered;
      const auto stuck = still_usable(plan.out, steered.running, steered);
      std::erase_if(in, [&](const Step& step) { return stuck.contains(step.backend); });
      std::erase_if(releases, [&](const Lease& lease) { return stuck.contains(lease.backend); });
      good = good && stuck.empty();
    }
    if (!plan.fences.empty()) carry_out_fences(plan.fences, world, steered);
    if (world.now() > not_after + kFenceWait) {
      steered.troubles.emplace_back("a plan grew too old while it was carried out: the rest of it is decided anew");
      (void)reread(world, steered);
      return steered;
    }
    good = send_all(world, steered, plan.limits, in, releases) && good;
  }
  good = send_all(world, steered, plan.reads) && good;
  if (!plan.read_fences.empty()) carry_out_fences(plan.read_fences, world, steered);
  if (!reread(world, steered)) return steered;
  steered.confirmed = came_true(plan, meant, steered) && good;
  return steered;
}

Result<unsigned> end_sessions(const std::vector<Fence>& fences, To to, Talk& talk) {
  auto reply = talk.ask(to, "show sess", kExchange);
  if (!reply) return tl::unexpected(std::move(reply).error());
  auto sessions = parse_sessions(*reply);
  if (!sessions) return tl::unexpected(std::move(sessions).error());
  std::vector<std::string> commands;
  for (const Session& session : *sessions) {
    const bool wanted = session.established && std::any_of(fences.begin(), fences.end(), [&](const Fence& fence) {
                          return fence.backend == session.backend && fence.server == session.server;
                        });
    if (wanted) commands.push_back("shutdown session " + session.id);
  }
  for (const std::string& line : join_lines(commands)) {
    // A complaint here is "No such session": it ended by itself.
    if (auto sent = talk.ask(to, line, kExchange); !sent) return tl::unexpected(std::move(sent).error());
  }
  return static_cast<unsigned>(commands.size());
}

Result<std::vector<int>> old_workers(Talk& talk) {
  auto reply = talk.ask(To::master(), "show proc", kExchange);
  if (!reply) return tl::unexpected(std::move(reply).error());
  auto processes = parse_proc(*reply);
  if (!processes) return tl::unexpected(std::move(processes).error());
  std::vector<int> pids;
  for (const Process& process : processes->old_workers) pids.push_back(process.pid);
  return pids;
}

}  // namespace haproxy
