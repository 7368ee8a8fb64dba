#include "controller/entry.h"

#include <fmt/format.h>

#include <algorithm>

#include "haproxy/hold.h"

namespace controller {
namespace {

std::string described(const Decision& decision) {
  std::string text = fmt::format("{} ({})", word(decision.verdict.place), word(decision.verdict.reason));
  if (decision.member && decision.steering == haproxy::Steering::admin) text += " by admin state";
  return text;
}

const Decision* find(const std::vector<Decision>& decisions, const Decision& like) {
  const auto found = std::find_if(decisions.begin(), decisions.end(), [&](const Decision& decision) {
    return decision.backend == like.backend && decision.server == like.server;
  });
  return found == decisions.end() ? nullptr : &*found;
}

std::string writer(const ConcludedCluster& cluster) {
  return fmt::format("{} ({})", cluster.writer.empty() ? "none" : cluster.writer, word(cluster.writer_state));
}

bool same(const Decision& a, const Decision& b) {
  return a.verdict.place == b.verdict.place && a.verdict.reason == b.verdict.reason && a.steering == b.steering &&
         a.member == b.member;
}

void compare_servers(const ConcludedCluster& before, const ConcludedCluster& after, std::vector<std::string>& lines) {
  for (const Decision& was : before.decisions) {
    const Decision* is = find(after.decisions, was);
    if (is != nullptr && same(was, *is)) continue;
    lines.push_back(
        fmt::format("{}/{}: {}, now {}", was.backend, was.server, described(was), is == nullptr ? "nothing" : described(*is)));
  }
  for (const Decision& is : after.decisions) {
    if (find(before.decisions, is) == nullptr)
      lines.push_back(fmt::format("{}/{}: nothing, now {}", is.backend, is.server, described(is)));
  }
}

std::string joined(const std::vector<std::string>& words) {
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, "; "));
}

void append(std::vector<std::string>& lines, const std::vector<haproxy::Step>& steps) {
  for (const haproxy::Step& step : steps) lines.push_back(step.line());
}

void append(std::vector<std::string>& lines, const std::vector<haproxy::Fence>& fences) {
  for (const haproxy::Fence& fence : fences) lines.push_back("end sessions on " + fence.backend + "/" + fence.server);
}

void append(std::vector<std::string>& lines, const std::vector<haproxy::Lease>& leases) {
  for (const haproxy::Lease& lease : leases) lines.push_back(haproxy::hold_line(lease.backend, lease.length));
}

}  // namespace

Conclusion conclude(const Decided& decided) {
  Conclusion conclusion;
  for (std::size_t c = 0; c < decided.judgements.size(); ++c) {
    const Topology& topology = decided.judgements[c].topology;
    conclusion.clusters.push_back({topology.scope, topology.writer_state,
                                   topology.writer ? topology.members[*topology.writer].url : std::string(),
                                   decided.holds[c].reason, decided.alarms[c], decided.decisions[c]});
  }
  conclusion.plan = decided.plan;
  conclusion.fragment = decided.fragment;
  return conclusion;
}

Decided decide_again(const Evidence& evidence) {
  return decide(evidence.config, evidence.seen, evidence.running, evidence.memories, evidence.now);
}

std::vector<std::string> commands(const haproxy::Plan& plan) {
  std::vector<std::string> lines;
  append(lines, plan.holds);
  append(lines, plan.out);
  append(lines, plan.fences);
  for (const haproxy::Limit& limit : plan.limits) lines.push_back(limit.line());
  append(lines, plan.in);
  append(lines, plan.releases);
  append(lines, plan.reads);
  append(lines, plan.read_fences);
  return lines;
}

std::vector<std::string> other_verdicts(const Conclusion& before, const Conclusion& after) {
  std::vector<std::string> lines;
  if (before.clusters.size() != after.clusters.size()) lines.emplace_back("the clusters are others");
  for (std::size_t c = 0; c < std::min(before.clusters.size(), after.clusters.size()); ++c) {
    const ConcludedCluster& was = before.clusters[c];
    const ConcludedCluster& is = after.clusters[c];
    if (was.scope != is.scope) lines.push_back(fmt::format("scope {}, now {}", was.scope, is.scope));
    if (writer(was) != writer(is))
      lines.push_back(fmt::format("scope {}: writer {}, now {}", is.scope, writer(was), writer(is)));
    if (was.hold != is.hold)
      lines.push_back(fmt::format("scope {}: new connections wait: {}, now {}", is.scope, word(was.hold), word(is.hold)));
    if (was.alarms != is.alarms)
      lines.push_back(fmt::format("scope {}: alarms: {}, now {}", is.scope, joined(was.alarms), joined(is.alarms)));
    compare_servers(was, is, lines);
  }
  if (before.fragment != after.fragment) lines.emplace_back("the fragment is another");
  return lines;
}

std::vector<std::string> differences(const Conclusion& before, const Conclusion& after) {
  std::vector<std::string> lines = other_verdicts(before, after);
  const std::string was = joined(commands(before.plan));
  const std::string is = joined(commands(after.plan));
  if (was != is) lines.push_back(fmt::format("commands: {}, now {}", was, is));
  return lines;
}

}  // namespace controller
