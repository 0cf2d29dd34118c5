/*
 * history_rows.h: rows of a tool's history, as text by column name, that every region can write.
 *
 * In an entry's payload they are the members "rows" (written beside the schema change by whoever made it) and "undo_rows" (what
 * a revert takes back of its target's rows), each a list of
 *
 *	{"schema": "public", "table": "schema_migrations", "run_as": {...}, "columns": ["version", "at"], "key": ["version"],
 *	 "delete": [["1", null]], "insert": [["2", "2030-01-31 18:00:00+00"]]}
 *
 * with "whole": true where the table is emptied first.  key: empty where no columns say which row is which.
 */
#ifndef SD_DDL_HISTORY_ROWS_H
#define SD_DDL_HISTORY_ROWS_H

#include "compat.h"

#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

#include "ddl/capture.h"
#include "ddl/digest.h"
#include "ddl/script.h"

#define SD_ROWS_KEY			"rows"
#define SD_UNDO_ROWS_KEY	"undo_rows"

/* What became of one table. */
typedef struct SdHistoryRows
{
	char	   *schema;
	char	   *table;
	SdRunAs    *run_as;			/* who wrote them first, with the search_path only */
	List	   *columns;		/* of char *, without generated ones */
	List	   *key;			/* of char *, of these columns */
	bool		whole;			/* all rows that were there before are gone */
	List	   *deleted;		/* of char **, in the order of columns; NULL for null */
	List	   *inserted;
} SdHistoryRows;

/* A table that this transaction has written to. */
typedef struct SdHistoryNote
{
	Oid			relation;		/* of a partition its root */
	bool		truncated;
	bool		outside;		/* mode off or observe */
	SdRunAs    *run_as;
} SdHistoryNote;

/*
 * What is written from here on is done by a text that every region runs by itself, until sd_history_text_end(); so it is not
 * collected.  Scripts and statements of DDL.
 */
extern CommandId sd_history_text_begin(void);
extern void sd_history_text_end(CommandId from);

/* At the end of the transaction: what is otherwise in these tables (of SdHistoryNote) than before it; list of SdHistoryRows. */
extern List *sd_history_collect(List *notes);

extern char *sd_history_to_json(List *rows);
extern List *sd_history_from_json(Jsonb *json);	/* NULL: NIL */

/* What takes them back, in this order; *lost: the name of a table whose rows before are not known. */
extern List *sd_history_inverse(List *rows, const char **lost);

/* Without tables that are not there. */
extern List *sd_history_existing(List *rows);

/*
 * Write them here, as who wrote them, exactly once: what is there already stays, what is otherwise under the same key is
 * replaced.  No trigger, rule or row policy of the table takes part.  Sequences of its columns are moved on.
 */
extern void sd_history_write(List *rows, SdExecuting as);

/* All rows of a table, whatever their order. */
extern SdDigest sd_history_digest(Oid relation);

/* ---- for history_write.c ---- */

/* Settings under which values are written and read; ended by AtEOXact_GUC(). */
extern int	sd_history_pin(void);

/* An image in the order of columns (attribute numbers). */
extern char **sd_history_image(TupleDesc desc, List *numbers, const Datum *values, const bool *nulls);

/* Some columns of an image (indexes) as one string that no other combination has. */
extern char *sd_history_joined(char *const *image, List *indexes);

#endif							/* SD_DDL_HISTORY_ROWS_H */
