#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes ctypes_formats.tsv: what CPython says about formats.

    python3 gen_ctypes_formats.py > ctypes_formats.tsv

Columns, separated by tabs:

    kind     exact    size, alignment and offsets are what shv_type_parse() must find
             size     only the size is known (struct.calcsize)
             hidden   the format does not tell what the object is (a union, a bit field, ...): its size is not to be
                      had from it; listed so that a change of CPython or of the parser is noticed
             refused  pointers
    name     of the case
    format   as memoryview(object).format prints it
    shape    as memoryview(object).shape, comma separated; "-" if none
    size     ctypes.sizeof
    align    ctypes.alignment, 0 if not known
    fields   path@offset of all members, also of nested structures, in order; "-" if none

The table is kept as it came from CPython 3.11 on x86-64 Linux, since what ctypes prints differs between versions.
"""

import array
import ctypes
import random
import struct
import sys

SIMPLE = """c_bool c_char c_wchar c_byte c_ubyte c_short c_ushort c_int c_uint c_long c_ulong c_longlong c_ulonglong
    c_size_t c_ssize_t c_int8 c_uint8 c_int16 c_uint16 c_int32 c_uint32 c_int64 c_uint64 c_float c_double
    c_longdouble""".split()
POINTERS = "c_char_p c_wchar_p c_void_p py_object".split()
SWAPPABLE = "c_short c_ushort c_int c_uint c_long c_ulong c_longlong c_ulonglong c_float c_double".split()


def make(base, name, fields, **attributes):
    return type(base)(name, (base,), dict(_fields_=fields, **attributes))


def structure(name, *fields, **attributes):
    return make(ctypes.Structure, name, list(fields), **attributes)


def paths(kind, prefix="", offset=0):
    """Members of a structure with the members of members, as path@offset."""
    for field in kind._fields_:
        name, member = field[0], field[1]
        at = offset + getattr(kind, name).offset
        yield f"{prefix}{name}@{at}"
        if issubclass(member, ctypes.Structure):
            yield from paths(member, f"{prefix}{name}.", at)


def row(kind, name, cls):
    view = memoryview(cls())
    shape = ",".join(map(str, view.shape)) or "-"
    element = cls
    while issubclass(element, ctypes.Array):
        element = element._type_
    fields = "-"
    if kind == "exact" and issubclass(element, ctypes.Structure):
        fields = " ".join(paths(element)) or "-"
    print(kind, name, view.format, shape, ctypes.sizeof(cls), ctypes.alignment(cls), fields, sep="\t")


def ctypes_rows():
    for name in SIMPLE:
        cls = getattr(ctypes, name)
        row("exact", name, cls)
        row("exact", name + "*3", cls * 3)
        row("exact", name + "*3*2", cls * 3 * 2)
        row("exact", name + "_behind_byte", structure("S", ("a", ctypes.c_byte), ("b", cls)))
        row("exact", name + "_before_byte", structure("S", ("a", cls), ("b", ctypes.c_byte)))
        row("exact", name + "_arrays", structure("S", ("a", ctypes.c_byte), ("b", cls * 2 * 3), ("c", ctypes.c_char * 5)))
    for name in SWAPPABLE:
        cls = getattr(ctypes, name)
        row("exact", name + "_be", cls.__ctype_be__)
        swapped = [("a", ctypes.c_byte), ("b", cls), ("c", ctypes.c_short)]
        row("exact", name + "_be_struct", make(ctypes.BigEndianStructure, "B", swapped))
    for name in POINTERS:
        row("refused", name, getattr(ctypes, name))
        row("refused", name + "_member", structure("S", ("a", ctypes.c_int), ("p", getattr(ctypes, name))))
    row("refused", "pointer", ctypes.POINTER(ctypes.c_int))
    row("refused", "function", structure("S", ("f", ctypes.CFUNCTYPE(ctypes.c_int))))

    point = structure("Point", ("x", ctypes.c_double), ("y", ctypes.c_double))
    odd = structure("Odd", ("i", ctypes.c_int), ("d", ctypes.c_double), ("c", ctypes.c_char))
    row("exact", "point", point)
    row("exact", "points", point * 4)
    row("exact", "odd", odd)
    row("exact", "odd_array", odd * 3 * 2)
    row("exact", "nested", structure("N", ("c", ctypes.c_char), ("o", odd), ("os", odd * 3), ("p", point), ("h", ctypes.c_short)))
    row("exact", "utf8_name", structure("U", ("größe", ctypes.c_int), ("x", ctypes.c_short)))
    row("exact", "anonymous", structure("A", ("p", point), ("z", ctypes.c_char), _anonymous_=["p"]))
    row("exact", "flexible", structure("F", ("n", ctypes.c_int), ("items", ctypes.c_double * 0)))
    row("exact", "empty_member", structure("E", ("e", structure("V")), ("i", ctypes.c_int)))
    row("exact", "single", structure("One", ("d", ctypes.c_double)))
    deep = point
    for level in range(20):
        deep = structure("D", ("c", ctypes.c_char), (f"d{level}", deep))
    row("exact", "deep", deep)
    union = make(ctypes.Union, "Un", [("i", ctypes.c_int), ("d", ctypes.c_double)])
    packed = structure("P", ("c", ctypes.c_char), ("i", ctypes.c_int), _pack_=1)
    row("hidden", "union", union)
    row("hidden", "packed", packed)
    row("hidden", "union_member", structure("S", ("a", ctypes.c_int), ("u", union), ("z", ctypes.c_char)))
    row("hidden", "bits", structure("S", ("a", ctypes.c_int, 3), ("b", ctypes.c_int, 5), ("c", ctypes.c_int)))
    row("hidden", "derived", type(point)("Derived", (point,), {"_fields_": [("c", ctypes.c_short)]}))


def random_structures(count, seed):
    """Structures of structures, as a program might have them and as it hardly would."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        fields = []
        for i in range(rng.randint(1, 7)):
            kind = getattr(ctypes, rng.choice(SIMPLE))
            if made and rng.random() < 0.25:
                kind = rng.choice(made)
            for _ in range(rng.choice([0, 0, 0, 1, 2])):
                kind = kind * rng.randint(1, 4)
            fields.append((f"f{i}", kind))
        cls = structure(f"R{number}", *fields)
        if ctypes.sizeof(cls) < 4096:
            made.append(cls)
        row("exact", f"random{number}", cls)


def struct_rows(count, seed):
    """The struct module: sizes in native and standard modes, counts, alignment by 0q, white space."""
    rng = random.Random(seed)
    for code in "cbB?hHiIlLqQefdnNsp":
        modes = ["@", ""] if code in "nN" else ["@", "", "=", "<", ">", "!"]
        for mode in modes:
            for text in (code, "3" + code):
                size = struct.calcsize(mode + text)
                print("size", f"struct:{mode}{text}", mode + text, "-", size, 0, "-", sep="\t")
    for number in range(count):
        text = rng.choice(["", "", "@", "=", "<", ">", "!"])
        codes = "cbB?hHiIlLqQefdsxp" + ("nN" if text in ("", "@") else "")
        for _ in range(rng.randint(2, 9)):
            text += rng.choice(["", "", " "]) + rng.choice(["", "", "", "2", "3", "0", "17"]) + rng.choice(codes)
        if struct.calcsize(text):
            print("size", f"struct{number}", text, "-", struct.calcsize(text), 0, "-", sep="\t")


def array_rows():
    for code in array.typecodes:
        view = memoryview(array.array(code))
        print("exact", f"array:{code}", view.format, "-", view.itemsize, view.itemsize, "-", sep="\t")


def main():
    print(f"# CPython {sys.version.split()[0]}; made by gen_ctypes_formats.py, which says what the columns are")
    ctypes_rows()
    random_structures(150, 1)
    array_rows()
    struct_rows(150, 2)


main()
