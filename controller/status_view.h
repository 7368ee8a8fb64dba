#pragma once
// What `status` shows, as plain values: made from what is published or from its JSON, so that both give the same text.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controller/published.h"
#include "haproxy/result.h"

namespace controller {

struct ShownVerdict {
  std::string place, reason, evidence;
  friend bool operator==(const ShownVerdict&, const ShownVerdict&) = default;
};

struct ShownMember {
  std::string name, url;
  std::optional<std::string> postgres;     ///< "10.0.0.11:5432"
  std::optional<std::string> role, state;  ///< of its last answer; nothing before the first
  std::optional<std::uint64_t> timeline, lag_bytes;
  std::optional<double> answered_ago;  ///< seconds since the last answer was asked for
  std::optional<double> silent_for;    ///< seconds; nothing while it answers
  std::string silent_why;              ///< "refused"
  ShownVerdict write, read;
  friend bool operator==(const ShownMember&, const ShownMember&) = default;
};

struct ShownServer {
  std::string backend, server, address, member;
  bool usable = false, backup = false;
  std::string admin, operational, steering;
  std::uint64_t sessions = 0, maxconn = 0;
  ShownVerdict wanted;
  friend bool operator==(const ShownServer&, const ShownServer&) = default;
};

struct ShownHold {
  std::string backend;
  std::uint64_t waiting = 0, held = 0, expired = 0;
  double left = 0;  ///< seconds
  friend bool operator==(const ShownHold&, const ShownHold&) = default;
};

struct ShownCluster {
  std::string scope, writer_state;
  std::optional<std::string> writer;  ///< its name
  std::uint64_t claims = 0;
  bool routes_right = false, writer_in = false;
  std::vector<ShownMember> members;
  std::vector<ShownServer> servers;
  std::optional<bool> watching;  ///< the DCS is watched; nothing: no watch is configured
  std::string watch_trouble;
  std::string hold;              ///< why new connections wait: "switchover"; "none"
  std::vector<ShownHold> holds;  ///< of the write backends; empty: hold.lua is not loaded
  std::vector<std::string> alarms;
  friend bool operator==(const ShownCluster&, const ShownCluster&) = default;
};

struct StatusView {
  std::string source, version;
  double age = 0;  ///< seconds since the end of the round
  std::string method;
  bool observe = false;
  std::string haproxy_error, haproxy_version;
  std::int64_t haproxy_pid = 0, haproxy_started = 0;
  std::string journal_trouble;
  std::vector<ShownCluster> clusters;
  friend bool operator==(const StatusView&, const StatusView&) = default;
};

[[nodiscard]] StatusView status_view(const Published& published, Instant now, std::string_view source);
[[nodiscard]] std::string render_status_json(const StatusView& view, const Counters& counters);
/// Counters are for programs: they are not read back.
[[nodiscard]] haproxy::Result<StatusView> parse_status_json(std::string_view json);

}  // namespace controller
