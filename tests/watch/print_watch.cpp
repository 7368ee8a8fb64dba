// Watches what a configuration says, and prints what it is told and how its watch is doing, each line with CLOCK_MONOTONIC's
// seconds: print_watch CONFIG [CHECK_MS ANSWER_MS]. Ends with its standard input.

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

#include "controller/log.h"
#include "controller/watch.h"
#include "tests/unit/watch_sample.h"

namespace {

std::mutex mutex;

void print(const std::string& line) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::lock_guard lock(mutex);
  fmt::print("{}.{:09} {}\n", now.tv_sec, now.tv_nsec, line);
  std::fflush(stdout);
}

bool input_ended(int wait_ms) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return ::poll(&input, 1, wait_ms) > 0 && ::read(STDIN_FILENO, &byte, 1) <= 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 64;
  std::signal(SIGPIPE, SIG_IGN);
  const auto config = controller::read_config(argv[1]);
  if (!config) {
    for (const auto& complaint : config.error()) fmt::print("{}\n", complaint.text());
    return 78;
  }
  controller::start_log(config->log_level, config->log_format);
  controller::WatchPace pace;
  if (argc == 4) pace = {std::chrono::milliseconds(std::atoi(argv[2])), std::chrono::milliseconds(std::atoi(argv[3]))};
  const controller::Watcher watcher(
      config->clusters, [](const auto& news) { print(fake::text(news)); }, pace);
  controller::WatchState last;
  while (!input_ended(20)) {
    auto state = watcher.states().at(0);
    state.announced = 0;
    if (state == last) continue;
    last = state;
    print(fmt::format("state connected={} reconnects={} endpoint={} trouble={}", state.connected, state.reconnects,
                      state.endpoint, state.trouble));
  }
  return 0;
}
