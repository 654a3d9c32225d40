/* SPDX-License-Identifier: MIT */
/*
 * What happens between a death, or a stop, and what follows it: the survivor takes pages before anyone has recovered, and takes a
 * lock while another process stands a few instructions before the compare-and-swap that wanted it.
 *
 * Needs --enable-fault-injection (the first test does).
 */
#define MANY 40
#include "fault/scenarios.h"

#include <sys/ptrace.h>

static void fresh(struct stage *s)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 8 };

	s->a = shv_arena_create(&o);
	ck_assert_msg(s->a != NULL, "%s", shv_errmsg());
	s->shared = mmap(NULL, sizeof(*s->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s->shared != MAP_FAILED);
}

static void done_with(struct stage *s)
{
	ck_assert_int_eq(shv_arena_detach(s->a), 0);
	munmap(s->shared, sizeof(*s->shared));
}

/* ---- pages that the dead had freed are somebody's already when its intent is repeated ------------------------------ */

enum { FILL = 1500 };

static bool reused_round(unsigned k)
{
	static long *mine[FILL];
	struct stage s = { 0 };
	int status, n;
	pid_t pid;

	fresh(&s);
	orphans_only(&s);
	pid = fork();
	if (!pid) {
		alarm(20);
		warm_child(&s);
		snprintf(armed_spec, sizeof(armed_spec), "%u", k);
		arm_crash(armed_spec);
		free_orphans(&s);
		arm_crash(NULL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	for (long i = 0; i < FILL; i++) {
		mine[i] = shv_raw_new(s.a, SHV_LONG, &i);
		ck_assert_ptr_nonnull(mine[i]);
	}
	ck_assert_int_ge(shv_arena_recover(s.a, NULL), 0);
	n = shv_check(s.a, report, "reuse before recovery");
	ck_assert_msg(n == 0, "point %u: %d findings", k, n);
	for (long i = 0; i < FILL; i++)
		ck_assert_msg(*mine[i] == i, "point %u: object %ld was overwritten", k, i);
	for (long i = 0; i < FILL; i++)
		ck_assert_int_eq(shv_raw_free(mine[i]), 0);
	free_everything(s.a);
	nothing_is_left(s.a, "reuse before recovery", k);
	done_with(&s);
	return WIFSIGNALED(status);
}

START_TEST(pages_freed_by_the_dead_are_used_before_its_recovery)
{
	unsigned k = 1;

	while (reused_round(k))
		k++;
	fprintf(stderr, "# %u points\n", k - 1);
	ck_assert_uint_gt(k, 10);
}
END_TEST

/* ---- a lock is taken from a dead owner while somebody else is about to ---------------------------------------------- */

/* The own lock's word lies before the header. */
static uint64_t word_of(shv_value *v)
{
	return __atomic_load_n((uint64_t *)(void *)v - 2, __ATOMIC_ACQUIRE);
}

static void holder_dies(struct stage *s)
{
	pid_t pid;

	s->v[0] = SHV_VALUE(s->a, long, 1);
	ck_assert_ptr_nonnull(s->v[0]);
	pid = fork();
	if (!pid) {
		if (shv_acquire(s->v[0]))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
}

enum { GOT = 3, BUSY, OTHER };

static int takes_it(struct stage *s)
{
	int r = shv_try_acquire(s->v[0]);

	return r >= 0 ? GOT : r == -EBUSY ? BUSY : OTHER;
}
static int recovers(struct stage *s)
{
	return shv_arena_recover(s->a, NULL) >= 0 ? 0 : OTHER;
}
static int (*const intruders[])(struct stage *) = { takes_it, recovers };

static pid_t traced(struct stage *s, int (*act)(struct stage *))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		warm_child(s);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(8);
		raise(SIGSTOP);
		_exit(act(s));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	return pid;
}

/* Steps until the lock's word is no longer `before`, at most `most` times. */
static unsigned long step(struct stage *s, pid_t pid, uint64_t before, unsigned long most)
{
	unsigned long i = 0;
	int status;

	while (i < most && word_of(s->v[0]) == before) {
		ck_assert(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
		ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
		ck_assert_msg(WIFSTOPPED(status), "ended at step %lu: %x", i, (unsigned)status);
		i++;
	}
	return i;
}

static unsigned long length_until_taken(int (*act)(struct stage *))
{
	struct stage s = { 0 };
	unsigned long n;
	int status;
	pid_t pid;

	fresh(&s);
	holder_dies(&s);
	pid = traced(&s, act);
	n = step(&s, pid, word_of(s.v[0]), 1000000);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
	ck_assert_int_ge(shv_arena_recover(s.a, NULL), 0);
	done_with(&s);
	return n;
}

/* Stopped after i instructions; the survivor takes the lock; the other goes on. True if it was in time. */
static bool taken_meanwhile(int (*act)(struct stage *), unsigned long i)
{
	struct stage s = { 0 };
	uint64_t before;
	int status, r;
	bool in_time;
	pid_t pid, other;

	fresh(&s);
	holder_dies(&s);
	before = word_of(s.v[0]);
	pid = traced(&s, act);
	(void)step(&s, pid, before, i);
	in_time = word_of(s.v[0]) == before;
	if (in_time) {
		r = shv_try_acquire(s.v[0]);
		ck_assert_msg(r == SHV_RECOVERED, "step %lu: %d %s", i, r, shv_errmsg());
	}
	ck_assert(!ptrace(PTRACE_DETACH, pid, NULL, NULL));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (in_time) {
		ck_assert_msg(WEXITSTATUS(status) == (act == takes_it ? BUSY : 0), "step %lu: the other came to %d", i, WEXITSTATUS(status));
		other = fork();
		if (!other)
			_exit(takes_it(&s));
		ck_assert_int_eq(waitpid(other, &status, 0), other);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == BUSY, "step %lu: two hold the lock", i);
		ck_assert_msg(shv_release(s.v[0]) == 0, "step %lu: %s", i, shv_errmsg());
	}
	ck_assert_int_ge(shv_arena_recover(s.a, NULL), 0);
	ck_assert_int_eq(shv_check(s.a, report, "taken meanwhile"), 0);
	done_with(&s);
	return in_time;
}

START_TEST(a_lock_goes_to_one_of_two_that_found_its_owner_dead)
{
	int (*act)(struct stage *) = intruders[_i];
	unsigned long n = length_until_taken(act), done = 0, stride = getenv("SHV_SLOW") ? 1 : 5;

	for (unsigned long i = n > 150 ? n - 150 : 0; i <= n; i += stride)
		done += taken_meanwhile(act, i);
	fprintf(stderr, "# %lu instructions, the lock taken before %lu of the last ones\n", n, done);
	ck_assert_uint_gt(done, 5);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("race");
	TCase *t = tcase_create("between");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, pages_freed_by_the_dead_are_used_before_its_recovery);
	tcase_add_loop_test(t, a_lock_goes_to_one_of_two_that_found_its_owner_dead, 0, 2);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
