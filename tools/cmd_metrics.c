/* SPDX-License-Identifier: MIT */
/*
 * shvdump metrics: an arena's figures as OpenMetrics text, for Prometheus' textfile collector. The names are documented
 * in shvdump-report(1), and stay: what a dashboard asks for must not go.
 *
 * Every sample has the label `arena`. Foreign text in labels: control characters and bytes that are no UTF-8 appear as \xNN.
 * Labels that tell apart what might have equal names come along: slot, id, ref.
 */
#include "config.h"

#include "tools/look.h"
#include "tools/shvdump.h"
#include "tools/text.h"
#include "tools/write.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LABELS 4096u
#define NAMED_LOCKS 1000u     /* samples of one family, at the most */

struct metrics {
	struct run *run;
	struct look l;
	FILE *out;                /* NULL: rows by emit */
	struct selection columns;
	/* the present family, the present sample */
	const char *name, *type, *unit, *help;
	const char *suffix;
	char labels[LABELS];
	size_t at;
	uint64_t whole;
	double real;
	bool is_real;
};

/* ---- writing --------------------------------------------------------------------------------------------- */

static void family(struct metrics *m, const char *name, const char *type, const char *unit, const char *help)
{
	m->name = name;
	m->type = type;
	m->unit = unit;
	m->help = help;
	m->suffix = !strcmp(type, "counter") ? "_total" : !strcmp(type, "info") ? "_info" : "";
	if (!m->out)
		return;
	fprintf(m->out, "# TYPE %s %s\n", name, type);
	if (unit)
		fprintf(m->out, "# UNIT %s %s\n", name, unit);
	fprintf(m->out, "# HELP %s %s\n", name, help);
}

static void put_label(struct metrics *m, char c)
{
	if (m->at + 1 < LABELS)
		m->labels[m->at++] = c;
}

static void label(struct metrics *m, const char *key, const char *value)
{
	char escaped[1200];

	text_escape(escaped, sizeof(escaped), value);
	if (m->at)
		put_label(m, ',');
	for (; *key; key++)
		put_label(m, *key);
	put_label(m, '=');
	put_label(m, '"');
	for (const char *s = escaped; *s; s++) {
		if (*s == '\\' || *s == '"')
			put_label(m, '\\');
		put_label(m, *s);
	}
	put_label(m, '"');
	m->labels[m->at] = 0;
}

static void begin(struct metrics *m)
{
	m->at = 0;
	m->labels[0] = 0;
	label(m, "arena", m->l.st.name);
}

static void label_number(struct metrics *m, const char *key, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	label(m, key, text);
}

static void metric_cell(void *ctx, int column, struct cell *c)
{
	const struct metrics *m = ctx;

	switch (column) {
	case MET_NAME:
		cell_format(c, "%s%s", m->name, m->suffix);
		break;
	case MET_TYPE:
		cell_text(c, m->type);
		break;
	case MET_UNIT:
		cell_text(c, m->unit);
		break;
	case MET_LABELS:
		cell_text(c, m->labels);
		break;
	case MET_VALUE:
		if (m->is_real)
			cell_real(c, m->real);
		else
			cell_number(c, m->whole);
		break;
	case MET_HELP:
		cell_text(c, m->help);
		break;
	default:
		break;
	}
}

static void put_sample(struct metrics *m)
{
	if (!m->out)
		emit_row(&m->run->out, metric_cell, m);
	else if (m->is_real)
		fprintf(m->out, "%s%s{%s} %llu.%06llu\n", m->name, m->suffix, m->labels,
			(unsigned long long)m->real, (unsigned long long)((m->real - (double)(uint64_t)m->real) * 1e6));
	else
		fprintf(m->out, "%s%s{%s} %llu\n", m->name, m->suffix, m->labels, (unsigned long long)m->whole);
}

static void sample(struct metrics *m, uint64_t n)
{
	m->is_real = false;
	m->whole = n;
	put_sample(m);
}

static void gauge(struct metrics *m, const char *name, const char *unit, const char *help, uint64_t n)
{
	family(m, name, "gauge", unit, help);
	begin(m);
	sample(m, n);
}

/* A sample with one further label. */
static void with(struct metrics *m, const char *key, const char *value, uint64_t n)
{
	begin(m);
	label(m, key, value);
	sample(m, n);
}

/* ---- what there is --------------------------------------------------------------------------------------- */

static void arena_families(struct metrics *m)
{
	const struct shv_stat *st = &m->l.st;
	char uuid[40];

	text_uuid(uuid, sizeof(uuid), st->uuid);
	family(m, "shv_arena", "info", NULL, "Identity of the arena.");
	begin(m);
	label(m, "uuid", uuid);
	label_number(m, "format", st->format);
	label(m, "shvdump", SHV_VERSION);
	sample(m, 1);
	gauge(m, "shv_approximate", NULL, "1: objects were made or freed while they were counted.", m->l.approximate);
	gauge(m, "shv_created_timestamp_seconds", "seconds", "When the arena was created, seconds since 1970.",
	      st->created / 1000000000u);
	gauge(m, "shv_capacity_bytes", "bytes", "Address space of the arena.", st->capacity);
	gauge(m, "shv_file_bytes", "bytes", "Size of the memfd, holes included.", st->file_size);
	gauge(m, "shv_resident_bytes", "bytes", "Memory that the memfd occupies.", st->bytes_resident);
	gauge(m, "shv_live_bytes", "bytes", "Blocks of live objects and their parts.", st->bytes_live);
	gauge(m, "shv_payload_bytes", "bytes", "Payloads of live objects.", st->bytes_payload);
	gauge(m, "shv_names", NULL, "Published names.", st->names);
	gauge(m, "shv_threads", NULL, "Registered threads.", st->threads);
	family(m, "shv_processes", "gauge", NULL, "Processes, by whether they are alive, or dead and not yet recovered.");
	with(m, "state", "alive", st->processes);
	with(m, "state", "dead", st->processes_dead);
	gauge(m, "shv_processes_limit", NULL, "Processes that can be attached at one time.", st->max_processes);
}

static void object_families(struct metrics *m)
{
	static const char *const policies[] = { [SHV_LOCK_RECURSIVE] = "recursive", [SHV_LOCK_PLAIN] = "plain",
						[SHV_LOCK_HANDOFF] = "handoff",     [SHV_LOCK_NONE] = "none",
						[SHV_LOCK_SHARED] = "shared",       [SHV_LOCK_POLICY] = "own" };
	const struct shv_stat *st = &m->l.st;

	family(m, "shv_objects", "gauge", NULL, "Live objects by kind.");
	with(m, "kind", "value", st->values);
	with(m, "kind", "raw", st->raws);
	with(m, "kind", "array", st->arrays);
	with(m, "kind", "string", st->strings);
	with(m, "kind", "lock", st->locks);
	family(m, "shv_policy_objects", "gauge", NULL, "Values, arrays and strings by lock policy.");
	for (int i = SHV_LOCK_RECURSIVE; i <= SHV_LOCK_POLICY; i++)
		with(m, "policy", policies[i], st->by_policy[i]);
	family(m, "shv_slots", "gauge", NULL, "Slots of the directory: all, reserved in caches, on their way back.");
	with(m, "state", "all", st->slots);
	with(m, "state", "cached", st->held);
	with(m, "state", "going", st->going);
	family(m, "shv_locks", "gauge", NULL, "Locks with a word of their own, by state; waited: somebody may be waiting.");
	with(m, "state", "all", m->l.locks);
	with(m, "state", "held", m->l.held);
	with(m, "state", "waited", m->l.waited);
	with(m, "state", "abandoned", m->l.abandoned);
	with(m, "state", "condemned", m->l.condemned);
}

static void page_families(struct metrics *m)
{
	const struct shv_stat *st = &m->l.st;

	gauge(m, "shv_page_size_bytes", "bytes", "Size of a page of the pool.", st->page_size);
	family(m, "shv_pages", "gauge", NULL, "Pages of the pool by use.");
	with(m, "state", "owned", st->pages_owned);
	with(m, "state", "orphaned", st->pages_orphaned);
	with(m, "state", "directory", st->pages_slots);
	with(m, "state", "system", st->pages_system);
	with(m, "state", "free", st->pages_free);
	gauge(m, "shv_free_runs", NULL, "Runs that the free pages form.", m->l.free_runs);
	gauge(m, "shv_longest_free_run_pages", "pages", "Pages of the longest free run.", m->l.longest_free);
	family(m, "shv_fragmentation_ratio", "gauge", "ratio", "Share of the free pages that are outside the longest run.");
	begin(m);
	m->is_real = true;
	m->real = st->pages_free > m->l.longest_free ? look_percent(st->pages_free - m->l.longest_free, st->pages_free) / 100 : 0;
	put_sample(m);
}

static void type_family(struct metrics *m, const char *name, const char *unit, const char *help, int what)
{
	family(m, name, "gauge", unit, help);
	for (size_t i = 0; i < m->l.types_n; i++) {
		const struct look_type *t = &m->l.types[i];

		if (!t->objects)
			continue;
		begin(m);
		label(m, "type", t->t.name);
		label_number(m, "id", t->t.id);
		sample(m, what == 0 ? t->objects : what == 1 ? t->bytes : what == 2 ? t->leaked : t->leaked_bytes);
	}
}

static void process_family(struct metrics *m, const char *name, const char *type, const char *unit, const char *help, int what)
{
	family(m, name, type, unit, help);
	for (size_t i = 0; i < m->l.processes_n; i++) {
		const struct shv_process_info *p = &m->l.processes[i].p;

		begin(m);
		label_number(m, "pid", (uint64_t)p->pid);
		label_number(m, "slot", p->slot);
		label_number(m, "generation", p->generation);
		label(m, "command", p->command);
		sample(m, what == 0 ? p->alive : what == 1 ? p->bytes : what == 2 ? p->locks_held : what == 3 ? p->created :
			  what == 4 ? p->freed : p->threads);
	}
}

static int lock_family(struct metrics *m)
{
	struct shv_lock_info k = { .size = sizeof(k) };
	uint64_t cursor = 0, n = 0;
	char name[256];
	int r = 0;

	family(m, "shv_lock_acquisitions", "counter", NULL,
	       "Times that a named lock was taken; begins anywhere and goes round at 2^32: only differences count.");
	while (n < NAMED_LOCKS && (r = shv_lock_next(m->run->a, &cursor, &k)) == 1) {
		if (k.lock == SHV_LOCK_POLICY || shv_value_name(m->run->a, k.ref, name, sizeof(name)) <= 0)
			continue;
		begin(m);
		label(m, "lock", name);
		snprintf(name, sizeof(name), "0x%llx", (unsigned long long)k.ref);
		label(m, "ref", name);
		label(m, "policy", k.policy);
		sample(m, k.acquisitions);
		n++;
	}
	return r < 0 ? r : 0;
}

static int all_families(struct metrics *m)
{
	arena_families(m);
	object_families(m);
	page_families(m);
	type_family(m, "shv_type_objects", NULL, "Live objects by type (of their items).", 0);
	type_family(m, "shv_type_bytes", "bytes", "Blocks of live objects by type.", 1);
	type_family(m, "shv_leaked_objects", NULL, "Live objects whose creator is gone, by type.", 2);
	type_family(m, "shv_leaked_bytes", "bytes", "Blocks of these.", 3);
	process_family(m, "shv_process_alive", "gauge", NULL, "1: the process lives; 0: dead and not yet recovered.", 0);
	process_family(m, "shv_process_memory_bytes", "gauge", "bytes", "Pages that the process owns.", 1);
	process_family(m, "shv_process_locks_held", "gauge", NULL, "Locks that its threads hold.", 2);
	process_family(m, "shv_process_objects_created", "counter", NULL, "Objects that it made, about.", 3);
	process_family(m, "shv_process_objects_freed", "counter", NULL, "Objects that it freed, about.", 4);
	process_family(m, "shv_process_threads", "gauge", NULL, "Its threads that have used the arena.", 5);
	return lock_family(m);
}

/* ---- the command ----------------------------------------------------------------------------------------- */

static int put_text(FILE *out, void *ctx)
{
	struct metrics *m = ctx;
	int code;

	m->out = out;
	code = all_families(m);
	fputs("# EOF\n", out);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}

static int put_rows(struct metrics *m)
{
	struct run *r = m->run;
	int code;

	if (columns_select(&m->columns, &metrics_columns, NULL, true))
		return STATUS_FAILED;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	emit_table(&r->out, "metrics", &m->columns, EMIT_ROWS);
	code = all_families(m);
	emit_table_end(&r->out);
	tell_approximate(r, m->l.approximate);
	emit_end(&r->out);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}

int cmd_metrics(struct run *r)
{
	static struct metrics m;
	int code;

	if (r->opt.file && r->out.mode != EMIT_TABLE) {
		fputs("shvdump: metrics: --file is for the text: leave out --json or --raw\n", stderr);
		return STATUS_FAILED;
	}
	m = (struct metrics){ .run = r };
	code = look(&m.l, r->a, LOOK_RUNS | LOOK_OBJECTS | LOOK_LOCKS);
	if (code < 0)
		return complain(NULL, code);
	if (r->out.mode == EMIT_TABLE)
		code = write_file(r->opt.file ? r->opt.file : "-", put_text, &m);
	else
		code = put_rows(&m);
	look_free(&m.l);
	return code;
}
