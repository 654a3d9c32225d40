/* SPDX-License-Identifier: MIT */
/*
 * The checker's rules about pages: each has one known state and an owner who exists; the summary tree is
 * what the map says; the chunk table and the pages of the directory name each other one to one. Which
 * blocks lie where is check_blocks.c's.
 */
#include "config.h"

#include "arena/check.h"

#include <stdio.h>
#include <stdlib.h>

#define ULL(x) ((unsigned long long)(x))

/* ---- page map ---------------------------------------------------------------------------------------- */

static const char *where(char *buf, size_t size, uint64_t first, uint64_t last)
{
	if (first == last)
		snprintf(buf, size, "page %llu", ULL(first));
	else
		snprintf(buf, size, "pages %llu to %llu", ULL(first), ULL(last));
	return buf;
}

/*
 * The owner of pages must be there, in the generation that took them: pages of the dead change hands before
 * their slot does.
 */
static void check_owner(struct check *c, uint64_t page, uint64_t e, const char *at, const char *as)
{
	uint32_t proc = page_proc(e), gen = page_gen(e);
	uint64_t word;

	if (proc > c->g->last_process) {
		check_found(c, page, e, 0, "%s: %s process %u, but there are only %u process slots", at, as,
			    proc, c->g->last_process + 1);
		return;
	}
	word = c->procs[proc].word;
	if (proc_state(word) == SHV_PROC_FREE)
		check_found(c, page, e, word, "%s: %s process %u generation %u, but that slot is free", at, as,
			    proc, gen);
	else if (proc_gen(word) != gen)
		check_found(c, page, e, word,
			    "%s: %s process %u generation %u, but that slot is in generation %u", at, as, proc,
			    gen, proc_gen(word));
}

static void check_system(struct check *c, uint64_t first, uint64_t last, uint64_t e, const char *at)
{
	uint32_t table = page_count(e);

	if (table == SHV_TABLE_RESERVED && first != 0)
		check_found(c, first, e, 0, "%s: reserved, but only page 0 may be", at);
	else if (table == SHV_TABLE_RESERVED && last != 0)
		check_found(c, last, e, 0, "pages 1 to %llu: reserved, but only page 0 may be", ULL(last));
	else if (table != SHV_TABLE_RESERVED && table != SHV_TABLE_NAMES)
		check_found(c, first, e, 0, "%s: system page of table %u, which does not exist", at, table);
}

/* Only orphans, system pages and a chunk that waits for an adopter have a number there; others are compared whole. */
static void check_count_unused(struct check *c, uint64_t page, uint64_t e, const char *at)
{
	if (page_count(e))
		check_found(c, page, e, 0, "%s: the entry %016llx has a count of %u, which such pages do not have", at, ULL(e), page_count(e));
}

/* A chunk may have lost its process; `count` in its first entry is then of slots that one may take. */
static void check_directory(struct check *c, uint64_t page, uint64_t e, const char *at)
{
	if (page_proc(e) != SHV_NO_PROCESS) {
		check_owner(c, page, e, at, "directory of");
		check_count_unused(c, page, e, at);
	} else if (page_gen(e) && c->recovery_still && !lock_owner(c->super.recovery.word)) {
		check_found(c, page, e, 0,
			    "%s: directory without a process, set aside to be freed, but nobody is at it", at);
	}
}

/* Pages first..last have equal entries. */
static void check_entries(struct check *c, uint64_t first, uint64_t last, uint64_t e)
{
	char at[64];

	where(at, sizeof(at), first, last);
	switch (page_state(e)) {
	case SHV_PG_FREE:
		if (e)
			check_found(c, first, e, 0, "%s: free, but the entry is %016llx and not zero", at,
				    ULL(e));
		break;
	case SHV_PG_OWNED:
		check_owner(c, first, e, at, "owned by");
		check_count_unused(c, first, e, at);
		break;
	case SHV_PG_SLOTS:
		check_directory(c, first, e, at);
		break;
	case SHV_PG_INTERIOR:
		check_count_unused(c, first, e, at);
		break;
	case SHV_PG_ORPHAN:
		break; /* judged by what lies on them */
	case SHV_PG_SYSTEM:
		check_system(c, first, last, e, at);
		break;
	default:
		check_found(c, first, e, 0, "%s: state %u, which does not exist", at, page_state(e));
	}
}

void check_pages(struct check *c)
{
	uint64_t first = 0;

	for (uint64_t p = 1; p <= c->pages; p++) {
		if (p < c->pages && c->map[p] == c->map[first])
			continue;
		check_entries(c, first, p - 1, c->map[first]);
		first = p;
	}
	if (c->pages && c->map[0] != page_make(SHV_PG_SYSTEM, 0, SHV_TABLE_RESERVED, 0))
		check_found(c, 0, c->map[0], 0, "page 0: not reserved (entry %016llx)", ULL(c->map[0]));
}

/* ---- summaries --------------------------------------------------------------------------------------- */

struct sum {
	uint64_t start, max, end;
};

/* What a leaf must say: its pages from `first` on, those past the pool's end counting as taken. */
static struct sum leaf_of(const struct check *c, uint64_t first)
{
	struct sum s = { 0, 0, 0 };
	uint64_t run = 0;
	bool whole = true;

	for (uint64_t p = first; p < first + SHV_LEAF_PAGES; p++) {
		if (p < c->pages && page_state(c->map[p]) == SHV_PG_FREE) {
			run++;
			s.max = run > s.max ? run : s.max;
			continue;
		}
		if (whole)
			s.start = run;
		whole = false;
		run = 0;
	}
	if (whole)
		s.start = run;
	s.end = run;
	return s;
}

/* Two neighbours, the left one `llen` and the right one `rlen` pages long, as one. */
static struct sum joined(struct sum l, uint64_t llen, struct sum r, uint64_t rlen)
{
	struct sum s = { l.start, l.max > r.max ? l.max : r.max, r.end };

	if (l.start == llen)
		s.start = llen + r.start;
	if (r.end == rlen)
		s.end = rlen + l.end;
	if (l.end + r.start > s.max)
		s.max = l.end + r.start;
	return s;
}

/* An intent over these pages is under way: whoever carries it out writes the summaries anew. */
static bool being_changed(const struct check *c, uint64_t first, uint64_t pages)
{
	for (unsigned i = 0; i < c->runs_n; i++)
		if (c->runs[i].page < first + pages && first < c->runs[i].page + c->runs[i].pages)
			return true;
	return false;
}

static void check_sum(struct check *c, unsigned level, uint64_t node, uint64_t span, struct sum want)
{
	const struct shv_sum_shm *is = &c->sums[level][node];

	if (is->start == want.start && is->max == want.max && is->end == want.end)
		return;
	if (being_changed(c, node * span, span))
		return;
	check_found(c, node * SHV_MAX_LEVELS + level, check_mix(check_mix(is->start, is->max), is->end),
		    check_mix(check_mix(want.start, want.max), want.end),
		    "summary level %u node %llu (pages from %llu): says %u free at the start, %u at the most, "
		    "%u at the end; the page map says %llu, %llu, %llu",
		    level, ULL(node), ULL(node * span), is->start, is->max, is->end, ULL(want.start),
		    ULL(want.max), ULL(want.end));
}

/* The next level up: eight neighbours become one, in place. `count` nodes of `span` pages each. */
static void fold(struct sum *node, uint64_t count, uint64_t span)
{
	const struct sum none = { 0, 0, 0 };
	unsigned fan = 1u << SHV_FAN_SHIFT;

	for (uint64_t n = 0; n * fan < count; n++) {
		struct sum s = node[n * fan];
		for (unsigned k = 1; k < fan; k++)
			s = joined(s, k * span, n * fan + k < count ? node[n * fan + k] : none, span);
		node[n] = s;
	}
}

/*
 * Each level is compared with what follows from the map, not from the level below, so that a mistake there
 * is told once. Nodes past the pool's end say that nothing is free; they are looked at too, for an
 * allocator that believes them walks out of the file.
 */
void check_sums(struct check *c)
{
	uint64_t span = SHV_LEAF_PAGES, count = c->g->level_nodes[0];
	struct sum *want;

	if (!c->pool_still)
		return;
	want = calloc(count, sizeof(*want));
	if (!want) {
		c->err = -ENOMEM;
		return;
	}
	for (uint64_t n = 0; n < count && n * span < c->pages; n++)
		want[n] = leaf_of(c, n * span);
	for (unsigned level = 0; level < c->g->levels; level++) {
		for (uint64_t n = 0; n < c->g->level_nodes[level]; n++)
			check_sum(c, level, n, span, want[n]);
		fold(want, c->g->level_nodes[level], span);
		span <<= SHV_FAN_SHIFT;
	}
	free(want);
}

/* ---- chunk table ------------------------------------------------------------------------------------- */

/* Why nothing can be read from the chunk. */
static void chunk_unusable(struct check *c, uint32_t i, uint64_t entry)
{
	uint64_t page = SHV_CHUNK_PAGE(entry), bad = page;

	if (page >= c->pages || SHV_CHUNK_PAGES > c->pages - page) {
		check_found(c, i, entry, 0, "chunk %u: begins at page %llu, but the pool has %llu pages", i,
			    ULL(page), ULL(c->pages));
		return;
	}
	while (bad < page + SHV_CHUNK_PAGES && page_state(c->map[bad]) == SHV_PG_SLOTS)
		bad++;
	if (bad < page + SHV_CHUNK_PAGES)
		check_found(c, i, entry, c->map[bad],
			    "chunk %u: its page %llu is no directory page (entry %016llx)", i, ULL(bad),
			    ULL(c->map[bad]));
	else
		check_found(c, i, entry, 0, "chunk %u: another chunk has some of its pages %llu to %llu", i,
			    ULL(page), ULL(page + SHV_CHUNK_PAGES - 1));
}

/* Only the first entry has a count; and in a recovery it is the last to change hands. */
static bool chunk_pages_agree(const struct check *c, uint64_t first, uint64_t e)
{
	const uint64_t count = SHV_PG_COUNT_MASK << SHV_PG_COUNT_SHIFT;

	if ((e & ~count) == (first & ~count))
		return true;
	return check_being_recovered(c, page_proc(first), page_gen(first)) &&
	       e == page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, 0, 0);
}

static uint32_t free_slots(const struct check_chunk *k)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SHV_SLOTS_PER_CHUNK; i++)
		n += slot_state(k->slots[i].word) == SHV_SLOT_FREE;
	return n;
}

/*
 * A chunk without a process waits for an adopter; when its last object goes, it goes too, under the
 * recovery lock.
 */
static void check_ownerless(struct check *c, uint32_t i, uint64_t first)
{
	uint32_t n = free_slots(&c->chunks[i]);

	if (page_count(first) > n)
		check_found(c, i, first, n, "chunk %u: said to have %u free slots, but it has %u", i,
			    page_count(first), n);
	if (n == SHV_SLOTS_PER_CHUNK && !lock_owner(c->super.recovery.word))
		check_found(c, i, first, n,
			    "chunk %u: has neither a process nor an object, but was not given back", i);
}

static void check_chunk(struct check *c, uint32_t i)
{
	uint64_t entry = c->chunks[i].entry, page = SHV_CHUNK_PAGE(entry), first;

	if (!page)
		return;
	if (i == 0)
		check_found(c, i, entry, 0, "chunk 0: has pages, but slot 0 must not be, for it means none");
	if (!c->chunks[i].slots) {
		chunk_unusable(c, i, entry);
		return;
	}
	first = c->map[page];
	for (uint64_t p = page + 1; p < page + SHV_CHUNK_PAGES; p++)
		if (!chunk_pages_agree(c, first, c->map[p])) {
			check_found(c, i, c->map[p], first,
				    "chunk %u: its pages %llu and %llu have different owners", i, ULL(page),
				    ULL(p));
			return;
		}
	if (page_proc(first) == SHV_NO_PROCESS && c->recovery_still)
		check_ownerless(c, i, first);
}

void check_chunks(struct check *c)
{
	for (uint32_t i = 0; i < c->chunks_n; i++)
		check_chunk(c, i);
}

/* ---- what nobody claimed ----------------------------------------------------------------------------- */

static void check_use(struct check *c, uint64_t p)
{
	uint64_t e = c->map[p];
	uint32_t use = c->use[p];

	switch (page_state(e)) {
	case SHV_PG_SLOTS:
		if (!(use & CHECK_USED_CHUNK))
			check_found(c, p, e, 0, "page %llu: a directory page that belongs to no chunk", ULL(p));
		break;
	case SHV_PG_SYSTEM:
		if (page_count(e) == SHV_TABLE_NAMES && !(use & CHECK_USED_NAMES) && c->names_still)
			check_found(c, p, e, 0, "page %llu: a page for names outside the name table", ULL(p));
		break;
	case SHV_PG_INTERIOR:
		if (!(use & CHECK_USED_INTERIOR))
			check_found(c, p, e, 0,
				    "page %llu: interior of an orphaned block, but no block covers it", ULL(p));
		break;
	case SHV_PG_ORPHAN:
		if (page_count(e) != (use & CHECK_USED_COUNT) && c->recovery_still)
			check_found(c, p, e, use,
				    "page %llu: orphaned with a count of %u, but %u blocks begin or end on it",
				    ULL(p), page_count(e), use & CHECK_USED_COUNT);
		break;
	default:
		break;
	}
}

void check_page_use(struct check *c)
{
	for (uint64_t p = 0; p < c->pages; p++)
		check_use(c, p);
}
