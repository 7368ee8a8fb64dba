#include "controller/parse_patroni.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <set>
#include <utility>

#include "controller/json.h"

namespace controller {
namespace {

using haproxy::fail;
using rapidjson::Value;

constexpr std::size_t kMostText = 255;
constexpr std::uint16_t kPostgresPort = 5432;

const Value* find(const Value& object, const char* key) {
  const auto found = object.FindMember(key);
  return found == object.MemberEnd() || found->value.IsNull() ? nullptr : &found->value;
}

/// Shown to people as it is: not empty, no control characters (C1, which are 0xc2 0x80 to 0x9f, included).
bool is_text(std::string_view text) {
  if (text.empty() || text.size() > kMostText) return false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x20 || byte == 0x7f) return false;
    if (byte == 0xc2 && at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) < 0xa0) return false;
  }
  return true;
}

/// A string of the object that may be missing; nothing where it is there and unfit.
std::optional<std::string> text_or_empty(const Value& object, const char* key) {
  auto text = json_string(object, key);
  if (!text || text->empty()) return std::string();
  if (!is_text(*text)) return std::nullopt;
  return text;
}

Role parse_role(std::string_view text) {
  if (text == "master") return Role::primary;
  for (const Role role :
       {Role::primary, Role::replica, Role::standby_leader, Role::demoted, Role::promoted, Role::uninitialized}) {
    if (text == word(role)) return role;
  }
  return Role::other;
}

State parse_state(std::string_view text) {
  for (const State state : {State::running, State::starting, State::restarting, State::stopping, State::stopped, State::crashed,
                            State::creating_replica, State::unknown}) {
    if (text == word(state)) return state;
  }
  return State::other;
}

/// Missing and null are "not known"; anything else than an unsigned integer up to `most` is refused (false).
template <class T>
bool read_number(const Value& object, const char* key, std::optional<T>& into) {
  const auto* const value = find(object, key);
  if (value == nullptr) return true;
  if (!value->IsUint64() || value->GetUint64() > std::numeric_limits<T>::max()) return false;
  into = static_cast<T>(value->GetUint64());
  return true;
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// As Patroni reads it: Python's truth of whatever YAML made of the tag.
bool is_set(const Value& tags, const char* key) {
  const auto* const value = find(tags, key);
  if (value == nullptr) return false;
  if (value->IsBool()) return value->GetBool();
  if (value->IsNumber()) return value->GetDouble() < 0 || value->GetDouble() > 0;
  if (value->IsString()) return value->GetStringLength() > 0;
  if (value->IsArray()) return !value->Empty();
  return !value->ObjectEmpty();
}

std::optional<int> parse_digits(std::string_view digits) {
  int value = 0;
  if (!is_digits(digits)) return std::nullopt;
  const auto [to, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

/// "Sun, 22 Nov 2026 04:46:47 GMT", the one form that HTTP/1.0 servers send today.
std::optional<std::int64_t> parse_date(std::string_view text) {
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") return std::nullopt;
  if (text[7] != ' ' || text[11] != ' ' || text[16] != ' ' || text[19] != ':' || text[22] != ':') return std::nullopt;
  const auto month = std::ranges::find(kMonths, text.substr(8, 3));
  const auto day = parse_digits(text.substr(5, 2));
  const auto year = parse_digits(text.substr(12, 4));
  const auto hour = parse_digits(text.substr(17, 2));
  const auto minute = parse_digits(text.substr(20, 2));
  const auto second = parse_digits(text.substr(23, 2));
  if (month == kMonths.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(month - kMonths.begin() + 1)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const auto at = std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute);
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count() + *second;
}

/// A name that somebody chose for a connection may be anything: it is made fit, not refused.
std::vector<WalSender> read_replication(const Value& object) {
  std::vector<WalSender> senders;
  const auto* const list = json_array(object, "replication");
  if (list == nullptr) return senders;
  for (const auto& entry : list->GetArray()) {
    if (!entry.IsObject()) continue;
    WalSender sender;
    sender.application_name = printable(json_string(entry, "application_name").value_or(""), kMostText);
    sender.client_addr = haproxy::parse_ip(json_string(entry, "client_addr").value_or("")).value_or("");
    sender.state = printable(json_string(entry, "state").value_or(""), kMostText);
    senders.push_back(std::move(sender));
  }
  return senders;
}

/// The body as an object, or why not.
Result<rapidjson::Document> read_body(std::string_view body, const std::string& subject) {
  if (body.size() > kMaxBodyBytes) return fail("read", subject, fmt::format("a body over {} bytes", kMaxBodyBytes));
  if (body.empty()) return fail("read", subject, "an empty body");
  if (const auto first = body.find_first_not_of(" \t\r\n"); first == std::string_view::npos || body[first] != '{') {
    return fail("read", subject, fmt::format("no JSON object, it begins with \"{}\"", printable(body, 40)));
  }
  return read_json(body, subject);
}

/// Fills what is PostgreSQL's; a complaint, or nothing.
std::optional<std::string> read_postgres(const Value& object, Answer& answer) {
  const auto state = json_string(object, "state");
  const auto role = json_string(object, "role");
  if (!state) return "no 'state', or not a text";
  if (!role) return "no 'role', or not a text";
  answer.state = parse_state(*state);
  answer.role = parse_role(*role);
  if (!read_number(object, "timeline", answer.timeline)) return "a 'timeline' that is no unsigned integer";
  if (const auto* const xlog = json_object(object, "xlog"); xlog != nullptr) {
    if (!read_number(*xlog, "location", answer.location)) return "a 'location' that is no unsigned integer";
    if (!read_number(*xlog, "received_location", answer.received)) return "a 'received_location' that is no unsigned integer";
    if (!read_number(*xlog, "replayed_location", answer.replayed)) return "a 'replayed_location' that is no unsigned integer";
  }
  const auto started = text_or_empty(object, "postmaster_start_time");
  if (!started) return "a 'postmaster_start_time' that is no plain text";
  answer.postmaster_start_time = *started;
  const auto streaming = text_or_empty(object, "replication_state");
  if (!streaming) return "a 'replication_state' that is no plain text";
  if (!streaming->empty()) answer.replication_state = *streaming;
  answer.replication = read_replication(object);
  if (const auto* const identifier = find(object, "database_system_identifier"); identifier != nullptr) {
    answer.system_identifier = json_string(object, "database_system_identifier").value_or("");
    if (!is_digits(answer.system_identifier) || answer.system_identifier.size() > 20) {
      return "a 'database_system_identifier' that is not 1 to 20 digits";
    }
  }
  return std::nullopt;
}

/// Fills what is Patroni's own; a complaint, or nothing.
std::optional<std::string> read_patroni(const Value& object, Answer& answer) {
  const auto* const patroni = json_object(object, "patroni");
  if (patroni == nullptr) return "no 'patroni' object";
  const auto scope = json_string(*patroni, "scope");
  if (!scope || !is_text(*scope)) return "no 'patroni.scope', or no plain text";
  answer.scope = *scope;
  if (find(*patroni, "name") != nullptr) {
    answer.name = json_string(*patroni, "name").value_or("");
    if (!haproxy::is_name(answer.name)) {
      return fmt::format("a name that cannot name a server: \"{}\"", printable(answer.name, 60));
    }
  }
  const auto version = text_or_empty(*patroni, "version");
  if (!version) return "a 'patroni.version' that is no plain text";
  answer.version = *version;
  answer.pause = json_bool(object, "pause").value_or(false);
  answer.cluster_unlocked = json_bool(object, "cluster_unlocked").value_or(false);
  answer.failsafe = json_bool(object, "failsafe_mode_is_active").value_or(false);
  answer.dcs_last_seen = json_int(object, "dcs_last_seen");
  if (const auto* const tags = json_object(object, "tags"); tags != nullptr) {
    answer.noloadbalance = is_set(*tags, "noloadbalance");
  }
  return std::nullopt;
}

/// A numeric address in its one spelling, or a host name. The resolver would take "127.1" and "2130706433" for numbers.
std::optional<std::string> parse_host(std::string_view text) {
  if (auto ip = haproxy::parse_ip(text)) return ip;
  if (!haproxy::is_host_name(text)) return std::nullopt;
  const auto dot = text.find_last_of('.');
  const auto last = dot == std::string_view::npos ? text : text.substr(dot + 1);
  if (is_digits(last) || last.starts_with("0x") || last.starts_with("0X")) return std::nullopt;
  return std::string(text);
}

/// "http://10.0.0.11:8008/patroni".
std::optional<std::pair<std::string, std::uint16_t>> parse_api_url(std::string_view url) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!url.starts_with(scheme)) continue;
    std::string_view authority = url.substr(scheme.size());
    authority = authority.substr(0, authority.find('/'));
    const auto colon = authority.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    auto host = parse_host(authority.substr(0, colon));
    const auto port = haproxy::parse_port(authority.substr(colon + 1));
    if (!host || !port) return std::nullopt;
    return std::pair(std::move(*host), *port);
  }
  return std::nullopt;
}

/// One entry of `members`; a complaint, or nothing.
std::optional<std::string> read_listed(const Value& entry, ListedMember& member) {
  if (!entry.IsObject()) return "a member that is no object";
  member.name = json_string(entry, "name").value_or("");
  if (!haproxy::is_name(member.name)) {
    return fmt::format("a member name that cannot name a server: \"{}\"", printable(member.name, 60));
  }
  member.leader = json_string(entry, "role") == "leader";
  if (find(entry, "api_url") != nullptr) {
    const std::string url = json_string(entry, "api_url").value_or("");
    auto api = parse_api_url(url);
    if (!api) return fmt::format("an 'api_url' of {} that is none: \"{}\"", member.name, printable(url, 60));
    member.api_host = std::move(api->first);
    member.api_port = api->second;
  }
  if (find(entry, "host") == nullptr) return std::nullopt;
  const std::string written = json_string(entry, "host").value_or("");
  auto host = parse_host(written);
  if (!host) return fmt::format("a 'host' of {} that is none: \"{}\"", member.name, printable(written, 60));
  member.host = std::move(*host);
  std::optional<std::uint16_t> port;
  if (!read_number(entry, "port", port) || port == std::uint16_t{0}) {
    return fmt::format("a 'port' of {} that is not 1 to 65535", member.name);
  }
  member.port = port.value_or(kPostgresPort);
  return std::nullopt;
}

/// Seconds from 1 to a day; missing keeps the default.
bool read_seconds(const Value& object, const char* key, int& into) {
  std::optional<std::uint32_t> seconds;
  if (!read_number(object, key, seconds)) return false;
  if (!seconds) return true;
  if (*seconds < 1 || *seconds > 86400) return false;
  into = static_cast<int>(*seconds);
  return true;
}

}  // namespace

Result<Answer> parse_answer(int http_code, std::string_view body, std::string_view date, const std::string& subject) {
  if (http_code != 200 && http_code != 503) return fail("read", subject, fmt::format("HTTP code {}", http_code));
  const auto document = read_body(body, subject);
  if (!document) return tl::unexpected(document.error());
  Answer answer;
  answer.code = http_code;
  if (auto complaint = read_postgres(*document, answer)) return fail("read", subject, std::move(*complaint));
  if (auto complaint = read_patroni(*document, answer)) return fail("read", subject, std::move(*complaint));
  answer.date = parse_date(date);
  return answer;
}

Result<ClusterReport> parse_cluster(int http_code, std::string_view body, const std::string& subject) {
  if (http_code != 200) return fail("read", subject, fmt::format("HTTP code {}", http_code));
  const auto document = read_body(body, subject);
  if (!document) return tl::unexpected(document.error());
  const auto* const list = json_array(*document, "members");
  if (list == nullptr) return fail("read", subject, "no 'members', or no list");
  ClusterReport report;
  std::set<std::string> names;
  for (const auto& entry : list->GetArray()) {
    ListedMember member;
    if (auto complaint = read_listed(entry, member)) return fail("read", subject, std::move(*complaint));
    if (!names.insert(member.name).second) return fail("read", subject, fmt::format("two members named {}", member.name));
    report.members.push_back(std::move(member));
  }
  report.pause = json_bool(*document, "pause").value_or(false);
  return report;
}

Result<Timings> parse_timings(int http_code, std::string_view body, const std::string& subject) {
  if (http_code != 200) return fail("read", subject, fmt::format("HTTP code {}", http_code));
  const auto document = read_body(body, subject);
  if (!document) return tl::unexpected(document.error());
  Timings timings;
  if (!read_seconds(*document, "ttl", timings.ttl)) return fail("read", subject, "a 'ttl' that is not 1 to 86400");
  if (!read_seconds(*document, "loop_wait", timings.loop_wait)) {
    return fail("read", subject, "a 'loop_wait' that is not 1 to 86400");
  }
  return timings;
}

std::string printable(std::string_view text, std::size_t most) {
  std::string shown;
  for (const char c : text) {
    const bool plain = c >= 0x20 && c < 0x7f;
    const std::string next = plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    if (shown.size() + next.size() > most) break;
    shown += next;
  }
  return shown;
}

}  // namespace controller
