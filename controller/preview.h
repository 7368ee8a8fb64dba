#pragma once
// What `plan` prints. Pure.

#include <string>

#include "controller/loop.h"

namespace controller {

/// Runtime: a unified diff of server states, with a reason on every changed line, and the commands. File: a unified diff of the
/// fragment, and what would be reloaded and fenced. Alarms come first, as comments. Empty where nothing would be done.
[[nodiscard]] std::string preview_text(const Loop::Preview& preview, const Config& config);

}  // namespace controller
