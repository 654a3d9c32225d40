/* SPDX-License-Identifier: MIT */
/*
 * The page map scaled down to a number of cells, for pictures: each cell stands for as many pages, a power of two, and shows
 * what most of its used pages are. Orphaned ones win, however few: they are what one looks for.
 */
#ifndef SHV_TOOLS_MAP_H
#define SHV_TOOLS_MAP_H

#include "tools/look.h"

/* A process that owns pages, largest first; a slot whose process is not known any more has pid 0. */
struct map_owner {
	uint32_t slot;
	uint64_t pages;
	const struct look_process *process; /* NULL: not known */
};

struct map_cell {
	enum shv_page_state state; /* of most that is not free; FREE: all of them are */
	size_t owner;              /* of OWNED: index of owners */
	bool whole;                /* nothing else is in it */
};

struct map {
	uint64_t pages;           /* of the pool */
	uint64_t per_cell;        /* pages */
	struct map_cell *cells;
	size_t cells_n;
	struct map_owner *owners;
	size_t owners_n;
};

/* l: with LOOK_RUNS. most: cells. 0, or -ENOMEM. */
int map_make(struct map *m, const struct look *l, size_t most);
void map_free(struct map *m);

#endif /* SHV_TOOLS_MAP_H */
