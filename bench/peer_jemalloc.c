/* SPDX-License-Identifier: MIT */
/*
 * jemalloc, the copy that libshv is built with, in four ways: plain in private memory (the floor of all), and over a memfd, which is the
 * least that an allocator in shared memory made of jemalloc can cost: bound to the thread by thread.arena, with an explicit
 * cache, without one. The memfd is handed out from its beginning to its end, and nothing is taken back by the hooks.
 *
 * "With a lock" is 48 bytes of which two words are written, as many as libshv takes and writes, for the plain one: the strictest
 * measure; over a memfd it is a long beside a pthread mutex.
 */
#include "loops.h"

#include "mutex.h"

#include <jemalloc/jemalloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if SHV_JEMALLOC_SYSTEM
#define JE(name) name
#else
#define JE(name) shv_je_##name
#endif

static inline long read_long(const void *p)
{
	return *(const long *)p;
}
static inline long locked_read(const void *p)
{
	return ((const struct mutex_value *)p)->x;
}
static const char *nothing_to_open(void)
{
	return NULL;
}
static void nothing_to_close(void)
{
}

/* ---- in private memory ----------------------------------------------------------------------------------- */

static inline void *je_make(size_t size, long x)
{
	long *p = JE(malloc)(size);

	*p = x;
	return p;
}
static inline void *je_mixed_make(size_t size, long x)
{
	long *p = JE(malloc)(size);

	memset(p, 0, size);
	*p = x;
	return p;
}
static inline void *je_locked_make(size_t size, long x)
{
	long *p = JE(malloc)(size);

	p[1] = 0; /* where the lock would be */
	*p = x;
	return p;
}
static inline void je_drop(void *p, size_t size)
{
	(void)size;
	JE(free)(p);
}

BENCH_LOOPS(je_raw, SIZE_RAW, je_make, read_long, je_drop)
BENCH_LOOPS(je_mixed, SIZE_MIXED, je_mixed_make, read_long, je_drop)
BENCH_LOOPS(je_locked, SIZE_LOCKED, je_locked_make, read_long, je_drop)

struct peer peer_jemalloc = {
	.name = "jemalloc",
	.open = nothing_to_open,
	.close = nothing_to_close,
	.loops = { BENCH_LOOPS_OF(je_raw), BENCH_LOOPS_OF(je_mixed), BENCH_LOOPS_OF(je_locked) },
	.threads = true,
	.processes = true,
};

/* ---- over a memfd ------------------------------------------------------------------------------------------ */

#define ROOM ((size_t)8 << 30)

struct over {
	extent_hooks_t hooks; /* first: jemalloc hands us its address */
	int fd;
	char *base;
	size_t used; /* atomic */
	unsigned arena;
};

static void *over_alloc(extent_hooks_t *hooks, void *at, size_t size, size_t alignment, bool *zero, bool *commit, unsigned arena)
{
	struct over *o = (struct over *)hooks;
	size_t from, to, was = __atomic_load_n(&o->used, __ATOMIC_RELAXED);

	(void)arena;
	if (at)
		return NULL;
	do {
		from = (was + alignment - 1) & ~(alignment - 1);
		to = from + size;
		if (to > ROOM)
			return NULL;
	} while (!__atomic_compare_exchange_n(&o->used, &was, to, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	*zero = *commit = true;
	return o->base + from;
}
static bool over_dalloc(extent_hooks_t *hooks, void *p, size_t size, bool committed, unsigned arena)
{
	(void)hooks, (void)p, (void)size, (void)committed, (void)arena;
	return true;
}
static bool over_split(extent_hooks_t *hooks, void *p, size_t size, size_t a, size_t b, bool committed, unsigned arena)
{
	(void)hooks, (void)p, (void)size, (void)a, (void)b, (void)committed, (void)arena;
	return false;
}
static bool over_merge(extent_hooks_t *hooks, void *a, size_t a_size, void *b, size_t b_size, bool committed, unsigned arena)
{
	(void)hooks, (void)a, (void)a_size, (void)b, (void)b_size, (void)committed, (void)arena;
	return false;
}

static struct over *over_new(void)
{
	struct over *o = calloc(1, sizeof(*o));
	extent_hooks_t *hooks = &o->hooks;
	size_t n = sizeof(o->arena);
	char name[64];

	o->hooks = (extent_hooks_t){ .alloc = over_alloc, .dalloc = over_dalloc, .split = over_split, .merge = over_merge };
	o->fd = memfd_create("bench", MFD_CLOEXEC);
	need(o->fd >= 0 && !ftruncate(o->fd, ROOM), "memfd_create");
	o->base = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, o->fd, 0);
	need(o->base != MAP_FAILED, "mmap");
	need(!JE(mallctl)("arenas.create", &o->arena, &n, NULL, 0), "arenas.create");
	snprintf(name, sizeof(name), "arena.%u.extent_hooks", o->arena);
	need(!JE(mallctl)(name, NULL, NULL, (void *)&hooks, sizeof(hooks)), "extent_hooks");
	return o;
}

/* jemalloc may look into it at any time, so it stays; its memory is given back. */
static void over_end(struct over *o)
{
	need(!ftruncate(o->fd, 0) && !ftruncate(o->fd, ROOM), "ftruncate");
	close(o->fd);
}

static unsigned cache_new(void)
{
	unsigned cache;
	size_t n = sizeof(cache);

	need(!JE(mallctl)("tcache.create", &cache, &n, NULL, 0), "tcache.create");
	return cache;
}

static struct over *bound, *cached, *uncached;
static _Thread_local unsigned cache;
static _Thread_local int flags;

static void flush(void)
{
	JE(mallctl)("thread.tcache.flush", NULL, NULL, NULL, 0);
}
static const char *bound_open(void)
{
	bound = over_new();
	return NULL;
}
static void bound_close(void)
{
	over_end(bound);
}
static _Thread_local unsigned before;
static void bound_enter(void)
{
	size_t n = sizeof(before);

	flush();
	need(!JE(mallctl)("thread.arena", &before, &n, &bound->arena, sizeof(bound->arena)), "thread.arena");
	flush();
}
static void bound_leave(void)
{
	flush();
	need(!JE(mallctl)("thread.arena", NULL, NULL, &before, sizeof(before)), "thread.arena");
}
static void bound_forked(void)
{
	bound = over_new();
}
static const char *cached_open(void)
{
	cached = over_new();
	return NULL;
}
static void cached_close(void)
{
	over_end(cached);
}
static void cached_enter(void)
{
	cache = cache_new();
	flags = MALLOCX_ARENA(cached->arena) | MALLOCX_TCACHE(cache);
}
static void cached_leave(void)
{
	JE(mallctl)("tcache.destroy", NULL, NULL, &cache, sizeof(cache));
}
static void cached_forked(void)
{
	cached = over_new();
}
static const char *uncached_open(void)
{
	uncached = over_new();
	return NULL;
}
static void uncached_close(void)
{
	over_end(uncached);
}
static void uncached_enter(void)
{
	flags = MALLOCX_ARENA(uncached->arena) | MALLOCX_TCACHE_NONE;
}
static void uncached_forked(void)
{
	uncached = over_new();
}

static inline void *bound_locked_make(size_t size, long x)
{
	return mutex_value_init(JE(malloc)(size), x);
}
static inline void bound_locked_drop(void *p, size_t size)
{
	mutex_value_end(p);
	je_drop(p, size);
}
static inline void *x_make(size_t size, long x)
{
	long *p = JE(mallocx)(size, flags);

	*p = x;
	return p;
}
static inline void *x_mixed_make(size_t size, long x)
{
	long *p = JE(mallocx)(size, flags);

	memset(p, 0, size);
	*p = x;
	return p;
}
static inline void *x_locked_make(size_t size, long x)
{
	return mutex_value_init(JE(mallocx)(size, flags), x);
}
static inline void x_drop(void *p, size_t size)
{
	(void)size;
	JE(dallocx)(p, flags);
}
static inline void x_locked_drop(void *p, size_t size)
{
	mutex_value_end(p);
	x_drop(p, size);
}

BENCH_LOOPS(bound_locked, SIZE_LOCKED, bound_locked_make, locked_read, bound_locked_drop)
BENCH_LOOPS(x_raw, SIZE_RAW, x_make, read_long, x_drop)
BENCH_LOOPS(x_mixed, SIZE_MIXED, x_mixed_make, read_long, x_drop)
BENCH_LOOPS(x_locked, SIZE_LOCKED, x_locked_make, locked_read, x_locked_drop)

struct peer peer_memfd_bound = {
	.name = "jemalloc on a memfd, thread.arena",
	.open = bound_open,
	.close = bound_close,
	.enter = bound_enter,
	.leave = bound_leave,
	.forked = bound_forked,
	.loops = { BENCH_LOOPS_OF(je_raw), BENCH_LOOPS_OF(je_mixed), BENCH_LOOPS_OF(bound_locked) },
	.threads = true,
	.processes = true,
};
struct peer peer_memfd_cached = {
	.name = "jemalloc on a memfd, explicit cache",
	.open = cached_open,
	.close = cached_close,
	.enter = cached_enter,
	.leave = cached_leave,
	.forked = cached_forked,
	.loops = { BENCH_LOOPS_OF(x_raw), BENCH_LOOPS_OF(x_mixed), BENCH_LOOPS_OF(x_locked) },
	.threads = true,
	.processes = true,
};
struct peer peer_memfd_uncached = {
	.name = "jemalloc on a memfd, no cache",
	.open = uncached_open,
	.close = uncached_close,
	.enter = uncached_enter,
	.leave = NULL,
	.forked = uncached_forked,
	.loops = { BENCH_LOOPS_OF(x_raw), BENCH_LOOPS_OF(x_mixed), BENCH_LOOPS_OF(x_locked) },
	.threads = true,
	.processes = true,
};

/* ---- further figures ------------------------------------------------------------------------------------------ */

static double blocks(int fd)
{
	struct stat st;

	need(!fstat(fd, &st), "fstat");
	return (double)st.st_blocks * 512;
}

static double fill_fresh(long values, bool locked, double *bytes)
{
	struct over *o = over_new();
	unsigned c = cache_new();
	void **p = malloc((size_t)values * sizeof(*p));
	double t;

	flags = MALLOCX_ARENA(o->arena) | MALLOCX_TCACHE(c);
	memset(p, 0, (size_t)values * sizeof(*p));
	t = spent_ns();
	(locked ? x_locked_fill : x_raw_fill)(p, values);
	t = spent_ns() - t;
	*bytes = blocks(o->fd) / (double)values;
	(locked ? x_locked_empty : x_raw_empty)(p, values);
	JE(mallctl)("tcache.destroy", NULL, NULL, &c, sizeof(c));
	over_end(o);
	free(p);
	return t / (double)values;
}

double memfd_bytes(long values, bool locked)
{
	double bytes;

	fill_fresh(values, locked, &bytes);
	return bytes;
}

double memfd_create_each(long values)
{
	double bytes;

	return fill_fresh(values, false, &bytes);
}
