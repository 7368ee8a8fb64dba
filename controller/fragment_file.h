#pragma once
// Keeps the fragment on the disk, and in file mode the running worker, at what was decided.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "controller/config.h"
#include "haproxy/clock.h"
#include "haproxy/files.h"
#include "haproxy/fragment.h"
#include "haproxy/reload.h"
#include "haproxy/running.h"

namespace controller {

/// What should happen to the fragment now. Made without touching anything: `plan` prints it.
struct FragmentStep {
  std::string before;   ///< what is on the disk; empty where there is no file
  std::string bytes;    ///< what should be there
  bool write = false;   ///< they differ
  bool reload = false;  ///< file mode: the worker is not what the file says
  std::string why;      ///< of the reload: "writer", "members", "worker"
  friend bool operator==(const FragmentStep&, const FragmentStep&) = default;
};

/// What came of a step.
struct FragmentDone {
  bool wrote = false;
  bool reloaded = false;
  bool reverted = false;
  bool failed = false;  ///< a reload was asked for and did not come
  std::vector<std::string> troubles;
};

class FragmentFile {
 public:
  /// `reload` may be null where nothing is ever reloaded or validated (tests). All must outlive it. `last_good` is where the
  /// last fragment that a worker is known to run with is kept.
  FragmentFile(const HaproxyConfig& config, std::filesystem::path last_good, haproxy::Files& files, haproxy::Reload& reload);

  /// Errors: the template or the fragment cannot be read, or the template is wrong.
  [[nodiscard]] haproxy::Result<FragmentStep> plan(const haproxy::Fragment& fragment, const haproxy::Running& running) const;

  /// Validates the whole set, replaces the file, reloads and verifies; where the new worker does not come, puts the old bytes
  /// back and reloads again. Only a change of writer is reloaded at once, everything else at most every 10 s. What failed is
  /// not tried again with the same bytes for 1, 2, 4 ... 60 s.
  FragmentDone carry_out(const FragmentStep& step, haproxy::Instant now);

  /// After a verified reload: the worker that answers now runs with these bytes, however a template of the user's names its
  /// servers.
  void loaded(const FragmentStep& step, const haproxy::Worker& worker);

 private:
  [[nodiscard]] bool may_try(const FragmentStep& step, haproxy::Instant now) const;
  void remember_failure(const FragmentStep& step, haproxy::Instant now);

  const HaproxyConfig& config_;
  std::filesystem::path last_good_;
  haproxy::Files& files_;
  haproxy::Reload& reload_;
  bool reloaded_once_ = false;
  std::string loaded_bytes_;   ///< what our last verified reload loaded,
  haproxy::Worker loaded_by_;  ///< and the worker that came of it
  std::string last_failure_;
  std::optional<haproxy::Instant> last_reload_;
  std::string failed_bytes_;
  std::optional<haproxy::Instant> try_again_at_;
  std::chrono::seconds wait_{1};
};

/// The packaged template, where the configuration names none.
inline constexpr const char* kPackagedTemplate = "/usr/share/pointsman/pg_backends.cfg.mustache";

}  // namespace controller
