// The fragment and its template. The first piece of an input is a template, the others are a fragment's words.

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "haproxy/address.h"
#include "haproxy/fragment.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace haproxy;
using fuzz::require;

constexpr std::string_view kTemplate =
    "# by hand\n"
    "{{#backends}}\n"
    "backend {{name}}{{#write}} write{{/write}}{{#read}} read{{/read}} {{check}}\n"
    "{{#servers}}\n"
    "server {{name}} {{address}}{{#backup}} backup{{/backup}}{{^backup}} active{{/backup}} {{options}}\n"
    "{{/servers}}\n"
    "{{/backends}}\n";

/// As many backends and servers as there are words for.
Fragment fragment_of(fuzz::Pieces& pieces) {
  Fragment fragment;
  while (!pieces.empty()) {
    const std::string_view kind = pieces.next();
    if (kind.starts_with('b') || fragment.backends.empty()) {
      FragmentBackend backend;
      backend.name = pieces.next();
      backend.check = pieces.next();
      backend.write = kind.ends_with('w');
      fragment.backends.push_back(std::move(backend));
    } else {
      FragmentServer server;
      server.name = pieces.next();
      server.address = pieces.next();
      server.options = pieces.next();
      server.backup = kind.ends_with('b');
      fragment.backends.back().servers.push_back(std::move(server));
    }
  }
  return fragment;
}

std::string_view cut(std::string_view& rest, char end) {
  const std::string_view piece = rest.substr(0, rest.find(end));
  rest.remove_prefix(std::min(piece.size() + 1, rest.size()));
  return piece;
}

/// Reads what kTemplate makes.
Fragment read_back(std::string_view text) {
  Fragment fragment;
  cut(text, '\n');
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    const std::string_view word = cut(line, ' ');
    if (word == "backend") {
      FragmentBackend backend;
      backend.name = cut(line, ' ');
      backend.write = cut(line, ' ') == "write";
      backend.check = line;
      fragment.backends.push_back(std::move(backend));
    } else if (word == "server" && !fragment.backends.empty()) {
      FragmentServer server;
      server.name = cut(line, ' ');
      server.address = cut(line, ' ');
      server.backup = cut(line, ' ') == "backup";
      server.options = line;
      fragment.backends.back().servers.push_back(std::move(server));
    } else {
      require(word.empty(), "a fragment has no line that the template lacks");
    }
  }
  return fragment;
}

bool look_at_fragment(const Fragment& fragment) {
  const auto text = render(fragment, kTemplate, "template");
  require(text || !text.error().detail.empty(), "a refusal says why");
  if (!text) return false;
  require(read_back(*text) == fragment, "a fragment is read back as it was");
  require(render(fragment, kTemplate, "template") == *text, "the same input makes the same bytes");
  return true;
}

bool look_at_template(const Fragment& fragment, std::string_view text) {
  const auto rendered = render(fragment, text, "template");
  if (!rendered) {
    require(!rendered.error().detail.empty() && rendered.error().detail.size() < 500, "a refusal says why");
    return false;
  }
  require(rendered->ends_with('\n') && rendered->find('\0') == std::string::npos, "HAProxy takes its form");
  return true;
}

/// What is left of a text after the hunks of a unified diff; nothing where they do not fit.
std::optional<std::string> patched(std::string_view before, std::string_view diff) {
  std::string after;
  std::size_t line_number = 1;
  cut(diff, '\n');
  cut(diff, '\n');
  while (!diff.empty()) {
    std::string_view line = cut(diff, '\n');
    const char kind = line.empty() ? '?' : line.front();
    line.remove_prefix(std::min<std::size_t>(1, line.size()));
    if (kind == '@') {
      std::size_t start = 0;
      const std::string_view place = line.substr(3);
      std::from_chars(place.data(), place.data() + place.size(), start);
      const bool none = place.substr(0, place.find(' ')).ends_with(",0");
      for (; line_number < start + (none ? 1 : 0); ++line_number) after += std::string(cut(before, '\n')) + "\n";
      continue;
    }
    if (kind == '\\') {
      after.pop_back();
      continue;
    }
    if (kind != '+') {
      if (cut(before, '\n') != line) return std::nullopt;
      ++line_number;
    }
    if (kind != '-') after += std::string(line) + "\n";
  }
  return after + std::string(before);
}

void look_at_diff(std::string_view before, std::string_view after) {
  // A line that ends the text without a newline is told of in words.
  if (!before.ends_with('\n') || !after.ends_with('\n') || before.size() + after.size() > 2000) return;
  const std::string diff = unified_diff(before, after, "before", "after");
  require(diff.empty() == (before == after), "what is the same has no diff");
  if (!diff.empty()) require(patched(before, diff) == after, "the diff makes the one of the other");
}

}  // namespace

bool fuzz::look_at(std::string_view input) {
  fuzz::Pieces pieces(input);
  const std::string_view text = pieces.next();
  const Fragment fragment = fragment_of(pieces);
  bool understood = look_at_fragment(fragment) && !fragment.backends.empty();
  understood = look_at_template(fragment, text) || understood;
  const auto options = render_options(text, 8008);
  if (options) {
    require(options->find("{{") == std::string::npos || text.find("{{{{") != std::string_view::npos, "no variable is left");
    require(std::none_of(options->begin(), options->end(),
                         [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }),
            "options are printable");
  }
  const std::size_t half = text.size() / 2;
  look_at_diff(text.substr(0, half), text.substr(half));
  return understood || options;
}
