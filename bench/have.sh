#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# have.sh FOLDER -- which peers of the benchmark can be built here: FOLDER/have.h for the compiler, FOLDER/have.libs for the linker. Both
# are written only if they change, so that installing a package rebuilds what it concerns and nothing else.
set -euo pipefail

folder=$1
cc=${CC:-cc}
cxx=${CXX:-c++}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

: >"$work/have.libs"
printf '/* Made by have.sh. */\n' >"$work/have.h"

# have NAME COMPILER LIBRARY HEADER: a program with the header compiles and links.
have() {
	local yes=0
	printf '#include <%s>\nint main() { return 0; }\n' "$4" >"$work/try.cc"
	[ "$2" = "$cxx" ] || mv "$work/try.cc" "$work/try.c"
	# shellcheck disable=SC2086 # a compiler may be several words, a library none
	if $2 -o "$work/try" "$work"/try.c* $3 >/dev/null 2>&1; then
		yes=1
		[ -z "$3" ] || printf '%s\n' "$3" >>"$work/have.libs"
	fi
	rm -f "$work"/try.c*
	printf '#define HAVE_%s %d\n' "$1" "$yes" >>"$work/have.h"
}

have BOOST "$cxx" '' boost/interprocess/managed_shared_memory.hpp
have PMEMOBJ "$cc" -lpmemobj libpmemobj.h
have MEMKIND "$cc" -lmemkind memkind.h

mkdir -p "$folder"
for file in have.h have.libs; do
	cmp -s "$work/$file" "$folder/$file" || cp "$work/$file" "$folder/$file"
done
