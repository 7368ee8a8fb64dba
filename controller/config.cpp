#include "controller/config.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "haproxy/address.h"
#include "haproxy/files.h"

namespace controller {

namespace {

constexpr std::uint16_t kDefaultApiPort = 8008;
constexpr std::int64_t kMostMilliseconds = 24LL * 3600 * 1000;

/// Splits "16MB" into its digits and its unit; nothing where the digits are missing or too many.
struct Quantity {
  std::uint64_t number = 0;
  std::string_view unit;
};
std::optional<Quantity> parse_quantity(std::string_view text) {
  Quantity quantity;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, quantity.number);
  if (error != std::errc{}) return std::nullopt;
  quantity.unit = std::string_view(rest, static_cast<std::size_t>(end - rest));
  return quantity;
}

struct Unit {
  std::string_view word;
  std::uint64_t factor;
};

std::optional<std::uint64_t> scaled(const Quantity& quantity, const Unit* begin, const Unit* end, std::uint64_t most) {
  const Unit* unit = std::find_if(begin, end, [&](const Unit& u) { return u.word == quantity.unit; });
  if (unit == end || quantity.number > most / unit->factor) return std::nullopt;
  return quantity.number * unit->factor;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

tl::unexpected<haproxy::Error> refuse_url(std::string_view text, std::string detail, std::string hint) {
  return haproxy::fail("read", fmt::format("URL '{}'", text), std::move(detail), std::move(hint));
}

}  // namespace

const char* word(Serves serves) {
  switch (serves) {
    case Serves::primary:
      return "primary";
    case Serves::replica:
      return "replica";
  }
  return "?";
}

const char* word(Method method) {
  switch (method) {
    case Method::runtime:
      return "runtime";
    case Method::file:
      return "file";
  }
  return "?";
}

Result<MemberUrl> parse_url(std::string_view text, std::uint16_t default_port) {
  const std::string hint = fmt::format("write a URL such as http://10.0.0.11:{}", default_port);
  MemberUrl member;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    member.https = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return refuse_url(text, "it begins with neither http:// nor https://", hint);
  }
  if (rest.find_first_of("?#") != std::string_view::npos) return refuse_url(text, "it has a query or a fragment", hint);
  if (rest.find('@') != std::string_view::npos) return refuse_url(text, "it has a user in it", hint);
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    if (slash + 1 != rest.size()) return refuse_url(text, "it has a path", hint);
    rest.remove_suffix(1);
  }

  std::string_view host = rest;
  std::optional<std::string_view> port;
  const bool bracketed = rest.starts_with('[');
  if (bracketed) {
    const auto close = rest.find(']');
    if (close == std::string_view::npos) return refuse_url(text, "the ']' is missing", hint);
    host = rest.substr(1, close - 1);
    const std::string_view after = rest.substr(close + 1);
    if (after.starts_with(':'))
      port = after.substr(1);
    else if (!after.empty())
      return refuse_url(text, "something follows the ']'", hint);
  } else if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
    host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
    if (port->find(':') != std::string_view::npos) {
      return refuse_url(text, "an IPv6 address must stand in brackets",
                        fmt::format("write a URL such as http://[fd00::11]:{}", default_port));
    }
  }
  if (host.empty()) return refuse_url(text, "it has no host", hint);

  const bool numeric = host.find_first_not_of("0123456789.") == std::string_view::npos;
  if (auto ip = haproxy::parse_ip(host); ip && bracketed == (ip->find(':') != std::string::npos)) {
    member.host = *ip;
  } else if (!bracketed && !numeric && haproxy::is_host_name(host)) {
    member.host = lower(host);
  } else {
    return refuse_url(text, fmt::format("'{}' is neither an address nor a host name", host), hint);
  }
  member.port = default_port;
  if (port) {
    const auto number = haproxy::parse_port(*port);
    if (!number) return refuse_url(text, fmt::format("'{}' is no port", *port), "write a port from 1 to 65535");
    member.port = *number;
  }
  member.url = fmt::format("{}://{}{}{}:{}", member.https ? "https" : "http", bracketed ? "[" : "", member.host,
                           bracketed ? "]" : "", member.port);
  return member;
}

Result<MemberUrl> parse_member_url(std::string_view text) {
  return parse_url(text, kDefaultApiPort);
}

std::optional<milliseconds> parse_duration(std::string_view text) {
  static constexpr std::array kUnits{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"min", 60'000}, Unit{"h", 3'600'000}};
  if (text.empty()) return std::nullopt;
  const auto quantity = parse_quantity(text);
  if (!quantity) return std::nullopt;
  const auto value = scaled(*quantity, kUnits.begin(), kUnits.end(), static_cast<std::uint64_t>(kMostMilliseconds));
  if (!value) return std::nullopt;
  return milliseconds(static_cast<std::int64_t>(*value));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  static constexpr std::array kUnits{
      Unit{"", 1},           Unit{"B", 1}, Unit{"kB", 1ULL << 10}, Unit{"MB", 1ULL << 20}, Unit{"GB", 1ULL << 30},
      Unit{"TB", 1ULL << 40}};
  if (text.empty()) return std::nullopt;
  const auto quantity = parse_quantity(text);
  if (!quantity) return std::nullopt;
  return scaled(*quantity, kUnits.begin(), kUnits.end(), std::numeric_limits<std::uint64_t>::max());
}

std::string Complaint::text() const {
  std::string out = file;
  if (line > 0) out += fmt::format(":{}:{}", line, column);
  out += ": " + what;
  if (!remedy.empty()) out += " (" + remedy + ")";
  return out;
}

tl::expected<Config, std::vector<Complaint>> read_config(const std::filesystem::path& file) {
  haproxy::DiskFiles disk;
  const auto text = disk.read(file);
  if (!text) {
    std::string remedy = text.error().hint;
    if (remedy.empty()) remedy = "name another one with --config";
    return tl::unexpected(std::vector{Complaint{file.string(), 0, 0, "cannot read it: " + text.error().detail, remedy}});
  }
  return parse_config(*text, file.string());
}

}  // namespace controller
