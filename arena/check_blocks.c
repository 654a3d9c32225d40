/* SPDX-License-Identifier: MIT */
/*
 * The checker's rules about objects: slots have known states and processes; blocks lie on pages of their
 * owner and nobody else's, none over another; headers, lengths and lock words are what the slots say.
 *
 * All slots that have a block for sure (LIVE, GONE, LOST, CONDEMNED) are listed and sorted by offset. In
 * that order the blocks' first bytes are read from the file in a few large pieces, and no page is walked
 * twice however long the blocks claim to be. HELD slots are left out: whether their block is still theirs
 * only the holder knows.
 */
#include "config.h"

#include "arena/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ULL(x) ((unsigned long long)(x))

#define LINK_SIZE 4u /* first bytes of each payload, for the list home */

/* ---- what the numbers mean --------------------------------------------------------------------------- */

/* Sizes and alignments of the basic types, by id: part of the format. */
#define BASIC(T)                       \
	{                              \
		sizeof(T), _Alignof(T) \
	}
static const struct {
	uint8_t size, align;
} basic[SHV_TYPE_FIRST] = {
	[1] = BASIC(char),
	[2] = BASIC(signed char),
	[3] = BASIC(unsigned char),
	[4] = BASIC(wchar_t),
	[5] = BASIC(_Bool),
	[6] = BASIC(short),
	[7] = BASIC(unsigned short),
	[8] = BASIC(int),
	[9] = BASIC(unsigned),
	[10] = BASIC(long),
	[11] = BASIC(unsigned long),
	[12] = BASIC(long long),
	[13] = BASIC(unsigned long long),
	[14] = BASIC(float),
	[15] = BASIC(double),
	[16] = BASIC(long double),
	[17] = BASIC(uint16_t),
	[18] = BASIC(float _Complex),
	[19] = BASIC(double _Complex),
	[20] = BASIC(long double _Complex),
};

static bool type_measure(const struct check *c, uint32_t id, uint64_t *size, uint64_t *align)
{
	if (id < SHV_TYPE_FIRST) {
		*size = basic[id].size;
		*align = basic[id].align;
		return *size != 0;
	}
	if (id - SHV_TYPE_FIRST >= c->types_n)
		return false;
	*size = c->types[id - SHV_TYPE_FIRST].size;
	*align = c->types[id - SHV_TYPE_FIRST].align;
	return true;
}

static bool is_array(unsigned kind)
{
	return kind == SHV_KIND_ARRAY || kind == SHV_KIND_RAW_ARRAY;
}

static bool has_type(unsigned kind)
{
	return kind == SHV_KIND_VALUE || kind == SHV_KIND_RAW || is_array(kind);
}

/* The policy is one that an object of this kind can have. */
static bool policy_known(const struct check *c, unsigned kind, unsigned policy)
{
	bool user = policy >= SHV_POL_USER && policy - SHV_POL_USER < c->policies_n;
	bool own = policy == SHV_POL_RECURSIVE || policy == SHV_POL_PLAIN || policy == SHV_POL_HANDOFF;

	switch (kind) {
	case SHV_KIND_RAW:
	case SHV_KIND_RAW_ARRAY:
		return policy == SHV_POL_RAW;
	case SHV_KIND_LOCK:
		return own || user;
	case SHV_KIND_PART:
		return policy == SHV_PART_NAME || policy == SHV_PART_TEXT;
	default:
		return own || user || policy == SHV_POL_NONE || policy == SHV_POL_SHARED;
	}
}

/* A user policy's state begins so far in front of the header, to be aligned with the payload 8 behind that. */
static uint64_t state_bytes(const struct shv_policy_shm *p)
{
	uint64_t align = p->align <= 8 ? 8 : p->align, more = p->align <= 8 ? 0 : 8;

	return (p->size + more + align - 1) / align * align - more;
}

/* Bytes that must be in front of the header. */
static uint64_t least_lead(const struct check *c, unsigned kind, unsigned policy)
{
	uint64_t n = is_array(kind) ? 8 : 0;

	if (kind == SHV_KIND_PART || policy == SHV_POL_RAW || policy == SHV_POL_NONE)
		return n;
	return n + (policy < SHV_POL_USER ? 8 : state_bytes(&c->policies[policy - SHV_POL_USER]));
}

/* ---- slots ------------------------------------------------------------------------------------------- */

static bool has_block(unsigned state)
{
	return state == SHV_SLOT_LIVE || state == SHV_SLOT_GONE || state == SHV_SLOT_LOST ||
	       state == SHV_SLOT_CONDEMNED;
}

static void check_slot_process(struct check *c, uint64_t index, uint64_t word, const char *how)
{
	uint32_t proc = slot_proc(word);

	if (proc > c->g->last_process)
		check_found(c, index, word, 0, "slot %llu: %s process %u, but there are only %u process slots",
			    ULL(index), how, proc, c->g->last_process + 1);
	else if (!check_process(c, proc))
		check_found(c, index, word, c->procs[proc].word,
			    "slot %llu: %s process %u, but that slot is free", ULL(index), how, proc);
}

static void check_slot_state(struct check *c, uint64_t index, const struct shv_slot_shm *s)
{
	switch (slot_state(s->word)) {
	case SHV_SLOT_FREE:
	case SHV_SLOT_RETIRED:
		break;
	case SHV_SLOT_HELD:
		check_slot_process(c, index, s->word, "held by");
		break;
	case SHV_SLOT_GONE:
		check_slot_process(c, index, s->word, "withdrawn by");
		break;
	case SHV_SLOT_LIVE:
	case SHV_SLOT_LOST:
	case SHV_SLOT_CONDEMNED:
		if (slot_proc(s->word) > c->g->last_process)
			check_found(c, index, s->word, 0,
				    "slot %llu: names process %u, but there are only %u process slots",
				    ULL(index), slot_proc(s->word), c->g->last_process + 1);
		break;
	default:
		check_found(c, index, s->word, 0, "slot %llu: state %u, which does not exist", ULL(index),
			    slot_state(s->word));
	}
}

/* The block lies in the pool, with room for lead and header. */
static bool block_in_pool(struct check *c, uint64_t index, const struct shv_slot_shm *s)
{
	uint64_t off = what_offset(s->what), size = class_size(slot_class(s->word)),
		 end = c->g->data_off + (c->pages << SHV_PAGE_SHIFT);

	if (off < c->g->data_off || off >= end || size > end - off) {
		check_found(
			c, index, s->word, s->what,
			"slot %llu: its block at %llu of size class %u is not within the pool (%llu to %llu)",
			ULL(index), ULL(off), slot_class(s->word), ULL(c->g->data_off), ULL(end));
		return false;
	}
	if (slot_lead(s->word) + SHV_HEADER_SIZE + LINK_SIZE > size) {
		check_found(
			c, index, s->word, s->what,
			"slot %llu: a lead of %u bytes, the header and a list's link do not fit into its block "
			"of %llu bytes",
			ULL(index), slot_lead(s->word), ULL(size));
		return false;
	}
	return true;
}

/*
 * Generations in a chunk never fall below the floor that an earlier chunk of that number left. Free slots
 * are raised when taken.
 */
static void check_generation(struct check *c, uint64_t index, uint64_t word, uint32_t floor)
{
	if (slot_state(word) == SHV_SLOT_FREE)
		return;
	if (!slot_gen(word) || slot_gen(word) < floor)
		check_found(c, index, word, floor, "slot %llu: generation %u, but its chunk begins with %u",
			    ULL(index), slot_gen(word), floor ? floor : 1);
}

static void check_chunk_slots(struct check *c, uint32_t chunk)
{
	uint32_t floor = SHV_CHUNK_FLOOR(c->chunks[chunk].entry);

	for (uint32_t i = 0; i < SHV_SLOTS_PER_CHUNK; i++) {
		const struct shv_slot_shm *s = &c->chunks[chunk].slots[i];
		uint64_t index = (uint64_t)chunk * SHV_SLOTS_PER_CHUNK + i;

		check_slot_state(c, index, s);
		check_generation(c, index, s->word, floor);
		if (has_block(slot_state(s->word)) && block_in_pool(c, index, s))
			c->blocks[c->blocks_n++] =
				(struct check_block){ what_offset(s->what), (uint32_t)index, 0 };
	}
}

static uint64_t count_blocks(const struct check *c)
{
	uint64_t n = 0;

	for (uint32_t k = 0; k < c->chunks_n; k++)
		for (uint32_t i = 0; c->chunks[k].slots && i < SHV_SLOTS_PER_CHUNK; i++)
			n += has_block(slot_state(c->chunks[k].slots[i].word));
	return n;
}

void check_slots(struct check *c)
{
	uint64_t n = count_blocks(c);

	c->blocks_n = 0;
	c->blocks = calloc(n ? n : 1, sizeof(*c->blocks));
	if (!c->blocks) {
		c->err = -ENOMEM;
		return;
	}
	for (uint32_t k = 0; k < c->chunks_n; k++)
		if (c->chunks[k].slots)
			check_chunk_slots(c, k);
}

/* ---- in order of offsets ----------------------------------------------------------------------------- */

/* Radix sort: linear whatever the bytes say. Offsets are 38 bits of 16 bytes. */
#define DIGIT 13u
static bool sort_blocks(struct check *c)
{
	struct check_block *from = c->blocks, *to = calloc(c->blocks_n ? c->blocks_n : 1, sizeof(*to)), *t;
	uint64_t *start = malloc(sizeof(*start) << DIGIT);
	bool ok = to && start;

	for (unsigned shift = 4; ok && shift < 4 + 38; shift += DIGIT) {
		uint64_t at = 0;
		memset(start, 0, sizeof(*start) << DIGIT);
		for (uint64_t i = 0; i < c->blocks_n; i++)
			start[from[i].off >> shift & ((1u << DIGIT) - 1)]++;
		for (unsigned d = 0; d < 1u << DIGIT; d++) {
			uint64_t n = start[d];
			start[d] = at;
			at += n;
		}
		for (uint64_t i = 0; i < c->blocks_n; i++)
			to[start[from[i].off >> shift & ((1u << DIGIT) - 1)]++] = from[i];
		t = from;
		from = to;
		to = t;
	}
	c->blocks = from;
	free(to);
	free(start);
	if (!ok)
		c->err = -ENOMEM;
	return ok;
}

/* ---- where blocks lie -------------------------------------------------------------------------------- */

static const char *page_state_name(uint64_t e)
{
	static const char *const names[] = { "free",      "owned",
					     "orphaned",  "interior of an orphaned block",
					     "directory", "a system page" };

	return page_state(e) < sizeof(names) / sizeof(names[0]) ? names[page_state(e)] : "of an unknown state";
}

static void misplaced(struct check *c, uint64_t slot, uint64_t word, uint64_t page)
{
	check_found(c, slot, word, c->map[page], "slot %llu: its block lies on page %llu, which is %s",
		    ULL(slot), ULL(page), page_state_name(c->map[page]));
}

/* All on pages of one owner. Told once a block, for the first page that is not. */
static void check_owned(struct check *c, uint64_t slot, uint64_t word, uint64_t first, uint64_t last,
			uint64_t from)
{
	for (uint64_t p = from; p <= last; p++) {
		if (c->map[p] == c->map[first])
			continue;
		if (page_state(c->map[p]) != SHV_PG_OWNED)
			misplaced(c, slot, word, p);
		else
			check_found(c, slot, c->map[p], c->map[first],
				    "slot %llu: its block lies on page %llu of process %u generation %u and "
				    "page %llu of process %u generation %u",
				    ULL(slot), ULL(first), page_proc(c->map[first]), page_gen(c->map[first]),
				    ULL(p), page_proc(c->map[p]), page_gen(c->map[p]));
		return;
	}
}

static void check_orphaned(struct check *c, uint64_t slot, uint64_t word, uint64_t last, uint64_t from)
{
	for (uint64_t p = from; p < last; p++) {
		if (page_state(c->map[p]) != SHV_PG_INTERIOR) {
			misplaced(c, slot, word, p);
			return;
		}
		c->use[p] |= CHECK_USED_INTERIOR;
	}
	if (page_state(c->map[last]) != SHV_PG_ORPHAN)
		misplaced(c, slot, word, last);
}

/* In the middle of a recovery each page is as the dead process left it, or as it will be. */
static void check_in_recovery(struct check *c, uint64_t slot, uint64_t word, uint64_t first, uint64_t last,
			      uint64_t from)
{
	for (uint64_t p = from; p <= last; p++) {
		uint64_t e = c->map[p];
		bool inside = p != last && page_state(e) == SHV_PG_INTERIOR;

		if (page_proc(e) != page_proc(c->map[first]) || page_gen(e) != page_gen(c->map[first]) ||
		    (!inside && page_state(e) != SHV_PG_OWNED && page_state(e) != SHV_PG_ORPHAN)) {
			misplaced(c, slot, word, p);
			return;
		}
		if (inside)
			c->use[p] |= CHECK_USED_INTERIOR;
	}
}

/*
 * *walked: pages below it were looked at for the blocks before. A block has at most one page in common with
 * those, its first; if it has more, the blocks overlap, and that has been told.
 */
static void check_place(struct check *c, uint64_t slot, uint64_t word, uint64_t off, uint64_t size,
			uint64_t *walked)
{
	uint64_t first = (off - c->g->data_off) >> SHV_PAGE_SHIFT,
		 last = (off + size - 1 - c->g->data_off) >> SHV_PAGE_SHIFT;
	uint64_t from = *walked > first + 1 ? *walked : first + 1, e = c->map[first];
	bool owned = page_state(e) == SHV_PG_OWNED;

	if (!owned && page_state(e) != SHV_PG_ORPHAN)
		misplaced(c, slot, word, first);
	else if (check_being_recovered(c, page_proc(e), page_gen(e)))
		check_in_recovery(c, slot, word, first, last, from);
	else if (owned)
		check_owned(c, slot, word, first, last, from);
	else if (from <= last)
		check_orphaned(c, slot, word, last, from);
	c->use[first]++;
	if (last != first)
		c->use[last]++;
	if (last + 1 > *walked)
		*walked = last + 1;
}

/* ---- what is in them --------------------------------------------------------------------------------- */

#define WINDOW 16384u

struct window {
	uint64_t off;
	size_t n;
	char buf[WINDOW];
};

/* n bytes at off, n at most 2,056; reads ahead, since the blocks come in order. NULL: c->err is set. */
static const char *see(struct check *c, struct window *w, uint64_t off, size_t n)
{
	if (off < w->off || off - w->off + n > w->n) {
		w->off = off;
		w->n = WINDOW;
		if (!check_read(c, off, w->buf, WINDOW))
			return NULL;
	}
	return w->buf + (off - w->off);
}

static uint64_t word_of(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static bool check_header(struct check *c, uint64_t slot, const struct shv_slot_shm *s, uint64_t header)
{
	uint64_t want = hdr_make((uint32_t)slot, what_kind(s->what), what_policy(s->what), slot_lead(s->word));

	if ((header & ~SHV_HDR_FLAGS) == want)
		return true;
	if (hdr_slot(header) != slot)
		check_found(c, slot, s->word, header, "slot %llu: the header of its block says slot %u",
			    ULL(slot), hdr_slot(header));
	else
		check_found(
			c, slot, s->word, header,
			"slot %llu: the header of its block says kind %u, policy %u, lead %u, the slot %u, %u, %u",
			ULL(slot), hdr_kind(header), hdr_policy(header), hdr_lead(header), what_kind(s->what),
			what_policy(s->what), slot_lead(s->word));
	return false;
}

/* Type, length and alignment fit the block. */
static void check_payload(struct check *c, uint64_t slot, const struct shv_slot_shm *s, const char *block)
{
	uint64_t size, align, len = 1,
			      room = class_size(slot_class(s->word)) - slot_lead(s->word) - SHV_HEADER_SIZE;
	uint32_t type = what_type(s->what);

	if (!type_measure(c, type, &size, &align)) {
		check_found(c, slot, s->word, s->what, "slot %llu: type %u is not known (%u made types)",
			    ULL(slot), type, c->types_n);
		return;
	}
	if (is_array(what_kind(s->what)))
		len = word_of(block);
	if (size && len > room / size)
		check_found(
			c, slot, s->word, len,
			"slot %llu: %llu items of type %u (%llu bytes each) do not fit into %llu bytes of payload",
			ULL(slot), ULL(len), type, ULL(size), ULL(room));
	if (align && (what_offset(s->what) + slot_lead(s->word) + SHV_HEADER_SIZE) % align)
		check_found(c, slot, s->word, s->what,
			    "slot %llu: its payload is not aligned to %llu bytes, as type %u demands",
			    ULL(slot), ULL(align), type);
}

static void check_link(struct check *c, uint64_t slot, const struct shv_slot_shm *s, uint64_t link)
{
	const struct shv_slot_shm *lock = check_slot(c, (uint32_t)link);
	unsigned state = lock ? slot_state(lock->word) : SHV_SLOT_FREE;

	if (!lock)
		check_found(c, slot, s->word, link,
			    "slot %llu: shares the lock of slot %u, which does not exist", ULL(slot),
			    (uint32_t)link);
	else if ((state != SHV_SLOT_LIVE && state != SHV_SLOT_CONDEMNED) ||
		 what_kind(lock->what) != SHV_KIND_LOCK)
		check_found(c, slot, s->word, lock->word,
			    "slot %llu: shares the lock of slot %u, which is no lock object", ULL(slot),
			    (uint32_t)link);
	else if (slot_gen(lock->word) != (uint32_t)(link >> 32))
		check_found(c, slot, s->word, lock->word,
			    "slot %llu: shares the lock of slot %u generation %u, but that is in generation %u",
			    ULL(slot), (uint32_t)link, (uint32_t)(link >> 32), slot_gen(lock->word));
}

/* For check_thread_counts(). */
static void count_lock(struct check *c, uint64_t word, bool handoff)
{
	uint32_t owner = lock_owner(word);

	if (!lock_is_held(word) || owner > c->threads_n)
		return;
	if (handoff)
		c->owned_handoffs[owner - 1]++;
	else
		c->owned_locks[owner - 1]++;
	c->owned_words[owner - 1] = check_mix(c->owned_words[owner - 1], word);
}

static void check_state_of_lock(struct check *c, uint64_t slot, const struct shv_slot_shm *s,
				const char *header)
{
	unsigned policy = what_policy(s->what);
	char what[48];

	if (what_kind(s->what) == SHV_KIND_PART || policy == SHV_POL_RAW || policy == SHV_POL_NONE ||
	    policy >= SHV_POL_USER)
		return;
	if (policy == SHV_POL_SHARED) {
		check_link(c, slot, s, word_of(header - 8));
		return;
	}
	snprintf(what, sizeof(what), "slot %llu: its lock", ULL(slot));
	if (lock_is_gone(word_of(header - 8)))
		check_found(c, slot, s->word, word_of(header - 8),
			    "slot %llu: is an object, but its lock says that it was freed", ULL(slot));
	check_lock_word(c, word_of(header - 8), slot, what, policy == SHV_POL_RECURSIVE);
	count_lock(c, word_of(header - 8), policy == SHV_POL_HANDOFF);
}

/* An object that is there for everybody: the block must say the same as the slot. */
static void check_object(struct check *c, uint64_t slot, const struct shv_slot_shm *s, struct window *w)
{
	unsigned kind = what_kind(s->what), policy = what_policy(s->what), lead = slot_lead(s->word);
	const char *block = see(c, w, what_offset(s->what), lead + SHV_HEADER_SIZE);

	if (!block || !check_header(c, slot, s, word_of(block + lead)))
		return;
	if (slot_state(s->word) == SHV_SLOT_CONDEMNED && kind != SHV_KIND_LOCK)
		check_found(c, slot, s->word, s->what,
			    "slot %llu: condemned, but of kind %u: only lock objects are", ULL(slot), kind);
	if (kind == SHV_KIND_NONE || !policy_known(c, kind, policy)) {
		check_found(c, slot, s->word, s->what, "slot %llu: an object of kind %u cannot have policy %u",
			    ULL(slot), kind, policy);
		return;
	}
	if (lead < least_lead(c, kind, policy)) {
		check_found(c, slot, s->word, s->what,
			    "slot %llu: a lead of %u bytes is too small for kind %u with policy %u", ULL(slot),
			    lead, kind, policy);
		return;
	}
	if (has_type(kind))
		check_payload(c, slot, s, block);
	check_state_of_lock(c, slot, s, block + lead);
}

void check_blocks(struct check *c)
{
	struct window w;
	uint64_t end = 0, walked = 0, before = 0;

	if (!sort_blocks(c))
		return;
	w.off = 0;
	w.n = 0;
	for (uint64_t i = 0; i < c->blocks_n && !c->err; i++) {
		const struct shv_slot_shm *s = check_slot(c, c->blocks[i].slot);
		uint64_t off = c->blocks[i].off, size = class_size(slot_class(s->word)),
			 slot = c->blocks[i].slot;

		if (off < end)
			check_found(c, slot, s->word, check_slot(c, before)->word,
				    "slot %llu: its block at %llu overlaps that of slot %llu", ULL(slot),
				    ULL(off), ULL(before));
		if (off + size > end) {
			end = off + size;
			before = slot;
		}
		check_place(c, slot, s->word, off, size, &walked);
		if (slot_state(s->word) == SHV_SLOT_LIVE || slot_state(s->word) == SHV_SLOT_CONDEMNED)
			check_object(c, slot, s, &w);
	}
}
