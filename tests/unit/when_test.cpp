#include "controller/when.h"

#include "tests/catch.h"

using controller::parse_rfc3339;
using controller::parse_when;
using controller::utc_text;

namespace {

/// 2026-11-23T01:30:00Z
constexpr std::int64_t kNow = 1'795'397'400'000;
constexpr std::int64_t kMinute = 60'000;

}  // namespace

TEST_CASE("a moment is written in UTC with milliseconds") {
  CHECK(utc_text(0) == "1970-01-01T00:00:00.000Z");
  CHECK(utc_text(kNow + 7) == "2026-11-23T01:30:00.007Z");
  CHECK(utc_text(1'709'208'000'999) == "2024-02-29T12:00:00.999Z");
}

TEST_CASE("RFC 3339 is read, with an offset, without a fraction or seconds, and in UTC where it does not say") {
  CHECK(parse_rfc3339("2026-11-23T01:30:00Z") == kNow);
  CHECK(parse_rfc3339("2026-11-23 01:30") == kNow);
  CHECK(parse_rfc3339("2026-11-23T02:30:00+01:00") == kNow);
  CHECK(parse_rfc3339("2026-11-22t20:00:00-05:30") == kNow);
  CHECK(parse_rfc3339("2026-11-23T01:30:00.5Z") == kNow + 500);
  CHECK(parse_rfc3339("2026-11-23T01:30:00.007999999Z") == kNow + 7);
  CHECK(parse_rfc3339(utc_text(kNow + 7)) == kNow + 7);
}

TEST_CASE("what is no moment is refused") {
  for (const char* text :
       {"", "now", "2026-11-23", "2026-11-23T", "2026-11-23T01", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-11-23T24:00:00Z", "2026-11-23T01:60:00Z", "2026-11-23T01:30:00.Z", "2026-11-23T01:30:00+01",
        "2026-11-23T01:30:00Zulu", "1969-12-31T23:59:59Z", "26-11-23T01:30:00Z", " 2026-11-23T01:30:00Z"})
    CHECK(parse_rfc3339(text) == std::nullopt);
  for (const char* text : {"ago", " ago", "10 ago", "10min", "-1min ago", "1:30", "01:30:", "25:00", "yesterday"})
    CHECK(parse_when(text, kNow) == std::nullopt);
}

TEST_CASE("a time of day is the last such moment, and so long ago is so long before now") {
  CHECK(parse_when("01:30", kNow) == kNow);
  CHECK(parse_when("01:29:30", kNow) == kNow - kMinute / 2);
  CHECK(parse_when("01:31", kNow) == kNow - 24 * 60 * kMinute + kMinute);
  CHECK(parse_when("10min ago", kNow) == kNow - 10 * kMinute);
  CHECK(parse_when("2h ago", kNow) == kNow - 120 * kMinute);
  CHECK(parse_when("2026-11-23T01:30:00Z", kNow) == kNow);
}
