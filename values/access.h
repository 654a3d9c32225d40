/* SPDX-License-Identifier: MIT */
/*
 * One access to the content of a value: found, its lock taken, copied in or out, its lock given back. Shared by value.c (the whole
 * content), array.c (items) and field.c (members).
 *
 * Under a lock contents are read plainly. They are always written in words, since somebody may be peeking (P-peek). Without a lock
 * 1, 2, 4 and 8 bytes that lie where the machine wants them are one atomic access; more are copied without synchronisation.
 */
#ifndef SHV_VALUES_ACCESS_H
#define SHV_VALUES_ACCESS_H

#include "values/fast.h"

#include <string.h>

struct access {
	struct shv_object o;
	struct lock_target t;
	struct shv_tc *tc;
	bool locked;
	int status; /* 0 or SHV_RECOVERED */
	const char *who;
};

/* value.c: the long way of access_begin(). */
int access_slow(struct access *x, void *v, const char *who) HIDDEN;
/* value.c: bytes at..at+size of an object's content, without its lock, as shv_peek(); they are within the content. */
int peek_part(const struct shv_object *o, uint64_t at, void *out, size_t size, const char *who) HIDDEN;

static inline bool unlocked(const struct shv_object *o)
{
	unsigned p = what_policy(o->what);

	return p == SHV_POL_RAW || p == SHV_POL_NONE;
}

/* Kinds whose content has a fixed size. */
#define FIXED (1u << SHV_KIND_VALUE | 1u << SHV_KIND_ARRAY | 1u << SHV_KIND_RAW | 1u << SHV_KIND_RAW_ARRAY)

static inline int access_begin(struct access *x, void *v, const char *who)
{
	if (likely(object_find_fast(v, &x->o) && (FIXED >> what_kind(x->o.what) & 1) && own_lock_take(&x->o, shv_tls_tc))) {
		x->tc = shv_tls_tc;
		x->t.ops = NULL;
		x->t.word = NULL; /* an own lock: given back the short way, or looked up again */
		x->locked = true;
		x->status = 0;
		x->who = who;
		return 0;
	}
	return access_slow(x, v, who);
}

/* The access is over: `r` if that is an error, else how the lock came to us. */
static inline int access_end(struct access *x, int r)
{
	if (likely(x->locked) && !(x->t.word == NULL && x->t.ops == NULL && own_lock_give(&x->o, x->tc))) {
		if (!x->t.word && !x->t.ops)
			(void)lock_target(&x->o, x->tc, &x->t, false, x->who);
		(void)target_release(&x->t, x->who);
	}
	return r < 0 ? r : r ? r : x->status;
}

/* Releasing a lock tells who waits for another content; without one this does. */
static inline void changed(const struct access *x)
{
	if (!x->locked)
		content_changed(&x->o);
}

static inline int check_pointer(const void *p, const char *what, const char *who)
{
	return likely(p != NULL) ? 0 : fail(-EINVAL, "%s: %s is NULL", who, what);
}

/* Does v lie in a read-only attachment, where getting is peeking? */
static inline bool read_only(const void *v)
{
	struct shv_place at;

	return unlikely((uintptr_t)v - shv_tls_tc->base >= shv_tls_tc->size && v && arena_place(v, &at) && !at.m);
}

/* What the content is made of; the answers of an object never change. n: items. 0, -EINVAL (a text has none), -EUCLEAN. */
int object_items(const struct shv_object *o, const struct shv_type **item, uint64_t *n, const char *who) HIDDEN;

/* ---- copying ------------------------------------------------------------------------------------------------ */

/* Items and members may lie anywhere (packed structures), the content as a whole is aligned to 8. */
static inline bool misplaced(const void *p, size_t size)
{
	return (uintptr_t)p & (size - 1);
}

static inline void copy_out_atomic(void *out, const void *p, size_t size)
{
	if (unlikely(size <= 8 && misplaced(p, size))) {
		memcpy(out, p, size);
		return;
	}
	switch (size) {
	case 1: {
		uint8_t x = load_acquire((const uint8_t *)p);
		memcpy(out, &x, 1);
		break;
	}
	case 2: {
		uint16_t x = load_acquire((const uint16_t *)p);
		memcpy(out, &x, 2);
		break;
	}
	case 4: {
		uint32_t x = load_acquire((const uint32_t *)p);
		memcpy(out, &x, 4);
		break;
	}
	case 8: {
		uint64_t x = load_acquire((const uint64_t *)p);
		memcpy(out, &x, 8);
		break;
	}
	default:
		memcpy(out, p, size);
	}
}

/* Word by word, since somebody may be peeking at the same time. */
static inline void copy_in_words(void *p, const void *in, size_t size)
{
	unsigned char *to = p;
	const unsigned char *from = in;

	for (; size && misplaced(to, 8); size--)
		store_relaxed(to++, *from++);
	for (; size >= 8; size -= 8, to += 8, from += 8) {
		uint64_t x;
		memcpy(&x, from, 8);
		store_relaxed((uint64_t *)(void *)to, x);
	}
	for (; size; size--)
		store_relaxed(to++, *from++);
}

static inline void copy_in_atomic(void *p, const void *in, size_t size)
{
	if (unlikely(size <= 8 && misplaced(p, size))) {
		copy_in_words(p, in, size);
		return;
	}
	switch (size) {
	case 1: {
		uint8_t x;
		memcpy(&x, in, 1);
		store_release((uint8_t *)p, x);
		break;
	}
	case 2: {
		uint16_t x;
		memcpy(&x, in, 2);
		store_release((uint16_t *)p, x);
		break;
	}
	case 4: {
		uint32_t x;
		memcpy(&x, in, 4);
		store_release((uint32_t *)p, x);
		break;
	}
	case 8: {
		uint64_t x;
		memcpy(&x, in, 8);
		store_release((uint64_t *)p, x);
		break;
	}
	default:
		copy_in_words(p, in, size);
	}
}

/* Bytes of a content into the program's memory and back; the lock, if there is one, is held. */
static inline void access_out(const struct access *x, uint64_t at, void *out, size_t size)
{
	const char *p = (const char *)object_payload(&x->o) + at;

	if (x->locked)
		memcpy(out, p, size);
	else
		copy_out_atomic(out, p, size);
}

static inline void access_in(const struct access *x, uint64_t at, const void *in, size_t size)
{
	CRASH_POINT("set-before");
	copy_in_atomic((char *)object_payload(&x->o) + at, in, size);
	CRASH_POINT("set-after");
	changed(x);
}

#endif /* SHV_VALUES_ACCESS_H */
