# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# tap.sh -- TAP for tests written in bash: source it, call ok, is, skip, and at
# the end tap_done. The plan comes last, so a script that dies is an error.

tap_count=0
tap_failed=0

# note TEXT...: a remark in the log.
note() { printf '%s\n' "$*" | sed 's/^/# /'; }

# ok STATUS NAME: passed if STATUS is 0.
ok() {
	tap_count=$((tap_count + 1))
	if [ "$1" -eq 0 ]; then
		printf 'ok %d - %s\n' "$tap_count" "$2"
	else
		tap_failed=$((tap_failed + 1))
		printf 'not ok %d - %s\n' "$tap_count" "$2"
	fi
}

# is GOT WANTED NAME: passed if the two texts are equal.
is() {
	if [ "$1" = "$2" ]; then
		ok 0 "$3"
	else
		ok 1 "$3"
		note "got:"
		note "$1"
		note "wanted:"
		note "$2"
	fi
}

# try NAME COMMAND...: passed if the command succeeds; its output is shown if not.
try() {
	local name=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	ok "$status" "$name"
	[ "$status" -eq 0 ] || note "$output"
}

# skip NAME REASON
skip() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$tap_count" "$1" "$2"
}

# skip_all REASON: ends the script.
skip_all() {
	printf '1..0 # SKIP %s\n' "$*"
	exit 0
}

tap_done() { printf '1..%d\n' "$tap_count"; }
