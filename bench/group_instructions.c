/* SPDX-License-Identifier: MIT */
/*
 * Instructions of a pair, counted by stepping a child through the work one at a time: many virtual machines have no counters,
 * and this gives the same figure each time. Kernel and page faults do not count. tests/perf has the figures of the single calls of libshv.
 */
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define FEW 20 /* a step costs 10 us */

struct job {
	struct peer *p;
	enum what what;
	struct pass s;
};

static void mark(void)
{
	kill(getpid(), SIGSTOP);
}

/* Instructions between two marks of a child, around one call of f; -1: stepping is not possible here. */
static double steps_of(void (*warm)(struct job *), void (*f)(struct job *), struct job *j)
{
	double n = 0;
	int status;
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (!pid) {
		if (j->p->forked)
			j->p->forked();
		if (j->p->enter)
			j->p->enter();
		warm(j);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(8);
		mark();
		f(j);
		mark();
		_exit(0);
	}
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	if (!WIFSTOPPED(status))
		return -1;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL);
	do {
		n++;
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
			need(false, "stepping failed: %s", strerror(errno));
	} while (WSTOPSIG(status) != SIGSTOP);
	kill(pid, SIGKILL);
	waitpid(pid, &status, __WALL);
	return n;
}

static void work(struct job *j)
{
	struct timing t;

	peer_run(j->p, j->what, true, &j->s, &t);
}
static void warm(struct job *j)
{
	for (int i = 0; i < 6; i++)
		work(j);
}

/* A churn of more rounds, less one of fewer: what remains is pairs and nothing else. */
static double pair(struct peer *p, enum what what)
{
	struct job less = { p, what, pass_new(FEW, FEW, 1) }, more = { p, what, pass_new(FEW, FEW, 1 + FEW) };
	double a, b;

	a = steps_of(warm, work, &less);
	b = steps_of(warm, work, &more);
	pass_end(&less.s);
	pass_end(&more.s);
	return a < 0 || b < 0 ? -1 : (b - a) / FEW;
}

/* Stepping is several times as quick when both sides run on one processor. */
static void stay_here(cpu_set_t *was)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_getaffinity(0, sizeof(*was), was);
	sched_setaffinity(0, sizeof(one), &one);
}

void group_instructions(void)
{
	cpu_set_t was;
	static struct peer *const some[] = { &peer_jemalloc,     &peer_shv, &peer_memfd_bound, &peer_memfd_cached, &peer_boost_private_node,
					     &peer_boost };
	static const struct {
		enum what what;
		const char *work;
	} runs[] = {
		{ RAW, "instructions, raw churn" },
		{ MIXED, "instructions, mixed churn" },
		{ LOCKED, "instructions, locked churn" },
	};

	stay_here(&was);
	for (size_t k = 0; k < sizeof(runs) / sizeof(runs[0]); k++)
		for (size_t i = 0; i < (quick ? 2 : sizeof(some) / sizeof(some[0])); i++) {
			double n;
			if (some[i]->missing || !some[i]->loops[runs[k].what].batch)
				continue;
			n = pair(some[i], runs[k].what);
			if (n < 0) {
				remark("left out: instructions: this process may not trace its children");
				goto out;
			}
			record(runs[k].work, some[i]->name, n);
		}
out:
	sched_setaffinity(0, sizeof(was), &was);
}
