#include "controller/publish.h"

#include <algorithm>
#include <chrono>
#include <iterator>

namespace controller {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

/// The members that HAProxy's usable servers of the write backends belong to, each named once.
std::vector<std::size_t> members_in(const ClusterConfig& cluster, const ClusterSnapshot& seen,
                                    const haproxy::Running& running) {
  std::vector<std::size_t> in;
  for (const BackendConfig& backend : cluster.backends) {
    const haproxy::BackendState* state = running.find(backend.name);
    if (backend.serves != Serves::primary || state == nullptr) continue;
    for (const haproxy::Server& server : state->servers) {
      const auto member = server.usable() && !server.backup ? find_member(server, seen.members) : std::nullopt;
      if (member && std::find(in.begin(), in.end(), *member) == in.end()) in.push_back(*member);
    }
  }
  return in;
}

/// How the write backends look against what was judged.
struct Writing {
  bool nobody_else = true;  ///< no server but the writer's is usable
  bool writer_in = true;    ///< the writer's is usable in each of them
};

Writing look_at_writing(const ClusterConfig& cluster, const Topology& topology, const std::vector<Decision>& decisions,
                        const haproxy::Running& running) {
  Writing writing;
  writing.writer_in = topology.writer.has_value();
  for (const BackendConfig& backend : cluster.backends) {
    if (backend.serves != Serves::primary) continue;
    bool writer_here = false;
    for (const Decision& decision : decisions) {
      const haproxy::Server* server = decision.backend == backend.name ? running.find(backend.name, decision.server) : nullptr;
      if (server == nullptr || !server->usable() || server->backup) continue;
      if (decision.member && decision.member == topology.writer) {
        writer_here = true;
      } else {
        writing.nobody_else = false;
      }
    }
    writing.writer_in = writing.writer_in && writer_here;
  }
  return writing;
}

void publish_holds(const ClusterConfig& config, const haproxy::Running& running, PublishedCluster& cluster) {
  if (!running.holds) return;
  cluster.hold_in_force = true;
  for (const BackendConfig& backend : config.backends) {
    const haproxy::BackendState* state = running.find(backend.name);
    if (backend.serves != Serves::primary || state == nullptr) continue;
    const auto known = running.holds->find(backend.name);
    const PublishedHold hold{backend.name, known == running.holds->end() ? haproxy::HoldState{} : known->second};
    // Without a usable server they wait of themselves.
    cluster.hold_in_force = cluster.hold_in_force && (hold.state.left.count() > 0 || haproxy::usable_servers(*state).empty());
    cluster.holds.push_back(hold);
  }
}

bool anybody_answers(const ClusterSnapshot& seen) {
  return std::any_of(seen.members.begin(), seen.members.end(),
                     [](const Sighting& member) { return member.answer && !member.silence; });
}

PublishedServer publish_server(const Decision& decision, const Topology& topology, const haproxy::Server& server) {
  PublishedServer published;
  published.backend = decision.backend;
  published.server = decision.server;
  if (!server.ip.empty()) published.address = haproxy::Address{server.ip, server.port}.text();
  if (decision.member) published.member = topology.members[*decision.member].name;
  published.usable = server.usable();
  published.backup = server.backup;
  published.admin = server.in_maint() ? "maint" : server.in_drain() ? "drain" : "ready";
  published.operational = word(server.op_state);
  published.steering = decision.member ? haproxy::word(decision.steering) : "nobody";
  published.sessions = server.sessions;
  published.maxconn = server.maxconn;
  published.wanted = decision.verdict.place;
  published.reason = decision.verdict.reason;
  published.evidence = decision.verdict.evidence;
  return published;
}

/// The clocks' seconds turn at different moments: what was saved stays as it was.
std::int64_t same_second(std::int64_t second, std::int64_t saved) {
  return std::abs(second - saved) <= 1 ? saved : second;
}

}  // namespace

const std::filesystem::path& steering_socket(const Config& config) {
  return config.haproxy.socket.empty() ? config.haproxy.master_socket : config.haproxy.socket;
}

Memory first_memory(const ClusterConfig& cluster, const ClusterSnapshot& seen, const Remembered& remembered,
                    const haproxy::Running& running, std::int64_t unix_now, Instant now) {
  Memory memory;
  const auto in = members_in(cluster, seen, running);
  if (in.size() == 1) {
    memory.holder = seen.members[in.front()].url;
    memory.silent_since = now;
  }
  const auto known = std::find_if(remembered.clusters.begin(), remembered.clusters.end(),
                                  [&](const RememberedCluster& other) { return other.scope == cluster.scope; });
  if (known == remembered.clusters.end()) return memory;
  memory.system_identifier = known->system_identifier;
  memory.timeline = known->timeline;
  if (known->holder == memory.holder && known->silent_since > 0)
    memory.silent_since = now - seconds(std::max<std::int64_t>(unix_now - known->silent_since, 0));
  return memory;
}

Remembered to_remember(const Memories& memories, const Snapshot& seen, const Remembered& saved, std::int64_t unix_now,
                       Instant now) {
  Remembered remembered;
  remembered.worker = memories.worker;
  remembered.ours = memories.ours;
  for (const auto& [name, ramp] : memories.ramps) remembered.ramps[name] = {ramp.original, ramp.course.start, ramp.course.over};
  for (const auto& [name, check] : memories.checks) {
    if (check.steering == haproxy::Steering::admin) remembered.by_admin.insert(name);
    if (!check.passes_wrongly_since) continue;
    const auto before = saved.passes_wrongly_since.find(name);
    remembered.passes_wrongly_since[name] =
        same_second(unix_now - duration_cast<seconds>(now - *check.passes_wrongly_since).count(),
                    before == saved.passes_wrongly_since.end() ? 0 : before->second);
  }
  for (std::size_t c = 0; c < seen.clusters.size() && c < memories.clusters.size(); ++c) {
    const ClusterSnapshot& cluster = seen.clusters[c];
    const Memory& memory = memories.clusters[c];
    RememberedCluster known{cluster.scope,
                            memory.holder,
                            memory.system_identifier,
                            memory.timeline,
                            0,
                            cluster.timings.ttl,
                            cluster.timings.loop_wait,
                            {}};
    if (memory.silent_since) {
      const auto before = std::find_if(saved.clusters.begin(), saved.clusters.end(),
                                       [&](const RememberedCluster& other) { return other.scope == cluster.scope; });
      known.silent_since = same_second(unix_now - duration_cast<seconds>(now - *memory.silent_since).count(),
                                       before == saved.clusters.end() ? 0 : before->silent_since);
    }
    for (const Sighting& member : cluster.members) {
      if (!member.postgres_host.empty())
        known.members.push_back({member.url, member.name, member.postgres_host, member.postgres_port});
    }
    remembered.clusters.push_back(std::move(known));
  }
  return remembered;
}

Snapshot first_snapshot(const Config& config, const Remembered& remembered) {
  Snapshot snapshot;
  for (const ClusterConfig& cluster : config.clusters) {
    ClusterSnapshot& seen = snapshot.clusters.emplace_back();
    seen.scope = cluster.scope;
    const auto known = std::find_if(remembered.clusters.begin(), remembered.clusters.end(),
                                    [&](const RememberedCluster& other) { return other.scope == cluster.scope; });
    if (known != remembered.clusters.end()) seen.timings = {known->ttl, known->loop_wait};
    for (const MemberUrl& url : cluster.members) {
      Sighting& member = seen.members.emplace_back();
      member.url = url.url;
      member.api_port = url.port;
      if (auto ip = haproxy::parse_ip(url.host)) member.api_ip = std::move(*ip);
      if (known == remembered.clusters.end()) continue;
      for (const RememberedMember& before : known->members) {
        if (before.url != url.url) continue;
        member.name = before.name;
        member.postgres_host = before.host;
        member.postgres_port = before.port;
        if (auto ip = haproxy::parse_ip(before.host)) member.postgres = haproxy::Address{std::move(*ip), before.port};
      }
    }
  }
  return snapshot;
}

std::vector<haproxy::Fence> fences_for_all(const std::vector<haproxy::Backend>& desired) {
  std::vector<haproxy::Fence> fences;
  for (const haproxy::Backend& backend : desired) {
    if (!backend.one_writer) continue;
    for (const haproxy::DesiredServer& server : backend.servers) {
      if (server.want == haproxy::Want::out) fences.push_back({backend.name, server.name, server.reason});
    }
  }
  return fences;
}

std::vector<PublishedCluster> publish_clusters(const Config& config, const Snapshot& seen, const Decided& decided,
                                               const haproxy::Running& running, bool confirmed) {
  std::vector<PublishedCluster> clusters;
  for (std::size_t c = 0; c < config.clusters.size(); ++c) {
    const Topology& topology = decided.judgements[c].topology;
    PublishedCluster cluster;
    cluster.scope = config.clusters[c].scope;
    cluster.topology = topology;
    cluster.members = seen.clusters[c].members;
    cluster.bad_answers = seen.clusters[c].refused;
    cluster.hold = decided.holds[c].reason;
    cluster.topology.alarms = decided.alarms[c];
    for (const Decision& decision : decided.decisions[c]) {
      const haproxy::Server* server = running.find(decision.backend, decision.server);
      if (server == nullptr) continue;
      cluster.servers.push_back(publish_server(decision, topology, *server));
      const bool held = std::find(decided.plan.operators.begin(), decided.plan.operators.end(),
                                  haproxy::ServerName{decision.backend, decision.server}) != decided.plan.operators.end();
      if (held) cluster.servers.back().reason = Reason::operators_hand;
    }
    const Writing writing = look_at_writing(config.clusters[c], topology, decided.decisions[c], running);
    cluster.writer_in = writing.writer_in && writing.nobody_else;
    // Waiting for the next writer is right while somebody can be heard; a pointsman that hears nobody cannot vouch for
    // anything.
    const bool waits = !topology.writer && anybody_answers(seen.clusters[c]);
    cluster.routes_right = confirmed && writing.nobody_else && (writing.writer_in || waits);
    publish_holds(config.clusters[c], running, cluster);
    clusters.push_back(std::move(cluster));
  }
  return clusters;
}

void count_round(Counters& counters, Duration took) {
  const double took_seconds = std::chrono::duration<double>(took).count();
  ++counters.rounds;
  counters.round_seconds_sum += took_seconds;
  const auto* bound = std::lower_bound(std::begin(kRoundBuckets), std::end(kRoundBuckets), took_seconds);
  ++counters.round_seconds_buckets[static_cast<std::size_t>(bound - std::begin(kRoundBuckets))];
}

}  // namespace controller
