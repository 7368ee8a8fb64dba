#include "controller/session.h"

#include <algorithm>
#include <ctime>
#include <thread>

#include <unistd.h>

#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include "controller/journal_file.h"
#include "controller/publish.h"
#include "controller/version.h"

namespace controller {
namespace {

Remembered read_state(const Config& config, haproxy::Files& files) {
  const auto path = state_path(config.state, steering_socket(config));
  const auto bytes = files.read(path);
  if (!bytes) {
    if (bytes.error().detail != "no such file") spdlog::warn("{}", bytes.error().text());
    return {};
  }
  auto remembered = parse_state(*bytes, path.string());
  if (remembered) return std::move(*remembered);
  spdlog::warn("{}; starting without it", remembered.error().text());
  return {};
}

constexpr std::chrono::seconds kLongestSchedule = std::chrono::hours(24 * 365);

/// Every address of every cluster is known: a one-shot need not wait for `/cluster`.
bool knows_addresses(const Snapshot& snapshot) {
  return std::all_of(snapshot.clusters.begin(), snapshot.clusters.end(), [](const ClusterSnapshot& cluster) {
    return std::all_of(cluster.members.begin(), cluster.members.end(),
                       [](const Sighting& member) { return member.postgres.has_value(); });
  });
}

std::unique_ptr<Journal> make_journal(const Config& config) {
  if (!config.journal.enabled) return nullptr;
  return std::make_unique<Journal>(
      std::make_unique<JournalFile>(journal_path(config.journal.path, steering_socket(config)), config.journal.keep_bytes));
}

JournalEdge edge_to(Journal* journal, const Config& config, JournalStart start) {
  if (journal == nullptr) return {};
  const auto path = journal_path(config.journal.path, steering_socket(config));
  return {[journal](std::string line, bool urgent) { journal->write(std::move(line), urgent); }, unix_ms, ::getpid(),
          start == JournalStart::go_on ? last_decision(path) : std::string()};
}

bool is_complete(const ClusterSnapshot& cluster) {
  const auto& members = cluster.members;
  const bool all = std::all_of(members.begin(), members.end(), [](const Sighting& m) { return m.answer || m.silence; });
  const bool any_answer = std::any_of(members.begin(), members.end(), [](const Sighting& m) { return m.answer.has_value(); });
  const bool any_address =
      std::any_of(members.begin(), members.end(), [](const Sighting& m) { return !m.postgres_host.empty(); });
  return all && (!any_answer || any_address);
}

}  // namespace

std::int64_t unix_seconds() {
  return std::time(nullptr);
}

std::int64_t unix_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

int print_complaints(const std::vector<Complaint>& complaints) {
  for (const Complaint& complaint : complaints) fmt::print(stderr, "{}\n", complaint.text());
  return 78;
}

Session::Session(Config configuration, JournalStart start)
    : config(std::move(configuration)),
      socket(config.haproxy.socket, config.haproxy.master_socket),
      reload({config.haproxy.fragment, config.haproxy.validate, config.haproxy.reload}, socket),
      remembered(read_state(config, files)),
      board(first_snapshot(config, remembered)),
      poller(config.clusters, board, knows_addresses(board.snapshot())),
      journal(make_journal(config)),
      loop(config, kVersion,
           {{socket, [] { return haproxy::BootClock::now(); },
             [](std::chrono::milliseconds t) { std::this_thread::sleep_for(t); }},
            files,
            reload,
            unix_seconds,
            edge_to(journal.get(), config, start)},
           remembered) {}

void Session::watch() {
  watcher.emplace(config.clusters, [this](const Announcement& told) {
    switch (told.what) {
      case Announcement::What::leader:
        break;
      case Announcement::What::switchover: {
        // By the wall clock, as Patroni schedules it.
        using std::chrono::system_clock;
        const auto at = system_clock::time_point(std::chrono::seconds(told.at.value_or(0)));
        const auto ahead = std::clamp<Duration>(at - system_clock::now(), Duration::zero(), kLongestSchedule);
        board.put_switchover(told.cluster, Handover{told.id, told.from, haproxy::BootClock::now() + ahead});
        break;
      }
      case Announcement::What::switchover_over:
        board.put_switchover(told.cluster, std::nullopt);
        break;
    }
    poller.nudge(told.cluster);
  });
}

Outcome Session::round() {
  if (const auto outcome = loop.short_round(board.version())) return *outcome;
  auto outcome = loop.round(board.snapshot());
  for (const std::size_t cluster : outcome.doubted) poller.nudge(cluster);
  for (std::size_t cluster = 0; cluster < outcome.suspects.size(); ++cluster) {
    if (board.put_suspect(cluster, outcome.suspects[cluster])) poller.wake();
  }
  return outcome;
}

void Session::await_first_answers() {
  std::chrono::milliseconds longest{0};
  for (const ClusterConfig& cluster : config.clusters) longest = std::max(longest, cluster.poll.timeout);
  const Instant until = haproxy::BootClock::now() + longest;
  while (haproxy::BootClock::now() < until) {
    const Snapshot seen = board.snapshot();
    if (std::all_of(seen.clusters.begin(), seen.clusters.end(), is_complete)) return;
    board.wait(seen.version, until);
  }
}

}  // namespace controller
