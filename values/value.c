/* SPDX-License-Identifier: MIT */
/*
 * Values and raw objects: get, set, add, compare-exchange, peek.
 *
 * Under a lock the content is copied plainly. Without one (SHV_NONE, raw) contents of 1, 2, 4 and 8 bytes are single atomics; larger
 * ones are copied without synchronisation, as documented.
 *
 * shv_peek() takes no lock: the lock word carries a sequence that each release advances, and the owner. Word, copy, word again;
 * if both are the same and nobody held the lock, no writer was there in between (P-peek).
 */
#include "values/access.h"

#include <shv/raw.h>
#include <shv/value.h>
#include <string.h>

#define PEEK_TRIES 1000
#define PEEK_ASK 64 /* tries against one holder before asking whether it lives */

/* ---- making ------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void *value_new_slow(shv_arena *a, const shv_type *type, const void *init, const shv_lockspec *lock)
{
	struct object_plan p = { .a = a, .who = "shv_value_new", .type = type, .n = 1, .init = init, .lock = lock, .kind = SHV_KIND_VALUE };

	return object_make(&p);
}

static __attribute__((noinline)) void *raw_new_slow(shv_arena *a, const shv_type *type, const void *init)
{
	struct object_plan p = { .a = a, .who = "shv_raw_new", .type = type, .n = 1, .init = init, .kind = SHV_KIND_RAW };

	return object_make(&p);
}

/* Not the shortest way. */
static __attribute__((noinline)) void *value_new_other(shv_arena *a, const shv_type *type, const void *init, const shv_lockspec *lock)
{
	void *v = NULL;

	if (!lock->flags && lock->kind <= SHV_LOCK_PLAIN)
		v = make_fast(a, type, init, SHV_KIND_VALUE, lock->kind == SHV_LOCK_PLAIN ? SHV_POL_PLAIN : SHV_POL_RECURSIVE);
	else if (!lock->flags && lock->kind <= SHV_LOCK_NONE)
		v = make_fast(a, type, init, SHV_KIND_VALUE, lock->kind);
	return v ? v : value_new_slow(a, type, init, lock);
}

static __attribute__((noinline)) void *raw_new_other(shv_arena *a, const shv_type *type, const void *init)
{
	void *p = make_fast(a, type, init, SHV_KIND_RAW, SHV_POL_RAW);

	return p ? p : raw_new_slow(a, type, init);
}

static __attribute__((noinline)) int value_free_other(shv_value *v)
{
	if (free_fast(v, 1u << SHV_KIND_VALUE | 1u << SHV_KIND_ARRAY))
		return 0;
	return object_free(v, 1u << SHV_KIND_VALUE | 1u << SHV_KIND_ARRAY | 1u << SHV_KIND_STRING, "shv_value_free");
}

static __attribute__((noinline)) int raw_free_other(void *p)
{
	if (free_fast(p, 1u << SHV_KIND_RAW | 1u << SHV_KIND_RAW_ARRAY))
		return 0;
	return object_free(p, 1u << SHV_KIND_RAW | 1u << SHV_KIND_RAW_ARRAY, "shv_raw_free");
}

SHV_API shv_value *shv_value_new(shv_arena *a, const shv_type *type, const void *init, shv_lockspec lock)
{
	void *v;

	if (likely((lock.kind | lock.flags) <= SHV_LOCK_RECURSIVE)) { /* 0 or 1: recursive */
		v = make_small(a, type, init, SHV_KIND_VALUE, SHV_POL_RECURSIVE);
		if (likely(v != NULL))
			return v;
	}
	return value_new_other(a, type, init, &lock);
}

SHV_API shv_value *shv_value_new_recursive(shv_arena *a, const shv_type *type, const void *init)
{
	void *v = make_small(a, type, init, SHV_KIND_VALUE, SHV_POL_RECURSIVE);

	return likely(v != NULL) ? v : value_new_other(a, type, init, &SHV_RECURSIVE);
}

SHV_API int shv_value_free(shv_value *v)
{
	return likely(free_small(v, SHV_KIND_VALUE, SHV_POL_RECURSIVE)) ? 0 : value_free_other(v);
}

SHV_API void *shv_raw_new(shv_arena *a, const shv_type *type, const void *init)
{
	void *p = make_small(a, type, init, SHV_KIND_RAW, SHV_POL_RAW);

	return likely(p != NULL) ? p : raw_new_other(a, type, init);
}

SHV_API int shv_raw_free(void *p)
{
	return likely(free_small(p, SHV_KIND_RAW, SHV_POL_RAW)) ? 0 : raw_free_other(p);
}

/* ---- looking -------------------------------------------------------------------------------------------- */

SHV_API void *shv_value_data(shv_value *v)
{
	struct shv_object o;
	int r = value_find(v, &o, true, "shv_value_data");

	return r ? null_with(r) : (void *)v;
}

SHV_API const shv_type *shv_value_type(const void *p)
{
	struct shv_object o;
	const shv_type *t;
	int r = object_find(p, &o, "shv_value_type");

	if (!r && what_kind(o.what) != SHV_KIND_STRING)
		r = value_find(p, &o, true, "shv_value_type");
	if (r)
		return null_with(r);
	t = object_type(&o);
	return t ? t : fail_null(-EUCLEAN, "shv_value_type: the object's type in the arena is damaged");
}

SHV_API enum shv_kind shv_kind_of(const void *p)
{
	struct shv_object o;

	return object_find(p, &o, "shv_kind_of") ? SHV_KIND_NONE : (enum shv_kind)what_kind(o.what);
}

/* ---- content --------------------------------------------------------------------------------------------- */

int value_check_size(const struct shv_object *o, size_t size, const char *who)
{
	const struct shv_type *t = what_kind(o->what) == SHV_KIND_VALUE ? type_basic(what_type(o->what)) : NULL;
	uint64_t bytes;
	int r;

	if (likely(t && t->size == size))
		return 0;
	r = object_bytes(o, &bytes, who);

	if (unlikely(r))
		return r;
	if (unlikely(bytes != size))
		return fail(-EINVAL, "%s: size is %zu, but the content has %llu bytes: pass sizeof of the value's type", who, size,
			    (unsigned long long)bytes);
	return 0;
}

/* Copied word by word with relaxed accesses: peek reads what a writer may be writing, and a data race would be undefined. */
/* Programs write plainly under the lock, which the thread sanitizer would report; the sequence tells us then. */
__attribute__((no_sanitize("thread"))) static void copy_racing(void *out, const void *p, size_t size)
{
	unsigned char *to = out;
	const unsigned char *from = p;

	for (; size && misplaced(from, 8); size--)
		*to++ = load_relaxed(from++);
	for (; size >= 8; size -= 8, to += 8, from += 8) {
		uint64_t x = load_relaxed((const uint64_t *)(const void *)from);
		memcpy(to, &x, 8);
	}
	for (; size; size--)
		*to++ = load_relaxed(from++);
}

int access_slow(struct access *x, void *v, const char *who)
{
	int r = value_find_rw(v, &x->o, &x->tc, true, who);

	x->who = who;
	x->locked = false;
	x->status = 0;
	if (unlikely(r) || unlikely(unlocked(&x->o)))
		return r;
	r = lock_target(&x->o, x->tc, &x->t, false, who);
	if (likely(!r))
		r = target_acquire(&x->t, false, NULL, who);
	if (unlikely(r < 0))
		return r;
	x->locked = x->t.policy != SHV_POL_NONE;
	x->status = r;
	return 0;
}

/* On a read-only attachment getting is peeking. */
static int peek_for(const shv_value *v, void *out, size_t size, const char *who)
{
	int r = shv_peek(v, out, size);

	return r < 0 ? fail_by(r, who) : r;
}

static int get(shv_value *v, void *out, size_t size, const char *who)
{
	struct access x;
	int r = check_pointer(out, "out", who);

	if (unlikely(r))
		return r;
	if (read_only(v))
		return peek_for(v, out, size, who);
	r = access_begin(&x, v, who);
	if (unlikely(r))
		return r;
	r = value_check_size(&x.o, size, who);
	if (likely(!r))
		access_out(&x, 0, out, size);
	return access_end(&x, r);
}

static int set(shv_value *v, const void *in, size_t size, const char *who)
{
	struct access x;
	int r = check_pointer(in, "in", who);

	if (likely(!r))
		r = access_begin(&x, v, who);
	if (unlikely(r))
		return r;
	r = value_check_size(&x.o, size, who);
	if (likely(!r))
		access_in(&x, 0, in, size);
	return access_end(&x, r);
}

static inline void small_load(void *out, const void *p, size_t size)
{
	if (likely(size == 8))
		memcpy(out, p, 8);
	else if (size == 4)
		memcpy(out, p, 4);
	else
		memcpy(out, p, size);
}

SHV_API int shv_get(shv_value *v, void *out, size_t size)
{
	struct small s;

	if (likely(out && small_find(v, &s) && type_small_size(s.type) == size && small_take(&s))) {
		small_load(out, v, size);
		small_give(&s);
		return 0;
	}
	if (out && size && small_unlocked(v) == size) {
		copy_out_atomic(out, v, size);
		return 0;
	}
	return get(v, out, size, "shv_get");
}

SHV_API int shv_set(shv_value *v, const void *in, size_t size)
{
	struct small s;

	if (likely(in && small_find(v, &s) && type_small_size(s.type) == size && small_take(&s))) {
		CRASH_POINT("set-before");
		copy_in_atomic(v, in, size);
		CRASH_POINT("set-after");
		small_give(&s);
		return 0;
	}
	return set(v, in, size, "shv_set");
}

static int check_type(const void *v, const shv_type *type, const char *who)
{
	struct shv_object o;
	const shv_type *is;
	int r = value_find(v, &o, true, who);

	if (r)
		return r;
	if (!type)
		return fail(-EINVAL, "%s: type is NULL", who);
	is = object_type(&o);
	if (!is)
		return fail(-EUCLEAN, "%s: the object's type in the arena is damaged", who);
	if (!type_same(is, type))
		return fail(-EINVAL, "%s: the value is of type %s, not %s", who, shv_type_name(is), shv_type_name(type));
	return 0;
}

SHV_API int shv_get_typed(shv_value *v, const shv_type *type, void *out, size_t size)
{
	int r = check_type(v, type, "shv_get_typed");

	return r ? r : get(v, out, size, "shv_get_typed");
}

SHV_API int shv_set_typed(shv_value *v, const shv_type *type, const void *in, size_t size)
{
	int r = check_type(v, type, "shv_set_typed");

	return r ? r : set(v, in, size, "shv_set_typed");
}

SHV_API void *shv_load_(shv_value *v, const shv_type *type, void *buf, size_t size)
{
	int r = check_type(v, type, "SHV_LOAD");

	if (!r)
		r = get(v, buf, size, "SHV_LOAD");
	if (r < 0) {
		memset(buf, 0, size);
		errno = -r;
	}
	return buf;
}

/* Somebody waits for the lock, or did: the mark goes first, so that no later one is lost. */
void small_give_with_care(struct shv_tc *tc, uint64_t *lock)
{
	struct shv_object o;
	bool found = object_find_fast(lock + 2, &o), queued = header_flags(lock + 1) & HEADER_QUEUED;

	if (found)
		object_unmark(&o, SHV_HDR_QUEUED);
	/* The mark alone says that somebody may sleep: of his bit a release may know nothing that was interrupted at its look. */
	if (!lock_release_waited(lock) && queued)
		lock_wake(lock, 1);
	CRASH_POINT("lock-given");
	fence_compiler();
	store_relaxed(&tc->thread->held, tc->thread->held - 1);
	if (found)
		content_changed(&o);
}

/* The lock is given back: this may be another object by now, and who waits for that one looks once more for nothing. */
void small_wake_watchers(uint64_t *lock)
{
	struct shv_object o;

	if (object_find_fast(lock + 2, &o))
		content_changed(&o);
}

/* ---- peek -------------------------------------------------------------------------------------------------- */

static int peek_word(struct lock_target *t, const struct shv_object *o, const void *p, void *out, size_t size, const char *who)
{
	uint64_t asked = 0;

	for (int i = 0, same = 0; i < PEEK_TRIES; i++) {
		uint64_t w = load_acquire(t->word);
		if (lock_is_gone(w))
			return object_fail(-ESTALE, object_payload(o), who);
		if (lock_is_held(w)) {
			same = w == asked ? same + 1 : 0;
			asked = w;
			if (same == PEEK_ASK && place_owner_dead(&t->o.at, lock_owner(w))) {
				copy_racing(out, p, size);
				return 1;
			}
			cpu_relax();
			continue;
		}
		copy_racing(out, p, size);
		fence_acquire(); /* pairs: P-peek */
		/* The waiters bit may come and go; owner and sequence must be as they were. */
		if (((load_relaxed(t->word) ^ w) & ~LOCK_WAITERS) == 0)
			return w & LOCK_DIED ? 1 : 0;
	}
	return fail(-EAGAIN, "%s: writers held or took the lock during all %d tries: try again, or take the lock", who, PEEK_TRIES);
}

int peek_part(const struct shv_object *o, uint64_t at, void *out, size_t size, const char *who)
{
	const char *p = (const char *)object_payload(o) + at;
	struct lock_target t;
	int r;

	if (unlocked(o)) {
		copy_out_atomic(out, p, size);
		return 0;
	}
	r = lock_target(o, NULL, &t, true, who);
	if (r)
		return r;
	if (!t.word)
		return fail(-ENOTSUP, "%s: a user-supplied lock policy has no sequence to read by: take the lock", who);
	r = peek_word(&t, o, p, out, size, who);
	/* It may have been freed meanwhile: then what was copied is nothing. */
	if (r >= 0 && load_acquire(&o->slot->word) != o->word)
		return object_fail(-ESTALE, object_payload(o), who);
	return r;
}

static int peek_slow(const shv_value *v, void *out, size_t size);

SHV_API int shv_peek(const shv_value *v, void *out, size_t size)
{
	struct small s;

	if (likely(out && small_find((void *)(uintptr_t)v, &s) && type_small_size(s.type) == size && !(s.lock_word & ~LOCK_SEQ_MASK))) {
		copy_racing(out, v, size);
		fence_acquire(); /* pairs: P-peek, P-publish */
		if (likely(load_relaxed(s.lock) == s.lock_word && load_relaxed(&s.slot->word) == s.word))
			return 0;
	}
	return peek_slow(v, out, size);
}

static int peek_slow(const shv_value *v, void *out, size_t size)
{
	struct shv_object o;
	int r = check_pointer(out, "out", "shv_peek");

	if (!r)
		r = value_find(v, &o, true, "shv_peek");
	if (!r)
		r = value_check_size(&o, size, "shv_peek");
	if (r)
		return r;
	return peek_part(&o, 0, out, size, "shv_peek");
}

/* ---- arithmetic ---------------------------------------------------------------------------------------------- */

#define ADD_CASE(n)                                                                                           \
	case n: {                                                                                                   \
		uint##n##_t d = (uint##n##_t)delta, x;                                                              \
		if (locked) {                                                                                       \
			x = (uint##n##_t)(*(uint##n##_t *)p + d);                                                   \
			store_relaxed((uint##n##_t *)p, x);                                                         \
		} else {                                                                                            \
			x = (uint##n##_t)(__atomic_fetch_add((uint##n##_t *)p, d, __ATOMIC_ACQ_REL) + d);           \
		}                                                                                                   \
		return is_signed ? (int64_t)(int##n##_t)x : (int64_t)x;                                             \
	}

/* Wraps as unsigned arithmetic does, whatever the sign of the type. */
static int64_t add_int(void *p, size_t size, bool is_signed, bool locked, int64_t delta)
{
	switch (size * 8) {
		ADD_CASE(8)
		ADD_CASE(16)
		ADD_CASE(32)
		ADD_CASE(64)
	}
	return 0;
}

/* Single values only: what should be added to an array? */
static const shv_type *single_type(const struct shv_object *o)
{
	unsigned k = what_kind(o->what);

	return k == SHV_KIND_VALUE || k == SHV_KIND_RAW ? object_type(o) : NULL;
}

static __attribute__((noinline)) int add_slow(shv_value *v, int64_t delta, int64_t *now)
{
	const shv_type *t;
	struct access x;
	int64_t sum;
	int r = access_begin(&x, v, "shv_add");

	if (unlikely(r))
		return r;
	t = single_type(&x.o);
	if (unlikely(!t || (type_class(t) != TYPE_SIGNED && type_class(t) != TYPE_UNSIGNED)))
		return access_end(&x, fail(-EINVAL, "shv_add: the value is no integer: use shv_addf() for floating point, or shv_with()"));
	CRASH_POINT("add-before");
	sum = add_int(object_payload(&x.o), t->size, type_class(t) == TYPE_SIGNED, x.locked, delta);
	if (now)
		*now = sum;
	changed(&x);
	return access_end(&x, 0);
}

SHV_API int shv_add(shv_value *v, int64_t delta, int64_t *now)
{
	struct small s;
	int64_t sum;

	if (unlikely(!small_find(v, &s)) || unlikely(!TYPE_IN(TYPES_SIGNED | TYPES_UNSIGNED, s.type)) || unlikely(!small_take(&s)))
		return add_slow(v, delta, now);
	CRASH_POINT("add-before");
	if (likely(type_small_size(s.type) == 8)) {
		sum = (int64_t)(*(uint64_t *)v + (uint64_t)delta);
		store_relaxed((uint64_t *)v, (uint64_t)sum);
	} else {
		sum = add_int(v, type_small_size(s.type), TYPE_IN(TYPES_SIGNED, s.type), true, delta);
	}
	if (now)
		*now = sum;
	small_give(&s);
	return 0;
}

#define ADDF_ATOMIC(type, bits) \
	do {                                                                               \
		uint##bits##_t old = load_acquire((uint##bits##_t *)p), next;              \
		type f;                                                                    \
		do {                                                                       \
			memcpy(&f, &old, sizeof(f));                                       \
			f = (type)((double)f + delta); /* rounded once */                  \
			memcpy(&next, &f, sizeof(next));                                   \
		} while (!cas##bits((uint##bits##_t *)p, &old, next));                     \
		return (double)f;                                                          \
	} while (0)

static double addf_atomic(void *p, size_t size, double delta)
{
	if (size == 4)
		ADDF_ATOMIC(float, 32);
	if (size == 8)
		ADDF_ATOMIC(double, 64);
	long double f; /* larger than any atomic: unsynchronised, as documented */
	memcpy(&f, p, sizeof(f));
	f += delta;
	memcpy(p, &f, sizeof(f));
	return (double)f;
}

static double addf_locked(void *p, size_t size, double delta)
{
	if (size == 4)
		return *(float *)p = (float)((double)*(float *)p + delta);
	if (size == 8)
		return *(double *)p += delta;
	return (double)(*(long double *)p += delta);
}

SHV_API int shv_addf(shv_value *v, double delta, double *now)
{
	const shv_type *t;
	struct access x;
	double sum;
	int r = access_begin(&x, v, "shv_addf");

	if (r)
		return r;
	t = single_type(&x.o);
	if (!t || type_class(t) != TYPE_FLOAT)
		return access_end(&x, fail(-EINVAL, "shv_addf: the value is no floating point number: use shv_add() for integers, or shv_with()"));
	CRASH_POINT("add-before");
	sum = x.locked ? addf_locked(object_payload(&x.o), t->size, delta) : addf_atomic(object_payload(&x.o), t->size, delta);
	if (now)
		*now = sum;
	changed(&x);
	return access_end(&x, 0);
}

/* ---- compare and exchange ---------------------------------------------------------------------------------------- */

#define CX_CASE(bytes, type)                                                                                                \
	case bytes: {                                                                                                       \
		type e, d;                                                                                                  \
		memcpy(&e, expected, bytes);                                                                                \
		memcpy(&d, desired, bytes);                                                                                 \
		if (__atomic_compare_exchange_n((type *)p, &e, d, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))               \
			return 0;                                                                                           \
		memcpy(expected, &e, bytes);                                                                                \
		return -EAGAIN;                                                                                             \
	}

static int exchange_atomic(void *p, void *expected, const void *desired, size_t size)
{
	switch (size) {
		CX_CASE(1, uint8_t)
		CX_CASE(2, uint16_t)
		CX_CASE(4, uint32_t)
		CX_CASE(8, uint64_t)
	default:
		return fail(-ENOTSUP, "shv_compare_exchange: without a lock only 1, 2, 4 or 8 bytes can be exchanged, not %zu", size);
	}
}

static int exchange_locked(void *p, void *expected, const void *desired, size_t size)
{
	if (memcmp(p, expected, size)) {
		memcpy(expected, p, size);
		return -EAGAIN;
	}
	copy_in_atomic(p, desired, size);
	return 0;
}

SHV_API int shv_compare_exchange(shv_value *v, void *expected, const void *desired, size_t size)
{
	struct access x;
	int r = check_pointer(expected, "expected", "shv_compare_exchange");

	if (!r)
		r = check_pointer(desired, "desired", "shv_compare_exchange");
	if (!r)
		r = access_begin(&x, v, "shv_compare_exchange");
	if (r)
		return r;
	r = value_check_size(&x.o, size, "shv_compare_exchange");
	if (!r) {
		CRASH_POINT("cx-before");
		r = x.locked ? exchange_locked(object_payload(&x.o), expected, desired, size) :
			       exchange_atomic(object_payload(&x.o), expected, desired, size);
		if (!r)
			changed(&x);
		if (r == -EAGAIN)
			fail(r, "shv_compare_exchange: the content differs from *expected, which now holds it: decide anew");
	}
	return access_end(&x, r);
}
