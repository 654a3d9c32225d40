/* SPDX-License-Identifier: MIT */
/*
 * shvdump: what is in shared memory, read from outside. This file is its command line; see shvdump.h for the others.
 *
 * Words that are no options: a command, a target, and for `show` an object. The word that names a command is
 * the command, wherever it stands; what is in front of it is the target; what comes behind is its object, if it
 * takes one, then the target.
 */
#include "config.h"

#include "tools/shvdump.h"

#include "tools/target.h"
#include "tools/text.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
	{ .name = "overview",
	  .operands = "[TARGET]",
	  .summary = "totals, lock policies, pages and processes (what you get without a command)",
	  .one_arena = true,
	  .run = cmd_overview },
	{ .name = "list",
	  .operands = "",
	  .summary = "every arena on this machine that you may see",
	  .columns = &list_columns,
	  .options = OPT_COLUMNS,
	  .run = cmd_list },
	{ .name = "values",
	  .operands = "[TARGET]",
	  .summary = "live objects, one a line",
	  .more = "Filters are combined by 'and'. Lock objects are listed too; names and other parts of objects are not.",
	  .columns = &values_columns,
	  .options = OPT_COLUMNS | OPT_HELD | OPT_DEAD | OPT_FILTER | OPT_SORT | OPT_LIMIT,
	  .one_arena = true,
	  .run = cmd_values },
	{ .name = "show",
	  .operands = "OBJECT [TARGET]",
	  .summary = "one object whole",
	  .more = "OBJECT is a reference as the column REF shows it, or a name (name:7 for the name '7').",
	  .columns = &values_columns,
	  .options = OPT_COLUMNS,
	  .one_arena = true,
	  .object = true,
	  .run = cmd_show },
	{ .name = "locks",
	  .operands = "[TARGET]",
	  .summary = "lock objects, and the locks that values have for themselves",
	  .more = "With --interval it looks twice, and knows rates (RATE) and for how long at the least a lock has been\n"
		  "held (HELDFOR): the arena itself keeps no times. SINCE is when the holder's process attached.",
	  .columns = &locks_columns,
	  .options = OPT_COLUMNS | OPT_HELD | OPT_DEAD | OPT_WAITERS | OPT_INTERVAL | OPT_SORT | OPT_LIMIT,
	  .one_arena = true,
	  .run = cmd_locks },
	{ .name = "procs",
	  .operands = "[TARGET]",
	  .summary = "processes that are attached, or died attached",
	  .columns = &procs_columns,
	  .options = OPT_COLUMNS | OPT_DEAD | OPT_SORT | OPT_LIMIT,
	  .one_arena = true,
	  .run = cmd_procs },
	{ .name = "types",
	  .operands = "[TARGET]",
	  .summary = "types that objects have or had, and how much there is of each",
	  .columns = &types_columns,
	  .options = OPT_COLUMNS | OPT_SORT | OPT_LIMIT,
	  .one_arena = true,
	  .run = cmd_types },
	{ .name = "check",
	  .operands = "[TARGET]",
	  .summary = "consistency: prints what is wrong; exit status 2 if anything is",
	  .more = "With --repair, what dead processes left in a live arena is put in order, as every process does that attaches to\n"
		  "it; data is never invented, and an arena in which something is wrong is left alone.",
	  .options = OPT_REPAIR,
	  .one_arena = true,
	  .run = cmd_check },
	{ .name = "map",
	  .operands = "[TARGET]",
	  .summary = "whose the pages are, as a picture, and how fragmented the memory is",
	  .more = "With --raw or -o: the runs of equal pages as a table, no picture.",
	  .columns = &runs_columns,
	  .options = OPT_COLUMNS | OPT_PICTURE,
	  .one_arena = true,
	  .run = cmd_map },
	{ .name = "leaks",
	  .operands = "[TARGET]",
	  .summary = "live objects whose creator is gone, by type and size",
	  .more = "That is not wrong by itself: objects may outlive those that made them. 'values --creator dead' lists them.",
	  .columns = &leaks_columns,
	  .options = OPT_COLUMNS | OPT_SORT | OPT_LIMIT,
	  .one_arena = true,
	  .run = cmd_leaks },
	{ .name = "watch",
	  .operands = "[TARGET]",
	  .summary = "what changes, live: rates, hottest locks, growth, processes; press h for help",
	  .more = "--once takes two samples and prints the difference: for scripts, with --json or --raw too.",
	  .options = OPT_ONCE | OPT_INTERVAL | OPT_LIMIT,
	  .one_arena = true,
	  .run = cmd_watch },
	{ .name = "report",
	  .operands = "FILE.html [TARGET]",
	  .summary = "one page for the browser, with pictures and tables; - is standard output",
	  .one_arena = true,
	  .object = true,
	  .run = cmd_report },
	{ .name = "metrics",
	  .operands = "[TARGET]",
	  .summary = "figures in OpenMetrics text, for Prometheus",
	  .options = OPT_FILE,
	  .one_arena = true,
	  .run = cmd_metrics },
	{ .name = "save",
	  .operands = "FILE [TARGET]",
	  .summary = "a snapshot in a file, which all commands take as TARGET",
	  .more = "The arena may be in use. The file appears when it is whole, and replaces one of that name.",
	  .options = OPT_LOCKED,
	  .one_arena = true,
	  .object = true,
	  .run = cmd_save },
	{ .name = "restore",
	  .operands = "FILE [-- PROGRAM [ARGUMENT...]]",
	  .summary = "a new live arena made of a snapshot",
	  .more = "It stays until shvdump is interrupted (SIGINT, SIGTERM, SIGHUP) and nobody else has it any more. With PROGRAM,\n"
		  "shvdump becomes that program, which has the arena open as the descriptor whose number is in SHV_ARENA_FD.",
	  .object = true,
	  .program = true,
	  .run = cmd_restore },
	{ .name = "diff",
	  .operands = "OLD [NEW]",
	  .summary = "what was created, freed and changed between two targets",
	  .more = "OLD and NEW are targets: snapshots, or the live arena. Objects are the same if slot and generation are.\n"
		  "Exit status 0: no difference; 3: there are some.",
	  .columns = &diff_columns,
	  .options = OPT_COLUMNS,
	  .one_arena = true,
	  .object = true,
	  .run = cmd_diff },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* ---- help ------------------------------------------------------------------------------------------------ */

static const struct {
	const char *text;
	unsigned only;            /* commands that have one of these; 0 = all */
} help_options[] = {
	{ " -J, --json           JSON; the man page describes it\n"
	  " -r, --raw            one line a row, not aligned, blanks within cells written \\x20\n"
	  " -n, --noheadings     no line of headings\n"
	  " -b, --bytes          sizes in bytes, not 1.5K\n", 0 },
	{ " -o, --output LIST    these columns; +LIST adds to the usual ones\n"
	  " -O, --output-all     all columns\n", OPT_COLUMNS },
	{ "     --held           only what somebody holds the lock of\n", OPT_HELD },
	{ "     --dead           only what a dead process or thread left\n", OPT_DEAD },
	{ " -t, --type TYPE      only objects of that type: name or format; * matches anything\n"
	  " -p, --policy POLICY  only objects with that lock policy\n"
	  " -k, --kind KIND      only value, raw, array, raw-array, string or lock\n"
	  " -N, --name PATTERN   only named objects whose name matches, as file names do in the shell\n"
	  "     --size [+|-]SIZE only payloads of that size (4K: times 1,024); +: or more, -: or less\n"
	  "     --creator WHO    only what was made by a process that is alive, or dead, or has that PID\n", OPT_FILTER },
	{ "     --waiters        only locks that somebody may be waiting for\n", OPT_WAITERS },
	{ "     --locked         copy each value under its lock; one that is not to be had within a second ends it\n", OPT_LOCKED },
	{ "     --repair         first put in order what dead processes left\n", OPT_REPAIR },
	{ " -s, --sort COLUMN    sorted by that column; -COLUMN: largest first\n", OPT_SORT },
	{ " -l, --limit N        at most N rows\n", OPT_LIMIT },
	{ " -i, --interval SEC   look twice, so many seconds apart (0.01 to 3600)\n", OPT_INTERVAL },
	{ "     --once           two samples, then print and end\n", OPT_ONCE },
	{ "     --color[=WHEN]   colours: auto (on a terminal, and NO_COLOR is not set), always, never\n"
	  "     --width N        characters in a row of the picture (20 to 1000)\n"
	  "     --svg FILE       write the picture there\n", OPT_PICTURE },
	{ "     --file FILE      write there: into a new file, then renamed, so that no reader sees half of it\n", OPT_FILE },
	{ " -h, --help           this, or of the command\n"
	  " -V, --version        version\n", 0 },
};

static void help_command_options(unsigned options)
{
	printf("\nOptions:\n");
	for (size_t i = 0; i < sizeof(help_options) / sizeof(help_options[0]); i++)
		if (!help_options[i].only || (help_options[i].only & options))
			fputs(help_options[i].text, stdout);
}

static void help_target(void)
{
	fputs("\nTARGET:\n"
	      "  PID           the only arena of that process\n"
	      "  PID:NAME      its arena of that name\n"
	      "  NAME          the only arena of that name\n"
	      "  path:FILE     a snapshot, a core file, or /proc/PID/fd/N (path: may be left out if there is a slash)\n"
	      "  FILE:NAME     the arena of that name in a core file with several\n"
	      "  fd:N          an inherited descriptor\n"
	      "  unix:PATH     what a process serves at that socket (shv_arena_serve), or at an abstract name, unix:@NAME\n"
	      "  (nothing)     the only arena on this machine\n", stdout);
}

static void help(const struct command *c)
{
	if (c) {
		printf("Usage: shvdump %s [OPTION...]%s%s\n\n", c->name, *c->operands ? " " : "", c->operands);
		printf("%c%s.\n", toupper((unsigned char)*c->summary), c->summary + 1);
		if (c->more)
			printf("%s\n", c->more);
		help_command_options(c->options);
		if (c->columns)
			columns_help(c->columns);
	} else {
		puts("Usage: shvdump [COMMAND] [OPTION...] [TARGET]\n\n"
		     "Looks into the shared memory of programs that use libshv.\n\nCommands:");
		for (size_t i = 0; i < COMMANDS; i++)
			printf("  %-9s %s\n", commands[i].name, commands[i].summary);
		help_command_options(0);
	}
	if (!c || c->one_arena)
		help_target();
	if (!c)
		puts("\n'shvdump COMMAND --help' tells of a command's options and columns.\n"
		     "Exit status: 0 fine, 1 usage or input/output, 2 damage found, 3 'diff' found differences.");
}

/* ---- command line ---------------------------------------------------------------------------------------- */

static int usage(const char *fmt, const char *what)
{
	fputs("shvdump: ", stderr);
	text_put(stderr, fmt);
	if (what) {
		fputs(": ", stderr);
		text_put(stderr, what);
	}
	fputs(" (shvdump --help)\n", stderr);
	return -1;
}

enum { KEY_HELD = 256, KEY_DEAD, KEY_SIZE, KEY_CREATOR, KEY_WAITERS, KEY_ONCE, KEY_COLOR, KEY_WIDTH, KEY_SVG, KEY_FILE, KEY_LOCKED, KEY_REPAIR };

static const struct option long_options[] = {
	{ "json", no_argument, NULL, 'J' },
	{ "raw", no_argument, NULL, 'r' },
	{ "noheadings", no_argument, NULL, 'n' },
	{ "bytes", no_argument, NULL, 'b' },
	{ "output", required_argument, NULL, 'o' },
	{ "output-all", no_argument, NULL, 'O' },
	{ "held", no_argument, NULL, KEY_HELD },
	{ "dead", no_argument, NULL, KEY_DEAD },
	{ "locked", no_argument, NULL, KEY_LOCKED },
	{ "repair", no_argument, NULL, KEY_REPAIR },
	{ "type", required_argument, NULL, 't' },
	{ "policy", required_argument, NULL, 'p' },
	{ "kind", required_argument, NULL, 'k' },
	{ "name", required_argument, NULL, 'N' },
	{ "sort", required_argument, NULL, 's' },
	{ "size", required_argument, NULL, KEY_SIZE },
	{ "creator", required_argument, NULL, KEY_CREATOR },
	{ "waiters", no_argument, NULL, KEY_WAITERS },
	{ "limit", required_argument, NULL, 'l' },
	{ "interval", required_argument, NULL, 'i' },
	{ "once", no_argument, NULL, KEY_ONCE },
	{ "color", optional_argument, NULL, KEY_COLOR },
	{ "width", required_argument, NULL, KEY_WIDTH },
	{ "svg", required_argument, NULL, KEY_SVG },
	{ "file", required_argument, NULL, KEY_FILE },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

struct request {
	unsigned used;            /* options that only some commands have */
	bool help, version, json, raw;
};

/* A whole number from `least` to `most`, all of the word. */
static int number_option(const char *what, unsigned long long least, unsigned long long most, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(optarg, &end, 10);
	if (!isdigit((unsigned char)*optarg) || *end || errno || *n < least || *n > most)
		return usage(what, optarg);
	return 0;
}

static int interval_option(struct run *r)
{
	char *end;

	r->opt.interval = strtod(optarg, &end);
	if (end == optarg || *end || !(r->opt.interval >= 0.01 && r->opt.interval <= 3600))
		return usage("--interval wants seconds, from 0.01 to 3600", optarg);
	return 0;
}

static int color_option(struct run *r)
{
	r->opt.color = optarg ? optarg : "always";
	if (strcmp(r->opt.color, "auto") != 0 && strcmp(r->opt.color, "always") != 0 && strcmp(r->opt.color, "never") != 0)
		return usage("--color wants auto, always or never", optarg);
	return 0;
}

/* Options that look at their argument. 1: it is none of these. */
static int option_with_check(struct run *r, struct request *q, int key)
{
	uint64_t n;
	int code;

	switch (key) {
	case 'l':
		q->used |= OPT_LIMIT;
		return number_option("--limit wants a number, 1 or more", 1, UINT64_MAX, &r->opt.limit);
	case 'i':
		q->used |= OPT_INTERVAL;
		return interval_option(r);
	case KEY_COLOR:
		q->used |= OPT_PICTURE;
		return color_option(r);
	case KEY_WIDTH:
		q->used |= OPT_PICTURE;
		code = number_option("--width wants a number from 20 to 1000", 20, 1000, &n);
		r->opt.width = (unsigned)n;
		return code;
	default:
		return 1;
	}
}

static int one_option(struct run *r, struct request *q, int key)
{
	int code = option_with_check(r, q, key);

	if (code <= 0)
		return code;
	switch (key) {
	case KEY_SIZE:
		r->opt.size = optarg;
		q->used |= OPT_FILTER;
		break;
	case KEY_CREATOR:
		r->opt.creator = optarg;
		q->used |= OPT_FILTER;
		break;
	case KEY_WAITERS:
		r->opt.waiters = true;
		q->used |= OPT_WAITERS;
		break;
	case KEY_ONCE:
		r->opt.once = true;
		q->used |= OPT_ONCE;
		break;
	case KEY_SVG:
		r->opt.svg = optarg;
		q->used |= OPT_PICTURE;
		break;
	case KEY_FILE:
		r->opt.file = optarg;
		q->used |= OPT_FILE;
		break;
	case 'J':
		q->json = true;
		break;
	case 'r':
		q->raw = true;
		break;
	case 'n':
		r->out.headings = false;
		break;
	case 'b':
		r->out.exact = true;
		break;
	case 'o':
		r->opt.columns = optarg;
		q->used |= OPT_COLUMNS;
		break;
	case 'O':
		r->opt.all_columns = true;
		q->used |= OPT_COLUMNS;
		break;
	case KEY_HELD:
		r->opt.held = true;
		q->used |= OPT_HELD;
		break;
	case KEY_DEAD:
		r->opt.dead = true;
		q->used |= OPT_DEAD;
		break;
	case KEY_LOCKED:
		r->opt.locked = true;
		q->used |= OPT_LOCKED;
		break;
	case KEY_REPAIR:
		r->opt.repair = true;
		q->used |= OPT_REPAIR;
		break;
	case 't':
		r->opt.type = optarg;
		q->used |= OPT_FILTER;
		break;
	case 'p':
		r->opt.policy = optarg;
		q->used |= OPT_FILTER;
		break;
	case 'k':
		r->opt.kind = optarg;
		q->used |= OPT_FILTER;
		break;
	case 'N':
		r->opt.name = optarg;
		q->used |= OPT_FILTER;
		break;
	case 's':
		r->opt.sort = optarg;
		q->used |= OPT_SORT;
		break;
	case 'h':
		q->help = true;
		break;
	case 'V':
		q->version = true;
		break;
	default:
		fputs("shvdump: see shvdump --help\n", stderr); /* getopt has said what is wrong */
		return -1;
	}
	return 0;
}

static const struct command *find_command(const char *word)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, word))
			return &commands[i];
	return NULL;
}

/* Command, object and target among the words that are no options. */
static int take_words(struct run *r, char **words, int n)
{
	for (int i = 0; i < n; i++) {
		const struct command *c = r->command ? NULL : find_command(words[i]);

		if (c)
			r->command = c;
		else if (r->command && r->command->object && !r->object)
			r->object = words[i];
		else if (!r->target)
			r->target = words[i];
		else
			return usage("one word too many", words[i]);
	}
	return 0;
}

static int check_request(const struct run *r, const struct request *q)
{
	if (q->used & ~r->command->options)
		return usage("that option is not for this command", r->command->name);
	if (q->json && q->raw)
		return usage("--json and --raw exclude each other", NULL);
	if (r->target && !r->command->one_arena)
		return usage("this command takes no target", r->command->name);
	if (r->program && !r->command->program)
		return usage("this command runs no program", r->command->name);
	if (r->command->object && !r->object)
		return usage("an operand is missing", r->command->operands);
	return 0;
}

/* What stands behind -- after a command that may have a program is the program's, options and all. */
static void cut_program(struct run *r, int *argc, char **argv)
{
	bool may = false;

	for (int i = 1; i < *argc; i++) {
		const struct command *c = find_command(argv[i]);

		may |= c && c->program;
		if (may && !strcmp(argv[i], "--") && i + 1 < *argc) {
			r->program = argv + i + 1;
			*argc = i;
		}
	}
}

static int parse(struct run *r, struct request *q, int argc, char **argv)
{
	int key;

	cut_program(r, &argc, argv);
	while ((key = getopt_long(argc, argv, "Jrnbo:Ot:p:k:N:s:l:i:hV", long_options, NULL)) != -1)
		if (one_option(r, q, key))
			return -1;
	if (take_words(r, argv + optind, argc - optind))
		return -1;
	if (q->help || q->version)
		return 0;
	if (!r->command)
		r->command = &commands[0];
	r->out.mode = q->json ? EMIT_JSON : q->raw ? EMIT_RAW : EMIT_TABLE;
	return check_request(r, q);
}

/* ---- what the commands share ----------------------------------------------------------------------------- */

int complain(const char *what, int code)
{
	const char *why = shv_errmsg();

	fputs("shvdump: ", stderr);
	if (what) {
		text_put(stderr, what);
		fputs(": ", stderr);
	}
	text_put(stderr, *why ? why : strerror(-code));
	fputc('\n', stderr);
	return code == -EUCLEAN ? STATUS_DAMAGE : STATUS_FAILED;
}

void tell_approximate(struct run *r, bool approximate)
{
	emit_bool(&r->out, "approximate", approximate);
	if (approximate && r->out.mode != EMIT_JSON)
		fputs("shvdump: objects were made or freed while they were counted: the figures are approximate\n", stderr);
}

void cell_ref(struct cell *c, shv_ref ref)
{
	cell_format(c, "0x%llx", (unsigned long long)ref);
}

void cell_holder(struct cell *c, const struct shv_holder *h)
{
	if (!h->pid)
		cell_text(c, "?");
	else if (h->tid == h->pid)
		cell_format(c, "%s[%d]", h->command, (int)h->pid);
	else
		cell_format(c, "%s[%d/%d]", h->command, (int)h->pid, (int)h->tid);
}

void cell_name(struct cell *c, shv_arena *a, shv_ref ref)
{
	if (shv_value_name(a, ref, c->buf, sizeof(c->buf)) > 0)
		cell_text(c, c->buf);
}

const char *lock_state(bool held, bool abandoned, bool condemned)
{
	if (abandoned)
		return "abandoned";
	if (held)
		return "held";
	return condemned ? "condemned" : "free";
}

const char *kind_name(enum shv_kind kind)
{
	static const char *const names[] = { "", "value", "raw", "array", "raw-array", "string", "lock", "part" };

	return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "";
}

int sort_column(const struct run *r, const struct columns *of, int *column, bool *down)
{
	const char *word = r->opt.sort;

	*down = word && *word == '-';
	*column = -1;
	if (!word)
		return 0;
	*column = columns_find(of, word + *down, strlen(word + *down));
	if (*column >= 0)
		return 0;
	fprintf(stderr, "shvdump: %s: there is no column '", r->command->name);
	text_put(stderr, word + *down);
	fputs("' to sort by\n", stderr);
	return -1;
}

/* ---- main ------------------------------------------------------------------------------------------------ */

static int run_command(struct run *r)
{
	/* What holds locks must be a member. check --repair becomes one by itself, when it has looked. */
	unsigned flags = r->opt.locked ? 0 : SHV_RDONLY;
	int status = r->command->one_arena ? target_attach(r->target, flags, &r->a) : 0;

	if (status)
		return status;
	status = r->command->run(r);
	if (r->a)
		(void)shv_arena_detach(r->a);
	return status;
}

/* Output that was lost must not look like success. */
static int finish(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "shvdump: writing the output failed: %s\n", strerror(errno));
	return STATUS_FAILED;
}

int main(int argc, char **argv)
{
	struct run r = { .out = { .headings = true } };
	struct request q = { 0 };

	setlocale(LC_ALL, "");
	if (parse(&r, &q, argc, argv))
		return STATUS_FAILED;
	if (q.version) {
		printf("shvdump %s\n", SHV_VERSION);
		return finish(STATUS_FINE);
	}
	if (q.help) {
		help(r.command);
		return finish(STATUS_FINE);
	}
	return finish(run_command(&r));
}
