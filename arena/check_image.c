/* SPDX-License-Identifier: MIT */
/*
 * The image that one pass of the checker judges: private copies of the tables, each word read once.
 *
 * Order: the superblock; then what the system locks guard (page map, summaries, chunks, slots, names); then
 * the superblock once more, which tells whose lock stood still meanwhile. Active intents are carried out in
 * the copies: whoever takes the lock of a dead holder would do the same to the originals.
 *
 * Tables are sparse, so blocks of zeros are not copied: the image of a hole costs no memory either.
 */
#include "config.h"

#include "arena/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)64 << 10)

/* ---- reading the file -------------------------------------------------------------------------------- */

/* Zeros past the end of the file. */
static bool read_file(struct check *c, uint64_t off, void *buf, size_t n)
{
	char *p = buf;

	while (n) {
		ssize_t got = off < c->file_size ? pread(c->fd, p, n, (off_t)off) : 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			c->err = fail_call("pread of the arena's memfd", NULL);
			return false;
		}
		if (got == 0) {
			memset(p, 0, n);
			return true;
		}
		p += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

static void patch_words(const struct check *c, uint64_t off, void *buf, size_t n)
{
	for (unsigned i = 0; i < c->words_n; i++) {
		const struct check_word *w = &c->words[i];
		if (w->off >= off && n >= sizeof(w->value) && w->off - off <= n - sizeof(w->value))
			memcpy((char *)buf + (w->off - off), &w->value, sizeof(w->value));
	}
}

bool check_read(struct check *c, uint64_t off, void *buf, size_t n)
{
	if (!read_file(c, off, buf, n))
		return false;
	patch_words(c, off, buf, n);
	return true;
}

static bool all_zero(const void *p, size_t n)
{
	const char *b = p;

	return !n || (!b[0] && !memcmp(b, b + 1, n - 1));
}

/*
 * `count` entries of `size` bytes at an offset, in memory of their own; NULL with c->err, but also for
 * count 0.
 */
static void *load_table(struct check *c, uint64_t off, uint64_t count, size_t size)
{
	uint64_t n = count * size; /* both are bounded by the geometry */
	char *table, *piece;

	if (c->err || !count)
		return NULL;
	table = calloc(count, size);
	piece = malloc(PIECE);
	if (!table || !piece)
		c->err = -ENOMEM;
	for (uint64_t at = 0; !c->err && at < n; at += PIECE) {
		size_t part = n - at < PIECE ? (size_t)(n - at) : PIECE;
		if (check_read(c, off + at, piece, part) && !all_zero(piece, part))
			memcpy(table + at, piece, part);
	}
	free(piece);
	if (c->err) {
		free(table);
		table = NULL;
	}
	return table;
}

/* ---- intents ----------------------------------------------------------------------------------------- */

static void promise_word(struct check *c, uint64_t off, uint64_t value)
{
	if (c->words_n < CHECK_WORDS && off % 8 == 0 && off < c->g->capacity)
		c->words[c->words_n++] = (struct check_word){ off, value };
}

static void promise_run(struct check *c, uint64_t page, uint64_t pages, uint64_t mask, uint64_t expected,
			uint64_t value)
{
	if (c->runs_n < CHECK_RUNS && page < c->g->max_pages && pages <= c->g->max_pages - page)
		c->runs[c->runs_n++] = (struct check_run){ page, pages, mask, expected, value };
}

static void promise_pool(struct check *c, const struct shv_pool_intent_shm *in)
{
	if (!in->active)
		return;
	promise_run(c, in->page, in->pages, 0, 0, in->value);
	for (uint32_t i = 0; i < in->writes && i < 4; i++)
		promise_word(c, in->word[i].off, in->word[i].value);
}

/*
 * One orphaned block is being freed: its two counts, and pages that nothing lies on any more. The slot: see
 * settle_slot().
 */
static void promise_orphan(struct check *c, const struct shv_recovery_intent_shm *in)
{
	const uint64_t state = SHV_PG_STATE_MASK, count = SHV_PG_COUNT_MASK << SHV_PG_COUNT_SHIFT;
	uint64_t first = in->pages[0], last = in->pages[1];

	if (in->active != SHV_REC_ORPHAN_FREE || first > last)
		return;
	if (in->phase < 2) {
		promise_run(c, first, 1, state, SHV_PG_ORPHAN, in->entry_after[0]);
		promise_run(c, last, 1, state, SHV_PG_ORPHAN, in->entry_after[1]);
	}
	promise_run(c, first, 1, state | count, SHV_PG_ORPHAN, 0);
	promise_run(c, last, 1, state | count, SHV_PG_ORPHAN, 0);
	if (last - first > 1)
		promise_run(c, first + 1, last - first - 1, state, SHV_PG_INTERIOR, 0);
	if (in->chunk_before)
		promise_run(c, in->chunk_page, 1, UINT64_MAX, in->chunk_before, in->chunk_after);
}

/* A name comes or goes, or the table is replaced by a new one, which is complete before the intent is. */
static void promise_names(struct check *c, const struct shv_name_intent_shm *in)
{
	const uint64_t names = page_make(SHV_PG_SYSTEM, 0, SHV_TABLE_NAMES, 0);

	for (uint32_t i = 0; in->active == SHV_NAMES_SET && i < in->writes && i < 6; i++)
		promise_word(c, in->word[i].off, in->word[i].value);
	if (in->active != SHV_NAMES_GROW)
		return;
	promise_run(c, in->new_page, in->new_pages, SHV_PG_STATE_MASK, SHV_PG_OWNED, names);
	promise_word(c, offsetof(struct shv_super_shm, names_root), in->root_after);
	promise_word(c, offsetof(struct shv_super_shm, names_used), in->used_after);
	promise_run(c, in->old_page, in->old_pages, UINT64_MAX, names, 0);
}

/* What whoever takes the locks next would do first. */
static void promises(struct check *c)
{
	c->words_n = c->runs_n = 0;
	promise_pool(c, &c->super.pool_intent);
	promise_names(c, &c->super.name_intent);
	promise_orphan(c, &c->super.recovery_intent);
}

/* ---- the superblock ---------------------------------------------------------------------------------- */

static bool load_super(struct check *c, struct shv_super_shm *s)
{
	struct stat st;

	if (fstat(c->fd, &st)) {
		c->err = fail_call("fstat of the arena's memfd", NULL);
		return false;
	}
	c->file_size = (uint64_t)st.st_size;
	return read_file(c, 0, s, sizeof(*s));
}

/* The lock was in the same hands at both ends, so nothing changed but what its holder's intent says. */
static bool stood_still(const struct shv_syslock_shm *a, const struct shv_syslock_shm *b)
{
	return ((a->word ^ b->word) & ~LOCK_WAITERS) == 0;
}

static uint64_t clamp(uint64_t n, uint64_t limit)
{
	return n < limit ? n : limit;
}

/* ---- page map ---------------------------------------------------------------------------------------- */

static void load_map(struct check *c)
{
	uint64_t room = c->file_size > c->g->data_off ? (c->file_size - c->g->data_off) >> SHV_PAGE_SHIFT : 0;

	c->pages = clamp(clamp(c->super.pool_pages, c->g->max_pages), room);
	c->map = load_table(c, c->g->map_off, c->pages, sizeof(*c->map));
	for (unsigned i = 0; c->map && i < c->runs_n; i++) {
		const struct check_run *r = &c->runs[i];
		for (uint64_t p = r->page; p < r->page + r->pages && p < c->pages; p++)
			if ((c->map[p] & r->mask) == r->expected)
				c->map[p] = r->value;
	}
	if (!c->err && c->pages) {
		c->use = calloc(c->pages, sizeof(*c->use));
		c->err = c->use ? 0 : -ENOMEM;
	}
}

static void load_sums(struct check *c)
{
	for (unsigned l = 0; l < c->g->levels; l++)
		c->sums[l] = load_table(c, c->g->level_off[l], c->g->level_nodes[l], sizeof(*c->sums[l]));
}

/* ---- directory --------------------------------------------------------------------------------------- */

/* The pages of a chunk are there, are directory, and no other chunk has them. */
static bool chunk_sane(struct check *c, uint64_t entry)
{
	uint64_t page = SHV_CHUNK_PAGE(entry);

	if (!page || page >= c->pages || SHV_CHUNK_PAGES > c->pages - page)
		return false;
	for (uint64_t p = page; p < page + SHV_CHUNK_PAGES; p++)
		if (page_state(c->map[p]) != SHV_PG_SLOTS || c->use[p] & CHECK_USED_CHUNK)
			return false;
	for (uint64_t p = page; p < page + SHV_CHUNK_PAGES; p++)
		c->use[p] |= CHECK_USED_CHUNK;
	return true;
}

/* So many chunks as there are pages for: others cannot be sane. */
static void load_chunks(struct check *c)
{
	uint64_t *entries;

	c->chunks_n = (uint32_t)clamp(c->super.chunks_high, c->g->max_chunks);
	entries = load_table(c, c->g->chunks_off, c->chunks_n, sizeof(*entries));
	if (!entries) {
		c->chunks_n = 0;
		return;
	}
	c->chunks = calloc(c->chunks_n, sizeof(*c->chunks));
	if (!c->chunks)
		c->err = -ENOMEM;
	for (uint32_t i = 0; !c->err && i < c->chunks_n; i++) {
		c->chunks[i].entry = entries[i];
		if (chunk_sane(c, entries[i]))
			c->chunks[i].slots = load_table(
				c, c->g->data_off + ((uint64_t)SHV_CHUNK_PAGE(entries[i]) << SHV_PAGE_SHIFT),
				SHV_SLOTS_PER_CHUNK, sizeof(struct shv_slot_shm));
	}
	free(entries);
}

/* The other half of promise_orphan(). */
static void settle_slot(struct check *c)
{
	const struct shv_recovery_intent_shm *in = &c->super.recovery_intent;
	uint32_t chunk = in->slot / SHV_SLOTS_PER_CHUNK;
	struct shv_slot_shm *s;

	if (in->active != SHV_REC_ORPHAN_FREE || chunk >= c->chunks_n || !c->chunks[chunk].slots)
		return;
	s = &c->chunks[chunk].slots[in->slot % SHV_SLOTS_PER_CHUNK];
	if (s->word == in->slot_gone && slot_state(s->word) == SHV_SLOT_GONE)
		s->word = slot_word(SHV_SLOT_FREE, 0, 0, 0, slot_gen(s->word));
}

const struct shv_slot_shm *check_slot(const struct check *c, uint64_t index)
{
	uint64_t chunk = index / SHV_SLOTS_PER_CHUNK;

	if (chunk >= c->chunks_n || !c->chunks[chunk].slots)
		return NULL;
	return &c->chunks[chunk].slots[index % SHV_SLOTS_PER_CHUNK];
}

/* ---- names ------------------------------------------------------------------------------------------- */

static bool name_pages(struct check *c, uint64_t page, uint64_t n)
{
	for (uint64_t p = page; p < page + n; p++)
		if (c->map[p] != page_make(SHV_PG_SYSTEM, 0, SHV_TABLE_NAMES, 0))
			return false;
	for (uint64_t p = page; p < page + n; p++)
		c->use[p] |= CHECK_USED_NAMES;
	return true;
}

/* The name table, if its root makes sense; check_names() tells if it does not. */
static void load_names(struct check *c)
{
	uint64_t page = (uint32_t)c->super.names_root, log2 = c->super.names_root >> 32 & 0xff, n;

	if (c->err || !page || log2 < 6 || log2 > 31 || page >= c->pages)
		return;
	n = ((sizeof(uint64_t) << log2) + SHV_PAGE_SIZE - 1) >> SHV_PAGE_SHIFT;
	if (n > c->pages - page || !name_pages(c, page, n))
		return;
	c->names = load_table(c, c->g->data_off + (page << SHV_PAGE_SHIFT), UINT64_C(1) << log2,
			      sizeof(*c->names));
	c->names_n = c->names ? UINT64_C(1) << log2 : 0;
}

/* ---- all of it --------------------------------------------------------------------------------------- */

bool check_process(const struct check *c, uint32_t slot)
{
	return slot <= c->g->last_process && proc_state(c->procs[slot].word) != SHV_PROC_FREE;
}

bool check_process_is(const struct check *c, uint32_t slot, uint32_t gen)
{
	return check_process(c, slot) && proc_gen(c->procs[slot].word) == gen;
}

bool check_being_recovered(const struct check *c, uint32_t slot, uint32_t gen)
{
	const struct shv_recovery_intent_shm *in = &c->super.recovery_intent;

	return check_process_is(c, slot, gen) &&
	       (proc_state(c->procs[slot].word) == SHV_PROC_DEAD ||
		(in->active == SHV_REC_PROCESS && in->process == slot && in->generation == gen));
}

static void load_members(struct check *c)
{
	const struct shv_geo *g = c->g;

	c->threads_n = (uint32_t)clamp(c->super.threads_high, g->max_threads);
	c->procs = load_table(c, g->processes_off, (uint64_t)g->last_process + 1, sizeof(*c->procs));
	c->threads = load_table(c, g->threads_off, c->threads_n, sizeof(*c->threads));
	c->graves = load_table(c, g->graves_off, SHV_GRAVES, sizeof(*c->graves));
	if (c->err || !c->threads_n)
		return;
	c->owned_locks = calloc(c->threads_n, sizeof(*c->owned_locks));
	c->owned_handoffs = calloc(c->threads_n, sizeof(*c->owned_handoffs));
	c->owned_words = calloc(c->threads_n, sizeof(*c->owned_words));
	if (!c->owned_locks || !c->owned_handoffs || !c->owned_words)
		c->err = -ENOMEM;
}

static void load_policies_and_types(struct check *c)
{
	c->policies_n = (uint32_t)clamp(c->super.policies, SHV_MAX_POLICIES);
	c->policies = load_table(c, c->g->policies_off, c->policies_n, sizeof(*c->policies));
	c->types_n = (uint32_t)clamp(c->super.types, SHV_MAX_TYPES - SHV_TYPE_FIRST);
	c->types = load_table(c, c->g->types_off, c->types_n, sizeof(*c->types));
}

int check_load(struct check *c)
{
	struct shv_super_shm first, after;

	c->err = 0;
	if (!load_super(c, &first))
		return c->err;
	c->super = first;
	promises(c);
	patch_words(c, 0, &c->super, sizeof(c->super));
	load_members(c);
	load_map(c);
	load_sums(c);
	load_chunks(c);
	settle_slot(c);
	load_names(c);
	load_policies_and_types(c);
	if (c->err || !load_super(c, &after))
		return c->err;
	c->pool_still = stood_still(&first.pool, &after.pool) &&
			!memcmp(&first.pool_intent, &after.pool_intent, sizeof(after.pool_intent));
	c->names_still = stood_still(&first.names, &after.names) &&
			 !memcmp(&first.name_intent, &after.name_intent, sizeof(after.name_intent));
	c->recovery_still =
		stood_still(&first.recovery, &after.recovery) &&
		!memcmp(&first.recovery_intent, &after.recovery_intent, sizeof(after.recovery_intent));
	return 0;
}

void check_drop(struct check *c)
{
	for (uint32_t i = 0; c->chunks && i < c->chunks_n; i++)
		free(c->chunks[i].slots);
	for (unsigned l = 0; l < SHV_MAX_LEVELS; l++)
		free(c->sums[l]);
	free(c->chunks);
	free(c->procs);
	free(c->threads);
	free(c->graves);
	free(c->map);
	free(c->use);
	free(c->policies);
	free(c->types);
	free(c->names);
	free(c->blocks);
	free(c->owned_locks);
	free(c->owned_handoffs);
	free(c->owned_words);
	memset(c->sums, 0, sizeof(c->sums));
	c->chunks = NULL;
	c->procs = NULL;
	c->threads = NULL;
	c->graves = NULL;
	c->map = NULL;
	c->use = NULL;
	c->policies = NULL;
	c->types = NULL;
	c->names = NULL;
	c->blocks = NULL;
	c->owned_locks = c->owned_handoffs = NULL;
	c->owned_words = NULL;
	c->blocks_n = c->names_n = 0;
	c->chunks_n = 0;
}
