#include "controller/entry.h"

#include "tests/catch.h"
#include "tests/unit/entry_sample.h"

namespace {

using namespace sample;

Entry read_back(const Entry& entry) {
  const auto again = parse_entry(render_entry(entry), "line");
  INFO((again ? "" : again.error().text()));
  REQUIRE(again);
  return *again;
}

std::string complaint(const std::string& line) {
  const auto entry = parse_entry(line, "f:1");
  return entry ? "" : entry.error().detail;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("every member of the evidence, of the decision and of the outcome is read back as it was") {
  CHECK(std::get<DecisionEntry>(read_back(full_decision())) == full_decision());
  CHECK(std::get<OutcomeEntry>(read_back(full_outcome())) == full_outcome());
}

TEST_CASE("what is empty is left out, and reads as empty whatever its default is") {
  CHECK(std::get<DecisionEntry>(read_back(DecisionEntry{})) == DecisionEntry{});
  CHECK(std::get<OutcomeEntry>(read_back(OutcomeEntry{})) == OutcomeEntry{});
  CHECK(render_entry(OutcomeEntry{}) == R"({"v":1,"time":"1970-01-01T00:00:00.000Z","kind":"outcome"})");
  CHECK(render_entry(full_decision()).find(R"("weight")") == std::string::npos);
}

TEST_CASE("a line has one line, and its time and kind at its beginning") {
  DecisionEntry entry = full_decision();
  entry.blind = "two\nlines, and \xff";
  const std::string line = render_entry(entry);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.starts_with(R"({"v":1,"time":"2027-01-15T08:00:00.123Z","kind":"decision","pid":815,)"));
  CHECK(entry_time(line) == entry.unix_ms);
  CHECK(is_decision(line));
  CHECK(std::get<DecisionEntry>(read_back(entry)).blind == "two\\x0alines, and \\xff");
  const std::string outcome = render_entry(full_outcome());
  CHECK(entry_time(outcome) == full_outcome().unix_ms);
  CHECK_FALSE(is_decision(outcome));
  CHECK(entry_time("nothing of ours") == std::nullopt);
  CHECK(entry_time(R"({"time":"2027-01-15T08:00:00.123Z")") == std::nullopt);
}

TEST_CASE("a decision that is read back is decided again in every part of it") {
  const DecisionEntry entry = switch_decision();
  CHECK(commands(entry.conclusion.plan).front() == "set server pg_primary/pg1 health down");
  const auto again = std::get<DecisionEntry>(read_back(entry));
  CHECK(decide_again(again.evidence) == decide_again(entry.evidence));
  CHECK(differences(again.conclusion, conclude(decide_again(again.evidence))).empty());
}

TEST_CASE("other evidence is another decision, and how it differs is said") {
  const std::string line = render_entry(switch_decision());
  const auto judged = [&](const std::string& from, const std::string& to) {
    const auto entry = std::get<DecisionEntry>(*parse_entry(replaced(line, from, to), "f"));
    return differences(entry.conclusion, conclude(decide_again(entry.evidence)));
  };
  CHECK(judged(R"("code":200)", R"("code":200)").empty());
  const auto lines = judged(R"("code":200)", R"("code":503)");
  REQUIRE(lines.size() >= 3);
  CHECK(lines[0] == "scope main: writer http://127.0.0.12:8008 (settled), now none (none)");
  CHECK(lines[2] == "pg_primary/pg2: in (claims_writer), now out (lock_lost)");
  CHECK(lines.back().starts_with("commands: set server pg_primary/pg1 health down; "));
  CHECK(judged(R"("place":"in","reason":"claims_writer")", R"("place":"out","reason":"claims_writer")") ==
        std::vector<std::string>{"pg_primary/pg2: out (claims_writer), now in (claims_writer)"});
  CHECK(judged(R"("command":"health down")", R"("command":"state maint")").size() == 1);
}

TEST_CASE("a line that is cut short or damaged is an error, never more") {
  const std::string good = render_entry(full_decision());
  for (std::size_t i = 0; i < good.size(); ++i) CHECK_FALSE(parse_entry(good.substr(0, i), "f"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'0', '9', '"', '{', ']', '-', '\0', '\xff'}) {
      std::string broken = good;
      broken[i] = c;
      const auto entry = parse_entry(broken, "f");
      if (entry && std::holds_alternative<DecisionEntry>(*entry))
        (void)conclude(decide_again(std::get<DecisionEntry>(*entry).evidence));
    }
  }
}

TEST_CASE("an unknown key, a missing word, a value out of range and another version are refused by name") {
  const std::string good = render_entry(full_decision());
  CHECK(complaint(replaced(good, R"("api_ip":)", R"("api_pi":)")) ==
        "'a key that is not known here' is missing, wrong or of another version");
  CHECK(complaint(replaced(good, R"("role":"standby_leader",)", "")) == "'role' is missing, wrong or of another version");
  CHECK(complaint(replaced(good, R"("role":"standby_leader",)", R"("role":"?",)")) ==
        "'role' is missing, wrong or of another version");
  CHECK(complaint(replaced(good, R"("port":8008)", R"("port":80080)")) == "'port' is missing, wrong or of another version");
  CHECK(complaint(replaced(good, R"("asked":3599000000000)", R"("asked":9223372036854775807)")) ==
        "'asked' is missing, wrong or of another version");
  CHECK(complaint(replaced(good, R"("ours":["pg_primary/pg1"])", R"("ours":["pg_primary"])")) ==
        "'ours' is missing, wrong or of another version");
  CHECK(complaint(replaced(good, R"({"v":1)", R"({"v":2)")) == "its version is 2");
  CHECK(complaint("{}") == "no line of a journal");
  CHECK(complaint(replaced(good, "2027-01", "2027-13")) == "'time' is missing or wrong");
  CHECK(complaint(replaced(good, "\"decision\"", "\"opinion\"")) == "'kind' is missing or wrong");
  DecisionEntry entry = full_decision();
  entry.evidence.seen.clusters.clear();
  CHECK(complaint(render_entry(entry)) == "as many clusters were not seen as are configured");
}

TEST_CASE("neither secrets nor the paths of any are in a line") {
  DecisionEntry entry = full_decision();
  entry.evidence.config.clusters[0].tls = {"/ca", "/cert", "/private/key", "/private/password", "pg", true};
  WatchConfig watch;
  watch.username = "private";
  watch.password_file = "/private/watch";
  entry.evidence.config.clusters[0].watch = watch;
  entry.evidence.config.http.token_file = "/private/token";
  CHECK(render_entry(entry).find("private") == std::string::npos);
}
