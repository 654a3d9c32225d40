/* SPDX-License-Identifier: MIT */
/*
 * Raw values: the payload itself, typed and listed like a value, with no lock (Python's RawValue).
 */
#ifndef SHV_RAW_H
#define SHV_RAW_H

#include <shv/arena.h>
#include <shv/export.h>
#include <shv/type.h>
#include <stddef.h>

SHV_BEGIN_DECLS

/*
 * Make a raw value: zeroed memory, then *init if given.
 * Returns: a pointer to the payload, or NULL with errno: EINVAL, EPROTONOSUPPORT (as shv_value_new()), ENOSPC, ENOMEM, EROFS, EUSERS,
 *          ENOTRECOVERABLE.
 * If the caller dies here: it is there whole, or not at all.
 * Since: 0.1
 */
SHV_API void *shv_raw_new(shv_arena *a, const shv_type *type, const void *init);

/*
 * Free a raw value or raw array, from any process. Nobody may be using it.
 * Returns: 0; -EINVAL (not one), -ESTALE (freed already), -EROFS.
 * Since: 0.1
 */
SHV_API int shv_raw_free(void *p);

SHV_END_DECLS

#endif /* SHV_RAW_H */
