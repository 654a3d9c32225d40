/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: what is in them, what opening and restoring them gives, and what happens to paths. An arena that is in use by others
 * meanwhile is tests/multi/test_snapshot.c's.
 */
#include "api/api.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char folder[64], file[96];

static void setup(void)
{
	strcpy(folder, "/tmp/shv-snapshot-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/image", folder);
	arena_setup();
}

static unsigned files(void)
{
	struct dirent *d;
	DIR *dir = opendir(folder);
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir)))
		n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
	closedir(dir);
	return n;
}

static void teardown(void)
{
	(void)unlink(file);
	ck_assert_msg(!rmdir(folder), "something was left in %s", folder);
	arena_teardown();
}

static shv_arena *snap_and_open(unsigned flags)
{
	shv_arena *s;

	assert_ok(shv_arena_snapshot(arena, file, 0));
	s = made(shv_arena_open(file, flags));
	assert_sound(s);
	return s;
}

static void drop(shv_arena *s)
{
	assert_sound(s);
	assert_ok(shv_arena_detach(s));
}

/* ---- what is in it ---- */

struct point {
	double x, y;
	int32_t count;
};

static const shv_type *point_type(void)
{
	static const struct shv_field fields[] = {
		SHV_FIELD(struct point, x, SHV_DOUBLE),
		SHV_FIELD(struct point, y, SHV_DOUBLE),
		SHV_FIELD(struct point, count, SHV_INT32),
	};

	return made(shv_type_struct("point", sizeof(struct point), fields, 3));
}

/* Same objects, same content, same names, seen through the public interface. */
static void assert_same(shv_arena *a, shv_arena *b)
{
	struct shv_value_info x = { .size = sizeof(x) }, y = { .size = sizeof(y) };
	struct shv_stat p = arena_stat(a), q = arena_stat(b);
	static char s[1 << 17], t[1 << 17];
	uint64_t i = 0, n = 0;

	while (shv_value_next(a, &i, &x) == 1) {
		n++;
		ck_assert_msg(shv_value_describe(b, x.ref, &y) == 0, "%s", shv_errmsg());
		ck_assert_uint_eq(x.offset, y.offset);
		ck_assert_int_eq(x.kind, y.kind);
		ck_assert_uint_eq(x.len, y.len);
		ck_assert_str_eq(x.policy, y.policy);
		ck_assert_str_eq(x.type_name, y.type_name);
		ck_assert_str_eq(x.format, y.format);
		ck_assert_uint_eq(x.lock_ref, y.lock_ref);
		ck_assert_uint_eq(x.bytes, y.bytes);
		ck_assert_int_eq(shv_value_bytes(a, x.ref, s, sizeof(s), NULL), shv_value_bytes(b, x.ref, t, sizeof(t), NULL));
		ck_assert(!memcmp(s, t, x.bytes < sizeof(s) ? x.bytes : sizeof(s)));
		ck_assert_int_eq(shv_value_name(a, x.ref, s, 256), shv_value_name(b, x.ref, t, 256));
		if (x.named)
			ck_assert_str_eq(s, t);
	}
	ck_assert_uint_eq(n, p.objects);
	ck_assert_uint_eq(p.objects, q.objects);
	ck_assert_uint_eq(p.parts, q.parts);
	ck_assert_uint_eq(p.names, q.names);
	ck_assert_uint_eq(p.bytes_live, q.bytes_live);
	ck_assert_uint_eq(p.bytes_payload, q.bytes_payload);
}

static void fill(shv_arena *a)
{
	struct point p = { 1.5, -2.5, 7 };
	long many[3000];
	shv_lock *lock;
	shv_value *v;
	char name[32];

	for (int i = 0; i < 3000; i++)
		many[i] = i * 3 + 1;
	lock = made(shv_lock_new(a, SHV_RECURSIVE));
	assert_ok(shv_publish(lock, "the lock"));
	for (int i = 0; i < 6000; i++) {
		v = made(shv_value_new(a, SHV_INT, &i, plain_lockspec((unsigned)i % LOCKSPECS)));
		if (i % 7 == 0) {
			snprintf(name, sizeof(name), "value %d", i);
			assert_ok(shv_publish(v, name));
		}
		if (i % 5 == 0)
			assert_ok(shv_value_free(v));
	}
	for (int i = 0; i < 50; i++) {
		made(shv_value_new(a, point_type(), &p, SHV_SHARED(lock)));
		made(shv_array_new(a, SHV_LONG, (size_t)i * 60, many, SHV_PLAIN));
		made(shv_raw_array_new(a, SHV_DOUBLE, (size_t)i, NULL));
		made(shv_raw_new(a, point_type(), &p));
	}
	for (int i = 0; i < 40; i++) {
		char text[200];

		memset(text, 'a' + i % 26, sizeof(text));
		text[i * 4] = 0;
		v = made(shv_string_new(a, text, plain_lockspec((unsigned)i % LOCKSPECS)));
		if (i % 3 == 0)
			ck_assert_int_ge(shv_string_set(v, "another text"), 0);
	}
	v = made(shv_array_new(a, SHV_CHAR, 5u << 20, NULL, SHV_PLAIN)); /* mostly a hole */
	*(char *)shv_at(v, 4u << 20) = 'x';
	assert_ok(shv_publish(v, "large"));
}

START_TEST(a_snapshot_has_every_object_with_its_content)
{
	shv_arena *s;
	struct shv_stat st;

	fill(arena);
	s = snap_and_open(0);
	assert_same(arena, s);
	assert_same(s, arena);
	st = arena_stat(s);
	ck_assert_uint_ne(st.snapshot_taken, 0);
	ck_assert_uint_eq(st.snapshot_torn, 0);
	ck_assert_uint_eq(st.snapshot_left_out, 0);
	ck_assert_uint_eq(st.processes, 0);
	ck_assert_uint_eq(st.processes_dead, 1);
	ck_assert_mem_eq(st.uuid, arena_stat(arena).uuid, 16);
	ck_assert_uint_eq(arena_stat(arena).snapshot_taken, 0);
	drop(s);
}
END_TEST

START_TEST(a_snapshot_of_nothing_is_empty)
{
	shv_arena *s = snap_and_open(0);

	ck_assert_uint_eq(arena_stat(s).objects, 0);
	drop(s);
}
END_TEST

START_TEST(holes_stay_holes)
{
	struct stat st;

	made(shv_array_new(arena, SHV_CHAR, 200u << 20, NULL, SHV_PLAIN));
	assert_ok(shv_arena_snapshot(arena, file, 0));
	ck_assert(!stat(file, &st));
	ck_assert_int_gt(st.st_size, 200 << 20);
	ck_assert_msg(st.st_blocks * 512 < 4 << 20, "%lld bytes on the disk", (long long)st.st_blocks * 512);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(freed_objects_leave_no_bytes_behind)
{
	static const char secret[] = "not to be found in the file";
	static char buf[1 << 20];
	shv_value *v = made(shv_array_new(arena, SHV_CHAR, sizeof(secret), secret, SHV_PLAIN));
	ssize_t n;
	int fd;

	assert_ok(shv_value_free(v));
	assert_ok(shv_arena_snapshot(arena, file, 0));
	fd = open(file, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	for (off_t at = 0; (n = pread(fd, buf, sizeof(buf), at)) > 0; at += n > 64 && n == (ssize_t)sizeof(buf) ? n - 64 : n)
		ck_assert_ptr_null(memmem(buf, (size_t)n, secret, sizeof(secret)));
	close(fd);
}
END_TEST

START_TEST(a_read_only_attachment_is_enough)
{
	shv_arena *ro, *s;

	fill(arena);
	ro = made(shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY));
	assert_ok(shv_arena_snapshot(ro, file, 0));
	s = made(shv_arena_open(file, 0));
	assert_same(arena, s);
	assert_refused(shv_arena_snapshot(ro, file, SHV_LOCKED), EROFS);
	drop(s);
	drop(ro);
}
END_TEST

START_TEST(a_snapshot_of_a_snapshot_is_the_same)
{
	char second[128];
	shv_arena *s, *t;

	fill(arena);
	s = snap_and_open(0);
	snprintf(second, sizeof(second), "%s/second", folder);
	assert_ok(shv_arena_snapshot(s, second, 0));
	t = made(shv_arena_open(second, 0));
	assert_same(s, t);
	ck_assert(!unlink(second));
	drop(t);
	drop(s);
}
END_TEST

START_TEST(an_opened_snapshot_can_not_be_written)
{
	shv_value *v = made(SHV_VALUE(arena, int, 5));
	shv_ref ref = shv_ref_of(v);
	shv_arena *s = snap_and_open(0);
	int x = 0;

	ck_assert(!unlink(file));
	assert_ok(shv_get(made((shv_value *)shv_deref(s, ref)), &x, sizeof(x)));
	ck_assert_int_eq(x, 5);
	assert_refused(shv_set(shv_deref(s, ref), &x, sizeof(x)), EROFS);
	assert_refused(shv_value_free(shv_deref(s, ref)), EROFS);
	assert_refused_null(shv_value_new(s, SHV_INT, NULL, SHV_PLAIN), EROFS);
	drop(s);
}
END_TEST

/* ---- restoring ---- */

START_TEST(a_restored_arena_is_a_new_one_ready_for_use)
{
	shv_value *v = made(SHV_VALUE(arena, int, 5));
	shv_ref ref = shv_ref_of(v);
	struct shv_stat st;
	shv_arena *s;
	int64_t now;

	fill(arena);
	assert_ok(shv_publish(v, "five"));
	s = snap_and_open(SHV_RESTORE);
	assert_same(arena, s);
	st = arena_stat(s);
	ck_assert_uint_eq(st.snapshot_taken, 0);
	ck_assert_uint_eq(st.processes, 1);
	ck_assert_uint_eq(st.processes_dead, 0);
	ck_assert(memcmp(st.uuid, arena_stat(arena).uuid, 16) != 0);
	ck_assert_uint_eq(shv_ref_of(made(shv_find(s, "five"))), ref);
	assert_ok(shv_add(made((shv_value *)shv_deref(s, ref)), 3, &now));
	ck_assert_int_eq(now, 8);
	ck_assert_int_eq(SHV_LOAD(v, int), 5);
	for (int i = 0; i < 20000; i++) {
		shv_value *w = made(SHV_VALUE(s, long, i));
		if (i % 3)
			assert_ok(shv_value_free(w));
	}
	assert_ok(shv_unpublish(s, "five"));
	assert_ok(shv_publish(shv_deref(s, ref), "other"));
	assert_sound(s);
	while (free_everything(s))
		;
	ck_assert_int_ge(shv_arena_recover(s, NULL), 0);
	assert_ok(shv_arena_trim(s));
	drop(s);
	ck_assert_int_eq(SHV_LOAD(v, int), 5);
}
END_TEST

START_TEST(stale_references_stay_stale)
{
	shv_value *v = made(SHV_VALUE(arena, int, 5)), *keep = made(SHV_VALUE(arena, int, 6));
	shv_ref ref = shv_ref_of(v), kept = shv_ref_of(keep);
	shv_arena *s;

	assert_ok(shv_value_free(v));
	s = snap_and_open(SHV_RESTORE);
	assert_refused_null(shv_deref(s, ref), ESTALE);
	for (int i = 0; i < 5000; i++)
		ck_assert_uint_ne(shv_ref_of(made(SHV_VALUE(s, int, i))), ref);
	assert_refused_null(shv_deref(s, ref), ESTALE);
	ck_assert_ptr_nonnull(shv_deref(s, kept));
	drop(s);
}
END_TEST

static int give_back(shv_value *v)
{
	return shv_release(v);
}

START_TEST(a_lock_that_was_held_is_handed_to_the_next_taker_of_the_restored_arena)
{
	for (unsigned i = 0; i < LOCKS; i++) {
		shv_value *v = made(shv_value_new(arena, SHV_INT, NULL, plain_lockspec(i)));
		struct shv_value_info info = { .size = sizeof(info) };
		struct shv_holder h = { .size = sizeof(h) };
		shv_ref ref = shv_ref_of(v);
		shv_arena *s;

		assert_ok(shv_acquire(v));
		s = snap_and_open(0);
		assert_ok(shv_value_describe(s, ref, &info));
		ck_assert(info.abandoned && !info.held);
		ck_assert_int_eq(info.holder.pid, getpid());
		ck_assert_uint_eq(arena_stat(s).snapshot_torn, 1);
		drop(s);
		s = made(shv_arena_open(file, SHV_RESTORE));
		ck_assert_int_eq(shv_acquire_for(shv_deref(s, ref), &(struct timespec){ 20, 0 }), SHV_RECOVERED);
		assert_ok(shv_last_holder(shv_deref(s, ref), &h));
		ck_assert_int_eq(h.pid, getpid());
		assert_ok(give_back(shv_deref(s, ref)));
		drop(s);
		assert_ok(shv_release(v));
		assert_ok(shv_value_free(v));
	}
}
END_TEST

START_TEST(a_full_process_table_does_not_hinder_restoring)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = (size_t)64 << 20, .max_processes = 1 };
	shv_arena *a = made(shv_arena_create(&o)), *s;

	made(SHV_VALUE(a, int, 1));
	assert_ok(shv_arena_snapshot(a, file, 0));
	s = made(shv_arena_open(file, SHV_RESTORE));
	ck_assert_uint_eq(arena_stat(s).objects, 1);
	drop(s);
	drop(a);
}
END_TEST

/* ---- with locks ---- */

static int hold_for_ever(void *arg)
{
	struct gate *g = *(struct gate **)arg;
	shv_value *v = ((shv_value **)arg)[1];

	NEED(!shv_acquire(v), "shv_acquire");
	gate_add(g, 1);
	for (;;)
		pause();
}

START_TEST(with_locks_a_lock_that_is_not_to_be_had_ends_it)
{
	struct gate *g = shared_memory(sizeof(*g));
	shv_value *v = made(SHV_VALUE(arena, int, 5)), *w = made(SHV_VALUE(arena, int, 6));
	void *arg[2] = { g, v };
	struct shv_holder h = { .size = sizeof(h) };
	shv_arena *s;
	pid_t pid;

	assert_ok(shv_acquire(w)); /* mine: taken as it is, once more */
	pid = start(hold_for_ever, arg);
	gate_wait(g, 1);
	assert_refused(shv_arena_snapshot(arena, file, SHV_LOCKED), ETIMEDOUT);
	ck_assert_uint_eq(files(), 0);
	assert_ok(shv_arena_snapshot(arena, file, 0));
	slay(pid);
	/* Who died is for the next taker to know, not for us. */
	assert_ok(shv_arena_snapshot(arena, file, SHV_LOCKED));
	s = made(shv_arena_open(file, SHV_RESTORE));
	ck_assert_int_eq(shv_acquire(shv_deref(s, shv_ref_of(v))), SHV_RECOVERED);
	assert_ok(shv_last_holder(shv_deref(s, shv_ref_of(v)), &h));
	ck_assert_int_eq(h.pid, pid);
	assert_ok(shv_release(shv_deref(s, shv_ref_of(v))));
	assert_ok(shv_acquire(shv_deref(s, shv_ref_of(w)))); /* free in the file: it was whole */
	assert_ok(shv_release(shv_deref(s, shv_ref_of(w))));
	drop(s);
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	assert_ok(shv_release(v));
	ck_assert_uint_eq(depth_of(w), 1);
	assert_ok(shv_release(w));
	shared_release(g, sizeof(*g));
}
END_TEST

START_TEST(with_locks_the_same_is_in_it)
{
	shv_value *plain = made(shv_value_new(arena, SHV_INT, NULL, SHV_PLAIN));
	shv_arena *s;

	fill(arena);
	assert_ok(shv_acquire(plain)); /* cannot be taken twice, and need not */
	assert_ok(shv_arena_snapshot(arena, file, SHV_LOCKED));
	assert_ok(shv_release(plain));
	s = made(shv_arena_open(file, 0));
	assert_same(arena, s);
	ck_assert_uint_eq(arena_stat(s).snapshot_torn, 0);
	drop(s);
	assert_refused(shv_arena_snapshot(arena, file, SHV_RESTORE), EINVAL);
}
END_TEST

/* ---- paths ---- */

START_TEST(paths_that_cannot_be_written_are_refused_and_leave_nothing)
{
	char path[PATH_MAX + 100];
	struct sockaddr_un where = { .sun_family = AF_UNIX };
	int s;

	assert_refused(shv_arena_snapshot(arena, NULL, 0), EINVAL);
	assert_refused(shv_arena_snapshot(arena, "", 0), EINVAL);
	assert_refused(shv_arena_snapshot(NULL, file, 0), EINVAL);
	assert_refused(shv_arena_snapshot(arena, folder, 0), EISDIR);
	snprintf(path, sizeof(path), "%s/", folder);
	assert_refused(shv_arena_snapshot(arena, path, 0), EISDIR);
	assert_refused(shv_arena_snapshot(arena, "..", 0), EISDIR);
	snprintf(path, sizeof(path), "%s/none/image", folder);
	assert_refused(shv_arena_snapshot(arena, path, 0), ENOENT);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_refused(shv_arena_snapshot(arena, path, 0), ENAMETOOLONG);
	path[300] = 0;
	assert_refused(shv_arena_snapshot(arena, path, 0), ENAMETOOLONG);
	assert_refused(shv_arena_snapshot(arena, "/dev/null", 0), EEXIST);
	ck_assert(!mkfifo(file, 0600));
	assert_refused(shv_arena_snapshot(arena, file, 0), EEXIST);
	assert_refused_null(shv_arena_open(file, 0), EBADMSG);
	ck_assert(!unlink(file));
	ck_assert(!symlink("/etc/hostname", file));
	assert_refused(shv_arena_snapshot(arena, file, 0), EEXIST);
	ck_assert(!unlink(file));
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(where.sun_path, sizeof(where.sun_path), "%s", file);
	ck_assert(!bind(s, (void *)&where, sizeof(where)));
	assert_refused(shv_arena_snapshot(arena, file, 0), EEXIST);
	close(s);
	ck_assert(!unlink(file));
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(a_file_is_replaced_whole)
{
	shv_arena *before, *after;

	before = snap_and_open(0);
	fill(arena);
	after = snap_and_open(0);
	ck_assert_uint_eq(files(), 1);
	ck_assert_uint_eq(arena_stat(before).objects, 0);
	assert_same(arena, after);
	drop(before);
	drop(after);
}
END_TEST

START_TEST(a_file_size_limit_is_an_error_not_a_signal)
{
	struct rlimit was, few;

	fill(arena);
	ck_assert(!getrlimit(RLIMIT_FSIZE, &was));
	few = was;
	few.rlim_cur = 1 << 20;
	ck_assert(!setrlimit(RLIMIT_FSIZE, &few));
	assert_refused(shv_arena_snapshot(arena, file, 0), EFBIG);
	ck_assert(!setrlimit(RLIMIT_FSIZE, &was));
	ck_assert_uint_eq(files(), 0);
	assert_ok(shv_arena_snapshot(arena, file, 0));
	few.rlim_cur = 1 << 20;
	ck_assert(!setrlimit(RLIMIT_FSIZE, &few));
	assert_refused_null(shv_arena_open(file, SHV_RESTORE), ENOSPC);
	ck_assert(!setrlimit(RLIMIT_FSIZE, &was));
}
END_TEST

START_TEST(nothing_is_left_open)
{
	unsigned descriptors, maps;

	fill(arena);
	drop(snap_and_open(0));
	drop(snap_and_open(SHV_RESTORE));
	descriptors = open_descriptors();
	maps = mappings();
	for (int i = 0; i < 5; i++) {
		drop(snap_and_open(0));
		drop(snap_and_open(SHV_RESTORE));
	}
	ck_assert_uint_eq(open_descriptors(), descriptors);
	ck_assert_uint_le(mappings(), maps + 2); /* the heap's own housekeeping */
}
END_TEST

/* ---- what is no snapshot ---- */

static void write_file(const void *p, size_t n)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
	close(fd);
}

START_TEST(what_is_no_snapshot_is_refused)
{
	static char buf[1 << 16];
	int fd;

	assert_refused_null(shv_arena_open(NULL, 0), EINVAL);
	assert_refused_null(shv_arena_open("", 0), EINVAL);
	assert_refused_null(shv_arena_open(file, SHV_LOCKED), EINVAL);
	assert_refused_null(shv_arena_open(file, SHV_RESTORE | SHV_RDONLY), EINVAL);
	assert_refused_null(shv_arena_open(file, 0), ENOENT);
	assert_refused_null(shv_arena_open(folder, 0), EISDIR);
	assert_refused_null(shv_arena_open("/dev/null", 0), EBADMSG);
	write_file(buf, 0);
	assert_refused_null(shv_arena_open(file, 0), EBADMSG);
	write_file(buf, sizeof(buf));
	assert_refused_null(shv_arena_open(file, 0), EBADMSG);
	memset(buf, 0xff, sizeof(buf));
	write_file(buf, sizeof(buf));
	assert_refused_null(shv_arena_open(file, 0), EBADMSG);
	assert_ok(shv_arena_snapshot(arena, file, 0));
	fd = open(file, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, 70), 1); /* its name: the checksum is wrong */
	assert_refused_null(shv_arena_open(file, 0), EUCLEAN);
	ck_assert(!ftruncate(fd, 8192));
	assert_refused_null(shv_arena_open(file, 0), EUCLEAN);
	close(fd);
}
END_TEST

START_TEST(a_damaged_snapshot_can_be_looked_at_but_not_restored)
{
	struct shv_value_info info = { .size = sizeof(info) };
	uint64_t cursor = 0, header = 0;
	shv_arena *s;
	int fd;

	made(SHV_VALUE(arena, int, 5));
	assert_ok(shv_arena_snapshot(arena, file, 0));
	s = made(shv_arena_open(file, 0));
	ck_assert_int_eq(shv_value_next(s, &cursor, &info), 1);
	drop(s);
	fd = open(file, O_RDWR);
	ck_assert_int_eq(pwrite(fd, &header, 8, (off_t)info.offset - 8), 8);
	close(fd);
	s = made(shv_arena_open(file, 0));
	ck_assert_int_gt(shv_check(s, NULL, NULL), 0);
	assert_ok(shv_arena_detach(s));
	assert_refused_null(shv_arena_open(file, SHV_RESTORE), EUCLEAN);
}
END_TEST

/* ---- */

static TCase *snapshot_case(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("snapshot");
	TCase *tc = snapshot_case(suite, "content");

	tcase_add_test(tc, a_snapshot_has_every_object_with_its_content);
	tcase_add_test(tc, a_snapshot_of_nothing_is_empty);
	tcase_add_test(tc, holes_stay_holes);
	tcase_add_test(tc, freed_objects_leave_no_bytes_behind);
	tcase_add_test(tc, a_read_only_attachment_is_enough);
	tcase_add_test(tc, a_snapshot_of_a_snapshot_is_the_same);
	tcase_add_test(tc, an_opened_snapshot_can_not_be_written);
	tc = snapshot_case(suite, "restore");
	tcase_add_test(tc, a_restored_arena_is_a_new_one_ready_for_use);
	tcase_add_test(tc, stale_references_stay_stale);
	tcase_add_test(tc, a_lock_that_was_held_is_handed_to_the_next_taker_of_the_restored_arena);
	tcase_add_test(tc, a_full_process_table_does_not_hinder_restoring);
	tc = snapshot_case(suite, "locked");
	tcase_add_test(tc, with_locks_a_lock_that_is_not_to_be_had_ends_it);
	tcase_add_test(tc, with_locks_the_same_is_in_it);
	tc = snapshot_case(suite, "paths");
	tcase_add_test(tc, paths_that_cannot_be_written_are_refused_and_leave_nothing);
	tcase_add_test(tc, a_file_is_replaced_whole);
	tcase_add_test(tc, a_file_size_limit_is_an_error_not_a_signal);
	tcase_add_test(tc, nothing_is_left_open);
	tc = snapshot_case(suite, "garbage");
	tcase_add_test(tc, what_is_no_snapshot_is_refused);
	tcase_add_test(tc, a_damaged_snapshot_can_be_looked_at_but_not_restored);
	return run_suite(suite);
}
