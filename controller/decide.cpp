#include "controller/decide.h"

#include <algorithm>
#include <utility>

#include "controller/claim.h"

namespace controller {
namespace {

/// srv_admin_state's bit for `disabled` in the file.
constexpr unsigned kAdminByFile = 0x04;

/// What a member is to HAProxy: a name, and PostgreSQL's address.
struct Identity {
  std::string name;
  std::string address;
};

std::optional<Identity> identify(const Sighting& member, const std::vector<Sighting>& members, std::size_t index,
                                 const haproxy::Running& running, const ClusterConfig& cluster) {
  if (member.postgres && !member.name.empty()) return Identity{member.name, member.postgres->text()};
  for (const BackendConfig& backend : cluster.backends) {
    const haproxy::BackendState* state = running.find(backend.name);
    if (state == nullptr) continue;
    for (const haproxy::Server& server : state->servers) {
      if (find_member(server, members) == index) return Identity{server.name, haproxy::Address{server.ip, server.port}.text()};
    }
  }
  return std::nullopt;
}

/// Where a member stands in a read backend of the file.
enum class Rank : std::uint8_t { reader, kept_out_by_check, left_out, backup };

Rank rank_reader(const Verdict& verdict, bool writer, bool fallback) {
  if (writer) return fallback ? Rank::backup : Rank::kept_out_by_check;
  switch (verdict.place) {
    case Place::in:
    case Place::leave:
      return Rank::reader;
    case Place::drain:
      return Rank::left_out;
    case Place::out:
      break;
  }
  const bool by_check = verdict.reason == Reason::not_replica || verdict.reason == Reason::not_running ||
                        verdict.reason == Reason::promoting || verdict.reason == Reason::noloadbalance;
  return by_check ? Rank::kept_out_by_check : Rank::left_out;
}

std::vector<std::pair<std::size_t, bool>> order_readers(const std::vector<Verdict>& verdicts, std::optional<std::size_t> writer,
                                                        bool fallback) {
  std::vector<std::pair<std::size_t, bool>> order;  // member, is backup
  const auto add = [&](Rank rank, bool backup) {
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
      if (rank_reader(verdicts[i], writer == i, fallback) == rank) order.emplace_back(i, backup);
    }
  };
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    const Rank rank = rank_reader(verdicts[i], writer == i, fallback);
    if (rank == Rank::reader || rank == Rank::kept_out_by_check) order.emplace_back(i, false);
  }
  const bool nobody = order.empty();
  if (nobody && !fallback) add(Rank::left_out, false);
  add(Rank::backup, true);
  return order;
}

/// As HAProxy has them: what a cluster without a writer keeps.
std::vector<std::pair<std::size_t, bool>> running_order(const BackendConfig& backend, const std::vector<Sighting>& members,
                                                        const haproxy::Running& running) {
  std::vector<std::pair<std::size_t, bool>> order;
  const haproxy::BackendState* state = running.find(backend.name);
  if (state == nullptr) return order;
  for (const haproxy::Server& server : state->servers) {
    if (const auto member = find_member(server, members)) order.emplace_back(*member, server.backup);
  }
  return order;
}

/// Until the worker has loaded the fragment that names it, nothing new goes in by runtime; reads are the file's and HAProxy's
/// own checks'. Where clients may be waiting, the writer goes in first: a worker that a reload leaves behind checks no server
/// any more (2.6 to 3.2), and whoever waits in it would wait to the end.
void leave_in_to_the_file(haproxy::Plan& plan, const haproxy::Running& running,
                          const std::optional<haproxy::Fragment>& fragment) {
  plan.reads.clear();
  if (running.holds || (fragment && has_loaded(running, *fragment))) return;
  std::erase_if(plan.in, [&](const haproxy::Step& step) {
    const haproxy::Server* server = running.find(step.backend, step.server);
    return server == nullptr || !server->usable();
  });
}

void alarm_missing(const Config& config, const Snapshot& seen, std::vector<std::vector<std::string>>& alarms) {
  for (std::size_t c = 0; c < config.clusters.size(); ++c) {
    for (const Sighting& member : seen.clusters[c].members) {
      const bool known = member.postgres && !member.name.empty();
      if (!known && member.silence)
        alarms[c].push_back("member " + member.url + " has never told its name and address: it may be missing in the fragment");
    }
  }
}

/// The writer, or whom new connections wait for, while it says nothing; at the first address that a write backend has for it,
/// or at PostgreSQL's own where one has that: a pooler may outlive it.
std::optional<Suspect> find_suspect(const ClusterConfig& cluster, const ClusterSnapshot& seen, const Topology& topology,
                                    const HoldMemory& hold, const std::vector<Decision>& decisions,
                                    const haproxy::Running& running, Instant now) {
  std::optional<Suspect> suspect;
  for (const Decision& decision : decisions) {
    const bool write = std::any_of(cluster.backends.begin(), cluster.backends.end(), [&](const BackendConfig& backend) {
      return backend.name == decision.backend && backend.serves == Serves::primary;
    });
    if (!write || !decision.member) continue;
    const Sighting& member = seen.members[*decision.member];
    const bool waited_for =
        hold.cause == HoldReason::not_accepting ? hold.holder == member.url : topology.writer == decision.member;
    const haproxy::Server* server = running.find(decision.backend, decision.server);
    if (!waited_for || !says_nothing_since(member, now) || server == nullptr || server->ip.empty()) continue;
    const haproxy::Address address{server->ip, server->port};
    const Duration took = member.answer ? member.answer->answered_at - member.answer->asked_at : Duration::zero();
    if (!suspect || address == member.postgres) suspect = Suspect{*decision.member, address, took};
  }
  return suspect;
}

/// `held`: the backends whose hold is ours.
void wish_holds(std::vector<haproxy::Backend>& backends, bool wanted, const haproxy::Running& running,
                std::set<std::string>& held) {
  for (haproxy::Backend& backend : backends) {
    if (!backend.one_writer) continue;
    if (!running.holds) {
      held.erase(backend.name);
      continue;
    }
    if (wanted) {
      backend.hold = haproxy::HoldWish::hold;
      held.insert(backend.name);
    } else if (held.contains(backend.name)) {
      backend.hold = haproxy::HoldWish::release;
      const auto known = running.holds->find(backend.name);
      if (known == running.holds->end() || known->second.left.count() == 0) held.erase(backend.name);
    }
  }
}

}  // namespace

std::optional<haproxy::Fragment> fragment_for(const Config& config, const Snapshot& seen,
                                              const std::vector<Judgement>& judgements, const haproxy::Running& running) {
  haproxy::Fragment fragment;
  bool any_writer = false;
  for (std::size_t c = 0; c < config.clusters.size(); ++c) {
    const ClusterConfig& cluster = config.clusters[c];
    const auto& members = seen.clusters[c].members;
    const auto writer = judgements[c].topology.writer;
    any_writer = any_writer || writer;
    std::vector<std::optional<Identity>> identities;
    for (std::size_t i = 0; i < members.size(); ++i) identities.push_back(identify(members[i], members, i, running, cluster));
    if (writer && !identities[*writer]) return std::nullopt;
    for (std::size_t b = 0; b < cluster.backends.size(); ++b) {
      const BackendConfig& backend = cluster.backends[b];
      const bool write = backend.serves == Serves::primary;
      std::vector<std::pair<std::size_t, bool>> order;
      if (!writer) {
        order = running_order(backend, members, running);
      } else if (write) {
        order.emplace_back(*writer, false);
        for (std::size_t i = 0; i < members.size(); ++i) {
          if (i != *writer) order.emplace_back(i, false);
        }
      } else {
        order = order_readers(judgements[c].reads[b], writer, backend.fallback_primary);
      }
      haproxy::FragmentBackend rendered{backend.name,
                                        write,
                                        write                      ? "/primary"
                                        : backend.fallback_primary ? "/read-only"
                                                                   : "/replica",
                                        {}};
      for (const auto& [member, backup] : order) {
        auto options = haproxy::render_options(backend.server_options, members[member].api_port);
        if (!options) return std::nullopt;  // refused when the configuration was read
        if (!identities[member]) continue;  // an alarm says so
        rendered.servers.push_back({identities[member]->name, identities[member]->address, std::move(*options), backup});
      }
      if (rendered.servers.empty()) return std::nullopt;
      fragment.backends.push_back(std::move(rendered));
    }
  }
  if (!any_writer) return std::nullopt;
  return fragment;
}

bool has_loaded(const haproxy::Running& running, const haproxy::Fragment& fragment) {
  return std::all_of(fragment.backends.begin(), fragment.backends.end(), [&](const haproxy::FragmentBackend& backend) {
    const haproxy::BackendState* state = running.find(backend.name);
    if (state == nullptr) return false;
    auto next = backend.servers.begin();
    for (const haproxy::Server& server : state->servers) {
      const bool ours = std::any_of(backend.servers.begin(), backend.servers.end(),
                                    [&](const haproxy::FragmentServer& written) { return written.name == server.name; });
      if (!ours) continue;  // the template's own
      if (next->name != server.name || next->address != haproxy::Address{server.ip, server.port}.text()) return false;
      ++next;
    }
    return next == backend.servers.end();
  });
}

Decided decide(const Config& config, const Snapshot& seen, const haproxy::Running& running, const Memories& memories,
               Instant now) {
  Decided decided;
  decided.at = now;
  decided.memories = memories;
  decided.memories.clusters.resize(config.clusters.size());
  decided.memories.holding.resize(config.clusters.size());
  // A new worker starts with everybody ready, unless HAProxy restores admin states or the file says `disabled`.
  const bool new_worker = decided.memories.worker.pid != running.worker.pid ||
                          decided.memories.worker.start_time_sec != running.worker.start_time_sec;
  decided.memories.worker = running.worker;
  // What somebody made ready since is nobody's any more: were it put into maint again, that would be another hand's.
  std::erase_if(decided.memories.ours, [&](const haproxy::ServerName& name) {
    const haproxy::Server* server = running.find(name.first, name.second);
    if (server == nullptr) return false;
    return (!server->in_maint() && !server->in_drain()) || (new_worker && (server->admin_state & kAdminByFile) != 0);
  });

  const auto begins_to_pass = [&](const Decision& decision) {
    const auto memory = decided.memories.checks.find({decision.backend, decision.server});
    return memory != decided.memories.checks.end() && memory->second.passes_wrongly_since == now;
  };
  for (std::size_t c = 0; c < config.clusters.size(); ++c) {
    Judgement judgement = judge(seen.clusters[c], decided.memories.clusters[c], config.clusters[c], now);
    decided.memories.clusters[c] = judgement.memory;
    auto& alarms = decided.alarms.emplace_back(judgement.topology.alarms);
    auto decisions =
        decide_servers(config.clusters[c], seen.clusters[c], judgement, running, now, decided.memories.checks, alarms);
    if (std::any_of(decisions.begin(), decisions.end(), begins_to_pass)) decided.doubted.push_back(c);
    auto backends = desired(config.clusters[c], decisions);
    const HoldVerdict hold =
        judge_hold(seen.clusters[c], judgement.topology, config.clusters[c], now, decided.memories.holding[c]);
    decided.holds.push_back(running.holds ? hold : HoldVerdict{});
    decided.suspects.push_back(find_suspect(config.clusters[c], seen.clusters[c], judgement.topology,
                                            decided.memories.holding[c], decisions, running, now));
    wish_holds(backends, decided.holds.back().wanted(), running, decided.memories.held);
    std::move(backends.begin(), backends.end(), std::back_inserter(decided.desired));
    decided.decisions.push_back(std::move(decisions));
    decided.judgements.push_back(std::move(judgement));
  }
  std::erase_if(decided.memories.held, [&](const std::string& name) {
    return std::none_of(decided.desired.begin(), decided.desired.end(),
                        [&](const auto& backend) { return backend.name == name; });
  });
  if (new_worker) decided.memories.ramps.clear();  // it has every maxconn as the file says
  const auto limits = judge_ramps(config, decided.desired, running, decided.memories.ours, now, decided.memories.ramps);
  decided.plan = haproxy::diff(decided.desired, running, decided.memories.ours, limits);
  if (!config.haproxy.fragment.empty()) decided.fragment = fragment_for(config, seen, decided.judgements, running);
  if (decided.fragment) alarm_missing(config, seen, decided.alarms);
  if (config.haproxy.method == Method::file) leave_in_to_the_file(decided.plan, running, decided.fragment);
  return decided;
}

}  // namespace controller
