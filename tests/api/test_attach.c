/* SPDX-License-Identifier: MIT */
/*
 * Attaching: to what is no arena or another library's, read-only, by process id; and that a refused or read-only
 * attach changes nothing.
 *
 * The superblock is known here by docs/FORMAT.md, so that each of its fields can be broken in a copy.
 */
#include "api/api.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- copies ------------------------------------------------------------------------------------------- */

enum { SEALED = 1, CONSTANT = 320 /* bytes of the superblock's constant part */ };

/* The written parts of the arena in a memfd of its own. Its holes stay holes. */
static int copy_arena(unsigned flags)
{
	int from = shv_arena_fd(arena), to = memfd_create("shv:copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	static char buffer[65536];
	off_t at = 0, end;
	struct stat st;

	ck_assert_int_ge(to, 0);
	ck_assert_int_eq(fstat(from, &st), 0);
	ck_assert_int_eq(ftruncate(to, st.st_size), 0);
	while ((at = lseek(from, at, SEEK_DATA)) >= 0 && at < st.st_size) {
		end = lseek(from, at, SEEK_HOLE);
		while (at < end) {
			ssize_t n =
				pread(from, buffer,
				      sizeof(buffer) < (size_t)(end - at) ? sizeof(buffer) : (size_t)(end - at), at);

			ck_assert_int_gt(n, 0);
			ck_assert_int_eq(pwrite(to, buffer, (size_t)n, at), n);
			at += n;
		}
	}
	if (flags & SEALED)
		ck_assert_int_eq(fcntl(to, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return to;
}

static void put(int fd, off_t at, const void *bytes, size_t n)
{
	ck_assert_int_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
}

static void get(int fd, off_t at, void *bytes, size_t n)
{
	ck_assert_int_eq(pread(fd, bytes, n, at), (ssize_t)n);
}

/* FNV-1a, as FORMAT.md has it for the constant part. */
static void renew_checksum(int fd)
{
	unsigned char constant[CONSTANT - 8];
	uint64_t sum = UINT64_C(14695981039346656037);

	get(fd, 0, constant, sizeof(constant));
	for (size_t i = 0; i < sizeof(constant); i++)
		sum = (sum ^ constant[i]) * UINT64_C(1099511628211);
	put(fd, sizeof(constant), &sum, sizeof(sum));
}

static shv_arena *try_attach(int fd, unsigned flags)
{
	shv_arena *a;

	errno = 0;
	a = shv_arena_attach(fd, flags);
	if (!a)
		ck_assert_str_ne(shv_errmsg(), "");
	return a;
}

/* Both ways of attaching must be refused so, and leave nothing open. */
static void assert_no_arena(int fd, int code)
{
	unsigned fds = open_descriptors();

	assert_refused_null(shv_arena_attach(fd, 0), code);
	assert_refused_null(shv_arena_attach(fd, SHV_RDONLY), code);
	ck_assert_uint_eq(open_descriptors(), fds);
}

/* ---- what is no arena --------------------------------------------------------------------------------- */

START_TEST(descriptors_of_other_things_are_refused)
{
	char path[] = "/tmp/shv-test-XXXXXX";
	int file = mkstemp(path), fds[2], sockets[2], memfd, big;

	ck_assert_int_ge(file, 0);
	unlink(path);
	ck_assert_int_eq(ftruncate(file, 1 << 20), 0);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	memfd = memfd_create("shv:empty", MFD_CLOEXEC);
	big = memfd_create("shv:big", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(big, 1 << 26), 0);
	assert_no_arena(file, EBADMSG);
	assert_no_arena(fds[0], EBADMSG);
	assert_no_arena(fds[1], EBADMSG);
	assert_no_arena(sockets[0], EBADMSG);
	assert_no_arena(memfd, EBADMSG);
	assert_no_arena(big, EBADMSG); /* not sealed */
	ck_assert_int_eq(fcntl(big, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_no_arena(big, EBADMSG); /* zeros */
	for (int i = 0; i < 2; i++) {
		int dir = open(i ? "/dev/null" : "/proc/self", O_RDONLY);

		ck_assert_int_ge(dir, 0);
		assert_no_arena(dir, EBADMSG);
		close(dir);
	}
	close(file), close(fds[0]), close(fds[1]), close(sockets[0]), close(sockets[1]), close(memfd), close(big);
	assert_no_arena(big, EBADF);
	assert_no_arena(-1, EBADF);
	assert_no_arena(INT_MAX, EBADF);
	assert_no_arena(INT_MIN, EBADF);
}
END_TEST

START_TEST(flags_that_do_not_belong_are_refused)
{
	const unsigned flags[] = { SHV_HUGEPAGE,           SHV_RESTORE, SHV_LOCKED, 1u << 6, 1u << 31, UINT_MAX,
				   SHV_RDONLY | SHV_LOCKED };

	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		assert_refused_null(shv_arena_attach(shv_arena_fd(arena), flags[i]), EINVAL);
		assert_refused_null(shv_arena_attach_pid(getpid(), NULL, flags[i]), EINVAL);
	}
	assert_ok(shv_arena_detach(made(shv_arena_attach(shv_arena_fd(arena), SHV_POPULATE | SHV_DUMP))));
}
END_TEST

START_TEST(descriptor_must_allow_what_is_asked)
{
	int readonly = shv_arena_fd_rdonly(arena), writeonly, path_only;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", shv_arena_fd(arena));
	writeonly = open(path, O_WRONLY | O_CLOEXEC);
	path_only = open(path, O_PATH | O_CLOEXEC);
	assert_refused_null(shv_arena_attach(readonly, 0), EACCES);
	assert_ok(shv_arena_detach(made(shv_arena_attach(readonly, SHV_RDONLY))));
	assert_refused_null(shv_arena_attach(writeonly, 0), EACCES);
	ck_assert_ptr_null(try_attach(writeonly, SHV_RDONLY));
	ck_assert(errno == EACCES || errno == EBADMSG);
	ck_assert_ptr_null(try_attach(path_only, SHV_RDONLY));
	ck_assert(errno == EBADF || errno == EACCES || errno == EBADMSG);
	ck_assert_ptr_null(try_attach(path_only, 0));
	ck_assert(errno == EBADF || errno == EACCES || errno == EBADMSG);
	close(readonly), close(writeonly), close(path_only);
}
END_TEST

/* ---- damaged and foreign ------------------------------------------------------------------------------ */

/* The other tests show something only if a faithful copy is an arena. */
START_TEST(faithful_copy_is_an_arena_of_its_own)
{
	shv_value *v = made(SHV_VALUE(arena, int, 7)), *w;
	shv_ref ref = shv_ref_of(v);
	int fd = copy_arena(SEALED);
	shv_arena *readonly = made(shv_arena_attach(fd, SHV_RDONLY)), *copy = made(shv_arena_attach(fd, 0));

	assert_sound(readonly);
	w = made((shv_value *)shv_deref(copy, ref));
	ck_assert_int_eq(SHV_LOAD(w, int), 7);
	ck_assert_int_eq(SHV_LOAD((shv_value *)shv_deref(readonly, ref), int), 7);
	assert_ok(SHV_STORE(w, int, 8));
	ck_assert_int_eq(SHV_LOAD(v, int), 7);
	ck_assert_mem_eq(arena_stat(copy).uuid, arena_stat(arena).uuid, 16);
	assert_sound(copy);
	assert_ok(shv_arena_detach(copy));
	assert_ok(shv_arena_detach(readonly));
	close(fd);
}
END_TEST

START_TEST(unsealed_copy_is_refused)
{
	int fd = copy_arena(0);

	assert_no_arena(fd, EBADMSG);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE), 0);
	assert_no_arena(fd, EBADMSG);
	close(fd);
}
END_TEST

START_TEST(truncated_copy_is_refused)
{
	const struct {
		off_t size;
		int code;
	} cuts[] = { { 0, EBADMSG },        { 1, EBADMSG },    { 100, EBADMSG },
		     { CONSTANT, EBADMSG }, { 4096, EUCLEAN }, { 1 << 20, EUCLEAN } };

	for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		int fd = copy_arena(0);

		ck_assert_int_eq(ftruncate(fd, cuts[i].size), 0);
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
		assert_no_arena(fd, cuts[i].code);
		close(fd);
	}
}
END_TEST

/* The fields of docs/FORMAT.md. with: with a checksum that fits again; 0 = then it may be attached to. */
static const struct field {
	const char *name;
	off_t at;
	size_t size;
	int without, with;
} fields[] = {
	{ "magic", 0, 8, EBADMSG, EBADMSG },
	{ "format", 8, 4, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "stamp", 12, 4, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "features_optional", 16, 8, EUCLEAN, 0 },
	{ "features_required", 24, 8, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "capacity", 32, 8, EUCLEAN, EUCLEAN },
	{ "created", 40, 8, EUCLEAN, 0 },
	{ "uuid", 48, 16, EUCLEAN, 0 },
	{ "name", 64, 6, EUCLEAN, 0 },
	{ "page_shift", 128, 4, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "max_processes", 132, 4, EUCLEAN, EUCLEAN },
	{ "max_threads", 136, 4, EUCLEAN, EUCLEAN },
	{ "max_chunks", 140, 4, EUCLEAN, EUCLEAN },
	{ "max_pages", 144, 8, EUCLEAN, EUCLEAN },
	{ "policies_off", 152, 8, EUCLEAN, EUCLEAN },
	{ "graves_off", 160, 8, EUCLEAN, EUCLEAN },
	{ "processes_off", 168, 8, EUCLEAN, EUCLEAN },
	{ "threads_off", 176, 8, EUCLEAN, EUCLEAN },
	{ "types_off", 184, 8, EUCLEAN, EUCLEAN },
	{ "types_text_off", 192, 8, EUCLEAN, EUCLEAN },
	{ "chunks_off", 200, 8, EUCLEAN, EUCLEAN },
	{ "map_off", 208, 8, EUCLEAN, EUCLEAN },
	{ "sums_off", 216, 8, EUCLEAN, EUCLEAN },
	{ "data_off", 224, 8, EUCLEAN, EUCLEAN },
	{ "sums_level_off", 232, 72, EUCLEAN, EUCLEAN },
	{ "levels", 304, 4, EUCLEAN, EUCLEAN },
	{ "flags", 308, 4, EUCLEAN, 0 },
	{ "checksum", 312, 8, EUCLEAN, 0 },
};
#define FIELDS ((int)(sizeof(fields) / sizeof(fields[0])))

/* Each byte of the field in turn, and with several values. */
START_TEST(broken_field_is_refused)
{
	const struct field *f = &fields[_i];
	const unsigned char flips[] = { 0x01, 0x80, 0xff };
	int fd = copy_arena(SEALED);

	for (size_t b = 0; b < f->size; b++) {
		for (unsigned k = 0; k < sizeof(flips); k++) {
			unsigned char was, is;

			get(fd, f->at + (off_t)b, &was, 1);
			is = was ^ flips[k];
			put(fd, f->at + (off_t)b, &is, 1);
			assert_no_arena(fd, f->without);
			if (f->with) {
				renew_checksum(fd);
				assert_no_arena(fd, f->with);
			}
			put(fd, f->at + (off_t)b, &was, 1);
			renew_checksum(fd);
		}
	}
	/* Nothing else was broken. */
	assert_ok(shv_arena_detach(made(shv_arena_attach(fd, SHV_RDONLY))));
	close(fd);
}
END_TEST

START_TEST(field_that_means_nothing_for_the_layout_may_differ)
{
	const struct field *f = &fields[_i];
	unsigned char bytes[16];
	shv_arena *a;
	int fd;

	if (f->with)
		return;
	fd = copy_arena(SEALED);
	get(fd, f->at, bytes, f->size);
	bytes[0] ^= 1;
	put(fd, f->at, bytes, f->size);
	renew_checksum(fd);
	a = made(shv_arena_attach(fd, SHV_RDONLY));
	assert_sound(a);
	assert_ok(shv_arena_detach(a));
	close(fd);
}
END_TEST

START_TEST(impossible_sizes_are_refused_though_the_checksum_fits)
{
	const uint64_t capacities[] = { 0, 1, 4096, 4097, UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 43, 1 << 20 };
	const uint32_t processes[] = { 0, 4001, UINT32_MAX };
	int fd = copy_arena(SEALED);
	uint64_t capacity;

	get(fd, 32, &capacity, 8);
	for (unsigned i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		put(fd, 32, &capacities[i], 8);
		renew_checksum(fd);
		assert_no_arena(fd, EUCLEAN);
	}
	put(fd, 32, &capacity, 8);
	for (unsigned i = 0; i < sizeof(processes) / sizeof(processes[0]); i++) {
		put(fd, 132, &processes[i], 4);
		renew_checksum(fd);
		assert_no_arena(fd, EUCLEAN);
	}
	close(fd);
}
END_TEST

START_TEST(random_bytes_behind_a_seal_are_refused)
{
	struct rng rng = { 77 };
	int fd = copy_arena(SEALED);

	for (int i = 0; i < 300; i++) {
		uint64_t page[512];
		uint64_t magic;

		get(fd, 0, &magic, 8);
		for (int k = 0; k < 512; k++)
			page[k] = rng_next(&rng);
		if (i % 2)
			page[0] = magic; /* with the right beginning */
		put(fd, 0, page, sizeof(page));
		ck_assert_ptr_null(try_attach(fd, i % 4 < 2 ? 0 : SHV_RDONLY));
		ck_assert(errno == EBADMSG || errno == EPROTONOSUPPORT || errno == EUCLEAN);
		put(fd, 0, &magic, 8);
	}
	close(fd);
}
END_TEST

/* ---- read-only ---------------------------------------------------------------------------------------- */

/* A number for all bytes of the arena that are there, and for which are. */
static uint64_t fingerprint(int fd)
{
	uint64_t sum = UINT64_C(14695981039346656037);
	static uint64_t buffer[8192];
	off_t at = 0, end;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		sum = (sum ^ (uint64_t)at) * UINT64_C(1099511628211);
		while (at < end) {
			ssize_t n = pread(fd, buffer, sizeof(buffer), at);

			NEED(n > 0, "pread");
			for (ssize_t i = 0; i < (n + 7) / 8; i++)
				sum = (sum ^ buffer[i]) * UINT64_C(1099511628211);
			at += n;
		}
	}
	return sum;
}

struct shown {
	shv_ref value, none, raw, array, lock, pair;
	int fd;
};

static int spec_acquire(void *state, const struct timespec *deadline)
{
	(void)state;
	(void)deadline;
	return 0;
}
static int spec_release(void *state)
{
	(void)state;
	return 0;
}

#define NEED_EROFS(call) NEED((call) == -EROFS && *shv_errmsg(), #call)
#define NEED_EROFS_NULL(call)                                          \
	do {                                                           \
		errno = 0;                                             \
		NEED(!(call) && errno == EROFS && *shv_errmsg(), #call); \
	} while (0)

/* Everything that would write. */
static void try_to_write(shv_arena *ro, const struct shown *s)
{
	static const struct shv_lock_policy policy = { .struct_size = sizeof(policy),
						       .name = "p",
						       .size = 8,
						       .align = 8,
						       .acquire = spec_acquire,
						       .release = spec_release };
	const struct timespec soon = { 0, 1000 };
	shv_value *value = shv_deref(ro, s->value), *none = shv_deref(ro, s->none), *array = shv_deref(ro, s->array),
		  *out = NULL;
	shv_lock *lock = shv_deref(ro, s->lock);
	void *raw = shv_deref(ro, s->raw);
	int x = 1, runs = 0;

	NEED(value && none && array && lock && raw, "shv_deref");
	NEED_EROFS_NULL(shv_value_new(ro, SHV_INT, NULL, SHV_NONE));
	NEED_EROFS_NULL(shv_raw_new(ro, SHV_INT, NULL));
	NEED_EROFS_NULL(shv_array_new(ro, SHV_INT, 1, NULL, SHV_PLAIN));
	NEED_EROFS_NULL(shv_raw_array_new(ro, SHV_INT, 1, NULL));
	NEED_EROFS_NULL(shv_lock_new(ro, SHV_PLAIN));
	NEED_EROFS_NULL(shv_find_or_new(ro, "a new name", SHV_INT, NULL, SHV_NONE, NULL));
	NEED_EROFS(shv_lock_register(ro, &policy));
	NEED_EROFS(shv_value_free(value));
	NEED_EROFS(shv_value_free(none));
	NEED_EROFS(shv_value_free(array));
	NEED_EROFS(shv_raw_free(raw));
	NEED_EROFS(shv_lock_free(lock));
	NEED_EROFS(shv_set(value, &x, sizeof(x)));
	NEED_EROFS(shv_set(none, &x, sizeof(x)));
	NEED_EROFS(shv_set_typed(value, SHV_INT, &x, sizeof(x)));
	NEED_EROFS(SHV_STORE(none, int, 1));
	NEED_EROFS(shv_add(value, 1, NULL));
	NEED_EROFS(shv_add(none, 1, NULL));
	NEED_EROFS(shv_addf(value, 1, NULL));
	NEED_EROFS(shv_compare_exchange(value, &x, &x, sizeof(x)));
	NEED_EROFS(shv_compare_exchange(none, &x, &x, sizeof(x)));
	NEED_EROFS(shv_acquire(value));
	NEED_EROFS(shv_try_acquire(value));
	NEED_EROFS(shv_acquire_for(value, &soon));
	NEED_EROFS(shv_release(value));
	NEED_EROFS(shv_lock_acquire(lock));
	NEED_EROFS(shv_lock_try(lock));
	NEED_EROFS(shv_lock_for(lock, &soon));
	NEED_EROFS(shv_lock_release(lock));
	NEED_EROFS(shv_ref_acquire(ro, s->value, &out));
	NEED_EROFS(shv_publish(raw, "raw"));
	NEED_EROFS(shv_unpublish(ro, "the value"));
	NEED_EROFS(shv_arena_recover(ro, NULL));
	NEED_EROFS(shv_arena_trim(ro));
	shv_with(value)
		runs++;
	NEED(!runs && shv_with_status() == -EROFS && !out, "shv_with");
}

/* Everything that looks. */
static void look(shv_arena *ro, const struct shown *s)
{
	shv_value *value = shv_deref(ro, s->value), *none = shv_deref(ro, s->none), *array = shv_deref(ro, s->array);
	shv_value *pair = shv_deref(ro, s->pair);
	shv_lock *lock = shv_deref(ro, s->lock);
	double *raw = shv_deref(ro, s->raw);
	struct shv_stat st = { .size = sizeof(st) };
	struct shv_value_info info = { .size = sizeof(info) };
	struct shv_lock_info lock_info = { .size = sizeof(lock_info) };
	struct shv_process_info process = { .size = sizeof(process) };
	struct shv_run_info run = { .size = sizeof(run) };
	struct shv_type_info type = { .size = sizeof(type) };
	struct shv_holder h = { .size = sizeof(h) };
	int x = 0, ten[10];
	char text[64];
	uint64_t cursor;
	shv_ref ref;

	NEED(value && none && array && lock && raw && pair, "shv_deref");
	NEED(!shv_get(value, &x, sizeof(x)) && x == 7, "shv_get");
	NEED(!shv_peek(value, &x, sizeof(x)) && x == 7, "shv_peek");
	NEED(SHV_LOAD(value, int) == 7 && SHV_LOAD(none, int) == 8, "SHV_LOAD");
	NEED(!shv_get(array, ten, sizeof(ten)) && ten[9] == 9, "shv_get of an array");
	NEED(*(int *)shv_value_data(value) == 7 && *raw == 0.5, "data");
	NEED(shv_value_type(value) == SHV_INT && shv_value_type(raw) == SHV_DOUBLE, "type");
	NEED(shv_type_size(shv_value_type(pair)) == 16, "a made type");
	NEED(shv_len(array) == 10 && *(int *)shv_at(array, 4) == 4, "items");
	NEED(shv_kind_of(lock) == SHV_KIND_LOCK && shv_kind_of(raw) == SHV_KIND_RAW, "kinds");
	NEED(shv_value_lock(value) && !shv_value_lock(none), "locks");
	NEED(shv_value_holder(value, &h) == 0 && shv_lock_holder(lock, &h) == 0, "holders");
	NEED(shv_last_holder(value, &h) == -ENOENT, "shv_last_holder");
	NEED(shv_find(ro, "the value") == value && !shv_find(ro, "nothing") && errno == ENOENT, "names");
	NEED(shv_ref_of(value) == s->value && shv_arena_of(value) == ro, "references");
	NEED(shv_pointer(ro, shv_offset(ro, raw), 8) == raw, "offsets");
	cursor = 0;
	NEED(shv_next_name(ro, &cursor, text, sizeof(text), &ref) == 1 && ref == s->value, "shv_next_name");
	NEED(!strcmp(text, "the value"), "name");
	NEED(shv_value_name(ro, s->value, text, sizeof(text)) == 9, "shv_value_name");
	NEED(shv_value_text(ro, s->value, text, sizeof(text)) == 1 && !strcmp(text, "7"), "shv_value_text");
	NEED(shv_value_bytes(ro, s->raw, text, sizeof(text), NULL) == 8, "shv_value_bytes");
	NEED(!shv_value_describe(ro, s->array, &info) && info.len == 10, "shv_value_describe");
	NEED(!shv_stat(ro, &st) && st.objects == 6 && st.names == 1, "shv_stat");
	for (cursor = 0; shv_value_next(ro, &cursor, &info) == 1;)
		;
	for (cursor = 0; shv_lock_next(ro, &cursor, &lock_info) == 1;)
		;
	for (cursor = 0; shv_process_next(ro, &cursor, &process) == 1;)
		;
	for (cursor = 0; shv_run_next(ro, &cursor, &run) == 1;)
		;
	for (cursor = 0; shv_type_next(ro, &cursor, &type) == 1;)
		;
	need_sound(ro, "read-only");
	NEED(!strcmp(shv_arena_name(ro), "arena"), "shv_arena_name");
}

static struct shown show_things(void)
{
	const int ten[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	const shv_type *pair = made(shv_type_parse("T{q:x:d:y:}"));
	struct shown s;
	shv_value *v = made(SHV_VALUE(arena, int, 7));

	assert_ok(shv_publish(v, "the value"));
	s.value = shv_ref_of(v);
	s.none = shv_ref_of(made(SHV_VALUE(arena, int, 8, SHV_NONE)));
	s.raw = shv_ref_of(made(shv_raw_new(arena, SHV_DOUBLE, &(double){ 0.5 })));
	s.array = shv_ref_of(made(shv_array_new(arena, SHV_INT, 10, ten, SHV_PLAIN)));
	s.lock = shv_ref_of(made(shv_lock_new(arena, SHV_RECURSIVE)));
	s.pair = shv_ref_of(made(shv_raw_new(arena, pair, NULL)));
	s.fd = shv_arena_fd_rdonly(arena);
	ck_assert_int_ge(s.fd, 0);
	return s;
}

START_TEST(read_only_attachment_shows_everything_and_changes_nothing)
{
	struct shown s = show_things();
	struct shv_stat before = arena_stat(arena), after;
	uint64_t was;
	shv_arena *ro;

	was = fingerprint(s.fd);
	ro = made(shv_arena_attach(s.fd, SHV_RDONLY));
	look(ro, &s);
	try_to_write(ro, &s);
	look(ro, &s);
	assert_ok(shv_arena_detach(ro));
	ck_assert_uint_eq(fingerprint(s.fd), was);
	after = arena_stat(arena);
	ck_assert_uint_eq(after.processes, before.processes);
	ck_assert_uint_eq(after.threads, before.threads);
	ck_assert_uint_eq(after.bytes_resident, before.bytes_resident);
	/* The fingerprint notices a changed byte. */
	assert_ok(shv_add(made((shv_value *)shv_deref(arena, s.value)), 1, NULL));
	ck_assert_uint_ne(fingerprint(s.fd), was);
	close(s.fd);
}
END_TEST

static int only_looks(void *arg)
{
	struct shown *s = arg;
	shv_arena *ro;

	/* This process has nothing else of the arena. */
	NEED(shv_arena_detach(arena) == 0, "shv_arena_detach");
	ro = shv_arena_attach(s->fd, SHV_RDONLY);
	NEED(ro, "shv_arena_attach");
	look(ro, s);
	try_to_write(ro, s);
	NEED(shv_arena_detach(ro) == 0, "shv_arena_detach");
	return 0;
}

START_TEST(process_that_only_looks_is_not_a_member)
{
	struct shown s = show_things();
	uint64_t was = fingerprint(s.fd);

	ck_assert_int_eq(finish(start(only_looks, &s)), 0);
	ck_assert_uint_eq(fingerprint(s.fd), was);
	ck_assert_uint_eq(arena_stat(arena).processes, 1);
	ck_assert_int_eq(shv_arena_recover(arena, NULL), 0);
	close(s.fd);
}
END_TEST

static int writes_through_the_mapping(void *arg)
{
	struct shown *s = arg;
	shv_arena *ro = shv_arena_attach(s->fd, SHV_RDONLY);
	shv_value *v = shv_deref(ro, s->value);
	struct rlimit no_core = { 0, 0 };

	NEED(v && !setrlimit(RLIMIT_CORE, &no_core), "setrlimit");
	signal(SIGSEGV, SIG_DFL); /* also where a sanitizer has its own handler */
	*(volatile int *)shv_value_data(v) = 1;
	return 0;
}

START_TEST(pages_of_a_read_only_attachment_cannot_be_written)
{
	struct shown s = show_things();

	ck_assert_int_eq(finish(start(writes_through_the_mapping, &s)), -SIGSEGV);
	ck_assert_int_eq(SHV_LOAD((shv_value *)shv_deref(arena, s.value), int), 7);
	close(s.fd);
}
END_TEST

START_TEST(read_only_attachment_follows_the_arena)
{
	shv_arena *ro = made(shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY));

	/* Far beyond what the file had when it was attached. */
	for (int i = 0; i < 5000; i++) {
		shv_value *v = made(shv_array_new(arena, SHV_INT, 100, NULL, SHV_PLAIN)), *seen;

		*(int *)shv_at(v, 99) = i;
		seen = made((shv_value *)shv_deref(ro, shv_ref_of(v)));
		ck_assert_int_eq(*(int *)made(shv_at(seen, 99)), i);
		if (i % 2)
			assert_ok(shv_value_free(v));
		ck_assert_int_eq(shv_kind_of(seen), i % 2 ? SHV_KIND_NONE : SHV_KIND_ARRAY);
	}
	ck_assert_uint_eq(arena_stat(ro).objects, 2500);
	assert_sound(ro);
	assert_ok(shv_arena_detach(ro));
}
END_TEST

/* ---- by process id ------------------------------------------------------------------------------------ */

struct host {
	struct gate ready, go;
	const char *names[4];
	int arenas;
	bool twice; /* a second descriptor of each */
	shv_ref ref;
};
static struct host *host;

static int be_host(void *arg)
{
	(void)arg;
	NEED(!arena || !shv_arena_detach(arena), "shv_arena_detach");
	for (int i = 0; i < host->arenas; i++) {
		struct shv_arena_options o = { .name = host->names[i] };
		shv_arena *a = shv_arena_create(&o);
		shv_value *v = a ? SHV_VALUE(a, int, 40 + i) : NULL;

		NEED(v && !shv_publish(v, "it"), "an arena");
		if (host->twice)
			NEED(dup(shv_arena_fd(a)) >= 0, "dup");
	}
	gate_add(&host->ready, 1);
	gate_wait(&host->go, 1);
	return 0;
}

static pid_t start_host(void)
{
	pid_t pid = start(be_host, NULL);

	gate_wait(&host->ready, 1);
	return pid;
}

static void end_host(pid_t pid)
{
	gate_add(&host->go, 1);
	ck_assert_int_eq(finish(pid), 0);
}

static void setup_host(void)
{
	host = shared_memory(sizeof(*host));
}

static void teardown_host(void)
{
	shared_release(host, sizeof(*host));
}

static void assert_attached_to(shv_arena *a, const char *name, int content)
{
	ck_assert_str_eq(shv_arena_name(a), name);
	ck_assert_int_eq(SHV_LOAD(made((shv_value *)shv_find(a, "it")), int), content);
	assert_sound(a);
	assert_ok(shv_arena_detach(a));
}

START_TEST(only_arena_of_a_process_needs_no_name)
{
	unsigned fds;
	pid_t pid;

	*host = (struct host){ .names = { "one" }, .arenas = 1, .twice = _i };
	pid = start_host();
	fds = open_descriptors();
	assert_attached_to(made(shv_arena_attach_pid(pid, NULL, 0)), "one", 40);
	assert_attached_to(made(shv_arena_attach_pid(pid, "one", 0)), "one", 40);
	assert_attached_to(made(shv_arena_attach_pid(pid, NULL, SHV_RDONLY)), "one", 40);
	assert_refused_null(shv_arena_attach_pid(pid, "on", 0), ENOENT);
	assert_refused_null(shv_arena_attach_pid(pid, "one ", 0), ENOENT);
	assert_refused_null(shv_arena_attach_pid(pid, "", 0), ENOENT);
	ck_assert_uint_eq(open_descriptors(), fds);
	end_host(pid);
}
END_TEST

START_TEST(one_of_several_arenas_is_asked_for_by_name)
{
	unsigned fds;
	pid_t pid;

	*host = (struct host){ .names = { "one", "two", "twice", "twice" }, .arenas = 4 };
	pid = start_host();
	fds = open_descriptors();
	assert_refused_null(shv_arena_attach_pid(pid, NULL, 0), EBUSY);
	assert_attached_to(made(shv_arena_attach_pid(pid, "two", 0)), "two", 41);
	assert_attached_to(made(shv_arena_attach_pid(pid, "one", 0)), "one", 40);
	assert_refused_null(shv_arena_attach_pid(pid, "twice", 0), EBUSY);
	assert_refused_null(shv_arena_attach_pid(pid, "three", 0), ENOENT);
	ck_assert_uint_eq(open_descriptors(), fds);
	end_host(pid);
}
END_TEST

START_TEST(name_may_look_like_anything)
{
	static const char *const names[] = {
		"a (deleted)", " (deleted)",
		"two  words",  "größe",
		"%s%n",        "tab\there",
		"line\nbreak", "sixty-three bytes: 0123456789012345678901234567890123456789 end"
	};
	pid_t pid;

	*host = (struct host){ .names = { names[_i] }, .arenas = 1 };
	pid = start_host();
	assert_attached_to(made(shv_arena_attach_pid(pid, names[_i], 0)), names[_i], 40);
	assert_attached_to(made(shv_arena_attach_pid(pid, NULL, 0)), names[_i], 40);
	end_host(pid);
}
END_TEST

START_TEST(process_without_an_arena_is_refused)
{
	pid_t pid;

	*host = (struct host){ .arenas = 0 };
	pid = start_host();
	assert_refused_null(shv_arena_attach_pid(pid, NULL, 0), ENOENT);
	assert_refused_null(shv_arena_attach_pid(pid, "name", SHV_RDONLY), ENOENT);
	end_host(pid);
	assert_refused_null(shv_arena_attach_pid(pid, NULL, 0), ESRCH); /* it has ended */
	assert_refused_null(shv_arena_attach_pid(0, NULL, 0), EINVAL);
	assert_refused_null(shv_arena_attach_pid(-1, NULL, 0), EINVAL);
	assert_refused_null(shv_arena_attach_pid(INT_MIN, NULL, 0), EINVAL);
	assert_refused_null(shv_arena_attach_pid(INT_MAX, NULL, 0), ESRCH);
}
END_TEST

START_TEST(process_may_attach_to_its_own_arena)
{
	struct shv_arena_options o = { .name = "mine" };
	shv_arena *a = made(shv_arena_create(&o)), *again;
	shv_value *v = made(SHV_VALUE(a, int, 1));

	again = made(shv_arena_attach_pid(getpid(), "mine", 0));
	ck_assert_ptr_ne(again, a);
	ck_assert_int_eq(SHV_LOAD((shv_value *)made(shv_deref(again, shv_ref_of(v))), int), 1);
	ck_assert_uint_eq(arena_stat(a).processes, 1);
	assert_ok(shv_arena_detach(again));
	assert_ok(shv_arena_detach(a));
	assert_refused_null(shv_arena_attach_pid(getpid(), "mine", 0), ENOENT);
}
END_TEST

static int be_nobody(void *arg)
{
	pid_t pid = *(pid_t *)arg;

	NEED(!setgid(65534) && !setuid(65534), "setuid");
	NEED(!shv_arena_attach_pid(pid, NULL, 0) && (errno == EACCES || errno == EPERM), "errno %d", errno);
	NEED(!shv_arena_attach_pid(pid, "one", SHV_RDONLY) && (errno == EACCES || errno == EPERM), "errno %d", errno);
	return 0;
}

START_TEST(arena_of_another_user_is_refused)
{
	pid_t pid;

	if (getuid())
		return; /* whom could we become? */
	*host = (struct host){ .names = { "one" }, .arenas = 1 };
	pid = start_host();
	ck_assert_int_eq(finish(start(be_nobody, &pid)), 0);
	end_host(pid);
}
END_TEST

/* ---- room for processes ------------------------------------------------------------------------------- */

static int attach_and_wait(void *arg)
{
	int fd = *(int *)arg;
	shv_arena *a;

	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	a = shv_arena_attach(fd, 0);
	gate_add(&host->ready, 1);
	if (!a)
		return errno;
	NEED(SHV_VALUE(a, int, 1), "SHV_VALUE");
	gate_wait(&host->go, 1);
	return 0;
}

START_TEST(process_beyond_the_most_is_refused_until_one_has_gone)
{
	struct shv_arena_options o = { .max_processes = 3 };
	pid_t pid[2];
	int fd;

	arena = made(shv_arena_create(&o));
	fd = dup(shv_arena_fd(arena));
	for (uint32_t i = 0; i < 2; i++) {
		pid[i] = start(attach_and_wait, &fd);
		gate_wait(&host->ready, i + 1);
	}
	ck_assert_uint_eq(arena_stat(arena).processes, 3);
	ck_assert_int_eq(finish(start(attach_and_wait, &fd)), EUSERS);
	ck_assert_uint_eq(arena_stat(arena).processes, 3);
	/* Looking takes no room. */
	assert_ok(shv_arena_detach(made(shv_arena_attach(fd, SHV_RDONLY))));
	/* Nor do the dead. */
	slay(pid[0]);
	gate_add(&host->go, 1);
	ck_assert_int_eq(finish(start(attach_and_wait, &fd)), 0);
	ck_assert_int_eq(finish(pid[1]), 0);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(finish(start(attach_and_wait, &fd)), 0);
	close(fd);
	assert_sound(arena);
	assert_ok(shv_arena_detach(arena));
	arena = NULL;
}
END_TEST

static int one_more_child(void *arg)
{
	shv_value *v = arg;

	/* What a forked child does first makes it a process of its own, for which there is no room. */
	NEED(shv_add(v, 1, NULL) == -EUSERS && *shv_errmsg(), "shv_add");
	NEED(!SHV_VALUE(arena, int, 1) && errno == EUSERS, "SHV_VALUE");
	NEED(shv_acquire(v) == -EUSERS, "shv_acquire");
	NEED(shv_value_free(v) == -EUSERS, "shv_value_free");
	NEED(*(int *)shv_value_data(v) == 5, "shv_value_data"); /* takes nothing */
	return 0;
}

START_TEST(forked_child_beyond_the_most_is_refused)
{
	struct shv_arena_options o = { .max_processes = 1 };

	arena = made(shv_arena_create(&o));
	ck_assert_int_eq(finish(start(one_more_child, made(SHV_VALUE(arena, int, 5)))), 0);
	ck_assert_uint_eq(arena_stat(arena).objects, 1);
	arena_teardown();
}
END_TEST

static int attach_with_little_memory(void *arg)
{
	int fd = *(int *)arg;
	struct rlimit limit = { (rlim_t)1 << 30, (rlim_t)1 << 30 };

	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	NEED(!setrlimit(RLIMIT_AS, &limit), "setrlimit");
	NEED(!shv_arena_attach(fd, 0) && errno == ENOMEM && *shv_errmsg(), "errno %d", errno);
	NEED(!shv_arena_attach(fd, SHV_RDONLY) && errno == ENOMEM && *shv_errmsg(), "errno %d", errno);
	return 0;
}

START_TEST(attach_without_address_space_is_refused)
{
	int fd;

	arena_teardown();
	arena = made(shv_arena_create(NULL));
	fd = dup(shv_arena_fd(arena));
	if (arena_stat(arena).capacity > UINT64_C(2) << 30)
		ck_assert_int_eq(finish(start(attach_with_little_memory, &fd)), 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attach");
	TCase *tc = arena_case(suite, "no arena");

	tcase_add_test(tc, descriptors_of_other_things_are_refused);
	tcase_add_test(tc, flags_that_do_not_belong_are_refused);
	tcase_add_test(tc, descriptor_must_allow_what_is_asked);
	if (undisturbed())
		tcase_add_test(tc, attach_without_address_space_is_refused);

	tc = arena_case(suite, "damage");
	tcase_add_test(tc, faithful_copy_is_an_arena_of_its_own);
	tcase_add_test(tc, unsealed_copy_is_refused);
	tcase_add_test(tc, truncated_copy_is_refused);
	tcase_add_loop_test(tc, broken_field_is_refused, 0, FIELDS);
	tcase_add_loop_test(tc, field_that_means_nothing_for_the_layout_may_differ, 0, FIELDS);
	tcase_add_test(tc, impossible_sizes_are_refused_though_the_checksum_fits);
	tcase_add_test(tc, random_bytes_behind_a_seal_are_refused);

	tc = arena_case(suite, "read-only");
	tcase_add_test(tc, read_only_attachment_shows_everything_and_changes_nothing);
	tcase_add_test(tc, process_that_only_looks_is_not_a_member);
	tcase_add_test(tc, pages_of_a_read_only_attachment_cannot_be_written);
	tcase_add_test(tc, read_only_attachment_follows_the_arena);

	tc = tcase_create("process id");
	tcase_add_checked_fixture(tc, setup_host, teardown_host);
	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, only_arena_of_a_process_needs_no_name, 0, 2);
	tcase_add_test(tc, one_of_several_arenas_is_asked_for_by_name);
	tcase_add_loop_test(tc, name_may_look_like_anything, 0, 8);
	tcase_add_test(tc, process_without_an_arena_is_refused);
	tcase_add_test(tc, process_may_attach_to_its_own_arena);
	tcase_add_test(tc, arena_of_another_user_is_refused);
	tcase_add_test(tc, process_beyond_the_most_is_refused_until_one_has_gone);
	tcase_add_test(tc, forked_child_beyond_the_most_is_refused);
	return run_suite(suite);
}
