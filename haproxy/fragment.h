#pragma once
// The fragment: whole `backend` sections, rendered from a mustache template. Pure: same input, same bytes, no timestamp.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "haproxy/result.h"

namespace haproxy {

struct FragmentServer {
  std::string name;
  std::string address;  ///< "10.0.0.1:5432", "[::1]:5432"
  std::string options;  ///< the words after the address, "check port 8008 inter 3s ..."
  bool backup = false;
  friend bool operator==(const FragmentServer&, const FragmentServer&) = default;
};

struct FragmentBackend {
  std::string name;
  bool write = false;  ///< one writer: `balance first`, the writer first
  std::string check;   ///< the path that its servers are asked for: "/primary", "/replica"
  std::vector<FragmentServer> servers;
  friend bool operator==(const FragmentBackend&, const FragmentBackend&) = default;
};

struct Fragment {
  std::vector<FragmentBackend> backends;
  friend bool operator==(const Fragment&, const Fragment&) = default;
};

/// Renders with escaping off. Template variables: `backends` (list) with `name`, `write`, `read` (booleans), `check`, and
/// `servers` (list) with `name`, `address`, `options`, `backup`. A variable that the template names and that does not exist,
/// a syntax error, an empty result, or one that does not end in a newline or holds a NUL is an Error that names the template
/// (HAProxy: "Missing LF on last line" is fatal). `name` is the template's path, for messages.
[[nodiscard]] Result<std::string> render(const Fragment& fragment, std::string_view mustache_template, std::string_view name);

/// `server_options` of the configuration: replaces {{api_port}} and nothing else; another {{word}} is an Error.
[[nodiscard]] Result<std::string> render_options(std::string_view server_options, std::uint16_t api_port);

/// A unified diff (three lines of context) of two texts; empty when they are the same.
[[nodiscard]] std::string unified_diff(std::string_view before, std::string_view after, std::string_view before_name,
                                       std::string_view after_name);

}  // namespace haproxy
