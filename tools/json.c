/* SPDX-License-Identifier: MIT */
/* A writer of JSON; see json.h. One thread writes, so the unlocked calls of stdio will do. */
#include "config.h"

#include "tools/json.h"

#include "tools/text.h"

#include <string.h>

static void put(struct json *j, const char *s, size_t n)
{
	(void)fwrite_unlocked(s, 1, n, j->out);
}

static bool in_line(const struct json *j)
{
	return j->flat && j->depth >= j->flat;
}

static void new_line(struct json *j)
{
	static const char blanks[] = "                ";
	size_t n = (size_t)j->depth * 2;

	putc_unlocked('\n', j->out);
	put(j, blanks, n < sizeof(blanks) ? n : sizeof(blanks) - 1);
}

static void put_escaped(struct json *j, uint32_t c)
{
	char s[16];

	if (c == '"' || c == '\\')
		snprintf(s, sizeof(s), "\\%c", (char)c);
	else if (c > 0xffff)
		snprintf(s, sizeof(s), "\\u%04x\\u%04x", 0xd7c0u + (c >> 10), 0xdc00u + (c & 0x3ff));
	else
		snprintf(s, sizeof(s), "\\u%04x", c);
	put(j, s, strlen(s));
}

static void put_string(struct json *j, const char *s)
{
	putc_unlocked('"', j->out);
	while (*s) {
		const char *from = s;
		uint32_t c;

		while (*s >= ' ' && *s < 0x7f && *s != '"' && *s != '\\')
			s++;
		put(j, from, (size_t)(s - from));
		if (!*s)
			break;
		from = s;
		c = text_next(&s);
		if (c == TEXT_INVALID)
			put_escaped(j, 0xfffd);
		else if (text_is_unsafe(c) || c == '"' || c == '\\')
			put_escaped(j, c);
		else
			put(j, from, (size_t)(s - from));
	}
	putc_unlocked('"', j->out);
}

static void begin(struct json *j, const char *key)
{
	if (j->follows)
		put(j, in_line(j) ? ", " : ",", in_line(j) ? 2 : 1);
	if (j->depth && !in_line(j))
		new_line(j);
	j->follows = true;
	if (!key)
		return;
	putc_unlocked('"', j->out);
	put(j, key, strlen(key));
	put(j, "\": ", 3);
}

void json_open(struct json *j, const char *key, char bracket)
{
	begin(j, key);
	putc_unlocked(bracket, j->out);
	j->depth++;
	j->follows = false;
}

void json_close(struct json *j, char bracket)
{
	bool line = in_line(j);

	j->depth--;
	if (j->follows && !line)
		new_line(j);
	putc_unlocked(bracket, j->out);
	j->follows = true;
}

void json_string(struct json *j, const char *key, const char *s)
{
	if (!s) {
		json_null(j, key);
		return;
	}
	begin(j, key);
	put_string(j, s);
}

void json_number(struct json *j, const char *key, uint64_t n)
{
	char digits[20], *p = digits + sizeof(digits);

	begin(j, key);
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	put(j, p, (size_t)(digits + sizeof(digits) - p));
}

void json_signed(struct json *j, const char *key, int64_t n)
{
	char s[24];

	begin(j, key);
	put(j, s, (size_t)snprintf(s, sizeof(s), "%lld", (long long)n));
}

void json_real(struct json *j, const char *key, double d)
{
	char s[40];

	begin(j, key);
	text_real(s, sizeof(s), d);
	put(j, s, strlen(s));
}

void json_bool(struct json *j, const char *key, bool b)
{
	begin(j, key);
	put(j, b ? "true" : "false", b ? 4 : 5);
}

void json_null(struct json *j, const char *key)
{
	begin(j, key);
	put(j, "null", 4);
}
