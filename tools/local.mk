# SPDX-License-Identifier: MIT

if TOOLS
bin_PROGRAMS += shvdump
endif

shvdump_SOURCES = \
	%D%/align.c \
	%D%/align.h \
	%D%/cmd_check.c \
	%D%/cmd_diff.c \
	%D%/cmd_leaks.c \
	%D%/cmd_list.c \
	%D%/cmd_locks.c \
	%D%/cmd_map.c \
	%D%/cmd_metrics.c \
	%D%/cmd_overview.c \
	%D%/cmd_procs.c \
	%D%/cmd_save.c \
	%D%/cmd_report.c \
	%D%/cmd_types.c \
	%D%/cmd_values.c \
	%D%/cmd_watch.c \
	%D%/columns.c \
	%D%/columns.h \
	%D%/core.c \
	%D%/core.h \
	%D%/emit.c \
	%D%/emit.h \
	%D%/fields.c \
	%D%/fields.h \
	%D%/json.c \
	%D%/json.h \
	%D%/look.c \
	%D%/look.h \
	%D%/map.c \
	%D%/map.h \
	%D%/sample.c \
	%D%/sample.h \
	%D%/shvdump.c \
	%D%/shvdump.h \
	%D%/sort.c \
	%D%/sort.h \
	%D%/svg.c \
	%D%/svg.h \
	%D%/target.c \
	%D%/target.h \
	%D%/term.c \
	%D%/term.h \
	%D%/text.c \
	%D%/text.h \
	%D%/watch.h \
	%D%/watch_screen.c \
	%D%/write.c \
	%D%/write.h
shvdump_CPPFLAGS = $(AM_CPPFLAGS) $(SMARTCOLS_CFLAGS) $(NCURSES_CFLAGS)
shvdump_LDADD = libshv.la $(SMARTCOLS_LIBS) $(NCURSES_LIBS)

EXTRA_DIST += %D%/shvdump.bash-completion %D%/shvdump.zsh-completion build-aux/shvdump-schema.py

if TOOLS
dist_man_MANS += %D%/shvdump.1 \
	%D%/shvdump-locks.1 \
	%D%/shvdump-map.1 \
	%D%/shvdump-report.1 \
	%D%/shvdump-values.1 \
	%D%/shvdump-watch.1

# (gdb) source .../share/libshv/shv-gdb.py
dist_pkgdata_DATA = %D%/gdb/shv-gdb.py

# bash looks for a file with the name of the command.
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions

install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(bashcompletiondir)'
	$(INSTALL_DATA) '$(srcdir)/%D%/shvdump.bash-completion' '$(DESTDIR)$(bashcompletiondir)/shvdump'
	$(MKDIR_P) '$(DESTDIR)$(zshcompletiondir)'
	$(INSTALL_DATA) '$(srcdir)/%D%/shvdump.zsh-completion' '$(DESTDIR)$(zshcompletiondir)/_shvdump'

uninstall-local:
	rm -f '$(DESTDIR)$(bashcompletiondir)/shvdump' '$(DESTDIR)$(zshcompletiondir)/_shvdump'
endif
