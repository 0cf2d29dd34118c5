/*
 * value.h: what the value of an expression follows, that each region would compute for itself.
 *
 * Expressions are cooked: parsed and analysed, not planned, but where it says so.
 */
#ifndef SD_DDL_VALUE_H
#define SD_DDL_VALUE_H

#include "datatype/timestamp.h"
#include "nodes/parsenodes.h"

/* Computed for the rows of a table by several regions: */
typedef enum SdValue
{
	SD_VALUE_EQUAL,
	SD_VALUE_MOMENT,			/* one value for all rows, another in each region */
	SD_VALUE_EACH				/* a value a row, another in each region */
} SdValue;

extern SdValue sd_value_of(Node *cooked);

/* Does a planned expression without volatile functions follow what is another in each region: the clock, the session, tables? */
extern bool sd_value_is_of_moment(Node *planned);

/* The same of a function that is called.  context: nothing, for the server's walkers. */
extern bool sd_value_function_is_of_moment(Oid function, void *context);

/* Is it computed once, and fails where a setting of the application is missing? */
extern bool sd_value_needs_setting(Node *cooked);

/* The expression, planned, with the clock stopped at that time; and its value then, as a string constant of the raw grammar. */
extern Node *sd_value_frozen(Node *cooked, TimestampTz at);
extern Node *sd_value_constant(Node *cooked, TimestampTz at);

#endif							/* SD_DDL_VALUE_H */
