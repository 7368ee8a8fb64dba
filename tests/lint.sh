#!/usr/bin/env bash
# clang-format on everything that is ours, clang-tidy on the product, shellcheck on the scripts. Argument: the build folder.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=${1:-build/release}
failed=0
mapfile -t sources < <(git ls-files 'controller/*.h' 'controller/*.cpp' 'haproxy/*.h' 'haproxy/*.cpp' 'tests/*.h' 'tests/*.cpp')
clang-format --dry-run --Werror "${sources[@]}" || failed=1
mapfile -t product < <(printf '%s\n' "${sources[@]}" | grep -E '^(controller|haproxy)/.*\.cpp$')
printf '%s\n' "${product[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet 2>/dev/null || failed=1
git ls-files -z '*.sh' packaging/{postinst,postrm,prerm} tests/bench/failover | xargs -0 shellcheck || failed=1
exit $failed
