/* SPDX-License-Identifier: MIT */
/*
 * Making, locking and freeing objects: what the files of values/ share.
 */
#ifndef SHV_VALUES_VALUE_PRIVATE_H
#define SHV_VALUES_VALUE_PRIVATE_H

#include "arena/arena_private.h"
#include "values/type_private.h"

#include <shv/value.h>

/* ---- object.c ------------------------------------------------------------------------------------------- */

/* What is to be made. */
struct object_plan {
	shv_arena *a;
	const char *who;             /* public function, for sentences */
	const struct shv_type *type; /* of one item; NULL for lock objects */
	size_t n;                    /* items */
	const void *init;            /* n items, or NULL */
	const shv_lockspec *lock;    /* NULL: raw */
	unsigned kind;               /* enum shv_kind */
	struct shv_text *text;       /* strings: reserved and written; the string's if it was made, else still the caller's */
};
/* The payload of a new object, published; NULL with errno. */
void *object_make(const struct object_plan *p) HIDDEN;
/* Free an object of one of the kinds in the mask (1 << kind). */
int object_free(void *p, unsigned kinds, const char *who) HIDDEN;

/* Arrays keep their length in front: where, from the header's lead. */
static inline uint64_t object_len(const struct shv_object *o)
{
	unsigned k = what_kind(o->what);

	if (k != SHV_KIND_ARRAY && k != SHV_KIND_RAW_ARRAY)
		return 1;
	return load_relaxed((const uint64_t *)(const void *)((const char *)o->header - slot_lead(o->word)));
}
static inline uint64_t object_room(const struct shv_object *o)
{
	return class_size(slot_class(o->word)) - slot_lead(o->word) - SHV_HEADER_SIZE;
}
static inline void *object_payload(const struct shv_object *o)
{
	return o->header + 1;
}
/* Bytes of the payload, by type and length; 0 and -EUCLEAN's sentence if they cannot be in the block. */
int object_bytes(const struct shv_object *o, uint64_t *bytes, const char *who) HIDDEN;
const struct shv_type *object_type(const struct shv_object *o) HIDDEN;
/* A value (or raw object, if raw_too) for an operation: found, and not of an unsuitable kind. */
int value_find(const void *p, struct shv_object *o, bool raw_too, const char *who) HIDDEN;
/* Both for reading and writing: also that the attachment can write, and the thread's cache in *tc. */
int value_find_rw(const void *p, struct shv_object *o, struct shv_tc **tc, bool raw_too, const char *who) HIDDEN;

/* ---- string.c ---------------------------------------------------------------------------------------------- */

/* Characters of a string. 0 or negative errno. */
int string_len(const struct shv_object *o, uint64_t *len, const char *who) HIDDEN;

/* ---- value.c ------------------------------------------------------------------------------------------------ */

/* Has the content `size` bytes? 0, -EINVAL, -EUCLEAN. */
int value_check_size(const struct shv_object *o, size_t size, const char *who) HIDDEN;

/* ---- lock.c ------------------------------------------------------------------------------------------------ */

/* The lock that serves an object: its own, or the lock object that it shares. */
struct lock_target {
	struct shv_object o;   /* that the lock belongs to: the value, or the lock object */
	struct shv_tc *tc;     /* NULL on read-only attachments */
	const struct shv_slot_shm *value; /* slot that was asked for, and its generation: the value's, also if the lock is shared */
	uint32_t value_gen;
	unsigned policy;       /* enum shv_policy_id; NONE: nothing to take */
	uint64_t *word;        /* built-in policies */
	void *state;           /* user policies */
	const struct shv_lock_policy *ops;
	struct shv_holder dead; /* whom it was inherited from */
};
/* o: found. Follows SHARED. 0, -ESTALE, -EUCLEAN, -ENOTSUP (policy not registered in this process; not if looking only). */
int lock_target(const struct shv_object *o, struct shv_tc *tc, struct lock_target *t, bool look, const char *who) HIDDEN;
/* The lock of a value, for an operation of that name: found and looked up. -EINVAL for raw objects. */
int lock_find(const void *p, struct lock_target *t, bool look, const char *who) HIDDEN;
/* 0, SHV_RECOVERED, negative. try_only, rel: as in the public functions. */
int target_acquire(struct lock_target *t, bool try_only, const struct timespec *rel, const char *who) HIDDEN;
int target_release(struct lock_target *t, const char *who) HIDDEN;
/*
 * Give back a lock that target_acquire() had given with SHV_RECOVERED, so that the next taker is told the same. (A user policy
 * whose recover() has run knows nothing more of the death; there it is an ordinary release.)
 */
int target_release_recovered(struct lock_target *t, const char *who) HIDDEN;
int target_holder(struct lock_target *t, struct shv_holder *out) HIDDEN;
/* Is this owner dead, seen from any attachment. */
bool place_owner_dead(const struct shv_place *at, uint32_t owner) HIDDEN;
/* Check a lockspec for a new object: the stored policy; for SHARED the slot and generation, for POLICY the index. */
int lockspec_check(shv_arena *a, const shv_lockspec *s, unsigned *policy, uint64_t *link, const struct shv_lock_policy **ops,
		   const char *who) HIDDEN;
/* ---- wait.c ------------------------------------------------------------------------------------------------- */

/* Wake those who sleep in shv_wait() on this object. It may be gone, and something else in its place: then nothing is written. */
void watchers_wake(const struct shv_object *o) HIDDEN;

/*
 * The content changed, or may have. Whoever sleeps has set the flag, made all running threads of all members pass a barrier
 * (membarrier), and looked at the content then; so a plain look at the flag behind the change is enough. pairs: P-watch
 */
static inline void content_changed(const struct shv_object *o)
{
	fence_compiler();
	if (unlikely(load_relaxed(o->header) & SHV_HDR_WATCHED))
		watchers_wake(o);
}

/*
 * The common case of taking and giving back a value's own recursive or plain lock: nobody has it, nobody waits. False: nothing was
 * done. For the long way see lock.c, which says what the steps are for.
 */
static inline bool own_lock_take(const struct shv_object *o, struct shv_tc *tc)
{
	unsigned policy = what_policy(o->what);

	if (unlikely(policy != SHV_POL_RECURSIVE && policy != SHV_POL_PLAIN))
		return false;
	store_relaxed(&tc->thread->held, tc->thread->held + 1);
	fence_compiler();
	CRASH_POINT("lock-noted");
	if (likely(lock_acquire_alive(o->header - 1, tc->me, &o->slot->word, o->word))) {
		CRASH_POINT("lock-taken");
		return true;
	}
	store_relaxed(&tc->thread->held, tc->thread->held - 1);
	return false;
}
static inline bool own_lock_give(const struct shv_object *o, struct shv_tc *tc)
{
	unsigned policy = what_policy(o->what);

	if (unlikely(policy != SHV_POL_RECURSIVE && policy != SHV_POL_PLAIN))
		return false;
	tc->taken = NULL;
	if (unlikely(lock_release(o->header - 1, tc->me, LOCK_PLAIN) < 0))
		return false;
	CRASH_POINT("lock-given");
	fence_compiler();
	store_relaxed(&tc->thread->held, tc->thread->held - 1);
	content_changed(o);
	return true;
}

/*
 * Take the lock of a value, for `rel` at the most (NULL: for ever). *lock: by what it can be given back with shv_lock_release(), also if the
 * value is freed meanwhile, which a shared lock does not prevent. As shv_acquire_for().
 */
int lock_take(void *v, const struct timespec *rel, void **lock, const char *who) HIDDEN;

/* The deadline that is `rel` from now; false: rel is not a time. */
bool deadline_in(const struct timespec *rel, struct timespec *out) HIDDEN;
/* After a value was freed: take its word out of use, wake who waits. True if somebody may wait. */
bool lock_retire(struct lock_target *t) HIDDEN;

#endif /* SHV_VALUES_VALUE_PRIVATE_H */
