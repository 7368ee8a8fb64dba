#pragma once
// YAML, read in one place: mappings with a closed set of keys, scalars with a type, and a complaint with its position for
// everything that is otherwise. yaml-cpp is seen by the files named config_… only.

#include <yaml-cpp/yaml.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controller/config.h"

namespace controller {

/// Collects what is wrong. Positions come from yaml-cpp, which counts from 0.
class Complaints {
 public:
  explicit Complaints(std::string file) : file_(std::move(file)) {}
  void add(const YAML::Mark& mark, std::string what, std::string remedy);
  void add_whole_file(std::string what, std::string remedy);
  [[nodiscard]] bool empty() const { return all_.empty(); }
  /// In the order of the file.
  [[nodiscard]] std::vector<Complaint> take();

 private:
  std::string file_;
  std::vector<Complaint> all_;
};

/// A value with the key it belongs to: `key` names it in messages.
struct Entry {
  std::string key;
  YAML::Mark key_mark;
  YAML::Node value;

  [[nodiscard]] YAML::Mark mark() const;  ///< of the value; of the key where the value is empty
  [[nodiscard]] int line() const { return mark().line + 1; }
};

/// What a value says, each nothing with a complaint where it says something else.
[[nodiscard]] std::optional<std::string> read_text(const Entry& entry, Complaints& complaints);
[[nodiscard]] std::optional<bool> read_flag(const Entry& entry, Complaints& complaints);
[[nodiscard]] std::optional<milliseconds> read_duration(const Entry& entry, Complaints& complaints);
/// The same within bounds, which are words for the message too: "100ms", "1min".
[[nodiscard]] std::optional<milliseconds> read_duration(const Entry& entry, const char* least, const char* most,
                                                        Complaints& complaints);
/// A whole number within bounds.
[[nodiscard]] std::optional<unsigned> read_number(const Entry& entry, unsigned least, unsigned most, Complaints& complaints);
[[nodiscard]] std::optional<std::uint64_t> read_size(const Entry& entry, Complaints& complaints);
[[nodiscard]] std::optional<std::filesystem::path> read_path(const Entry& entry, Complaints& complaints);
/// The index of the value among `words`.
[[nodiscard]] std::optional<std::size_t> read_choice(const Entry& entry, const std::vector<std::string_view>& words,
                                                     Complaints& complaints);
/// The elements of a list that must have at least one; `example` is the remedy where it is no list.
[[nodiscard]] std::vector<Entry> read_list(const Entry& entry, const std::string& example, Complaints& complaints);

/// A mapping. Unknown and doubled keys are complained of when it is made.
class Section {
 public:
  Section(const Entry& entry, std::vector<std::string_view> keys, Complaints& complaints);
  [[nodiscard]] std::optional<Entry> find(std::string_view key) const;
  /// The same, with a complaint where it is missing.
  [[nodiscard]] std::optional<Entry> need(std::string_view key, const std::string& remedy) const;
  [[nodiscard]] bool is_map() const { return is_map_; }

 private:
  void check_keys();
  Entry entry_;
  std::vector<std::string_view> keys_;
  Complaints& complaints_;
  bool is_map_ = false;
  std::vector<Entry> entries_;
};

/// A text from the file made fit for a message: without control characters, at most 60 bytes.
[[nodiscard]] std::string shown(std::string_view text);

/// The document's only node; nothing, with a complaint, where it does not parse, holds more than one document, or uses aliases
/// (a few hundred bytes of them can stand for gigabytes).
[[nodiscard]] std::optional<YAML::Node> load_yaml(std::string_view text, Complaints& complaints);

}  // namespace controller
