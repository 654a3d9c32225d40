/* SPDX-License-Identifier: MIT */
/*
 * Inspection through the public header: everything is seen once and as it is, by members and by read-only visitors, and
 * nothing is believed that is not so.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* gettid */
#endif
#include "support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <shv/shv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static shv_arena *arena;

static void make_arena(void)
{
	const struct shv_arena_options opt = { .size = sizeof(opt), .name = "inspected", .capacity = (size_t)64 << 20 };

	arena = shv_arena_create(&opt);
	ck_assert_msg(arena, "%s", shv_errmsg());
}

static void drop_arena(void)
{
	ck_assert_int_eq(shv_arena_detach(arena), 0);
}

static shv_value *an_int(int i, shv_lockspec lock)
{
	shv_value *v = shv_value_new(arena, SHV_INT, &i, lock);

	ck_assert_msg(v, "%s", shv_errmsg());
	return v;
}

static struct shv_value_info about(shv_arena *a, const void *p)
{
	struct shv_value_info info = { .size = sizeof(info) };

	ck_assert_int_eq(shv_value_describe(a, shv_ref_of(p), &info), 0);
	return info;
}

/* ---- other threads and processes --------------------------------------------------------------------------- */

/* A thread that takes a value's lock and keeps it until told to go on. */
struct keeper {
	pthread_t thread;
	shv_value *v;
	pthread_barrier_t taken, enough;
};

static void *keep(void *arg)
{
	struct keeper *k = arg;

	if (shv_acquire(k->v))
		abort();
	pthread_barrier_wait(&k->taken);
	pthread_barrier_wait(&k->enough);
	if (shv_release(k->v))
		abort();
	return NULL;
}

static void keeper_start(struct keeper *k, shv_value *v)
{
	k->v = v;
	pthread_barrier_init(&k->taken, NULL, 2);
	pthread_barrier_init(&k->enough, NULL, 2);
	ck_assert_int_eq(pthread_create(&k->thread, NULL, keep, k), 0);
	pthread_barrier_wait(&k->taken);
}

static void keeper_stop(struct keeper *k)
{
	pthread_barrier_wait(&k->enough);
	pthread_join(k->thread, NULL);
}

/* A child that takes the lock, if v is given, makes a value, and is killed. Returns its pid. */
static pid_t die_holding(shv_value *v, const char *name)
{
	int status;
	pid_t pid = check_fork();

	if (!pid) {
		shv_value *mine = an_int(77, SHV_RECURSIVE);
		if (shv_publish(mine, name) || (v && shv_acquire(v)))
			_exit(1);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	return pid;
}

/* ---- totals -------------------------------------------------------------------------------------------------- */

START_TEST(totals_are_what_was_made)
{
	struct shv_stat st = { .size = sizeof(st) }, before = { .size = sizeof(before) };
	shv_lock *lock = shv_lock_new(arena, SHV_PLAIN);
	const int five[5] = { 1, 2, 3, 4, 5 };
	shv_value *v;

	ck_assert_int_eq(shv_stat(arena, &before), 0);
	ck_assert_uint_eq(before.objects, 1);
	v = an_int(1, SHV_RECURSIVE);
	an_int(2, SHV_PLAIN);
	an_int(3, SHV_NONE);
	an_int(4, SHV_SHARED(lock));
	ck_assert_ptr_nonnull(shv_array_new(arena, SHV_INT, 5, five, SHV_HANDOFF));
	ck_assert_ptr_nonnull(shv_raw_new(arena, SHV_DOUBLE, NULL));
	ck_assert_ptr_nonnull(shv_raw_array_new(arena, SHV_CHAR, 100, NULL));
	ck_assert_int_eq(shv_publish(v, "one"), 0);
	ck_assert_int_eq(shv_stat(arena, &st), 0);
	ck_assert_str_eq(st.name, "inspected");
	ck_assert_uint_eq(st.values, 4);
	ck_assert_uint_eq(st.arrays, 1);
	ck_assert_uint_eq(st.raws, 2);
	ck_assert_uint_eq(st.locks, 1);
	ck_assert_uint_eq(st.parts, 1);
	ck_assert_uint_eq(st.names, 1);
	ck_assert_uint_eq(st.objects, 8);
	ck_assert_uint_eq(st.bytes_payload, 4 * 4 + 5 * 4 + 8 + 100);
	ck_assert_uint_gt(st.bytes_live, st.bytes_payload);
	ck_assert_uint_eq(st.by_policy[SHV_LOCK_RECURSIVE], 1);
	ck_assert_uint_eq(st.by_policy[SHV_LOCK_PLAIN], 1);
	ck_assert_uint_eq(st.by_policy[SHV_LOCK_NONE], 1);
	ck_assert_uint_eq(st.by_policy[SHV_LOCK_SHARED], 1);
	ck_assert_uint_eq(st.by_policy[SHV_LOCK_HANDOFF], 1);
	ck_assert_uint_eq(st.processes, 1);
	ck_assert_uint_eq(st.processes_dead, 0);
	ck_assert_uint_eq(st.capacity, (uint64_t)64 << 20);
	ck_assert_uint_ge(st.file_size, st.bytes_resident);
	ck_assert_int_eq(shv_value_free(v), 0);
	ck_assert_int_eq(shv_stat(arena, &st), 0);
	ck_assert_uint_eq(st.objects, 7);
	ck_assert_uint_eq(st.parts, 0);
}
END_TEST

START_TEST(a_structure_may_have_another_size)
{
	struct {
		struct shv_stat st;
		char newer[64];
	} big;
	struct shv_stat st;

	an_int(1, SHV_NONE);
	memset(&big, 0x5a, sizeof(big));
	big.st.size = sizeof(big);
	ck_assert_int_eq(shv_stat(arena, &big.st), 0);
	ck_assert_uint_eq(big.st.size, sizeof(big));
	ck_assert_uint_eq(big.st.objects, 1);
	for (size_t i = 0; i < sizeof(big.newer); i++)
		ck_assert_int_eq(big.newer[i], 0);
	st.size = 0;
	ck_assert_int_eq(shv_stat(arena, &st), 0);
	ck_assert_uint_eq(st.size, 0);
	ck_assert_uint_eq(st.objects, 1);
	st.size = 16;
	ck_assert_int_eq(shv_stat(arena, &st), -EINVAL);
	st.size = (size_t)-1;
	ck_assert_int_eq(shv_stat(arena, &st), -EINVAL);
}
END_TEST

/* ---- objects ------------------------------------------------------------------------------------------------- */

START_TEST(a_walk_sees_each_object_once)
{
	enum { N = 10000 };
	static unsigned char seen[N];
	struct shv_value_info info = { .size = sizeof(info) };
	shv_value **v = calloc(N, sizeof(*v));
	uint64_t cursor = 0;
	int n = 0, r, x;

	for (int i = 0; i < N; i++)
		v[i] = an_int(i, SHV_NONE);
	for (int i = 0; i < N; i += 3)
		ck_assert_int_eq(shv_value_free(v[i]), 0);
	while ((r = shv_value_next(arena, &cursor, &info)) == 1) {
		ck_assert_int_eq(shv_value_bytes(arena, info.ref, &x, sizeof(x), NULL), 4);
		ck_assert_int_eq(seen[x]++, 0);
		ck_assert_int_ne(x % 3, 0);
		ck_assert_ptr_eq(shv_deref(arena, info.ref), v[x]);
		ck_assert_uint_eq(info.offset, shv_offset(arena, v[x]));
		n++;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(n, N - (N + 2) / 3);
	free(v);
}
END_TEST

START_TEST(an_object_is_described)
{
	const long items[3] = { 1, 2, 3 };
	shv_value *v = shv_array_new(arena, SHV_LONG, 3, items, SHV_PLAIN);
	void *raw = shv_raw_new(arena, SHV_CHAR, "A");
	struct shv_value_info info = about(arena, v);

	ck_assert_int_eq(info.kind, SHV_KIND_ARRAY);
	ck_assert_uint_eq(info.len, 3);
	ck_assert_uint_eq(info.item_size, sizeof(long));
	ck_assert_uint_eq(info.bytes, sizeof(items));
	ck_assert_uint_ge(info.block_bytes, sizeof(items) + 24);
	ck_assert_int_eq(info.lock, SHV_LOCK_PLAIN);
	ck_assert_str_eq(info.policy, "plain");
	ck_assert_str_eq(info.type_name, "long");
	ck_assert_str_eq(info.format, "l");
	ck_assert(!info.held && !info.waiters && !info.abandoned && !info.condemned && !info.named);
	ck_assert(info.creator_alive);
	ck_assert_uint_eq(info.creator, info.owner);
	info = about(arena, raw);
	ck_assert_int_eq(info.kind, SHV_KIND_RAW);
	ck_assert_int_eq(info.lock, SHV_LOCK_NONE);
	ck_assert_str_eq(info.policy, "none");
	ck_assert_uint_eq(info.len, 1);
}
END_TEST

START_TEST(content_is_printed_like_snprintf)
{
	const int items[4] = { 10, 20, 30, 40 };
	shv_ref ref = shv_ref_of(shv_array_new(arena, SHV_INT, 4, items, SHV_NONE));
	static const char text[] = "[10, 20, 30, 40]";
	char buf[64];

	ck_assert_int_eq(shv_value_text(arena, ref, buf, sizeof(buf)), sizeof(text) - 1);
	ck_assert_str_eq(buf, text);
	ck_assert_int_eq(shv_value_text(arena, ref, NULL, 0), sizeof(text) - 1);
	memset(buf, 'x', sizeof(buf));
	ck_assert_int_eq(shv_value_text(arena, ref, buf, 6), sizeof(text) - 1);
	ck_assert_str_eq(buf, "[10, ");
	ck_assert_int_eq(buf[6], 'x');
	ck_assert_int_eq(shv_value_text(arena, ref, NULL, 5), -EINVAL);
}
END_TEST

START_TEST(a_long_array_is_cut_without_reading_it_all)
{
	enum { N = 1 << 16 };
	shv_ref ref = shv_ref_of(shv_array_new(arena, SHV_INT, N, NULL, SHV_NONE));
	char buf[100], *whole = malloc(4 * N);

	ck_assert_int_ge(shv_value_text(arena, ref, buf, sizeof(buf)), (ssize_t)sizeof(buf));
	ck_assert_uint_eq(strlen(buf), sizeof(buf) - 1);
	ck_assert_int_eq(shv_value_text(arena, ref, whole, 4 * N), 3 * N);
	ck_assert_uint_eq(strlen(whole), 3 * N);
	free(whole);
}
END_TEST

START_TEST(a_name_is_found_and_its_lack_told)
{
	shv_value *v = an_int(1, SHV_NONE);
	char buf[16];

	ck_assert_int_eq(shv_value_name(arena, shv_ref_of(v), buf, sizeof(buf)), -ENOENT);
	ck_assert_int_eq(shv_publish(v, "a name"), 0);
	ck_assert(about(arena, v).named);
	ck_assert_int_eq(shv_value_name(arena, shv_ref_of(v), buf, sizeof(buf)), 6);
	ck_assert_str_eq(buf, "a name");
	ck_assert_int_eq(shv_value_name(arena, shv_ref_of(v), buf, 4), 6);
	ck_assert_str_eq(buf, "a n");
	ck_assert_int_eq(shv_value_name(arena, shv_ref_of(v), NULL, 0), 6);
}
END_TEST

START_TEST(stale_and_random_references_are_refused)
{
	shv_ref ref = shv_ref_of(an_int(1, SHV_NONE));
	struct shv_value_info info = { .size = sizeof(info) };
	char buf[16];

	ck_assert_int_eq(shv_value_free(shv_deref(arena, ref)), 0);
	ck_assert_int_eq(shv_value_describe(arena, ref, &info), -ESTALE);
	ck_assert_int_eq(shv_value_bytes(arena, ref, buf, 4, NULL), -ESTALE);
	ck_assert_int_eq(shv_value_text(arena, ref, buf, 4), -ESTALE);
	ck_assert_int_eq(shv_value_name(arena, ref, buf, 4), -ESTALE);
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "shv_value_name"));
	ck_assert_int_eq(shv_value_describe(arena, 0, &info), -EINVAL);
	srand(1);
	for (int i = 0; i < 100000; i++) {
		shv_ref any = (shv_ref)rand() << 33 ^ (shv_ref)rand() << 8 ^ (shv_ref)rand();
		int r = shv_value_describe(arena, i % 2 ? any : any & UINT64_C(0x300001fff), &info);
		ck_assert(r == -ESTALE || r == -EINVAL);
	}
}
END_TEST

START_TEST(a_copy_tells_when_a_writer_was_in)
{
	shv_value *v = an_int(5, SHV_RECURSIVE);
	struct keeper k;
	bool torn = true;
	int x = 0;

	ck_assert_int_eq(shv_value_bytes(arena, shv_ref_of(v), &x, sizeof(x), &torn), 4);
	ck_assert(!torn);
	ck_assert_int_eq(x, 5);
	keeper_start(&k, v);
	ck_assert_int_eq(shv_value_bytes(arena, shv_ref_of(v), &x, sizeof(x), &torn), 4);
	ck_assert(torn);
	keeper_stop(&k);
	ck_assert_int_eq(shv_value_bytes(arena, shv_ref_of(v), &x, 2, &torn), 2);
	ck_assert(!torn);
	die_holding(v, "by the dead");
	ck_assert_int_eq(shv_value_bytes(arena, shv_ref_of(v), &x, sizeof(x), &torn), 4);
	ck_assert_msg(!torn, "the dead write no more");
}
END_TEST

/* ---- locks --------------------------------------------------------------------------------------------------- */

static int find_lock(shv_ref ref, struct shv_lock_info *out)
{
	uint64_t cursor = 0;
	int n = 0, found = 0;

	out->size = sizeof(*out);
	for (struct shv_lock_info l = { .size = sizeof(l) }; shv_lock_next(arena, &cursor, &l) == 1; n++)
		if (l.ref == ref) {
			*out = l;
			found++;
		}
	ck_assert_int_le(found, 1);
	return n;
}

START_TEST(a_held_lock_names_its_holder)
{
	shv_value *v = an_int(1, SHV_RECURSIVE);
	struct shv_value_info info;
	struct shv_lock_info l;
	struct keeper k;

	ck_assert_int_eq(shv_acquire(v), 0);
	ck_assert_int_eq(shv_acquire(v), 0);
	info = about(arena, v);
	ck_assert(info.held && !info.abandoned && !info.waiters);
	ck_assert_int_eq(info.holder.pid, getpid());
	ck_assert_int_eq(info.holder.tid, gettid());
	ck_assert(info.holder.alive);
	ck_assert_int_eq(find_lock(info.ref, &l), 1);
	ck_assert_uint_eq(l.depth, 2);
	ck_assert(!l.object);
	ck_assert_int_eq(shv_release(v), 0);
	ck_assert_int_eq(shv_release(v), 0);
	info = about(arena, v);
	ck_assert(!info.held);
	ck_assert_int_eq(info.holder.pid, 0);
	keeper_start(&k, v);
	info = about(arena, v);
	ck_assert(info.held);
	ck_assert_int_ne(info.holder.tid, gettid());
	keeper_stop(&k);
}
END_TEST

START_TEST(acquisitions_are_counted)
{
	shv_value *v = an_int(1, SHV_PLAIN);
	uint32_t before = about(arena, v).acquisitions;

	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(shv_set(v, &i, sizeof(i)), 0);
	ck_assert_uint_eq(about(arena, v).acquisitions - before, 10);
	ck_assert_int_eq(shv_acquire(v), 0);
	ck_assert_uint_eq(about(arena, v).acquisitions - before, 11);
	ck_assert_int_eq(shv_release(v), 0);
	ck_assert_uint_eq(about(arena, v).acquisitions - before, 11);
}
END_TEST

START_TEST(a_lock_of_the_dead_is_abandoned_before_and_after_recovery)
{
	shv_value *v = an_int(1, SHV_RECURSIVE);
	pid_t pid = die_holding(v, "left");
	struct shv_value_info info = about(arena, v);
	struct shv_lock_info l;

	ck_assert(info.abandoned && !info.held);
	ck_assert_int_eq(info.holder.pid, pid);
	ck_assert(!info.holder.alive);
	info = about(arena, shv_find(arena, "left"));
	ck_assert(!info.creator_alive);
	ck_assert_int_eq(shv_arena_recover(arena, NULL), 1);
	info = about(arena, v);
	ck_assert(info.abandoned && !info.held);
	ck_assert_int_eq(info.holder.pid, pid);
	find_lock(info.ref, &l);
	ck_assert(l.abandoned && !l.held);
	info = about(arena, shv_find(arena, "left"));
	ck_assert(!info.creator_alive);
	ck_assert_uint_eq(info.owner, UINT32_MAX);
	ck_assert_int_eq(shv_acquire(v), SHV_RECOVERED);
	info = about(arena, v);
	ck_assert(!info.abandoned && info.held);
	ck_assert_int_eq(shv_release(v), 0);
}
END_TEST

START_TEST(values_show_the_lock_that_they_share)
{
	shv_lock *lock = shv_lock_new(arena, SHV_PLAIN);
	shv_value *v = an_int(1, SHV_SHARED(lock));
	struct shv_value_info info = about(arena, v);
	struct shv_lock_info l;

	ck_assert_int_eq(info.lock, SHV_LOCK_SHARED);
	ck_assert_uint_eq(info.lock_ref, shv_ref_of(lock));
	ck_assert(!info.held);
	ck_assert_int_eq(shv_lock_acquire(lock), 0);
	info = about(arena, v);
	ck_assert(info.held);
	ck_assert_int_eq(info.holder.pid, getpid());
	ck_assert_int_eq(find_lock(info.lock_ref, &l), 1); /* the value has none of its own */
	ck_assert(l.object && l.held && !l.condemned);
	ck_assert_int_eq(shv_lock_release(lock), 0);
	ck_assert_int_eq(shv_lock_free(lock), 0);
	find_lock(info.lock_ref, &l);
	ck_assert(l.condemned);
}
END_TEST

/* ---- processes, pages, types ------------------------------------------------------------------------------------ */

START_TEST(processes_are_listed_alive_and_dead)
{
	struct shv_process_info p = { .size = sizeof(p) };
	uint64_t cursor = 0;
	unsigned alive = 0, dead = 0;
	pid_t pid;
	int r;

	an_int(1, SHV_NONE);
	pid = die_holding(an_int(2, SHV_PLAIN), "x");
	while ((r = shv_process_next(arena, &cursor, &p)) == 1) {
		ck_assert_uint_gt(p.pages, 0);
		ck_assert_uint_eq(p.threads, 1);
		if (p.alive) {
			alive++;
			ck_assert_int_eq(p.pid, getpid());
			ck_assert(p.self);
		} else {
			dead++;
			ck_assert_int_eq(p.pid, pid);
			ck_assert(!p.self);
			ck_assert_uint_eq(p.locks_held, 1);
		}
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(alive, 1);
	ck_assert_uint_eq(dead, 1);
	ck_assert_int_eq(shv_arena_recover(arena, NULL), 1);
	cursor = 0;
	ck_assert_int_eq(shv_process_next(arena, &cursor, &p), 1);
	ck_assert_int_eq(shv_process_next(arena, &cursor, &p), 0);
}
END_TEST

START_TEST(runs_are_the_pool_without_gaps)
{
	struct shv_run_info run = { .size = sizeof(run) };
	struct shv_stat st = { .size = sizeof(st) };
	uint64_t cursor = 0, next = 0, by_state[5] = { 0 };
	int r;

	for (int i = 0; i < 5000; i++)
		an_int(i, SHV_NONE);
	die_holding(NULL, "orphan");
	ck_assert_int_eq(shv_arena_recover(arena, NULL), 1);
	ck_assert_int_eq(shv_stat(arena, &st), 0);
	while ((r = shv_run_next(arena, &cursor, &run)) == 1) {
		ck_assert_uint_eq(run.page, next);
		next += run.pages;
		ck_assert_uint_le(run.state, SHV_PAGE_SYSTEM);
		by_state[run.state] += run.pages;
		ck_assert_int_eq(run.owner == UINT32_MAX, run.state != SHV_PAGE_OWNED && run.state != SHV_PAGE_SLOTS);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(next, st.pages);
	ck_assert_uint_eq(by_state[SHV_PAGE_FREE], st.pages_free);
	ck_assert_uint_eq(by_state[SHV_PAGE_OWNED], st.pages_owned);
	ck_assert_uint_eq(by_state[SHV_PAGE_ORPHAN], st.pages_orphaned);
	ck_assert_uint_eq(by_state[SHV_PAGE_SLOTS], st.pages_slots);
	ck_assert_uint_eq(by_state[SHV_PAGE_SYSTEM], st.pages_system);
	ck_assert_uint_gt(st.pages_orphaned, 0);
	ck_assert_uint_gt(st.pages_owned, 0);
}
END_TEST

START_TEST(types_are_listed_basic_ones_first)
{
	struct shv_type_info t = { .size = sizeof(t) }, last = { .size = sizeof(last) };
	uint64_t cursor = 0;
	uint32_t id = 0;
	bool has_int = false;
	int r;

	ck_assert_ptr_nonnull(shv_value_new(arena, shv_type_parse("T{i:a:d:b:}"), NULL, SHV_NONE));
	while ((r = shv_type_next(arena, &cursor, &t)) == 1) {
		ck_assert_uint_gt(t.id, id);
		id = t.id;
		ck_assert_uint_gt(t.bytes, 0);
		has_int = has_int || (!strcmp(t.name, "int") && !strcmp(t.format, "i") && t.bytes == 4 && t.align == 4);
		last = t;
	}
	ck_assert_int_eq(r, 0);
	ck_assert(has_int);
	ck_assert_uint_eq(last.bytes, 16);
	ck_assert_ptr_nonnull(strstr(last.format, ":a:"));
}
END_TEST

struct body {
	double at[2];
	char tag;
	struct {
		int32_t n;
		short s;
	} in;
};

START_TEST(the_members_of_a_type_are_told_by_name)
{
	const struct body b = { { 0.5, -1 }, 'x', { 7, 8 } };
	const shv_type *inner = shv_type_parse("T{i:n:h:s:}"), *t, *seen;
	const struct shv_field fields[] = { SHV_FIELD(struct body, at, SHV_DOUBLE), SHV_FIELD(struct body, tag, SHV_CHAR),
					    SHV_FIELD(struct body, in, inner) };
	struct shv_field f = { .size = sizeof(f) };
	shv_value *v;
	char text[32];

	ck_assert_ptr_nonnull(inner);
	t = shv_type_struct("body", sizeof(b), fields, 3);
	ck_assert_msg(t, "%s", shv_errmsg());
	v = shv_value_new(arena, t, &b, SHV_NONE);
	ck_assert_msg(v, "%s", shv_errmsg());
	seen = shv_type_of_id(arena, about(arena, v).type);
	ck_assert_ptr_eq(seen, t);
	ck_assert_uint_eq(shv_type_members(seen), 3);
	ck_assert_uint_eq(shv_type_members(SHV_INT), 0);
	for (size_t i = 0; i < 3; i++) {
		static const char *const wanted[] = { "[0.5, -1]", "'x'", "{n=7, s=8}" };

		ck_assert_int_eq(shv_type_member(seen, i, &f), 0);
		ck_assert_str_eq(f.name, fields[i].name);
		ck_assert_uint_eq(f.offset, fields[i].offset);
		ck_assert_uint_eq(f.extent, fields[i].extent);
		ck_assert_uint_eq(shv_type_size(f.type), f.extent);
		ck_assert_int_eq(shv_type_text(f.type, (const char *)&b + f.offset, text, sizeof(text)),
				 (int)strlen(wanted[i]));
		ck_assert_str_eq(text, wanted[i]);
	}
	ck_assert_uint_eq(shv_type_members(f.type), 2);
	ck_assert_int_eq(shv_type_text(seen, &b, text, 8), 38);
	ck_assert_str_eq(text, "{at=[0.");
	ck_assert_ptr_eq(shv_type_of_id(arena, 8), SHV_INT);
}
END_TEST

/* ---- who looks --------------------------------------------------------------------------------------------------- */

START_TEST(a_read_only_visitor_sees_the_same_and_changes_nothing)
{
	shv_value *v = an_int(42, SHV_RECURSIVE);
	struct shv_stat st = { .size = sizeof(st) }, seen = { .size = sizeof(seen) };
	struct stat before, after;
	shv_arena *visitor;
	char buf[16];
	int fd;

	ck_assert_int_eq(shv_publish(v, "answer"), 0);
	ck_assert_int_eq(shv_acquire(v), 0);
	fd = shv_arena_fd_rdonly(arena);
	ck_assert_int_ge(fd, 0);
	visitor = shv_arena_attach(fd, SHV_RDONLY);
	ck_assert_msg(visitor, "%s", shv_errmsg());
	ck_assert_int_eq(fstat(fd, &before), 0);
	ck_assert_int_eq(shv_stat(arena, &st), 0);
	ck_assert_int_eq(shv_stat(visitor, &seen), 0);
	ck_assert_mem_eq(&st, &seen, sizeof(st));
	ck_assert_int_eq(shv_value_text(visitor, shv_ref_of(v), buf, sizeof(buf)), 2);
	ck_assert_str_eq(buf, "42");
	ck_assert_int_eq(shv_value_name(visitor, shv_ref_of(v), buf, sizeof(buf)), 6);
	ck_assert(about(visitor, v).held);
	ck_assert_int_eq(fstat(fd, &after), 0);
	ck_assert_int_eq(before.st_blocks, after.st_blocks);
	ck_assert_int_eq(shv_arena_detach(visitor), 0);
	ck_assert_int_eq(shv_release(v), 0);
	close(fd);
}
END_TEST

/* As most of a large array is before it is filled. What is looked at has the pages of the kernel's zeros, not pages of its own. */
START_TEST(a_look_at_holes_leaves_holes)
{
	enum { BYTES = 16 << 20, AT = (5 << 20) + 12345 };
	shv_value *v = shv_array_new(arena, SHV_CHAR, BYTES, NULL, SHV_PLAIN);
	char *bytes = malloc(BYTES), text[100];
	struct stat before, after;
	int wrong = 0;
	bool torn = true;
	shv_arena *a;

	ck_assert_msg(v && bytes, "%s", shv_errmsg());
	((char *)shv_value_data(v))[AT] = 'x';
	ck_assert_int_eq(fstat(shv_arena_fd(arena), &before), 0);
	ck_assert_msg(before.st_blocks < BYTES / 512 / 4, "the array is not sparse: %lld blocks", (long long)before.st_blocks);
	a = shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY);
	ck_assert_msg(a, "%s", shv_errmsg());
	memset(bytes, 1, BYTES);
	ck_assert_int_eq(shv_value_bytes(a, shv_ref_of(v), bytes, BYTES, &torn), BYTES);
	ck_assert(!torn);
	for (int i = 0; i < BYTES; i++)
		wrong += bytes[i] != (i == AT ? 'x' : 0);
	ck_assert_int_eq(wrong, 0);
	ck_assert_int_ge(shv_value_text(a, shv_ref_of(v), text, sizeof(text)), 2);
	ck_assert_int_gt(shv_value_text(a, shv_ref_of(v), NULL, 0), 0);
	ck_assert_int_eq(shv_arena_detach(a), 0);
	/* The same by a member, while somebody holds the lock. */
	ck_assert_int_eq(shv_acquire(v), 0);
	ck_assert_int_eq(shv_value_bytes(arena, shv_ref_of(v), bytes, BYTES, &torn), BYTES);
	ck_assert(torn);
	ck_assert_int_eq(shv_release(v), 0);
	ck_assert_int_eq(fstat(shv_arena_fd(arena), &after), 0);
	ck_assert_int_eq(before.st_blocks, after.st_blocks);
	free(bytes);
}
END_TEST

START_TEST(wrong_arguments_are_told)
{
	struct shv_value_info v = { .size = sizeof(v) };
	struct shv_stat st = { .size = sizeof(st) };
	shv_ref ref = shv_ref_of(an_int(1, SHV_NONE));
	uint64_t cursor = 0;
	char buf[8];

	ck_assert_int_eq(shv_stat(NULL, &st), -EINVAL);
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "shv_stat"));
	ck_assert_int_eq(shv_stat(arena, NULL), -EINVAL);
	ck_assert_int_eq(shv_value_next(NULL, &cursor, &v), -EINVAL);
	ck_assert_int_eq(shv_value_next(arena, NULL, &v), -EINVAL);
	ck_assert_int_eq(shv_value_next(arena, &cursor, NULL), -EINVAL);
	ck_assert_int_eq(shv_lock_next(arena, &cursor, NULL), -EINVAL);
	ck_assert_int_eq(shv_process_next(arena, NULL, NULL), -EINVAL);
	ck_assert_int_eq(shv_run_next(arena, &cursor, NULL), -EINVAL);
	ck_assert_int_eq(shv_type_next(arena, &cursor, NULL), -EINVAL);
	ck_assert_int_eq(shv_value_describe(NULL, ref, &v), -EINVAL);
	ck_assert_int_eq(shv_value_describe(arena, ref, NULL), -EINVAL);
	ck_assert_int_eq(shv_value_bytes(arena, ref, NULL, 4, NULL), -EINVAL);
	ck_assert_int_eq(shv_value_bytes(arena, ref, NULL, 0, NULL), 0);
	ck_assert_int_eq(shv_value_bytes(NULL, ref, buf, 4, NULL), -EINVAL);
	ck_assert_int_eq(shv_value_text(NULL, ref, buf, 4), -EINVAL);
	ck_assert_int_eq(shv_value_name(NULL, ref, buf, 4), -EINVAL);
	v.size = 3;
	ck_assert_int_eq(shv_value_next(arena, &cursor, &v), -EINVAL);
	ck_assert_ptr_nonnull(strstr(shv_errmsg(), "size"));
	cursor = UINT64_MAX;
	v.size = sizeof(v);
	ck_assert_int_eq(shv_value_next(arena, &cursor, &v), 0);
	cursor = UINT64_MAX;
	ck_assert_int_eq(shv_run_next(arena, &cursor, &(struct shv_run_info){ .size = 0 }), 0);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *const *tests)
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, make_arena, drop_arena);
	tcase_set_timeout(c, 60);
	while (*tests)
		tcase_add_test(c, *tests++);
	suite_add_tcase(suite, c);
}

int main(void)
{
	const TTest *const totals[] = { totals_are_what_was_made, a_structure_may_have_another_size, NULL };
	const TTest *const objects[] = { a_walk_sees_each_object_once,
						an_object_is_described,
						content_is_printed_like_snprintf,
						a_long_array_is_cut_without_reading_it_all,
						a_name_is_found_and_its_lack_told,
						stale_and_random_references_are_refused,
						a_copy_tells_when_a_writer_was_in,
						NULL };
	const TTest *const locks[] = { a_held_lock_names_its_holder, acquisitions_are_counted,
					      a_lock_of_the_dead_is_abandoned_before_and_after_recovery,
					      values_show_the_lock_that_they_share, NULL };
	const TTest *const rest[] = { processes_are_listed_alive_and_dead, runs_are_the_pool_without_gaps,
					     types_are_listed_basic_ones_first,
					     the_members_of_a_type_are_told_by_name, NULL };
	const TTest *const looking[] = { a_read_only_visitor_sees_the_same_and_changes_nothing,
					 a_look_at_holes_leaves_holes, wrong_arguments_are_told, NULL };
	Suite *suite = suite_create("inspect");

	add(suite, "totals", totals);
	add(suite, "objects", objects);
	add(suite, "locks", locks);
	add(suite, "processes-pages-types", rest);
	add(suite, "looking", looking);
	return run_suite(suite);
}
