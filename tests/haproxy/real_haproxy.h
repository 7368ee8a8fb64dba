#pragma once
// A real HAProxy in master-worker mode for a test: started in a fresh temporary folder, gone with the object.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tests {

/// Runs `haproxy -W -f FOLDER/haproxy.cfg [extra words] -S FOLDER/master.sock`. Throws std::runtime_error with HAProxy's own
/// words where it does not start or reload within ten seconds.
class RealHaproxy {
 public:
  /// In `configuration` and in `extra_words`, "{folder}" stands for the temporary folder. A `global` section with
  /// `stats socket {folder}/stats.sock level admin` is put before the configuration, which may have a second one of its own.
  /// Returns once the stats socket and the master socket answer. Files that it needs beside it (`extra_words` {"-f",
  /// "{folder}/conf.d"}) are given in `files`, by their path within the folder.
  struct File {
    std::string path;
    std::string text;
  };
  explicit RealHaproxy(std::string_view configuration, std::vector<std::string> extra_words = {}, std::vector<File> files = {});
  /// Kills the whole process group and removes the folder.
  ~RealHaproxy();
  RealHaproxy(const RealHaproxy&) = delete;
  RealHaproxy& operator=(const RealHaproxy&) = delete;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::filesystem::path config() const { return folder_ / "haproxy.cfg"; }
  [[nodiscard]] std::filesystem::path stats_socket() const { return folder_ / "stats.sock"; }
  [[nodiscard]] std::filesystem::path master_socket() const { return folder_ / "master.sock"; }
  [[nodiscard]] pid_t master_pid() const { return master_; }
  /// The pid of the worker that answers on the stats socket now; 0 where none does.
  [[nodiscard]] pid_t worker_pid() const;

  /// Writes a file in the folder, making folders on the way. "{folder}" is replaced as above.
  void write(const std::string& path, std::string_view text) const;
  /// Replaces the main configuration; in force after a reload.
  void write_config(std::string_view configuration) const;
  /// SIGUSR2 to the master; returns the pid of the new worker once it answers on the stats socket. For a reload that is to
  /// fail, send the signal to master_pid() yourself.
  pid_t reload();
  /// One line to the stats socket, the whole reply; empty where nothing answers. Shares no code with the product.
  [[nodiscard]] std::string ask(std::string_view line) const;
  /// The same to the master socket.
  [[nodiscard]] std::string ask_master(std::string_view line) const;
  /// What HAProxy has printed.
  [[nodiscard]] std::string log() const;

 private:
  void start(std::vector<std::string> words);
  void stop() noexcept;
  bool running();
  [[nodiscard]] std::string expand(std::string_view text) const;

  std::filesystem::path folder_;
  pid_t master_ = -1;
};

/// A TCP port of 127.0.0.1 on which nothing listens at the moment.
[[nodiscard]] std::uint16_t free_port();

/// Asks `condition` every few milliseconds until it is true; false where it is not within `within`.
template <class Condition>
[[nodiscard]] bool await(Condition condition, std::chrono::milliseconds within = std::chrono::seconds(10));

/// The pause between two looks of `await`.
void nap();

template <class Condition>
bool await(Condition condition, std::chrono::milliseconds within) {
  const auto end = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    nap();
  }
  return true;
}

}  // namespace tests
