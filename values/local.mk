# SPDX-License-Identifier: MIT

libshv_internal_la_SOURCES += \
	%D%/access.h \
	%D%/array.c \
	%D%/bulk.c \
	%D%/fast.h \
	%D%/field.c \
	%D%/format.c \
	%D%/inspect.c \
	%D%/inspect_arena.c \
	%D%/intern.c \
	%D%/lock.c \
	%D%/lock_all.c \
	%D%/name.c \
	%D%/object.c \
	%D%/print.c \
	%D%/snapshot.c \
	%D%/string.c \
	%D%/type.c \
	%D%/type_id.c \
	%D%/type_private.h \
	%D%/value.c \
	%D%/value_private.h \
	%D%/view.c \
	%D%/view.h \
	%D%/wait.c
