/* SPDX-License-Identifier: MIT */
/*
 * What the files of the benchmark know of one another: who is measured (struct peer), at what (enum what, struct pass), and where the
 * figures go (record()). C and C++.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- time and checks ------------------------------------------------------------------------------------ */

double now_ns(void);              /* CLOCK_MONOTONIC */
double spent_ns(void);            /* of processor time of this thread: what others use meanwhile does not count */
double page_faults(void);         /* of this process so far */
void need(bool ok, const char *what, ...) __attribute__((format(printf, 2, 3)));
void say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* progress, on stderr */

/* ---- options of the run --------------------------------------------------------------------------------- */

extern bool quick;                /* --quick: small sizes, few passes */
extern int passes;
extern const char *self_path;     /* of this program */

/* ---- making and freeing ---------------------------------------------------------------------------------- */

enum what { RAW, MIXED, LOCKED, WHATS };
extern const char *const what_name[WHATS];

#define BATCH 100000              /* live at once in a batch, and replacements of a churn */
#define LIVE 10000                /* live at once in a churn */
#define LOCKED_FLOOR 48           /* bytes of a value with its own lock, and of what it is compared with */

/* How much of it, and where the pointers are kept meanwhile. */
struct pass {
	void **slot;              /* room for `batch` and for `live` */
	long batch, live, rounds;
};
struct pass pass_new(long batch, long live, long rounds);
void pass_end(struct pass *s);

/* Chosen once at random: which of LIVE to replace, and bytes of a mixed object. Read modulo BATCH. */
extern uint16_t victim[BATCH];
extern uint16_t mixed_size[BATCH];

struct timing {
	double make, drop, pair;  /* ns each */
};

/* The work on one kind of object, as loops.h writes it for a peer. */
struct loops {
	void (*batch)(const struct pass *s, struct timing *t); /* make all, then free all in that order */
	void (*churn)(const struct pass *s, struct timing *t); /* replace random ones among those that live */
	void (*fill)(void **slot, long n);
	void (*empty)(void **slot, long n);
};

struct peer {
	const char *name;
	const char *(*open)(void);    /* NULL, or why it cannot be measured */
	void (*close)(void);
	void (*enter)(void);          /* this thread begins to use it; may be NULL */
	void (*leave)(void);
	void (*forked)(void);         /* in a forked child, before it is used there; may be NULL */
	struct loops loops[WHATS];    /* .batch NULL: it has no such object */
	void (*ask)(struct peer *p, enum what what, bool churn, const struct pass *s, struct timing *t); /* instead: another process does it */
	bool threads, processes;      /* two may use it at once */
	long most;                    /* objects at once, 0: any number */
	const char *missing;          /* what open() said */
	void *own;
};

extern struct peer peer_shv, peer_jemalloc, peer_memfd_bound, peer_memfd_cached, peer_memfd_uncached, peer_glibc, peer_debian, peer_boost,
	peer_boost_node, peer_boost_private_node, peer_boost_adaptive, peer_boost_private_adaptive, peer_pmemobj, peer_memkind, peer_cpython,
	peer_cpython_none;
extern struct peer *const peers[];
extern const int n_peers;

void peer_run(struct peer *p, enum what what, bool churn, const struct pass *s, struct timing *t);
int serve(const char *name);       /* what `bench --serve NAME` does: answers ask() */

/* ---- figures -------------------------------------------------------------------------------------------------- */

/* One sample of a measurement; figures of one work are compared with that of its base. */
void record(const char *work, const char *peer, double v);
/* Median of the samples, or NAN. */
double figure(const char *work, const char *peer);
/* Median of sample by sample ratios, or NAN. */
double ratio(const char *work, const char *peer, const char *to_work, const char *to_peer);
double best_ratio(const char *work, const char *peer, const char *to_work, const char *to_peer); /* of the best samples */
void print_tables(void);
void print_targets(void);
void print_json(FILE *f);
void remark(const char *format, ...) __attribute__((format(printf, 1, 2))); /* goes below the tables and into the JSON */

/* ---- groups of measurements, one file each or a few -------------------------------------------------------------- */

void group_alloc(void);
void group_parallel(void);
void group_foreign(void);
void group_locks(void);
void group_access(void);
void group_names(void);
void group_sizes(void);
void group_attach(void);
void group_lives(void);
void group_dump(void);
void group_instructions(void);

/* Runs f in this process and in a forked one (or a thread) at once: ns from the start of both to the end of the later. One side alone: its
 * processor time. */
typedef void (*side_function)(int side, void *ctx);
/* Processor time of that side of the last two_sides() that took more: for sides that never wait, as if each had a processor for itself. */
extern double busier_side;
double two_sides(bool threads, int sides, side_function before, side_function run, void *ctx);

/* What Boost, libpmemobj and jemalloc over a memfd do beyond making and freeing; NAN or false where it is not there. */
double boost_increment(long n, long *sum);  /* ns each, of the shared one; *sum: what it counts after */
double boost_find(long names, long n);      /* ns each, the best of a few */
double boost_attach(long values);           /* ns */
double boost_cold(void);
double boost_bytes(long values, bool locked);
double pmemobj_attach(long values);
double pmemobj_cold(void);
double pmemobj_bytes(long values, bool locked);
bool pmemobj_leave_pool(const char *path, long values); /* for pmempool to look at */
double memfd_bytes(long values, bool locked);
double memfd_create_each(long values);      /* ns, in a fresh arena */
double cpython_increment(int sides);        /* ns each */

#ifdef __cplusplus
}
#endif
#endif /* BENCH_H */
