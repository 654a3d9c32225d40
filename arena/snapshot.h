/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: what their files share. snapshot.c says how a sound image is made of an arena that is in use.
 *
 *   snapshot.c        which objects belong to the image, and their bytes
 *   snapshot_image.c  the tables around them: page map, chunks, names, members
 *   snapshot_file.c   the file: written beside its place and renamed; read into a memfd of one's own
 */
#ifndef SHV_ARENA_SNAPSHOT_H
#define SHV_ARENA_SNAPSHOT_H

#include "arena/arena_private.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- for values/: how an object's lock is taken ------------------------------------------------------ */

struct snapshot_locks {
	/*
	 * Take the lock of the object with payload p within bounded time. 0; SHV_RECOVERED (its last holder died); -EDEADLK (this
	 * thread has it already); -ESTALE (the object is gone); another negative errno ends the snapshot. *lock: what to give back:
	 * a value with a shared lock may be freed while it is held.
	 */
	int (*take)(void *p, void **lock);
	void (*give)(void *lock);
};
/* locks: NULL: no lock is taken. 0, SHV_RECOVERED, or negative errno. */
int snapshot_take(struct shv_arena *a, const char *path, const struct snapshot_locks *locks) HIDDEN;

/* ---- the file ---------------------------------------------------------------------------------------- */

struct snapshot_file {
	int fd, dir;
	char base[256];            /* its name in dir */
	char temporary[32];        /* until it is whole; empty: has no name yet */
};
int snapshot_file_begin(struct snapshot_file *f, const char *path) HIDDEN; /* 0 or negative errno */
/* n bytes at an offset; pages of zeros stay holes. 0 or negative errno. */
int snapshot_file_put(struct snapshot_file *f, uint64_t off, const void *buf, size_t n) HIDDEN;
int snapshot_file_word(struct snapshot_file *f, uint64_t off, uint64_t word) HIDDEN;
int snapshot_file_clear(struct snapshot_file *f, uint64_t off, uint64_t n) HIDDEN; /* zeros */
/* Whole: gets its size and, once it is on the disk, its name. 0 or negative errno; then abort it. */
int snapshot_file_commit(struct snapshot_file *f, uint64_t size) HIDDEN;
void snapshot_file_abort(struct snapshot_file *f) HIDDEN;

/* ---- the image --------------------------------------------------------------------------------------- */

/* An object that was copied. */
struct snap_object {
	uint64_t off;              /* of its block */
	uint32_t slot;
	uint32_t flags;            /* SNAP_... */
};
#define SNAP_LEFT_OUT 1u           /* not in the image after all */
#define SNAP_NAMED    2u           /* its header says that it has a name */
#define SNAP_IN_USE   4u           /* a text, and a string of the image has it */

/* Something that one of them refers to, by its place in the list. */
struct snap_note {
	uint64_t object;
	uint64_t word;             /* held: the lock word. shared: reference of the lock object. */
};
struct snap_notes {
	struct snap_note *v;
	size_t n, room;
};

/* A text that was replaced while the string was copied: read anew, and put where there is room. */
struct snap_text {
	uint64_t object;           /* the string */
	uint64_t n;                /* bytes, the zero behind them not counted */
	char *text;                /* and that zero */
};

struct snap_name {
	uint32_t slot, hash;
	shv_ref target;
	char *text;
};

struct snap {
	struct shv_arena *a;
	const char *base;          /* the live mapping */
	const struct shv_geo *g;
	struct shv_member *m;      /* NULL: a read-only attachment */
	int live;                  /* descriptor of the memfd */
	const struct snapshot_locks *locks;
	bool recovered;            /* a lock was taken after its holder's death */
	struct snapshot_file file;

	/* Directory. */
	uint32_t chunks;
	struct shv_slot_shm **slots; /* private copies; NULL: no such chunk */
	struct snap_object *objects; /* by offset */
	uint64_t objects_n, objects_room;
	struct snap_notes held, shared;
	struct snap_notes strings; /* word: reference of the text; */
	struct snap_notes parts;   /* of texts */
	struct snap_text *texts;
	size_t texts_n, texts_room;
	struct snap_name *names;
	size_t names_n, names_room;
	uint64_t torn, left_out;

	/* Tables, at their offsets: private memory of data_off bytes. */
	char *image;
	uint64_t pages;
	uint32_t grave;            /* for locks whose holder nobody knows any more; 0 = not dug yet */
};

static inline struct shv_slot_shm *snap_slot(const struct snap *s, uint32_t index)
{
	uint32_t chunk = index / SHV_SLOTS_PER_CHUNK;

	return chunk < s->chunks && s->slots[chunk] ? &s->slots[chunk][index % SHV_SLOTS_PER_CHUNK] : NULL;
}
static inline bool snap_listed(uint64_t word)
{
	return slot_state(word) == SHV_SLOT_LIVE || slot_state(word) == SHV_SLOT_CONDEMNED;
}
/* The image has no such object. It is gone, or damaged: `why` is for nobody but the reader of the code. */
void snap_leave_out(struct snap *s, struct snap_object *o) HIDDEN;
/* The object in that slot; NULL if the image has none there. */
struct snap_object *snap_find(const struct snap *s, uint32_t slot) HIDDEN;

/* Everything but the objects' own bytes: made and written. 0 or negative errno. */
int snap_tables_prepare(struct snap *s) HIDDEN; /* memory */
int snap_tables_load(struct snap *s) HIDDEN;    /* after all objects were copied, before they are looked at again */
int snap_tables_write(struct snap *s) HIDDEN;   /* with what is left of them */
void snap_tables_drop(struct snap *s) HIDDEN;

#endif /* SHV_ARENA_SNAPSHOT_H */
