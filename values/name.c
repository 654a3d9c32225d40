/* SPDX-License-Identifier: MIT */
/* References and names: how other processes find an object. The table itself is arena/table.c. */
#include "values/value_private.h"

#include <shv/value.h>
#include <string.h>

SHV_API shv_ref shv_ref_of(const void *p)
{
	struct shv_object o;
	int r = object_find(p, &o, "shv_ref_of");

	if (r) {
		errno = -r;
		return 0;
	}
	return o.index | (uint64_t)slot_gen(o.word) << 32;
}

static void *deref(const shv_arena *a, shv_ref ref, const char *who)
{
	const struct shv_geo *g = a->m ? &a->m->geo : &a->geo;
	const struct shv_slot_shm *s = slot_checked(a->base, g, (uint32_t)ref);
	uint64_t w, what, off;

	if (!ref)
		return fail_null(-EINVAL, "%s: ref is 0, which names nothing", who);
	w = s ? load_acquire(&s->word) : 0; /* pairs: P-publish */
	what = s ? load_relaxed(&s->what) : 0;
	if (!s || slot_gen(w) != (uint32_t)(ref >> 32) || (slot_state(w) != SHV_SLOT_LIVE && slot_state(w) != SHV_SLOT_CONDEMNED))
		return fail_null(-ESTALE, "%s: the object of reference %#llx was freed", who, (unsigned long long)ref);
	off = what_offset(what) + slot_lead(w) + SHV_HEADER_SIZE;
	if (what_kind(what) == SHV_KIND_PART || what_kind(what) == SHV_KIND_NONE)
		return fail_null(-ESTALE, "%s: reference %#llx names no object of a program", who, (unsigned long long)ref);
	if (off < g->data_off || off >= g->data_off + (pool_pages(a->base, g) << SHV_PAGE_SHIFT))
		return fail_null(-EUCLEAN, "%s: the directory entry of reference %#llx is damaged", who, (unsigned long long)ref);
	return a->base + off;
}

SHV_API void *shv_deref(shv_arena *a, shv_ref ref)
{
	int r = arena_valid(a, "shv_deref", false);

	return r ? null_with(r) : deref(a, ref, "shv_deref");
}

static int check_name(const char *name, const char *who)
{
	if (!name || !*name)
		return fail(-EINVAL, "%s: name is %s: it must have 1 to 255 bytes", who, name ? "empty" : "NULL");
	if (strnlen(name, SHV_NAME_MAX + 1) > SHV_NAME_MAX)
		return fail(-ENAMETOOLONG, "%s: name '%.20s...' is longer than 255 bytes", who, name);
	return 0;
}

SHV_API int shv_publish(void *p, const char *name)
{
	struct shv_object o;
	struct shv_tc *tc;
	int r = check_name(name, "shv_publish");

	if (!r)
		r = object_find(p, &o, "shv_publish");
	if (r)
		return r;
	if (!o.at.m)
		return object_fail(-EROFS, p, "shv_publish");
	tc = tc_get(o.at.m);
	return tc ? name_publish(tc, &o, name) : -errno;
}

/* NULL with errno. */
static void *find(shv_arena *a, const char *name, const char *who)
{
	const struct shv_geo *g = a->m ? &a->m->geo : &a->geo;
	shv_ref ref;
	int r = name_find(a->base, g, name, &ref);

	if (r == -ENOENT)
		return fail_null(r, "%s: no object is called '%s'", who, name);
	if (r)
		return fail_null(r, "%s: the arena's table of names is damaged", who);
	return deref(a, ref, who);
}

SHV_API void *shv_find(shv_arena *a, const char *name)
{
	int r = arena_valid(a, "shv_find", false);
	void *p;

	if (!r)
		r = check_name(name, "shv_find");
	if (r)
		return null_with(r);
	p = find(a, name, "shv_find");
	if (!p && errno == ESTALE) /* freed between the two looks */
		return fail_null(-ENOENT, "shv_find: no object is called '%s'", name);
	return p;
}

SHV_API int shv_unpublish(shv_arena *a, const char *name)
{
	struct shv_tc *tc;
	int r = arena_valid(a, "shv_unpublish", true);

	if (!r)
		r = check_name(name, "shv_unpublish");
	if (r)
		return r;
	tc = tc_get(a->m);
	if (!tc)
		return -errno;
	r = name_unpublish(tc, name);
	return r == -ENOENT ? fail(r, "shv_unpublish: no object is called '%s'", name) : r;
}

/* Is what was found what was asked for? */
static void *same_type(void *p, const shv_type *type, const char *name)
{
	const shv_type *t = shv_value_type(p);

	if (shv_kind_of(p) == SHV_KIND_VALUE && t && type && type_same(t, type))
		return p;
	return fail_null(-EEXIST, "shv_find_or_new: '%s' is there already and is not a value of type %s", name,
			 type ? shv_type_name(type) : "NULL");
}

SHV_API void *shv_find_or_new(shv_arena *a, const char *name, const shv_type *type, const void *init, shv_lockspec lock, int *created)
{
	int r = arena_valid(a, "shv_find_or_new", true);

	if (!r)
		r = check_name(name, "shv_find_or_new");
	if (r)
		return null_with(r);
	for (;;) {
		void *p = find(a, name, "shv_find_or_new");
		if (p) {
			p = same_type(p, type, name);
			if (p && created)
				*created = 0;
			return p;
		}
		if (errno != ENOENT && errno != ESTALE)
			return NULL;
		p = shv_value_new(a, type, init, lock);
		if (!p)
			return null_with(fail_by(-errno, "shv_find_or_new"));
		r = shv_publish(p, name);
		if (!r) {
			if (created)
				*created = 1;
			return p;
		}
		(void)shv_value_free(p); /* nobody knew it */
		if (r != -EEXIST)
			return null_with(fail_by(r, "shv_find_or_new"));
		/* Another one was faster: theirs it is, unless it goes again just now. */
	}
}

SHV_API int shv_next_name(shv_arena *a, uint64_t *cursor, char *name, size_t size, shv_ref *ref)
{
	int r = arena_valid(a, "shv_next_name", false);

	if (r)
		return r;
	if (!cursor || (size && !name))
		return fail(-EINVAL, "shv_next_name: cursor or name is NULL");
	return name_next(a->base, a->m ? &a->m->geo : &a->geo, cursor, name, size, ref);
}
