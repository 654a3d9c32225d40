/* SPDX-License-Identifier: MIT */
/* The same increment under different locks, by one process and by two; and reading and writing one value. */
#include "bench.h"
#include "mutex.h"
#include "shv_arena.h"

#include <errno.h>
#include <math.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>

static struct counters {
	struct mutex_value robust, plain;
	sem_t sem;
	long by_sem, by_atomic;
} *shared;
static shv_value *value;

static void add_to(shv_value *v, long n)
{
	while (n--)
		shv_add(v, 1, NULL);
}

static long add_shv(long n)
{
	add_to(value, n);
	return SHV_LOAD(value, long);
}

static long with_shv(long n)
{
	long *x = shv_value_data(value);

	for (long i = 0; i < n; i++)
		shv_with(value)
			++*x;
	return SHV_LOAD(value, long);
}

static long under(struct mutex_value *v, long n)
{
	for (long i = 0; i < n; i++) {
		pthread_mutex_lock(&v->m);
		v->x++;
		pthread_mutex_unlock(&v->m);
	}
	return v->x;
}
static long under_robust(long n)
{
	return under(&shared->robust, n);
}
static long under_plain(long n)
{
	return under(&shared->plain, n);
}
static long under_sem(long n)
{
	for (long i = 0; i < n; i++) {
		while (sem_wait(&shared->sem) && errno == EINTR)
			;
		shared->by_sem++;
		sem_post(&shared->sem);
	}
	return shared->by_sem;
}
static long atomically(long n)
{
	for (long i = 0; i < n; i++)
		__atomic_add_fetch(&shared->by_atomic, 1, __ATOMIC_RELAXED);
	return shared->by_atomic;
}
static long under_boost(long n)
{
	long sum;

	boost_increment(n, &sum);
	return sum;
}

static const struct way {
	const char *name;
	long (*add)(long n); /* n times; what the counter says then */
} ways[] = {
	{ "robust recursive pthread mutex", under_robust },
	{ "libshv shv_add", add_shv },
	{ "libshv shv_with", with_shv },
	{ "recursive pthread mutex", under_plain },
	{ "sem_t", under_sem },
	{ "Boost interprocess_recursive_mutex", under_boost },
	{ "atomic add, no lock", atomically },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))
#define INCREMENTS 200000

static void add_before(int side, void *ctx)
{
	(void)side;
	((const struct way *)ctx)->add(INCREMENTS / 20);
}
static void add_run(int side, void *ctx)
{
	(void)side;
	((const struct way *)ctx)->add(INCREMENTS);
}

static void make_shared(void)
{
	pthread_mutexattr_t attr;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(shared != MAP_FAILED, "mmap");
	mutex_value_init(&shared->robust, 0);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&shared->plain.m, &attr);
	sem_init(&shared->sem, 1, 1);
	value = SHV_VALUE(shv_arena_now, long, 0);
	need(value != NULL, "%s", shv_errmsg());
}

/* ---- two values, a process each ------------------------------------------------------------------------------- */

static void add_own_before(int side, void *ctx)
{
	add_to(((shv_value **)ctx)[side], INCREMENTS / 20);
}
static void add_own(int side, void *ctx)
{
	add_to(((shv_value **)ctx)[side], INCREMENTS);
}

/* Two whose locks lie in one cache line, or in none that anything else lies in. */
static void neighbours(const char *name, shv_lockspec lock, bool one_line)
{
	enum { TRIES = 100 };
	shv_value *all[TRIES], *v[2] = { NULL, NULL };
	double t;
	int n = 0;

	for (; n < TRIES && !v[1]; n++) {
		all[n] = shv_value_new(shv_arena_now, SHV_LONG, NULL, lock);
		need(all[n] != NULL, "%s", shv_errmsg());
		for (int k = 0; k < n; k++)
			if (((uintptr_t)all[k] - 16) / 64 == ((uintptr_t)all[n] - 16) / 64 || !one_line) {
				v[0] = all[k];
				v[1] = all[n];
			}
	}
	need(v[1] != NULL, "no two values in one cache line");
	t = two_sides(false, 2, add_own_before, add_own, v);
	for (int k = 0; k < 2; k++)
		need(SHV_LOAD(v[k], long) == INCREMENTS + INCREMENTS / 20, "%s: increments were lost", name);
	record("neighbours", name, t / (2.0 * INCREMENTS));
	while (n--)
		need(!shv_value_free(all[n]), "%s", shv_errmsg());
}

void group_locks(void)
{
	if (!shared)
		make_shared();
	for (int pass = 0; pass < passes; pass++) {
		neighbours("libshv, in one cache line", SHV_RECURSIVE, true);
		neighbours("libshv, shv_aligned()", shv_aligned(SHV_RECURSIVE), false);
	}
	for (int pass = 0; pass < passes; pass++)
		for (size_t k = 0; k < WAYS; k++) {
			bool boost = ways[k].add == under_boost;
			long was, is;
			double t;
			if (boost && peer_boost.missing)
				continue;
			for (int sides = 1; sides <= 2; sides++) {
				was = ways[k].add(0);
				t = two_sides(false, sides, add_before, add_run, (void *)&ways[k]);
				is = ways[k].add(0);
				need(is - was == sides * (INCREMENTS + INCREMENTS / 20), "%s: %ld increments were lost", ways[k].name,
				     sides * (INCREMENTS + INCREMENTS / 20L) - (is - was));
				record(sides == 1 ? "increment" : "increment by 2", ways[k].name, t / ((double)INCREMENTS * sides));
			}
		}
	for (int pass = 0; pass < (quick ? 1 : 3); pass++) {
		record("increment", "CPython with get_lock()", cpython_increment(1));
		record("increment by 2", "CPython with get_lock()", cpython_increment(2));
	}
}

/* ---- access to one value -------------------------------------------------------------------------------------- */

#define ACCESSES 200000

#define MEASURE(label, ...)                                             \
	do {                                                            \
		double t_ = spent_ns();                                   \
		for (long i = 0; i < ACCESSES; i++)                     \
			__VA_ARGS__;                                    \
		record("access", label, (spent_ns() - t_) / ACCESSES);    \
	} while (0)

void group_access(void)
{
	long x = 0, sum = 0;
	double *raw;
	shv_value *bare;
	shv_ref ref;

	if (!shared)
		make_shared();
	raw = shv_raw_new(shv_arena_now, SHV_DOUBLE, NULL);
	bare = SHV_VALUE(shv_arena_now, long, 7, SHV_NONE);
	need(raw && bare, "%s", shv_errmsg());
	ref = shv_ref_of(value);
	need(!SHV_STORE(value, long, 7), "%s", shv_errmsg());
	for (int pass = 0; pass < passes; pass++) {
		sum = 0;
		MEASURE("shv_get, recursive", sum += !shv_get(value, &x, sizeof(x)) ? x : 0);
		need(sum == 7 * ACCESSES, "a sum is wrong");
		MEASURE("shv_set, recursive", x = 7, need(!shv_set(value, &x, sizeof(x)), "%s", shv_errmsg()));
		sum = 0;
		MEASURE("shv_peek, recursive", sum += !shv_peek(value, &x, sizeof(x)) ? x : 0);
		need(sum == 7 * ACCESSES, "a sum is wrong");
		sum = 0;
		MEASURE("SHV_LOAD, recursive", sum += SHV_LOAD(value, long));
		need(sum == 7 * ACCESSES, "a sum is wrong");
		sum = 0;
		MEASURE("shv_get, no lock", sum += !shv_get(bare, &x, sizeof(x)) ? x : 0);
		need(sum == 7 * ACCESSES, "a sum is wrong");
		MEASURE("shv_deref", need(shv_deref(shv_arena_now, ref) == value, "a reference names another value"));
		MEASURE("shv_ref_of", need(shv_ref_of(value) == ref, "a value has another reference"));
		MEASURE("shv_acquire and shv_release", need(!shv_acquire(value) && !shv_release(value), "%s", shv_errmsg()));
	}
	shv_raw_free(raw);
	shv_value_free(bare);
}
