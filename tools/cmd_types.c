/* SPDX-License-Identifier: MIT */
/* shvdump types: what types the arena knows, and how much there is of each. */
#include "config.h"

#include "tools/shvdump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct type_use {
	uint64_t objects, payload;
};

struct type_row {
	struct shv_type_info t;
	struct type_use *use;     /* by id */
	uint32_t use_n;
};

static void type_cell(void *ctx, int column, struct cell *c)
{
	const struct type_row *row = ctx;
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
		cell_number(c, t->id < row->use_n ? row->use[t->id].objects : 0);
		break;
	case TYP_PAYLOAD:
		cell_size(c, t->id < row->use_n ? row->use[t->id].payload : 0);
		break;
	default:
		break;
	}
}

static int count(struct type_row *row, const struct shv_value_info *v)
{
	if (v->type >= row->use_n) {
		uint32_t n = v->type + 64;
		struct type_use *use = realloc(row->use, n * sizeof(*use));
		if (!use)
			return -ENOMEM;
		memset(use + row->use_n, 0, (n - row->use_n) * sizeof(*use));
		row->use = use;
		row->use_n = n;
	}
	row->use[v->type].objects++;
	row->use[v->type].payload += v->bytes;
	return 0;
}

static int count_all(struct run *r, struct type_row *row)
{
	struct shv_value_info v = { .size = sizeof(v) };
	uint64_t cursor = 0;
	int code;

	while ((code = shv_value_next(r->a, &cursor, &v)) == 1) {
		if (v.kind == SHV_KIND_LOCK)
			continue;
		code = count(row, &v);
		if (code)
			return code;
	}
	return code;
}

static int rows(struct run *r, struct type_row *row)
{
	uint64_t cursor = 0;
	int code;

	while ((code = shv_type_next(r->a, &cursor, &row->t)) == 1)
		emit_row(&r->out, type_cell, row);
	return code;
}

int cmd_types(struct run *r)
{
	struct type_row row = { .t = { .size = sizeof(row.t) } };
	struct selection columns;
	int code = 0;

	if (columns_select(&columns, &types_columns, r->opt.columns, r->opt.all_columns))
		return STATUS_FAILED;
	if (columns_selected(&columns, TYP_OBJECTS) || columns_selected(&columns, TYP_PAYLOAD))
		code = count_all(r, &row);
	if (!code) {
		emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
		emit_table(&r->out, "types", &columns, EMIT_ROWS);
		code = rows(r, &row);
		emit_table_end(&r->out);
		emit_end(&r->out);
	}
	free(row.use);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}
