/* SPDX-License-Identifier: MIT */
/*
 * Two looks, and the difference. The arena keeps no times and no rates; but each lock counts how often it was taken, and each
 * process what it made and freed, so two samples tell how fast these grow. A lock that is held in both samples, with the
 * same count, was held by the same taker all the time between them: that is how one knows for how long at the least.
 */
#ifndef SHV_TOOLS_SAMPLE_H
#define SHV_TOOLS_SAMPLE_H

#include "tools/look.h"

/* Of each lock with a word of its own. */
struct sample_lock {
	shv_ref ref;
	uint32_t acquisitions;
	bool held;
	uint64_t since;           /* when the present tenure was first seen; clock_now() */
};

/* A lock that something is to be told of: taken meanwhile, held, waited for or abandoned. */
struct sample_hot {
	struct shv_lock_info k;
	uint64_t taken;           /* times since the sample before */
	uint64_t since;
};
#define SAMPLE_HOT 1000u          /* the hottest ones are kept */

struct sample {
	uint64_t when;            /* clock_now() */
	struct look l;
	struct sample_lock *locks; /* by slot */
	size_t locks_n, locks_room;
	struct sample_hot *hot;
	size_t hot_n, hot_room;
	uint64_t taken;           /* locks, in all, since the sample before */
	uint64_t held, waited, abandoned;
};

/* The locks alone; before: the sample to compare with, or NULL. 0, or a negative errno. */
int sample_locks(struct sample *s, shv_arena *a, const struct sample *before);
/* Processes, objects and locks. */
int sample_take(struct sample *s, shv_arena *a, const struct sample *before);
void sample_free(struct sample *s);
/* NULL: it was not there. */
const struct sample_lock *sample_find(const struct sample *s, shv_ref ref);
/* Times a second. */
double sample_rate(uint64_t times, uint64_t ns);
void sample_sleep(double seconds);

#endif /* SHV_TOOLS_SAMPLE_H */
