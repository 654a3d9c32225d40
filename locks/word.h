/* SPDX-License-Identifier: MIT */
/*
 * The 8-byte lock word and its transitions. Knows nothing of arenas: who a thread is, whether the owner lives, and how a
 * dead owner is remembered come through struct shv_lock_host.
 *
 *   low 32 bits, the futex: owner 20 | recursion 10 | waiters 1 | died 1      high 32 bits: sequence
 *
 * recursion: how often more than once it was taken; all ones: the object is being freed.
 * owner: thread index + 1; 0 = free; OWNER_GONE = the object is freed. With `died` the word is free and the owner
 * field is the number of the dead holder's grave. Every change is one atomic on all 64 bits; only FUTEX_WAIT and WAKE take
 * the low half. The sequence advances at each release, so that readers without the lock see that a writer was there.
 */
#ifndef SHV_LOCKS_WORD_H
#define SHV_LOCKS_WORD_H

#include "base/atomic.h"
#include "base/probe.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define LOCK_OWNER_MASK UINT64_C(0xfffff)
#define LOCK_OWNER_GONE UINT32_C(0xfffff)
#define LOCK_OWNER_LIMIT UINT32_C(0xffff0) /* thread indices stay below */
#define LOCK_DEPTH_SHIFT 20
#define LOCK_DEPTH_ONE (UINT64_C(1) << LOCK_DEPTH_SHIFT)
#define LOCK_DEPTH_MASK (UINT64_C(0x3ff) << LOCK_DEPTH_SHIFT)
#define LOCK_FREEING LOCK_DEPTH_MASK /* a depth that is never reached: the holder is about to free the object, and waits for nobody */
#define LOCK_WAITERS (UINT64_C(1) << 30)
#define LOCK_DIED (UINT64_C(1) << 31)
#define LOCK_SEQ_ONE (UINT64_C(1) << 32)
#define LOCK_SEQ_MASK (UINT64_C(0xffffffff) << 32)

static inline uint32_t lock_owner(uint64_t w)
{
	return (uint32_t)(w & LOCK_OWNER_MASK);
}
static inline uint32_t lock_depth(uint64_t w) /* additional acquisitions of a recursive lock */
{
	return (uint32_t)((w & LOCK_DEPTH_MASK) >> LOCK_DEPTH_SHIFT);
}
/* How often its holder has taken it. Who is freeing the object has taken it once. */
static inline uint32_t lock_times(uint64_t w)
{
	return (w & LOCK_DEPTH_MASK) == LOCK_FREEING ? 1 : lock_depth(w) + 1;
}
/* Taken by a thread: neither free, nor free after a death, nor gone. */
static inline bool lock_is_held(uint64_t w)
{
	return lock_owner(w) != 0 && !(w & LOCK_DIED) && lock_owner(w) != LOCK_OWNER_GONE;
}
static inline bool lock_is_gone(uint64_t w)
{
	return lock_owner(w) == LOCK_OWNER_GONE && !(w & LOCK_DIED);
}

enum lock_flavour { LOCK_RECURSIVE = 1, LOCK_PLAIN = 2, LOCK_HANDOFF = 3 };

/* What the lock code asks of its surroundings. ctx is passed through. */
struct shv_lock_host {
	/* Is this owner's thread gone for good? May make a system call. */
	bool (*dead)(void *ctx, uint32_t owner);
	/* A number (20 bits, not OWNER_GONE) under which the dead owner can be looked up later. */
	uint32_t (*bury)(void *ctx, uint32_t owner);
	/* Is the object that the lock belongs to still there? Asked between each look at the word and its change. */
	bool (*valid)(void *ctx);
	/* Whoever releases by lock_release_unwatched() is to see that somebody waits. NULL: nobody does on these locks. */
	void (*queue)(void *ctx);
	/* Told who died, when SHV_RECOVERED is about to be returned: an owner (buried == false) or a grave. */
	void (*inherit)(void *ctx, uint32_t owner, bool buried);
};

/*
 * Take the lock. me: this thread's owner value. try_only: never wait. deadline: CLOCK_MONOTONIC, NULL = for ever.
 * 0, 1 (recovered), -EBUSY, -ETIMEDOUT, -EDEADLK, -EAGAIN, -ESTALE.
 */
int lock_acquire_slow(uint64_t *word, uint32_t me, enum lock_flavour flavour, bool try_only, const struct timespec *deadline,
		      const struct shv_lock_host *host, void *ctx);

/* The common case: free, nobody waits, nobody died. */
static inline bool lock_acquire_fast(uint64_t *word, uint32_t me)
{
	uint64_t w = load_relaxed(word);

	if (unlikely(w & ~LOCK_SEQ_MASK))
		return false;
	if (unlikely(!cas64(word, &w, w | me)))
		return false;
	fence_release(); /* pairs: P-peek; payload stores stay behind the owner word */
	return true;
}

/*
 * The same for a lock whose object may be freed meanwhile, and its memory be used again: only while *life is `alive`. The word is
 * looked at first; if the object lived after that, what was seen is a word of this object, and no other word at this place is
 * equal to it, nor is, but by chance of one in 2^64, the content of something else.
 */
static inline bool lock_acquire_alive(uint64_t *word, uint32_t me, const uint64_t *life, uint64_t alive)
{
	uint64_t w = load_acquire(word);

	if (unlikely(w & ~LOCK_SEQ_MASK) || unlikely(load_acquire(life) != alive))
		return false;
	if (unlikely(!cas64(word, &w, w | me)))
		return false;
	fence_release(); /* pairs: P-peek; payload stores stay behind the owner word */
	return true;
}

/* Wake n sleepers on the word. */
void lock_wake(uint64_t *word, int n);

/* Nanoseconds up to a time of CLOCK_MONOTONIC; negative if that is over. */
int64_t lock_time_left(const struct timespec *deadline);

/*
 * Whether a holder whom nobody waits for may release by a plain store, which costs a third of a locked instruction. Waiters then
 * set their bit, make all running threads of all members pass a barrier (membarrier), and look again before they sleep. A holder that
 * is interrupted just between its look at the bit and its store loses it: then the waiter sleeps for FIRST_NAP too long.
 * Set by the process once it takes part in those barriers.
 */
extern bool shv_lock_biased __attribute__((visibility("hidden")));

/* The outermost release of a lock that is not handed to others. True: done; else somebody waits, or it is not so simple. */
static inline bool lock_release_biased(uint64_t *word, uint32_t me)
{
	uint64_t w = load_relaxed(word);

	if (unlikely((uint32_t)w != me) || unlikely(!shv_lock_biased))
		return false;
	store_release(word, (w & LOCK_SEQ_MASK) + LOCK_SEQ_ONE); /* pairs: P-lock; pairs: P-waiters */
	return true;
}

/*
 * The same without a look at the word, which on common processors cannot be read before the compare-and-swap that took it has
 * gone all the way to memory: a third of the time of a short critical section. seq: the word as it was when it was taken, free. The
 * caller has seen elsewhere, after its last store under the lock, that host->queue() was not called.
 */
static inline void lock_release_unwatched(uint64_t *word, uint64_t seq)
{
	store_release(word, seq + LOCK_SEQ_ONE); /* pairs: P-lock; pairs: P-waiters */
}

/* The outermost release, to whoever may be waiting. True: the word said that somebody does, and one was woken. */
static inline bool lock_release_waited(uint64_t *word)
{
	uint64_t w = exchange_acq_rel(word, (load_relaxed(word) & LOCK_SEQ_MASK) + LOCK_SEQ_ONE); /* pairs: P-lock */

	if (unlikely(w & LOCK_WAITERS))
		lock_wake(word, 1);
	return w & LOCK_WAITERS;
}

/*
 * Release. The outermost release advances the sequence. Waiters may set their bit at any time, so the old word is taken from
 * the atomic itself. 0; 1 if this thread still holds it (recursion); -EPERM; -ESTALE.
 */
static inline int lock_release(uint64_t *word, uint32_t me, enum lock_flavour flavour)
{
	uint64_t w;

	if (flavour != LOCK_HANDOFF && lock_release_biased(word, me))
		return 0;
	w = load_relaxed(word);
	if (unlikely(((uint32_t)w & ~(uint32_t)LOCK_WAITERS) != me)) {
		if (lock_is_gone(w))
			return -ESTALE;
		if (!lock_is_held(w) || (lock_owner(w) != me && flavour != LOCK_HANDOFF))
			return -EPERM;
		if ((w & LOCK_DEPTH_MASK) == LOCK_FREEING)
			return -EPERM; /* not a holder: a handoff lock is about to go */
		if (w & LOCK_DEPTH_MASK) {
			__atomic_fetch_sub(word, LOCK_DEPTH_ONE, __ATOMIC_RELEASE);
			return 1;
		}
		/* Somebody else's handoff lock: the exact word, lest a later tenure be ended. */
		while (!cas64(word, &w, (w & LOCK_SEQ_MASK) + LOCK_SEQ_ONE))
			if (!lock_is_held(w))
				return -EPERM;
		if (lock_owner(w) != me)
			PROBE3(lock_handoff, word, lock_owner(w), me);
	} else {
		(void)lock_release_waited(word);
		return 0;
	}
	if (unlikely(w & LOCK_WAITERS))
		lock_wake(word, 1);
	return 0;
}

/*
 * A lock whose owner is known to be dead becomes free with the died bit, if the word is still `seen`. The sequence
 * advances, so that a waiter stopped with an older word in hand cannot take it for this one.
 */
bool lock_bury(uint64_t *word, uint64_t seen, uint32_t grave);

#endif /* SHV_LOCKS_WORD_H */
