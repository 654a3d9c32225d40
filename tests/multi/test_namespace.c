/* SPDX-License-Identifier: MIT */
/*
 * Members in different pid namespaces, where two processes and their threads have equal numbers: they exclude each other,
 * each is seen to live while it lives, and the death of one is noticed in the other namespace.
 *
 * Making a pid namespace needs privileges; where they are missing, nothing is tested.
 */
#define _GNU_SOURCE

#include "support/procs.h"
#include "support/suite.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMBERS 2
#define ROUNDS 100000

/* What the lock protects: two words that are equal whenever nobody is inside, and a number of visits. */
struct inside {
	uint64_t left, right, visits;
};

struct plan {
	shv_arena *a;
	shv_value *v;               /* three words of struct inside */
	struct meeting start;       /* the members */
	struct gate ready, go;
	pid_t outer[MEMBERS];       /* their pids as seen from here */
	pid_t inner[MEMBERS];       /* and by themselves */
};

struct seat {
	struct plan *plan;
	int me;
	int (*body)(struct plan *, int me);
};

/* ---- a process in a pid namespace of its own ------------------------------------------------------ */

/* Runs as the first process of a new namespace. */
static int first_process(struct seat *s)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	s->plan->inner[s->me] = getpid();
	return s->body(s->plan, s->me);
}

/* One namespace can be made by a process for its children, so each member has a process that does that. */
static int usher(void *arg)
{
	struct seat *s = arg;
	pid_t pid;
	int status;

	NEED(!unshare(CLONE_NEWPID), "unshare(CLONE_NEWPID)");
	pid = fork();
	NEED(pid >= 0, "fork");
	if (!pid)
		_exit(first_process(s));
	s->plan->outer[s->me] = pid;
	gate_add(&s->plan->ready, 1);
	status = finish(pid);
	return status == -SIGKILL ? 77 : status;
}

static int try_unshare(void *arg)
{
	(void)arg;
	return unshare(CLONE_NEWPID) ? 1 : 0;
}

static void seat_members(struct plan *p, struct seat *seats, pid_t *ushers, int (*body)(struct plan *, int))
{
	p->start.parties = MEMBERS;
	for (int i = 0; i < MEMBERS; i++) {
		seats[i] = (struct seat){ p, i, body };
		ushers[i] = start(usher, &seats[i]);
	}
	gate_wait(&p->ready, MEMBERS);
}

static struct plan *new_plan(const char *name, shv_lockspec lock)
{
	struct plan *p = shared_memory(sizeof(*p));

	p->a = new_arena(name, 0);
	p->v = shv_array_new(p->a, SHV_UINT64, sizeof(struct inside) / sizeof(uint64_t), NULL, lock);
	ck_assert_ptr_nonnull(p->v);
	return p;
}

static void end_plan(struct plan *p)
{
	ck_assert_int_ge(shv_arena_recover(p->a, NULL), 0);
	need_sound(p->a, "after the members");
	ck_assert_int_eq(shv_value_free(p->v), 0);
	ck_assert_int_eq(shv_arena_detach(p->a), 0);
	shared_release(p, sizeof(*p));
}

/* ---- exclusion ------------------------------------------------------------------------------------ */

/* One visit. The stores are apart, so that a second one inside would be noticed. */
static void visit(struct inside *x)
{
	NEED(x->left == x->right, "somebody else is inside: %llu and %llu", (unsigned long long)x->left, (unsigned long long)x->right);
	__atomic_store_n(&x->left, x->left + 1, __ATOMIC_RELAXED);
	if (x->visits % 64 == 0)
		sched_yield();
	__atomic_store_n(&x->visits, x->visits + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&x->right, x->right + 1, __ATOMIC_RELAXED);
}

static int visit_often(struct plan *p, int me)
{
	struct inside *x = shv_value_data(p->v);

	(void)me;
	NEED(shv_acquire(p->v) == 0 && shv_release(p->v) == 0, "the first acquire");
	meet(&p->start);
	for (int i = 0; i < ROUNDS; i++) {
		bool twice = i % 3 == 0;
		NEED(shv_acquire(p->v) == 0, "acquire");
		NEED(!twice || shv_acquire(p->v) == 0, "acquire again");
		visit(x);
		NEED(!twice || shv_release(p->v) == 0, "release");
		NEED(shv_release(p->v) == 0, "release");
	}
	return 0;
}

START_TEST(equal_numbers_in_two_namespaces_exclude_each_other)
{
	struct plan *p = new_plan("equal", SHV_RECURSIVE);
	struct seat seats[MEMBERS];
	pid_t ushers[MEMBERS];
	struct inside x;

	seat_members(p, seats, ushers, visit_often);
	for (int i = 0; i < MEMBERS; i++)
		ck_assert_int_eq(finish(ushers[i]), 0);
	/* The point of it: they could not be told apart by their numbers. */
	ck_assert_int_eq(p->inner[0], 1);
	ck_assert_int_eq(p->inner[1], 1);
	ck_assert_int_ne(p->outer[0], p->outer[1]);
	ck_assert_int_eq(shv_get(p->v, &x, sizeof(x)), 0);
	ck_assert_uint_eq(x.visits, MEMBERS * ROUNDS);
	ck_assert_uint_eq(x.left, MEMBERS * ROUNDS);
	ck_assert_uint_eq(x.right, MEMBERS * ROUNDS);
	end_plan(p);
}
END_TEST

/* ---- ownership ------------------------------------------------------------------------------------ */

static int claim_the_others(struct plan *p, int me)
{
	struct timespec soon = { 0, 20000000 };
	int r;

	if (me == 0) {
		NEED(shv_acquire(p->v) == 0, "acquire");
		gate_add(&p->go, 1);
		gate_wait(&p->go, 2);
		NEED(shv_release(p->v) == 0, "release");
		return 0;
	}
	gate_wait(&p->go, 1);
	r = shv_release(p->v);
	NEED(r == -EPERM, "release by the namesake of the holder: %d", r);
	r = shv_try_acquire(p->v);
	NEED(r == -EBUSY, "try: %d", r);
	r = shv_acquire_for(p->v, &soon); /* long enough to ask whether the holder lives */
	NEED(r == -ETIMEDOUT, "acquire within a time: %d", r);
	r = shv_value_free(p->v);
	NEED(r == -EBUSY, "free: %d", r);
	gate_add(&p->go, 1);
	NEED(shv_acquire(p->v) == 0, "acquire");
	NEED(shv_release(p->v) == 0, "release");
	return 0;
}

START_TEST(holder_is_not_taken_for_its_namesake)
{
	static const shv_lockspec lock[] = { SHV_RECURSIVE, SHV_PLAIN };
	struct plan *p = new_plan("namesake", lock[_i]);
	struct seat seats[MEMBERS];
	pid_t ushers[MEMBERS];

	seat_members(p, seats, ushers, claim_the_others);
	for (int i = 0; i < MEMBERS; i++)
		ck_assert_int_eq(finish(ushers[i]), 0);
	end_plan(p);
}
END_TEST

/* ---- death ---------------------------------------------------------------------------------------- */

static int die_inside(struct plan *p, int me)
{
	struct inside *x = shv_value_data(p->v);
	struct shv_holder who = { .size = sizeof(who) };
	int r;

	if (me == 0) {
		NEED(shv_acquire(p->v) == 0, "acquire");
		x->left++;
		gate_add(&p->go, 1);
		gate_wait(&p->go, 1000); /* killed here */
		return 1;
	}
	gate_wait(&p->go, 1);
	gate_add(&p->go, 1);
	r = shv_acquire(p->v);
	NEED(r == SHV_RECOVERED, "acquire after the holder's death: %d", r);
	NEED(shv_last_holder(p->v, &who) == 0, "who it was");
	NEED(who.pid == 1, "the dead holder had pid %d", (int)who.pid);
	NEED(x->left == x->right + 1, "what it left behind");
	x->right++;
	NEED(shv_release(p->v) == 0, "release");
	r = shv_acquire(p->v);
	NEED(r == 0, "the news comes once: %d", r);
	NEED(shv_release(p->v) == 0, "release");
	return 0;
}

/* From here the pid is another one; the slot of the arena says whether it lives. */
static unsigned living_namesakes(shv_arena *a)
{
	struct shv_process_info info = { .size = sizeof(info) };
	uint64_t cursor = 0;
	unsigned n = 0;

	while (shv_process_next(a, &cursor, &info) == 1)
		n += info.alive && info.pid == 1;
	return n;
}

START_TEST(death_is_seen_from_another_namespace)
{
	static const shv_lockspec lock[] = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF };
	struct plan *p = new_plan("death", lock[_i]);
	struct seat seats[MEMBERS];
	pid_t ushers[MEMBERS];

	seat_members(p, seats, ushers, die_inside);
	gate_wait(&p->go, 2); /* one is inside, the other on its way */
	ck_assert_int_ge(shv_arena_recover(p->a, NULL), 0);
	ck_assert_uint_ge(living_namesakes(p->a), 1);
	ck_assert_int_eq(kill(p->outer[0], SIGKILL), 0);
	ck_assert_int_eq(finish(ushers[0]), 77);
	ck_assert_int_eq(finish(ushers[1]), 0);
	ck_assert_uint_eq(living_namesakes(p->a), 0);
	end_plan(p);
}
END_TEST

/* ---- what is shown of them ------------------------------------------------------------------------ */

static int be_looked_at(struct plan *p, int me)
{
	(void)me;
	NEED(shv_acquire(p->v) == 0 && shv_release(p->v) == 0, "taking part");
	gate_add(&p->go, 1);
	gate_wait(&p->go, MEMBERS + 1);
	return 0;
}

/* Field 22 of /proc/PID/stat; the command before it, in parentheses, is ours and has no blank. */
static uint64_t start_time_of(pid_t pid)
{
	char path[40], text[1024], *at;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	NEED(f, "fopen(%s)", path);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	NEED(at, "%s has too few fields", path);
	return strtoull(at, NULL, 10);
}

START_TEST(start_time_is_that_of_the_process_and_not_of_a_namesake)
{
	struct plan *p = new_plan("start-time", SHV_PLAIN);
	struct shv_process_info info = { .size = sizeof(info) };
	struct seat seats[MEMBERS];
	pid_t ushers[MEMBERS];
	uint64_t cursor = 0, sum = 0;

	seat_members(p, seats, ushers, be_looked_at);
	gate_wait(&p->go, MEMBERS);
	while (shv_process_next(p->a, &cursor, &info) == 1)
		sum += info.pid == 1 ? info.start_time : 0;
	ck_assert_uint_eq(sum, start_time_of(p->outer[0]) + start_time_of(p->outer[1]));
	gate_add(&p->go, 1);
	for (int i = 0; i < MEMBERS; i++)
		ck_assert_int_eq(finish(ushers[i]), 0);
	end_plan(p);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("namespace");
	TCase *locks = tcase_create("locks"), *shown = tcase_create("shown");
	int status = finish(start(try_unshare, NULL));

	if (status) {
		printf("1..0 # SKIP pid namespaces cannot be made here\n");
		return 0;
	}
	tcase_add_test(locks, equal_numbers_in_two_namespaces_exclude_each_other);
	tcase_add_loop_test(locks, holder_is_not_taken_for_its_namesake, 0, 2);
	tcase_add_loop_test(locks, death_is_seen_from_another_namespace, 0, 3);
	suite_add_tcase(suite, locks);
	tcase_add_test(shown, start_time_is_that_of_the_process_and_not_of_a_namesake);
	suite_add_tcase(suite, shown);
	return run_suite(suite);
}
