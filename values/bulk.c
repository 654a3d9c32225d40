/* SPDX-License-Identifier: MIT */
/* Many values at once: each by the function for one, which has the short ways. */
#include "base/atomic.h"
#include "base/errors.h"

#include <shv/bulk.h>
#include <shv/error.h>
#include <shv/raw.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The sentence of what failed, with its number in front of it. */
static int fail_at(int r, size_t i, const char *who)
{
	char said[300];

	snprintf(said, sizeof(said), "%s", shv_errmsg());
	return fail(r, "%s: item %zu: %s", who, i, said);
}

static int check_many(const void *p, size_t n, const char *what, const char *who)
{
	return p || !n ? 0 : fail(-EINVAL, "%s: %s is NULL, but n is %zu", who, what, n);
}

static int make_many(shv_arena *a, const shv_type *type, const void *init, const shv_lockspec *lock, size_t n, void **out, const char *who)
{
	size_t size = type ? shv_type_size(type) : 0;
	int r = check_many(out, n, "out", who);

	if (r)
		return r;
	for (size_t i = 0; i < n; i++) {
		const void *one = init ? (const char *)init + i * size : NULL;
		out[i] = lock ? (void *)shv_value_new(a, type, one, *lock) : shv_raw_new(a, type, one);
		if (likely(out[i] != NULL))
			continue;
		r = fail_at(-errno, i, who);
		while (i--)
			(void)(lock ? shv_value_free(out[i]) : shv_raw_free(out[i])); /* nobody knew them */
		memset(out, 0, n * sizeof(*out));
		return r;
	}
	return 0;
}

SHV_API int shv_values_new(shv_arena *a, const shv_type *type, const void *init, shv_lockspec lock, size_t n, shv_value **out)
{
	return make_many(a, type, init, &lock, n, (void **)out, "shv_values_new");
}

SHV_API int shv_raws_new(shv_arena *a, const shv_type *type, const void *init, size_t n, void **out)
{
	return make_many(a, type, init, NULL, n, out, "shv_raws_new");
}

SHV_API int shv_values_get(shv_value *const *v, size_t n, void *out, size_t size)
{
	int r = check_many(v, n, "v", "shv_values_get"), status = 0;

	if (!r && size)
		r = check_many(out, n, "out", "shv_values_get");
	for (size_t i = 0; !r && i < n; i++) {
		int one = shv_get(v[i], (char *)out + i * size, size);
		if (one < 0)
			r = fail_at(one, i, "shv_values_get");
		status |= one == SHV_RECOVERED;
	}
	return r ? r : status;
}

SHV_API int shv_values_set(shv_value *const *v, size_t n, const void *in, size_t size)
{
	int r = check_many(v, n, "v", "shv_values_set"), status = 0;

	if (!r && size)
		r = check_many(in, n, "in", "shv_values_set");
	for (size_t i = 0; !r && i < n; i++) {
		int one = shv_set(v[i], (const char *)in + i * size, size);
		if (one < 0)
			r = fail_at(one, i, "shv_values_set");
		status |= one == SHV_RECOVERED;
	}
	return r ? r : status;
}

SHV_API int shv_values_free(shv_value *const *v, size_t n)
{
	int r = check_many(v, n, "v", "shv_values_free");

	for (size_t i = 0; v && i < n; i++) {
		int one = v[i] ? shv_value_free(v[i]) : 0;
		if (unlikely(one && !r))
			r = fail_at(one, i, "shv_values_free");
	}
	return r;
}

SHV_API int shv_raws_free(void *const *p, size_t n)
{
	int r = check_many(p, n, "p", "shv_raws_free");

	for (size_t i = 0; p && i < n; i++) {
		int one = p[i] ? shv_raw_free(p[i]) : 0;
		if (unlikely(one && !r))
			r = fail_at(one, i, "shv_raws_free");
	}
	return r;
}
