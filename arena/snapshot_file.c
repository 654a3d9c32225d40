/* SPDX-License-Identifier: MIT */
/*
 * The file of a snapshot: the bytes of the arena at the same offsets, sparse.
 *
 * Writing: a file without a name (O_TMPFILE) in the folder where it is to be, so that nothing stays if we are killed; where the
 * file system has no such thing, one with a name of its own. When it is whole and on the disk it is linked under that name and
 * renamed over its place: who opens the path sees the old file or the new one, never a part.
 *
 * Reading: never through a mapping of the file, which somebody may cut short (SIGBUS) or change. Its data goes into a memfd; holes
 * stay holes.
 */
#include "config.h"

#include "arena/snapshot.h"

#include <fcntl.h>
#include <limits.h>
#include <shv/inspect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)256 << 10)

/* ---- writing ----------------------------------------------------------------------------------------- */

/* A name that nobody else has. */
static int temporary_name(struct snapshot_file *f)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return fail_call("getrandom", NULL);
	snprintf(f->temporary, sizeof(f->temporary), ".shv-%016llx", (unsigned long long)random);
	return 0;
}

static int open_folder(struct snapshot_file *f, char *path)
{
	char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	struct stat st;

	if (!*base || !strcmp(base, ".") || !strcmp(base, ".."))
		return fail(-EISDIR, "path '%.200s' is that of a folder: add the file's name", path);
	if (strlen(base) >= sizeof(f->base))
		return fail(-ENAMETOOLONG, "path: the file's name is longer than 255 bytes");
	memcpy(f->base, base, strlen(base) + 1);
	if (slash == path)
		slash++;
	if (slash)
		*slash = 0;
	f->dir = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir < 0)
		return fail_call("opening the folder that path names", NULL);
	if (!fstatat(f->dir, f->base, &st, AT_SYMLINK_NOFOLLOW)) {
		if (S_ISDIR(st.st_mode))
			return fail(-EISDIR, "path '%.200s' is that of a folder: add the file's name", f->base);
		if (!S_ISREG(st.st_mode))
			return fail(-EEXIST, "path '%.200s' is there and is no ordinary file, which alone is replaced", f->base);
	}
	return 0;
}

static int open_file(struct snapshot_file *f)
{
	f->fd = FAIL_POINT("snapshot-tmpfile") ? (errno = EOPNOTSUPP, -1) : openat(f->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
		return fail_call("making a file in the folder that path names", NULL);
	for (int i = 0; i < 100; i++) {
		int r = temporary_name(f);
		if (r)
			return r;
		f->fd = openat(f->dir, f->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
		if (f->fd >= 0)
			return 0;
		f->temporary[0] = 0;
		if (errno != EEXIST)
			break;
	}
	return fail_call("making a file in the folder that path names", NULL);
}

int snapshot_file_begin(struct snapshot_file *f, const char *path)
{
	char *copy;
	int r;

	*f = (struct snapshot_file){ .fd = -1, .dir = -1 };
	if (!path || !*path)
		return fail(-EINVAL, "path is %s: pass the name of the file to write", path ? "empty" : "NULL");
	if (strlen(path) >= PATH_MAX)
		return fail(-ENAMETOOLONG, "path is longer than %d bytes", PATH_MAX - 1);
	copy = FAIL_POINT("malloc-snapshot-path") ? NULL : strdup(path);
	if (!copy)
		return fail(-ENOMEM, "no memory");
	r = open_folder(f, copy);
	free(copy);
	if (!r)
		r = open_file(f);
	if (r)
		snapshot_file_abort(f);
	return r;
}

/* Beyond RLIMIT_FSIZE a write is a signal, not an error. */
static int write_allowed(uint64_t end)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_FSIZE, &r) || r.rlim_cur == RLIM_INFINITY || end <= r.rlim_cur)
		return 0;
	return fail(-EFBIG, "the snapshot has %llu bytes (most of them holes), but RLIMIT_FSIZE allows %llu: raise it (ulimit -f)",
		    (unsigned long long)end, (unsigned long long)r.rlim_cur);
}

static int write_all(int fd, uint64_t off, const char *p, size_t n)
{
	while (n) {
		ssize_t done = FAIL_POINT("snapshot-write") ? (errno = ENOSPC, -1) : pwrite(fd, p, n, (off_t)off);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			if (!done)
				errno = EIO;
			return fail_call("writing the snapshot", NULL);
		}
		p += done;
		off += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

static bool all_zero(const char *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

/* Writes what is not zero, in runs of whole pages but for the ends. */
static int put_runs(int fd, uint64_t off, const char *p, size_t n)
{
	size_t from = 0, at = 0;
	int r = 0;

	while (at < n && !r) {
		size_t part = SHV_PAGE_SIZE - (off + at) % SHV_PAGE_SIZE;

		if (part > n - at)
			part = n - at;
		if (all_zero(p + at, part)) {
			r = write_all(fd, off + from, p + from, at - from);
			from = at + part;
		}
		at += part;
	}
	return r ? r : write_all(fd, off + from, p + from, at - from);
}

int snapshot_file_put(struct snapshot_file *f, uint64_t off, const void *buf, size_t n)
{
	int r = write_allowed(off + n);

	return r ? r : put_runs(f->fd, off, buf, n);
}

int snapshot_file_word(struct snapshot_file *f, uint64_t off, uint64_t word)
{
	return write_all(f->fd, off, (const char *)&word, sizeof(word));
}

int snapshot_file_clear(struct snapshot_file *f, uint64_t off, uint64_t n)
{
	static const char zeros[SHV_PAGE_SIZE];
	int r = 0;

	if (!fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n))
		return 0;
	for (uint64_t at = 0; at < n && !r; at += sizeof(zeros))
		r = write_all(f->fd, off + at, zeros, n - at < sizeof(zeros) ? (size_t)(n - at) : sizeof(zeros));
	return r;
}

/* A name for a file that has none. */
static int link_file(struct snapshot_file *f)
{
	char link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
	for (int i = 0; i < 100; i++) {
		int r = temporary_name(f);
		if (r)
			return r;
		if (!linkat(AT_FDCWD, link, f->dir, f->temporary, AT_SYMLINK_FOLLOW))
			return 0;
		f->temporary[0] = 0;
		if (errno != EEXIST)
			break;
	}
	return fail_call("giving the snapshot a name", "is /proc mounted?");
}

int snapshot_file_commit(struct snapshot_file *f, uint64_t size)
{
	int r = write_allowed(size);

	if (r)
		return r;
	if (ftruncate(f->fd, (off_t)size) || (FAIL_POINT("snapshot-fsync") && (errno = EIO)) || fsync(f->fd))
		return fail_call("writing the snapshot to the disk", NULL);
	if (!f->temporary[0])
		r = link_file(f);
	if (r)
		return r;
	if (renameat(f->dir, f->temporary, f->dir, f->base))
		return fail_call("renaming the snapshot", NULL);
	f->temporary[0] = 0;
	(void)fsync(f->dir); /* not every file system can; the file itself is safe */
	snapshot_file_abort(f);
	return 0;
}

void snapshot_file_abort(struct snapshot_file *f)
{
	if (f->temporary[0])
		(void)unlinkat(f->dir, f->temporary, 0);
	if (f->fd >= 0)
		close(f->fd);
	if (f->dir >= 0)
		close(f->dir);
	*f = (struct snapshot_file){ .fd = -1, .dir = -1 };
}

/* ---- reading ----------------------------------------------------------------------------------------- */

/* The end of the data at `off`, and *off moved to where it begins; 0 = no more. Without SEEK_DATA all is data. */
static uint64_t next_data(int fd, uint64_t *off, uint64_t size)
{
	off_t data = lseek(fd, (off_t)*off, SEEK_DATA), hole;

	if (data < 0)
		return errno == ENXIO || *off >= size ? 0 : size;
	hole = lseek(fd, data, SEEK_HOLE);
	*off = (uint64_t)data;
	return hole < data || (uint64_t)hole > size ? size : (uint64_t)hole;
}

static int copy_run(int from, int to, uint64_t off, uint64_t end, char *piece)
{
	while (off < end) {
		size_t want = end - off < PIECE ? (size_t)(end - off) : PIECE;
		ssize_t n = pread(from, piece, want, (off_t)off);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_call("reading the snapshot", NULL);
		if (n == 0)
			return fail(-EBADMSG, "the file became shorter while it was read");
		r = put_runs(to, off, piece, (size_t)n);
		if (r)
			return r;
		off += (uint64_t)n;
	}
	return 0;
}

static int copy_data(int from, int to, uint64_t size)
{
	char *piece = FAIL_POINT("malloc-snapshot-piece") ? NULL : malloc(PIECE);
	uint64_t off = 0, end;
	int r = piece ? 0 : fail(-ENOMEM, "no memory");

	while (!r && off < size && (end = next_data(from, &off, size)) > off) {
		r = copy_run(from, to, off, end, piece);
		off = end;
	}
	free(piece);
	return r;
}

/* What the file says of itself, before anything is made for it. */
static int look_at_file(int fd, const char *path, struct shv_super_const *c, uint64_t *size)
{
	struct shv_geo g;
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return fail_call("fstat of the snapshot", NULL);
	if (S_ISDIR(st.st_mode))
		return fail(-EISDIR, "'%.200s' is a folder", path);
	if (!S_ISREG(st.st_mode))
		return fail(-EBADMSG, "'%.200s' is no ordinary file", path);
	if ((uint64_t)st.st_size < sizeof(struct shv_super_shm) || pread(fd, c, sizeof(*c), 0) != (ssize_t)sizeof(*c))
		return fail(-EBADMSG, "'%.200s' has %lld bytes, too few for a snapshot", path, (long long)st.st_size);
	*size = (uint64_t)st.st_size;
	r = geo_check(&g, c, *size);
	if (r)
		return r;
	if (*size > g.capacity)
		return fail(-EUCLEAN, "'%.200s' has more bytes than an arena of %llu bytes of capacity can have", path,
			    (unsigned long long)g.capacity);
	return 0;
}

/* The arena's bytes are its own now: it may not be mistaken for the one that the snapshot was made of. */
static int make_new(int fd, struct shv_super_const *c)
{
	struct shv_super_const fresh = { 0 };
	const uint64_t none[3] = { 0, 0, 0 };
	struct shv_geo g;
	int r = geo_make(&g, &fresh, c->capacity, c->max_processes);

	if (r)
		return r;
	memcpy(fresh.name, c->name, sizeof(fresh.name));
	fresh.flags = c->flags;
	geo_seal(&fresh);
	r = write_all(fd, 0, (const char *)&fresh, sizeof(fresh));
	return r ? r : write_all(fd, offsetof(struct shv_super_shm, snapshot_taken), (const char *)none, sizeof(none));
}

/* Writers trust what is in an arena, so nothing may be wrong with it. */
static int must_be_sound(int fd)
{
	shv_arena *a = shv_arena_attach(fd, SHV_RDONLY);
	int n;

	if (!a)
		return -errno;
	a->frozen = true;
	n = shv_check(a, NULL, NULL);
	(void)shv_arena_detach(a);
	return n <= 0 ? n : fail(-EUCLEAN, "the snapshot is damaged (%d findings, which shv_check() tells): "
					   "it can be opened read-only, not restored", n);
}

static shv_arena *open_copy(int from, const char *path, unsigned flags, int *error)
{
	struct shv_super_const c;
	shv_arena *a = NULL;
	char label[80];
	uint64_t size = 0;
	int fd;

	*error = look_at_file(from, path, &c, &size);
	if (*error)
		return NULL;
	c.name[sizeof(c.name) - 1] = 0;
	/* One that is only looked at is no arena that others should find. */
	snprintf(label, sizeof(label), "%s%s", flags & SHV_RESTORE ? "shv:" : "shv-snapshot:", c.name);
	fd = memfd_make_labelled(label, size);
	if (fd < 0) {
		*error = fd;
		return NULL;
	}
	*error = copy_data(from, fd, size);
	if (!*error && flags & SHV_RESTORE)
		*error = must_be_sound(fd);
	if (!*error && flags & SHV_RESTORE)
		*error = make_new(fd, &c);
	if (!*error) {
		a = shv_arena_attach(fd, flags & SHV_RESTORE ? flags & ~SHV_RESTORE : flags | SHV_RDONLY);
		*error = a ? 0 : -errno;
	}
	if (a && !(flags & SHV_RESTORE))
		a->frozen = true;
	close(fd);
	return a;
}

SHV_API shv_arena *shv_arena_open(const char *path, unsigned flags)
{
	shv_arena *a;
	int fd, error = 0;

	if (!path || !*path)
		return fail_null(-EINVAL, "shv_arena_open: path is %s: pass that of a snapshot", path ? "empty" : "NULL");
	if (flags & ~(SHV_RDONLY | SHV_RESTORE | SHV_POPULATE | SHV_DUMP) || (flags & SHV_RDONLY && flags & SHV_RESTORE))
		return fail_null(-EINVAL, "shv_arena_open: flags %#x are not for opening", flags);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return null_with(fail_by(fail_call("opening the snapshot", NULL), "shv_arena_open"));
	a = open_copy(fd, path, flags, &error);
	close(fd);
	return a ? a : null_with(fail_by(error, "shv_arena_open"));
}
