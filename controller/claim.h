#pragma once
// What one member's last answer is worth: whether it is a claim to be the writer, whether it still counts, and how people are
// told. Pure.

#include <optional>
#include <string>

#include "controller/board.h"
#include "controller/config.h"

namespace controller {

/// Where one of the two is not known, it may be.
[[nodiscard]] bool is_of_system(const Answer& answer, const std::string& system_identifier);

/// Is this answer a claim to be the writer, were it fresh? 200, role primary, this scope, this system identifier (unless one of
/// the two is not known), and state running, or starting with a position and another start of PostgreSQL than the known
/// `started`.
[[nodiscard]] bool is_claim(const Answer& answer, const std::string& scope, const std::string& system_identifier,
                            const std::string& started);

/// Does the member's last answer still count? Once a request has failed, for `timeout` from when it was asked for; before that
/// until the next one must have failed: the next request comes within the pace, or 4 times the last answer's time, and is given
/// up after `timeout`.
[[nodiscard]] bool is_fresh(const Sighting& member, const Poll& poll, Instant now);

/// Since when the member says nothing: since the first request that failed was begun, and before it has failed, once its answer
/// is late, since that request was begun; the very first answer too, as after a start during an outage. Nothing: it answers.
[[nodiscard]] std::optional<Instant> says_nothing_since(const Sighting& member, Instant now);

/// One line for people: "HTTP 200, role primary, state running, timeline 3, 12 ms ago", "refused for 4.2 s".
[[nodiscard]] std::string evidence(const Sighting& member, Instant now);

}  // namespace controller
