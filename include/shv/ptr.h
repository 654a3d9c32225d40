/* SPDX-License-Identifier: MIT */
/*
 * Offset pointers: what stands for a pointer inside the arena, where addresses mean nothing.
 */
#ifndef SHV_PTR_H
#define SHV_PTR_H

#include <shv/arena.h>
#include <shv/export.h>
#include <stddef.h>
#include <stdint.h>

SHV_BEGIN_DECLS

typedef uint64_t shv_off; /* bytes from the start of the arena; 0 = null */

/* The offset of an address in the mapping of a; 0 with errno ERANGE if it lies outside, EINVAL if a is no attachment, 0 for NULL. Since: 0.1 */
SHV_API shv_off shv_offset(const shv_arena *a, const void *p);
/* The address of `size` bytes at an offset; NULL for 0; NULL with errno ERANGE if they are not within the arena's
 * pages (its tables do not count), EINVAL if a is no attachment. Since: 0.1 */
SHV_API void *shv_pointer(const shv_arena *a, shv_off off, size_t size);

/*
 * SHV_REL(T): a self-relative pointer to T, 8 bytes, for members of structures inside an arena. It holds the distance
 * from itself, so both ends must lie in one mapping; 0 is NULL, so that zeroed memory holds NULL; INT64_MIN is the pointer's own address.
 */
#define SHV_REL(T)                   \
	union {                      \
		int64_t shv_rel_;    \
		T *shv_rel_type_;    \
	}

static inline int64_t shv_rel_distance_(const void *rel, const void *p)
{
	if (!p)
		return 0;
	return p == rel ? INT64_MIN : (int64_t)((uintptr_t)p - (uintptr_t)rel);
}
static inline void *shv_rel_address_(const void *rel, int64_t distance)
{
	if (!distance)
		return NULL;
	return (void *)((uintptr_t)rel + (distance == INT64_MIN ? 0 : (uintptr_t)distance));
}

#ifdef __cplusplus
SHV_END_DECLS
template <typename R> inline void shv_rel_set(R *rel, decltype(R::shv_rel_type_) p)
{
	rel->shv_rel_ = shv_rel_distance_(rel, p);
}
template <typename R> inline auto shv_rel_get(const R *rel) -> decltype(rel->shv_rel_type_)
{
	return (decltype(rel->shv_rel_type_))shv_rel_address_(rel, rel->shv_rel_);
}
SHV_BEGIN_DECLS
#else
#define SHV_IS_VOID_(type) (__builtin_types_compatible_p(type, void *) || __builtin_types_compatible_p(type, const void *))
/*
 * *rel = p. p points at the pointer's target type, or is void *, or NULL; anything else does not compile. (Pointers to different
 * types, chosen between by ?:, give a void *.)
 */
#define shv_rel_set(rel, p)                                                                                                     \
	((void)sizeof(struct {                                                                                                  \
		 _Static_assert(!SHV_IS_VOID_(__typeof__(1 ? (p) : (rel)->shv_rel_type_)) || SHV_IS_VOID_(__typeof__(p)) ||      \
					SHV_IS_VOID_(__typeof__((rel)->shv_rel_type_)),                                          \
				"shv_rel_set: the pointer is to another type");                                                  \
		 char shv_unused_;                                                                                              \
	 }),                                                                                                                    \
	 (rel)->shv_rel_ = shv_rel_distance_((rel), (1 ? (p) : (rel)->shv_rel_type_)))
/* The pointer that rel stands for, with its type; NULL if it is null. Evaluates rel more than once. */
#define shv_rel_get(rel) \
	((__typeof__((rel)->shv_rel_type_))shv_rel_address_((rel), (rel)->shv_rel_))
#endif

SHV_END_DECLS

#endif /* SHV_PTR_H */
