/* SPDX-License-Identifier: MIT */
/*
 * Arenas in core files; see core.h.
 *
 * The note NT_FILE says which addresses were mappings of which file: those of "/memfd:shv:NAME (deleted)" from offset 0 on, longer
 * than the page that shows that a process lives, are arenas. What the program headers (PT_LOAD) have of those addresses goes into
 * a memfd at the same offsets, and that is opened as a snapshot is. Nothing in the file is believed: all numbers are
 * compared with its size.
 */
#include "config.h"

#include "tools/core.h"

#include "tools/shvdump.h"
#include "tools/text.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINK_PREFIX "/memfd:shv:"
#define LINK_SUFFIX " (deleted)"
#define NOTES_MAX   ((uint64_t)64 << 20) /* more than any process has mappings for */
#define ARENAS_MAX  64u
#define PIECE       ((size_t)256 << 10)
#define PAGE        ((size_t)4096)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OUR_DATA ELFDATA2LSB
#else
#define OUR_DATA ELFDATA2MSB
#endif

struct mapping {
	uint64_t start, end;
	char name[64];            /* of the arena */
};

struct core {
	int fd;
	uint64_t size;
	const char *path;
	Elf64_Phdr *ph;
	unsigned ph_n;
	struct mapping arena[ARENAS_MAX];
	unsigned arenas;
};

static int broken(const struct core *c, const char *why)
{
	fputs("shvdump: ", stderr);
	text_put(stderr, c->path);
	fprintf(stderr, ": the core file %s\n", why);
	return STATUS_FAILED;
}

static bool read_at(int fd, uint64_t off, void *buf, size_t n)
{
	char *p = buf;

	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)off);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

static bool read_header(int fd, Elf64_Ehdr *e)
{
	return read_at(fd, 0, e, sizeof(*e)) && !memcmp(e->e_ident, ELFMAG, SELFMAG) && e->e_ident[EI_CLASS] == ELFCLASS64 &&
	       e->e_ident[EI_DATA] == OUR_DATA && e->e_type == ET_CORE && e->e_phentsize == sizeof(Elf64_Phdr);
}

bool core_is_one(int fd)
{
	Elf64_Ehdr e;

	return read_header(fd, &e);
}

/* ---- which mappings are arenas --------------------------------------------------------------------------- */

static void note_mapping(struct core *c, uint64_t start, uint64_t end, uint64_t page_offset, const char *file)
{
	size_t len = strlen(file), head = strlen(LINK_PREFIX), tail = strlen(LINK_SUFFIX);
	struct mapping *m = &c->arena[c->arenas];

	if (c->arenas == ARENAS_MAX || page_offset || end < start || end - start < 16 * PAGE || len < head + tail ||
	    strncmp(file, LINK_PREFIX, head) != 0 || strcmp(file + len - tail, LINK_SUFFIX) != 0)
		return;
	m->start = start;
	m->end = end;
	snprintf(m->name, sizeof(m->name), "%.*s", (int)(len - head - tail), file + head);
	c->arenas++;
}

/* NT_FILE: count, page size, then start, end and offset (in pages) of each mapping, then their names. */
static void read_files(struct core *c, const char *note, uint64_t n)
{
	uint64_t count, at[3];
	const char *name, *end = note + n;

	if (n < 16)
		return;
	memcpy(&count, note, 8);
	if (count > (n - 16) / 24)
		return;
	name = note + 16 + count * 24;
	for (uint64_t i = 0; i < count && name < end; i++) {
		size_t len = strnlen(name, (size_t)(end - name));
		if (len == (size_t)(end - name))
			return; /* does not end */
		memcpy(at, note + 16 + i * 24, sizeof(at));
		note_mapping(c, at[0], at[1], at[2], name);
		name += len + 1;
	}
}

static uint64_t up4(uint64_t n)
{
	return (n + 3) & ~UINT64_C(3);
}

static int read_notes(struct core *c, const Elf64_Phdr *ph)
{
	uint64_t n = ph->p_filesz, at = 0;
	char *notes;

	if (n > NOTES_MAX || ph->p_offset > c->size || n > c->size - ph->p_offset)
		return broken(c, "was cut short: its notes are missing");
	notes = malloc(n ? n : 1);
	if (!notes || !read_at(c->fd, ph->p_offset, notes, n)) {
		free(notes);
		return broken(c, "cannot be read");
	}
	while (at + sizeof(Elf64_Nhdr) <= n) {
		Elf64_Nhdr h;
		uint64_t name, desc;

		memcpy(&h, notes + at, sizeof(h));
		name = at + sizeof(h);
		desc = name + up4(h.n_namesz);
		if (desc > n || h.n_descsz > n - desc)
			break;
		if (h.n_type == NT_FILE && h.n_namesz == 5 && !memcmp(notes + name, "CORE", 5))
			read_files(c, notes + desc, h.n_descsz);
		at = desc + up4(h.n_descsz);
	}
	free(notes);
	return 0;
}

static int read_core(struct core *c)
{
	Elf64_Ehdr e;
	struct stat st;
	int r = 0;

	if (fstat(c->fd, &st) || !read_header(c->fd, &e))
		return broken(c, "cannot be read");
	c->size = (uint64_t)st.st_size;
	c->ph_n = e.e_phnum;
	if (c->ph_n == PN_XNUM) { /* more than 16 bits can count: the number is in the first section header */
		Elf64_Shdr s;
		if (!read_at(c->fd, e.e_shoff, &s, sizeof(s)) || s.sh_info > (1u << 24))
			return broken(c, "was cut short: its headers are missing");
		c->ph_n = s.sh_info;
	}
	c->ph = calloc(c->ph_n ? c->ph_n : 1, sizeof(*c->ph));
	if (!c->ph || !read_at(c->fd, e.e_phoff, c->ph, c->ph_n * sizeof(*c->ph)))
		return broken(c, "was cut short: its headers are missing");
	for (unsigned i = 0; i < c->ph_n && !r; i++)
		if (c->ph[i].p_type == PT_NOTE)
			r = read_notes(c, &c->ph[i]);
	return r;
}

/* ---- their bytes ------------------------------------------------------------------------------------------ */

static bool all_zero(const char *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

/* Pages of zeros stay holes. */
static bool copy_piece(int to, uint64_t off, const char *p, size_t n)
{
	for (size_t at = 0; at < n; at += PAGE) {
		size_t part = n - at < PAGE ? n - at : PAGE;
		if (!all_zero(p + at, part) && pwrite(to, p + at, part, (off_t)(off + at)) != (ssize_t)part)
			return false;
	}
	return true;
}

/* n bytes of the core from `from` on, to `off` of the image; holes of the core are passed over. */
static bool copy_range(const struct core *c, int to, uint64_t from, uint64_t n, uint64_t off)
{
	char *piece = malloc(PIECE);
	uint64_t at = 0;
	bool ok = piece != NULL;

	while (ok && at < n) {
		off_t data = lseek(c->fd, (off_t)(from + at), SEEK_DATA);
		size_t want;

		if (data < 0 && errno == ENXIO)
			break;
		if (data > 0 && (uint64_t)data > from + at)
			at = (uint64_t)data - from;
		if (at >= n)
			break;
		want = n - at < PIECE ? (size_t)(n - at) : PIECE;
		ok = read_at(c->fd, from + at, piece, want) && copy_piece(to, off + at, piece, want);
		at += want;
	}
	free(piece);
	return ok;
}

/* What the core has of the mapping: 0 bytes if nothing was dumped. */
static int copy_mapping(const struct core *c, const struct mapping *m, int to, uint64_t *bytes)
{
	*bytes = 0;
	for (unsigned i = 0; i < c->ph_n; i++) {
		const Elf64_Phdr *p = &c->ph[i];
		uint64_t start = p->p_vaddr, end, n = p->p_filesz;

		if (p->p_type != PT_LOAD || p->p_offset > c->size)
			continue;
		if (n > c->size - p->p_offset)
			n = c->size - p->p_offset;
		end = start + n;
		if (end < start || end <= m->start || start >= m->end)
			continue;
		if (start < m->start)
			start = m->start;
		if (end > m->end)
			end = m->end;
		if (!copy_range(c, to, p->p_offset + (start - p->p_vaddr), end - start, start - m->start))
			return broken(c, "could not be copied into memory");
		*bytes += end - start;
	}
	return 0;
}

static int open_mapping(const struct core *c, const struct mapping *m, shv_arena **a)
{
	char path[40];
	uint64_t bytes;
	int fd = memfd_create("shvdump-core", MFD_CLOEXEC), status;

	if (fd < 0 || ftruncate(fd, (off_t)(m->end - m->start))) {
		fprintf(stderr, "shvdump: memory for the arena of the core file: %s\n", strerror(errno));
		if (fd >= 0)
			close(fd);
		return STATUS_FAILED;
	}
	status = copy_mapping(c, m, fd, &bytes);
	if (!status && !bytes)
		status = broken(c, "has no bytes of the arena: its process did not attach with SHV_DUMP");
	if (!status) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		*a = shv_arena_open(path, 0);
		if (!*a)
			status = complain(c->path, -errno);
	}
	close(fd);
	return status;
}

static int choose(const struct core *c, const char *name, shv_arena **a)
{
	const struct mapping *only = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < c->arenas; i++) {
		if (name && strcmp(c->arena[i].name, name) != 0)
			continue;
		/* A process may have the same arena mapped twice. */
		if (!only || strcmp(only->name, c->arena[i].name) != 0)
			n++;
		only = only ? only : &c->arena[i];
	}
	if (!n)
		return broken(c, name ? "has no arena of that name" : "is of a process that had no arena");
	if (n == 1)
		return open_mapping(c, only, a);
	fprintf(stderr, "shvdump: the process had several arenas; say which:\n");
	for (unsigned i = 0; i < c->arenas; i++) {
		fputs("  ", stderr);
		text_put(stderr, c->path);
		fputc(':', stderr);
		text_put(stderr, c->arena[i].name);
		fputc('\n', stderr);
	}
	return STATUS_FAILED;
}

int core_open(int fd, const char *path, const char *name, shv_arena **a)
{
	struct core c = { .fd = fd, .path = path };
	int status = read_core(&c);

	if (!status)
		status = choose(&c, name, a);
	free(c.ph);
	return status;
}
