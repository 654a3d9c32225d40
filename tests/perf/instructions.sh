#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# No common call takes more than a tenth more instructions than instructions.txt says, unless that file was changed with it.
#
#   tests/perf/instructions.sh            the test
#   tests/perf/instructions.sh record     (make record-instructions) writes the file anew from what is measured now
#
# The figures are those of one compiler and one way of building. Anywhere else the test is skipped, and says why.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

recorded=$SHV_SRCDIR/tests/perf/instructions.txt
limit=10 # per cent

# What the figures depend on, in one line.
this_build() {
	printf '%s, %s, CFLAGS %s, jemalloc %s%s\n' "$(uname -m)" "$(${CC:-cc} --version | head -n 1)" \
		"$(sed -n 's/^CFLAGS = //p' "$SHV_BUILDDIR/Makefile")" \
		"$([ "${SHV_JEMALLOC_SYSTEM:-0}" = 0 ] && echo own || echo system)" \
		"$(for switch in DEBUG FAULT_INJECTION USDT; do
			! grep -q "^#define SHV_$switch 1" "$SHV_BUILDDIR/config.h" || printf ', %s' "$switch"
		done)$([ -z "${SHV_SAN_CFLAGS// /}" ] || printf ', %s' "$SHV_SAN_CFLAGS")$(
			grep -q -- '-ftls-model=initial-exec' "$SHV_BUILDDIR/Makefile" && printf ', initial-exec TLS')"
}

# One line for each call, or fails with the program's status.
measure() { "$SHV_BUILDDIR/tests/perf/instructions"; }

if [ "${1:-}" = record ]; then
	figures=$(measure) || { echo "it cannot be measured here (status $?)" >&2; exit 1; }
	{
		printf '%s\n' '# Instructions of the common calls, as tests/perf/instructions.c counts them. Made by make record-instructions;' \
			'# a change that makes one grow by more than a tenth is to say in its commit why that is worth it.'
		printf 'build: %s\n%s\n' "$(this_build)" "$figures"
	} >"$recorded.new" && mv "$recorded.new" "$recorded"
	cat "$recorded"
	exit
fi

there=$(sed -n 's/^build: //p' "$recorded")
here=$(this_build)
[ "$here" = "$there" ] || skip_all "the figures are those of: $there; this is: $here"
figures=$(measure)
status=$?
[ "$status" -ne 77 ] || skip_all 'processes may not trace their children here'
ok "$status" 'all calls can be stepped through'
[ "$status" -eq 0 ] || { tap_done; exit 1; }

while read -r was name; do
	is=$(sed -n "s/^\([0-9-]*\) $name\$/\1/p" <<<"$figures")
	grown=$((is * 100 > was * (100 + limit)))
	ok "$grown" "$name takes no more instructions than recorded ($is, recorded $was)"
	[ "$grown" -eq 0 ] ||
		note "If that is meant: make record-instructions, and say in the commit what it is for."
	[ $((is * 100)) -ge $((was * (100 - limit))) ] || note "$name has become quicker: make record-instructions keeps it so"
done < <(sed -n '/^[0-9]/p' "$recorded")

names() { sed -n 's/^[0-9-][0-9]* //p' "$@"; }
is "$(names <<<"$figures")" "$(names "$recorded")" 'every call that is measured is recorded'
tap_done
