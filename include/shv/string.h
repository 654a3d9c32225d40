/* SPDX-License-Identifier: MIT */
/*
 * Strings: values whose text lies in the arena and may have any length. (Python's Value(c_char_p, ...) stores the address of one
 * process's memory, which means nothing to another: here it is the text that is shared.)
 *
 * A text is replaced as a whole, by one store: whoever reads, and whoever survives a writer that was killed, sees the old or the
 * new text, never a mixture, never a text cut short. Texts are bytes; what they encode is left alone, so UTF-8 is kept as it is, and
 * so are zero bytes where the length is given (the ..._n forms). Behind each text is a zero that its length does not count.
 *
 * A string is a shv_value: shv_acquire(), shv_with(), shv_publish(), shv_ref_of(), shv_value_free() and inspection take it, and
 * shv_len() is its length. shv_get() and what else works on contents of fixed size refuses it with -EINVAL.
 *
 * All of these may be called by any thread of any process at any time. With SHV_NONE nothing is locked, and
 * replacing is still atomic. If the caller dies inside, the string has the old or the new text; its lock, if it held it, tells the
 * next taker (SHV_RECOVERED); what the unfinished change took is given back by recovery.
 */
#ifndef SHV_STRING_H
#define SHV_STRING_H

#include <shv/arena.h>
#include <shv/export.h>
#include <shv/lock.h>
#include <shv/value.h>
#include <stddef.h>
#include <sys/types.h>
#include <wchar.h>

SHV_BEGIN_DECLS

/*
 * Make a string. text: in, NUL-terminated; NULL for an empty one. The _n form takes n bytes, zero bytes included; text may be
 * NULL if n is 0.
 * Returns: the string, or NULL with errno: EINVAL, ENOSPC, ENOMEM, EROFS, EUSERS, ENOTSUP, ESTALE (shared lock freed),
 * ENOTRECOVERABLE; the same as shv_value_new().
 * If the caller dies here: it is there with its whole text, or not at all.
 * Since: 0.1
 */
SHV_API shv_value *shv_string_new(shv_arena *a, const char *text, shv_lockspec lock);
SHV_API shv_value *shv_string_new_n(shv_arena *a, const char *text, size_t n, shv_lockspec lock);

/*
 * Replace the text, under the string's lock. text must not be NULL unless n is 0; it may lie in the string itself.
 * Returns: 0, or SHV_RECOVERED (replaced, and the last holder of the lock died with it); -EINVAL (not a string, of wide
 * characters, NULL), -ENOSPC, -ENOMEM, -EROFS, -ESTALE, -EDEADLK, -EAGAIN, -ENOTSUP, -EUSERS,
 * -ENOTRECOVERABLE, -EUCLEAN: then the text is as it was. A string that is freed meanwhile is -ESTALE, lock or not.
 * Since: 0.1
 */
SHV_API int shv_string_set(shv_value *v, const char *text);
SHV_API int shv_string_set_n(shv_value *v, const char *text, size_t n);

/* Put text at the end, under the string's lock: what s += text would be. Returns as shv_string_set(). Since: 0.1 */
SHV_API int shv_string_append(shv_value *v, const char *text);
SHV_API int shv_string_append_n(shv_value *v, const char *text, size_t n);

/*
 * Copy the text, under the string's lock; without it on a read-only attachment. buf: out, at most n - 1 bytes and a NUL, or
 * nothing if n is 0. A result of n or more says that the text was cut.
 * Returns: the length of the whole text, as snprintf() does; -EINVAL, -ESTALE, -EDEADLK, -EAGAIN (so many writers that no copy could be
 * made, read-only), -ENOTSUP, -EUSERS, -ENOTRECOVERABLE, -EUCLEAN. If the last holder of the lock died, the text is still whole, and
 * shv_last_holder() tells who it was.
 * Since: 0.1
 */
SHV_API ssize_t shv_string_get(shv_value *v, char *buf, size_t n);

/*
 * The same without taking the lock: waits for nobody, disturbs nobody, and works on read-only attachments. The text is
 * whole, but may be one that its writer, still holding the lock, is about to replace. -EINVAL, -ESTALE, -EAGAIN, -EUCLEAN.
 * Since: 0.1
 */
SHV_API ssize_t shv_string_peek(const shv_value *v, char *buf, size_t n);

/*
 * A copy of the text in memory of its own, with a NUL behind it, in one step: no length to be asked for before. len: out, its length
 * in bytes (in wide characters for shv_wstring_dup()), may be NULL. Free it with free().
 * Returns: NULL with errno as shv_string_get() has it, or ENOMEM.
 * Since: 0.1
 */
SHV_API char *shv_string_dup(shv_value *v, size_t *len);

/*
 * Where the text lies, for reading it in place: hold the lock as long as you do, and let nobody change the string meanwhile, you
 * yourself included. len: out, its length, may be NULL. An empty text is "".
 * Returns: NULL with errno EINVAL (not a string; of wide characters), ESTALE, EUCLEAN, EAGAIN (it is being changed: it was not locked).
 * Since: 0.1
 */
SHV_API const char *shv_string_data(const shv_value *v, size_t *len);

/*
 * Strings of wchar_t (Python's c_wchar_p). Lengths and sizes count wide characters; wcslen() takes the place of strlen().
 * Otherwise as above. Since: 0.1
 */
SHV_API shv_value *shv_wstring_new(shv_arena *a, const wchar_t *text, shv_lockspec lock);
SHV_API shv_value *shv_wstring_new_n(shv_arena *a, const wchar_t *text, size_t n, shv_lockspec lock);
SHV_API int shv_wstring_set(shv_value *v, const wchar_t *text);
SHV_API int shv_wstring_set_n(shv_value *v, const wchar_t *text, size_t n);
SHV_API int shv_wstring_append(shv_value *v, const wchar_t *text);
SHV_API int shv_wstring_append_n(shv_value *v, const wchar_t *text, size_t n);
SHV_API ssize_t shv_wstring_get(shv_value *v, wchar_t *buf, size_t n);
SHV_API ssize_t shv_wstring_peek(const shv_value *v, wchar_t *buf, size_t n);
SHV_API wchar_t *shv_wstring_dup(shv_value *v, size_t *len);
SHV_API const wchar_t *shv_wstring_data(const shv_value *v, size_t *len);

SHV_END_DECLS

#endif /* SHV_STRING_H */
