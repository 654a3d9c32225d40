/* SPDX-License-Identifier: MIT */
/*
 * Arenas over a Unix socket: a process serves its arena at a path, others connect to it by that path. For processes that are
 * neither parent nor child of each other, and for those of another user, who may not look into each other's /proc.
 *
 * Only the way in goes over the socket: whoever has connected is a member like all others, and does not notice when the server ends.
 */
#ifndef SHV_SERVE_H
#define SHV_SERVE_H

#include <shv/arena.h>
#include <shv/export.h>
#include <stddef.h>
#include <sys/types.h>

SHV_BEGIN_DECLS

/* In a list of users or groups: everybody who can reach the socket. */
#define SHV_EVERYBODY ((unsigned)-1)

/*
 * Who may have what. The serving process's effective user and root may read and write; the lists admit others. A client is asked for by
 * what the kernel says of it (SO_PEERCRED, SO_PEERGROUPS): its effective user, its effective and supplementary groups, at the moment
 * it connected. Who is in several lists has the greatest of these rights. NULL everywhere means the default: nobody else.
 */
struct shv_serve_options {
	size_t size;              /* sizeof(struct shv_serve_options); 0 = layout of version 0.1 */
	const uid_t *users;       /* may read and write; copied */
	size_t users_n;
	const gid_t *groups;
	size_t groups_n;
	const uid_t *read_users;  /* may attach with SHV_RDONLY */
	size_t read_users_n;
	const gid_t *read_groups;
	size_t read_groups_n;
	mode_t mode;              /* of the socket file; 0 = 0600, or 0666 if any list has an entry: the lists decide, not the file */
	unsigned flags;           /* SHV_RDONLY: nobody gets more than reading, whoever it is */
};

/*
 * Hand descriptors of the arena to those who connect to a socket, in a thread of this process, until shv_arena_unserve(),
 * shv_arena_detach() or the end of the process.
 *
 * a: in, an attachment that can write. One service at a time for each attachment.
 * path: in, where the socket file is made, at most 107 bytes; its folder must be there. '@name' is a name in the abstract namespace
 *       instead: no file, no file mode, and anybody of the machine (of the network namespace) may take the name before you or ask for it.
 *       A socket file that a dead server left is replaced. Nothing else is: a living server's, or a file of another kind, is refused.
 * opt: in, NULL for the defaults: this user and root, mode 0600.
 * Each client gets file descriptions of its own, so that the kernel tells when it dies; one that may only read gets a description that
 *       is open for reading. That binds other users. Whoever has this process's user, or is root, can open the file anew for writing.
 * The thread keeps its descriptors in a table of its own: none appears in this process's, none goes to a child of fork or exec, and
 *       closefrom() does not end the service. It sleeps while nobody connects, blocks all signals, and never enters the arena. A client that
 *       sends nonsense or nothing is dismissed after two seconds, or sooner if 64 others wait.
 * After fork the child does not serve; what it does with the attachment leaves the socket alone.
 * Returns: 0; -EINVAL (an argument), -EROFS (a read-only attachment), -EBUSY (a service of this attachment runs; or another process has
 *       kept the folder locked for two seconds), -EADDRINUSE (somebody serves there), -EEXIST (path is no socket), -ENAMETOOLONG,
 *       -EACCES (the memfd cannot be reopened; or as the system says of the path), -ENOENT, -ENOTDIR, -ELOOP, -EROFS, -EPERM, -ENOSPC,
 *       -ENOMEM, -EMFILE, -ENFILE, -EAGAIN (no thread to be had), -EBADF (the program closed the arena's descriptor), -ENOTSUP (no
 *       close_range(): Linux before 5.9, or a filter).
 * Concurrency: any thread, at any time; not while the attachment is being detached.
 * If the caller dies here: or later while serving, the socket file stays, refuses (ECONNREFUSED), and is replaced by the next server.
 * Since: 0.1
 */
SHV_API int shv_arena_serve(shv_arena *a, const char *path, const struct shv_serve_options *opt);

/*
 * End the service: the thread ends, the socket file goes (if it is still this service's). Clients that have connected stay.
 *
 * Returns: 0; -EINVAL (not an attachment), -ENOENT (none runs here; also in a child of the serving process).
 * Concurrency: as shv_arena_serve().
 * If the caller dies here: as there.
 * Since: 0.1
 */
SHV_API int shv_arena_unserve(shv_arena *a);

/*
 * Attach to the arena that another process serves, or this one.
 *
 * path: in, as for shv_arena_serve(). flags: as for shv_arena_attach(): SHV_RDONLY, SHV_POPULATE, SHV_DUMP.
 * A process that may not reopen the memfd because it is another user's is a full member nevertheless. Its forked children, which are
 *       members of their own, ask the server again for that: when it is gone, their first call gives -EACCES.
 * Who attaches for writing trusts the server and all other writers, so the path should be one that only a trusted process can serve.
 * Returns: the attachment, or NULL with errno: EINVAL, ENAMETOOLONG, ENOENT (nothing there), ECONNREFUSED (nobody serves there now, or it
 *       is no socket), EACCES (the path, or the server does not let this user have that), ECONNRESET (the server went away),
 *       ETIMEDOUT (it did not answer within three seconds), EPROTO (it is no server of an arena), EPROTONOSUPPORT (one of another
 *       version), ENOTDIR, ELOOP, EMFILE, ENFILE, ENOMEM, EPERM (a security module); else as shv_arena_attach().
 * If the caller dies here: as shv_arena_attach().
 * Since: 0.1
 */
SHV_API shv_arena *shv_arena_connect(const char *path, unsigned flags);

SHV_END_DECLS

#endif /* SHV_SERVE_H */
