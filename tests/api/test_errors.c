/* SPDX-License-Identifier: MIT */
/*
 * Refusals: every public function with NULL, foreign pointers, freed objects, objects of the wrong kind, and in
 * every other situation for which the headers name an error.
 *
 * contract[] is what the headers say: which function may fail how. A test that provokes an error says so there
 * (REFUSED), and the last test goes through the list: what was never provoked must have a reason why it cannot be
 * from here. An error that is not in the list is a failure of the test that got it.
 *
 * Each test runs in a process of its own; the list's marks are in shared memory.
 */
#include "api/api.h"
#include "api/word_policy.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <wchar.h>

/* ---- the contract ------------------------------------------------------------------------------------- */

#define NOT_FROM_OUTSIDE "needs damage or a failure that cannot be made from outside"
#define NOT_ALLOWED "the sandbox does not let system calls fail"
#define NOT_ROOT "needs a privilege that this user has not"

#define MAY(f, error) { .function = (f), .code = (error) }
#define MAYBE(f, error, reason) { .function = (f), .code = (error), .why_not = (reason) }
/* What acquiring a lock may end with. */
#define TAKING(f) MAY(f, EDEADLK), MAY(f, EAGAIN), MAY(f, ESTALE), MAY(f, EINVAL), MAY(f, ENOTSUP), MAY(f, EUSERS)
/* What making something may end with. */
#define MAKING(f) MAY(f, EINVAL), MAY(f, ENOSPC), MAY(f, ENOMEM), MAY(f, EROFS), MAY(f, EUSERS), MAY(f, ENOTRECOVERABLE)
#define MAKING_TEXT(f) MAKING(f), MAY(f, ENOTSUP), MAY(f, ESTALE)
/* What changing a string may end with, and reading it. */
#define SETTING(f) TAKING(f), MAY(f, ENOSPC), MAYBE(f, ENOMEM, NOT_FROM_OUTSIDE), MAY(f, EROFS), MAYBE(f, ENOTRECOVERABLE, NOT_FROM_OUTSIDE), \
		   MAYBE(f, EUCLEAN, NOT_FROM_OUTSIDE)
#define READING(f) TAKING(f), MAYBE(f, ENOTRECOVERABLE, NOT_FROM_OUTSIDE), MAY(f, EUCLEAN)
#define PEEKING(f) MAY(f, EINVAL), MAY(f, ESTALE), MAYBE(f, EAGAIN, "needs writers at each of a thousand tries"), MAY(f, EUCLEAN)
#define WALKING(f) MAY(f, EINVAL), MAYBE(f, EUCLEAN, NOT_FROM_OUTSIDE), MAYBE(f, ENOTRECOVERABLE, NOT_FROM_OUTSIDE)

static struct promise {
	const char *function;
	int code;
	const char *why_not; /* it need not be provoked */
	unsigned provoked;
} contract[] = {
	MAY("shv_arena_create", EINVAL),
	MAY("shv_arena_create", ENOMEM),
	MAY("shv_arena_create", EMFILE),
	MAYBE("shv_arena_create", ENFILE, NOT_ALLOWED),
	MAYBE("shv_arena_create", ENOSYS, NOT_ALLOWED),
	MAYBE("shv_arena_create", EACCES, NOT_ALLOWED),
	MAY("shv_arena_attach", EINVAL),
	MAY("shv_arena_attach", EBADF),
	MAY("shv_arena_attach", EBADMSG),
	MAY("shv_arena_attach", EPROTONOSUPPORT),
	MAY("shv_arena_attach", EUCLEAN),
	MAY("shv_arena_attach", EACCES),
	MAY("shv_arena_attach", EUSERS),
	MAY("shv_arena_attach", ENOMEM),
	MAY("shv_arena_attach", EMFILE),
	MAY("shv_arena_attach_pid", EINVAL),
	MAY("shv_arena_attach_pid", ESRCH),
	MAY("shv_arena_attach_pid", ENOENT),
	MAY("shv_arena_attach_pid", EBUSY),
	MAYBE("shv_arena_attach_pid", EACCES, NOT_ROOT),
	MAYBE("shv_arena_attach_pid", EPERM, "the kernel says EACCES in the cases that can be had here"),
	MAY("shv_arena_fd", EINVAL),
	MAY("shv_arena_fd", EBADF),
	MAY("shv_arena_fd_rdonly", EINVAL),
	MAYBE("shv_arena_fd_rdonly", EACCES, NOT_ROOT),
	MAY("shv_arena_fd_rdonly", EMFILE),
	MAY("shv_arena_fd_rdonly", EBADF),
	MAY("shv_arena_detach", EINVAL),
	MAY("shv_arena_detach", EBUSY),
	MAYBE("shv_arena_detach", ENOMEM, "takes a new thread without room: test_short"),
	MAY("shv_arena_snapshot", EINVAL),
	MAY("shv_arena_snapshot", EROFS),
	MAY("shv_arena_snapshot", ETIMEDOUT),
	MAY("shv_arena_snapshot", ENOTSUP),
	MAY("shv_arena_snapshot", ENOMEM),
	MAY("shv_arena_snapshot", EBADF),
	MAY("shv_arena_snapshot", EEXIST),
	MAY("shv_arena_snapshot", EFBIG),
	MAYBE("shv_arena_snapshot", EACCES, NOT_ROOT),
	MAY("shv_arena_snapshot", ENOENT),
	MAY("shv_arena_snapshot", ENOTDIR),
	MAY("shv_arena_snapshot", EISDIR),
	MAY("shv_arena_snapshot", ELOOP),
	MAY("shv_arena_snapshot", ENAMETOOLONG),
	MAY("shv_arena_snapshot", EMFILE),
	MAYBE("shv_arena_snapshot", EPERM, NOT_ROOT),
	MAYBE("shv_arena_snapshot", ENOSPC, NOT_FROM_OUTSIDE),
	MAYBE("shv_arena_snapshot", EDQUOT, NOT_FROM_OUTSIDE),
	MAYBE("shv_arena_snapshot", EIO, NOT_FROM_OUTSIDE),
	MAYBE("shv_arena_snapshot", ENFILE, NOT_ALLOWED),
	MAY("shv_arena_serve", EINVAL),
	MAY("shv_arena_serve", EROFS),
	MAY("shv_arena_serve", EBUSY),
	MAY("shv_arena_serve", EADDRINUSE),
	MAY("shv_arena_serve", EEXIST),
	MAY("shv_arena_serve", ENAMETOOLONG),
	MAY("shv_arena_serve", ENOENT),
	MAY("shv_arena_serve", ENOTDIR),
	MAY("shv_arena_serve", ELOOP),
	MAY("shv_arena_serve", EMFILE),
	MAYBE("shv_arena_serve", EBADF, NOT_ROOT),
	MAYBE("shv_arena_serve", EACCES, NOT_ROOT),
	MAYBE("shv_arena_serve", EPERM, NOT_ALLOWED),
	MAYBE("shv_arena_serve", ENOSPC, NOT_ALLOWED),
	MAYBE("shv_arena_serve", ENOMEM, NOT_ALLOWED),
	MAYBE("shv_arena_serve", ENFILE, NOT_ALLOWED),
	MAYBE("shv_arena_serve", EAGAIN, NOT_ALLOWED),
	MAYBE("shv_arena_serve", ENOTSUP, NOT_ALLOWED),
	MAY("shv_arena_unserve", EINVAL),
	MAY("shv_arena_unserve", ENOENT),
	MAY("shv_arena_connect", EINVAL),
	MAY("shv_arena_connect", ENAMETOOLONG),
	MAY("shv_arena_connect", ENOENT),
	MAY("shv_arena_connect", ECONNREFUSED),
	MAY("shv_arena_connect", ECONNRESET),
	MAY("shv_arena_connect", ETIMEDOUT),
	MAY("shv_arena_connect", EPROTO),
	MAY("shv_arena_connect", EPROTONOSUPPORT),
	MAY("shv_arena_connect", ENOTDIR),
	MAY("shv_arena_connect", ELOOP),
	MAY("shv_arena_connect", EMFILE),
	MAY("shv_arena_connect", EBADMSG),
	MAY("shv_arena_connect", EACCES),
	MAY("shv_arena_connect", EUSERS),
	MAYBE("shv_arena_connect", ENFILE, NOT_ALLOWED),
	MAYBE("shv_arena_connect", ENOMEM, NOT_ALLOWED),
	MAYBE("shv_arena_connect", EPERM, NOT_ALLOWED),
	MAY("shv_arena_connect", EUCLEAN),
	MAY("shv_arena_open", EINVAL),
	MAY("shv_arena_open", EBADMSG),
	MAY("shv_arena_open", EPROTONOSUPPORT),
	MAY("shv_arena_open", EUCLEAN),
	MAY("shv_arena_open", ENOMEM),
	MAY("shv_arena_open", ENOSPC),
	MAY("shv_arena_open", EISDIR),
	MAY("shv_arena_open", ENOENT),
	MAY("shv_arena_open", ENOTDIR),
	MAY("shv_arena_open", ELOOP),
	MAY("shv_arena_open", ENAMETOOLONG),
	MAY("shv_arena_open", EMFILE),
	MAYBE("shv_arena_open", EACCES, NOT_ROOT),
	MAYBE("shv_arena_open", EPERM, NOT_ROOT),
	MAYBE("shv_arena_open", ENFILE, NOT_ALLOWED),
	MAYBE("shv_arena_open", EIO, NOT_FROM_OUTSIDE),
	MAY("shv_arena_recover", EINVAL),
	MAY("shv_arena_recover", EROFS),
	MAY("shv_arena_recover", ENOMEM),
	MAYBE("shv_arena_recover", EUCLEAN, "the format is not known without docs/FORMAT.md"),
	MAY("shv_arena_recover", ENOTRECOVERABLE),
	MAY("shv_arena_trim", EINVAL),
	MAY("shv_arena_trim", EROFS),
	MAY("shv_arena_trim", ENOTRECOVERABLE),
	MAY("shv_arena_of", EINVAL),
	MAY("shv_arena_name", EINVAL),
	MAY("shv_typecode", EINVAL),
	MAY("shv_type_parse", EINVAL),
	MAY("shv_type_parse", EOVERFLOW),
	MAY("shv_type_parse", ENOMEM),
	MAY("shv_type_struct", EINVAL),
	MAY("shv_type_struct", EOVERFLOW),
	MAY("shv_type_struct", ENOMEM),
	MAY("shv_type_size", EINVAL),
	MAY("shv_type_align", EINVAL),
	MAY("shv_type_format", EINVAL),
	MAY("shv_type_name", EINVAL),
	MAY("shv_type_members", EINVAL),
	MAY("shv_type_member", EINVAL),
	MAY("shv_type_member", ERANGE),
	MAY("shv_type_text", EINVAL),
	MAY("shv_type_of_id", EINVAL),
	MAY("shv_type_of_id", ENOENT),
	MAYBE("shv_type_of_id", EUCLEAN, NOT_FROM_OUTSIDE),
	MAYBE("shv_type_of_id", ENOMEM, NOT_FROM_OUTSIDE),
	MAKING("shv_value_new"),
	MAY("shv_value_new", EPROTONOSUPPORT),
	MAY("shv_value_new", ENOTSUP),
	MAY("shv_value_new", ESTALE),
	MAY("shv_value_new", EOWNERDEAD), /* of the policy's init() */
	MAKING("shv_array_new"),
	MAY("shv_array_new", EPROTONOSUPPORT),
	MAY("shv_array_new", ENOTSUP),
	MAY("shv_array_new", ESTALE),
	MAY("shv_array_new", EOVERFLOW),
	MAY("shv_array_new", EOWNERDEAD),
	MAKING("shv_raw_new"),
	MAY("shv_raw_new", EPROTONOSUPPORT),
	MAKING("shv_raw_array_new"),
	MAY("shv_raw_array_new", EPROTONOSUPPORT),
	MAY("shv_raw_array_new", EOVERFLOW),
	MAY("shv_value_free", EBUSY),
	MAY("shv_value_free", EINVAL),
	MAY("shv_value_free", ESTALE),
	MAY("shv_value_free", EROFS),
	MAY("shv_value_free", EUSERS),
	MAY("shv_value_free", ENOTSUP),
	MAY("shv_raw_free", EINVAL),
	MAY("shv_raw_free", ESTALE),
	MAY("shv_raw_free", EROFS),
	MAY("shv_raw_free", EUSERS),
	MAY("shv_value_data", EINVAL),
	MAY("shv_value_data", ESTALE),
	MAY("shv_value_type", EINVAL),
	MAY("shv_value_type", ESTALE),
	MAY("shv_value_lock", EINVAL),
	MAY("shv_value_lock", ESTALE),
	TAKING("shv_get"),
	TAKING("shv_set"),
	MAY("shv_set", EROFS),
	TAKING("shv_get_typed"),
	TAKING("shv_set_typed"),
	MAY("shv_set_typed", EROFS),
	TAKING("SHV_LOAD"),
	TAKING("shv_acquire"),
	MAY("shv_acquire", EROFS),
	TAKING("shv_try_acquire"),
	MAY("shv_try_acquire", EROFS),
	MAY("shv_try_acquire", EBUSY),
	TAKING("shv_acquire_for"),
	MAY("shv_acquire_for", EROFS),
	MAY("shv_acquire_for", ETIMEDOUT),
	MAY("shv_release", EPERM),
	MAY("shv_release", EINVAL),
	MAY("shv_release", ESTALE),
	MAY("shv_release", EROFS),
	MAY("shv_release", ENOTSUP),
	MAY("shv_release", EUSERS),
	TAKING("shv_with"),
	MAY("shv_with", EROFS),
	MAY("shv_peek", EAGAIN),
	MAY("shv_peek", ENOTSUP),
	MAY("shv_peek", EINVAL),
	MAY("shv_peek", ESTALE),
	MAY("shv_value_holder", EINVAL),
	MAY("shv_value_holder", ESTALE),
	MAY("shv_value_holder", ENOTSUP),
	MAY("shv_last_holder", ENOENT),
	MAY("shv_last_holder", EINVAL),
	MAY("shv_last_holder", ESTALE),
	TAKING("shv_add"),
	MAY("shv_add", EROFS),
	TAKING("shv_addf"),
	MAY("shv_addf", EROFS),
	TAKING("shv_compare_exchange"),
	MAY("shv_compare_exchange", EROFS),
	TAKING("shv_get_item"),
	MAY("shv_get_item", ERANGE),
	TAKING("shv_set_item"),
	MAY("shv_set_item", ERANGE),
	MAY("shv_set_item", EROFS),
	TAKING("shv_get_slice"),
	MAY("shv_get_slice", ERANGE),
	TAKING("shv_set_slice"),
	MAY("shv_set_slice", ERANGE),
	MAY("shv_set_slice", EROFS),
	TAKING("shv_chars_get"),
	MAY("shv_chars_get", ENOMEM),
	TAKING("shv_chars_set"),
	MAY("shv_chars_set", EOVERFLOW),
	MAY("shv_chars_set", EROFS),
	TAKING("shv_wchars_get"),
	MAYBE("shv_wchars_get", ENOMEM, "as shv_chars_get()"),
	TAKING("shv_wchars_set"),
	MAY("shv_wchars_set", EOVERFLOW),
	MAY("shv_wchars_set", EROFS),
	MAY("shv_type_field", EINVAL),
	MAY("shv_type_field", ENOENT),
	MAY("shv_type_field", ERANGE),
	MAY("shv_field", EINVAL),
	MAY("shv_field", ENOENT),
	MAY("shv_field", ERANGE),
	MAY("shv_field", ESTALE),
	TAKING("shv_field_get"),
	MAY("shv_field_get", ENOENT),
	MAY("shv_field_get", ERANGE),
	TAKING("shv_field_set"),
	MAY("shv_field_set", ENOENT),
	MAY("shv_field_set", ERANGE),
	MAY("shv_field_set", EROFS),
	TAKING("shv_acquire_all"),
	MAY("shv_acquire_all", ENOMEM),
	MAY("shv_acquire_all", EROFS),
	MAY("shv_release_all", EPERM),
	MAY("shv_release_all", EINVAL),
	MAY("shv_release_all", ESTALE),
	MAY("shv_release_all", EROFS),
	MAY("shv_release_all", ENOTSUP),
	MAY("shv_release_all", EUSERS),
	MAY("shv_wait", ETIMEDOUT),
	MAY("shv_wait", ESTALE),
	MAY("shv_wait", EINVAL),
	MAY("shv_wait", ENOMEM),
	MAY("shv_wait", EUSERS),
	MAY("shv_wait", ENOTSUP),
	MAKING("shv_values_new"),
	MAY("shv_values_new", EPROTONOSUPPORT),
	MAY("shv_values_new", ENOTSUP),
	MAY("shv_values_new", ESTALE),
	MAY("shv_values_new", EOWNERDEAD),
	MAKING("shv_raws_new"),
	MAY("shv_raws_new", EPROTONOSUPPORT),
	TAKING("shv_values_get"),
	TAKING("shv_values_set"),
	MAY("shv_values_set", EROFS),
	MAY("shv_values_free", EBUSY),
	MAY("shv_values_free", EINVAL),
	MAY("shv_values_free", ESTALE),
	MAY("shv_values_free", EROFS),
	MAY("shv_values_free", EUSERS),
	MAY("shv_values_free", ENOTSUP),
	MAY("shv_raws_free", EINVAL),
	MAY("shv_raws_free", ESTALE),
	MAY("shv_raws_free", EROFS),
	MAY("shv_raws_free", EUSERS),
	MAY("shv_ref_of", EINVAL),
	MAY("shv_ref_of", ESTALE),
	MAY("shv_deref", EINVAL),
	MAY("shv_deref", ESTALE),
	TAKING("shv_ref_acquire"),
	MAY("shv_ref_acquire", EROFS),
	MAY("shv_publish", EEXIST),
	MAY("shv_publish", EINVAL),
	MAY("shv_publish", ENAMETOOLONG),
	MAY("shv_publish", ESTALE),
	MAY("shv_publish", ENOSPC),
	MAY("shv_publish", ENOMEM),
	MAY("shv_publish", EROFS),
	MAY("shv_publish", EUSERS),
	MAY("shv_find", ENOENT),
	MAY("shv_find", EINVAL),
	MAY("shv_find", ENAMETOOLONG),
	MAY("shv_unpublish", ENOENT),
	MAY("shv_unpublish", EINVAL),
	MAY("shv_unpublish", ENAMETOOLONG),
	MAY("shv_unpublish", EROFS),
	MAY("shv_unpublish", EUSERS),
	MAKING("shv_find_or_new"),
	MAY("shv_find_or_new", EPROTONOSUPPORT),
	MAY("shv_find_or_new", EEXIST),
	MAY("shv_find_or_new", ENAMETOOLONG),
	MAY("shv_find_or_new", ENOTSUP),
	MAY("shv_find_or_new", ESTALE),
	MAY("shv_find_or_new", EOWNERDEAD),
	MAY("shv_next_name", EINVAL),
	MAYBE("shv_len", EUCLEAN, NOT_FROM_OUTSIDE),
	MAY("shv_len", EINVAL),
	MAY("shv_len", ESTALE),
	MAY("shv_at", EINVAL),
	MAY("shv_at", ESTALE),
	MAY("shv_at", ERANGE),
	MAKING_TEXT("shv_string_new"),
	MAKING_TEXT("shv_string_new_n"),
	SETTING("shv_string_set"),
	SETTING("shv_string_set_n"),
	SETTING("shv_string_append"),
	SETTING("shv_string_append_n"),
	READING("shv_string_get"),
	PEEKING("shv_string_peek"),
	READING("shv_string_dup"),
	MAY("shv_string_dup", ENOMEM),
	PEEKING("shv_string_data"),
	MAKING_TEXT("shv_wstring_new"),
	MAKING_TEXT("shv_wstring_new_n"),
	SETTING("shv_wstring_set"),
	SETTING("shv_wstring_set_n"),
	SETTING("shv_wstring_append"),
	SETTING("shv_wstring_append_n"),
	READING("shv_wstring_get"),
	PEEKING("shv_wstring_peek"),
	READING("shv_wstring_dup"),
	MAY("shv_wstring_dup", ENOMEM),
	PEEKING("shv_wstring_data"),
	MAY("shv_offset", EINVAL),
	MAY("shv_offset", ERANGE),
	MAY("shv_pointer", EINVAL),
	MAY("shv_pointer", ERANGE),
	MAY("shv_lock_register", EINVAL),
	MAY("shv_lock_register", EPROTONOSUPPORT),
	MAY("shv_lock_register", EEXIST),
	MAY("shv_lock_register", ENOSPC),
	MAY("shv_lock_register", EROFS),
	MAKING("shv_lock_new"),
	MAY("shv_lock_new", ENOTSUP),
	MAY("shv_lock_new", EOWNERDEAD),
	MAY("shv_lock_free", EINVAL),
	MAY("shv_lock_free", ESTALE),
	MAY("shv_lock_free", EROFS),
	TAKING("shv_lock_acquire"),
	MAY("shv_lock_acquire", EROFS),
	TAKING("shv_lock_try"),
	MAY("shv_lock_try", EROFS),
	MAY("shv_lock_try", EBUSY),
	TAKING("shv_lock_for"),
	MAY("shv_lock_for", EROFS),
	MAY("shv_lock_for", ETIMEDOUT),
	MAY("shv_lock_release", EPERM),
	MAY("shv_lock_release", EINVAL),
	MAY("shv_lock_release", ESTALE),
	MAY("shv_lock_release", EROFS),
	MAY("shv_lock_release", ENOTSUP),
	MAY("shv_lock_release", EUSERS),
	MAY("shv_lock_holder", EINVAL),
	MAY("shv_lock_holder", ESTALE),
	MAY("shv_lock_holder", ENOTSUP),
	MAY("shv_stat", EINVAL),
	MAY("shv_stat", EBADF),
	MAY("shv_check", EINVAL),
	MAY("shv_check", ENOMEM),
	WALKING("shv_value_next"),
	WALKING("shv_lock_next"),
	WALKING("shv_process_next"),
	WALKING("shv_run_next"),
	WALKING("shv_type_next"),
	MAY("shv_value_describe", EINVAL),
	MAY("shv_value_describe", ESTALE),
	MAY("shv_value_describe", EUCLEAN),
	MAY("shv_value_bytes", EINVAL),
	MAY("shv_value_bytes", ESTALE),
	MAY("shv_value_bytes", EUCLEAN),
	MAY("shv_value_name", EINVAL),
	MAY("shv_value_name", ENOENT),
	MAY("shv_value_name", ESTALE),
	MAY("shv_value_name", EUCLEAN),
	MAY("shv_value_text", EINVAL),
	MAY("shv_value_text", ESTALE),
	MAY("shv_value_text", EUCLEAN),
	MAY("shv_value_text", ENOMEM),
};
#define PROMISES (sizeof(contract) / sizeof(contract[0]))

/* Under a sanitizer or Valgrind the address space is not to be limited, nor can a child go without the memory that it needs. */
static bool short_of_memory_only(const struct promise *p)
{
	return !undisturbed() && p->code == ENOMEM;
}

static struct promise *promises; /* contract[] in shared memory */

/* Sentences that do not say which function they are about; also in shared memory. */
static struct misnamed {
	unsigned n;
	struct {
		char function[40], sentence[160];
	} v[64];
} *misnamed;

static void note_sentence(const char *function, const char *said)
{
	size_t begin = strcspn(said, ":");
	unsigned i;

	/* The deeper layers know only the arena, and name that. Without memory there is but one sentence. */
	if (strstr(said, function) || strstr(said, "arena '") || strstr(said, "no memory, not even"))
		return;
	for (i = 0; i < misnamed->n && i < 64; i++)
		if (!strcmp(misnamed->v[i].function, function) && !strncmp(misnamed->v[i].sentence, said, begin))
			return;
	i = __atomic_fetch_add(&misnamed->n, 1, __ATOMIC_RELAXED);
	if (i >= 64)
		return;
	snprintf(misnamed->v[i].function, sizeof(misnamed->v[i].function), "%s", function);
	snprintf(misnamed->v[i].sentence, sizeof(misnamed->v[i].sentence), "%s", said);
}

static const char *const last_words = "shv_typecode: c is '!'";

/* Before the call: what shv_errmsg() says now must go. */
static void wash(void)
{
	(void)shv_typecode('!');
	errno = 0;
}

/* What came of a call of `function`: it must have failed with `code`, which the headers allow, and with a sentence. */
static void settle(const char *file, int line, const char *function, int code, const char *call, long got)
{
	const char *said = shv_errmsg();
	struct promise *p = NULL;

	NEED(got == -code, "%s:%d: %s: %s returned %ld, not -%d (%s)", file, line, function, call, got, code,
	     strerror(code));
	NEED(*said && strncmp(said, last_words, strlen(last_words)), "%s:%d: %s failed without a word", file, line,
	     call);
	note_sentence(function, said);
	for (size_t i = 0; i < PROMISES && !p; i++)
		if (promises[i].code == code && !strcmp(promises[i].function, function))
			p = &promises[i];
	NEED(p, "%s:%d: nothing says that %s may fail with %s", file, line, function, strerror(code));
	__atomic_fetch_add(&p->provoked, 1, __ATOMIC_RELAXED);
}

#define REFUSED(function, code_, call) (wash(), settle(__FILE__, __LINE__, function, (code_), #call, (long)(call)))
/* For those that return a pointer, or 0 for none. */
#define REFUSED_NULL(function, code_, call) \
	(wash(), settle(__FILE__, __LINE__, function, (code_), #call, (call) ? 0 : -(long)errno))

/* ---- functions that take an object -------------------------------------------------------------------- */

#define RET_POINTER(call)                     \
	do {                                  \
		const void *p_ = (call);      \
		return p_ ? 0 : -(long)errno; \
	} while (0)

static long do_value_free(void *p) { return shv_value_free(p); }
static long do_raw_free(void *p) { return shv_raw_free(p); }
static long do_value_data(void *p) { RET_POINTER(shv_value_data(p)); }
static long do_value_type(void *p) { RET_POINTER(shv_value_type(p)); }
static long do_value_lock(void *p) { RET_POINTER(shv_value_lock(p)); }
static long do_get(void *p) { return shv_get(p, &(double){ 0 }, 8); }
static long do_set(void *p) { return shv_set(p, &(double){ 0 }, 8); }
static long do_get_typed(void *p) { return shv_get_typed(p, SHV_LONG, &(long){ 0 }, 8); }
static long do_set_typed(void *p) { return shv_set_typed(p, SHV_LONG, &(long){ 0 }, 8); }
static long do_load(void *p)
{
	long x = 0;

	(void)shv_load_(p, SHV_LONG, &x, sizeof(x));
	return -(long)errno;
}
static long do_acquire(void *p) { return shv_acquire(p); }
static long do_try_acquire(void *p) { return shv_try_acquire(p); }
static long do_acquire_for(void *p) { return shv_acquire_for(p, &(struct timespec){ 0, 1000 }); }
static long do_release(void *p) { return shv_release(p); }
static long do_with(void *p)
{
	shv_with(p)
		return 1;
	return shv_with_status();
}
static long do_peek(void *p) { return shv_peek(p, &(double){ 0 }, 8); }
static long do_value_holder(void *p) { return shv_value_holder(p, &(struct shv_holder){ 0 }); }
static long do_last_holder(void *p) { return shv_last_holder(p, &(struct shv_holder){ 0 }); }
static long do_add(void *p) { return shv_add(p, 1, NULL); }
static long do_addf(void *p) { return shv_addf(p, 1, NULL); }
static long do_compare_exchange(void *p) { return shv_compare_exchange(p, &(long){ 0 }, &(long){ 0 }, 8); }
static long do_ref_of(void *p)
{
	return shv_ref_of(p) ? 0 : -(long)errno;
}
static long do_publish(void *p) { return shv_publish(p, "published"); }
static long do_len(void *p)
{
	errno = 0;
	return shv_len(p) ? 0 : -(long)errno;
}
static long do_at(void *p) { RET_POINTER(shv_at(p, 0)); }
#define DO_STRING(w, x)                                                                  \
	static long do_##w##_set(void *p) { return shv_##w##_set(p, x); }                   \
	static long do_##w##_set_n(void *p) { return shv_##w##_set_n(p, x, 1); }            \
	static long do_##w##_append(void *p) { return shv_##w##_append(p, x); }             \
	static long do_##w##_append_n(void *p) { return shv_##w##_append_n(p, x, 1); }      \
	static long do_##w##_get(void *p) { return shv_##w##_get(p, NULL, 0); }             \
	static long do_##w##_peek(void *p) { return shv_##w##_peek(p, NULL, 0); }           \
	static long do_##w##_data(void *p) { RET_POINTER(shv_##w##_data(p, NULL)); }        \
	static long do_##w##_dup(void *p)                                                   \
	{                                                                                   \
		void *copy = shv_##w##_dup(p, NULL);                                        \
		long r = copy ? 0 : -(long)errno;                                           \
                                                                                            \
		free(copy);                                                                 \
		return r;                                                                   \
	}
DO_STRING(string, "x")
DO_STRING(wstring, L"x")
static long do_get_item(void *p) { return shv_get_item(p, 0, &(long){ 0 }, 8); }
static long do_set_item(void *p) { return shv_set_item(p, 0, &(long){ 0 }, 8); }
static long do_get_slice(void *p) { return shv_get_slice(p, 0, 1, &(long){ 0 }, 8); }
static long do_set_slice(void *p) { return shv_set_slice(p, 0, 1, &(long){ 0 }, 8); }
/* Text is in no object of the list; these differ from the others in that alone. */
static long do_chars_get(void *p) { return shv_chars_get(p, NULL, 0, NULL); }
static long do_chars_set(void *p) { return shv_chars_set(p, NULL, 0); }
static long do_wchars_get(void *p) { return shv_wchars_get(p, NULL, 0, NULL); }
static long do_wchars_set(void *p) { return shv_wchars_set(p, NULL, 0); }
/* Both an array and a single value have something at one of the paths. */
static const char *first_path(void *p)
{
	enum shv_kind k = shv_kind_of(p);

	return k == SHV_KIND_ARRAY || k == SHV_KIND_RAW_ARRAY ? "[0]" : "";
}
static long do_field(void *p) { RET_POINTER(shv_field(p, first_path(p), NULL)); }
static long do_field_get(void *p) { return shv_field_get(p, first_path(p), &(long){ 0 }, 8); }
static long do_field_set(void *p) { return shv_field_set(p, first_path(p), &(long){ 0 }, 8); }
static long do_acquire_all(void *p) { return shv_acquire_all((shv_value *[]){ p }, 1); }
static long do_release_all(void *p) { return shv_release_all((shv_value *[]){ p }, 1); }
static long do_wait(void *p)
{
	static const char other[8];

	/* A string has another size; what is there differs from it. */
	return shv_wait(p, other, sizeof(other), &(struct timespec){ 0, 1 });
}
static long do_values_get(void *p) { return shv_values_get((shv_value *[]){ p }, 1, &(double){ 0 }, 8); }
static long do_values_set(void *p) { return shv_values_set((shv_value *[]){ p }, 1, &(double){ 0 }, 8); }
static long do_lock_free(void *p) { return shv_lock_free(p); }
static long do_lock_acquire(void *p) { return shv_lock_acquire(p); }
static long do_lock_try(void *p) { return shv_lock_try(p); }
static long do_lock_for(void *p) { return shv_lock_for(p, &(struct timespec){ 0, 1000 }); }
static long do_lock_release(void *p) { return shv_lock_release(p); }
static long do_lock_holder(void *p) { return shv_lock_holder(p, &(struct shv_holder){ 0 }); }

enum {
	VALUES = 1u << SHV_KIND_VALUE | 1u << SHV_KIND_ARRAY,
	RAWS = 1u << SHV_KIND_RAW | 1u << SHV_KIND_RAW_ARRAY,
	LOCK_OBJECTS = 1u << SHV_KIND_LOCK,
	STRINGS = 1u << SHV_KIND_STRING,
};

static const struct object_function {
	const char *name;
	long (*call)(void *p);
	unsigned takes; /* kinds of objects */
	bool locks;     /* it takes the lock */
	bool floating;  /* of a floating point value */
	bool wide;      /* of a string of wide characters */
	bool reads;     /* also on a read-only attachment */
} object_functions[] = {
	{ "shv_value_free", do_value_free, VALUES | STRINGS, .reads = false },
	{ "shv_raw_free", do_raw_free, RAWS, .reads = false },
	{ "shv_value_data", do_value_data, VALUES | RAWS, .reads = true },
	{ "shv_value_type", do_value_type, VALUES | RAWS | STRINGS, .reads = true },
	{ "shv_value_lock", do_value_lock, VALUES | STRINGS, .reads = true },
	{ "shv_get", do_get, VALUES | RAWS, .locks = true, .reads = true },
	{ "shv_set", do_set, VALUES | RAWS, .locks = true },
	{ "shv_get_typed", do_get_typed, VALUES | RAWS, .locks = true, .reads = true },
	{ "shv_set_typed", do_set_typed, VALUES | RAWS, .locks = true },
	{ "SHV_LOAD", do_load, VALUES | RAWS, .locks = true, .reads = true },
	{ "shv_acquire", do_acquire, VALUES | STRINGS, .locks = true },
	{ "shv_try_acquire", do_try_acquire, VALUES | STRINGS, .locks = true },
	{ "shv_acquire_for", do_acquire_for, VALUES | STRINGS, .locks = true },
	{ "shv_release", do_release, VALUES | STRINGS, .locks = false },
	{ "shv_with", do_with, VALUES | STRINGS, .locks = true },
	{ "shv_peek", do_peek, VALUES | RAWS, .reads = true },
	{ "shv_value_holder", do_value_holder, VALUES | STRINGS, .reads = true },
	{ "shv_last_holder", do_last_holder, VALUES | STRINGS, .reads = true },
	{ "shv_add", do_add, VALUES | RAWS, .locks = true },
	{ "shv_addf", do_addf, VALUES | RAWS, .locks = true, .floating = true },
	{ "shv_compare_exchange", do_compare_exchange, VALUES | RAWS, .locks = true },
	{ "shv_ref_of", do_ref_of, VALUES | RAWS | LOCK_OBJECTS | STRINGS, .reads = true },
	{ "shv_publish", do_publish, VALUES | RAWS | LOCK_OBJECTS | STRINGS, .locks = false },
	{ "shv_len", do_len, VALUES | RAWS | STRINGS, .reads = true },
	{ "shv_at", do_at, VALUES | RAWS, .reads = true },
	{ "shv_get_item", do_get_item, VALUES | RAWS, .locks = true, .reads = true },
	{ "shv_set_item", do_set_item, VALUES | RAWS, .locks = true },
	{ "shv_get_slice", do_get_slice, VALUES | RAWS, .locks = true, .reads = true },
	{ "shv_set_slice", do_set_slice, VALUES | RAWS, .locks = true },
	{ "shv_chars_get", do_chars_get, VALUES | RAWS, .locks = true, .reads = true },
	{ "shv_chars_set", do_chars_set, VALUES | RAWS, .locks = true },
	{ "shv_wchars_get", do_wchars_get, VALUES | RAWS, .locks = true, .reads = true },
	{ "shv_wchars_set", do_wchars_set, VALUES | RAWS, .locks = true },
	{ "shv_field", do_field, VALUES | RAWS, .reads = true },
	{ "shv_field_get", do_field_get, VALUES | RAWS, .locks = true, .reads = true },
	{ "shv_field_set", do_field_set, VALUES | RAWS, .locks = true },
	{ "shv_acquire_all", do_acquire_all, VALUES | STRINGS, .locks = true },
	{ "shv_release_all", do_release_all, VALUES | STRINGS, .locks = false },
	{ "shv_wait", do_wait, VALUES | RAWS | STRINGS, .reads = true },
	{ "shv_values_get", do_values_get, VALUES | RAWS, .locks = true, .reads = true },
	{ "shv_values_set", do_values_set, VALUES | RAWS, .locks = true },
	{ "shv_lock_free", do_lock_free, LOCK_OBJECTS, .locks = false },
	{ "shv_lock_acquire", do_lock_acquire, VALUES | LOCK_OBJECTS | STRINGS, .locks = true },
	{ "shv_lock_try", do_lock_try, VALUES | LOCK_OBJECTS | STRINGS, .locks = true },
	{ "shv_lock_for", do_lock_for, VALUES | LOCK_OBJECTS | STRINGS, .locks = true },
	{ "shv_lock_release", do_lock_release, VALUES | LOCK_OBJECTS | STRINGS, .locks = false },
	{ "shv_lock_holder", do_lock_holder, VALUES | LOCK_OBJECTS | STRINGS, .reads = true },
	{ "shv_string_set", do_string_set, STRINGS, .locks = true },
	{ "shv_string_set_n", do_string_set_n, STRINGS, .locks = true },
	{ "shv_string_append", do_string_append, STRINGS, .locks = true },
	{ "shv_string_append_n", do_string_append_n, STRINGS, .locks = true },
	{ "shv_string_get", do_string_get, STRINGS, .locks = true, .reads = true },
	{ "shv_string_dup", do_string_dup, STRINGS, .locks = true, .reads = true },
	{ "shv_string_peek", do_string_peek, STRINGS, .reads = true },
	{ "shv_string_data", do_string_data, STRINGS, .reads = true },
	{ "shv_wstring_set", do_wstring_set, STRINGS, .locks = true, .wide = true },
	{ "shv_wstring_set_n", do_wstring_set_n, STRINGS, .locks = true, .wide = true },
	{ "shv_wstring_append", do_wstring_append, STRINGS, .locks = true, .wide = true },
	{ "shv_wstring_append_n", do_wstring_append_n, STRINGS, .locks = true, .wide = true },
	{ "shv_wstring_get", do_wstring_get, STRINGS, .locks = true, .reads = true, .wide = true },
	{ "shv_wstring_dup", do_wstring_dup, STRINGS, .locks = true, .reads = true, .wide = true },
	{ "shv_wstring_peek", do_wstring_peek, STRINGS, .reads = true, .wide = true },
	{ "shv_wstring_data", do_wstring_data, STRINGS, .reads = true, .wide = true },
};
#define OBJECT_FUNCTIONS ((int)(sizeof(object_functions) / sizeof(object_functions[0])))

/* One object of each kind. */
struct things {
	shv_value *value, *floating, *none, *plain, *array, *string, *wide;
	void *raw, *raw_array;
	shv_lock *lock;
};

static struct things make_things(shv_arena *a)
{
	return (struct things){
		.value = made(SHV_VALUE(a, long, 1)),
		.floating = made(SHV_VALUE(a, double, 1)),
		.none = made(SHV_VALUE(a, long, 1, SHV_NONE)),
		.plain = made(SHV_VALUE(a, long, 1, SHV_PLAIN)),
		.array = made(shv_array_new(a, SHV_LONG, 100, NULL, SHV_RECURSIVE)),
		.string = made(shv_string_new(a, "text", SHV_RECURSIVE)),
		.wide = made(shv_wstring_new(a, L"text", SHV_PLAIN)),
		.raw = made(shv_raw_new(a, SHV_LONG, NULL)),
		.raw_array = made(shv_raw_array_new(a, SHV_LONG, 100, NULL)),
		.lock = made(shv_lock_new(a, SHV_RECURSIVE)),
	};
}

/* Nothing of what is refused may change the arena. */
static struct shv_stat at_first;
static struct things things;

static void setup(void)
{
	arena_setup();
	things = make_things(arena);
	at_first = arena_stat(arena);
}

static void teardown(void)
{
	struct shv_stat now;

	if (!arena)
		return;
	now = arena_stat(arena);
	ck_assert_uint_eq(now.objects, at_first.objects);
	ck_assert_uint_eq(now.bytes_live, at_first.bytes_live);
	ck_assert_uint_eq(now.bytes_payload, at_first.bytes_payload);
	ck_assert_uint_eq(now.names, at_first.names);
	ck_assert_uint_eq(now.parts, at_first.parts);
	arena_teardown();
}

START_TEST(null_is_refused)
{
	for (int i = 0; i < OBJECT_FUNCTIONS; i++)
		REFUSED(object_functions[i].name, EINVAL, object_functions[i].call(NULL));
	ck_assert_int_eq(shv_kind_of(NULL), SHV_KIND_NONE);
	REFUSED_NULL("shv_arena_of", EINVAL, shv_arena_of(NULL));
}
END_TEST

START_TEST(addresses_outside_of_arenas_are_refused)
{
	static long in_data[64];
	long on_stack[64] = { 0 };
	long *on_heap = made((long *)calloc(64, sizeof(long)));
	char *start = (char *)things.value - shv_offset(arena, things.value);
	void *const odd[] = { in_data + 8,
			      on_stack + 8,
			      on_heap + 8,
			      (char *)on_stack + 13,
			      (void *)8,
			      (void *)1,
			      (void *)UINTPTR_MAX,
			      (void *)(UINTPTR_MAX - 7),
			      start - 8,
			      start + at_first.capacity,
			      (void *)(uintptr_t)setup };

	for (unsigned k = 0; k < sizeof(odd) / sizeof(odd[0]); k++) {
		for (int i = 0; i < OBJECT_FUNCTIONS; i++)
			REFUSED(object_functions[i].name, EINVAL, object_functions[i].call(odd[k]));
		ck_assert_int_eq(shv_kind_of(odd[k]), SHV_KIND_NONE);
		REFUSED_NULL("shv_arena_of", EINVAL, shv_arena_of(odd[k]));
	}
	free(on_heap);
}
END_TEST

/*
 * In the arena, but no object is there: not the beginning of one, or nothing at all. Reading must not take memory
 * either.
 */
START_TEST(addresses_inside_of_the_arena_that_are_no_objects_are_refused)
{
	char *start = (char *)things.value - shv_offset(arena, things.value), *array = (char *)things.raw_array;
	uint64_t end = at_first.file_size, capacity = at_first.capacity;
	char *odd[200];
	unsigned n = 0;
	uint64_t resident = arena_stat(arena).bytes_resident;

	/* The payload of an object may well look like another's header. */
	memcpy(array + 80, (char *)things.value - 8, 8);
	memcpy(array + 160, (char *)things.lock - 8, 8);
	memset(array + 240, 0xff, 64);
	for (int i = 8; i < 800; i += 24)
		odd[n++] = array + i;
	odd[n++] = array + 88, odd[n++] = array + 168;
	for (int i = 1; i < 8; i++) {
		odd[n++] = (char *)things.value + i;
		odd[n++] = (char *)things.raw + i;
		odd[n++] = (char *)things.lock - i;
	}
	odd[n++] = (char *)things.value - 8, odd[n++] = (char *)things.value + 8, odd[n++] = (char *)things.lock - 8;
	for (uint64_t off = 0; off < 4096; off += 512)
		odd[n++] = start + off;
	for (uint64_t part = 1; part < 16; part++)
		odd[n++] = start + (capacity / 16 * part & ~UINT64_C(7));
	odd[n++] = start + end, odd[n++] = start + end - 8, odd[n++] = start + end - 4096, odd[n++] = start + end + 8;
	odd[n++] = start + capacity - 8, odd[n++] = start + capacity - 4096;
	ck_assert_uint_lt(n, 200);
	for (unsigned k = 0; k < n; k++) {
		for (int i = 0; i < OBJECT_FUNCTIONS; i++) {
			long got;

			wash();
			got = object_functions[i].call(odd[k]);
			/* What is behind the address may look like the remains of an object. */
			settle(__FILE__, __LINE__, object_functions[i].name, got == -ESTALE ? ESTALE : EINVAL, "call",
			       got);
		}
		ck_assert_int_eq(shv_kind_of(odd[k]), SHV_KIND_NONE);
		ck_assert_ptr_eq(shv_arena_of(odd[k]), arena);
	}
	ck_assert_uint_eq(arena_stat(arena).bytes_resident, resident);
}
END_TEST

START_TEST(freed_objects_are_stale)
{
	struct things gone = make_things(arena);
	void *const all[] = { gone.value, gone.floating, gone.none,      gone.plain,
			      gone.array, gone.string,   gone.wide,      gone.raw, gone.raw_array, gone.lock };
	enum { N = sizeof(all) / sizeof(all[0]) };
	shv_ref ref[N];
	shv_value *out = NULL, *twice[2];
	void *raws[2];

	for (int k = 0; k < N; k++)
		ref[k] = shv_ref_of(all[k]);
	for (int k = 0; k < 7; k++)
		assert_ok(shv_value_free(all[k]));
	assert_ok(shv_raw_free(gone.raw));
	assert_ok(shv_raw_free(gone.raw_array));
	assert_ok(shv_lock_free(gone.lock));
	for (int round = 0; round < 2; round++) {
		for (int k = 0; k < N; k++) {
			if (all[k] == gone.lock && !round)
				continue; /* it goes when somebody trims */
			for (int i = 0; i < OBJECT_FUNCTIONS; i++)
				REFUSED(object_functions[i].name, ESTALE, object_functions[i].call(all[k]));
			ck_assert_int_eq(shv_kind_of(all[k]), SHV_KIND_NONE);
			REFUSED_NULL("shv_deref", ESTALE, shv_deref(arena, ref[k]));
			REFUSED("shv_ref_acquire", ESTALE, shv_ref_acquire(arena, ref[k], &out));
			REFUSED("shv_value_describe", ESTALE,
				shv_value_describe(arena, ref[k], &(struct shv_value_info){ 0 }));
			REFUSED("shv_value_bytes", ESTALE, shv_value_bytes(arena, ref[k], &(long){ 0 }, 8, NULL));
			REFUSED("shv_value_name", ESTALE, shv_value_name(arena, ref[k], NULL, 0));
			REFUSED("shv_value_text", ESTALE, shv_value_text(arena, ref[k], NULL, 0));
		}
		assert_ok(shv_arena_trim(arena)); /* then the memory itself is gone */
	}
	ck_assert_ptr_null(out);
	/* One that is gone does not keep the others. */
	twice[0] = gone.value, twice[1] = made(SHV_VALUE(arena, long, 1));
	raws[0] = gone.raw, raws[1] = made(shv_raw_new(arena, SHV_LONG, NULL));
	REFUSED("shv_values_free", ESTALE, shv_values_free(twice, 2));
	REFUSED("shv_raws_free", ESTALE, shv_raws_free(raws, 2));
	ck_assert_int_eq(shv_kind_of(twice[1]), SHV_KIND_NONE);
	ck_assert_int_eq(shv_kind_of(raws[1]), SHV_KIND_NONE);
}
END_TEST

START_TEST(lock_that_was_freed_is_not_shared_any_more)
{
	shv_lock *lock = made(shv_lock_new(arena, SHV_PLAIN));
	shv_value *two[2];

	assert_ok(shv_lock_free(lock));
	for (int round = 0; round < 2; round++) {
		REFUSED("shv_lock_free", ESTALE, shv_lock_free(lock));
		REFUSED_NULL("shv_value_new", ESTALE, shv_value_new(arena, SHV_INT, NULL, SHV_SHARED(lock)));
		REFUSED_NULL("shv_array_new", ESTALE, shv_array_new(arena, SHV_INT, 3, NULL, SHV_SHARED(lock)));
		REFUSED("shv_values_new", ESTALE, shv_values_new(arena, SHV_INT, NULL, SHV_SHARED(lock), 2, two));
		REFUSED_NULL("shv_string_new", ESTALE, shv_string_new(arena, "x", SHV_SHARED(lock)));
		REFUSED_NULL("shv_string_new_n", ESTALE, shv_string_new_n(arena, "x", 1, SHV_SHARED(lock)));
		REFUSED_NULL("shv_wstring_new", ESTALE, shv_wstring_new(arena, L"x", SHV_SHARED(lock)));
		REFUSED_NULL("shv_wstring_new_n", ESTALE, shv_wstring_new_n(arena, L"x", 1, SHV_SHARED(lock)));
		REFUSED_NULL("shv_find_or_new", ESTALE,
			     shv_find_or_new(arena, "n", SHV_INT, NULL, SHV_SHARED(lock), NULL));
		assert_ok(shv_arena_trim(arena));
	}
}
END_TEST

START_TEST(objects_of_the_wrong_kind_are_refused)
{
	void *const all[] = { things.value, things.array, things.string, things.wide, things.raw, things.raw_array, things.lock };

	for (unsigned k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
		unsigned kind = 1u << shv_kind_of(all[k]);

		for (int i = 0; i < OBJECT_FUNCTIONS; i++)
			if (!(object_functions[i].takes & kind) ||
			    (object_functions[i].takes == STRINGS && object_functions[i].wide != (all[k] == things.wide)))
				REFUSED(object_functions[i].name, EINVAL, object_functions[i].call(all[k]));
	}
	REFUSED("shv_add", EINVAL, shv_add(things.array, 1, NULL));
	REFUSED("shv_addf", EINVAL, shv_addf(things.array, 1, NULL));
	REFUSED("shv_ref_acquire", EINVAL, shv_ref_acquire(arena, shv_ref_of(things.raw), &(shv_value *){ NULL }));
	REFUSED("shv_ref_acquire", EINVAL, shv_ref_acquire(arena, shv_ref_of(things.lock), &(shv_value *){ NULL }));
	REFUSED("shv_values_free", EINVAL, shv_values_free((shv_value *[]){ NULL, things.raw }, 2));
	REFUSED("shv_raws_free", EINVAL, shv_raws_free((void *[]){ NULL, things.value }, 2));
}
END_TEST

START_TEST(parts_that_are_not_there_are_refused)
{
	struct shv_field_info info = { 0 };
	shv_value *chars = made(shv_array_new(arena, SHV_CHAR, 4, "text", SHV_RECURSIVE));
	shv_value *wide = made(shv_array_new(arena, SHV_WCHAR, 4, L"text", SHV_NONE));
	shv_value *list[2] = { things.value, NULL };
	long x = 0;

	REFUSED("shv_get_item", ERANGE, shv_get_item(things.array, 100, &x, 8));
	REFUSED("shv_get_item", ERANGE, shv_get_item(things.raw, 1, &x, 8));
	REFUSED("shv_get_item", EINVAL, shv_get_item(things.array, 0, &x, 4));
	REFUSED("shv_get_item", EINVAL, shv_get_item(things.array, 0, NULL, 8));
	REFUSED("shv_set_item", ERANGE, shv_set_item(things.array, SIZE_MAX, &x, 8));
	REFUSED("shv_set_item", EINVAL, shv_set_item(things.array, 0, NULL, 8));
	REFUSED("shv_get_slice", ERANGE, shv_get_slice(things.array, 99, 2, &x, 16));
	REFUSED("shv_get_slice", ERANGE, shv_get_slice(things.array, 101, 0, &x, 0));
	REFUSED("shv_get_slice", ERANGE, shv_get_slice(things.array, 1, SIZE_MAX, &x, 0));
	REFUSED("shv_get_slice", EINVAL, shv_get_slice(things.array, 0, 1, &x, 0));
	REFUSED("shv_get_slice", EINVAL, shv_get_slice(things.array, 0, 0, &x, 8));
	REFUSED("shv_set_slice", ERANGE, shv_set_slice(things.array, SIZE_MAX, 2, &x, 16));
	REFUSED("shv_set_slice", EINVAL, shv_set_slice(things.array, 0, 2, NULL, 16));
	REFUSED("shv_set_slice", EINVAL, shv_set_slice(things.array, 0, 2, &x, 8));
	REFUSED("shv_chars_get", EINVAL, shv_chars_get(wide, (char *)&x, 8, NULL));
	REFUSED("shv_chars_get", EINVAL, shv_chars_get(chars, NULL, 1, NULL));
	REFUSED("shv_chars_set", EINVAL, shv_chars_set(wide, "x", 1));
	REFUSED("shv_chars_set", EINVAL, shv_chars_set(chars, NULL, 1));
	REFUSED("shv_chars_set", EOVERFLOW, shv_chars_set(chars, "texts", 5));
	REFUSED("shv_wchars_get", EINVAL, shv_wchars_get(chars, (wchar_t *)&x, 1, NULL));
	REFUSED("shv_wchars_set", EINVAL, shv_wchars_set(chars, L"x", 1));
	REFUSED("shv_wchars_set", EOVERFLOW, shv_wchars_set(wide, L"texts", 5));
	REFUSED("shv_type_field", EINVAL, shv_type_field(NULL, "x", &info));
	REFUSED("shv_type_field", EINVAL, shv_type_field(SHV_INT, NULL, &info));
	REFUSED("shv_type_field", EINVAL, shv_type_field(SHV_INT, "", NULL));
	REFUSED("shv_type_field", EINVAL, shv_type_field(SHV_INT, "", &(struct shv_field_info){ .size = 4 }));
	REFUSED("shv_type_field", ENOENT, shv_type_field(SHV_INT, "x", &info));
	REFUSED("shv_type_field", ERANGE, shv_type_field(shv_type_parse("(3)i"), "[3]", &info));
	REFUSED_NULL("shv_field", EINVAL, shv_field(things.value, NULL, NULL));
	REFUSED_NULL("shv_field", EINVAL, shv_field(things.value, "", SHV_DOUBLE));
	REFUSED_NULL("shv_field", ENOENT, shv_field(things.value, "x", NULL));
	REFUSED_NULL("shv_field", ENOENT, shv_field(things.array, "", NULL));
	REFUSED_NULL("shv_field", ERANGE, shv_field(things.array, "[100]", NULL));
	REFUSED("shv_field_get", EINVAL, shv_field_get(things.value, NULL, &x, 8));
	REFUSED("shv_field_get", EINVAL, shv_field_get(things.value, "", NULL, 8));
	REFUSED("shv_field_get", EINVAL, shv_field_get(things.value, "", &x, 4));
	REFUSED("shv_field_get", ENOENT, shv_field_get(things.value, "[0]", &x, 8));
	REFUSED("shv_field_get", ERANGE, shv_field_get(things.array, "[100]", &x, 8));
	REFUSED("shv_field_set", EINVAL, shv_field_set(things.array, "[0]", &x, 4));
	REFUSED("shv_field_set", EINVAL, shv_field_set(things.array, "[0]", NULL, 8));
	REFUSED("shv_field_set", ENOENT, shv_field_set(things.array, "[0].x", &x, 8));
	REFUSED("shv_field_set", ERANGE, shv_field_set(things.raw_array, "[4294967296]", &x, 8));
	REFUSED("shv_acquire_all", EINVAL, shv_acquire_all(NULL, 1));
	REFUSED("shv_acquire_all", EINVAL, shv_acquire_all(list, 2));
	REFUSED("shv_release_all", EINVAL, shv_release_all(NULL, 2));
	REFUSED("shv_release_all", EINVAL, shv_release_all(list, 2));
	REFUSED("shv_release_all", EPERM, shv_release_all(list, 1));
	ck_assert_uint_eq(depth_of(things.value), 0);
	assert_ok(shv_value_free(chars));
	assert_ok(shv_value_free(wide));
}
END_TEST

START_TEST(another_layout_of_a_known_name_is_refused)
{
	const struct shv_field was[] = { { 0, "a", SHV_INT, 0, 4 }, { 0, "b", SHV_INT, 4, 4 } };
	const struct shv_field is[] = { { 0, "a", SHV_INT, 0, 4 }, { 0, "c", SHV_INT, 4, 4 } };
	const shv_type *known = made(shv_type_struct("known", 8, was, 2)), *other = made(shv_type_struct("known", 8, is, 2));
	shv_value *two[2];

	assert_ok(shv_raw_free(made(shv_raw_new(arena, known, NULL))));
	REFUSED_NULL("shv_value_new", EPROTONOSUPPORT, shv_value_new(arena, other, NULL, SHV_NONE));
	REFUSED_NULL("shv_array_new", EPROTONOSUPPORT, shv_array_new(arena, other, 2, NULL, SHV_NONE));
	REFUSED_NULL("shv_raw_new", EPROTONOSUPPORT, shv_raw_new(arena, other, NULL));
	REFUSED("shv_values_new", EPROTONOSUPPORT, shv_values_new(arena, other, NULL, SHV_NONE, 2, two));
	REFUSED("shv_raws_new", EPROTONOSUPPORT, shv_raws_new(arena, other, NULL, 2, (void **)two));
	REFUSED_NULL("shv_raw_array_new", EPROTONOSUPPORT, shv_raw_array_new(arena, other, 2, NULL));
	REFUSED_NULL("shv_find_or_new", EPROTONOSUPPORT, shv_find_or_new(arena, "n", other, NULL, SHV_NONE, NULL));
	assert_ok(shv_raw_free(made(shv_raw_new(arena, made(shv_type_struct("new", 8, is, 2)), NULL))));
	assert_ok(shv_raw_free(made(shv_raw_new(arena, made(shv_type_struct(NULL, 8, is, 2)), NULL))));
}
END_TEST

START_TEST(wrong_sizes_and_missing_arguments_are_refused)
{
	shv_value *const both[] = { things.value, things.none, things.raw };
	shv_value *two[2];
	struct shv_holder h = { .size = 4 };
	long x = 0;

	for (int i = 0; i < 3; i++) {
		shv_value *v = both[i];

		REFUSED("shv_get", EINVAL, shv_get(v, &x, 7));
		REFUSED("shv_get", EINVAL, shv_get(v, NULL, 8));
		REFUSED("shv_set", EINVAL, shv_set(v, &x, 9));
		REFUSED("shv_set", EINVAL, shv_set(v, NULL, 8));
		REFUSED("shv_peek", EINVAL, shv_peek(v, &x, 0));
		REFUSED("shv_peek", EINVAL, shv_peek(v, NULL, 8));
		REFUSED("shv_wait", EINVAL, shv_wait(v, &x, 7, NULL));
		REFUSED("shv_wait", EINVAL, shv_wait(v, NULL, 8, NULL));
		REFUSED("shv_wait", EINVAL, shv_wait(v, &(long){ 0 }, 8, &(struct timespec){ 0, -1 }));
		REFUSED("shv_wait", ETIMEDOUT, shv_wait(v, shv_value_data(v), 8, &(struct timespec){ 0, 1 }));
		REFUSED("shv_values_get", EINVAL, shv_values_get(&v, 1, &x, 7));
		REFUSED("shv_values_get", EINVAL, shv_values_get(&v, 1, NULL, 8));
		REFUSED("shv_values_get", EINVAL, shv_values_get(NULL, 1, &x, 8));
		REFUSED("shv_values_set", EINVAL, shv_values_set(&v, 1, &x, 9));
		REFUSED("shv_values_set", EINVAL, shv_values_set(&v, 1, NULL, 8));
		REFUSED("shv_values_set", EINVAL, shv_values_set(NULL, 1, &x, 8));
		REFUSED("shv_get_typed", EINVAL, shv_get_typed(v, SHV_INT, &x, 4));
		REFUSED("shv_get_typed", EINVAL, shv_get_typed(v, SHV_LONG, &x, 4));
		REFUSED("shv_get_typed", EINVAL, shv_get_typed(v, NULL, &x, 8));
		REFUSED("shv_get_typed", EINVAL, shv_get_typed(v, SHV_LONG, NULL, 8));
		REFUSED("shv_set_typed", EINVAL, shv_set_typed(v, SHV_ULONG, &x, 8));
		REFUSED("shv_set_typed", EINVAL, shv_set_typed(v, SHV_LONG, &x, 16));
		REFUSED("shv_set_typed", EINVAL, shv_set_typed(v, NULL, &x, 8));
		REFUSED("shv_set_typed", EINVAL, shv_set_typed(v, SHV_LONG, NULL, 8));
		REFUSED("shv_compare_exchange", EINVAL, shv_compare_exchange(v, &x, &x, 4));
		REFUSED("shv_compare_exchange", EINVAL, shv_compare_exchange(v, NULL, &x, 8));
		REFUSED("shv_compare_exchange", EINVAL, shv_compare_exchange(v, &x, NULL, 8));
		REFUSED("shv_addf", EINVAL, shv_addf(v, 1, NULL));
	}
	REFUSED("shv_compare_exchange", EAGAIN, shv_compare_exchange(things.value, &x, &x, 8));
	REFUSED("shv_add", EINVAL, shv_add(things.floating, 1, NULL));
	REFUSED("shv_acquire_for", EINVAL, shv_acquire_for(things.value, NULL));
	REFUSED("shv_acquire_for", EINVAL, shv_acquire_for(things.value, &(struct timespec){ -1, 0 }));
	REFUSED("shv_lock_for", EINVAL, shv_lock_for(things.lock, NULL));
	REFUSED("shv_lock_for", EINVAL, shv_lock_for(things.lock, &(struct timespec){ 0, 1000000000 }));
	REFUSED("shv_value_holder", EINVAL, shv_value_holder(things.value, NULL));
	REFUSED("shv_lock_holder", EINVAL, shv_lock_holder(things.lock, NULL));
	REFUSED("shv_last_holder", EINVAL, shv_last_holder(things.value, NULL));
	REFUSED("shv_last_holder", EINVAL, shv_last_holder(things.value, &h));
	REFUSED("shv_last_holder", ENOENT, shv_last_holder(things.value, &(struct shv_holder){ 0 }));
	assert_ok(shv_acquire(things.value));
	REFUSED("shv_value_holder", EINVAL, shv_value_holder(things.value, &h));
	REFUSED("shv_lock_holder", EINVAL, shv_lock_holder(shv_value_lock(things.value), &h));
	assert_ok(shv_release(things.value));
	REFUSED("shv_release", EPERM, shv_release(things.value));
	REFUSED("shv_lock_release", EPERM, shv_lock_release(things.lock));
	REFUSED("shv_ref_acquire", EINVAL, shv_ref_acquire(arena, shv_ref_of(things.value), NULL));
	REFUSED("shv_ref_acquire", EINVAL, shv_ref_acquire(arena, 0, &(shv_value *){ NULL }));
	REFUSED_NULL("shv_deref", EINVAL, shv_deref(arena, 0));
	REFUSED_NULL("shv_deref", ESTALE, shv_deref(arena, UINT64_MAX));
	REFUSED_NULL("shv_at", ERANGE, shv_at(things.array, 100));
	REFUSED_NULL("shv_offset", ERANGE, shv_offset(arena, &x));
	REFUSED_NULL("shv_pointer", ERANGE, shv_pointer(arena, UINT64_MAX, 1));
	REFUSED_NULL("shv_value_new", EINVAL, shv_value_new(arena, NULL, NULL, SHV_NONE));
	REFUSED_NULL("shv_raw_new", EINVAL, shv_raw_new(arena, NULL, NULL));
	REFUSED("shv_values_new", EINVAL, shv_values_new(arena, NULL, NULL, SHV_NONE, 2, two));
	REFUSED("shv_values_new", EINVAL, shv_values_new(arena, SHV_INT, NULL, SHV_NONE, 2, NULL));
	REFUSED("shv_raws_new", EINVAL, shv_raws_new(arena, NULL, NULL, 2, (void **)two));
	REFUSED("shv_raws_new", EINVAL, shv_raws_new(arena, SHV_INT, NULL, 2, NULL));
	REFUSED("shv_values_free", EINVAL, shv_values_free(NULL, 2));
	REFUSED("shv_raws_free", EINVAL, shv_raws_free(NULL, 2));
	REFUSED_NULL("shv_array_new", EINVAL, shv_array_new(arena, NULL, 1, NULL, SHV_NONE));
	REFUSED_NULL("shv_raw_array_new", EINVAL, shv_raw_array_new(arena, NULL, 1, NULL));
	REFUSED_NULL("shv_find_or_new", EINVAL, shv_find_or_new(arena, "n", NULL, NULL, SHV_NONE, NULL));
	REFUSED_NULL("shv_lock_new", EINVAL, shv_lock_new(arena, SHV_NONE));
	REFUSED_NULL("shv_array_new", EOVERFLOW, shv_array_new(arena, SHV_INT, SIZE_MAX, NULL, SHV_NONE));
	REFUSED_NULL("shv_raw_array_new", EOVERFLOW, shv_raw_array_new(arena, SHV_INT, SIZE_MAX, NULL));
	for (uint32_t kind = 7; kind < 9; kind++) {
		shv_lockspec spec = { kind, 0, NULL, NULL };

		REFUSED_NULL("shv_value_new", EINVAL, shv_value_new(arena, SHV_INT, NULL, spec));
		REFUSED_NULL("shv_array_new", EINVAL, shv_array_new(arena, SHV_INT, 1, NULL, spec));
		REFUSED_NULL("shv_string_new", EINVAL, shv_string_new(arena, "x", spec));
		REFUSED_NULL("shv_string_new_n", EINVAL, shv_string_new_n(arena, "x", 1, spec));
		REFUSED_NULL("shv_wstring_new", EINVAL, shv_wstring_new(arena, L"x", spec));
		REFUSED_NULL("shv_wstring_new_n", EINVAL, shv_wstring_new_n(arena, L"x", 1, spec));
		REFUSED_NULL("shv_lock_new", EINVAL, shv_lock_new(arena, spec));
		REFUSED_NULL("shv_find_or_new", EINVAL, shv_find_or_new(arena, "n", SHV_INT, NULL, spec, NULL));
	}
}
END_TEST

/* ---- functions that take an arena --------------------------------------------------------------------- */

static int dummy_acquire(void *state, const struct timespec *deadline)
{
	(void)state;
	(void)deadline;
	return 0;
}
static int dummy_release(void *state)
{
	(void)state;
	return 0;
}
static int dead_init(void *state, const void *arg)
{
	(void)state;
	(void)arg;
	return -EOWNERDEAD;
}
static const struct shv_lock_policy dead_policy = { .struct_size = sizeof(dead_policy),
						    .name = "dead",
						    .size = 8,
						    .align = 8,
						    .init = dead_init,
						    .acquire = dummy_acquire,
						    .release = dummy_release };

static void all_with_arena(shv_arena *a)
{
	struct shv_value_info info = { 0 };
	struct shv_lock_info lock = { 0 };
	struct shv_process_info process = { 0 };
	struct shv_run_info run = { 0 };
	struct shv_type_info type = { 0 };
	struct shv_stat st = { 0 };
	uint64_t cursor = 0;
	shv_ref ref = shv_ref_of(things.value);
	shv_value *two[2];
	char text[8];

	REFUSED("shv_arena_fd", EINVAL, shv_arena_fd(a));
	REFUSED("shv_arena_fd_rdonly", EINVAL, shv_arena_fd_rdonly(a));
	REFUSED("shv_arena_detach", EINVAL, shv_arena_detach(a));
	REFUSED("shv_arena_recover", EINVAL, shv_arena_recover(a, NULL));
	REFUSED("shv_arena_trim", EINVAL, shv_arena_trim(a));
	REFUSED("shv_arena_snapshot", EINVAL, shv_arena_snapshot(a, "/tmp/none", 0));
	REFUSED_NULL("shv_arena_name", EINVAL, shv_arena_name(a));
	REFUSED_NULL("shv_value_new", EINVAL, shv_value_new(a, SHV_INT, NULL, SHV_NONE));
	REFUSED("shv_values_new", EINVAL, shv_values_new(a, SHV_INT, NULL, SHV_NONE, 2, two));
	REFUSED("shv_raws_new", EINVAL, shv_raws_new(a, SHV_INT, NULL, 2, (void **)two));
	REFUSED_NULL("shv_raw_new", EINVAL, shv_raw_new(a, SHV_INT, NULL));
	REFUSED_NULL("shv_array_new", EINVAL, shv_array_new(a, SHV_INT, 1, NULL, SHV_NONE));
	REFUSED_NULL("shv_string_new", EINVAL, shv_string_new(a, "x", SHV_NONE));
	REFUSED_NULL("shv_string_new_n", EINVAL, shv_string_new_n(a, "x", 1, SHV_NONE));
	REFUSED_NULL("shv_wstring_new", EINVAL, shv_wstring_new(a, L"x", SHV_NONE));
	REFUSED_NULL("shv_wstring_new_n", EINVAL, shv_wstring_new_n(a, L"x", 1, SHV_NONE));
	REFUSED_NULL("shv_raw_array_new", EINVAL, shv_raw_array_new(a, SHV_INT, 1, NULL));
	REFUSED_NULL("shv_lock_new", EINVAL, shv_lock_new(a, SHV_PLAIN));
	REFUSED("shv_lock_register", EINVAL, shv_lock_register(a, &word_policy));
	REFUSED_NULL("shv_deref", EINVAL, shv_deref(a, ref));
	REFUSED("shv_ref_acquire", EINVAL, shv_ref_acquire(a, ref, &(shv_value *){ NULL }));
	REFUSED_NULL("shv_find", EINVAL, shv_find(a, "name"));
	REFUSED("shv_unpublish", EINVAL, shv_unpublish(a, "name"));
	REFUSED_NULL("shv_find_or_new", EINVAL, shv_find_or_new(a, "name", SHV_INT, NULL, SHV_NONE, NULL));
	REFUSED("shv_next_name", EINVAL, shv_next_name(a, &cursor, text, sizeof(text), NULL));
	REFUSED_NULL("shv_offset", EINVAL, shv_offset(a, things.value));
	REFUSED_NULL("shv_pointer", EINVAL, shv_pointer(a, 4096, 1));
	REFUSED("shv_stat", EINVAL, shv_stat(a, &st));
	REFUSED("shv_check", EINVAL, shv_check(a, NULL, NULL));
	REFUSED("shv_value_next", EINVAL, shv_value_next(a, &cursor, &info));
	REFUSED("shv_value_describe", EINVAL, shv_value_describe(a, ref, &info));
	REFUSED("shv_value_bytes", EINVAL, shv_value_bytes(a, ref, text, 8, NULL));
	REFUSED("shv_value_name", EINVAL, shv_value_name(a, ref, text, 8));
	REFUSED("shv_value_text", EINVAL, shv_value_text(a, ref, text, 8));
	REFUSED("shv_lock_next", EINVAL, shv_lock_next(a, &cursor, &lock));
	REFUSED("shv_process_next", EINVAL, shv_process_next(a, &cursor, &process));
	REFUSED("shv_run_next", EINVAL, shv_run_next(a, &cursor, &run));
	REFUSED("shv_type_next", EINVAL, shv_type_next(a, &cursor, &type));
	ck_assert_uint_eq(cursor, 0);
}

START_TEST(what_is_no_attachment_is_refused)
{
	long on_stack[64] = { 0 };
	long *on_heap = made((long *)calloc(64, sizeof(long)));
	shv_arena *detached = made(shv_arena_create(NULL)),
		  *closed_copy = made(shv_arena_attach(shv_arena_fd(arena), 0));

	assert_ok(shv_arena_detach(detached));
	assert_ok(shv_arena_detach(closed_copy));
	all_with_arena(NULL);
	all_with_arena((shv_arena *)on_stack);
	all_with_arena((shv_arena *)((char *)on_stack + 4));
	all_with_arena((shv_arena *)on_heap);
	all_with_arena((shv_arena *)things.value);
	all_with_arena(detached);
	all_with_arena(closed_copy);
	free(on_heap);
}
END_TEST

START_TEST(wrong_arguments_beside_the_arena_are_refused)
{
	struct shv_stat st = { .size = 3 };
	struct shv_recovery recovery = { .size = 3 };
	struct shv_value_info info = { .size = 3 };
	struct shv_lock_info lock = { .size = 3 };
	struct shv_process_info process = { .size = 3 };
	struct shv_run_info run = { .size = 3 };
	struct shv_type_info type = { .size = 3 };
	shv_ref ref = shv_ref_of(things.value);
	uint64_t cursor;
	char text[8];

	REFUSED("shv_arena_recover", EINVAL, shv_arena_recover(arena, &recovery));
	REFUSED("shv_stat", EINVAL, shv_stat(arena, NULL));
	REFUSED("shv_stat", EINVAL, shv_stat(arena, &st));
#define WALK_REFUSED(function, info)                                                                \
	do {                                                                                        \
		cursor = 0;                                                                         \
		REFUSED(#function, EINVAL, function(arena, NULL, &(info)));                         \
		REFUSED(#function, EINVAL, function(arena, &cursor, NULL));                         \
		REFUSED(#function, EINVAL, function(arena, &cursor, &(info)));                      \
	} while (0)
	WALK_REFUSED(shv_value_next, info);
	WALK_REFUSED(shv_lock_next, lock);
	WALK_REFUSED(shv_process_next, process);
	WALK_REFUSED(shv_run_next, run);
	WALK_REFUSED(shv_type_next, type);
	REFUSED_NULL("shv_type_of_id", ENOENT, shv_type_of_id(arena, 31));
	REFUSED_NULL("shv_type_of_id", ENOENT, shv_type_of_id(arena, UINT32_MAX));
	REFUSED("shv_value_describe", EINVAL, shv_value_describe(arena, ref, NULL));
	REFUSED("shv_value_describe", EINVAL, shv_value_describe(arena, ref, &info));
	REFUSED("shv_value_describe", EINVAL, shv_value_describe(arena, 0, &(struct shv_value_info){ 0 }));
	REFUSED("shv_value_bytes", EINVAL, shv_value_bytes(arena, ref, NULL, 8, NULL));
	REFUSED("shv_value_bytes", EINVAL, shv_value_bytes(arena, 0, text, 8, NULL));
	REFUSED("shv_value_name", EINVAL, shv_value_name(arena, ref, NULL, 8));
	REFUSED("shv_value_name", EINVAL, shv_value_name(arena, 0, text, 8));
	REFUSED("shv_value_name", ENOENT, shv_value_name(arena, ref, text, 8));
	REFUSED("shv_value_text", EINVAL, shv_value_text(arena, ref, NULL, 8));
	REFUSED("shv_value_text", EINVAL, shv_value_text(arena, 0, text, 8));
	REFUSED("shv_next_name", EINVAL, shv_next_name(arena, NULL, text, 8, NULL));
	REFUSED("shv_next_name", EINVAL, shv_next_name(arena, &cursor, NULL, 8, NULL));
}
END_TEST

/* ---- names and types ---------------------------------------------------------------------------------- */

START_TEST(names_are_refused)
{
	char name[257];
	void *p;

	memset(name, 'n', 256);
	name[256] = 0;
	REFUSED("shv_publish", EINVAL, shv_publish(things.value, NULL));
	REFUSED("shv_publish", EINVAL, shv_publish(things.value, ""));
	REFUSED("shv_publish", ENAMETOOLONG, shv_publish(things.value, name));
	REFUSED_NULL("shv_find", EINVAL, shv_find(arena, NULL));
	REFUSED_NULL("shv_find", EINVAL, shv_find(arena, ""));
	REFUSED_NULL("shv_find", ENAMETOOLONG, shv_find(arena, name));
	REFUSED_NULL("shv_find", ENOENT, shv_find(arena, "nobody"));
	REFUSED("shv_unpublish", EINVAL, shv_unpublish(arena, NULL));
	REFUSED("shv_unpublish", EINVAL, shv_unpublish(arena, ""));
	REFUSED("shv_unpublish", ENAMETOOLONG, shv_unpublish(arena, name));
	REFUSED("shv_unpublish", ENOENT, shv_unpublish(arena, "nobody"));
	REFUSED_NULL("shv_find_or_new", EINVAL, shv_find_or_new(arena, NULL, SHV_INT, NULL, SHV_NONE, NULL));
	REFUSED_NULL("shv_find_or_new", EINVAL, shv_find_or_new(arena, "", SHV_INT, NULL, SHV_NONE, NULL));
	REFUSED_NULL("shv_find_or_new", ENAMETOOLONG, shv_find_or_new(arena, name, SHV_INT, NULL, SHV_NONE, NULL));
	assert_ok(shv_publish(things.raw, "raw"));
	REFUSED("shv_publish", EEXIST, shv_publish(things.raw, "another"));
	REFUSED("shv_publish", EEXIST, shv_publish(things.value, "raw"));
	REFUSED_NULL("shv_find_or_new", EEXIST, shv_find_or_new(arena, "raw", SHV_LONG, NULL, SHV_NONE, NULL));
	p = made(shv_raw_new(arena, SHV_INT, NULL));
	assert_ok(shv_raw_free(p));
	REFUSED("shv_publish", ESTALE, shv_publish(p, "gone"));
	assert_ok(shv_unpublish(arena, "raw"));
}
END_TEST

START_TEST(types_are_refused)
{
	static const char *const wrong[] = { "",   "P",   "&i", "O",     "z",           "j",
					     "T{", "T{i", "(3", "(-1)i", "T{i:a:i:a:}", "99999999999999999999i" };
	struct pair {
		int a;
		long b;
	};
	struct shv_field fields[] = { SHV_FIELD(struct pair, a, SHV_INT), SHV_FIELD(struct pair, b, SHV_LONG) }, bad[2];
	const shv_type *t;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		wash();
		t = shv_type_parse(wrong[i]);
		settle(__FILE__, __LINE__, "shv_type_parse", errno == EOVERFLOW ? EOVERFLOW : EINVAL, wrong[i],
		       t ? 0 : -errno);
	}
	REFUSED_NULL("shv_type_parse", EINVAL, shv_type_parse(NULL));
	REFUSED_NULL("shv_type_parse", EOVERFLOW, shv_type_parse("(4611686018427387904)q"));
	REFUSED_NULL("shv_typecode", EINVAL, shv_typecode('x'));
	REFUSED_NULL("shv_type_size", EINVAL, shv_type_size(NULL));
	REFUSED_NULL("shv_type_align", EINVAL, shv_type_align(NULL));
	REFUSED_NULL("shv_type_format", EINVAL, shv_type_format(NULL));
	REFUSED_NULL("shv_type_name", EINVAL, shv_type_name(NULL));
	made(t = shv_type_struct("pair", sizeof(struct pair), fields, 2));
	REFUSED_NULL("shv_type_members", EINVAL, shv_type_members(NULL));
	bad[0] = fields[0];
	REFUSED("shv_type_member", EINVAL, shv_type_member(NULL, 0, bad));
	REFUSED("shv_type_member", EINVAL, shv_type_member(t, 0, NULL));
	bad[0].size = 1;
	REFUSED("shv_type_member", EINVAL, shv_type_member(t, 0, bad));
	bad[0].size = sizeof(bad[0]);
	REFUSED("shv_type_member", ERANGE, shv_type_member(t, 2, bad));
	REFUSED("shv_type_member", ERANGE, shv_type_member(SHV_INT, 0, bad));
	REFUSED("shv_type_text", EINVAL, shv_type_text(NULL, bad, NULL, 0));
	REFUSED("shv_type_text", EINVAL, shv_type_text(SHV_INT, NULL, NULL, 0));
	REFUSED("shv_type_text", EINVAL, shv_type_text(SHV_INT, bad, NULL, 1));
	REFUSED_NULL("shv_type_of_id", EINVAL, shv_type_of_id(NULL, 1));
	REFUSED_NULL("shv_type_struct", EINVAL, shv_type_struct("pair", sizeof(struct pair), NULL, 2));
	REFUSED_NULL("shv_type_struct", EINVAL, shv_type_struct("pair", sizeof(struct pair), fields, 0));
	REFUSED_NULL("shv_type_struct", EINVAL, shv_type_struct("pair", 8, fields, 2));
	REFUSED_NULL("shv_type_struct", EOVERFLOW, shv_type_struct("pair", SIZE_MAX, fields, 2));
#define FIELD_REFUSED(change)                                                                                \
	do {                                                                                                 \
		memcpy(bad, fields, sizeof(fields));                                                         \
		change;                                                                                      \
		REFUSED_NULL("shv_type_struct", EINVAL, shv_type_struct("pair", sizeof(struct pair), bad, 2)); \
	} while (0)
	FIELD_REFUSED(bad[0].name = NULL);
	FIELD_REFUSED(bad[0].name = "");
	FIELD_REFUSED(bad[0].name = "b");
	FIELD_REFUSED(bad[0].type = NULL);
	FIELD_REFUSED(bad[0].offset = 1);
	FIELD_REFUSED(bad[0].offset = 8);
	FIELD_REFUSED(bad[1].offset = 16);
	FIELD_REFUSED(bad[0].extent = 0);
	FIELD_REFUSED(bad[0].extent = 5);
	FIELD_REFUSED(bad[0].extent = 12);
	FIELD_REFUSED(bad[0].size = 3);
}
END_TEST

/* ---- locks -------------------------------------------------------------------------------------------- */

/* The value that a function of the table works on. */
static void *subject(const struct object_function *f, const struct things *t)
{
	if (f->takes == STRINGS)
		return f->wide ? t->wide : t->string;
	return f->floating ? t->floating : t->value;
}

START_TEST(taking_what_is_taken_is_refused)
{
	const struct things t = { .value = made(SHV_VALUE(arena, long, 0, SHV_PLAIN)),
				  .floating = made(SHV_VALUE(arena, double, 0, SHV_PLAIN)),
				  .string = made(shv_string_new(arena, "text", SHV_PLAIN)),
				  .wide = made(shv_wstring_new(arena, L"text", SHV_PLAIN)) };
	shv_value *const all[] = { t.value, t.floating, t.string, t.wide };

	for (int k = 0; k < 4; k++)
		assert_ok(shv_acquire(all[k]));
	for (int i = 0; i < OBJECT_FUNCTIONS; i++)
		if (object_functions[i].locks)
			REFUSED(object_functions[i].name, EDEADLK,
				object_functions[i].call(subject(&object_functions[i], &t)));
	REFUSED("shv_ref_acquire", EDEADLK, shv_ref_acquire(arena, shv_ref_of(t.value), &(shv_value *){ NULL }));
	REFUSED("shv_arena_detach", EBUSY, shv_arena_detach(arena));
	for (int k = 0; k < 4; k++)
		assert_ok(shv_value_free(all[k]));
}
END_TEST

START_TEST(taking_too_often_is_refused)
{
	const struct things t = { .value = made(SHV_VALUE(arena, long, 0)),
				  .floating = made(SHV_VALUE(arena, double, 0)),
				  .string = made(shv_string_new(arena, "text", SHV_RECURSIVE)),
				  .wide = made(shv_wstring_new(arena, L"text", SHV_RECURSIVE)) };
	shv_value *const all[] = { t.value, t.floating, t.string, t.wide };

	for (int k = 0; k < 4; k++)
		while (!shv_acquire(all[k]))
			;
	for (int i = 0; i < OBJECT_FUNCTIONS; i++)
		if (object_functions[i].locks)
			REFUSED(object_functions[i].name, EAGAIN,
				object_functions[i].call(subject(&object_functions[i], &t)));
	REFUSED("shv_ref_acquire", EAGAIN, shv_ref_acquire(arena, shv_ref_of(t.value), &(shv_value *){ NULL }));
	for (int k = 0; k < 4; k++)
		assert_ok(shv_value_free(all[k]));
}
END_TEST

static struct gate there, go;

static int hold(shv_value *v)
{
	NEED(shv_acquire(v) == 0, "shv_acquire");
	gate_add(&there, 1);
	gate_wait(&go, 1);
	return shv_release(v);
}

START_TEST(what_another_thread_holds_is_refused)
{
	struct errand e;

	there.word = go.word = 0;
	errand_send(&e, hold, things.plain);
	gate_wait(&there, 1);
	REFUSED("shv_try_acquire", EBUSY, shv_try_acquire(things.plain));
	REFUSED("shv_lock_try", EBUSY, shv_lock_try(shv_value_lock(things.plain)));
	REFUSED("shv_acquire_for", ETIMEDOUT, shv_acquire_for(things.plain, &(struct timespec){ 0, 0 }));
	REFUSED("shv_lock_for", ETIMEDOUT, shv_lock_for(shv_value_lock(things.plain), &(struct timespec){ 0, 1 }));
	REFUSED("shv_release", EPERM, shv_release(things.plain));
	REFUSED("shv_lock_release", EPERM, shv_lock_release(shv_value_lock(things.plain)));
	REFUSED("shv_value_free", EBUSY, shv_value_free(things.plain));
	REFUSED("shv_values_free", EBUSY, shv_values_free(&things.plain, 1));
	REFUSED("shv_peek", EAGAIN, shv_peek(things.plain, &(long){ 0 }, 8));
	REFUSED("shv_arena_detach", EBUSY, shv_arena_detach(arena));
	gate_add(&go, 1);
	assert_ok(errand_back(&e));
}
END_TEST

START_TEST(policies_are_refused)
{
	struct shv_lock_policy other = word_policy, wrong = word_policy;
	const shv_lockspec dead = SHV_POLICY(&dead_policy);

	REFUSED("shv_lock_register", EINVAL, shv_lock_register(arena, NULL));
	wrong.size = 0;
	REFUSED("shv_lock_register", EINVAL, shv_lock_register(arena, &wrong));
	assert_ok(shv_lock_register(arena, &word_policy));
	REFUSED("shv_lock_register", EEXIST, shv_lock_register(arena, &other));
	wrong.size = 24;
	REFUSED("shv_lock_register", EPROTONOSUPPORT, shv_lock_register(arena, &wrong));
	assert_ok(shv_lock_register(arena, &dead_policy));
	REFUSED_NULL("shv_value_new", EOWNERDEAD, shv_value_new(arena, SHV_INT, NULL, dead));
	REFUSED("shv_values_new", EOWNERDEAD, shv_values_new(arena, SHV_INT, NULL, dead, 2, (shv_value *[]){ NULL, NULL }));
	REFUSED_NULL("shv_array_new", EOWNERDEAD, shv_array_new(arena, SHV_INT, 3, NULL, dead));
	REFUSED_NULL("shv_lock_new", EOWNERDEAD, shv_lock_new(arena, dead));
	REFUSED_NULL("shv_find_or_new", EOWNERDEAD, shv_find_or_new(arena, "n", SHV_INT, NULL, dead, NULL));
	for (int i = 0; i < 64; i++) {
		static struct shv_lock_policy many[64];
		static char name[64][16];

		many[i] = word_policy;
		snprintf(name[i], sizeof(name[i]), "policy %d", i);
		many[i].name = name[i];
		if (i < 62)
			assert_ok(shv_lock_register(arena, &many[i]));
		else
			REFUSED("shv_lock_register", ENOSPC, shv_lock_register(arena, &many[i]));
	}
}
END_TEST

START_TEST(policy_that_is_not_registered_here_is_refused)
{
	shv_ref refs[5];
	shv_value *integer, *x = NULL;
	struct things its = { 0 };
	shv_lock *lock;
	int fd;

	assert_ok(shv_lock_register(arena, &word_policy));
	refs[0] = shv_ref_of(made(SHV_VALUE(arena, long, 0, SHV_POLICY(&word_policy))));
	refs[1] = shv_ref_of(made(SHV_VALUE(arena, double, 0, SHV_POLICY(&word_policy))));
	refs[2] = shv_ref_of(made(shv_lock_new(arena, SHV_POLICY(&word_policy))));
	refs[3] = shv_ref_of(made(shv_string_new(arena, "text", SHV_POLICY(&word_policy))));
	refs[4] = shv_ref_of(made(shv_wstring_new(arena, L"text", SHV_POLICY(&word_policy))));
	fd = dup(shv_arena_fd(arena));
	assert_ok(shv_arena_detach(arena));
	arena = made(shv_arena_attach(fd, 0));
	close(fd);
	integer = its.value = made((shv_value *)shv_deref(arena, refs[0]));
	its.floating = made((shv_value *)shv_deref(arena, refs[1]));
	its.string = made((shv_value *)shv_deref(arena, refs[3]));
	its.wide = made((shv_value *)shv_deref(arena, refs[4]));
	lock = made((shv_lock *)shv_deref(arena, refs[2]));
	for (int i = 0; i < OBJECT_FUNCTIONS; i++)
		if (object_functions[i].locks)
			REFUSED(object_functions[i].name, ENOTSUP,
				object_functions[i].call(subject(&object_functions[i], &its)));
	REFUSED("shv_peek", ENOTSUP, do_peek(integer));
	REFUSED("shv_release", ENOTSUP, shv_release(integer));
	REFUSED("shv_release_all", ENOTSUP, shv_release_all(&integer, 1));
	REFUSED("shv_lock_release", ENOTSUP, shv_lock_release(lock));
	REFUSED("shv_value_holder", ENOTSUP, do_value_holder(integer));
	REFUSED("shv_lock_holder", ENOTSUP, do_lock_holder(lock));
	REFUSED("shv_ref_acquire", ENOTSUP, shv_ref_acquire(arena, refs[0], &x));
	REFUSED("shv_wait", ENOTSUP, do_wait(integer));
	REFUSED("shv_value_free", ENOTSUP, shv_value_free(integer));
	REFUSED("shv_values_free", ENOTSUP, shv_values_free(&integer, 1));
	REFUSED("shv_values_new", ENOTSUP, shv_values_new(arena, SHV_INT, NULL, SHV_POLICY(&word_policy), 1, &x));
	REFUSED_NULL("shv_value_new", ENOTSUP, shv_value_new(arena, SHV_INT, NULL, SHV_POLICY(&word_policy)));
	REFUSED_NULL("shv_array_new", ENOTSUP, shv_array_new(arena, SHV_INT, 3, NULL, SHV_POLICY(&word_policy)));
	REFUSED_NULL("shv_string_new", ENOTSUP, shv_string_new(arena, "x", SHV_POLICY(&word_policy)));
	REFUSED_NULL("shv_string_new_n", ENOTSUP, shv_string_new_n(arena, "x", 1, SHV_POLICY(&word_policy)));
	REFUSED_NULL("shv_wstring_new", ENOTSUP, shv_wstring_new(arena, L"x", SHV_POLICY(&word_policy)));
	REFUSED_NULL("shv_wstring_new_n", ENOTSUP, shv_wstring_new_n(arena, L"x", 1, SHV_POLICY(&word_policy)));
	REFUSED_NULL("shv_lock_new", ENOTSUP, shv_lock_new(arena, SHV_POLICY(&word_policy)));
	REFUSED("shv_arena_snapshot", ENOTSUP, shv_arena_snapshot(arena, "/tmp/shv-errors-no-file", SHV_LOCKED));
	REFUSED_NULL("shv_find_or_new", ENOTSUP,
		     shv_find_or_new(arena, "n", SHV_INT, NULL, SHV_POLICY(&word_policy), NULL));
	assert_ok(shv_lock_register(arena, &word_policy));
	assert_ok(shv_value_free(integer));
	assert_ok(shv_value_free(its.floating));
	assert_ok(shv_value_free(its.string));
	assert_ok(shv_value_free(its.wide));
	assert_ok(shv_lock_free(lock));
	assert_ok(shv_arena_trim(arena));
}
END_TEST

START_TEST(exchange_of_odd_sizes_without_a_lock_is_refused)
{
	shv_value *v = made(shv_value_new(arena, SHV_LONGDOUBLE, NULL, SHV_NONE));
	long double x = 0;

	REFUSED("shv_compare_exchange", ENOTSUP, shv_compare_exchange(v, &x, &x, sizeof(x)));
	assert_ok(shv_value_free(v));
}
END_TEST

/* ---- read-only ---------------------------------------------------------------------------------------- */

START_TEST(writing_to_a_read_only_attachment_is_refused)
{
	shv_arena *ro = made(shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY));
	shv_value *integer = made((shv_value *)shv_deref(ro, shv_ref_of(things.value)));
	const struct things its = { .value = integer,
				      .floating = made((shv_value *)shv_deref(ro, shv_ref_of(things.floating))),
				      .string = made((shv_value *)shv_deref(ro, shv_ref_of(things.string))),
				      .wide = made((shv_value *)shv_deref(ro, shv_ref_of(things.wide))) };
	void *raw = made(shv_deref(ro, shv_ref_of(things.raw)));
	shv_lock *lock = made((shv_lock *)shv_deref(ro, shv_ref_of(things.lock)));

	for (int i = 0; i < OBJECT_FUNCTIONS; i++) {
		const struct object_function *f = &object_functions[i];
		void *p = f->takes & LOCK_OBJECTS ? lock : f->takes & (VALUES | STRINGS) ? subject(f, &its) : raw;

		if (!f->reads)
			REFUSED(f->name, EROFS, f->call(p));
	}
	REFUSED("shv_ref_acquire", EROFS, shv_ref_acquire(ro, shv_ref_of(integer), &(shv_value *){ NULL }));
	REFUSED_NULL("shv_value_new", EROFS, shv_value_new(ro, SHV_INT, NULL, SHV_NONE));
	REFUSED_NULL("shv_array_new", EROFS, shv_array_new(ro, SHV_INT, 1, NULL, SHV_NONE));
	REFUSED_NULL("shv_string_new", EROFS, shv_string_new(ro, "x", SHV_NONE));
	REFUSED_NULL("shv_string_new_n", EROFS, shv_string_new_n(ro, "x", 1, SHV_NONE));
	REFUSED_NULL("shv_wstring_new", EROFS, shv_wstring_new(ro, L"x", SHV_NONE));
	REFUSED_NULL("shv_wstring_new_n", EROFS, shv_wstring_new_n(ro, L"x", 1, SHV_NONE));
	REFUSED_NULL("shv_raw_new", EROFS, shv_raw_new(ro, SHV_INT, NULL));
	REFUSED("shv_values_new", EROFS, shv_values_new(ro, SHV_INT, NULL, SHV_NONE, 1, &integer));
	integer = its.value;
	REFUSED("shv_raws_new", EROFS, shv_raws_new(ro, SHV_INT, NULL, 1, &(void *){ NULL }));
	REFUSED("shv_values_free", EROFS, shv_values_free(&integer, 1));
	REFUSED("shv_raws_free", EROFS, shv_raws_free(&raw, 1));
	REFUSED_NULL("shv_raw_array_new", EROFS, shv_raw_array_new(ro, SHV_INT, 1, NULL));
	REFUSED_NULL("shv_lock_new", EROFS, shv_lock_new(ro, SHV_PLAIN));
	REFUSED_NULL("shv_find_or_new", EROFS, shv_find_or_new(ro, "n", SHV_INT, NULL, SHV_NONE, NULL));
	REFUSED("shv_lock_register", EROFS, shv_lock_register(ro, &word_policy));
	REFUSED("shv_unpublish", EROFS, shv_unpublish(ro, "n"));
	REFUSED("shv_arena_recover", EROFS, shv_arena_recover(ro, NULL));
	REFUSED("shv_arena_trim", EROFS, shv_arena_trim(ro));
	/* Reading is refused for the same reasons as elsewhere, in the name of the function that was called. */
	REFUSED("shv_get", EINVAL, shv_get(integer, &(int){ 0 }, 4));
	REFUSED("shv_get", EINVAL, shv_get(integer, NULL, 8));
	assert_ok(shv_arena_detach(ro));
}
END_TEST

/* ---- snapshots ---------------------------------------------------------------------------------------- */

static void few_descriptors(struct rlimit *was)
{
	struct rlimit none;
	int next = dup(0);

	ck_assert(!getrlimit(RLIMIT_NOFILE, was));
	none = *was;
	none.rlim_cur = (rlim_t)next;
	close(next);
	ck_assert(!setrlimit(RLIMIT_NOFILE, &none));
}

/* folder: a path that begins with the name of a file, of links that go round, and so on. */
static void snapshot_paths(const char *folder)
{
	char path[512], name[300], below[600];
	struct rlimit was, few;
	int fd;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	REFUSED("shv_arena_snapshot", ENAMETOOLONG, shv_arena_snapshot(arena, path, 0));
	REFUSED_NULL("shv_arena_open", ENAMETOOLONG, shv_arena_open(path, 0));
	REFUSED("shv_arena_snapshot", EISDIR, shv_arena_snapshot(arena, folder, 0));
	REFUSED_NULL("shv_arena_open", EISDIR, shv_arena_open(folder, 0));
	REFUSED("shv_arena_snapshot", EEXIST, shv_arena_snapshot(arena, "/dev/null", 0));
	snprintf(path, sizeof(path), "%s/none/image", folder);
	REFUSED("shv_arena_snapshot", ENOENT, shv_arena_snapshot(arena, path, 0));
	REFUSED_NULL("shv_arena_open", ENOENT, shv_arena_open(path, 0));
	snprintf(path, sizeof(path), "%s/round", folder);
	ck_assert(!symlink("round", path));
	REFUSED_NULL("shv_arena_open", ELOOP, shv_arena_open(path, 0));
	snprintf(below, sizeof(below), "%s/image", path);
	REFUSED("shv_arena_snapshot", ELOOP, shv_arena_snapshot(arena, below, 0));
	ck_assert(!unlink(path));
	snprintf(path, sizeof(path), "%s/image", folder);
	ck_assert(!getrlimit(RLIMIT_FSIZE, &was));
	few = was;
	few.rlim_cur = 4096;
	ck_assert(!setrlimit(RLIMIT_FSIZE, &few));
	REFUSED("shv_arena_snapshot", EFBIG, shv_arena_snapshot(arena, path, 0));
	ck_assert(!setrlimit(RLIMIT_FSIZE, &was));
	few_descriptors(&was);
	REFUSED("shv_arena_snapshot", EMFILE, shv_arena_snapshot(arena, path, 0));
	ck_assert(!setrlimit(RLIMIT_NOFILE, &was));
	assert_ok(shv_arena_snapshot(arena, path, 0));
	snprintf(below, sizeof(below), "%s/below", path);
	REFUSED("shv_arena_snapshot", ENOTDIR, shv_arena_snapshot(arena, below, 0));
	REFUSED_NULL("shv_arena_open", ENOTDIR, shv_arena_open(below, 0));
	few_descriptors(&was);
	REFUSED_NULL("shv_arena_open", EMFILE, shv_arena_open(path, 0));
	ck_assert(!setrlimit(RLIMIT_NOFILE, &was));
	ck_assert(!setrlimit(RLIMIT_FSIZE, &few));
	REFUSED_NULL("shv_arena_open", ENOSPC, shv_arena_open(path, 0));
	few.rlim_cur = RLIM_INFINITY;
	(void)setrlimit(RLIMIT_FSIZE, &few);
	fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "\7", 1, 8), 1); /* its format */
	REFUSED_NULL("shv_arena_open", EPROTONOSUPPORT, shv_arena_open(path, 0));
	ck_assert_int_eq(pwrite(fd, "\1", 1, 8), 1);
	ck_assert_int_eq(pwrite(fd, "another name", 12, 64), 12);
	REFUSED_NULL("shv_arena_open", EUCLEAN, shv_arena_open(path, 0));
	ck_assert_int_eq(pwrite(fd, "nothing", 7, 0), 7);
	REFUSED_NULL("shv_arena_open", EBADMSG, shv_arena_open(path, 0));
	close(fd);
	ck_assert(!unlink(path));
}

START_TEST(snapshots_are_refused)
{
	char folder[] = "/tmp/shv-errors-XXXXXX", path[64];
	shv_arena *ro = made(shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY));

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/image", folder);
	REFUSED("shv_arena_snapshot", EINVAL, shv_arena_snapshot(arena, NULL, 0));
	REFUSED("shv_arena_snapshot", EINVAL, shv_arena_snapshot(arena, "", 0));
	REFUSED("shv_arena_snapshot", EINVAL, shv_arena_snapshot(arena, path, SHV_RDONLY));
	REFUSED("shv_arena_snapshot", EROFS, shv_arena_snapshot(ro, path, SHV_LOCKED));
	REFUSED_NULL("shv_arena_open", EINVAL, shv_arena_open(NULL, 0));
	REFUSED_NULL("shv_arena_open", EINVAL, shv_arena_open("", 0));
	REFUSED_NULL("shv_arena_open", EINVAL, shv_arena_open(path, SHV_LOCKED));
	snapshot_paths(folder);
	close(shv_arena_fd(ro));
	REFUSED("shv_arena_snapshot", EBADF, shv_arena_snapshot(ro, path, 0));
	ck_assert(!rmdir(folder));
	assert_ok(shv_arena_detach(ro));
}
END_TEST

static int snapshot_while_held(void *arg)
{
	REFUSED("shv_arena_snapshot", ETIMEDOUT, shv_arena_snapshot(arg, "/tmp/shv-errors-no-file", SHV_LOCKED));
	NEED(access("/tmp/shv-errors-no-file", F_OK), "a file was left");
	return 0;
}

START_TEST(snapshots_with_a_lock_that_is_held_are_refused)
{
	assert_ok(shv_acquire(things.value));
	ck_assert_int_eq(finish(start(snapshot_while_held, arena)), 0);
	assert_ok(shv_release(things.value));
}
END_TEST

/* ---- sockets ------------------------------------------------------------------------------------------ */

static char socket_path[64];
static int expected;

static int connect_in_vain(void *arg)
{
	(void)arg;
	REFUSED_NULL("shv_arena_connect", expected, shv_arena_connect(socket_path, 0));
	return 0;
}

/* Somebody else's program listens, answers a client with these bytes and two of these descriptors, and goes. */
static void strange_server(const uint32_t answer[4], int shown, int code)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct iovec io = { .iov_base = (void *)(uintptr_t)answer, .iov_len = 16 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), client, both[2] = { shown, shown };
	char asked[64];
	pid_t pid;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", socket_path);
	ck_assert(listener >= 0 && !bind(listener, (struct sockaddr *)&at, sizeof(at)) && !listen(listener, 1));
	expected = code;
	pid = start(connect_in_vain, NULL);
	client = accept(listener, NULL, NULL);
	ck_assert_int_gt(recv(client, asked, sizeof(asked), 0), 0);
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(both));
	memcpy(CMSG_DATA(&control.head), both, sizeof(both));
	if (answer)
		ck_assert_int_eq(sendmsg(client, &m, MSG_NOSIGNAL), 16);
	close(client);
	ck_assert_int_eq(finish(pid), 0);
	if (!answer) { /* and now nobody accepts */
		REFUSED_NULL("shv_arena_connect", ETIMEDOUT, shv_arena_connect(socket_path, 0));
		REFUSED("shv_arena_serve", EADDRINUSE, shv_arena_serve(arena, socket_path, NULL));
	}
	close(listener);
	REFUSED_NULL("shv_arena_connect", ECONNREFUSED, shv_arena_connect(socket_path, 0));
	unlink(socket_path);
}

static void strange_servers(void)
{
	/* As docs/ARCHITECTURE.md has it: magic, version, error, number of descriptors. */
	const uint32_t fine[4] = { 0x41564853, 1, 0, 2 }, newer[4] = { 0x41564853, 2, 0, 2 }, other[4] = { 1, 1, 0, 2 };
	int fd = shv_arena_fd(arena), null = open("/dev/null", O_RDWR), damaged = memfd_create("shv:damaged", MFD_ALLOW_SEALING);
	char head[4096];

	strange_server(NULL, fd, ECONNRESET);
	strange_server(newer, fd, EPROTONOSUPPORT);
	strange_server(other, fd, EPROTO);
	strange_server(fine, null, EBADMSG);
	ck_assert_int_eq(pread(fd, head, sizeof(head), 0), sizeof(head));
	head[200] ^= 1;
	ck_assert(!ftruncate(damaged, 64 << 20) && pwrite(damaged, head, sizeof(head), 0) == sizeof(head));
	ck_assert(!fcntl(damaged, F_ADD_SEALS, F_SEAL_SHRINK));
	strange_server(fine, damaged, EUCLEAN);
	close(damaged);
	close(null);
}

static int stranger(void *arg)
{
	(void)arg;
	NEED(!setresuid(54321, 54321, 54321), "setresuid");
	REFUSED_NULL("shv_arena_connect", EACCES, shv_arena_connect(socket_path, 0));
	REFUSED("shv_arena_serve", EACCES, shv_arena_serve(arena, "@shv errors", NULL));
	return 0;
}

static int one_too_many(void *arg)
{
	(void)arg;
	expected = EUSERS;
	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	return connect_in_vain(NULL);
}

static void paths_of_sockets(const char *folder)
{
	char path[200], round[96], below[128];

	memset(path, 'n', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	REFUSED("shv_arena_serve", ENAMETOOLONG, shv_arena_serve(arena, path, NULL));
	REFUSED_NULL("shv_arena_connect", ENAMETOOLONG, shv_arena_connect(path, 0));
	REFUSED("shv_arena_serve", ENOTDIR, shv_arena_serve(arena, "/dev/null/socket", NULL));
	REFUSED_NULL("shv_arena_connect", ENOTDIR, shv_arena_connect("/dev/null/socket", 0));
	REFUSED("shv_arena_serve", EEXIST, shv_arena_serve(arena, "/dev/null", NULL));
	snprintf(path, sizeof(path), "%s/none/socket", folder);
	REFUSED("shv_arena_serve", ENOENT, shv_arena_serve(arena, path, NULL));
	REFUSED_NULL("shv_arena_connect", ENOENT, shv_arena_connect(path, 0));
	snprintf(round, sizeof(round), "%s/round", folder);
	snprintf(below, sizeof(below), "%s/socket", round);
	ck_assert(!symlink("round", round));
	REFUSED("shv_arena_serve", ELOOP, shv_arena_serve(arena, below, NULL));
	REFUSED_NULL("shv_arena_connect", ELOOP, shv_arena_connect(round, 0));
	ck_assert(!unlink(round));
}

START_TEST(sockets_are_refused)
{
	struct shv_arena_options small = { .max_processes = 1, .capacity = (size_t)64 << 20 };
	char folder[] = "/tmp/shv-errors-XXXXXX";
	shv_arena *ro = made(shv_arena_attach(shv_arena_fd(arena), SHV_RDONLY)), *full = made(shv_arena_create(&small));
	struct rlimit was;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
	REFUSED("shv_arena_serve", EINVAL, shv_arena_serve(NULL, socket_path, NULL));
	REFUSED("shv_arena_serve", EINVAL, shv_arena_serve(arena, NULL, NULL));
	REFUSED("shv_arena_serve", EINVAL, shv_arena_serve(arena, socket_path, &(struct shv_serve_options){ .size = 1 }));
	REFUSED("shv_arena_serve", EROFS, shv_arena_serve(ro, socket_path, NULL));
	REFUSED("shv_arena_unserve", EINVAL, shv_arena_unserve(NULL));
	REFUSED("shv_arena_unserve", ENOENT, shv_arena_unserve(arena));
	REFUSED_NULL("shv_arena_connect", EINVAL, shv_arena_connect(NULL, 0));
	REFUSED_NULL("shv_arena_connect", EINVAL, shv_arena_connect(socket_path, SHV_RESTORE));
	paths_of_sockets(folder);
	strange_servers();
	few_descriptors(&was);
	REFUSED("shv_arena_serve", EMFILE, shv_arena_serve(arena, socket_path, NULL));
	REFUSED_NULL("shv_arena_connect", EMFILE, shv_arena_connect(socket_path, 0));
	ck_assert(!setrlimit(RLIMIT_NOFILE, &was));
	assert_ok(shv_arena_serve(arena, socket_path, &(struct shv_serve_options){ .flags = SHV_RDONLY }));
	REFUSED("shv_arena_serve", EBUSY, shv_arena_serve(arena, socket_path, NULL));
	REFUSED("shv_arena_serve", EADDRINUSE, shv_arena_serve(full, socket_path, NULL));
	REFUSED_NULL("shv_arena_connect", EACCES, shv_arena_connect(socket_path, 0));
	if (!geteuid())
		ck_assert_int_eq(finish(start(stranger, NULL)), 0);
	assert_ok(shv_arena_unserve(arena));
	assert_ok(shv_arena_serve(full, socket_path, NULL));
	ck_assert_int_eq(finish(start(one_too_many, NULL)), 0);
	assert_ok(shv_arena_detach(full));
	assert_ok(shv_arena_detach(ro));
	ck_assert(!rmdir(folder));
}
END_TEST

/* Reached through nothing any more: neither its descriptor nor, without privileges, its mapping. */
static int serve_without_a_descriptor(void *arg)
{
	(void)arg;
	NEED(!setresuid(54321, 54321, 54321), "setresuid");
	close(shv_arena_fd(arena));
	REFUSED("shv_arena_serve", EBADF, shv_arena_serve(arena, "@shv errors", NULL));
	return 0;
}

START_TEST(service_without_a_descriptor_is_refused)
{
	ck_assert_int_eq(finish(start(serve_without_a_descriptor, NULL)), 0);
}
END_TEST

/* ---- no room ------------------------------------------------------------------------------------------ */

static void strings_without_space(shv_arena *a, shv_value *string, shv_value *wide)
{
	enum { N = 20000 };
	static char text[N + 1];
	static wchar_t wtext[N + 1];

	memset(text, 'x', N);
	wmemset(wtext, L'x', N);
	REFUSED_NULL("shv_string_new", ENOSPC, shv_string_new(a, text, SHV_NONE));
	REFUSED_NULL("shv_string_new_n", ENOSPC, shv_string_new_n(a, text, N, SHV_NONE));
	REFUSED_NULL("shv_wstring_new", ENOSPC, shv_wstring_new(a, wtext, SHV_NONE));
	REFUSED_NULL("shv_wstring_new_n", ENOSPC, shv_wstring_new_n(a, wtext, N, SHV_NONE));
	REFUSED("shv_string_set", ENOSPC, shv_string_set(string, text));
	REFUSED("shv_string_set_n", ENOSPC, shv_string_set_n(string, text, N));
	REFUSED("shv_string_append", ENOSPC, shv_string_append(string, text));
	REFUSED("shv_string_append_n", ENOSPC, shv_string_append_n(string, text, N));
	REFUSED("shv_wstring_set", ENOSPC, shv_wstring_set(wide, wtext));
	REFUSED("shv_wstring_set_n", ENOSPC, shv_wstring_set_n(wide, wtext, N));
	REFUSED("shv_wstring_append", ENOSPC, shv_wstring_append(wide, wtext));
	REFUSED("shv_wstring_append_n", ENOSPC, shv_wstring_append_n(wide, wtext, N));
	ck_assert_uint_eq(shv_len(string), 4);
	ck_assert_uint_eq(shv_len(wide), 4);
}

START_TEST(full_arena_refuses)
{
	struct shv_arena_options o = { .capacity = (size_t)32 << 20, .max_processes = 1 };
	shv_arena *a = made(shv_arena_create(&o));
	void *p = made(shv_raw_new(a, SHV_INT, NULL));
	shv_value *string = made(shv_string_new(a, "text", SHV_NONE)), *wide = made(shv_wstring_new(a, L"text", SHV_PLAIN));

	for (size_t n = 1 << 20; n; n /= 2)
		while (shv_raw_array_new(a, SHV_CHAR, n, NULL))
			;
	for (unsigned rest = 1; rest;) {
		rest = SHV_VALUE(a, int, 1) != NULL;
		rest += SHV_VALUE(a, int, 1, SHV_NONE) != NULL;
	}
	REFUSED_NULL("shv_value_new", ENOSPC, shv_value_new(a, SHV_INT, NULL, SHV_PLAIN));
	REFUSED_NULL("shv_raw_new", ENOSPC, shv_raw_new(a, SHV_INT, NULL));
	REFUSED("shv_values_new", ENOSPC, shv_values_new(a, SHV_INT, NULL, SHV_PLAIN, 1, &(shv_value *){ NULL }));
	REFUSED("shv_raws_new", ENOSPC, shv_raws_new(a, SHV_INT, NULL, 1, &(void *){ NULL }));
	REFUSED_NULL("shv_array_new", ENOSPC, shv_array_new(a, SHV_INT, 10000, NULL, SHV_PLAIN));
	REFUSED_NULL("shv_raw_array_new", ENOSPC, shv_raw_array_new(a, SHV_INT, 10000, NULL));
	REFUSED_NULL("shv_array_new", ENOSPC, shv_array_new(a, SHV_CHAR, 1 << 30, NULL, SHV_PLAIN));
	REFUSED_NULL("shv_raw_array_new", ENOSPC, shv_raw_array_new(a, SHV_CHAR, 1 << 30, NULL));
	strings_without_space(a, string, wide);
	REFUSED_NULL("shv_lock_new", ENOSPC, shv_lock_new(a, SHV_PLAIN));
	REFUSED_NULL("shv_find_or_new", ENOSPC, shv_find_or_new(a, "a name", SHV_INT, NULL, SHV_NONE, NULL));
	REFUSED("shv_publish", ENOSPC,
		shv_publish(p, "a name that is too long to find a place in a gap that was left somewhere"));
	assert_sound(a);
	assert_ok(shv_arena_detach(a));
}
END_TEST

/* A forked child is a process of its own at its first call; here there is no room for it. */
static int child_too_many(void *arg)
{
	shv_arena *a = arg;
	int fd = dup(shv_arena_fd(a));

	for (int i = 0; i < OBJECT_FUNCTIONS; i++) {
		const struct object_function *f = &object_functions[i];

		if (f->locks)
			REFUSED(f->name, EUSERS, f->call(subject(f, &things)));
	}
	REFUSED("shv_ref_acquire", EUSERS, shv_ref_acquire(a, shv_ref_of(things.value), &(shv_value *){ NULL }));
	REFUSED("shv_release_all", EUSERS, do_release_all(things.value));
	REFUSED("shv_release", EUSERS, shv_release(things.value));
	REFUSED("shv_lock_release", EUSERS, shv_lock_release(things.lock));
	REFUSED("shv_value_free", EUSERS, shv_value_free(things.value));
	REFUSED("shv_raw_free", EUSERS, shv_raw_free(things.raw));
	REFUSED("shv_wait", EUSERS, do_wait(things.value));
	REFUSED("shv_values_free", EUSERS, shv_values_free(&things.value, 1));
	REFUSED("shv_raws_free", EUSERS, shv_raws_free(&things.raw, 1));
	REFUSED("shv_values_new", EUSERS, shv_values_new(a, SHV_INT, NULL, SHV_NONE, 1, &(shv_value *){ NULL }));
	REFUSED("shv_raws_new", EUSERS, shv_raws_new(a, SHV_INT, NULL, 1, &(void *){ NULL }));
	REFUSED("shv_publish", EUSERS, shv_publish(things.raw, "name"));
	REFUSED("shv_unpublish", EUSERS, shv_unpublish(a, "name"));
	REFUSED_NULL("shv_value_new", EUSERS, shv_value_new(a, SHV_INT, NULL, SHV_NONE));
	REFUSED_NULL("shv_array_new", EUSERS, shv_array_new(a, SHV_INT, 1, NULL, SHV_NONE));
	REFUSED_NULL("shv_string_new", EUSERS, shv_string_new(a, "x", SHV_NONE));
	REFUSED_NULL("shv_string_new_n", EUSERS, shv_string_new_n(a, "x", 1, SHV_NONE));
	REFUSED_NULL("shv_wstring_new", EUSERS, shv_wstring_new(a, L"x", SHV_NONE));
	REFUSED_NULL("shv_wstring_new_n", EUSERS, shv_wstring_new_n(a, L"x", 1, SHV_NONE));
	REFUSED_NULL("shv_raw_new", EUSERS, shv_raw_new(a, SHV_INT, NULL));
	REFUSED_NULL("shv_raw_array_new", EUSERS, shv_raw_array_new(a, SHV_INT, 1, NULL));
	REFUSED_NULL("shv_lock_new", EUSERS, shv_lock_new(a, SHV_PLAIN));
	REFUSED_NULL("shv_find_or_new", EUSERS, shv_find_or_new(a, "name", SHV_INT, NULL, SHV_NONE, NULL));
	/* Looking needs no room. */
	NEED(*(long *)shv_value_data(things.value) == 1 && shv_kind_of(things.raw) == SHV_KIND_RAW, "looking");
	NEED(!shv_arena_detach(a), "shv_arena_detach");
	REFUSED_NULL("shv_arena_attach", EUSERS, shv_arena_attach(fd, 0));
	return 0;
}

START_TEST(process_beyond_the_most_is_refused)
{
	struct shv_arena_options o = { .max_processes = 1 };
	shv_arena *a = made(shv_arena_create(&o));

	things = make_things(a);
	ck_assert_int_eq(finish(start(child_too_many, a)), 0);
	ck_assert_uint_eq(arena_stat(a).objects, 10);
	assert_sound(a);
	assert_ok(shv_arena_detach(a));
}
END_TEST

enum { THREADS_AT_MOST = 1100 };
static shv_value *meant;

static void *register_and_wait(void *arg)
{
	int *result = arg;

	*result = shv_add(meant, 1, NULL);
	gate_add(&there, 1);
	gate_wait(&go, 1);
	return NULL;
}

/* A thread has its entry from its first call to its end. */
START_TEST(thread_beyond_the_most_is_refused_until_one_has_ended)
{
	struct shv_arena_options o = { .capacity = (size_t)64 << 20, .max_processes = 1 };
	static pthread_t thread[THREADS_AT_MOST];
	static int result[THREADS_AT_MOST];
	shv_arena *a = made(shv_arena_create(&o));
	pthread_attr_t attr;
	int n = 0, entries = 0;

	meant = made(SHV_VALUE(a, int, 0));
	there.word = go.word = 0;
	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&attr, 256 << 10), 0);
	do {
		ck_assert_int_eq(pthread_create(&thread[n], &attr, register_and_wait, &result[n]), 0);
		gate_wait(&there, (uint32_t)++n);
	} while (!result[n - 1] && n < THREADS_AT_MOST);
	ck_assert_int_eq(result[n - 1], -EUSERS);
	ck_assert_int_eq(SHV_LOAD(meant, int), n - 1);
	gate_add(&go, 1);
	for (int i = 0; i < n; i++) {
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
		entries += !result[i];
	}
	ck_assert_int_ge(entries, 64);
	ck_assert_uint_eq(arena_stat(a).threads, 1);
	assert_sound(a);
	assert_ok(shv_arena_detach(a));
}
END_TEST

/* ---- no memory, no descriptors, no system calls ------------------------------------------------------- */

/* From here on no page of address space is to be had. */
static void no_more_pages(void)
{
	struct rlimit limit = { 4096, RLIM_INFINITY };

	NEED(!setrlimit(RLIMIT_AS, &limit), "setrlimit");
}

/* Nor a byte of malloc. */
static void no_more_memory(void)
{
	void *volatile p; /* else a compiler may leave out what nobody uses */

	no_more_pages();
	for (size_t n = 1 << 20; n >= 16; n /= 2)
		do
			p = malloc(n);
		while (p);
}

/* A forked child needs memory to become a member. */
static int child_without_memory(void *arg)
{
	shv_arena *a = arg;

	no_more_pages();
	REFUSED_NULL("shv_value_new", ENOMEM, shv_value_new(a, SHV_INT, NULL, SHV_NONE));
	REFUSED_NULL("shv_array_new", ENOMEM, shv_array_new(a, SHV_INT, 1, NULL, SHV_NONE));
	REFUSED_NULL("shv_string_new", ENOMEM, shv_string_new(a, "x", SHV_NONE));
	REFUSED_NULL("shv_string_new_n", ENOMEM, shv_string_new_n(a, "x", 1, SHV_NONE));
	REFUSED_NULL("shv_wstring_new", ENOMEM, shv_wstring_new(a, L"x", SHV_NONE));
	REFUSED_NULL("shv_wstring_new_n", ENOMEM, shv_wstring_new_n(a, L"x", 1, SHV_NONE));
	REFUSED_NULL("shv_raw_new", ENOMEM, shv_raw_new(a, SHV_INT, NULL));
	REFUSED("shv_values_new", ENOMEM, shv_values_new(a, SHV_INT, NULL, SHV_NONE, 1, &(shv_value *){ NULL }));
	REFUSED("shv_raws_new", ENOMEM, shv_raws_new(a, SHV_INT, NULL, 1, &(void *){ NULL }));
	REFUSED_NULL("shv_raw_array_new", ENOMEM, shv_raw_array_new(a, SHV_INT, 1, NULL));
	REFUSED_NULL("shv_lock_new", ENOMEM, shv_lock_new(a, SHV_PLAIN));
	REFUSED_NULL("shv_find_or_new", ENOMEM, shv_find_or_new(a, "name", SHV_INT, NULL, SHV_NONE, NULL));
	REFUSED("shv_publish", ENOMEM, shv_publish(things.raw, "name"));
	REFUSED("shv_arena_recover", ENOMEM, shv_arena_recover(a, NULL));
	REFUSED_NULL("shv_arena_create", ENOMEM, shv_arena_create(NULL));
	REFUSED_NULL("shv_arena_attach", ENOMEM, shv_arena_attach(shv_arena_fd(a), 0));
	REFUSED_NULL("shv_arena_attach", ENOMEM, shv_arena_attach(shv_arena_fd(a), SHV_RDONLY));
	return 0;
}

static int type_without_memory(void *arg)
{
	struct pair {
		int a;
		long b;
	};
	const struct shv_field fields[] = { SHV_FIELD(struct pair, a, SHV_INT), SHV_FIELD(struct pair, b, SHV_LONG) };

	(void)arg;
	no_more_memory();
	REFUSED_NULL("shv_type_parse", ENOMEM, shv_type_parse("T{i:one:q:two:d:three:}"));
	REFUSED_NULL("shv_type_struct", ENOMEM, shv_type_struct("a new name", sizeof(struct pair), fields, 2));
	return 0;
}

static int snapshot_without_memory(void *arg)
{
	char path[] = "/tmp/shv-errors-XXXXXX";
	int fd = mkstemp(path);

	NEED(fd >= 0 && !shv_arena_snapshot(arg, path, 0), "shv_arena_snapshot");
	close(fd);
	no_more_pages();
	REFUSED("shv_arena_snapshot", ENOMEM, shv_arena_snapshot(arg, path, 0));
	REFUSED_NULL("shv_arena_open", ENOMEM, shv_arena_open(path, 0));
	unlink(path);
	return 0;
}

static int inspection_without_memory(void *arg)
{
	enum { BYTES = 1 << 20 };
	static char text[BYTES];
	shv_ref ref = shv_ref_of(shv_raw_array_new(arg, SHV_UCHAR, BYTES, NULL));

	NEED(ref, "shv_raw_array_new");
	no_more_memory();
	REFUSED_NULL("shv_string_dup", ENOMEM, shv_string_dup(things.string, NULL));
	REFUSED_NULL("shv_wstring_dup", ENOMEM, shv_wstring_dup(things.wide, NULL));
	REFUSED("shv_value_text", ENOMEM, shv_value_text(arg, ref, text, sizeof(text)));
	REFUSED("shv_check", ENOMEM, shv_check(arg, NULL, NULL));
	return 0;
}

/* Giving back needs no memory, and finds what is there twice all the same. */
static int many_locks_without_memory(void *arg)
{
	enum { N = 40 };
	shv_arena *ro = shv_arena_attach(shv_arena_fd(arg), SHV_RDONLY);
	shv_value *const some[] = { things.value, things.none, things.plain, things.array, things.floating };
	void *raw = shv_raw_array_new(arg, SHV_CHAR, 1 << 20, NULL);
	shv_value *v[N], *text = NULL;

	for (int i = 0; i < N; i++)
		v[i] = some[i % 5];
	NEED(ro && raw && (text = shv_deref(ro, shv_ref_of(raw))), "a text");
	NEED(!shv_acquire_all(v, N), "shv_acquire_all");
	no_more_memory();
	REFUSED("shv_acquire_all", ENOMEM, shv_acquire_all(v, N));
	NEED(!shv_release_all(v, N), "shv_release_all");
	for (int i = 0; i < 5; i++)
		NEED(!shv_value_holder(v[i], &(struct shv_holder){ 0 }), "lock %d is held", i);
	REFUSED("shv_release_all", EPERM, shv_release_all(v, N));
	REFUSED("shv_chars_get", ENOMEM, shv_chars_get(text, NULL, 0, NULL));
	REFUSED("shv_wait", ENOMEM, shv_wait(things.array, things.array, 800, NULL));
	return shv_raw_free(raw);
}

START_TEST(memory_that_is_not_to_be_had_is_an_error)
{
	int (*const children[])(void *) = { child_without_memory, type_without_memory, inspection_without_memory,
				       many_locks_without_memory, snapshot_without_memory };

	ck_assert_int_eq(finish(start(children[_i], arena)), 0);
	if (_i == 2) { /* its array stayed */
		struct shv_value_info info = { .size = sizeof(info) };
		uint64_t cursor = 0;

		ck_assert_int_eq(shv_arena_recover(arena, NULL), 1);
		while (shv_value_next(arena, &cursor, &info) == 1)
			if (info.bytes == 1 << 20)
				assert_ok(shv_raw_free(made(shv_deref(arena, info.ref))));
	}
}
END_TEST

static int child_without_descriptors(void *arg)
{
	shv_arena *a = arg;
	int next = dup(0);
	struct rlimit limit = { (rlim_t)next, 1024 };

	NEED(next > 0 && !close(next) && !setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	REFUSED_NULL("shv_arena_create", EMFILE, shv_arena_create(NULL));
	REFUSED_NULL("shv_arena_attach", EMFILE, shv_arena_attach(shv_arena_fd(a), 0));
	REFUSED_NULL("shv_arena_attach", EMFILE, shv_arena_attach(shv_arena_fd(a), SHV_RDONLY));
	REFUSED("shv_arena_fd_rdonly", EMFILE, shv_arena_fd_rdonly(a));
	return 0;
}

START_TEST(descriptors_that_are_not_to_be_had_are_an_error)
{
	ck_assert_int_eq(finish(start(child_without_descriptors, arena)), 0);
}
END_TEST

enum { CANNOT = 77 }; /* exit status of a child that may not do what it should */

/* From here on a system call fails: always, or (openat) when the file is to be written. */
static void let_fail(unsigned number, int error, bool only_writing)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, only_writing ? O_ACCMODE : 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, only_writing ? O_RDWR : 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(CANNOT);
}

static int create_with_full_file_table(void *arg)
{
	(void)arg;
	let_fail(SYS_memfd_create, ENFILE, false);
	REFUSED_NULL("shv_arena_create", ENFILE, shv_arena_create(NULL));
	return 0;
}
static int create_on_an_old_kernel(void *arg)
{
	(void)arg;
	let_fail(SYS_memfd_create, ENOSYS, false);
	REFUSED_NULL("shv_arena_create", ENOSYS, shv_arena_create(NULL));
	return 0;
}
static int create_without_proc(void *arg)
{
	int fd = dup(shv_arena_fd(arena));

	(void)arg;
	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	let_fail(SYS_openat, EACCES, true);
	REFUSED_NULL("shv_arena_create", EACCES, shv_arena_create(NULL));
	REFUSED_NULL("shv_arena_attach", EACCES, shv_arena_attach(fd, 0));
	return 0;
}

/* Serving and connecting: the call that fails, and how. */
static const struct {
	int nr, code;
	bool connect;
	int becomes;
} failing_calls[] = {
	{ SYS_clone3, EAGAIN, false, EAGAIN },
	{ SYS_close_range, ENOSYS, false, ENOTSUP },
	{ SYS_socket, ENFILE, false, ENFILE },
	{ SYS_eventfd2, ENOMEM, false, ENOMEM },
	{ SYS_bind, ENOSPC, false, ENOSPC },
	{ SYS_bind, EPERM, false, EPERM },
	{ SYS_socket, ENFILE, true, ENFILE },
	{ SYS_socket, ENOMEM, true, ENOMEM },
	{ SYS_connect, EPERM, true, EPERM },
};
#define FAILING_CALLS (sizeof(failing_calls) / sizeof(failing_calls[0]))

static int socket_calls_fail(void *arg)
{
	size_t i = (size_t)arg;

	let_fail(failing_calls[i].nr, failing_calls[i].code, false);
	if (failing_calls[i].connect)
		REFUSED_NULL("shv_arena_connect", failing_calls[i].becomes, shv_arena_connect("@shv errors", 0));
	else
		REFUSED("shv_arena_serve", failing_calls[i].becomes, shv_arena_serve(arena, "@shv errors", NULL));
	return 0;
}

START_TEST(sockets_are_refused_by_the_system)
{
	for (size_t i = 0; i < FAILING_CALLS; i++) {
		int status = finish(start(socket_calls_fail, (void *)i));

		ck_assert_msg(status == 0 || status == CANNOT, "call %zu: %d", i, status);
	}
}
END_TEST

START_TEST(system_calls_that_fail_are_reported)
{
	int (*const children[])(void *) = { create_with_full_file_table, create_on_an_old_kernel, create_without_proc };
	int status = finish(start(children[_i], NULL));

	ck_assert(status == 0 || status == CANNOT);
}
END_TEST

/* ---- other users, closed descriptors ------------------------------------------------------------------ */

/* Attached, then another user without rights: what goes through /proc is refused. */
static int without_rights(void *arg)
{
	shv_arena *a;
	int fd;

	NEED(!shv_arena_detach(arena), "shv_arena_detach");
	a = shv_arena_create(NULL);
	NEED(a, "shv_arena_create");
	if (!getuid()) {
		NEED(!setgid(65534) && !setuid(65534), "setuid");
		REFUSED_NULL("shv_arena_attach_pid", EACCES, shv_arena_attach_pid(*(pid_t *)arg, NULL, 0));
		REFUSED("shv_arena_fd_rdonly", EACCES, shv_arena_fd_rdonly(a));
	}
	fd = shv_arena_fd(a);
	NEED(fd >= 0 && !close(fd), "close");
	REFUSED("shv_arena_fd", EBADF, shv_arena_fd(a));
	REFUSED("shv_arena_fd_rdonly", EBADF, shv_arena_fd_rdonly(a));
	REFUSED("shv_stat", EBADF, shv_stat(a, &(struct shv_stat){ 0 }));
	return 0;
}

START_TEST(rights_and_descriptors_that_are_gone_are_an_error)
{
	pid_t me = getpid();

	ck_assert_int_eq(finish(start(without_rights, &me)), 0);
}
END_TEST

/* ---- attaching ---------------------------------------------------------------------------------------- */

/* A sealed memfd that begins as the arena does, but for one byte. */
static int first_page(size_t changed, off_t size)
{
	static unsigned char page[4096];
	int fd = memfd_create("shv:page", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(pread(shv_arena_fd(arena), page, sizeof(page), 0), sizeof(page));
	page[changed] ^= 0x10;
	ck_assert_int_eq(pwrite(fd, page, sizeof(page), 0), sizeof(page));
	ck_assert_int_eq(ftruncate(fd, size), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

START_TEST(what_cannot_be_attached_to_is_refused)
{
	const struct {
		size_t changed;
		off_t size;
		int code;
	} wrong[] = { { 0, 1 << 20, EBADMSG },  { 9, 1 << 20, EPROTONOSUPPORT }, { 13, 1 << 20, EPROTONOSUPPORT },
		      { 33, 1 << 20, EUCLEAN }, { 4000, 4096, EUCLEAN },         { 4000, 100, EBADMSG } };
	int fd = shv_arena_fd_rdonly(arena), fds[2];
	struct shv_arena_options o = { .name = "second" };
	shv_arena *second;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int copy = first_page(wrong[i].changed, wrong[i].size);

		REFUSED_NULL("shv_arena_attach", wrong[i].code, shv_arena_attach(copy, 0));
		REFUSED_NULL("shv_arena_attach", wrong[i].code, shv_arena_attach(copy, SHV_RDONLY));
		close(copy);
	}
	ck_assert_int_eq(pipe(fds), 0);
	REFUSED_NULL("shv_arena_attach", EBADMSG, shv_arena_attach(fds[0], 0));
	close(fds[0]), close(fds[1]);
	REFUSED_NULL("shv_arena_attach", EBADF, shv_arena_attach(-1, 0));
	REFUSED_NULL("shv_arena_attach", EBADF, shv_arena_attach(fds[0], SHV_RDONLY));
	REFUSED_NULL("shv_arena_attach", EACCES, shv_arena_attach(fd, 0));
	REFUSED_NULL("shv_arena_attach", EINVAL, shv_arena_attach(fd, SHV_RESTORE));
	close(fd);
	REFUSED_NULL("shv_arena_attach_pid", EINVAL, shv_arena_attach_pid(0, NULL, 0));
	REFUSED_NULL("shv_arena_attach_pid", EINVAL, shv_arena_attach_pid(getpid(), NULL, SHV_LOCKED));
	REFUSED_NULL("shv_arena_attach_pid", ESRCH, shv_arena_attach_pid(INT_MAX, NULL, 0));
	REFUSED_NULL("shv_arena_attach_pid", ENOENT, shv_arena_attach_pid(getpid(), "third", 0));
	second = made(shv_arena_create(&o));
	REFUSED_NULL("shv_arena_attach_pid", EBUSY, shv_arena_attach_pid(getpid(), NULL, 0));
	assert_ok(shv_arena_detach(second));
	o.flags = 1u << 9;
	REFUSED_NULL("shv_arena_create", EINVAL, shv_arena_create(&o));
}
END_TEST

/* ---- damage ------------------------------------------------------------------------------------------- */

START_TEST(object_with_a_damaged_header_is_reported)
{
	uint64_t *header = (uint64_t *)(void *)things.value - 1, was = *header;
	shv_ref ref = shv_ref_of(things.value);
	char text[32];

	*header = UINT64_MAX;
	REFUSED("shv_value_describe", EUCLEAN, shv_value_describe(arena, ref, &(struct shv_value_info){ 0 }));
	REFUSED("shv_value_bytes", EUCLEAN, shv_value_bytes(arena, ref, text, sizeof(text), NULL));
	REFUSED("shv_value_name", EUCLEAN, shv_value_name(arena, ref, text, sizeof(text)));
	REFUSED("shv_value_text", EUCLEAN, shv_value_text(arena, ref, text, sizeof(text)));
	ck_assert_int_gt(shv_check(arena, NULL, NULL), 0);
	*header = was;
	assert_ok(shv_get(things.value, &(long){ 0 }, 8));
}
END_TEST

/* What a string names is no text of its own. Storing a new one mends it. */
START_TEST(string_that_names_no_text_is_reported)
{
	uint64_t *string = (uint64_t *)(void *)things.string + 1, *wide = (uint64_t *)(void *)things.wide + 1;
	const uint64_t was[] = { *string, *wide }, wrong[] = { was[1], was[0] };

	for (int i = 0; i < 3; i++) {
		*string = i == 2 ? wrong[0] : i == 1 ? UINT64_MAX : 0;
		*wide = i == 2 ? wrong[1] : i == 1 ? UINT64_MAX : 0;
		for (int k = 0; k < OBJECT_FUNCTIONS; k++)
			if (object_functions[k].takes == STRINGS && (object_functions[k].reads || strstr(object_functions[k].name, "append")))
				REFUSED(object_functions[k].name, EUCLEAN,
					object_functions[k].call(object_functions[k].wide ? things.wide : things.string));
		ck_assert_int_gt(shv_check(arena, NULL, NULL), 0);
	}
	*string = was[0];
	*wide = was[1];
	ck_assert_int_eq(shv_check(arena, NULL, NULL), 0);
}
END_TEST

static int become_a_member(void *arg)
{
	return shv_add(arg, 0, NULL);
}

/* Where the library's own locks are in the superblock, by docs/FORMAT.md; 0 = the document is not here. */
static long locks_offset(void)
{
	const char *source = getenv("SHV_SRCDIR");
	char path[4096], line[512];
	long at = 0, offset;
	FILE *format;

	if (!source)
		return 0;
	snprintf(path, sizeof(path), "%s/docs/FORMAT.md", source);
	format = fopen(path, "re");
	while (format && !at && fgets(line, sizeof(line), format))
		if (strstr(line, "| locks |") && sscanf(line, "| %ld |", &offset) == 1)
			at = offset;
	if (format)
		fclose(format);
	return at;
}

/* The lock that serialises recovery, the first of them, says that its object is gone, which it never does. */
START_TEST(recovery_in_a_damaged_arena_is_refused)
{
	const uint64_t gone = 0xfffff;
	long at = locks_offset();
	int fd = shv_arena_fd(arena);
	uint64_t was;

	if (!at)
		return;
	ck_assert_int_eq(finish(start(become_a_member, things.value)), 0);
	ck_assert_int_eq(pread(fd, &was, 8, at), 8);
	ck_assert_int_eq(pwrite(fd, &gone, 8, at), 8);
	REFUSED("shv_arena_recover", EUCLEAN, shv_arena_recover(arena, NULL));
	ck_assert_int_eq(pwrite(fd, &was, 8, at), 8);
	ck_assert_int_eq(shv_arena_recover(arena, NULL), 1);
}
END_TEST

/* ---- taken for dead ----------------------------------------------------------------------------------- */

static struct meeting_place {
	struct gate ready, go;
} *place;

/* The mapping that shows that a process lives: one page, read-only, of the arena's file. */
static void lose_sign_of_life(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512], rights[8];
	bool found = false;

	NEED(maps, "fopen");
	while (!found && fgets(line, sizeof(line), maps))
		found = strstr(line, "/memfd:shv:") && sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 &&
			to - from == 4096 && !strcmp(rights, "r--s");
	fclose(maps);
	NEED(found, "no page of the arena's file alone");
	NEED(!munmap((void *)from, 4096), "munmap");
}

static int taken_for_dead(void *arg)
{
	shv_arena *a = arg;

	NEED(shv_add(things.value, 0, NULL) == 0, "shv_add");
	lose_sign_of_life();
	gate_add(&place->ready, 1);
	gate_wait(&place->go, 1);
	REFUSED_NULL("shv_value_new", ENOTRECOVERABLE, shv_value_new(a, SHV_INT, NULL, SHV_NONE));
	REFUSED_NULL("shv_array_new", ENOTRECOVERABLE, shv_array_new(a, SHV_INT, 9, NULL, SHV_NONE));
	REFUSED_NULL("shv_string_new", ENOTRECOVERABLE, shv_string_new(a, "x", SHV_NONE));
	REFUSED_NULL("shv_string_new_n", ENOTRECOVERABLE, shv_string_new_n(a, "x", 1, SHV_NONE));
	REFUSED_NULL("shv_wstring_new", ENOTRECOVERABLE, shv_wstring_new(a, L"x", SHV_NONE));
	REFUSED_NULL("shv_wstring_new_n", ENOTRECOVERABLE, shv_wstring_new_n(a, L"x", 1, SHV_NONE));
	REFUSED_NULL("shv_raw_new", ENOTRECOVERABLE, shv_raw_new(a, SHV_INT, NULL));
	REFUSED("shv_values_new", ENOTRECOVERABLE, shv_values_new(a, SHV_INT, NULL, SHV_NONE, 1, &(shv_value *){ NULL }));
	REFUSED("shv_raws_new", ENOTRECOVERABLE, shv_raws_new(a, SHV_INT, NULL, 1, &(void *){ NULL }));
	REFUSED_NULL("shv_raw_array_new", ENOTRECOVERABLE, shv_raw_array_new(a, SHV_INT, 99, NULL));
	REFUSED_NULL("shv_lock_new", ENOTRECOVERABLE, shv_lock_new(a, SHV_PLAIN));
	REFUSED_NULL("shv_find_or_new", ENOTRECOVERABLE, shv_find_or_new(a, "name", SHV_INT, NULL, SHV_NONE, NULL));
	REFUSED("shv_arena_recover", ENOTRECOVERABLE, shv_arena_recover(a, NULL));
	REFUSED("shv_arena_trim", ENOTRECOVERABLE, shv_arena_trim(a));
	return 0;
}

START_TEST(process_that_was_taken_for_dead_is_told)
{
	pid_t pid;

	place = shared_memory(sizeof(*place));
	pid = start(taken_for_dead, arena);
	gate_wait(&place->ready, 1);
	ck_assert_int_eq(shv_arena_recover(arena, NULL), 1);
	gate_add(&place->go, 1);
	ck_assert_int_eq(finish(pid), 0);
	assert_sound(arena);
	shared_release(place, sizeof(*place));
}
END_TEST

/* ---- the sentence ------------------------------------------------------------------------------------- */

static int fails_in_thread(shv_value *v)
{
	NEED(!*shv_errmsg(), "a new thread has failed at nothing: %s", shv_errmsg());
	NEED(shv_release(v) == -EPERM, "shv_release");
	NEED(strstr(shv_errmsg(), "shv_release"), "its own sentence");
	return 0;
}

START_TEST(sentence_is_of_this_thread_and_stays_until_it_fails_again)
{
	char first[512];

	REFUSED_NULL("shv_typecode", EINVAL, shv_typecode('x'));
	snprintf(first, sizeof(first), "%s", shv_errmsg());
	assert_ok(in_thread(fails_in_thread, things.value));
	ck_assert_str_eq(shv_errmsg(), first);
	for (int i = 0; i < 100; i++)
		assert_ok(shv_add(things.value, 1, NULL));
	ck_assert_str_eq(shv_errmsg(), first);
	REFUSED("shv_release", EPERM, shv_release(things.value));
	ck_assert_str_ne(shv_errmsg(), first);
}
END_TEST

/* Very long and very odd arguments are told of too. */
START_TEST(sentence_is_one_line_of_limited_length)
{
	char name[4000];

	memset(name, '%', sizeof(name));
	name[sizeof(name) - 1] = 0;
	REFUSED_NULL("shv_find", ENAMETOOLONG, shv_find(arena, name));
	ck_assert_uint_lt(strlen(shv_errmsg()), 1000);
	ck_assert_ptr_null(strchr(shv_errmsg(), '\n'));
	REFUSED_NULL("shv_type_parse", EINVAL, shv_type_parse(name));
	ck_assert_uint_lt(strlen(shv_errmsg()), 1000);
	name[255] = 0;
	REFUSED_NULL("shv_find", ENOENT, shv_find(arena, name));
	ck_assert_uint_lt(strlen(shv_errmsg()), 1000);
}
END_TEST

/* ---- all of it ---------------------------------------------------------------------------------------- */

START_TEST(every_documented_error_was_provoked)
{
	unsigned never = 0;

	for (size_t i = 0; i < PROMISES; i++) {
		const struct promise *p = &promises[i];

		if (p->provoked)
			continue;
		if (p->why_not || short_of_memory_only(p)) {
			fprintf(stderr, "# not provoked: %s, %s: %s\n", p->function, strerror(p->code),
				p->why_not ? p->why_not : "not under a sanitizer or Valgrind");
			continue;
		}
		fprintf(stderr, "# never provoked: %s, %s\n", p->function, strerror(p->code));
		never++;
	}
	ck_assert_uint_eq(never, 0);
}
END_TEST

START_TEST(each_sentence_names_its_function)
{
	for (unsigned i = 0; i < misnamed->n && i < 64; i++)
		fprintf(stderr, "# %s says: %s\n", misnamed->v[i].function, misnamed->v[i].sentence);
	ck_assert_uint_eq(misnamed->n, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("errors");
	bool all = !getenv("CK_RUN_CASE") && !getenv("CK_RUN_SUITE");
	TCase *tc;

	promises = shared_memory(sizeof(contract));
	memcpy(promises, contract, sizeof(contract));
	misnamed = shared_memory(sizeof(*misnamed));

	tc = tcase_create("objects");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, null_is_refused);
	tcase_add_test(tc, addresses_outside_of_arenas_are_refused);
	tcase_add_test(tc, addresses_inside_of_the_arena_that_are_no_objects_are_refused);
	tcase_add_test(tc, freed_objects_are_stale);
	tcase_add_test(tc, lock_that_was_freed_is_not_shared_any_more);
	tcase_add_test(tc, objects_of_the_wrong_kind_are_refused);
	tcase_add_test(tc, parts_that_are_not_there_are_refused);
	tcase_add_test(tc, wrong_sizes_and_missing_arguments_are_refused);

	tc = tcase_create("arenas");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, what_is_no_attachment_is_refused);
	tcase_add_test(tc, wrong_arguments_beside_the_arena_are_refused);
	tcase_add_test(tc, what_cannot_be_attached_to_is_refused);
	tcase_add_test(tc, writing_to_a_read_only_attachment_is_refused);
	tcase_add_test(tc, snapshots_are_refused);
	tcase_add_test(tc, sockets_are_refused);
	if (!geteuid())
		tcase_add_test(tc, service_without_a_descriptor_is_refused);
	tcase_add_test(tc, snapshots_with_a_lock_that_is_held_are_refused);

	tc = tcase_create("names and types");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, names_are_refused);
	tcase_add_test(tc, types_are_refused);
	tcase_add_test(tc, another_layout_of_a_known_name_is_refused);

	tc = tcase_create("locks");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, taking_what_is_taken_is_refused);
	tcase_add_test(tc, taking_too_often_is_refused);
	tcase_add_test(tc, what_another_thread_holds_is_refused);
	tcase_add_test(tc, policies_are_refused);
	tcase_add_test(tc, policy_that_is_not_registered_here_is_refused);
	tcase_add_test(tc, exchange_of_odd_sizes_without_a_lock_is_refused);

	tc = tcase_create("shortage");
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, full_arena_refuses);
	tcase_add_test(tc, process_beyond_the_most_is_refused);
	if (!under_valgrind()) /* which has room for 500 */
		tcase_add_test(tc, thread_beyond_the_most_is_refused_until_one_has_ended);

	tc = tcase_create("surroundings");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	if (undisturbed())
		tcase_add_loop_test(tc, memory_that_is_not_to_be_had_is_an_error, 0, 5);
	tcase_add_test(tc, descriptors_that_are_not_to_be_had_are_an_error);
	tcase_add_loop_test(tc, system_calls_that_fail_are_reported, 0, 3);
	tcase_add_test(tc, sockets_are_refused_by_the_system);
	tcase_add_test(tc, rights_and_descriptors_that_are_gone_are_an_error);
	tcase_add_test(tc, object_with_a_damaged_header_is_reported);
	tcase_add_test(tc, string_that_names_no_text_is_reported);
	tcase_add_test(tc, recovery_in_a_damaged_arena_is_refused);
	tcase_add_test(tc, process_that_was_taken_for_dead_is_told);

	tc = tcase_create("sentence");
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, sentence_is_of_this_thread_and_stays_until_it_fails_again);
	tcase_add_test(tc, sentence_is_one_line_of_limited_length);

	if (all) {
		tc = tcase_create("contract");
		suite_add_tcase(suite, tc);
		tcase_add_test(tc, every_documented_error_was_provoked);
		tcase_add_test(tc, each_sentence_names_its_function);
	}
	return run_suite(suite);
}
