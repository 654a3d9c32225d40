/* SPDX-License-Identifier: MIT */
/* Arrays: n items of one type in one object. Their content is reached by shv_at(), or as a whole by what values offer. */
#include "values/value_private.h"

#include <shv/array.h>

SHV_API shv_value *shv_array_new(shv_arena *a, const shv_type *item, size_t n, const void *init, shv_lockspec lock)
{
	struct object_plan p = { .a = a, .who = "shv_array_new", .type = item, .n = n, .init = init, .lock = &lock, .kind = SHV_KIND_ARRAY };

	return object_make(&p);
}

SHV_API void *shv_raw_array_new(shv_arena *a, const shv_type *item, size_t n, const void *init)
{
	struct object_plan p = { .a = a, .who = "shv_raw_array_new", .type = item, .n = n, .init = init, .kind = SHV_KIND_RAW_ARRAY };

	return object_make(&p);
}

SHV_API size_t shv_len(const shv_value *v)
{
	struct shv_object o;
	uint64_t n = 0;
	int r = object_find(v, &o, "shv_len");

	if (!r && what_kind(o.what) == SHV_KIND_STRING) {
		r = string_len(&o, &n, "shv_len");
	} else if (!r) {
		r = value_find(v, &o, true, "shv_len");
		n = r ? 0 : object_len(&o);
	}
	if (r)
		errno = -r;
	return n;
}

SHV_API void *shv_at(shv_value *v, size_t i)
{
	struct shv_object o;
	uint64_t bytes, n;
	int r = value_find(v, &o, true, "shv_at");

	if (!r)
		r = object_bytes(&o, &bytes, "shv_at");
	if (r)
		return null_with(r);
	n = object_len(&o);
	if (i >= n)
		return fail_null(-ERANGE, "shv_at: i is %zu, but the array has %llu items", i, (unsigned long long)n);
	return (char *)object_payload(&o) + i * (bytes / n);
}
