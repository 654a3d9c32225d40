/* SPDX-License-Identifier: MIT */
/*
 * The server's side of shv_arena_serve(): a thread that gives descriptors of the arena to those who may have them.
 *
 *   the program's threads              server thread: a descriptor table of its own        clients
 *   shv_arena_serve() --- starts -->   memfd, listener, eventfd, up to 64 clients  <----   shv_arena_connect()
 *   shv_arena_unserve() -- futex -->   bell thread (same table) --> eventfd                (connect.c)
 *
 * The table is why this is no burden to the program: what a thread opens after close_range(CLOSE_RANGE_UNSHARE) no other thread sees. So no
 * child of fork or exec keeps the listener open when we are dead (clients would wait in its queue for ever), closefrom() in a daemon does not
 * end the service, and a program that is out of descriptors can still be connected to. The price is that the program has no descriptor to
 * end the thread by, and a thread that polls cannot wait for a futex: the bell thread does, and turns it into an event.
 *
 * /proc/self is the program's table, so the memfd is reopened through /proc/thread-self, whose folder is kept open: a later chroot() of the
 * program does not matter.
 *
 * struct shv_service lies in a mapping that fork wipes. A child finds zeros: the service is not its own.
 *
 * The thread calls nothing of the arena, takes none of its locks and touches none of its pages, so whoever waits for it to end may
 * hold any of them.
 *
 * Socket files. To bind, and to replace what a dead server left, is one step for all servers of a folder, because the folder is locked (flock)
 * meanwhile: otherwise two that both find a dead socket could remove each other's living one. Crash: the lock goes with the process;
 * a file that was bound and never listened to refuses like that of a dead server.
 */
#include "arena/serve.h"
#include "arena/arena_private.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <shv/error.h>
#include <shv/serve.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

#define CLIENTS 64u           /* that have connected and not said what they want */
#define CLIENT_MS 2000        /* they have so long */
#define ACCEPT_AT_ONCE 16u    /* then those who are there are heard */
#define PAUSE_MS 100          /* when the system has no descriptor for a client */
#define FOLDER_TRIES 200      /* of 10 ms each */
#define LIST_MOST 65536u
#define STACK_SIZE ((size_t)256 << 10)

enum right {
	RIGHT_NONE,
	RIGHT_READ,
	RIGHT_WRITE,
};

struct ids {
	const uint32_t *id;
	size_t n;
};

enum state {
	STATE_STARTING,
	STATE_RUNS,
	STATE_FAILED,
};

struct shv_service {
	uint32_t mine;              /* 1; 0: a forked child looks */
	uint32_t state;             /* enum state; futex */
	uint32_t ring;              /* futex: 1 = end */
	pthread_t thread;
	int memfd;                  /* the same number in the program's table while starting, and in the thread's */
	int error;                  /* STATE_FAILED: why */
	char why[320];
	uid_t owner;
	bool only_read;
	mode_t mode;
	struct ids users, groups, read_users, read_groups; /* behind this structure */
	struct sockaddr_un address;
	int address_len;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

_Static_assert(sizeof(uid_t) == 4 && sizeof(gid_t) == 4, "one kind of list for both");

/* Of the thread alone. */
struct client {
	int fd;
	enum right right;
	int64_t until;
};

struct server {
	struct shv_service *s;
	int table;                  /* the folder of our descriptors in /proc */
	int listener, event;
	int folder;                 /* of the socket file; -1: an abstract name */
	const char *base;           /* the file's name in it */
	dev_t dev;                  /* of the file, */
	ino_t ino;                  /* which is ours as long as it is this one */
	pthread_t bell;
	struct client clients[CLIENTS];
	unsigned clients_n;
	int64_t pause;              /* nobody is accepted before that; 0 = now */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void word_set(uint32_t *word, uint32_t to)
{
	store_release(word, to);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static uint32_t word_wait(uint32_t *word, uint32_t while_)
{
	uint32_t now;

	while ((now = load_acquire(word)) == while_)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_, NULL, NULL, 0);
	return now;
}

/* ---- who may have what ------------------------------------------------------------------------------------------------ */

static bool listed(const struct ids *l, uint32_t id)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->id[i] == id || l->id[i] == SHV_EVERYBODY)
			return true;
	return false;
}

static bool any_listed(const struct ids *l, const gid_t *groups, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (listed(l, groups[i]))
			return true;
	return false;
}

static enum right right_by_groups(const struct shv_service *s, int fd, gid_t first)
{
	gid_t few[64], *all = few;
	socklen_t size = sizeof(few);
	enum right right;
	size_t n = 0;

	if (listed(&s->groups, first))
		return RIGHT_WRITE;
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &size))
		n = size / sizeof(gid_t);
	else if (errno == ERANGE && (all = malloc(size)) && !getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, all, &size))
		n = size / sizeof(gid_t); /* a kernel without it: the first group alone counts */
	right = n && any_listed(&s->groups, all, n)                                           ? RIGHT_WRITE :
		listed(&s->read_groups, first) || (n && any_listed(&s->read_groups, all, n)) ? RIGHT_READ :
											       RIGHT_NONE;
	if (all != few)
		free(all);
	return right;
}

static enum right right_of(const struct shv_service *s, int fd)
{
	struct ucred who;
	socklen_t size = sizeof(who);
	enum right right;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size))
		return RIGHT_NONE;
	if (who.uid == s->owner || who.uid == 0 || listed(&s->users, who.uid))
		right = RIGHT_WRITE;
	else
		right = right_by_groups(s, fd, who.gid);
	if (right == RIGHT_NONE && listed(&s->read_users, who.uid))
		right = RIGHT_READ;
	return right == RIGHT_WRITE && s->only_read ? RIGHT_READ : right;
}

/* ---- clients ---------------------------------------------------------------------------------------------------------------- */

/* A description that nobody else has. */
static int reopen(const struct server *v, int fd, int mode)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	return openat(v->table, number, mode | O_CLOEXEC);
}

/* Never waits: the client's queue is empty, and who does not take his answer is not waited for. */
static void answer(int fd, int error, const int *fds, unsigned n)
{
	struct shv_answer a = { .magic = SHV_ANSWER_MAGIC, .version = SHV_SERVE_VERSION, .error = error, .fds = n };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(SHV_SERVE_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec io = { .iov_base = &a, .iov_len = sizeof(a) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };

	if (n) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	if (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && n && errno == ETOOMANYREFS)
		answer(fd, EMFILE, NULL, 0); /* this user has too many on their way already */
}

static void hand_over(const struct server *v, int client, bool rdonly)
{
	unsigned n = rdonly ? 1 : 2;
	int fds[SHV_SERVE_FDS] = { -1, -1 }, error = 0;

	for (unsigned i = 0; i < n && !error; i++) {
		fds[i] = reopen(v, v->s->memfd, rdonly ? O_RDONLY : O_RDWR);
		if (fds[i] < 0)
			error = errno == EMFILE || errno == ENFILE || errno == ENOMEM ? errno : EACCES;
	}
	answer(client, error, fds, error ? 0 : n);
	for (unsigned i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* True when we are done with the client. */
static bool hear(const struct server *v, const struct client *c)
{
	struct shv_ask ask;
	ssize_t n = recv(c->fd, &ask, sizeof(ask), MSG_DONTWAIT | MSG_TRUNC); /* descriptors that come with it are dropped by the kernel */

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		return true; /* gone, or an empty message */
	if (n < (ssize_t)sizeof(ask) || ask.magic != SHV_ASK_MAGIC)
		answer(c->fd, EPROTO, NULL, 0);
	else if (ask.version != SHV_SERVE_VERSION || n != (ssize_t)sizeof(ask))
		answer(c->fd, EPROTONOSUPPORT, NULL, 0); /* says which one we speak */
	else if (ask.wish > SHV_WISH_READ || ask.spare || ask.reserved)
		answer(c->fd, EPROTO, NULL, 0);
	else if (c->right < (ask.wish == SHV_WISH_READ ? RIGHT_READ : RIGHT_WRITE))
		answer(c->fd, EACCES, NULL, 0);
	else
		hand_over(v, c->fd, ask.wish == SHV_WISH_READ);
	return true;
}

static void dismiss(struct server *v, unsigned i)
{
	close(v->clients[i].fd);
	v->clients_n--;
	memmove(&v->clients[i], &v->clients[i + 1], (v->clients_n - i) * sizeof(v->clients[0]));
}

/* Those who came first go first, and before all others those who get nothing anyway. */
static void make_room(struct server *v)
{
	unsigned i = 0;

	while (i < v->clients_n && v->clients[i].right != RIGHT_NONE)
		i++;
	dismiss(v, i < v->clients_n ? i : 0);
}

static void accept_some(struct server *v)
{
	for (unsigned i = 0; i < ACCEPT_AT_ONCE; i++) {
		struct client c = { .until = now_ms() + CLIENT_MS };

		c.fd = accept4(v->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (c.fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				v->pause = now_ms() + PAUSE_MS;
			return;
		}
		c.right = right_of(v->s, c.fd);
		if (hear(v, &c)) {
			close(c.fd);
			continue;
		}
		if (v->clients_n == CLIENTS)
			make_room(v);
		v->clients[v->clients_n++] = c; /* ascending in time */
	}
}

/* Whoever came first is dismissed first; and until then, or the end of a pause, there is nothing to do. */
static int patience(const struct server *v)
{
	int64_t next = v->clients_n ? v->clients[0].until : INT64_MAX, now = now_ms();

	if (v->pause && v->pause < next)
		next = v->pause;
	return next == INT64_MAX ? -1 : next <= now ? 0 : (int)(next - now) + 1;
}

static void serve(struct server *v)
{
	for (;;) {
		struct pollfd p[2 + CLIENTS] = { { .fd = v->event, .events = POLLIN } };
		unsigned n = v->clients_n;
		int64_t now;

		p[1] = (struct pollfd){ .fd = v->pause ? -1 : v->listener, .events = POLLIN };
		for (unsigned i = 0; i < n; i++)
			p[2 + i] = (struct pollfd){ .fd = v->clients[i].fd, .events = POLLIN };
		(void)poll(p, 2 + n, patience(v)); /* a failure leaves zeros: another round */
		if (p[0].revents)
			return;
		now = now_ms();
		if (v->pause && v->pause <= now)
			v->pause = 0;
		for (unsigned i = n; i-- > 0;) /* backwards: those who go leave the places before them as they are */
			if (p[2 + i].revents ? hear(v, &v->clients[i]) : v->clients[i].until <= now)
				dismiss(v, i);
		if (p[1].revents)
			accept_some(v);
	}
}

/* ---- the socket file -------------------------------------------------------------------------------------------------------- */

static int lock_folder(int folder)
{
	const struct timespec step = { .tv_nsec = 10000000 };

	for (int i = 0; i < FOLDER_TRIES; i++) {
		if (!flock(folder, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return 0; /* a file system without locks: as well as it goes */
		nanosleep(&step, NULL);
	}
	return fail(-EBUSY, "shv_arena_serve: another process has kept the folder of the socket locked for two seconds: try again");
}

/* Something is at our path. 0 if it was a dead server's, and is gone. */
static int remove_dead(struct server *v)
{
	const struct shv_service *s = v->s;
	struct stat st;
	int fd, e;

	if (fstatat(v->folder, v->base, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : fail_call("shv_arena_serve: looking at what is there", s->path);
	if (!S_ISSOCK(st.st_mode))
		return fail(-EEXIST, "shv_arena_serve: '%s' is there and no socket: it is left alone, pass another path", s->path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail_call("shv_arena_serve: socket", NULL);
	e = connect(fd, (const struct sockaddr *)&s->address, (socklen_t)s->address_len) ? errno : 0;
	close(fd);
	if (e == EACCES || e == EPERM)
		return fail(-EACCES, "shv_arena_serve: '%s' is a socket of another user, pass another path", s->path);
	if (e != ECONNREFUSED && e != ENOENT)
		return fail(-EADDRINUSE, "shv_arena_serve: somebody serves at '%s': pass another path, or end that service", s->path);
	if (e == ECONNREFUSED && unlinkat(v->folder, v->base, 0) && errno != ENOENT)
		return fail_call("shv_arena_serve: removing the socket of a dead server", s->path);
	return 0;
}

/*
 * The file is made with the mode that we want, less the umask, which is not ours to change: so what that took is added. Through a descriptor,
 * since whoever may write to the folder could put a link to another file of ours there.
 */
static int set_mode(struct server *v)
{
	int fd = openat(v->folder, v->base, O_PATH | O_NOFOLLOW | O_CLOEXEC), r = 0;
	char number[16];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISSOCK(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return fail(-ENOENT, "shv_arena_serve: the socket '%s' was taken away while it was made", v->s->path);
	}
	v->dev = st.st_dev;
	v->ino = st.st_ino;
	snprintf(number, sizeof(number), "%d", fd);
	if ((st.st_mode & 07777) != v->s->mode && fchmodat(v->table, number, v->s->mode, 0))
		r = fail_call("shv_arena_serve: the mode of the socket", v->s->path);
	close(fd);
	return r;
}

/* Only while it is ours: somebody may have removed it, and another be serving there. */
static void remove_file(struct server *v)
{
	struct stat st;

	if (v->folder >= 0 && v->ino && !fstatat(v->folder, v->base, &st, AT_SYMLINK_NOFOLLOW) && st.st_dev == v->dev && st.st_ino == v->ino)
		(void)unlinkat(v->folder, v->base, 0);
}

static int bind_it(struct server *v)
{
	const struct shv_service *s = v->s;

	for (int i = 0;; i++) {
		int r;

		if (!bind(v->listener, (const struct sockaddr *)&s->address, (socklen_t)s->address_len))
			return 0;
		if (errno != EADDRINUSE)
			return fail_call("shv_arena_serve: making the socket", s->path);
		if (v->folder < 0 || i == 3)
			return fail(-EADDRINUSE, "shv_arena_serve: somebody serves at '%s': pass another path, or end that service", s->path);
		r = remove_dead(v);
		if (r)
			return r;
	}
}

static int bind_file(struct server *v)
{
	char name[sizeof(v->s->path) + 2] = ".";
	const char *slash = strrchr(v->s->path, '/');
	int lock, r;

	v->base = slash ? slash + 1 : v->s->path;
	if (slash)
		snprintf(name, sizeof(name), "%.*s", slash == v->s->path ? 1 : (int)(slash - v->s->path), v->s->path);
	v->folder = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (v->folder < 0)
		return fail_call("shv_arena_serve: opening the folder of the socket", v->s->path);
	lock = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a folder that we may not read cannot be locked either */
	r = lock >= 0 ? lock_folder(lock) : 0;
	if (!r)
		r = fchmod(v->listener, v->s->mode) ? fail_call("shv_arena_serve: the mode of the socket", NULL) : bind_it(v);
	if (!r)
		r = set_mode(v);
	if (!r && listen(v->listener, SOMAXCONN))
		r = fail_call("shv_arena_serve: listen", NULL);
	if (r)
		remove_file(v);
	if (lock >= 0)
		close(lock);
	return r;
}

static int open_listener(struct server *v)
{
	int r;

	v->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (v->listener < 0)
		return fail_call("shv_arena_serve: socket", NULL);
	if (v->s->path[0] != '@')
		return bind_file(v);
	r = bind_it(v);
	if (!r && listen(v->listener, SOMAXCONN))
		r = fail_call("shv_arena_serve: listen", NULL);
	return r;
}

/* ---- the threads -------------------------------------------------------------------------------------------------------------- */

/* Everything but the memfd goes, and what we open from now on only our own threads have. */
static int own_table(struct server *v)
{
	unsigned memfd = (unsigned)v->s->memfd;

	if (syscall(SYS_close_range, memfd + 1, ~0u, CLOSE_RANGE_UNSHARE))
		return fail(-ENOTSUP, "shv_arena_serve: this system has no close_range(), with which the serving thread gets descriptors of its own");
	(void)syscall(SYS_close_range, 0, memfd - 1, 0);
	for (int i = 0; i < 3; i++) /* so that what writes to standard error writes nowhere, and not to a client */
		if (open("/", O_PATH | O_CLOEXEC) != i)
			return fail_call("shv_arena_serve: opening '/'", NULL);
	v->table = open("/proc/thread-self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (v->table < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			return fail_call("shv_arena_serve: opening /proc/thread-self/fd", NULL);
		return fail(-EACCES, "shv_arena_serve: /proc/thread-self/fd cannot be opened: is /proc mounted?");
	}
	return 0;
}

static void *wait_for_ring(void *arg)
{
	const struct server *v = arg;
	const uint64_t one = 1;

	(void)word_wait(&v->s->ring, 0);
	(void)!write(v->event, &one, sizeof(one));
	return NULL;
}

static int start_thread(pthread_t *thread, void *(*body)(void *), void *arg)
{
	pthread_attr_t attr;
	int e;

	if (pthread_attr_init(&attr))
		return ENOMEM;
	e = pthread_attr_setstacksize(&attr, STACK_SIZE);
	e = e ? EINVAL : pthread_create(thread, &attr, body, arg);
	if (e == EINVAL) /* too small for the thread-local data of this program */
		e = pthread_create(thread, NULL, body, arg);
	pthread_attr_destroy(&attr);
	return e;
}

static int prepare(struct server *v)
{
	int r = own_table(v), e;

	if (r)
		return r;
	v->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->event < 0)
		return fail_call("shv_arena_serve: eventfd", NULL);
	r = open_listener(v);
	if (r)
		return r;
	e = start_thread(&v->bell, wait_for_ring, v);
	if (!e)
		return 0;
	remove_file(v);
	return fail(-EAGAIN, "shv_arena_serve: the system has no thread to spare (%s)", strerror(e));
}

static void *server_thread(void *arg)
{
	struct shv_service *s = arg;
	struct server v = { .s = s, .folder = -1, .listener = -1 };

	(void)pthread_setname_np(pthread_self(), "shv-serve");
	s->error = prepare(&v);
	if (s->error)
		snprintf(s->why, sizeof(s->why), "%s", shv_errmsg());
	else {
		(void)pthread_setname_np(v.bell, "shv-bell");
		word_set(&s->state, STATE_RUNS);
		serve(&v);
		pthread_join(v.bell, NULL);
		remove_file(&v); /* first: who comes between finds nothing, rather than a socket that refuses */
	}
	/* At once, not when the kernel gets around to it: who has joined us finds nobody listening. In what table if we have none of our own? */
	if (v.table > 0)
		(void)syscall(SYS_close_range, 0, ~0u, 0);
	if (s->error)
		word_set(&s->state, STATE_FAILED);
	return NULL;
}

/* ---- what programs call -------------------------------------------------------------------------------------------------------- */

static int check_list(const void *list, size_t n, const char *name)
{
	if (n > LIST_MOST || (n && !list))
		return fail(-EINVAL, "shv_arena_serve: opt->%s is %s and opt->%s_n is %zu: pass a list and how long it is, up to %u", name,
			    list ? "a list" : "NULL", name, n, LIST_MOST);
	return 0;
}

static int read_options(const struct shv_serve_options *opt, struct shv_serve_options *o)
{
	int r;

	*o = (struct shv_serve_options){ 0 };
	if (!opt)
		return 0;
	if (opt->size && opt->size < offsetof(struct shv_serve_options, flags) + sizeof(o->flags))
		return fail(-EINVAL, "shv_arena_serve: opt->size is %zu: set it to sizeof, or 0", opt->size);
	*o = *opt;
	if (o->flags & ~SHV_RDONLY)
		return fail(-EINVAL, "shv_arena_serve: opt->flags is %#x: only SHV_RDONLY is for serving", o->flags);
	if (o->mode & ~(mode_t)0777)
		return fail(-EINVAL, "shv_arena_serve: opt->mode is %#o: pass permissions, up to 0777", (unsigned)o->mode);
	r = check_list(o->users, o->users_n, "users");
	r = r ? r : check_list(o->groups, o->groups_n, "groups");
	r = r ? r : check_list(o->read_users, o->read_users_n, "read_users");
	return r ? r : check_list(o->read_groups, o->read_groups_n, "read_groups");
}

static struct ids copy_list(uint32_t **at, const uint32_t *list, size_t n)
{
	struct ids l = { *at, n };

	if (n)
		memcpy(*at, list, n * sizeof(*list));
	*at += n;
	return l;
}

static struct shv_service *service_make(const struct shv_serve_options *o, size_t *size)
{
	size_t n = o->users_n + o->groups_n + o->read_users_n + o->read_groups_n;
	struct shv_service *s;
	uint32_t *at;

	*size = (sizeof(*s) + n * sizeof(uint32_t) + SHV_PAGE_SIZE - 1) & ~(SHV_PAGE_SIZE - 1);
	s = FAIL_POINT("mmap-serve") ? NULL : shv_wiped_alloc(*size);
	if (!s)
		return NULL;
	at = (uint32_t *)(s + 1);
	s->users = copy_list(&at, o->users, o->users_n);
	s->groups = copy_list(&at, o->groups, o->groups_n);
	s->read_users = copy_list(&at, o->read_users, o->read_users_n);
	s->read_groups = copy_list(&at, o->read_groups, o->read_groups_n);
	s->mode = o->mode ? o->mode : n ? 0666 : 0600;
	s->only_read = o->flags & SHV_RDONLY;
	s->owner = geteuid();
	s->mine = 1;
	return s;
}

/* For the thread: not below 3, where its stand-ins for the standard ones go. */
static int own_memfd(shv_arena *a)
{
	int fd = memfd_fd(a->m), own, high;
	char path[40];

	if (fd < 0)
		return fail_by(fd, "shv_arena_serve");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = FAIL_POINT("open-serve") ? (errno = EMFILE, -1) : open(path, O_RDWR | O_CLOEXEC);
	if (own < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return fail_call("shv_arena_serve: reopening the arena's memfd", NULL);
	if (own < 0)
		return fail(-EACCES, "shv_arena_serve: the arena's memfd cannot be reopened through /proc/self/fd: only a process of its user can serve");
	if (own > 2)
		return own;
	high = fcntl(own, F_DUPFD_CLOEXEC, 3);
	if (high < 0)
		fail_call("shv_arena_serve: dup of the descriptor", NULL);
	close(own);
	return high < 0 ? -EMFILE : high;
}

static int service_start(struct shv_service *s)
{
	sigset_t all, before;
	int e;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the threads have it from us */
	e = FAIL_POINT("pthread-serve") ? EAGAIN : start_thread(&s->thread, server_thread, s);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (e)
		return fail(e == ENOMEM ? -ENOMEM : -EAGAIN, "shv_arena_serve: the system has no thread to spare (%s)", strerror(e));
	if (word_wait(&s->state, STATE_STARTING) == STATE_RUNS)
		return 0;
	pthread_join(s->thread, NULL);
	return fail(s->error, "%s", s->why);
}

/* What a parent's service is to a child: some pages of zeros. */
static void forget_inherited(struct shv_arena *a)
{
	if (a->service && !a->service->mine) {
		munmap(a->service, a->service_size);
		a->service = NULL;
	}
}

static int serve_locked(shv_arena *a, const char *path, const struct shv_serve_options *o)
{
	struct shv_service *s;
	struct sockaddr_un to;
	size_t size;
	int r, len = socket_address(path, &to, "shv_arena_serve");

	if (len < 0)
		return len;
	if (path[0] != '@' && path[strlen(path) - 1] == '/')
		return fail(-EINVAL, "shv_arena_serve: path '%s' ends with '/': add the socket's name", path);
	forget_inherited(a);
	if (a->service)
		return fail(-EBUSY, "shv_arena_serve: arena '%s' is served already, at '%s': shv_arena_unserve() ends that", a->name, a->service->path);
	s = service_make(o, &size);
	if (!s)
		return fail(-ENOMEM, "shv_arena_serve: no memory");
	s->address = to;
	s->address_len = len;
	memcpy(s->path, path, strlen(path) + 1);
	r = s->memfd = own_memfd(a);
	if (r >= 0) {
		int memfd = s->memfd;
		r = service_start(s);
		close(memfd);
	}
	if (r) {
		munmap(s, size);
		return r;
	}
	a->service = s;
	a->service_size = size;
	return 0;
}

SHV_API int shv_arena_serve(shv_arena *a, const char *path, const struct shv_serve_options *opt)
{
	struct shv_serve_options o;
	int r = arena_valid(a, "shv_arena_serve", true);

	r = r ? r : read_options(opt, &o);
	if (r)
		return r;
	plock_acquire(&a->m->local->serve_lock);
	r = serve_locked(a, path, &o);
	plock_release(&a->m->local->serve_lock);
	return r;
}

bool serve_end(struct shv_arena *a)
{
	struct shv_service *s;
	size_t size;

	if (!a->m)
		return false;
	plock_acquire(&a->m->local->serve_lock);
	forget_inherited(a);
	s = a->service;
	size = a->service_size;
	a->service = NULL;
	plock_release(&a->m->local->serve_lock);
	if (!s)
		return false;
	word_set(&s->ring, 1);
	pthread_join(s->thread, NULL);
	munmap(s, size);
	return true;
}

SHV_API int shv_arena_unserve(shv_arena *a)
{
	int r = arena_valid(a, "shv_arena_unserve", false);

	if (r)
		return r;
	return serve_end(a) ? 0 : fail(-ENOENT, "shv_arena_unserve: no service of arena '%s' runs in this process", a->name);
}
