/*
 * kept.h: constants that a statement of DDL wrote into the schema, whose type nothing but their place in it says (c > 'now').
 *
 * What has its type written beside it is known before the statement runs (stored.h).
 */
#ifndef SD_DDL_KEPT_H
#define SD_DDL_KEPT_H

#include "nodes/parsenodes.h"

typedef struct SdKept SdKept;

/*
 * Before a statement runs, as it was written: has it a string that could become a constant which would be another one in each
 * region?  NULL: it has none, and there is nothing to look for afterwards.  In the current memory context.
 */
extern SdKept *sd_kept_before(Node *stmt);

/*
 * After it, in the same transaction, and if its rows are there still: has one become such a constant?  Why it cannot be the same everywhere, a
 * sentence, and what to write instead; NULL if it can.  kept may be NULL.
 */
extern const char *sd_kept_reason(const SdKept *kept, const char **hint);

/* The same of an index, or the CHECKs of an ALTER TABLE, that are not made now.  Waits for who holds the table exclusively. */
extern const char *sd_kept_reason_later(Node *stmt, Oid table, const char **hint);

#endif							/* SD_DDL_KEPT_H */
