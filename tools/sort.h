/* SPDX-License-Identifier: MIT */
/* Rows of a table that is in memory, sorted by what a column shows. */
#ifndef SHV_TOOLS_SORT_H
#define SHV_TOOLS_SORT_H

#include "tools/shvdump.h"

/* What a row is for cell(): at(ctx, i) for row i. */
typedef void *(*row_at)(void *ctx, size_t i);

/*
 * order[0 .. n - 1]: the rows as `column` sorts them, or as they are if it is negative. Equal ones stay in their order; empty cells
 * come first. 0, or -ENOMEM.
 */
int sort_order(cell_of cell, row_at at, void *ctx, size_t n, int column, bool down, size_t *order);
/*
 * Emit rows 0 to n - 1 in that order, at most --limit of them. 0, or -ENOMEM.
 */
int sort_rows(struct run *r, cell_of cell, row_at at, void *ctx, size_t n, int column, bool down);

#endif /* SHV_TOOLS_SORT_H */
