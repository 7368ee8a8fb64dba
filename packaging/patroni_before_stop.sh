#!/bin/sh
# For Patroni's `postgresql.before_stop` (3.0.3 and later): says to every pointsman that this member is about to stop, so that new
# connections wait in HAProxy before PostgreSQL refuses them. In Patroni's configuration of each member, with its own name:
#
#   postgresql:
#     before_stop: /usr/share/pointsman/patroni_before_stop.sh [-s SCOPE] [-t TOKEN_FILE] MEMBER URL...
#
# URL: a pointsman's `http.listen`, like http://10.0.0.5:8010; all that steer a HAProxy of this cluster are asked side by side.
# SCOPE: where a pointsman has several clusters with members of that name. TOKEN_FILE: what the pointsmen have as `http.token_file`,
# readable for Patroni's user. Needs curl 7.55 or later, and nothing else of pointsman: copy it to where Patroni runs.
#
# Patroni calls it before every stop, also of a restart and on replicas, adds no arguments, waits for it, and ignores how it exits.
# So it takes about a second at most, and says what it was told for Patroni's log.

usage() {
  echo "usage: $0 [-s SCOPE] [-t TOKEN_FILE] MEMBER URL..." >&2
  exit 64
}

scope='' token=''
while getopts s:t: option; do
  case $option in
    s) scope=$OPTARG ;;
    t) IFS= read -r token < "$OPTARG" ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || usage
member=$1
shift

# The token goes by a pipe, as everybody on the machine can read the words of a command.
header() {
  [ -z "$token" ] || printf 'Authorization: Bearer %s\n' "$token"
}

tell() {
  answer=$(header | timeout 2 curl -q -gsS --max-time 1 --noproxy '*' -X POST -G --data-urlencode "member=$member" \
    --data-urlencode "scope=$scope" -H @- "${1%/}/hold" 2>&1)
  echo "pointsman $1: $answer"
}

for url in "$@"; do
  tell "$url" &
done
wait
exit 0
