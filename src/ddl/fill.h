/*
 * fill.h: values that a statement of DDL writes into the rows that are there, and that each region would make for itself.
 *
 * Where the time is frozen, a new column's default that follows the clock and nothing else is computed for the time given, by the same
 * code in each region; so the rows that are there get one value everywhere, and the column's default is what was written.
 */
#ifndef SD_DDL_FILL_H
#define SD_DDL_FILL_H

#include "datatype/timestamp.h"
#include "nodes/parsenodes.h"

/*
 * Why this statement, which is about to run, would leave other rows in other regions, a sentence, and what to write instead; NULL if it
 * would not.  Locks the table for reading for as long as it looks.  A statement that is wrong in itself may fail here with
 * PostgreSQL's error, at its place in source.  frozen_at: 0, the time is not frozen.
 */
extern const char *sd_fill_reason(Node *stmt, const char *source, TimestampTz frozen_at, const char **hint);

/* Which rows a table has. */
typedef enum SdHasRows
{
	SD_HAS_NONE,
	SD_HAS_PERHAPS,
	SD_HAS_SOME
} SdHasRows;

/*
 * The same of a statement that may run later, on a table as it will be called then.  Waits for no lock: whoever holds the table keeps it
 * from being looked at, and it may have rows.  relation: InvalidOid, it is yet to be made.  *rows: in, what will be written before; out, what
 * it will have.  *always: it is so without rows, too.
 */
extern const char *sd_fill_foreseen(Node *stmt, Oid relation, const char *shown, SdHasRows *rows, TimestampTz frozen_at, bool *always,
									const char **hint);

/* Would ALTER COLUMN ... TYPE ... USING give other values in other regions?  Waits for no lock.  InvalidOid: as in sd_fill_foreseen(). */
extern bool sd_fill_using_differs(Oid relation, ColumnDef *column);

/*
 * The same of a statement that only other regions run, as this one's table (relation) has what it makes.  NULL, too, where that has no rows.
 */
extern const char *sd_fill_elsewhere(Node *stmt, Oid relation, const char *shown, TimestampTz frozen_at, const char **hint);

/* The statement to run instead where the time is frozen: a changed copy, or the same one if there is nothing to freeze. */
extern Node *sd_fill_freeze(Node *stmt, const char *source, TimestampTz frozen_at);

/* Work during which statements find the time frozen: of an entry that says so, of a migration with that option.  0: they do not. */
extern void sd_fill_work_frozen(TimestampTz at, void (*work) (void *arg), void *arg);
extern TimestampTz sd_fill_frozen_at(void);

#endif							/* SD_DDL_FILL_H */
