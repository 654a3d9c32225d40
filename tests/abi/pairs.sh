#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each ordering that the code names ("pairs: P-...") has both of its ends named there, and a row in the table of
# docs/CONCURRENCY.md; each row of the table is named in the code.
set -u

: "${SHV_SRCDIR:?run by make check}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"
cd "$SHV_SRCDIR" || exit 1

# One place may be an end of several: "pairs: P-one, P-two".
places() { grep -rhoE 'pairs: P-[a-z-]+(, P-[a-z-]+)*' base locks arena values --include='*.[ch]' | grep -oE 'P-[a-z]+(-[a-z]+)*' | sort; }
table() { grep -oE '^\| P-[a-z]+(-[a-z]+)* ' docs/CONCURRENCY.md | tr -d '| ' | sort -u; }

is "$(places | uniq -c | awk '$1 < 2 { print $2 }')" '' 'each ordering has both ends named in the code'
is "$(comm -3 <(places | uniq) <(table))" '' 'code and docs/CONCURRENCY.md name the same orderings'

tap_done
