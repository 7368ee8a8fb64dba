#pragma once
// What a PostgreSQL port says to a start-up packet, as pg_isready asks it. Pure.
//
// Seen of PostgreSQL 15 and its documentation of the protocol (54.2, 54.7): the answer to a start-up packet is `R` (it wants to
// know who we are, or lets us in) or an error `E`, whose field C is the SQLSTATE. 57P03 (starting up, recovering, shutting
// down) comes before the user, the database and the number of clients are looked at: every other error is of a server that
// accepts. SSLRequest is no question: a process that was begun before the state is looked at answers it. Poolers answer by the
// same words.

#include <optional>
#include <string>
#include <string_view>

#include "controller/report.h"

namespace controller {

/// So many bytes of an answer are looked at.
inline constexpr std::size_t kPortAnswerBytes = 1024;

/// A start-up packet of protocol 3.0, as user and for the database `postgres`: of whoever lets that in without a password.
[[nodiscard]] std::string start_up_packet();

struct PortAnswer {
  PortSays says = PortSays::nothing;
  std::string detail;  ///< one line, printable ASCII only
  friend bool operator==(const PortAnswer&, const PortAnswer&) = default;
};

/// `bytes`: what has come so far; `complete`: nothing more will be waited for. Nothing: too little to tell.
[[nodiscard]] std::optional<PortAnswer> parse_port_answer(std::string_view bytes, bool complete);

}  // namespace controller
