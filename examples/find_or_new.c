/* SPDX-License-Identifier: MIT */
/*
 * Who comes first makes it, the others find it, and nobody has to know who is first.
 *
 * Eight processes go through the same list of names at once and ask for each value by
 * shv_find_or_new(). For every name exactly one of them creates, and all of them get the same value.
 */
#include <shv/shv.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 8, NAMES = 200, INITIAL = 1000 };

static void die(const char *what)
{
	fprintf(stderr, "find_or_new: %s: %s\n", what, shv_errmsg());
	exit(1);
}

static void name_of(int i, char *buf, size_t size)
{
	snprintf(buf, size, "setting/%d", i);
}

/* made: what the processes created, all together. */
static void racer(shv_arena *a, shv_value *made)
{
	int initial = INITIAL, created;
	char name[32];

	for (int i = 0; i < NAMES; i++) {
		shv_value *v;

		name_of(i, name, sizeof(name));
		v = shv_find_or_new(a, name, SHV_INT, &initial, SHV_RECURSIVE, &created);
		if (!v || shv_add(v, 1, NULL) || shv_add(made, created, NULL))
			die(name);
	}
}

int main(void)
{
	struct shv_stat st = { .size = sizeof(st) };
	int gate[2], status;
	shv_value *made;
	shv_arena *a;
	char c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	a = shv_arena_create(&(struct shv_arena_options){ .name = "find_or_new" });
	made = a ? SHV_VALUE(a, int, 0) : NULL;
	if (!made || pipe(gate))
		die("start");
	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			close(gate[1]);
			if (read(gate[0], &c, 1) != 0) /* all start when the parent closes the gate */
				_exit(1);
			racer(a, made);
			_exit(0);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < PROCESSES; i++)
		if (wait(&status) < 0 || status)
			die("a child failed");

	printf("%d processes asked for %d names: %d values were made\n", PROCESSES, NAMES, SHV_LOAD(made, int));
	if (SHV_LOAD(made, int) != NAMES || shv_stat(a, &st) || st.names != NAMES)
		die("there should be one value for each name");
	for (int i = 0; i < NAMES; i++) {
		char name[32];
		shv_value *v;

		name_of(i, name, sizeof(name));
		v = shv_find(a, name);
		if (!v || SHV_LOAD(v, int) != INITIAL + PROCESSES || shv_value_free(v))
			die(name);
	}
	printf("each of them was found by all %d, and holds %d\n", PROCESSES, INITIAL + PROCESSES);
	if (shv_stat(a, &st) || st.names)
		die("names should go with their values");
	return shv_arena_detach(a) ? 1 : 0;
}
