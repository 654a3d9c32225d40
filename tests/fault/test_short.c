/* SPDX-License-Identifier: MIT */
/*
 * Shortage that the kernel declares: limits of file size and address space, memory locked in place, no thread keys left, a memory
 * cgroup whose limit kills. An error with a sentence and never a signal, except from the killer himself; and when there is
 * enough again, the same arena serves on. Needs no special build; what this machine does not allow is skipped with a reason.
 */
#define MANY 8
#include "fault/scenarios.h"
#include "support/sanitized.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static shv_arena *new_arena(unsigned flags)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 256u << 20, .max_processes = 8, .flags = flags };

	return shv_arena_create(&o);
}

static shv_arena *made(shv_arena *a)
{
	ck_assert_msg(a != NULL, "%s", shv_errmsg());
	return a;
}

static void refused(const void *p, int error, const char *why)
{
	ck_assert_ptr_null(p);
	ck_assert_msg(errno == error && strstr(shv_errmsg(), why), "%d: %s", errno, shv_errmsg());
}

static void all_is_well(shv_arena *a)
{
	shv_value *v = SHV_VALUE(a, long, 5);

	ck_assert_msg(v != NULL, "%s", shv_errmsg());
	ck_assert_int_eq(SHV_LOAD(v, long), 5);
	ck_assert_int_eq(shv_check(a, report, "after the shortage"), 0);
	free_everything(a);
	nothing_is_left(a, "after the shortage", 0);
	ck_assert_int_eq(shv_arena_detach(a), 0);
}

/* Only the soft limit. Returns what it was. */
static rlim_t limit(int what, rlim_t soft)
{
	struct rlimit r;
	rlim_t was;

	ck_assert_int_eq(getrlimit(what, &r), 0);
	was = r.rlim_cur;
	r.rlim_cur = soft;
	ck_assert_int_eq(setrlimit(what, &r), 0);
	return was;
}

START_TEST(file_size_is_limited)
{
	const unsigned flags = _i ? SHV_POPULATE : 0;
	shv_arena *a = made(new_arena(flags));
	struct stat st;
	rlim_t was;
	void *p;
	int n = 0;

	ck_assert_ptr_nonnull(SHV_VALUE(a, int, 1));
	ck_assert_int_eq(fstat(shv_arena_fd(a), &st), 0);
	was = limit(RLIMIT_FSIZE, (rlim_t)st.st_size + (20u << 20));
	while ((p = shv_raw_array_new(a, SHV_CHAR, 4u << 20, NULL))) {
		memset(p, 1, 4u << 20);
		ck_assert_int_lt(++n, 60);
	}
	refused(p, ENOSPC, "RLIMIT_FSIZE");
	ck_assert_int_gt(n, 1);
	limit(RLIMIT_FSIZE, 4096);
	refused(new_arena(flags), ENOMEM, "RLIMIT_FSIZE");
	limit(RLIMIT_FSIZE, was);
	ck_assert_msg(shv_raw_array_new(a, SHV_CHAR, 4u << 20, NULL) != NULL, "%s", shv_errmsg());
	all_is_well(a);
}
END_TEST

static rlim_t address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	ck_assert(f && fscanf(f, "%lu", &pages) == 1);
	fclose(f);
	return (rlim_t)pages * 4096;
}

START_TEST(address_space_is_limited)
{
	const unsigned flags = _i ? SHV_POPULATE : 0;
	shv_arena *a = made(new_arena(flags));
	rlim_t was;

	ck_assert_ptr_nonnull(SHV_VALUE(a, int, 1));
	was = limit(RLIMIT_AS, address_space() + (1u << 20));
	refused(new_arena(flags), ENOMEM, "");
	refused(shv_arena_attach(shv_arena_fd(a), SHV_RDONLY), ENOMEM, "");
	/* What is mapped already can be used. */
	for (int i = 0; i < 3000; i++)
		ck_assert_msg(shv_raw_new(a, SHV_LONG, NULL) || errno == ENOMEM, "%d: %s", errno, shv_errmsg());
	limit(RLIMIT_AS, was);
	all_is_well(made(new_arena(flags)));
	all_is_well(a);
}
END_TEST

struct new_thread {
	shv_arena *a;
	void *stack;
};

enum { STACK = 256 << 10 };
enum { THREAD_SERVED = 10, THREAD_REFUSED, THREAD_OTHERWISE };

static void *in_a_new_thread(void *arg)
{
	return SHV_VALUE((shv_arena *)arg, long, 3) ? NULL : (void *)(intptr_t)errno;
}

/* In a process that was forked for it. */
static int first_of_a_thread(struct new_thread *n, rlim_t room)
{
	pthread_attr_t attr;
	pthread_t t;
	void *r;

	pthread_attr_init(&attr);
	if (pthread_attr_setstack(&attr, n->stack, STACK))
		return THREAD_OTHERWISE;
	limit(RLIMIT_AS, address_space() + room);
	if (pthread_create(&t, &attr, in_a_new_thread, n->a) || pthread_join(t, &r))
		return THREAD_OTHERWISE;
	return !r ? THREAD_SERVED : (intptr_t)r == ENOMEM ? THREAD_REFUSED : THREAD_OTHERWISE;
}

/* Their first calls need nothing of the heap: that comes when they end and give back what they have freed. */
static struct shared_by_threads {
	pthread_barrier_t freed, go;
} all_of_them;

static void *frees_and_ends(void *v)
{
	intptr_t r = shv_value_free(v);

	pthread_barrier_wait(&all_of_them.freed);
	pthread_barrier_wait(&all_of_them.go);
	return (void *)r;
}

static int end_of_threads(struct new_thread *n, rlim_t room)
{
	enum { THREADS = 200 }; /* more than fit into what jemalloc has mapped anyway */
	pthread_t t[THREADS];
	void *r, *bad = NULL;

	pthread_barrier_init(&all_of_them.freed, NULL, THREADS + 1);
	pthread_barrier_init(&all_of_them.go, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++) {
		shv_value *v = SHV_VALUE(n->a, long, 1);
		if (!v || pthread_create(&t[i], NULL, frees_and_ends, v))
			return THREAD_OTHERWISE;
	}
	pthread_barrier_wait(&all_of_them.freed);
	limit(RLIMIT_AS, address_space() + room);
	pthread_barrier_wait(&all_of_them.go);
	for (int i = 0; i < THREADS; i++)
		bad = pthread_join(t[i], &r) || r ? t : bad;
	return bad ? THREAD_OTHERWISE : THREAD_SERVED;
}

static void *leaves(void *arg)
{
	return (void *)(intptr_t)shv_arena_detach(arg);
}

/* By a thread that is new to the arena. */
static int detach_by_a_thread(struct new_thread *n, rlim_t room)
{
	pthread_attr_t attr;
	rlim_t was;
	pthread_t t;
	void *r;

	pthread_attr_init(&attr);
	if (!SHV_VALUE(n->a, long, 1) || pthread_attr_setstack(&attr, n->stack, STACK))
		return THREAD_OTHERWISE;
	was = limit(RLIMIT_AS, address_space() + room);
	if (pthread_create(&t, &attr, leaves, n->a) || pthread_join(t, &r))
		return THREAD_OTHERWISE;
	if (!r)
		return THREAD_SERVED;
	limit(RLIMIT_AS, was);
	return (intptr_t)r == -ENOMEM && !shv_arena_detach(n->a) ? THREAD_REFUSED : THREAD_OTHERWISE;
}

/* With room for some of what its first call maps: the smallest steps up to what suffices. Never a signal. */
START_TEST(new_thread_in_little_space)
{
	int (*const acts[])(struct new_thread *, rlim_t) = { first_of_a_thread, end_of_threads, detach_by_a_thread };
	struct new_thread n = { .a = made(new_arena(0)) };
	unsigned served = 0, not_served = 0;
	int status;

	if (SANITIZED) {
		fprintf(stderr, "# skipped: a sanitizer ends the process when it finds no room for a thread\n");
		all_is_well(n.a);
		return;
	}
	n.stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(n.stack != MAP_FAILED);
	ck_assert_ptr_nonnull(SHV_VALUE(n.a, int, 1));
	for (rlim_t room = 0; room < 64u << 20; room += room < 512u << 10 ? (_i == 1 ? 65536 : 4096) : room) {
		pid_t pid = fork();
		if (!pid)
			_exit(acts[_i](&n, room));
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFEXITED(status) && (WEXITSTATUS(status) == THREAD_SERVED || WEXITSTATUS(status) == THREAD_REFUSED),
			      "with %lu bytes more: status %#x", (unsigned long)room, (unsigned)status);
		if (WEXITSTATUS(status) == THREAD_SERVED)
			served++;
		else
			not_served++;
	}
	fprintf(stderr, "# a new thread in little space: %u served, %u refused\n", served, not_served);
	ck_assert_uint_ge(served, 1);
	ck_assert(not_served >= 1 || _i == 1);
	munmap(n.stack, STACK);
	ck_assert_int_ge(shv_arena_recover(n.a, NULL), 0);
	all_is_well(n.a);
}
END_TEST

/* In a process that has not used the library before: it has its key from the beginning. */
START_TEST(thread_keys_are_used_up)
{
	pthread_key_t keys[PTHREAD_KEYS_MAX];
	unsigned n = 0;

	while (n < PTHREAD_KEYS_MAX && !pthread_key_create(&keys[n], NULL))
		n++;
	all_is_well(made(new_arena(0)));
	while (n > 0)
		ck_assert_int_eq(pthread_key_delete(keys[--n]), 0);
}
END_TEST

/* Pages that the program has locked in memory are not given back by madvise(); so the file is asked. */
START_TEST(arena_is_locked_in_memory)
{
	enum { ITEMS = 200000 };
	shv_arena *a = made(new_arena(0));
	char *p, *page;

	ck_assert_ptr_nonnull(p = shv_raw_array_new(a, SHV_CHAR, ITEMS, NULL));
	memset(p, 1, ITEMS);
	page = (char *)(((uintptr_t)p + 4095) & ~(uintptr_t)4095);
	/* The kernel itself: sanitizers have an mlock() of their own, which does nothing. */
	if (syscall(SYS_mlock, page, (size_t)8192)) {
		fprintf(stderr, "# skipped: mlock: %s\n", strerror(errno));
		return;
	}
	ck_assert_int_eq(madvise(page, 4096, MADV_REMOVE), -1);
	all_is_well(a);
}
END_TEST

/* ---- the killer ------------------------------------------------------------------------------------------------------ */

static char cgroup[100];

static bool cgroup_write(const char *file, const char *text)
{
	char path[200];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Of 16 MiB, by version 1 or 2 of the interface, where we may. */
static bool cgroup_make(void)
{
	static const char *const roots[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup" };

	for (int i = 0; i < 2; i++) {
		snprintf(cgroup, sizeof(cgroup), "%s/libshv-test-%d", roots[i], (int)getpid());
		if (mkdir(cgroup, 0755))
			continue;
		if (cgroup_write(i ? "memory.max" : "memory.limit_in_bytes", "16777216")) {
			(void)cgroup_write(i ? "memory.swap.max" : "memory.memsw.limit_in_bytes", i ? "0" : "16777216");
			return true;
		}
		rmdir(cgroup);
	}
	return false;
}

enum { SERVED, NOT_IN_GROUP, REFUSED, OTHERWISE };

/* More and more, said after each. */
static int wants_memory(struct stage *s)
{
	enum { SIZE = 1000000 };
	char self[16];

	snprintf(self, sizeof(self), "%d", (int)getpid());
	if (!cgroup_write("cgroup.procs", self))
		return NOT_IN_GROUP;
	for (int i = 0; i < 100; i++) {
		char *p = shv_raw_array_new(s->a, SHV_CHAR, SIZE, NULL);
		if (!p)
			return errno == ENOMEM ? REFUSED : OTHERWISE;
		memset(p, 'm', SIZE);
		s->shared->ref[MANY] = shv_ref_of(p);
		s->shared->acknowledged = i + 1;
	}
	return SERVED;
}

START_TEST(killed_for_want_of_memory)
{
	struct stage s = { .a = made(new_arena(_i ? SHV_POPULATE : 0)) };
	int status, how;
	pid_t pid;
	char *p;

	if (!cgroup_make()) {
		fprintf(stderr, "# skipped: no memory cgroup can be made here\n");
		return;
	}
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s.shared != MAP_FAILED);
	survivor_values(&s);
	pid = fork();
	if (!pid)
		_exit(wants_memory(&s));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	(void)cgroup_write("memory.force_empty", "0"); /* version 1: pages of the arena are charged there */
	while (rmdir(cgroup)) /* who was waited for may be in it for a moment still */
		ck_assert_msg(errno == EBUSY, "%s: %s", cgroup, strerror(errno));
	how = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	if (how == NOT_IN_GROUP) {
		fprintf(stderr, "# skipped: no process can be put into a memory cgroup here\n");
		return;
	}
	/* Or told: what SHV_POPULATE is for, where the kernel tells. */
	ck_assert_msg(how == -SIGKILL || how == REFUSED, "%d", how);
	fprintf(stderr, "# %ld megabytes, then it was %s\n", s.shared->acknowledged, how == REFUSED ? "refused" : "killed");
	ck_assert_int_eq(shv_arena_recover(s.a, NULL), 1);
	ck_assert_int_eq(shv_check(s.a, report, "killed for want of memory"), 0);
	ck_assert_int_gt(s.shared->acknowledged, 0);
	p = shv_deref(s.a, s.shared->ref[MANY]);
	ck_assert(p && p[0] == 'm' && p[999999] == 'm');
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(SHV_LOAD((shv_value *)shv_deref(s.a, s.shared->ref[i]), int), i);
	all_is_well(s.a);
	munmap(s.shared, sizeof(*s.shared));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("short");
	TCase *t = tcase_create("limits");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, file_size_is_limited, 0, 2);
	tcase_add_loop_test(t, address_space_is_limited, 0, 2);
	tcase_add_loop_test(t, new_thread_in_little_space, 0, 3);
	tcase_add_test(t, thread_keys_are_used_up);
	tcase_add_test(t, arena_is_locked_in_memory);
	tcase_add_loop_test(t, killed_for_want_of_memory, 0, 2);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
