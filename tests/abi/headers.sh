#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each public header is compiled alone, as C11 and as C++17, with the warnings a
# strict user may have as errors; it can be included twice, and its include
# guard has the name that the house style gives it.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

include=(-I"$SHV_BUILDDIR/include" -I"$SHV_SRCDIR/include")
read -r -a cc <<<"${CC:-gcc} -std=c11 -pedantic -Wall -Wextra -Wstrict-prototypes -Werror"
read -r -a cxx <<<"${CXX:-g++} -std=c++17 -Wall -Wextra -Werror"
have_cxx=$(command -v "${cxx[0]}" || true)

# source HEADER GUARD: a program that has nothing but the header.
source_for() {
	printf '#include <shv/%s>\n#include <shv/%s>\n' "$1" "$1"
	printf '#ifndef %s\n#error the include guard %s is missing\n#endif\n' "$2" "$2"
	printf 'int main(void);\nint main(void) { return 0; }\n'
}

# compiles HEADER GUARD COMPILER...
compiles() {
	local header=$1 guard=$2
	shift 2
	source_for "$header" "$guard" | "$@" "${include[@]}" -fsyntax-only -
}

headers=$(cd "$SHV_SRCDIR/include/shv" && ls -- *.h)
# In an unpacked tree that was also configured in place, version.h is there already.
for header in $(printf '%s\nversion.h\n' "$headers" | sort -u); do
	name=${header%.h}
	guard=SHV_${name^^}_H
	try "$header alone, C11" compiles "$header" "$guard" "${cc[@]}" -x c
	if [ -n "$have_cxx" ]; then
		try "$header alone, C++17" compiles "$header" "$guard" "${cxx[@]}" -x c++
	else
		skip "$header alone, C++17" 'no C++ compiler'
	fi
done

# The header for C++, by every compiler there is. It is for C++ alone, and says so to others.
for compiler in "${cxx[0]}" g++ clang++; do
	for standard in 17 20; do
		if command -v "$compiler" >/dev/null; then
			try "shv.hpp alone, $compiler, C++$standard" compiles shv.hpp SHV_SHV_HPP \
				"$compiler" "-std=c++$standard" -Wall -Wextra -pedantic -Werror -x c++
		else
			skip "shv.hpp alone, $compiler, C++$standard" 'no such compiler'
		fi
	done
done
compiles_not() { ! compiles "$@" 2>/dev/null; }
try 'shv.hpp is refused by C' compiles_not shv.hpp SHV_SHV_HPP "${cc[@]}" -x c
tap_done
