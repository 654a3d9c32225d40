/* SPDX-License-Identifier: MIT */
/*
 * Output: one traversal of the data writes either tables (libsmartcols), raw lines (libsmartcols) or JSON
 * (tools/json.h).
 *
 * A command opens the output, then for each table gives its columns and rows, then closes. A row is not text
 * but a function that tells the cell of a column when asked for, so that nobody computes what no column shows.
 *
 * Rows are printed in batches: memory does not grow with a million of them. The first batch of an aligned table settles how wide its
 * columns are; lines behind it are written as they come (tools/align.h).
 */
#ifndef SHV_TOOLS_EMIT_H
#define SHV_TOOLS_EMIT_H

#include "tools/align.h"
#include "tools/columns.h"
#include "tools/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Version of the JSON layout: raised when a key is renamed, removed, or means something else. Keys may be added. */
#define EMIT_SCHEMA 1

enum cell_kind {
	CELL_NONE,   /* nothing to say: empty, null */
	CELL_TEXT,
	CELL_NUMBER,
	CELL_SIZE,   /* a number of bytes */
	CELL_BOOL,   /* a number, 0 or 1 */
	CELL_NUMBERS, /* pids, n of them */
	CELL_REAL,   /* a number with one decimal */
	CELL_GROWTH  /* a difference of numbers, or of bytes: +5, -1.5K */
};

struct cell {
	enum cell_kind kind;
	uint64_t number;
	const char *text;         /* good until the next cell */
	const pid_t *pids;
	size_t n;
	double real;
	int64_t growth;
	bool bytes;               /* of growth: in bytes */
	char buf[260];            /* for text that is made for the cell */
};

/* Fill *c (which is CELL_NONE) for a column of the row that ctx stands for. */
typedef void (*cell_of)(void *ctx, int column, struct cell *c);

void cell_text(struct cell *c, const char *text); /* NULL or "" leave the cell empty */
void cell_number(struct cell *c, uint64_t n);
void cell_size(struct cell *c, uint64_t bytes);
void cell_bool(struct cell *c, bool b);
void cell_real(struct cell *c, double d);
void cell_growth(struct cell *c, uint64_t before, uint64_t now, bool bytes);
void cell_format(struct cell *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct emit;
/* The cell as tables show it to people; foreign text is not yet escaped. */
void cell_print(const struct emit *e, const struct cell *c, char *buf, size_t size);

enum emit_mode { EMIT_TABLE, EMIT_RAW, EMIT_JSON };
enum emit_shape {
	EMIT_ROWS,
	EMIT_FACTS /* one row, printed with a line for each column; in JSON an object */
};

struct libscols_table;

struct emit {
	enum emit_mode mode;
	bool headings;
	bool exact;               /* sizes in bytes */
	struct json json;
	struct selection columns; /* of the present table */
	enum emit_shape shape;
	struct libscols_table *table;
	struct align align;       /* of the lines behind the first batch */
	size_t lines;             /* not yet printed */
	bool first_batch;
	bool first_table;
};

/* arena: its name, NULL if the command is about none or all of them. */
void emit_begin(struct emit *e, const char *command, const char *arena);
void emit_table(struct emit *e, const char *key, const struct selection *columns, enum emit_shape shape);
void emit_row(struct emit *e, cell_of cell, void *ctx);
void emit_table_end(struct emit *e);
/* A fact beside the tables, for programs only. */
void emit_bool(struct emit *e, const char *key, bool b);
void emit_number(struct emit *e, const char *key, uint64_t n);
void emit_text(struct emit *e, const char *key, const char *text);
void emit_end(struct emit *e);

#endif /* SHV_TOOLS_EMIT_H */
