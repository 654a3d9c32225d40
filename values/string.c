/* SPDX-License-Identifier: MIT */
/*
 * Strings: values that hold the reference of a text part (arena/text.c), replaced as a whole. Both widths share everything
 * but the size of an item, which is that of the type in the slot.
 *
 * A new text is written before the lock is taken, so the lock is held for a few stores only; appending has to look at the old text
 * and does it inside.
 */
#include "values/value_private.h"

#include "base/fault.h"

#include <limits.h>
#include <shv/string.h>
#include <stdlib.h>
#include <string.h>

#define READ_TRIES 1000

/* One call's work on a string. */
struct work {
	const char *who;
	unsigned item;             /* bytes of a character, as the caller means it */
	struct shv_object o;
	struct shv_string_shm *s;
	shv_ref ref;
	struct shv_tc *tc;         /* not for reading without the lock */
	struct lock_target t;
	bool locked;
	int status;                /* 0 or SHV_RECOVERED */
};

static const struct shv_type *item_type(unsigned item)
{
	return item == 1 ? SHV_CHAR : SHV_WCHAR;
}

/* The string, whatever its lock does. */
static int find(const void *v, struct work *k, unsigned item, const char *who)
{
	int r = object_find(v, &k->o, who);

	k->who = who;
	k->item = item;
	k->locked = false;
	k->status = 0;
	if (r)
		return r;
	if (what_kind(k->o.what) != SHV_KIND_STRING)
		return fail(-EINVAL, "%s: %p is not a string: pass what shv_string_new() or shv_wstring_new() returned", who, v);
	if (what_type(k->o.what) != item_type(item)->id)
		return fail(-EINVAL, "%s: the string is of %s: use shv_%sstring_... for it", who, item == 1 ? "wide characters" : "bytes",
			    item == 1 ? "w" : "");
	if (object_room(&k->o) < sizeof(*k->s))
		return fail(-EUCLEAN, "%s: the string's block in the arena is damaged", who);
	k->s = object_payload(&k->o);
	k->ref = k->o.index | (uint64_t)slot_gen(k->o.word) << 32;
	return 0;
}

/* And this thread's cache, for those who lock or write. */
static int enter(struct work *k)
{
	k->tc = tc_get(k->o.at.m);
	return k->tc ? 0 : -errno;
}

static int find_rw(void *v, struct work *k, unsigned item, const char *who)
{
	int r = find(v, k, item, who);

	if (r)
		return r;
	return k->o.at.m ? enter(k) : object_fail(-EROFS, v, who);
}

static int lock(struct work *k)
{
	int r;

	if (what_policy(k->o.what) == SHV_POL_NONE)
		return 0;
	r = lock_target(&k->o, k->tc, &k->t, false, k->who);
	if (!r)
		r = target_acquire(&k->t, false, NULL, k->who);
	if (r < 0)
		return r;
	k->locked = true;
	k->status = r;
	return 0;
}

/* To be read: under its lock where we can take it. */
static int find_to_read(const void *v, struct work *k, unsigned item, const char *who)
{
	int r = find(v, k, item, who);

	if (!r && k->o.at.m)
		r = enter(k);
	return r || !k->o.at.m ? r : lock(k);
}

/* Releasing a lock tells who waits for another content; without one this does. */
static int changed(struct work *k, int r)
{
	if (!r && !k->locked)
		content_changed(&k->o);
	return r;
}

static int unlock(struct work *k, int r)
{
	if (k->locked)
		(void)target_release(&k->t, k->who);
	return r ? r : k->status;
}

/* ---- the text's reference ---------------------------------------------------------------------------------- */

/* The string may go while somebody is at it; then what was read of it is nothing. */
static bool still_there(const struct work *k)
{
	fence_acquire(); /* pairs: P-text-closed */
	return load_relaxed(&k->o.slot->word) == k->o.word;
}

/* What the string names now. 0 or -ESTALE. */
static int named(const struct work *k, shv_ref *ref)
{
	*ref = load_acquire(&k->s->text); /* pairs: P-text */
	return still_there(k) ? 0 : object_fail(-ESTALE, k->s, k->who);
}

static int damaged(const struct work *k)
{
	return fail(-EUCLEAN, "%s: the string's text in the arena is damaged", k->who);
}

/*
 * `ref`, which the string named, could not be read. -EAGAIN: it was replaced, which is why. A text lives as long as it is named, and
 * no reference comes twice: if it still is named, it never was a text.
 */
static int unreadable(const struct work *k, shv_ref ref)
{
	shv_ref now;
	int r = named(k, &now);

	if (r)
		return r;
	return now == ref ? damaged(k) : -EAGAIN;
}

/* ---- making ---------------------------------------------------------------------------------------------- */

static int check_text(const void *text, size_t n, unsigned item, size_t *bytes, const char *who)
{
	*bytes = 0;
	if (!text && n)
		return fail(-EINVAL, "%s: text is NULL, but n is %zu", who, n);
	if (__builtin_mul_overflow(n, (size_t)item, bytes))
		return fail(-ENOSPC, "%s: n is %zu: so many characters are more than memory", who, n);
	return 0;
}

static shv_value *make(shv_arena *a, const void *text, size_t n, unsigned item, shv_lockspec spec, const char *who)
{
	struct shv_text t;
	struct object_plan p = { .a = a, .who = who, .type = item_type(item), .n = 1, .lock = &spec, .kind = SHV_KIND_STRING, .text = &t };
	struct shv_tc *tc;
	size_t bytes;
	void *v;
	int r = arena_valid(a, who, true);

	if (!r)
		r = check_text(text, n, item, &bytes, who);
	if (r)
		return null_with(r);
	tc = tc_get(a->m);
	if (!tc)
		return NULL;
	r = text_reserve(tc, bytes, item, &t, who);
	if (r)
		return null_with(r);
	if (bytes && text) /* one implies the other: check_text() */
		memcpy(t.content, text, bytes);
	v = object_make(&p);
	if (!v) { /* the sentence is there too, and giving up says nothing */
		int e = errno;
		text_give_up(tc, &t);
		errno = e;
	}
	return v;
}

/* ---- changing -------------------------------------------------------------------------------------------- */

static int set(shv_value *v, const void *text, size_t n, unsigned item, const char *who)
{
	struct shv_text t;
	struct work k = { 0 };
	shv_ref old;
	size_t bytes;
	int r = check_text(text, n, item, &bytes, who);

	if (!r)
		r = find_rw(v, &k, item, who);
	if (!r)
		r = text_reserve(k.tc, bytes, item, &t, who);
	if (r)
		return r;
	if (bytes)
		memcpy(t.content, text, bytes);
	r = lock(&k);
	if (r) {
		text_give_up(k.tc, &t);
		return r;
	}
	for (;;) {
		r = named(&k, &old);
		if (r || text_commit(k.tc, &t, k.ref, k.s, old))
			break;
		cpu_relax(); /* without a lock another one was faster: ours comes after it */
	}
	if (r)
		text_give_up(k.tc, &t);
	return unlock(&k, changed(&k, r));
}

/* The present text with more behind it. -EAGAIN: somebody else was faster, which takes that there is no lock. */
static int append_to(struct work *k, shv_ref old, const void *text, size_t more)
{
	uint64_t have = 0, got = 0;
	struct shv_text t;
	size_t bytes;
	int r = text_read(k->o.at.base, k->o.at.geo, old, k->ref, NULL, 0, &have);

	if (r)
		return unreadable(k, old);
	if (__builtin_add_overflow(have, more, &bytes))
		return fail(-ENOSPC, "%s: the text would be larger than memory", k->who);
	r = text_reserve(k->tc, bytes, k->item, &t, k->who);
	if (r)
		return r;
	r = text_read(k->o.at.base, k->o.at.geo, old, k->ref, t.content, have, &got);
	if (r || got != have)
		r = unreadable(k, old);
	if (!r && more)
		memcpy(t.content + have, text, more);
	if (!r && !text_commit(k->tc, &t, k->ref, k->s, old))
		r = -EAGAIN;
	if (r)
		text_give_up(k->tc, &t);
	return r;
}

static int append(shv_value *v, const void *text, size_t n, unsigned item, const char *who)
{
	struct work k = { 0 };
	shv_ref old;
	size_t more;
	int r = check_text(text, n, item, &more, who);

	if (!r)
		r = find_rw(v, &k, item, who);
	if (!r)
		r = lock(&k);
	if (r)
		return r;
	for (;;) {
		r = named(&k, &old);
		if (!r)
			r = append_to(&k, old, text, more);
		if (r != -EAGAIN)
			break;
		cpu_relax();
	}
	return unlock(&k, changed(&k, r));
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* `size` bytes at the most. Length in bytes. */
static int read_now(struct work *k, void *out, uint64_t size, uint64_t *bytes)
{
	shv_ref ref;

	for (unsigned i = 0; i < READ_TRIES; i++) {
		int r = named(k, &ref);
		if (r)
			return r;
		r = text_read(k->o.at.base, k->o.at.geo, ref, k->ref, out, size, bytes);
		if (!r && *bytes % k->item)
			return damaged(k);
		if (r)
			r = unreadable(k, ref);
		if (r != -EAGAIN)
			return r;
		cpu_relax();
	}
	return fail(-EAGAIN, "%s: the text was replaced during all %d tries: try again, or take the lock", k->who, READ_TRIES);
}

static ssize_t finish_text(const struct work *k, char *buf, size_t n, uint64_t bytes)
{
	uint64_t room = n ? (n - 1) * k->item : 0;

	if (n)
		memset(buf + (bytes < room ? bytes : room), 0, k->item);
	return (ssize_t)(bytes / k->item);
}

static ssize_t get(const shv_value *v, void *buf, size_t n, unsigned item, bool peek, const char *who)
{
	uint64_t bytes;
	struct work k = { 0 };
	int r;

	if (!buf && n)
		return fail(-EINVAL, "%s: buf is NULL, but n is %zu", who, n);
	if (n > SSIZE_MAX / sizeof(wchar_t))
		return fail(-EINVAL, "%s: n is %zu: that is more than any buffer has", who, n);
	r = peek ? find(v, &k, item, who) : find_to_read(v, &k, item, who);
	if (r)
		return r;
	r = read_now(&k, buf, n ? (n - 1) * item : 0, &bytes);
	(void)unlock(&k, 0);
	return r ? r : finish_text(&k, buf, n, bytes);
}

static void *duplicate(shv_value *v, size_t *len, unsigned item, const char *who)
{
	uint64_t bytes = 0, room = 64;
	void *p = NULL;
	struct work k = { 0 };
	int r = find_to_read(v, &k, item, who);

	if (r)
		return null_with(r);
	for (;;) {
		void *more = FAIL_POINT("malloc-text") ? NULL : realloc(p, room + item);
		if (!more) {
			r = fail(-ENOMEM, "%s: no memory for a copy of %llu bytes", who, (unsigned long long)room);
			break;
		}
		p = more;
		r = read_now(&k, p, room, &bytes);
		if (r || bytes <= room)
			break;
		room = bytes;
	}
	(void)unlock(&k, 0);
	if (r || !p) {
		free(p);
		return null_with(r);
	}
	memset((char *)p + bytes, 0, item);
	if (len)
		*len = bytes / item;
	return p;
}

static const void *data(const shv_value *v, size_t *len, unsigned item, const char *who)
{
	uint64_t off = 0, bytes = 0;
	struct work k = { 0 };
	int r = find(v, &k, item, who);
	shv_ref text = 0;

	if (!r)
		r = named(&k, &text);
	if (r)
		return null_with(r);
	r = text_where(k.o.at.base, k.o.at.geo, text, k.ref, &off, &bytes);
	if (r)
		r = unreadable(&k, text);
	else if (bytes % item)
		r = damaged(&k);
	if (r == -EAGAIN)
		r = fail(r, "%s: the text is being replaced: hold the string's lock while you read it", who);
	if (r)
		return null_with(r);
	if (len)
		*len = bytes / item;
	return k.o.at.base + off;
}

int string_len(const struct shv_object *o, uint64_t *len, const char *who)
{
	unsigned item = what_type(o->what) == SHV_CHAR->id ? 1 : sizeof(wchar_t);
	uint64_t bytes = 0;
	struct work k = { 0 };
	int r = find(object_payload(o), &k, item, who);

	if (!r)
		r = read_now(&k, NULL, 0, &bytes);
	*len = bytes / item;
	return r;
}

/* ---- public ---------------------------------------------------------------------------------------------- */

SHV_API shv_value *shv_string_new(shv_arena *a, const char *text, shv_lockspec spec)
{
	return make(a, text, text ? strlen(text) : 0, 1, spec, "shv_string_new");
}
SHV_API shv_value *shv_string_new_n(shv_arena *a, const char *text, size_t n, shv_lockspec spec)
{
	return make(a, text, n, 1, spec, "shv_string_new_n");
}
SHV_API shv_value *shv_wstring_new(shv_arena *a, const wchar_t *text, shv_lockspec spec)
{
	return make(a, text, text ? wcslen(text) : 0, sizeof(wchar_t), spec, "shv_wstring_new");
}
SHV_API shv_value *shv_wstring_new_n(shv_arena *a, const wchar_t *text, size_t n, shv_lockspec spec)
{
	return make(a, text, n, sizeof(wchar_t), spec, "shv_wstring_new_n");
}

static int text_is_null(const char *who)
{
	return fail(-EINVAL, "%s: text is NULL: pass \"\" for an empty one", who);
}

SHV_API int shv_string_set(shv_value *v, const char *text)
{
	return text ? set(v, text, strlen(text), 1, "shv_string_set") : text_is_null("shv_string_set");
}
SHV_API int shv_string_set_n(shv_value *v, const char *text, size_t n)
{
	return set(v, text, n, 1, "shv_string_set_n");
}
SHV_API int shv_wstring_set(shv_value *v, const wchar_t *text)
{
	return text ? set(v, text, wcslen(text), sizeof(wchar_t), "shv_wstring_set") : text_is_null("shv_wstring_set");
}
SHV_API int shv_wstring_set_n(shv_value *v, const wchar_t *text, size_t n)
{
	return set(v, text, n, sizeof(wchar_t), "shv_wstring_set_n");
}
SHV_API int shv_string_append(shv_value *v, const char *text)
{
	return text ? append(v, text, strlen(text), 1, "shv_string_append") : text_is_null("shv_string_append");
}
SHV_API int shv_string_append_n(shv_value *v, const char *text, size_t n)
{
	return append(v, text, n, 1, "shv_string_append_n");
}
SHV_API int shv_wstring_append(shv_value *v, const wchar_t *text)
{
	return text ? append(v, text, wcslen(text), sizeof(wchar_t), "shv_wstring_append") : text_is_null("shv_wstring_append");
}
SHV_API int shv_wstring_append_n(shv_value *v, const wchar_t *text, size_t n)
{
	return append(v, text, n, sizeof(wchar_t), "shv_wstring_append_n");
}

SHV_API ssize_t shv_string_get(shv_value *v, char *buf, size_t n)
{
	return get(v, buf, n, 1, false, "shv_string_get");
}
SHV_API ssize_t shv_string_peek(const shv_value *v, char *buf, size_t n)
{
	return get(v, buf, n, 1, true, "shv_string_peek");
}
SHV_API ssize_t shv_wstring_get(shv_value *v, wchar_t *buf, size_t n)
{
	return get(v, buf, n, sizeof(wchar_t), false, "shv_wstring_get");
}
SHV_API ssize_t shv_wstring_peek(const shv_value *v, wchar_t *buf, size_t n)
{
	return get(v, buf, n, sizeof(wchar_t), true, "shv_wstring_peek");
}
SHV_API char *shv_string_dup(shv_value *v, size_t *len)
{
	return duplicate(v, len, 1, "shv_string_dup");
}
SHV_API wchar_t *shv_wstring_dup(shv_value *v, size_t *len)
{
	return duplicate(v, len, sizeof(wchar_t), "shv_wstring_dup");
}
SHV_API const char *shv_string_data(const shv_value *v, size_t *len)
{
	return data(v, len, 1, "shv_string_data");
}
SHV_API const wchar_t *shv_wstring_data(const shv_value *v, size_t *len)
{
	return data(v, len, sizeof(wchar_t), "shv_wstring_data");
}
