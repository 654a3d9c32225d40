/* SPDX-License-Identifier: MIT */
/*
 * Values and raw objects of every basic type: what goes in comes out, sizes and types are checked, arithmetic is
 * that of C.
 *
 * One table has all types; most tests are run once for each of its rows, and inside for each lock parameter.
 */
#include "api/api.h"

#include <float.h>
#include <limits.h>
#include <math.h>

enum family { TEXT, BOOLEAN, SIGNED, UNSIGNED, FLOATING };

/* The typed macros of one C type. */
#define TYPED(tag, T, low, high)                                                       \
	static void typed_##tag(void)                                                  \
	{                                                                              \
		T other = (high);                                                      \
		shv_value *v = made(SHV_VALUE(arena, T, (low)));                       \
		shv_value *w = made(SHV_VALUE(arena, T, other, SHV_NONE));             \
									               \
		errno = 0;                                                             \
		ck_assert(SHV_LOAD(v, T) == (T)(low));                                 \
		ck_assert(SHV_LOAD(w, T) == other);                                    \
		ck_assert_int_eq(errno, 0);                                            \
		assert_ok(SHV_STORE(v, T, other));                                     \
		assert_ok(SHV_STORE(w, T, (low)));                                     \
		ck_assert(SHV_LOAD(v, T) == other);                                    \
		ck_assert(SHV_LOAD(w, T) == (T)(low));                                 \
		ck_assert_ptr_eq(shv_value_type(v), SHV_TYPE_OF(T));                   \
		assert_ok(shv_value_free(v));                                          \
		assert_ok(shv_value_free(w));                                          \
	}

TYPED(char, char, 'A', '\xff')
TYPED(schar, signed char, SCHAR_MIN, SCHAR_MAX)
TYPED(uchar, unsigned char, 1, UCHAR_MAX)
TYPED(wchar, wchar_t, L'A', 0x10ffff)
TYPED(bool, _Bool, 0, 1)
TYPED(short, short, SHRT_MIN, SHRT_MAX)
TYPED(ushort, unsigned short, 1, USHRT_MAX)
TYPED(int, int, INT_MIN, INT_MAX)
TYPED(uint, unsigned, 1, UINT_MAX)
TYPED(long, long, LONG_MIN, LONG_MAX)
TYPED(ulong, unsigned long, 1, ULONG_MAX)
TYPED(longlong, long long, LLONG_MIN, LLONG_MAX)
TYPED(ulonglong, unsigned long long, 1, ULLONG_MAX)
TYPED(float, float, -FLT_MAX, FLT_MIN)
TYPED(double, double, -DBL_MAX, DBL_MIN)
TYPED(longdouble, long double, -LDBL_MAX, LDBL_MIN)

/* clang-format off */
#define ROW(code, symbol, T, tag, family, low, high) \
	{ code, symbol, #T, sizeof(T), _Alignof(T), family, &(const T){ low }, &(const T){ high }, typed_##tag }

static const struct scalar {
	char code;
	const shv_type *type;
	const char *c_name;
	size_t size, align;
	enum family family;
	const void *low, *high;
	void (*typed)(void);
} scalars[] = {
	ROW('c', SHV_CHAR, char, char, TEXT, 'A', '\xff'),
	ROW('b', SHV_SCHAR, signed char, schar, SIGNED, SCHAR_MIN, SCHAR_MAX),
	ROW('B', SHV_UCHAR, unsigned char, uchar, UNSIGNED, 1, UCHAR_MAX),
	ROW('w', SHV_WCHAR, wchar_t, wchar, TEXT, L'A', 0x10ffff),
	ROW('u', SHV_WCHAR, wchar_t, wchar, TEXT, L'B', 0x10fffe),
	ROW('?', SHV_BOOL, _Bool, bool, BOOLEAN, 0, 1),
	ROW('h', SHV_SHORT, short, short, SIGNED, SHRT_MIN, SHRT_MAX),
	ROW('H', SHV_USHORT, unsigned short, ushort, UNSIGNED, 1, USHRT_MAX),
	ROW('i', SHV_INT, int, int, SIGNED, INT_MIN, INT_MAX),
	ROW('I', SHV_UINT, unsigned int, uint, UNSIGNED, 1, UINT_MAX),
	ROW('l', SHV_LONG, long, long, SIGNED, LONG_MIN, LONG_MAX),
	ROW('L', SHV_ULONG, unsigned long, ulong, UNSIGNED, 1, ULONG_MAX),
	ROW('q', SHV_LONGLONG, long long, longlong, SIGNED, LLONG_MIN, LLONG_MAX),
	ROW('Q', SHV_ULONGLONG, unsigned long long, ulonglong, UNSIGNED, 1, ULLONG_MAX),
	ROW('f', SHV_FLOAT, float, float, FLOATING, -FLT_MAX, FLT_MIN),
	ROW('d', SHV_DOUBLE, double, double, FLOATING, -DBL_MAX, DBL_MIN),
	ROW('g', SHV_LONGDOUBLE, long double, longdouble, FLOATING, -LDBL_MAX, LDBL_MIN),
};
/* clang-format on */
#define SCALARS ((int)(sizeof(scalars) / sizeof(scalars[0])))
#define LARGEST 16u /* bytes of the largest of them */

static const unsigned char zeros[LARGEST];

/* ---- types -------------------------------------------------------------------------------------------- */

START_TEST(typecode_stands_for_its_c_type)
{
	const struct scalar *s = &scalars[_i];
	const char format[] = { s->code == 'u' ? 'w' : s->code, 0 };

	ck_assert_ptr_eq(shv_typecode(s->code), s->type);
	ck_assert_uint_eq(shv_type_size(s->type), s->size);
	ck_assert_uint_eq(shv_type_align(s->type), s->align);
	ck_assert_str_eq(shv_type_format(s->type), format);
	if (s->family != BOOLEAN)
		ck_assert_str_eq(shv_type_name(s->type), s->c_name);
	else
		ck_assert_str_eq(shv_type_name(s->type), "bool");
}
END_TEST

START_TEST(exact_width_names_have_the_width)
{
	ck_assert_uint_eq(shv_type_size(SHV_INT8), 1);
	ck_assert_uint_eq(shv_type_size(SHV_UINT8), 1);
	ck_assert_uint_eq(shv_type_size(SHV_INT16), 2);
	ck_assert_uint_eq(shv_type_size(SHV_UINT16), 2);
	ck_assert_uint_eq(shv_type_size(SHV_INT32), 4);
	ck_assert_uint_eq(shv_type_size(SHV_UINT32), 4);
	ck_assert_uint_eq(shv_type_size(SHV_INT64), 8);
	ck_assert_uint_eq(shv_type_size(SHV_UINT64), 8);
	ck_assert_uint_eq(shv_type_size(SHV_SIZE), sizeof(size_t));
	ck_assert_ptr_eq(SHV_TYPE_OF(int32_t), SHV_INT32);
	ck_assert_ptr_eq(SHV_TYPE_OF(uint64_t), SHV_UINT64);
	ck_assert_ptr_eq(SHV_TYPE_OF(size_t), SHV_SIZE);
	ck_assert_ptr_eq(SHV_TYPE_OF(const int), SHV_INT);
}
END_TEST

START_TEST(every_other_character_is_no_typecode)
{
	for (int c = CHAR_MIN; c <= CHAR_MAX; c++) {
		bool known = false;

		for (int i = 0; i < SCALARS; i++)
			known = known || scalars[i].code == (char)c;
		if (!known)
			assert_refused_null(shv_typecode((char)c), EINVAL);
	}
}
END_TEST

/* ---- in and out --------------------------------------------------------------------------------------- */

/* What shv_get() stores: exactly `size` bytes, nothing beside them. */
static void assert_content(shv_value *v, const void *want, size_t size)
{
	unsigned char room[LARGEST + 16];

	memset(room, 0x5a, sizeof(room));
	assert_ok(shv_get(v, room + 8, size));
	ck_assert_mem_eq(room + 8, want, size);
	for (size_t i = 0; i < 8; i++) {
		ck_assert_uint_eq(room[i], 0x5a);
		ck_assert_uint_eq(room[8 + size + i], 0x5a);
	}
	memset(room, 0x5a, sizeof(room));
	assert_ok(shv_peek(v, room + 8, size));
	ck_assert_mem_eq(room + 8, want, size);
	ck_assert_uint_eq(room[7], 0x5a);
	ck_assert_uint_eq(room[8 + size], 0x5a);
	ck_assert_mem_eq(shv_value_data(v), want, size);
}

START_TEST(value_holds_its_initial_value_and_what_is_set)
{
	const struct scalar *s = &scalars[_i];

	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(shv_value_new(arena, s->type, s->low, plain_lockspec(i)));
		shv_value *zero = made(shv_value_new(arena, s->type, NULL, plain_lockspec(i)));

		assert_content(v, s->low, s->size);
		assert_ok(shv_set(v, s->high, s->size));
		assert_content(v, s->high, s->size);
		assert_ok(shv_set(v, s->low, s->size));
		assert_content(v, s->low, s->size);
		assert_content(zero, zeros, s->size);
		assert_ok(shv_value_free(v));
		assert_ok(shv_value_free(zero));
	}
}
END_TEST

START_TEST(value_says_what_it_is)
{
	const struct scalar *s = &scalars[_i];

	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(shv_value_new(arena, s->type, s->low, plain_lockspec(i)));

		ck_assert_ptr_eq(shv_value_type(v), s->type);
		ck_assert_int_eq(shv_kind_of(v), SHV_KIND_VALUE);
		ck_assert_uint_eq(shv_len(v), 1);
		ck_assert_ptr_eq(shv_arena_of(v), arena);
		ck_assert_ptr_eq(shv_at(v, 0), shv_value_data(v));
		ck_assert_uint_eq((uintptr_t)shv_value_data(v) % s->align, 0);
		errno = 5;
		if (i < LOCKS) {
			ck_assert_ptr_nonnull(shv_value_lock(v));
		} else {
			ck_assert_ptr_null(shv_value_lock(v));
			ck_assert_int_eq(errno, 0);
		}
		assert_ok(shv_value_free(v));
		ck_assert_int_eq(shv_kind_of(v), SHV_KIND_NONE);
	}
}
END_TEST

START_TEST(payload_written_in_place_is_what_get_returns)
{
	const struct scalar *s = &scalars[_i];

	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(shv_value_new(arena, s->type, NULL, plain_lockspec(i)));

		assert_ok(shv_acquire(v));
		memcpy(shv_value_data(v), s->high, s->size);
		assert_ok(shv_release(v));
		assert_content(v, s->high, s->size);
		assert_ok(shv_value_free(v));
	}
}
END_TEST

START_TEST(other_sizes_are_refused_and_change_nothing)
{
	const struct scalar *s = &scalars[_i];
	const size_t sizes[] = { 0, s->size - 1, s->size + 1, 2 * s->size, SIZE_MAX };
	unsigned char in[2 * LARGEST], out[2 * LARGEST];

	memset(in, 0xa5, sizeof(in));
	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(shv_value_new(arena, s->type, s->low, plain_lockspec(i)));

		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			memset(out, 0x5a, sizeof(out));
			assert_refused(shv_set(v, in, sizes[k]), EINVAL);
			assert_refused(shv_get(v, out, sizes[k]), EINVAL);
			assert_refused(shv_peek(v, out, sizes[k]), EINVAL);
			assert_refused(shv_compare_exchange(v, out, in, sizes[k]), EINVAL);
			assert_refused(shv_get_typed(v, s->type, out, sizes[k]), EINVAL);
			assert_refused(shv_set_typed(v, s->type, in, sizes[k]), EINVAL);
			for (size_t b = 0; b < sizeof(out); b++)
				ck_assert_uint_eq(out[b], 0x5a);
		}
		assert_content(v, s->low, s->size);
		/* No lock was left behind. */
		ck_assert_int_eq(shv_value_holder(v, &(struct shv_holder){ 0 }), 0);
		assert_ok(shv_value_free(v));
	}
}
END_TEST

START_TEST(typed_macros_load_and_store)
{
	scalars[_i].typed();
}
END_TEST

/* Whether the two rows differ in more than the name that C has for them. */
static bool differ(const struct scalar *s, const struct scalar *t)
{
	return s->family != t->family || s->size != t->size;
}

START_TEST(access_as_another_type_is_refused)
{
	const struct scalar *s = &scalars[_i];
	shv_value *v = made(shv_value_new(arena, s->type, s->low, SHV_RECURSIVE));

	for (int k = 0; k < SCALARS; k++) {
		const struct scalar *t = &scalars[k];
		unsigned char buffer[LARGEST];

		if (!differ(s, t))
			continue;
		memset(buffer, 0x5a, sizeof(buffer));
		assert_refused(shv_get_typed(v, t->type, buffer, t->size), EINVAL);
		assert_refused(shv_set_typed(v, t->type, t->low, t->size), EINVAL);
		ck_assert_uint_eq(buffer[0], 0x5a);
		/* What SHV_LOAD() is made of: zero instead of garbage. */
		errno = 0;
		ck_assert_ptr_eq(shv_load_(v, t->type, buffer, t->size), buffer);
		ck_assert_int_eq(errno, EINVAL);
		ck_assert_mem_eq(buffer, zeros, t->size);
	}
	assert_content(v, s->low, s->size);
	assert_ok(shv_value_free(v));
}
END_TEST

START_TEST(load_of_another_type_is_zero_with_einval)
{
	shv_value *v = made(SHV_VALUE(arena, int, 7));

	errno = 0;
	ck_assert_double_eq(SHV_LOAD(v, double), 0);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_uint_eq(SHV_LOAD(v, unsigned), 0);
	ck_assert_int_eq(errno, EINVAL);
	assert_refused(SHV_STORE(v, float, 1.5f), EINVAL);
	assert_refused(SHV_STORE(v, unsigned, 8), EINVAL);
	ck_assert_int_eq(SHV_LOAD(v, int), 7);
	assert_ok(shv_value_free(v));
}
END_TEST

START_TEST(macros_evaluate_their_arguments_once)
{
	shv_value *values[2] = { made(SHV_VALUE(arena, int, 1)), made(SHV_VALUE(arena, int, 2)) };
	int i = 0, x = 10;

	ck_assert_int_eq(SHV_LOAD(values[i++], int), 1);
	ck_assert_int_eq(i, 1);
	assert_ok(SHV_STORE(values[i++], int, x++));
	ck_assert_int_eq(i, 2);
	ck_assert_int_eq(x, 11);
	ck_assert_int_eq(SHV_LOAD(values[1], int), 10);
}
END_TEST

/* ---- raw objects -------------------------------------------------------------------------------------- */

START_TEST(raw_object_is_its_payload)
{
	const struct scalar *s = &scalars[_i];
	void *p = made(shv_raw_new(arena, s->type, s->low)), *zero = made(shv_raw_new(arena, s->type, NULL));

	ck_assert_uint_eq((uintptr_t)p % s->align, 0);
	ck_assert_mem_eq(p, s->low, s->size);
	ck_assert_mem_eq(zero, zeros, s->size);
	ck_assert_int_eq(shv_kind_of(p), SHV_KIND_RAW);
	ck_assert_ptr_eq(shv_value_type(p), s->type);
	ck_assert_ptr_eq(shv_arena_of(p), arena);
	memcpy(p, s->high, s->size);
	ck_assert_mem_eq(p, s->high, s->size);
	assert_ok(shv_raw_free(p));
	assert_ok(shv_raw_free(zero));
	ck_assert_int_eq(shv_kind_of(p), SHV_KIND_NONE);
}
END_TEST

START_TEST(raw_object_is_read_and_written_like_a_value_without_lock)
{
	const struct scalar *s = &scalars[_i];
	shv_value *p = made((shv_value *)shv_raw_new(arena, s->type, s->low));

	assert_content(p, s->low, s->size);
	assert_ok(shv_set(p, s->high, s->size));
	assert_content(p, s->high, s->size);
	ck_assert_uint_eq(shv_len(p), 1);
	ck_assert_ptr_eq(shv_at(p, 0), p);
	assert_ok(shv_raw_free(p));
}
END_TEST

START_TEST(raw_object_has_no_lock)
{
	shv_value *p = made((shv_value *)shv_raw_new(arena, SHV_INT, NULL));

	assert_refused_null(shv_value_lock(p), EINVAL);
	assert_refused(shv_acquire(p), EINVAL);
	assert_refused(shv_release(p), EINVAL);
	assert_refused(shv_value_holder(p, &(struct shv_holder){ 0 }), EINVAL);
	assert_refused(shv_value_free(p), EINVAL);
	ck_assert_int_eq(shv_kind_of(p), SHV_KIND_RAW);
	assert_ok(shv_raw_free(p));
}
END_TEST

START_TEST(value_is_not_freed_as_raw_object)
{
	shv_value *v = made(SHV_VALUE(arena, int, 3, SHV_NONE));

	assert_refused(shv_raw_free(v), EINVAL);
	ck_assert_int_eq(SHV_LOAD(v, int), 3);
	assert_ok(shv_value_free(v));
	assert_refused(shv_value_free(v), ESTALE);
	assert_refused(shv_raw_free(v), ESTALE);
}
END_TEST

/* ---- structures --------------------------------------------------------------------------------------- */

struct point {
	int x;
	char tag[4];
	double y;
};

static const shv_type *point_type(void)
{
	static const struct shv_field fields[] = {
		SHV_FIELD(struct point, x, SHV_INT),
		SHV_FIELD(struct point, tag, SHV_CHAR),
		SHV_FIELD(struct point, y, SHV_DOUBLE),
	};

	return made(shv_type_struct("point", sizeof(struct point), fields, 3));
}

START_TEST(structure_goes_in_and_out_whole)
{
	struct point in = { 3, "abc", 0.25 }, other = { -1, "xyz", 1e300 }, out;

	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(shv_value_new(arena, point_type(), &in, plain_lockspec(i)));
		struct point *p = made(shv_raw_new(arena, point_type(), &other));

		assert_ok(shv_get(v, &out, sizeof(out)));
		ck_assert_mem_eq(&out, &in, sizeof(in));
		assert_ok(shv_set(v, &other, sizeof(other)));
		assert_ok(shv_peek(v, &out, sizeof(out)));
		ck_assert_mem_eq(&out, &other, sizeof(in));
		ck_assert_int_eq(p->x, -1);
		ck_assert_str_eq(p->tag, "xyz");
		ck_assert_str_eq(shv_type_name(shv_value_type(v)), "point");
		ck_assert_uint_eq(shv_type_size(shv_value_type(p)), sizeof(struct point));
		assert_refused(shv_add(v, 1, NULL), EINVAL);
		assert_refused(shv_addf(v, 1, NULL), EINVAL);
		assert_ok(shv_value_free(v));
		assert_ok(shv_raw_free(p));
	}
}
END_TEST

/* ---- adding ------------------------------------------------------------------------------------------- */

static uint64_t as_bits(const void *p, size_t size)
{
	uint64_t x = 0;

	memcpy(&x, p, size); /* little end first on the machines that we have; checked below */
	return x;
}

/* What C makes of old + delta when the sum is cut to the size of the type. */
static int64_t sum_of(uint64_t old, int64_t delta, const struct scalar *s)
{
	uint64_t sum = old + (uint64_t)delta;
	unsigned unused = 64 - 8 * (unsigned)s->size;

	return s->family == SIGNED ? (int64_t)(sum << unused) >> unused : (int64_t)(sum << unused >> unused);
}

static const int64_t deltas[] = {
	0,     1,     -1,        127,       128,       -128,      255,           256,
	65535, 65536, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, INT64_MIN + 1, 0x0123456789abcdef
};
#define DELTAS (sizeof(deltas) / sizeof(deltas[0]))

static void add_to(const struct scalar *s, shv_value *v, const void *from)
{
	for (size_t k = 0; k < DELTAS; k++) {
		int64_t now = 77, want = sum_of(as_bits(from, s->size), deltas[k], s);

		assert_ok(shv_set(v, from, s->size));
		assert_ok(shv_add(v, deltas[k], &now));
		ck_assert_int_eq(now, want);
		assert_content(v, &want, s->size);
		assert_ok(shv_add(v, -1, NULL));
		want = sum_of((uint64_t)want, -1, s);
		assert_content(v, &want, s->size);
	}
}

START_TEST(add_wraps_around_as_c_does)
{
	const struct scalar *s = &scalars[_i];

	if (s->family != SIGNED && s->family != UNSIGNED)
		return;
	ck_assert_uint_eq(as_bits(&(uint16_t){ 0x0102 }, 2), 0x0102);
	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(shv_value_new(arena, s->type, NULL, plain_lockspec(i)));

		add_to(s, v, s->low);
		add_to(s, v, s->high);
		add_to(s, v, zeros);
		assert_ok(shv_value_free(v));
	}
}
END_TEST

START_TEST(maximum_plus_one_is_the_minimum)
{
	shv_value *b = made(SHV_VALUE(arena, signed char, SCHAR_MAX)), *i = made(SHV_VALUE(arena, int, INT_MAX));
	shv_value *q = made(SHV_VALUE(arena, long long, LLONG_MAX, SHV_NONE));
	shv_value *u = made(SHV_VALUE(arena, unsigned short, 0, SHV_PLAIN));
	shv_value *big = made(SHV_VALUE(arena, unsigned long, ULONG_MAX));
	int64_t now;

	assert_ok(shv_add(b, 1, &now));
	ck_assert_int_eq(now, SCHAR_MIN);
	assert_ok(shv_add(i, 1, &now));
	ck_assert_int_eq(now, INT_MIN);
	assert_ok(shv_add(q, 1, &now));
	ck_assert_int_eq(now, LLONG_MIN);
	assert_ok(shv_add(u, -1, &now));
	ck_assert_int_eq(now, USHRT_MAX);
	assert_ok(shv_add(big, 0, &now));
	ck_assert_int_eq(now, -1); /* the same 64 bits */
	ck_assert_int_eq(SHV_LOAD(b, signed char), SCHAR_MIN);
	ck_assert_uint_eq(SHV_LOAD(u, unsigned short), USHRT_MAX);
}
END_TEST

START_TEST(add_refuses_what_is_no_integer_and_addf_what_is_no_float)
{
	const struct scalar *s = &scalars[_i];
	bool integer = s->family == SIGNED || s->family == UNSIGNED;

	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(shv_value_new(arena, s->type, s->low, plain_lockspec(i)));
		int64_t now = 77;
		double nowf = 77;

		if (!integer)
			assert_refused(shv_add(v, 1, &now), EINVAL);
		if (s->family != FLOATING)
			assert_refused(shv_addf(v, 1, &nowf), EINVAL);
		ck_assert_int_eq(now, 77);
		ck_assert_double_eq(nowf, 77);
		assert_content(v, s->low, s->size);
		ck_assert_int_eq(shv_value_holder(v, &(struct shv_holder){ 0 }), 0);
		assert_ok(shv_value_free(v));
	}
}
END_TEST

#define ADDF_AS_C(T)                                                                              \
	do {                                                                                      \
		shv_value *v = made(SHV_VALUE(arena, T, 0, plain_lockspec((unsigned)_i)));        \
		T same = 0;                                                                       \
		double now;                                                                       \
		for (int k = 0; k < 1000; k++) {                                                  \
			double delta = k % 3 ? 0.1 * k : -7.7e5 / (k + 1);                        \
			same = (T)(same + (T)delta);                                              \
			assert_ok(shv_addf(v, delta, k % 2 ? &now : NULL));                       \
			if (k % 2)                                                                \
				ck_assert_double_eq(now, (double)same);                           \
		}                                                                                 \
		ck_assert(SHV_LOAD(v, T) == same);                                                \
		assert_ok(shv_addf(v, HUGE_VAL, &now));                                           \
		ck_assert_double_infinite(now);                                                   \
		assert_ok(shv_addf(v, -HUGE_VAL, &now));                                          \
		ck_assert_double_nan(now);                                                        \
		assert_ok(shv_value_free(v));                                                     \
	} while (0)

START_TEST(addf_sums_as_c_does)
{
	ADDF_AS_C(double);
	ADDF_AS_C(long double);
}
END_TEST

/* In C `f += delta` adds in double and rounds once; rounding delta to float first would lose the sum here. */
START_TEST(addf_to_a_float_rounds_once)
{
	const double delta = 1.00000001;
	float same = 16777216.0f;
	shv_value *v = made(SHV_VALUE(arena, float, same, plain_lockspec((unsigned)_i)));
	double now;

	same += delta;
	ck_assert_float_eq(same, 16777218.0f);
	assert_ok(shv_addf(v, delta, &now));
	ck_assert_double_eq(now, same);
	ck_assert_float_eq(SHV_LOAD(v, float), same);
}
END_TEST

/* ---- compare and exchange ----------------------------------------------------------------------------- */

START_TEST(compare_exchange_replaces_what_was_expected)
{
	const struct scalar *s = &scalars[_i];

	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(shv_value_new(arena, s->type, s->low, plain_lockspec(i)));
		unsigned char expected[LARGEST];

		memcpy(expected, s->low, s->size);
		if (i >= LOCKS && s->size > 8) {
			assert_refused(shv_compare_exchange(v, expected, s->high, s->size), ENOTSUP);
			assert_content(v, s->low, s->size);
		} else {
			assert_ok(shv_compare_exchange(v, expected, s->high, s->size));
			assert_content(v, s->high, s->size);
			ck_assert_mem_eq(expected, s->low, s->size);
			/* It differs now: the caller is told what it is. */
			assert_refused(shv_compare_exchange(v, expected, zeros, s->size), EAGAIN);
			ck_assert_mem_eq(expected, s->high, s->size);
			assert_content(v, s->high, s->size);
			assert_ok(shv_compare_exchange(v, expected, zeros, s->size));
			assert_content(v, zeros, s->size);
		}
		assert_ok(shv_value_free(v));
	}
}
END_TEST

START_TEST(compare_exchange_looks_at_every_byte_of_a_structure)
{
	struct point in = { 1, "a", 2 }, next = { 2, "b", 3 }, expected;
	shv_value *v = made(shv_value_new(arena, point_type(), &in, SHV_PLAIN));
	shv_value *none = made(shv_value_new(arena, point_type(), &in, SHV_NONE));

	for (size_t b = 0; b < sizeof(in); b++) {
		memcpy(&expected, &in, sizeof(in));
		((unsigned char *)&expected)[b] ^= 1;
		assert_refused(shv_compare_exchange(v, &expected, &next, sizeof(in)), EAGAIN);
		ck_assert_mem_eq(&expected, &in, sizeof(in));
	}
	assert_ok(shv_compare_exchange(v, &expected, &next, sizeof(in)));
	assert_ok(shv_get(v, &expected, sizeof(expected)));
	ck_assert_mem_eq(&expected, &next, sizeof(next));
	assert_refused(shv_compare_exchange(none, &expected, &next, sizeof(in)), ENOTSUP);
}
END_TEST

/* ---- memory that was used before ---------------------------------------------------------------------- */

enum { BATCH = 64 };

static bool all_zero(const unsigned char *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

/* How many of the new objects lie where an old one lay; each must be zero. */
static unsigned recycle(size_t n, int kind)
{
	void *old[BATCH], *p;
	unsigned again = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		old[i] = made(kind ? shv_raw_array_new(arena, SHV_UCHAR, n, NULL) :
				     (void *)shv_array_new(arena, SHV_UCHAR, n, NULL, SHV_RECURSIVE));
		memset(old[i], 0xff, n);
	}
	for (unsigned i = 0; i < BATCH; i++)
		assert_ok(kind ? shv_raw_free(old[i]) : shv_value_free(old[i]));
	for (unsigned i = 0; i < BATCH; i++) {
		p = made(kind ? shv_raw_array_new(arena, SHV_UCHAR, n, NULL) :
				(void *)shv_array_new(arena, SHV_UCHAR, n, NULL, SHV_RECURSIVE));
		for (unsigned k = 0; k < BATCH; k++)
			again += p == old[k];
		ck_assert_msg(all_zero(p, n), "one of %zu bytes is not zero", n);
		memset(p, 0xff, n);
	}
	return again;
}

START_TEST(recycled_memory_is_zero)
{
	static const size_t sizes[] = { 1, 8, 9, 100, 1000, 4096, 5000, 70000, 300000 };

	ck_assert_uint_gt(recycle(sizes[_i], 0), 0);
	ck_assert_uint_gt(recycle(sizes[_i], 1), 0);
}
END_TEST

START_TEST(recycled_values_are_zero_in_each_type)
{
	const struct scalar *s = &scalars[_i];

	for (unsigned round = 0; round < 2; round++) {
		shv_value *v[BATCH];

		for (unsigned i = 0; i < BATCH; i++) {
			v[i] = made(shv_value_new(arena, s->type, NULL, plain_lockspec(i % LOCKSPECS)));
			assert_content(v[i], zeros, s->size);
			memset(v[i], 0xff, s->size);
		}
		for (unsigned i = 0; i < BATCH; i++)
			assert_ok(shv_value_free(v[i]));
	}
}
END_TEST

/* ---- many at once ------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 20000 };

struct sums {
	shv_value *add, *addf, *exchange;
};

static void *add_much(void *arg)
{
	struct sums *s = arg;

	for (int i = 0; i < ROUNDS; i++) {
		int seen = 0, r;

		NEED(shv_add(s->add, 3, NULL) == 0, "shv_add");
		NEED(shv_addf(s->addf, 0.5, NULL) == 0, "shv_addf");
		do {
			int next = seen + 1;
			r = shv_compare_exchange(s->exchange, &seen, &next, sizeof(seen));
		} while (r == -EAGAIN);
		NEED(r == 0, "shv_compare_exchange");
	}
	return NULL;
}

/* Also without a lock, where each is a single atomic. */
START_TEST(threads_that_add_at_once_lose_nothing)
{
	struct sums s = { made(SHV_VALUE(arena, long, 0, plain_lockspec((unsigned)_i))),
			  made(SHV_VALUE(arena, double, 0, plain_lockspec((unsigned)_i))),
			  made(SHV_VALUE(arena, int, 0, plain_lockspec((unsigned)_i))) };
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, add_much, &s), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	ck_assert_int_eq(SHV_LOAD(s.add, long), 3L * THREADS * ROUNDS);
	ck_assert_double_eq(SHV_LOAD(s.addf, double), 0.5 * THREADS * ROUNDS);
	ck_assert_int_eq(SHV_LOAD(s.exchange, int), THREADS * ROUNDS);
}
END_TEST

static void *make_and_free(void *arg)
{
	const struct scalar *s = &scalars[*(int *)arg % SCALARS];

	for (int i = 0; i < 2000; i++) {
		unsigned char out[LARGEST];
		shv_value *v = shv_value_new(arena, s->type, s->high, plain_lockspec((unsigned)i % LOCKSPECS));

		NEED(v, "shv_value_new");
		NEED(!shv_get(v, out, s->size) && !memcmp(out, s->high, s->size), "content of %s", s->c_name);
		NEED(!shv_value_free(v), "shv_value_free");
	}
	return NULL;
}

START_TEST(threads_make_and_free_side_by_side)
{
	pthread_t thread[THREADS];
	int number[THREADS];

	for (int i = 0; i < THREADS; i++) {
		number[i] = i * 3;
		ck_assert_int_eq(pthread_create(&thread[i], NULL, make_and_free, &number[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	ck_assert_uint_eq(arena_stat(arena).objects, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("value");
	TCase *tc = arena_case(suite, "types");

	tcase_add_loop_test(tc, typecode_stands_for_its_c_type, 0, SCALARS);
	tcase_add_test(tc, exact_width_names_have_the_width);
	tcase_add_test(tc, every_other_character_is_no_typecode);

	tc = arena_case(suite, "in and out");
	tcase_add_loop_test(tc, value_holds_its_initial_value_and_what_is_set, 0, SCALARS);
	tcase_add_loop_test(tc, value_says_what_it_is, 0, SCALARS);
	tcase_add_loop_test(tc, payload_written_in_place_is_what_get_returns, 0, SCALARS);
	tcase_add_loop_test(tc, other_sizes_are_refused_and_change_nothing, 0, SCALARS);
	tcase_add_loop_test(tc, typed_macros_load_and_store, 0, SCALARS);
	tcase_add_loop_test(tc, access_as_another_type_is_refused, 0, SCALARS);
	tcase_add_test(tc, load_of_another_type_is_zero_with_einval);
	tcase_add_test(tc, macros_evaluate_their_arguments_once);
	tcase_add_test(tc, structure_goes_in_and_out_whole);

	tc = arena_case(suite, "raw");
	tcase_add_loop_test(tc, raw_object_is_its_payload, 0, SCALARS);
	tcase_add_loop_test(tc, raw_object_is_read_and_written_like_a_value_without_lock, 0, SCALARS);
	tcase_add_test(tc, raw_object_has_no_lock);
	tcase_add_test(tc, value_is_not_freed_as_raw_object);

	tc = arena_case(suite, "arithmetic");
	tcase_add_loop_test(tc, add_wraps_around_as_c_does, 0, SCALARS);
	tcase_add_test(tc, maximum_plus_one_is_the_minimum);
	tcase_add_loop_test(tc, add_refuses_what_is_no_integer_and_addf_what_is_no_float, 0, SCALARS);
	tcase_add_loop_test(tc, addf_sums_as_c_does, 0, LOCKSPECS);
	tcase_add_loop_test(tc, addf_to_a_float_rounds_once, 0, LOCKSPECS);
	tcase_add_loop_test(tc, compare_exchange_replaces_what_was_expected, 0, SCALARS);
	tcase_add_test(tc, compare_exchange_looks_at_every_byte_of_a_structure);

	tc = arena_case(suite, "memory");
	tcase_add_loop_test(tc, recycled_memory_is_zero, 0, 9);
	tcase_add_loop_test(tc, recycled_values_are_zero_in_each_type, 0, SCALARS);

	tc = arena_case(suite, "threads");
	tcase_add_loop_test(tc, threads_that_add_at_once_lose_nothing, 0, LOCKSPECS);
	tcase_add_test(tc, threads_make_and_free_side_by_side);
	return run_suite(suite);
}
