// run: the daemon.

#include <csignal>
#include <memory>

#include <spdlog/spdlog.h>

#include "controller/bulletin.h"
#include "controller/commands.h"
#include "controller/doorbell.h"
#include "controller/examine.h"
#include "controller/listener.h"
#include "controller/lock.h"
#include "controller/log.h"
#include "controller/notify.h"
#include "controller/publish.h"
#include "controller/session.h"

namespace controller {
namespace {

// Set by signals, read by the loop, which wakes every kLookEvery anyway.
volatile std::sig_atomic_t g_stop = 0;
volatile std::sig_atomic_t g_reload = 0;

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { (signal == SIGHUP ? g_reload : g_stop) = 1; };
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaction(signal, &action, nullptr);
}

std::string status_line(const Published& published) {
  std::string line;
  for (const PublishedCluster& cluster : published.clusters) {
    const Topology& topology = cluster.topology;
    line += (line.empty() ? "" : "; ") + cluster.scope + ": writer " +
            (topology.writer ? topology.members[*topology.writer].name : "none") + " (" + word(topology.writer_state) + ")";
  }
  return line;
}

/// Takes the lock for good, or says who has it.
haproxy::Result<Lock> take_lock(const Config& config) {
  auto lock = Lock::take(steering_socket(config), config.state, Held::run, std::chrono::seconds(5));
  if (!lock) return tl::unexpected(std::move(lock).error());
  if (*lock) return std::move(**lock);
  return haproxy::fail("steer", steering_socket(config).string(),
                       "another pointsman (pid " + std::to_string(lock->error().pid) + ") steers this HAProxy already",
                       "stop it first: two would undo each other's work");
}

class Daemon {
 public:
  Daemon(Config config, std::filesystem::path file, Lock lock) : file_(std::move(file)), lock_(std::move(lock)) {
    session_ = std::make_unique<Session>(std::move(config));
    doorbell_.attach(session_.get());
    session_->watch();
  }

  haproxy::Result<void> listen() {
    if (!session_->config.http.enabled) return {};
    auto listener = Listener::start(session_->config.http, latest(), &doorbell_);
    if (!listener) return tl::unexpected(std::move(listener).error());
    listener_ = std::move(*listener);
    return {};
  }

  void run() {
    for (const Finding& finding : examine_haproxy(*session_)) {
      if (finding.kind == Finding::Kind::error) spdlog::error("{}", finding.text);
      if (finding.kind == Finding::Kind::warning) spdlog::warn("{}", finding.text);
    }
    for (Instant posted{}; g_stop == 0;) {
      if (g_reload != 0) {
        g_reload = 0;
        reload();
      }
      const std::uint64_t version = session_->board.version();
      session_->round();
      if (session_->loop.published().at != posted) {
        posted = session_->loop.published().at;
        session_->loop.publish_watches(session_->watcher->states());
        if (session_->journal) session_->loop.publish_journal(session_->journal->state());
        bulletin_.post(session_->loop.published());
        tell_systemd();
      }
      session_->board.wait(version, haproxy::BootClock::now() + kLookEvery);
    }
    notify_stopping();
    spdlog::info("stopped; HAProxy's own checks carry on");
  }

 private:
  /// Threads: the listener's.
  [[nodiscard]] Latest latest() const {
    return [this]() -> std::optional<Published> {
      const auto published = bulletin_.read();
      return published ? std::optional(*published) : std::nullopt;
    };
  }

  void tell_systemd() {
    const std::string status = status_line(session_->loop.published());
    if (!ready_) notify_ready(status);
    if (ready_ && status != last_status_) notify_status(status);
    ready_ = true;
    last_status_ = status;
    notify_watchdog();
  }

  /// SIGHUP. A bad new configuration is refused with its reasons, and the old one stays in force.
  void reload() {
    notify_reloading();
    auto config = read_config(file_);
    if (!config) {
      for (const Complaint& complaint : config.error()) spdlog::error("{}", complaint.text());
      spdlog::error("the new configuration is refused; the old one stays in force");
    } else if (auto done = change_to(std::move(*config)); !done) {
      spdlog::error("{}; the old configuration stays in force", done.error().text());
    } else {
      spdlog::info("configuration reloaded");
    }
    notify_ready(last_status_);
  }

  haproxy::Result<void> change_to(Config config) {
    const Config& old = session_->config;
    std::optional<Lock> lock;
    if (steering_socket(config) != steering_socket(old)) {
      auto taken = take_lock(config);
      if (!taken) return tl::unexpected(std::move(taken).error());
      lock = std::move(*taken);
    }
    if (!(config.http == old.http) || !config.http.token_file.empty()) {  // the token may be another
      if (auto changed = change_listener(config.http, old.http); !changed) return changed;
    }
    if (lock) lock_ = std::move(*lock);
    start_log(config.log_level, config.log_format);
    auto next = std::make_unique<Session>(std::move(config));
    next->loop.carry_over(session_->loop);
    next->board.go_on_after(session_->board.snapshot());
    doorbell_.attach(next.get());
    session_ = std::move(next);
    session_->watch();
    return {};
  }

  /// The old one ends first where both have one address; where the new one does not start, the old one is there again.
  haproxy::Result<void> change_listener(const HttpConfig& http, const HttpConfig& before) {
    const bool same_address = http.address == before.address && http.port == before.port;
    if (same_address || !http.enabled) listener_.reset();
    if (!http.enabled) return {};
    auto started = Listener::start(http, latest(), &doorbell_);
    if (started) {
      listener_ = std::move(*started);
      return {};
    }
    if (same_address && before.enabled) {
      if (auto again = Listener::start(before, latest(), &doorbell_)) listener_ = std::move(*again);
    }
    return tl::unexpected(std::move(started).error());
  }

  std::filesystem::path file_;
  Lock lock_;
  Bulletin bulletin_;
  Doorbell doorbell_{bulletin_};
  std::unique_ptr<Session> session_;
  std::unique_ptr<Listener> listener_;
  bool ready_ = false;
  std::string last_status_;
};

}  // namespace

int run_command(const Options& options) {
  auto config = read_config(options.config);
  if (!config) return print_complaints(config.error());
  start_log(config->log_level, config->log_format);
  catch_signals();
  auto lock = take_lock(*config);
  if (!lock) {
    spdlog::error("{}", lock.error().text());
    return 1;
  }
  Daemon daemon(std::move(*config), options.config, std::move(*lock));
  if (auto listening = daemon.listen(); !listening) {
    spdlog::error("{}", listening.error().text());
    return 1;
  }
  daemon.run();
  return 0;
}

}  // namespace controller
