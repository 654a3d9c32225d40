/* SPDX-License-Identifier: MIT */
/* Members by path: in values, raw objects and arrays, against what the compiler says. */
#include "api/api.h"

#include <stddef.h>

struct position {
	double x, y;
};
struct body {
	char name[6];
	struct position pos, old[2];
	short m[2][3];
	long id;
};

static const shv_type *position_type, *body_type;

static void setup(void)
{
	const struct shv_field position[] = { SHV_FIELD(struct position, x, SHV_DOUBLE), SHV_FIELD(struct position, y, SHV_DOUBLE) };
	struct shv_field body[] = { SHV_FIELD(struct body, name, SHV_CHAR), SHV_FIELD(struct body, pos, NULL),
				    SHV_FIELD(struct body, old, NULL), SHV_FIELD(struct body, m, NULL),
				    SHV_FIELD(struct body, id, SHV_LONG) };

	arena_setup();
	position_type = made(shv_type_struct("position", sizeof(struct position), position, 2));
	body[1].type = body[2].type = position_type;
	body[3].type = made(shv_type_parse("(3)h"));
	body_type = made(shv_type_struct("body", sizeof(struct body), body, 5));
}

/* What paths lead to, as C has it. */
#define PART(path, member, format) { path, offsetof(struct body, member), sizeof(((struct body *)0)->member), format }
static const struct part {
	const char *path;
	size_t offset, extent;
	const char *format;
} parts[] = {
	{ "", 0, sizeof(struct body), NULL },
	PART("name", name, "(6)c"),
	PART("name[0]", name[0], "c"),
	PART("name[5]", name[5], "c"),
	PART("pos", pos, NULL),
	PART("pos.x", pos.x, "d"),
	PART("pos.y", pos.y, "d"),
	PART("old", old, NULL),
	PART("old[1]", old[1], NULL),
	PART("old[0].y", old[0].y, "d"),
	PART("old[1].x", old[1].x, "d"),
	PART("m", m, "(2,3)h"),
	PART("m[1]", m[1], "(3)h"),
	PART("m[1][2]", m[1][2], "h"),
	PART("m[0][0]", m[0][0], "h"),
	PART("m[01][002]", m[1][2], "h"),
	PART("id", id, "l"),
};
#define PARTS ((int)(sizeof(parts) / sizeof(parts[0])))

static const struct wrong {
	const char *path;
	int code;
	const char *says; /* in the sentence */
} wrong[] = {
	{ "z", ENOENT, "position 0" },
	{ "nam", ENOENT, "position 0" },
	{ "names", ENOENT, "position 0" },
	{ "pos.z", ENOENT, "position 4" },
	{ "pos.x.y", ENOENT, "position 6" },
	{ "id.x", ENOENT, "position 3" },
	{ "old.x", ENOENT, "position 4" },
	{ "id[0]", ENOENT, "position 2" },
	{ "pos[0]", ENOENT, "position 3" },
	{ "[0]", ENOENT, "position 0" },
	{ "m[0][0][0]", ENOENT, "position 7" },
	{ "name[6]", ERANGE, "6 items" },
	{ "m[2]", ERANGE, "2 items" },
	{ "m[1][3]", ERANGE, "position 4" },
	{ "old[18446744073709551616]", ERANGE, "2 items" },
	{ "old[18446744073709551615]", ERANGE, "2 items" },
	{ "old[99999999999999999999999999999999]", ERANGE, "2 items" },
	{ ".", EINVAL, "position 0" },
	{ ".name", EINVAL, "position 0" },
	{ "pos.", EINVAL, "position 4" },
	{ "pos..x", EINVAL, "position 4" },
	{ "pos.[0]", EINVAL, "position 4" },
	{ "old[", EINVAL, "position 3" },
	{ "old[]", EINVAL, "position 3" },
	{ "old[1", EINVAL, "position 3" },
	{ "old[-1]", EINVAL, "position 3" },
	{ "old[+1]", EINVAL, "position 3" },
	{ "old[ 1]", EINVAL, "position 3" },
	{ "old[1 ]", EINVAL, "position 3" },
	{ "old[x]", EINVAL, "position 3" },
	{ "old[0x1]", EINVAL, "position 3" },
	{ "old[1]x", EINVAL, "position 6" },
	{ "old]", ENOENT, "position 0" },
	{ "m[0,1]", EINVAL, "position 1" },
};
#define WRONG ((int)(sizeof(wrong) / sizeof(wrong[0])))

START_TEST(path_leads_where_the_compiler_puts_the_member)
{
	const struct part *p = &parts[_i];
	struct shv_field_info info = { .size = sizeof(info) };
	char path[64];

	assert_ok(shv_type_field(body_type, p->path, &info));
	ck_assert_uint_eq(info.offset, p->offset);
	ck_assert_uint_eq(info.extent, p->extent);
	ck_assert_uint_eq(shv_type_size(info.type), p->extent);
	ck_assert_uint_eq(info.size, sizeof(info));
	if (p->format)
		ck_assert_str_eq(shv_type_format(info.type), p->format);
	for (unsigned i = 0; i <= LOCKSPECS; i++) {
		struct body in[3] = { 0 };
		unsigned char out[sizeof(struct body)], seen[sizeof(struct body)];
		shv_value *v, *a;
		bool raw = i == LOCKSPECS;

		for (size_t k = 0; k < sizeof(in); k++)
			((unsigned char *)in)[k] = (unsigned char)(k * 11 + i);
		v = made(raw ? shv_raw_new(arena, body_type, in) : (void *)shv_value_new(arena, body_type, in, plain_lockspec(i)));
		a = made(raw ? shv_raw_array_new(arena, body_type, 3, in) : (void *)shv_array_new(arena, body_type, 3, in, plain_lockspec(i)));
		ck_assert_ptr_eq(shv_field(v, p->path, NULL), (char *)v + p->offset);
		ck_assert_ptr_eq(shv_field(v, p->path, info.type), (char *)v + p->offset);
		assert_ok(shv_field_get(v, p->path, out, p->extent));
		ck_assert_mem_eq(out, (char *)in + p->offset, p->extent);
		assert_refused(shv_field_get(v, p->path, out, p->extent + 1), EINVAL);
		assert_refused(shv_field_set(v, p->path, out, p->extent - 1), EINVAL);
		/* Of an array, the item first. What is set is set there, and nowhere else. */
		snprintf(path, sizeof(path), "[2]%s%s", *p->path ? "." : "", p->path);
		ck_assert_ptr_eq(shv_field(a, path, NULL), (char *)shv_at(a, 2) + p->offset);
		for (size_t k = 0; k < p->extent; k++)
			out[k] = (unsigned char)~out[k];
		assert_ok(shv_field_set(a, path, out, p->extent));
		assert_ok(shv_field_get(a, path, seen, p->extent));
		ck_assert_mem_eq(seen, out, p->extent);
		memcpy((char *)&in[2] + p->offset, out, p->extent);
		ck_assert_mem_eq(a, in, sizeof(in));
		if (!raw)
			ck_assert_uint_eq(depth_of(a), 0);
	}
}
END_TEST

START_TEST(wrong_path_is_refused_with_the_position)
{
	const struct wrong *w = &wrong[_i];
	struct shv_field_info info = { .offset = 77 };
	struct body b;
	shv_value *v = made(shv_value_new(arena, body_type, NULL, SHV_RECURSIVE));

	assert_refused(shv_type_field(body_type, w->path, &info), w->code);
	ck_assert_msg(strstr(shv_errmsg(), w->says) && strstr(shv_errmsg(), w->path), "%s", shv_errmsg());
	ck_assert_uint_eq(info.offset, 77);
	assert_refused_null(shv_field(v, w->path, NULL), w->code);
	assert_refused(shv_field_get(v, w->path, &b, 8), w->code);
	assert_refused(shv_field_set(v, w->path, &b, 8), w->code);
	ck_assert_uint_eq(depth_of(v), 0);
}
END_TEST

START_TEST(array_is_entered_by_an_item)
{
	shv_value *a = made(shv_array_new(arena, body_type, 3, NULL, SHV_PLAIN));
	shv_value *none = made(shv_array_new(arena, SHV_INT, 0, NULL, SHV_PLAIN));
	shv_value *rows = made(shv_array_new(arena, made(shv_type_parse("(4)i")), 3, NULL, SHV_PLAIN));
	int x = 7;

	assert_refused_null(shv_field(a, "", NULL), ENOENT);
	assert_refused_null(shv_field(a, "pos", NULL), ENOENT);
	assert_refused_null(shv_field(a, "[3]", NULL), ERANGE);
	assert_refused_null(shv_field(a, "[1]pos", NULL), EINVAL);
	assert_refused_null(shv_field(none, "[0]", NULL), ERANGE);
	assert_ok(shv_field_set(rows, "[2][3]", &x, sizeof(x)));
	ck_assert_int_eq(((int *)rows)[2 * 4 + 3], 7);
	assert_refused_null(shv_field(rows, "[2][4]", NULL), ERANGE);
	assert_refused_null(shv_field(rows, "[0][0][0]", NULL), ENOENT);
}
END_TEST

START_TEST(type_is_compared_by_content)
{
	const struct shv_field same[] = { SHV_FIELD(struct position, x, SHV_DOUBLE), SHV_FIELD(struct position, y, SHV_DOUBLE) };
	const struct shv_field other[] = { { 0, "x", SHV_DOUBLE, 0, 8 }, { 0, "z", SHV_DOUBLE, 8, 8 } };
	shv_value *v = made(shv_value_new(arena, body_type, NULL, SHV_NONE));

	ck_assert_ptr_nonnull(shv_field(v, "pos", made(shv_type_struct("another name", sizeof(struct position), same, 2))));
	ck_assert_ptr_nonnull(shv_field(v, "pos", made(shv_type_parse("T{d:x:d:y:}"))));
	assert_refused_null(shv_field(v, "pos", made(shv_type_struct("position", sizeof(struct position), other, 2))), EINVAL);
	ck_assert_ptr_nonnull(shv_field(v, "id", SHV_LONGLONG));
	assert_refused_null(shv_field(v, "id", SHV_ULONG), EINVAL);
	assert_refused_null(shv_field(v, "id", SHV_DOUBLE), EINVAL);
	assert_refused_null(shv_field(v, "m[0][0]", SHV_USHORT), EINVAL);
	assert_refused_null(shv_field(v, "m", made(shv_type_parse("(3,2)h"))), EINVAL);
}
END_TEST

/* Nothing in it is aligned. */
START_TEST(packed_members_are_reached)
{
	const shv_type *packed = made(shv_type_parse("^T{c:c:i:i:d:d:h:h:}"));
	shv_value *v = made(shv_value_new(arena, packed, NULL, SHV_NONE));
	double d = 1.5, got;
	int i = 0x01020304, seen;
	short h = 9;

	assert_ok(shv_field_set(v, "i", &i, sizeof(i)));
	assert_ok(shv_field_set(v, "d", &d, sizeof(d)));
	assert_ok(shv_field_set(v, "h", &h, sizeof(h)));
	ck_assert_mem_eq((char *)v + 1, &i, 4);
	ck_assert_mem_eq((char *)v + 5, &d, 8);
	ck_assert_mem_eq((char *)v + 13, &h, 2);
	assert_ok(shv_field_get(v, "i", &seen, sizeof(seen)));
	assert_ok(shv_field_get(v, "d", &got, sizeof(got)));
	ck_assert_int_eq(seen, i);
	ck_assert(got == d);
	ck_assert_int_eq(((char *)v)[0], 0);
}
END_TEST

START_TEST(read_only_attachment_reads_members)
{
	shv_value *v = made(shv_value_new(arena, body_type, NULL, SHV_RECURSIVE)), *seen;
	shv_arena *ro = made(shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY));
	long id = 42, got = 0;

	assert_ok(shv_field_set(v, "id", &id, sizeof(id)));
	seen = made((shv_value *)shv_deref(ro, shv_ref_of(v)));
	assert_ok(shv_field_get(seen, "id", &got, sizeof(got)));
	ck_assert_int_eq(got, 42);
	assert_refused(shv_field_set(seen, "id", &got, sizeof(got)), EROFS);
	assert_refused(shv_field_get(seen, "id", &got, 4), EINVAL);
	assert_refused(shv_field_get(seen, "x", &got, 8), ENOENT);
	/* A writer is inside: nothing is seen of it. */
	assert_ok(shv_acquire(v));
	assert_refused(shv_field_get(seen, "id", &got, sizeof(got)), EAGAIN);
	assert_ok(shv_release(v));
	assert_ok(shv_arena_detach(ro));
}
END_TEST

static int die_inside(void *arg)
{
	NEED(!shv_acquire(arg), "shv_acquire");
	_exit(3);
}

START_TEST(death_of_the_holder_is_passed_on)
{
	shv_value *v = made(shv_value_new(arena, body_type, NULL, SHV_RECURSIVE));
	long id = 1;

	ck_assert_int_eq(finish(start(die_inside, v)), 3);
	ck_assert_int_eq(shv_field_set(v, "id", &id, sizeof(id)), SHV_RECOVERED);
	ck_assert_int_eq(finish(start(die_inside, v)), 3);
	ck_assert_int_eq(shv_field_get(v, "id", &id, sizeof(id)), SHV_RECOVERED);
	ck_assert_int_eq(id, 1);
	ck_assert_int_eq(shv_field_get(v, "id", &id, sizeof(id)), 0);
}
END_TEST

/* The lock is really taken: members that belong together are never seen apart. */
enum { ROUNDS = 20000 };

static void *writer(void *arg)
{
	struct position p;

	for (int i = 0; i < ROUNDS; i++) {
		p.x = p.y = i;
		NEED(!shv_field_set(arg, "pos", &p, sizeof(p)), "shv_field_set");
	}
	return NULL;
}

START_TEST(members_of_a_member_are_set_together)
{
	shv_value *v = made(shv_value_new(arena, body_type, NULL, SHV_RECURSIVE));
	struct position p = { 0, 0 };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, writer, v), 0);
	while (p.x != ROUNDS - 1) {
		assert_ok(shv_field_get(v, "pos", &p, sizeof(p)));
		ck_assert(p.x == p.y);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("field");
	TCase *tc = tcase_create("paths");

	tcase_add_checked_fixture(tc, setup, arena_teardown);
	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, path_leads_where_the_compiler_puts_the_member, 0, PARTS);
	tcase_add_loop_test(tc, wrong_path_is_refused_with_the_position, 0, WRONG);
	tcase_add_test(tc, array_is_entered_by_an_item);
	tcase_add_test(tc, type_is_compared_by_content);
	tcase_add_test(tc, packed_members_are_reached);
	tcase_add_test(tc, read_only_attachment_reads_members);
	tcase_add_test(tc, death_of_the_holder_is_passed_on);
	tcase_add_test(tc, members_of_a_member_are_set_together);
	return run_suite(suite);
}
