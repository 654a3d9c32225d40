/* SPDX-License-Identifier: MIT */
/* shv_arena_snapshot(): arena/snapshot.c does it; here is how it takes the locks of values, which only this layer knows. */
#include "config.h"

#include "arena/snapshot.h"
#include "values/value_private.h"

#define LOCK_SECONDS 1

static int take(void *p, void **lock)
{
	const struct timespec wait = { LOCK_SECONDS, 0 };
	int r = lock_take(p, &wait, lock, "shv_arena_snapshot");

	if (r != -ETIMEDOUT)
		return r;
	return fail(r, "the lock of the value with reference %#llx was not to be had within %d s: nothing was written; "
		       "leave SHV_LOCKED out to do without locks", (unsigned long long)shv_ref_of(p), LOCK_SECONDS);
}

static void give(void *lock)
{
	(void)shv_lock_release(lock);
}

SHV_API int shv_arena_snapshot(shv_arena *a, const char *path, unsigned flags)
{
	static const struct snapshot_locks locks = { take, give };
	int r = arena_valid(a, "shv_arena_snapshot", flags & SHV_LOCKED);

	if (r)
		return r;
	if (flags & ~SHV_LOCKED)
		return fail(-EINVAL, "shv_arena_snapshot: flags %#x: only SHV_LOCKED is for snapshots", flags);
	if (a->m && !tc_get(a->m))
		return -errno;
	r = snapshot_take(a, path, flags & SHV_LOCKED ? &locks : NULL);
	return r < 0 ? fail_by(r, "shv_arena_snapshot") : r;
}
