/* SPDX-License-Identifier: MIT */
/* libshv: raw values, raw arrays of char for the mixed sizes, values with a recursive lock of their own. */
#include "loops.h"

#include <shv/shv.h>
#include <stdlib.h>

#include "shv_arena.h"

shv_arena *shv_arena_now;

static const char *shv_open(void)
{
	shv_arena_now = shv_arena_create(NULL);
	return shv_arena_now ? NULL : shv_errmsg();
}

static void shv_close(void)
{
	need(!shv_arena_detach(shv_arena_now), "shv_arena_detach: %s", shv_errmsg());
}

static inline void *raw_make(size_t size, long x)
{
	(void)size;
	return shv_raw_new(shv_arena_now, SHV_LONG, &x);
}
static inline void *array_make(size_t size, long x)
{
	long *p = shv_raw_array_new(shv_arena_now, SHV_CHAR, size, NULL);

	if (p)
		*p = x;
	return p;
}
static inline void *locked_make(size_t size, long x)
{
	(void)size;
	return shv_value_new(shv_arena_now, SHV_LONG, &x, SHV_RECURSIVE);
}
static inline long read_long(const void *p)
{
	return *(const long *)p;
}
static inline void raw_drop(void *p, size_t size)
{
	(void)size;
	if (shv_raw_free(p))
		need(false, "shv_raw_free: %s", shv_errmsg());
}
static inline void locked_drop(void *p, size_t size)
{
	(void)size;
	if (shv_value_free(p))
		need(false, "shv_value_free: %s", shv_errmsg());
}

BENCH_LOOPS(raw, SIZE_RAW, raw_make, read_long, raw_drop)
BENCH_LOOPS(array, SIZE_MIXED, array_make, read_long, raw_drop)
BENCH_LOOPS(locked, SIZE_LOCKED, locked_make, read_long, locked_drop)

struct peer peer_shv = {
	.name = "libshv",
	.open = shv_open,
	.close = shv_close,
	.loops = { BENCH_LOOPS_OF(raw), BENCH_LOOPS_OF(array), BENCH_LOOPS_OF(locked) },
	.threads = true,
	.processes = true,
};
