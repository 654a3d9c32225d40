/* SPDX-License-Identifier: MIT */
/*
 * shv_wait(): sleep until a content differs from what was seen.
 *
 *   W1 look at the content            W2 set the flag in the header      W3 barrier in all members' running threads
 *   W4 look again                     W5 FUTEX_WAIT on the flag's half of the header, at most POLL_MS; then from W1
 *
 * A setter stores, releases, and looks at the flag (content_changed()). Between its store and that look it has no barrier: W3
 * (membarrier) is one for all. So either W4 sees the store, or the setter sees the flag. pairs: P-watch
 * Who waits for a value with a shared lock sleeps on the header of the lock object, which is what a release passes.
 *
 * The flag stays while somebody sleeps; a setter whose wake meets nobody takes it away.
 *
 * A wake that is lost, be it to a death, to a kernel without membarrier, or because a program wrote to the payload without the lock,
 * costs one poll. A read-only attachment cannot set the flag and only polls.
 */
#include "values/value_private.h"

#include "base/fault.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <shv/string.h>
#include <shv/value.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 30
#define SMALL 256u /* contents up to here are compared without memory of one's own */

static uint32_t *futex_half(uint64_t *header)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (uint32_t *)header + 1;
#else
	return (uint32_t *)header;
#endif
}

static long wake(const struct shv_object *o)
{
	return syscall(SYS_futex, futex_half(o->header), FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void watchers_wake(const struct shv_object *o)
{
	/* Nobody there: whoever set the flag has left, was killed, or is just going to sleep; the last finds it gone, or is woken. */
	if (wake(o) == 0) {
		object_unmark(o, SHV_HDR_WATCHED);
		(void)wake(o);
	}
}

struct watch {
	shv_value *v;
	struct shv_object o;    /* the value */
	struct shv_object bed;  /* on whose header to sleep */
	const void *seen;
	size_t size;
	void *now;
	bool writable;
};

static bool still_there(const struct watch *w)
{
	return load_acquire(&w->o.slot->word) == w->o.word;
}

/* 1: the content differs. 0: it does not, or nobody can tell just now. */
static int differs(struct watch *w)
{
	ssize_t r;

	if (!still_there(w))
		return object_fail(-ESTALE, w->v, "shv_wait");
	if (what_kind(w->o.what) == SHV_KIND_STRING) {
		if (what_type(w->o.what) == SHV_CHAR->id) {
			r = shv_string_peek(w->v, w->now, w->size + 1);
			r = r < 0 ? r : (size_t)r != w->size || memcmp(w->now, w->seen, w->size);
		} else {
			r = shv_wstring_peek(w->v, w->now, w->size / sizeof(wchar_t) + 1);
			r = r < 0 ? r : (size_t)r * sizeof(wchar_t) != w->size || memcmp(w->now, w->seen, w->size);
		}
	} else {
		r = shv_peek(w->v, w->now, w->size);
		if (r == -ENOTSUP) /* a user's policy: no sequence to read by */
			r = shv_get(w->v, w->now, w->size);
		r = r < 0 ? r : w->size && memcmp(w->now, w->seen, w->size);
	}
	if (r < 0 && !still_there(w))
		return object_fail(-ESTALE, w->v, "shv_wait");
	return r == -EAGAIN ? 0 : r < 0 ? fail_by((int)r, "shv_wait") : r != 0;
}

/* Sleep until woken, for POLL_MS at the most, or up to the deadline. False: that is over. */
static bool nap(struct watch *w, bool announced, const struct timespec *deadline)
{
	struct timespec ts = { 0, POLL_MS * 1000000L };

	if (deadline) {
		int64_t left = lock_time_left(deadline);
		if (left <= 0)
			return false;
		if (left < ts.tv_nsec)
			ts.tv_nsec = left;
	}
	if (announced)
		(void)syscall(SYS_futex, futex_half(w->bed.header), FUTEX_WAIT, (uint32_t)((load_relaxed(w->bed.header) | SHV_HDR_WATCHED) >> 32),
			      &ts, NULL, 0);
	else
		(void)nanosleep(&ts, NULL);
	return true;
}

static int watch(struct watch *w, const struct timespec *deadline)
{
	int r = differs(w);

	while (!r) {
		bool announced = w->writable && object_mark(&w->bed, SHV_HDR_WATCHED);

		if (announced) {
			(void)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
			fence_full(); /* pairs: P-watch */
			CRASH_POINT("wait-announced");
			r = differs(w);
		}
		if (!r && !nap(w, announced, deadline))
			return fail(-ETIMEDOUT, "shv_wait: the content was still the same when the time was over");
		if (!r)
			r = differs(w);
	}
	return r == 1 ? 0 : r;
}

/* The header that a release of the value's lock passes: that of the lock object, if it shares one. */
static int find_bed(struct watch *w)
{
	struct lock_target t;
	int r;

	w->bed = w->o;
	if (what_policy(w->o.what) != SHV_POL_SHARED)
		return 0;
	r = lock_target(&w->o, NULL, &t, true, "shv_wait");
	w->bed = t.o;
	return r;
}

static int check_seen(struct watch *w)
{
	if (what_kind(w->o.what) != SHV_KIND_STRING)
		return value_check_size(&w->o, w->size, "shv_wait");
	if (what_type(w->o.what) != SHV_CHAR->id && w->size % sizeof(wchar_t))
		return fail(-EINVAL, "shv_wait: size is %zu bytes: a wide string has whole characters", w->size);
	return 0;
}

SHV_API int shv_wait(shv_value *v, const void *seen, size_t size, const struct timespec *rel)
{
	struct watch w = { .v = v, .seen = seen, .size = size };
	_Alignas(16) char small[SMALL + sizeof(wchar_t)];
	struct timespec deadline;
	int r;

	if (!seen && size)
		return fail(-EINVAL, "shv_wait: seen is NULL");
	if (rel && !deadline_in(rel, &deadline))
		return fail(-EINVAL, "shv_wait: rel is not a time: 0 <= tv_nsec < 1,000,000,000, tv_sec >= 0");
	r = object_find(v, &w.o, "shv_wait");
	if (!r && what_kind(w.o.what) != SHV_KIND_STRING)
		r = value_find(v, &w.o, true, "shv_wait");
	if (!r)
		r = check_seen(&w);
	if (!r)
		r = find_bed(&w);
	if (r)
		return r;
	w.writable = w.o.at.m != NULL;
	if (w.writable && !tc_get(w.o.at.m))
		return -errno;
	w.now = small;
	if (size > SMALL)
		w.now = FAIL_POINT("malloc-wait") ? NULL : malloc(size + sizeof(wchar_t));
	if (!w.now)
		return fail(-ENOMEM, "shv_wait: no memory for a copy of %zu bytes", size);
	r = watch(&w, rel ? &deadline : NULL);
	if (w.now != small)
		free(w.now);
	return r;
}
