/* SPDX-License-Identifier: MIT */
/*
 * Looking at an arena from outside; see view.h for the rules.
 *
 * Some answers are too dear to ask for again with each item of a walk: whether a process lives (a system call),
 * how many pages each process owns, how large a type is. A thread keeps those of the two arenas it looked at last
 * (struct view_memo). They are dropped when a walk starts and when yet another arena is looked at; whether a
 * process lives is asked again after a tenth of a second.
 */
#include "config.h"

#include "values/view.h"

#include "values/type_private.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MEMO_TYPES 64u
#define MEMO_PROCESSES (SHV_SLOT_PROC_MASK + 1)
#define LIVES_FOR_NS UINT64_C(100000000)
#define LOOKS 16 /* at an object that changes, before it is given up */
#define STRUCT_SIZE_MAX 4096u

struct view_memo {
	const struct shv_arena *a; /* whose answers these are */
	const char *base;
	dev_t dev;
	ino_t ino;
	struct {
		uint32_t id, known;
		uint64_t bytes;
	} types[MEMO_TYPES];
	struct {
		uint64_t until;    /* CLOCK_MONOTONIC_COARSE, ns; 0 = not asked */
		uint32_t gen;
		bool lives;
	} process[MEMO_PROCESSES];
	uint64_t pages[MEMO_PROCESSES];
	bool pages_known;
};

/* Of the two arenas that a thread looked at last: it may compare them. */
struct memos {
	struct view_memo memo[2];
	unsigned last;
};

static pthread_key_t memo_key;
static pthread_once_t memo_once = PTHREAD_ONCE_INIT;
static bool memo_key_made;

static void memo_make_key(void)
{
	memo_key_made = !pthread_key_create(&memo_key, free);
}

static struct memos *memos_get(void)
{
	struct memos *memo;

	pthread_once(&memo_once, memo_make_key);
	if (!memo_key_made)
		return NULL;
	memo = pthread_getspecific(memo_key);
	if (memo)
		return memo;
	memo = calloc(1, sizeof(*memo));
	if (memo && pthread_setspecific(memo_key, memo)) {
		free(memo);
		memo = NULL;
	}
	return memo;
}

/* The inode tells an arena from one that was attached at the same addresses before. */
static bool memo_is_of(const struct view_memo *memo, const struct shv_arena *a)
{
	return memo->a == a && memo->base == a->base && memo->ino == a->geo.ino && memo->dev == a->geo.dev;
}

static struct view_memo *memo_settle(struct memos *m, const struct shv_arena *a, bool restart)
{
	struct view_memo *memo;

	if (!memo_is_of(&m->memo[m->last], a))
		m->last = !m->last;
	memo = &m->memo[m->last];
	if (!restart && memo_is_of(memo, a))
		return memo;
	memset(memo, 0, sizeof(*memo));
	memo->a = a;
	memo->base = a->base;
	memo->dev = a->geo.dev;
	memo->ino = a->geo.ino;
	return memo;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- limits ---------------------------------------------------------------------------------------------- */

int view_fd(const struct shv_view *v)
{
	int fd;

	if (v->a->m)
		return memfd_fd(v->a->m);
	fd = v->a->fd;
	if (memfd_is(fd, v->g))
		return fd;
	return fail(-EBADF, "arena '%s': its descriptor %d was closed by the program: keep shv_arena_fd() open", v->a->name, fd);
}

static uint32_t at_most(uint32_t n, uint32_t limit)
{
	return n < limit ? n : limit;
}

int view_open(struct shv_view *v, const shv_arena *a, const char *who, bool restart)
{
	const struct shv_super_shm *s;
	struct memos *memos;
	int r = arena_valid(a, who, false);

	if (r)
		return r;
	s = super_of(a->base);
	v->a = a;
	v->base = a->base;
	v->g = a->m ? &a->m->geo : &a->geo; /* the member may have found another descriptor */
	memos = memos_get();
	v->memo = memos ? memo_settle(memos, a, restart) : NULL;
	v->pages = pool_pages(v->base, v->g);
	v->chunks = chunks_high(v->base, v->g);
	v->processes = at_most(load_acquire(&s->processes_high), v->g->last_process + 1); /* one more: visitors */
	v->threads = at_most(load_acquire(&s->threads_high), v->g->max_threads);
	return 0;
}

int view_open_walk(struct shv_view *v, const shv_arena *a, const uint64_t *cursor, const void *out, const char *who)
{
	if (!cursor || !out)
		return fail(-EINVAL, "%s: %s is NULL", who, cursor ? "out" : "cursor");
	return view_open(v, a, who, !*cursor);
}

/* ---- pages and slots ------------------------------------------------------------------------------------- */

const struct shv_slot_shm *view_chunk(const struct shv_view *v, uint32_t chunk)
{
	uint64_t first;

	if (chunk >= v->chunks)
		return NULL;
	first = SHV_CHUNK_PAGE(load_acquire(chunk_entry(v->base, v->g, chunk)));
	if (!first || first + SHV_CHUNK_PAGES > v->pages)
		return NULL;
	for (uint64_t p = first; p < first + SHV_CHUNK_PAGES; p++)
		if (page_state(view_page(v, p)) != SHV_PG_SLOTS)
			return NULL;
	return (const struct shv_slot_shm *)page_addr(v->base, v->g, first);
}

static bool page_has_blocks(uint64_t entry)
{
	return page_state(entry) == SHV_PG_OWNED || page_state(entry) == SHV_PG_ORPHAN;
}

/* ---- objects --------------------------------------------------------------------------------------------- */

static uint64_t word_at(const struct shv_view *v, uint64_t off)
{
	return load_relaxed((const uint64_t *)(v->base + off));
}

/* The block lies in the pool, on pages that hold blocks at both ends, and the lead and the header fit into it. */
static bool find_block(const struct shv_view *v, struct view_object *o)
{
	uint64_t off = what_offset(o->what), end = v->g->data_off + (v->pages << SHV_PAGE_SHIFT), last;

	o->block_bytes = class_size(slot_class(o->word));
	if (off < v->g->data_off || off >= end || o->block_bytes > end - off ||
	    slot_lead(o->word) + SHV_HEADER_SIZE > o->block_bytes)
		return false;
	last = page_of(v->g, off + o->block_bytes - 1);
	o->entry = view_page(v, page_of(v->g, off));
	o->payload = off + slot_lead(o->word) + SHV_HEADER_SIZE;
	return page_has_blocks(o->entry) && page_has_blocks(view_page(v, last));
}

static bool header_fits(const struct view_object *o)
{
	return hdr_slot(o->header) == o->index && hdr_kind(o->header) == what_kind(o->what) &&
	       hdr_policy(o->header) == what_policy(o->what) && hdr_lead(o->header) == slot_lead(o->word);
}

static bool is_array(unsigned kind)
{
	return kind == SHV_KIND_ARRAY || kind == SHV_KIND_RAW_ARRAY;
}

/* Where the text of a string is, which may be replaced meanwhile. False: what is there is no text. */
bool view_text(const struct shv_view *v, struct view_object *o)
{
	const struct shv_string_shm *s = (const void *)(v->base + o->payload);
	shv_ref self = (shv_ref)slot_gen(o->word) << 32 | o->index;

	for (int i = 0; i < LOOKS; i++) {
		const struct shv_slot_shm *slots;
		uint32_t index;

		o->text = load_acquire(&s->text);
		o->len = o->bytes = 0;
		index = (uint32_t)o->text;
		slots = view_chunk(v, index / SHV_SLOTS_PER_CHUNK);
		if (!slots)
			continue;
		switch (text_where(v->base, v->g, o->text, self, &o->content, &o->bytes)) {
		case 0:
			o->len = o->item_bytes ? o->bytes / o->item_bytes : 0;
			return o->content + o->bytes <= v->g->data_off + (v->pages << SHV_PAGE_SHIFT);
		case -EAGAIN:
			continue;
		default:
			return false;
		}
	}
	return false;
}

/* Items and bytes of the payload; false if they do not fit into the block. */
static bool measure(const struct shv_view *v, struct view_object *o)
{
	unsigned kind = what_kind(o->what), lead = slot_lead(o->word);
	uint64_t room = o->block_bytes - lead - SHV_HEADER_SIZE;

	o->item_bytes = 0;
	o->len = 1;
	o->bytes = 0;
	o->text = 0;
	o->content = o->payload;
	switch (kind) {
	case SHV_KIND_LOCK:
		return lead >= 8;
	case SHV_KIND_PART:
		o->bytes = room;
		return true;
	case SHV_KIND_NONE:
		return false;
	default:
		break;
	}
	if (!view_type_bytes(v, what_type(o->what), &o->item_bytes))
		return false;
	if (is_array(kind)) {
		if (lead < 8)
			return false;
		o->len = word_at(v, o->payload - SHV_HEADER_SIZE - lead);
	}
	if (kind == SHV_KIND_STRING)
		return room >= sizeof(struct shv_string_shm) && view_text(v, o);
	if (o->item_bytes && o->len > room / o->item_bytes)
		return false;
	o->bytes = o->len * o->item_bytes;
	return true;
}

static bool policy_has_word(unsigned policy)
{
	return policy >= SHV_POL_RECURSIVE && policy <= SHV_POL_SHARED && policy != SHV_POL_NONE;
}

static bool lock_fits(const struct shv_view *v, struct view_object *o)
{
	unsigned kind = what_kind(o->what), lead = slot_lead(o->word), least = is_array(kind) ? 16 : 8;

	o->lock = 0;
	if (kind == SHV_KIND_PART || !policy_has_word(what_policy(o->what)))
		return true;
	if (lead < least)
		return false;
	o->lock = load_acquire((const uint64_t *)(v->base + o->payload) - 2);
	return true;
}

static bool read_object(const struct shv_view *v, struct view_object *o)
{
	if (slot_state(o->word) == SHV_SLOT_CONDEMNED && what_kind(o->what) != SHV_KIND_LOCK)
		return false;
	if (!find_block(v, o))
		return false;
	o->header = word_at(v, o->payload - SHV_HEADER_SIZE);
	return header_fits(o) && measure(v, o) && lock_fits(v, o);
}

int view_look(const struct shv_view *v, const struct shv_slot_shm *slot, uint32_t index, struct view_object *o)
{
	o->index = index;
	for (int i = 0; i < LOOKS; i++) {
		bool sound;

		o->word = load_acquire(&slot->word); /* pairs: P-publish */
		if (!view_listed(o->word))
			return 0;
		o->what = load_relaxed(&slot->what);
		sound = read_object(v, o);
		if (view_same(slot, o->word))
			return sound ? 1 : -EUCLEAN;
	}
	return 0;
}

int view_find(const struct shv_view *v, shv_ref ref, const char *who, struct view_object *o)
{
	const struct shv_slot_shm *slots = view_chunk(v, (uint32_t)ref / SHV_SLOTS_PER_CHUNK);
	int r = 0;

	if (!ref)
		return fail(-EINVAL, "%s: the reference is 0, which stands for no object", who);
	if (slots)
		r = view_look(v, slots + (uint32_t)ref % SHV_SLOTS_PER_CHUNK, (uint32_t)ref, o);
	if (r < 0)
		return fail(r, "%s: the slot of reference %#llx and its block contradict each other", who,
			    (unsigned long long)ref);
	if (!r || slot_gen(o->word) != (uint32_t)(ref >> 32))
		return fail(-ESTALE, "%s: the object of reference %#llx is gone", who, (unsigned long long)ref);
	if (what_kind(o->what) == SHV_KIND_PART)
		return fail(-EINVAL, "%s: reference %#llx is of a part of another object", who,
			    (unsigned long long)ref);
	return 0;
}

bool view_type_bytes(const struct shv_view *v, uint32_t id, uint64_t *bytes)
{
	struct shv_type_text t;
	unsigned at = id % MEMO_TYPES;

	if (v->memo && v->memo->types[at].known && v->memo->types[at].id == id) {
		*bytes = v->memo->types[at].bytes;
		return true;
	}
	if (type_text_of(v->base, v->g, id, &t))
		return false;
	*bytes = t.size;
	if (v->memo) {
		v->memo->types[at].id = id;
		v->memo->types[at].bytes = t.size;
		v->memo->types[at].known = 1;
	}
	return true;
}

/* The lock object that {slot, generation} names. */
static bool find_shared(const struct shv_view *v, uint64_t which, struct view_object *o)
{
	uint32_t index = (uint32_t)which;
	const struct shv_slot_shm *slots = view_chunk(v, index / SHV_SLOTS_PER_CHUNK);

	return slots && view_look(v, slots + index % SHV_SLOTS_PER_CHUNK, index, o) == 1 &&
	       slot_gen(o->word) == (uint32_t)(which >> 32) && what_kind(o->what) == SHV_KIND_LOCK &&
	       what_policy(o->what) != SHV_POL_SHARED && policy_has_word(what_policy(o->what));
}

bool view_shared_word(const struct shv_view *v, uint64_t which, uint64_t *word)
{
	struct view_object o;

	if (!find_shared(v, which, &o))
		return false;
	*word = o.lock;
	return true;
}

const uint64_t *view_lock_address(const struct shv_view *v, const struct view_object *o)
{
	struct view_object shared;

	if (what_kind(o->what) == SHV_KIND_PART || !policy_has_word(what_policy(o->what)))
		return NULL;
	if (what_policy(o->what) == SHV_POL_SHARED) {
		if (!find_shared(v, o->lock, &shared))
			return NULL;
		o = &shared;
	}
	return (const uint64_t *)(v->base + o->payload) - 2;
}

/* ---- who lives ------------------------------------------------------------------------------------------- */

static bool process_registered(const struct shv_view *v, uint32_t proc, uint32_t gen)
{
	return proc < v->processes &&
	       load_acquire(&process_at(v->base, v->g, proc)->word) == proc_word(SHV_PROC_ALIVE, gen);
}

bool view_process_probe(const struct shv_view *v, uint32_t proc, uint32_t gen)
{
	bool lives;
	int fd;

	if (!process_registered(v, proc, gen))
		return false;
	/* Where the kernel cannot be asked, nobody is called dead. */
	fd = view_fd(v);
	lives = fd < 0 || process_probe(fd, proc) != LIVENESS_DEAD;
	if (v->memo) {
		v->memo->process[proc].until = now_ns() + LIVES_FOR_NS;
		v->memo->process[proc].gen = gen;
		v->memo->process[proc].lives = lives;
	}
	return lives;
}

bool view_process_lives(const struct shv_view *v, uint32_t proc, uint32_t gen)
{
	if (proc < MEMO_PROCESSES && v->memo && v->memo->process[proc].gen == gen &&
	    now_ns() < v->memo->process[proc].until)
		return v->memo->process[proc].lives && process_registered(v, proc, gen);
	return view_process_probe(v, proc, gen);
}

/*
 * Does the kernel know no such thread, although its entry was never given back? Only its own pid namespace can
 * be asked.
 */
static bool thread_vanished(const struct shv_view *v, uint32_t proc, int32_t tid)
{
	const struct shv_process_shm *p = process_at(v->base, v->g, proc);
	struct stat own;

	if (!p->pid_namespace || stat("/proc/self/ns/pid", &own) || (uint64_t)own.st_ino != p->pid_namespace)
		return false;
	return p->pid > 0 && tid > 0 && syscall(SYS_tgkill, p->pid, tid, 0) && errno == ESRCH;
}

/* The thread with the owner field `owner` is gone for good. *alive: its process is there. */
static bool owner_gone(const struct shv_view *v, uint32_t owner, bool *alive)
{
	const struct shv_thread_shm *t;
	uint64_t w;

	*alive = false;
	if (!owner || owner > v->threads)
		return true;
	t = thread_at(v->base, v->g, owner - 1);
	w = load_acquire(&t->word);
	if (thread_state(w) == SHV_THREAD_FREE)
		return true;
	*alive = view_process_lives(v, thread_proc(w), thread_gen(w));
	if (!*alive || thread_state(w) != SHV_THREAD_ALIVE)
		return true;
	return thread_vanished(v, thread_proc(w), t->tid);
}

void view_lock_word(const struct shv_view *v, uint64_t word, struct view_lock *out)
{
	bool alive;

	memset(out, 0, sizeof(*out));
	out->holder.size = sizeof(out->holder);
	out->acquisitions = (uint32_t)(word >> 32);
	if (lock_is_gone(word))
		return;
	out->waiters = (word & LOCK_WAITERS) != 0;
	if (word & LOCK_DIED) {
		out->abandoned = true;
		(void)grave_describe(v->base, v->g, lock_owner(word), &out->holder);
		return;
	}
	if (!lock_is_held(word))
		return;
	out->depth = lock_times(word);
	out->acquisitions++;
	(void)owner_describe(v->base, v->g, lock_owner(word), &out->holder);
	out->holder.depth = out->depth;
	out->abandoned = owner_gone(v, lock_owner(word), &alive);
	out->held = !out->abandoned; /* the same before and after somebody has buried the owner */
	out->holder.alive = alive;
}

static void count_pages(const struct shv_view *v, uint64_t *pages, uint64_t only)
{
	for (uint64_t p = 0; p < v->pages; p++) {
		uint64_t e = view_page(v, p);

		if (page_state(e) == SHV_PG_OWNED && (only > SHV_SLOT_PROC_MASK || page_proc(e) == only))
			pages[only > SHV_SLOT_PROC_MASK ? page_proc(e) : 0]++;
	}
}

uint64_t view_pages_owned(const struct shv_view *v, uint32_t proc, bool again)
{
	uint64_t one = 0;

	if (!v->memo) {
		count_pages(v, &one, proc);
		return one;
	}
	if (again || !v->memo->pages_known) {
		memset(v->memo->pages, 0, sizeof(v->memo->pages));
		count_pages(v, v->memo->pages, UINT64_MAX);
		v->memo->pages_known = true;
	}
	return proc < MEMO_PROCESSES ? v->memo->pages[proc] : 0;
}

/* ---- handing out ----------------------------------------------------------------------------------------- */

int view_deliver(void *out, const void *filled, size_t have, size_t first, const char *who)
{
	size_t size, copy;

	if (!out)
		return fail(-EINVAL, "%s: out is NULL", who);
	memcpy(&size, out, sizeof(size));
	copy = size ? size : first;
	if (copy < first || copy > STRUCT_SIZE_MAX)
		return fail(-EINVAL, "%s: out->size is %zu: set it to the sizeof of the structure, or to 0", who, size);
	if (copy > have) {
		memset((char *)out + have, 0, copy - have);
		copy = have;
	}
	memcpy((char *)out + sizeof(size), (const char *)filled + sizeof(size), copy - sizeof(size));
	return 0;
}

void view_copy_text(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size - 1);

	memcpy(to, from, n);
	to[n] = 0;
}
