/* SPDX-License-Identifier: MIT */
/* Numbers, times and foreign text; see text.h. */
#include "config.h"

#include "tools/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* At most one decimal, cut and not rounded: 1023.96M is no 1024.0M. */
void text_size(char *buf, size_t size, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	unsigned i = 0, tenth = 0;

	for (; bytes >= 1024 && units[i + 1]; i++) {
		tenth = (unsigned)(bytes % 1024 * 10 / 1024);
		bytes /= 1024;
	}
	if (tenth && bytes < 100)
		snprintf(buf, size, "%" PRIu64 ".%u%c", bytes, tenth, units[i]);
	else
		snprintf(buf, size, "%" PRIu64 "%c", bytes, units[i]);
}

void text_real(char *buf, size_t size, double d)
{
	bool minus = d < 0;
	uint64_t tenths;

	if (!(d > -1e15 && d < 1e15))
		d = 0;
	tenths = (uint64_t)((minus ? -d : d) * 10 + 0.5);
	snprintf(buf, size, "%s%" PRIu64 ".%u", minus && tenths ? "-" : "", tenths / 10, (unsigned)(tenths % 10));
}

bool text_parse_size(const char *s, uint64_t *bytes)
{
	static const char units[] = "BKMGT";
	const char *unit;
	char *end;

	errno = 0;
	if (!isdigit((unsigned char)*s))
		return false;
	*bytes = strtoull(s, &end, 10);
	if (errno)
		return false;
	if (!*end)
		return true;
	unit = strchr(units, toupper((unsigned char)*end));
	return unit && !end[1] && !__builtin_mul_overflow(*bytes, UINT64_C(1) << (10 * (unit - units)), bytes);
}

void text_time(char *buf, size_t size, uint64_t ns)
{
	time_t t = (time_t)(ns / 1000000000u);
	struct tm tm;

	if (!ns || !localtime_r(&t, &tm) || !strftime(buf, size, "%Y-%m-%dT%H:%M:%S%z", &tm))
		buf[0] = 0;
}

void text_hex(char *buf, size_t size, const unsigned char *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	for (size_t i = 0; i < n && at + 3 <= size; i++) {
		buf[at++] = digits[bytes[i] >> 4];
		buf[at++] = digits[bytes[i] & 15];
	}
	buf[at] = 0;
}

void text_uuid(char *buf, size_t size, const uint8_t uuid[16])
{
	char hex[33];

	text_hex(hex, sizeof(hex), uuid, 16);
	snprintf(buf, size, "%.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

uint32_t text_next(const char **s)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)*s;
	uint32_t c = *p;
	unsigned more;

	(*s)++;
	if (c < 0x80)
		return c;
	if (c >= 0xc2 && c < 0xe0)
		more = 1;
	else if (c >= 0xe0 && c < 0xf0)
		more = 2;
	else if (c >= 0xf0 && c < 0xf5)
		more = 3;
	else
		return TEXT_INVALID;
	c &= 0x3fu >> more;
	for (unsigned i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return TEXT_INVALID;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return TEXT_INVALID;
	*s += more;
	return c;
}

int text_is_unsafe(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = { { 0, 0x1f },        { 0x7f, 0x9f },     { 0xad, 0xad },     { 0x61c, 0x61c },
		       { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
		       { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff } };

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return 1;
	return 0;
}

void text_for_table(char *buf, size_t size, const char *s)
{
	size_t at = 0;

	while (*s) {
		const char *from = s;
		uint32_t c = text_next(&s);
		size_t n = (size_t)(s - from);

		if (c != TEXT_INVALID && c >= 0xa0 && text_is_unsafe(c)) {
			from = "\xef\xbf\xbd";
			n = 3;
		}
		if (at + n >= size)
			break;
		memcpy(buf + at, from, n);
		at += n;
	}
	buf[at] = 0;
}

void text_escape(char *buf, size_t size, const char *s)
{
	size_t at = 0;

	while (*s && at + 17 < size) {
		const char *from = s;
		uint32_t c = text_next(&s);

		for (; from < s; from++)
			if (c == TEXT_INVALID || text_is_unsafe(c))
				at += (size_t)snprintf(buf + at, size - at, "\\x%02x", (unsigned char)*from);
			else
				buf[at++] = *from;
	}
	buf[at] = 0;
}

void text_cut(char *buf, size_t size)
{
	size_t cut = size - 4;

	while (cut && ((unsigned char)buf[cut] & 0xc0) == 0x80)
		cut--;
	memcpy(buf + cut, "...", sizeof("..."));
}

static void put_plain_byte(FILE *out, char c)
{
	fputc(c, out);
}

static void put_html_byte(FILE *out, char c)
{
	switch (c) {
	case '<':
		fputs("&lt;", out);
		break;
	case '>':
		fputs("&gt;", out);
		break;
	case '&':
		fputs("&amp;", out);
		break;
	case '"':
		fputs("&quot;", out);
		break;
	case '\'':
		fputs("&#39;", out);
		break;
	default:
		fputc(c, out);
		break;
	}
}

/* What a terminal might obey, and what is no text, as \x.. */
static void put_safe(FILE *out, const char *s, void (*put)(FILE *out, char c))
{
	while (*s) {
		const char *from = s;
		uint32_t c = text_next(&s);

		for (; from < s; from++)
			if (c == TEXT_INVALID || text_is_unsafe(c))
				fprintf(out, "\\x%02x", (unsigned char)*from);
			else
				put(out, *from);
	}
}

void text_put_html(FILE *out, const char *s)
{
	put_safe(out, s, put_html_byte);
}

void text_put(FILE *out, const char *s)
{
	put_safe(out, s, put_plain_byte);
}
