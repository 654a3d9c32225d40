/* SPDX-License-Identifier: MIT */
/* shvdump map: whose the pages are, as a picture of characters, as SVG, or as a table; and how fragmented all is. */
#include "config.h"

#include "tools/map.h"
#include "tools/shvdump.h"
#include "tools/svg.h"
#include "tools/term.h"
#include "tools/text.h"
#include "tools/write.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROWS 24u              /* of the picture, at the most */
#define SVG_CELLS ((size_t)96 * 64)
#define MARKS 26u

/* ---- figures --------------------------------------------------------------------------------------------- */

static void fragment_cell(void *ctx, int column, struct cell *c)
{
	const struct look *l = ctx;
	const struct shv_stat *st = &l->st;
	uint64_t heap = (st->pages_owned + st->pages_orphaned) * st->page_size;

	switch (column) {
	case FRG_PAGES:
		cell_number(c, st->pages);
		break;
	case FRG_USED:
		cell_number(c, st->pages - st->pages_free);
		break;
	case FRG_FREE:
		cell_number(c, st->pages_free);
		break;
	case FRG_FREERUNS:
		cell_number(c, l->free_runs);
		break;
	case FRG_LARGEST:
		cell_number(c, l->longest_free);
		break;
	case FRG_SCATTER:
		if (st->pages_free && st->pages_free >= l->longest_free)
			cell_real(c, look_percent(st->pages_free - l->longest_free, st->pages_free));
		break;
	case FRG_ORPHANED:
		cell_number(c, st->pages_orphaned);
		break;
	case FRG_ORPHANBLOCKS:
		cell_number(c, l->orphan_blocks);
		break;
	case FRG_LIVE:
		cell_size(c, st->bytes_live);
		break;
	case FRG_PAYLOAD:
		cell_size(c, st->bytes_payload);
		break;
	case FRG_FILLED:
		if (heap)
			cell_real(c, look_percent(st->bytes_live, heap));
		break;
	case FRG_OVERHEAD:
		if (st->bytes_live >= st->bytes_payload && st->bytes_live)
			cell_real(c, look_percent(st->bytes_live - st->bytes_payload, st->bytes_live));
		break;
	default:
		break;
	}
}

struct run_row {
	const struct look *l;
	const struct shv_run_info *run;
};

static void run_cell(void *ctx, int column, struct cell *c)
{
	const struct run_row *row = ctx;
	const struct shv_run_info *run = row->run;
	bool owned = run->state == SHV_PAGE_OWNED || run->state == SHV_PAGE_SLOTS;
	const struct look_process *p = owned ? look_process(row->l, run->owner) : NULL;

	switch (column) {
	case RUN_PAGE:
		cell_number(c, run->page);
		break;
	case RUN_PAGES:
		cell_number(c, run->pages);
		break;
	case RUN_BYTES:
		cell_size(c, run->pages * row->l->st.page_size);
		break;
	case RUN_OFFSET:
		cell_number(c, run->page * row->l->st.page_size);
		break;
	case RUN_STATE:
		cell_text(c, look_state_name(run->state));
		break;
	case RUN_SLOT:
		if (owned && p)
			cell_number(c, run->owner);
		break;
	case RUN_PID:
		if (p)
			cell_number(c, (uint64_t)p->p.pid);
		break;
	case RUN_COMMAND:
		cell_text(c, p ? p->p.command : NULL);
		break;
	case RUN_BLOCKS:
		if (run->state == SHV_PAGE_ORPHAN)
			cell_number(c, run->live);
		break;
	default:
		break;
	}
}

struct owner_row {
	const struct look *l;
	const struct map *m;
	size_t i;                 /* owners, then the states that are none */
};

static const struct {
	enum shv_page_state state;
	char mark;
	const char *color;        /* SGR */
} others[] = {
	{ SHV_PAGE_ORPHAN, '!', "97;41" },
	{ SHV_PAGE_SLOTS, '#', "34" },
	{ SHV_PAGE_SYSTEM, '%', "35" },
	{ SHV_PAGE_FREE, '.', "2" },
};
#define OTHERS (sizeof(others) / sizeof(others[0]))

static char mark_of(size_t owner)
{
	return (char)(owner < MARKS ? 'A' + (int)owner : '+');
}

static uint64_t pages_of(const struct owner_row *row)
{
	const struct shv_stat *st = &row->l->st;

	if (row->i < row->m->owners_n)
		return row->m->owners[row->i].pages;
	switch (others[row->i - row->m->owners_n].state) {
	case SHV_PAGE_ORPHAN:
		return st->pages_orphaned;
	case SHV_PAGE_SLOTS:
		return st->pages_slots;
	case SHV_PAGE_SYSTEM:
		return st->pages_system;
	default:
		return st->pages_free;
	}
}

static void owner_cell(void *ctx, int column, struct cell *c)
{
	const struct owner_row *row = ctx;
	bool process = row->i < row->m->owners_n;
	const struct look_process *p = process ? row->m->owners[row->i].process : NULL;

	switch (column) {
	case OWN_MARK:
		cell_format(c, "%c", process ? mark_of(row->i) : others[row->i - row->m->owners_n].mark);
		break;
	case OWN_OWNER:
		if (p)
			cell_text(c, p->p.command);
		else if (process)
			cell_text(c, "?");
		else
			cell_text(c, look_state_name(others[row->i - row->m->owners_n].state));
		break;
	case OWN_PID:
		if (p)
			cell_number(c, (uint64_t)p->p.pid);
		break;
	case OWN_ALIVE:
		if (p)
			cell_bool(c, p->p.alive);
		break;
	case OWN_PAGES:
		cell_number(c, pages_of(row));
		break;
	case OWN_MEM:
		cell_size(c, pages_of(row) * row->l->st.page_size);
		break;
	case OWN_SHARE:
		cell_real(c, look_percent(pages_of(row), row->l->st.pages));
		break;
	default:
		break;
	}
}

/* ---- the picture ----------------------------------------------------------------------------------------- */

static const char *color_of(const struct map_cell *cell)
{
	static const char *const owners[] = { "32", "36", "33", "94", "95", "92", "96", "93" };

	if (cell->state == SHV_PAGE_OWNED)
		return owners[cell->owner % (sizeof(owners) / sizeof(owners[0]))];
	for (size_t i = 0; i < OTHERS; i++)
		if (others[i].state == cell->state)
			return others[i].color;
	return "0";
}

static char character_of(const struct map_cell *cell)
{
	char mark;

	if (cell->state != SHV_PAGE_OWNED) {
		for (size_t i = 0; i < OTHERS; i++)
			if (others[i].state == cell->state)
				return others[i].mark;
		return '?';
	}
	mark = mark_of(cell->owner);
	return cell->whole || mark == '+' ? mark : (char)(mark - 'A' + 'a');
}

static void picture(const struct map *m, unsigned width, bool color)
{
	for (size_t i = 0; i < m->cells_n; i += width) {
		const char *last = "";

		printf("%8llu ", (unsigned long long)m->per_cell * i);
		for (size_t k = i; k < i + width && k < m->cells_n; k++) {
			const char *now = color_of(&m->cells[k]);

			if (color && now != last)
				printf("\033[0;%sm", now);
			last = now;
			putchar(character_of(&m->cells[k]));
		}
		if (color)
			fputs("\033[0m", stdout);
		putchar('\n');
	}
	printf("\nEach character: %llu page%s. Small letters: others' or free pages too.\n", (unsigned long long)m->per_cell,
	       m->per_cell == 1 ? "" : "s");
}

static int put_svg(FILE *out, void *ctx)
{
	const struct owner_row *row = ctx;

	svg_map(out, row->m, row->l, "map", true);
	return 0;
}

static int write_svg(struct run *r, const struct look *l)
{
	struct owner_row row = { .l = l };
	struct map m;
	int code = map_make(&m, l, SVG_CELLS);

	if (code)
		return complain(NULL, code);
	row.m = &m;
	code = write_file(r->opt.svg, put_svg, &row);
	map_free(&m);
	return code;
}

/* ---- the command ----------------------------------------------------------------------------------------- */

static int tables(struct run *r, const struct look *l, const struct map *m, const struct selection *runs, bool with_runs)
{
	struct owner_row owner = { .l = l, .m = m };
	struct run_row row = { .l = l };
	struct selection owners, figures;

	if (columns_select(&owners, &holders_columns, NULL, false) || columns_select(&figures, &fragments_columns, NULL, true))
		return STATUS_FAILED;
	if (!with_runs || r->out.mode == EMIT_JSON) {
		emit_table(&r->out, "owners", &owners, EMIT_ROWS);
		for (owner.i = 0; owner.i < m->owners_n + OTHERS; owner.i++)
			emit_row(&r->out, owner_cell, &owner);
		emit_table_end(&r->out);
		emit_table(&r->out, "fragmentation", &figures, EMIT_FACTS);
		emit_row(&r->out, fragment_cell, (void *)l);
		emit_table_end(&r->out);
	}
	if (with_runs) {
		emit_table(&r->out, "runs", runs, EMIT_ROWS);
		for (size_t i = 0; i < l->runs_n; i++) {
			row.run = &l->runs[i];
			emit_row(&r->out, run_cell, &row);
		}
		emit_table_end(&r->out);
	}
	return STATUS_FINE;
}

int cmd_map(struct run *r)
{
	bool with_runs = r->out.mode != EMIT_TABLE || r->opt.columns || r->opt.all_columns;
	unsigned width = r->opt.width ? r->opt.width : term_width();
	struct selection runs;
	struct look l;
	struct map m;
	int code;

	width = width > 29 ? width - 9 : 20; /* the page number stands in front */
	width -= width > 32 ? width % 16 : 0;
	if (columns_select(&runs, &runs_columns, r->opt.columns, r->opt.all_columns))
		return STATUS_FAILED;
	code = look(&l, r->a, LOOK_RUNS);
	if (!code)
		code = map_make(&m, &l, (size_t)width * ROWS);
	if (code < 0)
		return complain(NULL, code);
	emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
	if (!with_runs)
		picture(&m, width, term_color(r->opt.color));
	r->out.first_table = with_runs;
	code = tables(r, &l, &m, &runs, with_runs);
	tell_approximate(r, l.approximate);
	emit_end(&r->out);
	if (!code && r->opt.svg)
		code = write_svg(r, &l);
	map_free(&m);
	look_free(&l);
	return code;
}
