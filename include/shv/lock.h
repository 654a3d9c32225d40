/* SPDX-License-Identifier: MIT */
/*
 * Locks: which one a value gets, lock objects that many values share, and lock policies of one's own.
 *
 * What synchronises with what: everything written before a release is visible after the acquire that
 * follows it, in whatever process. No lock here is fair, none inherits priority.
 *
 *   lock parameter      taken twice by its thread   released by          holder dies
 *   SHV_RECURSIVE       counted, up to 1,023        the holding thread   next taker gets SHV_RECOVERED
 *   SHV_PLAIN           -EDEADLK                    the holding thread   next taker gets SHV_RECOVERED
 *   SHV_HANDOFF         -EDEADLK                    any thread           next taker gets SHV_RECOVERED
 *   SHV_NONE            (nothing to take)           -                    -
 *   SHV_SHARED(lock)    as that lock                as that lock         as that lock
 *   SHV_POLICY(&p)      as the policy says          as it says           its recover() is asked
 */
#ifndef SHV_LOCK_H
#define SHV_LOCK_H

#include <shv/arena.h>
#include <shv/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

SHV_BEGIN_DECLS

typedef struct shv_lock shv_lock; /* a lock in the arena: one of its own, or a value's */

/* Acquire returned this: the lock is yours, but its last holder died holding it. Look at the data. */
#define SHV_RECOVERED 1

enum shv_lock_kind {
	SHV_LOCK_DEFAULT = 0,   /* what a zeroed lockspec means: recursive */
	SHV_LOCK_RECURSIVE = 1, /* own lock; its thread may take it again */
	SHV_LOCK_PLAIN = 2,     /* own lock; taking it twice is an error, not a hang */
	SHV_LOCK_HANDOFF = 3,   /* own lock; any thread may release it */
	SHV_LOCK_NONE = 4,      /* no lock */
	SHV_LOCK_SHARED = 5,    /* a lock object of the arena */
	SHV_LOCK_POLICY = 6     /* a policy of the program's own */
};

/* The lock parameter, passed by value. 24 bytes for ever; make it with the macros below. */
typedef struct shv_lockspec {
	uint32_t kind;     /* enum shv_lock_kind */
	uint32_t flags;    /* 0, or SHV_LOCK_ALIGNED */
	const void *which; /* the shv_lock of SHARED, the shv_lock_policy of POLICY, else NULL */
	const void *arg;   /* handed to the policy's init() */
} shv_lockspec;

#ifdef __cplusplus
#define SHV_LOCKSPEC_(k, w, x) (shv_lockspec{ (k), 0u, (w), (x) })
#else
#define SHV_LOCKSPEC_(k, w, x) ((shv_lockspec){ (k), 0u, (w), (x) })
#endif
#define SHV_RECURSIVE SHV_LOCKSPEC_(SHV_LOCK_RECURSIVE, NULL, NULL)          /* Python: lock=True */
#define SHV_PLAIN SHV_LOCKSPEC_(SHV_LOCK_PLAIN, NULL, NULL)                  /* Python: a Lock made for the value */
#define SHV_HANDOFF SHV_LOCKSPEC_(SHV_LOCK_HANDOFF, NULL, NULL)              /* Python: multiprocessing.Lock exactly */
#define SHV_NONE SHV_LOCKSPEC_(SHV_LOCK_NONE, NULL, NULL)                    /* Python: lock=False */
#define SHV_SHARED(lock) SHV_LOCKSPEC_(SHV_LOCK_SHARED, (lock), NULL)        /* Python: lock=an existing Lock or RLock */
#define SHV_POLICY(policy) SHV_LOCKSPEC_(SHV_LOCK_POLICY, (policy), NULL)    /* Python: any object with acquire/release */

#define SHV_LOCK_ALIGNED UINT32_C(0x100)
/*
 * The same lock parameter, for a value (array, string, lock object) that shares its cache lines with nothing else: its block begins at, and is
 * as large as, a multiple of 64 bytes. For the few that several processors change all the time, when others beside them are used as much; 8
 * bytes and a lock take 80 bytes then instead of 48, everything counted, and making and freeing cost more.
 * Example: shv_value_new(a, SHV_LONG, NULL, shv_aligned(SHV_RECURSIVE)).
 * Since: 0.1
 */
static inline shv_lockspec shv_aligned(shv_lockspec lock)
{
	lock.flags |= SHV_LOCK_ALIGNED;
	return lock;
}
#define SHV_POLICY_ARG(policy, x) SHV_LOCKSPEC_(SHV_LOCK_POLICY, (policy), (x)) /* the same with an argument for init() */

/* A thread of some process, as the arena knows it. */
struct shv_holder {
	size_t size;         /* in: sizeof(struct shv_holder), or 0 */
	pid_t pid;           /* as the process itself saw it (in its pid namespace) */
	pid_t tid;           /* of the thread, the same */
	uint64_t start_time; /* of the process, clock ticks since boot, as /proc/PID/stat has it */
	char command[16];    /* of the process, NUL-terminated */
	bool alive;          /* whether the process was alive when asked */
	uint32_t process;    /* its slot in the arena's process table */
	uint32_t depth;      /* how many times it holds the lock; 0 where that is not known */
};

/*
 * A lock policy of the program's own. The table stays in each process; in the arena are only
 * the policy's name and `size` bytes of state for each lock. Each process that uses such a lock
 * registers the same policy (shv_lock_register); one that has not gets -ENOTSUP.
 *
 * The operations may be called by any thread of any process that has registered the policy; `state` lies
 * at another address in each process, so no pointer may be kept in it. They return 0 or a negative
 * errno; acquire and try_acquire may also return SHV_RECOVERED. acquire waits until `deadline`
 * (CLOCK_MONOTONIC, NULL = for ever) and returns -ETIMEDOUT then; the library may call it several times with
 * near deadlines, to look after dead holders in between. try_acquire returns -EBUSY. SHV_RECOVERED goes to whoever called
 * recover(); a policy that hands the lock to waiters in an order of its own keeps a mark in its state, and returns SHV_RECOVERED
 * to the first who gets it (examples/policy.c).
 */
struct shv_lock_policy {
	size_t struct_size;   /* sizeof(struct shv_lock_policy) */
	const char *name;     /* 1 to 31 bytes; the policy's identity in every process */
	uint32_t size, align; /* of the state in the arena: 1 to 1,024 bytes; a power of two up to 64 */
	int (*init)(void *state, const void *arg);                            /* may be NULL: the state starts zeroed */
	int (*acquire)(void *state, const struct timespec *deadline);         /* required */
	int (*try_acquire)(void *state);                                      /* NULL: acquire with a deadline that is over */
	int (*release)(void *state);                                          /* required */
	int (*recover)(void *state, const struct shv_holder *dead);           /* the holder died: make the state free; NULL: its locks stay taken */
	void (*destroy)(void *state);                                         /* may be NULL */
	int (*holder)(const void *state, struct shv_holder *out);             /* pid, tid (0: not known) and start_time of who holds it: 0, or -ENOENT; NULL: dead holders are not noticed */
};

/*
 * Make the policy known to this process and, by its name, to the arena. Doing it twice is no error.
 *
 * Returns: 0; -EINVAL (a required operation missing; name, size or alignment out of range),
 *          -EPROTONOSUPPORT (the arena knows the name with another size or alignment),
 *          -EEXIST (this process registered other operations under the name), -ENOSPC (64 policies), -EROFS.
 * The table must stay valid while the process is attached.
 * If the caller dies here: the name is there or it is not; both are sound.
 * Since: 0.1
 */
SHV_API int shv_lock_register(shv_arena *a, const struct shv_lock_policy *p);

/*
 * A lock object, to be shared by many values through SHV_SHARED(lock). spec: any kind but NONE and SHARED.
 *
 * Returns: the lock, or NULL with errno: EINVAL, ENOTSUP (policy not registered here), ENOSPC, ENOMEM,
 *          EROFS, EUSERS, ENOTRECOVERABLE; or what the policy's init() returned.
 * If the caller dies here: nothing is left, or a whole lock that nobody knows.
 * Since: 0.1
 */
SHV_API shv_lock *shv_lock_new(shv_arena *a, shv_lockspec spec);

/*
 * Give up a lock object. New values can no longer name it; those that have it go on using it, and it
 * goes when the last of them has gone and somebody trims or recovers.
 * Returns: 0; -EINVAL (a value's own lock, a foreign pointer), -ESTALE (freed already), -EROFS.
 * Since: 0.1
 */
SHV_API int shv_lock_free(shv_lock *lock);

/*
 * Take, try to take, take within a relative time, release. `lock` is a lock object or what
 * shv_value_lock() gave.
 *
 * Returns: acquire, try and for: 0, or SHV_RECOVERED; -EBUSY (try), -ETIMEDOUT (for), -EDEADLK (plain or
 *          handoff lock that this thread holds), -EAGAIN (recursion too deep), -ESTALE (freed, or
 *          freed while waiting), -EINVAL, -ENOTSUP (policy not registered here), -EROFS, -EUSERS.
 *          release: 0; -EPERM (not held by this thread; a handoff lock: not held at all), -EINVAL, -ESTALE.
 * If the caller dies here: whoever comes next is told that the holder died, or finds the lock free.
 * Since: 0.1
 */
SHV_API int shv_lock_acquire(shv_lock *lock);
SHV_API int shv_lock_try(shv_lock *lock);
SHV_API int shv_lock_for(shv_lock *lock, const struct timespec *rel);
SHV_API int shv_lock_release(shv_lock *lock);

/*
 * Who holds a lock now. out: filled. Only a hint: it may have changed before the call returns.
 * Returns: 1 (held), 0 (free), -EINVAL, -ESTALE, -ENOTSUP (policy not registered here, or without holder()).
 * Since: 0.1
 */
SHV_API int shv_lock_holder(const shv_lock *lock, struct shv_holder *out);

SHV_END_DECLS

#endif /* SHV_LOCK_H */
