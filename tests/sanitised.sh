#!/usr/bin/env bash
# The tests that need no servers, under the sanitizers. Arguments: the presets; without one, asan and tsan.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ $# -gt 0 ]] || set -- asan tsan
# The release build lives through five times as many.
export SIMULATOR_EVENTS=${SIMULATOR_EVENTS:-200000}
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp ${TSAN_OPTIONS:-}"
for preset in "$@"; do
  targets=(unit_tests) tests=unit
  # Rounds and simulator have one thread: ThreadSanitizer has nothing to look at.
  if [[ $preset != tsan ]]; then
    targets+=(round_tests simulator fuzzers)
    tests+='|rounds|simulator|fuzz_.*'
  fi
  cmake --preset "$preset"
  cmake --build --preset "$preset" --target "${targets[@]}"
  ctest --preset "$preset" -R "^($tests)$"
done
