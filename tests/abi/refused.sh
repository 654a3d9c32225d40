#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What must not compile, with no warning switched on: pointers to another type, types that cannot be shared. Each case has a
# neighbour that differs in the fault alone and does compile, so that it is refused for that and nothing else.
set -u

: "${SHV_SRCDIR:?run by make check}" "${SHV_BUILDDIR:?}"
# shellcheck source=../support/tap.sh
. "$SHV_SRCDIR/tests/support/tap.sh"

include=(-I"$SHV_BUILDDIR/include" -I"$SHV_SRCDIR/include")

# compiles LANGUAGE STATEMENTS: in a function that has what the cases need.
compiles() {
	local compiler
	if [ "$1" = c ]; then
		compiler=("${CC%% *}" -std=gnu11 -x c)
	else
		compiler=("${CXX%% *}" -std=c++17 -x c++)
	fi
	{
		if [ "$1" = c++ ]; then
			printf '#include <shv/shv.hpp>\n#include <string>\n'
		fi
		printf '%s\n' '#include <shv/shv.h>' \
			'struct node { SHV_REL(struct node) next; SHV_REL(const char) text; SHV_REL(void) any; };' \
			'struct other { int x; };' \
			'extern shv_arena *a; extern struct node *n; extern struct other *o; extern char *s; extern void *v; extern double *d;' \
			'void f(void); void f(void) {' "$2" '}'
	} | "${compiler[@]}" "${include[@]}" -fsyntax-only - 2>/dev/null
}
compiles_not() { ! compiles "$@"; }

# only_one LANGUAGE RIGHT WRONG
only_one() {
	try "$1: $2" compiles "$1" "$2"
	try "$1: not $3" compiles_not "$1" "$3"
}

: "${CC:=gcc}" "${CXX:=g++}"
only_one c 'shv_rel_set(&n->next, n);' 'shv_rel_set(&n->next, o);'
only_one c 'shv_rel_set(&n->next, NULL);' 'shv_rel_set(&n->next, s);'
only_one c 'shv_rel_set(&n->next, v);' 'shv_rel_set(&n->next, d);'
only_one c 'shv_rel_set(&n->text, s);' 'shv_rel_set(&n->text, d);'
only_one c 'shv_rel_set(&n->any, d);' 'shv_rel_set(&n->anything, d);'
only_one c 'struct node *m = shv_rel_get(&n->next); (void)m;' 'int m = shv_rel_get(&n->next)->x; (void)m;'
only_one c '(void)SHV_TYPE_OF(double);' '(void)SHV_TYPE_OF(struct other);'
only_one c '(void)SHV_TYPE_OF(size_t);' '(void)SHV_TYPE_OF(char *);'
only_one c '(void)SHV_VALUE(a, int, 1);' '(void)SHV_VALUE(a, struct other, { 1 });'
only_one c '(void)SHV_VALUE(a, char, 65);' '(void)SHV_VALUE(a, struct node, NULL);'
only_one c '(void)SHV_VALUE(a, int, 1, SHV_PLAIN);' '(void)SHV_VALUE(a, int, 1, 5);'
if command -v "${CXX%% *}" >/dev/null; then
	only_one c++ 'shv_rel_set(&n->next, n);' 'shv_rel_set(&n->next, o);'
	only_one c++ 'shv_rel_set(&n->text, s);' 'shv_rel_set(&n->next, v);'
	only_one c++ '(void)SHV_TYPE_OF(double);' '(void)SHV_TYPE_OF(other);'
	only_one c++ 'shv::value<int> x;' 'shv::value<std::string>::create(shv::arena(a));'
	only_one c++ 'shv::value<int>().load();' 'shv::value<int *>().load(); shv::value<int *>::create(shv::arena(a));'
	only_one c++ 'shv::value<int>().add(1);' 'shv::value<bool>().add(true);'
	only_one c++ 'shv::value<long>().add(1);' 'shv::value<char>().add(1);'
	only_one c++ 'shv::arena x, y = std::move(x);' 'shv::arena x, y = x;'
	only_one c++ 'shv::owned x{shv::value<int>()}; auto y = std::move(x);' 'shv::owned x{shv::value<int>()}; auto y = x;'
	only_one c++ 'shv::value<int> m; std::scoped_lock x(m);' 'shv::raw<int> m; std::scoped_lock x(m);'
fi
tap_done
