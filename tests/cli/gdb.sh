#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The gdb extension against a live process and core files: it says what shvdump says, and a core without the arena's pages is told.
# The $1 below are gdb's.
# shellcheck disable=SC2016,SC2094
set -u
: "${SHV_SRCDIR:?run by make check}" "${SHVDUMP:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"
command -v gdb >/dev/null || skip_all 'there is no gdb'
gdb -nx -batch -ex 'python print(1)' 2>/dev/null | grep -qx 1 || skip_all 'this gdb has no Python'
[ -z "${SHV_SAN_CFLAGS// /}" ] || skip_all 'a core of a sanitized process has terabytes of shadow'
[ -x "$SHVDUMP" ] || skip_all 'shvdump was not built'
# shellcheck source=lib.sh
. "$SHV_SRCDIR/tests/cli/lib.sh"
extension=$SHV_SRCDIR/tools/gdb/shv-gdb.py

# look COMMAND...: what gdb prints, attached to $pid.
look() {
	local each=()
	for command in "$@"; do each+=(-ex "$command"); done
	gdb -nx -batch -iex 'set auto-load off' -iex 'set debuginfod enabled off' -p "$pid" -x "$extension" "${each[@]}" 2>"$work/gdb.err"
}

start tests/cli/gdb_target
look 'shv arenas' >"$work/arenas"
if grep -q 'ptrace: Operation not permitted' "$work/gdb.err"; then
	skip_all 'not permitted to attach to a process'
fi
is "$(grep -c '^debugged at 0x' "$work/arenas")" 1 'the arena is found, once'

look 'print counter' 'print gate' 'print text' 'print first->next' 'print last->next' 'print (char *)0' 'print ordinary' \
	'print *first' 'shv value counter' 'shv lock counter' 'shv value text' 'shv lock gate' 'shv procs' >"$work/out"
has() { try "$2" grep -qE -- "$1" "$work/out" || note "$(cat "$work/out")"; }
has '^\$1 = \(shv_value \*\) 0x[0-9a-f]+ 0x[0-9a-f]+ counter value int 42 recursive: held by .*gdb_target\[[0-9]+\] 2 times' 'a shv_value * is printed with its content and lock'
has '^\$2 = \(shv_lock \*\) 0x[0-9a-f]+ 0x[0-9a-f]+ - lock plain: free' 'a shv_lock *, too'
has '^\$3 = .* text string char "fine \\x1b\[31m text" plain: free' 'a string, with nothing that a terminal obeys'
last=$(look 'print/x (long)last' | sed -n 's/^\$1 = //p')
has "^\\\$4 = \\(struct node \\*\\) $last\$" 'an SHV_REL pointer is printed as where it leads'
has '^\$5 = \(struct node \*\) 0x0$' 'a null one, too'
has '^\$7 = 5$' 'other values are printed as ever'
has 'payload = 1, next = \(struct node \*\) 0x' 'within a structure'
has '^0x[0-9a-f]+ counter value int 42' 'shv value NAME'
has 'recursive, held by .*gdb_target\[[0-9]+\] 2 times' 'shv lock NAME'
has "debugged: slot 0, .*gdb_target\\[$pid\\], alive" 'shv procs'
is "$(tr -d '\1-\10\13-\37' <"$work/out" | cmp - "$work/out" 2>&1)" '' 'no control character reached the terminal'
look 'shv value no_such_thing' >/dev/null
is "$(grep -c 'no name in an arena' "$work/gdb.err")" 1 'what is not there is told in a sentence'
look 'shv value 0x1234567890' >/dev/null
is "$(grep -c 'neither an address' "$work/gdb.err")" 1 'nor is a wrong reference believed'

# Core files: with the pages, and without.
look 'set use-coredump-filter off' 'set dump-excluded-mappings on' "gcore $work/whole" >/dev/null
look "gcore $work/bare" >/dev/null
core() { gdb -nx -batch -iex 'set debuginfod enabled off' "$(readlink "/proc/$pid/exe")" "$1" -x "$extension" -ex 'shv values' 2>&1; }
if [ -s "$work/whole" ]; then
	core "$work/whole" >"$work/out"
	has 'counter value int 42 recursive: held by .*gdb_target' 'a core file with the pages'
else
	skip 'a core file with the pages' 'gcore wrote none'
fi
if [ -s "$work/bare" ]; then
	core "$work/bare" >"$work/out"
	has 'not in this core file|no arena is mapped|no process' 'a core file without them says so'
else
	skip 'a core file without them says so' 'gcore wrote none'
fi

# All of an arena with one object of each kind: the same as shvdump.
start tests/cli/fixture
look 'shv values' | grep -E '^0x[0-9a-f]+ ' | grep -vE '^0x[0-9a-f]+ in ' | sed 's/, sequence.*//; s/ *$//' | sort >"$work/gdb"
"$dump" values "$pid" --json >"$work/json"
python 'every object that shvdump lists, with the same content and holder' '
import json, sys
values = {v["ref"]: v for v in json.load(open(sys.argv[1], encoding="utf-8"))["values"]}
lines = [l.rstrip("\n") for l in open(sys.argv[2], encoding="utf-8")]
seen = {l.split()[0]: l for l in lines}
assert set(seen) == set(values), (set(seen) ^ set(values))
for ref, v in values.items():
    line = seen[ref]
    if v["kind"] != "lock" and len(v["content"] or "") < 100:
        assert " %s %s %s" % (v["kind"], v["type"], v["content"]) in line, (v, line)
    if v["state"] == "held":
        assert "held by %s" % v["holder"] in line, (v, line)
    if v["state"] == "abandoned":
        assert v["holder"] in line and "gone" in line, (v, line)
' "$work/json" "$work/gdb"
tap_done
