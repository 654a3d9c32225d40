/* SPDX-License-Identifier: MIT */
/*
 * Locks among the threads of one process: what each lock parameter promises, who may release, who is told what,
 * and that there is never more than one inside.
 *
 * Nothing here waits for time to pass: that a thread waits for a lock is seen by inspection (struct
 * shv_value_info, waiters).
 */
#include "api/api.h"

#include <limits.h>
#include <stddef.h>

/* ---- locks of every kind ------------------------------------------------------------------------------ */

static const struct kind {
	const char *name;
	unsigned spec; /* plain_lockspec() */
	bool shared, recursive, handoff;
} kinds[] = {
	{ "recursive", 0, false, true, false },	      { "plain", 1, false, false, false },
	{ "handoff", 2, false, false, true },	      { "shared recursive", 0, true, true, false },
	{ "shared plain", 1, true, false, false },    { "shared handoff", 2, true, false, true },
};
#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

static shv_lockspec spec_of(const struct kind *k)
{
	shv_lockspec own = plain_lockspec(k->spec);

	return k->shared ? SHV_SHARED(made(shv_lock_new(arena, own))) : own;
}

static shv_value *int_with(const struct kind *k)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0, spec_of(k)));

	assert_ok(shv_acquire(v)); /* the thread knows the arena now, and goes the short ways */
	assert_ok(shv_release(v));
	return v;
}

static int hold_1_ms(shv_value *v)
{
	return shv_acquire_for(v, &(struct timespec){ 0, 1000000 });
}

static int take_and_release(shv_value *v)
{
	int r = shv_try_acquire(v);

	if (r >= 0)
		NEED(shv_release(v) == 0, "shv_release");
	return r;
}

static int lock_acquire(shv_value *v)
{
	return shv_lock_acquire(shv_value_lock(v));
}
static int lock_try(shv_value *v)
{
	return shv_lock_try(shv_value_lock(v));
}
static int lock_for(shv_value *v)
{
	return shv_lock_for(shv_value_lock(v), &(struct timespec){ 0, 0 });
}
static int lock_release(shv_value *v)
{
	return shv_lock_release(shv_value_lock(v));
}

/* Until somebody waits for the lock of v. */
static void await_waiter(shv_value *v)
{
	struct shv_value_info info = { .size = sizeof(info) };

	do {
		sched_yield();
		assert_ok(shv_value_describe(arena, shv_ref_of(v), &info));
	} while (!info.waiters);
}

/* ---- taking and releasing ----------------------------------------------------------------------------- */

START_TEST(lock_is_taken_and_released)
{
	shv_value *v = int_with(&kinds[_i]);

	for (int i = 0; i < 3; i++) {
		assert_ok(shv_acquire(v));
		ck_assert_int_eq(in_thread(take_and_release, v), -EBUSY);
		assert_ok(shv_release(v));
		assert_ok(in_thread(take_and_release, v));
		assert_ok(shv_try_acquire(v));
		assert_ok(shv_release(v));
		assert_ok(shv_acquire_for(v, &(struct timespec){ 0, 0 }));
		assert_ok(shv_release(v));
		/* The same by the lock's own address. */
		assert_ok(lock_acquire(v));
		ck_assert_int_eq(in_thread(lock_try, v), -EBUSY);
		assert_ok(shv_release(v));
		assert_ok(lock_for(v));
		assert_ok(lock_release(v));
	}
	ck_assert_uint_eq(depth_of(v), 0);
}
END_TEST

/* What a thread remembers of the lock that it took last is forgotten whatever is done to that lock. */
START_TEST(a_release_knows_what_was_done_since)
{
	static int (*const again[])(shv_value *) = { shv_acquire, shv_try_acquire, lock_acquire, lock_try, lock_for, hold_1_ms };
	shv_value *v = int_with(&kinds[_i]), *all[1] = { v }, *other = made(SHV_VALUE(arena, int, 0));
	shv_arena *second = made(shv_arena_create(NULL));
	shv_value *w = made(SHV_VALUE(second, int, 0));

	for (size_t k = 0; k < sizeof(again) / sizeof(again[0]); k++) {
		assert_ok(shv_acquire(v));
		assert_ok(again[k](v));
		ck_assert_uint_eq(depth_of(v), 2);
		assert_ok(shv_release(v));
		ck_assert_uint_eq(depth_of(v), 1);
		ck_assert_int_eq(in_thread(take_and_release, v), -EBUSY);
		assert_ok(shv_release(v));
		ck_assert_uint_eq(depth_of(v), 0);
		assert_refused(shv_release(v), EPERM);
	}
	shv_with (v) {
		assert_ok(shv_add(v, 1, NULL));
		ck_assert_uint_eq(depth_of(v), 1);
		assert_ok(shv_acquire_all(all, 1));
		ck_assert_uint_eq(depth_of(v), 2);
		shv_with (other)
			assert_ok(shv_release_all(all, 1));
		ck_assert_uint_eq(depth_of(v), 1);
	}
	ck_assert_uint_eq(depth_of(v), 0);
	assert_ok(shv_acquire(v)); /* given back by another function */
	assert_ok(lock_release(v));
	assert_refused(shv_release(v), EPERM);
	assert_ok(shv_acquire(v)); /* while the thread was in another arena */
	assert_ok(shv_acquire(w));
	assert_ok(shv_release(v));
	assert_refused(shv_release(v), EPERM);
	assert_ok(shv_release(w));
	assert_refused(shv_release(w), EPERM);
	assert_ok(shv_arena_detach(second));
}
END_TEST

/* Freed while it was held, and another value in its place. */
START_TEST(a_release_is_not_of_what_came_after)
{
	shv_value *v = int_with(&kinds[0]), *w;

	assert_ok(shv_acquire(v));
	assert_ok(shv_value_free(v));
	for (int k = 0; k < 1000; k++) {
		w = made(SHV_VALUE(arena, int, 0));
		if (w == v)
			break;
	}
	ck_assert_ptr_eq(w, v);
	assert_refused(shv_release(w), EPERM);
	assert_ok(shv_acquire(w));
	ck_assert_int_eq(in_thread(take_and_release, w), -EBUSY);
	assert_ok(shv_release(w));
}
END_TEST

START_TEST(recursive_lock_is_taken_1023_times_and_no_more)
{
	shv_value *v = int_with(&kinds[_i]);

	for (unsigned i = 1; i <= 1023; i++) {
		assert_ok(i % 3 ? shv_acquire(v) : i % 2 ? shv_try_acquire(v) : lock_for(v));
		ck_assert_uint_eq(depth_of(v), i);
	}
	assert_refused(shv_acquire(v), EAGAIN);
	assert_refused(shv_try_acquire(v), EAGAIN);
	assert_refused(lock_for(v), EAGAIN);
	assert_refused(shv_add(v, 1, NULL), EAGAIN);
	ck_assert_uint_eq(depth_of(v), 1023);
	for (unsigned i = 1023; i > 0; i--) {
		ck_assert_int_eq(depth_of(v), i);
		if (i < 3 || i == 512)
			ck_assert_int_eq(in_thread(take_and_release, v), -EBUSY);
		assert_ok(shv_release(v));
	}
	assert_refused(shv_release(v), EPERM);
	assert_ok(in_thread(take_and_release, v));
}
END_TEST

START_TEST(thread_that_holds_a_lock_that_is_not_recursive_is_told)
{
	shv_value *v = int_with(&kinds[_i]);
	int x = 1;

	if (kinds[_i].recursive)
		return;
	assert_ok(shv_acquire(v));
	assert_refused(shv_acquire(v), EDEADLK);
	assert_refused(shv_try_acquire(v), EDEADLK);
	assert_refused(hold_1_ms(v), EDEADLK);
	assert_refused(lock_acquire(v), EDEADLK);
	assert_refused(lock_try(v), EDEADLK);
	assert_refused(lock_for(v), EDEADLK);
	assert_refused(shv_get(v, &x, sizeof(x)), EDEADLK);
	assert_refused(shv_set(v, &x, sizeof(x)), EDEADLK);
	assert_refused(shv_add(v, 1, NULL), EDEADLK);
	ck_assert_uint_eq(depth_of(v), 1);
	assert_ok(shv_release(v));
	assert_ok(in_thread(take_and_release, v));
	ck_assert_int_eq(SHV_LOAD(v, int), 0);
}
END_TEST

START_TEST(only_the_holder_releases)
{
	shv_value *v = int_with(&kinds[_i]);

	assert_refused(shv_release(v), EPERM);
	assert_refused(lock_release(v), EPERM);
	assert_ok(shv_acquire(v));
	if (kinds[_i].handoff) {
		assert_ok(in_thread(shv_release, v));
	} else {
		ck_assert_int_eq(in_thread(shv_release, v), -EPERM);
		ck_assert_int_eq(in_thread(lock_release, v), -EPERM);
		ck_assert_uint_eq(depth_of(v), 1);
		assert_ok(shv_release(v));
	}
	assert_refused(shv_release(v), EPERM);
	ck_assert_uint_eq(depth_of(v), 0);
	/* Nothing is left of it: not in the thread that took it, nor in the one that gave it back. */
	assert_ok(shv_acquire(v));
	assert_ok(shv_release(v));
}
END_TEST

#ifndef __SANITIZE_THREAD__ /* the volatile words are a race by the book */
/* Taken here, released there, again and again, by a thread that waits for it here. */
static int pass_back(shv_value *v)
{
	for (int i = 0; i < 1000; i++) {
		while (*(volatile int *)shv_value_data(v) != 2 * i + 1)
			sched_yield();
		*(volatile int *)shv_value_data(v) = 2 * i + 2;
		NEED(shv_release(v) == 0, "shv_release of what another thread took");
	}
	return 0;
}

START_TEST(handoff_lock_goes_back_and_forth)
{
	shv_value *v = int_with(&kinds[2]);
	struct errand e;

	errand_send(&e, pass_back, v);
	for (int i = 0; i < 1000; i++) {
		int r;

		while ((r = shv_acquire(v)) == -EDEADLK) /* the other has not given it back yet */
			sched_yield();
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(*(volatile int *)shv_value_data(v), 2 * i);
		*(volatile int *)shv_value_data(v) = 2 * i + 1;
	}
	assert_ok(errand_back(&e));
	ck_assert_uint_eq(depth_of(v), 0);
	assert_refused(shv_release(v), EPERM);
}
END_TEST
#endif

START_TEST(without_a_lock_there_is_nothing_to_take)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0, SHV_NONE));
	struct shv_holder h = { .size = sizeof(h), .pid = 77 };

	for (int i = 0; i < 3; i++) {
		assert_ok(shv_acquire(v));
		assert_ok(shv_try_acquire(v));
		assert_ok(hold_1_ms(v));
		assert_ok(in_thread(take_and_release, v));
		ck_assert_int_eq(shv_value_holder(v, &h), 0);
		ck_assert_int_eq(h.pid, 77);
		assert_ok(shv_release(v));
		assert_ok(shv_release(v));
	}
	assert_refused(shv_last_holder(v, &h), ENOENT);
	assert_ok(shv_value_free(v));
}
END_TEST

/* ---- when somebody else has it ------------------------------------------------------------------------ */

static int get_int(shv_value *v)
{
	int x, r = shv_get(v, &x, sizeof(x));

	return r ? r : x;
}

START_TEST(busy_lock_is_refused_or_waited_for)
{
	shv_value *v = int_with(&kinds[_i]);
	struct errand waiter;

	assert_ok(shv_acquire(v));
	ck_assert_int_eq(in_thread(shv_try_acquire, v), -EBUSY);
	ck_assert_int_eq(in_thread(lock_try, v), -EBUSY);
	ck_assert_int_eq(in_thread(hold_1_ms, v), -ETIMEDOUT);
	ck_assert_int_eq(in_thread(lock_for, v), -ETIMEDOUT);
	*(int *)shv_value_data(v) = 5;
	errand_send(&waiter, get_int, v);
	await_waiter(v);
	*(int *)shv_value_data(v) = 6;
	assert_ok(shv_release(v));
	ck_assert_int_eq(errand_back(&waiter), 6);
	ck_assert_uint_eq(depth_of(v), 0);
}
END_TEST

static int wait_long(shv_value *v)
{
	int r = shv_acquire_for(v, &(struct timespec){ 3600, 0 });

	if (!r)
		NEED(shv_release(v) == 0, "shv_release");
	return r;
}

START_TEST(waiting_ends_with_the_release_not_with_the_time)
{
	shv_value *v = int_with(&kinds[_i]);
	struct errand waiters[3];

	assert_ok(shv_acquire(v));
	for (int i = 0; i < 3; i++)
		errand_send(&waiters[i], wait_long, v);
	await_waiter(v);
	assert_ok(shv_release(v));
	for (int i = 0; i < 3; i++)
		assert_ok(errand_back(&waiters[i]));
}
END_TEST

START_TEST(times_that_are_none_are_refused)
{
	shv_value *v = int_with(&kinds[_i]);
	shv_lock *lock = made(shv_value_lock(v));
	const struct timespec wrong[] = { { -1, 0 }, { 0, -1 }, { 0, 1000000000 }, { LONG_MIN, 0 }, { 1, LONG_MAX } };
	const struct timespec right[] = { { 0, 0 }, { 0, 999999999 }, { LONG_MAX, 999999999 }, { LONG_MAX / 2, 0 } };

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_refused(shv_acquire_for(v, &wrong[i]), EINVAL);
		assert_refused(shv_lock_for(lock, &wrong[i]), EINVAL);
	}
	assert_refused(shv_acquire_for(v, NULL), EINVAL);
	assert_refused(shv_lock_for(lock, NULL), EINVAL);
	ck_assert_uint_eq(depth_of(v), 0);
	for (unsigned i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_ok(shv_acquire_for(v, &right[i]));
		assert_ok(shv_release(v));
	}
}
END_TEST

/* ---- who holds it ------------------------------------------------------------------------------------- */

struct stay {
	shv_value *v;
	struct gate there, go;
	pid_t tid;
};

static void *hold_until_told(void *arg)
{
	struct stay *s = arg;

	NEED(shv_acquire(s->v) == 0, "shv_acquire");
	s->tid = (pid_t)syscall(SYS_gettid);
	gate_add(&s->there, 1);
	gate_wait(&s->go, 1);
	NEED(shv_release(s->v) == 0, "shv_release");
	return NULL;
}

START_TEST(holder_is_described)
{
	struct stay s = { .v = int_with(&kinds[_i]) };
	struct shv_holder h = { .size = sizeof(h) }, byte_by_byte;
	char command[16] = "";
	pthread_t thread;
	FILE *comm = fopen("/proc/self/comm", "re");

	if (comm) {
		ck_assert_int_eq(fscanf(comm, "%15[^\n]", command), 1);
		fclose(comm);
	}
	ck_assert_int_eq(shv_value_holder(s.v, &h), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, hold_until_told, &s), 0);
	gate_wait(&s.there, 1);
	ck_assert_int_eq(shv_value_holder(s.v, &h), 1);
	ck_assert_uint_eq(h.size, sizeof(h));
	ck_assert_int_eq(h.pid, getpid());
	ck_assert_int_eq(h.tid, s.tid);
	ck_assert_uint_gt(h.start_time, 0);
	ck_assert_str_eq(h.command, command);
	ck_assert(h.alive);
	ck_assert_uint_eq(h.depth, 1);
	memset(&byte_by_byte, 0, sizeof(byte_by_byte));
	ck_assert_int_eq(shv_lock_holder(shv_value_lock(s.v), &byte_by_byte), 1);
	ck_assert_int_eq(byte_by_byte.tid, h.tid);
	ck_assert_uint_eq(byte_by_byte.start_time, h.start_time);
	gate_add(&s.go, 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(shv_value_holder(s.v, &h), 0);
}
END_TEST

START_TEST(holder_of_an_older_size_gets_no_byte_more)
{
	shv_value *v = int_with(&kinds[_i]);
	struct shv_holder h;
	const size_t part = offsetof(struct shv_holder, start_time);

	assert_ok(shv_acquire(v));
	memset(&h, 0x5a, sizeof(h));
	h.size = part;
	ck_assert_int_eq(shv_value_holder(v, &h), 1);
	ck_assert_int_eq(h.pid, getpid());
	for (size_t i = part; i < sizeof(h); i++)
		ck_assert_uint_eq(((unsigned char *)&h)[i], 0x5a);
	h.size = 1;
	assert_refused(shv_value_holder(v, &h), EINVAL);
	assert_refused(shv_value_holder(v, NULL), EINVAL);
	assert_refused(shv_lock_holder(shv_value_lock(v), NULL), EINVAL);
	assert_ok(shv_release(v));
}
END_TEST

/* ---- threads that end --------------------------------------------------------------------------------- */

static int take_thrice_and_end(shv_value *v)
{
	NEED(shv_acquire(v) == 0, "shv_acquire");
	NEED(shv_add(v, 0, NULL) == 0 || shv_acquire(v) == -EDEADLK, "again");
	if (shv_acquire(v) == 0)
		NEED(shv_acquire(v) == 0, "third");
	*(int *)shv_value_data(v) = 5;
	return 0;
}

START_TEST(lock_of_a_thread_that_ended_is_handed_over_once)
{
	shv_value *v = int_with(&kinds[_i]);
	struct shv_holder h = { .size = sizeof(h) };

	assert_ok(in_thread(take_thrice_and_end, v));
	ck_assert_int_eq(_i % 2 ? shv_acquire(v) : shv_try_acquire(v), SHV_RECOVERED);
	ck_assert_int_eq(*(int *)shv_value_data(v), 5);
	ck_assert_uint_eq(depth_of(v), 1);
	assert_ok(shv_release(v));
	assert_ok(shv_acquire_for(v, &(struct timespec){ 0, 0 }));
	assert_ok(shv_release(v));
	/* Also after somebody else has put things in order. */
	assert_ok(in_thread(take_thrice_and_end, v));
	ck_assert_int_ge(shv_arena_recover(arena, NULL), 0);
	ck_assert_int_eq(shv_value_holder(v, &h), 0);
	ck_assert_int_eq(lock_for(v), SHV_RECOVERED);
	assert_ok(shv_release(v));
	assert_ok(in_thread(take_and_release, v));
}
END_TEST

static int set_9(shv_value *v)
{
	return shv_set(v, &(int){ 9 }, sizeof(int));
}
static int add_1(shv_value *v)
{
	return shv_add(v, 1, NULL);
}
static int get_any(shv_value *v)
{
	int x;

	return shv_get(v, &x, sizeof(x));
}
static int exchange_5(shv_value *v)
{
	return shv_compare_exchange(v, &(int){ 5 }, &(int){ 6 }, sizeof(int));
}
static int ref_acquire_and_release(shv_value *v)
{
	shv_value *out;
	int r = shv_ref_acquire(arena, shv_ref_of(v), &out);

	return shv_release(v) ? -1 : r;
}

START_TEST(access_passes_on_that_the_holder_died)
{
	int (*const accesses[])(shv_value *) = { set_9, add_1, get_any, exchange_5, ref_acquire_and_release };
	shv_value *v = int_with(&kinds[_i]);

	for (unsigned i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
		assert_ok(in_thread(take_thrice_and_end, v));
		ck_assert_int_eq(accesses[i](v), SHV_RECOVERED);
		ck_assert_int_eq(get_any(v), 0);
	}
}
END_TEST

/*
 * Taken from the dead by a compare and exchange that then finds another content: it did not replace, but the lock
 * was inherited.
 */
START_TEST(last_holder_tells_the_thread_that_inherited)
{
	shv_value *v = int_with(&kinds[_i]), *w = int_with(&kinds[0]);
	struct shv_holder h = { .size = sizeof(h) };
	struct errand dead;
	pid_t tid;

	assert_refused(shv_last_holder(v, &h), ENOENT);
	errand_send(&dead, take_thrice_and_end, v);
	assert_ok(errand_back(&dead));
	tid = dead.tid;
	assert_refused(shv_last_holder(v, &h), ENOENT);
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	for (int again = 0; again < 2; again++) {
		h = (struct shv_holder){ .size = sizeof(h), .alive = true };
		assert_ok(shv_last_holder(v, &h));
		ck_assert_int_eq(h.pid, getpid());
		ck_assert_int_eq(h.tid, tid);
		ck_assert_uint_gt(h.start_time, 0);
		ck_assert(!h.alive);
	}
	assert_refused(shv_last_holder(w, &h), ENOENT);
	assert_refused(shv_last_holder(v, NULL), EINVAL);
	assert_ok(shv_release(v));
	assert_ok(shv_last_holder(v, &h)); /* until told of another */
	errand_send(&dead, take_thrice_and_end, w);
	assert_ok(errand_back(&dead));
	ck_assert_int_eq(shv_acquire(w), SHV_RECOVERED);
	assert_ok(shv_last_holder(w, &h));
	ck_assert_int_eq(h.tid, dead.tid);
	assert_refused(shv_last_holder(v, &h), ENOENT);
	assert_ok(shv_release(w));
}
END_TEST

START_TEST(last_holder_of_a_freed_value_is_not_that_of_the_next_at_its_place)
{
	shv_value *v = int_with(&kinds[_i]), *next;
	struct shv_holder h = { .size = sizeof(h) };

	assert_ok(in_thread(take_thrice_and_end, v));
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	assert_ok(shv_release(v));
	assert_ok(shv_value_free(v));
	assert_refused(shv_last_holder(v, &h), ESTALE);
	next = int_with(&kinds[_i]);
	ck_assert_ptr_eq(next, v); /* else this shows nothing */
	assert_refused(shv_last_holder(next, &h), ENOENT);
}
END_TEST

/* Nor that of another arena, which came to lie at the same address. */
START_TEST(last_holder_is_not_that_of_an_arena_which_is_gone)
{
	const void *first;
	struct shv_holder h = { .size = sizeof(h) };
	bool same = false;

	for (int i = 0; i < 20 && !same; i++) {
		shv_value *v = int_with(&kinds[_i]), *other;

		assert_ok(in_thread(take_thrice_and_end, v));
		ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
		assert_ok(shv_release(v));
		first = v;
		arena_teardown();
		arena_setup();
		other = int_with(&kinds[_i]);
		same = other == first;
		assert_refused(shv_last_holder(other, &h), ENOENT);
	}
	if (!same) /* where a new arena is mapped is the kernel's choice */
		fprintf(stderr, "# no value of a later arena came to lie where that of an earlier one was: nothing was shown\n");
}
END_TEST

/* A thousand threads, each ending with a lock: nothing of them must stay in the way of those that come later. */
START_TEST(many_threads_end_with_locks)
{
	enum { N = 1000 };
	static shv_value *v[N];

	for (int i = 0; i < N; i++) {
		v[i] = int_with(&kinds[i % 3]);
		assert_ok(in_thread(take_thrice_and_end, v[i]));
	}
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(shv_try_acquire(v[i]), SHV_RECOVERED);
		assert_ok(shv_value_free(v[i]));
	}
	ck_assert_int_ge(shv_arena_recover(arena, NULL), 0);
	ck_assert_uint_le(arena_stat(arena).threads, 2);
}
END_TEST

/* ---- freeing ------------------------------------------------------------------------------------------ */

START_TEST(value_is_not_freed_while_another_thread_holds_its_lock)
{
	struct stay s = { .v = int_with(&kinds[_i]) };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, hold_until_told, &s), 0);
	gate_wait(&s.there, 1);
	assert_refused(shv_value_free(s.v), EBUSY);
	ck_assert_int_eq(shv_kind_of(s.v), SHV_KIND_VALUE);
	gate_add(&s.go, 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	assert_ok(shv_value_free(s.v));
}
END_TEST

START_TEST(holder_may_free_its_value)
{
	const struct kind *k = &kinds[_i];
	shv_value *v = int_with(k);

	assert_ok(shv_acquire(v));
	if (k->recursive)
		assert_ok(shv_acquire(v));
	assert_ok(shv_value_free(v));
	assert_refused(shv_release(v), ESTALE);
	assert_refused(shv_acquire(v), ESTALE);
	/* It counts as released: else this would be -EBUSY. */
	assert_ok(shv_arena_detach(arena));
	arena = NULL;
}
END_TEST

static int acquire_by_ref(shv_value *v)
{
	shv_value *out = NULL;
	int r = shv_ref_acquire(arena, shv_ref_of(v), &out);

	NEED(r < 0 && !out, "shv_ref_acquire returned %d and %p", r, (void *)out);
	return r;
}

START_TEST(waiters_are_told_when_the_value_is_freed)
{
	int (*const waits[])(shv_value *) = { shv_acquire, wait_long, lock_acquire,  get_any,
					      set_9,       add_1,     acquire_by_ref };
	enum { N = sizeof(waits) / sizeof(waits[0]) };
	struct errand waiter;

	for (unsigned i = 0; i < N; i++) {
		shv_value *v = int_with(&kinds[_i]);

		assert_ok(shv_acquire(v));
		errand_send(&waiter, waits[i], v);
		await_waiter(v);
		assert_ok(shv_value_free(v));
		ck_assert_int_eq(errand_back(&waiter), -ESTALE);
		ck_assert_int_eq(shv_kind_of(v), SHV_KIND_NONE);
	}
}
END_TEST

/*
 * The lock is that of many, so it stays; but the value that was waited for is gone, and its memory may be
 * another's. The usual way to take an element out of something: free it with the lock held.
 */
START_TEST(waiters_for_a_shared_lock_are_told_when_their_value_is_freed)
{
	int (*const waits[])(shv_value *) = { shv_acquire, wait_long, get_any, set_9, add_1, acquire_by_ref };
	enum { N = sizeof(waits) / sizeof(waits[0]) };
	shv_lockspec spec = spec_of(&kinds[_i]);

	for (unsigned i = 0; i < N; i++) {
		shv_value *v = made(SHV_VALUE(arena, int, 1, spec)), *next;
		struct errand waiter;

		assert_ok(shv_acquire(v));
		errand_send(&waiter, waits[i], v);
		await_waiter(v);
		assert_ok(shv_value_free(v));
		next = made(SHV_VALUE(arena, int, 7, spec));
		assert_ok(shv_lock_release((shv_lock *)(uintptr_t)spec.which));
		ck_assert_msg(errand_back(&waiter) == -ESTALE, "wait %u ended with %d", i, waiter.result);
		ck_assert_int_eq(SHV_LOAD(next, int), 7); /* which perhaps has the place of v */
		assert_ok(shv_value_free(next));
	}
}
END_TEST

/* ---- shared locks ------------------------------------------------------------------------------------- */

START_TEST(values_that_share_a_lock_are_locked_together)
{
	shv_lock *lock = made(shv_lock_new(arena, plain_lockspec((unsigned)_i)));
	shv_value *v = made(SHV_VALUE(arena, int, 1, SHV_SHARED(lock))),
		  *w = made(SHV_VALUE(arena, long, 2, SHV_SHARED(lock)));
	shv_value *array = made(shv_array_new(arena, SHV_INT, 5, NULL, SHV_SHARED(lock)));
	struct shv_holder h = { .size = sizeof(h) };

	ck_assert_ptr_eq(shv_value_lock(v), lock);
	ck_assert_ptr_eq(shv_value_lock(w), lock);
	ck_assert_ptr_eq(shv_value_lock(array), lock);
	ck_assert_int_eq(shv_kind_of(lock), SHV_KIND_LOCK);
	assert_ok(shv_acquire(v));
	ck_assert_int_eq(in_thread(shv_try_acquire, w), -EBUSY);
	ck_assert_int_eq(in_thread(shv_try_acquire, array), -EBUSY);
	ck_assert_int_eq(shv_lock_holder(lock, &h), 1);
	ck_assert_int_eq(shv_value_holder(array, &h), 1);
	if (_i == 0) {
		assert_ok(shv_acquire(w));
		assert_ok(shv_release(array));
	} else {
		assert_refused(shv_acquire(w), EDEADLK);
	}
	assert_ok(shv_release(array)); /* it is the same lock, by whatever value it is named */
	assert_ok(in_thread(take_and_release, v));
	assert_ok(shv_value_free(v)); /* the lock stays for the others */
	assert_ok(shv_acquire(w));
	assert_ok(shv_release(w));
	assert_ok(shv_lock_acquire(lock));
	assert_ok(shv_lock_release(lock));
}
END_TEST

static int try_lock_object(shv_value *v)
{
	return shv_lock_try((shv_lock *)(void *)v);
}

/* As this process's threads note it. */
static uint32_t locks_held(void)
{
	struct shv_process_info p = { .size = sizeof(p) };
	uint64_t cursor = 0;

	ck_assert_int_eq(shv_process_next(arena, &cursor, &p), 1);
	return p.locks_held;
}

START_TEST(block_that_frees_its_value_gives_a_shared_lock_back)
{
	shv_lock *lock = made(shv_lock_new(arena, plain_lockspec((unsigned)_i)));
	shv_value *v = made(SHV_VALUE(arena, int, 1, SHV_SHARED(lock))), *array;

	shv_with(v)
		assert_ok(shv_value_free(v));
	ck_assert_int_eq(shv_lock_holder(lock, &(struct shv_holder){ 0 }), 0);
	ck_assert_uint_eq(locks_held(), 0);
	/* Also if nothing but the block names the lock any more. */
	array = made(shv_array_new(arena, SHV_INT, 9, NULL, SHV_SHARED(lock)));
	assert_ok(shv_lock_free(lock));
	shv_with(array) {
		assert_ok(shv_value_free(array));
		assert_ok(shv_arena_trim(arena));
		ck_assert_uint_eq(arena_stat(arena).locks, 1);
		ck_assert_int_eq(in_thread(try_lock_object, (shv_value *)(void *)lock), -EBUSY);
	}
	ck_assert_uint_eq(locks_held(), 0);
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_eq(arena_stat(arena).locks, 0);
}
END_TEST

/* A lock object that is made where the value was has nothing to do with the block. */
START_TEST(block_gives_back_no_lock_that_is_made_in_its_values_place)
{
	unsigned same = 0;

	for (int i = 0; i < 100; i++) {
		shv_value *v = made(SHV_VALUE(arena, long, 1));
		shv_lock *lock = NULL;

		shv_with(v) {
			assert_ok(shv_value_free(v));
			lock = made(shv_lock_new(arena, SHV_RECURSIVE));
			assert_ok(shv_lock_acquire(lock));
		}
		same += (void *)lock == (void *)v;
		ck_assert_int_eq(shv_lock_holder(lock, &(struct shv_holder){ 0 }), 1);
		assert_ok(shv_lock_release(lock));
		assert_ok(shv_lock_free(lock));
	}
	fprintf(stderr, "# at the same address: %u of 100\n", same);
}
END_TEST

START_TEST(name_of_a_lock_goes_with_it)
{
	shv_lock *lock = made(shv_lock_new(arena, plain_lockspec((unsigned)_i)));

	assert_ok(shv_publish(lock, "the lock"));
	assert_ok(shv_lock_free(lock));
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_eq(arena_stat(arena).locks, 0);
	ck_assert_uint_eq(arena_stat(arena).names, 0);
	ck_assert_ptr_null(shv_find(arena, "the lock"));
	assert_sound(arena);
}
END_TEST

START_TEST(freed_lock_serves_its_values_until_the_last_has_gone)
{
	shv_lock *lock = made(shv_lock_new(arena, plain_lockspec((unsigned)_i)));
	shv_value *v = made(SHV_VALUE(arena, int, 1, SHV_SHARED(lock))),
		  *w = made(SHV_VALUE(arena, int, 2, SHV_SHARED(lock)));
	shv_ref ref = shv_ref_of(lock);

	ck_assert_uint_eq(arena_stat(arena).locks, 1);
	assert_ok(shv_acquire(v));
	assert_ok(shv_lock_free(lock));
	assert_refused(shv_lock_free(lock), ESTALE);
	assert_refused_null(SHV_VALUE(arena, int, 3, SHV_SHARED(lock)), ESTALE);
	ck_assert_int_eq(in_thread(shv_try_acquire, w), -EBUSY);
	assert_ok(shv_release(v));
	assert_ok(shv_arena_trim(arena));
	ck_assert_ptr_eq(shv_value_lock(w), lock);
	assert_ok(shv_add(v, 1, NULL));
	assert_ok(shv_value_free(v));
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_eq(arena_stat(arena).locks, 1);
	assert_ok(shv_acquire(w));
	assert_ok(shv_release(w));
	assert_ok(shv_value_free(w));
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_eq(arena_stat(arena).locks, 0);
	assert_refused(shv_lock_acquire(lock), ESTALE);
	assert_refused(shv_lock_free(lock), ESTALE);
	assert_refused_null(shv_deref(arena, ref), ESTALE);
}
END_TEST

START_TEST(what_is_no_lock_object_is_not_shared)
{
	shv_arena *other = made(shv_arena_create(NULL));
	shv_lock *foreign = made(shv_lock_new(other, SHV_PLAIN));
	shv_value *v = made(SHV_VALUE(arena, int, 1));
	void *raw = made(shv_raw_new(arena, SHV_INT, NULL));
	long on_stack = 0;

	assert_refused_null(SHV_VALUE(arena, int, 1, SHV_SHARED(NULL)), EINVAL);
	assert_refused_null(SHV_VALUE(arena, int, 1, SHV_SHARED(shv_value_lock(v))), EINVAL);
	assert_refused_null(SHV_VALUE(arena, int, 1, SHV_SHARED(raw)), EINVAL);
	assert_refused_null(SHV_VALUE(arena, int, 1, SHV_SHARED(&on_stack)), EINVAL);
	assert_refused_null(SHV_VALUE(arena, int, 1, SHV_SHARED(foreign)), EINVAL);
	assert_refused(shv_lock_free(shv_value_lock(v)), EINVAL);
	assert_refused(shv_lock_free((shv_lock *)raw), EINVAL);
	assert_refused_null(shv_lock_new(arena, SHV_NONE), EINVAL);
	assert_refused_null(shv_lock_new(arena, SHV_SHARED(foreign)), EINVAL);
	ck_assert_uint_eq(arena_stat(arena).objects, 2);
	assert_ok(shv_arena_detach(other));
}
END_TEST

/* The cache lines of an object: from its length or lock, if it has these, to its last byte. */
struct lines {
	uintptr_t first, last;
	bool alone;
};

static struct lines lines_of(const void *p, size_t before, size_t size, bool alone)
{
	return (struct lines){ ((uintptr_t)p - 8 - before) / 64, ((uintptr_t)p + size - 1) / 64, alone };
}

START_TEST(aligned_objects_share_no_cache_line)
{
	enum { ROUNDS = 50, EACH = 6 };
	static struct lines l[ROUNDS * EACH];
	struct shv_value_info info = { .size = sizeof(info) };
	shv_lockspec spec = plain_lockspec((unsigned)_i), apart = shv_aligned(spec);
	const size_t lock = _i < 3 ? 8 : 0;
	size_t n = 0;

	for (unsigned k = 0; k < ROUNDS; k++) {
		size_t items = 1 + k * 7 % 90;
		shv_value *v = made(shv_value_new(arena, SHV_LONG, &(long){ k }, apart)), *small = made(shv_value_new(arena, SHV_CHAR, "c", apart));
		shv_value *array = made(shv_array_new(arena, SHV_SHORT, items, NULL, apart)), *text = made(shv_string_new(arena, "text", apart));

		ck_assert_int_eq(SHV_LOAD(v, long), k);
		ck_assert_int_eq(SHV_LOAD(small, char), 'c');
		assert_ok(shv_add(v, 1, NULL));
		l[n++] = lines_of(v, lock, sizeof(long), true);
		l[n++] = lines_of(small, lock, 1, true);
		l[n++] = lines_of(array, lock + 8, items * sizeof(short), true);
		l[n++] = lines_of(text, lock, 16, true);
		l[n++] = lines_of(made(shv_value_new(arena, SHV_LONG, NULL, spec)), lock, sizeof(long), false);
		l[n++] = lines_of(made(shv_raw_new(arena, SHV_LONG, NULL)), 0, sizeof(long), false);
		assert_ok(shv_value_describe(arena, shv_ref_of(v), &info));
		ck_assert_uint_eq(info.lock, apart.kind); /* the flag is of the place, not of the policy */
		if (k % 3 == 0) { /* what is made in the place of one that was freed */
			assert_ok(shv_value_free(v));
			assert_ok(shv_value_free(array));
			l[n - 6] = l[n - 1];
			l[n - 4] = l[n - 1];
		}
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if ((l[i].alone || l[k].alone) && (l[i].alone != l[k].alone || l[i].first != l[k].first))
				ck_assert_msg(l[i].last < l[k].first || l[k].last < l[i].first, "objects %zu and %zu share a line", k, i);
	need_sound(arena, "with aligned objects");
}
END_TEST

START_TEST(lock_parameters_that_make_no_sense_are_refused)
{
	shv_lockspec spec = SHV_PLAIN;

	ck_assert_uint_eq(sizeof(shv_lockspec), 24);
	for (uint32_t flag = 1; flag; flag <<= 1) {
		if (flag == SHV_LOCK_ALIGNED)
			continue;
		spec.flags = flag;
		assert_refused_null(SHV_VALUE(arena, int, 1, spec), EINVAL);
		assert_refused_null(shv_lock_new(arena, spec), EINVAL);
	}
	spec.flags = 0;
	for (uint32_t kind = 7; kind; kind = kind < 100 ? kind + 1 : kind << 1) {
		spec.kind = kind;
		assert_refused_null(SHV_VALUE(arena, int, 1, spec), EINVAL);
		assert_refused_null(shv_lock_new(arena, spec), EINVAL);
	}
	assert_refused_null(SHV_VALUE(arena, int, 1, SHV_POLICY(NULL)), EINVAL);
	ck_assert_uint_eq(arena_stat(arena).objects, 0);
	/* All zero is the default, a recursive lock. */
	spec = (shv_lockspec){ 0 };
	shv_value *v = made(SHV_VALUE(arena, int, 1, spec));
	assert_ok(shv_acquire(v));
	assert_ok(shv_acquire(v));
	assert_ok(shv_release(v));
	assert_ok(shv_release(v));
}
END_TEST

/* ---- looking without the lock ------------------------------------------------------------------------- */

struct pair {
	long a, b;
};

static shv_value *pair_with(const struct kind *k)
{
	static const struct shv_field fields[] = { SHV_FIELD(struct pair, a, SHV_LONG),
						   SHV_FIELD(struct pair, b, SHV_LONG) };
	const shv_type *type = made(shv_type_struct("pair", sizeof(struct pair), fields, 2));

	return made(shv_value_new(arena, type, NULL, spec_of(k)));
}

struct half {
	shv_value *v;
	struct gate step, seen;
};

/* Stops between the two words. */
static void *write_in_two_steps(void *arg)
{
	struct half *h = arg;
	struct pair *p = shv_value_data(h->v);

	NEED(shv_acquire(h->v) == 0, "shv_acquire");
	__atomic_store_n(&p->a, 7, __ATOMIC_RELAXED);
	gate_add(&h->step, 1);
	gate_wait(&h->seen, 1);
	__atomic_store_n(&p->b, 7, __ATOMIC_RELAXED);
	NEED(shv_release(h->v) == 0, "shv_release");
	return NULL;
}

START_TEST(peek_shows_nothing_half_written)
{
	struct half h = { .v = pair_with(&kinds[_i]) };
	struct pair out = { -1, -1 };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_in_two_steps, &h), 0);
	gate_wait(&h.step, 1);
	/* The oracle can tell: the payload is torn now. */
	ck_assert_int_ne(__atomic_load_n(&((struct pair *)shv_value_data(h.v))->a, __ATOMIC_RELAXED),
			 __atomic_load_n(&((struct pair *)shv_value_data(h.v))->b, __ATOMIC_RELAXED));
	assert_refused(shv_peek(h.v, &out, sizeof(out)), EAGAIN);
	gate_add(&h.seen, 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	assert_ok(shv_peek(h.v, &out, sizeof(out)));
	ck_assert_int_eq(out.a, 7);
	ck_assert_int_eq(out.b, 7);
}
END_TEST

static int write_half_and_end(shv_value *v)
{
	struct pair *p = shv_value_data(v);

	NEED(shv_acquire(v) == 0, "shv_acquire");
	p->a = 3;
	return 0;
}

START_TEST(peek_says_that_the_holder_is_gone)
{
	shv_value *v = pair_with(&kinds[_i]);
	struct pair out = { 0, 0 };

	assert_ok(in_thread(write_half_and_end, v));
	ck_assert_int_eq(shv_peek(v, &out, sizeof(out)), 1);
	ck_assert_int_eq(out.a, 3);
	ck_assert_int_eq(out.b, 0);
	ck_assert_int_ge(shv_arena_recover(arena, NULL), 0);
	ck_assert_int_eq(shv_peek(v, &out, sizeof(out)), 1); /* still: nobody has looked after it */
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	assert_ok(shv_release(v));
	assert_ok(shv_peek(v, &out, sizeof(out)));
	ck_assert_int_eq(out.a, 3);
}
END_TEST

START_TEST(peek_takes_nothing_and_leaves_nothing)
{
	shv_value *v = pair_with(&kinds[_i]);
	struct shv_value_info before = { .size = sizeof(before) }, after = before;
	struct pair out;

	assert_ok(shv_value_describe(arena, shv_ref_of(v), &before));
	for (int i = 0; i < 1000; i++)
		assert_ok(shv_peek(v, &out, sizeof(out)));
	assert_ok(shv_value_describe(arena, shv_ref_of(v), &after));
	ck_assert_uint_eq(after.acquisitions, before.acquisitions);
	ck_assert(!after.held && !after.waiters);
	assert_refused(shv_peek(v, NULL, sizeof(out)), EINVAL);
	assert_refused(shv_peek(v, &out, sizeof(out) - 1), EINVAL);
	assert_ok(shv_value_free(v));
	assert_refused(shv_peek(v, &out, sizeof(out)), ESTALE);
}
END_TEST

/* Many words, so that a copy takes long enough for a writer to come in between. */
enum { WORDS = 1024, PEEKS = 4000 };

struct writing {
	shv_value *v;
	struct gate stop;
};

static void *write_many_words(void *arg)
{
	static __thread long next[WORDS];
	struct writing *w = arg;

	for (long round = 1; !gate_now(&w->stop); round++) {
		for (int i = 0; i < WORDS; i++)
			next[i] = round;
		NEED(shv_set(w->v, next, sizeof(next)) == 0, "shv_set");
		if (round % 8 == 0)
			sched_yield();
	}
	return NULL;
}

START_TEST(peek_beside_writers_is_never_torn)
{
	struct writing w = { .v = made(shv_array_new(arena, SHV_LONG, WORDS, NULL, spec_of(&kinds[_i]))) };
	static long out[WORDS];
	pthread_t thread;
	long different = 0, last = -1;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_many_words, &w), 0);
	for (int n = 0; n < PEEKS || different < 20;) {
		int r = shv_peek(w.v, out, sizeof(out));

		if (r == -EAGAIN) {
			sched_yield(); /* the writer was perhaps stopped inside */
			continue;
		}
		n++;
		ck_assert_int_eq(r, 0);
		for (int i = 1; i < WORDS; i++)
			if (out[i] != out[0])
				ck_abort_msg("word %d is of write %ld, word 0 of write %ld", i, out[i], out[0]);
		ck_assert_int_ge(out[0], last); /* nor older than what was seen */
		if (out[0] == last && n % 16 == 0)
			sched_yield();
		different += out[0] != last;
		last = out[0];
	}
	gate_add(&w.stop, 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* ---- one at a time ------------------------------------------------------------------------------------ */

enum { CONTENDERS = 4, TURNS = 15000, FEW_TURNS = 1000 /* enough without a lock */ };

START_TEST(never_more_than_one_thread_is_inside)
{
	struct contest c = { .v = made(SHV_VALUE(arena, long, 0, spec_of(&kinds[_i]))), .turns = TURNS };
	struct shv_value_info before = { .size = sizeof(before) }, after = before;

	assert_ok(shv_value_describe(arena, shv_ref_of(c.v), &before));
	contend_by(&c, CONTENDERS);
	assert_ok(shv_value_describe(arena, shv_ref_of(c.v), &after));
	ck_assert_uint_eq(c.crowded, 0);
	ck_assert_int_eq(SHV_LOAD(c.v, long), (long)CONTENDERS * TURNS);
	ck_assert_uint_eq(after.acquisitions - before.acquisitions, (uint32_t)CONTENDERS * TURNS);
	ck_assert_uint_eq(depth_of(c.v), 0);
}
END_TEST

/* The contest finds out a lock that is none. */
START_TEST(contest_without_a_lock_is_crowded)
{
	struct contest c = { .v = made(SHV_VALUE(arena, long, 0, SHV_NONE)), .turns = FEW_TURNS, .broken = true };

	contend_until_crowded(&c, CONTENDERS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lock");
	TCase *tc = arena_case(suite, "taking");

	tcase_add_loop_test(tc, lock_is_taken_and_released, 0, KINDS);
	tcase_add_loop_test(tc, a_release_knows_what_was_done_since, 0, 1);
	tcase_add_loop_test(tc, a_release_knows_what_was_done_since, 3, 4);
	tcase_add_test(tc, a_release_is_not_of_what_came_after);
	tcase_add_loop_test(tc, recursive_lock_is_taken_1023_times_and_no_more, 0, 1);
	tcase_add_loop_test(tc, recursive_lock_is_taken_1023_times_and_no_more, 3, 4);
	tcase_add_loop_test(tc, thread_that_holds_a_lock_that_is_not_recursive_is_told, 0, KINDS);
	tcase_add_loop_test(tc, only_the_holder_releases, 0, KINDS);
#ifndef __SANITIZE_THREAD__
	tcase_add_test(tc, handoff_lock_goes_back_and_forth);
#endif
	tcase_add_test(tc, without_a_lock_there_is_nothing_to_take);
	tcase_add_loop_test(tc, busy_lock_is_refused_or_waited_for, 0, KINDS);
	tcase_add_loop_test(tc, waiting_ends_with_the_release_not_with_the_time, 0, KINDS);
	tcase_add_loop_test(tc, times_that_are_none_are_refused, 0, KINDS);
	tcase_add_loop_test(tc, holder_is_described, 0, KINDS);
	tcase_add_loop_test(tc, holder_of_an_older_size_gets_no_byte_more, 0, KINDS);

	tc = arena_case(suite, "ended threads");
	tcase_add_loop_test(tc, lock_of_a_thread_that_ended_is_handed_over_once, 0, KINDS);
	tcase_add_loop_test(tc, access_passes_on_that_the_holder_died, 0, KINDS);
	tcase_add_loop_test(tc, last_holder_tells_the_thread_that_inherited, 0, KINDS);
	tcase_add_loop_test(tc, last_holder_of_a_freed_value_is_not_that_of_the_next_at_its_place, 0, 3);
	tcase_add_loop_test(tc, last_holder_is_not_that_of_an_arena_which_is_gone, 0, KINDS);
	tcase_add_test(tc, many_threads_end_with_locks);

	tc = arena_case(suite, "freeing");
	tcase_add_loop_test(tc, value_is_not_freed_while_another_thread_holds_its_lock, 0, 3);
	tcase_add_loop_test(tc, holder_may_free_its_value, 0, 3);
	tcase_add_loop_test(tc, waiters_are_told_when_the_value_is_freed, 0, 3);
	tcase_add_loop_test(tc, waiters_for_a_shared_lock_are_told_when_their_value_is_freed, 3, KINDS);

	tc = arena_case(suite, "shared");
	tcase_add_loop_test(tc, values_that_share_a_lock_are_locked_together, 0, LOCKS);
	tcase_add_loop_test(tc, freed_lock_serves_its_values_until_the_last_has_gone, 0, LOCKS);
	tcase_add_loop_test(tc, block_that_frees_its_value_gives_a_shared_lock_back, 0, LOCKS);
	tcase_add_test(tc, block_gives_back_no_lock_that_is_made_in_its_values_place);
	tcase_add_loop_test(tc, name_of_a_lock_goes_with_it, 0, LOCKS);
	tcase_add_test(tc, what_is_no_lock_object_is_not_shared);
	tcase_add_loop_test(tc, aligned_objects_share_no_cache_line, 0, 4);
	tcase_add_test(tc, lock_parameters_that_make_no_sense_are_refused);

	tc = arena_case(suite, "peek");
	tcase_add_loop_test(tc, peek_shows_nothing_half_written, 0, KINDS);
	tcase_add_loop_test(tc, peek_says_that_the_holder_is_gone, 0, KINDS);
	tcase_add_loop_test(tc, peek_takes_nothing_and_leaves_nothing, 0, KINDS);
	tcase_add_loop_test(tc, peek_beside_writers_is_never_torn, 0, KINDS);

	tc = arena_case(suite, "contest");
	tcase_add_loop_test(tc, never_more_than_one_thread_is_inside, 0, KINDS);
	tcase_add_test(tc, contest_without_a_lock_is_crowded);
	return run_suite(suite);
}
