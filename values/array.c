/* SPDX-License-Identifier: MIT */
/*
 * Arrays: n items of one type in one object. Items and slices are copied under the lock, bounds checked; arrays of characters are
 * text of fixed room as well.
 */
#include "values/access.h"

#include <shv/array.h>
#include <stdlib.h>
#include <wchar.h>

SHV_API shv_value *shv_array_new(shv_arena *a, const shv_type *item, size_t n, const void *init, shv_lockspec lock)
{
	struct object_plan p = { .a = a, .who = "shv_array_new", .type = item, .n = n, .init = init, .lock = &lock, .kind = SHV_KIND_ARRAY };
	void *v = (lock.kind | lock.flags) <= SHV_LOCK_RECURSIVE ? make_array_fast(a, item, n, init, SHV_KIND_ARRAY, SHV_POL_RECURSIVE) : NULL;

	return v ? v : object_make(&p);
}

SHV_API void *shv_raw_array_new(shv_arena *a, const shv_type *item, size_t n, const void *init)
{
	struct object_plan p = { .a = a, .who = "shv_raw_array_new", .type = item, .n = n, .init = init, .kind = SHV_KIND_RAW_ARRAY };
	void *v = make_array_fast(a, item, n, init, SHV_KIND_RAW_ARRAY, SHV_POL_RAW);

	return v ? v : object_make(&p);
}

SHV_API size_t shv_len(const shv_value *v)
{
	struct shv_object o;
	uint64_t n = 0;
	int r = object_find(v, &o, "shv_len");

	if (!r && what_kind(o.what) == SHV_KIND_STRING) {
		r = string_len(&o, &n, "shv_len");
	} else if (!r) {
		r = value_find(v, &o, true, "shv_len");
		n = r ? 0 : object_len(&o);
	}
	if (r)
		errno = -r;
	return n;
}

SHV_API void *shv_at(shv_value *v, size_t i)
{
	struct shv_object o;
	uint64_t bytes, n;
	int r = value_find(v, &o, true, "shv_at");

	if (!r)
		r = object_bytes(&o, &bytes, "shv_at");
	if (r)
		return null_with(r);
	n = object_len(&o);
	if (i >= n)
		return fail_null(-ERANGE, "shv_at: i is %zu, but the array has %llu items", i, (unsigned long long)n);
	return (char *)object_payload(&o) + i * (bytes / n);
}

int object_items(const struct shv_object *o, const struct shv_type **item, uint64_t *n, const char *who)
{
	uint64_t bytes;
	int r = object_bytes(o, &bytes, who);

	if (unlikely(r))
		return r;
	*item = object_type(o);
	*n = object_len(o);
	return *item ? 0 : fail(-EUCLEAN, "%s: the object's type in the arena is damaged", who);
}

/* ---- items and slices ------------------------------------------------------------------------------------------ */

/* Which part of the content is meant. */
struct slice {
	size_t from, n, size;
	bool one; /* for the sentences: item `from`, not n from there */
	const char *who;
};

/* Where it begins. 0, -EINVAL, -ERANGE, -EUCLEAN. */
static int slice_at(const struct slice *s, const struct shv_object *o, uint64_t *at)
{
	const struct shv_type *item = NULL;
	uint64_t n = 0;
	int r = object_items(o, &item, &n, s->who);

	if (unlikely(r))
		return r;
	if (unlikely(s->one && s->from >= n))
		return fail(-ERANGE, "%s: i is %zu, but there are %llu items", s->who, s->from, (unsigned long long)n);
	if (unlikely(s->from > n || s->n > n - s->from))
		return fail(-ERANGE, "%s: from is %zu and n is %zu, but there are %llu items", s->who, s->from, s->n, (unsigned long long)n);
	if (unlikely(s->n * item->size != s->size)) /* no overflow: they are there */
		return fail(-EINVAL, "%s: size is %zu, but %zu items have %zu bytes: pass sizeof of as many", s->who, s->size, s->n,
			    s->n * item->size);
	*at = s->from * item->size;
	return 0;
}

static int slice_get(shv_value *v, const struct slice *s, void *out)
{
	struct shv_object o;
	struct access x;
	uint64_t at = 0;
	int r = s->size ? check_pointer(out, "out", s->who) : 0;

	if (unlikely(r))
		return r;
	if (read_only(v)) {
		r = value_find(v, &o, true, s->who);
		if (!r)
			r = slice_at(s, &o, &at);
		return r || !s->size ? r : peek_part(&o, at, out, s->size, s->who);
	}
	r = access_begin(&x, v, s->who);
	if (unlikely(r))
		return r;
	r = slice_at(s, &x.o, &at);
	if (likely(!r && s->size))
		access_out(&x, at, out, s->size);
	return access_end(&x, r);
}

static int slice_set(shv_value *v, const struct slice *s, const void *in)
{
	struct access x;
	uint64_t at = 0;
	int r = s->size ? check_pointer(in, "in", s->who) : 0;

	if (likely(!r))
		r = access_begin(&x, v, s->who);
	if (unlikely(r))
		return r;
	r = slice_at(s, &x.o, &at);
	if (likely(!r && s->size))
		access_in(&x, at, in, s->size);
	return access_end(&x, r);
}

SHV_API int shv_get_item(shv_value *v, size_t i, void *out, size_t size)
{
	return slice_get(v, &(struct slice){ .from = i, .n = 1, .size = size, .one = true, .who = "shv_get_item" }, out);
}

SHV_API int shv_set_item(shv_value *v, size_t i, const void *in, size_t size)
{
	return slice_set(v, &(struct slice){ .from = i, .n = 1, .size = size, .one = true, .who = "shv_set_item" }, in);
}

SHV_API int shv_get_slice(shv_value *v, size_t from, size_t n, void *out, size_t size)
{
	return slice_get(v, &(struct slice){ .from = from, .n = n, .size = size, .who = "shv_get_slice" }, out);
}

SHV_API int shv_set_slice(shv_value *v, size_t from, size_t n, const void *in, size_t size)
{
	return slice_set(v, &(struct slice){ .from = from, .n = n, .size = size, .who = "shv_set_slice" }, in);
}

/* ---- text of fixed room ------------------------------------------------------------------------------------------ */

/* An array of characters, or one value whose type is such an array. *room: characters. */
static int text_room(const struct shv_object *o, enum type_class class, uint64_t *room, const char *who)
{
	const struct shv_type *t = NULL;
	int r = object_items(o, &t, room, who);
	unsigned k = what_kind(o->what);

	if (unlikely(r || !t))
		return r;
	if ((k == SHV_KIND_VALUE || k == SHV_KIND_RAW) && t->kind == TYPE_ARRAY) {
		*room = t->count;
		t = t->item;
	} else if (k == SHV_KIND_VALUE || k == SHV_KIND_RAW) {
		t = NULL; /* a single character is no text: Python's Value('c') takes one, and no more */
	}
	if (unlikely(!t || t->kind != TYPE_SCALAR || type_class(t) != class))
		return fail(-EINVAL, "%s: the value is no array of %s", who, class == TYPE_CHAR ? "char" : "wchar_t");
	return 0;
}

/* Characters up to the first NUL, at most room. */
static size_t text_length(const void *p, size_t width, size_t room)
{
	return width == 1 ? strnlen(p, room) : wcsnlen(p, room);
}

/* What fits into n characters of buf, and a NUL behind it. */
static void text_out(const void *p, size_t width, size_t length, void *buf, size_t n)
{
	if (!n)
		return;
	if (length > n - 1)
		length = n - 1;
	memcpy(buf, p, length * width);
	memset((char *)buf + length * width, 0, width);
}

/* Of a read-only attachment: a copy of all, peeked, and then as ever. */
static int text_peek(const shv_value *v, enum type_class class, size_t width, void *buf, size_t n, size_t *length, const char *who)
{
	struct shv_object o;
	uint64_t room = 0;
	void *copy;
	int r = value_find(v, &o, true, who);

	if (!r)
		r = text_room(&o, class, &room, who);
	if (r)
		return r;
	copy = reallocarray(NULL, room + 1, width);
	if (!copy)
		return fail(-ENOMEM, "%s: no memory for a copy of %llu characters", who, (unsigned long long)room);
	r = peek_part(&o, 0, copy, room * width, who);
	if (r >= 0) {
		*length = text_length(copy, width, room);
		text_out(copy, width, *length, buf, n);
	}
	free(copy);
	return r;
}

static int text_get(shv_value *v, enum type_class class, void *buf, size_t n, size_t *length, const char *who)
{
	size_t width = class == TYPE_CHAR ? 1 : sizeof(wchar_t), unused = 0;
	struct access x;
	uint64_t room = 0;
	int r = n ? check_pointer(buf, "buf", who) : 0;

	if (unlikely(r))
		return r;
	length = length ? length : &unused;
	if (read_only(v))
		return text_peek(v, class, width, buf, n, length, who);
	r = access_begin(&x, v, who);
	if (unlikely(r))
		return r;
	r = text_room(&x.o, class, &room, who);
	if (!r) {
		*length = text_length(object_payload(&x.o), width, room);
		text_out(object_payload(&x.o), width, *length, buf, n);
	}
	return access_end(&x, r);
}

static int text_set(shv_value *v, enum type_class class, const void *text, size_t n, const char *who)
{
	size_t width = class == TYPE_CHAR ? 1 : sizeof(wchar_t);
	struct access x;
	uint64_t room = 0;
	int r = n ? check_pointer(text, "text", who) : 0;

	if (likely(!r))
		r = access_begin(&x, v, who);
	if (unlikely(r))
		return r;
	r = text_room(&x.o, class, &room, who);
	if (!r && n > room)
		r = fail(-EOVERFLOW, "%s: n is %zu, but the array has room for %llu characters", who, n, (unsigned long long)room);
	if (!r) {
		char *p = object_payload(&x.o);
		CRASH_POINT("set-before");
		copy_in_words(p, text, n * width);
		if (n < room)
			copy_in_words(p + n * width, L"", width);
		CRASH_POINT("set-after");
		changed(&x);
	}
	return access_end(&x, r);
}

SHV_API int shv_chars_get(shv_value *v, char *buf, size_t n, size_t *length)
{
	return text_get(v, TYPE_CHAR, buf, n, length, "shv_chars_get");
}

SHV_API int shv_chars_set(shv_value *v, const char *text, size_t n)
{
	return text_set(v, TYPE_CHAR, text, n, "shv_chars_set");
}

SHV_API int shv_wchars_get(shv_value *v, wchar_t *buf, size_t n, size_t *length)
{
	return text_get(v, TYPE_WCHAR, buf, n, length, "shv_wchars_get");
}

SHV_API int shv_wchars_set(shv_value *v, const wchar_t *text, size_t n)
{
	return text_set(v, TYPE_WCHAR, text, n, "shv_wchars_set");
}
