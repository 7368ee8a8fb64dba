#pragma once
// Three members, a HAProxy, files and a clock, all in memory: what whole rounds are played on.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/loop.h"
#include "tests/rounds/fake_haproxy.h"
#include "tests/unit/members.h"

namespace rounds {

using namespace members;
using Words = std::vector<std::string>;

inline constexpr const char* kFragment = "/etc/haproxy/conf.d/pg_backends.cfg";
inline constexpr const char* kTemplate = "/template";
inline constexpr const char* kStateFile = "/var/lib/pointsman/run-haproxy-admin.sock.json";

/// Files in memory; can fail the n-th replacement, or those of some paths.
class FakeFiles final : public haproxy::Files {
 public:
  std::map<std::string, std::string> files;
  int replacements = 0;  ///< failed ones included
  std::optional<int> fail_at;
  std::function<bool(const std::string& path)> full;  ///< no space is left for this path

  haproxy::Result<std::string> read(const std::filesystem::path& path) override;
  haproxy::Result<void> replace(const std::filesystem::path& path, std::string_view bytes) override;
};

/// Reloads the fake HAProxy with the servers in the order of the fragment.
class FakeReload final : public haproxy::Reload {
 public:
  FakeReload(FakeHaproxy& to, FakeFiles& from) : haproxy_(to), files_(from) {}
  int validations = 0;
  int reloads = 0;
  std::optional<int> fail_at;
  bool invalid = false;
  std::function<void()> after_each;  ///< called when the new worker is up

  haproxy::Result<void> validate(std::string_view) override;
  haproxy::Result<void> reload() override;

 private:
  void load(haproxy::BackendState& backend);

  FakeHaproxy& haproxy_;
  FakeFiles& files_;
};

/// Servers as the documentation has them (an HTTP check on the API, steered by health), or with a check that cannot tell roles
/// (steered by admin state).
enum class Kind { documented, naive };

haproxy::Server make_server(std::size_t member, Kind kind, bool up);

/// Three members with pg1 as the writer, and a HAProxy that has it so.
struct World {
  FakeHaproxy fake;
  FakeFiles files;
  FakeReload reload{fake, files};
  haproxy::Talk* talk = &fake;  ///< what the loop talks to, from the next `begin` on
  Config config;
  Snapshot seen;
  Instant now = kStart;
  std::int64_t unix_now = 1'800'000'000;
  controller::JournalEdge journal;  ///< from the next `begin` on
  std::unique_ptr<Loop> loop;

  explicit World(Kind kind = Kind::documented);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// pointsman is started, or killed and started again.
  void begin();
  [[nodiscard]] std::unique_ptr<Loop> make_loop(const Remembered& remembered);
  /// Steers with a fragment from now on. Begins anew.
  void use_fragment(Method method);

  /// All three answer, and `writer` is the primary.
  void all_well(std::size_t writer);
  /// Nothing has ever been heard of this member.
  void never_heard(std::size_t member);

  /// One round, 50 ms after the one before.
  Outcome round();
  /// The same, with no word from any member in between.
  Outcome quiet_round();
  /// Rounds in which all is well; the last one's outcome.
  Outcome all_well_for(int rounds, std::size_t writer);

  /// What HAProxy was told since the last call.
  std::vector<std::string> sent() { return std::exchange(fake.commands, {}); }
  [[nodiscard]] std::vector<std::string> usable(std::size_t backend = 0) const;
  [[nodiscard]] const Topology& topology() const { return loop->published().clusters[0].topology; }
};

}  // namespace rounds
