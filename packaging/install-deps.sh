#!/usr/bin/env bash
# Installs the Debian packages that building (build) and testing (test: these too) need. Does nothing where all are there.
# The servers that come along are not started: a test or a demo starts its own.
set -euo pipefail

build=(
  cmake ninja-build g++ pkg-config ca-certificates
  libcpp-httplib-dev rapidjson-dev libyaml-cpp-dev libfmt-dev libspdlog-dev libcli11-dev prometheus-cpp-dev
  libkainjow-mustache-dev libsystemd-dev libcurl4-openssl-dev libexpected-dev libdtl-dev catch2
)
test=(
  haproxy patroni python3-etcd etcd-server etcd-client postgresql php-cli php-pgsql
  git file dpkg-dev jq libpq-dev libssl-dev python3 python3-psycopg2 python3-pytest python3-yaml curl openssl clang-format
  clang-tidy clang libclang-rt-dev procps iproute2 debootstrap shellcheck
)

case "${1:-build}" in
  build) wanted=("${build[@]}") ;;
  test) wanted=("${build[@]}" "${test[@]}") ;;
  *) echo "usage: $0 [build|test]" >&2; exit 64 ;;
esac

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package" <<< "$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "$0: missing: ${missing[*]}. Install them as root: apt-get install ${missing[*]}" >&2
  exit 1
fi

# Debian starts a service when its package is installed, unless this file says no. One that is there already stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
echo "installing: ${missing[*]}"
install() {
  apt-get install -y -q --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}" > "$1" 2>&1
}
log=$(mktemp)
# A fresh machine has no lists, and old lists name files that are gone: fetch them only when it does not go without.
if ! install "$log"; then
  apt-get update -q
  install "$log" || { tail -n 30 "$log" >&2; echo "$0: apt-get failed, its log is $log" >&2; exit 1; }
fi
rm -f "$log"
