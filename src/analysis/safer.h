/*
 * safer.h: what to run instead of a statement, as text to paste.
 */
#ifndef SD_ANALYSIS_SAFER_H
#define SD_ANALYSIS_SAFER_H

#include "compat.h"

#include "analysis/form.h"

/* What stands before it holds a strong lock until its commit. */
#define SD_SAFER_APART "-- in another migration, because the lock of the one before lasts until its commit:"

/*
 * The statements that the form found, with the real names; before a column is added to a published table those that narrow its
 * publications; or else the rule's own, with names to be filled in.  NULL: there are none.
 */
extern char *sd_safer(const SdForm *form, const SdMatch *match, const SdRule *rule);

#endif							/* SD_ANALYSIS_SAFER_H */
