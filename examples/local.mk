# SPDX-License-Identifier: MIT
#
# Each example is one file, %D%/NAME.c, sees only the public headers, links only
# libshv, and is run by the tests. To add one: its name in the list below.

example_programs = \
	%D%/attach_pid \
	%D%/counter \
	%D%/find_or_new \
	%D%/handover \
	%D%/hello_string \
	%D%/letters \
	%D%/mixed \
	%D%/policy \
	%D%/pthread_lock \
	%D%/ptr_list \
	%D%/ptr_tree \
	%D%/rwlock \
	%D%/served \
	%D%/shop

public_programs += $(example_programs)
check_PROGRAMS += $(example_programs)

%D%/%.o: AM_CPPFLAGS = $(public_cppflags)

# What the demo gets from its environment; it may also be run by hand with these.
demo_env = \
	SHV_BUILDDIR='$(abs_top_builddir)' \
	SHV_EXAMPLES_DIR='$(abs_top_builddir)/%D%' \
	SHVDUMP='$(abs_top_builddir)/shvdump'

.PHONY: demo build-examples
build-examples: $(example_programs)

demo: all build-examples
	@$(demo_env) bash $(top_srcdir)/%D%/demo.sh

EXTRA_DIST += %D%/demo.sh %D%/questions.sh
