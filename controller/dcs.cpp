#include "controller/dcs.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>

#include "controller/json.h"
#include "controller/parse_patroni.h"
#include "haproxy/address.h"

namespace controller {
namespace {

using haproxy::fail;
using haproxy::Result;

constexpr const char* kLeaderKey = "the leader key";
constexpr const char* kFailoverKey = "the failover key";

/// Exactly `digits` digits from the front of `text`, which loses them.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int number = 0;
  for (std::size_t at = 0; at < digits; ++at) {
    if (text[at] < '0' || text[at] > '9') return std::nullopt;
    number = number * 10 + (text[at] - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

/// "Z", "+02:00", "-0730", "+01", and "+02:00:00", in seconds.
std::optional<int> parse_zone(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  const bool west = text.starts_with('-');
  if (!take(text, "+-")) return std::nullopt;
  int seconds = 0;
  for (const int factor : {3600, 60, 1}) {
    if (text.empty() && factor != 3600) break;
    const auto number = take_number(text, 2);
    if (!number || *number > (factor == 3600 ? 23 : 59)) return std::nullopt;
    seconds += *number * factor;
    if (!text.empty() && text.front() == ':' && text.size() > 1) text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  return west ? -seconds : seconds;
}

bool may_be_name(const std::string& name) {
  return name.empty() || haproxy::is_name(name);
}

/// The value of a JSON key that may be missing or null; nothing where it is something else than text.
std::optional<std::string> text_of(const rapidjson::Value& object, const char* key) {
  const auto found = object.FindMember(key);
  if (found == object.MemberEnd() || found->value.IsNull()) return "";
  return json_string(object, key);
}

Result<Switchover> parse_wish(const DcsKey& key) {
  Switchover wish{key.id, "", "", std::nullopt};
  const std::string_view value = key.value;
  if (const auto first = value.find_first_not_of(" \t\r\n"); value[first] != '{') {
    const auto colon = value.find(':');
    wish.from = value.substr(0, colon);
    if (colon != std::string_view::npos) wish.to = value.substr(colon + 1);
    return wish;
  }
  const auto object = read_json(value, kFailoverKey);
  if (!object) return tl::unexpected(object.error());
  const auto from = text_of(*object, "leader");
  const auto to = text_of(*object, "member");
  const auto at = text_of(*object, "scheduled_at");
  if (!from || !to || !at) return fail("read", kFailoverKey, "a value in it that is no text");
  wish.from = *from;
  wish.to = *to;
  if (!at->empty()) {
    wish.at = parse_time(*at);
    if (!wish.at) return fail("read", kFailoverKey, fmt::format("a time that is none: \"{}\"", printable(*at, 60)));
  }
  return wish;
}

}  // namespace

const char* word(Announcement::What what) {
  switch (what) {
    case Announcement::What::leader:
      return "leader";
    case Announcement::What::switchover:
      return "switchover";
    case Announcement::What::switchover_over:
      return "switchover_over";
  }
  return "";
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  const auto year = take_number(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day || !take(text, "T ")) return std::nullopt;
  const auto hour = take_number(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  int second = 0;
  if (take(text, ":")) {
    const auto number = take_number(text, 2);
    if (!number || *number > 59) return std::nullopt;
    second = *number;
    if (take(text, ".")) {
      if (!take_number(text, 1)) return std::nullopt;
      while (take(text, "0123456789")) {
      }
    }
  }
  const auto zone = parse_zone(text);
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!zone || !date.ok()) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const int seconds = *hour * 3600 + *minute * 60 + second - *zone;
  return days * 86'400 + seconds;
}

Result<std::optional<Switchover>> parse_failover(const DcsKey& key) {
  if (key.value.find_first_not_of(" \t\r\n") == std::string::npos || key.value == "null") return std::nullopt;
  auto wish = parse_wish(key);
  if (!wish) return tl::unexpected(wish.error());
  for (const auto& name : {wish->from, wish->to}) {
    if (!may_be_name(name)) {
      return fail("read", kFailoverKey, fmt::format("a name that cannot name a server: \"{}\"", printable(name, 60)));
    }
  }
  if (wish->from.empty() && wish->to.empty()) return std::nullopt;
  return std::move(*wish);
}

Result<std::vector<Announcement>> note_leader(KnownKeys& known, std::size_t cluster, const std::optional<DcsKey>& now) {
  const std::string name = now ? now->value : "";
  if (!may_be_name(name)) {
    return fail("read", kLeaderKey, fmt::format("a name that cannot name a server: \"{}\"", printable(name, 60)));
  }
  if (name == known.leader.value_or("")) return {};
  known.leader = name;
  Announcement news;
  news.cluster = cluster;
  news.leader = name;
  return std::vector{std::move(news)};
}

Result<std::vector<Announcement>> note_failover(KnownKeys& known, std::size_t cluster, const std::optional<DcsKey>& now) {
  std::optional<Switchover> wish;
  if (now) {
    auto parsed = parse_failover(*now);
    if (!parsed) return tl::unexpected(parsed.error());
    wish = std::move(*parsed);
  }
  std::vector<Announcement> news;
  if (wish == known.switchover) return news;
  if (known.switchover) {
    news.push_back({cluster, Announcement::What::switchover_over, "", known.switchover->id, "", "", std::nullopt});
  }
  if (wish) news.push_back({cluster, Announcement::What::switchover, "", wish->id, wish->from, wish->to, wish->at});
  known.switchover = std::move(wish);
  return news;
}

}  // namespace controller
