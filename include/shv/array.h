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

SHV_END_DECLS

#endif /* SHV_ARRAY_H */
