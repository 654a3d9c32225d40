/* SPDX-License-Identifier: MIT */
/*
 * procs.h -- other processes in a test: starting, ending and killing them, waiting for one another without sleeping, and
 * what every such test asks of an arena afterwards.
 *
 * Nothing here depends on Check, because much of it runs in children: where a test's own process would use
 * ck_assert, a child uses NEED, which prints and ends the process with status NEED_FAILED. Children of a test stay in
 * its process group, which Check kills when the test is over.
 */
#ifndef TESTS_SUPPORT_PROCS_H
#define TESTS_SUPPORT_PROCS_H

#include <shv/shv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NEED_FAILED 99

/* Ends the process unless cond holds. The rest is a printf format with arguments. errno and shv_errmsg() are shown too. */
#define NEED(cond, ...)                                               \
	do {                                                          \
		if (!(cond))                                          \
			need_failed(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)
__attribute__((noreturn, format(printf, 3, 4))) void need_failed(const char *file, int line, const char *format, ...);

/* ---- processes ---- */

/* A child that runs body(arg) and ends with what that returns, by _exit. It dies with the thread that started it. */
pid_t start(int (*body)(void *arg), void *arg);
/* Waits for it: its exit status, or minus the signal that killed it. */
int finish(pid_t pid);
/* Kills it with SIGKILL and waits. It must have been alive. */
void slay(pid_t pid);
/* Waits until the child has stopped (SIGSTOP, or a trace stop). */
void await_stop(pid_t pid);

/* ---- meeting points, in memory that forked processes share ---- */

void *shared_memory(size_t size); /* zeroed; stays until the process ends */
void shared_release(void *p, size_t size);

/* A word that only grows. Reaching a count wakes those who wait for it. */
struct gate {
	uint32_t word;
};
void gate_add(struct gate *g, uint32_t n);
void gate_wait(struct gate *g, uint32_t at_least);
uint32_t gate_now(const struct gate *g);
/* The same for n parties at once: nobody goes on before all are there. Good for any number of rounds. */
struct meeting {
	struct gate arrived;
	uint32_t parties;
};
void meet(struct meeting *m);

/* ---- chance ---- */

struct rng {
	uint64_t state;
};
/* The seed of this run: SHV_TEST_SEED, or another one each time. Printed, so that a failing run can be repeated. */
uint64_t test_seed(const char *what);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* n > 0 */

/* ---- arenas ---- */

/* An arena with these many process slots (0 = default), for a test. */
shv_arena *new_arena(const char *name, unsigned max_processes);
/* Runs shv_check(); its findings are printed, and the process ends if there are any. */
void need_sound(shv_arena *a, const char *when);
struct shv_stat stat_of(shv_arena *a);
/* Pages that are neither free nor system: owned, orphaned, directory. */
uint64_t pages_used(const struct shv_stat *st);
/* Every live object is freed (not lock objects): how many. */
uint64_t free_everything(shv_arena *a);
/* A descriptor that programs started by exec inherit. */
int inheritable_fd(shv_arena *a);

/* ---- leftovers of this process ---- */

unsigned open_descriptors(void);
unsigned mappings(void); /* under a sanitizer, which maps memory as it likes: those of files only */

#endif
