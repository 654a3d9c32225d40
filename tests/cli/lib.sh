# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# lib.sh -- for tests that look at a live arena from outside. Source it behind tap.sh. It makes a scratch folder, $work, and
# ends what start() began when the script ends.

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}" "${SHVDUMP:?}"
export LC_ALL=C.UTF-8 TZ=UTC
unset NO_COLOR COLUMNS
# shellcheck disable=SC2034 # for those who source this
dump=$SHVDUMP
work=$(mktemp -d) || exit 1
started=()

end() {
	[ ${#started[@]} -eq 0 ] || kill "${started[@]}" 2>/dev/null
	rm -rf "$work"
}
trap end EXIT

# start PROGRAM [ARGUMENT...]: a program of the build folder that says "ready PID" and ends when its input does; $pid is its process.
# Its input is a fifo that this script keeps open.
start() {
	local ready='' program=$SHV_BUILDDIR/$1 n=${#started[@]} fd
	shift
	mkfifo "$work/in.$n" "$work/out.$n"
	"$program" "$@" <"$work/in.$n" >"$work/out.$n" &
	# shellcheck disable=SC2034 # kept open until the script ends
	exec {fd}>"$work/in.$n"
	read -r -t 60 ready pid <"$work/out.$n" || pid=
	[ "$ready" = ready ] || {
		note "$program did not start"
		exit 1
	}
	started+=("$pid")
}

# halt PID: returns when all of its threads stand still; the signal alone is only a message to the first of them.
halt() {
	kill -STOP "$1"
	until ! grep -h '^State:' "/proc/$1"/task/*/status | grep -qv 'T (stopped)'; do :; done
}

# What differs from run to run gets a name; columns are as wide as their pids, so blanks are joined.
normalise() {
	sed -E -e 's/0x[0-9a-f]+/REF/g' \
		-e 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/g' \
		-e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[+-][0-9]{4}/TIME/g' \
		-e "s/\\b(fixture|mortal)\\[[0-9]+(\\/[0-9]+)?\\]/\\1[PID]/g" \
		-e "s/\\b${pid:-none}\\b/PID/g" -e "s/\\b${other_pid:-none}\\b/OTHER/g" \
		-e 's/^(OFFSET|SEQ)( +)[0-9]+/\1\2N/' -e 's/ +/ /g' -e 's/ $//'
}

# golden FILE NAME COMMAND...: the output, normalised, is that of expected/FILE. SHV_UPDATE=1 writes it anew, to be read before it is kept.
golden() {
	local wanted=$SHV_SRCDIR/tests/cli/expected/$1 name=$2 got status=0
	shift 2
	got=$("$@" 2>&1) || status=$?
	got=$(normalise <<<"$got")
	[ -z "${SHV_UPDATE:-}" ] || printf '%s\n' "$got" >"$wanted"
	is "$got" "$(cat "$wanted" 2>/dev/null)" "$name"
	[ "$status" -eq 0 ] || ok 1 "$name: status $status"
}

# python NAME CODE [ARGUMENT...]: passes if the code does not raise.
python() {
	local name=$1 code=$2
	shift 2
	try "$name" python3 -c "$code" "$@"
}

# fails STATUS WORDS NAME COMMAND...: ends with that status, says a sentence with these words on stderr, and nothing on stdout.
fails() {
	local wanted=$1 words=$2 name=$3 status=0
	shift 3
	"$@" >"$work/out" 2>"$work/err" || status=$?
	if [ "$status" -eq "$wanted" ] && grep -qF -- "$words" "$work/err" && [ ! -s "$work/out" ]; then
		ok 0 "$name"
	else
		ok 1 "$name"
		note "status $status; stderr: $(cat "$work/err")"
	fi
}
