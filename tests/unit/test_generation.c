/* SPDX-License-Identifier: MIT */
/*
 * The end of a slot's generations: it is used up to the last one and never again, whichever way its objects are made and freed, and
 * no reference comes twice. Generations are set near the end from outside, while the slot rests in a magazine.
 */
#include "arena/arena_private.h" /* before Check, which has a macro fail */

#include "support/procs.h"
#include "support/suite.h"

#include <shv/shv.h>

#define ROUNDS 12
#define LEFT 5 /* generations */

static shv_arena *a;
static shv_lock *common;

static void *small_value(void)
{
	return shv_value_new(a, SHV_LONG, NULL, SHV_RECURSIVE);
}
static void *small_unlocked(void)
{
	return shv_value_new(a, SHV_LONG, NULL, SHV_NONE);
}
static void *small_raw(void)
{
	return shv_raw_new(a, SHV_LONG, NULL);
}
static void *plain_value(void)
{
	return shv_value_new(a, SHV_LONG, NULL, SHV_PLAIN);
}
static void *array(void)
{
	return shv_array_new(a, SHV_LONG, 5, NULL, SHV_RECURSIVE);
}
static void *raw_array(void)
{
	return shv_raw_array_new(a, SHV_LONG, 5, NULL);
}
static void *string(void)
{
	return shv_string_new(a, "text", SHV_RECURSIVE);
}
static void *with_shared_lock(void)
{
	return shv_value_new(a, SHV_LONG, NULL, SHV_SHARED(common));
}
static void *(*const makers[])(void) = { small_value, small_unlocked, small_raw, plain_value, array, raw_array, string, with_shared_lock };

static int let_go(void *p)
{
	enum shv_kind k = shv_kind_of(p);

	return k == SHV_KIND_RAW || k == SHV_KIND_RAW_ARRAY ? shv_raw_free(p) : shv_value_free(p);
}

static struct shv_slot_shm *slot_of(shv_ref ref)
{
	return slot_checked(a->base, &a->m->geo, (uint32_t)ref);
}

static void goes_to_the_end(void *(*make)(void))
{
	shv_ref seen[ROUNDS], first;
	unsigned same = 0;
	void *p;

	a = new_arena("end", 4);
	common = shv_lock_new(a, SHV_RECURSIVE);
	for (int i = 0; i < 3; i++) { /* the magazine has room */
		p = make();
		ck_assert_ptr_nonnull(p);
		ck_assert_int_eq(let_go(p), 0);
	}
	p = make();
	ck_assert_ptr_nonnull(p);
	first = shv_ref_of(p);
	ck_assert_int_eq(let_go(p), 0);
	ck_assert_uint_eq(slot_state(slot_of(first)->word), SHV_SLOT_HELD);
	slot_of(first)->word = (slot_of(first)->word & UINT32_MAX) | (uint64_t)(SHV_SLOT_GEN_MAX - LEFT) << SHV_SLOT_GEN_SHIFT;
	for (unsigned i = 0; i < ROUNDS; i++) {
		p = make();
		ck_assert_msg(p != NULL, "%s", shv_errmsg());
		seen[i] = shv_ref_of(p);
		same += (uint32_t)seen[i] == (uint32_t)first;
		ck_assert_msg((uint32_t)(seen[i] >> 32) < SHV_SLOT_GEN_MAX, "generation %x is used", (unsigned)(seen[i] >> 32));
		for (unsigned k = 0; k < i; k++)
			ck_assert_msg(seen[k] != seen[i], "rounds %u and %u have the same reference", k, i);
		ck_assert_ptr_eq(shv_deref(a, seen[i]), p);
		ck_assert_int_eq(shv_check(a, NULL, NULL), 0);
		ck_assert_msg(!let_go(p), "%s", shv_errmsg());
		for (unsigned k = 0; k <= i; k++)
			ck_assert_ptr_null(shv_deref(a, seen[k]));
	}
	ck_assert_uint_eq(same, LEFT);
	ck_assert_uint_eq(slot_state(slot_of(first)->word), SHV_SLOT_RETIRED);
	ck_assert_int_eq(shv_lock_free(common), 0);
	ck_assert_int_eq(shv_arena_trim(a), 0);
	ck_assert_int_eq(shv_check(a, NULL, NULL), 0);
	ck_assert_int_eq(shv_arena_detach(a), 0);
}

START_TEST(a_slot_is_used_up_to_its_last_generation)
{
	goes_to_the_end(makers[_i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("generation");
	TCase *t = tcase_create("end");

	tcase_add_loop_test(t, a_slot_is_used_up_to_its_last_generation, 0, sizeof(makers) / sizeof(makers[0]));
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
