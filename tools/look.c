/* SPDX-License-Identifier: MIT */
/* What several commands count; see look.h. */
#include "config.h"

#include "tools/look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 3

double look_percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

const char *look_state_name(enum shv_page_state state)
{
	static const char *const names[] = { "free", "owned", "orphaned", "directory", "system" };

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

unsigned look_power(uint64_t n)
{
	unsigned power = n ? 63u - (unsigned)__builtin_clzll(n) : 0;

	return power < LOOK_SIZES ? power : LOOK_SIZES - 1;
}

int look_grow(void *array, size_t n, size_t *room, size_t size)
{
	void **p = array, *more;

	if (n < *room)
		return 0;
	more = reallocarray(*p, *room ? *room * 2 : 64, size);
	if (!more)
		return -ENOMEM;
	*p = more;
	*room = *room ? *room * 2 : 64;
	return 0;
}

/* ---- does it hold still? --------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t x)
{
	return (h ^ x) * UINT64_C(0x9e3779b97f4a7c15) + (h >> 29);
}

uint64_t look_generation(shv_arena *a)
{
	struct shv_process_info p = { .size = sizeof(p) };
	uint64_t cursor = 0, h = 1;

	while (shv_process_next(a, &cursor, &p) == 1) {
		h = mix(h, (uint64_t)p.slot << 32 | p.generation);
		h = mix(h, p.created);
		h = mix(h, p.freed);
		h = mix(h, p.pages << 1 | p.alive);
	}
	return h;
}

/* ---- processes ------------------------------------------------------------------------------------------- */

static int read_processes(struct look *l)
{
	struct shv_process_info p = { .size = sizeof(p) };
	uint64_t cursor = 0;
	size_t room = 0;
	int r;

	while ((r = shv_process_next(l->a, &cursor, &p)) == 1) {
		r = look_grow(&l->processes, l->processes_n, &room, sizeof(*l->processes));
		if (r)
			return r;
		l->processes[l->processes_n++] = (struct look_process){ .p = p };
	}
	return r;
}

const struct look_process *look_process(const struct look *l, uint32_t slot)
{
	for (size_t i = 0; i < l->processes_n; i++)
		if (l->processes[i].p.slot == slot)
			return &l->processes[i];
	return NULL;
}

/* ---- pages ----------------------------------------------------------------------------------------------- */

/* Orphaned runs differ in how many blocks each page has; a free run is free as a whole. */
static int read_runs(struct look *l)
{
	struct shv_run_info run = { .size = sizeof(run) };
	uint64_t cursor = 0;
	int r;

	while ((r = shv_run_next(l->a, &cursor, &run)) == 1) {
		r = look_grow(&l->runs, l->runs_n, &l->runs_room, sizeof(*l->runs));
		if (r)
			return r;
		l->runs[l->runs_n++] = run;
		if (run.state == SHV_PAGE_ORPHAN)
			l->orphan_blocks += run.live * run.pages;
		if (run.state != SHV_PAGE_FREE)
			continue;
		l->free_runs++;
		l->runs_by_size[look_power(run.pages)]++;
		if (run.pages > l->longest_free)
			l->longest_free = run.pages;
	}
	return r;
}

/* ---- objects --------------------------------------------------------------------------------------------- */

static int read_types(struct look *l)
{
	struct shv_type_info t = { .size = sizeof(t) };
	uint64_t cursor = 0;
	size_t room = 0;
	int r;

	while ((r = shv_type_next(l->a, &cursor, &t)) == 1) {
		r = look_grow(&l->types, l->types_n, &room, sizeof(*l->types));
		if (r)
			return r;
		l->types[l->types_n++] = (struct look_type){ .t = t };
	}
	return r;
}

/* They came in the order of their ids. */
struct look_type *look_type(const struct look *l, uint32_t id)
{
	size_t low = 0, high = l->types_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->types[middle].t.id == id)
			return &l->types[middle];
		if (l->types[middle].t.id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static uint32_t *leak_head(struct look *l, const struct shv_value_info *v)
{
	uint64_t h = mix(mix(v->type, v->block_bytes), (uint64_t)v->kind);

	if (!l->leak_heads)
		l->leak_heads = calloc(LOOK_LEAK_HEADS, sizeof(*l->leak_heads));
	return l->leak_heads ? &l->leak_heads[h >> 40 & (LOOK_LEAK_HEADS - 1)] : NULL;
}

static int count_leak(struct look *l, const struct shv_value_info *v)
{
	uint32_t *head = leak_head(l, v);
	int r;

	if (!head)
		return -ENOMEM;
	l->leaked++;
	l->leaked_bytes += v->block_bytes;
	for (uint32_t i = *head; i; i = l->leaks[i - 1].next) {
		struct look_leak *k = &l->leaks[i - 1];

		if (k->type == v->type && k->kind == v->kind && k->block == v->block_bytes) {
			k->objects++;
			k->named += v->named;
			k->abandoned += v->abandoned;
			return 0;
		}
	}
	r = look_grow(&l->leaks, l->leaks_n, &l->leaks_room, sizeof(*l->leaks));
	if (r)
		return r;
	l->leaks[l->leaks_n] = (struct look_leak){ .type = v->type,
						   .kind = v->kind,
						   .block = v->block_bytes,
						   .objects = 1,
						   .named = v->named,
						   .abandoned = v->abandoned,
						   .example = v->ref,
						   .next = *head };
	*head = (uint32_t)++l->leaks_n;
	return 0;
}

static void count_owner(struct look *l, const struct shv_value_info *v)
{
	for (size_t i = 0; i < l->processes_n; i++) {
		struct look_process *p = &l->processes[i];

		if (p->p.slot == v->owner) {
			p->objects++;
			p->object_bytes += v->block_bytes;
		}
		if (p->p.slot == v->creator && v->creator_alive) {
			p->made++;
			p->made_bytes += v->block_bytes;
		}
	}
}

static int count_object(struct look *l, const struct shv_value_info *v)
{
	struct look_type *t = v->kind == SHV_KIND_LOCK ? NULL : look_type(l, v->type);

	if (t) {
		t->objects++;
		t->bytes += v->block_bytes;
		t->payload += v->bytes;
		t->leaked += !v->creator_alive;
		t->leaked_bytes += v->creator_alive ? 0 : v->block_bytes;
	}
	l->by_size[look_power(v->block_bytes)]++;
	count_owner(l, v);
	return v->creator_alive ? 0 : count_leak(l, v);
}

static int read_objects(struct look *l)
{
	struct shv_value_info v = { .size = sizeof(v) };
	struct progress progress;
	uint64_t cursor = 0;
	int r = read_types(l);

	if (r)
		return r;
	progress_begin(&progress, "objects", l->st.slots);
	while ((r = shv_value_next(l->a, &cursor, &v)) == 1) {
		r = count_object(l, &v);
		if (r)
			break;
		progress_step(&progress, cursor);
	}
	progress_end(&progress);
	return r;
}

static int read_locks(struct look *l)
{
	struct shv_lock_info k = { .size = sizeof(k) };
	struct progress progress;
	uint64_t cursor = 0;
	int r;

	progress_begin(&progress, "locks", l->st.slots);
	while ((r = shv_lock_next(l->a, &cursor, &k)) == 1) {
		l->locks++;
		l->held += k.held;
		l->waited += k.waiters;
		l->abandoned += k.abandoned;
		l->condemned += k.condemned;
		progress_step(&progress, cursor);
	}
	progress_end(&progress);
	return r;
}

/* ---- all of it ------------------------------------------------------------------------------------------- */

static int look_once(struct look *l, unsigned what)
{
	int r;

	l->st.size = sizeof(l->st);
	r = shv_stat(l->a, &l->st);
	if (!r)
		r = read_processes(l);
	if (!r && what & LOOK_RUNS)
		r = read_runs(l);
	if (!r && what & LOOK_OBJECTS)
		r = read_objects(l);
	if (!r && what & LOOK_LOCKS)
		r = read_locks(l);
	return r;
}

void look_free(struct look *l)
{
	free(l->processes);
	free(l->runs);
	free(l->types);
	free(l->leaks);
	free(l->leak_heads);
	*l = (struct look){ .a = l->a };
}

int look(struct look *l, shv_arena *a, unsigned what)
{
	uint64_t before = look_generation(a), after;
	int r = 0;

	*l = (struct look){ .a = a };
	for (int i = 0; i < TRIES; i++) {
		look_free(l);
		r = look_once(l, what);
		if (r)
			break;
		after = look_generation(a);
		l->approximate = after != before;
		if (!l->approximate || what & LOOK_HURRY)
			break;
		before = after;
	}
	if (r)
		look_free(l);
	return r;
}
