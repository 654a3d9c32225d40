#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What `./bootstrap demo` runs: the example `mixed` (10,000 values, six lock policies, four
# processes), and shvdump, which looks at it from outside while it works. Ends with status 0 only if
# every total is exact and shvdump saw what there was to be seen.
set -euo pipefail

: "${SHV_EXAMPLES_DIR:?run by make demo}" "${SHVDUMP:?}"

fail() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

title() { printf '\n--- %s\n' "$*"; }

# The line that a user would type, then what it prints.
dump() {
	printf '\n$ shvdump %s\n' "${*/#\*/"'*'"}"
	"$SHVDUMP" "$@"
}

# cells COLUMN ARGUMENT...: one column of a listing, bare.
cells() { "$SHVDUMP" "${@:2}" --raw --noheadings -o "$1"; }

# output_until PATTERN: passes on what mixed prints, up to a line that matches, which is left in $line;
# fails at the end, or if nothing comes for a minute. The pattern '' never matches, and then the end is what
# is waited for.
output_until() {
	local status=0
	while :; do
		read -r -t 60 line <&"$from" || status=$?
		[ "$status" -eq 0 ] || break
		printf '%s\n' "$line"
		# shellcheck disable=SC2254 # it is a pattern
		case $line in $1) return 0 ;; esac
	done
	[ -z "$1" ] && [ "$status" -eq 1 ]
}

[ -x "$SHVDUMP" ] || fail "there is no $SHVDUMP: configure without --disable-tools"

title 'mixed: four processes make 10,000 values and begin to add to them'
coproc MIXED { exec "$SHV_EXAMPLES_DIR/mixed" --pause; }
mixed=$MIXED_PID
exec {from}<&"${MIXED[0]}" {to}>&"${MIXED[1]}"
# Nothing is left running, whatever happens here; its children go when it goes.
trap 'kill "$mixed" 2>/dev/null || true' EXIT

output_until 'live: pid *' || fail 'mixed did not get as far as it should'
pid=${line#live: pid }
pid=${pid%% *}

title 'meanwhile, from outside: shvdump reads, takes no lock, and nobody helps it'
dump list
dump "$pid"
# --name '*' means: those that have a name.
dump values "$pid" --name '*' --sort NAME -o REF,NAME,KIND,TYPE,CONTENT,LOCK,STATE,HOLDER
values=$(dump values "$pid" --type double)
head -n 12 <<<"$values"
echo '...'
dump locks "$pid" --held
dump locks "$pid" --dead
dump procs "$pid"
dump check "$pid" || fail 'shvdump check found damage'

# What was to be seen.
hot=(values "$pid" --name hot/recursive)
first=$(cells CONTENT "${hot[@]}")
seen=$(cells REF values "$pid" --kind value | wc -l)
[ "$seen" -ge 10000 ] || fail "shvdump saw $seen values, there are over 10,000"
cells NAME locks "$pid" --held | grep -qx 'held\\x20by\\x20the\\x20parent' ||
	fail 'the lock that the parent holds was not seen'
cells NAME locks "$pid" --dead | grep -qx 'held\\x20by\\x20the\\x20dead' ||
	fail 'the lock of the dead process was not seen'
for ((tries = 0; tries < 1000; tries++)); do
	second=$(cells CONTENT "${hot[@]}")
	[ "$first" = "$second" ] || break
done
[ "$second" -gt "$first" ] || fail 'the values did not move while shvdump looked'

title 'mixed goes on: the totals, the lock of the dead process, and who frees what'
echo >&"$to"
output_until '' || fail 'mixed did not come to its end'
status=0
wait "$mixed" || status=$?
trap - EXIT
[ "$status" -eq 0 ] || fail "mixed ended with status $status: not everything was exact"
[ ! -e "/proc/$pid" ] || fail "process $pid is still there"

cat <<END

--- shown
  10,000 values of three types under six lock policies, made by four processes; their totals are exact.
  A process was killed with a lock in its hand: the next taker got the lock, and was told who died.
  Half of the values were freed by another process than made them; others outlived their makers.
  shvdump, from outside, saw $seen values, who held what and who was dead, while one counter
  went from $first to $second; shvdump check found the arena sound, in use and at the end.
  The other examples: $SHV_EXAMPLES_DIR/{counter,letters,policy,handover,hello_string,attach_pid,find_or_new,ptr_list}
END
