/* SPDX-License-Identifier: MIT */
/* The workers of the kill storm: they do anything with anything until they are killed, and say so before and after. */
#include "storm/storm.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

struct actor {
	shv_arena *a;
	struct board *b;
	struct log *log;
	uint32_t number;
	struct rng rng;
	unsigned lives;
	uint64_t ids;
	uint64_t seen[COUNTERS]; /* counters only grow */
	pthread_t thread;
};

/* ---- saying ---------------------------------------------------------------------------------------- */

static void say(struct actor *me, enum op op, enum phase phase, uint32_t cell, uint64_t id, uint64_t ref, uint32_t version)
{
	struct record *r = &me->log->record[me->log->head % LOG_SIZE];

	*r = (struct record){ .seq = __atomic_add_fetch(&me->b->seq, 1, __ATOMIC_ACQ_REL), .op = (uint8_t)op, .phase = (uint8_t)phase,
			      .cell = cell, .version = version, .id = id, .ref = ref };
	__atomic_store_n(&me->log->head, me->log->head + 1, __ATOMIC_RELEASE);
}

static bool is_over(const struct actor *me)
{
	return __atomic_load_n(&me->b->stop, __ATOMIC_ACQUIRE);
}

/* Between two operations: wait if a pause is wanted, or for room in the log. False: it is time to end. */
static bool breathe(struct actor *me)
{
	uint32_t now = gate_now(&me->b->pause);

	if (now % 2) {
		__atomic_store_n(&me->log->paused, now, __ATOMIC_RELEASE);
		gate_add(&me->b->paused, 1);
		gate_wait(&me->b->pause, now + 1);
	}
	while (me->log->head - __atomic_load_n(&me->log->tail, __ATOMIC_ACQUIRE) > LOG_SIZE - 4) {
		if (gate_now(&me->b->pause) % 2)
			return breathe(me);
		if (is_over(me))
			return false;
		sched_yield();
	}
	if (is_over(me))
		return false;
	return !me->lives || --me->lives;
}

/* ---- cells ------------------------------------------------------------------------------------------ */

static struct cell *claim(struct actor *me)
{
	struct cell *c = &me->b->cells[rng_below(&me->rng, CELLS)];
	uint32_t nobody = 0;

	return __atomic_compare_exchange_n(&c->claim, &nobody, me->number, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED) ? c : NULL;
}

static void unclaim(struct cell *c)
{
	__atomic_store_n(&c->claim, 0, __ATOMIC_RELEASE);
}

static uint32_t number_of(const struct actor *me, const struct cell *c)
{
	return (uint32_t)(c - me->b->cells);
}

static void content_of(uint64_t id, uint32_t version, uint64_t *words)
{
	for (size_t i = 0; i < items_of(id); i++)
		words[i] = word_of(id, version, i);
}

static void expect(const struct cell *c, const uint64_t *words, const char *where)
{
	for (size_t i = 0; i < items_of(c->id); i++)
		NEED(words[i] == word_of(c->id, c->version, i), "%s: value %llx, version %u, word %zu of %zu is %llx", where,
		     (unsigned long long)c->id, c->version, i, items_of(c->id), (unsigned long long)words[i]);
}

static void *object_of(struct actor *me, const struct cell *c)
{
	void *p = shv_deref(me->a, c->ref);

	NEED(p, "value %llx, version %u, is gone", (unsigned long long)c->id, c->version);
	return p;
}

/* Taking a lock may bring the news of a death; the tester must be able to know that it was told. */
static int told(struct cell *c, int r)
{
	if (r == SHV_RECOVERED)
		__atomic_store_n(&c->torn, true, __ATOMIC_RELEASE);
	return r;
}

/* ---- operations on one value -------------------------------------------------------------------------- */

static void *make(struct actor *me, uint64_t id, const uint64_t *words)
{
	size_t n = items_of(id);

	switch (kind_of(id)) {
	case KIND_RAW:
		return shv_raw_new(me->a, SHV_UINT64, words);
	case KIND_RECURSIVE:
		return shv_value_new(me->a, SHV_UINT64, words, SHV_RECURSIVE);
	case KIND_NONE:
		return shv_value_new(me->a, SHV_UINT64, words, SHV_NONE);
	case KIND_PLAIN:
		return shv_value_new(me->a, SHV_UINT64, words, SHV_PLAIN);
	case KIND_SHARED:
		return shv_value_new(me->a, SHV_UINT64, words, SHV_SHARED(shv_deref(me->a, me->b->locks[lock_of(id)])));
	case KIND_ARRAY_PLAIN:
		return shv_array_new(me->a, SHV_UINT64, n, words, SHV_PLAIN);
	case KIND_ARRAY_HANDOFF:
		return shv_array_new(me->a, SHV_UINT64, n, words, SHV_HANDOFF);
	case KIND_ARRAY_RECURSIVE:
		return shv_array_new(me->a, SHV_UINT64, n, words, SHV_RECURSIVE);
	default:
		return shv_raw_array_new(me->a, SHV_UINT64, n, words);
	}
}

static void create(struct actor *me, struct cell *c, uint64_t *words)
{
	uint64_t id = (uint64_t)me->number << 20 | ++me->ids;
	shv_ref ref;
	void *p;

	content_of(id, 0, words);
	say(me, OP_CREATE, PHASE_BEGUN, number_of(me, c), id, 0, 0);
	p = make(me, id, words);
	NEED(p, "create");
	ref = shv_ref_of(p);
	NEED(ref, "the reference of a new value");
	say(me, OP_CREATE, PHASE_DONE, number_of(me, c), id, ref, 0);
	c->version = 0;
	c->named = c->torn = false;
	c->ref = ref;
	__atomic_store_n(&c->id, id, __ATOMIC_RELEASE);
}

static void destroy(struct actor *me, struct cell *c)
{
	void *p = object_of(me, c);
	int r;

	say(me, OP_FREE, PHASE_BEGUN, number_of(me, c), c->id, c->ref, c->version);
	r = is_raw(kind_of(c->id)) ? shv_raw_free(p) : shv_value_free(p);
	if (r == -EBUSY && has_own_lock(kind_of(c->id))) {
		say(me, OP_FREE, PHASE_REFUSED, number_of(me, c), c->id, c->ref, c->version); /* somebody visits it */
		return;
	}
	NEED(r == 0, "freeing value %llx: %d", (unsigned long long)c->id, r);
	say(me, OP_FREE, PHASE_DONE, number_of(me, c), c->id, c->ref, c->version);
	__atomic_store_n(&c->id, 0, __ATOMIC_RELEASE);
}

static void store_held(struct cell *c, uint64_t *p, uint32_t version)
{
	for (size_t i = 0; i < items_of(c->id); i++)
		p[i] = word_of(c->id, version, i);
}

/* One of the ways to bring a value from one version to the next. */
static void change_by(struct actor *me, struct cell *c, uint64_t *p, uint32_t version, uint64_t *words)
{
	size_t n = items_of(c->id), bytes = n * sizeof(uint64_t);
	bool word = !is_array(kind_of(c->id));
	uint64_t old;
	int64_t now;
	int r;

	if (is_raw(kind_of(c->id))) {
		if (word)
			__atomic_store_n(p, word_of(c->id, version, 0), __ATOMIC_RELEASE);
		else
			store_held(c, p, version);
		return;
	}
	switch (rng_below(&me->rng, word ? 4 : 3)) {
	case 0:
		content_of(c->id, version, words);
		r = told(c, shv_set((shv_value *)p, words, bytes));
		break;
	case 1:
		if (kind_of(c->id) == KIND_NONE) {
			__atomic_store_n(p, word_of(c->id, version, 0), __ATOMIC_RELEASE);
			return;
		}
		r = told(c, shv_acquire((shv_value *)p));
		NEED(r >= 0, "acquire: %d", r);
		store_held(c, p, version);
		r = shv_release((shv_value *)p);
		break;
	case 2:
		if (!word) {
			content_of(c->id, version, words);
			r = told(c, shv_set_slice((shv_value *)p, 0, n, words, bytes));
			break;
		}
		r = told(c, shv_add((shv_value *)p, 1, &now));
		NEED(r < 0 || (uint64_t)now == word_of(c->id, version, 0), "the sum is %llx", (unsigned long long)now);
		break;
	default:
		old = word_of(c->id, c->version, 0);
		words[0] = word_of(c->id, version, 0);
		r = told(c, shv_compare_exchange((shv_value *)p, &old, words, sizeof(old)));
	}
	NEED(r >= 0, "changing value %llx: %d", (unsigned long long)c->id, r);
}

static void change(struct actor *me, struct cell *c, uint64_t *words)
{
	uint64_t *p = object_of(me, c);

	expect(c, p, "before a change");
	say(me, OP_SET, PHASE_BEGUN, number_of(me, c), c->id, c->ref, c->version + 1);
	change_by(me, c, p, c->version + 1, words);
	say(me, OP_SET, PHASE_DONE, number_of(me, c), c->id, c->ref, c->version + 1);
	c->version++;
}

static void look(struct actor *me, struct cell *c, uint64_t *words)
{
	void *p = object_of(me, c);
	size_t n = items_of(c->id);
	int r;

	NEED(shv_len(p) == n, "value %llx has %zu items, not %zu", (unsigned long long)c->id, shv_len(p), n);
	r = rng_next(&me->rng) % 2 ? shv_peek(p, words, n * sizeof(*words)) : told(c, shv_get(p, words, n * sizeof(*words)));
	if (r == -EAGAIN)
		return; /* peek, while visitors come and go */
	NEED(r >= 0, "reading value %llx: %d", (unsigned long long)c->id, r);
	expect(c, words, "reading");
}

static void name(struct actor *me, struct cell *c)
{
	void *p = object_of(me, c);
	enum op op = c->named ? OP_UNPUBLISH : OP_PUBLISH;
	char text[40];
	int r;

	snprintf(text, sizeof(text), "v%llx", (unsigned long long)c->id);
	NEED(shv_find(me->a, text) == (c->named ? p : NULL), "value %llx: its name leads elsewhere", (unsigned long long)c->id);
	say(me, op, PHASE_BEGUN, number_of(me, c), c->id, c->ref, c->version);
	r = c->named ? shv_unpublish(me->a, text) : shv_publish(p, text);
	NEED(r == 0, "naming value %llx: %d", (unsigned long long)c->id, r);
	say(me, op, PHASE_DONE, number_of(me, c), c->id, c->ref, c->version);
	c->named = !c->named;
}

static void on_a_cell(struct actor *me, uint64_t *words)
{
	struct cell *c = claim(me);

	if (!c)
		return;
	if (!c->id)
		create(me, c, words);
	else if (c->version >= LAST_VERSION)
		destroy(me, c);
	else
		switch (rng_below(&me->rng, 8)) {
		case 0:
		case 1:
			destroy(me, c);
			break;
		case 2:
			/* Few have names, so that the table stays as small as it can be. */
			if (c->named || number_of(me, c) % 16 == 0)
				name(me, c);
			break;
		case 3:
		case 4:
			look(me, c, words);
			break;
		default:
			change(me, c, words);
		}
	unclaim(c);
}

/* ---- operations without a claim ------------------------------------------------------------------------ */

/* The lock of somebody else's value, by reference: if it can be had, it is that value. */
static void visit(struct actor *me)
{
	struct cell *c = &me->b->cells[rng_below(&me->rng, CELLS)];
	uint64_t id = __atomic_load_n(&c->id, __ATOMIC_ACQUIRE);
	shv_ref ref = __atomic_load_n(&c->ref, __ATOMIC_ACQUIRE);
	shv_value *v = NULL;
	int r;

	if (!id || __atomic_load_n(&c->id, __ATOMIC_ACQUIRE) != id || !has_own_lock(kind_of(id)))
		return;
	say(me, OP_VISIT, PHASE_BEGUN, number_of(me, c), id, ref, 0);
	r = shv_ref_acquire(me->a, ref, &v);
	NEED(r >= 0 || r == -ESTALE || r == -EINVAL, "visiting value %llx: %d", (unsigned long long)id, r);
	if (r >= 0) {
		uint64_t *p = shv_value_data(v);
		bool torn = told(c, r) == SHV_RECOVERED || __atomic_load_n(&c->torn, __ATOMIC_ACQUIRE);
		NEED(p && p[0] >> 16 == id, "visiting value %llx: found %llx", (unsigned long long)id, p ? (unsigned long long)p[0] : 0);
		for (size_t i = 1; i < items_of(id) && !torn; i++)
			NEED(p[i] == word_of(id, p[0] & 0xffff, i), "visiting value %llx: word %zu is %llx", (unsigned long long)id, i,
			     (unsigned long long)p[i]);
		if (rng_next(&me->rng) % 16 == 0)
			sched_yield();
		NEED(shv_release(v) == 0, "release");
	}
	say(me, OP_VISIT, PHASE_DONE, number_of(me, c), id, ref, 0);
}

static void count(struct actor *me)
{
	uint32_t k = (uint32_t)rng_below(&me->rng, COUNTERS);
	shv_value *v = shv_deref(me->a, me->b->counters[k]);
	int r;

	NEED(v, "a counter is gone");
	say(me, OP_COUNT, PHASE_BEGUN, k, 0, 0, 0);
	r = shv_add(v, 1, NULL);
	NEED(r >= 0, "counting: %d", r);
	say(me, OP_COUNT, PHASE_DONE, k, 0, 0, 0);
}

/* Two words that are equal whenever nobody is inside; who inherits the lock makes them so. */
static void pair(struct actor *me)
{
	uint32_t k = (uint32_t)rng_below(&me->rng, PAIRS);
	shv_value *v = shv_deref(me->a, me->b->pairs[k]);
	volatile uint64_t *x = shv_value_data(v);
	int r;

	NEED(v && x, "a pair is gone");
	say(me, OP_PAIR, PHASE_BEGUN, k, 0, 0, 0);
	r = shv_acquire(v);
	NEED(r >= 0, "acquire: %d", r);
	NEED(x[0] == x[1] || (r == SHV_RECOVERED && x[0] == x[1] + 1), "pair %u: %llu and %llu, %s", k, (unsigned long long)x[0],
	     (unsigned long long)x[1], r ? "inherited" : "and no holder died");
	if (x[0] != x[1])
		x[1] = x[0];
	x[0]++;
	if (rng_next(&me->rng) % 16 == 0)
		sched_yield();
	x[1]++;
	NEED(shv_release(v) == 0, "release");
	say(me, OP_PAIR, PHASE_DONE, k, 0, 0, 0);
}

static shv_value *fixture(struct actor *me, shv_ref ref)
{
	shv_value *v = shv_deref(me->a, ref);

	NEED(v, "a counter, pair or text is gone");
	return v;
}

/* Several pairs at once; a pair may be named twice. Which of them somebody died with is not said. */
static void pairs(struct actor *me)
{
	uint32_t mask = 1 + (uint32_t)rng_below(&me->rng, (1u << PAIRS) - 1);
	unsigned n = 0, first = (unsigned)rng_below(&me->rng, PAIRS);
	shv_value *list[PAIRS + 1];
	int r;

	for (unsigned i = 0; i < PAIRS; i++)
		if (mask >> (first + i) % PAIRS & 1)
			list[n++] = fixture(me, me->b->pairs[(first + i) % PAIRS]);
	list[n] = list[rng_below(&me->rng, n)];
	n += rng_next(&me->rng) % 4 == 0;
	say(me, OP_PAIRS, PHASE_BEGUN, mask, 0, 0, 0);
	r = shv_acquire_all(list, n);
	NEED(r >= 0, "acquire_all: %d", r);
	for (unsigned k = 0; k < PAIRS; k++) {
		volatile uint64_t *x = mask >> k & 1 ? shv_value_data(shv_deref(me->a, me->b->pairs[k])) : NULL;
		if (!x)
			continue;
		NEED(x[0] == x[1] || (r == SHV_RECOVERED && x[0] == x[1] + 1), "of %x, pair %u: %llu and %llu, %s", mask, k,
		     (unsigned long long)x[0], (unsigned long long)x[1], r ? "inherited" : "and no holder died");
		if (x[0] != x[1])
			x[1] = x[0];
		x[0]++;
		if (rng_next(&me->rng) % 16 == 0)
			sched_yield();
		x[1]++;
	}
	NEED(shv_release_all(list, n) == 0, "release_all");
	say(me, OP_PAIRS, PHASE_DONE, mask, 0, 0, 0);
}

#define TEXT_MOST 100000u

/* One letter more: appended, or, where the lock can be taken more than once, read, changed and written under it. */
static void append(struct actor *me)
{
	uint32_t k = (uint32_t)rng_below(&me->rng, TEXTS);
	static __thread char text[TEXT_MOST];
	shv_value *v = fixture(me, me->b->texts[k]);
	char letter = letter_of(k);
	ssize_t len;
	int r;

	say(me, OP_TEXT, PHASE_BEGUN, k, 0, 0, 0);
	if (k == 0 && rng_next(&me->rng) % 2) {
		r = shv_acquire(v);
		NEED(r >= 0, "acquire: %d", r);
		len = shv_string_get(v, text, sizeof(text));
		NEED(len >= 0 && len < (ssize_t)sizeof(text) - 1, "the length of text %u is %zd", k, len);
		text[len] = letter;
		r = shv_string_set_n(v, text, (size_t)len + 1);
		NEED(r >= 0 && shv_release(v) == 0, "writing text %u: %d", k, r);
	} else {
		r = shv_string_append_n(v, &letter, 1);
		NEED(r >= 0, "appending to text %u: %d", k, r);
	}
	say(me, OP_TEXT, PHASE_DONE, k, 0, 0, 0);
}

static void read_text(struct actor *me)
{
	uint32_t k = (uint32_t)rng_below(&me->rng, TEXTS);
	static __thread char text[TEXT_MOST];
	shv_value *v = fixture(me, me->b->texts[k]);
	ssize_t len = rng_next(&me->rng) % 2 ? shv_string_peek(v, text, sizeof(text)) : shv_string_get(v, text, sizeof(text));

	if (len == -EAGAIN)
		return;
	NEED(len >= 0 && len < (ssize_t)sizeof(text), "reading text %u: %zd", k, len);
	for (ssize_t i = 0; i < len; i++)
		NEED(text[i] == letter_of(k), "text %u: letter %zd of %zd is %d", k, i, len, text[i]);
	NEED(text[len] == 0, "text %u does not end", k);
}

/* Until a counter is another; they only grow. */
static void wait_for_one(struct actor *me)
{
	uint32_t k = (uint32_t)rng_below(&me->rng, COUNTERS);
	shv_value *v = fixture(me, me->b->counters[k]);
	const struct timespec moment = { 0, 300000 };
	uint64_t seen, now;
	int r = shv_peek(v, &seen, sizeof(seen));

	if (r == -EAGAIN)
		return;
	NEED(r >= 0, "looking at a counter: %d", r);
	r = shv_wait(v, &seen, sizeof(seen), &moment);
	NEED(r == 0 || r == -ETIMEDOUT, "waiting: %d", r);
	if (r)
		return;
	r = shv_peek(v, &now, sizeof(now));
	NEED(r == -EAGAIN || (r >= 0 && now > seen), "counter %u was %llu, was waited for, and is %llu (%d)", k, (unsigned long long)seen,
	     (unsigned long long)now, r);
}

/* All counters in one call. */
static void read_counters(struct actor *me)
{
	shv_value *v[COUNTERS];
	uint64_t now[COUNTERS];
	int r;

	for (unsigned k = 0; k < COUNTERS; k++)
		v[k] = fixture(me, me->b->counters[k]);
	r = shv_values_get(v, COUNTERS, now, sizeof(now[0]));
	NEED(r >= 0, "reading counters: %d", r);
	for (unsigned k = 0; k < COUNTERS; k++) {
		NEED(now[k] >= me->seen[k], "counter %u goes backwards", k);
		me->seen[k] = now[k];
	}
}

static void housekeeping(struct actor *me)
{
	int r = rng_next(&me->rng) % 2 ? shv_arena_trim(me->a) : shv_arena_recover(me->a, NULL);

	NEED(r >= 0, "housekeeping: %d", r);
}

/* ---- a life ---------------------------------------------------------------------------------------------- */

static void *act(void *arg)
{
	struct actor *me = arg;
	static __thread uint64_t words[MAX_ITEMS + 1];

	while (breathe(me)) {
		uint64_t dice = rng_below(&me->rng, 1000);
		if (dice < 600)
			on_a_cell(me, words);
		else if (dice < 700)
			visit(me);
		else if (dice < 820)
			count(me);
		else if (dice < 900)
			pair(me);
		else if (dice < 940)
			pairs(me);
		else if (dice < 970)
			append(me);
		else if (dice < 985)
			read_text(me);
		else if (dice < 986)
			wait_for_one(me);
		else if (dice < 998)
			read_counters(me);
		else
			housekeeping(me);
	}
	__atomic_store_n(&me->log->ended, 1, __ATOMIC_RELEASE);
	gate_add(&me->b->paused, 1);
	return NULL;
}

int work(shv_arena *a, struct board *board, const struct orders *orders)
{
	struct actor actors[ACTORS_EACH];

	for (unsigned i = 0; i < orders->actors; i++) {
		actors[i] = (struct actor){ .a = a, .b = board, .log = &board->logs[orders->worker * ACTORS_EACH + i],
					    .number = orders->number[i], .rng = { orders->seed + i }, .lives = orders->lives };
		NEED(i == 0 || !pthread_create(&actors[i].thread, NULL, act, &actors[i]), "pthread_create");
	}
	act(&actors[0]);
	for (unsigned i = 1; i < orders->actors; i++)
		pthread_join(actors[i].thread, NULL);
	NEED(!orders->detach || shv_arena_detach(a) == 0, "detach");
	return 0;
}
