/* SPDX-License-Identifier: MIT */
/*
 * The sentence behind shv_errmsg(): one buffer a thread, made at its first failure. Behind a pointer, since a library that dlopen()
 * brings must be sparing with thread-local memory.
 */
#include "base/errors.h"

#include <errno.h>
#include <pthread.h>
#include <shv/error.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 320

static __thread char *message;
static __thread bool lost; /* there was no memory for it */
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int no_key;

static void forget(void *buffer)
{
	message = NULL;
	free(buffer);
}

static void make_key(void)
{
	no_key = pthread_key_create(&key, forget);
}

static void note(const char *fmt, va_list ap)
{
	if (!message) {
		pthread_once(&once, make_key);
		message = no_key ? NULL : malloc(ROOM);
		if (!message || pthread_setspecific(key, message)) {
			free(message);
			message = NULL;
			lost = true;
			return;
		}
	}
	vsnprintf(message, ROOM, fmt, ap);
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

int fail_by(int code, const char *who)
{
	size_t n = strlen(who), len;

	if (!message || !strncmp(message, who, n) || n + 3 > ROOM)
		return code;
	len = strlen(message);
	if (len > ROOM - n - 3)
		len = ROOM - n - 3;
	memmove(message + n + 2, message, len);
	message[n + 2 + len] = 0;
	memcpy(message, who, n);
	memcpy(message + n, ": ", 2);
	return code;
}

SHV_API const char *shv_errmsg(void)
{
	return message ? message : lost ? "no memory, not even for the sentence that says what failed" : "";
}
