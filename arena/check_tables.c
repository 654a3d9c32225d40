/* SPDX-License-Identifier: MIT */
/*
 * The checker's rules about the tables that all processes share: user lock policies, made types, names.
 *
 * The hashes are computed here once more, as docs/FORMAT.md says: whoever looks a name up finds it only if
 * table and part agree on it, and if nothing empty lies between the entry and the place where the search
 * begins.
 */
#include "config.h"

#include "arena/check.h"

#include <stdlib.h>
#include <string.h>

#define ULL(x) ((unsigned long long)(x))

static bool power_of_two(uint64_t x)
{
	return x && !(x & (x - 1));
}

/* ---- lock policies ----------------------------------------------------------------------------------- */

static void check_policy(struct check *c, uint32_t i)
{
	const struct shv_policy_shm *p = &c->policies[i];

	if (!p->name[0] || !memchr(p->name, 0, sizeof(p->name))) {
		check_found(c, i, (unsigned char)p->name[0], 0, "policy %u: its name %s", i,
			    p->name[0] ? "does not end" : "is empty");
		return;
	}
	if (p->size < 1 || p->size > 1024 || !power_of_two(p->align) || p->align > 64)
		check_found(c, i, p->size, p->align,
			    "policy %u '%s': %u bytes of state aligned to %u are not allowed", i, p->name,
			    p->size, p->align);
	for (uint32_t k = 0; k < i; k++)
		if (!strncmp(p->name, c->policies[k].name, sizeof(p->name)))
			check_found(c, i, k, 0, "policy %u '%s': policy %u has the same name", i, p->name, k);
}

void check_policies(struct check *c)
{
	for (uint32_t i = 0; i < c->policies_n; i++)
		check_policy(c, i);
}

/* ---- types ------------------------------------------------------------------------------------------- */

/* The text: format NUL name NUL, with no other NUL, and the hash of both. */
static void check_type_text(struct check *c, uint32_t i, const struct shv_type_shm *t)
{
	size_t fl = t->format_len, nl = t->name_len, n = fl + nl + 2;
	char *text = malloc(n);
	uint64_t hash;

	if (!text) {
		c->err = -ENOMEM;
		return;
	}
	if (!check_read(c, c->g->types_text_off + t->text, text, n)) {
		free(text);
		return;
	}
	hash = check_hash(text, fl + 1) * 31 + check_hash(text + fl + 1, nl);
	if (memchr(text, 0, n) != text + fl || memchr(text + fl + 1, 0, nl + 1) != text + n - 1)
		check_found(c, i, t->text, hash, "type %u: its format or name does not end where it should",
			    i + SHV_TYPE_FIRST);
	else if (t->hash != hash)
		check_found(c, i, t->hash, hash, "type %u '%.60s': its hash is %016llx, but should be %016llx",
			    i + SHV_TYPE_FIRST, text, ULL(t->hash), ULL(hash));
	free(text);
}

/*
 * *end: of the text of the types before it. Texts follow each other, so all of them together are read once
 * at the most.
 */
static void check_type(struct check *c, uint32_t i, uint64_t *end)
{
	const struct shv_type_shm *t = &c->types[i];
	uint64_t after = (uint64_t)t->text + t->format_len + t->name_len + 2;

	if (!power_of_two(t->align) || t->align > SHV_PAGE_SIZE || t->size > c->g->capacity)
		check_found(c, i, t->size, t->align,
			    "type %u: a size of %llu and an alignment of %u are not possible",
			    i + SHV_TYPE_FIRST, ULL(t->size), t->align);
	if (!t->format_len)
		check_found(c, i, t->hash, t->text, "type %u: its format is empty", i + SHV_TYPE_FIRST);
	if (t->text < *end || after > SHV_TYPE_TEXT) {
		check_found(c, i, t->text, *end,
			    "type %u: its text from %u to %llu is not between %llu and %llu",
			    i + SHV_TYPE_FIRST, t->text, ULL(after), ULL(*end), ULL(SHV_TYPE_TEXT));
		return;
	}
	*end = after;
	check_type_text(c, i, t);
}

void check_types(struct check *c)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < c->types_n && !c->err; i++)
		check_type(c, i, &end);
}

/* ---- names: one entry -------------------------------------------------------------------------------- */

#define BY_TEXT   1u
#define BY_TARGET 2u

struct names {
	uint64_t mask;
	unsigned char *seen;     /* 2 bits a slot */
	uint64_t *text, *target; /* sets of hashes: each name and each target once */
	uint64_t used, by_text, by_target;
};

struct name {
	uint32_t hash, len;
	uint64_t target;
	char text[SHV_NAME_MAX + 1];
};

static uint32_t fnv_31(const char *s)
{
	uint32_t h = 0x811c9dc5u;

	while (*s)
		h = (h ^ (unsigned char)*s++) * 0x01000193u;
	return h & 0x7fffffffu;
}

static uint32_t mixed_31(uint64_t ref)
{
	ref = (ref ^ ref >> 33) * UINT64_C(0xff51afd7ed558ccd);
	return (uint32_t)(ref ^ ref >> 33) | 0x80000000u;
}

/* The content of a name part, judged. */
static bool read_name(struct check *c, uint64_t slot, const struct shv_slot_shm *s, struct name *n)
{
	uint64_t off = what_offset(s->what) + slot_lead(s->word) + SHV_HEADER_SIZE,
		 size = class_size(slot_class(s->word));
	size_t head = offsetof(struct shv_name_shm, text);
	union {
		char bytes[sizeof(struct shv_name_shm) + SHV_NAME_MAX + 1];
		struct shv_name_shm n;
	} buf;

	if (off < c->g->data_off || !check_read(c, off, &buf, sizeof(buf)))
		return false;
	n->hash = buf.n.hash;
	n->len = buf.n.len;
	n->target = buf.n.target;
	if (!n->len || n->len > SHV_NAME_MAX ||
	    slot_lead(s->word) + SHV_HEADER_SIZE + head + n->len + 1 > size) {
		check_found(c, slot, s->word, n->len, "name in slot %llu: a length of %u is not possible",
			    ULL(slot), n->len);
		return false;
	}
	memcpy(n->text, buf.bytes + head, n->len + 1);
	if (strnlen(n->text, n->len + 1) != n->len) {
		check_found(c, slot, s->word, n->len, "name in slot %llu: does not end after its %u bytes",
			    ULL(slot), n->len);
		return false;
	}
	if (n->hash != fnv_31(n->text))
		check_found(c, slot, s->word, n->hash,
			    "name '%s' in slot %llu: its hash is %08x, but should be %08x", n->text, ULL(slot),
			    n->hash, fnv_31(n->text));
	return true;
}

static bool is_name_part(const struct shv_slot_shm *s)
{
	return slot_state(s->word) == SHV_SLOT_LIVE && what_kind(s->what) == SHV_KIND_PART &&
	       what_policy(s->what) == SHV_PART_NAME;
}

/* True if it was there. Twice as large as the table, so never full. */
static bool set_put(const struct names *t, uint64_t *set, uint64_t key)
{
	uint64_t mask = t->mask * 2 + 1, i;

	key = key ? key : 1;
	for (i = key & mask; set[i]; i = (i + 1) & mask)
		if (set[i] == key)
			return true;
	set[i] = key;
	return false;
}

/*
 * The object still lives; or its freer has withdrawn it and comes to the name next, that freer being
 * perhaps stopped or dead. An object with a name says so in its header, or its freer would not look.
 */
static void check_target(struct check *c, uint64_t slot, const struct shv_slot_shm *part, const struct name *n)
{
	const struct shv_slot_shm *s = check_slot(c, (uint32_t)n->target);
	uint32_t gen = (uint32_t)(n->target >> 32);
	unsigned state = s ? slot_state(s->word) : SHV_SLOT_RETIRED;
	uint64_t header;

	if (s && (state == SHV_SLOT_GONE || state == SHV_SLOT_LOST) && slot_gen(s->word) == gen + 1)
		return;
	if (!s || slot_gen(s->word) != gen || (state != SHV_SLOT_LIVE && state != SHV_SLOT_CONDEMNED)) {
		check_found(c, slot, part->word, s ? s->word : 0,
			    "name '%s' in slot %llu: of slot %u generation %u, which is no object", n->text,
			    ULL(slot), (uint32_t)n->target, gen);
		return;
	}
	if (what_offset(s->what) < c->g->data_off ||
	    !check_read(c, what_offset(s->what) + slot_lead(s->word), &header, sizeof(header)))
		return;
	if (hdr_slot(header) == (uint32_t)n->target && !(header & SHV_HDR_NAMED))
		check_found(c, slot, s->word, header,
			    "name '%s' in slot %llu: the header of slot %u does not say that it has one",
			    n->text, ULL(slot), (uint32_t)n->target);
}

/* An entry by text or by target, of a part that was not met under this heading yet. */
static void check_entry_part(struct check *c, struct names *t, uint64_t i, uint64_t e,
			     const struct shv_slot_shm *s, bool by_target)
{
	uint32_t slot = (uint32_t)e, hash = (uint32_t)(e >> 32), want;
	struct name n;

	if (!read_name(c, slot, s, &n))
		return;
	want = by_target ? mixed_31(n.target) : fnv_31(n.text);
	if (hash != want)
		check_found(c, i, e, s->word,
			    "name table entry %llu: has hash %08x of '%s' in slot %u, which should be %08x",
			    ULL(i), hash, n.text, slot, want);
	if (by_target) {
		if (set_put(t, t->target, n.target))
			check_found(c, i, e, s->word,
				    "name table entry %llu: slot %u, called '%s', has another name too", ULL(i),
				    (uint32_t)n.target, n.text);
		return;
	}
	if (set_put(t, t->text, check_hash(n.text, n.len)))
		check_found(c, i, e, s->word, "name table entry %llu: the name '%s' is there twice", ULL(i),
			    n.text);
	check_target(c, slot, s, &n);
}

static void check_entry(struct check *c, struct names *t, uint64_t i, uint64_t e)
{
	bool by_target = e >> 63;
	unsigned bit = by_target ? BY_TARGET : BY_TEXT;
	uint32_t slot = (uint32_t)e, shift = slot % 4 * 2;
	const struct shv_slot_shm *s = check_slot(c, slot);

	if (!s || !is_name_part(s)) {
		check_found(c, i, e, s ? s->word : 0,
			    "name table entry %llu: leads to slot %u, which is no name", ULL(i), slot);
		return;
	}
	if (t->seen[slot / 4] >> shift & bit) {
		check_found(c, i, e, s->word,
			    "name table entry %llu: the name in slot %u is there by its %s already", ULL(i),
			    slot, by_target ? "target" : "text");
		return;
	}
	t->seen[slot / 4] |= (unsigned char)(bit << shift);
	check_entry_part(c, t, i, e, s, by_target);
}

/* ---- names: the table -------------------------------------------------------------------------------- */

/* Entries that a search does not reach: something empty lies between where it begins and where they are. */
static void check_reach(struct check *c, const struct names *t)
{
	uint64_t empty = UINT64_MAX, i;

	for (i = t->mask; i != UINT64_MAX && c->names[i] != SHV_NAME_EMPTY; i--)
		;
	if (i == UINT64_MAX)
		return; /* none is empty */
	empty = i;      /* the last one: seen from entry 0 it lies just before it, around the end */
	for (i = 0; i <= t->mask; i++) {
		uint64_t e = c->names[i], home = (e >> 32) & t->mask;
		if (e == SHV_NAME_EMPTY)
			empty = i;
		else if (e != SHV_NAME_TOMB && ((i - home) & t->mask) >= ((i - empty) & t->mask))
			check_found(c, i, e, c->names[empty],
				    "name table entry %llu: cannot be found from %llu, for entry %llu is empty",
				    ULL(i), ULL(home), ULL(empty));
	}
}

static void check_entries(struct check *c, struct names *t)
{
	for (uint64_t i = 0; i <= t->mask && !c->err; i++) {
		uint64_t e = c->names[i];
		t->used += e != SHV_NAME_EMPTY;
		if (e == SHV_NAME_EMPTY || e == SHV_NAME_TOMB)
			continue;
		if (e >> 63)
			t->by_target++;
		else
			t->by_text++;
		check_entry(c, t, i, e);
	}
}

/* Names that are in no table, or only half. */
static void check_parts(struct check *c, const struct names *t)
{
	for (uint64_t i = 0; i < c->blocks_n; i++) {
		uint64_t slot = c->blocks[i].slot;
		const struct shv_slot_shm *s = check_slot(c, slot);
		unsigned seen = t->seen[slot / 4] >> slot % 4 * 2 & 3;

		if (is_name_part(s) && seen != (BY_TEXT | BY_TARGET))
			check_found(c, slot, s->word, seen, "name in slot %llu: is not in the table by its %s",
				    ULL(slot),
				    seen == BY_TEXT     ? "target"
				    : seen == BY_TARGET ? "text"
							: "text nor by its target");
	}
}

static void check_count(struct check *c, const char *what, uint64_t says, uint64_t is)
{
	if (says != is)
		check_found(c, (uintptr_t)what, says, is, "names: %s is %llu, but the table has %llu", what,
			    ULL(says), ULL(is));
}

static void check_table(struct check *c)
{
	struct names t = { .mask = c->names_n ? c->names_n - 1 : 0 };

	t.seen = calloc((size_t)c->chunks_n + 1, SHV_SLOTS_PER_CHUNK / 4);
	t.text = calloc(t.mask + 1, 2 * sizeof(*t.text));
	t.target = calloc(t.mask + 1, 2 * sizeof(*t.target));
	if (!t.seen || !t.text || !t.target) {
		c->err = -ENOMEM;
	} else {
		if (c->names_n) {
			check_entries(c, &t);
			check_reach(c, &t);
		}
		check_parts(c, &t);
		check_count(c, "names_used", c->super.names_used, t.used);
		check_count(c, "names_live", c->super.names_live, t.by_text);
		if (t.by_text != t.by_target)
			check_found(c, 0, t.by_text, t.by_target,
				    "names: %llu entries by text, but %llu by target", ULL(t.by_text),
				    ULL(t.by_target));
	}
	free(t.seen);
	free(t.text);
	free(t.target);
}

/* All of it is guarded by the names lock, and is judged only if that stood still. */
void check_names(struct check *c)
{
	if (!c->names_still)
		return;
	if (c->super.names_root && !c->names)
		check_found(
			c, 0, c->super.names_root, 0,
			"names: the root says 2^%u entries from page %u on, but those pages are no name table",
			(uint32_t)(c->super.names_root >> 32 & 0xff), (uint32_t)c->super.names_root);
	else
		check_table(c);
}
