/* SPDX-License-Identifier: MIT */
/*
 * What several commands count: objects by type, size, creator; pages by owner; locks by state.
 *
 * An arena in use changes while it is counted. A process counts what it makes and frees, so the sum of these counts
 * before and after tells whether figures are of one moment: look() counts again, a few times, until they are, and says
 * in `approximate` if they never were.
 */
#ifndef SHV_TOOLS_LOOK_H
#define SHV_TOOLS_LOOK_H

#include "tools/term.h"

#include <shv/shv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LOOK_RUNS = 1 << 0,       /* the page map */
	LOOK_OBJECTS = 1 << 1,    /* types, leaks, sizes, and what processes own and made */
	LOOK_LOCKS = 1 << 2,
	LOOK_HURRY = 1 << 3       /* do not count again: for those that come back anyway */
};

struct look_process {
	struct shv_process_info p;
	uint64_t objects, object_bytes; /* on its pages */
	uint64_t made, made_bytes;      /* it made */
};

struct look_type {
	struct shv_type_info t;
	uint64_t objects, bytes, payload; /* bytes: of the blocks */
	uint64_t leaked, leaked_bytes;    /* of these: creator gone */
};

/* Objects whose creator is gone, of one type, kind and size. */
struct look_leak {
	uint32_t type;
	enum shv_kind kind;
	uint64_t block;
	uint64_t objects, named, abandoned;
	shv_ref example;
	uint32_t next;            /* of those that fall into the same place of leak_heads, index + 1; 0 = last */
};
#define LOOK_LEAK_HEADS 4096u

#define LOOK_SIZES 44u            /* powers of two up to the largest capacity */

struct look {
	shv_arena *a;
	struct shv_stat st;
	bool approximate;
	struct look_process *processes;
	size_t processes_n;
	struct shv_run_info *runs;
	size_t runs_n, runs_room;
	uint64_t free_runs, longest_free; /* pages */
	uint64_t orphan_blocks;
	uint64_t runs_by_size[LOOK_SIZES]; /* free runs of 2^i pages up to the next power */
	struct look_type *types;  /* those that the arena knows, by id */
	size_t types_n;
	struct look_leak *leaks;
	size_t leaks_n, leaks_room;
	uint32_t *leak_heads;     /* LOOK_LEAK_HEADS */
	uint64_t leaked, leaked_bytes;
	uint64_t by_size[LOOK_SIZES]; /* objects with blocks of 2^i bytes up to the next power */
	uint64_t locks, held, waited, abandoned, condemned;
};

/* Fill *l. 0, or a negative errno with its sentence. */
int look(struct look *l, shv_arena *a, unsigned what);
void look_free(struct look *l);

/* Room for one more element of `size` bytes behind n of them; array: address of the pointer. 0 or -ENOMEM. */
int look_grow(void *array, size_t n, size_t *room, size_t size);

/* A number that is another one when something was made, freed, attached or ended in between. */
uint64_t look_generation(shv_arena *a);

/* The process of a slot of the process table; NULL if there is none. */
const struct look_process *look_process(const struct look *l, uint32_t slot);
/* The type of an id, NULL if the arena has none of it. */
struct look_type *look_type(const struct look *l, uint32_t id);
/* Percent, 0 of nothing. */
double look_percent(uint64_t part, uint64_t whole);
const char *look_state_name(enum shv_page_state state);
/* Which of the powers of two a number belongs to: 0 for 1, 4 for 16 to 31. */
unsigned look_power(uint64_t n);

#endif /* SHV_TOOLS_LOOK_H */
