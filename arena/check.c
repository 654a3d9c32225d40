/* SPDX-License-Identifier: MIT */
/*
 * shv_check(): does everything in the arena agree with everything else? A judge that shares no code with
 * what it judges: it knows the format (layout.h, locks/word.h) and does all arithmetic itself.
 *
 * Place: a reader like those of values/. It takes no lock, writes nothing, and reads through the
 * descriptor, not through the mapping: a hole that is read by pread() stays a hole, and a file cannot end
 * under its feet.
 *
 *   check.c         passes and findings
 *   check_image.c   one pass's private copy of the tables ("the image"), with active intents carried out
 *   check_members.c superblock, system locks, intents, processes, threads, graves, lists of blocks going home
 *   check_tables.c  lock policies, types, names
 *   check_pages.c   page map, summaries, chunk table
 *   check_blocks.c  slots, blocks, what lies on which page, headers, lock words
 *
 * An arena in use. The image is no moment's picture: what changes while it is made contradicts itself in it. So
 *   - the walk is done up to PASSES times with pauses, and a finding counts only if every pass made it,
 *     about the same thing and because of the same words (slot words and lock words carry generations and
 *     sequences: they differ after each use);
 *   - rules about counts, whose numbers come back by chance, are left out of a pass in which the lock that
 *     guards them was taken, or changed hands, while the image was made;
 *   - what a member may leave when it is stopped or killed at any instruction is no finding: intents are
 *     carried out in the image first, and slots on their way belong to their process until it is recovered.
 * One pass is enough for an arena in which nothing is found, and for a snapshot, which does not change.
 *
 * Garbage. Every number is checked before it is used, loops run over the image's arrays and end with them,
 * blocks are sorted by offset so that no page is walked twice: the time is that of pages + slots + names,
 * whatever the bytes say.
 *
 * Left out: whether a process that is ALIVE lives (a kernel's question, and recovery's), payloads, and the
 * state of user-supplied policies.
 */
#include "config.h"

#include "arena/check.h"

#include <sched.h>
#include <shv/inspect.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PASSES 5u

/* ---- sets of findings -------------------------------------------------------------------------------- */

#define SET_FIRST ((uint64_t)256) /* most arenas have no finding, or few */

/* Each step can be undone: for a given a, different b have different results, and the other way round. */
uint64_t check_mix(uint64_t a, uint64_t b)
{
	uint64_t h = a * UINT64_C(0x9e3779b97f4a7c15);

	h = ((h ^ h >> 32) + b) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ h >> 29) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 32;
}

/* FNV-1a, 64 bits: the format's hash of bytes. */
uint64_t check_hash(const void *p, size_t n)
{
	const unsigned char *b = p;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (n--)
		h = (h ^ *b++) * UINT64_C(0x100000001b3);
	return h;
}

/* Where the key is, or would be. A set is never more than half full. */
static uint64_t *set_place(const struct check_set *s, uint64_t key)
{
	uint64_t i = key % s->room;

	while (s->key[i] && s->key[i] != key)
		i = (i + 1) % s->room;
	return &s->key[i];
}

static bool set_has(const struct check_set *s, uint64_t key)
{
	return s->key && *set_place(s, key);
}

/* Room for one more, so that it stays at most half full. */
static bool set_grow(struct check_set *s)
{
	struct check_set more = { .room = s->room ? s->room * 2 : SET_FIRST };

	if (((uint64_t)s->n + 1) * 2 <= s->room)
		return true;
	more.key = calloc(more.room, sizeof(*more.key));
	if (!more.key)
		return false;
	for (uint64_t i = 0; i < s->room; i++)
		if (s->key[i])
			*set_place(&more, s->key[i]) = s->key[i];
	free(s->key);
	s->key = more.key;
	s->room = more.room;
	return true;
}

/* True if it is new. */
static bool set_add(struct check *c, struct check_set *s, uint64_t key)
{
	uint64_t *at;

	if (!set_grow(s)) {
		c->err = -ENOMEM;
		return false;
	}
	at = set_place(s, key);
	if (*at)
		return false;
	if (s->n == CHECK_KEPT) {
		s->more++;
		return false;
	}
	*at = key;
	s->n++;
	return true;
}

static void set_clear(struct check_set *s)
{
	free(s->key);
	memset(s, 0, sizeof(*s));
}

static uint64_t set_size(const struct check_set *s)
{
	return s->n + s->more;
}

/* ---- findings ---------------------------------------------------------------------------------------- */

static void keep_text(struct check *c, const char *fmt, va_list ap)
{
	char *text;

	if (c->texts == CHECK_TOLD)
		return;
	if (!c->text)
		c->text = calloc(CHECK_TOLD, sizeof(*c->text));
	if (!c->text || vasprintf(&text, fmt, ap) < 0) {
		c->err = -ENOMEM;
		return;
	}
	c->text[c->texts++] = text;
}

void check_found(struct check *c, uint64_t index, uint64_t word, uint64_t word2, const char *fmt, ...)
{
	/* The pattern is a constant of its place in the code, so its address says which rule. */
	uint64_t key = check_mix(check_mix((uintptr_t)fmt, index), check_mix(word, word2));
	va_list ap;

	if (!key)
		key = 1;
	if (c->pass && !c->before.more && !set_has(&c->before, key))
		return;
	if (!set_add(c, &c->now, key) || !c->last)
		return;
	va_start(ap, fmt);
	keep_text(c, fmt, ap);
	va_end(ap);
}

/* ---- passes ------------------------------------------------------------------------------------------ */

static int walk(struct check *c)
{
	static void (*const rules[])(struct check *) = {
		check_super, check_members, check_pages,         check_sums,     check_chunks,
		check_slots, check_blocks,  check_thread_counts, check_policies, check_types,
		check_names, check_texts, check_lists,   check_page_use,
	};

	c->err = check_load(c);
	for (size_t i = 0; !c->err && i < sizeof(rules) / sizeof(rules[0]); i++)
		rules[i](c);
	check_drop(c);
	return c->err;
}

/* Whoever was in the middle of something shall get on with it. */
static void pause_after(unsigned pass)
{
	static const long ms[PASSES - 1] = { 0, 1, 5, 25 };
	struct timespec t = { 0, ms[pass] * 1000000 };

	sched_yield();
	if (t.tv_nsec)
		nanosleep(&t, NULL);
}

static int passes(struct check *c, unsigned n)
{
	int r = 0;

	for (c->pass = 0; c->pass < n; c->pass++) {
		c->last = c->pass == n - 1;
		r = walk(c);
		if (r || !set_size(&c->now) || c->last)
			break;
		set_clear(&c->before);
		c->before = c->now;
		memset(&c->now, 0, sizeof(c->now));
		pause_after(c->pass);
	}
	return r;
}

static int tell(const struct check *c, shv_check_report report, void *ctx)
{
	uint64_t n = set_size(&c->now);

	for (uint32_t i = 0; report && i < c->texts; i++)
		report(ctx, c->text[i]);
	return n < INT32_MAX ? (int)n : INT32_MAX;
}

SHV_API int shv_check(shv_arena *a, shv_check_report report, void *ctx)
{
	struct check c;
	int r = arena_valid(a, "shv_check", false);

	if (r)
		return r;
	memset(&c, 0, sizeof(c));
	c.g = &a->geo;
	c.base = a->base;
	c.fd = a->m ? memfd_fd(a->m) : a->fd;
	if (c.fd < 0)
		return c.fd;
	r = passes(&c, a->frozen ? 1 : PASSES);
	if (!r)
		r = tell(&c, report, ctx);
	else if (r == -ENOMEM)
		r = fail(-ENOMEM, "shv_check: no memory for a private copy of the tables of arena '%s'",
			 a->name);
	for (uint32_t i = 0; i < c.texts; i++)
		free(c.text[i]);
	free(c.text);
	set_clear(&c.now);
	set_clear(&c.before);
	return r;
}
