/*
 * verify.h: this region's whole schema against its digests, now, in the backend that asks.
 */
#ifndef SD_FUNCTIONS_VERIFY_H
#define SD_FUNCTIONS_VERIFY_H

#include "compat.h"

#include "nodes/pg_list.h"

/*
 * All that is otherwise here than the log says, what was not known before included: a List of SdDriftRow (store/drift.h), in the
 * current memory context.  Waits for the DDL lock if something does not fit.  Errors: not in a group, a witness, above READ COMMITTED,
 * or in a transaction that changed the schema itself.
 */
extern List *sd_verify_now(void);

/* The same of a region of that name: if it is another one, by a call to it.  Errors also if it cannot be reached. */
extern List *sd_verify_region(const char *region);

/* "missing", "extra" or "changed" */
struct SdDriftRow;
extern const char *sd_verify_difference(const struct SdDriftRow *row);

#endif							/* SD_FUNCTIONS_VERIFY_H */
