#pragma once
// What hold.lua (beside this file) is asked for and says, on the stats socket. Pure.
//
// A hold is a lease: new connections to a backend wait until it is over, with a server usable or not; established ones go on.
// It expires by itself, so that one who dies while holding costs clients a second and no more.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "haproxy/result.h"

namespace haproxy {

/// What a hold is asked for, and how little of it may be left before it is asked for again.
inline constexpr std::chrono::milliseconds kHoldLease{1000};
inline constexpr std::chrono::milliseconds kHoldRenew{800};

/// One backend, as `show hold` has it.
struct HoldState {
  unsigned waiting = 0;               ///< clients that wait now
  std::chrono::milliseconds left{0};  ///< of the lease; 0: none
  std::uint64_t held = 0;             ///< clients that had to wait, since the worker's start
  std::uint64_t expired = 0;          ///< those of them that reached the longest hold
  friend bool operator==(const HoldState&, const HoldState&) = default;
};
/// By backend; one of which hold.lua has not heard yet is not in it.
using Holds = std::map<std::string, HoldState>;

inline constexpr std::string_view kShowHold = "show hold";

/// The reply to kShowHold; nothing where HAProxy does not know the command: hold.lua is not loaded.
[[nodiscard]] Result<std::optional<Holds>> parse_holds(std::string_view reply);

/// "hold pg_primary 1000"; 0 ends it.
[[nodiscard]] std::string hold_line(std::string_view backend, std::chrono::milliseconds lease);

}  // namespace haproxy
