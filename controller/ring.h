#pragma once
// What POST /nudge and POST /hold are answered. Private to the listener.

#include <string>

#include "controller/listener.h"

namespace controller {

struct Reply {
  int status = 200;
  std::string line;
  bool retry = false;  ///< a second later it may be another
};

/// Waits for up to kHoldAnswer until the loop has taken the announcement up; not at all where too many wait already.
[[nodiscard]] Reply ring_hold(Doorbell& doorbell, const std::string& scope, const std::string& member);
[[nodiscard]] Reply ring_nudge(Doorbell& doorbell, const std::string& scope);

/// The token that POST must show.
class Gate {
 public:
  /// The first line of the token file; an Error that names the file where there is none.
  [[nodiscard]] static haproxy::Result<Gate> open(const HttpConfig& http);
  /// Nothing: it may pass. `authorization`: the header's value.
  [[nodiscard]] std::optional<Reply> refuse(std::string_view authorization) const;

 private:
  std::string token_;
  bool loopback_ = true;
};

}  // namespace controller
