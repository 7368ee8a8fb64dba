#include "haproxy/configured.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

namespace haproxy {
namespace {

/// As far as `#`; quotes stay in the words.
std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  std::vector<std::string_view> words;
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    if (line.empty() || line.front() == '#') return words;
    words.push_back(line.substr(0, line.find_first_of(kBlank)));
    line.remove_prefix(words.back().size());
  }
}

/// The sections of 2.6 to 3.2.
bool begins_section(std::string_view word) {
  constexpr std::array<std::string_view, 19> kSections{
      "global",  "defaults", "frontend", "backend",     "listen", "userlist",  "peers",       "resolvers",   "mailers", "cache",
      "program", "ring",     "fcgi-app", "http-errors", "traces", "crt-store", "log-forward", "log-profile", "acme"};
  return std::find(kSections.begin(), kSections.end(), word) != kSections.end();
}

bool ends_sessions(const std::vector<std::string_view>& words) {
  const std::string_view first = words.front();
  if (first != "server" && first != "server-template" && first != "default-server") return false;
  const auto option = std::find(words.begin(), words.end(), "on-marked-down");
  return option != words.end() && option + 1 != words.end() && *(option + 1) == "shutdown-sessions";
}

}  // namespace

std::vector<ConfiguredAt> find_on_marked_down(const std::vector<ConfigurationFile>& files,
                                              const std::set<std::string>& backends) {
  using Places = std::vector<ConfiguredAt>;
  Places found;
  Places others;
  std::map<std::string, Places, std::less<>> defaults;  // by name; the last one that was begun counts for who names none
  std::string last_defaults;
  Places* section = &others;
  for (const ConfigurationFile& file : files) {
    std::string_view text = file.text;
    for (int line = 1; !text.empty(); ++line) {
      const auto words = words_of(text.substr(0, text.find('\n')));
      text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
      if (words.empty()) continue;
      if (begins_section(words.front())) {
        section = &others;
        const std::string name(words.size() > 1 ? words[1] : "");
        const auto from = std::find(words.begin(), words.end(), "from");
        const std::string base = from != words.end() && from + 1 != words.end() ? std::string(*(from + 1)) : last_defaults;
        if (words.front() == "defaults") {
          // From another one it takes over everything, without a name it begins with nothing.
          last_defaults = name;
          section = &defaults[name];
          *section = from == words.end() ? Places{} : defaults[base];
        } else if ((words.front() == "backend" || words.front() == "listen") && backends.contains(name)) {
          section = &found;
          for (const ConfiguredAt& place : defaults[base]) {
            if (std::find(found.begin(), found.end(), place) == found.end()) found.push_back(place);
          }
        }
      } else if (ends_sessions(words)) {
        section->push_back({file.path, line});
      }
    }
  }
  return found;
}

}  // namespace haproxy
