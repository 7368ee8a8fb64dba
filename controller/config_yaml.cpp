#include "controller/config_yaml.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <map>
#include <sstream>

namespace controller {

namespace {

/// Looks only for what a configuration may not have.
class Refusals final : public YAML::EventHandler {
 public:
  explicit Refusals(Complaints& complaints) : complaints_(complaints) {}
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 2) complaints_.add(mark, "a second document begins here", "keep one document in the file");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    complaints_.add(mark, "an alias ('*NAME') is not read", "write its value out");
  }
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                       YAML::EmitterStyle::value /*style*/) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {}
  void OnMapEnd() override {}

 private:
  Complaints& complaints_;
  int documents_ = 0;
};

/// How many letters must be added, dropped, changed or swapped to make one of the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::string nearest(std::string_view key, const std::vector<std::string_view>& keys) {
  constexpr std::size_t kLongest = 40;
  if (key.size() > kLongest) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, key.size() / 3) + 1;
  for (const std::string_view candidate : keys) {
    const std::size_t distance = edit_distance(key, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return std::string(best);
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

constexpr const char* kDurationHint = "write a duration such as 500ms, 1s or 2min";

}  // namespace

void Complaints::add(const YAML::Mark& mark, std::string what, std::string remedy) {
  const bool known = !mark.is_null();
  all_.push_back({file_, known ? mark.line + 1 : 0, known ? mark.column + 1 : 0, std::move(what), std::move(remedy)});
}

void Complaints::add_whole_file(std::string what, std::string remedy) {
  all_.push_back({file_, 0, 0, std::move(what), std::move(remedy)});
}

std::vector<Complaint> Complaints::take() {
  std::stable_sort(all_.begin(), all_.end(), [](const Complaint& a, const Complaint& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return std::move(all_);
}

std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::size_t length = std::min(text.size(), kMost);
  while (length < text.size() && length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0U) == 0x80U) --length;
  std::string out;
  for (const char c : text.substr(0, length)) {
    if (has_control({&c, 1}))
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  if (length < text.size()) out += "...";
  return out;
}

YAML::Mark Entry::mark() const {
  return value.IsNull() || value.Mark().is_null() ? key_mark : value.Mark();
}

std::optional<std::string> read_text(const Entry& entry, Complaints& complaints) {
  if (entry.value.IsNull() || (entry.value.IsScalar() && entry.value.Scalar().empty())) {
    complaints.add(entry.mark(), fmt::format("'{}' has no value", entry.key), "write one, or remove the key");
    return std::nullopt;
  }
  if (!entry.value.IsScalar()) {
    complaints.add(entry.mark(), fmt::format("'{}' is a {}", entry.key, entry.value.IsMap() ? "mapping" : "list"),
                   "write a single value");
    return std::nullopt;
  }
  const std::string& text = entry.value.Scalar();
  if (has_control(text)) {
    complaints.add(entry.mark(), fmt::format("'{}' has a control character in it: '{}'", entry.key, shown(text)),
                   "write it on one line, in printable characters");
    return std::nullopt;
  }
  return text;
}

std::optional<bool> read_flag(const Entry& entry, Complaints& complaints) {
  const auto index = read_choice(entry, {"true", "false"}, complaints);
  if (!index) return std::nullopt;
  return *index == 0;
}

std::optional<milliseconds> read_duration(const Entry& entry, Complaints& complaints) {
  const auto text = read_text(entry, complaints);
  if (!text) return std::nullopt;
  const auto value = parse_duration(*text);
  if (!value) complaints.add(entry.mark(), fmt::format("'{}' is '{}', no duration", entry.key, shown(*text)), kDurationHint);
  return value;
}

std::optional<milliseconds> read_duration(const Entry& entry, const char* least, const char* most, Complaints& complaints) {
  const auto value = read_duration(entry, complaints);
  if (!value) return std::nullopt;
  if (*value < parse_duration(least).value_or(*value) || *value > parse_duration(most).value_or(*value)) {
    complaints.add(entry.mark(), fmt::format("'{}' is {}, out of range", entry.key, entry.value.Scalar()),
                   fmt::format("write a duration from {} to {}", least, most));
    return std::nullopt;
  }
  return value;
}

std::optional<unsigned> read_number(const Entry& entry, unsigned least, unsigned most, Complaints& complaints) {
  const auto text = read_text(entry, complaints);
  if (!text) return std::nullopt;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error == std::errc() && end == text->data() + text->size() && number >= least && number <= most) return number;
  complaints.add(entry.mark(), fmt::format("'{}' is '{}'", entry.key, shown(*text)),
                 fmt::format("write a whole number, {} to {}", least, most));
  return std::nullopt;
}

std::optional<std::uint64_t> read_size(const Entry& entry, Complaints& complaints) {
  const auto text = read_text(entry, complaints);
  if (!text) return std::nullopt;
  const auto value = parse_size(*text);
  if (!value) {
    complaints.add(entry.mark(), fmt::format("'{}' is '{}', no size", entry.key, shown(*text)),
                   "write a size such as 512kB, 16MB or 1GB");
  }
  return value;
}

std::optional<std::filesystem::path> read_path(const Entry& entry, Complaints& complaints) {
  const auto text = read_text(entry, complaints);
  if (!text) return std::nullopt;
  if (!text->starts_with('/')) {
    complaints.add(entry.mark(), fmt::format("'{}' is '{}', not an absolute path", entry.key, shown(*text)),
                   "write the whole path, from '/' on");
    return std::nullopt;
  }
  return std::filesystem::path(*text);
}

std::optional<std::size_t> read_choice(const Entry& entry, const std::vector<std::string_view>& words, Complaints& complaints) {
  const auto text = read_text(entry, complaints);
  if (!text) return std::nullopt;
  const auto found = std::find(words.begin(), words.end(), *text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  complaints.add(entry.mark(), fmt::format("'{}' is '{}'", entry.key, shown(*text)),
                 words.size() == 1   ? fmt::format("the only value is {}", words.front())
                 : words.size() == 2 ? fmt::format("write {} or {}", words[0], words[1])
                                     : fmt::format("write one of {}", fmt::join(words, ", ")));
  return std::nullopt;
}

std::vector<Entry> read_list(const Entry& entry, const std::string& example, Complaints& complaints) {
  if (!entry.value.IsSequence() || entry.value.size() == 0) {
    const char* is = entry.value.IsSequence() ? "is empty" : entry.value.IsNull() ? "has no value" : "is no list";
    complaints.add(entry.mark(), fmt::format("'{}' {}", entry.key, is), example);
    return {};
  }
  std::vector<Entry> elements;
  for (const YAML::Node& node : entry.value) elements.push_back({entry.key, entry.mark(), node});
  return elements;
}

Section::Section(const Entry& entry, std::vector<std::string_view> keys, Complaints& complaints)
    : entry_(entry), keys_(std::move(keys)), complaints_(complaints), is_map_(entry.value.IsMap()) {
  if (is_map_) {
    check_keys();
    return;
  }
  const std::string found = entry.value.IsScalar() ? fmt::format("is '{}'", shown(entry.value.Scalar()))
                            : entry.value.IsNull() ? "has no value"
                                                   : "is a list";
  complaints_.add(entry.mark(), fmt::format("'{}' {}", entry.key, found),
                  fmt::format("write a mapping with the keys {}", fmt::join(keys_, ", ")));
}

void Section::check_keys() {
  std::map<std::string, int> lines;
  for (const auto& pair : entry_.value) {
    const YAML::Mark mark = pair.first.Mark();
    if (!pair.first.IsScalar()) {
      complaints_.add(mark, "a key that is no word", fmt::format("the keys here are {}", fmt::join(keys_, ", ")));
      continue;
    }
    const std::string& key = pair.first.Scalar();
    const auto [seen, is_new] = lines.emplace(key, mark.line + 1);
    if (!is_new) {
      complaints_.add(mark, fmt::format("key '{}' is given twice", shown(key)),
                      fmt::format("the first is in line {}; keep one", seen->second));
      continue;
    }
    if (std::find(keys_.begin(), keys_.end(), key) == keys_.end()) {
      const std::string near = nearest(key, keys_);
      complaints_.add(
          mark, fmt::format("unknown key '{}'", shown(key)),
          near.empty() ? fmt::format("the keys here are {}", fmt::join(keys_, ", ")) : fmt::format("did you mean '{}'?", near));
      continue;
    }
    entries_.push_back({key, mark, pair.second});
  }
}

std::optional<Entry> Section::find(std::string_view key) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  if (found == entries_.end()) return std::nullopt;
  return *found;
}

std::optional<Entry> Section::need(std::string_view key, const std::string& remedy) const {
  auto found = find(key);
  if (!found && is_map_) complaints_.add(entry_.mark(), fmt::format("'{}' is missing", key), remedy);
  return found;
}

std::optional<YAML::Node> load_yaml(std::string_view text, Complaints& complaints) {
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Refusals refusals(complaints);
    // Not to the end: a document that begins with ',' never ends to yaml-cpp 0.7, it is found again and again.
    while (complaints.empty() && parser.HandleNextDocument(refusals)) {
    }
    if (!complaints.empty()) return std::nullopt;
    return YAML::Load(std::string(text));
  } catch (const YAML::Exception& e) {
    complaints.add(e.mark, fmt::format("this is no YAML: {}", shown(e.msg)),
                   "check the indentation, the colons and the brackets");
  } catch (const std::exception& e) {
    complaints.add_whole_file(fmt::format("this is no YAML: {}", shown(e.what())), "");
  }
  return std::nullopt;
}

}  // namespace controller
