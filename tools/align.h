/* SPDX-License-Identifier: MIT */
/*
 * The lines of a long table behind its first batch: as libsmartcols would write them, in columns as wide as it made them then. What
 * does not fit widens its column from there on, or is cut if the output is a terminal and the column may be.
 *
 * libsmartcols decodes each character of each cell some three times, to escape it and to measure the column: 5.5 s for a million
 * objects. Where the widths are settled a line can be written as it comes, and ASCII needs no decoding: 1.5 s.
 */
#ifndef SHV_TOOLS_ALIGN_H
#define SHV_TOOLS_ALIGN_H

#include "tools/columns.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct align {
	size_t n;
	struct {
		size_t width;
		bool right, cut;
	} column[COLUMNS_MAX];
};

/* One cell and what separates it from the next; behind the last a newline. text: as text_for_table() leaves it. */
void align_cell(struct align *a, FILE *out, size_t column, const char *text);

#endif /* SHV_TOOLS_ALIGN_H */
