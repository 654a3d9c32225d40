/* SPDX-License-Identifier: MIT */
/*
 * The checker's rules about strings and their texts: a string names one whole text of its own or none, and a
 * text is named by its string, or on its way in or out.
 */
#include "arena/check.h"

#include <string.h>

#define ULL(x) ((unsigned long long)(x))
#define TYPE_CHAR 1u /* numbers of types that the format lays down */
#define TYPE_WCHAR 4u

static bool is_string(const struct shv_slot_shm *s)
{
	return slot_state(s->word) == SHV_SLOT_LIVE && what_kind(s->what) == SHV_KIND_STRING;
}

static bool is_text(const struct shv_slot_shm *s)
{
	return slot_state(s->word) == SHV_SLOT_LIVE && what_kind(s->what) == SHV_KIND_PART &&
	       what_policy(s->what) == SHV_PART_TEXT;
}

/* The payload's first bytes; false: there is no room for so many, which is told elsewhere, or no reading. */
static bool payload(struct check *c, const struct shv_slot_shm *s, void *buf, size_t n)
{
	uint64_t off = what_offset(s->what), head = slot_lead(s->word) + SHV_HEADER_SIZE,
		 size = class_size(slot_class(s->word));

	return off >= c->g->data_off && head + n <= size && check_read(c, off + head, buf, n);
}

/* The reference that a live string holds; 0: none, or no such string. */
static uint64_t text_named_by(struct check *c, uint64_t ref)
{
	const struct shv_slot_shm *s = check_slot(c, (uint32_t)ref);
	struct shv_string_shm string;

	if (!s || !is_string(s) || slot_gen(s->word) != (uint32_t)(ref >> 32) || !payload(c, s, &string, sizeof(string)))
		return 0;
	return string.text;
}

static unsigned item_of(const struct shv_slot_shm *s)
{
	return what_type(s->what) == TYPE_CHAR ? 1 : what_type(s->what) == TYPE_WCHAR ? sizeof(wchar_t) : 0;
}

static void check_content(struct check *c, uint64_t slot, const struct shv_slot_shm *part,
			  const struct shv_text_shm *t, unsigned item)
{
	uint64_t head = slot_lead(part->word) + SHV_HEADER_SIZE + offsetof(struct shv_text_shm, text),
		 size = class_size(slot_class(part->word));
	char end[sizeof(wchar_t)] = { 0 }, zero[sizeof(wchar_t)] = { 0 };

	if (size < head + item || t->bytes > size - head - item || t->bytes % item) {
		check_found(c, slot, part->word, t->bytes,
			    "string in slot %llu: its text cannot have %llu bytes", ULL(slot), ULL(t->bytes));
		return;
	}
	if (check_read(c, what_offset(part->what) + head + t->bytes, end, item) && memcmp(end, zero, item))
		check_found(c, slot, part->word, t->bytes,
			    "string in slot %llu: no zero behind the %llu bytes of its text", ULL(slot), ULL(t->bytes));
}

static void check_string(struct check *c, uint64_t slot, const struct shv_slot_shm *s)
{
	uint64_t self = (uint64_t)slot_gen(s->word) << 32 | slot;
	const struct shv_slot_shm *part;
	struct shv_string_shm string;
	struct shv_text_shm t;

	if (!item_of(s)) {
		check_found(c, slot, s->word, s->what, "string in slot %llu: type %u is not one of characters",
			    ULL(slot), what_type(s->what));
		return;
	}
	if (!payload(c, s, &string, sizeof(string))) {
		if (!c->err)
			check_found(c, slot, s->word, 0, "string in slot %llu: its block is too small for one", ULL(slot));
		return;
	}
	part = check_slot(c, (uint32_t)string.text);
	if (!part || !is_text(part) || slot_gen(part->word) != (uint32_t)(string.text >> 32)) {
		check_found(c, slot, string.text, part ? part->word : 0,
			    "string in slot %llu: its text is slot %u generation %u, which is none", ULL(slot),
			    (uint32_t)string.text, (uint32_t)(string.text >> 32));
		return;
	}
	if (!payload(c, part, &t, offsetof(struct shv_text_shm, text)))
		return;
	if (t.parent != self)
		check_found(c, slot, part->word, t.parent,
			    "string in slot %llu: its text in slot %u says that it is of slot %u generation %u",
			    ULL(slot), (uint32_t)string.text, (uint32_t)t.parent, (uint32_t)(t.parent >> 32));
	check_content(c, slot, part, &t, item_of(s));
}

/*
 * Made and not yet stored in its string, by somebody who is there or is still to be recovered; or the string
 * itself is being made, or freed.
 */
static bool under_way(struct check *c, const struct shv_slot_shm *part, const struct shv_text_shm *t)
{
	const struct shv_slot_shm *s = check_slot(c, (uint32_t)t->parent);
	uint32_t gen = (uint32_t)(t->parent >> 32);

	if (!s)
		return false;
	if (is_string(s) && slot_gen(s->word) == gen)
		return check_process(c, slot_proc(part->word));
	if (slot_state(s->word) == SHV_SLOT_HELD && slot_gen(s->word) == gen)
		return check_process(c, slot_proc(s->word));
	return slot_state(s->word) == SHV_SLOT_GONE && slot_gen(s->word) == gen + 1 && check_process(c, slot_proc(s->word));
}

/* Replaced, and not yet withdrawn: the present text says so. */
static bool replaced_by(struct check *c, uint64_t named, uint64_t ref)
{
	const struct shv_slot_shm *s = check_slot(c, (uint32_t)named);
	struct shv_text_shm t;

	return s && is_text(s) && slot_gen(s->word) == (uint32_t)(named >> 32) &&
	       payload(c, s, &t, offsetof(struct shv_text_shm, text)) && t.replaces == ref;
}

static void check_text(struct check *c, uint64_t slot, const struct shv_slot_shm *s)
{
	uint64_t self = (uint64_t)slot_gen(s->word) << 32 | slot, named;
	struct shv_text_shm t;

	if (!payload(c, s, &t, offsetof(struct shv_text_shm, text))) {
		if (!c->err)
			check_found(c, slot, s->word, 0, "text in slot %llu: its block is too small for one", ULL(slot));
		return;
	}
	if (!c->super.texts)
		check_found(c, slot, s->word, 0, "text in slot %llu: the superblock says that there was never one", ULL(slot));
	named = text_named_by(c, t.parent);
	if (named == self || replaced_by(c, named, self) || under_way(c, s, &t))
		return;
	check_found(c, slot, s->word, t.parent, "text in slot %llu: belongs to slot %u generation %u, which does not name it",
		    ULL(slot), (uint32_t)t.parent, (uint32_t)(t.parent >> 32));
}

void check_texts(struct check *c)
{
	for (uint64_t i = 0; i < c->blocks_n && !c->err; i++) {
		const struct shv_slot_shm *s = check_slot(c, c->blocks[i].slot);

		if (s && is_string(s))
			check_string(c, c->blocks[i].slot, s);
		else if (s && is_text(s))
			check_text(c, c->blocks[i].slot, s);
	}
}
