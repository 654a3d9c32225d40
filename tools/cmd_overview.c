/* SPDX-License-Identifier: MIT */
/* shvdump, without a command: the arena in totals, by lock policy, its pages, its processes. */
#include "config.h"

#include "tools/look.h"
#include "tools/shvdump.h"
#include "tools/text.h"

/* Columns whose cell is a number of struct shv_stat. */
struct total {
	size_t offset;
	bool narrow;              /* 32 bits */
	bool size;                /* bytes */
};
#define COUNT(m) { offsetof(struct shv_stat, m), sizeof(((struct shv_stat *)0)->m) == 4, false }
#define BYTES(m) { offsetof(struct shv_stat, m), false, true }

static const struct total totals[] = {
	[TOT_FORMAT] = COUNT(format),
	[TOT_CAPACITY] = BYTES(capacity),
	[TOT_FILE] = BYTES(file_size),
	[TOT_RESIDENT] = BYTES(bytes_resident),
	[TOT_LIVE] = BYTES(bytes_live),
	[TOT_PAYLOAD] = BYTES(bytes_payload),
	[TOT_OBJECTS] = COUNT(objects),
	[TOT_VALUES] = COUNT(values),
	[TOT_RAWS] = COUNT(raws),
	[TOT_ARRAYS] = COUNT(arrays),
	[TOT_STRINGS] = COUNT(strings),
	[TOT_LOCKS] = COUNT(locks),
	[TOT_PARTS] = COUNT(parts),
	[TOT_NAMES] = COUNT(names),
	[TOT_SLOTS] = COUNT(slots),
	[TOT_HELD] = COUNT(held),
	[TOT_GOING] = COUNT(going),
	[TOT_PROCESSES] = COUNT(processes),
	[TOT_DEAD] = COUNT(processes_dead),
	[TOT_LIMIT] = COUNT(max_processes),
	[TOT_THREADS] = COUNT(threads),
};

static void total_cell(void *ctx, int column, struct cell *c)
{
	const struct shv_stat *st = ctx;
	const char *at = (const char *)st + totals[column].offset;
	uint64_t n;

	switch (column) {
	case TOT_NAME:
		cell_text(c, st->name);
		return;
	case TOT_UUID:
		text_uuid(c->buf, sizeof(c->buf), st->uuid);
		cell_text(c, c->buf);
		return;
	case TOT_CREATED:
		text_time(c->buf, sizeof(c->buf), st->created);
		cell_text(c, c->buf);
		return;
	default:
		n = totals[column].narrow ? *(const uint32_t *)at : *(const uint64_t *)at;
		if (totals[column].size)
			cell_size(c, n);
		else
			cell_number(c, n);
		return;
	}
}

struct policy_row {
	const char *name;
	uint64_t values;
};

static void policy_cell(void *ctx, int column, struct cell *c)
{
	const struct policy_row *row = ctx;

	if (column == POL_LOCK)
		cell_text(c, row->name);
	else
		cell_number(c, row->values);
}

static void policies_table(struct run *r, const struct shv_stat *st, const struct selection *columns)
{
	static const char *const names[] = { [SHV_LOCK_RECURSIVE] = "recursive", [SHV_LOCK_PLAIN] = "plain",
					     [SHV_LOCK_HANDOFF] = "handoff",     [SHV_LOCK_NONE] = "none",
					     [SHV_LOCK_SHARED] = "shared",       [SHV_LOCK_POLICY] = "own policy" };

	emit_table(&r->out, "policies", columns, EMIT_ROWS);
	for (int i = SHV_LOCK_RECURSIVE; i <= SHV_LOCK_POLICY; i++) {
		struct policy_row row = { names[i], st->by_policy[i] };

		if (row.values || r->out.mode == EMIT_JSON)
			emit_row(&r->out, policy_cell, &row);
	}
	emit_table_end(&r->out);
}

struct page_row {
	const char *state;
	uint64_t pages, bytes;
};

static void page_cell(void *ctx, int column, struct cell *c)
{
	const struct page_row *row = ctx;

	if (column == PAG_STATE)
		cell_text(c, row->state);
	else if (column == PAG_PAGES)
		cell_number(c, row->pages);
	else
		cell_size(c, row->bytes);
}

static void pages_table(struct run *r, const struct shv_stat *st, const struct selection *columns)
{
	const struct page_row rows[] = {
		{ "owned", st->pages_owned, 0 },
		{ "orphaned", st->pages_orphaned, 0 },
		{ "directory", st->pages_slots, 0 },
		{ "system", st->pages_system, 0 },
		{ "free", st->pages_free, 0 },
	};

	emit_table(&r->out, "pages", columns, EMIT_ROWS);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct page_row row = rows[i];

		row.bytes = row.pages * st->page_size;
		emit_row(&r->out, page_cell, &row);
	}
	emit_table_end(&r->out);
}

int cmd_overview(struct run *r)
{
	struct selection facts, policies, pages, procs;
	bool approximate;
	struct look l;
	int code;

	if (columns_select(&facts, &totals_columns, NULL, true) ||
	    columns_select(&policies, &policies_columns, NULL, true) ||
	    columns_select(&pages, &pages_columns, NULL, true) ||
	    columns_select(&procs, &procs_columns, NULL, false))
		return STATUS_FAILED;
	code = look(&l, r->a, 0);
	if (code < 0)
		return complain(NULL, code);
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	emit_table(&r->out, "totals", &facts, EMIT_FACTS);
	emit_row(&r->out, total_cell, &l.st);
	emit_table_end(&r->out);
	policies_table(r, &l.st, &policies);
	pages_table(r, &l.st, &pages);
	code = procs_rows(r, "processes", &procs, &approximate);
	tell_approximate(r, l.approximate);
	emit_end(&r->out);
	look_free(&l);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}
