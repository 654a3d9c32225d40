/* SPDX-License-Identifier: MIT */
/*
 * Types: immutable descriptors. The basic ones are constants of the library; others are made from
 * format strings of the buffer protocol (PEP 3118, as memoryview(x).format prints them in Python).
 *
 * Concurrency: descriptors never change and may be used by any thread. Those that shv_type_parse()
 * and shv_type_struct() return live as long as the process.
 */
#ifndef SHV_TYPE_H
#define SHV_TYPE_H

#include <shv/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <wchar.h>

SHV_BEGIN_DECLS

typedef struct shv_type shv_type;

SHV_API extern const struct shv_type shv_type_char_, shv_type_schar_, shv_type_uchar_, shv_type_wchar_, shv_type_bool_,
	shv_type_short_, shv_type_ushort_, shv_type_int_, shv_type_uint_, shv_type_long_, shv_type_ulong_,
	shv_type_longlong_, shv_type_ulonglong_, shv_type_float_, shv_type_double_, shv_type_longdouble_;

#define SHV_CHAR (&shv_type_char_)             /* char: one byte of text, "c" */
#define SHV_SCHAR (&shv_type_schar_)           /* signed char, "b" */
#define SHV_UCHAR (&shv_type_uchar_)           /* unsigned char, "B" */
#define SHV_WCHAR (&shv_type_wchar_)           /* wchar_t, "w" (as Python's "u" on Linux); in C, SHV_TYPE_OF(wchar_t) is that of int */
#define SHV_BOOL (&shv_type_bool_)             /* bool, "?" */
#define SHV_SHORT (&shv_type_short_)           /* "h" */
#define SHV_USHORT (&shv_type_ushort_)         /* "H" */
#define SHV_INT (&shv_type_int_)               /* "i" */
#define SHV_UINT (&shv_type_uint_)             /* "I" */
#define SHV_LONG (&shv_type_long_)             /* "l" */
#define SHV_ULONG (&shv_type_ulong_)           /* "L" */
#define SHV_LONGLONG (&shv_type_longlong_)     /* "q" */
#define SHV_ULONGLONG (&shv_type_ulonglong_)   /* "Q" */
#define SHV_FLOAT (&shv_type_float_)           /* "f" */
#define SHV_DOUBLE (&shv_type_double_)         /* "d" */
#define SHV_LONGDOUBLE (&shv_type_longdouble_) /* "g" */

/* The exact-width names stand for the basic type that has the width. */
#define SHV_INT8 SHV_SCHAR
#define SHV_UINT8 SHV_UCHAR
#define SHV_INT16 SHV_SHORT
#define SHV_UINT16 SHV_USHORT
#define SHV_INT32 SHV_INT
#define SHV_UINT32 SHV_UINT
#if defined(__LP64__)
#define SHV_INT64 SHV_LONG
#define SHV_UINT64 SHV_ULONG
#define SHV_SIZE SHV_ULONG
#else
#define SHV_INT64 SHV_LONGLONG
#define SHV_UINT64 SHV_ULONGLONG
#define SHV_SIZE SHV_UINT
#endif

/*
 * The type of a typecode of Python's array and struct modules and of ctypes:
 * c b B u w h H i I l L q Q f d g ? (u and w: wchar_t).
 * Returns: the type; NULL with errno EINVAL for any other character.
 * Since: 0.1
 */
SHV_API const shv_type *shv_typecode(char c);

/*
 * The type that a PEP 3118 format string describes: "q", "<i", "(3)i", "T{d:x:d:y:}", nested.
 *
 * Modes @ (to begin with) = < > ! ^ and codes c b B ? h H i I l L q Q n N e f d g Zf Zd Zg u w s p x T{} mean what the struct
 * module and PEP 3118 say; u is wchar_t, as ctypes and array.array have it. A count is a sub-array: "3i" is "(3)i". Several
 * items without T{} have the size that struct.calcsize() says; T{} in mode @ is laid out as C does it. What memoryview()
 * prints for structures of ctypes has their size, alignment and offsets, although CPython 3.11 leaves the padding out: a T{}
 * whose codes each have a < or > of their own, which has none in front of itself and no padding, is aligned natively.
 * (Unions, packed structures, bit fields and base classes cannot be told from what ctypes prints.)
 * Pointers ("P", "&", "X", "O", "z", "Z") are refused: an address means nothing in another process.
 *
 * pep3118: in, at most 32 structures deep, 32 dimensions an array; names of members: up to 255 bytes of UTF-8, unique in
 * their structure.
 * Returns: a descriptor, the same one for equal formats; NULL with errno EINVAL (shv_errmsg() gives the position: bytes from
 *          the start), EOVERFLOW (larger than the address space allows) or ENOMEM.
 * If the caller dies here: nothing is left in any arena.
 * Source: PEP 3118; the struct module and ctypes of CPython 3.11.
 * Since: 0.1
 */
SHV_API const shv_type *shv_type_parse(const char *pep3118);

/* One member of a C structure, as SHV_FIELD() fills it. */
struct shv_field {
	size_t size;          /* sizeof(struct shv_field), or 0 */
	const char *name;     /* of the member */
	const shv_type *type; /* of one item */
	size_t offset;        /* in bytes from the start of the structure */
	size_t extent;        /* sizeof the member: one item, or a whole number of them */
};

/* Describes `member` of structure type T, whose items (itself, or the elements of an array) have `type`. */
#define SHV_FIELD(T, member, type_) \
	{ sizeof(struct shv_field), #member, (type_), offsetof(T, member), sizeof(((T *)0)->member) }

/*
 * The type of a C structure, from a description of its members in the order of their offsets.
 * Checked: names (identifiers, unique), sizes against the types, offsets against alignments, each other and `size`. Bytes
 * between the members are padding. Packed structures are described by shv_type_parse("^T{...}").
 *
 * An arena knows one layout for each name: who makes a value there with another one gets EPROTONOSUPPORT. (A program built from an
 * older header is thus found out. Structures without a name, and the same layout in other words, such as long for long long, are
 * not affected; nor are structures inside others, whose names do not count.)
 *
 * name: in, may be NULL. size: sizeof the structure. fields: in, n descriptions; not used afterwards.
 * Returns: a descriptor, the same one for equal descriptions; NULL with errno EINVAL (shv_errmsg() names the field),
 *          EOVERFLOW or ENOMEM.
 * Since: 0.1
 */
SHV_API const shv_type *shv_type_struct(const char *name, size_t size, const struct shv_field *fields, size_t n);

/* Bytes of one object of the type; 0 with errno EINVAL for NULL. Since: 0.1 */
SHV_API size_t shv_type_size(const shv_type *t);
/* Its alignment in bytes, a power of two; 0 with errno EINVAL for NULL. Since: 0.1 */
SHV_API size_t shv_type_align(const shv_type *t);
/*
 * Its PEP 3118 format, written in one way for equal types: native mode, all padding spelled out, counts as (3). Reading it
 * gives the type again, without its name. NULL with errno EINVAL for NULL. Since: 0.1
 */
SHV_API const char *shv_type_format(const shv_type *t);
/* Its name: the C name of a basic type, the given name of a structure, else the format. Since: 0.1 */
SHV_API const char *shv_type_name(const shv_type *t);

/* How many members a structure type has; 0 for any other type, and with errno EINVAL for NULL. Since: 0.1 */
SHV_API size_t shv_type_members(const shv_type *t);
/*
 * Member i of a structure type, in the order of the offsets. out->name is NULL for one without a name; out->type is the type of
 * the member as a whole, an array type for an array, and out->extent is its bytes.
 * Returns: 0; -EINVAL (t or out is NULL, or out->size is not known), -ERANGE (t has no so many members, or is no structure).
 * Since: 0.1
 */
SHV_API int shv_type_member(const shv_type *t, size_t i, struct shv_field *out);
/*
 * Print one object of the type as text: "42", "[1, 2]", "{x=1, y=2}", "'A'". p: its shv_type_size(t) bytes, which need not be
 * aligned. At most `size` bytes of buf are written, NUL included.
 * Returns: the length, as snprintf; where that is far beyond `size` it is not found out, and the result is some length >= size.
 *          -EINVAL: t or p is NULL, or buf is and size is not 0.
 * Since: 0.1
 */
SHV_API ssize_t shv_type_text(const shv_type *t, const void *p, char *buf, size_t size);

#ifdef __cplusplus
SHV_END_DECLS
template <typename T> struct shv_type_of; /* no definition: other types are refused at compile time */
#define SHV_TYPE_OF_CXX_(T, sym)                                    \
	template <> struct shv_type_of<T> {                         \
		static const shv_type *get() { return &(sym); }     \
	}
SHV_TYPE_OF_CXX_(char, shv_type_char_);
SHV_TYPE_OF_CXX_(signed char, shv_type_schar_);
SHV_TYPE_OF_CXX_(unsigned char, shv_type_uchar_);
SHV_TYPE_OF_CXX_(wchar_t, shv_type_wchar_);
SHV_TYPE_OF_CXX_(bool, shv_type_bool_);
SHV_TYPE_OF_CXX_(short, shv_type_short_);
SHV_TYPE_OF_CXX_(unsigned short, shv_type_ushort_);
SHV_TYPE_OF_CXX_(int, shv_type_int_);
SHV_TYPE_OF_CXX_(unsigned int, shv_type_uint_);
SHV_TYPE_OF_CXX_(long, shv_type_long_);
SHV_TYPE_OF_CXX_(unsigned long, shv_type_ulong_);
SHV_TYPE_OF_CXX_(long long, shv_type_longlong_);
SHV_TYPE_OF_CXX_(unsigned long long, shv_type_ulonglong_);
SHV_TYPE_OF_CXX_(float, shv_type_float_);
SHV_TYPE_OF_CXX_(double, shv_type_double_);
SHV_TYPE_OF_CXX_(long double, shv_type_longdouble_);
#undef SHV_TYPE_OF_CXX_
#define SHV_TYPE_OF(T) (shv_type_of<T>::get())
SHV_BEGIN_DECLS
#else
/* The descriptor of a basic C type, chosen at compile time; a structure type does not compile. */
#define SHV_TYPE_OF(T)                                        \
	_Generic(*(T *)0, char                                \
		 : SHV_CHAR, signed char                      \
		 : SHV_SCHAR, unsigned char                   \
		 : SHV_UCHAR, _Bool                           \
		 : SHV_BOOL, short                            \
		 : SHV_SHORT, unsigned short                  \
		 : SHV_USHORT, int                            \
		 : SHV_INT, unsigned int                      \
		 : SHV_UINT, long                             \
		 : SHV_LONG, unsigned long                    \
		 : SHV_ULONG, long long                       \
		 : SHV_LONGLONG, unsigned long long           \
		 : SHV_ULONGLONG, float                       \
		 : SHV_FLOAT, double                          \
		 : SHV_DOUBLE, long double                    \
		 : SHV_LONGDOUBLE)
#endif

SHV_END_DECLS

#endif /* SHV_TYPE_H */
