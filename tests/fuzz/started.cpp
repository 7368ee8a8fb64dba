// What HAProxy was started with: its command line (pieces), and its configuration.

#include <algorithm>

#include "haproxy/configured.h"
#include "haproxy/started.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace haproxy;
using fuzz::require;

bool look_at_command_line(std::string_view input) {
  std::vector<std::string> line;
  for (fuzz::Pieces pieces(input); !pieces.empty();) line.emplace_back(pieces.next());
  const auto words = check_words(line, "/etc/haproxy");
  require(words || !words.error().detail.empty(), "a refusal says why");
  if (!words) return false;
  require(words->size() >= 3 && (*words)[1] == "-c", "the words check a configuration");
  require(words->front().find("haproxy") != std::string::npos, "the first word is HAProxy");
  bool rest = false;
  bool any = false;
  for (std::size_t i = 2; i < words->size(); ++i) {
    const std::string& word = (*words)[i];
    if (!rest && (word == "-C" || word == "-f")) {
      any = any || word == "-f";
      require(++i < words->size(), "an option has its value");
      require(word == "-C" || (*words)[i].starts_with('/'), "a file has its whole path");
    } else if (!rest && word == "--") {
      rest = true;
    } else {
      require(rest && word.starts_with('/'), "nothing but files is kept");
      any = true;
    }
  }
  require(any, "a file is checked");
  require(check_words(line, "/etc/haproxy") == words, "the same line makes the same words");
  return true;
}

bool look_at_configuration(std::string_view input) {
  const std::size_t half = input.size() / 2;
  const std::vector<ConfigurationFile> files{{"a.cfg", std::string(input.substr(0, half))},
                                             {"b.cfg", std::string(input.substr(half))}};
  const auto found = find_on_marked_down(files, {"pg_primary", "pg_replicas"});
  for (const ConfiguredAt& at : found) {
    const auto file = std::find_if(files.begin(), files.end(), [&](const auto& f) { return f.path == at.path; });
    require(file != files.end(), "a place is in one of the files");
    require(at.line >= 1 && at.line <= 1 + std::count(file->text.begin(), file->text.end(), '\n'), "its line is in the file");
  }
  return !found.empty();
}

}  // namespace

bool fuzz::look_at(std::string_view input) {
  const bool is_command_line = look_at_command_line(input);
  return look_at_configuration(input) || is_command_line;
}
