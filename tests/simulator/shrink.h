#pragma once
// A failing script made as short as can be, while it goes on failing in the same way.

#include "tests/simulator/simulation.h"

namespace simulator {

/// At most `tries` simulations.
[[nodiscard]] Script shrink(Script script, int invariant, int tries);

}  // namespace simulator
