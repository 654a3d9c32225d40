/* SPDX-License-Identifier: MIT */
/*
 * A lock policy of the program's own: a fair lock.
 *
 * The built-in locks let a thread that has just released take again before those that wait get up. Here
 * a comer draws a ticket, and the lock goes round in the order of the tickets. It must do what every policy
 * must: keep all of its state in the arena and no address in it, wait with a deadline, say who holds it, and
 * let go of a holder that was killed. Here any waiter may be killed too, at any instruction.
 *
 * The state is a ring of places. The place of ticket t is t mod PLACES, one 64-bit word:
 *
 *	{ t, 0 }      free, for ticket t
 *	{ t, pid }    drawn by that process, which has the lock when t is the ticket served
 *	{ t, LEFT }   given up (time out); whoever sees it served passes it by
 *
 * A place that is done with becomes { t + PLACES, 0 }. Every change is one compare-and-swap of that word;
 * `next` and `serving` only follow from the ring and are pushed on by anyone who sees that they lag behind,
 * so there is no moment at which a death leaves half a change.
 *
 * Limits: the library waits in slices, to look after dead holders in between, and who has waited a whole
 * slice (some tens of milliseconds) draws a new ticket. A process is known by its pid alone; a careful
 * policy would store its start time too, as pids are reused. Tickets wrap after 2^32.
 *
 * Shown: nothing is lost under it; who waits for how many, beside a built-in lock; and processes that are
 * killed while they hold it or wait for it, the next one being told.
 */
#include <shv/shv.h>

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the policy ------------------------------------------------------------------------------ */

enum { PLACES = 64 };
#define LEFT UINT32_MAX

struct fair {
	uint32_t next;           /* the ticket that the next comer should try to draw; may lag behind */
	uint32_t serving;        /* whose turn it is; may lag behind; waiters sleep on it */
	uint32_t died;           /* a holder died: the next one must be told */
	uint32_t unused;
	uint64_t place[PLACES];
};

static uint64_t place(uint32_t ticket, uint32_t pid)
{
	return (uint64_t)ticket << 32 | pid;
}

static bool swap(struct fair *s, uint32_t ticket, uint32_t from, uint32_t to)
{
	uint64_t old = place(ticket, from);
	uint64_t new = to ? place(ticket, to) : place(ticket + PLACES, 0);

	return __atomic_compare_exchange_n(&s->place[ticket % PLACES], &old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/* Whose place is that of the ticket: 0 = nobody's yet; done: the ticket is over. */
static uint32_t sits(const struct fair *s, uint32_t ticket, bool *done)
{
	uint64_t p = __atomic_load_n(&s->place[ticket % PLACES], __ATOMIC_ACQUIRE);

	*done = (uint32_t)(p >> 32) != ticket;
	return *done ? 0 : (uint32_t)p;
}

static bool push_on(uint32_t *counter, uint32_t from)
{
	return __atomic_compare_exchange_n(counter, &from, from + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* A waiter sleeps on `serving` under the bit of its ticket, so that a release wakes the next and not all. */
static uint32_t bit_of(uint32_t ticket)
{
	return 1u << ticket % 32;
}

/* Without FUTEX_PRIVATE_FLAG, as processes share the word. The deadline is absolute, CLOCK_MONOTONIC. */
static bool sleep_until(struct fair *s, uint32_t serving, uint32_t bits, const struct timespec *deadline)
{
	return !syscall(SYS_futex, &s->serving, FUTEX_WAIT_BITSET, serving, deadline, NULL, bits) || errno != ETIMEDOUT;
}

static void wake(struct fair *s, uint32_t ticket)
{
	syscall(SYS_futex, &s->serving, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, bit_of(ticket));
}

/* Bring `serving` to the first ticket that is not over, past those that were given up. Returns it. */
static uint32_t settle(struct fair *s)
{
	for (;;) {
		uint32_t t = __atomic_load_n(&s->serving, __ATOMIC_ACQUIRE);
		bool done;

		if (sits(s, t, &done) == LEFT)
			done = swap(s, t, LEFT, 0);
		if (!done)
			return t;
		if (push_on(&s->serving, t))
			wake(s, t + 1);
	}
}

/* Draw a ticket. False: the ring is full. */
static bool draw(struct fair *s, uint32_t me, uint32_t *ticket)
{
	for (;;) {
		uint32_t t = __atomic_load_n(&s->next, __ATOMIC_ACQUIRE);

		if (t - settle(s) == PLACES)
			return false;
		if (swap(s, t, 0, me)) {
			push_on(&s->next, t);
			*ticket = t;
			return true;
		}
		push_on(&s->next, t); /* another one drew it, and perhaps died before it could do this */
	}
}

static int fair_init(void *state, const void *arg)
{
	struct fair *s = state;

	(void)arg;
	for (uint32_t i = 0; i < PLACES; i++)
		s->place[i] = place(i, 0);
	return 0;
}

/* The lock is ours. If somebody died with it, say so, once. */
static int entered(struct fair *s)
{
	return __atomic_exchange_n(&s->died, 0, __ATOMIC_ACQ_REL) ? SHV_RECOVERED : 0;
}

static int fair_acquire(void *state, const struct timespec *deadline)
{
	struct fair *s = state;
	uint32_t me = (uint32_t)getpid(), ticket, now;

	while (!draw(s, me, &ticket))
		if (!sleep_until(s, settle(s), FUTEX_BITSET_MATCH_ANY, deadline))
			return -ETIMEDOUT;
	while ((now = settle(s)) != ticket) {
		if (sleep_until(s, now, bit_of(ticket), deadline))
			continue;
		swap(s, ticket, me, LEFT);
		settle(s); /* in case it was our turn just now */
		return -ETIMEDOUT;
	}
	return entered(s);
}

static int fair_try(void *state)
{
	struct fair *s = state;
	uint32_t me = (uint32_t)getpid(), t = settle(s);

	if (!swap(s, t, 0, me))
		return -EBUSY;
	push_on(&s->next, t);
	return entered(s);
}

static int fair_release(void *state)
{
	struct fair *s = state;

	if (!swap(s, __atomic_load_n(&s->serving, __ATOMIC_ACQUIRE), (uint32_t)getpid(), 0))
		return -EPERM;
	settle(s);
	return 0;
}

/* Who is served, be it that he is in, or that he died before he could come in. */
static int fair_holder(const void *state, struct shv_holder *out)
{
	const struct fair *s = state;
	bool done;
	uint32_t pid = sits(s, __atomic_load_n(&s->serving, __ATOMIC_ACQUIRE), &done);

	if (!pid || pid == LEFT)
		return -ENOENT;
	out->pid = (pid_t)pid;
	return 0;
}

/*
 * First the mark, then the release: who dies in between leaves both to be done again. The mark is there
 * because the library tells only the process that called this; another one may be next in the queue, and
 * must know too.
 */
static int fair_recover(void *state, const struct shv_holder *dead)
{
	struct fair *s = state;
	uint32_t t = __atomic_load_n(&s->serving, __ATOMIC_ACQUIRE);

	__atomic_store_n(&s->died, 1, __ATOMIC_RELEASE);
	if (!swap(s, t, (uint32_t)dead->pid, 0))
		return -EAGAIN;
	settle(s);
	return 0;
}

static const struct shv_lock_policy fair = {
	.struct_size = sizeof(fair),
	.name = "fair",
	.size = sizeof(struct fair),
	.align = 8,
	.init = fair_init,
	.acquire = fair_acquire,
	.try_acquire = fair_try,
	.release = fair_release,
	.recover = fair_recover,
	.holder = fair_holder,
};

/* ---- what it guards -------------------------------------------------------------------------- */

enum { PROCESSES = 4, GOAL = 5000, ROUNDS = 4 };

/* The first two are equal but in the middle of an update: who dies there leaves a difference. */
struct tally {
	long first, second;
	long share[PROCESSES];
	long waits, longest;     /* how often one had to wait; how many others came in first at most */
};

static const struct shv_field tally_fields[] = {
	SHV_FIELD(struct tally, first, SHV_LONG),
	SHV_FIELD(struct tally, second, SHV_LONG),
	SHV_FIELD(struct tally, share, SHV_LONG),
	SHV_FIELD(struct tally, waits, SHV_LONG),
	SHV_FIELD(struct tally, longest, SHV_LONG),
};

static void die(const char *what)
{
	fprintf(stderr, "policy[%d]: %s: %s\n", (int)getpid(), what, shv_errmsg());
	exit(1);
}

/* Takes the lock, and mends what a dead holder left, if there was one. Returns 1 then. */
static int enter(shv_value *v)
{
	static const struct timespec long_enough = { .tv_sec = 30 };
	int r = shv_acquire_for(v, &long_enough);
	struct tally *t = shv_value_data(v);

	if (r < 0 || !t)
		die("acquire");
	if (r == SHV_RECOVERED)
		t->second = t->first;
	else if (t->first != t->second)
		die("half an update, and nobody said that its writer had died");
	return r;
}

static void leave(shv_value *v)
{
	if (shv_release(v))
		die("release");
}

/* In the middle the processor is offered to others, so that they come while we are inside. */
static void update(struct tally *t, int i)
{
	t->first++;
	sched_yield();
	if (i >= 0)
		t->share[i]++;
	t->second++;
}

/* ---- processes ------------------------------------------------------------------------------- */

static pid_t start(void (*work)(shv_value *v, int i, const int *pipe_), shv_value *v, int i, const int *pipe_)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(v, i, pipe_);
		_exit(0);
	}
	return pid;
}

/* Waits for a child, which should have ended by that signal, or well if that is 0. */
static void reap(pid_t pid, int by)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || (by ? !WIFSIGNALED(status) || WTERMSIG(status) != by : status))
		die("a child ended otherwise than it should");
}

static shv_value *new_tally(shv_arena *a, shv_lockspec lock)
{
	const shv_type *type = shv_type_struct("tally", sizeof(struct tally), tally_fields,
					       sizeof(tally_fields) / sizeof(tally_fields[0]));
	shv_value *v = type ? shv_value_new(a, type, NULL, lock) : NULL;

	if (!v)
		die("new");
	return v;
}

/* ---- 1. all want it at once: is anything lost, and who waits for how many? ------------------- */

static void contend(shv_value *v, int i, const int *gate)
{
	struct tally *t = shv_value_data(v);
	bool more = true;
	char c;

	close(gate[1]);
	if (!t || read(gate[0], &c, 1) != 0) /* all start when the parent closes the gate */
		die("gate");
	while (more) {
		long before = __atomic_load_n(&t->first, __ATOMIC_RELAXED), others;

		enter(v);
		others = t->first - before;
		t->waits += others > 0;
		t->longest = others > t->longest ? others : t->longest;
		more = t->first < GOAL;
		if (more)
			update(t, i);
		leave(v);
	}
}

static int contention(shv_arena *a, const char *name, shv_lockspec lock)
{
	shv_value *v = new_tally(a, lock);
	struct tally t;
	pid_t pid[PROCESSES];
	long sum = 0;
	int gate[2];

	if (pipe(gate))
		die("pipe");
	for (int i = 0; i < PROCESSES; i++)
		pid[i] = start(contend, v, i, gate);
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < PROCESSES; i++)
		reap(pid[i], 0);
	if (shv_get(v, &t, sizeof(t)) || shv_value_free(v))
		die("get");
	for (int i = 0; i < PROCESSES; i++)
		sum += t.share[i];
	printf("%-6s %ld of %d updates; in %ld waits others went in first, at most %ld\n", name, sum, GOAL,
	       t.waits, t.longest);
	return t.first == GOAL && t.second == GOAL && sum == GOAL ? 0 : 1;
}

/* ---- 2. a holder is killed in the middle of an update ---------------------------------------- */

static void die_inside(shv_value *v, int i, const int *pipe_)
{
	(void)i;
	enter(v);
	((struct tally *)shv_value_data(v))->first++;
	if (write(pipe_[1], "", 1) != 1)
		die("write");
	for (;;)
		pause();
}

static int killed_holder(shv_arena *a)
{
	struct shv_holder who = { .size = sizeof(who) };
	shv_value *v = new_tally(a, SHV_POLICY(&fair));
	struct tally *t = shv_value_data(v);
	int fds[2], r;
	pid_t pid;
	char c;

	if (pipe(fds))
		die("pipe");
	pid = start(die_inside, v, 0, fds);
	if (read(fds[0], &c, 1) != 1)
		die("read");
	close(fds[0]);
	close(fds[1]);
	if (shv_value_holder(v, &who) != 1 || who.pid != pid || !who.alive)
		die("the child should hold it");
	if (shv_try_acquire(v) != -EBUSY)
		die("it should be busy");
	kill(pid, SIGKILL);
	reap(pid, SIGKILL);
	r = enter(v);
	printf("a child was killed inside: acquire returned %s, ", r == SHV_RECOVERED ? "SHV_RECOVERED" : "0");
	if (r != SHV_RECOVERED || t->first != 1 || t->second != 1 || shv_last_holder(v, &who) || who.pid != pid)
		die("we should be told that the child died");
	printf("last holder %s[%s]\n", who.command, who.pid == pid ? "the child" : "?");
	leave(v);
	return shv_value_free(v);
}

/* ---- 3. processes are killed anywhere: inside, in the queue, on their way in or out ---------- */

static void go_on_for_ever(shv_value *v, int i, const int *pipe_)
{
	(void)pipe_;
	for (;;) {
		enter(v);
		update(shv_value_data(v), i);
		leave(v);
	}
}

static int massacre(shv_arena *a)
{
	shv_value *v = new_tally(a, SHV_POLICY(&fair));
	int told = 0;

	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid[PROCESSES];

		for (int i = 0; i < PROCESSES; i++)
			pid[i] = start(go_on_for_ever, v, i, NULL);
		for (int i = 0; i < PROCESSES; i++) {
			for (int n = 0; n < 50 * (i + 1); n++) { /* we take turns with them */
				told += enter(v);
				update(shv_value_data(v), -1);
				leave(v);
			}
			kill(pid[i], SIGKILL);
			reap(pid[i], SIGKILL);
		}
		told += enter(v); /* nobody else is there now, and it can be had */
		leave(v);
	}
	printf("%d more were killed anywhere: the lock was always there for the others\n", ROUNDS * PROCESSES);
	if (told > ROUNDS * PROCESSES)
		die("told of more deaths than there were");
	return shv_value_free(v);
}

int main(void)
{
	shv_arena *a;
	int bad;

	setvbuf(stdout, NULL, _IOLBF, 0);
	a = shv_arena_create(&(struct shv_arena_options){ .name = "policy" });
	if (!a || shv_lock_register(a, &fair))
		die("start");
	bad = contention(a, "plain", SHV_PLAIN);
	bad |= contention(a, fair.name, SHV_POLICY(&fair));
	bad |= killed_holder(a);
	bad |= massacre(a);
	return bad || shv_arena_detach(a) ? 1 : 0;
}
