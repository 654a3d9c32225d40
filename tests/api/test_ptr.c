/* SPDX-License-Identifier: MIT */
/* Pointers that mean the same in every mapping: SHV_REL() inside of structures, shv_off anywhere. */
#include "api/api.h"

struct node {
	int number;
	SHV_REL(struct node) next;
	SHV_REL(char) text;
};

static shv_arena *second; /* the same arena at another address */

static void setup(void)
{
	arena_setup();
	second = made(shv_arena_attach(shv_arena_fd(arena), 0));
}

static void teardown(void)
{
	assert_ok(shv_arena_detach(second));
	arena_teardown();
}

/* The same bytes, seen through the other mapping. */
static void *elsewhere(const void *p, size_t size)
{
	return made(shv_pointer(second, shv_offset(arena, p), size));
}

static struct node *new_node(int number)
{
	struct node *n =
		made((struct node *)shv_raw_array_new(arena, SHV_LONG, sizeof(struct node) / sizeof(long), NULL));

	n->number = number;
	return n;
}

/* ---- relative pointers -------------------------------------------------------------------------------- */

START_TEST(zeroed_memory_holds_null)
{
	struct node *n = new_node(0);

	ck_assert_uint_eq(sizeof(n->next), 8);
	ck_assert_ptr_null(shv_rel_get(&n->next));
	shv_rel_set(&n->next, n + 1);
	ck_assert_ptr_eq(shv_rel_get(&n->next), n + 1);
	shv_rel_set(&n->next, (struct node *)NULL);
	ck_assert_ptr_null(shv_rel_get(&n->next));
	shv_rel_set(&n->next, n);
	shv_rel_set(&n->next, NULL);
	ck_assert_ptr_null(shv_rel_get(&n->next));
}
END_TEST

START_TEST(list_is_the_same_in_both_mappings)
{
	enum { N = 1000 };
	struct node *head = NULL, *n, *other;
	int count = 0;

	for (int i = 0; i < N; i++) {
		char *text = made((char *)shv_raw_array_new(arena, SHV_CHAR, 16, NULL));

		n = new_node(i);
		snprintf(text, 16, "node %d", i);
		shv_rel_set(&n->text, text);
		shv_rel_set(&n->next, head);
		head = n;
	}
	other = elsewhere(head, sizeof(*head));
	ck_assert_ptr_ne(other, head);
	for (n = head; n; n = shv_rel_get(&n->next), other = shv_rel_get(&other->next)) {
		char text[16];

		count++;
		ck_assert_int_eq(n->number, N - count);
		ck_assert_int_eq(other->number, N - count);
		snprintf(text, sizeof(text), "node %d", n->number);
		ck_assert_str_eq(shv_rel_get(&n->text), text);
		ck_assert_str_eq(shv_rel_get(&other->text), text);
		ck_assert_ptr_eq(shv_arena_of(n), arena);
		ck_assert_ptr_eq(shv_arena_of(other), second);
		ck_assert_ptr_eq(other, elsewhere(n, sizeof(*n)));
	}
	ck_assert_int_eq(count, N);
	ck_assert_ptr_null(other);
}
END_TEST

START_TEST(pointer_set_through_one_mapping_is_followed_in_the_other)
{
	struct node *a = new_node(1), *b = new_node(2), *a2 = elsewhere(a, sizeof(*a)), *b2 = elsewhere(b, sizeof(*b));

	shv_rel_set(&a2->next, b2);
	ck_assert_ptr_eq(shv_rel_get(&a->next), b);
	/* Backwards too. */
	shv_rel_set(&b->next, a);
	ck_assert_ptr_eq(shv_rel_get(&b2->next), a2);
	ck_assert_int_eq(shv_rel_get(&shv_rel_get(&b2->next)->next)->number, 2);
}
END_TEST

/* A ring of one: the pointer is the node's first member, so that it points at itself. */
START_TEST(pointer_may_point_at_itself)
{
	struct link {
		SHV_REL(struct link) next;
	} *ring = made((struct link *)shv_raw_new(arena, SHV_LONG, NULL)), *other = elsewhere(ring, sizeof(*ring));

	shv_rel_set(&ring->next, ring);
	ck_assert_ptr_eq(shv_rel_get(&ring->next), ring);
	ck_assert_ptr_eq(shv_rel_get(&other->next), other);
}
END_TEST

START_TEST(what_is_set_is_evaluated_once)
{
	struct node *n = new_node(0), *nodes[3] = { new_node(1), new_node(2), new_node(3) };
	int i = 0;

	shv_rel_set(&n->next, nodes[i++]);
	ck_assert_int_eq(i, 1);
	ck_assert_ptr_eq(shv_rel_get(&n->next), nodes[0]);
}
END_TEST

/* ---- offsets ------------------------------------------------------------------------------------------ */

START_TEST(offset_and_pointer_are_inverse)
{
	void *objects[] = {
		made(SHV_VALUE(arena, int, 1)),
		made(shv_raw_new(arena, SHV_CHAR, NULL)),
		made(shv_array_new(arena, SHV_LONGDOUBLE, 10, NULL, SHV_PLAIN)),
		made(shv_raw_array_new(arena, SHV_CHAR, 3000000, NULL)),
	};
	const size_t sizes[] = { sizeof(int), 1, 10 * sizeof(long double), 3000000 };

	for (unsigned i = 0; i < 4; i++) {
		shv_off off = shv_offset(arena, objects[i]);
		char *there = made((char *)shv_pointer(second, off, sizes[i]));

		ck_assert_uint_ne(off, 0);
		ck_assert_ptr_eq(shv_pointer(arena, off, sizes[i]), objects[i]);
		ck_assert_ptr_ne(there, objects[i]);
		ck_assert_uint_eq(shv_offset(second, there), off);
		ck_assert_uint_eq(shv_offset(second, there + sizes[i] - 1), off + sizes[i] - 1);
		ck_assert_mem_eq(there, objects[i], sizes[i]);
	}
}
END_TEST

START_TEST(null_is_offset_zero_and_no_error)
{
	errno = 0;
	ck_assert_uint_eq(shv_offset(arena, NULL), 0);
	ck_assert_int_eq(errno, 0);
	ck_assert_ptr_null(shv_pointer(arena, 0, 0));
	ck_assert_ptr_null(shv_pointer(arena, 0, 100));
	ck_assert_ptr_null(shv_pointer(arena, 0, SIZE_MAX));
	ck_assert_int_eq(errno, 0);
}
END_TEST

START_TEST(addresses_outside_have_no_offset)
{
	static int in_data;
	int on_stack;
	int *on_heap = made((int *)malloc(sizeof(int)));
	shv_arena *other = made(shv_arena_create(NULL));
	shv_value *stranger = made(SHV_VALUE(other, int, 1));
	char *v = (char *)made(SHV_VALUE(arena, int, 1)), *start = v - shv_offset(arena, v);
	uint64_t capacity = arena_stat(arena).capacity;

	assert_refused_null(shv_offset(arena, &in_data), ERANGE);
	assert_refused_null(shv_offset(arena, &on_stack), ERANGE);
	assert_refused_null(shv_offset(arena, on_heap), ERANGE);
	assert_refused_null(shv_offset(arena, stranger), ERANGE);
	assert_refused_null(shv_offset(arena, start - 1), ERANGE);
	assert_refused_null(shv_offset(arena, start + capacity), ERANGE);
	assert_refused_null(shv_offset(arena, (void *)UINTPTR_MAX), ERANGE);
	/* The other mapping of the same arena is another place. */
	assert_refused_null(shv_offset(second, v), ERANGE);
	ck_assert_uint_eq(shv_offset(arena, start + capacity - 1), capacity - 1);
	free(on_heap);
	assert_ok(shv_arena_detach(other));
}
END_TEST

START_TEST(offsets_outside_have_no_pointer)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1));
	struct shv_stat s = arena_stat(arena);
	shv_off off = shv_offset(arena, v);

	ck_assert_ptr_eq(shv_pointer(arena, off, 0), v);
	ck_assert_ptr_eq(shv_pointer(arena, off, sizeof(int)), v);
	assert_refused_null(shv_pointer(arena, off, s.capacity), ERANGE);
	assert_refused_null(shv_pointer(arena, off, s.file_size - off + 1), ERANGE);
	assert_refused_null(shv_pointer(arena, off, SIZE_MAX), ERANGE);
	assert_refused_null(shv_pointer(arena, off, SIZE_MAX - off), ERANGE);
	assert_refused_null(shv_pointer(arena, off, SIZE_MAX - off + 1), ERANGE);
	assert_refused_null(shv_pointer(arena, s.capacity, 1), ERANGE);
	assert_refused_null(shv_pointer(arena, s.capacity - 1, 2), ERANGE);
	assert_refused_null(shv_pointer(arena, s.capacity + 1, 0), ERANGE);
	assert_refused_null(shv_pointer(arena, UINT64_MAX, 0), ERANGE);
	assert_refused_null(shv_pointer(arena, UINT64_MAX, 1), ERANGE);
	assert_refused_null(shv_pointer(arena, UINT64_MAX, SIZE_MAX), ERANGE);
	assert_refused_null(shv_pointer(arena, (uint64_t)INT64_MAX + 1, 1), ERANGE);
}
END_TEST

START_TEST(offset_of_no_arena_is_refused)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1));

	assert_refused_null(shv_offset(NULL, v), EINVAL);
	assert_refused_null(shv_pointer(NULL, shv_offset(arena, v), 4), EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ptr");
	TCase *tc = tcase_create("relative");

	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, zeroed_memory_holds_null);
	tcase_add_test(tc, list_is_the_same_in_both_mappings);
	tcase_add_test(tc, pointer_set_through_one_mapping_is_followed_in_the_other);
	tcase_add_test(tc, pointer_may_point_at_itself);
	tcase_add_test(tc, what_is_set_is_evaluated_once);

	tc = tcase_create("offsets");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, offset_and_pointer_are_inverse);
	tcase_add_test(tc, null_is_offset_zero_and_no_error);
	tcase_add_test(tc, addresses_outside_have_no_offset);
	tcase_add_test(tc, offsets_outside_have_no_pointer);
	tcase_add_test(tc, offset_of_no_arena_is_refused);
	return run_suite(suite);
}
