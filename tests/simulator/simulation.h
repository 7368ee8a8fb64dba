#pragma once
// One world, one script, from its begin until all is well again.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tests/rounds/world.h"
#include "tests/simulator/invariants.h"
#include "tests/simulator/poller.h"

namespace simulator {

struct Outcome {
  std::optional<Violation> violation;
  std::uint64_t events = 0;  ///< requests, answers, checks, turns, rounds, exchanges, commands
  std::uint64_t commands = 0;
  Duration lasted{};
};

/// `story`: gets a line for everything that happens; may be empty.
[[nodiscard]] Outcome simulate(const Script& script, const std::function<void(const std::string&)>& story = {});

}  // namespace simulator
