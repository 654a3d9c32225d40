# SPDX-License-Identifier: MIT

shvincludedir = $(includedir)/shv

# Public headers, in the order in which they build upon each other.
shvinclude_HEADERS = \
	%D%/shv/shv.h \
	%D%/shv/export.h \
	%D%/shv/error.h \
	%D%/shv/type.h \
	%D%/shv/lock.h \
	%D%/shv/arena.h \
	%D%/shv/serve.h \
	%D%/shv/value.h \
	%D%/shv/raw.h \
	%D%/shv/string.h \
	%D%/shv/array.h \
	%D%/shv/bulk.h \
	%D%/shv/field.h \
	%D%/shv/ptr.h \
	%D%/shv/inspect.h \
	%D%/shv/shv.hpp

nodist_shvinclude_HEADERS = \
	%D%/shv/version.h
