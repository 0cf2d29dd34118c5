/*
 * properties.h: canonical definitions (describe.h) taken apart again, and what differs between two of one object.
 *
 * Works on text alone: no catalog, no lock.  Everything is allocated in the current memory context.  Text that is no definition
 * does no harm: what cannot be taken apart is one property.
 */
#ifndef SD_DDL_PROPERTIES_H
#define SD_DDL_PROPERTIES_H

#include "compat.h"

#include "nodes/pg_list.h"

/* A line "name: value", the value without its escapes. */
typedef struct SdProperty
{
	char	   *name;
	char	   *value;
} SdProperty;

/* One difference, in words that a DBA reads: "owner", "column x: type", "column order". */
typedef struct SdPropertyDifference
{
	char	   *property;
	char	   *a;				/* NULL: a has no such property */
	char	   *b;
} SdPropertyDifference;

/*
 * List of SdPropertyDifference, in the order of a's lines; columns are compared by name, lines of one name (labels, arguments)
 * together.  Either being NULL, the object is missing there as a whole: NIL.
 */
extern List *sd_properties_differ(const char *a, const char *b);

/* "owner, column x: type", for a message or a view; at most so many, then "and 3 more".  NULL for NIL. */
extern char *sd_properties_names(List *differences, int most);

/* A value on one line of a terminal: from a little before the place where it differs from the other one, which may be NULL. */
extern char *sd_property_shown(const char *value, const char *other);

/* List of SdProperty. */
extern List *sd_properties_parse(const char *definition);
extern char *sd_properties_get(List *properties, const char *name);	/* the first of that name; NULL: none */
extern List *sd_properties_all(List *properties, const char *name);	/* List of char * */

/* What the line of a column can say after its name, in the order in which it does. */
typedef enum SdColumnPart
{
	SD_COLUMN_TYPE, SD_COLUMN_COLLATION, SD_COLUMN_NOT_NULL, SD_COLUMN_IDENTITY, SD_COLUMN_GENERATED, SD_COLUMN_STORAGE,
	SD_COLUMN_COMPRESSION, SD_COLUMN_STATISTICS, SD_COLUMN_LOCAL, SD_COLUMN_OPTIONS, SD_COLUMN_FDW_OPTIONS,
	SD_COLUMN_DEFAULT, SD_COLUMN_PARTS
} SdColumnPart;

typedef struct SdColumnText
{
	char	   *identifier;		/* quoted where necessary */
	char	   *line;
	char	   *part[SD_COLUMN_PARTS];	/* NULL: not said */
} SdColumnText;

extern SdColumnText *sd_column_parse(const char *line);

/* List of SdColumnText: of a table's properties "column", or a composite type's "attribute". */
extern List *sd_columns_parse(List *properties, const char *name);
extern SdColumnText *sd_columns_find(List *columns, const char *identifier);	/* NULL: none */

#endif							/* SD_DDL_PROPERTIES_H */
