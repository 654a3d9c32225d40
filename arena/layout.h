/* SPDX-License-Identifier: MIT */
/*
 * Every structure and constant that exists in the memfd, and nothing else. docs/FORMAT.md says the same in prose.
 *
 *   offset 0           superblock (struct shv_super_shm), 1 page rounded up
 *   policies_off       user lock policies, 64 entries
 *   graves_off         who died holding a lock, a ring
 *   processes_off      process table
 *   threads_off        thread table                                   all of these sparse:
 *   types_off          type entries, then types_text_off: their text  memory only where used
 *   chunks_off         chunk table: where the directory's chunks are
 *   map_off            page map, one entry per pool page
 *   sums_off           summary tree over the page map (rebuildable)
 *   data_off           pool pages: blocks, directory chunks, name tables
 *
 * Offsets are bytes from the start of the file. Pool pages are numbered from data_off. All words are in the byte
 * order of the machine; the layout stamp refuses another one. No word is an address.
 *
 * Bit fields are spelled as shifts and masks, for the words are changed by compare-and-swap as a whole.
 */
#ifndef SHV_ARENA_LAYOUT_H
#define SHV_ARENA_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#ifndef SHV_PAGE_SHIFT
#define SHV_PAGE_SHIFT 12 /* of a pool page; a build for larger system pages sets it */
#endif
#define SHV_PAGE_SIZE ((uint64_t)1 << SHV_PAGE_SHIFT)

#define SHV_MAGIC UINT64_C(0x0a1a0d0056485389) /* 0x89 "SHV" 0 CR SUB LF: seen broken by text-mode copies */
#define SHV_FORMAT 1u

/* ---- slots: the directory -------------------------------------------------------------------- */

/*
 * One object. `word` is changed by compare-and-swap only, except by the process that a HELD word names (which alone
 * may change it, by a release store).
 *   word: state 4 | process 12 | size class 8 | lead/8 8 | generation 32 (high)
 *   what: block offset/16 38 | type 15 | kind 3 | policy 8 (high); written only in state HELD
 * process: HELD, GONE: who is at it; LIVE: who made it. lead: bytes from the block to the header.
 */
struct shv_slot_shm {
	uint64_t word;
	uint64_t what;
};

enum shv_slot_state {
	SHV_SLOT_FREE = 0,
	SHV_SLOT_HELD = 1,      /* reserved, under construction, or cached by process p */
	SHV_SLOT_LIVE = 2,
	SHV_SLOT_GONE = 3,      /* withdrawn by p, on its way to the owner of the page */
	SHV_SLOT_LOST = 4,      /* withdrawn by one who died before handing it over; the page's owner collects it */
	SHV_SLOT_CONDEMNED = 5, /* a lock object that was freed and may still be used */
	SHV_SLOT_RETIRED = 6    /* generation used up; never again */
};

#define SHV_SLOT_STATE_MASK UINT64_C(0xf)
#define SHV_SLOT_PROC_SHIFT 4
#define SHV_SLOT_PROC_MASK UINT64_C(0xfff)
#define SHV_SLOT_CLASS_SHIFT 16
#define SHV_SLOT_CLASS_MASK UINT64_C(0xff)
#define SHV_SLOT_LEAD_SHIFT 24
#define SHV_SLOT_LEAD_MASK UINT64_C(0xff)
#define SHV_SLOT_GEN_SHIFT 32
#define SHV_SLOT_GEN_MAX UINT32_C(0xfffffffe)

#define SHV_WHAT_OFF_MASK ((UINT64_C(1) << 38) - 1)
#define SHV_WHAT_TYPE_SHIFT 38
#define SHV_WHAT_TYPE_MASK UINT64_C(0x7fff)
#define SHV_WHAT_KIND_SHIFT 53
#define SHV_WHAT_KIND_MASK UINT64_C(0x7)
#define SHV_WHAT_POLICY_SHIFT 56
#define SHV_MAX_CAPACITY (UINT64_C(1) << 42)

#define SHV_SLOTS_PER_CHUNK 4096u
#define SHV_CHUNK_BYTES (SHV_SLOTS_PER_CHUNK * sizeof(struct shv_slot_shm))
#define SHV_CHUNK_PAGES ((uint32_t)(SHV_CHUNK_BYTES >> SHV_PAGE_SHIFT))

/* Chunk table entry: first pool page 32 (0 = no chunk) | generation floor 32 (high): what its slots start from. */
#define SHV_CHUNK_PAGE(e) ((uint32_t)(e))
#define SHV_CHUNK_FLOOR(e) ((uint32_t)((e) >> 32))

/* ---- blocks ---------------------------------------------------------------------------------- */

/*
 * block: [lead: lock state, length][header 8][payload]
 * The last 8 bytes of the lead are the lock word of the built-in policies, the {slot 32, generation 32} of a shared lock,
 * or the end of a user policy's state; arrays have their length (items) as the first 8 bytes of the lead.
 *   header: slot index 32 | kind 3 | policy 8 | lead/8 8 | named 1 | watched 1 | queued 1 | spare (high)
 */
#define SHV_HEADER_SIZE 8u
#define SHV_HDR_KIND_SHIFT 32
#define SHV_HDR_POLICY_SHIFT 35
#define SHV_HDR_LEAD_SHIFT 43
#define SHV_HDR_NAMED (UINT64_C(1) << 51)
#define SHV_HDR_WATCHED (UINT64_C(1) << 52) /* somebody sleeps until the content changes, on the high half of the header */
#define SHV_HDR_QUEUED (UINT64_C(1) << 53)  /* somebody waits, or waited, for the object's own lock: a hint besides the lock word's bit */
#define SHV_HDR_FLAGS (SHV_HDR_NAMED | SHV_HDR_WATCHED | SHV_HDR_QUEUED)

/* Stored lock policies (8 bits). The first five equal enum shv_lock_kind. */
enum shv_policy_id {
	SHV_POL_RAW = 0, /* raw objects and parts: not even the notion of a lock */
	SHV_POL_RECURSIVE = 1,
	SHV_POL_PLAIN = 2,
	SHV_POL_HANDOFF = 3,
	SHV_POL_NONE = 4,
	SHV_POL_SHARED = 5,
	SHV_POL_USER = 16 /* + index in the policy table */
};
#define SHV_MAX_POLICIES 64u

/* Has an object of this policy a lock word of its own? Not asked of parts, whose byte means something else. */
static inline int policy_owns_word(unsigned policy)
{
	return policy >= SHV_POL_RECURSIVE && policy <= SHV_POL_HANDOFF;
}

/* For parts, the policy byte says what they are. */
enum shv_part { SHV_PART_NAME = 1, SHV_PART_TEXT = 2 };

/* The payload of a part that holds a name. */
struct shv_name_shm {
	uint32_t link;   /* first 4 payload bytes belong to the remote-free list */
	uint32_t hash;   /* of the text */
	uint64_t target; /* shv_ref */
	uint32_t len;    /* of the text, NUL not counted */
	char text[];     /* len bytes and a NUL */
};
#define SHV_NAME_MAX 255u

/*
 * The payload of a part that holds a string's text. A new text is made as a part of its own, and one store of its reference in the
 * string commits it; then the part that it replaced goes. `replaces` says which that was, for whoever finds the string after
 * a death in between.
 */
struct shv_text_shm {
	uint32_t link;     /* as above */
	uint32_t spare;
	uint64_t parent;   /* shv_ref of the string */
	uint64_t replaces; /* shv_ref of a part, or 0; that part is mostly gone */
	uint64_t bytes;    /* of the text, a multiple of the item size; the zero behind it not counted */
	char text[];       /* bytes, and a zero item */
};

/* The payload of a string. */
struct shv_string_shm {
	uint64_t last;     /* while it is being freed: the text that it had. Then, on its way home, the first 4 bytes are a link as above */
	uint64_t text;     /* shv_ref of its text, or SHV_TEXT_CLOSED. atomic */
};
#define SHV_TEXT_CLOSED UINT64_MAX /* the string is being freed: who still comes to store a text must not */

/* ---- pages ----------------------------------------------------------------------------------- */

/* Page map entry: state 4 | process 12 | live count or table 16 | process generation 32 (high). 0 = free. */
enum shv_page_kind {
	SHV_PG_FREE = 0,
	SHV_PG_OWNED = 1,    /* given to a process's heap, or held by it for building a table */
	SHV_PG_ORPHAN = 2,   /* its process is gone; count = blocks that begin or end here */
	SHV_PG_INTERIOR = 3, /* neither first nor last page of an orphaned block, which it belongs to alone */
	SHV_PG_SLOTS = 4,    /* part of a directory chunk; process = who allocates slots from it */
	SHV_PG_SYSTEM = 5    /* count says which table */
};
#define SHV_PG_STATE_MASK UINT64_C(0xf)
#define SHV_PG_PROC_SHIFT 4
#define SHV_PG_PROC_MASK UINT64_C(0xfff)
#define SHV_PG_COUNT_SHIFT 16
#define SHV_PG_COUNT_MASK UINT64_C(0xffff)
#define SHV_PG_GEN_SHIFT 32
enum shv_table { SHV_TABLE_RESERVED = 1, SHV_TABLE_NAMES = 2 };

/* Summary tree: leaves of 512 pages, fan-out 8. Longest free runs at the start, anywhere, at the end of a node. */
struct shv_sum_shm {
	uint32_t start, max, end, spare;
};
#define SHV_LEAF_SHIFT 9
#define SHV_LEAF_PAGES (1u << SHV_LEAF_SHIFT)
#define SHV_FAN_SHIFT 3
#define SHV_MAX_LEVELS 9

/* ---- processes and threads ------------------------------------------------------------------- */

enum shv_process_state {
	SHV_PROC_FREE = 0,
	SHV_PROC_ALIVE = 1, /* registered; whether it really lives, the kernel's lock on byte = slot says */
	SHV_PROC_DEAD = 2   /* known to be gone (died, or detached); its things are not yet in order */
};

/* word: state 32 | generation 32 (high). The generation changes when the slot is taken. */
struct shv_process_shm {
	uint64_t word;
	uint64_t start_time;
	uint64_t pid_namespace;
	uint64_t attached;       /* CLOCK_REALTIME, ns */
	int32_t pid;
	uint32_t away;           /* it has, or had, withdrawn objects whose slots are in others' chunks: recovery must look everywhere. atomic */
	char command[16];
	/* Requests and counts. atomic */
	uint32_t sweep;          /* collect LOST slots on your pages; set by recovery */
	uint32_t trim;           /* give memory back at your next slow path; counts up */
	uint32_t slots_freed;    /* slots of its chunks that others made FREE: rescan */
	uint32_t spare1;
	uint64_t created, freed; /* of threads that have ended; advisory */
	uint64_t spare2[5];
	/* Remote-free list: generation 32 (high) | slot 32 (0 = empty, 0xffffffff = closed). atomic, own cache line */
	uint64_t head;
	uint64_t spare3[15];
};
#define SHV_NO_PROCESS UINT32_C(0xfff) /* owner of directory chunks whose process has gone; the entry's count: free slots in it */
#define SHV_VISITORS 8u /* process slots beyond max_processes */
#define SHV_HEAD_CLOSED UINT32_C(0xffffffff)

enum shv_thread_state { SHV_THREAD_FREE = 0, SHV_THREAD_ALIVE = 1, SHV_THREAD_ENDED = 2 };

/* word: state 4 | process 12 | spare 16 | generation of the process 32 (high). One cache line. */
struct shv_thread_shm {
	uint64_t word;
	int32_t tid;
	uint32_t held;           /* locks held; raised before taking the first, lowered after release; own thread writes */
	uint32_t handed;         /* handoff locks taken by it and not yet released by whomever; atomic */
	uint32_t spare0;
	char name[16];
	uint64_t created, freed; /* advisory */
	uint64_t spare1;
};

/* Who died holding a lock; a lock word with the died bit has its number here in place of the owner. */
struct shv_grave_shm {
	uint64_t number; /* written last */
	uint64_t start_time;
	int32_t pid, tid;
	uint32_t process, spare;
	char command[16];
	uint64_t spare1[2];
};
#define SHV_GRAVES 4096u

/* ---- types and policies ---------------------------------------------------------------------- */

struct shv_type_shm {
	uint64_t hash;
	uint64_t size;
	uint32_t align;
	uint32_t format_len, name_len; /* without NUL */
	uint32_t text;                 /* offset in the text region: format NUL name NUL */
};
#define SHV_TYPE_FIRST 32u  /* ids below are the basic types of values/type.c */
#define SHV_MAX_TYPES 32768u
#define SHV_TYPE_TEXT (UINT64_C(16) << 20)

struct shv_policy_shm {
	uint32_t size, align;
	char name[32];
	uint64_t spare[3];
};

/* ---- locks and intents of the library itself -------------------------------------------------- */

/*
 * The lock word (locks/word.h): owner 20 | recursion 10 | waiters 1 | died 1 | sequence 32 (high).
 */
struct shv_syslock_shm {
	uint64_t word;
	uint64_t spare[7];
};

/*
 * What the holder of the pool lock is doing. Absolute after-values: whoever takes the lock from a dead holder writes them again.
 * active is stored last (release) and cleared last.
 */
struct shv_pool_intent_shm {
	uint32_t active;
	uint32_t writes;             /* how many of the words below count */
	uint32_t page, pages;        /* the run: entries page..page+pages-1 become value */
	uint64_t value;
	struct { uint64_t off, value; } word[4];
};

/* The recovery lock: either a dead process is being recovered, or one orphaned block is being freed. */
struct shv_recovery_intent_shm {
	uint32_t active;             /* enum shv_recovery_op */
	uint32_t phase;
	uint32_t process, generation; /* RECOVER: whom */
	uint32_t chain;              /* RECOVER: head of its list when it was closed */
	uint32_t closed;             /* RECOVER: chain is valid */
	uint32_t slot;               /* ORPHAN_FREE */
	uint32_t pages[2];           /* ORPHAN_FREE: first and last page */
	uint32_t chunk_page;         /* ORPHAN_FREE: of chunk_before */
	uint64_t slot_gone;          /* ORPHAN_FREE: the slot's word as its freer left it; becomes FREE */
	uint64_t chunk_before, chunk_after; /* ORPHAN_FREE: first page entry of the slot's chunk, if that has no owner: one more free slot */
	uint64_t entry_after[2];     /* ORPHAN_FREE: the entries of the two pages */
};
enum shv_recovery_op { SHV_REC_NONE = 0, SHV_REC_PROCESS = 1, SHV_REC_ORPHAN_FREE = 2 };

/* The names lock. */
struct shv_name_intent_shm {
	uint32_t active;             /* enum shv_name_op */
	uint32_t writes;
	struct { uint64_t off, value; } word[6]; /* SET: absolute after-values, in order */
	uint32_t new_page, new_pages; /* GROW: becomes SYSTEM, then root */
	uint32_t old_page, old_pages; /* GROW: goes back */
	uint64_t root_after;
	uint64_t used_after;
};
enum shv_name_op { SHV_NAMES_IDLE = 0, SHV_NAMES_SET = 1, SHV_NAMES_GROW = 2 };

/* Name table entry: hash 32 (high; its top bit: 0 = by text, 1 = by target) | slot of the name part 32. */
#define SHV_NAME_EMPTY UINT64_C(0)
#define SHV_NAME_TOMB UINT64_C(1)
#define SHV_NAME_BY_TARGET UINT32_C(0x80000000)
/* names_root: first pool page 32 | log2 of the entries 8 | count of tables so far 24 (high); 0 = no table yet. */

/* ---- superblock ------------------------------------------------------------------------------ */

#define SHV_FEATURE_SNAPSHOT (UINT64_C(1) << 0) /* optional: the file is a snapshot, and all processes in it are of the past */

/* Immutable after creation, covered by the checksum. */
struct shv_super_const {
	uint64_t magic;
	uint32_t format;
	uint32_t stamp;              /* shv_layout_stamp() */
	uint64_t features_optional;  /* unknown ones may be ignored; SHV_FEATURE_SNAPSHOT */
	uint64_t features_required;  /* unknown ones refuse the attach */
	uint64_t capacity;           /* bytes of the whole mapping */
	uint64_t created;            /* CLOCK_REALTIME, ns */
	uint8_t uuid[16];
	char name[64];
	uint32_t page_shift;
	uint32_t max_processes, max_threads, max_chunks;
	uint64_t max_pages;
	uint64_t policies_off, graves_off, processes_off, threads_off, types_off, types_text_off, chunks_off, map_off, sums_off,
		data_off;
	uint64_t sums_level_off[SHV_MAX_LEVELS]; /* [0] = leaves, absolute offsets */
	uint32_t levels;
	uint32_t flags;              /* SHV_HUGEPAGE */
	uint64_t checksum;           /* of all the above */
};

struct shv_super_shm {
	struct shv_super_const c;
	uint64_t spare0[4];

	/* High-water marks: readers look no further. atomic, only grow; pool_pages under the pool lock */
	uint64_t pool_pages;         /* pages of the pool that the file has */
	uint64_t chunks_high;        /* a word of its own: pool intents write whole words */
	uint32_t processes_high, threads_high;
	uint32_t types;              /* made types; stored (release) after the entry: commits it */
	uint32_t policies;           /* the same for user policies */
	uint32_t threads_hint;       /* advisory: where a free thread entry may be */
	uint64_t graves;             /* next number */
	uint64_t names_root;         /* guarded by names; read without */
	uint64_t names_used;         /* entries and tombstones in the table */
	uint64_t names_live;         /* names */
	uint64_t condemned;          /* lock objects that wait for their last value; advisory */
	uint64_t texts;              /* 0 as long as there was never a string */
	/* In snapshots only, zero otherwise; written with the rest of the file */
	uint64_t snapshot_taken;     /* CLOCK_REALTIME, ns */
	uint64_t snapshot_torn;      /* objects whose lock was held by somebody alive while they were copied */
	uint64_t snapshot_left_out;  /* objects that came apart while they were copied: freed, or damaged */

	/* Ranks: recovery < names < types < policies < pool */
	struct shv_syslock_shm recovery, names, types_lock, policies_lock, pool;
	struct shv_pool_intent_shm pool_intent;
	struct shv_recovery_intent_shm recovery_intent;
	struct shv_name_intent_shm name_intent;
};

static_assert(sizeof(struct shv_slot_shm) == 16, "slots are 16 bytes");
static_assert(sizeof(struct shv_process_shm) == 256, "process entries");
static_assert(offsetof(struct shv_process_shm, head) % 64 == 0, "the list head has its own cache line");
static_assert(sizeof(struct shv_thread_shm) == 64, "thread entries are a cache line");
static_assert(sizeof(struct shv_grave_shm) == 64, "graves");
static_assert(sizeof(struct shv_type_shm) == 32, "type entries");
static_assert(sizeof(struct shv_policy_shm) == 64, "policy entries");
static_assert(sizeof(struct shv_sum_shm) == 16, "summary nodes");
static_assert(sizeof(struct shv_super_shm) <= 4096, "the superblock is one page");
static_assert(SHV_CHUNK_BYTES % SHV_PAGE_SIZE == 0, "chunks are whole pages");

/* ---- reading and making the words -------------------------------------------------------------- */

static inline unsigned slot_state(uint64_t w)
{
	return (unsigned)(w & SHV_SLOT_STATE_MASK);
}
static inline uint32_t slot_proc(uint64_t w)
{
	return (uint32_t)((w >> SHV_SLOT_PROC_SHIFT) & SHV_SLOT_PROC_MASK);
}
static inline unsigned slot_class(uint64_t w)
{
	return (unsigned)((w >> SHV_SLOT_CLASS_SHIFT) & SHV_SLOT_CLASS_MASK);
}
static inline unsigned slot_lead(uint64_t w)
{
	return (unsigned)((w >> SHV_SLOT_LEAD_SHIFT) & SHV_SLOT_LEAD_MASK) * 8u;
}
static inline uint32_t slot_gen(uint64_t w)
{
	return (uint32_t)(w >> SHV_SLOT_GEN_SHIFT);
}
static inline uint64_t slot_word(unsigned state, uint32_t proc, unsigned size_class, unsigned lead, uint32_t gen)
{
	return (uint64_t)state | (uint64_t)proc << SHV_SLOT_PROC_SHIFT | (uint64_t)size_class << SHV_SLOT_CLASS_SHIFT |
	       (uint64_t)(lead / 8u) << SHV_SLOT_LEAD_SHIFT | (uint64_t)gen << SHV_SLOT_GEN_SHIFT;
}
/* The same word with another state and process. */
static inline uint64_t slot_with(uint64_t w, unsigned state, uint32_t proc)
{
	return (w & ~(SHV_SLOT_STATE_MASK | SHV_SLOT_PROC_MASK << SHV_SLOT_PROC_SHIFT)) | (uint64_t)state |
	       (uint64_t)proc << SHV_SLOT_PROC_SHIFT;
}
static inline uint64_t what_offset(uint64_t what)
{
	return (what & SHV_WHAT_OFF_MASK) << 4;
}
static inline uint32_t what_type(uint64_t what)
{
	return (uint32_t)((what >> SHV_WHAT_TYPE_SHIFT) & SHV_WHAT_TYPE_MASK);
}
static inline unsigned what_kind(uint64_t what)
{
	return (unsigned)((what >> SHV_WHAT_KIND_SHIFT) & SHV_WHAT_KIND_MASK);
}
static inline unsigned what_policy(uint64_t what)
{
	return (unsigned)(what >> SHV_WHAT_POLICY_SHIFT);
}
static inline uint64_t what_make(uint64_t off, uint32_t type, unsigned kind, unsigned policy)
{
	return off >> 4 | (uint64_t)type << SHV_WHAT_TYPE_SHIFT | (uint64_t)kind << SHV_WHAT_KIND_SHIFT |
	       (uint64_t)policy << SHV_WHAT_POLICY_SHIFT;
}
static inline uint32_t hdr_slot(uint64_t h)
{
	return (uint32_t)h;
}
static inline unsigned hdr_kind(uint64_t h)
{
	return (unsigned)(h >> SHV_HDR_KIND_SHIFT) & 7u;
}
static inline unsigned hdr_policy(uint64_t h)
{
	return (unsigned)(h >> SHV_HDR_POLICY_SHIFT) & 0xffu;
}
static inline unsigned hdr_lead(uint64_t h)
{
	return ((unsigned)(h >> SHV_HDR_LEAD_SHIFT) & 0xffu) * 8u;
}
static inline uint64_t hdr_make(uint32_t slot, unsigned kind, unsigned policy, unsigned lead)
{
	return (uint64_t)slot | (uint64_t)kind << SHV_HDR_KIND_SHIFT | (uint64_t)policy << SHV_HDR_POLICY_SHIFT |
	       (uint64_t)(lead / 8u) << SHV_HDR_LEAD_SHIFT;
}
static inline unsigned page_state(uint64_t e)
{
	return (unsigned)(e & SHV_PG_STATE_MASK);
}
static inline uint32_t page_proc(uint64_t e)
{
	return (uint32_t)((e >> SHV_PG_PROC_SHIFT) & SHV_PG_PROC_MASK);
}
static inline uint32_t page_count(uint64_t e)
{
	return (uint32_t)((e >> SHV_PG_COUNT_SHIFT) & SHV_PG_COUNT_MASK);
}
static inline uint32_t page_gen(uint64_t e)
{
	return (uint32_t)(e >> SHV_PG_GEN_SHIFT);
}
static inline uint64_t page_make(unsigned state, uint32_t proc, uint32_t count, uint32_t gen)
{
	return (uint64_t)state | (uint64_t)proc << SHV_PG_PROC_SHIFT | (uint64_t)count << SHV_PG_COUNT_SHIFT |
	       (uint64_t)gen << SHV_PG_GEN_SHIFT;
}
static inline uint32_t proc_state(uint64_t w)
{
	return (uint32_t)w;
}
static inline uint32_t proc_gen(uint64_t w)
{
	return (uint32_t)(w >> 32);
}
static inline uint64_t proc_word(uint32_t state, uint32_t gen)
{
	return (uint64_t)state | (uint64_t)gen << 32;
}
static inline unsigned thread_state(uint64_t w)
{
	return (unsigned)(w & 0xf);
}
static inline uint32_t thread_proc(uint64_t w)
{
	return (uint32_t)((w >> 4) & 0xfff);
}
static inline uint32_t thread_gen(uint64_t w)
{
	return (uint32_t)(w >> 32);
}
static inline uint64_t thread_word(unsigned state, uint32_t proc, uint32_t gen)
{
	return (uint64_t)state | (uint64_t)proc << 4 | (uint64_t)gen << 32;
}

/*
 * Size classes, numbered so that a class fits a byte: 0 = 8, 1 = 16, then steps of 16 to 128, then four to each doubling.
 * They are those of the heap (jemalloc's: 16-byte quantum, 4 steps a doubling).
 */
static inline uint64_t class_size(unsigned c)
{
	if (c < 9)
		return c ? 16u * (uint64_t)c : 8u;
	unsigned g = (c - 9) >> 2, k = (c - 9) & 3;
	return g < 53 ? ((uint64_t)(k + 5) << g) * 32u : UINT64_MAX;
}
static inline unsigned class_of(uint64_t size)
{
	if (size <= 8)
		return 0;
	if (size <= 128)
		return (unsigned)((size + 15) >> 4);
	unsigned lg = 63u - (unsigned)__builtin_clzll(size - 1); /* 2^lg <= size-1 < 2^(lg+1) */
	uint64_t step = UINT64_C(1) << (lg - 2);
	unsigned k = (unsigned)((size - 1 - (UINT64_C(1) << lg)) / step);
	return 9u + (lg - 7u) * 4u + k;
}

/* What refuses builds that would read the bytes otherwise. */
static inline uint32_t shv_layout_stamp(void)
{
	const uint32_t parts[] = { 0x01020304u, sizeof(void *), sizeof(long), sizeof(wchar_t), SHV_PAGE_SHIFT,
				   sizeof(struct shv_super_shm), sizeof(struct shv_process_shm), sizeof(struct shv_thread_shm),
				   sizeof(struct shv_slot_shm), sizeof(struct shv_grave_shm), sizeof(struct shv_type_shm),
				   sizeof(struct shv_policy_shm), sizeof(struct shv_sum_shm), SHV_SLOTS_PER_CHUNK, sizeof(long double) };
	const unsigned char *b = (const unsigned char *)parts;
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < sizeof(parts); i++)
		h = (h ^ b[i]) * 16777619u;
	return h;
}

#endif /* SHV_ARENA_LAYOUT_H */
