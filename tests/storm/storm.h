/* SPDX-License-Identifier: MIT */
/*
 * storm.h -- what the tester and the workers of the kill storm share: the board, in plain shared memory beside the arena.
 *
 *   cells   one value each: who wants to do something with it claims it. That makes the order of what happens to one
 *           value known; different values, counters, pairs, names and all that lies beneath are used at the same time by all.
 *   logs    one for each actor (a worker's thread): what it is about to do, and that it has done it
 *   history the tester's own, in private memory: made from the logs, compared with the arena
 *
 * The content of a value follows from its identity and its version alone: word 0 is identity << 16 | version, the other words
 * are made from it. So whatever is found in the arena says what it is, and whether it is whole.
 */
#ifndef TESTS_STORM_STORM_H
#define TESTS_STORM_STORM_H

#include "support/procs.h"

#include <shv/shv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CELLS 1500u
#define LOG_SIZE 4096u
#define MAX_WORKERS 16u
#define ACTORS_EACH 2u
#define MAX_ACTORS (MAX_WORKERS * ACTORS_EACH)
#define COUNTERS 6u
#define PAIRS 4u
#define TEXTS 5u            /* strings; the last one has no lock */
#define COMMON_LOCKS 3u     /* that values share; the last pair has one to itself */
#define LOCKS (COMMON_LOCKS + 1)
#define LAST_VERSION 50000u
#define MAX_ITEMS 20000u

/* ---- values ---- */

enum kind {
	KIND_RAW,
	KIND_RECURSIVE,
	KIND_NONE,
	KIND_PLAIN,
	KIND_SHARED,
	KIND_ARRAY_PLAIN,
	KIND_ARRAY_HANDOFF,
	KIND_ARRAY_RECURSIVE,
	KIND_RAW_ARRAY,
	KINDS
};

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	return x ^ x >> 29;
}
static inline enum kind kind_of(uint64_t id)
{
	return (enum kind)(mix(id) % KINDS);
}
static inline bool is_array(enum kind k)
{
	return k >= KIND_ARRAY_PLAIN;
}
static inline bool is_raw(enum kind k)
{
	return k == KIND_RAW || k == KIND_RAW_ARRAY;
}
static inline bool has_own_lock(enum kind k)
{
	return !is_raw(k) && k != KIND_NONE && k != KIND_SHARED;
}
static inline unsigned lock_of(uint64_t id)
{
	return (unsigned)(mix(id) >> 40) % COMMON_LOCKS;
}
/* Mostly small; some fill pages, a few have extents of their own. */
static inline size_t items_of(uint64_t id)
{
	uint64_t dice = mix(id + 1);

	if (!is_array(kind_of(id)))
		return 1;
	if (dice % 64 == 0)
		return 1 + (dice >> 8) % MAX_ITEMS;
	return 1 + (dice >> 8) % (dice % 8 ? 40 : 900);
}
static inline uint64_t word_of(uint64_t id, uint32_t version, size_t i)
{
	uint64_t first = id << 16 | version;

	return i ? mix(first + i) : first;
}

/* A text has as many of its letters as were appended since the last look. */
static inline char letter_of(unsigned text)
{
	return (char)('a' + text);
}

/* ---- the board ---- */

enum op { OP_NOTHING, OP_CREATE, OP_FREE, OP_SET, OP_PUBLISH, OP_UNPUBLISH, OP_VISIT, OP_COUNT, OP_PAIR, OP_PAIRS, OP_TEXT, OPS };
enum phase { PHASE_BEGUN, PHASE_DONE, PHASE_REFUSED };

struct record {
	uint64_t seq;       /* in the order of all logs */
	uint8_t op, phase;
	uint32_t cell;      /* or counter, pair, text; OP_PAIRS: a bit for each */
	uint32_t version;   /* OP_SET: the one that it becomes */
	uint64_t id, ref;
};

struct log {
	uint32_t head;      /* records written; the worker's */
	uint32_t tail;      /* records read; the tester's */
	uint32_t paused;    /* the pause that the actor is in, or was in last; the worker's */
	uint32_t ended;     /* it has ended its life by itself; the worker's */
	struct record record[LOG_SIZE];
};

struct cell {
	uint32_t claim;     /* number of the actor that is at it; 0 = nobody. atomic */
	uint32_t version;
	uint64_t id;        /* 0: empty */
	shv_ref ref;
	bool named;
	bool torn;          /* somebody was told that the last holder of its lock died */
};

struct board {
	uint64_t seq;       /* atomic */
	struct gate pause;  /* grows: a pause is wanted when odd */
	struct gate paused; /* grows with each actor that begins to wait, or ends */
	bool stop;          /* everybody ends */
	shv_ref counters[COUNTERS], pairs[PAIRS], texts[TEXTS], locks[LOCKS];
	struct cell cells[CELLS];
	struct log logs[MAX_ACTORS];
};

/* What a worker is told. */
struct orders {
	unsigned worker;
	unsigned actors;    /* threads, 1 or 2 */
	uint32_t number[ACTORS_EACH]; /* of each actor: never used before */
	uint64_t seed;
	unsigned lives;     /* operations, then it goes by itself; 0: until it is killed */
	bool detach;        /* then */
};

/* A worker's life in this process. The arena's attachment is `a`. Returns its exit status. */
int work(shv_arena *a, struct board *board, const struct orders *orders);

#endif
