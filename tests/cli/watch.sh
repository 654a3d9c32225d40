#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The screen of shvdump watch, on a terminal made by the test: what it shows, its keys, that it ends as it should and leaves the terminal
# as it was; the progress bar; and that hostile names do nothing to the screen.
set -u
: "${SHV_SRCDIR:?run by make check}" "${SHVDUMP:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"
[ -x "$SHVDUMP" ] || skip_all 'shvdump was not built'
# shellcheck source=lib.sh
. "$SHV_SRCDIR/tests/cli/lib.sh"

cat >"$work/terminal.py" <<'END'
"""A program on a terminal of 110 by 30, a VT52, which is easily played: screen() is what a user would see."""
import fcntl, os, pty, re, select, signal, struct, termios, time

ROWS, COLUMNS = 30, 110

class Terminal:
    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="vt52", LINES=str(ROWS), COLUMNS=str(COLUMNS))
            time.sleep(0)
            os.execv(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.data, self.rest = b"", b""
        self.cells = [[" "] * COLUMNS for _ in range(ROWS)]
        self.row = self.column = 0
    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            got = os.read(self.fd, 65536)
        except OSError:
            got = b""
        self.data += got
        self.play(self.rest + got)
        return bool(got)
    def play(self, data):
        text = data.decode("utf-8", "ignore")
        self.rest = b""
        while text:
            m = re.match(r"\x1b(?:Y(.)(.)|([^Y]))|(.)", text, re.S)
            if not m:
                self.rest = text.encode()
                return
            text = text[m.end():]
            row, column, escape, c = m.groups()
            if row:
                self.row, self.column = ord(row) - 32, ord(column) - 32
            elif escape:
                self.command(escape)
            elif c == "\r":
                self.column = 0
            elif c == "\n":
                self.row += 1
            elif c == "\b":
                self.column -= 1
            elif c >= " ":
                if 0 <= self.row < ROWS and 0 <= self.column < COLUMNS:
                    self.cells[self.row][self.column] = c
                self.column += 1
    def command(self, c):
        step = {"A": (-1, 0), "B": (1, 0), "C": (0, 1), "D": (0, -1), "I": (-1, 0)}.get(c)
        if step:
            self.row, self.column = self.row + step[0], self.column + step[1]
        elif c == "H":
            self.row = self.column = 0
        elif c in "JK" and 0 <= self.row < ROWS:
            self.cells[self.row][self.column:] = [" "] * (COLUMNS - self.column)
            for row in range(self.row + 1, ROWS) if c == "J" else ():
                self.cells[row] = [" "] * COLUMNS
    def screen(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)
    def until(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.screen(), re.S):
            assert time.monotonic() < end, "%r did not come; the screen:\n%s" % (pattern, self.screen())
            self.read(1)
        return self.screen()
    def send(self, keys):
        os.write(self.fd, keys.encode())
    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)
    def end(self, seconds=60):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            self.read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("it did not end")
END
export PYTHONPATH=$work

start examples/shop --serve
shop=$pid
if "$dump" watch --help >/dev/null && ! grep -q '^#define SHV_NCURSES 1' "$SHV_BUILDDIR/config.h"; then
	python 'built without ncurses: says so, and what helps' '
import sys
from terminal import Terminal
t = Terminal(sys.argv[1:])
t.until("without ncurses.*--once")
assert t.end() == 1
' "$dump" watch "$shop"
else
	python 'the screen, its lists and keys' '
import sys
from terminal import Terminal
t = Terminal(sys.argv[1:])
t.until(r"shvdump watch +shop .*objects [0-9]+.*live bytes.*RATE.*q quit")
t.until(r"RATE[^\n]*\n *0x[0-9a-f]+ stock +recursive[^\n]*[1-9][0-9]*\.[0-9]")  # the hottest stands first
lines = t.until(r" till +recursive +held .* clerk\[").split("\n")
assert [l.split()[1] for l in lines if l.strip().startswith("0x")][0] == "stock", lines
assert not t.echoes()
t.send("2"); t.until(r"MEMGREW.*leaker +alive")
t.send("3"); t.until(r"TOTALGREW.*char ")
t.send("h"); t.until(r"pause, and go on.*HELP")
t.send("h"); t.until(r"TOTALGREW")
t.send("\t"); t.until(r"HELDFOR")
t.send("/"); t.until(r"filter: _")
t.send("tilx"); t.until(r"filter: tilx_")
t.send("\x7f\n"); screen = t.until(r"filter: til\b.*")
assert " till " in screen and " stock " not in screen, screen
t.send("/\x1b"); t.until(r"\n *0x[0-9a-f]+ stock ")
t.send("/no such\n"); t.until(r"nothing matches the filter")
t.send("\x1b"); t.until(r" stock ")
t.send("<<<<<<"); t.send("r")           # by name, smallest first
t.send(" "); t.until(r"PAUSED")
t.send(" "); t.until(r"every [0-9.]+ s *\n")
t.send("+"); t.until(r"every 0\.6 s")
t.send("--"); t.until(r"every 0\.[12] s")
t.send("q")
assert t.end() == 0
assert t.echoes()
' "$dump" watch "$shop" -i 0.3
	python 'a signal ends it, and the terminal is put back' '
import os, signal, sys
from terminal import Terminal
t = Terminal(sys.argv[1:])
t.until(r"q quit")
assert not t.echoes()
os.kill(t.pid, signal.SIGTERM)
assert t.end() == 0
assert t.echoes()
' "$dump" watch "$shop"
	start tests/cli/hostile
	python 'hostile names do nothing to the screen' '
import sys
from terminal import Terminal
t = Terminal(sys.argv[1:])
t.until(r"\\x1b\[31mred\\x1b\]0;title\\x07")
t.until(r"line\\x0afeed")
t.send("q")
assert t.end() == 0
assert b"\x1b[31m" not in t.data and b"\x1b]0;" not in t.data and b"\xe2\x80\xae" not in t.data and b"\a" not in t.data, t.data
' "$dump" watch "$pid" -i 0.2
fi

start tests/cli/fixture many 20000
python 'no progress bar for what is quick' '
import sys
from terminal import Terminal
t = Terminal(sys.argv[1:])
while t.read(5): pass
assert t.end() == 0
assert b"objects [" not in t.data, t.data[:300]
' "$dump" leaks "$pid"
tap_done
