/* SPDX-License-Identifier: MIT */
/*
 * Types: the basic ones, what may be asked of a descriptor, and descriptions of C structures.
 *
 * The basic types are constants, so that they can stand in static initialisers; everything that is
 * made at run time comes from format.c or shv_type_struct() below and lives in the table of
 * intern.c.
 */
#include "values/type_private.h"

#include "base/errors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the basic types -------------------------------------------------------------------------------------- */

#define SMALL(T) (sizeof(T) <= 8 ? sizeof(T) : 0)
#define BASIC(T, id_, format_, name_, code_, cls)                                                           \
	{                                                                                                   \
		.format = (format_), .name = (name_), .size = sizeof(T), .align = _Alignof(T), .id = (id_), \
		.class_ = (cls), .code = (code_), .interned = true, .small = SMALL(T)                       \
	}
#define COMPLEX(T, id_, format_, name_, code_)                                                              \
	{                                                                                                   \
		.format = (format_), .name = (name_), .size = sizeof(T), .align = _Alignof(T), .id = (id_), \
		.code = (code_), .complex_ = true, .interned = true, .small = SMALL(T)                      \
	}

const struct shv_type shv_type_char_ = BASIC(char, TYPE_ID_CHAR, "c", "char", 'c', TYPE_CHAR);
const struct shv_type shv_type_schar_ = BASIC(signed char, TYPE_ID_SCHAR, "b", "signed char", 'b', TYPE_SIGNED);
const struct shv_type shv_type_uchar_ = BASIC(unsigned char, TYPE_ID_UCHAR, "B", "unsigned char", 'B', TYPE_UNSIGNED);
const struct shv_type shv_type_wchar_ = BASIC(wchar_t, TYPE_ID_WCHAR, "w", "wchar_t", 'w', TYPE_WCHAR);
const struct shv_type shv_type_bool_ = BASIC(bool, TYPE_ID_BOOL, "?", "bool", '?', TYPE_BOOL);
const struct shv_type shv_type_short_ = BASIC(short, TYPE_ID_SHORT, "h", "short", 'h', TYPE_SIGNED);
const struct shv_type shv_type_ushort_ = BASIC(unsigned short, TYPE_ID_USHORT, "H", "unsigned short", 'H', TYPE_UNSIGNED);
const struct shv_type shv_type_int_ = BASIC(int, TYPE_ID_INT, "i", "int", 'i', TYPE_SIGNED);
const struct shv_type shv_type_uint_ = BASIC(unsigned, TYPE_ID_UINT, "I", "unsigned int", 'I', TYPE_UNSIGNED);
const struct shv_type shv_type_long_ = BASIC(long, TYPE_ID_LONG, "l", "long", 'l', TYPE_SIGNED);
const struct shv_type shv_type_ulong_ = BASIC(unsigned long, TYPE_ID_ULONG, "L", "unsigned long", 'L', TYPE_UNSIGNED);
const struct shv_type shv_type_longlong_ = BASIC(long long, TYPE_ID_LONGLONG, "q", "long long", 'q', TYPE_SIGNED);
const struct shv_type shv_type_ulonglong_ =
	BASIC(unsigned long long, TYPE_ID_ULONGLONG, "Q", "unsigned long long", 'Q', TYPE_UNSIGNED);
const struct shv_type shv_type_float_ = BASIC(float, TYPE_ID_FLOAT, "f", "float", 'f', TYPE_FLOAT);
const struct shv_type shv_type_double_ = BASIC(double, TYPE_ID_DOUBLE, "d", "double", 'd', TYPE_FLOAT);
const struct shv_type shv_type_longdouble_ = BASIC(long double, TYPE_ID_LONGDOUBLE, "g", "long double", 'g', TYPE_FLOAT);

/*
 * No C type that every compiler here knows has these; uint16_t has the size and alignment of a
 * half.
 */
static const struct shv_type type_half = BASIC(uint16_t, TYPE_ID_HALF, "e", "half", 'e', TYPE_OTHER);
static const struct shv_type type_cfloat = COMPLEX(float _Complex, TYPE_ID_CFLOAT, "Zf", "float complex", 'f');
static const struct shv_type type_cdouble = COMPLEX(double _Complex, TYPE_ID_CDOUBLE, "Zd", "double complex", 'd');
static const struct shv_type type_clongdouble =
	COMPLEX(long double _Complex, TYPE_ID_CLONGDOUBLE, "Zg", "long double complex", 'g');

const struct shv_type *const type_basics[32] = {
	[TYPE_ID_CHAR] = &shv_type_char_,
	[TYPE_ID_SCHAR] = &shv_type_schar_,
	[TYPE_ID_UCHAR] = &shv_type_uchar_,
	[TYPE_ID_WCHAR] = &shv_type_wchar_,
	[TYPE_ID_BOOL] = &shv_type_bool_,
	[TYPE_ID_SHORT] = &shv_type_short_,
	[TYPE_ID_USHORT] = &shv_type_ushort_,
	[TYPE_ID_INT] = &shv_type_int_,
	[TYPE_ID_UINT] = &shv_type_uint_,
	[TYPE_ID_LONG] = &shv_type_long_,
	[TYPE_ID_ULONG] = &shv_type_ulong_,
	[TYPE_ID_LONGLONG] = &shv_type_longlong_,
	[TYPE_ID_ULONGLONG] = &shv_type_ulonglong_,
	[TYPE_ID_FLOAT] = &shv_type_float_,
	[TYPE_ID_DOUBLE] = &shv_type_double_,
	[TYPE_ID_LONGDOUBLE] = &shv_type_longdouble_,
	[TYPE_ID_HALF] = &type_half,
	[TYPE_ID_CFLOAT] = &type_cfloat,
	[TYPE_ID_CDOUBLE] = &type_cdouble,
	[TYPE_ID_CLONGDOUBLE] = &type_clongdouble,
};

const struct shv_type *type_basic(uint32_t id)
{
	return id < TYPE_ID_END ? type_basics[id] : NULL;
}

const struct shv_type *type_of_code(char code, bool complex_)
{
	static const unsigned char ids[128] = {
		['c'] = TYPE_ID_CHAR,     ['b'] = TYPE_ID_SCHAR,    ['B'] = TYPE_ID_UCHAR,     ['w'] = TYPE_ID_WCHAR,
		['u'] = TYPE_ID_WCHAR,    ['?'] = TYPE_ID_BOOL,     ['h'] = TYPE_ID_SHORT,     ['H'] = TYPE_ID_USHORT,
		['i'] = TYPE_ID_INT,      ['I'] = TYPE_ID_UINT,     ['l'] = TYPE_ID_LONG,      ['L'] = TYPE_ID_ULONG,
		['n'] = TYPE_ID_LONG,     ['N'] = TYPE_ID_ULONG,    ['q'] = TYPE_ID_LONGLONG,  ['Q'] = TYPE_ID_ULONGLONG,
		['f'] = TYPE_ID_FLOAT,    ['d'] = TYPE_ID_DOUBLE,   ['g'] = TYPE_ID_LONGDOUBLE, ['e'] = TYPE_ID_HALF,
	};
	unsigned char c = (unsigned char)code;

	if (complex_ && code == 'f')
		return &type_cfloat;
	if (complex_ && code == 'd')
		return &type_cdouble;
	if (complex_)
		return code == 'g' ? &type_clongdouble : NULL;
	return c < sizeof(ids) && ids[c] ? type_basics[ids[c]] : NULL;
}
static_assert(sizeof(size_t) == sizeof(long), "n and N stand for long and unsigned long");

SHV_API const shv_type *shv_typecode(char c)
{
	const struct shv_type *t = strchr("nNe", c) ? NULL : type_of_code(c, false);

	if (t)
		return t;
	if (c > ' ' && c < 0x7f)
		return fail_null(-EINVAL, "shv_typecode: c is '%c': use one of c b B u w h H i I l L q Q f d g ?", c);
	return fail_null(-EINVAL, "shv_typecode: c is character %d: use one of c b B u w h H i I l L q Q f d g ?",
			 (unsigned char)c);
}

/* ---- what may be asked ------------------------------------------------------------------------------------ */

SHV_API size_t shv_type_size(const shv_type *t)
{
	if (t)
		return t->size;
	(void)fail_null(-EINVAL, "shv_type_size: t is NULL: pass a type such as SHV_INT");
	return 0;
}

SHV_API size_t shv_type_align(const shv_type *t)
{
	if (t)
		return t->align;
	(void)fail_null(-EINVAL, "shv_type_align: t is NULL: pass a type such as SHV_INT");
	return 0;
}

SHV_API const char *shv_type_format(const shv_type *t)
{
	return t ? t->format : fail_null(-EINVAL, "shv_type_format: t is NULL: pass a type such as SHV_INT");
}

SHV_API const char *shv_type_name(const shv_type *t)
{
	return t ? t->name : fail_null(-EINVAL, "shv_type_name: t is NULL: pass a type such as SHV_INT");
}

bool type_same(const struct shv_type *a, const struct shv_type *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind || a->size != b->size || a->align != b->align || a->count != b->count)
		return false;
	switch ((enum type_kind)a->kind) {
	case TYPE_PASCAL:
		return true;
	case TYPE_ARRAY:
		return type_same(a->item, b->item);
	case TYPE_SCALAR:
		if (a->swapped || b->swapped)
			return a->swapped && b->swapped && type_same(a->item, b->item);
		return a->class_ == b->class_ && (a->class_ != TYPE_OTHER || a->id == b->id);
	case TYPE_STRUCT:
		break;
	}
	for (size_t i = 0; i < a->count; i++) {
		const struct type_field *f = &a->fields[i], *g = &b->fields[i];

		if (f->offset != g->offset || !f->name != !g->name || (f->name && strcmp(f->name, g->name) != 0) ||
		    !type_same(f->type, g->type))
			return false;
	}
	return true;
}

const struct type_field *type_field_find(const struct shv_type *t, const char *name, size_t len)
{
	for (size_t i = 0; t->kind == TYPE_STRUCT && i < t->count; i++) {
		const struct type_field *f = &t->fields[i];

		if (f->name && !strncmp(f->name, name, len) && !f->name[len])
			return f;
	}
	return NULL;
}

/* ---- names ------------------------------------------------------------------------------------------------ */

/* By the first byte; 0: no character begins with it. */
static size_t utf8_length(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

size_t type_utf8(const char *s, size_t n, uint32_t *character)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = n ? (unsigned char)s[0] : 0;
	size_t len = utf8_length(c);
	uint32_t x = len < 2 ? c : c & (0x7fu >> len);

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		x = x << 6 | ((unsigned char)s[i] & 0x3f);
	}
	if (x < least[len] || x > 0x10ffff || (x >= 0xd800 && x < 0xe000))
		return 0;
	*character = x;
	return len;
}

bool type_name_ok(const char *name, size_t len)
{
	uint32_t c = 0;
	size_t n;

	if (!len || len > TYPE_MAX_NAME)
		return false;
	for (; len; name += n, len -= n) {
		n = type_utf8(name, len, &c);
		if (!n || c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
	}
	return true;
}

/* As C has it, with letters of other scripts let through. */
static bool is_identifier(const char *s, size_t len)
{
	if (!type_name_ok(s, len) || (s[0] >= '0' && s[0] <= '9'))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x80 && c != '_' && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= 'a' && c <= 'z'))
			return false;
	}
	return true;
}

static int compare_parts(const void *x, const void *y)
{
	const struct type_part *a = x, *b = y;
	int order = memcmp(a->name, b->name, a->name_len < b->name_len ? a->name_len : b->name_len);

	if (order)
		return order;
	if (a->name_len != b->name_len)
		return a->name_len < b->name_len ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Sorted, for texts from elsewhere may have very many members. `offset` of a copy is the index. */
ssize_t type_duplicate(const struct type_part *parts, size_t n)
{
	struct type_part *sorted = calloc(n + 1, sizeof(*sorted));
	size_t named = 0, first = n;

	if (!sorted)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!parts[i].name)
			continue;
		sorted[named] = parts[i];
		sorted[named++].offset = i;
	}
	qsort(sorted, named, sizeof(*sorted), compare_parts);
	for (size_t i = 1; i < named; i++) {
		const struct type_part *a = &sorted[i - 1], *b = &sorted[i];

		if (a->name_len == b->name_len && !memcmp(a->name, b->name, a->name_len) && b->offset < first)
			first = b->offset;
	}
	free(sorted);
	return (ssize_t)first;
}

/* ---- C structures ----------------------------------------------------------------------------------------- */

#define wrong_field(code, i, f, fmt, ...) \
	fail((code), "shv_type_struct: fields[%zu] (%s): " fmt, (i), (f)->name, ##__VA_ARGS__)

/*
 * The caller's array; its elements may be longer than ours, if the program was compiled with a
 * later header.
 */
struct fields {
	const char *first;
	size_t n, stride;
};

static const struct shv_field *field_at(const struct fields *all, size_t i)
{
	return (const struct shv_field *)(const void *)(all->first + i * all->stride);
}

/* What can be said of one field by itself. */
static int check_field(const struct fields *all, size_t i)
{
	const struct shv_field *f = field_at(all, i);
	const struct shv_type *t;

	if ((f->size ? f->size : sizeof(*f)) != all->stride)
		return fail(-EINVAL,
			    "shv_type_struct: fields[%zu].size is %zu: set it to sizeof(struct shv_field) or 0", i,
			    f->size);
	if (!f->name || !is_identifier(f->name, strnlen(f->name, TYPE_MAX_NAME + 1)))
		return fail(-EINVAL, "shv_type_struct: fields[%zu].name is %s: use the name of the member", i,
			    f->name ? "no identifier" : "NULL");
	t = f->type;
	if (!t || !t->size)
		return wrong_field(-EINVAL, i, f, "type is %s: pass the type of one item", t ? "empty" : "NULL");
	if (!f->extent || f->extent % t->size)
		return wrong_field(-EINVAL, i, f,
				   "extent is %zu, not a whole number of items of %zu bytes (%.40s): is type right?",
				   f->extent, t->size, t->name);
	if (f->offset % t->align)
		return wrong_field(-EINVAL, i, f,
				   "offset is %zu, but %.40s is aligned to %u: for packed structures there is "
				   "shv_type_parse(\"^T{...}\")",
				   f->offset, t->name, t->align);
	if (t->depth >= TYPE_MAX_DEPTH)
		return wrong_field(-EINVAL, i, f, "structures are nested more than %u deep", TYPE_MAX_DEPTH);
	if (f->extent > t->size && t->dims >= TYPE_MAX_DIMS)
		return wrong_field(-EINVAL, i, f, "it has more than %u dimensions", TYPE_MAX_DIMS);
	return 0;
}

/* Where the fields lie, to each other and to the whole. */
static int check_layout(const struct fields *all, size_t size)
{
	size_t at = 0, end;
	uint32_t align = 1;

	for (size_t i = 0; i < all->n; i++, at = end) {
		const struct shv_field *f = field_at(all, i);

		if (f->offset < at)
			return wrong_field(-EINVAL, i, f,
					   "offset is %zu, but the field before it ends at %zu: list fields by offset, "
					   "without overlap",
					   f->offset, at);
		if (!type_sum(f->offset, f->extent, &end))
			return wrong_field(-EOVERFLOW, i, f, "its end, %zu + %zu, is beyond what any object can have",
					   f->offset, f->extent);
		if (end > size)
			return wrong_field(-EINVAL, i, f,
					   "it ends at %zu, behind the end of the structure at %zu: pass its sizeof",
					   end, size);
		align = f->type->align > align ? f->type->align : align;
	}
	if (size % align)
		return fail(
			-EINVAL,
			"shv_type_struct: size is %zu, but the members are aligned to %u: for packed structures there is "
			"shv_type_parse(\"^T{...}\")",
			size, align);
	return 0;
}

static int check_struct(const char *name, size_t size, const struct fields *all)
{
	int code = 0;

	if (name && !type_name_ok(name, strnlen(name, TYPE_MAX_NAME + 1)))
		return fail(
			-EINVAL,
			"shv_type_struct: name is empty, longer than %u bytes, or not UTF-8 text: pass a name, or NULL",
			TYPE_MAX_NAME);
	if (!all->first || !all->n)
		return fail(-EINVAL, "shv_type_struct: %s: describe at least one member",
			    all->first ? "n is 0" : "fields is NULL");
	if (all->stride < sizeof(struct shv_field))
		return fail(-EINVAL, "shv_type_struct: fields[0].size is %zu: set it to sizeof(struct shv_field) or 0",
			    all->stride);
	if (size > PTRDIFF_MAX)
		return fail(-EOVERFLOW,
			    "shv_type_struct: size is %zu, more than any object can have: pass sizeof of the structure",
			    size);
	for (size_t i = 0; i < all->n && !code; i++)
		code = check_field(all, i);
	return code ? code : check_layout(all, size);
}

/*
 * One part for each field, whose names must differ. The types of the first *made parts are the
 * caller's to discard.
 */
static int make_parts(const struct fields *all, struct type_part *parts, size_t *made)
{
	ssize_t twice;

	for (size_t i = 0; i < all->n; i++, (*made)++) {
		const struct shv_field *f = field_at(all, i);
		const struct shv_type *t = f->type;

		if (f->extent > t->size)
			t = type_new_array(t, f->extent / t->size);
		if (!t)
			return -ENOMEM;
		parts[i] = (struct type_part){ f->name, strlen(f->name), f->offset, t };
	}
	twice = type_duplicate(parts, all->n);
	if (twice < 0)
		return -ENOMEM;
	if ((size_t)twice == all->n)
		return 0;
	return wrong_field(-EINVAL, (size_t)twice, field_at(all, (size_t)twice), "a field before it has that name");
}

/* The structure without its name. NULL with errno. */
static const struct shv_type *make_struct(size_t size, const struct fields *all)
{
	struct type_part *parts = reallocarray(NULL, all->n, sizeof(*parts));
	struct shv_type *t = NULL;
	size_t made = 0;
	int code = -ENOMEM;

	if (parts)
		code = make_parts(all, parts, &made);
	if (!code) {
		t = type_new_struct(parts, all->n, size);
		code = t ? 0 : -ENOMEM;
	}
	for (size_t i = 0; code && i < made; i++)
		type_discard(parts[i].type);
	free(parts);
	if (!code)
		return type_intern(t);
	if (code == -ENOMEM)
		(void)fail(code, "shv_type_struct: no memory for %zu fields: free some and try again", all->n);
	return null_with(code);
}

SHV_API const shv_type *shv_type_struct(const char *name, size_t size, const struct shv_field *fields, size_t n)
{
	struct fields all = { (const char *)fields, n, sizeof(*fields) };
	const struct shv_type *t;
	int code;

	if (fields && n && fields[0].size)
		all.stride = fields[0].size;
	code = check_struct(name, size, &all);
	t = code ? null_with(code) : make_struct(size, &all);
	return t && name ? type_named(t, name) : t;
}

SHV_API size_t shv_type_members(const shv_type *t)
{
	if (t)
		return t->kind == TYPE_STRUCT ? t->count : 0;
	(void)fail_null(-EINVAL, "shv_type_members: t is NULL: pass a type such as SHV_INT");
	return 0;
}

SHV_API int shv_type_member(const shv_type *t, size_t i, struct shv_field *out)
{
	const struct type_field *f;

	if (!t || !out)
		return fail(-EINVAL, "shv_type_member: %s is NULL", t ? "out" : "t");
	if (out->size && out->size < sizeof(*out))
		return fail(-EINVAL, "shv_type_member: out->size is %zu: set it to sizeof(struct shv_field)", out->size);
	if (t->kind != TYPE_STRUCT || i >= t->count)
		return fail(-ERANGE, "shv_type_member: i is %zu, and type '%s' has %zu members: ask shv_type_members()", i, t->name,
			    t->kind == TYPE_STRUCT ? t->count : (size_t)0);
	f = &t->fields[i];
	out->name = f->name;
	out->type = f->type;
	out->offset = f->offset;
	out->extent = f->type->size;
	return 0;
}

SHV_API ssize_t shv_type_text(const shv_type *t, const void *p, char *buf, size_t size)
{
	if (!t || !p || (!buf && size))
		return fail(-EINVAL, "shv_type_text: %s is NULL", !t ? "t" : !p ? "p" : "buf");
	return type_print(t, p, 1, false, buf, size);
}
