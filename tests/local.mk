# SPDX-License-Identifier: MIT
#
# A list for each kind of test. A name %D%/KIND/test_foo means that the program
# is built from %D%/KIND/test_foo.c; a further source file needs a line
# `tests_KIND_test_foo_SOURCES = ...`. Every test prints TAP.
#
#   unit_tests   white box: all folders can be included, libshv-internal is linked
#   fault_tests  the same, built only with --enable-fault-injection
#   step_tests   white box, any build: death at any instruction, two at once, shortage
#   corrupt_tests  white box: arenas with damage in them
#   api_tests    black box: public headers and libshv only, as a user has them
#   multi_tests  black box, several processes
#   script_tests *.sh
#
# A new kind is a list, its place in white_tests or black_tests, and its folder in
# one of the two pattern lines. TSAN_TESTS names the tests whose threads share
# memory within one process. Data files go into EXTRA_DIST.

unit_tests = \
	%D%/unit/test_generation \
	%D%/unit/test_smoke \
	%D%/unit/test_type \
	%D%/unit/test_type_ctypes \
	%D%/unit/test_type_id \
	%D%/unit/test_type_memory \
	%D%/unit/test_type_print

fault_tests = \
	%D%/fault/test_crash \
	%D%/fault/test_fail \
	%D%/fault/test_race

step_tests = \
	%D%/fault/test_pair \
	%D%/fault/test_short \
	%D%/fault/test_step

corrupt_tests = \
	%D%/corrupt/test_check \
	%D%/corrupt/test_garbage

api_tests = \
	%D%/api/test_arena \
	%D%/api/test_array \
	%D%/api/test_attach \
	%D%/api/test_cxx \
	%D%/api/test_dlopen \
	%D%/api/test_errors \
	%D%/api/test_field \
	%D%/api/test_guard \
	%D%/api/test_wait \
	%D%/api/test_bulk \
	%D%/api/test_hpp \
	%D%/api/test_inspect \
	%D%/api/test_lock \
	%D%/api/test_lock_process \
	%D%/api/test_names \
	%D%/api/test_policy \
	%D%/api/test_ptr \
	%D%/api/test_python \
	%D%/api/test_snapshot \
	%D%/api/test_string \
	%D%/api/test_value

multi_tests = \
	%D%/multi/test_all \
	%D%/multi/test_death \
	%D%/multi/test_fork \
	%D%/multi/test_layout \
	%D%/multi/test_namespace \
	%D%/multi/test_serve \
	%D%/multi/test_share \
	%D%/multi/test_snapshot

script_tests = \
	%D%/abi/headers.sh \
	%D%/abi/symbols.sh \
	%D%/abi/layers.sh \
	%D%/abi/refused.sh \
	%D%/abi/pairs.sh \
	%D%/abi/probes.sh \
	%D%/abi/readme.sh \
	%D%/cli/gdb.sh \
	%D%/cli/metrics.sh \
	%D%/cli/no_ncurses.sh \
	%D%/cli/questions.sh \
	%D%/cli/report.sh \
	%D%/cli/shvdump.sh \
	%D%/cli/snapshot.sh \
	%D%/cli/views.sh \
	%D%/cli/watch.sh \
	%D%/examples.sh \
	%D%/perf/instructions.sh \
	%D%/storm/storm.sh

# What tests/cli looks at from outside.
cli_programs = \
	%D%/cli/fixture \
	%D%/cli/gdb_target \
	%D%/cli/hostile

# The kill storm; `make check-storm` runs it for STORM_SECONDS, tests/storm/storm.sh for a moment.
storm_programs = \
	%D%/storm/storm

# What tests/perf counts the instructions of.
perf_programs = \
	%D%/perf/instructions
EXTRA_DIST += %D%/perf/instructions.txt

cli_expected = \
	%D%/cli/expected/alone.txt \
	%D%/cli/expected/check.txt \
	%D%/cli/expected/diff.txt \
	%D%/cli/expected/fields_array.txt \
	%D%/cli/expected/fields_struct.txt \
	%D%/cli/expected/json_check.json \
	%D%/cli/expected/json_leaks.json \
	%D%/cli/expected/json_locks.json \
	%D%/cli/expected/json_map.json \
	%D%/cli/expected/json_procs.json \
	%D%/cli/expected/json_show_array.json \
	%D%/cli/expected/json_show_struct.json \
	%D%/cli/expected/json_watch.json \
	%D%/cli/expected/leaks.txt \
	%D%/cli/expected/locks.txt \
	%D%/cli/expected/locks_more.txt \
	%D%/cli/expected/metrics_names.txt \
	%D%/cli/expected/procs.txt \
	%D%/cli/expected/procs_more.txt \
	%D%/cli/expected/raw.txt \
	%D%/cli/expected/repair.txt \
	%D%/cli/expected/restore.txt \
	%D%/cli/expected/save.txt \
	%D%/cli/expected/show.txt \
	%D%/cli/expected/show_string.txt \
	%D%/cli/expected/json_show_string.json \
	%D%/cli/expected/json_save.json \
	%D%/cli/expected/json_diff.json \
	%D%/cli/expected/json_repair.json \
	%D%/cli/expected/types.txt \
	%D%/cli/expected/types_more.txt \
	%D%/cli/expected/values.txt

TSAN_TESTS = \
	%D%/unit/test_smoke \
	%D%/unit/test_type \
	%D%/unit/test_type_id \
	%D%/api/test_guard \
	%D%/api/test_bulk \
	%D%/api/test_lock \
	%D%/api/test_names \
	%D%/api/test_policy \
	%D%/api/test_string \
	%D%/api/test_value

# Linked into every Check program, so it uses the public headers only.
support_sources = \
	%D%/support/procs.c \
	%D%/support/procs.h \
	%D%/support/sanitized.h \
	%D%/support/suite.c \
	%D%/support/suite.h

# --- how they are built ---------------------------------------------------------

white_tests = $(unit_tests) $(corrupt_tests) $(step_tests)
EXTRA_DIST += %D%/fault/scenarios.h %D%/fault/scenarios_string.h
if FAULT_INJECTION
white_tests += $(fault_tests)
endif
black_tests = $(api_tests) $(multi_tests)

if HAVE_CHECK
check_tests = $(white_tests) $(black_tests)
check_LTLIBRARIES += %D%/libsupport.la
endif
check_PROGRAMS += $(check_tests) $(cli_programs) $(perf_programs) $(storm_programs)

%C%_libsupport_la_SOURCES = $(support_sources)
%C%_libsupport_la_CPPFLAGS = $(public_cppflags) $(test_cppflags)

public_programs += $(black_tests) $(cli_programs) $(perf_programs) $(storm_programs)

# A damaged arena is made the same way for both.
corrupt_fixture = %D%/corrupt/fixture.c %D%/corrupt/fixture.h
%C%_corrupt_test_check_SOURCES = %D%/corrupt/test_check.c $(corrupt_fixture)
%C%_corrupt_test_garbage_SOURCES = %D%/corrupt/test_garbage.c $(corrupt_fixture)

EXTRA_DIST += %D%/api/api.h %D%/api/word_policy.h
%C%_api_test_cxx_SOURCES = %D%/api/test_cxx.cc
%C%_api_test_hpp_SOURCES = %D%/api/test_hpp.cc
# Not linked with the library, which it loads.
%C%_api_test_dlopen_LDADD = $(check_ldadd) -ldl -lpthread
%C%_api_test_python_LDADD = $(check_ldadd) $(public_ldadd) -lm

%C%_storm_storm_SOURCES = %D%/storm/storm.c %D%/storm/storm.h %D%/storm/worker.c \
	%D%/support/procs.c %D%/support/procs.h %D%/support/sanitized.h

# Allocations of the whole program go through the test.
%C%_unit_test_type_memory_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray,--wrap=strdup

# What a program links that says nothing else of its own: white box by default,
# and the list public_programs, which the other folders append to as well, the other.
# (Variables of one target: GNU make.)
white_ldadd = libshv-internal.la $(JEMALLOC_LIBS) -lpthread
public_ldadd = libshv.la -lpthread
check_ldadd = %D%/libsupport.la $(CHECK_LIBS)

LDADD = $(white_ldadd)
$(public_programs): libshv.la
$(public_programs): LDADD = $(public_ldadd)

if HAVE_CHECK
$(check_tests): %D%/libsupport.la
$(white_tests): LDADD = $(check_ldadd) $(white_ldadd)
$(black_tests): LDADD = $(check_ldadd) $(public_ldadd)
endif

test_cppflags = -I$(top_srcdir)/%D% $(CHECK_CFLAGS)
%D%/unit/%.o %D%/fault/%.o %D%/corrupt/%.o: AM_CPPFLAGS = $(internal_cppflags) $(test_cppflags) $(JEMALLOC_CFLAGS)
%D%/api/%.o %D%/multi/%.o %D%/cli/%.o %D%/perf/%.o %D%/storm/%.o %D%/support/%.o: AM_CPPFLAGS = $(public_cppflags) $(test_cppflags)

# --- how they are run -----------------------------------------------------------

TESTS += $(check_tests) $(script_tests)
TEST_EXTENSIONS = .sh
tap_driver = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(tap_driver)
SH_LOG_DRIVER = $(tap_driver)
SH_LOG_COMPILER = bash

# Tests with the tag "slow" are left out unless SHV_SLOW is set.
AM_TESTS_ENVIRONMENT = \
	export HARNESS_ACTIVE=1 CK_DEFAULT_TIMEOUT="$${CK_DEFAULT_TIMEOUT:-30}"; \
	export SHV_SRCDIR='$(abs_top_srcdir)' SHV_BUILDDIR='$(abs_top_builddir)'; \
	export SHV_EXAMPLES='$(example_programs)' SHVDUMP='$(abs_top_builddir)/shvdump'; \
	export CC='$(CC)' CXX='$(CXX)' SHV_SAN_CFLAGS='$(SHV_SAN_CFLAGS) $(SHV_COV_CFLAGS)'; \
	export SHV_SMARTCOLS='$(SMARTCOLS_CFLAGS) $(SMARTCOLS_LIBS)'; \
	export SHV_JEMALLOC_SYSTEM='$(SHV_JEMALLOC_SYSTEM)'; \
	if test -z "$$SHV_SLOW"; then CK_EXCLUDE_TAGS="slow $$CK_EXCLUDE_TAGS"; export CK_EXCLUDE_TAGS; fi;

EXTRA_DIST += $(script_tests) $(cli_expected) %D%/cli/lib.sh %D%/support/tap.sh %D%/cli/broken.py %D%/cli/core.py %D%/cli/schema.py

# The figures of tests/perf, as they are now.
record-instructions: all $(perf_programs)
	$(AM_TESTS_ENVIRONMENT) bash $(top_srcdir)/%D%/perf/instructions.sh record

.PHONY: record-instructions check-slow check-storm check-valgrind check-loop check-tsan check-fuzz check-fuzz-image

check-slow:
	SHV_SLOW=1 $(MAKE) check

# Workers that are killed at random, for a minute or STORM_SECONDS; see tests/storm/storm.c.
check-storm: $(storm_programs)
	$(storm_programs)

# The threaded tests, in one process each: a forked child of a threaded program
# is no longer watched by ThreadSanitizer. Wants --with-sanitizers=thread.
check-tsan:
	CK_FORK=no $(MAKE) check TESTS='$(TSAN_TESTS)'

# White-box and black-box tests of one process under memcheck.
check-valgrind:
	CK_FORK=no CK_TIMEOUT_MULTIPLIER=$${CK_TIMEOUT_MULTIPLIER:-20} $(MAKE) check \
		TESTS='$(unit_tests) $(api_tests)' \
		LOG_COMPILER='$(LIBTOOL) --quiet --mode=execute $(VALGRIND) --quiet --leak-check=no --error-exitcode=99 $(VALGRIND_FLAGS)'

# The parser of formats, fed by libFuzzer; wants clang. What it finds is left as crash-*.
# FUZZ_SEED=0: one by chance, which libFuzzer prints.
FUZZ_SEED = 20261122
FUZZ_RUNS = 200000
FUZZ_READER_RUNS = 20000
fuzz_files = %D%/fuzz/fuzz_format.c
EXTRA_DIST += %D%/fuzz/fuzz_image.c
EXTRA_DIST += $(fuzz_files) %D%/data/ctypes_formats.tsv %D%/data/gen_ctypes_formats.py \
	%D%/data/python_values.tsv %D%/data/gen_python_values.py
check-fuzz:
	cd $(top_srcdir) && clang -std=gnu11 -D_GNU_SOURCE -g -O2 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -I. -Iinclude -o $(abs_top_builddir)/fuzz_format $(fuzz_files) \
		values/type.c values/format.c values/intern.c values/print.c base/errors.c -lm
	./fuzz_format -max_len=160 -runs=$(FUZZ_RUNS) -seed=$(FUZZ_SEED)
	clang -std=gnu11 -D_GNU_SOURCE -g -O2 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-DSHV_BUILDING $(DEFS) -include config.h -I. -I$(top_srcdir) $(public_cppflags) $(JEMALLOC_CFLAGS) -o fuzz_image \
		$(top_srcdir)/%D%/fuzz/fuzz_image.c \
		$(addprefix $(top_srcdir)/,$(filter %.c,$(patsubst $(top_srcdir)/%,%,$(libshv_internal_la_SOURCES)))) \
		$(JEMALLOC_LIBS) -lpthread -lm
	ASAN_OPTIONS=detect_leaks=0 ./fuzz_image -max_len=400 -runs=$(FUZZ_READER_RUNS) -seed=$(FUZZ_SEED)
CLEANFILES += fuzz_format fuzz_image

# Broken images by a generator that knows what an image is; any compiler.
FUZZ_IMAGE_RUNS = 20000
FUZZ_IMAGE_SEED = 1
check-fuzz-image: libshv-internal.la
	$(CC) -std=gnu11 -D_GNU_SOURCE -g -O2 -Wall -Wextra -DPLAIN_DRIVER -include config.h -I. -I$(top_srcdir) $(public_cppflags) \
		-o fuzz_image_plain $(top_srcdir)/%D%/fuzz/fuzz_image.c .libs/libshv-internal.a $(JEMALLOC_LIBS) -lpthread -lm
	./fuzz_image_plain -runs=$(FUZZ_IMAGE_RUNS) -seed=$(FUZZ_IMAGE_SEED)
CLEANFILES += fuzz_image_plain crash-image

# Again and again, until one fails or LOOPS rounds are done.
LOOPS = 100
check-loop:
	@n=0; while test $$n -lt $(LOOPS); do \
		n=$$((n + 1)); echo "--- round $$n of $(LOOPS)"; \
		$(MAKE) check || { echo "failed in round $$n"; exit 1; }; \
	done
