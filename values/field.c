/* SPDX-License-Identifier: MIT */
/*
 * Members by path: "pos.x", "[3].name", "m[1][2]". A path is followed through descriptors only, so it costs the same whatever the
 * arena holds; nothing in shared memory is read but the object's type and length.
 *
 *	path := step { "." name | "[" number "]" }     step: the same without the dot
 */
#include "values/access.h"

#include <shv/field.h>

/* How far a path was followed. */
struct walk {
	const char *who, *path, *p; /* p: the next step in path */
	const shv_type *type;       /* of what was reached */
	uint64_t at;                /* where it is in the content */
};

static int position(const struct walk *w)
{
	return (int)(w->p - w->path);
}

static int malformed(const struct walk *w, const char *why)
{
	return fail(-EINVAL, "%s: path \"%.60s\", at position %d: %s", w->who, w->path, position(w), why);
}

/* "[123]". Numbers that no index can be are out of range, too. */
static int take_number(struct walk *w, uint64_t *i)
{
	bool over = false;
	const char *p = w->p + 1;

	for (*i = 0; *p >= '0' && *p <= '9'; p++)
		over |= __builtin_mul_overflow(*i, UINT64_C(10), i) || __builtin_add_overflow(*i, (uint64_t)(*p - '0'), i);
	if (p == w->p + 1 || *p != ']')
		return malformed(w, "an index is written [0], [1], ...");
	if (over)
		*i = UINT64_MAX;
	w->p = p + 1;
	return 0;
}

static int step_index(struct walk *w, const shv_type *item, uint64_t n)
{
	const char *before = w->p;
	uint64_t i;
	int r = take_number(w, &i);

	if (r)
		return r;
	if (i >= n) {
		w->p = before;
		return fail(-ERANGE, "%s: path \"%.60s\", at position %d: there are %llu items", w->who, w->path, position(w),
			    (unsigned long long)n);
	}
	w->at += i * item->size;
	w->type = item;
	return 0;
}

static int step_name(struct walk *w)
{
	size_t len = strcspn(w->p, ".[");
	const struct type_field *f;

	if (!len)
		return malformed(w, "the name of a member is missing");
	f = type_field_find(w->type, w->p, len);
	if (!f)
		return fail(-ENOENT, "%s: path \"%.60s\", at position %d: %.40s has no such member", w->who, w->path, position(w), w->type->name);
	w->at += f->offset;
	w->type = f->type;
	w->p += len;
	return 0;
}

/* From where w stands to the end of its path. first: nothing was followed yet, so a name stands without a dot. */
static int follow(struct walk *w, bool first)
{
	int r = 0;

	for (; *w->p && !r; first = false) {
		if (*w->p == '[') {
			if (w->type->kind != TYPE_ARRAY)
				return fail(-ENOENT, "%s: path \"%.60s\", at position %d: %.40s is no array", w->who, w->path, position(w),
					    w->type->name);
			r = step_index(w, w->type->item, w->type->count);
		} else if (first) {
			r = step_name(w);
		} else if (*w->p == '.') {
			w->p++;
			r = step_name(w);
		} else {
			return malformed(w, "a dot or an index should follow");
		}
	}
	return r;
}

static int begin(struct walk *w, const char *path, const char *who)
{
	*w = (struct walk){ .who = who, .path = path, .p = path };
	return path ? 0 : fail(-EINVAL, "%s: path is NULL: pass the name of a member, such as \"x\" or \"[3].x\"", who);
}

/* The path in an object: of an array first an item is named. */
static int resolve(struct walk *w, const struct shv_object *o)
{
	unsigned k = what_kind(o->what);
	const shv_type *item = NULL;
	uint64_t n = 0;
	int r = object_items(o, &item, &n, w->who);

	if (r)
		return r;
	if (k != SHV_KIND_ARRAY && k != SHV_KIND_RAW_ARRAY) {
		w->type = item;
		return follow(w, true);
	}
	if (*w->p != '[')
		return fail(-ENOENT, "%s: path \"%.60s\": the value is an array: begin with an index, such as [0]", w->who, w->path);
	r = step_index(w, item, n);
	return r ? r : follow(w, false);
}

/* ---- public ----------------------------------------------------------------------------------------------------- */

SHV_API int shv_type_field(const shv_type *t, const char *path, struct shv_field_info *out)
{
	struct shv_field_info info = { 0 };
	struct walk w;
	int r = begin(&w, path, "shv_type_field");

	if (r)
		return r;
	if (!t || !out)
		return fail(-EINVAL, "shv_type_field: %s is NULL", t ? "out" : "t");
	info.size = out->size ? out->size : sizeof(info);
	if (info.size < sizeof(size_t) || info.size > sizeof(info))
		return fail(-EINVAL, "shv_type_field: out->size is %zu: set it to sizeof, or 0", info.size);
	w.type = t;
	r = follow(&w, true);
	if (r)
		return r;
	info.offset = w.at;
	info.extent = w.type->size;
	info.type = w.type;
	memcpy(out, &info, info.size);
	return 0;
}

SHV_API void *shv_field_at(shv_value *v, const char *path, const shv_type *type)
{
	struct shv_object o;
	struct walk w;
	int r = begin(&w, path, "shv_field_at");

	if (!r)
		r = value_find(v, &o, true, "shv_field_at");
	if (!r)
		r = resolve(&w, &o);
	if (r)
		return null_with(r);
	if (type && !type_same(w.type, type))
		return fail_null(-EINVAL, "shv_field_at: \"%.60s\" is of type %.40s, not %.40s", path, w.type->name, type->name);
	return (char *)object_payload(&o) + w.at;
}

static int check_extent(const struct walk *w, size_t size)
{
	if (likely(w->type->size == size))
		return 0;
	return fail(-EINVAL, "%s: size is %zu, but \"%.60s\" has %zu bytes: pass sizeof of the member", w->who, size, w->path, w->type->size);
}

SHV_API int shv_field_get(shv_value *v, const char *path, void *out, size_t size)
{
	struct shv_object o;
	struct access x;
	struct walk w;
	int r = begin(&w, path, "shv_field_get");

	if (!r)
		r = check_pointer(out, "out", w.who);
	if (r)
		return r;
	if (read_only(v)) {
		r = value_find(v, &o, true, w.who);
		if (!r)
			r = resolve(&w, &o);
		if (!r)
			r = check_extent(&w, size);
		return r ? r : peek_part(&o, w.at, out, size, w.who);
	}
	r = access_begin(&x, v, w.who);
	if (r)
		return r;
	r = resolve(&w, &x.o);
	if (!r)
		r = check_extent(&w, size);
	if (!r)
		access_out(&x, w.at, out, size);
	return access_end(&x, r);
}

SHV_API int shv_field_set(shv_value *v, const char *path, const void *in, size_t size)
{
	struct access x;
	struct walk w;
	int r = begin(&w, path, "shv_field_set");

	if (!r)
		r = check_pointer(in, "in", w.who);
	if (!r)
		r = access_begin(&x, v, w.who);
	if (r)
		return r;
	r = resolve(&w, &x.o);
	if (!r)
		r = check_extent(&w, size);
	if (!r)
		access_in(&x, w.at, in, size);
	return access_end(&x, r);
}
