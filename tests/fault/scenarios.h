/* SPDX-License-Identifier: MIT */
/*
 * Operations that a child performs and dies in, what must hold afterwards, and how the survivor tells that nothing leaked. Shared by
 * test_crash.c (death at named points) and test_step.c (death at any instruction), which set MANY first.
 */
#ifndef TESTS_FAULT_SCENARIOS_H
#define TESTS_FAULT_SCENARIOS_H

#include "support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <shv/shv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* SHV_SAMPLE=n: only each n-th point of a sweep, where a sanitizer makes all of them take too long. */
__attribute__((unused)) static unsigned sample_step(void)
{
	const char *s = getenv("SHV_SAMPLE");
	int n = s ? atoi(s) : 1;

	return n > 1 ? (unsigned)n : 1;
}

/* There only in builds with --enable-fault-injection. */
void shv_fault_arm_crash(const char *spec) __attribute__((weak));
void shv_fault_log(int fd) __attribute__((weak));

static void arm_crash(const char *spec)
{
	if (shv_fault_arm_crash)
		shv_fault_arm_crash(spec);
}

/* Tracer and traced on one processor: a step then is a switch, not a wake-up elsewhere. Five times as fast. */
static inline void stay_on_one_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu >= 0 && cpu < CPU_SETSIZE) {
		CPU_SET(cpu, &set);
		(void)sched_setaffinity(0, sizeof(set), &set);
	}
}

/* What a scenario works on. Shared with the child by fork, except `shared`, which both see. */
struct stage {
	shv_arena *a;
	shv_value *v[MANY + 8];
	void *raw;
	shv_lock *lock;
	bool thread_is_there;
	struct {
		long acknowledged; /* what the child says is done */
		shv_ref ref[MANY + 8];
	} *shared;
};

struct scenario {
	const char *name;
	void (*before)(struct stage *s);  /* by the survivor */
	void (*warm)(struct stage *s);    /* by the child, not yet armed; may be NULL */
	void (*act)(struct stage *s);     /* by the child, armed */
	void (*verify)(struct stage *s, bool died);
	bool points; /* sets its stage by crash points */
};

static void report(void *ctx, const char *what)
{
	fprintf(stderr, "# %s: %s\n", (const char *)ctx, what);
}

/* test_fail.c, whose calls may fail once, has another. */
#ifndef REQUIRE
#define REQUIRE(x)                                                                                                   \
	do {                                                                                                         \
		if (!(x)) {                                                                                          \
			fprintf(stderr, "# child: %s:%d: %s: %s\n", __FILE__, __LINE__, #x, shv_errmsg());           \
			_exit(9);                                                                                    \
		}                                                                                                    \
	} while (0)
#endif

/* ---- scenarios ------------------------------------------------------------------------------------------ */

static void none(struct stage *s)
{
	(void)s;
}

static void warm_child(struct stage *s)
{
	void *p = shv_raw_new(s->a, SHV_LONG, NULL);
	shv_value *v = SHV_VALUE(s->a, long, 1);

	REQUIRE(p && v && !shv_raw_free(p) && !shv_value_free(v));
}

static void create_values(struct stage *s)
{
	for (int i = 0; i < MANY; i++) {
		shv_value *v;
		REQUIRE((v = shv_value_new(s->a, SHV_INT, &i, i % 2 ? SHV_PLAIN : SHV_NONE)));
		s->shared->ref[i] = shv_ref_of(v);
		s->shared->acknowledged = i + 1;
	}
}

static void acknowledged_are_there(struct stage *s, bool died)
{
	(void)died;
	for (long i = 0; i < s->shared->acknowledged; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[i]);
		ck_assert_msg(v != NULL, "value %ld is lost: %s", i, shv_errmsg());
		ck_assert_int_eq(SHV_LOAD(v, int), i);
	}
}

/* The short way: objects that lie in a magazine. What is in their memory is of their earlier life. */
static shv_ref earlier[MANY];

static void warm_magazines(struct stage *s)
{
	int old = -1;

	for (int i = 0; i < MANY; i++)
		REQUIRE((s->v[i] = shv_value_new(s->a, SHV_INT, &old, i % 2 ? SHV_PLAIN : SHV_NONE)));
	for (int i = 0; i < MANY; i++) {
		earlier[i] = shv_ref_of(s->v[i]);
		REQUIRE(!shv_value_free(s->v[i]));
	}
}

static void create_anew(struct stage *s)
{
	create_values(s);
	for (int i = 0; i < MANY; i++)
		REQUIRE(!shv_deref(s->a, earlier[i]));
}

/* Whatever lives was written first. */
static void none_is_from_before(struct stage *s, bool died)
{
	struct shv_value_info info = { .size = sizeof(info) };
	uint64_t cursor = 0;

	acknowledged_are_there(s, died);
	while (shv_value_next(s->a, &cursor, &info) == 1) {
		shv_value *v = shv_deref(s->a, info.ref);
		ck_assert_msg(v && SHV_LOAD(v, int) >= 0, "a value lives that nobody has written");
	}
}

/* Of an extent of its own, with pages in the middle. */
#define LARGE 40000

static void create_large(struct stage *s)
{
	static char text[LARGE];
	shv_value *v;

	memset(text, 'x', sizeof(text));
	REQUIRE((v = shv_array_new(s->a, SHV_CHAR, sizeof(text), text, SHV_RECURSIVE)));
	s->shared->ref[0] = shv_ref_of(v);
	REQUIRE(shv_raw_array_new(s->a, SHV_LONG, 100000, NULL));
	s->shared->acknowledged = 1;
}

static void large_is_whole(struct stage *s, bool died)
{
	shv_value *v;

	(void)died;
	if (!s->shared->acknowledged)
		return;
	v = shv_deref(s->a, s->shared->ref[0]);
	ck_assert_ptr_nonnull(v);
	ck_assert_uint_eq(shv_len(v), LARGE);
	for (size_t i = 0; i < LARGE; i += 999)
		ck_assert_int_eq(*(char *)shv_at(v, i), 'x');
}

static void survivor_values(struct stage *s)
{
	for (int i = 0; i < MANY; i++) {
		s->v[i] = shv_value_new(s->a, SHV_INT, &i, i % 3 == 0 ? SHV_RECURSIVE : i % 3 == 1 ? SHV_NONE : SHV_HANDOFF);
		ck_assert_ptr_nonnull(s->v[i]);
		s->shared->ref[i] = shv_ref_of(s->v[i]);
	}
}

/* The child frees what the survivor made: foreign frees. */
static void free_foreign(struct stage *s)
{
	for (int i = 0; i < MANY; i++) {
		REQUIRE(!shv_value_free(s->v[i]));
		s->shared->acknowledged = i + 1;
	}
}

static void freed_are_gone(struct stage *s, bool died)
{
	(void)died;
	for (long i = 0; i < MANY; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[i]);
		if (i < s->shared->acknowledged)
			ck_assert_msg(v == NULL, "value %ld was freed and is there", i);
		else if (i > s->shared->acknowledged)
			ck_assert_msg(v && SHV_LOAD(v, int) == i, "value %ld was not freed and is lost", i);
		else if (v) /* it died in this one's free */
			ck_assert_int_eq(*(int *)shv_value_data(v), i);
	}
}

static void free_own(struct stage *s)
{
	create_values(s);
	s->shared->acknowledged = 0;
	for (int i = 0; i < MANY; i++) {
		REQUIRE(!shv_value_free(shv_deref(s->a, s->shared->ref[i])));
		s->shared->acknowledged = i + 1;
	}
	s->shared->acknowledged = 0;
	memset(s->shared->ref, 0, sizeof(s->shared->ref));
}

static void drain(struct stage *s)
{
	/* A grandchild frees what the child made; then the child makes more, which drains its list. */
	shv_value *v[MANY + 8];
	int status;
	pid_t pid;

	for (int i = 0; i < MANY; i++)
		REQUIRE((v[i] = shv_value_new(s->a, SHV_INT, &i, SHV_RECURSIVE)));
	arm_crash(NULL);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < MANY; i++)
			REQUIRE(!shv_value_free(v[i]));
		REQUIRE(!shv_arena_detach(s->a));
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && !status);
}

static char armed_spec[32];

static void drain_act(struct stage *s)
{
	drain(s);
	arm_crash(armed_spec);
	create_values(s);
}

static void two_numbers(struct stage *s)
{
	long zero = 0;

	s->v[0] = shv_value_new(s->a, SHV_LONG, &zero, SHV_RECURSIVE);
	s->v[1] = shv_value_new(s->a, SHV_LONG, &zero, SHV_NONE);
	s->v[2] = shv_value_new(s->a, SHV_LONG, &zero, SHV_HANDOFF);
	ck_assert(s->v[0] && s->v[1] && s->v[2]);
}

static void set_and_add(struct stage *s)
{
	for (long i = 1; i <= 3; i++)
		for (int k = 0; k < 3; k++) {
			long e = 2 * i - 1, d = 2 * i;
			REQUIRE(shv_set(s->v[k], &e, sizeof(e)) >= 0);
			REQUIRE(shv_compare_exchange(s->v[k], &e, &d, sizeof(e)) >= 0);
			REQUIRE(shv_add(s->v[k], 0, NULL) >= 0);
			s->shared->acknowledged = i;
		}
}

static void numbers_are_near(struct stage *s, bool died)
{
	(void)died;
	for (int k = 0; k < 3; k++) {
		long x = -1;
		int r = shv_get(s->v[k], &x, sizeof(x));
		ck_assert_msg(r == 0 || r == SHV_RECOVERED, "get: %d %s", r, shv_errmsg());
		ck_assert_msg(x >= 0 && x <= 6, "content %ld", x);
		ck_assert_int_ge(x, 2 * (s->shared->acknowledged - 1));
	}
}

static void hold_all(struct stage *s)
{
	struct timespec soon = { 0, 1000000 };

	for (int i = 0; i < MANY; i++)
		REQUIRE(shv_acquire(s->v[i]) >= 0 && shv_acquire_for(s->v[i], &soon) != 1);
	for (int i = 0; i < MANY; i++) {
		shv_release(s->v[i]);
		shv_release(s->v[i]);
	}
}

static void locks_can_be_had(struct stage *s, bool died)
{
	(void)died;
	for (int i = 0; i < MANY; i++) {
		int r = shv_try_acquire(s->v[i]);
		ck_assert_msg(r == 0 || r == SHV_RECOVERED, "lock %d: %d %s", i, r, shv_errmsg());
		ck_assert_int_eq(shv_release(s->v[i]), 0);
	}
}

/* Somebody died holding locks; the child inherits them and dies too. */
static void dead_holder(struct stage *s)
{
	pid_t pid;

	survivor_values(s);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < MANY; i++)
			if (shv_acquire(s->v[i]))
				_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
}

static void inherit_locks(struct stage *s)
{
	for (int i = 0; i < MANY; i++)
		REQUIRE(shv_acquire(s->v[i]) >= 0 && !shv_release(s->v[i]));
}

static void wait_for_lock(struct stage *s)
{
	struct timespec soon = { 0, 2000000 };
	int r = shv_acquire_for(s->v[0], &soon);

	REQUIRE(r == -ETIMEDOUT);
}

static void survivor_holds(struct stage *s)
{
	survivor_values(s);
	ck_assert_int_eq(shv_acquire(s->v[0]), 0);
}

static void still_held(struct stage *s, bool died)
{
	(void)died;
	ck_assert_int_eq(shv_release(s->v[0]), 0);
	locks_can_be_had(s, died);
}

/* Several locks at once, the last of them shared and named twice; and what is taken for one part of a value. */
static void survivor_parts(struct stage *s)
{
	survivor_values(s);
	s->lock = shv_lock_new(s->a, SHV_PLAIN);
	for (int i = MANY; i < MANY + 2; i++)
		ck_assert_ptr_nonnull(s->v[i] = shv_array_new(s->a, SHV_LONG, 4, NULL, SHV_SHARED(s->lock)));
}

static void take_all(struct stage *s)
{
	static const struct timespec soon = { 0, 1000000 };
	shv_value *turned[MANY + 3];

	for (int i = 0; i < MANY + 2; i++)
		turned[i] = s->v[MANY + 1 - i];
	turned[MANY + 2] = s->v[0];
	for (long i = 1; i <= 3; i++) {
		const long all[4] = { i, i, i, i };
		REQUIRE(shv_acquire_all(turned, MANY + 3) >= 0);
		REQUIRE(shv_acquire_for(s->v[MANY], &soon) == -EDEADLK);
		for (int k = 0; k < 4; k++)
			((long *)shv_value_data(s->v[MANY]))[k] = i;
		REQUIRE(shv_release_all(s->v, MANY + 2) >= 0);
		REQUIRE(shv_set_slice(s->v[MANY + 1], 0, 4, all, sizeof(all)) >= 0);
		REQUIRE(shv_field_set(s->v[MANY + 1], "[3]", &i, sizeof(i)) >= 0);
		s->shared->acknowledged = i;
	}
}

/* Whoever comes next can have all; items are old or new, and those of one update are equal unless he is told. */
static void parts_are_near(struct stage *s, bool died)
{
	long x[2][4];
	int r = shv_acquire_all(s->v, MANY + 2);

	ck_assert_msg(r == 0 || (died && r == SHV_RECOVERED), "acquire_all: %d %s", r, shv_errmsg());
	for (int k = 0; k < 2; k++) {
		memcpy(x[k], shv_value_data(s->v[MANY + k]), sizeof(x[k]));
		for (int i = 0; i < 4; i++) {
			ck_assert_int_ge(x[k][i], s->shared->acknowledged);
			ck_assert_int_le(x[k][i], s->shared->acknowledged + 1);
			ck_assert_msg(x[k][i] == x[k][0] || r == SHV_RECOVERED, "torn, and nobody told");
		}
		for (int i = 0; i < 4; i++) /* who is told puts it right: there may be a look after this one */
			((long *)shv_value_data(s->v[MANY + k]))[i] = x[k][0];
	}
	ck_assert_int_eq(shv_release_all(s->v, MANY + 2), 0);
	locks_can_be_had(s, died);
}

static void publish(struct stage *s)
{
	char name[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "name %d", i);
		REQUIRE(!shv_publish(s->v[i], name));
		s->shared->acknowledged = i + 1;
	}
}

static void names_are_there(struct stage *s, bool died)
{
	char name[32];

	(void)died;
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "name %d", i);
		if (i < s->shared->acknowledged)
			ck_assert_msg(shv_find(s->a, name) == s->v[i], "'%s' is lost", name);
		else if (i > s->shared->acknowledged)
			ck_assert_ptr_null(shv_find(s->a, name));
	}
}

static void survivor_names(struct stage *s)
{
	survivor_values(s);
	publish(s);
	s->shared->acknowledged = 0;
}

static void unpublish(struct stage *s)
{
	char name[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "name %d", i);
		REQUIRE(!shv_unpublish(s->a, name));
		s->shared->acknowledged = i + 1;
	}
}

static void names_are_gone(struct stage *s, bool died)
{
	char name[32];

	(void)died;
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "name %d", i);
		if (i < s->shared->acknowledged)
			ck_assert_ptr_null(shv_find(s->a, name));
		else if (i > s->shared->acknowledged)
			ck_assert_ptr_eq(shv_find(s->a, name), s->v[i]);
	}
}

static void free_named(struct stage *s)
{
	free_foreign(s);
}

static void named_freed(struct stage *s, bool died)
{
	names_are_gone(s, died);
	freed_are_gone(s, died);
}

/* The table is built anew. Most points in it are reached once, so the names before are made unarmed. */
static void many_names(struct stage *s)
{
	char name[32];

	survivor_values(s);
	for (int i = 0; i < 180; i++) {
		shv_value *v = SHV_VALUE(s->a, int, i);
		snprintf(name, sizeof(name), "other %d", i);
		ck_assert(v && !shv_publish(v, name));
	}
}

static void publish_more(struct stage *s)
{
	char name[32];

	publish(s);
	for (int i = 0; i < 60; i++) {
		shv_value *v;
		snprintf(name, sizeof(name), "more %d", i);
		REQUIRE((v = SHV_VALUE(s->a, int, i)));
		REQUIRE(!shv_publish(v, name));
	}
}

static void find_or_new(struct stage *s)
{
	int one = 1, created = 0;

	REQUIRE(shv_find_or_new(s->a, "it", SHV_INT, &one, SHV_RECURSIVE, &created) && created);
	s->shared->acknowledged = 1;
}

static void found(struct stage *s, bool died)
{
	shv_value *v = shv_find(s->a, "it");

	(void)died;
	ck_assert(v || !s->shared->acknowledged);
	if (v)
		ck_assert_int_eq(SHV_LOAD(v, int), 1);
}

static void shared_locks(struct stage *s)
{
	shv_lock *l;

	REQUIRE((l = shv_lock_new(s->a, SHV_PLAIN)));
	for (int i = 0; i < 8; i++) {
		shv_value *v;
		REQUIRE((v = shv_value_new(s->a, SHV_INT, &i, SHV_SHARED(l))));
		REQUIRE(!shv_acquire(v) && !shv_release(v));
	}
	REQUIRE(!shv_lock_free(l));
	REQUIRE(!shv_arena_trim(s->a));
}

/* Locks whose last value goes, before the lock was freed and behind it, and by a block that has it in hand. */
static void reap_locks(struct stage *s)
{
	const shv_lockspec kinds[] = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF };

	for (int i = 0; i < 3; i++) {
		shv_value *v[2];
		shv_lock *l;
		REQUIRE((l = shv_lock_new(s->a, kinds[i])));
		for (int k = 0; k < 2; k++)
			REQUIRE((v[k] = shv_value_new(s->a, SHV_INT, &i, SHV_SHARED(l))));
		REQUIRE(!shv_value_free(v[0]));
		REQUIRE(!shv_lock_free(l));
		if (i == 1)
			REQUIRE(!shv_arena_trim(s->a));
		shv_with(v[1]) {
			REQUIRE(!shv_value_free(v[1]));
			if (i == 2)
				REQUIRE(!shv_arena_trim(s->a));
		}
	}
	REQUIRE(!shv_arena_trim(s->a));
}

static int never(void *state, const struct timespec *deadline)
{
	(void)state;
	(void)deadline;
	return 0;
}
static int never_mind(void *state)
{
	(void)state;
	return 0;
}
static const struct shv_lock_policy idle_policy = {
	.struct_size = sizeof(idle_policy), .name = "never mind", .size = 4, .align = 4, .acquire = never, .release = never_mind
};

static void tables(struct stage *s)
{
	const shv_type *t;

	REQUIRE((t = shv_type_parse("T{i:a:d:b:}")));
	REQUIRE(!shv_lock_register(s->a, &idle_policy));
	REQUIRE(shv_value_new(s->a, t, NULL, SHV_POLICY(&idle_policy)));
}

static void trim(struct stage *s)
{
	free_own(s);
	REQUIRE(!shv_arena_trim(s->a));
}

/* A dead owner with blocks on its list that others pushed. */
static void dead_owner_with_list(struct stage *s)
{
	int to[2], from[2];
	char c;
	pid_t pid;

	ck_assert(!pipe(to) && !pipe(from));
	pid = fork();
	if (!pid) {
		create_values(s);
		REQUIRE(write(from[1], "x", 1) == 1 && read(to[0], &c, 1) == 1);
		kill(getpid(), SIGKILL);
	}
	ck_assert(read(from[0], &c, 1) == 1);
	for (int i = 0; i < MANY / 2; i++)
		ck_assert_int_eq(shv_value_free(shv_deref(s->a, s->shared->ref[i])), 0);
	ck_assert(write(to[1], "x", 1) == 1);
	waitpid(pid, NULL, 0);
	close(to[0]), close(to[1]), close(from[0]), close(from[1]);
}

static void second_half_is_there(struct stage *s, bool died)
{
	(void)died;
	for (int i = 0; i < MANY; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[i]);
		ck_assert(i < MANY / 2 ? !v : v && SHV_LOAD(v, int) == i);
	}
}

static void attach_and_detach(struct stage *s)
{
	/* The child of a fork is a new process; its first call registers it, and detach leaves. */
	create_values(s);
	REQUIRE(!shv_arena_detach(s->a));
}

/* A snapshot and a look at it. A death leaves nothing in the arena; the file is the child's own. */
static void snapshot(struct stage *s)
{
	char path[64];
	shv_value *v;
	shv_arena *b;

	create_values(s);
	REQUIRE((v = SHV_VALUE(s->a, int, 1)));
	REQUIRE(!shv_publish(v, "in the snapshot"));
	REQUIRE((v = shv_array_new(s->a, SHV_CHAR, 100000, NULL, SHV_PLAIN)));
	snprintf(path, sizeof(path), "/tmp/shv-fault-%d", (int)getppid());
	REQUIRE(!shv_arena_snapshot(s->a, path, 0));
	REQUIRE((b = shv_arena_open(path, 0)));
	REQUIRE(!shv_arena_detach(b));
	unlink(path);
}

static void sound(struct stage *s, bool died);

static void snapshot_verify(struct stage *s, bool died)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/shv-fault-%d", (int)getpid());
	unlink(path);
	sound(s, died);
}

/* A dead process with values of all kinds, which the child recovers. */
static void dead_owner(struct stage *s)
{
	pid_t pid;

	survivor_values(s);
	pid = fork();
	if (!pid) {
		s->shared->acknowledged = 0;
		create_values(s);
		create_large(s);
		s->shared->acknowledged = 1; /* slot 0 is the large one now */
		for (int i = 0; i < MANY; i += 3)
			REQUIRE(!shv_acquire(s->v[i]));
		REQUIRE(!shv_value_free(s->v[1]));
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
}

static void recover(struct stage *s)
{
	REQUIRE(shv_arena_recover(s->a, NULL) >= 0);
}

static void dead_owner_in_order(struct stage *s, bool died)
{
	large_is_whole(s, died);
	for (int i = 0; i < MANY; i += 3) {
		int r = shv_try_acquire(s->v[i]);
		ck_assert_msg(r == 0 || r == SHV_RECOVERED, "lock %d: %d", i, r);
		ck_assert_int_eq(shv_release(s->v[i]), 0);
	}
	for (int i = 1; i < MANY; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[i]);
		ck_assert(v && SHV_LOAD(v, int) == i);
	}
}

/* The child frees orphans. */
static void orphans(struct stage *s)
{
	dead_owner(s);
	ck_assert_int_eq(shv_arena_recover(s->a, NULL), 1);
}

static void free_orphans(struct stage *s)
{
	for (int i = 0; i < MANY; i++) {
		REQUIRE(!shv_value_free(shv_deref(s->a, s->shared->ref[i])));
		s->shared->acknowledged = i + 1;
	}
}

static void orphans_gone(struct stage *s, bool died)
{
	(void)died;
	for (long i = 0; i < MANY; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[i]);
		if (i < s->shared->acknowledged && i)
			ck_assert_ptr_null(v);
		else if (i > s->shared->acknowledged)
			ck_assert(v && SHV_LOAD(v, int) == i);
	}
}

/* Orphans that are all there is in their chunk of slots: with the last one the chunk goes. */
static void orphans_only(struct stage *s)
{
	pid_t pid = fork();

	if (!pid) {
		create_values(s);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(shv_arena_recover(s->a, NULL), 1);
	s->shared->acknowledged = 0;
}

/* A process that died while it freed an orphan: its recovery frees that too. */
static void dead_freer_of_orphan(struct stage *s)
{
	pid_t pid;

	orphans(s);
	for (int at = 0; at < 3; at++) {
		pid = fork();
		if (!pid) {
			arm_crash(at == 0 ? "free-withdrawn" : at == 1 ? "orphan-active" : "free-withdrawn:2");
			(void)shv_value_free(shv_deref(s->a, s->shared->ref[1 + 3 * at]));
			(void)shv_value_free(shv_deref(s->a, s->shared->ref[2 + 3 * at]));
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	s->shared->acknowledged = 0;
}

static void sound(struct stage *s, bool died)
{
	(void)s;
	(void)died;
}

/* A freer died between withdrawing and pushing: recovery hands the block to its owner, who sweeps. */
static void lost_by_dead_freer(struct stage *s)
{
	pid_t pid;

	survivor_values(s);
	pid = fork();
	if (!pid) {
		arm_crash("free-withdrawn");
		(void)shv_value_free(s->v[3]);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* Raw values of the survivor's. */
static void survivor_raws(struct stage *s)
{
	for (int i = 0; i < MANY; i++) {
		ck_assert_ptr_nonnull(s->v[i] = shv_raw_new(s->a, SHV_INT, &i));
		s->shared->ref[i] = shv_ref_of(s->v[i]);
	}
}

static void free_foreign_raws(struct stage *s)
{
	for (int i = 0; i < MANY; i++) {
		REQUIRE(!shv_raw_free(s->v[i]));
		s->shared->acknowledged = i + 1;
	}
}

#include "fault/scenarios_string.h"

/* Reading what is too large for the stack, and waiting for it to change. */
static void survivor_text(struct stage *s)
{
	ck_assert_ptr_nonnull(s->v[0] = shv_array_new(s->a, SHV_INT, 2000, NULL, SHV_RECURSIVE));
	ck_assert_ptr_nonnull(s->v[1] = shv_string_new(s->a, "a text that somebody wants to have a copy of", SHV_RECURSIVE));
}

static void wait_and_copy(struct stage *s)
{
	static const int seen[2000];
	struct timespec soon = { 0, 1000000 };
	char *copy;

	REQUIRE(shv_wait(s->v[0], seen, sizeof(seen), &soon) == -ETIMEDOUT);
	REQUIRE((copy = shv_string_dup(s->v[1], NULL)));
	free(copy);
}

/* Beside the one that acts, a thread with locks in its hands and magazines full. */
static void *other_thread(void *arg)
{
	struct stage *s = arg;
	shv_value *freed[2 * MANY];

	for (int i = 0; i < 2 * MANY; i++)
		REQUIRE((freed[i] = shv_value_new(s->a, SHV_LONG, NULL, i % 2 ? SHV_PLAIN : SHV_NONE)));
	for (int i = 0; i < 3; i++) {
		shv_value *v;
		REQUIRE((v = shv_value_new(s->a, SHV_INT, &i, i == 0 ? SHV_RECURSIVE : i == 1 ? SHV_PLAIN : SHV_HANDOFF)));
		REQUIRE(!shv_acquire(v));
		s->shared->ref[MANY + i] = shv_ref_of(v);
	}
	for (int i = 0; i < 2 * MANY; i++)
		REQUIRE(!shv_value_free(freed[i]));
	s->thread_is_there = true;
	for (;;)
		pause();
	return NULL;
}

static void warm_with_thread(struct stage *s)
{
	pthread_t t;

	warm_child(s);
	REQUIRE(!pthread_create(&t, NULL, other_thread, s));
	while (!*(volatile bool *)&s->thread_is_there)
		sched_yield();
}

static void thread_left_its_locks(struct stage *s)
{
	for (int i = 0; i < 3; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[MANY + i]);
		int r;
		ck_assert_msg(v != NULL, "value %d of the other thread is lost", i);
		r = shv_try_acquire(v);
		ck_assert_msg(r == 0 || r == SHV_RECOVERED, "lock %d of the other thread: %d %s", i, r, shv_errmsg());
		ck_assert_int_eq(shv_release(v), 0);
		ck_assert_int_eq(SHV_LOAD(v, int), i);
	}
}

static void created_beside_thread(struct stage *s, bool died)
{
	acknowledged_are_there(s, died);
	thread_left_its_locks(s);
}

static void freed_beside_thread(struct stage *s, bool died)
{
	freed_are_gone(s, died);
	thread_left_its_locks(s);
}

static void locked_beside_thread(struct stage *s, bool died)
{
	locks_can_be_had(s, died);
	thread_left_its_locks(s);
}

static void recovered_beside_thread(struct stage *s, bool died)
{
	dead_owner_in_order(s, died);
	thread_left_its_locks(s);
}

static const struct scenario scenarios[] = {
	{ "create, cold", none, NULL, create_values, acknowledged_are_there, false },
	{ "create, warm", none, warm_child, create_values, acknowledged_are_there, false },
	{ "create from a magazine", none, warm_magazines, create_anew, none_is_from_before, false },
	{ "create large", none, warm_child, create_large, large_is_whole, false },
	{ "free foreign", survivor_values, warm_child, free_foreign, freed_are_gone, false },
	{ "free foreign raw", survivor_raws, warm_child, free_foreign_raws, freed_are_gone, false },
	{ "free own", none, warm_child, free_own, sound, false },
	{ "drain", none, warm_child, drain_act, acknowledged_are_there, false },
	{ "set, add, exchange", two_numbers, warm_child, set_and_add, numbers_are_near, false },
	{ "lock and unlock", survivor_values, warm_child, hold_all, locks_can_be_had, false },
	{ "several locks, parts of values", survivor_parts, warm_child, take_all, parts_are_near, false },
	{ "inherit locks", dead_holder, warm_child, inherit_locks, locks_can_be_had, false },
	{ "wait for a lock", survivor_holds, warm_child, wait_for_lock, still_held, false },
	{ "publish", survivor_values, warm_child, publish, names_are_there, false },
	{ "unpublish", survivor_names, warm_child, unpublish, names_are_gone, false },
	{ "free named", survivor_names, warm_child, free_named, named_freed, false },
	{ "names table grows", many_names, warm_child, publish_more, names_are_there, false },
	{ "find or new", none, warm_child, find_or_new, found, false },
	{ "create strings", none, warm_child, create_strings, strings_are_whole, false },
	{ "set strings", survivor_strings, warm_child, set_strings, strings_were_set, false },
	{ "set strings of dead setters", dead_setters, warm_child, set_strings, strings_were_set, true },
	{ "set strings to nothing", survivor_strings, warm_child, set_to_nothing, strings_are_empty, false },
	{ "append to strings", survivor_strings, warm_child, append_strings, strings_were_appended, false },
	{ "free strings", survivor_strings, warm_child, free_strings, strings_were_freed, false },
	{ "free strings of dead setters", dead_setters, warm_child, free_strings, strings_were_freed, true },
	{ "recover setters", dead_setters, warm_child, recover, setters_in_order, true },
	{ "shared locks", none, warm_child, shared_locks, sound, false },
	{ "reap locks", none, warm_child, reap_locks, sound, false },
	{ "types and policies", none, warm_child, tables, sound, false },
	{ "trim", none, warm_child, trim, sound, false },
	{ "attach and detach", none, NULL, attach_and_detach, acknowledged_are_there, false },
	{ "snapshot", none, warm_child, snapshot, snapshot_verify, false },
	{ "recover", dead_owner, warm_child, recover, dead_owner_in_order, false },
	{ "recover, cold", dead_owner, NULL, recover, dead_owner_in_order, false },
	{ "recover an owner with a list", dead_owner_with_list, warm_child, recover, second_half_is_there, false },
	{ "free orphans", orphans, warm_child, free_orphans, orphans_gone, false },
	{ "free all orphans", orphans_only, NULL, free_orphans, orphans_gone, false },
	{ "recover a freer of orphans", dead_freer_of_orphan, warm_child, recover, sound, true },
	{ "recover a freer", lost_by_dead_freer, warm_child, recover, sound, true },
	{ "wait and copy", survivor_text, warm_child, wait_and_copy, sound, false },
	{ "create beside a thread", none, warm_with_thread, create_values, created_beside_thread, false },
	{ "free foreign beside a thread", survivor_values, warm_with_thread, free_foreign, freed_beside_thread, false },
	{ "lock and unlock beside a thread", survivor_values, warm_with_thread, hold_all, locked_beside_thread, false },
	{ "recover beside a thread", dead_owner, warm_with_thread, recover, recovered_beside_thread, false },
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

static void free_everything(shv_arena *a)
{
	struct shv_value_info i = { .size = sizeof(i) };
	uint64_t cursor = 0;
	static shv_ref refs[10000];
	unsigned n = 0;
	int r;

	while ((r = shv_value_next(a, &cursor, &i)) == 1)
		if (n < 10000 && !i.condemned)
			refs[n++] = i.ref;
	ck_assert_int_eq(r, 0);
	for (int locks = 0; locks < 2; locks++)
		for (unsigned k = 0; k < n; k++) {
			void *p = shv_deref(a, refs[k]);
			enum shv_kind kind = p ? shv_kind_of(p) : SHV_KIND_NONE;
			if (!p || (kind == SHV_KIND_LOCK) != locks)
				continue;
			r = kind == SHV_KIND_LOCK ? shv_lock_free(p) :
			    kind == SHV_KIND_RAW || kind == SHV_KIND_RAW_ARRAY ? shv_raw_free(p) : shv_value_free(p);
			if (r == -ENOTSUP) /* of a policy that only the child had registered */
				r = shv_lock_register(a, &idle_policy) ? r : shv_value_free(p);
			ck_assert_msg(r == 0, "free: %d %s", r, shv_errmsg());
		}
}

static void nothing_is_left(shv_arena *a, const char *name, unsigned k)
{
	struct shv_stat st = { .size = sizeof(st) };

	ck_assert_int_eq(shv_arena_trim(a), 0);
	ck_assert_int_ge(shv_arena_recover(a, NULL), 0);
	ck_assert_int_eq(shv_arena_trim(a), 0);
	ck_assert_int_eq(shv_arena_trim(a), 0);
	ck_assert_int_eq(shv_stat(a, &st), 0);
	ck_assert_msg(st.objects == 0 && st.parts == 0 && st.names == 0 && st.going == 0 && st.held == 0,
		      "%s, point %u: left %lu objects, %lu parts, %lu names, %lu going, %lu held", name, k, st.objects, st.parts, st.names,
		      st.going, st.held);
	ck_assert_msg(st.pages_orphaned == 0 && st.pages_owned <= 64 && st.pages_slots == 0,
		      "%s, point %u: left %lu orphaned, %lu owned, %lu slot pages", name, k, st.pages_orphaned, st.pages_owned, st.pages_slots);
	ck_assert_uint_eq(st.processes, 1);
	ck_assert_uint_eq(st.processes_dead, 0);
}

#endif
