/* SPDX-License-Identifier: MIT */
/*
 * Locks of values, lock objects and user policies: which lock serves an object, taking and releasing it, who holds it.
 *
 * A thread notes in its entry of the thread table how many locks it holds, before it takes the first and after it released the
 * last: recovery looks at lock words only if that number was not zero. Handoff locks are noted apart, for another thread may
 * release them.
 */
#include "values/fast.h"

#include "base/probe.h"

#include <string.h>
#include <time.h>

#define SLICE_MS 50 /* user policies: between looks after a dead holder */

/* Whom this thread inherited a lock from last; for shv_last_holder(). */
static __thread struct {
	const void *lock;
	ino_t arena; /* the same address may have been another arena's */
	uint32_t gen;
	struct shv_holder holder;
} inherited;

bool deadline_in(const struct timespec *rel, struct timespec *out)
{
	if (!rel || rel->tv_sec < 0 || rel->tv_nsec < 0 || rel->tv_nsec >= 1000000000)
		return false;
	clock_gettime(CLOCK_MONOTONIC, out);
	if (__builtin_add_overflow(out->tv_sec, rel->tv_sec, &out->tv_sec))
		out->tv_sec = INT64_MAX / 2;
	out->tv_nsec += rel->tv_nsec;
	if (out->tv_nsec >= 1000000000) {
		out->tv_sec++;
		out->tv_nsec -= 1000000000;
	}
	return true;
}

/* ---- which lock ---------------------------------------------------------------------------------------------- */

static int user_policy(struct lock_target *t, bool look, const char *who)
{
	unsigned i = t->policy - SHV_POL_USER;
	struct shv_policy_shm s;

	if (table_policy_read(t->o.at.base, t->o.at.geo, i, &s))
		return fail(-EUCLEAN, "%s: the object names a lock policy that the arena does not know", who);
	t->state = (char *)t->o.header - policy_state_bytes(s.size, s.align);
	t->ops = t->o.at.m ? load_acquire(&t->o.at.m->policies[i]) : NULL;
	if (!t->ops && !look)
		return fail(-ENOTSUP, "%s: this process has not registered lock policy '%s': call shv_lock_register()", who, s.name);
	return 0;
}

static int follow_shared(struct lock_target *t, const char *who)
{
	uint64_t link = load_relaxed(object_lock_word(&t->o)), off;
	struct shv_slot_shm *s = slot_checked(t->o.at.base, t->o.at.geo, (uint32_t)link);
	uint64_t w = s ? load_acquire(&s->word) : 0;

	if (!s || slot_gen(w) != (uint32_t)(link >> 32) || (slot_state(w) != SHV_SLOT_LIVE && slot_state(w) != SHV_SLOT_CONDEMNED))
		return fail(-EUCLEAN, "%s: the lock that the value shares is gone", who);
	t->o.slot = s;
	t->o.word = w;
	t->o.what = load_relaxed(&s->what);
	t->o.index = (uint32_t)link;
	off = what_offset(t->o.what) + slot_lead(w);
	if (what_kind(t->o.what) != SHV_KIND_LOCK || off < t->o.at.geo->data_off + 8 ||
	    off + 16 > t->o.at.geo->data_off + (pool_pages(t->o.at.base, t->o.at.geo) << SHV_PAGE_SHIFT))
		return fail(-EUCLEAN, "%s: the lock that the value shares is damaged", who);
	t->o.header = (uint64_t *)(void *)(t->o.at.base + off);
	return 0;
}

int lock_target(const struct shv_object *o, struct shv_tc *tc, struct lock_target *t, bool look, const char *who)
{
	int r;

	t->o = *o;
	t->value = o->slot;
	t->value_gen = slot_gen(o->word);
	t->tc = tc;
	t->word = NULL;
	t->state = NULL;
	t->ops = NULL;
	t->dead.pid = 0; /* nobody */
	t->policy = what_policy(o->what);
	if (t->policy == SHV_POL_SHARED) {
		r = follow_shared(t, who);
		if (r)
			return r;
		t->policy = what_policy(t->o.what);
	}
	if (likely(policy_owns_word(t->policy))) {
		t->word = object_lock_word(&t->o);
		return 0;
	}
	return t->policy >= SHV_POL_USER ? user_policy(t, look, who) : 0;
}

/* ---- the built-in ones ---------------------------------------------------------------------------------------- */

static bool host_dead(void *ctx, uint32_t owner)
{
	struct lock_target *t = ctx;

	return owner_dead(t->o.at.m, owner, NULL);
}

static uint32_t host_bury(void *ctx, uint32_t owner)
{
	struct lock_target *t = ctx;

	return grave_dig(t->o.at.m, owner);
}

static bool still_there(const struct shv_slot_shm *s, uint32_t gen)
{
	uint64_t w = load_acquire(&s->word);

	return slot_gen(w) == gen && (slot_state(w) == SHV_SLOT_LIVE || slot_state(w) == SHV_SLOT_CONDEMNED);
}

/* Still the object that we came for, and the lock? */
static bool host_valid(void *ctx)
{
	struct lock_target *t = ctx;

	return still_there(t->value, t->value_gen) && (t->value == t->o.slot || still_there(t->o.slot, slot_gen(t->o.word)));
}

static void host_inherit(void *ctx, uint32_t owner, bool buried)
{
	struct lock_target *t = ctx;

	memset(&t->dead, 0, sizeof(t->dead));
	t->dead.size = sizeof(t->dead);
	if (buried)
		grave_describe(t->o.at.base, t->o.at.geo, owner, &t->dead);
	else
		owner_describe(t->o.at.base, t->o.at.geo, owner, &t->dead);
	t->dead.alive = false;
}

/* Small values are released by who does not look at the lock word. */
static void host_queue(void *ctx)
{
	struct lock_target *t = ctx;

	if (t->policy == SHV_POL_RECURSIVE && what_kind(t->o.what) == SHV_KIND_VALUE)
		(void)object_mark(&t->o, SHV_HDR_QUEUED);
}

static const struct shv_lock_host host = { host_dead, host_bury, host_valid, host_queue, host_inherit };

static void note_taken(struct lock_target *t)
{
	if (t->policy == SHV_POL_HANDOFF)
		fetch_add_relaxed(&t->tc->thread->handed, 1);
	else
		store_relaxed(&t->tc->thread->held, t->tc->thread->held + 1);
	t->tc->policies_held += t->ops != NULL;
	fence_compiler();
}

static void note_given(struct lock_target *t, uint32_t owner, uint32_t n)
{
	fence_compiler();
	if (t->ops) { /* whose policy may let one thread release what another has taken: the count stays the taker's */
		if (!t->tc->policies_held)
			return;
		t->tc->policies_held--;
	}
	if (t->policy != SHV_POL_HANDOFF)
		store_relaxed(&t->tc->thread->held, t->tc->thread->held - n);
	else if (owner && owner <= t->o.at.geo->max_threads)
		fetch_sub_relaxed(&thread_at(t->o.at.base, t->o.at.geo, owner - 1)->handed, n);
}

static int lock_error(int r, const char *who)
{
	switch (r) {
	case -EBUSY:
		return fail(r, "%s: another thread holds the lock: try again later, or wait for it", who);
	case -ETIMEDOUT:
		return fail(r, "%s: the lock was not released in the time given", who);
	case -EDEADLK:
		return fail(r, "%s: this thread holds the lock already, and it is not a recursive one: use SHV_RECURSIVE, or release it first", who);
	case -EAGAIN:
		return fail(r, "%s: this thread has taken the lock 1,023 times already, or its policy asks to try again", who);
	case -ESTALE:
		return fail(r, "%s: the object was freed while this thread came for its lock", who);
	case -EPERM:
		return fail(r, "%s: this thread does not hold the lock", who);
	default:
		return fail(r, "%s: the lock policy returned an error", who);
	}
}

static int remember(struct lock_target *t, int r)
{
	if (r == SHV_RECOVERED) { /* whom from is not known if a policy found out by itself */
		inherited.lock = t->o.slot;
		inherited.gen = slot_gen(t->o.word);
		inherited.arena = t->o.at.geo->ino;
		inherited.holder = t->dead;
	}
	return r;
}

static int builtin_acquire(struct lock_target *t, bool try_only, const struct timespec *deadline, const char *who)
{
	int r;

	t->tc->taken = NULL; /* it may be taken once more now */
	note_taken(t);
	if (likely(lock_acquire_alive(t->word, t->tc->me, &t->o.slot->word, t->o.word)))
		return 0;
	if (!try_only && !lock_is_gone(load_relaxed(t->word)))
		slow_path(t->tc); /* we may wait: what others are waiting for from us goes first */
	PROBE3(lock_slow, t->word, t->tc->me, try_only);
	r = lock_acquire_slow(t->word, t->tc->me, (enum lock_flavour)t->policy, try_only, deadline, &host, t);
	PROBE3(lock_done, t->word, t->tc->me, r);
	CRASH_POINT("lock-taken-late");
	if (r >= 0)
		return remember(t, r);
	note_given(t, t->tc->me, 1);
	return lock_error(r, who);
}

/* ---- user-supplied ones ----------------------------------------------------------------------------------------- */

static bool user_holder(struct lock_target *t, struct shv_holder *h)
{
	return policy_holder(t->o.at.m, t->ops, t->state, h);
}

static bool earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* The holder died: let the policy free its state, once. */
static bool user_recover(struct lock_target *t)
{
	struct shv_holder h;
	bool done = false;

	if (!t->ops->recover || !user_holder(t, &h) || h.alive || sys_lock(t->o.at.m, RANK_RECOVERY))
		return false;
	if (user_holder(t, &h) && !h.alive && !t->ops->recover(t->state, &h)) {
		t->dead = h;
		done = true;
	}
	sys_unlock(t->o.at.m, RANK_RECOVERY);
	return done;
}

static int user_acquire(struct lock_target *t, bool try_only, const struct timespec *deadline, const char *who)
{
	bool recovered = false;
	int r;

	note_taken(t);
	for (;;) {
		struct timespec slice, step = { 0, SLICE_MS * 1000000L };
		if (try_only) {
			r = policy_try(t->ops, t->state);
		} else {
			deadline_in(&step, &slice);
			r = t->ops->acquire(t->state, deadline && earlier(deadline, &slice) ? deadline : &slice);
		}
		if (r >= 0)
			return remember(t, recovered ? SHV_RECOVERED : r);
		if (r != -ETIMEDOUT && r != -EBUSY)
			break;
		if (!host_valid(t)) {
			r = -ESTALE;
			break;
		}
		if (user_recover(t)) {
			recovered = true;
			continue;
		}
		if (try_only || (deadline && (deadline_in(&(struct timespec){ 0, 0 }, &slice), !earlier(&slice, deadline))))
			break;
	}
	note_given(t, t->tc->me, 1);
	return lock_error(r, who);
}

/* ---- both ------------------------------------------------------------------------------------------------------------ */

static int acquire_any(struct lock_target *t, bool try_only, const struct timespec *rel, const char *who)
{
	struct timespec deadline;

	if (rel && !deadline_in(rel, &deadline))
		return fail(-EINVAL, "%s: rel is not a time: 0 <= tv_nsec < 1,000,000,000, tv_sec >= 0", who);
	if (likely(t->word != NULL))
		return builtin_acquire(t, try_only, rel ? &deadline : NULL, who);
	return t->ops ? user_acquire(t, try_only, rel ? &deadline : NULL, who) : 0;
}

int target_acquire(struct lock_target *t, bool try_only, const struct timespec *rel, const char *who)
{
	int r = acquire_any(t, try_only, rel, who);

	/* With a shared lock, or a policy's, nothing but the slot says that the value was freed while we waited. */
	if (likely(r < 0 || host_valid(t)))
		return r;
	(void)(r == SHV_RECOVERED ? target_release_recovered(t, who) : target_release(t, who));
	return lock_error(-ESTALE, who);
}

int target_release(struct lock_target *t, const char *who)
{
	uint32_t owner;
	int r;

	if (likely(t->word != NULL)) {
		t->tc->taken = NULL;
		owner = lock_owner(load_relaxed(t->word));
		r = lock_release(t->word, t->tc->me, (enum lock_flavour)t->policy);
		if (unlikely(r < 0))
			return lock_error(r, who);
		note_given(t, owner, 1);
		content_changed(&t->o);
		return 0;
	}
	if (!t->ops) {
		content_changed(&t->o);
		return 0;
	}
	r = t->ops->release(t->state);
	if (r < 0)
		return lock_error(r, who);
	note_given(t, t->tc->me, 1);
	content_changed(&t->o);
	return 0;
}

int target_release_recovered(struct lock_target *t, const char *who)
{
	uint32_t grave;
	uint64_t w;

	if (!t->word)
		return target_release(t, who);
	t->tc->taken = NULL;
	grave = grave_of(t->o.at.m, &t->dead);
	do { /* only the waiters bit may come in between; and the end of the tenure, by another thread, of a handoff lock */
		w = load_relaxed(t->word);
		if (!lock_is_held(w) || lock_owner(w) != t->tc->me || lock_depth(w))
			return target_release(t, who);
	} while (!lock_bury(t->word, w, grave));
	note_given(t, t->tc->me, 1);
	return 0;
}

bool lock_retire(struct lock_target *t)
{
	uint64_t w;

	if (t->ops) {
		(void)t->ops->release(t->state);
		note_given(t, t->tc->me, 1);
		if (t->ops->destroy)
			t->ops->destroy(t->state);
		return true; /* who waits inside the policy we cannot know */
	}
	t->tc->taken = NULL;
	w = load_relaxed(t->word);
	w = exchange_acq_rel(t->word, ((w & LOCK_SEQ_MASK) + LOCK_SEQ_ONE) | LOCK_OWNER_GONE);
	note_given(t, lock_owner(w), 1 + lock_depth(w));
	if (!(w & LOCK_WAITERS))
		return false;
	lock_wake(t->word, INT32_MAX);
	return true;
}

bool place_owner_dead(const struct shv_place *at, uint32_t owner)
{
	struct shv_holder h;

	if (at->m)
		return owner_dead(at->m, owner, NULL);
	if (!owner_describe(at->base, at->geo, owner, &h) || !h.alive)
		return true;
	return process_probe(at->geo->fd, h.process) == LIVENESS_DEAD;
}

int target_holder(struct lock_target *t, struct shv_holder *out)
{
	struct shv_holder h = { .size = sizeof(h) };
	size_t size = out->size ? out->size : sizeof(h);
	uint64_t w;

	if (size < sizeof(size_t) || size > sizeof(h))
		return -EINVAL;
	if (t->word) {
		w = load_acquire(t->word);
		if (!lock_is_held(w))
			return 0;
		owner_describe(t->o.at.base, t->o.at.geo, lock_owner(w), &h);
		h.alive = !place_owner_dead(&t->o.at, lock_owner(w));
		h.depth = lock_times(w);
	} else if (!t->ops) {
		return t->policy >= SHV_POL_USER ? -ENOTSUP : 0;
	} else if (!t->ops->holder) {
		return -ENOTSUP;
	} else if (!user_holder(t, &h)) {
		return 0;
	}
	h.size = size;
	memcpy(out, &h, size);
	return 1;
}

/* ---- lock parameters ----------------------------------------------------------------------------------------------------- */

static int check_shared(shv_arena *a, const shv_lockspec *s, uint64_t *link, const char *who)
{
	struct shv_object o;
	int r;

	if (!s->which)
		return fail(-EINVAL, "%s: lock: SHV_SHARED(NULL): pass what shv_lock_new() returned", who);
	r = object_find(s->which, &o, who);
	if (r)
		return r;
	if (what_kind(o.what) != SHV_KIND_LOCK)
		return fail(-EINVAL, "%s: lock: SHV_SHARED() takes a lock object of shv_lock_new(), not a value's own lock", who);
	if (o.at.m != a->m)
		return fail(-EINVAL, "%s: lock: the shared lock is in another arena", who);
	if (slot_state(o.word) != SHV_SLOT_LIVE)
		return fail(-ESTALE, "%s: lock: the shared lock was freed", who);
	*link = o.index | (uint64_t)slot_gen(o.word) << 32;
	return 0;
}

static int check_policy(shv_arena *a, const shv_lockspec *s, unsigned *policy, const struct shv_lock_policy **ops, const char *who)
{
	const struct shv_lock_policy *p = s->which;

	if (!p || !p->name)
		return fail(-EINVAL, "%s: lock: SHV_POLICY(NULL): pass the policy's table", who);
	for (unsigned i = 0; i < SHV_MAX_POLICIES; i++) {
		const struct shv_lock_policy *known = load_acquire(&a->m->policies[i]);
		if (known != p && (!known || strcmp(known->name, p->name)))
			continue;
		*policy = SHV_POL_USER + i;
		*ops = known;
		return 0;
	}
	return fail(-ENOTSUP, "%s: lock: policy '%.31s' is not registered here: call shv_lock_register() first", who, p->name);
}

int lockspec_check(shv_arena *a, const shv_lockspec *s, unsigned *policy, uint64_t *link, const struct shv_lock_policy **ops, const char *who)
{
	if (unlikely(s->flags & ~SHV_LOCK_ALIGNED))
		return fail(-EINVAL, "%s: lock: flags are %#x: make the parameter with SHV_RECURSIVE or one of its kin", who, s->flags);
	switch (s->kind) {
	case SHV_LOCK_DEFAULT:
	case SHV_LOCK_RECURSIVE:
		*policy = SHV_POL_RECURSIVE;
		return 0;
	case SHV_LOCK_PLAIN:
	case SHV_LOCK_HANDOFF:
	case SHV_LOCK_NONE:
		*policy = s->kind;
		return 0;
	case SHV_LOCK_SHARED:
		*policy = SHV_POL_SHARED;
		return check_shared(a, s, link, who);
	case SHV_LOCK_POLICY:
		return check_policy(a, s, policy, ops, who);
	default:
		return fail(-EINVAL, "%s: lock: kind %u is none of enum shv_lock_kind", who, s->kind);
	}
}

/* ---- public: policies and lock objects -------------------------------------------------------------------------------------- */

static int check_table(const struct shv_lock_policy *p)
{
	if (!p)
		return fail(-EINVAL, "shv_lock_register: policy is NULL");
	if (p->struct_size && p->struct_size < sizeof(*p))
		return fail(-EINVAL, "shv_lock_register: struct_size is %zu: set it to sizeof, or 0", p->struct_size);
	if (!p->name || !*p->name || strnlen(p->name, 32) > 31)
		return fail(-EINVAL, "shv_lock_register: the policy's name must have 1 to 31 bytes");
	if (!p->size || p->size > 1024 || !p->align || p->align > 64 || (p->align & (p->align - 1)))
		return fail(-EINVAL, "shv_lock_register: policy '%s': size %u must be 1 to 1,024, align %u a power of two up to 64", p->name,
			    p->size, p->align);
	if (!p->acquire || !p->release)
		return fail(-EINVAL, "shv_lock_register: policy '%s' lacks acquire or release", p->name);
	return 0;
}

SHV_API int shv_lock_register(shv_arena *a, const struct shv_lock_policy *p)
{
	const struct shv_lock_policy *none = NULL;
	int r = arena_valid(a, "shv_lock_register", true);

	if (!r)
		r = check_table(p);
	if (!r && !tc_get(a->m))
		r = -errno;
	if (r)
		return r;
	r = table_policy_register(a->m, p);
	if (r < 0)
		return r;
	if (__atomic_compare_exchange_n(&a->m->policies[r], &none, p, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) || none == p)
		return 0;
	return fail(-EEXIST, "shv_lock_register: this process registered another table as policy '%s'", p->name);
}

SHV_API shv_lock *shv_lock_new(shv_arena *a, shv_lockspec spec)
{
	struct object_plan p = { .a = a, .who = "shv_lock_new", .n = 1, .lock = &spec, .kind = SHV_KIND_LOCK };

	if (spec.kind == SHV_LOCK_NONE || spec.kind == SHV_LOCK_SHARED)
		return fail_null(-EINVAL, "shv_lock_new: a lock object needs a lock of its own, not SHV_NONE or SHV_SHARED");
	return object_make(&p);
}

SHV_API int shv_lock_free(shv_lock *lock)
{
	struct shv_object o;
	uint64_t w;
	int r = object_find(lock, &o, "shv_lock_free");

	if (r)
		return r;
	if (what_kind(o.what) != SHV_KIND_LOCK)
		return fail(-EINVAL, "shv_lock_free: %p is the lock of a value: it goes with the value", (void *)lock);
	if (!o.at.m)
		return object_fail(-EROFS, lock, "shv_lock_free");
	if (!tc_get(o.at.m))
		return -errno;
	w = o.word;
	/* Counted first: nobody looks for condemned locks while the count is 0. One too many only makes them look. */
	fetch_add_relaxed(&super_of(o.at.m->base)->condemned, 1);
	CRASH_POINT("lock-counted");
	if (slot_state(w) != SHV_SLOT_LIVE || !cas64(&o.slot->word, &w, slot_with(w, SHV_SLOT_CONDEMNED, slot_proc(w)))) {
		fetch_sub_relaxed(&super_of(o.at.m->base)->condemned, 1);
		return object_fail(-ESTALE, lock, "shv_lock_free");
	}
	CRASH_POINT("lock-condemned");
	return 0;
}

/* A value's own or shared lock; or a lock object, unless only values will do (they say so by their name: shv_lock_...). */
int lock_find(const void *p, struct lock_target *t, bool look, const char *who)
{
	struct shv_tc *tc = NULL;
	struct shv_object o;
	unsigned k;
	int r = object_find(p, &o, who);

	if (unlikely(r))
		return r;
	k = what_kind(o.what);
	if (unlikely(k == SHV_KIND_RAW || k == SHV_KIND_RAW_ARRAY))
		return fail(-EINVAL, "%s: %p is a raw object: it has no lock", who, p);
	if (unlikely(k == SHV_KIND_LOCK && strncmp(who, "shv_lock_", 9)))
		return fail(-EINVAL, "%s: %p is a lock object: use shv_lock_acquire() and its kin", who, p);
	if (!look) {
		if (unlikely(!o.at.m))
			return object_fail(-EROFS, p, who);
		tc = tc_get(o.at.m);
		if (unlikely(!tc))
			return -errno;
	}
	return lock_target(&o, tc, t, look, who);
}

static int find_and_acquire(const void *p, struct lock_target *t, bool try_only, const struct timespec *rel, const char *who)
{
	int r = lock_find(p, t, false, who);

	return likely(!r) ? target_acquire(t, try_only, rel, who) : r;
}

static int acquire(const void *p, bool try_only, const struct timespec *rel, const char *who)
{
	struct lock_target t;

	return find_and_acquire(p, &t, try_only, rel, who);
}

int lock_take(void *v, const struct timespec *rel, void **lock, const char *who)
{
	struct lock_target t;
	int r = find_and_acquire(v, &t, false, rel, who);

	if (r >= 0)
		*lock = t.value == t.o.slot ? v : object_payload(&t.o);
	return r;
}

static int release(const void *p, const char *who)
{
	struct lock_target t;
	int r = lock_find(p, &t, false, who);

	return likely(!r) ? target_release(&t, who) : r;
}

static int holder(const void *p, struct shv_holder *out, const char *who)
{
	struct lock_target t = { .policy = SHV_POL_NONE };
	int r;

	if (!out)
		return fail(-EINVAL, "%s: out is NULL", who);
	r = lock_find(p, &t, true, who);
	if (r)
		return r;
	r = target_holder(&t, out);
	if (r == -ENOTSUP)
		return fail(r, "%s: the lock policy cannot say who holds it, or is not registered in this process", who);
	return r == -EINVAL ? fail(r, "%s: out->size is %zu: set it to sizeof, or 0", who, out->size) : r;
}

static int need_time(const struct timespec *rel, const char *who)
{
	return rel ? 0 : fail(-EINVAL, "%s: rel is NULL: pass a time, or use the function that waits for ever", who);
}

SHV_API int shv_lock_acquire(shv_lock *lock)
{
	return acquire(lock, false, NULL, "shv_lock_acquire");
}
SHV_API int shv_lock_try(shv_lock *lock)
{
	return acquire(lock, true, NULL, "shv_lock_try");
}
SHV_API int shv_lock_for(shv_lock *lock, const struct timespec *rel)
{
	int r = need_time(rel, "shv_lock_for");

	return r ? r : acquire(lock, false, rel, "shv_lock_for");
}
SHV_API int shv_lock_release(shv_lock *lock)
{
	return release(lock, "shv_lock_release");
}
SHV_API int shv_lock_holder(const shv_lock *lock, struct shv_holder *out)
{
	return holder(lock, out, "shv_lock_holder");
}

/* ---- public: of values ---------------------------------------------------------------------------------------------------------- */

SHV_API int shv_acquire(shv_value *v)
{
	struct shv_object o;
	struct small s;

	if (likely(small_find(v, &s) && small_take(&s))) {
		small_note(&s, v);
		return 0;
	}
	if (likely(object_find_fast(v, &o) && what_kind(o.what) != SHV_KIND_LOCK && own_lock_take(&o, shv_tls_tc)))
		return 0;
	return acquire(v, false, NULL, "shv_acquire");
}
SHV_API int shv_try_acquire(shv_value *v)
{
	return acquire(v, true, NULL, "shv_try_acquire");
}
SHV_API int shv_acquire_for(shv_value *v, const struct timespec *rel)
{
	int r = need_time(rel, "shv_acquire_for");

	return r ? r : acquire(v, false, rel, "shv_acquire_for");
}
SHV_API int shv_release(shv_value *v)
{
	struct shv_object o;
	struct small s;

	if (likely(small_find_noted(v, &s) || small_find_held(v, &s))) {
		small_give(&s);
		return 0;
	}
	if (likely(object_find_fast(v, &o) && what_kind(o.what) != SHV_KIND_LOCK && own_lock_give(&o, shv_tls_tc)))
		return 0;
	return release(v, "shv_release");
}
SHV_API int shv_value_holder(const shv_value *v, struct shv_holder *out)
{
	return holder(v, out, "shv_value_holder");
}

SHV_API shv_lock *shv_value_lock(shv_value *v)
{
	struct lock_target t;
	struct shv_object o;
	int r = object_find(v, &o, "shv_value_lock");

	if (!r && what_kind(o.what) != SHV_KIND_STRING)
		r = value_find(v, &o, false, "shv_value_lock");
	if (!r)
		r = lock_target(&o, NULL, &t, true, "shv_value_lock");
	if (r)
		return null_with(r);
	if (t.policy == SHV_POL_NONE) {
		errno = 0;
		return NULL;
	}
	return (shv_lock *)object_payload(&t.o); /* the value's own address stands for its own lock */
}

SHV_API int shv_last_holder(const shv_value *v, struct shv_holder *out)
{
	struct lock_target t;
	size_t size;
	int r;

	if (!out)
		return fail(-EINVAL, "shv_last_holder: out is NULL");
	size = out->size ? out->size : sizeof(*out);
	if (size < sizeof(size_t) || size > sizeof(*out))
		return fail(-EINVAL, "shv_last_holder: out->size is %zu: set it to sizeof, or 0", size);
	r = lock_find(v, &t, true, "shv_last_holder");
	if (r)
		return r;
	if (!inherited.holder.pid || inherited.lock != t.o.slot || inherited.arena != t.o.at.geo->ino || inherited.gen != slot_gen(t.o.word))
		return fail(-ENOENT, "shv_last_holder: this thread was not told of a dead holder of this value's lock");
	inherited.holder.size = size;
	memcpy(out, &inherited.holder, size);
	return 0;
}

SHV_API int shv_ref_acquire(shv_arena *a, shv_ref ref, shv_value **v)
{
	struct lock_target t;
	void *p;
	int r;

	if (!v)
		return fail(-EINVAL, "shv_ref_acquire: v is NULL");
	p = shv_deref(a, ref);
	if (!p)
		return fail_by(-errno, "shv_ref_acquire");
	r = lock_find(p, &t, false, "shv_ref_acquire");
	/* Another object may be there by now, or nothing. What the lock is taken of is just this one (target_acquire). */
	if (!r && (t.value_gen != (uint32_t)(ref >> 32) || t.value != slot_checked(t.o.at.base, t.o.at.geo, (uint32_t)ref)))
		return fail(-ESTALE, "shv_ref_acquire: the object of the reference was freed");
	if ((r == -EINVAL || r == -ESTALE) && !shv_deref(a, ref))
		return fail_by(-errno, "shv_ref_acquire");
	if (!r)
		r = target_acquire(&t, false, NULL, "shv_ref_acquire");
	if (r >= 0)
		*v = p;
	return r;
}

/* ---- the guard -------------------------------------------------------------------------------------------------------------------- */

static __thread int with_status;

SHV_API struct shv_guard shv_guard_begin_(shv_value *v)
{
	struct shv_guard g = { NULL, 0 };
	void *lock = NULL;
	struct small s;

	if (likely(small_find(v, &s) && small_take(&s))) {
		small_note(&s, v);
		with_status = 0;
		g.value = v;
		g.run = 1;
		return g;
	}
	with_status = lock_take(v, NULL, &lock, "shv_with");
	if (with_status >= 0) {
		/* A shared one is to be given back also if the value is freed meanwhile: then the guard is of the lock object, and odd. */
		g.value = lock == v ? v : (shv_value *)((uintptr_t)lock | 1);
		g.run = 1;
	}
	return g;
}

SHV_API void shv_guard_end_(struct shv_guard *g)
{
	struct small s;
	int e;

	if (likely(g->value && (small_find_noted(g->value, &s) || small_find_held(g->value, &s)))) {
		small_give(&s);
		return;
	}
	e = errno;
	if ((uintptr_t)g->value & 1)
		(void)release((char *)g->value - 1, "shv_lock_release");
	else if (g->value)
		(void)release(g->value, "shv_with");
	errno = e;
}

SHV_API int shv_with_status(void)
{
	return with_status;
}
