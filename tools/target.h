/* SPDX-License-Identifier: MIT */
/*
 * Which arena is meant.
 *
 *   12345        the only arena of process 12345
 *   12345:NAME   its arena of that name
 *   NAME         the only arena of that name on this machine
 *   path:FILE    a snapshot, a core file, or what the file leads to, e.g. /proc/12345/fd/7; anything with a slash in it is taken
 *                as such a file, and so is a word that no arena has as its name
 *   FILE:NAME    the arena of that name in a core file with several
 *   fd:N         a descriptor that was inherited
 *   unix:PATH    what a process serves at that socket, or abstract name (unix:@NAME); also of a user whose /proc may not be looked at
 *   (nothing)    the only arena on this machine
 *
 * Arenas have no names in the file system: they are found through /proc/PID/fd, whose links read
 * "/memfd:shv:NAME (deleted)", as far as this user may look. A process that closed its descriptor and lives on
 * its mapping alone is not found, though others of the same arena are.
 */
#ifndef SHV_TOOLS_TARGET_H
#define SHV_TOOLS_TARGET_H

#include <shv/shv.h>
#include <stddef.h>
#include <sys/types.h>

/* One arena that somebody has open. */
struct found {
	dev_t dev;
	ino_t ino;
	char name[256];
	pid_t *pids;              /* that have a descriptor of it, ascending as /proc lists them */
	size_t n, room;
	int fd;                   /* of the first of them */
};

struct found_list {
	struct found *v;
	size_t n, room;
};

int target_scan(struct found_list *list); /* 0 or negative errno */
void target_scan_free(struct found_list *list);
/* Attach to an arena that was found; flags as for shv_arena_attach(). NULL with errno. */
shv_arena *target_attach_found(const struct found *f, unsigned flags);

/*
 * Attach to what `target` says. flags: SHV_RDONLY, or 0 for a live arena that is to be changed. 0 and *a, or an exit status: the
 * reason, and what there is to choose from, is printed.
 */
int target_attach(const char *target, unsigned flags, shv_arena **a);

#endif /* SHV_TOOLS_TARGET_H */
