/* SPDX-License-Identifier: MIT */
/* shvdump from outside: how long it takes with a million values, beside pmempool on as many objects, and what a writer notices of it. */
#include "bench.h"
#include "shv_arena.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The words of a command, its output thrown away. */
static pid_t start(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return r ? -1 : pid;
}

/* ms, or NAN if it cannot be started, fails, or takes longer than half a minute. */
static double timed(char *const argv[])
{
	double t = now_ns();
	pid_t pid = start(argv);
	int status = -1;

	if (pid < 0)
		return NAN;
	while (!waitpid(pid, &status, WNOHANG)) {
		struct timespec nap = { 0, 200000 };
		if (now_ns() - t > 30e9)
			kill(pid, SIGKILL);
		nanosleep(&nap, NULL);
	}
	return status ? NAN : (now_ns() - t) / 1e6;
}

static const char *shvdump_path(void)
{
	static char path[PATH_MAX];
	const char *given = getenv("SHVDUMP");

	if (given)
		return given;
	realpath("shvdump", path);
	return path;
}

static void pmempool_beside(long n)
{
	char path[64];
	char *info[] = { "pmempool", "info", "-s", path, NULL }, *objects[] = { "pmempool", "info", "-O", path, NULL },
	     *check[] = { "pmempool", "check", path, NULL };

	snprintf(path, sizeof(path), "/dev/shm/shv-bench-%d-dump", (int)getpid());
	if (!pmemobj_leave_pool(path, n))
		return;
	for (int i = 0; i < (quick ? 1 : 3); i++) {
		record("dump", "pmempool info -s", timed(info));
		record("dump", "pmempool check", timed(check));
	}
	record("dump", "pmempool info -O", timed(objects));
	unlink(path);
}

/* A child that does `argv` again and again, or nothing but to keep a processor busy. */
static pid_t keep_doing(char *const argv[])
{
	pid_t pid = fork(), child;

	need(pid >= 0, "fork");
	if (pid)
		return pid;
	setpgid(0, 0);
	for (;;) {
		if (argv) {
			child = start(argv);
			need(child > 0, "shvdump cannot be started");
			waitpid(child, NULL, 0);
		} else {
			for (volatile int i = 0; i < 1000000; i++)
				;
		}
	}
}

static void stop_doing(pid_t pid)
{
	setpgid(pid, pid);
	kill(-pid, SIGKILL); /* with what it started */
	waitpid(pid, NULL, 0);
}

/* Increments and pairs that this process gets done in a second of its processor time, measured for a while. */
static double write_for(double ms)
{
	shv_value *v = SHV_VALUE(shv_arena_now, long, 0);
	struct pass s = pass_new(1000, 1000, 1000);
	double done = 0, end = now_ns() + ms * 1e6, spent = spent_ns();
	struct timing t;

	do {
		peer_run(&peer_shv, LOCKED, true, &s, &t);
		for (int i = 0; i < 1000; i++)
			shv_add(v, 1, NULL);
		done++;
	} while (now_ns() < end);
	spent = spent_ns() - spent;
	need(SHV_LOAD(v, long) == 1000 * (long)done, "increments were lost");
	shv_value_free(v);
	pass_end(&s);
	return done / spent * 1e9;
}

void group_dump(void)
{
	long n = quick ? 100000 : 1000000;
	char pid[16], *path = (char *)(uintptr_t)shvdump_path();
	char *overview[] = { path, pid, NULL }, *values[] = { path, "values", pid, "--json", NULL }, *table[] = { path, "values", pid, NULL },
	     *check[] = { path, "check", pid, NULL };
	struct shv_arena_options o = { .size = sizeof(o), .name = "bench-dump" };
	shv_arena *was = shv_arena_now;
	void **where = malloc((size_t)n * sizeof(*where));

	if (access(path, X_OK)) {
		remark("left out: shvdump: it is not here (SHVDUMP names it; configure --disable-tools leaves it out)");
		free(where);
		return;
	}
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	need(!shv_arena_detach(was), "%s", shv_errmsg()); /* so that the process has one arena, and shvdump needs no name */
	shv_arena_now = shv_arena_create(&o);
	need(shv_arena_now != NULL, "%s", shv_errmsg());
	peer_shv.loops[RAW].fill(where, n);
	for (int i = 0; i < (quick ? 1 : 3); i++) {
		record("dump", "shvdump PID", timed(overview));
		record("dump", "shvdump values PID --json", timed(values));
		record("dump", "shvdump check PID", timed(check));
	}
	record("dump", "shvdump values PID", timed(table));
	write_for(50);
	for (int i = 0; i < passes; i++) {
		double alone, watched;
		pid_t p = keep_doing(NULL);
		alone = write_for(quick ? 100 : 300);
		stop_doing(p);
		p = keep_doing(values);
		watched = write_for(quick ? 100 : 300);
		stop_doing(p);
		record("watched writer", "shvdump values --json", watched / alone);
	}
	peer_shv.loops[RAW].empty(where, n);
	need(!shv_arena_detach(shv_arena_now), "%s", shv_errmsg());
	shv_arena_now = shv_arena_create(NULL);
	need(shv_arena_now != NULL, "%s", shv_errmsg());
	free(where);
	pmempool_beside(n);
	remark("dump: %ld values, and for pmempool as many objects", n);
}
