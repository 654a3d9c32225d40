/* SPDX-License-Identifier: MIT */
/* <shv/shv.hpp>: handles, guards of the standard library, exceptions, who frees what. */
#include <shv/shv.hpp>

extern "C" {
#include "support/procs.h"
#include "support/suite.h"
}

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <vector>

struct point {
	double x, y;
};
SHV_DESCRIBE(point, SHV_FIELD(point, x, SHV_DOUBLE), SHV_FIELD(point, y, SHV_DOUBLE));

namespace world {
struct body {
	point at;
	int mass[3];
};
}
SHV_DESCRIBE(world::body, SHV_FIELD(world::body, at, shv::type_of<point>()), SHV_FIELD(world::body, mass, SHV_INT));

/* The call must throw system_error with that errno value and with what the library says. */
#define THROWS(code_, call)                                                                            \
	do {                                                                                               \
		int thrown_ = 0;                                                                           \
		try {                                                                                      \
			(void)(call);                                                                      \
		} catch (const std::system_error &e) {                                                     \
			thrown_ = e.code().value();                                                        \
			ck_assert(e.code().category() == std::generic_category());                         \
			ck_assert_msg(std::strstr(e.what(), "shv"), "%s: says '%s'", #call, e.what());     \
		}                                                                                          \
		ck_assert_msg(thrown_ == (code_), "%s threw %d, not %d", #call, thrown_, (code_));         \
	} while (0)

static shv::arena *arena;

static void setup()
{
	arena = new shv::arena(shv::arena::create("hpp", std::size_t(1) << 30));
}

static void teardown()
{
	need_sound(arena->get(), "at the end");
	arena->detach();
	delete arena;
}

static std::uint64_t objects()
{
	return stat_of(arena->get()).objects;
}

template <typename H> static int try_elsewhere(const H &h)
{
	bool got = false;

	std::thread([&] {
		got = h.try_lock();
		if (got)
			h.unlock();
	}).join();
	return got;
}

/* ---- arenas ----------------------------------------------------------------------------------------------- */

START_TEST(arena_is_moved_and_detached)
{
	static_assert(!std::is_copy_constructible<shv::arena>::value, "one owner");
	static_assert(std::is_nothrow_move_constructible<shv::arena>::value, "");
	static_assert(std::is_nothrow_move_assignable<shv::arena>::value, "");
	shv::arena a = shv::arena::attach(arena->fd()), b;
	shv_arena *is = a.get();

	ck_assert(a && !b);
	ck_assert(a.name() == "hpp");
	b = std::move(a);
	ck_assert(b.get() == is && !a.get());
	shv::arena c(std::move(b));
	ck_assert(c.get() == is && !b);
	c = shv::arena::attach(arena->fd()); /* the one before is detached */
	ck_assert(c.get());
	{
		auto v = shv::value<int>::create(c, 1, SHV_PLAIN);
		std::unique_lock guard(v);
		THROWS(EBUSY, c.detach());
		ck_assert(c);
		guard.unlock();
		v.destroy();
	}
	c.detach();
	ck_assert(!c);
	THROWS(EINVAL, c.detach());
	THROWS(EBADF, shv::arena::attach(-1));
	THROWS(ESRCH, shv::arena::attach_pid(999999999));
	/* A handle of a detached arena throws; nothing else happens. */
	THROWS(EINVAL, shv::value<int>::create(c));
}
END_TEST

START_TEST(read_only_attachment_reads)
{
	shv::arena ro = shv::arena::attach(arena->fd(), SHV_RDONLY);
	auto v = shv::value<int>::create(*arena, 7);
	auto seen = shv::value<int>::from_ref(ro, v.ref());

	ck_assert(seen.get() != v.get());
	ck_assert_int_eq(seen.load(), 7);
	ck_assert_int_eq(seen.peek(), 7);
	THROWS(EROFS, seen.store(8));
	THROWS(EROFS, seen.lock());
	v.destroy();
}
END_TEST

/* ---- values ------------------------------------------------------------------------------------------------- */

template <typename T> static void in_and_out()
{
	const T low = std::numeric_limits<T>::lowest(), high = std::numeric_limits<T>::max();
	const shv_lockspec specs[] = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF, SHV_NONE };

	for (const shv_lockspec &spec : specs) {
		auto v = shv::value<T>::create(*arena, low, spec);
		T expected = high;

		static_assert(sizeof(v) == sizeof(void *), "a handle is a pointer");
		ck_assert(shv_value_type(v.get()) == shv::type_of<T>());
		ck_assert(v.load() == low);
		v.store(high);
		ck_assert(v.load() == high && v.peek() == high);
		if (sizeof(T) <= 8 || spec.kind != SHV_LOCK_NONE) {
			ck_assert(v.compare_exchange(expected, low));
			ck_assert(!v.compare_exchange(expected, low));
			ck_assert(expected == low);
		}
		v.destroy();
		ck_assert(!v);
	}
	auto r = shv::raw<T>::create(*arena, high);
	ck_assert(*r == high);
	*r = low;
	ck_assert(*shv::raw<T>::from_ref(*arena, r.ref()) == low);
	r.destroy();
}

START_TEST(every_basic_type_goes_in_and_out)
{
	in_and_out<char>();
	in_and_out<signed char>();
	in_and_out<unsigned char>();
	in_and_out<wchar_t>();
	in_and_out<bool>();
	in_and_out<short>();
	in_and_out<unsigned short>();
	in_and_out<int>();
	in_and_out<unsigned>();
	in_and_out<long>();
	in_and_out<unsigned long>();
	in_and_out<long long>();
	in_and_out<unsigned long long>();
	in_and_out<float>();
	in_and_out<double>();
	ck_assert_uint_eq(objects(), 0);
}
END_TEST

template <typename T> static void adds()
{
	const T high = std::numeric_limits<T>::max();
	const shv_lockspec specs[] = { SHV_RECURSIVE, SHV_NONE };

	for (const shv_lockspec &spec : specs) {
		auto v = shv::value<T>::create(*arena, high, spec);

		ck_assert(v.fetch_add(1) == high);
		ck_assert(v.load() == std::numeric_limits<T>::min()); /* wraps, signed or not */
		ck_assert(v.add(5) == T(std::numeric_limits<T>::min() + 5));
		ck_assert(v.fetch_add(static_cast<T>(-5)) == T(std::numeric_limits<T>::min() + 5));
		ck_assert(v.load() == std::numeric_limits<T>::min());
		v.destroy();
	}
}

START_TEST(numbers_are_added)
{
	adds<signed char>();
	adds<unsigned char>();
	adds<short>();
	adds<unsigned short>();
	adds<int>();
	adds<unsigned>();
	adds<long>();
	adds<unsigned long>();
	adds<long long>();
	adds<unsigned long long>();
	auto v = shv::value<double>::create(*arena, 0.5, SHV_NONE);
	ck_assert(v.fetch_add(0.25) == 0.5);
	ck_assert(v.add(1) == 1.75);
}
END_TEST

START_TEST(threads_that_add_lose_nothing)
{
	auto whole = shv::value<long>::create(*arena), none = shv::value<long>::create(*arena, 0, SHV_NONE);
	auto half = shv::value<double>::create(*arena), guarded = shv::value<double>::create(*arena, 0, SHV_PLAIN);
	std::vector<std::thread> all;

	for (int t = 0; t < 4; t++)
		all.emplace_back([&] {
			for (int i = 0; i < 5000; i++) {
				whole.fetch_add(2);
				none.fetch_add(2);
				half.fetch_add(0.5);
				shv::locked(guarded) += 0.5;
			}
		});
	for (auto &t : all)
		t.join();
	ck_assert_int_eq(whole.load(), 40000);
	ck_assert_int_eq(none.load(), 40000);
	ck_assert(half.load() == 10000 && guarded.load() == 10000);
}
END_TEST

START_TEST(structure_is_described_once)
{
	auto v = shv::value<world::body>::create(*arena, { { 1, 2 }, { 3, 4, 5 } });
	int m = 0;

	ck_assert_str_eq(shv_type_name(shv::type_of<world::body>()), "world::body");
	ck_assert_uint_eq(shv_type_size(shv::type_of<world::body>()), sizeof(world::body));
	ck_assert(shv::type_of<const point>() == shv::type_of<point>());
	ck_assert_int_eq(shv_field_get(v.get(), "mass[2]", &m, sizeof(m)), 0);
	ck_assert_int_eq(m, 5);
	{
		shv::locked b(v);
		ck_assert(!b.recovered());
		b->at.x = 10;
		(*b).mass[0] = 30;
	}
	ck_assert(v.load().at.x == 10 && v.load().mass[0] == 30);
}
END_TEST

START_TEST(another_type_or_kind_is_refused)
{
	auto v = shv::value<int>::create(*arena, 1);
	auto l = shv::value<long>::create(*arena, 1);
	auto r = shv::raw<int>::create(*arena, 1);
	auto a = shv::array<long>::create(*arena, { 1, 2 });

	v.publish("v");
	ck_assert(shv::value<int>::find(*arena, "v") == v);
	THROWS(EINVAL, shv::value<unsigned>::find(*arena, "v"));
	THROWS(EINVAL, shv::value<float>::from(v.get()));
	THROWS(EINVAL, shv::raw<int>::from(v.get()));
	THROWS(EINVAL, shv::array<int>::from(v.get()));
	THROWS(EINVAL, shv::value<int>::from(r.get()));
	THROWS(EINVAL, shv::array<int>::from(a.get()));
	THROWS(EINVAL, shv::value<int>::from(nullptr));
	THROWS(ENOENT, shv::value<int>::find(*arena, "w"));
	THROWS(EEXIST, shv::value<long>::find_or_create(*arena, "v"));
	ck_assert(shv::value<long long>::from(l.get())); /* the same bytes */
	ck_assert(shv::array<long long>::from(a.get()).size() == 2);
	{
		shv_ref ref = v.ref();
		v.destroy();
		THROWS(ESTALE, shv::value<int>::from_ref(*arena, ref));
	}
	bool created = false;
	auto made = shv::value<int>::find_or_create(*arena, "v", 5, SHV_NONE, &created);
	ck_assert(created && made.load() == 5);
	ck_assert(shv::value<int>::find_or_create(*arena, "v", 6, SHV_NONE, &created) == made && !created);
}
END_TEST

/* ---- guards --------------------------------------------------------------------------------------------------- */

START_TEST(guards_of_the_standard_library_take_the_lock)
{
	auto v = shv::value<int>::create(*arena), w = shv::value<int>::create(*arena, 0, SHV_PLAIN);
	auto a = shv::array<int>::create(*arena, 3, nullptr, SHV_HANDOFF);
	auto m = shv::mutex::create(*arena, SHV_PLAIN);
	auto s = shv::value<int>::create(*arena, 0, m.spec());

	{
		std::unique_lock<shv::value<int>> guard(v);
		ck_assert(guard.owns_lock() && !try_elsewhere(v));
		guard.unlock();
		ck_assert(try_elsewhere(v));
	}
	{
		std::scoped_lock guard(v, w, a);
		ck_assert(!try_elsewhere(v) && !try_elsewhere(w) && !try_elsewhere(a));
	}
	ck_assert(try_elsewhere(v) && try_elsewhere(w) && try_elsewhere(a));
	{
		std::lock_guard guard(m);
		ck_assert(!try_elsewhere(s) && !try_elsewhere(m));
	}
	ck_assert(try_elsewhere(s));
	{
		shv::locked_all guard(v, w, a, s);
		ck_assert(!guard.recovered());
		ck_assert(!try_elsewhere(v) && !try_elsewhere(w) && !try_elsewhere(a) && !try_elsewhere(m));
		ck_assert(!std::unique_lock(w, std::defer_lock).owns_lock());
	}
	ck_assert(try_elsewhere(v) && try_elsewhere(m));
	{
		std::lock_guard outer(w);
		THROWS(EDEADLK, w.lock());
		THROWS(EDEADLK, std::unique_lock<shv::value<int>>(w));
		THROWS(EDEADLK, w.load());
		std::thread([&] {
			std::unique_lock timed(w, std::chrono::milliseconds(2));
			ck_assert(!timed.owns_lock());
			ck_assert(!w.try_lock_until(std::chrono::steady_clock::now() - std::chrono::seconds(1)));
		}).join();
	}
	THROWS(EPERM, w.unlock());
}
END_TEST

START_TEST(exception_gives_the_locks_back)
{
	auto v = shv::value<int>::create(*arena, 1, SHV_PLAIN), w = shv::value<int>::create(*arena, 1, SHV_PLAIN);

	try {
		shv::locked guard(v);
		shv::locked_all others(w);
		*guard = 2;
		throw 7;
	} catch (int) {
	}
	ck_assert(try_elsewhere(v) && try_elsewhere(w));
	ck_assert_int_eq(v.load(), 2);
}
END_TEST

START_TEST(scope_that_frees_its_value_gives_a_shared_lock_back)
{
	auto m = shv::mutex::create(*arena, SHV_PLAIN);
	auto v = shv::value<int>::create(*arena, 1, m.spec());

	{
		shv::locked guard(v);
		auto same = v;
		same.destroy();
	}
	ck_assert(m.try_lock());
	m.unlock();
	m.destroy();
}
END_TEST

static int die_with(void *arg)
{
	NEED(!shv_acquire(static_cast<shv_value *>(arg)), "shv_acquire");
	_exit(3);
}

START_TEST(death_of_a_holder_is_told)
{
	auto v = shv::value<int>::create(*arena), w = shv::value<int>::create(*arena);

	ck_assert(!shv::recovered());
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(finish(start(die_with, v.get())), 3);
		switch (i) {
		case 0:
			ck_assert(shv::locked(v).recovered());
			continue;
		case 1:
			ck_assert(shv::locked_all(w, v).recovered());
			continue;
		case 2:
			v.load();
			break;
		case 3:
			std::scoped_lock(w, v);
			break;
		default:
			std::unique_lock<shv::value<int>>(v, std::try_to_lock);
			break;
		}
		w.store(1); /* does not hide it */
		ck_assert(shv::recovered());
		ck_assert(!shv::recovered());
	}
}
END_TEST

/* ---- arrays ----------------------------------------------------------------------------------------------------- */

template <typename A> static void check_container(A a)
{
	int sum = 0, three[3] = { 7, 8, 9 };

	ck_assert_uint_eq(a.size(), 5);
	ck_assert(!a.empty() && A().empty());
	for (int &x : a)
		sum += x;
	ck_assert_int_eq(sum, 15);
	std::reverse(a.begin(), a.end());
	ck_assert_int_eq(a[0], 5);
	ck_assert_int_eq(a.at(4), 1);
	THROWS(ERANGE, a.at(5));
	THROWS(ERANGE, a.load(5));
	THROWS(ERANGE, a.store(3, 3, three));
	a.store(2, 3, three);
	ck_assert_int_eq(a.load(2), 7);
	a.store(0, 1);
	a.load(0, 3, three);
	ck_assert(three[0] == 1 && three[1] == 4 && three[2] == 7);
	ck_assert_int_eq(std::accumulate(a.begin(), a.end(), 0), 1 + 4 + 7 + 8 + 9);
#ifdef __cpp_lib_span
	ck_assert_uint_eq(a.span().size(), 5);
	ck_assert(a.span().data() == a.data());
#endif
	ck_assert(A::from_ref(*arena, a.ref()) == a);
	a.destroy();
}

START_TEST(arrays_are_containers)
{
	check_container(shv::array<int>::create(*arena, { 1, 2, 3, 4, 5 }));
	check_container(shv::array<int>::create(*arena, { 1, 2, 3, 4, 5 }, SHV_NONE));
	check_container(shv::raw_array<int>::create(*arena, { 1, 2, 3, 4, 5 }));
	auto none = shv::raw_array<point>::create(*arena, 0);
	ck_assert(none.empty() && none.begin() == none.end());
	none.destroy();
	ck_assert_uint_eq(objects(), 0);
}
END_TEST

/* ---- lifetime --------------------------------------------------------------------------------------------------- */

START_TEST(nothing_is_freed_but_by_destroy_or_owned)
{
	shv_ref ref;
	{
		auto v = shv::value<int>::create(*arena, 4);
		auto copy = v;
		ck_assert(copy == v);
		ref = v.ref();
	}
	ck_assert_int_eq(shv::value<int>::from_ref(*arena, ref).load(), 4);
	{
		shv::owned v(shv::value<int>::from_ref(*arena, ref));
		ck_assert_int_eq(v->load(), 4);
		shv::owned<shv::value<int>> w(std::move(v));
		ck_assert(!v && w);
		ck_assert_uint_eq(objects(), 1);
	}
	ck_assert_uint_eq(objects(), 0);
	{
		shv::owned r(shv::raw<double>::create(*arena, 0.5));
		shv::owned a(shv::array<int>::create(*arena, 10));
		shv::owned b(shv::array<int>::create(*arena, 20));
		auto kept = shv::owned(shv::raw_array<int>::create(*arena, 3)).release();

		ck_assert_uint_eq(objects(), 4);
		a = std::move(b);
		ck_assert_uint_eq(objects(), 3);
		ck_assert_uint_eq(a->size(), 20);
		r.destroy();
		ck_assert(!r);
		ck_assert_uint_eq(objects(), 2);
		kept.destroy();
	}
	ck_assert_uint_eq(objects(), 0);
}
END_TEST

START_TEST(owner_of_what_is_in_use_does_not_throw)
{
	auto v = shv::value<int>::create(*arena, 4);
	std::atomic<int> stage{ 0 };
	std::thread holder([&] {
		shv::locked guard(v);
		stage = 1;
		while (stage != 2)
			std::this_thread::yield();
	});

	while (stage != 1)
		std::this_thread::yield();
	{
		shv::owned mine(v);
		THROWS(EBUSY, mine.destroy());
		ck_assert(mine);
	}
	ck_assert_uint_eq(objects(), 1);
	stage = 2;
	holder.join();
	shv::owned mine(v), second(v); /* freed twice: the second finds it gone */
}
END_TEST

int main()
{
	Suite *suite = suite_create("hpp");
	const struct {
		const char *name;
		std::vector<const TTest *> tests;
	} cases[] = {
		{ "arenas", { arena_is_moved_and_detached, read_only_attachment_reads } },
		{ "values", { every_basic_type_goes_in_and_out, numbers_are_added, threads_that_add_lose_nothing, structure_is_described_once,
			      another_type_or_kind_is_refused } },
		{ "guards", { guards_of_the_standard_library_take_the_lock, exception_gives_the_locks_back,
			    scope_that_frees_its_value_gives_a_shared_lock_back, death_of_a_holder_is_told } },
		{ "arrays", { arrays_are_containers } },
		{ "lifetime", { nothing_is_freed_but_by_destroy_or_owned, owner_of_what_is_in_use_does_not_throw } },
	};

	for (const auto &c : cases) {
		TCase *tc = tcase_create(c.name);

		tcase_add_checked_fixture(tc, setup, teardown);
		suite_add_tcase(suite, tc);
		for (const TTest *t : c.tests)
			tcase_add_test(tc, t);
	}
	return run_suite(suite);
}
