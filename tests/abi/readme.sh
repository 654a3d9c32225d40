#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every C program in README.md (a fenced block of C with a main) is compiled as
# a stranger would, with warnings as errors, and ends with status 0.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Writes each block into a file named after the line it begins at.
awk -v work="$work" '
	/^```c[[:space:]]*$/ { file = sprintf("%s/line%05d.c", work, NR + 1); next }
	/^```/ { if (file != "") close(file); file = ""; next }
	file != "" { print > file }' "$SHV_SRCDIR/README.md"

compile_and_run() {
	# shellcheck disable=SC2086 # both are lists of words
	${CC:-gcc} -std=gnu11 -Wall -Wextra -Werror -O1 ${SHV_SAN_CFLAGS:-} \
		-I"$SHV_BUILDDIR/include" -I"$SHV_SRCDIR/include" \
		-o "$1.run" "$1" -pthread -L"$SHV_BUILDDIR/.libs" -lshv || return
	(cd "$work" && LD_LIBRARY_PATH=$SHV_BUILDDIR/.libs timeout 60 "$1.run" </dev/null)
}

for program in "$work"/line*.c; do
	grep -qs 'int main' "$program" || continue
	name=${program##*/line}
	try "README.md, the program at line $((10#${name%.c}))" compile_and_run "$program"
done
[ "$tap_count" -gt 0 ] || skip_all 'README.md has no C program'
tap_done
