#pragma once
// What must be remembered from one run to the next: evidence, not truth.

#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "haproxy/address.h"
#include "haproxy/files.h"
#include "haproxy/result.h"
#include "haproxy/running.h"

namespace controller {

struct RememberedMember {
  std::string url;
  std::string name;
  std::string host;  ///< PostgreSQL's, as written in /cluster
  std::uint16_t port = 0;
  friend bool operator==(const RememberedMember&, const RememberedMember&) = default;
};

struct RememberedCluster {
  std::string scope;
  std::string holder;  ///< URL of the last accepted writer
  std::string system_identifier;
  std::uint32_t timeline = 0;
  std::int64_t silent_since = 0;  ///< Unix seconds; 0: it was not silent
  int ttl = 30;
  int loop_wait = 10;
  std::vector<RememberedMember> members;
  friend bool operator==(const RememberedCluster&, const RememberedCluster&) = default;
};

/// A server whose maxconn is lowered, or about to be, and the course by which it goes back to what it was.
struct RememberedRamp {
  unsigned original = 0;
  unsigned start = 0;
  std::chrono::milliseconds over{0};
  friend bool operator==(const RememberedRamp&, const RememberedRamp&) = default;
};

struct Remembered {
  /// Admin states that pointsman set, valid for this worker only: a reload or restart of HAProxy wipes them.
  haproxy::Worker worker;
  std::set<haproxy::ServerName> ours;
  std::map<haproxy::ServerName, RememberedRamp> ramps;  ///< likewise
  /// Servers whose check cannot tell roles, though it goes to the API's port.
  std::set<haproxy::ServerName> by_admin;
  /// Since when (Unix seconds) a check has passed for a member that denies: one that is late, or one that cannot tell roles.
  std::map<haproxy::ServerName, std::int64_t> passes_wrongly_since;
  std::vector<RememberedCluster> clusters;
  friend bool operator==(const Remembered&, const Remembered&) = default;
};

/// JSON, versioned ("version": 1). A file that is not there, or is empty, is an empty Remembered; one that cannot be understood
/// is an Error (the caller logs it and goes on with an empty one).
[[nodiscard]] haproxy::Result<Remembered> parse_state(std::string_view json, const std::string& file);
[[nodiscard]] std::string render_state(const Remembered& state);

/// The file of one HAProxy in the `state` folder: "SOCKET-WITH-DASHES.json".
[[nodiscard]] std::filesystem::path state_path(const std::filesystem::path& folder, const std::filesystem::path& socket);

}  // namespace controller
