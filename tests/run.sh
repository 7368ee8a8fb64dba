#!/usr/bin/env bash
# Installs what is needed, builds, and runs every test. Arguments go to ctest: ./tests/run.sh -R unit
set -euo pipefail
cd "$(dirname "$0")/.."

./packaging/install-deps.sh test
cmake --preset release
cmake --build --preset release
ctest --preset release --output-on-failure "$@"
