#pragma once
// What a member said, or that it said nothing: the values that everything else is judged from.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "haproxy/address.h"
#include "haproxy/clock.h"

namespace controller {

using haproxy::Duration;
using haproxy::Instant;

/// `role` of Patroni's answers. `master` (until 3.3) is read as `primary`.
enum class Role : std::uint8_t { primary, replica, standby_leader, demoted, promoted, uninitialized, other };

/// `state`. `other` is a state that no Patroni looked at has (3.0.2, 4.0.7, 4.1.5), or one of the failures
/// ("start failed", ...), or one of the bootstrap's.
enum class State : std::uint8_t { running, starting, restarting, stopping, stopped, crashed, creating_replica, unknown, other };

/// An entry of `replication`: who streams from this member.
struct WalSender {
  std::string application_name;
  std::string client_addr;  ///< empty for a Unix socket
  std::string state;        ///< "streaming", "catchup", "backup" ...
  friend bool operator==(const WalSender&, const WalSender&) = default;
};

/// The answer to `GET /primary`: the code tells of the lock, the body of PostgreSQL.
struct Answer {
  int code = 0;  ///< 200: believes to hold the leader lock
  Role role = Role::other;
  State state = State::other;
  std::optional<std::uint32_t> timeline;            ///< null or missing: not known, which is not wrong
  std::optional<std::uint64_t> location;            ///< a primary's position, bytes
  std::optional<std::uint64_t> received, replayed;  ///< a replica's
  std::string postmaster_start_time;                ///< as sent; changes with every start of PostgreSQL; empty: not told
  std::optional<std::string> replication_state;     ///< since 3.0.4: "streaming", "in archive recovery"
  std::vector<WalSender> replication;
  bool pause = false;
  bool cluster_unlocked = false;
  bool failsafe = false;                      ///< failsafe_mode_is_active
  bool noloadbalance = false;                 ///< tag, true
  std::optional<std::int64_t> dcs_last_seen;  ///< Unix seconds of the member's clock
  std::optional<std::int64_t> date;           ///< the answer's Date header, Unix seconds of the same clock
  std::string system_identifier;              ///< digits; empty: not told (while a replica is made)
  std::string scope;
  std::string name;     ///< since 3.2.0; empty before
  std::string version;  ///< "3.0.2"
  friend bool operator==(const Answer&, const Answer&) = default;
};

/// Why there was no answer. None of these is a denial.
enum class Failure : std::uint8_t { refused, timed_out, reset, empty, unresolved, tls, bad_answer };

struct NoAnswer {
  Failure failure = Failure::timed_out;
  std::string detail;  ///< one line, printable ASCII only
  friend bool operator==(const NoAnswer&, const NoAnswer&) = default;
};

/// One request and what came of it.
struct MemberReport {
  Instant asked_at{};     ///< when the request was begun: a report's age counts from here
  Instant answered_at{};  ///< when the last byte came, or it was given up
  std::variant<NoAnswer, Answer> outcome;

  [[nodiscard]] const Answer* answer() const { return std::get_if<Answer>(&outcome); }
  [[nodiscard]] const NoAnswer* no_answer() const { return std::get_if<NoAnswer>(&outcome); }
  friend bool operator==(const MemberReport&, const MemberReport&) = default;
};

/// What the PostgreSQL port that HAProxy routes to says, in the words of pg_isready.
enum class PortSays : std::uint8_t {
  accepting,
  rejecting,  ///< it is starting up, recovering or shutting down
  nothing,    ///< refused, closed without a byte, or no answer in time
};

/// One question to a port and what came of it.
struct PortReport {
  haproxy::Address address;
  Instant asked_at{};     ///< when the connection was begun: its age counts from here
  Instant answered_at{};  ///< when the answer came, or it was given up
  PortSays says = PortSays::nothing;
  std::string detail;  ///< one line, printable ASCII only
  friend bool operator==(const PortReport&, const PortReport&) = default;
};

/// An entry of `/cluster`. Hearsay: good for names and addresses, never for who is the writer.
struct ListedMember {
  std::string name;
  std::string api_host;  ///< from api_url
  std::uint16_t api_port = 0;
  std::string host;  ///< PostgreSQL's connect_address; empty where it published none
  std::uint16_t port = 0;
  bool leader = false;
  friend bool operator==(const ListedMember&, const ListedMember&) = default;
};

/// `/cluster` of one member.
struct ClusterReport {
  Instant asked_at{};
  std::vector<ListedMember> members;
  bool pause = false;
  friend bool operator==(const ClusterReport&, const ClusterReport&) = default;
};

/// `ttl` and `loop_wait` of `/config`, seconds.
struct Timings {
  int ttl = 30;
  int loop_wait = 10;
  friend bool operator==(const Timings&, const Timings&) = default;
};

/// The wire words, for messages. `other` reads "other".
[[nodiscard]] const char* word(Role role);
[[nodiscard]] const char* word(State state);
[[nodiscard]] const char* word(Failure failure);
[[nodiscard]] const char* word(PortSays says);

}  // namespace controller
