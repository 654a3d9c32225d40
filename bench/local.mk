# SPDX-License-Identifier: MIT
#
# One program, on the public headers only, linked with libshv and with a second copy of its jemalloc (the floor), and with
# those peers that have.sh finds when it is built. Run by `make bench`; BENCH_ARGS are its options.

bench_sources = \
	%D%/bench.c \
	%D%/bench.h \
	%D%/figures.c \
	%D%/group_alloc.c \
	%D%/group_dump.c \
	%D%/group_instructions.c \
	%D%/group_locks.c \
	%D%/group_sizes.c \
	%D%/loops.h \
	%D%/mutex.h \
	%D%/peer_boost.cc \
	%D%/peer_child.c \
	%D%/peer_jemalloc.c \
	%D%/peer_malloc.c \
	%D%/peer_memkind.c \
	%D%/peer_pmemobj.c \
	%D%/peer_shv.c \
	%D%/shv_arena.h

bench_programs = \
	%D%/bench

public_programs += $(bench_programs)
EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES += $(bench_programs) %D%/have.h %D%/have.libs
EXTRA_DIST += %D%/have.sh %D%/cpython.py %D%/refresh.py

bench_bench_SOURCES = $(bench_sources)
bench_bench_LDADD = $(public_ldadd) $(JEMALLOC_LIBS) $(shell cat %D%/have.libs) -lm -ldl
bench_bench_DEPENDENCIES = libshv.la %D%/have.libs

bench_cppflags = $(public_cppflags) $(JEMALLOC_CFLAGS) -DSHV_JEMALLOC_SYSTEM=$(SHV_JEMALLOC_SYSTEM) \
	-I$(top_builddir)/%D% -I$(top_srcdir)/%D% -D_GNU_SOURCE -DBENCH_SRCDIR='"$(abs_top_srcdir)/%D%"'
%D%/%.o: AM_CPPFLAGS = $(bench_cppflags)

# Asked each time; the files change only if the answer does.
.PHONY: bench-have
bench-have:
	@CC='$(CC)' CXX='$(CXX)' bash $(top_srcdir)/%D%/have.sh %D%
%D%/have.h %D%/have.libs: bench-have
%D%/peer_boost.o %D%/peer_child.o %D%/peer_memkind.o %D%/peer_pmemobj.o: %D%/have.h

.PHONY: bench bench-docs build-bench
build-bench: $(bench_programs)

bench: all build-bench
	@%D%/bench $(BENCH_ARGS)

# The figures of a run into docs/PERFORMANCE.md, docs/performance.svg and README.md: BENCH_JSON, or a run that is made now.
BENCH_JSON = bench.json
bench-docs: all build-bench
	test '$(BENCH_JSON)' != bench.json || %D%/bench $(BENCH_ARGS) --json bench.json
	python3 $(top_srcdir)/%D%/refresh.py $(BENCH_JSON)
CLEANFILES += bench.json
