/* SPDX-License-Identifier: MIT */
/*
 * What the files of the consistency checker share: the image of one pass, and the findings. check.c says
 * how it works.
 *
 * The checker judges the rest of arena/, so it uses none of it: only layout.h, locks/word.h for the lock
 * word, the attachment's private copy of the geometry, and its descriptor.
 */
#ifndef SHV_ARENA_CHECK_H
#define SHV_ARENA_CHECK_H

#include "arena/arena_private.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- findings ---------------------------------------------------------------------------------------- */

#define CHECK_TOLD 1000u      /* so many are told one by one */
#define CHECK_KEPT (1u << 16) /* so many are remembered between passes; the others are only counted */

/* Numbers of findings: what was wrong, where, and the words that said so, in 64 bits. */
struct check_set {
	uint64_t *key; /* open addressing, 0 = empty */
	uint64_t room;
	uint32_t n;
	uint64_t more; /* past CHECK_KEPT */
};

/* ---- what the arena's intents promise ---------------------------------------------------------------- */

/*
 * A word, or a run of page entries, that counts as written already; `mask` and `expected`: only where it is
 * still so.
 */
struct check_word {
	uint64_t off, value;
};
struct check_run {
	uint64_t page, pages, mask, expected, value;
};
#define CHECK_WORDS 16u
#define CHECK_RUNS  8u

/* ---- the image of one pass --------------------------------------------------------------------------- */

struct check_chunk {
	uint64_t entry; /* of the chunk table */
	struct shv_slot_shm
		*slots; /* SHV_SLOTS_PER_CHUNK of them; NULL: there are none, or they cannot be trusted */
};

struct check_block {
	uint64_t off;
	uint32_t slot, spare;
};

struct check {
	const struct shv_geo *g;
	const char *base;
	int fd;
	unsigned pass; /* from 0 */
	bool last;     /* sentences are made in the last pass only */
	int err;       /* negative: the walk cannot go on */
	struct check_set now, before;
	char **text; /* sentences of the last pass */
	uint32_t texts;

	/* The image. Sizes are clamped to the geometry and to the file. */
	struct shv_super_shm super; /* with the intents carried out */
	uint64_t file_size;
	struct check_word words[CHECK_WORDS];
	unsigned words_n;
	struct check_run runs[CHECK_RUNS];
	unsigned runs_n;
	bool pool_still, names_still,
		recovery_still;        /* nothing that this lock guards changed while the image was made */
	struct shv_process_shm *procs; /* last_process + 1: the last ones are visitors' */
	struct shv_thread_shm *threads;
	uint32_t threads_n;
	struct shv_grave_shm *graves; /* SHV_GRAVES */
	uint64_t *map;                /* page entries */
	uint64_t pages;
	uint32_t *use; /* a page: CHECK_USED_*, and blocks that begin or end there */
	struct shv_sum_shm *sums[SHV_MAX_LEVELS];
	struct check_chunk *chunks;
	uint32_t chunks_n;
	struct shv_policy_shm *policies;
	uint32_t policies_n;
	struct shv_type_shm *types;
	uint32_t types_n;
	uint64_t *names; /* the name table */
	uint64_t names_n;
	struct check_block *blocks;
	uint64_t blocks_n;
	uint32_t *owned_locks;    /* a thread: lock words that name it, and */
	uint32_t *owned_handoffs; /* those that another may release */
	uint64_t *owned_words;    /* ... and what they were, mixed */
};
#define CHECK_USED_CHUNK    (1u << 31)
#define CHECK_USED_NAMES    (1u << 30)
#define CHECK_USED_INTERIOR (1u << 29)
#define CHECK_USED_COUNT    ((1u << 29) - 1)

/* ---- check.c ----------------------------------------------------------------------------------------- */

/*
 * A finding. It counts only if every pass has it: the same sentence pattern, about the same thing
 * (`index`), because of the same raw words. So callers pass as words what would have changed if the arena
 * were merely in use.
 */
void check_found(struct check *c, uint64_t index, uint64_t word, uint64_t word2, const char *fmt, ...)
	__attribute__((format(printf, 5, 6))) HIDDEN;
uint64_t check_mix(uint64_t a, uint64_t b) HIDDEN;
uint64_t check_hash(const void *p, size_t n) HIDDEN;

/* ---- check_image.c: reading -------------------------------------------------------------------------- */

int check_load(struct check *c) HIDDEN; /* 0, or negative; nothing needs to be undone but by check_drop() */
void check_drop(struct check *c) HIDDEN;
/* n bytes at an offset, zeros where the file has none, intents carried out. False: c->err is set. */
bool check_read(struct check *c, uint64_t off, void *buf, size_t n) HIDDEN;
/* The image of a slot; NULL: there is none. */
const struct shv_slot_shm *check_slot(const struct check *c, uint64_t index) HIDDEN;
/* The process of that slot is there in some generation / in this one. */
bool check_process(const struct check *c, uint32_t slot) HIDDEN;
bool check_process_is(const struct check *c, uint32_t slot, uint32_t gen) HIDDEN;
/* It is gone, or going, and its pages may be half owned and half orphaned. */
bool check_being_recovered(const struct check *c, uint32_t slot, uint32_t gen) HIDDEN;

/* ---- the rules --------------------------------------------------------------------------------------- */

void check_super(struct check *c) HIDDEN; /* check_members.c */
void check_members(struct check *c) HIDDEN;
void check_thread_counts(struct check *c) HIDDEN; /* after check_blocks() */
void check_lists(struct check *c) HIDDEN;
/* A lock word: `what` begins the sentence. recursive: may have a depth. */
void check_lock_word(struct check *c, uint64_t word, uint64_t index, const char *what, bool recursive) HIDDEN;
void check_policies(struct check *c) HIDDEN; /* check_tables.c */
void check_types(struct check *c) HIDDEN;
void check_names(struct check *c) HIDDEN;
void check_texts(struct check *c) HIDDEN; /* check_texts.c; after check_blocks() */
void check_pages(struct check *c) HIDDEN; /* check_pages.c */
void check_sums(struct check *c) HIDDEN;
void check_chunks(struct check *c) HIDDEN;
void check_page_use(struct check *c) HIDDEN; /* after all others */
void check_slots(struct check *c) HIDDEN;    /* check_blocks.c */
void check_blocks(struct check *c) HIDDEN;

#endif /* SHV_ARENA_CHECK_H */
