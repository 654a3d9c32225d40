/* SPDX-License-Identifier: MIT */
/*
 * Inspection of objects: values, raw objects, arrays, strings and locks, one at a time; <shv/inspect.h>.
 *
 * A walk's cursor is the index of the slot to look at next, so that an object which lives through the whole
 * walk is seen exactly once, whatever happens to others meanwhile. Objects whose numbers contradict each other
 * are left out: shv_check() is the one to tell of those.
 *
 * How view.h reads is all of the safety here; what remains is to say in words what the numbers mean.
 *
 * Left out: asking a user-supplied policy's holder(). It would run the program's own code on bytes that nobody
 * locked, and a process that only looks has not registered the policy.
 */
#include "config.h"

#include "values/view.h"

#include "values/type_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUIET_TRIES 64     /* for a moment when no writer is in, before a copy is called torn */
#define TEXT_ITEMS 4096u   /* of an array are always looked at for its text, */
#define TEXT_COUNTED ((uint64_t)1 << 20) /* and so many where only its length is asked for; print.c counts no further */
#define TEXT_STACK 1024u

/* ---- walking --------------------------------------------------------------------------------------------- */

typedef bool (*object_wanted)(const struct view_object *o);

/* The next wanted object at or behind *cursor, which moves past it. */
static int next_object(const struct shv_view *v, uint64_t *cursor, struct view_object *o, object_wanted wanted)
{
	uint64_t i = *cursor, end = (uint64_t)v->chunks * SHV_SLOTS_PER_CHUNK;

	while (i < end) {
		const struct shv_slot_shm *slots = view_chunk(v, (uint32_t)(i / SHV_SLOTS_PER_CHUNK));
		uint64_t stop = (i / SHV_SLOTS_PER_CHUNK + 1) * SHV_SLOTS_PER_CHUNK;

		for (; slots && i < stop; i++) {
			const struct shv_slot_shm *slot = slots + i % SHV_SLOTS_PER_CHUNK;

			if (!view_listed(load_relaxed(&slot->word)) || view_look(v, slot, (uint32_t)i, o) != 1 ||
			    !wanted(o))
				continue;
			*cursor = i + 1;
			return 1;
		}
		i = stop;
	}
	*cursor = i;
	return 0;
}

/* ---- what the numbers mean ------------------------------------------------------------------------------- */

static void policy_name(const struct shv_view *v, unsigned policy, char *out, size_t size)
{
	static const char *const names[] = { "none", "recursive", "plain", "handoff", "none", "shared" };
	struct shv_policy_shm p;

	if (policy <= SHV_POL_SHARED) {
		view_copy_text(out, size, names[policy]);
	} else if (policy >= SHV_POL_USER && !table_policy_read(v->base, v->g, policy - SHV_POL_USER, &p)) {
		p.name[sizeof(p.name) - 1] = 0;
		view_copy_text(out, size, p.name);
	} else {
		snprintf(out, size, "unknown policy %u", policy);
	}
}

static bool has_own_word(const struct view_object *o)
{
	unsigned policy = what_policy(o->what);

	return policy_owns_word(policy);
}

/* What its lock says, be it its own or a shared one. False: no lock, or none that can be read. */
static bool read_lock(const struct shv_view *v, const struct view_object *o, struct view_lock *out)
{
	uint64_t word = o->lock;

	if (!has_own_word(o) && (what_policy(o->what) != SHV_POL_SHARED || !view_shared_word(v, o->lock, &word)))
		return false;
	view_lock_word(v, word, out);
	return true;
}

/*
 * A block was made on a page of its creator: while the page is owned, its entry says which generation of the
 * slot that was.
 */
static bool creator_lives(const struct shv_view *v, const struct view_object *o)
{
	return page_state(o->entry) == SHV_PG_OWNED && page_proc(o->entry) == slot_proc(o->word) &&
	       view_process_lives(v, page_proc(o->entry), page_gen(o->entry));
}

static shv_ref ref_of(const struct view_object *o)
{
	return (shv_ref)slot_gen(o->word) << 32 | o->index;
}

static void fill_type(const struct shv_view *v, const struct view_object *o, struct shv_value_info *out)
{
	struct shv_type_text t;

	if (what_kind(o->what) == SHV_KIND_LOCK || type_text_of(v->base, v->g, what_type(o->what), &t))
		return;
	out->type = what_type(o->what);
	view_copy_text(out->type_name, sizeof(out->type_name), t.name && *t.name ? t.name : t.format);
	view_copy_text(out->format, sizeof(out->format), t.format);
}

static void fill_value(const struct shv_view *v, const struct view_object *o, struct shv_value_info *out)
{
	struct view_lock lock;

	memset(out, 0, sizeof(*out));
	out->ref = ref_of(o);
	out->offset = o->payload;
	out->kind = (enum shv_kind)what_kind(o->what);
	out->item_size = (uint32_t)o->item_bytes;
	out->bytes = o->bytes;
	out->block_bytes = o->block_bytes;
	out->len = o->len;
	fill_type(v, o, out);
	out->lock = view_lock_kind(what_policy(o->what));
	policy_name(v, what_policy(o->what), out->policy, sizeof(out->policy));
	if (what_policy(o->what) == SHV_POL_SHARED)
		out->lock_ref = o->lock;
	out->holder.size = sizeof(out->holder);
	if (read_lock(v, o, &lock)) {
		out->held = lock.held;
		out->waiters = lock.waiters;
		out->abandoned = lock.abandoned;
		out->acquisitions = lock.acquisitions;
		out->holder = lock.holder;
	}
	out->condemned = slot_state(o->word) == SHV_SLOT_CONDEMNED;
	out->owner = page_state(o->entry) == SHV_PG_OWNED ? page_proc(o->entry) : UINT32_MAX;
	out->creator = slot_proc(o->word);
	out->creator_alive = creator_lives(v, o);
	out->named = (o->header & SHV_HDR_NAMED) != 0;
}

/* ---- values ---------------------------------------------------------------------------------------------- */

static bool is_object(const struct view_object *o)
{
	return what_kind(o->what) != SHV_KIND_PART;
}

SHV_API int shv_value_next(shv_arena *a, uint64_t *cursor, struct shv_value_info *out)
{
	struct shv_value_info info;
	struct view_object o;
	struct shv_view v;
	int r = view_open_walk(&v, a, cursor, out, __func__);

	if (r || !next_object(&v, cursor, &o, is_object))
		return r;
	fill_value(&v, &o, &info);
	r = VIEW_DELIVER(out, info, __func__);
	return r ? r : 1;
}

SHV_API int shv_value_describe(shv_arena *a, shv_ref ref, struct shv_value_info *out)
{
	struct shv_value_info info;
	struct view_object o;
	struct shv_view v;
	int r = view_open(&v, a, __func__, false);

	if (!r)
		r = view_find(&v, ref, __func__, &o);
	if (r)
		return r;
	fill_value(&v, &o, &info);
	return VIEW_DELIVER(out, info, __func__);
}

/* ---- content --------------------------------------------------------------------------------------------- */

/* One access if the payload has the size of one, since without a lock that is what programs count on. */
static void copy_once(void *to, const void *from, size_t n)
{
	if (n == 8 && !((uintptr_t)from & 7)) {
		uint64_t x = load_relaxed((const uint64_t *)from);
		memcpy(to, &x, n);
	} else if (n == 4 && !((uintptr_t)from & 3)) {
		uint32_t x = load_relaxed((const uint32_t *)from);
		memcpy(to, &x, n);
	} else if (n == 2 && !((uintptr_t)from & 1)) {
		uint16_t x = load_relaxed((const uint16_t *)from);
		memcpy(to, &x, n);
	} else if (n) {
		memcpy(to, from, n);
	}
}

/*
 * n bytes of content. What begins on the page of the word in front of it, which was read already, is copied in place; pages behind that
 * one may never have been written, and reading such a hole of the file through the mapping would fill it. The descriptor does not.
 */
static void copy_content(const struct shv_view *v, const struct view_object *o, char *to, size_t n)
{
	size_t done = 0;
	ssize_t got = 1;
	int fd;

	if (n && (o->content - 8) / SHV_PAGE_SIZE != (o->content + n - 1) / SHV_PAGE_SIZE && (fd = view_fd(v)) >= 0)
		while (done < n && got > 0) {
			got = pread(fd, to + done, n - done, (off_t)(o->content + done));
			if (got > 0)
				done += (size_t)got;
			else if (got < 0 && errno == EINTR)
				got = 1;
		}
	copy_once(to + done, v->base + o->content + done, n - done); /* all of it, or what a closed descriptor left */
}

/* Might somebody be writing under this lock word? A dead holder is not. */
static bool writer_in(const struct shv_view *v, uint64_t word)
{
	struct view_lock lock;

	if (!lock_is_held(word))
		return false;
	view_lock_word(v, word, &lock);
	return lock.held;
}

/* True: a writer came in between, or was in all the time. */
static bool copy_payload(const struct shv_view *v, const struct view_object *o, void *to, size_t n)
{
	const uint64_t *lock = view_lock_address(v, o);

	for (int i = 0; lock && i < QUIET_TRIES; i++) {
		uint64_t before = load_acquire(lock); /* pairs: P-lock, P-peek */

		if (writer_in(v, before)) {
			cpu_relax();
			continue;
		}
		copy_content(v, o, to, n);
		fence_acquire(); /* pairs: P-peek */
		if (!((load_relaxed(lock) ^ before) & ~LOCK_WAITERS))
			return false;
	}
	copy_content(v, o, to, n);
	return lock != NULL;
}

/* The slot of an object that view_find() has found. */
static const struct shv_slot_shm *slot_of(const struct shv_view *v, const struct view_object *o)
{
	const struct shv_slot_shm *slots = view_chunk(v, o->index / SHV_SLOTS_PER_CHUNK);

	return slots ? slots + o->index % SHV_SLOTS_PER_CHUNK : NULL;
}

/* A text is never torn, but it may have gone while it was copied. False: it was replaced. */
static bool copy_text(const struct shv_view *v, const struct view_object *o, void *to, size_t n)
{
	struct view_object now = *o;

	copy_content(v, o, to, n);
	fence_acquire(); /* pairs: P-publish */
	return view_text(v, &now) && now.text == o->text;
}

/*
 * n bytes of what o holds, as it was while it lived. 0 or -ESTALE; a string whose text goes while it is read counts
 * as torn.
 */
static int read_payload(const struct shv_view *v, const struct view_object *o, void *to, size_t n, bool *torn,
			const char *who)
{
	const struct shv_slot_shm *slot = slot_of(v, o);
	bool string = what_kind(o->what) == SHV_KIND_STRING;
	bool cut = slot && (string ? !copy_text(v, o, to, n) : copy_payload(v, o, to, n));

	if (!slot || !view_same(slot, o->word))
		return fail(-ESTALE, "%s: the object of reference %#llx was freed meanwhile", who,
			    (unsigned long long)ref_of(o));
	if (torn)
		*torn = cut;
	return 0;
}

SHV_API ssize_t shv_value_bytes(shv_arena *a, shv_ref ref, void *buf, size_t size, bool *torn)
{
	struct view_object o;
	struct shv_view v;
	bool cut = false;
	size_t n = 0;
	int r;

	if (!buf && size)
		return fail(-EINVAL, "%s: buf is NULL", __func__);
	r = view_open(&v, a, __func__, false);
	for (int i = 0; !r && i < QUIET_TRIES; i++) {
		r = view_find(&v, ref, __func__, &o);
		if (r)
			break;
		n = o.bytes < size ? o.bytes : size;
		r = read_payload(&v, &o, buf, n, &cut, __func__);
		if (!cut || what_kind(o.what) != SHV_KIND_STRING)
			break;
	}
	if (!r && torn)
		*torn = cut;
	return r ? r : (ssize_t)n;
}

/*
 * How many items of an array its text needs. Each takes a character at the least, so no more of them than the
 * buffer has characters can be seen.
 */
static uint64_t items_for_text(const struct view_object *o, size_t size)
{
	uint64_t most = size > TEXT_ITEMS ? size : TEXT_ITEMS;

	if (!size)
		most = TEXT_COUNTED;
	return o->len < most ? o->len : most;
}

static ssize_t print_items(const struct shv_view *v, const struct view_object *o, char *buf, size_t size,
			   bool *torn, const char *who)
{
	const struct shv_type *t = type_by_id(v->base, v->g, what_type(o->what));
	uint64_t n = items_for_text(o, size), bytes = n * o->item_bytes;
	bool array = what_kind(o->what) == SHV_KIND_ARRAY || what_kind(o->what) == SHV_KIND_RAW_ARRAY;
	_Alignas(16) char small[TEXT_STACK];
	char *copy = small;
	ssize_t r;

	if (!t)
		return fail(-EUCLEAN, "%s: type %u of reference %#llx has no readable format", who, what_type(o->what),
			    (unsigned long long)ref_of(o));
	if (bytes > sizeof(small))
		copy = malloc(bytes);
	if (!copy)
		return fail(-ENOMEM, "%s: no memory for a copy of %llu bytes", who, (unsigned long long)bytes);
	r = read_payload(v, o, copy, bytes, torn, who);
	if (!r && what_kind(o->what) == SHV_KIND_STRING)
		r = type_print_string(t, copy, n, buf, size);
	else if (!r)
		r = type_print(t, copy, n, array, buf, size);
	if (copy != small)
		free(copy);
	return r;
}

SHV_API ssize_t shv_value_text(shv_arena *a, shv_ref ref, char *buf, size_t size)
{
	struct view_object o;
	struct shv_view v;
	bool torn = false;
	ssize_t r;

	if (!buf && size)
		return fail(-EINVAL, "%s: buf is NULL", __func__);
	if (size)
		buf[0] = 0;
	r = view_open(&v, a, __func__, false);
	for (int i = 0; !r && i < QUIET_TRIES; i++) {
		r = view_find(&v, ref, __func__, &o);
		if (r || what_kind(o.what) == SHV_KIND_LOCK)
			break;
		r = print_items(&v, &o, buf, size, &torn, __func__);
		if (r < 0 || !torn || what_kind(o.what) != SHV_KIND_STRING || i + 1 == QUIET_TRIES)
			break;
		r = 0; /* the text was replaced: look at the new one */
	}
	return r;
}

SHV_API ssize_t shv_value_name(shv_arena *a, shv_ref ref, char *buf, size_t size)
{
	struct view_object o;
	struct shv_view v;
	int r;

	if (!buf && size)
		return fail(-EINVAL, "%s: buf is NULL", __func__);
	r = view_open(&v, a, __func__, false);
	if (!r)
		r = view_find(&v, ref, __func__, &o);
	if (r)
		return r;
	r = o.header & SHV_HDR_NAMED ? name_of(v.base, v.g, ref, buf, size) : -ENOENT;
	if (r == -ENOENT)
		return fail(r, "%s: the object of reference %#llx has no name", __func__, (unsigned long long)ref);
	return r;
}

/* ---- locks ----------------------------------------------------------------------------------------------- */

static bool has_lock_of_its_own(const struct view_object *o)
{
	return is_object(o) && (has_own_word(o) || what_policy(o->what) >= SHV_POL_USER);
}

static void fill_lock(const struct shv_view *v, const struct view_object *o, struct shv_lock_info *out)
{
	struct view_lock lock;

	memset(out, 0, sizeof(*out));
	out->ref = ref_of(o);
	out->object = what_kind(o->what) == SHV_KIND_LOCK;
	out->lock = view_lock_kind(what_policy(o->what));
	policy_name(v, what_policy(o->what), out->policy, sizeof(out->policy));
	out->condemned = slot_state(o->word) == SHV_SLOT_CONDEMNED;
	out->holder.size = sizeof(out->holder);
	if (!has_own_word(o))
		return;
	view_lock_word(v, o->lock, &lock);
	out->held = lock.held;
	out->waiters = lock.waiters;
	out->abandoned = lock.abandoned;
	out->depth = lock.depth;
	out->acquisitions = lock.acquisitions;
	out->holder = lock.holder;
}

SHV_API int shv_lock_next(shv_arena *a, uint64_t *cursor, struct shv_lock_info *out)
{
	struct shv_lock_info info;
	struct view_object o;
	struct shv_view v;
	int r = view_open_walk(&v, a, cursor, out, __func__);

	if (r || !next_object(&v, cursor, &o, has_lock_of_its_own))
		return r;
	fill_lock(&v, &o, &info);
	r = VIEW_DELIVER(out, info, __func__);
	return r ? r : 1;
}
