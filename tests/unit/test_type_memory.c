/* SPDX-License-Identifier: MIT */
/*
 * Making types when memory runs out: each allocation fails in turn. The linker sends the calls of the whole program
 * through the __wrap_ functions below (tests/local.mk); a sanitizer or Valgrind says whether anything was lost.
 */
#include "support/suite.h"
#include "values/type_private.h"

#include <errno.h>
#include <shv/error.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

static long left = -1; /* calls until they fail; -1: they do not */

static bool fails(void)
{
	if (left > 0)
		left--;
	else if (!left)
		return true;
	return false;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

static const shv_type *make(unsigned which)
{
	static const char *const formats[] = {
		"i",
		">i",
		"10p",
		"(2,3)>d",
		"bi",
		"T{i:a:d:b:}",
		"T{(2)T{>i:a:}:x:(3)10p:y:3x:pad:T{T{T{^b>q}}}:z:}",
		"T{i:a:i:b:i:c:i:d:i:e:i:f:i:g:i:h:i:i:i:j:i:k:T{h}:l:}",
	};
	const struct shv_field fields[] = { { 0, "a", SHV_DOUBLE, 0, 48 }, { 0, "b", SHV_INT, 48, 8 } };

	if (which < COUNT(formats))
		return shv_type_parse(formats[which]);
	return which == COUNT(formats) ? shv_type_struct("named", 56, fields, 2) : NULL;
}

/* seldom: forget what was made only now and then, so that parts are found in the table as well. */
static void fail_each_allocation(unsigned which, long seldom)
{
	long calls;

	for (calls = 0; calls < 1000; calls++) {
		const shv_type *t;

		left = calls;
		errno = 0;
		t = make(which);
		left = -1;
		if (t)
			break;
		ck_assert_int_eq(errno, ENOMEM);
		ck_assert_ptr_nonnull(strstr(shv_errmsg(), "no memory"));
		if (calls % seldom == 0)
			type_forget_all();
	}
	ck_assert_int_lt(calls, 1000);
	ck_assert_int_gt(calls, 0);
	ck_assert_ptr_eq(make(which), make(which));
}

START_TEST(types_are_made_or_not_when_memory_runs_out)
{
	for (unsigned which = 0; which < 9; which++) {
		fail_each_allocation(which, 1);
		type_forget_all();
		fail_each_allocation(which, 3);
		type_forget_all();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type_memory");
	TCase *tcase = tcase_create("memory");

	tcase_add_test(tcase, types_are_made_or_not_when_memory_runs_out);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
