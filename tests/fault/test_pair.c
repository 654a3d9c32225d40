/* SPDX-License-Identifier: MIT */
/*
 * Two processes at once: A is stopped after i instructions of its operation, B is killed after j of its own, the survivor recovers,
 * newcomers get what B had (process slot, thread numbers, pages), and then A goes on and ends what it had begun.
 *
 * A never died: each of its calls must succeed, and what it did must be there. Of B, what was acknowledged must be there. The arena is
 * sound after the recovery, when A has ended, and when all is freed; then all pages are back.
 *
 * A may have been stopped inside one of the library's own locks. It is alive then, so nobody may take the lock away: the survivor
 * only does what needs none of these locks (docs/CONCURRENCY.md), and recovers when A has ended.
 *
 * Places are drawn by chance from a seed that is printed: SHV_SAMPLES for each pair and order (2; 150 with SHV_SLOW).
 * SHV_SCENARIO=name: that pair only. SHV_PLACES=i,j: these two.
 */
#include "arena/arena_private.h" /* before Check, which has a macro fail */

#define MANY 4
#include "fault/scenarios.h"

#include <sched.h>
#include <sys/ptrace.h>
#include <time.h>

#define STEPS_MOST 2500u /* a place lies no further in an operation, without SHV_SLOW */
#define B_PATIENCE 400   /* ms that B may take to its place: it may be waiting for A */

static uint64_t chance;
static bool slow;

static unsigned long below(unsigned long n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return n ? (unsigned long)(chance % n) : 0;
}

/* One side of a pair: what a process does, and what must hold of it afterwards, by its own notes. */
struct side {
	void (*warm)(struct stage *s); /* NULL: its first call is the operation's */
	void (*act)(struct stage *s);
	void (*verify)(struct stage *s, bool died);
};

struct pair {
	const char *name;
	void (*before)(struct stage *s, struct stage *other); /* by the survivor */
	void (*between)(struct stage *s, struct stage *other); /* by the survivor, when both are warm */
	struct side side[2];
	bool leaves; /* side 0 ends with its attachment gone */
};

/* ---- sides ------------------------------------------------------------------------------------------------- */

static void nothing_before(struct stage *s, struct stage *other)
{
	(void)s;
	(void)other;
}

static void both_have_values(struct stage *s, struct stage *other)
{
	survivor_values(s);
	survivor_values(other);
}

/* An owner of 2 * MANY values; its own act concerns the first MANY, the other's the rest. */
static void own_values(struct stage *s)
{
	for (int i = 0; i < 2 * MANY; i++) {
		shv_value *v;
		REQUIRE((v = shv_value_new(s->a, SHV_INT, &i, i % 2 ? SHV_RECURSIVE : SHV_NONE)));
		s->shared->ref[i] = shv_ref_of(v);
	}
}

static void other_gets_the_rest(struct stage *s, struct stage *other)
{
	for (int i = 0; i < MANY; i++)
		other->shared->ref[i] = s->shared->ref[MANY + i];
}

/* The second half lies on the owner's list already; the other frees the first. */
static void list_is_filled(struct stage *s, struct stage *other)
{
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(shv_value_free(shv_deref(s->a, s->shared->ref[MANY + i])), 0);
		other->shared->ref[i] = s->shared->ref[i];
		s->shared->ref[i] = 0;
	}
}

static void free_mine(struct stage *s)
{
	for (int i = 0; i < MANY; i++) {
		REQUIRE(!shv_value_free(shv_deref(s->a, s->shared->ref[i])));
		s->shared->acknowledged = i + 1;
	}
}

/* Numbers are those of the owner, so only presence is looked at. */
static void mine_are_gone(struct stage *s, bool died)
{
	(void)died;
	for (long i = 0; i < MANY; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[i]);
		if (i < s->shared->acknowledged)
			ck_assert_msg(!v, "value %ld was freed and is there", i);
		else if (i > s->shared->acknowledged)
			ck_assert_msg(v != NULL, "value %ld was not freed and is lost: %s", i, shv_errmsg());
	}
}

static void drain_and_create(struct stage *s)
{
	REQUIRE(!shv_arena_trim(s->a));
	create_values(s);
}

static void leave(struct stage *s)
{
	REQUIRE(!shv_arena_detach(s->a));
	s->a = NULL;
}

static void mine_are_there(struct stage *s, bool died)
{
	(void)died;
	for (long i = 0; i < MANY; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[i]);
		ck_assert_msg(v && SHV_LOAD(v, int) == i, "value %ld of one that left is lost", i);
	}
}

/* Two words that are equal whenever nobody is inside. */
static shv_value *common[3];

static void common_values(struct stage *s, struct stage *other)
{
	const shv_lockspec own[3] = { SHV_RECURSIVE, SHV_PLAIN, SHV_HANDOFF };

	(void)other;
	for (int k = 0; k < 3; k++)
		ck_assert_ptr_nonnull(common[k] = shv_array_new(s->a, SHV_LONG, 2, NULL, own[k]));
}

static void inside(shv_value *v, int r)
{
	volatile long *x = shv_value_data(v);

	REQUIRE(x[0] == x[1] || (r == SHV_RECOVERED && x[0] == x[1] + 1));
	x[1] = x[0];
	x[0]++;
	x[1]++;
}

static void lock_common(struct stage *s)
{
	for (long i = 0; i < 2; i++)
		for (int k = 0; k < 3; k++) {
			int r;
			REQUIRE((r = shv_acquire(common[k])) >= 0);
			inside(common[k], r);
			REQUIRE(!shv_release(common[k]));
			s->shared->acknowledged++;
		}
}

static long *entries_of_newcomers(struct stage *s)
{
	return (long *)&s->shared->ref[MANY + 7];
}

static void try_common(struct stage *s)
{
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < 3; k++) {
			int r = shv_try_acquire(common[k]);
			if (r == -EBUSY)
				continue;
			REQUIRE(r >= 0);
			inside(common[k], r);
			REQUIRE(!shv_release(common[k]));
			++*entries_of_newcomers(s);
		}
}

/* What was not acknowledged is at the most one entry. */
static void common_agree(struct stage *s, struct stage *other)
{
	long least = s->shared->acknowledged + other->shared->acknowledged, sum = 0;

	for (int k = 0; k < 3; k++) {
		long *x = shv_value_data(common[k]);
		int r = shv_acquire(common[k]);
		ck_assert_msg(r >= 0, "%s", shv_errmsg());
		ck_assert_msg(x[0] == x[1] || (r == SHV_RECOVERED && x[0] == x[1] + 1), "lock %d: %ld and %ld (%d)", k, x[0], x[1], r);
		sum += x[0];
		ck_assert_int_eq(shv_release(common[k]), 0);
	}
	ck_assert_msg(sum == least || sum == least + 1, "%ld entries, %ld acknowledged", sum, least);
}

/* raw says whose names they are. */
static void publish_as(struct stage *s)
{
	char name[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%s %d", (char *)s->raw, i);
		REQUIRE(!shv_publish(s->v[i], name));
		s->shared->acknowledged = i + 1;
	}
}

static void published_as(struct stage *s, bool died)
{
	char name[32];

	(void)died;
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%s %d", (char *)s->raw, i);
		if (i < s->shared->acknowledged)
			ck_assert_msg(shv_find(s->a, name) == s->v[i], "'%s' is lost", name);
		else if (i > s->shared->acknowledged)
			ck_assert_ptr_null(shv_find(s->a, name));
	}
}

static void unpublish_as(struct stage *s)
{
	char name[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%s %d", (char *)s->raw, i);
		REQUIRE(!shv_unpublish(s->a, name));
		s->shared->acknowledged = i + 1;
	}
}

static void unpublished_as(struct stage *s, bool died)
{
	char name[32];

	(void)died;
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%s %d", (char *)s->raw, i);
		if (i < s->shared->acknowledged)
			ck_assert_ptr_null(shv_find(s->a, name));
		else if (i > s->shared->acknowledged)
			ck_assert_msg(shv_find(s->a, name) == s->v[i], "'%s' is lost", name);
	}
}

static void first_is_named(struct stage *s, struct stage *other)
{
	both_have_values(s, other);
	publish_as(s);
	s->shared->acknowledged = 0;
}

static void find_or_make(struct stage *s)
{
	int one = 1;
	shv_value *v;

	REQUIRE((v = shv_find_or_new(s->a, "it", SHV_INT, &one, SHV_RECURSIVE, NULL)));
	REQUIRE(SHV_LOAD(v, int) == 1);
	s->shared->acknowledged = 1;
}

/* Both free the same ones: each goes once. */
static void same_values(struct stage *s, struct stage *other)
{
	survivor_values(s);
	memcpy(other->shared->ref, s->shared->ref, sizeof(s->shared->ref));
}

static void free_same(struct stage *s)
{
	for (int i = 0; i < MANY; i++) {
		shv_value *v;
		int r = -EBUSY;
		while ((v = shv_deref(s->a, s->shared->ref[i])) && (r = shv_value_free(v)) == -EBUSY)
			sched_yield(); /* the other one has its lock */
		REQUIRE(!v || r == 0 || r == -ESTALE);
		s->shared->acknowledged = i + 1;
	}
}

static void same_are_gone(struct stage *s, bool died)
{
	(void)died;
	for (long i = 0; i < s->shared->acknowledged; i++)
		ck_assert_msg(!shv_deref(s->a, s->shared->ref[i]), "value %ld was freed and is there", i);
}

static void orphans_and_dead(struct stage *s, struct stage *other)
{
	orphans(s);
	s->shared->acknowledged = 0;
	dead_owner(other);
}

static void only_dead(struct stage *s, struct stage *other)
{
	(void)s;
	dead_owner(other);
}

static void two_of_orphans(struct stage *s, struct stage *other)
{
	orphans_only(s);
	orphans_only(other);
}

static void create_small_and_large(struct stage *s)
{
	create_large(s);
	REQUIRE(shv_raw_array_new(s->a, SHV_CHAR, 40000, NULL));
	REQUIRE(shv_raw_array_new(s->a, SHV_CHAR, 9000, NULL));
}

static void make_and_trim(struct stage *s)
{
	trim(s);
}

/* By shv_deref: the survivor may have freed them all. */
static const struct pair pairs[] = {
	{ "create, create", nothing_before, NULL,
	  { { warm_child, create_values, acknowledged_are_there }, { warm_child, create_values, acknowledged_are_there } }, false },
	{ "create cold, create cold", nothing_before, NULL,
	  { { NULL, create_values, acknowledged_are_there }, { NULL, create_values, acknowledged_are_there } }, false },
	{ "free own, free foreign", nothing_before, other_gets_the_rest,
	  { { own_values, free_mine, mine_are_gone }, { warm_child, free_mine, mine_are_gone } }, false },
	{ "drain, free foreign", nothing_before, list_is_filled,
	  { { own_values, drain_and_create, acknowledged_are_there }, { warm_child, free_mine, mine_are_gone } }, false },
	{ "free foreign, free foreign", both_have_values, NULL,
	  { { warm_child, free_mine, mine_are_gone }, { warm_child, free_mine, mine_are_gone } }, false },
	{ "free, free of the same", same_values, NULL,
	  { { warm_child, free_same, same_are_gone }, { warm_child, free_same, same_are_gone } }, false },
	{ "lock, lock", common_values, NULL, { { warm_child, lock_common, sound }, { warm_child, lock_common, sound } }, false },
	{ "publish, publish", both_have_values, NULL,
	  { { warm_child, publish_as, published_as }, { warm_child, publish_as, published_as } }, false },
	{ "unpublish, publish", first_is_named, NULL,
	  { { warm_child, unpublish_as, unpublished_as }, { warm_child, publish_as, published_as } }, false },
	{ "free named, publish", first_is_named, NULL,
	  { { warm_child, free_mine, mine_are_gone }, { warm_child, publish_as, published_as } }, false },
	{ "find or new, find or new", nothing_before, NULL,
	  { { warm_child, find_or_make, found }, { warm_child, find_or_make, found } }, false },
	{ "free orphans, recover", orphans_and_dead, NULL,
	  { { warm_child, free_orphans, orphans_gone }, { warm_child, recover, dead_owner_in_order } }, false },
	{ "free orphans, free orphans", two_of_orphans, NULL,
	  { { warm_child, free_orphans, orphans_gone }, { warm_child, free_orphans, orphans_gone } }, false },
	{ "create, recover", only_dead, NULL,
	  { { warm_child, create_values, acknowledged_are_there }, { warm_child, recover, dead_owner_in_order } }, false },
	{ "attach, recover", only_dead, NULL,
	  { { NULL, create_values, acknowledged_are_there }, { warm_child, recover, dead_owner_in_order } }, false },
	{ "pool, pool", nothing_before, NULL,
	  { { warm_child, create_small_and_large, large_is_whole }, { warm_child, create_small_and_large, large_is_whole } }, false },
	{ "trim, pool", nothing_before, NULL,
	  { { warm_child, make_and_trim, sound }, { warm_child, create_small_and_large, large_is_whole } }, false },
	{ "detach, free foreign", nothing_before, other_gets_the_rest,
	  { { own_values, leave, mine_are_there }, { warm_child, free_mine, mine_are_gone } }, true },
	{ "detach, recover", only_dead, NULL,
	  { { own_values, leave, mine_are_there }, { warm_child, recover, dead_owner_in_order } }, true },
	{ "shared locks, shared locks", nothing_before, NULL,
	  { { warm_child, shared_locks, sound }, { warm_child, shared_locks, sound } }, false },
	{ "types, types", nothing_before, NULL, { { warm_child, tables, sound }, { warm_child, tables, sound } }, false },
};
#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))

/* ---- two processes ----------------------------------------------------------------------------------------------- */

static void start_side(const struct side *side, struct stage *s, pid_t *pid, bool and_detach)
{
	int status;

	*pid = fork();
	ck_assert_int_ge(*pid, 0);
	if (!*pid) {
		alarm(60);
		if (side->warm)
			side->warm(s);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(8);
		raise(SIGSTOP);
		side->act(s);
		raise(SIGSTOP);
		if (and_detach && s->a)
			REQUIRE(!shv_arena_detach(s->a));
		_exit(0);
	}
	ck_assert_int_eq(waitpid(*pid, &status, 0), *pid);
	ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "a child did not come to its start: %x", (unsigned)status);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* i steps, or to the end of its operation, or until the time is over: how many. */
static unsigned long step(pid_t pid, unsigned long i, double ms, bool *over)
{
	double until = ms > 0 ? now_ms() + ms : 0;
	unsigned long k = 0;
	int status;

	*over = false;
	while (k < i && !*over && (!until || now_ms() < until)) {
		ck_assert(!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
		ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
		ck_assert_msg(WIFSTOPPED(status), "a child ended at step %lu: %x", k, (unsigned)status);
		*over = WSTOPSIG(status) == SIGSTOP;
		k++;
	}
	return k;
}

static void slay(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) == pid && !WIFSIGNALED(status) && !WIFEXITED(status))
		;
}

/* From where it stands to its end. */
static void let_go_on(pid_t pid, bool over)
{
	int status;

	if (!over) {
		ck_assert(!ptrace(PTRACE_CONT, pid, NULL, NULL));
		ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
		ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "the one that was stopped ended with %x", (unsigned)status);
	}
	ck_assert(!ptrace(PTRACE_DETACH, pid, NULL, NULL));
	ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "the one that was stopped ended with %x", (unsigned)status);
}

/* Does that process hold one of the library's own locks? */
static bool has_own_lock(struct stage *s, pid_t pid)
{
	const struct shv_super_shm *super = super_of(s->a->base);
	const uint64_t words[] = { load_acquire(&super->recovery.word), load_acquire(&super->names.word), load_acquire(&super->types_lock.word),
				   load_acquire(&super->policies_lock.word), load_acquire(&super->pool.word) };
	const struct shv_geo *g = &s->a->m->geo;

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint64_t t;
		if (!lock_is_held(words[i]))
			continue;
		t = load_acquire(&thread_at(s->a->base, g, lock_owner(words[i]) - 1)->word);
		if (process_at(s->a->base, g, thread_proc(t))->pid == pid)
			return true;
	}
	return false;
}

/* ---- what happens while A stands --------------------------------------------------------------------------------------- */

/* What needs none of the library's own locks goes on. */
static void survivor_lives(struct stage *s, shv_value *mine)
{
	long x = 0;

	for (int i = 0; i < 8; i++) {
		shv_value *v = SHV_VALUE(s->a, long, 1);
		ck_assert_msg(v != NULL, "%s", shv_errmsg());
		ck_assert_int_eq(shv_acquire(mine), 0);
		ck_assert_int_eq(shv_release(mine), 0);
		ck_assert_int_eq(shv_add(mine, 1, NULL), 0);
		ck_assert_int_eq(shv_get(mine, &x, sizeof(x)), 0);
		ck_assert_int_eq(shv_value_free(v), 0);
	}
	ck_assert_int_gt(x, 0);
}

/* Newcomers in the process slot and under the thread numbers of the dead: one dies too, one leaves, one stays until A has ended. */
struct newcomer {
	pid_t pid;
	int to[2], from[2];
};

static void newcomer_acts(struct stage *s, bool locks)
{
	create_values(s);
	for (int i = 0; i < MANY; i += 2)
		REQUIRE(!shv_value_free(shv_deref(s->a, s->shared->ref[i])));
	if (locks)
		try_common(s);
}

static void slots_are_used_again(struct stage *s, struct newcomer *stays, bool locks)
{
	int status;
	pid_t pid;

	for (int how = 0; how < 2; how++) {
		store_relaxed(&super_of(s->a->base)->threads_hint, 0); /* the lowest that is free */
		pid = fork();
		if (!pid) {
			alarm(60);
			newcomer_acts(s, locks);
			if (how == 0)
				kill(getpid(), SIGKILL);
			REQUIRE(!shv_arena_detach(s->a));
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(how == 0 ? WIFSIGNALED(status) : !status, "a newcomer ended with %x", (unsigned)status);
		ck_assert_int_eq(shv_arena_recover(s->a, NULL), how == 0);
	}
	store_relaxed(&super_of(s->a->base)->threads_hint, 0);
	ck_assert(!pipe(stays->to) && !pipe(stays->from));
	stays->pid = fork();
	if (!stays->pid) {
		char c = 'x';
		alarm(60);
		newcomer_acts(s, locks);
		REQUIRE(write(stays->from[1], &c, 1) == 1 && read(stays->to[0], &c, 1) == 1);
		/* Whatever came to it that is not its own shows here. */
		for (int i = 1; i < MANY; i += 2)
			REQUIRE(SHV_LOAD((shv_value *)shv_deref(s->a, s->shared->ref[i]), int) == i);
		REQUIRE(!shv_arena_trim(s->a));
		create_values(s);
		_exit(0);
	}
	ck_assert(read(stays->from[0], &(char){ 0 }, 1) == 1);
}

static void newcomer_ends(struct newcomer *n)
{
	int status;

	ck_assert(write(n->to[1], "x", 1) == 1);
	ck_assert_int_eq(waitpid(n->pid, &status, 0), n->pid);
	ck_assert_msg(!status, "the newcomer ended with %x", (unsigned)status);
	close(n->to[0]), close(n->to[1]), close(n->from[0]), close(n->from[1]);
}

/* ---- a round ---------------------------------------------------------------------------------------------------------------- */

static unsigned rounds, inside_a_lock, waited;

static void fresh(struct stage s[3])
{
	struct shv_arena_options o = { .size = sizeof(o), .capacity = 64u << 20, .max_processes = 10 };
	shv_arena *a = shv_arena_create(&o);

	ck_assert_msg(a != NULL, "%s", shv_errmsg());
	for (int i = 0; i < 3; i++) {
		s[i] = (struct stage){ .a = a, .raw = i == 0 ? "first" : i == 1 ? "second" : "third" };
		s[i].shared = mmap(NULL, sizeof(*s[i].shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		ck_assert(s[i].shared != MAP_FAILED);
	}
}

static void recover_and_check(struct stage *s, const char *name, const char *when)
{
	int n;

	ck_assert_msg(shv_arena_recover(s->a, NULL) >= 0, "%s, %s: %s", name, when, shv_errmsg());
	n = shv_check(s->a, report, (void *)(uintptr_t)name);
	ck_assert_msg(n == 0, "%s, %s: %d findings", name, when, n);
}

/* Side `a` is stopped after i steps, the other one killed after j. */
static void round_of(const struct pair *p, unsigned a, unsigned long i, unsigned long j)
{
	struct stage s[3];
	bool a_over, b_over, locks = p->before == common_values, inside_one;
	struct newcomer stays;
	shv_value *mine;
	pid_t pid[2];
	unsigned b = 1 - a;
	unsigned long steps;

	fresh(s);
	p->before(&s[0], &s[1]);
	ck_assert_ptr_nonnull(mine = SHV_VALUE(s[0].a, long, 0));
	start_side(&p->side[a], &s[a], &pid[a], below(2));
	start_side(&p->side[b], &s[b], &pid[b], false);
	if (p->between)
		p->between(&s[0], &s[1]);
	survivor_lives(&s[2], mine); /* fills its caches */
	(void)step(pid[a], i, 0, &a_over);
	steps = step(pid[b], j, B_PATIENCE, &b_over);
	waited += steps < j && !b_over;
	slay(pid[b]);
	survivor_lives(&s[2], mine);
	inside_one = has_own_lock(&s[0], pid[a]);
	inside_a_lock += inside_one;
	if (!inside_one) {
		recover_and_check(&s[0], p->name, "with one standing");
		p->side[b].verify(&s[b], true);
		slots_are_used_again(&s[2], &stays, locks);
	}
	let_go_on(pid[a], a_over);
	if (!inside_one)
		newcomer_ends(&stays);
	recover_and_check(&s[0], p->name, "when the other had ended");
	p->side[a].verify(&s[a], false);
	p->side[b].verify(&s[b], true);
	if (locks) {
		s[0].shared->acknowledged += *entries_of_newcomers(&s[2]);
		common_agree(&s[0], &s[1]);
	}
	free_everything(s[0].a);
	nothing_is_left(s[0].a, p->name, (unsigned)i);
	ck_assert_int_eq(shv_check(s[0].a, report, (void *)(uintptr_t)p->name), 0);
	ck_assert_int_eq(shv_arena_detach(s[0].a), 0);
	for (int k = 0; k < 3; k++)
		munmap(s[k].shared, sizeof(*s[k].shared));
	rounds++;
}

static unsigned long length_of(const struct pair *p, unsigned side)
{
	struct stage s[3];
	unsigned long n;
	pid_t pid[2];
	bool over;

	fresh(s);
	p->before(&s[0], &s[1]);
	for (unsigned k = 0; k < 2; k++)
		start_side(&p->side[k], &s[k], &pid[k], false);
	if (p->between)
		p->between(&s[0], &s[1]);
	n = step(pid[side], slow ? 200000 : STEPS_MOST, 0, &over);
	slay(pid[0]);
	slay(pid[1]);
	ck_assert_int_ge(shv_arena_recover(s[0].a, NULL), 0);
	ck_assert_int_eq(shv_arena_detach(s[0].a), 0);
	for (int k = 0; k < 3; k++)
		munmap(s[k].shared, sizeof(*s[k].shared));
	return n;
}

START_TEST(one_is_stopped_and_one_is_killed)
{
	const struct pair *p = &pairs[_i / 2];
	const char *only = getenv("SHV_SCENARIO"), *places = getenv("SHV_PLACES"), *wanted = getenv("SHV_SAMPLES");
	unsigned a = (unsigned)_i % 2, samples = wanted ? (unsigned)strtoul(wanted, NULL, 10) : slow ? 150 : 2;
	unsigned long n[2], i, j;

	if (only && strcmp(only, p->name))
		return;
	stay_on_one_cpu();
	for (int k = 0; k < _i; k++)
		(void)below(2);
	chance += (uint64_t)_i * 7919;
	if (places && sscanf(places, "%lu,%lu", &i, &j) == 2) {
		round_of(p, a, i, j);
		return;
	}
	for (unsigned k = 0; k < 2; k++)
		n[k] = length_of(p, k);
	for (unsigned k = 0; k < samples; k++) {
		i = below(n[a] + 1);
		j = 1 + below(n[1 - a]);
		/* Said before, for a failure ends the test. */
		fprintf(stderr, "# %s, side %u stopped after %lu of %lu, the other killed after %lu of %lu\n", p->name, a, i, n[a], j, n[1 - a]);
		round_of(p, a, i, j);
	}
	fprintf(stderr, "# %s: %u rounds; %u times stopped inside a lock of the library; %u times the other waited for it\n", p->name, rounds,
		inside_a_lock, waited);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pair");
	TCase *t = tcase_create("pairs");
	const char *given = getenv("SHV_SEED");
	unsigned long seed = given ? strtoul(given, NULL, 10) : (unsigned long)time(NULL);

	slow = getenv("SHV_SLOW") != NULL;
	fprintf(stderr, "# SHV_SEED=%lu\n", seed);
	chance = (uint64_t)seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	tcase_set_timeout(t, slow ? 3600 : 60);
	tcase_add_loop_test(t, one_is_stopped_and_one_is_killed, 0, (int)(2 * PAIRS));
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
