/* SPDX-License-Identifier: MIT */
/* shv_wait(): sleeping until a content differs, whoever changes it and however. */
#include "api/api.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum how { BY_SET, BY_ADD, BY_EXCHANGE, BY_WITH, BY_RELEASE, BY_POINTER, BY_LOCK, HOWS };

static void change(shv_value *v, long to, enum how how)
{
	switch (how) {
	case BY_SET:
		NEED(shv_set(v, &to, sizeof(to)) == 0, "set");
		break;
	case BY_ADD:
		NEED(shv_add(v, 1, NULL) == 0, "add");
		break;
	case BY_EXCHANGE: {
		long was = to - 1;
		NEED(shv_compare_exchange(v, &was, &to, sizeof(to)) == 0, "exchange");
		break;
	}
	case BY_WITH:
		shv_with(v)
			*(long *)shv_value_data(v) = to;
		break;
	case BY_RELEASE:
		NEED(shv_acquire(v) == 0, "acquire");
		*(long *)shv_value_data(v) = to;
		NEED(shv_release(v) == 0, "release");
		break;
	case BY_POINTER: /* nobody is told: the next look finds it */
		__atomic_store_n((long *)shv_value_data(v), to, __ATOMIC_RELEASE);
		break;
	default: {
		shv_lock *l = shv_value_lock(v);
		NEED(!l || shv_lock_acquire(l) == 0, "acquire");
		*(long *)shv_value_data(v) = to;
		NEED(!l || shv_lock_release(l) == 0, "release");
		break;
	}
	}
}

/* Two take turns: odd and even. A wake that is lost would cost a poll each, which is noticed by nobody but the clock. */
struct game {
	shv_value *v;
	enum how how;
	long turns;
};

static int play(void *arg)
{
	struct game *g = arg;

	for (long seen = 0; seen < g->turns; seen += 2) {
		long now = seen;
		NEED(shv_wait(g->v, &now, sizeof(now), NULL) == 0, "wait for %ld: %s", seen, shv_errmsg());
		NEED(shv_get(g->v, &now, sizeof(now)) == 0 && now == seen + 1, "%ld after %ld", now, seen);
		change(g->v, seen + 2, g->how);
	}
	return 0;
}

START_TEST(each_sees_what_the_other_changes)
{
	static const long turns[HOWS] = { 400, 400, 400, 400, 400, 20, 400 };
	shv_lock *lock = made(shv_lock_new(arena, SHV_PLAIN));
	unsigned kind = (unsigned)_i / HOWS;
	struct game g = { .how = (enum how)(_i % HOWS) };
	pid_t pid;

	g.v = made(SHV_VALUE(arena, long, 0, kind < LOCKSPECS ? plain_lockspec(kind) : SHV_SHARED(lock)));
	g.turns = g.how == BY_LOCK && !shv_value_lock(g.v) ? turns[BY_POINTER] : turns[g.how];
	pid = start(play, &g);
	for (long seen = 0; seen < g.turns; seen += 2) {
		long now = seen + 1;
		change(g.v, seen + 1, g.how);
		ck_assert_int_eq(shv_wait(g.v, &now, sizeof(now), NULL), 0);
		assert_ok(shv_get(g.v, &now, sizeof(now)));
		ck_assert_int_eq(now, seen + 2);
	}
	ck_assert_int_eq(finish(pid), 0);
	assert_ok(shv_value_free(g.v));
	assert_ok(shv_lock_free(lock));
}
END_TEST

static int see_once(void *arg)
{
	struct game *g = arg;
	long seen = 0;

	return shv_wait(g->v, &seen, sizeof(seen), NULL);
}

START_TEST(all_who_wait_are_woken)
{
	struct game g = { .v = made(SHV_VALUE(arena, long, 0)) };
	pid_t pid[6];

	for (int i = 0; i < 6; i++)
		pid[i] = start(see_once, &g);
	change(g.v, 1, BY_SET);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
}
END_TEST

START_TEST(sleeper_that_is_killed_is_forgotten)
{
	struct game g = { .v = made(SHV_VALUE(arena, long, 0)) };
	uint64_t *header = (uint64_t *)(void *)g.v - 1, watched = UINT64_C(1) << 52;
	pid_t pid = start(see_once, &g);

	while (!(__atomic_load_n(header, __ATOMIC_ACQUIRE) & watched))
		sched_yield();
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	change(g.v, 1, BY_SET);
	ck_assert_uint_eq(__atomic_load_n(header, __ATOMIC_ACQUIRE) & watched, 0);
	assert_ok(shv_value_free(g.v));
}
END_TEST

static int see_it_go(void *arg)
{
	return see_once(arg) == -ESTALE ? 0 : 1;
}

START_TEST(freed_while_somebody_waits)
{
	struct game g = { .v = made(SHV_VALUE(arena, long, 0, plain_lockspec((unsigned)_i))) };
	uint64_t *header = (uint64_t *)(void *)g.v - 1, watched = UINT64_C(1) << 52;
	pid_t pid = start(see_it_go, &g);

	while (!(__atomic_load_n(header, __ATOMIC_ACQUIRE) & watched))
		sched_yield();
	assert_ok(shv_value_free(g.v));
	for (int i = 0; i < 100; i++)
		assert_ok(shv_raw_free(made(shv_raw_array_new(arena, SHV_LONG, 3, NULL))));
	ck_assert_int_eq(finish(pid), 0);
}
END_TEST

START_TEST(strings_arrays_and_raw_objects)
{
	shv_value *s = made(shv_string_new(arena, "one", SHV_RECURSIVE)), *w = made(shv_wstring_new(arena, L"eins", SHV_NONE)),
		  *array = made(shv_array_new(arena, SHV_LONG, 1000, NULL, SHV_PLAIN));
	long *raw = made((long *)shv_raw_new(arena, SHV_LONG, NULL)), zeros[1000] = { 0 };
	struct timespec moment = { 0, 1000000 };

	assert_refused(shv_wait(s, "one", 3, &moment), ETIMEDOUT);
	assert_ok(shv_wait(s, "One", 3, NULL));
	assert_ok(shv_wait(s, "one", 2, NULL));
	assert_ok(shv_wait(s, "one", 4, NULL));
	assert_ok(shv_wait(s, NULL, 0, NULL));
	assert_refused(shv_wait(w, L"eins", 4 * sizeof(wchar_t), &moment), ETIMEDOUT);
	assert_ok(shv_wait(w, L"zwei", 4 * sizeof(wchar_t), NULL));
	assert_refused(shv_wait(w, L"eins", 5, &moment), EINVAL);
	assert_refused(shv_wait(array, zeros, sizeof(zeros), &moment), ETIMEDOUT);
	((long *)shv_at(array, 0))[999] = 1;
	assert_ok(shv_wait(array, zeros, sizeof(zeros), NULL));
	assert_refused(shv_wait((shv_value *)raw, zeros, sizeof(long), &moment), ETIMEDOUT);
	*raw = 7;
	assert_ok(shv_wait((shv_value *)raw, zeros, sizeof(long), NULL));
	assert_refused(shv_wait(s, NULL, 3, NULL), EINVAL);
	assert_refused(shv_wait(array, zeros, 8, NULL), EINVAL);
	assert_refused(shv_wait(array, zeros, sizeof(zeros), &((struct timespec){ 0, -1 })), EINVAL);
	assert_refused(shv_wait(NULL, zeros, 8, NULL), EINVAL);
}
END_TEST

static int announce(void *arg)
{
	struct game *g = arg;

	for (long i = 1; i <= g->turns; i++)
		change(g->v, i, BY_SET);
	return 0;
}

START_TEST(read_only_attachment_looks_again_and_again)
{
	int fd = shv_arena_fd_rdonly(arena);
	shv_arena *ro = made(shv_arena_attach(fd, SHV_RDONLY));
	struct game g = { .v = made(SHV_VALUE(arena, long, 0)), .turns = 3 };
	shv_value *v = made((shv_value *)shv_deref(ro, shv_ref_of(g.v)));
	pid_t pid = start(announce, &g);
	long seen = 0;

	while (seen < 3) {
		ck_assert_int_eq(shv_wait(v, &seen, sizeof(seen), NULL), 0);
		assert_ok(shv_get(v, &seen, sizeof(seen)));
	}
	ck_assert_int_eq(finish(pid), 0);
	assert_ok(shv_arena_detach(ro));
	close(fd);
}
END_TEST

/* ---- without membarrier: an older kernel, a sandbox ------------------------------------------------------------ */

static void refuse_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "seccomp");
}

static int play_without(void *arg)
{
	refuse_membarrier(); /* before this process becomes a member of its own */
	return play(arg);
}

static int count_without(void *arg)
{
	struct game *g = arg;

	if (g->how)
		refuse_membarrier();
	for (long i = 0; i < g->turns; i++)
		NEED(shv_add(g->v, 1, NULL) == 0, "add");
	return 0;
}

/* One side can make the other pass a barrier, the other cannot. A wake may be lost then, but not for long. */
START_TEST(members_without_barriers_get_on_with_those_who_have_them)
{
	struct game g = { .v = made(SHV_VALUE(arena, long, 0)), .how = BY_SET, .turns = 400 };
	pid_t pid = start(play_without, &g);

	for (long seen = 0; seen < g.turns; seen += 2) {
		long now = seen + 1;
		change(g.v, seen + 1, g.how);
		ck_assert_int_eq(shv_wait(g.v, &now, sizeof(now), NULL), 0);
	}
	ck_assert_int_eq(finish(pid), 0);
}
END_TEST

START_TEST(counts_are_exact_with_and_without_barriers)
{
	shv_value *v = made(SHV_VALUE(arena, long, 0, plain_lockspec((unsigned)_i)));
	struct game with = { .v = v, .turns = 20000 }, without = { .v = v, .how = BY_ADD, .turns = 20000 };
	pid_t pid[4];

	for (int i = 0; i < 4; i++)
		pid[i] = start(count_without, i % 2 ? &with : &without);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(finish(pid[i]), 0);
	ck_assert_int_eq(SHV_LOAD(v, long), 80000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait");
	TCase *tc = tcase_create("wait");

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, arena_setup, arena_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, each_sees_what_the_other_changes, 0, (int)(LOCKSPECS + 1) * HOWS);
	tcase_add_test(tc, all_who_wait_are_woken);
	tcase_add_test(tc, sleeper_that_is_killed_is_forgotten);
	tcase_add_loop_test(tc, freed_while_somebody_waits, 0, LOCKSPECS);
	tcase_add_test(tc, strings_arrays_and_raw_objects);
	tcase_add_test(tc, read_only_attachment_looks_again_and_again);
	tcase_add_test(tc, members_without_barriers_get_on_with_those_who_have_them);
	tcase_add_loop_test(tc, counts_are_exact_with_and_without_barriers, 0, LOCKSPECS);
	return run_suite(suite);
}
