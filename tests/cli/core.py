#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""core.py OUT NAME=FILE...: a core file (ELF, 64 bits) of a process that had these files mapped as the arenas of these names.

What the kernel writes has threads, registers and hundreds of mappings besides; shvdump looks at NT_FILE and PT_LOAD alone.
NAME=FILE@BYTES: only so many bytes were dumped.
"""
import struct
import sys

PAGE = 4096


def main():
    arenas = []
    address = 0x7f0000000000
    for arg in sys.argv[2:]:
        name, path = arg.split('=', 1)
        path, _, limit = path.partition('@')
        data = open(path, 'rb').read()
        arenas.append((address, name, data, min(len(data), int(limit or len(data)))))
        address += len(data) + (1 << 30)
    maps = [(0x400000, 0x401000, 0, b'/bin/true')]
    for start, name, data, _ in arenas:
        path = b'/memfd:shv:' + name.encode() + b' (deleted)'
        maps += [(start - 0x100000, start - 0x100000 + PAGE, 0, path)]  # shows that the process lives
        maps += [(start, start + len(data), 0, path)]
    desc = struct.pack('=QQ', len(maps), PAGE) + b''.join(struct.pack('=QQQ', *m[:3]) for m in maps) + b''.join(m[3] + b'\0' for m in maps)
    note = struct.pack('=III', 5, len(desc), 0x46494c45) + b'CORE\0\0\0\0' + desc + bytes(-len(desc) % 4)
    headers = 1 + len(arenas)
    at = 64 + 56 * headers
    ident = b'\x7fELF' + bytes([2, 1 if sys.byteorder == 'little' else 2, 1]) + bytes(9)
    out = open(sys.argv[1], 'wb')
    out.write(ident + struct.pack('=HHIQQQIHHHHHH', 4, 62, 1, 0, 64, 0, 0, 64, 56, headers, 0, 0, 0))
    out.write(struct.pack('=IIQQQQQQ', 4, 0, at, 0, 0, len(note), 0, 4))
    end = (at + len(note) + PAGE - 1) // PAGE * PAGE
    for start, _, data, dumped in arenas:
        out.write(struct.pack('=IIQQQQQQ', 1, 6, end, start, 0, dumped, len(data), PAGE))
        out_at = out.tell()
        for i in range(0, dumped, PAGE):
            if any(data[i:i + PAGE]):
                out.seek(end + i)
                out.write(data[i:min(i + PAGE, dumped)])
        out.seek(out_at)
        end += (dumped + PAGE - 1) // PAGE * PAGE
    out.seek(at)
    out.write(note)
    out.truncate(end)


main()
