/* SPDX-License-Identifier: MIT */
/* shvdump procs: who is attached, and who died attached. */
#include "config.h"

#include "tools/look.h"
#include "tools/shvdump.h"
#include "tools/sort.h"
#include "tools/text.h"

static void proc_cell(void *ctx, int column, struct cell *c)
{
	const struct look_process *row = ctx;
	const struct shv_process_info *p = &row->p;

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
	case PRC_OBJECTS:
		cell_number(c, row->objects);
		break;
	case PRC_OBJBYTES:
		cell_size(c, row->object_bytes);
		break;
	case PRC_MADE:
		cell_number(c, row->made);
		break;
	case PRC_MADEBYTES:
		cell_size(c, row->made_bytes);
		break;
	default:
		break;
	}
}

static void *proc_at(void *ctx, size_t i)
{
	return &((struct look *)ctx)->processes[i];
}

/* Objects are counted only where a column shows them. */
static bool wants_objects(const struct run *r, const struct selection *columns, int sorted)
{
	return columns_selected(columns, PRC_OBJECTS) || columns_selected(columns, PRC_OBJBYTES) ||
	       columns_selected(columns, PRC_MADE) || columns_selected(columns, PRC_MADEBYTES) || sorted >= PRC_OBJECTS ||
	       r->opt.all_columns;
}

int procs_rows(struct run *r, const char *key, const struct selection *columns, bool *approximate)
{
	int code, column;
	struct look l;
	size_t n = 0;
	bool down;

	(void)sort_column(r, &procs_columns, &column, &down); /* looked at before */
	code = look(&l, r->a, wants_objects(r, columns, column) ? LOOK_OBJECTS : 0);
	if (code < 0)
		return code;
	for (size_t i = 0; i < l.processes_n; i++)
		if (!r->opt.dead || !l.processes[i].p.alive)
			l.processes[n++] = l.processes[i];
	emit_table(&r->out, key, columns, EMIT_ROWS);
	code = sort_rows(r, proc_cell, proc_at, &l, n, column, down);
	emit_table_end(&r->out);
	*approximate = l.approximate && wants_objects(r, columns, column);
	look_free(&l);
	return code;
}

int cmd_procs(struct run *r)
{
	bool down, approximate = false;
	struct selection columns;
	int code, column;

	if (columns_select(&columns, &procs_columns, r->opt.columns, r->opt.all_columns) ||
	    sort_column(r, &procs_columns, &column, &down))
		return STATUS_FAILED;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	code = procs_rows(r, "processes", &columns, &approximate);
	tell_approximate(r, approximate);
	emit_end(&r->out);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}
