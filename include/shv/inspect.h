/* SPDX-License-Identifier: MIT */
/*
 * Inspection: what is in an arena, read without the help of those who use it.
 *
 * All of this works on a read-only attachment, takes no lock, changes no byte, reads only pages that are in
 * use, and trusts no offset that it has not checked. The arena may change meanwhile: each item is a consistent
 * copy, the sum of them is not a moment's picture.
 *
 * Structures are filled by the callee and begin with their size: set it to sizeof, or to 0 (what version 0.1
 * had). Names and commands in them end in NUL, and may otherwise hold any byte that some process put there.
 *
 * Iterators: set the cursor to 0, call until the result is not 1. 1 = item, 0 = end, negative = error: -EINVAL,
 * -EUCLEAN (damage that hides the rest), -ENOTRECOVERABLE. What is there through the whole walk is seen exactly
 * once; what comes or goes meanwhile may be missed or seen. An object whose own numbers contradict each other
 * is left out: shv_check() tells of it.
 *
 * Whether a process lives is asked of the kernel when a walk begins, and again where the answer is over 0.1 s
 * old. If the program has closed the arena's descriptor the kernel cannot be asked, and every member counts as
 * alive.
 *
 * Concurrency: any thread of any attached process, at any time; each cursor belongs to one thread at a time.
 */
#ifndef SHV_INSPECT_H
#define SHV_INSPECT_H

#include <shv/arena.h>
#include <shv/export.h>
#include <shv/lock.h>
#include <shv/type.h>
#include <shv/value.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

SHV_BEGIN_DECLS

/* Totals of an arena. */
struct shv_stat {
	size_t size;
	char name[64];            /* of the arena */
	uint8_t uuid[16];         /* made when it was created */
	uint32_t format;          /* version of the memory format */
	uint32_t page_size;       /* bytes of a page of the pool */
	uint64_t created;         /* CLOCK_REALTIME, ns since 1970 */
	uint64_t capacity;        /* bytes of address space */
	uint64_t file_size;       /* bytes of the memfd, holes included */
	uint64_t bytes_resident;  /* memory that the memfd occupies (st_blocks) */
	uint64_t bytes_live;      /* blocks of live objects and parts, each rounded up to its size class */
	uint64_t bytes_payload;   /* payloads of objects alone; of strings, their texts */
	uint64_t objects;         /* live objects of all kinds, parts not counted */
	uint64_t values;          /* of these: single values */
	uint64_t raws;            /* raw values and raw arrays */
	uint64_t arrays;          /* arrays that are not raw */
	uint64_t strings;
	uint64_t locks;           /* lock objects, freed ones that are still used included */
	uint64_t parts;           /* texts and names, which belong to objects */
	uint64_t held;            /* slots reserved in caches or under construction */
	uint64_t going;           /* slots withdrawn, on their way to their owner; up to 31 small ones may wait in a thread for its next slow path */
	uint64_t slots;           /* directory slots in all */
	uint64_t names;           /* published names */
	uint64_t pages;           /* pages of the pool up to its present end */
	uint64_t pages_free, pages_owned, pages_orphaned, pages_slots, pages_system;
	uint32_t processes;       /* attached and alive */
	uint32_t processes_dead;  /* dead and not yet recovered */
	uint32_t max_processes;
	uint32_t threads;         /* registered */
	uint64_t by_policy[8];    /* values, arrays and strings by enum shv_lock_kind; [6]: all user-supplied policies */
	uint64_t snapshot_taken;  /* CLOCK_REALTIME, ns; 0: a live arena */
	uint64_t snapshot_torn;   /* objects that may be half-written in the snapshot: their lock was held all the time */
	uint64_t snapshot_left_out; /* objects that were freed (or found damaged) while it was made */
};
/* Fill *out: O(slots + pages). Returns: 0, -EINVAL, -EBADF (the program closed the arena's descriptor). Since: 0.1 */
SHV_API int shv_stat(shv_arena *a, struct shv_stat *out);

/* One live object. */
struct shv_value_info {
	size_t size;
	shv_ref ref;
	uint64_t offset;          /* of the payload, from the start of the arena */
	enum shv_kind kind;
	uint32_t type;            /* id in the arena */
	uint32_t item_size;       /* bytes of one item */
	uint64_t bytes;           /* of the payload */
	uint64_t block_bytes;     /* of the block, header and lock included */
	uint64_t len;             /* items; 1 for single values */
	enum shv_lock_kind lock;  /* policy; LOCK_POLICY for user-supplied ones */
	char policy[32];          /* name of the policy: "recursive", "plain", ... or the user's */
	char type_name[64];       /* C name or format, cut */
	char format[64];          /* PEP 3118, cut */
	shv_ref lock_ref;         /* of the shared lock, else 0 */
	bool held;                /* a thread has its lock (built-in policies) */
	bool waiters;             /* somebody may be waiting */
	bool abandoned;           /* the thread that had it is gone, and the next taker will be told; then not held */
	bool condemned;           /* a lock object that was freed and is still used */
	uint32_t owner;           /* process slot that owns its page; UINT32_MAX: orphaned */
	uint32_t creator;         /* process slot that made it */
	bool creator_alive;       /* the same process is still there */
	bool named;               /* has a name: see shv_value_name() */
	uint32_t acquisitions;    /* of its lock (built-in policies), recursion apart, modulo 2^32. Does not start from
				     0: the difference of two looks is what counts */
	struct shv_holder holder; /* if held, who holds the lock; if abandoned, who did; pid 0: not known any more */
};
/* The next live value, raw, array, string or lock object. Since: 0.1 */
SHV_API int shv_value_next(shv_arena *a, uint64_t *cursor, struct shv_value_info *out);
/* The same of one object. Returns: 0; -ESTALE, -EINVAL, -EUCLEAN. Since: 0.1 */
SHV_API int shv_value_describe(shv_arena *a, shv_ref ref, struct shv_value_info *out);
/*
 * Copy up to `size` payload bytes of an object as one consistent piece where its lock allows that (as shv_peek()).
 * Returns: bytes copied; -ESTALE, -EINVAL, -EUCLEAN. *torn: out, may be NULL: whether a writer held the lock meanwhile.
 * What is written without the lock may be torn unseen, but for 1, 2, 4 and 8 bytes, which are one access.
 * Since: 0.1
 */
SHV_API ssize_t shv_value_bytes(shv_arena *a, shv_ref ref, void *buf, size_t size, bool *torn);
/* The name of an object: its length, as snprintf; -ENOENT (none), -ESTALE, -EINVAL, -EUCLEAN. Since: 0.1 */
SHV_API ssize_t shv_value_name(shv_arena *a, shv_ref ref, char *buf, size_t size);
/*
 * Print an object's content as text ("42", "[1, 2, 3]", "'A'", "{x=1, y=2}"; nothing for a lock object). Strings are shown
 * whole, arrays of characters up to their first zero. At
 * most `size` bytes, NUL included. Returns: the length, as snprintf; where that is far beyond `size` it is not
 * found out, and the result is some length >= size (with size 0, lengths up to a million are exact). Negative as
 * shv_value_bytes(), and -ENOMEM. Since: 0.1
 */
SHV_API ssize_t shv_value_text(shv_arena *a, shv_ref ref, char *buf, size_t size);

/* One lock: of a value, or a lock object. Only built-in policies have all the fields. */
struct shv_lock_info {
	size_t size;
	shv_ref ref;              /* of the lock object, or of the value that has the lock */
	bool object;              /* a lock object */
	enum shv_lock_kind lock;
	char policy[32];
	bool held, waiters, abandoned, condemned;
	uint32_t depth;           /* how many times it is held */
	uint32_t acquisitions;    /* as in shv_value_info: only differences count */
	struct shv_holder holder; /* if held, who; if abandoned, who held it; pid 0: not known any more */
};
/* The next lock: lock objects, and the own locks of values (not those that use a shared one). Since: 0.1 */
SHV_API int shv_lock_next(shv_arena *a, uint64_t *cursor, struct shv_lock_info *out);

/* One attached process, or a dead one that nobody has recovered yet. */
struct shv_process_info {
	size_t size;
	uint32_t slot;
	uint32_t generation;
	pid_t pid;                /* as it saw itself */
	uint64_t start_time;      /* clock ticks since boot */
	uint64_t pid_namespace;   /* inode number of its pid namespace */
	char command[16];
	bool alive;
	bool self;                /* this process */
	uint32_t threads;
	uint32_t locks_held;      /* sum over its threads, as they note it (handed-off locks included) */
	uint64_t pages;           /* it owns */
	uint64_t created, freed;  /* objects, as it counts them: approximate */
	uint64_t attached;        /* CLOCK_REALTIME, ns */
	uint64_t bytes;           /* of its pages */
};
/* The next process. O(pages) for the first item, which fills `pages` for all. Since: 0.1 */
SHV_API int shv_process_next(shv_arena *a, uint64_t *cursor, struct shv_process_info *out);

enum shv_page_state {
	SHV_PAGE_FREE = 0,
	SHV_PAGE_OWNED = 1,    /* of a process */
	SHV_PAGE_ORPHAN = 2,   /* of a dead process, with live objects on it */
	SHV_PAGE_SLOTS = 3,    /* directory slots */
	SHV_PAGE_SYSTEM = 4    /* tables of names and types */
};
/* A run of equal pages. */
struct shv_run_info {
	size_t size;
	uint64_t page, pages;     /* first, how many */
	enum shv_page_state state;
	uint32_t owner;           /* process slot, or UINT32_MAX */
	uint32_t live;            /* orphans: blocks that begin or end on each page of the run */
};
/*
 * The next run of pages that are equal in all of this; from the first page of the pool to its present end.
 * Since: 0.1
 */
SHV_API int shv_run_next(shv_arena *a, uint64_t *cursor, struct shv_run_info *out);

/* A type that objects of the arena have had. */
struct shv_type_info {
	size_t size;
	uint32_t id;
	uint32_t bytes, align;
	char name[64];
	char format[192];         /* cut */
};
/* The next type: the basic ones, then those that were made. Since: 0.1 */
SHV_API int shv_type_next(shv_arena *a, uint64_t *cursor, struct shv_type_info *out);

/*
 * The type of a number that shv_value_info or shv_type_info gave, for shv_type_member() and shv_type_text(). It lives as long as
 * the process.
 * Returns: the type; NULL with errno EINVAL (no attachment), ENOENT (the arena has no such type), EUCLEAN (what it says of it
 * contradicts itself), ENOMEM.
 * Since: 0.1
 */
SHV_API const shv_type *shv_type_of_id(shv_arena *a, uint32_t id);

/* Called by shv_check() for each finding; what is a sentence. */
typedef void (*shv_check_report)(void *ctx, const char *what);
/*
 * An independent walk over everything: each page has one owner, each block lies on pages of its owner, no two
 * overlap, tables and lists are well-formed, counts agree. On an arena in use a finding is looked at again before
 * it is told. Mends nothing.
 * report: may be NULL. Returns: the number of findings, 0 = sound; -EINVAL, -ENOMEM, -EBADF.
 * Since: 0.1
 */
SHV_API int shv_check(shv_arena *a, shv_check_report report, void *ctx);

SHV_END_DECLS

#endif /* SHV_INSPECT_H */
