/*
 * history.h: rows of migration tools' histories, written beside or without schema changes.
 *
 * A transaction that writes such a row is a change of the group, like one with DDL: it asks before the first row is written, and its
 * entry has the rows.  Rows of other tables stay where they are.
 */
#ifndef SD_GATE_HISTORY_H
#define SD_GATE_HISTORY_H

#include "compat.h"

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

/* Was nothing noted?  Each transaction of each session asks. */
extern bool sd_history_noted;

/* A statement is about to write to this table; not within texts that all regions run. */
extern void sd_history_before_write(Oid relation);
extern void sd_history_before_truncate(const TruncateStmt *stmt);

/* At the end: what the entry has of it (list of SdHistoryRows); what was written outside of the log is put down as a decision. */
extern List *sd_history_rows(void);

/* An entry is made: say which other rows stay here, if any were written. */
extern void sd_history_tell_others(void);

#endif							/* SD_GATE_HISTORY_H */
