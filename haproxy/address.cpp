#include "haproxy/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace haproxy {
namespace {

// Not <cctype>: what the locale calls a letter is no concern of HAProxy's.
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alphanumeric(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// "10", "0x1f": resolvers take a name that ends in such a label as an address in one of inet_aton's spellings.
bool is_numeric_label(std::string_view label) {
  if (label.starts_with("0x") || label.starts_with("0X")) {
    return std::all_of(label.begin() + 2, label.end(), is_hex_digit);
  }
  return std::all_of(label.begin(), label.end(), is_digit);
}

}  // namespace

std::string Address::text() const {
  const bool v6 = ip.find(':') != std::string::npos;
  return (v6 ? "[" + ip + "]:" : ip + ":") + std::to_string(port);
}

std::optional<std::string> parse_ip(std::string_view text) {
  const bool bracketed = text.starts_with('[');
  if (bracketed) {
    if (!text.ends_with(']')) return std::nullopt;
    text = text.substr(1, text.size() - 2);
  }
  std::array<char, INET6_ADDRSTRLEN> spelled{};
  if (text.size() >= spelled.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(text.begin(), text.end(), spelled.begin());

  const int family = text.find(':') != std::string_view::npos ? AF_INET6 : AF_INET;
  if (bracketed && family == AF_INET) return std::nullopt;
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (inet_pton(family, spelled.data(), bytes.data()) != 1) return std::nullopt;
  if (inet_ntop(family, bytes.data(), spelled.data(), spelled.size()) == nullptr) return std::nullopt;
  return spelled.data();
}

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, port);
  if (error != std::errc() || stop != end || port == 0) return std::nullopt;
  return port;
}

bool is_name(std::string_view name) {
  constexpr std::string_view kAlsoAllowed = "-._:";
  return !name.empty() && name.size() <= 255 && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_alphanumeric(c) || kAlsoAllowed.find(c) != std::string_view::npos;
  });
}

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (;;) {
    const std::size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; }))
      return false;
    if (dot == std::string_view::npos) return !is_numeric_label(label);
    name.remove_prefix(dot + 1);
  }
}

}  // namespace haproxy
