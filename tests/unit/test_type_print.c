/* SPDX-License-Identifier: MIT */
/* Content as text. */
#include "support/suite.h"
#include "values/type_private.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <shv/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LITTLE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

struct point {
	double x, y;
};

struct mixed {
	char tag;
	int number;
	struct point at[2];
	char name[12];
	short grid[2][3];
	long double big;
	bool set;
};

/* Valgrind computes with 64 bits where the machine has 80. */
static bool long_double_is_long(void)
{
	volatile long double one = 1, more = one + LDBL_EPSILON;

	return more > one;
}

static const char *printed(const shv_type *t, const void *payload)
{
	static char buf[512];
	ssize_t len = type_print(t, payload, 1, false, buf, sizeof(buf));

	ck_assert_int_eq(len, strlen(buf));
	return buf;
}

static void assert_prints(const char *format, const void *payload, const char *expected)
{
	const shv_type *t = shv_type_parse(format);

	ck_assert_msg(t, "%s", shv_errmsg());
	ck_assert_str_eq(printed(t, payload), expected);
}

START_TEST(content_is_printed)
{
	struct mixed m = { 'A', -1, { { 1, 2.5 }, { 0.1, -0.0 } }, "Hello", { { 1, 2, 3 }, { 4, 5, 6 } }, 0.25L, true };

	assert_prints("b", "\x80", "-128");
	assert_prints("B", "\xff", "255");
	assert_prints("?", "\x07", "true");
	assert_prints("c", "A", "'A'");
	assert_prints("c", "'", "'\\''");
	assert_prints("c", "\"", "'\"'");
	assert_prints("c", "\\", "'\\\\'");
	assert_prints("c", "\n", "'\\n'");
	assert_prints("c", "\0", "'\\x00'");
	assert_prints("c", "\xe9", "'\\xe9'");
	assert_prints("10s", "Hello\0xyz", "\"Hello\"");
	assert_prints("3s", "Hello", "\"Hel\"");
	assert_prints("6s", "a\"\\\t\x1b\x7f", "\"a\\\"\\\\\\t\\x1b\\x7f\"");
	assert_prints("8s", "\xc3\xa9\xe2\x82\xac\xff\xc2\x85", "\"\xc3\xa9\xe2\x82\xac\\xff\\xc2\\x85\"");
	assert_prints("3s", "ab\xc3", "\"ab\\xc3\"");
	assert_prints("(2,3)c", "abc\0ef", "[\"abc\", \"\"]");
	assert_prints("6p", "\003Hello", "\"Hel\"");
	assert_prints("3p", "\xffHello", "\"He\"");
	assert_prints("1p", "\003", "\"\"");
	assert_prints("p", "", "\"\"");
	assert_prints("w", L"\u00e9", "'\xc3\xa9'");
	assert_prints("4w", L"\u20ac\U0001f600\x85", "\"\xe2\x82\xac\xf0\x9f\x98\x80\\u0085\"");
	assert_prints("2w", &(uint32_t[]){ 0xd800, 0xffffffff }, "\"\\ud800\\Uffffffff\"");
	assert_prints("(2,3)h", m.grid, "[[1, 2, 3], [4, 5, 6]]");
	assert_prints("T{(0)i:a:(0)c:s:b:z:T{}:e:}", "\0\0\0\0", "{a=[], s=\"\", z=0, e={}}");
	assert_prints("T{bxb:a:}", "\1\2\3", "{1, a=3}");
	assert_prints(
		"T{c:tag:i:number:(2)T{d:x:d:y:}:at:12s:name:(2,3)h:grid:g:big:?:set:}", &m,
		"{tag='A', number=-1, at=[{x=1, y=2.5}, {x=0.1, y=-0}], name=\"Hello\", grid=[[1, 2, 3], [4, 5, 6]], "
		"big=0.25, set=true}");
	assert_prints("Zd", &(double[]){ 1.5, -2 }, "1.5-2i");
	assert_prints("Zf", &(float[]){ 0.1f, INFINITY }, "0.1+infi");
	assert_prints("Zg", &(long double[]){ 0.25L, NAN }, "0.25+nani");
	if (!LITTLE)
		return;
	assert_prints(">h", "\xff\xfe", "-2");
	assert_prints(">I", "\1\2\3\4", "16909060");
	assert_prints(">Q", "\0\0\0\0\0\0\0\7", "7");
	assert_prints(">f", "\x3f\xc0\0\0", "1.5");
	assert_prints(">2w", "\0\0\0A\0\0\0\0", "\"A\"");
	assert_prints(">Zf", "\x3f\xc0\0\0\xc0\0\0\0", "1.5-2i");
	assert_prints(">e", "\x3c\0", "1");
}
END_TEST

START_TEST(numbers_have_the_digits_that_give_them_back)
{
	static const double doubles[] = { 0.1,          1.0 / 3, 2.0 / 3, 1e22, 1e23, 123456789012345678.0,
					  DBL_TRUE_MIN, DBL_MAX, -0.0,    42,   3.5 };
	static const char *const texts[] = { "0.1",
					     "0.3333333333333333",
					     "0.6666666666666666",
					     "1e+22",
					     "1e+23",
					     "1.2345678901234568e+17",
					     "4.94065645841247e-324",
					     "1.7976931348623157e+308",
					     "-0",
					     "42",
					     "3.5" };

	for (size_t i = 0; i < COUNT(doubles); i++) {
		ck_assert_str_eq(printed(SHV_DOUBLE, &doubles[i]), texts[i]);
		ck_assert_double_eq(strtod(texts[i], NULL), doubles[i]);
	}
	for (uint32_t bits = 0, i = 0; i < 20000; i++, bits += 0x9e3779b9) {
		float f, back;

		memcpy(&f, &bits, sizeof(f));
		if (!isfinite(f))
			continue;
		back = strtof(printed(SHV_FLOAT, &f), NULL);
		ck_assert(!memcmp(&f, &back, sizeof(f)));
	}
	ck_assert_str_eq(printed(SHV_FLOAT, &(float){ 0.1f }), "0.1");
	ck_assert_str_eq(printed(SHV_FLOAT, &(float){ -INFINITY }), "-inf");
	ck_assert_str_eq(printed(SHV_DOUBLE, &(double){ INFINITY }), "inf");
	ck_assert_str_eq(printed(SHV_DOUBLE, &(double){ -NAN }), "nan");
}
END_TEST

START_TEST(long_doubles_have_the_digits_that_give_them_back)
{
	static const long double values[] = { 0.1L, 1.0L / 3, LDBL_MAX, LDBL_MIN, LDBL_TRUE_MIN, 1e4000L, -2.5L };

	if (!long_double_is_long())
		return;
	for (size_t i = 0; i < COUNT(values); i++)
		ck_assert(strtold(printed(SHV_LONGDOUBLE, &values[i]), NULL) == values[i]);
	ck_assert_str_eq(printed(SHV_LONGDOUBLE, &values[0]), "0.1");
	ck_assert_str_eq(printed(SHV_LONGDOUBLE, &(long double){ -INFINITY }), "-inf");
#if LDBL_MANT_DIG == 64
	ck_assert_str_eq(printed(SHV_LONGDOUBLE, &values[1]), "0.33333333333333333334");
	ck_assert_str_eq(printed(SHV_LONGDOUBLE, "\0\0\0\0\0\0\0\x01\xff\x3f\0\0\0\0\0\0"), "nan"); /* no such number */
#endif
}
END_TEST

/* What a half is, the slow way: the nearest of all of them. */
static uint16_t nearest_half(const double *values, double x)
{
	uint16_t best = 0;

	for (uint32_t i = 0; i < 0x7c00; i++) {
		if (fabs(values[i] - x) < fabs(values[best] - x))
			best = (uint16_t)i;
	}
	return best;
}

START_TEST(halves_are_printed_so_that_they_come_back)
{
	static double values[0x7c00];
	const shv_type *half = shv_type_parse("e");

	for (uint32_t i = 0; i < 0x7c00; i++) {
		unsigned exponent = i >> 10;

		values[i] = (exponent ? 1 + (i & 0x3ff) / 1024.0 : (i & 0x3ff) / 1024.0) *
			    ldexp(1, (int)(exponent ? exponent : 1) - 15);
	}
	/* powers of two among them, whose neighbours are not equally far */
	for (uint32_t i = 0; i < 0x7c00; i += i % 1024 == 1014 ? 10 : 13) {
		uint16_t bits = (uint16_t)i;

		ck_assert_uint_eq(nearest_half(values, strtod(printed(half, &bits), NULL)), bits);
	}
	ck_assert_str_eq(printed(half, &(uint16_t){ 0x3c00 }), "1");
	ck_assert_str_eq(printed(half, &(uint16_t){ 0xc000 }), "-2");
	ck_assert_str_eq(printed(half, &(uint16_t){ 0x2e66 }), "0.1");
	ck_assert_str_eq(printed(half, &(uint16_t){ 0x0000 }), "0");
	ck_assert_str_eq(printed(half, &(uint16_t){ 0x8000 }), "-0");
	ck_assert_str_eq(printed(half, &(uint16_t){ 0x7c00 }), "inf");
	ck_assert_str_eq(printed(half, &(uint16_t){ 0xfc00 }), "-inf");
	ck_assert_str_eq(printed(half, &(uint16_t){ 0x7e00 }), "nan");
}
END_TEST

START_TEST(length_is_told_as_snprintf_does)
{
	static const int items[] = { 1, 22, 333 };
	const char whole[] = "[1, 22, 333]";
	char buf[32];

	for (size_t size = 0; size < sizeof(buf); size++) {
		size_t fit = size > sizeof(whole) ? sizeof(whole) - 1 : size ? size - 1 : 0;

		memset(buf, '#', sizeof(buf));
		ck_assert_int_eq(type_print(SHV_INT, items, 3, true, buf, size), sizeof(whole) - 1);
		ck_assert_mem_eq(buf, whole, fit);
		if (size && size < sizeof(whole))
			ck_assert_int_eq(buf[fit], '\0');
		for (size_t i = size; i < sizeof(buf); i++)
			ck_assert_int_eq(buf[i], '#');
	}
	ck_assert_int_eq(type_print(SHV_INT, items, 3, true, NULL, 0), sizeof(whole) - 1);
	ck_assert_int_eq(type_print(SHV_CHAR, "Hello", 5, true, buf, sizeof(buf)), 7);
	ck_assert_str_eq(buf, "\"Hello\"");
	ck_assert_int_eq(type_print(SHV_WCHAR, L"Hi", 2, true, buf, sizeof(buf)), 4);
	ck_assert_str_eq(buf, "\"Hi\"");
	ck_assert_int_eq(type_print(SHV_INT, items, 0, true, buf, sizeof(buf)), 2);
	ck_assert_str_eq(buf, "[]");
	ck_assert_int_eq(type_print(SHV_CHAR, items, 0, true, buf, sizeof(buf)), 2);
	ck_assert_str_eq(buf, "\"\"");
}
END_TEST

/* Printing stops when there is no more room, however much there is to print. */
START_TEST(work_is_bounded_by_the_room)
{
	static const char text[] = "T{b:a:(9000000000000000000)T{}:many:(3000000000,3000000000,0)i:none:}";
	const shv_type *t = shv_type_parse(text);
	static char zeros[1 << 20];
	char buf[100];

	ck_assert_msg(t, "%s", shv_errmsg());
	ck_assert_int_ge(type_print(t, "\1", 1, false, buf, sizeof(buf)), sizeof(buf));
	ck_assert(!strncmp(buf, "{a=1, many=[{}, {}, ", 20));
	ck_assert_uint_eq(strlen(buf), sizeof(buf) - 1);
	ck_assert_int_ge(type_print(SHV_UCHAR, zeros, sizeof(zeros), true, buf, sizeof(buf)), sizeof(buf));
	ck_assert_uint_eq(strlen(buf), sizeof(buf) - 1);
	memset(zeros, 1, sizeof(zeros));
	ck_assert_int_ge(type_print(SHV_CHAR, zeros, sizeof(zeros), true, buf, sizeof(buf)), sizeof(buf));
}
END_TEST

START_TEST(numbers_do_not_follow_the_locale)
{
	static const char *const locales[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "ps_AF.UTF-8" };
	bool any = false;

	for (size_t i = 0; i < COUNT(locales); i++) {
		if (!setlocale(LC_ALL, locales[i]))
			continue;
		any = true;
		ck_assert_str_eq(printed(SHV_DOUBLE, &(double){ -3.5e-20 }), "-3.5e-20");
		ck_assert_str_eq(printed(SHV_LONGDOUBLE, &(long double){ 0.25L }), "0.25");
		ck_assert_str_eq(printed(SHV_FLOAT, &(float){ 1e20f }), "1e+20");
	}
	setlocale(LC_ALL, "C");
	if (!any)
		fprintf(stderr, "# no locale with another decimal point is installed\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type_print");
	TCase *tcase = tcase_create("text");

	tcase_add_test(tcase, content_is_printed);
	tcase_add_test(tcase, numbers_have_the_digits_that_give_them_back);
	tcase_add_test(tcase, long_doubles_have_the_digits_that_give_them_back);
	tcase_add_test(tcase, halves_are_printed_so_that_they_come_back);
	tcase_add_test(tcase, length_is_told_as_snprintf_does);
	tcase_add_test(tcase, work_is_bounded_by_the_room);
	tcase_add_test(tcase, numbers_do_not_follow_the_locale);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
