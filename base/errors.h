/* SPDX-License-Identifier: MIT */
/*
 * How the library fails. Inside, functions return 0 or a negative errno and say why once, where it is known:
 *	return fail(-EINVAL, "shv_get: size is %zu, but the value's type has %zu bytes: pass sizeof of that type", ...);
 * Constructors end with fail_null(), which moves the code into errno.
 */
#ifndef SHV_BASE_ERRORS_H
#define SHV_BASE_ERRORS_H

#include <stddef.h>

/* Note the sentence for shv_errmsg() and return code (a negative errno). */
int fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));
/* The same with errno = -code and NULL as the result. */
void *fail_null(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));
/* errno = -code, whose sentence is noted already. */
void *null_with(int code) __attribute__((cold));
/* The sentence noted last came from further inside: let it begin with the function that the program called. Returns code. */
int fail_by(int code, const char *who) __attribute__((cold));
/* A system call failed: the sentence names it and the reason; returns -errno, which must be an errno that api.md documents. */
int fail_call(const char *what, const char *hint) __attribute__((cold));

#endif /* SHV_BASE_ERRORS_H */
