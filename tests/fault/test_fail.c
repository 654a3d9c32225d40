/* SPDX-License-Identifier: MIT */
/*
 * Failure of every memory and system call that the library can survive, in every operation.
 *
 * For each scenario and k = 1, 2, ...: a fresh arena, a child that performs the operation while the k-th failure point that it reaches
 * reports failure, until none is left to fail. A call may then fail, with a sentence in shv_errmsg(); the same call made again must
 * succeed, since the failure was one only; then the same with several in a row, where as many calls may fail. Afterwards everything is as if nothing had failed: the child finds the arena sound and can
 * go on, the survivor (this process) finds what was committed, frees all, and has all pages back. Descriptors and mappings of the child are counted.
 * A last test demands that every failure point in the sources went off at least once.
 *
 * Needs --enable-fault-injection. SHV_SCENARIO=name: that one only. SHV_VERBOSE=1: says which call failed, and how.
 */
#include "support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <shv/shv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 40
#define REQUIRE(x)                                                                                                   \
	do {                                                                                                         \
		errno = 0;                                                                                           \
		while (!(x))                                                                                         \
			if (!may_fail(#x, __LINE__)) {                                                               \
				fprintf(stderr, "# child: %s:%d: %s: %s\n", __FILE__, __LINE__, #x, shv_errmsg());   \
				_exit(9);                                                                            \
			}                                                                                            \
	} while (0)
/* What is not a call into the library. */
#define MUST(x)                                                                                                      \
	do {                                                                                                         \
		if (!(x)) {                                                                                          \
			fprintf(stderr, "# child: %s:%d: %s: %s\n", __FILE__, __LINE__, #x, shv_errmsg());           \
			_exit(9);                                                                                    \
		}                                                                                                    \
	} while (0)

static bool may_fail(const char *what, int line);
#include "fault/scenarios.h"

void shv_fault_arm_failure(const char *spec);
uint64_t shv_fault_hits(bool failures);

static uint64_t failing_at; /* 0: nothing does */
static unsigned in_a_row = 1; /* so many points fail then */
static unsigned refused;    /* calls that said so; no more than points failed */
static char stale_message[400];

/* A call failed. True if it was allowed to, and said why. */
static bool may_fail(const char *what, int line)
{
	const char *why = shv_errmsg();

	if (!failing_at || shv_fault_hits(true) < failing_at || refused >= in_a_row)
		return false;
	if (getenv("SHV_VERBOSE"))
		fprintf(stderr, "# refused: %s: %s\n", what, why);
	if (!*why || !strcmp(why, stale_message)) {
		fprintf(stderr, "# child: line %d: %s failed without a sentence\n", line, what);
		_exit(10);
	}
	refused++;
	return true;
}

/* ---- further scenarios --------------------------------------------------------------------------------------- */

/* The documented errors of making, attaching and leaving. */
static bool documented(int e)
{
	static const int all[] = { ENOMEM, ENOSPC, EMFILE, ENFILE, EUSERS, EACCES, EAGAIN };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (e == all[i])
			return true;
	return false;
}

static shv_arena *made(shv_arena *a)
{
	int e = errno;

	if (!a && !documented(e)) {
		fprintf(stderr, "# child: errno %d: %s\n", e, shv_errmsg());
		_exit(11);
	}
	return a;
}

/* Lines of /proc/self/maps that show an arena, and descriptors. */
static unsigned holdings(void)
{
	char line[512];
	unsigned n = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	MUST(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "memfd:shv:"))
			n++;
	fclose(f);
	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n += 1000;
	return n;
}

static int arena_fd = -1;
static pid_t survivor;

static void descriptor(struct stage *s)
{
	survivor_values(s);
	arena_fd = shv_arena_fd(s->a);
	survivor = getpid();
	ck_assert_int_ge(arena_fd, 0);
}

/* The child is no member: what it inherited is the parent's. */
static void leave(struct stage *s)
{
	arena_fd = dup(arena_fd);
	MUST(arena_fd >= 0 && !shv_arena_detach(s->a));
	s->a = NULL;
}

static void use(shv_arena *a, struct stage *s)
{
	shv_value *v;

	REQUIRE((v = SHV_VALUE(a, long, 5)));
	MUST(SHV_LOAD(v, long) == 5);
	if (s) {
		shv_value *there = shv_deref(a, s->shared->ref[1]);
		MUST(there && SHV_LOAD(there, int) == 1);
	}
	REQUIRE(!shv_value_free(v));
}

static void create_arena(struct stage *s)
{
	struct shv_arena_options o = { .size = sizeof(o), .name = "other", .capacity = 64u << 20, .max_processes = 8 };
	unsigned before = holdings();

	(void)s;
	for (int i = 0; i < 2; i++) {
		shv_arena *a = NULL;
		REQUIRE((a = made(shv_arena_create(&o))));
		use(a, NULL);
		REQUIRE(!shv_check(a, report, "the other arena"));
		REQUIRE(!shv_arena_detach(a));
		MUST(holdings() == before);
	}
}

static void attach_arena(struct stage *s)
{
	unsigned before = holdings();

	for (int i = 0; i < 2; i++) {
		shv_arena *a = NULL;
		REQUIRE((a = made(shv_arena_attach(arena_fd, i ? SHV_POPULATE : 0))));
		use(a, s);
		REQUIRE(!shv_arena_detach(a));
		MUST(holdings() == before);
	}
}

static void attach_by_pid(struct stage *s)
{
	unsigned before = holdings();

	for (int i = 0; i < 2; i++) {
		shv_arena *a = NULL;
		REQUIRE((a = made(shv_arena_attach_pid(survivor, NULL, 0))));
		use(a, s);
		REQUIRE(!shv_arena_detach(a));
		MUST(holdings() == before);
	}
}

static void attach_rdonly(struct stage *s)
{
	unsigned before = holdings();

	for (int i = 0; i < 2; i++) {
		struct shv_value_info info = { .size = sizeof(info) };
		struct shv_stat st = { .size = sizeof(st) };
		uint64_t cursor = 0;
		shv_value *v = NULL;
		shv_arena *a = NULL;
		int n = 0, x = -1;
		REQUIRE((a = made(shv_arena_attach(arena_fd, SHV_RDONLY))));
		REQUIRE((v = shv_deref(a, s->shared->ref[1])));
		REQUIRE(!shv_peek(v, &x, sizeof(x)));
		MUST(x == 1);
		while (shv_value_next(a, &cursor, &info) == 1)
			n++;
		MUST(n == MANY);
		REQUIRE(!shv_stat(a, &st));
		REQUIRE(!shv_check(a, report, "read-only"));
		REQUIRE(!shv_arena_detach(a));
		MUST(holdings() == before);
	}
}

/* The names are abstract, so that nothing is left of a child that dies. */
static void serve_and_connect(struct stage *s)
{
	unsigned before = holdings();
	char at[40];

	snprintf(at, sizeof(at), "@shv fail %d", (int)getpid());
	for (int i = 0; i < 2; i++) {
		shv_arena *a = NULL;
		REQUIRE(!shv_arena_serve(s->a, at, NULL));
		REQUIRE((a = made(shv_arena_connect(at, 0))));
		use(a, s);
		REQUIRE(!shv_arena_detach(a));
		REQUIRE((a = made(shv_arena_connect(at, SHV_RDONLY))));
		REQUIRE(!shv_arena_detach(a));
		MUST(!shv_arena_unserve(s->a));
		if (i)
			MUST(holdings() <= before + 1); /* the first use of s->a maps its sign of life */
	}
}

static void two_attachments(struct stage *s)
{
	shv_arena *b = NULL;

	REQUIRE((b = made(shv_arena_attach(arena_fd, 0))));
	use(b, s);
	use(s->a, s);
	REQUIRE(!shv_arena_detach(b));
	use(s->a, s);
}

static void *in_thread(void *arg)
{
	struct stage *s = arg;

	for (int i = 0; i < MANY; i++) {
		shv_value *v = NULL;
		REQUIRE((v = shv_value_new(s->a, SHV_INT, &i, SHV_RECURSIVE)));
		REQUIRE(!shv_acquire(v));
		REQUIRE(!shv_release(v));
		REQUIRE(!shv_value_free(v));
	}
	return NULL;
}

static void threads(struct stage *s)
{
	for (int i = 0; i < 2; i++) {
		pthread_t t;
		MUST(!pthread_create(&t, NULL, in_thread, s) && !pthread_join(t, NULL));
	}
}

/* Lists and magazines grow. */
static void very_many(struct stage *s)
{
	enum { ALL = 3000 };
	static shv_value *v[ALL];

	for (int i = 0; i < ALL; i++)
		REQUIRE((v[i] = shv_value_new(s->a, i % 2 ? SHV_INT : SHV_LONG, NULL, i % 3 ? SHV_RECURSIVE : SHV_NONE)));
	for (int i = 0; i < ALL; i++)
		REQUIRE(!shv_value_free(v[i]));
	REQUIRE(!shv_arena_trim(s->a));
	for (int i = 0; i < ALL; i++)
		REQUIRE((v[i] = shv_raw_new(s->a, SHV_LONG, NULL)));
	for (int i = 0; i < ALL; i++)
		REQUIRE(!shv_raw_free(v[i]));
}

static void grow(struct stage *s)
{
	for (int i = 0; i < 8; i++) {
		char *p = NULL;
		REQUIRE((p = shv_raw_array_new(s->a, SHV_CHAR, 3u << 20, NULL)));
		p[(3u << 20) - 1] = 1;
	}
}

static void time_out(struct stage *s)
{
	struct timespec soon = { 0, 1000000 };

	REQUIRE(shv_acquire_for(s->v[0], &soon) == -ETIMEDOUT);
}

static void free_all_and_trim(struct stage *s)
{
	for (int i = 0; i < MANY; i++)
		REQUIRE(!shv_value_free(s->v[i]));
	REQUIRE(!shv_arena_trim(s->a));
	REQUIRE(shv_arena_recover(s->a, NULL) == 0);
}

static const struct scenario more[] = {
	{ "create an arena", none, NULL, create_arena, sound, false },
	{ "attach", descriptor, leave, attach_arena, sound, false },
	{ "attach by pid", descriptor, leave, attach_by_pid, sound, false },
	{ "attach read-only", descriptor, leave, attach_rdonly, sound, false },
	{ "serve and connect", descriptor, NULL, serve_and_connect, sound, false },
	{ "attach twice", descriptor, NULL, two_attachments, sound, false },
	{ "threads", none, warm_child, threads, sound, false },
	{ "very many", none, warm_child, very_many, sound, false },
	{ "growth", none, warm_child, grow, sound, false },
	{ "time out, cold", survivor_holds, NULL, time_out, still_held, false },
	{ "lock and unlock, cold", survivor_values, NULL, hold_all, locks_can_be_had, false },
	{ "free foreign, cold", survivor_values, NULL, free_all_and_trim, sound, false },
	{ "set, cold", two_numbers, NULL, set_and_add, numbers_are_near, false },
	{ "publish, cold", survivor_values, NULL, publish, names_are_there, false },
	{ "free all orphans, cold", orphans_only, NULL, free_orphans, orphans_gone, false },
};
#define ALL_SCENARIOS (SCENARIOS + sizeof(more) / sizeof(more[0]))

/* ---- the sweep ------------------------------------------------------------------------------------------------ */

static FILE *points_seen;
static long *calls_refused; /* shared with the children */

/* True if something was made to fail. */
static bool child_fails_at(struct stage *s, const struct scenario *sc, unsigned k)
{
	char spec[32];
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		bool fired;

		alarm(20);
		if (sc->warm)
			sc->warm(s);
		(void)shv_arena_name(NULL);
		snprintf(stale_message, sizeof(stale_message), "%s", shv_errmsg());
		shv_fault_log(fileno(points_seen));
		failing_at = k;
		snprintf(spec, sizeof(spec), "%u+%u", k, in_a_row);
		shv_fault_arm_failure(spec);
		sc->act(s);
		fired = shv_fault_hits(true) >= k;
		shv_fault_arm_failure(NULL);
		shv_fault_log(-1);
		failing_at = 0;
		*calls_refused += refused;
		if (s->a && sc->act != attach_and_detach) {
			use(s->a, NULL);
			MUST(shv_check(s->a, report, (void *)(uintptr_t)sc->name) == 0);
			if (k % 2) /* otherwise it just dies */
				MUST(shv_arena_detach(s->a) == 0);
		}
		_exit(fired ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= 1, "%s, failure %u: the child ended with %x", sc->name, k, status);
	return WEXITSTATUS(status) == 1;
}

static bool round_of(const struct scenario *sc, unsigned k)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 8 };
	struct stage s = { .a = shv_arena_create(&o) };
	shv_arena *a = s.a;
	bool fired;
	int n;

	ck_assert_msg(s.a != NULL, "%s", shv_errmsg());
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s.shared != MAP_FAILED);
	sc->before(&s);
	fired = child_fails_at(&s, sc, k);
	ck_assert_msg(shv_arena_recover(a, NULL) >= 0, "%s, failure %u: %s", sc->name, k, shv_errmsg());
	n = shv_check(a, report, (void *)(uintptr_t)sc->name);
	ck_assert_msg(n == 0, "%s, failure %u: %d findings", sc->name, k, n);
	sc->verify(&s, false);
	free_everything(a);
	nothing_is_left(a, sc->name, k);
	n = shv_check(a, report, (void *)(uintptr_t)sc->name);
	ck_assert_msg(n == 0, "%s, failure %u: %d findings at the end", sc->name, k, n);
	ck_assert_int_eq(shv_arena_detach(a), 0);
	munmap(s.shared, sizeof(*s.shared));
	return fired;
}

START_TEST(failure_at_every_point)
{
	const struct scenario *sc = _i < (int)SCENARIOS ? &scenarios[_i] : &more[_i - (int)SCENARIOS];
	const char *only = getenv("SHV_SCENARIO");
	unsigned k = 1, step = sample_step();

	if (sc->act == wait_for_lock || sc->warm == warm_with_thread || (only && strcmp(only, sc->name)))
		return; /* "time out" makes the call where it can be made again */
	*calls_refused = 0;
	while (round_of(sc, k))
		k += step;
	fprintf(stderr, "# %s: %u failures, %ld calls refused\n", sc->name, k - 1, *calls_refused);
}
END_TEST

/* Memory that stays short for a while: the same with two and with seven failures, one after the other. */
START_TEST(failures_in_a_row)
{
	const struct scenario *sc = _i < (int)SCENARIOS ? &scenarios[_i] : &more[_i - (int)SCENARIOS];
	const char *only = getenv("SHV_SCENARIO");

	if (sc->act == wait_for_lock || sc->warm == warm_with_thread || (only && strcmp(only, sc->name)))
		return;
	*calls_refused = 0;
	for (in_a_row = 2; in_a_row <= 7; in_a_row += 5) {
		unsigned k = 1;
		while (round_of(sc, k))
			k += sample_step();
		fprintf(stderr, "# %s: %u times %u failures in a row, %ld calls refused\n", sc->name, k - 1, in_a_row, *calls_refused);
	}
}
END_TEST

/* In a process that has not used the library before. */
START_TEST(first_thread_gets_no_key)
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 8 };
	shv_arena *a;

	shv_fault_log(fileno(points_seen));
	shv_fault_arm_failure("pthread-key");
	ck_assert_ptr_null(shv_arena_create(&o));
	ck_assert_int_eq(errno, ENOMEM);
	shv_fault_log(-1);
	ck_assert_msg((a = shv_arena_create(&o)) != NULL, "%s", shv_errmsg());
	use(a, NULL);
	ck_assert_int_eq(shv_arena_detach(a), 0);
}
END_TEST

static bool was_seen(const char *name)
{
	static char *log;
	static size_t size;
	size_t n = strlen(name);

	if (!log) {
		fseek(points_seen, 0, SEEK_END);
		size = (size_t)ftell(points_seen);
		log = calloc(1, size + 1);
		ck_assert(log && pread(fileno(points_seen), log, size, 0) == (ssize_t)size);
	}
	for (const char *at = log; (at = strstr(at, name)); at++)
		if ((at == log || at[-1] == '\n') && at[n] == '\n')
			return true;
	return false;
}

START_TEST(every_point_has_failed)
{
	char command[1024], name[64];
	const char *src = getenv("SHV_SRCDIR");
	unsigned missing = 0, all = 0;
	FILE *p;

	if (getenv("SHV_SCENARIO"))
		return;
	snprintf(command, sizeof(command), "cd '%s' && grep -rhoE 'FAIL_POINT\\(\"[^\"]+\"\\)' arena values locks base --include=*.c --include=*.h | "
					   "sed -E 's/.*\"(.*)\".*/\\1/' | sort -u", src ? src : ".");
	p = popen(command, "r");
	ck_assert_ptr_nonnull(p);
	while (fgets(name, sizeof(name), p)) {
		all++;
		name[strcspn(name, "\n")] = 0;
		if (!was_seen(name)) {
			fprintf(stderr, "# never reached: %s\n", name);
			missing++;
		}
	}
	pclose(p);
	fprintf(stderr, "# %u failure points in the sources\n", all);
	ck_assert_uint_gt(all, 12);
	ck_assert_msg(missing == 0, "%u failure points were never reached", missing);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fail");
	TCase *t = tcase_create("points");

	points_seen = tmpfile();
	setvbuf(points_seen, NULL, _IONBF, 0);
	calls_refused = mmap(NULL, sizeof(*calls_refused), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, failure_at_every_point, 0, (int)ALL_SCENARIOS);
	tcase_add_loop_test(t, failures_in_a_row, 0, (int)ALL_SCENARIOS);
	tcase_add_test(t, first_thread_gets_no_key);
	tcase_add_test(t, every_point_has_failed);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
