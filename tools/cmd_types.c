/* SPDX-License-Identifier: MIT */
/* shvdump types: what types the arena knows, and how much there is of each. */
#include "config.h"

#include "tools/look.h"
#include "tools/shvdump.h"
#include "tools/sort.h"

static void type_cell(void *ctx, int column, struct cell *c)
{
	const struct look_type *row = ctx;
	const struct shv_type_info *t = &row->t;

	switch (column) {
	case TYP_ID:
		cell_number(c, t->id);
		break;
	case TYP_NAME:
		cell_text(c, t->name);
		break;
	case TYP_FORMAT:
		cell_text(c, t->format);
		break;
	case TYP_BYTES:
		cell_size(c, t->bytes);
		break;
	case TYP_ALIGN:
		cell_number(c, t->align);
		break;
	case TYP_OBJECTS:
		cell_number(c, row->objects);
		break;
	case TYP_PAYLOAD:
		cell_size(c, row->payload);
		break;
	case TYP_TOTAL:
		cell_size(c, row->bytes);
		break;
	case TYP_LEAKED:
		cell_number(c, row->leaked);
		break;
	default:
		break;
	}
}

static void *type_at(void *ctx, size_t i)
{
	return &((struct look *)ctx)->types[i];
}

int cmd_types(struct run *r)
{
	struct selection columns;
	int code, column;
	struct look l;
	bool down;

	if (columns_select(&columns, &types_columns, r->opt.columns, r->opt.all_columns) ||
	    sort_column(r, &types_columns, &column, &down))
		return STATUS_FAILED;
	code = look(&l, r->a, LOOK_OBJECTS);
	if (code < 0)
		return complain(NULL, code);
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	emit_table(&r->out, "types", &columns, EMIT_ROWS);
	code = sort_rows(r, type_cell, type_at, &l, l.types_n, column, down);
	emit_table_end(&r->out);
	tell_approximate(r, l.approximate);
	emit_end(&r->out);
	look_free(&l);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}
