/* SPDX-License-Identifier: MIT */
/*
 * What grows, or must not grow, with the number of values: memory, the cost of making one in a fresh arena, finding by name, attaching,
 * recovery of what a killed process had; and what comes back when all are freed. Each in an arena of its own.
 */
#include "bench.h"
#include "shv_arena.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static double blocks_of(shv_arena *a)
{
	struct stat st;

	need(!fstat(shv_arena_fd(a), &st), "fstat");
	return (double)st.st_blocks * 512;
}

static shv_arena *fresh(unsigned flags)
{
	struct shv_arena_options o = { .size = sizeof(o), .flags = flags };
	shv_arena *a = shv_arena_create(&o);

	need(a != NULL, "%s", shv_errmsg());
	return a;
}

static void *make(shv_arena *a, bool locked, long x)
{
	void *p = locked ? (void *)shv_value_new(a, SHV_LONG, &x, SHV_RECURSIVE) : shv_raw_new(a, SHV_LONG, &x);

	if (!p)
		need(false, "%s", shv_errmsg());
	return p;
}

/* n raw values in a and where they are, if wanted; ns each. */
static double fill(shv_arena *a, bool locked, long n, void **where)
{
	double t = spent_ns();

	if (where)
		for (long i = 0; i < n; i++)
			where[i] = make(a, locked, i);
	else
		for (long i = 0; i < n; i++)
			make(a, locked, i);
	return (spent_ns() - t) / (double)n;
}

static const char *named(const char *format, long n)
{
	static char text[8][48];
	static int next;
	char number[24];

	if (n % 1000000 == 0)
		snprintf(number, sizeof(number), "%ld,000,000", n / 1000000);
	else if (n % 1000 == 0)
		snprintf(number, sizeof(number), "%ld,000", n / 1000);
	else
		snprintf(number, sizeof(number), "%ld", n);
	next = (next + 1) % 8;
	snprintf(text[next], sizeof(text[next]), format, number); /* NOLINT: all formats are in this file */
	return text[next];
}

/* ---- memory and the cost of making ------------------------------------------------------------------------- */

static void create_at(long n)
{
	const char *work = named("create each, %s", n);
	int times = n <= 1000 ? 9 : n <= 100000 ? 5 : 3;
	shv_arena *first = fresh(SHV_POPULATE);

	/* Memory that the machine has touched before: else its host, if it has one, takes page faults that are nobody's here. */
	fill(first, false, n, NULL);
	need(!shv_arena_detach(first), "%s", shv_errmsg());
	/* Smaller sizes oftener, and all in turn. */
	for (int i = 0; i < (quick ? 1 : times); i++) {
		double faults;
		shv_arena *a = fresh(0);
		make(a, false, 0); /* the cold start is another figure */
		faults = page_faults();
		record(work, "libshv", fill(a, false, n, NULL));
		if (!i)
			record("page faults", named("libshv, %s", n), (page_faults() - faults) / (double)n);
		need(!shv_arena_detach(a), "%s", shv_errmsg());
		a = fresh(SHV_POPULATE);
		make(a, false, 0);
		record(work, "libshv, SHV_POPULATE", fill(a, false, n, NULL));
		need(!shv_arena_detach(a), "%s", shv_errmsg());
		record(work, "jemalloc on a memfd, explicit cache", memfd_create_each(n));
	}
}

/* The same memory a second time, when all pages are there: freed values stay in the caches of arena and jemalloc. */
static void create_again(long n)
{
	shv_arena *a = fresh(0);
	void **where = malloc((size_t)n * sizeof(*where));

	memset(where, 0, (size_t)n * sizeof(*where));
	for (int i = 0; i < 3; i++) {
		double t = fill(a, false, n, where);
		if (i)
			record(named("create each, %s", n), "libshv, memory that was used before", t);
		for (long k = 0; k < n; k++)
			shv_raw_free(where[k]);
	}
	free(where);
	need(!shv_arena_detach(a), "%s", shv_errmsg());
}

static void bytes_at(long n)
{
	for (int locked = 0; locked < 2; locked++) {
		const char *work = locked ? "locked bytes" : "raw bytes";
		shv_arena *a = fresh(0);
		fill(a, locked, n, NULL);
		record(work, named("libshv, %s", n), blocks_of(a) / (double)n);
		need(!shv_arena_detach(a), "%s", shv_errmsg());
		record(work, named("jemalloc on a memfd, %s", n), memfd_bytes(n, locked));
		record(work, named("Boost construct, %s", n), boost_bytes(n, locked));
		record(work, named("libpmemobj, %s", n), pmemobj_bytes(n, locked));
	}
}

void group_sizes(void)
{
	for (long n = 1000; n <= (quick ? 1000000 : 10000000); n *= 10)
		create_at(n);
	for (long n = 1000; n <= (quick ? 100000 : 1000000); n *= 10)
		create_again(n);
	bytes_at(100000);
	if (!quick)
		bytes_at(1000000);
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

#define FINDS 100000

static void names_at(long n, const char *work)
{
	shv_arena *a = fresh(0);
	char (*asked)[32] = malloc((size_t)FINDS * sizeof(*asked)), name[32];

	for (long i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "name-%ld", i);
		need(!shv_publish(make(a, false, i), name), "%s", shv_errmsg());
	}
	for (long i = 0; i < FINDS; i++)
		snprintf(asked[i], sizeof(asked[i]), "name-%ld", (i * 7919) % n);
	for (int pass = 0; pass < passes; pass++) {
		long sum = 0, wanted = 0;
		double t = spent_ns();
		for (long i = 0; i < FINDS; i++) {
			const long *p = shv_find(a, asked[i]);
			if (!p)
				need(false, "%s: %s", asked[i], shv_errmsg());
			sum += *p;
		}
		t = spent_ns() - t;
		for (long i = 0; i < FINDS; i++)
			wanted += (i * 7919) % n;
		need(sum == wanted, "names led to other values");
		record(work, "libshv", t / FINDS);
	}
	record(work, "Boost construct", boost_find(n, FINDS));
	free(asked);
	need(!shv_arena_detach(a), "%s", shv_errmsg());
}

void group_names(void)
{
	names_at(1000, "find, 1,000 names");
	if (quick)
		names_at(100000, "find, 100,000 names");
	else
		names_at(1000000, "find, a million names");
}

/* ---- attaching --------------------------------------------------------------------------------------------------- */

static double *answers;

/*
 * In a process of its own that first ends the membership that it has from its parent. answers[3]: attach for the first time, pages of program and
 * heap that it shares with its parent being copied on the way; then once more, [0]: attach, [1]: and one value, [2]: detach.
 */
static void attach_once(shv_arena *inherited, int fd)
{
	int status;
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (!pid) {
		double t;
		shv_arena *a;
		need(!shv_arena_detach(inherited), "%s", shv_errmsg());
		t = spent_ns();
		a = shv_arena_attach(fd, 0);
		answers[3] = spent_ns() - t;
		need(a != NULL, "%s", shv_errmsg());
		make(a, false, 1);
		need(!shv_arena_detach(a), "%s", shv_errmsg());
		t = spent_ns();
		a = shv_arena_attach(fd, 0);
		answers[0] = spent_ns() - t;
		need(a != NULL, "%s", shv_errmsg());
		make(a, false, 1);
		answers[1] = spent_ns() - t;
		t = spent_ns();
		need(!shv_arena_detach(a), "%s", shv_errmsg());
		answers[2] = spent_ns() - t;
		_exit(0);
	}
	need(waitpid(pid, &status, 0) == pid && !status, "attaching failed");
}

void group_attach(void)
{
	answers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(answers != MAP_FAILED, "mmap");
	for (long n = 1000; n <= (quick ? 1000000 : 10000000); n *= n == 1000 ? 1000 : 10) {
		shv_arena *a = fresh(0);
		int fd = dup(shv_arena_fd(a));
		fill(a, false, n, NULL);
		attach_once(a, fd);
		for (int i = 0; i < passes; i++) {
			attach_once(a, fd);
			record("attach", named("libshv, %s values", n), answers[0] / 1000);
			record("first attach", named("libshv, %s values", n), answers[3] / 1000);
			record("attach and make", named("libshv, %s values", n), answers[1] / 1000);
			record("detach", named("libshv, %s values", n), answers[2] / 1000);
		}
		close(fd);
		need(!shv_arena_detach(a), "%s", shv_errmsg());
	}
	for (long n = 1000; n <= (quick ? 1000 : 1000000); n *= 1000) {
		record("attach", named("Boost, %s values", n), boost_attach(n) / 1000);
		record("attach", named("libpmemobj, %s values", n), pmemobj_attach(n) / 1000);
	}
	munmap(answers, 4096);
}

/* ---- the ends of lives ---------------------------------------------------------------------------------------------- */

static void recovery(long n, bool locked)
{
	shv_arena *a = fresh(0);
	struct shv_recovery r = { .size = sizeof(r) };
	struct shv_stat st = { .size = sizeof(st) };
	int status;
	double t;
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (!pid) {
		fill(a, locked, n, NULL);
		kill(getpid(), SIGKILL);
	}
	need(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "the process to be killed ended by itself");
	t = spent_ns();
	need(shv_arena_recover(a, &r) == 1, "%s", shv_errmsg());
	t = spent_ns() - t;
	need(!shv_stat(a, &st) && st.objects == (uint64_t)n, "values were lost with their process");
	record("recovery", named(locked ? "libshv, %s locked" : "libshv, %s raw", n), t / 1e6);
	need(!shv_arena_detach(a), "%s", shv_errmsg());
}

static void given_back(long n)
{
	shv_arena *a = fresh(0);
	void **where = malloc((size_t)n * sizeof(*where));
	double full;

	fill(a, false, n, where);
	full = blocks_of(a);
	for (long i = 0; i < n; i++)
		need(!shv_raw_free(where[i]), "%s", shv_errmsg());
	need(!shv_arena_trim(a), "%s", shv_errmsg());
	record("given back", "libshv", 100 * (1 - blocks_of(a) / full));
	free(where);
	need(!shv_arena_detach(a), "%s", shv_errmsg());
}

static void cold_start(void)
{
	double t = spent_ns();
	shv_arena *a = shv_arena_create(NULL);
	shv_value *v = a ? SHV_VALUE(a, long, 42) : NULL;

	t = spent_ns() - t;
	need(v && SHV_LOAD(v, long) == 42, "%s", shv_errmsg());
	record("cold start", "libshv", t / 1000);
	need(!shv_arena_detach(a), "%s", shv_errmsg());
}

void group_lives(void)
{
	for (int i = 0; i < (quick ? 1 : 3); i++) {
		recovery(quick ? 100000 : 1000000, true);
		recovery(quick ? 100000 : 1000000, false);
		given_back(quick ? 100000 : 1000000);
	}
	for (int i = 0; i < passes; i++) {
		cold_start();
		record("cold start", "Boost construct", boost_cold() / 1000);
		record("cold start", "libpmemobj", pmemobj_cold() / 1000);
	}
}
