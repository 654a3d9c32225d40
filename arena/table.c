/* SPDX-License-Identifier: MIT */
/*
 * Tables that all processes share: made types, user lock policies, names.
 *
 * Types and policies are only ever added. An entry is written beyond the count, then the count is stored (release): that one
 * store commits it, so a death leaves either nothing or the whole entry, and no intent is needed.
 *
 * Names are a hash table of slot indices (open addressing, linear probing), each naming a part that holds text and target.
 * A name has two entries: one by its text, one by its target. Changes are made under the names lock, with an intent of absolute
 * after-values; readers take no lock: they check that the part they were led to is live and says what they look for, and
 * look again if the table was replaced meanwhile. A table that gets full is built anew elsewhere and put in place by one store.
 */
#include "arena/arena_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SWEEP_WAIT_MS 50u

/* ---- types -------------------------------------------------------------------------------------------- */

static struct shv_type_shm *type_at(const char *base, const struct shv_geo *g, uint32_t i)
{
	return (struct shv_type_shm *)(uintptr_t)(base + g->types_off) + i;
}

static uint32_t types_count(const char *base)
{
	uint32_t n = load_acquire(&super_of(base)->types); /* pairs: P-table */

	return n < SHV_MAX_TYPES - SHV_TYPE_FIRST ? n : SHV_MAX_TYPES - SHV_TYPE_FIRST;
}

int table_type_read(const char *base, const struct shv_geo *g, uint32_t id, struct shv_type_text *out)
{
	struct shv_type_shm t;
	const char *text;

	if (id < SHV_TYPE_FIRST || id - SHV_TYPE_FIRST >= types_count(base))
		return -ENOENT;
	memcpy(&t, type_at(base, g, id - SHV_TYPE_FIRST), sizeof(t));
	if (t.text > SHV_TYPE_TEXT || t.format_len > SHV_TYPE_TEXT || t.name_len > SHV_TYPE_TEXT ||
	    (uint64_t)t.text + t.format_len + t.name_len + 2 > SHV_TYPE_TEXT)
		return -EUCLEAN;
	text = base + g->types_text_off + t.text;
	if (text[t.format_len] || text[t.format_len + 1 + t.name_len] || strlen(text) != t.format_len)
		return -EUCLEAN;
	out->format = text;
	out->name = text + t.format_len + 1;
	out->size = t.size;
	out->align = t.align;
	return 0;
}

static uint64_t type_hash(const char *format, const char *name)
{
	return fnv64(format, strlen(format) + 1) * 31 + fnv64(name, strlen(name));
}

static int type_lookup(const char *base, const struct shv_geo *g, uint32_t from, uint64_t hash, const char *format, const char *name)
{
	struct shv_type_text t;
	uint32_t n = types_count(base);

	for (uint32_t i = from; i < n; i++)
		if (type_at(base, g, i)->hash == hash && !table_type_read(base, g, i + SHV_TYPE_FIRST, &t) &&
		    !strcmp(t.format, format) && !strcmp(t.name, name))
			return (int)(i + SHV_TYPE_FIRST);
	return -ENOENT;
}

static int type_add(struct shv_member *m, uint64_t hash, const char *format, const char *name, uint64_t size, uint32_t align)
{
	uint32_t n = types_count(m->base);
	uint64_t at = 0, fl = strlen(format), nl = strlen(name);
	struct shv_type_shm *t;
	char *text;

	if (n) {
		t = type_at(m->base, &m->geo, n - 1);
		at = ((uint64_t)t->text + t->format_len + t->name_len + 2 + 7) & ~UINT64_C(7);
	}
	if (n == SHV_MAX_TYPES - SHV_TYPE_FIRST || at + fl + nl + 2 > SHV_TYPE_TEXT)
		return fail(-ENOSPC, "arena '%s': its table of types is full (%u types, 16 MiB of text)", m->name, n);
	text = m->base + m->geo.types_text_off + at;
	memcpy(text, format, fl + 1);
	memcpy(text + fl + 1, name, nl + 1);
	t = type_at(m->base, &m->geo, n);
	*t = (struct shv_type_shm){ hash, size, align, (uint32_t)fl, (uint32_t)nl, (uint32_t)at };
	CRASH_POINT("type-written");
	store_release(&super_of(m->base)->types, n + 1); /* pairs: P-table */
	return (int)(n + SHV_TYPE_FIRST);
}

/* A name stands for one layout in an arena. With the types lock held. */
static int type_clash(struct shv_member *m, const char *name, shv_type_same_fn *same, const void *ctx)
{
	size_t len = strlen(name);
	struct shv_type_text t;
	uint32_t n = types_count(m->base);

	for (uint32_t i = 0; len && i < n; i++)
		if (type_at(m->base, &m->geo, i)->name_len == len && !table_type_read(m->base, &m->geo, i + SHV_TYPE_FIRST, &t) &&
		    !strcmp(t.name, name) && !same(&t, ctx))
			return fail(-EPROTONOSUPPORT,
				    "arena '%s': structure '%.40s' is known with another layout (%.60s): build all programs from one "
				    "description, or give this one another name",
				    m->name, name, t.format);
	return 0;
}

int table_type_intern(struct shv_member *m, const struct shv_type_text *type, shv_type_same_fn *same, const void *ctx)
{
	uint64_t hash = type_hash(type->format, type->name);
	int r = type_lookup(m->base, &m->geo, 0, hash, type->format, type->name);

	if (r != -ENOENT)
		return r;
	r = sys_lock(m, RANK_TYPES);
	if (r)
		return r;
	r = type_lookup(m->base, &m->geo, 0, hash, type->format, type->name);
	if (r == -ENOENT) {
		r = type_clash(m, type->name, same, ctx);
		if (!r)
			r = type_add(m, hash, type->format, type->name, type->size, type->align);
	}
	sys_unlock(m, RANK_TYPES);
	return r;
}

/* ---- policies ------------------------------------------------------------------------------------------- */

static struct shv_policy_shm *policy_at(const char *base, const struct shv_geo *g, uint32_t i)
{
	return (struct shv_policy_shm *)(uintptr_t)(base + g->policies_off) + i;
}

static uint32_t policies_count(const char *base)
{
	uint32_t n = load_acquire(&super_of(base)->policies); /* pairs: P-table */

	return n < SHV_MAX_POLICIES ? n : SHV_MAX_POLICIES;
}

int table_policy_read(const char *base, const struct shv_geo *g, unsigned index, struct shv_policy_shm *out)
{
	if (index >= policies_count(base))
		return -ENOENT;
	memcpy(out, policy_at(base, g, index), sizeof(*out));
	out->name[sizeof(out->name) - 1] = 0;
	return 0;
}

static int policy_lookup(struct shv_member *m, const struct shv_lock_policy *p)
{
	struct shv_policy_shm s;

	for (unsigned i = 0; !table_policy_read(m->base, &m->geo, i, &s); i++) {
		if (strcmp(s.name, p->name))
			continue;
		if (s.size != p->size || s.align != p->align)
			return fail(-EPROTONOSUPPORT, "shv_lock_register: the arena knows policy '%s' with %u bytes of state aligned to %u, "
				    "not %u and %u: all processes must use the same one", p->name, s.size, s.align, p->size, p->align);
		return (int)i;
	}
	return -ENOENT;
}

int table_policy_register(struct shv_member *m, const struct shv_lock_policy *p)
{
	int r = policy_lookup(m, p);
	uint32_t n;

	if (r != -ENOENT)
		return r;
	r = sys_lock(m, RANK_POLICIES);
	if (r)
		return r;
	r = policy_lookup(m, p);
	n = policies_count(m->base);
	if (r == -ENOENT && n == SHV_MAX_POLICIES)
		r = fail(-ENOSPC, "shv_lock_register: the arena has %u lock policies already, no room for '%s'", n, p->name);
	if (r == -ENOENT) {
		struct shv_policy_shm *s = policy_at(m->base, &m->geo, n);
		memset(s, 0, sizeof(*s));
		s->size = p->size;
		s->align = p->align;
		memcpy(s->name, p->name, strlen(p->name));
		CRASH_POINT("policy-written");
		store_release(&super_of(m->base)->policies, n + 1); /* pairs: P-table */
		r = (int)n;
	}
	sys_unlock(m, RANK_POLICIES);
	return r;
}

/* ---- names: reading ----------------------------------------------------------------------------------------- */

struct name_table {
	uint64_t *e;
	uint64_t mask;
	uint64_t root;
	uint32_t page, pages;
};

uint32_t name_hash_text(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h & ~SHV_NAME_BY_TARGET;
}

uint32_t name_hash_target(shv_ref ref)
{
	ref ^= ref >> 33;
	ref *= UINT64_C(0xff51afd7ed558ccd);
	ref ^= ref >> 33;
	return (uint32_t)ref | SHV_NAME_BY_TARGET;
}

/* The table as it is now: 0, -ENOENT (none yet), -EUCLEAN. */
static int table_open(const char *base, const struct shv_geo *g, struct name_table *t)
{
	uint32_t lg;

	t->root = load_acquire(&super_of(base)->names_root); /* pairs: P-names */
	if (!t->root)
		return -ENOENT;
	t->page = (uint32_t)t->root;
	lg = (uint32_t)(t->root >> 32) & 0xff;
	if (lg < 6 || lg > 31)
		return -EUCLEAN;
	t->pages = (uint32_t)(((UINT64_C(8) << lg) + SHV_PAGE_SIZE - 1) >> SHV_PAGE_SHIFT);
	if ((uint64_t)t->page + t->pages > pool_pages(base, g))
		return -EUCLEAN;
	t->mask = (UINT64_C(1) << lg) - 1;
	t->e = (uint64_t *)(uintptr_t)page_addr(base, g, t->page);
	return 0;
}

/* Is the table that was looked at still in place? Its pages may have been given away meanwhile. */
static bool table_same(const char *base, const struct name_table *t)
{
	fence_acquire();
	return load_relaxed(&super_of(base)->names_root) == t->root;
}

/* A copy of the name part of a slot: false if it is none, or went while we looked. */
__attribute__((no_sanitize("thread"))) static bool part_read(const char *base, const struct shv_geo *g, uint32_t slot, struct shv_name_shm *out, char *text)
{
	const struct shv_slot_shm *s = slot_checked(base, g, slot);
	const struct shv_name_shm *n;
	uint64_t w, what, off;

	if (!s)
		return false;
	w = load_acquire(&s->word);
	what = load_relaxed(&s->what);
	off = what_offset(what);
	if (slot_state(w) != SHV_SLOT_LIVE || what_kind(what) != SHV_KIND_PART || what_policy(what) != SHV_PART_NAME)
		return false;
	if (off < g->data_off || page_of(g, off + class_size(slot_class(w)) - 1) >= pool_pages(base, g) ||
	    class_size(slot_class(w)) < SHV_HEADER_SIZE + sizeof(*n))
		return false;
	n = (const struct shv_name_shm *)(const void *)(base + off + SHV_HEADER_SIZE);
	*out = *n;
	if (out->len > SHV_NAME_MAX || SHV_HEADER_SIZE + offsetof(struct shv_name_shm, text) + out->len + 1 > class_size(slot_class(w)))
		return false;
	memcpy(text, n->text, out->len);
	text[out->len] = 0;
	fence_acquire();
	return load_relaxed(&s->word) == w;
}

static bool target_alive(const char *base, const struct shv_geo *g, shv_ref ref)
{
	const struct shv_slot_shm *s = slot_checked(base, g, (uint32_t)ref);
	uint64_t w = s ? load_acquire(&s->word) : 0;

	return s && slot_gen(w) == (uint32_t)(ref >> 32) && (slot_state(w) == SHV_SLOT_LIVE || slot_state(w) == SHV_SLOT_CONDEMNED);
}

/* Index of the entry by text or by target; -1 none. part: its content. */
static int64_t table_probe(const char *base, const struct shv_geo *g, const struct name_table *t, uint32_t hash, const char *name, shv_ref ref,
			   struct shv_name_shm *part, char *text)
{
	for (uint64_t k = 0, i = hash & t->mask; k <= t->mask; k++, i = (i + 1) & t->mask) {
		uint64_t e = load_acquire(&t->e[i]);
		if (e == SHV_NAME_EMPTY)
			return -1;
		if ((uint32_t)(e >> 32) != hash || e == SHV_NAME_TOMB || !part_read(base, g, (uint32_t)e, part, text))
			continue;
		if (name ? !strcmp(text, name) : part->target == ref)
			return (int64_t)i;
	}
	return -1;
}

static int lookup(const char *base, const struct shv_geo *g, const char *name, shv_ref ref, struct shv_name_shm *part, char *text)
{
	uint32_t hash = name ? name_hash_text(name) : name_hash_target(ref);

	for (int tries = 0; tries < 1000; tries++) {
		struct name_table t;
		int r = table_open(base, g, &t);
		if (r)
			return r;
		if (table_probe(base, g, &t, hash, name, ref, part, text) >= 0)
			return 0;
		if (table_same(base, &t))
			return -ENOENT;
	}
	return -ENOENT;
}

int name_find(const char *base, const struct shv_geo *g, const char *name, shv_ref *ref)
{
	struct shv_name_shm part;
	char text[SHV_NAME_MAX + 1];
	int r = lookup(base, g, name, 0, &part, text);

	if (r)
		return r;
	if (!target_alive(base, g, part.target))
		return -ENOENT; /* its object was freed; the name is on its way out */
	*ref = part.target;
	return 0;
}

static size_t copy_name(char *to, size_t size, const char *text, size_t len)
{
	size_t n = len < size ? len : size ? size - 1 : 0;

	if (size) {
		memcpy(to, text, n);
		to[n] = 0;
	}
	return len;
}

int name_of(const char *base, const struct shv_geo *g, shv_ref ref, char *name, size_t size)
{
	struct shv_name_shm part;
	char text[SHV_NAME_MAX + 1];
	int r = lookup(base, g, NULL, ref, &part, text);

	return r ? r : (int)copy_name(name, size, text, part.len);
}

int name_next(const char *base, const struct shv_geo *g, uint64_t *cursor, char *name, size_t size, shv_ref *ref)
{
	struct name_table t;
	struct shv_name_shm part;
	char text[SHV_NAME_MAX + 1];

	if (table_open(base, g, &t))
		return 0;
	while (*cursor <= t.mask) {
		uint64_t e = load_acquire(&t.e[(*cursor)++]);
		if (e == SHV_NAME_EMPTY || e == SHV_NAME_TOMB || e >> 63 || !part_read(base, g, (uint32_t)e, &part, text) ||
		    !target_alive(base, g, part.target))
			continue;
		copy_name(name, size, text, part.len);
		if (ref)
			*ref = part.target;
		return 1;
	}
	return 0;
}

/* ---- names: changing, under the names lock ---------------------------------------------------------------------- */

static struct shv_name_intent_shm *name_intent(struct shv_member *m)
{
	return &super_of(m->base)->name_intent;
}

static uint64_t off_of(struct shv_member *m, const void *p)
{
	return (uint64_t)((const char *)p - m->base);
}

static void redo_set(struct shv_member *m, struct shv_name_intent_shm *in)
{
	for (uint32_t i = 0; i < in->writes && i < 6; i++) {
		if (in->word[i].off <= m->geo.capacity - 8 && in->word[i].off % 8 == 0 &&
		    in->word[i].off + 8 <= m->geo.data_off + (pool_pages(m->base, &m->geo) << SHV_PAGE_SHIFT))
			store_release((uint64_t *)(m->base + in->word[i].off), in->word[i].value); /* pairs: P-names */
		CRASH_POINT("name-word");
	}
}

static void redo_grow(struct shv_member *m, struct shv_name_intent_shm *in)
{
	struct shv_super_shm *s = super_of(m->base);
	uint64_t names = page_make(SHV_PG_SYSTEM, 0, SHV_TABLE_NAMES, 0), pages = pool_pages(m->base, &m->geo);

	if ((uint64_t)in->new_page + in->new_pages > pages || (uint64_t)in->old_page + in->old_pages > pages)
		return;
	(void)pool_set(m, in->new_page, in->new_pages, SHV_PG_OWNED, SHV_PG_STATE_MASK, names, NULL, 0);
	CRASH_POINT("names-system");
	store_release(&s->names_root, in->root_after); /* pairs: P-names */
	CRASH_POINT("names-root");
	store_relaxed(&s->names_used, in->used_after);
	/* Only a holder of this lock makes pages SYSTEM(names), so what still says so is still the old table. */
	if (in->old_pages && load_relaxed(page_entry(m->base, &m->geo, in->old_page)) == names)
		(void)pool_free(m, in->old_page, in->old_pages, names, UINT64_MAX);
}

void name_redo(struct shv_member *m)
{
	struct shv_name_intent_shm *in = name_intent(m);

	switch (load_acquire(&in->active)) {
	case SHV_NAMES_SET:
		redo_set(m, in);
		break;
	case SHV_NAMES_GROW:
		redo_grow(m, in);
		break;
	}
	CRASH_POINT("names-done");
	store_release(&in->active, SHV_NAMES_IDLE);
}

static void run_intent(struct shv_member *m, enum shv_name_op op)
{
	CRASH_POINT("names-intent");
	store_release(&name_intent(m)->active, op);
	CRASH_POINT("names-active");
	name_redo(m);
}

static void put_word(struct shv_member *m, const void *p, uint64_t value)
{
	struct shv_name_intent_shm *in = name_intent(m);

	in->word[in->writes].off = off_of(m, p);
	in->word[in->writes++].value = value;
}

/* First entry where `hash` may go, not `taken`. */
static uint64_t *room_for(const struct name_table *t, uint32_t hash, const uint64_t *taken)
{
	for (uint64_t i = hash & t->mask;; i = (i + 1) & t->mask)
		if (&t->e[i] != taken && (t->e[i] == SHV_NAME_EMPTY || t->e[i] == SHV_NAME_TOMB))
			return &t->e[i];
}

/* A new table with room for one more name; tombstones stay behind. */
static int table_rebuild(struct shv_member *m, const struct name_table *old)
{
	struct shv_super_shm *s = super_of(m->base);
	struct shv_name_intent_shm *in = name_intent(m);
	uint64_t want = (load_relaxed(&s->names_live) + 1) * 2 * 2, page;
	struct name_table t = { .page = 0 };
	uint32_t lg = 9, used = 0;
	int r;

	while ((UINT64_C(1) << lg) < want && lg < 31)
		lg++;
	t.pages = (uint32_t)(((UINT64_C(8) << lg) + SHV_PAGE_SIZE - 1) >> SHV_PAGE_SHIFT);
	r = pool_alloc(m, t.pages, 1, page_make(SHV_PG_OWNED, m->local->proc, 0, m->local->gen), &page);
	if (r)
		return r;
	CRASH_POINT("names-run"); /* ours: our recovery takes it back */
	t.mask = (UINT64_C(1) << lg) - 1;
	t.e = (uint64_t *)page_addr(m->base, &m->geo, page);
	for (uint64_t i = 0; old && i <= old->mask; i++)
		if (old->e[i] != SHV_NAME_EMPTY && old->e[i] != SHV_NAME_TOMB) {
			/* The pages may have been a table before, and some reader still in it. */
			store_relaxed(room_for(&t, (uint32_t)(old->e[i] >> 32), NULL), old->e[i]);
			used++;
		}
	in->new_page = (uint32_t)page;
	in->new_pages = t.pages;
	in->old_page = old ? old->page : 0;
	in->old_pages = old ? old->pages : 0;
	/* A count makes each root unlike those before, also if the pages are the same again. */
	in->root_after = page | (uint64_t)lg << 32 | ((load_relaxed(&s->names_root) >> 40) + 1) << 40;
	in->used_after = used;
	run_intent(m, SHV_NAMES_GROW);
	return 0;
}

/* The table, with room for two more entries. */
static int table_for_insert(struct shv_member *m, struct name_table *t)
{
	int r = table_open(m->base, &m->geo, t);

	if (!r && (load_relaxed(&super_of(m->base)->names_used) + 2) * 4 <= (t->mask + 1) * 3)
		return 0;
	if (r && r != -ENOENT)
		return fail(r, "arena '%s': its table of names is damaged", m->name);
	r = table_rebuild(m, r ? NULL : t);
	return r ? r : table_open(m->base, &m->geo, t);
}

/* Take the entries of a part out and withdraw it, in one intent. Its slot comes back GONE(me). */
static bool part_remove(struct shv_tc *tc, const struct name_table *t, uint64_t i, uint32_t slot, const struct shv_name_shm *part)
{
	struct shv_member *m = tc->m;
	struct shv_super_shm *s = super_of(m->base);
	struct shv_slot_shm *ps = slot_fast(m->base, &m->geo, slot);
	uint64_t w = load_acquire(&ps->word), other = UINT64_MAX;
	uint32_t hash = t->e[i] >> 63 ? part->hash : name_hash_target(part->target);

	/* The other entry of the same part. */
	for (uint64_t k = 0, j = hash & t->mask; k <= t->mask && t->e[j]; k++, j = (j + 1) & t->mask)
		if (t->e[j] == ((uint64_t)hash << 32 | slot))
			other = j;
	note_away(tc);
	name_intent(m)->writes = 0;
	put_word(m, &t->e[i], SHV_NAME_TOMB);
	if (other != UINT64_MAX)
		put_word(m, &t->e[other], SHV_NAME_TOMB);
	put_word(m, &s->names_live, load_relaxed(&s->names_live) - 1);
	put_word(m, &ps->word, slot_with(w, SHV_SLOT_GONE, tc->proc) + (UINT64_C(1) << SHV_SLOT_GEN_SHIFT));
	run_intent(m, SHV_NAMES_SET);
	return true;
}

static void part_home(struct shv_tc *tc, uint32_t slot)
{
	struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, slot);

	object_send_home(tc, slot, load_relaxed(&s->word), load_relaxed(&s->what), false);
}

/* A part, HELD: header and content written. 0 with errno. */
static uint32_t part_make(struct shv_tc *tc, const char *name, shv_ref target, uint64_t *off, unsigned *size_class)
{
	size_t len = strlen(name), size = SHV_HEADER_SIZE + offsetof(struct shv_name_shm, text) + len + 1;
	uint32_t slot;
	struct shv_name_shm *n;

	if (size < SHV_HEADER_SIZE + sizeof(*n))
		size = SHV_HEADER_SIZE + sizeof(*n);
	slot = object_reserve(tc, size, 8, 0, off, size_class);
	if (!slot)
		return 0;
	n = (struct shv_name_shm *)(void *)(tc->m->base + *off + SHV_HEADER_SIZE);
	store_relaxed((uint64_t *)(void *)(tc->m->base + *off), hdr_make(slot, SHV_KIND_PART, SHV_PART_NAME, 0));
	n->link = 0;
	n->hash = name_hash_text(name);
	n->target = target;
	n->len = (uint32_t)len;
	memcpy(n->text, name, len + 1);
	store_relaxed(&slot_fast(tc->m->base, &tc->m->geo, slot)->what, what_make(*off, 0, SHV_KIND_PART, SHV_PART_NAME));
	return slot;
}

static int insert_locked(struct shv_tc *tc, const char *name, shv_ref ref, uint32_t part, unsigned size_class, uint32_t *stale)
{
	struct shv_member *m = tc->m;
	struct shv_super_shm *s = super_of(m->base);
	struct shv_slot_shm *ps = slot_fast(m->base, &m->geo, part);
	struct shv_name_shm found;
	char text[SHV_NAME_MAX + 1];
	struct name_table t;
	uint64_t *a, *b;
	int64_t i;
	int r = table_for_insert(m, &t);

	if (r)
		return r;
	if (table_probe(m->base, &m->geo, &t, name_hash_target(ref), NULL, ref, &found, text) >= 0)
		return fail(-EEXIST, "shv_publish: the object is called '%s' already: shv_unpublish() that first", text);
	i = table_probe(m->base, &m->geo, &t, name_hash_text(name), name, 0, &found, text);
	if (i >= 0) {
		if (target_alive(m->base, &m->geo, found.target))
			return fail(-EEXIST, "shv_publish: the name '%s' is taken: choose another, or use shv_find_or_new()", name);
		*stale = (uint32_t)t.e[i];
		part_remove(tc, &t, (uint64_t)i, *stale, &found);
	}
	a = room_for(&t, name_hash_text(name), NULL);
	b = room_for(&t, name_hash_target(ref), a);
	name_intent(m)->writes = 0;
	put_word(m, &ps->word, slot_word(SHV_SLOT_LIVE, tc->proc, size_class, 0, slot_gen(load_relaxed(&ps->word))));
	put_word(m, &s->names_used, load_relaxed(&s->names_used) + (*a == SHV_NAME_EMPTY) + (*b == SHV_NAME_EMPTY));
	put_word(m, &s->names_live, load_relaxed(&s->names_live) + 1);
	put_word(m, b, (uint64_t)name_hash_target(ref) << 32 | part);
	put_word(m, a, (uint64_t)name_hash_text(name) << 32 | part);
	run_intent(m, SHV_NAMES_SET);
	return 0;
}

/*
 * Who frees a small object holds its lock, looks for the mark, and then lets the slot go by a plain store. If it holds the lock now,
 * it may have looked before we set the mark: a few instructions, unless it was stopped or died just there. False: it is taking too long.
 */
static bool freer_has_passed(struct shv_tc *tc, struct shv_object *o)
{
	struct timespec moment = { 0, 1000000 };

	if (!policy_owns_word(what_policy(o->what)))
		return true;
	for (unsigned i = 0; i < 1100; i++) {
		uint64_t w = load_acquire(object_lock_word(o));
		if (load_acquire(&o->slot->word) != o->word || !lock_is_held(w) || (w & LOCK_DEPTH_MASK) != LOCK_FREEING)
			return true;
		if (i < 1000)
			cpu_relax();
		else if (owner_dead(tc->m, lock_owner(w), NULL))
			return true; /* nothing came of it */
		else
			nanosleep(&moment, NULL);
	}
	return false;
}

int name_publish(struct shv_tc *tc, struct shv_object *o, const char *name)
{
	shv_ref ref = o->index | (uint64_t)slot_gen(o->word) << 32;
	uint32_t part, stale = 0;
	unsigned size_class;
	uint64_t off;
	bool there;
	int r;

	part = part_make(tc, name, ref, &off, &size_class);
	if (!part)
		return -errno;
	/* The mark is only a hint that there may be a name: set before, so that whoever frees the object looks. */
	there = object_mark(o, SHV_HDR_NAMED);
	fence_full(); /* pairs: P-named */
	there = there && freer_has_passed(tc, o);
	r = sys_lock(tc->m, RANK_NAMES);
	if (!r) {
		r = there && target_alive(tc->m->base, &tc->m->geo, ref) ? insert_locked(tc, name, ref, part, size_class, &stale) :
								   fail(-ESTALE, "shv_publish: the object was freed meanwhile");
		sys_unlock(tc->m, RANK_NAMES);
	}
	if (r)
		object_unreserve(tc, part, off, size_class);
	if (stale)
		part_home(tc, stale);
	return r;
}

/* Remove one name, found by text or by target. */
static int remove_name(struct shv_tc *tc, const char *name, shv_ref ref)
{
	struct shv_name_shm found;
	char text[SHV_NAME_MAX + 1];
	struct name_table t;
	uint32_t slot = 0;
	int64_t i = -1;
	int r = sys_lock(tc->m, RANK_NAMES);

	if (r)
		return r;
	r = table_open(tc->m->base, &tc->m->geo, &t);
	if (!r)
		i = table_probe(tc->m->base, &tc->m->geo, &t, name ? name_hash_text(name) : name_hash_target(ref), name, ref, &found, text);
	if (i >= 0) {
		slot = (uint32_t)t.e[i];
		part_remove(tc, &t, (uint64_t)i, slot, &found);
	} else if (!r) {
		r = -ENOENT;
	}
	sys_unlock(tc->m, RANK_NAMES);
	if (slot)
		part_home(tc, slot);
	return r;
}

int name_unpublish(struct shv_tc *tc, const char *name)
{
	return remove_name(tc, name, 0);
}

void name_forget(struct shv_tc *tc, shv_ref ref)
{
	(void)remove_name(tc, NULL, ref);
}

/* Names whose object went while its freer died, or was never told. */
void name_sweep(struct shv_member *m)
{
	struct shv_tc *tc = tc_get(m);
	struct name_table t;
	uint64_t from = 0;

	/* Not worth waiting for somebody who was stopped with the lock: nobody finds such a name, and it goes another time. */
	while (tc && !sys_lock_for(m, RANK_NAMES, SWEEP_WAIT_MS)) {
		struct shv_name_shm part;
		char text[SHV_NAME_MAX + 1];
		uint32_t gone[64], n = 0;
		bool more = false;
		if (!table_open(m->base, &m->geo, &t)) {
			for (; from <= t.mask && n < 64; from++) {
				uint64_t e = t.e[from];
				if (e == SHV_NAME_EMPTY || e == SHV_NAME_TOMB || e >> 63 || !part_read(m->base, &m->geo, (uint32_t)e, &part, text) ||
				    target_alive(m->base, &m->geo, part.target))
					continue;
				gone[n++] = (uint32_t)e;
				part_remove(tc, &t, from, (uint32_t)e, &part);
			}
			more = from <= t.mask;
		}
		sys_unlock(m, RANK_NAMES);
		for (uint32_t i = 0; i < n; i++)
			part_home(tc, gone[i]);
		if (!more)
			return;
	}
}
