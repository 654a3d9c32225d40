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
	[LCK_SINCE] = { "SINCE", 0, 0, TEXT, false, "held no longer than since then: the holder's process attached" },
	[LCK_RATE] = { "RATE", 0, RIGHT, NUMBER, false, "times a second that it was taken (wants --interval)" },
	[LCK_HELDFOR] = { "HELDFOR", 0, RIGHT, NUMBER, false, "seconds held at the least: in both looks (wants --interval)" },
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
	[PRC_OBJECTS] = { "OBJECTS", 0, RIGHT, NUMBER, false, "live objects that lie on its pages" },
	[PRC_OBJBYTES] = { "OBJBYTES", 0, RIGHT, NUMBER, false, "bytes of their blocks" },
	[PRC_MADE] = { "MADE", 0, RIGHT, NUMBER, false, "live objects that it made" },
	[PRC_MADEBYTES] = { "MADEBYTES", 0, RIGHT, NUMBER, false, "bytes of their blocks" },
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
	[TYP_TOTAL] = { "TOTAL", 0, RIGHT, NUMBER, false, "bytes of their blocks, headers and locks included" },
	[TYP_LEAKED] = { "LEAKED", 0, RIGHT, NUMBER, false, "of the objects: those whose creator is gone" },
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

static const struct column fields_table[] = {
	[FLD_NAME] = { "FIELD", 0.2, 0, TEXT, true, "of the object: name of a member, or [i] of an array" },
	[FLD_TYPE] = { "TYPE", 0.2, TRUNC, TEXT, true, "type of the member" },
	[FLD_OFFSET] = { "OFFSET", 0, RIGHT, NUMBER, true, "in bytes from the start of the payload" },
	[FLD_BYTES] = { "BYTES", 0, RIGHT, NUMBER, true, "bytes of the member" },
	[FLD_VALUE] = { "VALUE", 0.3, TRUNC, TEXT, true, "content" },
	[FLD_HEX] = { "HEX", 0.3, TRUNC, TEXT, true, "the first 16 bytes of it in hexadecimal" },
};
const struct columns fields_columns = TABLE(fields_table);

static const struct column runs_table[] = {
	[RUN_PAGE] = { "PAGE", 0, RIGHT, NUMBER, true, "number of the first page" },
	[RUN_PAGES] = { "PAGES", 0, RIGHT, NUMBER, true, "how many are alike" },
	[RUN_BYTES] = { "BYTES", 0, RIGHT, NUMBER, true, "the same in bytes" },
	[RUN_OFFSET] = { "OFFSET", 0, RIGHT, NUMBER, false, "of the first page, in bytes from the first page of the pool" },
	[RUN_STATE] = { "STATE", 0, 0, TEXT, true, "owned, orphaned, directory, system or free" },
	[RUN_SLOT] = { "SLOT", 0, RIGHT, NUMBER, false, "number of the owner in the process table" },
	[RUN_PID] = { "PID", 0, RIGHT, NUMBER, true, "process that owns them" },
	[RUN_COMMAND] = { "COMMAND", 0, 0, TEXT, true, "its command name" },
	[RUN_BLOCKS] = { "BLOCKS", 0, RIGHT, NUMBER, true, "orphaned: blocks that begin or end on each page" },
};
const struct columns runs_columns = TABLE(runs_table);

static const struct column holders_table[] = {
	[OWN_MARK] = { "MARK", 0, 0, TEXT, true, "character in the picture" },
	[OWN_OWNER] = { "OWNER", 0.2, 0, TEXT, true, "command of the process, or what the pages are used for" },
	[OWN_PID] = { "PID", 0, RIGHT, NUMBER, true, "process" },
	[OWN_ALIVE] = { "ALIVE", 0, 0, BOOLEAN, true, "whether it lives" },
	[OWN_PAGES] = { "PAGES", 0, RIGHT, NUMBER, true, "how many" },
	[OWN_MEM] = { "MEM", 0, RIGHT, NUMBER, true, "their bytes" },
	[OWN_SHARE] = { "SHARE", 0, RIGHT, NUMBER, true, "percent of all pages" },
};
const struct columns holders_columns = TABLE(holders_table);

static const struct column fragments_table[] = {
	[FRG_PAGES] = { "PAGES", 0, 0, NUMBER, true, "of the pool, up to its present end" },
	[FRG_USED] = { "USED", 0, 0, NUMBER, true, "of these: not free" },
	[FRG_FREE] = { "FREE", 0, 0, NUMBER, true, "of these: free" },
	[FRG_FREERUNS] = { "FREERUNS", 0, 0, NUMBER, true, "runs that the free ones form" },
	[FRG_LARGEST] = { "LARGEST", 0, 0, NUMBER, true, "pages of the longest free run" },
	[FRG_SCATTER] = { "SCATTER", 0, 0, NUMBER, true, "percent of the free pages that are outside the longest run" },
	[FRG_ORPHANED] = { "ORPHANED", 0, 0, NUMBER, true, "pages of processes that are gone, with live objects on them" },
	[FRG_ORPHANBLOCKS] = { "ORPHANBLOCKS", 0, 0, NUMBER, true, "ends of blocks on these, about: what keeps them" },
	[FRG_LIVE] = { "LIVE", 0, 0, NUMBER, true, "bytes of blocks with live objects" },
	[FRG_PAYLOAD] = { "PAYLOAD", 0, 0, NUMBER, true, "bytes of their payloads" },
	[FRG_FILLED] = { "FILLED", 0, 0, NUMBER, true, "percent of owned and orphaned pages that live blocks fill; caches are the rest" },
	[FRG_OVERHEAD] = { "OVERHEAD", 0, 0, NUMBER, true, "percent of the live blocks that is no payload: headers, locks, rounding, names" },
};
const struct columns fragments_columns = TABLE(fragments_table);

static const struct column leaks_table[] = {
	[LEA_TYPE] = { "TYPE", 0.2, TRUNC, TEXT, true, "type of the objects (of one item)" },
	[LEA_KIND] = { "KIND", 0, 0, TEXT, true, "value, raw, array, raw-array, string or lock" },
	[LEA_BYTES] = { "BLOCK", 0, RIGHT, NUMBER, true, "bytes of the block of each" },
	[LEA_OBJECTS] = { "OBJECTS", 0, RIGHT, NUMBER, true, "how many" },
	[LEA_TOTAL] = { "TOTAL", 0, RIGHT, NUMBER, true, "bytes of them together" },
	[LEA_NAMED] = { "NAMED", 0, RIGHT, NUMBER, true, "of these: published under a name, so they can be found" },
	[LEA_LOCKED] = { "ABANDONED", 0, RIGHT, NUMBER, true, "of these: left locked by somebody who is gone" },
	[LEA_EXAMPLE] = { "EXAMPLE", 0, RIGHT, TEXT, true, "reference of one of them, for show" },
};
const struct columns leaks_columns = TABLE(leaks_table);

static const struct column change_table[] = {
	[CHG_SECONDS] = { "SECONDS", 0, 0, NUMBER, true, "between the two samples" },
	[CHG_CREATED] = { "CREATED", 0, 0, NUMBER, true, "objects made a second, about" },
	[CHG_FREED] = { "FREED", 0, 0, NUMBER, true, "objects freed a second, about" },
	[CHG_ACQUIRED] = { "ACQUIRED", 0, 0, NUMBER, true, "locks taken a second (those that were there in both samples)" },
	[CHG_OBJECTS] = { "OBJECTS", 0, 0, NUMBER, true, "live objects" },
	[CHG_LIVE] = { "LIVE", 0, 0, NUMBER, true, "bytes of their blocks" },
	[CHG_RESIDENT] = { "RESIDENT", 0, 0, NUMBER, true, "memory that the memfd occupies" },
	[CHG_PAGES] = { "USEDPAGES", 0, 0, NUMBER, true, "pages that are not free" },
	[CHG_HELD] = { "HELD", 0, 0, NUMBER, true, "locks held" },
	[CHG_WAITED] = { "WAITED", 0, 0, NUMBER, true, "locks that somebody may be waiting for" },
	[CHG_ABANDONED] = { "ABANDONED", 0, 0, NUMBER, true, "locks whose holder is gone" },
	[CHG_PROCESSES] = { "PROCESSES", 0, 0, NUMBER, true, "attached and alive" },
	[CHG_DEAD] = { "DEAD", 0, 0, NUMBER, true, "dead and not yet recovered" },
	[CHG_OBJECTSGREW] = { "OBJECTSGREW", 0, 0, NUMBER, true, "live objects more than in the first sample" },
	[CHG_LIVEGREW] = { "LIVEGREW", 0, 0, NUMBER, true, "their bytes" },
	[CHG_RESIDENTGREW] = { "RESIDENTGREW", 0, 0, NUMBER, true, "memory more than in the first sample" },
};
const struct columns change_columns = TABLE(change_table);

static const struct column hot_table[] = {
	[HOT_REF] = { "REF", 0, RIGHT, TEXT, true, "reference of the lock object, or of the value whose lock it is" },
	[HOT_NAME] = { "NAME", 0.2, 0, TEXT, true, "its published name" },
	[HOT_LOCK] = { "LOCK", 0, 0, TEXT, true, "lock policy" },
	[HOT_STATE] = { "STATE", 0, 0, TEXT, true, "free, held, abandoned, condemned" },
	[HOT_WAITERS] = { "WAITERS", 0, 0, BOOLEAN, true, "somebody may be waiting" },
	[HOT_RATE] = { "RATE", 0, RIGHT, NUMBER, true, "times a second that it was taken" },
	[HOT_HELDFOR] = { "HELDFOR", 0, RIGHT, NUMBER, true, "seconds that it has been held at the least" },
	[HOT_HOLDER] = { "HOLDER", 0.2, 0, TEXT, true, "who holds, or held, it" },
};
const struct columns hot_columns = TABLE(hot_table);

static const struct column busy_table[] = {
	[BSY_PID] = { "PID", 0, RIGHT, NUMBER, true, "process, as it saw itself" },
	[BSY_COMMAND] = { "COMMAND", 0, 0, TEXT, true, "its command name" },
	[BSY_STATE] = { "STATE", 0, 0, TEXT, true, "alive, or dead and not yet recovered" },
	[BSY_LOCKS] = { "LOCKS", 0, RIGHT, NUMBER, true, "locks that it holds" },
	[BSY_MEM] = { "MEM", 0, RIGHT, NUMBER, true, "bytes of its pages" },
	[BSY_CREATED] = { "CREATED", 0, RIGHT, NUMBER, true, "objects that it made, a second" },
	[BSY_FREED] = { "FREED", 0, RIGHT, NUMBER, true, "objects that it freed, a second" },
	[BSY_MEMGREW] = { "MEMGREW", 0, RIGHT, NUMBER, true, "bytes of pages more than in the first sample" },
};
const struct columns busy_columns = TABLE(busy_table);

static const struct column growth_table[] = {
	[GRO_TYPE] = { "TYPE", 0.2, TRUNC, TEXT, true, "type of objects, or of their items" },
	[GRO_OBJECTS] = { "OBJECTS", 0, RIGHT, NUMBER, true, "live objects" },
	[GRO_TOTAL] = { "TOTAL", 0, RIGHT, NUMBER, true, "bytes of their blocks" },
	[GRO_OBJECTSGREW] = { "OBJECTSGREW", 0, RIGHT, NUMBER, true, "objects more than in the first sample" },
	[GRO_TOTALGREW] = { "TOTALGREW", 0, RIGHT, NUMBER, true, "bytes more" },
};
const struct columns growth_columns = TABLE(growth_table);

static const struct column metrics_table[] = {
	[MET_NAME] = { "NAME", 0, 0, TEXT, true, "of the sample" },
	[MET_TYPE] = { "TYPE", 0, 0, TEXT, true, "of its family" },
	[MET_UNIT] = { "UNIT", 0, 0, TEXT, true, "of its family" },
	[MET_LABELS] = { "LABELS", 0, 0, TEXT, true, "as in the text" },
	[MET_VALUE] = { "VALUE", 0, RIGHT, NUMBER, true, "its value" },
	[MET_HELP] = { "HELP", 0, 0, TEXT, true, "what it is" },
};
const struct columns metrics_columns = TABLE(metrics_table);

static const struct column written_table[] = {
	[WRT_FILE] = { "FILE", 0, 0, TEXT, true, "what was written" },
	[WRT_BYTES] = { "BYTES", 0, RIGHT, NUMBER, true, "how much" },
};
const struct columns written_columns = TABLE(written_table);

static const struct column save_table[] = {
	[SAV_FILE] = { "FILE", 0, 0, TEXT, true, "that was written" },
	[SAV_OBJECTS] = { "OBJECTS", 0, 0, NUMBER, true, "live objects in it" },
	[SAV_TORN] = { "TORN", 0, 0, NUMBER, true, "of these: their lock was held all the time" },
	[SAV_MISSED] = { "MISSED", 0, 0, NUMBER, true, "objects that were freed meanwhile, or are damaged" },
};
const struct columns save_columns = TABLE(save_table);

static const struct column restore_table[] = {
	[RES_TARGET] = { "TARGET", 0, 0, TEXT, true, "what to call the new arena" },
	[RES_NAME] = { "NAME", 0, 0, TEXT, true, "its name" },
	[RES_UUID] = { "UUID", 0, 0, TEXT, true, "its own" },
	[RES_OBJECTS] = { "OBJECTS", 0, 0, NUMBER, true, "live objects in it" },
};
const struct columns restore_columns = TABLE(restore_table);

static const struct column diff_table[] = {
	[DIF_CHANGE] = { "CHANGE", 0, 0, TEXT, true, "created, freed or changed" },
	[DIF_REF] = { "REF", 0, RIGHT, TEXT, true, "reference of the object" },
	[DIF_NAME] = { "NAME", 0.1, 0, TEXT, true, "its published name (the new one)" },
	[DIF_TYPE] = { "TYPE", 0.1, TRUNC, TEXT, true, "its type" },
	[DIF_FIELD] = { "FIELD", 0.1, 0, TEXT, true, "what changed: content, or a member or item of it; name, lock" },
	[DIF_OLD] = { "OLD", 0.3, TRUNC, TEXT, true, "what it was" },
	[DIF_NEW] = { "NEW", 0.3, TRUNC, TEXT, true, "what it is" },
};
const struct columns diff_columns = TABLE(diff_table);

static const struct column sum_table[] = {
	[SUM_TYPE] = { "TYPE", 0, 0, TEXT, true, "of the objects" },
	[SUM_CREATED] = { "CREATED", 0, RIGHT, NUMBER, true, "how many" },
	[SUM_FREED] = { "FREED", 0, RIGHT, NUMBER, true, "how many" },
	[SUM_CHANGED] = { "CHANGED", 0, RIGHT, NUMBER, true, "how many" },
	[SUM_SAME] = { "SAME", 0, RIGHT, NUMBER, true, "how many" },
};
const struct columns sum_columns = TABLE(sum_table);

static const struct column repair_table[] = {
	[REP_DEAD] = { "DEAD", 0, 0, NUMBER, true, "dead processes that were found" },
	[REP_RECOVERED] = { "RECOVERED", 0, 0, NUMBER, true, "of these: whose leavings are in order now" },
	[REP_PAGES] = { "PAGES", 0, 0, NUMBER, true, "pages that they owned" },
	[REP_HELD] = { "FREED", 0, 0, NUMBER, true, "slots that they had reserved or were freeing" },
};
const struct columns repair_columns = TABLE(repair_table);

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
