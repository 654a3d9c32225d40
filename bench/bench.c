/* SPDX-License-Identifier: MIT */
/*
 * What libshv costs beside what else there is, in one run: the options, the order, and the small things that all files need.
 *
 * Everything that is compared is measured in turn, pass after pass, so that drift of the machine meets all alike, and ratios are formed pass
 * by pass. Sums are checked inside. See README.md of this folder.
 */
#include "bench.h"
#include "mutex.h"
#include "shv_arena.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

bool quick;
int passes = 11;
const char *self_path;
uint16_t victim[BATCH], mixed_size[BATCH];
pthread_mutexattr_t mutex_attr;

struct peer *const peers[] = {
	&peer_jemalloc, &peer_debian, &peer_glibc, &peer_shv, &peer_memfd_bound, &peer_memfd_cached, &peer_memfd_uncached, &peer_boost,
	&peer_boost_node, &peer_boost_private_node, &peer_boost_adaptive, &peer_boost_private_adaptive, &peer_memkind, &peer_pmemobj,
	&peer_cpython,
};
const int n_peers = sizeof(peers) / sizeof(peers[0]);

double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double spent_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double page_faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_minflt;
}

void need(bool ok, const char *what, ...)
{
	va_list args;

	if (ok)
		return;
	fputs("bench: ", stderr);
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(1);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

struct pass pass_new(long batch, long live, long rounds)
{
	struct pass s = { malloc((size_t)(batch > live ? batch : live) * sizeof(void *)), batch, live, rounds };

	need(s.slot != NULL, "no memory");
	memset(s.slot, 0, (size_t)(batch > live ? batch : live) * sizeof(void *)); /* its page faults are not the peer's */
	return s;
}

void pass_end(struct pass *s)
{
	free(s->slot);
}

void peer_run(struct peer *p, enum what what, bool churn, const struct pass *s, struct timing *t)
{
	if (p->ask)
		p->ask(p, what, churn, s, t);
	else if (churn)
		p->loops[what].churn(s, t);
	else
		p->loops[what].batch(s, t);
}

static void choose(void)
{
	uint32_t x = 12345;

	for (int i = 0; i < BATCH; i++) {
		x = x * 1664525u + 1013904223u;
		victim[i] = (uint16_t)((x >> 8) % LIVE);
		x = x * 1664525u + 1013904223u;
		mixed_size[i] = (uint16_t)(16 + (x >> 8) % 497);
	}
}

static void make_mutex_attr(void)
{
	pthread_mutexattr_init(&mutex_attr);
	pthread_mutexattr_setpshared(&mutex_attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_settype(&mutex_attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutexattr_setrobust(&mutex_attr, PTHREAD_MUTEX_ROBUST);
}

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "alloc", group_alloc },   { "parallel", group_parallel }, { "foreign", group_foreign }, { "locks", group_locks },
	{ "access", group_access }, { "names", group_names },       { "sizes", group_sizes },     { "attach", group_attach },
	{ "lives", group_lives },   { "dump", group_dump },         { "instructions", group_instructions },
};

static void usage(void)
{
	fputs("usage: bench [--quick] [--passes N] [--json FILE] [--only GROUP]...\n"
	      "  --quick        small sizes and few passes: under a minute\n"
	      "  --passes N     1 to 64; 11 is the default, 3 with --quick\n"
	      "  --json FILE    the figures for programs too; - for the standard output, without the tables\n"
	      "  --only GROUP   only this group; may be given again. Groups:",
	      stderr);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		fprintf(stderr, " %s", groups[i].name);
	fputc('\n', stderr);
	exit(2);
}

static void open_peers(void)
{
	for (int i = 0; i < n_peers; i++) {
		peers[i]->missing = peers[i]->open();
		if (peers[i]->missing)
			remark("left out: %s: %s", peers[i]->name, peers[i]->missing);
	}
}

int main(int argc, char **argv)
{
	const char *json = NULL, *server = NULL;
	unsigned only = 0;
	static char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	bool passes_given = false;
	double t;

	need(n > 0, "/proc/self/exe cannot be read");
	self_path = self;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick")) {
			quick = true;
		} else if (!strcmp(argv[i], "--passes") && i + 1 < argc) {
			passes = atoi(argv[++i]);
			passes_given = true;
		} else if (!strcmp(argv[i], "--json") && i + 1 < argc) {
			json = argv[++i];
		} else if (!strcmp(argv[i], "--serve") && i + 1 < argc) {
			server = argv[++i];
		} else if (!strcmp(argv[i], "--only") && i + 1 < argc) {
			unsigned was = only;
			i++;
			for (size_t k = 0; k < sizeof(groups) / sizeof(groups[0]); k++)
				if (!strcmp(groups[k].name, argv[i]))
					only |= 1u << k;
			if (only == was)
				usage();
		} else {
			usage();
		}
	}
	if (quick && !passes_given)
		passes = 3;
	if (passes < 1 || passes > 64)
		usage();
	choose();
	make_mutex_attr();
	if (server)
		return serve(server);
	if (!getenv("PMEM_NO_FLUSH")) { /* read when libpmem is loaded: begin again */
		setenv("PMEM_NO_FLUSH", "1", 1);
		setenv("PMEM_IS_PMEM_FORCE", "1", 1);
		execv(self, argv);
		need(false, "execv: %s", strerror(errno));
	}
	t = now_ns();
	open_peers();
	for (size_t k = 0; k < sizeof(groups) / sizeof(groups[0]); k++)
		if (!only || only >> k & 1) {
			say("%4.0f s  %s", (now_ns() - t) / 1e9, groups[k].name);
			groups[k].run();
		}
	say("%4.0f s  all measured", (now_ns() - t) / 1e9);
	for (int i = 0; i < n_peers; i++)
		if (!peers[i]->missing)
			peers[i]->close();
	if (json && !strcmp(json, "-")) {
		print_json(stdout);
		return 0;
	}
	print_tables();
	print_targets();
	fflush(stdout);
	if (json) {
		FILE *f = fopen(json, "w");
		need(f != NULL, "%s: %s", json, strerror(errno));
		print_json(f);
		need(!fclose(f), "%s: %s", json, strerror(errno));
	}
	return 0;
}
