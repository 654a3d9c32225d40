/* SPDX-License-Identifier: MIT */
/*
 * What libshv costs, against the floor, in one run.
 *
 * Every measurement is taken in turn, pass after pass, so that drift of the machine meets all of them alike; the table
 * shows the median of the passes, the best, and the ratio to the measurement that it is compared with. Linked with jemalloc, so that
 * malloc() here is jemalloc's over private memory; glibc's own stands beside it as __libc_malloc().
 * Sums are checked: a figure for wrong work is no figure.
 *
 * usage: bench [--json] [--passes N] [--quick]
 */
#include <errno.h>
#include <pthread.h>
#include <shv/shv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void __libc_free(void *p);

#define BATCH 100000
#define LIVE 10000
#define MOST 64

static shv_arena *arena;
static void *slot[BATCH];
static uint32_t order[BATCH];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, shv_errmsg());
	exit(1);
}

/* ---- ways to allocate ------------------------------------------------------------------------------------ */

struct way {
	void *(*make)(size_t size, long x);
	void (*drop)(void *p);
};

static void *je_make(size_t size, long x)
{
	long *p = malloc(size);

	memset(p, 0, size);
	*p = x;
	return p;
}
static void *libc_make(size_t size, long x)
{
	long *p = __libc_malloc(size);

	memset(p, 0, size);
	*p = x;
	return p;
}
static void *raw_make(size_t size, long x)
{
	(void)size;
	return shv_raw_new(arena, SHV_LONG, &x);
}
static void raw_drop(void *p)
{
	shv_raw_free(p);
}
static void *locked_make(size_t size, long x)
{
	(void)size;
	return shv_value_new(arena, SHV_LONG, &x, SHV_RECURSIVE);
}
static void locked_drop(void *p)
{
	shv_value_free(p);
}
static void *array_make(size_t size, long x)
{
	long *p = shv_raw_array_new(arena, SHV_CHAR, size, NULL);

	*p = x;
	return p;
}
static const struct way je = { je_make, free }, libc = { libc_make, __libc_free }, raw = { raw_make, raw_drop },
			locked = { locked_make, locked_drop }, array = { array_make, raw_drop };

static double batch(const struct way *w, size_t size, bool mixed)
{
	double t = now();
	long sum = 0;

	for (long i = 0; i < BATCH; i++)
		slot[i] = w->make(mixed ? 16 + order[i] % 497 : size, i);
	for (long i = 0; i < BATCH; i++) {
		sum += *(long *)slot[i];
		w->drop(slot[i]);
	}
	t = now() - t;
	need(sum == (long)BATCH * (BATCH - 1) / 2, "a sum is wrong");
	return t / BATCH;
}

static double churn(const struct way *w, size_t size, bool mixed)
{
	double t;

	for (long i = 0; i < LIVE; i++)
		slot[i] = w->make(size, i);
	t = now();
	for (long i = 0; i < BATCH; i++) {
		uint32_t k = order[i] % LIVE;
		w->drop(slot[k]);
		slot[k] = w->make(mixed ? 16 + order[i] % 497 : size, i);
	}
	t = now() - t;
	for (long i = 0; i < LIVE; i++)
		w->drop(slot[i]);
	return t / BATCH;
}

/* ---- locks --------------------------------------------------------------------------------------------------- */

static shv_value *counter;
static struct {
	pthread_mutex_t m;
	long x;
} *robust;

static double robust_increment(void)
{
	double t = now();

	for (int i = 0; i < BATCH; i++) {
		pthread_mutex_lock(&robust->m);
		robust->x++;
		pthread_mutex_unlock(&robust->m);
	}
	return (now() - t) / BATCH;
}

static double locked_increment(void)
{
	double t = now();

	for (int i = 0; i < BATCH; i++)
		shv_add(counter, 1, NULL);
	return (now() - t) / BATCH;
}

static double guarded_increment(void)
{
	long *x = shv_value_data(counter);
	double t = now();

	for (int i = 0; i < BATCH; i++)
		shv_with(counter)
			++*x;
	return (now() - t) / BATCH;
}

/* Two processes at once; ns for each increment of either. */
static double by_two(double (*f)(void))
{
	int go[2], status;
	double t;
	pid_t pid;
	char c;

	need(!pipe(go), "pipe");
	pid = fork();
	if (!pid) {
		close(go[1]);
		f(); /* warm: becomes a member */
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		for (int i = 0; i < 5; i++)
			f();
		_exit(0);
	}
	close(go[0]);
	t = now();
	need(write(go[1], "g", 1) == 1, "write");
	for (int i = 0; i < 5; i++)
		f();
	need(waitpid(pid, &status, 0) == pid && !status, "the other process failed");
	t = now() - t;
	close(go[1]);
	return t / (2.0 * 5 * BATCH);
}

static double get_value(void)
{
	long x, sum = 0;
	double t = now();

	for (int i = 0; i < BATCH; i++) {
		shv_get(counter, &x, sizeof(x));
		sum += x;
	}
	need(sum >= 0, "a sum is wrong");
	return (now() - t) / BATCH;
}

static double peek_value(void)
{
	long x;
	double t = now();

	for (int i = 0; i < BATCH; i++)
		shv_peek(counter, &x, sizeof(x));
	return (now() - t) / BATCH;
}

static double deref(void)
{
	shv_ref ref = shv_ref_of(counter);
	double t = now();

	for (int i = 0; i < BATCH; i++)
		need(shv_deref(arena, ref) == counter, "deref");
	return (now() - t) / BATCH;
}

/* ---- one figure each ------------------------------------------------------------------------------------------ */

struct figure {
	const char *name;
	const char *against; /* another figure's name, or NULL */
	double (*run)(void);
	double v[MOST];
};

static double f_je_batch(void) { return batch(&je, 8, false); }
static double f_libc_batch(void) { return batch(&libc, 8, false); }
static double f_raw_batch(void) { return batch(&raw, 8, false); }
static double f_je48_batch(void) { return batch(&je, 48, false); }
static double f_locked_batch(void) { return batch(&locked, 8, false); }
static double f_je_churn(void) { return churn(&je, 8, false); }
static double f_libc_churn(void) { return churn(&libc, 8, false); }
static double f_raw_churn(void) { return churn(&raw, 8, false); }
static double f_je48_churn(void) { return churn(&je, 48, false); }
static double f_locked_churn(void) { return churn(&locked, 8, false); }
static double f_je_mixed(void) { return churn(&je, 64, true); }
static double f_array_mixed(void) { return churn(&array, 64, true); }
static double f_robust2(void) { return by_two(robust_increment); }
static double f_locked2(void) { return by_two(locked_increment); }

static struct figure figures[] = {
	{ "jemalloc malloc+free 8 B, 100,000 then free", NULL, f_je_batch, { 0 } },
	{ "glibc malloc+free 8 B, 100,000 then free", "jemalloc malloc+free 8 B, 100,000 then free", f_libc_batch, { 0 } },
	{ "shv_raw_new+free 8 B, 100,000 then free", "jemalloc malloc+free 8 B, 100,000 then free", f_raw_batch, { 0 } },
	{ "jemalloc malloc+free 48 B, 100,000 then free", NULL, f_je48_batch, { 0 } },
	{ "shv_value_new+free 8 B recursive, 100,000 then free", "jemalloc malloc+free 48 B, 100,000 then free", f_locked_batch, { 0 } },
	{ "jemalloc malloc+free 8 B, churn over 10,000", NULL, f_je_churn, { 0 } },
	{ "glibc malloc+free 8 B, churn over 10,000", "jemalloc malloc+free 8 B, churn over 10,000", f_libc_churn, { 0 } },
	{ "shv_raw_new+free 8 B, churn over 10,000", "jemalloc malloc+free 8 B, churn over 10,000", f_raw_churn, { 0 } },
	{ "jemalloc malloc+free 48 B, churn over 10,000", NULL, f_je48_churn, { 0 } },
	{ "shv_value_new+free 8 B recursive, churn over 10,000", "jemalloc malloc+free 48 B, churn over 10,000", f_locked_churn, { 0 } },
	{ "jemalloc malloc+free 16..512 B, churn over 10,000", NULL, f_je_mixed, { 0 } },
	{ "shv_raw_array_new+free 16..512 B, churn over 10,000", "jemalloc malloc+free 16..512 B, churn over 10,000", f_array_mixed, { 0 } },
	{ "robust recursive pthread mutex around ++, alone", NULL, robust_increment, { 0 } },
	{ "shv_add on a recursive value, alone", "robust recursive pthread mutex around ++, alone", locked_increment, { 0 } },
	{ "shv_with around ++, alone", "robust recursive pthread mutex around ++, alone", guarded_increment, { 0 } },
	{ "robust recursive pthread mutex around ++, 2 processes", NULL, f_robust2, { 0 } },
	{ "shv_add on a recursive value, 2 processes", "robust recursive pthread mutex around ++, 2 processes", f_locked2, { 0 } },
	{ "shv_get", NULL, get_value, { 0 } },
	{ "shv_peek", NULL, peek_value, { 0 } },
	{ "shv_deref", NULL, deref, { 0 } },
};
#define FIGURES (sizeof(figures) / sizeof(figures[0]))

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static const struct figure *find(const char *name)
{
	for (size_t i = 0; i < FIGURES; i++)
		if (name && !strcmp(figures[i].name, name))
			return &figures[i];
	return NULL;
}

static void print(bool json, int passes)
{
	for (size_t i = 0; i < FIGURES; i++)
		qsort(figures[i].v, (size_t)passes, sizeof(double), by_value);
	if (json)
		printf("{\"schema\": 1, \"passes\": %d, \"ns\": [", passes);
	else
		printf("%-58s %8s %8s %7s\n", "ns an operation or pair (median of passes)", "median", "best", "ratio");
	for (size_t i = 0; i < FIGURES; i++) {
		const struct figure *f = &figures[i], *to = find(f->against);
		double m = f->v[passes / 2], ratio = to ? m / to->v[passes / 2] : 0;
		if (json && to)
			printf("%s\n  {\"name\": \"%s\", \"median\": %.2f, \"best\": %.2f, \"ratio\": %.3f, \"to\": \"%s\"}", i ? "," : "", f->name, m,
			       f->v[0], ratio, to->name);
		else if (json)
			printf("%s\n  {\"name\": \"%s\", \"median\": %.2f, \"best\": %.2f}", i ? "," : "", f->name, m, f->v[0]);
		else if (to)
			printf("%-58s %8.1f %8.1f %7.2f\n", f->name, m, f->v[0], ratio);
		else
			printf("%-58s %8.1f %8.1f %7s\n", f->name, m, f->v[0], "1");
	}
	if (json)
		printf("\n]}\n");
}

/* ---- sizes and single times ---------------------------------------------------------------------------------------- */

static double attach_time(int fd)
{
	int status;
	double *out = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), r;
	pid_t pid = fork();

	if (!pid) {
		/* A process of its own: the arena of its parent is detached first, so that this is a new membership. */
		double t;
		need(!shv_arena_detach(arena), "detach");
		t = now();
		need(shv_arena_attach(fd, 0) != NULL, "attach");
		*out = now() - t;
		_exit(0);
	}
	need(waitpid(pid, &status, 0) == pid && !status, "attach");
	r = *out;
	munmap(out, 4096);
	return r;
}

static void at_size(long n, bool with_lock)
{
	struct shv_stat before = { .size = sizeof(before) }, after = { .size = sizeof(after) };
	int fd = dup(shv_arena_fd(arena));
	void **p = calloc((size_t)n, sizeof(*p));
	double t, attach = 1e9;

	need(!shv_arena_trim(arena) && !shv_stat(arena, &before), "stat");
	t = now();
	for (long i = 0; i < n; i++)
		p[i] = with_lock ? locked_make(8, i) : raw_make(8, i);
	t = (now() - t) / (double)n;
	need(!shv_stat(arena, &after), "stat");
	for (int i = 0; i < 5; i++) {
		double a = attach_time(fd);
		attach = a < attach ? a : attach;
	}
	printf("%9ld %-10s create %6.1f ns each, %5.1f bytes of shared memory each, attach %5.0f us\n", n, with_lock ? "recursive" : "raw", t,
	       (double)(after.bytes_resident - before.bytes_resident) / (double)n, attach / 1000);
	for (long i = 0; i < n; i++)
		(with_lock ? locked_drop : raw_drop)(p[i]);
	need(!shv_arena_trim(arena), "trim");
	free(p);
	close(fd);
}

static void given_back(long n)
{
	struct shv_stat full = { .size = sizeof(full) }, empty = { .size = sizeof(empty) };
	void **p = calloc((size_t)n, sizeof(*p));

	for (long i = 0; i < n; i++)
		p[i] = raw_make(8, i);
	need(!shv_stat(arena, &full), "stat");
	for (long i = 0; i < n; i++)
		raw_drop(p[i]);
	need(!shv_arena_trim(arena) && !shv_stat(arena, &empty), "stat");
	printf("%9ld raw values freed and trimmed: %.1f %% of the memory given back\n", n,
	       100.0 * (1 - (double)empty.bytes_resident / (double)full.bytes_resident));
	free(p);
}

static void names(long n)
{
	shv_value *v = SHV_VALUE(arena, long, 1);
	void **p = calloc((size_t)n, sizeof(*p));
	char name[32];
	double t;

	for (long i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "name-%ld", i);
		p[i] = raw_make(8, i);
		need(!shv_publish(p[i], name), "publish");
	}
	t = now();
	for (long i = 0; i < BATCH; i++) {
		snprintf(name, sizeof(name), "name-%ld", (long)(order[i] % (uint32_t)n));
		need(shv_find(arena, name) != NULL, "find");
	}
	t = (now() - t) / BATCH;
	printf("%9ld names: find by name %.0f ns (printing the name included)\n", n, t);
	for (long i = 0; i < n; i++)
		raw_drop(p[i]);
	shv_value_free(v);
	free(p);
}

static void recovery(long n)
{
	int status;
	double t;
	pid_t pid = fork();

	if (!pid) {
		for (long i = 0; i < n; i++)
			need(locked_make(8, i) != NULL, "create");
		kill(getpid(), 9);
	}
	waitpid(pid, &status, 0);
	t = now();
	need(shv_arena_recover(arena, NULL) == 1, "recover");
	t = now() - t;
	printf("%9ld live recursive values of a killed process: recovered in %.1f ms\n", n, t / 1e6);
}

int main(int argc, char **argv)
{
	bool json = false, quick = false;
	int passes = 15;
	pthread_mutexattr_t attr;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (!strcmp(argv[i], "--quick"))
			quick = true;
		else if (!strcmp(argv[i], "--passes") && i + 1 < argc)
			passes = atoi(argv[++i]);
	}
	if (quick)
		passes = 3;
	if (passes < 1 || passes > MOST) {
		fprintf(stderr, "bench: --passes takes 1 to %d\n", MOST);
		return 1;
	}
	for (uint32_t i = 0, x = 12345; i < BATCH; i++)
		order[i] = x = x * 1664525u + 1013904223u;
	for (uint32_t i = 0; i < BATCH; i++)
		order[i] >>= 8;
	arena = shv_arena_create(NULL);
	need(arena != NULL, "create");
	counter = SHV_VALUE(arena, long, 0);
	need(counter != NULL, "create");
	robust = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust->m, &attr);
	for (int warm = 0; warm < 8; warm++) /* magazines grow with use */
		for (size_t i = 0; i < 12; i++)
			figures[i].run();
	for (int p = 0; p < passes; p++)
		for (size_t i = 0; i < FIGURES; i++)
			figures[i].v[p] = figures[i].run();
	print(json, passes);
	if (json)
		return 0;
	printf("\n");
	shv_arena_detach(arena);
	for (int with_lock = 0; with_lock < 2; with_lock++)
		for (long n = 1000; n <= (quick ? 100000 : 1000000); n *= 10) {
			arena = shv_arena_create(NULL);
			at_size(n, with_lock);
			shv_arena_detach(arena);
		}
	arena = shv_arena_create(NULL);
	given_back(quick ? 100000 : 1000000);
	names(1000);
	names(quick ? 10000 : 1000000);
	recovery(quick ? 100000 : 1000000);
	return 0;
}
