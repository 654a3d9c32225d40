/* SPDX-License-Identifier: MIT */
/*
 * Types by number: the basic ones have the same everywhere, made ones are numbered by each arena
 * (arena/table.c), which keeps their text.
 *
 * To number a type takes the arena's types lock when it is new there, and a search of its table
 * otherwise. Values are made in great numbers and of few types, so the answers are kept:
 *
 *   cache[hash of (member, file, type)] -> number     one entry a place; the newest answer wins
 *
 * An entry is read without a lock: its sequence number is odd while it is being written and differs
 * afterwards. A child that was forked from a process in the middle of writing one never uses that
 * entry; it asks the arena instead.
 *
 * The other way needs no cache of its own: the text of a type is looked up in the process's table
 * (intern.c).
 */
#include "values/type_private.h"

#include "arena/arena_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(TYPE_ID_END <= SHV_TYPE_FIRST, "basic types have the numbers below SHV_TYPE_FIRST");

/* The file, because a member that is gone may have its address used again. */
struct entry {
	uint32_t sequence;
	uint32_t id;
	const struct shv_member *m;
	uint64_t file;
	const struct shv_type *t;
};
#define ENTRIES 512u
static struct entry cache[ENTRIES];

static struct entry *entry_of(const struct shv_member *m, const struct shv_type *t)
{
	uint64_t h = ((uintptr_t)m ^ (uintptr_t)t >> 4) * UINT64_C(0x9e3779b97f4a7c15);

	return &cache[h >> 32 & (ENTRIES - 1)];
}

/* 0: not known. */
static uint32_t cache_get(const struct shv_member *m, const struct shv_type *t)
{
	struct entry *e = entry_of(m, t);
	uint32_t before = load_acquire(&e->sequence); /* pairs: P-type-id */
	/*
	 * Acquire, so that the second look at the sequence comes after: who sees a new field sees
	 * an odd number, or a later one.
	 */
	uint32_t id = load_acquire(&e->id);           /* pairs: P-type-id */
	bool same = load_acquire(&e->m) == m && load_acquire(&e->t) == t && load_acquire(&e->file) == m->geo.ino;

	return same && !(before & 1) && load_relaxed(&e->sequence) == before ? id : 0;
}

static void cache_put(const struct shv_member *m, const struct shv_type *t, uint32_t id)
{
	struct entry *e = entry_of(m, t);
	uint32_t before = load_relaxed(&e->sequence);

	if (before & 1 || !cas32(&e->sequence, &before, before + 1))
		return; /* another thread is writing it */
	store_release(&e->id, id);                    /* pairs: P-type-id, and so the three below */
	store_release(&e->m, m);
	store_release(&e->t, t);
	store_release(&e->file, (uint64_t)m->geo.ino);
	store_release(&e->sequence, before + 2);
}

/*
 * What an arena says about a type, made a descriptor. NULL with errno: EINVAL or EOVERFLOW for
 * texts that are none, ENOMEM.
 */
static const struct shv_type *type_of_text(const struct shv_type_text *text)
{
	const struct shv_type *t = type_lookup(text->format, text->name);
	char *copy;

	if (t)
		return t;
	/* Others may write there: what is read twice must be ours. */
	copy = strdup(text->format);
	t = copy ? type_parse(copy, "type_by_id") : fail_null(-ENOMEM, "no memory for a type: free some and try again");
	free(copy);
	if (!t || !text->name || !*text->name)
		return t;
	copy = strdup(text->name);
	if (!copy)
		t = fail_null(-ENOMEM, "no memory for a type: free some and try again");
	else if (!type_name_ok(copy, strlen(copy)))
		t = fail_null(-EINVAL, "the name of a type is no text");
	else
		t = type_named(t, copy);
	free(copy);
	return t;
}

static bool same_layout(const struct shv_type_text *known, const void *ctx)
{
	const struct shv_type *t = type_of_text(known);

	return t && type_same(t, ctx);
}

int type_id(struct shv_member *m, const struct shv_type *t)
{
	const struct shv_type_text text = { .format = t->format, .name = t->named ? t->name : "", .size = t->size, .align = t->align };
	uint32_t known;
	int id;

	if (t->id)
		return t->id;
	known = cache_get(m, t);
	if (known)
		return (int)known;
	id = table_type_intern(m, &text, same_layout, t);
	if (id > 0)
		cache_put(m, t, (uint32_t)id);
	return id;
}

const struct shv_type *type_by_id(const char *base, const struct shv_geo *g, uint32_t id)
{
	struct shv_type_text text;
	const struct shv_type *t = type_basic(id);

	if (t)
		return t;
	if (id < SHV_TYPE_FIRST || table_type_read(base, g, id, &text))
		return fail_null(-EUCLEAN,
				 "the arena is damaged: an object has type %u, which the table of types does not have",
				 id);
	t = type_of_text(&text);
	if (!t && errno == ENOMEM)
		return NULL;
	if (!t || t->size != text.size || t->align != text.align)
		return fail_null(-EUCLEAN, "the arena is damaged: what it says about type %u contradicts itself", id);
	return t;
}

int type_text_of(const char *base, const struct shv_geo *g, uint32_t id, struct shv_type_text *out)
{
	const struct shv_type *t = type_basic(id);

	if (!t)
		return id < SHV_TYPE_FIRST ? -ENOENT : table_type_read(base, g, id, out);
	*out = (struct shv_type_text){ .format = t->format, .name = t->name, .size = t->size, .align = t->align };
	return 0;
}
