/* SPDX-License-Identifier: MIT */
/*
 * Boost.Interprocess: a managed_shared_memory of 1 GiB; construct<T>(anonymous_instance) and destroy_ptr(), and its allocators for objects
 * of one size. With a lock: a long beside an interprocess_recursive_mutex.
 */
#include "loops.h"

#include "have.h"

#if HAVE_BOOST

#include <boost/interprocess/allocators/adaptive_pool.hpp>
#include <boost/interprocess/allocators/node_allocator.hpp>
#include <boost/interprocess/allocators/private_adaptive_pool.hpp>
#include <boost/interprocess/allocators/private_node_allocator.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/interprocess_recursive_mutex.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace bi = boost::interprocess;
using segment_t = bi::managed_shared_memory;

namespace {

struct locked_long {
	bi::interprocess_recursive_mutex m;
	long x;
	explicit locked_long(long n) : x(n) {}
};

segment_t *segment;
int users;
std::string name_of(const char *what)
{
	return "shv-bench-" + std::to_string(getpid()) + "-" + what;
}
std::string segment_name;

/* A segment with a name that goes with the object. */
struct own_segment {
	std::string name;
	segment_t s;
	own_segment(const char *what, size_t bytes) : name(name_of(what)), s(bi::create_only, name.c_str(), bytes) {}
	~own_segment() { bi::shared_memory_object::remove(name.c_str()); }
};

const char *segment_open()
{
	if (users++)
		return nullptr;
	segment_name = name_of("peer");
	bi::shared_memory_object::remove(segment_name.c_str());
	segment = new segment_t(bi::create_only, segment_name.c_str(), size_t(1) << 30);
	/* Gone from /dev/shm at once: whoever uses it has it mapped. */
	bi::shared_memory_object::remove(segment_name.c_str());
	return nullptr;
}
void segment_close()
{
	if (--users)
		return;
	delete segment;
	segment = nullptr;
}

inline void *raw_make(size_t, long x) { return segment->construct<long>(bi::anonymous_instance)(x); }
inline long raw_read(const void *p) { return *static_cast<const long *>(p); }
inline void raw_drop(void *p, size_t) { segment->destroy_ptr(static_cast<long *>(p)); }
inline void *mixed_make(size_t size, long x)
{
	void *p = segment->allocate(size);
	memset(p, 0, size);
	*static_cast<long *>(p) = x;
	return p;
}
inline void mixed_drop(void *p, size_t) { segment->deallocate(p); }
inline void *locked_make(size_t, long x) { return segment->construct<locked_long>(bi::anonymous_instance)(x); }
inline long locked_read(const void *p) { return static_cast<const locked_long *>(p)->x; }
inline void locked_drop(void *p, size_t) { segment->destroy_ptr(static_cast<locked_long *>(p)); }

BENCH_LOOPS(boost_raw, SIZE_RAW, raw_make, raw_read, raw_drop)
BENCH_LOOPS(boost_mixed, SIZE_MIXED, mixed_make, raw_read, mixed_drop)
BENCH_LOOPS(boost_locked, SIZE_LOCKED, locked_make, locked_read, locked_drop)

/* One allocator of each kind and type, made when it is opened, as a container would have it. */
template <template <class> class A> struct kind {
	static std::unique_ptr<A<long>> longs;
	static std::unique_ptr<A<locked_long>> lockeds;
	static const char *open()
	{
		segment_open();
		longs.reset(new A<long>(segment->get_segment_manager()));
		lockeds.reset(new A<locked_long>(segment->get_segment_manager()));
		return nullptr;
	}
	static void close()
	{
		longs.reset();
		lockeds.reset();
		segment_close();
	}
	static inline void *make(size_t, long x)
	{
		long *p = longs->allocate_one().get();
		*p = x;
		return p;
	}
	static inline void drop(void *p, size_t) { longs->deallocate_one(static_cast<long *>(p)); }
	static inline void *make_locked(size_t, long x) { return new (lockeds->allocate_one().get()) locked_long(x); }
	static inline void drop_locked(void *p, size_t)
	{
		static_cast<locked_long *>(p)->~locked_long();
		lockeds->deallocate_one(static_cast<locked_long *>(p));
	}
};
template <template <class> class A> std::unique_ptr<A<long>> kind<A>::longs;
template <template <class> class A> std::unique_ptr<A<locked_long>> kind<A>::lockeds;

template <class T> using node_a = bi::node_allocator<T, segment_t::segment_manager>;
template <class T> using private_node_a = bi::private_node_allocator<T, segment_t::segment_manager>;
template <class T> using adaptive_a = bi::adaptive_pool<T, segment_t::segment_manager>;
template <class T> using private_adaptive_a = bi::private_adaptive_pool<T, segment_t::segment_manager>;

BENCH_LOOPS(node_raw, SIZE_RAW, kind<node_a>::make, raw_read, kind<node_a>::drop)
BENCH_LOOPS(node_locked, SIZE_LOCKED, kind<node_a>::make_locked, locked_read, kind<node_a>::drop_locked)
BENCH_LOOPS(private_node_raw, SIZE_RAW, kind<private_node_a>::make, raw_read, kind<private_node_a>::drop)
BENCH_LOOPS(private_node_locked, SIZE_LOCKED, kind<private_node_a>::make_locked, locked_read, kind<private_node_a>::drop_locked)
BENCH_LOOPS(adaptive_raw, SIZE_RAW, kind<adaptive_a>::make, raw_read, kind<adaptive_a>::drop)
BENCH_LOOPS(adaptive_locked, SIZE_LOCKED, kind<adaptive_a>::make_locked, locked_read, kind<adaptive_a>::drop_locked)
BENCH_LOOPS(private_adaptive_raw, SIZE_RAW, kind<private_adaptive_a>::make, raw_read, kind<private_adaptive_a>::drop)
BENCH_LOOPS(private_adaptive_locked, SIZE_LOCKED, kind<private_adaptive_a>::make_locked, locked_read,
	    kind<private_adaptive_a>::drop_locked)

struct peer described(const char *name, const char *(*open)(), void (*close)(), struct loops raw, struct loops locked, bool shared)
{
	struct peer p {};
	p.name = name;
	p.open = open;
	p.close = close;
	p.loops[RAW] = raw;
	p.loops[LOCKED] = locked;
	p.threads = p.processes = shared;
	return p;
}
struct peer constructing()
{
	struct peer p = described("Boost construct", segment_open, segment_close, BENCH_LOOPS_OF(boost_raw), BENCH_LOOPS_OF(boost_locked), true);
	p.loops[MIXED] = BENCH_LOOPS_OF(boost_mixed);
	return p;
}

} // namespace

struct peer peer_boost = constructing();
struct peer peer_boost_node = described("Boost node_allocator", kind<node_a>::open, kind<node_a>::close, BENCH_LOOPS_OF(node_raw),
					BENCH_LOOPS_OF(node_locked), true);
struct peer peer_boost_private_node = described("Boost private_node_allocator", kind<private_node_a>::open, kind<private_node_a>::close,
						BENCH_LOOPS_OF(private_node_raw), BENCH_LOOPS_OF(private_node_locked), false);
struct peer peer_boost_adaptive = described("Boost adaptive_pool", kind<adaptive_a>::open, kind<adaptive_a>::close,
					    BENCH_LOOPS_OF(adaptive_raw), BENCH_LOOPS_OF(adaptive_locked), true);
struct peer peer_boost_private_adaptive = described("Boost private_adaptive_pool", kind<private_adaptive_a>::open, kind<private_adaptive_a>::close,
						    BENCH_LOOPS_OF(private_adaptive_raw), BENCH_LOOPS_OF(private_adaptive_locked), false);

static locked_long *counter;

double boost_increment(long n, long *sum)
{
	if (!counter) {
		static own_segment *s = new own_segment("counter", 65536);
		bi::shared_memory_object::remove(s->name.c_str());
		counter = s->s.construct<locked_long>(bi::anonymous_instance)(0);
	}
	double t = spent_ns();
	for (long i = 0; i < n; i++) {
		bi::scoped_lock<bi::interprocess_recursive_mutex> hold(counter->m);
		counter->x++;
	}
	t = spent_ns() - t;
	*sum = counter->x;
	return n ? t / double(n) : 0;
}

double boost_find(long names, long n)
{
	own_segment s("names", size_t(names) * 320 + (1 << 20));
	char name[32];
	std::vector<char> asked(size_t(n) * 32);
	double best = INFINITY;

	for (long i = 0; i < names; i++) {
		snprintf(name, sizeof(name), "name-%ld", i);
		s.s.construct<long>(name)(i);
	}
	for (long i = 0; i < n; i++)
		snprintf(&asked[size_t(i) * 32], 32, "name-%ld", (i * 7919) % names);
	for (int pass = 0; pass < 3; pass++) {
		long sum = 0, wanted = 0;
		double t = spent_ns();
		for (long i = 0; i < n; i++)
			sum += *s.s.find<long>(&asked[size_t(i) * 32]).first;
		t = (spent_ns() - t) / double(n);
		for (long i = 0; i < n; i++)
			wanted += (i * 7919) % names;
		need(sum == wanted, "Boost found other objects");
		best = t < best ? t : best;
	}
	return best;
}

double boost_bytes(long values, bool locked)
{
	own_segment s("bytes", size_t(values) * 128 + (1 << 20));
	size_t before = s.s.get_free_memory();

	for (long i = 0; i < values; i++)
		if (locked)
			s.s.construct<locked_long>(bi::anonymous_instance)(i);
		else
			s.s.construct<long>(bi::anonymous_instance)(i);
	return double(before - s.s.get_free_memory()) / double(values);
}

double boost_attach(long values)
{
	own_segment s("attach", size_t(values) * 64 + (1 << 20));
	double best = INFINITY;

	for (long i = 0; i < values; i++)
		s.s.construct<long>(bi::anonymous_instance)(i);
	for (int i = 0; i < 5; i++) {
		double t = spent_ns();
		segment_t other(bi::open_only, s.name.c_str());
		t = spent_ns() - t;
		best = t < best ? t : best;
	}
	return best;
}

double boost_cold()
{
	double t = spent_ns();
	own_segment s("cold", 1 << 26);
	long *p = s.s.construct<long>(bi::anonymous_instance)(42L);
	t = spent_ns() - t;
	need(*p == 42, "Boost lost a value");
	return t;
}

#else /* !HAVE_BOOST */

#include <cmath>

static const char *absent()
{
	return "Boost.Interprocess was not there at build time (Debian: libboost-dev)";
}
static struct peer described(const char *name)
{
	struct peer p {};
	p.name = name;
	p.open = absent;
	return p;
}
struct peer peer_boost = described("Boost construct");
struct peer peer_boost_node = described("Boost node_allocator");
struct peer peer_boost_private_node = described("Boost private_node_allocator");
struct peer peer_boost_adaptive = described("Boost adaptive_pool");
struct peer peer_boost_private_adaptive = described("Boost private_adaptive_pool");
double boost_increment(long, long *sum)
{
	*sum = 0;
	return NAN;
}
double boost_find(long, long) { return NAN; }
double boost_bytes(long, bool) { return NAN; }
double boost_attach(long) { return NAN; }
double boost_cold() { return NAN; }

#endif
