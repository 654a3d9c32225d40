/* SPDX-License-Identifier: MIT */
/*
 * Arenas in core files. The arena's mapping is in a core only if the process attached (or created) with SHV_DUMP, or if the core was
 * made by a tool that takes everything.
 */
#ifndef SHV_TOOLS_CORE_H
#define SHV_TOOLS_CORE_H

#include <shv/shv.h>
#include <stdbool.h>

/* Is the file that fd leads to a core file that this build can read (ELF, 64 bits, byte order of this machine)? */
bool core_is_one(int fd);
/*
 * Open the arena in it, read-only: the only one, or that of `name`. 0 and *a, or an exit status: the reason, and what there is to
 * choose from, is printed.
 */
int core_open(int fd, const char *path, const char *name, shv_arena **a);

#endif /* SHV_TOOLS_CORE_H */
