#!/usr/bin/env bash
# The mistakes that are older than this program, put back into a copy of the judge one by one: the simulator must find each within
# 60 s. Arguments: the build folder, whose compiler and linker commands are taken; nothing is written outside of a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# name, then a sed program for controller/judge.cpp
mutants=(
  'a 200 alone makes a writer'
  's/^  if (answer.code != 200 || answer.role != Role::primary || answer.scope != scope) return false;$/  return answer.code == 200;/'
  'the highest timeline wins: between two claims'
  's/^  if (claims.size() == 1) return claims.front();$/&\n  if (auto highest = highest_timeline(c, claims)) return highest;/'
  'the highest timeline wins: a lower one is shut out'
  's/^    c.memory.claiming.try_emplace(member.url, member.answer->answered_at);$/    if (a->timeline \&\& *a->timeline < c.memory.timeline) continue;\n&/'
  'silence is a denial'
  's/^    if (!c.memory.fenced) return judge_silent_holder(c, holder, verdict);$/    return fence(c, verdict, Reason::not_running);/'
)

object=CMakeFiles/pointsman_controller.dir/controller/judge.cpp.o
compile=$(ninja -C "$build" -t commands "$object" | tail -1)
cmake --build "$build" --target simulator >/dev/null
# Linked like the simulator itself, with the mutant's judge before the library that has the true one.
link=$(ninja -C "$build" -t commands simulator | tail -1 | sed 's/^: && //; s/ && :$//')
failed=0
for ((i = 0; i < ${#mutants[@]}; i += 2)); do
  sed "${mutants[i + 1]}" controller/judge.cpp >"$work/judge.cpp"
  if cmp -s controller/judge.cpp "$work/judge.cpp"; then
    echo "${mutants[i]}: the line that it changes is not there any more"
    failed=1
    continue
  fi
  words=${compile/$PWD\/controller\/judge.cpp/$work/judge.cpp}
  words=${words//$object/$work/judge.o}
  (cd "$build" && eval "$words -w")
  (cd "$build" && eval "${link/ -o tests\/simulator / $work/judge.o -o $work/simulator }")
  code=0
  timeout 60 "$work/simulator" find 1 >"$work/found" || code=$?
  if [ "$code" = 1 ]; then
    echo "${mutants[i]}: $(tail -1 "$work/found"); $(head -1 "$work/found")"
  else
    echo "${mutants[i]}: not found within 60 s"
    failed=1
  fi
done
exit $failed
