#!/usr/bin/env bash
# Fuzzes with libFuzzer under the sanitizers and stops at the first finding, with the file that shows it again.
# usage: nightly.sh [SECONDS [TARGET...]]     so long for each target (default 600); all of them where none is named
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-600}
shift || true
[[ $# -gt 0 ]] || set -- config dcs fragment look patroni replies started state
cmake --preset fuzz > /dev/null
cmake --build --preset fuzz --target "${@/#/fuzz_}"
for target in "$@"; do
  # What is new goes into the first folder, and is where the next night begins.
  found=build/fuzz/found/$target log=build/fuzz/$target.log
  mkdir -p "$found"
  if ! "build/fuzz/tests/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=20000 \
      -print_final_stats=1 -artifact_prefix="build/fuzz/finding-$target-" "$found" "tests/fuzz/corpus/$target" > "$log" 2>&1; then
    tail -n 60 "$log"
    echo "to see it again: build/fuzz/tests/fuzz_$target build/fuzz/finding-$target-..."
    exit 1
  fi
  echo "$target: $(grep -E -c . "$log") lines in $log, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs," \
    "$(grep -E '^#[0-9]+' "$log" | tail -n 1)"
done
