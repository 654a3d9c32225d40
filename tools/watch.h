/* SPDX-License-Identifier: MIT */
/* shvdump watch: its tables, which the screen and --once both show. */
#ifndef SHV_TOOLS_WATCH_H
#define SHV_TOOLS_WATCH_H

#include "tools/sample.h"
#include "tools/shvdump.h"
#include "tools/sort.h"

/* Two samples: `now` was compared with `before` when it was taken. */
struct watch {
	struct run *run;
	struct sample before, now;
};

enum watch_table { WATCH_LOCKS, WATCH_PROCESSES, WATCH_TYPES, WATCH_TABLES };

/* One of the tables: rows 0 to rows(w) - 1. */
struct watch_list {
	const char *key;          /* in JSON */
	const struct columns *columns;
	int sorted;               /* by this column, largest first, unless one says otherwise */
	cell_of cell;
	size_t (*rows)(const struct watch *w);
};
extern const struct watch_list watch_lists[WATCH_TABLES];

/* What cells are asked for. */
struct watch_row {
	const struct watch *w;
	size_t i;
	char name[256];
};

void watch_change_cell(void *ctx, int column, struct cell *c); /* ctx: struct watch */
/* Take the next sample; what was `now` becomes `before`. 0, or a negative errno. */
int watch_step(struct watch *w);
void watch_free(struct watch *w);

/* The screen (watch_screen.c). An exit status. */
int watch_screen(struct watch *w);

#endif /* SHV_TOOLS_WATCH_H */
