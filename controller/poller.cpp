#include "controller/poller.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <random>
#include <thread>
#include <utility>

#include "controller/client.h"
#include "controller/parse_patroni.h"
#include "controller/ports.h"
#include "controller/schedule.h"
#include "controller/thread.h"

namespace controller {
namespace {

using haproxy::BootClock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kClusterEvery = seconds(60);
constexpr Duration kConfigEvery = std::chrono::hours(1);
constexpr Duration kRetryAtMost = seconds(60);
constexpr Duration kDisputeEvery = milliseconds(250);
constexpr Duration kNudgesApart = milliseconds(10);
constexpr Duration kNudgedFor = seconds(1);
constexpr Duration kNudgeSpread = milliseconds(20);
constexpr milliseconds kHoldAtMost = seconds(40);  ///< where the configuration does not say: Patroni's ttl and loop_wait
constexpr milliseconds kHearsayTimeout{500};       ///< a member that hangs over /cluster must not be out of sight for long
constexpr Instant kNever = Instant::max();

enum class Path : std::uint8_t { primary, cluster, config };
constexpr std::array<const char*, 3> kPaths{"/primary", "/cluster", "/config"};

struct Member {
  std::size_t index = 0;  ///< in its cluster
  std::size_t slot = 0;   ///< in the client
  std::string url;
  Asked asked;
  Path path = Path::primary;  ///< of the request in flight
  bool hurry = false;         ///< nudged since the last request was begun
  bool late = false;          ///< the answer to the request in flight, as was said
  double jitter = 0;
  std::optional<MemberReport> last;  ///< of /primary
  bool well = false;                 ///< the last request, of whatever path, was answered
  Instant cluster_asked{};
  std::array<bool, 3> complained{};  ///< per path: a warning stands in the log
};

/// A question to some member of a cluster, again and again.
struct Errand {
  Instant due{};
  Duration retry{};  ///< after the last failure; zero: there was none
  bool under_way = false;
};

struct Cluster {
  ClusterConfig config;
  std::vector<Member> members;
  Instant changed_at{};
  std::optional<Instant> missing_since;  ///< nobody claims
  Errand cluster, config_errand;
  bool addresses_known = false;
  std::optional<Instant> announced;  ///< when what was announced begins
  Instant nudged_at{};
  Instant hurry_at{};  ///< a little after it: others were nudged at the same moment
  Instant next{};      ///< when to look at it again
};

bool claims(const Member& member) {
  const auto* const answer = member.last ? member.last->answer() : nullptr;
  return answer != nullptr && answer->code == 200 && answer->role == Role::primary && answer->state == State::running;
}

/// It has the lock, and is not yet writable.
bool promotes(const Member& member) {
  const auto* const answer = member.last ? member.last->answer() : nullptr;
  return answer != nullptr && answer->code == 200 && answer->role == Role::replica;
}

bool disputed(const Cluster& cluster) {
  return std::ranges::count_if(cluster.members, claims) > 1;
}

/// What was announced for now may still come: a CHECKPOINT before a switchover takes as long as it takes.
bool is_announced(const Cluster& cluster, Instant now) {
  if (now - cluster.nudged_at < kNudgedFor) return true;
  return cluster.announced && now >= *cluster.announced && now - *cluster.announced < cluster.config.hold.value_or(kHoldAtMost);
}

/// After a crash the cluster says nothing new until the ttl is over; the next writer must not wait for a calm round then.
bool is_writer_missing(const Cluster& cluster, Instant now) {
  return cluster.missing_since && now - *cluster.missing_since < cluster.config.hold.value_or(kHoldAtMost);
}

Instant primary_due(const Cluster& cluster, const Member& member, Instant now, double jitter) {
  if (member.asked.in_flight) return kNever;
  if (member.hurry) return std::max({rested(member.asked, true), member.asked.last_asked + kNudgesApart, cluster.hurry_at});
  News news{now - cluster.changed_at, Announced::nothing, is_writer_missing(cluster, now)};
  if (is_announced(cluster, now)) {
    const bool promotion = std::ranges::any_of(cluster.members, promotes);
    news.announced = !promotion ? Announced::change : promotes(member) ? Announced::promotion : Announced::nothing;
  }
  return next_ask(member.asked, cluster.config.poll, news, jitter);
}

Instant primary_due(const Cluster& cluster, Instant now) {
  Instant first = kNever;
  for (const auto& member : cluster.members) first = std::min(first, primary_due(cluster, member, now, member.jitter));
  return first;
}

/// Members that an errand may go to, now or later: those that are well, and of these the ones that claim nothing, if any.
std::vector<Member*> errand_members(Cluster& cluster) {
  std::vector<Member*> found;
  for (const bool claiming : {false, true}) {
    for (auto& member : cluster.members) {
      if (member.well && claims(member) == claiming) found.push_back(&member);
    }
    if (!found.empty()) break;
  }
  std::ranges::stable_sort(found, {}, &Member::cluster_asked);
  return found;
}

Instant errand_due(const Errand& errand, const std::vector<Member*>& members) {
  if (errand.under_way) return kNever;
  Instant soonest = kNever;
  for (const auto* const member : members) {
    if (!member->asked.in_flight) soonest = std::min(soonest, rested(member->asked));
  }
  return std::max(errand.due, soonest);
}

Instant late_due(const Member& member) {
  const bool awaited = member.asked.in_flight && member.path == Path::primary && !member.late && claims(member);
  return awaited ? late_at(member.last->answered_at - member.last->asked_at, member.asked.last_asked) : kNever;
}

Instant dispute_due(const Member& member) {
  if (!member.well || member.asked.in_flight || claims(member)) return kNever;
  return std::max(rested(member.asked), member.cluster_asked + kDisputeEvery);
}

}  // namespace

class Poller::Impl {
 public:
  Impl(const std::vector<ClusterConfig>& clusters, Board& board, bool remembered)
      : board_(board), ports_(board, clusters.size()), nudged_(clusters.size()) {
    const Instant now = BootClock::now();
    for (const auto& config : clusters) {
      auto& cluster = clusters_.emplace_back();
      cluster.config = config;
      cluster.changed_at = cluster.next = now;
      cluster.addresses_known = remembered;
      cluster.cluster.due = cluster.config_errand.due = remembered ? now + seconds(1) : now;
      for (const auto& url : config.members) {
        auto& member = cluster.members.emplace_back();
        member.index = cluster.members.size() - 1;
        member.slot = client_.add(url, config.tls);
        member.url = url.url;
        places_.emplace_back(clusters_.size() - 1, member.index);
      }
    }
    thread_ = start_without_signals([this] { run(); });
  }

  ~Impl() {
    stopping_ = true;
    client_.wake();
    thread_.join();
  }

  void nudge(std::size_t cluster) {
    if (cluster >= nudged_.size()) return;
    nudged_[cluster] = true;
    wake();
  }
  void wake() { client_.wake(); }

 private:
  void run() {
    while (!stopping_) {
      for (std::size_t c = 0; c < clusters_.size(); ++c) {
        if (nudged_[c].exchange(false)) hurry(c);
      }
      const Instant now = BootClock::now();
      Instant next = now + seconds(60);
      for (auto& cluster : clusters_) {
        if (cluster.next <= now) send_due(cluster, now);
        next = std::min(next, cluster.next);
      }
      next = std::min(next, ports_.work(now));
      client_.work(next - now, ports_.waits());
      while (auto fetched = client_.take()) receive(*fetched);
    }
  }

  void hurry(std::size_t number) {
    auto& cluster = clusters_[number];
    cluster.changed_at = cluster.next = BootClock::now();
    cluster.announced = board_.announced(number);
    cluster.nudged_at = cluster.changed_at;
    cluster.hurry_at = cluster.nudged_at + std::chrono::duration_cast<Duration>(kNudgeSpread * spread_(random_));
    for (auto& member : cluster.members) member.hurry = true;
  }

  void send_due(Cluster& cluster, Instant now) {
    for (auto& member : cluster.members) {
      if (late_due(member) > now) continue;
      member.late = true;
      cluster.changed_at = now;
      board_.put_late(places_[member.slot].first);
    }
    if (primary_due(cluster, now) <= now) {
      // Whoever may be asked already goes along: one picture of the cluster, and one waking for it.
      for (auto& member : cluster.members) {
        if (primary_due(cluster, member, now, 0) > now) continue;
        ask(cluster, member, Path::primary);
        board_.put_asked(places_[member.slot].first, member.index, member.asked.last_asked);
      }
    }
    if (disputed(cluster)) {
      for (auto& member : cluster.members) {
        if (dispute_due(member) <= now) ask(cluster, member, Path::cluster);
      }
    }
    send_errand(cluster, cluster.cluster, Path::cluster, now);
    send_errand(cluster, cluster.config_errand, Path::config, now);
    cluster.next = look_again(cluster, now);
  }

  void send_errand(Cluster& cluster, Errand& errand, Path path, Instant now) {
    if (errand.under_way || errand.due > now) return;
    for (auto* const member : errand_members(cluster)) {
      if (member->asked.in_flight || rested(member->asked) > now) continue;
      errand.under_way = true;
      ask(cluster, *member, path);
      return;
    }
  }

  Instant look_again(Cluster& cluster, Instant now) const {
    const auto members = errand_members(cluster);
    Instant next =
        std::min({primary_due(cluster, now), errand_due(cluster.cluster, members), errand_due(cluster.config_errand, members)});
    const bool in_dispute = disputed(cluster);
    if (cluster.announced && *cluster.announced > now) next = std::min(next, *cluster.announced);
    for (const auto& member : cluster.members) {
      next = std::min(next, late_due(member));
      if (in_dispute) next = std::min(next, dispute_due(member));
    }
    return next;
  }

  void ask(Cluster& cluster, Member& member, Path path) {
    const Instant now = BootClock::now();
    member.asked.in_flight = true;
    member.path = path;
    if (path == Path::primary) {
      member.asked.last_asked = now;
      member.hurry = member.late = false;
    } else if (path == Path::cluster) {
      member.cluster_asked = now;
    }
    const milliseconds timeout = cluster.config.poll.timeout;
    client_.begin(member.slot, kPaths[static_cast<std::size_t>(path)],
                  path == Path::primary ? timeout : std::min(timeout, kHearsayTimeout));
  }

  void receive(Fetched& fetched) {
    const auto [number, index] = places_[fetched.slot];
    auto& cluster = clusters_[number];
    auto& member = cluster.members[index];
    member.asked.in_flight = false;
    member.asked.last_done = fetched.ended;
    member.asked.hung = fetched.hung ? member.asked.hung + 1 : 0;
    member.asked.last_took = fetched.failure ? Duration::zero() : fetched.served_in;
    if (member.path == Path::primary) receive_primary(number, member, fetched);
    if (member.path == Path::cluster) receive_cluster(number, member, fetched);
    if (member.path == Path::config) receive_config(number, member, fetched);
    cluster.next = fetched.ended;
  }

  void receive_primary(std::size_t number, Member& member, Fetched& fetched) {
    auto& cluster = clusters_[number];
    MemberReport report{fetched.begun, fetched.ended, {}};
    if (fetched.failure) {
      report.outcome = *fetched.failure;
    } else if (auto answer = parse_answer(fetched.code, fetched.body, fetched.date, member.url)) {
      report.outcome = std::move(*answer);
    } else {
      report.outcome = NoAnswer{Failure::bad_answer, printable(answer.error().detail, 200)};
    }
    note(member, report.no_answer());
    member.jitter = spread_(random_);
    if (member.last && is_news(*member.last, report)) {
      cluster.changed_at = fetched.ended;
      if (!cluster.addresses_known && cluster.cluster.retry == Duration::zero()) {
        cluster.cluster.due = std::min(cluster.cluster.due, member.cluster_asked + seconds(1));
      }
    }
    member.last = report;
    const bool missing = std::ranges::none_of(cluster.members, claims);
    if (!missing) cluster.missing_since.reset();
    if (missing && !cluster.missing_since) cluster.missing_since = fetched.ended;
    board_.put(number, member.index, std::move(report), fetched.ip);
  }

  void receive_cluster(std::size_t number, Member& member, Fetched& fetched) {
    auto& cluster = clusters_[number];
    auto failure = std::move(fetched.failure);
    if (!failure) {
      if (auto report = parse_cluster(fetched.code, fetched.body, member.url)) {
        report->asked_at = fetched.begun;
        board_.put_cluster(number, member.index, *report);
        cluster.addresses_known = all_addresses_known(number);
      } else {
        failure = NoAnswer{Failure::bad_answer, printable(report.error().detail, 200)};
      }
    }
    note(member, failure ? &*failure : nullptr);
    if (failure && failure->failure == Failure::bad_answer) board_.put_refusal(number);
    const Duration unknown_for = (fetched.ended - cluster.changed_at) / 10;
    settle(cluster.cluster, failure.has_value(), fetched.ended,
           cluster.addresses_known ? kClusterEvery : std::clamp<Duration>(unknown_for, seconds(1), kClusterEvery));
  }

  void receive_config(std::size_t number, Member& member, Fetched& fetched) {
    auto failure = std::move(fetched.failure);
    if (!failure) {
      if (const auto timings = parse_timings(fetched.code, fetched.body, member.url)) {
        board_.put_timings(number, *timings);
      } else {
        failure = NoAnswer{Failure::bad_answer, printable(timings.error().detail, 200)};
      }
    }
    note(member, failure ? &*failure : nullptr);
    if (failure && failure->failure == Failure::bad_answer) board_.put_refusal(number);
    settle(clusters_[number].config_errand, failure.has_value(), fetched.ended, kConfigEvery);
  }

  static void settle(Errand& errand, bool failed, Instant now, Duration again) {
    errand.under_way = false;
    errand.retry = failed ? std::clamp<Duration>(errand.retry * 2, seconds(1), kRetryAtMost) : Duration::zero();
    errand.due = now + (failed ? errand.retry : again);
  }

  /// Whether the member is well, and the log: once when what it says begins to be wrong, once when it is right again.
  static void note(Member& member, const NoAnswer* failure) {
    member.well = failure == nullptr;
    bool& complained = member.complained[static_cast<std::size_t>(member.path)];
    const char* const path = kPaths[static_cast<std::size_t>(member.path)];
    if (failure == nullptr && complained) {
      complained = false;
      spdlog::info("{}{} answers well again", member.url, path);
    } else if (failure != nullptr && !complained &&
               (failure->failure == Failure::bad_answer || failure->failure == Failure::tls)) {
      complained = true;
      spdlog::warn("{}{} is refused: {}", member.url, path, failure->detail);
    }
  }

  bool all_addresses_known(std::size_t number) const {
    const auto snapshot = board_.snapshot();
    if (number >= snapshot.clusters.size()) return true;
    return std::ranges::none_of(snapshot.clusters[number].members,
                                [](const auto& member) { return member.postgres_host.empty(); });
  }

  Board& board_;
  Client client_;
  Ports ports_;
  std::vector<Cluster> clusters_;
  std::vector<std::pair<std::size_t, std::size_t>> places_;  ///< by slot: cluster and member
  std::minstd_rand random_{std::random_device{}()};
  std::uniform_real_distribution<double> spread_{0.0, 1.0};
  std::atomic<bool> stopping_ = false;
  std::deque<std::atomic<bool>> nudged_;  ///< by cluster
  std::thread thread_;
};

Poller::Poller(const std::vector<ClusterConfig>& clusters, Board& board, bool remembered)
    : impl_(std::make_unique<Impl>(clusters, board, remembered)) {}
Poller::~Poller() = default;
void Poller::nudge(std::size_t cluster) {
  impl_->nudge(cluster);
}
void Poller::wake() {
  impl_->wake();
}

}  // namespace controller
