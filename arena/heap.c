/* SPDX-License-Identifier: MIT */
/*
 * The heap: one jemalloc arena for each process and memfd, whose extents are runs of the shared page pool.
 *
 * jemalloc's metadata stays private: the arena is made without hooks and gets them afterwards, so that its own
 * base structures come from ordinary memory. Threads use explicit caches (tcache.create) rather than binding themselves
 * to the arena with thread.arena: a cache can be destroyed by whoever detaches, several arenas need no
 * rebinding, and most creates never come here, because magazines (directory.c) stand in front.
 *
 * fork: the child's copy of the parent's arena is forgotten before the child gets a page of its own. Until then
 * every hook finds that it belongs to another process and touches nothing.
 *
 * Left out: retain (freed address ranges would stay in jemalloc for ever), decommit and lazy purge (a hole in a
 * memfd is the only way to give a page back), growing in place.
 */
#include "config.h"

#include <jemalloc/jemalloc.h>

#include "arena/arena_private.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if SHV_JEMALLOC_SYSTEM
#define JE(name) name
#else
#define JE(name) shv_je_##name
/* One automatic arena for jemalloc's own needs is enough here. SHV_JE_MALLOC_CONF in the environment adds to it. */
__attribute__((visibility("hidden"))) const char *shv_je_malloc_conf = "narenas:1";
#endif

#define THREAD_ROOM ((size_t)8 << 20) /* what jemalloc may map for a new thread: blocks of its own base come in aligned 2 MiB */
#define POPULATE_FIRST 4u   /* pages faulted in at once, at first */
#define POPULATE_MOST 256u  /* and at the most */

struct shv_heap_hooks {
	extent_hooks_t hooks;       /* first: jemalloc hands us its address */
	struct shv_member *m;
	uint32_t proc, gen;
	unsigned arena;
	bool dead;
	size_t bytes;               /* that jemalloc has from us, or is about to have; atomic */
};

/* ---- hooks ------------------------------------------------------------------------------------------- */

/* Only the process that owns the pages may move them; a forked child's copy of the heap may not. */
static bool ours(const struct shv_heap_hooks *h)
{
	const struct shv_local *l = h->m->local;

	return !h->dead && l->registered && l->proc == h->proc && l->gen == h->gen;
}

static uint64_t owned(const struct shv_heap_hooks *h)
{
	return page_make(SHV_PG_OWNED, h->proc, 0, h->gen);
}

static uint64_t page_at(const struct shv_heap_hooks *h, const void *addr)
{
	return page_of(&h->m->geo, (uint64_t)((const char *)addr - h->m->base));
}

static void *hook_alloc(extent_hooks_t *hooks, void *new_addr, size_t size, size_t alignment, bool *zero, bool *commit, unsigned arena)
{
	struct shv_heap_hooks *h = (struct shv_heap_hooks *)hooks;
	struct shv_tc *tc = shv_tls_tc;
	uint64_t page;
	char *addr;
	int r;

	(void)arena;
	if (new_addr || !ours(h) || tc->m != h->m || alignment > (2u << 20) || size >> SHV_PAGE_SHIFT > UINT32_MAX / 2)
		return NULL;
	tc->in_hook++;
	fetch_add_relaxed(&h->bytes, size); /* before, so that a fork in between finds too many rather than too few */
	r = FAIL_POINT("heap-extent") ? -ENOMEM :
	    pool_alloc(h->m, (uint32_t)(size >> SHV_PAGE_SHIFT), (uint32_t)(alignment >> SHV_PAGE_SHIFT), owned(h), &page);
	if (!r) {
		addr = page_addr(h->m->base, &h->m->geo, page);
		if (h->m->populate && (FAIL_POINT("madvise-populate") || madvise(addr, size, MADV_POPULATE_WRITE))) {
			r = fail(-ENOMEM, "arena '%s': no memory to back %zu bytes", h->m->name, size);
			(void)pool_free(h->m, page, size >> SHV_PAGE_SHIFT, owned(h), UINT64_MAX);
		}
	}
	tc->in_hook--;
	tc->heap_error = r;
	if (r) {
		fetch_sub_relaxed(&h->bytes, size);
		return NULL;
	}
	if (!h->m->populate) {
		tc->ahead_at = (uint64_t)(addr - h->m->base);
		tc->ahead_end = tc->ahead_at + size;
	}
	*zero = true; /* free pages are holes */
	*commit = true;
	return addr;
}

static bool hook_dalloc(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned arena)
{
	struct shv_heap_hooks *h = (struct shv_heap_hooks *)hooks;
	struct shv_tc *tc = shv_tls_tc;
	int r;

	(void)committed;
	(void)arena;
	if (!ours(h)) {
		fetch_sub_relaxed(&h->bytes, size);
		return false; /* not ours to give: forget it */
	}
	if (tc->m != h->m && !tc_get(h->m))
		return true;
	tc = shv_tls_tc;
	tc->in_hook++;
	r = pool_free(h->m, page_at(h, addr), size >> SHV_PAGE_SHIFT, owned(h), UINT64_MAX);
	tc->in_hook--;
	if (!r)
		fetch_sub_relaxed(&h->bytes, size);
	return r != 0;
}

static bool hook_purge(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length, unsigned arena)
{
	struct shv_heap_hooks *h = (struct shv_heap_hooks *)hooks;

	(void)size;
	(void)arena;
	return !ours(h) || memfd_punch(h->m, (char *)addr + offset, length);
}

static bool hook_split(extent_hooks_t *hooks, void *addr, size_t size, size_t a, size_t b, bool committed, unsigned arena)
{
	(void)hooks, (void)addr, (void)size, (void)a, (void)b, (void)committed, (void)arena;
	return false;
}

static bool hook_merge(extent_hooks_t *hooks, void *a, size_t a_size, void *b, size_t b_size, bool committed, unsigned arena)
{
	(void)hooks, (void)a, (void)a_size, (void)b, (void)b_size, (void)committed, (void)arena;
	return false;
}

static const extent_hooks_t hook_table = {
	.alloc = hook_alloc,
	.dalloc = hook_dalloc,
	.purge_forced = hook_purge,
	.split = hook_split,
	.merge = hook_merge,
};

/* ---- the arena ------------------------------------------------------------------------------------------ */

static int arena_ctl(unsigned arena, const char *what)
{
	char name[64];

	snprintf(name, sizeof(name), "arena.%u.%s", arena, what);
	return JE(mallctl)(name, NULL, NULL, NULL, 0);
}

static int arena_make(struct shv_member *m)
{
	struct shv_heap_hooks *h = calloc(1, sizeof(*h));
	extent_hooks_t *hp;
	size_t n = sizeof(unsigned);
	char name[64];

	if (!h)
		return -ENOMEM;
	h->hooks = hook_table;
	h->m = m;
	h->proc = m->local->proc;
	h->gen = m->local->gen;
	if (FAIL_POINT("arenas.create") || JE(mallctl)("arenas.create", &h->arena, &n, NULL, 0)) {
		free(h);
		return -ENOMEM;
	}
	hp = &h->hooks;
	snprintf(name, sizeof(name), "arena.%u.extent_hooks", h->arena);
	if (JE(mallctl)(name, NULL, NULL, &hp, sizeof(hp))) { /* NOLINT(bugprone-sizeof-expression): it takes the pointer */
		(void)arena_ctl(h->arena, "destroy");
		free(h);
		return -ENOMEM;
	}
	m->hooks = h;
	return 0;
}

/* This process's jemalloc arena index; made at first use. */
static int arena_get(struct shv_member *m, unsigned *arena)
{
	struct shv_local *l = m->local;
	int r = 0;

	if (unlikely(!load_acquire(&l->heap_arena))) {
		plock_acquire(&l->heap_lock);
		if (!l->heap_arena) {
			r = arena_make(m);
			if (!r)
				store_release(&l->heap_arena, m->hooks->arena + 1);
		}
		plock_release(&l->heap_lock);
		if (r)
			return fail(r, "arena '%s': jemalloc could not make an arena", m->name);
	}
	*arena = load_acquire(&l->heap_arena) - 1;
	return 0;
}

/*
 * jemalloc 5.3 aborts if it has no memory for the state of a new thread, and lives on with an automatic cache that was never set up
 * if it has none for that, to crash when the thread ends. So the room is tried before, and the state made while it is there.
 */
bool heap_thread_begin(void)
{
	void *room = FAIL_POINT("mmap-thread") ?
			     MAP_FAILED :
			     mmap(NULL, THREAD_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool cached;
	size_t n = sizeof(cached);

	if (room == MAP_FAILED)
		return false;
	munmap(room, THREAD_ROOM);
	return !JE(mallctl)("thread.tcache.enabled", &cached, &n, NULL, 0); /* makes it, as a question about sizes does not */
}

static int flags_of(struct shv_tc *tc, int *flags)
{
	unsigned arena = 0, cache;
	size_t n = sizeof(cache);
	int r = arena_get(tc->m, &arena);

	if (r)
		return r;
	if (unlikely(!tc->tcache)) {
		/* Without a cache it works too, only slower; jemalloc has 4,094 of them. */
		if (!FAIL_POINT("tcache.create") && !JE(mallctl)("tcache.create", &cache, &n, NULL, 0))
			tc_note_tcache(tc, cache + 1);
	}
	*flags = MALLOCX_ARENA(arena) | (tc->tcache ? MALLOCX_TCACHE(tc->tcache - 1) : MALLOCX_TCACHE_NONE);
	return 0;
}

static bool in_segment(const struct shv_member *m, const void *p, size_t size)
{
	return (uintptr_t)p >= (uintptr_t)m->base + m->geo.data_off &&
	       (uintptr_t)p - (uintptr_t)m->base + size <= m->geo.data_off + (m->geo.max_pages << SHV_PAGE_SHIFT);
}

/*
 * Blocks come from an extent in rising order at first. When one lies past what is backed, the next stretch is faulted in
 * with one system call; the stretches grow with use, so that a small arena stays small. Only advice: failure is no error.
 */
static void fault_ahead(struct shv_tc *tc, uint64_t off, uint64_t size)
{
	uint64_t at = tc->ahead_at, end = tc->ahead_end, len;

	if (likely(off + size <= at || off >= end || off + SHV_PAGE_SIZE < at))
		return;
	if (!tc->ahead_pages)
		tc->ahead_pages = POPULATE_FIRST;
	len = (uint64_t)tc->ahead_pages << SHV_PAGE_SHIFT;
	if (len > end - at)
		len = end - at;
	tc->ahead_at = at + len;
	if (tc->ahead_pages < POPULATE_MOST)
		tc->ahead_pages *= 2;
	if (size <= len)
		(void)madvise(tc->m->base + at, len, MADV_POPULATE_WRITE);
}

/*
 * In the last rounds of a thread's destructors jemalloc has shut this thread down and gives it memory of its own arena only, whatever
 * is asked for. Another thread can have it: one that lives just for this, as us, while we wait.
 */
struct errand {
	struct shv_tc *tc;
	uint64_t size;
	int flags;
	void *p;
};

static void *run_errand(void *arg)
{
	struct errand *e = arg;
	struct shv_tc *none = shv_tls_tc;

	shv_tls_tc = e->tc;
	e->p = heap_thread_begin() ? JE(mallocx)(e->size, e->flags) : NULL;
	shv_tls_tc = none;
	return NULL;
}

static void *alloc_by_errand(struct shv_tc *tc, uint64_t size, int flags)
{
	struct errand e = { tc, size, flags, NULL };
	sigset_t all, old;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* the program's handlers have no business in it */
	r = pthread_create(&thread, NULL, run_errand, &e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!r)
		pthread_join(thread, NULL);
	return e.p;
}

uint64_t heap_alloc(struct shv_tc *tc, uint64_t size, uint32_t align, unsigned *size_class)
{
	int flags, r = flags_of(tc, &flags);
	size_t n;
	void *p;

	if (r) {
		errno = -r;
		return 0;
	}
	n = class_size(class_of(size));
	if (unlikely(align > 16)) {
		flags |= MALLOCX_ALIGN(align);
		n = JE(nallocx)(size, flags);
	}
	tc->heap_error = 0;
	p = n ? JE(mallocx)(size, flags) : NULL;
	if (unlikely(p && !in_segment(tc->m, p, n))) {
		/* jemalloc is inside itself or shutting down this thread and used its own arena. */
		JE(dallocx)(p, MALLOCX_TCACHE_NONE);
		flags = MALLOCX_ARENA(tc->m->local->heap_arena - 1) | MALLOCX_TCACHE_NONE | (align > 16 ? MALLOCX_ALIGN(align) : 0);
		p = JE(mallocx)(size, flags);
		if (p && !in_segment(tc->m, p, n)) {
			JE(dallocx)(p, MALLOCX_TCACHE_NONE);
			p = tc->in_hook ? NULL : alloc_by_errand(tc, size, flags);
		}
		if (p && !in_segment(tc->m, p, n)) {
			JE(dallocx)(p, MALLOCX_TCACHE_NONE);
			p = NULL;
		}
	}
	if (unlikely(!p)) {
		r = tc->heap_error ? tc->heap_error : -ENOMEM;
		if (!tc->heap_error || r == -ENOMEM)
			fail(r, "arena '%s': no memory for a block of %llu bytes", tc->m->name, (unsigned long long)size);
		errno = -r;
		return 0;
	}
	*size_class = class_of(n);
	fault_ahead(tc, (uint64_t)((char *)p - tc->m->base), n);
	return (uint64_t)((char *)p - tc->m->base);
}

void heap_free(struct shv_tc *tc, uint64_t off, unsigned size_class)
{
	int flags = tc->tcache ? MALLOCX_TCACHE(tc->tcache - 1) : MALLOCX_TCACHE_NONE;

	JE(sdallocx)(tc->m->base + off, class_size(size_class), flags);
}

void heap_thread_end(struct shv_tc *tc)
{
	unsigned id = tc->tcache - 1;

	if (tc->tcache)
		(void)JE(mallctl)("tcache.destroy", NULL, NULL, &id, sizeof(id));
	tc_note_tcache(tc, 0);
}

void heap_trim(struct shv_tc *tc)
{
	unsigned cache;

	if (tc->tcache) {
		cache = tc->tcache - 1;
		(void)JE(mallctl)("tcache.flush", NULL, NULL, &cache, sizeof(cache));
	}
	if (load_acquire(&tc->m->local->heap_arena))
		(void)arena_ctl(tc->m->local->heap_arena - 1, "purge");
}

void heap_retire(struct shv_member *m)
{
	if (m->hooks)
		m->hooks->dead = true;
}

void heap_destroy(struct shv_member *m)
{
	struct shv_heap_hooks *h = m->hooks;

	if (!h)
		return;
	h->dead = true;
	m->hooks = NULL;
	m->local->heap_arena = 0;
	if (!arena_ctl(h->arena, "destroy"))
		free(h);
	/* else jemalloc still knows the hooks: they stay, and do nothing */
}

/*
 * Whatever the parent's heap had must leave jemalloc's map of extents before that heap goes; else the map names extents whose
 * descriptions are gone, and the next extent beside one of them is merged with garbage. If another thread of the parent was
 * purging at the time of the fork, jemalloc here believes for ever that somebody is at it, and purges no more; and what was
 * under way between jemalloc and us is nobody's. So it goes only if everything came back; else it stays, and does nothing, for its hooks
 * are of another process. (jemalloc's statistics would tell too, but reading them after a fork is not safe with explicit caches.)
 */
void heap_after_fork(struct shv_member *m)
{
	struct shv_heap_hooks *h = m->hooks;

	if (h && (arena_ctl(h->arena, "reset") || arena_ctl(h->arena, "purge") || load_relaxed(&h->bytes))) {
		m->hooks = NULL;
		m->local->heap_arena = 0;
		return;
	}
	heap_destroy(m);
}
