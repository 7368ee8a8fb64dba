#include "controller/when.h"

#include <fmt/format.h>

#include <chrono>

#include "controller/config.h"

namespace controller {
namespace {

using std::chrono::days;
using std::chrono::duration_cast;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// Takes a text apart from its front; the first that does not fit makes the rest fail too.
class Pieces {
 public:
  explicit Pieces(std::string_view text) : rest_(text) {}

  /// So many digits, of a value within bounds.
  int number(std::size_t digits, int least, int most) {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (!digit_follows()) return fail(least);
      value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value < least || value > most ? fail(least) : value;
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void need(char c) {
    if (!take(c)) fail(0);
  }
  [[nodiscard]] bool digit_follows() const { return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; }
  [[nodiscard]] bool at_end() const { return good_ && rest_.empty(); }

 private:
  int fail(int instead) {
    good_ = false;
    rest_ = {};
    return instead;
  }
  std::string_view rest_;
  bool good_ = true;
};

/// "12:34", "12:34:56", "12:34:56.789": since midnight. Digits beyond milliseconds are dropped.
milliseconds read_time_of_day(Pieces& pieces) {
  milliseconds time = hours(pieces.number(2, 0, 23));
  pieces.need(':');
  time += minutes(pieces.number(2, 0, 59));
  if (!pieces.take(':')) return time;
  time += seconds(pieces.number(2, 0, 60));
  if (!pieces.take('.')) return time;
  int share = 100;
  do {
    time += milliseconds(share * pieces.number(1, 0, 9));
    share /= 10;
  } while (pieces.digit_follows());
  return time;
}

minutes read_offset(Pieces& pieces) {
  if (pieces.take('Z') || pieces.take('z')) return minutes(0);
  const bool east = pieces.take('+');
  if (!east && !pieces.take('-')) return minutes(0);
  minutes offset = hours(pieces.number(2, 0, 23));
  pieces.need(':');
  offset += minutes(pieces.number(2, 0, 59));
  return east ? offset : -offset;
}

}  // namespace

std::string utc_text(std::int64_t unix_ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> at{milliseconds(unix_ms)};
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(at - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                     time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  Pieces pieces(text);
  const std::chrono::year year(pieces.number(4, 1970, 9999));
  pieces.need('-');
  const std::chrono::month month(static_cast<unsigned>(pieces.number(2, 1, 12)));
  pieces.need('-');
  const std::chrono::day day(static_cast<unsigned>(pieces.number(2, 1, 31)));
  if (!pieces.take('T') && !pieces.take('t')) pieces.need(' ');
  const milliseconds time = read_time_of_day(pieces);
  const minutes offset = read_offset(pieces);
  const std::chrono::year_month_day date(year, month, day);
  if (!pieces.at_end() || !date.ok()) return std::nullopt;
  return (duration_cast<milliseconds>(std::chrono::sys_days(date).time_since_epoch()) + time - offset).count();
}

std::optional<std::int64_t> parse_when(std::string_view text, std::int64_t now_unix_ms) {
  constexpr std::string_view kAgo = " ago";
  if (text.ends_with(kAgo)) {
    const auto ago = parse_duration(text.substr(0, text.size() - kAgo.size()));
    return ago ? std::optional(now_unix_ms - ago->count()) : std::nullopt;
  }
  if (const auto at = parse_rfc3339(text)) return at;
  Pieces pieces(text);
  const milliseconds time = read_time_of_day(pieces);
  if (!pieces.at_end()) return std::nullopt;
  const auto today = std::chrono::floor<days>(milliseconds(now_unix_ms));
  const milliseconds at = today + time;
  return (at.count() <= now_unix_ms ? at : at - days(1)).count();
}

}  // namespace controller
