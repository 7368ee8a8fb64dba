#pragma once
// A HAProxy with memory for whole rounds: it answers as 2.6.12 does, keeps what it is told, and can fail the n-th exchange.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "haproxy/plan.h"
#include "haproxy/talk.h"

namespace rounds {

class FakeHaproxy final : public haproxy::Talk {
 public:
  haproxy::Running running;
  std::vector<std::string> commands;                   ///< state commands and session shutdowns, as carried out
  std::map<haproxy::ServerName, unsigned> connecting;  ///< sessions that are not established yet; in `sessions` too
  std::optional<haproxy::Holds> holds;  ///< hold.lua; nothing: it is not loaded. The lease does not run by itself
  unsigned file_maxconn = 0;            ///< of each server, in the file: what a reload brings
  int exchanges = 0;
  std::optional<int> fail_at;  ///< this exchange, counted from 1, gets no answer; what it asked for is not done
  std::function<bool(const std::string&)> refuse;  ///< commands that are refused with "Permission denied"
  std::function<void()> after_each;                ///< called after each command that was carried out

  haproxy::Result<std::string> ask(haproxy::To to, std::string_view line, std::chrono::milliseconds within) override;

  /// Somebody reloads: another worker, every server up and ready, sessions gone to the old one.
  void reload();
  haproxy::Server& server(const std::string& backend, const std::string& name);
  /// New connections: to the usable server while it has room, else queued.
  void arrive(const std::string& backend, unsigned connections);

 private:
  std::string answer(const std::string& command);
  std::string set_server(const std::string& command);
  std::string set_maxconn(const std::string& command);
  std::string look(const std::string& what) const;
};

}  // namespace rounds
