// What HAProxy says of its servers: `show info; show servers state; show stat -1 6 -1`.

#include <algorithm>
#include <set>

#include "haproxy/address.h"
#include "haproxy/parse.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace haproxy;
using fuzz::require;

/// Are no two backends, and no two servers of one, named alike? HAProxy has it so.
bool has_names_once(const std::vector<BackendState>& backends) {
  for (const BackendState& backend : backends) {
    std::set<std::string> names;
    for (const Server& server : backend.servers) {
      if (!names.insert(server.name).second) return false;
    }
  }
  return true;
}

void require_sound(const std::vector<BackendState>& backends) {
  std::set<std::string> names;
  for (const BackendState& backend : backends) {
    require(is_name(backend.name), "a backend's name is one");
    require(names.insert(backend.name).second, "a backend is listed once");
    require(!backend.servers.empty(), "a backend has a server");
    require(std::is_sorted(backend.servers.begin(), backend.servers.end(),
                           [](const Server& a, const Server& b) { return a.id < b.id; }),
            "the servers are in the order of their ids");
    for (const Server& server : backend.servers) {
      require(is_name(server.name), "a server's name is one");
      require(fuzz::is_ip_or_empty(server.ip), "an address is in its one spelling");
      require(server.op_state <= OperationalState::stopping, "the operational state is one of four");
    }
  }
}

bool look_at_state(std::string_view input) {
  auto backends = parse_servers_state(input);
  if (!backends) return fuzz::refused(backends.error());
  require_sound(*backends);
  if (!has_names_once(*backends)) return true;
  const Running running{{}, *backends, std::nullopt};
  require(same_at_a_glance(input, running) == true, "what was just read is the same at a glance");
  return true;
}

bool look_at_whole(std::string_view input) {
  const auto running = parse_look(input);
  const auto look = split_look(input);
  if (!running) return fuzz::refused(running.error());
  require(look.has_value(), "what was read was split");
  require(running->worker.pid > 0, "a worker has a pid");
  require_sound(running->backends);
  require(look->info.size() + look->servers_state.size() + look->stat.size() == input.size(), "the three parts are the whole");
  if (!has_names_once(running->backends)) return true;
  require(same_at_a_glance(look->servers_state, *running) == true, "what was just read is the same at a glance");
  return true;
}

}  // namespace

bool fuzz::look_at(std::string_view input) {
  bool understood = look_at_whole(input);
  understood = look_at_state(input) || understood;
  const auto worker = parse_info(input);
  require(worker ? worker->pid > 0 && worker->start_time_sec >= 0 : !refused(worker.error()), "a worker has a pid and a start");
  require(!worker || worker->version.empty() || is_plain(worker->version), "a version is plain");
  understood = worker || understood;
  std::vector<BackendState> backends{{"pg_primary", {Server(), Server()}, 0}};
  backends[0].servers[0].name = "pg1";
  backends[0].servers[1].name = "pg2";
  const auto merged = merge_stat(input, backends);
  require(merged || !refused(merged.error()), "a refusal is sound");
  require(backends.size() == 1 && backends[0].servers.size() == 2, "`show stat` adds no server");
  return merged || understood;
}
