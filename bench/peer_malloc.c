/* SPDX-License-Identifier: MIT */
/* The program's own malloc(): glibc's, or what LD_PRELOAD put in its place. With a lock: beside a mutex like those of peer_jemalloc.c. */
#include "loops.h"

#include "mutex.h"

#include <stdlib.h>
#include <string.h>

/* Not seen through: the compiler may leave out a malloc() whose memory is only freed. */
static void *(*volatile the_malloc)(size_t) = malloc;
static void (*volatile the_free)(void *) = free;

static const char *nothing_to_open(void)
{
	return NULL;
}
static void nothing_to_close(void)
{
}

static inline void *plain_make(size_t size, long x)
{
	long *p = the_malloc(size);

	*p = x;
	return p;
}
static inline void *mixed_make(size_t size, long x)
{
	long *p = the_malloc(size);

	memset(p, 0, size);
	*p = x;
	return p;
}
static inline void *locked_make(size_t size, long x)
{
	return mutex_value_init(the_malloc(size), x);
}
static inline long read_long(const void *p)
{
	return *(const long *)p;
}
static inline long locked_read(const void *p)
{
	return ((const struct mutex_value *)p)->x;
}
static inline void plain_drop(void *p, size_t size)
{
	(void)size;
	the_free(p);
}
static inline void locked_drop(void *p, size_t size)
{
	mutex_value_end(p);
	plain_drop(p, size);
}

BENCH_LOOPS(raw, SIZE_RAW, plain_make, read_long, plain_drop)
BENCH_LOOPS(mixed, SIZE_MIXED, mixed_make, read_long, plain_drop)
BENCH_LOOPS(locked, SIZE_LOCKED, locked_make, locked_read, locked_drop)

struct peer peer_glibc = {
	.name = "glibc",
	.open = nothing_to_open,
	.close = nothing_to_close,
	.loops = { BENCH_LOOPS_OF(raw), BENCH_LOOPS_OF(mixed), BENCH_LOOPS_OF(locked) },
	.threads = true,
	.processes = true,
};
