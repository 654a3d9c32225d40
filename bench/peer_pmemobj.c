/* SPDX-License-Identifier: MIT */
/*
 * libpmemobj: a pool in /dev/shm, its atomic pmemobj_alloc() and pmemobj_free() without transactions. main() switches the flushing of
 * caches off, which memory that is no storage has no need for: the most favourable way. With a lock: a long beside a PMEMmutex.
 */
#include "loops.h"

#include "have.h"

#include <math.h>

#if HAVE_PMEMOBJ

#include <libpmemobj.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct locked_long {
	PMEMmutex m; /* zeroed, it is initialised */
	long x;
};

static PMEMobjpool *pool;
static char path[64];

static int construct_long(PMEMobjpool *pop, void *p, void *arg)
{
	(void)pop;
	*(long *)p = *(long *)arg;
	return 0;
}
static int construct_locked(PMEMobjpool *pop, void *p, void *arg)
{
	(void)pop;
	memset(p, 0, sizeof(struct locked_long));
	((struct locked_long *)p)->x = *(long *)arg;
	return 0;
}

static PMEMobjpool *make_pool(const char *where, size_t bytes)
{
	unlink(where);
	return pmemobj_create(where, "bench", bytes, 0600);
}

static const char *obj_open(void)
{
	snprintf(path, sizeof(path), "/dev/shm/shv-bench-%d-pmemobj", (int)getpid());
	pool = make_pool(path, (size_t)1 << 30);
	if (!pool)
		return pmemobj_errormsg();
	unlink(path);
	return NULL;
}
static void obj_close(void)
{
	pmemobj_close(pool);
	pool = NULL;
}

static inline void *raw_make(size_t size, long x)
{
	PMEMoid oid;

	return pmemobj_alloc(pool, &oid, size, 1, construct_long, &x) ? NULL : pmemobj_direct(oid);
}
static inline void *mixed_make(size_t size, long x)
{
	PMEMoid oid;
	long *p;

	if (pmemobj_zalloc(pool, &oid, size, 2))
		return NULL;
	p = pmemobj_direct(oid);
	*p = x;
	return p;
}
static inline void *locked_make(size_t size, long x)
{
	PMEMoid oid;

	(void)size;
	return pmemobj_alloc(pool, &oid, sizeof(struct locked_long), 3, construct_locked, &x) ? NULL : pmemobj_direct(oid);
}
static inline long raw_read(const void *p)
{
	return *(const long *)p;
}
static inline long locked_read(const void *p)
{
	return ((const struct locked_long *)p)->x;
}
static inline void drop(void *p, size_t size)
{
	PMEMoid oid = pmemobj_oid(p);

	(void)size;
	pmemobj_free(&oid);
}

BENCH_LOOPS(obj_raw, SIZE_RAW, raw_make, raw_read, drop)
BENCH_LOOPS(obj_mixed, SIZE_MIXED, mixed_make, raw_read, drop)
BENCH_LOOPS(obj_locked, SIZE_LOCKED, locked_make, locked_read, drop)

struct peer peer_pmemobj = {
	.name = "libpmemobj",
	.open = obj_open,
	.close = obj_close,
	.loops = { BENCH_LOOPS_OF(obj_raw), BENCH_LOOPS_OF(obj_mixed), BENCH_LOOPS_OF(obj_locked) },
	.threads = true,
};

static PMEMobjpool *filled(const char *where, long values, bool locked)
{
	PMEMobjpool *was = pool, *made = make_pool(where, (size_t)values * 192 + ((size_t)64 << 20));

	if (!made)
		return NULL;
	pool = made;
	for (long i = 0; i < values; i++)
		need((locked ? locked_make : raw_make)(8, i) != NULL, "libpmemobj: no memory");
	pool = was;
	return made;
}

static void other_path(char *buf, size_t size, const char *what)
{
	snprintf(buf, size, "/dev/shm/shv-bench-%d-%s", (int)getpid(), what);
}

double pmemobj_bytes(long values, bool locked)
{
	char where[64];
	PMEMobjpool *p;
	uint64_t bytes = 0;
	int on = 1;

	other_path(where, sizeof(where), "bytes");
	p = make_pool(where, (size_t)values * 192 + ((size_t)64 << 20));
	unlink(where);
	if (!p)
		return NAN;
	pmemobj_ctl_set(p, "stats.enabled", &on);
	{
		PMEMobjpool *was = pool;
		pool = p;
		for (long i = 0; i < values; i++)
			need((locked ? locked_make : raw_make)(8, i) != NULL, "libpmemobj: no memory");
		pool = was;
	}
	if (pmemobj_ctl_get(p, "stats.heap.curr_allocated", &bytes))
		bytes = 0;
	pmemobj_close(p);
	return bytes ? (double)bytes / (double)values : NAN;
}

double pmemobj_attach(long values)
{
	double t, best = INFINITY;
	PMEMobjpool *p;
	char where[64];

	other_path(where, sizeof(where), "attach");
	p = filled(where, values, false);
	for (int i = 0; p && i < 3; i++) {
		pmemobj_close(p);
		t = spent_ns();
		p = pmemobj_open(where, "bench");
		t = spent_ns() - t;
		best = t < best ? t : best;
	}
	if (p)
		pmemobj_close(p);
	unlink(where);
	return p ? best : NAN;
}

double pmemobj_cold(void)
{
	char where[64];
	PMEMobjpool *p, *was = pool;
	double t = spent_ns();

	other_path(where, sizeof(where), "cold");
	p = pool = make_pool(where, (size_t)64 << 20);
	need(p && raw_make(8, 42), "libpmemobj: %s", pmemobj_errormsg());
	t = spent_ns() - t;
	pool = was;
	pmemobj_close(p);
	unlink(where);
	return t;
}

bool pmemobj_leave_pool(const char *where, long values)
{
	PMEMobjpool *p = filled(where, values, false);

	if (p)
		pmemobj_close(p);
	return p != NULL;
}

#else /* !HAVE_PMEMOBJ */

static const char *absent(void)
{
	return "libpmemobj was not there at build time (Debian: libpmemobj-dev)";
}
struct peer peer_pmemobj = { .name = "libpmemobj", .open = absent };
double pmemobj_bytes(long values, bool locked)
{
	(void)values, (void)locked;
	return NAN;
}
double pmemobj_attach(long values)
{
	(void)values;
	return NAN;
}
double pmemobj_cold(void)
{
	return NAN;
}
bool pmemobj_leave_pool(const char *where, long values)
{
	(void)where, (void)values;
	return false;
}

#endif
