/* SPDX-License-Identifier: MIT */
/*
 * Peers that another process measures, asked over a pipe: CPython (cpython.py), and the distribution's jemalloc, which wants to be the malloc
 * of its process (this program again, with LD_PRELOAD). A line out: what, how, and how much; a line in: the figures.
 */
#include "loops.h"

#include "have.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef BENCH_SRCDIR
#define BENCH_SRCDIR "."
#endif

extern char **environ;

struct child {
	pid_t pid;
	FILE *to, *from;
};

const char *const what_name[WHATS] = { "raw", "mixed", "locked" };

static const char *child_start(struct peer *p, char *const argv[], const char *preload)
{
	struct child *c = calloc(1, sizeof(*c));
	int to[2], from[2], r;
	posix_spawn_file_actions_t actions;
	char line[256];

	need(!pipe2(to, O_CLOEXEC) && !pipe2(from, O_CLOEXEC), "pipe2"); /* dup2 takes the flag off */
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, to[0], 0);
	posix_spawn_file_actions_adddup2(&actions, from[1], 1);
	if (preload)
		setenv("LD_PRELOAD", preload, 1);
	r = posix_spawnp(&c->pid, argv[0], &actions, NULL, argv, environ);
	if (preload)
		unsetenv("LD_PRELOAD");
	posix_spawn_file_actions_destroy(&actions);
	close(to[0]);
	close(from[1]);
	c->to = fdopen(to[1], "w");
	c->from = fdopen(from[0], "r");
	p->own = c;
	if (r || !fgets(line, sizeof(line), c->from) || strcmp(line, "ready\n"))
		return "it could not be started";
	return NULL;
}

static void child_end(struct peer *p)
{
	struct child *c = p->own;

	if (!c)
		return;
	fclose(c->to);
	fclose(c->from);
	waitpid(c->pid, NULL, 0);
	free(c);
	p->own = NULL;
}

static void child_ask(struct peer *p, enum what what, bool churn, const struct pass *s, struct timing *t)
{
	struct child *c = p->own;
	char line[256];

	fprintf(c->to, "%s %s %ld %ld %ld\n", what_name[what], churn ? "churn" : "batch", s->batch, s->live, s->rounds);
	fflush(c->to);
	need(fgets(line, sizeof(line), c->from) && sscanf(line, "%lf %lf %lf", &t->make, &t->drop, &t->pair) == 3, "%s did not answer", p->name);
}

/* ---- CPython ------------------------------------------------------------------------------------------------- */

static const char *cpython_open(void)
{
	static char script[] = BENCH_SRCDIR "/cpython.py", python[] = "python3";
	char *argv[] = { python, script, NULL };

	return child_start(&peer_cpython, argv, NULL);
}
static void cpython_close(void)
{
	child_end(&peer_cpython);
}
static void not_here(const struct pass *s, struct timing *t)
{
	(void)s, (void)t;
}
#define HAS_IT { not_here, not_here, NULL, NULL }

struct peer peer_cpython = {
	.name = "CPython",
	.open = cpython_open,
	.close = cpython_close,
	.ask = child_ask,
	.loops = { [RAW] = HAS_IT, [LOCKED] = HAS_IT },
	.most = 1000,
};

double cpython_increment(int sides)
{
	struct child *c = peer_cpython.own;
	char line[256];
	double t = NAN;

	if (!c || peer_cpython.missing)
		return NAN;
	fprintf(c->to, "increment %d %d\n", sides, 5000);
	fflush(c->to);
	need(fgets(line, sizeof(line), c->from) && sscanf(line, "%lf", &t) == 1, "CPython did not answer");
	return t;
}

/* ---- the distribution's jemalloc --------------------------------------------------------------------------------- */

static const char *debian_open(void)
{
	static char serve_option[] = "--serve", name[] = "glibc", program[4096];
	char *argv[] = { program, serve_option, name, NULL };
	FILE *f;
	char path[4096] = "";

	f = popen("ldconfig -p 2>/dev/null || /sbin/ldconfig -p", "r");
	while (f && fgets(path, sizeof(path), f)) {
		char *arrow = strstr(path, "=> ");
		if (arrow && strstr(path, "libjemalloc.so.2")) {
			arrow[strcspn(arrow, "\n")] = 0;
			memmove(path, arrow + 3, strlen(arrow + 3) + 1);
			break;
		}
		path[0] = 0;
	}
	if (f)
		pclose(f);
	if (!path[0])
		return "it is not installed (Debian: libjemalloc2)";
	snprintf(program, sizeof(program), "%s", self_path);
	return child_start(&peer_debian, argv, path);
}
static void debian_close(void)
{
	child_end(&peer_debian);
}

struct peer peer_debian = {
	.name = "the system's jemalloc",
	.open = debian_open,
	.close = debian_close,
	.ask = child_ask,
	.loops = { [RAW] = HAS_IT, [MIXED] = HAS_IT, [LOCKED] = HAS_IT },
};

int serve(const char *name)
{
	struct pass s = pass_new(BATCH, LIVE, BATCH);
	char what[16], how[16], line[256];
	struct peer *p = NULL;
	struct timing t = { 0, 0, 0 };

	for (int i = 0; i < n_peers; i++)
		if (!strcmp(peers[i]->name, name))
			p = peers[i];
	need(p && !p->ask && !p->open(), "--serve: no such peer");
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && sscanf(line, "%15s %15s %ld %ld %ld", what, how, &s.batch, &s.live, &s.rounds) == 5) {
		for (int i = 0; i < WHATS; i++)
			if (!strcmp(what_name[i], what))
				peer_run(p, (enum what)i, !strcmp(how, "churn"), &s, &t);
		printf("%.3f %.3f %.3f\n", t.make, t.drop, t.pair);
		fflush(stdout);
	}
	return 0;
}
