/* SPDX-License-Identifier: MIT */
/*
 * The process's table of made types, and the text by which they are known.
 *
 * The text of a descriptor is canonical: equal descriptors have equal texts, and reading a text
 * gives the descriptor back.
 *   - all padding is spelled out ("x"), so that a reader need not know this machine's alignments to
 *     find the members;
 *   - the mode is native ("@"). Structures in which something does not lie where natural alignment
 *     puts it begin with "^" (native sizes, no alignment), each of them; then "^" is the mode of the
 *     whole. Members in the other byte order are preceded by its mark;
 *   - counts are sub-arrays: "3i" is "(3)i", "3s" is "(3)c".
 *
 *   bucket -> type -> type -> ...     only ever pushed at the front, by compare-and-swap; nothing is taken out
 *
 * Left out: removal. A process has few types, and a descriptor may stand in any variable of the
 * program.
 */
#include "values/type_private.h"

#include "base/atomic.h"
#include "base/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024u
static uint64_t buckets[BUCKETS]; /* addresses of the newest types */

/* What a bucket holds: acquire, so that the type and those behind it are seen whole. */
static struct shv_type *newest(const uint64_t *bucket)
{
	return (struct shv_type *)(uintptr_t)load_acquire(bucket); /* pairs: P-types-local */
}

/* ---- making descriptors ----------------------------------------------------------------------------------- */

static struct shv_type *new_type(enum type_kind kind, size_t extra)
{
	struct shv_type *t = calloc(1, sizeof(*t) + extra);

	if (t) {
		t->kind = (uint8_t)kind;
		t->align = 1;
	}
	return t;
}

struct shv_type *type_new_pascal(size_t size)
{
	struct shv_type *t = new_type(TYPE_PASCAL, 0);

	if (t)
		t->size = size;
	return t;
}

struct shv_type *type_new_swapped(const struct shv_type *native)
{
	struct shv_type *t = new_type(TYPE_SCALAR, 0);

	if (!t)
		return NULL;
	t->size = native->size;
	t->align = native->align;
	t->code = native->code;
	t->complex_ = native->complex_;
	t->swapped = true;
	t->item = native;
	return t;
}

struct shv_type *type_new_array(const struct shv_type *item, size_t count)
{
	struct shv_type *t = new_type(TYPE_ARRAY, 0);

	if (!t)
		return NULL;
	t->item = item->plain ? item->plain : item;
	t->count = count;
	t->size = item->size * count;
	t->align = item->align;
	t->packed = item->packed;
	t->depth = item->depth;
	t->dims = (uint8_t)(item->dims + 1u);
	return t;
}

/*
 * Alignment of a structure: that of its most aligned member, if each member and the size itself are
 * where that alignment puts them; else 1. So it follows from what the text tells, whatever mode the
 * text was in.
 */
static void settle(struct shv_type *t)
{
	uint32_t natural = 1;
	bool fits = true;

	for (size_t i = 0; i < t->count; i++) {
		const struct shv_type *ft = t->fields[i].type;

		natural = ft->align > natural ? ft->align : natural;
		fits &= t->fields[i].offset % ft->align == 0;
		t->packed |= ft->packed;
		t->depth = ft->depth > t->depth ? ft->depth : t->depth;
	}
	fits &= t->size % natural == 0;
	t->align = fits ? natural : 1;
	t->packed |= !fits;
	t->depth++;
}

struct shv_type *type_new_struct(const struct type_part *parts, size_t n, size_t size)
{
	size_t text = 0;
	struct type_field *fields;
	struct shv_type *t;
	char *names;

	for (size_t i = 0; i < n; i++)
		text += parts[i].name ? parts[i].name_len + 1 : 0;
	t = new_type(TYPE_STRUCT, n * sizeof(*fields) + text);
	if (!t)
		return NULL;
	fields = (struct type_field *)(t + 1);
	names = (char *)(fields + n);
	for (size_t i = 0; i < n; i++) {
		const struct shv_type *ft = parts[i].type;

		fields[i].offset = parts[i].offset;
		fields[i].type = ft->plain ? ft->plain : ft; /* the text of the whole does not tell names of types */
		if (!parts[i].name)
			continue;
		fields[i].name = memcpy(names, parts[i].name, parts[i].name_len);
		names += parts[i].name_len + 1;
	}
	t->fields = fields;
	t->count = n;
	t->size = size;
	settle(t);
	return t;
}

static void free_type(const struct shv_type *t)
{
	if (t->named)
		free((void *)(uintptr_t)t->name);
	else
		free((void *)(uintptr_t)t->format);
	free((void *)(uintptr_t)t);
}

void type_discard(const struct shv_type *t)
{
	if (!t || t->interned)
		return;
	type_discard(t->item);
	for (size_t i = 0; t->kind == TYPE_STRUCT && i < t->count; i++)
		type_discard(t->fields[i].type);
	free_type(t);
}

/* ---- canonical text --------------------------------------------------------------------------------------- */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MODE_SWAPPED '>'
#else
#define MODE_SWAPPED '<'
#endif

struct text {
	char *buf;
	size_t len, cap;
	char native; /* '@' or '^' */
	char mode;   /* that a reader is in */
	bool failed;
};

static void put(struct text *x, const char *s, size_t n)
{
	if (!x->buf || x->cap - x->len <= n) {
		size_t cap = (x->cap + n + 16) * 2;
		char *buf = x->failed ? NULL : realloc(x->buf, cap);

		if (!buf) {
			x->failed = true;
			return;
		}
		x->buf = buf;
		x->cap = cap;
	}
	memcpy(x->buf + x->len, s, n);
	x->len += n;
	x->buf[x->len] = '\0';
}

static void put_char(struct text *x, char c)
{
	put(x, &c, 1);
}

static void put_number(struct text *x, size_t number)
{
	char s[24];

	put(x, s, (size_t)snprintf(s, sizeof(s), "%zu", number));
}

static void put_padding(struct text *x, size_t n)
{
	if (n > 1)
		put_number(x, n);
	if (n)
		put_char(x, 'x');
}

static void put_mode(struct text *x, char mode)
{
	if (x->mode != mode)
		put_char(x, mode);
	x->mode = mode;
}

static void put_scalar(struct text *x, const struct shv_type *t)
{
	/* One byte has no order and no alignment, so any mode will do. */
	if (t->swapped)
		put_mode(x, MODE_SWAPPED);
	else if (t->size > 1)
		put_mode(x, x->native);
	t = t->swapped ? t->item : t;
	put(x, t->format, strlen(t->format));
}

static void put_type(struct text *x, const struct shv_type *t);

static void put_struct(struct text *x, const struct shv_type *t)
{
	size_t at = 0;

	/* The mark stands even if the mode is the same: it says that this is not a structure of ctypes (format.c). */
	if (t->packed)
		put_char(x, x->mode = '^');
	put(x, "T{", 2);
	for (size_t i = 0; i < t->count; i++) {
		const struct type_field *f = &t->fields[i];

		put_padding(x, f->offset - at);
		put_type(x, f->type);
		if (f->name) {
			put_char(x, ':');
			put(x, f->name, strlen(f->name));
			put_char(x, ':');
		}
		at = f->offset + f->type->size;
	}
	put_padding(x, t->size - at);
	put_char(x, '}');
}

/* (2,3) of an array of arrays; returns the type of the innermost items. */
static const struct shv_type *put_shape(struct text *x, const struct shv_type *t)
{
	char before = '(';

	for (; t->kind == TYPE_ARRAY; t = t->item) {
		put_char(x, before);
		put_number(x, t->count);
		before = ',';
	}
	if (before == ',')
		put_char(x, ')');
	return t;
}

static void put_type(struct text *x, const struct shv_type *t)
{
	t = put_shape(x, t);
	if (t->kind == TYPE_STRUCT) {
		put_struct(x, t);
	} else if (t->kind == TYPE_PASCAL) {
		put_number(x, t->size);
		put_char(x, 'p');
	} else {
		put_scalar(x, t);
	}
}

/* malloc'ed; NULL: no memory. */
static char *canonical_text(const struct shv_type *t)
{
	struct text x = { .native = t->packed ? '^' : '@', .mode = '@' };

	put_type(&x, t);
	if (x.failed) {
		free(x.buf);
		return NULL;
	}
	return x.buf;
}

/* ---- the table -------------------------------------------------------------------------------------------- */

static uint64_t hash_text(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h * UINT64_C(0x100000001b3); /* so that "ab","c" and "a","bc" differ */
}

static uint64_t hash_type(const char *format, const char *name)
{
	uint64_t h = hash_text(UINT64_C(0xcbf29ce484222325), format);

	return name ? hash_text(h, name) : h;
}

static uint64_t *bucket_of(uint64_t hash)
{
	return &buckets[(hash ^ hash >> 32) % BUCKETS];
}

/* From `t` up to, not including, `end`. name: NULL for types without. */
static struct shv_type *search(struct shv_type *t, const struct shv_type *end, uint64_t hash, const char *format,
			       const char *name)
{
	for (; t != end; t = t->next) {
		if (t->hash == hash && t->named == (name != NULL) && !strcmp(t->format, format) &&
		    (!name || !strcmp(t->name, name)))
			return t;
	}
	return NULL;
}

/* The entry that equals t: t itself, now public, or one that was there before. */
static struct shv_type *publish(struct shv_type *t)
{
	const char *name = t->named ? t->name : NULL;
	struct shv_type *found, *searched = NULL;
	uint64_t *bucket, head;

	t->hash = hash_type(t->format, name);
	t->interned = true;
	bucket = bucket_of(t->hash);
	head = (uintptr_t)newest(bucket);
	do {
		t->next = (struct shv_type *)(uintptr_t)head;
		found = search(t->next, searched, t->hash, t->format, name);
		if (found)
			return found;
		searched = t->next;
	} while (!cas64(bucket, &head, (uintptr_t)t)); /* pairs: P-types-local */
	return t;
}

const struct shv_type *type_lookup(const char *format, const char *name)
{
	uint64_t hash;

	if (name && !*name)
		name = NULL;
	if (!name) {
		bool complex_ = format[0] == 'Z';
		const struct shv_type *t = type_of_code(format[complex_], complex_);

		if (t && !strcmp(t->format, format))
			return t;
	}
	hash = hash_type(format, name);
	return search(newest(bucket_of(hash)), NULL, hash, format, name);
}

/* Parts that are not in the table yet go there first. */
static bool intern_parts(struct shv_type *t)
{
	struct type_field *fields = (struct type_field *)(uintptr_t)t->fields;

	if (t->item && !t->item->interned) {
		t->item = type_intern(t->item);
		if (!t->item)
			return false;
	}
	for (size_t i = 0; t->kind == TYPE_STRUCT && i < t->count; i++) {
		if (fields[i].type->interned)
			continue;
		fields[i].type = type_intern(fields[i].type);
		if (!fields[i].type) {
			/* It is discarded already; the caller discards t with what comes before. */
			for (size_t k = i + 1; k < t->count; k++)
				type_discard(fields[k].type);
			t->count = i;
			return false;
		}
	}
	return true;
}

const struct shv_type *type_intern(const struct shv_type *made)
{
	struct shv_type *t = (struct shv_type *)(uintptr_t)made, *found;

	if (t->interned)
		return t;
	if (intern_parts(t))
		t->format = t->name = canonical_text(t);
	if (!t->format) {
		type_discard(t);
		return fail_null(-ENOMEM, "no memory for the description of a type: free some and try again");
	}
	found = publish(t);
	if (found != t)
		free_type(t); /* the parts are interned: not ours any more */
	return found;
}

const struct shv_type *type_named(const struct shv_type *plain, const char *name)
{
	const struct shv_type *known = type_lookup(plain->format, name);
	struct shv_type *t, *found;

	if (known)
		return known;
	t = malloc(sizeof(*t));
	if (t) {
		*t = *plain;
		t->id = TYPE_ID_NONE;
		t->plain = plain;
		t->named = true;
		t->name = strdup(name);
	}
	if (!t || !t->name) {
		free(t);
		return fail_null(-ENOMEM, "no memory for the description of type %s: free some and try again", name);
	}
	found = publish(t);
	if (found != t)
		free_type(t);
	return found;
}

void type_forget_all(void)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct shv_type *t, *next;

		for (t = newest(&buckets[i]); t; t = next) {
			next = t->next;
			free_type(t);
		}
		store_relaxed(&buckets[i], 0);
	}
}
