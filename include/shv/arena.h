/* SPDX-License-Identifier: MIT */
/*
 * Arenas: one memfd that many processes map, each where it likes, and allocate from.
 *
 * Concurrency: every function here may be called by any thread of any attached process at any time,
 * except shv_arena_detach(), which no other thread of the process may be inside of. None may be
 * called from a signal handler. After fork() the child goes on with the same shv_arena pointers; it
 * becomes a process of its own at its first call.
 */
#ifndef SHV_ARENA_H
#define SHV_ARENA_H

#include <shv/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

SHV_BEGIN_DECLS

typedef struct shv_arena shv_arena; /* this process's attachment; private memory */

/* Flags of shv_arena_options, and of the functions that take `unsigned flags`. */
#define SHV_HUGEPAGE (1u << 0) /* create: ask for transparent huge pages (advice only) */
#define SHV_POPULATE (1u << 1) /* create, attach: back pages when they are handed out, so that shortage is ENOMEM */
#define SHV_RDONLY (1u << 2)   /* attach: map read-only, register nowhere, disturb nothing */
#define SHV_RESTORE (1u << 3)  /* open: copy the snapshot into a new arena that can be written */
#define SHV_LOCKED (1u << 4)   /* snapshot: copy each value under its own lock */
#define SHV_DUMP (1u << 5)     /* create, attach: include the arena's pages in core dumps of this process */

/* What shv_arena_create() may be told. Zero everywhere means the default. */
struct shv_arena_options {
	size_t size;            /* sizeof(struct shv_arena_options); 0 = layout of version 0.1 */
	const char *name;       /* shown by shvdump, asked for by attach_pid; at most 63 bytes, no '/'; default "arena" */
	size_t capacity;        /* bytes of address space to reserve, 32 MiB (more with thousands of processes) to 4 TiB; default 64 GiB, or less where that is refused */
	unsigned max_processes; /* attached at one time; 1 to 4,000; default 1,024 */
	unsigned flags;         /* SHV_HUGEPAGE | SHV_POPULATE | SHV_DUMP */
};

/*
 * Make a new, empty arena in a sealed memfd and attach this process to it.
 *
 * opt: in, may be NULL for the defaults. Only address space is reserved; memory is taken as used.
 * Returns: the attachment, or NULL with errno: EINVAL (an option out of range), ENOMEM, EMFILE,
 *          ENFILE, ENOSYS (no memfd_create), EACCES (no /proc to reopen the memfd through).
 * If the caller dies here: the memfd goes with its last descriptor; nothing stays.
 * Since: 0.1
 */
SHV_API shv_arena *shv_arena_create(const struct shv_arena_options *opt);

/*
 * Attach to the arena behind a descriptor that was inherited, received or opened.
 *
 * fd: in, any descriptor of the memfd; stays the caller's and may be closed afterwards.
 * flags: SHV_RDONLY, SHV_POPULATE, SHV_DUMP. A descriptor that was opened read-only needs SHV_RDONLY.
 * Attaching twice gives two mappings of one membership. Time does not depend on the values inside;
 * if dead members are found, they are recovered first.
 * Returns: the attachment, or NULL with errno: EINVAL (flags), EBADF, EBADMSG (not an arena), EPROTONOSUPPORT
 *          (another format or layout), EUCLEAN (damaged), EACCES (cannot be written or reopened),
 *          EUSERS (process table full), ENOMEM, EMFILE.
 * If the caller dies here: the process slot is found by the kernel's lock and given back.
 * Since: 0.1
 */
SHV_API shv_arena *shv_arena_attach(int fd, unsigned flags);

/*
 * Attach to an arena that another process has open, found through /proc/PID/fd, and through
 * pidfd_getfd() where that is refused.
 *
 * pid: in, the other process. name: in, the arena's name, or NULL if it has only one.
 * Returns: as shv_arena_attach(); also ESRCH (no such process), ENOENT (no arena, or none of that
 *          name), EBUSY (several arenas and no name), EACCES or EPERM (not permitted to look).
 * Since: 0.1
 */
SHV_API shv_arena *shv_arena_attach_pid(pid_t pid, const char *name, unsigned flags);

/*
 * A descriptor of the arena's memfd, to inherit or to send. It stays the library's: do not close it;
 * dup() it without FD_CLOEXEC to pass it through exec.
 * Returns: the descriptor, -EINVAL (NULL), -EBADF (somebody closed it and no other could be had).
 * Since: 0.1
 */
SHV_API int shv_arena_fd(const shv_arena *a);

/*
 * A new read-only descriptor of the arena (the caller closes it), enough for shv_arena_attach() with SHV_RDONLY.
 * Returns: the descriptor, or a negative errno: -EINVAL, -EACCES, -EMFILE, -EBADF.
 * Since: 0.1
 */
SHV_API int shv_arena_fd_rdonly(const shv_arena *a);

/*
 * End this attachment. The last one of the process gives up its membership: cached memory goes back,
 * objects stay for the others, and shv_arena pointers and value pointers of this mapping are dead. A service of this attachment
 * (shv_arena_serve()) ends.
 *
 * Returns: 0; -EINVAL (not an attachment); -EBUSY (this process holds a lock in the arena: release it first); -ENOMEM (this thread was not
 *          here before, and there is no memory for its part): the attachment stays.
 * Concurrency: no other thread of this process may be inside the arena.
 * If the caller dies here: as anywhere, its pages and slots are recovered by the others.
 * Since: 0.1
 */
SHV_API int shv_arena_detach(shv_arena *a);

/* What shv_arena_recover() found and mended. */
struct shv_recovery {
	size_t size;               /* in: sizeof(struct shv_recovery), or 0 */
	uint32_t processes;        /* dead processes whose leavings were put in order */
	uint32_t threads;          /* thread entries given back */
	uint32_t values_completed; /* frees that the dead had begun and that were finished */
	uint32_t values_undone;    /* creations that the dead had begun and that were taken back */
	uint32_t locks_abandoned;  /* locks that they held, now handed to the next taker */
	uint64_t pages_freed;      /* pages that went back to the pool */
	uint64_t pages_orphaned;   /* pages that stay because live objects are on them */
};

/*
 * Look for dead members and put in order what they left. Others do this by themselves when they
 * attach, meet a dead owner, or run out of pages; calling it is never necessary.
 *
 * out: out, may be NULL.
 * Returns: the number of dead processes recovered (0 = none), or -EINVAL, -EROFS, -ENOMEM,
 *          -EUCLEAN, -ENOTRECOVERABLE.
 * If the caller dies here: the next one repeats what was begun.
 * Since: 0.1
 */
SHV_API int shv_arena_recover(shv_arena *a, struct shv_recovery *out);

/*
 * Give memory back to the system: this thread's magazines and caches, jemalloc's cached pages; other
 * threads and attached processes are asked to do so at their next call. Lock objects that were freed
 * and are no longer used by any value go too.
 *
 * Returns: 0, or -EINVAL, -EROFS, -ENOTRECOVERABLE.
 * Since: 0.1
 */
SHV_API int shv_arena_trim(shv_arena *a);

/*
 * Write the arena into a file, while others go on using it.
 *
 * path: in, the file; its folder must be there. It is written beside its place, brought to the disk (fsync) and renamed, so that
 *       the path has the old file or the whole new one. Mode 0600; sparse. An ordinary file is replaced, anything else refused.
 * flags: 0, or SHV_LOCKED.
 * What is in it: the objects that lived at one moment during the call, but for those that were freed before the call was over; names,
 *       types, policies; who was attached, and which locks were held. shv_check() finds nothing in it unless it does in the arena.
 * Contents: without flags, each object's bytes are one consistent copy, as shv_peek() makes it, of some moment during the call, not of
 *       the same one for all; no lock is taken, nobody is disturbed, and a read-only attachment will do. Where somebody has the lock
 *       all the time the copy may be half of each: the image shows the lock held, and shv_stat() counts such objects.
 *       SHV_LOCKED: each value, array or string is copied under its lock, one after the other. A lock that is not to be had within a
 *       second ends the call: -ETIMEDOUT, and nothing is written. A lock that this thread holds is taken as it is. A lock whose
 *       holder died is left for the next taker, who will be told; the copy says so too. Raw objects and SHV_NONE have no lock.
 * In the file all processes are of the past: see shv_arena_open().
 * Returns: 0; SHV_RECOVERED (1: done, but while the lock of a user-supplied policy or one that died just then was taken, its last holder
 *       turned out to be dead); -EINVAL, -EROFS (SHV_LOCKED needs an attachment that can write), -ETIMEDOUT, -ENOTSUP (SHV_LOCKED: a lock
 *       policy is not registered here), -ENOMEM, -EBADF (the program closed the arena's descriptor), -EEXIST (path is no ordinary
 *       file), -EFBIG (RLIMIT_FSIZE); what the system says of the path: -EACCES, -ENOENT, -ENOTDIR, -EISDIR, -ELOOP, -ENAMETOOLONG,
 *       -EROFS, -EPERM, -ENOSPC, -EDQUOT, -EIO, -EMFILE, -ENFILE.
 * If the caller dies here: the path is as it was; where the file system has no O_TMPFILE, a file .shv-* may stay beside it. A lock that
 *       was held for copying is handed to its next taker.
 * Since: 0.1
 */
SHV_API int shv_arena_snapshot(shv_arena *a, const char *path, unsigned flags);

/*
 * Open a snapshot. Its bytes are read into a memfd of this process: the file may then be changed or deleted.
 *
 * path: in. flags: 0: an attachment to look at, read-only, that nobody else shares, and in which every process counts as dead (what
 *       they held shows as abandoned). Only the superblock is validated at once; like everything that reads, the functions that
 *       look at it believe no other number, and shv_check() tells whether it is sound.
 *       SHV_RESTORE: a new live arena with a uuid of its own, ready for use by any number of processes. The whole snapshot
 *       must pass shv_check(). The dead are recovered: their locks are handed to the next taker, who gets SHV_RECOVERED. References,
 *       names and offsets are the same as in the arena of which the snapshot was made.
 *       Also SHV_DUMP; with SHV_RESTORE SHV_POPULATE.
 * Returns: the attachment, or NULL with errno: EINVAL, EBADMSG (not a snapshot), EPROTONOSUPPORT (another format or layout),
 *       EUCLEAN (damaged), ENOMEM, ENOSPC, EISDIR; ENOENT, EACCES, ENOTDIR, ELOOP, ENAMETOOLONG, EMFILE, ENFILE, EIO, EPERM as the system
 *       says; with SHV_RESTORE also as shv_arena_attach().
 * If the caller dies here: nothing stays.
 * Since: 0.1
 */
SHV_API shv_arena *shv_arena_open(const char *path, unsigned flags);

/* The arena that an object lies in, NULL with errno EINVAL if p is in no arena of this process. Since: 0.1 */
SHV_API shv_arena *shv_arena_of(const void *p);

/* The arena's name; good while attached; NULL with errno EINVAL for NULL. Since: 0.1 */
SHV_API const char *shv_arena_name(const shv_arena *a);

SHV_END_DECLS

#include <shv/serve.h>

#endif /* SHV_ARENA_H */
