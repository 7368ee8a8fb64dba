#pragma once
// A HAProxy in virtual time: its own checks, reloads and restarts, clients, and a socket that fails in every way. What it says
// and what commands do is rounds::FakeHaproxy's.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "haproxy/steer.h"
#include "tests/rounds/fake_haproxy.h"
#include "tests/simulator/cluster.h"

namespace simulator {

/// pointsman dies here.
struct Killed {};

/// What HAProxy has to tell those who watch over it.
struct Watcher {
  virtual ~Watcher() = default;
  virtual void worker_began() = 0;
  virtual void worker_answered() = 0;
  virtual void looked() = 0;  ///< the last exchange of a look has come to its end
  /// `before`: the backend as it was. `server` has just been told so.
  virtual void commanded(const haproxy::BackendState& before, const haproxy::BackendState& after, const std::string& server,
                         haproxy::Command command) = 0;
  virtual void session_ended(const std::string& backend, const std::string& server) = 0;
  virtual void checked() = 0;  ///< its own check has taken a server in or out
  virtual void faulted() = 0;  ///< the socket failed, or refused
};

class Haproxy final : public haproxy::Talk {
 public:
  Haproxy(Cluster& cluster, Timeline& time, Watcher& watcher);

  haproxy::Result<std::string> ask(haproxy::To to, std::string_view line, std::chrono::milliseconds within) override;
  void happen(const Event& event);

  /// Lets time pass for whoever talks to it; may throw Killed.
  std::function<void(Duration)> spend;
  std::function<void(const std::string&)> tell;

  /// pointsman dies after so many commands more.
  std::optional<std::int64_t> kill_after;
  /// Its machine sleeps until then: no check is made.
  Instant asleep_until{};

  [[nodiscard]] const haproxy::Running& running() const { return fake_.running; }
  [[nodiscard]] unsigned established(const std::string& backend, const std::string& server) const;
  /// The same on the workers that reloads left behind.
  [[nodiscard]] unsigned established_on_old(const std::string& backend, const std::string& server) const;
  /// Nothing is wrong with its socket.
  [[nodiscard]] bool is_well() const;
  [[nodiscard]] std::uint64_t commands() const { return commands_; }

 private:
  struct OldWorker {
    int pid = 0;
    std::map<haproxy::ServerName, unsigned> sessions;
  };

  void begin_worker();
  void check(std::size_t backend, std::size_t server);
  void end_sessions(const haproxy::ServerName& name);
  void serve_clients();
  void serve(const haproxy::BackendState& backend);
  std::string carry_out(const std::string& command);
  std::string ask_master(int pid, const std::string& command);
  std::string say_old_sessions(OldWorker& worker, const std::string& command);
  void refresh_holds();

  Cluster& cluster_;
  Timeline& time_;
  Watcher& watcher_;
  rounds::FakeHaproxy fake_;
  std::vector<OldWorker> old_;
  unsigned life_ = 0;  ///< checks of earlier workers are void
  bool answered_ = false;
  std::map<std::string, Instant> hold_until_;
  std::optional<std::int64_t> refuse_after_;
  std::optional<std::int64_t> drop_after_;
  Instant mute_until_{};
  Instant away_until_{};
  Instant hanging_until_{};  ///< an exchange of pointsman's
  Millis late_{0};
  std::uint64_t commands_ = 0;
};

/// The server's member: its number is in its name.
[[nodiscard]] std::size_t member_of(const std::string& server);

}  // namespace simulator
