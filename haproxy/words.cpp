#include "haproxy/words.h"

namespace haproxy {

tl::unexpected<Error> unexpected_reply(std::string_view command, std::string_view expected, std::string_view found) {
  constexpr std::size_t kLongest = 80;
  std::string shown(found.substr(0, kLongest));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  if (found.size() > kLongest) shown += "...";
  return fail("read", "the reply to " + std::string(command),
              "expected " + std::string(expected) + ", found " + (found.empty() ? "nothing" : "\"" + shown + "\""));
}

std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

std::string_view take_word(std::string_view& rest) {
  const std::size_t start = std::min(rest.find_first_not_of(' '), rest.size());
  rest.remove_prefix(start);
  const std::size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

}  // namespace haproxy
