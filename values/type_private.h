/* SPDX-License-Identifier: MIT */
/*
 * Type descriptors inside the library.
 *
 *   type.c     the basic types and their ids, getters, shv_typecode(), shv_type_struct()
 *   format.c   PEP 3118 text to descriptor
 *   intern.c   descriptor to canonical text; the process's table of made types: equal text and name, same pointer
 *   print.c    content as text
 *   type_id.c  descriptors and their numbers in an arena; the only one of these files that knows arenas
 *
 * All of this is process-local ordinary memory. A descriptor never changes once others can see it
 * and is never freed, so that readers need no lock; the table takes new ones by compare-and-swap,
 * so that a fork in the middle of it leaves the child with nothing locked.
 */
#ifndef SHV_VALUES_TYPE_PRIVATE_H
#define SHV_VALUES_TYPE_PRIVATE_H

#include <assert.h>
#include <shv/type.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef HIDDEN
#define HIDDEN __attribute__((visibility("hidden")))
#endif

struct shv_geo;
struct shv_member;
struct shv_type_text;
struct type_part;

/*
 * Numbers of the basic types: the same in every arena, stored in slots, never to be given another
 * meaning. 0 is no type, SHV_TYPE_FIRST (32) and up are made types, numbered by each arena. Sizes
 * and alignments belong to the machine; the layout stamp of an arena covers them.
 *
 * The names are those of the constants in <shv/type.h>; HALF and the complex ones have none there
 * (shv_type_parse("e")).
 */
enum type_basic_id {
	TYPE_ID_NONE = 0,
	TYPE_ID_CHAR = 1,        /* c */
	TYPE_ID_SCHAR = 2,       /* b */
	TYPE_ID_UCHAR = 3,       /* B */
	TYPE_ID_WCHAR = 4,       /* w; read as u too */
	TYPE_ID_BOOL = 5,        /* ? */
	TYPE_ID_SHORT = 6,       /* h */
	TYPE_ID_USHORT = 7,      /* H */
	TYPE_ID_INT = 8,         /* i */
	TYPE_ID_UINT = 9,        /* I */
	TYPE_ID_LONG = 10,       /* l; read as n too */
	TYPE_ID_ULONG = 11,      /* L; read as N too */
	TYPE_ID_LONGLONG = 12,   /* q */
	TYPE_ID_ULONGLONG = 13,  /* Q */
	TYPE_ID_FLOAT = 14,      /* f */
	TYPE_ID_DOUBLE = 15,     /* d */
	TYPE_ID_LONGDOUBLE = 16, /* g */
	TYPE_ID_HALF = 17,       /* e: IEEE 754 binary16 */
	TYPE_ID_CFLOAT = 18,     /* Zf: complex, real part first */
	TYPE_ID_CDOUBLE = 19,    /* Zd */
	TYPE_ID_CLONGDOUBLE = 20, /* Zg */
	TYPE_ID_END
};
static_assert(TYPE_ID_END <= 32, "ids below SHV_TYPE_FIRST are basic types");

/*
 * What the short ways ask of a basic type, as sets of numbers: the answer is then a few shifts, not loads behind each other. A
 * unit test compares them with the table. Sizes: the binary logarithm, two bits for each.
 */
#define TYPE_IN(set, id) ((set) >> (id) & 1u)
#define TYPE_SET(id) (UINT32_C(1) << (id))
#define TYPES_SMALL                                                                                                               \
	(((TYPE_SET(TYPE_ID_END) - 1) & ~(TYPE_SET(TYPE_ID_NONE) | TYPE_SET(TYPE_ID_CDOUBLE) | TYPE_SET(TYPE_ID_CLONGDOUBLE))) &  \
	 ~(sizeof(long double) > 8 ? TYPE_SET(TYPE_ID_LONGDOUBLE) : 0u))
#define TYPES_UNSIGNED                                                                                                            \
	(TYPE_SET(TYPE_ID_UCHAR) | TYPE_SET(TYPE_ID_USHORT) | TYPE_SET(TYPE_ID_UINT) | TYPE_SET(TYPE_ID_ULONG) |                  \
	 TYPE_SET(TYPE_ID_ULONGLONG))
#define TYPES_SIGNED                                                                                                              \
	(TYPE_SET(TYPE_ID_SCHAR) | TYPE_SET(TYPE_ID_SHORT) | TYPE_SET(TYPE_ID_INT) | TYPE_SET(TYPE_ID_LONG) | TYPE_SET(TYPE_ID_LONGLONG))
#define TYPE_LOG_(id, T) ((uint64_t)(sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3) << 2 * (id))
#define TYPE_LOGS                                                                                                                 \
	(TYPE_LOG_(TYPE_ID_WCHAR, wchar_t) | TYPE_LOG_(TYPE_ID_BOOL, bool) | TYPE_LOG_(TYPE_ID_SHORT, short) |                    \
	 TYPE_LOG_(TYPE_ID_USHORT, short) | TYPE_LOG_(TYPE_ID_INT, int) | TYPE_LOG_(TYPE_ID_UINT, int) |                          \
	 TYPE_LOG_(TYPE_ID_LONG, long) | TYPE_LOG_(TYPE_ID_ULONG, long) | TYPE_LOG_(TYPE_ID_LONGLONG, long long) |                \
	 TYPE_LOG_(TYPE_ID_ULONGLONG, long long) | TYPE_LOG_(TYPE_ID_FLOAT, float) | TYPE_LOG_(TYPE_ID_DOUBLE, double) |          \
	 TYPE_LOG_(TYPE_ID_LONGDOUBLE, long double) | TYPE_LOG_(TYPE_ID_HALF, uint16_t) | TYPE_LOG_(TYPE_ID_CFLOAT, float _Complex))

/* Bytes of a type of TYPES_SMALL. */
static inline unsigned type_small_size(unsigned id)
{
	return 1u << (TYPE_LOGS >> 2 * id & 3u);
}

/*
 * What arithmetic a type has. Only native byte order counts: swapped numbers are TYPE_OTHER, as are
 * half and complex.
 */
enum type_class {
	TYPE_OTHER = 0,
	TYPE_SIGNED,
	TYPE_UNSIGNED,
	TYPE_FLOAT,
	TYPE_BOOL,
	TYPE_CHAR,
	TYPE_WCHAR
};

enum type_kind {
	TYPE_SCALAR = 0,
	TYPE_PASCAL, /* "10p": a length byte and text, one object of `size` bytes */
	TYPE_ARRAY,  /* `count` times `item`; (2,3)d is 2 times (3)d */
	TYPE_STRUCT  /* `count` fields, by offset */
};

/* A member of a structure. Padding is not one; unnamed members are (name NULL). */
struct type_field {
	const char *name;
	size_t offset;
	const struct shv_type *type;
};

/*
 * A descriptor. Programs that are not position independent get copies of the shv_type_...
 * constants, as large as they were when the program was linked. So the size is fixed for ever, and
 * no constant holds its own address.
 */
struct shv_type {
	const char *format;              /* canonical text */
	const char *name;                /* see shv_type_name() */
	size_t size;
	uint32_t align;
	uint8_t id;                      /* enum type_basic_id, 0 for made types */
	uint8_t kind;                    /* enum type_kind */
	uint8_t class_;                  /* enum type_class */
	char code;                       /* scalars: of the native type; complex: that of a part */
	bool swapped;                    /* scalars: the other byte order than the machine's */
	bool complex_;                   /* scalars: two parts of code */
	bool packed;                     /* somewhere inside, something does not lie where natural alignment puts it */
	bool named;                      /* `name` was given: a variant of *plain */
	bool interned;                   /* in the process's table (basic types count) */
	uint8_t small;                   /* basic types of 1, 2, 4 or 8 bytes: so many; else 0 */
	uint8_t depth;                   /* structures in structures, 0 if it contains none */
	uint8_t dims;                    /* arrays of arrays, 0 if it is none */
	size_t count;                    /* items or fields */
	const struct shv_type *item;     /* of arrays; of swapped scalars: the same in native order */
	const struct type_field *fields; /* of structures */
	const struct shv_type *plain;    /* of named types: the same without name */
	struct shv_type *next;           /* table chain */
	uint64_t hash;
	uint64_t spare[5];
};
#if defined(__LP64__)
static_assert(sizeof(struct shv_type) == 128, "copied into programs: see above");
#endif

#define TYPE_MAX_DEPTH 32u /* structures in structures */
#define TYPE_MAX_DIMS 32u
#define TYPE_MAX_NAME 255u /* bytes of a type's or field's name */

/* ---- type.c ------------------------------------------------------------------------------------------ */

/* The basic type of an id; NULL for others. */
const struct shv_type *type_basic(uint32_t id) HIDDEN;
extern const struct shv_type *const type_basics[32] HIDDEN; /* by number; NULL where there is none */
/*
 * The basic type of a code in native mode ("u" and "n" too), its `complex_` form if asked for; NULL
 * if there is none.
 */
const struct shv_type *type_of_code(char code, bool complex_) HIDDEN;

static inline enum type_class type_class(const struct shv_type *t)
{
	return (enum type_class)t->class_;
}

/*
 * Do two descriptors mean the same bytes? Names of types do not count, names of fields do; integers
 * of one size and signedness are the same ("l" and "q" on 64-bit machines: Python's ctypes calls a
 * C long "<q").
 */
bool type_same(const struct shv_type *a, const struct shv_type *b) HIDDEN;
/*
 * A field of a structure by name (len bytes, need not end in NUL); NULL if there is none, or t is
 * no structure.
 */
const struct type_field *type_field_find(const struct shv_type *t, const char *name, size_t len) HIDDEN;
/* Valid UTF-8 without control characters, 1 to TYPE_MAX_NAME bytes? */
bool type_name_ok(const char *name, size_t len) HIDDEN;
/* Index of the first part whose name another one before it has; n if all differ; -1: no memory. */
ssize_t type_duplicate(const struct type_part *parts, size_t n) HIDDEN;
/* Bytes of the UTF-8 sequence at s, of which n can be read, and its character; 0 if it is none. */
size_t type_utf8(const char *s, size_t n, uint32_t *character) HIDDEN;

/* ---- format.c ---------------------------------------------------------------------------------------- */

/* shv_type_parse() for another caller: `who` begins the sentence. NULL with errno. */
const struct shv_type *type_parse(const char *text, const char *who) HIDDEN;

/* ---- intern.c ---------------------------------------------------------------------------------------- */

/*
 * Descriptors under construction: ordinary memory of the maker, whose parts may be interned
 * already. The makers set size, alignment, depth and the like; products and sums must have been
 * checked by type_mul(). They own their parts from success on. NULL: no memory.
 */
struct type_part {
	const char *name;            /* NULL: none */
	size_t name_len;
	size_t offset;
	const struct shv_type *type;
};
struct shv_type *type_new_struct(const struct type_part *parts, size_t n, size_t size) HIDDEN;
struct shv_type *type_new_array(const struct shv_type *item, size_t count) HIDDEN;
struct shv_type *type_new_pascal(size_t size) HIDDEN;
struct shv_type *type_new_swapped(const struct shv_type *native) HIDDEN;
void type_discard(const struct shv_type *t) HIDDEN; /* parts too; what is interned is left alone */

/* Sizes are kept below PTRDIFF_MAX. false: too large. */
static inline bool type_mul(size_t a, size_t b, size_t *out)
{
	return !__builtin_mul_overflow(a, b, out) && *out <= PTRDIFF_MAX;
}
static inline bool type_sum(size_t a, size_t b, size_t *out)
{
	return !__builtin_add_overflow(a, b, out) && *out <= PTRDIFF_MAX;
}

/*
 * Takes a descriptor over and returns the one in the table that equals it. NULL with errno ENOMEM
 * (and it is discarded).
 */
const struct shv_type *type_intern(const struct shv_type *made) HIDDEN;
/* The variant of an interned type that has a name. NULL with errno ENOMEM. */
const struct shv_type *type_named(const struct shv_type *plain, const char *name) HIDDEN;
/*
 * A type by canonical text and name (NULL or "": none); NULL if this process has not made it. Basic
 * types too.
 */
const struct shv_type *type_lookup(const char *format, const char *name) HIDDEN;
/* For fuzzing: forget all made types. Nobody may be using one. */
void type_forget_all(void) HIDDEN;

/* ---- print.c ----------------------------------------------------------------------------------------- */

/*
 * Content as text: 42, 3.5, 'A', true, [1, 2], {x=1, y=2}, and "text" for arrays of characters, up
 * to their first NUL. array: n_items items of type t, else one. At most `size` bytes of buf are
 * written, NUL included. payload need not be aligned and may be changing: each scalar is read once.
 *
 * Returns: the length, as snprintf. Where that is far beyond `size` it is not found out: then some
 * length >= size.
 */
ssize_t type_print(const struct shv_type *t, const void *payload, size_t n_items, bool array, char *buf,
		   size_t size) HIDDEN;
/* The same for a string's n characters, all of them: zeros are escaped. t: of one character. */
ssize_t type_print_string(const struct shv_type *t, const void *text, size_t n, char *buf, size_t size) HIDDEN;

/* ---- type_id.c --------------------------------------------------------------------------------------- */

/*
 * The number of a type in an arena, made known there if need be; negative errno of
 * table_type_intern() with its sentence: -EPROTONOSUPPORT if its name stands for another layout there.
 */
int type_id(struct shv_member *m, const struct shv_type *t) HIDDEN;
/*
 * The type of a number that was read from an arena; NULL with errno EUCLEAN (the arena contradicts
 * itself) or ENOMEM.
 */
const struct shv_type *type_by_id(const char *base, const struct shv_geo *g, uint32_t id) HIDDEN;
/* Text, size and alignment of any number, without making a descriptor. 0, -ENOENT, -EUCLEAN. */
int type_text_of(const char *base, const struct shv_geo *g, uint32_t id, struct shv_type_text *out) HIDDEN;

#endif /* SHV_VALUES_TYPE_PRIVATE_H */
