/* SPDX-License-Identifier: MIT */
/* The members of one object; see fields.h. */
#include "config.h"

#include "tools/fields.h"

#include "tools/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 100u            /* of an array */
#define ROWS 1000u            /* in all: a structure may have any number of members */
#define COPY (UINT64_C(1) << 20) /* bytes of the object that are looked at */
#define HEX_BYTES 16u
#define PATH 200u

struct walk {
	struct run *run;
	const unsigned char *bytes;
	size_t n, rows;
	bool cut;
	/* of the present row */
	char path[PATH];
	const shv_type *type;
	size_t offset;
	char text[512];
};

static void field_cell(void *ctx, int column, struct cell *c)
{
	struct walk *w = ctx;
	size_t bytes = shv_type_size(w->type);

	switch (column) {
	case FLD_NAME:
		cell_text(c, w->path);
		break;
	case FLD_TYPE:
		cell_text(c, shv_type_name(w->type));
		break;
	case FLD_OFFSET:
		cell_number(c, w->offset);
		break;
	case FLD_BYTES:
		cell_size(c, bytes);
		break;
	case FLD_VALUE:
		if (shv_type_text(w->type, w->bytes + w->offset, w->text, sizeof(w->text)) >= (ssize_t)sizeof(w->text))
			text_cut(w->text, sizeof(w->text));
		cell_text(c, w->text);
		break;
	case FLD_HEX:
		text_hex(c->buf, sizeof(c->buf), w->bytes + w->offset, bytes < HEX_BYTES ? bytes : HEX_BYTES);
		cell_text(c, c->buf);
		break;
	default:
		break;
	}
}

static void one_field(struct walk *w, const char *path, const shv_type *t, size_t offset);

static void members(struct walk *w, const char *path, const shv_type *t, size_t offset)
{
	struct shv_field f = { .size = sizeof(f) };
	char longer[PATH];

	for (size_t i = 0; i < shv_type_members(t); i++) {
		if (shv_type_member(t, i, &f))
			return;
		if (f.name)
			snprintf(longer, sizeof(longer), "%s%s%s", path, *path ? "." : "", f.name);
		else
			snprintf(longer, sizeof(longer), "%s%s(%zu)", path, *path ? "." : "", i);
		one_field(w, longer, f.type, offset + f.offset);
	}
}

static void one_field(struct walk *w, const char *path, const shv_type *t, size_t offset)
{
	if (w->rows >= ROWS || offset + shv_type_size(t) > w->n) {
		w->cut = true;
		return;
	}
	if (shv_type_members(t)) {
		members(w, path, t, offset);
		return;
	}
	w->rows++;
	w->type = t;
	w->offset = offset;
	snprintf(w->path, sizeof(w->path), "%s", path);
	emit_row(&w->run->out, field_cell, w);
}

static void items(struct walk *w, const struct shv_value_info *v, const shv_type *t)
{
	uint64_t n = v->len < ITEMS ? v->len : ITEMS;
	char path[40];

	for (uint64_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "[%llu]", (unsigned long long)i);
		one_field(w, path, t, (size_t)i * shv_type_size(t));
	}
	w->cut = w->cut || v->len > n;
}

int fields_table_of(struct run *r, const struct shv_value_info *v)
{
	bool array = v->kind == SHV_KIND_ARRAY || v->kind == SHV_KIND_RAW_ARRAY, torn = false;
	struct walk w = { .run = r };
	struct selection columns;
	const shv_type *t;
	unsigned char *bytes;
	ssize_t n;

	if (v->kind == SHV_KIND_LOCK || columns_select(&columns, &fields_columns, NULL, false))
		return 0;
	t = shv_type_of_id(r->a, v->type);
	if (!t)
		return -errno;
	if (!array && !shv_type_members(t))
		return 0;
	bytes = malloc((size_t)(v->bytes < COPY ? v->bytes : COPY) + 1);
	if (!bytes)
		return -ENOMEM;
	n = shv_value_bytes(r->a, v->ref, bytes, (size_t)(v->bytes < COPY ? v->bytes : COPY), &torn);
	if (n >= 0) {
		w.bytes = bytes;
		w.n = (size_t)n;
		emit_table(&r->out, "fields", &columns, EMIT_ROWS);
		if (array)
			items(&w, v, t);
		else
			one_field(&w, "", t, 0);
		emit_table_end(&r->out);
		emit_bool(&r->out, "fields_complete", !w.cut);
		emit_bool(&r->out, "torn", torn);
		if (w.cut && r->out.mode == EMIT_TABLE)
			puts("...");
	}
	free(bytes);
	return n < 0 ? (int)n : 0;
}
