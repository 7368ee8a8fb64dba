#include "tests/simulator/haproxy.h"

#include <algorithm>

#include <fmt/format.h>

namespace simulator {
namespace {

using haproxy::OperationalState;

constexpr auto kExchangeTakes = std::chrono::microseconds(100);
constexpr unsigned kMostSessions = 3;

haproxy::Server make_server(std::size_t member, bool naive, bool up, const Setup& setup) {
  haproxy::Server s;
  s.name = fmt::format("pg{}", member + 1);
  s.id = static_cast<unsigned>(member + 1);
  s.ip = fmt::format("127.0.0.1{}", member + 1);
  s.port = 5432;
  const int rise = static_cast<int>(setup.rise);
  const int full = rise + static_cast<int>(setup.fall) - 1;
  if (naive) {
    s.op_state = OperationalState::running;
    s.check = {true, 6, 3, full, rise, static_cast<int>(setup.fall), 5432};
  } else {
    s.op_state = up ? OperationalState::running : OperationalState::stopped;
    s.check = {true, up ? 15U : 17U, up ? 3U : 2U, up ? full : 0, rise, static_cast<int>(setup.fall), 8008};
  }
  return s;
}

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> commands;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(';'), line.size());
    std::string_view command = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    command.remove_prefix(std::min(command.find_first_not_of(' '), command.size()));
    if (!command.empty()) commands.emplace_back(command);
  }
  return commands;
}

std::optional<haproxy::Command> command_of(const std::string& line) {
  using haproxy::Command;
  for (const Command c :
       {Command::health_up, Command::health_down, Command::state_ready, Command::state_drain, Command::state_maint})
    if (line.ends_with(word(c))) return c;
  return std::nullopt;
}

/// What HAProxy makes of one more result (2.6: set_server_check_status).
void count(haproxy::Check& check, bool passes) {
  const int full = check.rise + check.fall - 1;
  if (passes) {
    if (check.health < full && ++check.health >= check.rise) check.health = full;
  } else if (check.health > 0 && --check.health < check.rise) {
    check.health = 0;
  }
}

}  // namespace

std::size_t member_of(const std::string& server) {
  return static_cast<std::size_t>(server.at(2) - '1');
}

Haproxy::Haproxy(Cluster& cluster, Timeline& time, Watcher& watcher) : cluster_(cluster), time_(time), watcher_(watcher) {
  const Setup& setup = cluster.setup();
  haproxy::BackendState write{"pg_primary", {}};
  haproxy::BackendState read{"pg_replicas", {}};
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    write.servers.push_back(make_server(i, setup.naive, i == 0, setup));
    read.servers.push_back(make_server(i, setup.naive != setup.mixed, i != 0, setup));
  }
  fake_.running.worker = {100, 1'800'000'000, false, "2.6.12-1+deb12u4"};
  fake_.running.backends = {write, read};
  if (setup.hold) fake_.holds.emplace();
  fake_.refuse = [this](const std::string&) {
    if (!refuse_after_) return false;
    if (--*refuse_after_ > 0) return false;
    refuse_after_.reset();
    watcher_.faulted();
    tell("HAProxy refuses a command");
    return true;
  };
  begin_worker();
  serve_clients();
}

void Haproxy::begin_worker() {
  ++life_;
  answered_ = false;
  hold_until_.clear();
  if (fake_.holds) fake_.holds.emplace();
  const Millis inter(cluster_.setup().inter_ms);
  for (std::size_t b = 0; b < 2; ++b) {
    for (std::size_t s = 0; s < cluster_.size(); ++s) {
      time_.in(time_.between(Millis(0), inter), [this, b, s, life = life_] {
        if (life == life_) check(b, s);
      });
    }
  }
}

void Haproxy::check(std::size_t backend, std::size_t server) {
  time_.in(Millis(cluster_.setup().inter_ms), [this, backend, server, life = life_] {
    if (life == life_) check(backend, server);
  });
  haproxy::Server& s = fake_.running.backends[backend].servers[server];
  if (s.in_maint() || asleep_until > time_.now()) return;
  const std::size_t member = member_of(s.name);
  bool passes = false;
  unsigned failed = 17;
  unsigned passed = 15;
  if (s.check.port == 8008) {
    const Door door = cluster_.knock(member, Peer::haproxy);
    failed = door == Door::refused || door == Door::resets ? 8 : door == Door::open ? 17 : 12;
    passes = door == Door::open && (backend == 0 ? cluster_.primary_code(member) == 200 : cluster_.replica_is_good(member));
  } else {
    failed = cluster_.linked(member, Peer::haproxy) ? 8 : 7;
    passed = 6;
    passes = cluster_.linked(member, Peer::haproxy) && cluster_.accepts_connections(member);
  }
  const bool was = s.usable();
  s.check.status = passes ? passed : failed;
  s.check.result = passes ? 3 : 2;
  count(s.check, passes);
  s.op_state = s.check.health >= s.check.rise ? OperationalState::running : OperationalState::stopped;
  if (was == s.usable()) return;
  tell(fmt::format("HAProxy's own check takes {}/{} {}", fake_.running.backends[backend].name, s.name, was ? "out" : "in"));
  if (was) end_sessions({fake_.running.backends[backend].name, s.name});
  watcher_.checked();
}

void Haproxy::end_sessions(const haproxy::ServerName& name) {
  fake_.server(name.first, name.second).sessions = 0;
  fake_.connecting.erase(name);
}

void Haproxy::serve_clients() {
  time_.in(Millis(100), [this] { serve_clients(); });
  for (const auto& backend : fake_.running.backends) {
    for (const auto& server : backend.servers) {
      const haproxy::ServerName name{backend.name, server.name};
      const std::size_t member = member_of(server.name);
      if (cluster_.member(member).postgres != Postgres::hung && fake_.connecting.contains(name)) fake_.connecting.erase(name);
      if (!cluster_.accepts_connections(member)) end_sessions(name);
      if (server.sessions > fake_.connecting[name] && time_.chance(0.02)) --fake_.server(backend.name, server.name).sessions;
    }
    if (asleep_until <= time_.now()) serve(backend);
  }
}

/// One more client.
void Haproxy::serve(const haproxy::BackendState& backend) {
  const auto hold = hold_until_.find(backend.name);
  if (hold != hold_until_.end() && hold->second > time_.now()) return;
  const auto names = haproxy::usable_servers(backend);
  if (names.empty()) return;
  const std::string& name = names[time_.pick(names.size())];
  const std::size_t member = member_of(name);
  haproxy::Server& server = fake_.server(backend.name, name);
  if (!cluster_.linked(member, Peer::haproxy) || !cluster_.accepts_connections(member) || server.sessions >= kMostSessions)
    return;
  ++server.sessions;
  if (cluster_.member(member).postgres == Postgres::hung) ++fake_.connecting[{backend.name, name}];
}

unsigned Haproxy::established(const std::string& backend, const std::string& server) const {
  const haproxy::Server* found = fake_.running.find(backend, server);
  if (found == nullptr) return 0;
  const auto at = fake_.connecting.find({backend, server});
  const unsigned connecting = at == fake_.connecting.end() ? 0 : at->second;
  return found->sessions > connecting ? found->sessions - connecting : 0;
}

unsigned Haproxy::established_on_old(const std::string& backend, const std::string& server) const {
  unsigned all = 0;
  for (const OldWorker& worker : old_) {
    const auto at = worker.sessions.find({backend, server});
    if (at != worker.sessions.end()) all += at->second;
  }
  return all;
}

bool Haproxy::is_well() const {
  const Instant now = time_.now();
  return !refuse_after_ && !drop_after_ && mute_until_ <= now && away_until_ <= now && hanging_until_ <= now &&
         late_.count() == 0 && asleep_until <= now;
}

void Haproxy::happen(const Event& event) {
  const auto renew = [this](bool keep_old) {
    OldWorker old{fake_.running.worker.pid, {}};
    for (const auto& backend : fake_.running.backends) {
      for (const auto& server : backend.servers) {
        const unsigned sessions = established(backend.name, server.name);
        if (sessions > 0) old.sessions[{backend.name, server.name}] = sessions;
      }
    }
    old_.clear();  // one that is left by each reload is enough
    if (keep_old && !old.sessions.empty()) old_.push_back(std::move(old));
    fake_.connecting.clear();
    fake_.reload();
    begin_worker();
    watcher_.worker_began();
  };
  switch (event.what) {
    case What::reload:
      renew(true);
      break;
    case What::restart:
      away_until_ = time_.now() + Millis(event.amount);
      fake_.running.worker.start_time_sec += 1;
      renew(false);
      break;
    case What::refuse:
      refuse_after_ = event.amount;
      break;
    case What::drop:
      drop_after_ = event.amount;
      break;
    case What::mute:
      mute_until_ = time_.now() + Millis(event.amount);
      break;
    case What::late:
      late_ = Millis(event.amount);
      break;
    case What::prompt:
      late_ = Millis(0);
      break;
    case What::heal:
      refuse_after_.reset();
      drop_after_.reset();
      mute_until_ = away_until_ = {};
      late_ = Millis(0);
      break;
    default:
      return;
  }
  watcher_.faulted();
}

void Haproxy::refresh_holds() {
  if (!fake_.holds) return;
  for (auto& [backend, hold] : *fake_.holds)
    hold.left = std::max(Millis(0), std::chrono::ceil<Millis>(hold_until_[backend] - time_.now()));
}

std::string Haproxy::carry_out(const std::string& command) {
  const bool server_command = command.starts_with("set server ");
  if (!server_command && !command.starts_with("shutdown session ") && !command.starts_with("hold "))
    return fake_.ask(haproxy::To::worker(), command, haproxy::kExchange).value();
  time_.count();
  ++commands_;
  tell("< " + command);
  if (server_command) {
    const std::size_t slash = command.find('/');
    const std::string backend = command.substr(11, slash - 11);
    const std::string server = command.substr(slash + 1, command.find(' ', slash) - slash - 1);
    const haproxy::BackendState before = *fake_.running.find(backend);
    std::string reply = fake_.ask(haproxy::To::worker(), command, haproxy::kExchange).value();
    const auto what = command_of(command);
    if (reply == "\n" && what) watcher_.commanded(before, *fake_.running.find(backend), server, *what);
    return reply;
  }
  if (command.starts_with("hold ")) {
    const std::size_t space = command.rfind(' ');
    hold_until_[command.substr(5, space - 5)] = time_.now() + Millis(std::stoi(command.substr(space + 1)));
  } else {
    const std::size_t id = command.find("0x") + 2;
    watcher_.session_ended(command[id] == 'a' ? "pg_primary" : "pg_replicas", fmt::format("pg{}", command[id + 1]));
  }
  return fake_.ask(haproxy::To::worker(), command, haproxy::kExchange).value();
}

std::string Haproxy::say_old_sessions(OldWorker& worker, const std::string& command) {
  if (command == "show sess") {
    std::string text;
    unsigned id = 0x10;
    for (const auto& [name, sessions] : worker.sessions) {
      for (unsigned i = 0; i < sessions; ++i)
        text +=
            fmt::format("0x{:x}: proto=tcpv4 src=127.0.0.1:5 fe=fe be={} srv={} ts=00 scf=[8,0h,fd=1] scb=[8,1h,fd=2] exp=1s\n",
                        id++, name.first, name.second);
      id = (id & ~0xfU) + 0x10;
    }
    return text + "\n";
  }
  if (!command.starts_with("shutdown session 0x")) return "\n";
  std::size_t number = std::stoul(command.substr(19), nullptr, 16) >> 4;
  for (auto& [name, sessions] : worker.sessions) {
    if (--number != 0) continue;
    watcher_.session_ended(name.first, name.second);
    if (sessions > 0) --sessions;
  }
  return "\n";
}

haproxy::Result<std::string> Haproxy::ask(haproxy::To to, std::string_view line, std::chrono::milliseconds within) {
  time_.count();
  spend(kExchangeTakes);
  if (away_until_ > time_.now()) {
    watcher_.faulted();
    return haproxy::fail("connect to", "the fake", "connection refused");
  }
  if (mute_until_ > time_.now()) {
    hanging_until_ = time_.now() + within;
    spend(within);
    watcher_.faulted();
    return haproxy::fail("talk to", "the fake", fmt::format("no answer within {} ms", within.count()));
  }
  std::string reply;
  if (to.kind == haproxy::To::Kind::master) {
    reply = fmt::format(
        "#<PID> <type> <reloads> <uptime> <version>\n1 master 0 [failed: 0] 0d 2.6.12\n# workers\n{} worker 0 0d 2.6.12\n# old "
        "workers\n",
        fake_.running.worker.pid);
    for (const OldWorker& worker : old_) reply += fmt::format("{} worker 1 0d 2.6.12\n", worker.pid);
    return reply + "# programs\n\n";
  }
  if (to.kind == haproxy::To::Kind::old_worker) {
    const auto old = std::find_if(old_.begin(), old_.end(), [&](const OldWorker& worker) { return worker.pid == to.pid; });
    if (old == old_.end()) return haproxy::fail("talk to", "the fake", "no such worker");
    for (const std::string& command : split(line)) reply += say_old_sessions(*old, command);
    return reply;
  }
  refresh_holds();
  if (!answered_) watcher_.worker_answered();
  answered_ = true;
  for (const std::string& command : split(line)) {
    const std::uint64_t before = commands_;
    if (drop_after_ && *drop_after_ <= 0) {
      drop_after_.reset();
      tell("HAProxy's socket is closed in the middle of a line");
      return haproxy::fail("read from", "the fake", "closed");
    }
    reply += carry_out(command);
    if (commands_ == before) continue;
    if (drop_after_) --*drop_after_;
    if (kill_after && --*kill_after <= 0) throw Killed();
  }
  if (late_.count() > 0) {
    hanging_until_ = time_.now() + late_;
    spend(late_);
    watcher_.faulted();
  }
  if (line == haproxy::kShowHold) watcher_.looked();
  return reply;
}

}  // namespace simulator
