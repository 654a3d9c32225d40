/* SPDX-License-Identifier: MIT */
/*
 * A sound image of an arena that others go on using, made without their help and, unless it is asked for, without a lock. It works
 * from a read-only attachment too.
 *
 * What is in it. The image is not a copy of the memfd's bytes but is made of what they mean:
 *
 *   A  each slot is read once; what is an object then is listed, in order of offsets
 *   B  each object's block is copied, under its lock or between two equal looks at its lock word
 *   C  the tables are read: chunks, page map, members, types, policies, graves
 *   D  each slot is looked at again: an object that is not the same any more is left out
 *
 * So each object of the image lived, in this generation, from its turn in A to its turn in D. Then all of them lived at the moment
 * when A was done: the image is of that moment, but for objects that were freed before D reached them. And they all lived while C was
 * read: their pages and chunks cannot have changed hands meanwhile, so what C says about them fits, and no lock is needed for it. Names
 * are taken from the name parts that live, if what they name does. Everything else is made to fit: pages whose owner is not in the
 * process table become orphans, counts and summaries are computed, withdrawn slots are free, lists are empty, the
 * library's own locks are free and its intents done. Blocks that are not objects are not written at all.
 *
 * Strings: their texts are replaced as a whole, so the text that a string named in B may be gone in D. Then the one that it has now is
 * read, and put into the image where there is room. Texts that no string of the image names are left out.
 *
 * Contents are another matter: each object's bytes are one consistent copy (as shv_peek()) of some moment in B, not of one
 * moment for all. Where a writer had the lock all the time, the copy may be half of each; the image then shows the lock held.
 *
 * Members stay in the image as they were, so that one can see who was there and who held what; but nobody holds their bytes locked
 * there, so for whoever opens it they are dead, and restoring begins with their recovery.
 *
 * Left out: a moment's picture of all contents (it would need every lock at once, or copy-on-write that memfds do not have).
 */
#include "config.h"

#include "arena/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOKS       16          /* at a slot that changes, before it is left out */
#define QUIET_TRIES 64          /* for a moment when no writer is in */
#define BIG         ((uint64_t)64 << 10) /* blocks from here on are copied by pread(): their holes stay holes */
#define BIG_PIECE   ((size_t)256 << 10)
#define BIG_TRIES   4
#define TEXT_TRIES  10000
#define WINDOW      ((uint64_t)1 << 20)

/* ---- lists ------------------------------------------------------------------------------------------- */

static bool room(void **v, size_t n, size_t *have, size_t item)
{
	size_t more = *have ? *have * 2 : 256;
	void *p;

	if (n < *have)
		return true;
	p = FAIL_POINT("malloc-snapshot-list") ? NULL : realloc(*v, more * item);
	if (!p)
		return false;
	*v = p;
	*have = more;
	return true;
}

static int no_memory(void)
{
	return fail(-ENOMEM, "no memory for a list of the arena's objects");
}

static int note(struct snap_notes *l, uint64_t object, uint64_t word)
{
	if (!room((void **)&l->v, l->n, &l->room, sizeof(*l->v)))
		return no_memory();
	l->v[l->n++] = (struct snap_note){ object, word };
	return 0;
}

/* ---- A: slots ---------------------------------------------------------------------------------------- */

static bool page_has_blocks(const struct snap *s, uint64_t page)
{
	unsigned state = page_state(load_relaxed(page_entry(s->base, s->g, page)));

	return state == SHV_PG_OWNED || state == SHV_PG_ORPHAN || state == SHV_PG_INTERIOR;
}

/* The block lies in the pool, on pages for blocks at both ends, with room for lead, header and a list's link. */
static bool block_fits(const struct snap *s, uint64_t word, uint64_t what)
{
	uint64_t off = what_offset(what), size = class_size(slot_class(word)),
		 end = s->g->data_off + (pool_pages(s->base, s->g) << SHV_PAGE_SHIFT);

	return off >= s->g->data_off && off < end && size <= end - off && slot_lead(word) + SHV_HEADER_SIZE + 4 <= size &&
	       what_kind(what) != SHV_KIND_NONE && page_has_blocks(s, page_of(s->g, off)) &&
	       page_has_blocks(s, page_of(s->g, off + size - 1));
}

static int list_object(struct snap *s, uint32_t index, uint64_t off)
{
	if (!room((void **)&s->objects, s->objects_n, &s->objects_room, sizeof(*s->objects)))
		return no_memory();
	s->objects[s->objects_n++] = (struct snap_object){ off, index, 0 };
	return 0;
}

/* What is neither an object nor of use to know about was freed, as far as anybody will see. */
static void slot_to_free(struct shv_slot_shm *to)
{
	to->word = slot_with(to->word, SHV_SLOT_FREE, 0);
}

static int read_slot(struct snap *s, const struct shv_slot_shm *from, struct shv_slot_shm *to, uint32_t index)
{
	for (int i = 0; i < LOOKS; i++) {
		to->word = load_acquire(&from->word); /* pairs: P-publish */
		to->what = load_relaxed(&from->what);
		fence_acquire();
		if (load_relaxed(&from->word) == to->word)
			break;
	}
	if (snap_listed(to->word)) {
		if (block_fits(s, to->word, to->what))
			return list_object(s, index, what_offset(to->what));
		s->left_out++;
		slot_to_free(to);
	} else if (slot_state(to->word) != SHV_SLOT_HELD && slot_state(to->word) != SHV_SLOT_RETIRED) {
		slot_to_free(to);
	}
	return 0;
}

static int read_slots(struct snap *s)
{
	int r = 0;

	for (uint32_t c = 1; c < s->chunks && !r; c++) {
		uint32_t first = c * SHV_SLOTS_PER_CHUNK;
		const struct shv_slot_shm *from = slot_checked(s->base, s->g, first);

		if (!from)
			continue;
		s->slots[c] = FAIL_POINT("malloc-snapshot-slots") ? NULL : malloc(SHV_CHUNK_BYTES);
		if (!s->slots[c])
			return no_memory();
		for (uint32_t i = 0; i < SHV_SLOTS_PER_CHUNK && !r; i++)
			r = read_slot(s, from + i, &s->slots[c][i], first + i);
	}
	return r;
}

/* Radix sort: linear whatever the offsets are, of which there are 38 bits of 16 bytes. */
#define DIGIT 13u
static int sort_objects(struct snap *s)
{
	struct snap_object *from = s->objects, *to = malloc((s->objects_n + 1) * sizeof(*to)), *t;
	uint64_t *start = malloc(sizeof(*start) << DIGIT);
	bool ok = to && start;

	for (unsigned shift = 4; ok && shift < 4 + 38; shift += DIGIT) {
		uint64_t at = 0;
		memset(start, 0, sizeof(*start) << DIGIT);
		for (uint64_t i = 0; i < s->objects_n; i++)
			start[from[i].off >> shift & ((1u << DIGIT) - 1)]++;
		for (unsigned d = 0; d < 1u << DIGIT; d++) {
			uint64_t n = start[d];
			start[d] = at;
			at += n;
		}
		for (uint64_t i = 0; i < s->objects_n; i++)
			to[start[from[i].off >> shift & ((1u << DIGIT) - 1)]++] = from[i];
		t = from;
		from = to;
		to = t;
	}
	s->objects = from;
	s->objects_room = ok ? s->objects_n : s->objects_room;
	free(to);
	free(start);
	return ok ? 0 : no_memory();
}

struct snap_object *snap_find(const struct snap *s, uint32_t slot)
{
	const struct shv_slot_shm *p = snap_slot(s, slot);
	uint64_t off, low = 0, high = s->objects_n;

	if (!p || !snap_listed(p->word))
		return NULL;
	off = what_offset(p->what);
	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		if (s->objects[mid].off < off)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < s->objects_n && s->objects[low].off == off; low++)
		if (s->objects[low].slot == slot)
			return s->objects[low].flags & SNAP_LEFT_OUT ? NULL : &s->objects[low];
	return NULL;
}

void snap_leave_out(struct snap *s, struct snap_object *o)
{
	struct shv_slot_shm *p = snap_slot(s, o->slot);
	const struct shv_slot_shm *now = slot_checked(s->base, s->g, o->slot);
	uint64_t word = now ? load_acquire(&now->word) : 0;

	o->flags |= SNAP_LEFT_OUT;
	s->left_out++;
	/* References to it are stale from now on, and stay so when the slot is used again. */
	if (slot_gen(word) <= slot_gen(p->word))
		word = p->word + (UINT64_C(1) << SHV_SLOT_GEN_SHIFT);
	p->word = slot_gen(word) > SHV_SLOT_GEN_MAX ? slot_with(p->word, SHV_SLOT_RETIRED, 0) :
						      slot_word(SHV_SLOT_FREE, 0, 0, 0, slot_gen(word));
	p->what = 0;
}

/* ---- B: lock words ----------------------------------------------------------------------------------- */

struct subject {
	struct snap_object *o;
	uint64_t index;            /* in s->objects */
	uint64_t word, what;       /* of its slot */
	uint64_t size;             /* of its block */
	const uint64_t *lock;      /* its lock word, or that of the lock object that it shares; NULL: none */
	uint64_t seen;             /* what that was, around the copy */
	bool own;                  /* it is its own */
	bool torn;
};

static bool has_lock_word(uint64_t what)
{
	return what_kind(what) != SHV_KIND_PART && policy_owns_word(what_policy(what));
}

static bool is_shared(uint64_t what)
{
	return what_kind(what) != SHV_KIND_PART && what_policy(what) == SHV_POL_SHARED;
}

static const uint64_t *own_word(const struct snap *s, uint64_t word, uint64_t what)
{
	if (!has_lock_word(what) || slot_lead(word) < 8)
		return NULL;
	return (const uint64_t *)(s->base + what_offset(what) + slot_lead(word)) - 1;
}

/* The lock word of the lock object that `link` refers to, as it is now. */
static const uint64_t *shared_word(const struct snap *s, uint64_t link)
{
	const struct shv_slot_shm *p = slot_checked(s->base, s->g, (uint32_t)link);
	uint64_t word, what;

	if (!p)
		return NULL;
	word = load_acquire(&p->word);
	what = load_relaxed(&p->what);
	if (!snap_listed(word) || slot_gen(word) != (uint32_t)(link >> 32) || what_kind(what) != SHV_KIND_LOCK ||
	    !block_fits(s, word, what))
		return NULL;
	return own_word(s, word, what);
}

static void find_lock(const struct snap *s, struct subject *b)
{
	b->lock = own_word(s, b->word, b->what);
	b->own = b->lock != NULL;
	if (is_shared(b->what) && slot_lead(b->word) >= 8)
		b->lock = shared_word(s, load_relaxed((const uint64_t *)(s->base + b->o->off + slot_lead(b->word)) - 1));
}

/* Nobody writes under a lock whose holder is dead. */
static bool holder_is_dead(const struct snap *s, uint64_t word)
{
	struct shv_holder h = { .size = sizeof(h) };

	if (s->m)
		return owner_dead(s->m, lock_owner(word), NULL);
	if (!owner_describe(s->base, s->g, lock_owner(word), &h) || !h.alive)
		return true;
	return process_probe(s->live, h.process) == LIVENESS_DEAD;
}

/* Is the object still the one that is copied? A lock object may have been freed while it is in use. */
static bool still_there(const struct snap *s, const struct subject *b)
{
	const struct shv_slot_shm *p = slot_checked(s->base, s->g, b->o->slot);
	uint64_t now;

	fence_acquire(); /* pairs: P-publish; what was read before belongs to the word that is compared now */
	now = p ? load_relaxed(&p->word) : 0;
	return now == b->word || (now == slot_with(b->word, SHV_SLOT_CONDEMNED, slot_proc(b->word)) && what_kind(b->what) == SHV_KIND_LOCK);
}

/* ---- B: one object's bytes ---------------------------------------------------------------------------- */

/* By whole words, so that what programs store by one access is never seen half-way. */
static void copy_words(const struct snap *s, uint64_t off, char *to, uint64_t n)
{
	const uint64_t *from = (const uint64_t *)(s->base + off);

	for (uint64_t i = 0; i < n / 8; i++) {
		uint64_t w = load_relaxed(from + i);
		memcpy(to + i * 8, &w, 8);
	}
}

/* One copy, and whether a writer may have been in. to: NULL: straight into the file. */
static int copy_once(struct snap *s, struct subject *b, char *to)
{
	char *piece;
	int r = 0;

	if (to) {
		copy_words(s, b->o->off, to, b->size);
		return 0;
	}
	piece = FAIL_POINT("malloc-snapshot-piece") ? NULL : malloc(BIG_PIECE);
	if (!piece)
		return no_memory();
	for (uint64_t at = 0; at < b->size && !r;) {
		size_t want = b->size - at < BIG_PIECE ? (size_t)(b->size - at) : BIG_PIECE;
		ssize_t n = pread(s->live, piece, want, (off_t)(b->o->off + at));

		if (n <= 0 && !(n < 0 && errno == EINTR))
			r = n ? fail_call("pread of the arena's memfd", NULL) : fail(-EUCLEAN, "the arena's file is too short");
		else if (n > 0)
			r = snapshot_file_put(&s->file, b->o->off + at, piece, (size_t)n);
		at += n > 0 ? (uint64_t)n : 0;
	}
	free(piece);
	return r;
}

static int copy_again(struct snap *s, struct subject *b, char *to)
{
	int r = to ? 0 : snapshot_file_clear(&s->file, b->o->off, b->size); /* zeros of the next try are not written */

	return r ? r : copy_once(s, b, to);
}

/* Between two equal looks at the lock word, if that can be had. */
static int copy_unlocked(struct snap *s, struct subject *b, char *to)
{
	int tries = to ? QUIET_TRIES : BIG_TRIES, r;
	uint64_t dead = 0;

	if (!b->lock)
		return copy_once(s, b, to);
	for (int i = 0; i < tries; i++) {
		b->seen = load_acquire(b->lock); /* pairs: P-lock, P-peek */
		if (lock_is_held(b->seen) && b->seen != dead) {
			if (!i && holder_is_dead(s, b->seen))
				dead = b->seen;
			cpu_relax();
			continue;
		}
		r = i ? copy_again(s, b, to) : copy_once(s, b, to);
		fence_acquire(); /* pairs: P-peek */
		if (r || !((load_relaxed(b->lock) ^ b->seen) & ~LOCK_WAITERS))
			return r;
	}
	b->torn = true;
	b->seen = load_acquire(b->lock);
	return copy_again(s, b, to);
}

/* With SHV_LOCKED. A lock that a dead thread holds is left as it is: the next taker is to be told, not we. */
static int copy_locked(struct snap *s, struct subject *b, char *to)
{
	void *p = (void *)(uintptr_t)(s->base + b->o->off + slot_lead(b->word) + SHV_HEADER_SIZE);
	void *lock = NULL;
	uint64_t word;
	int took, r;

	if (b->lock) {
		word = load_acquire(b->lock);
		if (word & LOCK_DIED || (lock_is_held(word) && holder_is_dead(s, word))) {
			r = copy_unlocked(s, b, to);
			if (r || !b->torn)
				return r;
			b->torn = false; /* it has a holder again */
		}
	}
	took = s->locks->take(p, &lock);
	if (took < 0 && took != -EDEADLK)
		return still_there(s, b) ? took : -ESTALE;
	r = copy_again(s, b, to);
	if (b->lock)
		b->seen = (load_relaxed(b->lock) & LOCK_SEQ_MASK) + LOCK_SEQ_ONE; /* ours, and soon free */
	if (took >= 0)
		s->locks->give(lock);
	s->recovered |= took > 0;
	return r;
}

static bool is_locked_kind(uint64_t what)
{
	unsigned policy = what_policy(what);

	return what_kind(what) != SHV_KIND_PART && what_kind(what) != SHV_KIND_LOCK && policy != SHV_POL_RAW && policy != SHV_POL_NONE;
}

/* ---- B: what is to be remembered of it ------------------------------------------------------------------ */

static uint64_t read_word(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* A name, checked, from its block. */
static int keep_name(struct snap *s, const struct subject *b, const char *block)
{
	const char *from = block + slot_lead(b->word) + SHV_HEADER_SIZE;
	size_t head = offsetof(struct shv_name_shm, text), space = b->size - slot_lead(b->word) - SHV_HEADER_SIZE;
	struct shv_name_shm n;
	char *text;

	if (space < sizeof(n))
		return -ESTALE;
	memcpy(&n, from, sizeof(n));
	if (!n.len || n.len > SHV_NAME_MAX || head + n.len + 1 > space || strnlen(from + head, n.len + 1) != n.len)
		return -ESTALE;
	if (!room((void **)&s->names, s->names_n, &s->names_room, sizeof(*s->names)))
		return no_memory();
	text = FAIL_POINT("malloc-snapshot-name") ? NULL : malloc(n.len + 1u);
	if (!text)
		return no_memory();
	memcpy(text, from + head, n.len + 1u);
	s->names[s->names_n++] = (struct snap_name){ b->o->slot, n.hash, n.target, text };
	return 0;
}

/* The head of the block was copied to `block`: set the lock word right, and note what must be looked at again. */
static int note_object(struct snap *s, struct subject *b, char *block)
{
	uint64_t header = read_word(block + slot_lead(b->word)), word;

	if (header & SHV_HDR_NAMED)
		b->o->flags |= SNAP_NAMED;
	if (what_kind(b->what) == SHV_KIND_PART && what_policy(b->what) == SHV_PART_NAME)
		return keep_name(s, b, block);
	if (what_kind(b->what) == SHV_KIND_PART)
		return note(&s->parts, b->index, 0);
	if (what_kind(b->what) == SHV_KIND_STRING && b->size >= slot_lead(b->word) + SHV_HEADER_SIZE + sizeof(struct shv_string_shm)) {
		word = read_word(block + slot_lead(b->word) + SHV_HEADER_SIZE + offsetof(struct shv_string_shm, text));
		if (note(&s->strings, b->index, word))
			return -ENOMEM;
	}
	if (is_shared(b->what) && slot_lead(b->word) >= 8)
		return note(&s->shared, b->index, read_word(block + slot_lead(b->word) - 8));
	if (!b->own)
		return 0;
	word = b->seen & ~LOCK_WAITERS;
	memcpy(block + slot_lead(b->word) - 8, &word, sizeof(word));
	return lock_is_held(word) ? note(&s->held, b->index, word) : 0;
}

/* A big block is in the file already, but for what note_object() changes. */
static int note_big(struct snap *s, struct subject *b)
{
	char head[SHV_SLOT_LEAD_MASK * 8 + (size_t)2 * SHV_HEADER_SIZE + sizeof(struct shv_string_shm)];
	uint64_t lead = slot_lead(b->word), n = lead + SHV_HEADER_SIZE + sizeof(struct shv_string_shm);
	int r;

	copy_words(s, b->o->off, head, n);
	r = note_object(s, b, head);
	return r || !b->own ? r : snapshot_file_word(&s->file, b->o->off + lead - 8, read_word(head + lead - 8));
}

/* to: room for the block, or NULL if it goes into the file by itself. */
static int copy_object(struct snap *s, uint64_t index, char *to)
{
	struct subject b = { .o = &s->objects[index], .index = index };
	const struct shv_slot_shm *p = snap_slot(s, b.o->slot);
	int r;

	b.word = p->word;
	b.what = p->what;
	b.size = class_size(slot_class(b.word));
	if (!block_fits(s, b.word, b.what) || !still_there(s, &b)) {
		snap_leave_out(s, b.o);
		return 0;
	}
	find_lock(s, &b);
	r = s->locks && is_locked_kind(b.what) ? copy_locked(s, &b, to) : copy_unlocked(s, &b, to);
	if (!r && !still_there(s, &b))
		r = -ESTALE;
	if (!r)
		r = to ? note_object(s, &b, to) : note_big(s, &b);
	if (r == -ESTALE) {
		snap_leave_out(s, b.o);
		if (to)
			memset(to, 0, b.size);
		return 0;
	}
	s->torn += b.torn && what_kind(b.what) != SHV_KIND_LOCK;
	return r;
}

/* ---- B: all of them -------------------------------------------------------------------------------------- */

static bool is_big(const struct snap *s, uint64_t i)
{
	return class_size(slot_class(snap_slot(s, s->objects[i].slot)->word)) >= BIG;
}

/*
 * Small blocks go through a window that moves up the arena. Only whole pages leave it, so that a page which blocks of two
 * rounds share is written with both.
 */
struct window {
	char *buf;                 /* WINDOW + BIG */
	uint64_t off;              /* of buf; a page's */
	uint64_t end;              /* of what is in it */
};

/* Write what lies before `to`, and move the rest down. */
static int window_move(struct snap *s, struct window *w, uint64_t to)
{
	uint64_t page = to & ~(SHV_PAGE_SIZE - 1), keep;
	int r;

	if (page <= w->off)
		return 0;
	keep = w->end > page ? w->end - page : 0;
	r = snapshot_file_put(&s->file, w->off, w->buf, (size_t)(w->end - w->off - keep));
	if (keep)
		memmove(w->buf, w->buf + (page - w->off), keep);
	memset(w->buf + keep, 0, (size_t)(w->end - w->off - keep));
	w->off = page;
	w->end = page + keep;
	return r;
}

static int copy_small(struct snap *s)
{
	struct window w = { .buf = FAIL_POINT("malloc-snapshot-window") ? NULL : calloc(1, WINDOW + BIG) };
	int r = 0;

	if (!w.buf)
		return no_memory();
	for (uint64_t i = 0; i < s->objects_n && !r; i++) {
		uint64_t off = s->objects[i].off, end;

		if (is_big(s, i))
			continue;
		end = off + class_size(slot_class(snap_slot(s, s->objects[i].slot)->word));
		if (!w.off || off - w.off >= WINDOW)
			r = window_move(s, &w, off);
		if (r)
			break;
		r = copy_object(s, i, w.buf + (off - w.off));
		if (end > w.end)
			w.end = end;
	}
	if (!r && w.off)
		r = snapshot_file_put(&s->file, w.off, w.buf, (size_t)(w.end - w.off));
	free(w.buf);
	return r;
}

/* After the small ones, for these write their own bytes only, and those write pages. */
static int copy_big(struct snap *s)
{
	int r = 0;

	for (uint64_t i = 0; i < s->objects_n && !r; i++)
		if (!(s->objects[i].flags & SNAP_LEFT_OUT) && is_big(s, i))
			r = copy_object(s, i, NULL);
	return r;
}

/* ---- D: are they still there -------------------------------------------------------------------------------- */

static void look_again(struct snap *s)
{
	for (uint64_t i = 0; i < s->objects_n; i++) {
		struct subject b = { .o = &s->objects[i] };
		const struct shv_slot_shm *p = snap_slot(s, b.o->slot);

		if (b.o->flags & SNAP_LEFT_OUT)
			continue;
		b.word = p->word;
		b.what = p->what;
		if (!still_there(s, &b))
			snap_leave_out(s, b.o);
	}
}

/* Damage only, for objects that live at one time have each their own bytes. */
static void leave_out_overlaps(struct snap *s)
{
	uint64_t end = 0;

	for (uint64_t i = 0; i < s->objects_n; i++) {
		struct snap_object *o = &s->objects[i];

		if (o->flags & SNAP_LEFT_OUT)
			continue;
		if (o->off < end)
			snap_leave_out(s, o);
		else
			end = o->off + class_size(slot_class(snap_slot(s, o->slot)->word));
	}
}

/* A lock object goes after its last user; so this finds users that went, or damage. */
static void leave_out_unlocked(struct snap *s)
{
	for (size_t i = 0; i < s->shared.n; i++) {
		struct snap_object *o = &s->objects[s->shared.v[i].object];
		uint64_t link = s->shared.v[i].word;
		const struct snap_object *lock = o->flags & SNAP_LEFT_OUT ? NULL : snap_find(s, (uint32_t)link);
		const struct shv_slot_shm *p = lock ? snap_slot(s, lock->slot) : NULL;

		if (!(o->flags & SNAP_LEFT_OUT) &&
		    (!p || slot_gen(p->word) != (uint32_t)(link >> 32) || what_kind(p->what) != SHV_KIND_LOCK))
			snap_leave_out(s, o);
	}
}

/* ---- strings ------------------------------------------------------------------------------------------------- */

static unsigned item_size(uint64_t what)
{
	return what_type(what) == 1 ? 1 : sizeof(wchar_t); /* char or wchar_t */
}

/* The text that the string has now: 0 and *t, or -ESTALE (the string is gone, or damaged), -ENOMEM. */
static int read_text(struct snap *s, const struct snap_object *o, struct snap_text *t)
{
	const struct shv_slot_shm *p = snap_slot(s, o->slot);
	struct subject b = { .o = &s->objects[t->object], .word = p->word, .what = p->what };
	const uint64_t *at = (const uint64_t *)(s->base + o->off + slot_lead(p->word) + SHV_HEADER_SIZE) + 1;
	shv_ref self = o->slot | (uint64_t)slot_gen(p->word) << 32;
	unsigned item = item_size(p->what);

	for (int i = 0; i < TEXT_TRIES && still_there(s, &b); i++) {
		uint64_t ref = load_acquire(at), off, n = 0, got; /* pairs: P-publish */
		int r = ref == SHV_TEXT_CLOSED ? -EUCLEAN : text_where(s->base, s->g, ref, self, &off, &n); /* closed: it is being freed */

		if (r == -EUCLEAN)
			return -ESTALE;
		if (r)
			continue;
		t->text = calloc(1, n + item);
		if (!t->text)
			return fail(-ENOMEM, "no memory for a text of %llu bytes", (unsigned long long)n);
		t->n = n;
		if (!text_read(s->base, s->g, ref, self, t->text, n, &got) && got == n && still_there(s, &b))
			return 0;
		free(t->text);
		t->text = NULL;
	}
	return -ESTALE;
}

/* As all content with SHV_LOCKED: under the lock. */
static int read_text_locked(struct snap *s, const struct snap_object *o, struct snap_text *t)
{
	void *p = (void *)(uintptr_t)(s->base + o->off + slot_lead(snap_slot(s, o->slot)->word) + SHV_HEADER_SIZE);
	struct subject b = { .o = &s->objects[t->object], .word = snap_slot(s, o->slot)->word, .what = snap_slot(s, o->slot)->what };
	bool locked = s->locks && is_locked_kind(b.what);
	void *lock = NULL;
	int took = locked ? s->locks->take(p, &lock) : -EDEADLK, r;

	if (took < 0 && took != -EDEADLK)
		return still_there(s, &b) ? took : -ESTALE;
	r = read_text(s, o, t);
	if (took >= 0)
		s->locks->give(lock);
	s->recovered |= took > 0;
	return r;
}

static int text_again(struct snap *s, uint64_t object)
{
	struct snap_text t = { .object = object };
	struct snap_object *o = &s->objects[object];
	int r;

	if (!room((void **)&s->texts, s->texts_n, &s->texts_room, sizeof(*s->texts)))
		return no_memory();
	r = read_text_locked(s, o, &t);
	if (r == -ESTALE) {
		snap_leave_out(s, o);
		return 0;
	}
	if (!r)
		s->texts[s->texts_n++] = t;
	return r;
}

static int settle_strings(struct snap *s)
{
	int r = 0;

	for (size_t i = 0; i < s->strings.n && !r; i++) {
		uint64_t ref = s->strings.v[i].word;
		struct snap_object *part = snap_find(s, (uint32_t)ref);
		const struct shv_slot_shm *p = part ? snap_slot(s, part->slot) : NULL;

		if (s->objects[s->strings.v[i].object].flags & SNAP_LEFT_OUT)
			continue;
		if (p && slot_gen(p->word) == (uint32_t)(ref >> 32) && what_kind(p->what) == SHV_KIND_PART &&
		    what_policy(p->what) == SHV_PART_TEXT && !(part->flags & SNAP_IN_USE))
			part->flags |= SNAP_IN_USE;
		else
			r = text_again(s, s->strings.v[i].object);
	}
	for (size_t i = 0; i < s->parts.n && !r; i++) {
		struct snap_object *part = &s->objects[s->parts.v[i].object];
		if (part->flags & (SNAP_LEFT_OUT | SNAP_IN_USE))
			continue;
		snap_leave_out(s, part);
		s->left_out--; /* not an object */
	}
	return r;
}

/* ---- all of it ------------------------------------------------------------------------------------------------ */

static int snap_begin(struct snap *s, struct shv_arena *a, const char *path)
{
	s->a = a;
	s->base = a->base;
	s->m = a->m;
	s->g = a->m ? &a->m->geo : &a->geo;
	s->live = a->m ? memfd_fd(a->m) : a->fd;
	s->file = (struct snapshot_file){ .fd = -1, .dir = -1 };
	if (s->live < 0)
		return s->live;
	if (!memfd_is(s->live, s->g))
		return fail(-EBADF, "arena '%s': its descriptor was closed by the program: keep shv_arena_fd() open", a->name);
	s->chunks = chunks_high(s->base, s->g);
	s->slots = FAIL_POINT("malloc-snapshot-chunks") ? NULL : calloc((size_t)s->chunks + 1, sizeof(*s->slots)); /* NOLINT(bugprone-sizeof-expression): pointers */
	if (!s->slots)
		return no_memory();
	return snapshot_file_begin(&s->file, path);
}

static int snap_run(struct snap *s)
{
	int r = snap_tables_prepare(s);

	if (!r)
		r = read_slots(s);
	if (!r)
		r = sort_objects(s);
	if (!r)
		r = copy_small(s);
	if (!r)
		r = copy_big(s);
	if (!r)
		r = snap_tables_load(s);
	if (r)
		return r;
	look_again(s);
	leave_out_overlaps(s);
	leave_out_unlocked(s);
	r = settle_strings(s);
	return r ? r : snap_tables_write(s);
}

static void snap_end(struct snap *s)
{
	snapshot_file_abort(&s->file);
	for (uint32_t c = 0; s->slots && c < s->chunks; c++)
		free(s->slots[c]);
	for (size_t i = 0; i < s->names_n; i++)
		free(s->names[i].text);
	free(s->slots);
	free(s->names);
	free(s->objects);
	free(s->held.v);
	free(s->shared.v);
	for (size_t i = 0; i < s->texts_n; i++)
		free(s->texts[i].text);
	free(s->texts);
	free(s->strings.v);
	free(s->parts.v);
	snap_tables_drop(s);
}

int snapshot_take(struct shv_arena *a, const char *path, const struct snapshot_locks *locks)
{
	struct snap s = { .locks = locks };
	int r = snap_begin(&s, a, path);

	if (!r)
		r = snap_run(&s);
	if (!r)
		r = snapshot_file_commit(&s.file, s.g->data_off + (s.pages << SHV_PAGE_SHIFT));
	snap_end(&s);
	return r ? r : s.recovered ? SHV_RECOVERED : 0;
}
