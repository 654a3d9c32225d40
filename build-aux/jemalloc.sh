#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# jemalloc.sh -- libshv's own copy of jemalloc, from Debian's source package.
#
#   jemalloc.sh build    fetch, verify and build it unless that is done; print its folder
#   jemalloc.sh prefix   print the folder if the copy is there; else exit 1
#   jemalloc.sh clean    remove every copy from the cache folder
#
# Why an own copy: the host program's malloc must stay what it was, so every
# name gets a prefix and none is exported; and the library must be loadable by
# dlopen, which rules out the distribution's build with its static TLS.
#
# The tarball comes through apt, from the same archives that the machine's own
# apt entries name, but with sources, lists and cache folders of our own, so
# that the machine's apt is neither asked for deb-src entries nor changed. What
# was fetched counts only if its SHA-256 is the one below.
#
# Environment: SHV_CACHE (default ~/.cache/libshv), SHV_JEMALLOC_CC (default cc;
# a cross compiler works too), SHV_JOBS.
set -euo pipefail

version=5.3.0
tarball=jemalloc_$version.orig.tar.bz2
sha256=2db82d1e7119df3e71b7640219b6dfe84789bc0537983c3b7ac4f7189aecfeaa

# retain:false: what is freed goes back to our pool instead of staying reserved.
# force_tls=0 (its configure has no option for it): 2.6 KB of thread-local storage would
# not fit into what the loader keeps for libraries that dlopen() brings. jemalloc then
# keeps its per-thread state behind a pthread key; magazines stand in front of it.
# cache-oblivious off: it would add a page to each large block.
# without-export: with -fvisibility=hidden no name leaves the shared library.
configure_flags=(
	--with-jemalloc-prefix=shv_je_
	--with-private-namespace=shv_jep_
	--disable-initial-exec-tls
	force_tls=0
	--disable-cxx
	--disable-fill
	--disable-cache-oblivious
	--disable-shared
	--enable-static
	--without-export
	--with-malloc-conf=retain:false
)
cflags='-O2 -g -fPIC -fvisibility=hidden'
# jemalloc's configure asks for -g3; macros in the debug data make 40 MB of it.
extra_cflags=-g2

cc=${SHV_JEMALLOC_CC:-cc}
cache=${SHV_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/libshv}

say() { printf 'jemalloc.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The folder of the finished copy: one per compiler, target and flags.
prefix_path() {
	local target compiler key
	target=$("$cc" -dumpmachine) || die "the compiler '$cc' does not run"
	compiler=$("$cc" --version | head -n 1)
	key=$(printf '%s\n' "$sha256" "$target" "$compiler" "$cflags" "$extra_cflags" "${configure_flags[@]}" |
		sha256sum | cut -c 1-12)
	printf '%s/jemalloc-%s-%s-%s\n' "$cache" "$version" "$target" "$key"
}

is_complete() {
	[ -f "$1/include/jemalloc/jemalloc.h" ] && [ -f "$1/lib/libjemalloc_pic.a" ]
}

is_verified() {
	[ -f "$1" ] && printf '%s  %s\n' "$sha256" "$1" | sha256sum --check --status
}

# The keyring that an apt entry names, for its file (either of apt's two forms).
keyring_of() {
	grep -oiE 'signed-by(=|:[[:space:]]*)/[^][:space:]]+' "$1" 2>/dev/null |
		head -n 1 | sed -E 's|^[^/]*||'
}

# The machine's entries for the distribution's main archive, as deb-src lines.
# apt itself reads its configuration, in whichever of its two forms it is kept.
# The distribution's suite is its code name (bookworm) or an alias (stable):
# what is left out are other archives, and the suites that hold updates only.
source_entries() {
	local codename uri suite component entry key
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	# shellcheck disable=SC2016 # these are apt's fields, not the shell's
	apt-get indextargets --no-release-info \
		--format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SOURCESENTRY)' 'Created-By: Packages' |
	while IFS='|' read -r uri suite component entry; do
		case $suite in
		"$codename" | stable | oldstable | testing | unstable | sid) ;;
		*) continue ;;
		esac
		case $component in
		main | universe) ;;
		*) continue ;;
		esac
		key=$(keyring_of "${entry%:*}") || key=
		printf 'deb-src %s%s %s %s\n' "${key:+[signed-by=$key] }" "$uri" "$suite" "$component"
	done | sort -u
}

fetch() {
	local work=$1 entries
	command -v apt-get >/dev/null || die 'no apt-get here, so no source package'
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
	entries=$(source_entries)
	[ -n "$entries" ] || die "the machine's apt has no entry for the distribution's main archive"
	printf '%s\n' "$entries" >"$work/apt/sources.list"
	say "fetching $tarball with these entries:"
	sed 's/^/  /' "$work/apt/sources.list" >&2
	local apt=(apt-get -q
		-o "Dir::Etc::sourcelist=$work/apt/sources.list"
		-o Dir::Etc::sourceparts=/dev/null
		-o "Dir::State::lists=$work/apt/lists"
		-o "Dir::Cache=$work/apt/cache"
		-o APT::Sandbox::User=
		-o Acquire::Languages=none
		-o Acquire::Retries=3)
	"${apt[@]}" update >&2
	(cd "$work" && "${apt[@]}" --download-only source jemalloc >&2)
	is_verified "$work/$tarball" ||
		die "what the archive gave is not the $tarball of SHA-256 $sha256"
	mv "$work/$tarball" "$cache/$tarball"
}

compile() {
	local work=$1 prefix=$2 target host=()
	target=$("$cc" -dumpmachine)
	[ "$target" = "$(cc -dumpmachine 2>/dev/null)" ] || host=("--host=$target")
	mkdir "$work/src"
	tar -xjf "$cache/$tarball" -C "$work/src" --strip-components=1
	cd "$work/src"
	./configure "${configure_flags[@]}" "${host[@]}" --prefix="$work/inst" \
		CC="$cc" CFLAGS="$cflags" EXTRA_CFLAGS="$extra_cflags" >&2
	make -j"${SHV_JOBS:-$(nproc)}" build_lib_static >&2
	make install_include >&2
	mkdir -p "$work/inst/lib"
	cp lib/libjemalloc_pic.a "$work/inst/lib/"
	cp COPYING "$work/inst/"
	# The folder appears whole or not at all.
	rm -rf "$prefix"
	mv -T "$work/inst" "$prefix"
}

build() {
	local prefix work
	prefix=$(prefix_path)
	if ! is_complete "$prefix"; then
		mkdir -p "$cache"
		exec 9>"$cache/lock"
		flock 9
		if ! is_complete "$prefix"; then
			work=$(mktemp -d "$cache/work.XXXXXX")
			# shellcheck disable=SC2064 # the folder's name is wanted as it is now
			trap "rm -rf '$work'" EXIT
			is_verified "$cache/$tarball" || fetch "$work"
			(compile "$work" "$prefix")
		fi
	fi
	printf '%s\n' "$prefix"
}

case ${1:-} in
build)
	build
	;;
prefix)
	prefix=$(prefix_path)
	is_complete "$prefix" || exit 1
	printf '%s\n' "$prefix"
	;;
clean)
	rm -rf "$cache"/jemalloc-* "$cache"/jemalloc_*
	;;
*)
	sed -n '6,8s/^# *//p' "$0" >&2
	exit 2
	;;
esac
