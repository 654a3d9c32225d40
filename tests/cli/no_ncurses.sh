#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# shvdump built as --without-ncurses has it: everything but the screen of `watch` is there, and that says what is missing.
set -u
: "${SHV_SRCDIR:?run by make check}" "${SHVDUMP:?}" "${CC:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"
[ -x "$SHVDUMP" ] || skip_all 'shvdump was not built'
[ -e "$SHV_BUILDDIR/.libs/libshv.so" ] || skip_all 'there is no shared library'
# shellcheck source=lib.sh
. "$SHV_SRCDIR/tests/cli/lib.sh"

try 'configure knows --without-ncurses' grep -q -- '--without-ncurses' "$SHV_SRCDIR/configure"
# What configure writes then, and the same sources; a configure of its own would take longer than all other tests.
mkdir "$work/include"
sed 's/^#define SHV_NCURSES .*/#define SHV_NCURSES 0/' "$SHV_BUILDDIR/config.h" >"$work/include/config.h"
build() {
	local libs=() flags=() word
	for word in ${SHV_SMARTCOLS:-}; do
		case $word in -l* | -L*) libs+=("$word") ;; *) flags+=("$word") ;; esac
	done
	# shellcheck disable=SC2086 # words
	$CC -std=gnu11 -O0 -Wall -Wextra -Werror ${SHV_SAN_CFLAGS:-} -I"$work/include" -I"$SHV_BUILDDIR/include" -I"$SHV_SRCDIR" \
		-I"$SHV_SRCDIR/include" -D_GNU_SOURCE "${flags[@]}" -o "$work/shvdump" "$SHV_SRCDIR"/tools/*.c \
		-L"$SHV_BUILDDIR/.libs" -Wl,-rpath,"$SHV_BUILDDIR/.libs" -lshv "${libs[@]}" 2>&1
}
is "$(build)" '' 'it builds, without warnings and without the library'
is "$(readelf -d "$work/shvdump" 2>/dev/null | grep -cE 'NEEDED.*(ncurses|tinfo)')" 0 'and does not want it'

start tests/cli/fixture
if command -v script >/dev/null; then
	status=0
	said=$(TERM=xterm script -qec "$work/shvdump watch $pid" /dev/null </dev/null) || status=$?
	is "$status:$(grep -c 'built without ncurses.*use --once' <<<"$said")" '1:1' 'watch on a terminal says so, and what helps'
else
	skip 'watch on a terminal says so, and what helps' 'no script(1)'
fi
fails 1 'add --once' 'watch into a file' "$work/shvdump" watch "$pid"
is "$("$work/shvdump" watch "$pid" --once -i 0.01 | sed -n 's/^OBJECTS  *//p')" 24 'watch --once is there'
is "$("$work/shvdump" values "$pid" -rno CONTENT -N answer)" 42 'so is the rest'
tap_done
