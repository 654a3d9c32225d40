/* SPDX-License-Identifier: MIT */
/*
 * Recovery: what a dead member leaves is put in order by whoever notices. A member that detaches does the same for itself.
 *
 * One at a time, under the recovery lock. The recoverer may be killed anywhere: every step is either a single word that
 * says by itself whether it was done, or computed again from slots and page map, which nobody else changes for a dead
 * process. Whoever takes the lock from a dead recoverer begins with that process again (recover_redo).
 *
 * For dead q of generation g:
 *   R1  intents that q may have left under other locks: take and release each lock
 *   R2  q's list is closed; its head was noted in the intent before, since closing forgets it
 *   R3  slots on that list become FREE: their blocks lie on q's pages and count as dead
 *   R3a texts of strings that q had begun to change or to free (arena/text.c): withdrawn in q's name
 *   R4  walk over all slots: HELD(q) -> FREE; GONE(q) -> FREE, LOST, or an orphan to free, by whose page it lies on;
 *       what lives on q's pages is counted on its first and last page; locks held by q's threads get the died bit
 *   R5  q's pages become ORPHAN(count), INTERIOR, or are punched and free
 *   R6  q's directory chunks lose their owner, or go if empty
 *   R7  orphans that q was freeing
 *   R8  thread entries, then the process slot
 * GONE(p) of a living p on q's pages counts as live: p finds the list closed and comes here, for recover_free_orphan().
 *
 * Freeing one orphaned block: O1 intent, O2 page counts, O3 slot FREE, O4 phase 2, O5 pages without count are punched and freed.
 * Before O4 a repetition writes the same absolute values; after it, it only frees pages that still say ORPHAN(0) or INTERIOR.
 */
#include "arena/arena_private.h"

#include "base/probe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct run {
	uint64_t first, last;
};

struct recovery {
	struct shv_member *m;
	uint32_t q, gen;
	bool locks;             /* some thread of q holds, or may hold, a lock */
	uint64_t pages;         /* of the pool when we began */
	uint16_t *count;        /* blocks that begin or end on each page of q */
	struct run *interior;   /* of blocks that span pages */
	size_t interior_n, interior_cap;
	uint32_t *orphans;      /* slots GONE(q) on orphaned pages */
	size_t orphans_n, orphans_cap;
	uint8_t *sweep;         /* by process: has LOST slots now */
	uint32_t buried, grave; /* the last owner that was buried, and where: one grave serves all its locks */
	uint32_t completed, undone, abandoned;
	uint64_t freed, orphaned;
};

static struct shv_recovery_intent_shm *intent_of(struct shv_member *m)
{
	return &super_of(m->base)->recovery_intent;
}

static uint64_t pages_of_q(const struct recovery *r)
{
	return page_make(SHV_PG_OWNED, r->q, 0, r->gen);
}

static bool append(void **v, size_t *n, size_t *cap, size_t item, const void *what)
{
	if (*n == *cap) {
		size_t c = *cap ? *cap * 2 : 64;
		void *p = FAIL_POINT("malloc-recovery") ? NULL : realloc(*v, c * item);
		if (!p)
			return false;
		*v = p;
		*cap = c;
	}
	memcpy((char *)*v + (*n)++ * item, what, item);
	return true;
}

/* ---- R2, R3 ---------------------------------------------------------------------------------------------- */

static void close_list(struct recovery *r)
{
	struct shv_recovery_intent_shm *in = intent_of(r->m);
	uint64_t *list = &process_at(r->m->base, &r->m->geo, r->q)->head, head = load_acquire(list);

	while (!in->closed && (uint32_t)head != SHV_HEAD_CLOSED) {
		in->chain = (uint32_t)head;
		fence_compiler();
		CRASH_POINT("recover-chain");
		if (cas64(list, &head, (uint64_t)r->gen << 32 | SHV_HEAD_CLOSED))
			break;
	}
	CRASH_POINT("recover-closed");
	store_release(&in->closed, 1);
}

/* The page entry of a slot's block, 0 if the slot names nothing in the pool. */
static uint64_t block_entry(struct recovery *r, uint64_t what, uint64_t *page)
{
	uint64_t off = what_offset(what);

	if (off < r->m->geo.data_off)
		return 0;
	*page = page_of(&r->m->geo, off);
	return *page < r->pages ? load_acquire(page_entry(r->m->base, &r->m->geo, *page)) : 0;
}

static bool slot_becomes_free(struct shv_slot_shm *s, uint64_t w)
{
	return cas64(&s->word, &w, slot_with(w, SHV_SLOT_FREE, 0));
}

static void free_chain(struct recovery *r)
{
	const struct shv_geo *g = &r->m->geo;
	uint64_t bound = (uint64_t)chunks_high(r->m->base, g) * SHV_SLOTS_PER_CHUNK, page;
	uint32_t i = intent_of(r->m)->chain;

	for (; i && bound; bound--) {
		struct shv_slot_shm *s = slot_checked(r->m->base, g, i);
		uint64_t w, what;
		if (!s)
			return;
		w = load_acquire(&s->word);
		what = load_relaxed(&s->what);
		if (block_entry(r, what, &page) != pages_of_q(r))
			return; /* the pages are in order already: this is a repetition */
		if (slot_state(w) == SHV_SLOT_GONE || slot_state(w) == SHV_SLOT_LOST ||
		    (slot_state(w) == SHV_SLOT_HELD && slot_proc(w) == r->q))
			r->completed += slot_becomes_free(s, w);
		else if (slot_state(w) != SHV_SLOT_FREE)
			return;
		CRASH_POINT("recover-chain-next");
		/* A slot that became FREE keeps its lead, so that a repetition finds its way along. */
		i = load_relaxed((uint32_t *)(r->m->base + what_offset(what) + slot_lead(w) + SHV_HEADER_SIZE));
	}
}

/* ---- R4 ----------------------------------------------------------------------------------------------------- */

/* A page that is q's, or was before a recoverer who died made it an orphan. */
static bool was_qs(const struct recovery *r, uint64_t e)
{
	return (page_state(e) == SHV_PG_OWNED || page_state(e) == SHV_PG_ORPHAN) && page_proc(e) == r->q && page_gen(e) == r->gen;
}

/*
 * Each end counts by the state of its own page: a repetition finds some pages orphaned already, with the counts that they are to
 * have, and a block may begin on one of those and end on one that is still q's.
 */
static bool count_live(struct recovery *r, uint64_t w, uint64_t page, uint64_t what)
{
	uint64_t end = what_offset(what) + class_size(slot_class(w)) - 1, last = page_of(&r->m->geo, end);

	if (end < what_offset(what) || last >= r->pages)
		return true; /* damaged: shv_check() tells */
	r->count[page]++;
	if (last == page)
		return true;
	r->count[last]++;
	if (last - page < 2)
		return true;
	return append((void **)&r->interior, &r->interior_n, &r->interior_cap, sizeof(struct run),
		      &(struct run){ page + 1, last - 1 });
}

/* A slot withdrawn by q, or lost: whose page is its block on? */
static bool finish_free(struct recovery *r, struct shv_slot_shm *s, uint32_t index, uint64_t w, uint64_t e)
{
	if (e == pages_of_q(r)) {
		r->completed += slot_becomes_free(s, w);
		return true;
	}
	if (slot_state(w) == SHV_SLOT_LOST) {
		/* Perhaps made so by a recoverer who died before it told the owner. */
		if (page_state(e) == SHV_PG_OWNED && page_proc(e) <= r->m->geo.last_process)
			r->sweep[page_proc(e)] = 1;
		return true;
	}
	if (page_state(e) == SHV_PG_ORPHAN)
		return append((void **)&r->orphans, &r->orphans_n, &r->orphans_cap, sizeof(index), &index);
	if (page_state(e) == SHV_PG_OWNED && page_proc(e) <= r->m->geo.last_process) {
		/* Perhaps pushed, perhaps not. Its owner drains its list first, then takes what is still LOST. */
		if (cas64(&s->word, &w, slot_with(w, SHV_SLOT_LOST, r->q)))
			r->completed++;
		r->sweep[page_proc(e)] = 1;
	}
	return true;
}

/* Is this lock word held by a thread of q (or by one that ended)? Then it becomes free, with the died bit. */
static void sweep_lock(struct recovery *r, uint64_t w, uint64_t what)
{
	unsigned policy = what_policy(what);
	const struct shv_thread_shm *t;
	uint64_t *word, lw;
	uint32_t owner;

	if (!policy_owns_word(policy) || what_kind(what) == SHV_KIND_PART || slot_lead(w) < 8)
		return;
	word = (uint64_t *)(r->m->base + what_offset(what) + slot_lead(w)) - 1;
	lw = load_acquire(word);
	owner = lock_owner(lw);
	if (!lock_is_held(lw) || owner > r->m->geo.max_threads)
		return;
	t = thread_at(r->m->base, &r->m->geo, owner - 1);
	if (r->gen ? thread_proc(load_relaxed(&t->word)) != r->q || thread_gen(load_relaxed(&t->word)) != r->gen :
		     thread_state(load_relaxed(&t->word)) != SHV_THREAD_ENDED)
		return;
	if (r->buried != owner) {
		r->grave = grave_dig(r->m, owner);
		r->buried = owner;
	}
	if (lock_bury(word, lw, r->grave))
		r->abandoned++;
}

static bool visit(struct recovery *r, struct shv_slot_shm *s, uint32_t index)
{
	uint64_t w = load_acquire(&s->word), what, e, page = 0;
	bool ok = true;

	if (slot_state(w) == SHV_SLOT_FREE || slot_state(w) == SHV_SLOT_RETIRED)
		return true;
	what = load_relaxed(&s->what);
	if (slot_state(w) == SHV_SLOT_HELD) {
		if (slot_proc(w) == r->q)
			r->undone += slot_becomes_free(s, w) && what_kind(what); /* kind 0: it lay in a magazine */
		return true;
	}
	e = block_entry(r, what, &page);
	if (slot_state(w) == SHV_SLOT_LOST || (slot_state(w) == SHV_SLOT_GONE && slot_proc(w) == r->q))
		ok = finish_free(r, s, index, w, e);
	else if (was_qs(r, e))
		ok = count_live(r, w, page, what);
	if (r->locks && (slot_state(w) == SHV_SLOT_LIVE || slot_state(w) == SHV_SLOT_CONDEMNED))
		sweep_lock(r, w, what);
	return ok;
}

/*
 * Of a repetition, some pages may be orphaned already, with counts that are final. A text that lies on such a page and on one that is
 * still to be counted stays; who replaced it, or changes the string next, drops it.
 */
static bool ends_agree(void *ctx, uint64_t off, uint64_t bytes)
{
	struct recovery *r = ctx;
	uint64_t first = page_of(&r->m->geo, off), last = page_of(&r->m->geo, off + bytes - 1), mine = pages_of_q(r);

	return last < r->pages && (load_acquire(page_entry(r->m->base, &r->m->geo, first)) == mine) ==
					  (load_acquire(page_entry(r->m->base, &r->m->geo, last)) == mine);
}

static bool visit_text(struct recovery *r, struct shv_slot_shm *s, uint32_t index)
{
	text_settle(r->m, r->q, s, index, ends_agree, r);
	return true;
}

/*
 * q's objects have their slots in q's chunks, also those that it was making or keeps in magazines. What else may say its number: objects of
 * others that it withdrew (it noted that in its entry before), texts that it handled, locks that it holds. A repetition finds chunks
 * given away only once all pages are in order; in an image of an arena everybody is said to have been away.
 */
static bool only_its_chunks(const struct recovery *r)
{
	return !r->locks && !load_relaxed(&super_of(r->m->base)->texts) &&
	       !load_acquire(&process_at(r->m->base, &r->m->geo, r->q)->away);
}

static bool is_its_chunk(const struct recovery *r, uint32_t c)
{
	uint32_t page = SHV_CHUNK_PAGE(load_acquire(chunk_entry(r->m->base, &r->m->geo, c)));

	return page && page < r->pages && load_acquire(page_entry(r->m->base, &r->m->geo, page)) == page_make(SHV_PG_SLOTS, r->q, 0, r->gen);
}

static bool for_slots(struct recovery *r, bool (*f)(struct recovery *, struct shv_slot_shm *, uint32_t))
{
	const struct shv_geo *g = &r->m->geo;
	uint32_t high = chunks_high(r->m->base, g);
	bool few = only_its_chunks(r);

	for (uint32_t c = 1; c < high; c++) {
		uint32_t first = c * SHV_SLOTS_PER_CHUNK;
		struct shv_slot_shm *s = few && !is_its_chunk(r, c) ? NULL : slot_checked(r->m->base, g, first);
		for (uint32_t i = 0; s && i < SHV_SLOTS_PER_CHUNK; i++)
			if (!f(r, &s[i], first + i))
				return false;
	}
	return true;
}

/* ---- R5, R6 ---------------------------------------------------------------------------------------------------- */

static int free_run(struct recovery *r, uint64_t first, uint64_t n)
{
	int rc = n ? pool_free(r->m, first, n, pages_of_q(r), UINT64_MAX) : 0;

	if (!rc)
		r->freed += n;
	return rc;
}

static int settle_pages(struct recovery *r)
{
	uint64_t run = 0;

	for (size_t i = 0; i < r->interior_n; i++)
		for (uint64_t p = r->interior[i].first; p <= r->interior[i].last; p++)
			if (load_relaxed(page_entry(r->m->base, &r->m->geo, p)) == pages_of_q(r)) {
				store_release(page_entry(r->m->base, &r->m->geo, p), page_make(SHV_PG_INTERIOR, r->q, 0, r->gen));
				r->orphaned++;
			}
	for (uint64_t p = 0; p <= r->pages; p++) {
		uint64_t e = p < r->pages ? load_relaxed(page_entry(r->m->base, &r->m->geo, p)) : 0;
		bool mine = e == pages_of_q(r) && p < r->pages;
		int rc;

		if (mine && !r->count[p]) {
			run++;
			continue;
		}
		if (mine) {
			store_release(page_entry(r->m->base, &r->m->geo, p), page_make(SHV_PG_ORPHAN, r->q, r->count[p], r->gen));
			r->orphaned++;
			CRASH_POINT("recover-orphan");
		}
		rc = free_run(r, p - run, run);
		if (rc)
			return rc;
		run = 0;
	}
	return 0;
}

int recover_chunk_drop(struct shv_member *m, uint32_t chunk, uint32_t page, uint64_t owner)
{
	uint64_t floor = load_relaxed(chunk_entry(m->base, &m->geo, chunk)) & ~UINT64_C(0xffffffff);
	struct shv_word_write w = { m->geo.chunks_off + (uint64_t)chunk * 8, floor };
	int rc = memfd_punch(m, page_addr(m->base, &m->geo, page), SHV_CHUNK_BYTES);

	if (rc)
		return rc;
	CRASH_POINT("chunk-punched"); /* all words zero: FREE, and the floor is in the entry */
	return pool_set(m, page, SHV_CHUNK_PAGES, owner, UINT64_MAX, 0, &w, 1);
}

static int settle_chunks(struct recovery *r)
{
	const struct shv_geo *g = &r->m->geo;
	uint32_t high = chunks_high(r->m->base, g);
	uint64_t mine = page_make(SHV_PG_SLOTS, r->q, 0, r->gen);

	for (uint32_t c = 1; c < high; c++) {
		uint64_t *entry = chunk_entry(r->m->base, g, c);
		uint32_t page = SHV_CHUNK_PAGE(load_acquire(entry)), free_ = 0;
		struct shv_slot_shm *s = slot_checked(r->m->base, g, c * SHV_SLOTS_PER_CHUNK);
		int rc;

		if (!s || load_relaxed(page_entry(r->m->base, g, page)) != mine)
			continue;
		if (shv_chunk_floor_up(entry, s)) {
			rc = recover_chunk_drop(r->m, c, page, mine);
			if (!rc)
				r->freed += SHV_CHUNK_PAGES;
		} else {
			for (uint32_t i = 0; i < SHV_SLOTS_PER_CHUNK; i++)
				free_ += slot_state(load_relaxed(&s[i].word)) == SHV_SLOT_FREE;
			/* Last page first: adopters and readers of the count look at the first one. */
			rc = pool_set(r->m, page + 1, SHV_CHUNK_PAGES - 1, mine, UINT64_MAX, page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, 0, 0),
				      NULL, 0);
			if (!rc)
				rc = pool_set(r->m, page, 1, mine, UINT64_MAX, page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, free_, 0), NULL, 0);
		}
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- freeing an orphaned block ---------------------------------------------------------------------------------- */

/* Pages first..last that still say `expected` are punched and freed. */
static void orphan_pages_free(struct shv_member *m, uint64_t first, uint64_t last, uint64_t expected, uint64_t mask)
{
	if (first <= last && (load_acquire(page_entry(m->base, &m->geo, first)) & mask) == expected)
		(void)pool_free(m, first, last - first + 1, expected, mask);
}

/* First page of the chunk that a slot is in; 0 if there is none. */
static uint32_t chunk_page(struct shv_member *m, uint32_t slot)
{
	uint32_t page = SHV_CHUNK_PAGE(load_acquire(chunk_entry(m->base, &m->geo, slot / SHV_SLOTS_PER_CHUNK)));

	return (uint64_t)page + SHV_CHUNK_PAGES <= pool_pages(m->base, &m->geo) ? page : 0;
}

/*
 * A chunk without owner whose last slot came free goes. It is set aside first (generation 1), since adopters need only the pool lock. A
 * repetition finds it full, or set aside, and goes on from there.
 */
static void chunk_may_go(struct shv_member *m, uint32_t slot)
{
	uint64_t aside = page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, 0, 1), none = page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, 0, 0);
	uint64_t not_count = ~(SHV_PG_COUNT_MASK << SHV_PG_COUNT_SHIFT), e;
	uint32_t chunk = slot / SHV_SLOTS_PER_CHUNK, page = chunk_page(m, slot);

	if (!page)
		return;
	e = load_acquire(page_entry(m->base, &m->geo, page));
	if ((e & not_count) == none && page_count(e) >= SHV_SLOTS_PER_CHUNK) {
		CRASH_POINT("chunk-full");
		if (pool_set(m, page, SHV_CHUNK_PAGES, none, not_count, aside, NULL, 0))
			return;
		e = load_acquire(page_entry(m->base, &m->geo, page));
	}
	if (e != aside)
		return;
	CRASH_POINT("chunk-aside");
	/* A death between two stretches of pages may have left some as they were. */
	(void)pool_set(m, page, SHV_CHUNK_PAGES, none, not_count, aside, NULL, 0);
	if (!shv_chunk_floor_up(chunk_entry(m->base, &m->geo, chunk), slot_fast(m->base, &m->geo, chunk * SHV_SLOTS_PER_CHUNK)) ||
	    recover_chunk_drop(m, chunk, page, aside))
		(void)pool_set(m, page, SHV_CHUNK_PAGES, aside, UINT64_MAX, page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, 1, 0), NULL, 0);
}

/* Tell whoever may take slots from the chunk that there is one more. */
static void slot_came_free(struct shv_member *m, const struct shv_recovery_intent_shm *in)
{
	uint32_t page = chunk_page(m, in->slot);
	uint64_t *entry = page_entry(m->base, &m->geo, page), e = load_acquire(entry), before = in->chunk_before;

	if (!page || page_state(e) != SHV_PG_SLOTS)
		return;
	if (page_proc(e) != SHV_NO_PROCESS) {
		if (page_proc(e) <= m->geo.last_process)
			fetch_add_relaxed(&process_at(m->base, &m->geo, page_proc(e))->slots_freed, 1);
		return;
	}
	/* From exactly what the intent saw: a repetition counts no second time. */
	if (before)
		(void)cas64(entry, &before, in->chunk_after);
	CRASH_POINT("orphan-slot-counted");
	chunk_may_go(m, in->slot);
}

static void orphan_finish(struct shv_member *m)
{
	struct shv_recovery_intent_shm *in = intent_of(m);
	const struct shv_geo *g = &m->geo;
	struct shv_slot_shm *s = slot_checked(m->base, g, in->slot);
	uint64_t f = in->pages[0], l = in->pages[1], mask = SHV_PG_STATE_MASK | SHV_PG_COUNT_MASK << SHV_PG_COUNT_SHIFT;

	if (f >= g->max_pages || l >= g->max_pages || f > l)
		return;
	if (in->phase < 2) {
		store_release(page_entry(m->base, g, f), in->entry_after[0]);
		CRASH_POINT("orphan-first");
		store_release(page_entry(m->base, g, l), in->entry_after[1]);
		CRASH_POINT("orphan-counted");
		if (s)
			(void)slot_becomes_free(s, in->slot_gone); /* only if it still is as the freer left it */
		CRASH_POINT("orphan-slot");
		store_release(&in->phase, 2);
	}
	CRASH_POINT("orphan-phase");
	orphan_pages_free(m, f, f, SHV_PG_ORPHAN, mask);
	CRASH_POINT("orphan-freed");
	if (l > f) {
		orphan_pages_free(m, f + 1, l - 1, SHV_PG_INTERIOR, SHV_PG_STATE_MASK);
		orphan_pages_free(m, l, l, SHV_PG_ORPHAN, mask);
	}
	slot_came_free(m, in);
}

static uint64_t one_less(uint64_t e)
{
	return page_count(e) ? e - (UINT64_C(1) << SHV_PG_COUNT_SHIFT) : e;
}

/* With the recovery lock held: the block of a GONE slot on orphaned pages. */
static void orphan_free_locked(struct shv_member *m, uint32_t index)
{
	struct shv_recovery_intent_shm *in = intent_of(m);
	const struct shv_geo *g = &m->geo;
	struct shv_slot_shm *s = slot_checked(m->base, g, index);
	uint64_t w, off, f, l;

	if (!s)
		return;
	w = load_acquire(&s->word);
	off = what_offset(load_relaxed(&s->what));
	if (slot_state(w) != SHV_SLOT_GONE)
		return;
	f = page_of(g, off);
	l = page_of(g, off + class_size(slot_class(w)) - 1);
	if (off < g->data_off || l >= pool_pages(m->base, g) || l < f)
		return;
	if (page_state(load_acquire(page_entry(m->base, g, f))) != SHV_PG_ORPHAN) {
		/* Its owner died, but the recovery of that one could not be finished: it will find the slot LOST. */
		(void)cas64(&s->word, &w, slot_with(w, SHV_SLOT_LOST, slot_proc(w)));
		return;
	}
	in->slot = index;
	in->slot_gone = w;
	in->pages[0] = (uint32_t)f;
	in->pages[1] = (uint32_t)l;
	in->entry_after[0] = one_less(load_relaxed(page_entry(m->base, g, f)));
	in->entry_after[1] = l == f ? in->entry_after[0] : one_less(load_relaxed(page_entry(m->base, g, l)));
	in->chunk_page = chunk_page(m, index);
	in->chunk_before = load_acquire(page_entry(m->base, g, in->chunk_page));
	if (page_state(in->chunk_before) != SHV_PG_SLOTS || page_proc(in->chunk_before) != SHV_NO_PROCESS ||
	    page_count(in->chunk_before) >= SHV_SLOTS_PER_CHUNK)
		in->chunk_before = 0;
	in->chunk_after = in->chunk_before + (UINT64_C(1) << SHV_PG_COUNT_SHIFT);
	in->phase = 1;
	CRASH_POINT("orphan-intent");
	store_release(&in->active, SHV_REC_ORPHAN_FREE);
	CRASH_POINT("orphan-active");
	orphan_finish(m);
	store_release(&in->active, SHV_REC_NONE);
	CRASH_POINT("orphan-done");
}

void recover_free_orphan(struct shv_tc *tc, uint32_t index)
{
	if (sys_lock(tc->m, RANK_RECOVERY))
		return; /* the slot stays GONE(me): our own recovery finishes it */
	orphan_free_locked(tc->m, index);
	sys_unlock(tc->m, RANK_RECOVERY);
}

/* ---- a process ------------------------------------------------------------------------------------------------------ */

static bool holds_locks(struct recovery *r)
{
	uint32_t high = load_acquire(&super_of(r->m->base)->threads_high);

	for (uint32_t i = 0; i < high && i < r->m->geo.max_threads; i++) {
		const struct shv_thread_shm *t = thread_at(r->m->base, &r->m->geo, i);
		uint64_t w = load_acquire(&t->word);
		if (thread_state(w) != SHV_THREAD_FREE && thread_proc(w) == r->q && thread_gen(w) == r->gen &&
		    (load_relaxed(&t->held) || load_relaxed(&t->handed)))
			return true;
	}
	return false;
}

static uint32_t free_threads(struct recovery *r)
{
	uint32_t high = load_acquire(&super_of(r->m->base)->threads_high), n = 0;

	for (uint32_t i = 0; i < high && i < r->m->geo.max_threads; i++) {
		struct shv_thread_shm *t = thread_at(r->m->base, &r->m->geo, i);
		uint64_t w = load_acquire(&t->word);
		if (thread_state(w) == SHV_THREAD_FREE || thread_proc(w) != r->q || thread_gen(w) != r->gen)
			continue;
		store_release(&t->word, thread_word(SHV_THREAD_FREE, 0, 0));
		CRASH_POINT("recover-thread");
		n++;
	}
	return n;
}

static void redo_others(struct shv_member *m)
{
	for (enum shv_rank k = RANK_NAMES; k <= RANK_POOL; k++)
		if (!sys_lock(m, k))
			sys_unlock(m, k);
}

/* R1 to R7. 0 or negative errno: then q stays to be recovered by the next one. */
static int put_in_order(struct recovery *r)
{
	size_t count_bytes = r->pages * sizeof(uint16_t) + 1;
	int rc = -ENOMEM;

	r->sweep = calloc(1, r->m->geo.last_process + 1u);
	r->count = FAIL_POINT("mmap-recovery") ? MAP_FAILED :
		   mmap(NULL, count_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!r->sweep || r->count == MAP_FAILED)
		goto out;
	r->locks = holds_locks(r);
	redo_others(r->m);
	close_list(r);
	free_chain(r);
	CRASH_POINT("recover-list");
	if (load_relaxed(&super_of(r->m->base)->texts))
		for_slots(r, visit_text);
	if (!for_slots(r, visit))
		goto out;
	CRASH_POINT("recover-walked");
	for (uint32_t i = 0; i <= r->m->geo.last_process; i++)
		if (r->sweep[i])
			store_release(&process_at(r->m->base, &r->m->geo, i)->sweep, 1);
	CRASH_POINT("recover-swept");
	rc = settle_pages(r);
	if (!rc)
		rc = settle_chunks(r);
	CRASH_POINT("recover-settled");
	/* The list and pages are in order; from here on the intent is free for single orphans. */
	store_release(&intent_of(r->m)->active, SHV_REC_NONE);
	for (size_t i = 0; !rc && i < r->orphans_n; i++)
		orphan_free_locked(r->m, r->orphans[i]);
out:
	if (rc == -ENOMEM)
		fail(rc, "arena '%s': no memory to recover process slot %u: call shv_arena_recover() later", r->m->name, r->q);
	if (r->count && r->count != MAP_FAILED)
		munmap(r->count, count_bytes);
	free(r->interior);
	free(r->orphans);
	free(r->sweep);
	return rc;
}

/* With the recovery lock held. 1 = recovered. */
static int recover_locked(struct shv_member *m, uint32_t q, bool self, struct shv_recovery *out)
{
	struct shv_process_shm *p = process_at(m->base, &m->geo, q);
	struct shv_recovery_intent_shm *in = intent_of(m);
	uint64_t w = load_acquire(&p->word);
	struct recovery r = { .m = m, .q = q, .gen = proc_gen(w) };
	int rc;

	if (proc_state(w) == SHV_PROC_FREE)
		return 0;
	if (!self && proc_state(w) == SHV_PROC_ALIVE) {
		if (member_probe(m, q) != LIVENESS_DEAD)
			return 0;
		if (!cas64(&p->word, &w, proc_word(SHV_PROC_DEAD, r.gen)))
			return 0;
		CRASH_POINT("recover-dead");
	}
	r.pages = pool_pages(m->base, &m->geo);
	if (load_acquire(&in->active) != SHV_REC_PROCESS || in->process != q || in->generation != r.gen) {
		in->process = q;
		in->generation = r.gen;
		in->chain = 0;
		in->closed = 0;
		CRASH_POINT("recover-intent");
		store_release(&in->active, SHV_REC_PROCESS);
	}
	CRASH_POINT("recover-active");
	rc = put_in_order(&r);
	store_release(&in->active, SHV_REC_NONE);
	if (out) {
		out->processes += !self;
		out->values_completed += r.completed;
		out->values_undone += r.undone;
		out->locks_abandoned += r.abandoned;
		out->pages_freed += r.freed;
		out->pages_orphaned += r.orphaned;
	}
	if (rc)
		return rc;
	if (!self) {
		uint32_t n = free_threads(&r);
		if (out)
			out->threads += n;
		CRASH_POINT("recover-threads");
		store_release(&p->word, proc_word(SHV_PROC_FREE, r.gen));
	}
	return 1;
}

void recover_redo(struct shv_member *m)
{
	struct shv_recovery_intent_shm *in = intent_of(m);

	switch (load_acquire(&in->active)) {
	case SHV_REC_ORPHAN_FREE:
		orphan_finish(m);
		store_release(&in->active, SHV_REC_NONE);
		break;
	case SHV_REC_PROCESS:
		if (in->process <= m->geo.last_process)
			(void)recover_locked(m, in->process, false, NULL);
		store_release(&in->active, SHV_REC_NONE);
		break;
	}
}

int recover_process(struct shv_member *m, uint32_t slot, struct shv_recovery *out)
{
	int rc = sys_lock(m, RANK_RECOVERY);

	if (rc)
		return rc;
	PROBE1(recover_begin, slot);
	rc = recover_locked(m, slot, false, out);
	PROBE2(recover_done, slot, rc);
	sys_unlock(m, RANK_RECOVERY);
	if (rc > 0 && !tc_get(m)->in_hook)
		name_sweep(m);
	return rc;
}

/* Detach: the same for ourselves. The lock is given back while our thread is still known. */
int recover_self(struct shv_member *m)
{
	struct shv_local *l = m->local;
	struct recovery r = { .m = m, .q = l->proc, .gen = l->gen };
	struct shv_process_shm *p = process_at(m->base, &m->geo, l->proc);
	int rc = sys_lock(m, RANK_RECOVERY);

	if (rc)
		return rc;
	rc = recover_locked(m, l->proc, true, NULL);
	sys_unlock(m, RANK_RECOVERY);
	CRASH_POINT("detach-ordered");
	if (rc < 0)
		return rc; /* we stay registered until we die or are asked again; the others find us then */
	free_threads(&r);
	CRASH_POINT("detach-threads");
	store_release(&p->word, proc_word(SHV_PROC_FREE, l->gen));
	process_leave(m);
	return 0;
}

void recover_visitor_leaves(struct shv_member *m, struct shv_tc *tc)
{
	directory_flush(tc, true);
	if (recover_self(m))
		process_leave(m);
}

/* ---- threads that ended with a lock held ------------------------------------------------------------------------------ */

static bool visit_locks(struct recovery *r, struct shv_slot_shm *s, uint32_t index)
{
	uint64_t w = load_acquire(&s->word);

	(void)index;
	if (slot_state(w) == SHV_SLOT_LIVE || slot_state(w) == SHV_SLOT_CONDEMNED)
		sweep_lock(r, w, load_relaxed(&s->what));
	return true;
}

static void recover_threads(struct shv_member *m, struct shv_recovery *out)
{
	struct recovery r = { .m = m, .locks = true }; /* gen 0: any ENDED thread */
	uint32_t high = load_acquire(&super_of(m->base)->threads_high), ended = 0;

	if (high > m->geo.max_threads)
		high = m->geo.max_threads;
	for (uint32_t i = 0; i < high; i++)
		ended += thread_state(load_acquire(&thread_at(m->base, &m->geo, i)->word)) == SHV_THREAD_ENDED;
	if (!ended || sys_lock(m, RANK_RECOVERY))
		return;
	/* Those that end from here on are for the next time: their locks may have been passed already. */
	uint64_t *was = calloc(high, sizeof(*was));
	for (uint32_t i = 0; was && i < high; i++)
		was[i] = load_acquire(&thread_at(m->base, &m->geo, i)->word);
	if (was)
		for_slots(&r, visit_locks);
	for (uint32_t i = 0; was && i < high; i++)
		if (thread_state(was[i]) == SHV_THREAD_ENDED) {
			uint64_t w = was[i];
			if (cas64(&thread_at(m->base, &m->geo, i)->word, &w, thread_word(SHV_THREAD_FREE, 0, 0)) && out)
				out->threads++;
		}
	free(was);
	if (out)
		out->locks_abandoned += r.abandoned;
	sys_unlock(m, RANK_RECOVERY);
}

int recover_all(struct shv_member *m, struct shv_recovery *out)
{
	uint32_t high = load_acquire(&super_of(m->base)->processes_high);
	int n = 0;

	if (high > m->geo.last_process + 1)
		high = m->geo.last_process + 1;
	for (uint32_t i = high; i-- > 0;) { /* from the end: visitors who died must not keep others from visiting */
		uint32_t state = proc_state(load_acquire(&process_at(m->base, &m->geo, i)->word));
		int rc = 0;
		if (state == SHV_PROC_FREE || (m->local->registered && i == m->local->proc))
			continue;
		if (state == SHV_PROC_DEAD || member_probe(m, i) == LIVENESS_DEAD)
			rc = recover_process(m, i, out);
		if (rc < 0)
			return rc;
		n += rc;
	}
	recover_threads(m, out);
	return n;
}

/* ---- lock objects that were freed while values used them ---------------------------------------------------------------- */

struct reaping {
	uint32_t *slots;
	uint64_t *words;
	bool *used;
	size_t n, cap;
};

static void reap_mark(struct shv_member *m, struct reaping *c, uint64_t w, uint64_t what)
{
	uint64_t link;

	if (what_policy(what) != SHV_POL_SHARED || (slot_state(w) != SHV_SLOT_LIVE && slot_state(w) != SHV_SLOT_HELD &&
						    slot_state(w) != SHV_SLOT_GONE && slot_state(w) != SHV_SLOT_LOST))
		return;
	if (slot_lead(w) < 8)
		return;
	link = load_acquire((uint64_t *)(m->base + what_offset(what) + slot_lead(w)) - 1);
	for (size_t i = 0; i < c->n; i++)
		if (c->slots[i] == (uint32_t)link)
			c->used[i] = true;
}

/*
 * A condemned lock that no value names may still be held: by who freed its last value with the lock in hand, or came for it just before.
 * So the reaper takes it, as who frees a value does. A lock of a user policy is for a process to reap that can end its state.
 */
struct reaped {
	uint64_t *header;
	uint64_t *word;                    /* built-in policies */
	bool handoff;
	const struct shv_lock_policy *ops; /* a user's */
	void *state;
	bool taken;                        /* else its holder is dead */
};

static void reap_note(struct shv_tc *tc, const struct reaped *l, int by)
{
	fence_compiler();
	if (l->handoff)
		fetch_add_relaxed(&tc->thread->handed, (uint32_t)by);
	else
		store_relaxed(&tc->thread->held, tc->thread->held + (uint32_t)by);
	fence_compiler();
}

static bool reap_take(struct shv_tc *tc, const struct shv_slot_shm *s, uint64_t w, struct reaped *l)
{
	struct shv_member *m = tc->m;
	uint64_t what = load_relaxed(&s->what);
	unsigned p = what_policy(what);
	struct shv_holder h;
	uint64_t lw;

	memset(l, 0, sizeof(*l));
	l->header = (uint64_t *)(void *)(m->base + what_offset(what) + slot_lead(w));
	if (policy_owns_word(p)) {
		l->word = l->header - 1;
		l->handoff = p == SHV_POL_HANDOFF;
		lw = load_acquire(l->word);
		/* Another reaper may have been faster, and the place be something else's: as lock_acquire_alive(). */
		if (lock_is_held(lw) || lock_is_gone(lw) || load_acquire(&s->word) != w)
			return false;
		reap_note(tc, l, 1);
		if (cas64(l->word, &lw, (lw & (LOCK_SEQ_MASK | LOCK_WAITERS)) | LOCK_FREEING | tc->me))
			return true;
		reap_note(tc, l, -1);
		return false;
	}
	if (p >= SHV_POL_USER && p < SHV_POL_USER + SHV_MAX_POLICIES) {
		l->ops = load_acquire(&m->policies[p - SHV_POL_USER]);
		if (!l->ops || load_acquire(&s->word) != w)
			return false;
		l->state = (char *)l->header - policy_state_bytes(l->ops->size, l->ops->align);
		reap_note(tc, l, 1);
		l->taken = policy_try(l->ops, l->state) >= 0;
		if (l->taken)
			return true;
		reap_note(tc, l, -1);
		return policy_holder(m, l->ops, l->state, &h) && !h.alive; /* nobody will give it back */
	}
	return true;
}

/* The lock is gone, or (somebody else was faster) only given back. True: somebody may still look at it. */
static bool reap_end(struct shv_tc *tc, const struct reaped *l, bool gone)
{
	uint64_t w = 0;

	if (l->word) {
		w = load_relaxed(l->word);
		w = exchange_acq_rel(l->word, ((w & LOCK_SEQ_MASK) + LOCK_SEQ_ONE) | (gone ? LOCK_OWNER_GONE : 0));
		reap_note(tc, l, -1);
		if (w & LOCK_WAITERS)
			lock_wake(l->word, INT32_MAX);
	} else if (l->ops) {
		if (l->taken) {
			(void)l->ops->release(l->state);
			reap_note(tc, l, -1);
		}
		if (gone && l->ops->destroy)
			l->ops->destroy(l->state);
		return true; /* who waits inside the policy we cannot know */
	}
	return w & LOCK_WAITERS;
}

/* Condemned and used by nobody: withdrawn and in our hands. With a policy of the program's no word tells reapers apart: one at a time. */
static bool reap_withdraw(struct shv_tc *tc, struct shv_slot_shm *s, uint64_t w, uint64_t next, struct reaped *l)
{
	bool user = what_policy(load_relaxed(&s->what)) >= SHV_POL_USER, done;

	if (user && sys_lock(tc->m, RANK_RECOVERY))
		return false;
	done = reap_take(tc, s, w, l);
	if (done) {
		CRASH_POINT("reap-locked");
		done = cas64(&s->word, &w, next);
		if (!done)
			(void)reap_end(tc, l, false);
	}
	if (user)
		sys_unlock(tc->m, RANK_RECOVERY);
	return done;
}

void recover_reap_locks(struct shv_member *m)
{
	struct shv_tc *tc = tc_get(m);
	struct reaping c = { 0 };
	struct recovery r = { .m = m };

	if (!tc || !load_relaxed(&super_of(m->base)->condemned) || sys_lock(m, RANK_RECOVERY))
		return;
	for (int pass = 0; pass < 2; pass++) {
		/* Anew for the second one: who names a lock may have a slot, or a page, that was not there before. */
		uint32_t high = chunks_high(m->base, &m->geo);
		r.pages = pool_pages(m->base, &m->geo);
		for (uint32_t k = 1; k < high; k++) {
			struct shv_slot_shm *s = slot_checked(m->base, &m->geo, k * SHV_SLOTS_PER_CHUNK);
			for (uint32_t i = 0; s && i < SHV_SLOTS_PER_CHUNK; i++) {
				uint64_t w = load_acquire(&s[i].word), page;
				if (pass) {
					uint64_t what = load_relaxed(&s[i].what);
					if (c.n && block_entry(&r, what, &page))
						reap_mark(m, &c, w, what);
				} else if (slot_state(w) == SHV_SLOT_CONDEMNED && c.n < 4096) {
					if (c.n == c.cap) {
						c.cap = c.cap ? c.cap * 2 : 16;
						uint32_t *a = realloc(c.slots, c.cap * sizeof(*a));
						uint64_t *b = realloc(c.words, c.cap * sizeof(*b));
						bool *u = realloc(c.used, c.cap);
						c.slots = a ? a : c.slots;
						c.words = b ? b : c.words;
						c.used = u ? u : c.used;
						if (!a || !b || !u) {
							c.n = 0;
							goto out;
						}
					}
					c.used[c.n] = false;
					c.words[c.n] = w;
					c.slots[c.n++] = k * SHV_SLOTS_PER_CHUNK + i;
				}
			}
		}
		/* A creator names the lock first and looks whether it is condemned then; we the other way round. pairs: P-condemn */
		fence_full();
	}
out:
	sys_unlock(m, RANK_RECOVERY);
	if (c.n)
		note_away(tc);
	for (size_t i = 0; i < c.n; i++) {
		struct shv_slot_shm *s = slot_fast(m->base, &m->geo, c.slots[i]);
		uint64_t w = c.words[i], next = slot_with(w, SHV_SLOT_GONE, tc->proc) + (UINT64_C(1) << SHV_SLOT_GEN_SHIFT);
		struct reaped l;
		bool waiters;
		if (c.used[i] || !reap_withdraw(tc, s, w, next, &l))
			continue;
		fetch_sub_relaxed(&super_of(m->base)->condemned, 1);
		waiters = reap_end(tc, &l, true);
		fence_full();
		if (load_relaxed(l.header) & SHV_HDR_NAMED) /* pairs: P-named */
			name_forget(tc, c.slots[i] | (uint64_t)slot_gen(w) << 32);
		object_send_home(tc, c.slots[i], next, load_relaxed(&s->what), waiters);
	}
	free(c.slots);
	free(c.words);
	free(c.used);
}
