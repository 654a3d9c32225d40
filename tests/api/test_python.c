/* SPDX-License-Identifier: MIT */
/*
 * What CPython makes of initial values, and what C makes of them: tests/data/python_values.tsv, which gen_python_values.py beside it made
 * by asking multiprocessing.Value(). Where the two differ, this says how; docs/SEMANTICS.md does so too.
 *
 * And the examples of Python's documentation, and questions that are asked of it, in C.
 */
#include "api/api.h"

#include <limits.h>
#include <math.h>

struct row {
	char code;
	char input[64], outcome[64];
};

static int read_row(FILE *f, struct row *r)
{
	char line[256];

	do {
		if (!fgets(line, sizeof(line), f))
			return 0;
	} while (*line == '#');
	ck_assert_msg(sscanf(line, "%c\t%63[^\t]\t%63[^\n]", &r->code, r->input, r->outcome) == 3, "a row is: %s", line);
	return 1;
}

/* Decimal, up to 2^64 and a little more. */
static __int128 integer(const char *s)
{
	bool minus = *s == '-';
	__int128 x = 0;

	for (s += minus; *s; s++)
		x = x * 10 + (*s - '0');
	return minus ? -x : x;
}

static void print_integer(__int128 x, char *out, size_t size)
{
	if (x < 0)
		snprintf(out, size, "-%llu", (unsigned long long)-x);
	else
		snprintf(out, size, "%llu", (unsigned long long)x);
}

/* A value of type T from x, as C converts it; what is in it then. */
#define THROUGH(T, x)                                                                                  \
	({                                                                                                 \
		shv_value *v_ = made(SHV_VALUE(arena, T, (T)(x), SHV_NONE));                               \
		T got_ = SHV_LOAD(v_, T);                                                                  \
		ck_assert_ptr_eq(shv_value_type(v_), shv_typecode(r->code));                               \
		assert_ok(shv_value_free(v_));                                                             \
		got_;                                                                                      \
	})

/* What C makes of an integer, in the words of the table. */
static void c_of_integer(const struct row *r, __int128 x, char *out, size_t size)
{
	switch (r->code) {
	case 'c':
		print_integer((unsigned char)THROUGH(char, x), out, size);
		break;
	case 'b':
		print_integer(THROUGH(signed char, x), out, size);
		break;
	case 'B':
		print_integer(THROUGH(unsigned char, x), out, size);
		break;
	case 'h':
		print_integer(THROUGH(short, x), out, size);
		break;
	case 'H':
		print_integer(THROUGH(unsigned short, x), out, size);
		break;
	case 'i':
		print_integer(THROUGH(int, x), out, size);
		break;
	case 'I':
		print_integer(THROUGH(unsigned, x), out, size);
		break;
	case 'l':
		print_integer(THROUGH(long, x), out, size);
		break;
	case 'L':
		print_integer(THROUGH(unsigned long, x), out, size);
		break;
	case 'q':
		print_integer(THROUGH(long long, x), out, size);
		break;
	case 'Q':
		print_integer(THROUGH(unsigned long long, x), out, size);
		break;
	case '?':
		print_integer(THROUGH(bool, x), out, size);
		break;
	default:
		ck_abort_msg("typecode %c", r->code);
	}
}

/* A number of one of the three floating types. Python goes through a double, also for a long double. */
static double c_of_number(const struct row *r, double x)
{
	switch (r->code) {
	case 'f':
		return (double)THROUGH(float, x);
	case 'd':
		return THROUGH(double, x);
	default:
		return (double)THROUGH(long double, x);
	}
}

static bool same(double x, double y)
{
	return memcmp(&x, &y, sizeof(x)) == 0;
}

/* What is behind the point goes. (Where the rest does not fit, C says nothing of what comes.) */
static bool cut(const struct row *r, double x)
{
	if (r->code == 'i' && fabs(x) < INT_MAX)
		return THROUGH(int, x) == (int)trunc(x);
	if (r->code == 'l' && fabs(x) < 1e18)
		return THROUGH(long, x) == (long)trunc(x);
	return true;
}

/* Does C do as Python did? Where not, it must differ in the documented way. */
static bool row_holds(const struct row *r)
{
	bool fraction = strpbrk(r->input, ".e") != NULL, refused = strstr(r->outcome, "Error") != NULL;
	double x = strtod(r->input, NULL);
	char c[64];

	if (strchr("fdg", r->code))
		return !refused && same(c_of_number(r, fraction ? x : (double)integer(r->input)), strtod(r->outcome, NULL));
	if (r->code == '?' && fraction)
		return !strcmp(r->outcome, THROUGH(bool, x) ? "1" : "0");
	/* An integer from a fraction: Python refuses; C cuts it, and a compiler warns if it is told to. */
	if (fraction)
		return refused && cut(r, x);
	c_of_integer(r, integer(r->input), c, sizeof(c));
	/* A char from a number that no byte is: Python refuses; C takes its low bits. */
	if (refused)
		return r->code == 'c' && (integer(r->input) < 0 || integer(r->input) > 255) &&
		       atoi(c) == (unsigned char)integer(r->input);
	return !strcmp(c, r->outcome);
}

static FILE *open_table(void)
{
	const char *top = getenv("SHV_SRCDIR");
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/data/python_values.tsv", top ? top : ".");
	f = fopen(path, "re");
	ck_assert_msg(f != NULL, "%s: %s (set SHV_SRCDIR to the top of the sources)", path, strerror(errno));
	return f;
}

START_TEST(initial_values_are_converted_as_python_does_it)
{
	FILE *f = open_table();
	struct row r;
	int rows = 0, wrong = 0;

	for (; read_row(f, &r); rows++)
		if (!row_holds(&r)) {
			fprintf(stderr, "# %c of %s: Python has %s\n", r.code, r.input, r.outcome);
			wrong++;
		}
	fclose(f);
	ck_assert_int_eq(wrong, 0);
	ck_assert_int_gt(rows, 1900);
}
END_TEST

/* The judge must find fault with every row that is changed. */
START_TEST(judge_of_the_table_finds_faults)
{
	FILE *f = open_table();
	struct row r;
	int rows = 0;

	for (; read_row(f, &r); rows++) {
		strcpy(r.outcome, strstr(r.outcome, "Error") ? "4711" : !strcmp(r.outcome, "17") ? "18" : "17");
		ck_assert_msg(!row_holds(&r), "%c of %s is %s?", r.code, r.input, r.outcome);
	}
	fclose(f);
	ck_assert_int_gt(rows, 1900);
}
END_TEST

/* ---- the documentation's examples, and questions ------------------------------------------------------- */

/* letter = Value('c', b'A'); letter.value; two letters are a TypeError. */
START_TEST(letter_is_one_letter)
{
	shv_value *letter = made(SHV_VALUE(arena, char, 'A'));

	ck_assert_int_eq(SHV_LOAD(letter, char), 'A');
	assert_refused(shv_set(letter, "AB", 2), EINVAL);
	assert_refused(shv_set_typed(letter, SHV_CHAR, "AB", 2), EINVAL);
	assert_refused(shv_set_slice(letter, 0, 2, "AB", 2), ERANGE);
	assert_refused(shv_chars_set(letter, "AB", 2), EINVAL);
	assert_refused(SHV_STORE(letter, int, 'B'), EINVAL);
	ck_assert_int_eq(SHV_LOAD(letter, char), 'A');
	ck_assert_int_eq(shv_set(letter, "B", 1), 0);
	ck_assert_int_eq(SHV_LOAD(letter, char), 'B');
}
END_TEST

struct point {
	double x, y;
};

static int modify(void *arg)
{
	shv_value **v = arg;
	char text[32];
	size_t n;
	int i;

	/* n.value **= 2; x.value **= 2; s.value = s.value.upper(); for a in A: a.x **= 2; a.y **= 2 */
	NEED(!SHV_STORE(v[0], int, SHV_LOAD(v[0], int) * SHV_LOAD(v[0], int)), "n");
	NEED(!SHV_STORE(v[1], double, SHV_LOAD(v[1], double) * SHV_LOAD(v[1], double)), "x");
	NEED(!shv_chars_get(v[2], text, sizeof(text), &n), "s");
	for (char *c = text; *c; c++)
		*c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
	NEED(!shv_chars_set(v[2], text, n), "s");
	for (i = 0; i < (int)shv_len(v[3]); i++) {
		struct point p;

		NEED(!shv_get_item(v[3], (size_t)i, &p, sizeof(p)), "A");
		p.x *= p.x, p.y *= p.y;
		NEED(!shv_set_item(v[3], (size_t)i, &p, sizeof(p)), "A");
	}
	return 0;
}

/* The example of multiprocessing.sharedctypes: what the child does is seen. */
START_TEST(example_of_the_documentation_gives_what_it_says)
{
	const struct shv_field fields[] = { SHV_FIELD(struct point, x, SHV_DOUBLE), SHV_FIELD(struct point, y, SHV_DOUBLE) };
	const struct point in[3] = { { 1.875, -6.25 }, { -5.75, 2.0 }, { 2.375, 9.5 } };
	const struct point out[3] = { { 3.515625, 39.0625 }, { 33.0625, 4.0 }, { 5.640625, 90.25 } };
	const shv_type *point = made(shv_type_struct("Point", sizeof(struct point), fields, 2));
	shv_lock *lock = made(shv_lock_new(arena, SHV_RECURSIVE));
	shv_value *v[4] = { made(SHV_VALUE(arena, int, 7)), made(SHV_VALUE(arena, double, 1.0 / 3.0, SHV_NONE)),
			    made(shv_array_new(arena, SHV_CHAR, 11, "hello world", SHV_SHARED(lock))),
			    made(shv_array_new(arena, point, 3, in, SHV_SHARED(lock))) };
	double y;

	ck_assert_int_eq(finish(start(modify, v)), 0);
	ck_assert_int_eq(SHV_LOAD(v[0], int), 49);
	ck_assert(SHV_LOAD(v[1], double) == 1.0 / 3.0 * (1.0 / 3.0));
	ck_assert_mem_eq(v[2], "HELLO WORLD", 11);
	ck_assert_mem_eq(v[3], out, sizeof(out));
	assert_ok(shv_field_get(v[3], "[2].y", &y, sizeof(y)));
	ck_assert(y == 90.25);
}
END_TEST

/* arr = Array('i', range(10)); the child: for i in range(len(a)): a[i] = -a[i]; the parent: arr[:] */
static int negate(void *arg)
{
	for (size_t i = 0; i < shv_len(arg); i++) {
		int x;

		NEED(!shv_get_item(arg, i, &x, sizeof(x)), "get");
		x = -x;
		NEED(!shv_set_item(arg, i, &x, sizeof(x)), "set");
	}
	return 0;
}

START_TEST(array_that_a_child_negates)
{
	int numbers[10], seen[10];
	shv_value *a;

	for (int i = 0; i < 10; i++)
		numbers[i] = i;
	a = made(shv_array_new(arena, SHV_INT, 10, numbers, SHV_RECURSIVE));
	ck_assert_int_eq(finish(start(negate, a)), 0);
	assert_ok(shv_get_slice(a, 0, 10, seen, sizeof(seen)));
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(seen[i], -i);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("python");
	TCase *tc = arena_case(suite, "values");

	tcase_add_test(tc, initial_values_are_converted_as_python_does_it);
	tcase_add_test(tc, judge_of_the_table_finds_faults);
	tcase_add_test(tc, letter_is_one_letter);
	tcase_add_test(tc, example_of_the_documentation_gives_what_it_says);
	tcase_add_test(tc, array_that_a_child_negates);
	return run_suite(suite);
}
