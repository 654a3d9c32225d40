/* SPDX-License-Identifier: MIT */
/* A long beside a recursive, process-shared, robust pthread mutex: what a C program has without libshv. 48 bytes. */
#ifndef BENCH_MUTEX_H
#define BENCH_MUTEX_H

#include <pthread.h>

struct mutex_value {
	pthread_mutex_t m;
	long x;
};

extern pthread_mutexattr_t mutex_attr; /* made by main() */

static inline void *mutex_value_init(void *memory, long x)
{
	struct mutex_value *v = memory;

	if (pthread_mutex_init(&v->m, &mutex_attr))
		return NULL;
	v->x = x;
	return v;
}

static inline void mutex_value_end(struct mutex_value *v)
{
	pthread_mutex_destroy(&v->m);
}

#endif /* BENCH_MUTEX_H */
