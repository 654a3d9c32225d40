/* SPDX-License-Identifier: MIT */
/*
 * Several processes of two threads each that create values, hand half of them on, and free what they are handed: nothing
 * is lost, nothing is counted twice, and in the end the pool has every page that it had before. And attaching to a
 * million values, which must not cost what the values cost.
 */
#include "support/procs.h"
#include "support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- who does what -------------------------------------------------------------------------------- */

#define PROCESSES 4u
#define THREADS 2u
#define ACTORS (PROCESSES * THREADS)
#define ROUNDS 100000u /* for each thread */
#define RING 256u     /* references under way to one actor */
#define LOOKS 10u     /* checks meanwhile */
#define KEPT 32u      /* values that an actor frees itself, later */

/* Where actor i puts what actor to(i) shall free. One sender, one receiver. Lies in a raw array of the arena. */
struct ring {
	uint64_t sent, received;
	uint64_t refs[RING];
};
#define LAST UINT64_MAX

/* Who goes home how, when all is freed. */
enum leaving { LEAVE_TOGETHER, LEAVE_WHEN_DONE, LEAVE_BY_DEATH, WAYS_TO_LEAVE };

struct field {
	shv_arena *a;             /* of the parent, inherited */
	struct ring *rings;
	shv_value *created, *freed; /* totals, in the arena */
	shv_lock *common;
	struct meeting freed_all, trimmed;
	struct gate progress;
	enum leaving leaving;
};

struct actor {
	struct field *field;
	shv_arena *a;             /* this process's attachment: for every other process one at an address of its own */
	struct ring *in, *out;
	unsigned id;
	uint64_t kept[KEPT];      /* addresses of values that this actor frees itself */
	uint64_t created, freed;
	bool heard_last;
};

/* What the n-th value of an actor looks like: the first 8 bytes say whose it is, the rest follows from it. */
static uint64_t mark_of(unsigned actor, uint64_t n)
{
	return (uint64_t)(actor + 1) << 48 | n;
}

static size_t items_of(uint64_t mark)
{
	return 1 + mark % 40 * (mark % 16 == 0 ? 40 : 1);
}

static void *make(struct actor *me, uint64_t mark)
{
	uint64_t content[1 + 40 * 40];
	size_t n = items_of(mark);

	for (size_t i = 0; i < n; i++)
		content[i] = mark + i;
	switch (mark % 7) {
	case 0:
		return shv_raw_new(me->a, SHV_UINT64, content);
	case 1:
		return shv_value_new(me->a, SHV_UINT64, content, SHV_RECURSIVE);
	case 2:
		return shv_value_new(me->a, SHV_UINT64, content, SHV_NONE);
	case 3:
		return shv_array_new(me->a, SHV_UINT64, n, content, SHV_PLAIN);
	case 4:
		return shv_raw_array_new(me->a, SHV_UINT64, n, content);
	case 5:
		return shv_value_new(me->a, SHV_UINT64, content, SHV_HANDOFF);
	default:
		return shv_value_new(me->a, SHV_UINT64, content, SHV_SHARED(shv_deref(me->a, shv_ref_of(me->field->common))));
	}
}

/* Frees p, after a look at every word of it. */
static void unmake(struct actor *me, void *p)
{
	uint64_t *content = p, mark = content[0];
	size_t n = shv_len(p);
	bool array = mark % 7 == 3 || mark % 7 == 4, raw = mark % 7 == 0 || mark % 7 == 4;
	int r;

	NEED(n == (array ? items_of(mark) : 1), "value %llx has %zu items", (unsigned long long)mark, n);
	for (size_t i = 0; i < n; i++)
		NEED(content[i] == mark + i, "value %llx: word %zu is %llx", (unsigned long long)mark, i, (unsigned long long)content[i]);
	r = raw ? shv_raw_free(p) : shv_value_free(p);
	NEED(r == 0, "freeing value %llx: %d", (unsigned long long)mark, r);
	me->freed++;
}

/* ---- the rings ------------------------------------------------------------------------------------ */

static void receive(struct actor *me)
{
	uint64_t sent = __atomic_load_n(&me->in->sent, __ATOMIC_ACQUIRE);

	if (me->in->received == sent)
		sched_yield(); /* who is waited for may want the processor */
	while (me->in->received != sent) {
		shv_ref ref = me->in->refs[me->in->received % RING];
		__atomic_store_n(&me->in->received, me->in->received + 1, __ATOMIC_RELEASE);
		if (ref == LAST) {
			me->heard_last = true;
			return;
		}
		void *p = shv_deref(me->a, ref);
		NEED(p, "the value of reference %llx, sent to actor %u, is gone", (unsigned long long)ref, me->id);
		unmake(me, p);
	}
}

static void send_on(struct actor *me, shv_ref ref)
{
	while (me->out->sent - __atomic_load_n(&me->out->received, __ATOMIC_ACQUIRE) == RING)
		receive(me); /* so that a circle of full rings comes loose */
	me->out->refs[me->out->sent % RING] = ref;
	__atomic_store_n(&me->out->sent, me->out->sent + 1, __ATOMIC_RELEASE);
}

/* ---- one actor ------------------------------------------------------------------------------------ */

static void act_once(struct actor *me, uint64_t n)
{
	void *p = make(me, mark_of(me->id, n));

	NEED(p, "actor %u: value %llu could not be made", me->id, (unsigned long long)n);
	me->created++;
	if (n & 1) {
		shv_ref ref = shv_ref_of(p);
		NEED(ref, "a new value has no reference");
		send_on(me, ref);
	} else {
		uint64_t *place = &me->kept[n / 2 % KEPT];
		if (*place)
			unmake(me, (void *)(uintptr_t)*place);
		*place = (uint64_t)(uintptr_t)p;
	}
	if (n % 16 == 0)
		receive(me);
}

static void *act(void *arg)
{
	struct actor *me = arg;
	shv_arena *a = me->a;
	shv_value *created = shv_deref(a, shv_ref_of(me->field->created)), *freed = shv_deref(a, shv_ref_of(me->field->freed));

	for (uint64_t n = 0; n < ROUNDS; n++) {
		act_once(me, n);
		if (n % (ROUNDS / LOOKS) == ROUNDS / LOOKS - 1)
			gate_add(&me->field->progress, 1);
	}
	for (unsigned i = 0; i < KEPT; i++)
		if (me->kept[i])
			unmake(me, (void *)(uintptr_t)me->kept[i]);
	send_on(me, LAST);
	while (!me->heard_last)
		receive(me);
	NEED(shv_add(created, (int64_t)me->created, NULL) == 0, "adding to the total");
	NEED(shv_add(freed, (int64_t)me->freed, NULL) == 0, "adding to the total");
	return NULL;
}

struct process_arg {
	struct field *field;
	unsigned process;
};

static int process_body(void *arg)
{
	struct process_arg *p = arg;
	struct field *f = p->field;
	struct actor actors[THREADS] = { 0 };
	shv_arena *a = f->a;
	pthread_t threads[THREADS];

	if (p->process % 2) {
		a = shv_arena_attach(shv_arena_fd(f->a), 0);
		NEED(a, "attaching");
		NEED(shv_deref(a, shv_ref_of(f->created)) != (void *)f->created, "the second mapping is at the address of the first");
	}
	for (unsigned t = 0; t < THREADS; t++) {
		unsigned id = p->process * THREADS + t, to = (id + THREADS) % ACTORS;
		actors[t] = (struct actor){ .field = f, .a = a, .id = id, .out = &f->rings[to], .in = &f->rings[id] };
		NEED(!pthread_create(&threads[t], NULL, act, &actors[t]), "pthread_create");
	}
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	if (f->leaving == LEAVE_BY_DEATH) {
		kill(getpid(), SIGKILL);
		return 1;
	}
	if (f->leaving == LEAVE_TOGETHER) {
		meet(&f->freed_all);
		NEED(shv_arena_trim(a) == 0, "trim");
		meet(&f->trimmed);
	}
	if (a != f->a)
		NEED(shv_arena_detach(a) == 0, "detach");
	NEED(shv_arena_detach(f->a) == 0, "detach");
	return 0;
}

/* ---- the test ------------------------------------------------------------------------------------- */

/* Looks while the others work, each time a tenth further on. */
static void *check_all_the_while(void *arg)
{
	struct field *f = arg;
	shv_arena *look = shv_arena_attach(shv_arena_fd(f->a), SHV_RDONLY);

	NEED(look, "attaching read-only");
	for (unsigned n = 0; n < LOOKS; n++) {
		gate_wait(&f->progress, (2 * n + 1) * ACTORS / 2);
		need_sound(look, "while everybody works");
	}
	NEED(shv_arena_detach(look) == 0, "detach");
	return NULL;
}

START_TEST(values_freed_by_others_leave_nothing_behind)
{
	struct field *f = shared_memory(sizeof(*f));
	struct process_arg args[PROCESSES];
	struct shv_stat before, after;
	pid_t pids[PROCESSES];
	pthread_t checker;
	shv_arena *a = new_arena("share", 16), *look;
	int64_t made = 0, gone = 0;
	int fd = shv_arena_fd_rdonly(a);

	look = shv_arena_attach(fd, SHV_RDONLY);
	ck_assert_ptr_nonnull(look);
	/* What this process itself keeps is there from its first value on. */
	ck_assert_int_eq(shv_raw_free(shv_raw_array_new(a, SHV_UINT64, 100, NULL)), 0);
	ck_assert_int_eq(shv_arena_trim(a), 0);
	before = stat_of(look);

	f->a = a;
	f->leaving = (enum leaving)_i;
	f->rings = shv_raw_array_new(a, SHV_UINT64, ACTORS * sizeof(struct ring) / sizeof(uint64_t), NULL);
	f->created = SHV_VALUE(a, int64_t, 0);
	f->freed = SHV_VALUE(a, int64_t, 0, SHV_NONE);
	f->common = shv_lock_new(a, SHV_RECURSIVE);
	ck_assert(f->rings && f->created && f->freed && f->common);
	f->freed_all.parties = f->trimmed.parties = PROCESSES;
	for (unsigned p = 0; p < PROCESSES; p++) {
		args[p] = (struct process_arg){ f, p };
		pids[p] = start(process_body, &args[p]);
	}
	ck_assert_int_eq(pthread_create(&checker, NULL, check_all_the_while, f), 0);
	for (unsigned p = 0; p < PROCESSES; p++) {
		int status = finish(pids[p]);
		ck_assert_int_eq(status, f->leaving == LEAVE_BY_DEATH ? -SIGKILL : 0);
	}
	pthread_join(checker, NULL);

	ck_assert_int_eq(shv_get(f->created, &made, sizeof(made)), 0);
	ck_assert_int_eq(shv_get(f->freed, &gone, sizeof(gone)), 0);
	ck_assert_int_eq(made, (int64_t)ACTORS * ROUNDS);
	ck_assert_int_eq(gone, (int64_t)ACTORS * ROUNDS);
	ck_assert_int_ge(shv_arena_recover(a, NULL), 0); /* the last to die has recovered the others, if it met their pages */
	need_sound(look, "after the last process has gone");
	after = stat_of(look);
	ck_assert_uint_eq(after.objects, 4);
	ck_assert_uint_eq(after.processes, 1);

	ck_assert_int_eq(shv_raw_free(f->rings), 0);
	ck_assert_int_eq(shv_value_free(f->created), 0);
	ck_assert_int_eq(shv_value_free(f->freed), 0);
	ck_assert_int_eq(shv_lock_free(f->common), 0);
	ck_assert_int_eq(shv_arena_trim(a), 0);
	after = stat_of(look);
	ck_assert_uint_eq(after.objects, 0);
	ck_assert_uint_eq(after.going, 0);
	ck_assert_uint_eq(after.pages_orphaned, 0);
	ck_assert_uint_eq(after.pages_owned, before.pages_owned);
	ck_assert_uint_eq(after.pages_slots, before.pages_slots);
	ck_assert_uint_eq(after.pages_system, before.pages_system);
	need_sound(look, "after trim");

	/* The last member goes: then nothing is kept at all, and no memory but the tables' is in use. */
	ck_assert_int_eq(shv_arena_detach(a), 0);
	after = stat_of(look);
	ck_assert_uint_eq(pages_used(&after), 0);
	ck_assert_uint_eq(after.slots, 0);
	ck_assert_uint_eq(after.processes, 0);
	ck_assert_uint_lt(after.bytes_resident, 8u << 20);
	need_sound(look, "after the last detach");
	ck_assert_int_eq(shv_arena_detach(look), 0);
	close(fd);
	shared_release(f, sizeof(*f));
}
END_TEST

/* ---- a million ------------------------------------------------------------------------------------ */

#define MANY 1000000u

/* The program that is started by exec to count: argv = { self, "cost", empty, empty, full } with three descriptors. */
struct cost {
	long faults;       /* minor page faults that attaching took */
	long leaving;      /* the same for detaching, a value having been made and freed */
	uint64_t objects;  /* that are seen then */
	uint64_t resident; /* bytes of the mapping that are present after attaching and one look at a name */
};

/* Resident bytes of the mapping that p lies in. */
static uint64_t resident_around(const void *p)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[512];
	bool here = false;
	unsigned long from, to;
	uint64_t kib = 0;

	NEED(smaps, "fopen(/proc/self/smaps)");
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && strchr(line, '-') < strchr(line, ' '))
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (here && !strncmp(line, "Rss:", 4))
			kib = strtoull(line + 4, NULL, 10);
	}
	fclose(smaps);
	return kib << 10;
}

static long faults_so_far(void)
{
	struct rusage u;

	NEED(!getrusage(RUSAGE_SELF, &u), "getrusage");
	return u.ru_minflt;
}

static struct cost cost_of_attaching(int fd)
{
	struct shv_stat st = { .size = sizeof(st) };
	struct cost c = { 0 };
	long before = faults_so_far();
	shv_arena *a = shv_arena_attach(fd, 0);

	c.faults = faults_so_far() - before;
	NEED(a, "attaching");
	c.resident = resident_around(shv_find(a, "first"));
	NEED(shv_stat(a, &st) == 0, "shv_stat");
	c.objects = st.objects;
	NEED(shv_arena_detach(a) == 0, "detach");
	a = shv_arena_attach(fd, 0); /* in a mapping where shv_stat() has not shown all pages */
	NEED(a && shv_value_free(SHV_VALUE(a, int, 1)) == 0, "a value");
	before = faults_so_far();
	NEED(shv_arena_detach(a) == 0, "detach");
	c.leaving = faults_so_far() - before;
	return c;
}

static int cost_main(char **argv)
{
	struct cost c[3];

	for (int i = 0; i < 3; i++)
		c[i] = cost_of_attaching(atoi(argv[i]));
	return write(STDOUT_FILENO, c, sizeof(c)) == (ssize_t)sizeof(c) ? 0 : 1;
}

static void run_cost_program(shv_arena *empty, shv_arena *full, struct cost out[3])
{
	char e[16], f[16], *argv[] = { (char *)"test_share", (char *)"cost", e, e, f, NULL };
	int fd_e = inheritable_fd(empty), fd_f = inheritable_fd(full), pipe_fd[2];
	posix_spawn_file_actions_t actions;
	pid_t pid;

	snprintf(e, sizeof(e), "%d", fd_e);
	snprintf(f, sizeof(f), "%d", fd_f);
	ck_assert_int_eq(pipe(pipe_fd), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], STDOUT_FILENO);
	ck_assert_int_eq(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(pipe_fd[1]);
	ck_assert_int_eq(read(pipe_fd[0], out, 3 * sizeof(out[0])), 3 * sizeof(out[0]));
	close(pipe_fd[0]);
	close(fd_e);
	close(fd_f);
	ck_assert_int_eq(finish(pid), 0);
}

static void *make_any(shv_arena *a, shv_lock *common, uint64_t n)
{
	switch (n % 6) {
	case 0:
		return shv_raw_new(a, SHV_UINT64, &n);
	case 1:
		return shv_value_new(a, SHV_UINT64, &n, SHV_RECURSIVE);
	case 2:
		return shv_value_new(a, SHV_UINT64, &n, SHV_PLAIN);
	case 3:
		return shv_value_new(a, SHV_UINT64, &n, SHV_HANDOFF);
	case 4:
		return shv_value_new(a, SHV_UINT64, &n, SHV_NONE);
	default:
		return shv_value_new(a, SHV_UINT64, &n, SHV_SHARED(common));
	}
}

static int sum_and_free(void *arg)
{
	shv_arena *a = arg;
	struct shv_value_info info = { .size = sizeof(info) };
	uint64_t cursor = 0, sum = 0, n = 0;

	while (shv_value_next(a, &cursor, &info) == 1) {
		if (info.kind == SHV_KIND_LOCK)
			continue;
		sum += *(uint64_t *)shv_deref(a, info.ref);
		n++;
	}
	NEED(n == MANY && sum == (uint64_t)MANY * (MANY - 1) / 2, "%llu objects with a sum of %llu", (unsigned long long)n,
	     (unsigned long long)sum);
	NEED(free_everything(a) == MANY, "not all could be freed");
	NEED(shv_arena_detach(a) == 0, "detach");
	return 0;
}

START_TEST(coming_to_a_million_values_and_leaving_costs_what_an_empty_arena_costs)
{
	shv_arena *empty = new_arena("empty", 0), *full = new_arena("million", 0), *look;
	shv_lock *common = shv_lock_new(full, SHV_PLAIN);
	struct shv_stat before, after;
	struct cost cost[3];
	int fd = shv_arena_fd_rdonly(full);
	void *p = NULL;

	look = shv_arena_attach(fd, SHV_RDONLY);
	ck_assert_ptr_nonnull(look);
	ck_assert_int_eq(shv_publish(shv_raw_new(empty, SHV_INT, NULL), "first"), 0);
	ck_assert_int_eq(shv_arena_trim(full), 0);
	before = stat_of(look);
	for (uint64_t n = 0; n < MANY; n++) {
		p = make_any(full, common, n);
		ck_assert_ptr_nonnull(p);
	}
	after = stat_of(look);
	ck_assert_uint_eq(after.objects, MANY + 1);
	ck_assert_uint_eq(after.by_policy[SHV_LOCK_SHARED], MANY / 6);
	ck_assert_int_eq(shv_publish(p, "first"), 0);

	run_cost_program(empty, full, cost);
	fprintf(stderr, "# attaching: %ld page faults, then %ld; to a million values %ld. Leaving: %ld, %ld, %ld. Resident: %llu and %llu bytes\n",
		cost[0].faults, cost[1].faults, cost[2].faults, cost[0].leaving, cost[1].leaving, cost[2].leaving,
		(unsigned long long)cost[1].resident, (unsigned long long)cost[2].resident);
	ck_assert_uint_eq(cost[1].objects, 1);
	ck_assert_uint_eq(cost[2].objects, MANY + 1);
	/* One fault can show up to 16 pages that are in memory anyway; a million values have more than 10,000 pages. */
	ck_assert_int_le(cost[2].faults, cost[1].faults + 16);
	ck_assert_int_le(cost[2].leaving, cost[1].leaving + 16);
	ck_assert_uint_le(cost[2].resident, cost[1].resident + 16 * 16 * 4096);

	/* Another process frees them all. */
	ck_assert_int_eq(shv_unpublish(full, "first"), 0);
	ck_assert_int_eq(finish(start(sum_and_free, full)), 0);
	ck_assert_int_eq(shv_lock_free(common), 0);
	ck_assert_int_eq(shv_arena_trim(full), 0);
	after = stat_of(look);
	ck_assert_uint_eq(after.objects, 0);
	ck_assert_uint_eq(after.going, 0);
	ck_assert_uint_le(pages_used(&after), pages_used(&before));
	need_sound(look, "after a million were freed");
	ck_assert_int_eq(shv_arena_detach(look), 0);
	ck_assert_int_eq(shv_arena_detach(full), 0);
	ck_assert_int_eq(shv_arena_detach(empty), 0);
	close(fd);
}
END_TEST

/* ---- small objects of others, freed by a process that lives on ---------------------------------------- */

#define OF_EACH 101u /* more than three pushes' worth */
#define UNDER_WAY 31u /* what a thread may keep that was freed and is not on its owner's list yet */

struct foreigners {
	shv_arena *a;
	uint64_t ref[2][OF_EACH]; /* of two owners */
	struct gate made, step, done;
	bool in_turn;             /* freed now of the one, now of the other */
	bool by_thread;           /* by a thread, which ends; else the process trims */
};

/* Recursive and raw, in turn. */
static void make_small(shv_arena *a, uint64_t ref[OF_EACH])
{
	for (unsigned i = 0; i < OF_EACH; i++) {
		void *p = i % 2 ? shv_raw_new(a, SHV_LONG, NULL) : (void *)SHV_VALUE(a, long, 1);
		NEED(p, "make");
		ref[i] = shv_ref_of(p);
	}
}

static void free_small(shv_arena *a, uint64_t ref, unsigned i)
{
	NEED((i % 2 ? shv_raw_free(shv_deref(a, ref)) : shv_value_free(shv_deref(a, ref))) == 0, "free");
}

static int second_owner(void *arg)
{
	struct foreigners *f = arg;

	make_small(f->a, f->ref[1]);
	gate_add(&f->made, 1);
	gate_wait(&f->step, 2);
	NEED(shv_arena_trim(f->a) == 0, "trim"); /* the freer has handed over everything */
	gate_add(&f->done, 1);
	gate_wait(&f->step, 3);
	return 0;
}

static void *free_all_foreign(void *arg)
{
	struct foreigners *f = arg;

	for (unsigned k = 0; k < 2 * OF_EACH; k++) {
		unsigned owner = f->in_turn ? k % 2 : k / OF_EACH, i = f->in_turn ? k / 2 : k % OF_EACH;
		free_small(f->a, f->ref[owner][i], i);
	}
	return NULL;
}

static int frees_foreign(void *arg)
{
	struct foreigners *f = arg;
	pthread_t thread;

	gate_wait(&f->made, 1);
	if (f->by_thread)
		NEED(!pthread_create(&thread, NULL, free_all_foreign, f) && !pthread_join(thread, NULL), "thread");
	else
		free_all_foreign(f);
	gate_add(&f->done, 1);
	gate_wait(&f->step, 1);
	NEED(f->by_thread || shv_arena_trim(f->a) == 0, "trim");
	gate_add(&f->done, 1);
	gate_wait(&f->step, 3);
	return 0;
}

START_TEST(what_a_living_process_frees_of_others_goes_home)
{
	struct foreigners *f = shared_memory(sizeof(*f));
	struct shv_stat before, st;
	pid_t owner, freer;

	f->a = new_arena("foreign", 0);
	f->in_turn = _i % 2;
	f->by_thread = _i / 2;
	ck_assert_int_eq(shv_raw_free(shv_raw_new(f->a, SHV_LONG, NULL)), 0);
	ck_assert_int_eq(shv_arena_trim(f->a), 0);
	before = stat_of(f->a);
	make_small(f->a, f->ref[0]);
	owner = start(second_owner, f);
	freer = start(frees_foreign, f);
	gate_wait(&f->done, 1);
	ck_assert_int_eq(shv_arena_trim(f->a), 0); /* takes what is on our list */
	st = stat_of(f->a);
	ck_assert_uint_eq(st.objects, 0);
	ck_assert_uint_le(st.going, UNDER_WAY + OF_EACH); /* those of the other owner, which does nothing */
	need_sound(f->a, "while some are under way");
	gate_add(&f->step, 1);
	gate_wait(&f->done, 2);
	gate_add(&f->step, 1);
	gate_wait(&f->done, 3);
	ck_assert_int_eq(shv_arena_trim(f->a), 0);
	st = stat_of(f->a);
	ck_assert_uint_eq(st.objects, 0);
	ck_assert_uint_eq(st.going, 0);
	ck_assert_uint_le(pages_used(&st), 2 * pages_used(&before)); /* each owner's reserve */
	need_sound(f->a, "when all are at home");
	gate_add(&f->step, 1);
	ck_assert_int_eq(finish(freer), 0);
	ck_assert_int_eq(finish(owner), 0);
	ck_assert_int_eq(shv_arena_detach(f->a), 0);
	shared_release(f, sizeof(*f));
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("share");
	TCase *exchange = tcase_create("exchange"), *million = tcase_create("million");

	if (argc == 5 && !strcmp(argv[1], "cost"))
		return cost_main(argv + 2);
	tcase_add_loop_test(exchange, values_freed_by_others_leave_nothing_behind, 0, WAYS_TO_LEAVE);
	tcase_add_loop_test(exchange, what_a_living_process_frees_of_others_goes_home, 0, 4);
	tcase_set_timeout(exchange, 120);
	suite_add_tcase(suite, exchange);
	tcase_add_test(million, coming_to_a_million_values_and_leaving_costs_what_an_empty_arena_costs);
	tcase_set_timeout(million, 120);
	suite_add_tcase(suite, million);
	return run_suite(suite);
}
