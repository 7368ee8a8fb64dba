#pragma once
// The commands of the command line. Each returns the process's exit code: 78 for a wrong configuration, else as documented
// here.

#include <filesystem>
#include <string>

namespace controller {

struct Options {
  std::filesystem::path config = "/etc/pointsman/pointsman.yml";
  bool json = false;           ///< status
  bool all = false;            ///< release
  std::string server;          ///< why
  std::string at;              ///< why; empty: now
  std::filesystem::path file;  ///< replay
};

/// The daemon, until SIGTERM or SIGINT: 0; 1 where it could not start, for example because another one steers this HAProxy.
[[nodiscard]] int run_command(const Options& options);

/// One round. 0 in order, changed or not, also where `run` steers this HAProxy already; 1 failed; 3 no writer known; 4 another
/// `once` held the lock for 5 s. Several clusters: the worst decides (1, 3, 0).
[[nodiscard]] int once_command(const Options& options);

/// The dry run: prints what `once` would do, as a diff with a reason each. 0 nothing to do, 2 changes, 1 failed. Touches
/// nothing.
[[nodiscard]] int plan_command(const Options& options);

/// Prints what the daemon publishes, or without one its own look. 0; 1 where HAProxy could not be read either.
[[nodiscard]] int status_command(const Options& options);

/// Prints one server's verdict with all the evidence: what the daemon publishes, or without one its own look; with `at` what
/// was decided up to then, from the journal. 0; 1 where that cannot be had or nobody is called so; 64 where `at` is no time.
[[nodiscard]] int why_command(const Options& options);

/// Judges a journal's decisions again, each from its own evidence, and prints where this version decides differently. 0:
/// nowhere; 2: somewhere; 1: the file, or a line of it, cannot be read.
[[nodiscard]] int replay_command(const Options& options);

/// Validates the configuration, HAProxy and the rights. 0; 1 where something is wrong.
[[nodiscard]] int check_command(const Options& options);

/// Gives back what is held. 0; 1 failed, or a `run` steers this HAProxy.
[[nodiscard]] int release_command(const Options& options);

}  // namespace controller
