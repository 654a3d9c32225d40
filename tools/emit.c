/* SPDX-License-Identifier: MIT */
/* Output as tables, raw lines or JSON; see emit.h. */
#include "config.h"

#include "tools/emit.h"

#include "tools/text.h"

#include <ctype.h>
#include <libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 5000u
#define CELL_BYTES 4096u
#define KEY_BYTES 32u

/* ---- cells ----------------------------------------------------------------------------------------------- */

void cell_text(struct cell *c, const char *text)
{
	c->kind = text && *text ? CELL_TEXT : CELL_NONE;
	c->text = text;
}

void cell_number(struct cell *c, uint64_t n)
{
	c->kind = CELL_NUMBER;
	c->number = n;
}

void cell_size(struct cell *c, uint64_t bytes)
{
	c->kind = CELL_SIZE;
	c->number = bytes;
}

void cell_bool(struct cell *c, bool b)
{
	c->kind = CELL_BOOL;
	c->number = b;
}

void cell_real(struct cell *c, double d)
{
	c->kind = CELL_REAL;
	c->real = d;
}

void cell_growth(struct cell *c, uint64_t before, uint64_t now, bool bytes)
{
	c->kind = CELL_GROWTH;
	c->growth = (int64_t)(now - before);
	c->bytes = bytes;
}

void cell_format(struct cell *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->buf, sizeof(c->buf), fmt, ap);
	va_end(ap);
	c->kind = c->buf[0] ? CELL_TEXT : CELL_NONE;
	c->text = c->buf;
}

static void list_text(const struct cell *c, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = 0;
	for (size_t i = 0; i < c->n && at + 16 < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%d", i ? "," : "", (int)c->pids[i]);
}

static void growth_text(const struct emit *e, const struct cell *c, char *buf, size_t size)
{
	uint64_t n = c->growth < 0 ? 0 - (uint64_t)c->growth : (uint64_t)c->growth;

	snprintf(buf, size, "%s", c->growth < 0 ? "-" : c->growth ? "+" : "");
	if (c->bytes && !e->exact)
		text_size(buf + strlen(buf), size - strlen(buf), n);
	else
		snprintf(buf + strlen(buf), size - strlen(buf), "%llu", (unsigned long long)n);
}

void cell_print(const struct emit *e, const struct cell *c, char *buf, size_t size)
{
	buf[0] = 0;
	switch (c->kind) {
	case CELL_TEXT:
		text_for_table(buf, size, c->text);
		break;
	case CELL_SIZE:
		if (!e->exact) {
			text_size(buf, size, c->number);
			break;
		}
		/* fall through */
	case CELL_NUMBER:
		snprintf(buf, size, "%llu", (unsigned long long)c->number);
		break;
	case CELL_BOOL:
		snprintf(buf, size, "%s", c->number ? "yes" : "no");
		break;
	case CELL_NUMBERS:
		list_text(c, buf, size);
		break;
	case CELL_REAL:
		text_real(buf, size, c->real);
		break;
	case CELL_GROWTH:
		growth_text(e, c, buf, size);
		break;
	case CELL_NONE:
		break;
	}
}

static void cell_json(struct json *j, const char *key, const struct cell *c)
{
	switch (c->kind) {
	case CELL_TEXT:
		json_string(j, key, c->text);
		break;
	case CELL_NUMBER:
	case CELL_SIZE:
		json_number(j, key, c->number);
		break;
	case CELL_BOOL:
		json_bool(j, key, c->number != 0);
		break;
	case CELL_NUMBERS:
		json_open(j, key, '[');
		for (size_t i = 0; i < c->n; i++)
			json_number(j, NULL, (uint64_t)c->pids[i]);
		json_close(j, ']');
		break;
	case CELL_REAL:
		json_real(j, key, c->real);
		break;
	case CELL_GROWTH:
		json_signed(j, key, c->growth);
		break;
	case CELL_NONE:
		json_null(j, key);
		break;
	}
}

/* ---- libsmartcols ---------------------------------------------------------------------------------------- */

/* Its calls fail for want of memory only. */
static void *need(void *p)
{
	if (!p) {
		fputs("shvdump: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	return p;
}

static void need_ok(int r)
{
	if (r)
		need(NULL);
}

static const struct column *column_at(const struct emit *e, size_t i)
{
	return &e->columns.of->v[e->columns.id[i]];
}

static void make_columns(struct emit *e)
{
	if (e->shape == EMIT_FACTS) {
		need(scols_table_new_column(e->table, "NAME", 0, 0));
		need(scols_table_new_column(e->table, "VALUE", 0, 0));
		return;
	}
	for (size_t i = 0; i < e->columns.n; i++) {
		const struct column *c = column_at(e, i);

		need(scols_table_new_column(e->table, c->name, c->width_hint, c->flags));
	}
}

static void make_table(struct emit *e)
{
	e->table = need(scols_new_table());
	e->lines = 0;
	e->first_batch = true;
	if (e->mode == EMIT_RAW)
		need_ok(scols_table_enable_raw(e->table, 1));
	if (!e->headings || e->shape == EMIT_FACTS)
		need_ok(scols_table_enable_noheadings(e->table, 1));
	make_columns(e);
	if (!e->first_table && e->mode == EMIT_TABLE)
		putchar('\n');
	e->first_table = false;
}

/* What the first batch needed is what later lines get. */
static void keep_widths(struct emit *e)
{
	struct libscols_iter *i = need(scols_new_iter(SCOLS_ITER_FORWARD));
	bool narrow = isatty(STDOUT_FILENO);
	struct libscols_column *c;

	e->align.n = 0;
	while (!scols_table_next_column(e->table, i, &c) && e->align.n < COLUMNS_MAX) {
		e->align.column[e->align.n].width = scols_column_get_width(c);
		e->align.column[e->align.n].right = scols_column_is_right(c);
		e->align.column[e->align.n].cut = narrow && scols_column_is_trunc(c);
		e->align.n++;
	}
	scols_free_iter(i);
	(void)scols_table_enable_noheadings(e->table, 1);
}

static void print_batch(struct emit *e)
{
	if (!e->lines)
		return;
	need_ok(scols_print_table(e->table));
	if (e->first_batch)
		keep_widths(e);
	e->first_batch = false;
	scols_table_remove_lines(e->table);
	e->lines = 0;
}

static void stream_row(struct emit *e, cell_of cell, void *ctx)
{
	char buf[CELL_BYTES];

	for (size_t i = 0; i < e->columns.n; i++) {
		struct cell c;

		c.kind = CELL_NONE;
		cell(ctx, e->columns.id[i], &c);
		cell_print(e, &c, buf, sizeof(buf));
		align_cell(&e->align, stdout, i, buf);
	}
}

static void set_cell(const struct emit *e, struct libscols_line *line, size_t at, const struct cell *c)
{
	char buf[CELL_BYTES];

	if (c->kind == CELL_NONE)
		return;
	cell_print(e, c, buf, sizeof(buf));
	need_ok(scols_line_set_data(line, at, buf));
}

static struct libscols_line *new_line(struct emit *e)
{
	e->lines++;
	return need(scols_table_new_line(e->table, NULL));
}

/* ---- tables ---------------------------------------------------------------------------------------------- */

static const char *json_key(const char *name, char *buf)
{
	size_t i = 0;

	for (; name[i] && i + 1 < KEY_BYTES; i++)
		buf[i] = (char)tolower((unsigned char)name[i]);
	buf[i] = 0;
	return buf;
}

void emit_begin(struct emit *e, const char *command, const char *arena)
{
	e->first_table = true;
	if (e->mode != EMIT_JSON)
		return;
	e->json = (struct json){ .out = stdout };
	json_open(&e->json, NULL, '{');
	json_number(&e->json, "schema", EMIT_SCHEMA);
	json_string(&e->json, "command", command);
	if (arena)
		json_string(&e->json, "arena", arena);
}

void emit_table(struct emit *e, const char *key, const struct selection *columns, enum emit_shape shape)
{
	e->columns = *columns;
	e->shape = shape;
	if (e->mode != EMIT_JSON) {
		make_table(e);
		return;
	}
	if (shape == EMIT_ROWS)
		json_open(&e->json, key, '[');
	else
		json_open(&e->json, key, '{');
	e->json.flat = shape == EMIT_ROWS ? e->json.depth + 1 : 0;
}

static void json_row(struct emit *e, cell_of cell, void *ctx)
{
	char key[KEY_BYTES];

	if (e->shape == EMIT_ROWS)
		json_open(&e->json, NULL, '{');
	for (size_t i = 0; i < e->columns.n; i++) {
		struct cell c;

		c.kind = CELL_NONE;
		cell(ctx, e->columns.id[i], &c);
		cell_json(&e->json, json_key(column_at(e, i)->name, key), &c);
	}
	if (e->shape == EMIT_ROWS)
		json_close(&e->json, '}');
}

void emit_row(struct emit *e, cell_of cell, void *ctx)
{
	struct libscols_line *line = NULL;

	if (e->mode == EMIT_JSON) {
		json_row(e, cell, ctx);
		return;
	}
	if (e->mode == EMIT_TABLE && e->shape == EMIT_ROWS && !e->first_batch) {
		stream_row(e, cell, ctx);
		return;
	}
	for (size_t i = 0; i < e->columns.n; i++) {
		struct cell c;

		c.kind = CELL_NONE;
		cell(ctx, e->columns.id[i], &c);
		if (!line || e->shape == EMIT_FACTS)
			line = new_line(e);
		if (e->shape == EMIT_FACTS)
			need_ok(scols_line_set_data(line, 0, column_at(e, i)->name));
		set_cell(e, line, e->shape == EMIT_FACTS ? 1 : i, &c);
	}
	if (e->lines >= BATCH)
		print_batch(e);
}

void emit_table_end(struct emit *e)
{
	if (e->mode == EMIT_JSON) {
		json_close(&e->json, e->shape == EMIT_ROWS ? ']' : '}');
		e->json.flat = 0;
		return;
	}
	print_batch(e);
	scols_unref_table(e->table);
	e->table = NULL;
}

void emit_bool(struct emit *e, const char *key, bool b)
{
	if (e->mode == EMIT_JSON)
		json_bool(&e->json, key, b);
}

void emit_number(struct emit *e, const char *key, uint64_t n)
{
	if (e->mode == EMIT_JSON)
		json_number(&e->json, key, n);
}

void emit_text(struct emit *e, const char *key, const char *text)
{
	if (e->mode == EMIT_JSON)
		json_string(&e->json, key, text);
}

void emit_end(struct emit *e)
{
	if (e->mode != EMIT_JSON)
		return;
	json_close(&e->json, '}');
	putchar('\n');
}
