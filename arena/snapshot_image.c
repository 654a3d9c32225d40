/* SPDX-License-Identifier: MIT */
/*
 * The tables of a snapshot: read once, then made to fit the objects that are in the image and each other. snapshot.c says why
 * nothing needs to stand still for that.
 *
 * They are made in private memory at the offsets that they have in the file, so that what reads and writes tables elsewhere does
 * here too.
 */
#include "config.h"

#include "arena/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define LOOKS 16

int snap_tables_prepare(struct snap *s)
{
	void *p = MAP_FAILED;

	if (!FAIL_POINT("mmap-snapshot"))
		p = mmap(NULL, s->g->data_off, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return fail(-ENOMEM, "no memory for a copy of the arena's tables (%llu bytes of address space)", (unsigned long long)s->g->data_off);
	s->image = p;
	return 0;
}

void snap_tables_drop(struct snap *s)
{
	if (s->image)
		munmap(s->image, s->g->data_off);
	s->image = NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

static uint32_t at_most(uint64_t n, uint32_t limit)
{
	return n < limit ? (uint32_t)n : limit;
}

/* A copy of whole words; those that are zero do not cost memory. */
static void copy_words(char *to, const char *from, uint64_t n)
{
	for (uint64_t i = 0; i < n / 8; i++) {
		uint64_t w = load_relaxed((const uint64_t *)(const void *)from + i);
		if (w)
			((uint64_t *)(void *)to)[i] = w;
	}
}

static void load_super(struct snap *s)
{
	struct shv_super_shm *to = super_of(s->image);
	struct timespec now;

	memcpy(&to->c, &super_of(s->base)->c, sizeof(to->c));
	to->texts = load_relaxed(&super_of(s->base)->texts);
	to->c.features_optional |= SHV_FEATURE_SNAPSHOT;
	geo_seal(&to->c);
	clock_gettime(CLOCK_REALTIME, &now);
	to->snapshot_taken = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void load_processes(struct snap *s)
{
	uint32_t high = at_most(load_acquire(&super_of(s->base)->processes_high), s->g->last_process + 1);

	super_of(s->image)->processes_high = high;
	for (uint32_t i = 0; i < high; i++) {
		const struct shv_process_shm *from = process_at(s->base, s->g, i);
		struct shv_process_shm *to = process_at(s->image, s->g, i);
		uint64_t w = 0;

		for (int n = 0; n < LOOKS; n++) {
			w = load_acquire(&from->word); /* pairs: P-process */
			copy_words((char *)to, (const char *)from, sizeof(*to));
			fence_acquire();
			if (load_relaxed(&from->word) == w)
				break;
		}
		to->word = w;
		/* Slots, chunks and processes were read at different moments, so recovery looks at all slots. */
		to->away = 1;
		/* Its list is empty: what was on it is free. */
		to->head = (uint64_t)proc_gen(w) << 32;
		if (proc_state(w) == SHV_PROC_FREE || proc_state(w) > SHV_PROC_DEAD || !proc_gen(w)) {
			memset(to, 0, sizeof(*to));
			to->word = proc_word(SHV_PROC_FREE, proc_gen(w));
		}
	}
}

static void load_threads(struct snap *s)
{
	uint32_t high = at_most(load_acquire(&super_of(s->base)->threads_high), s->g->max_threads);

	super_of(s->image)->threads_high = high;
	for (uint32_t i = 0; i < high; i++) {
		const struct shv_thread_shm *from = thread_at(s->base, s->g, i);
		struct shv_thread_shm *to = thread_at(s->image, s->g, i);
		uint64_t w = load_acquire(&from->word);
		uint32_t slot = thread_proc(w);

		if (thread_state(w) != SHV_THREAD_ALIVE && thread_state(w) != SHV_THREAD_ENDED)
			continue;
		if (slot > s->g->last_process || proc_state(process_at(s->image, s->g, slot)->word) == SHV_PROC_FREE ||
		    proc_gen(process_at(s->image, s->g, slot)->word) != thread_gen(w))
			continue;
		copy_words((char *)to, (const char *)from, sizeof(*to));
		to->word = w;
	}
}

static void load_types(struct snap *s)
{
	uint32_t n = at_most(load_acquire(&super_of(s->base)->types), SHV_MAX_TYPES - SHV_TYPE_FIRST); /* pairs: P-table */
	const struct shv_type_shm *row;

	super_of(s->image)->types = n;
	copy_words(s->image + s->g->types_off, s->base + s->g->types_off, n * sizeof(*row));
	row = (const struct shv_type_shm *)(const void *)(s->image + s->g->types_off);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t len = (uint64_t)row[i].format_len + row[i].name_len + 2;
		if (row[i].text < SHV_TYPE_TEXT && len <= SHV_TYPE_TEXT - row[i].text)
			memcpy(s->image + s->g->types_text_off + row[i].text, s->base + s->g->types_text_off + row[i].text, (size_t)len);
	}
}

static void load_policies(struct snap *s)
{
	uint32_t n = at_most(load_acquire(&super_of(s->base)->policies), SHV_MAX_POLICIES); /* pairs: P-table */

	super_of(s->image)->policies = n;
	copy_words(s->image + s->g->policies_off, s->base + s->g->policies_off, n * sizeof(struct shv_policy_shm));
}

/*
 * After the lock words that name them. One that is just dug gets the number that it will have. The ring is not read further than it
 * was ever written: it would be a hole, and reading allocates it.
 */
static void load_graves(struct snap *s)
{
	const struct shv_grave_shm *from = (const struct shv_grave_shm *)(const void *)(s->base + s->g->graves_off);
	struct shv_grave_shm *to = (struct shv_grave_shm *)(void *)(s->image + s->g->graves_off);
	uint64_t dug = load_acquire(&super_of(s->base)->graves);
	uint32_t rows = dug ? at_most(dug, SHV_GRAVES - 1) + 1 : 0;

	for (uint32_t i = 0; i < rows; i++)
		for (int n = 0; n < LOOKS; n++) {
			uint64_t number = load_acquire(&from[i].number);
			copy_words((char *)&to[i], (const char *)&from[i], sizeof(to[i]));
			fence_acquire();
			if (load_relaxed(&from[i].number) == number && number % SHV_GRAVES == i)
				break;
		}
	dug = load_acquire(&super_of(s->base)->graves);
	super_of(s->image)->graves = dug;
	for (uint32_t i = 0; i < SHV_GRAVES; i++)
		if (to[i].number > dug || to[i].number % SHV_GRAVES != i || (!to[i].number && dug > i)) {
			memset(&to[i], 0, sizeof(to[i]));
			if (dug >= i)
				to[i].number = dug - (dug - i) % SHV_GRAVES;
		}
}

int snap_tables_load(struct snap *s)
{
	load_super(s);
	s->pages = pool_pages(s->base, s->g);
	copy_words(s->image + s->g->chunks_off, s->base + s->g->chunks_off, (uint64_t)s->chunks * 8);
	copy_words(s->image + s->g->map_off, s->base + s->g->map_off, s->pages * 8);
	load_processes(s);
	load_threads(s);
	load_types(s);
	load_policies(s);
	load_graves(s);
	return 0;
}

/* ---- names: which ------------------------------------------------------------------------------------- */

struct name_index {
	uint64_t *e;               /* the table that will be */
	uint32_t *name;            /* of s->names, for each entry; + 1 */
	uint64_t mask;
	uint32_t lg;
};

/* A name belongs to the image if its part does and what it names does. */
static bool name_lives(const struct snap *s, const struct snap_name *n)
{
	const struct snap_object *part = snap_find(s, n->slot), *target = snap_find(s, (uint32_t)n->target);
	const struct shv_slot_shm *p = target ? snap_slot(s, target->slot) : NULL;

	return part && p && slot_gen(p->word) == (uint32_t)(n->target >> 32) && what_kind(p->what) != SHV_KIND_PART &&
	       n->hash == name_hash_text(n->text);
}

/* Where it goes; UINT64_MAX if there is one like it. */
static uint64_t name_room(const struct snap *s, const struct name_index *x, uint32_t hash, const struct snap_name *n, bool by_target)
{
	uint64_t i = hash & x->mask;

	for (; x->e[i]; i = (i + 1) & x->mask) {
		const struct snap_name *other = &s->names[x->name[i] - 1];
		if ((uint32_t)(x->e[i] >> 32) == hash && (by_target ? other->target == n->target : !strcmp(other->text, n->text)))
			return UINT64_MAX;
	}
	return i;
}

/* Two of the same text, or of the same object, are one that was taken back and one that came after it. */
static bool name_put(const struct snap *s, struct name_index *x, size_t k)
{
	const struct snap_name *n = &s->names[k];
	uint32_t text = name_hash_text(n->text), target = name_hash_target(n->target);
	uint64_t i = name_room(s, x, text, n, false), j = name_room(s, x, target, n, true);

	if (i == UINT64_MAX || j == UINT64_MAX)
		return false;
	x->e[i] = (uint64_t)text << 32 | n->slot;
	x->name[i] = (uint32_t)k + 1;
	j = name_room(s, x, target, n, true); /* it may have been the same place */
	x->e[j] = (uint64_t)target << 32 | n->slot;
	x->name[j] = (uint32_t)k + 1;
	return true;
}

/* Parts that are no name after all are left out; the others' objects say that they have one. */
static int choose_names(struct snap *s, struct name_index *x)
{
	uint64_t live = 0;
	int r = 0;

	x->lg = 9;
	while ((UINT64_C(1) << x->lg) * 3 < (s->names_n + 1) * 8 && x->lg < 31)
		x->lg++;
	x->mask = (UINT64_C(1) << x->lg) - 1;
	x->e = FAIL_POINT("malloc-snapshot-names") ? NULL : calloc(x->mask + 1, sizeof(*x->e));
	x->name = calloc(x->mask + 1, sizeof(*x->name));
	if (!x->e || !x->name)
		return fail(-ENOMEM, "no memory for a table of the arena's names");
	for (size_t k = 0; k < s->names_n && !r; k++) {
		struct snap_object *part = snap_find(s, s->names[k].slot), *target;
		const struct shv_slot_shm *p;

		if (!part)
			continue;
		if (!name_lives(s, &s->names[k]) || !name_put(s, x, k)) {
			snap_leave_out(s, part);
			s->left_out--; /* not an object */
			continue;
		}
		live++;
		target = snap_find(s, (uint32_t)s->names[k].target);
		p = snap_slot(s, target->slot);
		if (!(target->flags & SNAP_NAMED))
			r = snapshot_file_word(&s->file, target->off + slot_lead(p->word),
					       hdr_make(target->slot, what_kind(p->what), what_policy(p->what), slot_lead(p->word)) |
						       SHV_HDR_NAMED);
	}
	super_of(s->image)->names_live = live;
	super_of(s->image)->names_used = live * 2;
	return r;
}

/* ---- pages: whose ------------------------------------------------------------------------------------- */

struct settling {
	struct snap *s;
	uint64_t *map;
	uint32_t *use;             /* of each page: blocks that begin or end there; USE_... */
	uint8_t strangers[SHV_SLOT_PROC_MASK + 1]; /* processes whose pages become orphans */
	bool again;
};
#define USE_CHUNK    (1u << 31)
#define USE_INTERIOR (1u << 30)

static bool owner_known(const struct settling *t, uint64_t e)
{
	const struct snap *s = t->s;
	uint32_t p = page_proc(e);

	return p <= s->g->last_process && !t->strangers[p] && proc_state(process_at(s->image, s->g, p)->word) != SHV_PROC_FREE &&
	       proc_gen(process_at(s->image, s->g, p)->word) == page_gen(e);
}

static bool is_owned(const struct settling *t, uint64_t e)
{
	return page_state(e) == SHV_PG_OWNED && owner_known(t, e);
}

static bool is_orphaned(const struct settling *t, uint64_t e)
{
	return page_state(e) == SHV_PG_ORPHAN || page_state(e) == SHV_PG_INTERIOR || (page_state(e) == SHV_PG_OWNED && !owner_known(t, e));
}

static void block_pages(const struct snap *s, const struct snap_object *o, uint64_t *first, uint64_t *last)
{
	*first = page_of(s->g, o->off);
	*last = page_of(s->g, o->off + class_size(slot_class(snap_slot(s, o->slot)->word)) - 1);
}

/* All pages of a block have one owner, or none; otherwise a recovery was half-way, and whoever was the owner is none any more. */
static void judge_block(struct settling *t, struct snap_object *o)
{
	uint64_t first, last;

	block_pages(t->s, o, &first, &last);
	for (uint64_t p = first; p <= last; p++) {
		uint64_t e = p < t->s->pages ? t->map[p] : 0;
		if (!is_owned(t, e) && !is_orphaned(t, e)) {
			snap_leave_out(t->s, o);
			return;
		}
	}
	for (uint64_t p = first + 1; p <= last; p++) {
		uint64_t e = t->map[p], before = t->map[p - 1];
		if (e == before || (is_orphaned(t, e) && is_orphaned(t, before)))
			continue;
		if (is_owned(t, e))
			t->strangers[page_proc(e)] = 1;
		if (is_owned(t, before))
			t->strangers[page_proc(before)] = 1;
		t->again = true;
	}
}

static void judge_blocks(struct settling *t)
{
	struct snap *s = t->s;

	for (int round = 0; round < 4; round++) {
		t->again = false;
		for (uint64_t i = 0; i < s->objects_n; i++)
			if (!(s->objects[i].flags & SNAP_LEFT_OUT))
				judge_block(t, &s->objects[i]);
		if (!t->again)
			return;
	}
	memset(t->strangers, 1, sizeof(t->strangers)); /* damage: nobody owns anything */
}

static void count_blocks(struct settling *t)
{
	struct snap *s = t->s;

	for (uint64_t i = 0; i < s->objects_n; i++) {
		uint64_t first, last;

		if (s->objects[i].flags & SNAP_LEFT_OUT)
			continue;
		block_pages(s, &s->objects[i], &first, &last);
		t->use[first]++;
		if (last != first)
			t->use[last]++;
		for (uint64_t p = first + 1; p < last; p++)
			t->use[p] |= USE_INTERIOR;
	}
}

static uint64_t settled_entry(const struct settling *t, uint64_t page)
{
	uint64_t e = t->map[page];

	if (t->use[page] & USE_CHUNK || is_owned(t, e))
		return e;
	if (!is_orphaned(t, e) || !t->use[page])
		return 0;
	if (t->use[page] & USE_INTERIOR)
		return page_make(SHV_PG_INTERIOR, page_proc(e), 0, page_gen(e));
	return page_make(SHV_PG_ORPHAN, page_proc(e), t->use[page], page_gen(e));
}

static void settle_pages(struct settling *t)
{
	count_blocks(t);
	for (uint64_t p = 1; p < t->s->pages; p++)
		t->map[p] = settled_entry(t, p);
	if (t->s->pages)
		t->map[0] = page_make(SHV_PG_SYSTEM, 0, SHV_TABLE_RESERVED, 0);
}

/* ---- chunks ------------------------------------------------------------------------------------------- */

/* The chunk was read, and its pages are directory and no other chunk's. */
static bool chunk_stands(struct settling *t, uint32_t c)
{
	uint64_t page = SHV_CHUNK_PAGE(*chunk_entry(t->s->image, t->s->g, c));

	if (!t->s->slots[c] || !page || page >= t->s->pages || SHV_CHUNK_PAGES > t->s->pages - page)
		return false;
	for (uint64_t p = page; p < page + SHV_CHUNK_PAGES; p++)
		if (page_state(t->map[p]) != SHV_PG_SLOTS || t->use[p] & USE_CHUNK)
			return false;
	for (uint64_t p = page; p < page + SHV_CHUNK_PAGES; p++)
		t->use[p] |= USE_CHUNK;
	return true;
}

/* Its number stays, and the generations that references to it had. */
static void chunk_forget(struct snap *s, uint32_t c)
{
	uint64_t *entry = chunk_entry(s->image, s->g, c);

	if (*entry)
		*entry &= ~UINT64_C(0xffffffff);
	free(s->slots[c]);
	s->slots[c] = NULL;
}

static void find_chunks(struct settling *t)
{
	struct snap *s = t->s;

	for (uint32_t c = 1; c < s->chunks; c++) {
		if (chunk_stands(t, c))
			continue;
		for (uint32_t i = 0; s->slots[c] && i < SHV_SLOTS_PER_CHUNK; i++) {
			struct snap_object *o = snap_find(s, c * SHV_SLOTS_PER_CHUNK + i);
			if (o)
				snap_leave_out(s, o);
		}
		chunk_forget(s, c);
	}
}

static bool slot_stands(const struct snap *s, uint64_t word, uint32_t floor)
{
	if (slot_gen(word) < floor || !slot_gen(word))
		return false;
	return slot_state(word) != SHV_SLOT_HELD || (slot_proc(word) <= s->g->last_process &&
						     proc_state(process_at(s->image, s->g, slot_proc(word))->word) != SHV_PROC_FREE);
}

/* A chunk that nobody takes slots from says how many there are; if it has no object either, it goes. */
static void settle_chunk(struct settling *t, uint32_t c)
{
	struct snap *s = t->s;
	uint64_t *entry = chunk_entry(s->image, s->g, c), page = SHV_CHUNK_PAGE(*entry), first;
	uint32_t free_ = 0;

	if (!s->slots[c])
		return;
	for (uint32_t i = 0; i < SHV_SLOTS_PER_CHUNK; i++) {
		struct shv_slot_shm *p = &s->slots[c][i];
		if (slot_state(p->word) != SHV_SLOT_FREE && !slot_stands(s, p->word, SHV_CHUNK_FLOOR(*entry)))
			p->word = slot_with(p->word, SHV_SLOT_FREE, 0);
		free_ += slot_state(p->word) == SHV_SLOT_FREE;
	}
	first = t->map[page];
	if (page_proc(first) != SHV_NO_PROCESS && owner_known(t, first))
		first = page_make(SHV_PG_SLOTS, page_proc(first), 0, page_gen(first));
	else
		first = page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, 0, 0);
	if (page_proc(first) == SHV_NO_PROCESS && free_ == SHV_SLOTS_PER_CHUNK) {
		(void)shv_chunk_floor_up(entry, s->slots[c]);
		first = 0;
		chunk_forget(s, c);
	}
	for (uint64_t p = page; p < page + SHV_CHUNK_PAGES; p++)
		t->map[p] = first;
	if (first && page_proc(first) == SHV_NO_PROCESS)
		t->map[page] = page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, free_, 0);
}

/* ---- locks -------------------------------------------------------------------------------------------- */

/* A grave of somebody unknown. */
static uint32_t dig(struct snap *s)
{
	uint64_t n = super_of(s->image)->graves + 1;

	if (s->grave)
		return s->grave;
	while (!(n & LOCK_OWNER_MASK) || (n & LOCK_OWNER_MASK) == LOCK_OWNER_GONE)
		n++;
	super_of(s->image)->graves = n;
	((struct shv_grave_shm *)(void *)(s->image + s->g->graves_off))[n % SHV_GRAVES] = (struct shv_grave_shm){ .number = n };
	s->grave = (uint32_t)(n & LOCK_OWNER_MASK);
	return s->grave;
}

/* Who holds a lock is there and counts it; or it counts as left by somebody who died, for its content may be half-written. */
static int settle_lock(struct snap *s, const struct snap_note *note)
{
	const struct snap_object *o = &s->objects[note->object];
	uint32_t owner = lock_owner(note->word), *count;
	const struct shv_slot_shm *p;
	struct shv_thread_shm *t;
	bool handoff;

	if (o->flags & SNAP_LEFT_OUT)
		return 0;
	p = snap_slot(s, o->slot);
	handoff = what_policy(p->what) == SHV_POL_HANDOFF;
	t = owner <= super_of(s->image)->threads_high ? thread_at(s->image, s->g, owner - 1) : NULL;
	if (!t || thread_state(t->word) == SHV_THREAD_FREE)
		return snapshot_file_word(&s->file, o->off + slot_lead(p->word) - 8,
					  ((note->word & LOCK_SEQ_MASK) + LOCK_SEQ_ONE) | LOCK_DIED | dig(s));
	count = handoff ? &t->handed : &t->held;
	t->spare1++; /* counted here, see settle_locks() */
	if (*count < t->spare1)
		*count = (uint32_t)t->spare1;
	return 0;
}

/* Plain and recursive locks first, then those that are handed on, which have their own count. */
static int settle_locks(struct snap *s)
{
	int r = 0;

	for (int handoff = 0; handoff < 2; handoff++) {
		for (size_t i = 0; i < s->held.n && !r; i++) {
			const struct snap_object *o = &s->objects[s->held.v[i].object];
			if (!(o->flags & SNAP_LEFT_OUT) && (what_policy(snap_slot(s, o->slot)->what) == SHV_POL_HANDOFF) == handoff)
				r = settle_lock(s, &s->held.v[i]);
		}
		for (uint32_t i = 0; i < super_of(s->image)->threads_high; i++)
			if (thread_at(s->image, s->g, i)->spare1)
				thread_at(s->image, s->g, i)->spare1 = 0;
	}
	return r;
}

/* ---- names: where ------------------------------------------------------------------------------------- */

/* A run of free pages, at the end of the pool if need be. */
static int room_for_names(struct settling *t, uint64_t n, uint64_t *page)
{
	struct snap *s = t->s;
	uint64_t run = 0;

	for (uint64_t p = 1; p < s->pages; p++) {
		run = t->map[p] ? 0 : run + 1;
		if (run == n) {
			*page = p + 1 - n;
			return 0;
		}
	}
	*page = s->pages - run;
	if (*page + n > s->g->max_pages)
		return fail(-ENOSPC, "arena '%s' is so full that there is no room for its names in one piece", s->a->name);
	s->pages = *page + n;
	return 0;
}

static int place_names(struct settling *t, const struct name_index *x)
{
	struct snap *s = t->s;
	uint64_t bytes = (x->mask + 1) * sizeof(*x->e), n = (bytes + SHV_PAGE_SIZE - 1) >> SHV_PAGE_SHIFT, page;
	int r;

	if (!super_of(s->image)->names_live)
		return 0;
	r = room_for_names(t, n, &page);
	if (r)
		return r;
	for (uint64_t p = page; p < page + n; p++)
		t->map[p] = page_make(SHV_PG_SYSTEM, 0, SHV_TABLE_NAMES, 0);
	super_of(s->image)->names_root = page | (uint64_t)x->lg << 32 | UINT64_C(1) << 40;
	r = snapshot_file_clear(&s->file, s->g->data_off + (page << SHV_PAGE_SHIFT), n << SHV_PAGE_SHIFT);
	return r ? r : snapshot_file_put(&s->file, s->g->data_off + (page << SHV_PAGE_SHIFT), x->e, (size_t)bytes);
}

/* ---- texts: where ------------------------------------------------------------------------------------- */

static uint64_t text_class(const struct snap_text *t)
{
	uint64_t size = SHV_HEADER_SIZE + offsetof(struct shv_text_shm, text) + t->n + sizeof(wchar_t);

	return class_of(size);
}

/* A slot that is free in the image; 0: none. *next: where to look, from 0 on. */
static uint32_t free_slot(struct snap *s, uint32_t *next)
{
	for (; *next / SHV_SLOTS_PER_CHUNK < s->chunks; (*next)++) {
		const struct shv_slot_shm *p = snap_slot(s, *next);

		if (!p)
			*next |= SHV_SLOTS_PER_CHUNK - 1;
		else if (slot_state(p->word) == SHV_SLOT_FREE && slot_gen(p->word) < SHV_SLOT_GEN_MAX)
			return (*next)++;
	}
	return 0;
}

static int put_text(struct snap *s, const struct snap_text *t, uint32_t slot, uint64_t off)
{
	const struct snap_object *o = &s->objects[t->object];
	const struct shv_slot_shm *string = snap_slot(s, o->slot);
	struct shv_slot_shm *p = snap_slot(s, slot);
	uint32_t floor = SHV_CHUNK_FLOOR(*chunk_entry(s->image, s->g, slot / SHV_SLOTS_PER_CHUNK)), gen = slot_gen(p->word);
	struct shv_text_shm head = { .parent = o->slot | (uint64_t)slot_gen(string->word) << 32, .bytes = t->n };
	uint64_t header = hdr_make(slot, SHV_KIND_PART, SHV_PART_TEXT, 0);
	int r;

	gen = gen < floor ? floor : gen;
	gen = gen ? gen : 1;
	p->word = slot_word(SHV_SLOT_LIVE, 0, (unsigned)text_class(t), 0, gen);
	p->what = what_make(off, 0, SHV_KIND_PART, SHV_PART_TEXT);
	r = snapshot_file_put(&s->file, off, &header, sizeof(header));
	if (!r)
		r = snapshot_file_put(&s->file, off + SHV_HEADER_SIZE, &head, offsetof(struct shv_text_shm, text));
	if (!r)
		r = snapshot_file_put(&s->file, off + SHV_HEADER_SIZE + offsetof(struct shv_text_shm, text), t->text, (size_t)t->n);
	return r ? r : snapshot_file_word(&s->file, o->off + slot_lead(string->word) + SHV_HEADER_SIZE + offsetof(struct shv_string_shm, text),
					  slot | (uint64_t)gen << 32);
}

/* On pages behind all others, which are nobody's: orphans. */
static int place_texts(struct settling *t)
{
	struct snap *s = t->s;
	uint64_t off = s->g->data_off + (s->pages << SHV_PAGE_SHIFT), size;
	uint32_t next = SHV_SLOTS_PER_CHUNK;
	int r = 0;

	for (size_t i = 0; i < s->texts_n && !r; i++) {
		const struct snap_text *x = &s->texts[i];
		const struct snap_object *o = &s->objects[x->object];
		uint64_t first, last;
		uint32_t slot;

		if (o->flags & SNAP_LEFT_OUT)
			continue;
		size = class_size((unsigned)text_class(x));
		off = (off + 15) & ~UINT64_C(15);
		first = page_of(s->g, off);
		last = page_of(s->g, off + size - 1);
		slot = free_slot(s, &next);
		if (!slot || last >= s->g->max_pages)
			return fail(-ENOSPC, "arena '%s' is so full that there is no room for a text that was replaced meanwhile", s->a->name);
		for (uint64_t p = first + 1; p < last; p++)
			t->map[p] = page_make(SHV_PG_INTERIOR, 0, 0, 0);
		t->map[first] = page_make(SHV_PG_ORPHAN, 0, page_count(t->map[first]) + 1, 0);
		if (last != first)
			t->map[last] = page_make(SHV_PG_ORPHAN, 0, page_count(t->map[last]) + 1, 0);
		r = put_text(s, x, slot, off);
		off += size;
		s->pages = last + 1;
	}
	return r;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

/* Pages that came to be something else must not have bytes of what was left out: free pages are zero. */
static int clear_left_out(struct settling *t)
{
	struct snap *s = t->s;
	int r = 0;

	for (uint64_t i = 0; i < s->objects_n && !r; i++) {
		const struct snap_object *o = &s->objects[i];
		uint64_t first = page_of(s->g, o->off), next = i + 1 < s->objects_n ? page_of(s->g, s->objects[i + 1].off) : UINT64_MAX;
		/* Its size is forgotten, but whatever it wrote ends before the next object that stands. */
		if (!(o->flags & SNAP_LEFT_OUT))
			continue;
		for (uint64_t p = first; p < s->pages && p <= next && !r; p++) {
			if (page_state(t->map[p]) == SHV_PG_OWNED || page_state(t->map[p]) == SHV_PG_ORPHAN ||
			    page_state(t->map[p]) == SHV_PG_INTERIOR)
				break;
			r = snapshot_file_clear(&s->file, s->g->data_off + (p << SHV_PAGE_SHIFT), SHV_PAGE_SIZE);
		}
	}
	return r;
}

static int put_table(struct snap *s, uint64_t off, uint64_t n)
{
	return n ? snapshot_file_put(&s->file, off, s->image + off, (size_t)n) : 0;
}

/* The first n entries of each level are in use. */
static int put_sums(struct snap *s)
{
	uint64_t nodes = (s->pages + SHV_LEAF_PAGES - 1) >> SHV_LEAF_SHIFT;
	int r = 0;

	(void)pool_rebuild_sums(s->image, s->g, s->pages);
	for (unsigned l = 0; l < s->g->levels && !r; l++) {
		r = put_table(s, s->g->level_off[l], (nodes < s->g->level_nodes[l] ? nodes : s->g->level_nodes[l]) * sizeof(struct shv_sum_shm));
		nodes = (nodes + (1u << SHV_FAN_SHIFT) - 1) >> SHV_FAN_SHIFT;
	}
	return r;
}

static uint64_t text_bytes(const struct snap *s)
{
	const struct shv_type_shm *row = (const struct shv_type_shm *)(const void *)(s->image + s->g->types_off);
	uint64_t end = 0;

	for (uint32_t i = 0; i < super_of(s->image)->types; i++) {
		uint64_t e = (uint64_t)row[i].text + row[i].format_len + row[i].name_len + 2;
		if (e > end && e <= SHV_TYPE_TEXT)
			end = e;
	}
	return end;
}

static void count_slots(struct snap *s)
{
	struct shv_super_shm *to = super_of(s->image);

	to->pool_pages = s->pages;
	to->chunks_high = s->chunks;
	to->snapshot_torn = s->torn;
	to->snapshot_left_out = s->left_out;
	for (uint32_t c = 1; c < s->chunks; c++)
		for (uint32_t i = 0; s->slots[c] && i < SHV_SLOTS_PER_CHUNK; i++)
			to->condemned += slot_state(s->slots[c][i].word) == SHV_SLOT_CONDEMNED;
}

static int put_tables(struct snap *s)
{
	const struct shv_geo *g = s->g;
	const struct shv_super_shm *super = super_of(s->image);
	int r = put_sums(s);

	count_slots(s);
	for (uint32_t c = 1; c < s->chunks && !r; c++)
		if (s->slots[c])
			r = snapshot_file_put(&s->file, g->data_off + ((uint64_t)SHV_CHUNK_PAGE(*chunk_entry(s->image, g, c)) << SHV_PAGE_SHIFT),
					      s->slots[c], SHV_CHUNK_BYTES);
	if (!r)
		r = put_table(s, g->policies_off, super->policies * sizeof(struct shv_policy_shm));
	if (!r)
		r = put_table(s, g->graves_off, SHV_GRAVES * sizeof(struct shv_grave_shm));
	if (!r)
		r = put_table(s, g->processes_off, super->processes_high * sizeof(struct shv_process_shm));
	if (!r)
		r = put_table(s, g->threads_off, super->threads_high * sizeof(struct shv_thread_shm));
	if (!r)
		r = put_table(s, g->types_off, super->types * sizeof(struct shv_type_shm));
	if (!r)
		r = put_table(s, g->types_text_off, text_bytes(s));
	if (!r)
		r = put_table(s, g->chunks_off, (uint64_t)s->chunks * 8);
	if (!r)
		r = put_table(s, g->map_off, s->pages * 8);
	return r ? r : put_table(s, 0, sizeof(struct shv_super_shm));
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static int write_tables(struct settling *t, struct name_index *x)
{
	struct snap *s = t->s;
	int r;

	find_chunks(t);
	judge_blocks(t);
	r = choose_names(s, x);
	if (r)
		return r;
	settle_pages(t);
	r = place_texts(t);
	if (r)
		return r;
	for (uint32_t c = 1; c < s->chunks; c++)
		settle_chunk(t, c);
	r = settle_locks(s);
	if (!r)
		r = clear_left_out(t);
	if (!r)
		r = place_names(t, x);
	return r ? r : put_tables(s);
}

int snap_tables_write(struct snap *s)
{
	struct settling *t = FAIL_POINT("malloc-snapshot-pages") ? NULL : calloc(1, sizeof(*t));
	struct name_index x = { 0 };
	int r = -ENOMEM;

	if (t) {
		t->s = s;
		t->map = page_entry(s->image, s->g, 0);
		t->use = calloc(s->pages + 1, sizeof(*t->use));
		r = t->use ? write_tables(t, &x) : -ENOMEM;
		free(t->use);
	}
	if (r == -ENOMEM)
		(void)fail(r, "no memory to count the arena's %llu pages", (unsigned long long)s->pages);
	free(t);
	free(x.e);
	free(x.name);
	return r;
}
