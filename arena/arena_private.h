/* SPDX-License-Identifier: MIT */
/*
 * The process-local half of an arena, and what the files of arena/ offer each other and values/.
 *
 *   shv_arena   an attachment: one mapping. Ordinary memory; survives fork unchanged.
 *   shv_member  this process's membership in one memfd, shared by its attachments of it: primary mapping,
 *               descriptor, heap. Ordinary memory; what identifies the process is in `local`.
 *   shv_local   the part of a member that fork must not copy: a MADV_WIPEONFORK page. All zero means 'a new
 *               process: register first'.
 *   shv_tc      one thread's cache for one member: thread index, magazines. MADV_WIPEONFORK too; its size == 0 means
 *               'not valid here'. The thread's current one is tls_tc.
 *
 * Nothing here is in the memfd; see layout.h for that.
 */
#ifndef SHV_ARENA_PRIVATE_H
#define SHV_ARENA_PRIVATE_H

#include "arena/layout.h"
#include "base/atomic.h"
#include "base/errors.h"
#include "base/fault.h"
#include "locks/word.h"

#include <errno.h>
#include <shv/arena.h>
#include <shv/lock.h>
#include <shv/value.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HIDDEN __attribute__((visibility("hidden")))
#define TLS_FAST __thread __attribute__((tls_model("initial-exec")))

/* The geometry of an arena, copied from the superblock and checked when attaching: never read again from shared memory. */
struct shv_geo {
	uint64_t capacity, max_pages;
	uint32_t max_processes, max_threads, max_chunks, levels;
	uint32_t last_process;      /* slots up to this one: those of visitors (process.c) come after max_processes */
	uint64_t policies_off, graves_off, processes_off, threads_off, types_off, types_text_off, chunks_off, map_off, sums_off,
		data_off;
	uint64_t level_off[SHV_MAX_LEVELS];
	uint64_t level_nodes[SHV_MAX_LEVELS];
	/* The file can only grow; what was seen of it bounds every read, so that a lie in the superblock is no SIGBUS. */
	uint64_t seen_pages;        /* pool pages that the file was seen to have; atomic */
	int fd;
	dev_t dev;
	ino_t ino;
};

/* A lock of this process alone: 0 free, 1 taken, 2 taken and awaited. Lives in wiped pages, so that a child finds it free. */
struct shv_plock {
	uint32_t word;
};

struct shv_tc;
struct shv_heap;

#define SHV_RESERVE_PAGES 64u

struct shv_local {
	uint32_t registered;        /* 1: this process owns process slot `proc` in generation `gen` */
	uint32_t proc, gen;
	uint32_t ok;                /* 0 once the slot was found to be no longer ours */
	void *liveness;             /* page mapped through the description that holds the lock on byte `proc` */
	struct shv_plock slots_lock, drain_lock, tc_lock, heap_lock, reserve_lock;
	struct shv_plock serve_lock; /* shv_arena.service of this process's attachments; nothing is taken inside it */
	struct shv_tc *tcs;         /* all thread caches of this process and member; tc_lock */
	uint32_t *chunks;           /* chunks this process allocates from; slots_lock; malloc'ed */
	uint32_t chunks_n, chunks_cap;
	uint32_t chunk_next;        /* bump: next untouched slot of the newest chunk, its end */
	uint32_t chunk_end;
	uint32_t *free_slots;       /* free slots found in own chunks; slots_lock; malloc'ed */
	uint32_t free_n, free_cap;
	uint32_t slots_freed_seen, trim_seen;
	uint32_t reserve_page, reserve_n; /* pages kept for when the pool lock cannot be had; reserve_lock */
	unsigned heap_arena;        /* jemalloc arena index + 1, 0 = none yet */
	uint32_t threads;           /* thread caches alive; the last to go at process exit */
};

struct shv_heap_hooks;

struct shv_member {
	char *base;                 /* the primary mapping: where the heap's extents are */
	size_t size;
	struct shv_geo geo;
	int fd;
	unsigned refs;              /* attachments; registry lock */
	uint64_t serial;            /* no two members of a process and its forks have the same: their addresses may be used again */
	int given;                  /* from a server: the description for the first registration; -1 = none, or used */
	bool populate;
	char name[64];
	char server[256];           /* whom a forked child may ask for a description of its own; empty: nobody */
	struct shv_local *local;
	struct shv_heap_hooks *hooks; /* of the heap of this process or, just after fork, of the parent's */
	struct shv_member *next;    /* registry */
	const struct shv_lock_policy *policies[SHV_MAX_POLICIES]; /* registered in this process */
};

struct shv_arena {
	uint64_t magic;             /* ARENA_MAGIC while attached */
	char *base;
	size_t size;
	struct shv_geo geo;
	struct shv_member *m;       /* NULL: read-only */
	int fd;                     /* read-only attachments have their own; else m->fd */
	unsigned flags;
	bool frozen;                /* a snapshot of which only this process knows: its bytes do not change */
	struct shv_service *service; /* serve.c; reads as zero in a forked child; serve_lock */
	size_t service_size;
	char name[64];
	struct shv_arena *next;     /* registry */
};
#define ARENA_MAGIC UINT64_C(0x5a7e0a7e5a7e0a7e)

/* ---- thread caches ----------------------------------------------------------------------------- */

#define SHV_MAG_CLASSES 21u /* classes up to 1 KiB have magazines */
#define SHV_MAG_KEYS (SHV_MAG_CLASSES * 2u) /* with and without a lock word of their own */
#define SHV_SLOT_CACHE 128u

/* Slots in state HELD(me) whose block is kept: freed objects that wait for the next create of their size. */
struct shv_mag {
	uint32_t n, cap;            /* entries; room in slots[] */
	uint32_t misses;            /* objects that were wanted and not in it, less the room that it was given since */
	uint32_t spare;
	uint32_t *slots;            /* own mapping, wiped on fork like the rest */
};

/* A freed object whose lock had waiters: they may still look at the word, so the block stays out of use for a while. */
struct shv_waiting {
	uint32_t slot;
	uint64_t until;             /* CLOCK_MONOTONIC, ns */
};
#define SHV_QUARANTINE 64u
#define SHV_QUARANTINE_NS UINT64_C(1000000000)

struct shv_tc {
	/* What the short ways of values/fast.h use comes first. */
	uintptr_t base;             /* of the member's primary mapping */
	const struct shv_arena *handle; /* an attachment known to be good, mapped at `base`; NULL: ask */
	struct shv_thread_shm *thread;
	uint32_t me;                /* thread index + 1: the owner in lock words */
	uint32_t chunks_limit;      /* chunks, as far as this thread knows: others are looked up slowly */
	uint64_t low, span;         /* where headers' ends lie, for the same reason: offsets from low up to low + span */
	uint64_t *chunk_tab;
	char *data;                 /* address of pool page 0 */
	const uint64_t *pages;      /* the page map, counted from offset 0 of the arena instead of from pool page 0: may point before the map */
	uint64_t own;               /* page map entry of pages that are this process's */
	uint32_t live, held;        /* low halves of slot words: LIVE and HELD by this process, nothing else */
	/*
	 * The small value whose lock this thread took last, and its lock word then, if it was not taken again and nothing else was done to
	 * it since: releasing needs no look at either. NULL: look.
	 */
	const void *taken;
	uint64_t taken_word;
	size_t size;                /* of the mapping; 0: not valid (new process, or detached) */
	struct shv_member *m;
	uint32_t proc, gen;
	uint32_t ranks;             /* the library's own locks held: bit = enum shv_rank */
	uint32_t in_hook;           /* inside jemalloc: it must not be entered again */
	int heap_error;             /* why the last extent hook failed */
	uint32_t foreign;           /* pushes to other owners, for pacing probes */
	uint32_t trim_seen;
	unsigned tcache;            /* jemalloc explicit cache + 1, 0 = none */
	uint32_t policies_held;     /* of `held` in the thread's entry: locks with a policy of the program's */
	uint32_t slots_n, quarantine_n;
	uint32_t away;              /* noted in the process's entry, see note_away() */
	/* Faulting ahead: the extent that blocks come from, up to where it is backed, and the next step in pages. */
	uint64_t ahead_at, ahead_end;
	uint32_t ahead_pages;
	struct shv_tc *next, *prev; /* shv_local.tcs */
	struct shv_mag mags[SHV_MAG_KEYS];
	/* Small objects of one other process that this thread freed, linked as on that process's list: GONE(me) until they are pushed on it. */
	struct { uint64_t entry; uint32_t head, tail, n; } chain;
	uint32_t slots[SHV_SLOT_CACHE]; /* slots in state HELD(me) without a block */
	struct shv_waiting quarantine[SHV_QUARANTINE]; /* GONE(me), oldest first */
};

extern TLS_FAST struct shv_tc *shv_tls_tc HIDDEN; /* never NULL: a constant empty one stands in */

/* The cache of this thread for a member: made, or made anew after fork, if needed. NULL with errno. */
struct shv_tc *tc_get_slow(struct shv_member *m) HIDDEN;
/* jemalloc's explicit cache of tc, noted where fork does not wipe it. */
void tc_note_tcache(struct shv_tc *tc, unsigned tcache) HIDDEN;
static inline struct shv_tc *tc_get(struct shv_member *m)
{
	struct shv_tc *tc = shv_tls_tc;

	if (likely(tc->m == m && tc->size))
		return tc;
	return tc_get_slow(m);
}
void *shv_wiped_alloc(size_t size) HIDDEN; /* zeroed pages that read as zero again in a forked child; NULL */
void tc_forget_handle(struct shv_member *m, const struct shv_arena *a) HIDDEN; /* the attachment ends */
void tc_drop_all(struct shv_member *m) HIDDEN; /* detach: empties and invalidates every thread's cache of m */

/* ---- where a pointer belongs -------------------------------------------------------------------- */

struct shv_place {
	char *base;                 /* of the mapping that p lies in */
	const struct shv_geo *geo;
	struct shv_member *m;       /* NULL: a read-only mapping */
	struct shv_arena *a;        /* only set by arena_place_slow */
};
bool arena_place_slow(const void *p, struct shv_place *out) HIDDEN;
static inline bool arena_place(const void *p, struct shv_place *out)
{
	struct shv_tc *tc = shv_tls_tc;

	if (likely((uintptr_t)p - tc->base < tc->size)) {
		out->base = (char *)tc->base;
		out->m = tc->m;
		out->geo = &tc->m->geo;
		out->a = NULL;
		return true;
	}
	return arena_place_slow(p, out);
}
/*
 * shv_arena_attach(); given: NULL, or a description that nobody else has, which is taken (*given = -1) if it becomes this member's sign
 * of life; server: NULL, or whom forked children can ask for theirs.
 */
shv_arena *arena_attach_with(int fd, unsigned flags, int *given, const char *server) HIDDEN;
/* a must be an attachment: 0, or -EINVAL with a sentence naming `who`. rw: -EROFS for read-only ones. */
int arena_valid(const shv_arena *a, const char *who, bool rw) HIDDEN;

static inline struct shv_super_shm *super_of(const char *base)
{
	return (struct shv_super_shm *)(uintptr_t)base;
}
static inline struct shv_process_shm *process_at(const char *base, const struct shv_geo *g, uint32_t slot)
{
	return (struct shv_process_shm *)(uintptr_t)(base + g->processes_off) + slot;
}
static inline struct shv_thread_shm *thread_at(const char *base, const struct shv_geo *g, uint32_t index)
{
	return (struct shv_thread_shm *)(uintptr_t)(base + g->threads_off) + index;
}
static inline uint64_t *page_entry(const char *base, const struct shv_geo *g, uint64_t page)
{
	return (uint64_t *)(uintptr_t)(base + g->map_off) + page;
}
static inline uint64_t *chunk_entry(const char *base, const struct shv_geo *g, uint32_t chunk)
{
	return (uint64_t *)(uintptr_t)(base + g->chunks_off) + chunk;
}
static inline char *page_addr(const char *base, const struct shv_geo *g, uint64_t page)
{
	return (char *)(uintptr_t)(base + g->data_off + (page << SHV_PAGE_SHIFT));
}
/* Pool page of an offset; only for offsets at or past data_off. */
static inline uint64_t page_of(const struct shv_geo *g, uint64_t off)
{
	return (off - g->data_off) >> SHV_PAGE_SHIFT;
}
uint64_t pool_pages_slow(const char *base, const struct shv_geo *g, uint64_t claimed) HIDDEN;
/* Pages of the pool that exist, never more than geometry and file have. */
static inline uint64_t pool_pages(const char *base, const struct shv_geo *g)
{
	uint64_t n = load_acquire(&super_of(base)->pool_pages);

	return likely(n <= load_relaxed(&g->seen_pages)) ? n : pool_pages_slow(base, g, n);
}
static inline uint32_t chunks_high(const char *base, const struct shv_geo *g)
{
	uint64_t n = load_acquire(&super_of(base)->chunks_high);

	return n < g->max_chunks ? (uint32_t)n : g->max_chunks;
}

/*
 * The slot of an index that may be garbage: NULL if there is no such slot. Checks the chunk's pages against the page map, so
 * that a stale chunk entry is not followed. slot_fast() trusts an index that was validated or is our own.
 */
struct shv_slot_shm *slot_checked(const char *base, const struct shv_geo *g, uint32_t index) HIDDEN;
static inline struct shv_slot_shm *slot_fast(const char *base, const struct shv_geo *g, uint32_t index)
{
	uint32_t page = SHV_CHUNK_PAGE(load_acquire(chunk_entry(base, g, index / SHV_SLOTS_PER_CHUNK)));

	return (struct shv_slot_shm *)(uintptr_t)page_addr(base, g, page) + index % SHV_SLOTS_PER_CHUNK;
}

/* An object, found from a payload pointer and validated against its slot. */
struct shv_object {
	struct shv_place at;
	struct shv_slot_shm *slot;
	uint64_t word, what;        /* of the slot when it was looked at */
	uint64_t *header;           /* in the block */
	uint32_t index;
};
/* 0; -EINVAL: p is not the payload of any object; -ESTALE: it was freed. The sentence names `who`. */
int object_find_slow(const void *p, struct shv_object *o, const char *who) HIDDEN;

/*
 * The first look at a pointer: it lies in the mapping that this thread used last, and what is in front of it names a slot that may
 * exist. *off: where it lies; *h: that header.
 */
static inline __attribute__((always_inline)) bool header_in_reach(const struct shv_tc *tc, const void *p, uint64_t *off, uint64_t *h)
{
	*off = (uint64_t)((uintptr_t)p - tc->base);
	if (unlikely(*off - tc->low >= tc->span) || unlikely(*off & 7))
		return false;
	*h = load_relaxed((const uint64_t *)p - 1);
	return likely(hdr_slot(*h) / SHV_SLOTS_PER_CHUNK < tc->chunks_limit);
}

/* The page map's entry for an offset that lies in the pool. */
static inline uint64_t tc_page(const struct shv_tc *tc, uint64_t off)
{
	return load_acquire(&tc->pages[off >> SHV_PAGE_SHIFT]);
}

/* A slot in reach of this thread's knowledge. A chunk without pages leads to pool page 0, which is zero and shows no live slot. */
static inline struct shv_slot_shm *tc_slot(const struct shv_tc *tc, uint32_t i)
{
	/* The low half of the entry, SHV_CHUNK_PAGE(); the format is little-endian. */
	uint64_t page = load_acquire((const uint32_t *)(const void *)&tc->chunk_tab[i / SHV_SLOTS_PER_CHUNK]);

	return (struct shv_slot_shm *)(void *)(tc->data + (page << SHV_PAGE_SHIFT)) + i % SHV_SLOTS_PER_CHUNK;
}

/*
 * The common case: a live object in the mapping that this thread used last. Some 25 instructions, two cache lines: header and
 * slot. What it cannot confirm it leaves to object_find_slow(), so it needs no error codes. Indices are bounded by what the
 * thread has seen to exist; a chunk without pages leads to pool page 0, which is zero and thus shows no live slot.
 */
static inline bool object_find_fast(const void *p, struct shv_object *o)
{
	struct shv_tc *tc = shv_tls_tc;
	uint64_t off, h, word, what;
	struct shv_slot_shm *s;

	if (unlikely(!header_in_reach(tc, p, &off, &h)))
		return false;
	s = tc_slot(tc, hdr_slot(h));
	word = load_acquire(&s->word); /* pairs: P-publish */
	what = load_relaxed(&s->what);
	if (unlikely(slot_state(word) != SHV_SLOT_LIVE || what_offset(what) + slot_lead(word) + SHV_HEADER_SIZE != off ||
		     what_kind(what) == SHV_KIND_PART))
		return false;
	o->at.base = (char *)tc->base;
	o->at.m = tc->m;
	o->at.geo = &tc->m->geo;
	o->at.a = NULL;
	o->slot = s;
	o->word = word;
	o->what = what;
	o->header = (uint64_t *)(uintptr_t)p - 1;
	o->index = hdr_slot(h);
	return true;
}

static inline int object_find(const void *p, struct shv_object *o, const char *who)
{
	return likely(object_find_fast(p, o)) ? 0 : object_find_slow(p, o, who);
}
int object_fail(int code, const void *p, const char *who) HIDDEN;

/*
 * Set a flag in the header of an object that others may free meanwhile: only if what is there is still its header. False: it is
 * gone.
 */
static inline bool object_mark(const struct shv_object *o, uint64_t flag)
{
	for (;;) {
		uint64_t h = load_acquire(o->header);

		if (load_acquire(&o->slot->word) != o->word)
			return false;
		if ((h & flag) || cas64(o->header, &h, h | flag))
			return true;
	}
}

/* Take it away again, if it is there. */
static inline void object_unmark(const struct shv_object *o, uint64_t flag)
{
	for (;;) {
		uint64_t h = load_acquire(o->header);

		if (load_acquire(&o->slot->word) != o->word || !(h & flag) || cas64(o->header, &h, h & ~flag))
			return;
	}
}

static inline uint64_t object_off(const struct shv_object *o)
{
	return what_offset(o->what);
}
static inline uint64_t *object_lock_word(const struct shv_object *o)
{
	return o->header - 1;
}

/* ---- memfd.c, arena.c ----------------------------------------------------------------------------- */

int memfd_make(const char *name, size_t size) HIDDEN;                       /* sealed, 0600; fd or negative errno */
int memfd_make_labelled(const char *label, size_t size) HIDDEN;             /* the same, its link in /proc reads `label` */
int memfd_check(int fd, bool rdonly, uint64_t *size, dev_t *dev, ino_t *ino) HIDDEN; /* is it ours, sealed against shrinking */
int memfd_grow(struct shv_member *m, uint64_t size) HIDDEN;                 /* at least to size; 0 or negative errno */
int memfd_fd(struct shv_member *m) HIDDEN;                                  /* m->fd, or another one if somebody closed it */
bool memfd_is(int fd, const struct shv_geo *g) HIDDEN;                      /* does the descriptor still lead to the arena */
int memfd_punch(struct shv_member *m, void *addr, size_t size) HIDDEN;      /* give pages back; contents become zero */
int geo_make(struct shv_geo *g, struct shv_super_const *c, size_t capacity, unsigned max_processes) HIDDEN;
void geo_seal(struct shv_super_const *c) HIDDEN;                            /* the checksum, after all else was filled in */
int geo_check(struct shv_geo *g, const struct shv_super_const *shared, uint64_t file_size) HIDDEN; /* 0, -EBADMSG, -EPROTONOSUPPORT, -EUCLEAN */
uint64_t fnv64(const void *p, size_t n) HIDDEN;
void plock_acquire(struct shv_plock *l) HIDDEN;
bool plock_try(struct shv_plock *l) HIDDEN;
void plock_release(struct shv_plock *l) HIDDEN;

/* ---- process.c, thread.c --------------------------------------------------------------------------- */

/* Make this process a member: 0, or negative errno. Called by the first slow path of a process (also after fork). */
/* Ends the service of an attachment, if this process has one for it: false if not. */
bool serve_end(struct shv_arena *a) HIDDEN;
/* Ask the server at path for descriptors: one for reading, else two, whose descriptions nobody else has. 0; negative errno, and none. */
int serve_ask(const char *path, bool rdonly, int *fds) HIDDEN;

int process_register(struct shv_member *m) HIDDEN;
int process_register_visitor(struct shv_member *m) HIDDEN;
/* Our own slot is still ours: 0, or -ENOTRECOVERABLE. */
int process_ours(struct shv_member *m) HIDDEN;
enum shv_liveness { LIVENESS_DEAD, LIVENESS_ALIVE, LIVENESS_UNKNOWN };
/* Whether slot's process lives, by the kernel's word. Any attachment; 0 descriptors written. */
enum shv_liveness process_probe(int fd, uint32_t slot) HIDDEN;
enum shv_liveness member_probe(struct shv_member *m, uint32_t slot) HIDDEN;
void process_leave(struct shv_member *m) HIDDEN;                            /* gives up liveness; state DEAD */
void name_copy(char *to, size_t size, const char *from, size_t n) HIDDEN;    /* at most n bytes, cut to size, NUL behind them */
uint64_t process_start_time(pid_t pid) HIDDEN;                              /* clock ticks since boot, 0 unknown; pid 0 = self */
/* Is the thread of a lock word's owner field gone? fills *out if it is not NULL and the thread is known. */
bool owner_dead(struct shv_member *m, uint32_t owner, struct shv_holder *out) HIDDEN;
/* Does the process in that slot, of our pid namespace, no longer have the thread? */
bool thread_gone(struct shv_member *m, uint32_t slot, int32_t tid) HIDDEN;
/* Take the state of a policy of the program's, if it is free now: as its acquire() returns; -EBUSY. */
int policy_try(const struct shv_lock_policy *ops, void *state) HIDDEN;
/* The member that a policy of the program's says holds its state, and whether it lives. False: nobody, or not known. */
bool policy_holder(struct shv_member *m, const struct shv_lock_policy *ops, void *state, struct shv_holder *h) HIDDEN;
bool owner_describe(const char *base, const struct shv_geo *g, uint32_t owner, struct shv_holder *out) HIDDEN;
bool grave_describe(const char *base, const struct shv_geo *g, uint32_t number, struct shv_holder *out) HIDDEN;
uint32_t grave_of(struct shv_member *m, const struct shv_holder *h) HIDDEN;  /* number for somebody dead (20 bits) */
uint32_t grave_dig(struct shv_member *m, uint32_t owner) HIDDEN;            /* the same for a dead owner */
int thread_register(struct shv_member *m, struct shv_tc *tc) HIDDEN;        /* an entry in the thread table: 0, -EUSERS */

/* ---- system locks ------------------------------------------------------------------------------------ */

enum shv_rank { RANK_NONE = 0, RANK_RECOVERY, RANK_NAMES, RANK_TYPES, RANK_POLICIES, RANK_POOL };
/* Take one of the library's own locks; after a dead holder its intent is redone first. 0 or negative errno. */
int sys_lock(struct shv_member *m, enum shv_rank rank) HIDDEN;
int sys_lock_for(struct shv_member *m, enum shv_rank rank, unsigned milliseconds) HIDDEN; /* also -ETIMEDOUT */
void sys_unlock(struct shv_member *m, enum shv_rank rank) HIDDEN;

/* ---- pool.c --------------------------------------------------------------------------------------------- */

/* n pages, aligned to a power of two of pages; become `entry`. 0 and *page; -ENOSPC, -ENOMEM, -ENOTRECOVERABLE. */
int pool_alloc(struct shv_member *m, uint32_t n, uint32_t align, uint64_t entry, uint64_t *page) HIDDEN;
/* The same, committed together with up to 3 further words (offset, after-value). {PAGE} in a value is not replaced: use fill(). */
struct shv_word_write {
	uint64_t off, value;
};
typedef unsigned (*pool_fill)(void *ctx, uint64_t page, struct shv_word_write *w); /* how many words, given the page */
int pool_alloc_with(struct shv_member *m, uint32_t n, uint32_t align, uint64_t entry, uint64_t *page, pool_fill fill,
		    void *ctx) HIDDEN;
/* Pages page..page+n-1 become `entry`, only those that are `expected` now (mask: bits that count). Commits words too. */
int pool_set(struct shv_member *m, uint64_t page, uint64_t n, uint64_t expected, uint64_t mask, uint64_t entry,
	     const struct shv_word_write *w, unsigned words) HIDDEN;
/* Punched, then free. The caller owns them (entries are `expected` under mask). */
int pool_free(struct shv_member *m, uint64_t page, uint64_t n, uint64_t expected, uint64_t mask) HIDDEN;
void pool_redo(struct shv_member *m) HIDDEN;                                /* with the pool lock held */
void pool_format(char *base, const struct shv_geo *g) HIDDEN;               /* a new arena */
uint64_t pool_rebuild_sums(char *base, const struct shv_geo *g, uint64_t pages) HIDDEN;

/* ---- heap.c ------------------------------------------------------------------------------------------------ */

/* A block of a size class: its offset, 0 with errno. zeroed: whether it is known to be zero. */
uint64_t heap_alloc(struct shv_tc *tc, uint64_t size, uint32_t align, unsigned *size_class) HIDDEN;
void heap_free(struct shv_tc *tc, uint64_t off, unsigned size_class) HIDDEN; /* a block on our own pages */
void heap_trim(struct shv_tc *tc) HIDDEN;                                   /* this thread's cache and the arena's */
bool heap_thread_begin(void) HIDDEN;                                        /* before a thread's first use; false: no memory */
void heap_thread_end(struct shv_tc *tc) HIDDEN;
void heap_retire(struct shv_member *m) HIDDEN;                              /* from here on its hooks touch nothing */
void heap_destroy(struct shv_member *m) HIDDEN;                             /* the pages are not touched */
void heap_after_fork(struct shv_member *m) HIDDEN;                          /* forget the parent's arena */

/* ---- directory.c --------------------------------------------------------------------------------------------- */

/* A slot in state HELD(me), without a block; 0 with errno. */
uint32_t slot_take(struct shv_tc *tc) HIDDEN;
void slot_give(struct shv_tc *tc, uint32_t index) HIDDEN;                   /* HELD(me) without a block: FREE or back to the cache */
/*
 * An object in state HELD(me): slot and block, not yet written. size: block bytes. locked: 1 = has a lock word of its own, so that
 * such blocks are used again for such objects only. 0 with errno.
 */
uint32_t object_reserve(struct shv_tc *tc, uint64_t size, uint32_t align, unsigned locked, uint64_t *off, unsigned *size_class) HIDDEN;
/* Taken back before it was published. */
void object_unreserve(struct shv_tc *tc, uint32_t index, uint64_t off, unsigned size_class) HIDDEN;
/* HELD(me) becomes LIVE; block and `what` are written. Returns the generation. */
static inline uint32_t object_publish(struct shv_tc *tc, struct shv_slot_shm *slot, uint64_t what, unsigned size_class, unsigned lead)
{
	uint32_t gen = slot_gen(load_relaxed(&slot->word));

	store_relaxed(&slot->what, what);
	/* pairs: P-publish. Nobody else changes a HELD slot of a living process, so a store does. */
	store_release(&slot->word, slot_word(SHV_SLOT_LIVE, tc->proc, size_class, lead, gen));
	return gen;
}
/*
 * Before this process makes a slot GONE(me) that may be in another's chunk: from now on its death, or its leaving, is a matter of all
 * slots, not of those in its own chunks.
 */
static inline void note_away(struct shv_tc *tc)
{
	if (unlikely(!tc->away)) {
		tc->away = 1;
		store_release(&process_at(tc->m->base, &tc->m->geo, tc->proc)->away, 1);
		CRASH_POINT("away-noted");
	}
}

/*
 * Withdraw a LIVE object whose slot word was `word` (CAS to GONE(me), generation + 1), then bring block and slot home: own
 * magazine, owner's list, or the orphan path. -ESTALE if somebody was faster. quarantine: keep the block out of use for a second.
 */
int object_withdraw(struct shv_tc *tc, struct shv_object *o) HIDDEN;
void object_send_home(struct shv_tc *tc, uint32_t index, uint64_t word, uint64_t what, bool wait) HIDDEN;
#define CHAIN_MOST 32u /* small objects of another process that one push takes to its list */
void chain_begin(struct shv_tc *tc, uint32_t index, uint32_t *link, uint64_t entry) HIDDEN;
void chain_push(struct shv_tc *tc) HIDDEN; /* what was added goes on its owner's list now */
/* For a withdrawn small object on a page that `entry` says is another living process's; link: where such a list goes on. */
static inline void chain_add(struct shv_tc *tc, uint32_t index, uint32_t *link, uint64_t entry)
{
	if (unlikely(!tc->chain.n) || unlikely(tc->chain.entry != entry)) {
		chain_begin(tc, index, link, entry);
		return;
	}
	store_relaxed(link, tc->chain.head);
	CRASH_POINT("chain-added");
	tc->chain.head = index;
	if (unlikely(++tc->chain.n == CHAIN_MOST))
		chain_push(tc);
}
void directory_drain(struct shv_tc *tc) HIDDEN;                             /* blocks that others freed, sweep and trim requests */
void directory_flush(struct shv_tc *tc, bool all) HIDDEN;                   /* magazines and slot cache back */
void directory_release_chunks(struct shv_tc *tc) HIDDEN;                    /* chunks without a used slot go back */
bool shv_chunk_floor_up(uint64_t *entry, const struct shv_slot_shm *slots) HIDDEN;
/* Everything a slow path owes others, now and then: drain, sweep, trim requests. */
void slow_path(struct shv_tc *tc) HIDDEN;

/* ---- recover.c ----------------------------------------------------------------------------------------------- */

int recover_all(struct shv_member *m, struct shv_recovery *out) HIDDEN;     /* probes everybody; number recovered or negative */
int recover_process(struct shv_member *m, uint32_t slot, struct shv_recovery *out) HIDDEN;
int recover_self(struct shv_member *m) HIDDEN;                              /* detach */
void recover_redo(struct shv_member *m) HIDDEN;                             /* with the recovery lock held, after a dead holder */
/* The pages of a chunk without a used slot go back; owner: the page entry that it has. 0 or negative errno. */
int recover_chunk_drop(struct shv_member *m, uint32_t chunk, uint32_t page, uint64_t owner) HIDDEN;
/* A visitor (process.c) goes: nothing of it is left but its table entries. */
void recover_visitor_leaves(struct shv_member *m, struct shv_tc *tc) HIDDEN;
/* Free a GONE(me) slot whose block lies on orphaned pages. Called with no lock held. */
void recover_free_orphan(struct shv_tc *tc, uint32_t index) HIDDEN;
void recover_reap_locks(struct shv_member *m) HIDDEN;                       /* condemned lock objects that nobody names */

/* ---- text.c: the texts of strings ---------------------------------------------------------------------------- */

/* A text that nobody sees yet. */
struct shv_text {
	uint32_t slot;
	unsigned size_class;
	uint64_t off;      /* of the block */
	uint64_t bytes;
	char *content;     /* bytes, to be written by the caller; the zero item behind is there */
	bool published;
};
/* Room for a text of `bytes`, items of `item` bytes. 0 or negative errno. */
int text_reserve(struct shv_tc *tc, uint64_t bytes, unsigned item, struct shv_text *t, const char *who) HIDDEN;
/* A string that is still HELD gets its first text: what is to be stored in it. */
shv_ref text_first(struct shv_tc *tc, struct shv_text *t, shv_ref parent) HIDDEN;
/*
 * The string's text becomes t, if it still is `old`, which was read while the string lived. False: it is not; t stays reserved, to be
 * tried again or given up. A string that is changed under its lock always succeeds.
 */
bool text_commit(struct shv_tc *tc, struct shv_text *t, shv_ref parent, struct shv_string_shm *s, shv_ref old) HIDDEN;
/* t that was not committed, and is not tried again. */
void text_give_up(struct shv_tc *tc, struct shv_text *t) HIDDEN;
/* The string is being freed (GONE(me)): so are its texts. */
void text_forget(struct shv_tc *tc, struct shv_string_shm *s, shv_ref parent) HIDDEN;
/*
 * Up to `size` bytes of the text `ref` of string `parent`, and its whole length in *bytes. 0; -EAGAIN: it was replaced meanwhile,
 * look again; -EUCLEAN. Takes no lock and writes nothing.
 */
int text_read(const char *base, const struct shv_geo *g, shv_ref ref, shv_ref parent, void *out, uint64_t size, uint64_t *bytes) HIDDEN;
/* Where the content of a text is that belongs to a live string: offset and bytes. The same errors. */
int text_where(const char *base, const struct shv_geo *g, shv_ref ref, shv_ref parent, uint64_t *off, uint64_t *bytes) HIDDEN;
/* Recovery: for_slots() over all before anything is counted. Texts that q's death left to nobody become GONE(q). */
void text_settle(struct shv_member *m, uint32_t q, struct shv_slot_shm *s, uint32_t index, bool (*may)(void *, uint64_t off, uint64_t bytes),
		 void *ctx) HIDDEN;

/*
 * Bytes that a user policy's state takes in front of the header. It ends where the header begins, 8 before the payload, so its
 * start is aligned if this is so.
 */
static inline size_t policy_state_bytes(uint32_t size, uint32_t align)
{
	size_t to = align <= 8 ? 8 : align, pad = align <= 8 ? 0 : 8;

	return ((size + pad + to - 1) & ~(to - 1)) - pad;
}

/* ---- table.c: types, policies, names ------------------------------------------------------------------------- */

struct shv_type_text {
	const char *format, *name;  /* within the mapping; NUL-terminated within bounds (checked) */
	uint64_t size;
	uint32_t align;
};
/* Does a type of the arena have the layout of the one that ctx stands for? (What texts mean is known above.) */
typedef bool shv_type_same_fn(const struct shv_type_text *known, const void *ctx);
/*
 * Id of a made type in the arena, interned by format and name ("" = none): >= SHV_TYPE_FIRST. -EPROTONOSUPPORT (the name is known
 * with another layout, says `same`), or another negative errno.
 */
int table_type_intern(struct shv_member *m, const struct shv_type_text *type, shv_type_same_fn *same, const void *ctx) HIDDEN;
int table_type_read(const char *base, const struct shv_geo *g, uint32_t id, struct shv_type_text *out) HIDDEN; /* 0, -ENOENT, -EUCLEAN */
int table_policy_register(struct shv_member *m, const struct shv_lock_policy *p) HIDDEN; /* index, or negative errno */
int table_policy_read(const char *base, const struct shv_geo *g, unsigned index, struct shv_policy_shm *out) HIDDEN;
uint32_t name_hash_text(const char *s) HIDDEN;                           /* as the high half of an entry has them */
uint32_t name_hash_target(shv_ref ref) HIDDEN;
int name_find(const char *base, const struct shv_geo *g, const char *name, shv_ref *ref) HIDDEN; /* 0, -ENOENT */
int name_publish(struct shv_tc *tc, struct shv_object *o, const char *name) HIDDEN;
int name_unpublish(struct shv_tc *tc, const char *name) HIDDEN;
void name_forget(struct shv_tc *tc, shv_ref ref) HIDDEN;                    /* the object is being freed */
void name_redo(struct shv_member *m) HIDDEN;                                /* with the names lock held */
void name_sweep(struct shv_member *m) HIDDEN;                               /* names of objects that are gone; names lock not held */
/* Walk: 1 and *part (its slot is LIVE when looked at), 0 end. */
int name_next(const char *base, const struct shv_geo *g, uint64_t *cursor, char *name, size_t size, shv_ref *ref) HIDDEN;
int name_of(const char *base, const struct shv_geo *g, shv_ref ref, char *name, size_t size) HIDDEN; /* length, -ENOENT */

#endif /* SHV_ARENA_PRIVATE_H */
