/*
 * fill.h: values that a statement of DDL writes into the rows that are there, and that each region would make for itself.
 */
#ifndef SD_DDL_FILL_H
#define SD_DDL_FILL_H

#include "nodes/nodes.h"

/*
 * Why this statement, which is about to run, would leave other rows in other regions, a sentence, and what to write instead; NULL if it
 * would not.  Locks the table for reading for as long as it looks.  A statement that is wrong in itself may fail here with
 * PostgreSQL's error, at its place in source.
 */
extern const char *sd_fill_reason(Node *stmt, const char *source, const char **hint);

#endif							/* SD_DDL_FILL_H */
