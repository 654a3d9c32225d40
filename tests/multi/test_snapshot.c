/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of an arena in which others create, free, name, lock and die: each of them is sound, what lived all the time is in it
 * with whole content, and it can be restored. That the workers go on as if nothing was there is shown by the arena being
 * sound at the end, and by none of them having failed.
 */
#include "support/procs.h"
#include "support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS  3
#define ROUNDS   25
#define STEADY   500
#define ITEMS    20 /* of each array: all are equal while nobody writes */
#define KEEP     400u
#define STRINGS  20 /* whose texts are replaced all the time */

struct scene {
	shv_arena *a;
	uint64_t seed;
	uint32_t stop;
	struct gate running;
	shv_ref steady[STEADY];
	shv_ref strings[STRINGS];
};

static void write_all(shv_value *v, int64_t x)
{
	int r = shv_acquire(v);
	int64_t *p = shv_value_data(v);

	NEED(r >= 0 && p, "shv_acquire: %d", r);
	for (int i = 0; i < ITEMS; i++)
		p[i] = x;
	NEED(!shv_release(v), "shv_release");
}

/* Creates, frees, names, takes names back, shares locks, writes the steady ones. */
static int work(void *arg)
{
	struct scene *s = arg;
	struct rng rng = { s->seed + (uint64_t)getpid() * 77 };
	shv_value *mine[KEEP] = { NULL };
	shv_lock *lock = NULL;
	char name[32];

	gate_add(&s->running, 1);
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		uint64_t i = rng_below(&rng, KEEP), n = rng_next(&rng);

		write_all(shv_deref(s->a, s->steady[n % STEADY]), (int64_t)(n >> 8));
		{
			char text[600];
			size_t len = rng_below(&rng, sizeof(text));

			memset(text, 'a' + (int)(n % 26), len);
			text[len] = 0;
			NEED(shv_string_set(shv_deref(s->a, s->strings[n % STRINGS]), text) >= 0, "shv_string_set");
		}
		if (rng_below(&rng, 200) == 0) {
			if (lock)
				NEED(!shv_lock_free(lock), "shv_lock_free");
			lock = shv_lock_new(s->a, SHV_RECURSIVE);
			NEED(lock, "shv_lock_new");
			NEED(!rng_below(&rng, 4) ? !shv_arena_trim(s->a) : 1, "shv_arena_trim");
		}
		if (mine[i]) {
			int r = shv_value_free(mine[i]);
			NEED(r == 0 || r == -EBUSY, "shv_value_free: %d", r); /* a snapshot has its lock just now */
			if (!r)
				mine[i] = NULL;
			continue;
		}
		if (n % 50 == 0)
			mine[i] = shv_array_new(s->a, SHV_CHAR, 1 + rng_below(&rng, 300000), NULL, SHV_PLAIN);
		else if (n % 3 == 0 && lock)
			mine[i] = shv_value_new(s->a, SHV_LONG, NULL, SHV_SHARED(lock));
		else
			mine[i] = shv_array_new(s->a, SHV_LONG, rng_below(&rng, 30), NULL, SHV_RECURSIVE);
		NEED(mine[i], "no value");
		if (n % 4 == 0) {
			snprintf(name, sizeof(name), "name %d", (int)rng_below(&rng, 40));
			int r = shv_publish(mine[i], name);
			NEED(r == 0 || r == -EEXIST, "shv_publish: %d", r);
		}
		if (n % 9 == 0) {
			snprintf(name, sizeof(name), "name %d", (int)rng_below(&rng, 40));
			(void)shv_unpublish(s->a, name);
		}
	}
	return 0;
}

/* All its items are the same, unless the image says that somebody was at it. */
static void need_whole(shv_arena *image, shv_ref ref, bool locked)
{
	struct shv_value_info info = { .size = sizeof(info) };
	int64_t x[ITEMS];

	NEED(!shv_value_describe(image, ref, &info), "a steady value is missing");
	NEED(shv_value_bytes(image, ref, x, sizeof(x), NULL) == (ssize_t)sizeof(x), "shv_value_bytes");
	NEED(!locked || !info.abandoned, "copied under its lock, and yet held in the image");
	for (int i = 1; i < ITEMS && !info.abandoned; i++)
		NEED(x[i] == x[0], "a copy that was written half-way counts as whole");
}

/* All its letters are the same. */
static void need_text(shv_arena *image, shv_ref ref)
{
	char text[1000];
	ssize_t n = shv_string_get(shv_deref(image, ref), text, sizeof(text));

	NEED(n >= 0 && n < 600, "shv_string_get: %zd", n);
	for (ssize_t i = 1; i < n; i++)
		NEED(text[i] == text[0], "a text is not whole");
}

/* What is in a snapshot can be used: everything can be taken, named, freed. */
static void use_restored(struct scene *s, const char *path)
{
	shv_arena *a = shv_arena_open(path, SHV_RESTORE);

	NEED(a, "shv_arena_open(SHV_RESTORE)");
	need_sound(a, "after restoring");
	for (int i = 0; i < STEADY; i++)
		write_all(shv_deref(a, s->steady[i]), i);
	free_everything(a);
	NEED(shv_arena_recover(a, NULL) == 0, "somebody was dead still");
	NEED(!shv_arena_trim(a), "shv_arena_trim");
	need_sound(a, "when all was freed");
	NEED(!shv_arena_detach(a), "shv_arena_detach");
}

static void one_round(struct scene *s, const char *path, unsigned flags, bool rdonly, bool deaths)
{
	shv_arena *ro = rdonly ? shv_arena_attach(shv_arena_fd(s->a), SHV_RDONLY) : s->a, *image;
	int r;

	NEED(ro, "shv_arena_attach");
	r = shv_arena_snapshot(ro, path, flags);
	NEED(r == 0 || (flags && r == SHV_RECOVERED), "shv_arena_snapshot: %d", r);
	NEED(ro == s->a || !shv_arena_detach(ro), "shv_arena_detach");
	image = shv_arena_open(path, 0);
	NEED(image, "shv_arena_open");
	need_sound(image, "the snapshot");
	for (int i = 0; i < STEADY; i++)
		need_whole(image, s->steady[i], flags == SHV_LOCKED && !deaths); /* locks of the dead show as held */
	for (int i = 0; i < STRINGS; i++)
		need_text(image, s->strings[i]);
	NEED(!shv_arena_detach(image), "shv_arena_detach");
}

static void scene_make(struct scene *s, const char *what)
{
	s->seed = test_seed(what);
	s->a = new_arena("busy", 0);
	for (int i = 0; i < STRINGS; i++) {
		shv_value *v = shv_string_new(s->a, "", SHV_PLAIN);
		NEED(v, "shv_string_new");
		s->strings[i] = shv_ref_of(v);
	}
	for (int i = 0; i < STEADY; i++) {
		shv_value *v = shv_array_new(s->a, SHV_INT64, ITEMS, NULL, i % 2 ? SHV_RECURSIVE : SHV_PLAIN);
		NEED(v, "shv_array_new");
		s->steady[i] = shv_ref_of(v);
	}
}

static void scene_end(struct scene *s)
{
	NEED(shv_arena_recover(s->a, NULL) >= 0, "shv_arena_recover");
	need_sound(s->a, "the arena, after all snapshots");
	NEED(!shv_arena_detach(s->a), "shv_arena_detach");
	shared_release(s, sizeof(*s));
}

static void temporary(char *path, size_t size)
{
	int fd;

	snprintf(path, size, "/tmp/shv-snapshot-XXXXXX");
	fd = mkstemp(path);
	NEED(fd >= 0, "mkstemp");
	close(fd);
}

static void start_workers(struct scene *s, pid_t pid[WORKERS])
{
	for (int i = 0; i < WORKERS; i++)
		pid[i] = start(work, s);
	gate_wait(&s->running, WORKERS);
}

static void stop_workers(struct scene *s, const pid_t pid[WORKERS])
{
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
}

START_TEST(snapshots_of_a_busy_arena_are_sound)
{
	struct scene *s = shared_memory(sizeof(*s));
	pid_t pid[WORKERS];
	char path[64];

	temporary(path, sizeof(path));
	scene_make(s, "busy");
	start_workers(s, pid);
	for (int i = 0; i < ROUNDS; i++) {
		one_round(s, path, i % 5 == 4 ? SHV_LOCKED : 0, i % 5 != 4 && i % 2, false);
		if (i % 4 == 0)
			use_restored(s, path);
	}
	stop_workers(s, pid);
	unlink(path);
	scene_end(s);
}
END_TEST

/* Workers die at any instruction; snapshots are taken before and while the others recover them. */
START_TEST(snapshots_of_an_arena_whose_members_are_killed_are_sound)
{
	struct scene *s = shared_memory(sizeof(*s));
	pid_t pid[WORKERS];
	char path[64];

	temporary(path, sizeof(path));
	scene_make(s, "killed");
	start_workers(s, pid);
	for (int i = 0; i < ROUNDS; i++) {
		slay(pid[i % WORKERS]);
		one_round(s, path, i % 5 == 4 ? SHV_LOCKED : 0, i % 5 != 4 && i % 2, true);
		pid[i % WORKERS] = start(work, s);
		gate_wait(&s->running, (uint32_t)(WORKERS + i + 1));
		if (i % 4 == 0)
			use_restored(s, path);
	}
	stop_workers(s, pid);
	unlink(path);
	scene_end(s);
}
END_TEST

/* A member that is stopped while it changes tables keeps nobody from taking a snapshot. */
START_TEST(a_stopped_member_does_not_hold_a_snapshot_up)
{
	struct scene *s = shared_memory(sizeof(*s));
	char path[64];

	temporary(path, sizeof(path));
	scene_make(s, "stopped");
	for (int i = 0; i < ROUNDS; i++) {
		pid_t pid = start(work, s);

		gate_wait(&s->running, (uint32_t)(i + 1));
		usleep((useconds_t)(s->seed >> i) % 2000);
		kill(pid, SIGSTOP);
		await_stop(pid);
		one_round(s, path, 0, true, true);
		if (i % 4 == 0)
			use_restored(s, path);
		kill(pid, SIGCONT);
		slay(pid);
	}
	unlink(path);
	scene_end(s);
}
END_TEST

/* ---- between the look at the slots and the look at the processes ------------------------------------------------- */

struct numbers {
	shv_arena *a;
	const char *path;
	shv_ref v;
	struct gate made, go, there, end;
};

/* Keeps one value, and leaves when it is told. */
static int first_of_a_number(void *arg)
{
	struct numbers *n = arg;
	shv_value *v[1000];

	for (unsigned i = 0; i < 1000; i++)
		NEED(v[i] = SHV_VALUE(n->a, long, 1), "make");
	for (unsigned i = 1; i < 1000; i++)
		NEED(shv_value_free(v[i]) == 0, "free");
	gate_add(&n->made, 1);
	gate_wait(&n->go, 1);
	NEED(shv_arena_detach(n->a) == 0, "detach");
	return 0;
}

static int next_of_a_number(void *arg)
{
	struct numbers *n = arg;

	NEED(SHV_LOAD(shv_deref(n->a, n->v), long) == 7, "get");
	gate_add(&n->there, 1);
	gate_wait(&n->end, 1);
	return 0;
}

static void *take_one(void *arg)
{
	struct numbers *n = arg;

	NEED(shv_arena_snapshot(n->a, n->path, SHV_LOCKED) == 0, "snapshot");
	return NULL;
}

START_TEST(a_process_number_goes_to_another_while_a_snapshot_waits)
{
	struct shv_value_info info = { .size = sizeof(info) };
	struct numbers *n = shared_memory(sizeof(*n));
	shv_value *held, *v;
	pthread_t thread;
	struct shv_stat st;
	shv_arena *image;
	pid_t first, next;
	char path[64];

	temporary(path, sizeof(path));
	n->a = new_arena("numbers", 0);
	n->path = path;
	v = SHV_VALUE(n->a, long, 7);
	held = SHV_VALUE(n->a, long, 0);
	n->v = shv_ref_of(v);
	first = start(first_of_a_number, n);
	gate_wait(&n->made, 1);
	ck_assert_int_eq(shv_acquire(held), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_one, n), 0);
	do { /* the slots have been read when it waits for a value */
		sched_yield();
		ck_assert_int_eq(shv_value_describe(n->a, shv_ref_of(held), &info), 0);
	} while (!info.waiters);
	gate_add(&n->go, 1);
	ck_assert_int_eq(finish(first), 0);
	next = start(next_of_a_number, n);
	gate_wait(&n->there, 1);
	ck_assert_int_eq(shv_release(held), 0);
	pthread_join(thread, NULL);
	gate_add(&n->end, 1);
	ck_assert_int_eq(finish(next), 0);
	image = shv_arena_open(path, SHV_RESTORE);
	ck_assert_msg(image != NULL, "%s", shv_errmsg());
	ck_assert_int_ge(shv_arena_recover(image, NULL), 0);
	need_sound(image, "restored");
	st = stat_of(image);
	ck_assert_uint_eq(st.objects, 3);
	ck_assert_uint_eq(st.held, 0);
	ck_assert_int_eq(shv_arena_detach(image), 0);
	ck_assert_int_eq(shv_arena_detach(n->a), 0);
	unlink(path);
	shared_release(n, sizeof(*n));
}
END_TEST

static int take_many(void *arg)
{
	const char *path = ((const char **)arg)[1];
	struct gate *g = ((struct gate **)arg)[2];

	for (;;) {
		NEED(!shv_arena_snapshot(*(shv_arena **)arg, path, 0), "shv_arena_snapshot");
		gate_add(g, 1);
	}
}

/* Whoever looks sees a whole snapshot, always; and whoever is killed leaves no other file. */
START_TEST(a_path_never_has_a_part_of_a_snapshot)
{
	struct scene *s = shared_memory(sizeof(*s));
	struct gate *g = shared_memory(sizeof(*g));
	char path[64];
	const void *arg[3] = { NULL, path, g };

	scene_make(s, "parts");
	arg[0] = s->a;
	temporary(path, sizeof(path));
	NEED(!shv_arena_snapshot(s->a, path, 0), "shv_arena_snapshot");
	for (uint32_t i = 0; i < 20; i++) {
		uint32_t before = gate_now(g);
		pid_t pid = start(take_many, arg);

		gate_wait(g, before + 1);
		for (int n = 0; n < 5; n++)
			one_round(s, path, 0, false, true);
		slay(pid);
		one_round(s, path, 0, false, true);
	}
	unlink(path);
	shared_release(g, sizeof(*g));
	scene_end(s);
}
END_TEST

/* ---- while a lock of many is held ---------------------------------------------------------------------------------- */

struct common {
	shv_arena *a;
	shv_lock *lock;
	shv_value *large;
	uint32_t taken; /* the snapshot is over */
	struct gate made, freed, end;
	bool met;       /* freed, and the lock was still held */
};

static bool is_held(shv_lock *lock)
{
	struct shv_holder h = { .size = sizeof(h) };
	int r = shv_lock_holder(lock, &h);

	NEED(r >= 0, "shv_lock_holder: %d", r);
	return r == 1;
}

/* A shared lock does not keep its values: this one goes while it is copied. */
static int free_while_held(void *arg)
{
	struct common *c = arg;

	for (uint32_t i = 1;; i++) {
		gate_wait(&c->made, i);
		if (gate_now(&c->end))
			return 0;
		while (!is_held(c->lock) && !__atomic_load_n(&c->taken, __ATOMIC_ACQUIRE))
			sched_yield();
		NEED(shv_value_free(c->large) == 0, "shv_value_free");
		c->met = is_held(c->lock);
		gate_add(&c->freed, 1);
	}
}

START_TEST(a_snapshot_gives_a_shared_lock_back_whose_value_was_freed)
{
	enum { LARGE = 16 << 20, TRIES = 100, ENOUGH = 3 };
	struct common *c = shared_memory(sizeof(*c));
	unsigned met = 0, tries = 0;
	char path[64];
	pid_t pid;

	temporary(path, sizeof(path));
	c->a = new_arena("common", 0);
	c->lock = shv_lock_new(c->a, SHV_PLAIN);
	pid = start(free_while_held, c);
	while (met < ENOUGH && tries++ < TRIES) {
		c->large = shv_array_new(c->a, SHV_CHAR, LARGE, NULL, SHV_SHARED(c->lock));
		ck_assert_msg(c->large != NULL, "%s", shv_errmsg());
		__atomic_store_n(&c->taken, 0, __ATOMIC_RELEASE);
		gate_add(&c->made, 1);
		ck_assert_int_eq(shv_arena_snapshot(c->a, path, SHV_LOCKED), 0);
		__atomic_store_n(&c->taken, 1, __ATOMIC_RELEASE);
		gate_wait(&c->freed, tries);
		ck_assert(!is_held(c->lock));
		met += c->met;
	}
	fprintf(stderr, "# freed while the snapshot held the lock: %u of %u times\n", met, tries);
	gate_add(&c->end, 1);
	gate_add(&c->made, 1);
	ck_assert_int_eq(finish(pid), 0);
	ck_assert_int_eq(shv_lock_free(c->lock), 0);
	ck_assert_int_eq(shv_arena_trim(c->a), 0);
	ck_assert_uint_eq(stat_of(c->a).locks, 0);
	need_sound(c->a, "the arena");
	ck_assert_int_eq(shv_arena_detach(c->a), 0);
	unlink(path);
	shared_release(c, sizeof(*c));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshots of a live arena");
	TCase *tc = tcase_create("live");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, snapshots_of_a_busy_arena_are_sound);
	tcase_add_test(tc, snapshots_of_an_arena_whose_members_are_killed_are_sound);
	tcase_add_test(tc, a_stopped_member_does_not_hold_a_snapshot_up);
	tcase_add_test(tc, a_path_never_has_a_part_of_a_snapshot);
	tcase_add_test(tc, a_snapshot_gives_a_shared_lock_back_whose_value_was_freed);
	tcase_add_test(tc, a_process_number_goes_to_another_while_a_snapshot_waits);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
