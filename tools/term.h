/* SPDX-License-Identifier: MIT */
/*
 * The terminal: whether colours are wanted, how wide it is, and a line that says how far something long has come.
 */
#ifndef SHV_TOOLS_TERM_H
#define SHV_TOOLS_TERM_H

#include <stdbool.h>
#include <stdint.h>

/* when: what --color said, NULL: auto, which is a terminal that NO_COLOR and TERM=dumb do not forbid. */
bool term_color(const char *when);
/* Of standard output in characters; COLUMNS, or 80, where it is no terminal. */
unsigned term_width(void);

/*
 * Progress on stderr, if that is a terminal, for what takes longer than a second. A step is cheap: the clock is read at
 * every 4,096th.
 */
struct progress {
	const char *what;
	uint64_t total;           /* steps; 0: not known */
	uint64_t began;           /* ns */
	uint64_t told;            /* when last; 0: never */
	uint32_t steps;
	bool terminal;
};
void progress_begin(struct progress *p, const char *what, uint64_t total);
void progress_step(struct progress *p, uint64_t done);
void progress_end(struct progress *p); /* the line goes */

/* CLOCK_MONOTONIC in ns. */
uint64_t clock_now(void);

#endif /* SHV_TOOLS_TERM_H */
