/* SPDX-License-Identifier: MIT */
/* shvdump procs: who is attached, and who died attached. */
#include "config.h"

#include "tools/shvdump.h"
#include "tools/text.h"

static void proc_cell(void *ctx, int column, struct cell *c)
{
	const struct shv_process_info *p = ctx;

	switch (column) {
	case PRC_SLOT:
		cell_number(c, p->slot);
		break;
	case PRC_GENERATION:
		cell_number(c, p->generation);
		break;
	case PRC_PID:
		cell_number(c, (uint64_t)p->pid);
		break;
	case PRC_COMMAND:
		cell_text(c, p->command);
		break;
	case PRC_STATE:
		cell_text(c, p->alive ? "alive" : "dead");
		break;
	case PRC_THREADS:
		cell_number(c, p->threads);
		break;
	case PRC_LOCKS:
		cell_number(c, p->locks_held);
		break;
	case PRC_PAGES:
		cell_number(c, p->pages);
		break;
	case PRC_MEM:
		cell_size(c, p->bytes);
		break;
	case PRC_CREATED:
		cell_number(c, p->created);
		break;
	case PRC_FREED:
		cell_number(c, p->freed);
		break;
	case PRC_ATTACHED:
		text_time(c->buf, sizeof(c->buf), p->attached);
		cell_text(c, c->buf);
		break;
	case PRC_START:
		cell_number(c, p->start_time);
		break;
	case PRC_NAMESPACE:
		cell_number(c, p->pid_namespace);
		break;
	default:
		break;
	}
}

int procs_rows(struct run *r, const char *key, const struct selection *columns)
{
	struct shv_process_info p = { .size = sizeof(p) };
	uint64_t cursor = 0;
	int code;

	emit_table(&r->out, key, columns, EMIT_ROWS);
	while ((code = shv_process_next(r->a, &cursor, &p)) == 1)
		if (!r->opt.dead || !p.alive)
			emit_row(&r->out, proc_cell, &p);
	emit_table_end(&r->out);
	return code;
}

int cmd_procs(struct run *r)
{
	struct selection columns;
	int code;

	if (columns_select(&columns, &procs_columns, r->opt.columns, r->opt.all_columns))
		return STATUS_FAILED;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	code = procs_rows(r, "processes", &columns);
	emit_end(&r->out);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}
