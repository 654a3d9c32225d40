/* SPDX-License-Identifier: MIT */
/*
 * libshv for C++17 and later: handles with types, locks that the standard library's guards take, errors as exceptions. A header
 * only, over the C functions; what those say of concurrency and death holds here.
 *
 *	shv::arena a = shv::arena::create("example");
 *	auto hits = shv::value<long>::create(a, 0);       // with a recursive lock of its own
 *	{
 *		std::unique_lock guard(hits);             // or std::scoped_lock(hits, others)
 *		*hits.data() += 1;
 *	}
 *	shv::locked(hits) += 1;                           // the same in one line
 *	hits.publish("hits");                             // another process: shv::value<long>::find(a, "hits")
 *
 * Lifetime. What lies in an arena outlives handles, attachments and processes, so nothing is freed by itself: value, raw, array,
 * raw_array and mutex are handles, as small and as easily copied as a pointer, and destroy() frees the object for all processes. Who
 * wants the end of a scope to free it says so: shv::owned. An arena, on the other hand, is this process's attachment: its destructor
 * detaches, objects stay for the others, and the handles of that attachment are not to be used any more.
 *
 * Errors. Functions throw std::system_error: code() has the errno value of the C function in the generic category, what() the
 * sentence of shv_errmsg(). Destructors do not throw; what cannot be detached or freed there stays as it is: call detach() and
 * destroy() to be told.
 *
 * Death. A lock whose holder died is taken like any other. shv::locked has recovered(); for all other ways of taking
 * a lock (lock(), load(), ...) shv::recovered() tells whether it happened to this thread since it last asked.
 *
 * Types. Basic types are known; a structure is described once, outside of all namespaces:
 *
 *	struct point { double x, y; };
 *	SHV_DESCRIBE(point, SHV_FIELD(point, x, SHV_DOUBLE), SHV_FIELD(point, y, SHV_DOUBLE));
 *
 * Contents must be trivially copyable and of standard layout: they are bytes that other programs read.
 */
#ifndef SHV_SHV_HPP
#define SHV_SHV_HPP

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "shv.hpp wants C++17; in C and older C++ use shv.h"
#endif

#include <shv/shv.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <mutex>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#if __cplusplus >= 202002L && __has_include(<span>)
#include <span>
#endif

namespace shv {

/* ---- errors ------------------------------------------------------------------------------------------------- */

[[noreturn]] inline void throw_error(int code)
{
	throw std::system_error(code, std::generic_category(), shv_errmsg());
}

namespace detail {

inline bool &recovered_flag() noexcept
{
	static thread_local bool flag = false;

	return flag;
}

/* Of a function that returns a negative errno value or a fact. */
inline int check(int r)
{
	if (r < 0)
		throw_error(-r);
	return r;
}

/* The same, where 1 is SHV_RECOVERED. */
inline int check_lock(int r)
{
	if (check(r) == SHV_RECOVERED)
		recovered_flag() = true;
	return r;
}

template <typename T> inline T *check_pointer(T *p)
{
	if (!p)
		throw_error(errno);
	return p;
}

} // namespace detail

/* Did this thread get a lock from a holder that died, since it last asked? Asking forgets it. Since: 0.1 */
inline bool recovered() noexcept
{
	return std::exchange(detail::recovered_flag(), false);
}

/* ---- types -------------------------------------------------------------------------------------------------- */

/* Specialised by SHV_DESCRIBE(). */
template <typename T> struct description {
	static const shv_type *get() { return SHV_TYPE_OF(T); } /* neither a basic type nor described, if this does not compile */
};

/* The descriptor of T. Since: 0.1 */
template <typename T> inline const shv_type *type_of()
{
	static_assert(std::is_trivially_copyable<T>::value, "shared contents are bytes: no constructors, destructors, virtual functions");
	static_assert(std::is_standard_layout<T>::value, "shared contents have standard layout: other programs read them");
	return description<std::remove_cv_t<T>>::get();
}

/*
 * Describes a structure; its members as for shv_type_struct(). Use it outside of all namespaces, once for each T.
 * type_of<T>() throws what shv_type_struct() refuses. Since: 0.1
 */
#define SHV_DESCRIBE(T, ...)                                                                                             \
	template <> struct shv::description<T> {                                                                         \
		static const shv_type *get()                                                                             \
		{                                                                                                        \
			static const struct shv_field fields[] = { __VA_ARGS__ };                                        \
			static const shv_type *const t = shv::detail::check_pointer(                                     \
				shv_type_struct(#T, sizeof(T), fields, sizeof(fields) / sizeof(fields[0])));             \
			return t;                                                                                        \
		}                                                                                                        \
	}

/* ---- the attachment ----------------------------------------------------------------------------------------- */

/* This process's attachment to an arena; movable, detached at the end. Since: 0.1 */
class arena {
public:
	arena() noexcept = default;
	/* Takes over what a C function returned. */
	explicit arena(shv_arena *a) noexcept : a_(a) {}
	arena(arena &&other) noexcept : a_(other.release()) {}
	arena &operator=(arena &&other) noexcept
	{
		if (this != &other)
			reset(other.release());
		return *this;
	}
	arena(const arena &) = delete;
	arena &operator=(const arena &) = delete;
	~arena() { reset(); }

	static arena create(const char *name = nullptr, std::size_t capacity = 0, unsigned flags = 0)
	{
		shv_arena_options o = {};

		o.size = sizeof(o);
		o.name = name;
		o.capacity = capacity;
		o.flags = flags;
		return create(o);
	}
	static arena create(const shv_arena_options &o) { return arena(detail::check_pointer(shv_arena_create(&o))); }
	static arena attach(int fd, unsigned flags = 0) { return arena(detail::check_pointer(shv_arena_attach(fd, flags))); }
	static arena attach_pid(pid_t pid, const char *name = nullptr, unsigned flags = 0)
	{
		return arena(detail::check_pointer(shv_arena_attach_pid(pid, name, flags)));
	}

	/* Throws (EBUSY while this process holds a lock there), and is attached still then. */
	void detach()
	{
		detail::check(shv_arena_detach(a_));
		a_ = nullptr;
	}
	/* Gives the attachment out of hand, attached. */
	shv_arena *release() noexcept { return std::exchange(a_, nullptr); }
	shv_arena *get() const noexcept { return a_; }
	explicit operator bool() const noexcept { return a_ != nullptr; }

	int fd() const { return detail::check(shv_arena_fd(a_)); }
	std::string name() const { return detail::check_pointer(shv_arena_name(a_)); }
	void trim() { detail::check(shv_arena_trim(a_)); }
	/* How many dead processes were cleared up after. */
	int recover() { return detail::check(shv_arena_recover(a_, nullptr)); }
	void unpublish(const char *name) { detail::check(shv_unpublish(a_, name)); }

private:
	void reset(shv_arena *next = nullptr) noexcept
	{
		if (a_)
			(void)shv_arena_detach(a_);
		a_ = next;
	}

	shv_arena *a_ = nullptr;
};

/* ---- what all handles have ------------------------------------------------------------------------------------ */

namespace detail {

/* Is p of that kind, and are its items a T? */
template <typename T> inline void *check_object(void *p, enum shv_kind kind)
{
	bool many = kind == SHV_KIND_ARRAY || kind == SHV_KIND_RAW_ARRAY;
	const shv_type *is;

	check_pointer(p);
	is = check_pointer(shv_value_type(p));
	if (shv_kind_of(p) != kind)
		throw std::system_error(EINVAL, std::generic_category(), "shv: the object is of another kind (value, raw, array)");
	if (is == type_of<T>() || !std::strcmp(shv_type_format(is), shv_type_format(type_of<T>())))
		return p;
	/* Two words for the same bytes, such as long and long long? */
	if (many && shv_len(static_cast<shv_value *>(p)) == 0)
		throw std::system_error(EINVAL, std::generic_category(), "shv: the array is of another type");
	check_pointer(shv_field_at(static_cast<shv_value *>(p), many ? "[0]" : "", type_of<T>()));
	return p;
}

/* A handle of objects of type Self::item and kind Self::kind. */
template <typename Self, typename P> class handle {
public:
	handle() noexcept = default;
	P *get() const noexcept { return p_; }
	explicit operator bool() const noexcept { return p_ != nullptr; }
	friend bool operator==(const handle &x, const handle &y) noexcept { return x.p_ == y.p_; }
	friend bool operator!=(const handle &x, const handle &y) noexcept { return x.p_ != y.p_; }

	/* The number that means this object in every process. */
	shv_ref ref() const
	{
		shv_ref r = shv_ref_of(p_);

		if (!r)
			throw_error(errno);
		return r;
	}
	void publish(const char *name) const { check(shv_publish(p_, name)); }

protected:
	explicit handle(P *p) noexcept : p_(p) {}
	P *p_ = nullptr;
};

/* With contents of a type: found by pointer, name, reference, checked once. */
template <typename Self, typename P, typename T, enum shv_kind K> class object : public handle<Self, P> {
public:
	using value_type = T;

	/* Throws system_error with EINVAL if p is of another kind or type, ESTALE if it was freed. */
	static Self from(void *p) { return Self(static_cast<P *>(check_object<T>(p, K))); }
	/* ENOENT: no such name. */
	static Self find(const arena &a, const char *name) { return from(check_pointer(shv_find(a.get(), name))); }
	/* ESTALE: the object was freed. */
	static Self from_ref(const arena &a, shv_ref ref) { return from(check_pointer(shv_deref(a.get(), ref))); }

	/* The content itself; hold the lock, if it has one, while you use it. Not checked: the object must be alive. */
	T *data() const noexcept { return reinterpret_cast<T *>(this->p_); }

protected:
	object() noexcept = default;
	explicit object(P *p) noexcept : handle<Self, P>(p) {}
};

/* Lockable and TimedLockable as the standard has them; const, since a handle is a pointer. */
template <typename Self> class lockable {
public:
	void lock() const { check_lock(shv_acquire(self())); }
	/* false: somebody else holds it. */
	bool try_lock() const { return taken(shv_try_acquire(self()), EBUSY); }
	template <typename Rep, typename Period> bool try_lock_for(const std::chrono::duration<Rep, Period> &d) const
	{
		auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(d < d.zero() ? d.zero() : d).count();
		struct timespec rel = {};

		rel.tv_sec = static_cast<time_t>(left / 1000000000);
		rel.tv_nsec = static_cast<long>(left % 1000000000);
		return taken(shv_acquire_for(self(), &rel), ETIMEDOUT);
	}
	template <typename Clock, typename Duration> bool try_lock_until(const std::chrono::time_point<Clock, Duration> &t) const
	{
		return try_lock_for(t - Clock::now());
	}
	void unlock() const { check(shv_release(self())); }

private:
	shv_value *self() const noexcept { return static_cast<const Self *>(this)->get(); }
	static bool taken(int r, int not_now) { return r == -not_now ? false : (check_lock(r), true); }
};

} // namespace detail

/* ---- values and arrays ------------------------------------------------------------------------------------------ */

/* A T with the lock that its lock parameter names (shv_value_new()). Since: 0.1 */
template <typename T>
class value : public detail::object<value<T>, shv_value, T, SHV_KIND_VALUE>, public detail::lockable<value<T>> {
	using base = detail::object<value<T>, shv_value, T, SHV_KIND_VALUE>;
	friend base;
	explicit value(shv_value *v) noexcept : base(v) {}

public:
	value() noexcept = default;
	static value create(const arena &a, const T &init = T(), shv_lockspec lock = SHV_RECURSIVE)
	{
		return value(detail::check_pointer(shv_value_new(a.get(), type_of<T>(), &init, lock)));
	}
	/* The value of that name, made if there is none; EEXIST: the name is something else's. */
	static value find_or_create(const arena &a, const char *name, const T &init = T(), shv_lockspec lock = SHV_RECURSIVE,
				    bool *created = nullptr)
	{
		int made = 0;
		void *p = detail::check_pointer(shv_find_or_new(a.get(), name, type_of<T>(), &init, lock, &made));

		if (created)
			*created = made != 0;
		return value(static_cast<shv_value *>(p));
	}
	/* Frees it for everybody; the handle is empty then. EBUSY: somebody holds its lock. */
	void destroy()
	{
		detail::check(shv_value_free(this->p_));
		this->p_ = nullptr;
	}

	/* Each takes the lock, once; without one, T of 1, 2, 4, 8 bytes are one atomic access. */
	T load() const
	{
		T x;

		detail::check_lock(shv_get(this->p_, &x, sizeof(x)));
		return x;
	}
	void store(const T &x) const { detail::check_lock(shv_set(this->p_, &x, sizeof(x))); }
	/* Without the lock (shv_peek()); EAGAIN: writers came in between each time. */
	T peek() const
	{
		T x;

		detail::check_lock(shv_peek(this->p_, &x, sizeof(x)));
		return x;
	}
	/* true: it was `expected`, byte by byte, and is `desired` now; false: `expected` is what it is. */
	bool compare_exchange(T &expected, const T &desired) const
	{
		int r = shv_compare_exchange(this->p_, &expected, &desired, sizeof(T));

		return r == -EAGAIN ? false : (detail::check_lock(r), true);
	}
	/* Adds in one step: what it is afterwards. Integers wrap. */
	T add(T delta) const
	{
		arithmetic();
		if constexpr (std::is_integral<T>::value) {
			std::int64_t now = 0;
			detail::check_lock(shv_add(this->p_, static_cast<std::int64_t>(delta), &now));
			return static_cast<T>(now);
		} else {
			double now = 0;
			detail::check_lock(shv_addf(this->p_, static_cast<double>(delta), &now));
			return static_cast<T>(now);
		}
	}
	/* The same: what it was before, as std::atomic has it. */
	T fetch_add(T delta) const
	{
		arithmetic();
		if constexpr (std::is_integral<T>::value) {
			using U = std::make_unsigned_t<T>;
			return static_cast<T>(static_cast<U>(static_cast<U>(add(delta)) - static_cast<U>(delta)));
		} else {
			T old = load();
			while (!compare_exchange(old, static_cast<T>(old + delta)))
				;
			return old;
		}
	}

private:
	static constexpr void arithmetic()
	{
		static_assert(std::is_arithmetic<T>::value && !std::is_same<T, bool>::value && !std::is_same<T, char>::value &&
				      !std::is_same<T, wchar_t>::value,
			      "only numbers are added");
	}
};

namespace detail {

/* Items of an array in memory; what a container has. */
template <typename Self, typename P, typename T, enum shv_kind K> class items : public object<Self, P, T, K> {
public:
	using iterator = T *;
	using size_type = std::size_t;

	/* It never changes. */
	std::size_t size() const { return this->p_ ? shv_len(reinterpret_cast<const shv_value *>(this->p_)) : 0; }
	bool empty() const { return size() == 0; }
	/* Without the lock: hold it yourself while you go through them, or look at one. */
	T *begin() const noexcept { return this->data(); }
	T *end() const { return this->data() + size(); }
	T &operator[](std::size_t i) const noexcept { return this->data()[i]; }
	/* ERANGE past the end. */
	T &at(std::size_t i) const { return *static_cast<T *>(check_pointer(shv_at(shared(), i))); }
#ifdef __cpp_lib_span
	std::span<T> span() const { return std::span<T>(this->data(), size()); }
#endif

	/* Copies of one item, or of n; under the lock, if there is one. ERANGE past the end. */
	T load(std::size_t i) const
	{
		T x;

		check_lock(shv_get_item(shared(), i, &x, sizeof(x)));
		return x;
	}
	void store(std::size_t i, const T &x) const { check_lock(shv_set_item(shared(), i, &x, sizeof(x))); }
	void load(std::size_t from, std::size_t n, T *out) const { check_lock(shv_get_slice(shared(), from, n, out, n * sizeof(T))); }
	void store(std::size_t from, std::size_t n, const T *in) const
	{
		check_lock(shv_set_slice(shared(), from, n, in, n * sizeof(T)));
	}

protected:
	items() noexcept = default;
	explicit items(P *p) noexcept : object<Self, P, T, K>(p) {}

private:
	shv_value *shared() const noexcept { return reinterpret_cast<shv_value *>(this->p_); }
};

} // namespace detail

/* n items of T under one lock (shv_array_new()). Since: 0.1 */
template <typename T>
class array : public detail::items<array<T>, shv_value, T, SHV_KIND_ARRAY>, public detail::lockable<array<T>> {
	using base = detail::items<array<T>, shv_value, T, SHV_KIND_ARRAY>;
	friend detail::object<array<T>, shv_value, T, SHV_KIND_ARRAY>;
	explicit array(shv_value *v) noexcept : base(v) {}

public:
	array() noexcept = default;
	/* init: n items, or nullptr for zeros. */
	static array create(const arena &a, std::size_t n, const T *init = nullptr, shv_lockspec lock = SHV_RECURSIVE)
	{
		return array(detail::check_pointer(shv_array_new(a.get(), type_of<T>(), n, init, lock)));
	}
	static array create(const arena &a, std::initializer_list<T> init, shv_lockspec lock = SHV_RECURSIVE)
	{
		return create(a, init.size(), init.begin(), lock);
	}
	void destroy()
	{
		detail::check(shv_value_free(this->p_));
		this->p_ = nullptr;
	}
};

/* A T, and no lock (shv_raw_new()): a pointer that other processes can be told of. Since: 0.1 */
template <typename T> class raw : public detail::object<raw<T>, T, T, SHV_KIND_RAW> {
	using base = detail::object<raw<T>, T, T, SHV_KIND_RAW>;
	friend base;
	explicit raw(T *p) noexcept : base(p) {}

public:
	raw() noexcept = default;
	static raw create(const arena &a, const T &init = T())
	{
		return raw(static_cast<T *>(detail::check_pointer(shv_raw_new(a.get(), type_of<T>(), &init))));
	}
	T &operator*() const noexcept { return *this->p_; }
	T *operator->() const noexcept { return this->p_; }
	void destroy()
	{
		detail::check(shv_raw_free(this->p_));
		this->p_ = nullptr;
	}
};

/* n items of T, and no lock (shv_raw_array_new()). Since: 0.1 */
template <typename T> class raw_array : public detail::items<raw_array<T>, T, T, SHV_KIND_RAW_ARRAY> {
	using base = detail::items<raw_array<T>, T, T, SHV_KIND_RAW_ARRAY>;
	friend detail::object<raw_array<T>, T, T, SHV_KIND_RAW_ARRAY>;
	explicit raw_array(T *p) noexcept : base(p) {}

public:
	raw_array() noexcept = default;
	static raw_array create(const arena &a, std::size_t n, const T *init = nullptr)
	{
		return raw_array(static_cast<T *>(detail::check_pointer(shv_raw_array_new(a.get(), type_of<T>(), n, init))));
	}
	static raw_array create(const arena &a, std::initializer_list<T> init) { return create(a, init.size(), init.begin()); }
	void destroy()
	{
		detail::check(shv_raw_free(this->p_));
		this->p_ = nullptr;
	}
};

/* A lock object (shv_lock_new()): what values share by its spec(), and Lockable itself. Since: 0.1 */
class mutex : public detail::handle<mutex, shv_lock> {
	explicit mutex(shv_lock *l) noexcept : handle(l) {}

public:
	mutex() noexcept = default;
	static mutex create(const arena &a, shv_lockspec spec = SHV_RECURSIVE)
	{
		return mutex(detail::check_pointer(shv_lock_new(a.get(), spec)));
	}
	/* What makes values share it. */
	shv_lockspec spec() const noexcept { return SHV_SHARED(p_); }
	void lock() const { detail::check_lock(shv_lock_acquire(p_)); }
	bool try_lock() const
	{
		int r = shv_lock_try(p_);

		return r == -EBUSY ? false : (detail::check_lock(r), true);
	}
	void unlock() const { detail::check(shv_lock_release(p_)); }
	/* It goes when the last value has gone that shares it. */
	void destroy()
	{
		detail::check(shv_lock_free(p_));
		p_ = nullptr;
	}
};

/* ---- guards ------------------------------------------------------------------------------------------------------ */

/* Holds the lock of a value or array for a scope, and is the way to its content. Since: 0.1 */
template <typename H> class locked {
public:
	explicit locked(const H &h) : h_(h), guard_(shv_guard_begin_(h.get())), recovered_(detail::check(shv_with_status()) == SHV_RECOVERED) {}
	locked(const locked &) = delete;
	locked &operator=(const locked &) = delete;
	~locked() { shv_guard_end_(&guard_); }

	/* The last holder died holding it: look at the data. */
	bool recovered() const noexcept { return recovered_; }
	typename H::value_type &operator*() const noexcept { return *h_.data(); }
	typename H::value_type *operator->() const noexcept { return h_.data(); }
	const H &handle() const noexcept { return h_; }
	/* locked(v) += 1, locked(v) = x. */
	template <typename X> void operator+=(const X &x) const { **this += x; }
	void operator=(const typename H::value_type &x) const { **this = x; }

private:
	H h_;
	struct shv_guard guard_;
	bool recovered_;
};

/* The locks of several values or arrays, in an order that cannot end in a deadlock (shv_acquire_all()). Since: 0.1 */
template <std::size_t N> class locked_all {
public:
	template <typename... H>
	explicit locked_all(const H &...h) : v_{ h.get()... }, recovered_(detail::check(shv_acquire_all(v_, N)) == SHV_RECOVERED)
	{
	}
	locked_all(const locked_all &) = delete;
	locked_all &operator=(const locked_all &) = delete;
	~locked_all() { (void)shv_release_all(v_, N); }
	bool recovered() const noexcept { return recovered_; }

private:
	shv_value *v_[N];
	bool recovered_;
};
template <typename... H> locked_all(const H &...) -> locked_all<sizeof...(H)>;

/* ---- ownership ---------------------------------------------------------------------------------------------------- */

/* Frees the object of a handle at the end of its scope, for everybody. Movable. Since: 0.1 */
template <typename H> class owned {
public:
	owned() noexcept = default;
	explicit owned(H h) noexcept : h_(h) {}
	owned(owned &&other) noexcept : h_(other.release()) {}
	owned &operator=(owned &&other) noexcept
	{
		if (this != &other) {
			drop();
			h_ = other.release();
		}
		return *this;
	}
	owned(const owned &) = delete;
	owned &operator=(const owned &) = delete;
	~owned() { drop(); }

	const H &get() const noexcept { return h_; }
	const H &operator*() const noexcept { return h_; }
	const H *operator->() const noexcept { return &h_; }
	explicit operator bool() const noexcept { return static_cast<bool>(h_); }
	/* Gives the object out of hand, alive. */
	H release() noexcept { return std::exchange(h_, H()); }
	/* Frees it now. Throws, and owns it still then. */
	void destroy() { h_.destroy(); }

private:
	void drop() noexcept
	{
		if (!h_)
			return;
		try {
			h_.destroy();
		} catch (const std::system_error &) { /* in use, or gone already: it is not ours to wait for */
		}
		h_ = H();
	}

	H h_;
};

} // namespace shv

#endif /* SHV_SHV_HPP */
