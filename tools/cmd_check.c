/* SPDX-License-Identifier: MIT */
/*
 * shvdump check: is the arena sound? Exit status 2 if not.
 *
 * With --repair: what the dead left in a live arena is put in order, by becoming a member, as any process does that attaches. That is
 * all the repair there is: it follows what is written in the arena and invents nothing. An arena in which something is wrong is left
 * alone, since writers trust what they find. A snapshot is not repaired in its file: restoring it recovers.
 */
#include "config.h"

#include "tools/shvdump.h"
#include "tools/target.h"

#include <errno.h>
#include <stdio.h>

struct repair {
	struct shv_stat before, after;
};

static uint64_t less(uint64_t before, uint64_t after)
{
	return before > after ? before - after : 0; /* others go on meanwhile */
}

static void repair_cell(void *ctx, int column, struct cell *c)
{
	const struct repair *p = ctx;

	switch (column) {
	case REP_DEAD:
		cell_number(c, p->before.processes_dead);
		break;
	case REP_RECOVERED:
		cell_number(c, less(p->before.processes_dead, p->after.processes_dead));
		break;
	case REP_PAGES:
		cell_number(c, less(p->before.pages_owned, p->after.pages_owned));
		break;
	default:
		cell_number(c, less(p->before.held + p->before.going, p->after.held + p->after.going));
		break;
	}
}

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

static int leave_alone(const char *why)
{
	fprintf(stderr, "shvdump: %s\n", why);
	return STATUS_FAILED;
}

/* Join, recover, leave. 0 or an exit status. */
static int recover(const struct run *r)
{
	shv_arena *a;
	int status = target_attach(r->target, 0, &a), code;

	if (status)
		return status;
	code = shv_arena_recover(a, NULL);
	status = code < 0 ? complain(NULL, code) : 0;
	(void)shv_arena_detach(a);
	return status;
}

static int repair(struct run *r, struct repair *p)
{
	int code, status;

	p->before = p->after = (struct shv_stat){ .size = sizeof(p->before) };
	code = shv_stat(r->a, &p->before);
	if (code < 0)
		return complain(NULL, code);
	if (p->before.snapshot_taken)
		return leave_alone("a snapshot is not repaired in its file: 'shvdump restore' makes a live arena of it, and recovers that");
	code = shv_check(r->a, NULL, NULL);
	if (code > 0)
		return 0; /* is told in the usual way */
	status = code < 0 ? complain(NULL, code) : recover(r);
	if (status)
		return status;
	code = shv_stat(r->a, &p->after);
	return code < 0 ? complain(NULL, code) : 0;
}

static void tell_repair(struct run *r, struct repair *p, const struct selection *columns)
{
	emit_table(&r->out, "repair", columns, EMIT_FACTS);
	emit_row(&r->out, repair_cell, p);
	emit_table_end(&r->out);
}

int cmd_check(struct run *r)
{
	struct selection columns, facts;
	struct repair p = { .before = { 0 } };
	int n;

	if (columns_select(&columns, &findings_columns, NULL, false) || columns_select(&facts, &repair_columns, NULL, true))
		return STATUS_FAILED;
	n = r->opt.repair ? repair(r, &p) : 0;
	if (n)
		return n;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	if (r->opt.repair && p.after.capacity)
		tell_repair(r, &p, &facts);
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
		fprintf(stderr, "shvdump: %d finding%s%s\n", n, n == 1 ? "" : "s",
			r->opt.repair ? ": this is not what the dead leave, so nothing was changed" : "");
	return n ? STATUS_DAMAGE : STATUS_FINE;
}
