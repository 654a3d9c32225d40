/* SPDX-License-Identifier: MIT */
/*
 * How many instructions the common calls take: a child is stepped through each of them, one instruction at a time, while its caches are warm
 * and nobody else is there. The figure of a call is the median of its repetitions, less what the marks themselves take. The
 * same machine code gives the same figures, on a quiet machine and a loaded one.
 *
 * Prints one line for each call: its name, and the figure. Status 77: stepping is not permitted here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <shv/shv.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPEAT 15
#define MANY 64

static shv_arena *arena;
static shv_value *value, *bare;
static shv_ref ref;
static long x = 7;
static void *made[MANY];
static int n_made;

static void fail(const char *what)
{
	fprintf(stderr, "instructions: %s: %s\n", what, shv_errmsg());
	_exit(1);
}

/* ---- the calls ------------------------------------------------------------------------------------------- */

static void nothing(void)
{
}
static void raw_new(void)
{
	made[n_made++] = shv_raw_new(arena, SHV_LONG, &x);
}
static void raw_free(void)
{
	shv_raw_free(made[--n_made]);
}
static void value_new(void)
{
	made[n_made++] = shv_value_new(arena, SHV_LONG, &x, SHV_RECURSIVE);
}
static void value_free(void)
{
	shv_value_free(made[--n_made]);
}
static void array_new(void)
{
	made[n_made++] = shv_raw_array_new(arena, SHV_CHAR, 200, NULL);
}
static void add(void)
{
	shv_add(value, 1, NULL);
}
static void with(void)
{
	shv_with(value)
		x++;
}
static void acquire_release(void)
{
	shv_acquire(value);
	shv_release(value);
}
static void get(void)
{
	shv_get(value, &x, sizeof(x));
}
static void get_bare(void)
{
	shv_get(bare, &x, sizeof(x));
}
static void set(void)
{
	shv_set(value, &x, sizeof(x));
}
static void peek(void)
{
	shv_peek(value, &x, sizeof(x));
}
static void deref(void)
{
	made[MANY - 1] = shv_deref(arena, ref);
}
static void ref_of(void)
{
	ref = shv_ref_of(value);
}
static void find(void)
{
	made[MANY - 1] = shv_find(arena, "a name among others");
}

static const struct call {
	const char *name;
	void (*f)(void);
} calls[] = {
	{ "nothing", nothing },   /* what the marks take; not printed */
	{ "shv_raw_new", raw_new },
	{ "shv_raw_free", raw_free },
	{ "shv_value_new recursive", value_new },
	{ "shv_value_free recursive", value_free },
	{ "shv_raw_array_new of 200 char", array_new },
	{ "shv_raw_free of an array", raw_free },
	{ "shv_add recursive", add },
	{ "shv_with recursive", with },
	{ "shv_acquire and shv_release recursive", acquire_release },
	{ "shv_get recursive", get },
	{ "shv_get none", get_bare },
	{ "shv_set recursive", set },
	{ "shv_peek recursive", peek },
	{ "shv_deref", deref },
	{ "shv_ref_of", ref_of },
	{ "shv_find among 1,000", find },
};
#define CALLS ((int)(sizeof(calls) / sizeof(calls[0])))

/* ---- the child ---------------------------------------------------------------------------------------------- */

/* A signal that the parent sees as such, and not as a step. */
static void mark(void)
{
	syscall(SYS_kill, getpid(), SIGSTOP);
}

static void prepare(void)
{
	void *p[MANY];
	char name[32];

	arena = shv_arena_create(NULL);
	value = arena ? SHV_VALUE(arena, long, 7) : NULL;
	bare = value ? SHV_VALUE(arena, long, 7, SHV_NONE) : NULL;
	if (!bare || !(ref = shv_ref_of(value)) || shv_publish(value, "a name among others"))
		fail("prepare");
	for (int i = 0; i < 999; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		if (shv_publish(SHV_VALUE(arena, int, i), name))
			fail("shv_publish");
	}
	/* Magazines grow with use. */
	for (int round = 0; round < 8; round++)
		for (int kind = 0; kind < 3; kind++) {
			for (int i = 0; i < MANY; i++) {
				p[i] = kind == 0 ? shv_raw_new(arena, SHV_LONG, &x) :
				       kind == 1 ? (void *)shv_value_new(arena, SHV_LONG, &x, SHV_RECURSIVE) :
						   shv_raw_array_new(arena, SHV_CHAR, 200, NULL);
				if (!p[i])
					fail("warming");
			}
			for (int i = 0; i < MANY; i++)
				if (kind == 1 ? shv_value_free(p[i]) : shv_raw_free(p[i]))
					fail("warming");
		}
}

/* Each call REPEAT times between marks. */
static void child(void)
{
	prepare();
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(77);
	mark();
	for (int k = 0; k < CALLS; k++) {
		for (int i = 0; i < 3 && calls[k].f != raw_free && calls[k].f != value_free; i++) /* names of the loader are bound by now */
			calls[k].f();
		for (int i = 0; i < REPEAT; i++) {
			mark();
			calls[k].f();
			mark();
		}
	}
	_exit(0);
}

/* ---- the parent ------------------------------------------------------------------------------------------------ */

/* Goes on as `request` until the next stop. Returns: the signal that it stopped with, or -1: it ended, with *status. */
static int go_on(pid_t pid, long request, int *status)
{
	if (ptrace(request, pid, NULL, NULL) || waitpid(pid, status, __WALL) != pid) {
		perror("instructions: ptrace");
		exit(1);
	}
	return WIFSTOPPED(*status) ? WSTOPSIG(*status) : -1;
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int median_of_call(pid_t pid)
{
	int n[REPEAT], status, signal;

	for (int i = 0; i < REPEAT; i++) {
		if (go_on(pid, PTRACE_CONT, &status) != SIGSTOP) {
			fprintf(stderr, "instructions: the child ended: %x\n", status);
			exit(1);
		}
		n[i] = 0;
		do {
			signal = go_on(pid, PTRACE_SINGLESTEP, &status);
			n[i]++;
		} while (signal == SIGTRAP);
		if (signal != SIGSTOP) {
			fprintf(stderr, "instructions: the child was stopped by signal %d, or ended: %x\n", signal, status);
			exit(1);
		}
	}
	qsort(n, REPEAT, sizeof(n[0]), by_value);
	return n[REPEAT / 2];
}

int main(int argc, char **argv)
{
	int status, marks = 0;
	cpu_set_t one;
	pid_t pid;

	(void)argc;
	/* The same addresses each time, if that can be had; and on one processor, where stepping is quicker. */
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE) && personality(ADDR_NO_RANDOMIZE | personality(0xffffffff)) >= 0 &&
	    personality(0xffffffff) & ADDR_NO_RANDOMIZE)
		execv("/proc/self/exe", argv);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	pid = fork();
	if (pid < 0) {
		perror("instructions: fork");
		return 1;
	}
	if (!pid)
		child();
	for (int k = 0; k < CALLS; k++) {
		int n;
		if (!k) { /* is it being traced at all? */
			siginfo_t info;
			if (waitid(P_PID, (id_t)pid, &info, WEXITED | WSTOPPED | WNOWAIT))
				return 1;
			if (info.si_code == CLD_EXITED) {
				waitpid(pid, &status, 0);
				return WEXITSTATUS(status);
			}
			if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status) || ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL))
				return 1;
		}
		n = median_of_call(pid);
		if (!k)
			marks = n;
		else
			printf("%d %s\n", n - marks, calls[k].name);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, __WALL);
	return 0;
}
