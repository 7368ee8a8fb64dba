#!/usr/bin/env bash
# A real cluster on loopback, HAProxy and pointsman, and a switchover under a client that writes every 20 ms and is not refused
# once, with its timeline in milliseconds. As root on Debian 12.
#
#   ./packaging/demo.sh [--method runtime|file] [--keep]
set -euo pipefail
cd "$(dirname "$0")/.."

for argument in "$@"; do
  case "$argument" in
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  esac
done
if [ "$(id -u)" != 0 ]; then
  echo "$0: it starts PostgreSQL as the user postgres: run it as root" >&2
  exit 1
fi
./packaging/install-deps.sh test
cmake --preset release > /dev/null
cmake --build --preset release --target pointsman
exec /usr/bin/python3 -B packaging/demo.py "$@"
