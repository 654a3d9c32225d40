/* SPDX-License-Identifier: MIT */
/*
 * shvdump diff: what was created, freed and changed between two looks at an arena.
 *
 * Both are walked in the order of slots at the same time, so nothing is kept in memory but the summary. An object is the same in
 * both if its reference is: slot and generation. Whether the holder of a lock lives is not compared, for in a snapshot
 * nobody does; who holds it is.
 */
#include "config.h"

#include "tools/shvdump.h"
#include "tools/target.h"
#include "tools/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX   4096   /* of a content that is compared part by part */
#define PARTS_MAX  8      /* changed parts of one content that are told one by one */
#define PIECE      65536

/* ---- state ------------------------------------------------------------------------------------------------- */

struct sum {
	char type[80];
	uint64_t created, freed, changed, same;
};

struct side {
	shv_arena *a;
	uint64_t cursor;
	struct shv_value_info info;
	int more;                 /* 1: info is an object; 0: the end; negative: error */
	char text[TEXT_MAX];
	char name[260];
	unsigned char *piece;
};

struct diff {
	struct run *r;
	struct side old, new_;
	struct sum *sums;
	size_t sums_n, sums_room;
	bool out_of_memory;
	uint64_t changes;
};

struct diff_row {
	const char *change, *name, *field, *old, *new_;
	char type[80];
	shv_ref ref;
};

static void diff_cell(void *ctx, int column, struct cell *c)
{
	const struct diff_row *row = ctx;

	switch (column) {
	case DIF_CHANGE:
		cell_text(c, row->change);
		break;
	case DIF_REF:
		cell_ref(c, row->ref);
		break;
	case DIF_NAME:
		cell_text(c, row->name);
		break;
	case DIF_TYPE:
		cell_text(c, row->type);
		break;
	case DIF_FIELD:
		cell_text(c, row->field);
		break;
	case DIF_OLD:
		cell_text(c, row->old);
		break;
	default:
		cell_text(c, row->new_);
		break;
	}
}

static void sum_cell(void *ctx, int column, struct cell *c)
{
	const struct sum *s = ctx;

	switch (column) {
	case SUM_TYPE:
		cell_text(c, s->type);
		break;
	case SUM_CREATED:
		cell_number(c, s->created);
		break;
	case SUM_FREED:
		cell_number(c, s->freed);
		break;
	case SUM_CHANGED:
		cell_number(c, s->changed);
		break;
	default:
		cell_number(c, s->same);
		break;
	}
}

/* "int", "int[]", "char string", "lock" */
static void type_text(const struct shv_value_info *i, char *buf, size_t size)
{
	bool array = i->kind == SHV_KIND_ARRAY || i->kind == SHV_KIND_RAW_ARRAY;

	if (i->kind == SHV_KIND_LOCK)
		snprintf(buf, size, "lock");
	else
		snprintf(buf, size, "%s%s", i->type_name, array ? "[]" : i->kind == SHV_KIND_STRING ? " string" : "");
}

static struct sum *sum_of(struct diff *d, const struct shv_value_info *i)
{
	char type[sizeof(d->sums->type)];
	struct sum *more;

	type_text(i, type, sizeof(type));
	for (size_t k = d->sums_n; k > 0; k--)
		if (!strcmp(d->sums[k - 1].type, type))
			return &d->sums[k - 1];
	if (d->sums_n == d->sums_room) {
		size_t room = d->sums_room ? d->sums_room * 2 : 32;
		more = realloc(d->sums, room * sizeof(*more));
		if (!more) {
			static struct sum lost;
			d->out_of_memory = true;
			return &lost;
		}
		d->sums = more;
		d->sums_room = room;
	}
	d->sums[d->sums_n] = (struct sum){ .created = 0 };
	memcpy(d->sums[d->sums_n].type, type, sizeof(type));
	return &d->sums[d->sums_n++];
}

/* ---- one object -------------------------------------------------------------------------------------------- */

static void read_text(struct side *s)
{
	ssize_t n = shv_value_text(s->a, s->info.ref, s->text, sizeof(s->text));

	if (n < 0)
		snprintf(s->text, sizeof(s->text), "?");
	else if ((size_t)n >= sizeof(s->text))
		memcpy(s->text + sizeof(s->text) - 4, "...", 4);
}

static void read_name(struct side *s)
{
	if (!s->info.named || shv_value_name(s->a, s->info.ref, s->name, sizeof(s->name)) < 0)
		s->name[0] = 0;
}

static void row_of(struct diff *d, struct diff_row *row, const struct side *s, const char *change)
{
	(void)d;
	*row = (struct diff_row){ .change = change, .ref = s->info.ref, .name = s->name };
	type_text(&s->info, row->type, sizeof(row->type));
}

static void whole(struct diff *d, struct side *s, const char *change)
{
	struct sum *sum = sum_of(d, &s->info);
	bool created = s == &d->new_;
	struct diff_row row;

	read_text(s);
	read_name(s);
	row_of(d, &row, s, change);
	if (created)
		row.new_ = s->text;
	else
		row.old = s->text;
	emit_row(&d->r->out, diff_cell, &row);
	if (created)
		sum->created++;
	else
		sum->freed++;
	d->changes++;
}

static void field(struct diff *d, const char *what, const char *old, const char *new_)
{
	struct diff_row row;

	row_of(d, &row, &d->new_, "changed");
	row.field = what;
	row.old = old;
	row.new_ = new_;
	emit_row(&d->r->out, diff_cell, &row);
}

/* Where data begins at or behind `at`; `end` if all is a hole. Without SEEK_DATA all is data. */
static uint64_t next_data(int fd, uint64_t at, uint64_t end)
{
	off_t data = lseek(fd, (off_t)at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? end : at;
	return (uint64_t)data < end ? (uint64_t)data : end;
}

/* All n bytes: the file is as long as the arena says, or it is damaged, and then they are not the same as any. */
static bool read_piece(int fd, unsigned char *to, size_t n, uint64_t at)
{
	ssize_t got = 0;

	for (size_t done = 0; done < n; done += (size_t)got) {
		got = pread(fd, to + done, n - done, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			got = 0;
		else if (got <= 0)
			return false;
	}
	return true;
}

/* Large contents piece by piece, by the descriptors: what is a hole on both sides is skipped, and no hole is filled. */
static bool same_stretch(struct diff *d)
{
	struct side *o = &d->old, *n = &d->new_;
	uint64_t bytes = o->info.bytes, at = 0, a, b;
	int from = shv_arena_fd(o->a), to = shv_arena_fd(n->a);

	if (from < 0 || to < 0)
		return false;
	while (at < bytes) {
		size_t piece;

		a = next_data(from, o->info.offset + at, o->info.offset + bytes) - o->info.offset;
		b = next_data(to, n->info.offset + at, n->info.offset + bytes) - n->info.offset;
		at = a < b ? a : b;
		piece = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
		if (piece && (!read_piece(from, o->piece, piece, o->info.offset + at) ||
			      !read_piece(to, n->piece, piece, n->info.offset + at) || memcmp(o->piece, n->piece, piece) != 0))
			return false;
		at += piece;
	}
	return true;
}

/* A long string as a whole, for its text may be replaced meanwhile. */
static bool same_long_string(struct diff *d)
{
	struct side *o = &d->old, *n = &d->new_;
	size_t bytes = o->info.bytes;
	unsigned char *p = malloc(bytes), *q = malloc(bytes);
	ssize_t got = p && q ? shv_value_bytes(o->a, o->info.ref, p, bytes, NULL) : -1;
	bool same = got >= 0 && got == shv_value_bytes(n->a, n->info.ref, q, bytes, NULL) && !memcmp(p, q, (size_t)got);

	d->out_of_memory |= !p || !q;
	free(p);
	free(q);
	return same;
}

/* Is the content the same, byte by byte? */
static bool same_bytes(struct diff *d)
{
	struct side *o = &d->old, *n = &d->new_;
	ssize_t a, b;

	if (o->info.bytes != n->info.bytes || o->info.len != n->info.len || strcmp(o->info.type_name, n->info.type_name) != 0)
		return false;
	if (o->info.bytes > PIECE)
		return o->info.kind == SHV_KIND_STRING ? same_long_string(d) : same_stretch(d);
	a = shv_value_bytes(o->a, o->info.ref, o->piece, PIECE, NULL);
	b = shv_value_bytes(n->a, n->info.ref, n->piece, PIECE, NULL);
	return a == b && (a <= 0 || !memcmp(o->piece, n->piece, (size_t)a));
}

/*
 * The next part of "{x=1, y=[2, 3]}" or "[1, 2]" at *s: up to a comma or the closing bracket of this level, with quotes minded. False:
 * no more.
 */
static bool next_part(const char **s, const char **part, size_t *len)
{
	unsigned depth = 0;
	char quote = 0;
	const char *p = *s;

	while (*p == ' ' || *p == ',')
		p++;
	*part = p;
	for (; *p; p++) {
		if (quote) {
			if (*p == '\\' && p[1])
				p++;
			else if (*p == quote)
				quote = 0;
		} else if (*p == '\'' || *p == '"') {
			quote = *p;
		} else if (*p == '{' || *p == '[' || *p == '(') {
			depth++;
		} else if (*p == '}' || *p == ']' || *p == ')') {
			if (!depth)
				break;
			depth--;
		} else if (*p == ',' && !depth) {
			break;
		}
	}
	*len = (size_t)(p - *part);
	*s = p;
	return *len > 0;
}

/* "x=1" of a structure: its name is the field; otherwise its number is. */
static size_t part_name(const char *part, size_t len, size_t index, bool members, char *buf, size_t size)
{
	const char *eq = members ? memchr(part, '=', len) : NULL;

	if (eq) {
		snprintf(buf, size, "content.%.*s", (int)(eq - part), part);
		return (size_t)(eq - part) + 1;
	}
	snprintf(buf, size, "content[%zu]", index);
	return 0;
}

/* The parts that differ; false if the two texts do not have the same parts, or none differs as text. */
static bool parts(struct diff *d)
{
	const char *a = d->old.text, *b = d->new_.text, *p, *q;
	bool members = *a == '{', told = false;
	char name[128], old[512], new_[512];
	size_t m, n, at, shown = 0;

	if (*a != *b || (*a != '{' && *a != '[') || strlen(a) >= TEXT_MAX - 1 || strlen(b) >= TEXT_MAX - 1)
		return false;
	a++;
	b++;
	for (size_t i = 0; next_part(&a, &p, &m) && next_part(&b, &q, &n); i++) {
		if (m == n && !memcmp(p, q, m))
			continue;
		at = part_name(p, m, i, members, name, sizeof(name));
		if (at > n || memcmp(p, q, at) != 0)
			return told;
		told = true;
		if (shown++ == PARTS_MAX) {
			field(d, "content", "...", "...");
			return true;
		}
		snprintf(old, sizeof(old), "%.*s", (int)(m - at), p + at);
		snprintf(new_, sizeof(new_), "%.*s", (int)(n - at), q + at);
		field(d, name, old, new_);
	}
	return told;
}

/* Who has the lock, be he dead or alive. */
static void lock_text(const struct shv_value_info *i, char *buf, size_t size)
{
	struct cell c = { .kind = CELL_NONE };

	buf[0] = 0;
	if (i->lock == SHV_LOCK_NONE || i->lock == SHV_LOCK_POLICY)
		return;
	if (!i->held && !i->abandoned) {
		snprintf(buf, size, "%s", i->condemned ? "condemned" : "free");
		return;
	}
	cell_holder(&c, &i->holder);
	snprintf(buf, size, "%s", c.text ? c.text : "?");
}

static void compare(struct diff *d)
{
	struct side *o = &d->old, *n = &d->new_;
	char old_lock[300], new_lock[300];
	bool changed = false;
	struct sum *sum;

	read_name(o);
	read_name(n);
	if (!same_bytes(d)) {
		read_text(o);
		read_text(n);
		if (!parts(d))
			field(d, "content", o->text, n->text);
		changed = true;
	}
	if (strcmp(o->name, n->name) != 0) {
		field(d, "name", o->name, n->name);
		changed = true;
	}
	lock_text(&o->info, old_lock, sizeof(old_lock));
	lock_text(&n->info, new_lock, sizeof(new_lock));
	if (strcmp(old_lock, new_lock) != 0) {
		field(d, "lock", old_lock, new_lock);
		changed = true;
	}
	sum = sum_of(d, &n->info);
	if (changed) {
		sum->changed++;
		d->changes++;
	} else {
		sum->same++;
	}
}

/* ---- both walks -------------------------------------------------------------------------------------------- */

static void step(struct side *s)
{
	s->more = shv_value_next(s->a, &s->cursor, &s->info);
}

static uint32_t slot_of(const struct side *s)
{
	return (uint32_t)s->info.ref;
}

/* Slots come in ascending order on both sides. */
static void walk(struct diff *d)
{
	struct side *o = &d->old, *n = &d->new_;

	step(o);
	step(n);
	while ((o->more == 1 || n->more == 1) && o->more >= 0 && n->more >= 0 && !d->out_of_memory) {
		if (o->more == 1 && n->more == 1 && o->info.ref == n->info.ref) {
			compare(d);
			step(o);
			step(n);
		} else if (n->more != 1 || (o->more == 1 && slot_of(o) <= slot_of(n))) {
			whole(d, o, "freed"); /* of two in one slot the old one comes first */
			step(o);
		} else {
			whole(d, n, "created");
			step(n);
		}
	}
}

static int by_type(const void *a, const void *b)
{
	return strcmp(((const struct sum *)a)->type, ((const struct sum *)b)->type);
}

static void summary(struct diff *d, const struct selection *columns)
{
	emit_table(&d->r->out, "summary", columns, EMIT_ROWS);
	if (d->sums_n)
		qsort(d->sums, d->sums_n, sizeof(*d->sums), by_type);
	for (size_t i = 0; i < d->sums_n; i++)
		emit_row(&d->r->out, sum_cell, &d->sums[i]);
	emit_table_end(&d->r->out);
}

static void warn_of_strangers(struct diff *d)
{
	struct shv_stat a = { .size = sizeof(a) }, b = { .size = sizeof(b) };

	if (!shv_stat(d->old.a, &a) && !shv_stat(d->new_.a, &b) && memcmp(a.uuid, b.uuid, sizeof(a.uuid)) != 0)
		fputs("shvdump: these are two arenas, not two looks at one: what has the same reference need not be the same\n", stderr);
}

static int run_diff(struct diff *d)
{
	struct selection columns, sums;

	if (columns_select(&columns, &diff_columns, d->r->opt.columns, d->r->opt.all_columns) ||
	    columns_select(&sums, &sum_columns, NULL, true))
		return STATUS_FAILED;
	warn_of_strangers(d);
	d->old.info.size = d->new_.info.size = sizeof(d->old.info);
	d->old.piece = malloc(PIECE);
	d->new_.piece = malloc(PIECE);
	d->out_of_memory = !d->old.piece || !d->new_.piece;
	emit_begin(&d->r->out, d->r->command->name, shv_arena_name(d->new_.a));
	emit_table(&d->r->out, "changes", &columns, EMIT_ROWS);
	walk(d);
	emit_table_end(&d->r->out);
	summary(d, &sums);
	emit_bool(&d->r->out, "same", !d->changes);
	emit_end(&d->r->out);
	free(d->old.piece);
	free(d->new_.piece);
	free(d->sums);
	if (d->out_of_memory) {
		fputs("shvdump: no memory\n", stderr);
		return STATUS_FAILED;
	}
	if (d->old.more < 0 || d->new_.more < 0)
		return complain(NULL, d->old.more < 0 ? d->old.more : d->new_.more);
	return d->changes ? STATUS_DIFFER : STATUS_FINE;
}

int cmd_diff(struct run *r)
{
	struct diff *d = calloc(1, sizeof(*d));
	int status;

	if (!d) {
		fputs("shvdump: no memory\n", stderr);
		return STATUS_FAILED;
	}
	d->r = r;
	d->new_.a = r->a;
	status = target_attach(r->object, SHV_RDONLY, &d->old.a);
	if (!status)
		status = run_diff(d);
	if (d->old.a)
		(void)shv_arena_detach(d->old.a);
	free(d);
	return status;
}
