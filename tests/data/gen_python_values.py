#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes python_values.tsv: what CPython makes of initial values.

    python3 gen_python_values.py > python_values.tsv

Columns, separated by tabs:

    code     typecode of multiprocessing.Value; ? stands for c_bool, g for c_longdouble
    input    the initial value: a decimal integer, or a decimal fraction
    outcome  what .value is afterwards: an integer, or for f, d and g the number as float.hex() writes it;
             or the name of the exception

It is Value() itself that is asked. The table is kept as it came from CPython 3.11 on x86-64 Linux.
"""

import ctypes
import sys
from multiprocessing.sharedctypes import Value

INTEGERS = sorted({sign * (1 << bits) + delta for bits in (0, 1, 7, 8, 15, 16, 31, 32, 63, 64) for delta in (-2, -1, 0, 1, 2, 5)
                   for sign in (1, -1)} | {0, 65, 300, 10**12, 12345678901234567})
FRACTIONS = "0.5 -0.5 1.5 3.1 -2.75 1e-3 1e10 16777217.0 1e38 1e39 1e300 -1e300 1e308 4.9e-324 1e-46 0.1".split()
TYPES = {code: code for code in "cbBhHiIlLqQfd"} | {"?": ctypes.c_bool, "g": ctypes.c_longdouble}


def outcome(kind, value):
    try:
        got = Value(kind, value).value
    except (TypeError, ValueError, OverflowError) as error:
        return type(error).__name__
    if isinstance(got, float):
        return got.hex()
    return str(int(got)) if not isinstance(got, bytes) else str(got[0])


def main():
    print(f"# CPython {sys.version.split()[0]}; made by gen_python_values.py, which says what the columns are")
    for code, kind in TYPES.items():
        for number in INTEGERS:
            print(code, number, outcome(kind, number), sep="\t")
        for text in FRACTIONS:
            print(code, text, outcome(kind, float(text)), sep="\t")


main()
