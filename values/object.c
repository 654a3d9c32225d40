/* SPDX-License-Identifier: MIT */
/*
 * Making and freeing objects of every kind.
 *
 *   block:  [length 8, arrays only] [lock state] [header 8] [payload]
 *
 * Making (a death after any step leaves nothing that others see; recovery takes slot and page back):
 *   M1 slot and block reserved (HELD)   M2 length, lock, payload, header written   M3 slot LIVE (release; pairs: P-publish)
 * Freeing:
 *   F1 own lock taken   F2 slot GONE   F3 lock word out of use, waiters woken   F4 name forgotten   F5 block on its way home
 */
#include "values/fast.h"

#include <string.h>

#define LINE 64u            /* shv_aligned(): bytes of a cache line */
#define LARGE (256u << 10) /* zeroed by giving the pages back rather than by writing */

static size_t up(size_t x, size_t to)
{
	return (x + to - 1) & ~(to - 1);
}

/* The shape of a block. */
struct shape {
	size_t lead, payload, block;
	uint32_t align;
};

static int shape_of(const struct object_plan *p, unsigned policy, const struct shv_lock_policy *ops, struct shape *s)
{
	size_t front = p->kind == SHV_KIND_ARRAY || p->kind == SHV_KIND_RAW_ARRAY ? 8 : 0;
	uint32_t align = p->type ? p->type->align : 8;

	if (policy_owns_word(policy))
		front += 8;
	else if (policy == SHV_POL_SHARED)
		front += 8;
	else if (ops)
		front += policy_state_bytes(ops->size, ops->align);
	if (ops && ops->align > align)
		align = ops->align;
	if (align < 8)
		align = 8;
	s->align = align;
	s->lead = up(front + SHV_HEADER_SIZE, align) - SHV_HEADER_SIZE;
	if (s->lead / 8 > SHV_SLOT_LEAD_MASK)
		return fail(-EINVAL, "%s: the type's alignment of %u is more than the format can hold", p->who, align);
	if (p->kind == SHV_KIND_STRING)
		s->payload = sizeof(struct shv_string_shm);
	else if (__builtin_mul_overflow(p->type ? p->type->size : 8, p->n, &s->payload) || s->payload > SHV_MAX_CAPACITY)
		return fail(-EOVERFLOW, "%s: n is %zu: so many items of %zu bytes are more than memory", p->who, p->n, p->type->size);
	s->block = s->lead + SHV_HEADER_SIZE + (s->payload < 8 ? 8 : s->payload);
	if (p->lock && p->lock->flags & SHV_LOCK_ALIGNED) {
		s->align = align < LINE ? LINE : align;
		s->block = up(s->block, LINE);
	}
	if (s->block > p->a->m->geo.capacity)
		return fail(-ENOSPC, "%s: %zu bytes are more than the arena's capacity", p->who, s->block);
	return 0;
}

/* Zero the payload. A large one by punching: pages that nobody writes then cost nothing. */
static void wipe(struct shv_tc *tc, char *p, size_t n)
{
	uintptr_t from = up((uintptr_t)p, SHV_PAGE_SIZE), to = ((uintptr_t)p + n) & ~(uintptr_t)(SHV_PAGE_SIZE - 1);

	if (n < LARGE || tc->m->populate || memfd_punch(tc->m, (void *)from, to - from)) {
		memset(p, 0, n);
		return;
	}
	memset(p, 0, from - (uintptr_t)p);
	memset((void *)to, 0, (uintptr_t)p + n - to);
}

struct making {
	const struct object_plan *p;
	struct shape s;
	unsigned policy, size_class;
	uint64_t link;                     /* SHARED */
	const struct shv_lock_policy *ops; /* user policy */
	uint32_t type;
	struct shv_tc *tc;
	uint32_t slot;
	uint64_t off;
};

/* The lock of a new object. Nobody else knows the block; a waiter on what was here before may still look at the word. */
static int make_lock(struct making *k, uint64_t *header)
{
	uint64_t *word = header - 1;
	int r = 0;

	switch (k->policy) {
	case SHV_POL_RECURSIVE:
	case SHV_POL_PLAIN:
	case SHV_POL_HANDOFF:
		store_relaxed(word, first_word(k->slot, load_relaxed(&slot_fast(k->tc->m->base, &k->tc->m->geo, k->slot)->word)));
		break;
	case SHV_POL_SHARED:
		store_relaxed(word, k->link);
		break;
	default:
		if (!k->ops)
			break;
		memset((char *)header - policy_state_bytes(k->ops->size, k->ops->align), 0, k->ops->size);
		if (k->ops->init) {
			r = k->ops->init((char *)header - policy_state_bytes(k->ops->size, k->ops->align), k->p->lock->arg);
			if (r)
				r = fail(r < 0 ? r : -EINVAL, "%s: init() of lock policy '%s' failed", k->p->who, k->ops->name);
		}
	}
	return r;
}

/*
 * A shared lock may be condemned just now. We name it first and look then; who reaps condemned locks does it the other way round, so
 * that one of the two sees the other. pairs: P-condemn
 */
static int shared_lock_stands(struct making *k, struct shv_slot_shm *slot)
{
	const struct shv_slot_shm *lock = slot_checked(k->tc->m->base, &k->tc->m->geo, (uint32_t)k->link);
	uint64_t w;

	/* With size and lead, so that who looks for users of the lock finds the link. */
	store_relaxed(&slot->word, slot_word(SHV_SLOT_HELD, k->tc->proc, k->size_class, (unsigned)k->s.lead, slot_gen(load_relaxed(&slot->word))));
	store_release(&slot->what, what_make(k->off, k->type, k->p->kind, k->policy));
	fence_full();
	w = lock ? load_acquire(&lock->word) : 0;
	if (lock && slot_state(w) == SHV_SLOT_LIVE && slot_gen(w) == (uint32_t)(k->link >> 32))
		return 0;
	return fail(-ESTALE, "%s: lock: the shared lock was freed", k->p->who);
}

static int write_block(struct making *k)
{
	char *block = k->tc->m->base + k->off;
	uint64_t *header = (uint64_t *)(void *)(block + k->s.lead);
	char *payload = (char *)(header + 1);
	struct shv_slot_shm *slot = slot_fast(k->tc->m->base, &k->tc->m->geo, k->slot);
	int r;

	if (k->p->kind == SHV_KIND_ARRAY || k->p->kind == SHV_KIND_RAW_ARRAY)
		store_relaxed((uint64_t *)(void *)block, k->p->n);
	r = make_lock(k, header);
	if (r)
		return r;
	if (k->p->kind == SHV_KIND_STRING) {
		struct shv_string_shm *string = (struct shv_string_shm *)(void *)payload;
		store_relaxed(&string->last, 0);
		store_relaxed(&string->text, text_first(k->tc, k->p->text, k->slot | (uint64_t)slot_gen(load_relaxed(&slot->word)) << 32));
	} else if (k->p->init && k->s.payload)
		memcpy(payload, k->p->init, k->s.payload);
	else
		wipe(k->tc, payload, k->s.payload < 8 ? 8 : k->s.payload);
	store_relaxed(header, hdr_make(k->slot, k->p->kind, k->policy, (unsigned)k->s.lead));
	if (k->policy == SHV_POL_SHARED) {
		r = shared_lock_stands(k, slot);
		if (r)
			return r;
	}
	CRASH_POINT("create-written");
	object_publish(k->tc, slot, what_make(k->off, k->type, k->p->kind, k->policy), k->size_class, (unsigned)k->s.lead);
	CRASH_POINT("create-published");
	return 0;
}

static int plan(struct making *k)
{
	const struct object_plan *p = k->p;
	int r = arena_valid(p->a, p->who, true);

	if (r)
		return r;
	k->policy = SHV_POL_RAW;
	if (p->lock) {
		r = lockspec_check(p->a, p->lock, &k->policy, &k->link, &k->ops, p->who);
		if (r)
			return r;
	}
	r = shape_of(p, k->policy, k->ops, &k->s);
	if (r)
		return r;
	k->tc = tc_get(p->a->m);
	if (!k->tc)
		return -errno;
	if ((uintptr_t)p->a->base == k->tc->base)
		store_relaxed(&k->tc->handle, p->a); /* known to be good: the short ways need not look again */
	if (!p->type)
		return 0;
	r = p->type->id ? p->type->id : type_id(p->a->m, p->type);
	if (r < 0)
		return r;
	k->type = (uint32_t)r;
	return 0;
}

void *object_make(const struct object_plan *p)
{
	struct making k = { .p = p };
	unsigned locked;
	int r;

	if (unlikely(!p->type && p->kind != SHV_KIND_LOCK))
		return fail_null(-EINVAL, "%s: type is NULL: pass SHV_INT or the like, or what shv_type_parse() returned", p->who);
	r = plan(&k);
	if (unlikely(r))
		return null_with(r);
	locked = policy_owns_word(k.policy);
	k.slot = object_reserve(k.tc, k.s.block, k.s.align, locked, &k.off, &k.size_class);
	if (unlikely(!k.slot))
		return NULL; /* errno and sentence are set */
	CRASH_POINT("create-reserved");
	r = write_block(&k);
	if (unlikely(r)) {
		object_unreserve(k.tc, k.slot, k.off, k.size_class);
		return null_with(r);
	}
	store_relaxed(&k.tc->thread->created, k.tc->thread->created + 1);
	PROBE4(create, p->a->base + k.off + k.s.lead + SHV_HEADER_SIZE, k.type, k.s.block, k.policy);
	return p->a->base + k.off + k.s.lead + SHV_HEADER_SIZE;
}

/* ---- finding ----------------------------------------------------------------------------------------------- */

const struct shv_type *object_type(const struct shv_object *o)
{
	const struct shv_type *t = type_basic(what_type(o->what));

	return t ? t : type_by_id(o->at.base, o->at.geo, what_type(o->what));
}

int object_bytes(const struct shv_object *o, uint64_t *bytes, const char *who)
{
	const struct shv_type *t = object_type(o);
	uint64_t n = object_len(o);

	if (unlikely(what_kind(o->what) == SHV_KIND_STRING))
		return fail(-EINVAL, "%s: the value is a string: use shv_string_get(), shv_string_set() and their kin", who);
	if (!t || __builtin_mul_overflow(n, (uint64_t)t->size, bytes) || *bytes > object_room(o))
		return fail(-EUCLEAN, "%s: the object's type or length in the arena is damaged", who);
	return 0;
}

int value_find(const void *p, struct shv_object *o, bool raw_too, const char *who)
{
	int r = object_find(p, o, who);
	unsigned k;

	if (unlikely(r))
		return r;
	k = what_kind(o->what);
	if (likely(k == SHV_KIND_VALUE || k == SHV_KIND_ARRAY))
		return 0;
	if (raw_too && (k == SHV_KIND_RAW || k == SHV_KIND_RAW_ARRAY))
		return 0;
	if (k == SHV_KIND_STRING)
		return fail(-EINVAL, "%s: %p is a string: use shv_string_get(), shv_string_set() and their kin", who, p);
	return fail(-EINVAL, "%s: %p is %s, not a value: use the functions for those", who, p,
		    k == SHV_KIND_LOCK ? "a lock object" : "a raw object");
}

int value_find_rw(const void *p, struct shv_object *o, struct shv_tc **tc, bool raw_too, const char *who)
{
	int r = value_find(p, o, raw_too, who);

	if (unlikely(r))
		return r;
	if (unlikely(!o->at.m))
		return object_fail(-EROFS, p, who);
	*tc = tc_get(o->at.m);
	return likely(*tc != NULL) ? 0 : -errno;
}

/* ---- freeing ------------------------------------------------------------------------------------------------- */

/* Its own lock, so that nobody is inside. Shared locks are not taken: they protect the content, not the object. */
static int lock_for_free(struct lock_target *t, const char *who)
{
	int r;

	if (t->policy == SHV_POL_RAW || t->policy == SHV_POL_NONE)
		return 0;
	if (t->word && lock_owner(load_relaxed(t->word)) == t->tc->me && lock_is_held(load_relaxed(t->word)))
		return 0; /* by this thread: that is as good */
	r = target_acquire(t, true, NULL, who);
	if (r == -EBUSY || r == -ETIMEDOUT)
		return fail(-EBUSY, "%s: somebody holds the value's lock: free it when nobody uses it", who);
	return r < 0 ? r : 0;
}

int object_free(void *p, unsigned kinds, const char *who)
{
	struct lock_target t = { .policy = SHV_POL_RAW };
	struct shv_object o;
	struct shv_tc *tc;
	bool waiters = false;
	int r = object_find(p, &o, who);

	if (unlikely(r))
		return r;
	if (unlikely(!(kinds >> what_kind(o.what) & 1)))
		return fail(-EINVAL, "%s: %p is not one that it frees: values go by shv_value_free(), raw objects by "
				     "shv_raw_free(), locks by shv_lock_free()", who, p);
	if (unlikely(!o.at.m))
		return object_fail(-EROFS, p, who);
	tc = tc_get(o.at.m);
	if (unlikely(!tc))
		return -errno;
	if (what_policy(o.what) != SHV_POL_RAW && what_policy(o.what) != SHV_POL_NONE && what_policy(o.what) != SHV_POL_SHARED) {
		r = lock_target(&o, tc, &t, false, who);
		if (!r)
			r = lock_for_free(&t, who);
		if (unlikely(r))
			return r;
	}
	if (tc_page(tc, what_offset(o.what)) != tc->own)
		note_away(tc);
	CRASH_POINT("free-locked");
	if (unlikely(object_withdraw(tc, &o))) {
		if (t.policy != SHV_POL_RAW)
			(void)target_release(&t, who);
		return object_fail(-ESTALE, p, who);
	}
	if (t.policy != SHV_POL_RAW)
		waiters = lock_retire(&t);
	fence_after_rmw();
	CRASH_POINT("free-retired");
	if (unlikely(what_kind(o.what) == SHV_KIND_STRING))
		text_forget(tc, object_payload(&o), o.index | (uint64_t)(slot_gen(o.word) - 1) << 32);
	content_changed(&o);
	if (unlikely(load_relaxed(o.header) & SHV_HDR_NAMED)) /* pairs: P-named */
		name_forget(tc, o.index | (uint64_t)(slot_gen(o.word) - 1) << 32);
	store_relaxed(&tc->thread->freed, tc->thread->freed + 1);
	PROBE2(free, p, o.index);
	object_send_home(tc, o.index, o.word, o.what, waiters);
	return 0;
}

/* Whoever sleeps until the content changes finds the object gone. */
static void tell_watchers(struct shv_tc *tc, struct shv_slot_shm *slot, uint64_t *header)
{
	struct shv_object o = { .at = { .base = (char *)tc->base, .geo = &tc->m->geo, .m = tc->m }, .slot = slot, .word = load_relaxed(&slot->word),
				.header = header };

	content_changed(&o);
}

/* The slot is HELD(me), but something came up that needs care: a name, or waiters. */
void free_with_care(struct shv_tc *tc, struct shv_slot_shm *slot, uint32_t index, uint64_t *header, uint64_t what, bool waiters)
{
	uint64_t gone = slot_with(load_relaxed(&slot->word), SHV_SLOT_GONE, tc->proc), lw;

	if (waiters) {
		lw = load_relaxed(header - 1);
		exchange_acq_rel(header - 1, ((lw & LOCK_SEQ_MASK) + LOCK_SEQ_ONE) | LOCK_OWNER_GONE);
		lock_wake(header - 1, INT32_MAX);
	}
	if (load_relaxed(header) & SHV_HDR_NAMED)
		name_forget(tc, index | (uint64_t)(slot_gen(gone) - 1) << 32);
	tell_watchers(tc, slot, header);
	store_release(&slot->word, gone);
	object_send_home(tc, index, gone, what, waiters);
}

/*
 * Not this process's own: on another's page LIVE becomes GONE(me), and the slot goes on the owner's list, with others. False: nothing was
 * done, or it is something else.
 */
static inline __attribute__((always_inline)) bool free_small_foreign(struct shv_tc *tc, void *p, unsigned policy, uint32_t index,
								     struct shv_slot_shm *slot, uint64_t word, uint64_t what)
{
	const uint32_t proc_bits = (uint32_t)(SHV_SLOT_PROC_MASK << SHV_SLOT_PROC_SHIFT);
	const uint32_t gone = (uint32_t)slot_word(SHV_SLOT_GONE, tc->proc, 0, 0, 0);
	uint64_t entry = tc_page(tc, what_offset(what)), next, w, seq;
	uint64_t *header = (uint64_t *)p - 1, *lock = header - 1;
	bool waiters = false;

	if (unlikely(((uint32_t)word & ~proc_bits) != (uint32_t)slot_word(SHV_SLOT_LIVE, 0, SMALL_CLASS(policy), SMALL_LEAD(policy), 0)) ||
	    unlikely(slot_gen(word) >= SHV_SLOT_GEN_MAX - 1) || unlikely(entry == tc->own))
		return false;
	note_away(tc);
	next = slot_with(word, SHV_SLOT_GONE, tc->proc) + (UINT64_C(1) << SHV_SLOT_GEN_SHIFT);
	if (SMALL_LOCKED(policy)) {
		if (unlikely(!small_take_for_good(tc, lock, slot, word, gone, &seq)))
			return false;
		w = exchange_acq_rel(lock, (seq + LOCK_SEQ_ONE) | LOCK_OWNER_GONE);
		fence_compiler();
		store_relaxed(&tc->thread->held, tc->thread->held - 1);
		waiters = w & LOCK_WAITERS;
		if (unlikely(waiters))
			lock_wake(lock, INT32_MAX);
	} else {
		if (unlikely(!cas64(&slot->word, &word, next)))
			return false;
		fence_after_rmw();
		CRASH_POINT("free-withdrawn-foreign");
	}
	if (unlikely(header_flags(header))) { /* pairs: P-named; pairs: P-watch */
		if (load_relaxed(header) & SHV_HDR_NAMED)
			name_forget(tc, index | (uint64_t)(slot_gen(next) - 1) << 32);
		tell_watchers(tc, slot, header);
	}
	store_relaxed(&tc->thread->freed, tc->thread->freed + 1);
	PROBE2(free, header + 1, index);
	if (unlikely(waiters) || unlikely(page_state(entry) != SHV_PG_OWNED) || unlikely(page_proc(entry) > tc->m->geo.last_process) ||
	    unlikely(tc->in_hook))
		object_send_home(tc, index, next, what, waiters);
	else
		chain_add(tc, index, (uint32_t *)p, entry);
	return true;
}

bool free_raw_foreign(struct shv_tc *tc, void *p, uint32_t index, struct shv_slot_shm *slot, uint64_t word, uint64_t what)
{
	return free_small_foreign(tc, p, SHV_POL_RAW, index, slot, word, what);
}

bool free_locked_foreign(struct shv_tc *tc, void *p, uint32_t index, struct shv_slot_shm *slot, uint64_t word, uint64_t what)
{
	return free_small_foreign(tc, p, SHV_POL_RECURSIVE, index, slot, word, what);
}
