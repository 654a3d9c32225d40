/* SPDX-License-Identifier: MIT */
/* Many values in one call: each is what the function for one would have made, and a failure leaves nothing behind. */
#include "api/api.h"

#include <shv/bulk.h>

#define MANY 1000

START_TEST(values_are_as_if_made_one_by_one)
{
	shv_value *v[MANY], *again[MANY];
	long init[MANY], got[MANY];

	for (int i = 0; i < MANY; i++)
		init[i] = i * 3 - 7;
	assert_ok(shv_values_new(arena, SHV_LONG, init, plain_lockspec((unsigned)_i), MANY, v));
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(SHV_LOAD(v[i], long), init[i]);
		ck_assert_int_eq(shv_kind_of(v[i]), SHV_KIND_VALUE);
		ck_assert_int_eq(shv_acquire(v[i]), 0);
		ck_assert_int_eq(shv_release(v[i]), 0);
		init[i] = -i;
	}
	assert_ok(shv_values_set(v, MANY, init, sizeof(long)));
	assert_ok(shv_values_get(v, MANY, got, sizeof(long)));
	ck_assert_mem_eq(got, init, sizeof(got));
	assert_ok(shv_values_new(arena, SHV_LONG, NULL, plain_lockspec((unsigned)_i), MANY, again));
	assert_ok(shv_values_get(again, MANY, got, sizeof(long)));
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(got[i], 0);
	again[5] = NULL;
	assert_refused(shv_values_get(again, MANY, got, sizeof(long)), EINVAL);
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "item 5"));
	assert_ok(shv_values_free(v, MANY));
	assert_ok(shv_values_free(again, MANY)); /* all but the one that was lost */
	ck_assert_uint_eq(arena_stat(arena).objects, 1);
}
END_TEST

START_TEST(raw_values)
{
	void *p[MANY];
	double init[MANY];

	for (int i = 0; i < MANY; i++)
		init[i] = i / 8.0;
	assert_ok(shv_raws_new(arena, SHV_DOUBLE, init, MANY, p));
	for (int i = 0; i < MANY; i++) {
		ck_assert(*(double *)p[i] == init[i]);
		ck_assert_int_eq(shv_kind_of(p[i]), SHV_KIND_RAW);
	}
	assert_ok(shv_raws_free(p, MANY));
	assert_refused(shv_raws_free(p, MANY), ESTALE);
	ck_assert_uint_eq(arena_stat(arena).objects, 0);
}
END_TEST

START_TEST(what_is_held_does_not_keep_the_others)
{
	shv_value *v[10];

	assert_ok(shv_values_new(arena, SHV_INT, NULL, SHV_HANDOFF, 10, v));
	assert_ok(shv_acquire(v[3]));
	shv_value *held = v[3];
	v[3] = v[7], v[7] = held;
	ck_assert_int_eq(shv_release(held), 0);
	assert_ok(shv_raw_free(made(shv_raw_new(arena, SHV_INT, NULL))));
	v[4] = (shv_value *)made(shv_raw_new(arena, SHV_INT, NULL));
	assert_refused(shv_values_free(v, 10), EINVAL);
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "item 4"));
	ck_assert_uint_eq(arena_stat(arena).objects, 2); /* the raw one, and the one whose place it took */
}
END_TEST

START_TEST(all_or_nothing)
{
	const shv_type *big = made(shv_type_parse("1000000d"));
	shv_value *v[MANY];
	void *p[MANY];

	memset(v, 0xff, sizeof(v));
	assert_refused(shv_values_new(arena, big, NULL, SHV_PLAIN, MANY, v), ENOSPC); /* 8 GB in an arena of one */
	for (int i = 0; i < MANY; i++)
		ck_assert_ptr_null(v[i]);
	assert_refused(shv_raws_new(arena, big, NULL, MANY, p), ENOSPC);
	ck_assert_uint_eq(arena_stat(arena).objects, 0);
	assert_refused(shv_values_new(arena, NULL, NULL, SHV_PLAIN, 1, v), EINVAL);
	assert_refused(shv_values_new(arena, SHV_INT, NULL, SHV_PLAIN, 1, NULL), EINVAL);
	assert_refused(shv_values_new(NULL, SHV_INT, NULL, SHV_PLAIN, 1, v), EINVAL);
	assert_refused(shv_values_new(arena, SHV_INT, NULL, SHV_SHARED(NULL), 1, v), EINVAL);
	assert_refused(shv_raws_new(NULL, SHV_INT, NULL, 1, p), EINVAL);
	assert_refused(shv_raws_free(NULL, 1), EINVAL);
	assert_refused(shv_values_free(NULL, 1), EINVAL);
	assert_refused(shv_values_get(NULL, 1, p, 4), EINVAL);
	assert_refused(shv_values_set(v, 1, NULL, 4), EINVAL);
	assert_ok(shv_values_new(arena, SHV_INT, NULL, SHV_PLAIN, 0, NULL));
	assert_ok(shv_values_get(NULL, 0, NULL, 4));
	assert_ok(shv_values_free(NULL, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bulk");
	TCase *tc = tcase_create("bulk");

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, arena_setup, arena_teardown);
	tcase_add_loop_test(tc, values_are_as_if_made_one_by_one, 0, LOCKSPECS);
	tcase_add_test(tc, raw_values);
	tcase_add_test(tc, what_is_held_does_not_keep_the_others);
	tcase_add_test(tc, all_or_nothing);
	return run_suite(suite);
}
