/* SPDX-License-Identifier: MIT */
/*
 * Lock policies of a program's own: what may be registered, what the library asks of them and when, and that
 * values with such a lock are values like others.
 */
#include "api/api.h"
#include "api/word_policy.h"

static void setup(void)
{
	arena_setup();
	memset(&calls, 0, sizeof(calls));
}

static void setup_registered(void)
{
	setup();
	assert_ok(shv_lock_register(arena, &word_policy));
}

/* A table like it under another name. */
static struct shv_lock_policy named(const char *name)
{
	struct shv_lock_policy p = word_policy;

	p.name = name;
	return p;
}

/* Detach and attach again, so that this process has registered nothing. */
static void start_afresh(void)
{
	int fd = dup(shv_arena_fd(arena));

	ck_assert_int_ge(fd, 0);
	assert_ok(shv_arena_detach(arena));
	arena = made(shv_arena_attach(fd, 0));
	close(fd);
}

/* ---- registering -------------------------------------------------------------------------------------- */

START_TEST(policy_may_be_registered_again)
{
	assert_ok(shv_lock_register(arena, &word_policy));
	assert_ok(shv_lock_register(arena, &word_policy));
	start_afresh();
	assert_ok(shv_lock_register(arena, &word_policy));
}
END_TEST

START_TEST(tables_that_are_wrong_are_refused)
{
	struct shv_lock_policy p;

#define REFUSED_WITH(change)                                     \
	do {                                                     \
		p = named("wrong");                              \
		change;                                          \
		assert_refused(shv_lock_register(arena, &p), EINVAL); \
	} while (0)
	assert_refused(shv_lock_register(arena, NULL), EINVAL);
	assert_refused(shv_lock_register(NULL, &word_policy), EINVAL);
	REFUSED_WITH(p.struct_size = 8);
	REFUSED_WITH(p.struct_size = sizeof(p) - 1);
	REFUSED_WITH(p.name = NULL);
	REFUSED_WITH(p.name = "");
	REFUSED_WITH(p.name = "thirty-two bytes are too many...");
	REFUSED_WITH(p.size = 0);
	REFUSED_WITH(p.size = 1025);
	REFUSED_WITH(p.size = UINT32_MAX);
	REFUSED_WITH(p.align = 0);
	REFUSED_WITH(p.align = 3);
	REFUSED_WITH(p.align = 128);
	REFUSED_WITH(p.acquire = NULL);
	REFUSED_WITH(p.release = NULL);
	/* None of this left a name. */
	p = named("wrong");
	p.size = 64;
	assert_ok(shv_lock_register(arena, &p));
	p = named("thirty-one bytes are just right");
	assert_ok(shv_lock_register(arena, &p));
}
END_TEST

START_TEST(another_table_of_the_same_name_is_refused)
{
	struct shv_lock_policy other = named("word"), larger = named("word"), aligned = named("word");
	char name[] = "word";

	larger.size = 24;
	aligned.align = 16;
	assert_ok(shv_lock_register(arena, &word_policy));
	assert_refused(shv_lock_register(arena, &other), EEXIST);
	assert_refused(shv_lock_register(arena, &larger), EPROTONOSUPPORT);
	assert_refused(shv_lock_register(arena, &aligned), EPROTONOSUPPORT);
	/* The arena remembers the shape when nobody has it registered. */
	start_afresh();
	assert_refused(shv_lock_register(arena, &larger), EPROTONOSUPPORT);
	assert_refused(shv_lock_register(arena, &aligned), EPROTONOSUPPORT);
	other.name = name; /* the name counts, not its address */
	assert_ok(shv_lock_register(arena, &other));
	made(SHV_VALUE(arena, int, 1, SHV_POLICY(&other)));
}
END_TEST

START_TEST(arena_has_room_for_64_policies)
{
	static struct shv_lock_policy p[65];
	static char name[65][32];

	for (int i = 0; i < 65; i++) {
		snprintf(name[i], sizeof(name[i]), "policy number %d", i);
		p[i] = named(name[i]);
		if (i < 64)
			assert_ok(shv_lock_register(arena, &p[i]));
		else
			assert_refused(shv_lock_register(arena, &p[i]), ENOSPC);
	}
	for (int i = 0; i < 64; i++) {
		assert_ok(shv_lock_register(arena, &p[i]));
		assert_ok(shv_value_free(made(SHV_VALUE(arena, int, 1, SHV_POLICY(&p[i])))));
	}
	assert_refused_null(SHV_VALUE(arena, int, 1, SHV_POLICY(&p[64])), ENOTSUP);
}
END_TEST

/* ---- states ------------------------------------------------------------------------------------------- */

static const struct {
	uint32_t size, align;
} shapes[] = { { 1, 1 }, { 3, 1 }, { 2, 2 }, { 8, 8 }, { 12, 4 }, { 24, 8 }, { 8, 16 }, { 16, 16 }, { 100, 32 },
	       { 1, 64 }, { 64, 64 }, { 1000, 8 }, { 1024, 1 }, { 1024, 64 } };
#define SHAPES ((int)(sizeof(shapes) / sizeof(shapes[0])))

static void *last_state;
static int shape; /* of the policy in use */

/* Everything that is the state's is written; what is not must not change by that. */
static int fill_init(void *state, const void *arg)
{
	(void)arg;
	last_state = state;
	for (uint32_t i = 0; i < shapes[shape].size; i++)
		if (((unsigned char *)state)[i])
			return -EIO;
	memset(state, 0xff, shapes[shape].size);
	return 0;
}
static int fill_acquire(void *state, const struct timespec *deadline)
{
	(void)deadline;
	if (state != last_state)
		return -EIO;
	memset(state, 0xee, shapes[shape].size);
	return 0;
}
static int fill_release(void *state)
{
	memset(state, 0xdd, shapes[shape].size);
	return 0;
}

START_TEST(state_has_its_size_and_alignment)
{
	struct shv_lock_policy p = { .struct_size = sizeof(p),
				     .name = "fill",
				     .size = shapes[_i].size,
				     .align = shapes[_i].align,
				     .init = fill_init,
				     .acquire = fill_acquire,
				     .release = fill_release };
	const shv_type *const types[] = { SHV_CHAR, SHV_INT, SHV_LONGDOUBLE };

	shape = _i;
	assert_ok(shv_lock_register(arena, &p));
	for (int again = 0; again < 2; again++) {
		for (unsigned i = 0; i < 3; i++) {
			unsigned char init[16] = { 1, 2, 3 }, out[16];
			size_t size = shv_type_size(types[i]);
			shv_value *v = made(shv_value_new(arena, types[i], init, SHV_POLICY(&p)));

			ck_assert_uint_eq((uintptr_t)last_state % p.align, 0);
			ck_assert_ptr_eq(shv_arena_of(last_state), arena);
			assert_ok(shv_acquire(v));
			assert_ok(shv_release(v));
			assert_ok(shv_get(v, out, size));
			ck_assert_mem_eq(out, init, size);
			memset(shv_value_data(v), 0xff, size);
			ck_assert_int_eq(shv_kind_of(v), SHV_KIND_VALUE);
			assert_sound(arena);
			assert_ok(shv_value_free(v));
		}
		/* An array has its length there too, a lock object nothing but the state. */
		shv_value *array = made(shv_array_new(arena, SHV_INT, 100, NULL, SHV_POLICY(&p)));
		assert_ok(shv_acquire(array));
		assert_ok(shv_release(array));
		ck_assert_uint_eq(shv_len(array), 100);
		assert_ok(shv_value_free(array));
		shv_lock *lock = made(shv_lock_new(arena, SHV_POLICY(&p)));
		assert_ok(shv_lock_acquire(lock));
		assert_ok(shv_lock_release(lock));
		assert_ok(shv_lock_free(lock));
		assert_ok(shv_arena_trim(arena));
	}
	ck_assert_uint_eq(arena_stat(arena).objects, 0);
}
END_TEST

START_TEST(init_gets_its_argument_and_destroy_ends_it)
{
	uint64_t mark = 0x1234;
	shv_value *v = made(shv_value_new(arena, SHV_INT, NULL, SHV_POLICY_ARG(&word_policy, &mark)));
	shv_lock *lock = made(shv_lock_new(arena, SHV_POLICY(&word_policy)));

	ck_assert_uint_eq(calls.init, 2);
	ck_assert_uint_eq(calls.destroy, 0);
	assert_ok(shv_value_free(v));
	ck_assert_uint_eq(calls.destroy, 1);
	assert_ok(shv_lock_free(lock));
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_eq(calls.destroy, 2);
	ck_assert_uint_eq(arena_stat(arena).objects, 0);
}
END_TEST

static int failing_init(void *state, const void *arg)
{
	(void)state;
	return *(const int *)arg;
}

START_TEST(what_init_returned_is_passed_on_and_nothing_is_left)
{
	struct shv_lock_policy p = named("failing");
	struct shv_stat before, after;

	p.init = failing_init;
	assert_ok(shv_lock_register(arena, &p));
	made(SHV_VALUE(arena, int, 1));
	before = arena_stat(arena);
	for (int i = 0; i < 100; i++) {
		assert_refused_null(SHV_VALUE(arena, int, 1, SHV_POLICY_ARG(&p, &(int){ -EIO })), EIO);
		assert_refused_null(shv_lock_new(arena, SHV_POLICY_ARG(&p, &(int){ -EMFILE })), EMFILE);
		assert_refused_null(shv_array_new(arena, SHV_INT, 9, NULL, SHV_POLICY_ARG(&p, &(int){ -EXDEV })),
				    EXDEV);
	}
	after = arena_stat(arena);
	ck_assert_uint_eq(after.objects, before.objects);
	ck_assert_uint_eq(after.bytes_live, before.bytes_live);
}
END_TEST

/* ---- in use ------------------------------------------------------------------------------------------- */

static int try_and_release(shv_value *v)
{
	int r = shv_try_acquire(v);

	if (r >= 0)
		NEED(shv_release(v) == 0, "shv_release");
	return r;
}

static int hold_1_ms(shv_value *v)
{
	return shv_acquire_for(v, &(struct timespec){ 0, 1000000 });
}

START_TEST(value_with_a_policy_is_a_value)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1, SHV_POLICY(&word_policy)));
	struct shv_value_info info = { .size = sizeof(info) };
	int x = 2, out = 0;

	assert_ok(shv_set(v, &x, sizeof(x)));
	assert_ok(shv_add(v, 40, NULL));
	assert_ok(shv_get(v, &out, sizeof(out)));
	ck_assert_int_eq(out, 42);
	assert_ok(shv_compare_exchange(v, &out, &x, sizeof(x)));
	shv_with(v)
		*(int *)shv_value_data(v) += 1;
	assert_ok(shv_with_status());
	ck_assert_int_eq(SHV_LOAD(v, int), 3);
	ck_assert_uint_eq(calls.acquire + calls.try_acquire, 6);
	ck_assert_uint_eq(calls.release, 6);
	assert_ok(shv_value_describe(arena, shv_ref_of(v), &info));
	ck_assert_int_eq(info.lock, SHV_LOCK_POLICY);
	ck_assert_str_eq(info.policy, "word");
	ck_assert_uint_eq(arena_stat(arena).by_policy[SHV_LOCK_POLICY], 1);
	assert_refused(shv_peek(v, &out, sizeof(out)), ENOTSUP);
	assert_ok(shv_value_free(v));
}
END_TEST

START_TEST(lock_of_a_policy_excludes_and_is_waited_for)
{
	shv_lock *lock = made(shv_lock_new(arena, SHV_POLICY(&word_policy)));
	shv_value *own = made(SHV_VALUE(arena, int, 1, SHV_POLICY(&word_policy)));
	shv_value *shared = made(SHV_VALUE(arena, int, 1, SHV_SHARED(lock)));
	shv_value *both[] = { own, shared };
	struct shv_holder h = { .size = sizeof(h) };

	for (int i = 0; i < 2; i++) {
		shv_value *v = both[i];

		assert_ok(in_thread(try_and_release, v));
		assert_ok(shv_acquire(v));
		ck_assert_int_eq(in_thread(try_and_release, v), -EBUSY);
		ck_assert_int_eq(in_thread(hold_1_ms, v), -ETIMEDOUT);
		ck_assert_int_eq(in_thread(shv_release, v), -EPERM);
		ck_assert_int_eq(shv_value_holder(v, &h), 1);
		ck_assert_int_eq(h.pid, getpid());
		ck_assert_int_eq(h.tid, syscall(SYS_gettid));
		ck_assert(h.alive);
		ck_assert_uint_gt(h.start_time, 0);
		assert_refused(shv_arena_detach(arena), EBUSY);
		assert_ok(shv_release(v));
		ck_assert_int_eq(shv_value_holder(v, &h), 0);
	}
}
END_TEST

START_TEST(value_is_not_freed_while_the_policy_says_busy)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1, SHV_POLICY(&word_policy)));
	struct errand e;

	assert_ok(shv_acquire(v));
	errand_send(&e, shv_value_free, v);
	ck_assert_int_eq(errand_back(&e), -EBUSY);
	ck_assert_uint_eq(calls.destroy, 0);
	assert_ok(shv_release(v));
	assert_ok(in_thread(shv_value_free, v));
	ck_assert_uint_eq(calls.destroy, 1);
}
END_TEST

static int acquire_and_release(shv_value *v)
{
	int r = shv_acquire(v);

	if (r >= 0)
		(void)shv_release(v);
	return r;
}

/* A policy whose acquire can be stopped on its way: the value goes while a waiter is inside of it. */
static struct {
	struct gate entered, go;
} stop;

static int stopping_acquire(void *state, const struct timespec *deadline)
{
	gate_add(&stop.entered, 1);
	gate_wait(&stop.go, 1);
	return word_acquire(state, deadline);
}

START_TEST(waiter_is_told_when_the_value_is_freed)
{
	struct shv_lock_policy p = named("stopping");
	struct errand e;
	shv_value *v;

	memset(&stop, 0, sizeof(stop));
	p.acquire = stopping_acquire;
	assert_ok(shv_lock_register(arena, &p));
	v = made(SHV_VALUE(arena, int, 1, SHV_POLICY(&p)));
	errand_send(&e, acquire_and_release, v);
	gate_wait(&stop.entered, 1);
	assert_ok(shv_value_free(v)); /* nobody has the lock: by try_acquire */
	gate_add(&stop.go, 1);
	ck_assert_int_eq(errand_back(&e), -ESTALE);
}
END_TEST

static int acquire_and_end(shv_value *v)
{
	return shv_acquire(v);
}

START_TEST(policy_is_asked_to_recover_when_the_holding_thread_has_ended)
{
	shv_value *v = made(SHV_VALUE(arena, int, 1, SHV_POLICY(&word_policy)));
	struct shv_holder h = { .size = sizeof(h) };
	struct errand e;

	errand_send(&e, acquire_and_end, v);
	assert_ok(errand_back(&e));
	ck_assert_int_eq(shv_acquire_for(v, &(struct timespec){ 1, 0 }), SHV_RECOVERED);
	ck_assert_uint_eq(calls.recover, 1);
	assert_ok(shv_last_holder(v, &h));
	ck_assert_int_eq(h.tid, e.tid);
	assert_ok(shv_release(v));
}
END_TEST

/* ---- what a policy leaves out ------------------------------------------------------------------------- */

START_TEST(optional_operations_may_be_missing)
{
	struct shv_lock_policy p = named("least");
	struct shv_holder h = { .size = sizeof(h) };
	shv_value *v;

	p.init = NULL;
	p.try_acquire = NULL;
	p.recover = NULL;
	p.destroy = NULL;
	p.holder = NULL;
	p.struct_size = 0;
	assert_ok(shv_lock_register(arena, &p));
	v = made(SHV_VALUE(arena, int, 1, SHV_POLICY(&p)));
	assert_ok(shv_try_acquire(v)); /* by acquire with a deadline that is over */
	ck_assert_uint_eq(calls.try_acquire, 0);
	ck_assert_int_eq(in_thread(try_and_release, v), -EBUSY);
	ck_assert_int_eq(in_thread(hold_1_ms, v), -ETIMEDOUT);
	assert_refused(shv_value_holder(v, &h), ENOTSUP);
	assert_ok(shv_release(v));
	assert_ok(shv_value_free(v));
	ck_assert_uint_eq(calls.init + calls.destroy + calls.holder, 0);
}
END_TEST

static int odd_acquire(void *state, const struct timespec *deadline)
{
	(void)state;
	(void)deadline;
	return -EOWNERDEAD;
}
static int odd_release(void *state)
{
	(void)state;
	return -EXFULL;
}

START_TEST(errors_of_a_policy_are_passed_on)
{
	struct shv_lock_policy p = named("odd");
	shv_value *v;

	p.acquire = odd_acquire;
	p.release = odd_release;
	p.try_acquire = NULL;
	assert_ok(shv_lock_register(arena, &p));
	v = made(SHV_VALUE(arena, int, 1, SHV_POLICY(&p)));
	assert_refused(shv_acquire(v), EOWNERDEAD);
	assert_refused(shv_try_acquire(v), EOWNERDEAD);
	assert_refused(shv_release(v), EXFULL);
	assert_refused(shv_add(v, 1, NULL), EOWNERDEAD);
	/* What was not taken is not counted as held. */
	assert_ok(shv_arena_detach(arena));
	arena = NULL;
}
END_TEST

/* ---- not registered ----------------------------------------------------------------------------------- */

START_TEST(process_that_has_not_registered_is_refused)
{
	shv_ref ref, lock_ref, shared_ref;
	shv_value *v, *shared, *out = NULL;
	shv_lock *lock;
	int x = 0;

	lock = made(shv_lock_new(arena, SHV_POLICY(&word_policy)));
	ref = shv_ref_of(made(SHV_VALUE(arena, int, 7, SHV_POLICY(&word_policy))));
	shared_ref = shv_ref_of(made(SHV_VALUE(arena, int, 7, SHV_SHARED(lock))));
	lock_ref = shv_ref_of(lock);
	start_afresh();
	v = made((shv_value *)shv_deref(arena, ref));
	shared = made((shv_value *)shv_deref(arena, shared_ref));
	lock = made((shv_lock *)shv_deref(arena, lock_ref));
	assert_refused_null(SHV_VALUE(arena, int, 1, SHV_POLICY(&word_policy)), ENOTSUP);
	assert_refused_null(shv_lock_new(arena, SHV_POLICY(&word_policy)), ENOTSUP);
	assert_refused_null(shv_array_new(arena, SHV_INT, 3, NULL, SHV_POLICY(&word_policy)), ENOTSUP);
	for (int i = 0; i < 2; i++) {
		shv_value *w = i ? shared : v;

		assert_refused(shv_acquire(w), ENOTSUP);
		assert_refused(shv_try_acquire(w), ENOTSUP);
		assert_refused(hold_1_ms(w), ENOTSUP);
		assert_refused(shv_release(w), ENOTSUP);
		assert_refused(shv_get(w, &x, sizeof(x)), ENOTSUP);
		assert_refused(shv_set(w, &x, sizeof(x)), ENOTSUP);
		assert_refused(shv_add(w, 1, NULL), ENOTSUP);
		assert_refused(shv_compare_exchange(w, &x, &x, sizeof(x)), ENOTSUP);
		assert_refused(shv_peek(w, &x, sizeof(x)), ENOTSUP);
		assert_refused(shv_value_holder(w, &(struct shv_holder){ 0 }), ENOTSUP);
		assert_refused(shv_ref_acquire(arena, shv_ref_of(w), &out), ENOTSUP);
		shv_with(w)
			x = 77;
		ck_assert_int_eq(shv_with_status(), -ENOTSUP);
	}
	ck_assert_int_eq(x, 0);
	assert_refused(shv_lock_acquire(lock), ENOTSUP);
	assert_refused(shv_lock_holder(lock, &(struct shv_holder){ 0 }), ENOTSUP);
	assert_refused(shv_value_free(v), ENOTSUP);
	ck_assert_uint_eq(calls.acquire + calls.try_acquire + calls.holder, 0);
	/* What needs no lock works. */
	ck_assert_int_eq(*(int *)shv_value_data(v), 7);
	ck_assert_ptr_eq(shv_value_type(v), SHV_INT);
	assert_ok(shv_lock_register(arena, &word_policy));
	ck_assert_int_eq(SHV_LOAD(v, int), 7);
	ck_assert_int_eq(SHV_LOAD(shared, int), 7);
	assert_ok(shv_value_free(v));
}
END_TEST

/* ---- lock objects that were freed -------------------------------------------------------------------- */

/* They stay as long as somebody is inside, whether the policy can say who or not; and go then, with their state. */
START_TEST(freed_lock_stays_while_it_is_held)
{
	struct shv_lock_policy p = named("freed");
	unsigned before;
	shv_value *v;
	shv_lock *l;

	if (_i % 2)
		p.holder = NULL;
	if (_i / 2)
		p.try_acquire = NULL;
	assert_ok(shv_lock_register(arena, &p));
	l = made(shv_lock_new(arena, SHV_POLICY(&p)));
	v = made(SHV_VALUE(arena, long, 1, SHV_SHARED(l)));
	before = calls.destroy;
	assert_ok(shv_lock_free(l));
	shv_with(v) {
		assert_ok(shv_value_free(v));
		assert_ok(shv_arena_trim(arena));
		ck_assert_uint_eq(calls.destroy, before);
		ck_assert_uint_eq(arena_stat(arena).locks, 1);
	}
	assert_ok(shv_arena_trim(arena));
	ck_assert_uint_eq(calls.destroy, before + 1);
	ck_assert_uint_eq(arena_stat(arena).locks, 0);
	assert_sound(arena);
}
END_TEST

/* A recover() that takes its time: meanwhile whoever wants to put anything in order waits. */
static struct gate recovering, recovered;

static int slow_recover(void *state, const struct shv_holder *dead)
{
	gate_add(&recovering, 1);
	gate_wait(&recovered, 1);
	return word_recover(state, dead);
}

static int take_from_the_dead(shv_value *v)
{
	int r = shv_acquire(v);

	return r == SHV_RECOVERED ? shv_release(v) : -1;
}

static struct gate trimming;
static int32_t trimmer;

static int trim(shv_value *v)
{
	trimmer = (int32_t)syscall(SYS_gettid);
	gate_add(&trimming, 1);
	return shv_arena_trim(shv_arena_of(v));
}

/* Until it sleeps. */
static void await_sleep(int32_t tid)
{
	char path[64], state = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	for (int times = 0; times < 5;) {
		FILE *f = fopen(path, "re");

		ck_assert(f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
		fclose(f);
		times = state == 'S' ? times + 1 : 0;
		sched_yield();
	}
}

/* While one waits to reap locks, values are made with them, beyond all that there was when he came. */
START_TEST(lock_that_gets_a_value_late_is_not_reaped)
{
	struct shv_lock_policy p = named("slow");
	shv_lock *early = made(shv_lock_new(arena, SHV_PLAIN)), *late = made(shv_lock_new(arena, SHV_PLAIN));
	shv_value *v, *of_the_dead;
	struct errand first, second;

	recovering.word = recovered.word = trimming.word = 0;
	p.recover = slow_recover;
	assert_ok(shv_lock_register(arena, &p));
	of_the_dead = made(SHV_VALUE(arena, int, 1, SHV_POLICY(&p)));
	assert_ok(in_thread(shv_acquire, of_the_dead));
	made(SHV_VALUE(arena, int, 1, SHV_SHARED(early)));
	assert_ok(shv_lock_free(early)); /* so that there is something to look for */
	errand_send(&first, take_from_the_dead, of_the_dead);
	gate_wait(&recovering, 1);
	errand_send(&second, trim, of_the_dead);
	gate_wait(&trimming, 1);
	await_sleep(trimmer);
	for (int i = 0; i < 100000; i++)
		ck_assert_ptr_nonnull(shv_raw_new(arena, SHV_LONG, NULL));
	v = made(SHV_VALUE(arena, int, 5, SHV_SHARED(late)));
	assert_ok(shv_lock_free(late));
	gate_add(&recovered, 1);
	assert_ok(errand_back(&first));
	assert_ok(errand_back(&second));
	assert_ok(shv_add(v, 1, NULL));
	ck_assert_uint_eq(arena_stat(arena).locks, 2);
	assert_sound(arena);
}
END_TEST

static int anybody_releases(void *state)
{
	__atomic_store_n(&((struct word_state *)state)->holder, 0, __ATOMIC_RELEASE);
	return 0;
}

/* Whoever releases what another thread has taken lowers no count of his own: else his death left locks behind. */
START_TEST(release_by_another_thread_is_not_counted_as_ones_own)
{
	struct shv_lock_policy p = named("baton");
	shv_value *baton, *mine = made(SHV_VALUE(arena, long, 1));

	p.release = anybody_releases;
	assert_ok(shv_lock_register(arena, &p));
	baton = made(SHV_VALUE(arena, long, 1, SHV_POLICY(&p)));
	assert_ok(in_thread(shv_acquire, baton));
	assert_ok(shv_acquire(mine));
	assert_ok(shv_release(baton));
	assert_refused(shv_arena_detach(arena), EBUSY);
	assert_ok(shv_release(mine));
	assert_ok(shv_value_free(baton));
	assert_ok(shv_value_free(mine));
}
END_TEST

/* ---- one at a time ------------------------------------------------------------------------------------ */

enum { CONTENDERS = 4 };

START_TEST(policy_lets_one_thread_in)
{
	struct contest c = { .v = made(SHV_VALUE(arena, long, 0, SHV_POLICY(&word_policy))), .turns = 5000 };

	contend_by(&c, CONTENDERS);
	ck_assert_uint_eq(c.crowded, 0);
	ck_assert_int_eq(SHV_LOAD(c.v, long), CONTENDERS * 5000L);
}
END_TEST

static int lets_all_in(void *state, const struct timespec *deadline)
{
	(void)state;
	(void)deadline;
	return 0;
}
static int lets_all_out(void *state)
{
	(void)state;
	return 0;
}

START_TEST(policy_that_lets_all_in_is_found_out)
{
	struct shv_lock_policy p = named("sieve");
	struct contest c = { .turns = 1000, .broken = true };

	p.acquire = lets_all_in;
	p.release = lets_all_out;
	assert_ok(shv_lock_register(arena, &p));
	c.v = made(SHV_VALUE(arena, long, 0, SHV_POLICY(&p)));
	contend_until_crowded(&c, CONTENDERS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy");
	TCase *tc = tcase_create("registering");

	tcase_add_checked_fixture(tc, setup, arena_teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, policy_may_be_registered_again);
	tcase_add_test(tc, tables_that_are_wrong_are_refused);
	tcase_add_test(tc, another_table_of_the_same_name_is_refused);
	tcase_add_test(tc, arena_has_room_for_64_policies);
	tcase_add_loop_test(tc, state_has_its_size_and_alignment, 0, SHAPES);
	tcase_add_test(tc, what_init_returned_is_passed_on_and_nothing_is_left);
	tcase_add_test(tc, optional_operations_may_be_missing);
	tcase_add_test(tc, errors_of_a_policy_are_passed_on);
	tcase_add_test(tc, policy_that_lets_all_in_is_found_out);
	tcase_add_loop_test(tc, freed_lock_stays_while_it_is_held, 0, 4);
	tcase_add_test(tc, lock_that_gets_a_value_late_is_not_reaped);
	tcase_add_test(tc, release_by_another_thread_is_not_counted_as_ones_own);

	tc = tcase_create("in use");
	tcase_add_checked_fixture(tc, setup_registered, arena_teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, init_gets_its_argument_and_destroy_ends_it);
	tcase_add_test(tc, value_with_a_policy_is_a_value);
	tcase_add_test(tc, lock_of_a_policy_excludes_and_is_waited_for);
	tcase_add_test(tc, value_is_not_freed_while_the_policy_says_busy);
	tcase_add_test(tc, waiter_is_told_when_the_value_is_freed);
	tcase_add_test(tc, policy_is_asked_to_recover_when_the_holding_thread_has_ended);
	tcase_add_test(tc, process_that_has_not_registered_is_refused);
	tcase_add_test(tc, policy_lets_one_thread_in);
	return run_suite(suite);
}
