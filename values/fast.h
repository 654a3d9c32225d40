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

/* The payload of up to 8 bytes as one word, what init does not say being zero. size: 1, 2, 4 or 8. */
static inline __attribute__((always_inline)) uint64_t small_payload(const void *init, size_t size)
{
	uint64_t x = 0;
	uint32_t x4;

	if (!init)
		return 0;
	if (likely(size == 8)) {
		memcpy(&x, init, 8);
	} else if (size == 4) {
		memcpy(&x4, init, 4);
		x = x4;
	} else if (size == 2) {
		uint16_t x2;
		memcpy(&x2, init, 2);
		x = x2;
	} else {
		x = *(const uint8_t *)init;
	}
	return x;
}

/* The same for basic types of any size. */
static inline void write_payload(uint64_t *to, const void *init, size_t size)
{
	if (likely(size <= 8))
		*to = small_payload(init, size);
	else if (init)
		memcpy(to, init, size);
	else
		memset(to, 0, size);
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

/* As header_in_reach(), for a pointer to such an object: where its block would begin on a multiple of 16. */
static inline __attribute__((always_inline)) bool small_in_reach(const struct shv_tc *tc, const void *p, unsigned policy, uint64_t *off, uint64_t *h)
{
	*off = (uint64_t)((uintptr_t)p - tc->base);
	if (unlikely(*off - tc->low >= tc->span) || unlikely((*off & 15) != ((SMALL_LEAD(policy) + SHV_HEADER_SIZE) & 15)))
		return false;
	*h = load_relaxed((const uint64_t *)p - 1);
	return likely(hdr_slot(*h) / SHV_SLOTS_PER_CHUNK < tc->chunks_limit);
}

/* The generation of a slot, by a load of the word's high half. */
static inline uint32_t slot_gen_now(const struct shv_slot_shm *slot)
{
	return load_relaxed((const uint32_t *)(const void *)&slot->word + 1);
}

#define HEADER_NAMED ((uint32_t)(SHV_HDR_NAMED >> 32))
#define HEADER_WATCHED ((uint32_t)(SHV_HDR_WATCHED >> 32))
#define HEADER_QUEUED ((uint32_t)(SHV_HDR_QUEUED >> 32))
#define HEADER_FLAGS ((uint32_t)(SHV_HDR_FLAGS >> 32))

/* The flags of a header, which are in its high half: the format is little-endian. */
static inline uint32_t header_flags(const uint64_t *header)
{
	return load_relaxed((const uint32_t *)(const void *)header + 1) & HEADER_FLAGS;
}

static inline __attribute__((always_inline)) void *make_small(const struct shv_arena *a, const struct shv_type *t, const void *init,
							      unsigned kind, unsigned policy)
{
	struct shv_tc *tc = shv_tls_tc;
	struct shv_mag *mag = &tc->mags[SMALL_MAG(policy)];
	uint32_t n = mag->n;
	struct reserved r;
	uint64_t *header, x;
	unsigned small;

	if (unlikely(!t || !a) || unlikely(load_relaxed(&tc->handle) != a) || unlikely(!n))
		return NULL;
	small = t->small;
	if (unlikely(!small))
		return NULL;
	x = small_payload(init, small);
	mag_take(tc, mag, n, &r);
	header = (uint64_t *)(void *)(tc->base + r.off + SMALL_LEAD(policy));
	if (SMALL_LOCKED(policy))
		store_relaxed(header - 1, first_word(r.index, r.word));
	store_relaxed(header, hdr_make(r.index, kind, policy, SMALL_LEAD(policy)));
	header[1] = x;
	publish_fast(tc, &r, t, kind, policy, SMALL_CLASS(policy), SMALL_LEAD(policy), header + 1);
	return header + 1;
}

/* What to add to the word of a LIVE slot that stays its process's: HELD, the next generation. */
#define LIVE_TO_HELD ((UINT64_C(1) << SHV_SLOT_GEN_SHIFT) + SHV_SLOT_HELD - SHV_SLOT_LIVE)

/*
 * The free lock word is taken for good, the slot is ours then: a store will do. next: state and process that the slot gets. False: not
 * free, or the object is gone. *seq: the lock's, in the high half; see lock_release_known().
 */
static inline __attribute__((always_inline)) bool small_take_for_good(struct shv_tc *tc, uint64_t *lock, struct shv_slot_shm *slot, uint64_t word,
								      uint64_t next, uint64_t *seq)
{
	uint64_t w = load_acquire(lock);

	*seq = w;
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
	if (unlikely(header_flags(lock + 1))) {
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

/* What free_small() does not know: an object of another process, or none at all. */
bool free_raw_foreign(struct shv_tc *tc, void *p, uint32_t index, struct shv_slot_shm *slot, uint64_t word, uint64_t what) HIDDEN;
bool free_locked_foreign(struct shv_tc *tc, void *p, uint32_t index, struct shv_slot_shm *slot, uint64_t word, uint64_t what) HIDDEN;

static inline __attribute__((always_inline)) bool free_small(void *p, unsigned kind, unsigned policy)
{
	struct shv_tc *tc = shv_tls_tc;
	struct shv_mag *mag = &tc->mags[SMALL_MAG(policy)];
	uint64_t off, block, h, word, what, seq; /* block: its offset, in units of 16 */
	struct shv_slot_shm *slot;
	uint32_t i, n;

	if (unlikely(!small_in_reach(tc, p, policy, &off, &h)) || unlikely((uint32_t)(h >> 32) != HEADER_REST(kind, policy, SMALL_LEAD(policy))))
		return false;
	i = hdr_slot(h);
	slot = tc_slot(tc, i);
	word = load_acquire(&slot->word); /* pairs: P-publish */
	what = load_relaxed(&slot->what);
	block = (off >> 4) - SMALL_LEAD(policy) / 8;
	if (unlikely(((what ^ block) & ~(SHV_WHAT_TYPE_MASK << SHV_WHAT_TYPE_SHIFT)) != what_make(0, 0, kind, policy)))
		return false;
	/* Made by a process of this number, on a page that is this process's. A used-up slot is for the long way. */
	if (unlikely((uint32_t)word != (tc->live | (uint32_t)slot_word(0, 0, SMALL_CLASS(policy), SMALL_LEAD(policy), 0))) ||
	    unlikely(load_acquire(&tc->pages[block >> (SHV_PAGE_SHIFT - 4)]) != tc->own))
		return SMALL_LOCKED(policy) ? free_locked_foreign(tc, p, i, slot, word, what) : free_raw_foreign(tc, p, i, slot, word, what);
	n = mag->n;
	if (unlikely(slot_gen_now(slot) >= SHV_SLOT_GEN_MAX - 1) || unlikely(n == mag->cap))
		return false;
	if (SMALL_LOCKED(policy)) {
		uint64_t *lock = (uint64_t *)p - 2;
		if (unlikely(!small_take_for_good(tc, lock, slot, word, tc->held, &seq)))
			return false;
		/* Whoever announces itself since that look at the header sleeps one poll too long, and then finds the object gone. */
		store_release(lock, (seq + LOCK_SEQ_ONE) | LOCK_OWNER_GONE);
		fence_compiler();
		store_relaxed(&tc->thread->held, tc->thread->held - 1);
	} else {
		CRASH_POINT("free-locked");
		if (unlikely(!cas64(&slot->word, &word, word + LIVE_TO_HELD)))
			return false;
		fence_after_rmw();
		CRASH_POINT("free-held");
		if (unlikely(header_flags((uint64_t *)p - 1))) { /* pairs: P-named */
			store_relaxed(&tc->thread->freed, tc->thread->freed + 1);
			PROBE2(free, p, i);
			free_with_care(tc, slot, i, (uint64_t *)p - 1, what, false);
			return true;
		}
	}
	store_relaxed(&tc->thread->freed, tc->thread->freed + 1);
	PROBE2(free, p, i);
	store_relaxed(&slot->what, block);
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
	unsigned type;            /* its number, of TYPES_SMALL */
};

/* What is in front of p is the header of such a value, and in front of that its lock. */
static inline __attribute__((always_inline)) bool small_header(struct shv_tc *tc, void *p, uint64_t *off, uint64_t *h)
{
	return likely(small_in_reach(tc, p, SHV_POL_RECURSIVE, off, h)) &&
	       likely(((uint32_t)(*h >> 32) & ~HEADER_FLAGS) ==
		      HEADER_REST(SHV_KIND_VALUE, SHV_POL_RECURSIVE, SMALL_LEAD(SHV_POL_RECURSIVE)));
}

static inline __attribute__((always_inline)) bool small_find(void *p, struct small *s)
{
	struct shv_tc *tc = shv_tls_tc;
	const unsigned lead = SMALL_LEAD(SHV_POL_RECURSIVE);
	uint64_t off, h, what;

	if (unlikely(!small_header(tc, p, &off, &h)))
		return false;
	s->tc = tc;
	s->lock = (uint64_t *)p - 2;
	s->lock_word = load_acquire(s->lock);
	s->slot = tc_slot(tc, hdr_slot(h));
	s->word = load_acquire(&s->slot->word); /* pairs: P-publish */
	what = load_relaxed(&s->slot->what);
	s->type = what_type(what) & 31;
	return likely(((uint32_t)s->word & (uint32_t)(SHV_SLOT_STATE_MASK | SHV_SLOT_LEAD_MASK << SHV_SLOT_LEAD_SHIFT)) ==
		      (uint32_t)slot_word(SHV_SLOT_LIVE, 0, 0, lead, 0)) &&
	       likely(((what ^ ((off >> 4) - 1)) & ~((SHV_WHAT_TYPE_MASK & 31) << SHV_WHAT_TYPE_SHIFT)) ==
		      what_make(0, 0, SHV_KIND_VALUE, SHV_POL_RECURSIVE)) &&
	       likely(TYPE_IN(TYPES_SMALL, s->type));
}

/*
 * To give back the lock that this thread holds, once: nobody frees what somebody holds, so header and lock say enough, and the slot is not
 * asked. False: it does not, or it is another kind of object.
 */
static inline __attribute__((always_inline)) bool small_find_held(void *p, struct small *s)
{
	struct shv_tc *tc = shv_tls_tc;
	uint64_t off, h;

	if (unlikely(!small_header(tc, p, &off, &h)))
		return false;
	s->tc = tc;
	s->lock = (uint64_t *)p - 2;
	s->lock_word = load_relaxed(s->lock) - tc->me; /* as it was when it was free */
	return likely(!(uint32_t)s->lock_word);
}

/* A small value without a lock: its bytes, or 0. */
static inline __attribute__((always_inline)) unsigned small_unlocked(const void *p)
{
	struct shv_tc *tc = shv_tls_tc;
	const struct shv_slot_shm *slot;
	unsigned kind, policy, type;
	uint64_t off, h, what;

	if (unlikely(!small_in_reach(tc, p, SHV_POL_NONE, &off, &h)))
		return 0;
	kind = hdr_kind(h);
	policy = hdr_policy(h);
	if (unlikely((kind != SHV_KIND_VALUE || policy != SHV_POL_NONE) && (kind != SHV_KIND_RAW || policy != SHV_POL_RAW)))
		return 0;
	slot = tc_slot(tc, hdr_slot(h));
	what = load_acquire(&slot->word) & (SHV_SLOT_STATE_MASK | SHV_SLOT_LEAD_MASK << SHV_SLOT_LEAD_SHIFT); /* pairs: P-publish */
	if (unlikely(what != SHV_SLOT_LIVE))
		return 0;
	what = load_relaxed(&slot->what);
	type = what_type(what) & 31;
	return likely(((what ^ off >> 4) & ~((SHV_WHAT_TYPE_MASK & 31) << SHV_WHAT_TYPE_SHIFT)) == what_make(0, 0, kind, policy)) &&
			       likely(TYPE_IN(TYPES_SMALL, type)) ?
		       type_small_size(type) :
		       0;
}

/* Its lock, if nobody has it. As own_lock_take(). */
static inline __attribute__((always_inline)) bool small_take(const struct small *s)
{
	uint64_t w;

	if (unlikely(s->lock_word & ~LOCK_SEQ_MASK))
		return false;
	store_relaxed(&s->tc->thread->held, s->tc->thread->held + 1);
	fence_compiler();
	CRASH_POINT("lock-noted");
	w = s->lock_word;
	if (likely(cas64(s->lock, &w, w | s->tc->me))) {
		fence_release(); /* pairs: P-peek */
		CRASH_POINT("lock-taken");
		return true;
	}
	store_relaxed(&s->tc->thread->held, s->tc->thread->held - 1);
	return false;
}

/* The lock is this thread's, and its outermost tenure. */
void small_give_with_care(struct shv_tc *tc, uint64_t *lock) HIDDEN;
void small_wake_watchers(uint64_t *lock) HIDDEN;

static inline __attribute__((always_inline)) void small_give(const struct small *s)
{
	fence_compiler();
	if (unlikely(header_flags(s->lock + 1) & HEADER_QUEUED) || unlikely(!shv_lock_biased)) { /* pairs: P-waiters */
		small_give_with_care(s->tc, s->lock);
		return;
	}
	lock_release_unwatched(s->lock, s->lock_word);
	CRASH_POINT("lock-given");
	fence_compiler();
	store_relaxed(&s->tc->thread->held, s->tc->thread->held - 1);
	if (unlikely(header_flags(s->lock + 1) & HEADER_WATCHED)) /* pairs: P-watch */
		small_wake_watchers(s->lock);
}

/* shv_acquire() and shv_release(), the beginning and the end of shv_with(): what the second need not look up. */
static inline __attribute__((always_inline)) void small_note(const struct small *s, const void *v)
{
	s->tc->taken = v;
	s->tc->taken_word = s->lock_word;
}
static inline __attribute__((always_inline)) bool small_find_noted(void *v, struct small *s)
{
	struct shv_tc *tc = shv_tls_tc;

	if (unlikely(tc->taken != v) || unlikely(!v))
		return false;
	s->tc = tc;
	s->lock = (uint64_t *)v - 2;
	s->lock_word = tc->taken_word;
	tc->taken = NULL;
	return true;
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
		     tc_page(tc, what_offset(o.what)) != tc->own))
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
