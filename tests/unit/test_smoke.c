/* SPDX-License-Identifier: MIT */
/* The smallest white-box test: that the build reached us, and what it decided. */
#include "config.h"

#include "support/suite.h"

#include <shv/version.h>
#include <stdlib.h>

#if SHV_JEMALLOC_SYSTEM
#include <jemalloc/jemalloc.h>
#define mallctl_name mallctl
#else
#include <jemalloc/jemalloc.h>
#define mallctl_name shv_je_mallctl
#endif

START_TEST(version_is_the_one_that_was_configured)
{
	ck_assert_str_eq(SHV_VERSION, PACKAGE_VERSION);
	ck_assert_int_eq(SHV_VERSION_NUMBER >> 16, SHV_VERSION_MAJOR);
}
END_TEST

START_TEST(jemalloc_is_linked_and_answers)
{
	const char *version = NULL;
	size_t size = sizeof(version);

	ck_assert_int_eq(mallctl_name("version", &version, &size, NULL, 0), 0);
	ck_assert_int_ge(atoi(version), 5);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("smoke");
	TCase *build = tcase_create("build");

	tcase_add_test(build, version_is_the_one_that_was_configured);
	tcase_add_test(build, jemalloc_is_linked_and_answers);
	suite_add_tcase(suite, build);
	return run_suite(suite);
}
