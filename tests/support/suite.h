/* SPDX-License-Identifier: MIT */
/*
 * suite.h -- the main program of a Check test.
 *
 * A test program is: its tests, then
 *
 *	int main(void)
 *	{
 *		Suite *suite = suite_create("pool");
 *		...
 *		return run_suite(suite);
 *	}
 */
#ifndef TESTS_SUPPORT_SUITE_H
#define TESTS_SUPPORT_SUITE_H

#include <check.h>

/*
 * Runs the suite and frees it; prints TAP on stdout. Returns what main should
 * return. Tests with the tag "slow" run only if the environment says so (see
 * tests/local.mk).
 */
int run_suite(Suite *suite);

#endif
