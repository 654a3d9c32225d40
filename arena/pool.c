/* SPDX-License-Identifier: MIT */
/*
 * The page pool: runs of pages for the heaps of all processes, for directory chunks and tables.
 *
 *   page map   one entry a page, the only truth: who owns it
 *   summaries  a tree over the map (leaf = 512 pages, fan-out 8) with the free runs at the start, the end and the longest
 *              anywhere; a pure function of the map, so that writing it again is always right
 *
 * Allocation is first fit by address, found by walking down the tree: O(log pages) and 512 entries of one leaf. Low
 * addresses first keeps the file dense, so that its tail can stay a hole.
 *
 * Every change is made under the pool lock in three steps:
 *   1  the intent: run, after-value of its entries, up to 4 further words with their after-values; then `active`
 *   2  entries, words, summaries
 *   3  active = 0
 * A death before 1 is complete leaves nothing; a death in 2 or 3 is repeated by whoever takes the lock next (pool_redo), which is
 * harmless because all values are absolute and nobody else can have changed them meanwhile.
 *
 * Runs are punched before they are marked free, outside the lock, while they still belong to the caller. Thus free
 * pages are always zero and cost no memory.
 *
 * Left out: a buddy system (rounds runs up, and its free lists would need the same care as the map), and
 * best fit (needs an ordered index of runs; jemalloc's requests are few and large, first fit does as well).
 */
#include "arena/arena_private.h"

#include <string.h>

#define GROW_PAGES_MIN 1024u /* 4 MiB: one ftruncate for several of jemalloc's first extents */
#define RESERVE_WAIT_MS 50u

static struct shv_sum_shm *sum_at(char *base, const struct shv_geo *g, unsigned level, uint64_t node)
{
	return (struct shv_sum_shm *)(base + g->level_off[level]) + node;
}

/* ---- summaries ----------------------------------------------------------------------------------- */

/* Joins the next stretch of `len` pages, summarised by s, to a summary of `done` pages. */
static void sum_join(struct shv_sum_shm *acc, uint64_t done, const struct shv_sum_shm *s, uint64_t len)
{
	uint64_t bridge = (uint64_t)acc->end + s->start;

	if (bridge > acc->max)
		acc->max = (uint32_t)bridge;
	if (s->max > acc->max)
		acc->max = s->max;
	if (acc->start == done)
		acc->start = (uint32_t)(done + s->start);
	acc->end = s->end == len ? (uint32_t)(acc->end + len) : s->end;
}

static struct shv_sum_shm leaf_sum(char *base, const struct shv_geo *g, uint64_t leaf, uint64_t pages)
{
	struct shv_sum_shm s = { 0, 0, 0, 0 };
	const uint64_t *e = page_entry(base, g, leaf << SHV_LEAF_SHIFT);
	uint64_t first = leaf << SHV_LEAF_SHIFT, n = pages > first ? pages - first : 0;
	uint32_t run = 0;
	bool broken = false;

	if (n > SHV_LEAF_PAGES)
		n = SHV_LEAF_PAGES;
	for (uint64_t i = 0; i < n; i++) {
		if (load_relaxed(&e[i]) == 0) {
			run++;
			continue;
		}
		if (!broken)
			s.start = run;
		if (run > s.max)
			s.max = run;
		run = 0;
		broken = true;
	}
	if (!broken)
		s.start = run;
	if (run > s.max)
		s.max = run;
	s.end = n == SHV_LEAF_PAGES ? run : 0; /* pages past the pool's end are not free */
	return s;
}

static void store_sum(struct shv_sum_shm *at, const struct shv_sum_shm *s)
{
	store_relaxed(&at->start, s->start);
	store_relaxed(&at->max, s->max);
	store_relaxed(&at->end, s->end);
}

/* Bring the summaries over pages first..last in line with the map. */
static void sums_update(char *base, const struct shv_geo *g, uint64_t first, uint64_t last, uint64_t pages)
{
	uint64_t lo = first >> SHV_LEAF_SHIFT, hi = last >> SHV_LEAF_SHIFT, span = SHV_LEAF_PAGES;

	for (uint64_t n = lo; n <= hi; n++) {
		struct shv_sum_shm s = leaf_sum(base, g, n, pages);
		store_sum(sum_at(base, g, 0, n), &s);
	}
	for (unsigned level = 1; level < g->levels; level++, span <<= SHV_FAN_SHIFT) {
		lo >>= SHV_FAN_SHIFT;
		hi >>= SHV_FAN_SHIFT;
		for (uint64_t n = lo; n <= hi; n++) {
			struct shv_sum_shm s = { 0, 0, 0, 0 };
			uint64_t kid = n << SHV_FAN_SHIFT;
			for (unsigned k = 0; k < 1u << SHV_FAN_SHIFT; k++) {
				struct shv_sum_shm none = { 0, 0, 0, 0 };
				sum_join(&s, k * span, kid + k < g->level_nodes[level - 1] ? sum_at(base, g, level - 1, kid + k) : &none,
					 span);
			}
			store_sum(sum_at(base, g, level, n), &s);
		}
	}
}

/* First run of n free pages within the leaf; the caller knows that there is one. */
static uint64_t leaf_find(char *base, const struct shv_geo *g, uint64_t leaf, uint32_t n)
{
	const uint64_t *e = page_entry(base, g, leaf << SHV_LEAF_SHIFT);
	uint32_t run = 0;

	for (uint32_t i = 0; i < SHV_LEAF_PAGES; i++) {
		run = load_relaxed(&e[i]) == 0 ? run + 1 : 0;
		if (run == n)
			return (leaf << SHV_LEAF_SHIFT) + i + 1 - n;
	}
	return UINT64_MAX;
}

/* First fit: the page where n free ones begin, or UINT64_MAX. */
static uint64_t pool_find(char *base, const struct shv_geo *g, uint32_t n)
{
	unsigned level = g->levels - 1;
	uint64_t node = 0, count = g->level_nodes[level];

	for (;;) {
		uint64_t span = (uint64_t)SHV_LEAF_PAGES << (SHV_FAN_SHIFT * level), run = 0, start = 0, down = UINT64_MAX;
		for (uint64_t i = node; i < node + count && i < g->level_nodes[level]; i++) {
			const struct shv_sum_shm *s = sum_at(base, g, level, i);
			if (run + s->start >= n)
				return run ? start : i * span;
			if (s->max >= n) {
				down = i;
				break;
			}
			if (s->end == span) {
				start = run ? start : i * span;
				run += span;
			} else {
				start = (i + 1) * span - s->end;
				run = s->end;
			}
		}
		if (down == UINT64_MAX)
			return UINT64_MAX;
		if (level == 0)
			return leaf_find(base, g, down, n);
		level--;
		node = down << SHV_FAN_SHIFT;
		count = 1u << SHV_FAN_SHIFT;
	}
}

uint64_t pool_rebuild_sums(char *base, const struct shv_geo *g, uint64_t pages)
{
	if (pages)
		sums_update(base, g, 0, pages - 1, pages);
	return pages;
}

/* ---- intents ------------------------------------------------------------------------------------- */

/* Steps 2 and 3, also by another process after a death. Everything in the intent was checked by the one who wrote it; but
 * the bytes are shared, so bounds are looked at once more. */
void pool_redo(struct shv_member *m)
{
	struct shv_super_shm *s = super_of(m->base);
	const struct shv_pool_intent_shm *in = &s->pool_intent;
	uint64_t page = in->page, pages = in->pages, have;

	if (!load_acquire(&in->active))
		return;
	if (page <= m->geo.max_pages && pages <= m->geo.max_pages - page) {
		for (uint64_t i = 0; i < pages; i++)
			store_relaxed(page_entry(m->base, &m->geo, page + i), in->value);
		CRASH_POINT("pool-entries");
		for (uint32_t i = 0; i < in->writes && i < 4; i++)
			if (in->word[i].off <= m->geo.data_off - 8 && in->word[i].off % 8 == 0)
				store_release((uint64_t *)(m->base + in->word[i].off), in->word[i].value);
		CRASH_POINT("pool-words");
		/* By the word, not by what this process knows of the file: only the map is read. */
		have = load_acquire(&s->pool_pages);
		if (pages)
			sums_update(m->base, &m->geo, page, page + pages - 1, have < m->geo.max_pages ? have : m->geo.max_pages);
	}
	CRASH_POINT("pool-sums");
	store_release(&s->pool_intent.active, 0);
}

static void commit(struct shv_member *m, uint64_t page, uint64_t pages, uint64_t value, const struct shv_word_write *w, unsigned words)
{
	struct shv_pool_intent_shm *in = &super_of(m->base)->pool_intent;

	in->page = (uint32_t)page;
	in->pages = (uint32_t)pages;
	in->value = value;
	for (unsigned i = 0; i < words; i++) {
		in->word[i].off = w[i].off;
		in->word[i].value = w[i].value;
	}
	in->writes = words;
	CRASH_POINT("pool-intent");
	store_release(&in->active, 1);
	CRASH_POINT("pool-active");
	pool_redo(m);
}

/* ---- growth -------------------------------------------------------------------------------------- */

/* More pages at the end; the pool lock is held. */
static int grow(struct shv_member *m, uint64_t need)
{
	/* By the word: what this process knows of the file may be old, if the program closed the descriptor. */
	uint64_t have = load_acquire(&super_of(m->base)->pool_pages), room, step = have / 8;
	struct shv_word_write w;
	int r;

	if (have > m->geo.max_pages)
		return fail(-EUCLEAN, "arena '%s': its number of pages is damaged", m->name);
	room = m->geo.max_pages - have;
	if (need > room)
		return fail(-ENOSPC, "arena '%s' is full: %llu bytes of capacity: create it with a larger one", m->name,
			    (unsigned long long)m->geo.capacity);
	if (step < GROW_PAGES_MIN)
		step = GROW_PAGES_MIN;
	if (step < need)
		step = need;
	if (step > room)
		step = room;
	r = memfd_grow(m, m->geo.data_off + ((have + step) << SHV_PAGE_SHIFT));
	if (r && step > need) {
		step = need;
		r = memfd_grow(m, m->geo.data_off + ((have + step) << SHV_PAGE_SHIFT));
	}
	if (r)
		return r;
	CRASH_POINT("pool-grown");
	w.off = offsetof(struct shv_super_shm, pool_pages);
	w.value = have + step;
	commit(m, have, step, 0, &w, 1);
	return 0;
}

/* ---- the reserve --------------------------------------------------------------------------------- */

/*
 * A member that was stopped (SIGSTOP, a debugger) inside the pool holds its lock and lives, so nobody may take it over. A few
 * pages that are ours already bridge that: small requests are served from them meanwhile.
 */
static bool reserve_take(struct shv_member *m, uint32_t n, uint64_t *page)
{
	struct shv_local *l = m->local;
	bool ok = false;

	plock_acquire(&l->reserve_lock);
	if (n <= l->reserve_n) {
		*page = l->reserve_page;
		l->reserve_page += n;
		l->reserve_n -= n;
		ok = true;
	}
	plock_release(&l->reserve_lock);
	return ok;
}

/* Fill it while the lock is held anyway. */
static void reserve_fill(struct shv_member *m)
{
	struct shv_local *l = m->local;
	uint64_t page;

	if (!l->registered || !plock_try(&l->reserve_lock))
		return;
	if (!l->reserve_n) {
		page = pool_find(m->base, &m->geo, SHV_RESERVE_PAGES);
		if (page != UINT64_MAX) {
			commit(m, page, SHV_RESERVE_PAGES, page_make(SHV_PG_OWNED, l->proc, 0, l->gen), NULL, 0);
			l->reserve_page = (uint32_t)page;
			l->reserve_n = SHV_RESERVE_PAGES;
		}
	}
	plock_release(&l->reserve_lock);
}

/* ---- interface ------------------------------------------------------------------------------------ */

static int find_or_grow(struct shv_member *m, uint32_t n, uint64_t *page)
{
	int r;

	*page = pool_find(m->base, &m->geo, n);
	if (*page != UINT64_MAX)
		return 0;
	r = grow(m, n);
	if (r)
		return r;
	*page = pool_find(m->base, &m->geo, n);
	return *page != UINT64_MAX ? 0 : fail(-EUCLEAN, "arena '%s': the summary of its page map is wrong", m->name);
}

int pool_alloc_with(struct shv_member *m, uint32_t n, uint32_t align, uint64_t entry, uint64_t *page, pool_fill fill, void *ctx)
{
	struct shv_word_write w[3];
	uint64_t at, extra = align > 1 ? align - 1 : 0;
	unsigned words;
	int r = -ENOSPC;

	if (!n || n + extra > m->geo.max_pages)
		return fail(-ENOSPC, "arena '%s': %u pages are more than its capacity", m->name, n);
	for (int round = 0; round < 2; round++) {
		/* With the reserve at hand nobody needs to wait for a stopped member; words cannot be committed that way. */
		if (!fill && align <= 1 && entry == page_make(SHV_PG_OWNED, m->local->proc, 0, m->local->gen)) {
			r = sys_lock_for(m, RANK_POOL, RESERVE_WAIT_MS);
			if (r == -ETIMEDOUT && reserve_take(m, n, page))
				return 0;
			if (r == -ETIMEDOUT)
				r = sys_lock(m, RANK_POOL);
		} else {
			r = sys_lock(m, RANK_POOL);
		}
		if (r)
			return r;
		r = find_or_grow(m, (uint32_t)(n + extra), &at);
		if (!r)
			break;
		sys_unlock(m, RANK_POOL);
		/* Dry: perhaps the dead sit on pages. */
		if (r != -ENOSPC || round || tc_get(m)->ranks || recover_all(m, NULL) <= 0)
			return r;
	}
	if (r)
		return r;
	if (extra) {
		/* Alignment is that of the mapping's addresses, which are aligned like their offsets. */
		uint64_t first = m->geo.data_off >> SHV_PAGE_SHIFT;
		at = ((at + first + extra) & ~extra) - first;
	}
	words = fill ? fill(ctx, at, w) : 0;
	commit(m, at, n, entry, w, words);
	reserve_fill(m);
	sys_unlock(m, RANK_POOL);
	*page = at;
	return 0;
}

int pool_alloc(struct shv_member *m, uint32_t n, uint32_t align, uint64_t entry, uint64_t *page)
{
	return pool_alloc_with(m, n, align, entry, page, NULL, NULL);
}

static bool as_expected(const struct shv_member *m, uint64_t page, uint64_t expected, uint64_t mask)
{
	return (load_relaxed(page_entry(m->base, &m->geo, page)) & mask) == expected;
}

int pool_set(struct shv_member *m, uint64_t page, uint64_t n, uint64_t expected, uint64_t mask, uint64_t entry,
	     const struct shv_word_write *w, unsigned words)
{
	uint64_t run = 0;
	int r = sys_lock(m, RANK_POOL);

	if (r)
		return r;
	for (uint64_t i = 0; i < n && words; i++)
		if (!as_expected(m, page + i, expected, mask)) {
			sys_unlock(m, RANK_POOL);
			return -ESTALE; /* all or nothing where words go with it */
		}
	for (uint64_t i = 0; i <= n; i++) { /* in stretches of pages that are as expected */
		if (i < n && as_expected(m, page + i, expected, mask)) {
			run++;
			continue;
		}
		if (run || (i == n && words))
			commit(m, page + i - run, run, entry, w, i == n ? words : 0);
		run = 0;
	}
	sys_unlock(m, RANK_POOL);
	return 0;
}

int pool_free(struct shv_member *m, uint64_t page, uint64_t n, uint64_t expected, uint64_t mask)
{
	int r = memfd_punch(m, page_addr(m->base, &m->geo, page), (size_t)n << SHV_PAGE_SHIFT);

	if (r)
		return r;
	CRASH_POINT("pool-punched");
	return pool_set(m, page, n, expected, mask, 0, NULL, 0);
}

void pool_format(char *base, const struct shv_geo *g)
{
	/* Page 0 is never handed out, so that 'page 0' can mean none. */
	store_relaxed(page_entry(base, g, 0), page_make(SHV_PG_SYSTEM, 0, SHV_TABLE_RESERVED, 0));
	store_relaxed(&super_of(base)->pool_pages, 1);
	sums_update(base, g, 0, 0, 1);
}
