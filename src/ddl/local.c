/*
 * local.c: objects that the group's policy calls local: never gated, never in the digest.
 *
 * Runs anywhere; no locking.  The patterns come from the log, so they are the same in every region.
 */
#include "compat.h"

#include "ddl/local.h"
#include "store/policy.h"

bool
sd_local_matches(List *patterns, const char *schema, const char *name)
{
	char	   *full;
	bool		found = false;
	ListCell   *cell;

	if (patterns == NIL)
		return false;
	full = psprintf("%s.%s", schema, name);
	foreach(cell, patterns)
		found = found || sd_pattern_matches(full, lfirst(cell));
	pfree(full);
	return found;
}
