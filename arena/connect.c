/* SPDX-License-Identifier: MIT */
/*
 * The client's side of shv_arena_serve(): ask for descriptors, and attach with them.
 *
 * Whoever listens there is a stranger until the descriptors have been checked: every wait has an end, at most SHV_SERVE_FDS descriptors are
 * taken, and what they are is for attach() to find out.
 */
#include "arena/arena_private.h"
#include "arena/serve.h"

#include <shv/serve.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 3000

int socket_address(const char *path, struct sockaddr_un *out, const char *who)
{
	size_t n;

	if (!path || !*path || !strcmp(path, "@"))
		return fail(-EINVAL, "%s: path is %s: pass that of a socket, or '@' and a name", who, path ? "empty" : "NULL");
	n = strlen(path);
	if (n >= sizeof(out->sun_path))
		return fail(-ENAMETOOLONG, "%s: path has %zu bytes: a socket's address has room for %zu", who, n, sizeof(out->sun_path) - 1);
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	memcpy(out->sun_path, path, n);
	if (*path != '@')
		return (int)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	out->sun_path[0] = 0;
	return (int)(offsetof(struct sockaddr_un, sun_path) + n);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What is left of our patience becomes the socket's. False: none. */
static bool wait_until(int fd, int64_t deadline)
{
	int64_t left = deadline - now_ms();
	struct timeval t = { .tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 };

	if (left <= 0)
		return false;
	return !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

static int too_late(const char *path)
{
	return fail(-ETIMEDOUT, "shv_arena_connect: the server at '%s' did not answer within %d seconds", path, PATIENCE_MS / 1000);
}

/* What the system says of a socket, in the words of the header. */
static int refused(const char *path, int e)
{
	switch (e) {
	case EAGAIN:
		return too_late(path);
	case EPIPE:
	case ECONNRESET:
		return fail(-ECONNRESET, "shv_arena_connect: the server at '%s' went away before it had answered", path);
	case EPROTOTYPE:
		return fail(-EPROTO, "shv_arena_connect: '%s' is another program's socket, not that of an arena", path);
	case ECONNREFUSED:
		return fail(-ECONNREFUSED, "shv_arena_connect: nobody serves an arena at '%s' now", path);
	default:
		errno = e;
		return fail_call("shv_arena_connect: connecting to the server's socket", path);
	}
}

static int call(int fd, const char *path, const struct sockaddr_un *to, int len, int64_t deadline)
{
	for (;;) {
		if (!wait_until(fd, deadline))
			return too_late(path);
		if (!connect(fd, (const struct sockaddr *)to, (socklen_t)len))
			return 0;
		if (errno != EINTR)
			return refused(path, errno);
	}
}

static int say(int fd, const char *path, const struct shv_ask *ask, int64_t deadline)
{
	for (;;) {
		if (!wait_until(fd, deadline))
			return too_late(path);
		if (send(fd, ask, sizeof(*ask), MSG_NOSIGNAL) == (ssize_t)sizeof(*ask))
			return 0;
		if (errno != EINTR)
			return refused(path, errno);
	}
}

/* The descriptors in a message: how many; those past `fds` were not taken by the kernel. */
static unsigned take_fds(struct msghdr *m, int *fds)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i + sizeof(int) <= bytes; i += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i, sizeof(fd));
			if (n < SHV_SERVE_FDS)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

static int judge(const char *path, const struct shv_answer *a, ssize_t size, unsigned got, bool cut, bool rdonly)
{
	if (size != (ssize_t)sizeof(*a) || a->magic != SHV_ANSWER_MAGIC)
		return fail(-EPROTO, "shv_arena_connect: what listens at '%s' is no server of an arena", path);
	if (a->version != SHV_SERVE_VERSION)
		return fail(-EPROTONOSUPPORT, "shv_arena_connect: the server at '%s' speaks version %u of the protocol, this library %u", path,
			    a->version, SHV_SERVE_VERSION);
	switch (a->error) {
	case 0:
		break;
	case EACCES:
		return fail(-EACCES, "shv_arena_connect: the server at '%s' does not let this user %s its arena", path,
			    rdonly ? "read" : "write to");
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return fail(-a->error, "shv_arena_connect: the server at '%s' has no descriptor or memory left for another client", path);
	default:
		return fail(-EPROTO, "shv_arena_connect: the server at '%s' did not understand the request (error %d)", path, a->error);
	}
	if (a->fds != (rdonly ? 1u : 2u))
		return fail(-EPROTO, "shv_arena_connect: the server at '%s' sent %u descriptors", path, a->fds);
	if (got < a->fds) /* the kernel has dropped what had no room in our table */
		return fail(cut ? -EMFILE : -EPROTO, "shv_arena_connect: %u of %u descriptors arrived: %s", got, a->fds,
			    cut ? "this process has no more to spare" : "the server left some out");
	return 0;
}

static int hear(int fd, const char *path, bool rdonly, int64_t deadline, int *fds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(SHV_SERVE_FDS * sizeof(int))];
	} control;
	struct shv_answer answer = { 0 };
	unsigned got;
	ssize_t n;
	int r;

	for (;;) {
		struct iovec io = { .iov_base = &answer, .iov_len = sizeof(answer) };
		struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

		if (!wait_until(fd, deadline))
			return too_late(path);
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return refused(path, n ? errno : ECONNRESET);
		got = take_fds(&m, fds);
		r = judge(path, &answer, m.msg_flags & MSG_TRUNC ? -1 : n, got, m.msg_flags & MSG_CTRUNC, rdonly);
		break;
	}
	if (r || rdonly)
		for (unsigned i = r ? 0 : 1; i < got; i++) {
			close(fds[i]);
			fds[i] = -1;
		}
	return r;
}

int serve_ask(const char *path, bool rdonly, int *fds)
{
	const struct shv_ask ask = { .magic = SHV_ASK_MAGIC,
				     .version = SHV_SERVE_VERSION,
				     .wish = rdonly ? SHV_WISH_READ : SHV_WISH_WRITE };
	int64_t deadline = now_ms() + PATIENCE_MS;
	struct sockaddr_un to;
	int fd, r, len = socket_address(path, &to, "shv_arena_connect");

	fds[0] = fds[1] = -1;
	if (len < 0)
		return len;
	fd = FAIL_POINT("connect-socket") ? (errno = EMFILE, -1) : socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_call("shv_arena_connect: socket", NULL);
	r = call(fd, path, &to, len, deadline);
	if (!r)
		r = say(fd, path, &ask, deadline);
	if (!r)
		r = hear(fd, path, rdonly, deadline, fds);
	close(fd);
	return r;
}

/* Where children ask again: the program may have changed its folder by then. Empty if that cannot be said. */
static void absolute(const char *path, char *out, size_t size)
{
	char *cwd = NULL;

	out[0] = 0;
	if (*path == '@' || *path == '/')
		memcpy(out, path, strlen(path) + 1);
	else if ((cwd = getcwd(NULL, 0)) && strlen(cwd) + 1 + strlen(path) < size) {
		size_t n = strlen(cwd);

		memcpy(out, cwd, n);
		out[n] = '/';
		memcpy(out + n + 1, path, strlen(path) + 1);
	}
	free(cwd);
}

SHV_API shv_arena *shv_arena_connect(const char *path, unsigned flags)
{
	bool rdonly = flags & SHV_RDONLY;
	char server[sizeof(((struct shv_member *)0)->server)];
	int fds[SHV_SERVE_FDS], r, e;
	shv_arena *a;

	if (flags & ~(SHV_RDONLY | SHV_POPULATE | SHV_DUMP))
		return fail_null(-EINVAL, "shv_arena_connect: flags %#x are not for attaching", flags);
	r = serve_ask(path, rdonly, fds);
	if (r)
		return null_with(r);
	absolute(path, server, sizeof(server));
	a = rdonly ? arena_attach_with(fds[0], flags, NULL, NULL) : arena_attach_with(fds[1], flags, &fds[0], server);
	e = a ? 0 : fail_by(-errno, "shv_arena_connect");
	for (unsigned i = 0; i < SHV_SERVE_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return a ? a : null_with(e);
}
