/* SPDX-License-Identifier: MIT */
/*
 * shvdump: what its files share. It sees arenas through the public headers only, read-only, and never needs the help of
 * the processes that use them.
 *
 *   shvdump.c      command line, help, exit status
 *   target.c       which arena is meant; all arenas of the machine, through /proc
 *   cmd_*.c        one command each, or two that belong together
 *   columns.c      what tables can show
 *   emit.c         tables, raw lines or JSON; json.c the latter; text.c numbers, times and foreign text
 */
#ifndef SHV_TOOLS_SHVDUMP_H
#define SHV_TOOLS_SHVDUMP_H

#include "tools/columns.h"
#include "tools/emit.h"

#include <shv/shv.h>
#include <stdbool.h>

enum {
	STATUS_FINE = 0,
	STATUS_FAILED = 1, /* usage, or nothing to look at */
	STATUS_DAMAGE = 2, /* the arena contradicts itself */
	STATUS_DIFFER = 3  /* diff: it found something */
};

struct options {
	const char *columns;      /* -o */
	bool all_columns;
	bool held, dead;
	const char *type, *policy, *kind, *name; /* filters */
	bool locked;              /* save */
	bool repair;              /* check */
	const char *sort;         /* column; with '-' in front: largest first */
};

struct run {
	const struct command *command;
	struct options opt;
	const char *target;       /* NULL: the only arena there is */
	const char *object;       /* of show, save, restore, diff */
	char **program;           /* after --; NULL: none */
	struct emit out;
	shv_arena *a;             /* commands that are about one arena */
};

/* The options that only some commands have. */
enum {
	OPT_COLUMNS = 1 << 0,
	OPT_HELD = 1 << 1,
	OPT_DEAD = 1 << 2,
	OPT_FILTER = 1 << 3,
	OPT_SORT = 1 << 4,
	OPT_LOCKED = 1 << 5,
	OPT_REPAIR = 1 << 6
};

struct command {
	const char *name;
	const char *operands;     /* for the usage line */
	const char *summary;
	const char *more;         /* a paragraph for its --help; may be NULL */
	const struct columns *columns; /* NULL: its tables are fixed */
	unsigned options;
	bool one_arena;           /* attach first */
	bool object;              /* takes one operand */
	bool program;             /* may have a program after -- */
	int (*run)(struct run *r);
};

int cmd_overview(struct run *r);
int cmd_list(struct run *r);
int cmd_values(struct run *r);
int cmd_show(struct run *r);
int cmd_locks(struct run *r);
int cmd_procs(struct run *r);
int cmd_types(struct run *r);
int cmd_check(struct run *r);
int cmd_save(struct run *r);
int cmd_restore(struct run *r);
int cmd_diff(struct run *r);

/* "shvdump: what: why" on stderr, from shv_errmsg(); the exit status for a negative errno. what may be NULL. */
int complain(const char *what, int code);

/* Cells that several tables have. */
void cell_ref(struct cell *c, shv_ref ref);
void cell_holder(struct cell *c, const struct shv_holder *h); /* command[pid/tid] */
void cell_name(struct cell *c, shv_arena *a, shv_ref ref);    /* published name */
const char *lock_state(bool held, bool abandoned, bool condemned);

extern const struct columns diff_columns;

/* The rows of procs, which overview has too. */
int procs_rows(struct run *r, const char *key, const struct selection *columns);

#endif /* SHV_TOOLS_SHVDUMP_H */
