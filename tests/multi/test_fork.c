/* SPDX-License-Identifier: MIT */
/*
 * Forked processes, in all the ways in which Linux makes them: what the child may use, what it may not, what is the
 * parent's and stays the parent's; and arenas that come and go in parent and child.
 *
 * The tests about forking are run twice where the way of forking matters: by fork(), and by _Fork(), which runs no atfork handlers.
 */
#include "support/procs.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Available since glibc 2.34; where it is missing, fork() is tested twice. */
__attribute__((weak)) pid_t _Fork(void);

enum forking { BY_FORK, BY_RAW_FORK, WAYS_TO_FORK };

static pid_t fork_by(enum forking way)
{
	pid_t pid = way == BY_RAW_FORK && _Fork ? _Fork() : fork();

	NEED(pid >= 0, "fork");
	return pid;
}

static pid_t start_by(enum forking way, int (*body)(void *), void *arg)
{
	pid_t pid = fork_by(way);

	if (!pid)
		_exit(body(arg));
	return pid;
}

/* ---- simple children ------------------------------------------------------------------------------ */

struct family {
	shv_arena *a;
	shv_value *counter, *plain, *none;
	shv_value *array;
	shv_ref *refs; /* shared memory: what descendants made */
	int depth;
	enum forking way;
};

static struct family family_of(const char *name)
{
	struct family f = { .a = new_arena(name, 0) };

	f.counter = SHV_VALUE(f.a, int64_t, 0);
	f.plain = SHV_VALUE(f.a, int, 10, SHV_PLAIN);
	f.none = SHV_VALUE(f.a, int64_t, 0, SHV_NONE);
	f.array = shv_array_new(f.a, SHV_UINT64, 4, NULL, SHV_HANDOFF);
	ck_assert(f.counter && f.plain && f.none && f.array);
	f.refs = shared_memory(1024 * sizeof(shv_ref));
	return f;
}

/* Nothing that a child did may be left when the parent has freed what it knows and gone. */
static void family_ends(struct family *f)
{
	shv_arena *look = shv_arena_attach(shv_arena_fd(f->a), SHV_RDONLY);
	struct shv_stat st;

	ck_assert_ptr_nonnull(look);
	ck_assert_int_ge(shv_arena_recover(f->a, NULL), 0);
	need_sound(f->a, "after the children");
	free_everything(f->a);
	ck_assert_int_eq(shv_arena_trim(f->a), 0);
	ck_assert_int_eq(shv_arena_detach(f->a), 0);
	st = stat_of(look);
	ck_assert_uint_eq(st.objects, 0);
	ck_assert_uint_eq(pages_used(&st), 0);
	ck_assert_uint_eq(st.processes + st.processes_dead, 0);
	need_sound(look, "at the end");
	ck_assert_int_eq(shv_arena_detach(look), 0);
	shared_release(f->refs, 1024 * sizeof(shv_ref));
}

static int use_pointers(void *arg)
{
	struct family *f = arg;
	uint64_t four[4] = { 1, 2, 3, 4 };
	int64_t now = 0;
	int x = 0;

	for (int i = 0; i < 1000; i++)
		NEED(shv_add(f->counter, 1, &now) == 0, "add");
	NEED(now == 1000, "the counter says %lld", (long long)now);
	NEED(shv_get(f->plain, &x, sizeof(x)) == 0 && x == 10, "the parent's value reads %d", x);
	x = 11;
	NEED(shv_set(f->plain, &x, sizeof(x)) == 0, "set");
	NEED(shv_add(f->none, 5, NULL) == 0, "add without a lock");
	NEED(shv_acquire(f->array) == 0, "acquire");
	memcpy(shv_at(f->array, 0), four, sizeof(four));
	NEED(shv_release(f->array) == 0, "release");
	return 0;
}

START_TEST(child_uses_the_pointers_of_its_parent)
{
	struct family f = family_of("pointers");
	uint64_t four[4];
	int64_t n = 0;
	int x = 0;

	ck_assert_int_eq(finish(start_by((enum forking)_i, use_pointers, &f)), 0);
	ck_assert_int_eq(shv_get(f.counter, &n, sizeof(n)), 0);
	ck_assert_int_eq(n, 1000);
	ck_assert_int_eq(shv_get(f.plain, &x, sizeof(x)), 0);
	ck_assert_int_eq(x, 11);
	ck_assert_int_eq(shv_get(f.array, four, sizeof(four)), 0);
	ck_assert_uint_eq(four[3], 4);
	family_ends(&f);
}
END_TEST

/* Sizes from 8 bytes to 1 MiB, so that blocks of many classes and with extents of their own are among them. */
#define SOME 200
static size_t some_items(int i)
{
	return i % 50 == 0 ? 128 * 1024 : (size_t)(1 + i * i % 700);
}

static void make_some(shv_arena *a, shv_ref *refs, uint64_t salt)
{
	for (int i = 0; i < SOME; i++) {
		size_t n = some_items(i);
		uint64_t *p = shv_raw_array_new(a, SHV_UINT64, n, NULL);
		NEED(p, "an array of %zu", n);
		p[0] = salt + (uint64_t)i;
		p[n - 1] = n == 1 ? p[0] : ~(salt + (uint64_t)i);
		refs[i] = shv_ref_of(p);
		NEED(refs[i], "a reference");
	}
}

static void check_some(shv_arena *a, const shv_ref *refs, uint64_t salt, bool free_them)
{
	for (int i = 0; i < SOME; i++) {
		size_t n = some_items(i);
		uint64_t *p = shv_deref(a, refs[i]);
		NEED(p, "array %d is gone", i);
		NEED(shv_len((shv_value *)p) == n, "array %d has %zu items", i, shv_len((shv_value *)p));
		NEED(p[0] == salt + (uint64_t)i && (n == 1 || p[n - 1] == ~p[0]), "array %d: %llx ... %llx", i, (unsigned long long)p[0],
		     (unsigned long long)p[n - 1]);
		NEED(!free_them || shv_raw_free(p) == 0, "freeing array %d", i);
	}
}

static int make_and_leave(void *arg)
{
	struct family *f = arg;

	make_some(f->a, f->refs, 7000);
	return 0;
}

START_TEST(child_allocates_and_the_parent_frees)
{
	struct family f = family_of("allocates");
	shv_ref mine[SOME];

	make_some(f.a, mine, 1); /* caches and magazines are in use when the child takes its copy of them */
	check_some(f.a, mine, 1, true);
	make_some(f.a, mine, 2);
	ck_assert_int_eq(finish(start_by((enum forking)_i, make_and_leave, &f)), 0);
	check_some(f.a, f.refs, 7000, false);
	check_some(f.a, mine, 2, true);
	ck_assert_int_eq(shv_arena_recover(f.a, NULL), 1);
	need_sound(f.a, "with orphans");
	check_some(f.a, f.refs, 7000, true);
	family_ends(&f);
}
END_TEST

static int free_the_parents(void *arg)
{
	struct family *f = arg;

	check_some(f->a, f->refs, 99, true);
	return 0;
}

START_TEST(child_frees_what_the_parent_made)
{
	struct family f = family_of("frees");

	make_some(f.a, f.refs, 99);
	ck_assert_int_eq(finish(start_by((enum forking)_i, free_the_parents, &f)), 0);
	for (int i = 0; i < SOME; i++)
		ck_assert_ptr_null(shv_deref(f.a, f.refs[i]));
	make_some(f.a, f.refs, 100);
	check_some(f.a, f.refs, 100, true);
	family_ends(&f);
}
END_TEST

static int be_a_generation(void *arg)
{
	struct family *f = arg;
	shv_value *v = shv_value_new(f->a, SHV_INT, &f->depth, SHV_PLAIN);
	uint64_t *big = shv_raw_array_new(f->a, SHV_UINT64, 5000, NULL);

	NEED(v && big, "generation %d cannot allocate", f->depth);
	NEED(shv_add(f->counter, 1, NULL) == 0, "add");
	big[4999] = (uint64_t)f->depth;
	f->refs[2 * f->depth] = shv_ref_of(v);
	f->refs[2 * f->depth + 1] = shv_ref_of(big);
	if (++f->depth < (int)f->counter[0].generations_unused)
		return 0;
	return 0;
}
