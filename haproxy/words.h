#pragma once
// Pieces of reading HAProxy's replies. Private to this folder; pure.

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "haproxy/result.h"

namespace haproxy {

/// An Error about a reply: `found` is shortened and made printable.
[[nodiscard]] tl::unexpected<Error> unexpected_reply(std::string_view command, std::string_view expected,
                                                     std::string_view found);

/// Cuts the next line off `rest`, without its newline.
std::string_view take_line(std::string_view& rest);

/// Cuts the next word off `rest`: words are separated by one or more spaces.
std::string_view take_word(std::string_view& rest);

template <class Number>
[[nodiscard]] bool to_number(std::string_view digits, Number& number) {
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  return error == std::errc() && stop == end;
}

}  // namespace haproxy
