/* SPDX-License-Identifier: MIT */
/*
 * Pictures as SVG: the page map, and bars. Each has a title and a description, which say in words what it shows, and
 * role="img". Colours are classes, so that a page can have them light and dark; a picture in a file of its own brings
 * its style along. No attribute style, no script, nothing from elsewhere: a strict content security policy lets it pass.
 */
#ifndef SHV_TOOLS_SVG_H
#define SHV_TOOLS_SVG_H

#include "tools/map.h"

#include <stdio.h>

#define SVG_COLORS 8u             /* of processes: classes p0 to p7 */

/* The style that the classes need, without the element around it. */
extern const char svg_style[];

/* id: unique in its page. alone: a file of its own. */
void svg_map(FILE *out, const struct map *m, const struct look *l, const char *id, bool alone);

struct svg_bar {
	char label[80];           /* any bytes */
	char text[40];            /* of the value */
	double value;
	const char *class;
};
/* desc: what the bars are, a sentence; each bar is told in the description too. */
void svg_bars(FILE *out, const struct svg_bar *bars, size_t n, const char *id, const char *title, const char *desc);

/* The class of a process or of pages, for legends: "p3", "orphan". */
const char *svg_class(enum shv_page_state state, size_t owner);

#endif /* SHV_TOOLS_SVG_H */
