/* SPDX-License-Identifier: MIT */
/*
 * Columns: what each table can show. One entry decides the heading, the JSON key (the heading in lower case),
 * how wide and where the column stands, what --help says of it, and the type of its JSON values. The order of
 * an entry is its number in the enum.
 */
#ifndef SHV_TOOLS_COLUMNS_H
#define SHV_TOOLS_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

struct column {
	const char *name;
	double width_hint;        /* as scols_table_new_column() takes it */
	int flags;                /* SCOLS_FL_... */
	int json;                 /* SCOLS_JSON_... */
	bool shown;               /* unless -o says otherwise */
	const char *help;
};

struct columns {
	const struct column *v;
	size_t n;
};

#define COLUMNS_MAX 40

enum values_column {
	VAL_REF, VAL_NAME, VAL_KIND, VAL_TYPE, VAL_FORMAT, VAL_LEN, VAL_BYTES, VAL_BLOCK, VAL_OFFSET,
	VAL_CONTENT, VAL_HEX, VAL_LOCK, VAL_LOCKREF, VAL_STATE, VAL_WAITERS, VAL_SEQ, VAL_HOLDER, VAL_HPID,
	VAL_HTID, VAL_HCOMMAND, VAL_OWNER, VAL_CREATOR, VAL_ALIVE
};
enum locks_column {
	LCK_REF, LCK_NAME, LCK_OBJECT, LCK_LOCK, LCK_STATE, LCK_DEPTH, LCK_WAITERS, LCK_SEQ, LCK_HOLDER,
	LCK_HPID, LCK_HTID, LCK_HCOMMAND, LCK_HALIVE, LCK_SINCE, LCK_RATE, LCK_HELDFOR
};
enum procs_column {
	PRC_SLOT, PRC_GENERATION, PRC_PID, PRC_COMMAND, PRC_STATE, PRC_THREADS, PRC_LOCKS, PRC_PAGES,
	PRC_MEM, PRC_CREATED, PRC_FREED, PRC_ATTACHED, PRC_START, PRC_NAMESPACE, PRC_OBJECTS, PRC_OBJBYTES,
	PRC_MADE, PRC_MADEBYTES
};
enum types_column {
	TYP_ID, TYP_NAME, TYP_FORMAT, TYP_BYTES, TYP_ALIGN, TYP_OBJECTS, TYP_PAYLOAD, TYP_TOTAL, TYP_LEAKED
};
enum list_column {
	LST_NAME, LST_TARGET, LST_MEMBERS, LST_HOLDERS, LST_CAPACITY, LST_FILE, LST_RESIDENT, LST_LIVE,
	LST_OBJECTS, LST_UUID, LST_PROBLEM
};
enum totals_column {
	TOT_NAME, TOT_UUID, TOT_FORMAT, TOT_CREATED, TOT_CAPACITY, TOT_FILE, TOT_RESIDENT, TOT_LIVE,
	TOT_PAYLOAD, TOT_OBJECTS, TOT_VALUES, TOT_RAWS, TOT_ARRAYS, TOT_STRINGS, TOT_LOCKS, TOT_PARTS,
	TOT_NAMES, TOT_SLOTS, TOT_HELD, TOT_GOING, TOT_PROCESSES, TOT_DEAD, TOT_LIMIT, TOT_THREADS
};
enum policies_column { POL_LOCK, POL_VALUES };
enum pages_column { PAG_STATE, PAG_PAGES, PAG_BYTES };
enum findings_column { FND_FINDING };
enum fields_column { FLD_NAME, FLD_TYPE, FLD_OFFSET, FLD_BYTES, FLD_VALUE, FLD_HEX };
enum runs_column { RUN_PAGE, RUN_PAGES, RUN_BYTES, RUN_OFFSET, RUN_STATE, RUN_SLOT, RUN_PID, RUN_COMMAND, RUN_BLOCKS };
enum holders_column { OWN_MARK, OWN_OWNER, OWN_PID, OWN_ALIVE, OWN_PAGES, OWN_MEM, OWN_SHARE };
enum fragments_column {
	FRG_PAGES, FRG_USED, FRG_FREE, FRG_FREERUNS, FRG_LARGEST, FRG_SCATTER, FRG_ORPHANED, FRG_ORPHANBLOCKS, FRG_LIVE,
	FRG_PAYLOAD, FRG_FILLED, FRG_OVERHEAD
};
enum leaks_column { LEA_TYPE, LEA_KIND, LEA_BYTES, LEA_OBJECTS, LEA_TOTAL, LEA_NAMED, LEA_LOCKED, LEA_EXAMPLE };
enum change_column {
	CHG_SECONDS, CHG_CREATED, CHG_FREED, CHG_ACQUIRED, CHG_OBJECTS, CHG_LIVE, CHG_RESIDENT, CHG_PAGES, CHG_HELD,
	CHG_WAITED, CHG_ABANDONED, CHG_PROCESSES, CHG_DEAD, CHG_OBJECTSGREW, CHG_LIVEGREW, CHG_RESIDENTGREW
};
enum hot_column { HOT_REF, HOT_NAME, HOT_LOCK, HOT_STATE, HOT_WAITERS, HOT_RATE, HOT_HELDFOR, HOT_HOLDER };
enum busy_column { BSY_PID, BSY_COMMAND, BSY_STATE, BSY_LOCKS, BSY_MEM, BSY_CREATED, BSY_FREED, BSY_MEMGREW };
enum growth_column { GRO_TYPE, GRO_OBJECTS, GRO_TOTAL, GRO_OBJECTSGREW, GRO_TOTALGREW };
enum metrics_column { MET_NAME, MET_TYPE, MET_UNIT, MET_LABELS, MET_VALUE, MET_HELP };
enum written_column { WRT_FILE, WRT_BYTES };
enum save_column { SAV_FILE, SAV_OBJECTS, SAV_TORN, SAV_MISSED };
enum restore_column { RES_TARGET, RES_NAME, RES_UUID, RES_OBJECTS };
enum diff_column { DIF_CHANGE, DIF_REF, DIF_NAME, DIF_TYPE, DIF_FIELD, DIF_OLD, DIF_NEW };
enum sum_column { SUM_TYPE, SUM_CREATED, SUM_FREED, SUM_CHANGED, SUM_SAME };
enum repair_column { REP_DEAD, REP_RECOVERED, REP_PAGES, REP_HELD };

extern const struct columns values_columns, locks_columns, procs_columns, types_columns, list_columns;
extern const struct columns totals_columns, policies_columns, pages_columns; /* overview */
extern const struct columns findings_columns; /* check */
extern const struct columns fields_columns; /* show */
extern const struct columns runs_columns, holders_columns, fragments_columns; /* map */
extern const struct columns leaks_columns;
extern const struct columns change_columns, hot_columns, busy_columns, growth_columns; /* watch */
extern const struct columns metrics_columns, written_columns; /* metrics, report */
extern const struct columns save_columns, restore_columns;
extern const struct columns diff_columns, sum_columns; /* diff */
extern const struct columns repair_columns; /* check --repair */

struct selection {
	const struct columns *of;
	int id[COLUMNS_MAX];
	size_t n;
};

/*
 * Which columns a table gets. list: what -o said ("A,B", or "+A,B" besides the usual ones), NULL for the usual
 * ones. all: every one. 0, or -1 with the reason printed.
 */
int columns_select(struct selection *s, const struct columns *of, const char *list, bool all);
/* The number of the column that a word (len bytes) names, in whatever case; -1: none. */
int columns_find(const struct columns *of, const char *word, size_t len);
bool columns_selected(const struct selection *s, int id);
/* For --help: one line for each. */
void columns_help(const struct columns *of);

#endif /* SHV_TOOLS_COLUMNS_H */
