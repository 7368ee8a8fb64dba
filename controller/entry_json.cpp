// The journal's lines.

#include <fmt/format.h>

#include "controller/entry_fields.h"
#include "controller/when.h"

namespace controller {
namespace {

constexpr std::string_view kBefore = R"("time":")";
constexpr std::string_view kDecision = R"("kind":"decision")";
/// The beginning of a line, as far as its kind.
constexpr std::size_t kHead = 100;

std::string_view head(std::string_view line) {
  return line.starts_with(R"({"v":)") ? line.substr(0, kHead) : std::string_view();
}

template <class T>
haproxy::Result<Entry> read(const rapidjson::Value& line, T entry, std::int64_t unix_ms, const std::string& subject) {
  std::string wrong;
  FieldReader reader(line, wrong);
  std::uint64_t version = 0;
  std::string time, kind;
  reader("v", version)("time", time)("kind", kind);
  fields(reader, entry);
  reader.end();
  if (!wrong.empty()) return haproxy::fail("read", subject, fmt::format("'{}' is missing, wrong or of another version", wrong));
  entry.unix_ms = unix_ms;
  return Entry(std::move(entry));
}

/// What the judge rests on, and no type says.
bool is_whole(const Evidence& evidence) {
  return evidence.seen.clusters.size() == evidence.config.clusters.size();
}

}  // namespace

std::string render_entry(const Entry& entry) {
  JsonText json(false);
  json.begin_object();
  json.key("v").number(kEntryVersion);
  std::visit(
      [&](const auto& each) {
        json.key("time").text(utc_text(each.unix_ms));
        json.key("kind").text(std::holds_alternative<DecisionEntry>(entry) ? "decision" : "outcome");
        FieldWriter writer(json);
        fields(writer, each);
      },
      entry);
  json.end_object();
  return json.take();
}

haproxy::Result<Entry> parse_entry(std::string_view line, const std::string& subject) {
  const auto document = read_json(line, subject, kLongestEntry);
  if (!document) return tl::unexpected(document.error());
  const auto version = json_uint(*document, "v");
  if (version != kEntryVersion) {
    return haproxy::fail("read", subject,
                         version ? fmt::format("its version is {}", *version) : std::string("no line of a journal"),
                         version ? "another pointsman wrote it" : "");
  }
  const auto unix_ms = parse_rfc3339(json_string(*document, "time").value_or(""));
  if (!unix_ms) return haproxy::fail("read", subject, "'time' is missing or wrong");
  const std::string kind = json_string(*document, "kind").value_or("");
  if (kind == "outcome") return read(*document, OutcomeEntry{}, *unix_ms, subject);
  if (kind != "decision") return haproxy::fail("read", subject, "'kind' is missing or wrong");
  auto entry = read(*document, DecisionEntry{}, *unix_ms, subject);
  if (entry && !is_whole(std::get<DecisionEntry>(*entry).evidence))
    return haproxy::fail("read", subject, "as many clusters were not seen as are configured");
  return entry;
}

std::optional<std::int64_t> entry_time(std::string_view line) {
  const std::string_view begin = head(line);
  const auto at = begin.find(kBefore);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view time = begin.substr(at + kBefore.size());
  return parse_rfc3339(time.substr(0, time.find('"')));
}

bool is_decision(std::string_view line) {
  return head(line).find(kDecision) != std::string_view::npos;
}

}  // namespace controller
