// HAProxy's other replies: `show sess`, `show proc`, `show hold`, and those to commands.

#include <algorithm>

#include "haproxy/address.h"
#include "haproxy/hold.h"
#include "haproxy/parse.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace haproxy;
using fuzz::require;

/// Goes into `shutdown session ID`.
bool is_id(const std::string& id) {
  return id.size() > 2 && id.size() <= 18 && id.starts_with("0x") &&
         id.find_first_not_of("0123456789abcdef", 2) == std::string::npos;
}

bool is_word(const std::string& text) {
  return text.find_first_of(" \n") == std::string::npos;
}

bool look_at_sessions(std::string_view input) {
  const auto sessions = parse_sessions(input);
  if (!sessions) return fuzz::refused(sessions.error());
  for (const Session& session : *sessions) {
    require(is_id(session.id), "a session's id is a number");
    require(is_word(session.frontend) && is_word(session.backend) && is_word(session.server), "a session's names are words");
    require(session.server != "<none>", "a session is with a server");
  }
  return true;
}

bool look_at_processes(std::string_view input) {
  const auto processes = parse_proc(input);
  if (!processes) return fuzz::refused(processes.error());
  require(processes->master.pid > 0, "the master has a pid");
  for (const auto* list : {&processes->workers, &processes->old_workers}) {
    require(std::all_of(list->begin(), list->end(), [](const Process& process) { return process.pid > 0; }),
            "every worker has a pid");
  }
  return true;
}

bool look_at_holds(std::string_view input) {
  const auto holds = parse_holds(input);
  if (!holds) return fuzz::refused(holds.error());
  if (!*holds) return true;
  for (const auto& [backend, hold] : **holds) {
    require(is_name(backend), "a backend's name is one");
    require(hold.left >= std::chrono::milliseconds(0) && hold.left <= std::chrono::seconds(61), "a hold is at most a minute");
  }
  return true;
}

}  // namespace

bool fuzz::look_at(std::string_view input) {
  bool understood = look_at_sessions(input);
  understood = look_at_processes(input) || understood;
  understood = look_at_holds(input) || understood;
  const auto said = complaint(input);
  require(!said || (said->find('\n') == std::string::npos && input.find(*said) != std::string_view::npos),
          "a complaint is a line of the reply, or its end");
  const bool all_blank = input.find_first_not_of('\n') == std::string_view::npos;
  require(!all_blank || !said, "empty lines are no complaint");
  return understood || said || input.starts_with("held ");
}
