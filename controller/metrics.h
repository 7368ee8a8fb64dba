#pragma once
// Prometheus' text format, made from what is published, with prometheus-cpp's own types and serializer. Pure.
//
// Names begin with pointsman_, units are base units (seconds, bytes), counters end in _total.

#include <string>

#include "controller/published.h"

namespace controller {

[[nodiscard]] std::string metrics_text(const Published& published, Instant now);

}  // namespace controller
