# SPDX-License-Identifier: MIT

libshv_internal_la_SOURCES += \
	%D%/atomic.h \
	%D%/errors.c \
	%D%/errors.h \
	%D%/fault.c \
	%D%/fault.h \
	%D%/probe.h
