/* SPDX-License-Identifier: MIT */
/*
 * Taking the locks of several values at once: shv_acquire_all(), shv_release_all().
 *
 * Everybody takes in the same order, so nobody can wait in a circle. The order is that of arena and place: the arena's uuid
 * (then its inode number, as a restored snapshot has the uuid of its original), and in it the offset of the object that the lock
 * belongs to, which is the same in every process, and in every mapping of one process. A lock that several of the values share,
 * or a value that is named twice, is thus next to itself, and is taken once.
 *
 *	1. look up each value's lock, sort             errors so far leave nothing to undo
 *	2. take in this order                          an error gives back what was taken, in reverse
 *
 * Memory is asked for before the first lock; up to FEW values need none. Between 1 and 2 a value may be freed, and another one made
 * at its place: step 2 looks again, and takes only the lock that was sorted. shv_release_all() must not fail for want of
 * memory: without it, it looks for duplicates the slow way.
 *
 * A caller that dies inside holds some of the locks: each goes to its next taker, with SHV_RECOVERED.
 */
#include "values/value_private.h"

#include <stdlib.h>
#include <string.h>

#define FEW 16

struct want {
	const struct shv_super_const *arena; /* NULL: no lock */
	ino_t file;
	uint64_t off; /* of the object that the lock belongs to */
	size_t i;     /* among the caller's values */
	bool taken, recovered;
	struct lock_target lock; /* taken: given back by this, for the value may be freed meanwhile if its lock is a shared one */
};

static int compare(const struct want *a, const struct want *b)
{
	int order;

	if (!a->arena || !b->arena)
		return !a->arena - !b->arena;
	order = a->arena == b->arena ? 0 : memcmp(a->arena->uuid, b->arena->uuid, sizeof(a->arena->uuid));
	if (!order)
		order = (a->file > b->file) - (a->file < b->file);
	return order ? order : (a->off > b->off) - (a->off < b->off);
}

/* Duplicates by their place in the list: the first one stands for all, whatever qsort() does with equals. */
static int by_place(const void *x, const void *y)
{
	const struct want *a = x, *b = y;
	int order = compare(a, b);

	return order ? order : (a->i > b->i) - (a->i < b->i);
}

/* The lock of v[i]: *t and where it comes in the order. */
static int look_up(shv_value *const *v, size_t i, struct want *w, struct lock_target *t, const char *who)
{
	int r = lock_find(v[i], t, false, who);

	memset(w, 0, sizeof(*w));
	w->i = i;
	if (r || (!t->word && !t->ops))
		return r;
	w->arena = &super_of(t->o.at.base)->c;
	w->file = t->o.at.geo->ino;
	w->off = what_offset(t->o.what);
	return 0;
}

static struct want *room(struct want *few, size_t n)
{
	return n <= FEW ? few : reallocarray(NULL, n, sizeof(*few));
}

static int look_up_all(shv_value *const *v, size_t n, struct want *all, const char *who)
{
	struct lock_target t;

	for (size_t i = 0; i < n; i++) {
		int r = look_up(v, i, &all[i], &t, who);
		if (r)
			return r;
	}
	qsort(all, n, sizeof(*all), by_place);
	return 0;
}

static int check_list(shv_value *const *v, size_t n, const char *who)
{
	if (!v && n)
		return fail(-EINVAL, "%s: v is NULL, but n is %zu: pass an array of n values", who, n);
	for (size_t i = 0; i < n; i++)
		if (!v[i])
			return fail(-EINVAL, "%s: v[%zu] is NULL: pass values only", who, i);
	return 0;
}

/* ---- taking -------------------------------------------------------------------------------------------------- */

/* Take one lock, or see that it is the one before and that the value is still there. */
static int take_one(shv_value *const *v, struct want *all, size_t k)
{
	static const char who[] = "shv_acquire_all";
	struct lock_target t;
	struct want now;
	int r = look_up(v, all[k].i, &now, &t, who);

	if (r)
		return r;
	if (compare(&now, &all[k]))
		return fail(-ESTALE, "%s: v[%zu] was freed while this thread came for its lock", who, all[k].i);
	if (!now.arena || (k && !compare(&all[k - 1], &all[k])))
		return 0;
	r = target_acquire(&t, false, NULL, who);
	if (r >= 0) {
		all[k].taken = true;
		all[k].recovered = r == SHV_RECOVERED;
		all[k].lock = t;
	}
	CRASH_POINT("all-taken");
	return r;
}

/* Back out: what others left for us to be told is left for the next. */
static void give_back(struct want *all, size_t k)
{
	static const char who[] = "shv_acquire_all";

	while (k--)
		if (all[k].taken)
			(void)(all[k].recovered ? target_release_recovered(&all[k].lock, who) : target_release(&all[k].lock, who));
}

static int take_all(shv_value *const *v, struct want *all, size_t n)
{
	int status = 0;

	for (size_t k = 0; k < n; k++) {
		int r = take_one(v, all, k);
		if (r < 0) {
			give_back(all, k);
			return r;
		}
		status |= r;
	}
	return status;
}

SHV_API int shv_acquire_all(shv_value *const *v, size_t n)
{
	struct want few[FEW], *all;
	int r = check_list(v, n, "shv_acquire_all");

	if (r)
		return r;
	all = room(few, n);
	if (!all)
		return fail(-ENOMEM, "shv_acquire_all: no memory to sort %zu values: free some, or take fewer at once", n);
	r = look_up_all(v, n, all, "shv_acquire_all");
	if (!r)
		r = take_all(v, all, n);
	if (all != few)
		free(all);
	return r;
}

/* ---- giving back ---------------------------------------------------------------------------------------------- */

static int release_one(shv_value *v)
{
	struct lock_target t;
	int r = lock_find(v, &t, false, "shv_release_all");

	return r ? r : target_release(&t, "shv_release_all");
}

/* Without memory: is the lock of v[i] that of one before? */
static bool had_before(shv_value *const *v, size_t i)
{
	struct want w, before;
	struct lock_target t;

	if (look_up(v, i, &w, &t, "shv_release_all"))
		return false;
	for (size_t k = 0; k < i; k++)
		if (v[k] == v[i] || (!look_up(v, k, &before, &t, "shv_release_all") && !compare(&before, &w)))
			return true;
	return false;
}

static int release_slowly(shv_value *const *v, size_t n)
{
	int first = 0;

	for (size_t i = n; i--;) {
		int r = had_before(v, i) ? 0 : release_one(v[i]);
		first = first ? first : r;
	}
	return first;
}

/* In the reverse order. What cannot be found is left out; what can be is given back all the same. */
static int release_sorted(shv_value *const *v, struct want *all, size_t n)
{
	struct lock_target t;
	size_t found = 0;
	int first = 0;

	for (size_t i = 0; i < n; i++) {
		int r = look_up(v, i, &all[found], &t, "shv_release_all");
		found += !r;
		first = first ? first : r;
	}
	qsort(all, found, sizeof(*all), by_place);
	for (size_t k = found; k--;) {
		int r = !all[k].arena || (k && !compare(&all[k - 1], &all[k])) ? 0 : release_one(v[all[k].i]);
		first = first ? first : r;
	}
	return first;
}

SHV_API int shv_release_all(shv_value *const *v, size_t n)
{
	struct want few[FEW], *all;
	int r = check_list(v, n, "shv_release_all");

	if (r)
		return r;
	all = room(few, n);
	if (!all)
		return release_slowly(v, n);
	r = release_sorted(v, all, n);
	if (all != few)
		free(all);
	return r;
}
