#pragma once
// Validating a fragment within the whole configuration, and making HAProxy take it.

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "haproxy/files.h"
#include "haproxy/result.h"
#include "haproxy/talk.h"

namespace haproxy {

/// The seam of file mode: says whether HAProxy would take a fragment, and makes it load what is on the disk.
class Reload {
 public:
  virtual ~Reload() = default;
  /// Would HAProxy start with `candidate` in the place of the fragment? The fragment itself is not touched.
  [[nodiscard]] virtual Result<void> validate(std::string_view candidate) = 0;
  /// Asks for a reload and waits until it is known to have worked: a new worker is there and answers. An Error carries
  /// HAProxy's own reason where it gives one.
  [[nodiscard]] virtual Result<void> reload() = 0;
};

/// How the real one is set up.
struct ReloadOptions {
  std::filesystem::path fragment;
  /// The words that check the whole configuration, for example {"haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg", "-f",
  /// "/etc/haproxy/conf.d"}. Before they run, the *.cfg files of the fragment's folder are copied into a private folder with
  /// the candidate in the fragment's place, and every absolute path among them that is the fragment's folder or leads into it
  /// is replaced by the copy (the first word, the program, never; nor a file that the copy lacks). Words that do not name the
  /// folder run as they are, so {"true"} leaves the verdict to the reload. Empty: check_words() of what the running HAProxy was
  /// started with (/proc/PID/cmdline of the master, or of the worker without one), which must have been given the fragment.
  std::vector<std::string> validate;
  /// The words that reload; empty: `reload` on the master socket.
  std::vector<std::string> reload;
  std::chrono::milliseconds validate_within{3'000};
  std::chrono::milliseconds reload_within{5'000};
};

/// Talks through `talk` (master socket for `reload`, `show proc`; the worker's `show info` for a reload by command, which is
/// verified by a new Pid that is not stopping). `talk` must outlive it. On 2.6.12 the master's reply to `reload` is empty and
/// the socket refuses connections for some milliseconds: the outcome is read from `show proc` (reloads raised, failed 0, a
/// worker with reloads 0). 3.0 and 3.2 answer "Success=1" or "Success=0" with the reason.
class HaproxyReload final : public Reload {
 public:
  HaproxyReload(ReloadOptions options, Talk& talk);
  [[nodiscard]] Result<void> validate(std::string_view candidate) override;
  [[nodiscard]] Result<void> reload() override;

 private:
  [[nodiscard]] Result<std::vector<std::string>> words_of_check();
  [[nodiscard]] std::string reason_on_disk();
  /// Both say what was odd about an attempt that may have worked; mostly nothing.
  [[nodiscard]] Result<std::string> by_master(std::chrono::milliseconds within);
  [[nodiscard]] Result<std::string> by_words(std::chrono::milliseconds within);

  ReloadOptions options_;
  Talk& talk_;
};

}  // namespace haproxy
