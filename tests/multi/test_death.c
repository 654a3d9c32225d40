/* SPDX-License-Identifier: MIT */
/*
 * Members that are killed, stopped, or lose their descriptors, at chosen places and at random ones; what the others find
 * afterwards, and that they can go on. Only the public interface, signals and ptrace are used.
 */
#define _GNU_SOURCE

#include "support/procs.h"
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what most tests use --------------------------------------------------------------------------- */

struct scene {
	shv_arena *a, *look;     /* of this process: a member, and a read-only attachment */
	struct shv_stat before;
	struct gate ready, go;
	shv_value *v;
	shv_lock *lock;
	shv_ref *refs;
	uint64_t n;
	int kind;
};

static struct scene *new_scene(const char *name, unsigned max_processes)
{
	struct scene *s = shared_memory(sizeof(*s));
	int fd;

	s->a = new_arena(name, max_processes);
	fd = shv_arena_fd_rdonly(s->a);
	s->look = shv_arena_attach(fd, SHV_RDONLY);
	ck_assert_ptr_nonnull(s->look);
	close(fd);
	/* What this process itself keeps is there from its first values on; slots for its part of the work too. */
	ck_assert_int_eq(shv_raw_free(shv_raw_array_new(s->a, SHV_UINT64, 100, NULL)), 0);
	ck_assert_int_eq(shv_arena_trim(s->a), 0);
	s->before = stat_of(s->look);
	return s;
}

/* Nothing is left, whoever died: the pages are back, and with the last member all are. */
static void end_scene(struct scene *s)
{
	struct shv_stat st;

	ck_assert_int_ge(shv_arena_recover(s->a, NULL), 0);
	need_sound(s->look, "after recovery");
	free_everything(s->a);
	if (s->lock)
		ck_assert_int_eq(shv_lock_free(s->lock), 0);
	ck_assert_int_eq(shv_arena_trim(s->a), 0);
	st = stat_of(s->look);
	ck_assert_uint_eq(st.objects, 0);
	ck_assert_uint_eq(st.going, 0);
	ck_assert_uint_eq(st.pages_orphaned, 0);
	ck_assert_uint_le(pages_used(&st), pages_used(&s->before));
	ck_assert_uint_eq(st.processes, 1);
	ck_assert_uint_eq(st.processes_dead, 0);
	need_sound(s->look, "after everything was freed");
	ck_assert_int_eq(shv_arena_detach(s->a), 0);
	st = stat_of(s->look);
	ck_assert_uint_eq(pages_used(&st), 0);
	ck_assert_uint_eq(st.processes + st.processes_dead, 0);
	ck_assert_uint_eq(st.threads, 0);
	ck_assert_int_eq(shv_arena_detach(s->look), 0);
	shared_release(s, sizeof(*s));
}

/* To be killed while it waits here. */
static int wait_for_death(struct scene *s)
{
	gate_add(&s->ready, 1);
	gate_wait(&s->go, UINT32_MAX);
	return 1;
}

static bool has_waiters(shv_arena *look, shv_ref ref)
{
	struct shv_value_info info = { .size = sizeof(info) };

	NEED(shv_value_describe(look, ref, &info) == 0, "describing a value");
	return info.waiters;
}

static const shv_lockspec own_locks[] = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF };
#define OWN_LOCKS 3

/* ---- holders --------------------------------------------------------------------------------------- */

static int hold(void *arg)
{
	struct scene *s = arg;
	int64_t *x = shv_value_data(s->v);

	NEED(shv_acquire(s->v) == 0, "acquire");
	if (s->kind == SHV_LOCK_RECURSIVE)
		NEED(shv_acquire(s->v) == 0, "acquire again");
	*x = 4711;
	return wait_for_death(s);
}

static int wait_for_lock(void *arg)
{
	struct scene *s = arg;
	struct shv_holder who = { .size = sizeof(who) };
	int r = shv_acquire(s->v);

	NEED(r == 0 || r == SHV_RECOVERED, "acquire: %d", r);
	if (r == SHV_RECOVERED) {
		NEED(shv_last_holder(s->v, &who) == 0 && who.pid == (pid_t)s->n, "the last holder was %d", (int)who.pid);
		NEED(!who.alive, "it is said to live");
		__atomic_fetch_add(&s->ready.word, 1000, __ATOMIC_RELAXED);
	}
	NEED(*(int64_t *)shv_value_data(s->v) == 4711, "what the holder had written");
	NEED(shv_release(s->v) == 0, "release");
	return 0;
}

START_TEST(lock_of_a_killed_holder_goes_to_those_who_wait)
{
	struct scene *s = new_scene("holder", 0);
	pid_t holder, waiters[6];
	bool shared = _i == OWN_LOCKS;

	if (shared)
		s->lock = shv_lock_new(s->a, SHV_PLAIN);
	s->v = SHV_VALUE(s->a, int64_t, 0, shared ? SHV_SHARED(s->lock) : own_locks[_i]);
	s->kind = shared ? SHV_LOCK_SHARED : (int)own_locks[_i].kind;
	ck_assert_ptr_nonnull(s->v);
	holder = start(hold, s);
	s->n = (uint64_t)holder;
	gate_wait(&s->ready, 1);
	for (int i = 0; i < 6; i++)
		waiters[i] = start(wait_for_lock, s);
	while (!shared && !has_waiters(s->look, shv_ref_of(s->v)))
		sched_yield();
	ck_assert_int_eq(shv_try_acquire(s->v), -EBUSY);
	slay(holder);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(finish(waiters[i]), 0);
	ck_assert_uint_eq(gate_now(&s->ready), 1001); /* exactly one was told */
	ck_assert_int_eq(shv_try_acquire(s->v), 0);
	ck_assert_int_eq(shv_release(s->v), 0);
	end_scene(s);
}
END_TEST

START_TEST(lock_of_a_killed_holder_goes_to_who_comes_later)
{
	struct scene *s = new_scene("later", 0);
	struct timespec moment = { 0, 1 };
	struct shv_holder who = { .size = sizeof(who) };
	bool recover = _i & 1;
	int way = _i >> 1, r;
	shv_value *v;
	pid_t holder;

	s->v = SHV_VALUE(s->a, int64_t, 0, own_locks[way]);
	s->kind = (int)own_locks[way].kind;
	holder = start(hold, s);
	gate_wait(&s->ready, 1);
	slay(holder);
	if (recover) {
		struct shv_recovery found = { .size = sizeof(found) };
		ck_assert_int_eq(shv_arena_recover(s->a, &found), 1);
		ck_assert_uint_eq(found.locks_abandoned, 1);
		ck_assert_uint_eq(found.threads, 1);
	}
	switch (way) {
	case 0:
		r = shv_try_acquire(s->v);
		break;
	case 1:
		r = shv_acquire_for(s->v, &moment);
		break;
	default:
		r = shv_ref_acquire(s->a, shv_ref_of(s->v), &v);
	}
	ck_assert_int_eq(r, SHV_RECOVERED);
	ck_assert_int_eq(shv_last_holder(s->v, &who), 0);
	ck_assert_int_eq(who.pid, holder);
	ck_assert_int_eq(shv_release(s->v), 0);
	ck_assert_int_eq(shv_acquire(s->v), 0); /* told once */
	ck_assert_int_eq(shv_release(s->v), 0);
	end_scene(s);
}
END_TEST

#define LOCKS 10000u

static int hold_many(void *arg)
{
	struct scene *s = arg;

	for (unsigned i = 0; i < LOCKS; i++) {
		shv_value *v = shv_deref(s->a, s->refs[i]);
		NEED(v && shv_acquire(v) == 0, "acquire");
	}
	return wait_for_death(s);
}

START_TEST(ten_thousand_locks_of_one_killed_process)
{
	struct scene *s = new_scene("many-locks", 0);
	unsigned first = _i ? LOCKS : LOCKS / 2; /* taken one by one before recovery, and after it */
	pid_t holder;

	s->refs = shared_memory(LOCKS * sizeof(*s->refs));
	for (unsigned i = 0; i < LOCKS; i++)
		s->refs[i] = shv_ref_of(SHV_VALUE(s->a, int, 0, own_locks[i % OWN_LOCKS]));
	holder = start(hold_many, s);
	gate_wait(&s->ready, 1);
	slay(holder);
	for (unsigned i = 0; i < LOCKS; i++) {
		shv_value *v = shv_deref(s->a, s->refs[i]);
		if (i == first) {
			struct shv_recovery found = { .size = sizeof(found) };
			ck_assert_int_eq(shv_arena_recover(s->a, &found), 1);
			ck_assert_uint_eq(found.locks_abandoned, LOCKS - first);
		}
		ck_assert_int_eq(shv_try_acquire(v), SHV_RECOVERED);
		ck_assert_int_eq(shv_release(v), 0);
	}
	shared_release(s->refs, LOCKS * sizeof(*s->refs));
	end_scene(s);
}
END_TEST

static void *end_holding(void *arg)
{
	struct scene *s = arg;

	NEED(shv_acquire(s->v) == 0, "acquire");
	return NULL;
}

static void *come_and_hold(void *arg)
{
	struct scene *s = arg;

	/* May get the thread index of the one that ended: it must not take that one's lock for its own. */
	s->kind = shv_try_acquire(s->v);
	if (s->kind >= 0)
		NEED(shv_release(s->v) == 0, "release");
	return NULL;
}

START_TEST(thread_that_ends_with_a_lock_held)
{
	struct scene *s = new_scene("thread", 0);
	pthread_t thread;

	s->v = SHV_VALUE(s->a, int64_t, 0, own_locks[_i >> 1]);
	for (int round = 0; round < 20; round++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, end_holding, s), 0);
		pthread_join(thread, NULL);
		if (_i & 1)
			ck_assert_int_ge(shv_arena_recover(s->a, NULL), 0);
		ck_assert_int_eq(pthread_create(&thread, NULL, come_and_hold, s), 0);
		pthread_join(thread, NULL);
		ck_assert_int_eq(s->kind, SHV_RECOVERED);
		ck_assert_int_eq(shv_acquire(s->v), 0);
		ck_assert_int_eq(shv_release(s->v), 0);
	}
	end_scene(s);
}
END_TEST

/* ---- creators and freers ------------------------------------------------------------------------------ */

#define MANY 100000u

static shv_ref make_one(shv_arena *a, uint64_t n)
{
	uint64_t content[2] = { n, ~n };
	void *p;

	switch (n % 5) {
	case 0:
		p = shv_raw_new(a, SHV_UINT64, content);
		break;
	case 1:
		p = shv_value_new(a, SHV_UINT64, content, SHV_RECURSIVE);
		break;
	case 2:
		p = shv_value_new(a, SHV_UINT64, content, SHV_NONE);
		break;
	case 3:
		p = shv_array_new(a, SHV_UINT64, 2, content, SHV_PLAIN);
		break;
	default: /* some of them span pages */
		p = shv_raw_array_new(a, SHV_UINT64, n % 1000 == 4 ? 2000 : 2, NULL);
		if (p)
			memcpy(p, content, sizeof(content));
	}
	NEED(p, "value %llu", (unsigned long long)n);
	return shv_ref_of(p);
}

/* Looks at value n and frees it. False: it is not there. */
static bool take_one(shv_arena *a, shv_ref ref, uint64_t n)
{
	uint64_t *p = shv_deref(a, ref);
	int r;

	if (!p)
		return false;
	NEED(p[0] == n && (n % 5 < 3 || p[1] == ~n), "value %llu holds %llx", (unsigned long long)n, (unsigned long long)p[0]);
	r = n % 5 == 0 || n % 5 == 4 ? shv_raw_free(p) : shv_value_free((shv_value *)p);
	NEED(r == 0, "freeing value %llu: %d", (unsigned long long)n, r);
	return true;
}

static int create_many(void *arg)
{
	struct scene *s = arg;

	for (uint64_t n = 0; n < MANY; n++)
		s->refs[n] = make_one(s->a, n);
	return wait_for_death(s);
}

struct range {
	struct scene *s;
	uint64_t from, to;
};

static int take_range(void *arg)
{
	struct range *r = arg;

	for (uint64_t n = r->from; n < r->to; n++)
		NEED(take_one(r->s->a, r->s->refs[n], n), "value %llu is gone", (unsigned long long)n);
	return 0;
}

START_TEST(values_of_a_killed_creator_stay_until_they_are_freed)
{
	struct scene *s = new_scene("creator", 0);
	struct shv_recovery found = { .size = sizeof(found) };
	struct range ranges[3];
	struct shv_stat st;
	pid_t creator, takers[3];

	s->refs = shared_memory(MANY * sizeof(*s->refs));
	creator = start(create_many, s);
	gate_wait(&s->ready, 1);
	slay(creator);
	if (_i) {
		ck_assert_int_eq(shv_arena_recover(s->a, &found), 1);
		ck_assert_uint_gt(found.pages_orphaned, MANY * 32 / 4096);
		ck_assert_uint_eq(found.values_undone, 0);
	}
	st = stat_of(s->look);
	ck_assert_uint_eq(st.objects, MANY);
	for (int i = 0; i < 3; i++) {
		ranges[i] = (struct range){ s, MANY / 3 * (unsigned)i, i == 2 ? MANY : MANY / 3 * (unsigned)(i + 1) };
		takers[i] = start(take_range, &ranges[i]);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(finish(takers[i]), 0);
	shared_release(s->refs, MANY * sizeof(*s->refs));
	ck_assert_int_ge(shv_arena_recover(s->a, NULL), 0);
	st = stat_of(s->look);
	ck_assert_uint_eq(st.objects, 0);
	ck_assert_uint_eq(st.pages_orphaned, 0);
	end_scene(s);
}
END_TEST

static int take_until_killed(void *arg)
{
	struct scene *s = arg;

	for (uint64_t n = 0; n < MANY; n++) {
		__atomic_store_n(&s->n, n + 1, __ATOMIC_RELEASE); /* it is going to be freed */
		NEED(take_one(s->a, s->refs[n], n), "value %llu is gone", (unsigned long long)n);
		gate_add(&s->ready, 0);
		__atomic_store_n(&s->ready.word, (uint32_t)n + 1, __ATOMIC_RELEASE); /* it has been freed */
	}
	return wait_for_death(s);
}

/* Kills it when it has got so far, or a moment later. */
static void slay_at(pid_t pid, const uint32_t *progress, uint32_t at, uint64_t moment)
{
	while (__atomic_load_n(progress, __ATOMIC_ACQUIRE) < at)
		if (moment & 1)
			sched_yield();
	for (uint64_t i = 0; i < moment; i++)
		__asm__ volatile("" ::: "memory");
	slay(pid);
}

START_TEST(freer_is_killed)
{
	struct scene *s = new_scene("freer", 0);
	struct rng rng = { test_seed("freer_is_killed") };
	bool orphans = _i & 1; /* whose pages: a dead process's, or ours */
	pid_t pid;

	s->refs = shared_memory(MANY * sizeof(*s->refs));
	for (int round = 0; round < 12; round++) {
		uint64_t begun, done, there = 0;
		s->ready.word = 0;
		if (orphans) {
			pid = start(create_many, s);
			gate_wait(&s->ready, 1);
			slay(pid);
			s->ready.word = 0;
		} else {
			for (uint64_t n = 0; n < MANY; n++)
				s->refs[n] = make_one(s->a, n);
		}
		pid = start(take_until_killed, s);
		slay_at(pid, &s->ready.word, 1 + (uint32_t)rng_below(&rng, MANY / 8), rng_below(&rng, 3000));
		begun = s->n;
		done = s->ready.word;
		if (done == MANY + 1) /* on a busy machine it may come to its end, and announces that it waits for its death */
			done = MANY;
		ck_assert_uint_le(begun - done, 1);
		ck_assert_int_ge(shv_arena_recover(s->a, NULL), 0);
		need_sound(s->look, "after the freer's death");
		for (uint64_t n = 0; n < MANY; n++) {
			bool is = take_one(s->a, s->refs[n], n);
			NEED(is || n < begun, "value %llu was lost; %llu frees begun, %llu done", (unsigned long long)n, (unsigned long long)begun,
			     (unsigned long long)done);
			NEED(!is || n >= done, "value %llu came back", (unsigned long long)n);
			there += is;
		}
		ck_assert_uint_ge(there, MANY - begun);
		need_sound(s->look, "after all were freed");
		ck_assert_uint_eq(stat_of(s->look).objects, 0);
	}
	shared_release(s->refs, MANY * sizeof(*s->refs));
	end_scene(s);
}
END_TEST

/* ---- killed in the middle of anything ------------------------------------------------------------------- */

/* What a victim says of each value: what it is about to do, and that it has done it. */
enum said { NOTHING, CREATING, THERE, SETTING, NAMING, NAMED, UNNAMING, FREEING };

struct cell {
	uint32_t said;
	bool named;
	shv_ref ref;
	uint64_t id;       /* the first word of the content, for ever */
	uint64_t now, next; /* the second one: as it is, and as it is to become */
};
#define CELLS 512u

struct victim {
	struct scene *s;
	struct cell cell[CELLS];
	uint64_t seed, ids;
	uint32_t steps;    /* what was said so far */
};

static void say(struct victim *v, struct cell *c, enum said what)
{
	__atomic_store_n(&c->said, what, __ATOMIC_RELEASE);
	__atomic_store_n(&v->steps, v->steps + 1, __ATOMIC_RELEASE);
}

static void name_of_cell(const struct cell *c, char name[32])
{
	snprintf(name, 32, "cell-%llu", (unsigned long long)c->id);
}

static void victim_creates(struct victim *v, struct cell *c, uint64_t dice)
{
	uint64_t content[600] = { 0 };
	size_t items = dice % 11 == 0 ? 600 : 2 + dice % 30;

	c->id = UINT64_C(1) << 40 | ++v->ids;
	c->now = content[1] = dice;
	content[0] = c->id;
	c->named = false;
	c->ref = 0;
	say(v, c, CREATING);
	c->ref = shv_ref_of(shv_array_new(v->s->a, SHV_UINT64, items, content, own_locks[dice % OWN_LOCKS]));
	NEED(c->ref, "create");
	say(v, c, THERE);
}

/* The two words change together, under the lock. */
static void victim_sets(struct victim *v, struct cell *c, uint64_t next)
{
	uint64_t *p = shv_deref(v->s->a, c->ref);

	NEED(p, "deref");
	c->next = next;
	say(v, c, SETTING);
	NEED(shv_acquire((shv_value *)p) == 0, "acquire");
	p[1] = next;
	NEED(shv_release((shv_value *)p) == 0, "release");
	c->now = next;
	say(v, c, c->named ? NAMED : THERE);
}

static void victim_names(struct victim *v, struct cell *c)
{
	char name[32];
	int r;

	name_of_cell(c, name);
	say(v, c, c->named ? UNNAMING : NAMING);
	r = c->named ? shv_unpublish(v->s->a, name) : shv_publish(shv_deref(v->s->a, c->ref), name);
	NEED(r == 0, "naming: %d", r);
	c->named = !c->named;
	say(v, c, c->named ? NAMED : THERE);
}

static int be_a_victim(void *arg)
{
	struct victim *v = arg;
	struct rng rng = { v->seed };

	gate_add(&v->s->ready, 1);
	for (;;) {
		struct cell *c = &v->cell[rng_below(&rng, CELLS)];
		uint64_t dice = rng_next(&rng);
		if (c->said == NOTHING) {
			victim_creates(v, c, dice);
		} else if (dice % 4 == 0) {
			victim_sets(v, c, dice);
		} else if (dice % 4 == 1) {
			victim_names(v, c);
		} else {
			say(v, c, FREEING);
			NEED(shv_value_free(shv_deref(v->s->a, c->ref)) == 0, "free");
			say(v, c, NOTHING);
		}
		if (dice % 977 == 0)
			NEED(shv_arena_trim(v->s->a) == 0, "trim");
	}
}

/* The cell after its operator died. Returns how many objects of the arena it stands for, and makes it say what is the case. */
static unsigned settle_cell(struct victim *v, struct cell *c)
{
	char name[32];
	uint64_t *p = c->ref ? shv_deref(v->s->a, c->ref) : NULL;
	void *named;
	int r;

	if (c->said == NOTHING)
		return 0;
	if (c->said == NAMING || c->said == UNNAMING) /* what was begun is brought to its end by recovery, perhaps not before */
		NEED(shv_arena_recover(v->s->a, NULL) >= 0, "recover");
	name_of_cell(c, name);
	named = shv_find(v->s->a, name);
	if (!p) {
		NEED(c->said == FREEING || (c->said == CREATING && !c->ref), "value %llx was lost while it said %u", (unsigned long long)c->id,
		     c->said);
		NEED(!named, "a freed value still has its name");
		c->said = NOTHING;
		return 0;
	}
	NEED(shv_len((shv_value *)p) >= 2 && p[0] == c->id, "value %llx holds %llx", (unsigned long long)c->id, (unsigned long long)p[0]);
	NEED(p[1] == c->now || (c->said == SETTING && p[1] == c->next), "value %llx: content %llx", (unsigned long long)c->id,
	     (unsigned long long)p[1]);
	NEED(!named || named == (void *)p, "the name leads elsewhere");
	NEED(c->said == NAMING || c->said == UNNAMING || c->said == FREEING || (named != NULL) == c->named, "value %llx: name %s",
	     (unsigned long long)c->id, named ? "there" : "not there");
	r = shv_try_acquire((shv_value *)p);
	NEED(r == 0 || (r == SHV_RECOVERED && (c->said == SETTING || c->said == FREEING)), "lock of value %llx: %d", (unsigned long long)c->id, r);
	NEED(shv_release((shv_value *)p) == 0, "release");
	c->now = p[1];
	c->named = named != NULL;
	c->said = c->named ? NAMED : THERE;
	return 1;
}

/* Objects in the arena whose creation was begun and not acknowledged: they say who they are. */
static unsigned adopt_unknown(struct victim *v, struct cell *c)
{
	struct shv_value_info info = { .size = sizeof(info) };
	uint64_t cursor = 0;

	if (c->said != CREATING || c->ref)
		return 0;
	while (shv_value_next(v->s->a, &cursor, &info) == 1) {
		uint64_t *p = shv_deref(v->s->a, info.ref);
		if (p && p[0] == c->id)
			c->ref = info.ref;
	}
	return c->ref != 0;
}

START_TEST(killed_in_the_middle_of_anything)
{
	const int rounds = 60, victims = 2;
	struct scene *s = new_scene("anything", 0);
	struct victim *v = shared_memory((size_t)victims * sizeof(*v));
	struct rng rng = { test_seed("killed_in_the_middle_of_anything") };
	unsigned seen[FREEING + 1] = { 0 };
	pid_t pids[2];

	for (int i = 0; i < victims; i++) {
		v[i].s = s;
		v[i].ids = (uint64_t)i << 32;
		v[i].seed = rng_next(&rng);
		pids[i] = start(be_a_victim, &v[i]);
	}
	for (int round = 0; round < rounds; round++) {
		unsigned objects = 0;
		/* All die, each at a moment of its own, the first while the others go on. */
		for (int i = 0; i < victims; i++)
			slay_at(pids[i], &v[i].steps, v[i].steps + (uint32_t)rng_below(&rng, 2000), rng_below(&rng, 2000));
		if (rng_next(&rng) % 2)
			ck_assert_int_ge(shv_arena_recover(s->a, NULL), 1); /* the last one may have recovered those before it */
		for (int i = 0; i < victims; i++)
			for (unsigned k = 0; k < CELLS; k++) {
				seen[v[i].cell[k].said]++;
				(void)adopt_unknown(&v[i], &v[i].cell[k]);
				objects += settle_cell(&v[i], &v[i].cell[k]);
			}
		ck_assert_int_ge(shv_arena_recover(s->a, NULL), 0);
		need_sound(s->look, "after the victims' death");
		ck_assert_uint_eq(stat_of(s->look).objects, objects);
		ck_assert_uint_eq(stat_of(s->look).going, 0);
		/* The next ones go on with what these left: all of it lies on orphaned pages now. */
		for (int i = 0; i < victims; i++) {
			v[i].seed = rng_next(&rng);
			pids[i] = start(be_a_victim, &v[i]);
		}
	}
	for (int i = 0; i < victims; i++)
		slay(pids[i]);
	fprintf(stderr, "# killed while creating %u, setting %u, naming %u, unnaming %u, freeing %u\n", seen[CREATING], seen[SETTING],
		seen[NAMING], seen[UNNAMING], seen[FREEING]);
	for (int i = 0; i < victims; i++)
		for (unsigned k = 0; k < CELLS; k++) {
			adopt_unknown(&v[i], &v[i].cell[k]);
			settle_cell(&v[i], &v[i].cell[k]);
		}
	shared_release(v, (size_t)victims * sizeof(*v));
	end_scene(s);
}
END_TEST

/* ---- stopped members are alive --------------------------------------------------------------------------- */

static int stop_while_holding(void *arg)
{
	struct scene *s = arg;

	NEED(shv_acquire(s->v) == 0, "acquire");
	raise(SIGSTOP);
	NEED(shv_add(s->v, 1, NULL) == (s->kind == SHV_LOCK_RECURSIVE ? 0 : -EDEADLK), "add while holding");
	*(int64_t *)shv_value_data(s->v) = 2;
	NEED(shv_release(s->v) == 0, "release");
	return 0;
}

START_TEST(stopped_holder_keeps_its_lock)
{
	struct scene *s = new_scene("stopped", 0);
	struct timespec longer_than_a_poll = { 0, 200000000 };
	struct shv_holder who = { .size = sizeof(who) };
	pid_t pid;

	s->v = SHV_VALUE(s->a, int64_t, 0, own_locks[_i]);
	s->kind = (int)own_locks[_i].kind;
	pid = start(stop_while_holding, s);
	await_stop(pid);
	ck_assert_int_eq(shv_try_acquire(s->v), -EBUSY);
	ck_assert_int_eq(shv_acquire_for(s->v, &longer_than_a_poll), -ETIMEDOUT);
	ck_assert_int_eq(shv_arena_recover(s->a, NULL), 0);
	ck_assert_int_eq(shv_value_holder(s->v, &who), 1);
	ck_assert_int_eq(who.pid, pid);
	ck_assert(who.alive);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	ck_assert_int_eq(shv_acquire(s->v), 0); /* not recovered: it was released */
	ck_assert_int_eq(*(int64_t *)shv_value_data(s->v), 2);
	ck_assert_int_eq(shv_release(s->v), 0);
	ck_assert_int_eq(finish(pid), 0);
	end_scene(s);
}
END_TEST

/* Operations to be stopped inside of. */
static const char *const operations[] = { "create", "free", "free foreign", "set", "publish", "trim", "create large", "recover" };
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static void operate(struct scene *s, int what, shv_value *mine)
{
	switch (what) {
	case 0:
		NEED(SHV_VALUE(s->a, int, 1), "create");
		break;
	case 1:
		NEED(shv_value_free(mine) == 0, "free");
		break;
	case 2:
		NEED(shv_value_free(s->v) == 0, "free foreign");
		break;
	case 3:
		NEED(SHV_STORE(s->v, int64_t, 5) == 0, "set");
		break;
	case 4:
		NEED(shv_publish(mine, "mine") == 0, "publish");
		break;
	case 5:
		NEED(shv_arena_trim(s->a) == 0, "trim");
		break;
	case 6:
		NEED(shv_raw_array_new(s->a, SHV_UINT64, 50000, NULL), "create large");
		break;
	default:
		NEED(shv_arena_recover(s->a, NULL) >= 0, "recover");
	}
}

/* Between the two stops lies one operation. */
static int operate_traced(void *arg)
{
	struct scene *s = arg;
	void *p[200];
	shv_value *mine;

	NEED(!ptrace(PTRACE_TRACEME, 0, NULL, NULL), "ptrace(TRACEME)");
	for (int i = 0; i < 200; i++)
		p[i] = shv_raw_array_new(s->a, SHV_UINT64, (size_t)(i * 7), NULL);
	for (int i = 0; i < 200; i++)
		NEED(p[i] && shv_raw_free(p[i]) == 0, "free");
	mine = SHV_VALUE(s->a, int, 1);
	NEED(mine, "create");
	raise(SIGSTOP);
	operate(s, s->kind, mine);
	raise(SIGUSR1); /* the tracer sees this and ends the stepping */
	return 0;
}

/* How the traced process goes on: to its next system call or the end of one, or by one instruction. False: the operation is over. */
static bool go_on(pid_t pid, enum __ptrace_request how)
{
	int status;

	NEED(!ptrace(how, pid, NULL, NULL), "ptrace");
	NEED(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "the traced process ended");
	return WSTOPSIG(status) == SIGTRAP;
}

static unsigned go_on_for(pid_t pid, enum __ptrace_request how, uint64_t times)
{
	unsigned n = 0;

	while (n < times && go_on(pid, how))
		n++;
	return n;
}

/*
 * What a survivor may do while somebody is stopped anywhere: as much as its caches and its reserve give. Who is stopped is alive, and
 * keeps what it has: if that is the table of names, then recovery, which looks at it, has to wait.
 */
static void work_beside(struct scene *s, bool stopped)
{
	bool may_have_names = !strcmp(operations[s->kind], "publish") || !strcmp(operations[s->kind], "recover");
	struct shv_stat st = stat_of(s->look);
	shv_value *v[1500];

	ck_assert_uint_eq(st.processes, stopped ? 2 : 1);
	ck_assert_uint_eq(st.processes_dead, 0);
	if (!stopped || !may_have_names)
		ck_assert_int_eq(shv_arena_recover(s->a, NULL), 0);
	for (int i = 0; i < 1500; i++) {
		v[i] = SHV_VALUE(s->a, int, i, own_locks[i % OWN_LOCKS]);
		ck_assert_ptr_nonnull(v[i]);
		ck_assert_int_eq(shv_add(v[i], 1, NULL), 0);
	}
	for (int i = 0; i < 1500; i++)
		ck_assert_int_eq(shv_value_free(v[i]), 0);
}

START_TEST(member_stopped_inside_an_operation_is_alive)
{
	struct scene *s = new_scene("stopped-inside", 0);
	struct rng rng = { test_seed(operations[_i]) };
	unsigned stops = 0, instructions = 0;
	int status;

	s->kind = _i;
	for (int round = 0; round < 12; round++) {
		pid_t pid;
		s->v = SHV_VALUE(s->a, int64_t, 0, SHV_PLAIN);
		work_beside(s, false); /* fills caches and reserve */
		pid = start(operate_traced, s);
		await_stop(pid);
		if (!round) {
			/* How many system calls there are; two stops for each, and one is that of raise(). */
			stops = go_on_for(pid, PTRACE_SYSCALL, 10000);
		} else {
			/* Through some of them, then on by some instructions, and there it stays. */
			go_on_for(pid, PTRACE_SYSCALL, rng_below(&rng, stops));
			instructions += go_on_for(pid, PTRACE_SINGLESTEP, rng_below(&rng, 400));
			work_beside(s, true);
		}
		ck_assert_int_eq(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
		status = finish(pid);
		/* Stopped short of SIGUSR1 it meets that untraced, and dies of it after the operation. */
		ck_assert_msg(status == 0 || status == -SIGUSR1, "after %u stops: %d", stops, status);
		ck_assert_int_eq(shv_arena_recover(s->a, NULL), 1);
		need_sound(s->look, "after it went on");
		free_everything(s->a);
	}
	fprintf(stderr, "# %s: up to %u stops at system calls, %u single steps\n", operations[_i], stops, instructions);
	end_scene(s);
}
END_TEST

/* ---- too late for a lock -------------------------------------------------------------------------------------- */

/* What the memory of a freed value is used for next. */
enum successor { SUCC_ARRAY, SUCC_VALUE, SUCC_RAW, SUCC_ZEROES, SUCCESSORS };
#define NEXT_MANY 600

struct late {
	struct scene *s;
	shv_ref ref;
	int result;
};

/* As raise(), in few instructions: they are gone through one by one. */
static void stop_with(int signal)
{
	syscall(SYS_tgkill, getpid(), gettid(), signal);
}

/* Again and again: stop, come for the lock, tell. */
static int come_for_a_lock(void *arg)
{
	struct late *l = arg;

	NEED(!ptrace(PTRACE_TRACEME, 0, NULL, NULL), "ptrace(TRACEME)");
	for (;;) {
		shv_value *v;
		stop_with(SIGSTOP);
		if (!l->ref)
			return 0;
		l->result = shv_ref_acquire(l->s->a, l->ref, &v);
		if (l->result >= 0)
			NEED(shv_release(v) == 0, "release");
		stop_with(SIGUSR1);
	}
}

static void cont_until_stop(pid_t pid, int signal)
{
	int status;

	do {
		NEED(!ptrace(PTRACE_CONT, pid, NULL, NULL), "PTRACE_CONT");
		NEED(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "the traced process ended");
	} while (WSTOPSIG(status) != signal);
}

/* Objects whose first words look like a lock that is free, or held by some thread. */
static unsigned use_again(struct scene *s, enum successor what, void **p)
{
	const uint64_t words[3] = { 0 };
	unsigned n = what == SUCC_ARRAY || what == SUCC_VALUE ? 1 : NEXT_MANY;

	if (n > 1)
		NEED(shv_arena_trim(s->a) == 0, "trim"); /* out of the magazine, so that others can have it */
	for (unsigned i = 0; i < n; i++) {
		switch (what) {
		case SUCC_ARRAY:
			p[i] = shv_array_new(s->a, SHV_UINT64, 1, words, SHV_PLAIN);
			break;
		case SUCC_VALUE:
			p[i] = shv_value_new(s->a, SHV_UINT64, words, SHV_HANDOFF);
			break;
		case SUCC_RAW:
			p[i] = shv_raw_array_new(s->a, SHV_UINT64, 1, words);
			break;
		default:
			p[i] = shv_raw_new(s->a, shv_type_parse("3Q"), words);
		}
		NEED(p[i], "a successor");
	}
	return n;
}

static void need_untouched(void *p, enum successor what)
{
	size_t words = what == SUCC_ZEROES ? 3 : 1;

	for (size_t i = 0; i < words; i++)
		NEED(((uint64_t *)p)[i] == 0, "word %zu became %llx", i, (unsigned long long)((uint64_t *)p)[i]);
	NEED(shv_len(p) == (what == SUCC_ZEROES ? shv_len(p) : 1), "it has %zu items now", shv_len(p));
	if (what == SUCC_ARRAY || what == SUCC_VALUE) {
		NEED(shv_try_acquire(p) == 0, "its lock is not free");
		NEED(shv_release(p) == 0, "release");
		NEED(shv_value_free(p) == 0, "free");
	} else {
		NEED(shv_raw_free(p) == 0, "free");
	}
}

/*
 * The value goes when the other has gone on by `at` instructions; held: while this thread holds its lock. True: it could be
 * freed then; false: the other had the lock.
 */
static bool free_it_at(struct late *l, pid_t pid, uint64_t at, bool held, enum successor what)
{
	void *next[NEXT_MANY];
	shv_value *v;
	bool over, freed;
	unsigned n;

	/* So that the value is made where those that come after it will be, too. */
	NEED(shv_arena_trim(l->s->a) == 0, "trim");
	v = SHV_VALUE(l->s->a, uint64_t, 0);
	l->ref = shv_ref_of(v);
	NEED(!held || shv_acquire(v) == 0, "acquire");
	over = go_on_for(pid, PTRACE_SINGLESTEP, at) < at;
	freed = shv_value_free(v) == 0;
	n = freed ? use_again(l->s, what, next) : 0;
	if (!over)
		cont_until_stop(pid, SIGUSR1);
	for (unsigned i = 0; i < n; i++)
		need_untouched(next[i], what);
	if (!freed) {
		NEED(l->result == 0, "the lock could be taken: %d", l->result);
		NEED(shv_value_free(v) == 0, "free");
	}
	NEED(!held || l->result == -ESTALE || l->result == -EINVAL, "the value was freed under its holder: %d", l->result);
	cont_until_stop(pid, SIGSTOP);
	return freed;
}

START_TEST(thread_that_comes_for_the_lock_of_a_freed_value_writes_nothing)
{
	struct scene *s = new_scene("late", 0);
	struct late *l = shared_memory(sizeof(*l));
	struct rng rng = { test_seed("thread_that_comes_for_the_lock_of_a_freed_value_writes_nothing") };
	enum successor what = (enum successor)(_i >> 1);
	uint64_t low = 0, high = 0;
	void *stay[200];
	pid_t pid;

	/* Neighbours that stay, so that the heap keeps the memory between them for its next use. */
	for (int i = 0; i < 200; i++)
		stay[i] = SHV_VALUE(s->a, uint64_t, 0);
	for (int i = 0; i < 200; i += 3)
		ck_assert_int_eq(shv_value_free(stay[i]), 0);
	l->s = s;
	pid = start(come_for_a_lock, l);
	await_stop(pid);
	if (_i & 1) {
		/* It finds the lock held, and spins or sleeps. */
		for (int round = 0; round < 25; round++)
			free_it_at(l, pid, rng_below(&rng, 5000), true, what);
	} else {
		/* The instruction with which it takes the lock; then each of the last hundred before that. */
		while (free_it_at(l, pid, high, false, what))
			high += 15;
		while (high - low > 1) {
			uint64_t middle = (low + high) / 2;
			if (free_it_at(l, pid, middle, false, what))
				low = middle;
			else
				high = middle;
		}
		for (uint64_t at = high > 100 ? high - 100 : 0; at < high; at++)
			free_it_at(l, pid, at, false, what);
		fprintf(stderr, "# the lock is taken by instruction %llu\n", (unsigned long long)high);
	}
	l->ref = 0;
	ck_assert_int_eq(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
	ck_assert_int_eq(finish(pid), 0);
	shared_release(l, sizeof(*l));
	end_scene(s);
}
END_TEST

/* ---- a member that closes all descriptors -------------------------------------------------------------------- */

/* Errors that the library documents for want of a descriptor, memory or room. */
static bool acceptable(int error)
{
	return error == EBADF || error == ENOMEM || error == ENOSPC;
}

#define FAR_BYTES ((size_t)48 << 20)

/* Goes on after closefrom(3); says in s->n how many operations were refused. */
static int close_everything(void *arg)
{
	struct scene *s = arg;
	int number = shv_arena_fd(s->a), decoy;
	uint64_t refused = 0;
	struct stat st;
	void *mine[400];

	for (int i = 0; i < 400; i++) {
		mine[i] = SHV_VALUE(s->a, int, i);
		NEED(mine[i], "create before");
	}
	NEED(number >= 3, "the arena's descriptor is %d", number);
	closefrom(3);
	/* Now its number is another file's, which must not be written to, locked or closed in its place. */
	decoy = memfd_create("decoy", MFD_CLOEXEC);
	NEED(decoy >= 0, "memfd_create");
	if (decoy != number) {
		NEED(dup3(decoy, number, O_CLOEXEC) == number, "dup3");
		close(decoy);
		decoy = number;
	}
	gate_add(&s->ready, 1);
	gate_wait(&s->go, 1);
	for (int i = 0; i < 400; i++) {
		NEED(shv_add(mine[i], 1, NULL) == 0, "add");
		NEED(shv_acquire(mine[i]) == 0 && shv_release(mine[i]) == 0, "lock");
		NEED(shv_value_free(mine[i]) == 0, "free");
	}
	NEED(shv_add(s->v, 1, NULL) == 0, "the common value");
	for (int i = 0; i < 400; i++) {
		/* 16 MiB in all, so that the pool has to grow. */
		mine[i] = shv_raw_array_new(s->a, SHV_UINT64, 5000, NULL);
		if (!mine[i]) {
			NEED(acceptable(errno), "create: %d", errno);
			refused++;
		}
	}
	for (int i = 0; i < 400; i++)
		NEED(!mine[i] || shv_raw_free(mine[i]) == 0, "free");
	NEED(!shv_publish(s->v, "common") && shv_find(s->a, "common") == (void *)s->v, "publish");
	int r = shv_arena_recover(s->a, NULL);
	NEED(r >= 0 || acceptable(-r), "recover: %d", r);
	r = shv_arena_trim(s->a);
	NEED(r >= 0 || acceptable(-r), "trim: %d", r);
	NEED(!fstat(decoy, &st) && st.st_size == 0, "the other file was written to");
	s->n = refused;
	gate_add(&s->ready, 1);
	gate_wait(&s->go, 2);
	/* What others have added to the file since is there for this one, too, and found without a descriptor. */
	for (int fd = 3; fd < 256; fd++)
		if (fd != decoy)
			close(fd);
	char *mine_too = shv_raw_array_new(s->a, SHV_CHAR, FAR_BYTES, NULL), *far = shv_deref(s->a, s->refs[0]);
	NEED(mine_too || acceptable(errno), "create: %d", errno);
	if (mine_too)
		memset(mine_too, 'x', FAR_BYTES);
	NEED(far && far[FAR_BYTES - 1] == 'f', "a value past what this member had seen of the file");
	need_sound(s->a, "after growth by two");
	NEED(shv_raw_free(far) == 0 && (!mine_too || shv_raw_free(mine_too) == 0), "free");
	NEED(shv_arena_detach(s->a) == 0, "detach");
	NEED(!fstat(decoy, &st), "the other file was closed");
	return 0;
}

static void closefrom_body(const char *name)
{
	struct scene *s = new_scene(name, 0);
	char *far;
	pid_t pid;

	s->v = SHV_VALUE(s->a, int64_t, 0);
	s->refs = shared_memory(4096);
	pid = start(close_everything, s);
	gate_wait(&s->ready, 1);
	NEED(shv_arena_recover(s->a, NULL) == 0, "it is alive and was declared dead");
	NEED(stat_of(s->look).processes == 2, "it is not counted");
	gate_add(&s->go, 1);
	gate_wait(&s->ready, 2);
	NEED(shv_arena_recover(s->a, NULL) == 0, "it is alive and was declared dead");
	fprintf(stderr, "# %s: %llu of 400 large creations were refused\n", name, (unsigned long long)s->n);
	far = shv_raw_array_new(s->a, SHV_CHAR, FAR_BYTES, NULL);
	NEED(far, "create");
	far[FAR_BYTES - 1] = 'f';
	s->refs[0] = shv_ref_of(far);
	gate_add(&s->go, 1);
	NEED(finish(pid) == 0, "the member without descriptors failed");
	NEED(SHV_LOAD(s->v, int64_t) == 1, "its work is not there");
	end_scene(s);
}

START_TEST(member_that_closes_its_descriptors_lives_on)
{
	closefrom_body("closefrom");
}
END_TEST

static int as_nobody(void *arg)
{
	(void)arg;
	NEED(!setresgid(65534, 65534, 65534) && !setresuid(65534, 65534, 65534), "becoming nobody");
	NEED(!prctl(PR_SET_DUMPABLE, 1), "prctl"); /* else /proc/self belongs to root */
	closefrom_body("closefrom-user");
	return 0;
}

START_TEST(member_without_privileges_that_closes_its_descriptors_lives_on)
{
	if (geteuid() != 0)
		return; /* then the test above was it */
	ck_assert_int_eq(finish(start(as_nobody, NULL)), 0);
}
END_TEST

/* ---- coming and going ------------------------------------------------------------------------------------------ */

#define COMERS 6
#define SLOTS 8

/* Attaches, works, detaches, again and again; leaves one value in the end. */
static int come_and_go(void *arg)
{
	struct scene *s = arg;
	int fd = dup(shv_arena_fd(s->a));
	shv_ref last = 0;

	NEED(shv_arena_detach(s->a) == 0, "detach of what was inherited");
	/* While some are to be killed, nobody ends by himself. */
	for (int round = 0; round < 150 || (s->kind && !gate_now(&s->go)); round++) {
		shv_arena *a = shv_arena_attach(fd, 0), *again = NULL;
		shv_value *v;
		NEED(a, "attach");
		if (round % 5 == 0) {
			again = shv_arena_attach(fd, 0);
			NEED(again, "attach once more");
		}
		v = last ? shv_deref(a, last) : NULL;
		NEED(!last || v, "the value of the last time is gone");
		NEED(!v || (SHV_LOAD(v, int) == round - 1 && shv_value_free(v) == 0), "the value of the last time");
		last = shv_ref_of(SHV_VALUE(again ? again : a, int, round));
		NEED(last, "create");
		NEED(!again || shv_arena_detach(again) == 0, "detach");
		NEED(shv_arena_detach(a) == 0, "detach");
		__atomic_fetch_add(&s->ready.word, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

START_TEST(storm_of_attach_and_detach)
{
	struct scene *s = new_scene("storm", SLOTS);
	struct shv_process_info info = { .size = sizeof(info) };
	struct rng rng = { test_seed("storm_of_attach_and_detach") };
	uint64_t cursor = 0;
	pid_t pids[COMERS];
	int killed = 0;

	s->kind = _i;
	for (int i = 0; i < COMERS; i++)
		pids[i] = start(come_and_go, s);
	if (_i) {
		/* Some die in it, and others take their places. */
		for (; killed < 20; killed++) {
			int i = (int)rng_below(&rng, COMERS);
			uint32_t at = gate_now(&s->ready) + (uint32_t)rng_below(&rng, 20);
			while (gate_now(&s->ready) < at)
				sched_yield();
			slay(pids[i]);
			pids[i] = start(come_and_go, s);
		}
		gate_add(&s->go, 1);
	}
	for (int i = 0; i < COMERS; i++)
		ck_assert_int_eq(finish(pids[i]), 0);
	ck_assert_int_ge(shv_arena_recover(s->a, NULL), 0);
	need_sound(s->look, "after the storm");
	ck_assert_uint_ge(stat_of(s->look).objects, COMERS);
	ck_assert_uint_le(stat_of(s->look).objects, COMERS + 2 * (unsigned)killed);
	ck_assert_uint_eq(stat_of(s->look).processes, 1);
	while (shv_process_next(s->look, &cursor, &info) == 1)
		ck_assert_uint_lt(info.slot, SLOTS);
	end_scene(s);
}
END_TEST

static int be_there(void *arg)
{
	struct scene *s = arg;

	if (!SHV_VALUE(s->a, int, 1)) {
		int error = errno;
		gate_add(&s->ready, 1);
		return error;
	}
	return wait_for_death(s);
}

static int attach_once(void *arg)
{
	struct scene *s = arg;
	shv_arena *a;
	int error = 0;

	gate_wait(&s->go, 1);
	a = shv_arena_attach(shv_arena_fd(s->a), 0);
	if (a)
		NEED(SHV_VALUE(a, int, 2), "create");
	else
		error = errno;
	gate_add(&s->ready, 1);
	gate_wait(&s->go, 2); /* so that all are there at the same time */
	return error;
}

START_TEST(full_table_is_cleared_of_the_dead)
{
	enum { ROOM = 6 };
	struct scene *s = new_scene("full", ROOM);
	pid_t pids[ROOM];

	for (int i = 1; i < ROOM; i++)
		pids[i] = start(be_there, s);
	gate_wait(&s->ready, ROOM - 1);
	/* Full of the living: refused, as often as it is tried, and nothing breaks. */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(finish(start(be_there, s)), EUSERS);
	s->go.word = 2;
	ck_assert_int_eq(finish(start(attach_once, s)), EUSERS);
	s->go.word = 0;
	ck_assert_uint_eq(gate_now(&s->ready), ROOM - 1 + 4);
	need_sound(s->look, "with a full table");

	/* One dies: there is room for one, without anybody calling for recovery. */
	slay(pids[1]);
	s->ready.word = 0;
	pids[1] = start(be_there, s);
	gate_wait(&s->ready, 1);
	ck_assert_int_eq(finish(start(be_there, s)), EUSERS);

	/* All die: as many come at once, and there is room for all of them. */
	for (int round = 0; round < 20; round++) {
		for (int i = 1; i < ROOM; i++)
			slay(pids[i]);
		s->ready.word = s->go.word = 0;
		for (int i = 1; i < ROOM; i++)
			pids[i] = start(attach_once, s);
		gate_add(&s->go, 1);
		gate_wait(&s->ready, ROOM - 1);
		if (round % 2)
			continue; /* these are killed */
		gate_add(&s->go, 1);
		for (int i = 1; i < ROOM; i++)
			ck_assert_int_eq(finish(pids[i]), 0);
		s->ready.word = s->go.word = 0;
		for (int i = 1; i < ROOM; i++)
			pids[i] = start(be_there, s);
		gate_wait(&s->ready, ROOM - 1);
	}
	for (int i = 1; i < ROOM; i++)
		slay(pids[i]);
	end_scene(s);
}
END_TEST

/* ---- a newcomer dies while it makes room for itself -------------------------------------------------------------- */

static int attach_traced(void *arg)
{
	struct scene *s = arg;
	shv_arena *a;

	NEED(!ptrace(PTRACE_TRACEME, 0, NULL, NULL), "ptrace(TRACEME)");
	raise(SIGSTOP);
	a = shv_arena_attach((int)s->n, 0);
	NEED(a, "attach");
	raise(SIGUSR1);
	return 0;
}

static int attach_and_stay(void *arg)
{
	struct scene *s = arg;
	shv_arena *a = shv_arena_attach((int)s->n, 0);

	NEED(a, "attach");
	NEED(SHV_VALUE(a, int, 1), "create");
	return wait_for_death(s);
}

START_TEST(newcomer_killed_at_any_system_call_while_the_table_is_full_of_the_dead)
{
	enum { ROOM = 2 };
	struct scene *s = shared_memory(sizeof(*s));
	unsigned stops = UINT32_MAX, k;
	shv_arena *a = new_arena("newcomers", ROOM);

	/* This process holds the memfd, but is no member: nobody is there to help. */
	s->n = (uint64_t)dup(shv_arena_fd(a));
	ck_assert_int_eq(shv_arena_detach(a), 0);
	for (k = 0; k < stops; k++) {
		pid_t pid, dead[ROOM];
		unsigned n;
		s->ready.word = 0;
		for (int i = 0; i < ROOM; i++)
			dead[i] = start(attach_and_stay, s);
		gate_wait(&s->ready, ROOM);
		for (int i = 0; i < ROOM; i++)
			slay(dead[i]);
		pid = start(attach_traced, s);
		await_stop(pid);
		n = go_on_for(pid, PTRACE_SYSCALL, k);
		if (n < k)
			stops = n; /* it came to its end: that was the last round */
		slay(pid);
		a = shv_arena_attach((int)s->n, 0);
		ck_assert_msg(a != NULL, "after a newcomer died at stop %u: %s", k, shv_errmsg());
		ck_assert_int_ge(shv_arena_recover(a, NULL), 0);
		need_sound(a, "after the newcomer's death");
		ck_assert_uint_eq(stat_of(a).processes, 1);
		ck_assert_uint_eq(stat_of(a).processes_dead, 0);
		free_everything(a);
		ck_assert_int_eq(shv_arena_detach(a), 0);
	}
	fprintf(stderr, "# %u stops\n", k);
	close((int)s->n);
	shared_release(s, sizeof(*s));
}
END_TEST

/* ---- more threads than the table has room for ------------------------------------------------------------------------ */

#define THREADS 1100 /* an arena for few processes has room for 1,024 */

struct throng {
	shv_arena *a;
	shv_value *v;
	struct meeting all;
	int refused;
};

static void *be_one_of_many(void *arg)
{
	struct throng *t = arg;
	int64_t now = 0;
	int r = shv_add(t->v, 1, &now);

	NEED(r == 0 || r == -EUSERS, "add: %d", r);
	__atomic_fetch_add(&t->refused, r != 0, __ATOMIC_RELAXED);
	meet(&t->all);
	/* Nobody has left: who was let in goes on working, who was not is refused again. */
	NEED(shv_add(t->v, 1, &now) == r, "the second add: not %d", r);
	if (!r) {
		void *p = shv_raw_array_new(t->a, SHV_UINT64, 10, NULL);
		NEED(p && shv_raw_free(p) == 0, "create and free");
	}
	meet(&t->all);
	return NULL;
}

START_TEST(full_thread_table_refuses_threads_and_harms_nobody)
{
	struct throng t = { .a = new_arena("throng", 2), .all.parties = THREADS + 1 };
	static pthread_t threads[THREADS];
	struct shv_process_info info = { .size = sizeof(info) };
	uint64_t cursor = 0, slot;
	pthread_attr_t attr;
	int64_t n = 0;

	t.v = SHV_VALUE(t.a, int64_t, 0);
	ck_assert_int_eq(shv_process_next(t.a, &cursor, &info), 1);
	slot = info.slot;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], &attr, be_one_of_many, &t), 0);
	meet(&t.all);
	ck_assert_int_eq(t.refused, THREADS + 1 - 1024); /* this thread is in it, too */
	ck_assert_int_eq(shv_add(t.v, 0, &n), 0);
	meet(&t.all);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(shv_get(t.v, &n, sizeof(n)), 0);
	ck_assert_int_eq(n, 2 * (THREADS - t.refused));
	need_sound(t.a, "after the threads");
	/* The process is the member that it was. */
	cursor = 0;
	ck_assert_int_eq(shv_process_next(t.a, &cursor, &info), 1);
	ck_assert_uint_eq(info.slot, slot);
	ck_assert_uint_eq(info.threads, 1);
	ck_assert_int_eq(shv_process_next(t.a, &cursor, &info), 0);
	ck_assert_int_eq(shv_value_free(t.v), 0);
	ck_assert_int_eq(shv_arena_detach(t.a), 0);
}
END_TEST

/* ---- a gigabyte ---------------------------------------------------------------------------------------------------- */

#define GIGA ((size_t)1 << 30)
#define GIGA_ITEMS (GIGA / sizeof(uint64_t))

static int make_giga(void *arg)
{
	struct scene *s = arg;
	uint64_t *p = shv_raw_array_new(s->a, SHV_UINT64, GIGA_ITEMS, NULL);

	NEED(p, "a gigabyte");
	for (size_t i = 0; i < GIGA_ITEMS; i += GIGA_ITEMS / 64)
		p[i] = i + 1;
	p[GIGA_ITEMS - 1] = GIGA_ITEMS;
	s->refs[0] = shv_ref_of(p);
	return wait_for_death(s);
}

static int free_giga(void *arg)
{
	struct scene *s = arg;
	uint64_t *p = shv_deref(s->a, s->refs[0]);

	NEED(p, "the gigabyte is gone");
	gate_add(&s->ready, 1);
	NEED(shv_raw_free(p) == 0, "free");
	gate_add(&s->ready, 1);
	return wait_for_death(s);
}

START_TEST(orphaned_gigabyte_is_freed_by_a_survivor)
{
	struct scene *s = new_scene("gigabyte", 0);
	struct rng rng = { test_seed("orphaned_gigabyte_is_freed_by_a_survivor") };
	const int rounds = _i ? 12 : 1; /* freed by us; or by others who are killed at it */
	struct shv_stat st;
	unsigned interrupted = 0;

	s->refs = shared_memory(4096);
	for (int round = 0; round < rounds; round++) {
		struct shv_recovery found = { .size = sizeof(found) };
		uint64_t *p;
		pid_t pid;
		s->ready.word = 0;
		pid = start(make_giga, s);
		gate_wait(&s->ready, 1);
		slay(pid);
		ck_assert_int_eq(shv_arena_recover(s->a, &found), 1);
		ck_assert_uint_ge(found.pages_orphaned, GIGA / 4096);
		if (_i) {
			s->ready.word = 0;
			pid = start(free_giga, s);
			slay_at(pid, &s->ready.word, 1, rng_below(&rng, 50000));
			interrupted += gate_now(&s->ready) == 1;
			ck_assert_int_ge(shv_arena_recover(s->a, NULL), 0);
			need_sound(s->look, "after the freer's death");
		}
		p = shv_deref(s->a, s->refs[0]);
		if (p) {
			for (size_t i = 0; i < GIGA_ITEMS; i += GIGA_ITEMS / 64)
				ck_assert_uint_eq(p[i], i + 1);
			ck_assert_uint_eq(p[GIGA_ITEMS - 1], GIGA_ITEMS);
			ck_assert_int_eq(shv_raw_free(p), 0);
		}
		ck_assert_int_eq(shv_arena_recover(s->a, NULL), 0);
		ck_assert_int_eq(shv_arena_trim(s->a), 0);
		st = stat_of(s->look);
		ck_assert_uint_eq(st.objects, 0);
		ck_assert_uint_eq(st.pages_orphaned, 0);
		ck_assert_uint_le(pages_used(&st), pages_used(&s->before));
	}
	if (_i)
		fprintf(stderr, "# %u of %d were killed before they had done it\n", interrupted, rounds);
	shared_release(s->refs, 4096);
	end_scene(s);
}
END_TEST

/* ---- all of them ---------------------------------------------------------------------------------------------------- */

int main(void)
{
	Suite *suite = suite_create("death");
	TCase *holders = tcase_create("holders"), *values = tcase_create("values"), *stopped = tcase_create("stopped"),
	      *descriptors = tcase_create("descriptors"), *slots = tcase_create("slots"), *giga = tcase_create("gigabyte");

	tcase_add_loop_test(holders, lock_of_a_killed_holder_goes_to_those_who_wait, 0, OWN_LOCKS + 1);
	tcase_add_loop_test(holders, lock_of_a_killed_holder_goes_to_who_comes_later, 0, 2 * OWN_LOCKS);
	tcase_add_loop_test(holders, ten_thousand_locks_of_one_killed_process, 0, 2);
	tcase_add_loop_test(holders, thread_that_ends_with_a_lock_held, 0, 2 * OWN_LOCKS);
	suite_add_tcase(suite, holders);

	tcase_add_loop_test(values, values_of_a_killed_creator_stay_until_they_are_freed, 0, 2);
	tcase_add_loop_test(values, freer_is_killed, 0, 2);
	tcase_add_test(values, killed_in_the_middle_of_anything);
	tcase_set_timeout(values, 120);
	suite_add_tcase(suite, values);

	tcase_add_loop_test(stopped, stopped_holder_keeps_its_lock, 0, OWN_LOCKS);
	tcase_add_loop_test(stopped, member_stopped_inside_an_operation_is_alive, 0, (int)OPERATIONS);
	tcase_add_loop_test(stopped, thread_that_comes_for_the_lock_of_a_freed_value_writes_nothing, 0, 2 * SUCCESSORS);
	tcase_set_timeout(stopped, 120);
	suite_add_tcase(suite, stopped);

	tcase_add_test(descriptors, member_that_closes_its_descriptors_lives_on);
	tcase_add_test(descriptors, member_without_privileges_that_closes_its_descriptors_lives_on);
	suite_add_tcase(suite, descriptors);

	tcase_add_loop_test(slots, storm_of_attach_and_detach, 0, 2);
	tcase_add_test(slots, full_table_is_cleared_of_the_dead);
	tcase_add_test(slots, newcomer_killed_at_any_system_call_while_the_table_is_full_of_the_dead);
	tcase_add_test(slots, full_thread_table_refuses_threads_and_harms_nobody);
	tcase_set_timeout(slots, 120);
	suite_add_tcase(suite, slots);

	tcase_add_loop_test(giga, orphaned_gigabyte_is_freed_by_a_survivor, 0, 2);
	tcase_set_timeout(giga, 120);
	suite_add_tcase(suite, giga);
	return run_suite(suite);
}
