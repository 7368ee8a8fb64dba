// Many pollers on the same members, as many pointsmen would be, all in alert: how slow does the slowest answer get?
//
//   crowd POLLERS SECONDS SCOPE URL...    prints one line of JSON

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include "controller/poller.h"

using namespace controller;

namespace {

struct Pointsman {
  std::vector<ClusterConfig> clusters{1};
  std::unique_ptr<Board> board;
  std::unique_ptr<Poller> poller;
};

std::unique_ptr<Pointsman> start(const std::string& scope, const std::vector<MemberUrl>& members) {
  auto one = std::make_unique<Pointsman>();
  one->clusters[0].scope = scope;
  one->clusters[0].members = members;
  Snapshot first;
  auto& cluster = first.clusters.emplace_back();
  cluster.scope = scope;
  for (const auto& member : members) cluster.members.emplace_back().url = member.url;
  one->board = std::make_unique<Board>(std::move(first));
  one->poller = std::make_unique<Poller>(one->clusters, *one->board);
  return one;
}

}  // namespace

int main(int count, char** words) {
  if (count < 5) {
    fmt::print(stderr, "usage: crowd POLLERS SECONDS SCOPE URL...\n");
    return 64;
  }
  spdlog::set_level(spdlog::level::off);
  std::vector<MemberUrl> members;
  for (int i = 4; i < count; ++i) {
    const auto url = parse_member_url(words[i]);
    if (!url) {
      fmt::print(stderr, "{}\n", url.error().text());
      return 64;
    }
    members.push_back(*url);
  }
  std::vector<std::unique_ptr<Pointsman>> crowd;
  for (int i = 0; i < std::atoi(words[1]); ++i) {
    crowd.push_back(start(words[3], members));
    std::this_thread::sleep_for(std::chrono::milliseconds(40));  // they were not all started by the same event
  }

  // Every report of every poller is looked at; a nudge for all at the same moment, once a second, is what a watch would do.
  const Instant counted_from = haproxy::BootClock::now() + std::chrono::seconds(1);
  std::vector<double> took_ms;
  std::vector<std::vector<Instant>> last(crowd.size(), std::vector<Instant>(members.size()));
  unsigned unanswered = 0;
  const Instant begun = haproxy::BootClock::now();
  const Instant end = begun + std::chrono::seconds(std::atoi(words[2]));
  for (Instant nudge = begun; haproxy::BootClock::now() < end;) {
    if (haproxy::BootClock::now() >= nudge) {
      for (auto& one : crowd) one->poller->nudge(0);
      nudge += std::chrono::seconds(1);
    }
    for (std::size_t p = 0; p < crowd.size(); ++p) {
      const Snapshot seen = crowd[p]->board->snapshot();
      for (std::size_t m = 0; m < members.size(); ++m) {
        const Sighting& member = seen.clusters[0].members[m];
        if (member.silence) ++unanswered;
        if (!member.answer || member.answer->asked_at == last[p][m]) continue;
        last[p][m] = member.answer->asked_at;
        if (member.answer->asked_at < counted_from) continue;
        took_ms.push_back(
            std::chrono::duration<double, std::milli>(member.answer->answered_at - member.answer->asked_at).count());
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  for (auto& one : crowd) one->poller.reset();
  if (took_ms.empty()) {
    fmt::print(stderr, "nobody answered\n");
    return 1;
  }
  std::sort(took_ms.begin(), took_ms.end());
  fmt::print("{{\"answers\": {}, \"median_ms\": {:.1f}, \"p99_ms\": {:.1f}, \"slowest_ms\": {:.1f}, \"unanswered\": {}}}\n",
             took_ms.size(), took_ms[took_ms.size() / 2], took_ms[took_ms.size() * 99 / 100], took_ms.back(), unanswered);
  return 0;
}
