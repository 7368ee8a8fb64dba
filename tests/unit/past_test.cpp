#include "controller/past.h"

#include <cstdlib>
#include <fstream>

#include "controller/status.h"
#include "tests/catch.h"
#include "tests/unit/entry_sample.h"

namespace {

using namespace sample;

/// A journal in a folder of its own.
class Files {
 public:
  Files() {
    std::string name = "/tmp/pm-past-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~Files() { std::filesystem::remove_all(folder_); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  void older(const std::string& text) { std::ofstream(paths()[0], std::ios::app) << text; }
  void newer(const std::string& text) { std::ofstream(paths()[1], std::ios::app) << text; }
  [[nodiscard]] std::vector<std::filesystem::path> paths() const { return {folder_ / "j.1", folder_ / "j"}; }

 private:
  std::filesystem::path folder_;
};

std::string decided(std::int64_t unix_ms, int pid = 1) {
  DecisionEntry entry;
  entry.unix_ms = unix_ms;
  entry.pid = pid;
  return render_entry(entry) + "\n";
}

std::string came(std::int64_t unix_ms, int pid = 1) {
  OutcomeEntry entry;
  entry.unix_ms = unix_ms;
  entry.pid = pid;
  entry.confirmed = true;
  return render_entry(entry) + "\n";
}

/// What is found up to a moment, in milliseconds: "17" of a decision, "17+18" with its outcome, then " then 20" of the next
/// line.
std::string found(const Files& files, std::int64_t unix_ms) {
  const auto past = find_past(files.paths(), unix_ms);
  if (!past) return past.error().detail;
  if (!*past) return "nothing";
  std::string text = std::to_string((*past)->decision.unix_ms);
  if ((*past)->outcome) text += "+" + std::to_string((*past)->outcome->unix_ms);
  if ((*past)->next_unix_ms) text += " then " + std::to_string(*(*past)->next_unix_ms);
  return text + ((*past)->next_is_another ? ", another" : "");
}

}  // namespace

TEST_CASE("the last decision up to a moment is found, with what came of it and the line after, in both files") {
  Files files;
  CHECK(found(files, 10) == "nothing");
  files.newer(decided(30) + decided(40));
  CHECK(found(files, 35) == "30 then 40");
  files.older(decided(10) + came(11) + decided(20));
  CHECK(found(files, 9) == "nothing");
  CHECK(found(files, 10) == "10 then 11");
  CHECK(found(files, 19) == "10+11 then 20");
  CHECK(found(files, 29) == "20 then 30");
  CHECK(found(files, 1000) == "40");
  CHECK((*find_past(files.paths(), 20))->place == files.paths()[0].string() + ":3");
}

TEST_CASE("a line that is cut short is passed over, and one that is damaged is not taken for another") {
  Files files;
  files.newer(decided(10) + decided(20).substr(0, 25) + "\n" + decided(30));
  CHECK(found(files, 29) == "10 then 30");
  std::string damaged = decided(40);
  damaged.erase(60, 5);
  files.newer(damaged);
  CHECK(found(files, 40).find("not the JSON expected") == 0);
}

TEST_CASE("after the clock was set back the later line counts") {
  Files files;
  files.newer(decided(100) + decided(50) + decided(60));
  CHECK(found(files, 55) == "50 then 60");
  CHECK(found(files, 200) == "60");
}

TEST_CASE("another process after that moment is told, and another's outcome is not taken") {
  Files files;
  files.newer(decided(10, 1) + came(11, 2) + decided(20, 2));
  CHECK(found(files, 15) == "10 then 20, another");
  const auto past = *find_past(files.paths(), 15);
  CHECK(past_head(*past, 15) ==
        "as of 1970-01-01T00:00:00.015Z: decided 1970-01-01T00:00:00.010Z, 0.005 s before, by pid 1 (" +
            files.paths()[1].string() +
            ":1)\n"
            "the next line, 1970-01-01T00:00:00.020Z, is another process's: this one may have ended before "
            "1970-01-01T00:00:00.015Z\n");
  constexpr std::int64_t kHour = 3'600'000;
  const auto last = *find_past(files.paths(), 20 + kHour);
  CHECK(past_head(*last, 20 + kHour).find("nothing was written since") == std::string::npos);
  CHECK(past_head(*last, 20 + 2 * kHour).find("nothing was written since") != std::string::npos);
}

TEST_CASE("a past decision is explained as it was written down, with where this version would decide otherwise") {
  Past past;
  past.decision = switch_decision();
  const auto why = [&] { return why_text(publish_past(past.decision), past.decision.evidence.now, "then", "pg_primary/pg2"); };
  REQUIRE(why());
  CHECK(why()->find("  wanted      in, claims_writer: it holds the lock") != std::string::npos);
  CHECK(past_tail(past).starts_with(
      "  sent        set server pg_primary/pg1 health down\n              set server pg_primary/pg2"));
  CHECK(past_tail(past).find("otherwise") == std::string::npos);

  Verdict& verdict = past.decision.conclusion.clusters[0].decisions[1].verdict;
  verdict = {Place::out, Reason::promoting, "as of old"};
  past.decision.observe = true;
  past.outcome = full_outcome();
  CHECK(why()->find("  wanted      out, promoting: it has the lock and is not writable yet\n  because     as of old\n") !=
        std::string::npos);
  const std::string tail = past_tail(past);
  CHECK(tail.starts_with("  to be sent  set server pg_primary/pg1 health down\n"));
  CHECK(tail.find("  came of it  confirmed after 1.2 ms; refused: 2 state maint; 3 sessions ended; the fragment was written; "
                  "HAProxy was reloaded (writer)\n"
                  "              pg_primary then sent new connections to pg2\n"
                  "              pg_replicas then sent new connections to nobody\n"
                  "  trouble     HAProxy refused: no\n") != std::string::npos);
  CHECK(tail.ends_with("  this version would decide otherwise: pg_primary/pg2: out (promoting), now in (claims_writer)\n"));
}

TEST_CASE("a decision whose members do not fit is explained without a crash") {
  Past past;
  past.decision = switch_decision();
  past.decision.conclusion.clusters[0].decisions[0].member = 99;
  CHECK(why_text(publish_past(past.decision), kStart, "then", "pg1"));
  past.decision.conclusion.clusters.emplace_back();
  CHECK(why_text(publish_past(past.decision), kStart, "then", "pg1"));
}
