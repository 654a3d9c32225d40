/* SPDX-License-Identifier: MIT */
/*
 * Inspection of the arena as a whole: totals, processes, runs of pages, types; <shv/inspect.h>.
 *
 * The totals are counted from the directory's slots alone, without looking into the blocks: an object costs 16
 * bytes of reading in a row that way instead of a cache miss. Arrays are the exception, since only the block
 * knows their length.
 */
#include "config.h"

#include "values/view.h"

#include "values/type_private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT_LOOKS 4

/* ---- totals ---------------------------------------------------------------------------------------------- */

static void count_measured(const struct shv_view *v, const struct shv_slot_shm *slot, uint32_t index, struct shv_stat *st)
{
	struct view_object o;

	if (view_look(v, slot, index, &o) == 1)
		st->bytes_payload += o.bytes;
}

static void count_kind(const struct shv_view *v, const struct shv_slot_shm *slot, uint32_t index, uint64_t what,
		       struct shv_stat *st)
{
	uint64_t bytes = 0;

	switch (what_kind(what)) {
	case SHV_KIND_VALUE:
		st->values++;
		st->by_policy[view_lock_kind(what_policy(what))]++;
		break;
	case SHV_KIND_STRING:
		st->strings++;
		st->by_policy[view_lock_kind(what_policy(what))]++;
		count_measured(v, slot, index, st);
		return;
	case SHV_KIND_RAW:
		st->raws++;
		break;
	case SHV_KIND_ARRAY:
		st->arrays++;
		st->by_policy[view_lock_kind(what_policy(what))]++;
		count_measured(v, slot, index, st);
		return;
	case SHV_KIND_RAW_ARRAY:
		st->raws++;
		count_measured(v, slot, index, st);
		return;
	case SHV_KIND_LOCK:
		st->locks++;
		return;
	default:
		st->parts++;
		return;
	}
	if (view_type_bytes(v, what_type(what), &bytes))
		st->bytes_payload += bytes;
}

static void count_slot(const struct shv_view *v, const struct shv_slot_shm *slot, uint32_t index, struct shv_stat *st)
{
	uint64_t word = load_acquire(&slot->word), what; /* pairs: P-publish */

	for (int i = 0; view_listed(word) && i < SLOT_LOOKS; i++) {
		what = load_relaxed(&slot->what);
		if (view_same(slot, word)) {
			st->bytes_live += class_size(slot_class(word));
			count_kind(v, slot, index, what, st);
			return;
		}
		word = load_acquire(&slot->word);
	}
	if (slot_state(word) == SHV_SLOT_HELD)
		st->held++;
	else if (slot_state(word) == SHV_SLOT_GONE || slot_state(word) == SHV_SLOT_LOST)
		st->going++;
}

static void count_slots(const struct shv_view *v, struct shv_stat *st)
{
	for (uint32_t chunk = 0; chunk < v->chunks; chunk++) {
		const struct shv_slot_shm *slots = view_chunk(v, chunk);

		if (!slots)
			continue;
		st->slots += SHV_SLOTS_PER_CHUNK;
		for (uint32_t i = 0; i < SHV_SLOTS_PER_CHUNK; i++)
			count_slot(v, slots + i, chunk * SHV_SLOTS_PER_CHUNK + i, st);
	}
	st->objects = st->values + st->raws + st->arrays + st->strings + st->locks;
}

static enum shv_page_state public_state(uint64_t entry)
{
	switch (page_state(entry)) {
	case SHV_PG_FREE:
		return SHV_PAGE_FREE;
	case SHV_PG_OWNED:
		return SHV_PAGE_OWNED;
	case SHV_PG_ORPHAN:
	case SHV_PG_INTERIOR:
		return SHV_PAGE_ORPHAN;
	case SHV_PG_SLOTS:
		return SHV_PAGE_SLOTS;
	default:
		return SHV_PAGE_SYSTEM;
	}
}

static void count_pages(const struct shv_view *v, struct shv_stat *st)
{
	uint64_t n[SHV_PAGE_SYSTEM + 1] = { 0 };

	for (uint64_t p = 0; p < v->pages; p++)
		n[public_state(view_page(v, p))]++;
	st->pages = v->pages;
	st->pages_free = n[SHV_PAGE_FREE];
	st->pages_owned = n[SHV_PAGE_OWNED];
	st->pages_orphaned = n[SHV_PAGE_ORPHAN];
	st->pages_slots = n[SHV_PAGE_SLOTS];
	st->pages_system = n[SHV_PAGE_SYSTEM];
}

static void count_members(const struct shv_view *v, struct shv_stat *st)
{
	for (uint32_t i = 0; i < v->processes; i++) {
		uint64_t w = load_acquire(&process_at(v->base, v->g, i)->word);

		if (proc_state(w) == SHV_PROC_FREE)
			continue;
		if (view_process_lives(v, i, proc_gen(w)))
			st->processes++;
		else
			st->processes_dead++;
	}
	for (uint32_t i = 0; i < v->threads; i++)
		st->threads += thread_state(load_relaxed(&thread_at(v->base, v->g, i)->word)) != SHV_THREAD_FREE;
	st->max_processes = v->g->max_processes;
}

static int fill_file(const struct shv_view *v, struct shv_stat *st, const char *who)
{
	struct stat file;
	int fd = view_fd(v);

	if (fd < 0)
		return fd;
	if (fstat(fd, &file))
		return fail_call(who, "fstat of the arena's descriptor");
	st->file_size = (uint64_t)file.st_size;
	st->bytes_resident = (uint64_t)file.st_blocks * 512u;
	return 0;
}

SHV_API int shv_stat(shv_arena *a, struct shv_stat *out)
{
	const struct shv_super_shm *s;
	struct shv_stat st = { 0 };
	struct shv_view v;
	int r = view_open(&v, a, __func__, true);

	if (!r)
		r = fill_file(&v, &st, __func__);
	if (r)
		return r;
	s = super_of(v.base);
	view_copy_text(st.name, sizeof(st.name), a->name);
	memcpy(st.uuid, s->c.uuid, sizeof(st.uuid));
	st.format = s->c.format;
	st.page_size = (uint32_t)SHV_PAGE_SIZE;
	st.created = s->c.created;
	st.capacity = v.g->capacity;
	st.names = load_relaxed(&s->names_live);
	st.snapshot_taken = s->snapshot_taken;
	st.snapshot_torn = s->snapshot_torn;
	st.snapshot_left_out = s->snapshot_left_out;
	count_slots(&v, &st);
	count_pages(&v, &st);
	count_members(&v, &st);
	return VIEW_DELIVER(out, st, __func__);
}

/* ---- processes ------------------------------------------------------------------------------------------- */

static bool is_self(const struct shv_process_info *p)
{
	return p->alive && p->pid == getpid() && p->start_time == process_start_time(0);
}

static void add_threads(const struct shv_view *v, struct shv_process_info *out)
{
	for (uint32_t i = 0; i < v->threads; i++) {
		const struct shv_thread_shm *t = thread_at(v->base, v->g, i);
		uint64_t w = load_acquire(&t->word);

		if (thread_state(w) == SHV_THREAD_FREE || thread_proc(w) != out->slot ||
		    thread_gen(w) != out->generation)
			continue;
		out->threads++;
		out->locks_held += load_relaxed(&t->held) + load_relaxed(&t->handed);
		out->created += load_relaxed(&t->created);
		out->freed += load_relaxed(&t->freed);
	}
}

/* False: nobody has the slot, or it changed hands while it was read. */
static bool read_process(const struct shv_view *v, uint32_t slot, struct shv_process_info *out)
{
	const struct shv_process_shm *p = process_at(v->base, v->g, slot);
	uint64_t w = load_acquire(&p->word); /* pairs: P-process */

	if (proc_state(w) == SHV_PROC_FREE)
		return false;
	memset(out, 0, sizeof(*out));
	out->slot = slot;
	out->generation = proc_gen(w);
	out->pid = p->pid;
	out->start_time = p->start_time;
	out->pid_namespace = p->pid_namespace;
	memcpy(out->command, p->command, sizeof(out->command) - 1);
	out->attached = p->attached;
	out->created = load_relaxed(&p->created);
	out->freed = load_relaxed(&p->freed);
	fence_acquire();
	return proc_gen(load_relaxed(&p->word)) == proc_gen(w);
}

SHV_API int shv_process_next(shv_arena *a, uint64_t *cursor, struct shv_process_info *out)
{
	struct shv_process_info info;
	struct shv_view v;
	bool first;
	int r = view_open_walk(&v, a, cursor, out, __func__);

	if (r)
		return r;
	first = !*cursor;
	while (*cursor < v.processes) {
		if (!read_process(&v, (uint32_t)(*cursor)++, &info))
			continue;
		info.alive = view_process_probe(&v, info.slot, info.generation);
		info.self = is_self(&info);
		info.pages = view_pages_owned(&v, info.slot, first);
		info.bytes = info.pages << SHV_PAGE_SHIFT;
		add_threads(&v, &info);
		r = VIEW_DELIVER(out, info, __func__);
		return r ? r : 1;
	}
	return 0;
}

/* ---- pages ----------------------------------------------------------------------------------------------- */

static void describe_page(uint64_t entry, struct shv_run_info *out)
{
	out->state = public_state(entry);
	out->owner = out->state == SHV_PAGE_OWNED || out->state == SHV_PAGE_SLOTS ? page_proc(entry) : UINT32_MAX;
	out->live = out->state == SHV_PAGE_ORPHAN ? page_count(entry) : 0;
}

SHV_API int shv_run_next(shv_arena *a, uint64_t *cursor, struct shv_run_info *out)
{
	struct shv_run_info run = { 0 }, next = { 0 };
	struct shv_view v;
	int r = view_open_walk(&v, a, cursor, out, __func__);

	if (r || *cursor >= v.pages)
		return r;
	run.page = *cursor;
	describe_page(view_page(&v, *cursor), &run);
	do {
		run.pages++;
		if (++*cursor < v.pages)
			describe_page(view_page(&v, *cursor), &next);
	} while (*cursor < v.pages && next.state == run.state && next.owner == run.owner && next.live == run.live);
	r = VIEW_DELIVER(out, run, __func__);
	return r ? r : 1;
}

/* ---- types ----------------------------------------------------------------------------------------------- */

/* The cursor is the id to look at next. */
SHV_API int shv_type_next(shv_arena *a, uint64_t *cursor, struct shv_type_info *out)
{
	struct shv_type_info info = { 0 };
	struct shv_type_text t;
	struct shv_view v;
	uint64_t end;
	int r = view_open_walk(&v, a, cursor, out, __func__);

	if (r)
		return r;
	end = load_acquire(&super_of(v.base)->types); /* pairs: P-table */
	end = SHV_TYPE_FIRST + (end < SHV_MAX_TYPES - SHV_TYPE_FIRST ? end : SHV_MAX_TYPES - SHV_TYPE_FIRST);
	while (*cursor < end) {
		info.id = (uint32_t)(*cursor)++;
		if (type_text_of(v.base, v.g, info.id, &t))
			continue;
		info.bytes = t.size < UINT32_MAX ? (uint32_t)t.size : UINT32_MAX;
		info.align = t.align;
		view_copy_text(info.name, sizeof(info.name), t.name && *t.name ? t.name : t.format);
		view_copy_text(info.format, sizeof(info.format), t.format);
		r = VIEW_DELIVER(out, info, __func__);
		return r ? r : 1;
	}
	return 0;
}

SHV_API const shv_type *shv_type_of_id(shv_arena *a, uint32_t id)
{
	struct shv_type_text text;
	const shv_type *t;
	struct shv_view v;
	int r = view_open(&v, a, __func__, false);

	if (r)
		return null_with(r);
	r = type_text_of(v.base, v.g, id, &text);
	if (r == -ENOENT)
		return fail_null(r, "%s: the arena has no type %u: ask shv_type_next()", __func__, id);
	t = type_by_id(v.base, v.g, id);
	return t ? t : null_with(fail_by(-errno, __func__));
}
