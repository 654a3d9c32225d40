/* SPDX-License-Identifier: MIT */
/*
 * The short ways of making and freeing, inlined into the public functions: what nearly every call takes. Everything
 * unusual is left to object.c, which does the same step by step and says why.
 */
#ifndef SHV_VALUES_FAST_H
#define SHV_VALUES_FAST_H

#include "values/value_private.h"

#include "base/probe.h"

#include <string.h>

/*
 * A free lock word whose sequence begins far from those of earlier objects at this place, so that a waiter who looked at one of
 * them cannot take this word for it; and never a zero, which is what most other things begin with. From the slot and its generation,
 * which are at hand: the old word would be a cache miss. Both, for another slot of the same generation may get the block.
 */
static inline uint64_t first_word(uint32_t index, uint64_t slot_word_)
{
	return (((slot_word_ & LOCK_SEQ_MASK) | index) * UINT64_C(0x9e3779b97f4a7c15) & LOCK_SEQ_MASK) | UINT64_C(1) << 63;
}

/* The last object of a magazine that has n: HELD(me), and ours now. */
struct reserved {
	struct shv_slot_shm *slot;
	uint64_t word; /* of the slot */
	uint64_t off;  /* of the block */
	uint32_t index;
};

static inline __attribute__((always_inline)) void mag_take(struct shv_tc *tc, struct shv_mag *mag, uint32_t n, struct reserved *r)
{
	mag->n = n - 1;
	r->index = mag->slots[n - 1];
	r->slot = tc_slot(tc, r->index);
	CRASH_POINT("create-reserved");
	r->off = what_offset(load_relaxed(&r->slot->what));
	r->word = load_relaxed(&r->slot->word);
}

/* All of the block is written: HELD(me) becomes LIVE. made: what the program gets. */
static inline __attribute__((always_inline)) void publish_fast(struct shv_tc *tc, const struct reserved *r, const struct shv_type *t, unsigned kind,
							       unsigned policy, unsigned size_class, unsigned lead, const void *made)
{
	CRASH_POINT("create-written");
	store_relaxed(&r->slot->what, what_make(r->off, t->id, kind, policy));
	/* pairs: P-publish. Nobody else changes a HELD slot of a living process, so a store does. */
	store_release(&r->slot->word, (r->word & ~UINT64_C(0xffffffff)) | tc->live | slot_word(0, 0, size_class, lead, 0));
	CRASH_POINT("create-published");
	store_relaxed(&tc->thread->created, tc->thread->created + 1);
	PROBE4(create, made, t->id, class_size(size_class), policy);
}

/* Zero, or what init says; most types have 8 or 4 bytes. */
static inline void write_payload(uint64_t *to, const void *init, size_t size)
{
	uint64_t x8;
	uint32_t x4;

	if (likely(size == 8)) {
		x8 = 0;
		if (init)
			memcpy(&x8, init, 8);
		*to = x8;
	} else if (likely(size == 4)) {
		x4 = 0;
		if (init)
			memcpy(&x4, init, 4);
		*to = 0;
		memcpy(to, &x4, 4);
	} else {
		*to = 0;
		if (init)
			memcpy(to, init, size);
		else if (size > 8)
			memset(to, 0, size);
	}
}

/*
 * One item of a basic type of ordinary alignment, with an own built-in lock or none, from a magazine that has such an object. No
 * locked instruction; the only shared lines it writes are those of slot, block and its own thread entry. NULL: the long way.
 */
static inline __attribute__((always_inline)) void *make_fast(const struct shv_arena *a, const struct shv_type *t, const void *init,
							     unsigned kind, unsigned policy)
{
	const bool locked = policy_owns_word(policy);
	const unsigned lead = locked ? 8 : 0;
	struct shv_tc *tc = shv_tls_tc;
	struct shv_mag *mag;
	struct reserved r;
	uint64_t *header;
	uint32_t n;
	char *made;
	unsigned c;

	if (unlikely(!t || !t->id || t->align > 8 || !a || ((uintptr_t)a & 7) || load_relaxed(&a->magic) != ARENA_MAGIC || a->m != tc->m || !tc->size))
		return NULL;
	c = (unsigned)(lead + SHV_HEADER_SIZE + (t->size < 8 ? 8 : t->size) + 15) >> 4; /* basic types are small: steps of 16 */
	mag = &tc->mags[c * 2 + locked];
	n = mag->n;
	if (unlikely(!n))
		return NULL;
	mag_take(tc, mag, n, &r);
	header = (uint64_t *)(void *)(tc->base + r.off + lead);
	if (locked)
		store_relaxed(header - 1, first_word(r.index, r.word));
	store_relaxed(header, hdr_make(r.index, kind, policy, lead));
	write_payload(header + 1, init, t->size);
	made = a->base + r.off + lead + SHV_HEADER_SIZE;
	publish_fast(tc, &r, t, kind, policy, c, lead, made);
	return made;
}

void free_with_care(struct shv_tc *tc, struct shv_slot_shm *slot, uint32_t index, uint64_t *header, uint64_t what, bool waiters) HIDDEN;

/* ---- the shortest way: basic types of up to 8 bytes --------------------------------------------------------------- */

/*
 * Such an object has one of two blocks, 16 bytes without and 32 with a lock of its own, and all of its header but the slot is
 * a constant of kind and policy; so few words are compared as wholes. tests/perf/instructions.txt has what it takes.
 */
#define SMALL_LOCKED(policy) policy_owns_word(policy)
#define SMALL_LEAD(policy) (SMALL_LOCKED(policy) ? 8u : 0u)
#define SMALL_CLASS(policy) (SMALL_LOCKED(policy) ? 2u : 1u)
#define SMALL_MAG(policy) (SMALL_CLASS(policy) * 2u + SMALL_LOCKED(policy))
#define ARRAY_FAST_MOST 900u /* with what is in front, in a class that has magazines */
#define HEADER_REST(kind, policy, lead) ((uint32_t)(hdr_make(0, (kind), (policy), (lead)) >> 32))

static_assert(SHV_HEADER_SIZE + 8 == 16, "what the shortest way counts on");

static inline __attribute__((always_inline)) void *make_small(const struct shv_arena *a, const struct shv_type *t, const void *init,
							      unsigned kind, unsigned policy)
{
	struct shv_tc *tc = shv_tls_tc;
	struct shv_mag *mag = &tc->mags[SMALL_MAG(policy)];
	uint32_t n = mag->n;
	struct reserved r;
	uint64_t *header;

	if (unlikely(!t || !a) || unlikely(load_relaxed(&tc->handle) != a) || unlikely(!n) || unlikely(!t->small))
		return NULL;
	mag_take(tc, mag, n, &r);
	header = (uint64_t *)(void *)(tc->base + r.off + SMALL_LEAD(policy));
	if (SMALL_LOCKED(policy))
		store_relaxed(header - 1, first_word(r.index, r.word));
	store_relaxed(header, hdr_make(r.index, kind, policy, SMALL_LEAD(policy)));
	write_payload(header + 1, init, t->small);
	publish_fast(tc, &r, t, kind, policy, SMALL_CLASS(policy), SMALL_LEAD(policy), header + 1);
	return header + 1;
}

/* The same on another process's page: LIVE becomes GONE(me), and the slot is pushed on the owner's list. False: nothing was done. */
bool free_small_foreign(struct shv_tc *tc, struct shv_slot_shm *slot, uint32_t index, uint64_t *header, uint64_t word, uint64_t what) HIDDEN;

/*
 * The free lock word is taken for good, the slot is ours then: a store will do. next: state and process that the slot gets. False: not
 * free, or the object is gone.
 */
static inline __attribute__((always_inline)) bool small_take_for_good(struct shv_tc *tc, uint64_t *lock, struct shv_slot_shm *slot, uint64_t word,
								      uint64_t next)
{
	uint64_t w = load_acquire(lock);

	if (unlikely(w & ~LOCK_SEQ_MASK) || unlikely(load_acquire(&slot->word) != word))
		return false;
	store_relaxed(&tc->thread->held, tc->thread->held + 1);
	fence_compiler();
	if (unlikely(!cas64(lock, &w, w | LOCK_FREEING | tc->me))) {
		store_relaxed(&tc->thread->held, tc->thread->held - 1);
		return false;
	}
	fence_after_rmw(); /* pairs: P-named; a publisher marks the header and then waits for those who hold the lock like this */
	CRASH_POINT("free-locked");
	if (unlikely(load_relaxed(lock + 1) & (SHV_HDR_NAMED | SHV_HDR_WATCHED))) {
		w = exchange_acq_rel(lock, (w & LOCK_SEQ_MASK) + LOCK_SEQ_ONE);
		if (w & LOCK_WAITERS)
			lock_wake(lock, 1);
		store_relaxed(&tc->thread->held, tc->thread->held - 1);
		return false;
	}
	/* Nobody changes the slot of a LIVE object whose own lock another holds. */
	store_release(&slot->word, (word & ~UINT64_C(0xffffffff)) + (next | UINT64_C(1) << SHV_SLOT_GEN_SHIFT) +
					   slot_word(0, 0, SMALL_CLASS(SHV_POL_RECURSIVE), SMALL_LEAD(SHV_POL_RECURSIVE), 0));
	CRASH_POINT("free-held");
	return true;
}

static inline __attribute__((always_inline)) bool free_small(void *p, unsigned kind, unsigned policy)
{
	struct shv_tc *tc = shv_tls_tc;
	const uint32_t shape = (uint32_t)slot_word(SHV_SLOT_LIVE, 0, SMALL_CLASS(policy), SMALL_LEAD(policy), 0);
	struct shv_mag *mag = &tc->mags[SMALL_MAG(policy)];
	uint64_t off, block, h, word, what, lw;
	struct shv_slot_shm *slot;
	uint32_t i, n;

	if (unlikely(!header_in_reach(tc, p, &off, &h)) || unlikely((uint32_t)(h >> 32) != HEADER_REST(kind, policy, SMALL_LEAD(policy))))
		return false;
	i = hdr_slot(h);
	slot = tc_slot(tc, i);
	word = load_acquire(&slot->word); /* pairs: P-publish */
	what = load_relaxed(&slot->what);
	block = off - SHV_HEADER_SIZE - SMALL_LEAD(policy);
	n = mag->n;
	if (unlikely(((uint32_t)word & ~(uint32_t)(SHV_SLOT_PROC_MASK << SHV_SLOT_PROC_SHIFT)) != shape) ||
	    unlikely((what & ~(SHV_WHAT_TYPE_MASK << SHV_WHAT_TYPE_SHIFT)) != (what_make(0, 0, kind, policy) | block >> 4)) || unlikely(block & 15) ||
	    unlikely(slot_gen(word) >= SHV_SLOT_GEN_MAX - 1)) /* a used-up slot is for the long way */
		return false;
	if (unlikely(load_acquire(&tc->page_map[(block - tc->data_off) >> SHV_PAGE_SHIFT]) != tc->own))
		return free_small_foreign(tc, slot, i, (uint64_t *)p - 1, word, what);
	if (unlikely(n == mag->cap))
		return false;
	if (SMALL_LOCKED(policy)) {
		uint64_t *lock = (uint64_t *)p - 2;
		if (unlikely(!small_take_for_good(tc, lock, slot, word, tc->held)))
			return false;
		lw = load_relaxed(lock);
		/* Whoever announces itself between these two lines sleeps one poll too long, and then finds the object gone. */
		if (unlikely(lw & LOCK_WAITERS)) {
			fence_compiler();
			store_relaxed(&tc->thread->held, tc->thread->held - 1);
			store_relaxed(&tc->thread->freed, tc->thread->freed + 1);
			PROBE2(free, p, i);
			free_with_care(tc, slot, i, (uint64_t *)p - 1, what, true);
			return true;
		}
		store_release(lock, ((lw & LOCK_SEQ_MASK) + LOCK_SEQ_ONE) | LOCK_OWNER_GONE);
		fence_compiler();
		store_relaxed(&tc->thread->held, tc->thread->held - 1);
	} else {
		CRASH_POINT("free-locked");
		if (unlikely(!cas64(&slot->word, &word, (word & ~UINT64_C(0xffffffff)) + (tc->held | UINT64_C(1) << SHV_SLOT_GEN_SHIFT) +
								slot_word(0, 0, SMALL_CLASS(policy), SMALL_LEAD(policy), 0))))
			return false;
		fence_after_rmw();
		CRASH_POINT("free-held");
		if (unlikely(load_relaxed((uint64_t *)p - 1) & (SHV_HDR_NAMED | SHV_HDR_WATCHED))) { /* pairs: P-named */
			store_relaxed(&tc->thread->freed, tc->thread->freed + 1);
			PROBE2(free, p, i);
			free_with_care(tc, slot, i, (uint64_t *)p - 1, what, false);
			return true;
		}
	}
	store_relaxed(&tc->thread->freed, tc->thread->freed + 1);
	PROBE2(free, p, i);
	store_relaxed(&slot->what, block >> 4);
	mag->slots[n] = i;
	mag->n = n + 1;
	return true;
}

/*
 * An array of up to some hundred bytes, of items of 1, 2, 4 or 8 bytes, without a lock or with a recursive one, from a
 * magazine. As make_fast().
 */
static inline __attribute__((always_inline)) void *make_array_fast(const struct shv_arena *a, const struct shv_type *t, size_t items, const void *init,
								   unsigned kind, unsigned policy)
{
	const unsigned lead = SMALL_LEAD(policy) + 8;
	struct shv_tc *tc = shv_tls_tc;
	struct shv_mag *mag;
	struct reserved r;
	uint64_t *header;
	size_t bytes;
	unsigned c;
	uint32_t n;

	if (unlikely(!t) || unlikely(!a) || unlikely(load_relaxed(&tc->handle) != a) || unlikely(!t->small) || unlikely(items > ARRAY_FAST_MOST))
		return NULL;
	bytes = items * t->small;
	if (unlikely(bytes > ARRAY_FAST_MOST))
		return NULL;
	c = class_of(lead + SHV_HEADER_SIZE + (bytes < 8 ? 8 : bytes));
	mag = &tc->mags[c * 2 + SMALL_LOCKED(policy)];
	n = mag->n;
	if (unlikely(!n))
		return NULL;
	mag_take(tc, mag, n, &r);
	header = (uint64_t *)(void *)(tc->base + r.off + lead);
	store_relaxed((uint64_t *)(void *)(tc->base + r.off), items);
	if (SMALL_LOCKED(policy))
		store_relaxed(header - 1, first_word(r.index, r.word));
	store_relaxed(header, hdr_make(r.index, kind, policy, lead));
	if (bytes <= 8)
		header[1] = 0;
	if (init)
		memcpy(header + 1, init, bytes);
	else
		memset(header + 1, 0, bytes);
	publish_fast(tc, &r, t, kind, policy, c, lead, header + 1);
	return header + 1;
}

/* A small value with a recursive lock, found: what using it takes. */
struct small {
	struct shv_tc *tc;
	uint64_t *lock;
	struct shv_slot_shm *slot;
	uint64_t word, lock_word; /* slot and lock as they were, in that order of looking: first the lock */
	const struct shv_type *type;
};

static inline __attribute__((always_inline)) bool small_find(void *p, struct small *s)
{
	struct shv_tc *tc = shv_tls_tc;
	const unsigned lead = SMALL_LEAD(SHV_POL_RECURSIVE);
	uint64_t off, h, what;

	if (unlikely(!header_in_reach(tc, p, &off, &h)) ||
	    unlikely(((uint32_t)(h >> 32) & ~(uint32_t)((SHV_HDR_NAMED | SHV_HDR_WATCHED) >> 32)) != HEADER_REST(SHV_KIND_VALUE, SHV_POL_RECURSIVE, lead)))
		return false;
	s->tc = tc;
	s->lock = (uint64_t *)p - 2;
	s->lock_word = load_acquire(s->lock);
	s->slot = tc_slot(tc, hdr_slot(h));
	s->word = load_acquire(&s->slot->word); /* pairs: P-publish */
	what = load_relaxed(&s->slot->what);
	s->type = type_basics[what_type(what) & 31];
	return likely((s->word & (SHV_SLOT_STATE_MASK | SHV_SLOT_LEAD_MASK << SHV_SLOT_LEAD_SHIFT)) == slot_word(SHV_SLOT_LIVE, 0, 0, lead, 0)) &&
	       likely((what & ~((SHV_WHAT_TYPE_MASK & 31) << SHV_WHAT_TYPE_SHIFT)) ==
		      (what_make(0, 0, SHV_KIND_VALUE, SHV_POL_RECURSIVE) | (off - SHV_HEADER_SIZE - lead) >> 4)) &&
	       likely(!((off - SHV_HEADER_SIZE - lead) & 15)) && likely(s->type != NULL) && likely(s->type->small);
}

/* A small value without a lock: its type, or NULL. */
static inline __attribute__((always_inline)) const struct shv_type *small_unlocked(const void *p)
{
	struct shv_tc *tc = shv_tls_tc;
	const struct shv_slot_shm *slot;
	const struct shv_type *t;
	uint64_t off, h, what;
	unsigned kind, policy;

	if (unlikely(!header_in_reach(tc, p, &off, &h)))
		return NULL;
	kind = hdr_kind(h);
	policy = hdr_policy(h);
	if (unlikely((kind != SHV_KIND_VALUE || policy != SHV_POL_NONE) && (kind != SHV_KIND_RAW || policy != SHV_POL_RAW)))
		return NULL;
	slot = tc_slot(tc, hdr_slot(h));
	what = load_acquire(&slot->word) & (SHV_SLOT_STATE_MASK | SHV_SLOT_LEAD_MASK << SHV_SLOT_LEAD_SHIFT); /* pairs: P-publish */
	if (unlikely(what != SHV_SLOT_LIVE))
		return NULL;
	what = load_relaxed(&slot->what);
	t = type_basics[what_type(what) & 31];
	return likely((what & ~((SHV_WHAT_TYPE_MASK & 31) << SHV_WHAT_TYPE_SHIFT)) == (what_make(0, 0, kind, policy) | (off - SHV_HEADER_SIZE) >> 4)) &&
			       likely(!((off - SHV_HEADER_SIZE) & 15)) && t && t->small ?
		       t :
		       NULL;
}

/* Its lock, if nobody has it. As own_lock_take(). */
static inline __attribute__((always_inline)) bool small_take(struct small *s)
{
	if (unlikely(s->lock_word & ~LOCK_SEQ_MASK))
		return false;
	store_relaxed(&s->tc->thread->held, s->tc->thread->held + 1);
	fence_compiler();
	CRASH_POINT("lock-noted");
	if (likely(cas64(s->lock, &s->lock_word, s->lock_word | s->tc->me))) {
		fence_release(); /* pairs: P-peek */
		CRASH_POINT("lock-taken");
		return true;
	}
	store_relaxed(&s->tc->thread->held, s->tc->thread->held - 1);
	return false;
}

void small_give_with_care(struct small *s, bool given) HIDDEN;

static inline __attribute__((always_inline)) void small_give(struct small *s)
{
	bool given = lock_release_biased(s->lock, s->tc->me);

	CRASH_POINT("lock-given");
	fence_compiler();
	if (likely(given))
		store_relaxed(&s->tc->thread->held, s->tc->thread->held - 1);
	if (unlikely(!given) || unlikely(load_relaxed(s->lock + 1) & SHV_HDR_WATCHED)) /* pairs: P-watch */
		small_give_with_care(s, given);
}

/*
 * Own page, an own built-in lock that is free, or none, no name. LIVE becomes HELD(me) at once: what a death leaves is an object
 * in a magazine of the dead, which is free. False: nothing was done, go the long way.
 */
static inline __attribute__((always_inline)) bool free_fast(void *p, unsigned kinds)
{
	struct shv_tc *tc = shv_tls_tc;
	unsigned policy, c, locked;
	bool waiters = false;
	struct shv_object o;
	struct shv_mag *mag;
	uint64_t w, lw;
	uint32_t n;

	if (unlikely(!object_find_fast(p, &o) || !(kinds >> what_kind(o.what) & 1)))
		return false;
	policy = what_policy(o.what);
	c = slot_class(o.word);
	locked = policy_owns_word(policy);
	if (unlikely((!locked && policy != SHV_POL_RAW && policy != SHV_POL_NONE) || c >= SHV_MAG_CLASSES ||
		     (load_relaxed(o.header) & (SHV_HDR_NAMED | SHV_HDR_WATCHED)) ||
		     load_acquire(&tc->page_map[(what_offset(o.what) - tc->data_off) >> SHV_PAGE_SHIFT]) != tc->own))
		return false;
	mag = &tc->mags[c * 2 + locked];
	n = mag->n;
	if (unlikely(n == mag->cap || tc->in_hook || slot_gen(o.word) >= SHV_SLOT_GEN_MAX - 1)) /* a used-up slot is for the long way */
		return false;
	if (locked) {
		store_relaxed(&tc->thread->held, tc->thread->held + 1);
		fence_compiler();
		if (unlikely(!lock_acquire_alive(o.header - 1, tc->me, &o.slot->word, o.word))) {
			store_relaxed(&tc->thread->held, tc->thread->held - 1);
			return false;
		}
	}
	CRASH_POINT("free-locked");
	w = o.word;
	if (unlikely(!cas64(&o.slot->word, &w, slot_with(w, SHV_SLOT_HELD, tc->proc) + (UINT64_C(1) << SHV_SLOT_GEN_SHIFT)))) {
		if (locked) {
			(void)lock_release(o.header - 1, tc->me, LOCK_PLAIN);
			store_relaxed(&tc->thread->held, tc->thread->held - 1);
		}
		return false;
	}
	fence_after_rmw();
	CRASH_POINT("free-held");
	if (locked) {
		lw = load_relaxed(o.header - 1);
		/* Whoever announces itself between these two lines sleeps one poll too long, and then finds the object gone. */
		waiters = lw & LOCK_WAITERS;
		if (likely(!waiters))
			store_release(o.header - 1, ((lw & LOCK_SEQ_MASK) + LOCK_SEQ_ONE) | LOCK_OWNER_GONE);
		fence_compiler();
		store_relaxed(&tc->thread->held, tc->thread->held - 1);
	}
	store_relaxed(&tc->thread->freed, tc->thread->freed + 1);
	PROBE2(free, p, o.index);
	if (unlikely(waiters || (load_relaxed(o.header) & SHV_HDR_NAMED))) { /* pairs: P-named */
		free_with_care(tc, o.slot, o.index, o.header, o.what, waiters);
		return true;
	}
	store_relaxed(&o.slot->what, o.what & SHV_WHAT_OFF_MASK);
	mag->slots[n] = o.index;
	mag->n = n + 1;
	return true;
}

#endif /* SHV_VALUES_FAST_H */
