#!/usr/bin/env bash
# A folder with a minimal Debian of another version and some packages in it, for programs newer than this machine's. It is made
# once; later calls find it. Prints its path. Usage: roots.sh trixie|sid PACKAGES...
# ROOTS names the folder of such folders (default: build/roots), MIRROR the Debian mirror.
set -euo pipefail
usage="usage: $0 trixie|sid PACKAGES..."
version=${1:?$usage}
shift
[[ $version == trixie || $version == sid ]] || { echo "$usage" >&2; exit 64; }
[[ $# -gt 0 ]] || { echo "$usage" >&2; exit 64; }
roots=${ROOTS:-$(cd "$(dirname "$0")/.." && pwd)/build/roots}
mirror=${MIRROR:-http://deb.debian.org/debian}
root=$roots/$version
mkdir -p "$roots"
exec 9> "$roots/.$version.lock"
flock 9

has() {  # the root, the packages: are all of them installed there?
  local root=$1 package
  shift
  for package in "$@"; do
    [[ $(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${db:Status-Status}' "$package" 2> /dev/null) == installed ]] || return 1
  done
}

# Nothing that is installed in a root is started.
forbid_daemons() {
  printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d"
  chmod 755 "$1/usr/sbin/policy-rc.d"
}

if [[ ! -d $root ]]; then
  made=$(mktemp -d "$roots/.$version.XXXXXX")
  trap 'rm -rf --one-file-system "$made"' EXIT
  chmod 755 "$made"
  debootstrap --variant=minbase "$version" "$made" "$mirror" >&2
  forbid_daemons "$made"
  mv -T "$made" "$root"
  trap - EXIT
fi
if ! has "$root" "$@"; then
  # A mirror may be a snapshot, older than what its own lists call valid.
  chroot "$root" apt-get -q -o Acquire::Check-Valid-Until=false update >&2
  DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -qy install --no-install-recommends "$@" >&2
  chroot "$root" apt-get clean >&2
fi
echo "$root"
