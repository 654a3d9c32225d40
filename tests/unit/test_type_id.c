/* SPDX-License-Identifier: MIT */
/*
 * Types and their numbers in an arena: made known once, found by number, and what is damaged is
 * told.
 */
#include "arena/arena_private.h"
#include "values/type_private.h"

#include "support/suite.h" /* last: check.h has a macro fail() */

#include <errno.h>
#include <pthread.h>
#include <shv/error.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static shv_arena *arena;

static void make_arena(void)
{
	arena = shv_arena_create(NULL);
	ck_assert_msg(arena, "%s", shv_errmsg());
}

static void drop_arena(void)
{
	ck_assert_int_eq(shv_arena_detach(arena), 0);
}

static const struct shv_type *by_id(uint32_t id)
{
	return type_by_id(arena->base, &arena->geo, id);
}

START_TEST(the_sets_of_basic_types_agree_with_their_table)
{
	for (unsigned id = 0; id < 32; id++) {
		const struct shv_type *t = id < TYPE_ID_END ? type_basic(id) : NULL;

		ck_assert_msg((t && t->small) == TYPE_IN(TYPES_SMALL, id), "type %u is small or not", id);
		ck_assert_msg((t && t->class_ == TYPE_SIGNED) == TYPE_IN(TYPES_SIGNED, id), "type %u is signed or not", id);
		ck_assert_msg((t && t->class_ == TYPE_UNSIGNED) == TYPE_IN(TYPES_UNSIGNED, id), "type %u is unsigned or not", id);
		if (t && t->small)
			ck_assert_uint_eq(type_small_size(id), t->size);
	}
}
END_TEST

START_TEST(basic_types_have_their_number_everywhere)
{
	struct shv_type_text text;

	for (uint32_t id = 1; id < TYPE_ID_END; id++) {
		ck_assert_int_eq(type_id(arena->m, type_basic(id)), (int)id);
		ck_assert_ptr_eq(by_id(id), type_basic(id));
		ck_assert_int_eq(type_text_of(arena->base, &arena->geo, id, &text), 0);
		ck_assert_str_eq(text.format, type_basic(id)->format);
		ck_assert_str_eq(text.name, type_basic(id)->name);
		ck_assert_uint_eq(text.size, type_basic(id)->size);
		ck_assert_uint_eq(text.align, type_basic(id)->align);
	}
	ck_assert_uint_eq(super_of(arena->base)->types, 0);
}
END_TEST

START_TEST(made_types_are_numbered_once)
{
	const struct shv_field f[] = { { 0, "x", SHV_DOUBLE, 0, 8 }, { 0, "y", SHV_DOUBLE, 8, 8 } };
	const shv_type *plain = shv_type_parse("T{d:x:d:y:}"), *named = shv_type_struct("point", 16, f, 2);
	const shv_type *array = shv_type_parse("3i");
	struct shv_type_text text;
	int id[3] = { type_id(arena->m, plain), type_id(arena->m, named), type_id(arena->m, array) };

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(id[i], (int)SHV_TYPE_FIRST + i);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(type_id(arena->m, plain), id[0]);
		ck_assert_int_eq(type_id(arena->m, named), id[1]);
		ck_assert_int_eq(type_id(arena->m, array), id[2]);
	}
	ck_assert_uint_eq(super_of(arena->base)->types, 3);
	ck_assert_ptr_eq(by_id((uint32_t)id[0]), plain);
	ck_assert_ptr_eq(by_id((uint32_t)id[1]), named);
	ck_assert_ptr_eq(by_id((uint32_t)id[2]), array);
	ck_assert_int_eq(type_text_of(arena->base, &arena->geo, (uint32_t)id[1], &text), 0);
	ck_assert_str_eq(text.format, "T{d:x:d:y:}");
	ck_assert_str_eq(text.name, "point");
	ck_assert_int_eq(type_text_of(arena->base, &arena->geo, (uint32_t)id[0], &text), 0);
	ck_assert_str_eq(text.name, "");
}
END_TEST

/* Arenas number types in the order in which they meet them; the process must not mix them up. */
START_TEST(each_arena_has_its_own_numbers)
{
	const shv_type *a = shv_type_parse("T{i:a:}"), *b = shv_type_parse("T{i:b:}");
	shv_arena *first = arena;
	int a_here = type_id(first->m, a), b_here = type_id(first->m, b);

	for (int i = 0; i < 50; i++) {
		/* detached each time, so that addresses are used again */
		make_arena();
		ck_assert_int_eq(type_id(arena->m, i % 2 ? b : a), a_here);
		ck_assert_int_eq(type_id(arena->m, i % 2 ? a : b), b_here);
		ck_assert_ptr_eq(by_id((uint32_t)b_here), i % 2 ? a : b);
		drop_arena();
	}
	arena = first;
	ck_assert_int_eq(type_id(arena->m, a), a_here);
	ck_assert_int_eq(type_id(arena->m, b), b_here);
}
END_TEST

/* The texts that an arena has may be of types that this process has never made. */
START_TEST(types_of_others_are_made_when_they_are_met)
{
	int status;
	pid_t child = fork();

	if (!child) {
		const struct shv_field f[] = { { 0, "met", SHV_INT, 0, 4 } };
		int one = type_id(arena->m, shv_type_parse("T{i:never:(2)d:met:}"));
		int two = type_id(arena->m, shv_type_struct("never met", 4, f, 1));

		_exit(one == (int)SHV_TYPE_FIRST && two == (int)SHV_TYPE_FIRST + 1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_ptr_null(type_lookup("T{i:never:4x(2)d:met:}", NULL));
	ck_assert_str_eq(shv_type_format(by_id(SHV_TYPE_FIRST)), "T{i:never:4x(2)d:met:}");
	ck_assert_str_eq(shv_type_name(by_id(SHV_TYPE_FIRST + 1)), "never met");
	ck_assert_str_eq(shv_type_format(by_id(SHV_TYPE_FIRST + 1)), "T{i:met:}");
	ck_assert_ptr_eq(by_id(SHV_TYPE_FIRST + 1), by_id(SHV_TYPE_FIRST + 1));
	ck_assert_int_eq(type_id(arena->m, shv_type_parse("T{i:never:(2)d:met:}")), (int)SHV_TYPE_FIRST);
}
END_TEST

START_TEST(numbers_that_nobody_gave_are_damage)
{
	static const uint32_t ids[] = { 0, TYPE_ID_END, SHV_TYPE_FIRST - 1, SHV_TYPE_FIRST, SHV_MAX_TYPES, UINT32_MAX };
	struct shv_type_text text;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		errno = 0;
		ck_assert_ptr_null(by_id(ids[i]));
		ck_assert_int_eq(errno, EUCLEAN);
		ck_assert_int_eq(type_text_of(arena->base, &arena->geo, ids[i], &text), -ENOENT);
	}
}
END_TEST

/* Texts as no libshv writes them, but whoever can write to the arena. */
/* Names differ here, so nobody asks. */
static bool never_the_same(const struct shv_type_text *known, const void *ctx)
{
	(void)known;
	(void)ctx;
	return false;
}

START_TEST(texts_that_contradict_themselves_are_damage)
{
	static const struct {
		const char *format, *name;
		uint64_t size;
		uint32_t align;
		bool sound;
	} entries[] = {
		{ "T{i:sound:}", "", 4, 4, true },
		{ "T{<b:a:<d:b:}", "not canonical", 16, 8, true },
		{ "<i", "", 4, 4, true },
		{ "i", "an int", 4, 4, true },
		{ "T{i:size:}", "", 5, 4, false },
		{ "T{i:size:}", "named", 8, 4, false },
		{ "T{i:align:}", "", 4, 8, false },
		{ "T{i:align:}", "", 4, 0, false },
		{ "T{i:open:", "", 4, 4, false },
		{ "", "", 0, 1, false },
		{ "P", "", 8, 8, false },
		{ "99999999999999999999i", "", 8, 8, false },
		{ "T{i:escape:}", "\x1b[2J", 4, 4, false },
		{ "T{i:\x1b[2J:}", "", 4, 4, false },
	};

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		const struct shv_type_text text = { entries[i].format, entries[i].name, entries[i].size, entries[i].align };
		int id = table_type_intern(arena->m, &text, never_the_same, NULL);
		const struct shv_type *t;

		ck_assert_int_ge(id, (int)SHV_TYPE_FIRST);
		errno = 0;
		t = by_id((uint32_t)id);
		ck_assert_msg(!t == !entries[i].sound, "%s: %s", entries[i].format, shv_errmsg());
		if (!t) {
			ck_assert_int_eq(errno, EUCLEAN);
			continue;
		}
		ck_assert_uint_eq(t->size, entries[i].size);
		ck_assert_ptr_eq(by_id((uint32_t)id), t);
		if (*entries[i].name)
			ck_assert_str_eq(shv_type_name(t), entries[i].name);
	}
}
END_TEST

#define THREADS 4
#define TYPES   600 /* more than the cache has places */
static int ids[THREADS][TYPES];
static pthread_barrier_t start;

static void *number_types(void *mine)
{
	int *out = mine;

	pthread_barrier_wait(&start);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < TYPES; i++) {
			char text[32];
			int id;

			snprintf(text, sizeof(text), "T{i:n%u:}", i);
			id = type_id(arena->m, shv_type_parse(text));
			if (round && id != out[i])
				return mine;
			out[i] = id;
		}
	}
	return NULL;
}

START_TEST(threads_that_race_get_the_same_numbers)
{
	pthread_t threads[THREADS];
	void *changed = NULL;

	pthread_barrier_init(&start, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, number_types, ids[i]), 0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &changed);
		ck_assert_ptr_null(changed);
	}
	for (size_t i = 0; i < TYPES; i++) {
		char text[32];

		snprintf(text, sizeof(text), "T{i:n%zu:}", i);
		ck_assert_ptr_eq(by_id((uint32_t)ids[0][i]), shv_type_parse(text));
		for (size_t k = 1; k < THREADS; k++)
			ck_assert_int_eq(ids[k][i], ids[0][i]);
	}
	ck_assert_uint_eq(super_of(arena->base)->types, TYPES);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type_id");
	TCase *tcase = tcase_create("numbers");

	tcase_add_checked_fixture(tcase, make_arena, drop_arena);
	tcase_add_test(tcase, the_sets_of_basic_types_agree_with_their_table);
	tcase_add_test(tcase, basic_types_have_their_number_everywhere);
	tcase_add_test(tcase, made_types_are_numbered_once);
	tcase_add_test(tcase, each_arena_has_its_own_numbers);
	tcase_add_test(tcase, types_of_others_are_made_when_they_are_met);
	tcase_add_test(tcase, numbers_that_nobody_gave_are_damage);
	tcase_add_test(tcase, texts_that_contradict_themselves_are_damage);
	tcase_add_test(tcase, threads_that_race_get_the_same_numbers);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
