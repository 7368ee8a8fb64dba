#pragma once
// What may be said to HAProxy at all. Every name and address that came over a network passes through here first.

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace haproxy {

/// A numeric address and a port. `ip` is in the one spelling that inet_ntop gives, so that equal addresses compare equal.
struct Address {
  std::string ip;
  std::uint16_t port = 0;

  /// "10.0.0.1:5432", "[::1]:5432".
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const Address&, const Address&) = default;
};

/// The canonical spelling of a numeric IPv4 or IPv6 address, with or without brackets; nothing for anything else
/// (names, scope ids, spaces, octal or shortened IPv4, IPv4 in brackets).
[[nodiscard]] std::optional<std::string> parse_ip(std::string_view text);

/// 1 to 65535 in decimal digits, no sign, no space. HAProxy itself takes 70000 as 4464 (2.6.12, 3.0.11, 3.2.26).
[[nodiscard]] std::optional<std::uint16_t> parse_port(std::string_view digits);

/// May `name` name a server or a backend? Letters, digits, '-', '.', '_' and ':', 1 to 255 of them: the set that HAProxy
/// 2.6.12, 3.0.11 and 3.2.26 accept for `add server` and in files.
[[nodiscard]] bool is_name(std::string_view name);

/// May `name` be a DNS host name? Labels of letters, digits, '-' (not first or last) and '_', 1 to 63 of them, at most 253
/// characters. Not where the last label is a number: resolvers take "10.1" and "010.0.0.1" as addresses, and not as the same.
[[nodiscard]] bool is_host_name(std::string_view name);

}  // namespace haproxy
