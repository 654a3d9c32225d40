/* SPDX-License-Identifier: MIT */
#include "support/procs.h"
#include "support/sanitized.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
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

void need_failed(const char *file, int line, const char *format, ...)
{
	int e = errno;
	const char *last = shv_errmsg();
	va_list args;

	fprintf(stderr, "%s:%d: process %d: ", file, line, (int)getpid());
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (errno: %s; last failure: %s)\n", strerror(e), *last ? last : "none");
	_exit(NEED_FAILED);
}

/* ---- processes ------------------------------------------------------------------------------------ */

pid_t start(int (*body)(void *arg), void *arg)
{
	pid_t parent = getpid(), pid = fork();

	NEED(pid >= 0, "fork");
	if (!pid) {
		/* Whatever becomes of the test, its children do not outlive it. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(NEED_FAILED);
		_exit(body(arg));
	}
	return pid;
}

static int wait_for(pid_t pid, int flags)
{
	int status;

	while (waitpid(pid, &status, flags) != pid)
		NEED(errno == EINTR, "waitpid(%d)", (int)pid);
	return status;
}

int finish(pid_t pid)
{
	int status = wait_for(pid, 0);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void slay(pid_t pid)
{
	int status;

	NEED(!kill(pid, SIGKILL), "kill(%d)", (int)pid);
	status = finish(pid);
	NEED(status == -SIGKILL, "process %d ended with %d before it was killed", (int)pid, status);
}

void await_stop(pid_t pid)
{
	int status = wait_for(pid, WUNTRACED);

	NEED(WIFSTOPPED(status), "process %d ended (wait status %#x) where it was to stop", (int)pid, (unsigned)status);
}

/* ---- meeting points ------------------------------------------------------------------------------- */

void *shared_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	NEED(p != MAP_FAILED, "mmap of %zu shared bytes", size);
	return p;
}

void shared_release(void *p, size_t size)
{
	NEED(!munmap(p, size), "munmap of %zu shared bytes", size);
}

uint32_t gate_now(const struct gate *g)
{
	return __atomic_load_n(&g->word, __ATOMIC_ACQUIRE);
}

void gate_add(struct gate *g, uint32_t n)
{
	__atomic_fetch_add(&g->word, n, __ATOMIC_ACQ_REL);
	syscall(SYS_futex, &g->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void gate_wait(struct gate *g, uint32_t at_least)
{
	uint32_t now;

	while ((now = gate_now(g)) < at_least)
		syscall(SYS_futex, &g->word, FUTEX_WAIT, now, NULL, NULL, 0);
}

void meet(struct meeting *m)
{
	uint32_t mine = __atomic_add_fetch(&m->arrived.word, 1, __ATOMIC_ACQ_REL);
	uint32_t round_full = (mine + m->parties - 1) / m->parties * m->parties;

	if (mine == round_full)
		gate_add(&m->arrived, 0);
	else
		gate_wait(&m->arrived, round_full);
}

/* ---- chance --------------------------------------------------------------------------------------- */

uint64_t test_seed(const char *what)
{
	const char *given = getenv("SHV_TEST_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given && *given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20 ^ (uint64_t)getpid();
	fprintf(stderr, "# %s: SHV_TEST_SEED=%llu repeats this\n", what, (unsigned long long)seed);
	return seed;
}

/* SplitMix64, by Steele, Lea and Flood, 2014. */
uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

/* ---- arenas --------------------------------------------------------------------------------------- */

shv_arena *new_arena(const char *name, unsigned max_processes)
{
	struct shv_arena_options o = { .size = sizeof(o), .name = name, .max_processes = max_processes };
	shv_arena *a = shv_arena_create(&o);

	NEED(a, "shv_arena_create");
	return a;
}

static void print_finding(void *ctx, const char *what)
{
	fprintf(stderr, "shv_check, %s: %s\n", (const char *)ctx, what);
}

void need_sound(shv_arena *a, const char *when)
{
	int n = shv_check(a, print_finding, (void *)(uintptr_t)when);

	NEED(n == 0, "%s: shv_check returned %d", when, n);
}

struct shv_stat stat_of(shv_arena *a)
{
	struct shv_stat st = { .size = sizeof(st) };
	int r = shv_stat(a, &st);

	NEED(r == 0, "shv_stat returned %d", r);
	return st;
}

uint64_t pages_used(const struct shv_stat *st)
{
	return st->pages_owned + st->pages_orphaned + st->pages_slots;
}

uint64_t free_everything(shv_arena *a)
{
	struct shv_value_info info = { .size = sizeof(info) };
	uint64_t cursor = 0, n = 0;

	while (shv_value_next(a, &cursor, &info) == 1) {
		void *p = shv_deref(a, info.ref);
		int r;

		if (info.kind == SHV_KIND_LOCK)
			continue;
		NEED(p, "an object that was just listed cannot be found");
		r = info.kind == SHV_KIND_RAW || info.kind == SHV_KIND_RAW_ARRAY ? shv_raw_free(p) : shv_value_free(p);
		NEED(r == 0, "freeing a %s of %llu bytes: %d", info.policy, (unsigned long long)info.bytes, r);
		n++;
	}
	return n;
}

int inheritable_fd(shv_arena *a)
{
	int fd = dup(shv_arena_fd(a)); /* dup() gives one that is kept open through exec */

	NEED(fd >= 0, "dup of the arena's descriptor");
	return fd;
}

/* ---- leftovers ------------------------------------------------------------------------------------ */

unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	NEED(dir, "opendir(/proc/self/fd)");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", "..", and the one that opendir() itself has open */
}

unsigned mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	char line[PATH_MAX + 100];

	NEED(maps, "fopen(/proc/self/maps)");
	while (fgets(line, sizeof(line), maps))
		n += !SANITIZED || strchr(line, '/');
	fclose(maps);
	return n;
}
