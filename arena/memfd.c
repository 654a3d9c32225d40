/* SPDX-License-Identifier: MIT */
/*
 * The file: made, sealed, checked, grown, punched; and the geometry of what is in it.
 *
 * Seals: SHRINK, so that nobody who maps it can be hit by SIGBUS, and SEAL, since any writer could otherwise add
 * FUTURE_WRITE and stop all later attaches. Mode 0600 at once: the default is 0777, and whoever gets a read-only
 * descriptor could reopen it for writing through /proc.
 */
#include "arena/arena_private.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

/* Growing past RLIMIT_FSIZE is a signal, not an error, so it is looked at first. */
static int size_allowed(uint64_t size)
{
	struct rlimit r;

	if (!getrlimit(RLIMIT_FSIZE, &r) && r.rlim_cur != RLIM_INFINITY && size > r.rlim_cur)
		return fail(-ENOSPC, "arena: the file would grow to %llu bytes, but RLIMIT_FSIZE allows %llu: raise it (ulimit -f)",
			    (unsigned long long)size, (unsigned long long)r.rlim_cur);
	return 0;
}

int memfd_make(const char *name, size_t size)
{
	char label[80];

	snprintf(label, sizeof(label), "shv:%s", name);
	return memfd_make_labelled(label, size);
}

int memfd_make_labelled(const char *label, size_t size)
{
	int fd, r;

	r = size_allowed(size);
	if (r)
		return r;
	if (FAIL_POINT("memfd_create")) {
		errno = EMFILE;
		return fail_call("memfd_create", NULL);
	}
	fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* a kernel before 6.3 */
		fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fail_call("memfd_create", "the arena lives in a memfd");
	if (fchmod(fd, 0600) || (FAIL_POINT("ftruncate-create") && (errno = ENOSPC)) || ftruncate(fd, (off_t)size)) {
		r = fail_call("fchmod or ftruncate of the memfd", NULL);
		goto fail;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL)) {
		r = fail_call("sealing the memfd", NULL);
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return r;
}

int memfd_check(int fd, bool rdonly, uint64_t *size, dev_t *dev, ino_t *ino)
{
	struct stat st;
	int seals, mode;

	if (fd < 0 || fstat(fd, &st))
		return fail(-EBADF, "shv_arena_attach: fd %d is not an open descriptor", fd);
	seals = fcntl(fd, F_GET_SEALS);
	if (!S_ISREG(st.st_mode) || seals < 0)
		return fail(-EBADMSG, "shv_arena_attach: fd %d is not a memfd: pass what shv_arena_fd() gave in the other process", fd);
	if (!(seals & F_SEAL_SHRINK))
		return fail(-EBADMSG, "shv_arena_attach: the memfd behind fd %d is not sealed against shrinking, so it is no arena", fd);
	if ((uint64_t)st.st_size < sizeof(struct shv_super_shm))
		return fail(-EBADMSG, "shv_arena_attach: the memfd behind fd %d has %lld bytes, too few for an arena", fd, (long long)st.st_size);
	mode = fcntl(fd, F_GETFL);
	if (!rdonly && (mode < 0 || (mode & O_ACCMODE) != O_RDWR))
		return fail(-EACCES, "shv_arena_attach: fd %d was not opened for writing: pass SHV_RDONLY to attach read-only", fd);
	*size = (uint64_t)st.st_size;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return 0;
}

static bool same_file(int fd, dev_t dev, ino_t ino)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && st.st_dev == dev && st.st_ino == ino;
}

bool memfd_is(int fd, const struct shv_geo *g)
{
	return same_file(fd, g->dev, g->ino);
}

/* Another way to the file when the program closed our descriptor: the mapping's own link (needs privileges), or a member's. */
static int find_again(struct shv_member *m)
{
	const struct shv_super_shm *s = super_of(m->base);
	uint32_t high = load_acquire(&s->processes_high);
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)m->base, (unsigned long)(m->base + m->size));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (same_file(fd, m->geo.dev, m->geo.ino))
		return fd;
	if (fd >= 0)
		close(fd);
	for (uint32_t i = 0; i < high && i < m->geo.max_processes; i++) {
		const struct shv_process_shm *p = process_at(m->base, &m->geo, i);
		if (proc_state(load_acquire(&p->word)) != SHV_PROC_ALIVE)
			continue;
		for (int n = 3; n < 256; n++) {
			char link[128];
			ssize_t len;
			snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)p->pid, n);
			len = readlink(path, link, sizeof(link));
			if (len < 0 && (errno == EACCES || errno == EPERM || errno == ESRCH))
				break; /* not for us to look at */
			/* Nothing else is opened: that may have effects. */
			if (len < 11 || memcmp(link, "/memfd:shv:", 11) != 0)
				continue;
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (same_file(fd, m->geo.dev, m->geo.ino))
				return fd;
			if (fd >= 0)
				close(fd);
		}
	}
	return -1;
}

/*
 * The program may have closed our descriptor (closefrom() in a daemon), and its number may by now be somebody else's file: so it is
 * compared with the file that we mapped before each use.
 */
int memfd_fd(struct shv_member *m)
{
	int fd = load_relaxed(&m->fd), again;

	if (likely(same_file(fd, m->geo.dev, m->geo.ino)))
		return fd;
	again = find_again(m);
	if (again < 0)
		return fail(-EBADF, "arena '%s': its descriptor %d was closed by the program and no other could be had: "
				    "keep shv_arena_fd() open", m->name, fd);
	store_relaxed(&m->fd, again);
	store_relaxed(&m->geo.fd, again);
	return again;
}

uint64_t pool_pages_slow(const char *base, const struct shv_geo *g, uint64_t claimed)
{
	struct shv_geo *mine = (struct shv_geo *)(uintptr_t)g; /* a cache in private memory */
	int fd = load_relaxed(&g->fd);
	uint64_t pages;
	struct stat st;

	if (claimed > g->max_pages)
		claimed = g->max_pages;
	if (!same_file(fd, g->dev, g->ino) || FAIL_POINT("fstat-pages") || fstat(fd, &st)) {
		/* The program closed our descriptor: ask the mapping. What lies past the file's end cannot be read. */
		if (claimed > g->seen_pages && !madvise(page_addr(base, g, claimed - 1), SHV_PAGE_SIZE, MADV_POPULATE_READ))
			store_relaxed(&mine->seen_pages, claimed);
		return claimed <= g->seen_pages ? claimed : g->seen_pages;
	}
	pages = (uint64_t)st.st_size > g->data_off ? ((uint64_t)st.st_size - g->data_off) >> SHV_PAGE_SHIFT : 0;
	store_relaxed(&mine->seen_pages, pages);
	return claimed < pages ? claimed : pages;
}

int memfd_grow(struct shv_member *m, uint64_t size)
{
	struct stat st;
	int fd = memfd_fd(m), r;

	if (fd < 0)
		return fd;
	if ((FAIL_POINT("fstat-grow") && (errno = ENOMEM)) || fstat(fd, &st))
		return fail_call("fstat of the memfd", NULL);
	if ((uint64_t)st.st_size >= size)
		return 0;
	r = size_allowed(size);
	if (r)
		return r;
	if ((FAIL_POINT("ftruncate-grow") && (errno = ENOSPC)) || ftruncate(fd, (off_t)size)) {
		fail_call("ftruncate of the memfd", "the arena cannot grow");
		return -ENOSPC;
	}
	return 0;
}

/* Write zeros where there is memory, in it or swapped out; the rest must stay holes. */
static void zero_data(int fd, char *base, off_t from, off_t to)
{
	off_t at, end = from;

	while (end < to && (at = lseek(fd, end, SEEK_DATA)) >= 0 && at < to) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end < at || end > to)
			end = to;
		memset(base + at, 0, (size_t)(end - at));
	}
}

/*
 * Through the mapping, which needs no descriptor; where the program has locked it in memory (mlockall), through the file. If neither
 * can be, the contents are zero at least, so that whoever wants to free pages is not stopped: then they keep their memory until they are
 * used and freed again.
 */
int memfd_punch(struct shv_member *m, void *addr, size_t size)
{
	off_t off = (off_t)((char *)addr - m->base);
	int fd;

	if (!size || (!FAIL_POINT("madvise-punch") && !madvise(addr, size, MADV_REMOVE)))
		return 0;
	fd = memfd_fd(m);
	if (fd < 0)
		return fd;
	if (FAIL_POINT("fallocate-punch") || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, (off_t)size))
		zero_data(fd, m->base, off, off + (off_t)size);
	return 0;
}

uint64_t fnv64(const void *p, size_t n)
{
	const unsigned char *b = p;
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * UINT64_C(1099511628211);
	return h;
}

/* ---- geometry ------------------------------------------------------------------------------------ */

static uint64_t page_up(uint64_t x)
{
	return (x + SHV_PAGE_SIZE - 1) & ~(SHV_PAGE_SIZE - 1);
}

static uint64_t take(uint64_t *at, uint64_t bytes)
{
	uint64_t off = *at;

	*at = page_up(off + bytes);
	return off;
}

static void levels_make(struct shv_geo *g, uint64_t *at)
{
	uint64_t nodes = (g->max_pages + SHV_LEAF_PAGES - 1) >> SHV_LEAF_SHIFT;

	g->levels = 0;
	do {
		g->level_nodes[g->levels] = nodes;
		g->level_off[g->levels] = take(at, nodes * sizeof(struct shv_sum_shm));
		g->levels++;
		nodes = (nodes + (1u << SHV_FAN_SHIFT) - 1) >> SHV_FAN_SHIFT;
	} while (g->level_nodes[g->levels - 1] > 16 && g->levels < SHV_MAX_LEVELS);
	g->sums_off = g->level_off[0];
}

/* Where everything lies, from the two numbers that the creator chose: attach computes the same and compares. */
static int geo_lay(struct shv_geo *g, uint64_t capacity, uint32_t max_processes)
{
	uint64_t at = 0;

	memset(g, 0, sizeof(*g));
	g->capacity = capacity;
	g->max_processes = max_processes;
	g->last_process = max_processes + SHV_VISITORS - 1;
	g->max_threads = max_processes * 64u < 1024 ? 1024 : max_processes * 64u;
	g->max_pages = capacity >> SHV_PAGE_SHIFT;
	/* A slot for each 16 bytes at the most, and no more than 32 bits can number. */
	uint64_t slots = capacity / 16 < UINT64_C(0xfffff000) ? capacity / 16 : UINT64_C(0xfffff000);
	g->max_chunks = (uint32_t)((slots + SHV_SLOTS_PER_CHUNK - 1) / SHV_SLOTS_PER_CHUNK);
	take(&at, sizeof(struct shv_super_shm));
	g->policies_off = take(&at, SHV_MAX_POLICIES * sizeof(struct shv_policy_shm));
	g->graves_off = take(&at, SHV_GRAVES * sizeof(struct shv_grave_shm));
	g->processes_off = take(&at, ((uint64_t)max_processes + SHV_VISITORS) * sizeof(struct shv_process_shm));
	g->threads_off = take(&at, (uint64_t)g->max_threads * sizeof(struct shv_thread_shm));
	g->types_off = take(&at, (SHV_MAX_TYPES - SHV_TYPE_FIRST) * sizeof(struct shv_type_shm));
	g->types_text_off = take(&at, SHV_TYPE_TEXT);
	g->chunks_off = take(&at, (uint64_t)g->max_chunks * 8);
	g->map_off = take(&at, g->max_pages * 8);
	levels_make(g, &at);
	g->data_off = at;
	if (at + 4 * SHV_PAGE_SIZE > capacity)
		return -ENOMEM;
	g->max_pages = (capacity - at) >> SHV_PAGE_SHIFT;
	if (g->max_pages > UINT32_MAX)
		g->max_pages = UINT32_MAX;
	/* The tree was laid out for a few pages more than there are; nodes past the end stay zero, which reads as 'nothing free'. */
	return 0;
}

static uint64_t const_sum(const struct shv_super_const *c)
{
	return fnv64(c, offsetof(struct shv_super_const, checksum));
}

static void geo_store(const struct shv_geo *g, struct shv_super_const *c)
{
	c->capacity = g->capacity;
	c->max_processes = g->max_processes;
	c->max_threads = g->max_threads;
	c->max_chunks = g->max_chunks;
	c->max_pages = g->max_pages;
	c->policies_off = g->policies_off;
	c->graves_off = g->graves_off;
	c->processes_off = g->processes_off;
	c->threads_off = g->threads_off;
	c->types_off = g->types_off;
	c->types_text_off = g->types_text_off;
	c->chunks_off = g->chunks_off;
	c->map_off = g->map_off;
	c->sums_off = g->sums_off;
	c->data_off = g->data_off;
	c->levels = g->levels;
	memcpy(c->sums_level_off, g->level_off, sizeof(c->sums_level_off));
}

void geo_seal(struct shv_super_const *c)
{
	c->checksum = const_sum(c);
}

int geo_make(struct shv_geo *g, struct shv_super_const *c, size_t capacity, unsigned max_processes)
{
	struct timespec now;
	int r = geo_lay(g, capacity, max_processes);

	if (r)
		return fail(-EINVAL, "shv_arena_create: capacity %zu is too small for %u processes: its tables alone take %llu bytes", capacity,
			    max_processes, (unsigned long long)g->data_off);
	clock_gettime(CLOCK_REALTIME, &now);
	c->magic = SHV_MAGIC;
	c->format = SHV_FORMAT;
	c->stamp = shv_layout_stamp();
	c->created = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	c->page_shift = SHV_PAGE_SHIFT;
	if (getrandom(c->uuid, sizeof(c->uuid), 0) != (ssize_t)sizeof(c->uuid)) {
		uint64_t seed[2] = { fnv64(&now, sizeof(now)), fnv64(c, sizeof(*c)) ^ (uint64_t)getpid() };
		memcpy(c->uuid, seed, sizeof(seed));
	}
	c->uuid[6] = (uint8_t)((c->uuid[6] & 0x0f) | 0x40); /* RFC 4122, version 4 */
	c->uuid[8] = (uint8_t)((c->uuid[8] & 0x3f) | 0x80);
	geo_store(g, c);
	geo_seal(c);
	return 0;
}

int geo_check(struct shv_geo *g, const struct shv_super_const *shared, uint64_t file_size)
{
	struct shv_super_const c, want;

	memcpy(&c, shared, sizeof(c)); /* one look: what is checked is what is used */
	if (c.magic != SHV_MAGIC)
		return fail(-EBADMSG, "shv_arena_attach: the memfd does not begin with an arena's magic number");
	if (c.format != SHV_FORMAT)
		return fail(-EPROTONOSUPPORT, "shv_arena_attach: the arena has format %u, this library knows %u: use the library that made it",
			    c.format, SHV_FORMAT);
	if (c.stamp != shv_layout_stamp() || c.page_shift != SHV_PAGE_SHIFT)
		return fail(-EPROTONOSUPPORT, "shv_arena_attach: the arena was made by a build with another word size, page size or layout "
					      "(stamp %08x, here %08x)", c.stamp, shv_layout_stamp());
	if (c.features_required)
		return fail(-EPROTONOSUPPORT, "shv_arena_attach: the arena needs features %llx that this library does not know",
			    (unsigned long long)c.features_required);
	if (c.checksum != const_sum(&c))
		return fail(-EUCLEAN, "shv_arena_attach: the checksum of the arena's superblock is wrong");
	if (c.max_processes < 1 || c.max_processes > 4000 || c.capacity > SHV_MAX_CAPACITY ||
	    c.capacity % SHV_PAGE_SIZE || geo_lay(g, c.capacity, c.max_processes))
		return fail(-EUCLEAN, "shv_arena_attach: the arena's superblock names impossible sizes");
	want = c;
	geo_store(g, &want);
	if (memcmp(&want, &c, sizeof(c)) || file_size < g->data_off)
		return fail(-EUCLEAN, "shv_arena_attach: the arena's superblock does not fit its file of %llu bytes",
			    (unsigned long long)file_size);
	return 0;
}
