/* SPDX-License-Identifier: MIT */
/* How an object is found again: references, which go stale when the object goes, and names. */
#include "api/api.h"

/* ---- references --------------------------------------------------------------------------------------- */

START_TEST(reference_leads_back_to_its_object)
{
	void *objects[] = {
		made(SHV_VALUE(arena, int, 1)),
		made(SHV_VALUE(arena, int, 1, SHV_NONE)),
		made(shv_raw_new(arena, SHV_DOUBLE, NULL)),
		made(shv_array_new(arena, SHV_INT, 9, NULL, SHV_PLAIN)),
		made(shv_array_new(arena, SHV_INT, 0, NULL, SHV_PLAIN)),
		made(shv_raw_array_new(arena, SHV_CHAR, 100000, NULL)),
		made(shv_lock_new(arena, SHV_RECURSIVE)),
	};
	enum { N = sizeof(objects) / sizeof(objects[0]) };
	shv_ref refs[N];

	for (unsigned i = 0; i < N; i++) {
		refs[i] = shv_ref_of(objects[i]);
		ck_assert_uint_ne(refs[i], 0);
		ck_assert_uint_eq(shv_ref_of(objects[i]), refs[i]);
		ck_assert_ptr_eq(shv_deref(arena, refs[i]), objects[i]);
		for (unsigned k = 0; k < i; k++)
			ck_assert_uint_ne(refs[i], refs[k]);
	}
}
END_TEST

START_TEST(zero_and_made_up_references_are_refused)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1)), *out = v;
	shv_ref good = shv_ref_of(v);
	const shv_ref odd[] = { 1,
				4095,
				UINT32_MAX,
				UINT64_MAX,
				UINT64_C(1) << 32,
				good ^ 1,
				good ^ (UINT64_C(1) << 32),
				good ^ (UINT64_C(1) << 63),
				good & UINT32_MAX,
				good >> 32,
				good + (UINT64_C(1) << 32) };

	assert_refused_null(shv_deref(arena, 0), EINVAL);
	assert_refused(shv_ref_acquire(arena, 0, &out), EINVAL);
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_refused_null(shv_deref(arena, odd[i]), ESTALE);
		assert_refused(shv_ref_acquire(arena, odd[i], &out), ESTALE);
	}
	ck_assert_ptr_eq(out, v);
}
END_TEST

START_TEST(random_references_lead_to_objects_or_nowhere)
{
	struct rng rng = { 20240229 };
	shv_value *v[100];

	for (int i = 0; i < 100; i++)
		v[i] = made(SHV_VALUE(arena, int, i, plain_lockspec((unsigned)i % LOCKSPECS)));
	for (int i = 0; i < 200000; i++) {
		shv_ref ref = rng_next(&rng);
		void *p;

		if (i % 2) /* near those that are: few slots, few generations */
			ref = (ref & 0x3fff) | (ref >> 32 & 7) << 32;
		p = shv_deref(arena, ref);
		if (p)
			ck_assert_uint_eq(shv_ref_of(p), ref);
		else
			ck_assert(errno == ESTALE || (errno == EINVAL && !ref));
	}
	for (int i = 0; i < 100; i++)
		assert_ok(shv_value_free(v[i]));
}
END_TEST

START_TEST(reference_is_stale_after_the_object_even_if_its_place_is_used_again)
{
	shv_value *first = made(SHV_VALUE(arena, int, 1)), *again, *out = NULL;
	shv_ref old = shv_ref_of(first), next;
	unsigned reused = 0;

	for (unsigned i = 0; i < 1000; i++) {
		assert_ok(shv_value_free(first));
		assert_refused_null(shv_deref(arena, old), ESTALE);
		again = made(SHV_VALUE(arena, int, 2));
		next = shv_ref_of(again);
		ck_assert_uint_ne(next, old);
		reused += again == first;
		assert_refused_null(shv_deref(arena, old), ESTALE);
		assert_refused(shv_ref_acquire(arena, old, &out), ESTALE);
		ck_assert_ptr_null(out);
		ck_assert_ptr_eq(shv_deref(arena, next), again);
		first = again;
		old = next;
	}
	ck_assert_uint_gt(reused, 0); /* else this showed nothing */
}
END_TEST

START_TEST(no_reference_comes_twice)
{
	enum { N = 5000 };
	static shv_ref seen[2 * N];
	shv_value *v[N];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < N; i++) {
			v[i] = made(SHV_VALUE(arena, char, 'x', SHV_NONE));
			seen[round * N + i] = shv_ref_of(v[i]);
		}
		for (int i = 0; i < N; i++)
			assert_ok(shv_value_free(v[i]));
		assert_ok(shv_arena_trim(arena)); /* also when the slots themselves went and came back */
	}
	for (int i = 0; i < N; i++) {
		assert_refused_null(shv_deref(arena, seen[i]), ESTALE);
		for (int k = N; k < 2 * N; k++)
			if (seen[k] == seen[i])
				ck_abort_msg("reference %#llx came twice", (unsigned long long)seen[i]);
	}
}
END_TEST

START_TEST(reference_of_another_arena_is_not_found_in_an_empty_one)
{
	shv_arena *other = made(shv_arena_create(NULL));
	shv_value *out = NULL;

	for (int i = 0; i < 100; i++) {
		shv_ref ref = shv_ref_of(made(SHV_VALUE(arena, int, i)));

		assert_refused_null(shv_deref(other, ref), ESTALE);
		assert_refused(shv_ref_acquire(other, ref, &out), ESTALE);
	}
	ck_assert_ptr_null(out);
	assert_ok(shv_arena_detach(other));
}
END_TEST

START_TEST(reference_is_the_same_number_in_each_mapping)
{
	shv_arena *second = made(shv_arena_attach(shv_arena_fd(arena), 0));
	shv_arena *readonly = made(shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY));
	shv_value *v = made(SHV_VALUE(arena, int, 41)), *w, *r, *locked;
	shv_ref ref = shv_ref_of(v);
	int out = 0;

	w = made((shv_value *)shv_deref(second, ref));
	r = made((shv_value *)shv_deref(readonly, ref));
	ck_assert_ptr_ne(v, w);
	ck_assert_ptr_ne(v, r);
	ck_assert_uint_eq(shv_ref_of(w), ref);
	ck_assert_uint_eq(shv_ref_of(r), ref);
	assert_ok(shv_add(w, 1, NULL));
	ck_assert_int_eq(SHV_LOAD(v, int), 42);
	assert_ok(shv_peek(r, &out, sizeof(out)));
	ck_assert_int_eq(out, 42);
	/* One lock, whatever the mapping. */
	assert_ok(shv_ref_acquire(second, ref, &locked));
	ck_assert_ptr_eq(locked, w);
	assert_ok(shv_release(v));
	assert_refused(shv_release(w), EPERM);
	assert_ok(shv_value_free(w));
	assert_refused_null(shv_deref(arena, ref), ESTALE);
	assert_refused_null(shv_deref(readonly, ref), ESTALE);
	assert_ok(shv_arena_detach(readonly));
	assert_ok(shv_arena_detach(second));
}
END_TEST

START_TEST(ref_acquire_finds_and_locks)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1, plain_lockspec((unsigned)_i))), *out = NULL;
	struct shv_holder h = { .size = sizeof(h) };

	assert_ok(shv_ref_acquire(arena, shv_ref_of(v), &out));
	ck_assert_ptr_eq(out, v);
	ck_assert_int_eq(shv_value_holder(v, &h), _i < (int)LOCKS);
	assert_ok(shv_release(v));
}
END_TEST

START_TEST(ref_acquire_leaves_its_result_alone_when_refused)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1, SHV_PLAIN)), *gone = made(SHV_VALUE(arena, int, 1));
	void *raw = made(shv_raw_new(arena, SHV_INT, NULL));
	shv_lock *lock = made(shv_lock_new(arena, SHV_PLAIN));
	shv_ref stale = shv_ref_of(gone);
	shv_value *const mark = (shv_value *)&stale;
	shv_value *out = mark;

	assert_ok(shv_value_free(gone));
	assert_refused(shv_ref_acquire(arena, stale, &out), ESTALE);
	assert_refused(shv_ref_acquire(arena, shv_ref_of(raw), &out), EINVAL);
	assert_refused(shv_ref_acquire(arena, shv_ref_of(lock), &out), EINVAL);
	assert_refused(shv_ref_acquire(arena, shv_ref_of(v), NULL), EINVAL);
	assert_ok(shv_acquire(v));
	assert_refused(shv_ref_acquire(arena, shv_ref_of(v), &out), EDEADLK);
	assert_ok(shv_release(v));
	ck_assert_ptr_eq(out, mark);
	ck_assert_int_eq(shv_value_holder(v, &(struct shv_holder){ 0 }), 0);
}
END_TEST

/* ---- names -------------------------------------------------------------------------------------------- */

START_TEST(published_object_is_found)
{
	struct {
		const char *name;
		void *p;
	} it[] = {
		{ "value", made(SHV_VALUE(arena, int, 1)) },
		{ "value without lock", made(SHV_VALUE(arena, int, 1, SHV_NONE)) },
		{ "raw", made(shv_raw_new(arena, SHV_INT, NULL)) },
		{ "array", made(shv_array_new(arena, SHV_INT, 3, NULL, SHV_PLAIN)) },
		{ "raw array", made(shv_raw_array_new(arena, SHV_INT, 3, NULL)) },
		{ "lock", made(shv_lock_new(arena, SHV_RECURSIVE)) },
	};
	enum { N = sizeof(it) / sizeof(it[0]) };

	for (unsigned i = 0; i < N; i++) {
		assert_refused_null(shv_find(arena, it[i].name), ENOENT);
		assert_ok(shv_publish(it[i].p, it[i].name));
	}
	for (unsigned i = 0; i < N; i++)
		ck_assert_ptr_eq(shv_find(arena, it[i].name), it[i].p);
	ck_assert_uint_eq(arena_stat(arena).names, N);
}
END_TEST

START_TEST(object_has_one_name_and_a_name_one_object)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1)), *w = made(SHV_VALUE(arena, int, 2));

	assert_ok(shv_publish(v, "first"));
	assert_refused(shv_publish(v, "second"), EEXIST);
	assert_refused(shv_publish(v, "first"), EEXIST);
	assert_refused(shv_publish(w, "first"), EEXIST);
	ck_assert_ptr_eq(shv_find(arena, "first"), v);
	assert_refused_null(shv_find(arena, "second"), ENOENT);
	ck_assert_uint_eq(arena_stat(arena).names, 1);
	/* Refusals left nothing that would be in the way. */
	assert_ok(shv_publish(w, "second"));
	ck_assert_ptr_eq(shv_find(arena, "second"), w);
}
END_TEST

START_TEST(unpublished_name_is_free_again)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1)), *w = made(SHV_VALUE(arena, int, 2));

	assert_ok(shv_publish(v, "name"));
	assert_ok(shv_unpublish(arena, "name"));
	assert_refused_null(shv_find(arena, "name"), ENOENT);
	assert_refused(shv_unpublish(arena, "name"), ENOENT);
	ck_assert_int_eq(SHV_LOAD(v, int), 1);
	assert_ok(shv_publish(w, "name"));
	assert_ok(shv_publish(v, "other name"));
	ck_assert_ptr_eq(shv_find(arena, "name"), w);
	ck_assert_ptr_eq(shv_find(arena, "other name"), v);
}
END_TEST

START_TEST(name_of_a_freed_object_goes_with_it)
{
	for (unsigned i = 0; i < LOCKSPECS; i++) {
		shv_value *v = made(SHV_VALUE(arena, int, 1, plain_lockspec(i)));
		void *raw = made(shv_raw_new(arena, SHV_INT, NULL));
		shv_value *array = made(shv_array_new(arena, SHV_INT, 7, NULL, plain_lockspec(i)));

		for (int again = 0; again < 2; again++) {
			assert_ok(shv_publish(v, "value"));
			assert_ok(shv_publish(raw, "raw"));
			assert_ok(shv_publish(array, "array"));
			assert_ok(shv_value_free(v));
			assert_ok(shv_raw_free(raw));
			assert_ok(shv_value_free(array));
			assert_refused_null(shv_find(arena, "value"), ENOENT);
			assert_refused_null(shv_find(arena, "raw"), ENOENT);
			assert_refused_null(shv_find(arena, "array"), ENOENT);
			ck_assert_uint_eq(arena_stat(arena).names, 0);
			/* A new object at the old place has no name. */
			v = made(SHV_VALUE(arena, int, 1, plain_lockspec(i)));
			raw = made(shv_raw_new(arena, SHV_INT, NULL));
			array = made(shv_array_new(arena, SHV_INT, 7, NULL, plain_lockspec(i)));
			assert_refused(shv_value_name(arena, shv_ref_of(v), NULL, 0), ENOENT);
		}
		assert_ok(shv_value_free(v));
		assert_ok(shv_raw_free(raw));
		assert_ok(shv_value_free(array));
	}
}
END_TEST

START_TEST(name_has_1_to_255_bytes)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1));
	char name[300], out[300];
	int created = 77;

	memset(name, 'n', sizeof(name));
	for (size_t n = 1; n <= 255; n += n < 250 ? 83 : 1) {
		name[n] = 0;
		assert_ok(shv_publish(v, name));
		ck_assert_ptr_eq(shv_find(arena, name), v);
		ck_assert_int_eq(shv_value_name(arena, shv_ref_of(v), out, sizeof(out)), n);
		ck_assert_str_eq(out, name);
		assert_ok(shv_unpublish(arena, name));
		name[n] = 'n';
	}
	name[256] = 0;
	assert_refused(shv_publish(v, name), ENAMETOOLONG);
	assert_refused_null(shv_find(arena, name), ENAMETOOLONG);
	assert_refused(shv_unpublish(arena, name), ENAMETOOLONG);
	assert_refused_null(shv_find_or_new(arena, name, SHV_INT, NULL, SHV_NONE, &created), ENAMETOOLONG);
	assert_refused(shv_publish(v, ""), EINVAL);
	assert_refused_null(shv_find(arena, ""), EINVAL);
	assert_refused(shv_unpublish(arena, ""), EINVAL);
	assert_refused_null(shv_find_or_new(arena, "", SHV_INT, NULL, SHV_NONE, &created), EINVAL);
	assert_refused(shv_publish(v, NULL), EINVAL);
	assert_refused_null(shv_find(arena, NULL), EINVAL);
	assert_refused(shv_unpublish(arena, NULL), EINVAL);
	assert_refused_null(shv_find_or_new(arena, NULL, SHV_INT, NULL, SHV_NONE, &created), EINVAL);
	ck_assert_int_eq(created, 77);
	ck_assert_uint_eq(arena_stat(arena).objects, 1);
}
END_TEST

START_TEST(names_are_any_bytes_and_compared_whole)
{
	static const char *const names[] = { "a",    "A",           "a ",       " a",    "aa",   "a\n",
					     "a/b",  "../a",        "\x01\xff", "größe", "名前", "name\twith",
					     "%s%n", "a (deleted)", "b",        "ab" };
	enum { N = sizeof(names) / sizeof(names[0]) };
	shv_value *v[N];

	for (unsigned i = 0; i < N; i++) {
		v[i] = made(SHV_VALUE(arena, unsigned, i));
		assert_ok(shv_publish(v[i], names[i]));
	}
	for (unsigned i = 0; i < N; i++)
		ck_assert_ptr_eq(shv_find(arena, names[i]), v[i]);
	assert_refused_null(shv_find(arena, "%s%n%s"), ENOENT);
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "%s%n%s"));
}
END_TEST

/* ---- walking ------------------------------------------------------------------------------------------ */

START_TEST(walk_is_empty_without_names)
{
	uint64_t cursor = 0;
	char name[8] = "untouch";

	made(SHV_VALUE(arena, int, 1));
	ck_assert_int_eq(shv_next_name(arena, &cursor, name, sizeof(name), NULL), 0);
	ck_assert_str_eq(name, "untouch");
	assert_refused(shv_next_name(arena, NULL, name, sizeof(name), NULL), EINVAL);
	assert_refused(shv_next_name(arena, &cursor, NULL, 1, NULL), EINVAL);
	assert_refused(shv_next_name(NULL, &cursor, name, sizeof(name), NULL), EINVAL);
}
END_TEST

START_TEST(walk_cuts_names_to_the_buffer)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1));
	char name[16];
	shv_ref ref = 0;

	assert_ok(shv_publish(v, "quite a long name"));
	for (size_t size = 0; size <= sizeof(name); size++) {
		uint64_t cursor = 0;

		memset(name, '#', sizeof(name));
		ck_assert_int_eq(shv_next_name(arena, &cursor, size ? name : NULL, size, &ref), 1);
		ck_assert_uint_eq(ref, shv_ref_of(v));
		if (size) {
			ck_assert_uint_eq(strlen(name), size - 1);
			ck_assert_int_eq(strncmp(name, "quite a long name", size - 1), 0);
		}
		for (size_t i = size; i < sizeof(name); i++)
			ck_assert_int_eq(name[i], '#');
		ck_assert_int_eq(shv_next_name(arena, &cursor, name, sizeof(name), NULL), 0);
	}
}
END_TEST

enum { MANY = 10000 };

static const char *nth_name(int i)
{
	static char name[64];

	snprintf(name, sizeof(name), "name %d of many%s", i, i % 3 ? "" : ", and some are longer than the others");
	return name;
}

/* Each name is seen once, with the object that has it; returns how many. */
static int walk_all(shv_value **v, unsigned char *seen)
{
	uint64_t cursor = 0;
	char name[64];
	shv_ref ref;
	int n = 0, r;

	memset(seen, 0, MANY);
	while ((r = shv_next_name(arena, &cursor, name, sizeof(name), &ref)) == 1) {
		int i;

		ck_assert_int_eq(sscanf(name, "name %d of many", &i), 1);
		ck_assert(i >= 0 && i < MANY);
		ck_assert_str_eq(name, nth_name(i));
		ck_assert_ptr_eq(shv_deref(arena, ref), v[i]);
		ck_assert_int_eq(seen[i], 0);
		seen[i] = 1;
		n++;
	}
	ck_assert_int_eq(r, 0);
	return n;
}

START_TEST(ten_thousand_names_are_kept_apart)
{
	static shv_value *v[MANY];
	static unsigned char seen[MANY];

	for (int i = 0; i < MANY; i++) {
		v[i] = made(SHV_VALUE(arena, int, i, plain_lockspec((unsigned)i % LOCKSPECS)));
		assert_ok(shv_publish(v[i], nth_name(i)));
	}
	ck_assert_uint_eq(arena_stat(arena).names, MANY);
	for (int i = 0; i < MANY; i++)
		ck_assert_ptr_eq(shv_find(arena, nth_name(i)), v[i]);
	ck_assert_int_eq(walk_all(v, seen), MANY);
	/* A third goes with its objects, a third by itself. */
	for (int i = 0; i < MANY; i++) {
		if (i % 3 == 0)
			assert_ok(shv_value_free(v[i]));
		else if (i % 3 == 1)
			assert_ok(shv_unpublish(arena, nth_name(i)));
	}
	ck_assert_int_eq(walk_all(v, seen), MANY / 3);
	for (int i = 0; i < MANY; i++) {
		void *found = shv_find(arena, nth_name(i));

		ck_assert_ptr_eq(found, i % 3 == 2 ? v[i] : NULL);
		ck_assert_int_eq(seen[i], i % 3 == 2);
	}
	assert_sound(arena);
	for (int i = 0; i < MANY; i++)
		if (i % 3)
			assert_ok(shv_value_free(v[i]));
	ck_assert_uint_eq(arena_stat(arena).names, 0);
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_eq(arena_stat(arena).parts, 0);
}
END_TEST

/* Publishing and taking back again and again must not fill the table with leavings. */
START_TEST(names_that_come_and_go_take_no_room)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1));
	uint64_t system = 0;

	for (int i = 0; i < 30000; i++) {
		assert_ok(shv_publish(v, nth_name(i)));
		assert_ok(shv_unpublish(arena, nth_name(i)));
		if (i == 3000)
			system = arena_stat(arena).pages_system;
	}
	ck_assert_uint_le(arena_stat(arena).pages_system, system);
	ck_assert_uint_eq(arena_stat(arena).names, 0);
}
END_TEST

/* ---- find or make ------------------------------------------------------------------------------------- */

START_TEST(find_or_new_makes_once_and_finds_then)
{
	int init = 7, created = 77;
	shv_value *v = made((shv_value *)shv_find_or_new(arena, "n", SHV_INT, &init, SHV_PLAIN, &created));

	ck_assert_int_eq(created, 1);
	ck_assert_int_eq(SHV_LOAD(v, int), 7);
	ck_assert_int_eq(shv_kind_of(v), SHV_KIND_VALUE);
	init = 8;
	ck_assert_ptr_eq(shv_find_or_new(arena, "n", SHV_INT, &init, SHV_NONE, &created), v);
	ck_assert_int_eq(created, 0);
	ck_assert_int_eq(SHV_LOAD(v, int), 7);
	ck_assert_ptr_eq(shv_find_or_new(arena, "n", SHV_INT, NULL, SHV_PLAIN, NULL), v);
	ck_assert_ptr_eq(shv_find(arena, "n"), v);
	assert_ok(shv_value_free(v));
	v = made((shv_value *)shv_find_or_new(arena, "n", SHV_INT, NULL, SHV_PLAIN, &created));
	ck_assert_int_eq(created, 1);
	ck_assert_int_eq(SHV_LOAD(v, int), 0);
	ck_assert_uint_eq(arena_stat(arena).objects, 1);
}
END_TEST

START_TEST(find_or_new_refuses_another_type_or_kind)
{
	int created = 77;

	assert_ok(shv_publish(made(SHV_VALUE(arena, int, 1)), "int"));
	assert_ok(shv_publish(made(shv_raw_new(arena, SHV_INT, NULL)), "raw"));
	assert_ok(shv_publish(made(shv_array_new(arena, SHV_INT, 1, NULL, SHV_NONE)), "array"));
	assert_ok(shv_publish(made(shv_lock_new(arena, SHV_RECURSIVE)), "lock"));
	assert_refused_null(shv_find_or_new(arena, "int", SHV_UINT, NULL, SHV_NONE, &created), EEXIST);
	assert_refused_null(shv_find_or_new(arena, "int", SHV_DOUBLE, NULL, SHV_NONE, &created), EEXIST);
	assert_refused_null(shv_find_or_new(arena, "raw", SHV_INT, NULL, SHV_NONE, &created), EEXIST);
	assert_refused_null(shv_find_or_new(arena, "array", SHV_INT, NULL, SHV_NONE, &created), EEXIST);
	assert_refused_null(shv_find_or_new(arena, "lock", SHV_INT, NULL, SHV_NONE, &created), EEXIST);
	assert_refused_null(shv_find_or_new(arena, "new", NULL, NULL, SHV_NONE, &created), EINVAL);
	assert_refused_null(shv_find_or_new(arena, "new", SHV_INT, NULL, SHV_SHARED(NULL), &created), EINVAL);
	assert_refused_null(shv_find_or_new(NULL, "new", SHV_INT, NULL, SHV_NONE, &created), EINVAL);
	ck_assert_int_eq(created, 77);
	assert_refused_null(shv_find(arena, "new"), ENOENT);
	ck_assert_uint_eq(arena_stat(arena).objects, 4);
}
END_TEST

enum { RACERS = 4, RACES = 300 };

struct race {
	struct meeting start;
	shv_value *got[RACERS];
	int created[RACERS];
};

struct racer {
	struct race *race;
	int me;
};

static void *run_race(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < RACES; i++) {
		char name[16];
		int created = 0;

		snprintf(name, sizeof(name), "race %d", i);
		meet(&r->race->start);
		r->race->got[r->me] = shv_find_or_new(arena, name, SHV_INT, NULL, SHV_NONE, &created);
		NEED(r->race->got[r->me], "shv_find_or_new");
		r->race->created[r->me] += created;
		NEED(!shv_add(r->race->got[r->me], 1, NULL), "shv_add");
		meet(&r->race->start);
		for (int k = 0; k < RACERS; k++)
			NEED(r->race->got[k] == r->race->got[0], "racers got different objects");
	}
	return NULL;
}

START_TEST(racers_get_the_same_object)
{
	static struct race race;
	struct racer racers[RACERS];
	pthread_t thread[RACERS];
	int created = 0;

	memset(&race, 0, sizeof(race));
	race.start.parties = RACERS;
	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){ &race, i };
		ck_assert_int_eq(pthread_create(&thread[i], NULL, run_race, &racers[i]), 0);
	}
	for (int i = 0; i < RACERS; i++) {
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
		created += race.created[i];
	}
	ck_assert_int_eq(created, RACES);
	ck_assert_uint_eq(arena_stat(arena).values, RACES);
	for (int i = 0; i < RACES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "race %d", i);
		ck_assert_int_eq(SHV_LOAD(made((shv_value *)shv_find(arena, name)), int), RACERS);
	}
}
END_TEST

/* Names that others publish, free and take back while we look: what is found is what was asked for, or nothing. */
struct traffic {
	struct gate stop;
	int number;
};

static void *come_and_go(void *arg)
{
	struct traffic *t = arg;

	for (int i = 0; !gate_now(&t->stop); i++) {
		char name[32];
		shv_value *v = SHV_VALUE(arena, int, i, SHV_NONE);

		snprintf(name, sizeof(name), "thread %d, name %d", t->number, i % 50);
		NEED(v, "SHV_VALUE");
		NEED(!shv_publish(v, name), "shv_publish");
		NEED(shv_find(arena, name) == v, "own name");
		if (i % 2)
			NEED(!shv_unpublish(arena, name), "shv_unpublish");
		NEED(!shv_value_free(v), "shv_value_free");
	}
	return NULL;
}

START_TEST(lookup_amid_traffic_finds_the_right_object)
{
	static struct traffic traffic[3];
	shv_value *v[100];
	pthread_t thread[3];
	char name[32];

	memset(traffic, 0, sizeof(traffic));
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "mine %d", i);
		v[i] = made(SHV_VALUE(arena, int, i));
		assert_ok(shv_publish(v[i], name));
	}
	for (int i = 0; i < 3; i++) {
		traffic[i].number = i;
		ck_assert_int_eq(pthread_create(&thread[i], NULL, come_and_go, &traffic[i]), 0);
	}
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "mine %d", i % 100);
		ck_assert_ptr_eq(shv_find(arena, name), v[i % 100]);
	}
	for (int i = 0; i < 3; i++)
		gate_add(&traffic[i].stop, 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	ck_assert_uint_eq(arena_stat(arena).names, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names");
	TCase *tc = arena_case(suite, "references");

	tcase_add_test(tc, reference_leads_back_to_its_object);
	tcase_add_test(tc, zero_and_made_up_references_are_refused);
	tcase_add_test(tc, random_references_lead_to_objects_or_nowhere);
	tcase_add_test(tc, reference_is_stale_after_the_object_even_if_its_place_is_used_again);
	tcase_add_test(tc, no_reference_comes_twice);
	tcase_add_test(tc, reference_of_another_arena_is_not_found_in_an_empty_one);
	tcase_add_test(tc, reference_is_the_same_number_in_each_mapping);
	tcase_add_loop_test(tc, ref_acquire_finds_and_locks, 0, LOCKSPECS);
	tcase_add_test(tc, ref_acquire_leaves_its_result_alone_when_refused);

	tc = arena_case(suite, "names");
	tcase_add_test(tc, published_object_is_found);
	tcase_add_test(tc, object_has_one_name_and_a_name_one_object);
	tcase_add_test(tc, unpublished_name_is_free_again);
	tcase_add_test(tc, name_of_a_freed_object_goes_with_it);
	tcase_add_test(tc, name_has_1_to_255_bytes);
	tcase_add_test(tc, names_are_any_bytes_and_compared_whole);
	tcase_add_test(tc, walk_is_empty_without_names);
	tcase_add_test(tc, walk_cuts_names_to_the_buffer);
	tcase_add_test(tc, ten_thousand_names_are_kept_apart);
	tcase_add_test(tc, names_that_come_and_go_take_no_room);

	tc = arena_case(suite, "find or new");
	tcase_add_test(tc, find_or_new_makes_once_and_finds_then);
	tcase_add_test(tc, find_or_new_refuses_another_type_or_kind);
	tcase_add_test(tc, racers_get_the_same_object);
	tcase_add_test(tc, lookup_amid_traffic_finds_the_right_object);
	return run_suite(suite);
}
