/* SPDX-License-Identifier: MIT */
/*
 * Types: the basic ones, formats read and written, descriptions of C structures. What CPython says
 * about formats is in test_type_ctypes.c, content as text in test_type_print.c.
 */
#include "support/suite.h"
#include "values/type_private.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <pthread.h>
#include <shv/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LITTLE   (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* ---- basic types ------------------------------------------------------------------------------------------ */

/* The limits of a C type, and how they are printed. */
#define LIMITS(T, low, low_text, high, high_text) &(const T){ low }, low_text, &(const T){ high }, high_text

static const struct basic {
	const char *codes; /* of shv_typecode(), the first is canonical; "" if only formats have it */
	const char *format, *name;
	const shv_type *type;
	size_t size, align;
	int id;
	enum type_class class_;
	const void *low;
	const char *low_text;
	const void *high;
	const char *high_text;
} basics[] = {
	{ "c", "c", "char", SHV_CHAR, 1, 1, 1, TYPE_CHAR, LIMITS(char, 'A', "'A'", '\xff', "'\\xff'") },
	{ "b", "b", "signed char", SHV_SCHAR, 1, 1, 2, TYPE_SIGNED, LIMITS(signed char, SCHAR_MIN, "-128", SCHAR_MAX, "127") },
	{ "B", "B", "unsigned char", SHV_UCHAR, 1, 1, 3, TYPE_UNSIGNED, LIMITS(unsigned char, 0, "0", UCHAR_MAX, "255") },
	{ "wu", "w", "wchar_t", SHV_WCHAR, sizeof(wchar_t), _Alignof(wchar_t), 4, TYPE_WCHAR,
	  LIMITS(wchar_t, L'A', "'A'", 0x10ffff, "'\xf4\x8f\xbf\xbf'") },
	{ "?", "?", "bool", SHV_BOOL, 1, 1, 5, TYPE_BOOL, LIMITS(bool, false, "false", true, "true") },
	{ "h", "h", "short", SHV_SHORT, sizeof(short), _Alignof(short), 6, TYPE_SIGNED,
	  LIMITS(short, SHRT_MIN, "-32768", SHRT_MAX, "32767") },
	{ "H", "H", "unsigned short", SHV_USHORT, sizeof(short), _Alignof(short), 7, TYPE_UNSIGNED,
	  LIMITS(unsigned short, 0, "0", USHRT_MAX, "65535") },
	{ "i", "i", "int", SHV_INT, sizeof(int), _Alignof(int), 8, TYPE_SIGNED,
	  LIMITS(int, INT_MIN, "-2147483648", INT_MAX, "2147483647") },
	{ "I", "I", "unsigned int", SHV_UINT, sizeof(int), _Alignof(int), 9, TYPE_UNSIGNED,
	  LIMITS(unsigned, 0, "0", UINT_MAX, "4294967295") },
#if defined(__LP64__)
	{ "l", "l", "long", SHV_LONG, sizeof(long), _Alignof(long), 10, TYPE_SIGNED,
	  LIMITS(long, LONG_MIN, "-9223372036854775808", LONG_MAX, "9223372036854775807") },
	{ "L", "L", "unsigned long", SHV_ULONG, sizeof(long), _Alignof(long), 11, TYPE_UNSIGNED,
	  LIMITS(unsigned long, 0, "0", ULONG_MAX, "18446744073709551615") },
#endif
	{ "q", "q", "long long", SHV_LONGLONG, sizeof(long long), _Alignof(long long), 12, TYPE_SIGNED,
	  LIMITS(long long, LLONG_MIN, "-9223372036854775808", LLONG_MAX, "9223372036854775807") },
	{ "Q", "Q", "unsigned long long", SHV_ULONGLONG, sizeof(long long), _Alignof(long long), 13, TYPE_UNSIGNED,
	  LIMITS(unsigned long long, 0, "0", ULLONG_MAX, "18446744073709551615") },
	{ "f", "f", "float", SHV_FLOAT, sizeof(float), _Alignof(float), 14, TYPE_FLOAT,
	  LIMITS(float, -FLT_MAX, "-3.4028235e+38", FLT_MIN, "1.1754944e-38") },
	{ "d", "d", "double", SHV_DOUBLE, sizeof(double), _Alignof(double), 15, TYPE_FLOAT,
	  LIMITS(double, -DBL_MAX, "-1.7976931348623157e+308", DBL_MIN, "2.2250738585072014e-308") },
	{ "g", "g", "long double", SHV_LONGDOUBLE, sizeof(long double), _Alignof(long double), 16, TYPE_FLOAT,
	  LIMITS(long double, -0.25L, "-0.25", 1.5L, "1.5") },
	{ "", "e", "half", NULL, 2, 2, 17, TYPE_OTHER, LIMITS(uint16_t, 0xfbff, "-6.55e+04", 0x0400, "6.104e-05") },
	{ "", "Zf", "float complex", NULL, 2 * sizeof(float), _Alignof(float), 18, TYPE_OTHER,
	  LIMITS(float _Complex, 0, "0+0i", -1, "-1+0i") },
	{ "", "Zd", "double complex", NULL, 2 * sizeof(double), _Alignof(double), 19, TYPE_OTHER,
	  LIMITS(double _Complex, 0, "0+0i", -1, "-1+0i") },
	{ "", "Zg", "long double complex", NULL, 2 * sizeof(long double), _Alignof(long double), 20, TYPE_OTHER,
	  LIMITS(long double _Complex, 0, "0+0i", -1, "-1+0i") },
};

static const char *printed(const shv_type *t, const void *payload)
{
	static char buf[512];
	ssize_t len = type_print(t, payload, 1, false, buf, sizeof(buf));

	ck_assert_int_eq(len, strlen(buf));
	return buf;
}

START_TEST(basic_type_is_what_c_says)
{
	const struct basic *b = &basics[_i];
	const shv_type *t = b->type ? b->type : shv_type_parse(b->format);

	ck_assert_ptr_nonnull(t);
	ck_assert_ptr_eq(shv_type_parse(b->format), t);
	ck_assert_str_eq(shv_type_format(t), b->format);
	ck_assert_str_eq(shv_type_name(t), b->name);
	ck_assert_uint_eq(shv_type_size(t), b->size);
	ck_assert_uint_eq(shv_type_align(t), b->align);
	ck_assert_int_eq(type_class(t), b->class_);
	ck_assert_int_eq(t->id, b->id);
	ck_assert_ptr_eq(type_basic((uint32_t)b->id), t);
	ck_assert_ptr_eq(type_lookup(b->format, NULL), t);
	for (const char *c = b->codes; *c; c++)
		ck_assert_ptr_eq(shv_typecode(*c), t);
	ck_assert_str_eq(printed(t, b->low), b->low_text);
	ck_assert_str_eq(printed(t, b->high), b->high_text);
}
END_TEST

START_TEST(typecodes_that_python_does_not_have_are_refused)
{
	for (int c = 0; c < 256; c++) {
		if (c && strchr("cbBuwhHiIlLqQfdg?", c))
			continue;
		errno = 0;
		ck_assert_ptr_null(shv_typecode((char)c));
		ck_assert_int_eq(errno, EINVAL);
		ck_assert_ptr_nonnull(strstr(shv_errmsg(), "shv_typecode: c is"));
	}
	ck_assert_ptr_null(type_basic(0));
	ck_assert_ptr_null(type_basic(TYPE_ID_END));
	ck_assert_ptr_null(type_basic(UINT32_MAX));
}
END_TEST

START_TEST(null_is_no_type)
{
	errno = 0;
	ck_assert_uint_eq(shv_type_size(NULL), 0);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(shv_type_align(NULL), 0);
	ck_assert_ptr_null(shv_type_format(NULL));
	ck_assert_ptr_null(shv_type_name(NULL));
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "shv_type_name: t is NULL"));
	errno = 0;
	ck_assert_ptr_null(shv_type_parse(NULL));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(exact_width_names_have_their_width)
{
	ck_assert_uint_eq(shv_type_size(SHV_INT8), 1);
	ck_assert_uint_eq(shv_type_size(SHV_UINT16), 2);
	ck_assert_uint_eq(shv_type_size(SHV_INT32), 4);
	ck_assert_uint_eq(shv_type_size(SHV_UINT64), 8);
	ck_assert_uint_eq(shv_type_size(SHV_SIZE), sizeof(size_t));
	ck_assert_ptr_eq(SHV_TYPE_OF(uint64_t), SHV_UINT64);
	ck_assert_ptr_eq(SHV_TYPE_OF(size_t), SHV_SIZE);
	ck_assert_ptr_eq(SHV_TYPE_OF(char), SHV_CHAR);
}
END_TEST

/* ---- formats ---------------------------------------------------------------------------------------------- */

/*
 * little: of machines with this byte order only; offsets are not told, for the canonical text tells
 * them.
 */
static const struct format {
	const char *text, *canonical;
	size_t size, align;
	bool little;
} formats[] = {
	{ "i", "i", 4, 4, false },
	{ "@i", "i", 4, 4, false },
	{ " \t\n i \r", "i", 4, 4, false },
	{ "=i", "i", 4, 4, false },
	{ "^i", "i", 4, 4, false },
	{ "<i", "i", 4, 4, true },
	{ ">i", ">i", 4, 4, true },
	{ "!i", ">i", 4, 4, true },
	{ "< i", "i", 4, 4, true },
	{ ">b", "b", 1, 1, false },
	{ ">?", "?", 1, 1, false },
	{ "!c", "c", 1, 1, false },
	{ "=l", "i", 4, 4, false },
	{ "=L", "I", 4, 4, false },
	{ "^l", "l", sizeof(long), _Alignof(long), false },
	{ "n", "l", sizeof(long), _Alignof(long), false },
	{ "N", "L", sizeof(long), _Alignof(long), false },
	{ "u", "w", 4, 4, false },
	{ ">w", ">w", 4, 4, true },
	{ ">e", ">e", 2, 2, true },
	{ ">Zd", ">Zd", 16, 8, true },
	{ "=g", "g", sizeof(long double), _Alignof(long double), false },
	{ "1i", "(1)i", 4, 4, false },
	{ "3i", "(3)i", 12, 4, false },
	{ "(3)i", "(3)i", 12, 4, false },
	{ "( 2 ,3)d", "(2,3)d", 48, 8, false },
	{ "(2)3d", "(2,3)d", 48, 8, false },
	{ "(2)>3h", "(2,3)>h", 12, 2, true },
	{ ">(2)3h", "(2,3)>h", 12, 2, true },
	{ "<(2)>3h", "(2,3)>h", 12, 2, true },
	{ "s", "(1)c", 1, 1, false },
	{ "10s", "(10)c", 10, 1, false },
	{ "(2)10s", "(2,10)c", 20, 1, false },
	{ "p", "1p", 1, 1, false },
	{ "10p", "10p", 10, 1, false },
	{ "(2)10p", "(2)10p", 20, 1, false },
	{ "x", "T{x}", 1, 1, false },
	{ "3x", "T{3x}", 3, 1, false },
	{ "(2)3x", "T{6x}", 6, 1, false },
	{ "3x:pad:", "T{(3)B:pad:}", 3, 1, false },
	{ "ii", "T{ii}", 8, 4, false },
	{ "i:a:", "T{i:a:}", 4, 4, false },
	{ "bi", "T{b3xi}", 8, 4, false },
	{ "=bi", "^T{bi}", 5, 1, false },
	{ "ib", "^T{ib}", 5, 1, false },
	{ "ib0i", "T{ib3x(0)i}", 8, 4, false },
	{ "T{ib}", "T{ib3x}", 8, 4, false },
	{ "^T{ib}", "^T{ib}", 5, 1, false },
	{ "T{^ib}", "^T{ib}", 5, 1, false },
	{ "T{i^b}", "^T{ib}", 5, 1, false },
	{ "T{d:x:d:y:}", "T{d:x:d:y:}", 16, 8, false },
	{ " T{ d :x: d:y: } ", "T{d:x:d:y:}", 16, 8, false },
	{ "T{b:a:i:b:}", "T{b:a:3xi:b:}", 8, 4, false },
	{ "T{b:a:^i:b:@h:c:}", "^T{b:a:i:b:xh:c:}", 8, 1, false },
	{ "T{b:a:T{d:d:}:t:}", "T{b:a:7xT{d:d:}:t:}", 16, 8, false },
	{ "T{(2,2)T{ib}:m:c}", "T{(2,2)T{ib3x}:m:c3x}", 36, 4, false },
	{ "2T{i}", "(2)T{i}", 8, 4, false },
	{ "T{T{}:e:i}", "T{T{}:e:i}", 4, 4, false },
	{ "T{i(0)d:tail:}", "T{i4x(0)d:tail:}", 8, 8, false },
	{ "T{>h:a:2xi:b:}", "T{>h:a:2xi:b:}", 8, 4, true },
	{ "T{h:a:>h:b:@h:c:}", "T{h:a:>h:b:@h:c:}", 6, 2, true },
	{ "T{b>i@i}", "^T{b>i3x^i}", 12, 1, true },
	{ ">T{h:a:}i", "^T{T{>h:a:}i}", 6, 1, true },
	/* as ctypes writes: a mark before each code, no padding */
	{ "T{<b:a:<d:b:}", "T{b:a:7xd:b:}", 16, 8, true },
	{ "T{<d:a:<b:b:}", "T{d:a:b:b:7x}", 16, 8, true },
	{ "T{>h:a:>i:b:}", "T{>h:a:2xi:b:}", 8, 4, true },
	{ "T{<b:a:(2)<d:b:}", "T{b:a:7x(2)d:b:}", 24, 8, true },
	{ "T{<b:a:T{<b:a:<d:b:}:t:}", "T{b:a:7xT{b:a:7xd:b:}:t:}", 24, 8, true },
	{ "T{<i:a:4x<d:b:}", "T{i:a:4xd:b:}", 16, 8, true },
	/* not as ctypes writes */
	{ "T{<b:a:d:b:}", "^T{b:a:d:b:}", 9, 1, true },
	{ "<T{b:a:d:b:}", "^T{b:a:d:b:}", 9, 1, true },
	{ "T{<b:a:<1d:b:}", "^T{b:a:(1)d:b:}", 9, 1, true },
	{ "T{<b:a:< d:b:}", "^T{b:a:d:b:}", 9, 1, true },
	{ "T{<b:a:(1)< d:b:}", "^T{b:a:(1)d:b:}", 9, 1, true },
	{ "T{=b:a:=d:b:}", "^T{b:a:d:b:}", 9, 1, true },
	{ "T{<b:a:<T{<d:a:}:b:}", "^T{b:a:T{d:a:}:b:}", 9, 1, true },
	{ "T{<b:a:x<d:b:}", "^T{b:a:xd:b:}", 10, 1, true },
	{ "<T{<b:a:<d:b:}", "^T{b:a:d:b:}", 9, 1, true },
	{ "1T{<b:a:<d:b:}", "(1)^T{b:a:d:b:}", 9, 1, true },
	{ "^T{T{x}>i}", "^T{T{x}>i}", 5, 1, true },
	{ "T{>iT{<b:a:d:b:}}", "^T{>i^T{b:a:d:b:}}", 13, 1, true },
	{ "^T{h^T{T{x}>i}}", "^T{h^T{T{x}>i}}", 7, 1, true },
	{ "^T{hT{T{}>i}}", "^T{hT{T{}>i}}", 6, 1, true },
	{ "T{i:\xc3\xa9t\xc3\xa9:}", "T{i:\xc3\xa9t\xc3\xa9:}", 4, 4, false },
	{ "T{i:a b.c[0]:}", "T{i:a b.c[0]:}", 4, 4, false },
};

/* Reading the text of a type gives the type: the same descriptor. */
static void assert_round_trip(const shv_type *t)
{
	ck_assert_ptr_nonnull(t);
	ck_assert_msg(shv_type_parse(shv_type_format(t)) == t, "%s", shv_type_format(t));
}

START_TEST(format_has_a_canonical_text)
{
	const struct format *f = &formats[_i];
	const shv_type *t;

	if (f->little && !LITTLE)
		return;
	t = shv_type_parse(f->text);
	ck_assert_msg(t, "%s: %s", f->text, shv_errmsg());
	ck_assert_str_eq(shv_type_format(t), f->canonical);
	ck_assert_str_eq(shv_type_name(t), t->id ? type_basic(t->id)->name : f->canonical);
	ck_assert_uint_eq(shv_type_size(t), f->size);
	ck_assert_uint_eq(shv_type_align(t), f->align);
	ck_assert_ptr_eq(shv_type_parse(f->text), t);
	ck_assert_ptr_eq(type_lookup(f->canonical, ""), t);
	assert_round_trip(t);
}
END_TEST

/* errno 0: must be read. */
static void assert_malformed(const char *text, int code, size_t position)
{
	const shv_type *t;
	char where[64];

	snprintf(where, sizeof(where), "shv_type_parse: pep3118, position %zu: ", position);
	errno = 0;
	t = shv_type_parse(text);
	ck_assert_msg(!t, "'%s' is read as %s", text, t ? shv_type_format(t) : "");
	ck_assert_msg(errno == code, "'%s': errno %d", text, errno);
	ck_assert_msg(!strncmp(shv_errmsg(), where, strlen(where)), "'%s': %s, expected position %zu", text,
		      shv_errmsg(), position);
}

static const struct malformed {
	const char *text;
	size_t position;
	int code;
} malformeds[] = {
	{ "", 0, EINVAL },
	{ "  ", 2, EINVAL },
	{ "@", 1, EINVAL },
	{ "i<", 2, EINVAL },
	{ "<<i", 1, EINVAL },
	{ "@=i", 1, EINVAL },
	{ "3", 1, EINVAL },
	{ "3 i", 1, EINVAL },
	{ "33", 2, EINVAL },
	{ "-3i", 0, EINVAL },
	{ "3(2)i", 1, EINVAL },
	{ "(3", 2, EINVAL },
	{ "(3i", 2, EINVAL },
	{ "()i", 1, EINVAL },
	{ "(,)i", 1, EINVAL },
	{ "(3,)i", 3, EINVAL },
	{ "(3,,3)i", 3, EINVAL },
	{ "(-1)i", 1, EINVAL },
	{ "(3 3)i", 3, EINVAL },
	{ "(3)(3)i", 3, EINVAL },
	{ "(3)", 3, EINVAL },
	{ "(3)>", 4, EINVAL },
	{ ")", 0, EINVAL },
	{ "i)", 1, EINVAL },
	{ "(0)i", 4, EINVAL },
	{ "0i", 2, EINVAL },
	{ "0s", 2, EINVAL },
	{ "0p", 2, EINVAL },
	{ "0x", 2, EINVAL },
	{ "T{}", 3, EINVAL },
	{ "5T{}", 4, EINVAL },
	{ "T{T{}}", 6, EINVAL },
	{ "T", 1, EINVAL },
	{ "Ti", 1, EINVAL },
	{ "T {i}", 1, EINVAL },
	{ "T{", 2, EINVAL },
	{ "T{i", 3, EINVAL },
	{ "T{i:a:", 6, EINVAL },
	{ "T{T{i}", 6, EINVAL },
	{ "T{i}}", 4, EINVAL },
	{ "}", 0, EINVAL },
	{ "{i}", 0, EINVAL },
	{ "T{<}", 3, EINVAL },
	{ "T{3}", 3, EINVAL },
	{ "T{i:a}", 3, EINVAL },
	{ "T{i:a:b:}", 7, EINVAL },
	{ "T{i::}", 4, EINVAL },
	{ "T{:a:i}", 2, EINVAL },
	{ "i:", 1, EINVAL },
	{ "i:a", 1, EINVAL },
	{ "i::", 2, EINVAL },
	{ ":a:i", 0, EINVAL },
	{ "i:a\n:", 2, EINVAL },
	{ "i:\x7f:", 2, EINVAL },
	{ "i:\xc2\x85:", 2, EINVAL },
	{ "i:\xc3:", 2, EINVAL },
	{ "i:\xc0\x80:", 2, EINVAL },
	{ "i:\xe0\x81\x81:", 2, EINVAL },
	{ "i:\xf0\x82\x82\xac:", 2, EINVAL },
	{ "i:\xed\xa0\x80:", 2, EINVAL },
	{ "i:\xf4\x90\x80\x80:", 2, EINVAL },
	{ "i:\xff:", 2, EINVAL },
	{ "T{i:a:i:a:}", 8, EINVAL },
	{ "T{i:b:i:a:i:c:i:b:i:a:}", 16, EINVAL },
	{ "T{i:a:i:b:i:c:i:a:i:b:}", 16, EINVAL },
	{ "T{i:a:T{i:b:i:b:}:c:}", 14, EINVAL },
	{ "i:a:i:a:", 6, EINVAL },
	{ "<n", 1, EINVAL },
	{ "=N", 1, EINVAL },
	{ "!3n", 2, EINVAL },
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	{ ">g", 1, EINVAL },
	{ "!Zg", 1, EINVAL },
#else
	{ "<g", 1, EINVAL },
	{ "<Zg", 1, EINVAL },
#endif
	{ ">Zi", 1, EINVAL },
	{ "Zq", 0, EINVAL },
	{ "&i", 0, EINVAL },
	{ "&<i", 0, EINVAL },
	{ "X{}", 0, EINVAL },
	{ "X{i->d}", 0, EINVAL },
	{ "T{<i:a:&<i:p:}", 7, EINVAL },
	{ "T{i:a:3P:p:}", 7, EINVAL },
	{ "3t", 1, EINVAL },
	{ "T{t:a:7t:b:}", 2, EINVAL },
	{ "99999999999999999999i", 0, EOVERFLOW },
	{ "i(99999999999999999999)i", 2, EOVERFLOW },
	{ "(2,99999999999999999999)i", 3, EOVERFLOW },
	{ "9223372036854775808x", 0, EOVERFLOW },
	{ "9223372036854775807h", 19, EOVERFLOW },
	{ "(9223372036854775807)h", 21, EOVERFLOW },
	{ "(4294967296,4294967296)b", 23, EOVERFLOW },
	{ "(4294967296,4294967296)x", 23, EOVERFLOW },
	{ "(4294967296,4294967296)T{b}", 23, EOVERFLOW },
	{ "9223372036854775807b2b", 21, EOVERFLOW },
	{ "9223372036854775807xb", 20, EOVERFLOW },
	{ "T{9223372036854775807bi}", 22, EOVERFLOW },
	{ "T{i9223372036854775802b}", 23, EOVERFLOW },
	{ "T{d9223372036854775798xb}", 24, EOVERFLOW },
	{ "9223372036854775807p2p", 21, EOVERFLOW },
};

START_TEST(malformed_format_is_refused_with_the_position)
{
	const struct malformed *m = &malformeds[_i];

	assert_malformed(m->text, m->code, m->position);
}
END_TEST

START_TEST(malformed_last_code_is_found_in_every_context)
{
	static const char *const contexts[] = { "",      "i",     "T{",       "T{i:a:",  "<",  "T{T{d:x:}:a:", "(2,3)",
						"(2)>",  "12",    "T{<b:a:",  "i:a:",    "^",  "  ",           "(2)T{",
						"T{(2)", "T{i 3", "T{b:a:>i", "T{3x^2" };
	unsigned tried = 0;

	for (size_t i = 0; i < COUNT(contexts); i++) {
		for (int c = 1; c < 256; c++) {
			char text[32];
			int len = snprintf(text, sizeof(text), "%s%c", contexts[i], c);
			/*
			 * what may begin or go on there, and white space, which may not stand
			 * behind a count
			 */
			bool may = strchr("cbB?hHiIlLqQnNefdguwspx@=<>!^(0123456789:T}", c) ||
				   (c >= '\t' && c <= '\r') || c == ' ';

			if (may)
				continue;
			assert_malformed(text, EINVAL, (size_t)len - 1);
			tried++;
		}
	}
	ck_assert_uint_gt(tried, 3000);
}
END_TEST

START_TEST(pointers_are_refused_with_the_reason)
{
	static const char pointers[] = "PXOzZ&";

	for (const char *c = pointers; *c; c++) {
		char text[] = "T{i:a:<?:p:}";

		text[7] = *c;
		assert_malformed(text, EINVAL, 7);
		ck_assert_ptr_nonnull(strstr(shv_errmsg(), "an address means nothing in another process"));
	}
}
END_TEST

START_TEST(every_beginning_of_a_format_is_read_or_refused)
{
	static const char whole[] = "T{<c:a:T{<i:a:4x<d:b:}:p:(3,2)T{>3h:x:}:arr:^(4)10p:l:@Zd:z: 3x:pad: 10s:t:}";
	char text[sizeof(whole)];

	ck_assert_ptr_nonnull(shv_type_parse(whole));
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		memcpy(text, whole, n);
		text[n] = '\0';
		errno = 0;
		ck_assert_ptr_null(shv_type_parse(text));
		ck_assert_int_eq(errno, EINVAL);
		ck_assert_ptr_nonnull(strstr(shv_errmsg(), "position "));
	}
}
END_TEST

START_TEST(changed_formats_are_read_or_refused)
{
	static const char whole[] = "T{<c:a:T{<i:a:4x<d:b:}:p:(3,2)T{>3h:x:}:arr:^(4)10p:l:@Zd:z: 3x:pad: 10s:t:}";
	char text[sizeof(whole)];

	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		for (int c = 1; c < 256; c++) {
			const shv_type *t;

			memcpy(text, whole, sizeof(whole));
			text[n] = (char)c;
			errno = 0;
			t = shv_type_parse(text);
			if (t)
				assert_round_trip(t);
			else
				ck_assert(errno == EINVAL || errno == EOVERFLOW);
		}
	}
}
END_TEST

static unsigned pick(uint64_t *seed, unsigned n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(*seed >> 33) % n;
}

/* An item of a random format: mostly well-formed, in all combinations of what may stand there. */
static char *random_item(char *p, uint64_t *seed, unsigned depth)
{
	static const char modes[] = "@=<>!^<><>", codes[] = "cbB?hHiIlLqQefduwspxxnN";

	if (!pick(seed, 3))
		*p++ = modes[pick(seed, sizeof(modes) - 1)];
	if (!pick(seed, 5))
		p += sprintf(p, pick(seed, 3) ? "(%u)" : "(%u,2)", pick(seed, 4));
	if (!pick(seed, 3))
		*p++ = modes[pick(seed, sizeof(modes) - 1)];
	if (!pick(seed, 8))
		p += sprintf(p, "%u", pick(seed, 4));
	if (depth < 4 && !pick(seed, 4)) {
		p = stpcpy(p, "T{");
		for (unsigned n = pick(seed, 5); n; n--)
			p = random_item(p, seed, depth + 1);
		*p++ = '}';
	} else if (!pick(seed, 6)) {
		p = stpcpy(p, pick(seed, 2) ? "Zf" : "Zd");
	} else {
		*p++ = codes[pick(seed, sizeof(codes) - 1)];
	}
	if (!pick(seed, 3))
		p += sprintf(p, ":m%u:", pick(seed, 1000000));
	return p;
}

/* The type and all that it is made of. */
static void assert_parts_round_trip(const struct shv_type *t)
{
	if (t->size)
		assert_round_trip(t);
	if (t->kind == TYPE_ARRAY)
		assert_parts_round_trip(t->item);
	for (size_t i = 0; t->kind == TYPE_STRUCT && i < t->count; i++)
		assert_parts_round_trip(t->fields[i].type);
}

START_TEST(random_formats_and_their_parts_round_trip)
{
	static char text[1 << 16];
	uint64_t seed = 20240229;
	unsigned read = 0, n = 10000;

	for (unsigned i = 0; i < n; i++) {
		char *p = text;
		const shv_type *t;

		for (unsigned items = 1 + pick(&seed, 3); items; items--)
			p = random_item(p, &seed, 0);
		*p = '\0';
		t = shv_type_parse(text);
		if (t)
			assert_parts_round_trip(t);
		read += t != NULL;
	}
	ck_assert_uint_gt(read, n / 4);
}
END_TEST

/* n times open, then middle, then n times close. */
static char *nested(const char *open, unsigned n, const char *middle, const char *close)
{
	char *text = malloc(n * (strlen(open) + strlen(close)) + strlen(middle) + 1), *p = text;

	ck_assert_ptr_nonnull(text);
	for (unsigned i = 0; i < n; i++)
		p = stpcpy(p, open);
	p = stpcpy(p, middle);
	for (unsigned i = 0; i < n; i++)
		p = stpcpy(p, close);
	return text;
}

START_TEST(nesting_has_a_limit)
{
	char *text = nested("T{b", TYPE_MAX_DEPTH, "i", "}");
	struct shv_field f = { 0, "f", NULL, 0, 0 };
	const shv_type *t = shv_type_parse(text);

	ck_assert_msg(t, "%s", shv_errmsg());
	assert_round_trip(t);
	f.type = t;
	f.extent = t->size;
	errno = 0;
	ck_assert_ptr_null(shv_type_struct(NULL, f.extent, &f, 1));
	ck_assert_int_eq(errno, EINVAL);
	free(text);

	/* side by side there may be any number */
	text = nested("T{i}", 3 * TYPE_MAX_DEPTH, "", "");
	assert_round_trip(shv_type_parse(text));
	free(text);

	text = nested("T{b", TYPE_MAX_DEPTH + 1, "i", "}");
	assert_malformed(text, EINVAL, 3 * TYPE_MAX_DEPTH);
	free(text);
	text = nested("T{", 100000, "i", "}");
	assert_malformed(text, EINVAL, 2 * TYPE_MAX_DEPTH);
	free(text);
	/* several items at the top are one more structure */
	text = nested("T{", TYPE_MAX_DEPTH, "i", "}");
	text = realloc(text, strlen(text) + 2);
	ck_assert_ptr_nonnull(text);
	strcat(text, "i");
	assert_malformed(text, EINVAL, 0);
	free(text);
}
END_TEST

START_TEST(dimensions_have_a_limit)
{
	char *text = nested("1,", TYPE_MAX_DIMS - 1, "1)i", ""), *shape;
	struct shv_field f = { 0, "f", NULL, 0, 8 };

	ck_assert_int_gt(asprintf(&shape, "(%s", text), 0);
	f.type = shv_type_parse(shape);
	assert_round_trip(f.type);
	ck_assert_ptr_null(shv_type_struct(NULL, 8, &f, 1)); /* twice that is one more */
	f.extent = 4;
	assert_round_trip(shv_type_struct(NULL, 4, &f, 1));
	free(shape);
	ck_assert_int_gt(asprintf(&shape, "(1,%s", text), 0);
	assert_malformed(shape, EINVAL, 2 * TYPE_MAX_DIMS + 1);
	free(shape);
	/* a count is a dimension too */
	text[strlen(text) - 1] = '\0';
	ck_assert_int_gt(asprintf(&shape, "(%s2i", text), 0);
	assert_malformed(shape, EINVAL, 2 * TYPE_MAX_DIMS + 2);
	free(shape);
	free(text);
}
END_TEST

START_TEST(names_have_a_limit)
{
	char name[TYPE_MAX_NAME + 2], *text;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_gt(asprintf(&text, "T{i:%s:}", name), 0);
	assert_malformed(text, EINVAL, 4);
	free(text);
	name[TYPE_MAX_NAME] = '\0';
	ck_assert_int_gt(asprintf(&text, "T{i:%s:}", name), 0);
	assert_round_trip(shv_type_parse(text));
	free(text);
}
END_TEST

/* A program can only be slow over a text as long as it likes; one from an arena can be 16 MiB. */
START_TEST(very_many_members_are_read_in_time)
{
	size_t n = 200000, at = 2;
	char *text = malloc(n * 16 + 16);
	const shv_type *t;

	ck_assert_ptr_nonnull(text);
	memcpy(text, "T{", 2);
	for (size_t i = 0; i < n; i++)
		at += (size_t)sprintf(text + at, "b:m%zu:", i);
	memcpy(text + at, "}", 2);
	t = shv_type_parse(text);
	ck_assert_msg(t, "%s", shv_errmsg());
	ck_assert_uint_eq(t->size, n);
	ck_assert_ptr_eq(type_lookup(text, NULL), t);
	memcpy(text + at, "b:m1:}", 7);
	assert_malformed(text, EINVAL, at + 2);
	free(text);
}
END_TEST

/* ---- C structures ----------------------------------------------------------------------------------------- */

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

START_TEST(structure_is_described_by_its_members)
{
	const struct shv_field in_point[] = { SHV_FIELD(struct point, x, SHV_DOUBLE),
					      SHV_FIELD(struct point, y, SHV_DOUBLE) };
	const shv_type *point = shv_type_struct("struct point", sizeof(struct point), in_point, 2);
	const struct shv_field in_mixed[] = {
		SHV_FIELD(struct mixed, tag, SHV_CHAR),   SHV_FIELD(struct mixed, number, SHV_INT),
		SHV_FIELD(struct mixed, at, point),       SHV_FIELD(struct mixed, name, SHV_CHAR),
		SHV_FIELD(struct mixed, grid, SHV_SHORT), SHV_FIELD(struct mixed, big, SHV_LONGDOUBLE),
		SHV_FIELD(struct mixed, set, SHV_BOOL),
	};
	const shv_type *t = shv_type_struct(NULL, sizeof(struct mixed), in_mixed, COUNT(in_mixed));
	const struct shv_field in_line = { 0, "only", point, 0, sizeof(struct point) };
	const struct type_field *f;

	ck_assert_msg(point, "%s", shv_errmsg());
	ck_assert_str_eq(shv_type_name(point), "struct point");
	ck_assert_str_eq(shv_type_format(point), "T{d:x:d:y:}");
	ck_assert_uint_eq(shv_type_align(point), _Alignof(struct point));
	ck_assert_ptr_eq(shv_type_struct("struct point", sizeof(struct point), in_point, 2), point);
	ck_assert_ptr_eq(point->plain, shv_type_parse("T{d:x:d:y:}"));
	ck_assert(type_same(point, point->plain));
	ck_assert_ptr_ne(shv_type_struct("point", sizeof(struct point), in_point, 2), point);
	ck_assert_ptr_eq(shv_type_struct(NULL, sizeof(struct point), in_point, 2), point->plain);
	ck_assert_ptr_eq(type_lookup("T{d:x:d:y:}", "struct point"), point);

	ck_assert_msg(t, "%s", shv_errmsg());
	ck_assert_uint_eq(shv_type_size(t), sizeof(struct mixed));
	ck_assert_uint_eq(shv_type_align(t), _Alignof(struct mixed));
	ck_assert_str_eq(shv_type_name(t), shv_type_format(t));
	assert_round_trip(t);
#if defined(__x86_64__)
	ck_assert_str_eq(shv_type_format(t),
			 "T{c:tag:3xi:number:(2)T{d:x:d:y:}:at:(12)c:name:(6)h:grid:g:big:?:set:15x}");
#endif
	f = type_field_find(t, "grid.x", 4);
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(f->offset, offsetof(struct mixed, grid));
	ck_assert_ptr_eq(f->type, shv_type_parse("(6)h"));
	/* the text of the whole does not tell names of types, so the parts have none */
	ck_assert_ptr_eq(type_field_find(t, "at", 2)->type->item, point->plain);
	ck_assert_ptr_eq(type_field_find(shv_type_struct(NULL, 16, &in_line, 1), "only", 4)->type, point->plain);
	ck_assert_ptr_null(type_field_find(t, "gri", 3));
	ck_assert_ptr_null(type_field_find(t, "grids", 5));
	ck_assert_ptr_null(type_field_find(SHV_INT, "x", 1));
}
END_TEST

START_TEST(alignment_beyond_the_members_is_padding)
{
	struct apart {
		_Alignas(64) int a;
		_Alignas(64) int b;
	};
	const struct shv_field in[] = { SHV_FIELD(struct apart, a, SHV_INT), SHV_FIELD(struct apart, b, SHV_INT) };
	const shv_type *t = shv_type_struct(NULL, sizeof(struct apart), in, 2);

	ck_assert_msg(t, "%s", shv_errmsg());
	ck_assert_str_eq(shv_type_format(t), "T{i:a:60xi:b:60x}");
	assert_round_trip(t);
}
END_TEST

static void assert_no_struct(const char *name, size_t size, const struct shv_field *f, size_t n, int code,
			     const char *what)
{
	errno = 0;
	ck_assert_msg(!shv_type_struct(name, size, f, n), "%s", what);
	ck_assert_msg(errno == code, "%s: errno %d", what, errno);
	ck_assert_msg(!strncmp(shv_errmsg(), "shv_type_struct: ", 17) && strstr(shv_errmsg(), what), "expected %s: %s",
		      what, shv_errmsg());
}

START_TEST(wrong_descriptions_are_refused_and_name_the_field)
{
	static const struct {
		struct shv_field f[3];
		size_t size;
		int code;
		const char *what;
	} wrong[] = {
		{ { { 0, NULL, SHV_INT, 0, 4 } }, 4, EINVAL, "fields[0].name is NULL" },
		{ { { 0, "", SHV_INT, 0, 4 } }, 4, EINVAL, "fields[0].name is no identifier" },
		{ { { 0, "1a", SHV_INT, 0, 4 } }, 4, EINVAL, "fields[0].name is no identifier" },
		{ { { 0, "a b", SHV_INT, 0, 4 } }, 4, EINVAL, "fields[0].name is no identifier" },
		{ { { 0, "a.b", SHV_INT, 0, 4 } }, 4, EINVAL, "fields[0].name is no identifier" },
		{ { { 0, "a:", SHV_INT, 0, 4 } }, 4, EINVAL, "fields[0].name is no identifier" },
		{ { { 0, "\xff", SHV_INT, 0, 4 } }, 4, EINVAL, "fields[0].name is no identifier" },
		{ { { 0, "a", NULL, 0, 4 } }, 4, EINVAL, "fields[0] (a): type is NULL" },
		{ { { 0, "a", SHV_INT, 0, 0 } }, 4, EINVAL, "fields[0] (a): extent is 0" },
		{ { { 0, "a", SHV_INT, 0, 2 } }, 4, EINVAL, "fields[0] (a): extent is 2" },
		{ { { 0, "a", SHV_INT, 0, 6 } }, 8, EINVAL, "fields[0] (a): extent is 6" },
		{ { { 0, "a", SHV_INT, 2, 4 } }, 8, EINVAL, "fields[0] (a): offset is 2, but int is aligned to 4" },
		{ { { 0, "a", SHV_INT, 0, 4 } }, 2, EINVAL, "fields[0] (a): it ends at 4, behind the end of the structure at 2" },
		{ { { 0, "a", SHV_INT, 4, 4 } }, 4, EINVAL, "fields[0] (a): it ends at 8, behind the end of the structure at 4" },
		{ { { 0, "a", SHV_INT, 0, 4 } }, 0, EINVAL, "behind the end of the structure at 0" },
		{ { { 0, "a", SHV_INT, 0, 4 } }, 6, EINVAL, "size is 6, but the members are aligned to 4" },
		{ { { 0, "a", SHV_INT, 0, 4 } }, SIZE_MAX, EOVERFLOW, "size is 18446744073709551615" },
		{ { { 0, "a", SHV_INT, SIZE_MAX - 3, 4 } }, 8, EOVERFLOW, "fields[0] (a): its end" },
		{ { { 0, "a", SHV_CHAR, 1, SIZE_MAX } }, 8, EOVERFLOW, "fields[0] (a): its end" },
		{ { { 8, "a", SHV_INT, 0, 4 } }, 4, EINVAL, "fields[0].size is 8" },
		{ { { 0, "a", SHV_INT, 0, 4 }, { 7, "b", SHV_INT, 4, 4 } }, 8, EINVAL, "fields[1].size is 7" },
		{ { { 0, "a", SHV_INT, 0, 4 }, { 0, "b", SHV_INT, 0, 4 } }, 8, EINVAL, "fields[1] (b): offset is 0, but the field before it ends at 4" },
		{ { { 0, "a", SHV_INT, 0, 8 }, { 0, "b", SHV_INT, 4, 4 } }, 8, EINVAL, "fields[1] (b): offset is 4, but the field before it ends at 8" },
		{ { { 0, "a", SHV_INT, 4, 4 }, { 0, "b", SHV_INT, 0, 4 } }, 8, EINVAL, "fields[1] (b): offset is 0" },
		{ { { 0, "a", SHV_INT, 0, 4 }, { 0, "a", SHV_INT, 4, 4 } }, 8, EINVAL, "fields[1] (a): a field before it has that name" },
		{ { { 0, "a", SHV_INT, 0, 4 }, { 0, "b", SHV_LONGLONG, 4, 8 } }, 16, EINVAL, "fields[1] (b): offset is 4, but long long is aligned to 8" },
	};
	const struct shv_field good[] = { { 0, "a", SHV_INT, 0, 4 } };
	char name[TYPE_MAX_NAME + 2];

	for (size_t i = 0; i < COUNT(wrong); i++) {
		size_t n = wrong[i].f[1].name ? 2 : 1;

		assert_no_struct(NULL, wrong[i].size, wrong[i].f, n, wrong[i].code, wrong[i].what);
	}
	assert_no_struct(NULL, 4, NULL, 1, EINVAL, "fields is NULL");
	assert_no_struct(NULL, 4, good, 0, EINVAL, "n is 0");
	assert_no_struct("", 4, good, 1, EINVAL, "name is empty");
	assert_no_struct("a\n", 4, good, 1, EINVAL, "name is empty");
	assert_no_struct("\xc3", 4, good, 1, EINVAL, "name is empty");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_no_struct(name, 4, good, 1, EINVAL, "name is empty");
	name[TYPE_MAX_NAME] = '\0';
	ck_assert_str_eq(shv_type_name(shv_type_struct(name, 4, good, 1)), name);
}
END_TEST

/* A program that was compiled with a later, longer struct shv_field. */
START_TEST(longer_field_descriptions_are_understood)
{
	struct {
		struct shv_field f;
		void *later;
	} longer[] = {
		{ { sizeof(longer[0]), "a", SHV_INT, 0, 4 }, longer },
		{ { sizeof(longer[0]), "b", SHV_SHORT, 4, 2 }, longer },
	};
	const shv_type *t = shv_type_struct(NULL, 8, &longer[0].f, 2);

	ck_assert_msg(t, "%s", shv_errmsg());
	ck_assert_str_eq(shv_type_format(t), "T{i:a:h:b:2x}");
}
END_TEST

START_TEST(same_bytes_are_the_same_type)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
		{ "i", "=l", true },
		{ "l", "n", true },
		{ "i", "I", false },
		{ "b", "c", false },
		{ "B", "c", false },
		{ "w", "i", false },
		{ "?", "B", false },
		{ "h", "e", false },
		{ "e", "2c", false },
		{ "f", "i", false },
		{ "Zf", "d", false },
		{ "Zf", "2f", false },
		{ "3i", "(3)i", true },
		{ "(2,3)i", "(3,2)i", false },
		{ "(6)i", "(3,2)i", false },
		{ "10p", "10s", false },
		{ "10p", "(10)p", false },
		{ "T{i:a:}", "T{i:b:}", false },
		{ "T{i:a:}", "T{i}", false },
		{ "T{i:a:}", "i", false },
		{ "T{i:a:}", "T{I:a:}", false },
		{ "T{b:a:i:b:}", "T{b:a:3xi:b:}", true },
		{ "T{bbi}", "T{bxi}", false },
		{ "T{b:a:xb:b:}", "T{b:a:b:b:x}", false },
		{ "^T{ib}", "T{ib}", false },
#if defined(__LP64__)
		{ "l", "q", true },
		{ "(3)L", "(3)Q", true },
		{ "T{l:a:}", "T{q:a:}", true },
		{ ">l", ">q", false },
#endif
	};

	for (size_t i = 0; i < COUNT(pairs); i++) {
		const shv_type *a = shv_type_parse(pairs[i].a), *b = shv_type_parse(pairs[i].b);

		ck_assert_msg(type_same(a, b) == pairs[i].same, "%s and %s", pairs[i].a, pairs[i].b);
		ck_assert_msg(type_same(b, a) == pairs[i].same, "%s and %s", pairs[i].b, pairs[i].a);
		ck_assert(type_same(a, a) && type_same(b, b));
	}
	if (LITTLE) {
		ck_assert(!type_same(shv_type_parse(">i"), SHV_INT));
		ck_assert(!type_same(shv_type_parse(">i"), shv_type_parse(">I")));
		ck_assert_int_eq(type_class(shv_type_parse(">i")), TYPE_OTHER);
	}
	ck_assert_int_eq(type_class(shv_type_parse("3i")), TYPE_OTHER);
}
END_TEST

/* ---- threads and children --------------------------------------------------------------------------------- */

#define THREADS 8
#define TYPES   300
static const shv_type *found[THREADS][TYPES];
static pthread_barrier_t start;

static void *make_types(void *arg)
{
	const shv_type **mine = arg;

	pthread_barrier_wait(&start);
	for (size_t i = 0; i < TYPES; i++) {
		struct shv_field f = { 0, "f", NULL, 0, 0 };
		char text[64];

		snprintf(text, sizeof(text), "T{i:threads:(%zu)T{b:x:d:y:}:m%zu:}", i + 1, i);
		f.type = shv_type_parse(text);
		f.extent = shv_type_size(f.type);
		mine[i] = shv_type_struct(i % 2 ? NULL : text, f.extent, &f, 1);
	}
	return NULL;
}

START_TEST(threads_that_race_get_the_same_descriptors)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&start, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, make_types, found[i]), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < TYPES; i++) {
		ck_assert_ptr_nonnull(found[0][i]);
		for (size_t k = 1; k < THREADS; k++)
			ck_assert_ptr_eq(found[k][i], found[0][i]);
	}
}
END_TEST

static void *make_types_on(void *stop)
{
	for (unsigned i = 0; !__atomic_load_n((bool *)stop, __ATOMIC_RELAXED); i++) {
		char text[64];

		snprintf(text, sizeof(text), "T{i:on%u:}", i % 5000);
		if (!shv_type_parse(text))
			abort();
	}
	return NULL;
}

START_TEST(a_child_forked_in_the_middle_can_make_types)
{
	const shv_type *known = shv_type_parse("T{i:known:}");
	bool stop = false;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, make_types_on, &stop), 0);
	for (unsigned i = 0; i < 50; i++) {
		pid_t child = fork();
		int status;

		if (!child) {
			char text[64];

			snprintf(text, sizeof(text), "T{i:child%u:}", i);
			alarm(10);
			_exit(shv_type_parse("T{i:known:}") == known && shv_type_parse(text) ? 0 : 1);
		}
		ck_assert_int_gt(child, 0);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_int_eq(status, 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type");
	TCase *basic = tcase_create("basic"), *format = tcase_create("format");
	TCase *structs = tcase_create("structs"), *threads = tcase_create("threads");

	tcase_add_loop_test(basic, basic_type_is_what_c_says, 0, COUNT(basics));
	tcase_add_test(basic, typecodes_that_python_does_not_have_are_refused);
	tcase_add_test(basic, null_is_no_type);
	tcase_add_test(basic, exact_width_names_have_their_width);
	tcase_add_loop_test(format, format_has_a_canonical_text, 0, COUNT(formats));
	tcase_add_loop_test(format, malformed_format_is_refused_with_the_position, 0, COUNT(malformeds));
	tcase_add_test(format, malformed_last_code_is_found_in_every_context);
	tcase_add_test(format, pointers_are_refused_with_the_reason);
	tcase_add_test(format, every_beginning_of_a_format_is_read_or_refused);
	tcase_add_test(format, changed_formats_are_read_or_refused);
	tcase_add_test(format, random_formats_and_their_parts_round_trip);
	tcase_add_test(format, nesting_has_a_limit);
	tcase_add_test(format, dimensions_have_a_limit);
	tcase_add_test(format, names_have_a_limit);
	tcase_add_test(format, very_many_members_are_read_in_time);
	tcase_add_test(structs, structure_is_described_by_its_members);
	tcase_add_test(structs, alignment_beyond_the_members_is_padding);
	tcase_add_test(structs, wrong_descriptions_are_refused_and_name_the_field);
	tcase_add_test(structs, longer_field_descriptions_are_understood);
	tcase_add_test(structs, same_bytes_are_the_same_type);
	tcase_add_test(threads, threads_that_race_get_the_same_descriptors);
	tcase_add_test(threads, a_child_forked_in_the_middle_can_make_types);
	suite_add_tcase(suite, basic);
	suite_add_tcase(suite, format);
	suite_add_tcase(suite, structs);
	suite_add_tcase(suite, threads);
	return run_suite(suite);
}
