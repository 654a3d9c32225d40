#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# shvdump metrics: OpenMetrics text, by a strict reading of its grammar, and by promtool if there is one; names as documented; figures
# as shvdump tells them elsewhere; the file appears whole.
# The single quotes hold programs for others.
# shellcheck disable=SC2016
set -u
: "${SHV_SRCDIR:?run by make check}" "${SHVDUMP:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"
[ -x "$SHVDUMP" ] || skip_all 'shvdump was not built'
# shellcheck source=lib.sh
. "$SHV_SRCDIR/tests/cli/lib.sh"

cat >"$work/openmetrics.py" <<'END'
"""A strict reader of OpenMetrics 1.0 text: what is not in the grammar raises."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z|[+-]?Inf\Z|NaN\Z")
SUFFIXES = {"gauge": [""], "counter": ["_total", "_created"], "info": ["_info"]}

def labels(text):
    found, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        assert m, "labels: %r" % text[at:]
        assert m.group(1) not in found, "label %s twice" % m.group(1)
        found[m.group(1)] = re.sub(r"\\(.)", lambda e: "\n" if e.group(1) == "n" else e.group(1), m.group(2))
        at = m.end()
        if at < len(text):
            assert text[at] == "," and at + 1 < len(text), text
            at += 1
    return found

def read(data):
    """{family: (type, unit, help, [(sample name, labels, value)])}"""
    text = data.decode("utf-8")
    assert text.endswith("# EOF\n") and text.count("# EOF\n") == 1, "ends in # EOF and a line feed"
    assert "\r" not in text
    families, family, seen = {}, None, set()
    for line in text[:-len("# EOF\n")].split("\n")[:-1]:
        assert line, "no empty lines"
        if line.startswith("#"):
            m = re.fullmatch(r"# (TYPE|UNIT|HELP) (%s) (.+)" % NAME, line)
            assert m, line
            what, name, rest = m.groups()
            if family != name:
                assert name not in families, "%s comes in two pieces" % name
                family = name
                families[name] = {"samples": []}
            f = families[name]
            assert what not in f and not f["samples"], line
            f[what] = rest
            if what == "TYPE":
                assert rest in SUFFIXES, line
            if what == "UNIT":
                assert name.endswith("_" + rest), line
                assert f.get("TYPE") != "info"
            continue
        m = re.fullmatch(r"(%s)(?:\{(.*)\})? (\S+)" % NAME, line)
        assert m and family, line
        f = families[family]
        assert m.group(1) in [family + s for s in SUFFIXES[f["TYPE"]]], "%s in family %s" % (line, family)
        assert NUMBER.match(m.group(3)), line
        l = labels(m.group(2) or "")
        key = (m.group(1), tuple(sorted(l.items())))
        assert key not in seen, "twice: %s" % line
        seen.add(key)
        if f["TYPE"] == "counter":
            assert float(m.group(3)) >= 0 and m.group(1).endswith("_total")
        if f["TYPE"] == "info":
            assert m.group(3) == "1"
        f["samples"].append((m.group(1), l, float(m.group(3))))
    for name, f in families.items():
        assert "TYPE" in f and "HELP" in f, name
    return families
END
python 'the reader refuses what is wrong' '
import sys
sys.path.insert(0, sys.argv[1])
from openmetrics import read
good = b"# TYPE a gauge\n# HELP a Text.\na{x=\"1\"} 1\n# EOF\n"
read(good)
for bad in (good[:-6], good.replace(b"x=\"1\"", b"x=\"1\",x=\"2\""), good.replace(b"a{", b"b{"), good.replace(b"} 1", b"} one"),
            good.replace(b"\"1\"", b"\"\\q\""), good.replace(b"gauge", b"counter"), good.replace(b"# HELP", b"\n# HELP"),
            good.replace(b"} 1\n", b"} 1\na{x=\"1\"} 2\n"), good.replace(b"# HELP a Text.", b"# UNIT a bytes")):
    try:
        read(bad)
    except AssertionError:
        continue
    raise SystemExit("taken: %r" % bad)
' "$work"

start tests/cli/fixture
"$dump" metrics "$pid" >"$work/metrics" 2>"$work/err"
"$dump" "$pid" --json >"$work/overview.json"
python 'the text is OpenMetrics, and its figures are those of overview' '
import json, sys
sys.path.insert(0, sys.argv[1])
from openmetrics import read
f = read(open(sys.argv[1] + "/metrics", "rb").read())
t = json.load(open(sys.argv[1] + "/overview.json", encoding="utf-8"))
t, pages = t["totals"], {p["pages"]: p["count"] for p in t["pages"]}
value = lambda n, **l: [v for _, have, v in f[n]["samples"] if l.items() <= have.items()]
assert value("shv_live_bytes") == [t["live"]] and value("shv_capacity_bytes") == [t["capacity"]]
assert value("shv_pages", state="free") == [pages["free"]]
assert sum(value("shv_objects")) == t["objects"] and sum(value("shv_type_objects")) == t["objects"] - t["locks"]
assert value("shv_locks", state="abandoned") == [1] and value("shv_locks", state="held") == [2]
assert sum(value("shv_leaked_objects")) == 1 and value("shv_process_alive", command="mortal") == [0]
assert value("shv_arena", arena="fixture") == [1] and len(value("shv_lock_acquisitions", lock="answer")) == 1
hostile = [l["lock"] for _, l, _ in f["shv_lock_acquisitions"]["samples"] if l["lock"].startswith("esc")]
assert hostile == ["esc \\x1b[31m and \\xff and \\xe2\\x80\\xae."], hostile
assert all(l["arena"] == "fixture" for x in f.values() for _, l, _ in x["samples"])
' "$work"
is "$(sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$work/metrics" | sort)" \
	"$(sed -n 's/^\.B \(shv_[a-z_]*\)$/\1/p' "$SHV_SRCDIR/tools/shvdump-report.1" | sort)" 'the manual lists these names'
if command -v promtool >/dev/null; then
	# promtool reads Prometheus text, which the samples are too.
	try 'promtool takes it' bash -c 'grep -v "^# \(UNIT\|EOF\)" "$0" | sed -E "/^# (TYPE|HELP) /s/ (shv_arena) / \1_info /; s/^(# TYPE .*) info$/\1 gauge/; s/^(# (TYPE|HELP) )(shv_lock_acquisitions|shv_process_objects_(created|freed)) /\1\3_total /" | promtool check metrics' "$work/metrics"
else
	skip 'promtool takes it' 'there is no promtool'
fi
try '--file' "$dump" metrics "$pid" --file "$work/textfile.prom"
is "$(grep -v approximate "$work/textfile.prom" | sed 's/^\(shv_resident.*\) .*/\1/' | cksum)" "$(grep -v approximate "$work/metrics" | sed 's/^\(shv_resident.*\) .*/\1/' | cksum)" 'the same goes into a file'
is "$(stat -c %a "$work/textfile.prom")" "$(printf '%o' $((0666 & ~$(umask))))" 'which others may read, as the umask has it'
is "$(find "$work" -name 'textfile.prom*' | wc -l | tr -d ' ')" 1 'and no other file stays'
echo old >"$work/ro.prom"
fails 1 'leave out' '--file with --json' "$dump" metrics "$pid" --json --file "$work/ro.prom"
is "$(cat "$work/ro.prom")" old 'and the old file stays'
tap_done
