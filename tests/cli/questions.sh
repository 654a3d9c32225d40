#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# examples/questions.sh runs, gets the right answers, and asks what docs/SIX-QUESTIONS.md records.
set -u
: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}" "${SHVDUMP:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"
[ -x "$SHVDUMP" ] || skip_all 'shvdump was not built'
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

answers() { SHV_EXAMPLES_DIR=$SHV_BUILDDIR/examples timeout 300 bash "$SHV_SRCDIR/examples/questions.sh" >"$work/now.md"; }
try 'all six are answered, and rightly' answers
# The commands and headings; processes have other numbers.
asked() { grep -E '^(\$ shvdump|##? [A-Z0-9])' "$1" | sed -E 's/\b[0-9]{3,}\b/PID/g'; }
is "$(asked "$work/now.md")" "$(asked "$SHV_SRCDIR/docs/SIX-QUESTIONS.md")" 'docs/SIX-QUESTIONS.md has the same questions'
tap_done
