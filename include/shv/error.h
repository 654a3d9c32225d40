/* SPDX-License-Identifier: MIT */
/*
 * Errors: one idiom for the whole library.
 *
 * Constructors return the object, or NULL with errno set. Every other function returns 0, a positive
 * fact that its documentation names, or a negative errno value. The library never prints and never
 * ends the process. The errno values in use:
 *
 *   EINVAL           an argument is wrong: NULL, a foreign pointer, another size, an unknown type
 *   ENOMEM, ENOSPC   no memory in this process; no room left in the arena
 *   ESTALE           the object was freed (or the reference belongs to an older object)
 *   EUCLEAN          the arena's shared bytes contradict each other
 *   EBADMSG          the descriptor or file is not an arena
 *   EPROTONOSUPPORT  an arena of another format, word size, page size or lock policy layout
 *   EACCES, EROFS    not permitted; the attachment is read-only
 *   EDEADLK          this thread holds the plain lock already
 *   EPERM            this thread does not hold the lock
 *   EBUSY            somebody else holds it, or it is in use
 *   EAGAIN           bounded tries used up; recursion deeper than 1,023
 *   EUSERS           the process or thread table of the arena is full
 *   ETIMEDOUT        the time is over
 *   ENOTSUP          this process does not know the lock policy, or the operation does not apply
 *   EEXIST, ENOENT   names
 *   ENAMETOOLONG     a name longer than 255 bytes
 *   ERANGE, EOVERFLOW  index or offset past the end; a number that does not fit
 *   ENOTRECOVERABLE  the library's own bookkeeping for this process is gone
 *   EMFILE, ENFILE, ENODEV, ESRCH, EINTR, EIO, ENOTDIR, EISDIR, ENOSYS, ELOOP, ECONNREFUSED, EADDRINUSE
 *                    passed on from the system call that shv_errmsg() names
 */
#ifndef SHV_ERROR_H
#define SHV_ERROR_H

#include <shv/export.h>

SHV_BEGIN_DECLS

/*
 * One sentence on this thread's last failure: what was wrong, with which argument, what to do.
 *
 * Returns: a string of this thread, never NULL, empty before any failure; good until the thread's
 *          next failing call into the library. A success does not clear it.
 * Concurrency: any thread; each has its own.
 * Since: 0.1
 */
SHV_API const char *shv_errmsg(void);

SHV_END_DECLS

#endif /* SHV_ERROR_H */
