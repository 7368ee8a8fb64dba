// once and plan: the same round as the daemon's, once; plan stops where it would begin to touch the world.

#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include "controller/commands.h"
#include "controller/lock.h"
#include "controller/log.h"
#include "controller/preview.h"
#include "controller/publish.h"
#include "controller/session.h"

namespace controller {
namespace {

constexpr std::chrono::seconds kLockWait{5};
/// A writer that wavers is asked again for a little longer than a hold: what came of it is better than "it wavers".
constexpr std::chrono::milliseconds kWaver = kHold + std::chrono::milliseconds(300);

int report(const Outcome& outcome, const Published& published) {
  if (!published.haproxy_error.empty()) fmt::print(stderr, "{}\n", published.haproxy_error);
  for (const PublishedCluster& cluster : published.clusters) {
    const auto& topology = cluster.topology;
    const std::string writer = topology.writer ? topology.members[*topology.writer].name : "none";
    fmt::print("scope {}: writer {} ({}), {}\n", cluster.scope, writer, word(topology.writer_state),
               outcome.changed ? "changed" : "in order");
  }
  if (outcome.failed) return 1;
  return outcome.writer_known ? 0 : 3;
}

}  // namespace

int once_command(const Options& options) {
  auto config = read_config(options.config);
  if (!config) return print_complaints(config.error());
  start_log(config->log_level, config->log_format);
  const auto lock = Lock::take(steering_socket(*config), config->state, Held::once, kLockWait);
  if (!lock) {
    spdlog::error("{}", lock.error().text());
    return 1;
  }
  if (!*lock && lock->error().by == Held::run) {
    fmt::print("`pointsman run` (pid {}) steers this HAProxy: nothing to do\n", lock->error().pid);
    return 0;
  }
  if (!*lock) {
    fmt::print(stderr, "another `pointsman once` (pid {}) has been at work for {} s\n", lock->error().pid, kLockWait.count());
    return 4;
  }
  Session session(std::move(*config), JournalStart::go_on);
  session.await_first_answers();
  Outcome outcome = session.round();
  const Instant until = haproxy::BootClock::now() + kWaver;
  bool changed = outcome.changed;
  const Instant ramps_until = haproxy::BootClock::now() + kLongestRamp;
  const auto more = [&](Instant now) {
    return ((outcome.holding || outcome.failed) && now < until) || (outcome.ramping && now < ramps_until);
  };
  while (more(haproxy::BootClock::now())) {
    session.board.wait(session.board.version(), haproxy::BootClock::now() + kLookEvery);
    outcome = session.round();
    changed = changed || outcome.changed;
  }
  outcome.changed = changed;
  return report(outcome, session.loop.published());
}

int plan_command(const Options& options) {
  auto config = read_config(options.config);
  if (!config) return print_complaints(config.error());
  start_log(LogLevel::error, config->log_format);
  Session session(std::move(*config));
  session.await_first_answers();
  const auto preview = session.loop.preview(session.board.snapshot());
  if (!preview) {
    fmt::print(stderr, "{}\n", preview.error().text());
    return 1;
  }
  const std::string text = preview_text(*preview, session.config);
  fmt::print("{}", text.empty() ? "nothing to do\n" : text);
  return text.empty() ? 0 : 2;
}

}  // namespace controller
