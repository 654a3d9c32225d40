/* SPDX-License-Identifier: MIT */
/*
 * Crash points: places where shared state is between two steps. With --enable-fault-injection a test can
 * have the process killed when it reaches the n-th one, or a named one; without, they are nothing.
 */
#ifndef SHV_BASE_FAULT_H
#define SHV_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#if defined(SHV_FAULT_INJECTION) && SHV_FAULT_INJECTION
void shv_crash_point_(const char *name);
bool shv_fail_point_(const char *name);
/* What the environment variables of fault.c say, for tests. Visible in the library, in such builds only. */
#define SHV_FAULT_API __attribute__((visibility("default")))
SHV_FAULT_API void shv_fault_arm_crash(const char *spec);
SHV_FAULT_API void shv_fault_arm_failure(const char *spec);
SHV_FAULT_API void shv_fault_log(int fd);
SHV_FAULT_API uint64_t shv_fault_hits(bool failures);
#define CRASH_POINT(name) shv_crash_point_(name)
/* True if the system call or allocation of that name is to fail now. */
#define FAIL_POINT(name) shv_fail_point_(name)
#else
#define CRASH_POINT(name) ((void)0)
#define FAIL_POINT(name) false
#endif

#endif /* SHV_BASE_FAULT_H */
