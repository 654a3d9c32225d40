/* SPDX-License-Identifier: MIT */
/*
 * Content as text, for people and for shvdump: one line, whatever the bytes are.
 *
 *   -42   3.5   1+2i   true   'A'   "text"   [1, 2]   {x=1, y=2}
 *
 * Arrays of characters are text up to their first NUL, strings have a length and are shown whole. Text is printed as UTF-8; control characters
 * and bytes that are no UTF-8 are escaped, so that a terminal sees none. Numbers have the fewest
 * digits that give them back when read.
 *
 * The payload may be changing while it is read: scalars are copied out one by one, and nothing that
 * was read is used as a length or an index without a bound. Work is bounded by the room for text,
 * not by the payload, which may be gigabytes.
 *
 * Left out: the locale. printf() would write its decimal point; see set_point().
 */
#include "values/type_private.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How far the length is counted beyond the buffer, for those who ask first and allocate then. */
#define COUNT_ON ((size_t)1 << 20)

struct out {
	char *buf;
	size_t size, len, limit;
};

static bool full(const struct out *o)
{
	return o->len >= o->limit;
}

static void put(struct out *o, const char *s, size_t n)
{
	if (o->len + 1 < o->size) {
		size_t room = o->size - o->len - 1, fit = n < room ? n : room;

		memcpy(o->buf + o->len, s, fit);
		o->buf[o->len + fit] = '\0';
	}
	o->len += n;
}

static void put_text(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

/* ---- characters ------------------------------------------------------------------------------------------- */

static void put_escape(struct out *o, char kind, int digits, uint32_t c)
{
	char s[16];

	put(o, s, (size_t)snprintf(s, sizeof(s), "\\%c%0*x", kind, digits, (unsigned)c));
}

/* A character that needs no more than one backslash, if any. */
static bool put_plain(struct out *o, uint32_t c, char quote)
{
	static const char from[] = "\n\t\r\\", to[] = "ntr\\";
	const char *found = c && c < 0x80 ? strchr(from, (int)c) : NULL;
	char s[2] = { '\\', found ? to[found - from] : (char)c };

	if (found || c == (unsigned char)quote)
		put(o, s, 2);
	else if (c >= ' ' && c < 0x7f)
		put(o, s + 1, 1);
	else
		return false;
	return true;
}

/* whole: zeros are characters as others are; else the first one ends the text. */
static void put_chars(struct out *o, const char *s, size_t n, char quote, bool whole)
{
	put(o, &quote, 1);
	while (n && (*s || whole) && !full(o)) {
		char copy[4];
		uint32_t c = 0;
		size_t len;

		memcpy(copy, s, n < 4 ? n : 4);
		len = type_utf8(copy, n < 4 ? n : 4, &c);
		if (!len || (c >= 0x7f && c < 0xa0)) {
			put_escape(o, 'x', 2, (unsigned char)copy[0]);
			len = 1;
		} else if (len > 1) {
			put(o, copy, len);
		} else if (!put_plain(o, c, quote)) {
			put_escape(o, 'x', 2, c);
		}
		s += len;
		n -= len;
	}
	put(o, &quote, 1);
}

static void put_wide(struct out *o, uint32_t c, char quote)
{
	char s[4];

	if (put_plain(o, c, quote))
		return;
	if (c < 0xa0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
		put_escape(o, c > 0xffff ? 'U' : 'u', c > 0xffff ? 8 : 4, c);
	} else if (c < 0x800) {
		s[0] = (char)(0xc0 | c >> 6);
		s[1] = (char)(0x80 | (c & 0x3f));
		put(o, s, 2);
	} else if (c < 0x10000) {
		s[0] = (char)(0xe0 | c >> 12);
		s[1] = (char)(0x80 | (c >> 6 & 0x3f));
		s[2] = (char)(0x80 | (c & 0x3f));
		put(o, s, 3);
	} else {
		s[0] = (char)(0xf0 | c >> 18);
		s[1] = (char)(0x80 | (c >> 12 & 0x3f));
		s[2] = (char)(0x80 | (c >> 6 & 0x3f));
		s[3] = (char)(0x80 | (c & 0x3f));
		put(o, s, 4);
	}
}

static void put_pascal(struct out *o, const char *p, size_t size)
{
	size_t len = size ? *(const unsigned char *)p : 0;

	put_chars(o, p + 1, len < size ? len : size ? size - 1 : 0, '"', false);
}

/* ---- numbers ---------------------------------------------------------------------------------------------- */

/* printf() wrote the decimal point of the locale, which may be several bytes: make it a '.'. */
static void set_point(char *s)
{
	char *from = s + strcspn(s, "0123456789");
	char *end;

	from += strspn(from, "0123456789");
	end = from + strcspn(from, "0123456789e");
	if (end == from || !*from)
		return;
	*from = '.';
	memmove(from + 1, end, strlen(end) + 1);
}

static void put_finite(struct out *o, char *s)
{
	set_point(s);
	put_text(o, s);
}

static bool put_special(struct out *o, double x)
{
	if (isfinite(x))
		return false;
	put_text(o, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
	return true;
}

/*
 * The fewest digits that are read back as x, from those that any decimal number keeps to those that
 * suffice for all.
 */
static void put_float(struct out *o, float x)
{
	char s[64];

	if (put_special(o, (double)x))
		return;
	for (int digits = FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
		snprintf(s, sizeof(s), "%.*g", digits, (double)x);
		if (strtof(s, NULL) == x)
			break;
	}
	put_finite(o, s);
}

static void put_double(struct out *o, double x)
{
	char s[64];

	if (put_special(o, x))
		return;
	for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
		snprintf(s, sizeof(s), "%.*g", digits, x);
		if (strtod(s, NULL) == x)
			break;
	}
	put_finite(o, s);
}

/*
 * The 80-bit format has patterns that no operation makes and that C libraries have stumbled over
 * (CVE-2020-29573).
 */
static bool canonical(const long double *x)
{
#if LDBL_MANT_DIG == 64 && LDBL_MAX_EXP == 16384
	uint64_t fraction;
	uint16_t exponent;

	memcpy(&fraction, x, sizeof(fraction));
	memcpy(&exponent, (const char *)x + sizeof(fraction), sizeof(exponent));
	return !(exponent & 0x7fff) == !(fraction >> 63);
#else
	(void)x;
	return true;
#endif
}

static void put_long_double(struct out *o, long double x)
{
	char s[80];

	if (!canonical(&x) || isnan(x)) {
		put_text(o, "nan");
		return;
	}
	if (isinf(x)) {
		put_text(o, x < 0 ? "-inf" : "inf");
		return;
	}
	for (int digits = LDBL_DIG; digits <= LDBL_DECIMAL_DIG; digits++) {
		snprintf(s, sizeof(s), "%.*Lg", digits, x);
		if (strtold(s, NULL) == x)
			break;
	}
	put_finite(o, s);
}

/*
 * binary16: sign 1, exponent 5, fraction 10. Decimals nearer than half the way to its neighbours
 * are it.
 */
static void put_half(struct out *o, uint16_t bits)
{
	int exponent = bits >> 10 & 0x1f;
	double fraction = bits & 0x3ff, x, reach;
	char s[64];

	if (exponent == 0x1f)
		x = fraction > 0 ? (double)NAN : HUGE_VAL;
	else
		x = exponent ? ldexp(fraction + 1024, exponent - 25) : ldexp(fraction, -24);
	x = bits & 0x8000 ? -x : x;
	if (put_special(o, x))
		return;
	reach = ldexp(1, (exponent ? exponent : 1) - 26);
	if (exponent > 1 && !(bits & 0x3ff))
		reach /= 2; /* below a power of two they are closer */
	for (int digits = 3; digits <= 5; digits++) {
		snprintf(s, sizeof(s), "%.*g", digits, x);
		if (fabs(strtod(s, NULL) - x) < reach)
			break;
	}
	put_finite(o, s);
}

static void put_integer(struct out *o, const struct shv_type *t, const unsigned char *raw)
{
	bool with_sign = t->class_ == TYPE_SIGNED;
	long long i = 0;
	char s[32];

	switch (t->size) {
	case 1:
		i = with_sign ? (signed char)raw[0] : raw[0];
		break;
	case 2: {
		uint16_t u;
		memcpy(&u, raw, sizeof(u));
		i = with_sign ? (int16_t)u : u;
		break;
	}
	case 4: {
		uint32_t u;
		memcpy(&u, raw, sizeof(u));
		i = with_sign ? (int32_t)u : (long long)u;
		break;
	}
	default:
		memcpy(&i, raw, sizeof(i));
	}
	if (with_sign)
		snprintf(s, sizeof(s), "%lld", i);
	else
		snprintf(s, sizeof(s), "%llu", (unsigned long long)i);
	put_text(o, s);
}

/* A number or character of native type t. */
static void put_native(struct out *o, const struct shv_type *t, const unsigned char *raw)
{
	union {
		float f;
		double d;
		long double g;
		uint16_t e;
		uint32_t w;
	} u;

	memset(&u, 0, sizeof(u));
	memcpy(&u, raw, t->size < sizeof(u) ? t->size : sizeof(u));
	switch (t->code) {
	case 'c':
		put_chars(o, (const char *)raw, 1, '\'', true);
		break;
	case 'w':
		put_text(o, "'");
		put_wide(o, u.w, '\'');
		put_text(o, "'");
		break;
	case '?':
		put_text(o, raw[0] ? "true" : "false");
		break;
	case 'e':
		put_half(o, u.e);
		break;
	case 'f':
		put_float(o, u.f);
		break;
	case 'd':
		put_double(o, u.d);
		break;
	case 'g':
		put_long_double(o, u.g);
		break;
	default:
		put_integer(o, t, raw);
	}
}

/* One number at p, in the order of t. part: of a complex one, else t itself. */
static void read_part(const struct shv_type *t, const char *p, size_t size, unsigned char *raw)
{
	memcpy(raw, p, size);
	if (!t->swapped)
		return;
	for (size_t i = 0; i < size / 2; i++) {
		unsigned char c = raw[i];

		raw[i] = raw[size - 1 - i];
		raw[size - 1 - i] = c;
	}
}

static void put_scalar(struct out *o, const struct shv_type *t, const char *p)
{
	const struct shv_type *part = type_of_code(t->code, false);
	unsigned char raw[sizeof(long double)];
	struct out imaginary;
	char s[96] = "";

	read_part(t, p, part->size, raw);
	put_native(o, part, raw);
	if (!t->complex_)
		return;
	read_part(t, p + part->size, part->size, raw);
	imaginary = (struct out){ .buf = s, .size = sizeof(s), .limit = sizeof(s) };
	put_native(&imaginary, part, raw);
	if (s[0] != '-')
		put_text(o, "+");
	put_text(o, s);
	put_text(o, "i");
}

/* ---- compounds -------------------------------------------------------------------------------------------- */

static void put_type(struct out *o, const struct shv_type *t, const char *p);

static void put_wide_text(struct out *o, const struct shv_type *t, const char *p, size_t n, bool whole)
{
	put_text(o, "\"");
	for (size_t i = 0; i < n && !full(o); i++) {
		uint32_t c;

		read_part(t, p + i * sizeof(c), sizeof(c), (unsigned char *)&c);
		if (!c && !whole)
			break;
		put_wide(o, c, '"');
	}
	put_text(o, "\"");
}

static void put_items(struct out *o, const struct shv_type *item, const char *p, size_t n)
{
	if (item->kind == TYPE_SCALAR && item->code == 'c') {
		put_chars(o, p, n, '"', false);
		return;
	}
	if (item->kind == TYPE_SCALAR && item->code == 'w') {
		put_wide_text(o, item, p, n, false);
		return;
	}
	put_text(o, "[");
	for (size_t i = 0; i < n && !full(o); i++) {
		put_text(o, i ? ", " : "");
		put_type(o, item, p + i * item->size);
	}
	put_text(o, "]");
}

static void put_fields(struct out *o, const struct shv_type *t, const char *p)
{
	put_text(o, "{");
	for (size_t i = 0; i < t->count && !full(o); i++) {
		const struct type_field *f = &t->fields[i];

		put_text(o, i ? ", " : "");
		if (f->name) {
			put_text(o, f->name);
			put_text(o, "=");
		}
		put_type(o, f->type, p + f->offset);
	}
	put_text(o, "}");
}

static void put_type(struct out *o, const struct shv_type *t, const char *p)
{
	switch ((enum type_kind)t->kind) {
	case TYPE_SCALAR:
		put_scalar(o, t, p);
		break;
	case TYPE_PASCAL:
		put_pascal(o, p, t->size);
		break;
	case TYPE_ARRAY:
		put_items(o, t->item, p, t->count);
		break;
	case TYPE_STRUCT:
		put_fields(o, t, p);
		break;
	}
}

static struct out out_to(char *buf, size_t size)
{
	if (buf && size)
		buf[0] = '\0';
	return (struct out){ .buf = buf,
			     .size = buf ? size : 0,
			     .limit = size > SIZE_MAX - COUNT_ON ? SIZE_MAX : size + COUNT_ON };
}

ssize_t type_print_string(const struct shv_type *t, const void *text, size_t n, char *buf, size_t size)
{
	struct out o = out_to(buf, size);

	if (t->kind == TYPE_SCALAR && t->code == 'w')
		put_wide_text(&o, t, text, n, true);
	else
		put_chars(&o, text, n * t->size, '"', true);
	return (ssize_t)o.len;
}

ssize_t type_print(const struct shv_type *t, const void *payload, size_t n_items, bool array, char *buf, size_t size)
{
	struct out o = out_to(buf, size);
	int saved = errno; /* strtod() sets it for small numbers */

	if (array)
		put_items(&o, t, payload, n_items);
	else
		put_type(&o, t, payload);
	errno = saved;
	return (ssize_t)o.len;
}
