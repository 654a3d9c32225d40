/* SPDX-License-Identifier: MIT */
/* Which arena is meant; see target.h. */
#include "config.h"

#include "tools/target.h"

#include "tools/core.h"
#include "tools/shvdump.h"
#include "tools/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINK_PREFIX "/memfd:shv:"
#define LINK_SUFFIX " (deleted)"

/* ---- looking around -------------------------------------------------------------------------------------- */

/* The arena's name if a link is that of one. */
static bool arena_link(const char *link, char *name, size_t size)
{
	size_t len = strlen(link);

	if (strncmp(link, LINK_PREFIX, strlen(LINK_PREFIX)) != 0)
		return false;
	if (len > strlen(LINK_SUFFIX) && !strcmp(link + len - strlen(LINK_SUFFIX), LINK_SUFFIX))
		len -= strlen(LINK_SUFFIX);
	len -= strlen(LINK_PREFIX);
	snprintf(name, size, "%.*s", (int)len, link + strlen(LINK_PREFIX));
	return true;
}

static struct found *entry_of(struct found_list *list, const struct stat *st, const char *name, int fd)
{
	struct found *v;

	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].dev == st->st_dev && list->v[i].ino == st->st_ino)
			return &list->v[i];
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		v = realloc(list->v, room * sizeof(*v));
		if (!v)
			return NULL;
		list->v = v;
		list->room = room;
	}
	v = &list->v[list->n++];
	*v = (struct found){ .dev = st->st_dev, .ino = st->st_ino, .fd = fd };
	snprintf(v->name, sizeof(v->name), "%s", name);
	return v;
}

static int add_pid(struct found *f, pid_t pid)
{
	if (f->n && f->pids[f->n - 1] == pid)
		return 0;
	if (f->n == f->room) {
		size_t room = f->room ? f->room * 2 : 8;
		pid_t *pids = realloc(f->pids, room * sizeof(*pids));
		if (!pids)
			return -ENOMEM;
		f->pids = pids;
		f->room = room;
	}
	f->pids[f->n++] = pid;
	return 0;
}

/* One descriptor of a process: /proc/PID/fd/N, which `dir` is the folder of. */
static int look_at_fd(struct found_list *list, pid_t pid, int dir, const char *number)
{
	char link[PATH_MAX], name[256];
	struct found *f;
	struct stat st;
	ssize_t n = readlinkat(dir, number, link, sizeof(link) - 1);

	if (n < 0)
		return 0; /* closed meanwhile */
	link[n] = 0;
	if (!arena_link(link, name, sizeof(name)) || fstatat(dir, number, &st, 0))
		return 0;
	f = entry_of(list, &st, name, atoi(number));
	return f ? add_pid(f, pid) : -ENOMEM;
}

static int look_at_process(struct found_list *list, pid_t pid)
{
	char path[40];
	struct dirent *d;
	DIR *dir;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0; /* not ours to look at, or gone */
	while (!r && (d = readdir(dir)))
		if (isdigit((unsigned char)d->d_name[0]))
			r = look_at_fd(list, pid, dirfd(dir), d->d_name);
	closedir(dir);
	return r;
}

int target_scan(struct found_list *list)
{
	struct dirent *d;
	DIR *dir = opendir("/proc");
	int r = 0;

	*list = (struct found_list){ 0 };
	if (!dir)
		return -errno;
	while (!r && (d = readdir(dir)))
		if (isdigit((unsigned char)d->d_name[0]) && atoi(d->d_name) != getpid())
			r = look_at_process(list, atoi(d->d_name));
	closedir(dir);
	if (r)
		target_scan_free(list);
	return r;
}

void target_scan_free(struct found_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i].pids);
	free(list->v);
	*list = (struct found_list){ 0 };
}

/* ---- attaching ------------------------------------------------------------------------------------------- */

static shv_arena *attach_path(const char *path, unsigned flags)
{
	int fd = open(path, (flags & SHV_RDONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	shv_arena *a;

	if (fd < 0)
		return NULL;
	a = shv_arena_attach(fd, flags);
	close(fd);
	return a;
}

shv_arena *target_attach_found(const struct found *f, unsigned flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)f->pids[0], f->fd);
	return attach_path(path, flags);
}

static int attached(shv_arena *a, const char *target, shv_arena **out)
{
	if (!a)
		return complain(target, -errno);
	*out = a;
	return 0;
}

/* Nothing was attached to: the file is of the past, and cannot be written. */
static int must_be_live(const char *path, unsigned flags)
{
	if (flags & SHV_RDONLY)
		return 0;
	fputs("shvdump: ", stderr);
	text_put(stderr, path);
	fputs(": this needs a live arena, and that is a file: 'shvdump restore' makes one of a snapshot\n", stderr);
	return STATUS_FAILED;
}

/*
 * A descriptor of a live arena (/proc/PID/fd/N), a core file, or a snapshot. A file that cannot be opened is not the library's
 * failure, so it has no sentence for it. name: of the arena in a core file; NULL: the only one.
 */
static int attach_file(const char *path, const char *name, unsigned flags, shv_arena **a)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), seals, status;

	if (fd < 0) {
		fputs("shvdump: ", stderr);
		text_put(stderr, path);
		fprintf(stderr, ": %s\n", strerror(errno));
		return STATUS_FAILED;
	}
	seals = fcntl(fd, F_GET_SEALS);
	if (seals >= 0 && seals & F_SEAL_SHRINK)
		status = attached(attach_path(path, flags), path, a);
	else if (must_be_live(path, flags))
		status = STATUS_FAILED;
	else if (core_is_one(fd))
		status = core_open(fd, path, name, a);
	else
		status = attached(shv_arena_open(path, 0), path, a);
	close(fd);
	return status;
}

/* FILE, or FILE:NAME of a core file with several arenas. */
static int attach_file_or_part(const char *target, unsigned flags, shv_arena **a)
{
	const char *colon = strrchr(target, ':');
	char path[PATH_MAX];

	if (colon && access(target, F_OK) && (size_t)(colon - target) < sizeof(path)) {
		snprintf(path, sizeof(path), "%.*s", (int)(colon - target), target);
		if (!access(path, F_OK))
			return attach_file(path, colon + 1, flags, a);
	}
	return attach_file(target, NULL, flags, a);
}

/* All digits: a number. False: none, or one that fits no int. */
static bool whole_number(const char *s, size_t len, int *n)
{
	long value = 0;

	if (!len || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
		value = value * 10 + (s[i] - '0');
	}
	*n = (int)value;
	return value <= INT_MAX;
}

static int attach_process(const char *target, pid_t pid, const char *name, unsigned flags, shv_arena **a)
{
	return attached(shv_arena_attach_pid(pid, name, flags), target, a);
}

/* ---- one of those that there are ------------------------------------------------------------------------- */

static void choose(const struct found_list *list, const char *name)
{
	fprintf(stderr, "shvdump: there are several arenas%s; say which:\n", name ? " of that name" : "");
	for (size_t i = 0; i < list->n; i++) {
		if (name && strcmp(list->v[i].name, name) != 0)
			continue;
		fprintf(stderr, "  %d:", (int)list->v[i].pids[0]);
		text_put(stderr, list->v[i].name);
		fputc('\n', stderr);
	}
}

static int none(const char *name)
{
	if (name)
		fprintf(stderr, "shvdump: no command, and no arena that this user may see, is named '%s': "
				"see 'shvdump list' and 'shvdump --help'\n", name);
	else
		fputs("shvdump: there is no arena on this machine that this user may see\n", stderr);
	return STATUS_FAILED;
}

static int attach_only(const char *name, unsigned flags, shv_arena **a)
{
	const struct found *only = NULL;
	struct found_list list;
	size_t n = 0;
	int r = target_scan(&list);

	if (r) {
		fprintf(stderr, "shvdump: /proc: %s\n", strerror(-r));
		return STATUS_FAILED;
	}
	for (size_t i = 0; i < list.n; i++)
		if (!name || !strcmp(list.v[i].name, name)) {
			only = &list.v[i];
			n++;
		}
	if (n == 1)
		r = attached(target_attach_found(only, flags), only->name, a);
	else if (n)
		choose(&list, name);
	else if (name && !access(name, F_OK))
		r = attach_file_or_part(name, flags, a);
	else
		none(name);
	target_scan_free(&list);
	return r ? r : *a ? 0 : STATUS_FAILED;
}

int target_attach(const char *target, unsigned flags, shv_arena **a)
{
	const char *colon;
	int n;

	*a = NULL;
	if (!target)
		return attach_only(NULL, flags, a);
	if (!strncmp(target, "unix:", 5))
		return attached(shv_arena_connect(target + 5, flags), target, a);
	if (!strncmp(target, "path:", 5))
		return attach_file_or_part(target + 5, flags, a);
	if (strchr(target, '/'))
		return attach_file_or_part(target, flags, a);
	if (!strncmp(target, "fd:", 3) && whole_number(target + 3, strlen(target + 3), &n))
		return attached(shv_arena_attach(n, flags), target, a);
	colon = strchr(target, ':');
	if (colon && whole_number(target, (size_t)(colon - target), &n))
		return attach_process(target, n, colon + 1, flags, a);
	if (whole_number(target, strlen(target), &n))
		return attach_process(target, n, NULL, flags, a);
	return attach_only(target, flags, a);
}
