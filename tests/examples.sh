#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every example runs and ends with status 0.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}"
# shellcheck source=support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

for example in ${SHV_EXAMPLES:-}; do
	try "$example" timeout 120 "$SHV_BUILDDIR/$example" </dev/null
done
[ "$tap_count" -gt 0 ] || skip_all 'there are no examples yet'
tap_done
