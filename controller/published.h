#pragma once
// What the loop tells the world after each round: status, metrics and health are made from this alone.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controller/announced.h"
#include "controller/board.h"
#include "controller/topology.h"
#include "controller/watch.h"
#include "haproxy/running.h"

namespace controller {

/// One server of one backend of ours, as HAProxy has it, and why.
struct PublishedServer {
  std::string backend;
  std::string server;
  std::string address;  ///< "127.0.0.11:5432"; empty where HAProxy has none
  std::string member;   ///< the member's name; empty: it is no member's
  bool usable = false;  ///< HAProxy sends new connections to it
  bool backup = false;
  std::string admin;        ///< "ready", "drain", "maint"
  std::string operational;  ///< "running", "stopped", "starting", "stopping"
  std::string steering;     ///< "health" (a lease over HAProxy's own check) or "admin state"
  unsigned sessions = 0;
  unsigned maxconn = 0;  ///< so many at once, as it is now; 0: no limit
  Place wanted = Place::leave;
  Reason reason = Reason::unseen;
  std::string evidence;
  friend bool operator==(const PublishedServer&, const PublishedServer&) = default;
};

/// New connections to one write backend, as hold.lua counts them.
struct PublishedHold {
  std::string backend;
  haproxy::HoldState state;
  friend bool operator==(const PublishedHold&, const PublishedHold&) = default;
};

struct PublishedCluster {
  std::string scope;
  Topology topology;
  std::vector<Sighting> members;
  std::vector<PublishedServer> servers;
  std::uint64_t bad_answers = 0;  ///< of its members, since the start
  /// HAProxy routes as it should, as far as this cluster goes: what was wanted was confirmed, also while it rightly waits for a
  /// new writer.
  bool routes_right = false;
  /// Exactly one server is usable in every write backend, and it is the writer's.
  bool writer_in = false;
  HoldReason hold = HoldReason::none;  ///< why new connections are to wait
  bool hold_in_force = false;          ///< in every write backend they do
  std::vector<PublishedHold> holds;    ///< of each write backend; empty: hold.lua is not loaded
  WatchState watch;
  friend bool operator==(const PublishedCluster&, const PublishedCluster&) = default;
};

/// Counted since the start.
struct Counters {
  std::uint64_t rounds = 0;
  std::map<std::string, std::uint64_t> commands_sent;     ///< by command: "health up", "state maint", "shutdown session"
  std::map<std::string, std::uint64_t> commands_refused;  ///< the same words
  std::map<std::string, std::uint64_t> reloads;           ///< by reason: "writer", "members", "worker", "reverted"
  std::map<std::string, std::uint64_t> holds;             ///< begun, by reason: "stop", "wavers", "not_accepting" ...
  std::uint64_t reloads_failed = 0;
  std::uint64_t sessions_ended = 0;
  std::uint64_t fragment_writes = 0;
  std::uint64_t writer_changes = 0;
  std::uint64_t foreign_restarts = 0;  ///< HAProxy reloaded or restarted by somebody else
  std::uint64_t journal_lost = 0;      ///< lines that could not be written
  double round_seconds_sum = 0;
  std::vector<std::uint64_t> round_seconds_buckets;  ///< one for each bound of kRoundBuckets and one more
  friend bool operator==(const Counters&, const Counters&) = default;
};
inline constexpr double kRoundBuckets[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0};

struct Published {
  Instant at{};                 ///< end of the round
  std::uint64_t seen = 0;       ///< the version of the board that it was made from
  std::string version;          ///< of pointsman
  std::string haproxy_error;    ///< why HAProxy could not be read or steered; empty: it could
  std::string journal_trouble;  ///< why decisions cannot be written down; empty: they can, or nobody asked for it
  haproxy::Worker worker;
  std::string method;  ///< "runtime", "file"
  bool observe = false;
  std::vector<PublishedCluster> clusters;
  Counters counters;
  friend bool operator==(const Published&, const Published&) = default;
};

}  // namespace controller
