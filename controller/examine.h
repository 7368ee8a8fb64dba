#pragma once
// What can be wrong around a good configuration: HAProxy, its rights, its servers, the fragment. `check` prints it, `run` logs
// it.

#include <cstdint>
#include <string>
#include <vector>

#include "controller/session.h"

namespace controller {

struct Finding {
  enum class Kind : std::uint8_t {
    note,  ///< what would bring more, for who asks: `run` keeps it to itself
    warning,
    error
  };
  Kind kind = Kind::warning;
  std::string text;  ///< what, where, and the remedy
  friend bool operator==(const Finding&, const Finding&) = default;
};

/// HAProxy alone: the sockets answer, with level admin; every backend is there; the fragment's folder can be written to, the
/// template renders, and HAProxy would take the whole set; hold.lua is there; and, as far as HAProxy's own files can be read,
/// no 3.0 ends sessions that are still connecting.
[[nodiscard]] std::vector<Finding> examine_haproxy(Session& session);
[[nodiscard]] const char* word(Finding::Kind kind);

/// The members too, after their first answers: silence, refused answers, servers of write backends that are no member's,
/// members without a server, and which servers are steered by admin state because their check cannot tell roles.
[[nodiscard]] std::vector<Finding> examine_members(Session& session);

}  // namespace controller
