/* SPDX-License-Identifier: MIT */
/* Two looks; see sample.h. */
#include "config.h"

#include "tools/sample.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

double sample_rate(uint64_t times, uint64_t ns)
{
	return ns ? (double)times * 1e9 / (double)ns : 0;
}

void sample_sleep(double seconds)
{
	struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* A walk goes by slot, which is the low half of a reference. */
const struct sample_lock *sample_find(const struct sample *s, shv_ref ref)
{
	size_t low = 0, high = s->locks_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		uint32_t slot = (uint32_t)s->locks[middle].ref;

		if (slot == (uint32_t)ref)
			return s->locks[middle].ref == ref ? &s->locks[middle] : NULL;
		if (slot < (uint32_t)ref)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int hotter(const void *a, const void *b)
{
	const struct sample_hot *x = a, *y = b;

	if (x->taken != y->taken)
		return x->taken > y->taken ? -1 : 1;
	if (x->k.held != y->k.held)
		return x->k.held ? -1 : 1;
	return x->k.ref < y->k.ref ? -1 : x->k.ref > y->k.ref;
}

static int keep_hot(struct sample *s, const struct shv_lock_info *k, uint64_t taken, uint64_t since)
{
	int r;

	if (!taken && !k->held && !k->waiters && !k->abandoned)
		return 0;
	if (s->hot_n == 2 * (size_t)SAMPLE_HOT) {
		qsort(s->hot, s->hot_n, sizeof(*s->hot), hotter);
		s->hot_n = SAMPLE_HOT;
	}
	r = look_grow(&s->hot, s->hot_n, &s->hot_room, sizeof(*s->hot));
	if (r)
		return r;
	s->hot[s->hot_n++] = (struct sample_hot){ .k = *k, .taken = taken, .since = since };
	return 0;
}

static int add_lock(struct sample *s, const struct shv_lock_info *k, const struct sample *before)
{
	const struct sample_lock *old = before ? sample_find(before, k->ref) : NULL;
	uint64_t taken = old ? k->acquisitions - old->acquisitions : 0; /* modulo 2^32, as they are counted */
	uint64_t since = old && old->held && k->held && !taken ? old->since : s->when;
	int r = look_grow(&s->locks, s->locks_n, &s->locks_room, sizeof(*s->locks));

	taken &= UINT32_MAX;
	if (r)
		return r;
	s->locks[s->locks_n++] =
		(struct sample_lock){ .ref = k->ref, .acquisitions = k->acquisitions, .held = k->held, .since = since };
	s->taken += taken;
	s->held += k->held;
	s->waited += k->waiters;
	s->abandoned += k->abandoned;
	return keep_hot(s, k, taken, since);
}

int sample_locks(struct sample *s, shv_arena *a, const struct sample *before)
{
	struct shv_lock_info k = { .size = sizeof(k) };
	uint64_t cursor = 0;
	int r;

	if (!s->when)
		s->when = clock_now();
	while ((r = shv_lock_next(a, &cursor, &k)) == 1) {
		if (k.lock == SHV_LOCK_POLICY)
			continue; /* has no word that counts */
		r = add_lock(s, &k, before);
		if (r)
			return r;
	}
	if (s->hot_n)
		qsort(s->hot, s->hot_n, sizeof(*s->hot), hotter);
	if (s->hot_n > SAMPLE_HOT)
		s->hot_n = SAMPLE_HOT;
	return r;
}

int sample_take(struct sample *s, shv_arena *a, const struct sample *before)
{
	int r;

	*s = (struct sample){ .when = clock_now() };
	r = look(&s->l, a, LOOK_OBJECTS | LOOK_HURRY);
	return r ? r : sample_locks(s, a, before);
}

void sample_free(struct sample *s)
{
	look_free(&s->l);
	free(s->locks);
	free(s->hot);
	*s = (struct sample){ 0 };
}
