/* SPDX-License-Identifier: MIT */
/*
 * shvdump values: live objects, one a line; shvdump show: one of them whole.
 *
 * Sorting keeps the key and the reference of each object that passed the filters, sorts these, and looks at the
 * objects again by reference when they are printed: 24 bytes each instead of half a kilobyte. What was freed in
 * between is left out.
 */
#include "config.h"

#include "tools/fields.h"
#include "tools/look.h"
#include "tools/shvdump.h"
#include "tools/term.h"
#include "tools/text.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTENT_SHOWN 60u     /* characters in a table */
#define CONTENT_MAX 4000u     /* elsewhere */
#define HEX_BYTES 64u
#define DUMP_BYTES 512u       /* of show */

struct values {
	struct run *run;
	struct shv_value_info v;
	uint32_t *pids;           /* by process slot, 0 = none */
	uint32_t pids_n;
	int size_how;             /* of --size: -1 or less, 0 that size, 1 or more; 2: any */
	uint64_t size;
	int creator_how;          /* of --creator: 0 dead, 1 alive, 2 anybody, 3 creator_pid */
	uint64_t creator_pid;
	struct progress progress;
	uint64_t rows;            /* printed */
	size_t content_size;
	char content[CONTENT_MAX + 8];
};

/* ---- cells ----------------------------------------------------------------------------------------------- */

static void content_cell(struct values *s, struct cell *c)
{
	ssize_t n = shv_value_text(s->run->a, s->v.ref, s->content, s->content_size);

	if (n < 0)
		return; /* freed meanwhile, or a type that cannot be read */
	if ((size_t)n >= s->content_size) {
		size_t cut = s->content_size - 1;

		/* Not within a character. */
		while (cut && (s->content[cut] & 0xc0) == 0x80)
			cut--;
		memcpy(s->content + cut, "...", sizeof("..."));
	}
	cell_text(c, s->content);
}

static void hex_cell(struct values *s, struct cell *c)
{
	unsigned char bytes[HEX_BYTES];
	ssize_t n = shv_value_bytes(s->run->a, s->v.ref, bytes, sizeof(bytes), NULL);

	if (n <= 0)
		return;
	text_hex(c->buf, sizeof(c->buf), bytes, (size_t)n);
	cell_text(c, c->buf);
}

static void pid_cell(const struct values *s, uint32_t slot, struct cell *c)
{
	if (slot < s->pids_n && s->pids[slot])
		cell_number(c, s->pids[slot]);
}

static bool has_lock_word(const struct shv_value_info *v)
{
	return v->lock != SHV_LOCK_NONE && v->lock != SHV_LOCK_POLICY;
}

/* The columns about its lock. */
static void lock_cell(const struct shv_value_info *v, int column, struct cell *c)
{
	if (column == VAL_LOCK) {
		cell_text(c, v->policy);
		return;
	}
	if (!has_lock_word(v))
		return;
	switch (column) {
	case VAL_LOCKREF:
		if (v->lock_ref)
			cell_ref(c, v->lock_ref);
		break;
	case VAL_STATE:
		cell_text(c, lock_state(v->held, v->abandoned, v->condemned));
		break;
	case VAL_WAITERS:
		cell_bool(c, v->waiters);
		break;
	case VAL_SEQ:
		cell_number(c, v->acquisitions);
		break;
	default:
		if (!v->held && !v->abandoned)
			break;
		if (column == VAL_HOLDER)
			cell_holder(c, &v->holder);
		else if (column == VAL_HCOMMAND)
			cell_text(c, v->holder.command);
		else if (v->holder.pid)
			cell_number(c, (uint64_t)(column == VAL_HPID ? v->holder.pid : v->holder.tid));
		break;
	}
}

static void value_cell(void *ctx, int column, struct cell *c)
{
	struct values *s = ctx;
	const struct shv_value_info *v = &s->v;

	switch (column) {
	case VAL_REF:
		cell_ref(c, v->ref);
		break;
	case VAL_NAME:
		if (v->named)
			cell_name(c, s->run->a, v->ref);
		break;
	case VAL_KIND:
		cell_text(c, kind_name(v->kind));
		break;
	case VAL_TYPE:
		cell_text(c, v->type_name);
		break;
	case VAL_FORMAT:
		cell_text(c, v->format);
		break;
	case VAL_LEN:
		if (v->kind != SHV_KIND_LOCK)
			cell_number(c, v->len);
		break;
	case VAL_BYTES:
		if (v->kind != SHV_KIND_LOCK)
			cell_size(c, v->bytes);
		break;
	case VAL_BLOCK:
		cell_size(c, v->block_bytes);
		break;
	case VAL_OFFSET:
		cell_number(c, v->offset);
		break;
	case VAL_CONTENT:
		content_cell(s, c);
		break;
	case VAL_HEX:
		hex_cell(s, c);
		break;
	case VAL_OWNER:
		pid_cell(s, v->owner, c);
		break;
	case VAL_CREATOR:
		if (v->creator_alive)
			pid_cell(s, v->creator, c);
		break;
	case VAL_ALIVE:
		cell_bool(c, v->creator_alive);
		break;
	default:
		lock_cell(v, column, c);
		break;
	}
}

/* ---- what cells need ------------------------------------------------------------------------------------- */

static int read_pids(struct values *s)
{
	struct shv_process_info p = { .size = sizeof(p) };
	uint64_t cursor = 0;
	int r;

	while ((r = shv_process_next(s->run->a, &cursor, &p)) == 1) {
		if (p.slot >= s->pids_n) {
			uint32_t n = p.slot + 64;
			uint32_t *pids = realloc(s->pids, n * sizeof(*pids));
			if (!pids)
				return -ENOMEM;
			memset(pids + s->pids_n, 0, (n - s->pids_n) * sizeof(*pids));
			s->pids = pids;
			s->pids_n = n;
		}
		s->pids[p.slot] = (uint32_t)p.pid;
	}
	return r;
}

static int values_open(struct values *s, struct run *r, const struct selection *columns)
{
	memset(s, 0, sizeof(*s));
	s->run = r;
	s->v.size = sizeof(s->v);
	s->content_size = r->out.mode == EMIT_TABLE && !r->object ? CONTENT_SHOWN : CONTENT_MAX;
	if (columns_selected(columns, VAL_OWNER) || columns_selected(columns, VAL_CREATOR) || r->opt.sort ||
	    r->opt.creator)
		return read_pids(s);
	return 0;
}

static void values_close(struct values *s)
{
	free(s->pids);
}

/* ---- filters --------------------------------------------------------------------------------------------- */

/* Formats are full of characters that patterns use, so only a star makes a pattern. */
static bool matches(const char *pattern, const char *text)
{
	return !strcmp(pattern, text) || (strchr(pattern, '*') && !fnmatch(pattern, text, 0));
}

static bool wanted_size(const struct values *s)
{
	uint64_t bytes = s->v.bytes;

	return s->size_how == 2 || (s->size_how < 0 ? bytes <= s->size : s->size_how ? bytes >= s->size : bytes == s->size);
}

static bool wanted_creator(const struct values *s)
{
	const struct shv_value_info *v = &s->v;

	if (s->creator_how == 3)
		return v->creator_alive && v->creator < s->pids_n && s->pids[v->creator] == s->creator_pid;
	return s->creator_how == 2 || v->creator_alive == (s->creator_how == 1);
}

static int parse_filters(struct values *s, const struct options *o)
{
	const char *size = o->size;
	char *end;

	s->size_how = s->creator_how = 2;
	if (size) {
		s->size_how = *size == '+' ? 1 : *size == '-' ? -1 : 0;
		if (!text_parse_size(size + (s->size_how != 0), &s->size)) {
			fputs("shvdump: values: --size wants a number of bytes such as 100, +4K or -1M\n", stderr);
			return -1;
		}
	}
	if (!o->creator)
		return 0;
	s->creator_how = !strcmp(o->creator, "alive") ? 1 : !strcmp(o->creator, "dead") ? 0 : 3;
	s->creator_pid = s->creator_how == 3 ? strtoull(o->creator, &end, 10) : 0;
	if (s->creator_how == 3 && (!s->creator_pid || *end)) {
		fputs("shvdump: values: --creator wants alive, dead or the number of a process\n", stderr);
		return -1;
	}
	return 0;
}

static bool wanted(const struct values *s)
{
	const struct options *o = &s->run->opt;
	const struct shv_value_info *v = &s->v;
	char name[256];

	if (o->held && !v->held)
		return false;
	if (o->dead && !v->abandoned)
		return false;
	if (o->kind && strcmp(o->kind, kind_name(v->kind)) != 0)
		return false;
	if (o->policy && strcmp(o->policy, v->policy) != 0)
		return false;
	if (!wanted_size(s) || !wanted_creator(s))
		return false;
	if (o->type && !matches(o->type, v->type_name) && !matches(o->type, v->format))
		return false;
	if (!o->name)
		return true;
	return v->named && shv_value_name(s->run->a, v->ref, name, sizeof(name)) > 0 && !fnmatch(o->name, name, 0);
}

/* ---- sorting --------------------------------------------------------------------------------------------- */

struct sort_key {
	uint64_t number;
	char *text;               /* NULL: a number, or nothing, which comes first */
	shv_ref ref;
};

static int compare(const struct sort_key *x, const struct sort_key *y)
{
	if (x->text || y->text) {
		int r = strcmp(x->text ? x->text : "", y->text ? y->text : "");
		if (r)
			return r;
	} else if (x->number != y->number) {
		return x->number < y->number ? -1 : 1;
	}
	return 0;
}

static int ascending(const void *a, const void *b)
{
	const struct sort_key *x = a, *y = b;
	int r = compare(x, y);

	return r ? r : x->ref < y->ref ? -1 : x->ref > y->ref;
}

static int descending(const void *a, const void *b)
{
	const struct sort_key *x = a, *y = b;
	int r = compare(y, x);

	return r ? r : x->ref < y->ref ? -1 : x->ref > y->ref;
}

static int make_key(struct values *s, int column, struct sort_key *key)
{
	struct cell c;

	key->number = 0;
	key->text = NULL;
	key->ref = s->v.ref;
	if (column == VAL_REF || column == VAL_LOCKREF) { /* as numbers, not as their text */
		key->number = column == VAL_REF ? s->v.ref : s->v.lock_ref;
		return 0;
	}
	c.kind = CELL_NONE;
	value_cell(s, column, &c);
	if (c.kind == CELL_TEXT) {
		key->text = strdup(c.text);
		return key->text ? 0 : -ENOMEM;
	}
	if (c.kind != CELL_NONE)
		key->number = c.number;
	return 0;
}

static int collect(struct values *s, int column, struct sort_key **keys, size_t *n)
{
	uint64_t cursor = 0;
	size_t room = 0;
	int r;

	*n = 0;
	*keys = NULL;
	while ((r = shv_value_next(s->run->a, &cursor, &s->v)) == 1) {
		progress_step(&s->progress, cursor);
		if (!wanted(s))
			continue;
		if (*n == room) {
			struct sort_key *more;

			room = room ? room * 2 : 1024;
			more = realloc(*keys, room * sizeof(*more));
			if (!more)
				return -ENOMEM;
			*keys = more;
		}
		r = make_key(s, column, &(*keys)[*n]);
		if (r)
			return r;
		(*n)++;
	}
	return r;
}

static bool more_rows(const struct values *s)
{
	return !s->run->opt.limit || s->rows < s->run->opt.limit;
}

static void one_row(struct values *s)
{
	s->rows++;
	emit_row(&s->run->out, value_cell, s);
}

static int sorted_rows(struct values *s, int column, bool down)
{
	struct sort_key *keys;
	size_t n;
	int r = collect(s, column, &keys, &n);

	if (!r && n)
		qsort(keys, n, sizeof(*keys), down ? descending : ascending);
	for (size_t i = 0; i < n; i++) {
		if (!r && more_rows(s) && !shv_value_describe(s->run->a, keys[i].ref, &s->v))
			one_row(s);
		free(keys[i].text);
	}
	free(keys);
	return r;
}

static int rows(struct values *s)
{
	uint64_t cursor = 0;
	int r = 0;

	while (more_rows(s) && (r = shv_value_next(s->run->a, &cursor, &s->v)) == 1) {
		progress_step(&s->progress, cursor);
		if (wanted(s))
			one_row(s);
	}
	return r < 0 ? r : 0;
}

int cmd_values(struct run *r)
{
	struct shv_stat st = { .size = sizeof(st) };
	struct selection columns;
	struct values s;
	uint64_t before;
	int code, column;
	bool down;

	if (columns_select(&columns, &values_columns, r->opt.columns, r->opt.all_columns) ||
	    sort_column(r, &values_columns, &column, &down))
		return STATUS_FAILED;
	code = values_open(&s, r, &columns);
	if (!code && parse_filters(&s, &r->opt))
		return values_close(&s), STATUS_FAILED;
	if (!code)
		code = shv_stat(r->a, &st);
	if (!code) {
		before = look_generation(r->a);
		progress_begin(&s.progress, "objects", st.slots);
		emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
		emit_table(&r->out, "values", &columns, EMIT_ROWS);
		code = column >= 0 ? sorted_rows(&s, column, down) : rows(&s);
		progress_end(&s.progress);
		emit_table_end(&r->out);
		emit_bool(&r->out, "approximate", look_generation(r->a) != before);
		emit_end(&r->out);
	}
	values_close(&s);
	return code < 0 ? complain(NULL, code) : STATUS_FINE;
}

/* ---- show ------------------------------------------------------------------------------------------------ */

/* A number is a reference, anything else a name; "name:7" is the name "7". */
static int find_object(struct run *r, shv_ref *ref)
{
	const char *word = r->object;
	char *end;
	void *p;

	errno = 0;
	*ref = strtoull(word, &end, 0);
	if (word[0] >= '0' && word[0] <= '9' && !*end && !errno)
		return 0;
	if (!strncmp(word, "name:", 5))
		word += 5;
	p = shv_find(r->a, word);
	*ref = p ? shv_ref_of(p) : 0;
	return *ref ? 0 : -errno;
}

static void dump_line(const unsigned char *bytes, size_t at, size_t n)
{
	printf("%06zx ", at);
	for (size_t i = 0; i < 16; i++) {
		if (i < n)
			printf(" %02x", bytes[i]);
		else
			fputs("   ", stdout);
	}
	fputs("  ", stdout);
	for (size_t i = 0; i < n; i++)
		putchar(bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '.');
	putchar('\n');
}

/* The beginning of the content, for people; programs have the column HEX. */
static void dump_bytes(struct run *r, const struct shv_value_info *v)
{
	unsigned char bytes[DUMP_BYTES];
	bool torn = false;
	ssize_t n = shv_value_bytes(r->a, v->ref, bytes, sizeof(bytes), &torn);

	if (n <= 0 || r->out.mode == EMIT_JSON)
		return;
	putchar('\n');
	for (size_t at = 0; at < (size_t)n; at += 16)
		dump_line(bytes + at, at, (size_t)n - at < 16 ? (size_t)n - at : 16);
	if (v->bytes > (uint64_t)n)
		printf("... %llu bytes more\n", (unsigned long long)(v->bytes - (uint64_t)n));
	if (torn)
		puts("(a writer was in: this may be half old, half new)");
}

int cmd_show(struct run *r)
{
	struct selection columns;
	struct values s;
	shv_ref ref;
	int code;

	if (columns_select(&columns, &values_columns, r->opt.columns, !r->opt.columns))
		return STATUS_FAILED;
	code = find_object(r, &ref);
	if (code)
		return complain(r->object, code);
	code = values_open(&s, r, &columns);
	if (!code)
		code = shv_value_describe(r->a, ref, &s.v);
	if (!code) {
		emit_begin(&r->out, r->command->name, shv_arena_name(r->a));
		emit_table(&r->out, "object", &columns, EMIT_FACTS);
		emit_row(&r->out, value_cell, &s);
		emit_table_end(&r->out);
		if (!r->opt.columns)
			code = fields_table_of(r, &s.v);
		if (!r->opt.columns && !code)
			dump_bytes(r, &s.v);
		emit_end(&r->out);
	}
	values_close(&s);
	return code < 0 ? complain(r->object, code) : STATUS_FINE;
}
