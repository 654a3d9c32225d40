#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# shvdump and files: save, restore, diff, check --repair, core files; and broken
# snapshots, for which it ends with status 1 or 2 and a sentence, in time.
#
# SHV_UPDATE=1 writes the expected files anew, to be read before they are kept.
# SHV_SLOW=1: every field is broken in every way.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}" "${SHVDUMP:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

[ -x "$SHVDUMP" ] || skip_all 'shvdump was not built'
command -v python3 >/dev/null || skip_all 'no python3'
export LC_ALL=C.UTF-8
expected=$SHV_SRCDIR/tests/cli/expected
work=$(mktemp -d) || exit 1
dump=$SHVDUMP
pids=()

end() {
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null
	rm -rf "$work"
}
trap end EXIT

# fixture [MODE...]: starts one; $pid is its process, $file its memfd under /proc. It ends when this script does.
fixture() {
	local ready fd n=${#pids[@]}
	mkfifo "$work/in.$n" "$work/out.$n"
	"$SHV_BUILDDIR/tests/cli/fixture" "$@" <"$work/in.$n" >"$work/out.$n" &
	exec {fd}>"$work/in.$n"
	read -r -t 60 ready pid <"$work/out.$n" || pid=
	[ "${ready:-}" = ready ] || { note 'the fixture did not start'; exit 1; }
	pids+=("$pid")
	for fd in /proc/"$pid"/fd/*; do
		case $(readlink "$fd") in
		/memfd:shv:*) file=$fd ;;
		esac
	done
}

# A line for the fixture started last, which then changes something and publishes "changed".
change() {
	echo >&"$(printf '%s\n' /proc/$$/fd/* | while read -r fd; do
		[ "$(readlink "$fd")" = "$work/in.$((${#pids[@]} - 1))" ] && basename "$fd"
	done)"
	read -r -t 60 _ < <(while ! "$dump" show changed "$pid" >/dev/null 2>&1; do :; done; echo) || ok 1 'the fixture did not change'
}

normalise() {
	sed -E -e 's/0x[0-9a-f]+/REF/g' -e 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/g' \
		-e "s/\\b(fixture|mortal)\\[[0-9]+(\\/[0-9]+)?\\]/\\1[PID]/g" -e 's/\b[0-9]+:fixture/PID:fixture/' \
		-e "s#$work#WORK#g" -e 's/ +/ /g' -e 's/ $//'
}

# looks_like STATUS FILE NAME COMMAND...: the output, normalised, is that of expected/FILE.
looks_like() {
	local wanted=$expected/$2 name=$3 status=0 got should=$1
	shift 3
	got=$("$@" 2>&1) || status=$?
	got=$(normalise <<<"$got")
	[ -z "${SHV_UPDATE:-}" ] || printf '%s\n' "$got" >"$wanted"
	is "$got" "$(cat "$wanted")" "$name"
	is "$status" "$should" "$name: its status"
}

# fails STATUS WORDS NAME COMMAND...
fails() {
	local wanted=$1 words=$2 name=$3 status=0
	shift 3
	"$@" >"$work/out" 2>"$work/err" || status=$?
	if [ "$status" -eq "$wanted" ] && grep -qF -- "$words" "$work/err" && [ ! -s "$work/out" ]; then
		ok 0 "$name"
	else
		ok 1 "$name"
		note "status $status, wanted $wanted with '$words'; stderr: $(cat "$work/err"); stdout: $(head -c 200 "$work/out")"
	fi
}

# json NAME PROGRAM COMMAND...: python with the parsed output in j.
json() {
	local name=$1 program=$2 status=0
	shift 2
	"$@" --json >"$work/json" 2>"$work/err" || status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || { ok 1 "$name: status $status: $(cat "$work/err")"; return; }
	try "$name" python3 -c "import json, sys
j = json.load(open(sys.argv[1]))
$program" "$work/json"
}

# --- save: nobody is disturbed -----------------------------------------------------------

fixture small
before=$(sha256sum <"$file") blocks=$(stat -L -c %b "$file")
looks_like 0 save.txt 'save' "$dump" save "$work/a" "$pid"
json 'save as JSON' 'assert j["saved"]["objects"] == 24 and j["saved"]["torn"] == 3, j' "$dump" save "$work/a" "$pid"
looks_like 0 json_save.json 'save as JSON, whole' "$dump" save "$work/a" "$pid" --json
cp "$work/json" "$work/j.save.json"
"$dump" diff "$work/a" "$pid" >/dev/null
is "$?" 0 'a snapshot does not differ from the arena that did not change'
for command in overview values locks procs types check; do
	is "$("$dump" $command "$work/a" -r 2>&1 | wc -l)" "$("$dump" $command "$pid" -r | wc -l)" "$command of a snapshot"
done
is "$("$dump" "$work/a" show answer -rno CONTENT,STATE | xargs)" 'CONTENT 42 STATE abandoned' 'in a snapshot the dead hold locks'
is "$(cd "$work" && "$dump" values a -rno CONTENT -N raw)" '-7' 'a snapshot in this folder, without a slash'
is "$(sha256sum <"$file")" "$before" 'all of this changed no byte of the live arena'
is "$(stat -L -c %b "$file")" "$blocks" 'and took no memory of it'
fails 1 'toy' 'save --locked with a policy that is not known here' "$dump" save --locked "$work/b" "$pid"
is "$(find "$work" -name 'b' -o -name '.shv*')" '' 'which leaves nothing'
fails 1 'No such file' 'save into a folder that is not there' "$dump" save "$work/none/b" "$pid"
fails 1 'operand is missing' 'save without a file' "$dump" save
fails 1 'live arena' 'save --locked of a snapshot' "$dump" save --locked "$work/b" "$work/a"
try 'save of a snapshot' "$dump" save "$work/b" "$work/a"
try 'it is the same' "$dump" diff "$work/a" "$work/b"
rm "$work/b"

# --- core files --------------------------------------------------------------------------

core() { python3 "$SHV_SRCDIR/tests/cli/core.py" "$@" || exit 1; }
core "$work/core" "fixture=$work/a"
is "$("$dump" values "$work/core" -rno CONTENT -N answer)" 42 'target: a core file'
try 'the arena in it is sound' "$dump" check "$work/core"
core "$work/core2" "one=$work/a" "two=$work/a"
fails 1 'several arenas' 'a core file with several arenas' "$dump" values "$work/core2"
is "$("$dump" values "$work/core2:two" -rno CONTENT -N answer)" 42 'target: one of several in a core file'
fails 1 'no arena of that name' 'none of that name in a core file' "$dump" values "$work/core2:three"
core "$work/core3" "fixture=$work/a@0"
fails 1 'SHV_DUMP' 'a core file without the bytes' "$dump" values "$work/core3"
core "$work/core4"
fails 1 'had no arena' 'a core file of another program' "$dump" values "$work/core4"
size=$(stat -c %s "$work/core")
for n in 63 100 200 5000 100000 $((size / 2)); do
	head -c "$n" "$work/core" >"$work/cut"
	status=0
	timeout 10 "$dump" overview "$work/cut" >/dev/null 2>"$work/err" || status=$?
	[ "$status" -le 2 ] && { [ "$status" -eq 0 ] || [ -s "$work/err" ]; }
	ok $? "a core file of $n bytes: status $status"
done

# --- restore -----------------------------------------------------------------------------

# shellcheck disable=SC2016 # the shell that is started expands it
looks_like 0 restore.txt 'restore, and a program with the descriptor' \
	"$dump" restore "$work/a" -- bash -c 'exec "$1" "fd:$SHV_ARENA_FD" locks --dead -o NAME,LOCK,STATE,DEPTH,HOLDER' - "$dump"
# shellcheck disable=SC2016
is "$("$dump" restore "$work/a" -- bash -c '"$1" "fd:$SHV_ARENA_FD" check' - "$dump")" sound 'it is sound, and SHV_ARENA_FD says where'
"$dump" restore "$work/a" -- bash -c 'exit 7'
is "$?" 7 'the status is that of the program'
fails 1 'No such file' 'restore with a program that is not there' "$dump" restore "$work/a" -- /no/such/program
fails 1 'no target' 'restore with one file too many' "$dump" restore "$work/a" "$work/b" -- true
fails 1 'runs no program' 'a program for a command that runs none' "$dump" values restore -- true
mkfifo "$work/told"
"$dump" restore "$work/a" >"$work/told" &
keeper=$!
read -r _ target <"$work/told"
is "$target" "$keeper:fixture" 'restore says how to call the arena'
is "$("$dump" values "$target" -rno CONTENT -N answer)" 42 'and keeps it'
kill -TERM "$keeper"
wait "$keeper"
is "$?" 0 'until it is interrupted'
"$dump" restore "$work/a" --json >"$work/told" &
keeper=$!
sed '/^}$/q' <"$work/told" >"$work/j.restore.json"
kill -TERM "$keeper"
wait "$keeper"
try 'restore as JSON' python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))["restored"]
assert j["target"] == sys.argv[2] + ":fixture" and j["objects"] == 24, j' "$work/j.restore.json" "$keeper"

# --- diff --------------------------------------------------------------------------------

fixture changing
cp "$work/a" "$work/other"
try 'save before' "$dump" save "$work/old" "$pid"
change
looks_like 3 diff.txt 'diff' "$dump" diff "$work/old" "$pid"
looks_like 3 json_diff.json 'diff as JSON, whole' "$dump" diff "$work/old" "$pid" --json
json 'diff as JSON' '
c = j["changes"]
assert j["same"] is False
assert [x["name"] for x in c if x["change"] == "created"] == ["changed"], c
assert [x["name"] for x in c if x["change"] == "freed"] == ["goes"], c
f = {x["field"]: (x["old"], x["new"]) for x in c if x["change"] == "changed"}
assert f["content.y"] == ("-2.0", "5.0") or float(f["content.y"][1]) == 5, f
assert f["content[2]"] == ("3", "33"), f
assert f["name"] == ("letter", "renamed"), f
assert sum(s["changed"] for s in j["summary"]) == len({x["ref"] for x in c if x["change"] == "changed"})
' "$dump" diff "$work/old" "$pid"
cp "$work/json" "$work/j.diff.json"
fails 1 'no command' 'diff with what is not there' "$dump" diff nothing "$pid"
"$dump" diff "$work/old" "$work/other" >/dev/null 2>"$work/err"
try 'two arenas are told apart' grep -q 'two arenas' "$work/err"

# Looking at what was never written takes no memory, neither of the arena nor of shvdump.
fixture sparse
try 'save of a sparse array' "$dump" save "$work/sparse" "$pid"
change
blocks=$(stat -L -c %b "$file")
is "$("$dump" diff "$work/sparse" "$pid" -rno NAME,FIELD | head -n 2 | xargs)" 'changed sparse content' 'one byte of a GiB differs'
is "$(stat -L -c %b "$file")" "$blocks" 'diff took no memory of a live arena with holes'
is "$("$dump" values "$pid" -rO | wc -l)" 3 'values of an arena with holes'
is "$(stat -L -c %b "$file")" "$blocks" 'nor did values'
try 'diff has no copy of what it compares' python3 -c 'import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
assert status == 3 and used < 100 << 10, (status, used)' "$dump" diff "$work/sparse" "$pid"

# --- check --repair ----------------------------------------------------------------------

fixture
looks_like 0 json_repair.json 'check --repair as JSON' "$dump" check --repair "$pid" --json
fixture
is "$("$dump" procs "$pid" --dead -rno COMMAND)" mortal 'somebody died'
looks_like 0 repair.txt 'check --repair' "$dump" check --repair "$pid"
json 'check --repair as JSON, where nothing is left to repair' '
assert j["repair"] == {"dead": 0, "recovered": 0, "pages": 0, "freed": 0} and j["sound"] is True, j' "$dump" check --repair "$pid"
cp "$work/json" "$work/j.repair.json"
try 'all of it is as the schema says' python3 "$SHV_SRCDIR/tests/cli/schema.py" "$SHV_SRCDIR/docs/shvdump.schema.json" \
	"$work" save restore diff check
is "$("$dump" procs "$pid" --dead -rno COMMAND)" '' 'and is in order'
is "$("$dump" values "$pid" -rno NAME,CONTENT,STATE -N 'abandoned')" 'abandoned 13 abandoned' 'his lock waits for its next taker'
fails 1 'shvdump restore' 'a snapshot is not repaired in its file' "$dump" check --repair "$work/a"

# --- broken files ------------------------------------------------------------------------

mkdir "$work/broken"
python3 "$SHV_SRCDIR/tests/cli/broken.py" "$work/a" "$work/broken" ${SHV_SLOW:+all} >"$work/list" || ok 1 'broken.py'
note "$(wc -l <"$work/list") broken files; SHV_SEED=${SHV_SEED:-1}"
bad=0 quiet=0
survives() {
	local path command status
	while read -r path; do
		for command in check values 'overview -J'; do
			[ "$command" = check ] || [ -n "${SHV_SLOW:-}" ] || ((RANDOM % 4 == 0)) || continue
			status=0
			# shellcheck disable=SC2086 # words
			timeout -s KILL 10 "$dump" $command "$path" >"$work/out" 2>"$work/err" || status=$?
			if [ "$status" -gt 2 ]; then
				bad=$((bad + 1))
				note "$command ${path##*/}: status $status"
			elif [ "$status" -ne 0 ] && [ ! -s "$work/err" ]; then
				quiet=$((quiet + 1))
				note "$command ${path##*/}: status $status without a word"
			fi
		done
		rm "$path"
	done <"$work/list"
}
RANDOM=${SHV_SEED:-1}
survives
is "$bad" 0 'broken files: status 0, 1 or 2, in time'
is "$quiet" 0 'and a sentence, if it is not 0'

tap_done
