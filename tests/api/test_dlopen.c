/* SPDX-License-Identifier: MIT */
/*
 * libshv.so in a program that was not linked with it, as an interpreter loads it: the names are looked up at run
 * time, threads that were there before use it, and closing it does no harm.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_DEFAULT */
#endif
#include "support/suite.h"

#include <dlfcn.h>
#include <pthread.h>
#include <shv/shv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct functions {
	shv_arena *(*arena_create)(const struct shv_arena_options *);
	int (*arena_detach)(shv_arena *);
	int (*arena_fd)(const shv_arena *);
	shv_arena *(*arena_attach)(int, unsigned);
	shv_value *(*value_new)(shv_arena *, const shv_type *, const void *, shv_lockspec);
	int (*value_free)(shv_value *);
	int (*add)(shv_value *, int64_t, int64_t *);
	int (*get)(shv_value *, void *, size_t);
	int (*check)(shv_arena *, shv_check_report, void *);
	const shv_type *(*typecode)(char);
	const char *(*errmsg)(void);
	const shv_type *type_int;
} shv;

/* The library of this build: beside us, for programs are built in folders below it. */
static const char *library_path(void)
{
	static char path[4096];
	const char *build = getenv("SHV_BUILDDIR");
	ssize_t n;

	if (build) {
		snprintf(path, sizeof(path), "%s/.libs/libshv.so.0", build);
		return path;
	}
	n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	ck_assert_int_gt(n, 0);
	path[n] = 0;
	for (char *slash; (slash = strrchr(path, '/')) != NULL; *slash = 0) {
		strcpy(slash, "/.libs/libshv.so.0");
		if (!access(path, R_OK))
			return path;
		*slash = 0;
		slash = strrchr(path, '/');
		if (!slash)
			break;
	}
	ck_abort_msg("no .libs/libshv.so.0 above this program: set SHV_BUILDDIR");
	return NULL;
}

static void *look_up(void *library, const char *name)
{
	void *p = dlsym(library, name);

	ck_assert_msg(p != NULL, "%s: %s", name, dlerror());
	return p;
}

static void *load(int flags)
{
	void *library = dlopen(library_path(), flags);

	ck_assert_msg(library != NULL, "dlopen: %s", dlerror());
#define LOOK_UP(name) *(void **)&shv.name = look_up(library, "shv_" #name)
	LOOK_UP(arena_create);
	LOOK_UP(arena_detach);
	LOOK_UP(arena_fd);
	LOOK_UP(arena_attach);
	LOOK_UP(value_new);
	LOOK_UP(value_free);
	LOOK_UP(add);
	LOOK_UP(get);
	LOOK_UP(check);
	LOOK_UP(typecode);
	LOOK_UP(errmsg);
	shv.type_int = look_up(library, "shv_type_int_");
	return library;
}

static int add_and_get(shv_arena *a)
{
	const int seven = 7;
	int out = 0;
	shv_value *v = shv.value_new(a, shv.type_int, &seven, SHV_RECURSIVE);

	if (!v || shv.add(v, 35, NULL) || shv.get(v, &out, sizeof(out)) || shv.value_free(v))
		return -1;
	return out;
}

static void use(void)
{
	shv_arena *a = shv.arena_create(NULL), *again;

	ck_assert_msg(a != NULL, "%s", shv.errmsg());
	again = shv.arena_attach(shv.arena_fd(a), 0);
	ck_assert_msg(again != NULL, "%s", shv.errmsg());
	ck_assert_int_eq(add_and_get(a), 42);
	ck_assert_int_eq(add_and_get(again), 42);
	ck_assert_ptr_eq(shv.typecode('i'), shv.type_int);
	ck_assert_int_eq(shv.check(a, NULL, NULL), 0);
	ck_assert_int_eq(shv.arena_detach(again), 0);
	ck_assert_int_eq(shv.arena_detach(a), 0);
}

START_TEST(program_does_not_link_the_library)
{
	ck_assert_ptr_null(dlsym(RTLD_DEFAULT, "shv_arena_create"));
	ck_assert_ptr_null(dlopen(library_path(), RTLD_NOW | RTLD_NOLOAD));
}
END_TEST

START_TEST(library_is_loaded_and_used)
{
	load(_i ? RTLD_NOW | RTLD_GLOBAL : RTLD_LAZY | RTLD_LOCAL);
	use();
}
END_TEST

START_TEST(library_may_be_closed_and_loaded_again)
{
	for (int i = 0; i < 3; i++) {
		void *library = load(RTLD_NOW | RTLD_LOCAL);

		use();
		ck_assert_int_eq(dlclose(library), 0);
		use(); /* it stays: threads may be inside */
	}
}
END_TEST

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static shv_arena *given;

/* Started before the library was there, so its thread-local storage comes late. */
static void *early_thread(void *arg)
{
	int *result = arg;

	pthread_mutex_lock(&mutex);
	while (!given)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
	*result = add_and_get(given);
	return NULL;
}

START_TEST(threads_from_before_can_use_it)
{
	enum { N = 8 };
	pthread_t thread[N];
	int result[N];
	shv_arena *a;

	given = NULL;
	for (int i = 0; i < N; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, early_thread, &result[i]), 0);
	load(RTLD_NOW | RTLD_LOCAL);
	a = shv.arena_create(NULL);
	ck_assert_ptr_nonnull(a);
	pthread_mutex_lock(&mutex);
	given = a;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
		ck_assert_int_eq(result[i], 42);
	}
	ck_assert_int_eq(shv.check(a, NULL, NULL), 0);
	ck_assert_int_eq(shv.arena_detach(a), 0);
}
END_TEST

/* Threads that end, and a child, after dlclose(): what the library left in them must still find its code. */
START_TEST(threads_and_children_end_after_it_was_closed)
{
	void *library = load(RTLD_NOW | RTLD_LOCAL);
	shv_arena *a = shv.arena_create(NULL);
	pthread_t thread;
	int result = 0, status;
	pid_t pid;

	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(add_and_get(a), 42);
	ck_assert_int_eq(dlclose(library), 0);
	given = a;
	ck_assert_int_eq(pthread_create(&thread, NULL, early_thread, &result), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(result, 42);
	pid = fork();
	if (!pid)
		_exit(add_and_get(a) == 42 ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(shv.arena_detach(a), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dlopen");
	TCase *tc = tcase_create("dlopen");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, program_does_not_link_the_library);
	tcase_add_loop_test(tc, library_is_loaded_and_used, 0, 2);
	tcase_add_test(tc, library_may_be_closed_and_loaded_again);
	tcase_add_test(tc, threads_from_before_can_use_it);
	tcase_add_test(tc, threads_and_children_end_after_it_was_closed);
	return run_suite(suite);
}
