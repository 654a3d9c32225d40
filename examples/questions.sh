#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Six questions about a running program, answered with shvdump from outside. The program is examples/shop.c: a clerk who does not give a
# lock back, two sellers at one hot counter, one who makes and never frees, and a visitor who was killed.
#
# Prints Markdown: docs/SIX-QUESTIONS.md is what it printed once. Ends with status 0 only if every answer was right.
# shellcheck disable=SC2016 # the quotes hold Markdown
set -euo pipefail

: "${SHV_EXAMPLES_DIR:?the folder with the built examples}" "${SHVDUMP:?the built shvdump}"
export LC_ALL=C.UTF-8
work=$(mktemp -d)

fail() {
	printf 'questions: %s\n' "$*" >&2
	exit 1
}

# What is shown of an answer: of its first table no more than so many lines.
lines=1000
shorten() { awk -v most="$lines" '!NF { behind = 1 } behind || NR <= most { print; next } NR == most + 1 { print "..." }'; }

# run ARGUMENT...: the line that a user would type, and what it prints; $answer is the latter.
run() {
	local shown="$*" status=0 text
	shown=${shown//"$work/"/}
	answer=$("$SHVDUMP" "$@" 2>&1) || status=$?
	case $status in
	0 | 2 | 3) ;;
	*) fail "shvdump $*: status $status: $answer" ;;
	esac
	text=$(shorten <<<"${answer//"$work/"/}")
	printf '\n```text\n$ shvdump %s\n%s\n```\n' "$shown" "$text"
}

# right PATTERN WORDS: the answer must match.
right() { grep -qE -- "$1" <<<"$answer" || fail "$2; it was: $answer"; }

coproc SHOP { exec "$SHV_EXAMPLES_DIR/shop" --serve; }
shop=$SHOP_PID
exec {from}<&"${SHOP[0]}"
trap 'kill "$shop" 2>/dev/null || true; rm -rf "$work"' EXIT
read -r -t 60 word pid <&"$from" || fail 'the shop did not open'
[ "$word" = ready ] || fail 'the shop did not open'

cat <<END
# Six questions

Asked about a running program, [examples/shop.c](../examples/shop.c), and answered from outside by \`shvdump\`: nothing is stopped, no lock is
taken, and the program does not help. Made by [examples/questions.sh](../examples/questions.sh), which a test runs again; process numbers and figures
are of that run. The program's own process, and the TARGET, is $pid.

## 1. Who holds this lock?
END
run locks "$pid" --held -i 0.5 -o NAME,LOCK,STATE,HOLDER,WAITERS,HELDFOR,SINCE
right '^till +recursive +held +clerk\[[0-9]+\] ' 'the clerk holds the till'
cat <<'END'

The clerk. HELDFOR says for how long at the least: the lock was held in both looks, and its count did not change between them. The
arena keeps no times, so more cannot be known from one look; SINCE is the other end, for the holder's process attached then.

## 2. Which process leaks?
END
run watch "$pid" --once -i 1 -l 4
right 'leaker +alive' 'the leaker is listed'
leaker=$("$SHVDUMP" watch "$pid" --once -i 1 --json | python3 -c '
import json, sys
p = [x for x in json.load(sys.stdin)["processes"] if x["created"] > 0 and x["created"] > x["freed"]]
print(" ".join(x["command"] for x in p))')
[ "$leaker" = leaker ] || fail "it makes more than it frees: '$leaker'"
cat <<'END'

The leaker: it makes objects, second after second, and frees none, and the type `char` (its receipts are arrays of these) grows by as
many. What was left by those who are gone already is another matter:
END
run leaks "$pid"
right '^double value .* 3000 ' 'the notes of the visitor'
cat <<'END'

3,000 notes of a visitor who was killed; 20 of them have names by which others can find them.

## 3. What changed since the snapshot?
END
run save "$work/before.shv" "$pid"
right '^FILE +.*/before\.shv$' 'a snapshot was written'
# Until there is something new.
made() { "$SHVDUMP" values "$1" -N receipts -rno CONTENT; }
before=$(made "$work/before.shv")
for ((tries = 0; tries < 100000 && $(made "$pid") < before + 3; tries++)); do :; done
lines=9
run diff "$work/before.shv" "$pid"
lines=1000
right '^changed +0x[0-9a-f]+ +receipts +long +content +[0-9]+ +[0-9]+$' 'the number of receipts changed'
right '^created +0x[0-9a-f]+ +char\[\]' 'there are new receipts'
right '^double +0 +0 +0 +3001$' 'the notes are as they were'
cat <<'END'

The leaker's receipts, one `char[]` after the other, and how many he says there are; the stock, which the sellers change. Nothing was
freed. The snapshot is a file which every command takes as TARGET; saving it stopped nobody.
END
cat <<'END'

## 4. Why is memory not shrinking?
END
run map "$pid" --width 73
right '^! +orphaned +[1-9]' 'there are orphaned pages'
cat <<'END'

The pages marked `!` are orphaned: the process that owned them is gone, and live objects, the visitor's notes, keep them. They go back when
the last object on them is freed, by whomever. FILLED says how much of what processes and orphans have is in use: the rest is in
caches, which `shv_arena_trim()` gives back.

## 5. Is it sound?
END
run check "$pid"
right '^sound$' 'the arena is sound'
cat <<'END'

Exit status 0; with findings it would be 2.

## 6. Which lock is hot?
END
run locks "$pid" -i 1 -s -RATE -l 3 -o NAME,LOCK,RATE,STATE,WAITERS,HOLDER
[ "$(sed -n 2p <<<"$answer" | awk '{ print $1 }')" = stock ] || fail "stock is the hottest lock; it was: $answer"
printf '\nThat of `stock`: the count in its lock word advances each time it is taken, and RATE is the difference, a second.\n'

# Its children go with it.
kill "$shop"
wait "$shop" 2>/dev/null || true
