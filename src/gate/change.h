/*
 * change.h: the schema change of the current transaction, as the gate sees it.
 *
 * Backend only.  What the transaction did is kept by ddl/capture.h; this is the side that asks the coordinator.
 */
#ifndef SD_GATE_CHANGE_H
#define SD_GATE_CHANGE_H

#include "nodes/pg_list.h"

/*
 * Before PostgreSQL executes a coordinated statement, so before any lock on a user's object: takes the DDL lock and
 * gets the promise of a majority, once a transaction; the needs ("role:x", "extension:y", "collation:z") are looked
 * at for every statement.  Refuses by an error.
 */
extern void sd_change_begin(List *needs);

/* true between the first sd_change_begin() and the end of the transaction */
extern bool sd_change_active(void);

#endif							/* SD_GATE_CHANGE_H */
