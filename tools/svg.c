/* SPDX-License-Identifier: MIT */
/* Pictures as SVG; see svg.h. */
#include "config.h"

#include "tools/svg.h"

#include "tools/text.h"

#include <string.h>

#define CELL 10u
#define GAP 1u
#define COLUMNS 96u
#define BAR_HEIGHT 18u
#define BAR_STEP 26u
#define LABEL_WIDTH 230u
#define BAR_WIDTH 400u
#define TEXT_WIDTH 110u

const char svg_style[] =
	".p0{fill:#2f7ed8}.p1{fill:#2a9d6f}.p2{fill:#c77c11}.p3{fill:#7c5cc4}"
	".p4{fill:#11889c}.p5{fill:#a0683f}.p6{fill:#5b7d1f}.p7{fill:#b0498f}"
	".orphan{fill:#d62f3c}.directory{fill:#55606e}.system{fill:#9aa4b1}.free{fill:#e6e9ee}"
	".part{fill-opacity:.55}.ink{fill:#1d2530}.soft{fill:#5a6675}"
	"@media(prefers-color-scheme:dark){"
	".p0{fill:#5aa2f0}.p1{fill:#4cc494}.p2{fill:#e5a13e}.p3{fill:#a48bea}"
	".p4{fill:#3cb5ca}.p5{fill:#c9925f}.p6{fill:#9abd4d}.p7{fill:#d977ba}"
	".orphan{fill:#ff5d68}.directory{fill:#8c98a8}.system{fill:#677382}.free{fill:#2a313b}"
	".ink{fill:#e8ecf2}.soft{fill:#9fabba}}";

const char *svg_class(enum shv_page_state state, size_t owner)
{
	static const char *const owners[SVG_COLORS] = { "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7" };

	switch (state) {
	case SHV_PAGE_OWNED:
		return owners[owner % SVG_COLORS];
	case SHV_PAGE_ORPHAN:
		return "orphan";
	case SHV_PAGE_SLOTS:
		return "directory";
	case SHV_PAGE_SYSTEM:
		return "system";
	default:
		return "free";
	}
}

static void begin(FILE *out, const char *id, unsigned width, unsigned height, bool alone)
{
	if (alone)
		fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"%s-t %s-d\" "
		"viewBox=\"0 0 %u %u\"", id, id, width, height);
	if (alone)
		fprintf(out, " width=\"%u\" height=\"%u\"", width, height);
	fputs(">\n", out);
	if (alone)
		fprintf(out, "<style>%s svg{background:#fff}@media(prefers-color-scheme:dark){svg{background:#14181e}}</style>\n",
			svg_style);
}

/* ---- the page map ---------------------------------------------------------------------------------------- */

static void owner_text(FILE *out, const struct map_owner *o)
{
	if (o->process) {
		text_put_html(out, o->process->p.command);
		fprintf(out, " (%d%s)", (int)o->process->p.pid, o->process->p.alive ? "" : ", dead");
	} else {
		fprintf(out, "process slot %u", (unsigned)o->slot);
	}
}

static void map_words(FILE *out, const struct map *m, const struct look *l, const char *id)
{
	const struct shv_stat *st = &l->st;

	fprintf(out, "<title id=\"%s-t\">Page map of arena ", id);
	text_put_html(out, st->name);
	fprintf(out, "</title>\n<desc id=\"%s-d\">%llu pages of %u bytes, each square %llu: ", id, (unsigned long long)m->pages,
		(unsigned)st->page_size, (unsigned long long)m->per_cell);
	for (size_t i = 0; i < m->owners_n && i < 20; i++) {
		owner_text(out, &m->owners[i]);
		fprintf(out, " has %llu, ", (unsigned long long)m->owners[i].pages);
	}
	fprintf(out, "orphaned are %llu, directory %llu, system %llu, free %llu. Squares go from left to right, row by row. "
		"Paler squares hold other pages too.</desc>\n",
		(unsigned long long)st->pages_orphaned, (unsigned long long)st->pages_slots,
		(unsigned long long)st->pages_system, (unsigned long long)st->pages_free);
}

static bool same(const struct map_cell *a, const struct map_cell *b)
{
	return a->state == b->state && a->whole == b->whole && (a->state != SHV_PAGE_OWNED || a->owner == b->owner);
}

/* Cells that are alike and stand side by side are one bar. */
static void map_row(FILE *out, const struct map *m, size_t row)
{
	size_t first = row * COLUMNS, end = first + COLUMNS < m->cells_n ? first + COLUMNS : m->cells_n;

	for (size_t i = first, n; i < end; i += n) {
		const struct map_cell *c = &m->cells[i];

		for (n = 1; i + n < end && same(c, c + n); n++)
			;
		fprintf(out, "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%u\" class=\"%s%s\"/>", (i - first) * CELL,
			row * CELL, n * CELL - GAP, CELL - GAP, svg_class(c->state, c->owner), c->whole ? "" : " part");
	}
	fputc('\n', out);
}

static void map_legend(FILE *out, const struct map *m, unsigned top)
{
	static const struct {
		enum shv_page_state state;
		const char *text;
	} others[] = { { SHV_PAGE_ORPHAN, "orphaned" }, { SHV_PAGE_SLOTS, "directory" }, { SHV_PAGE_SYSTEM, "system" },
		       { SHV_PAGE_FREE, "free" } };
	size_t shown = m->owners_n < SVG_COLORS ? m->owners_n : SVG_COLORS;

	for (size_t i = 0; i < shown; i++) {
		unsigned x = (unsigned)(i % 4) * 240, y = top + (unsigned)(i / 4) * 20;

		fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"12\" height=\"12\" class=\"%s\"/><text x=\"%u\" y=\"%u\" "
			"class=\"ink\" font-size=\"13\" font-family=\"sans-serif\">", x, y, svg_class(SHV_PAGE_OWNED, i),
			x + 18, y + 11);
		owner_text(out, &m->owners[i]);
		fputs("</text>\n", out);
	}
	top += (unsigned)(shown + 3) / 4 * 20;
	for (size_t i = 0; i < 4; i++)
		fprintf(out, "<rect x=\"%zu\" y=\"%u\" width=\"12\" height=\"12\" class=\"%s\"/><text x=\"%zu\" y=\"%u\" "
			"class=\"ink\" font-size=\"13\" font-family=\"sans-serif\">%s</text>\n", i * 240, top,
			svg_class(others[i].state, 0), i * 240 + 18, top + 11, others[i].text);
}

void svg_map(FILE *out, const struct map *m, const struct look *l, const char *id, bool alone)
{
	size_t rows = (m->cells_n + COLUMNS - 1) / COLUMNS, shown = m->owners_n < SVG_COLORS ? m->owners_n : SVG_COLORS;
	unsigned top = (unsigned)rows * CELL + 14, height = top + (unsigned)((shown + 3) / 4) * 20 + 22;

	begin(out, id, COLUMNS * CELL, height, alone);
	map_words(out, m, l, id);
	for (size_t i = 0; i < rows; i++)
		map_row(out, m, i);
	map_legend(out, m, top);
	fputs("</svg>\n", out);
}

/* ---- bars ------------------------------------------------------------------------------------------------ */

/* As many characters as have room for it. */
static void short_label(char *to, size_t size, const char *label)
{
	const size_t most = 30;
	char escaped[400];
	const char *s = escaped;
	size_t n = 0;

	text_escape(escaped, sizeof(escaped), label);
	while (*s && n < most) {
		(void)text_next(&s);
		n++;
	}
	snprintf(to, size, "%.*s%s", (int)(s - escaped), escaped, *s ? "..." : "");
}

void svg_bars(FILE *out, const struct svg_bar *bars, size_t n, const char *id, const char *title, const char *desc)
{
	double most = 0;
	char label[420];

	for (size_t i = 0; i < n; i++)
		most = bars[i].value > most ? bars[i].value : most;
	begin(out, id, LABEL_WIDTH + BAR_WIDTH + TEXT_WIDTH, (unsigned)(n ? n : 1) * BAR_STEP, false);
	fprintf(out, "<title id=\"%s-t\">", id);
	text_put_html(out, title);
	fprintf(out, "</title>\n<desc id=\"%s-d\">", id);
	text_put_html(out, desc);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : ": ", out);
		text_put_html(out, bars[i].label);
		fputc(' ', out);
		text_put_html(out, bars[i].text);
	}
	fputs(n ? ".</desc>\n" : ": nothing.</desc>\n", out);
	for (size_t i = 0; i < n; i++) {
		unsigned y = (unsigned)i * BAR_STEP + 4;
		unsigned width = most > 0 ? (unsigned)(bars[i].value * BAR_WIDTH / most) : 0;

		short_label(label, sizeof(label), bars[i].label);
		width = bars[i].value > 0 && width < 2 ? 2 : width;
		fprintf(out, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\" class=\"ink\" font-size=\"13\" "
			"font-family=\"sans-serif\">", LABEL_WIDTH - 10, y + 13);
		text_put_html(out, label);
		fprintf(out, "</text><rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"2\" class=\"%s\"/>"
			"<text x=\"%u\" y=\"%u\" class=\"soft\" font-size=\"13\" font-family=\"sans-serif\">", LABEL_WIDTH, y,
			width, BAR_HEIGHT, bars[i].class, LABEL_WIDTH + width + 8, y + 13);
		text_put_html(out, bars[i].text);
		fputs("</text>\n", out);
	}
	if (!n)
		fputs("<text x=\"10\" y=\"17\" class=\"soft\" font-size=\"13\" font-family=\"sans-serif\">nothing</text>\n", out);
	fputs("</svg>\n", out);
}
