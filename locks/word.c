/* SPDX-License-Identifier: MIT */
/*
 * The slow half of the lock word: waiting, deadlines, dead owners. See word.h for the word and docs/CONCURRENCY.md for
 * the orderings (P-lock, P-peek).
 *
 * A waiter announces itself by the waiters bit and sleeps on the low half for at most 30 ms, then asks
 * whether the owner lives; the first naps are shorter. A wake that was lost to somebody's death thus costs one poll, never a hang. Who has slept takes
 * the lock with the waiters bit set, since others may sleep too; that costs one superfluous wake at most.
 *
 * Take-over and burial compare all 64 bits that were judged: the sequence makes the word of one tenure unlike that
 * of any other, even if the dead owner's thread index was given to a new thread meanwhile.
 *
 * Left out on purpose: fairness and priority inheritance; both need the identity of the waiters in shared memory.
 */
#include "locks/word.h"

#include "base/fault.h"
#include "base/probe.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 8u /* looks, with twice as long a pause each time: a holder that is let alone gets on */
#define FIRST_NAP_NS 100000 /* doubled with each nap, up to */
#define POLL_NS 30000000

bool shv_lock_biased;

/* The low half of the word, where the kernel looks. */
static uint32_t *futex_half(uint64_t *word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (uint32_t *)word;
#else
	return (uint32_t *)word + 1;
#endif
}

void lock_wake(uint64_t *word, int n)
{
	/* Shared mapping: the key is file and offset, so no FUTEX_PRIVATE_FLAG. A failure has nobody to wake. */
	if (!FAIL_POINT("futex-wake"))
		(void)syscall(SYS_futex, futex_half(word), FUTEX_WAKE, n, NULL, NULL, 0);
}

int64_t lock_time_left(const struct timespec *deadline)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (deadline->tv_sec - now.tv_sec > 1000000)
		return INT64_MAX / 2;
	return ((int64_t)deadline->tv_sec - now.tv_sec) * 1000000000 + (deadline->tv_nsec - now.tv_nsec);
}

/*
 * The waiters bit is set; does everybody see it? A holder that runs has passed a barrier when this returns: either it sees the
 * bit when it releases, or its release is seen by us now. True: the word is still what it was.
 */
static bool announced(const uint64_t *word, uint64_t w)
{
	(void)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
	fence_full(); /* pairs: P-waiters */
	return load_acquire(word) == w;
}

/* Sleep while the low half is `seen`, at most *ns (which grows) or up to the deadline. False: the deadline is over. */
static bool nap(uint64_t *word, uint32_t seen, const struct timespec *deadline, long *ns)
{
	struct timespec ts = { 0, *ns };

	*ns = *ns * 2 < POLL_NS ? *ns * 2 : POLL_NS;
	if (deadline) {
		int64_t left = lock_time_left(deadline);
		if (left <= 0)
			return false;
		if (left < ts.tv_nsec)
			ts.tv_nsec = left;
	}
	if (!FAIL_POINT("futex-wait")) /* whyever it returns, the caller looks again */
		(void)syscall(SYS_futex, futex_half(word), FUTEX_WAIT, seen, &ts, NULL, 0);
	return true;
}

/* The word is free, perhaps by a death: take it. 0, 1, or -EAGAIN if it changed (*w is what it is now). */
static int take(uint64_t *word, uint64_t *w, uint32_t me, bool slept, const struct shv_lock_host *host, void *ctx)
{
	uint64_t seen = *w, keep = slept ? LOCK_WAITERS : seen & LOCK_WAITERS;

	if (!cas64(word, w, (seen & LOCK_SEQ_MASK) | me | keep))
		return -EAGAIN;
	fence_release(); /* pairs: P-peek */
	if (!(seen & LOCK_DIED))
		return 0;
	host->inherit(ctx, lock_owner(seen), true);
	return 1;
}

/* The owner is dead: take the lock from it. 1, or -EAGAIN if the word changed. */
static int inherit(uint64_t *word, uint64_t *w, uint32_t me, bool slept, const struct shv_lock_host *host, void *ctx)
{
	uint64_t seen = *w, keep = slept ? LOCK_WAITERS : seen & LOCK_WAITERS;

	PROBE3(lock_inherit, word, lock_owner(seen), me);
	host->inherit(ctx, lock_owner(seen), false); /* while its entry still says who it was */
	CRASH_POINT("lock-inherit");
	if (!cas64(word, w, ((seen & LOCK_SEQ_MASK) + LOCK_SEQ_ONE) | me | keep))
		return -EAGAIN;
	fence_release();
	return 1;
}

static int recurse(uint64_t *word, uint64_t w, enum lock_flavour flavour)
{
	if (flavour != LOCK_RECURSIVE)
		return -EDEADLK;
	if ((w & LOCK_DEPTH_MASK) >= LOCK_DEPTH_MASK - LOCK_DEPTH_ONE) /* 1,023 in all */
		return -EAGAIN;
	__atomic_fetch_add(word, LOCK_DEPTH_ONE, __ATOMIC_RELAXED); /* ours: only the waiters bit changes meanwhile */
	return 0;
}

int lock_acquire_slow(uint64_t *word, uint32_t me, enum lock_flavour flavour, bool try_only, const struct timespec *deadline,
		      const struct shv_lock_host *host, void *ctx)
{
	bool slept = false;
	unsigned spins = 0;
	long sleep_ns = FIRST_NAP_NS;
	uint32_t judged = 0;
	uint64_t w = load_acquire(word);

	for (;;) {
		int r;

		/* What was seen belongs to our object if that is there now; so no change that compares it hits anything else. */
		if (lock_is_gone(w) || !host->valid(ctx))
			return -ESTALE;
		if (!lock_is_held(w)) {
			r = take(word, &w, me, slept, host, ctx);
			if (r != -EAGAIN)
				return r;
			continue;
		}
		if (lock_owner(w) == me)
			return recurse(word, w, flavour);
		if (!try_only && spins < SPINS) {
			for (unsigned pause = 1u << spins++; pause; pause--)
				cpu_relax();
			w = load_acquire(word);
			continue;
		}
		/* One question per tenure and nap: it is a system call. */
		if (try_only || judged != lock_owner(w) || slept) {
			judged = lock_owner(w);
			if (host->dead(ctx, judged)) {
				r = inherit(word, &w, me, slept, host, ctx);
				if (r != -EAGAIN)
					return r;
				continue;
			}
		}
		if (try_only)
			return -EBUSY;
		if (!(w & LOCK_WAITERS)) {
			if (!cas64(word, &w, w | LOCK_WAITERS))
				continue;
			w |= LOCK_WAITERS;
		}
		if (host->queue)
			host->queue(ctx);
		CRASH_POINT("lock-wait");
		if (!announced(word, w)) {
			w = load_acquire(word);
			continue;
		}
		if (!slept)
			PROBE3(lock_sleep, word, lock_owner(w), me);
		if (!nap(word, (uint32_t)w, deadline, &sleep_ns))
			return -ETIMEDOUT;
		slept = true;
		w = load_acquire(word);
	}
}

bool lock_bury(uint64_t *word, uint64_t seen, uint32_t grave)
{
	uint64_t w = seen;

	if (!cas64(word, &w, ((seen & LOCK_SEQ_MASK) + LOCK_SEQ_ONE) | LOCK_DIED | (seen & LOCK_WAITERS) | grave))
		return false;
	lock_wake(word, 1);
	return true;
}
