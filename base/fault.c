/* SPDX-License-Identifier: MIT */
/*
 * Crash and failure points, for builds with --enable-fault-injection. Driven by the environment, or by these symbols from tests:
 *   SHV_CRASH_AT=n        SIGKILL at the n-th crash point reached from now on
 *   SHV_CRASH_AT=name[:k] SIGKILL at the k-th time the named one is reached
 *   SHV_FAIL_AT=n, =name[:k]  the same for failure points: they report failure once
 *   SHV_FAIL_AT=n+r       the n-th and the r - 1 that are reached next: shortage that lasts
 *   SHV_POINTS_LOG=fd     write each name reached, one a line, to that descriptor
 */
#include "base/fault.h"

#if defined(SHV_FAULT_INJECTION) && SHV_FAULT_INJECTION

#include "base/atomic.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trigger {
	char name[40];    /* empty: any */
	uint64_t left;    /* hits until it goes off; 0 = off */
	uint64_t row;     /* how often it goes off then */
	uint64_t count;   /* hits so far */
};
static struct trigger crash, failure;
static int log_fd = -1;

static void arm(struct trigger *t, const char *spec)
{
	const char *colon, *plus;
	size_t n;

	memset(t, 0, sizeof(*t));
	if (!spec || !*spec)
		return;
	plus = strchr(spec, '+');
	t->row = plus ? strtoull(plus + 1, NULL, 10) : 1;
	if (*spec >= '0' && *spec <= '9') {
		t->left = strtoull(spec, NULL, 10);
		return;
	}
	colon = strchr(spec, ':');
	n = colon ? (size_t)(colon - spec) : strlen(spec);
	if (n >= sizeof(t->name))
		n = sizeof(t->name) - 1;
	memcpy(t->name, spec, n);
	t->left = colon ? strtoull(colon + 1, NULL, 10) : 1;
}

void shv_fault_arm_crash(const char *spec)
{
	arm(&crash, spec);
}
void shv_fault_arm_failure(const char *spec)
{
	arm(&failure, spec);
}
void shv_fault_log(int fd)
{
	log_fd = fd;
}
uint64_t shv_fault_hits(bool failures)
{
	return failures ? failure.count : crash.count;
}

__attribute__((constructor)) static void from_environment(void)
{
	const char *fd = getenv("SHV_POINTS_LOG");

	arm(&crash, getenv("SHV_CRASH_AT"));
	arm(&failure, getenv("SHV_FAIL_AT"));
	if (fd)
		log_fd = atoi(fd);
}

static bool reached(struct trigger *t, const char *name)
{
	if (log_fd >= 0) {
		char line[64];
		size_t n = strlen(name);
		memcpy(line, name, n < 62 ? n : 62);
		line[n < 62 ? n : 62] = '\n';
		if (write(log_fd, line, (n < 62 ? n : 62) + 1) < 0)
			log_fd = -1;
	}
	__atomic_fetch_add(&t->count, 1, __ATOMIC_RELAXED);
	if (!load_relaxed(&t->left) || (t->name[0] && strcmp(t->name, name)))
		return false;
	if (__atomic_sub_fetch(&t->left, 1, __ATOMIC_RELAXED))
		return false;
	if (t->row > 1) {
		t->row--;
		__atomic_store_n(&t->left, 1, __ATOMIC_RELAXED);
	}
	return true;
}

void shv_crash_point_(const char *name)
{
	if (reached(&crash, name))
		kill(getpid(), SIGKILL);
}

bool shv_fail_point_(const char *name)
{
	return reached(&failure, name);
}

#endif
typedef int shv_fault_not_empty; /* ISO C wants something in every file */
