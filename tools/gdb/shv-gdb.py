# SPDX-License-Identifier: MIT
"""gdb looks into an arena of libshv, in a live process or in a core file that has its pages.

    (gdb) source shv-gdb.py
    (gdb) shv arenas                  the arenas that are mapped
    (gdb) shv values [PATTERN]        live objects: reference, name, type, content, lock
    (gdb) shv value EXPRESSION        one object: an address (any expression), a reference (0x10000100d) or a name
    (gdb) shv lock EXPRESSION         its lock: who holds it, waiters, how often it was taken
    (gdb) shv procs                   who is attached
    (gdb) print v                     a shv_value * shows type and content, a shv_lock * its state,
    (gdb) print node->next            an SHV_REL pointer where it leads to

Needs no debugging symbols of libshv, calls nothing in the process and writes nothing to it: it reads the shared bytes
by what docs/FORMAT.md says of them, and refuses a memory format that it does not know. What is read may be damaged: every
offset is checked against the arena before it is followed.

A core file has no pages of the arena unless the kernel was told to dump them, or gcore was (set dump-excluded-mappings on):
the library asks for them to be left out, since an arena is mostly holes. Then one is told so.
"""

import fnmatch
import os
import re
import struct

import gdb

MAGIC = 0x0A1A0D0056485389
FORMAT = 1
KINDS = {1: "value", 2: "raw", 3: "array", 4: "raw-array", 5: "string", 6: "lock", 7: "part"}
POLICIES = {0: "none", 1: "recursive", 2: "plain", 3: "handoff", 4: "none", 5: "shared"}
LIVE, CONDEMNED = 2, 5
SLOTS_PER_CHUNK = 4096
HEADER = 8
TYPE_FIRST = 32
OWNER_GONE = 0xFFFFF
# Basic types by number: name, format of struct.unpack (None: shown as bytes), size.
BASIC = {
    1: ("char", "c", 1), 2: ("signed char", "b", 1), 3: ("unsigned char", "B", 1), 4: ("wchar_t", "I", 4),
    5: ("bool", "?", 1), 6: ("short", "h", 2), 7: ("unsigned short", "H", 2), 8: ("int", "i", 4),
    9: ("unsigned int", "I", 4), 10: ("long", "q", 8), 11: ("unsigned long", "Q", 8), 12: ("long long", "q", 8),
    13: ("unsigned long long", "Q", 8), 14: ("float", "f", 4), 15: ("double", "d", 8), 16: ("long double", None, 16),
    17: ("half", "e", 2), 18: ("float complex", "2f", 8), 19: ("double complex", "2d", 16),
    20: ("long double complex", None, 32),
}
CODES = {"c": 1, "b": 1, "B": 1, "?": 1, "h": 2, "H": 2, "i": 4, "I": 4, "l": 8, "L": 8, "q": 8, "Q": 8, "n": 8, "N": 8,
         "e": 2, "f": 4, "d": 8, "w": 4, "u": 4, "g": 16, "x": 1, "s": 1, "p": 1}
UNPACK = {"l": "q", "L": "Q", "n": "q", "N": "Q", "w": "I", "u": "I", "s": "c"}


class ShvError(gdb.GdbError):
    """Something to tell the user: gdb prints it without a stack."""


def safe(text):
    """Foreign bytes as text of which no terminal takes harm."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else "".join("\\x%02x" % b for b in c.encode("utf-8")) for c in text)


def quoted(data, quote):
    """Bytes of UTF-8 as shvdump prints a text or a character."""
    for plain, escape in ((b"\\", b"\\\\"), (quote, b"\\" + quote), (b"\n", b"\\n"), (b"\t", b"\\t"), (b"\r", b"\\r")):
        data = data.replace(plain, escape)
    return quote.decode() + safe(data) + quote.decode()


# --- reading ---------------------------------------------------------------------------


class Arena:
    """One mapping of an arena. Offsets are checked; what lies outside raises ShvError."""

    # struct shv_super_const, from the magic to sums_level_off; see docs/FORMAT.md.
    CONST = struct.Struct("<QIIQQQQ16s64sIIIIQ10Q")
    # what follows it: see HIGH below.

    def __init__(self, base, size, path):
        self.base, self.size, self.path = base, size, path
        try:
            words = self.CONST.unpack(self.read(0, self.CONST.size))
        except ShvError:
            raise ShvError("shv: the pages of %s are not in this core file: it must be written with them "
                           "(gcore after 'set dump-excluded-mappings on', 'set use-coredump-filter off')" % safe(path))
        if words[0] != MAGIC:
            raise ShvError("shv: %s at %#x is no arena" % (safe(path), base))
        if words[1] != FORMAT:
            raise ShvError("shv: %s has memory format %d, and this script knows %d" % (safe(path), words[1], FORMAT))
        self.name = words[8].split(b"\0")[0]
        self.page_shift, self.max_processes, self.max_threads, self.max_chunks = words[9:13]
        self.max_pages = words[13]
        (self.policies, self.graves, self.processes, self.threads, self.types, self.types_text, self.chunks,
         self.map, self.sums, self.data) = words[14:24]
        # sums_level_off[9], levels, flags, checksum; then spare0[4], then the high-water marks.
        at = self.CONST.size + 9 * 8 + 4 + 4 + 8 + 4 * 8
        (self.pool_pages, self.chunks_high, self.processes_high, self.threads_high,
         self.types_n, self.policies_n) = struct.unpack("<QQIIII", self.read(at, 32))

    def read(self, offset, n):
        if offset < 0 or n < 0 or offset + n > self.size:
            raise ShvError("shv: offset %#x is outside the arena" % offset)
        try:
            return bytes(gdb.selected_inferior().read_memory(self.base + offset, n))
        except gdb.MemoryError:
            raise ShvError("shv: cannot read %d bytes at offset %#x" % (n, offset))

    def word(self, offset):
        return struct.unpack("<Q", self.read(offset, 8))[0]

    def in_use(self, page):
        return page < min(self.pool_pages, self.max_pages) and self.word(self.map + 8 * page) & 0xF

    def chunk(self, number):
        """Where the slots of a chunk are, or None."""
        if number >= min(self.chunks_high, self.max_chunks):
            return None
        page = self.word(self.chunks + 8 * number) & 0xFFFFFFFF
        if not page or not self.in_use(page):
            return None
        return self.data + (page << self.page_shift)

    def slot(self, index):
        at = self.chunk(index // SLOTS_PER_CHUNK)
        if at is None:
            raise ShvError("shv: there is no slot %d" % index)
        return struct.unpack("<QQ", self.read(at + 16 * (index % SLOTS_PER_CHUNK), 16))

    def objects(self):
        """All live objects. A damaged one is left out: 'shvdump check' tells of those."""
        for number in range(min(self.chunks_high, self.max_chunks)):
            at = self.chunk(number)
            if at is None:
                continue
            slots = self.read(at, 16 * SLOTS_PER_CHUNK)
            for i, (word, what) in enumerate(struct.iter_unpack("<QQ", slots)):
                if word & 0xF not in (LIVE, CONDEMNED) or what >> 53 & 7 in (0, 7):
                    continue
                try:
                    yield Object(self, number * SLOTS_PER_CHUNK + i, word, what)
                except ShvError:
                    continue

    def by_reference(self, ref):
        word, what = self.slot(ref & 0xFFFFFFFF)
        if word >> 32 != ref >> 32 or word & 0xF not in (LIVE, CONDEMNED):
            raise ShvError("shv: the object of reference %#x is gone" % ref)
        return Object(self, ref & 0xFFFFFFFF, word, what)

    def by_address(self, address):
        """The object whose payload is at an address of the process."""
        offset = address - self.base
        header = self.word(offset - HEADER)
        word, what = self.slot(header & 0xFFFFFFFF)
        found = Object(self, header & 0xFFFFFFFF, word, what)
        if found.payload != offset or word & 0xF not in (LIVE, CONDEMNED):
            raise ShvError("shv: %#x is not the address of a live object" % address)
        return found

    def type(self, number):
        """Name and format of a type."""
        if number in BASIC:
            return BASIC[number][0], None
        if number < TYPE_FIRST or number - TYPE_FIRST >= self.types_n:
            return "type %d" % number, None
        _, _, _, format_len, name_len, text = struct.unpack(
            "<QQIIII", self.read(self.types + 32 * (number - TYPE_FIRST), 32))
        if format_len + name_len > 1 << 20:
            return "type %d" % number, None
        fmt = self.read(self.types_text + text, format_len).decode("utf-8", "replace")
        name = self.read(self.types_text + text + format_len + 1, name_len)
        return safe(name) or fmt, fmt

    def type_size(self, number):
        if number in BASIC:
            return BASIC[number][2]
        if number < TYPE_FIRST or number - TYPE_FIRST >= self.types_n:
            return 0
        return self.word(self.types + 32 * (number - TYPE_FIRST) + 8)

    def policy(self, number):
        if number < 16:
            return POLICIES.get(number, "policy %d" % number)
        if number - 16 >= self.policies_n:
            return "policy %d" % number
        return safe(self.read(self.policies + 64 * (number - 16) + 8, 32).split(b"\0")[0])

    def process(self, slot):
        """(state, generation, start time, pid, command, pid namespace), or None."""
        if slot >= min(self.processes_high, self.max_processes + 8):
            return None
        word, start, namespace, _, pid, _, command = struct.unpack("<QQQQiI16s", self.read(self.processes + 256 * slot, 56))
        return word & 0xFFFFFFFF, word >> 32, start, pid, safe(command.split(b"\0")[0]), namespace

    def thread(self, owner):
        """Who the owner field of a lock word means: 'command[pid/tid]'."""
        if not 0 < owner <= min(self.threads_high, self.max_threads):
            return "thread %d" % owner
        word, tid = struct.unpack("<Qi", self.read(self.threads + 64 * (owner - 1), 12))
        process = self.process(word >> 4 & 0xFFF)
        if not process or process[1] != word >> 32:
            return "?[tid %d]" % tid
        gone = "" if self.lives(process) else ", who is gone"
        if tid == process[3]:
            return "%s[%d]%s" % (process[4], process[3], gone)
        return "%s[%d/%d]%s" % (process[4], process[3], tid, gone)

    def lives(self, process):
        """False: certainly not. Asked of /proc, where it is in our pid namespace and this is no core file."""
        if not gdb.selected_inferior().pid or gdb.execute("info target", to_string=True).find("core file") >= 0:
            return True
        try:
            if os.stat("/proc/self/ns/pid").st_ino != process[5]:
                return True
            with open("/proc/%d/stat" % process[3], encoding="utf-8", errors="replace") as f:
                stat = f.read().rpartition(")")[2].split()
            return stat[0] not in "ZX" and int(stat[19]) == process[2]
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def grave(self, number):
        """Who died holding a lock."""
        n, _, pid, tid = struct.unpack("<QQii", self.read(self.graves + 64 * (number % 4096), 24))
        command = self.read(self.graves + 64 * (number % 4096) + 32, 16).split(b"\0")[0]
        return "%s[%d/%d]" % (safe(command), pid, tid) if n & 0xFFFFF == number else "not known any more"

    def names(self):
        """Name of each reference, from the parts that hold them."""
        if not hasattr(self, "_names"):
            self._names = {}
        found = {}
        for number in range(min(self.chunks_high, self.max_chunks)):
            at = self.chunk(number)
            if at is None:
                continue
            for word, what in struct.iter_unpack("<QQ", self.read(at, 16 * SLOTS_PER_CHUNK)):
                if word & 0xF != LIVE or what >> 53 & 7 != 7 or what >> 56 != 1:
                    continue
                payload = ((what & ((1 << 38) - 1)) << 4) + (word >> 24 & 0xFF) * 8 + HEADER
                try:
                    _, _, target, n = struct.unpack("<IIQI", self.read(payload, 20))
                    if n <= 255:
                        found[target] = self.read(payload + 20, n)
                except ShvError:
                    continue
        self._names = found
        return found


class Object:
    def __init__(self, arena, index, word, what):
        self.arena, self.index, self.slot_word = arena, index, word
        self.ref = word >> 32 << 32 | index
        self.kind = what >> 53 & 7
        self.policy = what >> 56
        self.type = what >> 38 & 0x7FFF
        self.block = (what & ((1 << 38) - 1)) << 4
        self.payload = self.block + (word >> 24 & 0xFF) * 8 + HEADER
        if not arena.in_use((self.block - arena.data) >> arena.page_shift if self.block >= arena.data else -1 & 0xFFFFFFFFFF):
            raise ShvError("shv: reference %#x lies on no page that is in use" % self.ref)
        self.header = arena.word(self.payload - HEADER)

    def items(self):
        return self.arena.word(self.block) if self.kind in (3, 4) else 1

    def type_name(self):
        return "" if self.kind == 6 else self.arena.type(self.type)[0]

    def lock_word(self):
        """The word of its lock, and the object that has it; None: no lock, or one of the program's own policy."""
        if 1 <= self.policy <= 3:
            return self.arena.word(self.payload - 16), self
        if self.policy == 5:
            link = self.arena.word(self.payload - 16)
            try:
                return self.arena.by_reference((link >> 32) << 32 | (link & 0xFFFFFFFF)).lock_word()
            except ShvError:
                return None
        return None

    def content(self, most=200):
        if self.kind == 6:
            return ""
        if self.kind == 5:
            return self.text()
        _, fmt = self.arena.type(self.type)
        size, n = self.arena.type_size(self.type), self.items()
        if not size or n > 1 << 48:
            return "?"
        shown = min(n, 64 if self.type != 1 else 256)
        data = self.arena.read(self.payload, size * shown)
        if self.kind in (3, 4) and self.type == 1:
            return '%s%s' % (quoted(data.split(b"\0")[0], b'"'), "..." if n > shown and b"\0" not in data else "")
        texts = [self.one(data[i * size:(i + 1) * size], fmt) for i in range(shown)]
        if self.kind not in (3, 4):
            return texts[0][:most]
        return "[%s%s]" % (", ".join(texts), ", ..." if n > shown else "")

    def text(self):
        """Of a string, whose text is a part of its own."""
        ref = self.arena.word(self.payload + 8)
        if not ref:
            return '""'
        try:
            part = Object(self.arena, ref & 0xFFFFFFFF, *self.arena.slot(ref & 0xFFFFFFFF))
            if part.ref != ref or part.kind != 7:
                raise ShvError("shv: no text")
            _, _, parent, _, n = struct.unpack("<IIQQQ", self.arena.read(part.payload, 32))
            if parent != self.ref:
                raise ShvError("shv: no text")
            shown = min(n, 256)
            data = self.arena.read(part.payload + 32, shown)
        except ShvError:
            return "<its text changes just now>"
        if self.type == 4:
            data = data.decode("utf-32-le", "backslashreplace").encode("utf-8")
        return '%s%s' % (quoted(data, b'"'), "..." if n > shown else "")

    def one(self, data, fmt):
        if fmt is None:
            code = BASIC.get(self.type, ("", None, 0))[1]
            return number(code, data)
        try:
            text, used = by_format(fmt, data)
            return text
        except (ValueError, struct.error, IndexError):
            return "0x" + data.hex()


def number(code, data):
    """One scalar as shvdump prints it."""
    if code is None:
        return "0x" + data.hex()
    value = struct.unpack("<" + code, data)
    if len(value) == 2:
        return "%.9g%+.9gi" % value
    value = value[0]
    if code == "c":
        return quoted(value, b"'")
    if code == "?":
        return "true" if value else "false"
    if code == "f":
        return repr_short(value, 9)
    if code in ("d", "e"):
        return repr_short(value, 17)
    return str(value)


def repr_short(value, digits):
    """The fewest digits that give the number back."""
    pack = "<f" if digits == 9 else "<d"
    for n in range(1, digits + 1):
        text = "%.*g" % (n, value)
        if value != value or struct.pack(pack, float(text)) == struct.pack(pack, value):
            return text
    return "%.*g" % (digits, value)


def by_format(fmt, data):
    """Content by a format in the canonical form (docs/FORMAT.md): all padding spelled out, native mode. -> text, bytes used."""
    text, at, rest = item(fmt, data, 0)
    if rest:
        raise ValueError(rest)
    return text, at


def item(fmt, data, at):
    if fmt.startswith("T{"):
        fmt, members = fmt[2:], []
        while not fmt.startswith("}"):
            text, at, fmt = item(fmt, data, at)
            name = re.match(r":([^:]*):", fmt)
            if name:
                fmt = fmt[name.end():]
                members.append("%s=%s" % (safe(name.group(1)), text))
            elif text is not None:
                members.append(text)
        return "{%s}" % ", ".join(members), at, fmt[1:]
    counts = re.match(r"\(([0-9,]+)\)", fmt)
    if counts:
        return array([int(n) for n in counts.group(1).split(",")], fmt[counts.end():], data, at)
    repeat = re.match(r"[0-9]+", fmt)
    if repeat and fmt[repeat.end()] == "x":
        return None, at + int(repeat.group()), fmt[repeat.end() + 1:]
    order = fmt[0] if fmt[0] in "<>=@^!" else ""
    fmt = fmt[len(order):]
    code = fmt[0]
    if code == "x":
        return None, at + 1, fmt[1:]
    size = CODES[code]
    scalar = UNPACK.get(code, code)
    if order in (">", "!"):
        return str(struct.unpack(">" + scalar, data[at:at + size])[0]), at + size, fmt[1:]
    return number(None if code == "g" else scalar, data[at:at + size]), at + size, fmt[1:]


def array(counts, fmt, data, at):
    texts = []
    for _ in range(min(counts[0], 1000)):
        if len(counts) > 1:
            text, at, rest = array(counts[1:], fmt, data, at)
        else:
            text, at, rest = item(fmt, data, at)
        texts.append(text)
    if fmt.startswith("c") and len(counts) == 1:
        raw = data[at - len(texts):at].split(b"\0")[0]
        return '"%s"' % safe(raw), at, rest
    return "[%s]" % ", ".join(texts), at, rest


def lock_text(arena, word):
    """A lock word in words."""
    owner, sequence = word & 0xFFFFF, word >> 32
    waiters = ", somebody may be waiting" if word >> 30 & 1 else ""
    if word >> 31 & 1:
        return "abandoned by %s, sequence %d%s" % (arena.grave(owner), sequence, waiters)
    if owner == OWNER_GONE:
        return "gone: its object was freed"
    if owner:
        depth = (word >> 20 & 0x3FF) + 1
        return "held by %s%s, sequence %d%s" % (arena.thread(owner), " %d times" % depth if depth > 1 else "",
                                                sequence, waiters)
    return "free, sequence %d%s" % (sequence, waiters)


# --- where arenas are ------------------------------------------------------------------


def arenas():
    """The arenas that the process, or the core, has mapped."""
    try:
        text = gdb.execute("info proc mappings", to_string=True)
    except gdb.error as e:
        raise ShvError("shv: no process and no core: %s" % e)
    # Lines: start end size offset [permissions] path. A mapping may be cut into several.
    whole = {}
    for line in text.splitlines():
        m = re.match(r"\s*(0x[0-9a-f]+)\s+(0x[0-9a-f]+)\s+0x[0-9a-f]+\s+(0x[0-9a-f]+)\s+(?:[-rwxsp]+\s+)?(/memfd:shv:.*)$", line)
        if not m:
            continue
        start, end, offset = (int(m.group(i), 16) for i in (1, 2, 3))
        key = (m.group(4), start - offset)
        whole[key] = max(whole.get(key, 0), end - (start - offset))
    # A process also maps one page of each arena's file, which says that it lives: that one is not all of it.
    largest = {}
    for (path, base), size in whole.items():
        largest.setdefault(path, []).append((size, base))
    found = []
    for path, mappings in sorted(largest.items()):
        for size, base in sorted(mappings, reverse=True):
            if size > 1 << 16:
                found.append(Arena(base, size, path))
    return found


def arena_at(address):
    for a in arenas():
        if a.base <= address < a.base + a.size:
            return a
    raise ShvError("shv: %#x lies in no arena that is mapped here" % address)


def object_of(word):
    """An address, a reference or a name."""
    if re.fullmatch(r"0x[0-9a-f]{9,}|[0-9]{10,}", word):
        number_ = int(word, 0)
        for a in arenas():
            if a.base <= number_ < a.base + a.size:
                return a.by_address(number_)
        for a in arenas():
            try:
                return a.by_reference(number_)
            except ShvError:
                continue
        raise ShvError("shv: %s is neither an address in an arena nor the reference of a live object" % word)
    for a in arenas():
        for ref, name in a.names().items():
            if name.decode("utf-8", "replace") == word:
                return a.by_reference(ref)
    try:
        address = int(gdb.parse_and_eval(word).cast(gdb.lookup_type("unsigned long")))
    except gdb.error as e:
        raise ShvError("shv: '%s' is no name in an arena, and no expression: %s" % (safe(word), e))
    return arena_at(address).by_address(address)


# --- commands --------------------------------------------------------------------------


def describe(o, names):
    name = names.get(o.ref)
    lock = o.lock_word()
    return "%#x %s %s%s %s%s%s" % (
        o.ref, safe(name) if name is not None else "-", KINDS[o.kind], " " + o.type_name() if o.kind != 6 else "",
        o.content() + " " if o.kind != 6 else "", o.arena.policy(o.policy),
        ": " + lock_text(lock[1].arena, lock[0]) if lock else "")


class Shv(gdb.Command):
    """Look into the arenas of libshv: shv arenas, values [PATTERN], value WHAT, lock WHAT, procs."""

    def __init__(self):
        super().__init__("shv", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class Command(gdb.Command):
    def __init__(self, name, doc, run, complete=gdb.COMPLETE_NONE):
        self.__doc__ = doc
        self.run = run
        super().__init__("shv " + name, gdb.COMMAND_DATA, complete)

    def invoke(self, argument, from_tty):
        try:
            self.run(argument.strip())
        except struct.error as e:
            raise ShvError("shv: the arena is damaged: %s" % e)


def cmd_arenas(_):
    found = arenas()
    for a in found:
        print("%s at %#x, %d pages, %s" % (safe(a.name), a.base, a.pool_pages, safe(a.path)))
    if not found:
        print("no arena is mapped")


def cmd_values(pattern):
    for a in arenas():
        names = a.names()
        for o in a.objects():
            name = names.get(o.ref)
            if pattern and (name is None or not fnmatch.fnmatchcase(name.decode("utf-8", "replace"), pattern)):
                continue
            print(describe(o, names))


def cmd_value(word):
    if not word:
        raise ShvError("shv value: say which: an address, a reference or a name")
    o = object_of(word)
    print(describe(o, o.arena.names()))
    print("  address %#x, offset %d, %d item%s of %d bytes" % (
        o.arena.base + o.payload, o.payload, o.items(), "" if o.items() == 1 else "s", o.arena.type_size(o.type)))


def cmd_lock(word):
    if not word:
        raise ShvError("shv lock: say which: an address, a reference or a name")
    o = object_of(word)
    lock = o.lock_word()
    if lock is None:
        print("%#x: policy %s, no lock word" % (o.ref, o.arena.policy(o.policy)))
        return
    shared = " (of lock object %#x)" % lock[1].ref if lock[1] is not o else ""
    print("%#x: %s%s, %s" % (o.ref, o.arena.policy(lock[1].policy), shared, lock_text(o.arena, lock[0])))
    print("  word %#018x at %#x" % (lock[0], o.arena.base + lock[1].payload - 16))


def cmd_procs(_):
    for a in arenas():
        for slot in range(min(a.processes_high, a.max_processes + 8)):
            process = a.process(slot)
            if process and process[0]:
                state = "alive" if process[0] == 1 and a.lives(process) else "dead"
                print("%s: slot %d, %s[%d], %s" % (safe(a.name), slot, process[4], process[3], state))


Shv()
Command("arenas", "The arenas that are mapped.", cmd_arenas)
Command("values", "Live objects, or those whose name matches a pattern.", cmd_values)
Command("value", "One object: an address, a reference or a name.", cmd_value, gdb.COMPLETE_EXPRESSION)
Command("lock", "The lock of an object: who holds it, waiters, sequence.", cmd_lock, gdb.COMPLETE_EXPRESSION)
Command("procs", "Processes that are attached, or died attached.", cmd_procs)


# --- pretty printers -------------------------------------------------------------------


class ValuePrinter:
    """shv_value * and shv_lock *"""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        address = int(self.value)
        if not address:
            return "(%s) 0x0" % self.value.type
        try:
            o = arena_at(address).by_address(address)
            return "(%s) %#x %s" % (self.value.type, address, describe(o, o.arena.names()))
        except (gdb.error, gdb.GdbError, struct.error) as e:
            return "(%s) %#x <%s>" % (self.value.type, address, e)


class RelPrinter:
    """SHV_REL(T): where it leads to."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        distance = int(self.value["shv_rel_"])
        target = self.value["shv_rel_type_"].type
        if not distance:
            return "(%s) 0x0" % target
        here = self.value.address
        if here is None:
            return "<distance %d>" % distance
        to = int(here) + (0 if distance == -2**63 else distance)
        return "(%s) %#x" % (target, to & (2**64 - 1))


def printer_of(value):
    t = value.type.strip_typedefs()
    if t.code == gdb.TYPE_CODE_PTR and t.target().strip_typedefs().tag in ("shv_value", "shv_lock"):
        return ValuePrinter(value)
    if t.code == gdb.TYPE_CODE_UNION and {f.name for f in t.fields()} == {"shv_rel_", "shv_rel_type_"}:
        return RelPrinter(value)
    return None


printer_of.name = "libshv"
gdb.printing = __import__("gdb.printing").printing
gdb.pretty_printers[:] = [p for p in gdb.pretty_printers if getattr(p, "name", "") != "libshv"]
gdb.pretty_printers.append(printer_of)
