/*
 * rows.h: the catalog rows that belong to an object: its columns, their defaults, its parents.
 *
 * Either found by the catalog's index, one object at a time, or, while everything is described, in an array that was read
 * in one pass: with ten thousand tables that is a third of the time.
 */
#ifndef SD_DDL_ROWS_H
#define SD_DDL_ROWS_H

#include "compat.h"

#include "access/htup.h"
#include "access/tupdesc.h"

/* In the order in which the catalog's index has them. */
typedef enum SdRowsOf
{
	SD_ROWS_RELATION,			/* pg_class, its only row; read first, because it says which others are needed */
	SD_ROWS_INDEX,				/* pg_index, its only row */
	SD_ROWS_COLUMN,				/* pg_attribute, without system columns, with dropped ones */
	SD_ROWS_DEFAULT,			/* pg_attrdef */
	SD_ROWS_PARENT,				/* pg_inherits */
	SD_ROWS_CONSTRAINT_TRIGGER, /* pg_trigger, of a constraint */
	SD_ROWS_TRIGGER				/* pg_trigger, of a relation */
} SdRowsOf;
#define SD_ROWS_KINDS	(SD_ROWS_TRIGGER + 1)

typedef struct SdRows
{
	HeapTuple  *tuple;
	int			n;
	TupleDesc	desc;
} SdRows;

/* To be read only; valid as long as the current memory context, or as what was preloaded. */
extern SdRows sd_rows_find(SdRowsOf kind, Oid object);

/* Of kinds with one row an object, which have a system cache: that row, or NULL.  Nothing is to be released. */
extern HeapTuple sd_rows_relation(Oid relation);
extern HeapTuple sd_rows_index(Oid index);

/*
 * Reads all rows of all user objects to the current memory context; it ends with that context.  Of TOAST tables only pg_class is
 * read, of their indexes nothing: no description needs more.
 */
extern void sd_rows_preload(void);

/* Name of a column, if it was preloaded; else NULL, which says nothing. */
extern const char *sd_rows_column_name(Oid relation, AttrNumber number);

#endif							/* SD_DDL_ROWS_H */
