/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: any bytes as a format string.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined ...   libFuzzer has main()
 *	cc -DFUZZ_STANDALONE ...                                reads the files that are named, to replay a finding
 *
 * What must hold, whatever the text: no crash; errno and a sentence with a position inside the
 * text, or a type whose canonical text gives the same descriptor back, whose members lie inside it
 * one behind the other, and whose content can be printed from any bytes.
 */
#include "values/type_private.h"

#include <errno.h>
#include <shv/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                             \
	do {                                                                                \
		if (!(x)) {                                                                 \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x);     \
			abort();                                                            \
		}                                                                           \
	} while (0)

static void check_refusal(size_t len)
{
	const char *at = strstr(shv_errmsg(), "position ");

	MUST(errno == EINVAL || errno == EOVERFLOW);
	MUST(at && strtoul(at + 9, NULL, 10) <= len);
}

static void check_type(const struct shv_type *t)
{
	size_t at = 0;

	MUST(t->interned && !t->named);
	MUST(t->align && !(t->align & (t->align - 1)) && t->size % t->align == 0);
	MUST(t->size <= PTRDIFF_MAX && t->depth <= TYPE_MAX_DEPTH && t->dims <= TYPE_MAX_DIMS);
	MUST(!t->size || shv_type_parse(t->format) == t);
	MUST(type_lookup(t->format, NULL) == t);
	MUST(type_same(t, t));
	if (t->kind == TYPE_ARRAY) {
		MUST(t->size == t->count * t->item->size);
		check_type(t->item);
	}
	for (size_t i = 0; t->kind == TYPE_STRUCT && i < t->count; i++) {
		const struct type_field *f = &t->fields[i];

		MUST(f->offset >= at);
		at = f->offset + f->type->size;
		MUST(t->packed || f->offset % f->type->align == 0);
		check_type(f->type);
	}
	MUST(at <= t->size);
}

/* The input itself is the content, over and over. */
static void check_print(const struct shv_type *t, const uint8_t *data, size_t size)
{
	char whole[512], part[64];
	unsigned char *payload;
	ssize_t len;

	if (t->size > 4096)
		return;
	payload = malloc(t->size); /* of its size exactly: a sanitizer sees what is read beyond */
	MUST(payload);
	for (size_t i = 0; i < t->size; i++)
		payload[i] = data[i % size];
	len = type_print(t, payload, 1, false, whole, sizeof(whole));
	MUST(len > 0);
	MUST((size_t)len < sizeof(whole) ? strlen(whole) == (size_t)len : strlen(whole) == sizeof(whole) - 1);
	MUST(type_print(t, payload, 1, false, part, sizeof(part)) == len || (size_t)len >= sizeof(part));
	MUST(!strncmp(whole, part, strlen(part)));
	for (const char *c = whole; *c; c++)
		MUST((unsigned char)*c >= ' ' && *c != 0x7f);
	free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	const shv_type *t;

	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	errno = 0;
	t = shv_type_parse(text);
	if (!t) {
		check_refusal(strlen(text));
	} else {
		MUST(t->size);
		check_type(t);
		check_print(t, data, size);
	}
	free(text);
	type_forget_all();
	return 0;
}

#if defined(FUZZ_STANDALONE)
static void run_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f) {
		perror(path);
		exit(1);
	}
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	if (size)
		LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	printf("%d files\n", argc - 1);
	return 0;
}
#endif
