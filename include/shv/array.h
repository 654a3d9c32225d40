/* SPDX-License-Identifier: MIT */
/*
 * Arrays: n items of one type under one lock (Python's Array), or without (RawArray). Everything that takes a shv_value
 * takes an array; shv_value_free() and shv_raw_free() free them.
 */
#ifndef SHV_ARRAY_H
#define SHV_ARRAY_H

#include <shv/arena.h>
#include <shv/export.h>
#include <shv/lock.h>
#include <shv/type.h>
#include <shv/value.h>
#include <stddef.h>
#include <wchar.h>

SHV_BEGIN_DECLS

/*
 * Make an array. item: type of one. n: how many, 0 is legal. init: in, n items, or NULL for zeros.
 * Returns: as shv_value_new(); EOVERFLOW for n items that no address space holds.
 * If the caller dies here: it is there whole, or not at all.
 * Since: 0.1
 */
SHV_API shv_value *shv_array_new(shv_arena *a, const shv_type *item, size_t n, const void *init, shv_lockspec lock);
/* The same without a lock: the items themselves. Free it with shv_raw_free(). Since: 0.1 */
SHV_API void *shv_raw_array_new(shv_arena *a, const shv_type *item, size_t n, const void *init);
/* Items of an array or raw array; 1 for other values; 0 with errno EINVAL or ESTALE. Since: 0.1 */
SHV_API size_t shv_len(const shv_value *v);
/* Address of item i; hold the lock while you use it. NULL with errno ERANGE (past the end), EINVAL, ESTALE. Since: 0.1 */
SHV_API void *shv_at(shv_value *v, size_t i);

/*
 * Copy one item, or n items from number `from` on, out or in, under the array's lock. Other values, and raw objects, are arrays of
 * one item. size must be that of the item, or of the n items; n may be 0 (then out and in may be NULL). Without a lock (SHV_NONE,
 * raw) 1, 2, 4 and 8 bytes in all are one atomic access, if they are aligned to their size; more are copied without
 * synchronisation. On a read-only attachment getting is as shv_peek().
 *
 * Returns: 0, or SHV_RECOVERED; -ERANGE (past the end), -EINVAL (size, NULL, a text), or what shv_acquire() returns; shv_peek()'s
 *          on a read-only attachment. Nothing is copied then.
 * If the caller dies inside set: the next taker gets SHV_RECOVERED; the items may be half-written, no others are.
 * Source: a[i] and a[i:j] of multiprocessing.Array, without negative indices and steps.
 * Since: 0.1
 */
SHV_API int shv_get_item(shv_value *v, size_t i, void *out, size_t size);
SHV_API int shv_set_item(shv_value *v, size_t i, const void *in, size_t size);
SHV_API int shv_get_slice(shv_value *v, size_t from, size_t n, void *out, size_t size);
SHV_API int shv_set_slice(shv_value *v, size_t from, size_t n, const void *in, size_t size);

/*
 * Text in an array of SHV_CHAR, or of SHV_WCHAR, or in a value whose type is such an array ("(16)c"), under its lock. It goes up to
 * the first NUL, or fills the array and then has none. (All of the characters: shv_get(), shv_set().)
 *
 * get: buf: out, n characters: as much of the text as n - 1 hold, and a NUL; n = 0: nothing. length: out, may be NULL: characters
 *      of the whole text, so that it was cut if *length >= n.
 * set: text: in, n characters, NULs among them are legal; a NUL follows if there is room, and what lies behind that stays as it was.
 * Units are characters: bytes for char, wchar_t for the other.
 *
 * Returns: 0, or SHV_RECOVERED; -EOVERFLOW (set: n is more than the array has; it is not changed), -EINVAL (no such array; NULL),
 *          or what shv_acquire() returns. Get on a read-only attachment: shv_peek()'s, and -ENOMEM. *length is untouched on failure.
 * If the caller dies inside set: the next taker gets SHV_RECOVERED; the text may be half-written.
 * Source: the attribute `value` of ctypes' arrays of c_char and c_wchar, CPython 3.11; `raw` is the whole content.
 * Since: 0.1
 */
SHV_API int shv_chars_get(shv_value *v, char *buf, size_t n, size_t *length);
SHV_API int shv_chars_set(shv_value *v, const char *text, size_t n);
SHV_API int shv_wchars_get(shv_value *v, wchar_t *buf, size_t n, size_t *length);
SHV_API int shv_wchars_set(shv_value *v, const wchar_t *text, size_t n);

SHV_END_DECLS

#endif /* SHV_ARRAY_H */
