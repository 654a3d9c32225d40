/* SPDX-License-Identifier: MIT */
/*
 * Members by name: for programs that were compiled without the structure, and for those that check what they find.
 *
 * A path names a part of a value: "x", "pos.x", "m[1][2]", "[3].pos.x". Names are those of the type's description, indices are
 * decimal and begin with 0; of an array (shv_array_new) an item is named first. "" is the whole of a value that is no array.
 * A member whose name contains "." or "[" cannot be reached, nor one without a name.
 */
#ifndef SHV_FIELD_H
#define SHV_FIELD_H

#include <shv/export.h>
#include <shv/type.h>
#include <shv/value.h>
#include <stddef.h>

SHV_BEGIN_DECLS

/* Where a path leads. */
struct shv_field_info {
	size_t size;          /* in: sizeof(struct shv_field_info), or 0 */
	size_t offset;        /* bytes from the start of the type's object */
	size_t extent;        /* bytes of what is there */
	const shv_type *type; /* of it; for a whole array member that of the array, such as "(3)i" */
};

/*
 * Follow a path once, to use it often: the member is at (char *)shv_value_data(v) + offset, or, of an array's item, at
 * (char *)shv_at(v, i) + offset. t: where to begin, of an array its item. out: filled.
 *
 * Returns: 0; -ENOENT (no such member, or an index into what is no array), -ERANGE (index past the end), -EINVAL (NULL; a
 *          path that is none: shv_errmsg() gives the position, in bytes from its start; out->size).
 * Concurrency: any thread; no arena is touched.
 * Since: 0.1
 */
SHV_API int shv_type_field(const shv_type *t, const char *path, struct shv_field_info *out);

/*
 * Address of a member in a value, array, or raw object; hold the lock while you use it. In a packed structure it may not be aligned.
 * type: what it must be, by content (names do not count, long and long long are the same if they have the same size); NULL: anything.
 *
 * Returns: the address; NULL with errno ENOENT, ERANGE, EINVAL (as shv_type_field(); another type; not a value, a text), ESTALE.
 * Since: 0.1
 */
SHV_API void *shv_field_at(shv_value *v, const char *path, const shv_type *type);
#ifndef __cplusplus
/* The same by a shorter name; in C++ that is the structure's (shv_type_struct()), which can be written without `struct` there. */
static inline void *shv_field(shv_value *v, const char *path, const shv_type *type)
{
	return shv_field_at(v, path, type);
}
#endif

/*
 * Copy a member out or in, under the value's lock. size must be its size. Without a lock (SHV_NONE, raw) an aligned member of 1, 2,
 * 4 or 8 bytes is one atomic access; others are copied without synchronisation. On a read-only attachment getting is as shv_peek().
 *
 * Returns: 0, or SHV_RECOVERED; -ENOENT, -ERANGE, -EINVAL (as shv_type_field(); size, a text), or what shv_acquire() returns;
 *          shv_peek()'s on a read-only attachment. Nothing is copied then.
 * If the caller dies inside set: the next taker gets SHV_RECOVERED; the member may be half-written, no other is.
 * Source: the properties of multiprocessing.Value(Structure), each access of which takes the lock.
 * Since: 0.1
 */
SHV_API int shv_field_get(shv_value *v, const char *path, void *out, size_t size);
SHV_API int shv_field_set(shv_value *v, const char *path, const void *in, size_t size);

SHV_END_DECLS

#endif /* SHV_FIELD_H */
