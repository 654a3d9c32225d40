/* SPDX-License-Identifier: MIT */
/*
 * shvdump report: an arena on one page for the browser. All of it is in the file: style, pictures, tables. It needs no network
 * and no script, and its content security policy allows neither. Names and other foreign text go through text_put_html().
 *
 * The policy names the style by its hash (STYLE_HASH, which a test compares): another style, smuggled in by whatever name, is
 * not taken. Whoever changes the style runs tests/cli/report.sh, which says what the hash is now.
 */
#include "config.h"

#include "tools/look.h"
#include "tools/map.h"
#include "tools/sample.h"
#include "tools/shvdump.h"
#include "tools/svg.h"
#include "tools/text.h"
#include "tools/write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define STYLE_HASH "sha256-bBzGaO/RMJmgMND0exL7WOqiR+CNLUkQ+fvjxp8ZI+U="
#define CELLS ((size_t)96 * 40)
#define BARS 12u              /* of one picture */
#define LOCKS 200u            /* rows of the table of locks */
#define FINDINGS 100u

static const char page_style[] =
	":root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--ink:#1d2530;--soft:#5a6675;--line:#dde2e9;"
	"--accent:#2f7ed8;--bad:#c22431;--good:#1e7d57}"
	"@media(prefers-color-scheme:dark){:root{--back:#12161b;--card:#1a2027;--ink:#e8ecf2;--soft:#9fabba;--line:#303945;"
	"--accent:#5aa2f0;--bad:#ff6b75;--good:#4cc494}}"
	"*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}"
	"main,header,footer{max-width:1080px;margin:0 auto;padding:0 20px}header{padding-top:28px}"
	"h1{font-size:26px;margin:0;overflow-wrap:anywhere}h2{font-size:18px;margin:0 0 4px}p{margin:4px 0 12px;color:var(--soft)}"
	"section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:16px 0}"
	"dl.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:12px;margin:16px 0}"
	"dl.tiles div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 14px}"
	"dt{color:var(--soft);font-size:13px}dd{margin:0;font-size:22px;font-variant-numeric:tabular-nums}"
	"table{border-collapse:collapse;width:100%;font-size:14px}div.scroll{overflow-x:auto}"
	"th,td{padding:4px 10px 4px 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}"
	"th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
	"td{overflow-wrap:anywhere}.bad{color:var(--bad);font-weight:600}.good{color:var(--good);font-weight:600}"
	"svg{display:block;width:100%;height:auto;margin:8px 0 14px}"
	"details{margin-top:8px}summary{cursor:pointer;color:var(--accent)}"
	"nav a{margin-right:14px;color:var(--accent)}footer{color:var(--soft);font-size:13px;padding-bottom:40px}"
	"@media print{body{background:#fff}section{break-inside:avoid}}";

struct report {
	struct run *run;
	struct look l;
	struct map map;
	struct sample locks;
	FILE *out;
	size_t bytes;
	int findings;
	char *finding[FINDINGS];
};

/* ---- tables ---------------------------------------------------------------------------------------------- */

static void section(struct report *p, const char *id, const char *title, const char *words)
{
	fprintf(p->out, "<section id=\"%s\" aria-labelledby=\"%s-h\">\n<h2 id=\"%s-h\">%s</h2>\n<p>%s</p>\n", id, id, id, title,
		words);
}

static void heads(struct report *p, const char *const *names, size_t n, unsigned numbers)
{
	fputs("<div class=\"scroll\"><table><thead><tr>", p->out);
	for (size_t i = 0; i < n; i++)
		fprintf(p->out, "<th scope=\"col\"%s>%s</th>", numbers >> i & 1 ? " class=\"n\"" : "", names[i]);
	fputs("</tr></thead><tbody>\n", p->out);
}

static void end_table(struct report *p)
{
	fputs("</tbody></table></div>\n", p->out);
}

static void cell_words(struct report *p, const char *text)
{
	fputs("<td>", p->out);
	text_put_html(p->out, text);
	fputs("</td>", p->out);
}

static void cell_count(struct report *p, uint64_t n)
{
	fprintf(p->out, "<td class=\"n\">%llu</td>", (unsigned long long)n);
}

/* For people, and exactly when one points at it. */
static void cell_bytes(struct report *p, uint64_t n)
{
	char text[32];

	text_size(text, sizeof(text), n);
	fprintf(p->out, "<td class=\"n\" title=\"%llu bytes\">%s</td>", (unsigned long long)n, text);
}

static void cell_share(struct report *p, uint64_t part, uint64_t whole)
{
	char text[40];

	text_real(text, sizeof(text), look_percent(part, whole));
	fprintf(p->out, "<td class=\"n\">%s %%</td>", text);
}

static void row(struct report *p) { fputs("<tr>", p->out); }
static void end_row(struct report *p) { fputs("</tr>\n", p->out); }

static void fact(struct report *p, const char *name, const char *text)
{
	fprintf(p->out, "<tr><th scope=\"row\">%s</th>", name);
	cell_words(p, text);
	end_row(p);
}

static void bar_size(struct svg_bar *b, uint64_t bytes)
{
	b->value = (double)bytes;
	text_size(b->text, sizeof(b->text), bytes);
}

static void bar_count(struct svg_bar *b, uint64_t n)
{
	b->value = (double)n;
	snprintf(b->text, sizeof(b->text), "%llu", (unsigned long long)n);
}

/* ---- the top --------------------------------------------------------------------------------------------- */

static void tile(struct report *p, const char *name, uint64_t n, bool bytes, bool bad)
{
	char text[32];

	if (bytes)
		text_size(text, sizeof(text), n);
	else
		snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	fprintf(p->out, "<div><dt>%s</dt><dd%s>%s</dd></div>\n", name, bad ? " class=\"bad\"" : "", text);
}

static void top(struct report *p)
{
	const struct shv_stat *st = &p->l.st;
	struct timespec now;
	char when[40];

	clock_gettime(CLOCK_REALTIME, &now);
	text_time(when, sizeof(when), (uint64_t)now.tv_sec * 1000000000u);
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '" STYLE_HASH
	      "'; base-uri 'none'; form-action 'none'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<meta name=\"referrer\" content=\"no-referrer\">\n<title>", p->out);
	text_put_html(p->out, st->name);
	fprintf(p->out, " - shvdump report</title>\n<style>%s%s</style>\n</head>\n<body>\n<header>\n<h1>Arena ", page_style,
		svg_style);
	text_put_html(p->out, st->name);
	fprintf(p->out, "</h1>\n<p>Looked at by shvdump %s at %s. %s</p>\n", SHV_VERSION, when,
		p->l.approximate ? "Objects were made or freed meanwhile: <strong>the figures are approximate</strong>." :
				   "Nothing was made or freed while objects were counted.");
	fputs("<nav aria-label=\"Sections\"><a href=\"#pages\">Pages</a><a href=\"#types\">Types</a>"
	      "<a href=\"#policies\">Lock policies</a><a href=\"#locks\">Locks</a><a href=\"#processes\">Processes</a>"
	      "<a href=\"#fragmentation\">Fragmentation</a><a href=\"#leaks\">Left behind</a><a href=\"#check\">Check</a></nav>\n"
	      "</header>\n<main>\n<dl class=\"tiles\">\n", p->out);
	tile(p, "live objects", st->objects, false, false);
	tile(p, "bytes live", st->bytes_live, true, false);
	tile(p, "memory occupied", st->bytes_resident, true, false);
	tile(p, "processes alive", st->processes, false, false);
	tile(p, "processes dead", st->processes_dead, false, st->processes_dead > 0);
	tile(p, "locks held", p->l.held, false, false);
	tile(p, "locks abandoned", p->l.abandoned, false, p->l.abandoned > 0);
	tile(p, "creator gone", p->l.leaked, false, false);
	fputs("</dl>\n", p->out);
}

static void overview(struct report *p)
{
	const struct shv_stat *st = &p->l.st;
	char text[64], more[40];

	section(p, "overview", "Overview", "What the arena is.");
	fputs("<div class=\"scroll\"><table><tbody>\n", p->out);
	fact(p, "name", st->name);
	text_uuid(text, sizeof(text), st->uuid);
	fact(p, "uuid", text);
	text_time(text, sizeof(text), st->created);
	fact(p, "created", text);
	text_size(text, sizeof(text), st->capacity);
	fact(p, "capacity (address space)", text);
	text_size(text, sizeof(text), st->file_size);
	fact(p, "file, holes included", text);
	text_size(text, sizeof(text), st->bytes_payload);
	fact(p, "payload of the live objects", text);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)st->names);
	fact(p, "published names", text);
	snprintf(text, sizeof(text), "%llu, cached %llu, on their way back %llu", (unsigned long long)st->slots,
		 (unsigned long long)st->held, (unsigned long long)st->going);
	fact(p, "directory slots", text);
	snprintf(more, sizeof(more), "%u", (unsigned)st->format);
	fact(p, "memory format", more);
	end_table(p);
	fputs("</section>\n", p->out);
}

/* ---- pages ----------------------------------------------------------------------------------------------- */

static void owners_table(struct report *p)
{
	static const char *const names[] = { "owner", "process", "pages", "bytes", "share" };
	const struct { const char *name; uint64_t pages; } others[] = {
		{ "orphaned: their process is gone, live objects keep them", p->l.st.pages_orphaned },
		{ "directory", p->l.st.pages_slots },
		{ "system tables", p->l.st.pages_system },
		{ "free", p->l.st.pages_free },
	};

	heads(p, names, 5, 0x1c);
	for (size_t i = 0; i < p->map.owners_n; i++) {
		const struct map_owner *o = &p->map.owners[i];
		char text[40] = "";

		row(p);
		cell_words(p, o->process ? o->process->p.command : "not known");
		if (o->process)
			snprintf(text, sizeof(text), "%d%s", (int)o->process->p.pid, o->process->p.alive ? "" : ", dead");
		cell_words(p, text);
		cell_count(p, o->pages);
		cell_bytes(p, o->pages * p->l.st.page_size);
		cell_share(p, o->pages, p->l.st.pages);
		end_row(p);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		row(p);
		cell_words(p, others[i].name);
		cell_words(p, "");
		cell_count(p, others[i].pages);
		cell_bytes(p, others[i].pages * p->l.st.page_size);
		cell_share(p, others[i].pages, p->l.st.pages);
		end_row(p);
	}
	end_table(p);
}

static void pages(struct report *p)
{
	section(p, "pages", "Pages", "Who owns which page of the pool, from its first page to its present end.");
	svg_map(p->out, &p->map, &p->l, "map", false);
	owners_table(p);
	fputs("</section>\n", p->out);
}

static void percent_text(char *buf, size_t size, double percent)
{
	char number[40];

	text_real(number, sizeof(number), percent);
	snprintf(buf, size, "%s %%", number);
}

static void fragmentation(struct report *p)
{
	static const char *const names[] = { "pages in a run", "free runs" };
	const struct shv_stat *st = &p->l.st;
	uint64_t heap = (st->pages_owned + st->pages_orphaned) * st->page_size;
	struct svg_bar bars[LOOK_SIZES] = { { .value = 0 } };
	char text[80];
	size_t n = 0;

	section(p, "fragmentation", "Fragmentation", "Long free runs can become anything; short ones only small things.");
	for (size_t i = 0; i < LOOK_SIZES; i++) {
		struct svg_bar *b = &bars[n];

		if (!p->l.runs_by_size[i])
			continue;
		snprintf(b->label, sizeof(b->label), i ? "%llu to %llu pages" : "%llu page", 1ull << i, (2ull << i) - 1);
		bar_count(b, p->l.runs_by_size[i]);
		b->class = "p0";
		n++;
	}
	svg_bars(p->out, bars, n, "frag", "Free runs by length", "Number of free runs by how many pages they have");
	fputs("<div class=\"scroll\"><table><tbody>\n", p->out);
	snprintf(text, sizeof(text), "%llu of %llu", (unsigned long long)st->pages_free, (unsigned long long)st->pages);
	fact(p, "free pages", text);
	snprintf(text, sizeof(text), "%llu pages", (unsigned long long)p->l.longest_free);
	fact(p, "longest free run", text);
	percent_text(text, sizeof(text), st->pages_free > p->l.longest_free ?
		  look_percent(st->pages_free - p->l.longest_free, st->pages_free) : 0);
	fact(p, "free pages outside the longest run", text);
	percent_text(text, sizeof(text), look_percent(st->bytes_live, heap));
	fact(p, "owned and orphaned pages filled by live blocks", text);
	percent_text(text, sizeof(text), st->bytes_live > st->bytes_payload ?
		  look_percent(st->bytes_live - st->bytes_payload, st->bytes_live) : 0);
	fact(p, "of the live blocks no payload (headers, locks, rounding, names)", text);
	end_table(p);
	if (n) {
		fputs("<details><summary>Table of the free runs</summary>", p->out);
		heads(p, names, 2, 2);
		for (size_t i = 0; i < n; i++)
			fprintf(p->out, "<tr><td>%s</td><td class=\"n\">%s</td></tr>\n", bars[i].label, bars[i].text);
		end_table(p);
		fputs("</details>\n", p->out);
	}
	fputs("</section>\n", p->out);
}

/* ---- objects --------------------------------------------------------------------------------------------- */

static int most_bytes(const void *a, const void *b)
{
	const struct look_type *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->t.id < y->t.id ? -1 : x->t.id > y->t.id;
}

/* Sorts the types by bytes: look_type() is not to be used any more. */
static void types(struct report *p)
{
	static const char *const names[] = { "type", "format", "objects", "bytes", "payload", "creator gone" };
	struct svg_bar bars[BARS] = { { .value = 0 } };
	size_t n = 0, used = 0;

	if (p->l.types_n)
		qsort(p->l.types, p->l.types_n, sizeof(*p->l.types), most_bytes);
	while (used < p->l.types_n && p->l.types[used].objects)
		used++;
	for (; n < used && n < BARS; n++) {
		snprintf(bars[n].label, sizeof(bars[n].label), "%s", p->l.types[n].t.name);
		bar_size(&bars[n], p->l.types[n].bytes);
		bars[n].class = "p0";
	}
	section(p, "types", "Types", "Live objects by the type of their content; bytes are those of whole blocks.");
	svg_bars(p->out, bars, n, "typebars", "Bytes by type", "Bytes of live blocks by type, the largest first");
	heads(p, names, 6, 0x3c);
	for (size_t i = 0; i < used; i++) {
		const struct look_type *t = &p->l.types[i];

		row(p);
		cell_words(p, t->t.name);
		cell_words(p, t->t.format);
		cell_count(p, t->objects);
		cell_bytes(p, t->bytes);
		cell_bytes(p, t->payload);
		cell_count(p, t->leaked);
		end_row(p);
	}
	end_table(p);
	fputs("</section>\n", p->out);
}

static void sizes(struct report *p)
{
	static const char *const names[] = { "bytes of a block", "objects" };
	struct svg_bar bars[LOOK_SIZES] = { { .value = 0 } };
	size_t n = 0;

	for (size_t i = 0; i < LOOK_SIZES; i++) {
		char low[24], high[24];

		if (!p->l.by_size[i])
			continue;
		text_size(low, sizeof(low), 1ull << i);
		text_size(high, sizeof(high), 2ull << i);
		snprintf(bars[n].label, sizeof(bars[n].label), "%s to below %s", low, high);
		bar_count(&bars[n], p->l.by_size[i]);
		bars[n].class = "p1";
		n++;
	}
	section(p, "sizes", "Sizes", "How large the blocks of the live objects are, header and lock included.");
	svg_bars(p->out, bars, n, "sizebars", "Objects by size", "Number of live objects by the size of their block");
	fputs("<details><summary>As a table</summary>", p->out);
	heads(p, names, 2, 2);
	for (size_t i = 0; i < n; i++)
		fprintf(p->out, "<tr><td>%s</td><td class=\"n\">%s</td></tr>\n", bars[i].label, bars[i].text);
	end_table(p);
	fputs("</details>\n</section>\n", p->out);
}

static void policies(struct report *p)
{
	static const char *const of[] = { [SHV_LOCK_RECURSIVE] = "recursive", [SHV_LOCK_PLAIN] = "plain",
					  [SHV_LOCK_HANDOFF] = "handoff",     [SHV_LOCK_NONE] = "none",
					  [SHV_LOCK_SHARED] = "shared",       [SHV_LOCK_POLICY] = "own policies" };
	static const char *const names[] = { "policy", "objects" };
	struct svg_bar bars[SHV_LOCK_POLICY + 1] = { { .value = 0 } };
	size_t n = 0;

	for (int i = SHV_LOCK_RECURSIVE; i <= SHV_LOCK_POLICY; i++) {
		snprintf(bars[n].label, sizeof(bars[n].label), "%s", of[i]);
		bar_count(&bars[n], p->l.st.by_policy[i]);
		bars[n++].class = "p3";
	}
	section(p, "policies", "Lock policies", "Values, arrays and strings by the policy of their lock.");
	svg_bars(p->out, bars, n, "policybars", "Objects by lock policy", "Number of values, arrays and strings by lock policy");
	heads(p, names, 2, 2);
	for (size_t i = 0; i < n; i++)
		fprintf(p->out, "<tr><td>%s</td><td class=\"n\">%s</td></tr>\n", bars[i].label, bars[i].text);
	end_table(p);
	fputs("</section>\n", p->out);
}

/* ---- locks and processes --------------------------------------------------------------------------------- */

static void lock_row(struct report *p, const struct shv_lock_info *k)
{
	char name[256], text[64];

	row(p);
	if (shv_value_name(p->run->a, k->ref, name, sizeof(name)) <= 0)
		name[0] = 0;
	cell_words(p, name);
	fprintf(p->out, "<td class=\"n\">0x%llx</td>", (unsigned long long)k->ref);
	cell_words(p, k->policy);
	fprintf(p->out, "<td%s>%s</td>", k->abandoned ? " class=\"bad\"" : "", lock_state(k->held, k->abandoned, k->condemned));
	fprintf(p->out, "<td>%s</td>", k->waiters ? "maybe" : "no");
	if (k->holder.pid)
		snprintf(text, sizeof(text), "%s[%d/%d]%s", k->holder.command, (int)k->holder.pid, (int)k->holder.tid,
			 k->abandoned ? ", gone" : "");
	else
		snprintf(text, sizeof(text), "not known");
	cell_words(p, text);
	end_row(p);
}

static void locks(struct report *p)
{
	static const char *const names[] = { "name", "reference", "policy", "state", "waited for", "holder" };
	uint64_t free = p->l.locks > p->l.held + p->l.abandoned ? p->l.locks - p->l.held - p->l.abandoned : 0;
	struct svg_bar bars[4] = { { .label = "held", .class = "p0" },
				   { .label = "somebody may be waiting", .class = "p2" },
				   { .label = "abandoned: holder gone", .class = "orphan" },
				   { .label = "free", .class = "system" } };
	size_t shown = 0;

	bar_count(&bars[0], p->l.held);
	bar_count(&bars[1], p->l.waited);
	bar_count(&bars[2], p->l.abandoned);
	bar_count(&bars[3], free);
	section(p, "locks", "Locks", "Who holds what. The next taker of an abandoned lock gets it, and is told.");
	svg_bars(p->out, bars, 4, "lockbars", "Locks by state", "Number of locks by state");
	if (!p->locks.hot_n) {
		fputs("<p>No lock is held, waited for or abandoned.</p>\n</section>\n", p->out);
		return;
	}
	heads(p, names, 6, 2);
	for (; shown < p->locks.hot_n && shown < LOCKS; shown++)
		lock_row(p, &p->locks.hot[shown].k);
	end_table(p);
	if (p->l.held + p->l.abandoned > shown)
		fprintf(p->out, "<p>There are more than these %zu: 'shvdump locks --held' lists them all.</p>\n", shown);
	fputs("</section>\n", p->out);
}

static void processes(struct report *p)
{
	static const char *const names[] = { "process", "command", "state", "threads", "locks", "pages", "bytes",
					     "objects on them", "made and alive", "made", "freed", "attached" };
	struct svg_bar bars[BARS] = { { .value = 0 } };
	size_t n = 0;

	for (; n < p->map.owners_n && n < BARS; n++) {
		const struct map_owner *o = &p->map.owners[n];

		if (o->process)
			snprintf(bars[n].label, sizeof(bars[n].label), "%s[%d]", o->process->p.command, (int)o->process->p.pid);
		else
			snprintf(bars[n].label, sizeof(bars[n].label), "slot %u", (unsigned)o->slot);
		bar_size(&bars[n], o->pages * p->l.st.page_size);
		bars[n].class = svg_class(SHV_PAGE_OWNED, n);
	}
	section(p, "processes", "Processes", "Attached ones, and those that died attached and are not yet recovered. "
		"What they made and freed is as they count it, about.");
	svg_bars(p->out, bars, n, "procbars", "Memory by process", "Bytes of the pages that each process owns");
	heads(p, names, 12, 0x7f9);
	for (size_t i = 0; i < p->l.processes_n; i++) {
		const struct look_process *q = &p->l.processes[i];
		char when[40];

		row(p);
		cell_count(p, (uint64_t)q->p.pid);
		cell_words(p, q->p.command);
		fputs(q->p.alive ? "<td>alive</td>" : "<td class=\"bad\">dead</td>", p->out);
		cell_count(p, q->p.threads);
		cell_count(p, q->p.locks_held);
		cell_count(p, q->p.pages);
		cell_bytes(p, q->p.bytes);
		cell_count(p, q->objects);
		cell_count(p, q->made);
		cell_count(p, q->p.created);
		cell_count(p, q->p.freed);
		text_time(when, sizeof(when), q->p.attached);
		cell_words(p, when);
		end_row(p);
	}
	end_table(p);
	fputs("</section>\n", p->out);
}

static int most_leaked(const void *a, const void *b)
{
	const struct look_leak *x = a, *y = b;
	uint64_t xb = x->block * x->objects, yb = y->block * y->objects;

	if (xb != yb)
		return xb > yb ? -1 : 1;
	return x->example < y->example ? -1 : x->example > y->example;
}

static void leaks(struct report *p)
{
	static const char *const names[] = { "type", "kind", "bytes of each", "objects", "bytes", "named", "locked by the dead" };
	size_t shown = p->l.leaks_n < LOCKS ? p->l.leaks_n : LOCKS;
	char text[32];

	section(p, "leaks", "Left behind", "Live objects whose creator is gone. Others may still use them, through a name or a "
		"reference that they keep; what nobody knows of stays for ever.");
	if (p->l.leaks_n)
		qsort(p->l.leaks, p->l.leaks_n, sizeof(*p->l.leaks), most_leaked);
	text_size(text, sizeof(text), p->l.leaked_bytes);
	fprintf(p->out, "<p>%llu objects, %s.</p>\n", (unsigned long long)p->l.leaked, text);
	if (shown) {
		heads(p, names, 7, 0x7c);
		for (size_t i = 0; i < shown; i++) {
			const struct look_leak *k = &p->l.leaks[i];
			const struct look_type *t = k->kind == SHV_KIND_LOCK ? NULL : look_type(&p->l, k->type);

			row(p);
			cell_words(p, t ? t->t.name : "");
			cell_words(p, kind_name(k->kind));
			cell_bytes(p, k->block);
			cell_count(p, k->objects);
			cell_bytes(p, k->block * k->objects);
			cell_count(p, k->named);
			cell_count(p, k->abandoned);
			end_row(p);
		}
		end_table(p);
	}
	fputs("</section>\n", p->out);
}

static void check(struct report *p)
{
	section(p, "check", "Check", "Whether the arena contradicts itself anywhere.");
	if (p->findings < 0)
		fputs("<p>It could not be checked.</p>\n", p->out);
	else if (!p->findings)
		fputs("<p class=\"good\">Sound.</p>\n", p->out);
	else
		fprintf(p->out, "<p class=\"bad\">%d findings</p>\n<ul>\n", p->findings);
	for (int i = 0; i < p->findings && i < (int)FINDINGS; i++) {
		fputs("<li>", p->out);
		text_put_html(p->out, p->finding[i] ? p->finding[i] : "");
		fputs("</li>\n", p->out);
	}
	fputs(p->findings > 0 ? "</ul>\n</section>\n" : "</section>\n", p->out);
}

/* ---- the command ----------------------------------------------------------------------------------------- */

static int put_page(FILE *out, void *ctx)
{
	struct report *p = ctx;

	p->out = out;
	top(p);
	overview(p);
	pages(p);
	leaks(p); /* looks types up by id: before they are sorted */
	types(p);
	sizes(p);
	policies(p);
	locks(p);
	processes(p);
	fragmentation(p);
	check(p);
	fputs("</main>\n<footer><p>Made by shvdump of libshv. Counts are exact unless the top says otherwise; what is held, and "
	      "what locks and processes did, is of the moment in which each was looked at.</p></footer>\n</body>\n</html>\n", out);
	p->bytes = (size_t)ftell(out);
	return STATUS_FINE;
}

static void written_cell(void *ctx, int column, struct cell *c)
{
	const struct report *p = ctx;

	if (column == WRT_FILE)
		cell_text(c, p->run->object);
	else
		cell_size(c, p->bytes);
}

static void found(void *ctx, const char *what)
{
	struct report *p = ctx;

	if (p->findings < (int)FINDINGS)
		p->finding[p->findings] = strdup(what);
	p->findings++;
}

static int gather(struct report *p)
{
	int code = look(&p->l, p->run->a, LOOK_RUNS | LOOK_OBJECTS | LOOK_LOCKS);

	if (!code)
		code = map_make(&p->map, &p->l, CELLS);
	if (!code)
		code = sample_locks(&p->locks, p->run->a, NULL);
	if (!code) {
		code = shv_check(p->run->a, found, p);
		p->findings = code < 0 ? -1 : p->findings;
	}
	return code < 0 ? code : 0;
}

static int tell(struct report *p)
{
	struct run *r = p->run;
	struct selection columns;

	if (!strcmp(r->object, "-"))
		return STATUS_FINE;
	if (columns_select(&columns, &written_columns, NULL, true))
		return STATUS_FAILED;
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	emit_table(&r->out, "report", &columns, EMIT_FACTS);
	emit_row(&r->out, written_cell, p);
	emit_table_end(&r->out);
	emit_bool(&r->out, "sound", p->findings == 0);
	tell_approximate(r, p->l.approximate);
	emit_end(&r->out);
	return STATUS_FINE;
}

int cmd_report(struct run *r)
{
	static struct report p;
	int code;

	p = (struct report){ .run = r };
	code = gather(&p);
	if (code < 0)
		code = complain(NULL, code);
	else
		code = write_file(r->object, put_page, &p);
	if (!code)
		code = tell(&p);
	if (!code && p.findings > 0)
		code = STATUS_DAMAGE;
	for (int i = 0; i < (int)FINDINGS; i++)
		free(p.finding[i]);
	map_free(&p.map);
	sample_free(&p.locks);
	look_free(&p.l);
	return code;
}
