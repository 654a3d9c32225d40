/* SPDX-License-Identifier: MIT */
/*
 * fixture.h -- an arena with some of everything in it, to be broken.
 *
 * Three processes have a part in it: this one; a peer that lives but does nothing, on whose list blocks
 * hang that this one freed; and one that died with objects on its pages and a lock in its hands, and was
 * recovered.
 */
#ifndef TESTS_CORRUPT_FIXTURE_H
#define TESTS_CORRUPT_FIXTURE_H

#include "arena/arena_private.h"

#include <shv/shv.h>
#include <sys/types.h>

struct point {
	double x, y;
};

struct fixture {
	shv_arena *a;
	char *base;
	const struct shv_geo *g;
	struct shv_super_shm *super;
	/* Of this process. */
	shv_value *recursive, *plain, *handoff, *none, *array, *long_array, *shared, *user, *point, *bare_point;
	shv_value *string, *wide;         /* "text of a string", L"wide" */
	void *raw, *raw_array;
	shv_lock *lock, *condemned;       /* shared by `shared`; freed, but shared by `array` */
	shv_value *died;                  /* its holder was killed */
	shv_value *orphan, *orphan_array; /* of the dead process: on one page, and on several */
	/* The peer. */
	pid_t peer;
	int peer_end; /* closed: it goes */
};

/* Fails the test if something does not work. */
void fixture_make(struct fixture *f);
void fixture_end(struct fixture *f);

/* Where things are. */
uint32_t slot_of(const void *p);
struct shv_slot_shm *slot_at(const struct fixture *f, uint32_t index);
struct shv_slot_shm *slot_for(const struct fixture *f, const void *p);
uint64_t *header_of(void *p);
uint64_t *lock_of(void *p);
struct shv_string_shm *string_of(shv_value *v);
/* The part that a string names. */
struct shv_slot_shm *text_slot(const struct fixture *f, shv_value *v);
struct shv_text_shm *text_of(const struct fixture *f, shv_value *v);
/* The map's entry of the page where an object's block begins, or one that many pages later. */
uint64_t *entry_of(const struct fixture *f, const void *p, unsigned further);
/* The first page, from `from` on, whose entry is `entry` under `mask`. */
uint64_t page_like(const struct fixture *f, uint64_t from, uint64_t mask, uint64_t entry);
uint32_t process_of(const struct fixture *f, pid_t pid);
/* The name part and the table entry of a published name. */
struct shv_name_shm *name_part(const struct fixture *f, const char *text, uint32_t *slot);
uint64_t *name_entry(const struct fixture *f, uint32_t slot, bool by_target);

#endif
