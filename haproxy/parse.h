#pragma once
// HAProxy's words, read in one place. Pure: text in, values out. The text is trusted no more than any other input: a reply
// that does not have the expected form is an Error with what was expected and the line that was found (shortened).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "haproxy/result.h"
#include "haproxy/running.h"

namespace haproxy {

/// `show info` (text).
[[nodiscard]] Result<Worker> parse_info(std::string_view reply);

/// `show servers state` (format 1) for all backends, servers in the order of srv_id. What only `show stat` tells (below) stays
/// 0 or false.
[[nodiscard]] Result<std::vector<BackendState>> parse_servers_state(std::string_view reply);

/// `show stat -1 6 -1` (CSV, found by column name): fills rise, fall, backup, sessions and maxconn of the servers in
/// `backends`, and what is queued. A server that it does not name keeps what it has; one that `backends` lacks is passed over
/// (a reload may lie between).
[[nodiscard]] Result<void> merge_stat(std::string_view reply, std::vector<BackendState>& backends);

/// One look at a worker: all three in one line, one connection.
inline constexpr std::string_view kLookLine = "show info; show servers state; show stat -1 6 -1";

/// The three replies to kLookLine, each with the empty line that ends it. They point into `reply`.
struct Look {
  std::string_view info;
  std::string_view servers_state;
  std::string_view stat;
};
[[nodiscard]] Result<Look> split_look(std::string_view reply);

/// A shorter look, which is enough to say that nothing has moved: `show stat` is most of what HAProxy has to write.
inline constexpr std::string_view kGlanceLine = "show servers state";

/// Does the reply to kGlanceLine show every server in the same state as `last`? A new worker in which all is the same is no
/// news before the next full look: nothing is to be done in it. What only `show stat` tells is taken as it was.
[[nodiscard]] Result<bool> same_at_a_glance(std::string_view reply, const Running& last);

/// split_look, parse_info, parse_servers_state and merge_stat.
[[nodiscard]] Result<Running> parse_look(std::string_view reply);

/// One line of `show sess`.
struct Session {
  std::string id;  ///< "0x7f7074e55c00"
  std::string frontend;
  std::string backend;
  std::string server;
  bool established = false;  ///< the server side is connected: scb=[8, (5 is connecting), 2.6.12 to 3.2.26
  friend bool operator==(const Session&, const Session&) = default;
};
/// Lines that are no session with a server (the CLI's own: srv=<none>) are left out. A reply without a single byte is an
/// Error: the CLI's own session is always listed, so nothing was read.
[[nodiscard]] Result<std::vector<Session>> parse_sessions(std::string_view reply);

/// `show proc` of the master socket.
struct Process {
  int pid = 0;
  unsigned reloads = 0;
  friend bool operator==(const Process&, const Process&) = default;
};
struct Processes {
  Process master;
  unsigned failed = 0;  ///< failed reloads since the last good one, from the master's row
  std::vector<Process> workers;
  std::vector<Process> old_workers;  ///< 3.2 lists the serving worker here after a failed reload
  std::string version;
  friend bool operator==(const Processes&, const Processes&) = default;
};
[[nodiscard]] Result<Processes> parse_proc(std::string_view reply);

/// The reply to one or several state commands sent with `set severity-output number` before them: nothing but empty lines is
/// success, and so is what hold.lua says to a hold ("held pg_primary 1000"). The first message of severity 3 or less, and any
/// text without a severity, is returned (without its number); severity 4 and more ("IP changed ...") is no complaint, except
/// for "Unknown command", which 2.6.12 sends with 6.
[[nodiscard]] std::optional<std::string> complaint(std::string_view reply);

}  // namespace haproxy
