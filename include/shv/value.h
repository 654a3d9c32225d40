/* SPDX-License-Identifier: MIT */
/*
 * Values: typed objects in an arena, each with the lock that its lock parameter names.
 *
 * A shv_value pointer points at the payload, just behind an 8-byte header; it is good in this process and its
 * forks until anyone frees the value. Other processes get at the value through a reference
 * (shv_ref_of, shv_deref) or a name (shv_publish, shv_find).
 *
 * Concurrency: any thread of any attached process, at any time, unless said otherwise. Not from signal handlers.
 * Functions without a dedicated list return -EINVAL for a pointer that is not a value, -ESTALE for one
 * that was freed, -EROFS where a read-only attachment cannot do it, -EUCLEAN where the arena's bytes contradict each other, and, at the
 * first call of a thread or of a forked child, -EUSERS (thread or process table full) or -ENOMEM (no memory for its cache).
 */
#ifndef SHV_VALUE_H
#define SHV_VALUE_H

#include <shv/arena.h>
#include <shv/export.h>
#include <shv/lock.h>
#include <shv/type.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

SHV_BEGIN_DECLS

typedef struct shv_value shv_value; /* the payload; see shv_value_data() */
typedef uint64_t shv_ref;           /* an object's name as a number, the same in every process; 0 = none */

/* What a pointer into an arena points at. */
enum shv_kind {
	SHV_KIND_NONE = 0,      /* nothing that lives */
	SHV_KIND_VALUE = 1,
	SHV_KIND_RAW = 2,
	SHV_KIND_ARRAY = 3,
	SHV_KIND_RAW_ARRAY = 4,
	SHV_KIND_STRING = 5,
	SHV_KIND_LOCK = 6,
	SHV_KIND_PART = 7       /* bytes that belong to another object; never handed to programs */
};

/*
 * Make a value. Memory is zeroed, then initialised from `init`; only then others can see it.
 *
 * a: where. type: what. init: in, shv_type_size(type) bytes, or NULL for zeros. lock: see <shv/lock.h>.
 * Returns: the value, or NULL with errno: EINVAL, EPROTONOSUPPORT (a structure that the arena knows by that name
 *          with another layout), ENOTSUP (policy not registered here), ESTALE (the shared lock was freed), ENOSPC (arena full), ENOMEM, EROFS, EUSERS, ENOTRECOVERABLE; or what the policy's init() returned.
 * If the caller dies here: the value is there whole, or not at all and its memory comes back.
 * Source: multiprocessing.Value(typecode_or_type, *args, lock=True) of CPython 3.11.
 * Since: 0.1
 */
SHV_API shv_value *shv_value_new(shv_arena *a, const shv_type *type, const void *init, shv_lockspec lock);
/*
 * What shv_value_new() does with SHV_RECURSIVE, without 24 bytes of lock parameter to be copied, which is a fifth of the whole. The
 * compiler calls it by itself where it sees that parameter (below). Since: 0.1
 */
SHV_API shv_value *shv_value_new_recursive(shv_arena *a, const shv_type *type, const void *init);

#if defined(__OPTIMIZE__) && !defined(__NO_INLINE__) && !defined(SHV_NO_INLINES)
/* The function of the library, by another name in the source only. */
SHV_API shv_value *shv_value_new_any_(shv_arena *a, const shv_type *type, const void *init, shv_lockspec lock) __asm__("shv_value_new");

extern __inline__ __attribute__((gnu_inline, always_inline)) shv_value *shv_value_new(shv_arena *a, const shv_type *type, const void *init,
										   shv_lockspec lock)
{
	if (__builtin_constant_p(lock.kind) && __builtin_constant_p(lock.flags) && lock.kind <= SHV_LOCK_RECURSIVE && !lock.flags)
		return shv_value_new_recursive(a, type, init);
	return shv_value_new_any_(a, type, init, lock);
}
#endif

/*
 * Free a value, from any process. Its own lock is taken for it; waiters get -ESTALE. A name is taken back. A shared lock is
 * not taken, for it may be busy with other values all the time: so be sure, by that lock or otherwise, that nobody uses this one. Whoever holds
 * it by this value gives it back by shv_lock_release() then; shv_with() does so by itself.
 * Returns: 0; -EBUSY (another thread holds its own lock), -EINVAL, -ESTALE (freed already), -EROFS, -ENOTSUP (policy not registered here).
 * If the caller dies here: the value is there, or its freeing is finished by the others.
 * Since: 0.1
 */
SHV_API int shv_value_free(shv_value *v);

/* The payload itself (Python's get_obj()); hold the lock yourself while you use it. NULL with errno EINVAL or ESTALE. Since: 0.1 */
SHV_API void *shv_value_data(shv_value *v);
/* Its type; NULL with errno EINVAL or ESTALE. p: a value or raw object. Since: 0.1 */
SHV_API const shv_type *shv_value_type(const void *p);
/* Its lock (Python's get_lock()); NULL with errno 0 for SHV_NONE, NULL with errno EINVAL or ESTALE otherwise. Since: 0.1 */
SHV_API shv_lock *shv_value_lock(shv_value *v);
/* What p points at; SHV_KIND_NONE for anything that is no live object. Since: 0.1 */
SHV_API enum shv_kind shv_kind_of(const void *p);

/*
 * Copy the payload out or in, under the value's lock. Raw objects are accepted wherever content is meant (get, set, peek, add,
 * compare-exchange, data, len, at) and behave like SHV_NONE. size must be the size of the type. Without a lock (SHV_NONE)
 * 1, 2, 4 and 8 bytes are one atomic access; more are copied without synchronisation.
 * On a read-only attachment shv_get() is shv_peek().
 * Returns: 0, or SHV_RECOVERED; -EINVAL (size); or what shv_acquire() returns; shv_peek()'s on a read-only attachment.
 * If the caller dies inside shv_set(): the next taker gets SHV_RECOVERED; the payload may be half-written.
 * Since: 0.1
 */
SHV_API int shv_get(shv_value *v, void *out, size_t size);
SHV_API int shv_set(shv_value *v, const void *in, size_t size);

/*
 * Take, try to take, take within a relative time (CLOCK_MONOTONIC), and release the value's lock. On SHV_NONE they do nothing.
 * Returns: as shv_lock_acquire(), shv_lock_try(), shv_lock_for(), shv_lock_release().
 * Since: 0.1
 */
SHV_API int shv_acquire(shv_value *v);
SHV_API int shv_try_acquire(shv_value *v);
SHV_API int shv_acquire_for(shv_value *v, const struct timespec *rel);
SHV_API int shv_release(shv_value *v);

/*
 * Take the locks of n values, and give them back. They are taken in an order that is the same for every caller in every process (by
 * arena and place, whatever the order in v), so callers that come with no lock in hand cannot block one another for ever; one that holds a
 * lock already and takes it again here may. A lock that several of the values share is taken once, as is that of a value which
 * is there twice; those of SHV_NONE have none. A recursive lock that the thread holds already is counted up. Values of several
 * arenas may be mixed. Waits for ever for each. n may be 0.
 *
 * release_all: v as it was given to acquire_all, in any order. It gives back all that it can, also if it returns an error for one.
 *
 * Returns: acquire_all: 0, or SHV_RECOVERED if at least one of them came from a dead holder (shv_last_holder() tells for the last of
 *          those); -EINVAL (v or a value is NULL, a raw object, a lock object), -ENOMEM, or what shv_acquire() returns for one of
 *          them: then nothing is held that was not held before, and a lock that came from a dead holder tells the next taker
 *          so again. (One with a policy of the program's own tells only this caller, by nothing but its recover().)
 *          release_all: 0; or the first error of shv_release() among them. It needs memory only to be quick.
 * If the caller dies inside: locks that it has taken or not yet given back go to their next takers, with SHV_RECOVERED.
 * Since: 0.1
 */
SHV_API int shv_acquire_all(shv_value *const *v, size_t n);
SHV_API int shv_release_all(shv_value *const *v, size_t n);

/*
 * A consistent copy without taking the lock: readers never wait for writers nor disturb them. Works
 * read-only. Only writes made under the lock, or by this library, are covered.
 * Returns: 0; 1 (the holder of the lock is dead: a copy of what it left); -EAGAIN (writers came in between
 *          each of 1,000 tries), -ENOTSUP (a user-supplied policy), -EINVAL, -ESTALE.
 * Since: 0.1
 */
SHV_API int shv_peek(const shv_value *v, void *out, size_t size);

/* Who holds the value's lock: as shv_lock_holder(); 0 for SHV_NONE. Since: 0.1 */
SHV_API int shv_value_holder(const shv_value *v, struct shv_holder *out);

/*
 * After SHV_RECOVERED, and until this thread is told of another: who died holding the lock.
 * Returns: 0 and *out; -ENOENT (this thread was not told of any for this value, or it was so many deaths ago that it is no
 *          longer known who), -EINVAL, -ESTALE.
 * Since: 0.1
 */
SHV_API int shv_last_holder(const shv_value *v, struct shv_holder *out);

/*
 * Add to a value as one step. Integers wrap as unsigned arithmetic does; shv_add() takes integer types and
 * bool-free: `char` of text, bool and wchar_t are refused. now: out, may be NULL: the new content.
 * Returns: 0 or SHV_RECOVERED; -EINVAL (not a number of that family), or what shv_acquire() returns.
 * If the caller dies inside: the old or the new content, whole.
 * Since: 0.1
 */
SHV_API int shv_add(shv_value *v, int64_t delta, int64_t *now);
SHV_API int shv_addf(shv_value *v, double delta, double *now);

/*
 * If the payload equals *expected byte by byte, replace it by *desired; else copy it to *expected.
 * Returns: 0 or SHV_RECOVERED (replaced); -EAGAIN (it differed; *expected holds it now); -ENOTSUP (SHV_NONE with another size than
 *          1, 2, 4, 8), -EINVAL (size), or as shv_acquire().
 * If the caller dies inside: the old or the new content; larger ones than 8 bytes under SHV_RECOVERED perhaps half of each.
 * Since: 0.1
 */
SHV_API int shv_compare_exchange(shv_value *v, void *expected, const void *desired, size_t size);

/*
 * Sleep until the payload differs from what was seen: until it is not *seen any more, which has `size` bytes, all of it (for a
 * string: its text, without the zero behind it). rel: how long at the most; NULL: for ever. Takes no lock and holds none, so it may
 * well be the same again when this returns: look, decide, and wait again.
 * Woken by each release of the value's lock and by shv_set(), shv_add() and their kin, in any process. What is written to a payload
 * without lock or set (raw objects, SHV_NONE) is noticed after 30 ms at the latest, and so is everything on a read-only attachment.
 * If several wait for one value, all are woken.
 * Returns: 0 (it differs), -ETIMEDOUT, -ESTALE (freed meanwhile), -EINVAL (not a value, size, rel), -ENOMEM, -EUSERS,
 *          -ENOTSUP (a user-supplied policy that is not registered here; such values are read under their lock).
 * If the caller dies inside: the others do not notice. Source of the name and behaviour: C++'s atomic::wait, with a time.
 * Since: 0.1
 */
SHV_API int shv_wait(shv_value *v, const void *seen, size_t size, const struct timespec *rel);

/* References. */
/* The reference of a value, raw object or lock; 0 with errno EINVAL or ESTALE. Since: 0.1 */
SHV_API shv_ref shv_ref_of(const void *p);
/* The object of a reference in this mapping; NULL with errno ESTALE (gone), EINVAL. It may be freed before you use it. Since: 0.1 */
SHV_API void *shv_deref(shv_arena *a, shv_ref ref);
/*
 * Find the value of a reference and take its lock in one step, so that it cannot go away in between.
 * v: out, the value. Returns: as shv_acquire(); -ESTALE (gone), -EINVAL (not a value). *v is untouched on failure.
 * Since: 0.1
 */
SHV_API int shv_ref_acquire(shv_arena *a, shv_ref ref, shv_value **v);

/* Names: 1 to 255 bytes, no NUL; unique in the arena. */
/*
 * Give a value, raw object or lock a name. Returns: 0; -EEXIST (name taken, or the object has one), -EINVAL (empty name,
 * not an object), -ENAMETOOLONG, -ESTALE, -ENOSPC, -ENOMEM, -EROFS. If the caller dies here: published or not, never half.
 * Since: 0.1
 */
SHV_API int shv_publish(void *p, const char *name);
/* The object of a name in this mapping; NULL with errno ENOENT, EINVAL, ENAMETOOLONG. Takes no lock. Since: 0.1 */
SHV_API void *shv_find(shv_arena *a, const char *name);
/* Take a name back; the object stays. Returns: 0; -ENOENT, -EINVAL, -ENAMETOOLONG, -EROFS. Since: 0.1 */
SHV_API int shv_unpublish(shv_arena *a, const char *name);
/*
 * The value of that name, made if there is none. Two callers that race get the same object.
 * created: out, may be NULL: 1 if this call made it. Returns: the value; NULL with errno EEXIST (the name's object has
 * another type or kind), or as shv_value_new() and shv_publish().
 * Since: 0.1
 */
SHV_API void *shv_find_or_new(shv_arena *a, const char *name, const shv_type *type, const void *init, shv_lockspec lock,
			      int *created);
/*
 * Walk the names in no particular order. cursor: in/out, start with 0. name: out, `size` bytes, cut if longer. ref: out, may be NULL.
 * Returns: 1 (a name), 0 (the end), -EINVAL. Names that come or go meanwhile may be missed or seen.
 * Since: 0.1
 */
SHV_API int shv_next_name(shv_arena *a, uint64_t *cursor, char *name, size_t size, shv_ref *ref);

/* The guard behind shv_with(); use the macro. */
struct shv_guard {
	shv_value *value;
	int run;
};
SHV_API struct shv_guard shv_guard_begin_(shv_value *v);
SHV_API void shv_guard_end_(struct shv_guard *g);
/* How this thread's last shv_with() went: 0, SHV_RECOVERED, or negative: the body was not run. Since: 0.1 */
SHV_API int shv_with_status(void);

#define SHV_PASTE2_(a, b) a##b
#define SHV_PASTE_(a, b) SHV_PASTE2_(a, b)
#define SHV_WITH_(v, g)                                                                          \
	for (struct shv_guard g __attribute__((cleanup(shv_guard_end_))) = shv_guard_begin_(v); g.run; g.run = 0)
/*
 * shv_with(v) { ... } runs the block with the lock of v held and releases it on every way out (end, break,
 * continue, return, goto, a C++ exception), except longjmp and exit. break and continue leave the guard only. The
 * block does not run if the lock cannot be had: see shv_with_status().
 * Source: Python's `with v.get_lock():`.
 * Since: 0.1
 */
#define shv_with(v) SHV_WITH_(v, SHV_PASTE_(shv_guard_, __LINE__))

/* Typed conveniences. */
/* Copies *out or *in if the type of v is `type`. Returns: as shv_get()/shv_set(), -EINVAL for another type. Since: 0.1 */
SHV_API int shv_get_typed(shv_value *v, const shv_type *type, void *out, size_t size);
SHV_API int shv_set_typed(shv_value *v, const shv_type *type, const void *in, size_t size);
/* For SHV_LOAD: shv_get_typed() into buf, which is zeroed on failure, with errno set. Since: 0.1 */
SHV_API void *shv_load_(shv_value *v, const shv_type *type, void *buf, size_t size);

#define SHV_PICK5_(a, b, c, d, e, ...) e
#define SHV_VALUE3_(a, T, x) SHV_VALUE4_(a, T, x, SHV_RECURSIVE)
#ifdef __cplusplus
SHV_END_DECLS
template <typename T> inline shv_value *shv_value_cxx_(shv_arena *a, T x, shv_lockspec lock)
{
	return shv_value_new(a, SHV_TYPE_OF(T), &x, lock);
}
template <typename T> inline T shv_load_cxx_(shv_value *v)
{
	T x = T();
	return *static_cast<T *>(shv_load_(v, SHV_TYPE_OF(T), &x, sizeof(x)));
}
template <typename T> inline int shv_store_cxx_(shv_value *v, T x)
{
	return shv_set_typed(v, SHV_TYPE_OF(T), &x, sizeof(x));
}
SHV_BEGIN_DECLS
#define SHV_VALUE4_(a, T, x, lock) (shv_value_cxx_<T>((a), (x), (lock)))
#define SHV_LOAD(v, T) (shv_load_cxx_<T>(v))
#define SHV_STORE(v, T, x) (shv_store_cxx_<T>((v), (x)))
#else
#define SHV_VALUE4_(a, T, x, lock) (shv_value_new((a), SHV_TYPE_OF(T), &(T){ (x) }, (lock)))
/* The content of v, whose type must be T: otherwise 0 and errno = EINVAL. Since: 0.1 */
#define SHV_LOAD(v, T) (*(T *)shv_load_((v), SHV_TYPE_OF(T), &(T){ 0 }, sizeof(T)))
/* v = x, whose type must be T: 0, SHV_RECOVERED or a negative errno. Since: 0.1 */
#define SHV_STORE(v, T, x) (shv_set_typed((v), SHV_TYPE_OF(T), &(T){ (x) }, sizeof(T)))
#endif
/* SHV_VALUE(a, int, 7): a value of a basic type; SHV_VALUE(a, int, 7, SHV_PLAIN) with another lock. As shv_value_new(). Since: 0.1 */
#define SHV_VALUE(...) SHV_PICK5_(__VA_ARGS__, SHV_VALUE4_, SHV_VALUE3_, , )(__VA_ARGS__)

SHV_END_DECLS

#endif /* SHV_VALUE_H */
