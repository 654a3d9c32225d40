/* SPDX-License-Identifier: MIT */
/*
 * A writer of JSON, a member or element at a time, straight into the stream.
 *
 * libsmartcols can print its tables as JSON too, but a million values took it 6 to 9 s and 720 MB, for it keeps
 * all lines, and it passes bytes on that are no UTF-8, which parsers refuse. So tables are its part here, JSON
 * is not.
 */
#ifndef SHV_TOOLS_JSON_H
#define SHV_TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	unsigned depth;
	bool follows;             /* something stands before in the same object or array */
	unsigned flat;            /* objects at this depth or deeper are written in one line; 0 = none */
};

/* Each takes the key, or NULL for an element of an array. */
void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);                 /* '}' or ']' */
void json_string(struct json *j, const char *key, const char *s); /* NULL: null. What is no UTF-8 becomes U+FFFD. */
void json_number(struct json *j, const char *key, uint64_t n);
void json_signed(struct json *j, const char *key, int64_t n);
void json_real(struct json *j, const char *key, double d);
void json_bool(struct json *j, const char *key, bool b);
void json_null(struct json *j, const char *key);

#endif /* SHV_TOOLS_JSON_H */
