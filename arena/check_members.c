/* SPDX-License-Identifier: MIT */
/*
 * The checker's rules about the superblock and about those who take part: the library's own locks and
 * intents, processes, threads, graves, who holds how many locks, and the lists of blocks on their way home.
 */
#include "config.h"

#include "arena/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ULL(x) ((unsigned long long)(x))

/* ---- superblock -------------------------------------------------------------------------------------- */

/* What was true when this process attached must still stand there: it never changes. */
static void check_constants(struct check *c)
{
	const struct shv_super_const *s = &c->super.c;
	const struct shv_geo *g = c->g;
	const struct {
		const char *name;
		uint64_t is, was;
	} part[] = {
		{ "magic number", s->magic, SHV_MAGIC },
		{ "format", s->format, SHV_FORMAT },
		{ "layout stamp", s->stamp, shv_layout_stamp() },
		{ "page shift", s->page_shift, SHV_PAGE_SHIFT },
		{ "capacity", s->capacity, g->capacity },
		{ "number of processes", s->max_processes, g->max_processes },
		{ "number of threads", s->max_threads, g->max_threads },
		{ "number of chunks", s->max_chunks, g->max_chunks },
		{ "number of pages", s->max_pages, g->max_pages },
		{ "offset of the policies", s->policies_off, g->policies_off },
		{ "offset of the graves", s->graves_off, g->graves_off },
		{ "offset of the processes", s->processes_off, g->processes_off },
		{ "offset of the threads", s->threads_off, g->threads_off },
		{ "offset of the types", s->types_off, g->types_off },
		{ "offset of the types' text", s->types_text_off, g->types_text_off },
		{ "offset of the chunk table", s->chunks_off, g->chunks_off },
		{ "offset of the page map", s->map_off, g->map_off },
		{ "offset of the summaries", s->sums_off, g->sums_off },
		{ "offset of the pool", s->data_off, g->data_off },
		{ "number of summary levels", s->levels, g->levels },
	};
	uint64_t sum = check_hash(s, offsetof(struct shv_super_const, checksum));

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		if (part[i].is != part[i].was)
			check_found(c, i, part[i].is, 0, "superblock: its %s is %#llx, and was %#llx",
				    part[i].name, ULL(part[i].is), ULL(part[i].was));
	for (unsigned l = 0; l < g->levels; l++)
		if (s->sums_level_off[l] != g->level_off[l])
			check_found(c, l, s->sums_level_off[l], 0,
				    "superblock: the offset of summary level %u is %#llx, and was %#llx", l,
				    ULL(s->sums_level_off[l]), ULL(g->level_off[l]));
	if (s->checksum != sum)
		check_found(c, 0, s->checksum, sum,
			    "superblock: its checksum is %016llx, but should be %016llx", ULL(s->checksum),
			    ULL(sum));
	if (!memchr(s->name, 0, sizeof(s->name)))
		check_found(c, 0, sum, 0, "superblock: the arena's name does not end");
}

static void check_mark(struct check *c, const char *name, uint64_t is, uint64_t limit)
{
	if (is > limit)
		check_found(c, (uintptr_t)name, is, limit, "superblock: %s is %llu, but there is room for %llu",
			    name, ULL(is), ULL(limit));
}

static void check_marks(struct check *c)
{
	const struct shv_super_shm *s = &c->super;
	uint64_t need = c->g->data_off + (s->pool_pages << SHV_PAGE_SHIFT);

	check_mark(c, "pool_pages", s->pool_pages, c->g->max_pages);
	check_mark(c, "processes_high", s->processes_high, c->g->last_process + 1);
	check_mark(c, "threads_high", s->threads_high, c->g->max_threads);
	check_mark(c, "chunks_high", s->chunks_high, c->g->max_chunks);
	check_mark(c, "types", s->types, SHV_MAX_TYPES - SHV_TYPE_FIRST);
	check_mark(c, "policies", s->policies, SHV_MAX_POLICIES);
	if (s->pool_pages <= c->g->max_pages && need > c->file_size)
		check_found(c, 0, s->pool_pages, c->file_size,
			    "superblock: the pool's %llu pages end at %llu, but the file has %llu bytes",
			    ULL(s->pool_pages), ULL(need), ULL(c->file_size));
}

/* ---- the library's own locks and intents ------------------------------------------------------------- */

static bool taken(const struct shv_syslock_shm *l)
{
	return lock_owner(l->word) !=
	       0; /* by somebody, or by somebody's death: the next one redoes the intent */
}

static void check_intent(struct check *c, const char *name, const struct shv_syslock_shm *lock, uint32_t active,
			 uint32_t last)
{
	if (active > last)
		check_found(c, active, lock->word, 0, "%s intent: operation %u does not exist", name, active);
	else if (active && !taken(lock))
		check_found(c, active, lock->word, 0,
			    "%s intent: operation %u is under way, but nobody has the lock", name, active);
}

/* Whoever carries the intent out writes where it says. */
static void check_pool_intent(struct check *c)
{
	const struct shv_pool_intent_shm *in = &c->super.pool_intent;

	check_intent(c, "pool", &c->super.pool, in->active, 1);
	if (!in->active)
		return;
	if (in->page >= c->g->max_pages || in->pages > c->g->max_pages - in->page)
		check_found(c, in->page, in->pages, in->value,
			    "pool intent: pages %u to %llu, but there is room for %llu", in->page,
			    ULL((uint64_t)in->page + in->pages), ULL(c->g->max_pages));
	if (in->writes > 4)
		check_found(c, in->writes, in->page, in->value, "pool intent: %u words, but it has room for 4",
			    in->writes);
	for (uint32_t i = 0; i < in->writes && i < 4; i++)
		if (in->word[i].off % 8 || in->word[i].off > c->g->data_off - 8)
			check_found(c, i, in->word[i].off, in->word[i].value,
				    "pool intent: word %u at %llu is outside the tables", i,
				    ULL(in->word[i].off));
}

static void check_names_intent(struct check *c)
{
	const struct shv_name_intent_shm *in = &c->super.name_intent;
	uint64_t end = c->g->data_off + (c->pages << SHV_PAGE_SHIFT);

	check_intent(c, "names", &c->super.names, in->active, SHV_NAMES_GROW);
	if (in->active == SHV_NAMES_SET && in->writes > 6)
		check_found(c, in->writes, 0, 0, "names intent: %u words, but it has room for 6", in->writes);
	for (uint32_t i = 0; in->active == SHV_NAMES_SET && i < in->writes && i < 6; i++)
		if (in->word[i].off % 8 || in->word[i].off > end - 8)
			check_found(c, i, in->word[i].off, in->word[i].value,
				    "names intent: word %u at %llu is outside the arena", i,
				    ULL(in->word[i].off));
	if (in->active == SHV_NAMES_GROW && ((uint64_t)in->new_page + in->new_pages > c->pages ||
					     (uint64_t)in->old_page + in->old_pages > c->pages))
		check_found(c, 0, in->new_page, in->old_page,
			    "names intent: its new or its old pages are outside the pool");
}

static void check_recovery_intent(struct check *c)
{
	const struct shv_recovery_intent_shm *in = &c->super.recovery_intent;

	check_intent(c, "recovery", &c->super.recovery, in->active, SHV_REC_ORPHAN_FREE);
	if (in->active == SHV_REC_PROCESS && in->process > c->g->last_process)
		check_found(c, in->process, in->generation, 0,
			    "recovery intent: process %u, but there are only %u process slots", in->process,
			    c->g->last_process + 1);
	if (in->active == SHV_REC_PROCESS && in->chain && !check_slot(c, in->chain))
		check_found(c, in->chain, in->process, 0, "recovery intent: slot %u, which does not exist",
			    in->chain);
	if (in->active == SHV_REC_ORPHAN_FREE &&
	    (in->pages[0] > in->pages[1] || in->pages[1] >= c->pages || !check_slot(c, in->slot)))
		check_found(c, in->slot, in->pages[0], in->pages[1],
			    "recovery intent: slot %u on pages %u to %u, which do not exist", in->slot,
			    in->pages[0], in->pages[1]);
}

void check_super(struct check *c)
{
	static const char *const names[] = { "recovery lock", "names lock", "types lock", "policies lock",
					     "pool lock" };
	const struct shv_super_shm *s = &c->super;
	const struct shv_syslock_shm *locks[] = { &s->recovery, &s->names, &s->types_lock, &s->policies_lock,
						  &s->pool };

	check_constants(c);
	check_marks(c);
	for (unsigned i = 0; i < 5; i++)
		check_lock_word(c, locks[i]->word, UINT64_MAX - i, names[i], false);
	check_pool_intent(c);
	check_names_intent(c);
	check_recovery_intent(c);
}

/* ---- lock words -------------------------------------------------------------------------------------- */

/* The dead holder's grave was dug; it may have been given to a later one since. */
static void check_grave(struct check *c, uint64_t word, uint64_t index, const char *what)
{
	uint32_t number = lock_owner(word);
	const struct shv_grave_shm *grave = &c->graves[number % SHV_GRAVES];

	if (!number || number == LOCK_OWNER_GONE || number > c->super.graves || grave->number < number)
		check_found(c, index, word, grave->number, "%s: its holder died, but grave %u was never dug",
			    what, number);
}

void check_lock_word(struct check *c, uint64_t word, uint64_t index, const char *what, bool recursive)
{
	uint32_t owner = lock_owner(word);

	bool freeing = (word & LOCK_DEPTH_MASK) == LOCK_FREEING && lock_is_held(word);

	if (lock_depth(word) && !freeing && (!recursive || !lock_is_held(word)))
		check_found(c, index, word, 0, "%s: recursion depth %u %s", what, lock_depth(word),
			    lock_is_held(word) ? "in a lock that does not count" : "without a holder");
	if (word & LOCK_DIED)
		check_grave(c, word, index, what);
	else if (!owner || owner == LOCK_OWNER_GONE)
		return;
	else if (owner > c->threads_n)
		check_found(c, index, word, c->threads_n, "%s: held by thread %u, but there are only %u", what,
			    owner - 1, c->threads_n);
	else if (thread_state(c->threads[owner - 1].word) == SHV_THREAD_FREE)
		check_found(c, index, word, c->threads[owner - 1].word,
			    "%s: held by thread %u, but that entry is free", what, owner - 1);
}

/* ---- processes and threads --------------------------------------------------------------------------- */

static void check_member(struct check *c, uint32_t i)
{
	const struct shv_process_shm *p = &c->procs[i];
	uint32_t state = proc_state(p->word), hung = (uint32_t)p->head;

	if (state > SHV_PROC_DEAD) {
		check_found(c, i, p->word, 0, "process slot %u: state %u, which does not exist", i, state);
		return;
	}
	if (state == SHV_PROC_FREE) {
		if (hung && hung != SHV_HEAD_CLOSED)
			check_found(c, i, p->word, p->head,
				    "process slot %u: free, but slot %u hangs on its list", i, hung);
		return;
	}
	if (i >= c->super.processes_high)
		check_found(c, i, p->word, c->super.processes_high,
			    "process slot %u: in use, but readers look at the first %u only", i,
			    c->super.processes_high);
	if (!proc_gen(p->word))
		check_found(c, i, p->word, 0, "process slot %u: in use in generation 0", i);
}

static void check_thread(struct check *c, uint32_t i)
{
	uint64_t w = c->threads[i].word;

	if (thread_state(w) == SHV_THREAD_FREE)
		return;
	if (thread_state(w) > SHV_THREAD_ENDED)
		check_found(c, i, w, 0, "thread entry %u: state %u, which does not exist", i, thread_state(w));
	else if (thread_proc(w) > c->g->last_process)
		check_found(c, i, w, 0, "thread entry %u: of process %u, but there are only %u process slots",
			    i, thread_proc(w), c->g->last_process + 1);
	else if (!check_process_is(c, thread_proc(w), thread_gen(w)))
		check_found(c, i, w, c->procs[thread_proc(w)].word,
			    "thread entry %u: of process %u generation %u, which is not there", i,
			    thread_proc(w), thread_gen(w));
}

static void check_graves(struct check *c)
{
	for (uint32_t i = 0; i < SHV_GRAVES; i++) {
		uint64_t n = c->graves[i].number;
		if (n && (n % SHV_GRAVES != i || n > c->super.graves))
			check_found(c, i, n, c->super.graves, "grave at %u: has number %llu, but %llu were dug",
				    i, ULL(n), ULL(c->super.graves));
	}
}

void check_members(struct check *c)
{
	for (uint32_t i = 0; i <= c->g->last_process; i++)
		check_member(c, i);
	for (uint32_t i = 0; i < c->threads_n; i++)
		check_thread(c, i);
	check_graves(c);
}

/*
 * A thread raises its count before it takes a lock: recovery looks for locks of those only whose count is
 * not zero.
 */
void check_thread_counts(struct check *c)
{
	for (uint32_t i = 0; i < c->threads_n; i++) {
		const struct shv_thread_shm *t = &c->threads[i];
		if (thread_state(t->word) == SHV_THREAD_FREE)
			continue; /* told with the lock words */
		if (c->owned_locks[i] > t->held)
			check_found(c, i, c->owned_words[i], t->held,
				    "thread entry %u: notes %u locks held, but %u lock words name it", i,
				    t->held, c->owned_locks[i]);
		if (c->owned_handoffs[i] > t->handed)
			check_found(c, i, c->owned_words[i], t->handed,
				    "thread entry %u: notes %u handoff locks taken, but %u lock words "
				    "name it",
				    i, t->handed, c->owned_handoffs[i]);
	}
}

/* ---- blocks on their way home ------------------------------------------------------------------------ */

struct list_walk {
	uint32_t proc, gen;
	uint64_t head;
	unsigned char *seen; /* a bit for each slot: on this or another list */
};

static bool seen_before(unsigned char *seen, uint64_t i)
{
	bool is = seen[i / 8] >> (i % 8) & 1;

	seen[i / 8] |= (unsigned char)(1u << (i % 8));
	return is;
}

/*
 * The slot may hang there: withdrawn, or claimed already by the owner of the list, with its block on the
 * owner's page.
 */
static bool check_hung(struct check *c, const struct list_walk *l, uint32_t i, const struct shv_slot_shm *s)
{
	unsigned state = slot_state(s->word);
	uint64_t page = what_offset(s->what) < c->g->data_off
				? UINT64_MAX
				: (what_offset(s->what) - c->g->data_off) >> SHV_PAGE_SHIFT;

	if (state != SHV_SLOT_GONE && state != SHV_SLOT_LOST &&
	    !(state == SHV_SLOT_HELD && slot_proc(s->word) == l->proc)) {
		check_found(c, i, s->word, l->head, "list of process %u: slot %u is on it in state %u", l->proc,
			    i, state);
		return false;
	}
	if (page >= c->pages || page_state(c->map[page]) != SHV_PG_OWNED ||
	    page_proc(c->map[page]) != l->proc || page_gen(c->map[page]) != l->gen) {
		check_found(c, i, s->word, l->head,
			    "list of process %u: the block of slot %u is not on a page of that process",
			    l->proc, i);
		return false;
	}
	return true;
}

static void check_list(struct check *c, const struct list_walk *l)
{
	uint32_t i = (uint32_t)l->head;

	while (i) {
		const struct shv_slot_shm *s = check_slot(c, i);

		if (!s) {
			check_found(c, i, l->head, l->gen, "list of process %u: slot %u, which does not exist",
				    l->proc, i);
			return;
		}
		if (seen_before(l->seen, i)) {
			check_found(c, i, l->head, s->word,
				    "list of process %u: slot %u is on a list for the second time", l->proc, i);
			return;
		}
		if (!check_hung(c, l, i, s) ||
		    !check_read(c, what_offset(s->what) + slot_lead(s->word) + SHV_HEADER_SIZE, &i, sizeof(i)))
			return;
	}
}

void check_lists(struct check *c)
{
	struct list_walk l;

	l.seen = calloc((size_t)c->chunks_n + 1, SHV_SLOTS_PER_CHUNK / 8);
	if (!l.seen) {
		c->err = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i <= c->g->last_process && !c->err; i++) {
		l.proc = i;
		l.gen = proc_gen(c->procs[i].word);
		l.head = c->procs[i].head;
		if (!check_process(c, i) || (uint32_t)l.head == SHV_HEAD_CLOSED)
			continue;
		if ((uint32_t)(l.head >> 32) != l.gen)
			check_found(c, i, l.head, c->procs[i].word,
				    "list of process %u: of generation %u, but the process is in generation %u",
				    i, (uint32_t)(l.head >> 32), l.gen);
		else
			check_list(c, &l);
	}
	free(l.seen);
}
