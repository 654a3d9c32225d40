/* SPDX-License-Identifier: MIT */
/*
 * The += trap.
 *
 * "Read it, add one, write it back" is two accesses. Each of them may take the value's lock, and yet
 * another process can come in between and its increment is overwritten. Four processes show the
 * loss (again and again, with more increments, until one is really seen), and the two remedies:
 * hold the lock around both accesses (shv_with), or make it one access (shv_add).
 */
#include <shv/shv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 4, TIMES = 20000, MOST_TIMES = TIMES << 9 };

static void die(const char *what)
{
	fprintf(stderr, "counter: %s: %s\n", what, shv_errmsg());
	exit(1);
}

/* The trap: each of the two takes and releases the lock, and nobody holds it in between. */
static void add_in_two_steps(shv_value *v)
{
	SHV_STORE(v, long, SHV_LOAD(v, long) + 1);
}

/* The lock is held over both. They take it again, which a recursive lock permits. */
static void add_with_lock(shv_value *v)
{
	shv_with(v)
	{
		SHV_STORE(v, long, SHV_LOAD(v, long) + 1);
	}
}

static void add_at_once(shv_value *v)
{
	shv_add(v, 1, NULL);
}

/* PROCESSES children add `times` ones each, all starting at one moment. What does the value say then? */
static long race(shv_value *v, void (*add_one)(shv_value *), int times)
{
	int gate[2], status;
	char c;

	if (SHV_STORE(v, long, 0) || pipe(gate))
		die("start");
	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			close(gate[1]);
			if (read(gate[0], &c, 1) != 0) /* the gate opens when the parent closes it */
				_exit(1);
			for (int n = 0; n < times; n++)
				add_one(v);
			_exit(0);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < PROCESSES; i++)
		if (wait(&status) < 0 || status)
			die("a child failed");
	return SHV_LOAD(v, long);
}

static int exact(shv_value *v, const char *how, void (*add_one)(shv_value *))
{
	long wanted = (long)PROCESSES * TIMES, got = race(v, add_one, TIMES);

	printf("%-24s %ld of %ld\n", how, got, wanted);
	return got == wanted ? 0 : 1;
}

int main(void)
{
	shv_arena *a = shv_arena_create(&(struct shv_arena_options){ .name = "counter" });
	shv_value *v = a ? SHV_VALUE(a, long, 0) : NULL;
	shv_value *plain = a ? SHV_VALUE(a, long, 0, SHV_PLAIN) : NULL;
	long got, wanted;
	int bad = 0, times = TIMES;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!v || !plain)
		die("create");
	do {
		wanted = (long)PROCESSES * times;
		got = race(v, add_in_two_steps, times);
		printf("%-24s %ld of %ld%s\n", "load, then store:", got, wanted,
		       got == wanted ? ", by luck; again" : "");
		times *= 2;
	} while (got == wanted && times <= MOST_TIMES);
	if (got == wanted) {
		fprintf(stderr, "counter: nothing was ever lost\n");
		bad = 1;
	}
	bad |= exact(v, "both within shv_with:", add_with_lock);
	bad |= exact(v, "shv_add:", add_at_once);

	/* With a lock that is not recursive, the pattern would hang in Python. Here it is an error. */
	shv_with(plain)
	{
		errno = 0;
		(void)SHV_LOAD(plain, long);
		bad |= errno != EDEADLK;
	}
	printf("%-24s %s\n", "a plain lock, twice:", shv_errmsg());

	bad |= shv_value_free(v) || shv_value_free(plain) || shv_arena_detach(a);
	return bad;
}
