#pragma once
// Threads beside the one that waits for signals.

#include <pthread.h>

#include <csignal>
#include <functional>
#include <thread>
#include <utility>

namespace controller {

/// Signals are for the thread that waits for them: neither this one nor those that it starts (libcurl's resolvers inherit its
/// mask) take any.
[[nodiscard]] inline std::thread start_without_signals(std::function<void()> run) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(run));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace controller
