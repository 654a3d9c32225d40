/* SPDX-License-Identifier: MIT */
/*
 * shvdump: what its files share. It sees arenas through the public headers only, read-only, and never needs the help of
 * the processes that use them.
 *
 *   shvdump.c      command line, help, exit status
 *   target.c       which arena is meant; all arenas of the machine, through /proc
 *   cmd_*.c        one command each, or two that belong together
 *   look.c         what several commands count: objects by type and creator, pages, whether it holds still meanwhile
 *   sample.c       two looks and the difference: rates of locks and processes
 *   columns.c      what tables can show
 *   emit.c         tables, raw lines or JSON; json.c the latter; text.c numbers, times and foreign text
 *   svg.c          pictures; term.c colours, width and progress of a terminal
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
	const char *size, *creator; /* filters */
	uint64_t limit;           /* rows; 0 = all */
	bool waiters, once;
	double interval;          /* seconds; 0 = not said */
	const char *color;        /* auto, always, never */
	unsigned width;           /* of pictures in characters; 0 = as the terminal */
	const char *svg, *file;   /* where to write */
};

struct run {
	const struct command *command;
	struct options opt;
	const char *target;       /* NULL: the only arena there is */
	const char *object;       /* of show, save, restore, diff; the file of report */
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
	OPT_LIMIT = 1 << 5,
	OPT_WAITERS = 1 << 6,
	OPT_INTERVAL = 1 << 7,
	OPT_ONCE = 1 << 8,
	OPT_PICTURE = 1 << 9,
	OPT_FILE = 1 << 10,
	OPT_LOCKED = 1 << 11,
	OPT_REPAIR = 1 << 12
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
int cmd_map(struct run *r);
int cmd_leaks(struct run *r);
int cmd_watch(struct run *r);
int cmd_report(struct run *r);
int cmd_metrics(struct run *r);
int cmd_save(struct run *r);
int cmd_restore(struct run *r);
int cmd_diff(struct run *r);

/* "shvdump: what: why" on stderr, from shv_errmsg(); the exit status for a negative errno. what may be NULL. */
int complain(const char *what, int code);

/* Member "approximate" of JSON; in a table a sentence on stderr, if it is so. */
void tell_approximate(struct run *r, bool approximate);

/* Cells that several tables have. */
void cell_ref(struct cell *c, shv_ref ref);
void cell_holder(struct cell *c, const struct shv_holder *h); /* command[pid/tid] */
void cell_name(struct cell *c, shv_arena *a, shv_ref ref);    /* published name */
const char *lock_state(bool held, bool abandoned, bool condemned);
const char *kind_name(enum shv_kind kind);
/* Column and direction that --sort names: 0, or -1 with the reason printed. */
int sort_column(const struct run *r, const struct columns *of, int *column, bool *down);


/* The rows of procs, which overview has too. *approximate: out. 0, or a negative errno. */
int procs_rows(struct run *r, const char *key, const struct selection *columns, bool *approximate);

#endif /* SHV_TOOLS_SHVDUMP_H */
