/* SPDX-License-Identifier: MIT */
/* Lines of a table in columns of given widths; see align.h. */
#include "config.h"

#include "tools/align.h"

#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* Where the output may end: after `width` characters' room. */
struct room {
	size_t used, width;
	bool cut;                 /* what is beyond is left out */
};

static bool take(struct room *r, size_t n)
{
	if (r->cut && r->used + n > r->width) {
		r->width = r->used; /* nothing behind it either */
		return false;
	}
	r->used += n;
	return true;
}

static void escape(FILE *out, struct room *r, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (take(r, 4) && out)
			fprintf(out, "\\x%02x", (unsigned char)bytes[i]);
}

static bool is_plain(const char *s)
{
	unsigned char c = (unsigned char)*s;

	return c >= ' ' && c < 0x7f && !(c == '\\' && s[1] == 'x'); /* what looks like an escape is escaped */
}

/* Characters of other languages as they are, if the locale can show them. Without `out` only counts. */
static void put(FILE *out, struct room *r, const char *s)
{
	mbstate_t state = { 0 };
	wchar_t c;
	size_t n;
	int width;

	while (*s) {
		if (is_plain(s)) {
			if (take(r, 1) && out)
				putc_unlocked(*s, out);
			s++;
			continue;
		}
		n = mbrtowc(&c, s, strlen(s), &state);
		width = n && n < (size_t)-2 && iswprint((wint_t)c) ? wcwidth(c) : -1;
		if (n >= (size_t)-2) {
			memset(&state, 0, sizeof(state));
			n = 1;
		}
		if (width < 0 || *s == '\\')
			escape(out, r, s, n);
		else if (take(r, (size_t)width) && out)
			fwrite(s, 1, n, out);
		s += n;
	}
}

static void pad(FILE *out, size_t n)
{
	while (n--)
		putc_unlocked(' ', out);
}

void align_cell(struct align *a, FILE *out, size_t column, const char *text)
{
	bool last = column + 1 == a->n, right = a->column[column].right;
	size_t width = a->column[column].width;
	struct room counted = { 0, width, a->column[column].cut }, written = counted;

	if (right) {
		put(NULL, &counted, text);
		if (counted.used < width)
			pad(out, width - counted.used);
	}
	put(out, &written, text);
	if (!right && !last && written.used < width)
		pad(out, width - written.used);
	if (written.used > width)
		a->column[column].width = written.used; /* so that the lines to come stand below each other again */
	putc_unlocked(last ? '\n' : ' ', out);
}
