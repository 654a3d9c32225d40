/* SPDX-License-Identifier: MIT */
/*
 * Copies of an arena with garbage in them: attaching read-only gives a documented error, or everything that
 * reads can be asked and answers in bounded time. Each copy is looked at by a child, so that a crash is a
 * failure that names the seed.
 *
 * SHV_SEED chooses the random cases; with SHV_SLOW there are many.
 */
#include "config.h"

#include "corrupt/fixture.h"
#include "support/suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 30       /* for one copy; a second is plenty */
#define ITEMS   2000000u /* no iterator may give more: there are not that many things */

static struct fixture f;

static void setup(void)
{
	fixture_make(&f);
}

static void teardown(void)
{
	fixture_end(&f);
}

/* ---- random numbers ---------------------------------------------------------------------------------- */

static uint64_t state;

static uint64_t rnd(void) /* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t first_seed(void)
{
	const char *s = getenv("SHV_SEED");

	return s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL);
}

/* ---- copies ------------------------------------------------------------------------------------------ */

struct copy {
	int fd;
	char *p;
	size_t size;
};

/* Only what is not a hole. */
static void copy_make(struct copy *c)
{
	int from = shv_arena_fd(f.a);
	struct stat st;
	off_t at = 0, end;

	ck_assert(!fstat(from, &st));
	c->size = (size_t)st.st_size;
	c->fd = memfd_make("copy", c->size);
	ck_assert_int_ge(c->fd, 0);
	c->p = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	ck_assert(c->p != MAP_FAILED);
	while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
		end = lseek(from, at, SEEK_HOLE);
		ck_assert_int_eq(pread(from, c->p + at, (size_t)(end - at), at), end - at);
		at = end;
	}
}

static void copy_end(struct copy *c)
{
	munmap(c->p, c->size);
	close(c->fd);
}

/* ---- a reader that looks at everything --------------------------------------------------------------- */

static void leave(const char *why, const char *what)
{
	fprintf(stderr, "%s: %s\n", why, what);
	_exit(2);
}

/* Iterators end, with 0 or a documented error. */
#define WALK(next, type, item, body)                                                      \
	do {                                                                              \
		uint64_t cursor = 0, n = 0;                                               \
		struct type item = { .size = sizeof(item) };                              \
		int r_;                                                                   \
		while ((r_ = next(a, &cursor, &item)) == 1) {                             \
			if (n++ > ITEMS)                                                  \
				leave(#next, "does not end");                             \
			body;                                                             \
		}                                                                         \
		if (r_ != 0 && r_ != -EUCLEAN && r_ != -EINVAL && r_ != -ENOTRECOVERABLE) \
			leave(#next, "an error that is not documented");                  \
	} while (0)

static void look_at_value(shv_arena *a, shv_ref ref)
{
	_Alignas(wchar_t) char buf[300];
	bool torn;
	void *p;

	(void)shv_value_bytes(a, ref, buf, sizeof(buf), &torn);
	(void)shv_value_text(a, ref, buf, sizeof(buf));
	p = shv_deref(a, ref);
	if (!p)
		return;
	(void)shv_kind_of(p);
	(void)shv_value_type(p);
	(void)shv_len(p);
	(void)shv_peek(p, buf, 4);
	(void)shv_peek(p, buf, 8);
	(void)shv_at(p, 1);
	(void)shv_value_holder(p, &(struct shv_holder){ .size = 0 });
	(void)shv_ref_of(p);
	if (shv_kind_of(p) != SHV_KIND_STRING)
		return;
	(void)shv_string_get(p, buf, sizeof(buf));
	(void)shv_wstring_peek(p, (wchar_t *)(void *)buf, sizeof(buf) / sizeof(wchar_t));
	free(shv_string_dup(p, NULL));
	free(shv_wstring_dup(p, NULL));
	(void)shv_string_data(p, NULL);
}

static void look_at_names(shv_arena *a)
{
	char name[256];
	uint64_t cursor = 0, n = 0;
	shv_ref ref;

	while (shv_next_name(a, &cursor, name, sizeof(name), &ref) == 1) {
		if (n++ > ITEMS)
			leave("shv_next_name", "does not end");
		(void)shv_find(a, name);
		(void)shv_value_name(a, ref, name, sizeof(name));
	}
	(void)shv_find(a, "first");
	(void)shv_find(a, "nobody");
}

static void check(shv_arena *a)
{
	int n = shv_check(a, NULL, NULL);

	if (n < 0 && n != -ENOMEM)
		leave("shv_check", shv_errmsg());
}

static void look(int fd)
{
	static const int documented[] = { EBADMSG, EPROTONOSUPPORT, EUCLEAN, ENOMEM };
	shv_arena *a = shv_arena_attach(fd, SHV_RDONLY);
	unsigned values = 0;

	if (!a) {
		for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++)
			if (errno == documented[i])
				return;
		leave("shv_arena_attach", strerror(errno));
	}
	(void)shv_stat(a, &(struct shv_stat){ .size = 0 });
	WALK(shv_value_next, shv_value_info, v, if (values++ < 2000) look_at_value(a, v.ref));
	WALK(shv_lock_next, shv_lock_info, l, (void)0);
	WALK(shv_process_next, shv_process_info, p, (void)0);
	WALK(shv_run_next, shv_run_info, r, (void)0);
	WALK(shv_type_next, shv_type_info, t, (void)0);
	look_at_names(a);
	check(a);
	shv_arena_detach(a);
}

/* With CK_FORK=no there is a debugger, or something else that wants to see it in this process. */
static void look_in_child(const struct copy *c, const char *what, uint64_t seed)
{
	const char *mode = getenv("CK_FORK");
	pid_t child;
	int status;

	if (mode && !strcmp(mode, "no")) {
		look(c->fd);
		return;
	}
	child = check_fork();
	if (!child) {
		alarm(SECONDS);
		signal(SIGALRM, SIG_DFL);
		look(c->fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s, seed %llu: status %x%s", what,
		      (unsigned long long)seed, status,
		      WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? " (does not end)" : "");
}

/* ---- whole regions ----------------------------------------------------------------------------------- */

struct region {
	const char *name;
	uint64_t off, size;
};

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Tables up to where they are in use and somewhat further, so that a copy stays small. */
static unsigned regions(struct region *r)
{
	const struct shv_geo *g = f.g;
	const struct region all[] = {
		{ "constants", 0, sizeof(struct shv_super_const) },
		{ "rest of the superblock", sizeof(struct shv_super_const),
		  sizeof(struct shv_super_shm) - sizeof(struct shv_super_const) },
		{ "intents", offsetof(struct shv_super_shm, recovery),
		  sizeof(struct shv_super_shm) - offsetof(struct shv_super_shm, recovery) },
		{ "policies", g->policies_off, g->graves_off - g->policies_off },
		{ "graves", g->graves_off, g->processes_off - g->graves_off },
		{ "processes", g->processes_off, g->threads_off - g->processes_off },
		{ "threads", g->threads_off, g->types_off - g->threads_off },
		{ "types", g->types_off, min(g->types_text_off - g->types_off, 65536) },
		{ "text of types", g->types_text_off, 4096 },
		{ "chunk table", g->chunks_off, g->map_off - g->chunks_off },
		{ "page map", g->map_off, g->sums_off - g->map_off },
		{ "summaries", g->sums_off, g->data_off - g->sums_off },
		{ "pool", g->data_off, f.super->pool_pages << SHV_PAGE_SHIFT },
		{ "name table", g->data_off + ((f.super->names_root & UINT32_MAX) << SHV_PAGE_SHIFT), 4096 },
		{ "slots",
		  g->data_off + ((uint64_t)SHV_CHUNK_PAGE(
					 *chunk_entry(f.base, g, slot_of(f.none) / SHV_SLOTS_PER_CHUNK))
				 << SHV_PAGE_SHIFT),
		  SHV_CHUNK_BYTES },
		{ "string", (uint64_t)((char *)f.string - f.base), sizeof(struct shv_string_shm) },
		{ "text", (uint64_t)((char *)text_of(&f, f.string) - f.base), sizeof(struct shv_text_shm) },
		{ "wide text", (uint64_t)((char *)text_of(&f, f.wide) - f.base), sizeof(struct shv_text_shm) },
	};

	memcpy(r, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}
#define REGIONS 18

static void fill(char *p, uint64_t size, unsigned how)
{
	if (how < 2) {
		memset(p, how ? 0xff : 0, size);
		return;
	}
	for (uint64_t i = 0; i < size; i++)
		p[i] = (char)(rnd() >> 56);
}

START_TEST(region_of_garbage_is_survived)
{
	static const char *const hows[] = { "00", "ff", "random bytes" };
	struct region r[REGIONS];
	struct copy c;
	char what[80];
	uint64_t seed = first_seed() + (uint64_t)_i;

	ck_assert_uint_eq(regions(r), REGIONS);
	for (unsigned how = 0; how < 3; how++) {
		state = seed | 1;
		copy_make(&c);
		fill(c.p + r[_i].off, r[_i].size, how);
		snprintf(what, sizeof(what), "%s full of %s", r[_i].name, hows[how]);
		look_in_child(&c, what, seed);
		copy_end(&c);
	}
}
END_TEST

/* ---- single words ------------------------------------------------------------------------------------ */

/* Values that are more often wrong than random ones. */
static uint64_t nasty(uint64_t was)
{
	static const uint64_t v[] = {
		0, 1, UINT64_MAX, UINT32_MAX, UINT64_C(1) << 63, UINT64_C(1) << 32, 0xfff, INT64_MAX
	};

	switch (rnd() % 5) {
	case 0:
		return v[rnd() % (sizeof(v) / sizeof(v[0]))];
	case 1:
		return was ^ UINT64_C(1) << rnd() % 64;
	case 2:
		return was + (rnd() % 5 - 2);
	case 3:
		return was + (UINT64_C(1) << rnd() % 64);
	default:
		return rnd();
	}
}

START_TEST(wrong_words_are_survived)
{
	unsigned rounds = getenv("SHV_SLOW") ? 5000 : 40;
	uint64_t from = first_seed();
	struct region r[REGIONS];
	struct copy c;

	(void)regions(r);
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t seed = from + i;
		state = seed * 2 + 1;
		(void)rnd();
		copy_make(&c);
		for (uint64_t n = 1 + rnd() % 20; n; n--) {
			const struct region *at = &r[1 + rnd() % (REGIONS - 1)]; /* the constants are summed */
			/* Near the start, where something is in use. */
			uint64_t off =
				at->off + (rnd() % (rnd() % 2 ? at->size : min(at->size, 512)) & ~UINT64_C(7));
			uint64_t w;
			memcpy(&w, c.p + off, 8);
			w = nasty(w);
			memcpy(c.p + off, &w, 8);
		}
		look_in_child(&c, "wrong words", seed);
		copy_end(&c);
	}
}
END_TEST

/* Constants that are wrong, with the right sum. */
START_TEST(forged_constants_are_survived)
{
	unsigned rounds = getenv("SHV_SLOW") ? 5000 : 40;
	uint64_t from = first_seed();
	struct copy c;

	for (unsigned i = 0; i < rounds; i++) {
		struct shv_super_const *s;
		uint64_t seed = from + i, off;
		state = seed * 2 + 1;
		(void)rnd();
		copy_make(&c);
		s = (struct shv_super_const *)(void *)c.p;
		for (uint64_t n = 1 + rnd() % 3; n; n--) {
			uint64_t w;
			off = 16 + rnd() % ((offsetof(struct shv_super_const, checksum) - 16) / 4) * 4;
			memcpy(&w, c.p + off, 8);
			w = nasty(w);
			memcpy(c.p + off, &w, rnd() % 2 ? 4 : 8);
		}
		s->checksum = fnv64(s, offsetof(struct shv_super_const, checksum));
		look_in_child(&c, "forged constants", seed);
		copy_end(&c);
	}
}
END_TEST

/* ---- files of other sizes and kinds ------------------------------------------------------------------ */

START_TEST(short_and_foreign_files_are_refused)
{
	static const uint64_t sizes[] = { 1, 100, 4095, 4096, 100000 };
	int fd;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fd = memfd_make("short", sizes[i]);
		ck_assert_ptr_null(shv_arena_attach(fd, SHV_RDONLY));
		ck_assert_int_eq(errno, EBADMSG);
		/* The beginning of an arena, cut off. */
		ck_assert_int_eq(pwrite(fd, f.base, min(sizes[i], sizeof(struct shv_super_shm)), 0),
				 min(sizes[i], sizeof(struct shv_super_shm)));
		ck_assert_ptr_null(shv_arena_attach(fd, SHV_RDONLY));
		ck_assert(errno == EBADMSG || errno == EUCLEAN);
		close(fd);
	}
	fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert(!ftruncate(fd, 1 << 20));
	ck_assert_ptr_null(shv_arena_attach(fd, SHV_RDONLY));
	ck_assert_int_eq(errno, EBADMSG);
	close(fd);
}
END_TEST

/* A file that ends before the pool does: no reader may touch what is not there. */
START_TEST(pool_past_the_end_of_the_file_is_survived)
{
	struct copy c;
	uint64_t pages = f.super->pool_pages;

	copy_make(&c);
	((struct shv_super_shm *)(void *)c.p)->pool_pages = f.g->max_pages;
	for (uint64_t p = pages; p < f.g->max_pages; p++)
		*page_entry(c.p, f.g, p) = page_make(SHV_PG_OWNED, 0, 0, 1);
	for (unsigned i = 0; i < 100; i++) {
		struct shv_slot_shm *s =
			(struct shv_slot_shm *)(void *)(c.p + ((char *)slot_for(&f, f.none) - f.base)) + i;
		s->word = slot_word(SHV_SLOT_LIVE, 0, 3, 0, 1);
		s->what = what_make(f.g->data_off + ((f.g->max_pages - 1 - i) << SHV_PAGE_SHIFT), 8,
				    SHV_KIND_RAW, SHV_POL_RAW);
	}
	look_in_child(&c, "pool past the end", 0);
	copy_end(&c);
}
END_TEST

START_TEST(copy_without_garbage_is_sound)
{
	struct copy c;
	shv_arena *a;

	copy_make(&c);
	a = shv_arena_attach(c.fd, SHV_RDONLY);
	ck_assert_msg(a != NULL, "%s", shv_errmsg());
	ck_assert_int_eq(shv_check(a, NULL, NULL), 0);
	shv_arena_detach(a);
	copy_end(&c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("garbage");
	TCase *tc = tcase_create("copies");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, getenv("SHV_SLOW") ? 3600 : 120);
	tcase_add_test(tc, copy_without_garbage_is_sound);
	tcase_add_test(tc, short_and_foreign_files_are_refused);
	tcase_add_test(tc, pool_past_the_end_of_the_file_is_survived);
	tcase_add_loop_test(tc, region_of_garbage_is_survived, 0, REGIONS);
	tcase_add_test(tc, wrong_words_are_survived);
	tcase_add_test(tc, forged_constants_are_survived);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
