#include "haproxy/fragment.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <dtl/dtl.hpp>
#include <exception>
#include <iterator>
#include <kainjow/mustache.hpp>
#include <optional>

#include "haproxy/address.h"

namespace haproxy {
namespace {

constexpr std::size_t kContext = 3;
constexpr std::string_view kBlanks = " \t\r\n";

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}
bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_control);
}

/// For messages: what came in may hold anything.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 80));
  std::replace_if(out.begin(), out.end(), is_control, '?');
  return out;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// ---- What goes in ----

bool is_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::optional<std::string> ip = parse_ip(text.substr(0, colon));
  const std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
  return ip && port && Address{std::move(*ip), *port}.text() == text;
}

/// One word of an HTTP request line, and one word to HAProxy's own reader, which gives quotes, '\', '$' and '#' a meaning.
bool is_path(std::string_view text) {
  constexpr std::string_view kAllowed = "/-._~?=&%:,+";
  const auto allowed = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kAllowed.find(c) != kAllowed.npos;
  };
  return text.starts_with('/') && std::all_of(text.begin(), text.end(), allowed);
}

std::optional<std::string> objection(const FragmentBackend& backend) {
  if (!is_name(backend.name)) return fmt::format("'{}' is no name of a backend", shown(backend.name));
  if (!is_path(backend.check)) return fmt::format("{}: '{}' is no path to check", backend.name, shown(backend.check));
  for (const FragmentServer& server : backend.servers) {
    if (!is_name(server.name)) return fmt::format("{}: '{}' is no name of a server", backend.name, shown(server.name));
    const std::string where = backend.name + "/" + server.name;
    if (!is_address(server.address)) return fmt::format("{}: '{}' is no address and port", where, shown(server.address));
    if (has_control(server.options)) return fmt::format("{}: control character in '{}'", where, shown(server.options));
  }
  return std::nullopt;
}

// ---- What the template may name ----

enum class Kind { text, flag, list };

struct Variable {
  std::string_view name;
  Kind kind;
  unsigned depth;  ///< within how many lists it exists: 0 everywhere, 1 in `backends`, 2 in `servers`
};

constexpr std::array<Variable, 9> kVariables{{{"backends", Kind::list, 0},
                                              {"name", Kind::text, 1},
                                              {"write", Kind::flag, 1},
                                              {"read", Kind::flag, 1},
                                              {"check", Kind::text, 1},
                                              {"servers", Kind::list, 1},
                                              {"address", Kind::text, 2},
                                              {"options", Kind::text, 2},
                                              {"backup", Kind::flag, 2}}};

/// Walks the tags of a template, since mustache renders what it does not know as nothing. Changed delimiters, partials and
/// dotted names are refused: they are not needed and could not be checked.
class TagCheck {
 public:
  explicit TagCheck(std::string_view text) : text_(text) {}

  /// The first thing wrong, with its line.
  std::optional<std::string> objection() {
    while ((at_ = text_.find("{{", at_)) != std::string_view::npos) {
      const bool triple = text_.substr(at_).starts_with("{{{");
      const std::size_t start = at_ + (triple ? 3 : 2);
      const std::size_t end = text_.find(triple ? "}}}" : "}}", start);
      if (end == std::string_view::npos) return here("a tag that is not closed");
      const std::string_view content = trim(text_.substr(start, end - start));
      if (std::optional<std::string> wrong = triple ? variable(content) : tag(content)) return wrong;
      at_ = end + (triple ? 3 : 2);
    }
    if (!open_.empty()) return fmt::format("section '{}' is not closed", open_.back().name);
    return std::nullopt;
  }

 private:
  struct Section {
    std::string_view name;
    bool enters_list = false;
  };

  std::optional<std::string> tag(std::string_view content) {
    const std::string_view name = content.empty() ? content : trim(content.substr(1));
    switch (content.empty() ? '\0' : content.front()) {
      case '!':
        return std::nullopt;
      case '#':
      case '^':
        return section(name, content.front() == '#');
      case '/':
        if (open_.empty() || open_.back().name != name)
          return here(fmt::format("section '{}' ends but is not open", shown(name)));
        open_.pop_back();
        return std::nullopt;
      case '&':
        return variable(name);
      case '>':
      case '=':
        return here("partials and other delimiters are not supported");
      default:
        return variable(content);
    }
  }

  std::optional<std::string> variable(std::string_view name) const {
    const Variable* found = find(name);
    if (found == nullptr) return unknown(name);
    if (found->kind != Kind::text) return here(fmt::format("'{0}' is not text: use it as a section, {{{{#{0}}}}}", name));
    return std::nullopt;
  }

  std::optional<std::string> section(std::string_view name, bool enter) {
    const Variable* found = find(name);
    if (found == nullptr) return unknown(name);
    if (found->kind == Kind::text) return here(fmt::format("'{}' is text and cannot be a section", name));
    open_.push_back({name, enter && found->kind == Kind::list});
    return std::nullopt;
  }

  const Variable* find(std::string_view name) const {
    const auto depth = std::count_if(open_.begin(), open_.end(), [](const Section& s) { return s.enters_list; });
    const auto fits = [&](const Variable& v) { return v.name == name && v.depth <= static_cast<unsigned>(depth); };
    const auto found = std::find_if(kVariables.begin(), kVariables.end(), fits);
    return found == kVariables.end() ? nullptr : &*found;
  }

  std::optional<std::string> unknown(std::string_view name) const {
    return here(fmt::format("there is no variable '{}' here", shown(name)));
  }
  std::string here(std::string_view what) const {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(at_);
    return fmt::format("line {}: {}", 1 + std::count(text_.begin(), end, '\n'), what);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Section> open_;
};

// ---- What comes out ----

kainjow::mustache::data data_of(const Fragment& fragment) {
  namespace mustache = kainjow::mustache;
  mustache::data backends{mustache::data::type::list};
  for (const FragmentBackend& backend : fragment.backends) {
    mustache::data servers{mustache::data::type::list};
    for (const FragmentServer& server : backend.servers) {
      mustache::data one;
      one.set("name", server.name);
      one.set("address", server.address);
      one.set("options", server.options);
      one.set("backup", mustache::data(server.backup));
      servers.push_back(one);
    }
    mustache::data one;
    one.set("name", backend.name);
    one.set("write", mustache::data(backend.write));
    one.set("read", mustache::data(!backend.write));
    one.set("check", backend.check);
    one.set("servers", servers);
    backends.push_back(one);
  }
  return {"backends", backends};
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      lines.back() += "\n\\ No newline at end of file";
      break;
    }
    text.remove_prefix(end + 1);
  }
  return lines;
}

struct Edit {
  char kind;  ///< ' ', '-' or '+'
  std::string line;
};

/// What turns one text into the other, removals before additions.
std::vector<Edit> edits_of(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  dtl::Diff<std::string> diff(before, after);
  diff.compose();
  std::vector<Edit> edits;
  std::vector<Edit> added;
  const auto flush = [&] {
    std::move(added.begin(), added.end(), std::back_inserter(edits));
    added.clear();
  };
  for (const auto& [line, info] : diff.getSes().getSequence()) {
    if (info.type == dtl::SES_ADD) {
      added.push_back({'+', line});
      continue;
    }
    if (info.type == dtl::SES_COMMON) flush();
    edits.push_back({info.type == dtl::SES_DELETE ? '-' : ' ', line});
  }
  flush();
  return edits;
}

/// A hunk's place on one side, as diff(1) writes it: the line before it where this side has none, no count where that is 1.
std::string place(std::size_t lines_before, std::size_t count) {
  if (count == 1) return fmt::format("{}", lines_before + 1);
  return fmt::format("{},{}", count == 0 ? lines_before : lines_before + 1, count);
}

/// The end of the hunk that starts at `begin`: three lines after the last change that has the next one within six.
std::size_t end_of_hunk(const std::vector<Edit>& edits, std::size_t begin) {
  std::size_t last_change = begin + kContext;
  for (std::size_t i = begin; i < edits.size() && i <= last_change + 2 * kContext + 1; ++i) {
    if (edits[i].kind != ' ') last_change = i;
  }
  return std::min(edits.size(), last_change + kContext + 1);
}

}  // namespace

Result<std::string> render(const Fragment& fragment, std::string_view mustache_template, std::string_view name) {
  const auto refused = [&](std::string detail) { return fail("render", std::string(name), std::move(detail)); };
  try {
    for (const FragmentBackend& backend : fragment.backends) {
      if (std::optional<std::string> wrong = objection(backend)) return refused(std::move(*wrong));
    }
    if (std::optional<std::string> wrong = TagCheck(mustache_template).objection()) return refused(std::move(*wrong));
    kainjow::mustache::mustache parsed{std::string(mustache_template)};
    if (!parsed.is_valid()) return refused(parsed.error_message());
    parsed.set_custom_escape([](const std::string& text) { return text; });
    std::string text = parsed.render(data_of(fragment));
    if (!parsed.is_valid()) return refused(parsed.error_message());
    if (trim(text).empty()) return refused("the result is empty");
    if (text.find('\0') != std::string::npos) return refused("the result holds a NUL byte, which HAProxy does not take");
    if (!text.ends_with('\n')) return refused("the result does not end in a newline, which HAProxy does not take");
    return text;
  } catch (const std::exception& error) {
    return refused(error.what());
  }
}

Result<std::string> render_options(std::string_view server_options, std::uint16_t api_port) {
  const auto refused = [&](std::string detail) {
    return fail("render", "server_options", std::move(detail), "the only variable in server_options is {{api_port}}");
  };
  std::string text;
  while (true) {
    const std::size_t open = server_options.find("{{");
    text += server_options.substr(0, open);
    if (open == std::string_view::npos) break;
    server_options.remove_prefix(open + 2);
    const std::size_t close = server_options.find("}}");
    if (close == std::string_view::npos) return refused("a {{ that is not closed");
    const std::string_view word = trim(server_options.substr(0, close));
    if (word != "api_port") return refused(fmt::format("there is no variable '{}'", shown(word)));
    text += fmt::format("{}", api_port);
    server_options.remove_prefix(close + 2);
  }
  if (has_control(text)) return refused("a newline or another control character");
  return text;
}

std::string unified_diff(std::string_view before, std::string_view after, std::string_view before_name,
                         std::string_view after_name) {
  if (before == after) return {};
  const std::vector<Edit> edits = edits_of(lines_of(before), lines_of(after));
  std::string text = fmt::format("--- {}\n+++ {}\n", before_name, after_name);
  std::size_t old_lines = 0;
  std::size_t new_lines = 0;
  for (std::size_t i = 0; i < edits.size();) {
    const bool starts = std::any_of(edits.begin() + static_cast<std::ptrdiff_t>(i),
                                    edits.begin() + static_cast<std::ptrdiff_t>(std::min(edits.size(), i + kContext + 1)),
                                    [](const Edit& edit) { return edit.kind != ' '; });
    if (!starts) {
      ++i, ++old_lines, ++new_lines;
      continue;
    }
    std::string body;
    std::size_t removed = 0;
    std::size_t added = 0;
    for (const std::size_t end = end_of_hunk(edits, i); i < end; ++i) {
      body += edits[i].kind + edits[i].line + "\n";
      removed += edits[i].kind == '+' ? 0 : 1;
      added += edits[i].kind == '-' ? 0 : 1;
    }
    text += fmt::format("@@ -{} +{} @@\n{}", place(old_lines, removed), place(new_lines, added), body);
    old_lines += removed;
    new_lines += added;
  }
  return text;
}

}  // namespace haproxy
