#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Three lists must be one: what libshv.so exports, what libshv.sym lists, and
# what the public headers declare SHV_API.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

library=$SHV_BUILDDIR/.libs/libshv.so
export LC_ALL=C

exported() {
	nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u
}

# The names between global: and local: of every version.
listed() {
	awk '{ sub(/#.*/, ""); gsub(/\/\*.*\*\//, "") }
		/global:/ { on = 1; sub(/.*global:/, "") }
		/local:/ { on = 0 }
		on { gsub(/[;,]/, " "); for (i = 1; i <= NF; i++) if ($i !~ /[{}]/) print $i }' \
		"$SHV_SRCDIR/libshv.sym" | sort -u
}

# SHV_API becomes an attribute, which the preprocessor leaves in its output: so
# declarations made by macros are found too. Per declaration the name is what
# stands before the first parenthesis, or else each last word before a comma
# or the end.
declared() {
	echo '#include <shv/shv.h>' |
	${CC:-gcc} -std=c11 -E -P -I"$SHV_BUILDDIR/include" -I"$SHV_SRCDIR/include" -x c - |
	tr '\n' ' ' | sed 's/[;{}]/\n/g' |
	awk '
		function without_attributes(text,    i, depth, out, start) {
			while (match(text, /__attribute__ *\(/)) {
				start = RSTART
				depth = 0
				for (i = RSTART + RLENGTH - 1; i <= length(text); i++) {
					if (substr(text, i, 1) == "(") depth++
					if (substr(text, i, 1) == ")" && --depth == 0) break
				}
				text = substr(text, 1, start - 1) " " substr(text, i + 1)
			}
			return text
		}
		/visibility *\( *"default" *\)/ {
			text = without_attributes($0)
			if (text ~ /^[ \t]*#/ || text ~ /^[ \t]*$/)
				next
			if (match(text, /[A-Za-z_0-9]+ *\(/)) {
				name = substr(text, RSTART, RLENGTH - 1)
				gsub(/ /, "", name)
				print name
				next
			}
			n = split(text, parts, ",")
			for (i = 1; i <= n; i++) {
				sub(/\[.*/, "", parts[i])
				m = split(parts[i], words, /[ *]+/)
				while (m > 0 && words[m] == "") m--
				print words[m]
			}
		}' | sort -u
}

exported_names=$(exported)
listed_names=$(listed)
declared_names=$(declared)

# Sanitizers and gcov put names of their own into every library.
if [ -n "${SHV_SAN_CFLAGS// /}" ]; then
	exported_names=$(grep '^shv_' <<<"$exported_names")
fi
# The version itself is an absolute symbol or, by some linkers, a plain one.
exported_names=$(grep -v '^LIBSHV_' <<<"$exported_names")

patterns=$(grep '[*?[]' <<<"$listed_names" || true)
is "$patterns" '' 'libshv.sym lists names, not patterns'
is "$(comm -13 <(echo "$listed_names") <(echo "$exported_names"))" '' 'everything exported is listed'
is "$(comm -23 <(echo "$listed_names") <(echo "$exported_names"))" '' 'everything listed is exported'
is "$(comm -13 <(echo "$listed_names") <(echo "$declared_names"))" '' 'everything declared SHV_API is listed'
is "$(comm -23 <(echo "$listed_names") <(echo "$declared_names"))" '' 'everything listed is declared SHV_API'
is "$(grep -v '^shv_' <<<"$exported_names")" '' 'every exported name begins with shv_'
is "$(grep -E '^(shv_je|shv_jep)_' <<<"$exported_names")" '' 'no name of jemalloc is exported'
is "$(readelf -d "$library" | grep -c NODELETE)" 1 'the library cannot be unloaded (z nodelete)'

# Functions that fail at nothing, or that a macro of another name stands for (shv_with, SHV_LOAD, SHV_VALUE, shv_field).
exempt='shv_errmsg shv_kind_of shv_with_status shv_guard_begin_ shv_guard_end_ shv_load_ shv_value_new_recursive shv_field_at'
promised=$(sed -n '/^} contract\[\] = {/,/^};/s/.*("\([a-z_]*\)".*/\1/p' "$SHV_SRCDIR/tests/api/test_errors.c"
	tr ' ' '\n' <<<"$exempt")
is "$(comm -13 <(sort -u <<<"$promised") <(grep -v '^shv_type_[a-z]*_$' <<<"$listed_names"))" '' \
	'of every function there is a test of its errors'
tap_done
