/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "corrupt/fixture.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a lock policy of a program's own ---------------------------------------------------------------- */

struct spin {
	uint32_t taken;
};

static int spin_try(void *state)
{
	struct spin *s = state;

	return __atomic_exchange_n(&s->taken, 1, __ATOMIC_ACQUIRE) ? -EBUSY : 0;
}

static int spin_acquire(void *state, const struct timespec *deadline)
{
	(void)deadline;
	return spin_try(state) ? -ETIMEDOUT : 0;
}

static int spin_release(void *state)
{
	struct spin *s = state;

	__atomic_store_n(&s->taken, 0, __ATOMIC_RELEASE);
	return 0;
}

static const struct shv_lock_policy policies[] = {
	{ .struct_size = sizeof(policies[0]),
	  .name = "spin",
	  .size = sizeof(struct spin),
	  .align = 4,
	  .acquire = spin_acquire,
	  .try_acquire = spin_try,
	  .release = spin_release },
	{ .struct_size = sizeof(policies[0]),
	  .name = "wide",
	  .size = 100,
	  .align = 64,
	  .acquire = spin_acquire,
	  .try_acquire = spin_try,
	  .release = spin_release },
};

/* ---- the other processes ----------------------------------------------------------------------------- */

/* What the processes tell each other. */
struct told {
	shv_value *first, *second;
	int ready;
};

static void *must(void *p)
{
	ck_assert_msg(p != NULL, "%s", shv_errmsg());
	return p;
}

static void must_be_0(int r)
{
	ck_assert_msg(r == 0, "%s", shv_errmsg());
}

static void wait_until(const int *flag, pid_t child)
{
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
		ck_assert_msg(waitpid(child, NULL, WNOHANG) == 0, "a child ended too early");
		usleep(1000);
	}
}

/* Dies with a lock in its hands, and objects behind. */
static void doomed(struct fixture *f, struct told *t)
{
	int32_t x = 5;

	t->first = shv_value_new(f->a, SHV_INT, &x, SHV_RECURSIVE);
	t->second = shv_array_new(f->a, SHV_LONG, 3000, NULL, SHV_PLAIN);
	if (!t->first || !t->second || shv_acquire(f->died))
		_exit(1);
	__atomic_store_n(&t->ready, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
}

static void peer(struct fixture *f, struct told *t, int end)
{
	char c;

	t->first = shv_value_new(f->a, SHV_INT, NULL, SHV_RECURSIVE);
	t->second = shv_value_new(f->a, SHV_DOUBLE, NULL, SHV_NONE);
	__atomic_store_n(&t->ready, t->first && t->second ? 1 : 2, __ATOMIC_RELEASE);
	(void)!read(end, &c, 1);
	_exit(0);
}

static struct told *shared_memory(void)
{
	struct told *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(t != MAP_FAILED);
	return t;
}

static void make_orphans(struct fixture *f)
{
	struct told *t = shared_memory();
	pid_t child = check_fork();

	if (!child)
		doomed(f, t);
	wait_until(&t->ready, child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ck_assert_int_eq(shv_arena_recover(f->a, NULL), 1);
	f->orphan = t->first;
	f->orphan_array = t->second;
	munmap(t, sizeof(*t));
}

static void make_peer(struct fixture *f)
{
	struct told *t = shared_memory();
	int ends[2];

	ck_assert(!pipe(ends));
	f->peer = check_fork();
	if (!f->peer) {
		close(ends[1]);
		peer(f, t, ends[0]);
	}
	close(ends[0]);
	f->peer_end = ends[1];
	wait_until(&t->ready, f->peer);
	ck_assert_int_eq(t->ready, 1);
	/* These stay on its list, since it does nothing more. */
	must_be_0(shv_value_free(t->first));
	must_be_0(shv_value_free(t->second));
	munmap(t, sizeof(*t));
}

/* ---- this process ------------------------------------------------------------------------------------ */

static void make_own(struct fixture *f)
{
	struct point p = { 1, 2 };
	const shv_type *point = must((void *)shv_type_parse("T{d:x:d:y:}"));
	shv_value *freed;

	must_be_0(shv_lock_register(f->a, &policies[0]));
	must_be_0(shv_lock_register(f->a, &policies[1]));
	f->lock = must(shv_lock_new(f->a, SHV_RECURSIVE));
	f->condemned = must(shv_lock_new(f->a, SHV_PLAIN));
	f->recursive = must(SHV_VALUE(f->a, int, 1));
	f->plain = must(SHV_VALUE(f->a, double, 2, SHV_PLAIN));
	f->handoff = must(SHV_VALUE(f->a, long, 3, SHV_HANDOFF));
	f->none = must(SHV_VALUE(f->a, int, 4, SHV_NONE));
	f->shared = must(SHV_VALUE(f->a, int, 5, SHV_SHARED(f->lock)));
	f->user = must(SHV_VALUE(f->a, int, 6, SHV_POLICY(&policies[1])));
	f->array = must(shv_array_new(f->a, SHV_SHORT, 10, NULL, SHV_SHARED(f->condemned)));
	f->long_array = must(shv_array_new(f->a, SHV_DOUBLE, 4000, NULL, SHV_RECURSIVE));
	f->point = must(shv_value_new(f->a, point, &p, SHV_POLICY(&policies[0])));
	f->bare_point = must(shv_value_new(f->a, point, &p, SHV_NONE));
	f->died = must(SHV_VALUE(f->a, int, 7, SHV_RECURSIVE));
	f->string = must(shv_string_new(f->a, "text of a string", SHV_RECURSIVE));
	f->wide = must(shv_wstring_new(f->a, L"wide", SHV_NONE));
	f->raw = must(shv_raw_new(f->a, SHV_LONGDOUBLE, NULL));
	f->raw_array = must(shv_raw_array_new(f->a, SHV_CHAR, 0, NULL));
	freed = must(SHV_VALUE(f->a, int, 8));
	must_be_0(shv_value_free(freed));
	must_be_0(shv_lock_free(f->condemned));
	must_be_0(shv_publish(f->recursive, "first"));
	must_be_0(shv_publish(f->raw, "second name"));
	must_be_0(shv_publish(f->plain, "third"));
	must_be_0(shv_unpublish(f->a, "third"));
}

void fixture_make(struct fixture *f)
{
	const struct shv_arena_options o = { .name = "broken",
					     .capacity = (size_t)64 << 20,
					     .max_processes = 8 };

	memset(f, 0, sizeof(*f));
	f->a = must(shv_arena_create(&o));
	f->base = f->a->base;
	f->g = &f->a->geo;
	f->super = super_of(f->base);
	make_own(f);
	make_peer(f);
	make_orphans(f); /* after the peer, which would adopt the chunk */
}

void fixture_end(struct fixture *f)
{
	close(f->peer_end);
	waitpid(f->peer, NULL, 0);
	shv_arena_detach(f->a);
}

/* ---- where things are -------------------------------------------------------------------------------- */

uint64_t *header_of(void *p)
{
	return (uint64_t *)p - 1;
}

uint64_t *lock_of(void *p)
{
	return (uint64_t *)p - 2;
}

struct shv_string_shm *string_of(shv_value *v)
{
	return (struct shv_string_shm *)(void *)v;
}

struct shv_slot_shm *text_slot(const struct fixture *f, shv_value *v)
{
	return slot_at(f, (uint32_t)string_of(v)->text);
}

struct shv_text_shm *text_of(const struct fixture *f, shv_value *v)
{
	return (struct shv_text_shm *)(void *)(f->base + what_offset(text_slot(f, v)->what) + SHV_HEADER_SIZE);
}

uint32_t slot_of(const void *p)
{
	return hdr_slot(*((const uint64_t *)p - 1));
}

struct shv_slot_shm *slot_at(const struct fixture *f, uint32_t index)
{
	uint64_t entry = *chunk_entry(f->base, f->g, index / SHV_SLOTS_PER_CHUNK);

	return (struct shv_slot_shm *)(void *)page_addr(f->base, f->g, SHV_CHUNK_PAGE(entry)) +
	       index % SHV_SLOTS_PER_CHUNK;
}

struct shv_slot_shm *slot_for(const struct fixture *f, const void *p)
{
	return slot_at(f, slot_of(p));
}

uint64_t *entry_of(const struct fixture *f, const void *p, unsigned further)
{
	return page_entry(f->base, f->g, page_of(f->g, what_offset(slot_for(f, p)->what)) + further);
}

uint64_t page_like(const struct fixture *f, uint64_t from, uint64_t mask, uint64_t entry)
{
	for (uint64_t p = from; p < f->super->pool_pages; p++)
		if ((*page_entry(f->base, f->g, p) & mask) == entry)
			return p;
	ck_abort_msg("no page is like %llx", (unsigned long long)entry);
	return 0;
}

uint32_t process_of(const struct fixture *f, pid_t pid)
{
	for (uint32_t i = 0; i < f->super->processes_high; i++)
		if (process_at(f->base, f->g, i)->pid == pid &&
		    proc_state(process_at(f->base, f->g, i)->word) == SHV_PROC_ALIVE)
			return i;
	ck_abort_msg("process %d is not in the table", (int)pid);
	return 0;
}

uint64_t *name_entry(const struct fixture *f, uint32_t slot, bool by_target)
{
	uint64_t *e = (uint64_t *)(void *)page_addr(f->base, f->g, (uint32_t)f->super->names_root);

	for (uint64_t i = 0; i < UINT64_C(1) << (f->super->names_root >> 32 & 0xff); i++)
		if (e[i] > SHV_NAME_TOMB && (uint32_t)e[i] == slot && (e[i] >> 63) == by_target)
			return &e[i];
	ck_abort_msg("slot %u is not in the name table", slot);
	return NULL;
}

struct shv_name_shm *name_part(const struct fixture *f, const char *text, uint32_t *slot)
{
	uint64_t *e = (uint64_t *)(void *)page_addr(f->base, f->g, (uint32_t)f->super->names_root);

	for (uint64_t i = 0; i < UINT64_C(1) << (f->super->names_root >> 32 & 0xff); i++) {
		struct shv_name_shm *n;
		if (e[i] <= SHV_NAME_TOMB || e[i] >> 63)
			continue;
		*slot = (uint32_t)e[i];
		n = (struct shv_name_shm *)(void *)(f->base + what_offset(slot_at(f, *slot)->what) +
						    SHV_HEADER_SIZE);
		if (!strcmp(n->text, text))
			return n;
	}
	ck_abort_msg("no name '%s'", text);
	return NULL;
}
