# SPDX-License-Identifier: MIT

libshv_internal_la_SOURCES += \
	%D%/arena.c \
	%D%/arena_private.h \
	%D%/check.c \
	%D%/check.h \
	%D%/check_blocks.c \
	%D%/check_image.c \
	%D%/check_members.c \
	%D%/check_pages.c \
	%D%/check_tables.c \
	%D%/check_texts.c \
	%D%/connect.c \
	%D%/directory.c \
	%D%/heap.c \
	%D%/layout.h \
	%D%/memfd.c \
	%D%/pool.c \
	%D%/process.c \
	%D%/recover.c \
	%D%/serve.c \
	%D%/serve.h \
	%D%/snapshot.c \
	%D%/snapshot.h \
	%D%/snapshot_file.c \
	%D%/snapshot_image.c \
	%D%/table.c \
	%D%/text.c \
	%D%/thread.c
