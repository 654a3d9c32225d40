/* SPDX-License-Identifier: MIT */
/*
 * The texts of strings. A text is a part: an object of its own that belongs to the string, its parent. To change a string:
 *
 *   X1 a part is reserved (HELD) and written      X2 what the present text once replaced goes, should it still be there
 *   X3 the part notes the text that it replaces, and becomes LIVE      X4 its reference is stored in the string: this commits
 *   X5 the replaced text is withdrawn, and its block goes home
 *
 * Readers follow the reference and look at the part's slot before and after they copy. A death leaves:
 *
 *   before X3   a HELD slot: undone as any other
 *   before X4   a LIVE part of the dead that its parent does not name: recovery withdraws it
 *   before X5   a LIVE part, of whomever, that is named by `replaces` of the present one: if that one was made by the dead, recovery
 *               follows it; and whoever changes or frees the string does so (X2), for the present one may be of a third process
 *
 * So at any time the string names one whole text, and no text is left to nobody. Also an empty text is a part, so that no two
 * texts of the arena's whole life have the same reference, and the comparison in X4 cannot take one for another.
 *
 * Without a lock, setters race with each other and with who frees the string:
 *
 *   F2 the string's slot becomes GONE(p)      X6 its text is noted in `last`, and SHV_TEXT_CLOSED swapped in for it
 *   X7 what that text replaced goes, then the text      F5 the string's block goes home
 *
 * A setter whose X4 comes before X6 is one whose text X6 finds; one that comes later fails at X4, and looks at the slot again before it
 * tries anew. A death before X6 or X7 leaves GONE(p), and p's recovery finds the texts by `text`, or by `last` if that is closed.
 */
#include "arena/arena_private.h"

#include <string.h>

#define TEXT_HEAD (SHV_HEADER_SIZE + offsetof(struct shv_text_shm, text))

static struct shv_text_shm *text_at(char *base, uint64_t off)
{
	return (struct shv_text_shm *)(void *)(base + off + SHV_HEADER_SIZE);
}

static shv_ref ref_make(uint32_t slot, uint32_t gen)
{
	return slot | (uint64_t)gen << 32;
}

/* ---- finding --------------------------------------------------------------------------------------------- */

struct found {
	struct shv_slot_shm *slot;
	uint64_t word, off; /* of the block */
	uint64_t room;      /* for text and zero */
};

/* A live text by reference; its block lies within what the pool has. */
static bool find(const char *base, const struct shv_geo *g, shv_ref ref, struct found *f)
{
	struct shv_slot_shm *s = ref ? slot_checked((char *)base, g, (uint32_t)ref) : NULL;
	uint64_t what, size, end = g->data_off + (pool_pages(base, g) << SHV_PAGE_SHIFT);

	if (!s)
		return false;
	f->slot = s;
	f->word = load_acquire(&s->word); /* pairs: P-publish */
	what = load_relaxed(&s->what);
	f->off = what_offset(what);
	size = class_size(slot_class(f->word));
	if (slot_state(f->word) != SHV_SLOT_LIVE || slot_gen(f->word) != (uint32_t)(ref >> 32) || what_kind(what) != SHV_KIND_PART ||
	    what_policy(what) != SHV_PART_TEXT || f->off < g->data_off || f->off >= end || size > end - f->off || size < TEXT_HEAD)
		return false;
	f->room = size - TEXT_HEAD;
	return true;
}

/* `word` is what the slot was when it was found. */
static bool same(const struct found *f)
{
	fence_acquire(); /* pairs: P-text-home; what was read before belongs to the word that is compared now */
	return load_relaxed(&f->slot->word) == f->word;
}

/* The content of a text that was found: as text_where(). */
static int content(const char *base, const struct found *f, shv_ref parent, uint64_t *off, uint64_t *bytes)
{
	const struct shv_text_shm *t = text_at((char *)base, f->off);
	uint64_t n = load_relaxed(&t->bytes), of = load_relaxed(&t->parent);

	if (!same(f))
		return -EAGAIN;
	if (n >= f->room || of != parent)
		return -EUCLEAN;
	*off = f->off + TEXT_HEAD;
	*bytes = n;
	return 0;
}

int text_where(const char *base, const struct shv_geo *g, shv_ref ref, shv_ref parent, uint64_t *off, uint64_t *bytes)
{
	struct found f;

	return find(base, g, ref, &f) ? content(base, &f, parent, off, bytes) : -EAGAIN;
}

/*
 * Copied word by word with relaxed accesses: programs may be writing what comes after a text that goes, plainly, and the second look at
 * the slot tells. A text begins at a multiple of 8.
 */
__attribute__((no_sanitize("thread"))) static void copy_out(void *out, const char *from, uint64_t n)
{
	char *to = out;

	for (; n >= 8; n -= 8, to += 8, from += 8) {
		uint64_t x = load_relaxed((const uint64_t *)(const void *)from);
		memcpy(to, &x, 8);
	}
	for (; n; n--)
		*to++ = load_relaxed(from++);
}

int text_read(const char *base, const struct shv_geo *g, shv_ref ref, shv_ref parent, void *out, uint64_t size, uint64_t *bytes)
{
	struct found f;
	uint64_t off;
	int r;

	*bytes = 0;
	if (!find(base, g, ref, &f))
		return -EAGAIN;
	r = content(base, &f, parent, &off, bytes);
	if (r)
		return r;
	copy_out(out, base + off, *bytes < size ? *bytes : size);
	return same(&f) ? 0 : -EAGAIN;
}

/* ---- making ---------------------------------------------------------------------------------------------- */

int text_reserve(struct shv_tc *tc, uint64_t bytes, unsigned item, struct shv_text *t, const char *who)
{
	struct shv_text_shm *x;
	uint64_t size;

	memset(t, 0, sizeof(*t));
	if (bytes > tc->m->geo.capacity)
		return fail(-ENOSPC, "%s: %llu bytes of text are more than the arena's capacity", who, (unsigned long long)bytes);
	size = TEXT_HEAD + bytes + item;
	t->slot = object_reserve(tc, size, 8, 0, &t->off, &t->size_class);
	if (!t->slot)
		return -errno;
	store_relaxed((uint64_t *)(void *)(tc->m->base + t->off), hdr_make(t->slot, SHV_KIND_PART, SHV_PART_TEXT, 0));
	x = text_at(tc->m->base, t->off);
	/* Atomic, since a reader of a text that lay here before may still look, and then finds that its slot has changed. */
	store_relaxed(&x->link, 0);
	store_relaxed(&x->spare, 0);
	store_relaxed(&x->parent, 0);
	store_relaxed(&x->replaces, 0);
	store_relaxed(&x->bytes, bytes);
	t->bytes = bytes;
	t->content = x->text;
	memset(x->text + bytes, 0, item);
	if (!load_relaxed(&super_of(tc->m->base)->texts))
		store_relaxed(&super_of(tc->m->base)->texts, 1); /* before any part is LIVE: recovery looks at it */
	CRASH_POINT("text-reserved");
	return 0;
}

static shv_ref publish(struct shv_tc *tc, struct shv_text *t, shv_ref parent, shv_ref replaces)
{
	struct shv_slot_shm *s = slot_fast(tc->m->base, &tc->m->geo, t->slot);
	struct shv_text_shm *x = text_at(tc->m->base, t->off);

	store_relaxed(&x->replaces, replaces);
	if (!t->published) {
		store_relaxed(&x->parent, parent);
		object_publish(tc, s, what_make(t->off, 0, SHV_KIND_PART, SHV_PART_TEXT), t->size_class, 0);
		t->published = true;
		CRASH_POINT("text-published");
	}
	return ref_make(t->slot, slot_gen(load_relaxed(&s->word)));
}

shv_ref text_first(struct shv_tc *tc, struct shv_text *t, shv_ref parent)
{
	return publish(tc, t, parent, 0);
}

/* ---- going ----------------------------------------------------------------------------------------------- */

/* A live text of this string by reference. A damaged reference must not lead to another string's. */
static bool find_of(const char *base, const struct shv_geo *g, shv_ref ref, shv_ref parent, struct found *f)
{
	shv_ref of;

	if (!find(base, g, ref, f))
		return false;
	of = load_relaxed(&text_at((char *)base, f->off)->parent);
	return same(f) && of == parent;
}

/* A text that is nobody's any more. Somebody else may have withdrawn it already. */
static void drop(struct shv_tc *tc, shv_ref ref, shv_ref parent)
{
	struct shv_object o = { 0 };
	struct found f;

	if (!find_of(tc->m->base, &tc->m->geo, ref, parent, &f))
		return;
	o.slot = f.slot;
	o.word = f.word;
	if (object_withdraw(tc, &o))
		return;
	fence_release(); /* pairs: P-text-home; who reads on in this block when it is used again must see that the slot has changed */
	object_send_home(tc, (uint32_t)ref, o.word, load_relaxed(&f.slot->what), false);
}

/* What a live text of this string once replaced; 0: nothing, or not known. */
static shv_ref replaced(const char *base, const struct shv_geo *g, shv_ref ref, shv_ref parent)
{
	struct found f;
	shv_ref r;

	if (!find_of(base, g, ref, parent, &f))
		return 0;
	r = load_relaxed(&text_at((char *)base, f.off)->replaces);
	return same(&f) ? r : 0;
}

bool text_commit(struct shv_tc *tc, struct shv_text *t, shv_ref parent, struct shv_string_shm *s, shv_ref old)
{
	shv_ref was = old, now;

	drop(tc, replaced(tc->m->base, &tc->m->geo, was, parent), parent);
	CRASH_POINT("text-settled");
	now = publish(tc, t, parent, was);
	if (!cas64(&s->text, &old, now)) /* pairs: P-text */
		return false;
	CRASH_POINT("text-committed");
	drop(tc, was, parent);
	CRASH_POINT("text-replaced");
	return true;
}

void text_give_up(struct shv_tc *tc, struct shv_text *t)
{
	uint32_t gen;

	if (!t->published) {
		object_unreserve(tc, t->slot, t->off, t->size_class);
		return;
	}
	gen = slot_gen(load_relaxed(&slot_fast(tc->m->base, &tc->m->geo, t->slot)->word));
	drop(tc, ref_make(t->slot, gen), load_relaxed(&text_at(tc->m->base, t->off)->parent));
}

void text_forget(struct shv_tc *tc, struct shv_string_shm *s, shv_ref parent)
{
	shv_ref ref = load_acquire(&s->text);

	do {
		store_relaxed(&s->last, ref);
		CRASH_POINT("text-noted");
	} while (!cas64(&s->text, &ref, SHV_TEXT_CLOSED)); /* pairs: P-text-closed */
	CRASH_POINT("text-closed");
	drop(tc, replaced(tc->m->base, &tc->m->geo, ref, parent), parent);
	CRASH_POINT("text-forget");
	drop(tc, ref, parent);
}

/* ---- recovery -------------------------------------------------------------------------------------------- */

/* Withdrawn in the name of q. `may`: whether that block's pages can be told yet. */
static void withdraw(struct shv_member *m, uint32_t q, shv_ref ref, shv_ref parent, bool (*may)(void *, uint64_t, uint64_t), void *ctx)
{
	struct found f;
	uint64_t w;

	if (!find_of(m->base, &m->geo, ref, parent, &f) || !may(ctx, f.off, f.room + TEXT_HEAD))
		return;
	w = f.word;
	(void)cas64(&f.slot->word, &w, slot_with(w, SHV_SLOT_GONE, q) + (UINT64_C(1) << SHV_SLOT_GEN_SHIFT));
	CRASH_POINT("recover-text");
}

static const struct shv_string_shm *string_at(const struct shv_member *m, uint64_t word, uint64_t what)
{
	uint64_t off = what_offset(what), size = class_size(slot_class(word)), end = m->geo.data_off + (pool_pages(m->base, &m->geo) << SHV_PAGE_SHIFT),
		 head = slot_lead(word) + SHV_HEADER_SIZE;

	if (off < m->geo.data_off || off >= end || size > end - off || size < head + sizeof(struct shv_string_shm))
		return NULL;
	return (const struct shv_string_shm *)(const void *)(m->base + off + head);
}

/* Does the string that it says it is of name this text? */
static bool is_named(struct shv_member *m, shv_ref ref, shv_ref parent)
{
	struct shv_slot_shm *s = slot_checked(m->base, &m->geo, (uint32_t)parent);
	uint64_t w = s ? load_acquire(&s->word) : 0;
	const struct shv_string_shm *string;

	if (!s || slot_state(w) != SHV_SLOT_LIVE || slot_gen(w) != (uint32_t)(parent >> 32) || what_kind(load_relaxed(&s->what)) != SHV_KIND_STRING)
		return false;
	string = string_at(m, w, load_relaxed(&s->what));
	return string && load_acquire(&string->text) == ref;
}

void text_settle(struct shv_member *m, uint32_t q, struct shv_slot_shm *s, uint32_t index, bool (*may)(void *, uint64_t, uint64_t), void *ctx)
{
	uint64_t w = load_acquire(&s->word), what;
	const struct shv_string_shm *string;
	shv_ref ref, parent, before;
	struct found f;

	if (slot_proc(w) != q || (slot_state(w) != SHV_SLOT_LIVE && slot_state(w) != SHV_SLOT_GONE))
		return;
	what = load_relaxed(&s->what);
	if (slot_state(w) == SHV_SLOT_GONE) {
		string = what_kind(what) == SHV_KIND_STRING ? string_at(m, w, what) : NULL;
		ref = string ? load_acquire(&string->text) : 0;
		/*
		 * On its owner's list already, `last` is a link, and its texts went before. What is no text of this string is not
		 * touched.
		 */
		if (ref == SHV_TEXT_CLOSED)
			ref = load_relaxed(&string->last);
		parent = ref_make(index, slot_gen(w) - 1);
		withdraw(m, q, replaced(m->base, &m->geo, ref, parent), parent, may, ctx);
		withdraw(m, q, ref, parent, may, ctx);
		return;
	}
	ref = ref_make(index, slot_gen(w));
	if (!find(m->base, &m->geo, ref, &f))
		return;
	parent = load_relaxed(&text_at(m->base, f.off)->parent);
	before = load_relaxed(&text_at(m->base, f.off)->replaces);
	if (!same(&f))
		return;
	/*
	 * A text that its string does not name is nobody's: it was not stored, or it was replaced, or the string is gone, and who frees that may
	 * find this one gone, and not learn from it what it had replaced.
	 */
	if (!is_named(m, before, parent))
		withdraw(m, q, before, parent, may, ctx);
	if (!is_named(m, ref, parent))
		withdraw(m, q, ref, parent, may, ctx);
}
