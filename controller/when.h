#pragma once
// Moments as people write and read them. Pure. All in UTC, as the log and the journal have them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace controller {

/// "2026-01-31T12:34:56.789Z", of milliseconds since 1970.
[[nodiscard]] std::string utc_text(std::int64_t unix_ms);

/// RFC 3339: date, 'T' or a blank, time with or without seconds and fraction, then 'Z', an offset such as +01:00, or nothing,
/// which is UTC. Years 1970 to 9999.
[[nodiscard]] std::optional<std::int64_t> parse_rfc3339(std::string_view text);

/// What --at takes: RFC 3339; "12:34" or "12:34:56", which is the last such moment before now, in UTC; "10min ago" (as
/// parse_duration).
[[nodiscard]] std::optional<std::int64_t> parse_when(std::string_view text, std::int64_t now_unix_ms);

}  // namespace controller
