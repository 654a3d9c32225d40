/* SPDX-License-Identifier: MIT */
/*
 * What CPython says about formats, and what the parser finds.
 *
 * tests/data/ctypes_formats.tsv holds the cases; gen_ctypes_formats.py there made it. Its rows are
 * judged by row_mismatch(), and a test shows that it can find fault.
 */
#include "support/suite.h"
#include "values/type_private.h"

#include <errno.h>
#include <shv/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LITTLE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

struct row {
	char *kind, *name, *format, *shape, *fields;
	size_t size, align;
};

/* The whole file, as rows that point into one block. */
static struct row *read_rows(size_t *n, char **block)
{
	const char *top = getenv("SHV_SRCDIR");
	char path[4096], *save = NULL;
	struct row *rows = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/data/ctypes_formats.tsv",
		 top                    ? top
		 : getenv("top_srcdir") ? getenv("top_srcdir")
					: ".");
	f = fopen(path, "r");
	ck_assert_msg(f, "%s: %s (set SHV_SRCDIR to the top of the sources)", path, strerror(errno));
	*block = NULL;
	ck_assert_int_gt(getdelim(block, &size, '\0', f), 0);
	fclose(f);
	*n = 0;
	for (char *line = strtok_r(*block, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct row r;
		char *columns[7], *s = line;

		if (*line == '#')
			continue;
		for (size_t i = 0; i < COUNT(columns); i++)
			columns[i] = strsep(&s, "\t");
		ck_assert_msg(columns[6] && !s, "%s: a row has not 7 columns", path);
		r = (struct row){ columns[0],
				  columns[1],
				  columns[2],
				  columns[3],
				  columns[6],
				  strtoull(columns[4], NULL, 10),
				  strtoull(columns[5], NULL, 10) };
		rows = realloc(rows, (*n + 1) * sizeof(*rows));
		ck_assert_ptr_nonnull(rows);
		rows[(*n)++] = r;
	}
	return rows;
}

/* path@offset of all members, as the generator has them. */
static void list_members(const struct shv_type *t, const char *prefix, size_t offset, char **out)
{
	for (size_t i = 0; t->kind == TYPE_STRUCT && i < t->count; i++) {
		const struct type_field *f = &t->fields[i];
		char path[1024], *longer;

		snprintf(path, sizeof(path), "%s%s", prefix, f->name ? f->name : "?");
		ck_assert_int_gt(
			asprintf(&longer, "%s%s%s@%zu", *out ? *out : "", *out ? " " : "", path, offset + f->offset),
			0);
		free(*out);
		*out = longer;
		strcat(path, ".");
		list_members(f->type, path, offset + f->offset, out);
	}
}

/* Does the parser find what a row says? NULL, or what differs. */
static const char *row_mismatch(const struct row *r)
{
	char *members = NULL, *text;
	const shv_type *t, *item;
	bool differ;

	ck_assert_int_gt(
		asprintf(&text, *r->shape == '-' ? "%s%s" : "(%s)%s", *r->shape == '-' ? "" : r->shape, r->format), 0);
	t = shv_type_parse(text);
	free(text);
	if (!strcmp(r->kind, "refused"))
		return t || !strstr(shv_errmsg(), "an address means nothing") ? "not refused" : NULL;
	if (!t)
		return shv_errmsg();
	if (shv_type_parse(shv_type_format(t)) != t)
		return "round trip";
	if (!strcmp(r->kind, "hidden"))
		return t->size == r->size ? "the format tells the size after all" : NULL;
	if (t->size != r->size)
		return "size";
	if (!strcmp(r->kind, "size"))
		return NULL;
	if (t->align != r->align)
		return "alignment";
	for (item = t; item->kind == TYPE_ARRAY;)
		item = item->item;
	list_members(item, "", 0, &members);
	differ = strcmp(r->fields, members ? members : "-") != 0;
	free(members);
	return differ ? "offsets" : NULL;
}

START_TEST(formats_of_cpython_mean_what_they_mean_there)
{
	size_t n, wrong = 0;
	char *block;
	struct row *rows = read_rows(&n, &block);

	if (!LITTLE)
		return;
	ck_assert_uint_gt(n, 700);
	for (size_t i = 0; i < n; i++) {
		const char *what = row_mismatch(&rows[i]);

		if (!what)
			continue;
		fprintf(stderr, "# %s %s %s (%s): %s\n", rows[i].kind, rows[i].name, rows[i].format, rows[i].shape,
			what);
		wrong++;
	}
	ck_assert_uint_eq(wrong, 0);
	free(rows);
	free(block);
}
END_TEST

/* Change each row a little: the judge must find fault with every one of them. */
START_TEST(the_judge_of_cpython_rows_finds_faults)
{
	size_t n, changed = 0;
	char *block;
	struct row *rows = read_rows(&n, &block);

	if (!LITTLE)
		return;
	for (size_t i = 0; i < n; i++) {
		struct row r = rows[i];
		bool exact = !strcmp(r.kind, "exact");

		if (!exact && strcmp(r.kind, "size") != 0)
			continue;
		r.size++;
		ck_assert_str_eq(row_mismatch(&r), "size");
		changed++;
		if (!exact)
			continue;
		r = rows[i];
		r.align *= 2;
		ck_assert_str_eq(row_mismatch(&r), "alignment");
		r = rows[i];
		r.fields = "f@1";
		ck_assert_str_eq(row_mismatch(&r), "offsets");
		r.kind = "refused";
		ck_assert_str_eq(row_mismatch(&r), "not refused");
	}
	ck_assert_uint_gt(changed, 700);
	free(rows);
	free(block);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type_ctypes");
	TCase *tcase = tcase_create("cpython");

	tcase_add_test(tcase, formats_of_cpython_mean_what_they_mean_there);
	tcase_add_test(tcase, the_judge_of_cpython_rows_finds_faults);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
