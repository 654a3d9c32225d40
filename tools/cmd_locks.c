/* SPDX-License-Identifier: MIT */
/* shvdump locks: lock objects and the own locks of values. */
#include "config.h"

#include "tools/look.h"
#include "tools/sample.h"
#include "tools/shvdump.h"
#include "tools/sort.h"
#include "tools/text.h"

#include <stdlib.h>

/* A lock that passed the filters, and what the first of two looks knew of it. */
struct lock_row {
	shv_arena *a;
	struct shv_lock_info l;
	const struct look *processes;
	const struct sample *first; /* NULL: there was one look only */
	uint64_t now;             /* of this look */
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

/* A lock is not held longer than its holder's process is attached. */
static void since_cell(const struct lock_row *row, struct cell *c)
{
	const struct look_process *p = look_process(row->processes, row->l.holder.process);

	if (!p || p->p.pid != row->l.holder.pid || p->p.start_time != row->l.holder.start_time)
		return;
	text_time(c->buf, sizeof(c->buf), p->p.attached);
	cell_text(c, c->buf);
}

static void two_looks_cell(const struct lock_row *row, int column, struct cell *c)
{
	const struct sample_lock *before = row->first ? sample_find(row->first, row->l.ref) : NULL;

	if (!before)
		return;
	if (column == LCK_RATE)
		cell_real(c, sample_rate(row->l.acquisitions - before->acquisitions, row->now - row->first->when));
	else if (row->l.held && before->held && row->l.acquisitions == before->acquisitions)
		cell_real(c, (double)(row->now - row->first->when) / 1e9);
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
	case LCK_RATE:
	case LCK_HELDFOR:
		if (l->lock != SHV_LOCK_POLICY)
			two_looks_cell(row, column, c);
		break;
	case LCK_SINCE:
		if (l->held)
			since_cell(row, c);
		break;
	default:
		if (l->held || l->abandoned)
			holder_cell(&l->holder, column, c);
		break;
	}
}

static bool wanted(const struct options *o, const struct shv_lock_info *l)
{
	return (!o->held || l->held) && (!o->dead || l->abandoned) && (!o->waiters || l->waiters);
}

static int rows(struct run *r, struct lock_row *row)
{
	uint64_t cursor = 0, n = 0;
	int code = 0;

	while ((!r->opt.limit || n < r->opt.limit) && (code = shv_lock_next(r->a, &cursor, &row->l)) == 1)
		if (wanted(&r->opt, &row->l)) {
			emit_row(&r->out, lock_cell, row);
			n++;
		}
	return code < 0 ? code : 0;
}

static void *lock_at(void *ctx, size_t i)
{
	return (struct lock_row *)ctx + i;
}

static int sorted(struct run *r, struct lock_row *row, int column, bool down)
{
	size_t n = 0, room = 0;
	struct lock_row *all = NULL;
	uint64_t cursor = 0;
	int code;

	while ((code = shv_lock_next(r->a, &cursor, &row->l)) == 1) {
		if (!wanted(&r->opt, &row->l))
			continue;
		code = look_grow(&all, n, &room, sizeof(*all));
		if (code)
			break;
		all[n++] = *row;
	}
	if (!code)
		code = sort_rows(r, lock_cell, lock_at, all, n, column, down);
	free(all);
	return code;
}

/* With --interval, what only two looks tell is among the usual columns. */
static int choose(struct run *r, struct selection *columns)
{
	const char *list = r->opt.columns;

	if (!list && r->opt.interval > 0)
		list = "+RATE,HELDFOR";
	return columns_select(columns, &locks_columns, list, r->opt.all_columns);
}

int cmd_locks(struct run *r)
{
	struct lock_row row = { .a = r->a, .l = { .size = sizeof(row.l) } };
	struct selection columns;
	struct sample first = { 0 };
	struct look processes;
	int code, column;
	bool down;

	if (choose(r, &columns) || sort_column(r, &locks_columns, &column, &down))
		return STATUS_FAILED;
	code = look(&processes, r->a, LOOK_HURRY);
	if (!code && r->opt.interval > 0) {
		code = sample_locks(&first, r->a, NULL);
		sample_sleep(r->opt.interval);
		row.first = &first;
	}
	if (!code) {
		row.processes = &processes;
		row.now = clock_now();
		emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
		emit_table(&r->out, "locks", &columns, EMIT_ROWS);
		code = column >= 0 ? sorted(r, &row, column, down) : rows(r, &row);
		emit_table_end(&r->out);
		emit_end(&r->out);
	}
	sample_free(&first);
	look_free(&processes);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}
