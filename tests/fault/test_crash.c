/* SPDX-License-Identifier: MIT */
/*
 * Death at every named crash point of every operation that writes.
 *
 * For each scenario and k = 1, 2, ...: a fresh arena, a child that performs the operation and is killed at the k-th point that it
 * reaches, until it finishes alive. After each death the survivor (this process) must recover, find the arena sound, find every
 * object that was committed with an allowed content, free everything, and have all pages back. A last test demands that every
 * crash point in the sources went off at least once.
 *
 * Needs --enable-fault-injection.
 */
#include "support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <shv/shv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 40
#include "fault/scenarios.h"

/* ---- the sweep --------------------------------------------------------------------------------------------- */

static FILE *points_seen;

static bool child_dies_at(struct stage *s, const struct scenario *sc, unsigned k, const char *points)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		alarm(20);
		if (sc->warm)
			sc->warm(s);
		if (points)
			shv_fault_log(fileno(points_seen));
		snprintf(armed_spec, sizeof(armed_spec), "%u", k);
		shv_fault_arm_crash(armed_spec);
		sc->act(s);
		shv_fault_arm_crash(NULL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		ck_assert_msg(WTERMSIG(status) == SIGKILL, "%s, point %u: the child got signal %d", sc->name, k, WTERMSIG(status));
		return true;
	}
	ck_assert_msg(WEXITSTATUS(status) == 0, "%s, point %u: the child failed", sc->name, k);
	return false;
}

static bool round_of(const struct scenario *sc, unsigned k)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 8 };
	struct stage s = { .a = shv_arena_create(&o) };
	bool died;
	int n;

	ck_assert_msg(s.a != NULL, "%s", shv_errmsg());
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s.shared != MAP_FAILED);
	sc->before(&s);
	died = child_dies_at(&s, sc, k, "yes");
	ck_assert_msg(shv_arena_recover(s.a, NULL) >= 0, "%s, point %u: %s", sc->name, k, shv_errmsg());
	n = shv_check(s.a, report, (void *)(uintptr_t)sc->name);
	ck_assert_msg(n == 0, "%s, point %u: %d findings after recovery", sc->name, k, n);
	sc->verify(&s, died);
	free_everything(s.a);
	nothing_is_left(s.a, sc->name, k);
	n = shv_check(s.a, report, (void *)(uintptr_t)sc->name);
	ck_assert_msg(n == 0, "%s, point %u: %d findings at the end", sc->name, k, n);
	ck_assert_int_eq(shv_arena_detach(s.a), 0);
	munmap(s.shared, sizeof(*s.shared));
	return died;
}

START_TEST(death_at_every_point)
{
	const struct scenario *sc = &scenarios[_i];
	unsigned k = 1, step = sample_step();

	while (round_of(sc, k))
		k += step;
	fprintf(stderr, "# %s: %u points%s\n", sc->name, k - 1, step > 1 ? " at the most, a sample of them" : "");
	ck_assert_msg(k > 1 || sc->act == wait_for_lock, "%s reached no crash point", sc->name);
}
END_TEST

/* Among the names that the children wrote, one a line. */
static bool was_seen(const char *name)
{
	static char *log;
	static size_t size;
	size_t n = strlen(name);

	if (!log) {
		fseek(points_seen, 0, SEEK_END);
		size = (size_t)ftell(points_seen);
		log = calloc(1, size + 1);
		ck_assert(log && pread(fileno(points_seen), log, size, 0) == (ssize_t)size);
	}
	for (const char *at = log; (at = strstr(at, name)); at++)
		if ((at == log || at[-1] == '\n') && at[n] == '\n')
			return true;
	return false;
}

/* Names of the crash points in the sources, against those that were reached. */
START_TEST(every_point_was_reached)
{
	char command[1024], name[64];
	const char *src = getenv("SHV_SRCDIR");
	unsigned missing = 0, all = 0;
	FILE *p;

	snprintf(command, sizeof(command), "cd '%s' && grep -rhoE 'CRASH_POINT\\(\"[a-z-]+\"\\)' arena values locks --include=*.c --include=*.h | "
					   "sed -E 's/.*\"(.*)\".*/\\1/' | sort -u", src ? src : ".");
	p = popen(command, "r");
	ck_assert_ptr_nonnull(p);
	while (fgets(name, sizeof(name), p)) {
		all++;
		name[strcspn(name, "\n")] = 0;
		if (!was_seen(name)) {
			fprintf(stderr, "# never reached: %s\n", name);
			missing++;
		}
	}
	pclose(p);
	fprintf(stderr, "# %u crash points in the sources\n", all);
	ck_assert_uint_gt(all, 30);
	ck_assert_msg(missing == 0, "%u crash points were never reached", missing);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crash");
	TCase *t = tcase_create("points");

	points_seen = tmpfile();
	setvbuf(points_seen, NULL, _IONBF, 0);
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, death_at_every_point, 0, (int)SCENARIOS);
	tcase_add_test(t, every_point_was_reached);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
