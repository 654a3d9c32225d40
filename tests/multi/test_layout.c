/* SPDX-License-Identifier: MIT */
/*
 * Programs that were built from different headers: the same name, another layout. Each is a program of its own (exec), with
 * nothing but a descriptor of the arena.
 */
#include "support/procs.h"
#include "support/suite.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* What the programs believe a "record" to be. */
static const struct shv_field layouts[][3] = {
	{ { 0, "id", SHV_LONG, 0, 8 }, { 0, "x", SHV_DOUBLE, 8, 8 }, { 0, "n", SHV_INT, 16, 4 } },
	{ { 0, "id", SHV_LONG, 0, 8 }, { 0, "n", SHV_INT, 8, 4 }, { 0, "x", SHV_DOUBLE, 16, 8 } },      /* other order */
	{ { 0, "id", SHV_LONG, 0, 8 }, { 0, "y", SHV_DOUBLE, 8, 8 }, { 0, "n", SHV_INT, 16, 4 } },      /* other name */
	{ { 0, "id", SHV_LONG, 0, 8 }, { 0, "x", SHV_DOUBLE, 8, 8 }, { 0, "n", SHV_UINT, 16, 4 } },     /* other sign */
	{ { 0, "id", SHV_LONG, 0, 8 }, { 0, "x", SHV_DOUBLE, 8, 8 }, { 0, "n", SHV_INT, 16, 8 } },      /* an array of 2 */
	{ { 0, "id", SHV_LONGLONG, 0, 8 }, { 0, "x", SHV_DOUBLE, 8, 8 }, { 0, "n", SHV_INT, 16, 4 } },  /* the first in other words */
};
enum { LAYOUTS = sizeof(layouts) / sizeof(layouts[0]), SAME = LAYOUTS - 1, RACERS = 6 };

static const shv_type *record(int i)
{
	const shv_type *t = shv_type_struct("record", 24, layouts[i], 3);

	NEED(t, "shv_type_struct");
	return t;
}

/* What the programs tell. */
enum answer { SAID_REFUSED = 10, SAID_MADE = 11 };

/* layout: of an arena that knows the first one. */
static int program_after(shv_arena *a, int i)
{
	shv_value *v = shv_find(a, "it"), *made;
	bool same = i == 0 || i == SAME;
	char bytes[24];
	int r;

	NEED(v, "shv_find");
	made = shv_value_new(a, record(i), NULL, SHV_PLAIN);
	NEED(made || errno == EPROTONOSUPPORT, "errno %d", errno);
	NEED(made || (strstr(shv_errmsg(), "'record'") && strstr(shv_errmsg(), "another layout")), "the sentence");
	r = shv_get_typed(v, record(i), bytes, sizeof(bytes));
	NEED(r == (same ? 0 : -EINVAL), "shv_get_typed: %d", r);
	NEED(!shv_field_at(v, "", record(i)) == !same, "shv_field_at");
	NEED(!shv_find_or_new(a, "it", record(i), NULL, SHV_PLAIN, NULL) == !same, "shv_find_or_new");
	return made ? SAID_MADE : SAID_REFUSED;
}

/* Several at once in an arena that knows none. */
static int program_racing(shv_arena *a, int i)
{
	uint32_t *gate = shv_find(a, "gate");

	NEED(gate, "shv_find");
	gate_wait((struct gate *)gate, 1);
	if (shv_raw_new(a, record(i), NULL))
		return SAID_MADE;
	NEED(errno == EPROTONOSUPPORT, "errno %d", errno);
	return SAID_REFUSED;
}

static int program(int argc, char **argv)
{
	shv_arena *a = shv_arena_attach(atoi(argv[2]), 0);
	int said;

	NEED(a && argc == 4, "shv_arena_attach");
	said = strcmp(argv[1], "after") ? program_racing(a, atoi(argv[3])) : program_after(a, atoi(argv[3]));
	NEED(!shv_arena_detach(a), "shv_arena_detach");
	return said;
}

static pid_t run_program(const char *what, int fd, int layout)
{
	char fd_text[16], layout_text[16];
	char *argv[] = { (char *)"test_layout", (char *)what, fd_text, layout_text, NULL };
	pid_t pid;

	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(layout_text, sizeof(layout_text), "%d", layout);
	ck_assert_int_eq(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	return pid;
}

START_TEST(program_with_another_layout_is_refused)
{
	shv_arena *a = new_arena("layout", 0);
	shv_value *v = shv_value_new(a, record(0), NULL, SHV_RECURSIVE);
	int fd = inheritable_fd(a), expected = _i == 0 || _i == SAME ? SAID_MADE : SAID_REFUSED;

	ck_assert_ptr_nonnull(v);
	ck_assert_int_eq(shv_publish(v, "it"), 0);
	ck_assert_int_eq(finish(run_program("after", fd, _i)), expected);
	close(fd);
	need_sound(a, "afterwards");
	ck_assert_int_eq(shv_arena_detach(a), 0);
}
END_TEST

START_TEST(of_programs_that_race_one_layout_wins)
{
	shv_arena *a = new_arena("layouts", 0);
	uint32_t *gate = shv_raw_new(a, SHV_UINT32, NULL);
	int fd = inheritable_fd(a), made = 0, refused = 0;
	pid_t pid[RACERS];

	ck_assert(gate && !shv_publish(gate, "gate"));
	for (int i = 0; i < RACERS; i++)
		pid[i] = run_program("race", fd, i % 3); /* each layout twice */
	gate_add((struct gate *)gate, 1);
	for (int i = 0; i < RACERS; i++) {
		int said = finish(pid[i]);
		made += said == SAID_MADE;
		refused += said == SAID_REFUSED;
	}
	ck_assert_int_eq(made, 2);
	ck_assert_int_eq(refused, RACERS - 2);
	close(fd);
	need_sound(a, "afterwards");
	ck_assert_int_eq(shv_arena_detach(a), 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tc;

	if (argc > 1)
		return program(argc, argv);
	suite = suite_create("layout");
	tc = tcase_create("layout");
	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, program_with_another_layout_is_refused, 0, LAYOUTS);
	tcase_add_test(tc, of_programs_that_race_one_layout_wins);
	return run_suite(suite);
}
