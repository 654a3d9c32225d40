/* SPDX-License-Identifier: MIT */
/* shvdump leaks: live objects whose creator is gone, by type, kind and size. */
#include "config.h"

#include "tools/look.h"
#include "tools/shvdump.h"
#include "tools/sort.h"

#include <stdio.h>

struct leak_row {
	const struct look *l;
	const struct look_leak *k;
};

static void leak_cell(void *ctx, int column, struct cell *c)
{
	const struct leak_row *row = ctx;
	const struct look_leak *k = row->k;
	const struct look_type *t = k->kind == SHV_KIND_LOCK ? NULL : look_type(row->l, k->type);

	switch (column) {
	case LEA_TYPE:
		cell_text(c, t ? t->t.name : NULL);
		break;
	case LEA_KIND:
		cell_text(c, kind_name(k->kind));
		break;
	case LEA_BYTES:
		cell_size(c, k->block);
		break;
	case LEA_OBJECTS:
		cell_number(c, k->objects);
		break;
	case LEA_TOTAL:
		cell_size(c, k->objects * k->block);
		break;
	case LEA_NAMED:
		cell_number(c, k->named);
		break;
	case LEA_LOCKED:
		cell_number(c, k->abandoned);
		break;
	case LEA_EXAMPLE:
		cell_ref(c, k->example);
		break;
	default:
		break;
	}
}

static void *leak_at(void *ctx, size_t i)
{
	struct leak_row *row = ctx;

	row->k = &row->l->leaks[i];
	return row;
}

int cmd_leaks(struct run *r)
{
	struct selection columns;
	struct leak_row row;
	int code, column;
	struct look l;
	bool down;

	if (columns_select(&columns, &leaks_columns, r->opt.columns, r->opt.all_columns) ||
	    sort_column(r, &leaks_columns, &column, &down))
		return STATUS_FAILED;
	code = look(&l, r->a, LOOK_OBJECTS);
	if (code < 0)
		return complain(NULL, code);
	row.l = &l;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	emit_table(&r->out, "leaks", &columns, EMIT_ROWS);
	code = sort_rows(r, leak_cell, leak_at, &row, l.leaks_n, column >= 0 ? column : LEA_TOTAL, column < 0 || down);
	emit_table_end(&r->out);
	emit_number(&r->out, "objects", l.leaked);
	emit_number(&r->out, "bytes", l.leaked_bytes);
	tell_approximate(r, l.approximate);
	emit_end(&r->out);
	look_free(&l);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}
