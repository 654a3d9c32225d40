/* SPDX-License-Identifier: MIT */
/*
 * A lock policy of the program's own: the pthread mutex of the C library, robust and shared by processes.
 *
 * For programs whose other parts know pthread mutexes. It works, but the locks that are built in are smaller and promise
 * more; a robust mutex has limits that no policy around it can lift:
 *
 *	- Of the robust mutexes that a killed thread held, the kernel gives back 2,048; the others stay locked for ever.
 *	- Whoever unmaps the arena while he holds one, and then dies, leaves it locked. (shv_arena_detach() refuses that; munmap()
 *	  does not.)
 *	- A mutex knows its owner by the number of the thread alone, so one that is recursive, or checks for errors as this one does, mistakes
 *	  a process of another pid namespace with the same number for itself. Use it within one namespace.
 *	- Held mutexes are chained by addresses of their owner, which lie in the arena: who damages these bytes crashes the owner.
 *	- shv_value_holder() is -ENOTSUP and shv_last_holder() -ENOENT: POSIX does not tell who the owner is.
 *	- It has 40 bytes where the built-in one has 8.
 *
 * There is no recover(): the mutex itself says EOWNERDEAD to its next taker.
 *
 * Shown: exclusion, an owner that is killed, many that are killed anywhere, and the first of the limits.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pthread_mutex_clocklock */
#endif
#include <shv/shv.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the policy ------------------------------------------------------------------------------ */

static int robust_init(void *state, const void *arg)
{
	pthread_mutexattr_t a;
	int r = pthread_mutexattr_init(&a);

	(void)arg;
	if (r)
		return -r;
	r = pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	if (!r)
		r = pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	if (!r)
		r = pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
	if (!r)
		r = pthread_mutex_init(state, &a);
	pthread_mutexattr_destroy(&a);
	return -r;
}

/* The last owner died: the mutex is ours, and is to go on being used. */
static int taken(void *state, int r)
{
	if (r != EOWNERDEAD)
		return -r;
	pthread_mutex_consistent(state);
	return SHV_RECOVERED;
}

static int robust_acquire(void *state, const struct timespec *deadline)
{
	/* Deadlines of libshv are of the monotonic clock, those of pthread_mutex_timedlock() are not. */
	return taken(state, deadline ? pthread_mutex_clocklock(state, CLOCK_MONOTONIC, deadline) : pthread_mutex_lock(state));
}

static int robust_try(void *state)
{
	return taken(state, pthread_mutex_trylock(state));
}

static int robust_release(void *state)
{
	return -pthread_mutex_unlock(state);
}

static void robust_destroy(void *state)
{
	pthread_mutex_destroy(state);
}

static const struct shv_lock_policy robust = {
	.struct_size = sizeof(robust),
	.name = "pthread-robust",
	.size = sizeof(pthread_mutex_t),
	.align = _Alignof(pthread_mutex_t),
	.init = robust_init,
	.acquire = robust_acquire,
	.try_acquire = robust_try,
	.release = robust_release,
	.destroy = robust_destroy,
};

/* ---- what it guards: two numbers that are equal when nobody is inside ------------------------- */

struct pair {
	long first, second;
};

enum { PROCESSES = 4, TURNS = 5000, KILLS = 20, LIMIT = 2048, MANY = 2500 };

static void die(const char *what)
{
	fprintf(stderr, "pthread_lock[%d]: %s: %s\n", (int)getpid(), what, shv_errmsg());
	exit(1);
}

static shv_value *new_pair(shv_arena *a)
{
	static const struct shv_field fields[] = { SHV_FIELD(struct pair, first, SHV_LONG), SHV_FIELD(struct pair, second, SHV_LONG) };
	const shv_type *type = shv_type_struct("pair", sizeof(struct pair), fields, 2);
	shv_value *v = type ? shv_value_new(a, type, NULL, SHV_POLICY(&robust)) : NULL;

	if (!v)
		die("new");
	return v;
}

static int update(shv_value *v)
{
	struct pair *p = shv_value_data(v);
	int r = shv_acquire(v);

	if (r < 0)
		die("acquire");
	if (r == SHV_RECOVERED)
		p->second = p->first;
	if (p->first != p->second)
		die("half an update, and nobody said that its writer had died");
	p->first++;
	p->second++;
	if (shv_release(v))
		die("release");
	return r;
}

/* A child that runs work(v) and, as it dies with us, leaves nothing behind. */
static pid_t start(void (*work)(shv_value *v), shv_value *v)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(v);
		_exit(0);
	}
	return pid;
}

static void reap(pid_t pid, int signal_)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || (signal_ ? !WIFSIGNALED(status) || WTERMSIG(status) != signal_ : status))
		die("a child ended otherwise than it should");
}

static void some_turns(shv_value *v)
{
	for (int i = 0; i < TURNS; i++)
		update(v);
}

static void for_ever(shv_value *v)
{
	for (;;)
		update(v);
}

static void die_in_the_middle(shv_value *v)
{
	if (shv_acquire(v))
		die("acquire");
	((struct pair *)shv_value_data(v))->first++;
	raise(SIGKILL);
}

static void exclusion(shv_value *v)
{
	pid_t pid[PROCESSES];

	for (int i = 0; i < PROCESSES; i++)
		pid[i] = start(some_turns, v);
	for (int i = 0; i < PROCESSES; i++)
		reap(pid[i], 0);
	printf("%d processes: %ld of %d updates\n", PROCESSES, ((struct pair *)shv_value_data(v))->first, PROCESSES * TURNS);
	if (((struct pair *)shv_value_data(v))->first != PROCESSES * TURNS)
		die("some were lost");
	if (shv_acquire(v) || shv_acquire(v) != -EDEADLK || shv_try_acquire(v) >= 0 || shv_release(v) || shv_release(v) != -EPERM)
		die("taking it twice, giving it back twice");
}

static void deaths(shv_value *v)
{
	reap(start(die_in_the_middle, v), SIGKILL);
	if (update(v) != SHV_RECOVERED || update(v) != 0)
		die("we should be told of the death, once");
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = start(for_ever, v);
		for (int n = 0; n < 100; n++)
			update(v);
		kill(pid, SIGKILL);
		reap(pid, SIGKILL);
		update(v);
	}
	printf("%d were killed anywhere: the lock was always there for the others\n", KILLS + 1);
}

/* ---- the first limit, for all to see ----------------------------------------------------------- */

static shv_value *many[MANY];

static void hold_many(shv_value *v)
{
	(void)v;
	for (int i = 0; i < MANY; i++)
		if (shv_acquire(many[i]))
			die("acquire");
	raise(SIGKILL);
}

static int stuck_after_death(shv_arena *a, shv_lockspec lock)
{
	int stuck = 0;

	for (int i = 0; i < MANY; i++)
		if (!(many[i] = SHV_VALUE(a, int, 0, lock)))
			die("new");
	reap(start(hold_many, NULL), SIGKILL);
	for (int i = 0; i < MANY; i++)
		if (shv_try_acquire(many[i]) == -EBUSY)
			stuck++;
		else if (shv_release(many[i]))
			die("release");
	return stuck;
}

static void limit(shv_arena *a)
{
	int theirs = stuck_after_death(a, SHV_POLICY(&robust)), ours = stuck_after_death(a, SHV_PLAIN);

	printf("killed holding %d: %d robust mutexes are stuck, and %d built-in locks\n", MANY, theirs, ours);
	if (theirs > MANY - LIMIT || ours)
		die("more are stuck than the kernel's limit explains");
}

int main(void)
{
	shv_arena *a;
	shv_value *v;

	setvbuf(stdout, NULL, _IOLBF, 0);
	a = shv_arena_create(&(struct shv_arena_options){ .name = "pthread_lock" });
	if (!a || shv_lock_register(a, &robust))
		die("start");
	v = new_pair(a);
	exclusion(v);
	deaths(v);
	if (shv_value_free(v))
		die("free");
	limit(a);
	return shv_arena_detach(a) ? 1 : 0;
}
