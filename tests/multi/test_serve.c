/* SPDX-License-Identifier: MIT */
/*
 * An arena served at a Unix socket: whom it lets in and how far, what nonsense does to it (nothing), and what is left when the server or a
 * client goes, forks or is killed.
 *
 * Run as `test_serve client PATH`, the program is a client that was started by exec. Other users are root's children that become
 * somebody else; who is not root skips those tests.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* setresuid, setgroups */
#endif

#include "support/procs.h"
#include "support/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define STRANGER 54321u /* a user and group that nobody is */
#define FRIENDS  54322u /* a group */

static shv_arena *arena;
static char folder[64], path[96], other_path[96];
static struct stage {
	struct gate ready, go;
	shv_ref ref;
	pid_t pid;
} *stage;

/* The process that waits in it is stopped only by being killed. */
static void wait_for_ever(void)
{
	for (;;)
		pause();
}

static void setup(void)
{
	struct shv_arena_options o = { .size = sizeof(o), .name = "served", .capacity = (size_t)64 << 20, .max_processes = 64 };

	snprintf(folder, sizeof(folder), "/tmp/shv-serve-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chmod(folder, 0755), 0);
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(other_path, sizeof(other_path), "%s/other", folder);
	stage = shared_memory(sizeof(*stage));
	arena = shv_arena_create(&o);
	ck_assert_ptr_nonnull(arena);
	stage->ref = shv_ref_of(SHV_VALUE(arena, int, 7));
	ck_assert_uint_ne(stage->ref, 0);
}

/* Nothing may be left in the folder but what the test itself put away. */
static void teardown(void)
{
	if (arena) {
		need_sound(arena, "at the end");
		ck_assert_int_eq(shv_arena_detach(arena), 0);
		arena = NULL;
	}
	ck_assert_msg(!rmdir(folder), "%s: %s", folder, strerror(errno));
	shared_release(stage, sizeof(*stage));
}

static void serve(const struct shv_serve_options *o)
{
	int r = shv_arena_serve(arena, path, o);

	ck_assert_msg(r == 0, "shv_arena_serve returned %d: %s", r, shv_errmsg());
}

#define assert_error(call, code)                                                                                    \
	do {                                                                                                        \
		int error_ = (call);                                                                                \
		ck_assert_msg(error_ == -(code), "%s returned %d, not -%d: %s", #call, error_, code, shv_errmsg()); \
		ck_assert_str_ne(shv_errmsg(), "");                                                                 \
	} while (0)

/* errno of a connect that must fail, which leaves no descriptor. */
static int refusal(const char *at, unsigned flags)
{
	unsigned before = open_descriptors();
	shv_arena *a;

	errno = 0;
	a = shv_arena_connect(at, flags);
	int e = errno;
	NEED(!a, "connecting to %s succeeded", at);
	NEED(*shv_errmsg(), "no sentence");
	NEED(open_descriptors() == before, "%u descriptors, %u before", open_descriptors(), before);
	return e;
}

/* What every client that may write can do. */
static void take_part(const char *at)
{
	shv_arena *a = shv_arena_connect(at, 0);
	shv_value *v, *mine;

	NEED(a, "shv_arena_connect");
	NEED(!strcmp(shv_arena_name(a), "served"), "%s", shv_arena_name(a));
	v = shv_deref(a, stage->ref);
	NEED(v && shv_add(v, 1, NULL) == 0, "shv_add");
	mine = SHV_VALUE(a, int, 1);
	NEED(mine && !shv_value_free(mine), "SHV_VALUE");
	NEED(!shv_arena_detach(a), "shv_arena_detach");
}

static int number(void)
{
	return SHV_LOAD((shv_value *)shv_deref(arena, stage->ref), int);
}

/* ---- getting in ------------------------------------------------------------------------------------------ */

static int forked_client(void *arg)
{
	NEED(!shv_arena_detach(arena), "shv_arena_detach"); /* what it has of the arena it has from the socket */
	for (int i = 0; i < 3; i++)
		take_part(arg ? arg : path);
	return 0;
}

START_TEST(forked_client_takes_part)
{
	serve(NULL);
	ck_assert_int_eq(finish(start(forked_client, NULL)), 0);
	ck_assert_int_eq(number(), 10);
}
END_TEST

static int exec_client(void *arg)
{
	char ref[32];

	(void)arg;
	snprintf(ref, sizeof(ref), "%llu", (unsigned long long)stage->ref);
	execl("/proc/self/exe", "test_serve", "client", path, ref, (char *)NULL);
	return 1;
}

/* The other side of it: a program that knows nothing but a path. */
static int client_main(const char *at, const char *ref)
{
	stage = shared_memory(sizeof(*stage));
	stage->ref = strtoull(ref, NULL, 0);
	NEED(open_descriptors() == 3, "%u descriptors came through exec", open_descriptors());
	take_part(at);
	NEED(open_descriptors() == 3, "%u descriptors after detach", open_descriptors());
	return 0;
}

static int exec_clean(void *arg)
{
	for (int fd = 3; fd < 1024; fd++) /* what the test driver itself leaves open for its children */
		if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			close(fd);
	return exec_client(arg);
}

START_TEST(client_started_by_exec_takes_part)
{
	serve(NULL);
	ck_assert_int_eq(finish(start(exec_clean, NULL)), 0);
	ck_assert_int_eq(number(), 8);
}
END_TEST

START_TEST(server_may_connect_to_itself)
{
	serve(NULL);
	take_part(path);
	ck_assert_int_eq(number(), 8);
}
END_TEST

START_TEST(abstract_name_needs_no_file)
{
	char name[64];

	snprintf(name, sizeof(name), "@shv test %d", (int)getpid());
	ck_assert_int_eq(shv_arena_serve(arena, name, NULL), 0);
	ck_assert_int_eq(finish(start(forked_client, name)), 0);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	ck_assert_int_eq(refusal(name, 0), ECONNREFUSED);
	ck_assert_int_eq(shv_arena_serve(arena, name, NULL), 0);
}
END_TEST

/* The file goes from where it was made, wherever the program has gone meanwhile; and a client's child asks there. */
START_TEST(path_may_be_relative)
{
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(shv_arena_serve(arena, "socket", NULL), 0);
	take_part("socket");
	take_part("./socket");
	ck_assert_int_eq(chdir("/"), 0);
	take_part(path);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	ck_assert_int_eq(refusal(path, 0), ENOENT);
}
END_TEST

static int many(void *arg)
{
	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	gate_add(&stage->ready, 1);
	gate_wait(&stage->go, 1);
	for (int i = 0; i < *(int *)arg; i++)
		take_part(path);
	return 0;
}

START_TEST(many_clients_at_once)
{
	enum { CLIENTS = 24, TIMES = 20 };
	int times = TIMES;
	pid_t pid[CLIENTS];

	serve(NULL);
	for (int i = 0; i < CLIENTS; i++)
		pid[i] = start(many, &times);
	gate_wait(&stage->ready, CLIENTS);
	gate_add(&stage->go, 1);
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	ck_assert_int_eq(number(), 7 + CLIENTS * TIMES);
}
END_TEST

/* ---- who may what ---------------------------------------------------------------------------------------- */

struct person {
	uid_t uid;
	gid_t gid, more;   /* more: a supplementary group; 0 = none */
	int read, write;   /* errno of connecting to read, and to write; 0 = that works */
};

static void become(const struct person *p)
{
	NEED(!setgroups(p->more ? 1 : 0, &p->more), "setgroups");
	NEED(!setresgid(p->gid, p->gid, p->gid) && !setresuid(p->uid, p->uid, p->uid), "setresuid");
}

static void look_only(int expected)
{
	shv_arena *a;
	char again[64];
	shv_value *v;
	int x = 0;

	if (expected) {
		int e = refusal(path, SHV_RDONLY);
		NEED(e == expected, "errno %d instead of %d", e, expected);
		return;
	}
	a = shv_arena_connect(path, SHV_RDONLY);
	NEED(a, "shv_arena_connect, read-only");
	v = shv_deref(a, stage->ref);
	NEED(v && !shv_get(v, &x, sizeof(x)) && x >= 7, "shv_get");
	NEED(shv_set(v, &x, sizeof(x)) == -EROFS, "shv_set");
	/* Nor by other means: the description is one for reading, and the file is another user's. */
	int fd = shv_arena_fd(a);
	NEED((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY, "flags %#x", (unsigned)fcntl(fd, F_GETFL));
	NEED(pwrite(fd, &x, sizeof(x), 0) < 0 && errno == EBADF, "written");
	NEED(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES, "mapped");
	NEED(ftruncate(fd, 1 << 30) < 0, "grown");
	if (geteuid()) {
		snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
		NEED(open(again, O_RDWR) < 0 && errno == EACCES, "reopened for writing");
	}
	NEED(!shv_arena_detach(a), "shv_arena_detach");
}

static int be(void *arg)
{
	const struct person *p = arg;
	int e;

	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	become(p);
	look_only(p->read);
	if (!p->write) {
		take_part(path);
		return 0;
	}
	e = refusal(path, 0);
	NEED(e == p->write, "errno %d instead of %d", e, p->write);
	return 0;
}

static void try_all(const struct person *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int status = finish(start(be, (void *)(uintptr_t)&p[i]));
		ck_assert_msg(status == 0, "person %zu: %d", i, status);
	}
}
#define TRY(...)                                                      \
	do {                                                          \
		const struct person all_[] = { __VA_ARGS__ };         \
		try_all(all_, sizeof(all_) / sizeof(all_[0]));        \
	} while (0)

START_TEST(same_user_may_look_and_write)
{
	serve(NULL);
	look_only(0);
	take_part(path);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	serve(&(struct shv_serve_options){ .flags = SHV_RDONLY });
	look_only(0);
	ck_assert_int_eq(refusal(path, 0), EACCES);
}
END_TEST

START_TEST(nobody_else_gets_anything_by_default)
{
	serve(NULL);
	TRY({ STRANGER, STRANGER, 0, EACCES, EACCES }, { 0, 0, 0, 0, 0 });
	/* The file's mode let nobody else come near; now the server itself is asked. */
	ck_assert_int_eq(chmod(path, 0666), 0);
	TRY({ STRANGER, STRANGER, 0, EACCES, EACCES }, { STRANGER, 0, 0, EACCES, EACCES });
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	serve(&(struct shv_serve_options){ .mode = 0666 });
	TRY({ STRANGER, STRANGER, 0, EACCES, EACCES });
	ck_assert_int_eq(number(), 8);
}
END_TEST

START_TEST(lists_say_who_may_what)
{
	const uid_t users[] = { 1, STRANGER }, readers[] = { STRANGER + 7, STRANGER };
	const gid_t groups[] = { FRIENDS }, read_groups[] = { FRIENDS + 1 };

	serve(&(struct shv_serve_options){ .size = sizeof(struct shv_serve_options), .users = users, .users_n = 2,
					   .groups = groups, .groups_n = 1, .read_users = readers, .read_users_n = 2,
					   .read_groups = read_groups, .read_groups_n = 1 });
	TRY({ STRANGER, STRANGER, 0, 0, 0 },                       /* in both: the greater right */
	    { STRANGER + 1, STRANGER, 0, EACCES, EACCES },         /* a number of a user is none of a group */
	    { STRANGER + 7, STRANGER, 0, 0, EACCES },
	    { STRANGER + 1, FRIENDS, 0, 0, 0 },
	    { STRANGER + 1, STRANGER, FRIENDS, 0, 0 },             /* a supplementary one */
	    { STRANGER + 7, STRANGER, FRIENDS, 0, 0 },
	    { STRANGER + 1, FRIENDS + 1, 0, 0, EACCES },
	    { STRANGER + 1, STRANGER, FRIENDS + 1, 0, EACCES },
	    { FRIENDS, STRANGER, 0, EACCES, EACCES },
	    { 0, 0, 0, 0, 0 });
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	serve(&(struct shv_serve_options){ .users = users, .users_n = 2, .flags = SHV_RDONLY });
	TRY({ STRANGER, STRANGER, 0, 0, EACCES }, { 0, 0, 0, 0, EACCES }, { STRANGER + 1, STRANGER, 0, EACCES, EACCES });
}
END_TEST

START_TEST(everybody_may_look)
{
	const uid_t everybody = SHV_EVERYBODY;

	serve(&(struct shv_serve_options){ .read_users = &everybody, .read_users_n = 1 });
	TRY({ STRANGER, STRANGER, 0, 0, EACCES }, { 0, 0, 0, 0, 0 });
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	serve(&(struct shv_serve_options){ .groups = &everybody, .groups_n = 1 });
	TRY({ STRANGER, STRANGER, 0, 0, 0 });
}
END_TEST

static int in_many_groups(void *arg)
{
	gid_t all[400];

	(void)arg;
	for (unsigned i = 0; i < 400; i++)
		all[i] = 70000 + i;
	all[399] = FRIENDS;
	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	NEED(!setgroups(400, all) && !setresgid(STRANGER, STRANGER, STRANGER) && !setresuid(STRANGER, STRANGER, STRANGER), "setgroups");
	take_part(path);
	return 0;
}

START_TEST(all_groups_of_a_client_count)
{
	const gid_t friends = FRIENDS;

	serve(&(struct shv_serve_options){ .groups = &friends, .groups_n = 1 });
	ck_assert_int_eq(finish(start(in_many_groups, NULL)), 0);
}
END_TEST

static int grandchild(void *arg)
{
	/* A member of its own: its first call asks the server for a description. */
	NEED(!shv_add(arg, 1, NULL), "shv_add");
	NEED(shv_acquire(arg) >= 0, "shv_acquire");
	gate_add(&stage->ready, 1);
	wait_for_ever();
	return 0;
}

static int deaf_grandchild(void *arg)
{
	NEED(shv_add(arg, 1, NULL) == -EACCES && *shv_errmsg(), "shv_add without a server");
	return 0;
}

/* Another user's process has children, one of which holds a lock when it is killed. */
static int stranger_with_children(void *arg)
{
	const struct person p = { STRANGER, STRANGER, 0, 0, 0 };
	shv_arena *a;
	shv_value *v;
	pid_t pid;

	(void)arg;
	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	become(&p);
	NEED(!chdir("/"), "chdir");
	a = shv_arena_connect(path, 0);
	v = a ? shv_deref(a, stage->ref) : NULL;
	NEED(v, "shv_arena_connect");
	pid = start(grandchild, v);
	gate_wait(&stage->ready, 1);
	slay(pid);
	NEED(shv_acquire(v) == SHV_RECOVERED, "the holder's death was not noticed");
	NEED(!shv_release(v), "shv_release");
	gate_add(&stage->ready, 1);
	gate_wait(&stage->go, 1); /* the server has ended its service */
	NEED(!shv_add(v, 1, NULL), "shv_add");
	NEED(finish(start(deaf_grandchild, v)) == 0, "grandchild");
	NEED(shv_acquire(v) == 0, "shv_acquire");
	gate_add(&stage->ready, 1);
	wait_for_ever();
	return 0;
}

START_TEST(client_of_another_user_is_a_full_member)
{
	const uid_t stranger = STRANGER;
	struct shv_holder who = { .size = sizeof(who) };
	shv_value *v = shv_deref(arena, stage->ref);
	pid_t pid;

	serve(&(struct shv_serve_options){ .users = &stranger, .users_n = 1 });
	pid = start(stranger_with_children, NULL);
	gate_wait(&stage->ready, 2);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	gate_add(&stage->go, 1);
	gate_wait(&stage->ready, 3);
	ck_assert_int_eq(shv_try_acquire(v), -EBUSY);
	slay(pid);
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	ck_assert_int_eq(shv_last_holder(v, &who), 0);
	ck_assert_int_eq(who.pid, pid);
	ck_assert_int_eq(shv_release(v), 0);
	ck_assert_int_eq(number(), 9);
}
END_TEST

static void assert_mode(mode_t wanted)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_msg(S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == wanted, "mode %o, not %o", st.st_mode, wanted);
}

START_TEST(mode_is_as_asked_whatever_the_umask)
{
	const uid_t somebody = STRANGER;
	const struct {
		struct shv_serve_options o;
		mode_t mode;
	} cases[] = {
		{ { 0 }, 0600 },
		{ { .mode = 0660 }, 0660 },
		{ { .mode = 0777 }, 0777 },
		{ { .mode = 0200 }, 0200 },
		{ { .users = &somebody, .users_n = 1 }, 0666 },
		{ { .read_groups = &somebody, .read_groups_n = 1 }, 0666 },
		{ { .users = &somebody, .users_n = 1, .mode = 0660 }, 0660 },
	};
	const mode_t masks[] = { 0, 022, 077, 0777 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t k = 0; k < sizeof(masks) / sizeof(masks[0]); k++) {
			umask(masks[k]);
			serve(&cases[i].o);
			assert_mode(cases[i].mode);
			ck_assert_int_eq(shv_arena_unserve(arena), 0);
		}
	umask(022);
}
END_TEST

/* ---- nonsense -------------------------------------------------------------------------------------------- */

static int raw_client(int type)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	NEED(fd >= 0, "socket");
	memcpy(to.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Descriptors of the server: of its thread, whose table is its own. */
static unsigned server_descriptors(void)
{
	unsigned n = 0;
	DIR *tasks = opendir("/proc/self/task"), *fds;
	struct dirent *d;
	char name[320], text[32] = "";

	while ((d = readdir(tasks))) {
		FILE *f;

		snprintf(name, sizeof(name), "/proc/self/task/%s/comm", d->d_name);
		f = d->d_name[0] == '.' ? NULL : fopen(name, "re");
		if (!f)
			continue;
		NEED(fgets(text, sizeof(text), f), "comm");
		fclose(f);
		if (strcmp(text, "shv-serve\n"))
			continue;
		snprintf(name, sizeof(name), "/proc/self/task/%s/fd", d->d_name);
		fds = opendir(name);
		NEED(fds, "opendir");
		while (readdir(fds))
			n++;
		closedir(fds);
	}
	closedir(tasks);
	NEED(n > 2, "there is no server thread");
	return n - 2;
}

/* Until the server has let go of all its clients: it is asked, not timed; the test's own time limit ends it. */
static void await_descriptors(unsigned n)
{
	while (server_descriptors() > n)
		sched_yield();
	ck_assert_uint_eq(server_descriptors(), n);
}

static void send_with_descriptors(int fd, const void *bytes, size_t n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(3 * sizeof(int))];
	} control = { 0 };
	int fds[3] = { 0, 1, 2 };
	struct iovec io = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
	NEED(sendmsg(fd, &m, MSG_NOSIGNAL) >= 0, "sendmsg");
}

/* As in docs/ARCHITECTURE.md. */
struct ask {
	uint32_t magic;
	uint8_t version, wish;
	uint16_t spare;
	uint64_t reserved;
};
struct answer {
	uint32_t magic;
	uint8_t version, spare[3];
	int32_t error;
	uint32_t fds;
};
static const struct ask good = { .magic = 0x51564853, .version = 1 };

static int32_t error_of(const void *bytes, size_t n)
{
	int fd = raw_client(SOCK_SEQPACKET);
	struct answer a = { 0 };
	ssize_t got;

	NEED(fd >= 0, "connect");
	NEED(send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n, "send");
	got = recv(fd, &a, sizeof(a), 0); /* descriptors are dropped */
	NEED(got == (ssize_t)sizeof(a) && a.magic == 0x41564853 && a.version == 1, "an answer of %zd bytes", got);
	NEED(recv(fd, &a, sizeof(a), 0) == 0, "more than one answer");
	close(fd);
	return a.error;
}

START_TEST(each_field_of_the_request_counts)
{
	struct ask ask;
	char longer[64] = { 0 };
	unsigned idle;

	serve(NULL);
	idle = server_descriptors();
	ck_assert_int_eq(error_of(&good, sizeof(good)), 0);
	ask = good, ask.wish = 1;
	ck_assert_int_eq(error_of(&ask, sizeof(ask)), 0);
	ask = good, ask.magic ^= 1;
	ck_assert_int_eq(error_of(&ask, sizeof(ask)), EPROTO);
	ask = good, ask.version = 2;
	ck_assert_int_eq(error_of(&ask, sizeof(ask)), EPROTONOSUPPORT);
	ask = good, ask.wish = 2;
	ck_assert_int_eq(error_of(&ask, sizeof(ask)), EPROTO);
	ask = good, ask.spare = 1;
	ck_assert_int_eq(error_of(&ask, sizeof(ask)), EPROTO);
	ask = good, ask.reserved = 1;
	ck_assert_int_eq(error_of(&ask, sizeof(ask)), EPROTO);
	for (size_t n = 1; n < sizeof(good); n++)
		ck_assert_int_eq(error_of(&good, n), EPROTO);
	memcpy(longer, &good, sizeof(good)); /* what a later version may send */
	ck_assert_int_eq(error_of(longer, sizeof(longer)), EPROTONOSUPPORT);
	await_descriptors(idle);
}
END_TEST

START_TEST(nonsense_harms_nobody)
{
	struct rng rng = { test_seed("nonsense") };
	static char big[100000];
	unsigned idle;

	serve(NULL);
	idle = server_descriptors();
	for (int i = 0; i < 400; i++) {
		size_t n = rng_below(&rng, i % 10 == 0 ? sizeof(big) : 40);
		int fd = raw_client(SOCK_SEQPACKET);

		NEED(fd >= 0, "connect");
		for (size_t k = 0; k < n; k++)
			big[k] = (char)rng_next(&rng);
		if (i % 5 == 0 && n >= 4)
			memcpy(big, &good, n < 6 ? n : 6);
		if (i % 3 == 0)
			send_with_descriptors(fd, big, n ? n : 1);
		else
			(void)!send(fd, big, n, MSG_NOSIGNAL);
		if (i % 4 == 0) /* more than one, though the first is the last that is read */
			(void)!send(fd, big, n, MSG_NOSIGNAL);
		if (i % 7 == 0)
			shutdown(fd, SHUT_WR);
		close(fd);
		if (i % 50 == 0)
			take_part(path);
	}
	ck_assert_int_eq(raw_client(SOCK_STREAM), -1);
	take_part(path); /* behind all of them */
	await_descriptors(idle);
}
END_TEST

/* Who connects and says nothing: a hundred of them do not keep anybody out, and are dismissed. */
START_TEST(silence_harms_nobody)
{
	int fd[150];
	unsigned idle;
	char c;

	serve(NULL);
	idle = server_descriptors();
	for (int i = 0; i < 150; i++) {
		fd[i] = raw_client(SOCK_SEQPACKET);
		ck_assert_int_ge(fd[i], 0);
	}
	for (int i = 0; i < 10; i++)
		take_part(path);
	for (int i = 0; i < 150; i++) {
		ck_assert_int_eq(recv(fd[i], &c, 1, 0), 0); /* returns when the server closes */
		close(fd[i]);
	}
	await_descriptors(idle);
	take_part(path);
}
END_TEST

/* Who asks and does not take: the answers lie with the one who does not want them. */
START_TEST(clients_that_do_not_take_their_answer_harm_nobody)
{
	int fd[100];
	unsigned idle;

	serve(NULL);
	idle = server_descriptors();
	for (int i = 0; i < 100; i++) {
		fd[i] = raw_client(SOCK_SEQPACKET);
		ck_assert_int_eq(send(fd[i], &good, sizeof(good), MSG_NOSIGNAL), sizeof(good));
	}
	take_part(path);
	await_descriptors(idle);
	for (int i = 0; i < 100; i++)
		close(fd[i]);
}
END_TEST

/* ---- servers that are none ------------------------------------------------------------------------------- */

struct fake {
	struct answer answer;
	size_t size;       /* of what it sends; 0 = closes at once */
	int fds[3];
	unsigned fds_n;
	int expected;      /* errno of the client */
	unsigned flags;
};

/* Answers one client. */
static int fake_server(const struct fake *f, int listener)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(3 * sizeof(int))];
	} control = { 0 };
	struct iovec io = { .iov_base = (void *)(uintptr_t)&f->answer, .iov_len = f->size };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	struct ask ask;
	int fd = accept(listener, NULL, NULL);

	NEED(fd >= 0 && recv(fd, &ask, sizeof(ask), 0) == (ssize_t)sizeof(ask), "accept");
	NEED(ask.magic == good.magic && ask.version == 1 && !ask.spare && !ask.reserved, "what a client sends");
	if (f->fds_n) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(f->fds_n * sizeof(int));
		memcpy(CMSG_DATA(&control.head), f->fds, f->fds_n * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(f->fds_n * sizeof(int));
	}
	if (f->size)
		NEED(sendmsg(fd, &m, MSG_NOSIGNAL) >= 0, "sendmsg");
	close(fd);
	return 0;
}

static int fake_listener(int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, path, strlen(path) + 1);
	NEED(fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)), "bind");
	NEED(type == SOCK_DGRAM || !listen(fd, 5), "listen");
	return fd;
}

static int deceived_client(void *arg)
{
	const struct fake *f = arg;
	int e = refusal(path, f->flags);

	NEED(e == f->expected, "errno %d instead of %d", e, f->expected);
	return 0;
}

START_TEST(strange_servers_are_refused)
{
	const struct answer fine = { .magic = 0x41564853, .version = 1, .fds = 2 };
	int arena_fd = shv_arena_fd(arena), rdonly = shv_arena_fd_rdonly(arena), null = open("/dev/null", O_RDWR), listener;
	struct fake all[] = {
		{ fine, 0, { 0 }, 0, ECONNRESET, 0 },
		{ fine, 1, { 0 }, 0, EPROTO, 0 },
		{ fine, 15, { arena_fd, arena_fd }, 2, EPROTO, 0 },
		{ { .magic = 1, .version = 1, .fds = 2 }, 16, { arena_fd, arena_fd }, 2, EPROTO, 0 },
		{ { .magic = 0x41564853, .version = 2, .fds = 2 }, 16, { arena_fd, arena_fd }, 2, EPROTONOSUPPORT, 0 },
		{ { .magic = 0x41564853, .version = 1, .fds = 1 }, 16, { arena_fd }, 1, EPROTO, 0 },
		{ { .magic = 0x41564853, .version = 1, .error = 12345 }, 16, { 0 }, 0, EPROTO, 0 },
		{ { .magic = 0x41564853, .version = 1, .error = -1 }, 16, { 0 }, 0, EPROTO, 0 },
		{ { .magic = 0x41564853, .version = 1, .error = EACCES }, 16, { arena_fd, arena_fd }, 2, EACCES, 0 },
		{ { .magic = 0x41564853, .version = 1, .error = EMFILE }, 16, { 0 }, 0, EMFILE, 0 },
		{ fine, 16, { 0 }, 0, EPROTO, 0 },
		{ fine, 16, { arena_fd }, 1, EPROTO, 0 },
		{ fine, 16, { null, null }, 2, EBADMSG, 0 },
		{ fine, 16, { rdonly, rdonly }, 2, EACCES, 0 },
		{ fine, 16, { null, null, null }, 3, EBADMSG, 0 },
		{ fine, 16, { rdonly, rdonly }, 2, EPROTO, SHV_RDONLY },
		{ { .magic = 0x41564853, .version = 1, .fds = 1 }, 16, { null }, 1, EBADMSG, SHV_RDONLY },
	};

	ck_assert_int_eq(refusal(path, 0), ENOENT);
	listener = fake_listener(SOCK_SEQPACKET);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		pid_t pid = start(deceived_client, &all[i]);

		ck_assert_int_eq(fake_server(&all[i], listener), 0);
		int status = finish(pid);
		ck_assert_msg(status == 0, "server %zu: %d", i, status);
	}
	ck_assert_int_eq(shv_arena_serve(arena, path, NULL), -EADDRINUSE);
	ck_assert_int_eq(refusal(path, 0), ETIMEDOUT); /* nobody accepts */
	close(listener);
	ck_assert_int_eq(refusal(path, 0), ECONNREFUSED);
	unlink(path);
	listener = fake_listener(SOCK_DGRAM);
	ck_assert_int_eq(refusal(path, 0), EPROTO);
	ck_assert_int_eq(shv_arena_serve(arena, path, NULL), -EADDRINUSE);
	unlink(path);
	close(listener), close(rdonly), close(null);
}
END_TEST

/* A server that gives a stranger's file as the sign of life: the client does without. */
START_TEST(false_sign_of_life_is_not_used)
{
	struct fake f = { { .magic = 0x41564853, .version = 1, .fds = 2 }, 16, { -1, shv_arena_fd(arena) }, 2, 0, 0 };
	int listener = fake_listener(SOCK_SEQPACKET);

	for (int i = 0; i < 2; i++) {
		pid_t pid;

		f.fds[0] = i ? shv_arena_fd_rdonly(arena) : open("/dev/null", O_RDWR);
		pid = start(forked_client, NULL);
		for (int k = 0; k < 3; k++)
			ck_assert_int_eq(fake_server(&f, listener), 0);
		ck_assert_int_eq(finish(pid), 0);
		close(f.fds[0]);
	}
	unlink(path);
	close(listener);
}
END_TEST

/* ---- life and death of servers --------------------------------------------------------------------------- */

static int be_server(void *arg)
{
	(void)arg;
	NEED(!shv_arena_serve(arena, path, NULL), "shv_arena_serve");
	NEED(!shv_add(shv_deref(arena, stage->ref), 0, NULL), "shv_add"); /* serving alone makes no member */
	gate_add(&stage->ready, 1);
	wait_for_ever();
	return 0;
}

static int hold(void *arg)
{
	shv_arena *a;
	shv_value *v;

	(void)arg;
	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	a = shv_arena_connect(path, 0);
	NEED(a, "shv_arena_connect");
	gate_add(&stage->ready, 1);
	gate_wait(&stage->go, 1); /* the server is dead */
	v = shv_deref(a, stage->ref);
	NEED(v && shv_acquire(v) == 0, "shv_acquire");
	pid_t pid = fork(); /* lives on, and has inherited our descriptors: that must not keep us alive */
	if (!pid)
		wait_for_ever();
	stage->pid = pid;
	gate_add(&stage->ready, 1);
	wait_for_ever();
	return 0;
}

START_TEST(clients_outlive_the_server_and_are_seen_to_live)
{
	shv_value *v = shv_deref(arena, stage->ref);
	pid_t server = start(be_server, NULL), client;
	struct stat st;

	gate_wait(&stage->ready, 1);
	client = start(hold, NULL);
	gate_wait(&stage->ready, 2);
	slay(server);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_int_eq(refusal(path, 0), ECONNREFUSED);
	gate_add(&stage->go, 1);
	gate_wait(&stage->ready, 3);
	ck_assert_int_eq(shv_arena_recover(arena, NULL), 1); /* the server, and not the client */
	ck_assert_int_eq(shv_try_acquire(v), -EBUSY);
	serve(NULL); /* in place of the dead one's socket */
	slay(client);
	ck_assert_int_eq(shv_arena_recover(arena, NULL), 1);
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	ck_assert_int_eq(kill(stage->pid, SIGKILL), 0);
	ck_assert_int_eq(shv_release(v), 0);
	take_part(path);
	ck_assert_int_eq(number(), 8);
}
END_TEST

START_TEST(living_server_is_not_replaced)
{
	pid_t server = start(be_server, NULL);
	char text[8] = "";
	int fd;

	gate_wait(&stage->ready, 1);
	assert_error(shv_arena_serve(arena, path, NULL), EADDRINUSE);
	take_part(path);
	ck_assert_int_eq(shv_arena_serve(arena, other_path, NULL), 0); /* two may serve one arena */
	ck_assert_int_eq(finish(start(forked_client, other_path)), 0);
	slay(server);
	assert_error(shv_arena_serve(arena, path, NULL), EBUSY);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	ck_assert_int_eq(shv_arena_serve(arena, path, NULL), 0);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	/* What is no socket is nobody's to remove. */
	fd = open(path, O_CREAT | O_RDWR | O_EXCL, 0600);
	ck_assert_int_eq(write(fd, "mine", 4), 4);
	assert_error(shv_arena_serve(arena, path, NULL), EEXIST);
	ck_assert_int_eq(pread(fd, text, sizeof(text), 0), 4);
	ck_assert_int_eq(refusal(path, 0), ECONNREFUSED);
	unlink(path);
	close(fd);
	ck_assert_int_eq(symlink("elsewhere", path), 0);
	assert_error(shv_arena_serve(arena, path, NULL), EEXIST);
	unlink(path);
}
END_TEST

static int compete(void *arg)
{
	int r;

	(void)arg;
	gate_add(&stage->ready, 1);
	gate_wait(&stage->go, 1);
	r = shv_arena_serve(arena, path, NULL);
	NEED(r == 0 || r == -EADDRINUSE, "shv_arena_serve: %d", r);
	gate_add(&stage->ready, 1);
	gate_wait(&stage->go, 2);
	if (!r)
		NEED(!shv_arena_unserve(arena), "shv_arena_unserve");
	return r ? 1 : 0;
}

/* Several find a dead server's socket at once: one of them serves, and its socket is there. */
START_TEST(one_of_many_replaces_a_dead_server)
{
	enum { RIVALS = 6, ROUNDS = 10 };
	pid_t pid[RIVALS];

	for (int i = 0; i < ROUNDS; i++) {
		int won = 0;
		pid_t server = start(be_server, NULL);

		gate_wait(&stage->ready, 1);
		slay(server);
		memset(stage, 0, offsetof(struct stage, ref));
		for (int k = 0; k < RIVALS; k++)
			pid[k] = start(compete, NULL);
		gate_wait(&stage->ready, RIVALS);
		gate_add(&stage->go, 1);
		gate_wait(&stage->ready, 2 * RIVALS);
		take_part(path);
		gate_add(&stage->go, 1);
		for (int k = 0; k < RIVALS; k++) {
			int status = finish(pid[k]);

			ck_assert_msg(status == 0 || status == 1, "%d", status);
			won += status == 0;
		}
		ck_assert_int_eq(won, 1);
		ck_assert_int_eq(refusal(path, 0), ENOENT);
		memset(stage, 0, offsetof(struct stage, ref));
	}
}
END_TEST

START_TEST(socket_of_another_is_not_removed)
{
	serve(NULL);
	ck_assert_int_eq(unlink(path), 0);
	int listener = fake_listener(SOCK_SEQPACKET);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	unlink(path);
	close(listener);
}
END_TEST

/* ---- what the server's process does ---------------------------------------------------------------------- */

static unsigned threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/* A thread that was waited for is on the list for a moment still. */
static void await_threads(unsigned n)
{
	while (threads() > n)
		sched_yield();
	ck_assert_uint_eq(threads(), n);
}

START_TEST(nothing_is_left)
{
	unsigned fds, maps, before = threads();

	serve(NULL);
	take_part(path);
	ck_assert_int_eq(shv_arena_unserve(arena), 0); /* what is made once is made */
	await_threads(before);
	fds = open_descriptors(), maps = mappings();
	for (int i = 0; i < 20; i++) {
		serve(NULL);
		ck_assert_uint_gt(threads(), before);
		ck_assert_uint_eq(open_descriptors(), fds); /* none of ours */
		assert_error(shv_arena_serve(arena, other_path, NULL), EBUSY);
		ck_assert_int_eq(shv_arena_unserve(arena), 0);
		assert_error(shv_arena_unserve(arena), ENOENT);
		ck_assert_int_eq(refusal(path, 0), ENOENT);
		await_threads(before);
		assert_error(shv_arena_serve(arena, "/nowhere/at/all", NULL), ENOENT);
		await_threads(before);
		ck_assert_uint_eq(open_descriptors(), fds);
	}
	ck_assert_uint_le(mappings(), maps + 4); /* the system keeps stacks of threads for the next */
	serve(NULL);
	need_sound(arena, "served");
	ck_assert_int_eq(shv_arena_detach(arena), 0);
	await_threads(before);
	ck_assert_int_eq(refusal(path, 0), ENOENT);
	arena = NULL;
}
END_TEST

START_TEST(each_attachment_has_its_own_service)
{
	shv_arena *b = shv_arena_attach(shv_arena_fd(arena), 0), *ro = shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY);

	serve(NULL);
	ck_assert_int_eq(shv_arena_serve(b, other_path, NULL), 0);
	assert_error(shv_arena_serve(ro, path, NULL), EROFS);
	assert_error(shv_arena_unserve(ro), ENOENT);
	take_part(path);
	take_part(other_path);
	ck_assert_int_eq(shv_arena_detach(b), 0);
	ck_assert_int_eq(refusal(other_path, 0), ENOENT);
	take_part(path);
	ck_assert_int_eq(shv_arena_detach(ro), 0);
}
END_TEST

/* A child of the serving process has no part in the service, and cannot disturb it. */
static int child_of_server(void *arg)
{
	(void)arg;
	NEED(shv_arena_unserve(arena) == -ENOENT, "shv_arena_unserve");
	NEED(!shv_arena_serve(arena, other_path, NULL), "a service of its own: %s", shv_errmsg());
	take_part(other_path);
	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	NEED(access(other_path, F_OK) && !access(path, F_OK), "sockets");
	take_part(path);
	return 0;
}

static int child_that_detaches(void *arg)
{
	(void)arg;
	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	gate_add(&stage->ready, 1);
	wait_for_ever();
	return 0;
}

START_TEST(fork_is_not_a_second_server)
{
	pid_t pid;

	serve(NULL);
	ck_assert_int_eq(finish(start(child_of_server, NULL)), 0);
	take_part(path);
	pid = start(child_that_detaches, NULL);
	gate_wait(&stage->ready, 1);
	/* The child keeps nothing open: with another name of the socket one sees that nobody listens. */
	ck_assert_int_eq(link(path, other_path), 0);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
	ck_assert_int_eq(refusal(path, 0), ENOENT);
	ck_assert_int_eq(refusal(other_path, 0), ECONNREFUSED);
	unlink(other_path);
	slay(pid);
}
END_TEST

START_TEST(service_survives_closefrom)
{
	serve(NULL);
	ck_assert_int_eq(finish(start(forked_client, NULL)), 0);
	closefrom(3);
	ck_assert_int_eq(finish(start(forked_client, NULL)), 0);
	take_part(path);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
}
END_TEST

/* SigBlk of every thread but the first has all signals but those that nobody can block and the two that the C library keeps. */
START_TEST(server_blocks_all_signals)
{
	struct dirent *d;
	unsigned seen = 0;
	DIR *dir;

	serve(NULL);
	dir = opendir("/proc/self/task");
	while ((d = readdir(dir))) {
		char name[320], line[128];
		FILE *f;

		if (d->d_name[0] == '.' || atoi(d->d_name) == getpid())
			continue;
		snprintf(name, sizeof(name), "/proc/self/task/%s/status", d->d_name);
		f = fopen(name, "re");
		ck_assert_ptr_nonnull(f);
		while (fgets(line, sizeof(line), f)) {
			unsigned long long mask;

			if (sscanf(line, "SigBlk: %llx", &mask) != 1)
				continue;
			for (int s = 1; s < 32; s++)
				ck_assert_msg(s == SIGKILL || s == SIGSTOP || mask >> (s - 1) & 1, "signal %d: %llx", s, mask);
			seen++;
		}
		fclose(f);
	}
	closedir(dir);
	ck_assert_uint_ge(seen, 1);
	/* And the caller's are as they were. */
	sigset_t mine;
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mine), 0);
	ck_assert_int_eq(sigismember(&mine, SIGUSR1), 0);
}
END_TEST

/* ---- arguments ------------------------------------------------------------------------------------------- */

START_TEST(arguments_are_checked)
{
	const uid_t one = 1;
	char deep[200];

	memset(deep, 'x', sizeof(deep));
	deep[0] = '/';
	deep[108] = 0;
	assert_error(shv_arena_serve(NULL, path, NULL), EINVAL);
	assert_error(shv_arena_unserve(NULL), EINVAL);
	assert_error(shv_arena_serve(arena, NULL, NULL), EINVAL);
	assert_error(shv_arena_serve(arena, "", NULL), EINVAL);
	assert_error(shv_arena_serve(arena, "@", NULL), EINVAL);
	assert_error(shv_arena_serve(arena, "/tmp/", NULL), EINVAL);
	assert_error(shv_arena_serve(arena, deep, NULL), ENAMETOOLONG);
	assert_error(shv_arena_serve(arena, path, &(struct shv_serve_options){ .size = 8 }), EINVAL);
	assert_error(shv_arena_serve(arena, path, &(struct shv_serve_options){ .flags = SHV_POPULATE }), EINVAL);
	assert_error(shv_arena_serve(arena, path, &(struct shv_serve_options){ .mode = 04600 }), EINVAL);
	assert_error(shv_arena_serve(arena, path, &(struct shv_serve_options){ .users_n = 1 }), EINVAL);
	assert_error(shv_arena_serve(arena, path, &(struct shv_serve_options){ .read_groups = &one, .read_groups_n = 100000 }), EINVAL);
	assert_error(shv_arena_serve(arena, "/dev/null/socket", NULL), ENOTDIR);
	ck_assert_int_eq(refusal(NULL, 0), EINVAL);
	ck_assert_int_eq(refusal("", 0), EINVAL);
	ck_assert_int_eq(refusal("@", 0), EINVAL);
	ck_assert_int_eq(refusal(path, SHV_RESTORE), EINVAL);
	ck_assert_int_eq(refusal(deep, 0), ENAMETOOLONG);
	ck_assert_int_eq(refusal("/dev/null/socket", 0), ENOTDIR);
	ck_assert_int_eq(refusal("/tmp", 0), ECONNREFUSED);
	/* The longest path that there may be. */
	memset(deep, '/', 107);
	memcpy(deep, folder, strlen(folder));
	deep[106] = 's';
	deep[107] = 0;
	ck_assert_int_eq(shv_arena_serve(arena, deep, NULL), 0);
	take_part(deep);
	ck_assert_int_eq(shv_arena_unserve(arena), 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tc;

	if (argc == 4 && !strcmp(argv[1], "client"))
		return client_main(argv[2], argv[3]);
	suite = suite_create("serve");
	tc = tcase_create("getting in");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, forked_client_takes_part);
	tcase_add_test(tc, client_started_by_exec_takes_part);
	tcase_add_test(tc, server_may_connect_to_itself);
	tcase_add_test(tc, abstract_name_needs_no_file);
	tcase_add_test(tc, path_may_be_relative);
	tcase_add_test(tc, many_clients_at_once);

	tc = tcase_create("who may what");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, same_user_may_look_and_write);
	tcase_add_test(tc, mode_is_as_asked_whatever_the_umask);
	if (geteuid()) {
		fprintf(stderr, "# skipped: only root's children can become other users\n");
	} else {
		tcase_add_test(tc, nobody_else_gets_anything_by_default);
		tcase_add_test(tc, lists_say_who_may_what);
		tcase_add_test(tc, everybody_may_look);
		tcase_add_test(tc, all_groups_of_a_client_count);
		tcase_add_test(tc, client_of_another_user_is_a_full_member);
	}

	tc = tcase_create("nonsense");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, each_field_of_the_request_counts);
	tcase_add_test(tc, nonsense_harms_nobody);
	tcase_add_test(tc, silence_harms_nobody);
	tcase_add_test(tc, clients_that_do_not_take_their_answer_harm_nobody);
	tcase_add_test(tc, strange_servers_are_refused);
	tcase_add_test(tc, false_sign_of_life_is_not_used);

	tc = tcase_create("life and death");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, clients_outlive_the_server_and_are_seen_to_live);
	tcase_add_test(tc, living_server_is_not_replaced);
	tcase_add_test(tc, one_of_many_replaces_a_dead_server);
	tcase_add_test(tc, socket_of_another_is_not_removed);
	tcase_add_test(tc, nothing_is_left);
	tcase_add_test(tc, each_attachment_has_its_own_service);
	tcase_add_test(tc, fork_is_not_a_second_server);
	tcase_add_test(tc, service_survives_closefrom);
	tcase_add_test(tc, server_blocks_all_signals);
	tcase_add_test(tc, arguments_are_checked);
	return run_suite(suite);
}
