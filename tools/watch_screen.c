/* SPDX-License-Identifier: MIT */
/*
 * The screen of shvdump watch.
 *
 *   totals and a line of how the live bytes went
 *   one of three lists: locks, processes, types
 *   the keys
 *
 * What foreign text it shows went through text_escape(). Rows and cells are those of --once.
 */
#include "config.h"

#include "tools/term.h"
#include "tools/text.h"
#include "tools/watch.h"

#include <stdio.h>

#if SHV_NCURSES

#include <curses.h>
#include <errno.h>
#include <fnmatch.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <unistd.h>

#define HISTORY 200u
#define CELL 300u
#define LIST_AT 6              /* line of the list's headings */

enum { PAIR_GOOD = 1, PAIR_BAD, PAIR_WARN, PAIR_HEAD };

struct screen {
	struct watch *w;
	enum watch_table table;
	int sorted[WATCH_TABLES];
	bool up[WATCH_TABLES];    /* smallest first */
	char filter[64];
	bool typing, help, paused, quit;
	double interval;
	size_t top;               /* first row shown */
	uint64_t history[HISTORY]; /* live bytes */
	size_t history_n;
};

/* ---- pieces ---------------------------------------------------------------------------------------------- */

/* Columns of the screen that text takes. */
static int width_of(const char *s)
{
	wchar_t wide[CELL];
	size_t n = mbstowcs(wide, s, CELL);
	int width = n == (size_t)-1 || n >= CELL ? -1 : wcswidth(wide, n);

	return width >= 0 ? width : (int)strlen(s);
}

static void cell_string(const struct screen *s, cell_of cell, void *ctx, int column, char *buf, size_t size)
{
	struct cell c = { .kind = CELL_NONE };
	char text[CELL];

	cell(ctx, column, &c);
	if (c.kind == CELL_TEXT) {
		text_escape(buf, size, c.text);
		return;
	}
	cell_print(&s->w->run->out, &c, text, sizeof(text));
	snprintf(buf, size, "%s", text);
}

static void total(const struct screen *s, int line, int at, const char *label, int column, const char *unit)
{
	char text[CELL];

	cell_string(s, watch_change_cell, s->w, column, text, sizeof(text));
	mvprintw(line, at, "%s ", label);
	attron(A_BOLD);
	addstr(text);
	attroff(A_BOLD);
	addstr(unit);
}

static void totals(const struct screen *s)
{
	const struct shv_stat *st = &s->w->now.l.st;
	char name[CELL];

	text_escape(name, sizeof(name), st->name);
	attron(A_REVERSE);
	mvhline(0, 0, ' ', COLS);
	mvprintw(0, 1, "shvdump watch  %s  every %.1f s%s", name, s->interval, s->paused ? "  PAUSED" : "");
	attroff(A_REVERSE);
	total(s, 1, 0, "objects", CHG_OBJECTS, "");
	total(s, 1, 22, "live", CHG_LIVE, "");
	total(s, 1, 38, "resident", CHG_RESIDENT, "");
	total(s, 1, 58, "used pages", CHG_PAGES, "");
	total(s, 2, 0, "made", CHG_CREATED, "/s");
	total(s, 2, 22, "freed", CHG_FREED, "/s");
	total(s, 2, 42, "locks taken", CHG_ACQUIRED, "/s");
	total(s, 3, 0, "held", CHG_HELD, "");
	total(s, 3, 22, "waited for", CHG_WAITED, "");
	total(s, 3, 42, "abandoned", CHG_ABANDONED, "");
	total(s, 3, 58, "dead processes", CHG_DEAD, "");
}

/* How the live bytes went, the highest seen at the top. */
static void growth_line(const struct screen *s)
{
	static const char *const bars[] = { "\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588" };
	static const char *const plain[] = { "_", ".", ".", "-", "-", "=", "=", "#" };
	const char *const *steps = MB_CUR_MAX > 1 ? bars : plain;
	size_t room = COLS > 20 ? (size_t)COLS - 14 : 0, n = s->history_n < room ? s->history_n : room;
	const uint64_t *from = s->history + s->history_n - n;
	uint64_t low = UINT64_MAX, high = 0;

	for (size_t i = 0; i < n; i++) {
		low = from[i] < low ? from[i] : low;
		high = from[i] > high ? from[i] : high;
	}
	mvaddstr(4, 0, "live bytes ");
	for (size_t i = 0; i < n; i++)
		addstr(steps[high > low ? (from[i] - low) * 7 / (high - low) : 3]);
}

/* ---- the list -------------------------------------------------------------------------------------------- */

/* Does any cell of the row match the filter? */
static bool passes(const struct screen *s, const struct watch_list *list, struct watch_row *row)
{
	char pattern[80], text[CELL];

	if (!s->filter[0])
		return true;
	snprintf(pattern, sizeof(pattern), "*%s*", s->filter);
	for (size_t i = 0; i < list->columns->n; i++) {
		cell_string(s, list->cell, row, (int)i, text, sizeof(text));
		if (!fnmatch(pattern, text, 0))
			return true;
	}
	return false;
}

static void *row_of(void *ctx, size_t i)
{
	struct watch_row *row = ctx;

	row->i = i;
	return row;
}

static bool right_aligned(const struct column *c)
{
	return c->flags != 0 && strcmp(c->name, "TYPE") != 0;
}

static void put_cell(int line, int at, int width, const char *text, bool right)
{
	int pad = width - width_of(text);

	if (at >= COLS)
		return;
	move(line, at + (right && pad > 0 ? pad : 0));
	addnstr(text, (int)strlen(text));
}

static void color_row(const struct screen *s, size_t i, bool on)
{
	int attr = 0;

	if (s->table == WATCH_LOCKS) {
		const struct shv_lock_info *k = &s->w->now.hot[i].k;
		attr = k->abandoned ? COLOR_PAIR(PAIR_BAD) : k->waiters ? COLOR_PAIR(PAIR_WARN) : 0;
	} else if (s->table == WATCH_PROCESSES && !s->w->now.l.processes[i].p.alive) {
		attr = COLOR_PAIR(PAIR_BAD);
	}
	if (on)
		attron(attr);
	else
		attroff(attr);
}

static void list_lines(struct screen *s, const struct watch_list *list, const size_t *order, size_t n)
{
	struct watch_row row = { .w = s->w };
	int width[COLUMNS_MAX] = { 0 }, at = 0, room = LINES - LIST_AT - 2;
	char text[CELL];

	for (size_t k = 0; k < list->columns->n; k++) {
		width[k] = width_of(list->columns->v[k].name) + 1;
		for (size_t i = s->top; i < n && i < s->top + (size_t)(room > 0 ? room : 0); i++) {
			cell_string(s, list->cell, row_of(&row, order[i]), (int)k, text, sizeof(text));
			width[k] = width_of(text) > width[k] ? width_of(text) : width[k];
		}
		width[k] = width[k] > 40 ? 40 : width[k];
		attron(COLOR_PAIR(PAIR_HEAD) | ((int)k == s->sorted[s->table] ? A_REVERSE : A_BOLD));
		put_cell(LIST_AT, at, width[k], list->columns->v[k].name, right_aligned(&list->columns->v[k]));
		attroff(COLOR_PAIR(PAIR_HEAD) | A_REVERSE | A_BOLD);
		at += width[k] + 1;
	}
	for (size_t i = s->top; i < n && (int)(i - s->top) < room; i++) {
		color_row(s, order[i], true);
		at = 0;
		for (size_t k = 0; k < list->columns->n; k++) {
			cell_string(s, list->cell, row_of(&row, order[i]), (int)k, text, sizeof(text));
			move(LIST_AT + 1 + (int)(i - s->top), at);
			clrtoeol();
			put_cell(LIST_AT + 1 + (int)(i - s->top), at, width[k], text, right_aligned(&list->columns->v[k]));
			at += width[k] + 1;
		}
		color_row(s, order[i], false);
	}
}

static void show_list(struct screen *s)
{
	const struct watch_list *list = &watch_lists[s->table];
	size_t all = list->rows(s->w), n = 0, *order = calloc(all ? all : 1, sizeof(*order));
	struct watch_row row = { .w = s->w };

	if (!order || sort_order(list->cell, row_of, &row, all, s->sorted[s->table], !s->up[s->table], order)) {
		free(order);
		return;
	}
	for (size_t i = 0; i < all; i++)
		if (passes(s, list, row_of(&row, order[i])))
			order[n++] = order[i];
	if (s->top >= n)
		s->top = n ? n - 1 : 0;
	list_lines(s, list, order, n);
	if (!n)
		mvaddstr(LIST_AT + 1, 0, s->filter[0] ? "nothing matches the filter" :
				 s->table == WATCH_LOCKS ? "no lock was taken, none is held" : "nothing");
	free(order);
}

/* ---- keys ------------------------------------------------------------------------------------------------ */

static const char *const help_lines[] = {
	"1 l   locks: taken since the last sample, held, waited for, abandoned",
	"2 p   processes",
	"3 t   types, and how they grow",
	"Tab   the next of these",
	"< >   sort by the column to the left, to the right",
	"r     the other way round",
	"/     show only rows that contain a text (* matches anything); Enter ends it",
	"Esc   no filter",
	"+ -   less often, more often",
	"Space pause, and go on",
	"arrows, PgUp, PgDn, Home   move in the list",
	"h ?   this",
	"q     quit",
	"",
	"RATE is the difference of a lock's count between two samples. HELDFOR: it was",
	"held with the same count in all samples since, so for that long at the least.",
	"Figures of a busy arena are not of one moment.",
};

static void show_help(void)
{
	for (size_t i = 0; i < sizeof(help_lines) / sizeof(help_lines[0]) && (int)i + LIST_AT < LINES - 1; i++)
		mvaddstr(LIST_AT + (int)i, 2, help_lines[i]);
}

static void bottom(const struct screen *s)
{
	attron(A_REVERSE);
	mvhline(LINES - 1, 0, ' ', COLS);
	if (s->typing)
		mvprintw(LINES - 1, 1, "filter: %s_", s->filter);
	else
		mvprintw(LINES - 1, 1, "%s1 locks  2 processes  3 types  < > sort  r reverse  / filter  h help  q quit%s%s",
			 s->help ? "HELP  " : "", s->filter[0] ? "  filter: " : "", s->filter);
	attroff(A_REVERSE);
}

static void draw(struct screen *s)
{
	erase();
	totals(s);
	growth_line(s);
	if (s->help)
		show_help();
	else
		show_list(s);
	bottom(s);
	refresh();
}

static void typed(struct screen *s, int key)
{
	size_t n = strlen(s->filter);

	if (key == '\n' || key == KEY_ENTER) {
		s->typing = false;
	} else if (key == 27) {
		s->typing = false;
		s->filter[0] = 0;
	} else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && n) {
		s->filter[n - 1] = 0;
	} else if (key >= ' ' && key < 127 && n + 1 < sizeof(s->filter)) {
		s->filter[n] = (char)key;
		s->filter[n + 1] = 0;
	}
}

static void choose_table(struct screen *s, enum watch_table table)
{
	s->table = table;
	s->top = 0;
	s->help = false;
}

static void move_list(struct screen *s, int key)
{
	size_t page = LINES > LIST_AT + 3 ? (size_t)(LINES - LIST_AT - 2) : 1;

	if (key == KEY_DOWN)
		s->top++;
	else if (key == KEY_UP)
		s->top -= s->top > 0;
	else if (key == KEY_NPAGE)
		s->top += page;
	else if (key == KEY_PPAGE)
		s->top -= s->top < page ? s->top : page;
	else
		s->top = 0;
}

static void sort_by(struct screen *s, int step)
{
	int n = (int)watch_lists[s->table].columns->n;

	s->sorted[s->table] = (s->sorted[s->table] + step + n) % n;
}

static void pressed(struct screen *s, int key)
{
	if (s->typing) {
		typed(s, key);
		return;
	}
	switch (key) {
	case 'q':
	case 'Q':
	case 3:
		s->quit = true;
		break;
	case '1':
	case 'l':
		choose_table(s, WATCH_LOCKS);
		break;
	case '2':
	case 'p':
		choose_table(s, WATCH_PROCESSES);
		break;
	case '3':
	case 't':
		choose_table(s, WATCH_TYPES);
		break;
	case '\t':
		choose_table(s, (enum watch_table)((s->table + 1) % WATCH_TABLES));
		break;
	case '<':
	case KEY_LEFT:
		sort_by(s, -1);
		break;
	case '>':
	case KEY_RIGHT:
		sort_by(s, 1);
		break;
	case 'r':
		s->up[s->table] = !s->up[s->table];
		break;
	case '/':
		s->typing = true;
		break;
	case 27:
		s->filter[0] = 0;
		s->help = false;
		break;
	case '+':
		s->interval = s->interval < 30 ? s->interval * 2 : 60;
		break;
	case '-':
		s->interval = s->interval > 0.2 ? s->interval / 2 : 0.1;
		break;
	case ' ':
		s->paused = !s->paused;
		break;
	case 'h':
	case '?':
		s->help = !s->help;
		break;
	default:
		move_list(s, key);
		break;
	}
}

/* ---- the loop -------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t told_to_end;

static void end_now(int sig)
{
	told_to_end = sig;
}

static void remember(struct screen *s)
{
	if (s->history_n == HISTORY)
		memmove(s->history, s->history + 1, (--s->history_n) * sizeof(s->history[0]));
	s->history[s->history_n++] = s->w->now.l.st.bytes_live;
}

/* Keys until the next sample is due. */
static void wait_for_keys(struct screen *s)
{
	uint64_t end = clock_now() + (uint64_t)(s->interval * 1e9);
	int key;

	while (!s->quit && !told_to_end) {
		uint64_t now = clock_now();

		if (!s->paused && now >= end)
			return;
		timeout(s->paused ? 500 : (int)((end - now) / 1000000) + 1);
		key = getch();
		if (key == ERR)
			continue;
		pressed(s, key);
		draw(s);
	}
}

static void colors(void)
{
	if (!term_color(NULL) || !has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(PAIR_GOOD, COLOR_GREEN, -1);
	init_pair(PAIR_BAD, COLOR_RED, -1);
	init_pair(PAIR_WARN, COLOR_YELLOW, -1);
	init_pair(PAIR_HEAD, COLOR_CYAN, -1);
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = end_now };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

int watch_screen(struct watch *w)
{
	struct screen s = { .w = w, .interval = w->run->opt.interval };
	SCREEN *terminal;
	int code = watch_step(w); /* two at once: so that there is something to see */

	if (!code)
		code = watch_step(w);
	if (code)
		return complain(NULL, code);
	for (int i = 0; i < WATCH_TABLES; i++)
		s.sorted[i] = watch_lists[i].sorted;
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		fputs("shvdump: watch: this terminal is not known (TERM): use --once\n", stderr);
		return STATUS_FAILED;
	}
	catch_signals();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(50);
	(void)curs_set(0);
	colors();
	while (!code && !s.quit && !told_to_end) {
		remember(&s);
		draw(&s);
		wait_for_keys(&s);
		if (!s.quit && !told_to_end)
			code = watch_step(w);
	}
	endwin();
	delscreen(terminal);
	return code ? complain(NULL, code) : STATUS_FINE;
}

#else

int watch_screen(struct watch *w)
{
	(void)w;
	fputs("shvdump: watch: built without ncurses (Debian: libncurses-dev), so there is no screen: use --once\n", stderr);
	return STATUS_FAILED;
}

#endif
