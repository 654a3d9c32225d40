/* SPDX-License-Identifier: MIT */
/*
 * An arena to look at from outside, with the same contents each time. Prints "ready PID" and keeps it until
 * standard input ends.
 *
 *   fixture            one object of each kind and policy, held, shared and abandoned locks, awkward names
 *   fixture small      the same in a small arena, which core dumps include
 *   fixture changing   a few, which change when a line comes in
 *   fixture sparse     an array of 1 GiB with three bytes that were written; one of them changes when a line comes in
 *   fixture many N     N values with mixed policies and types, 1 in 16 named, and the last one awkwardly
 *   fixture served PATH  one of each, served at a socket
 *   fixture churn      two threads that create, change and free for as long as it runs
 */
#include <pthread.h>
#include <shv/shv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEED(x)                                                                                       \
	do {                                                                                          \
		if (!(x)) {                                                                           \
			fprintf(stderr, "fixture: line %d: %s: %s\n", __LINE__, #x, shv_errmsg());    \
			exit(1);                                                                      \
		}                                                                                     \
	} while (0)

struct point {
	double x, y;
	int tag[2];
};

static shv_arena *arena;
static shv_value *left_nameless;

static shv_arena *make_arena(bool small)
{
	struct shv_arena_options opt = { .size = sizeof(opt), .name = "fixture", .capacity = (size_t)8 << 30 };

	if (small) {
		opt.capacity = (size_t)32 << 20;
		opt.max_processes = 4;
		opt.flags = SHV_DUMP;
	}
	return shv_arena_create(&opt);
}

static void ready(void)
{
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
}

static void wait_for_end(void)
{
	char c[64];

	while (read(STDIN_FILENO, c, sizeof(c)) > 0)
		;
}

/* ---- one of each ----------------------------------------------------------------------------------------- */

/* A policy of the program's own, as small as can be. */
static int toy_acquire(void *state, const struct timespec *deadline)
{
	(void)deadline;
	while (__atomic_exchange_n((uint32_t *)state, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	return 0;
}

static int toy_release(void *state)
{
	__atomic_store_n((uint32_t *)state, 0, __ATOMIC_RELEASE);
	return 0;
}

static const struct shv_lock_policy toy = { .struct_size = sizeof(toy),
					    .name = "toy",
					    .size = 4,
					    .align = 4,
					    .acquire = toy_acquire,
					    .release = toy_release };

static shv_value *named(shv_value *v, const char *name)
{
	NEED(v);
	NEED(!shv_publish(v, name));
	return v;
}

static void make_values(void)
{
	const struct shv_field fields[] = {
		SHV_FIELD(struct point, x, SHV_DOUBLE),
		SHV_FIELD(struct point, y, SHV_DOUBLE),
		SHV_FIELD(struct point, tag, SHV_INT),
	};
	const shv_type *point = shv_type_struct("point", sizeof(struct point), fields, 3);
	const struct point here = { 1.5, -2, { 3, 4 } };
	const int five[] = { 1, 2, 3, 4, 5 };
	const double pair[] = { 0.5, 1e100 };
	const long seven = -7;

	NEED(point);
	named(shv_value_new(arena, point, &here, SHV_RECURSIVE), "here");
	named(SHV_VALUE(arena, char, 'A', SHV_PLAIN), "letter");
	named(SHV_VALUE(arena, double, 3.5, SHV_NONE), "three-and-a-half");
	named(SHV_VALUE(arena, bool, true, SHV_HANDOFF), "flag");
	named(shv_array_new(arena, SHV_INT, 5, five, SHV_RECURSIVE), "five");
	named(shv_array_new(arena, SHV_CHAR, 300, memset((char[300]){ 0 }, 'x', 299), SHV_PLAIN), "long");
	NEED(!shv_publish(shv_raw_new(arena, SHV_LONG, &seven), "raw"));
	NEED(!shv_publish(shv_raw_array_new(arena, SHV_DOUBLE, 2, pair), "pair"));
	NEED(SHV_VALUE(arena, unsigned short, 1)); /* without a name */
	NEED(!shv_lock_register(arena, &toy));
	named(SHV_VALUE(arena, int, 5, SHV_POLICY(&toy)), "toy");
	named(SHV_VALUE(arena, int, 6), "esc \033[31m and \xff and \xe2\x80\xae.");
	named(SHV_VALUE(arena, int, 7), "12");
}

/* Strings: their text is an object's part of its own. */
static void make_strings(void)
{
	shv_value *motto = named(shv_string_new(arena, "to be replaced", SHV_PLAIN), "motto");

	NEED(!shv_string_set(motto, "tabs\tand \"quotes\", \xc3\xa4nd"));
	named(shv_string_new(arena, NULL, SHV_NONE), "no-text");
	named(shv_wstring_new(arena, L"wide \u20ac", SHV_RECURSIVE), "wide");
}

static void make_locks(void)
{
	shv_lock *gate = shv_lock_new(arena, SHV_PLAIN), *old = shv_lock_new(arena, SHV_RECURSIVE);
	shv_value *v;

	NEED(gate && old);
	NEED(!shv_publish(gate, "gate"));
	named(SHV_VALUE(arena, int, 10, SHV_SHARED(gate)), "behind-gate-1");
	named(SHV_VALUE(arena, int, 11, SHV_SHARED(gate)), "behind-gate-2");
	NEED(!shv_lock_acquire(gate));
	named(SHV_VALUE(arena, int, 12, SHV_SHARED(old)), "behind-old");
	NEED(!shv_lock_free(old)); /* condemned: a value still uses it */
	v = named(SHV_VALUE(arena, int, 42), "answer");
	NEED(!shv_acquire(v) && !shv_acquire(v) && !shv_acquire(v));
	v = named(SHV_VALUE(arena, int, 100), "counted");
	for (int i = 0; i < 9; i++)
		NEED(!shv_add(v, 1, NULL));
}

/* A child that dies with a lock in hand, and leaves an object. */
static void make_dead(void)
{
	shv_value *left = named(SHV_VALUE(arena, int, 13), "abandoned");
	int status;
	pid_t pid = fork();

	NEED(pid >= 0);
	if (!pid) {
		prctl(PR_SET_NAME, "mortal");
		named(SHV_VALUE(arena, long, 14), "orphan");
		NEED(!shv_acquire(left));
		raise(SIGKILL);
	}
	NEED(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

/* ---- for diff -------------------------------------------------------------------------------------------- */

static void make_change(void)
{
	char line[16];

	NEED(read(STDIN_FILENO, line, sizeof(line)) > 0);
	((struct point *)shv_value_data(shv_find(arena, "here")))->y = 5;
	*(int *)shv_at(shv_find(arena, "five"), 2) = 33;
	NEED(!shv_unpublish(arena, "letter"));
	NEED(!shv_publish(left_nameless, "renamed"));
	NEED(!shv_acquire(shv_find(arena, "12")));
	NEED(!shv_value_free(shv_find(arena, "goes")));
	NEED(!shv_string_set(shv_find(arena, "motto"), "another"));
	named(SHV_VALUE(arena, float, 2), "changed");
}

/* ---- sparse ---------------------------------------------------------------------------------------------- */

static void make_sparse(void)
{
	enum { BYTES = 1 << 30 };
	char *bytes, line[16];

	bytes = shv_value_data(named(shv_array_new(arena, SHV_CHAR, BYTES, NULL, SHV_PLAIN), "sparse"));
	bytes[0] = bytes[BYTES / 2] = bytes[BYTES - 1] = 'x';
	ready();
	NEED(read(STDIN_FILENO, line, sizeof(line)) > 0);
	bytes[BYTES / 2] = 'y';
	named(SHV_VALUE(arena, int, 1), "changed");
}

/* ---- many ------------------------------------------------------------------------------------------------ */

static void make_many(long n)
{
	const shv_lockspec policies[] = { SHV_RECURSIVE, SHV_PLAIN, SHV_NONE, SHV_HANDOFF };
	const shv_type *types[] = { SHV_INT, SHV_DOUBLE, SHV_LONG, SHV_CHAR };
	char name[32];

	for (long i = 0; i < n; i++) {
		union { int i; double d; long l; char c; } init = { .l = 0 };
		shv_value *v;

		switch (i % 4) {
		case 0:
			init.i = (int)i;
			break;
		case 1:
			init.d = (double)i / 2;
			break;
		case 2:
			init.l = -i;
			break;
		default:
			init.c = (char)('a' + i % 26);
			break;
		}
		v = shv_value_new(arena, types[i % 4], &init, policies[i / 4 % 4]);
		NEED(v);
		snprintf(name, sizeof(name), "value-%ld", i);
		if (i + 1 == n)
			snprintf(name, sizeof(name), "%s", "\033[31m \xe6\x97\xa5 \xff \\x41 \xe2\x80\xae");
		if (i % 16 == 0 || i + 1 == n)
			NEED(!shv_publish(v, name));
	}
}

/* ---- churn ----------------------------------------------------------------------------------------------- */

static void *churn(void *arg)
{
	enum { KEPT = 500 };
	shv_value *kept[KEPT] = { 0 };
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (;;) {
		int i = rand_r(&seed) % KEPT;

		if (kept[i] && rand_r(&seed) % 3) {
			NEED(!shv_add(kept[i], 1, NULL));
			continue;
		}
		if (kept[i])
			NEED(!shv_value_free(kept[i]));
		kept[i] = SHV_VALUE(arena, long, 1000);
		NEED(kept[i]);
	}
	return NULL;
}

static void start_churn(void)
{
	pthread_t t;

	NEED(!pthread_create(&t, NULL, churn, (void *)1));
	NEED(!pthread_create(&t, NULL, churn, (void *)2));
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	prctl(PR_SET_NAME, "fixture");
	arena = make_arena(!strcmp(mode, "small"));
	NEED(arena);
	if (!strcmp(mode, "many")) {
		make_many(argc > 2 ? atol(argv[2]) : 1000);
	} else if (!strcmp(mode, "churn")) {
		start_churn();
	} else if (!strcmp(mode, "sparse")) {
		make_sparse();
	} else if (!strcmp(mode, "changing")) {
		make_values();
		make_strings();
		left_nameless = shv_find(arena, "letter");
		named(SHV_VALUE(arena, float, 1), "goes");
		ready();
		make_change();
	} else {
		make_values();
		make_strings();
		make_locks();
		make_dead();
		if (!strcmp(mode, "served") && argc > 2)
			NEED(!shv_arena_serve(arena, argv[2], NULL));
	}
	if (strcmp(mode, "changing") != 0 && strcmp(mode, "sparse") != 0)
		ready();
	wait_for_end();
	return 0;
}
