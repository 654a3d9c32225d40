/* SPDX-License-Identifier: MIT */
/* Sorted rows; see sort.h. */
#include "config.h"

#include "tools/sort.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct key {
	size_t row;
	double number;
	uint64_t whole;
	char *text;
	bool down;
};

static int compare(const struct key *x, const struct key *y)
{
	if (x->text || y->text)
		return strcmp(x->text ? x->text : "", y->text ? y->text : "");
	if (x->number < y->number || x->number > y->number)
		return x->number < y->number ? -1 : 1;
	return x->whole < y->whole ? -1 : x->whole > y->whole;
}

static int by_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int r = x->down ? compare(y, x) : compare(x, y);

	return r ? r : x->row < y->row ? -1 : 1;
}

static int make_key(struct key *k, const struct cell *c)
{
	switch (c->kind) {
	case CELL_TEXT:
		k->text = strdup(c->text);
		return k->text ? 0 : -ENOMEM;
	case CELL_NUMBER:
	case CELL_SIZE:
	case CELL_BOOL:
		k->number = 1; /* behind the empty ones */
		k->whole = c->number;
		return 0;
	case CELL_REAL:
		k->number = c->real;
		return 0;
	case CELL_GROWTH:
		k->number = (double)c->growth;
		return 0;
	default:
		return 0;
	}
}

int sort_order(cell_of cell, row_at at, void *ctx, size_t n, int column, bool down, size_t *order)
{
	struct key *keys = calloc(n ? n : 1, sizeof(*keys));
	int code = keys ? 0 : -ENOMEM;

	for (size_t i = 0; !code && i < n; i++) {
		struct cell c = { .kind = CELL_NONE };

		keys[i].row = i;
		keys[i].down = down;
		if (column < 0)
			continue;
		cell(at(ctx, i), column, &c);
		code = make_key(&keys[i], &c);
	}
	if (!code && column >= 0)
		qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 0; keys && i < n; i++) {
		order[i] = keys[i].row;
		free(keys[i].text);
	}
	free(keys);
	return code;
}

int sort_rows(struct run *r, cell_of cell, row_at at, void *ctx, size_t n, int column, bool down)
{
	size_t most = r->opt.limit && r->opt.limit < n ? (size_t)r->opt.limit : n;
	size_t *order = calloc(n ? n : 1, sizeof(*order));
	int code = order ? sort_order(cell, at, ctx, n, column, down, order) : -ENOMEM;

	for (size_t i = 0; !code && i < most; i++)
		emit_row(&r->out, cell, at(ctx, order[i]));
	free(order);
	return code;
}
