#pragma once
// The board between the poller and the loop: the latest that is known of each member. The only mutex.

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "controller/report.h"

namespace controller {

/// A member that has not answered since `since`.
struct Silence {
  Instant since{};  ///< when the first request that got no answer was begun
  NoAnswer latest;
  int times = 0;
  friend bool operator==(const Silence&, const Silence&) = default;
};

/// What is known of one member.
struct Sighting {
  std::string url;     ///< the configured seed, normalised
  std::string api_ip;  ///< the numeric address that was asked; empty until a connection was tried
  std::uint16_t api_port = 0;
  std::string name;                          ///< from its own answer or /cluster; empty: not known yet
  std::optional<haproxy::Address> postgres;  ///< from /cluster; numeric
  std::string postgres_host;                 ///< from /cluster as written, numeric or a name; empty: not known yet
  std::uint16_t postgres_port = 0;
  std::optional<MemberReport> answer;  ///< the last one that was an answer
  std::optional<Answer> before;        ///< the answer before the silence began or before `answer` differed from it
  Instant says_since{};                ///< when the first answer came that did not differ from `answer`
  std::optional<Silence> silence;      ///< nothing while the last request was answered
  std::optional<Instant> in_flight;    ///< when the request under way was begun; nothing: none is
  std::optional<PortReport> port;      ///< what its PostgreSQL's port said last, while it is the suspect
  friend bool operator==(const Sighting&, const Sighting&) = default;
};

/// Who another member's `/cluster` names as leader, newest per member that was asked.
struct Hearsay {
  std::string from;  ///< URL of the member that was asked
  Instant asked_at{};
  std::string leader_url;  ///< the member's URL among the seeds; empty: none, or one that is no seed
  friend bool operator==(const Hearsay&, const Hearsay&) = default;
};

/// A switchover that the DCS announces: its `failover` key is there.
struct Handover {
  std::string id;    ///< of this announcement: another key has another
  std::string from;  ///< the member that is to hand over; empty: whoever is the writer
  Instant due{};     ///< when it begins
  friend bool operator==(const Handover&, const Handover&) = default;
};

/// A member's stop that its own hook announced.
struct StopNotice {
  std::uint64_t number = 0;  ///< counts the notices
  std::string member;        ///< its name
  Instant at{};
  friend bool operator==(const StopNotice&, const StopNotice&) = default;
};

/// The port to ask while the API of the writer says nothing.
struct Suspect {
  std::size_t member = 0;
  haproxy::Address address;  ///< as HAProxy routes to it
  Duration took{};           ///< by the API's last answer
  friend bool operator==(const Suspect&, const Suspect&) = default;
};

/// Everything known of one cluster at one moment.
struct ClusterSnapshot {
  std::string scope;
  std::vector<Sighting> members;  ///< in the order of the configuration
  std::vector<Hearsay> hearsay;
  Timings timings;
  std::uint64_t refused = 0;  ///< bad answers so far, to whatever was asked
  std::optional<Handover> switchover = std::nullopt;
  std::vector<StopNotice> stops = {};  ///< the newest of each member that gave one
  friend bool operator==(const ClusterSnapshot&, const ClusterSnapshot&) = default;
};

struct Snapshot {
  std::uint64_t version = 0;              ///< counts news (is_news): an answer that says the same again, later, raises nothing
  std::vector<ClusterSnapshot> clusters;  ///< in the order of the configuration
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

/// Threads: `put*` from the poller, the watches and the listener, `wait`, `snapshot` and `put_suspect` from the loop; all may
/// be called at any time.
class Board {
 public:
  /// `start` has the clusters and members of the configuration, with nothing known of them but what a state file remembers.
  explicit Board(Snapshot start);

  void put(std::size_t cluster, std::size_t member, MemberReport report, const std::string& api_ip);
  /// A request was begun whose report is to come. No news by itself.
  void put_asked(std::size_t cluster, std::size_t member, Instant begun);
  /// The answer to the request under way is late, which is news.
  void put_late(std::size_t cluster);
  /// What the suspect's port said. It is forgotten with the member's next answer, and with the suspicion.
  void put_port(std::size_t cluster, std::size_t member, PortReport report);
  /// Fills names and addresses by API address (of the URL or as connected to) and port, and replaces `from`'s hearsay.
  void put_cluster(std::size_t cluster, std::size_t from, const ClusterReport& report);
  /// Counts a bad answer to `/cluster` or `/config`.
  void put_refusal(std::size_t cluster);
  void put_timings(std::size_t cluster, Timings timings);

  /// Goes on after another board: its versions are below this one's, and what was announced there is here, by scope.
  void go_on_after(const Snapshot& before);
  /// What a watch saw: a switchover is announced, or no longer.
  void put_switchover(std::size_t cluster, std::optional<Handover> switchover);
  /// Says the version of the board that has it.
  std::uint64_t put_stop(std::size_t cluster, const std::string& member, Instant at);
  /// Whose port is to be asked from now on, again and again; nothing: nobody's. Says whether that is another than before.
  bool put_suspect(std::size_t cluster, std::optional<Suspect> suspect);
  [[nodiscard]] std::optional<Suspect> suspect(std::size_t cluster) const;
  /// When the newest announcement that is due was, else the first that will be; of stops only those of a member that holds the
  /// lock, or is silent. Nothing: none.
  [[nodiscard]] std::optional<Instant> announced(std::size_t cluster) const;

  [[nodiscard]] Snapshot snapshot() const;
  [[nodiscard]] std::uint64_t version() const;
  /// Waits until the version is above `seen`, `until` has come, or `wake` was called; says whether the version is above.
  bool wait(std::uint64_t seen, Instant until);
  /// Ends a `wait` at once (signals, shutdown).
  void wake();

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Snapshot now_;
  std::vector<std::optional<Suspect>> suspects_;  ///< by cluster
  bool woken_ = false;
};

}  // namespace controller
