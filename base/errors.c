/* SPDX-License-Identifier: MIT */
/* The sentence behind shv_errmsg(): one buffer a thread, no allocation. */
#include "base/errors.h"

#include <errno.h>
#include <shv/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static __thread char message[320];

static void note(const char *fmt, va_list ap)
{
	vsnprintf(message, sizeof(message), fmt, ap);
}

int fail(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(fmt, ap);
	va_end(ap);
	return code;
}

void *fail_null(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(fmt, ap);
	va_end(ap);
	return null_with(code);
}

void *null_with(int code)
{
	errno = -code;
	return NULL;
}

int fail_call(const char *what, const char *hint)
{
	int code = errno;
	char text[96];

	return fail(-code, "%s failed: %s%s%s", what, strerror_r(code, text, sizeof(text)), hint ? ": " : "", hint ? hint : "");
}

SHV_API const char *shv_errmsg(void)
{
	return message;
}
