/* SPDX-License-Identifier: MIT */
/* The arena that libshv is measured in; groups may put another one in its place for a while. */
#ifndef BENCH_SHV_ARENA_H
#define BENCH_SHV_ARENA_H

#include <shv/shv.h>

extern shv_arena *shv_arena_now;

#endif /* BENCH_SHV_ARENA_H */
