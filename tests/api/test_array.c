/* SPDX-License-Identifier: MIT */
/* Arrays and raw arrays: items, bounds, lengths from none to more than memory. */
#include "api/api.h"

static const struct item {
	char code;
	size_t size;
} items[] = {
	{ 'c', sizeof(char) },	    { 'b', 1 },		       { 'B', 1 },		{ 'w', sizeof(wchar_t) },
	{ '?', sizeof(_Bool) },	    { 'h', sizeof(short) },    { 'H', sizeof(short) },	{ 'i', sizeof(int) },
	{ 'I', sizeof(int) },	    { 'l', sizeof(long) },     { 'L', sizeof(long) },	{ 'q', sizeof(long long) },
	{ 'Q', sizeof(long long) }, { 'f', sizeof(float) },    { 'd', sizeof(double) }, { 'g', sizeof(long double) },
};
#define ITEMS ((int)(sizeof(items) / sizeof(items[0])))
enum { N = 33 };

/* Bytes that tell item from item. */
static void pattern(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(i * 7 + 1);
}

/* ---- items -------------------------------------------------------------------------------------------- */

START_TEST(array_holds_its_items_in_order)
{
	const struct item *t = &items[_i];
	const shv_type *type = shv_typecode(t->code);
	unsigned char in[N * sizeof(long double)], out[sizeof(in)];
	size_t bytes = N * t->size;

	pattern(in, bytes);
	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(shv_array_new(arena, type, N, in, plain_lockspec(i)));

		ck_assert_int_eq(shv_kind_of(v), SHV_KIND_ARRAY);
		ck_assert_uint_eq(shv_len(v), N);
		ck_assert_ptr_eq(shv_value_type(v), type);
		for (size_t k = 0; k < N; k++) {
			unsigned char *item = made(shv_at(v, k));

			ck_assert_ptr_eq(item, (unsigned char *)shv_value_data(v) + k * t->size);
			ck_assert_mem_eq(item, in + k * t->size, t->size);
			ck_assert_uint_eq((uintptr_t)item % shv_type_align(type), 0);
		}
		assert_ok(shv_get(v, out, bytes));
		ck_assert_mem_eq(out, in, bytes);
		memset(shv_at(v, 5), 0, t->size);
		assert_ok(shv_peek(v, out, bytes));
		ck_assert_mem_eq(out, in, 5 * t->size);
		ck_assert_mem_ne(out + 5 * t->size, in + 5 * t->size, t->size);
		ck_assert_mem_eq(out + 6 * t->size, in + 6 * t->size, (N - 6) * t->size);
		assert_ok(shv_set(v, in, bytes));
		ck_assert_mem_eq(shv_value_data(v), in, bytes);
		assert_ok(shv_value_free(v));
	}
}
END_TEST

START_TEST(raw_array_is_its_items)
{
	const struct item *t = &items[_i];
	const shv_type *type = shv_typecode(t->code);
	unsigned char in[N * sizeof(long double)];
	unsigned char *p;

	pattern(in, N * t->size);
	p = made(shv_raw_array_new(arena, type, N, in));
	ck_assert_mem_eq(p, in, N * t->size);
	ck_assert_int_eq(shv_kind_of(p), SHV_KIND_RAW_ARRAY);
	ck_assert_uint_eq(shv_len((shv_value *)p), N);
	ck_assert_ptr_eq(shv_value_type(p), type);
	ck_assert_ptr_eq(shv_at((shv_value *)p, N - 1), p + (N - 1) * t->size);
	ck_assert_uint_eq((uintptr_t)p % shv_type_align(type), 0);
	assert_refused(shv_value_free((shv_value *)p), EINVAL);
	assert_ok(shv_raw_free(p));
	p = made(shv_raw_array_new(arena, type, N, NULL));
	for (size_t i = 0; i < N * t->size; i++)
		ck_assert_uint_eq(p[i], 0);
	assert_ok(shv_raw_free(p));
}
END_TEST

START_TEST(items_past_the_end_are_refused)
{
	const size_t past[] = { N, N + 1, 2 * N, SIZE_MAX / 4, SIZE_MAX / 4 + 1, SIZE_MAX - 1, SIZE_MAX };
	shv_value *v = made(shv_array_new(arena, SHV_INT, N, NULL, SHV_RECURSIVE));
	shv_value *raw = made((shv_value *)shv_raw_array_new(arena, SHV_INT, N, NULL));
	shv_value *one = made(SHV_VALUE(arena, int, 1));

	for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++) {
		assert_refused_null(shv_at(v, past[i]), ERANGE);
		assert_refused_null(shv_at(raw, past[i]), ERANGE);
		assert_refused_null(shv_at(one, past[i]), ERANGE);
	}
	ck_assert_ptr_nonnull(shv_at(v, N - 1));
	assert_refused_null(shv_at(one, 1), ERANGE);
}
END_TEST

START_TEST(whole_array_is_one_content)
{
	int in[4] = { 1, 2, 3, 4 }, other[4] = { 5, 6, 7, 8 }, expected[4] = { 1, 2, 3, 4 };
	shv_value *v = made(shv_array_new(arena, SHV_INT, 4, in, SHV_RECURSIVE));
	shv_value *none = made(shv_array_new(arena, SHV_INT, 4, in, SHV_NONE));

	assert_refused(shv_get(v, expected, sizeof(int)), EINVAL);
	assert_refused(shv_set(v, expected, sizeof(int) * 5), EINVAL);
	assert_refused(shv_add(v, 1, NULL), EINVAL);
	assert_refused(shv_addf(v, 1, NULL), EINVAL);
	assert_ok(shv_compare_exchange(v, expected, other, sizeof(in)));
	assert_refused(shv_compare_exchange(v, expected, in, sizeof(in)), EAGAIN);
	ck_assert_mem_eq(expected, other, sizeof(other));
	assert_refused(shv_compare_exchange(none, expected, in, sizeof(in)), ENOTSUP);
	assert_ok(shv_get(none, expected, sizeof(in)));
	ck_assert_mem_eq(expected, in, sizeof(in));
}
END_TEST

START_TEST(structures_may_be_items)
{
	struct pair {
		char name;
		long count;
	} in[3] = { { 'a', 1 }, { 'b', 2 }, { 'c', 3 } };
	const struct shv_field fields[] = { SHV_FIELD(struct pair, name, SHV_CHAR),
					    SHV_FIELD(struct pair, count, SHV_LONG) };
	const shv_type *type = made(shv_type_struct("pair", sizeof(struct pair), fields, 2));
	shv_value *v = made(shv_array_new(arena, type, 3, in, SHV_PLAIN));
	struct pair *p = made(shv_at(v, 2));

	ck_assert_int_eq(p->name, 'c');
	ck_assert_int_eq(p->count, 3);
	ck_assert_uint_eq(shv_len(v), 3);
	ck_assert_uint_eq(shv_type_size(shv_value_type(v)), sizeof(struct pair));
}
END_TEST

START_TEST(items_and_slices_are_copied_within_bounds)
{
	const struct item *t = &items[_i];
	unsigned char in[N * sizeof(long double)], out[sizeof(in)], all[sizeof(in)];
	size_t bytes = N * t->size;

	pattern(in, bytes);
	for (unsigned i = 0; i <= LOCKSPECS; i++) {
		shv_value *v = made(i == LOCKSPECS ? shv_raw_array_new(arena, shv_typecode(t->code), N, NULL) :
						     (void *)shv_array_new(arena, shv_typecode(t->code), N, NULL, plain_lockspec(i)));

		memset(all, 0, sizeof(all));
		for (size_t k = 0; k < N; k += 2) {
			assert_ok(shv_set_item(v, k, in + k * t->size, t->size));
			memcpy(all + k * t->size, in + k * t->size, t->size);
			ck_assert_mem_eq(v, all, bytes); /* that one, and no other */
			assert_ok(shv_get_item(v, k, out, t->size));
			ck_assert_mem_eq(out, in + k * t->size, t->size);
		}
		for (size_t from = 0; from <= N; from++)
			for (size_t n = 0; n <= N - from; n += 1 + n / 3) {
				assert_ok(shv_set_slice(v, from, n, in, n * t->size));
				memcpy(all + from * t->size, in, n * t->size);
				ck_assert_mem_eq(v, all, bytes);
				memset(out, 0, sizeof(out));
				assert_ok(shv_get_slice(v, from, n, out, n * t->size));
				ck_assert_mem_eq(out, in, n * t->size);
			}
		assert_refused(shv_set_item(v, N, in, t->size), ERANGE);
		assert_refused(shv_set_slice(v, 1, N, in, bytes), ERANGE);
		assert_refused(shv_set_slice(v, N + 1, 0, in, 0), ERANGE);
		assert_refused(shv_get_slice(v, SIZE_MAX, 1, out, t->size), ERANGE);
		assert_refused(shv_get_slice(v, 2, SIZE_MAX - 1, out, 0), ERANGE);
		assert_refused(shv_set_slice(v, 0, 2, in, t->size), EINVAL);
		assert_ok(shv_get_slice(v, N, 0, NULL, 0));
		assert_ok(shv_set_slice(v, 0, 0, NULL, 0));
		ck_assert_mem_eq(v, all, bytes);
	}
}
END_TEST

START_TEST(single_value_is_an_array_of_one)
{
	shv_value *v = made(SHV_VALUE(arena, int, 3));
	int *raw = made((int *)shv_raw_new(arena, SHV_INT, NULL)), x = 0;

	assert_ok(shv_get_item(v, 0, &x, sizeof(x)));
	ck_assert_int_eq(x, 3);
	assert_ok(shv_set_slice((shv_value *)raw, 0, 1, &x, sizeof(x)));
	ck_assert_int_eq(*raw, 3);
	assert_refused(shv_get_item(v, 1, &x, sizeof(x)), ERANGE);
}
END_TEST

/* An item of 8 bytes without a lock: seen old or new, never half of each. */
enum { FLIPS = 200000 };

static void *flip(void *arg)
{
	for (int i = 0; i < FLIPS; i++)
		NEED(!shv_set_item(arg, 3, &(uint64_t){ i % 2 ? UINT64_MAX : 0 }, 8), "shv_set_item");
	NEED(!shv_set_item(arg, 3, &(uint64_t){ 1 }, 8), "shv_set_item");
	return NULL;
}

START_TEST(item_without_a_lock_is_one_access)
{
	shv_value *v = made(shv_array_new(arena, SHV_UINT64, 8, NULL, SHV_NONE));
	pthread_t thread;
	uint64_t x = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, flip, v), 0);
	while (x != 1) {
		assert_ok(shv_get_item(v, 3, &x, sizeof(x)));
		ck_assert_msg(x == 0 || x == 1 || x == UINT64_MAX, "half an item: %lx", x);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static int die_inside(void *arg)
{
	NEED(!shv_acquire(arg), "shv_acquire");
	_exit(3);
}

START_TEST(death_of_the_holder_is_passed_on)
{
	shv_value *v = made(shv_array_new(arena, SHV_CHAR, 8, NULL, SHV_PLAIN));
	char c = 'x', buf[9];
	size_t length = 0;

	ck_assert_int_eq(finish(start(die_inside, v)), 3);
	ck_assert_int_eq(shv_set_item(v, 2, &c, 1), SHV_RECOVERED);
	ck_assert_int_eq(shv_get_item(v, 2, &c, 1), 0);
	ck_assert_int_eq(finish(start(die_inside, v)), 3);
	ck_assert_int_eq(shv_set_slice(v, 0, 2, "ab", 2), SHV_RECOVERED);
	ck_assert_int_eq(finish(start(die_inside, v)), 3);
	ck_assert_int_eq(shv_chars_get(v, buf, sizeof(buf), &length), SHV_RECOVERED);
	ck_assert_str_eq(buf, "abx");
	ck_assert_int_eq(finish(start(die_inside, v)), 3);
	ck_assert_int_eq(shv_chars_set(v, "12345678", 8), SHV_RECOVERED);
	ck_assert_mem_eq(v, "12345678", 8);
}
END_TEST

START_TEST(read_only_attachment_reads_items)
{
	shv_value *v = made(shv_array_new(arena, SHV_CHAR, 9, "read only", SHV_RECURSIVE)), *seen;
	shv_value *w = made(shv_array_new(arena, SHV_SHORT, 4, (short[]){ 1, 2, 3, 4 }, SHV_PLAIN)), *seen_w;
	shv_arena *ro = made(shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY));
	char buf[16];
	short s[2];
	size_t length = 0;

	seen = made((shv_value *)shv_deref(ro, shv_ref_of(v)));
	seen_w = made((shv_value *)shv_deref(ro, shv_ref_of(w)));
	assert_ok(shv_get_item(seen, 5, buf, 1));
	ck_assert_int_eq(buf[0], 'o');
	assert_ok(shv_get_slice(seen_w, 1, 2, s, sizeof(s)));
	ck_assert(s[0] == 2 && s[1] == 3);
	assert_ok(shv_chars_get(seen, buf, sizeof(buf), &length));
	ck_assert_str_eq(buf, "read only");
	ck_assert_uint_eq(length, 9);
	assert_refused(shv_get_item(seen, 9, buf, 1), ERANGE);
	assert_refused(shv_chars_get(seen_w, buf, sizeof(buf), &length), EINVAL);
	assert_refused(shv_set_item(seen, 0, buf, 1), EROFS);
	assert_refused(shv_chars_set(seen, "x", 1), EROFS);
	assert_ok(shv_arena_detach(ro));
}
END_TEST

/* ---- text of fixed room ------------------------------------------------------------------------------- */

/* What Python 3.11 does with s = Array('c', 5), step by step. */
START_TEST(text_of_fixed_room_is_as_in_python)
{
	static const struct {
		const char *set;
		size_t n;
		const char *raw; /* afterwards */
		size_t length;   /* of the text that is read back */
	} steps[] = {
		{ "hello", 5, "hello", 5 },        /* s.value = b'hello': fills it, no NUL */
		{ "ab", 2, "ab\0lo", 2 },          /* s.raw is b'ab\x00lo' */
		{ "", 0, "\0b\0lo", 0 },
		{ "a\0b", 3, "a\0b\0o", 1 },
		{ "wxyz", 4, "wxyz\0", 4 },
	};
	for (int single = 0; single < 2; single++) {
		shv_value *v = made(single ? shv_value_new(arena, made(shv_type_parse("(5)c")), NULL, SHV_PLAIN)
					   : shv_array_new(arena, SHV_CHAR, 5, NULL, SHV_RECURSIVE));

		for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			char buf[16], raw[5];
			size_t length = 99;

			assert_ok(shv_chars_set(v, steps[i].set, steps[i].n));
			assert_ok(shv_get(v, raw, 5));
			ck_assert_mem_eq(raw, steps[i].raw, 5);
			memset(buf, 'X', sizeof(buf));
			assert_ok(shv_chars_get(v, buf, sizeof(buf), &length));
			ck_assert_uint_eq(length, steps[i].length);
			ck_assert_uint_eq(strlen(buf), length);
			ck_assert_int_eq(strncmp(buf, steps[i].set, length + 1) * (length < steps[i].n ? 0 : 1), 0);
			ck_assert_int_eq(buf[length + 1], 'X');
			/* Cut to every size. */
			for (size_t n = 0; n <= length; n++) {
				memset(buf, 'X', sizeof(buf));
				assert_ok(shv_chars_get(v, n ? buf : NULL, n, NULL));
				ck_assert_mem_eq(buf, raw, n ? n - 1 : 0);
				ck_assert(!n || !buf[n - 1]);
				ck_assert_int_eq(buf[n], 'X');
			}
		}
		/* s.value = b'too long' is a ValueError, and nothing is changed. */
		assert_refused(shv_chars_set(v, "longer", 6), EOVERFLOW);
		ck_assert_mem_eq(v, "wxyz\0", 5);
	}
}
END_TEST

START_TEST(wide_text_is_as_narrow_text)
{
	shv_value *v = made(shv_array_new(arena, SHV_WCHAR, 4, NULL, SHV_HANDOFF));
	wchar_t buf[8];
	size_t length = 0;

	assert_ok(shv_wchars_set(v, L"\u00e4\U0001F600xy", 4));
	assert_ok(shv_wchars_get(v, buf, 8, &length));
	ck_assert_uint_eq(length, 4);
	ck_assert_int_eq(wcscmp(buf, L"\u00e4\U0001F600xy"), 0);
	assert_ok(shv_wchars_set(v, L"z", 1));
	ck_assert_mem_eq(v, L"z\0xy", 4 * sizeof(wchar_t));
	assert_ok(shv_wchars_get(v, buf, 1, &length));
	ck_assert(!buf[0] && length == 1);
	assert_refused(shv_wchars_set(v, L"12345", 5), EOVERFLOW);
	/* In C, wchar_t is int; the array must have been made for text. */
	assert_refused(shv_wchars_set(made(shv_array_new(arena, SHV_INT, 4, NULL, SHV_NONE)), L"1", 1), EINVAL);
}
END_TEST

START_TEST(what_is_no_text_is_refused)
{
	shv_value *const others[] = {
		made(SHV_VALUE(arena, char, 'x')), /* one character */
		made(shv_array_new(arena, SHV_SCHAR, 4, NULL, SHV_NONE)),
		made(shv_array_new(arena, SHV_UCHAR, 4, NULL, SHV_NONE)),
		made(shv_array_new(arena, SHV_WCHAR, 4, NULL, SHV_NONE)),
		made(shv_array_new(arena, made(shv_type_parse("(4)c")), 4, NULL, SHV_NONE)),
		made(shv_value_new(arena, made(shv_type_parse("(2,2)c")), NULL, SHV_NONE)),
		made(shv_value_new(arena, made(shv_type_parse("T{(4)c:c:}")), NULL, SHV_NONE)),
		made(shv_value_new(arena, made(shv_type_parse("4p")), NULL, SHV_NONE)),
	};
	char buf[10] = "as it was";
	size_t length = 5;

	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_refused(shv_chars_get(others[i], buf, sizeof(buf), &length), EINVAL);
		assert_refused(shv_chars_set(others[i], "ab", 2), EINVAL);
	}
	ck_assert_uint_eq(length, 5);
	ck_assert_str_eq(buf, "as it was");
}
END_TEST

/* ---- lengths ------------------------------------------------------------------------------------------ */

START_TEST(array_may_have_no_items)
{
	char out = 'x';

	for (unsigned i = 0; i <= LOCKSPECS; i++) {
		bool raw = i == LOCKSPECS;
		shv_value *v = made(raw ? (shv_value *)shv_raw_array_new(arena, SHV_DOUBLE, 0, NULL) :
					  shv_array_new(arena, SHV_DOUBLE, 0, i % 2 ? "" : NULL, plain_lockspec(i)));

		ck_assert_uint_eq(shv_len(v), 0);
		ck_assert_int_eq(shv_kind_of(v), raw ? SHV_KIND_RAW_ARRAY : SHV_KIND_ARRAY);
		ck_assert_ptr_eq(shv_value_type(v), SHV_DOUBLE);
		ck_assert_ptr_nonnull(shv_value_data(v));
		assert_refused_null(shv_at(v, 0), ERANGE);
		assert_ok(shv_get(v, &out, 0));
		assert_ok(shv_set(v, &out, 0));
		assert_ok(shv_peek(v, &out, 0));
		assert_refused(shv_get(v, &out, 1), EINVAL);
		ck_assert_int_eq(out, 'x');
		ck_assert_ptr_eq(shv_deref(arena, shv_ref_of(v)), v);
		assert_ok(raw ? shv_raw_free(v) : shv_value_free(v));
	}
}
END_TEST

START_TEST(empty_arrays_are_different_objects)
{
	shv_value *v = made(shv_array_new(arena, SHV_INT, 0, NULL, SHV_NONE));
	shv_value *w = made(shv_array_new(arena, SHV_INT, 0, NULL, SHV_NONE));

	ck_assert_ptr_ne(v, w);
	assert_ok(shv_value_free(v));
	ck_assert_int_eq(shv_kind_of(w), SHV_KIND_ARRAY);
}
END_TEST

START_TEST(more_items_than_any_memory_holds_are_refused)
{
	const struct {
		const shv_type *type;
		size_t n;
	} huge[] = {
		{ SHV_CHAR, SIZE_MAX },		  { SHV_CHAR, SIZE_MAX / 2 },	   { SHV_INT, SIZE_MAX },
		{ SHV_INT, SIZE_MAX / 4 + 1 },	  { SHV_INT, SIZE_MAX / 4 },	   { SHV_DOUBLE, SIZE_MAX / 8 + 1 },
		{ SHV_DOUBLE, SIZE_MAX / 8 + 2 }, { SHV_LONGDOUBLE, SIZE_MAX / 2 }, { SHV_SHORT, SIZE_MAX / 2 + 1 },
	};
	struct shv_stat before = arena_stat(arena), after;

	for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++) {
		assert_refused_null(shv_array_new(arena, huge[i].type, huge[i].n, NULL, SHV_RECURSIVE), EOVERFLOW);
		assert_refused_null(shv_raw_array_new(arena, huge[i].type, huge[i].n, NULL), EOVERFLOW);
	}
	after = arena_stat(arena);
	ck_assert_uint_eq(after.objects, before.objects);
	ck_assert_uint_eq(after.pages, before.pages);
}
END_TEST

START_TEST(more_items_than_the_arena_holds_are_refused)
{
	struct shv_stat before = arena_stat(arena), after;
	const size_t too_many[] = { before.capacity, before.capacity + 1, before.capacity - 4096 };

	for (size_t i = 0; i < 3; i++) {
		assert_refused_null(shv_raw_array_new(arena, SHV_CHAR, too_many[i], NULL), ENOSPC);
		assert_refused_null(shv_array_new(arena, SHV_CHAR, too_many[i], NULL, SHV_PLAIN), ENOSPC);
	}
	after = arena_stat(arena);
	ck_assert_uint_eq(after.objects, before.objects);
	ck_assert_ptr_nonnull(shv_raw_new(arena, SHV_INT, NULL)); /* there is room for others */
}
END_TEST

/* ---- a gigabyte --------------------------------------------------------------------------------------- */

/* Only what is touched takes memory, and all of it goes back. */
START_TEST(gigabyte_of_items_takes_memory_as_it_is_used)
{
	const size_t n = (size_t)1 << 27;
	struct shv_stat s;
	uint64_t *p;

	arena_teardown();
	arena = made(shv_arena_create(NULL));
	p = shv_raw_array_new(arena, SHV_UINT64, n, NULL);
	if (!p && errno == ENOSPC && arena_stat(arena).capacity < (UINT64_C(4) << 30))
		return; /* a machine that gives so little address space */
	ck_assert_msg(p != NULL, "%s", shv_errmsg());
	ck_assert_uint_eq(shv_len((shv_value *)p), n);
	for (size_t i = 0; i < n; i += n / 64) {
		ck_assert_uint_eq(p[i], 0);
		p[i] = i + 1;
	}
	p[n - 1] = 77;
	ck_assert_ptr_eq(shv_at((shv_value *)p, n - 1), p + n - 1);
	assert_refused_null(shv_at((shv_value *)p, n), ERANGE);
	for (size_t i = 0; i < n; i += n / 64)
		ck_assert_uint_eq(p[i], i + 1);
	s = arena_stat(arena);
	ck_assert_uint_ge(s.bytes_payload, n * 8);
	ck_assert_uint_lt(s.bytes_resident, 64u << 20);
	assert_ok(shv_raw_free(p));
	assert_refused(shv_raw_free(p), ESTALE);
	assert_ok(shv_arena_trim(arena));
	s = arena_stat(arena);
	ck_assert_uint_eq(s.bytes_payload, 0);
	ck_assert_uint_lt(s.bytes_resident, 8u << 20);
	/* And it is there again, empty. */
	p = made(shv_raw_array_new(arena, SHV_UINT64, n, NULL));
	ck_assert_uint_eq(p[n / 64], 0);
	ck_assert_uint_eq(p[n - 1], 0);
	assert_ok(shv_raw_free(p));
}
END_TEST

/* More items than 32 bits count. */
START_TEST(items_beyond_four_gigabytes_are_reached)
{
	const size_t n = ((size_t)5 << 30) + 3, at = ((size_t)1 << 32) + 5;
	char out[4] = "";
	char *p;

	arena_teardown();
	arena = made(shv_arena_create(NULL));
	p = shv_raw_array_new(arena, SHV_CHAR, n, NULL);
	if (!p && errno == ENOSPC && arena_stat(arena).capacity < (UINT64_C(16) << 30))
		return; /* a machine that gives so little address space */
	ck_assert_msg(p != NULL, "%s", shv_errmsg());
	assert_ok(shv_set_slice((shv_value *)p, at, 4, "here", 4));
	ck_assert_mem_eq(p + at, "here", 4);
	ck_assert_int_eq(p[5], 0);
	assert_ok(shv_get_slice((shv_value *)p, n - 4, 4, out, 4));
	ck_assert_mem_eq(out, "\0\0\0\0", 4);
	assert_refused(shv_get_slice((shv_value *)p, n - 3, 4, out, 4), ERANGE);
	ck_assert_ptr_eq(shv_field((shv_value *)p, "[4294967301]", SHV_CHAR), p + at);
	ck_assert_uint_lt(arena_stat(arena).bytes_resident, 64u << 20);
	assert_ok(shv_raw_free(p));
}
END_TEST

START_TEST(arrays_of_every_size_keep_apart)
{
	enum { COUNT = 400 };
	unsigned char *p[COUNT];
	size_t n[COUNT];

	for (unsigned i = 0; i < COUNT; i++) {
		n[i] = i < 300 ? i : (size_t)(i - 290) * 1777;
		p[i] = made(i % 2 ? shv_raw_array_new(arena, SHV_UCHAR, n[i], NULL)
				  : (void *)shv_array_new(arena, SHV_UCHAR, n[i], NULL,
							  plain_lockspec(i / 2 % LOCKSPECS)));
		memset(p[i], (int)(i & 0xff), n[i]);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		ck_assert_uint_eq(shv_len((shv_value *)p[i]), n[i]);
		for (size_t k = 0; k < n[i]; k += n[i] > 50 ? n[i] / 50 : 1)
			ck_assert_uint_eq(p[i][k], i & 0xff);
		if (n[i])
			ck_assert_uint_eq(p[i][n[i] - 1], i & 0xff);
		assert_ok(i % 2 ? shv_raw_free(p[i]) : shv_value_free((shv_value *)p[i]));
	}
	ck_assert_uint_eq(arena_stat(arena).objects, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("array");
	TCase *tc = arena_case(suite, "items");

	tcase_add_loop_test(tc, array_holds_its_items_in_order, 0, ITEMS);
	tcase_add_loop_test(tc, raw_array_is_its_items, 0, ITEMS);
	tcase_add_test(tc, items_past_the_end_are_refused);
	tcase_add_test(tc, whole_array_is_one_content);
	tcase_add_test(tc, structures_may_be_items);
	tcase_add_loop_test(tc, items_and_slices_are_copied_within_bounds, 0, ITEMS);
	tcase_add_test(tc, single_value_is_an_array_of_one);
	tcase_add_test(tc, item_without_a_lock_is_one_access);
	tcase_add_test(tc, death_of_the_holder_is_passed_on);
	tcase_add_test(tc, read_only_attachment_reads_items);

	tc = arena_case(suite, "text");
	tcase_add_test(tc, text_of_fixed_room_is_as_in_python);
	tcase_add_test(tc, wide_text_is_as_narrow_text);
	tcase_add_test(tc, what_is_no_text_is_refused);

	tc = arena_case(suite, "lengths");
	tcase_add_test(tc, array_may_have_no_items);
	tcase_add_test(tc, empty_arrays_are_different_objects);
	tcase_add_test(tc, more_items_than_any_memory_holds_are_refused);
	tcase_add_test(tc, more_items_than_the_arena_holds_are_refused);
	tcase_add_test(tc, gigabyte_of_items_takes_memory_as_it_is_used);
	tcase_add_test(tc, items_beyond_four_gigabytes_are_reached);
	tcase_add_test(tc, arrays_of_every_size_keep_apart);
	return run_suite(suite);
}
