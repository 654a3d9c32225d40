/* SPDX-License-Identifier: MIT */
/*
 * Strings: what <shv/string.h> says of texts of every length, of both widths, under every lock parameter; several processes at
 * one string, some of which die; and how the functions for other values treat strings.
 */
#include "api/api.h"
#include "api/word_policy.h"

#include <signal.h>
#include <sys/wait.h>
#include <wchar.h>

/* Lengths around the ends of the size classes, and far beyond. A text has 40 bytes in front and a zero behind. */
static const size_t lengths[] = { 0,   1,   7,   8,    15,   16,   23,   24,    39,    55,    71,      87,     88,     119,
				  151, 215, 216, 400,  471,  1000, 4000, 4055,  4056,  4096,  8151,    16343,  65536,  100000,
				  3,   0,   1 << 20,  4,   (4 << 20) + 1, 9, 0 };
enum { LENGTHS = sizeof(lengths) / sizeof(lengths[0]) };

static char *pattern(size_t n, unsigned seed)
{
	char *p = made((char *)malloc(n + 1));

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 + (i >> 8) + seed); /* zero bytes among them */
	p[n] = 0;
	return p;
}

/* The string holds these n bytes, whichever way one asks. */
static void assert_text(shv_value *v, const char *text, size_t n)
{
	char *copy = made((char *)malloc(n + 2)), *dup;
	const char *data;
	size_t len = 77;

	ck_assert_uint_eq(shv_len(v), n);
	for (int peek = 0; peek < 2; peek++) {
		memset(copy, 'x', n + 2);
		ck_assert_int_eq(peek ? shv_string_peek(v, copy, n + 1) : shv_string_get(v, copy, n + 1), (ssize_t)n);
		ck_assert(!memcmp(copy, text, n) && copy[n] == 0 && copy[n + 1] == 'x');
	}
	dup = made(shv_string_dup(v, &len));
	ck_assert_uint_eq(len, n);
	ck_assert(!memcmp(dup, text, n) && !dup[n]);
	data = made(shv_string_data(v, &len));
	ck_assert_uint_eq(len, n);
	ck_assert(!memcmp(data, text, n) && !data[n]);
	free(dup);
	free(copy);
}

static void assert_wide(shv_value *v, const wchar_t *text, size_t n)
{
	wchar_t *copy = made((wchar_t *)malloc((n + 2) * sizeof(*copy))), *dup;
	const wchar_t *data;
	size_t len = 77;

	ck_assert_uint_eq(shv_len(v), n);
	for (int peek = 0; peek < 2; peek++) {
		wmemset(copy, L'x', n + 2);
		ck_assert_int_eq(peek ? shv_wstring_peek(v, copy, n + 1) : shv_wstring_get(v, copy, n + 1), (ssize_t)n);
		ck_assert(!wmemcmp(copy, text, n) && copy[n] == 0 && copy[n + 1] == L'x');
	}
	dup = made(shv_wstring_dup(v, &len));
	ck_assert_uint_eq(len, n);
	ck_assert(!wmemcmp(dup, text, n) && !dup[n]);
	data = made(shv_wstring_data(v, &len));
	ck_assert_uint_eq(len, n);
	ck_assert(!wmemcmp(data, text, n) && !data[n] && !((uintptr_t)data % sizeof(wchar_t)));
	free(dup);
	free(copy);
}

/* The thread sanitizer knows no other process, and takes what fork does to jemalloc's locks for errors. */
#ifdef __SANITIZE_THREAD__
#define THREADS_ONLY true
#else
#define THREADS_ONLY false
#endif

/* ---- texts --------------------------------------------------------------------------------------------- */

START_TEST(text_is_what_was_given)
{
	shv_value *hello = made(shv_string_new(arena, "Hello, World!", plain_lockspec((unsigned)_i)));
	shv_value *null = made(shv_string_new(arena, NULL, plain_lockspec((unsigned)_i)));
	shv_value *zeros = made(shv_string_new_n(arena, "a\0b\0", 4, plain_lockspec((unsigned)_i)));

	assert_text(hello, "Hello, World!", 13);
	assert_text(null, "", 0);
	assert_text(zeros, "a\0b\0", 4);
	assert_text(made(shv_string_new_n(arena, NULL, 0, SHV_NONE)), "", 0);
	assert_ok(shv_string_set(hello, "Gr\303\274\303\237 Gott"));
	assert_text(hello, "Gr\303\274\303\237 Gott", 11);
	assert_ok(shv_string_set_n(hello, "\0\0\0", 3));
	assert_text(hello, "\0\0\0", 3);
	assert_ok(shv_string_append_n(hello, "\0x", 2));
	assert_text(hello, "\0\0\0\0x", 5);
	assert_ok(shv_string_set_n(hello, NULL, 0));
	assert_text(hello, "", 0);
	assert_ok(shv_string_append(hello, ""));
	assert_text(hello, "", 0);
	assert_ok(shv_string_append_n(hello, NULL, 0));
	assert_ok(shv_string_append(hello, "end"));
	assert_text(hello, "end", 3);
	ck_assert_int_eq(shv_kind_of(hello), SHV_KIND_STRING);
	ck_assert_ptr_eq(shv_value_type(hello), SHV_CHAR);
	ck_assert((_i == LOCKS) == !shv_value_lock(hello));
}
END_TEST

START_TEST(wide_text_is_what_was_given)
{
	shv_value *v = made(shv_wstring_new(arena, L"h\u00e4 \U0001f600", plain_lockspec((unsigned)_i)));

	assert_wide(v, L"h\u00e4 \U0001f600", 4);
	assert_ok(shv_wstring_set(v, L"1"));
	assert_ok(shv_wstring_append(v, L"23"));
	assert_ok(shv_wstring_append_n(v, L"\0004", 2));
	assert_wide(v, L"123\0004", 5);
	assert_ok(shv_wstring_set_n(v, L"\0\0", 2));
	assert_wide(v, L"\0\0", 2);
	assert_ok(shv_wstring_set(v, L""));
	assert_wide(v, L"", 0);
	assert_wide(made(shv_wstring_new(arena, NULL, SHV_PLAIN)), L"", 0);
	assert_wide(made(shv_wstring_new_n(arena, L"ab", 1, SHV_PLAIN)), L"a", 1);
	ck_assert_ptr_eq(shv_value_type(v), SHV_WCHAR);
}
END_TEST

START_TEST(text_grows_and_shrinks_over_all_sizes_of_blocks)
{
	shv_value *v = made(shv_string_new(arena, "", plain_lockspec((unsigned)_i)));
	shv_value *w = made(shv_wstring_new(arena, L"", plain_lockspec((unsigned)_i)));
	uint64_t parts = arena_stat(arena).parts;

	for (unsigned i = 0; i < LENGTHS; i++) {
		char *p = pattern(lengths[i] + sizeof(wchar_t), i);
		size_t wide = lengths[i] / sizeof(wchar_t);
		shv_value *other = made(shv_string_new_n(arena, p, lengths[i], plain_lockspec((unsigned)_i)));

		assert_text(other, p, lengths[i]);
		assert_ok(shv_value_free(other));
		assert_ok(shv_string_set_n(v, p, lengths[i]));
		assert_text(v, p, lengths[i]);
		assert_ok(shv_wstring_set_n(w, (wchar_t *)(void *)p, wide));
		assert_wide(w, (wchar_t *)(void *)p, wide);
		free(p);
		ck_assert_uint_eq(arena_stat(arena).parts, parts);
	}
	ck_assert_uint_eq(parts, 2);
}
END_TEST

START_TEST(appending_grows_a_text)
{
	shv_value *v = made(shv_string_new(arena, NULL, plain_lockspec((unsigned)_i)));
	char *all = pattern(20000, 3);

	for (size_t n = 0, more = 1; n < 20000; n += more) {
		more = 1 + n % 97 < 20000 - n ? 1 + n % 97 : 20000 - n;
		assert_ok(shv_string_append_n(v, all + n, more));
		ck_assert_uint_eq(shv_len(v), n + more);
	}
	assert_text(v, all, 20000);
	ck_assert_uint_eq(arena_stat(arena).parts, 1);
	free(all);
}
END_TEST

START_TEST(short_buffers_get_as_much_as_fits)
{
	shv_value *v = made(shv_string_new(arena, "0123456789", SHV_RECURSIVE)), *w = made(shv_wstring_new(arena, L"01234", SHV_NONE));
	char buf[12];
	wchar_t wide[7];

	for (size_t n = 0; n < 12; n++) {
		memset(buf, '#', sizeof(buf));
		ck_assert_int_eq(_i ? shv_string_peek(v, buf, n) : shv_string_get(v, buf, n), 10);
		for (size_t i = 0; i < sizeof(buf); i++)
			ck_assert_int_eq(buf[i], i + 1 < n && i < 10 ? '0' + (int)i : n && i == (n - 1 < 10 ? n - 1 : 10) ? 0 : '#');
	}
	for (size_t n = 0; n < 7; n++) {
		wmemset(wide, L'#', 7);
		ck_assert_int_eq(_i ? shv_wstring_peek(w, wide, n) : shv_wstring_get(w, wide, n), 5);
		for (size_t i = 0; i < 7; i++)
			ck_assert_int_eq(wide[i], i + 1 < n && i < 5 ? L'0' + (int)i : n && i == (n - 1 < 5 ? n - 1 : 5) ? 0 : L'#');
	}
	ck_assert_int_eq(shv_string_get(v, NULL, 0), 10);
	ck_assert_int_eq(shv_wstring_peek(w, NULL, 0), 5);
	assert_refused(shv_string_get(v, NULL, 1), EINVAL);
	assert_refused(shv_wstring_peek(w, NULL, 1), EINVAL);
	assert_refused(shv_string_get(v, buf, SIZE_MAX), EINVAL);
	assert_ok(shv_string_set(v, ""));
	ck_assert_int_eq(shv_string_get(v, buf, 1), 0);
	ck_assert_int_eq(buf[0], 0);
}
END_TEST

START_TEST(text_may_lie_in_the_string_itself)
{
	shv_value *v = made(shv_string_new(arena, "0123456789", SHV_RECURSIVE));
	const char *data;
	size_t n;

	assert_ok(shv_acquire(v));
	assert_ok(shv_string_set(v, shv_string_data(v, NULL) + 3));
	assert_text(v, "3456789", 7);
	assert_ok(shv_string_append(v, shv_string_data(v, NULL)));
	assert_text(v, "34567893456789", 14);
	assert_ok(shv_string_append_n(v, shv_string_data(v, NULL) + 1, 2));
	data = made(shv_string_data(v, &n));
	assert_ok(shv_string_set_n(v, data, n));
	assert_text(v, "3456789345678945", 16);
	assert_ok(shv_release(v));
	ck_assert_uint_eq(arena_stat(arena).parts, 1);
}
END_TEST

START_TEST(what_is_refused_changes_nothing)
{
	shv_value *v = made(shv_string_new(arena, "text", SHV_PLAIN)), *w = made(shv_wstring_new(arena, L"wide", SHV_NONE));
	shv_value *number = made(SHV_VALUE(arena, int, 1));
	struct shv_stat before = arena_stat(arena), after;

	assert_refused(shv_string_set(v, NULL), EINVAL);
	assert_refused(shv_string_set_n(v, NULL, 1), EINVAL);
	assert_refused(shv_string_append(v, NULL), EINVAL);
	assert_refused(shv_string_append_n(v, NULL, 1), EINVAL);
	assert_refused(shv_string_set_n(v, "x", (size_t)1 << 40), ENOSPC);
	assert_refused(shv_wstring_set_n(w, L"x", SIZE_MAX / 2), ENOSPC);
	assert_refused_null(shv_string_new_n(arena, NULL, 1, SHV_NONE), EINVAL);
	assert_refused_null(shv_string_new_n(arena, "x", SIZE_MAX, SHV_NONE), ENOSPC);
	assert_refused_null(shv_string_new(NULL, "x", SHV_NONE), EINVAL);
	assert_refused_null(shv_string_new(arena, "x", ((shv_lockspec){ 9, 0, NULL, NULL })), EINVAL);
	assert_refused(shv_string_set(w, "bytes"), EINVAL);
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "shv_wstring_"));
	assert_refused(shv_wstring_set(v, L"wide"), EINVAL);
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "shv_string_"));
	assert_refused(shv_string_set(number, "1"), EINVAL);
	assert_refused(shv_wstring_peek(number, NULL, 0), EINVAL);
	assert_refused_null(shv_string_dup(number, NULL), EINVAL);
	assert_refused_null(shv_wstring_data(v, NULL), EINVAL);
	assert_ok(shv_acquire(v));
	assert_refused(shv_string_set(v, "own lock"), EDEADLK);
	assert_refused(shv_string_append(v, "own lock"), EDEADLK);
	assert_refused(shv_string_get(v, NULL, 0), EDEADLK);
	assert_refused_null(shv_string_dup(v, NULL), EDEADLK);
	ck_assert_int_eq(shv_string_peek(v, NULL, 0), 4);
	assert_ok(shv_release(v));
	assert_text(v, "text", 4);
	assert_wide(w, L"wide", 4);
	after = arena_stat(arena);
	ck_assert_uint_eq(after.parts, before.parts);
	ck_assert_uint_eq(after.bytes_live, before.bytes_live);
}
END_TEST

START_TEST(freed_strings_are_stale_and_leave_nothing)
{
	struct shv_stat before = arena_stat(arena);
	shv_value *v = made(shv_string_new(arena, "text", plain_lockspec((unsigned)_i))), *w = made(shv_wstring_new(arena, L"t", SHV_NONE));
	shv_ref ref = shv_ref_of(v);

	assert_ok(shv_string_set(v, "another"));
	assert_ok(shv_value_free(v));
	assert_ok(shv_value_free(w));
	assert_refused(shv_value_free(v), ESTALE);
	assert_refused(shv_string_set(v, "x"), ESTALE);
	assert_refused(shv_string_append(v, "x"), ESTALE);
	assert_refused(shv_string_get(v, NULL, 0), ESTALE);
	assert_refused(shv_string_peek(v, NULL, 0), ESTALE);
	assert_refused(shv_wstring_set(w, L"x"), ESTALE);
	assert_refused_null(shv_string_dup(v, NULL), ESTALE);
	assert_refused_null(shv_string_data(v, NULL), ESTALE);
	assert_refused_null(shv_deref(arena, ref), ESTALE);
	assert_refused_null(shv_len(v), ESTALE);
	ck_assert_uint_eq(arena_stat(arena).parts, before.parts);
	ck_assert_uint_eq(arena_stat(arena).objects, before.objects);
	ck_assert_uint_eq(arena_stat(arena).bytes_live, before.bytes_live);
}
END_TEST

/* Names, parts of the string's own, lie in the same arena: what is freed is the text. */
START_TEST(full_arena_keeps_the_old_text)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = (size_t)32 << 20, .max_processes = 2 };
	shv_arena *a = made(shv_arena_create(&o));
	shv_value *v = made(shv_string_new(a, "old", SHV_RECURSIVE));
	char *p = pattern(1 << 20, 1);

	for (size_t n = 1 << 20; n; n /= 2)
		while (shv_raw_array_new(a, SHV_CHAR, n, NULL))
			;
	while (shv_string_new(a, "", SHV_RECURSIVE)) /* what threads keep for this size */
		;
	ck_assert_int_eq(errno, ENOSPC);
	assert_refused(shv_string_set_n(v, p, 1 << 20), ENOSPC);
	assert_refused(shv_string_append_n(v, p, 1 << 20), ENOSPC);
	assert_text(v, "old", 3);
	assert_sound(a);
	assert_ok(shv_arena_detach(a));
	free(p);
}
END_TEST

/* ---- locks, references, names -------------------------------------------------------------------------- */

START_TEST(strings_share_locks_and_have_those_of_programs)
{
	shv_lock *lock = made(shv_lock_new(arena, SHV_RECURSIVE));
	shv_value *v = made(shv_string_new(arena, "one", SHV_SHARED(lock))), *user;

	assert_ok(shv_lock_register(arena, &word_policy));
	user = made(shv_wstring_new(arena, L"two", SHV_POLICY(&word_policy)));
	ck_assert_ptr_eq(shv_value_lock(v), lock);
	assert_ok(shv_lock_acquire(lock));
	assert_ok(shv_string_set(v, "two"));
	assert_ok(shv_string_append(v, "three"));
	assert_text(v, "twothree", 8);
	assert_ok(shv_lock_release(lock));
	calls.acquire = calls.release = 0;
	assert_ok(shv_wstring_set(user, L"three"));
	assert_ok(shv_wstring_append(user, L"four"));
	assert_wide(user, L"threefour", 9); /* get and dup take it; peek, data, len do not */
	ck_assert_uint_eq(calls.acquire, 4);
	ck_assert_uint_eq(calls.release, 4);
	assert_ok(shv_value_free(user));
	assert_ok(shv_value_free(v));
	assert_ok(shv_lock_free(lock));
}
END_TEST

START_TEST(what_takes_values_takes_strings)
{
	shv_value *v = made(shv_string_new(arena, "text", plain_lockspec((unsigned)_i))), *out = NULL;
	struct shv_holder h = { .size = sizeof(h) };
	char text[64];
	int seen = 0;

	ck_assert_ptr_eq(shv_deref(arena, shv_ref_of(v)), v);
	assert_ok(shv_publish(v, "greeting"));
	ck_assert_ptr_eq(shv_find(arena, "greeting"), v);
	ck_assert_int_eq(shv_value_name(arena, shv_ref_of(v), text, sizeof(text)), 8);
	assert_ok(shv_unpublish(arena, "greeting"));
	assert_ok(shv_publish(v, "greeting"));
	if (_i != LOCKS) {
		shv_with(v) {
			seen = depth_of(v) == 1;
			ck_assert_int_eq(shv_string_data(v, NULL)[0], 't');
		}
		assert_ok(shv_with_status());
		ck_assert_int_eq(seen, 1);
		assert_ok(shv_ref_acquire(arena, shv_ref_of(v), &out));
		ck_assert_ptr_eq(out, v);
		assert_ok(shv_release(v));
		assert_ok(shv_try_acquire(v));
		assert_ok(shv_release(v));
		assert_ok(shv_acquire_for(v, &(struct timespec){ 1, 0 }));
		assert_ok(shv_release(v));
		assert_ok(shv_lock_acquire(shv_value_lock(v)));
		assert_ok(shv_lock_release(shv_value_lock(v)));
		assert_refused(shv_last_holder(v, &h), ENOENT);
	}
	assert_ok(shv_value_free(v));
	assert_refused_null(shv_find(arena, "greeting"), ENOENT);
	ck_assert_uint_eq(arena_stat(arena).parts, 0);
}
END_TEST

/* Each says what to use instead. */
#define NOT_FOR_STRINGS(call)                                                                 \
	do {                                                                                  \
		assert_refused((call), EINVAL);                                               \
		ck_assert_msg(strstr(shv_errmsg(), "shv_string_get()") != NULL, "%s: %s", #call, shv_errmsg()); \
	} while (0)
#define NOT_FOR_STRINGS_NULL(call)                                                            \
	do {                                                                                  \
		assert_refused_null((call), EINVAL);                                          \
		ck_assert_msg(strstr(shv_errmsg(), "shv_string_get()") != NULL, "%s: %s", #call, shv_errmsg()); \
	} while (0)

START_TEST(what_works_on_contents_of_fixed_size_refuses_strings)
{
	shv_value *both[] = { made(shv_string_new(arena, "text", plain_lockspec((unsigned)_i))),
			      made(shv_wstring_new(arena, L"text", plain_lockspec((unsigned)_i))) };
	char buf[16] = "";

	for (int i = 0; i < 2; i++) {
		shv_value *v = both[i];

		NOT_FOR_STRINGS(shv_get(v, buf, 4));
		NOT_FOR_STRINGS(shv_get(v, buf, 16));
		NOT_FOR_STRINGS(shv_set(v, buf, 1));
		NOT_FOR_STRINGS(shv_set(v, buf, 16));
		NOT_FOR_STRINGS(shv_peek(v, buf, 8));
		NOT_FOR_STRINGS(shv_add(v, 1, NULL));
		NOT_FOR_STRINGS(shv_addf(v, 1, NULL));
		NOT_FOR_STRINGS(shv_compare_exchange(v, buf, buf, 1));
		NOT_FOR_STRINGS(shv_get_typed(v, SHV_CHAR, buf, 1));
		NOT_FOR_STRINGS(shv_set_typed(v, SHV_CHAR, buf, 1));
		NOT_FOR_STRINGS_NULL(SHV_LOAD(v, char));
		NOT_FOR_STRINGS(SHV_STORE(v, char, 'x'));
		NOT_FOR_STRINGS_NULL(shv_value_data(v));
		NOT_FOR_STRINGS_NULL(shv_at(v, 0));
	}
	assert_text(both[0], "text", 4);
	assert_wide(both[1], L"text", 4);
	if (_i != LOCKS)
		ck_assert_uint_eq(depth_of(both[0]), 0);
}
END_TEST

/* ---- looking --------------------------------------------------------------------------------------------- */

START_TEST(inspection_shows_the_whole_text)
{
	shv_value *v = made(shv_string_new_n(arena, "a\0b\"\n\303\244\377", 8, SHV_PLAIN));
	shv_value *w = made(shv_wstring_new_n(arena, L"a\0\u00e4", 3, SHV_NONE)), *empty = made(shv_string_new(arena, "", SHV_NONE));
	void *array = made(shv_raw_array_new(arena, SHV_CHAR, 3, "a\0b"));
	struct shv_value_info info = { .size = sizeof(info) };
	struct shv_stat st;
	char text[64];
	bool torn = true;

	ck_assert_int_eq(shv_value_text(arena, shv_ref_of(v), text, sizeof(text)), (ssize_t)strlen("\"a\\x00b\\\"\\n\303\244\\xff\""));
	ck_assert_str_eq(text, "\"a\\x00b\\\"\\n\303\244\\xff\"");
	shv_value_text(arena, shv_ref_of(w), text, sizeof(text));
	ck_assert_str_eq(text, "\"a\\u0000\303\244\"");
	shv_value_text(arena, shv_ref_of(empty), text, sizeof(text));
	ck_assert_str_eq(text, "\"\"");
	shv_value_text(arena, shv_ref_of(array), text, sizeof(text));
	ck_assert_str_eq(text, "\"a\"");
	ck_assert_int_eq(shv_value_text(arena, shv_ref_of(v), text, 4), (ssize_t)strlen("\"a\\x00b\\\"\\n\303\244\\xff\""));
	ck_assert_str_eq(text, "\"a\\");
	memset(text, '#', sizeof(text));
	ck_assert_int_eq(shv_value_bytes(arena, shv_ref_of(v), text, sizeof(text), &torn), 8);
	ck_assert(!memcmp(text, "a\0b\"\n\303\244\377#", 9) && !torn);
	ck_assert_int_eq(shv_value_bytes(arena, shv_ref_of(v), text, 2, &torn), 2);
	ck_assert_int_eq(shv_value_bytes(arena, shv_ref_of(empty), text, 2, &torn), 0);
	assert_ok(shv_value_describe(arena, shv_ref_of(v), &info));
	ck_assert_int_eq(info.kind, SHV_KIND_STRING);
	ck_assert_int_eq(info.lock, SHV_LOCK_PLAIN);
	ck_assert_uint_eq(info.len, 8);
	ck_assert_uint_eq(info.bytes, 8);
	ck_assert_uint_eq(info.item_size, 1);
	ck_assert_str_eq(info.format, "c");
	assert_ok(shv_value_describe(arena, shv_ref_of(w), &info));
	ck_assert_uint_eq(info.len, 3);
	ck_assert_uint_eq(info.bytes, 3 * sizeof(wchar_t));
	ck_assert_uint_eq(info.item_size, sizeof(wchar_t));
	st = arena_stat(arena);
	ck_assert_uint_eq(st.strings, 3);
	ck_assert_uint_eq(st.parts, 3);
	ck_assert_uint_eq(st.objects, 4);
	ck_assert_uint_eq(st.bytes_payload, 8 + 3 * sizeof(wchar_t) + 0 + 3);
	ck_assert_uint_eq(st.by_policy[SHV_LOCK_PLAIN], 1);
	ck_assert_uint_eq(st.by_policy[SHV_LOCK_NONE], 2);
}
END_TEST

START_TEST(read_only_attachments_read)
{
	shv_value *v = made(shv_string_new(arena, "text", plain_lockspec((unsigned)_i))), *there;
	int fd = shv_arena_fd_rdonly(arena);
	shv_arena *look = made(shv_arena_attach(fd, SHV_RDONLY));
	uint64_t parts = arena_stat(arena).parts;

	there = made(shv_deref(look, shv_ref_of(v)));
	assert_text(there, "text", 4);
	if (_i != LOCKS) /* who only reads does not wait, not even for a holder */
		assert_ok(shv_acquire(v));
	assert_text(there, "text", 4);
	if (_i != LOCKS)
		assert_ok(shv_release(v));
	assert_ok(shv_string_set(v, "another text"));
	assert_text(there, "another text", 12);
	assert_refused(shv_string_set(there, "x"), EROFS);
	assert_refused(shv_string_append(there, "x"), EROFS);
	assert_refused(shv_value_free(there), EROFS);
	assert_refused_null(shv_string_new(look, "x", SHV_NONE), EROFS);
	assert_refused_null(shv_wstring_new(look, L"x", SHV_NONE), EROFS);
	ck_assert_uint_eq(arena_stat(arena).parts, parts);
	assert_ok(shv_arena_detach(look));
	close(fd);
}
END_TEST

/* ---- several processes at one string -------------------------------------------------------------------- */

/* A text that says of itself whether it is whole: "writer:turn:nnnn....:writer:turn". */
static size_t whole_text(char *buf, size_t size, unsigned writer, unsigned turn)
{
	size_t dots = (writer * 1009u + turn * 811u) % 3000;
	int n = snprintf(buf, size, "%u:%u:", writer, turn);

	memset(buf + n, '.' + (int)(writer + turn) % 40, dots);
	return (size_t)n + dots + (size_t)snprintf(buf + n + dots, size - (size_t)n - dots, ":%u:%u", writer, turn);
}

static bool is_whole(const char *text, size_t len, unsigned *writer, unsigned *turn)
{
	char be[4096];

	return sscanf(text, "%u:%u:", writer, turn) == 2 && whole_text(be, sizeof(be), *writer, *turn) == len && !memcmp(text, be, len);
}

enum { PEERS = 6, SETTERS = 3, TURNS = 400 };

static struct crowd {
	shv_value *v;
	struct meeting begin;
	struct gate over;
	unsigned turns;
} *crowd;

struct peer {
	shv_arena *a;
	unsigned number;
};

static int sets(void *arg)
{
	struct peer *p = arg;
	char text[4096];

	meet(&crowd->begin);
	for (unsigned i = 0; i < crowd->turns; i++) {
		size_t n = whole_text(text, sizeof(text), p->number, i);

		NEED(shv_string_set_n(crowd->v, text, n) == 0, "shv_string_set_n");
	}
	gate_add(&crowd->over, 1);
	return shv_arena_detach(p->a);
}

static int reads(void *arg)
{
	struct peer *p = arg;
	unsigned last[PEERS] = { 0 }, writer = 0, turn = 0;
	char text[4096];

	meet(&crowd->begin);
	for (unsigned i = 0; gate_now(&crowd->over) < SETTERS || i < 10; i++) {
		size_t len;
		ssize_t n = i % 3 ? shv_string_peek(crowd->v, text, sizeof(text)) : shv_string_get(crowd->v, text, sizeof(text));
		char *dup;

		if (n == -EAGAIN) /* as documented: so many writers */
			continue;
		NEED(n >= 0 && is_whole(text, (size_t)n, &writer, &turn), "a text that is not whole: %zd %.40s", n, text);
		NEED(writer < PEERS && turn >= last[writer], "writer %u: turn %u after %u", writer, turn, last[writer]);
		last[writer] = turn;
		n = shv_value_bytes(p->a, shv_ref_of(crowd->v), text, sizeof(text), &(bool){ false });
		NEED(n >= 0 || n == -ESTALE || n == -EUCLEAN, "shv_value_bytes: %zd", n);
		dup = shv_string_dup(crowd->v, &len);
		if (!dup && errno == EAGAIN)
			continue;
		NEED(dup && is_whole(dup, len, &writer, &turn), "a copy that is not whole");
		free(dup);
	}
	return shv_arena_detach(p->a);
}

static struct crowd *gather(shv_lockspec lock, const char *text, uint32_t parties)
{
	crowd = shared_memory(sizeof(*crowd));
	crowd->v = made(shv_string_new(arena, text, lock));
	crowd->begin.parties = parties;
	crowd->turns = undisturbed() ? TURNS : TURNS / 8;
	return crowd;
}

static void disperse(void)
{
	shv_value *v = crowd->v;

	ck_assert_uint_eq(arena_stat(arena).parts, 1);
	assert_sound(arena);
	assert_ok(shv_value_free(v));
	ck_assert_uint_eq(arena_stat(arena).parts, 0);
	shared_release(crowd, sizeof(*crowd));
}

START_TEST(text_is_always_whole)
{
	char text[4096];
	pid_t pid[PEERS];
	unsigned writer, turn;

	whole_text(text, sizeof(text), 0, 0);
	gather(plain_lockspec((unsigned)_i), text, PEERS);
	for (unsigned i = 0; i < PEERS; i++)
		pid[i] = start(i < SETTERS ? sets : reads, &(struct peer){ arena, i });
	for (unsigned i = 0; i < PEERS; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	ck_assert_int_gt(shv_string_get(crowd->v, text, sizeof(text)), 0);
	ck_assert(is_whole(text, strlen(text), &writer, &turn) && turn == crowd->turns - 1);
	disperse();
}
END_TEST

/* Letters of one's own, as many as turns: under a lock none is lost, and without one too, since nobody stores over what he has not seen. */
static int appends(void *arg)
{
	struct peer *p = arg;
	char letter[2] = { (char)('a' + p->number), 0 };

	meet(&crowd->begin);
	for (unsigned i = 0; i < crowd->turns; i++)
		NEED(shv_string_append(crowd->v, letter) == 0, "shv_string_append");
	return shv_arena_detach(p->a);
}

START_TEST(appending_loses_nothing)
{
	size_t len, each[PEERS] = { 0 };
	pid_t pid[PEERS];
	char *all;

	gather(plain_lockspec((unsigned)_i), "", PEERS);
	for (unsigned i = 0; i < PEERS; i++)
		pid[i] = start(appends, &(struct peer){ arena, i });
	for (unsigned i = 0; i < PEERS; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	all = made(shv_string_dup(crowd->v, &len));
	ck_assert_uint_eq(len, (size_t)PEERS * crowd->turns);
	for (size_t i = 0; i < len; i++) {
		ck_assert_int_lt(all[i] - 'a', PEERS);
		each[all[i] - 'a']++;
	}
	for (int i = 0; i < PEERS; i++)
		ck_assert_uint_eq(each[i], crowd->turns);
	free(all);
	disperse();
}
END_TEST

/* Set to nothing and to something in turns: an empty text has no end of its own to be mistaken for another. */
static int empties(void *arg)
{
	struct peer *p = arg;

	meet(&crowd->begin);
	for (unsigned i = 0; i < crowd->turns * 4; i++)
		NEED(shv_string_set(crowd->v, (i + p->number) % 2 ? "" : "something") == 0, "shv_string_set");
	return shv_arena_detach(p->a);
}

START_TEST(empty_texts_leak_nothing)
{
	pid_t pid[PEERS];
	ssize_t n;

	gather(plain_lockspec((unsigned)_i), "", PEERS);
	for (unsigned i = 0; i < PEERS; i++)
		pid[i] = start(empties, &(struct peer){ arena, i });
	for (unsigned i = 0; i < PEERS; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	n = shv_string_get(crowd->v, NULL, 0);
	ck_assert(n == 0 || n == 9);
	disperse();
}
END_TEST

/* ---- freed while others are at it -------------------------------------------------------------------------- */

/* They come by reference; each of them meets the freeing at some point of its own. */
static struct meal {
	shv_ref ref;
	struct gate round, done;
	uint32_t stop;
} *meal;

static int tampers(void *arg)
{
	struct peer *p = arg;

	for (uint32_t round = 1;; round++) {
		shv_value *v;
		int r = 0;

		gate_wait(&meal->round, round);
		if (__atomic_load_n(&meal->stop, __ATOMIC_ACQUIRE))
			return shv_arena_detach(p->a);
		v = shv_deref(p->a, __atomic_load_n(&meal->ref, __ATOMIC_ACQUIRE));
		for (unsigned i = 0; v && r >= 0; i++) {
			r = (i + p->number) % 2 ? shv_string_set(v, "set") : shv_string_append(v, "+");
			NEED(r >= 0 || r == -ESTALE || r == -EINVAL, "%d", r);
		}
		gate_add(&meal->done, 1);
	}
}

START_TEST(string_may_be_freed_while_others_change_it)
{
	enum { ROUNDS = 300, OTHERS = 3 };
	shv_lock *lock = made(shv_lock_new(arena, SHV_PLAIN));
	pid_t pid[OTHERS];

	meal = shared_memory(sizeof(*meal));
	for (unsigned i = 0; i < OTHERS; i++)
		pid[i] = start(tampers, &(struct peer){ arena, i });
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		shv_value *v = made(shv_string_new(arena, "text", _i == 0 ? SHV_NONE : _i == 1 ? SHV_RECURSIVE : SHV_SHARED(lock)));
		long *after[8];
		int r;

		__atomic_store_n(&meal->ref, shv_ref_of(v), __ATOMIC_RELEASE);
		gate_add(&meal->round, 1);
		for (unsigned i = 0; i < round % 50; i++)
			(void)shv_string_peek(v, NULL, 0);
		while ((r = shv_value_free(v)) == -EBUSY)
			sched_yield();
		assert_ok(r);
		/* Where it was may be others now: nobody may write there. */
		for (int i = 0; i < 8; i++)
			after[i] = made(shv_raw_new(arena, made(shv_type_parse("(4)q")), NULL));
		gate_wait(&meal->done, round * OTHERS);
		for (int i = 0; i < 8; i++) {
			for (int k = 0; k < 4; k++)
				ck_assert_int_eq(after[i][k], 0);
			assert_ok(shv_raw_free(after[i]));
		}
	}
	__atomic_store_n(&meal->stop, 1, __ATOMIC_RELEASE);
	gate_add(&meal->round, 1);
	for (unsigned i = 0; i < OTHERS; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	ck_assert_uint_eq(arena_stat(arena).parts, 0);
	assert_ok(shv_lock_free(lock));
	shared_release(meal, sizeof(*meal));
}
END_TEST

/* ---- writers who die --------------------------------------------------------------------------------------- */

static int sets_for_ever(void *arg)
{
	struct peer *p = arg;
	char text[4096];

	for (unsigned i = 0;; i++) {
		size_t n = whole_text(text, sizeof(text), p->number, i);
		int r = shv_string_set_n(crowd->v, text, n);

		NEED(r == 0 || r == SHV_RECOVERED, "shv_string_set_n: %d", r);
		gate_add(&crowd->over, 1);
	}
}

/* The seed says when they are killed. */
START_TEST(killed_writer_leaves_a_whole_text)
{
	enum { DEATHS = 40 };
	struct rng rng = { test_seed("killed_writer_leaves_a_whole_text") };
	unsigned writer, turn;
	char text[4096];

	whole_text(text, sizeof(text), 0, 0);
	gather(plain_lockspec((unsigned)_i), text, 1);
	for (unsigned i = 0; i < DEATHS; i++) {
		pid_t one = start(sets_for_ever, &(struct peer){ arena, 0 }), two = start(sets_for_ever, &(struct peer){ arena, 1 });
		uint32_t at = gate_now(&crowd->over);
		ssize_t n;

		gate_wait(&crowd->over, at + 1 + (uint32_t)rng_below(&rng, 60));
		slay(one);
		slay(two);
		n = shv_string_peek(crowd->v, text, sizeof(text));
		ck_assert_msg(n >= 0 && is_whole(text, (size_t)n, &writer, &turn), "%zd: %.40s", n, text);
		if (i % 2)
			ck_assert_int_ge(shv_arena_recover(arena, NULL), 1);
		n = shv_string_set(crowd->v, text);
		ck_assert(n == 0 || n == SHV_RECOVERED);
		assert_sound(arena);
	}
	ck_assert_int_ge(shv_arena_recover(arena, NULL), 0);
	disperse();
}
END_TEST

static int dies_with_the_lock(void *arg)
{
	struct peer *p = arg;

	NEED(shv_acquire(crowd->v) == 0, "shv_acquire");
	if (p->number)
		NEED(shv_string_set(crowd->v, "by the dead") == 0, "shv_string_set");
	raise(SIGKILL);
	return 0;
}

START_TEST(next_writer_is_told_of_the_dead)
{
	struct shv_holder h = { .size = sizeof(h) };
	pid_t dead;

	gather(SHV_RECURSIVE, "text", 1);
	dead = start(dies_with_the_lock, &(struct peer){ arena, 0 });
	ck_assert_int_eq(finish(dead), -SIGKILL);
	ck_assert_int_eq(_i ? shv_string_append(crowd->v, "+") : shv_string_set(crowd->v, "text+"), SHV_RECOVERED);
	assert_ok(shv_last_holder(crowd->v, &h));
	ck_assert_int_eq(h.pid, dead);
	assert_text(crowd->v, "text+", 5);
	assert_ok(shv_string_set(crowd->v, "again"));
	ck_assert_int_eq(finish(start(dies_with_the_lock, &(struct peer){ arena, 1 })), -SIGKILL);
	assert_text(crowd->v, "by the dead", 11); /* reading only says so by shv_last_holder() */
	assert_ok(shv_last_holder(crowd->v, &h));
	ck_assert_int_ge(shv_arena_recover(arena, NULL), 1);
	disperse();
}
END_TEST

/* ---- threads of one process ---------------------------------------------------------------------------------- */

static void *thread_sets(void *arg)
{
	struct peer *p = arg;
	char text[4096];

	for (unsigned i = 0; i < crowd->turns; i++) {
		size_t n = whole_text(text, sizeof(text), p->number, i);

		NEED(shv_string_set_n(crowd->v, text, n) == 0, "shv_string_set_n");
	}
	gate_add(&crowd->over, 1);
	return NULL;
}

static void *thread_reads(void *arg)
{
	unsigned writer, turn;
	char text[4096];

	(void)arg;
	while (gate_now(&crowd->over) < 2) {
		ssize_t n = shv_string_get(crowd->v, text, sizeof(text));

		NEED(n == -EAGAIN || (n >= 0 && is_whole(text, (size_t)n, &writer, &turn)), "%zd: %.40s", n, text);
		n = shv_string_peek(crowd->v, text, sizeof(text));
		NEED(n == -EAGAIN || (n >= 0 && is_whole(text, (size_t)n, &writer, &turn)), "%zd: %.40s", n, text);
	}
	return NULL;
}

START_TEST(threads_see_whole_texts)
{
	struct peer peers[4] = { { arena, 0 }, { arena, 1 }, { arena, 2 }, { arena, 3 } };
	pthread_t thread[4];
	char text[4096];

	whole_text(text, sizeof(text), 0, 0);
	gather(plain_lockspec((unsigned)_i), text, 1);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, i < 2 ? thread_sets : thread_reads, &peers[i]), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	disperse();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("string");
	TCase *tc = arena_case(suite, "texts");

	tcase_add_loop_test(tc, text_is_what_was_given, 0, LOCKSPECS);
	tcase_add_loop_test(tc, wide_text_is_what_was_given, 0, LOCKSPECS);
	tcase_add_loop_test(tc, text_grows_and_shrinks_over_all_sizes_of_blocks, 0, LOCKSPECS);
	tcase_add_loop_test(tc, appending_grows_a_text, 0, LOCKSPECS);
	tcase_add_loop_test(tc, short_buffers_get_as_much_as_fits, 0, 2);
	tcase_add_test(tc, text_may_lie_in_the_string_itself);
	tcase_add_test(tc, what_is_refused_changes_nothing);
	tcase_add_loop_test(tc, freed_strings_are_stale_and_leave_nothing, 0, LOCKSPECS);
	tcase_add_test(tc, full_arena_keeps_the_old_text);

	tc = arena_case(suite, "as values");
	tcase_add_test(tc, strings_share_locks_and_have_those_of_programs);
	tcase_add_loop_test(tc, what_takes_values_takes_strings, 0, LOCKSPECS);
	tcase_add_loop_test(tc, what_works_on_contents_of_fixed_size_refuses_strings, 0, LOCKSPECS);
	tcase_add_test(tc, inspection_shows_the_whole_text);
	tcase_add_loop_test(tc, read_only_attachments_read, 0, LOCKSPECS);

	tc = arena_case(suite, "together");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, threads_see_whole_texts, 0, LOCKSPECS);
	if (!THREADS_ONLY) {
		tcase_add_loop_test(tc, text_is_always_whole, 0, LOCKSPECS);
		tcase_add_loop_test(tc, appending_loses_nothing, 0, LOCKSPECS);
		tcase_add_loop_test(tc, empty_texts_leak_nothing, 0, LOCKSPECS);
		tcase_add_loop_test(tc, string_may_be_freed_while_others_change_it, 0, 3);
		tcase_add_loop_test(tc, killed_writer_leaves_a_whole_text, 0, LOCKSPECS);
		tcase_add_loop_test(tc, next_writer_is_told_of_the_dead, 0, 2);
	}
	return run_suite(suite);
}
