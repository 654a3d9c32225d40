/* SPDX-License-Identifier: MIT */
/* The terminal; see term.h. */
#include "config.h"

#include "tools/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define TELL_EVERY (SECOND / 10)
#define BAR 30u

bool term_color(const char *when)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when && strcmp(when, "auto") != 0)
		return !strcmp(when, "always");
	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

unsigned term_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize w;
	int n = 0;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_col)
		return w.ws_col;
	if (columns)
		n = (int)strtol(columns, NULL, 10);
	return n >= 20 && n <= 1000 ? (unsigned)n : 80;
}

uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

void progress_begin(struct progress *p, const char *what, uint64_t total)
{
	*p = (struct progress){ .what = what, .total = total, .terminal = isatty(STDERR_FILENO) };
	if (p->terminal)
		p->began = clock_now();
}

static void tell(const struct progress *p, uint64_t done)
{
	char bar[BAR + 1];
	unsigned full;

	if (!p->total) {
		fprintf(stderr, "\r%s: %llu\033[K", p->what, (unsigned long long)done);
		return;
	}
	if (done > p->total)
		done = p->total;
	full = (unsigned)(done * BAR / p->total);
	memset(bar, '#', full);
	memset(bar + full, '.', BAR - full);
	bar[BAR] = 0;
	fprintf(stderr, "\r%s [%s] %u%%\033[K", p->what, bar, (unsigned)(done * 100 / p->total));
}

void progress_step(struct progress *p, uint64_t done)
{
	uint64_t now;

	if (!p->terminal || ++p->steps & 4095)
		return;
	now = clock_now();
	if (now - p->began < SECOND || now - p->told < TELL_EVERY)
		return;
	p->told = now;
	tell(p, done);
}

void progress_end(struct progress *p)
{
	if (p->told)
		fputs("\r\033[K", stderr);
	p->told = 0;
}
