/* SPDX-License-Identifier: MIT */
/*
 * Threads: an entry in the arena's thread table, and the thread cache (struct shv_tc) with its magazines.
 *
 * A thread has one cache for each member (memfd) it works with, made at its first call and ended by a
 * pthread key's destructor. All caches lie in MADV_WIPEONFORK memory: in a child of fork, _Fork or clone they read as
 * zero, which sends the first call into tc_get_slow(), and that registers the new process. No atfork handler is needed.
 *
 * A thread that ends while it holds a lock leaves its entry ENDED: its locks count as abandoned, and its index is
 * not used again before recovery has swept them.
 */
#include "arena/arena_private.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct shv_tc no_tc; /* size 0: never matches */
TLS_FAST struct shv_tc *shv_tls_tc = &no_tc;

/* The caches of this thread. Ordinary memory: the pointers stay good in a child, what they point at is wiped. */
struct tc_list {
	unsigned n, cap;
	struct { struct shv_member *m; uint64_t serial; struct shv_tc *tc; unsigned tcache; } v[];
};
static __thread struct tc_list *my_list;
static uint32_t key_made; /* the key + 1; 0: none yet */

/* ---- the thread table ------------------------------------------------------------------------------ */

static bool entry_claim(struct shv_member *m, uint32_t i, struct shv_tc *tc)
{
	struct shv_thread_shm *t = thread_at(m->base, &m->geo, i);
	uint64_t w = load_relaxed(&t->word);

	if (thread_state(w) != SHV_THREAD_FREE || !cas64(&t->word, &w, thread_word(SHV_THREAD_ALIVE, m->local->proc, m->local->gen)))
		return false;
	/* Between here and the next lines the entry shows its predecessor's numbers; nobody asks before it owns a lock. */
	store_relaxed(&t->tid, (int32_t)syscall(SYS_gettid));
	store_relaxed(&t->held, 0);
	store_relaxed(&t->handed, 0);
	t->created = t->freed = 0;
	if (pthread_getname_np(pthread_self(), t->name, sizeof(t->name)))
		t->name[0] = 0;
	tc->thread = t;
	tc->me = i + 1;
	return true;
}

int thread_register(struct shv_member *m, struct shv_tc *tc)
{
	struct shv_super_shm *s = super_of(m->base);
	uint32_t limit = m->geo.max_threads < LOCK_OWNER_LIMIT ? m->geo.max_threads : LOCK_OWNER_LIMIT;
	uint32_t hint = load_relaxed(&s->threads_hint), high;

	if (hint >= limit)
		hint = 0;
	for (uint32_t k = 0; k < limit; k++) {
		uint32_t i = hint + k < limit ? hint + k : hint + k - limit;
		/* Beyond the high-water mark everything is free: raise it before the entry is taken, for readers look no further. */
		high = load_acquire(&s->threads_high);
		while (high < i + 1 && !cas32(&s->threads_high, &high, i + 1))
			;
		if (entry_claim(m, i, tc)) {
			store_relaxed(&s->threads_hint, i + 1);
			return 0;
		}
	}
	return fail(-EUSERS, "arena '%s': its thread table is full (%u): create it with a larger max_processes", m->name, limit);
}

static void entry_release(struct shv_tc *tc)
{
	struct shv_thread_shm *t = tc->thread;
	struct shv_process_shm *p = process_at(tc->m->base, &tc->m->geo, tc->proc);
	bool holds = load_relaxed(&t->held) || load_relaxed(&t->handed);
	struct shv_super_shm *s = super_of(tc->m->base);

	fetch_add_relaxed(&p->created, t->created);
	fetch_add_relaxed(&p->freed, t->freed);
	store_release(&t->word, thread_word(holds ? SHV_THREAD_ENDED : SHV_THREAD_FREE, tc->proc, tc->gen));
	if (!holds && tc->me - 1 < load_relaxed(&s->threads_hint))
		store_relaxed(&s->threads_hint, tc->me - 1);
}

/* ---- caches ------------------------------------------------------------------------------------------ */

static void *wiped_pages(size_t size)
{
	void *p = FAIL_POINT("mmap-wiped") ? MAP_FAILED :
					     mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (FAIL_POINT("madvise-wiped") || madvise(p, size, MADV_WIPEONFORK)) {
		munmap(p, size);
		return NULL;
	}
	return p;
}

void *shv_wiped_alloc(size_t size)
{
	return wiped_pages(size);
}

static void mags_free(struct shv_tc *tc)
{
	for (unsigned i = 0; i < SHV_MAG_KEYS; i++)
		if (tc->mags[i].slots) {
			munmap(tc->mags[i].slots, tc->mags[i].cap * sizeof(uint32_t));
			memset(&tc->mags[i], 0, sizeof(tc->mags[i]));
		}
}

static void list_remove(struct shv_local *l, struct shv_tc *tc)
{
	if (tc->prev)
		tc->prev->next = tc->next;
	else
		l->tcs = tc->next;
	if (tc->next)
		tc->next->prev = tc->prev;
}

/* Give everything back that the cache of this thread holds, and the thread's entry. */
static void tc_end(struct shv_tc *tc)
{
	struct shv_local *l = tc->m->local;

	directory_flush(tc, true);
	heap_thread_end(tc);
	plock_acquire(&l->tc_lock);
	list_remove(l, tc);
	plock_release(&l->tc_lock);
	entry_release(tc);
	tc->size = 0;
	mags_free(tc);
}

static void thread_end(void *arg)
{
	struct tc_list *list = arg;

	for (unsigned i = 0; i < list->n; i++) {
		struct shv_tc *tc = list->v[i].tc;
		if (tc->size) {
			shv_tls_tc = tc;
			tc_end(tc);
		}
		munmap(tc, sizeof(*tc));
	}
	shv_tls_tc = &no_tc;
	my_list = NULL;
	free(list);
}

/*
 * The key whose destructor ends caches. Destructors run in the order in which their keys were made, and jemalloc makes its own when it is
 * loaded: ours is to be before, so that the last blocks go back while jemalloc's state of this thread is there.
 */
__attribute__((constructor(101))) static void key_make_early(void)
{
	pthread_key_t key;

	if (!pthread_key_create(&key, thread_end))
		key_made = key + 1;
}

/* There are few in a process: if none was left then, or is now, there may be one later. */
static bool key_get(pthread_key_t *key)
{
	uint32_t made = load_acquire(&key_made), none = 0;

	if (FAIL_POINT("pthread-key"))
		return false;
	if (!made) {
		if (pthread_key_create(key, thread_end))
			return false;
		if (cas32(&key_made, &none, *key + 1))
			return true;
		(void)pthread_key_delete(*key); /* another thread was faster */
		made = none;
	}
	*key = made - 1;
	return true;
}

/* The entry of m in this thread's list, with memory for its cache. */
static struct shv_tc *list_entry(struct shv_member *m)
{
	struct tc_list *l = my_list;
	unsigned idle = UINT32_MAX;
	pthread_key_t key;

	for (unsigned i = 0; l && i < l->n; i++) {
		if (l->v[i].m == m && l->v[i].serial == m->serial)
			return l->v[i].tc;
		if (!l->v[i].tc->size && !l->v[i].tc->m)
			idle = i; /* of a member that was detached */
	}
	if (idle != UINT32_MAX) {
		l->v[idle].m = m;
		l->v[idle].serial = m->serial;
		l->v[idle].tcache = 0; /* of another member; gone with its heap */
		return l->v[idle].tc;
	}
	if (!l && !heap_thread_begin())
		return NULL;
	if (!l || l->n == l->cap) {
		unsigned cap = l ? l->cap * 2 : 4;
		struct tc_list *bigger = realloc(l, sizeof(*l) + cap * sizeof(l->v[0]));
		if (!bigger)
			return NULL;
		if (!l)
			bigger->n = 0;
		bigger->cap = cap;
		my_list = l = bigger;
	}
	if (!key_get(&key) || FAIL_POINT("pthread-setspecific") || pthread_setspecific(key, l))
		return NULL;
	l->v[l->n].tc = wiped_pages(sizeof(struct shv_tc));
	if (!l->v[l->n].tc)
		return NULL;
	l->v[l->n].m = m;
	l->v[l->n].serial = m->serial;
	l->v[l->n].tcache = 0;
	return l->v[l->n++].tc;
}

void tc_note_tcache(struct shv_tc *tc, unsigned tcache)
{
	tc->tcache = tcache;
	for (unsigned i = 0; my_list && i < my_list->n; i++)
		if (my_list->v[i].tc == tc)
			my_list->v[i].tcache = tcache;
}

/*
 * After fork the cache of the parent's heap is still there, and stays: in the child jemalloc has begun its list of caches anew, with that of
 * this thread alone, and to take one out that is not on it would tie that list to those of the parent. Untouched it costs an index and no memory.
 */
static void forget_inherited(const struct shv_tc *tc)
{
	for (unsigned i = 0; i < my_list->n; i++)
		if (my_list->v[i].tc == tc)
			my_list->v[i].tcache = 0;
}

/* Valid from here on: what it points at is in the primary mapping of m. */
static void tc_fill(struct shv_tc *tc, struct shv_member *m)
{
	struct shv_local *l = m->local;

	tc->m = m;
	tc->proc = l->proc;
	tc->gen = l->gen;
	tc->chunk_tab = chunk_entry(m->base, &m->geo, 0);
	tc->pages = (const uint64_t *)((uintptr_t)page_entry(m->base, &m->geo, 0) - (m->geo.data_off >> SHV_PAGE_SHIFT) * sizeof(uint64_t));
	tc->base = (uintptr_t)m->base;
	tc->data = m->base + m->geo.data_off;
	tc->low = m->geo.data_off + SHV_HEADER_SIZE;
	tc->span = 0; /* the first look goes the slow way and finds out */
	tc->own = page_make(SHV_PG_OWNED, l->proc, 0, l->gen);
	tc->live = (uint32_t)slot_word(SHV_SLOT_LIVE, l->proc, 0, 0, 0);
	tc->held = (uint32_t)slot_word(SHV_SLOT_HELD, l->proc, 0, 0, 0);
	tc->next = l->tcs;
	tc->prev = NULL;
	if (l->tcs)
		l->tcs->prev = tc;
	l->tcs = tc;
	tc->size = m->size;
}

static int tc_make(struct shv_member *m, struct shv_tc *tc)
{
	struct shv_local *l = m->local;
	int r = l->registered ? process_ours(m) : process_register(m);

	if (r)
		return r;
	r = thread_register(m, tc);
	if (r)
		return r;
	tc_fill(tc, m);
	return 0;
}

/*
 * The process table is full, perhaps of the dead. As a visitor we may recover them: how many; -EBUSY: somebody else is visiting,
 * and makes room for us, too; other negative errno.
 */
static int visit(struct shv_member *m, struct shv_tc *tc)
{
	struct shv_local *l = m->local;
	int r = process_register_visitor(m);

	if (r)
		return r == -EUSERS ? -EBUSY : r;
	r = thread_register(m, tc);
	if (r) {
		process_leave(m);
		return r;
	}
	tc_fill(tc, m);
	shv_tls_tc = tc;
	r = recover_all(m, NULL);
	recover_visitor_leaves(m, tc);
	l->tcs = NULL;
	memset(tc, 0, sizeof(*tc));
	shv_tls_tc = &no_tc;
	return r;
}

#define VISIT_TRIES 1000 /* ms, about: who is stopped in a visit shall not stop all newcomers for ever */

/* A cache, and a process slot if there is none yet. */
static int tc_make_somehow(struct shv_member *m, struct shv_tc *tc)
{
	int r = tc_make(m, tc), n = -EBUSY;

	/* Registered already: it is the threads that are too many, and no visit helps. */
	for (int tries = 0; r == -EUSERS && !m->local->registered && n && tries < VISIT_TRIES; tries++) {
		n = visit(m, tc);
		if (n == -EBUSY)
			nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
		else if (n < 0)
			return n;
		r = tc_make(m, tc);
	}
	return r;
}

struct shv_tc *tc_get_slow(struct shv_member *m)
{
	struct shv_tc *tc = list_entry(m);
	int r = 0;

	if (!tc)
		return fail_null(-ENOMEM, "arena '%s': no memory for this thread's cache", m->name);
	if (tc->size) {
		shv_tls_tc = tc;
		return tc;
	}
	plock_acquire(&m->local->tc_lock);
	forget_inherited(tc);
	r = tc_make_somehow(m, tc);
	plock_release(&m->local->tc_lock);
	if (r) {
		memset(tc, 0, sizeof(*tc));
		return null_with(r);
	}
	shv_tls_tc = tc;
	return tc;
}

void tc_forget_handle(struct shv_member *m, const struct shv_arena *a)
{
	plock_acquire(&m->local->tc_lock);
	for (struct shv_tc *tc = m->local->tcs; tc; tc = tc->next)
		if (load_relaxed(&tc->handle) == a)
			store_relaxed(&tc->handle, NULL);
	plock_release(&m->local->tc_lock);
}

void tc_drop_all(struct shv_member *m)
{
	struct shv_local *l = m->local;
	struct shv_tc *next;

	/* No other thread is inside (the caller's duty), so their caches may be touched. Their memory stays until they end. */
	for (struct shv_tc *tc = l->tcs; tc; tc = next) {
		next = tc->next;
		heap_thread_end(tc); /* its own thread's note of the cache is dropped below or when that thread ends */
		mags_free(tc);
		memset(tc, 0, sizeof(*tc));
	}
	l->tcs = NULL;
}
