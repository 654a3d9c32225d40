/* SPDX-License-Identifier: MIT */
/*
 * Looking at an arena from outside: what values/inspect.c and values/inspect_arena.c read the shared bytes through.
 *
 *   shv_view      one call's limits of what may be read, taken from the geometry and the file's size
 *   view_object   a consistent copy of one object's words: slot, header, length, lock
 *
 * No lock is taken and nothing is written. A slot's word is read, then what belongs to it, then the word again:
 * if it is the same, all of it belonged to one object (a freed slot comes back with another generation). Every
 * number is checked against the limits before it is followed, and the page map is asked before a page is read,
 * since reading a hole of the file would allocate memory for it. A page that is given back between the question
 * and the reading is read as zeros, and the second look at the word then finds that the object is gone.
 */
#ifndef SHV_VALUES_VIEW_H
#define SHV_VALUES_VIEW_H

#include "arena/arena_private.h"

#include <shv/inspect.h>
#include <stdbool.h>
#include <stdint.h>

struct view_memo; /* of this thread: what is dear to ask for each item again; see view.c */

struct shv_view {
	const struct shv_arena *a;
	const char *base;
	const struct shv_geo *g;
	struct view_memo *memo;   /* NULL: no memory for one */
	uint64_t pages;           /* of the pool that can be read */
	uint32_t chunks;          /* entries of the chunk table that count */
	uint32_t processes;       /* the same of the process table */
	uint32_t threads;         /* and of the thread table */
};

/* The arena's descriptor now; negative errno if the program closed it. */
int view_fd(const struct shv_view *v) HIDDEN;
/*
 * Set up *v. who: name of the public function, for the sentence. restart: forget what was asked before. 0 or
 * -EINVAL.
 */
int view_open(struct shv_view *v, const shv_arena *a, const char *who, bool restart) HIDDEN;
/* The same for an iterator, whose cursor is 0 in the first call of a walk. Also -EINVAL: cursor or out is NULL. */
int view_open_walk(struct shv_view *v, const shv_arena *a, const uint64_t *cursor, const void *out,
		   const char *who) HIDDEN;

/* ---- pages and slots ----------------------------------------------------------------------------------- */

/* The page map's entry of a page below v->pages. */
static inline uint64_t view_page(const struct shv_view *v, uint64_t page)
{
	return load_relaxed(page_entry(v->base, v->g, page));
}

/* The slots of a chunk, if all of its pages are what the page map calls directory; else NULL. */
const struct shv_slot_shm *view_chunk(const struct shv_view *v, uint32_t chunk) HIDDEN;

/* ---- objects ------------------------------------------------------------------------------------------- */

struct view_object {
	uint32_t index;           /* of its slot */
	uint64_t word, what;      /* of its slot */
	uint64_t header;
	uint64_t lock;            /* last 8 bytes of the lead, 0 if there is none */
	uint64_t entry;           /* page map entry of the block's first page */
	uint64_t payload;         /* offset */
	uint64_t text;            /* strings: reference of the text; where `content` and `bytes` come from */
	uint64_t content;         /* offset of what the object holds: its payload, or a string's text */
	uint64_t block_bytes;
	uint64_t item_bytes, len, bytes;
};

/* Is it something that inspection lists: a live object, or a lock object that is freed and still in use? */
static inline bool view_listed(uint64_t word)
{
	return slot_state(word) == SHV_SLOT_LIVE || slot_state(word) == SHV_SLOT_CONDEMNED;
}

/*
 * Look at slot `index` of `slots` (of view_chunk()). 1 and *o; 0: no object there, or one that changes too
 * quickly; -EUCLEAN: its numbers contradict each other, now and when looked at again.
 */
int view_look(const struct shv_view *v, const struct shv_slot_shm *slot, uint32_t index, struct view_object *o) HIDDEN;
/*
 * The object of a reference. 0; -EINVAL (0, or never was one), -ESTALE, -EUCLEAN, each with a sentence that
 * names `who`.
 */
int view_find(const struct shv_view *v, shv_ref ref, const char *who, struct view_object *o) HIDDEN;
/* Again: where the text of a string is. False: damaged, or it changes too quickly. */
bool view_text(const struct shv_view *v, struct view_object *o) HIDDEN;
/* Is the object that was looked at still the same one? Orders the reads before it. */
static inline bool view_same(const struct shv_slot_shm *slot, uint64_t word)
{
	fence_acquire(); /* pairs: P-publish; what was read before belongs to the word that is compared now */
	return load_relaxed(&slot->word) == word;
}

/* The policy of a slot as the public headers name it. */
static inline enum shv_lock_kind view_lock_kind(unsigned policy)
{
	if (policy >= SHV_POL_USER)
		return SHV_LOCK_POLICY;
	return policy == SHV_POL_RAW || policy > SHV_POL_SHARED ? SHV_LOCK_NONE : (enum shv_lock_kind)policy;
}

/* Bytes of one item of a type, as the arena says; false if it has no such type. */
bool view_type_bytes(const struct shv_view *v, uint32_t id, uint64_t *bytes) HIDDEN;

/* The lock word of a lock object that a value shares; false if there is no such object (any more). */
bool view_shared_word(const struct shv_view *v, uint64_t which, uint64_t *word) HIDDEN;
/* Where the lock word of an object is that has one, its own or that of the lock object it shares; NULL if none. */
const uint64_t *view_lock_address(const struct shv_view *v, const struct view_object *o) HIDDEN;

/* ---- who lives ----------------------------------------------------------------------------------------- */

/*
 * Does the process that has slot `proc` in generation `gen` live? Asks the kernel at most once in a tenth of a
 * second.
 */
bool view_process_lives(const struct shv_view *v, uint32_t proc, uint32_t gen) HIDDEN;
/* The same, now. */
bool view_process_probe(const struct shv_view *v, uint32_t proc, uint32_t gen) HIDDEN;

/* What a lock word of the built-in policies says. */
struct view_lock {
	bool held, waiters;
	bool abandoned;           /* its holder is gone; then not held */
	uint32_t depth;           /* times it is, or was, held */
	uint32_t acquisitions;    /* modulo 2^32 */
	struct shv_holder holder; /* who holds it, or died holding it; pid 0 if unknown */
};
void view_lock_word(const struct shv_view *v, uint64_t word, struct view_lock *out) HIDDEN;

/* Pages that a process owns, by a count of all pages made now (again) or a moment ago. */
uint64_t view_pages_owned(const struct shv_view *v, uint32_t proc, bool again) HIDDEN;

/* ---- handing out --------------------------------------------------------------------------------------- */

/*
 * Copy a filled structure to the caller's, which may be older and shorter, or newer and longer: then the rest
 * is zero. Its `size` is left as it was. 0, or -EINVAL for a size that no version had. `have` is the size of
 * ours, `first` that of version 0.1.
 */
int view_deliver(void *out, const void *filled, size_t have, size_t first, const char *who) HIDDEN;
/* None of the structures has grown yet: when one does, its call of view_deliver() names the old size. */
#define VIEW_DELIVER(out, filled, who) view_deliver((out), &(filled), sizeof(filled), sizeof(filled), (who))

/* NUL-terminated and cut to size. */
void view_copy_text(char *to, size_t size, const char *from) HIDDEN;

#endif /* SHV_VALUES_VIEW_H */
