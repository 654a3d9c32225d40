# SPDX-License-Identifier: MIT
#
# Each benchmark is one file, %D%/NAME.c, on the public headers only. To add
# one: its name in the list below. Run all by `make bench`, and one alone by
# `make bench bench_programs=%D%/NAME`.

bench_programs = \
	%D%/bench

public_programs += $(bench_programs)
EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES += $(bench_programs)

%D%/%.o: AM_CPPFLAGS = $(public_cppflags)

# malloc() of the benchmark is jemalloc's over private memory: the floor.
bench_bench_LDADD = $(public_ldadd) -ljemalloc

.PHONY: bench build-bench
build-bench: $(bench_programs)

bench: all build-bench
	@set -e; for program in $(bench_programs); do \
		echo "--- $$program"; ./$$program $(BENCH_ARGS); \
	done
