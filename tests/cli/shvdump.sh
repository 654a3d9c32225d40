#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# shvdump against a live arena whose contents are known: tables against
# expected/*.txt, JSON parsed and compared, filters, targets, exit statuses; and
# that looking leaves every byte as it was.
#
# SHV_UPDATE=1 writes the expected files anew, to be read before they are kept.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}" "${SHVDUMP:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

[ -x "$SHVDUMP" ] || skip_all 'shvdump was not built'
export LC_ALL=C.UTF-8
expected=$SHV_SRCDIR/tests/cli/expected
work=$(mktemp -d) || exit 1
fixture_pids=()

end() {
	[ ${#fixture_pids[@]} -eq 0 ] || kill "${fixture_pids[@]}" 2>/dev/null
	rm -rf "$work"
}
trap end EXIT

# fixture [MODE...]: starts one; $pid is its process, $file its memfd under /proc. Its input is a fifo that
# this script keeps open, so that it ends when the script does.
fixture() {
	local ready fd
	mkfifo "$work/in.$#.${#fixture_pids[@]}" "$work/out.$#.${#fixture_pids[@]}"
	"$SHV_BUILDDIR/tests/cli/fixture" "$@" <"$work/in.$#.${#fixture_pids[@]}" >"$work/out.$#.${#fixture_pids[@]}" &
	exec {fd}>"$work/in.$#.${#fixture_pids[@]}"
	read -r -t 60 ready pid <"$work/out.$#.${#fixture_pids[@]}" || pid=
	[ "${ready:-}" = ready ] || { note 'the fixture did not start'; exit 1; }
	fixture_pids+=("$pid")
	file=
	for fd in /proc/"$pid"/fd/*; do
		case $(readlink "$fd") in
		/memfd:shv:*) file=$fd ;;
		esac
	done
}

# What differs from run to run gets a name. Columns are as wide as their pids, so blanks are joined.
normalise() {
	sed -E -e 's/0x[0-9a-f]+/REF/g' \
		-e 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/g' \
		-e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[+-][0-9]{4}/TIME/g' \
		-e "s/\\b(fixture|mortal)\\[[0-9]+(\\/[0-9]+)?\\]/\\1[PID]/g" \
		-e "s/\\b${pid:-none}\\b/PID/g" \
		-e 's/^(OFFSET|SEQ)( +)[0-9]+/\1\2N/' -e 's/ +/ /g' -e 's/ $//'
}

# looks_like FILE NAME COMMAND...: the output, normalised, is that of expected/FILE.
looks_like() {
	local wanted=$expected/$1 name=$2 got status=0
	shift 2
	got=$("$@" 2>&1) || status=$?
	got=$(normalise <<<"$got")
	[ -z "${SHV_UPDATE:-}" ] || printf '%s\n' "$got" >"$wanted"
	is "$got" "$(cat "$wanted")" "$name"
	[ "$status" -eq 0 ] || ok 1 "$name: status $status"
}

# fails STATUS WORDS NAME COMMAND...: the command ends with that status, says a sentence with these words on stderr, and
# prints nothing on stdout.
fails() {
	local wanted=$1 words=$2 name=$3 status=0
	shift 3
	"$@" >"$work/out" 2>"$work/err" || status=$?
	if [ "$status" -eq "$wanted" ] && grep -qF -- "$words" "$work/err" && [ ! -s "$work/out" ]; then
		ok 0 "$name"
	else
		ok 1 "$name"
		note "status $status; stderr:"
		note "$(cat "$work/err")"
	fi
}

# json NAME CODE COMMAND...: the command's JSON is in `j`; the code raises if something is wrong.
json() {
	local name=$1 code=$2
	shift 2
	"$@" --json >"$work/json" 2>"$work/err"
	try "$name" python3 -c "import json, sys
j = json.load(open(sys.argv[1], encoding='utf-8'))
pid = int(sys.argv[2])
$code" "$work/json" "$pid"
}

# column COMMAND...: the output without headings and with single blanks, lines sorted.
column() { "$@" --raw --noheadings | sort; }

dump=$SHVDUMP

# --- a known arena ------------------------------------------------------------------

fixture
before=$(sha256sum <"$file")
blocks=$(stat -L -c %b "$file")

looks_like values.txt 'values as a table' \
	"$dump" values "$pid" -s NAME -o NAME,KIND,TYPE,LEN,CONTENT,LOCK,STATE,HOLDER
looks_like locks.txt 'locks as a table' "$dump" locks "$pid" --held
looks_like types.txt 'types as a table' "$dump" types "$pid" -o NAME,FORMAT,BYTES,ALIGN,OBJECTS,PAYLOAD
looks_like procs.txt 'processes as a table' "$dump" procs "$pid" -o COMMAND,STATE,THREADS,LOCKS,ATTACHED
looks_like show.txt 'one object whole' "$dump" show here "$pid"
looks_like show_string.txt 'a string whole' "$dump" show motto "$pid"
looks_like check.txt 'the arena is sound' "$dump" check "$pid"
looks_like raw.txt 'raw lines' "$dump" values "$pid" -r -s NAME -o NAME,CONTENT,STATE
"$dump" "$pid" >"$work/overview" 2>&1
is "$(sed -n '/^$/,$p' "$work/overview" | grep -cE '^(LOCK|PAGES|PID| +PID) ')" 3 'overview has its three tables'

json 'overview as JSON' '
assert j["schema"] == 1 and j["command"] == "overview" and j["arena"] == "fixture"
t = j["totals"]
assert t["objects"] == t["values"] + t["raws"] + t["arrays"] + t["strings"] + t["locks"], t
assert (t["values"], t["raws"], t["arrays"], t["strings"], t["locks"]) == (15, 2, 2, 3, 2), t
assert t["names"] == 22 and t["parts"] == 22 + t["strings"], t
assert t["processes"] == 1 and t["dead"] == 1, t
assert sum(p["values"] for p in j["policies"]) == t["values"] + t["arrays"] + t["strings"]
assert {p["lock"]: p["values"] for p in j["policies"]}["shared"] == 3
assert sum(p["count"] for p in j["pages"]) > 0
assert 0 < t["payload"] < t["live"] < t["resident"] <= t["file"] <= t["capacity"]
' "$dump" "$pid"
json 'values as JSON' '
v = {x["name"]: x for x in j["values"]}
assert len(j["values"]) == 24, len(j["values"])
assert v["answer"]["content"] == "42" and v["answer"]["state"] == "held"
assert v["answer"]["holder"] == "fixture[%d]" % pid, v["answer"]
assert v["answer"]["owner"] == pid and int(v["answer"]["ref"], 16) > 0
assert v["raw"]["state"] is None and v["raw"]["lock"] == "none" and v["raw"]["content"] == "-7"
assert v["abandoned"]["state"] == "abandoned" and v["abandoned"]["holder"].startswith("mortal[")
assert v["behind-gate-1"]["state"] == "held" and v["behind-gate-1"]["lock"] == "shared"
assert v["gate"]["kind"] == "lock" and v["gate"]["type"] is None
assert "esc \x1b[31m and \ufffd and \u202e." in v, sorted(map(str, v))
assert v["counted"]["content"] == "109"
assert len(v["long"]["content"]) > 290
assert v["motto"]["kind"] == v["no-text"]["kind"] == v["wide"]["kind"] == "string"
assert "quotes" in v["motto"]["content"] and "\u00e4nd" in v["motto"]["content"], v["motto"]
assert "wide \u20ac" in v["wide"]["content"] and v["wide"]["type"] == "wchar_t", v["wide"]
' "$dump" values "$pid"
json 'values with all columns' '
v = {x["name"]: x for x in j["values"]}
assert v["five"]["len"] == 5 and v["five"]["bytes"] == 20 and v["five"]["hex"].startswith("0100000002000000")
assert v["behind-gate-1"]["lockref"] == v["gate"]["ref"]
assert v["orphan"]["alive"] is False and v["orphan"]["creator"] is None, v["orphan"]
assert v["answer"]["alive"] is True and v["answer"]["creator"] == pid and v["answer"]["hpid"] == pid
assert v["here"]["format"].startswith("T{")
' "$dump" values "$pid" -O
json 'locks as JSON' '
l = {x["name"]: x for x in j["locks"]}
assert l["answer"]["depth"] == 3 and l["answer"]["state"] == "held" and l["answer"]["waiters"] is False
assert l["gate"]["object"] is True and l["gate"]["halive"] is True
assert l["toy"]["state"] is None and l["toy"]["lock"] == "toy"
assert "behind-gate-1" not in l
assert [x["state"] for x in j["locks"] if x["object"] and x["name"] is None] == ["condemned"]
' "$dump" locks "$pid" -O
json 'processes as JSON' '
p = {x["command"]: x for x in j["processes"]}
assert p["fixture"]["state"] == "alive" and p["fixture"]["pid"] == pid and p["fixture"]["locks"] == 4, p
assert p["mortal"]["state"] == "dead" and p["mortal"]["locks"] == 1, p
assert p["fixture"]["mem"] > 0
' "$dump" procs "$pid"
json 'types as JSON' '
t = {x["name"]: x for x in j["types"]}
assert t["point"]["objects"] == 1 and t["point"]["bytes"] == 24 and t["point"]["payload"] == 24
assert t["int"]["objects"] >= 8
' "$dump" types "$pid"
json 'one object as JSON' '
assert j["object"]["name"] == "counted" and j["object"]["content"] == "109"
' "$dump" show counted "$pid"
json 'check as JSON' 'assert j["findings"] == [] and j["sound"] is True' "$dump" check "$pid"
json 'list as JSON' '
a = [x for x in j["arenas"] if pid in x["holders"]]
assert len(a) == 1, j
assert a[0]["name"] == "fixture" and a[0]["members"] == [pid] and a[0]["objects"] == 24, a
assert a[0]["target"] == "%d:fixture" % pid and len(a[0]["uuid"]) == 36
' "$dump" list

# --- filters, columns ---------------------------------------------------------------

names() { column "$dump" values "$pid" -o NAME "$@"; }
is "$(names --held | xargs)" 'answer behind-gate-1 behind-gate-2 gate' '--held'
is "$(names --dead)" 'abandoned' '--dead'
is "$(names -N 'behind*' | xargs)" 'behind-gate-1 behind-gate-2 behind-old' '--name with a pattern'
is "$(names -t double | xargs)" 'pair three-and-a-half' '--type by name'
is "$(names -t '?')" 'flag' '--type by format, which is no pattern'
is "$(names -t 'unsigned*' -o TYPE)" 'unsigned\x20short' '--type with a pattern; the last -o counts'
is "$(names -p handoff)" 'flag' '--policy'
is "$(names -p toy)" 'toy' '--policy by the name of an own policy'
is "$(names -k raw-array)" 'pair' '--kind'
is "$(names -p shared -N '*2')" 'behind-gate-2' 'filters together'
is "$("$dump" values "$pid" -rno NAME -s -BYTES | head -n 1)" 'long' '--sort, largest first'
is "$("$dump" values "$pid" -rno BYTES -s BYTES -b | sort -nc && echo sorted)" 'sorted' '--sort by number'
is "$("$dump" values "$pid" -ro +HEX | head -n 1)" \
	'REF NAME KIND TYPE CONTENT LOCK STATE HOLDER OWNER HEX' '-o + adds columns'
is "$("$dump" values "$pid" -rno BYTES -N long)" '300B' 'sizes for people'
is "$("$dump" values "$pid" -rnbo BYTES -N long)" '300' 'sizes in bytes'
is "$("$dump" locks "$pid" --dead -rno NAME)" 'abandoned' 'locks --dead'
is "$("$dump" procs "$pid" --dead -rno COMMAND)" 'mortal' 'procs --dead'
is "$("$dump" show "$("$dump" values "$pid" -rno REF -N answer)" "$pid" -rno CONTENT)" 'CONTENT 42' 'show by reference'
is "$("$dump" show name:12 "$pid" -rno CONTENT)" 'CONTENT 7' 'show by a name that is a number'

# --- targets ------------------------------------------------------------------------

answer() { "$dump" values "$@" -rno CONTENT -N answer; }
is "$(answer "$pid:fixture")" 42 'target PID:NAME'
is "$("$dump" "$pid" values -rno CONTENT -N answer)" 42 'target in front of the command'
is "$("$dump" "$pid" show answer -rno CONTENT)" 'CONTENT 42' 'target in front of show'
is "$(answer "path:$file")" 42 'target path:FILE'
is "$(answer "$file")" 42 'target with a slash'
is "$(answer fd:9 9<"$file")" 42 'target fd:N'
main_pid=$pid main_file=$file
fixture served "$work/socket"
is "$(answer "unix:$work/socket")" 42 'target unix:PATH'
is "$("$dump" check "unix:$work/socket")" sound 'check of what is served'
fails 1 'No such file' 'target: no server' "$dump" values "unix:$work/no-socket"
kill -9 "$pid"
wait "$pid" 2>/dev/null
fails 1 'nobody serves' 'target: a server that was killed' "$dump" values "unix:$work/socket"
rm "$work/socket"
fixture served "@shv test $$"
is "$(answer "unix:@shv test $$")" 42 'target unix:@NAME'
kill "$pid"
wait "$pid" 2>/dev/null
pid=$main_pid file=$main_file
fails 1 'no arena' 'target: a process without an arena' "$dump" values $$
fails 1 'no process' 'target: no process' "$dump" values 2147483647
fails 1 'nothere' 'target: not an arena of that process' "$dump" values "$pid:nothere"
fails 1 'nothere' 'target: no arena of that name' "$dump" values nothere
fails 1 'No such file' 'target: no file' "$dump" values path:/no/such/file
fails 1 'no ordinary file' 'target: what is no file at all' "$dump" values /dev/null
fails 1 'fd 77' 'target: no descriptor' "$dump" values fd:77

# Alone on the machine, and one of two: in a pid namespace with its own /proc.
cat >"$work/alone.sh" <<'END'
one() { mkfifo "$2/$1.in" "$2/$1.out"; "$3" <"$2/$1.in" >"$2/$1.out" & exec {fd}>"$2/$1.in"; read -r _ _ <"$2/$1.out"; }
work=$1 fixture=$2 dump=$3
"$dump" values; echo "none: $?"
one a "$work" "$fixture"
"$dump" values -rno CONTENT -N answer; echo "one: $?"
"$dump" values fixture -rno CONTENT -N answer
one b "$work" "$fixture"
"$dump" values; echo "two: $?"
"$dump" values fixture; echo "two of a name: $?"
END
if unshare --fork --pid --mount-proc true 2>/dev/null; then
	mkdir "$work/alone"
	is "$(unshare --fork --pid --mount-proc --kill-child bash "$work/alone.sh" "$work/alone" \
		"$SHV_BUILDDIR/tests/cli/fixture" "$dump" 2>&1 | sed -E 's/[0-9]+:fixture/PID:fixture/')" \
		"$(cat "$expected/alone.txt")" 'no target: none, one, several arenas'
else
	skip 'no target: none, one, several arenas' 'not permitted to make a pid namespace'
fi

# --- usage --------------------------------------------------------------------------

fails 1 "no column 'NOSUCH'" 'an unknown column' "$dump" values "$pid" -o REF,NOSUCH
fails 1 "no column ''" 'an empty column' "$dump" values "$pid" -o REF,
fails 1 'to sort by' 'an unknown column to sort by' "$dump" values "$pid" -s NOSUCH
fails 1 'one word too many' 'too many words' "$dump" values "$pid" more
fails 1 'not for this command' 'an option of another command' "$dump" procs "$pid" --held
fails 1 'exclude' '--json and --raw' "$dump" values "$pid" --json --raw
fails 1 'no target' 'list with a target' "$dump" list "$pid"
fails 1 'operand is missing' 'show without an object' "$dump" show
fails 1 'nosuch' 'show of an unknown name' "$dump" show nosuch "$pid"
fails 1 'is gone' 'show of a reference that was never given' "$dump" show 0x123456789 "$pid"
fails 1 'unrecognized' 'an unknown option' "$dump" --nonsense
to_full_device() { ! "$dump" values "$pid" >/dev/full 2>/dev/null; }
try 'output that cannot be written is an error' to_full_device

# --- help, manual, completion say the same --------------------------------------------

commands=$("$dump" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
is "$(sed -n 's/^	local commands=.\([a-z ]*\).$/\1/p' "$SHV_SRCDIR/tools/shvdump.bash-completion")" "$(xargs <<<"$commands")" 'completion has all commands'
if command -v zsh >/dev/null; then
	is "$(sed -n '/^	commands=(/,/^	)/s/^		.\([a-z]*\):.*/\1/p' "$SHV_SRCDIR/tools/shvdump.zsh-completion")" "$commands" 'that for zsh has the same'
fi
long_options() { grep -oE -- '--[a-z-]+' | grep -vx -- '--' | sort -u; }
for command in $commands; do
	"$dump" "$command" --help >"$work/help" || ok 1 "$command --help"
	try "the manual has $command" grep -q "^\\.BR* $command\\b" "$SHV_SRCDIR/tools/shvdump.1"
	is "$(bash -c '. "$1"; COMP_WORDS=(shvdump "$2" -); COMP_CWORD=2; _shvdump; printf "%s\n" "${COMPREPLY[@]}"' \
		- "$SHV_SRCDIR/tools/shvdump.bash-completion" "$command" | long_options)" \
		"$(sed -n '/^Options:/,/^$/p' "$work/help" | grep -oE -- '^ *(-., )? *--[a-z-]+' | long_options)" \
		"completion has the options of $command"
	if command -v zsh >/dev/null; then
		is "$(zsh -fc '_shvdump_print=1; . "$1"; words=(shvdump "$2" -); CURRENT=3; _shvdump' - \
			"$SHV_SRCDIR/tools/shvdump.zsh-completion" "$command" | long_options)" \
			"$(sed -n '/^Options:/,/^$/p' "$work/help" | grep -oE -- '^ *(-., )? *--[a-z-]+' | long_options)" \
			"completion for zsh has the options of $command"
	else
		skip "completion for zsh has the options of $command" 'there is no zsh'
	fi
done
long=$(sed -n '/^static const struct option long_options/,/^};/s/.*{ "\([a-z-]*\)",.*/--\1/p' "$SHV_SRCDIR/tools/shvdump.c" | sort -u)
is "$(for command in $commands; do "$dump" "$command" --help | sed -n '/^Options:/,/^$/p' | grep -oE -- '^ *(-., )? *--[a-z-]+'; done | long_options)" \
	"$long" 'help tells of every option in the code, and of no other'
for option in $(for command in $commands; do "$dump" "$command" --help; done | grep -oE -- '--[a-z-]+' | sort -u); do
	grep -qF -- "${option//-/\\-}" "$SHV_SRCDIR/tools/shvdump.1" || ok 1 "the manual has no $option"
done
try 'the version is told' "$dump" --version
if command -v man >/dev/null; then
	for page in "$SHV_SRCDIR"/tools/shvdump*.1; do
		is "$(man --warnings -l "$page" 2>&1 >/dev/null)" '' "the manual has no faults: ${page##*/}"
	done
fi

# --- looking disturbs nothing ---------------------------------------------------------

is "$(sha256sum <"$file")" "$before" 'all of this changed no byte'
is "$(stat -L -c %b "$file")" "$blocks" 'and took no memory of the arena'
kill -STOP "$pid"
try 'a stopped process hides nothing' timeout 5 "$dump" values "$pid" --json
kill -CONT "$pid"

# --- an arena that changes meanwhile ----------------------------------------------------

fixture churn
churn() {
	local round command
	for round in 1 2 3 4 5; do
		note "round $round"
		for command in 'values -O' 'locks' 'overview' 'values -s -CONTENT'; do
			# shellcheck disable=SC2086 # words
			"$dump" $command "$pid" --json >"$work/json" || return
			python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$work/json" || return
		done
		"$dump" check "$pid" || return
	done
}
try 'an arena that changes all the time' churn
json 'its values are whole' '
bad = [x for x in j["values"] if x["kind"] != "value" or
       x["content"] is not None and not 1000 <= int(x["content"]) < 10000000] # null: freed while we looked
assert not bad, bad[:3]
assert len(j["values"]) > 500
' "$dump" values "$pid"

fixture many 20000
json 'many values, in batches' '
assert len(j["values"]) == 20000
assert len({x["ref"] for x in j["values"]}) == 20000
' "$dump" values "$pid"
is "$("$dump" values "$pid" -o REF | wc -l)" 20001 'many lines, one heading'
# Lines behind the first batch are not libsmartcols' own, and look the same: the awkward name is first in one of these orders, last in
# the other.
line_of() { "$dump" values "$pid" -o TYPE,NAME,LOCK,BYTES "$@" | grep -F '\x1b'; }
first=$(line_of -s NAME) last=$(line_of -s -NAME)
[ -n "$first" ]
ok $? 'the awkward name is escaped in a table'
is "$(awk '{ $1 = $1; print }' <<<"$last")" "$(awk '{ $1 = $1; print }' <<<"$first")" 'first or last of many, it is written alike'
is "$("$dump" values "$pid" -o REF,TYPE,LOCK,BYTES | awk '{ print length }' | sort -u | wc -l)" 1 \
	'many lines end below each other'
is "$("$dump" values "$pid" -rno NAME -N 'value-1998?' | xargs)" 'value-19984' 'one of many by name'

tap_done
