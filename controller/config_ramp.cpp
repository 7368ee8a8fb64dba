// clusters[].backends[].ramp

#include "controller/config_sections.h"

namespace controller {

RampConfig read_ramp(const Entry& entry, Complaints& complaints) {
  constexpr unsigned kMost = 10'000;
  const Section section(entry, {"start", "over"}, complaints);
  RampConfig ramp;
  const auto start = section.need("start", "write how many connections a new writer takes at first, such as 20");
  if (start) ramp.start = read_number(*start, 1, kMost, complaints).value_or(0);
  if (const auto over = section.find("over")) ramp.over = read_duration(*over, "100ms", "1min", complaints).value_or(ramp.over);
  return ramp;
}

}  // namespace controller
