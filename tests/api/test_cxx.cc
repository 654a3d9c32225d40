/* SPDX-License-Identifier: MIT */
/*
 * The headers from C++17: templates in place of _Generic, guards that exceptions pass through, lists of relative
 * pointers.
 */
extern "C" {
#include "support/suite.h"
}

#include <cerrno>
#include <climits>
#include <cstring>
#include <limits>
#include <shv/shv.h>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

static shv_arena *arena;

static void setup()
{
	arena = shv_arena_create(nullptr);
	ck_assert_msg(arena != nullptr, "%s", shv_errmsg());
}

static void teardown()
{
	if (!arena)
		return;
	ck_assert_int_eq(shv_check(arena, nullptr, nullptr), 0);
	ck_assert_int_eq(shv_arena_detach(arena), 0);
	arena = nullptr;
}

static unsigned depth_of(shv_value *v)
{
	shv_holder h = {};

	h.size = sizeof(h);
	return shv_value_holder(v, &h) == 1 ? h.depth : 0;
}

/* ---- typed access ------------------------------------------------------------------------------------- */

template <typename T> static void in_and_out(char code)
{
	const T low = std::numeric_limits<T>::lowest(), high = std::numeric_limits<T>::max();
	shv_value *v = SHV_VALUE(arena, T, low);
	shv_value *w = SHV_VALUE(arena, T, high, SHV_NONE);

	ck_assert_msg(v && w, "%s", shv_errmsg());
	ck_assert(SHV_TYPE_OF(T) == shv_typecode(code));
	ck_assert(shv_value_type(v) == SHV_TYPE_OF(T));
	ck_assert(SHV_LOAD(v, T) == low);
	ck_assert(SHV_LOAD(w, T) == high);
	ck_assert_int_eq(SHV_STORE(v, T, high), 0);
	ck_assert_int_eq(SHV_STORE(w, T, T()), 0);
	ck_assert(SHV_LOAD(v, T) == high);
	ck_assert(SHV_LOAD(w, T) == T());
	static_assert(std::is_same<decltype(SHV_LOAD(v, T)), T>::value, "SHV_LOAD has the type");
	ck_assert_int_eq(shv_value_free(v), 0);
	ck_assert_int_eq(shv_value_free(w), 0);
}

START_TEST(every_basic_type_goes_in_and_out)
{
	in_and_out<char>('c');
	in_and_out<signed char>('b');
	in_and_out<unsigned char>('B');
	in_and_out<wchar_t>('w');
	in_and_out<bool>('?');
	in_and_out<short>('h');
	in_and_out<unsigned short>('H');
	in_and_out<int>('i');
	in_and_out<unsigned>('I');
	in_and_out<long>('l');
	in_and_out<unsigned long>('L');
	in_and_out<long long>('q');
	in_and_out<unsigned long long>('Q');
	in_and_out<float>('f');
	in_and_out<double>('d');
	in_and_out<long double>('g');
	in_and_out<std::size_t>(sizeof(std::size_t) == sizeof(unsigned long) ? 'L' : 'I');
	in_and_out<std::int64_t>(std::is_same<std::int64_t, long>::value ? 'l' : 'q');
}
END_TEST

START_TEST(another_type_is_zero_and_einval)
{
	shv_value *v = SHV_VALUE(arena, int, 7);

	errno = 0;
	ck_assert(SHV_LOAD(v, double) == 0);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SHV_STORE(v, double, 1.5), -EINVAL);
	errno = 0;
	ck_assert_int_eq(SHV_LOAD(v, int), 7);
	ck_assert_int_eq(errno, 0);
	errno = 0;
	ck_assert_int_eq(SHV_LOAD(nullptr, int), 0);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(numbers_are_converted_to_the_type)
{
	shv_value *v = SHV_VALUE(arena, double, 7), *w = SHV_VALUE(arena, unsigned char, 'A');

	ck_assert(SHV_LOAD(v, double) == 7.0);
	ck_assert_uint_eq(SHV_LOAD(w, unsigned char), 65);
	ck_assert_int_eq(SHV_STORE(v, double, 3), 0);
	ck_assert(SHV_LOAD(v, double) == 3.0);
}
END_TEST

/* Every lock parameter is an expression in C++ too. */
START_TEST(lock_parameters_can_be_written)
{
	shv_lock *lock = shv_lock_new(arena, SHV_RECURSIVE);
	const std::vector<shv_lockspec> specs = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF, SHV_NONE, SHV_SHARED(lock) };

	ck_assert(lock != nullptr);
	for (const shv_lockspec &spec : specs) {
		shv_value *v = SHV_VALUE(arena, int, 1, spec);

		ck_assert_msg(v != nullptr, "%s", shv_errmsg());
		ck_assert_int_eq(shv_add(v, 1, nullptr), 0);
		ck_assert_int_eq(SHV_LOAD(v, int), 2);
	}
	errno = 0;
	ck_assert(SHV_VALUE(arena, int, 1, SHV_POLICY(nullptr)) == nullptr);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert(SHV_VALUE(arena, int, 1, SHV_POLICY_ARG(nullptr, &specs)) == nullptr);
}
END_TEST

struct point {
	double x, y;
	char tag[8];
};

START_TEST(structure_is_described_and_stored)
{
	const shv_field fields[] = { SHV_FIELD(point, x, SHV_DOUBLE), SHV_FIELD(point, y, SHV_DOUBLE),
				     SHV_FIELD(point, tag, SHV_CHAR) };
	const shv_type *type = shv_type_struct("point", sizeof(point), fields, 3);
	point in = { 1.5, -2.5, "here" }, out = {};
	shv_value *v = shv_value_new(arena, type, &in, SHV_PLAIN);

	ck_assert_msg(v != nullptr, "%s", shv_errmsg());
	ck_assert_int_eq(shv_get(v, &out, sizeof(out)), 0);
	ck_assert_str_eq(out.tag, "here");
	ck_assert(out.x == 1.5 && out.y == -2.5);
	static_cast<point *>(shv_value_data(v))->x = 4;
	ck_assert_int_eq(shv_peek(v, &out, sizeof(out)), 0);
	ck_assert(out.x == 4);
}
END_TEST

/* ---- guards ------------------------------------------------------------------------------------------- */

static void throws_inside(shv_value *v, int level)
{
	shv_with(v) {
		ck_assert_uint_eq(depth_of(v), (unsigned)level);
		if (level == 3)
			throw std::runtime_error("inside");
		throws_inside(v, level + 1);
	}
}

START_TEST(exception_gives_the_lock_back)
{
	shv_value *v = SHV_VALUE(arena, int, 0), *w = SHV_VALUE(arena, int, 0, SHV_PLAIN);
	std::string caught;

	try {
		shv_with(w) {
			throws_inside(v, 1);
		}
	} catch (const std::exception &e) {
		caught = e.what();
	}
	ck_assert_str_eq(caught.c_str(), "inside");
	ck_assert_uint_eq(depth_of(v), 0);
	ck_assert_uint_eq(depth_of(w), 0);
	ck_assert_int_eq(shv_acquire(w), 0);
	ck_assert_int_eq(shv_release(w), 0);
}
END_TEST

START_TEST(exception_caught_inside_keeps_the_lock)
{
	shv_value *v = SHV_VALUE(arena, int, 0, SHV_PLAIN);
	int runs = 0;

	shv_with(v) {
		try {
			throw 1;
		} catch (int) {
			runs++;
		}
		ck_assert_uint_eq(depth_of(v), 1);
	}
	ck_assert_int_eq(runs, 1);
	ck_assert_uint_eq(depth_of(v), 0);
}
END_TEST

/* Locals of the block go before the lock does. */
struct notes_depth {
	shv_value *v;
	unsigned *depth;
	~notes_depth() { *depth = depth_of(v); }
};

static int returns_inside(shv_value *v, unsigned *depth)
{
	shv_with(v) {
		notes_depth local = { v, depth };

		return static_cast<int>(depth_of(v));
	}
	return -1;
}

START_TEST(return_and_break_give_the_lock_back)
{
	shv_value *v = SHV_VALUE(arena, int, 0);
	unsigned depth = 77;
	int after = 0;

	ck_assert_int_eq(returns_inside(v, &depth), 1);
	ck_assert_uint_eq(depth, 1);
	ck_assert_uint_eq(depth_of(v), 0);
	for (int i = 0; i < 2; i++) {
		shv_with(v) {
			break;
		}
		shv_with(v) {
			continue;
		}
		after++;
	}
	ck_assert_int_eq(after, 2);
	ck_assert_uint_eq(depth_of(v), 0);
}
END_TEST

START_TEST(block_is_skipped_without_the_lock)
{
	shv_value *v = SHV_VALUE(arena, int, 0, SHV_PLAIN);
	bool ran = false;

	ck_assert_int_eq(shv_acquire(v), 0);
	shv_with(v) {
		ran = true;
		throw std::logic_error("must not run");
	}
	ck_assert(!ran);
	ck_assert_int_eq(shv_with_status(), -EDEADLK);
	ck_assert_uint_eq(depth_of(v), 1);
	ck_assert_int_eq(shv_release(v), 0);
}
END_TEST

/* ---- relative pointers -------------------------------------------------------------------------------- */

struct base {
	int number;
};

struct node : base {
	SHV_REL(node) next;
	SHV_REL(const char) text;
	SHV_REL(base) any;
};

static node *new_node(int number)
{
	node *n = static_cast<node *>(shv_raw_array_new(arena, SHV_LONG, sizeof(node) / sizeof(long), nullptr));

	ck_assert_msg(n != nullptr, "%s", shv_errmsg());
	n->number = number;
	return n;
}

START_TEST(list_is_the_same_in_both_mappings)
{
	shv_arena *second = shv_arena_attach(shv_arena_fd(arena), 0);
	node *head = nullptr, *n, *other;
	int count = 0;

	ck_assert_msg(second != nullptr, "%s", shv_errmsg());
	for (int i = 0; i < 100; i++) {
		n = new_node(i);
		ck_assert(shv_rel_get(&n->next) == nullptr);
		shv_rel_set(&n->next, head);
		head = n;
	}
	other = static_cast<node *>(shv_pointer(second, shv_offset(arena, head), sizeof(node)));
	for (n = head; n; n = shv_rel_get(&n->next), other = shv_rel_get(&other->next)) {
		ck_assert(other != n);
		ck_assert_int_eq(other->number, 99 - count);
		count++;
	}
	ck_assert_int_eq(count, 100);
	ck_assert(other == nullptr);
	ck_assert_int_eq(shv_arena_detach(second), 0);
}
END_TEST

START_TEST(relative_pointer_has_its_type)
{
	node *n = new_node(1), *m = new_node(2);
	char *text = static_cast<char *>(shv_raw_array_new(arena, SHV_CHAR, 8, "pointer"));

	static_assert(std::is_same<decltype(shv_rel_get(&n->next)), node *>::value, "node *");
	static_assert(std::is_same<decltype(shv_rel_get(&n->text)), const char *>::value, "const char *");
	static_assert(sizeof(n->next) == 8, "8 bytes");
	shv_rel_set(&n->text, text); /* char * is a const char * */
	ck_assert_str_eq(shv_rel_get(&n->text), "pointer");
	shv_rel_set(&n->any, m); /* a node is a base */
	ck_assert_int_eq(shv_rel_get(&n->any)->number, 2);
	shv_rel_set(&n->next, n);
	ck_assert(shv_rel_get(&n->next) == n);
}
END_TEST

template <typename R, typename P, typename = void> struct takes : std::false_type {
};
template <typename R, typename P>
struct takes<R, P, decltype(shv_rel_set(std::declval<R *>(), std::declval<P>()))> : std::true_type {
};

/* A template, so that it compiles also where this does not work. */
template <typename N> static void set_null(N *n)
{
	if constexpr (takes<decltype(n->next), std::nullptr_t>::value) {
		shv_rel_set(&n->next, n);
		shv_rel_set(&n->next, nullptr);
		ck_assert(shv_rel_get(&n->next) == nullptr);
		shv_rel_set(&n->next, n);
		shv_rel_set(&n->next, NULL);
		ck_assert(shv_rel_get(&n->next) == nullptr);
	} else {
		ck_abort_msg("shv_rel_set() does not take nullptr");
	}
}

START_TEST(relative_pointer_takes_what_a_pointer_takes)
{
	static_assert(takes<decltype(node::next), node *>::value, "its own type");
	static_assert(takes<decltype(node::any), node *>::value, "a derived one");
	static_assert(!takes<decltype(node::next), int>::value, "no number");
	set_null(new_node(1));
}
END_TEST

START_TEST(relative_pointer_may_be_null_or_itself)
{
	node *n = new_node(1);
	SHV_REL(void) *self = nullptr;

	shv_rel_set(&n->next, n);
	shv_rel_set(&n->next, static_cast<node *>(nullptr));
	ck_assert(shv_rel_get(&n->next) == nullptr);
	self = static_cast<decltype(self)>(shv_raw_new(arena, SHV_LONG, nullptr));
	shv_rel_set(self, static_cast<void *>(self));
	ck_assert(shv_rel_get(self) == self);
}
END_TEST

int main()
{
	Suite *suite = suite_create("cxx");
	TCase *tc = tcase_create("typed");

	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, every_basic_type_goes_in_and_out);
	tcase_add_test(tc, another_type_is_zero_and_einval);
	tcase_add_test(tc, numbers_are_converted_to_the_type);
	tcase_add_test(tc, lock_parameters_can_be_written);
	tcase_add_test(tc, structure_is_described_and_stored);

	tc = tcase_create("guard");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, exception_gives_the_lock_back);
	tcase_add_test(tc, exception_caught_inside_keeps_the_lock);
	tcase_add_test(tc, return_and_break_give_the_lock_back);
	tcase_add_test(tc, block_is_skipped_without_the_lock);

	tc = tcase_create("relative");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, list_is_the_same_in_both_mappings);
	tcase_add_test(tc, relative_pointer_has_its_type);
	tcase_add_test(tc, relative_pointer_takes_what_a_pointer_takes);
	tcase_add_test(tc, relative_pointer_may_be_null_or_itself);
	return run_suite(suite);
}
