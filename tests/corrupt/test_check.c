/* SPDX-License-Identifier: MIT */
/*
 * shv_check(): a sound arena has no findings; each rule, broken by one field, is found and told; put right,
 * it is silent again.
 */
#include "config.h"

#include "corrupt/fixture.h"
#include "support/sanitized.h"
#include "support/suite.h"

#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fixture f;

static void setup(void)
{
	fixture_make(&f);
}

static void teardown(void)
{
	fixture_end(&f);
}

/* ---- expecting findings ------------------------------------------------------------------------------ */

struct told {
	const char *pattern;
	unsigned n, matching;
	char all[8192];
};

static void hear(void *ctx, const char *what)
{
	struct told *t = ctx;
	size_t used = strlen(t->all);

	t->n++;
	t->matching += t->pattern && !fnmatch(t->pattern, what, 0);
	snprintf(t->all + used, sizeof(t->all) - used, "  %s\n", what);
}

static void expect_sound(const char *when)
{
	struct told t = { .pattern = NULL };
	int n = shv_check(f.a, hear, &t);

	ck_assert_msg(n == 0, "%s: %d findings:\n%s", when, n, t.all);
}

static void expect_finding(const char *pattern, int line)
{
	struct told t = { .pattern = pattern };
	int n = shv_check(f.a, hear, &t);

	ck_assert_msg(n > 0 && t.matching, "line %d: wanted '%s', got %d findings:\n%s", line, pattern, n,
		      t.all);
}

/* Gives a field another value, wants the finding, puts the value back. The pattern is that of a shell. */
#define BROKEN(field, value, pattern)              \
	do {                                       \
		__typeof__(field) was_ = (field);  \
		(field) = (value);                 \
		expect_finding(pattern, __LINE__); \
		(field) = was_;                    \
	} while (0)

/* The same for a change that takes several fields; the whole is restored from a copy. */
#define BROKEN_IN(object, change, pattern)              \
	do {                                            \
		__typeof__(object) was_;                \
		memcpy(&was_, &(object), sizeof(was_)); \
		change;                                 \
		expect_finding(pattern, __LINE__);      \
		memcpy(&(object), &was_, sizeof(was_)); \
	} while (0)

#define FIELD(word, shift, mask, value) \
	(((word) & ~((uint64_t)(mask) << (shift))) | (uint64_t)(value) << (shift))

static uint64_t my_page(void)
{
	struct shv_tc *tc = tc_get(f.a->m);

	return page_make(SHV_PG_OWNED, tc->proc, 0, tc->gen);
}

static uint32_t my_thread(void)
{
	return tc_get(f.a->m)->me - 1;
}

static uint64_t free_page(void)
{
	return page_like(&f, 1, UINT64_MAX, 0);
}

/* ---- what is sound ----------------------------------------------------------------------------------- */

START_TEST(sound_arena_has_no_findings)
{
	shv_arena *ro = shv_arena_attach(shv_arena_fd(f.a), SHV_RDONLY);

	expect_sound("as made");
	ck_assert_msg(ro != NULL, "%s", shv_errmsg());
	ck_assert_int_eq(shv_check(ro, NULL, NULL), 0);
	ck_assert_int_eq(shv_arena_detach(ro), 0);
	ck_assert_int_eq(shv_arena_trim(f.a), 0);
	expect_sound("trimmed");
}
END_TEST

START_TEST(empty_arena_is_sound)
{
	shv_arena *a = shv_arena_create(NULL);

	ck_assert_int_eq(shv_check(a, NULL, NULL), 0);
	shv_arena_detach(a);
}
END_TEST

START_TEST(dead_process_is_no_finding_before_nor_after_recovery)
{
	kill(f.peer, SIGKILL);
	waitpid(f.peer, NULL, 0);
	expect_sound("dead");
	ck_assert_int_eq(shv_arena_recover(f.a, NULL), 1);
	expect_sound("recovered");
}
END_TEST

START_TEST(stopped_process_is_no_finding)
{
	kill(f.peer, SIGSTOP);
	expect_sound("stopped");
	kill(f.peer, SIGCONT);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
	ck_assert_int_eq(shv_check(NULL, NULL, NULL), -EINVAL);
	ck_assert_int_eq(shv_check((shv_arena *)(void *)&f, NULL, NULL), -EINVAL);
}
END_TEST

#if !SANITIZED /* a sanitizer ends the program when it gets no memory itself */
START_TEST(shortage_of_memory_is_an_error_code)
{
	struct rlimit none = { 0, 0 };
	pid_t child = check_fork();
	int status;

	if (!child) {
		setrlimit(RLIMIT_AS, &none);
		_exit(shv_check(f.a, NULL, NULL) == -ENOMEM ? 0 : 1);
	}
	waitpid(child, &status, 0);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST
#endif

START_TEST(checking_takes_no_memory_of_the_arena)
{
	struct stat before, after;

	ck_assert(!fstat(shv_arena_fd(f.a), &before));
	expect_sound("sparse");
	ck_assert(!fstat(shv_arena_fd(f.a), &after));
	ck_assert_int_eq(before.st_blocks, after.st_blocks);
}
END_TEST

/* ---- superblock -------------------------------------------------------------------------------------- */

START_TEST(superblock_constants_are_judged)
{
	struct shv_super_const *c = &f.super->c;

	BROKEN(c->capacity, c->capacity * 2, "superblock: its capacity is *, and was *");
	BROKEN(c->data_off, c->data_off + 4096, "superblock: its offset of the pool is *");
	BROKEN(c->max_chunks, 1, "superblock: its number of chunks is *");
	BROKEN(c->sums_level_off[1], 0, "superblock: the offset of summary level 1 is *");
	BROKEN(c->uuid[3], c->uuid[3] ^ 1, "superblock: its checksum is *, but should be *");
	BROKEN(c->features_optional, 1, "superblock: its checksum is *, but should be *");
	BROKEN_IN(c->name, memset(c->name, 'x', sizeof(c->name)), "superblock: the arena's name does not end");
	expect_sound("put right");
}
END_TEST

START_TEST(high_water_marks_are_judged)
{
	BROKEN(f.super->pool_pages, f.g->max_pages + 1, "superblock: pool_pages is *, but there is room for *");
	BROKEN(f.super->pool_pages, f.g->max_pages,
	       "superblock: the pool's * pages end at *, but the file has * bytes");
	BROKEN(f.super->processes_high, 17, "superblock: processes_high is 17, but there is room for 16");
	BROKEN(f.super->processes_high, 1, "process slot *: in use, but readers look at the first 1 only");
	BROKEN(f.super->threads_high, f.g->max_threads + 1, "superblock: threads_high is *");
	BROKEN(f.super->chunks_high, f.g->max_chunks + 1, "superblock: chunks_high is *");
	BROKEN(f.super->types, SHV_MAX_TYPES, "superblock: types is *");
	BROKEN(f.super->policies, 65, "superblock: policies is 65, but there is room for 64");
	expect_sound("put right");
}
END_TEST

/* The entry of the thread that died. */
static uint32_t free_thread(void)
{
	for (uint32_t i = 0; i < f.super->threads_high; i++)
		if (thread_state(thread_at(f.base, f.g, i)->word) == SHV_THREAD_FREE)
			return i;
	ck_abort_msg("no thread entry is free");
	return 0;
}

START_TEST(locks_of_the_library_are_judged)
{
	uint64_t *w = &f.super->pool.word, free_ = f.super->pool.word & LOCK_SEQ_MASK;

	BROKEN(*w, free_ | 0xabcd, "pool lock: held by thread *, but there are only *");
	BROKEN(*w, free_ | (free_thread() + 1), "pool lock: held by thread *, but that entry is free");
	BROKEN(*w, free_ | (my_thread() + 1) | LOCK_DEPTH_ONE,
	       "pool lock: recursion depth 1 in a lock that does not count");
	BROKEN(*w, free_ | LOCK_DEPTH_ONE, "pool lock: recursion depth 1 without a holder");
	BROKEN(*w, free_ | LOCK_DIED | 999, "pool lock: its holder died, but grave 999 was never dug");
	BROKEN(f.super->recovery.word, 0xabcd, "recovery lock: held by thread *");
	BROKEN(f.super->names.word, 0xabcd, "names lock: held by thread *");
	BROKEN(f.super->types_lock.word, 0xabcd, "types lock: held by thread *");
	BROKEN(f.super->policies_lock.word, 0xabcd, "policies lock: held by thread *");
	expect_sound("put right");
}
END_TEST

START_TEST(intents_are_judged)
{
	struct shv_pool_intent_shm *p = &f.super->pool_intent;
	struct shv_recovery_intent_shm *r = &f.super->recovery_intent;
	struct shv_name_intent_shm *n = &f.super->name_intent;
	struct shv_syslock_shm locks[5];

	BROKEN(p->active, 7, "pool intent: operation 7 does not exist");
	BROKEN(p->active, 1, "pool intent: operation 1 is under way, but nobody has the lock");
	BROKEN(r->active, 9, "recovery intent: operation 9 does not exist");
	BROKEN(n->active, 1, "names intent: operation 1 is under way, but nobody has the lock");
	/* With the locks taken, an intent may be under way. */
	memcpy(locks, &f.super->recovery, sizeof(locks));
	f.super->pool.word |= my_thread() + 1;
	f.super->recovery.word |= my_thread() + 1;
	f.super->names.word |= my_thread() + 1;
	expect_sound("locks taken");
	BROKEN_IN(*p, (p->active = 1, p->page = UINT32_MAX, p->pages = 1),
		  "pool intent: pages *, but there is room for *");
	BROKEN_IN(*p, (p->active = 1, p->pages = 0, p->writes = 5),
		  "pool intent: 5 words, but it has room for 4");
	BROKEN_IN(*p, (p->active = 1, p->pages = 0, p->writes = 1, p->word[0].off = f.g->data_off),
		  "pool intent: word 0 at * is outside the tables");
	BROKEN_IN(*n, (n->active = SHV_NAMES_SET, n->writes = 7),
		  "names intent: 7 words, but it has room for 6");
	BROKEN_IN(*n, (n->active = SHV_NAMES_SET, n->writes = 1, n->word[0].off = 3),
		  "names intent: word 0 at 3 is outside the arena");
	BROKEN_IN(*n, (n->active = SHV_NAMES_GROW, n->new_page = UINT32_MAX),
		  "names intent: its new or its old pages are outside the pool");
	BROKEN_IN(*r, (r->active = SHV_REC_PROCESS, r->process = 77),
		  "recovery intent: process 77, but there are only *");
	BROKEN_IN(*r, (r->active = SHV_REC_PROCESS, r->process = 0, r->chain = 5),
		  "recovery intent: slot 5, which does not exist");
	BROKEN_IN(*r, (r->active = SHV_REC_ORPHAN_FREE, r->slot = 5),
		  "recovery intent: slot 5 on pages *, which do not exist");
	memcpy(&f.super->recovery, locks, sizeof(locks));
	expect_sound("put right");
}
END_TEST

/* ---- intents that count ------------------------------------------------------------------------------ */

/* A death between the intent and its last store: what is not written yet counts as written. */
START_TEST(half_done_pool_change_is_no_finding)
{
	struct shv_pool_intent_shm was = f.super->pool_intent, *p = &f.super->pool_intent;
	uint64_t word = f.super->pool.word, page = free_page();

	f.super->pool.word |= my_thread() + 1;
	*p = (struct shv_pool_intent_shm){
		.active = 1, .page = (uint32_t)page, .pages = 3, .value = my_page()
	};
	expect_sound("nothing done");
	*page_entry(f.base, f.g, page) = my_page();
	expect_sound("one entry written");
	*page_entry(f.base, f.g, page) = 0;
	*p = was;
	f.super->pool.word = word;
	expect_sound("put right");
}
END_TEST

START_TEST(half_done_name_change_is_no_finding)
{
	struct shv_name_intent_shm was = f.super->name_intent, *n = &f.super->name_intent;
	uint64_t word = f.super->names.word, slot_word_was, live = f.super->names_live, by_text, by_target;
	uint32_t part;
	struct shv_slot_shm *s;

	(void)name_part(&f, "first", &part);
	s = slot_at(&f, part);
	slot_word_was = s->word;
	by_text = *name_entry(&f, part, false);
	by_target = *name_entry(&f, part, true);
	f.super->names.word |= my_thread() + 1;
	*n = (struct shv_name_intent_shm){ .active = SHV_NAMES_SET, .writes = 4 };
	n->word[0].off = (uint64_t)((char *)name_entry(&f, part, false) - f.base);
	n->word[0].value = by_text;
	n->word[1].off = (uint64_t)((char *)name_entry(&f, part, true) - f.base);
	n->word[1].value = by_target;
	n->word[2].off = offsetof(struct shv_super_shm, names_live);
	n->word[2].value = live;
	n->word[3].off = (uint64_t)((char *)&s->word - f.base);
	n->word[3].value = slot_word_was;
	s->word = slot_with(slot_word_was, SHV_SLOT_HELD, slot_proc(slot_word_was));
	f.super->names_live--;
	expect_sound("published, but not yet written");
	s->word = slot_word_was;
	f.super->names_live = live;
	*n = was;
	f.super->names.word = word;
	expect_sound("put right");
}
END_TEST

/* ---- pages ------------------------------------------------------------------------------------------- */

START_TEST(owners_of_pages_are_judged)
{
	uint64_t *e = entry_of(&f, f.recursive, 0),
		 *slots = page_entry(f.base, f.g, page_like(&f, 1, SHV_PG_STATE_MASK, SHV_PG_SLOTS));

	BROKEN(*e, *e + (UINT64_C(1) << SHV_PG_GEN_SHIFT),
	       "page*: owned by process 0 generation *, but that slot is in generation *");
	BROKEN(*e, FIELD(*e, SHV_PG_PROC_SHIFT, SHV_PG_PROC_MASK, 7),
	       "page*: owned by process 7 generation *, but that slot is free");
	BROKEN(*e, FIELD(*e, SHV_PG_PROC_SHIFT, SHV_PG_PROC_MASK, 4000),
	       "page*: owned by process 4000, but there are only 16 process slots");
	BROKEN(*slots, FIELD(*slots, SHV_PG_PROC_SHIFT, SHV_PG_PROC_MASK, 7),
	       "page*: directory of process 7 generation *");
	expect_sound("put right");
}
END_TEST

START_TEST(states_of_pages_are_judged)
{
	uint64_t *e = page_entry(f.base, f.g, free_page()), *zero = page_entry(f.base, f.g, 0);

	BROKEN(*e, 9, "page *: state 9, which does not exist");
	BROKEN(*e, 0x10, "page *: free, but the entry is 0000000000000010 and not zero");
	BROKEN(*e, page_make(SHV_PG_SYSTEM, 0, SHV_TABLE_RESERVED, 0),
	       "page *: reserved, but only page 0 may be");
	BROKEN(*e, page_make(SHV_PG_SYSTEM, 0, 9, 0), "page *: system page of table 9, which does not exist");
	BROKEN(*e, page_make(SHV_PG_SYSTEM, 0, SHV_TABLE_NAMES, 0),
	       "page *: a page for names outside the name table");
	BROKEN(*e, page_make(SHV_PG_SLOTS, 0, 0, page_gen(my_page())),
	       "page *: a directory page that belongs to no chunk");
	BROKEN(*e, page_make(SHV_PG_INTERIOR, 0, 0, 1),
	       "page *: interior of an orphaned block, but no block covers it");
	BROKEN(*e, page_make(SHV_PG_ORPHAN, 0, 1, 1),
	       "page *: orphaned with a count of 1, but 0 blocks begin or end on it");
	BROKEN(*zero, 0, "page 0: not reserved*");
	expect_sound("put right");
}
END_TEST

START_TEST(summaries_are_judged_at_every_level)
{
	const struct shv_sum_shm *second = (const struct shv_sum_shm *)(void *)(f.base + f.g->level_off[0]) + 1;
	uint64_t *e = page_entry(f.base, f.g, SHV_LEAF_PAGES + 10);

	ck_assert_uint_eq(second->max, SHV_LEAF_PAGES); /* all free: so one page less makes a difference */
	for (unsigned l = 0; l < f.g->levels; l++) {
		struct shv_sum_shm *s = (struct shv_sum_shm *)(void *)(f.base + f.g->level_off[l]);
		char pattern[64];
		snprintf(pattern, sizeof(pattern), "summary level %u node 0 *", l);
		BROKEN(s->start, s->start + 1, pattern);
		BROKEN(s->max, s->max + 1, pattern);
		BROKEN(s->end, s->end + 1, pattern);
		snprintf(pattern, sizeof(pattern), "summary level %u node %u *", l,
			 (unsigned)f.g->level_nodes[l] - 1);
		s += f.g->level_nodes[l] - 1;
		BROKEN(s->max, s->max + 512, pattern);
	}
	BROKEN(*e, my_page(), "summary level 0 node *");
	expect_sound("put right");
}
END_TEST

/* ---- chunks ------------------------------------------------------------------------------------------ */

/* The chunk of the dead process: nobody's. */
static uint32_t ownerless_chunk(void)
{
	for (uint32_t i = 1; i < f.super->chunks_high; i++) {
		uint32_t page = SHV_CHUNK_PAGE(*chunk_entry(f.base, f.g, i));
		if (page && page_proc(*page_entry(f.base, f.g, page)) == SHV_NO_PROCESS)
			return i;
	}
	ck_abort_msg("every chunk has an owner");
	return 0;
}

START_TEST(chunk_table_is_judged)
{
	uint32_t mine = slot_of(f.recursive) / SHV_SLOTS_PER_CHUNK, none = ownerless_chunk();
	uint64_t *e = chunk_entry(f.base, f.g, mine), *other = chunk_entry(f.base, f.g, none);
	uint64_t *second = page_entry(f.base, f.g, SHV_CHUNK_PAGE(*e) + 1u),
		 *first = page_entry(f.base, f.g, SHV_CHUNK_PAGE(*other));

	BROKEN(*other, 0xffffff, "chunk *: begins at page 16777215, but the pool has * pages");
	BROKEN(*other, page_of(f.g, what_offset(slot_for(&f, f.recursive)->what)),
	       "chunk *: its page * is no directory page*");
	BROKEN(*other, *e, "chunk *: another chunk has some of its pages *");
	BROKEN(*other, 0, "page *: a directory page that belongs to no chunk");
	BROKEN(*chunk_entry(f.base, f.g, 0), *e, "chunk 0: has pages, *");
	BROKEN(*second, *entry_of(&f, f.recursive, 0), "chunk *: its page * is no directory page*");
	BROKEN(*second,
	       page_make(SHV_PG_SLOTS, process_of(&f, f.peer), 0,
			 proc_gen(process_at(f.base, f.g, process_of(&f, f.peer))->word)),
	       "chunk *: its pages * and * have different owners");
	BROKEN(*first, FIELD(*first, SHV_PG_COUNT_SHIFT, SHV_PG_COUNT_MASK, 4096),
	       "chunk *: said to have 4096 free slots, but it has *");
	BROKEN_IN(*(struct shv_slot_shm(*)[SHV_SLOTS_PER_CHUNK])(void *)slot_at(&f, none * SHV_SLOTS_PER_CHUNK),
		  memset(slot_at(&f, none * SHV_SLOTS_PER_CHUNK), 0, SHV_CHUNK_BYTES),
		  "chunk *: has neither a process nor an object, but was not given back");
	BROKEN_IN(*(uint64_t(*)[SHV_CHUNK_PAGES])(void *)first,
		  for (unsigned i = 0; i < SHV_CHUNK_PAGES; i++) first[i] =
			  page_make(SHV_PG_SLOTS, SHV_NO_PROCESS, 0, 1),
		  "pages *: directory without a process, set aside to be freed, but nobody is at it");
	expect_sound("put right");
}
END_TEST

/* ---- slots ------------------------------------------------------------------------------------------- */

START_TEST(states_of_slots_are_judged)
{
	struct shv_slot_shm *s = slot_for(&f, f.recursive);
	uint32_t chunk = slot_of(f.recursive) / SHV_SLOTS_PER_CHUNK;
	uint64_t *entry = chunk_entry(f.base, f.g, chunk);

	BROKEN(s->word, FIELD(s->word, 0, SHV_SLOT_STATE_MASK, 9), "slot *: state 9, which does not exist");
	BROKEN(s->word, slot_with(s->word, SHV_SLOT_HELD, 7),
	       "slot *: held by process 7, but that slot is free");
	BROKEN(s->word, slot_with(s->word, SHV_SLOT_GONE, 7),
	       "slot *: withdrawn by process 7, but that slot is free");
	BROKEN(s->word, slot_with(s->word, SHV_SLOT_HELD, 4000),
	       "slot *: held by process 4000, but there are only 16 process slots");
	BROKEN(s->word, slot_with(s->word, SHV_SLOT_LIVE, 4000),
	       "slot *: names process 4000, but there are only 16 process slots");
	BROKEN(s->word, slot_with(s->word, SHV_SLOT_CONDEMNED, 0),
	       "slot *: condemned, but of kind 1: only lock objects are");
	BROKEN(s->word, FIELD(s->word, SHV_SLOT_GEN_SHIFT, UINT32_MAX, 0),
	       "slot *: generation 0, but its chunk begins with 1");
	BROKEN(*entry, *entry | UINT64_C(1000) << 32, "slot *: generation *, but its chunk begins with 1000");
	expect_sound("put right");
}
END_TEST

START_TEST(places_of_blocks_are_judged)
{
	struct shv_slot_shm *s = slot_for(&f, f.recursive), *other = slot_for(&f, f.none),
			    *long_ = slot_for(&f, f.long_array);
	uint64_t free_off = f.g->data_off + (free_page() << SHV_PAGE_SHIFT);

	BROKEN(s->what, FIELD(s->what, 0, SHV_WHAT_OFF_MASK, 0),
	       "slot *: its block at 0 of size class * is not within the pool*");
	BROKEN(s->what, s->what | SHV_WHAT_OFF_MASK,
	       "slot *: its block at * of size class * is not within the pool*");
	BROKEN(s->word, FIELD(s->word, SHV_SLOT_CLASS_SHIFT, SHV_SLOT_CLASS_MASK, 200),
	       "slot *: its block at * of size class 200 is not *");
	BROKEN(s->word, FIELD(s->word, SHV_SLOT_LEAD_SHIFT, SHV_SLOT_LEAD_MASK, 100),
	       "slot *: a lead of 800 bytes, the header *do not fit*");
	BROKEN(s->what, FIELD(s->what, 0, SHV_WHAT_OFF_MASK, what_offset(other->what) >> 4),
	       "slot *: its block at * overlaps that of slot *");
	BROKEN(s->what, FIELD(s->what, 0, SHV_WHAT_OFF_MASK, free_off >> 4),
	       "slot *: its block lies on page *, which is free");
	BROKEN(long_->word, long_->word + (UINT64_C(24) << SHV_SLOT_CLASS_SHIFT), "slot *: its block *");
	BROKEN(*entry_of(&f, f.long_array, 2), 0, "slot *: its block lies on page *, which is free");
	BROKEN(*entry_of(&f, f.long_array, 2), page_make(SHV_PG_ORPHAN, 0, 0, 1),
	       "slot *: its block lies on page *, which is orphaned");
	expect_sound("put right");
}
END_TEST

START_TEST(blocks_on_pages_of_two_owners_are_found)
{
	uint32_t p = process_of(&f, f.peer);
	uint64_t theirs = page_make(SHV_PG_OWNED, p, 0, proc_gen(process_at(f.base, f.g, p)->word));

	BROKEN(*entry_of(&f, f.long_array, 1), theirs,
	       "slot *: its block lies on page * of process 0 * and page * of process *");
	expect_sound("put right");
}
END_TEST

START_TEST(orphaned_pages_are_judged)
{
	uint64_t *e = entry_of(&f, f.orphan, 0), *array = entry_of(&f, f.orphan_array, 0), *inside = array + 1,
		 *last = inside;

	ck_assert_uint_eq(page_state(*e), SHV_PG_ORPHAN);
	ck_assert_uint_eq(page_state(*inside), SHV_PG_INTERIOR);
	while (page_state(*last) == SHV_PG_INTERIOR)
		last++;
	ck_assert_uint_eq(page_state(*last), SHV_PG_ORPHAN);
	BROKEN(*e, *e + (UINT64_C(1) << SHV_PG_COUNT_SHIFT),
	       "page *: orphaned with a count of *, but * blocks begin or end on it");
	BROKEN(*last, *last - (UINT64_C(1) << SHV_PG_COUNT_SHIFT),
	       "page *: orphaned with a count of *, but * blocks begin or end on it");
	BROKEN(*inside, 0, "slot *: its block lies on page *, which is free");
	BROKEN(*inside, page_make(SHV_PG_ORPHAN, 0, 0, 1),
	       "slot *: its block lies on page *, which is orphaned");
	BROKEN(*last, page_make(SHV_PG_INTERIOR, 0, 0, 1),
	       "slot *: its block lies on page *, which is interior of an orphaned block");
	BROKEN(*e, page_make(SHV_PG_INTERIOR, 0, 0, 1),
	       "slot *: its block lies on page *, which is interior of an orphaned block");
	expect_sound("put right");
}
END_TEST

/* ---- blocks ------------------------------------------------------------------------------------------ */

START_TEST(headers_are_judged)
{
	uint64_t *h = header_of(f.recursive);
	struct shv_slot_shm *s = slot_for(&f, f.recursive);

	BROKEN(*h, *h + 1, "slot *: the header of its block says slot *");
	BROKEN(*h, *h ^ UINT64_C(1) << SHV_HDR_KIND_SHIFT, "slot *: the header of its block says kind *");
	BROKEN(*h, *h ^ UINT64_C(1) << SHV_HDR_POLICY_SHIFT, "slot *: the header of its block says kind *");
	BROKEN(*h, *h ^ UINT64_C(1) << SHV_HDR_LEAD_SHIFT, "slot *: the header of its block says kind *");
	BROKEN(*h, *h | UINT64_C(1) << 60, "slot *: the header of its block says kind *");
	BROKEN(s->word, FIELD(s->word, SHV_SLOT_LEAD_SHIFT, SHV_SLOT_LEAD_MASK, 0),
	       "slot *: the header of its block says *");
	BROKEN(s->what, FIELD(s->what, SHV_WHAT_KIND_SHIFT, SHV_WHAT_KIND_MASK, SHV_KIND_RAW),
	       "slot *: the header of its block says *");
	expect_sound("put right");
}
END_TEST

/* Slot and header say the same, but it cannot be. */
static void both(void *p, unsigned kind, unsigned policy, const char *pattern)
{
	struct shv_slot_shm *s = slot_for(&f, p), was = *s;
	uint64_t *h = header_of(p), header = *h;

	s->what = what_make(what_offset(was.what), what_type(was.what), kind, policy);
	*h = hdr_make(slot_of(p), kind, policy, slot_lead(was.word)) | (header & SHV_HDR_NAMED);
	expect_finding(pattern, __LINE__);
	*s = was;
	*h = header;
}

START_TEST(kinds_policies_and_leads_are_judged)
{
	both(f.none, SHV_KIND_NONE, SHV_POL_NONE, "slot *: an object of kind 0 cannot have policy 4");
	both(f.none, SHV_KIND_VALUE, SHV_POL_RAW, "slot *: an object of kind 1 cannot have policy 0");
	both(f.none, SHV_KIND_VALUE, 9, "slot *: an object of kind 1 cannot have policy 9");
	both(f.none, SHV_KIND_VALUE, SHV_POL_USER + 2, "slot *: an object of kind 1 cannot have policy 18");
	both(f.raw, SHV_KIND_RAW, SHV_POL_NONE, "slot *: an object of kind 2 cannot have policy 4");
	both(f.lock, SHV_KIND_LOCK, SHV_POL_SHARED, "slot *: an object of kind 6 cannot have policy 5");
	both(f.none, SHV_KIND_VALUE, SHV_POL_PLAIN,
	     "slot *: a lead of 0 bytes is too small for kind 1 with policy 2");
	both(f.none, SHV_KIND_ARRAY, SHV_POL_NONE,
	     "slot *: a lead of 0 bytes is too small for kind 3 with policy 4");
	both(f.recursive, SHV_KIND_VALUE, SHV_POL_USER + 1,
	     "slot *: a lead of 8 bytes is too small for kind 1 with policy 17");
	expect_sound("put right");
}
END_TEST

START_TEST(types_and_lengths_of_objects_are_judged)
{
	struct shv_slot_shm *s = slot_for(&f, f.none), *p = slot_for(&f, f.bare_point);
	uint64_t *len = (uint64_t *)(void *)(f.base + what_offset(slot_for(&f, f.array)->what));

	ck_assert_uint_eq(*len, 10);
	BROKEN(s->what, FIELD(s->what, SHV_WHAT_TYPE_SHIFT, SHV_WHAT_TYPE_MASK, 31),
	       "slot *: type 31 is not known (* made types)");
	BROKEN(s->what, FIELD(s->what, SHV_WHAT_TYPE_SHIFT, SHV_WHAT_TYPE_MASK, 0),
	       "slot *: type 0 is not known*");
	BROKEN(s->what, FIELD(s->what, SHV_WHAT_TYPE_SHIFT, SHV_WHAT_TYPE_MASK, 32767),
	       "slot *: type 32767 is not known*");
	BROKEN(s->what, FIELD(s->what, SHV_WHAT_TYPE_SHIFT, SHV_WHAT_TYPE_MASK, 20),
	       "slot *: 1 items of type 20 (32 bytes each) do not fit *");
	BROKEN(p->what, FIELD(p->what, SHV_WHAT_TYPE_SHIFT, SHV_WHAT_TYPE_MASK, 16),
	       "slot *: its payload is not aligned to 16 bytes*");
	BROKEN(*len, 1000, "slot *: 1000 items of type 6 (2 bytes each) do not fit into * bytes of payload");
	BROKEN(*len, UINT64_MAX, "slot *: 18446744073709551615 items *");
	expect_sound("put right");
}
END_TEST

/* ---- locks ------------------------------------------------------------------------------------------- */

START_TEST(lock_words_of_objects_are_judged)
{
	uint64_t *w = lock_of(f.recursive), *plain = lock_of(f.plain), *handoff = lock_of(f.handoff),
		 *died = lock_of(f.died);
	uint64_t me = my_thread() + 1u;

	ck_assert(*died & LOCK_DIED);
	BROKEN(*w, *w | 0xabcde, "slot *: its lock: held by thread *, but there are only *");
	BROKEN(*w, *w | (free_thread() + 1u), "slot *: its lock: held by thread *, but that entry is free");
	BROKEN(*w, *w | LOCK_DEPTH_ONE, "slot *: its lock: recursion depth 1 without a holder");
	BROKEN(*plain, *plain | me | LOCK_DEPTH_ONE,
	       "slot *: its lock: recursion depth 1 in a lock that does not count");
	BROKEN(*died, *died ^ 0x80, "slot *: its lock: its holder died, but grave * was never dug");
	BROKEN(*died, *died & ~LOCK_OWNER_MASK, "slot *: its lock: its holder died, but grave 0 was never dug");
	BROKEN(*w, *w | LOCK_OWNER_GONE, "slot *: is an object, but its lock says that it was freed");
	BROKEN(*w, *w | me, "thread entry *: notes 0 locks held, but 1 lock words name it");
	BROKEN(*handoff, *handoff | me,
	       "thread entry *: notes 0 handoff locks taken, but 1 lock words name it");
	expect_sound("put right");
}
END_TEST

START_TEST(locks_that_are_held_are_sound)
{
	ck_assert_int_eq(shv_acquire(f.recursive), 0);
	ck_assert_int_eq(shv_acquire(f.recursive), 0);
	ck_assert_int_eq(shv_acquire(f.handoff), 0);
	ck_assert_int_eq(shv_acquire(f.shared), 0);
	ck_assert_int_eq(shv_acquire(f.user), 0);
	expect_sound("held");
	ck_assert_int_eq(shv_release(f.user), 0);
	ck_assert_int_eq(shv_release(f.shared), 0);
	ck_assert_int_eq(shv_release(f.handoff), 0);
	ck_assert_int_eq(shv_release(f.recursive), 0);
	ck_assert_int_eq(shv_release(f.recursive), 0);
	expect_sound("released");
}
END_TEST

START_TEST(shared_locks_are_judged)
{
	uint64_t *link = lock_of(f.shared);
	struct shv_slot_shm *lock = slot_for(&f, f.lock);

	BROKEN(*link, FIELD(*link, 0, UINT32_MAX, 77),
	       "slot *: shares the lock of slot 77, which does not exist");
	BROKEN(*link, FIELD(*link, 0, UINT32_MAX, slot_of(f.raw)),
	       "slot *: shares the lock of slot *, which is no lock object");
	BROKEN(*link, *link + (UINT64_C(1) << 32),
	       "slot *: shares the lock of slot * generation 2, but that is in generation 1");
	BROKEN(lock->word, slot_with(lock->word, SHV_SLOT_FREE, 0),
	       "slot *: shares the lock of slot *, which is no lock object");
	expect_sound("put right");
}
END_TEST

START_TEST(graves_are_judged)
{
	struct shv_grave_shm *g = (struct shv_grave_shm *)(void *)(f.base + f.g->graves_off);

	ck_assert_uint_eq(f.super->graves, 1);
	BROKEN(g[1].number, 4097, "grave at 1: has number 4097, but 1 were dug");
	BROKEN(g[2].number, 1, "grave at 2: has number 1, but 1 were dug");
	BROKEN(g[1].number, 0, "slot *: its lock: its holder died, but grave 1 was never dug");
	BROKEN(f.super->graves, 0, "grave at 1: has number 1, but 0 were dug");
	expect_sound("put right");
}
END_TEST

/* ---- members ----------------------------------------------------------------------------------------- */

START_TEST(processes_and_threads_are_judged)
{
	struct shv_process_shm *p = process_at(f.base, f.g, process_of(&f, f.peer));
	struct shv_thread_shm *t = thread_at(f.base, f.g, my_thread());

	BROKEN(p->word, proc_word(9, proc_gen(p->word)), "process slot *: state 9, which does not exist");
	BROKEN(p->word, proc_word(SHV_PROC_FREE, proc_gen(p->word)),
	       "process slot *: free, but slot * hangs on its list");
	BROKEN(p->word, proc_word(SHV_PROC_ALIVE, 0), "process slot *: in use in generation 0");
	BROKEN(t->word, FIELD(t->word, 0, 0xf, 9), "thread entry *: state 9, which does not exist");
	BROKEN(t->word, thread_word(SHV_THREAD_ALIVE, 4000, 1),
	       "thread entry *: of process 4000, but there are only 16 process slots");
	BROKEN(t->word, thread_word(SHV_THREAD_ALIVE, 7, 1),
	       "thread entry *: of process 7 generation 1, which is not there");
	BROKEN(t->word, thread_word(SHV_THREAD_ENDED, 0, 99),
	       "thread entry *: of process 0 generation 99, which is not there");
	expect_sound("put right");
}
END_TEST

START_TEST(lists_are_judged)
{
	uint32_t number = process_of(&f, f.peer), first, second;
	struct shv_process_shm *p = process_at(f.base, f.g, number);
	struct shv_slot_shm *s;
	uint32_t *link, *last;

	first = (uint32_t)p->head;
	ck_assert_uint_ne(first, 0);
	s = slot_at(&f, first);
	link = (uint32_t *)(void *)(f.base + what_offset(s->what) + slot_lead(s->word) + SHV_HEADER_SIZE);
	second = *link;
	ck_assert_uint_ne(second, 0);
	last = (uint32_t *)(void *)(f.base + what_offset(slot_at(&f, second)->what) +
				    slot_lead(slot_at(&f, second)->word) + SHV_HEADER_SIZE);
	ck_assert_uint_eq(*last, 0);

	BROKEN(p->head, p->head + (UINT64_C(1) << 32),
	       "list of process *: of generation *, but the process is in generation *");
	BROKEN(p->head, FIELD(p->head, 0, UINT32_MAX, 77), "list of process *: slot 77, which does not exist");
	BROKEN(*link, 4095, "list of process *: slot 4095, which does not exist");
	BROKEN(*last, first, "list of process *: slot * is on a list for the second time");
	BROKEN(*link, slot_of(f.none), "list of process *: slot * is on it in state 2");
	BROKEN(s->word, slot_with(s->word, SHV_SLOT_HELD, 0), "list of process *: slot * is on it in state 1");
	BROKEN(s->what, FIELD(s->what, 0, SHV_WHAT_OFF_MASK, what_offset(slot_for(&f, f.none)->what) >> 4),
	       "list of process *: the block of slot * is not on a page of that process");
	expect_sound("put right");
}
END_TEST

/* ---- tables ------------------------------------------------------------------------------------------ */

START_TEST(policies_are_judged)
{
	struct shv_policy_shm *p = (struct shv_policy_shm *)(void *)(f.base + f.g->policies_off);

	BROKEN(p->name[0], 0, "policy 0: its name is empty");
	BROKEN_IN(p->name, memset(p->name, 'x', sizeof(p->name)), "policy 0: its name does not end");
	BROKEN(p->size, 0, "policy 0 'spin': 0 bytes of state aligned to 4 are not allowed");
	BROKEN(p->align, 3, "policy 0 'spin': 4 bytes of state aligned to 3 are not allowed");
	BROKEN_IN(p[1].name, memcpy(p[1].name, "spin", 5), "policy 1 'spin': policy 0 has the same name");
	expect_sound("put right");
}
END_TEST

START_TEST(types_are_judged)
{
	struct shv_type_shm *t = (struct shv_type_shm *)(void *)(f.base + f.g->types_off);
	char *text = f.base + f.g->types_text_off + t->text;

	ck_assert_uint_ge(f.super->types, 1);
	BROKEN(t->hash, t->hash + 1, "type 32 'T{d:x:d:y:}': its hash is *, but should be *");
	BROKEN(t->align, 12, "type 32: a size of 16 and an alignment of 12 are not possible");
	BROKEN(t->size, UINT64_MAX, "type 32: a size of * and an alignment of 8 are not possible");
	BROKEN(t->text, (uint32_t)SHV_TYPE_TEXT, "type 32: its text from * to * is not between 0 and *");
	BROKEN(t->format_len, UINT32_MAX, "type 32: its text from * to * is not between 0 and *");
	BROKEN(t->format_len, 0, "type 32: its format is empty");
	BROKEN(t->format_len, t->format_len - 1, "type 32: its format or name does not end where it should");
	BROKEN(text[2], 0, "type 32: its format or name does not end where it should");
	BROKEN(text[2], 'q', "type 32 'T{q:x:d:y:}': its hash is *, but should be *");
	expect_sound("put right");
}
END_TEST

START_TEST(name_table_is_judged)
{
	uint32_t part, other;
	uint64_t *by_text, *by_target, *e;
	uint64_t mask = (UINT64_C(1) << (f.super->names_root >> 32 & 0xff)) - 1, i, far;

	(void)name_part(&f, "second name", &other);
	(void)name_part(&f, "first", &part);
	by_text = name_entry(&f, part, false);
	by_target = name_entry(&f, part, true);
	e = (uint64_t *)(void *)page_addr(f.base, f.g, (uint32_t)f.super->names_root);
	i = (uint64_t)(by_text - e);
	for (far = (i + 5) & mask; e[far] != SHV_NAME_EMPTY; far = (far + 1) & mask)
		;

	BROKEN(f.super->names_root, f.super->names_root | UINT64_C(40) << 32,
	       "names: the root says *, but those pages are no name table");
	BROKEN(f.super->names_root, FIELD(f.super->names_root, 0, UINT32_MAX, 0xffffff),
	       "names: the root says *");
	BROKEN(f.super->names_root, 0, "names: names_live is 2, but the table has 0");
	BROKEN(f.super->names_used, f.super->names_used + 1, "names: names_used is *, but the table has *");
	BROKEN(f.super->names_live, 3, "names: names_live is 3, but the table has 2");
	BROKEN(*by_text, FIELD(*by_text, 0, UINT32_MAX, 77),
	       "name table entry *: leads to slot 77, which is no name");
	BROKEN(*by_text, FIELD(*by_text, 0, UINT32_MAX, slot_of(f.none)),
	       "name table entry *: leads to slot *, which is no name");
	BROKEN(*by_text, *by_text ^ UINT64_C(1) << 40,
	       "name table entry *: has hash * of 'first' in slot *, which should be *");
	BROKEN(*by_target, *by_target ^ UINT64_C(1) << 40,
	       "name table entry *: has hash * of 'first' in slot *, which should be *");
	BROKEN(*by_text, SHV_NAME_TOMB, "name in slot *: is not in the table by its text");
	BROKEN(*by_target, SHV_NAME_TOMB, "name in slot *: is not in the table by its target");
	BROKEN(*by_target, SHV_NAME_TOMB, "names: 2 entries by text, but 1 by target");
	BROKEN(*by_text, *name_entry(&f, other, false),
	       "name table entry *: the name in slot * is there by its text already");
	BROKEN_IN(*(uint64_t(*)[SHV_PAGE_SIZE / 8])(void *)e, (e[far] = *by_text, *by_text = SHV_NAME_EMPTY),
		  "name table entry *: cannot be found from *, for entry * is empty");
	expect_sound("put right");
}
END_TEST

START_TEST(names_are_judged)
{
	uint32_t slot, other;
	struct shv_name_shm *n = name_part(&f, "first", &slot), *m = name_part(&f, "second name", &other);
	uint64_t *target = header_of(f.recursive);

	BROKEN(n->hash, n->hash + 1, "name 'first' in slot *: its hash is *, but should be *");
	BROKEN(n->len, 0, "name in slot *: a length of 0 is not possible");
	BROKEN(n->len, 4, "name in slot *: does not end after its 4 bytes");
	BROKEN(n->len, 300, "name in slot *: a length of 300 is not possible");
	BROKEN(n->text[1], 0, "name in slot *: does not end after its 5 bytes");
	BROKEN(n->target, 77, "name 'first' in slot *: of slot 77 generation 0, which is no object");
	BROKEN(n->target, n->target + (UINT64_C(1) << 32),
	       "name 'first' in slot *: of slot * generation 2, which is no object");
	BROKEN(n->target, m->target, "name table entry *: slot *, called '*', has another name too");
	BROKEN_IN(*(char(*)[20])m->text, (m->len = 5, memcpy(m->text, "first", 6)),
		  "name table entry *: the name 'first' is there twice");
	m->len = 11;
	BROKEN(*target, *target & ~SHV_HDR_NAMED,
	       "name 'first' in slot *: the header of slot * does not say that it has one");
	expect_sound("put right");
}
END_TEST

START_TEST(strings_are_judged)
{
	struct shv_string_shm *string = string_of(f.string), *wide = string_of(f.wide);
	struct shv_slot_shm *s = slot_for(&f, f.string);

	BROKEN(s->what, what_make(what_offset(s->what), 8, SHV_KIND_STRING, SHV_POL_RECURSIVE),
	       "string in slot *: type 8 is not one of characters");
	BROKEN(string->text, 0, "string in slot *: its text is slot 0 generation 0, which is none");
	BROKEN(string->text, SHV_TEXT_CLOSED, "string in slot *: its text is slot 4294967295 generation 4294967295, which is none");
	BROKEN(string->text, string->text + (UINT64_C(1) << 32), "string in slot *: its text is slot * generation 2, which is none");
	BROKEN(string->text, (uint64_t)slot_gen(s->word) << 32 | slot_of(f.string), "string in slot *: its text is slot *, which is none");
	BROKEN(string->text, wide->text, "string in slot *: its text in slot * says that it is of slot * generation 1");
	expect_sound("put right");
}
END_TEST

START_TEST(texts_of_strings_are_judged)
{
	struct shv_text_shm *t = text_of(&f, f.string), *w = text_of(&f, f.wide);
	struct shv_slot_shm *s = text_slot(&f, f.string);
	char *text = f.base + what_offset(s->what) + SHV_HEADER_SIZE + offsetof(struct shv_text_shm, text);
	uint64_t parent = t->parent;

	BROKEN(t->bytes, UINT64_MAX, "string in slot *: its text cannot have 18446744073709551615 bytes");
	BROKEN(t->bytes, class_size(slot_class(s->word)) - 48 + 8, "string in slot *: its text cannot have * bytes");
	BROKEN(t->bytes, 15, "string in slot *: no zero behind the 15 bytes of its text");
	BROKEN(text[16], 'x', "string in slot *: no zero behind the 16 bytes of its text");
	BROKEN(w->bytes, 14, "string in slot *: its text cannot have 14 bytes");
	BROKEN(((wchar_t *)(void *)w->text)[4], L'x', "string in slot *: no zero behind the 16 bytes of its text");
	BROKEN(t->parent, w->parent, "string in slot *: its text in slot * says that it is of slot * generation 1");
	BROKEN(t->parent, parent + (UINT64_C(1) << 32), "text in slot *: belongs to slot * generation 2, which does not name it");
	BROKEN(t->parent, 77, "text in slot *: belongs to slot 77 generation 0, which does not name it");
	BROKEN(f.super->texts, 0, "text in slot *: the superblock says that there was never one");
	/* A block that has no room for a text's numbers. */
	BROKEN(s->word, slot_word(SHV_SLOT_LIVE, slot_proc(s->word), 2, 0, slot_gen(s->word)), "text in slot *: its block is too small for one");
	expect_sound("put right");
}
END_TEST

/* Named by nobody: that is sound as long as the string, and who made the text, can still be about to change it. */
START_TEST(text_that_nobody_names_is_judged)
{
	struct shv_slot_shm *string = slot_for(&f, f.string), *text = text_slot(&f, f.string);
	shv_ref other = string_of(f.wide)->text, was = string_of(f.string)->text;

	BROKEN_IN(*string, string->word = slot_with(string->word, SHV_SLOT_FREE, 0),
		  "text in slot *: belongs to slot * generation 1, which does not name it");
	BROKEN_IN(*text, (text->word = slot_with(text->word, SHV_SLOT_LIVE, 7), string_of(f.string)->text = other),
		  "text in slot *: belongs to slot * generation 1, which does not name it");
	string_of(f.string)->text = was;
	expect_sound("put right");
}
END_TEST

/* ---- many findings, and an arena in use -------------------------------------------------------------- */

START_TEST(a_thousand_findings_are_told_and_all_are_counted)
{
	struct shv_slot_shm *s = slot_at(&f, slot_of(f.recursive) / SHV_SLOTS_PER_CHUNK * SHV_SLOTS_PER_CHUNK);
	struct told t = { .pattern = "slot *: state 9, which does not exist" };
	uint64_t changed = 0;
	int n;

	for (unsigned i = 0; i < SHV_SLOTS_PER_CHUNK; i++)
		if (!s[i].word) {
			s[i].word = UINT64_C(1) << 32 | 9;
			changed++;
		}
	ck_assert_uint_gt(changed, 2000);
	n = shv_check(f.a, hear, &t);
	ck_assert_int_eq(n, changed);
	ck_assert_uint_eq(t.n, 1000);
	ck_assert_uint_eq(t.matching, 1000);
}
END_TEST

struct workers {
	int at_work, stop;
};

static struct workers *workers_memory(void)
{
	struct workers *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(w != MAP_FAILED);
	return w;
}

/* All that a program does, as fast as it goes. */
static void busy(shv_arena *a, unsigned seed, struct workers *w)
{
	shv_value *v[64] = { NULL };
	char name[32];

	for (unsigned i = 0; !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); i++) {
		unsigned k = (seed = seed * 1103515245u + 12345u) >> 16 & 63;

		if (i == 500)
			__atomic_fetch_add(&w->at_work, 1, __ATOMIC_RELEASE);
		if (!v[k]) {
			v[k] = seed & 0x400 ? shv_array_new(a, SHV_INT, seed >> 20, NULL, SHV_RECURSIVE)
					    : SHV_VALUE(a, long, 1, SHV_PLAIN);
			snprintf(name, sizeof(name), "%u-%u", getpid(), k);
			if (k < 8 && v[k])
				shv_publish(v[k], name);
			continue;
		}
		shv_acquire(v[k]);
		shv_release(v[k]);
		if (seed & 0x8000) {
			shv_value_free(v[k]);
			v[k] = NULL;
		}
		if (i % 5000 == 4999)
			shv_arena_trim(a);
	}
	_exit(0);
}

static void set_to_work(struct workers *w, pid_t *child, int n)
{
	for (int i = 0; i < n; i++) {
		child[i] = check_fork();
		if (!child[i])
			busy(f.a, (unsigned)i + 1, w);
	}
	while (__atomic_load_n(&w->at_work, __ATOMIC_ACQUIRE) < n)
		usleep(1000);
}

static void stop_work(struct workers *w, const pid_t *child, int n)
{
	int status;

	__atomic_store_n(&w->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < n; i++) {
		waitpid(child[i], &status, 0);
		ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "a child ended with status %x",
			      status);
	}
}

START_TEST(an_arena_in_use_has_no_findings)
{
	struct workers *w = workers_memory();
	shv_arena *ro = shv_arena_attach(shv_arena_fd(f.a), SHV_RDONLY);
	unsigned rounds = getenv("SHV_SLOW") ? 500 : 40;
	pid_t child[3];

	ck_assert(ro != NULL);
	set_to_work(w, child, 3);
	for (unsigned i = 0; i < rounds; i++) {
		struct told t = { .pattern = NULL };
		int n = shv_check(ro, hear, &t);
		ck_assert_msg(n == 0, "round %u: %d findings:\n%s", i, n, t.all);
	}
	stop_work(w, child, 3);
	ck_assert_int_ge(shv_arena_recover(f.a, NULL), 1); /* they may have recovered each other */
	expect_sound("after all of it");
}
END_TEST

/* Damage stays while everything around it changes. */
START_TEST(damage_is_found_in_an_arena_in_use)
{
	struct told t = { .pattern = "slot *: the header of its block says slot *" };
	struct workers *w = workers_memory();
	uint64_t *h = header_of(f.none), was = *h;
	pid_t child[2];
	int n;

	set_to_work(w, child, 2);
	*h = was + 1;
	n = shv_check(f.a, hear, &t);
	*h = was;
	stop_work(w, child, 2);
	ck_assert_msg(n == 1 && t.matching == 1, "%d findings:\n%s", n, t.all);
}
END_TEST

static TCase *cases(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("check");
	TCase *tc = cases(suite, "sound");

	tcase_add_test(tc, sound_arena_has_no_findings);
	tcase_add_test(tc, empty_arena_is_sound);
	tcase_add_test(tc, dead_process_is_no_finding_before_nor_after_recovery);
	tcase_add_test(tc, stopped_process_is_no_finding);
	tcase_add_test(tc, wrong_arguments_are_refused);
#if !SANITIZED
	tcase_add_test(tc, shortage_of_memory_is_an_error_code);
#endif
	tcase_add_test(tc, checking_takes_no_memory_of_the_arena);
	tcase_add_test(tc, locks_that_are_held_are_sound);
	tcase_add_test(tc, half_done_pool_change_is_no_finding);
	tcase_add_test(tc, half_done_name_change_is_no_finding);
	tc = cases(suite, "broken");
	tcase_add_test(tc, superblock_constants_are_judged);
	tcase_add_test(tc, high_water_marks_are_judged);
	tcase_add_test(tc, locks_of_the_library_are_judged);
	tcase_add_test(tc, intents_are_judged);
	tcase_add_test(tc, owners_of_pages_are_judged);
	tcase_add_test(tc, states_of_pages_are_judged);
	tcase_add_test(tc, summaries_are_judged_at_every_level);
	tcase_add_test(tc, chunk_table_is_judged);
	tcase_add_test(tc, states_of_slots_are_judged);
	tcase_add_test(tc, places_of_blocks_are_judged);
	tcase_add_test(tc, blocks_on_pages_of_two_owners_are_found);
	tcase_add_test(tc, orphaned_pages_are_judged);
	tcase_add_test(tc, headers_are_judged);
	tcase_add_test(tc, kinds_policies_and_leads_are_judged);
	tcase_add_test(tc, types_and_lengths_of_objects_are_judged);
	tcase_add_test(tc, lock_words_of_objects_are_judged);
	tcase_add_test(tc, shared_locks_are_judged);
	tcase_add_test(tc, graves_are_judged);
	tcase_add_test(tc, processes_and_threads_are_judged);
	tcase_add_test(tc, lists_are_judged);
	tcase_add_test(tc, policies_are_judged);
	tcase_add_test(tc, types_are_judged);
	tcase_add_test(tc, name_table_is_judged);
	tcase_add_test(tc, names_are_judged);
	tcase_add_test(tc, strings_are_judged);
	tcase_add_test(tc, texts_of_strings_are_judged);
	tcase_add_test(tc, text_that_nobody_names_is_judged);
	tcase_add_test(tc, a_thousand_findings_are_told_and_all_are_counted);
	tc = cases(suite, "in use");
	tcase_add_test(tc, an_arena_in_use_has_no_findings);
	tcase_add_test(tc, damage_is_found_in_an_arena_in_use);
	return run_suite(suite);
}
