/*
 * stored.h: constants that a statement of DDL writes into the schema: in defaults, constraints, views, indexes, policies, routines ...
 *
 * PostgreSQL reads a constant once, when the statement runs, as a value of its type, and keeps the value.  Some mean another value in
 * each region (moment.h, own_oid.h).
 */
#ifndef SD_DDL_STORED_H
#define SD_DDL_STORED_H

#include "nodes/parsenodes.h"

/* Is this, as written, such a constant, where it becomes a value of that type? */
typedef bool (*SdStoredTest) (Node *value, Oid type);

/* Is there one in a raw statement?  In a table's partition bounds as well; in the text of a routine in quotes not: that stays a text. */
extern bool sd_stored_any(Node *stmt, SdStoredTest test);

/* ... in a raw expression, which itself becomes a value of that type (InvalidOid: not known)? */
extern bool sd_stored_in_value(Node *expression, Oid type, SdStoredTest test);

/* The strings that a raw statement stores, without a type written beside them: of char *, which point into it. */
extern List *sd_stored_strings(Node *stmt);

extern List *sd_stored_strings_in(Node *expression);	/* ... a raw expression, or a query */

/* The type of a partition key's column, from 0; InvalidOid if it is an expression, or there is no such table. */
extern Oid	sd_stored_key_type(const RangeVar *parent, int i);

/* Could a value of this type hold one of those types: is it one, a domain over one, an array, a range or a row of them? */
extern bool sd_stored_holds(Oid type, bool (*is_one) (Oid type));

#endif							/* SD_DDL_STORED_H */
