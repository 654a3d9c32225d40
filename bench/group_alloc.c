/* SPDX-License-Identifier: MIT */
/* Making and freeing: by one thread, by two threads, by two processes, and freed by another than the maker. */
#include "bench.h"
#include "shv_arena.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void enter(const struct peer *p)
{
	if (p->enter)
		p->enter();
}

static void leave(const struct peer *p)
{
	if (p->leave)
		p->leave();
}

static bool has(const struct peer *p, enum what what)
{
	return !p->missing && p->loops[what].batch;
}

/* One sample. The peers before it had the processor's caches: a tenth of the work goes first, unmeasured. */
static void sample(struct peer *p, enum what what, bool churn, const struct pass *full)
{
	struct pass s = *full;
	struct timing t;
	char work[48];

	if (p->most) {
		s.batch = s.rounds = p->most;
		s.live = p->most / 2;
	}
	enter(p);
	if (!p->most) {
		struct pass tenth = s;
		tenth.batch /= 10;
		tenth.rounds /= 10;
		peer_run(p, what, churn, &tenth, &t);
	}
	peer_run(p, what, churn, &s, &t);
	leave(p);
	snprintf(work, sizeof(work), "%s %s", what_name[what], churn ? "churn" : "batch");
	record(work, p->name, t.pair);
	if (!churn) {
		snprintf(work, sizeof(work), "%s create", what_name[what]);
		record(work, p->name, t.make);
		snprintf(work, sizeof(work), "%s free", what_name[what]);
		record(work, p->name, t.drop);
	}
}

void group_alloc(void)
{
	struct pass s = pass_new(BATCH, LIVE, BATCH);
	struct timing t;

	for (int i = 0; i < n_peers; i++) /* caches that grow with use */
		for (int what = 0; what < WHATS; what++)
			if (has(peers[i], what) && !peers[i]->most) {
				enter(peers[i]);
				for (int n = 0; n < (quick ? 2 : 4); n++) {
					peer_run(peers[i], what, false, &s, &t);
					peer_run(peers[i], what, true, &s, &t);
				}
				leave(peers[i]);
			}
	for (int pass = 0; pass < passes; pass++)
		for (int what = 0; what < WHATS; what++)
			for (int churn = 0; churn < 2; churn++)
				for (int i = 0; i < n_peers; i++)
					if (has(peers[i], what))
						sample(peers[i], what, churn, &s);
	pass_end(&s);
}

/* ---- two at once ------------------------------------------------------------------------------------------- */

struct meeting {
	int ready, go; /* atomic */
	double end[2], spent[2];
};

struct side {
	struct meeting *m;
	side_function before, run;
	void *ctx;
	int side;
};

double busier_side;

static void run_side(struct side *s)
{
	double t = spent_ns();

	s->run(s->side, s->ctx);
	s->m->end[s->side] = now_ns();
	s->m->spent[s->side] = spent_ns() - t;
}

static void *one_side(void *arg)
{
	struct side *s = arg;

	if (s->before)
		s->before(s->side, s->ctx);
	__atomic_add_fetch(&s->m->ready, 1, __ATOMIC_ACQ_REL);
	while (!__atomic_load_n(&s->m->go, __ATOMIC_ACQUIRE))
		sched_yield();
	run_side(s);
	return NULL;
}

double two_sides(bool threads, int sides, side_function before, side_function run, void *ctx)
{
	struct meeting *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct side s[2] = { { m, before, run, ctx, 0 }, { m, before, run, ctx, 1 } };
	pthread_t thread;
	pid_t pid = -1;
	int status = 0;
	double begin, end;

	need(m != MAP_FAILED, "mmap");
	if (sides == 1) {
		if (before)
			before(0, ctx);
		run_side(&s[0]);
		busier_side = m->spent[0];
		munmap(m, sizeof(*m));
		return busier_side;
	}
	if (threads) {
		need(!pthread_create(&thread, NULL, one_side, &s[1]), "pthread_create");
	} else {
		pid = fork();
		need(pid >= 0, "fork");
		if (!pid) {
			one_side(&s[1]);
			_exit(0);
		}
	}
	if (before)
		before(0, ctx);
	while (__atomic_load_n(&m->ready, __ATOMIC_ACQUIRE) != sides - 1) {
		need(pid <= 0 || waitpid(pid, &status, WNOHANG) == 0, "the other process failed");
		sched_yield();
	}
	begin = now_ns();
	__atomic_store_n(&m->go, 1, __ATOMIC_RELEASE);
	run_side(&s[0]);
	if (threads)
		pthread_join(thread, NULL);
	else
		need(waitpid(pid, &status, 0) == pid && !status, "the other process failed");
	end = m->end[0] > m->end[1] ? m->end[0] : m->end[1];
	busier_side = m->spent[0] > m->spent[1] ? m->spent[0] : m->spent[1];
	munmap(m, sizeof(*m));
	return end - begin;
}

struct together {
	struct peer *p;
	enum what what;
	bool threads;
	struct pass s[2];
};
#define TOGETHER_ROUNDS 3
#define TOGETHER_PAIRS (BATCH / 4)

static void together_before(int side, void *ctx)
{
	struct together *g = ctx;
	struct timing t;

	if (side && !g->threads && g->p->forked)
		g->p->forked();
	enter(g->p);
	for (int i = 0; i < 2; i++) {
		peer_run(g->p, g->what, false, &g->s[side], &t);
		peer_run(g->p, g->what, true, &g->s[side], &t);
	}
}

static void together_run(int side, void *ctx)
{
	struct together *g = ctx;
	struct timing t;

	for (int i = 0; i < TOGETHER_ROUNDS; i++)
		peer_run(g->p, g->what, true, &g->s[side], &t);
	leave(g->p);
}

void group_parallel(void)
{
	static const struct {
		enum what what;
		int sides;
		bool threads;
		const char *work;
	} runs[] = {
		{ RAW, 1, false, "raw churn, 1 process" },      { RAW, 2, true, "raw churn, 2 threads" }, { RAW, 2, false, "raw churn, 2 processes" },
		{ LOCKED, 1, false, "locked churn, 1 process" }, { LOCKED, 2, false, "locked churn, 2 processes" },
	};

	for (int pass = 0; pass < (passes + 1) / 2; pass++)
		for (int i = 0; i < n_peers; i++)
			for (size_t k = 0; k < sizeof(runs) / sizeof(runs[0]); k++) {
				struct together g = { peers[i], runs[k].what, runs[k].threads, { { 0 }, { 0 } } };
				if (!has(peers[i], runs[k].what) || peers[i]->ask || (runs[k].threads ? !peers[i]->threads : !peers[i]->processes))
					continue;
				g.s[0] = pass_new(LIVE, LIVE, TOGETHER_PAIRS);
				g.s[1] = pass_new(LIVE, LIVE, TOGETHER_PAIRS);
				two_sides(runs[k].threads, runs[k].sides, together_before, together_run, &g);
				/* The first and last LIVE of each round count too. */
				record(runs[k].work, peers[i]->name, busier_side / (TOGETHER_ROUNDS * (double)(TOGETHER_PAIRS + LIVE) * runs[k].sides));
				pass_end(&g.s[0]);
				pass_end(&g.s[1]);
			}
}

/* ---- freed by another ------------------------------------------------------------------------------------------ */

#define TURNS 4 /* the first is not counted */
#define HANDED 20000

struct handing {
	struct peer *p;
	bool threads;
	struct shared {
		int turn; /* atomic: even: the maker's */
		double make, drop;
		void *slot[HANDED];
	} *s;
};

static void wait_for(struct shared *s, int turn)
{
	while (__atomic_load_n(&s->turn, __ATOMIC_ACQUIRE) != turn)
		sched_yield();
}

static void handing_before(int side, void *ctx)
{
	(void)side;
	enter(((struct handing *)ctx)->p);
}

static void handing_run(int side, void *ctx)
{
	struct handing *h = ctx;
	const struct loops *l = &h->p->loops[RAW];

	for (int i = 0; i < TURNS; i++) {
		double t;
		wait_for(h->s, 2 * i + side);
		t = spent_ns();
		(side ? l->empty : l->fill)(h->s->slot, HANDED);
		t = (spent_ns() - t) / HANDED;
		if (i && side)
			h->s->drop += t / (TURNS - 1);
		else if (i)
			h->s->make += t / (TURNS - 1);
		__atomic_add_fetch(&h->s->turn, 1, __ATOMIC_ACQ_REL);
	}
	if (!side)
		wait_for(h->s, 2 * TURNS);
	leave(h->p);
}

void group_foreign(void)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	need(s != MAP_FAILED, "mmap");
	memset(s, 0, sizeof(*s));
	for (int pass = 0; pass < passes; pass++)
		for (int i = 0; i < n_peers; i++) {
			struct peer *p = peers[i];
			/* What several processes allocate from is measured with two; the rest with two threads. */
			struct handing h = { p, p != &peer_shv && p != &peer_boost && p != &peer_boost_node && p != &peer_boost_adaptive, s };
			struct pass own = { s->slot, HANDED, 1, 1 };
			struct timing t;
			if (!has(p, RAW) || p->ask || !p->threads)
				continue;
			s->turn = 0;
			s->make = s->drop = 0;
			two_sides(h.threads, 2, handing_before, handing_run, &h);
			record("foreign free", p->name, s->drop);
			record("foreign pair", p->name, s->make + s->drop);
			enter(p);
			peer_run(p, RAW, false, &own, &t);
			peer_run(p, RAW, false, &own, &t);
			leave(p);
			record("own free", p->name, t.drop);
			record("own pair", p->name, t.pair);
		}
	munmap(s, sizeof(*s));
}
