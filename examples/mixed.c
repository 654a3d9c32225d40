/* SPDX-License-Identifier: MIT */
/*
 * The main job: 10,000 values of several types, each with a lock policy of its own, used by four
 * processes at once, and every total exact.
 *
 *   create   each of the four makes a quarter of the values
 *   update   all four add to all of them, in three ways, and to six "hot" ones all the time; meanwhile the
 *            parent holds a lock, and a fifth process has been killed holding another
 *   check    each value must hold what was added, and the killed one's lock must say what happened
 *   free     half of the values are freed by another process than made them, half by their makers
 *   renew    the four make new ones and leave; the parent frees what they left
 *
 * With --pause it prints a line "live: pid PID ..." amid the updates and goes on when it reads a line or the
 * end of its standard input: time to look at it with shvdump.
 */
#include <shv/shv.h>

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	VALUES = 10000,
	WORKERS = 4,
	SHARED_LOCKS = 16,
	POLICIES = 6,          /* recursive, plain, handoff, none, shared, our own */
	TYPES = 3,             /* int, long, double */
	MIN_ROUNDS = 25,       /* over all values, by each worker */
	RENEWED = 1000,        /* made by each worker at the end */
};

static void die(const char *what)
{
	fprintf(stderr, "mixed[%d]: %s: %s\n", (int)getpid(), what, shv_errmsg());
	exit(1);
}

static void *must(void *p, const char *what)
{
	if (!p)
		die(what);
	return p;
}

/* ---- a lock policy of our own: one futex word with the holder's pid -------------------------- */

#define WAITERS 0x80000000u

static long futex(uint32_t *word, int op, uint32_t n, const struct timespec *deadline)
{
	return syscall(SYS_futex, word, op, n, deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

static bool word_swap(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static int word_acquire(void *state, const struct timespec *deadline)
{
	uint32_t *word = state, me = (uint32_t)getpid(), w;

	if (word_swap(word, 0, me))
		return 0;
	for (;;) {
		if (word_swap(word, 0, me | WAITERS)) /* there may be others who sleep */
			return 0;
		w = __atomic_load_n(word, __ATOMIC_RELAXED);
		if (w == 0 || (!(w & WAITERS) && !word_swap(word, w, w | WAITERS)))
			continue;
		if (futex(word, FUTEX_WAIT_BITSET, w | WAITERS, deadline) && errno == ETIMEDOUT)
			return -ETIMEDOUT;
	}
}

static int word_release(void *state)
{
	if (__atomic_exchange_n((uint32_t *)state, 0, __ATOMIC_ACQ_REL) & WAITERS)
		futex(state, FUTEX_WAKE, 1, NULL);
	return 0;
}

static int word_holder(const void *state, struct shv_holder *out)
{
	uint32_t w = __atomic_load_n((const uint32_t *)state, __ATOMIC_RELAXED);

	out->pid = (pid_t)(w & ~WAITERS);
	return out->pid ? 0 : -ENOENT;
}

static int word_recover(void *state, const struct shv_holder *dead)
{
	uint32_t w = __atomic_load_n((uint32_t *)state, __ATOMIC_RELAXED);

	if ((pid_t)(w & ~WAITERS) != dead->pid || !word_swap(state, w, 0))
		return -EAGAIN;
	futex(state, FUTEX_WAKE, 1, NULL);
	return 0;
}

static const struct shv_lock_policy word_policy = {
	.struct_size = sizeof(word_policy),
	.name = "word",
	.size = sizeof(uint32_t),
	.align = sizeof(uint32_t),
	.acquire = word_acquire,
	.release = word_release,
	.recover = word_recover,
	.holder = word_holder,
};

/* ---- what the processes have in common ------------------------------------------------------- */

/*
 * The workers are forks of the parent: pointers that it had before are good in them too. What a worker makes is
 * known to the others by its reference.
 */
static struct {
	shv_arena *a;
	shv_lock *locks[SHARED_LOCKS];
	shv_value *hot[POLICIES];
	shv_ref *refs;         /* raw array: of the VALUES, then of the renewed ones */
	long *rounds;          /* raw array: how many each worker made */
	shv_value *stop;       /* no more rounds */
	shv_value *held, *victim;
} job;

static const char *const policy_names[POLICIES] = { "recursive", "plain", "handoff", "none", "shared", "word" };

static shv_lockspec policy_of(int i)
{
	switch (i % POLICIES) {
	case 0:
		return SHV_RECURSIVE;
	case 1:
		return SHV_PLAIN;
	case 2:
		return SHV_HANDOFF;
	case 3:
		return SHV_NONE;
	case 4:
		return SHV_SHARED(job.locks[i % SHARED_LOCKS]);
	default:
		return SHV_POLICY(&word_policy);
	}
}

/* Value i begins as i. */
static shv_value *new_value(int i)
{
	switch (i / POLICIES % TYPES) {
	case 0:
		return must(SHV_VALUE(job.a, int, i, policy_of(i)), "new int");
	case 1:
		return must(SHV_VALUE(job.a, long, i, policy_of(i)), "new long");
	default:
		return must(SHV_VALUE(job.a, double, i, policy_of(i)), "new double");
	}
}

static shv_value *value(int i)
{
	return must(shv_deref(job.a, job.refs[i]), "deref");
}

static double content(int i, shv_value *v)
{
	switch (i / POLICIES % TYPES) {
	case 0:
		return SHV_LOAD(v, int);
	case 1:
		return (double)SHV_LOAD(v, long);
	default:
		return SHV_LOAD(v, double);
	}
}

static void prepare(void)
{
	job.a = must(shv_arena_create(&(struct shv_arena_options){ .name = "mixed" }), "create");
	if (shv_lock_register(job.a, &word_policy))
		die("register");
	for (int i = 0; i < SHARED_LOCKS; i++)
		job.locks[i] = must(shv_lock_new(job.a, SHV_RECURSIVE), "lock");
	job.refs = must(shv_raw_array_new(job.a, SHV_UINT64, VALUES + WORKERS * RENEWED, NULL), "refs");
	job.rounds = must(shv_raw_array_new(job.a, SHV_LONG, WORKERS, NULL), "rounds");
	job.stop = must(SHV_VALUE(job.a, bool, false, SHV_NONE), "stop");
	job.held = must(SHV_VALUE(job.a, int, 1), "held");
	job.victim = must(SHV_VALUE(job.a, int, 1), "victim");
	for (int i = 0; i < POLICIES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "hot/%s", policy_names[i]);
		job.hot[i] = must(SHV_VALUE(job.a, long, 0, policy_of(i)), name);
		if (shv_publish(job.hot[i], name))
			die(name);
	}
	if (shv_publish(job.refs, "refs") || shv_publish(job.rounds, "rounds") || shv_publish(job.stop, "stop") ||
	    shv_publish(job.held, "held by the parent") || shv_publish(job.victim, "held by the dead"))
		die("publish");
}

/* ---- what a worker does ---------------------------------------------------------------------- */

static void create(int me)
{
	for (int i = me; i < VALUES; i += WORKERS) {
		job.refs[i] = shv_ref_of(new_value(i));
		if (!job.refs[i])
			die("ref");
	}
}

static int add_by_call(int i, shv_value *v, int n)
{
	return i / POLICIES % TYPES == 2 ? shv_addf(v, n, NULL) : shv_add(v, n, NULL);
}

/* The lock by hand, and the payload itself. Not for values without a lock. */
static int add_by_hand(int i, shv_value *v, int n)
{
	int r = shv_acquire(v);
	void *p = shv_value_data(v);

	if (r < 0)
		return r;
	switch (i / POLICIES % TYPES) {
	case 0:
		*(int *)p += n;
		break;
	case 1:
		*(long *)p += n;
		break;
	default:
		*(double *)p += n;
	}
	return shv_release(v);
}

static int exchange_sum(int i, shv_value *v, void *old, int n)
{
	switch (i / POLICIES % TYPES) {
	case 0: {
		int sum = *(int *)old + n;
		return shv_compare_exchange(v, old, &sum, sizeof(sum));
	}
	case 1: {
		long sum = *(long *)old + n;
		return shv_compare_exchange(v, old, &sum, sizeof(sum));
	}
	default: {
		double sum = *(double *)old + n;
		return shv_compare_exchange(v, old, &sum, sizeof(sum));
	}
	}
}

/* What was found when it was not what we expected is what we expect next. */
static int add_by_exchange(int i, shv_value *v, int n)
{
	uint64_t old = 0;
	int r;

	do {
		r = exchange_sum(i, v, &old, n);
	} while (r == -EAGAIN);
	return r;
}

static void add(int i, int n)
{
	shv_value *v = value(i);
	bool none = i % POLICIES == 3;
	int r;

	switch (i / (POLICIES * TYPES) % 3) {
	case 0:
		r = add_by_call(i, v, n);
		break;
	case 1:
		r = none ? add_by_call(i, v, n) : add_by_hand(i, v, n);
		break;
	default:
		r = add_by_exchange(i, v, n);
	}
	if (r)
		die("add");
}

/* Each in an order of its own; the step has no divisor in common with VALUES. */
static void update(int me)
{
	static const int steps[WORKERS] = { 1, 7, 3331, 9999 };

	do {
		int i = me * (VALUES / WORKERS);

		for (int n = 0; n < VALUES; n++) {
			add(i, me + 1);
			if (shv_add(job.hot[n % POLICIES], 1, NULL))
				die("hot");
			i = (i + steps[me]) % VALUES;
		}
		job.rounds[me]++;
	} while (job.rounds[me] < MIN_ROUNDS || !SHV_LOAD(job.stop, bool));
}

/* Value i was made by worker i % WORKERS. Even hundreds go to the next worker, odd ones back to their maker. */
static int freer_of(int i)
{
	return (i + (i / 100 % 2 == 0)) % WORKERS;
}

static void free_share(int me)
{
	for (int i = 0; i < VALUES; i++)
		if (freer_of(i) == me && shv_value_free(value(i)))
			die("free");
}

static void renew(int me)
{
	for (int i = 0; i < RENEWED; i++) {
		int k = VALUES + me * RENEWED + i;

		job.refs[k] = shv_ref_of(new_value(k));
		if (!job.refs[k])
			die("renew");
	}
}

/* ---- orders: one letter through a pipe, answered by one through another ---------------------- */

static struct {
	int orders[WORKERS], answers;
	pid_t pid[WORKERS];
} crew;

static void worker(int me, int orders, int answers)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(orders, &c, 1) == 1) {
		if (c == 'c')
			create(me);
		else if (c == 'u')
			update(me);
		else if (c == 'f')
			free_share(me);
		else
			renew(me);
		if (write(answers, &c, 1) != 1)
			die("answer");
	}
	_exit(0); /* without detaching: what it owned goes over to the others */
}

static void hire(void)
{
	int answers[2];

	if (pipe(answers))
		die("pipe");
	crew.answers = answers[0];
	for (int i = 0; i < WORKERS; i++) {
		int orders[2];

		if (pipe(orders))
			die("pipe");
		crew.pid[i] = fork();
		if (crew.pid[i] < 0)
			die("fork");
		if (crew.pid[i] == 0) {
			for (int k = 0; k < i; k++)
				close(crew.orders[k]);
			close(orders[1]);
			close(answers[0]);
			worker(i, orders[0], answers[1]);
		}
		close(orders[0]);
		crew.orders[i] = orders[1];
	}
	close(answers[1]);
}

static void order(char c)
{
	for (int i = 0; i < WORKERS; i++)
		if (write(crew.orders[i], &c, 1) != 1)
			die("order");
}

static void await(void)
{
	char c;

	for (int i = 0; i < WORKERS; i++)
		if (read(crew.answers, &c, 1) != 1)
			die("a worker failed");
}

static void dismiss(void)
{
	int status;

	for (int i = 0; i < WORKERS; i++)
		close(crew.orders[i]);
	for (int i = 0; i < WORKERS; i++)
		if (waitpid(crew.pid[i], &status, 0) != crew.pid[i] || status)
			die("a worker failed");
	close(crew.answers);
}

/* ---- what the parent does -------------------------------------------------------------------- */

/* A fifth process takes a lock and is killed with it. */
static pid_t make_victim(void)
{
	int fds[2];
	pid_t pid;
	char c;

	if (pipe(fds))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (shv_acquire(job.victim) || write(fds[1], "", 1) != 1)
			die("victim");
		for (;;)
			pause();
	}
	if (read(fds[0], &c, 1) != 1)
		die("the victim failed");
	kill(pid, SIGKILL);
	if (waitpid(pid, NULL, 0) != pid)
		die("wait");
	close(fds[0]);
	close(fds[1]);
	return pid;
}

static void live(bool pause_here)
{
	int c;

	printf("live: pid %d has the arena \"mixed\"; %d values, %d processes are adding to them\n",
	       (int)getpid(), VALUES, WORKERS);
	if (pause_here)
		while ((c = getchar()) != EOF && c != '\n')
			;
}

static void check_victim(pid_t victim)
{
	struct shv_holder who = { .size = sizeof(who) };

	if (shv_acquire(job.victim) != SHV_RECOVERED || shv_last_holder(job.victim, &who) ||
	    who.pid != victim || who.alive)
		die("we should be told that the holder died");
	printf("killed:   %s[%d] held \"held by the dead\"; its lock went to the next taker, who was told\n", who.command,
	       (int)who.pid);
	if (shv_release(job.victim))
		die("release");
}

static int check_totals(void)
{
	long rounds = 0, sum = 0, hot_sum = 0, hot_wanted = 0;
	int wrong = 0;

	for (int w = 0; w < WORKERS; w++) {
		sum += (w + 1) * job.rounds[w];
		rounds += job.rounds[w];
	}
	for (int i = 0; i < VALUES; i++)
		wrong += content(i, value(i)) != (double)(i + sum);
	for (int k = 0; k < POLICIES; k++) {
		long wanted = rounds * (VALUES / POLICIES + (k < VALUES % POLICIES)), got = SHV_LOAD(job.hot[k], long);

		printf("total:    hot/%-10s %9ld of %9ld\n", policy_names[k], got, wanted);
		wrong += got != wanted;
		hot_sum += got;
		hot_wanted += wanted;
	}
	printf("total:    %d values, %ld rounds over them, %ld updates, %ld of %ld hot ones; %d totals are off\n",
	       VALUES, rounds, rounds * VALUES, hot_sum, hot_wanted, wrong);
	return wrong;
}

static unsigned long long objects(void)
{
	struct shv_stat st = { .size = sizeof(st) };

	if (shv_stat(job.a, &st))
		die("stat");
	return (unsigned long long)st.objects;
}

static void check_freed(unsigned long long before)
{
	int by_other = 0;

	for (int i = 0; i < VALUES; i++) {
		by_other += freer_of(i) != i % WORKERS;
		if (shv_deref(job.a, job.refs[i]) || errno != ESTALE)
			die("a reference to a freed value should be refused");
	}
	if (objects() != before - VALUES || by_other != VALUES / 2)
		die("all should be freed, and half of them by others");
	printf("free:     %d values were freed by another process than made them, %d by their makers\n", by_other,
	       VALUES - by_other);
}

static void free_renewed(void)
{
	for (int i = VALUES; i < VALUES + WORKERS * RENEWED; i++)
		if (content(i, value(i)) != (double)i || shv_value_free(value(i)))
			die("renewed");
	printf("renew:    %d values were made by children that are gone now, and freed by their parent\n",
	       WORKERS * RENEWED);
}

static void finding(void *ctx, const char *what)
{
	(void)ctx;
	fprintf(stderr, "mixed: shv_check: %s\n", what);
}

static void clean_up(void)
{
	int r = shv_raw_free(job.refs) | shv_raw_free(job.rounds) | shv_value_free(job.stop) |
		shv_value_free(job.held) | shv_value_free(job.victim);

	for (int i = 0; i < POLICIES; i++)
		r |= shv_value_free(job.hot[i]);
	for (int i = 0; i < SHARED_LOCKS; i++)
		r |= shv_lock_free(job.locks[i]);
	if (r || shv_arena_trim(job.a))
		die("clean up");
	if (shv_check(job.a, finding, NULL) || objects())
		die("the arena should be sound and empty");
	printf("end:      shv_check finds nothing, no object is left\n");
}

int main(int argc, char **argv)
{
	bool pause_here = argc > 1 && !strcmp(argv[1], "--pause");
	unsigned long long before;
	pid_t victim;
	int wrong;

	setvbuf(stdout, NULL, _IOLBF, 0);
	prepare();
	hire();
	order('c');
	await();
	before = objects();
	printf("create:   %d processes made %d values: 6 lock policies, 3 types\n", WORKERS, VALUES);

	order('u');
	victim = make_victim();
	if (shv_acquire(job.held))
		die("hold");
	live(pause_here);
	if (shv_release(job.held) || SHV_STORE(job.stop, bool, true))
		die("stop");
	await();
	wrong = check_totals();
	check_victim(victim);

	order('f');
	await();
	check_freed(before);
	order('n');
	await();
	dismiss();
	free_renewed();
	clean_up();
	return wrong || shv_arena_detach(job.a) ? 1 : 0;
}
