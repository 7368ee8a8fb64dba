#include "tests/rounds/world.h"

#include <algorithm>
#include <utility>

namespace rounds {

haproxy::Result<std::string> FakeFiles::read(const std::filesystem::path& path) {
  const auto at = files.find(path.string());
  if (at == files.end()) return haproxy::fail("read", path.string(), "no such file");
  return at->second;
}

haproxy::Result<void> FakeFiles::replace(const std::filesystem::path& path, std::string_view bytes) {
  const bool fails = ++replacements == fail_at || (full && full(path.string()));
  if (fails) return haproxy::fail("replace", path.string(), "No space left on device");
  files[path.string()] = bytes;
  return {};
}

haproxy::Result<void> FakeReload::validate(std::string_view) {
  ++validations;
  if (invalid) return haproxy::fail("validate", "the fragment", "unknown keyword 'chekc'");
  return {};
}

haproxy::Result<void> FakeReload::reload() {
  if (++reloads == fail_at) return haproxy::fail("reload", "HAProxy", "the new worker did not come");
  haproxy_.reload();
  for (auto& backend : haproxy_.running.backends) load(backend);
  if (after_each) after_each();
  return {};
}

void FakeReload::load(haproxy::BackendState& backend) {
  const std::string text = files_.files[kFragment];
  const std::size_t begin = text.find("backend " + backend.name + "\n");
  if (begin == std::string::npos) return;
  const std::string section = text.substr(begin, text.find("backend ", begin + 1) - begin);
  std::vector<haproxy::Server> servers;
  std::vector<std::pair<std::size_t, std::size_t>> order;
  for (std::size_t i = 0; i < backend.servers.size(); ++i) {
    const auto at = section.find("server " + backend.servers[i].name + " ");
    if (at != std::string::npos) order.emplace_back(at, i);
  }
  std::sort(order.begin(), order.end());
  unsigned id = 0;
  for (const auto& [at, i] : order) {
    servers.push_back(backend.servers[i]);
    servers.back().id = ++id;
  }
  backend.servers = servers;
}

haproxy::Server make_server(std::size_t member, Kind kind, bool up) {
  using haproxy::OperationalState;
  haproxy::Server s;
  s.name = "pg" + std::to_string(member + 1);
  s.id = static_cast<unsigned>(member + 1);
  s.ip = "127.0.0.1" + std::to_string(member + 1);
  s.port = 5432;
  if (kind == Kind::documented) {
    s.op_state = up ? OperationalState::running : OperationalState::stopped;
    s.check = {true, up ? 15U : 17U, up ? 3U : 2U, up ? 4 : 0, 2, 3, 8008};
  } else {
    s.op_state = OperationalState::running;
    s.check = {true, 6, 3, 4, 2, 3, 5432};
  }
  return s;
}

World::World(Kind kind) {
  config.clusters = {policy()};
  config.clusters[0].backends[1].fallback_primary = true;
  config.haproxy.socket = "/run/haproxy/admin.sock";
  config.state = "/var/lib/pointsman";
  seen.clusters = {three()};
  fake.running.worker = {2, 1'800'000'000, false, "2.6.12-1+deb12u4"};
  haproxy::BackendState write{"pg_primary", {}}, read{"pg_replicas", {}};
  for (std::size_t i = 0; i < 3; ++i) {
    write.servers.push_back(make_server(i, kind, i == 0));
    read.servers.push_back(make_server(i, kind, i != 0));
  }
  fake.running.backends = {write, read};
  begin();
  all_well(0);
}

void World::begin() {
  Remembered remembered;
  const auto bytes = files.read(kStateFile);
  if (bytes) remembered = parse_state(*bytes, "state").value();
  loop = make_loop(remembered);
}

std::unique_ptr<Loop> World::make_loop(const Remembered& remembered) {
  return std::make_unique<Loop>(config, "test",
                                Edges{{*talk, [this] { return now; }, [this](std::chrono::milliseconds t) { now += t; }},
                                      files,
                                      reload,
                                      [this] { return unix_now; },
                                      journal},
                                remembered);
}

void World::use_fragment(Method method) {
  config.haproxy.method = method;
  config.haproxy.fragment = kFragment;
  config.haproxy.template_path = kTemplate;
  files.files[kTemplate] =
      "{{#backends}}backend {{name}}\n{{#servers}}    server {{name}} {{address}} {{options}}{{#backup}} backup{{/backup}}\n"
      "{{/servers}}\n{{/backends}}";
  begin();
}

void World::all_well(std::size_t writer) {
  for (std::size_t i = 0; i < 3; ++i) says(seen.clusters[0], i, i == writer ? primary() : replica(), now);
}

void World::never_heard(std::size_t member) {
  falls_silent(seen.clusters[0], member, now - 10s);
  seen.clusters[0].members[member].answer.reset();
}

Outcome World::round() {
  ++seen.version;
  return quiet_round();
}

Outcome World::quiet_round() {
  now += 50ms;
  if (const auto outcome = loop->short_round(seen.version)) return *outcome;
  return loop->round(seen);
}

Outcome World::all_well_for(int rounds, std::size_t writer) {
  Outcome last;
  for (int i = 0; i < rounds; ++i) {
    all_well(writer);
    last = round();
  }
  return last;
}

std::vector<std::string> World::usable(std::size_t backend) const {
  return haproxy::usable_servers(fake.running.backends[backend]);
}

}  // namespace rounds
