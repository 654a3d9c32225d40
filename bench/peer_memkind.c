/* SPDX-License-Identifier: MIT */
/* memkind's pmem kind: its own jemalloc over a file in /dev/shm. With a lock: a long beside a pthread mutex. */
#include "loops.h"

#include "have.h"

#if HAVE_MEMKIND

#include "mutex.h"

#include <memkind.h>
#include <string.h>

static memkind_t kind;

static const char *kind_open(void)
{
	return memkind_create_pmem("/dev/shm", 0, &kind) ? "memkind_create_pmem() failed" : NULL;
}
static void kind_close(void)
{
	memkind_destroy_kind(kind);
}
static inline void *raw_make(size_t size, long x)
{
	long *p = memkind_malloc(kind, size);

	*p = x;
	return p;
}
static inline void *mixed_make(size_t size, long x)
{
	long *p = memkind_malloc(kind, size);

	memset(p, 0, size);
	*p = x;
	return p;
}
static inline void *locked_make(size_t size, long x)
{
	return mutex_value_init(memkind_malloc(kind, size), x);
}
static inline long raw_read(const void *p)
{
	return *(const long *)p;
}
static inline long locked_read(const void *p)
{
	return ((const struct mutex_value *)p)->x;
}
static inline void raw_drop(void *p, size_t size)
{
	(void)size;
	memkind_free(kind, p);
}
static inline void locked_drop(void *p, size_t size)
{
	mutex_value_end(p);
	raw_drop(p, size);
}

BENCH_LOOPS(kind_raw, SIZE_RAW, raw_make, raw_read, raw_drop)
BENCH_LOOPS(kind_mixed, SIZE_MIXED, mixed_make, raw_read, raw_drop)
BENCH_LOOPS(kind_locked, SIZE_LOCKED, locked_make, locked_read, locked_drop)

struct peer peer_memkind = {
	.name = "memkind pmem",
	.open = kind_open,
	.close = kind_close,
	.loops = { BENCH_LOOPS_OF(kind_raw), BENCH_LOOPS_OF(kind_mixed), BENCH_LOOPS_OF(kind_locked) },
	.threads = true,
};

#else

static const char *absent(void)
{
	return "memkind was not there at build time (Debian: libmemkind-dev)";
}
struct peer peer_memkind = { .name = "memkind pmem", .open = absent };

#endif
