#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a run of the benchmark into the documents.

    bench/refresh.py RUN.json [--top FOLDER]

RUN.json is what `bench --json` wrote. Replaced are docs/performance.svg, and what stands between the lines
`<!-- bench: NAME -->` and `<!-- bench: end -->` of docs/PERFORMANCE.md and README.md. Nothing else is touched, so the words
around the tables must not repeat their figures.
"""
import argparse
import json
import math
import pathlib
import re
import sys
from xml.sax.saxutils import escape

BOOST_ALLOCATORS = (
    "Boost node_allocator",
    "Boost private_node_allocator",
    "Boost adaptive_pool",
    "Boost private_adaptive_pool",
)
MATRIX = ("raw batch", "raw churn", "mixed batch", "mixed churn", "locked batch", "locked churn")
CHART = (
    ("raw batch", "8 bytes: 100,000 made, then freed"),
    ("raw churn", "8 bytes: replaced at random among 10,000"),
    ("locked churn", "8 bytes with a recursive lock: replaced at random among 10,000"),
)
CHART_PEERS = (
    ("libshv", "libshv"),
    ("jemalloc", "jemalloc, private memory"),
    ("jemalloc on a memfd, explicit cache", "jemalloc on a memfd"),
    ("glibc", "glibc, private memory"),
    ("best of Boost", "Boost, best allocator"),
    ("Boost construct", "Boost construct"),
    ("memkind pmem", "memkind pmem"),
    ("libpmemobj", "libpmemobj"),
    ("CPython", "CPython multiprocessing"),
)


class Run:
    """The figures of one run, by work and peer."""

    def __init__(self, data):
        self.data = data
        self.figures = {(f["work"], f["peer"]): f for f in data["figures"]}
        self.works = {w["name"]: w for w in data["works"]}

    def peers(self, work):
        return [f["peer"] for f in self.data["figures"] if f["work"] == work]

    def median(self, work, peer):
        if peer == "best of Boost":
            known = [self.median(work, p) for p in BOOST_ALLOCATORS]
            known = [v for v in known if v is not None]
            return min(known) if known else None
        f = self.figures.get((work, peer))
        return f["figure"]["median"] if f else None

    def ratio(self, work, peer):
        f = self.figures.get((work, peer))
        return f["ratio"] if f and "ratio" in f else None

    def where(self):
        m = self.data["machine"]
        return (
            f"{self.data['date']}, {m['cpu']}, {m['processors']} processors (virtual, shared), Linux {m['kernel']}, "
            f"compiler {m['compiler']}, {self.data['passes']} passes" + (", a quick run" if self.data["quick"] else "")
        )


def number(x):
    if x is None:
        return "-"
    if x >= 1000:
        return f"{x:,.0f}"
    if x >= 100:
        return f"{x:.0f}"
    if x >= 10:
        return f"{x:.1f}".rstrip("0").rstrip(".")
    return f"{x:.2f}".rstrip("0").rstrip(".") if x else "0"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


# ---- docs/PERFORMANCE.md ----------------------------------------------------------------------------------


def matrix(run):
    rows = []
    for peer in run.peers("raw batch"):
        row = [f"**{peer}**" if peer == "libshv" else peer]
        for work in MATRIX:
            ratio = run.ratio(work, peer)
            row.append(f"{number(run.median(work, peer))} ({number(ratio['median'])})" if ratio else "-")
        rows.append(row)
    return table(["ns a pair (ratio to jemalloc)"] + [w.replace("mixed", "16..512 B") for w in MATRIX], rows)


def details(run):
    parts = []
    for name, work in run.works.items():
        peers = run.peers(name)
        if name in MATRIX or not peers:
            continue
        head = [f"{work['title']}" + (f" ({work['unit']})" if work["unit"] else ""), "median", "middle half"]
        if "base" in work:
            head.append("ratio")
        rows = []
        for peer in peers:
            f = run.figures[(name, peer)]["figure"]
            row = [peer, number(f["median"]), f"{number(f['quarter'])} to {number(f['three_quarters'])}"]
            if "base" in work:
                ratio = run.ratio(name, peer)
                row.append(number(ratio["median"]) if ratio else "-")
            rows.append(row)
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def targets(run):
    rows = []
    for t in run.data["targets"]:
        sign, limit = ("at least", t["at_least"]) if "at_least" in t else ("at most", t["at_most"])
        rows.append([t["text"], number(t["is"]), f"{sign} {number(limit)}", "met" if t["met"] else "**not met**"])
    met = sum(t["met"] for t in run.data["targets"])
    return table(["target", "is", "wanted", ""], rows) + f"\n\n{met} of {len(rows)} met."


def source(run):
    lines = [f"This run: {run.where()}."]
    return "\n".join(lines + [f"- {r}" for r in run.data["remarks"]])


# ---- README.md ------------------------------------------------------------------------------------------------


def summary(run):
    columns = ("libshv", "jemalloc", "best of Boost", "Boost construct", "libpmemobj", "CPython")
    titles = (
        ("raw batch", "raw 8 bytes: 100,000 made, then freed"),
        ("raw churn", "raw 8 bytes: replaced at random among 10,000"),
        ("mixed churn", "16 to 512 bytes: replaced at random among 10,000"),
        ("locked batch", "8 bytes with a recursive lock: 100,000 made, then freed"),
        ("locked churn", "8 bytes with a recursive lock: replaced at random among 10,000"),
    )
    rows = [[title] + [number(run.median(work, c)) for c in columns] for work, title in titles]
    text = table(
        ["ns to make and free one", "libshv", "`malloc` of jemalloc, private memory", "Boost, best allocator", "Boost `construct`", "libpmemobj", "CPython"],
        rows,
    )
    rows = []
    for work, title in (("increment", "alone"), ("increment by 2", "two processes at once")):
        rows.append(
            [f"locked increment, {title}"]
            + [
                number(run.median(work, p))
                for p in ("libshv shv_add", "libshv shv_with", "robust recursive pthread mutex", "Boost interprocess_recursive_mutex", "CPython with get_lock()")
            ]
        )
    text += "\n\n" + table(
        ["ns", "`shv_add`", "`shv_with` around `++`", "robust recursive `pthread_mutex_t`", "Boost's recursive mutex", "CPython"], rows
    )
    facts = []

    def fact(title, work, peer, unit):
        value = run.median(work, peer)
        if value is not None:
            facts.append([title, f"{number(value)} {unit}".strip()])

    def most(work, prefix):
        peers = [p for p in run.peers(work) if p.startswith(prefix)]
        return peers[-1] if peers else ""

    fact("`shv_get`, of a value with a lock", "access", "shv_get, recursive", "ns")
    fact("`shv_peek`", "access", "shv_peek, recursive", "ns")
    fact("`shv_deref`", "access", "shv_deref", "ns")
    for count in ("1,000 names", "100,000 names", "a million names"):
        fact(f"`shv_find` among {count}", f"find, {count}", "libshv", "ns")
    peer = most("attach", "libshv")
    fact("attach to an arena with" + peer.split(",", 1)[-1], "attach", peer, "µs")
    for kind in ("raw", "locked"):
        peer = most(f"{kind} bytes", "libshv")
        fact(f"shared memory for each 8-byte value, {'with a recursive lock' if kind == 'locked' else 'raw'}, all counted", f"{kind} bytes", peer, "bytes")
    for peer in run.peers("recovery"):
        fact(f"recovery of {peer.split(', ', 1)[-1]} values of a killed process", "recovery", peer, "ms")
    fact("memory given back after all are freed and a trim", "given back", "libshv", "%")
    text += "\n\n" + table(["", ""], facts)
    return text + f"\n\nMedians; {run.where()}."


# ---- the chart ---------------------------------------------------------------------------------------------------


def chart(run):
    left, right, row, gap, top = 190, 60, 19, 46, 34
    width = 760
    values = [(w, t, [(label, run.median(w, p), p == "libshv") for p, label in CHART_PEERS]) for w, t in CHART]
    known = [v for _, _, rows in values for _, v, _ in rows if v]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    scale = (width - left - right) / (high - low)

    def x_of(v):
        return left + (math.log10(v) - low) * scale

    out = []
    y = top
    for _, title, rows in values:
        rows = [r for r in rows if r[1]]
        out.append(f'<text x="{left}" y="{y}" class="title">{escape(title)}</text>')
        begin = y + 8
        end = begin + row * len(rows) + 4
        for power in range(low, high + 1):
            x = x_of(10**power)
            out.append(f'<line x1="{x:.1f}" y1="{begin}" x2="{x:.1f}" y2="{end}" class="grid"/>')
            unit = f"{10 ** power:g} ns" if power < 3 else f"{10 ** (power - 3):g} µs"
            out.append(f'<text x="{x:.1f}" y="{end + 12}" class="tick">{unit}</text>')
        for i, (label, value, ours) in enumerate(rows):
            middle = begin + row * i + row / 2 + 2
            out.append(f'<text x="{left - 8}" y="{middle + 4:.1f}" class="label{" ours" if ours else ""}">{escape(label)}</text>')
            out.append(
                f'<rect x="{left}" y="{middle - 6:.1f}" width="{x_of(value) - left:.1f}" height="12" rx="2" class="{"bar-ours" if ours else "bar"}"/>'
            )
            out.append(f'<text x="{x_of(value) + 5:.1f}" y="{middle + 4:.1f}" class="value">{number(value)}</text>')
        y = end + gap
    height = y - gap + 30
    style = (
        "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.label{text-anchor:end}.ours{font-weight:bold}"
        ".tick{text-anchor:middle;font-size:10px;fill:#666}.value{font-size:11px;fill:#444}.grid{stroke:#ddd}"
        ".bar{fill:#9db4c8}.bar-ours{fill:#c2571a}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" viewBox="0 0 {width} {height:.0f}" role="img" '
        f'aria-label="Time to make and free one value, on a logarithmic scale">\n<style>{style}</style>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(out) + "\n</svg>\n"
    )


# ---- into the files ----------------------------------------------------------------------------------------------------


def replace(path, blocks):
    text = path.read_text()
    for name, content in blocks.items():
        pattern = re.compile(rf"(<!-- bench: {re.escape(name)} -->\n).*?(<!-- bench: end -->)", re.S)
        text, n = pattern.subn(lambda m, c=content: m.group(1) + c + "\n" + m.group(2), text)
        if n != 1:
            sys.exit(f"refresh.py: {path}: {n} places for '{name}' instead of one")
    path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--top", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    args = parser.parse_args()
    data = json.loads(args.run.read_text())
    if data.get("schema") != 2:
        sys.exit(f"refresh.py: {args.run} is not a run that this knows (schema 2)")
    run = Run(data)
    (args.top / "docs" / "performance.svg").write_text(chart(run))
    replace(
        args.top / "docs" / "PERFORMANCE.md",
        {"source": source(run), "create": matrix(run), "targets": targets(run), "details": details(run)},
    )
    replace(args.top / "README.md", {"summary": summary(run)})


if __name__ == "__main__":
    main()
