/* SPDX-License-Identifier: MIT */
/*
 * shvdump save: a snapshot of an arena, live or not.
 * shvdump restore: a new live arena made of a snapshot, kept while a program runs with its descriptor, or until interrupted.
 *
 * restore gives the descriptor to the program the way systemd and make do: open across exec, its number in the environment
 * (SHV_ARENA_FD). shvdump becomes the program by exec, so that signals, exit status and terminal are the program's own; the
 * descriptor is what keeps the arena.
 */
#include "config.h"

#include "tools/shvdump.h"
#include "tools/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- save -------------------------------------------------------------------------------------------------- */

struct saved {
	const char *file;
	struct shv_stat st;
};

static void saved_cell(void *ctx, int column, struct cell *c)
{
	const struct saved *s = ctx;

	switch (column) {
	case SAV_FILE:
		cell_text(c, s->file);
		break;
	case SAV_OBJECTS:
		cell_number(c, s->st.objects);
		break;
	case SAV_TORN:
		cell_number(c, s->st.snapshot_torn);
		break;
	default:
		cell_number(c, s->st.snapshot_left_out);
		break;
	}
}

static int look_at(const char *file, struct shv_stat *st)
{
	shv_arena *a = shv_arena_open(file, 0);
	int code = a ? shv_stat(a, st) : -errno;

	if (a)
		(void)shv_arena_detach(a);
	return code < 0 ? complain(file, code) : 0;
}

int cmd_save(struct run *r)
{
	struct saved s = { .file = r->object, .st = { .size = sizeof(s.st) } };
	struct selection columns;
	int code;

	if (columns_select(&columns, &save_columns, NULL, true))
		return STATUS_FAILED;
	code = shv_arena_snapshot(r->a, r->object, r->opt.locked ? SHV_LOCKED : 0);
	if (code < 0)
		return complain(NULL, code);
	code = look_at(r->object, &s.st);
	if (code)
		return code;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	emit_table(&r->out, "saved", &columns, EMIT_FACTS);
	emit_row(&r->out, saved_cell, &s);
	emit_table_end(&r->out);
	emit_end(&r->out);
	return STATUS_FINE;
}

/* ---- restore ----------------------------------------------------------------------------------------------- */

static void restored_cell(void *ctx, int column, struct cell *c)
{
	const struct shv_stat *st = ctx;

	switch (column) {
	case RES_TARGET:
		cell_format(c, "%d:%s", (int)getpid(), st->name);
		break;
	case RES_NAME:
		cell_text(c, st->name);
		break;
	case RES_UUID:
		text_uuid(c->buf, sizeof(c->buf), st->uuid);
		cell_text(c, c->buf);
		break;
	default:
		cell_number(c, st->objects);
		break;
	}
}

static int tell(struct run *r, shv_arena *a)
{
	struct shv_stat st = { .size = sizeof(st) };
	struct selection columns;
	int code = shv_stat(a, &st);

	if (code < 0)
		return complain(NULL, code);
	if (columns_select(&columns, &restore_columns, NULL, true))
		return STATUS_FAILED;
	emit_begin(&r->out, r->command->name, shv_arena_name(a));
	emit_table(&r->out, "restored", &columns, EMIT_FACTS);
	emit_row(&r->out, restored_cell, &st);
	emit_table_end(&r->out);
	emit_end(&r->out);
	return 0;
}

/* Until somebody interrupts us: a signal that ends programs. */
static int keep(struct run *r, shv_arena *a)
{
	sigset_t ends;
	int status, which;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	status = tell(r, a);
	if (status)
		return status;
	if (fflush(stdout))
		return STATUS_FAILED; /* finish() says why */
	while (sigwait(&ends, &which))
		;
	return STATUS_FINE;
}

/* Does not return if all goes well. */
static int become(struct run *r, shv_arena *a)
{
	char number[16];
	int fd = dup(shv_arena_fd(a)), e; /* without FD_CLOEXEC */

	if (fd < 0) {
		fprintf(stderr, "shvdump: the arena's descriptor: %s\n", strerror(errno));
		return STATUS_FAILED;
	}
	snprintf(number, sizeof(number), "%d", fd);
	if (setenv("SHV_ARENA_FD", number, 1) || shv_arena_detach(a)) {
		fputs("shvdump: no memory for the environment\n", stderr);
		return STATUS_FAILED;
	}
	execvp(r->program[0], r->program);
	e = errno;
	fputs("shvdump: ", stderr);
	text_put(stderr, r->program[0]);
	fprintf(stderr, ": %s\n", strerror(e));
	return STATUS_FAILED;
}

int cmd_restore(struct run *r)
{
	shv_arena *a = shv_arena_open(r->object, SHV_RESTORE);
	int status;

	if (!a)
		return complain(r->object, -errno);
	if (r->program)
		return become(r, a);
	status = keep(r, a);
	(void)shv_arena_detach(a);
	return status;
}
