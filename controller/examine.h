#pragma once
// What can be wrong around a good configuration: HAProxy, its rights, its servers, the fragment. `check` prints it, `run` logs
// it.

#include <string>
#include <vector>

#include "controller/session.h"

namespace controller {

struct Finding {
  bool error = false;  ///< else a warning
  std::string text;    ///< what, where, and the remedy
  friend bool operator==(const Finding&, const Finding&) = default;
};

/// HAProxy alone: the sockets answer, with level admin; every backend is there; the fragment's folder can be written to, the
/// template renders, and HAProxy would take the whole set.
[[nodiscard]] std::vector<Finding> examine_haproxy(Session& session);

/// The members too, after their first answers: silence, refused answers, servers of write backends that are no member's,
/// members without a server, and which servers are steered by admin state because their check cannot tell roles.
[[nodiscard]] std::vector<Finding> examine_members(Session& session);

}  // namespace controller
