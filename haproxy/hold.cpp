#include "haproxy/hold.h"

#include "haproxy/address.h"
#include "haproxy/words.h"

namespace haproxy {
namespace {

// Milliseconds. hold.lua takes 60,000; one thread's clock may be a little behind another's.
constexpr std::int64_t kLongestLeft = 61'000;

}  // namespace

Result<std::optional<Holds>> parse_holds(std::string_view reply) {
  std::string_view rest = reply;
  const std::string_view header = take_line(rest);
  if (header.starts_with("Unknown command")) return std::optional<Holds>();
  if (!header.starts_with("# backend waiting left_ms held_total expired_total")) {
    return unexpected_reply(kShowHold, "its columns", header);
  }
  Holds holds;
  while (true) {
    std::string_view line = take_line(rest);
    if (line.empty()) break;
    const std::string_view whole = line;
    const std::string backend(take_word(line));
    HoldState hold{};
    std::int64_t left_ms = 0;
    const bool good = is_name(backend) && to_number(take_word(line), hold.waiting) && to_number(take_word(line), left_ms) &&
                      left_ms >= 0 && left_ms <= kLongestLeft && to_number(take_word(line), hold.held) &&
                      to_number(take_word(line), hold.expired);
    if (!good) return unexpected_reply(kShowHold, "a backend and four numbers", whole);
    hold.left = std::chrono::milliseconds(left_ms);
    holds.insert_or_assign(backend, hold);
  }
  return std::optional(std::move(holds));
}

std::string hold_line(std::string_view backend, std::chrono::milliseconds lease) {
  return "hold " + std::string(backend) + " " + std::to_string(lease.count());
}

}  // namespace haproxy
