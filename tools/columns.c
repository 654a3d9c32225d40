/* SPDX-License-Identifier: MIT */
/* The columns of all tables, and choosing among them; see columns.h. */
#include "config.h"

#include "tools/columns.h"

#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RIGHT SCOLS_FL_RIGHT
#define TRUNC SCOLS_FL_TRUNC
#define TEXT SCOLS_JSON_STRING
#define NUMBER SCOLS_JSON_NUMBER
#define BOOLEAN SCOLS_JSON_BOOLEAN
#define NUMBERS SCOLS_JSON_ARRAY_NUMBER
#define TABLE(v) { (v), sizeof(v) / sizeof((v)[0]) }

static const struct column values_table[] = {
	[VAL_REF] = { "REF", 0, RIGHT, TEXT, true, "reference: the object's number, the same in every process" },
	[VAL_NAME] = { "NAME", 0.1, 0, TEXT, true, "published name" },
	[VAL_KIND] = { "KIND", 0, 0, TEXT, true, "value, raw, array, raw-array, string or lock" },
	[VAL_TYPE] = { "TYPE", 0.1, TRUNC, TEXT, true, "C name of the type (of one item), or its format" },
	[VAL_FORMAT] = { "FORMAT", 0.1, TRUNC, TEXT, false, "format of the type, as PEP 3118 writes it" },
	[VAL_LEN] = { "LEN", 0, RIGHT, NUMBER, false, "items" },
	[VAL_BYTES] = { "BYTES", 0, RIGHT, NUMBER, false, "bytes of the payload" },
	[VAL_BLOCK] = { "BLOCK", 0, RIGHT, NUMBER, false, "bytes of the block, header and lock included" },
	[VAL_OFFSET] = { "OFFSET", 0, RIGHT, NUMBER, false, "of the payload, from the start of the arena" },
	[VAL_CONTENT] = { "CONTENT", 0.3, TRUNC, TEXT, true, "content as text; long ones are cut and end in ..." },
	[VAL_HEX] = { "HEX", 0.3, TRUNC, TEXT, false, "first 64 bytes of the content in hexadecimal" },
	[VAL_LOCK] = { "LOCK", 0, 0, TEXT, true, "lock policy" },
	[VAL_LOCKREF] = { "LOCKREF", 0, RIGHT, TEXT, false, "reference of the lock object that it shares" },
	[VAL_STATE] = { "STATE", 0, 0, TEXT, true, "of its lock: free, held, abandoned (holder gone), condemned" },
	[VAL_WAITERS] = { "WAITERS", 0, 0, BOOLEAN, false, "somebody may be waiting for its lock" },
	[VAL_SEQ] = { "SEQ", 0, RIGHT, NUMBER, false, "grows each time its lock is taken; only differences count" },
	[VAL_HOLDER] = { "HOLDER", 0.1, 0, TEXT, true, "who holds, or held, its lock: command[pid/tid]" },
	[VAL_HPID] = { "HPID", 0, RIGHT, NUMBER, false, "process of the holder, as it saw itself" },
	[VAL_HTID] = { "HTID", 0, RIGHT, NUMBER, false, "thread of the holder" },
	[VAL_HCOMMAND] = { "HCOMMAND", 0, 0, TEXT, false, "command of the holder" },
	[VAL_OWNER] = { "OWNER", 0, RIGHT, NUMBER, true, "process whose memory it lies in; nothing: it is gone" },
	[VAL_CREATOR] = { "CREATOR", 0, RIGHT, NUMBER, false, "process that made it; nothing: gone" },
	[VAL_ALIVE] = { "ALIVE", 0, 0, BOOLEAN, false, "whether the process that made it lives" },
};
const struct columns values_columns = TABLE(values_table);

static const struct column locks_table[] = {
	[LCK_REF] = { "REF", 0, RIGHT, TEXT, true, "reference of the lock object, or of the value whose lock it is" },
	[LCK_NAME] = { "NAME", 0.1, 0, TEXT, true, "its published name" },
	[LCK_OBJECT] = { "OBJECT", 0, 0, BOOLEAN, false, "a lock object, not a value's own lock" },
	[LCK_LOCK] = { "LOCK", 0, 0, TEXT, true, "lock policy" },
	[LCK_STATE] = { "STATE", 0, 0, TEXT, true, "free, held, abandoned (holder gone), condemned (freed, in use)" },
	[LCK_DEPTH] = { "DEPTH", 0, RIGHT, NUMBER, true, "how many times its holder holds it" },
	[LCK_WAITERS] = { "WAITERS", 0, 0, BOOLEAN, true, "somebody may be waiting" },
	[LCK_SEQ] = { "SEQ", 0, RIGHT, NUMBER, false, "grows each time it is taken; only differences count" },
	[LCK_HOLDER] = { "HOLDER", 0.2, 0, TEXT, true, "who holds, or held, it: command[pid/tid]" },
	[LCK_HPID] = { "HPID", 0, RIGHT, NUMBER, false, "process of the holder, as it saw itself" },
	[LCK_HTID] = { "HTID", 0, RIGHT, NUMBER, false, "thread of the holder" },
	[LCK_HCOMMAND] = { "HCOMMAND", 0, 0, TEXT, false, "command of the holder" },
	[LCK_HALIVE] = { "HALIVE", 0, 0, BOOLEAN, false, "whether the holder's process lives" },
};
const struct columns locks_columns = TABLE(locks_table);

static const struct column procs_table[] = {
	[PRC_SLOT] = { "SLOT", 0, RIGHT, NUMBER, false, "number in the arena's process table" },
	[PRC_GENERATION] = { "GENERATION", 0, RIGHT, NUMBER, false, "how many processes have had that number" },
	[PRC_PID] = { "PID", 0, RIGHT, NUMBER, true, "process, as it saw itself in its pid namespace" },
	[PRC_COMMAND] = { "COMMAND", 0, 0, TEXT, true, "its command name" },
	[PRC_STATE] = { "STATE", 0, 0, TEXT, true, "alive, or dead and not yet recovered" },
	[PRC_THREADS] = { "THREADS", 0, RIGHT, NUMBER, true, "its threads that have used the arena" },
	[PRC_LOCKS] = { "LOCKS", 0, RIGHT, NUMBER, true, "locks that its threads hold" },
	[PRC_PAGES] = { "PAGES", 0, RIGHT, NUMBER, false, "pages that it owns" },
	[PRC_MEM] = { "MEM", 0, RIGHT, NUMBER, true, "the same in bytes" },
	[PRC_CREATED] = { "CREATED", 0, RIGHT, NUMBER, true, "objects that it made, about" },
	[PRC_FREED] = { "FREED", 0, RIGHT, NUMBER, true, "objects that it freed, about" },
	[PRC_ATTACHED] = { "ATTACHED", 0, 0, TEXT, true, "since when" },
	[PRC_START] = { "START", 0, RIGHT, NUMBER, false, "start time of the process, clock ticks since boot" },
	[PRC_NAMESPACE] = { "NAMESPACE", 0, RIGHT, NUMBER, false, "inode number of its pid namespace" },
};
const struct columns procs_columns = TABLE(procs_table);

static const struct column types_table[] = {
	[TYP_ID] = { "ID", 0, RIGHT, NUMBER, true, "number of the type in this arena" },
	[TYP_NAME] = { "NAME", 0.2, TRUNC, TEXT, true, "C name, or the name it was given, or its format" },
	[TYP_FORMAT] = { "FORMAT", 0.4, TRUNC, TEXT, true, "as PEP 3118 writes it" },
	[TYP_BYTES] = { "BYTES", 0, RIGHT, NUMBER, true, "of one item" },
	[TYP_ALIGN] = { "ALIGN", 0, RIGHT, NUMBER, true, "alignment in bytes" },
	[TYP_OBJECTS] = { "OBJECTS", 0, RIGHT, NUMBER, true, "live objects of that type, or arrays of it" },
	[TYP_PAYLOAD] = { "PAYLOAD", 0, RIGHT, NUMBER, true, "bytes of their payloads" },
};
const struct columns types_columns = TABLE(types_table);

static const struct column list_table[] = {
	[LST_NAME] = { "NAME", 0, 0, TEXT, true, "name of the arena" },
	[LST_TARGET] = { "TARGET", 0, 0, TEXT, true, "what to call it: TARGET for the other commands" },
	[LST_MEMBERS] = { "MEMBERS", 0.2, 0, NUMBERS, true, "attached processes that live, as they saw themselves" },
	[LST_HOLDERS] = { "HOLDERS", 0.2, 0, NUMBERS, true, "processes that have a descriptor of it" },
	[LST_CAPACITY] = { "CAPACITY", 0, RIGHT, NUMBER, false, "bytes of address space" },
	[LST_FILE] = { "FILE", 0, RIGHT, NUMBER, true, "bytes of the memfd, holes included" },
	[LST_RESIDENT] = { "RESIDENT", 0, RIGHT, NUMBER, true, "memory that it occupies" },
	[LST_LIVE] = { "LIVE", 0, RIGHT, NUMBER, false, "bytes of live objects" },
	[LST_OBJECTS] = { "OBJECTS", 0, RIGHT, NUMBER, true, "live objects" },
	[LST_UUID] = { "UUID", 0, 0, TEXT, true, "made when it was created" },
	[LST_PROBLEM] = { "PROBLEM", 0, 0, TEXT, false, "why it could not be looked at" },
};
const struct columns list_columns = TABLE(list_table);

static const struct column totals_table[] = {
	[TOT_NAME] = { "NAME", 0, 0, TEXT, true, "of the arena" },
	[TOT_UUID] = { "UUID", 0, 0, TEXT, true, "made when it was created" },
	[TOT_FORMAT] = { "FORMAT", 0, 0, NUMBER, true, "version of the memory format" },
	[TOT_CREATED] = { "CREATED", 0, 0, TEXT, true, "when" },
	[TOT_CAPACITY] = { "CAPACITY", 0, 0, NUMBER, true, "bytes of address space" },
	[TOT_FILE] = { "FILE", 0, 0, NUMBER, true, "bytes of the memfd, holes included" },
	[TOT_RESIDENT] = { "RESIDENT", 0, 0, NUMBER, true, "memory that the memfd occupies" },
	[TOT_LIVE] = { "LIVE", 0, 0, NUMBER, true, "bytes of blocks with live objects" },
	[TOT_PAYLOAD] = { "PAYLOAD", 0, 0, NUMBER, true, "bytes of their payloads" },
	[TOT_OBJECTS] = { "OBJECTS", 0, 0, NUMBER, true, "live objects" },
	[TOT_VALUES] = { "VALUES", 0, 0, NUMBER, true, "of these: single values" },
	[TOT_RAWS] = { "RAWS", 0, 0, NUMBER, true, "raw values and raw arrays" },
	[TOT_ARRAYS] = { "ARRAYS", 0, 0, NUMBER, true, "arrays" },
	[TOT_STRINGS] = { "STRINGS", 0, 0, NUMBER, true, "strings" },
	[TOT_LOCKS] = { "LOCKS", 0, 0, NUMBER, true, "lock objects" },
	[TOT_PARTS] = { "PARTS", 0, 0, NUMBER, true, "texts and names, which belong to objects" },
	[TOT_NAMES] = { "NAMES", 0, 0, NUMBER, true, "published names" },
	[TOT_SLOTS] = { "SLOTS", 0, 0, NUMBER, true, "of the directory" },
	[TOT_HELD] = { "HELD", 0, 0, NUMBER, true, "of these: reserved in caches, or under construction" },
	[TOT_GOING] = { "GOING", 0, 0, NUMBER, true, "of these: withdrawn, on their way to their owner" },
	[TOT_PROCESSES] = { "PROCESSES", 0, 0, NUMBER, true, "attached and alive" },
	[TOT_DEAD] = { "DEAD", 0, 0, NUMBER, true, "processes that died and are not yet recovered" },
	[TOT_LIMIT] = { "LIMIT", 0, 0, NUMBER, true, "processes that can be attached at one time" },
	[TOT_THREADS] = { "THREADS", 0, 0, NUMBER, true, "registered" },
};
const struct columns totals_columns = TABLE(totals_table);

static const struct column policies_table[] = {
	[POL_LOCK] = { "LOCK", 0, 0, TEXT, true, "lock policy" },
	[POL_VALUES] = { "VALUES", 0, RIGHT, NUMBER, true, "values, arrays and strings that have it" },
};
const struct columns policies_columns = TABLE(policies_table);

static const struct column pages_table[] = {
	[PAG_STATE] = { "PAGES", 0, 0, TEXT, true, "what they are used for" },
	[PAG_PAGES] = { "COUNT", 0, RIGHT, NUMBER, true, "how many" },
	[PAG_BYTES] = { "BYTES", 0, RIGHT, NUMBER, true, "their bytes" },
};
const struct columns pages_columns = TABLE(pages_table);

static const struct column findings_table[] = {
	[FND_FINDING] = { "FINDING", 0, 0, TEXT, true, "what is wrong" },
};
const struct columns findings_columns = TABLE(findings_table);

/* ---- choosing -------------------------------------------------------------------------------------------- */

int columns_find(const struct columns *of, const char *word, size_t len)
{
	for (size_t i = 0; i < of->n; i++)
		if (strlen(of->v[i].name) == len && !strncasecmp(of->v[i].name, word, len))
			return (int)i;
	return -1;
}

bool columns_selected(const struct selection *s, int id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->id[i] == id)
			return true;
	return false;
}

static void select_usual(struct selection *s, bool all)
{
	for (size_t i = 0; i < s->of->n && s->n < COLUMNS_MAX; i++)
		if (all || s->of->v[i].shown)
			s->id[s->n++] = (int)i;
}

static int select_word(struct selection *s, const char *word, size_t len)
{
	int id = columns_find(s->of, word, len);

	if (id < 0) {
		fprintf(stderr, "shvdump: there is no column '%.*s' here: see --help of the command\n", (int)len, word);
		return -1;
	}
	if (s->n == COLUMNS_MAX) {
		fprintf(stderr, "shvdump: more than %d columns\n", COLUMNS_MAX);
		return -1;
	}
	s->id[s->n++] = id;
	return 0;
}

int columns_select(struct selection *s, const struct columns *of, const char *list, bool all)
{
	s->of = of;
	s->n = 0;
	if (!list || all || *list == '+')
		select_usual(s, all);
	if (!list || all)
		return 0;
	if (*list == '+')
		list++;
	for (;;) {
		size_t len = strcspn(list, ",");

		if (select_word(s, list, len))
			return -1;
		if (!list[len])
			return 0;
		list += len + 1;
	}
}

void columns_help(const struct columns *of)
{
	printf("\nColumns (* = unless -o chooses others):\n");
	for (size_t i = 0; i < of->n; i++)
		printf(" %c %-11s %s\n", of->v[i].shown ? '*' : ' ', of->v[i].name, of->v[i].help);
}
