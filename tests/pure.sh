#!/usr/bin/env bash
# Holds the pure files to their word: no clock, log, file, socket, thread. And each library to its place.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

pure=(
  controller/{announced,claim,config_parse,config_ramp,config_watch,config_yaml,dcs,decide,desired,judge,metrics,parse_dcs,parse_patroni,port,preview,publish,ramp,readers,report,schedule,status,status_view,topology,unreplicated,witnesses}.cpp
  controller/{announced,claim,dcs,decide,desired,judge,metrics,parse_dcs,parse_patroni,port,preview,publish,ramp,readers,report,schedule,status,status_view,topology,unreplicated,witnesses}.h
  haproxy/{address,configured,fragment,hold,parse,plan,running,words}.cpp
  haproxy/{address,configured,desired,fragment,hold,parse,plan,running,words}.h
)
impure='#include <(fstream|iostream|thread|mutex|condition_variable|atomic|unistd\.h|fcntl\.h|sys/.*|netinet/.*|spdlog/.*|curl/.*|httplib\.h|systemd/.*)>'
impure+='|::now\(|std::time\(|getenv|fopen|std::filesystem::(exists|create|remove|rename|status)'
failed=0

for file in "${pure[@]}"; do
  if [ ! -f "$file" ]; then
    echo "$file: listed here and not there"
    failed=1
  elif grep -nHE "$impure" "$file"; then
    failed=1
  fi
done

# library header, then the files that may include it
only() {
  local header=$1 allowed=$2
  local file
  while read -r file; do
    echo "$file includes $header: its place is $allowed"
    failed=1
  done < <(grep -lE "#include [<\"]$header" controller/*.{h,cpp} haproxy/*.{h,cpp} | grep -vE "^($allowed)$")
}
only 'curl/' 'controller/(curl\.h|main\.cpp)'
only 'controller/curl\.h' 'controller/(client|curl|watch)\.cpp|controller/transfer\.h'
only 'httplib' 'controller/http_connection\.(h|cpp)|controller/listener\.cpp'
only 'rapidjson/' 'controller/json\.(h|cpp)'
only 'yaml-cpp/' 'controller/config_(yaml|parse)\.(h|cpp)'
only 'kainjow/' 'haproxy/fragment\.cpp'
only 'dtl/' 'haproxy/fragment\.cpp'
only 'prometheus/' 'controller/metrics\.cpp'
only 'systemd/' 'controller/notify\.cpp'
only 'CLI/' 'controller/main\.cpp'
if grep -nE '#include "controller/' haproxy/*.{h,cpp}; then
  echo "haproxy/ must not know controller/"
  failed=1
fi
if grep -niE 'patroni' haproxy/*.{h,cpp} | grep .; then
  echo "haproxy/ has never heard of it"
  failed=1
fi
exit $failed
