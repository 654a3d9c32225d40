/* SPDX-License-Identifier: MIT */
/*
 * Atomic access to plain fixed-width words of shared structures. The only place that names memory orders;
 * each use elsewhere says which pair of docs/CONCURRENCY.md it belongs to.
 */
#ifndef SHV_BASE_ATOMIC_H
#define SHV_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define fetch_sub_relaxed(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define fetch_or_relaxed(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define fetch_and_relaxed(p, v) __atomic_fetch_and((p), (v), __ATOMIC_RELAXED)

/* Strong compare-and-swap; *old is what was found when it fails. Acquire on success and failure, release on success. */
static inline bool cas64(uint64_t *p, uint64_t *old, uint64_t new_)
{
	return __atomic_compare_exchange_n(p, old, new_, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline bool cas32(uint32_t *p, uint32_t *old, uint32_t new_)
{
	return __atomic_compare_exchange_n(p, old, new_, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Keeps later stores behind earlier loads and stores (a store-store and load-store barrier). */
static inline void fence_release(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void fence_acquire(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void fence_full(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Keeps later loads behind the store of an earlier read-modify-write; on x86 that is one already. */
static inline void fence_after_rmw(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Keeps the compiler from moving memory accesses of one thread across: enough against death at an instruction. */
static inline void fence_compiler(void)
{
	__asm__ __volatile__("" ::: "memory");
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield" ::: "memory");
#endif
}

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif /* SHV_BASE_ATOMIC_H */
