/* SPDX-License-Identifier: MIT */
/*
 * What Python's multiprocessing documentation does with Value and Array, in C: a number and an array
 * changed by a child, letters, text as an array of characters, structures, and several values that
 * share one lock. The same inputs give the same results as there.
 */
#include <shv/shv.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct point {
	double x, y;
};

static const struct shv_field point_fields[] = {
	SHV_FIELD(struct point, x, SHV_DOUBLE),
	SHV_FIELD(struct point, y, SHV_DOUBLE),
};

static void die(const char *what)
{
	fprintf(stderr, "letters: %s: %s\n", what, shv_errmsg());
	exit(1);
}

static void *must(void *p, const char *what)
{
	if (!p)
		die(what);
	return p;
}

/* Runs work(arg) in a child and waits for it. The child has every pointer of its parent. */
static void in_child(void (*work)(void *), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		work(arg);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		die("the child failed");
}

/* Prints a value as shvdump would, and compares that with what it should be. */
static void show(const char *name, shv_value *v, const char *wanted)
{
	char text[256];

	if (shv_value_text(shv_arena_of(v), shv_ref_of(v), text, sizeof(text)) < 0)
		die(name);
	printf("%-8s %s\n", name, text);
	if (strcmp(text, wanted)) {
		fprintf(stderr, "letters: %s should be %s\n", name, wanted);
		exit(1);
	}
}

/* ---- num = Value('d', 0.0); arr = Array('i', range(10)) -------------------------------------- */

struct numbers {
	shv_value *num, *arr;
};

static void change_numbers(void *arg)
{
	struct numbers *n = arg;

	if (SHV_STORE(n->num, double, 3.1415927))
		die("num");
	shv_with(n->arr)
	{
		for (size_t i = 0; i < shv_len(n->arr); i++) {
			int *item = shv_at(n->arr, i);

			*item *= *item;
		}
	}
	if (shv_with_status())
		die("arr");
}

static void numbers(shv_arena *a)
{
	int range[10];
	struct numbers n;

	for (int i = 0; i < 10; i++)
		range[i] = i;
	n.num = must(SHV_VALUE(a, double, 0.0), "num");
	n.arr = must(shv_array_new(a, SHV_INT, 10, range, SHV_RECURSIVE), "arr");
	in_child(change_numbers, &n);
	show("num", n.num, "3.1415927");
	show("arr", n.arr, "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]");
	if (shv_at(n.arr, 10))
		die("arr[10] should not exist");
	printf("%-8s %s\n", "arr[10]", shv_errmsg());
	shv_value_free(n.num);
	shv_value_free(n.arr);
}

/* ---- letter = Value('c', b'A') --------------------------------------------------------------- */

static void next_letter(void *arg)
{
	shv_value *letter = arg;

	shv_with(letter)
	{
		SHV_STORE(letter, char, (char)(SHV_LOAD(letter, char) + 1));
	}
}

static void letter(shv_arena *a)
{
	shv_value *byte = must(shv_value_new(a, shv_typecode('c'), "A", SHV_RECURSIVE), "letter");
	shv_value *wide = must(shv_value_new(a, shv_typecode('u'), &(wchar_t){ L'\u00e9' }, SHV_RECURSIVE), "wide");

	in_child(next_letter, byte);
	show("letter", byte, "'B'");
	/* SHV_VALUE(a, wchar_t, x) would be a number: in C, wchar_t is another word for int. */
	show("wide", wide, "'\u00e9'");
	shv_value_free(byte);
	shv_value_free(wide);
}

/* ---- n, x, s and A of the sharedctypes example: three of them under one lock ----------------- */

struct shapes {
	shv_value *n, *s, *A;
	double *x; /* without a lock: the payload itself */
};

static void square(void *arg)
{
	struct shapes *h = arg;

	shv_with(h->n)
	{
		SHV_STORE(h->n, int, SHV_LOAD(h->n, int) * SHV_LOAD(h->n, int));
	}
	*h->x *= *h->x;
	/* The lock of s is the lock of A too. */
	shv_with(h->s)
	{
		char *text = shv_value_data(h->s);

		for (size_t i = 0; i < shv_len(h->s); i++)
			text[i] = (char)toupper((unsigned char)text[i]);
		for (size_t i = 0; i < shv_len(h->A); i++) {
			struct point *p = shv_at(h->A, i);

			p->x *= p->x;
			p->y *= p->y;
		}
	}
	if (shv_with_status())
		die("s");
}

static void shapes(shv_arena *a)
{
	static const struct point corners[] = { { 1.875, -6.25 }, { -5.75, 2.0 }, { 2.375, 9.5 } };
	static const char hello[] = "hello world";
	const shv_type *point = shv_type_struct("point", sizeof(struct point), point_fields, 2);
	shv_lock *lock = must(shv_lock_new(a, SHV_RECURSIVE), "lock");
	struct shapes h;
	double third = 1.0 / 3.0;

	must((void *)point, "type of a point");
	h.n = must(SHV_VALUE(a, int, 7), "n");
	h.x = must(shv_raw_new(a, SHV_DOUBLE, &third), "x");
	h.s = must(shv_array_new(a, SHV_CHAR, strlen(hello), hello, SHV_SHARED(lock)), "s");
	h.A = must(shv_array_new(a, point, 3, corners, SHV_SHARED(lock)), "A");
	in_child(square, &h);
	show("n", h.n, "49");
	printf("%-8s %.16g\n", "x", *h.x);
	if (fabs(*h.x - third * third) > 0)
		die("x");
	show("s", h.s, "\"HELLO WORLD\"");
	show("A", h.A, "[{x=3.515625, y=39.0625}, {x=33.0625, y=4}, {x=5.640625, y=90.25}]");
	printf("%-8s %s, %zu bytes\n", "point", shv_type_format(point), shv_type_size(point));
	shv_value_free(h.n);
	shv_raw_free(h.x);
	shv_value_free(h.s);
	shv_value_free(h.A);
	shv_lock_free(lock);
}

/* ---- text of changing length in an array that has room --------------------------------------- */

/*
 * Python's .value of a character array ends at the first NUL, and its .raw is all the bytes. In C the first is
 * what %s and strlen see if the array always keeps one NUL, and the second is shv_value_data() and shv_len().
 */
static int text_set(shv_value *v, const char *text)
{
	size_t n = strlen(text);
	int r = -1;

	shv_with(v)
	{
		if (n < shv_len(v)) {
			memset(shv_value_data(v), 0, shv_len(v));
			memcpy(shv_value_data(v), text, n);
			r = 0;
		}
	}
	return r;
}

static void rename_it(void *arg)
{
	if (text_set(arg, "Grace"))
		die("text");
}

static void text(shv_arena *a)
{
	shv_value *v = must(shv_array_new(a, SHV_CHAR, 16, NULL, SHV_RECURSIVE), "text");
	char copy[16];

	if (text_set(v, "Ada") || text_set(v, "Ada, Countess of Lovelace") == 0)
		die("text");
	in_child(rename_it, v);
	if (shv_get(v, copy, sizeof(copy)) || strcmp(copy, "Grace"))
		die("text");
	printf("%-8s %s, %zu letters in %zu bytes\n", "text", copy, strlen(copy), shv_len(v));
	shv_value_free(v);
}

int main(void)
{
	struct shv_stat st = { .size = sizeof(st) };
	shv_arena *a;

	setvbuf(stdout, NULL, _IOLBF, 0);
	a = must(shv_arena_create(&(struct shv_arena_options){ .name = "letters" }), "create");
	numbers(a);
	letter(a);
	shapes(a);
	text(a);
	if (shv_stat(a, &st) || st.values + st.arrays + st.raws != 0)
		die("something was left");
	return shv_arena_detach(a) ? 1 : 0;
}
