#include "tests/rounds/fake_haproxy.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace rounds {
namespace {

// Logs are not asserted.
const bool g_quiet = [] {
  spdlog::set_level(spdlog::level::off);
  return true;
}();

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> commands;
  for (std::size_t at = 0; at <= line.size();) {
    std::size_t end = line.find(';', at);
    if (end == std::string::npos) end = line.size();
    std::size_t from = line.find_first_not_of(' ', at);
    if (from != std::string::npos && from < end) commands.push_back(line.substr(from, end - from));
    at = end + 1;
  }
  return commands;
}

/// Queued connections go to a server that has come in: as many as have room.
void grab(haproxy::BackendState& backend, haproxy::Server& server) {
  const unsigned room = server.maxconn == 0                ? backend.queued
                        : server.maxconn > server.sessions ? server.maxconn - server.sessions
                                                           : 0;
  const unsigned let_in = server.usable() ? std::min(backend.queued, room) : 0;
  server.sessions += let_in;
  backend.queued -= let_in;
}

}  // namespace

haproxy::Result<std::string> FakeHaproxy::ask(haproxy::To to, std::string_view line, std::chrono::milliseconds within) {
  ++exchanges;
  if (fail_at == exchanges) return haproxy::fail("talk to", "the fake", fmt::format("no answer within {} ms", within.count()));
  if (to.kind == haproxy::To::Kind::master)
    return std::string(
        "#<PID> <type> <reloads> <uptime> <version>\n1 master 0 [failed: 0] 0d 2.6.12\n# workers\n2 worker 0 0d 2.6.12\n# old "
        "workers\n# programs\n\n");
  std::string reply;
  for (const std::string& command : split(std::string(line))) reply += answer(command);
  return reply;
}

haproxy::Server& FakeHaproxy::server(const std::string& backend, const std::string& name) {
  for (auto& b : running.backends) {
    for (auto& s : b.servers)
      if (b.name == backend && s.name == name) return s;
  }
  throw std::logic_error("no such server in the fake");
}

void FakeHaproxy::reload() {
  ++running.worker.pid;
  for (auto& backend : running.backends) {
    for (auto& s : backend.servers) {
      s.admin_state = 0;
      s.op_state = haproxy::OperationalState::running;
      s.check.health = s.check.rise;
      s.check.status = 1;
      s.check.result = 0;
      s.sessions = 0;
      s.maxconn = file_maxconn;
    }
    backend.queued = 0;
  }
}

void FakeHaproxy::arrive(const std::string& backend, unsigned connections) {
  for (auto& b : running.backends) {
    if (b.name != backend) continue;
    b.queued += connections;
    for (auto& s : b.servers) grab(b, s);
  }
}

std::string FakeHaproxy::answer(const std::string& command) {
  if (command.starts_with("show info") || command.starts_with("show servers state") || command.starts_with("show stat"))
    return look(command);
  if (command == "set severity-output number") return "\n";
  if (holds && command == "show hold") {
    std::string text = "# backend waiting left_ms held_total expired_total longest_ms\n";
    for (const auto& [backend, hold] : *holds)
      text += fmt::format("{} {} {} {} {} 0\n", backend, hold.waiting, hold.left.count(), hold.held, hold.expired);
    return text + "\n";
  }
  if (refuse && refuse(command)) return "[3]: Permission denied\n\n";
  if (command.starts_with("set server ")) return set_server(command);
  if (command.starts_with("set maxconn server ")) return set_maxconn(command);
  if (holds && command.starts_with("hold ")) {
    const auto words = command.find_last_of(' ');
    (*holds)[command.substr(5, words - 5)].left = std::chrono::milliseconds(std::stoi(command.substr(words + 1)));
    commands.push_back(command);
    if (after_each) after_each();
    return fmt::format("held {}\n\n", command.substr(5));
  }
  if (command == "show sess") {
    std::string text;
    for (const auto& backend : running.backends) {
      for (const auto& s : backend.servers) {
        const auto at = connecting.find({backend.name, s.name});
        const unsigned opening = at == connecting.end() ? 0 : at->second;
        for (unsigned i = 0; i < s.sessions; ++i)
          text += fmt::format(
              "0x{}{}{}: proto=tcpv4 src=127.0.0.1:5 fe=fe be={} srv={} ts=00 scf=[8,0h,fd=1] scb=[{},1h,fd=2] exp=1s\n",
              backend.name == running.backends.front().name ? "a" : "b", s.id, i, backend.name, s.name, i < opening ? 5 : 8);
      }
    }
    return text + "\n";
  }
  if (command.starts_with("shutdown session ")) {
    commands.push_back("shutdown session");
    const std::string id = command.substr(command.find("0x") + 2);
    auto& backend = running.backends.at(id[0] == 'a' ? 0 : 1);
    for (auto& s : backend.servers)
      if (std::to_string(s.id)[0] == id[1] && s.sessions > 0) --s.sessions;
    if (after_each) after_each();
    return "\n";
  }
  return "Unknown command: '" + command + "'\n\n";
}

std::string FakeHaproxy::set_server(const std::string& command) {
  if (running.worker.stopping) return "[3]: Proxy is disabled.\n\n";
  for (auto& backend : running.backends) {
    for (auto& s : backend.servers) {
      using haproxy::Command;
      for (const Command c :
           {Command::health_up, Command::health_down, Command::state_ready, Command::state_drain, Command::state_maint}) {
        if (command != haproxy::Step{backend.name, s.name, c, ""}.line()) continue;
        const bool was_usable = s.usable();
        haproxy::carry_out(c, s);
        if (!was_usable) grab(backend, s);
        commands.push_back(command.substr(std::string("set server ").size()));
        if (after_each) after_each();
        return "\n";
      }
    }
  }
  return "[3]: No such server.\n\n";
}

/// As 2.6.12 does: 200 of the queue go with one command at most, and nobody with a limit of 0.
std::string FakeHaproxy::set_maxconn(const std::string& command) {
  constexpr unsigned kMostAtOnce = 200;
  const std::size_t space = command.rfind(' ');
  for (auto& backend : running.backends) {
    for (auto& s : backend.servers) {
      if (command.substr(0, space) != "set maxconn server " + backend.name + "/" + s.name) continue;
      s.maxconn = static_cast<unsigned>(std::stoul(command.substr(space + 1)));
      const unsigned stay = backend.queued - std::min(backend.queued, kMostAtOnce);
      backend.queued -= stay;
      if (s.maxconn > 0) grab(backend, s);
      backend.queued += stay;
      commands.push_back(command.substr(std::string("set ").size()));
      if (after_each) after_each();
      return "\n";
    }
  }
  return "[3]: No such server.\n\n";
}

std::string FakeHaproxy::look(const std::string& what) const {
  if (what == "show info")
    return fmt::format("Name: HAProxy\nVersion: {}\nPid: {}\nStopping: {}\nStart_time_sec: {}\n\n", running.worker.version,
                       running.worker.pid, running.worker.stopping ? 1 : 0, running.worker.start_time_sec);
  if (what.starts_with("show servers state")) {
    std::string text =
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
        "srv_time_since_last_change "
        "srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id "
        "srv_fqdn "
        "srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n";
    int id = 2;
    for (const auto& backend : running.backends) {
      for (const auto& s : backend.servers)
        text += fmt::format("{} {} {} {} {} {} {} {} 1 4 {} {} {} {} 0 0 0 - {} - 0 {} - - 0\n", id, backend.name, s.id, s.name,
                            s.ip, static_cast<int>(s.op_state), s.admin_state, s.weight, s.check.status, s.check.result,
                            s.check.health, s.check.enabled ? (s.in_maint() ? 14 : 6) : 0, s.port,
                            s.check.port == s.port ? 0 : s.check.port);
      ++id;
    }
    return text + "\n";
  }
  std::string text = "# pxname,svname,qcur,scur,slim,act,bck,type,check_rise,check_fall,check_health,\n";
  for (const auto& backend : running.backends) {
    for (const auto& s : backend.servers)
      text += fmt::format("{},{},0,{},{},{},{},2,{},{},{},\n", backend.name, s.name, s.sessions,
                          s.maxconn == 0 ? "" : std::to_string(s.maxconn), s.backup ? 0 : 1, s.backup ? 1 : 0, s.check.rise,
                          s.check.fall, s.check.health);
    text += fmt::format("{},BACKEND,{},0,500,1,0,1,,,,\n", backend.name, backend.queued);
  }
  return text + "\n";
}

}  // namespace rounds
