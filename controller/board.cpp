#include "controller/board.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "controller/schedule.h"

namespace controller {
namespace {

/// Host and port of a normalised URL; numeric hosts in their one spelling.
struct UrlParts {
  std::string host;
  std::uint16_t port = 0;
};

UrlParts split(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  const auto colon = url.rfind(':');
  if (colon == std::string_view::npos) return {std::string(url), 0};
  const auto host = url.substr(0, colon);
  return {haproxy::parse_ip(host).value_or(std::string(host)), haproxy::parse_port(url.substr(colon + 1)).value_or(0)};
}

/// What of an answer makes it another one worth keeping the old for.
bool same_part(const Answer& a, const Answer& b) {
  return a.code == b.code && a.role == b.role && a.state == b.state && a.replication_state == b.replication_state;
}

/// PostgreSQL's numeric address: as written, or by the name that the API has too and was reached by.
void resolve(Sighting& member) {
  member.postgres.reset();
  if (member.postgres_host.empty() || member.postgres_port == 0) return;
  if (const auto ip = haproxy::parse_ip(member.postgres_host)) {
    member.postgres = haproxy::Address{*ip, member.postgres_port};
  } else if (!member.api_ip.empty() && member.postgres_host == split(member.url).host) {
    member.postgres = haproxy::Address{member.api_ip, member.postgres_port};
  }
}

bool is_at(const Sighting& member, const ListedMember& listed) {
  if (listed.api_host.empty()) return false;
  const auto url = split(member.url);
  return listed.api_port == url.port &&
         (listed.api_host == url.host || (!member.api_ip.empty() && listed.api_host == member.api_ip));
}

}  // namespace

Board::Board(Snapshot start) : now_(std::move(start)), suspects_(now_.clusters.size()) {
  for (auto& cluster : now_.clusters) {
    for (auto& member : cluster.members) {
      if (member.api_port == 0) member.api_port = split(member.url).port;
      if (!member.postgres) resolve(member);
    }
  }
}

void Board::put(std::size_t cluster, std::size_t member, MemberReport report, const std::string& api_ip) {
  {
    const std::lock_guard lock(mutex_);
    if (cluster >= now_.clusters.size() || member >= now_.clusters[cluster].members.size()) return;
    auto& known = now_.clusters[cluster].members[member];
    known.in_flight.reset();
    const bool news =
        report.answer() == nullptr ? !known.silence : !known.answer || known.silence || is_news(*known.answer, report);
    if (news || (!api_ip.empty() && api_ip != known.api_ip)) ++now_.version;
    if (!api_ip.empty() && api_ip != known.api_ip) {
      known.api_ip = api_ip;
      resolve(known);
    }
    if (const auto* const silent = report.no_answer()) {
      if (!known.silence) known.silence = Silence{report.asked_at, {}, 0};
      known.silence->latest = *silent;
      ++known.silence->times;
      if (silent->failure == Failure::bad_answer) ++now_.clusters[cluster].refused;
    } else if (const auto* const answer = report.answer()) {
      const bool differs = known.answer && !same_part(*known.answer->answer(), *answer);
      if (differs) known.before = *known.answer->answer();
      if (differs || !known.answer) known.says_since = report.answered_at;
      known.silence.reset();
      known.port.reset();
      if (!answer->name.empty()) known.name = answer->name;
      known.answer = std::move(report);
    }
    if (!news) return;
  }
  changed_.notify_all();
}

void Board::put_asked(std::size_t cluster, std::size_t member, Instant begun) {
  const std::lock_guard lock(mutex_);
  if (cluster >= now_.clusters.size() || member >= now_.clusters[cluster].members.size()) return;
  now_.clusters[cluster].members[member].in_flight = begun;
}

void Board::put_late(std::size_t cluster) {
  {
    const std::lock_guard lock(mutex_);
    if (cluster >= now_.clusters.size()) return;
    ++now_.version;
  }
  changed_.notify_all();
}

void Board::put_port(std::size_t cluster, std::size_t member, PortReport report) {
  {
    const std::lock_guard lock(mutex_);
    if (cluster >= now_.clusters.size() || member >= now_.clusters[cluster].members.size()) return;
    if (!suspects_[cluster] || suspects_[cluster]->member != member) return;  // no longer
    auto& known = now_.clusters[cluster].members[member];
    if (known.answer && known.answer->answered_at > report.asked_at) return;  // it lives, and has said so itself
    const bool news = !known.port || known.port->says != report.says || known.port->address != report.address;
    known.port = std::move(report);
    if (!news) return;
    ++now_.version;
  }
  changed_.notify_all();
}

bool Board::put_suspect(std::size_t cluster, std::optional<Suspect> suspect) {
  const std::lock_guard lock(mutex_);
  if (cluster >= suspects_.size() || suspects_[cluster] == suspect) return false;
  for (std::size_t i = 0; i < now_.clusters[cluster].members.size(); ++i) {
    if (!suspect || suspect->member != i) now_.clusters[cluster].members[i].port.reset();
  }
  suspects_[cluster] = std::move(suspect);
  return true;
}

std::optional<Suspect> Board::suspect(std::size_t cluster) const {
  const std::lock_guard lock(mutex_);
  return cluster < suspects_.size() ? suspects_[cluster] : std::nullopt;
}

void Board::put_cluster(std::size_t cluster, std::size_t from, const ClusterReport& report) {
  {
    const std::lock_guard lock(mutex_);
    if (cluster >= now_.clusters.size() || from >= now_.clusters[cluster].members.size()) return;
    auto& known = now_.clusters[cluster];
    Hearsay hearsay{known.members[from].url, report.asked_at, {}};
    for (const auto& listed : report.members) {
      const auto found = std::ranges::find_if(known.members, [&](const auto& member) { return is_at(member, listed); });
      if (found == known.members.end()) continue;
      const bool told_itself = found->answer && !found->answer->answer()->name.empty();
      if (!told_itself) found->name = listed.name;
      if (listed.leader) hearsay.leader_url = found->url;
      if (listed.host.empty()) continue;
      found->postgres_host = listed.host;
      found->postgres_port = listed.port;
      resolve(*found);
    }
    const auto before = std::ranges::find(known.hearsay, hearsay.from, &Hearsay::from);
    if (before == known.hearsay.end()) {
      known.hearsay.push_back(std::move(hearsay));
    } else {
      *before = std::move(hearsay);
    }
    ++now_.version;
  }
  changed_.notify_all();
}

void Board::put_refusal(std::size_t cluster) {
  const std::lock_guard lock(mutex_);
  if (cluster < now_.clusters.size()) ++now_.clusters[cluster].refused;
}

void Board::put_timings(std::size_t cluster, Timings timings) {
  {
    const std::lock_guard lock(mutex_);
    if (cluster >= now_.clusters.size()) return;
    now_.clusters[cluster].timings = timings;
    ++now_.version;
  }
  changed_.notify_all();
}

void Board::put_switchover(std::size_t cluster, std::optional<Handover> switchover) {
  {
    const std::lock_guard lock(mutex_);
    if (cluster >= now_.clusters.size() || now_.clusters[cluster].switchover == switchover) return;
    now_.clusters[cluster].switchover = std::move(switchover);
    ++now_.version;
  }
  changed_.notify_all();
}

std::uint64_t Board::put_stop(std::size_t cluster, const std::string& member, Instant at) {
  std::uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    if (cluster >= now_.clusters.size()) return now_.version;
    auto& stops = now_.clusters[cluster].stops;
    std::uint64_t number = 1;
    for (const auto& stop : stops) number = std::max(number, stop.number + 1);
    std::erase_if(stops, [&](const auto& stop) { return stop.member == member; });
    stops.push_back({number, member, at});
    version = ++now_.version;
  }
  changed_.notify_all();
  return version;
}

void Board::go_on_after(const Snapshot& before) {
  const std::lock_guard lock(mutex_);
  now_.version = std::max(now_.version, before.version) + 1;
  for (auto& cluster : now_.clusters) {
    const auto old = std::ranges::find(before.clusters, cluster.scope, &ClusterSnapshot::scope);
    if (old == before.clusters.end()) continue;
    cluster.switchover = old->switchover;
    cluster.stops = old->stops;
  }
}

std::optional<Instant> Board::announced(std::size_t cluster) const {
  const std::lock_guard lock(mutex_);
  if (cluster >= now_.clusters.size()) return std::nullopt;
  const auto& known = now_.clusters[cluster];
  const Instant now = haproxy::BootClock::now();
  std::optional<Instant> at;
  const auto consider = [&](Instant due) {
    const bool better = !at || (due <= now ? *at > now || due > *at : *at > now && due < *at);
    if (better) at = due;
  };
  if (known.switchover) consider(known.switchover->due);
  for (const auto& stop : known.stops) {
    const auto member = std::ranges::find(known.members, stop.member, &Sighting::name);
    if (member == known.members.end()) continue;
    const Answer* answer = member->answer ? member->answer->answer() : nullptr;
    if (member->silence || (answer != nullptr && answer->code == 200)) consider(stop.at);
  }
  return at;
}

Snapshot Board::snapshot() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

std::uint64_t Board::version() const {
  const std::lock_guard lock(mutex_);
  return now_.version;
}

bool Board::wait(std::uint64_t seen, Instant until) {
  constexpr Duration kLongest = std::chrono::hours(1);
  std::unique_lock lock(mutex_);
  for (;;) {
    const Instant now = haproxy::BootClock::now();
    if (now_.version > seen || woken_ || now >= until) break;
    changed_.wait_for(lock, std::min<Duration>(until - now, kLongest));
  }
  woken_ = false;
  return now_.version > seen;
}

void Board::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

}  // namespace controller
