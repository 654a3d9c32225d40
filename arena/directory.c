/* SPDX-License-Identifier: MIT */
/*
 * The directory: one slot for each object, and the way of blocks from creation home again.
 *
 *   chunks     4,096 slots each, in pages of their own; a chunk belongs to one process, which alone takes FREE slots from
 *              it. Its free list is private and can be found again by looking at the slots.
 *   magazines  per thread and size: objects that were freed and keep slot and block together (state HELD), so that the next
 *              create of that size changes one word. Only blocks on pages of this process enter.
 *   list home  a block on another living process's page is pushed on that process's list; its owner drains it.
 *   orphans    a block on a dead process's page goes by recover_free_orphan().
 *
 * Freeing, by process p (C-numbers as in docs/CONCURRENCY.md; what a death leaves stands behind each):
 *   C1  LIVE -> GONE(p), generation + 1      withdrawn; recovery finishes it from the slot
 *   C2  link into the payload                 the same
 *   C3  push: the freer's last act            the owner's; it drains it at leisure
 * Draining, by owner q: every slot on the chain becomes HELD(q), and only then the head becomes empty, so a death in between
 * leaves slots that are either on the chain of a dead process or HELD by it; recovery frees both kinds.
 *
 * Left out: a shared list of free slots. Nothing could leak from it that recovery would not have to search for.
 */
#include "arena/arena_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MAG_BYTES_FIRST (64u << 10)
#define MAG_BYTES_MOST (4u << 20)
#define MAG_ENTRIES_MIN 32u
#define MAG_ENTRIES_MOST 131072u
#define FILL_MOST 32u
#define FOREIGN_PROBE 64u /* pushes to others between looks at whether they live */

static uint64_t own_page(const struct shv_tc *tc)
{
	return tc->own;
}

/* What this thread knows to exist: it only grows, so that a stale figure costs a slow path and no more. */
static void widen(struct shv_tc *tc)
{
	tc->span = tc->m->geo.data_off + (pool_pages(tc->m->base, &tc->m->geo) << SHV_PAGE_SHIFT) - tc->low;
	tc->chunks_limit = chunks_high(tc->m->base, &tc->m->geo);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- looking slots up -------------------------------------------------------------------------------- */

struct shv_slot_shm *slot_checked(const char *base, const struct shv_geo *g, uint32_t index)
{
	uint32_t chunk = index / SHV_SLOTS_PER_CHUNK, page;

	if (chunk >= chunks_high(base, g))
		return NULL;
	page = SHV_CHUNK_PAGE(load_acquire(chunk_entry(base, g, chunk)));
	if (!page || (uint64_t)page + SHV_CHUNK_PAGES > pool_pages(base, g))
		return NULL;
	if (page_state(load_acquire(page_entry(base, g, page + (index % SHV_SLOTS_PER_CHUNK * sizeof(struct shv_slot_shm) >>
								     SHV_PAGE_SHIFT)))) != SHV_PG_SLOTS)
		return NULL;
	return (struct shv_slot_shm *)(uintptr_t)page_addr(base, g, page) + index % SHV_SLOTS_PER_CHUNK;
}

int object_fail(int code, const void *p, const char *who)
{
	switch (code) {
	case -ESTALE:
		return fail(code, "%s: the object at %p was freed: do not use a pointer after that, or keep a shv_ref", who, p);
	case -EROFS:
		return fail(code, "%s: the arena is attached read-only: attach without SHV_RDONLY to change it", who);
	default:
		return fail(code, "%s: %p is not an object of an arena of this process: pass what a constructor, shv_find() or "
				  "shv_deref() returned", who, p);
	}
}

/* The header in front of p names a slot; the slot must name p. */
static int match(struct shv_object *o, const char *base, uint64_t off)
{
	uint64_t h = load_relaxed(o->header), what;

	o->index = hdr_slot(h);
	o->slot = slot_checked(base, o->at.geo, o->index);
	if (!o->slot)
		return -EINVAL;
	o->word = load_acquire(&o->slot->word); /* pairs: P-publish */
	what = load_relaxed(&o->slot->what);
	o->what = what;
	if (what_offset(what) + slot_lead(o->word) + SHV_HEADER_SIZE != off)
		return -ESTALE;
	switch (slot_state(o->word)) {
	case SHV_SLOT_LIVE:
	case SHV_SLOT_CONDEMNED:
		return what_kind(what) == hdr_kind(h) && what_kind(what) != SHV_KIND_PART ? 0 : -EINVAL;
	default:
		return -ESTALE;
	}
}

int object_find_slow(const void *p, struct shv_object *o, const char *who)
{
	uint64_t off;
	int r = -EINVAL;

	if (likely(p && ((uintptr_t)p & 7) == 0 && arena_place(p, &o->at))) {
		off = (uint64_t)((const char *)p - o->at.base);
		if (likely(off >= o->at.geo->data_off + SHV_HEADER_SIZE &&
			   page_of(o->at.geo, off - SHV_HEADER_SIZE) < pool_pages(o->at.base, o->at.geo))) {
			o->header = (uint64_t *)(uintptr_t)p - 1;
			/* A page that is no heap's has no header; reading a hole would allocate it. */
			unsigned state = page_state(load_relaxed(page_entry(o->at.base, o->at.geo, page_of(o->at.geo, off - SHV_HEADER_SIZE))));
			if (state == SHV_PG_OWNED || state == SHV_PG_ORPHAN || state == SHV_PG_INTERIOR)
				r = match(o, o->at.base, off);
			else
				r = -ESTALE;
		}
	}
	if (unlikely(r))
		return object_fail(r, p, who);
	if ((uintptr_t)p - shv_tls_tc->base < shv_tls_tc->size)
		widen(shv_tls_tc);
	return 0;
}

/* ---- chunks and free slots ----------------------------------------------------------------------------- */

static bool push_free(struct shv_local *l, uint32_t index)
{
	if (l->free_n == l->free_cap) {
		uint32_t cap = l->free_cap ? l->free_cap * 2 : 1024;
		uint32_t *v = FAIL_POINT("malloc-free-slots") ? NULL : realloc(l->free_slots, cap * sizeof(*v));
		if (!v)
			return false; /* the slot stays FREE and is found by the next look at its chunk */
		l->free_slots = v;
		l->free_cap = cap;
	}
	l->free_slots[l->free_n++] = index;
	return true;
}

/* Room for one more chunk in the list, made before the chunk is ours. */
static bool room_for_chunk(struct shv_local *l)
{
	if (l->chunks_n == l->chunks_cap) {
		uint32_t cap = l->chunks_cap ? l->chunks_cap * 2 : 16;
		uint32_t *v = FAIL_POINT("malloc-chunks") ? NULL : realloc(l->chunks, cap * sizeof(*v));
		if (!v)
			return false;
		l->chunks = v;
		l->chunks_cap = cap;
	}
	return true;
}

static void note_chunk(struct shv_local *l, uint32_t chunk)
{
	l->chunks[l->chunks_n++] = chunk;
}

static unsigned chunk_scan(struct shv_tc *tc, uint32_t chunk)
{
	struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, chunk * SHV_SLOTS_PER_CHUNK);
	unsigned found = 0;

	for (uint32_t i = 0; i < SHV_SLOTS_PER_CHUNK; i++)
		if (slot_state(load_relaxed(&s[i].word)) == SHV_SLOT_FREE && slot_gen(load_relaxed(&s[i].word)) < SHV_SLOT_GEN_MAX)
			found += push_free(tc->m->local, chunk * SHV_SLOTS_PER_CHUNK + i);
	return found;
}

/* Others freed orphaned objects whose slots are in our chunks: look again. Only when the list is empty and no slot untouched. */
static bool rescan(struct shv_tc *tc)
{
	struct shv_local *l = tc->m->local;
	uint32_t freed = load_acquire(&process_at(tc->m->base, &tc->m->geo, tc->proc)->slots_freed);
	unsigned found = 0;

	if (freed - l->slots_freed_seen < 64)
		return false;
	l->slots_freed_seen = freed;
	for (uint32_t i = 0; i < l->chunks_n; i++)
		found += chunk_scan(tc, l->chunks[i]);
	return found != 0;
}

/* A chunk of a dead process, with free slots in it: ours. */
static bool adopt(struct shv_tc *tc)
{
	const struct shv_geo *g = &tc->m->geo;
	uint32_t high = chunks_high(tc->m->base, g);

	for (uint32_t c = 1; c < high; c++) {
		uint32_t page = SHV_CHUNK_PAGE(load_acquire(chunk_entry(tc->m->base, g, c)));
		uint64_t e = page ? load_acquire(page_entry(tc->m->base, g, page)) : 0;
		if (!page || page_state(e) != SHV_PG_SLOTS || page_proc(e) != SHV_NO_PROCESS || page_gen(e) || !page_count(e))
			continue; /* generation 1: set aside, about to go */
		if (!room_for_chunk(tc->m->local))
			return false;
		/* The count of free slots stands in the first entry; what is expected is that it has no owner. */
		(void)pool_set(tc->m, page, SHV_CHUNK_PAGES, page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, 0, 0),
			       ~(SHV_PG_COUNT_MASK << SHV_PG_COUNT_SHIFT),
			       page_make(SHV_PG_SLOTS, tc->proc, 0, tc->gen), NULL, 0);
		if (load_acquire(page_entry(tc->m->base, g, page)) != page_make(SHV_PG_SLOTS, tc->proc, 0, tc->gen))
			continue; /* somebody else was faster */
		note_chunk(tc->m->local, c);
		if (chunk_scan(tc, c))
			return true;
	}
	return false;
}

struct chunk_fill {
	struct shv_tc *tc;
	uint32_t chunk;
};

/* Runs under the pool lock: the lowest number without pages. */
static unsigned chunk_words(void *ctx, uint64_t page, struct shv_word_write *w)
{
	struct chunk_fill *f = ctx;
	const struct shv_geo *g = &f->tc->m->geo;
	const char *base = f->tc->m->base;
	uint32_t high = chunks_high(base, g), c = high ? high : 1;

	/* Freed numbers are used again; number 0 is not used, so that slot 0 means none. */
	for (uint32_t k = 1; k < high; k++)
		if (!SHV_CHUNK_PAGE(load_relaxed(chunk_entry(base, g, k))) &&
		    SHV_CHUNK_FLOOR(load_relaxed(chunk_entry(base, g, k))) < SHV_SLOT_GEN_MAX) {
			c = k;
			break;
		}
	f->chunk = c;
	if (c >= g->max_chunks)
		return 0;
	w[0].off = g->chunks_off + (uint64_t)c * 8;
	w[0].value = page | (uint64_t)SHV_CHUNK_FLOOR(load_relaxed(chunk_entry(base, g, c))) << 32;
	w[1].off = offsetof(struct shv_super_shm, chunks_high);
	w[1].value = c + 1 > high ? c + 1 : high;
	return 2;
}

static int new_chunk(struct shv_tc *tc)
{
	struct shv_local *l = tc->m->local;
	struct chunk_fill f = { tc, 0 };
	uint64_t page;
	int r;

	if (!room_for_chunk(l))
		return fail(-ENOMEM, "arena '%s': no memory to note more slots", tc->m->name);
	r = pool_alloc_with(tc->m, SHV_CHUNK_PAGES, 1, page_make(SHV_PG_SLOTS, tc->proc, 0, tc->gen), &page, chunk_words, &f);
	if (r)
		return r;
	if (f.chunk >= tc->m->geo.max_chunks) {
		/* Without words the pages are just ours: give them back. */
		(void)pool_free(tc->m, page, SHV_CHUNK_PAGES, page_make(SHV_PG_SLOTS, tc->proc, 0, tc->gen), UINT64_MAX);
		return fail(-ENOSPC, "arena '%s': no more slots in its directory", tc->m->name);
	}
	note_chunk(l, f.chunk);
	(void)madvise(page_addr(tc->m->base, &tc->m->geo, page), SHV_CHUNK_BYTES, MADV_POPULATE_WRITE);
	l->chunk_next = f.chunk * SHV_SLOTS_PER_CHUNK;
	l->chunk_end = l->chunk_next + SHV_SLOTS_PER_CHUNK;
	return 0;
}

/* Reserve a FREE slot for this thread. */
static bool hold_slot(struct shv_tc *tc, uint32_t index)
{
	struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, index);
	uint64_t w = load_relaxed(&s->word);
	uint32_t floor = SHV_CHUNK_FLOOR(load_relaxed(&tc->chunk_tab[index / SHV_SLOTS_PER_CHUNK])), gen = slot_gen(w);

	if (slot_state(w) != SHV_SLOT_FREE)
		return false;
	if (gen < floor)
		gen = floor;
	if (!gen)
		gen = 1;
	if (gen >= SHV_SLOT_GEN_MAX) {
		store_release(&s->word, slot_word(SHV_SLOT_RETIRED, 0, 0, 0, gen));
		return false;
	}
	store_relaxed(&s->what, 0);
	store_release(&s->word, slot_word(SHV_SLOT_HELD, tc->proc, 0, 0, gen));
	return true;
}

/* Fill the thread's slot cache; slots_lock held. Which lists to use, in order: freed, untouched, freed by others, adopted, new. */
static int fill_slots(struct shv_tc *tc)
{
	struct shv_local *l = tc->m->local;
	int r;

	while (tc->slots_n < SHV_SLOT_CACHE / 2) {
		if (l->free_n) {
			uint32_t i = l->free_slots[--l->free_n];
			if (hold_slot(tc, i))
				tc->slots[tc->slots_n++] = i;
		} else if (l->chunk_next < l->chunk_end) {
			uint32_t i = l->chunk_next++;
			if (hold_slot(tc, i))
				tc->slots[tc->slots_n++] = i;
		} else if (!rescan(tc) && !adopt(tc)) {
			if (tc->slots_n)
				return 0;
			r = new_chunk(tc);
			if (r)
				return r;
		}
	}
	return 0;
}

uint32_t slot_take(struct shv_tc *tc)
{
	int r = 0;

	if (unlikely(!tc->slots_n)) {
		plock_acquire(&tc->m->local->slots_lock);
		tc->in_hook++; /* recovery, if the pool is dry, must not come back for the lock */
		r = fill_slots(tc);
		tc->in_hook--;
		plock_release(&tc->m->local->slots_lock);
	}
	if (r) {
		errno = -r;
		return 0;
	}
	return tc->slots[--tc->slots_n];
}

static void slot_free(struct shv_tc *tc, uint32_t index)
{
	struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, index);

	store_release(&s->word, slot_word(SHV_SLOT_FREE, 0, 0, 0, slot_gen(load_relaxed(&s->word))));
	(void)push_free(tc->m->local, index);
}

static void slots_spill(struct shv_tc *tc, uint32_t keep)
{
	plock_acquire(&tc->m->local->slots_lock);
	while (tc->slots_n > keep)
		slot_free(tc, tc->slots[--tc->slots_n]);
	plock_release(&tc->m->local->slots_lock);
}

void slot_give(struct shv_tc *tc, uint32_t index)
{
	struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, index);

	if (unlikely(slot_gen(load_relaxed(&s->word)) >= SHV_SLOT_GEN_MAX)) {
		/* References count on generations never coming again. */
		store_release(&s->word, slot_word(SHV_SLOT_RETIRED, 0, 0, 0, slot_gen(load_relaxed(&s->word))));
		return;
	}
	if (tc->slots_n == SHV_SLOT_CACHE)
		slots_spill(tc, SHV_SLOT_CACHE / 2);
	tc->slots[tc->slots_n++] = index;
}

/* ---- magazines ------------------------------------------------------------------------------------------ */

static struct shv_mag *mag_of(struct shv_tc *tc, unsigned size_class, unsigned locked)
{
	return size_class < SHV_MAG_CLASSES ? &tc->mags[size_class * 2 + locked] : NULL;
}

/* More room: false when it is as large as it may get. */
static bool mag_grow(struct shv_mag *mag, unsigned size_class)
{
	uint32_t most = (uint32_t)(MAG_BYTES_MOST / class_size(size_class)), cap;
	uint32_t *slots;

	if (most > MAG_ENTRIES_MOST)
		most = MAG_ENTRIES_MOST;
	cap = mag->cap ? mag->cap * 2 : (uint32_t)(MAG_BYTES_FIRST / class_size(size_class));
	if (cap < MAG_ENTRIES_MIN)
		cap = MAG_ENTRIES_MIN;
	if (cap > most || FAIL_POINT("magazine"))
		return false;
	slots = shv_wiped_alloc(cap * sizeof(*slots));
	if (!slots)
		return false;
	if (mag->n)
		memcpy(slots, mag->slots, mag->n * sizeof(*slots));
	if (mag->slots)
		munmap(mag->slots, mag->cap * sizeof(*slots));
	/* So many of those that were wanted have room now. */
	mag->misses -= mag->misses < cap - mag->cap ? mag->misses : cap - mag->cap;
	mag->slots = slots;
	mag->cap = cap;
	return true;
}

static void unpair(struct shv_tc *tc, uint32_t index, unsigned size_class)
{
	struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, index);
	uint64_t off = what_offset(load_relaxed(&s->what));

	store_relaxed(&s->what, 0);
	heap_free(tc, off, size_class);
	slot_give(tc, index);
}

static void mag_shrink(struct shv_tc *tc, struct shv_mag *mag, unsigned size_class, uint32_t keep)
{
	while (mag->n > keep)
		unpair(tc, mag->slots[--mag->n], size_class);
}

/* A HELD(me) object with its block on our pages comes to rest. */
static void settle(struct shv_tc *tc, uint32_t index, unsigned size_class, unsigned locked)
{
	struct shv_mag *mag = mag_of(tc, size_class, locked);
	uint64_t *what = &slot_fast(tc->m->base, &tc->m->geo, index)->what;

	store_relaxed(what, load_relaxed(what) & SHV_WHAT_OFF_MASK); /* names no lock any more */
	if (!mag || slot_gen(load_relaxed(&slot_fast(tc->m->base, &tc->m->geo, index)->word)) >= SHV_SLOT_GEN_MAX) {
		unpair(tc, index, size_class);
		return;
	}
	if (unlikely(mag->n == mag->cap)) {
		/* Creates found it empty, more often than it has grown since: then more of these are wanted. */
		if ((mag->cap && !mag->misses) || !mag_grow(mag, size_class))
			mag_shrink(tc, mag, size_class, mag->cap / 2);
		if (!mag->cap) {
			unpair(tc, index, size_class);
			return;
		}
	}
	mag->slots[mag->n++] = index;
}

/*
 * A magazine that is found empty again and again gets a few new objects at once, so that most creates of a growing arena
 * take the short way too. Whatever fails here is left to the one who needs it.
 */
static void mag_fill(struct shv_tc *tc, struct shv_mag *mag, uint64_t size, unsigned size_class)
{
	uint32_t want = mag->misses < 8 ? 0 : mag->misses < FILL_MOST ? mag->misses : FILL_MOST;
	int e = errno;

	if (tc->in_hook || (want && !mag->cap && !mag_grow(mag, size_class)))
		return;
	while (mag->n < want && mag->n < mag->cap) {
		uint32_t index = slot_take(tc);
		unsigned c;
		uint64_t off = index ? heap_alloc(tc, size, 8, &c) : 0;
		if (!off) {
			if (index)
				slot_give(tc, index);
			break;
		}
		store_relaxed(&slot_fast(tc->m->base, &tc->m->geo, index)->what, what_make(off, 0, 0, 0));
		mag->slots[mag->n++] = index;
		mag->misses++; /* objects that it did not have count, not how often it was asked */
	}
	errno = e;
}

uint32_t object_reserve(struct shv_tc *tc, uint64_t size, uint32_t align, unsigned locked, uint64_t *off, unsigned *size_class)
{
	unsigned c = class_of(size);
	struct shv_mag *mag = align > 16 ? NULL : mag_of(tc, c, locked);
	uint32_t index;

	for (int round = 0; mag && round < 2; round++) {
		if (likely(mag->n)) {
			index = mag->slots[--mag->n];
			*off = what_offset(load_relaxed(&slot_fast(tc->m->base, &tc->m->geo, index)->what));
			*size_class = c;
			return index;
		}
		if (!round) {
			mag->misses++;
			slow_path(tc);
			if (!mag->n && !process_ours(tc->m))
				mag_fill(tc, mag, size, c);
		}
	}
	if (process_ours(tc->m)) {
		errno = ENOTRECOVERABLE;
		return 0;
	}
	index = slot_take(tc);
	if (unlikely(!index))
		return 0;
	*off = heap_alloc(tc, size, align, size_class);
	if (unlikely(!*off)) {
		int e = errno;
		slot_give(tc, index);
		errno = e;
		return 0;
	}
	/* A magazine that this object may enter later needs the offset in the slot. */
	store_relaxed(&slot_fast(tc->m->base, &tc->m->geo, index)->what, what_make(*off, 0, 0, 0));
	return index;
}

void object_unreserve(struct shv_tc *tc, uint32_t index, uint64_t off, unsigned size_class)
{
	store_relaxed(&slot_fast(tc->m->base, &tc->m->geo, index)->what, 0);
	heap_free(tc, off, size_class);
	slot_give(tc, index);
}

/* ---- going home -------------------------------------------------------------------------------------------- */

/* 1 when the slot has a lock word of its own in the lead: such blocks are used again for such objects. */
static unsigned has_own_lock(uint64_t what)
{
	unsigned p = what_policy(what);

	return what_kind(what) != SHV_KIND_PART && policy_owns_word(p);
}

int object_withdraw(struct shv_tc *tc, struct shv_object *o)
{
	uint64_t w = o->word, next;

	next = slot_with(w, SHV_SLOT_GONE, tc->proc) + (UINT64_C(1) << SHV_SLOT_GEN_SHIFT);
	if (slot_state(w) != SHV_SLOT_LIVE || !cas64(&o->slot->word, &w, next))
		return -ESTALE;
	CRASH_POINT("free-withdrawn");
	o->word = next;
	return 0;
}

/* Where a block on such a list says what comes next. */
static uint32_t *link_of(const struct shv_tc *tc, const struct shv_slot_shm *s)
{
	return (uint32_t *)(tc->m->base + what_offset(load_relaxed(&s->what)) + slot_lead(load_relaxed(&s->word)) + SHV_HEADER_SIZE);
}

/*
 * Push what begins with slot `first` and ends with slot `last`, linked to each other, on the list of the process that the page entry of all
 * of them named: true when done. False: the entry does not hold any more, or the list is closed (*closed).
 */
static bool push_home(struct shv_tc *tc, uint32_t first, uint32_t last, uint64_t entry, bool *closed)
{
	struct shv_process_shm *q = process_at(tc->m->base, &tc->m->geo, page_proc(entry));
	const struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, last);
	uint64_t head = load_acquire(&q->head);

	*closed = false;
	for (;;) {
		if ((uint32_t)(head >> 32) != page_gen(entry))
			return false;
		if ((uint32_t)head == SHV_HEAD_CLOSED) {
			*closed = true;
			return false;
		}
		/* Between the load of the head and the exchange the page must still be theirs: else q's slot may have been given to
		 * a new process, whose list this block must not enter. */
		if (tc_page(tc, what_offset(load_relaxed(&s->what))) != entry)
			return false;
		store_relaxed(link_of(tc, s), (uint32_t)head);
		CRASH_POINT("free-linked");
		if (cas64(&q->head, &head, (head & ~UINT64_C(0xffffffff)) | first)) /* release; pairs: P-home */
			return true;
	}
}

static void probe_owner(struct shv_tc *tc, uint32_t proc)
{
	if (tc->in_hook || tc->ranks || ++tc->foreign % FOREIGN_PROBE)
		return;
	if (member_probe(tc->m, proc) == LIVENESS_DEAD)
		(void)recover_process(tc->m, proc, NULL);
}

static void quarantine(struct shv_tc *tc, uint32_t index);

void object_send_home(struct shv_tc *tc, uint32_t index, uint64_t word, uint64_t what, bool wait)
{
	uint64_t off = what_offset(what);
	struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, index);

	if (unlikely(wait)) {
		quarantine(tc, index);
		return;
	}
	for (;;) {
		uint64_t e = tc_page(tc, off);
		bool closed;

		if (likely(e == own_page(tc)) && !tc->in_hook) {
			store_release(&s->word, slot_with(word, SHV_SLOT_HELD, tc->proc));
			CRASH_POINT("free-held");
			settle(tc, index, slot_class(word), has_own_lock(what));
			return;
		}
		if (page_state(e) == SHV_PG_OWNED && page_proc(e) <= tc->m->geo.last_process) {
			if (push_home(tc, index, index, e, &closed)) {
				if (e != own_page(tc))
					probe_owner(tc, page_proc(e));
				return;
			}
			if (!closed) {
				cpu_relax();
				continue;
			}
		} else if (page_state(e) != SHV_PG_ORPHAN) {
			return; /* damaged: the slot stays GONE, and shv_check() tells */
		}
		recover_free_orphan(tc, index);
		return;
	}
}

/*
 * Push what was collected for one owner by one compare-and-swap. If his list is not that of the generation that all these pages named, or
 * closed, each finds its way alone: recovery closes a list before it takes a page.
 */
void chain_push(struct shv_tc *tc)
{
	uint32_t i = tc->chain.head, n = tc->chain.n;
	bool closed;

	if (!n)
		return;
	tc->chain.n = 0;
	if (push_home(tc, i, tc->chain.tail, tc->chain.entry, &closed)) {
		probe_owner(tc, page_proc(tc->chain.entry));
		return;
	}
	while (n--) {
		struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, i);
		uint32_t next = load_relaxed(link_of(tc, s));
		object_send_home(tc, i, load_relaxed(&s->word), load_relaxed(&s->what), false);
		i = next;
	}
}

void chain_begin(struct shv_tc *tc, uint32_t index, uint32_t *link, uint64_t entry)
{
	chain_push(tc);
	store_relaxed(link, 0);
	CRASH_POINT("chain-begun");
	tc->chain.entry = entry;
	tc->chain.head = tc->chain.tail = index;
	tc->chain.n = 1;
}

static void quarantine_release(struct shv_tc *tc, uint64_t now)
{
	uint32_t done = 0;

	while (done < tc->quarantine_n && tc->quarantine[done].until <= now) {
		uint32_t i = tc->quarantine[done++].slot;
		struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, i);
		object_send_home(tc, i, load_relaxed(&s->word), load_relaxed(&s->what), false);
	}
	tc->quarantine_n -= done;
	memmove(tc->quarantine, tc->quarantine + done, tc->quarantine_n * sizeof(tc->quarantine[0]));
}

static void quarantine(struct shv_tc *tc, uint32_t index)
{
	uint64_t now = now_ns();

	quarantine_release(tc, now);
	if (tc->quarantine_n == SHV_QUARANTINE) /* many at once: the oldest has waited longest */
		quarantine_release(tc, tc->quarantine[0].until);
	tc->quarantine[tc->quarantine_n++] = (struct shv_waiting){ index, now + SHV_QUARANTINE_NS };
}

/* ---- draining ------------------------------------------------------------------------------------------------ */

/* Claim what hangs on the chain from `from` down to `stop`: GONE or LOST becomes HELD(me). Returns how many are in `got`. */
static bool claim_chain(struct shv_tc *tc, uint32_t from, uint32_t stop, uint32_t **got, uint32_t *n, uint32_t *cap)
{
	const struct shv_geo *g = &tc->m->geo;
	uint64_t bound = (uint64_t)chunks_high(tc->m->base, g) * SHV_SLOTS_PER_CHUNK;

	for (uint32_t i = from; i && i != stop && bound; bound--) {
		struct shv_slot_shm *s = slot_checked(tc->m->base, g, i);
		uint64_t w;

		if (!s)
			break;
		if (*n == *cap) {
			uint32_t c = *cap ? *cap * 2 : 256, *v = FAIL_POINT("malloc-drain") ? NULL : realloc(*got, c * sizeof(*v));
			if (!v)
				return false;
			*got = v;
			*cap = c;
		}
		w = load_acquire(&s->word); /* pairs: P-home, through the head */
		while (slot_state(w) == SHV_SLOT_GONE || slot_state(w) == SHV_SLOT_LOST)
			if (cas64(&s->word, &w, slot_with(w, SHV_SLOT_HELD, tc->proc)))
				break;
		CRASH_POINT("drain-claimed");
		(*got)[(*n)++] = i;
		i = load_relaxed(link_of(tc, s));
	}
	return true;
}

static void home_again(struct shv_tc *tc, uint32_t index)
{
	struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, index);
	uint64_t w = load_relaxed(&s->word), what = load_relaxed(&s->what);

	if (slot_state(w) != SHV_SLOT_HELD || slot_proc(w) != tc->proc || tc_page(tc, what_offset(what)) != own_page(tc))
		return; /* not what a freer would have pushed: leave it to shv_check() */
	settle(tc, index, slot_class(w), has_own_lock(what));
}

static bool drain_list(struct shv_tc *tc, struct shv_process_shm *me)
{
	uint32_t *got = NULL, n = 0, cap = 0, stop = 0;
	uint64_t head = load_acquire(&me->head), empty = (uint64_t)tc->gen << 32;

	while ((uint32_t)head && (uint32_t)head != SHV_HEAD_CLOSED) {
		if (!claim_chain(tc, (uint32_t)head, stop, &got, &n, &cap)) {
			/* No memory for the notes. What is claimed stays on the chain and is found again. */
			free(got);
			return false;
		}
		stop = (uint32_t)head;
		if (cas64(&me->head, &head, empty))
			break;
	}
	CRASH_POINT("drain-emptied");
	for (uint32_t i = 0; i < n; i++)
		home_again(tc, got[i]);
	free(got);
	return true;
}

/* Recovery of somebody who freed objects of ours, but died before pushing them: the slots are LOST. */
static void sweep_lost(struct shv_tc *tc)
{
	struct shv_local *l = tc->m->local;
	uint32_t n;

	plock_acquire(&l->slots_lock);
	n = l->chunks_n;
	plock_release(&l->slots_lock);
	for (uint32_t k = 0; k < n; k++) {
		uint32_t chunk, first;
		plock_acquire(&l->slots_lock);
		chunk = k < l->chunks_n ? l->chunks[k] : 0;
		plock_release(&l->slots_lock);
		first = chunk * SHV_SLOTS_PER_CHUNK;
		for (uint32_t i = 0; chunk && i < SHV_SLOTS_PER_CHUNK; i++) {
			struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, first + i);
			uint64_t w = load_acquire(&s->word);
			if (slot_state(w) != SHV_SLOT_LOST || tc_page(tc, what_offset(load_relaxed(&s->what))) != own_page(tc))
				continue;
			if (cas64(&s->word, &w, slot_with(w, SHV_SLOT_HELD, tc->proc)))
				home_again(tc, first + i);
		}
	}
}

void directory_drain(struct shv_tc *tc)
{
	struct shv_process_shm *me = process_at(tc->m->base, &tc->m->geo, tc->proc);
	bool sweep = load_relaxed(&me->sweep) != 0;

	if (!(uint32_t)load_relaxed(&me->head) && !sweep)
		return;
	if (tc->in_hook || !plock_try(&tc->m->local->drain_lock))
		return; /* another thread is at it */
	if (sweep)
		sweep = exchange_acq_rel(&me->sweep, 0) != 0;
	if (!drain_list(tc, me)) {
		if (sweep)
			store_release(&me->sweep, 1); /* only an empty list makes a LOST slot ours for certain */
	} else if (sweep) {
		sweep_lost(tc);
	}
	plock_release(&tc->m->local->drain_lock);
}

void directory_flush(struct shv_tc *tc, bool all)
{
	chain_push(tc);
	quarantine_release(tc, all ? UINT64_MAX : now_ns());
	for (unsigned i = 0; i < SHV_MAG_KEYS; i++)
		mag_shrink(tc, &tc->mags[i], i / 2, 0);
	slots_spill(tc, 0);
}

/* A chunk in which every slot is free goes back to the pool; the generations that its slots had stay behind as a floor. */
static bool chunk_release(struct shv_tc *tc, uint32_t chunk)
{
	const struct shv_geo *g = &tc->m->geo;
	struct shv_slot_shm *s = slot_fast(tc->m->base, g, chunk * SHV_SLOTS_PER_CHUNK);
	uint64_t *entry = chunk_entry(tc->m->base, g, chunk), e = load_relaxed(entry);

	if (!shv_chunk_floor_up(entry, s))
		return false;
	CRASH_POINT("chunk-floor");
	return !recover_chunk_drop(tc->m, chunk, SHV_CHUNK_PAGE(e), page_make(SHV_PG_SLOTS, tc->proc, 0, tc->gen));
}

/* All slots FREE: raise the floor in the chunk's entry above every generation in it. */
bool shv_chunk_floor_up(uint64_t *entry, const struct shv_slot_shm *s)
{
	uint64_t e = load_relaxed(entry);
	uint32_t floor = SHV_CHUNK_FLOOR(e);

	for (uint32_t i = 0; i < SHV_SLOTS_PER_CHUNK; i++) {
		uint64_t w = load_relaxed(&s[i].word);
		if (slot_state(w) != SHV_SLOT_FREE)
			return false;
		if (slot_gen(w) > floor)
			floor = slot_gen(w);
	}
	store_release(entry, SHV_CHUNK_PAGE(e) | (uint64_t)floor << 32);
	return true;
}

void directory_release_chunks(struct shv_tc *tc)
{
	struct shv_local *l = tc->m->local;
	uint32_t kept = 0;

	plock_acquire(&l->slots_lock);
	/* The untouched rest of the newest chunk joins the others, else that chunk would stay for ever. */
	for (uint32_t k = 0; k < l->chunks_n; k++) {
		uint32_t c = l->chunks[k];
		if (!chunk_release(tc, c)) {
			l->chunks[kept++] = c;
			continue;
		}
		if (l->chunk_next / SHV_SLOTS_PER_CHUNK == c || (l->chunk_end && (l->chunk_end - 1) / SHV_SLOTS_PER_CHUNK == c))
			l->chunk_next = l->chunk_end = 0;
		uint32_t n = 0;
		for (uint32_t i = 0; i < l->free_n; i++)
			if (l->free_slots[i] / SHV_SLOTS_PER_CHUNK != c)
				l->free_slots[n++] = l->free_slots[i];
		l->free_n = n;
	}
	l->chunks_n = kept;
	plock_release(&l->slots_lock);
}

void slow_path(struct shv_tc *tc)
{
	struct shv_process_shm *me = process_at(tc->m->base, &tc->m->geo, tc->proc);

	if (tc->in_hook)
		return;
	directory_drain(tc);
	chain_push(tc);
	if (tc->quarantine_n)
		quarantine_release(tc, now_ns());
	if (unlikely(load_relaxed(&me->trim) != tc->trim_seen)) {
		tc->trim_seen = load_relaxed(&me->trim);
		directory_flush(tc, false);
		heap_trim(tc);
		directory_release_chunks(tc);
	}
}
