/* SPDX-License-Identifier: MIT */
/*
 * Forked processes, in all the ways in which Linux makes them: what the child may use, what it may not, what is the
 * parent's and stays the parent's; and arenas that come and go in parent and child.
 *
 * The tests about forking are run twice where the way of forking matters: by fork(), and by _Fork(), which runs no atfork handlers.
 */
#define _GNU_SOURCE

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
	enum forking way;
	int depth, depths; /* generations */
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

/* Every third generation only passes the arena on and never calls the library. */
static bool idle_generation(int depth)
{
	return depth % 3 == 2;
}

static int be_a_generation(void *arg)
{
	struct family *f = arg;
	int me = f->depth++, status;
	pid_t next;

	if (!idle_generation(me)) {
		shv_value *v = shv_value_new(f->a, SHV_INT, &me, SHV_PLAIN);
		uint64_t *big = shv_raw_array_new(f->a, SHV_UINT64, 5000, NULL);

		NEED(v && big, "generation %d cannot allocate", me);
		NEED(shv_add(f->counter, 1, NULL) == 0, "add");
		big[4999] = (uint64_t)me;
		f->refs[2 * me] = shv_ref_of(v);
		f->refs[2 * me + 1] = shv_ref_of(big);
	}
	if (f->depth == f->depths)
		return 0;
	next = start_by(f->way, be_a_generation, f);
	status = finish(next);
	if (status < 0)
		fprintf(stderr, "generation %d was killed by signal %d\n", me + 1, -status);
	return status ? NEED_FAILED : 0;
}

START_TEST(generation_after_generation)
{
	struct family f = family_of("generations");
	int64_t n = 0, expected = 0;

	f.way = (enum forking)_i;
	f.depths = 50;
	ck_assert_int_eq(finish(start_by(f.way, be_a_generation, &f)), 0);
	for (int i = 0; i < f.depths; i++) {
		if (idle_generation(i))
			continue;
		shv_value *v = shv_deref(f.a, f.refs[2 * i]);
		uint64_t *big = shv_deref(f.a, f.refs[2 * i + 1]);
		ck_assert(v && big);
		ck_assert_int_eq(SHV_LOAD(v, int), i);
		ck_assert_uint_eq(big[4999], (uint64_t)i);
		expected++;
	}
	ck_assert_int_eq(shv_get(f.counter, &n, sizeof(n)), 0);
	ck_assert_int_eq(n, expected);
	ck_assert_int_eq(shv_arena_recover(f.a, NULL), (int)expected);
	family_ends(&f);
}
END_TEST

/* ---- a child that outlives its parent --------------------------------------------------------------- */

struct legacy {
	struct family f;
	struct gate *made, *dead, *done; /* shared memory */
	bool early;                      /* the grandchild is a member before its parent dies */
	pid_t *grandchild;               /* shared memory */
};

static int survive(struct legacy *l)
{
	int r;

	if (l->early)
		NEED(shv_add(l->f.counter, 1, NULL) == 0, "add");
	gate_add(l->made, 1);
	gate_wait(l->dead, 1);
	r = shv_acquire(l->f.plain);
	NEED(r == SHV_RECOVERED, "the lock that the parent held when it died: %d", r);
	NEED(shv_release(l->f.plain) == 0, "release");
	check_some(l->f.a, l->f.refs, 55, true);
	make_some(l->f.a, l->f.refs, 56);
	NEED(shv_add(l->f.counter, 1, NULL) == 0, "add");
	gate_add(l->done, 1);
	gate_wait(l->dead, 2);
	return 0;
}

static int leave_a_child(void *arg)
{
	struct legacy *l = arg;
	pid_t pid;

	make_some(l->f.a, l->f.refs, 55);
	NEED(shv_acquire(l->f.plain) == 0, "acquire");
	pid = fork_by(l->f.way);
	if (!pid)
		_exit(survive(l));
	*l->grandchild = pid;
	gate_add(l->made, 1);
	gate_wait(l->dead, 1000); /* killed here */
	return 1;
}

static bool alive(shv_arena *a, pid_t pid)
{
	struct shv_process_info info = { .size = sizeof(info) };
	uint64_t cursor = 0;

	while (shv_process_next(a, &cursor, &info) == 1)
		if (info.pid == pid)
			return info.alive;
	return false;
}

START_TEST(child_outlives_its_parent)
{
	struct legacy l = { .f = family_of("legacy"), .early = _i & 1 };
	struct { struct gate made, dead, done; pid_t grandchild; } *s = shared_memory(sizeof(*s));
	struct shv_recovery found = { .size = sizeof(found) };
	pid_t parent;

	l.f.way = (enum forking)(_i >> 1);
	l.made = &s->made;
	l.dead = &s->dead;
	l.done = &s->done;
	l.grandchild = &s->grandchild;
	/* What has lost its parent becomes a child of this process, which can then wait for it. */
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	parent = start(leave_a_child, &l);
	gate_wait(l.made, 2); /* both say so */
	ck_assert(alive(l.f.a, parent));
	slay(parent);
	ck_assert(!alive(l.f.a, parent));
	ck_assert_int_eq(alive(l.f.a, s->grandchild), l.early);
	if (l.early) {
		ck_assert_int_eq(shv_arena_recover(l.f.a, &found), 1);
		ck_assert_uint_eq(found.locks_abandoned, 1);
		ck_assert(alive(l.f.a, s->grandchild));
		need_sound(l.f.a, "after the parent's death");
	}
	gate_add(l.dead, 1);
	gate_wait(l.done, 1);
	ck_assert(alive(l.f.a, s->grandchild));
	ck_assert_int_eq(shv_arena_recover(l.f.a, NULL), 0); /* the child did it when it met the pages of the dead */
	check_some(l.f.a, l.f.refs, 56, true);
	gate_add(l.dead, 1);
	ck_assert_int_eq(finish(s->grandchild), 0);
	ck_assert_int_eq(shv_arena_recover(l.f.a, NULL), 1);
	family_ends(&l.f);
	shared_release(s, sizeof(*s));
}
END_TEST

/* ---- other programs --------------------------------------------------------------------------------- */

/* argv: FD. Attaches, uses what is there, leaves something behind, ends without a detach. */
static int member_main(const char *fd)
{
	shv_arena *a = shv_arena_attach(atoi(fd), 0);
	shv_value *counter, *left;

	NEED(a, "attaching to descriptor %s", fd);
	counter = shv_find(a, "counter");
	NEED(counter, "finding the counter");
	for (int i = 0; i < 1000; i++)
		NEED(shv_add(counter, 1, NULL) == 0, "add");
	left = shv_find_or_new(a, "left", SHV_INT64, NULL, SHV_PLAIN, NULL);
	NEED(left && shv_add(left, 1, NULL) == 0, "leaving a value");
	return 0;
}

enum starting { BY_SPAWN, BY_VFORK, BY_FORK_AND_EXEC, WAYS_TO_START };

static pid_t start_program(enum starting way, const char *mode, const char *arg1, const char *arg2)
{
	char *argv[] = { (char *)"test_fork", (char *)(uintptr_t)mode, (char *)(uintptr_t)arg1, (char *)(uintptr_t)arg2, NULL };
	pid_t pid = -1;

	switch (way) {
	case BY_SPAWN:
		NEED(!posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), "posix_spawn");
		break;
	case BY_VFORK:
		pid = vfork();
		if (!pid) {
			execve("/proc/self/exe", argv, environ);
			_exit(NEED_FAILED);
		}
		break;
	default:
		pid = fork();
		if (!pid) {
			execve("/proc/self/exe", argv, environ);
			_exit(NEED_FAILED);
		}
	}
	NEED(pid > 0, "starting a program");
	return pid;
}

START_TEST(program_attaches_by_an_inherited_descriptor)
{
	struct family f = family_of("exec");
	int fd = inheritable_fd(f.a);
	char number[16];
	int64_t n = 0;
	shv_value *left;

	snprintf(number, sizeof(number), "%d", fd);
	ck_assert_int_eq(shv_publish(f.counter, "counter"), 0);
	for (int k = 1; k <= 3; k++) {
		ck_assert_int_eq(finish(start_program((enum starting)_i, "member", number, NULL)), 0);
		ck_assert_int_eq(shv_get(f.counter, &n, sizeof(n)), 0);
		ck_assert_int_eq(n, k * 1000);
		left = shv_find(f.a, "left");
		ck_assert_ptr_nonnull(left);
		ck_assert_int_eq(SHV_LOAD(left, int64_t), k);
		/* The programs end without a detach; each recovers the one before it as it attaches, but for the last. */
		if (k != 2)
			ck_assert_int_eq(shv_arena_recover(f.a, NULL), 1);
	}
	close(fd);
	family_ends(&f);
}
END_TEST

/* argv: two descriptors. Says that it runs, ends when nobody writes to it any more. */
static int bystander_main(const char *say, const char *listen)
{
	char c = 'x';

	NEED(write(atoi(say), &c, 1) == 1, "saying that the program runs");
	close(atoi(say));
	return read(atoi(listen), &c, 1) == 0 ? 0 : 1;
}

START_TEST(exec_ends_the_membership)
{
	struct family f = family_of("exec-ends");
	struct shv_holder who = { .size = sizeof(who) };
	int here[2], there[2], r;
	char say[16], listen[16], c;
	shv_ref *made = f.refs;
	pid_t pid;

	ck_assert_int_eq(pipe(here), 0);
	ck_assert_int_eq(pipe(there), 0);
	snprintf(say, sizeof(say), "%d", here[1]);
	snprintf(listen, sizeof(listen), "%d", there[0]);
	pid = fork();
	if (!pid) {
		char *argv[] = { (char *)"test_fork", (char *)"bystander", say, listen, NULL };
		make_some(f.a, made, 3);
		NEED(shv_acquire(f.plain) == 0, "acquire");
		close(there[1]);
		execve("/proc/self/exe", argv, environ);
		_exit(NEED_FAILED);
	}
	close(here[1]);
	ck_assert_int_eq(read(here[0], &c, 1), 1);
	/* The process is there, but no longer as a member. */
	ck_assert_int_eq(kill(pid, 0), 0);
	ck_assert(!alive(f.a, pid));
	r = shv_acquire(f.plain);
	ck_assert_int_eq(r, SHV_RECOVERED);
	ck_assert_int_eq(shv_last_holder(f.plain, &who), 0);
	ck_assert_int_eq(who.pid, pid);
	ck_assert_int_eq(shv_release(f.plain), 0);
	check_some(f.a, made, 3, true);
	close(there[1]);
	ck_assert_int_eq(finish(pid), 0);
	close(here[0]);
	close(there[0]);
	family_ends(&f);
}
END_TEST

/* ---- forks while other threads are inside --------------------------------------------------------------- */

struct crowd {
	struct family f;
	shv_lock *lock;
	shv_value *sharer;
	bool stop;
	struct gate rolling; /* once for each thread that is at work */
};

static bool stopped(struct crowd *c)
{
	return __atomic_load_n(&c->stop, __ATOMIC_ACQUIRE);
}

static void *churn(void *arg)
{
	struct crowd *c = arg;
	void *kept[64] = { 0 };

	for (unsigned i = 0; !stopped(c); i++) {
		void **place = &kept[i % 64];
		NEED(!*place || shv_raw_free(*place) == 0, "free");
		/* Mostly small, now and then one that takes an extent of its own, so that the thread is often in the pool. */
		*place = shv_raw_array_new(c->f.a, SHV_UINT64, i % 7 == 0 ? 30000 : 1 + i % 300, NULL);
		NEED(*place, "create");
		if (i % 500 == 499)
			NEED(shv_arena_trim(c->f.a) == 0, "trim");
		if (i == 64)
			gate_add(&c->rolling, 1);
	}
	for (unsigned i = 0; i < 64; i++)
		NEED(!kept[i] || shv_raw_free(kept[i]) == 0, "free");
	return NULL;
}

static void *lock_and_name(void *arg)
{
	struct crowd *c = arg;

	for (unsigned i = 0; !stopped(c); i++) {
		char name[32];
		shv_value *v = shv_value_new(c->f.a, SHV_UINT, &i, SHV_PLAIN);
		snprintf(name, sizeof(name), "parent-%lx-%u", (unsigned long)pthread_self(), i % 10);
		NEED(v && shv_publish(v, name) == 0, "publish");
		NEED(shv_acquire(c->f.counter) == 0, "acquire");
		NEED(shv_acquire(c->f.counter) == 0, "acquire again");
		NEED(shv_lock_acquire(c->lock) == 0, "acquire the shared lock");
		NEED(shv_add(c->f.none, 1, NULL) == 0, "add");
		NEED(shv_lock_release(c->lock) == 0, "release");
		NEED(shv_release(c->f.counter) == 0 && shv_release(c->f.counter) == 0, "release");
		NEED(shv_value_free(v) == 0, "free");
		if (i == 10)
			gate_add(&c->rolling, 1);
	}
	return NULL;
}

static int amid_the_crowd(struct crowd *c, int round)
{
	shv_ref refs[SOME];
	shv_value *own;
	char name[32];

	make_some(c->f.a, refs, (uint64_t)round);
	own = SHV_VALUE(c->f.a, int, round);
	NEED(own && shv_acquire(own) == 0 && shv_acquire(own) == 0, "a lock of one's own");
	NEED(shv_release(own) == 0 && shv_release(own) == 0, "release");
	snprintf(name, sizeof(name), "child-%d", round);
	NEED(shv_publish(own, name) == 0 && shv_find(c->f.a, name) == own, "publish");
	/* These are contended by the parent's threads, which go on. */
	NEED(shv_acquire(c->f.counter) == 0, "the parent's lock");
	NEED(shv_release(c->f.counter) == 0, "release");
	NEED(shv_add(c->sharer, 1, NULL) == 0, "a value with the shared lock");
	check_some(c->f.a, refs, (uint64_t)round, true);
	NEED(shv_value_free(own) == 0, "free");
	return round & 1 ? 0 : -shv_arena_detach(c->f.a);
}

START_TEST(fork_while_other_threads_are_inside)
{
	const int rounds = 200;
	struct crowd c = { .f = { .a = new_arena("crowd", 8) } };
	pthread_t threads[4];
	int64_t n = 0;

	c.f.counter = SHV_VALUE(c.f.a, int64_t, 0);
	c.f.none = SHV_VALUE(c.f.a, int64_t, 0, SHV_NONE);
	c.lock = shv_lock_new(c.f.a, SHV_PLAIN);
	c.sharer = shv_value_new(c.f.a, SHV_INT64, NULL, SHV_SHARED(c.lock));
	c.f.refs = shared_memory(1024 * sizeof(shv_ref));
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, i % 2 ? lock_and_name : churn, &c), 0);
	gate_wait(&c.rolling, 4);
	for (int round = 0; round < rounds; round++) {
		pid_t pid = fork();
		ck_assert_int_ge(pid, 0);
		if (!pid)
			_exit(amid_the_crowd(&c, round));
		int status = finish(pid);
		ck_assert_msg(status == 0, "the child of round %d failed: %d", round, status);
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(shv_get(c.sharer, &n, sizeof(n)), 0);
	ck_assert_int_eq(n, rounds);
	ck_assert_int_eq(shv_value_free(c.sharer), 0);
	ck_assert_int_eq(shv_lock_free(c.lock), 0);
	family_ends(&c.f);
}
END_TEST

/* ---- the parent's free memory is not the child's ----------------------------------------------------------- */

#define HEAP_ITEMS (1u << 20) /* 8 MiB each */
#define HEAPS 8u

struct tenants {
	struct family f;
	struct gate purged, filled, done;
};

static void fill(shv_arena *a, shv_ref *refs, uint64_t mark)
{
	for (unsigned h = 0; h < HEAPS; h++) {
		uint64_t *p = shv_raw_array_new(a, SHV_UINT64, HEAP_ITEMS, NULL);
		NEED(p, "8 MiB");
		for (unsigned i = 0; i < HEAP_ITEMS; i += 64) {
			NEED(!p[i], "new memory is not zero");
			p[i] = mark + i;
		}
		refs[h] = shv_ref_of(p);
	}
}

static void verify(shv_arena *a, const shv_ref *refs, uint64_t mark)
{
	for (unsigned h = 0; h < HEAPS; h++) {
		uint64_t *p = shv_deref(a, refs[h]);
		NEED(p, "an array of 8 MiB is gone");
		for (unsigned i = 0; i < HEAP_ITEMS; i += 64)
			NEED(p[i] == mark + i, "word %u is %llx, not %llx", i, (unsigned long long)p[i], (unsigned long long)(mark + i));
		NEED(shv_raw_free(p) == 0, "free");
	}
}

static int move_in(void *arg)
{
	struct tenants *t = arg;

	gate_wait(&t->purged, 1);
	fill(t->f.a, t->f.refs, UINT64_C(0xc0000000));
	make_some(t->f.a, t->f.refs + HEAPS, 0xcc);
	gate_add(&t->filled, 1);
	gate_wait(&t->done, 1);
	check_some(t->f.a, t->f.refs + HEAPS, 0xcc, true);
	verify(t->f.a, t->f.refs, UINT64_C(0xc0000000));
	return 0;
}

START_TEST(pages_that_the_parent_purges_after_fork)
{
	struct tenants *t = shared_memory(sizeof(*t));
	bool purge = _i & 1;
	shv_ref mine[HEAPS], some[SOME];
	pid_t pid;

	t->f = family_of("tenants");
	fill(t->f.a, mine, 1);
	make_some(t->f.a, some, 1);
	check_some(t->f.a, some, 1, true);
	verify(t->f.a, mine, 1);
	/* Now the parent's heap knows of much free memory, and the child gets a copy of what it knows. */
	pid = start_by((enum forking)(_i >> 1), move_in, t);
	if (purge)
		ck_assert_int_eq(shv_arena_trim(t->f.a), 0);
	gate_add(&t->purged, 1);
	if (purge)
		gate_wait(&t->filled, 1); /* the child has what was purged; else both take at once */
	fill(t->f.a, mine, UINT64_C(0xa0000000));
	make_some(t->f.a, some, 0xaa);
	gate_wait(&t->filled, 1);
	need_sound(t->f.a, "both have filled their memory");
	gate_add(&t->done, 1);
	check_some(t->f.a, some, 0xaa, true);
	verify(t->f.a, mine, UINT64_C(0xa0000000));
	ck_assert_int_eq(finish(pid), 0);
	family_ends(&t->f);
	shared_release(t, sizeof(*t));
}
END_TEST

/* ---- forks inside a locked region --------------------------------------------------------------------------- */

static int have_no_lock(void *arg)
{
	struct family *f = arg;
	shv_value *v = shv_deref(f->a, f->refs[0]);
	struct timespec soon = { 0, 1000000 };
	bool handoff = f->depth == SHV_LOCK_HANDOFF;
	int r;

	NEED(v, "the parent's value");
	r = shv_try_acquire(v);
	NEED(r == -EBUSY, "try in the child: %d", r);
	r = shv_acquire_for(v, &soon);
	NEED(r == -ETIMEDOUT, "timed acquire in the child: %d", r);
	r = shv_value_free(v);
	NEED(r == -EBUSY, "free in the child: %d", r);
	r = shv_release(v);
	NEED(r == (handoff ? 0 : -EPERM), "release in the child: %d", r);
	return 0;
}

START_TEST(child_of_a_locked_region_holds_nothing)
{
	struct family f = family_of("locked");
	const shv_lockspec specs[] = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF };
	enum forking way = (enum forking)(_i & 1);
	shv_value *v;

	f.depth = (int)specs[_i >> 1].kind;
	v = shv_value_new(f.a, SHV_INT, NULL, specs[_i >> 1]);
	f.refs[0] = shv_ref_of(v);
	ck_assert_int_eq(shv_acquire(v), 0);
	if (f.depth == SHV_LOCK_RECURSIVE)
		ck_assert_int_eq(shv_acquire(v), 0);
	ck_assert_int_eq(finish(start_by(way, have_no_lock, &f)), 0);
	if (f.depth == SHV_LOCK_HANDOFF) {
		ck_assert_int_eq(shv_release(v), -EPERM); /* the child gave it back, as anybody may */
	} else {
		struct shv_holder h = { .size = sizeof(h) };
		ck_assert_int_eq(shv_arena_recover(f.a, NULL), 1); /* the child's death is not that of the holder */
		ck_assert_int_eq(shv_value_holder(v, &h), 1);
		ck_assert_int_eq(h.pid, getpid());
		ck_assert_uint_eq(h.depth, f.depth == SHV_LOCK_RECURSIVE ? 2 : 1);
		ck_assert_int_eq(shv_release(v), 0);
		if (f.depth == SHV_LOCK_RECURSIVE)
			ck_assert_int_eq(shv_release(v), 0);
		ck_assert_int_eq(shv_release(v), -EPERM);
	}
	ck_assert_int_eq(shv_try_acquire(v), 0);
	ck_assert_int_eq(shv_release(v), 0);
	family_ends(&f);
}
END_TEST

START_TEST(guard_in_a_forked_child_releases_nothing)
{
	struct family f = family_of("guard");
	int fate = -1;

	shv_with (f.plain) {
		pid_t pid = fork();
		if (!pid)
			goto child;
		fate = finish(pid);
		ck_assert_int_eq(shv_try_acquire(f.plain), -EDEADLK); /* still ours */
	}
	ck_assert_int_eq(fate, 0);
	ck_assert_int_eq(shv_try_acquire(f.plain), 0);
	ck_assert_int_eq(shv_release(f.plain), 0);
	family_ends(&f);
	return;
child: /* the guard was left on the way here */
	_exit(shv_try_acquire(f.plain) == -EBUSY ? 0 : 1);
}
END_TEST

/* ---- values made while a thread ends --------------------------------------------------------------------------- */

struct late {
	struct family f;
	pthread_key_t before, after, again;
	int made;
};
static __thread unsigned again_left;

static void make_late(struct late *l)
{
	shv_value *v = SHV_VALUE(l->f.a, int, l->made);
	void *raw = shv_raw_array_new(l->f.a, SHV_UINT64, 100, NULL);

	NEED(v && raw, "creating in a destructor");
	NEED(shv_arena_of(v) == l->f.a && shv_arena_of(raw) == l->f.a, "memory from somewhere else");
	NEED(shv_acquire(v) == 0 && shv_release(v) == 0, "locking in a destructor");
	NEED(shv_raw_free(raw) == 0, "freeing in a destructor");
	l->f.refs[__atomic_fetch_add(&l->made, 1, __ATOMIC_RELAXED)] = shv_ref_of(v);
}

static struct late *late; /* of this test */

static void late_once(void *arg)
{
	(void)arg;
	make_late(late);
}

static void late_again(void *arg)
{
	make_late(late);
	if (--again_left)
		pthread_setspecific(late->again, arg); /* glibc comes back up to 4 times */
}

static void *end_late(void *arg)
{
	struct late *l = arg;

	again_left = 4;
	pthread_setspecific(l->before, l);
	pthread_setspecific(l->after, l);
	pthread_setspecific(l->again, l);
	make_late(l);
	return NULL;
}

START_TEST(values_made_in_destructors_of_thread_keys)
{
	struct late l = { 0 };
	struct shv_stat st;
	const int threads = 20;

	late = &l;
	/* Destructors run in the order of the keys. The library makes its own at its first use in this process. */
	ck_assert_int_eq(pthread_key_create(&l.before, late_once), 0);
	l.f = family_of("late");
	ck_assert_int_eq(pthread_key_create(&l.after, late_once), 0);
	ck_assert_int_eq(pthread_key_create(&l.again, late_again), 0);
	for (int t = 0; t < threads; t++) {
		pthread_t thread;
		ck_assert_int_eq(pthread_create(&thread, NULL, end_late, &l), 0);
		pthread_join(thread, NULL);
	}
	ck_assert_int_eq(l.made, threads * (1 + 1 + 1 + 4));
	for (int i = 0; i < l.made; i++) {
		shv_value *v = shv_deref(l.f.a, l.f.refs[i]);
		ck_assert_ptr_nonnull(v);
		ck_assert_int_eq(shv_try_acquire(v), 0);
		ck_assert_int_eq(shv_release(v), 0);
	}
	need_sound(l.f.a, "after the threads");
	st = stat_of(l.f.a);
	ck_assert_uint_eq(st.objects, (uint64_t)l.made + 4);
	family_ends(&l.f);
	pthread_key_delete(l.before);
	pthread_key_delete(l.after);
	pthread_key_delete(l.again);
}
END_TEST

/* ---- detach and attach --------------------------------------------------------------------------------------------- */

#define IDLERS 3

struct changing {
	shv_arena *a;             /* the present attachment */
	struct meeting turn;      /* all threads, and the main one */
	unsigned rounds;
};

/* Fills this thread's caches and magazines: what is freed stays in them. */
static void fill_caches(shv_arena *a)
{
	void *p[600];

	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 600; i++) {
			p[i] = i % 3 ? shv_raw_array_new(a, SHV_UINT64, i % 200, NULL) : (void *)SHV_VALUE(a, unsigned, i);
			NEED(p[i], "create");
		}
		for (unsigned i = 0; i < 600; i++)
			NEED((i % 3 ? shv_raw_free(p[i]) : shv_value_free(p[i])) == 0, "free");
	}
}

static void *idle_with_full_caches(void *arg)
{
	struct changing *c = arg;

	for (unsigned r = 0; r < c->rounds; r++) {
		fill_caches(c->a);
		meet(&c->turn); /* all caches are full: main detaches */
		meet(&c->turn); /* main has attached again */
	}
	fill_caches(c->a);
	return NULL;
}

START_TEST(detach_with_full_caches_then_attach_again)
{
	struct changing c = { .rounds = 30, .turn.parties = IDLERS + 1 };
	pthread_t threads[IDLERS];
	struct shv_stat st;
	unsigned fds = 0, maps = 0;
	shv_arena *look;
	int fd;

	c.a = new_arena("changing", 0);
	fd = dup(shv_arena_fd(c.a));
	for (int i = 0; i < IDLERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, idle_with_full_caches, &c), 0);
	for (unsigned r = 0; r < c.rounds; r++) {
		shv_arena *other = r % 3 == 1 ? new_arena("meanwhile", 0) : NULL;
		void *kept = shv_raw_array_new(c.a, SHV_UINT64, 10, NULL);
		shv_ref ref = shv_ref_of(kept);

		fill_caches(c.a);
		meet(&c.turn);
		ck_assert_int_eq(shv_arena_detach(c.a), 0);
		if (other)
			fill_caches(other);
		c.a = shv_arena_attach(fd, 0);
		ck_assert_ptr_nonnull(c.a);
		kept = shv_deref(c.a, ref);
		ck_assert_ptr_nonnull(kept);
		ck_assert_int_eq(shv_raw_free(kept), 0);
		if (r % 2)
			fill_caches(c.a); /* before the other threads come back, or at the same time */
		meet(&c.turn);
		fill_caches(c.a);
		if (other)
			ck_assert_int_eq(shv_arena_detach(other), 0);
		if (r == 5) {
			fds = open_descriptors();
			maps = mappings();
		}
	}
	for (int i = 0; i < IDLERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(open_descriptors(), fds);
	ck_assert_uint_le(mappings(), maps + 16);
	need_sound(c.a, "after many rounds");
	look = shv_arena_attach(fd, SHV_RDONLY);
	ck_assert_int_eq(shv_arena_detach(c.a), 0);
	st = stat_of(look);
	ck_assert_uint_eq(st.objects, 0);
	ck_assert_uint_eq(pages_used(&st), 0);
	ck_assert_uint_eq(st.threads, 0);
	ck_assert_int_eq(shv_arena_detach(look), 0);
	close(fd);
}
END_TEST

/* ---- arenas by the hundred ----------------------------------------------------------------------------------------- */

#define AT_ONCE 6u

static shv_arena *small_arena(unsigned n)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = (size_t)(64 + n % 5 * 100) << 20, .max_processes = 8 };
	char name[32];
	shv_arena *a;

	snprintf(name, sizeof(name), "small-%u", n);
	o.name = name;
	a = shv_arena_create(&o);
	NEED(a, "arena %u", n);
	return a;
}

/* Several at a time, each made, used from others' point of view too, and detached. */
static void come_and_go(unsigned from, unsigned rounds)
{
	shv_arena *a[AT_ONCE] = { 0 };
	void *p[AT_ONCE] = { 0 };

	for (unsigned n = from; n < from + rounds; n++) {
		unsigned i = n % AT_ONCE;
		if (a[i]) {
			NEED(*(uint64_t *)p[i] == n - AT_ONCE, "arena %u holds %llu", n - AT_ONCE, (unsigned long long)*(uint64_t *)p[i]);
			NEED(shv_arena_detach(a[i]) == 0, "detach");
		}
		a[i] = small_arena(n);
		p[i] = shv_raw_array_new(a[i], SHV_UINT64, 1000, NULL);
		NEED(p[i], "create");
		*(uint64_t *)p[i] = n;
		for (unsigned k = 0; k < AT_ONCE; k++) /* the thread goes from one to the other */
			NEED(!a[k] || shv_value_free(SHV_VALUE(a[k], unsigned, n)) == 0, "create and free");
	}
	for (unsigned i = 0; i < AT_ONCE; i++)
		NEED(!a[i] || shv_arena_detach(a[i]) == 0, "detach");
}

static int come_and_go_again(void *arg)
{
	shv_arena **mine = arg;
	unsigned fds, maps;

	come_and_go(500, 20);
	fds = open_descriptors();
	maps = mappings();
	come_and_go(1000, 100);
	NEED(open_descriptors() == fds, "%u descriptors, then %u", fds, open_descriptors());
	NEED(mappings() <= maps + 16, "%u mappings, then %u", maps, mappings());
	for (unsigned i = 0; i < AT_ONCE; i++) {
		NEED(shv_raw_new(mine[i], SHV_INT, NULL), "the parent's arena %u", i);
		if (i % 2)
			NEED(shv_arena_detach(mine[i]) == 0, "detach");
	}
	return 0;
}

START_TEST(arenas_come_and_go_by_the_hundred)
{
	shv_arena *mine[AT_ONCE];
	unsigned fds, maps;

	come_and_go(0, 20);
	fds = open_descriptors();
	maps = mappings();
	come_and_go(100, 300);
	ck_assert_uint_eq(open_descriptors(), fds);
	ck_assert_uint_le(mappings(), maps + 16);
	for (unsigned i = 0; i < AT_ONCE; i++) {
		mine[i] = small_arena(i);
		ck_assert_ptr_nonnull(shv_raw_new(mine[i], SHV_INT, NULL));
	}
	for (int child = 0; child < 3; child++)
		ck_assert_int_eq(finish(start_by((enum forking)(child % 2), come_and_go_again, mine)), 0);
	for (unsigned i = 0; i < AT_ONCE; i++) {
		struct shv_stat st;
		ck_assert_int_eq(shv_arena_recover(mine[i], NULL), i % 2 ? 0 : 3);
		need_sound(mine[i], "after the children");
		st = stat_of(mine[i]);
		ck_assert_uint_eq(st.objects, 4);
		ck_assert_int_eq(shv_arena_detach(mine[i]), 0);
	}
	ck_assert_uint_eq(open_descriptors(), fds);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("fork");
	TCase *children = tcase_create("children"), *programs = tcase_create("programs"), *threads = tcase_create("threads"),
	      *locks = tcase_create("locks"), *arenas = tcase_create("arenas");

	if (argc == 3 && !strcmp(argv[1], "member"))
		return member_main(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "bystander"))
		return bystander_main(argv[2], argv[3]);

	tcase_add_loop_test(children, child_uses_the_pointers_of_its_parent, 0, WAYS_TO_FORK);
	tcase_add_loop_test(children, child_allocates_and_the_parent_frees, 0, WAYS_TO_FORK);
	tcase_add_loop_test(children, child_frees_what_the_parent_made, 0, WAYS_TO_FORK);
	tcase_add_loop_test(children, generation_after_generation, 0, WAYS_TO_FORK);
	tcase_add_loop_test(children, child_outlives_its_parent, 0, 2 * WAYS_TO_FORK);
	tcase_add_loop_test(children, pages_that_the_parent_purges_after_fork, 0, 2 * WAYS_TO_FORK);
	suite_add_tcase(suite, children);

	tcase_add_loop_test(programs, program_attaches_by_an_inherited_descriptor, 0, WAYS_TO_START);
	tcase_add_test(programs, exec_ends_the_membership);
	suite_add_tcase(suite, programs);

	tcase_add_test(threads, fork_while_other_threads_are_inside);
	tcase_add_test(threads, values_made_in_destructors_of_thread_keys);
	suite_add_tcase(suite, threads);

	tcase_add_loop_test(locks, child_of_a_locked_region_holds_nothing, 0, 3 * WAYS_TO_FORK);
	tcase_add_test(locks, guard_in_a_forked_child_releases_nothing);
	suite_add_tcase(suite, locks);

	tcase_add_test(arenas, detach_with_full_caches_then_attach_again);
	tcase_add_test(arenas, arenas_come_and_go_by_the_hundred);
	suite_add_tcase(suite, arenas);
	return run_suite(suite);
}
