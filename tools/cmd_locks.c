/* SPDX-License-Identifier: MIT */
/* shvdump locks: lock objects and the own locks of values. */
#include "config.h"

#include "tools/shvdump.h"

struct lock_row {
	shv_arena *a;
	struct shv_lock_info l;
};

/* What the words of the built-in policies tell. */
static void word_cell(const struct shv_lock_info *l, int column, struct cell *c)
{
	switch (column) {
	case LCK_STATE:
		cell_text(c, lock_state(l->held, l->abandoned, l->condemned));
		break;
	case LCK_DEPTH:
		cell_number(c, l->depth);
		break;
	case LCK_WAITERS:
		cell_bool(c, l->waiters);
		break;
	case LCK_SEQ:
		cell_number(c, l->acquisitions);
		break;
	default:
		break;
	}
}

static void holder_cell(const struct shv_holder *h, int column, struct cell *c)
{
	switch (column) {
	case LCK_HOLDER:
		cell_holder(c, h);
		break;
	case LCK_HPID:
		if (h->pid)
			cell_number(c, (uint64_t)h->pid);
		break;
	case LCK_HTID:
		if (h->tid)
			cell_number(c, (uint64_t)h->tid);
		break;
	case LCK_HCOMMAND:
		cell_text(c, h->command);
		break;
	default:
		cell_bool(c, h->alive);
		break;
	}
}

static void lock_cell(void *ctx, int column, struct cell *c)
{
	const struct lock_row *row = ctx;
	const struct shv_lock_info *l = &row->l;

	switch (column) {
	case LCK_REF:
		cell_ref(c, l->ref);
		break;
	case LCK_NAME:
		cell_name(c, row->a, l->ref);
		break;
	case LCK_OBJECT:
		cell_bool(c, l->object);
		break;
	case LCK_LOCK:
		cell_text(c, l->policy);
		break;
	case LCK_STATE:
	case LCK_DEPTH:
	case LCK_WAITERS:
	case LCK_SEQ:
		if (l->lock != SHV_LOCK_POLICY)
			word_cell(l, column, c);
		break;
	default:
		if (l->held || l->abandoned)
			holder_cell(&l->holder, column, c);
		break;
	}
}

static int rows(struct run *r, struct lock_row *row)
{
	uint64_t cursor = 0;
	int code;

	while ((code = shv_lock_next(r->a, &cursor, &row->l)) == 1) {
		if ((r->opt.held && !row->l.held) || (r->opt.dead && !row->l.abandoned))
			continue;
		emit_row(&r->out, lock_cell, row);
	}
	return code;
}

int cmd_locks(struct run *r)
{
	struct lock_row row = { .a = r->a, .l = { .size = sizeof(row.l) } };
	struct selection columns;
	int code;

	if (columns_select(&columns, &locks_columns, r->opt.columns, r->opt.all_columns))
		return STATUS_FAILED;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	emit_table(&r->out, "locks", &columns, EMIT_ROWS);
	code = rows(r, &row);
	emit_table_end(&r->out);
	emit_end(&r->out);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}
