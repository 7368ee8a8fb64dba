#include "tests/simulator/shrink.h"

#include <algorithm>

namespace simulator {
namespace {

class Shrinker {
 public:
  Shrinker(Script script, int invariant, int tries) : best_(std::move(script)), invariant_(invariant), tries_(tries) {}

  Script run() {
    for (bool smaller = true; smaller && tries_ > 0;) {
      smaller = remove_events();
      smaller = simplify_setup() || smaller;
      smaller = simplify_times() || smaller;
      smaller = simplify_amounts() || smaller;
    }
    return best_;
  }

 private:
  bool fails(const Script& script) {
    if (script == best_ || --tries_ < 0) return false;
    const Outcome outcome = simulate(script);
    if (!outcome.violation || outcome.violation->invariant != invariant_) return false;
    best_ = script;
    return true;
  }

  bool remove_events() {
    bool any = false;
    for (std::size_t chunk = std::max<std::size_t>(best_.events.size() / 2, 1); chunk > 0; chunk /= 2) {
      for (std::size_t at = 0; at < best_.events.size();) {
        Script without = best_;
        const auto from = without.events.begin() + static_cast<std::ptrdiff_t>(at);
        without.events.erase(from, from + static_cast<std::ptrdiff_t>(std::min(chunk, without.events.size() - at)));
        if (fails(without)) {
          any = true;
        } else {
          at += chunk;
        }
      }
    }
    return any;
  }

  template <class Change>
  bool change(Change what) {
    Script other = best_;
    what(other);
    return fails(other);
  }

  bool simplify_setup() {
    const Setup plain;
    bool any = change([&](Script& s) { s.setup.hold = plain.hold; });
    any = change([&](Script& s) { s.setup.master = plain.master; }) || any;
    any = change([&](Script& s) { s.setup.failsafe = plain.failsafe; }) || any;
    any = change([&](Script& s) { s.setup.mixed = plain.mixed; }) || any;
    any = change([&](Script& s) { s.setup.naive = plain.naive; }) || any;
    any = change([&](Script& s) { s.setup.rise = plain.rise; }) || any;
    any = change([&](Script& s) { s.setup.fall = plain.fall; }) || any;
    any = change([&](Script& s) { s.setup.inter_ms = plain.inter_ms; }) || any;
    any = change([&](Script& s) {
            s.setup.ttl = plain.ttl;
            s.setup.loop_wait = plain.loop_wait;
          }) ||
          any;
    return any;
  }

  /// Rounder, and closer together.
  bool simplify_times() {
    bool any = false;
    for (std::size_t i = 0; i < best_.events.size(); ++i) {
      for (const int grain : {1000, 100, 10}) {
        const auto rounded = change([&](Script& s) {
          Millis& at = s.events[i].at;
          at = Millis(at.count() / grain * grain);
          std::stable_sort(s.events.begin(), s.events.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
        });
        any = rounded || any;
        if (rounded) break;
      }
      any = change([&](Script& s) {
              const Millis before = i == 0 ? Millis(0) : s.events[i - 1].at;
              const Millis gap = (s.events[i].at - before) / 2;
              if (gap < Millis(1000)) return;
              for (std::size_t later = i; later < s.events.size(); ++later) s.events[later].at -= gap;
            }) ||
            any;
    }
    return any;
  }

  bool simplify_amounts() {
    bool any = false;
    for (std::size_t i = 0; i < best_.events.size(); ++i) {
      any = change([&](Script& s) { s.events[i].amount /= 2; }) || any;
    }
    return any;
  }

  Script best_;
  int invariant_;
  int tries_;
};

}  // namespace

Script shrink(Script script, int invariant, int tries) {
  return Shrinker(std::move(script), invariant, tries).run();
}

}  // namespace simulator
