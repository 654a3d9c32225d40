#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# shvdump report and map --svg: well-formed, self-contained, names escaped, pictures with text alternatives, a policy that names the
# style by its hash; and in headless Chromium: it renders, and the console stays empty.
set -u
: "${SHV_SRCDIR:?run by make check}" "${SHVDUMP:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"
[ -x "$SHVDUMP" ] || skip_all 'shvdump was not built'
# shellcheck source=lib.sh
. "$SHV_SRCDIR/tests/cli/lib.sh"

start tests/cli/hostile
try 'a report of an arena with hostile names' "$dump" report "$work/r.html" "$pid"
"$dump" map "$pid" --svg "$work/map.svg" --json >/dev/null

cat >"$work/page.py" <<'END'
import base64, hashlib, html.parser, re, sys, xml.etree.ElementTree as ET

text = open(sys.argv[1], encoding="utf-8").read()
VOID = {"meta", "br", "hr", "input", "img", "link"}

class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.stack, self.ids, self.seen, self.problems, self.words, self.refs = [], set(), [], [], [], []
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.seen.append((tag, a))
        if len(a) != len(attrs):
            self.problems.append("attribute twice in <%s>" % tag)
        if "id" in a:
            if a["id"] in self.ids:
                self.problems.append("id twice: " + a["id"])
            self.ids.add(a["id"])
        for k in a:
            if k.startswith("on") or k == "style":
                self.problems.append("attribute %s in <%s>" % (k, tag))
            if k in ("src", "srcset", "href", "xlink:href", "data", "action") and not (a[k] or "").startswith("#"):
                self.problems.append("%s leads out of the page: %s" % (k, a[k]))
        self.refs += (a.get("aria-labelledby") or "").split() + ([a["href"][1:]] if "href" in a else [])
        if tag not in VOID:
            self.stack.append(tag)
    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()
    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.problems.append("</%s> closes nothing" % tag)
    def handle_data(self, data):
        self.words.append(data)

page = Page()
page.feed(text)
page.close()
assert not page.problems, page.problems
assert not page.stack, page.stack
tags = [t for t, _ in page.seen]
assert "script" not in tags and "img" not in tags and "iframe" not in tags and "link" not in tags, "nothing active, nothing from elsewhere"
assert not [r for r in page.refs if r not in page.ids], "references that lead nowhere"
csp = [a["content"] for t, a in page.seen if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
digest = "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
assert len(csp) == 1 and "default-src 'none'" in csp[0] and "unsafe" not in csp[0], csp
assert "style-src '%s'" % digest in csp[0], "the style changed: STYLE_HASH in tools/cmd_report.c is now " + digest
assert "@import" not in style and "url(" not in style
svgs = re.findall(r"<svg.*?</svg>", text, re.S)
assert len(svgs) >= 7, len(svgs)
for svg in svgs:
    root = ET.fromstring(svg)
    ns = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img", "role"
    title, desc = root.find(ns + "title"), root.find(ns + "desc")
    assert title is not None and title.text.strip() and desc is not None and len(desc.text) > 10, svg[:200]
    assert root.get("aria-labelledby").split() == [title.get("id"), desc.get("id")]
assert text.count("<table>") >= len(svgs), "each picture has a table"
for t, a in page.seen:
    if t == "th":
        assert a.get("scope") in ("col", "row")
words = "".join(page.words)
assert "<script>alert(1)</script>" in words, "the hostile name is shown as text"
assert "</svg><svg onload=" in words and "&lt;b&gt; &amp;quot;" in words
assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text), "control characters"
assert "\\x1b[31m" in words and "\\xff" in words
END
try 'the page is well-formed, self-contained and escaped' python3 "$work/page.py" "$work/r.html"
python 'the picture as a file of its own is XML, with words' '
import sys, xml.etree.ElementTree as ET
root = ET.parse(sys.argv[1]).getroot()
ns = "{http://www.w3.org/2000/svg}"
assert root.tag == ns + "svg" and root.get("role") == "img"
assert "Page map" in root.find(ns + "title").text and "free" in root.find(ns + "desc").text
assert len(root.findall(ns + "rect")) > 5
assert not [e for e in root.iter() if e.tag in (ns + "script", ns + "image")]
' "$work/map.svg"
is "$("$dump" report - "$pid" | head -c 15)" '<!DOCTYPE html>' '- is standard output'
is "$("$dump" report "$work/r2.html" "$pid" --json | python3 -c 'import json, os, sys
d = json.load(sys.stdin); print(d["report"]["bytes"] == os.path.getsize(d["report"]["file"]), d["sound"])')" 'True True' '--json tells what was written'

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || browser=
if [ -z "$browser" ]; then
	skip 'Chromium shows it' 'there is no chromium'
else
	# A probe in a copy: a script that the policy must refuse, which shows that an error would be seen.
	chromium() {
		timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$work/profile" \
			--no-first-run --disable-extensions --enable-logging=stderr --v=0 "$@"
	}
	sed 's|</main>|<script>document.title = "taken"</script></main>|' "$work/r.html" >"$work/probe.html"
	# The page's text, once more if the browser was not up to it: it is not what is tested.
	dump_dom() {
		chromium --dump-dom "file://$1" >"$2" 2>"$3"
		grep -q '<main>' "$2" || chromium --dump-dom "file://$1" >"$2" 2>"$3"
	}
	shoot() {
		chromium --screenshot="$2" --window-size=1100,1600 "file://$1" >/dev/null 2>&1
		[ -s "$2" ] || chromium --screenshot="$2" --window-size=1100,1600 "file://$1" >/dev/null 2>&1
	}
	chromium --dump-dom "file://$work/probe.html" >"$work/probe.dom" 2>"$work/probe.log"
	if ! grep -q '<main>' "$work/probe.dom"; then
		note "$(tail -n 5 "$work/probe.log")"
		skip 'Chromium shows it' 'chromium does not run here'
	else
		is "$(grep -c 'CONSOLE.*Content Security Policy' "$work/probe.log" | sed 's/[1-9][0-9]*/some/')" some 'a script in it would be refused, and told'
		is "$(grep -c '<title>taken' "$work/probe.dom")" 0 'and does not run'
		dump_dom "$work/r.html" "$work/dom" "$work/log"
		is "$(grep -E 'CONSOLE' "$work/log")" '' 'the console stays empty'
		is "$(grep -o '<svg ' "$work/dom" | wc -l)" "$(grep -o '<svg ' "$work/r.html" | wc -l)" 'all pictures are there'
		is "$(grep -c 'onload=\"' "$work/dom")" 0 'no name became an attribute'
		shoot "$work/r.html" "$work/shot.png"
		python 'and there is something to be seen' '
import struct, sys, zlib
data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n"
at, body = 8, b""
while at < len(data):
    n, kind = struct.unpack(">I4s", data[at:at + 8])
    if kind == b"IHDR":
        w, h, depth, colour = struct.unpack(">IIBB", data[at + 8:at + 18])
    if kind == b"IDAT":
        body += data[at + 8:at + 8 + n]
    at += 12 + n
raw = zlib.decompress(body)
step = (4 if colour == 6 else 3) * w + 1
# Lines that differ from the one above: a page without style or pictures has few colours.
assert w == 1100 and h == 1600
assert len({raw[i * step + 1:(i + 1) * step] for i in range(h)}) > 100
' "$work/shot.png"
	fi
fi
tap_done
