/* SPDX-License-Identifier: MIT */
/*
 * Crash points: places where shared state is between two steps. With --enable-fault-injection a test can
 * have the process killed when it reaches the n-th one, or a named one; without, they are nothing.
 */
#ifndef SHV_BASE_FAULT_H
#define SHV_BASE_FAULT_H

#include <stdbool.h>

#if defined(SHV_FAULT_INJECTION) && SHV_FAULT_INJECTION
void shv_crash_point_(const char *name);
bool shv_fail_point_(const char *name);
#define CRASH_POINT(name) shv_crash_point_(name)
/* True if the system call or allocation of that name is to fail now. */
#define FAIL_POINT(name) shv_fail_point_(name)
#else
#define CRASH_POINT(name) ((void)0)
#define FAIL_POINT(name) false
#endif

#endif /* SHV_BASE_FAULT_H */
