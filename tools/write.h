/* SPDX-License-Identifier: MIT */
/* Files that are there whole or not at all. */
#ifndef SHV_TOOLS_WRITE_H
#define SHV_TOOLS_WRITE_H

#include <stdio.h>

/*
 * Let put() write into a new file beside `path`, which then gets that name; "-" is standard output. What was there before stays
 * if anything fails. put() returns 0, or an exit status that is passed on, of what it has told of itself.
 * Returns: an exit status; failures of the file are told on stderr.
 */
int write_file(const char *path, int (*put)(FILE *out, void *ctx), void *ctx);

#endif /* SHV_TOOLS_WRITE_H */
