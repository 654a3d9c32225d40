/* SPDX-License-Identifier: MIT */
/*
 * The locks of several values at once: what is taken and what is not, processes that name the same values in another order, and
 * some that are killed with all of them.
 */
#include "support/procs.h"
#include "support/suite.h"

#include "api/word_policy.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static shv_arena *a;

static void setup(void)
{
	a = new_arena("all", 0);
	ck_assert_int_eq(shv_lock_register(a, &word_policy), 0);
}

static void teardown(void)
{
	need_sound(a, "at the end");
	ck_assert_int_eq(shv_arena_detach(a), 0);
}

/* How many times somebody holds it. */
static unsigned depth(shv_value *v)
{
	struct shv_holder h = { .size = sizeof(h) };
	int r = shv_value_holder(v, &h);

	NEED(r >= 0, "shv_value_holder");
	return !r ? 0 : h.depth ? h.depth : 1;
}

static void *try_thread(void *arg)
{
	int r = shv_try_acquire(arg);

	if (r >= 0)
		NEED(!shv_release(arg), "shv_release");
	return (void *)(intptr_t)r;
}

static int try_by_other_thread(shv_value *v)
{
	pthread_t t;
	void *r;

	NEED(!pthread_create(&t, NULL, try_thread, v) && !pthread_join(t, &r), "a thread");
	return (int)(intptr_t)r;
}

/* ---- what is taken ---------------------------------------------------------------------------------------- */

START_TEST(every_kind_of_lock_is_taken_once_and_given_back)
{
	shv_lock *lock = shv_lock_new(a, SHV_PLAIN), *recursive = shv_lock_new(a, SHV_RECURSIVE);
	shv_value *v[] = {
		SHV_VALUE(a, int, 0, SHV_PLAIN),      SHV_VALUE(a, int, 0),
		SHV_VALUE(a, int, 0, SHV_HANDOFF),    SHV_VALUE(a, int, 0, SHV_NONE),
		SHV_VALUE(a, int, 0, SHV_SHARED(lock)), SHV_VALUE(a, int, 0, SHV_SHARED(lock)),
		SHV_VALUE(a, int, 0, SHV_SHARED(recursive)), SHV_VALUE(a, int, 0, SHV_POLICY(&word_policy)),
		NULL, NULL, NULL, shv_array_new(a, SHV_INT, 100, NULL, SHV_PLAIN),
	};
	enum { N = sizeof(v) / sizeof(v[0]) };

	v[8] = v[0]; /* twice, though it is plain */
	v[9] = v[3];
	v[10] = v[7];
	for (int turn = 0; turn < N; turn++) {
		shv_value *first = v[0];

		ck_assert_int_eq(shv_acquire_all(v, N), 0);
		for (int i = 0; i < N; i++)
			if (shv_value_lock(v[i])) {
				ck_assert_uint_eq(depth(v[i]), 1);
				ck_assert_int_eq(try_by_other_thread(v[i]), -EBUSY);
			}
		ck_assert_int_eq(shv_release_all(v, N), 0);
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(try_by_other_thread(v[i]), 0);
		memmove(v, v + 1, (N - 1) * sizeof(v[0]));
		v[N - 1] = first;
	}
	ck_assert_int_eq(shv_acquire_all(NULL, 0), 0);
	ck_assert_int_eq(shv_release_all(NULL, 0), 0);
	ck_assert_int_eq(shv_acquire_all(v, 0), 0);
}
END_TEST

START_TEST(what_is_held_already_is_counted_up_or_refused)
{
	shv_value *v[] = { SHV_VALUE(a, int, 0), SHV_VALUE(a, int, 0), SHV_VALUE(a, int, 0, SHV_PLAIN) };

	ck_assert_int_eq(shv_acquire(v[1]), 0);
	ck_assert_int_eq(shv_acquire_all(v, 3), 0);
	ck_assert_uint_eq(depth(v[0]), 1);
	ck_assert_uint_eq(depth(v[1]), 2);
	/* Again, with the plain one held: nothing changes. */
	ck_assert_int_eq(shv_acquire_all(v, 3), -EDEADLK);
	ck_assert_uint_eq(depth(v[0]), 1);
	ck_assert_uint_eq(depth(v[1]), 2);
	ck_assert_uint_eq(depth(v[2]), 1);
	ck_assert_int_eq(shv_release_all(v, 3), 0);
	ck_assert_uint_eq(depth(v[0]), 0);
	ck_assert_uint_eq(depth(v[1]), 1);
	ck_assert_int_eq(shv_release(v[1]), 0);
	/* One that is not held does not keep the others. */
	ck_assert_int_eq(shv_acquire_all(v, 2), 0);
	ck_assert_int_eq(shv_release_all(v, 3), -EPERM);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(depth(v[i]), 0);
}
END_TEST

/* Through two mappings of one arena, and in two arenas. */
START_TEST(mappings_and_arenas_may_be_mixed)
{
	shv_arena *again = shv_arena_attach(shv_arena_fd(a), 0), *other = new_arena("other", 0);
	shv_value *v = SHV_VALUE(a, int, 0, SHV_PLAIN), *w = SHV_VALUE(other, int, 0, SHV_PLAIN);
	shv_value *all[3] = { v, again ? shv_deref(again, shv_ref_of(v)) : NULL, w };

	ck_assert(again && all[1] && all[1] != v);
	for (int i = 0; i < 3; i++) {
		shv_value *turned[3] = { all[i], all[(i + 1) % 3], all[(i + 2) % 3] };

		ck_assert_int_eq(shv_acquire_all(turned, 3), 0);
		ck_assert_int_eq(try_by_other_thread(v), -EBUSY);
		ck_assert_int_eq(try_by_other_thread(w), -EBUSY);
		ck_assert_int_eq(shv_release_all(turned, 3), 0);
	}
	ck_assert_int_eq(shv_arena_detach(again), 0);
	ck_assert_int_eq(shv_arena_detach(other), 0);
}
END_TEST

static int die_with(void *arg)
{
	NEED(!shv_acquire(arg), "shv_acquire");
	_exit(3);
}

START_TEST(error_leaves_nothing_held_and_no_death_unsaid)
{
	struct shv_holder h = { .size = sizeof(h) };
	shv_value *v[6];
	pid_t pid[6];

	for (int i = 0; i < 6; i++) {
		shv_lockspec spec = i == 5 ? SHV_PLAIN : i % 2 ? SHV_RECURSIVE : SHV_HANDOFF;
		ck_assert_ptr_nonnull(v[i] = SHV_VALUE(a, int, 0, spec));
	}
	for (int i = 0; i < 5; i++) {
		pid[i] = start(die_with, v[i]);
		ck_assert_int_eq(finish(pid[i]), 3);
	}
	ck_assert_int_eq(shv_acquire(v[5]), 0);
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(shv_acquire_all(v, 6), -EDEADLK);
		for (int i = 0; i < 5; i++)
			ck_assert_uint_eq(depth(v[i]), 0);
	}
	ck_assert_int_eq(shv_release(v[5]), 0);
	/* Who comes next is told for each, and of whom. */
	for (int i = 0; i < 5; i += 2) {
		ck_assert_int_eq(shv_acquire(v[i]), SHV_RECOVERED);
		ck_assert_int_eq(shv_last_holder(v[i], &h), 0);
		ck_assert_int_eq(h.pid, pid[i]);
		ck_assert_int_eq(shv_release(v[i]), 0);
	}
	ck_assert_int_eq(shv_acquire_all(v, 6), SHV_RECOVERED);
	ck_assert_int_eq(shv_release_all(v, 6), 0);
	ck_assert_int_eq(shv_acquire_all(v, 6), 0);
	ck_assert_int_eq(shv_release_all(v, 6), 0);
	/* One that is gone. */
	ck_assert_int_eq(shv_value_free(v[3]), 0);
	ck_assert_int_eq(shv_acquire_all(v, 6), -ESTALE);
	for (int i = 0; i < 6; i++)
		if (i != 3)
			ck_assert_int_eq(try_by_other_thread(v[i]), 0);
}
END_TEST

static struct gate go;

static void *free_when_told(void *arg)
{
	gate_wait(&go, 1);
	/* The other waits by now, or will find it gone; both must end the same. */
	for (;;) {
		int r = shv_value_free(arg);
		if (!r)
			return NULL;
		NEED(r == -EBUSY, "shv_value_free: %d", r); /* the other has it just now */
		sched_yield();
	}
}

START_TEST(value_freed_while_it_is_waited_for_is_stale)
{
	shv_value *v[3] = { SHV_VALUE(a, int, 0), SHV_VALUE(a, int, 0), SHV_VALUE(a, int, 0) };
	pthread_t t;

	for (int i = 0; i < 3; i++) {
		shv_value *gone = SHV_VALUE(a, int, 0);
		shv_value *all[4] = { v[0], v[1], gone, v[2] };

		go.word = 0;
		ck_assert_int_eq(pthread_create(&t, NULL, free_when_told, gone), 0);
		gate_add(&go, 1);
		for (;;) {
			int r = shv_acquire_all(all, 4);
			if (r == -ESTALE)
				break;
			ck_assert_int_eq(r, 0);
			ck_assert_int_eq(shv_release_all(all, 4), 0);
			sched_yield();
		}
		ck_assert_int_eq(pthread_join(t, NULL), 0);
		for (int k = 0; k < 3; k++)
			ck_assert_uint_eq(depth(v[k]), 0);
	}
}
END_TEST

/* One that shares its lock may be freed while we hold that by it, and wait for another. */
static void *free_both(void *arg)
{
	shv_value **two = arg;
	struct shv_value_info info = { .size = sizeof(info) };

	NEED(!shv_acquire(two[1]), "shv_acquire");
	gate_add(&go, 1);
	do
		NEED(!shv_value_describe(shv_arena_of(two[1]), shv_ref_of(two[1]), &info), "shv_value_describe");
	while (!info.waiters);
	NEED(!shv_value_free(two[0]) && !shv_value_free(two[1]), "shv_value_free");
	return NULL;
}

START_TEST(shared_lock_of_a_value_that_was_freed_is_given_back)
{
	for (int i = 0; i < 10; i++) {
		shv_lock *lock = shv_lock_new(a, SHV_PLAIN);
		shv_value *two[2] = { NULL, NULL }, *v = SHV_VALUE(a, int, 0, SHV_SHARED(lock)), *w = SHV_VALUE(a, int, 0);
		struct shv_holder h = { .size = sizeof(h) };
		pthread_t t;

		/* The lock object lies before w or behind it; only in one of the two cases it is held then. */
		two[0] = v, two[1] = w;
		go.word = 0;
		ck_assert_int_eq(pthread_create(&t, NULL, free_both, two), 0);
		gate_wait(&go, 1);
		ck_assert_int_eq(shv_acquire_all(two, 2), -ESTALE);
		ck_assert_int_eq(pthread_join(t, NULL), 0);
		ck_assert_int_eq(shv_lock_holder(lock, &h), 0);
		ck_assert_int_eq(shv_lock_free(lock), 0);
	}
}
END_TEST

/* ---- processes that go against each other -------------------------------------------------------------------- */

enum { ROUNDS = 5000, WORKERS = 3, SOME = 8 };

/* All values are equal, but while somebody is inside. */
struct work {
	shv_value *v[SOME]; /* of the parent; children have other addresses for them */
	shv_ref ref[SOME];
	bool own_mapping;   /* and so many rounds; else until told to stop */
	uint64_t seed;
	uint64_t told;          /* of the dead */
	struct gate inside;
	struct gate stop;
};
struct worker {
	struct work *w;
	unsigned i;
};

static void shuffle(struct rng *r, shv_value **v, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = rng_below(r, i);
		shv_value *x = v[i - 1];
		v[i - 1] = v[k];
		v[k] = x;
	}
}

static long *content(shv_value *v)
{
	return shv_value_data(v);
}

/* What somebody who died inside left: all become equal to the largest. */
static void mend(shv_value **v)
{
	long most = 0;

	for (int i = 0; i < SOME; i++)
		most = *content(v[i]) > most ? *content(v[i]) : most;
	for (int i = 0; i < SOME; i++)
		*content(v[i]) = most;
}

/* Take, see that they are equal, add one to each. */
static void one_round(struct work *w, struct rng *r, shv_value **v)
{
	long first;
	int status;

	shuffle(r, v, SOME);
	status = shv_acquire_all(v, SOME);
	NEED(status >= 0, "shv_acquire_all");
	if (status == SHV_RECOVERED) {
		__atomic_fetch_add(&w->told, 1, __ATOMIC_RELAXED);
		mend(v);
	}
	first = *content(v[0]);
	for (int i = 0; i < SOME; i++) {
		NEED(*content(v[i]) == first, "value %d is %ld, not %ld", i, *content(v[i]), first);
		++*content(v[i]);
	}
	NEED(!shv_release_all(v, SOME), "shv_release_all");
}

static int worker(void *arg)
{
	struct worker *me = arg;
	struct work *w = me->w;
	struct rng r = { w->seed + me->i };
	shv_arena *mine = w->own_mapping ? shv_arena_attach(shv_arena_fd(a), 0) : a;
	shv_value *v[SOME];

	NEED(mine, "shv_arena_attach");
	if (w->own_mapping)
		NEED(!shv_lock_register(mine, &word_policy), "shv_lock_register");
	for (int i = 0; i < SOME; i++)
		NEED((v[i] = shv_deref(mine, w->ref[i])), "shv_deref");
	for (uint64_t n = 0; w->own_mapping ? n < ROUNDS : !gate_now(&w->stop); n++) {
		one_round(w, &r, v);
		if (n == 10)
			gate_add(&w->inside, 1);
	}
	return 0;
}

static struct work *new_work(bool own_mapping)
{
	struct work *w = shared_memory(sizeof(*w));
	shv_lock *lock = shv_lock_new(a, SHV_PLAIN);

	w->own_mapping = own_mapping;
	w->seed = test_seed("order");
	for (int i = 0; i < SOME; i++) {
		shv_lockspec spec = i == 0 ? SHV_PLAIN : i == 1 ? SHV_HANDOFF : i == 2 || i == 3 ? SHV_SHARED(lock) :
				    i == 4 ? SHV_POLICY(&word_policy) : i == 5 ? SHV_NONE : SHV_RECURSIVE;
		NEED((w->v[i] = SHV_VALUE(a, long, 0, spec)), "SHV_VALUE");
		w->ref[i] = shv_ref_of(w->v[i]);
	}
	return w;
}

START_TEST(processes_in_any_order_do_not_block_each_other)
{
	struct work *w = new_work(true);
	struct worker me[WORKERS];
	pid_t pid[WORKERS];

	for (unsigned i = 0; i < WORKERS; i++) {
		me[i] = (struct worker){ w, i };
		pid[i] = start(worker, &me[i]);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	ck_assert_uint_eq(w->told, 0);
	for (int i = 0; i < SOME; i++)
		ck_assert_int_eq(SHV_LOAD(w->v[i], long), ROUNDS * WORKERS);
	shared_release(w, sizeof(*w));
}
END_TEST

/* One after the other is killed wherever it is; the rest goes on, is told, and finds all values equal after mending. */
START_TEST(killed_ones_do_not_stop_the_others)
{
	enum { KILLS = 25 };
	struct work *w = new_work(false);
	struct rng r = { w->seed };
	struct worker me[WORKERS];
	pid_t pid[WORKERS];
	long first;

	for (unsigned i = 0; i < WORKERS; i++) {
		me[i] = (struct worker){ w, i };
		pid[i] = start(worker, &me[i]);
	}
	gate_wait(&w->inside, WORKERS);
	for (uint32_t k = 0; k < KILLS; k++) {
		unsigned i = (unsigned)rng_below(&r, WORKERS);

		slay(pid[i]);
		pid[i] = start(worker, &me[i]);
		gate_wait(&w->inside, WORKERS + k + 1); /* the new one has come round, past whatever the dead one held */
	}
	gate_add(&w->stop, 1);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	one_round(w, &r, w->v);
	first = SHV_LOAD(w->v[0], long);
	for (int i = 0; i < SOME; i++)
		ck_assert_int_eq(SHV_LOAD(w->v[i], long), first);
	shared_release(w, sizeof(*w));
}
END_TEST

/* That the order matters is seen by taking them one by one, each in its own order: it ends in a time out. */
struct crossing {
	shv_value *v[2];
	struct meeting both;
	int result[2];
};
struct crosser {
	struct crossing *c;
	int i;
};

static int cross(void *arg)
{
	static const struct timespec soon = { 0, 100000000 };
	struct crosser *me = arg;
	struct crossing *c = me->c;

	NEED(!shv_acquire(c->v[me->i]), "shv_acquire");
	meet(&c->both);
	c->result[me->i] = shv_acquire_for(c->v[!me->i], &soon);
	meet(&c->both);
	return 0;
}

START_TEST(one_by_one_they_do_block_each_other)
{
	struct crossing *c = shared_memory(sizeof(*c));
	struct crosser me[2] = { { c, 0 }, { c, 1 } };
	pid_t pid[2];

	c->both.parties = 2;
	for (int i = 0; i < 2; i++)
		ck_assert_ptr_nonnull(c->v[i] = SHV_VALUE(a, int, 0));
	for (int i = 0; i < 2; i++)
		pid[i] = start(cross, &me[i]);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	ck_assert_int_eq(c->result[0], -ETIMEDOUT);
	ck_assert_int_eq(c->result[1], -ETIMEDOUT);
	shared_release(c, sizeof(*c));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("all");
	TCase *tc = tcase_create("taking");

	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, every_kind_of_lock_is_taken_once_and_given_back);
	tcase_add_test(tc, what_is_held_already_is_counted_up_or_refused);
	tcase_add_test(tc, mappings_and_arenas_may_be_mixed);
	tcase_add_test(tc, error_leaves_nothing_held_and_no_death_unsaid);
	tcase_add_test(tc, value_freed_while_it_is_waited_for_is_stale);
	tcase_add_test(tc, shared_lock_of_a_value_that_was_freed_is_given_back);

	tc = tcase_create("processes");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, processes_in_any_order_do_not_block_each_other);
	tcase_add_test(tc, killed_ones_do_not_stop_the_others);
	tcase_add_test(tc, one_by_one_they_do_block_each_other);
	return run_suite(suite);
}
