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

/*
 * The same of a statement that is not run now, by analysing its expressions, on relations as the catalogs have them.  *unknown: it has such a
 * string, and of what type that will be cannot be told; may be NULL.  Waits for nobody.
 */
extern const char *sd_kept_reason_later(Node *stmt, bool *unknown, const char **hint);

/* For kept_later.c: such a constant in expressions, as nodeToString() writes them; is this such a string? */
extern const char *sd_kept_reason_in(const SdKept *kept, const char *tree, const char **hint);
extern bool sd_kept_is_word(const char *text);

#endif							/* SD_DDL_KEPT_H */
