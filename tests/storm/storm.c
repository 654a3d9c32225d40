/* SPDX-License-Identifier: MIT */
/*
 * The kill storm: workers create, free, change, lock and name values while members are killed at random moments and
 * replaced. The tester knows from their logs what must be in the arena, and looks again and again, when nobody is moving:
 *
 *   - each value whose creation was acknowledged, and whose freeing was not begun, is there, with the content of its
 *     version; where a dead actor had begun something, before or after it, or half of it if the lock tells of the death
 *   - nothing else is there; names lead where they should; counters and pairs have as much as was acknowledged, and at
 *     the most one for each death more
 *   - texts have as many letters as were acknowledged, and at the most one for each death more
 *   - shv_check() finds nothing, nor in a snapshot that is taken while everybody is moving
 *   - in the end, when everything is freed, all pages are back
 *
 * Options: --break=WHAT damages something behind the history's back, to show that the tester sees it: lost, content, extra,
 * total, pair, text, name, lock, page. --help. Environment: STORM_SECONDS (60), STORM_KILLS (no limit), STORM_WORKERS (3), STORM_SEED.
 * Exit status: 0 = no finding, 1 = a finding, 2 = the storm could not be run.
 */
#define _GNU_SOURCE

#include "storm/storm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 8u            /* process slots of the arena: few, so that they are used again and again */
#define KILLS_BETWEEN 40u   /* kills between two looks */
#define PATIENCE 30         /* seconds without any progress that count as a hang */

extern char **environ;

/* What happened to one cell, as far as the logs tell. */
struct fate {
	uint64_t id;        /* 0: empty */
	shv_ref ref;
	uint32_t version;
	bool named;
};

/* What an actor had begun and not said to be done. */
struct pending {
	struct record r;
	bool is;
};

struct worker {
	pid_t pid;          /* 0: none */
	struct orders orders;
	bool stopped;
};

struct record_list {
	struct record *v;
	size_t n, cap;
};

static struct storm {
	uint64_t seed;
	unsigned workers, seconds;
	uint64_t kills_wanted;
	const char *damage;
	struct rng rng;
	shv_arena *a, *look;
	int arena_fd, board_fd;
	struct board *b;
	struct worker worker[MAX_WORKERS];
	uint32_t numbers;
	struct shv_stat before;
	struct timespec began;

	/* The history. */
	struct fate fate[CELLS];
	struct record_list unread[MAX_ACTORS]; /* read from the logs, not applied yet */
	uint32_t counted[COUNTERS], paired[PAIRS], written[TEXTS]; /* since the last look */
	char image[64];     /* path of snapshots */
	uint64_t counter_base[COUNTERS], pair_base[PAIRS];
	struct pending pending[MAX_ACTORS];
	struct { struct pending p; uint32_t number; } dead[4096];
	unsigned dead_n;

	uint64_t kills, looks, snapshots, operations, uncertain, stops, adopted;
} s;

/* ---- findings ------------------------------------------------------------------------------------------ */

static double seconds_gone(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - s.began.tv_sec) + (double)(now.tv_nsec - s.began.tv_nsec) / 1e9;
}

static void kill_all(void)
{
	for (unsigned w = 0; w < s.workers; w++)
		if (s.worker[w].pid) {
			kill(s.worker[w].pid, SIGKILL);
			waitpid(s.worker[w].pid, NULL, 0);
			s.worker[w].pid = 0;
		}
}

__attribute__((noreturn, format(printf, 1, 2))) static void finding(const char *format, ...)
{
	va_list args;

	printf("storm: FOUND after %llu kills, %.1f s, seed %llu: ", (unsigned long long)s.kills, seconds_gone(),
	       (unsigned long long)s.seed);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	if (getenv("STORM_HOLD")) { /* for a debugger: everybody stays as he is */
		for (unsigned w = 0; w < s.workers; w++)
			if (s.worker[w].pid)
				printf("storm: worker %u is process %d\n", w, (int)s.worker[w].pid);
		fflush(stdout);
		pause();
	}
	kill_all();
	unlink(s.image);
	_exit(1);
}

static void on_check(void *ctx, const char *what)
{
	printf("shv_check, %s: %s\n", (const char *)ctx, what);
}

static void check(const char *when)
{
	int n = shv_check(s.look, on_check, (void *)(uintptr_t)when);

	if (n)
		finding("%s: shv_check returned %d", when, n);
}

/* ---- workers ------------------------------------------------------------------------------------------- */

static void exec_worker(const struct orders *o)
{
	char text[8][24], *argv[11] = { (char *)"storm", (char *)"--worker" };
	const uint64_t values[8] = { (uint64_t)dup(s.arena_fd), (uint64_t)dup(s.board_fd), o->worker, o->actors, o->number[0], o->number[1],
				     o->seed, o->lives << 1 | o->detach };

	for (int i = 0; i < 8; i++) {
		snprintf(text[i], sizeof(text[i]), "%llu", (unsigned long long)values[i]);
		argv[i + 2] = text[i];
	}
	argv[10] = NULL;
	execve("/proc/self/exe", argv, environ);
	NEED(false, "execve");
}

/* In the child: one of three ways to become a member. */
__attribute__((noreturn)) static void become_worker(const struct orders *o)
{
	shv_arena *a = s.a;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	switch (o->seed % 5) {
	case 0:
		exec_worker(o);
		break;
	case 1:
		a = shv_arena_attach(s.arena_fd, 0);
		NEED(a, "attach");
		break;
	}
	_exit(work(a, s.b, o));
}

static void start_worker(unsigned w)
{
	struct orders *o = &s.worker[w].orders;
	pid_t pid;

	*o = (struct orders){ .worker = w, .actors = 1 + rng_next(&s.rng) % 3 / 2, .seed = rng_next(&s.rng) };
	for (unsigned i = 0; i < ACTORS_EACH; i++) {
		struct log *log = &s.b->logs[w * ACTORS_EACH + i];
		o->number[i] = ++s.numbers;
		log->head = log->tail = log->paused = log->ended = 0;
	}
	if (rng_below(&s.rng, 10) == 0) {
		o->lives = 1 + (unsigned)rng_below(&s.rng, 2000);
		o->detach = rng_next(&s.rng) % 2;
	}
	pid = fork();
	NEED(pid >= 0, "fork");
	if (!pid)
		become_worker(o);
	s.worker[w].pid = pid;
	s.worker[w].stopped = false;
}

static int worker_main(char **argv)
{
	struct orders o = { .worker = (unsigned)atoi(argv[2]), .actors = (unsigned)atoi(argv[3]), .seed = strtoull(argv[6], NULL, 10) };
	unsigned lives = (unsigned)strtoul(argv[7], NULL, 10);
	struct board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
	shv_arena *a;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	NEED(b != MAP_FAILED, "mapping the board");
	o.number[0] = (uint32_t)strtoul(argv[4], NULL, 10);
	o.number[1] = (uint32_t)strtoul(argv[5], NULL, 10);
	o.lives = lives >> 1;
	o.detach = lives & 1;
	a = shv_arena_attach(atoi(argv[0]), 0);
	NEED(a, "attach");
	return work(a, b, &o);
}

/* ---- reading the logs ------------------------------------------------------------------------------------ */

static void keep(struct record_list *l, const struct record *r)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 1024;
		l->v = realloc(l->v, l->cap * sizeof(*l->v));
		NEED(l->v, "no memory for the history");
	}
	l->v[l->n++] = *r;
}

static void read_log(unsigned actor)
{
	struct log *log = &s.b->logs[actor];
	uint32_t head = __atomic_load_n(&log->head, __ATOMIC_ACQUIRE);

	while (log->tail != head) {
		keep(&s.unread[actor], &log->record[log->tail % LOG_SIZE]);
		__atomic_store_n(&log->tail, log->tail + 1, __ATOMIC_RELEASE);
	}
}

static void read_logs(void)
{
	for (unsigned i = 0; i < s.workers * ACTORS_EACH; i++)
		read_log(i);
}

/* The actors of a dead worker: what is unfinished now stays so. Its records are kept apart, for the slot is used again. */
static struct record_list of_the_dead;

static void bury(unsigned w)
{
	for (unsigned i = 0; i < ACTORS_EACH; i++) {
		unsigned actor = w * ACTORS_EACH + i;
		struct record_list *l = &s.unread[actor];
		struct pending p = s.pending[actor];

		read_log(actor);
		for (size_t k = 0; k < l->n; k++) {
			p.is = l->v[k].phase == PHASE_BEGUN;
			p.r = l->v[k];
			keep(&of_the_dead, &l->v[k]);
		}
		l->n = 0;
		s.pending[actor].is = false;
		if (s.dead_n < sizeof(s.dead) / sizeof(s.dead[0])) {
			s.dead[s.dead_n].p = p;
			s.dead[s.dead_n++].number = s.worker[w].orders.number[i];
		}
	}
	s.worker[w].pid = 0;
}

/* It ended by itself, or by a failed NEED. */
static bool reap(unsigned w)
{
	int status;
	pid_t pid = s.worker[w].pid ? waitpid(s.worker[w].pid, &status, WNOHANG) : 0;

	if (!pid)
		return false;
	NEED(pid == s.worker[w].pid, "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		finding("worker %u (process %d) ended with %s %d", w, (int)pid, WIFEXITED(status) ? "status" : "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	bury(w);
	return true;
}

static void kill_worker(unsigned w)
{
	if (!s.worker[w].pid || reap(w))
		return;
	kill(s.worker[w].pid, SIGKILL);
	waitpid(s.worker[w].pid, NULL, 0);
	bury(w);
	s.kills++;
}

/* ---- waiting ------------------------------------------------------------------------------------------------ */

static uint64_t progress(void)
{
	return __atomic_load_n(&s.b->seq, __ATOMIC_ACQUIRE);
}

static void show_hang(void)
{
	char path[64], text[128];

	for (unsigned w = 0; w < s.workers; w++) {
		ssize_t n = 0;
		int fd;
		snprintf(path, sizeof(path), "/proc/%d/wchan", (int)s.worker[w].pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			n = read(fd, text, sizeof(text) - 1);
			close(fd);
		}
		text[n > 0 ? n : 0] = 0;
		printf("storm: worker %u, process %d, %u actors, waits in %s\n", w, (int)s.worker[w].pid, s.worker[w].orders.actors,
		       *text ? text : "?");
	}
}

static void short_nap(void)
{
	nanosleep(&(struct timespec){ 0, 100000 }, NULL);
}

/* Until so many records more have been written; they may be fewer if too few workers are left. */
static void wait_for_progress(uint64_t records)
{
	uint64_t from = progress(), last = from;
	double since = seconds_gone();

	while (progress() - from < records) {
		read_logs();
		for (unsigned w = 0; w < s.workers; w++)
			if (reap(w))
				start_worker(w);
		if (progress() != last) {
			last = progress();
			since = seconds_gone();
		} else if (seconds_gone() - since > 0.05) {
			for (unsigned w = 0; w < s.workers; w++)
				if (s.worker[w].stopped)
					return; /* it may hold what the others want */
		}
		if (seconds_gone() - since > PATIENCE) {
			show_hang();
			finding("nobody has done anything for %d s", PATIENCE);
		}
		short_nap();
	}
}

static void wake_stopped(void)
{
	for (unsigned w = 0; w < s.workers; w++)
		if (s.worker[w].stopped) {
			kill(s.worker[w].pid, SIGCONT);
			s.worker[w].stopped = false;
		}
}

static bool is_paused(unsigned w, uint32_t pause)
{
	for (unsigned i = 0; i < s.worker[w].orders.actors; i++) {
		struct log *log = &s.b->logs[w * ACTORS_EACH + i];
		if (__atomic_load_n(&log->paused, __ATOMIC_ACQUIRE) != pause && !__atomic_load_n(&log->ended, __ATOMIC_ACQUIRE))
			return false;
	}
	return true;
}

static void pause_all(void)
{
	double since = seconds_gone();
	uint32_t pause;

	wake_stopped();
	gate_add(&s.b->pause, 1);
	pause = gate_now(&s.b->pause);
	for (unsigned w = 0; w < s.workers;) {
		read_logs();
		if (!s.worker[w].pid || reap(w) || is_paused(w, pause)) {
			w++;
			continue;
		}
		if (seconds_gone() - since > PATIENCE) {
			show_hang();
			finding("worker %u does not pause", w);
		}
		short_nap();
	}
	read_logs();
}

static void go_on(void)
{
	gate_add(&s.b->pause, 1);
	for (unsigned w = 0; w < s.workers; w++)
		if (!s.worker[w].pid)
			start_worker(w);
}

/* ---- the history ---------------------------------------------------------------------------------------------- */

static int by_seq(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void apply(const struct record *r)
{
	struct fate *f = &s.fate[r->cell % CELLS];

	s.operations++;
	if (r->phase != PHASE_DONE)
		return;
	switch (r->op) {
	case OP_CREATE:
		*f = (struct fate){ .id = r->id, .ref = r->ref };
		break;
	case OP_FREE:
		f->id = 0;
		break;
	case OP_SET:
		f->version = r->version;
		break;
	case OP_PUBLISH:
	case OP_UNPUBLISH:
		f->named = r->op == OP_PUBLISH;
		break;
	case OP_COUNT:
		s.counted[r->cell]++;
		break;
	case OP_PAIR:
		s.paired[r->cell]++;
		break;
	case OP_PAIRS:
		for (unsigned k = 0; k < PAIRS; k++)
			s.paired[k] += r->cell >> k & 1;
		break;
	case OP_TEXT:
		s.written[r->cell]++;
		break;
	}
}

/* All that was said so far, in the order in which it happened. */
static void apply_logs(void)
{
	struct record_list all = of_the_dead;

	for (unsigned i = 0; i < s.workers * ACTORS_EACH; i++) {
		struct record_list *l = &s.unread[i];
		for (size_t k = 0; k < l->n; k++) {
			s.pending[i].is = l->v[k].phase == PHASE_BEGUN;
			s.pending[i].r = l->v[k];
			keep(&all, &l->v[k]);
		}
		l->n = 0;
		if (s.pending[i].is)
			finding("actor %u is in a pause and in the middle of operation %u", i, s.pending[i].r.op);
	}
	qsort(all.v, all.n, sizeof(*all.v), by_seq);
	for (size_t k = 0; k < all.n; k++)
		apply(&all.v[k]);
	of_the_dead = all;
	of_the_dead.n = 0;
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

/* All objects by the identity that their content names. */
struct entry {
	uint64_t id;
	shv_ref ref;
};
static struct { struct entry *v; size_t n, cap; } found;

static int by_id(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static bool is_fixture(shv_ref ref)
{
	for (unsigned i = 0; i < COUNTERS; i++)
		if (s.b->counters[i] == ref)
			return true;
	for (unsigned i = 0; i < PAIRS; i++)
		if (s.b->pairs[i] == ref)
			return true;
	for (unsigned i = 0; i < TEXTS; i++)
		if (s.b->texts[i] == ref)
			return true;
	return false;
}

static void list_objects(void)
{
	struct shv_value_info info = { .size = sizeof(info) };
	uint64_t cursor = 0;
	int r;

	found.n = 0;
	while ((r = shv_value_next(s.look, &cursor, &info)) == 1) {
		uint64_t *p = shv_deref(s.a, info.ref);
		if (info.kind == SHV_KIND_LOCK || is_fixture(info.ref))
			continue;
		if (!p)
			finding("an object that is listed cannot be found by its reference");
		if (found.n == found.cap) {
			found.cap = found.cap ? found.cap * 2 : 4096;
			found.v = realloc(found.v, found.cap * sizeof(*found.v));
			NEED(found.v, "no memory");
		}
		found.v[found.n++] = (struct entry){ p[0] >> 16, info.ref };
	}
	if (r)
		finding("shv_value_next returned %d", r);
	qsort(found.v, found.n, sizeof(*found.v), by_id);
	for (size_t i = 1; i < found.n; i++)
		if (found.v[i].id == found.v[i - 1].id)
			finding("two objects say that they are value %llx", (unsigned long long)found.v[i].id);
}

static shv_ref find_by_id(uint64_t id)
{
	struct entry key = { .id = id }, *e = bsearch(&key, found.v, found.n, sizeof(*found.v), by_id);

	return e ? e->ref : 0;
}

static bool whole(const uint64_t *p, uint64_t id, uint32_t version)
{
	for (size_t i = 0; i < items_of(id); i++)
		if (p[i] != word_of(id, version, i))
			return false;
	return true;
}

/* Word by word of either version: what a writer that was killed leaves. */
static bool half(const uint64_t *p, uint64_t id, uint32_t version)
{
	for (size_t i = 0; i < items_of(id); i++)
		if (p[i] != word_of(id, version, i) && p[i] != word_of(id, version + 1, i))
			return false;
	return true;
}

static void name_text(uint64_t id, char text[40])
{
	snprintf(text, 40, "v%llx", (unsigned long long)id);
}

/* The lock of a value must be free now; `excuse`: somebody may have died holding it. Returns whether that is told. */
static bool take_and_give(shv_value *v, uint64_t id, bool excuse)
{
	int r = shv_try_acquire(v);

	if (r < 0 || (r == SHV_RECOVERED && !excuse))
		finding("the lock of value %llx: %d, though %s", (unsigned long long)id, r, excuse ? "nobody lives who could hold it" : "nobody died holding it");
	if (shv_release(v))
		finding("the lock of value %llx cannot be released", (unsigned long long)id);
	return r == SHV_RECOVERED;
}

/* A cell that a dead actor had claimed: what it had begun happened, or did not. */
static void settle(unsigned k, const struct pending *p)
{
	struct fate *f = &s.fate[k];
	char text[40];
	bool told, torn = __atomic_load_n(&s.b->cells[k].torn, __ATOMIC_ACQUIRE);
	uint64_t *x;

	if (p->is && p->r.op == OP_CREATE) {
		*f = (struct fate){ .id = p->r.id, .ref = find_by_id(p->r.id) };
		if (!f->ref)
			f->id = 0;
		s.adopted += f->id != 0;
	}
	if (!f->id)
		return;
	x = shv_deref(s.a, f->ref);
	if (!x) {
		if (!p->is || p->r.op != OP_FREE)
			finding("value %llx, version %u, is lost (its actor died in operation %u)", (unsigned long long)f->id, f->version,
				p->is ? p->r.op : 0);
		f->id = 0;
		return;
	}
	if (x[0] >> 16 != f->id)
		finding("value %llx holds %llx", (unsigned long long)f->id, (unsigned long long)x[0]);
	told = !is_raw(kind_of(f->id)) && take_and_give((shv_value *)x, f->id, true);
	if (p->is && p->r.op == OP_SET && !whole(x, f->id, f->version)) {
		bool excuse = told || torn || kind_of(f->id) == KIND_RAW_ARRAY || kind_of(f->id) == KIND_SHARED;
		if (!whole(x, f->id, f->version + 1) && !(half(x, f->id, f->version) && excuse))
			finding("value %llx, version %u to %u, was left in pieces%s", (unsigned long long)f->id, f->version, f->version + 1,
				excuse ? "" : ", and nobody is told");
		f->version++;
		for (size_t i = 0; i < items_of(f->id); i++)
			x[i] = word_of(f->id, f->version, i);
	}
	if (p->is && (p->r.op == OP_PUBLISH || p->r.op == OP_UNPUBLISH)) {
		name_text(f->id, text);
		f->named = shv_find(s.a, text) != NULL;
	}
}

/* What dead actors had begun with cells, counters and pairs. */
static void settle_the_dead(uint32_t maybe_counted[COUNTERS], uint32_t maybe_paired[PAIRS], uint32_t maybe_written[TEXTS], bool visited[CELLS])
{
	for (unsigned i = 0; i < s.dead_n; i++) {
		const struct pending *p = &s.dead[i].p;
		s.uncertain += p->is;
		if (p->is && p->r.op == OP_COUNT)
			maybe_counted[p->r.cell]++;
		if (p->is && p->r.op == OP_PAIR)
			maybe_paired[p->r.cell]++;
		for (unsigned k = 0; p->is && p->r.op == OP_PAIRS && k < PAIRS; k++)
			maybe_paired[k] += p->r.cell >> k & 1;
		if (p->is && p->r.op == OP_TEXT)
			maybe_written[p->r.cell]++;
		if (p->is && p->r.op == OP_VISIT)
			visited[p->r.cell] = true;
	}
	for (unsigned k = 0; k < CELLS; k++) {
		struct cell *c = &s.b->cells[k];
		const struct pending none = { .is = false }, *p = &none;
		if (!c->claim)
			continue;
		for (unsigned i = 0; i < s.dead_n; i++)
			if (s.dead[i].number == c->claim && s.dead[i].p.is && s.dead[i].p.r.op <= OP_UNPUBLISH && s.dead[i].p.r.cell == k)
				p = &s.dead[i].p;
		settle(k, p);
		visited[k] = true; /* whoever died may have held its lock without having said anything: reading is not logged */
		*c = (struct cell){ .id = s.fate[k].id, .ref = s.fate[k].ref, .version = s.fate[k].version, .named = s.fate[k].named };
	}
}

static void compare_cell(unsigned k, bool excuse)
{
	const struct fate *f = &s.fate[k];
	char text[40];
	uint64_t *x;

	if (!f->id)
		return;
	x = shv_deref(s.a, f->ref);
	if (!x)
		finding("value %llx, version %u, is lost", (unsigned long long)f->id, f->version);
	if (shv_len((shv_value *)x) != items_of(f->id))
		finding("value %llx has %zu items, not %zu", (unsigned long long)f->id, shv_len((shv_value *)x), items_of(f->id));
	if (!whole(x, f->id, f->version))
		finding("value %llx, version %u, has another content: it begins with %llx", (unsigned long long)f->id, f->version,
			(unsigned long long)x[0]);
	if (has_own_lock(kind_of(f->id)))
		take_and_give((shv_value *)x, f->id, excuse);
	name_text(f->id, text);
	if (shv_find(s.a, text) != (f->named ? x : NULL))
		finding("value %llx %s", (unsigned long long)f->id, f->named ? "has lost its name" : "has a name that nobody gave it");
}

static void compare_totals(const uint32_t maybe_counted[COUNTERS], const uint32_t maybe_paired[PAIRS])
{
	for (unsigned k = 0; k < COUNTERS; k++) {
		uint64_t now = 0, least = s.counter_base[k] + s.counted[k];
		int r = shv_get(shv_deref(s.a, s.b->counters[k]), &now, sizeof(now));
		if (r < 0 || now < least || now > least + maybe_counted[k])
			finding("counter %u says %llu; %llu acknowledged, %u not (%d)", k, (unsigned long long)now, (unsigned long long)least,
				maybe_counted[k], r);
		s.counter_base[k] = now;
		s.counted[k] = 0;
	}
	for (unsigned k = 0; k < PAIRS; k++) {
		shv_value *v = shv_deref(s.a, s.b->pairs[k]);
		uint64_t *x = shv_value_data(v), least = s.pair_base[k] + s.paired[k];
		int r = shv_acquire(v);
		if (r < 0 || (x[0] != x[1] && (r != SHV_RECOVERED || x[0] != x[1] + 1)))
			finding("pair %u: %llu and %llu (%d)", k, (unsigned long long)x[0], (unsigned long long)x[1], r);
		x[1] = x[0];
		if (x[0] < least || x[0] > least + maybe_paired[k])
			finding("pair %u says %llu; %llu acknowledged, %u not", k, (unsigned long long)x[0], (unsigned long long)least,
				maybe_paired[k]);
		s.pair_base[k] = x[0];
		s.paired[k] = 0;
		shv_release(v);
	}
}

/* Then they begin again. */
static void compare_texts(const uint32_t maybe_written[TEXTS])
{
	for (unsigned k = 0; k < TEXTS; k++) {
		shv_value *v = shv_deref(s.a, s.b->texts[k]);
		size_t len = 0;
		char *text = shv_string_dup(v, &len);
		if (!text)
			finding("text %u cannot be read: %s", k, shv_errmsg());
		if (len < s.written[k] || len > (size_t)s.written[k] + maybe_written[k])
			finding("text %u has %zu letters; %u acknowledged, %u not", k, len, s.written[k], maybe_written[k]);
		for (size_t i = 0; i < len; i++)
			if (text[i] != letter_of(k))
				finding("text %u: letter %zu of %zu is %d", k, i, len, text[i]);
		free(text);
		if (shv_string_set(v, "") < 0)
			finding("text %u cannot be written: %s", k, shv_errmsg());
		s.written[k] = 0;
	}
}

/* While everybody is moving, dies, or stands still. */
static void take_a_snapshot(void)
{
	shv_arena *image;
	int n, r = shv_arena_snapshot(s.looks % 16 ? s.look : s.a, s.image, 0);

	if (r)
		finding("shv_arena_snapshot returned %d: %s", r, shv_errmsg());
	image = shv_arena_open(s.image, 0);
	if (!image)
		finding("a snapshot cannot be opened: %s", shv_errmsg());
	n = shv_check(image, on_check, (void *)(uintptr_t)"a snapshot");
	if (n)
		finding("shv_check of a snapshot returned %d", n);
	for (unsigned k = 0; k < TEXTS; k++) {
		char *text = shv_string_dup(shv_deref(image, s.b->texts[k]), NULL);
		if (!text)
			finding("text %u cannot be read in a snapshot: %s", k, shv_errmsg());
		for (const char *c = text; *c; c++)
			if (*c != letter_of(k))
				finding("text %u is not whole in a snapshot", k);
		free(text);
	}
	NEED(shv_arena_detach(image) == 0, "detach");
	s.snapshots++;
}

/* ---- showing that it can fail ---------------------------------------------------------------------------------- */

/* One about which nothing is uncertain. */
static struct fate *some_value(const bool visited[CELLS], bool own_lock, bool named)
{
	for (unsigned k = 0; k < CELLS; k++)
		if (s.fate[k].id && !visited[k] && (!own_lock || has_own_lock(kind_of(s.fate[k].id))) && (!named || s.fate[k].named))
			return &s.fate[k];
	printf("storm: nothing there to damage\n");
	_exit(2);
}

/* Something that a process does before it dies. */
static void in_a_child(bool (*deed)(const struct fate *), const struct fate *f)
{
	int status;
	pid_t pid = fork();

	NEED(pid >= 0, "fork");
	if (!pid)
		_exit(deed(f) ? 0 : 1);
	NEED(waitpid(pid, &status, 0) == pid && !status, "damaging");
}

static bool take_a_lock(const struct fate *f)
{
	return shv_acquire(shv_deref(s.a, f->ref)) == 0;
}

static bool make_a_value(const struct fate *f)
{
	(void)f;
	return shv_raw_new(s.a, SHV_UINT64, NULL);
}

static void do_damage(const bool visited[CELLS])
{
	const char *what = s.damage;
	char text[40], letters[1000];
	uint64_t *x;

	if (!what || !strcmp(what, "page"))
		return;
	s.damage = NULL;
	if (!strcmp(what, "lost")) {
		shv_value_free(shv_deref(s.a, some_value(visited, true, false)->ref));
	} else if (!strcmp(what, "content")) {
		x = shv_deref(s.a, some_value(visited, false, false)->ref);
		x[0] ^= 1;
	} else if (!strcmp(what, "extra")) {
		(void)shv_raw_new(s.a, SHV_UINT64, NULL);
	} else if (!strcmp(what, "total")) {
		shv_add(shv_deref(s.a, s.b->counters[0]), 1000, NULL);
	} else if (!strcmp(what, "pair")) {
		x = shv_deref(s.a, s.b->pairs[0]);
		x[1] += 2; /* one more would be what a death in the middle leaves, made whole */
	} else if (!strcmp(what, "text")) {
		/* Longer than what all who died since the last look may have left. */
		memset(letters, letter_of(1), sizeof(letters));
		shv_string_append_n(shv_deref(s.a, s.b->texts[1]), letters, sizeof(letters));
	} else if (!strcmp(what, "name")) {
		name_text(some_value(visited, false, true)->id, text);
		shv_unpublish(s.a, text);
	} else if (!strcmp(what, "lock")) {
		in_a_child(take_a_lock, some_value(visited, true, false));
	} else {
		printf("storm: --break=%s: no such damage\n", what);
		_exit(2);
	}
}

/* ---- a look ------------------------------------------------------------------------------------------------------ */

static void look_at_everything(void)
{
	static uint32_t maybe_counted[COUNTERS], maybe_paired[PAIRS], maybe_written[TEXTS];
	static bool visited[CELLS];
	unsigned live = 0;
	struct shv_stat st;
	int r;

	memset(maybe_counted, 0, sizeof(maybe_counted));
	memset(maybe_paired, 0, sizeof(maybe_paired));
	memset(maybe_written, 0, sizeof(maybe_written));
	memset(visited, 0, sizeof(visited));
	if (s.looks % 8 == 0)
		take_a_snapshot();
	pause_all();
	apply_logs();
	check("before recovery");
	r = shv_arena_recover(s.a, NULL);
	if (r < 0)
		finding("shv_arena_recover returned %d", r);
	list_objects();
	settle_the_dead(maybe_counted, maybe_paired, maybe_written, visited);
	do_damage(visited);
	for (unsigned k = 0; k < CELLS; k++) {
		compare_cell(k, visited[k]);
		live += s.fate[k].id != 0;
	}
	compare_totals(maybe_counted, maybe_paired);
	compare_texts(maybe_written);
	st = stat_of(s.look);
	if (st.objects != live + COUNTERS + PAIRS + TEXTS + LOCKS)
		finding("%llu objects are there, not %u", (unsigned long long)st.objects, live + COUNTERS + PAIRS + TEXTS + LOCKS);
	check("after recovery");
	s.dead_n = 0;
	s.looks++;
	go_on();
}

/* ---- the storm ----------------------------------------------------------------------------------------------------- */

static void set_up(void)
{
	const shv_lockspec own[] = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF };
	int fd;

	s.a = new_arena("storm", SLOTS);
	fd = shv_arena_fd_rdonly(s.a);
	s.look = shv_arena_attach(fd, SHV_RDONLY);
	NEED(s.look, "attaching read-only");
	close(fd);
	s.arena_fd = shv_arena_fd(s.a);
	s.board_fd = memfd_create("storm-board", MFD_CLOEXEC);
	NEED(s.board_fd >= 0 && !ftruncate(s.board_fd, sizeof(*s.b)), "the board");
	s.b = mmap(NULL, sizeof(*s.b), PROT_READ | PROT_WRITE, MAP_SHARED, s.board_fd, 0);
	NEED(s.b != MAP_FAILED, "the board");
	NEED(shv_raw_free(shv_raw_array_new(s.a, SHV_UINT64, 100, NULL)) == 0 && shv_arena_trim(s.a) == 0, "the first value");
	s.before = stat_of(s.look);
	for (unsigned i = 0; i < LOCKS; i++)
		s.b->locks[i] = shv_ref_of(shv_lock_new(s.a, own[i % 3]));
	for (unsigned i = 0; i < COUNTERS; i++)
		s.b->counters[i] = shv_ref_of(shv_value_new(s.a, SHV_UINT64, NULL, i < 3 ? own[i] : i == 3 ? SHV_NONE :
						 SHV_SHARED(shv_deref(s.a, s.b->locks[i % COMMON_LOCKS]))));
	for (unsigned i = 0; i < PAIRS; i++)
		s.b->pairs[i] = shv_ref_of(shv_array_new(s.a, SHV_UINT64, 2, NULL, i < 3 ? own[i] :
						SHV_SHARED(shv_deref(s.a, s.b->locks[COMMON_LOCKS]))));
	for (unsigned i = 0; i < TEXTS; i++)
		s.b->texts[i] = shv_ref_of(shv_string_new(s.a, "", i < 3 ? own[i] : i == 3 ? SHV_SHARED(shv_deref(s.a, s.b->locks[0])) : SHV_NONE));
	snprintf(s.image, sizeof(s.image), "/tmp/shv-storm-XXXXXX");
	fd = mkstemp(s.image);
	NEED(fd >= 0, "mkstemp");
	close(fd);
}

static bool over(void)
{
	return seconds_gone() >= s.seconds || (s.kills_wanted && s.kills >= s.kills_wanted);
}

/* One blow: a moment later somebody dies, or is stopped for a while. */
static void blow(void)
{
	unsigned w = (unsigned)rng_below(&s.rng, s.workers);

	if (rng_below(&s.rng, 4))
		wait_for_progress(rng_below(&s.rng, rng_next(&s.rng) % 8 ? 300 : 5000));
	if (rng_below(&s.rng, 12) == 0 && s.worker[w].pid && !s.worker[w].stopped) {
		kill(s.worker[w].pid, SIGSTOP);
		s.worker[w].stopped = true;
		s.stops++;
	} else if (rng_below(&s.rng, 6) == 0) {
		wake_stopped();
	} else {
		kill_worker(w);
	}
	if (rng_below(&s.rng, 30) == 0) /* all at once */
		for (w = 0; w < s.workers; w++)
			kill_worker(w);
	for (w = 0; w < s.workers; w++)
		if (!s.worker[w].pid)
			start_worker(w);
}

static void clear_away(void)
{
	look_at_everything();
	__atomic_store_n(&s.b->stop, true, __ATOMIC_RELEASE);
	for (unsigned w = 0; w < s.workers; w++) {
		double since = seconds_gone();
		while (s.worker[w].pid && !reap(w)) {
			if (seconds_gone() - since > PATIENCE) {
				show_hang();
				finding("worker %u does not end", w);
			}
			short_nap();
		}
	}
	shv_arena_recover(s.a, NULL);
	for (unsigned i = 0; i < LOCKS; i++)
		shv_lock_free(shv_deref(s.a, s.b->locks[i]));
	free_everything(s.a);
	if (s.damage && !strcmp(s.damage, "page"))
		in_a_child(make_a_value, NULL);
}

static void account(void)
{
	struct shv_stat st;

	NEED(shv_arena_trim(s.a) == 0, "trim");
	st = stat_of(s.look);
	if (st.objects || st.parts || st.names || st.pages_orphaned || st.going || pages_used(&st) > pages_used(&s.before))
		finding("in the end %llu objects, %llu names, %llu orphaned pages, %llu pages in use (%llu before)", (unsigned long long)st.objects,
			(unsigned long long)st.names, (unsigned long long)st.pages_orphaned, (unsigned long long)pages_used(&st),
			(unsigned long long)pages_used(&s.before));
	check("in the end");
	NEED(shv_arena_detach(s.a) == 0, "detach");
	st = stat_of(s.look);
	if (pages_used(&st) || st.processes || st.processes_dead || st.threads)
		finding("after the last detach %llu pages are in use, by %u processes", (unsigned long long)pages_used(&st), st.processes);
	check("after the last detach");
	NEED(shv_arena_detach(s.look) == 0, "detach");
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
	struct timespec now;

	if (argc == 10 && !strcmp(argv[1], "--worker"))
		return worker_main(argv + 2);
	if (argc == 2 && !strncmp(argv[1], "--break=", 8)) {
		s.damage = argv[1] + 8;
	} else if (argc > 1) {
		printf("usage: storm [--break=lost|content|extra|total|pair|text|name|lock|page]\n"
		       "environment: STORM_SECONDS STORM_KILLS STORM_WORKERS STORM_SEED STORM_HOLD\n");
		return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_MONOTONIC, &s.began);
	s.seed = number_from("STORM_SEED", (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20 ^ (uint64_t)getpid());
	s.seconds = (unsigned)number_from("STORM_SECONDS", 60);
	s.workers = (unsigned)number_from("STORM_WORKERS", 3);
	s.kills_wanted = number_from("STORM_KILLS", 0);
	if (s.kills_wanted && !getenv("STORM_SECONDS"))
		s.seconds = UINT32_MAX;
	if (s.workers < 1 || s.workers > MAX_WORKERS || s.workers >= SLOTS) {
		printf("storm: STORM_WORKERS must be 1 to %u\n", SLOTS - 1);
		return 2;
	}
	s.rng.state = s.seed;
	printf("storm: STORM_SEED=%llu, %u workers\n", (unsigned long long)s.seed, s.workers);
	fflush(stdout);
	set_up();
	for (unsigned w = 0; w < s.workers; w++)
		start_worker(w);
	while (!over()) {
		uint64_t until = s.kills + KILLS_BETWEEN;
		while (!over() && s.kills < until)
			blow();
		look_at_everything();
	}
	clear_away();
	account();
	unlink(s.image);
	printf("storm: %llu kills, %llu stops, %llu records, %llu looks, %llu operations cut short, %llu values found unannounced, %llu snapshots, %.1f s: no finding\n",
	       (unsigned long long)s.kills, (unsigned long long)s.stops, (unsigned long long)s.operations, (unsigned long long)s.looks,
	       (unsigned long long)s.uncertain, (unsigned long long)s.adopted, (unsigned long long)s.snapshots, seconds_gone());
	return 0;
}
