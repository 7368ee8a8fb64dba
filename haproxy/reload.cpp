#include "haproxy/reload.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "haproxy/clock.h"
#include "haproxy/descriptor.h"
#include "haproxy/leftover.h"
#include "haproxy/parse.h"
#include "haproxy/process.h"
#include "haproxy/started.h"

namespace haproxy {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kBetweenLooks{10};
constexpr milliseconds kLongestLook{1000};
constexpr std::size_t kLongestReason = 600;

class Deadline {
 public:
  explicit Deadline(milliseconds within) : end_(BootClock::now() + within) {}
  [[nodiscard]] bool passed() const { return BootClock::now() >= end_; }
  [[nodiscard]] milliseconds left() const {
    return std::max(milliseconds{1}, std::chrono::duration_cast<milliseconds>(end_ - BootClock::now()));
  }
  [[nodiscard]] milliseconds for_a_look() const { return std::min(left(), kLongestLook); }

 private:
  Instant end_;
};

// ---- HAProxy's words ----

/// What HAProxy says is wrong, in one line: its alerts without the ones that only say that there were some, else its last line.
std::string reason_in(std::string_view output) {
  std::string alerts;
  std::string_view last;
  while (!output.empty()) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    std::string_view line = output.substr(0, end);
    output.remove_prefix(std::min(end + 1, output.size()));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    last = line;
    if (!line.starts_with("[ALERT]")) continue;
    if (const std::size_t colon = line.find(" : "); colon != line.npos) line.remove_prefix(colon + 3);
    if (line.starts_with("config : ")) line.remove_prefix(9);
    if (line.starts_with("Error(s) found in configuration file") || line.starts_with("Fatal errors found")) continue;
    alerts += (alerts.empty() ? "" : "; ") + std::string(line);
  }
  std::string reason = alerts.empty() ? std::string(last) : std::move(alerts);
  std::replace_if(
      reason.begin(), reason.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  if (reason.size() > kLongestReason) reason = reason.substr(0, kLongestReason) + "...";
  return reason;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

std::string hint_for_check(std::string_view output) {
  const bool rights = output.find("cannot open the file") != output.npos || output.find("Permission denied") != output.npos;
  if (!rights) return {};
  return "the check runs as the user of pointsman, HAProxy itself starts as root: give that user the right to read it, or set "
         "haproxy.validate to [\"true\"] and leave the verdict to the reload";
}

// ---- The private copy ----

/// In the system's temporary folder, claimed.
class PrivateFolder {
 public:
  PrivateFolder() {
    std::error_code error;
    const std::string start = (fs::temp_directory_path(error) / kStart).string();
    if (error) return;
    sweep(fs::path(start).parent_path());
    for (int i = 0; i < kNamesToTry && path_.empty(); ++i) {
      std::string name = start + "XXXXXX";
      if (::mkdtemp(name.data()) == nullptr) return;
      claimed_ = open(name);
      if (!claimed_.is_open() || !claim(claimed_)) continue;
      path_ = fs::canonical(name, error);
      if (error) path_ = name;
    }
  }
  ~PrivateFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  /// Empty where it could not be made.
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  static constexpr const char* kStart = "pointsman-check.";
  static constexpr int kNamesToTry = 10;

  static Descriptor open(const fs::path& folder) {
    return Descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  /// Removes those of ours that were left by processes that were killed.
  static void sweep(const fs::path& parent) {
    std::error_code error;
    for (fs::directory_iterator entry(parent, error), end; !error && entry != end; entry.increment(error)) {
      if (!entry->path().filename().string().starts_with(kStart)) continue;
      const Descriptor folder = open(entry->path());
      struct stat status {};
      const bool is_mine = folder.is_open() && ::fstat(folder.get(), &status) == 0 && status.st_uid == ::geteuid();
      std::error_code ignored;
      if (is_mine && is_leftover(folder)) fs::remove_all(entry->path(), ignored);
    }
  }

  fs::path path_;
  Descriptor claimed_;
};

Result<void> fill(const fs::path& copy, const fs::path& folder, const fs::path& name, std::string_view candidate) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path file = entry->path().filename();
    std::error_code status_error;
    if (!is_read_by_haproxy(file) || file == name || !entry->is_regular_file(status_error)) continue;
    fs::copy_file(entry->path(), copy / file, error);
    if (error) return fail("copy", entry->path().string(), error.message(), "pointsman needs the right to read it");
  }
  if (error) return fail("read the folder", folder.string(), error.message());
  std::ofstream out(copy / name, std::ios::binary);
  out.write(candidate.data(), static_cast<std::streamsize>(candidate.size()));
  if (!out.flush()) return fail("write", (copy / name).string(), "no room for the private copy?");
  return {};
}

/// A path in the one spelling that tells whether it lies in `folder` (canonical): links followed, though not the last one.
fs::path within(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  if (fs::weakly_canonical(path, error) == folder) return ".";
  const fs::path parent = fs::weakly_canonical(path.parent_path(), error);
  return (parent / path.filename()).lexically_normal().lexically_relative(folder);
}

/// Puts the copy in the place of the folder. Was the fragment among the words?
bool move_words(std::vector<std::string>& words, const fs::path& folder, const fs::path& copy, const fs::path& name) {
  bool has_fragment = false;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const fs::path word(words[i]);
    if (!word.is_absolute()) continue;
    const fs::path rest = within(word, folder);
    if (rest.empty() || *rest.begin() == "..") continue;
    std::error_code error;
    const bool whole = rest == ".";
    if (!whole && !fs::exists(copy / rest, error)) continue;
    words[i] = whole ? copy.string() : (copy / rest).string();
    has_fragment = has_fragment || rest == name || (whole && is_read_by_haproxy(name));
  }
  return has_fragment;
}

// ---- What became of a reload ----

Result<Processes> ask_processes(Talk& talk, milliseconds within) {
  return talk.ask(To::master(), "show proc", within).and_then([](const std::string& reply) { return parse_proc(reply); });
}

Result<Worker> ask_worker(Talk& talk, milliseconds within) {
  return talk.ask(To::worker(), "show info", within).and_then([](const std::string& reply) { return parse_info(reply); });
}

struct Before {
  std::optional<Processes> processes;
  std::optional<Worker> worker;
};

enum class Outcome { pending, loaded, failed };

bool lists(const std::vector<Process>& processes, int pid) {
  return std::any_of(processes.begin(), processes.end(), [&](const Process& process) { return process.pid == pid; });
}

Outcome look(Talk& talk, const Before& before, const Deadline& deadline) {
  std::optional<Processes> now;
  if (before.processes) {
    Result<Processes> answer = ask_processes(talk, deadline.for_a_look());
    if (!answer) return Outcome::pending;
    now = std::move(*answer);
    const bool other_master = now->master.pid != before.processes->master.pid;
    if (!other_master && now->master.reloads <= before.processes->master.reloads) return Outcome::pending;
    if (now->failed > (other_master ? 0 : before.processes->failed)) return Outcome::failed;
  }
  const Result<Worker> worker = ask_worker(talk, deadline.for_a_look());
  if (!worker || worker->stopping) return Outcome::pending;
  if (!now) {
    const bool same = worker->pid == before.worker->pid && worker->start_time_sec == before.worker->start_time_sec;
    return same ? Outcome::pending : Outcome::loaded;
  }
  const auto is_it = [&](const Process& process) { return process.pid == worker->pid && process.reloads == 0; };
  const bool is_new = !lists(before.processes->workers, worker->pid) && !lists(before.processes->old_workers, worker->pid);
  const bool is_listed = std::any_of(now->workers.begin(), now->workers.end(), is_it);
  return is_new && is_listed ? Outcome::loaded : Outcome::pending;
}

Outcome await(Talk& talk, const Before& before, const Deadline& deadline) {
  while (true) {
    const Outcome outcome = look(talk, before, deadline);
    if (outcome != Outcome::pending || deadline.passed()) return outcome;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace

HaproxyReload::HaproxyReload(ReloadOptions options, Talk& talk) : options_(std::move(options)), talk_(talk) {}

Result<std::vector<std::string>> HaproxyReload::words_of_check() {
  if (!options_.validate.empty()) return options_.validate;
  return words_of_running(talk_, std::min(options_.validate_within, kLongestLook));
}

Result<void> HaproxyReload::validate(std::string_view candidate) {
  const std::string subject = options_.fragment.string();
  try {
    Result<std::vector<std::string>> words = words_of_check();
    if (!words) return tl::unexpected(std::move(words.error()));
    const fs::path name = options_.fragment.filename();
    const fs::path folder = fs::canonical(fs::absolute(options_.fragment).parent_path());
    const PrivateFolder copy;
    if (copy.path().empty()) return fail("make", "a private folder for the check", std::generic_category().message(errno));
    if (Result<void> filled = fill(copy.path(), folder, name, candidate); !filled) return filled;
    if (!move_words(*words, folder, copy.path(), name) && options_.validate.empty()) {
      return fail("validate", subject, "HAProxy was not started with it: " + fmt::format("{}", fmt::join(*words, " ")),
                  fmt::format("start HAProxy with -f {} (on Debian: EXTRAOPTS in /etc/default/haproxy)", folder.string()));
    }
    const Result<Finished> finished = run(*words, options_.validate_within);
    if (!finished) return tl::unexpected(finished.error());
    if (finished->exit_code == 0) return {};
    std::string reason = reason_in(finished->output);
    replace_all(reason, copy.path().string(), folder.string());
    if (reason.empty()) reason = fmt::format("the check ended with exit code {}", finished->exit_code);
    return fail("validate", subject, std::move(reason), hint_for_check(finished->output));
  } catch (const std::exception& error) {
    return fail("validate", subject, error.what());
  }
}

/// HAProxy 2.6 does not say why a reload failed; checking what is on the disk does.
std::string HaproxyReload::reason_on_disk() {
  const Result<std::vector<std::string>> words = words_of_check();
  if (!words) return {};
  const Result<Finished> finished = run(*words, options_.validate_within);
  return finished && finished->exit_code != 0 ? reason_in(finished->output) : std::string();
}

Result<void> HaproxyReload::reload() {
  try {
    const Deadline deadline(options_.reload_within);
    Before before;
    Result<Processes> processes = ask_processes(talk_, deadline.for_a_look());
    if (processes) before.processes = std::move(*processes);
    const bool by_command = !options_.reload.empty();
    if (!processes && !by_command) return tl::unexpected(std::move(processes.error()));
    if (!processes) {
      Result<Worker> worker = ask_worker(talk_, deadline.for_a_look());
      if (!worker) return tl::unexpected(std::move(worker.error()));
      before.worker = std::move(*worker);
    }
    const Result<std::string> asked = by_command ? by_words(deadline.left()) : by_master(deadline.left());
    if (!asked) return tl::unexpected(asked.error());
    switch (await(talk_, before, deadline)) {
      case Outcome::loaded:
        return {};
      case Outcome::failed: {
        std::string reason = reason_on_disk();
        if (reason.empty()) reason = "HAProxy gives no reason here, its log has it";
        return fail("reload", "HAProxy", std::move(reason), "the old worker goes on serving");
      }
      case Outcome::pending:
        break;
    }
    const std::string trouble = asked->empty() ? "" : "; " + *asked;
    return fail("reload", "HAProxy", fmt::format("no new worker within {} ms{}", options_.reload_within.count(), trouble),
                by_command ? "does haproxy.reload reload this HAProxy?" : "");
  } catch (const std::exception& error) {
    return fail("reload", "HAProxy", error.what());
  }
}

Result<std::string> HaproxyReload::by_master(milliseconds within) {
  const Result<std::string> reply = talk_.ask(To::master(), "reload", within);
  // A reload may break the connection it came over (2.6): what became of it is seen afterwards.
  if (!reply) return reply.error().text();
  if (reply->find_first_not_of(" \r\n") == std::string::npos || reply->starts_with("Success=1")) return "";
  return fail("reload", "HAProxy", reason_in(*reply), reply->starts_with("Success=0") ? "the old worker goes on serving" : "");
}

Result<std::string> HaproxyReload::by_words(milliseconds within) {
  const Result<Finished> finished = run(options_.reload, within);
  if (!finished) return tl::unexpected(finished.error());
  if (finished->exit_code == 0) return "";
  const std::string reason = reason_in(finished->output);
  return fail("reload HAProxy with", fmt::format("{}", fmt::join(options_.reload, " ")),
              fmt::format("exit code {}{}{}", finished->exit_code, reason.empty() ? "" : ": ", reason));
}

}  // namespace haproxy
