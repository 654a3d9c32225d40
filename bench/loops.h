/* SPDX-License-Identifier: MIT */
/*
 * The work of making and freeing, written once. A peer defines, as static inline functions, how it makes an object of `size` bytes that
 * begins with x, how it reads that x, and how it frees; BENCH_LOOPS() builds the loops around them, so that no
 * call goes through a pointer. What was written is summed up when it is freed: a figure for lost objects is no figure.
 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include "bench.h"

#define BENCH_LOOPS(name, size_of, make_, read_, drop_)                                                                 \
	static void name##_fill(void **slot, long n)                                                                    \
	{                                                                                                               \
		for (long i = 0; i < n; i++) {                                                                          \
			slot[i] = make_(size_of(i), i);                                                                 \
			if (!slot[i])                                                                                   \
				need(false, "%s: no memory for object %ld", #name, i);                                  \
		}                                                                                                       \
	}                                                                                                               \
	static void name##_empty(void **slot, long n)                                                                   \
	{                                                                                                               \
		long sum = 0;                                                                                           \
		for (long i = 0; i < n; i++) {                                                                          \
			sum += read_(slot[i]);                                                                          \
			drop_(slot[i], size_of(i));                                                                     \
		}                                                                                                       \
		need(sum == n * (n - 1) / 2, "%s: what was written is not what is there", #name);                       \
	}                                                                                                               \
	static void name##_batch(const struct pass *s, struct timing *t)                                                \
	{                                                                                                               \
		double begin = spent_ns(), middle, end;                                                                   \
		name##_fill(s->slot, s->batch);                                                                         \
		middle = spent_ns();                                                                                      \
		name##_empty(s->slot, s->batch);                                                                        \
		end = spent_ns();                                                                                         \
		t->make = (middle - begin) / (double)s->batch;                                                          \
		t->drop = (end - middle) / (double)s->batch;                                                            \
		t->pair = t->make + t->drop;                                                                            \
	}                                                                                                               \
	static void name##_churn(const struct pass *s, struct timing *t)                                                \
	{                                                                                                               \
		long made = 0, dropped = 0;                                                                             \
		double begin, end;                                                                                      \
		for (long i = 0; i < s->live; i++) {                                                                    \
			s->slot[i] = make_(size_of(i), i);                                                              \
			made += i;                                                                                      \
		}                                                                                                       \
		begin = spent_ns();                                                                                       \
		for (long i = 0; i < s->rounds; i++) {                                                                  \
			void **p = &s->slot[s->live == LIVE ? victim[i] : victim[i] % s->live];                         \
			dropped += read_(*p);                                                                           \
			drop_(*p, size_of(0));                                                                          \
			*p = make_(size_of(i), i);                                                                      \
			made += i;                                                                                      \
		}                                                                                                       \
		end = spent_ns();                                                                                         \
		for (long i = 0; i < s->live; i++) {                                                                    \
			dropped += read_(s->slot[i]);                                                                   \
			drop_(s->slot[i], size_of(0));                                                                  \
		}                                                                                                       \
		need(made == dropped, "%s: what was written is not what is there", #name);                              \
		t->make = t->drop = 0;                                                                                  \
		t->pair = (end - begin) / (double)s->rounds;                                                            \
	}

#define BENCH_LOOPS_OF(name) { name##_batch, name##_churn, name##_fill, name##_empty }

#define SIZE_RAW(i) ((void)(i), (size_t)8)
#define SIZE_LOCKED(i) ((void)(i), (size_t)LOCKED_FLOOR)
#define SIZE_MIXED(i) ((size_t)mixed_size[(i) % BATCH])

#endif /* BENCH_LOOPS_H */
