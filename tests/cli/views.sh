#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# shvdump's views: map, leaks, watch --once, metrics, fields of show, filters; golden files for what is the same each time; every
# JSON against docs/shvdump.schema.json; hostile names; what is approximate says so.
# The single quotes hold programs for others.
# shellcheck disable=SC2016
set -u
: "${SHV_SRCDIR:?run by make check}" "${SHVDUMP:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"
[ -x "$SHVDUMP" ] || skip_all 'shvdump was not built'
# shellcheck source=lib.sh
. "$SHV_SRCDIR/tests/cli/lib.sh"

start tests/cli/fixture
other_pid=$("$dump" procs "$pid" --dead -rno PID)

# --- tables as they are ---------------------------------------------------------------

golden leaks.txt 'leaks' "$dump" leaks "$pid"
golden fields_struct.txt 'members of a structure' "$dump" show here "$pid"
golden fields_array.txt 'items of an array' "$dump" show five "$pid"
golden locks_more.txt 'locks with SINCE' "$dump" locks "$pid" --held -o NAME,LOCK,STATE,SINCE,HOLDER
golden procs_more.txt 'what processes own and made' "$dump" procs "$pid" -o PID,COMMAND,STATE,OBJECTS,OBJBYTES,MADE,MADEBYTES
golden types_more.txt 'types, sorted' "$dump" types "$pid" -s -TOTAL -l 5 -o NAME,OBJECTS,PAYLOAD,TOTAL,LEAKED
golden metrics_names.txt 'names of metrics' bash -c '"$0" metrics "$1" | grep "^# "' "$dump" "$pid"
"$dump" map "$pid" --width 80 >"$work/map"
is "$(sed -n '/^MARK/,/^$/p' "$work/map" | awk 'NR > 1 && NF { print $1 }' | xargs)" 'A B ! # % .' 'map has a legend'
is "$(sed '/^$/,$d' "$work/map" | cut -c10- | tr -d '\n' | fold -w1 | sort | uniq -c | awk '{ s += $1 } END { print s }')" \
	"$("$dump" map "$pid" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["fragmentation"]["pages"])')" \
	'a small arena is shown with one character a page'
is "$(awk '{ print length }' "$work/map" | sort -n | tail -n 1)" 73 '--width is kept, in whole rows of 16'
is "$("$dump" map "$pid" | grep -c "$(printf '\033')")" 0 'no colours where there is no terminal'
is "$("$dump" map "$pid" --color=always | grep -c "$(printf '\033')" | sed 's/[1-9][0-9]*/some/')" some '--color=always'
is "$(NO_COLOR=1 "$dump" map "$pid" --color=auto | grep -c "$(printf '\033')")" 0 '--color=auto'
if command -v script >/dev/null; then
	on_a_terminal() { script -qec "$*" /dev/null </dev/null; }
	is "$(TERM=xterm on_a_terminal "$dump" map "$pid" | grep -c "$(printf '\033\\[')" | sed 's/[1-9][0-9]*/some/')" some \
		'colours on a terminal'
	is "$(TERM=xterm NO_COLOR=1 on_a_terminal "$dump" map "$pid" | grep -c "$(printf '\033\\[')")" 0 'but not with NO_COLOR'
	is "$(TERM=dumb on_a_terminal "$dump" map "$pid" | grep -c "$(printf '\033\\[')")" 0 'nor on a dumb one'
else
	skip 'colours on a terminal' 'no script(1)'
fi

# --- filters --------------------------------------------------------------------------

names() { "$dump" values "$pid" -rno NAME "$@" | sort | xargs; }
is "$(names --creator dead)" orphan '--creator dead'
is "$(names --creator alive --type long)" raw '--creator alive'
is "$(names --creator "$pid" --type double)" 'pair three-and-a-half' '--creator PID'
is "$(names --creator 1)" '' '--creator of somebody else'
is "$(names --size +100)" long '--size, at least'
is "$(names --size 20)" five '--size, exactly'
is "$(names --size -1 --kind value)" 'flag letter' '--size, at most'
is "$(names --size +0K --limit 2 | wc -w | tr -d ' ')" 2 '--limit'
is "$("$dump" values "$pid" -s -BYTES -l 1 -rno NAME)" long '--sort with --limit'
is "$("$dump" locks "$pid" --waiters -rno NAME)" '' 'locks --waiters'
is "$("$dump" locks "$pid" -s -DEPTH -l 1 -rno NAME)" answer 'locks --sort'
is "$("$dump" locks "$pid" --held -i 0.05 -rno NAME,HELDFOR | awk '$2 >= 0.05 { n++ } END { print n }')" 2 'how long a lock is held at the least'
for bad in '--size x' '--size +' '--size 9999999999999999999999' '--size 1KB' '--creator me' '--limit 0' '--limit -1' '--limit 1x'; do
	# shellcheck disable=SC2086 # words
	fails 1 'wants' "values $bad is refused" "$dump" values "$pid" $bad
done
for bad in '--interval 0' '--interval nan' '--interval 1e9' '--interval -1'; do
	# shellcheck disable=SC2086
	fails 1 'wants seconds' "locks $bad is refused" "$dump" locks "$pid" $bad
done
fails 1 'wants auto' 'map --color=pink is refused' "$dump" map "$pid" --color=pink
fails 1 'wants a number' 'map --width 5 is refused' "$dump" map "$pid" --width 5
fails 1 'add --once' 'watch without a terminal' "$dump" watch "$pid"
fails 1 'operand is missing' 'report without a file' "$dump" report
fails 1 'No such file' 'report into no folder' "$dump" report "$work/no/such/file" "$pid"
fails 1 'No such file' 'map --svg into no folder' bash -c '"$0" map "$1" --json --svg /no/such/file >/dev/null' "$dump" "$pid"
to_full() { ! "$dump" report /dev/full "$pid" 2>/dev/null && ! "$dump" metrics "$pid" --file /dev/full 2>/dev/null; }
try 'a full device is an error' to_full

# --- JSON -----------------------------------------------------------------------------

is "$(python3 "$SHV_SRCDIR/build-aux/shvdump-schema.py" "$SHV_SRCDIR" | cmp - "$SHV_SRCDIR/docs/shvdump.schema.json" 2>&1)" '' \
	'the JSON schema has the columns of the code (else: build-aux/shvdump-schema.py)'
all_json() {
	local pid=$1 command name
	shift
	for command in "$@" overview list values 'values -O' locks 'locks -O -i 0.01' procs 'procs -O' types \
		'types -O' check map leaks 'watch --once -i 0.01' metrics "report $work/r.html"; do
		name=${command//[^a-zA-Z]/_}
		# shellcheck disable=SC2086
		if [ "$command" = list ]; then "$dump" list --json; else "$dump" $command "$pid" --json; fi >"$work/j.$name.json" || return
	done
}
try 'every command writes JSON' all_json "$pid" 'show here' 'show five' 'show motto' 'show answer -O'
try 'all of it is as the schema says' python3 "$SHV_SRCDIR/tests/cli/schema.py" "$SHV_SRCDIR/docs/shvdump.schema.json" \
	"$work" overview list values show locks procs types check map leaks watch metrics report
# golden_json FILE COMMAND...: its JSON without the figures that depend on the machine or the moment.
golden_json() {
	local name=$1
	shift
	"$dump" "$@" "$pid" --json >"$work/json"
	golden "json_$name.json" "JSON of $name" python3 -c '
import json, sys
d = json.load(open(sys.argv[1], encoding="utf-8"))
for table in ("processes", "locks", "runs", "owners"):
    for row in d.get(table, []):
        for k in ("start", "namespace", "seq", "rate", "heldfor", "page", "pages", "bytes", "mem", "share", "offset", "slot"):
            row.pop(k, None)
for k in ("offset", "seq"):
    d.get("object", {}).pop(k, None)
for k in ("fragmentation", "change"):
    d.pop(k, None)
json.dump(d, sys.stdout, indent=1, ensure_ascii=True)
print()' "$work/json"
}
golden_json leaks leaks
golden_json map map
golden_json show_struct show here
golden_json show_array show five
golden_json show_string show motto
golden_json locks locks
golden_json procs procs -O
golden_json watch watch --once -i 0.01
golden_json check check

# --- figures agree with each other ------------------------------------------------------

"$dump" map "$pid" --json >"$work/map.json"
"$dump" "$pid" --json >"$work/overview.json"
"$dump" leaks "$pid" --json >"$work/leaks.json"
"$dump" procs "$pid" -O --json >"$work/procs.json"
"$dump" values "$pid" -O --json >"$work/values.json"
"$dump" types "$pid" -O --json >"$work/types.json"
python 'map, overview, leaks, procs, types and values agree' '
import json, sys
m, o, l, p, v, t = (json.load(open(sys.argv[1] + "/%s.json" % n, encoding="utf-8")) for n in ("map", "overview", "leaks", "procs", "values", "types"))
pages = {x["pages"]: x["count"] for x in o["pages"]}
for state in ("orphaned", "directory", "system", "free"):
    assert sum(r["pages"] for r in m["runs"] if r["state"] == state) == pages[state], state
    assert [r["pages"] for r in m["owners"] if r["owner"] == state] == [pages[state]], state
assert sum(r["pages"] for r in m["runs"]) == m["fragmentation"]["pages"] == sum(pages.values())
at = 0
for r in m["runs"]:
    assert r["page"] == at, r
    at += r["pages"]
free = [r["pages"] for r in m["runs"] if r["state"] == "free"]
assert m["fragmentation"]["largest"] == max(free) and m["fragmentation"]["freeruns"] == len(free)
values = v["values"]
assert l["objects"] == len([x for x in values if not x["alive"]]) == sum(x["objects"] for x in l["leaks"])
assert l["bytes"] == sum(x["block"] for x in values if not x["alive"])
assert sum(x["made"] for x in p["processes"]) + l["objects"] == len(values)
assert sum(x["objects"] for x in p["processes"]) == len(values)
assert sum(x["objects"] for x in t["types"]) == len([x for x in values if x["kind"] != "lock"])
assert not any(d["approximate"] for d in (m, o, l, p, v, t))
' "$work"

# --- foreign text -------------------------------------------------------------------------

clean() {
	local command
	for command in values locks 'map --color=never' leaks 'watch --once -i 0.01' metrics 'locks -r' 'metrics -r' 'show name:12'; do
		# shellcheck disable=SC2086
		"$dump" $command "$pid" >"$work/text" || return
		LC_ALL=C grep -naP '[\x00-\x08\x0b-\x1f\x7f]' "$work/text" && return 1
		python3 -c 'import sys
t = open(sys.argv[1], encoding="utf-8").read()
assert not set(t) & set("\u202e\u200b\u2066\ufeff"), "deceiving characters"' "$work/text" || return
	done
}
try 'no control character and nothing that reorders text is printed' clean

# --- an arena that changes meanwhile --------------------------------------------------------

start tests/cli/fixture churn
try 'every command writes JSON of an arena in use' all_json "$pid"
"$dump" watch "$pid" --once -i 0.5 --json >"$work/watch.json"
python 'watch sees it change' '
import json, sys
w = json.load(open(sys.argv[1] + "/watch.json", encoding="utf-8"))
assert w["change"]["created"] > 0 and w["change"]["freed"] > 0, w["change"]
assert w["processes"][0]["created"] > 0
assert any(t["type"] == "long" and t["objects"] > 100 for t in w["types"]), w["types"]
' "$work"
# Whether something is made while one counts is up to the scheduler: in one of many looks it is.
approximate() {
	local tries
	for ((tries = 0; tries < 2000; tries++)); do
		"$dump" leaks "$pid" >/dev/null 2>"$work/err" || return
		grep -q approximate "$work/err" && return
	done
	return 1
}
try 'a table of figures that are not of one moment says so on stderr' approximate
halt "$pid"
is "$("$dump" leaks "$pid" 2>&1 >/dev/null)" '' 'and does not say so when nothing moves'
kill -CONT "$pid"

# --- a hot lock, one held for long, a leak: the example shop -----------------------------------

start examples/shop --serve
"$dump" watch "$pid" --once -i 1 --json >"$work/watch.json"
python 'watch tells the hot lock, the one that is held, and who makes objects' '
import json, sys
w = json.load(open(sys.argv[1] + "/watch.json", encoding="utf-8"))
l = {x["name"]: x for x in w["locks"]}
assert l["stock"]["rate"] > 0 and w["locks"][0]["name"] == "stock", w["locks"]
assert w["change"]["acquired"] > 0
assert l["till"]["state"] == "held" and l["till"]["rate"] == 0 and l["till"]["heldfor"] >= 0.9, l["till"]
assert l["till"]["holder"].startswith("clerk["), l["till"]
assert all(a["rate"] >= b["rate"] for a, b in zip(w["locks"], w["locks"][1:]))
assert "stock" in sys.argv[2]
' "$work" "$("$dump" locks "$pid" -i 0.3 -s -RATE -l 1 -rno NAME)"
tap_done
