/* SPDX-License-Identifier: MIT */
/* The figures: kept as samples, shown as medians with quartiles, as ratios, against targets, as JSON. */
#include "bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 256

struct entry {
	char work[48], peer[48];
	double v[SAMPLES];
	int n;
};

static struct entry *entries;
static int n_entries;
static char *remarks[64];
static int n_remarks;

/* Each work: what it is, in which unit, and with which peer the others are compared. */
static const struct work {
	const char *name, *title, *unit, *base;
} works[] = {
	{ "raw batch", "raw 8 B: 100,000 made, then freed", "ns a pair", "jemalloc" },
	{ "raw churn", "raw 8 B: random replacement among 10,000", "ns a pair", "jemalloc" },
	{ "mixed batch", "16 to 512 B: 100,000 made, then freed", "ns a pair", "jemalloc" },
	{ "mixed churn", "16 to 512 B: random replacement among 10,000", "ns a pair", "jemalloc" },
	{ "locked batch", "8 B with a recursive lock: 100,000 made, then freed", "ns a pair", "jemalloc" },
	{ "locked churn", "8 B with a recursive lock: random replacement among 10,000", "ns a pair", "jemalloc" },
	{ "raw create", "raw 8 B: making alone", "ns", "jemalloc" },
	{ "raw free", "raw 8 B: freeing alone", "ns", "jemalloc" },
	{ "locked create", "8 B with a recursive lock: making alone", "ns", "jemalloc" },
	{ "locked free", "8 B with a recursive lock: freeing alone", "ns", "jemalloc" },
	{ "mixed create", "16 to 512 B: making alone", "ns", "jemalloc" },
	{ "mixed free", "16 to 512 B: freeing alone", "ns", "jemalloc" },
	{ "raw churn, 1 process", "raw churn, one process", "ns a pair, of all together", "jemalloc" },
	{ "raw churn, 2 threads", "raw churn, two threads", "ns a pair, of all together", "jemalloc" },
	{ "raw churn, 2 processes", "raw churn, two processes of one arena", "ns a pair, of all together", "jemalloc" },
	{ "locked churn, 1 process", "locked churn, one process", "ns a pair, of all together", "jemalloc" },
	{ "locked churn, 2 processes", "locked churn, two processes of one arena", "ns a pair, of all together", "jemalloc" },
	{ "own free", "raw 8 B: freed by who made it", "ns", "jemalloc" },
	{ "foreign free", "raw 8 B: freed by another process (malloc: thread)", "ns", "jemalloc" },
	{ "own pair", "raw 8 B: made and freed by the same", "ns a pair", "jemalloc" },
	{ "foreign pair", "raw 8 B: made by one, freed by another", "ns a pair", "jemalloc" },
	{ "increment", "locked increment, alone", "ns", "robust recursive pthread mutex" },
	{ "neighbours", "locked increment of two values, a process each", "ns, of both together", "libshv, in one cache line" },
	{ "increment by 2", "locked increment, two processes", "ns, of both together", "robust recursive pthread mutex" },
	{ "access", "one value, in the cache", "ns", NULL },
	{ "find, 1,000 names", "found by name among 1,000", "ns", "Boost construct" },
	{ "find, a million names", "found by name among a million", "ns", "Boost construct" },
	{ "find, 100,000 names", "found by name among 100,000", "ns", "Boost construct" },
	{ "raw bytes", "shared memory for each raw 8 B, everything counted", "bytes", NULL },
	{ "locked bytes", "shared memory for each 8 B with a recursive lock, everything counted", "bytes", NULL },
	{ "create each, 1,000", "made in a fresh arena of 1,000, page faults included", "ns", NULL },
	{ "create each, 10,000", "of 10,000", "ns", NULL },
	{ "create each, 100,000", "of 100,000", "ns", NULL },
	{ "create each, 1,000,000", "of a million", "ns", NULL },
	{ "create each, 10,000,000", "of ten million", "ns", NULL },
	{ "page faults", "page faults for each value made", "", NULL },
	{ "attach", "attach", "us", NULL },
	{ "attach and make", "attach, and make a value", "us", NULL },
	{ "detach", "and detach", "us", NULL },
	{ "first attach", "attach for the first time in a forked process", "us", NULL },
	{ "recovery", "values of a killed process put in order", "ms", NULL },
	{ "given back", "memory given back after all are freed and a trim", "%", NULL },
	{ "cold start", "a new arena and its first value", "us", NULL },
	{ "dump", "shvdump from outside", "ms", NULL },
	{ "watched writer", "a writer's speed while shvdump watches, 1 = beside another program", "", NULL },
	{ "instructions, raw churn", "user instructions of a pair: raw churn", "instructions", "jemalloc" },
	{ "instructions, mixed churn", "user instructions of a pair: mixed churn", "instructions", "jemalloc" },
	{ "instructions, locked churn", "user instructions of a pair: locked churn", "instructions", "jemalloc" },
};
#define WORKS ((int)(sizeof(works) / sizeof(works[0])))
#define MATRIX 6 /* the first works make one table: peers down, works across */

static struct entry *entry(const char *work, const char *peer, bool make)
{
	for (int i = 0; i < n_entries; i++)
		if (!strcmp(entries[i].work, work) && !strcmp(entries[i].peer, peer))
			return &entries[i];
	if (!make)
		return NULL;
	entries = realloc(entries, (size_t)(n_entries + 1) * sizeof(*entries));
	need(entries != NULL, "no memory");
	memset(&entries[n_entries], 0, sizeof(*entries));
	snprintf(entries[n_entries].work, sizeof(entries->work), "%s", work);
	snprintf(entries[n_entries].peer, sizeof(entries->peer), "%s", peer);
	return &entries[n_entries++];
}

void record(const char *work, const char *peer, double v)
{
	struct entry *e;
	bool known = false;

	for (int i = 0; i < WORKS; i++)
		known |= !strcmp(works[i].name, work);
	need(known, "no such work: %s", work);
	if (isnan(v))
		return;
	e = entry(work, peer, true);
	need(e->n < SAMPLES, "too many samples");
	e->v[e->n++] = v;
}

void remark(const char *format, ...)
{
	char buf[512];
	va_list args;

	va_start(args, format);
	vsnprintf(buf, sizeof(buf), format, args);
	va_end(args);
	if (n_remarks < 64)
		remarks[n_remarks++] = strdup(buf);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct summary {
	double low, quarter, median, three, high;
	int n;
};

static double between(const double *v, int n, double where)
{
	double at = where * (n - 1);
	int i = (int)at;

	return i + 1 < n ? v[i] + (at - i) * (v[i + 1] - v[i]) : v[n - 1];
}

static struct summary summary(const double *v, int n)
{
	double s[SAMPLES];

	if (!n)
		return (struct summary){ NAN, NAN, NAN, NAN, NAN, 0 };
	memcpy(s, v, (size_t)n * sizeof(*s));
	qsort(s, (size_t)n, sizeof(*s), by_value);
	return (struct summary){ s[0], between(s, n, .25), between(s, n, .5), between(s, n, .75), s[n - 1], n };
}

double figure(const char *work, const char *peer)
{
	const struct entry *e = entry(work, peer, false);

	return e ? summary(e->v, e->n).median : NAN;
}

static struct summary ratios(const struct entry *e, const struct entry *to)
{
	double v[SAMPLES];
	int n = e && to ? (e->n < to->n ? e->n : to->n) : 0;

	for (int i = 0; i < n; i++)
		v[i] = e->v[i] / to->v[i];
	return summary(v, n);
}

double ratio(const char *work, const char *peer, const char *to_work, const char *to_peer)
{
	return ratios(entry(work, peer, false), entry(to_work, to_peer, false)).median;
}

/* Where two sides need two processors at once, other programs disturb every pass more or less: the best ones tell most. */
double best_ratio(const char *work, const char *peer, const char *to_work, const char *to_peer)
{
	const struct entry *e = entry(work, peer, false), *to = entry(to_work, to_peer, false);

	return e && to ? summary(e->v, e->n).low / summary(to->v, to->n).low : NAN;
}

static void print_number(char *buf, size_t size, double x)
{
	if (isnan(x))
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, x < 10 ? "%.2f" : x < 1000 ? "%.1f" : "%.0f", x);
}

static void print_matrix(void)
{
	bool any = false;

	for (int w = 0; w < MATRIX; w++)
		any |= entry(works[w].name, "libshv", false) != NULL;
	if (!any)
		return;
	printf("\nns to make and free one, median of %d passes (its ratio to jemalloc's malloc and free in the same pass)\n\n%-36s", passes, "");
	for (int w = 0; w < MATRIX; w++)
		printf(" %15s", works[w].name);
	printf("\n");
	for (int p = 0; p < n_peers; p++) {
		if (peers[p]->missing)
			continue;
		printf("%-36s", peers[p]->name);
		for (int w = 0; w < MATRIX; w++) {
			const struct entry *e = entry(works[w].name, peers[p]->name, false);
			char cell[48] = "-", number[24];
			if (e) {
				print_number(number, sizeof(number), summary(e->v, e->n).median);
				snprintf(cell, sizeof(cell), "%s (%.2f)", number, ratios(e, entry(works[w].name, "jemalloc", false)).median);
			}
			printf(" %15s", cell);
		}
		printf("\n");
	}
}

void print_tables(void)
{
	print_matrix();
	for (int w = 0; w < WORKS; w++) {
		bool head = false;
		for (int i = 0; i < n_entries; i++) {
			const struct entry *e = &entries[i];
			struct summary s = summary(e->v, e->n), r;
			char best[24], median[24], low[24], high[24];
			if (strcmp(e->work, works[w].name))
				continue;
			if (!head)
				printf("\n%-52s %10s %10s %21s  %s%s\n", works[w].title, "median", "best", "middle half", works[w].base ? "ratio to " : "",
				       works[w].base ? works[w].base : "");
			head = true;
			r = ratios(e, works[w].base ? entry(works[w].name, works[w].base, false) : NULL);
			print_number(median, sizeof(median), s.median);
			print_number(best, sizeof(best), s.low);
			print_number(low, sizeof(low), s.quarter);
			print_number(high, sizeof(high), s.three);
			printf("  %-50s %10s %10s %10s %10s", e->peer, median, best, low, high);
			if (r.n)
				printf("  %.2f [%.2f, %.2f]", r.median, r.quarter, r.three);
			printf(" %s\n", works[w].unit);
		}
	}
	if (n_remarks)
		printf("\n");
	for (int i = 0; i < n_remarks; i++)
		printf("%s\n", remarks[i]);
}

/* ---- targets ------------------------------------------------------------------------------------------------------ */

struct target {
	const char *text;
	double value;
	double limit;
	bool at_least;
};

/* The ratio of the worst of some peers' figures to ours: how far ahead of the best of them we are. */
static double ahead_of_best(const char *work, const char *const *names)
{
	double best = NAN;

	for (; *names; names++) {
		double r = ratio(work, *names, work, "libshv");
		if (!isnan(r) && (isnan(best) || r < best))
			best = r;
	}
	return best;
}

static double larger(double a, double b)
{
	return isnan(a) || b > a ? b : a;
}

static int all_targets(struct target *t)
{
	static const char *const boost[] = { "Boost node_allocator", "Boost private_node_allocator", "Boost adaptive_pool",
					     "Boost private_adaptive_pool", NULL };
	static const char *const boost_construct[] = { "Boost construct", NULL };
	double attach = NAN, find = NAN;
	int n = 0;

	for (int i = 0; i < n_entries; i++) {
		if (!strcmp(entries[i].work, "attach") && !strncmp(entries[i].peer, "libshv", 6))
			attach = larger(attach, figure("attach", entries[i].peer));
		if (!strncmp(entries[i].work, "find, ", 6) && !strcmp(entries[i].peer, "libshv"))
			find = larger(find, figure(entries[i].work, "libshv"));
	}
#define T(text, value, limit, least) t[n++] = (struct target){ text, value, limit, least }
	T("raw, batch: times jemalloc's malloc and free", ratio("raw batch", "libshv", "raw batch", "jemalloc"), 1.0, false);
	T("raw, churn: times jemalloc's malloc and free", ratio("raw churn", "libshv", "raw churn", "jemalloc"), 1.0, false);
	T("recursive-locked, batch: times jemalloc's of as many bytes", ratio("locked batch", "libshv", "locked batch", "jemalloc"), 1.0, false);
	T("recursive-locked, churn: times jemalloc's of as many bytes", ratio("locked churn", "libshv", "locked churn", "jemalloc"), 1.0, false);
	T("16 to 512 B, batch: times jemalloc's", ratio("mixed batch", "libshv", "mixed batch", "jemalloc"), 1.1, false);
	T("16 to 512 B, churn: times jemalloc's", ratio("mixed churn", "libshv", "mixed churn", "jemalloc"), 1.1, false);
	T("locked increment alone: times a robust recursive pthread mutex",
	  ratio("increment", "libshv shv_add", "increment", "robust recursive pthread mutex"), 0.5, false);
	T("locked increment by 2 processes: times the throughput of that mutex",
	  best_ratio("increment by 2", "robust recursive pthread mutex", "increment by 2", "libshv shv_add"), 1.5, true);
	T("2 processes, raw churn: times the throughput of one",
	  best_ratio("raw churn, 1 process", "libshv", "raw churn, 2 processes", "libshv"), 1.8, true);
	T("2 processes, locked churn: times the throughput of one",
	  best_ratio("locked churn, 1 process", "libshv", "locked churn, 2 processes", "libshv"), 1.8, true);
	T("freed by another process: times freed by the maker", best_ratio("foreign free", "libshv", "own free", "libshv"), 1.5, false);
	T("bytes of a raw 8-byte value, all of the memfd counted, rounded", round(figure("raw bytes", quick ? "libshv, 100,000" : "libshv, 1,000,000")), 32, false);
	T("bytes of an 8-byte value with a recursive lock, the same", round(figure("locked bytes", quick ? "libshv, 100,000" : "libshv, 1,000,000")), 48, false);
	T("attach, the slowest size (us)", attach, 200, false);
	T("find by name, the largest number of names (ns)", find, 150, false);
	T("cost of a create, the most values in the arena: times among 1,000",
	  ratio(quick ? "create each, 1,000,000" : "create each, 10,000,000", "libshv", "create each, 1,000", "libshv"), 1.3, false);
	T("raw batch: times faster than Boost's construct", ahead_of_best("raw batch", boost_construct), 5, true);
	T("raw churn: times faster than Boost's construct", ahead_of_best("raw churn", boost_construct), 5, true);
	T("locked batch: times faster than Boost's construct", ahead_of_best("locked batch", boost_construct), 5, true);
	T("raw batch: times faster than Boost's best allocator", ahead_of_best("raw batch", boost), 1, true);
	T("raw churn: times faster than Boost's best allocator", ahead_of_best("raw churn", boost), 1, true);
	T("locked batch: times faster than Boost's best allocator", ahead_of_best("locked batch", boost), 1, true);
	T("locked churn: times faster than Boost's best allocator", ahead_of_best("locked churn", boost), 1, true);
	T("raw create: times faster than libpmemobj", ratio("raw create", "libpmemobj", "raw create", "libshv"), 20, true);
	T("raw create: times faster than CPython's RawValue", ratio("raw create", "CPython", "raw create", "libshv"), 1000, true);
	T("locked create: times faster than CPython's Value", ratio("locked create", "CPython", "locked create", "libshv"), 1000, true);
	T("memory given back after all are freed and a trim (%)", figure("given back", "libshv"), 95, true);
#undef T
	return n;
}

void print_targets(void)
{
	struct target t[40];
	int n = all_targets(t), met = 0, known = 0;

	printf("\n%-72s %10s %9s\n", "target", "is", "wanted");
	for (int i = 0; i < n; i++) {
		char is[24];
		bool ok = t[i].at_least ? t[i].value >= t[i].limit : t[i].value <= t[i].limit;
		if (isnan(t[i].value))
			continue;
		known++;
		met += ok;
		print_number(is, sizeof(is), t[i].value);
		printf("%-72s %10s %s %6g  %s", t[i].text, is, t[i].at_least ? ">=" : "<=", t[i].limit, ok ? "met" : "not met");
		if (!ok)
			printf(", off by %.2f times", t[i].at_least ? t[i].limit / t[i].value : t[i].value / t[i].limit);
		printf("\n");
	}
	printf("%d of %d targets met\n", met, known);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		if ((unsigned char)*s >= ' ')
			fputc(*s, f);
	}
	fputc('"', f);
}

static void json_summary(FILE *f, const char *name, const struct summary *s)
{
	fprintf(f, ", \"%s\": {\"best\": %.6g, \"quarter\": %.6g, \"median\": %.6g, \"three_quarters\": %.6g, \"worst\": %.6g}", name, s->low,
		s->quarter, s->median, s->three, s->high);
}

static void machine(char *cpu, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[512];

	snprintf(cpu, size, "unknown");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
			line[strcspn(line, "\n")] = 0;
			snprintf(cpu, size, "%s", strchr(line, ':') + 2);
			break;
		}
	if (f)
		fclose(f);
}

void print_json(FILE *f)
{
	struct target t[40];
	int n = all_targets(t);
	struct utsname u;
	char cpu[256], date[32];
	time_t now = time(NULL);
	bool first = true;

	uname(&u);
	machine(cpu, sizeof(cpu));
	strftime(date, sizeof(date), "%Y-%m-%d", gmtime(&now));
	fprintf(f, "{\"schema\": 2, \"date\": \"%s\", \"machine\": {\"cpu\": ", date);
	json_string(f, cpu);
	fprintf(f, ", \"processors\": %ld, \"kernel\": ", sysconf(_SC_NPROCESSORS_ONLN));
	json_string(f, u.release);
	fprintf(f, ", \"arch\": ");
	json_string(f, u.machine);
	fprintf(f, ", \"compiler\": ");
	json_string(f, __VERSION__);
	fprintf(f, "},\n \"passes\": %d, \"quick\": %s,\n \"works\": [", passes, quick ? "true" : "false");
	for (int w = 0; w < WORKS; w++) {
		fprintf(f, "%s\n  {\"name\": ", w ? "," : "");
		json_string(f, works[w].name);
		fprintf(f, ", \"title\": ");
		json_string(f, works[w].title);
		fprintf(f, ", \"unit\": ");
		json_string(f, works[w].unit);
		if (works[w].base) {
			fprintf(f, ", \"base\": ");
			json_string(f, works[w].base);
		}
		fprintf(f, "}");
	}
	fprintf(f, "\n ],\n \"figures\": [");
	for (int w = 0; w < WORKS; w++)
		for (int i = 0; i < n_entries; i++) {
			const struct entry *e = &entries[i];
			struct summary s = summary(e->v, e->n), r;
			if (strcmp(e->work, works[w].name))
				continue;
			fprintf(f, "%s\n  {\"work\": ", first ? "" : ",");
			first = false;
			json_string(f, e->work);
			fprintf(f, ", \"peer\": ");
			json_string(f, e->peer);
			fprintf(f, ", \"n\": %d", e->n);
			json_summary(f, "figure", &s);
			r = ratios(e, works[w].base ? entry(works[w].name, works[w].base, false) : NULL);
			if (r.n)
				json_summary(f, "ratio", &r);
			fprintf(f, "}");
		}
	fprintf(f, "\n ],\n \"targets\": [");
	first = true;
	for (int i = 0; i < n; i++) {
		if (isnan(t[i].value))
			continue;
		fprintf(f, "%s\n  {\"text\": ", first ? "" : ",");
		first = false;
		json_string(f, t[i].text);
		fprintf(f, ", \"is\": %.6g, \"%s\": %g, \"met\": %s}", t[i].value, t[i].at_least ? "at_least" : "at_most", t[i].limit,
			(t[i].at_least ? t[i].value >= t[i].limit : t[i].value <= t[i].limit) ? "true" : "false");
	}
	fprintf(f, "\n ],\n \"remarks\": [");
	for (int i = 0; i < n_remarks; i++) {
		fprintf(f, "%s\n  ", i ? "," : "");
		json_string(f, remarks[i]);
	}
	fprintf(f, "\n ]}\n");
}
