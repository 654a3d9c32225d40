/* SPDX-License-Identifier: MIT */
/* shvdump watch: what changes between two samples. The screen is in watch_screen.c. */
#include "config.h"

#include "tools/watch.h"

#include <stdio.h>
#include <unistd.h>

#define USUAL_INTERVAL 1.0
#define USUAL_LIMIT 20u

/* ---- totals ---------------------------------------------------------------------------------------------- */

static void sum_counts(const struct sample *s, uint64_t *created, uint64_t *freed)
{
	*created = *freed = 0;
	for (size_t i = 0; i < s->l.processes_n; i++) {
		*created += s->l.processes[i].p.created;
		*freed += s->l.processes[i].p.freed;
	}
}

/* The counts of a process that went away between the samples are missing from the second one: not below 0. */
static uint64_t less(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void rate_cell(const struct watch *w, int column, struct cell *c)
{
	uint64_t created[2], freed[2], ns = w->now.when - w->before.when;

	sum_counts(&w->before, &created[0], &freed[0]);
	sum_counts(&w->now, &created[1], &freed[1]);
	if (column == CHG_SECONDS)
		cell_real(c, (double)ns / 1e9);
	else if (column == CHG_CREATED)
		cell_real(c, sample_rate(less(created[1], created[0]), ns));
	else if (column == CHG_FREED)
		cell_real(c, sample_rate(less(freed[1], freed[0]), ns));
	else
		cell_real(c, sample_rate(w->now.taken, ns));
}

void watch_change_cell(void *ctx, int column, struct cell *c)
{
	const struct watch *w = ctx;
	const struct shv_stat *st = &w->now.l.st, *old = &w->before.l.st;

	switch (column) {
	case CHG_OBJECTS:
		cell_number(c, st->objects);
		break;
	case CHG_LIVE:
		cell_size(c, st->bytes_live);
		break;
	case CHG_RESIDENT:
		cell_size(c, st->bytes_resident);
		break;
	case CHG_PAGES:
		cell_number(c, st->pages - st->pages_free);
		break;
	case CHG_HELD:
		cell_number(c, w->now.held);
		break;
	case CHG_WAITED:
		cell_number(c, w->now.waited);
		break;
	case CHG_ABANDONED:
		cell_number(c, w->now.abandoned);
		break;
	case CHG_PROCESSES:
		cell_number(c, st->processes);
		break;
	case CHG_DEAD:
		cell_number(c, st->processes_dead);
		break;
	case CHG_OBJECTSGREW:
		cell_growth(c, old->objects, st->objects, false);
		break;
	case CHG_LIVEGREW:
		cell_growth(c, old->bytes_live, st->bytes_live, true);
		break;
	case CHG_RESIDENTGREW:
		cell_growth(c, old->bytes_resident, st->bytes_resident, true);
		break;
	default:
		rate_cell(w, column, c);
		break;
	}
}

/* ---- the lists ------------------------------------------------------------------------------------------- */

static size_t hot_rows(const struct watch *w)
{
	return w->now.hot_n;
}

static void hot_cell(void *ctx, int column, struct cell *c)
{
	struct watch_row *row = ctx;
	const struct watch *w = row->w;
	const struct sample_hot *h = &w->now.hot[row->i];

	switch (column) {
	case HOT_REF:
		cell_ref(c, h->k.ref);
		break;
	case HOT_NAME:
		cell_name(c, w->run->a, h->k.ref);
		break;
	case HOT_LOCK:
		cell_text(c, h->k.policy);
		break;
	case HOT_STATE:
		cell_text(c, lock_state(h->k.held, h->k.abandoned, h->k.condemned));
		break;
	case HOT_WAITERS:
		cell_bool(c, h->k.waiters);
		break;
	case HOT_RATE:
		cell_real(c, sample_rate(h->taken, w->now.when - w->before.when));
		break;
	case HOT_HELDFOR:
		if (h->k.held && h->since != w->now.when)
			cell_real(c, (double)(w->now.when - h->since) / 1e9);
		break;
	case HOT_HOLDER:
		if (h->k.held || h->k.abandoned)
			cell_holder(c, &h->k.holder);
		break;
	default:
		break;
	}
}

static size_t busy_rows(const struct watch *w)
{
	return w->now.l.processes_n;
}

static void busy_cell(void *ctx, int column, struct cell *c)
{
	const struct watch_row *row = ctx;
	const struct watch *w = row->w;
	const struct shv_process_info *p = &w->now.l.processes[row->i].p;
	const struct look_process *old = look_process(&w->before.l, p->slot);
	uint64_t ns = w->now.when - w->before.when;
	bool known = old && old->p.generation == p->generation;

	switch (column) {
	case BSY_PID:
		cell_number(c, (uint64_t)p->pid);
		break;
	case BSY_COMMAND:
		cell_text(c, p->command);
		break;
	case BSY_STATE:
		cell_text(c, p->alive ? "alive" : "dead");
		break;
	case BSY_LOCKS:
		cell_number(c, p->locks_held);
		break;
	case BSY_MEM:
		cell_size(c, p->bytes);
		break;
	case BSY_CREATED:
		cell_real(c, sample_rate(less(p->created, known ? old->p.created : 0), ns));
		break;
	case BSY_FREED:
		cell_real(c, sample_rate(less(p->freed, known ? old->p.freed : 0), ns));
		break;
	case BSY_MEMGREW:
		cell_growth(c, known ? old->p.bytes : 0, p->bytes, true);
		break;
	default:
		break;
	}
}

/* Types that are used; those that are not come last in the list of all. */
static size_t growth_rows(const struct watch *w)
{
	return w->now.l.types_n;
}

static void growth_cell(void *ctx, int column, struct cell *c)
{
	const struct watch_row *row = ctx;
	const struct look_type *t = &row->w->now.l.types[row->i];
	const struct look_type *old = look_type(&row->w->before.l, t->t.id);

	switch (column) {
	case GRO_TYPE:
		cell_text(c, t->t.name);
		break;
	case GRO_OBJECTS:
		cell_number(c, t->objects);
		break;
	case GRO_TOTAL:
		cell_size(c, t->bytes);
		break;
	case GRO_OBJECTSGREW:
		cell_growth(c, old ? old->objects : 0, t->objects, false);
		break;
	case GRO_TOTALGREW:
		cell_growth(c, old ? old->bytes : 0, t->bytes, true);
		break;
	default:
		break;
	}
}

const struct watch_list watch_lists[WATCH_TABLES] = {
	[WATCH_LOCKS] = { "locks", &hot_columns, HOT_RATE, hot_cell, hot_rows },
	[WATCH_PROCESSES] = { "processes", &busy_columns, BSY_CREATED, busy_cell, busy_rows },
	[WATCH_TYPES] = { "types", &growth_columns, GRO_TOTAL, growth_cell, growth_rows },
};

/* ---- samples --------------------------------------------------------------------------------------------- */

/* A type without objects, before and now, is of no interest. */
static void drop_unused_types(struct sample *s, const struct sample *before)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->l.types_n; i++) {
		const struct look_type *old = look_type(&before->l, s->l.types[i].t.id);

		if (s->l.types[i].objects || (old && old->objects))
			s->l.types[kept++] = s->l.types[i];
	}
	s->l.types_n = kept;
}

int watch_step(struct watch *w)
{
	struct sample next;
	int r = sample_take(&next, w->run->a, w->now.when ? &w->now : NULL);

	if (r < 0) {
		sample_free(&next);
		return r;
	}
	drop_unused_types(&next, &w->now);
	sample_free(&w->before);
	w->before = w->now;
	w->now = next;
	return 0;
}

void watch_free(struct watch *w)
{
	sample_free(&w->before);
	sample_free(&w->now);
}

/* ---- --once ---------------------------------------------------------------------------------------------- */

static void *row_of(void *ctx, size_t i)
{
	struct watch_row *row = ctx;

	row->i = i;
	return row;
}

static int print_once(struct watch *w)
{
	struct run *r = w->run;
	struct selection columns;
	struct watch_row row = { .w = w };
	int code = 0;

	if (!r->opt.limit)
		r->opt.limit = USUAL_LIMIT;
	if (columns_select(&columns, &change_columns, NULL, true))
		return STATUS_FAILED;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	emit_table(&r->out, "change", &columns, EMIT_FACTS);
	emit_row(&r->out, watch_change_cell, w);
	emit_table_end(&r->out);
	for (int i = 0; i < WATCH_TABLES && !code; i++) {
		const struct watch_list *list = &watch_lists[i];

		if (columns_select(&columns, list->columns, NULL, true))
			return STATUS_FAILED;
		emit_table(&r->out, list->key, &columns, EMIT_ROWS);
		code = sort_rows(r, list->cell, row_of, &row, list->rows(w), list->sorted, true);
		emit_table_end(&r->out);
	}
	/* Of a moment are neither of the samples if things change, and that is what one looks for. */
	emit_bool(&r->out, "approximate", w->before.l.approximate || w->now.l.approximate);
	emit_end(&r->out);
	return code;
}

int cmd_watch(struct run *r)
{
	struct watch w = { .run = r };
	int code = 0;

	if (!r->opt.interval)
		r->opt.interval = USUAL_INTERVAL;
	if (!r->opt.once && r->out.mode == EMIT_TABLE && isatty(STDOUT_FILENO)) {
		code = watch_screen(&w);
		watch_free(&w);
		return code;
	}
	if (!r->opt.once) {
		fputs("shvdump: watch: standard output is no terminal, or --json or --raw was said: add --once\n", stderr);
		return STATUS_FAILED;
	}
	code = watch_step(&w);
	if (!code) {
		sample_sleep(r->opt.interval);
		code = watch_step(&w);
	}
	if (!code)
		code = print_once(&w);
	watch_free(&w);
	return code < 0 ? complain(NULL, code) : code;
}
