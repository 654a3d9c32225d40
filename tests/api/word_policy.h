/* SPDX-License-Identifier: MIT */
/*
 * word_policy.h -- a lock policy of a program's own, the simplest that has all operations: one word that says
 * which thread of which process is inside. It counts how often each operation is called.
 */
#ifndef TESTS_API_WORD_POLICY_H
#define TESTS_API_WORD_POLICY_H

#include <errno.h>
#include <sched.h>
#include <shv/shv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct word_state {
	uint64_t holder; /* pid in the upper half, tid in the lower; 0 = free */
	uint64_t mark;   /* what init was given */
};

static struct calls {
	unsigned init, acquire, try_acquire, release, recover, destroy, holder;
} calls;

static void count(unsigned *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

static uint64_t me(void)
{
	return (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
}

static int word_init(void *state, const void *arg)
{
	struct word_state *s = state;

	count(&calls.init);
	if (s->holder || s->mark)
		return -EIO; /* the state starts zeroed */
	s->mark = arg ? *(const uint64_t *)arg : 1;
	return 0;
}

static int word_try(void *state)
{
	struct word_state *s = state;
	uint64_t none = 0;

	count(&calls.try_acquire);
	return __atomic_compare_exchange_n(&s->holder, &none, me(), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
		       ? 0
		       : -EBUSY;
}

static bool over(const struct timespec *deadline)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return deadline &&
	       (now.tv_sec > deadline->tv_sec || (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec));
}

static int word_acquire(void *state, const struct timespec *deadline)
{
	struct word_state *s = state;

	count(&calls.acquire);
	for (;;) {
		uint64_t none = 0;
		if (__atomic_compare_exchange_n(&s->holder, &none, me(), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return 0;
		if (over(deadline))
			return -ETIMEDOUT;
		sched_yield();
	}
}

static int word_release(void *state)
{
	struct word_state *s = state;

	count(&calls.release);
	if (__atomic_load_n(&s->holder, __ATOMIC_RELAXED) != me())
		return -EPERM;
	__atomic_store_n(&s->holder, 0, __ATOMIC_RELEASE);
	return 0;
}

static int word_recover(void *state, const struct shv_holder *dead)
{
	struct word_state *s = state;
	uint64_t w = (uint64_t)dead->pid << 32 | (uint32_t)dead->tid;

	count(&calls.recover);
	return __atomic_compare_exchange_n(&s->holder, &w, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED) ? 0 : -EAGAIN;
}

static void word_destroy(void *state)
{
	struct word_state *s = state;

	count(&calls.destroy);
	s->mark = 0;
}

static int word_holder(const void *state, struct shv_holder *out)
{
	uint64_t w = __atomic_load_n(&((const struct word_state *)state)->holder, __ATOMIC_RELAXED);

	count(&calls.holder);
	if (!w)
		return -ENOENT;
	out->pid = (pid_t)(w >> 32);
	out->tid = (pid_t)(uint32_t)w;
	return 0;
}

static const struct shv_lock_policy word_policy = {
	.struct_size = sizeof(struct shv_lock_policy),
	.name = "word",
	.size = sizeof(struct word_state),
	.align = _Alignof(struct word_state),
	.init = word_init,
	.acquire = word_acquire,
	.try_acquire = word_try,
	.release = word_release,
	.recover = word_recover,
	.destroy = word_destroy,
	.holder = word_holder,
};

#endif
