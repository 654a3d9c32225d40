/* SPDX-License-Identifier: MIT */
/*
 * shv_with(): the lock is held inside, given back on every way out, and the block is skipped where there is no
 * lock to be had.
 */
#include "api/api.h"

START_TEST(block_runs_once_with_the_lock_held)
{
	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(SHV_VALUE(arena, int, 1, plain_lockspec(i)));
		int runs = 0;

		shv_with(v) {
			ck_assert_int_eq(shv_with_status(), 0);
			ck_assert_uint_eq(depth_of(v), i < LOCKS);
			*(int *)shv_value_data(v) += 1;
			runs++;
		}
		ck_assert_int_eq(runs, 1);
		ck_assert_int_eq(shv_with_status(), 0);
		ck_assert_uint_eq(depth_of(v), 0);
		ck_assert_int_eq(SHV_LOAD(v, int), 2);
	}
}
END_TEST

START_TEST(break_leaves_the_guard_only)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0, SHV_PLAIN));
	int turns = 0;

	for (int i = 0; i < 3; i++) {
		shv_with(v) {
			if (i == 1)
				break;
			turns += 10;
		}
		ck_assert_uint_eq(depth_of(v), 0);
		turns++;
	}
	ck_assert_int_eq(turns, 23);
}
END_TEST

START_TEST(continue_leaves_the_guard_only)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0, SHV_HANDOFF));
	int turns = 0;

	for (int i = 0; i < 3; i++) {
		shv_with(v) {
			if (i != 2)
				continue;
			turns += 10;
		}
		ck_assert_uint_eq(depth_of(v), 0);
		turns++;
	}
	ck_assert_int_eq(turns, 13);
}
END_TEST

static int returns_from_inside(shv_value *v)
{
	shv_with(v) {
		return *(int *)shv_value_data(v) + (int)depth_of(v) * 100;
	}
	return -1;
}

START_TEST(return_gives_the_lock_back)
{
	shv_value *v = made(SHV_VALUE(arena, int, 5, SHV_PLAIN));

	ck_assert_int_eq(returns_from_inside(v), 105);
	ck_assert_uint_eq(depth_of(v), 0);
	ck_assert_int_eq(returns_from_inside(v), 105);
}
END_TEST

START_TEST(goto_gives_the_lock_back)
{
	shv_value *v = made(SHV_VALUE(arena, int, 5, SHV_PLAIN)), *w = made(SHV_VALUE(arena, int, 6, SHV_PLAIN));
	bool late = false;

	shv_with(v) {
		shv_with(w) {
			ck_assert_uint_eq(depth_of(v) + depth_of(w), 2);
			goto out;
		}
		late = true;
	}
	late = true;
out:
	ck_assert(!late);
	ck_assert_uint_eq(depth_of(v) + depth_of(w), 0);
}
END_TEST

START_TEST(guards_nest)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0)), *w = made(SHV_VALUE(arena, int, 0, SHV_PLAIN));

	shv_with(v) {
		shv_with(w) {
			shv_with(v) {
				ck_assert_uint_eq(depth_of(v), 2);
				ck_assert_uint_eq(depth_of(w), 1);
			}
			ck_assert_uint_eq(depth_of(v), 1);
		}
		ck_assert_uint_eq(depth_of(w), 0);
		ck_assert_uint_eq(depth_of(v), 1);
		assert_ok(shv_add(v, 1, NULL)); /* recursive: the library may take it too */
	}
	ck_assert_uint_eq(depth_of(v), 0);
	ck_assert_int_eq(SHV_LOAD(v, int), 1);
}
END_TEST

START_TEST(block_is_skipped_when_the_lock_is_refused)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0, plain_lockspec((unsigned)_i)));
	int runs = 0;

	/* Mine already, and not a recursive one. */
	assert_ok(shv_acquire(v));
	shv_with(v)
		runs++;
	ck_assert_int_eq(runs, 0);
	ck_assert_int_eq(shv_with_status(), -EDEADLK);
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "shv_with"));
	/* The guard that did not get it did not give it back either. */
	ck_assert_uint_eq(depth_of(v), 1);
	assert_ok(shv_release(v));
	shv_with(v)
		runs++;
	ck_assert_int_eq(runs, 1);
	ck_assert_int_eq(shv_with_status(), 0);
}
END_TEST

START_TEST(block_is_skipped_for_what_is_no_value)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0)), *raw = made((shv_value *)shv_raw_new(arena, SHV_INT, NULL));
	int runs = 0;

	assert_ok(shv_value_free(v));
	shv_with(v)
		runs++;
	ck_assert_int_eq(shv_with_status(), -ESTALE);
	shv_with(NULL)
		runs++;
	ck_assert_int_eq(shv_with_status(), -EINVAL);
	shv_with(raw)
		runs++;
	ck_assert_int_eq(shv_with_status(), -EINVAL);
	ck_assert_int_eq(runs, 0);
}
END_TEST

START_TEST(value_freed_inside_its_guard_is_no_error)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0));
	shv_value *next;

	shv_with(v)
		assert_ok(shv_value_free(v));
	ck_assert_int_eq(shv_kind_of(v), SHV_KIND_NONE);
	/* Whoever gets the place finds its lock free. */
	next = made(SHV_VALUE(arena, int, 0));
	ck_assert_uint_eq(depth_of(next), 0);
}
END_TEST

START_TEST(argument_is_evaluated_once)
{
	shv_value *values[2] = { made(SHV_VALUE(arena, int, 0)), made(SHV_VALUE(arena, int, 0)) };
	int i = 0;

	shv_with(values[i++])
		ck_assert_uint_eq(depth_of(values[0]), 1);
	ck_assert_int_eq(i, 1);
	ck_assert_uint_eq(depth_of(values[0]), 0);
}
END_TEST

START_TEST(errno_survives_the_end_of_the_block)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0));

	shv_with(v)
		errno = EXDEV;
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

static void *own_status(void *arg)
{
	shv_value *v = arg;

	shv_with(v)
		NEED(shv_with_status() == 0, "status");
	return NULL;
}

START_TEST(status_is_of_this_thread)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0));
	pthread_t thread;

	shv_with(NULL) { }
	ck_assert_int_eq(shv_with_status(), -EINVAL);
	ck_assert_int_eq(pthread_create(&thread, NULL, own_status, v), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(shv_with_status(), -EINVAL);
}
END_TEST

static void *hold_and_end(void *arg)
{
	NEED(shv_acquire(arg) == 0, "shv_acquire");
	return NULL;
}

START_TEST(status_tells_of_a_dead_holder)
{
	shv_value *v = made(SHV_VALUE(arena, int, 0, plain_lockspec((unsigned)_i)));
	pthread_t thread;
	int runs = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, hold_and_end, v), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	shv_with(v) {
		ck_assert_int_eq(shv_with_status(), SHV_RECOVERED);
		runs++;
	}
	ck_assert_int_eq(runs, 1);
	ck_assert_int_eq(shv_with_status(), SHV_RECOVERED);
	shv_with(v)
		runs++;
	ck_assert_int_eq(shv_with_status(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard");
	TCase *tc = arena_case(suite, "with");

	tcase_add_test(tc, block_runs_once_with_the_lock_held);
	tcase_add_test(tc, break_leaves_the_guard_only);
	tcase_add_test(tc, continue_leaves_the_guard_only);
	tcase_add_test(tc, return_gives_the_lock_back);
	tcase_add_test(tc, goto_gives_the_lock_back);
	tcase_add_test(tc, guards_nest);
	tcase_add_loop_test(tc, block_is_skipped_when_the_lock_is_refused, 1, LOCKS);
	tcase_add_test(tc, block_is_skipped_for_what_is_no_value);
	tcase_add_test(tc, value_freed_inside_its_guard_is_no_error);
	tcase_add_test(tc, argument_is_evaluated_once);
	tcase_add_test(tc, errno_survives_the_end_of_the_block);
	tcase_add_test(tc, status_is_of_this_thread);
	tcase_add_loop_test(tc, status_tells_of_a_dead_holder, 0, LOCKS);
	return run_suite(suite);
}
