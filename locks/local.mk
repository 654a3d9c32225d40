# SPDX-License-Identifier: MIT

libshv_internal_la_SOURCES += \
	%D%/word.c \
	%D%/word.h
