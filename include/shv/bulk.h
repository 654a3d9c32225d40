/* SPDX-License-Identifier: MIT */
/*
 * Many at once: make, read, change and free n values in one call. To hold the locks of several values at the same time see
 * shv_acquire_all().
 */
#ifndef SHV_BULK_H
#define SHV_BULK_H

#include <shv/arena.h>
#include <shv/export.h>
#include <shv/lock.h>
#include <shv/type.h>
#include <shv/value.h>
#include <stddef.h>

SHV_BEGIN_DECLS

/*
 * Make n values of one type, each with a lock as `lock` says. init: in, n items one behind the other, or NULL for zeros. out: n
 * pointers.
 * Returns: 0; or the negative of what shv_value_new() sets errno to: then none was made, and out holds NULLs.
 * If the caller dies here: those made so far are there, each whole, and nobody has their pointers; shvdump and shv_value_next() show
 * them.
 * Since: 0.1
 */
SHV_API int shv_values_new(shv_arena *a, const shv_type *type, const void *init, shv_lockspec lock, size_t n, shv_value **out);
/* The same for raw values. Since: 0.1 */
SHV_API int shv_raws_new(shv_arena *a, const shv_type *type, const void *init, size_t n, void **out);

/*
 * Read or write the contents of n values of `size` bytes each, one behind the other in out or in. Each under its own lock, one after
 * the other: a picture of all at one moment it is not.
 * Returns: 0, or SHV_RECOVERED if some lock's last holder died with it; or the first error, as shv_get() and shv_set() have it: then
 * those before it were read or written, and shv_errmsg() says which one it was.
 * Since: 0.1
 */
SHV_API int shv_values_get(shv_value *const *v, size_t n, void *out, size_t size);
SHV_API int shv_values_set(shv_value *const *v, size_t n, const void *in, size_t size);

/*
 * Free n values (raw values); NULLs among them are passed over. One that cannot be freed does not keep the others.
 * Returns: 0, or the first error, as shv_value_free() and shv_raw_free() have it; shv_errmsg() says which one it was.
 * If the caller dies here: some are freed, the others are there.
 * Since: 0.1
 */
SHV_API int shv_values_free(shv_value *const *v, size_t n);
SHV_API int shv_raws_free(void *const *p, size_t n);

SHV_END_DECLS

#endif /* SHV_BULK_H */
