/* SPDX-License-Identifier: MIT */
/*
 * Death at any instruction, in two ways.
 *
 * By killing: a child is single-stepped through an operation and killed after i instructions. The survivor must recover, find
 * the arena sound, find what was committed, and have all pages back, within a bounded time (the test's own alarm). Getting to
 * place i takes i steps, so the places are a sample: spread evenly from a seeded start.
 *
 * By looking: most instructions change nothing that others can see. So a child is stepped through the operation once, and
 * whenever the arena's bytes have changed, they are copied into another memfd. There the child is dead, since nobody holds its byte
 * locked, while the survivor counts as alive, for we hold its byte; a newcomer (we) recovers and looks. Then the survivor is
 * dead as well, and it recovers again, frees all and has all pages back. Thus each state in which a death can leave the arena
 * is met, in time that grows with their number and not with its square.
 *
 * Without SHV_SLOW: few places, and some of the states of the first STATES_STEPS instructions. With it: more places, and all states of
 * every scenario from the first to the last instruction. SHV_SCENARIO=name: that one only. Needs no special build.
 */
#include "arena/arena_private.h" /* before Check, which has a macro fail */

#define MANY 4
#include "fault/scenarios.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <time.h>

#define STEPS_MOST 20000 /* a sample of places goes no further into an operation */
#define STEPS_IN_ALL (slow ? 200000 : 8000) /* single steps that the places of one operation may take */
#define STATES_STEPS 2500
#define STATES_STRIDE 5

static unsigned seed;
static bool slow;

/* Run the child to where the operation begins: it stops itself there. */
static pid_t start_child(struct stage *s, const struct scenario *sc)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		if (sc->warm)
			sc->warm(s);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(8);
		raise(SIGSTOP);
		sc->act(s);
		raise(SIGSTOP);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "%s: the child did not come to its start: %x", sc->name, status);
	return pid;
}

/* Steps it i times and kills it. True if the operation was over before. */
static bool killed_after(pid_t pid, const char *name, unsigned long i)
{
	bool over = false;
	int status;

	for (unsigned long k = 0; k < i && !over; k++) {
		ck_assert(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
		ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
		ck_assert_msg(WIFSTOPPED(status), "%s: the child ended at step %lu: %x", name, k, status);
		over = WSTOPSIG(status) == SIGSTOP;
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) == pid && !WIFSIGNALED(status) && !WIFEXITED(status))
		;
	return over;
}

static bool round_of(const struct scenario *sc, unsigned long i)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 8 };
	struct stage s = { .a = shv_arena_create(&o) };
	bool over;
	int n;

	ck_assert_msg(s.a != NULL, "%s", shv_errmsg());
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s.shared != MAP_FAILED);
	sc->before(&s);
	over = killed_after(start_child(&s, sc), sc->name, i);
	ck_assert_msg(shv_arena_recover(s.a, NULL) >= 0, "%s, step %lu: %s", sc->name, i, shv_errmsg());
	n = shv_check(s.a, report, (void *)(uintptr_t)sc->name);
	ck_assert_msg(n == 0, "%s, step %lu: %d findings after recovery", sc->name, i, n);
	sc->verify(&s, true);
	free_everything(s.a);
	nothing_is_left(s.a, sc->name, (unsigned)i);
	ck_assert_int_eq(shv_arena_detach(s.a), 0);
	munmap(s.shared, sizeof(*s.shared));
	return over;
}

/* How many instructions the whole operation takes. */
static unsigned long length_of(const struct scenario *sc)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 8 };
	struct stage s = { .a = shv_arena_create(&o) };
	unsigned long n = 0;
	int status;
	pid_t pid;

	ck_assert_msg(s.a != NULL, "%s", shv_errmsg());
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s.shared != MAP_FAILED);
	sc->before(&s);
	pid = start_child(&s, sc);
	do {
		n++;
		ck_assert(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
		ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
		ck_assert_msg(WIFSTOPPED(status), "%s: the child ended at step %lu: %x", sc->name, n, status);
	} while (WSTOPSIG(status) != SIGSTOP && n < STEPS_MOST);
	kill(pid, SIGKILL);
	waitpid(pid, &status, __WALL);
	ck_assert_int_ge(shv_arena_recover(s.a, NULL), 0);
	sc->verify(&s, true);
	ck_assert_int_eq(shv_arena_detach(s.a), 0);
	munmap(s.shared, sizeof(*s.shared));
	return n;
}

START_TEST(killed_after_some_instructions)
{
	const struct scenario *sc = &scenarios[_i];
	const char *only = getenv("SHV_SCENARIO");
	unsigned long n, done = 0, stride;

	if (sc->points || (only && strcmp(only, sc->name)))
		return; /* test_crash.c has these */
	stay_on_one_cpu();
	n = length_of(sc);
	/* Killing at i takes i steps: with places evenly spread, n steps for every two of them. */
	stride = n * (n / 2) / STEPS_IN_ALL;
	if (stride < 1)
		stride = 1;
	if (stride > n / 2)
		stride = n / 2;
	for (unsigned long i = 1 + seed % stride; i <= n; i += stride) {
		(void)round_of(sc, i);
		done++;
	}
	fprintf(stderr, "# %s: %lu instructions, killed after %lu of them\n", sc->name, n, done);
}
END_TEST

/* ---- by looking -------------------------------------------------------------------------------------------- */

/* The file as it was after the last instruction. */
struct image {
	const char *base;      /* the arena, mapped here */
	int fd;
	char *shadow;
	uint32_t *page;        /* those that have memory */
	size_t pages, capacity;
	off_t size;
	blkcnt_t blocks;
};

static void image_open(struct image *im, struct stage *s)
{
	*im = (struct image){ .base = s->a->base, .fd = shv_arena_fd(s->a), .capacity = s->a->size };
	im->shadow = mmap(NULL, im->capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	im->page = calloc(im->capacity >> SHV_PAGE_SHIFT, sizeof(*im->page));
	ck_assert(im->shadow != MAP_FAILED && im->page);
}

static void image_close(struct image *im)
{
	munmap(im->shadow, im->capacity);
	free(im->page);
}

/* Pages came or went. Holes are left alone: reading one through a mapping would fill it. */
static void image_list(struct image *im)
{
	off_t at = 0, end = 0;

	im->pages = 0;
	while ((at = lseek(im->fd, end, SEEK_DATA)) >= 0) {
		for (off_t k = end; k < at; k += SHV_PAGE_SIZE)
			if (*(uint64_t *)(void *)(im->shadow + k) || memcmp(im->shadow + k, im->shadow + k + 8, SHV_PAGE_SIZE - 8))
				memset(im->shadow + k, 0, SHV_PAGE_SIZE);
		end = lseek(im->fd, at, SEEK_HOLE);
		for (off_t k = at; k < end; k += SHV_PAGE_SIZE)
			im->page[im->pages++] = (uint32_t)(k >> SHV_PAGE_SHIFT);
	}
	madvise(im->shadow + end, im->capacity - (size_t)end, MADV_DONTNEED);
}

/* Has anything changed since the last time? Then the shadow is what it is now. */
static bool image_changed(struct image *im)
{
	bool changed = false;
	struct stat st;

	ck_assert(!fstat(im->fd, &st));
	if (st.st_size != im->size || st.st_blocks != im->blocks) {
		im->size = st.st_size;
		im->blocks = st.st_blocks;
		image_list(im);
		changed = true;
	}
	for (size_t i = 0; i < im->pages; i++) {
		size_t off = (size_t)im->page[i] << SHV_PAGE_SHIFT;
		if (memcmp(im->base + off, im->shadow + off, SHV_PAGE_SIZE) != 0) {
			memcpy(im->shadow + off, im->base + off, SHV_PAGE_SIZE);
			changed = true;
		}
	}
	return changed;
}

static int image_copy(const struct image *im)
{
	int fd = memfd_create("shv:copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert(fd >= 0 && !ftruncate(fd, im->size));
	for (size_t i = 0, n; i < im->pages; i += n) {
		off_t off = (off_t)im->page[i] << SHV_PAGE_SHIFT;
		for (n = 1; i + n < im->pages && im->page[i + n] == im->page[i] + n; n++)
			;
		ck_assert_int_eq(pwrite(fd, im->shadow + off, n << SHV_PAGE_SHIFT, off), (ssize_t)(n << SHV_PAGE_SHIFT));
	}
	ck_assert(!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL));
	return fd;
}

/* The survivor's byte in the copy: while the descriptor is open it counts as alive. */
static int survivor_in(int copy, uint32_t slot)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert(fd >= 0 && !fcntl(fd, F_OFD_SETLK, &fl));
	return fd;
}

static void recovered_and_sound(struct stage *s, const struct scenario *sc, unsigned long i, const char *who)
{
	int n;

	ck_assert_msg(shv_arena_recover(s->a, NULL) >= 0, "%s, step %lu, %s: %s", sc->name, i, who, shv_errmsg());
	n = shv_check(s->a, report, (void *)(uintptr_t)sc->name);
	ck_assert_msg(n == 0, "%s, step %lu, %s: %d findings after recovery", sc->name, i, who, n);
}

static void state_is_recovered(const struct image *im, const struct stage *s, const struct scenario *sc, unsigned long i)
{
	int copy = image_copy(im), survivor = survivor_in(copy, s->a->m->local->proc);
	struct stage c = { .a = shv_arena_attach(copy, 0), .shared = s->shared };

	ck_assert_msg(c.a != NULL, "%s, step %lu: %s", sc->name, i, shv_errmsg());
	for (unsigned k = 0; k < sizeof(c.v) / sizeof(c.v[0]); k++)
		c.v[k] = s->v[k] ? (shv_value *)(c.a->base + ((char *)s->v[k] - s->a->base)) : NULL;
	recovered_and_sound(&c, sc, i, "the child is dead");
	if (sc->verify != still_held) /* which is about what the survivor may do, and it stands still */
		sc->verify(&c, true);
	close(survivor);
	recovered_and_sound(&c, sc, i, "both are dead");
	if (sc->verify == still_held)
		locks_can_be_had(&c, true);
	else
		sc->verify(&c, true);
	free_everything(c.a);
	nothing_is_left(c.a, sc->name, (unsigned)i);
	ck_assert_int_eq(shv_arena_detach(c.a), 0);
	close(copy);
}

START_TEST(every_state_that_a_death_can_leave)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 8 };
	const struct scenario *sc = &scenarios[_i];
	const char *only = getenv("SHV_SCENARIO");
	unsigned long n = 0, states = 0, looked = 0;
	struct stage s = { 0 };
	struct image im;
	bool over = false;
	int status;
	pid_t pid;

	if (sc->points || (only && strcmp(only, sc->name)))
		return;
	stay_on_one_cpu();
	s.a = shv_arena_create(&o);
	ck_assert_msg(s.a != NULL, "%s", shv_errmsg());
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s.shared != MAP_FAILED);
	sc->before(&s);
	pid = start_child(&s, sc);
	image_open(&im, &s);
	for (;; n++) {
		if (image_changed(&im)) {
			states++;
			if (slow || states % STATES_STRIDE == seed % STATES_STRIDE) {
				state_is_recovered(&im, &s, sc, n);
				looked++;
			}
		}
		if (over || (!slow && n >= STATES_STEPS))
			break;
		ck_assert(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
		ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
		ck_assert_msg(WIFSTOPPED(status), "%s: the child ended at step %lu: %x", sc->name, n, status);
		over = WSTOPSIG(status) == SIGSTOP;
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) == pid && !WIFSIGNALED(status) && !WIFEXITED(status))
		;
	image_close(&im);
	ck_assert_int_ge(shv_arena_recover(s.a, NULL), 0);
	ck_assert_int_eq(shv_check(s.a, report, (void *)(uintptr_t)sc->name), 0);
	sc->verify(&s, true);
	ck_assert_int_eq(shv_arena_detach(s.a), 0);
	munmap(s.shared, sizeof(*s.shared));
	fprintf(stderr, "# %s: %lu instructions%s, %lu states, %lu of them recovered\n", sc->name, n, over ? "" : " and more", states, looked);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("step");
	TCase *t = tcase_create("instructions");
	const char *given = getenv("SHV_SEED");

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "# SHV_SEED=%u\n", seed);
	slow = getenv("SHV_SLOW") != NULL;
	tcase_set_timeout(t, slow ? 7200 : 120);
	tcase_add_loop_test(t, killed_after_some_instructions, 0, (int)SCENARIOS);
	tcase_add_loop_test(t, every_state_that_a_death_can_leave, 0, (int)SCENARIOS);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
