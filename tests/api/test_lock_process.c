/* SPDX-License-Identifier: MIT */
/*
 * Locks between processes: exclusion, handing over, and above all what becomes of the locks of a process that is
 * killed.
 *
 * Children are forks of the test, so a value has the same address in them. They say by a gate how far they are.
 */
#include "api/api.h"
#include "api/word_policy.h"

#include <signal.h>
#include <sys/wait.h>

static const struct kind {
	unsigned spec; /* plain_lockspec() */
	bool shared, recursive, handoff, policy;
} kinds[] = {
	{ .spec = 0, .recursive = true },
	{ .spec = 1 },
	{ .spec = 2, .handoff = true },
	{ .spec = 0, .shared = true, .recursive = true },
	{ .spec = 1, .shared = true },
	{ .spec = 2, .shared = true, .handoff = true },
	{ .policy = true },
	{ .shared = true, .policy = true },
};
#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))
#define BUILTINS 6 /* the first ones */

/* What a test and its children share. */
static struct scene {
	struct gate ready, go;
	int result[8];
	pid_t tid;
	struct contest contest;
} *scene;

static const struct kind *kind; /* of this test */
static shv_value *v;

static shv_value *new_value(void)
{
	shv_lockspec own = kind->policy ? SHV_POLICY(&word_policy) : plain_lockspec(kind->spec);

	if (kind->shared) {
		shv_lock *lock = made(shv_lock_new(arena, own));
		own = SHV_SHARED(lock);
	}
	return made(SHV_VALUE(arena, long, 0, own));
}

static void setup(void)
{
	arena_setup();
	assert_ok(shv_lock_register(arena, &word_policy));
	scene = shared_memory(sizeof(*scene));
}

static void begin(int i)
{
	kind = &kinds[i];
	v = new_value();
}

static void teardown(void)
{
	shared_release(scene, sizeof(*scene));
	arena_teardown();
}

static int child(int (*body)(void *arg))
{
	return finish(start(body, NULL));
}

static int try_in_child(void *arg)
{
	int r = shv_try_acquire(v);

	(void)arg;
	if (r < 0)
		return -r;
	NEED(shv_release(v) == 0, "shv_release");
	return r;
}

static void await_waiter(void)
{
	struct shv_value_info info = { .size = sizeof(info) };

	do {
		sched_yield();
		assert_ok(shv_value_describe(arena, shv_ref_of(v), &info));
	} while (!info.waiters);
}

/* ---- the living --------------------------------------------------------------------------------------- */

static int meddle(void *arg)
{
	int expected = kind->handoff ? 0 : -EPERM;

	(void)arg;
	NEED(shv_try_acquire(v) == -EBUSY, "try");
	NEED(shv_acquire_for(v, &(struct timespec){ 0, 1000000 }) == -ETIMEDOUT, "for");
	NEED(shv_value_free(v) == -EBUSY, "free");
	NEED(shv_release(v) == expected, "release");
	NEED(shv_arena_detach(arena) == 0, "it is not this process that holds a lock");
	return 0;
}

START_TEST(child_does_not_hold_what_its_parent_holds)
{
	struct shv_holder h = { .size = sizeof(h) };

	begin(_i);
	if (kind->shared)
		return; /* where freeing the value is no matter of the lock */
	assert_ok(shv_acquire(v));
	ck_assert_int_eq(child(meddle), 0);
	ck_assert_int_eq(shv_value_holder(v, &h), !kind->handoff);
	if (!kind->handoff) {
		ck_assert_int_eq(h.pid, getpid());
		assert_ok(shv_release(v));
	}
	ck_assert_int_eq(child(try_in_child), 0);
}
END_TEST

static int release_it(void *arg)
{
	(void)arg;
	return -shv_release(v);
}

START_TEST(handoff_lock_is_released_by_another_process)
{
	begin(_i);
	for (int i = 0; i < 3; i++) {
		assert_ok(shv_acquire(v));
		ck_assert_int_eq(child(try_in_child), EBUSY);
		ck_assert_int_eq(child(release_it), 0);
		ck_assert_uint_eq(depth_of(v), 0);
		assert_refused(shv_release(v), EPERM);
	}
	/* Nothing says any more that this process holds it. */
	assert_ok(shv_arena_detach(arena));
	arena = NULL;
}
END_TEST

static int wait_and_add(void *arg)
{
	(void)arg;
	return shv_add(v, 1, NULL);
}

START_TEST(release_wakes_the_waiters_of_other_processes)
{
	pid_t pid[3];

	begin(_i);
	assert_ok(shv_acquire(v));
	for (int i = 0; i < 3; i++)
		pid[i] = start(wait_and_add, NULL);
	await_waiter();
	*(long *)shv_value_data(v) = 10;
	assert_ok(shv_release(v));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	ck_assert_int_eq(SHV_LOAD(v, long), 13);
}
END_TEST

static int expect_stale(void *arg)
{
	(void)arg;
	return -shv_acquire(v);
}

START_TEST(waiter_of_another_process_is_told_when_the_value_is_freed)
{
	pid_t pid;

	begin(_i);
	assert_ok(shv_acquire(v));
	pid = start(expect_stale, NULL);
	await_waiter();
	assert_ok(shv_value_free(v));
	ck_assert_int_eq(finish(pid), ESTALE);
}
END_TEST

static int hold_then_release(void *arg)
{
	(void)arg;
	NEED(shv_acquire(v) == 0, "shv_acquire");
	gate_add(&scene->ready, 1);
	gate_wait(&scene->go, 1);
	return -shv_release(v);
}

START_TEST(stopped_process_keeps_its_lock)
{
	pid_t pid;

	begin(_i);
	pid = start(hold_then_release, NULL);
	gate_wait(&scene->ready, 1);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	await_stop(pid);
	assert_refused(shv_try_acquire(v), EBUSY);
	ck_assert_int_eq(shv_acquire_for(v, &(struct timespec){ 0, 120000000 }),
			 -ETIMEDOUT); /* some looks at the holder */
	ck_assert_int_eq(shv_arena_recover(arena, NULL), 0);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	gate_add(&scene->go, 1);
	ck_assert_int_eq(finish(pid), 0);
	assert_ok(shv_acquire(v));
	assert_ok(shv_release(v));
}
END_TEST

/* ---- the dead ----------------------------------------------------------------------------------------- */

/* Ends up holding the lock, with half of something written. */
static int hold_for_ever(void *arg)
{
	(void)arg;
	NEED(shv_acquire(v) == 0, "shv_acquire");
	if (kind->recursive)
		NEED(shv_acquire(v) == 0 && shv_acquire(v) == 0, "recursion");
	*(long *)shv_value_data(v) = 5;
	scene->tid = (pid_t)syscall(SYS_gettid);
	gate_add(&scene->ready, 1);
	for (;;)
		pause();
}

static int hold_and_exit(void *arg)
{
	(void)arg;
	NEED(shv_acquire(v) == 0, "shv_acquire");
	*(long *)shv_value_data(v) = 5;
	scene->tid = (pid_t)syscall(SYS_gettid);
	return 0;
}

static int hold_and_exec(void *arg)
{
	(void)hold_and_exit(arg);
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static pid_t killed_holder(void)
{
	uint32_t before = gate_now(&scene->ready);
	pid_t pid = start(hold_for_ever, NULL);

	gate_wait(&scene->ready, before + 1);
	slay(pid);
	return pid;
}

static int load(shv_value *x)
{
	long out;

	return shv_get(x, &out, sizeof(out));
}
static int store(shv_value *x)
{
	return shv_set(x, &(long){ 5 }, sizeof(long));
}
static int add(shv_value *x)
{
	return shv_add(x, 0, NULL);
}
static int exchange(shv_value *x)
{
	return shv_compare_exchange(x, &(long){ 5 }, &(long){ 5 }, sizeof(long));
}
static int acquire(shv_value *x)
{
	int r = shv_acquire(x);

	return shv_release(x) ? -1 : r;
}
static int try_acquire(shv_value *x)
{
	int r = shv_try_acquire(x);

	return shv_release(x) ? -1 : r;
}
static int acquire_for(shv_value *x)
{
	int r = shv_acquire_for(x, &(struct timespec){ 0, 0 });

	return shv_release(x) ? -1 : r;
}
static int with(shv_value *x)
{
	int inside = -1;

	shv_with(x)
		inside = shv_with_status();
	return inside == shv_with_status() ? inside : -2;
}

START_TEST(lock_of_a_killed_process_is_handed_to_the_next)
{
	int (*const ways[])(shv_value *) = { acquire, try_acquire, acquire_for, load, store, add, exchange, with };
	enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

	begin(_i);
	for (unsigned i = 0; i < WAYS; i++) {
		struct shv_holder h = { .size = sizeof(h), .alive = true };
		pid_t pid = killed_holder();
		int r = ways[i](v);

		ck_assert_msg(r == SHV_RECOVERED, "way %u gave %d: %s", i, r, shv_errmsg());
		ck_assert_int_eq(SHV_LOAD(v, long), 5); /* as it was left */
		assert_ok(shv_last_holder(v, &h));
		ck_assert_int_eq(h.pid, pid);
		ck_assert_int_eq(h.tid, scene->tid);
		ck_assert_uint_gt(h.start_time, 0);
		ck_assert_str_ne(h.command, "");
		ck_assert(!h.alive);
		ck_assert_int_eq(ways[i](v), 0); /* told once */
		ck_assert_int_eq(child(try_in_child), 0);
	}
}
END_TEST

START_TEST(lock_is_handed_over_after_recovery_too)
{
	struct shv_holder h = { .size = sizeof(h) };
	struct shv_recovery found = { .size = sizeof(found) };
	pid_t pid;

	begin(_i);
	pid = killed_holder();
	ck_assert_int_eq(shv_arena_recover(arena, &found), 1);
	ck_assert_uint_eq(found.processes, 1);
	if (!kind->policy)
		ck_assert_uint_eq(found.locks_abandoned, 1);
	ck_assert_int_eq(shv_try_acquire(v), SHV_RECOVERED);
	assert_ok(shv_last_holder(v, &h));
	ck_assert_int_eq(h.pid, pid);
	ck_assert_int_eq(h.tid, scene->tid);
	assert_ok(shv_release(v));
	assert_ok(shv_acquire(v));
	assert_ok(shv_release(v));
}
END_TEST

START_TEST(exit_and_exec_are_deaths_too)
{
	begin(_i);
	ck_assert_int_eq(child(hold_and_exit), 0);
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	assert_ok(shv_release(v));
	ck_assert_int_eq(child(hold_and_exec), 0);
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	ck_assert_int_eq(*(long *)shv_value_data(v), 5);
	assert_ok(shv_release(v));
}
END_TEST

/* A process that goes on after exec as another program no longer holds anything. */
static int hold_and_exec_cat(void *arg)
{
	int fd[2];

	(void)arg;
	NEED(shv_acquire(v) == 0, "shv_acquire");
	NEED(!pipe(fd) && dup2(fd[0], 0) == 0, "pipe");
	gate_add(&scene->ready, 1);
	execl("/bin/cat", "cat", (char *)NULL); /* for as long as the pipe is open, and it holds the other end itself */
	return 1;
}

START_TEST(exec_gives_up_locks_though_the_process_lives)
{
	pid_t pid;

	begin(_i);
	pid = start(hold_and_exec_cat, NULL);
	gate_wait(&scene->ready, 1);
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED); /* waits for the exec */
	assert_ok(shv_release(v));
	slay(pid);
}
END_TEST

static int wait_for_recovery(void *arg)
{
	int r = shv_acquire(v);

	(void)arg;
	if (r >= 0)
		NEED(shv_release(v) == 0, "shv_release");
	return r < 0 ? 100 : r;
}

START_TEST(waiters_get_the_lock_when_the_holder_is_killed)
{
	pid_t holder, pid[3];
	int told = 0;

	begin(_i);
	holder = start(hold_for_ever, NULL);
	gate_wait(&scene->ready, 1);
	for (int i = 0; i < 3; i++)
		pid[i] = start(wait_for_recovery, NULL);
	if (!kind->policy)
		await_waiter();
	slay(holder);
	for (int i = 0; i < 3; i++) {
		int r = finish(pid[i]);

		ck_assert(r == 0 || r == 1);
		told += r;
	}
	ck_assert_int_eq(told, 1);
}
END_TEST

START_TEST(value_of_a_dead_holder_can_be_freed)
{
	pid_t pid;

	begin(_i);
	pid = start(hold_for_ever, NULL);
	gate_wait(&scene->ready, 1);
	if (!kind->shared)
		assert_refused(shv_value_free(v), EBUSY);
	slay(pid);
	assert_ok(shv_value_free(v));
	assert_refused(shv_acquire(v), ESTALE);
}
END_TEST

START_TEST(peek_copies_what_a_dead_holder_left)
{
	shv_arena *readonly = made(shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY));
	shv_value *seen;
	long out = 0;

	begin(_i);
	seen = made((shv_value *)shv_deref(readonly, shv_ref_of(v)));
	killed_holder();
	ck_assert_int_eq(shv_peek(v, &out, sizeof(out)), 1);
	ck_assert_int_eq(out, 5);
	out = 0;
	ck_assert_int_eq(shv_peek(seen, &out, sizeof(out)), 1);
	ck_assert_int_eq(shv_get(seen, &out, sizeof(out)), 1);
	ck_assert_int_eq(out, 5);
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	assert_ok(shv_release(v));
	assert_ok(shv_peek(v, &out, sizeof(out)));
	assert_ok(shv_peek(seen, &out, sizeof(out)));
	assert_ok(shv_arena_detach(readonly));
}
END_TEST

static int hold_by_threads(void *arg)
{
	(void)arg;
	contend_by(&scene->contest, 2);
	return 0;
}

/* Killed while its threads take and release all the time: the others go on, and the lock is never lost. */
START_TEST(contenders_may_be_killed_at_any_time)
{
	begin(_i);
	scene->contest = (struct contest){ .v = v, .turns = INT32_MAX, .broken = true };
	for (int round = 0; round < 10; round++) {
		pid_t pid[2] = { start(hold_by_threads, NULL), start(hold_by_threads, NULL) };
		long seen = __atomic_load_n((long *)shv_value_data(v), __ATOMIC_RELAXED);
		int r;

		while (__atomic_load_n((long *)shv_value_data(v), __ATOMIC_RELAXED) < seen + 100)
			sched_yield();
		/*
		 * Those who inherit from the first are killed too: NEED() in them would call SHV_RECOVERED a
		 * failure.
		 */
		ck_assert_int_eq(kill(pid[0], SIGSTOP), 0);
		ck_assert_int_eq(kill(pid[1], SIGSTOP), 0);
		await_stop(pid[0]);
		await_stop(pid[1]);
		slay(pid[0]);
		slay(pid[1]);
		r = shv_acquire(v);
		ck_assert(r == 0 || r == SHV_RECOVERED);
		assert_ok(shv_release(v));
	}
	ck_assert_int_ge(shv_arena_recover(arena, NULL), 0);
	ck_assert_uint_eq(arena_stat(arena).processes, 1);
}
END_TEST

/* ---- ten thousand ------------------------------------------------------------------------------------- */

enum { MANY = 10000 };
static shv_value *many[MANY];

static int hold_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < MANY; i++) {
		NEED(shv_acquire(many[i]) == 0, "shv_acquire of the %d-th", i);
		*(long *)shv_value_data(many[i]) = i;
	}
	gate_add(&scene->ready, 1);
	for (;;)
		pause();
}

START_TEST(ten_thousand_locks_of_one_killed_process_are_handed_on)
{
	bool recovered_first = _i;
	struct shv_recovery found = { .size = sizeof(found) };
	pid_t pid;

	for (int i = 0; i < MANY; i++)
		many[i] = made(SHV_VALUE(arena, long, -1, plain_lockspec((unsigned)i % LOCKS)));
	pid = start(hold_many, NULL);
	gate_wait(&scene->ready, 1);
	slay(pid);
	if (recovered_first) {
		ck_assert_int_eq(shv_arena_recover(arena, &found), 1);
		ck_assert_uint_eq(found.locks_abandoned, MANY);
	}
	for (int i = 0; i < MANY; i++) {
		struct shv_holder h = { .size = sizeof(h) };

		ck_assert_int_eq(shv_try_acquire(many[i]), SHV_RECOVERED);
		assert_ok(shv_last_holder(many[i], &h));
		ck_assert_msg(h.pid == pid, "the %d-th says that %d had it, not %d", i, (int)h.pid, (int)pid);
		ck_assert_int_eq(*(long *)shv_value_data(many[i]), i);
		assert_ok(shv_release(many[i]));
	}
	for (int i = 0; i < MANY; i++)
		assert_ok(shv_value_free(many[i]));
	ck_assert_int_ge(shv_arena_recover(arena, NULL), 0);
	ck_assert_uint_eq(arena_stat(arena).processes + arena_stat(arena).processes_dead, 1);
}
END_TEST

/* ---- one at a time ------------------------------------------------------------------------------------ */

enum { THREADS = 4, TURNS = 4000 };

static int contend_in_child(void *arg)
{
	(void)arg;
	contend_by(&scene->contest, 2);
	return 0;
}

START_TEST(never_more_than_one_is_inside_whatever_the_process)
{
	pid_t pid[2];

	begin(_i);
	scene->contest = (struct contest){ .v = v, .turns = TURNS };
	for (int i = 0; i < 2; i++)
		pid[i] = start(contend_in_child, NULL);
	contend_by(&scene->contest, THREADS);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	ck_assert_uint_eq(scene->contest.crowded, 0);
	ck_assert_int_eq(SHV_LOAD(v, long), (THREADS + 2 * 2) * (long)TURNS);
	ck_assert_int_eq(shv_value_holder(v, &(struct shv_holder){ 0 }), 0);
}
END_TEST

/* The same without a lock finds others inside, sooner or later: processes do run side by side here. */
START_TEST(contest_without_a_lock_is_crowded)
{
	pid_t pid;

	scene->contest =
		(struct contest){ .v = made(SHV_VALUE(arena, long, 0, SHV_NONE)), .turns = TURNS / 4, .broken = true };
	do {
		pid = start(contend_in_child, NULL);
		contend_by(&scene->contest, 1);
		ck_assert_int_eq(finish(pid), 0);
	} while (!scene->contest.crowded);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lock process");
	TCase *tc = tcase_create("living");

	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, child_does_not_hold_what_its_parent_holds, 0, KINDS);
	tcase_add_loop_test(tc, handoff_lock_is_released_by_another_process, 2, 3);
	tcase_add_loop_test(tc, handoff_lock_is_released_by_another_process, 5, 6);
	tcase_add_loop_test(tc, release_wakes_the_waiters_of_other_processes, 0, BUILTINS);
	tcase_add_loop_test(tc, waiter_of_another_process_is_told_when_the_value_is_freed, 0, 3);
	tcase_add_loop_test(tc, stopped_process_keeps_its_lock, 0, KINDS);

	tc = tcase_create("dead");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, lock_of_a_killed_process_is_handed_to_the_next, 0, KINDS);
	tcase_add_loop_test(tc, lock_is_handed_over_after_recovery_too, 0, KINDS);
	tcase_add_loop_test(tc, exit_and_exec_are_deaths_too, 0, KINDS);
	tcase_add_loop_test(tc, exec_gives_up_locks_though_the_process_lives, 0, KINDS);
	tcase_add_loop_test(tc, waiters_get_the_lock_when_the_holder_is_killed, 0, KINDS);
	tcase_add_loop_test(tc, value_of_a_dead_holder_can_be_freed, 0, KINDS);
	tcase_add_loop_test(tc, peek_copies_what_a_dead_holder_left, 0, BUILTINS);
	tcase_add_loop_test(tc, contenders_may_be_killed_at_any_time, 0, KINDS);
	tcase_add_loop_test(tc, ten_thousand_locks_of_one_killed_process_are_handed_on, 0, 2);

	tc = tcase_create("contest");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, never_more_than_one_is_inside_whatever_the_process, 0, KINDS);
	tcase_add_test(tc, contest_without_a_lock_is_crowded);
	return run_suite(suite);
}
