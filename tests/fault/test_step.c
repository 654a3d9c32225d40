/* SPDX-License-Identifier: MIT */
/*
 * Death at any instruction: a child is single-stepped through an operation and killed after i instructions, for i = 1, 2, ...
 * After each death the survivor must recover, find the arena sound, find what was committed, and have all pages back, within
 * a bounded time (the test's own alarm).
 *
 * Without SHV_SLOW a sample: a few places of each operation, spread evenly from a seeded start that is printed. With it, every
 * instruction up to SHV_STEPS (20,000) and a sample beyond. Needs no special build.
 */
#define MANY 4
#include "fault/scenarios.h"

#include <sys/ptrace.h>
#include <sys/user.h>
#include <time.h>

#define STEPS_MOST 20000 /* a sample goes no further into an operation */
#define STEPS_IN_ALL 15000 /* single steps that a sample may take for one operation */

static unsigned seed;

/* Run the child to where the operation begins: it stops itself there. */
static pid_t start_child(struct stage *s, const struct scenario *sc)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		if (sc->warm)
			sc->warm(s);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(8);
		raise(SIGSTOP);
		sc->act(s);
		raise(SIGSTOP);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "%s: the child did not come to its start: %x", sc->name, status);
	return pid;
}

/* Steps it i times and kills it. True if the operation was over before. */
static bool killed_after(pid_t pid, const char *name, unsigned long i)
{
	bool over = false;
	int status;

	for (unsigned long k = 0; k < i && !over; k++) {
		ck_assert(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
		ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
		ck_assert_msg(WIFSTOPPED(status), "%s: the child ended at step %lu: %x", name, k, status);
		over = WSTOPSIG(status) == SIGSTOP;
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) == pid && !WIFSIGNALED(status) && !WIFEXITED(status))
		;
	return over;
}

static bool round_of(const struct scenario *sc, unsigned long i)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 8 };
	struct stage s = { .a = shv_arena_create(&o) };
	bool over;
	int n;

	ck_assert_msg(s.a != NULL, "%s", shv_errmsg());
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s.shared != MAP_FAILED);
	sc->before(&s);
	over = killed_after(start_child(&s, sc), sc->name, i);
	ck_assert_msg(shv_arena_recover(s.a, NULL) >= 0, "%s, step %lu: %s", sc->name, i, shv_errmsg());
	n = shv_check(s.a, report, (void *)(uintptr_t)sc->name);
	ck_assert_msg(n == 0, "%s, step %lu: %d findings after recovery", sc->name, i, n);
	sc->verify(&s, true);
	free_everything(s.a);
	nothing_is_left(s.a, sc->name, (unsigned)i);
	ck_assert_int_eq(shv_arena_detach(s.a), 0);
	munmap(s.shared, sizeof(*s.shared));
	return over;
}

/* How many instructions the whole operation takes. */
static unsigned long length_of(const struct scenario *sc)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 8 };
	struct stage s = { .a = shv_arena_create(&o) };
	unsigned long n = 0;
	int status;
	pid_t pid;

	ck_assert_msg(s.a != NULL, "%s", shv_errmsg());
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s.shared != MAP_FAILED);
	sc->before(&s);
	pid = start_child(&s, sc);
	do {
		n++;
		ck_assert(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
		ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
		ck_assert_msg(WIFSTOPPED(status), "%s: the child ended at step %lu: %x", sc->name, n, status);
	} while (WSTOPSIG(status) != SIGSTOP && (getenv("SHV_SLOW") || n < STEPS_MOST));
	kill(pid, SIGKILL);
	waitpid(pid, &status, __WALL);
	ck_assert_int_ge(shv_arena_recover(s.a, NULL), 0);
	sc->verify(&s, true);
	ck_assert_int_eq(shv_arena_detach(s.a), 0);
	munmap(s.shared, sizeof(*s.shared));
	return n;
}

START_TEST(death_at_any_instruction)
{
	const struct scenario *sc = &scenarios[_i];
	const char *all = getenv("SHV_SLOW"), *limit = getenv("SHV_STEPS"), *only = getenv("SHV_SCENARIO");
	unsigned long n, each = limit ? strtoul(limit, NULL, 10) : 20000, done = 0, stride;

	if (sc->points || (only && strcmp(only, sc->name)))
		return; /* test_crash.c has these */
	stay_on_one_cpu();
	n = length_of(sc);
	/* Killing at i takes i steps: with places evenly spread, n steps for every two of them. */
	stride = n * (n / 2) / STEPS_IN_ALL;
	if (stride < 1)
		stride = 1;
	if (stride > n / 2)
		stride = n / 2;
	for (unsigned long i = all ? 1 : 1 + seed % stride; i <= n; i += all && i < each ? 1 : stride) {
		(void)round_of(sc, i);
		done++;
	}
	fprintf(stderr, "# %s: %lu instructions, killed after %lu of them\n", sc->name, n, done);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("step");
	TCase *t = tcase_create("instructions");
	const char *given = getenv("SHV_SEED");

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "# SHV_SEED=%u\n", seed);
	tcase_set_timeout(t, getenv("SHV_SLOW") ? 7200 : 120);
	tcase_add_loop_test(t, death_at_any_instruction, 0, (int)SCENARIOS);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
