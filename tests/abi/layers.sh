#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Includes go one way only: base <- locks <- arena <- values <- tools. Public
# headers know public headers; examples, benchmarks and black-box tests know
# nothing else of libshv.
set -u

: "${SHV_SRCDIR:?run by make check}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"
cd "$SHV_SRCDIR" || exit 1

layers=(base locks arena values tools)

# includes PATTERN FOLDER...: the lines that include what matches, as file:line:text.
includes() {
	local pattern=$1
	shift
	grep -rnE --include='*.[ch]' --include='*.cc' "^[[:space:]]*#[[:space:]]*include[[:space:]]+$pattern" "$@" 2>/dev/null
}

above=()
for ((i = ${#layers[@]} - 1; i >= 0; i--)); do
	layer=${layers[i]}
	if [ ${#above[@]} -gt 0 ]; then
		alternatives=$(IFS='|'; echo "${above[*]}")
		is "$(includes "[\"<]($alternatives)/" "$layer")" '' "$layer includes nothing of ${above[*]}"
	fi
	above+=("$layer")
done

all=$(IFS='|'; echo "${layers[*]}")
is "$(includes '"' "${layers[@]}" | grep -vE "\"(($all)/[^\"]+|config\.h)\"")" '' \
	'private headers are included by folder and name'
is "$(includes '"' include)" '' 'public headers include by <>'
is "$(includes "<(($all)/|config\.h)" include)" '' 'public headers include no private one'
is "$(includes "[\"<](($all)/|config\.h)" examples bench tests/api tests/multi tests/support)" '' \
	'examples, benchmarks and black-box tests include nothing private'
is "$(includes '<shv/' base locks arena values tools examples bench tests |
	grep -oE '<shv/[^>]+>' | sort -u | tr -d '<>' |
	while read -r header; do
		[ -f "include/$header" ] || [ -f "include/$header.in" ] || echo "$header"
	done)" '' 'every <shv/...> that is included exists'
tap_done
