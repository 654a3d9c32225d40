/* SPDX-License-Identifier: MIT */
/*
 * Numbers, times and foreign text in the form that people or programs read.
 *
 * Names and commands come from shared memory: any process may have put any byte there. So no byte of them
 * reaches a terminal or a JSON parser unlooked at.
 */
#ifndef SHV_TOOLS_TEXT_H
#define SHV_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* 1536 -> "1.5K"; powers of 1,024. */
void text_size(char *buf, size_t size, uint64_t bytes);
/* With one decimal and a point, whatever the locale; what is no number, or beyond 10^15, becomes 0. */
void text_real(char *buf, size_t size, double d);
/* "4K" -> 4096; suffixes B K M G T, in either case. False: no size. */
bool text_parse_size(const char *s, uint64_t *bytes);
/* CLOCK_REALTIME in ns -> "2025-01-31T13:05:00+0100"; "" for 0. */
void text_time(char *buf, size_t size, uint64_t ns);
void text_uuid(char *buf, size_t size, const uint8_t uuid[16]);
void text_hex(char *buf, size_t size, const unsigned char *bytes, size_t n);

#define TEXT_INVALID UINT32_MAX
/*
 * The next code point of UTF-8 text and *s behind it; TEXT_INVALID and one byte for what is no UTF-8. Not at
 * the end.
 */
uint32_t text_next(const char **s);
/* Would it deceive a reader: control characters, and those that reorder or hide what stands around them? */
int text_is_unsafe(uint32_t c);
/*
 * For tables: unsafe characters that a C library would call printable become U+FFFD. Control characters and
 * invalid bytes stay, since libsmartcols writes them as \xNN.
 */
void text_for_table(char *buf, size_t size, const char *s);

/* For a screen: unsafe characters and invalid bytes as \xNN of each byte. */
void text_escape(char *buf, size_t size, const char *s);
/* Text that filled its buffer ends in "..." instead, and not within a character. */
void text_cut(char *buf, size_t size);

/* Straight into a stream: unsafe characters and invalid bytes as \xNN of each byte. */
void text_put(FILE *out, const char *s);
/* The same within HTML or SVG, in elements and attributes. */
void text_put_html(FILE *out, const char *s);

#endif /* SHV_TOOLS_TEXT_H */
