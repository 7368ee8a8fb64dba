#!/usr/bin/env bash
# The Debian package is made, and what is in it is where its units look for it. Argument: the build folder.
set -euo pipefail
build=${1:-build/release}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$build" && cpack -G DEB -B "$folder" > "$folder/log" 2>&1) || { cat "$folder/log"; exit 1; }
package=$(echo "$folder"/pointsman_*.deb)
dpkg-deb -x "$package" "$folder/root"
"$folder/root/usr/bin/pointsman" --version
for file in /usr/share/pointsman/pg_backends.cfg.mustache /usr/share/pointsman/hold.lua /usr/lib/systemd/system/pointsman.service \
  /usr/lib/systemd/system/pointsman-once.service /usr/lib/systemd/system/pointsman.timer /etc/pointsman/pointsman.yml \
  /usr/share/doc/pointsman/haproxy.cfg; do
  [ -f "$folder/root$file" ] || { echo "the package lacks $file"; exit 1; }
done
hook=/usr/share/pointsman/patroni_before_stop.sh
[ -x "$folder/root$hook" ] || { echo "the package lacks $hook"; exit 1; }
for unit in pointsman pointsman-once; do
  program=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$folder/root/usr/lib/systemd/system/$unit.service")
  [ -x "$folder/root$program" ] || { echo "$unit.service starts $program, which the package lacks"; exit 1; }
done
depends=$(dpkg-deb -f "$package" Depends)
for library in libc6 libcurl4 libyaml-cpp libsystemd0 libcpp-httplib libprometheus-cpp; do
  [[ $depends == *$library* ]] || { echo "Depends lacks $library: $depends"; exit 1; }
done
dpkg-deb -f "$package" Package Version Depends
