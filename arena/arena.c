/* SPDX-License-Identifier: MIT */
/*
 * Life of an attachment: create, attach, detach; and which attachment an address belongs to.
 *
 *   registry: list of struct shv_arena, added at the head by compare-and-swap, never taken out and never freed: a detached
 *   one has size 0 and is used again. So looking an address up needs no lock, also while others attach and detach.
 *
 * Members (one for each memfd of this process) are found by device and inode under the registry lock, which lies in wiped
 * memory: a child of fork finds it free.
 *
 * The first mapping belongs to the member: the heap's extents are in it. It stays until the last attachment goes.
 */
#include "arena/arena_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <shv/ptr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_CAPACITY ((size_t)64 << 30)
#define MIN_CAPACITY ((size_t)32 << 20)
#define DEFAULT_PROCESSES 1024u
#define ALIGN_MAP ((size_t)2 << 20) /* so that offsets and addresses are aligned alike, up to huge pages */

static struct shv_arena *registry;
static struct shv_member *members; /* registry lock */
static uint64_t serials;
static struct shv_plock *registry_lock_page;

static struct shv_plock *registry_lock(void)
{
	struct shv_plock *p = load_acquire(&registry_lock_page), *none = NULL;

	if (p)
		return p;
	p = shv_wiped_alloc(SHV_PAGE_SIZE);
	if (p && !__atomic_compare_exchange_n(&registry_lock_page, &none, p, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		munmap(p, SHV_PAGE_SIZE);
		p = none;
	}
	return p;
}

/* ---- registry ------------------------------------------------------------------------------------------- */

bool arena_place_slow(const void *p, struct shv_place *out)
{
	for (struct shv_arena *a = load_acquire(&registry); a; a = a->next) {
		size_t size = load_acquire(&a->size);
		char *base = load_relaxed(&a->base);
		if ((uintptr_t)p - (uintptr_t)base >= size || load_acquire(&a->size) != size)
			continue;
		out->base = base;
		out->m = a->m;
		out->geo = a->m ? &a->m->geo : &a->geo;
		out->a = a;
		return true;
	}
	return false;
}

int arena_valid(const shv_arena *a, const char *who, bool rw)
{
	if (!a || ((uintptr_t)a & 7) || load_relaxed(&a->magic) != ARENA_MAGIC)
		return fail(-EINVAL, "%s: arena is %s: pass what shv_arena_create() or shv_arena_attach() returned", who,
			    a ? "not an attachment" : "NULL");
	if (rw && !a->m)
		return object_fail(-EROFS, a, who);
	return 0;
}

static struct shv_arena *arena_slot(void)
{
	struct shv_arena *a, *head;

	for (a = load_acquire(&registry); a; a = a->next) {
		uint64_t free_ = 0;
		if (cas64(&a->magic, &free_, 1))
			return a;
	}
	a = FAIL_POINT("malloc-arena") ? NULL : calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->magic = 1;
	head = load_acquire(&registry);
	do
		a->next = head;
	while (!__atomic_compare_exchange_n(&registry, &head, a, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return a;
}

static void arena_show(struct shv_arena *a, char *base, size_t size)
{
	store_relaxed(&a->base, base);
	store_release(&a->magic, ARENA_MAGIC);
	store_release(&a->size, size);
}

static void arena_hide(struct shv_arena *a)
{
	store_release(&a->size, 0);
	store_release(&a->magic, 0);
}

/* ---- mapping ---------------------------------------------------------------------------------------------- */

/* Map the whole capacity; MAP_FAILED with errno. */
static char *map_file(int fd, size_t size, bool rdonly, unsigned flags)
{
	int prot = rdonly ? PROT_READ : PROT_READ | PROT_WRITE;
	char *room, *base;

	if (FAIL_POINT("mmap-arena")) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	room = mmap(NULL, size + ALIGN_MAP, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return room;
	base = (char *)(((uintptr_t)room + ALIGN_MAP - 1) & ~(ALIGN_MAP - 1));
	if (mmap(base, size, prot, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) == MAP_FAILED) {
		int e = errno;
		munmap(room, size + ALIGN_MAP);
		errno = e;
		return MAP_FAILED;
	}
	if (base > room)
		munmap(room, (size_t)(base - room));
	if (base + size < room + size + ALIGN_MAP)
		munmap(base + size, (size_t)(room + ALIGN_MAP - base));
	if (!(flags & SHV_DUMP))
		(void)madvise(base, size, MADV_DONTDUMP); /* a dump would read holes, and reading a hole allocates it */
#ifdef MADV_HUGEPAGE
	if (flags & SHV_HUGEPAGE)
		(void)madvise(base, size, MADV_HUGEPAGE);
#endif
	return base;
}

/* ---- members ------------------------------------------------------------------------------------------------ */

static void member_free(struct shv_member *m)
{
	if (m->base && m->base != MAP_FAILED)
		munmap(m->base, m->size);
	if (m->local)
		munmap(m->local, sizeof(*m->local));
	if (memfd_is(m->fd, &m->geo)) /* not if the program closed it and the number is another file's now */
		close(m->fd);
	if (m->given >= 0)
		close(m->given);
	free(m);
}

void name_copy(char *to, size_t size, const char *from, size_t n)
{
	size_t len = strnlen(from, n);

	if (len >= size)
		len = size - 1;
	memcpy(to, from, len);
	to[len] = 0;
}

/* fd: ours from here on. */
static int member_make(int fd, const struct shv_geo *g, const char *name, char *base, unsigned flags, struct shv_member **out)
{
	struct shv_member *m = FAIL_POINT("malloc-member") ? NULL : calloc(1, sizeof(*m));

	if (!m) {
		munmap(base, g->capacity);
		close(fd);
		return fail(-ENOMEM, "shv_arena_attach: no memory");
	}
	m->fd = fd;
	m->given = -1;
	m->geo = *g;
	m->base = base;
	m->size = g->capacity;
	m->populate = flags & SHV_POPULATE;
	m->serial = __atomic_add_fetch(&serials, 1, __ATOMIC_RELAXED);
	name_copy(m->name, sizeof(m->name), name, sizeof(m->name));
	m->local = shv_wiped_alloc(sizeof(*m->local));
	if (!m->local) {
		member_free(m);
		return fail(-ENOMEM, "shv_arena_attach: no memory for a page that fork wipes (MADV_WIPEONFORK)");
	}
	*out = m;
	return 0;
}

static void member_unlist(struct shv_member *m)
{
	struct shv_member **at = &members;

	while (*at && *at != m)
		at = &(*at)->next;
	if (*at)
		*at = m->next;
}

/* An attachment that shows m at `base`; registers this process if need be. The registry lock is held. */
static struct shv_arena *attach_member(struct shv_member *m, char *base, unsigned flags, int *error)
{
	struct shv_arena *a = arena_slot();

	if (!a) {
		*error = fail(-ENOMEM, "shv_arena_attach: no memory");
		return NULL;
	}
	a->m = m;
	a->frozen = false;
	a->geo = m->geo;
	a->fd = m->fd;
	a->flags = flags;
	memcpy(a->name, m->name, sizeof(a->name));
	if (!tc_get(m)) {
		*error = -errno;
		arena_hide(a);
		return NULL;
	}
	m->refs++;
	arena_show(a, base, m->size);
	return a;
}

/* What a server gave besides the descriptor; all of it may be missing. */
struct introduction {
	int *given;
	const char *server;
};

static shv_arena *attach_new_member(int fd, const struct shv_geo *g, const char *name, char *base, unsigned flags,
				    const struct introduction *by, int *error)
{
	struct shv_member *m = NULL;
	struct shv_arena *a;

	*error = member_make(fd, g, name, base, flags, &m);
	if (*error)
		return NULL;
	if (by->given && *by->given >= 0) {
		m->given = *by->given;
		*by->given = -1;
	}
	if (by->server)
		name_copy(m->server, sizeof(m->server), by->server, sizeof(m->server));
	m->next = members;
	members = m;
	a = attach_member(m, base, flags, error);
	if (!a) {
		member_unlist(m);
		process_leave(m);
		tc_drop_all(m);
		member_free(m);
	}
	return a;
}

/* ---- create -------------------------------------------------------------------------------------------------- */

static int check_name(const char *name)
{
	size_t n = strnlen(name, 64);

	if (!n || n > 63 || strchr(name, '/'))
		return fail(-EINVAL, "shv_arena_create: name '%.70s' must have 1 to 63 bytes and no '/'", name);
	return 0;
}

static int format_arena(int fd, const struct shv_geo *g, const struct shv_super_const *c, char *base)
{
	struct shv_super_shm *s = super_of(base);

	(void)fd;
	pool_format(base, g);
	s->chunks_high = 1;
	memcpy((char *)&s->c + 8, (const char *)c + 8, sizeof(*c) - 8);
	store_release(&s->c.magic, c->magic); /* last: whoever looks through /proc sees a whole superblock or none */
	return 0;
}

static shv_arena *create(const struct shv_arena_options *o, size_t capacity, unsigned processes, int *error)
{
	struct shv_super_const c = { 0 };
	struct shv_geo g;
	struct stat st;
	shv_arena *a;
	char *base;
	int fd;

	name_copy(c.name, sizeof(c.name), o->name ? o->name : "arena", sizeof(c.name));
	c.flags = o->flags & SHV_HUGEPAGE;
	*error = geo_make(&g, &c, capacity, processes);
	if (*error)
		return NULL;
	fd = memfd_make(c.name, g.data_off + SHV_PAGE_SIZE);
	if (fd < 0) {
		*error = fd;
		return NULL;
	}
	base = map_file(fd, capacity, false, o->flags);
	if (base == MAP_FAILED || fstat(fd, &st)) {
		*error = fail(-ENOMEM, "shv_arena_create: %zu bytes of address space are not to be had: pass a smaller capacity", capacity);
		close(fd);
		return NULL;
	}
	g.fd = fd;
	g.dev = st.st_dev;
	g.ino = st.st_ino;
	g.seen_pages = 1;
	format_arena(fd, &g, &c, base);
	a = attach_new_member(fd, &g, c.name, base, o->flags, &(struct introduction){ 0 }, error);
	return a;
}

SHV_API shv_arena *shv_arena_create(const struct shv_arena_options *opt)
{
	struct shv_arena_options o = { 0 };
	struct shv_plock *lock;
	size_t capacity;
	shv_arena *a;
	int error = 0;

	if (opt) {
		if (opt->size && opt->size < offsetof(struct shv_arena_options, flags) + sizeof(o.flags))
			return fail_null(-EINVAL, "shv_arena_create: opt->size is %zu: set it to sizeof, or 0", opt->size);
		o = *opt;
	}
	if (o.name && check_name(o.name))
		return null_with(-EINVAL);
	if (o.flags & ~(SHV_HUGEPAGE | SHV_POPULATE | SHV_DUMP))
		return fail_null(-EINVAL, "shv_arena_create: flags %#x are not for creation", o.flags);
	if (o.max_processes > 4000)
		return fail_null(-EINVAL, "shv_arena_create: max_processes is %u: at most 4,000", o.max_processes);
	if (o.capacity && (o.capacity < MIN_CAPACITY || o.capacity > SHV_MAX_CAPACITY))
		return fail_null(-EINVAL, "shv_arena_create: capacity is %zu: from 32 MiB to 4 TiB", o.capacity);
	if (!o.max_processes)
		o.max_processes = DEFAULT_PROCESSES;
	lock = registry_lock();
	if (!lock)
		return fail_null(-ENOMEM, "shv_arena_create: no memory");
	capacity = o.capacity ? (o.capacity + SHV_PAGE_SIZE - 1) & ~(SHV_PAGE_SIZE - 1) : DEFAULT_CAPACITY;
	plock_acquire(lock);
	for (;;) {
		a = create(&o, capacity, o.max_processes, &error);
		/* Where nothing was asked for, less will do: address space or file size may be limited. */
		if (a || o.capacity || (error != -ENOMEM && error != -ENOSPC) || capacity / 2 < MIN_CAPACITY * 4)
			break;
		capacity /= 2;
	}
	plock_release(lock);
	return a ? a : null_with(fail_by(error == -ENOSPC ? -ENOMEM : error, "shv_arena_create"));
}

/* ---- attach --------------------------------------------------------------------------------------------------- */

static struct shv_member *member_find(dev_t dev, ino_t ino)
{
	for (struct shv_member *m = members; m; m = m->next)
		if (m->geo.dev == dev && m->geo.ino == ino)
			return m;
	return NULL;
}

static shv_arena *attach_rdonly(int fd, const struct shv_geo *g, const char *name, unsigned flags, int *error)
{
	char *base = map_file(fd, g->capacity, true, flags);
	struct shv_arena *a;

	if (base == MAP_FAILED) {
		*error = fail_call("shv_arena_attach: mmap of the arena", NULL);
		if (*error != -EACCES && *error != -EPERM)
			*error = -ENOMEM;
		return NULL;
	}
	a = arena_slot();
	if (!a) {
		munmap(base, g->capacity);
		*error = fail(-ENOMEM, "shv_arena_attach: no memory");
		return NULL;
	}
	a->m = NULL;
	a->frozen = false;
	a->geo = *g;
	a->fd = fd;
	a->flags = flags;
	name_copy(a->name, sizeof(a->name), name, sizeof(a->name));
	arena_show(a, base, g->capacity);
	return a;
}

/* *own: our copy of the descriptor; -1 once an attachment or a member has taken it over. */
static shv_arena *attach(int *own, unsigned flags, const struct introduction *by, int *error)
{
	int fd = *own;
	bool rdonly = flags & SHV_RDONLY;
	struct shv_super_const c;
	struct shv_member *m;
	struct shv_geo g;
	shv_arena *a;
	uint64_t size;
	dev_t dev;
	ino_t ino;
	char *base;

	*error = memfd_check(fd, rdonly, &size, &dev, &ino);
	if (*error)
		return NULL;
	if (pread(fd, &c, sizeof(c), 0) != (ssize_t)sizeof(c)) {
		*error = fail(-EBADMSG, "shv_arena_attach: the superblock cannot be read");
		return NULL;
	}
	*error = geo_check(&g, &c, size);
	if (*error)
		return NULL;
	g.fd = fd;
	g.dev = dev;
	g.ino = ino;
	g.seen_pages = (size - g.data_off) >> SHV_PAGE_SHIFT;
	if (rdonly) {
		a = attach_rdonly(fd, &g, c.name, flags, error);
		*own = a ? -1 : fd;
		return a;
	}
	m = member_find(dev, ino);
	base = map_file(fd, g.capacity, false, flags | (c.flags & SHV_HUGEPAGE));
	if (base == MAP_FAILED) {
		*error = fail(-ENOMEM, "shv_arena_attach: %llu bytes of address space are not to be had", (unsigned long long)g.capacity);
		return NULL;
	}
	if (!m) {
		*own = -1;
		return attach_new_member(fd, &g, c.name, base, flags, by, error);
	}
	a = attach_member(m, base, flags, error); /* the member has a descriptor */
	if (!a)
		munmap(base, g.capacity);
	return a;
}

shv_arena *arena_attach_with(int fd, unsigned flags, int *given, const char *server)
{
	const struct introduction by = { given, server };
	struct shv_plock *lock = registry_lock();
	shv_arena *a;
	int own, error = 0;

	if (flags & ~(SHV_RDONLY | SHV_POPULATE | SHV_DUMP))
		return fail_null(-EINVAL, "shv_arena_attach: flags %#x are not for attaching", flags);
	if (!lock)
		return fail_null(-ENOMEM, "shv_arena_attach: no memory");
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return null_with(errno == EBADF ? fail(-EBADF, "shv_arena_attach: fd %d is not an open descriptor", fd) :
						  fail_call("shv_arena_attach: dup of the descriptor", NULL));
	plock_acquire(lock);
	a = attach(&own, flags, &by, &error);
	plock_release(lock);
	if (own >= 0)
		close(own);
	if (!a)
		return null_with(fail_by(error, "shv_arena_attach"));
	if (a->m)
		(void)recover_all(a->m, NULL); /* what cannot be mended now is no reason not to attach */
	return a;
}

SHV_API shv_arena *shv_arena_attach(int fd, unsigned flags)
{
	return arena_attach_with(fd, flags, NULL, NULL);
}

/* ---- attach by pid ---------------------------------------------------------------------------------------------- */

struct finding {
	const char *name; /* asked for, or NULL */
	unsigned found;
	int fd;           /* of the first one */
	ino_t ino;
	bool refused;
	bool rdonly;
	char first[80];
};

/* Is the descriptor's link that of an arena, of the name that is asked for? */
static bool link_matches(const char *link, struct finding *f)
{
	static const char prefix[] = "/memfd:shv:";
	static const char suffix[] = " (deleted)";
	const char *name = link + sizeof(prefix) - 1, *end;
	size_t n = strlen(link);

	if (strncmp(link, prefix, sizeof(prefix) - 1) || n < sizeof(prefix) + sizeof(suffix) - 2)
		return false;
	end = link + n - (sizeof(suffix) - 1); /* the name may contain the same words */
	return !strcmp(end, suffix) && (!f->name || (strlen(f->name) == (size_t)(end - name) && !strncmp(f->name, name, (size_t)(end - name))));
}

static int fetch(pid_t pid, const char *number, bool rdonly)
{
	char path[64];
	int fd, pidfd, e;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", (int)pid, number);
	fd = open(path, (rdonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd >= 0 || (errno != EACCES && errno != EPERM))
		return fd;
	e = errno;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0) {
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(number), 0);
		e = fd < 0 ? errno : e;
		close(pidfd);
	}
	errno = e;
	return fd;
}

static void consider(pid_t pid, const char *number, struct finding *f)
{
	char path[64], link[128];
	struct stat st;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", (int)pid, number);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return;
	link[n] = 0;
	if (!link_matches(link, f))
		return;
	fd = fetch(pid, number, f->rdonly);
	if (fd < 0 || fstat(fd, &st)) {
		f->refused = true;
		if (fd >= 0)
			close(fd);
		return;
	}
	if (f->found && st.st_ino == f->ino) {
		close(fd); /* the same arena through another descriptor */
		return;
	}
	if (f->found++) {
		close(fd);
		return;
	}
	f->fd = fd;
	f->ino = st.st_ino;
}

SHV_API shv_arena *shv_arena_attach_pid(pid_t pid, const char *name, unsigned flags)
{
	struct finding f = { .name = name, .fd = -1, .rdonly = flags & SHV_RDONLY };
	struct dirent *e;
	shv_arena *a;
	char path[40];
	DIR *dir;

	if (pid <= 0)
		return fail_null(-EINVAL, "shv_arena_attach_pid: pid is %d: pass that of a running process", (int)pid);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? fail_null(-ESRCH, "shv_arena_attach_pid: there is no process %d", (int)pid) :
					 null_with(fail_call("shv_arena_attach_pid: looking at the process's descriptors", NULL));
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			consider(pid, e->d_name, &f);
	closedir(dir);
	if (f.found > 1) {
		close(f.fd);
		return fail_null(-EBUSY, "shv_arena_attach_pid: process %d has %u arenas%s: pass the name of one", (int)pid, f.found,
				 name ? " of that name" : "");
	}
	if (!f.found)
		return f.refused ? fail_null(-EACCES, "shv_arena_attach_pid: the arena of process %d may not be opened by this user", (int)pid) :
				   fail_null(-ENOENT, "shv_arena_attach_pid: process %d has no arena%s%s", (int)pid,
					     name ? " called " : "", name ? name : "");
	a = shv_arena_attach(f.fd, flags);
	int saved = a ? 0 : fail_by(errno, "shv_arena_attach_pid");
	close(f.fd);
	errno = saved;
	return a;
}

/* ---- detach --------------------------------------------------------------------------------------------------------- */

static bool holds_locks(struct shv_member *m)
{
	bool held = false;

	plock_acquire(&m->local->tc_lock);
	for (struct shv_tc *tc = m->local->tcs; tc; tc = tc->next)
		held |= load_relaxed(&tc->thread->held) || load_relaxed(&tc->thread->handed);
	plock_release(&m->local->tc_lock);
	return held;
}

/* The last attachment of this process goes. */
static void member_leave(struct shv_member *m)
{
	if (m->local->registered && tc_get(m)) {
		heap_retire(m);
		if (recover_self(m))
			process_leave(m); /* the others find us gone and put our things in order */
	} else if (m->local->registered && !process_ours(m)) {
		process_leave(m);
	}
	heap_retire(m);
	tc_drop_all(m);
	heap_destroy(m);
	free(m->local->chunks);
	free(m->local->free_slots);
	member_unlist(m);
	member_free(m);
}

SHV_API int shv_arena_detach(shv_arena *a)
{
	struct shv_plock *lock = registry_lock();
	struct shv_member *m;
	bool last;
	char *base;
	size_t size;
	int r = arena_valid(a, "shv_arena_detach", false);

	if (r)
		return r;
	m = a->m;
	if (m && holds_locks(m))
		return fail(-EBUSY, "shv_arena_detach: this process holds a lock in arena '%s': release it first", a->name);
	plock_acquire(lock);
	last = m && m->refs == 1;
	plock_release(lock);
	/* Only whoever leaves needs a part of its own to put things in order by. */
	if (last && m->local->registered && !tc_get(m) && errno == ENOMEM)
		return fail(-ENOMEM, "shv_arena_detach: no memory for this thread's part in arena '%s': free some, or leave by another thread",
			    a->name);
	serve_end(a); /* before the registry's lock: the thread may take a moment */
	plock_acquire(lock);
	base = a->base;
	size = a->size;
	arena_hide(a);
	if (m)
		tc_forget_handle(m, a);
	if (!m) {
		munmap(base, size);
		close(a->fd);
	} else {
		if (base != m->base)
			munmap(base, size);
		if (!--m->refs)
			member_leave(m);
	}
	plock_release(lock);
	return 0;
}

/* ---- small things ------------------------------------------------------------------------------------------------------ */

SHV_API int shv_arena_fd(const shv_arena *a)
{
	int r = arena_valid(a, "shv_arena_fd", false);

	return r ? r : a->m ? memfd_fd(a->m) : a->fd;
}

SHV_API int shv_arena_fd_rdonly(const shv_arena *a)
{
	int fd = shv_arena_fd(a), r;
	char path[40];

	if (fd < 0)
		return fail_by(fd, "shv_arena_fd_rdonly");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_RDONLY | O_CLOEXEC);
	return r < 0 ? fail_call("shv_arena_fd_rdonly: reopening through /proc/self/fd", NULL) : r;
}

SHV_API int shv_arena_recover(shv_arena *a, struct shv_recovery *out)
{
	struct shv_recovery found = { 0 };
	size_t size = out && out->size ? out->size : sizeof(found);
	int r = arena_valid(a, "shv_arena_recover", true), n;

	if (r)
		return r;
	if (size < sizeof(size_t) || size > sizeof(found))
		return fail(-EINVAL, "shv_arena_recover: out->size is %zu: set it to sizeof, or 0", size);
	if (!tc_get(a->m))
		return -errno;
	r = process_ours(a->m);
	if (r)
		return r;
	n = recover_all(a->m, &found);
	if (n < 0)
		return n;
	recover_reap_locks(a->m);
	name_sweep(a->m);
	if (out) {
		found.size = size;
		memcpy(out, &found, size);
	}
	return n;
}

SHV_API int shv_arena_trim(shv_arena *a)
{
	struct shv_process_shm *p;
	struct shv_tc *tc;
	uint32_t high;
	int r = arena_valid(a, "shv_arena_trim", true);

	if (r)
		return r;
	tc = tc_get(a->m);
	if (!tc)
		return -errno;
	r = process_ours(a->m);
	if (r)
		return r;
	high = load_acquire(&super_of(a->m->base)->processes_high);
	for (uint32_t i = 0; i < high && i <= a->m->geo.last_process; i++) {
		p = process_at(a->m->base, &a->m->geo, i);
		if (proc_state(load_acquire(&p->word)) == SHV_PROC_ALIVE)
			fetch_add_relaxed(&p->trim, 1);
	}
	slow_path(tc);
	recover_reap_locks(a->m); /* after draining: what hangs on the list still names its lock */
	directory_flush(tc, true);
	heap_trim(tc);
	directory_release_chunks(tc);
	return 0;
}

SHV_API shv_arena *shv_arena_of(const void *p)
{
	struct shv_place at;

	if (p && arena_place_slow(p, &at))
		return at.a;
	return fail_null(-EINVAL, "shv_arena_of: %p lies in no arena of this process", p);
}

SHV_API const char *shv_arena_name(const shv_arena *a)
{
	int r = arena_valid(a, "shv_arena_name", false);

	return r ? null_with(r) : a->name;
}

SHV_API shv_off shv_offset(const shv_arena *a, const void *p)
{
	int r;

	if (!p)
		return 0;
	r = arena_valid(a, "shv_offset", false);
	if (!r && (uintptr_t)p - (uintptr_t)a->base < a->geo.capacity && (uintptr_t)p != (uintptr_t)a->base)
		return (uintptr_t)p - (uintptr_t)a->base;
	errno = r ? EINVAL : ERANGE;
	if (!r)
		fail(-ERANGE, "shv_offset: %p is not in this mapping of arena '%s'", p, a->name);
	return 0;
}

SHV_API void *shv_pointer(const shv_arena *a, shv_off off, size_t size)
{
	const struct shv_geo *g;
	uint64_t end;
	int r = arena_valid(a, "shv_pointer", false);

	if (r)
		return null_with(r);
	if (!off)
		return NULL;
	g = a->m ? &a->m->geo : &a->geo;
	end = g->data_off + (pool_pages(a->base, g) << SHV_PAGE_SHIFT);
	if (off < g->data_off || off > end || size > end - off)
		return fail_null(-ERANGE, "shv_pointer: offset %llu and size %zu are not within arena '%s'", (unsigned long long)off, size,
				 a->name);
	return a->base + off;
}
