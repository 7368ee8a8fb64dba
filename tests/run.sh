#!/usr/bin/env bash
# Installs what is needed, builds, and runs every test. Arguments go to ctest: ./tests/run.sh -R unit
set -euo pipefail
cd "$(dirname "$0")/.."

./packaging/install-deps.sh test
cmake --preset release
cmake --build --preset release
if [[ $# -eq 0 ]]; then
  # HAProxy 3.0 and 3.2 for tests/hold. Debian's unstable cannot be installed on every day.
  ./tests/roots.sh trixie haproxy > /dev/null
  ./tests/roots.sh sid haproxy > /dev/null || echo "WARNING: there is no root of Debian unstable: HAProxy 3.2 is not tried" >&2
fi
ctest --preset release --output-on-failure "$@"
