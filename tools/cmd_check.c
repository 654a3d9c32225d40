/* SPDX-License-Identifier: MIT */
/* shvdump check: is the arena sound? Exit status 2 if not. */
#include "config.h"

#include "tools/shvdump.h"

#include <stdio.h>

static void finding_cell(void *ctx, int column, struct cell *c)
{
	(void)column;
	cell_text(c, *(const char *const *)ctx);
}

/* shv_check() tells of one finding. */
static void finding(void *ctx, const char *what)
{
	struct run *r = ctx;

	emit_row(&r->out, finding_cell, &what);
}

int cmd_check(struct run *r)
{
	struct selection columns;
	int n;

	if (columns_select(&columns, &findings_columns, NULL, false))
		return STATUS_FAILED;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	emit_table(&r->out, "findings", &columns, EMIT_ROWS);
	n = shv_check(r->a, finding, r);
	emit_table_end(&r->out);
	emit_bool(&r->out, "sound", n == 0);
	emit_end(&r->out);
	if (n < 0)
		return complain(NULL, n);
	if (n == 0 && r->out.mode == EMIT_TABLE)
		puts("sound");
	if (n > 0)
		fprintf(stderr, "shvdump: %d finding%s\n", n, n == 1 ? "" : "s");
	return n ? STATUS_DAMAGE : STATUS_FINE;
}
