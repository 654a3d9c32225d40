/* SPDX-License-Identifier: MIT */
/*
 * The life of an arena in one process: options, several at once, twice the same, full and emptied again, detached
 * without a trace, and the host program's malloc left alone.
 */
#include "api/api.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- options ------------------------------------------------------------------------------------------ */

START_TEST(defaults_are_had_in_three_ways)
{
	struct shv_arena_options zero = { 0 }, sized = { .size = sizeof(sized) };
	const struct shv_arena_options *const ways[] = { NULL, &zero, &sized };

	for (int i = 0; i < 3; i++) {
		shv_arena *a = made(shv_arena_create(ways[i]));
		struct shv_stat s = arena_stat(a);

		ck_assert_str_eq(shv_arena_name(a), "arena");
		ck_assert_str_eq(s.name, "arena");
		ck_assert_uint_eq(s.max_processes, 1024);
		ck_assert_uint_le(s.capacity, (uint64_t)64 << 30);
		ck_assert_uint_ge(s.capacity, (uint64_t)1 << 26);
		ck_assert_uint_eq(s.processes, 1);
		ck_assert_uint_eq(s.objects, 0);
		ck_assert_uint_lt(s.bytes_resident, 1 << 20);
		assert_sound(a);
		assert_ok(shv_arena_detach(a));
	}
}
END_TEST

START_TEST(options_are_honoured)
{
	const unsigned flags[] = { 0, SHV_HUGEPAGE, SHV_POPULATE, SHV_DUMP, SHV_HUGEPAGE | SHV_POPULATE | SHV_DUMP };

	for (unsigned i = 0; i < 5; i++) {
		struct shv_arena_options o = { .size = sizeof(o), .name = "mine: näme", .capacity = (100 << 20) + 1,
					       .max_processes = 7 * i + 1, .flags = flags[i] };
		shv_arena *a = made(shv_arena_create(&o));
		struct shv_stat s = arena_stat(a);
		shv_value *v = made(SHV_VALUE(a, int, 3));

		ck_assert_str_eq(shv_arena_name(a), "mine: näme");
		ck_assert_str_eq(s.name, "mine: näme");
		ck_assert_uint_eq(s.max_processes, 7 * i + 1);
		ck_assert_uint_ge(s.capacity, (100 << 20) + 1);
		ck_assert_uint_lt(s.capacity, (100 << 20) + 65537);
		ck_assert_int_eq(SHV_LOAD(v, int), 3);
		assert_sound(a);
		assert_ok(shv_arena_detach(a));
	}
}
END_TEST

START_TEST(name_has_1_to_63_bytes_and_no_slash)
{
	char name[80];
	struct shv_arena_options o = { .name = name };

	for (size_t n = 0; n < 70; n++) {
		memset(name, 'n', n);
		name[n] = 0;
		if (n >= 1 && n <= 63) {
			shv_arena *a = made(shv_arena_create(&o));
			ck_assert_str_eq(shv_arena_name(a), name);
			assert_ok(shv_arena_detach(a));
		} else {
			assert_refused_null(shv_arena_create(&o), EINVAL);
		}
	}
	o.name = "a/b";
	assert_refused_null(shv_arena_create(&o), EINVAL);
	o.name = "/";
	assert_refused_null(shv_arena_create(&o), EINVAL);
}
END_TEST

START_TEST(options_out_of_range_are_refused)
{
	const struct shv_arena_options wrong[] = {
		{ .size = 1 },
		{ .size = 8 },
		{ .size = sizeof(struct shv_arena_options) - 8 },
		{ .capacity = 1 },
		{ .capacity = 4096 },
		{ .capacity = ((size_t)32 << 20) - 1 },
		{ .capacity = ((size_t)1 << 42) + 1 },
		{ .capacity = SIZE_MAX },
		{ .capacity = (size_t)1 << 50 },
		{ .capacity = (size_t)1 << 63 },
		{ .max_processes = 4001 },
		{ .max_processes = UINT_MAX },
		{ .flags = SHV_RDONLY },
		{ .flags = SHV_RESTORE },
		{ .flags = SHV_LOCKED },
		{ .flags = 1u << 6 },
		{ .flags = 1u << 31 },
		{ .flags = UINT_MAX },
		{ .capacity = 32 << 20, .max_processes = 4000, .flags = 1u << 6 },
	};
	unsigned fds = open_descriptors(), maps = mappings();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct shv_arena_options o = wrong[i];

		assert_refused_null(shv_arena_create(&o), EINVAL);
		ck_assert_ptr_nonnull(strstr(shv_errmsg(), "shv_arena_create"));
	}
	ck_assert_uint_eq(open_descriptors(), fds);
	if (undisturbed())
		ck_assert_uint_le(mappings(), maps + 1); /* the library's own page, mapped once */
	/* The most and the least that is allowed. */
	struct shv_arena_options most = { .max_processes = 4000 },
				 least = { .capacity = (size_t)32 << 20, .max_processes = 1 };
	shv_arena *a = made(shv_arena_create(&most));
	ck_assert_uint_eq(arena_stat(a).max_processes, 4000);
	assert_ok(shv_arena_detach(a));
	a = made(shv_arena_create(&least));
	ck_assert_uint_eq(arena_stat(a).capacity, (size_t)32 << 20);
	made(SHV_VALUE(a, int, 1));
	assert_ok(shv_arena_detach(a));
}
END_TEST

static int create_with_little_address_space(void *arg)
{
	struct rlimit limit = { (rlim_t)6 << 30, (rlim_t)6 << 30 };
	struct shv_arena_options o = { .capacity = (size_t)8 << 30 };
	shv_arena *a;

	(void)arg;
	NEED(!setrlimit(RLIMIT_AS, &limit), "setrlimit");
	NEED(!shv_arena_create(&o) && errno == ENOMEM, "8 GiB that were asked for");
	a = shv_arena_create(NULL);
	NEED(a, "shv_arena_create");
	NEED(stat_of(a).capacity >= (1u << 30) && stat_of(a).capacity < (UINT64_C(6) << 30), "capacity");
	NEED(SHV_VALUE(a, int, 1), "SHV_VALUE");
	return 0;
}

START_TEST(default_capacity_yields_to_the_address_space)
{
	ck_assert_int_eq(finish(start(create_with_little_address_space, NULL)), 0);
}
END_TEST

/* Descriptors run out at each step of creation in turn, until it succeeds. */
static int create_with_few_descriptors(void *arg)
{
	int next = dup(0), few = 0;
	shv_arena *a = NULL;

	(void)arg;
	NEED(next >= 0 && !close(next), "the next descriptor");
	for (; !a && few < 20; few++) {
		struct rlimit limit = { (rlim_t)(next + few), 1024 };
		unsigned before = open_descriptors();

		NEED(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
		a = shv_arena_create(NULL);
		NEED(a || (errno == EMFILE && *shv_errmsg()), "with room for %d more", few);
		limit.rlim_cur = 1024;
		NEED(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
		NEED(a || open_descriptors() == before, "descriptors were left open");
	}
	NEED(few > 1 && a, "shv_arena_create");
	NEED(SHV_VALUE(a, int, 1), "SHV_VALUE");
	need_sound(a, "in the end");
	return 0;
}

START_TEST(creation_without_descriptors_is_refused)
{
	ck_assert_int_eq(finish(start(create_with_few_descriptors, NULL)), 0);
}
END_TEST

/* ---- the descriptor ----------------------------------------------------------------------------------- */

START_TEST(descriptor_is_a_sealed_private_memfd)
{
	int fd = shv_arena_fd(arena);
	char path[64], link[128] = "";
	struct stat st;

	ck_assert_int_ge(fd, 3);
	ck_assert_int_eq(shv_arena_fd(arena), fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_gt(readlink(path, link, sizeof(link) - 1), 0);
	ck_assert_str_eq(link, "/memfd:shv:arena (deleted)");
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_SEAL), F_SEAL_SHRINK | F_SEAL_SEAL);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & (F_SEAL_GROW | F_SEAL_WRITE), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

START_TEST(read_only_descriptor_is_a_new_one_each_time)
{
	struct stat one, two;
	int fd = shv_arena_fd_rdonly(arena), again = shv_arena_fd_rdonly(arena);

	ck_assert_int_ge(fd, 3);
	ck_assert_int_ge(again, 3);
	ck_assert_int_ne(fd, again);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &one) | fstat(shv_arena_fd(arena), &two), 0);
	ck_assert_uint_eq(one.st_ino, two.st_ino);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(again), 0);
	ck_assert_int_ge(shv_arena_fd(arena), 3);
}
END_TEST

/* As daemons do. The number may then be another file's, which is none of the library's business. */
START_TEST(arena_outlives_its_closed_descriptor)
{
	int fd = shv_arena_fd(arena), stranger, again, n = 0;
	struct stat st, old;

	ck_assert_int_eq(fstat(fd, &old), 0);
	ck_assert_int_eq(close(fd), 0);
	stranger = open("/dev/null", O_RDWR);
	ck_assert_int_ge(stranger, 0);
	if (stranger != fd)
		ck_assert_int_eq(dup2(stranger, fd), fd);
	again = shv_arena_fd(arena);
	if (again >= 0) {
		ck_assert_int_eq(fstat(again, &st), 0);
		ck_assert_uint_eq(st.st_ino, old.st_ino);
	} else {
		ck_assert_int_eq(again, -EBADF); /* an ordinary user has no other way to the file */
	}
	while (n < 10000 && shv_raw_array_new(arena, SHV_LONG, 100, NULL)) /* grows */
		n++;
	if (again >= 0) {
		ck_assert_int_eq(n, 10000);
		ck_assert_uint_eq(arena_stat(arena).raws, n);
	} else {
		ck_assert_int_eq(errno, EBADF);
	}
	assert_ok(shv_arena_detach(arena));
	arena = NULL;
	ck_assert_int_eq(fstat(fd, &st), 0); /* still /dev/null */
	ck_assert(S_ISCHR(st.st_mode));
}
END_TEST

/* ---- several ------------------------------------------------------------------------------------------ */

enum { MANY = 32 };

START_TEST(arenas_are_apart)
{
	shv_arena *a[MANY];
	shv_value *v[MANY];

	for (int i = 0; i < MANY; i++) {
		char name[16];
		struct shv_arena_options o = { .name = name };

		snprintf(name, sizeof(name), "number %d", i);
		a[i] = made(shv_arena_create(&o));
		v[i] = made(SHV_VALUE(a[i], int, i));
		assert_ok(shv_publish(v[i], "the value"));
	}
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < MANY; i++) {
			assert_ok(shv_add(v[i], 1, NULL));
			made(shv_raw_new(a[i], SHV_DOUBLE, NULL));
		}
	}
	for (int i = 0; i < MANY; i++) {
		ck_assert_ptr_eq(shv_arena_of(v[i]), a[i]);
		ck_assert_ptr_eq(shv_find(a[i], "the value"), v[i]);
		ck_assert_int_eq(SHV_LOAD(v[i], int), 100 + i);
		ck_assert_uint_eq(arena_stat(a[i]).objects, 101);
		ck_assert_int_eq(atoi(shv_arena_name(a[i]) + 7), i);
	}
	/* Every other one goes; the rest does not notice. */
	for (int i = 0; i < MANY; i += 2) {
		assert_ok(shv_arena_detach(a[i]));
		assert_refused(shv_arena_detach(a[i]), EINVAL);
		assert_refused(shv_get(v[i], &(int){ 0 }, sizeof(int)), EINVAL);
		assert_refused_null(shv_arena_of(v[i]), EINVAL);
	}
	for (int i = 1; i < MANY; i += 2) {
		assert_ok(shv_add(v[i], 1, NULL));
		ck_assert_int_eq(SHV_LOAD(v[i], int), 101 + i);
		assert_sound(a[i]);
		assert_ok(shv_arena_detach(a[i]));
	}
}
END_TEST

static void once(int i)
{
	shv_arena *a = made(shv_arena_create(NULL));
	shv_value *v = made(SHV_VALUE(a, int, i, plain_lockspec((unsigned)i % LOCKSPECS)));
	void *raw = made(shv_raw_array_new(a, SHV_CHAR, (size_t)(i % 50) * 1000, NULL));

	assert_ok(shv_publish(v, "v"));
	assert_ok(shv_add(v, 1, NULL));
	if (i % 3 == 0)
		assert_ok(shv_raw_free(raw));
	if (i % 4 == 0)
		assert_sound(a);
	assert_ok(shv_arena_detach(a));
}

START_TEST(three_hundred_arenas_leave_nothing_behind)
{
	unsigned fds, maps;

	for (int i = 0; i < 50; i++) /* until the caches of the library and of malloc have what they keep */
		once(i);
	fds = open_descriptors();
	maps = mappings();
	for (int i = 0; i < 300; i++)
		once(i);
	ck_assert_uint_eq(open_descriptors(), fds);
	if (undisturbed())
		ck_assert_uint_le(mappings(), maps + 8); /* neighbours may or may not have become one */
}
END_TEST

static int arena_of_its_own(shv_value *unused)
{
	(void)unused;
	for (int i = 0; i < 20; i++)
		once(i);
	return 0;
}

START_TEST(threads_have_arenas_of_their_own)
{
	struct errand e[4];

	for (int i = 0; i < 4; i++)
		errand_send(&e[i], arena_of_its_own, NULL);
	for (int i = 0; i < 4; i++)
		assert_ok(errand_back(&e[i]));
}
END_TEST

/* ---- the same one twice ------------------------------------------------------------------------------- */

START_TEST(arena_attached_twice_is_one_arena_at_two_addresses)
{
	shv_arena *again = made(shv_arena_attach(shv_arena_fd(arena), 0));
	shv_value *v = made(SHV_VALUE(arena, int, 1)), *w = made(SHV_VALUE(again, int, 2));
	shv_value *v2 = made((shv_value *)shv_deref(again, shv_ref_of(v))),
		  *w1 = made((shv_value *)shv_deref(arena, shv_ref_of(w)));

	ck_assert_ptr_ne(arena, again);
	ck_assert_str_eq(shv_arena_name(again), shv_arena_name(arena));
	ck_assert_ptr_eq(shv_arena_of(v), arena);
	ck_assert_ptr_eq(shv_arena_of(v2), again);
	ck_assert_ptr_eq(shv_arena_of(w), again);
	ck_assert_int_eq(SHV_LOAD(v2, int), 1);
	ck_assert_int_eq(SHV_LOAD(w1, int), 2);
	assert_ok(SHV_STORE(v2, int, 11));
	ck_assert_int_eq(SHV_LOAD(v, int), 11);
	ck_assert_mem_eq(arena_stat(arena).uuid, arena_stat(again).uuid, 16);
	ck_assert_uint_eq(arena_stat(again).processes, 1); /* one membership */
	ck_assert_uint_eq(arena_stat(again).objects, 2);
	assert_ok(shv_value_free(w1));
	assert_refused(shv_value_free(w), ESTALE);
	assert_ok(shv_arena_detach(again));
	assert_refused(shv_get(v2, &(int){ 0 }, sizeof(int)), EINVAL);
	ck_assert_int_eq(SHV_LOAD(v, int), 11);
}
END_TEST

START_TEST(first_attachment_may_go_first)
{
	shv_arena *again = made(shv_arena_attach(shv_arena_fd(arena), 0));
	shv_value *v = made(SHV_VALUE(arena, int, 5)), *w = made((shv_value *)shv_deref(again, shv_ref_of(v)));

	assert_ok(shv_arena_detach(arena));
	assert_refused_null(shv_arena_of(v), EINVAL);
	arena = again;
	ck_assert_int_eq(SHV_LOAD(w, int), 5);
	for (int i = 0; i < 5000; i++)
		made(shv_raw_array_new(arena, SHV_LONG, 50, NULL));
	ck_assert_uint_eq(arena_stat(arena).raws, 5000);
	assert_ok(shv_value_free(w));
}
END_TEST

START_TEST(many_attachments_leave_nothing_behind)
{
	enum { N = 100 };
	shv_arena *a[N];
	unsigned fds = open_descriptors(), maps;
	int fd = shv_arena_fd(arena);

	for (int round = 0; round < 2; round++) {
		maps = mappings();
		for (int i = 0; i < N; i++) {
			a[i] = made(shv_arena_attach(fd, i % 3 ? 0 : SHV_RDONLY));
			for (int k = 0; k < i; k++)
				ck_assert_ptr_ne(a[k], a[i]);
		}
		for (int i = 0; i < N; i++)
			assert_ok(shv_arena_detach(a[i]));
		ck_assert_uint_eq(open_descriptors(), fds);
		if (round && undisturbed())
			ck_assert_uint_eq(mappings(), maps);
	}
}
END_TEST

/* ---- full --------------------------------------------------------------------------------------------- */

/* What must be as before when all has gone. */
static void assert_same(const struct shv_stat *now, const struct shv_stat *before)
{
	ck_assert_uint_eq(now->objects, before->objects);
	ck_assert_uint_eq(now->parts, before->parts);
	ck_assert_uint_eq(now->bytes_live, before->bytes_live);
	ck_assert_uint_eq(now->bytes_payload, before->bytes_payload);
	ck_assert_uint_eq(now->names, before->names);
	ck_assert_uint_eq(now->going, before->going);
	ck_assert_uint_eq(now->pages, before->pages);
	ck_assert_uint_eq(now->pages_free, before->pages_free);
	ck_assert_uint_eq(now->pages_owned, before->pages_owned);
	ck_assert_uint_eq(now->pages_slots, before->pages_slots);
}

enum { MOST = 1000000, RESERVE = 100 /* pages that a process may keep at hand */ };
static void *full[MOST];

/* Until the arena is full: how many. */
static int fill_up(size_t bytes)
{
	int n = 0;

	for (; n < MOST; n++) {
		errno = 0;
		full[n] = bytes == 8 ? (n % 2 ? shv_raw_new(arena, SHV_LONG, NULL)
					      : (void *)SHV_VALUE(arena, long, n, SHV_NONE))
				     : shv_raw_array_new(arena, SHV_CHAR, bytes ? bytes : (size_t)(n * 7919 % 20000),
							 NULL);
		if (!full[n])
			break;
	}
	ck_assert_int_lt(n, MOST);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_str_ne(shv_errmsg(), "");
	return n;
}

static void free_filled(int n)
{
	for (int i = 0; i < n; i++)
		assert_ok(shv_kind_of(full[i]) == SHV_KIND_VALUE ? shv_value_free(full[i]) : shv_raw_free(full[i]));
	assert_ok(shv_arena_trim(arena));
}

static void setup_small(void)
{
	struct shv_arena_options o = { .capacity = (size_t)32 << 20, .max_processes = 8, .name = "small" };

	arena = made(shv_arena_create(&o));
}

START_TEST(full_arena_can_be_emptied_and_filled_again)
{
	const size_t sizes[] = { 8, 100, 4096, 5000, 60000, 1000000, 0 };
	struct shv_stat empty, again, fresh = arena_stat(arena);
	int n, m;

	n = fill_up(sizes[_i]);
	ck_assert_uint_eq(arena_stat(arena).objects, n);
	ck_assert_uint_ge(arena_stat(arena).bytes_payload, sizes[_i] * (unsigned)n);
	assert_sound(arena);
	free_filled(n);
	empty = arena_stat(arena);
	ck_assert_uint_eq(empty.objects, 0);
	ck_assert_uint_le(empty.pages_owned, fresh.pages_owned + RESERVE);
	m = fill_up(sizes[_i]);
	ck_assert_int_ge(m, n);
	free_filled(m);
	again = arena_stat(arena);
	assert_same(&again, &empty);
	ck_assert_uint_le(again.bytes_resident, empty.bytes_resident + 65536);
}
END_TEST

START_TEST(full_arena_goes_on_working)
{
	shv_value *v = made(SHV_VALUE(arena, long, 1)), *w = made(SHV_VALUE(arena, long, 2));
	int n;

	assert_ok(shv_publish(v, "before"));
	n = fill_up(100);
	/* What is left holds things of other sizes. */
	for (unsigned rest = 1; rest;) {
		rest = 0;
		for (unsigned i = 0; i < LOCKSPECS; i++)
			rest += SHV_VALUE(arena, int, 1, plain_lockspec(i)) != NULL;
		rest += shv_raw_array_new(arena, SHV_CHAR, 60, NULL) != NULL;
		rest += shv_raw_array_new(arena, SHV_CHAR, 80, NULL) != NULL;
	}
	assert_refused_null(SHV_VALUE(arena, int, 1), ENOSPC);
	assert_refused_null(shv_raw_new(arena, SHV_INT, NULL), ENOSPC);
	assert_refused_null(shv_array_new(arena, SHV_INT, 1000, NULL, SHV_PLAIN), ENOSPC);
	assert_refused_null(shv_lock_new(arena, SHV_PLAIN), ENOSPC);
	assert_refused_null(shv_find_or_new(arena, "after", SHV_LONG, NULL, SHV_NONE, NULL), ENOSPC);
	assert_refused(shv_publish(w, "a name that needs a block of its own, somewhat longer than others"), ENOSPC);
	assert_refused_null(shv_find(arena, "after"), ENOENT);
	assert_ok(shv_add(v, 1, NULL));
	shv_with(v)
		*(long *)shv_value_data(v) += 1;
	ck_assert_int_eq(SHV_LOAD(v, long), 3);
	ck_assert_ptr_eq(shv_find(arena, "before"), v);
	assert_sound(arena);
	for (int i = 0; i < n; i += 2)
		assert_ok(shv_raw_free(full[i]));
	for (int i = 0; i < n; i += 2)
		made(shv_raw_array_new(arena, SHV_CHAR, 100, NULL));
	assert_sound(arena);
}
END_TEST

static int fill_in_thread(shv_value *unused)
{
	int n = 0;

	(void)unused;
	while (shv_raw_array_new(arena, SHV_CHAR, 200, NULL))
		n++;
	NEED(errno == ENOSPC, "shv_raw_array_new");
	return n;
}

START_TEST(threads_fill_the_arena_together)
{
	struct errand e[4];
	uint64_t n = 0, cursor = 0;
	struct shv_value_info info = { .size = sizeof(info) };

	for (int i = 0; i < 4; i++)
		errand_send(&e[i], fill_in_thread, NULL);
	for (int i = 0; i < 4; i++)
		n += (uint64_t)errand_back(&e[i]);
	ck_assert_uint_eq(arena_stat(arena).objects, n);
	ck_assert_uint_gt(n * 200, 4 << 20);
	assert_sound(arena);
	while (shv_value_next(arena, &cursor, &info) == 1)
		assert_ok(shv_raw_free(made(shv_deref(arena, info.ref))));
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_eq(arena_stat(arena).objects, 0);
}
END_TEST

/* ---- trim and recover --------------------------------------------------------------------------------- */

START_TEST(trim_gives_memory_back)
{
	enum { N = 20000 };
	uint64_t before;

	assert_ok(shv_arena_trim(arena));
	before = arena_stat(arena).bytes_resident;
	for (int i = 0; i < N; i++) {
		full[i] = made(shv_raw_array_new(arena, SHV_CHAR, 1000, NULL));
		memset(full[i], 1, 1000);
	}
	ck_assert_uint_gt(arena_stat(arena).bytes_resident, before + N * 1000);
	for (int i = 0; i < N; i++)
		assert_ok(shv_raw_free(full[i]));
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_lt(arena_stat(arena).bytes_resident, before + (1 << 20));
	assert_ok(shv_arena_trim(arena));
}
END_TEST

START_TEST(recovery_finds_nothing_where_nobody_died)
{
	struct shv_recovery r = { .size = sizeof(r), .processes = 77 };
	struct {
		struct shv_recovery r;
		unsigned char beyond[8];
	} old;

	ck_assert_int_eq(shv_arena_recover(arena, NULL), 0);
	ck_assert_int_eq(shv_arena_recover(arena, &r), 0);
	ck_assert_uint_eq(r.size, sizeof(r));
	ck_assert_uint_eq(r.processes, 0);
	ck_assert_uint_eq(r.locks_abandoned, 0);
	r.size = 0;
	r.processes = 77;
	ck_assert_int_eq(shv_arena_recover(arena, &r), 0);
	ck_assert_uint_eq(r.processes, 0);
	memset(&old, 0x5a, sizeof(old));
	old.r.size = offsetof(struct shv_recovery, values_undone); /* shorter than today's */
	ck_assert_int_eq(shv_arena_recover(arena, &old.r), 0);
	ck_assert_uint_eq(old.r.processes, 0);
	ck_assert_uint_eq(old.r.values_undone, 0x5a5a5a5a);
	r.size = 3;
	assert_refused(shv_arena_recover(arena, &r), EINVAL);
}
END_TEST

/* ---- detaching ---------------------------------------------------------------------------------------- */

struct stay {
	shv_value *v;
	struct gate there, go;
};
static struct stay stay;

static int hold(shv_value *v)
{
	NEED(shv_acquire(v) == 0, "shv_acquire");
	gate_add(&stay.there, 1);
	gate_wait(&stay.go, 1);
	return shv_release(v);
}

START_TEST(detach_is_refused_while_a_lock_is_held)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1, plain_lockspec((unsigned)_i)));
	shv_arena *again = made(shv_arena_attach(shv_arena_fd(arena), 0));
	struct errand e;

	memset(&stay, 0, sizeof(stay));
	assert_ok(shv_acquire(v));
	assert_refused(shv_arena_detach(arena), EBUSY);
	assert_refused(shv_arena_detach(again), EBUSY);
	ck_assert_int_eq(*(int *)shv_value_data(v), 1); /* nothing happened */
	assert_ok(shv_release(v));
	/* Also if another thread holds it. */
	errand_send(&e, hold, v);
	gate_wait(&stay.there, 1);
	assert_refused(shv_arena_detach(again), EBUSY);
	gate_add(&stay.go, 1);
	assert_ok(errand_back(&e));
	assert_ok(shv_arena_detach(again));
}
END_TEST

START_TEST(what_is_no_attachment_is_not_detached)
{
	long aligned[16] = { 0 };
	shv_value *v = made(SHV_VALUE(arena, int, 1));

	assert_refused(shv_arena_detach(NULL), EINVAL);
	assert_refused(shv_arena_detach((shv_arena *)aligned), EINVAL);
	assert_refused(shv_arena_detach((shv_arena *)((char *)aligned + 1)), EINVAL);
	assert_refused(shv_arena_detach((shv_arena *)v), EINVAL);
	assert_ok(shv_arena_detach(arena));
	assert_refused(shv_arena_detach(arena), EINVAL);
	assert_refused_null(shv_arena_name(arena), EINVAL);
	arena = NULL;
}
END_TEST

START_TEST(objects_stay_when_the_last_process_detaches)
{
	int fd = dup(shv_arena_fd(arena));
	shv_ref ref[1000];
	shv_value *w;

	for (int i = 0; i < 1000; i++)
		ref[i] = shv_ref_of(made(SHV_VALUE(arena, int, i, plain_lockspec((unsigned)i % LOCKSPECS))));
	assert_ok(shv_publish(shv_deref(arena, ref[7]), "seven"));
	assert_ok(shv_arena_detach(arena));
	arena = made(shv_arena_attach(fd, 0));
	close(fd);
	ck_assert_uint_eq(arena_stat(arena).objects, 1000);
	ck_assert_uint_eq(arena_stat(arena).processes, 1);
	for (int i = 0; i < 1000; i++) {
		w = made((shv_value *)shv_deref(arena, ref[i]));
		ck_assert_int_eq(SHV_LOAD(w, int), i);
		if (i == 7)
			ck_assert_ptr_eq(shv_find(arena, "seven"), w);
		assert_ok(shv_value_free(w));
	}
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_eq(arena_stat(arena).pages_orphaned, 0);
	ck_assert_uint_eq(arena_stat(arena).names, 0);
}
END_TEST

/* ---- the host program --------------------------------------------------------------------------------- */

START_TEST(malloc_of_the_program_is_libc_s)
{
	static const char *const names[] = {
		"malloc", "free", "calloc", "realloc", "posix_memalign", "aligned_alloc", "malloc_usable_size"
	};
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	ck_assert_ptr_nonnull(libc);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_ptr_nonnull(dlsym(RTLD_DEFAULT, names[i]));
		ck_assert_ptr_eq(dlsym(RTLD_DEFAULT, names[i]), dlsym(libc, names[i]));
	}
	ck_assert_ptr_null(dlsym(RTLD_DEFAULT, "mallocx"));
	ck_assert_ptr_null(dlsym(RTLD_DEFAULT, "mallctl"));
	ck_assert_ptr_null(dlsym(RTLD_DEFAULT, "shv_je_mallocx"));
	dlclose(libc);
}
END_TEST

START_TEST(objects_take_nothing_of_the_program_s_malloc)
{
	enum { N = 100000, BYTES = 500 };
	struct mallinfo2 before, with, after;

	assert_ok(shv_raw_free(made(shv_raw_new(arena, SHV_INT, NULL))));
	before = mallinfo2();
	for (int i = 0; i < N; i++)
		full[i] = made(shv_raw_array_new(arena, SHV_CHAR, BYTES, NULL));
	with = mallinfo2();
	for (int i = 0; i < N; i++)
		assert_ok(shv_raw_free(full[i]));
	after = mallinfo2();
	/* 50 MB of objects. The library's private bookkeeping, a few bytes an object at most, may be there. */
	ck_assert_uint_lt(with.uordblks + with.hblkhd, before.uordblks + before.hblkhd + N * 8);
	ck_assert_uint_lt(after.uordblks + after.hblkhd, before.uordblks + before.hblkhd + N * 8);
}
END_TEST

/* And the other way round: what the program allocates is nowhere in the arena. */
START_TEST(malloc_takes_nothing_of_the_arena)
{
	struct shv_stat before, after;
	void *p[1000];

	made(SHV_VALUE(arena, int, 1));
	before = arena_stat(arena);
	for (int i = 0; i < 1000; i++) {
		p[i] = malloc((size_t)i * 100 + 1);
		ck_assert_ptr_nonnull(p[i]);
		assert_refused_null(shv_arena_of(p[i]), EINVAL);
	}
	after = arena_stat(arena);
	assert_same(&after, &before);
	for (int i = 0; i < 1000; i++)
		free(p[i]);
}
END_TEST

START_TEST(objects_are_in_the_arena_and_nowhere_else)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1));
	struct shv_stat s = arena_stat(arena);

	for (int i = 0; i < 20000; i++) {
		void *p = made(shv_raw_array_new(arena, SHV_CHAR, (size_t)(i % 3000), NULL));
		shv_off off = shv_offset(arena, p);

		ck_assert_uint_gt(off, 0);
		ck_assert_uint_lt(off, s.capacity);
		ck_assert_ptr_eq(shv_arena_of(p), arena);
	}
	ck_assert_ptr_eq(shv_arena_of((char *)v + 3), arena);
	assert_refused_null(shv_arena_of(NULL), EINVAL);
	assert_refused_null(shv_arena_of(&s), EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arena");
	TCase *tc = tcase_create("options");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, defaults_are_had_in_three_ways);
	tcase_add_test(tc, options_are_honoured);
	tcase_add_test(tc, name_has_1_to_63_bytes_and_no_slash);
	tcase_add_test(tc, options_out_of_range_are_refused);
	if (undisturbed())
		tcase_add_test(tc, default_capacity_yields_to_the_address_space);
	tcase_add_test(tc, creation_without_descriptors_is_refused);

	tc = arena_case(suite, "descriptor");
	tcase_add_test(tc, descriptor_is_a_sealed_private_memfd);
	tcase_add_test(tc, read_only_descriptor_is_a_new_one_each_time);
	tcase_add_test(tc, arena_outlives_its_closed_descriptor);

	tc = tcase_create("several");
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, arenas_are_apart);
	tcase_add_test(tc, three_hundred_arenas_leave_nothing_behind);
	tcase_add_test(tc, threads_have_arenas_of_their_own);

	tc = arena_case(suite, "twice");
	tcase_add_test(tc, arena_attached_twice_is_one_arena_at_two_addresses);
	tcase_add_test(tc, first_attachment_may_go_first);
	tcase_add_test(tc, many_attachments_leave_nothing_behind);

	tc = tcase_create("full");
	tcase_add_checked_fixture(tc, setup_small, arena_teardown);
	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, full_arena_can_be_emptied_and_filled_again, 0, 7);
	tcase_add_test(tc, full_arena_goes_on_working);
	tcase_add_test(tc, threads_fill_the_arena_together);

	tc = arena_case(suite, "trim and recover");
	tcase_add_test(tc, trim_gives_memory_back);
	tcase_add_test(tc, recovery_finds_nothing_where_nobody_died);

	tc = arena_case(suite, "detach");
	tcase_add_loop_test(tc, detach_is_refused_while_a_lock_is_held, 0, LOCKS);
	tcase_add_test(tc, what_is_no_attachment_is_not_detached);
	tcase_add_test(tc, objects_stay_when_the_last_process_detaches);

	tc = arena_case(suite, "host");
	if (undisturbed()) {
		tcase_add_test(tc, malloc_of_the_program_is_libc_s);
		tcase_add_test(tc, objects_take_nothing_of_the_program_s_malloc);
	}
	tcase_add_test(tc, malloc_takes_nothing_of_the_arena);
	tcase_add_test(tc, objects_are_in_the_arena_and_nowhere_else);
	return run_suite(suite);
}
