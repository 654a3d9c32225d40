/* SPDX-License-Identifier: MIT */
/*
 * api.h -- what the black-box tests share: an arena for each test that must be sound when the test is over, assertions
 * about refusals, errands and contests of threads. Processes and meeting points are in support/procs.h.
 *
 * A test program has one source file, so what is here is static.
 */
#ifndef TESTS_API_API_H
#define TESTS_API_API_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "support/procs.h"
#include "support/sanitized.h"
#include "support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <shv/shv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline bool under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return preloaded && strstr(preloaded, "vgpreload");
}

/* Whether this process is as it is for users: limits, mappings and malloc are its own. */
static inline bool undisturbed(void)
{
	return !SANITIZED && !under_valgrind();
}

/* The call must return -code, and say something. */
#define assert_refused(call, code)                                                                                    \
	do {                                                                                                          \
		long refused_ = (long)(call);                                                                         \
		ck_assert_msg(refused_ == -(code), "%s returned %ld, not -%d (%s); last failure: %s", #call,          \
			      refused_, (code), strerror(code), shv_errmsg());                                        \
		ck_assert_msg(*shv_errmsg() != 0, "%s failed without a word", #call);                                 \
	} while (0)

/* The call must return NULL (or 0) with errno = code, and say something. */
#define assert_refused_null(call, code)                                                                               \
	do {                                                                                                          \
		errno = 0;                                                                                            \
		uintptr_t refused_ = (uintptr_t)(call);                                                               \
		int refused_errno_ = errno;                                                                           \
		ck_assert_msg(!refused_, "%s succeeded", #call);                                                      \
		ck_assert_msg(refused_errno_ == (code), "%s set errno to %d (%s), not %d (%s); last failure: %s",     \
			      #call, refused_errno_, strerror(refused_errno_), (code), strerror(code), shv_errmsg()); \
		ck_assert_msg(*shv_errmsg() != 0, "%s failed without a word", #call);                                 \
	} while (0)

#define assert_ok(call)                                                                                               \
	do {                                                                                                          \
		long ok_ = (long)(call);                                                                              \
		ck_assert_msg(ok_ == 0, "%s returned %ld; last failure: %s", #call, ok_, shv_errmsg());               \
	} while (0)

/* Evaluates to the pointer, which must not be NULL. */
#define made(call) ((__typeof__(call))(uintptr_t)made_pointer((call), #call, __FILE__, __LINE__))
static inline const void *made_pointer(const void *p, const char *call, const char *file, int line)
{
	ck_assert_msg(p != NULL, "%s:%d: %s: errno %d (%s); last failure: %s", file, line, call, errno, strerror(errno),
		      shv_errmsg());
	return p;
}

/* All lock parameters that need nothing else. */
static inline shv_lockspec plain_lockspec(unsigned i)
{
	switch (i) {
	case 0:
		return SHV_RECURSIVE;
	case 1:
		return SHV_PLAIN;
	case 2:
		return SHV_HANDOFF;
	default:
		return SHV_NONE;
	}
}
#define LOCKSPECS 4u /* plain_lockspec(0) to (3); the last one is SHV_NONE */
#define LOCKS 3u     /* those that are locks */

static inline void print_finding(void *ctx, const char *what)
{
	(void)ctx;
	fprintf(stderr, "# shv_check: %s\n", what);
}

static inline void assert_sound(shv_arena *a)
{
	int findings = shv_check(a, print_finding, NULL);

	ck_assert_msg(findings == 0, "shv_check returned %d", findings);
}

/* The arena of the test that runs; a test that detaches it sets it to NULL. */
static shv_arena *arena;

static inline void arena_setup(void)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = (size_t)1 << 30 };

	arena = made(shv_arena_create(&o));
}

static inline void arena_teardown(void)
{
	if (!arena)
		return;
	assert_sound(arena);
	assert_ok(shv_arena_detach(arena));
	arena = NULL;
}

/* A test case whose tests have an arena each. */
static inline TCase *arena_case(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, arena_setup, arena_teardown);
	suite_add_tcase(suite, tc);
	return tc;
}

static inline struct shv_stat arena_stat(shv_arena *a)
{
	struct shv_stat s = { .size = sizeof(s) };

	assert_ok(shv_stat(a, &s));
	return s;
}

/* How many times somebody holds the lock of v; 0 = free. */
static inline unsigned depth_of(shv_value *v)
{
	struct shv_holder h = { .size = sizeof(h) };
	int r = shv_value_holder(v, &h);

	ck_assert_msg(r == 0 || r == 1, "shv_value_holder returned %d: %s", r, shv_errmsg());
	return r ? h.depth : 0;
}

/* ---- errands: what a function of a value returns in a thread of its own, which then ends ---- */

struct errand {
	int (*what)(shv_value *v);
	shv_value *v;
	int result;
	pid_t tid;
	pthread_t thread;
};

static inline void *errand_run(void *arg)
{
	struct errand *e = arg;

	e->tid = (pid_t)syscall(SYS_gettid);
	e->result = e->what(e->v);
	return NULL;
}

static inline void errand_send(struct errand *e, int (*what)(shv_value *v), shv_value *v)
{
	*e = (struct errand){ .what = what, .v = v };
	ck_assert_int_eq(pthread_create(&e->thread, NULL, errand_run, e), 0);
}

static inline int errand_back(struct errand *e)
{
	ck_assert_int_eq(pthread_join(e->thread, NULL), 0);
	return e->result;
}

static inline int in_thread(int (*what)(shv_value *v), shv_value *v)
{
	struct errand e;

	errand_send(&e, what, v);
	return errand_back(&e);
}

/* ---- contests: whether there is ever more than one inside a lock ---- */

struct contest {
	shv_value *v;     /* of type long; starts with 0 */
	int turns;        /* of each contender */
	bool broken;      /* the lock is none: no plain accesses then, which a sanitizer would report */
	unsigned inside;
	unsigned crowded; /* times that one found another inside */
};

static inline void *contend(void *arg)
{
	struct contest *c = arg;
	long *total = shv_value_data(c->v);

	NEED(total, "shv_value_data");
	for (int i = 0; i < c->turns; i++) {
		long x;

		NEED(shv_acquire(c->v) == 0, "shv_acquire");
		if (__atomic_fetch_add(&c->inside, 1, __ATOMIC_RELAXED))
			__atomic_fetch_add(&c->crowded, 1, __ATOMIC_RELAXED);
		x = c->broken ? __atomic_load_n(total, __ATOMIC_RELAXED) : *total;
		if (i % (c->broken ? 16 : 256) == 0)
			sched_yield();
		if (c->broken)
			__atomic_store_n(total, x + 1, __ATOMIC_RELAXED);
		else
			*total = x + 1;
		__atomic_fetch_sub(&c->inside, 1, __ATOMIC_RELAXED);
		NEED(shv_release(c->v) == 0, "shv_release");
	}
	return NULL;
}

/* The same by n threads of this process at once. */
static inline void contend_by(struct contest *c, int n)
{
	pthread_t thread[16];

	NEED(n <= 16, "%d threads", n);
	for (int i = 0; i < n; i++)
		NEED(!pthread_create(&thread[i], NULL, contend, c), "pthread_create");
	for (int i = 0; i < n; i++)
		NEED(!pthread_join(thread[i], NULL), "pthread_join");
}

/* Without a lock: until somebody met another inside and a turn was lost. Chance says how soon; the test's time limit, how late. */
static inline void contend_until_crowded(struct contest *c, int n)
{
	long turns = 0;

	do {
		contend_by(c, n);
		turns += (long)n * c->turns;
	} while (!c->crowded || SHV_LOAD(c->v, long) >= turns);
}

#endif
