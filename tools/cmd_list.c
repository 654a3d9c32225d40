/* SPDX-License-Identifier: MIT */
/* shvdump list: every arena on this machine that this user may see. */
#include "config.h"

#include "tools/shvdump.h"
#include "tools/target.h"
#include "tools/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list_row {
	const struct found *found;
	bool looked;              /* the following were had */
	struct shv_stat st;
	pid_t *members;
	size_t members_n;
	char problem[320];
};

static void list_cell(void *ctx, int column, struct cell *c)
{
	const struct list_row *row = ctx;

	switch (column) {
	case LST_NAME:
		cell_text(c, row->found->name);
		return;
	case LST_TARGET:
		cell_format(c, "%d:%s", (int)row->found->pids[0], row->found->name);
		return;
	case LST_HOLDERS:
		c->kind = CELL_NUMBERS;
		c->pids = row->found->pids;
		c->n = row->found->n;
		return;
	case LST_PROBLEM:
		cell_text(c, row->problem);
		return;
	default:
		break;
	}
	if (!row->looked)
		return;
	switch (column) {
	case LST_MEMBERS:
		c->kind = CELL_NUMBERS;
		c->pids = row->members;
		c->n = row->members_n;
		break;
	case LST_CAPACITY:
		cell_size(c, row->st.capacity);
		break;
	case LST_FILE:
		cell_size(c, row->st.file_size);
		break;
	case LST_RESIDENT:
		cell_size(c, row->st.bytes_resident);
		break;
	case LST_LIVE:
		cell_size(c, row->st.bytes_live);
		break;
	case LST_OBJECTS:
		cell_number(c, row->st.objects);
		break;
	case LST_UUID:
		text_uuid(c->buf, sizeof(c->buf), row->st.uuid);
		cell_text(c, c->buf);
		break;
	default:
		break;
	}
}

static int read_members(struct list_row *row, shv_arena *a)
{
	struct shv_process_info p = { .size = sizeof(p) };
	uint64_t cursor = 0;
	int r;

	while ((r = shv_process_next(a, &cursor, &p)) == 1) {
		pid_t *more;

		if (!p.alive)
			continue;
		more = realloc(row->members, (row->members_n + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		row->members = more;
		row->members[row->members_n++] = p.pid;
	}
	return r;
}

/* An arena that cannot be looked at is listed all the same, and says why. */
static void look(struct list_row *row)
{
	shv_arena *a = target_attach_found(row->found, SHV_RDONLY);

	row->st.size = sizeof(row->st);
	if (!a || shv_stat(a, &row->st) < 0 || read_members(row, a) < 0)
		snprintf(row->problem, sizeof(row->problem), "%s", *shv_errmsg() ? shv_errmsg() : strerror(errno));
	else
		row->looked = true;
	if (a)
		(void)shv_arena_detach(a);
}

static void tell_problem(const struct list_row *row)
{
	fprintf(stderr, "shvdump: %d:", (int)row->found->pids[0]);
	text_put(stderr, row->found->name);
	fputs(": ", stderr);
	text_put(stderr, row->problem);
	fputc('\n', stderr);
}

int cmd_list(struct run *r)
{
	struct selection columns;
	struct found_list list;
	int code;

	if (columns_select(&columns, &list_columns, r->opt.columns, r->opt.all_columns))
		return STATUS_FAILED;
	code = target_scan(&list);
	if (code) {
		fprintf(stderr, "shvdump: /proc: %s\n", strerror(-code));
		return STATUS_FAILED;
	}
	emit_begin(&r->out, r->command->name, NULL);
	emit_table(&r->out, "arenas", &columns, EMIT_ROWS);
	for (size_t i = 0; i < list.n; i++) {
		struct list_row row = { .found = &list.v[i] };

		look(&row);
		emit_row(&r->out, list_cell, &row);
		if (row.problem[0])
			tell_problem(&row);
		free(row.members);
	}
	emit_table_end(&r->out);
	emit_end(&r->out);
	target_scan_free(&list);
	return STATUS_FINE;
}
