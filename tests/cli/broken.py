#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Broken snapshots: broken.py SNAPSHOT FOLDER [all] writes copies of it with damage, one a file.

Each field that docs/FORMAT.md names is broken in turn, in the first and the last row in use; there are files of zeros, of
ones and of chance, and some that end too early. Prints the names of the files. SHV_SEED chooses chance.
"""
import os
import random
import struct
import sys

SUPER = {  # offset: (size, name)
    0: (8, 'magic'), 8: (4, 'format'), 12: (4, 'stamp'), 16: (8, 'features_optional'), 24: (8, 'features_required'),
    32: (8, 'capacity'), 40: (8, 'created'), 48: (8, 'uuid'), 64: (8, 'name'), 128: (4, 'page_shift'),
    132: (4, 'max_processes'), 136: (4, 'max_threads'), 140: (4, 'max_chunks'), 144: (8, 'max_pages'),
    152: (8, 'policies_off'), 160: (8, 'graves_off'), 168: (8, 'processes_off'), 176: (8, 'threads_off'),
    184: (8, 'types_off'), 192: (8, 'types_text_off'), 200: (8, 'chunks_off'), 208: (8, 'map_off'),
    216: (8, 'sums_off'), 224: (8, 'data_off'), 232: (8, 'sums_level_off'), 304: (4, 'levels'), 308: (4, 'flags'),
    312: (8, 'checksum'), 352: (8, 'pool_pages'), 360: (8, 'chunks_high'), 368: (4, 'processes_high'),
    372: (4, 'threads_high'), 376: (4, 'types'), 380: (4, 'policies'), 392: (8, 'graves'), 400: (8, 'names_root'),
    408: (8, 'names_used'), 416: (8, 'names_live'), 464: (8, 'recovery_lock'), 528: (8, 'names_lock'),
    592: (8, 'types_lock'), 656: (8, 'policies_lock'), 720: (8, 'pool_lock'), 784: (4, 'pool_active'),
    792: (8, 'pool_run'), 872: (4, 'recovery_active'), 952: (4, 'names_active'),
}
PROCESS = {0: (8, 'word'), 8: (8, 'start'), 32: (4, 'pid'), 40: (8, 'command'), 128: (8, 'head')}
THREAD = {0: (8, 'word'), 8: (4, 'tid'), 12: (4, 'held'), 16: (4, 'handed'), 24: (8, 'name')}
TYPE = {0: (8, 'hash'), 8: (8, 'size'), 16: (4, 'align'), 20: (4, 'format_len'), 24: (4, 'name_len'), 28: (4, 'text')}
SLOT = {0: (2, 'state'), 2: (1, 'class'), 3: (1, 'lead'), 4: (4, 'generation'), 8: (4, 'offset'), 12: (3, 'type'), 15: (1, 'policy')}


def word(data, at, fmt='<Q'):
    return struct.unpack_from(fmt, data, at)[0]


def fields(data):
    """(offset, size, name) of everything that can be broken."""
    for at, (size, name) in SUPER.items():
        yield at, size, 'super-' + name
    policies, graves, processes, threads, types, text, chunks, pages, sums, pool = struct.unpack_from('<10Q', data, 152)
    tables = [(processes, 256, word(data, 368, '<I'), PROCESS, 'process'), (threads, 64, word(data, 372, '<I'), THREAD, 'thread'),
              (types, 32, word(data, 376, '<I'), TYPE, 'type'),
              (policies, 64, word(data, 380, '<I'), {0: (4, 'size'), 4: (4, 'align'), 8: (8, 'name')}, 'policy')]
    for base, size, n, table, name in tables:
        for row in {0, n - 1} if n else ():
            for at, (width, field) in table.items():
                yield base + row * size + at, width, '%s%d-%s' % (name, row, field)
    yield graves, 8, 'grave'
    yield text, 4, 'text'
    used = [i for i in range(word(data, 352)) if word(data, pages + 8 * i)]
    for i in {used[0], used[1], used[len(used) // 2], used[-1]}:
        yield pages + 8 * i, 4, 'page%d-state' % i
        yield pages + 8 * i + 4, 4, 'page%d-generation' % i
    yield sums, 8, 'sums'
    yield sums + 8, 8, 'sums-end'
    root = word(data, 400)
    names = pool + 4096 * (root & 0xffffffff)
    for i in range(0, (1 << (root >> 32 & 0xff)) * 8, 8):
        if word(data, names + i):
            yield names + i, 4, 'name-slot'
            yield names + i + 4, 4, 'name-hash'
            break
    seen = set()
    for c in range(1, word(data, 360)):
        first = word(data, chunks + 8 * c, '<I')
        if not first:
            continue
        yield chunks + 8 * c, 4, 'chunk%d-page' % c
        yield chunks + 8 * c + 4, 4, 'chunk%d-floor' % c
        for i in range(4096):
            at = pool + 4096 * first + 16 * i
            w, what = word(data, at), word(data, at + 8)
            kind = (w & 15, what >> 53)  # one of each kind and policy
            if w & 15 != 2 or kind in seen:
                continue
            seen.add(kind)
            label = 'slot%d-' % (c * 4096 + i)
            for off, (width, field) in SLOT.items():
                yield at + off, width, label + field
            block = (what & ((1 << 38) - 1)) << 4
            lead = (w >> 24 & 255) * 8
            yield block + lead, 4, label + 'header-slot'
            yield block + lead + 4, 4, label + 'header-flags'
            yield block + lead + 8, 8, label + 'payload'
            for k in range(0, lead, 8):
                yield block + k, 8, label + 'lead%d' % k


def main():
    source, folder = sys.argv[1:3]
    everything = len(sys.argv) > 3
    data = open(source, 'rb').read()
    chance = random.Random(int(os.environ.get('SHV_SEED', '1'), 0))
    n = 0

    def write(name, parts, size=len(data)):
        nonlocal n
        path = '%s/%04d-%s' % (folder, n, name)
        n += 1
        with open(path, 'wb') as out:
            for at, b in parts:
                out.seek(at)
                out.write(b)
            out.truncate(size)
        print(path)

    full = [(at, data[at:at + 4096]) for at in range(0, len(data), 4096) if any(data[at:at + 4096])]
    for at, size, name in fields(data):
        was = data[at:at + size]
        broken = [b'\xff' * size, bytes(size)] if everything else [b'\xff' * size if chance.random() < .6 else bytes(size)]
        broken.append(bytes(chance.randrange(256) for _ in range(size)))
        for b in broken if everything else broken[chance.randrange(2):][:1]:
            if b != was:
                write(name, full + [(at, b)])
    ends = [at for at, _ in full] + [at + 4096 for at, _ in full] if not everything else list(range(0, len(data), 65536)) + [at for at, _ in full]
    for end in sorted(set(ends)):
        if end < len(data):
            write('short-%d' % end, [(at, b[:max(0, end - at)]) for at, b in full if at < end], end)
    write('zeros', [])
    write('ones', [(0, b'\xff' * len(data))])
    for i in range(40 if everything else 4):
        write('chance-%d' % i, [(at, bytes(chance.randrange(256) for _ in range(4096))) for at, _ in full])
        write('chance-behind-%d' % i, full[:1] + [(at, bytes(chance.randrange(256) for _ in range(4096))) for at, _ in full[1:]])
        which = chance.choice(full[1:])[0]
        write('page-of-ones-%d' % i, full + [(which, b'\xff' * 4096)])


main()
