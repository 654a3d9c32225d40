#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The static probes: the library has those that docs/PROBES.md lists, or none if it was built without; switched off they cost no
# instruction and their arguments are compiled all the same; and gdb can stop at one.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}" "${CC:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

library=$SHV_BUILDDIR/.libs/libshv.so
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2016 # backquotes of Markdown
documented=$(sed -n 's/^| `\([a-z_]*\)` |.*/\1/p' "$SHV_SRCDIR/docs/PROBES.md" | sort)
used=$(cd "$SHV_SRCDIR" && grep -rhoE --include='*.[ch]' '\bPROBE[1-4]\([a-z_]+' locks arena values | sed 's/.*(//' | sort -u)
is "$used" "$documented" 'the probes in the code are those in docs/PROBES.md'

# arguments PROBE: how many the document names.
arguments() { sed -n "s/^| \`$1\` | \([^|]*\) |.*/\1/p" "$SHV_SRCDIR/docs/PROBES.md" | awk -F, '{ print NF }'; }
for probe in $used; do
	is "$(cd "$SHV_SRCDIR" && grep -rhoE --include='*.[ch]' "\\bPROBE[1-4]\\($probe," locks arena values | grep -oE '[1-4]' | sort -u)" \
		"$(arguments "$probe")" "$probe has as many arguments as the document says"
done

notes=$(readelf --notes "$library" 2>/dev/null | awk '/Provider: / { p = $2 } /Name: / && p == "libshv" { print $2 }' | sort -u)
if grep -q '^#define SHV_USDT 1' "$SHV_BUILDDIR/config.h"; then
	is "$notes" "$documented" 'the library has them'
else
	is "$notes" '' 'built without: the library has none'
fi

cat >"$work/none.c" <<'END'
#include <stdint.h>
uint64_t f(uint64_t *p, int n) { *p += (uint64_t)n; return *p; }
END
cat >"$work/off.c" <<'END'
#include "base/probe.h"
uint64_t f(uint64_t *p, int n) { *p += (uint64_t)n; PROBE4(create, p, n, *p, n + 1); PROBE1(free, p); return *p; }
END
sed 's/n + 1/no_such_thing/' "$work/off.c" >"$work/wrong.c"
code() { "$CC" -O2 -I"$SHV_SRCDIR" "$@" -c -o "$work/x.o" && objcopy -O binary --only-section=.text "$work/x.o" "$work/x.bin" && sha256sum <"$work/x.bin"; }
is "$(code "$work/off.c")" "$(code "$work/none.c")" 'a probe that is off is no instruction'
wrong() { ! "$CC" -I"$SHV_SRCDIR" "$work/wrong.c" -c -o "$work/x.o" 2>/dev/null; }
try 'its arguments are compiled all the same' wrong
if echo '#include <sys/sdt.h>' | "$CC" -E - >/dev/null 2>&1; then
	try 'a probe that is on compiles' "$CC" -O2 -Wall -Wextra -Werror -I"$SHV_SRCDIR" -DSHV_USDT=1 "$work/off.c" -c -o "$work/on.o"
	is "$(readelf --notes "$work/on.o" | grep -c 'Provider: libshv')" 2 'and is noted in the object'
else
	skip 'a probe that is on compiles' 'no sys/sdt.h'
	skip 'and is noted in the object' 'no sys/sdt.h'
fi
tap_done
