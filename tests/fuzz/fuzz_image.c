/* SPDX-License-Identifier: MIT */
/*
 * Broken images: whoever looks at an arena survives any bytes in it, in bounded time.
 *
 * An image is tens of MiB of holes with some hundred KiB of data, so an input is not an image but says how one of a few good ones is
 * changed: its first byte chooses the image, the next one what else is done, and then come patches:
 *
 *	page 2 (number among the pages with data) | offset 2 | length and kind 1 | bytes, if the kind has any
 *
 * The image lies in a memfd that is patched in place and put back afterwards. Everything that shvdump uses is called on it:
 * shv_check(), all iterators, describe, bytes, text, names. Now and then it is written to a file and opened, saved as a snapshot, and,
 * if shv_check() finds nothing wrong with it, restored and used: what passes the check must be safe for writers.
 *
 * With clang's -fsanitize=fuzzer this is a target of libFuzzer. With -DPLAIN_DRIVER it is a program with a generator of its own, which
 * knows that images consist of words: fuzz_image [-runs=N] [-seed=S] [FILE...].
 */
#include "arena/arena_private.h"

#include <errno.h>
#include <fcntl.h>
#include <shv/shv.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE     4096u
#define ITEMS    100000u /* more than any walk of such a small arena may give */
#define PATCHES  64u
#define BASES    4u
#define SECONDS  10

struct base {
	int fd;
	char *live;               /* the memfd, mapped */
	char *good;               /* a copy of its data pages */
	uint32_t *page;           /* their numbers */
	uint32_t pages;
	size_t size;
	shv_arena *a;
};

static struct base bases[BASES];
static char scratch[64], second[64];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_image: %s: %s, %s\n", what, strerror(errno), shv_errmsg());
	abort();
}

/* ---- good images ----------------------------------------------------------------------------------------- */

struct point {
	double x;
	int32_t tag[3];
};

static void fill(shv_arena *a, unsigned n)
{
	static const struct shv_field fields[] = { SHV_FIELD(struct point, x, SHV_DOUBLE), SHV_FIELD(struct point, tag, SHV_INT32) };
	const shv_lockspec locks[] = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF, SHV_NONE };
	const shv_type *point = shv_type_struct("point", sizeof(struct point), fields, 2);
	shv_lock *shared = shv_lock_new(a, SHV_PLAIN), *old = shv_lock_new(a, SHV_RECURSIVE);
	shv_value *v;
	char name[40];

	must(point && shared && old, "fixture");
	snprintf(name, sizeof(name), "lock of %d", (int)getpid());
	must(!shv_publish(shared, name), "shv_publish");
	for (unsigned i = 0; i < n; i++) {
		v = i % 5 == 4 ? shv_array_new(a, i % 2 ? SHV_CHAR : SHV_DOUBLE, i * 7 % 9, NULL, locks[i % 4]) :
		    i % 7 == 6 ? shv_value_new(a, point, NULL, SHV_SHARED(i % 2 ? shared : old)) :
				 shv_value_new(a, SHV_LONG, &(long){ (long)i }, locks[i % 4]);
		must(v, "value");
		snprintf(name, sizeof(name), "name %u of %d", i, (int)getpid());
		if (i % 3 == 0)
			must(!shv_publish(v, name), "shv_publish");
		if (i % 11 == 10)
			must(!shv_value_free(v), "shv_value_free");
		if (i % 13 == 12)
			must(!shv_acquire(v), "shv_acquire");
	}
	must(shv_raw_new(a, point, NULL) && shv_raw_array_new(a, SHV_CHAR, 9000, NULL), "raw");
	must(!shv_lock_free(old), "shv_lock_free");
}

/* Texts in all states: empty, small, of several pages, replaced, grown at the end, of wide characters, left locked. */
static void fill_strings(shv_arena *a)
{
	static const char page[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	const shv_lockspec locks[] = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF, SHV_NONE };
	shv_value *s[8];

	for (unsigned i = 0; i < 8; i++) {
		s[i] = i == 7 ? shv_wstring_new(a, L"wide \u20ac", SHV_PLAIN) :
				shv_string_new_n(a, page, i % 4 == 0 ? 0 : i * 9, locks[i % 4]);
		must(s[i], "shv_string_new");
	}
	must(!shv_string_set(s[1], "replaced by something longer than it was") && !shv_string_set(s[2], ""), "shv_string_set");
	for (unsigned i = 0; i < 140; i++)
		must(!shv_string_append(s[3], page), "shv_string_append");
	must(!shv_string_append_n(s[0], "a\0b", 3) && !shv_wstring_append(s[7], L"!"), "shv_string_append");
	must(!shv_acquire(s[5]), "shv_acquire");
}

static void die_with_things(shv_arena *a, shv_value *lent)
{
	int status;
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (!pid) {
		fill(a, 20);
		fill_strings(a);
		if (shv_acquire(lent) || shv_value_free(shv_array_new(a, SHV_LONG, 2000, NULL, SHV_PLAIN)))
			_exit(1);
		raise(SIGKILL);
	}
	must(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "waitpid");
}

static shv_arena *small_arena(void)
{
	const struct shv_arena_options o = { .size = sizeof(o), .name = "fuzz", .capacity = (size_t)32 << 20, .max_processes = 3 };
	shv_arena *a = shv_arena_create(&o);

	must(a, "shv_arena_create");
	return a;
}

/* The bytes that `from` leads to, in a memfd that can be attached to. */
static void base_make(struct base *b, int from)
{
	struct stat st;
	off_t at = 0, end;

	must(!fstat(from, &st), "fstat");
	b->size = (size_t)st.st_size;
	b->fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	must(b->fd >= 0 && !ftruncate(b->fd, st.st_size) && !fcntl(b->fd, F_ADD_SEALS, F_SEAL_SHRINK), "memfd");
	b->live = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	b->page = calloc(b->size / PAGE + 1, sizeof(*b->page));
	must(b->live != MAP_FAILED && b->page, "memory");
	while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
		end = lseek(from, at, SEEK_HOLE);
		for (; at < end && (size_t)at < b->size; at += PAGE) {
			must(pread(from, b->live + at, PAGE, at) == PAGE, "pread");
			b->page[b->pages++] = (uint32_t)(at / PAGE);
		}
	}
	b->good = malloc((size_t)b->pages * PAGE);
	must(b->good && b->pages, "memory");
	for (uint32_t i = 0; i < b->pages; i++)
		memcpy(b->good + (size_t)i * PAGE, b->live + (size_t)b->page[i] * PAGE, PAGE);
	b->a = shv_arena_attach(b->fd, SHV_RDONLY);
	must(b->a, "shv_arena_attach");
	b->a->frozen = true; /* so that shv_check() does not wait for others to go on */
}

static void base_of_snapshot(struct base *b, shv_arena *a)
{
	int fd;

	must(!shv_arena_snapshot(a, scratch, 0), "shv_arena_snapshot");
	fd = open(scratch, O_RDONLY);
	must(fd >= 0, scratch);
	base_make(b, fd);
	close(fd);
}

/* 0: a snapshot with a bit of everything, strings too; 1: the same live; 2: after recovery, with orphans; 3: almost empty. */
static void make_bases(void)
{
	const char *where = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	shv_arena *a = small_arena(), *b = small_arena();
	shv_value *lent = shv_value_new(a, SHV_INT, NULL, SHV_RECURSIVE);

	snprintf(scratch, sizeof(scratch), "%s/fuzz-image-%d", where, (int)getpid());
	snprintf(second, sizeof(second), "%s/fuzz-image-%d-2", where, (int)getpid());
	must(lent, "value");
	fill(a, 40);
	fill_strings(a);
	die_with_things(a, lent);
	base_of_snapshot(&bases[0], a);
	base_make(&bases[1], shv_arena_fd(a));
	must(shv_arena_recover(a, NULL) >= 0, "shv_arena_recover");
	base_make(&bases[2], shv_arena_fd(a));
	must(shv_value_new(b, SHV_INT, NULL, SHV_PLAIN) && shv_string_new(b, "the only one", SHV_RECURSIVE), "value");
	base_of_snapshot(&bases[3], b);
	/* The arenas stay attached until the program ends: what is held is held. */
}

/* ---- a reader that looks at everything --------------------------------------------------------------------- */

static void too_many(const char *what)
{
	fprintf(stderr, "fuzz_image: %s does not end\n", what);
	abort();
}

#define WALK(next, type, item, body)                                    \
	do {                                                            \
		uint64_t cursor = 0, n = 0;                             \
		struct type item = { .size = sizeof(item) };            \
		while (next(a, &cursor, &item) == 1) {                  \
			if (n++ > ITEMS)                                \
				too_many(#next);                        \
			body;                                           \
		}                                                       \
	} while (0)

static void look_at_value(shv_arena *a, const struct shv_value_info *i, bool closely)
{
	struct shv_value_info again = { .size = sizeof(again) };
	char buf[300];
	bool torn;
	void *p;

	(void)shv_value_bytes(a, i->ref, buf, 64, &torn);
	(void)shv_value_text(a, i->ref, buf, sizeof(buf));
	(void)shv_value_name(a, i->ref, buf, sizeof(buf));
	if (!closely)
		return;
	(void)shv_value_text(a, i->ref, NULL, 0);
	(void)shv_value_describe(a, i->ref, &again);
	p = shv_deref(a, i->ref);
	if (!p)
		return;
	(void)shv_kind_of(p);
	(void)shv_value_type(p);
	(void)shv_len(p);
	(void)shv_peek(p, buf, i->bytes <= sizeof(buf) ? (size_t)i->bytes : 8);
	if (i->kind == SHV_KIND_STRING) {
		(void)shv_string_peek(p, buf, sizeof(buf));
		(void)shv_wstring_peek(p, (wchar_t *)(void *)&again, sizeof(again) / sizeof(wchar_t));
		(void)shv_string_data(p, NULL);
	}
	(void)shv_value_holder(p, &(struct shv_holder){ .size = 0 });
}

static void look_at_names(shv_arena *a)
{
	uint64_t cursor = 0, n = 0;
	char name[256];
	shv_ref ref;

	while (shv_next_name(a, &cursor, name, sizeof(name), &ref) == 1) {
		if (n++ > ITEMS)
			too_many("shv_next_name");
		(void)shv_find(a, name);
	}
	(void)shv_find(a, "name 3");
	(void)shv_find(a, "none of these");
}

static void report(void *ctx, const char *what)
{
	*(size_t *)ctx += strlen(what);
}

static void print(void *ctx, const char *what)
{
	(void)ctx;
	fprintf(stderr, "fuzz_image: %s\n", what);
}

static int look(shv_arena *a, bool closely)
{
	struct shv_stat st = { .size = sizeof(st) };
	size_t said = 0;
	int findings;

	(void)shv_stat(a, &st);
	WALK(shv_value_next, shv_value_info, v, look_at_value(a, &v, closely));
	WALK(shv_lock_next, shv_lock_info, l, (void)0);
	WALK(shv_process_next, shv_process_info, p, (void)0);
	WALK(shv_run_next, shv_run_info, r, (void)0);
	WALK(shv_type_next, shv_type_info, t, (void)0);
	look_at_names(a);
	findings = shv_check(a, report, &said);
	if (findings < 0 && findings != -ENOMEM && findings != -EUCLEAN)
		too_many("shv_check: a strange error");
	return findings;
}

/* What passes the check can be used. */
static void use(shv_arena *a)
{
	struct shv_value_info info = { .size = sizeof(info) };
	bool free_to_take = false;
	uint64_t cursor = 0;

	for (int i = 0; i < 40; i++)
		(void)shv_value_new(a, i % 2 ? SHV_INT : SHV_DOUBLE, NULL, SHV_RECURSIVE);
	for (unsigned n = 0; shv_value_next(a, &cursor, &info) == 1 && n < ITEMS; n++) {
		void *p = shv_deref(a, info.ref);
		if (!p || info.kind == SHV_KIND_LOCK)
			continue;
		if (info.kind == SHV_KIND_RAW || info.kind == SHV_KIND_RAW_ARRAY) {
			(void)shv_raw_free(p);
			continue;
		}
		if (info.kind == SHV_KIND_STRING || n % 3 == 0)
			free_to_take = shv_try_acquire(p) >= 0 && !shv_release(p);
		if (info.kind == SHV_KIND_STRING && n % 2 && (free_to_take || info.lock == SHV_LOCK_NONE)) {
			(void)shv_string_append(p, " and more of it");
			(void)shv_string_set(p, "another text");
		}
		(void)shv_value_free(p);
	}
	(void)shv_arena_recover(a, NULL);
	(void)shv_arena_trim(a);
	must(shv_check(a, print, NULL) == 0, "a restored arena is damaged after use");
}

/* Through files: what shv_arena_open() and shv_arena_snapshot() do with it. */
static void through_files(struct base *b, bool sound)
{
	shv_arena *a;
	int fd = open(scratch, O_RDWR | O_CREAT | O_TRUNC, 0600);

	must(fd >= 0 && !ftruncate(fd, (off_t)b->size), scratch);
	for (uint32_t i = 0; i < b->pages; i++)
		must(pwrite(fd, b->live + (size_t)b->page[i] * PAGE, PAGE, (off_t)b->page[i] * PAGE) == PAGE, scratch);
	close(fd);
	a = shv_arena_open(scratch, 0);
	if (a) {
		(void)look(a, false);
		(void)shv_arena_snapshot(a, second, 0);
		must(!shv_arena_detach(a), "shv_arena_detach");
		a = sound ? shv_arena_open(second, 0) : NULL;
		if (a) {
			must(shv_check(a, NULL, NULL) == 0, "the snapshot of a sound arena is not sound");
			must(!shv_arena_detach(a), "shv_arena_detach");
		}
		(void)unlink(second);
	}
	a = shv_arena_open(scratch, SHV_RESTORE);
	if (a) {
		use(a);
		must(!shv_arena_detach(a), "shv_arena_detach");
	}
}

/* ---- one input --------------------------------------------------------------------------------------------- */

struct reader {
	const uint8_t *p;
	size_t n;
};

static uint32_t take(struct reader *r, unsigned bytes)
{
	uint32_t x = 0;

	for (unsigned i = 0; i < bytes && r->n; i++, r->p++, r->n--)
		x |= (uint32_t)*r->p << (8 * i);
	return x;
}

struct patched {
	uint32_t page[PATCHES];
	unsigned n;
	bool super;               /* the superblock is among them */
};

static void patch(struct base *b, struct reader *r, struct patched *done)
{
	uint32_t which = take(r, 2) % b->pages, off = take(r, 2) % PAGE, kind = take(r, 1), len;
	char *to;

	if (kind >= 0x40)
		off &= ~7u;
	to = b->live + (size_t)b->page[which] * PAGE + off;
	len = kind < 0x40 ? 1 + kind % 32 : 8;
	if (len > PAGE - off)
		len = PAGE - off;
	done->page[done->n++] = which;
	done->super |= b->page[which] == 0;
	if (kind < 0x40) {
		for (uint32_t i = 0; i < len; i++)
			to[i] = (char)take(r, 1);
	} else if (kind < 0x60) {
		memset(to, 0, len);
	} else if (kind < 0x80) {
		memset(to, 0xff, len);
	} else if (kind < 0xc0) { /* a word of somewhere else */
		uint32_t from = take(r, 2) % b->pages, at = take(r, 2) % PAGE & ~7u;
		memcpy(to, b->good + (size_t)from * PAGE + at, len);
	} else { /* a bit */
		to[0] ^= (char)(1 << (kind & 7));
	}
}

static void undo(struct base *b, const struct patched *done)
{
	for (unsigned i = 0; i < done->n; i++)
		memcpy(b->live + (size_t)b->page[done->page[i]] * PAGE, b->good + (size_t)done->page[i] * PAGE, PAGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = { data, size };
	struct patched done = { .n = 0 };
	uint32_t how;
	struct base *b;
	shv_arena *a;
	int findings;

	if (!bases[0].fd)
		make_bases();
	b = &bases[take(&r, 1) % BASES];
	how = take(&r, 1);
	while (r.n && done.n < PATCHES)
		patch(b, &r, &done);
	a = b->a;
	if (done.super) {
		a = shv_arena_attach(b->fd, SHV_RDONLY);
		if (a)
			a->frozen = true;
		else
			must(errno == EBADMSG || errno == EUCLEAN || errno == EPROTONOSUPPORT || errno == ENOMEM, "a strange error");
	}
	findings = a ? look(a, how % 8 == 1) : -EUCLEAN;
	if (a && a != b->a)
		must(!shv_arena_detach(a), "shv_arena_detach");
	if (size && (how == 255 || (how == 127 && !findings)) && data[size - 1] % 4 == 0)
		through_files(b, findings == 0);
	undo(b, &done);
	return 0;
}

/* ---- a driver of our own ------------------------------------------------------------------------------------- */

#ifdef PLAIN_DRIVER

static uint64_t state;
static uint8_t input[2048];
static size_t input_n;
static uint64_t run;

static uint64_t rnd(void) /* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(0x2545f4914f6cdd1d);
}

static void put(uint64_t x, unsigned bytes)
{
	for (unsigned i = 0; i < bytes && input_n < sizeof(input); i++)
		input[input_n++] = (uint8_t)(x >> (8 * i));
}

/* A word of the image that is not zero, most of the time: that is where meaning is. */
static void choose_word(const struct base *b, uint32_t *page, uint32_t *off)
{
	for (int i = 0; i < 200; i++) {
		uint64_t w;
		*page = (uint32_t)(rnd() % b->pages);
		*off = (uint32_t)(rnd() % (PAGE / 8)) * 8;
		memcpy(&w, b->good + (size_t)*page * PAGE + *off, 8);
		if (w || rnd() % 64 == 0)
			return;
	}
}

static void generate(void)
{
	unsigned which = (unsigned)(rnd() % BASES), n = 1 + (unsigned)(rnd() % (rnd() % 8 ? 3 : 24));
	const struct base *b = &bases[which];
	uint32_t page, off, from, at;
	uint64_t w;

	input_n = 0;
	put(which, 1);
	put(rnd(), 1);
	while (n--) {
		choose_word(b, &page, &off);
		memcpy(&w, b->good + (size_t)page * PAGE + off, 8);
		put(page, 2);
		switch (rnd() % 10) {
		case 0:
		case 1: /* a bit */
			put(off + rnd() % 8, 2);
			put(0xc0 + rnd() % 8, 1);
			continue;
		case 2:
			put(off, 2);
			put(rnd() % 2 ? 0x40 : 0x60, 1);
			continue;
		case 3:
		case 4:
			choose_word(b, &from, &at);
			put(off, 2);
			put(0x80, 1);
			put(from, 2);
			put(at, 2);
			continue;
		case 5:
			w += rnd() % 2 ? 1 : UINT64_MAX;
			break;
		case 6:
			w += (rnd() % 2 ? 1 : UINT64_MAX) << (rnd() % 64);
			break;
		case 7: /* half of it */
			w = (w & 0xffffffff) | rnd() << 32;
			break;
		case 8:
			w = (w & ~UINT64_C(0xffffffff)) | (uint32_t)rnd();
			break;
		default:
			w = rnd() >> (rnd() % 64);
		}
		put(off, 2);
		put(7, 1);
		put(w, 8);
	}
}

static void keep_input(void)
{
	int fd = open("crash-image", O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd >= 0 && write(fd, input, input_n) == (ssize_t)input_n)
		(void)!write(STDERR_FILENO, "fuzz_image: the input is in crash-image\n", 40);
}

static void crashed(int sig)
{
	char text[80];
	int n = snprintf(text, sizeof(text), "fuzz_image: signal %d in run %llu\n", sig, (unsigned long long)run);

	(void)!write(STDERR_FILENO, text, (size_t)n);
	keep_input();
	signal(sig, SIG_DFL);
	raise(sig == SIGALRM ? SIGABRT : sig);
}

static void watch(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], crashed);
}

static int replay(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, input, sizeof(input));

	if (n < 0) {
		perror(path);
		return 1;
	}
	close(fd);
	input_n = (size_t)n;
	return LLVMFuzzerTestOneInput(input, input_n);
}

int main(int argc, char **argv)
{
	uint64_t runs = 20000, seed = 1;
	struct timeval from, to;
	bool files = false;

	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "-runs=", 6))
			runs = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "-seed=", 6))
			seed = strtoull(argv[i] + 6, NULL, 0);
		else
			files = true;
	}
	watch();
	make_bases();
	for (int i = 1; i < argc && files; i++)
		if (argv[i][0] != '-' && replay(argv[i]))
			return 1;
	if (files)
		return 0;
	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	gettimeofday(&from, NULL);
	for (run = 0; run < runs; run++) {
		if (run % 256 == 0)
			alarm(256 * SECONDS < 60 ? 60 : SECONDS * 6); /* for 256 of them; one takes far less than a millisecond */
		generate();
		(void)LLVMFuzzerTestOneInput(input, input_n);
		if ((run + 1) % 500000 == 0)
			fprintf(stderr, "# %llu runs\n", (unsigned long long)(run + 1));
	}
	gettimeofday(&to, NULL);
	printf("# fuzz_image: %llu runs with seed %llu, %.0f in a second\n", (unsigned long long)runs, (unsigned long long)seed,
	       (double)runs / ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_usec - from.tv_usec) / 1e6 + 1e-9));
	(void)unlink(scratch);
	return 0;
}

#endif
