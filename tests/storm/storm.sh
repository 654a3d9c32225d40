#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A short kill storm, and that its tester sees what it is there to see: with
# --break it damages something behind its own back, and must say so.
# With SHV_SLOW the storm lasts for 10,000 kills.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

storm=$SHV_BUILDDIR/tests/storm/storm

# finds WHAT SENTENCE: the damage is found, and called by its name.
finds() {
	local output status=0
	output=$(STORM_SECONDS=30 STORM_KILLS=50 "$storm" "--break=$1" 2>&1) || status=$?
	case $status:$output in
	1:*"FOUND"*$2*) ok 0 "the tester finds $1" ;;
	*)
		ok 1 "the tester finds $1"
		note "status $status:" "$output"
		;;
	esac
}

finds lost 'is lost'
finds content 'has another content'
finds extra 'objects are there, not'
finds total 'counter 0 says'
finds pair 'pair 0'
finds text 'text 1 has'
finds name 'has lost its name'
finds lock 'nobody died holding it'
finds page 'in the end 1 objects'

kills=300
[ -z "${SHV_SLOW:-}" ] || kills=10000
try "$kills kills without a finding" env STORM_KILLS="$kills" "$storm"
tap_done
