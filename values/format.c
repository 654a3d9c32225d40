/* SPDX-License-Identifier: MIT */
/*
 * PEP 3118 text to descriptor.
 *
 *	text      = item...
 *	item      = [mode] [shape] [mode] [count] code [":" name ":"]
 *	mode      = one of @ = < > ! ^            stays in force, over braces, until the next one
 *	shape     = "(" number {"," number} ")"
 *	code      = one of c b B ? h H i I l L q Q n N e f d g u w s p x | Zf | Zd | Zg | T{ text }
 *
 *   @  native sizes and alignment (to begin with)      =  standard sizes, native order, no alignment
 *   ^  native sizes and order, no alignment            <  >  !  standard sizes; little, big, big endian
 *
 * White space may stand between these parts, not between a count and its code. What the sources
 * leave open, or what they disagree about:
 *
 *   - A count is an innermost dimension: "3i" is "(3)i". "3s" is 3 characters; "10p" one object, a
 *     length byte and 9 bytes of text. "3x" is padding; padding with a name is bytes ("(3)B"), as
 *     NumPy means it.
 *   - One item at the top is that item. Several, or a name, or padding make a structure, whose size
 *     has no padding at its end, as struct.calcsize() has it. T{...} is padded in mode @, as a C
 *     compiler and NumPy do it.
 *   - u and w are wchar_t (ctypes and array.array print it so on Linux); PEP 3118 has UCS-2 for u.
 *   - n, N have native modes only (as in struct); g exists in the machine's byte order only.
 *   - Alignment follows from where things lie, not from the mode: see settle() in intern.c. "<i" is
 *     SHV_INT on a little-endian machine: Python's ctypes writes c_int like that.
 *
 * ctypes. CPython 3.11 prints a mode directly before each code (after the shape), never the
 * padding, and means native alignment: T{<b:a:<d:b:} is 16 bytes. From 3.12 on it prints the padding.
 * So: a T{...} in which each code has a mark < or > of its own, directly in front of it and without
 * a count, which has no padding and no mark or count in front of itself, is laid out with natural
 * alignment; so must be those that are nested in it, but for the padding. Nobody else writes marks
 * that change nothing: struct allows one at the start, NumPy prints one where the mode changes.
 * (And intern.c puts one in front of each structure that must not be read so.) What ctypes itself
 * hides cannot be found out: unions (it prints "B"), bit fields, the members of base classes, and
 * packed structures, which 3.11 prints as "B" and 3.12 like 3.11 the others: such a text needs a
 * mark in front, "<T{<b:a:<d:b:}".
 *
 * Two passes: items are read with the mode that each is in, then laid out when the closing brace is
 * seen. All of it is memory of this call until it is known to be right; only then do its parts go
 * into the table (intern.c), so that texts that are refused leave nothing behind.
 *
 * Sources: PEP 3118; the struct module's documentation; Modules/_ctypes/stgdict.c and cfield.c of
 * CPython 3.11.
 */
#include "values/type_private.h"

#include "base/errors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const char *text;
	const char *who;
	size_t at; /* bytes read */
	char mode;
	unsigned level; /* open braces */
	unsigned depth; /* most of them */
	int code;       /* negative errno once something is wrong */
};

/* Padding has no type, but a size. */
struct item {
	const struct shv_type *type;
	size_t size;
	const char *name;
	size_t name_len;
	size_t at;    /* where its code is in the text */
	bool aligned; /* mode @ */
};

struct items {
	struct item *v;
	size_t n, cap;
	bool marked; /* all as ctypes writes it */
	bool padded;
};

/* What stands before a code. */
struct prefix {
	size_t dims[TYPE_MAX_DIMS];
	unsigned n_dims;
	size_t count;
	bool counted;
	bool marked; /* < or > directly in front */
	bool modal;  /* any mode mark at all */
};

#define wrong(r, code_, at_, fmt, ...) \
	((r)->code = fail((code_), "%s: pep3118, position %zu: " fmt, (r)->who, (size_t)(at_), ##__VA_ARGS__))

/* ---- small pieces ----------------------------------------------------------------------------------------- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char peek(struct reader *r)
{
	return r->text[r->at];
}

static char peek_past_space(struct reader *r)
{
	while (is_space(peek(r)))
		r->at++;
	return peek(r);
}

/* A character for a sentence. */
static const char *shown(char c, char buf[16])
{
	if (!c)
		return "the end of the text";
	if (c > ' ' && c < 0x7f)
		snprintf(buf, 16, "'%c'", c);
	else
		snprintf(buf, 16, "byte 0x%02x", (unsigned char)c);
	return buf;
}

static int read_number(struct reader *r, size_t *out)
{
	size_t start = r->at, n = 0;

	for (; is_digit(peek(r)); r->at++) {
		if (!type_mul(n, 10, &n) || !type_sum(n, (size_t)(peek(r) - '0'), &n))
			return wrong(r, -EOVERFLOW, start, "the number is larger than any object can be");
	}
	*out = n;
	return 0;
}

static bool read_mode(struct reader *r)
{
	if (!peek(r) || !strchr("@=<>!^", peek(r)))
		return false;
	r->mode = r->text[r->at++];
	return true;
}

/* ---- prefixes --------------------------------------------------------------------------------------------- */

static int add_dim(struct reader *r, struct prefix *p, size_t dim, size_t at)
{
	if (p->n_dims == TYPE_MAX_DIMS)
		return wrong(r, -EINVAL, at, "more than %u dimensions: nest arrays in structures, or use fewer",
			     TYPE_MAX_DIMS);
	p->dims[p->n_dims++] = dim;
	return 0;
}

static int read_shape(struct reader *r, struct prefix *p)
{
	size_t open = r->at, dim = 0, at;
	char buf[16];

	do {
		r->at++;
		if (!is_digit(peek_past_space(r)))
			return wrong(r, -EINVAL, r->at, "a number belongs here, not %s: shapes look like (3) or (2,3)",
				     shown(peek(r), buf));
		at = r->at;
		if (read_number(r, &dim) || add_dim(r, p, dim, at))
			return r->code;
	} while (peek_past_space(r) == ',');
	if (peek(r) != ')')
		return wrong(r, -EINVAL, r->at, "',' or ')' belongs here, not %s, in the shape opened at %zu",
			     shown(peek(r), buf), open);
	r->at++;
	return 0;
}

static int read_prefix(struct reader *r, struct prefix *p)
{
	p->n_dims = 0;
	p->modal = read_mode(r);
	p->counted = false;
	if (peek_past_space(r) == '(' && read_shape(r, p))
		return r->code;
	if (p->n_dims || !p->modal) {
		peek_past_space(r);
		p->modal |= read_mode(r);
	}
	p->marked = r->at && (r->text[r->at - 1] == '<' || r->text[r->at - 1] == '>');
	if (is_digit(peek_past_space(r))) {
		p->counted = true;
		p->marked = false;
		return read_number(r, &p->count);
	}
	p->marked &= r->at && !is_space(r->text[r->at - 1]);
	return 0;
}

/* ---- types ------------------------------------------------------------------------------------------------ */

static bool standard(char mode)
{
	return mode != '@' && mode != '^';
}

static bool other_order(char mode)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return mode == '>' || mode == '!';
#else
	return mode == '<';
#endif
}

static int no_memory(struct reader *r)
{
	return r->code = fail(-ENOMEM, "%s: no memory for the description of a type: free some and try again", r->who);
}

static void refuse_code(struct reader *r, char c)
{
	char buf[16];

	if (c && strchr("PXOzZ&", c))
		wrong(r, -EINVAL, r->at,
		      "'%c' is a pointer, and an address means nothing in another process: use an offset (\"Q\")", c);
	else if (c == 't')
		wrong(r, -EINVAL, r->at,
		      "'t' is bits, which have no address of their own: use a whole integer, such as B");
	else if (c == '}')
		wrong(r, -EINVAL, r->at,
		      "'}' closes nothing, or closes before a type: remove it, or what stands alone before it");
	else if (!c)
		wrong(r, -EINVAL, r->at, "the text ends where a type belongs");
	else if (is_space(c))
		wrong(r, -EINVAL, r->at, "white space cannot stand between a count and its code: remove it");
	else if (c == '(')
		wrong(r, -EINVAL, r->at, "a shape cannot stand behind a count: put the count behind it, or into it");
	else
		wrong(r, -EINVAL, r->at,
		      "%s is no type: use one of c b B ? h H i I l L q Q n N e f d g u w s p x Zf Zd Zg T{}",
		      shown(c, buf));
}

/* The scalar type of a code in the present mode; reads the code. NULL: refused. */
static const struct shv_type *read_scalar(struct reader *r)
{
	char c = peek(r);
	bool complex_ = c == 'Z' && r->text[r->at + 1] && strchr("fdg", r->text[r->at + 1]);
	const struct shv_type *t;

	static_assert(sizeof(short) == 2 && sizeof(int) == 4 && sizeof(long long) == 8 && sizeof(wchar_t) == 4 &&
			      sizeof(bool) == 1 && sizeof(float) == 4 && sizeof(double) == 8,
		      "native sizes that are the standard ones");
	if (standard(r->mode) && (c == 'n' || c == 'N')) {
		wrong(r, -EINVAL, r->at,
		      "'%c' has a native size only, but the mode is %c: use mode @ or ^, or another code", c, r->mode);
		return NULL;
	}
	if (standard(r->mode) && (c == 'l' || c == 'L'))
		c = c == 'l' ? 'i' : 'I';
	t = type_of_code(complex_ ? r->text[r->at + 1] : c, complex_);
	if (!t) {
		refuse_code(r, c);
		return NULL;
	}
	if (t->code == 'g' && other_order(r->mode)) {
		wrong(r, -EINVAL, r->at, "long double has no layout that machines of both byte orders share: use d");
		return NULL;
	}
	if (t->size > 1 && other_order(r->mode)) {
		t = type_new_swapped(t);
		if (!t)
			no_memory(r);
	}
	r->at += t ? 1u + complex_ : 0u;
	return t;
}

/* n times t, which is taken over. NULL: too large, or no memory. */
static const struct shv_type *repeat(struct reader *r, const struct shv_type *t, size_t n, size_t at)
{
	const struct shv_type *array;
	size_t size;

	if (!type_mul(t->size, n, &size)) {
		wrong(r, -EOVERFLOW, at, "%zu times %zu bytes is larger than any object can be", n, t->size);
		type_discard(t);
		return NULL;
	}
	array = type_new_array(t, n);
	if (array)
		return array;
	type_discard(t);
	no_memory(r);
	return NULL;
}

static const struct shv_type *apply_shape(struct reader *r, const struct prefix *p, const struct shv_type *t,
					  size_t at)
{
	for (unsigned i = p->n_dims; t && i-- > 0;)
		t = repeat(r, t, p->dims[i], at);
	return t;
}

static const struct shv_type *read_struct(struct reader *r, const struct prefix *p, bool *marked);

static int read_name(struct reader *r, struct item *it)
{
	const char *end;
	size_t open;

	if (peek_past_space(r) != ':')
		return 0;
	open = r->at++;
	it->name = r->text + r->at;
	end = strchr(it->name, ':');
	if (!end)
		return wrong(r, -EINVAL, open, "the name that begins here has no ':' at its end");
	it->name_len = (size_t)(end - it->name);
	if (!type_name_ok(it->name, it->name_len))
		return wrong(r, -EINVAL, open + 1, "a name is 1 to %u bytes of UTF-8 without control characters",
			     TYPE_MAX_NAME);
	r->at += it->name_len + 1;
	return 0;
}

/* Bytes of "3x": nameless ones are padding. */
static int read_padding(struct reader *r, struct prefix *p, struct item *it)
{
	r->at++;
	it->size = 1;
	if (read_name(r, it))
		return r->code;
	if (it->name) {
		it->type = apply_shape(r, p, SHV_UCHAR, it->at);
		it->size = it->type ? it->type->size : 0;
		return r->code;
	}
	for (unsigned i = 0; i < p->n_dims; i++) {
		if (!type_mul(it->size, p->dims[i], &it->size))
			return wrong(r, -EOVERFLOW, it->at, "the padding is larger than any object can be");
	}
	return 0;
}

/* The type of a code without what stands before it. */
static const struct shv_type *read_code(struct reader *r, const struct prefix *p, bool *marked)
{
	const struct shv_type *t = SHV_CHAR;

	*marked = p->marked;
	switch (peek(r)) {
	case 'T':
		return read_struct(r, p, marked);
	case 's':
		r->at++;
		return t;
	case 'p':
		r->at++;
		t = type_new_pascal(p->counted ? p->count : 1);
		if (!t)
			no_memory(r);
		return t;
	default:
		return read_scalar(r);
	}
}

/* One item; *marked: as ctypes writes it. */
static int read_item(struct reader *r, struct item *it, bool *marked)
{
	struct prefix p;
	char c;

	if (read_prefix(r, &p))
		return r->code;
	*it = (struct item){ .at = r->at };
	c = peek(r);
	it->aligned = r->mode == '@'; /* now: a structure may change it */
	if (c == 's' && !p.counted)
		p.count = 1;
	if ((p.counted && c != 'p') || c == 's') {
		if (add_dim(r, &p, p.count, it->at))
			return r->code;
	}
	if (c == 'x')
		return read_padding(r, &p, it);
	it->type = read_code(r, &p, marked);
	it->type = it->type ? apply_shape(r, &p, it->type, it->at) : NULL;
	if (!it->type)
		return r->code;
	it->size = it->type->size;
	return read_name(r, it);
}

/* ---- structures ------------------------------------------------------------------------------------------- */

static void items_free(struct items *items)
{
	for (size_t i = 0; i < items->n; i++)
		type_discard(items->v[i].type);
	free(items->v);
}

static struct item *items_add(struct items *items)
{
	if (items->n == items->cap) {
		size_t cap = items->cap ? items->cap * 2 : 8;
		struct item *v = realloc(items->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		items->v = v;
		items->cap = cap;
	}
	items->v[items->n] = (struct item){ 0 };
	return &items->v[items->n++];
}

/* Items up to `close`, which is not read. 0, or the error. */
static int read_items(struct reader *r, struct items *items, char close, size_t open)
{
	items->marked = true;
	while (peek_past_space(r) != close) {
		struct item *it = items_add(items);
		bool marked = false;

		if (!peek(r))
			return wrong(r, -EINVAL, r->at,
				     "the text ends, but the structure opened at %zu is not closed by '}'", open);
		if (!it)
			return no_memory(r);
		if (read_item(r, it, &marked))
			return r->code;
		if (it->type)
			items->marked &= marked;
		else
			items->padded = true;
	}
	return 0;
}

static size_t up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/*
 * Offsets of all items, and the sum. all: align whatever the mode was. end: pad behind the last.
 * parts: out, as many as there are items that are no padding; *n says.
 */
static int lay_out(struct reader *r, const struct items *items, bool all, bool end, struct type_part *parts, size_t *n,
		   size_t *size)
{
	size_t at = 0, natural = 1;

	*n = 0;
	for (size_t i = 0; i < items->n; i++) {
		const struct item *it = &items->v[i];
		size_t align = it->type ? it->type->align : 1;

		/* at <= PTRDIFF_MAX: rounding it up does not overflow */
		if (it->aligned || all)
			at = up(at, align);
		natural = align > natural ? align : natural;
		if (it->type)
			parts[(*n)++] = (struct type_part){ it->name, it->name_len, at, it->type };
		if (!type_sum(at, it->size, &at))
			return wrong(r, -EOVERFLOW, it->at,
				     "with this member the structure is larger than any object can be");
	}
	*size = end ? up(at, natural) : at;
	if (*size > PTRDIFF_MAX)
		return wrong(r, -EOVERFLOW, r->at - 1,
			     "the structure with its padding is larger than any object can be");
	return 0;
}

static int check_names(struct reader *r, const struct type_part *parts, size_t n)
{
	ssize_t twice = type_duplicate(parts, n);
	const struct type_part *part;

	if (twice < 0)
		return no_memory(r);
	if ((size_t)twice == n)
		return 0;
	part = &parts[twice];
	return wrong(r, -EINVAL, part->name - r->text, "the structure has a member %.*s already: names must differ",
		     (int)part->name_len, part->name);
}

/* The structure of the items; they are used up, also on failure. NULL: failed. */
static const struct shv_type *build_struct(struct reader *r, struct items *items, bool all, bool end)
{
	struct type_part *parts = calloc(items->n + 1, sizeof(*parts));
	struct shv_type *t = NULL;
	size_t n = 0, size = 0;

	if (!parts) {
		no_memory(r);
	} else if (!lay_out(r, items, all, end, parts, &n, &size) && !check_names(r, parts, n)) {
		t = type_new_struct(parts, n, size);
		if (t)
			items->n = 0; /* the types are its now */
		else
			no_memory(r);
	}
	free(parts);
	items_free(items);
	return t;
}

static const struct shv_type *read_struct(struct reader *r, const struct prefix *p, bool *marked)
{
	struct items items = { 0 };
	size_t open = r->at;
	char buf[16];
	bool all;

	if (r->text[open + 1] != '{') {
		wrong(r, -EINVAL, open + 1, "'{' belongs behind 'T', not %s", shown(r->text[open + 1], buf));
		return NULL;
	}
	if (r->level == TYPE_MAX_DEPTH) {
		wrong(r, -EINVAL, open, "structures are nested more than %u deep", TYPE_MAX_DEPTH);
		return NULL;
	}
	r->level++;
	r->depth = r->level > r->depth ? r->level : r->depth;
	r->at += 2;
	if (read_items(r, &items, '}', open)) {
		items_free(&items);
		return NULL;
	}
	r->at++;
	r->level--;
	*marked = items.marked && !p->modal && !p->counted;
	all = *marked && !items.padded;
	return build_struct(r, &items, all, all || r->mode == '@');
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

static const struct shv_type *read_text(struct reader *r)
{
	struct items items = { 0 };

	if (read_items(r, &items, '\0', 0)) {
		items_free(&items);
		return NULL;
	}
	if (items.n == 1 && items.v[0].type && !items.v[0].name) {
		const struct shv_type *t = items.v[0].type;

		free(items.v);
		return t;
	}
	if (r->depth == TYPE_MAX_DEPTH) {
		items_free(&items);
		wrong(r, -EINVAL, 0, "several items make a structure, which is nested more than %u deep then",
		      TYPE_MAX_DEPTH);
		return NULL;
	}
	return build_struct(r, &items, false, false);
}

const struct shv_type *type_parse(const char *text, const char *who)
{
	struct reader r = { .text = text, .who = who, .mode = '@' };
	const struct shv_type *t = read_text(&r);

	if (!t)
		return null_with(r.code);
	if (!t->size) {
		type_discard(t);
		wrong(&r, -EINVAL, r.at, "the type has no bytes: describe at least one");
		return null_with(r.code);
	}
	return type_intern(t);
}

SHV_API const shv_type *shv_type_parse(const char *pep3118)
{
	if (!pep3118)
		return fail_null(-EINVAL,
				 "shv_type_parse: pep3118 is NULL: pass a format such as \"i\" or \"T{d:x:d:y:}\"");
	return type_parse(pep3118, "shv_type_parse");
}
