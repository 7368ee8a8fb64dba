// The clients of all doors in one process, so that their own cost is small and known: libpq without blocking, one epoll.
//
//   clients RUN OUT < TABLE
//
// TABLE has a line for each client: NAME KIND(new|kept) EVERY_MS TIMEOUT_MS PORT HOST..., and then an empty line. A `new`
// client opens a connection every EVERY_MS, whatever became of the ones before, writes one row and closes. A `kept` one writes
// a row every EVERY_MS over one connection, and opens another when that fails. Each attempt becomes a line of JSON in OUT. It
// ends when its standard input does; the last line says what it cost.
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "connection.h"

namespace bench {
namespace {

// More attempts in flight than this, of one client, are not started: it bounds descriptors, not what is measured.
constexpr size_t kMostInFlight = 4000;
constexpr double kExpireEvery = 0.01;
constexpr double kGrace = 3;  // seconds, at the end, for queries in flight; connecting has a bound of its own

std::vector<Client> read_table(std::istream& in) {
  std::vector<Client> clients;
  for (std::string line; std::getline(in, line) && !line.empty();) {
    std::istringstream words(line);
    Client client;
    std::string kind;
    double every_ms = 0;
    double timeout_ms = 0;
    words >> client.name >> kind >> every_ms >> timeout_ms >> client.port;
    for (std::string host; words >> host;) client.hosts.push_back(host);
    if (client.hosts.empty() || every_ms <= 0) return {};
    client.kept = kind == "kept";
    client.every = every_ms / 1000;
    client.timeout = timeout_ms / 1000;
    clients.push_back(client);
  }
  return clients;
}

std::string quoted(std::string text) {
  for (auto& letter : text) {
    if (letter == '"' || letter == '\\' || letter < ' ' || letter > '~') letter = ' ';
  }
  return '"' + text.substr(0, 160) + '"';
}

struct Turn {
  const Client* client;
  double due;
  long number = 0;
  Connection* kept = nullptr;
  size_t in_flight = 0;
  long not_started = 0;
};

class Loop {
 public:
  Loop(const std::vector<Client>& clients, std::string run, FILE* out)
      : run_(std::move(run)), out_(out), poll_(epoll_create1(EPOLL_CLOEXEC)), timer_(timerfd_create(CLOCK_MONOTONIC, 0)) {
    const auto begin = monotonic();
    for (const auto& client : clients) {
      // Spread over the interval, so that the clients of all doors do not arrive in one burst.
      const auto offset = client.every * static_cast<double>(turns_.size()) / static_cast<double>(clients.size());
      turns_.push_back({.client = &client, .due = begin + offset});
    }
    add(STDIN_FILENO, &kStdin);
    add(timer_, &kTimer);
    began_ = begin;
  }

  void run() {
    while (!over()) {
      set_timer();
      epoll_event events[256];
      const int count = epoll_wait(poll_, events, 256, 100);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.ptr == &kStdin) {
          char byte = 0;
          if (read(STDIN_FILENO, &byte, 1) <= 0) stop();
        } else if (events[i].data.ptr == &kTimer) {
          uint64_t times = 0;
          [[maybe_unused]] const auto got = read(timer_, &times, sizeof times);
        } else {
          auto* connection = static_cast<Connection*>(events[i].data.ptr);
          if (!connection->broken()) settle(*connection, connection->advance(monotonic()));
        }
      }
      if (stopped_at_ == 0) start_due();
      expire();
      forget_broken();
    }
    for (const auto& one : connections_) {
      if (!one->idle()) put(*one, one->unfinished(monotonic()));
    }
    put_costs();
  }

 private:
  static inline char kStdin, kTimer;

  void add(int descriptor, void* what) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = what}};
    epoll_ctl(poll_, EPOLL_CTL_ADD, descriptor, &event);
  }

  void stop() {
    epoll_ctl(poll_, EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
    stopped_at_ = monotonic();
  }

  bool over() const {
    if (stopped_at_ == 0) return false;
    const bool over_time = monotonic() - stopped_at_ > kGrace;
    return std::all_of(connections_.begin(), connections_.end(),
                       [over_time](const auto& one) { return one->idle() || (over_time && !one->connecting()); });
  }

  void set_timer() {
    auto due = monotonic() + kExpireEvery;
    if (stopped_at_ == 0) {
      for (const auto& turn : turns_) due = std::min(due, turn.due);
    }
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(due);
    when.it_value.tv_nsec = static_cast<long>((due - std::floor(due)) * 1e9);
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  }

  void start_due() {
    for (auto& turn : turns_) {
      const auto now = monotonic();
      if (turn.due > now) continue;
      late_.push_back(static_cast<float>(now - turn.due));
      // After a stall the turns that were missed are not made up for: that would be a burst.
      turn.due = std::max(turn.due + turn.client->every, now - turn.client->every);
      if (turn.kept != nullptr) {
        if (turn.kept->idle()) settle(*turn.kept, turn.kept->write(++turn.number, now));
      } else if (turn.in_flight >= kMostInFlight) {
        ++turn.not_started;
      } else {
        connections_.push_back(std::make_unique<Connection>(*turn.client, run_, ++turn.number, now));
        ++turn.in_flight;
        auto& connection = *connections_.back();
        if (turn.client->kept) turn.kept = &connection;
        // One that is refused on the spot has no socket to wait for.
        settle(connection, connection.socket() < 0 && connection.advance(now));
      }
    }
  }

  void expire() {
    const auto now = monotonic();
    if (now - expired_at_ < kExpireEvery) return;
    expired_at_ = now;
    for (const auto& one : connections_) {
      if (one->expired(now)) settle(*one, one->next_host(now));
    }
  }

  // Notes an attempt that has ended, and patient for what the connection patient for now.
  void settle(Connection& connection, bool ended) {
    if (ended) put(connection, connection.note());
    if (connection.broken() || connection.socket() < 0) return;
    // libpq opens another socket for another host, often under the same number; closing took the old one out of the set.
    const auto interest = connection.idle() ? static_cast<uint32_t>(EPOLLIN) : connection.interest();
    epoll_event event{.events = interest, .data = {.ptr = &connection}};
    if (epoll_ctl(poll_, EPOLL_CTL_MOD, connection.socket(), &event) != 0) {
      epoll_ctl(poll_, EPOLL_CTL_ADD, connection.socket(), &event);
    }
  }

  void forget_broken() {
    const auto gone = [this](const auto& one) {
      if (!one->broken()) return false;
      for (auto& turn : turns_) {
        if (turn.client != &one->client()) continue;
        --turn.in_flight;
        if (turn.kept == one.get()) turn.kept = nullptr;
      }
      return true;
    };
    connections_.erase(std::remove_if(connections_.begin(), connections_.end(), gone), connections_.end());
  }

  void put(const Connection& connection, const Note& note) {
    fmt::print(out_, R"({{"client": "{}", "n": {}, "start": {:.6f}, "end": {:.6f}, "ok": {}, "phase": "{}")",
               connection.client().name, note.number, note.start, note.end, note.ok, note.ok ? "done" : note.phase);
    if (!note.server.empty()) {
      fmt::print(out_, R"(, "server": {}, "recovery": {}, "timeline": {})", quoted(note.server), note.recovery, note.timeline);
    }
    if (note.hanging) fmt::print(out_, R"(, "hanging": true)");
    if (!note.ok) fmt::print(out_, R"(, "error": {})", quoted(note.error));
    fmt::print(out_, "}}\n");
  }

  void put_costs() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const auto cpu = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    std::sort(late_.begin(), late_.end());
    const auto late = [this](double share) {
      return late_.empty() ? 0.0F : late_[static_cast<size_t>(share * static_cast<double>(late_.size() - 1))] * 1000;
    };
    long not_started = 0;
    for (const auto& turn : turns_) not_started += turn.not_started;
    fmt::print(
        out_,
        R"({{"cpu_seconds": {:.3f}, "seconds": {:.3f}, "turns": {}, "not_started": {}, "late_ms": [{:.3f}, {:.3f}, {:.3f}]}})"
        "\n",
        cpu(used.ru_utime) + cpu(used.ru_stime), monotonic() - began_, late_.size(), not_started, late(0.5), late(0.99),
        late(1));
    fflush(out_);
  }

  std::string run_;
  FILE* out_;
  int poll_, timer_;
  std::vector<Turn> turns_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<float> late_;  // seconds from when an attempt was due to when it was begun
  double began_ = 0, stopped_at_ = 0, expired_at_ = 0;
};

}  // namespace
}  // namespace bench

int main(int count, char** words) {
  if (count != 3) {
    fmt::print(stderr, "usage: {} RUN OUT < TABLE\n", words[0]);
    return 64;
  }
  const auto clients = bench::read_table(std::cin);
  auto* out = fopen(words[2], "a");
  if (clients.empty() || out == nullptr) {
    fmt::print(stderr, "{}: {}\n", words[0], clients.empty() ? "no client in the table" : "the output cannot be opened");
    return 1;
  }
  setvbuf(out, nullptr, _IOLBF, 0);
  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  bench::Loop(clients, words[1], out).run();
  return 0;
}
