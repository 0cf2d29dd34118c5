/*
 * local.c: objects that the group's policy calls local, or that local maintenance leaves: never gated, never in the digest.
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

/* "t_a_idx_ccnew", or "t_a_idx_ccold2": see ReindexRelationConcurrently() */
bool
sd_local_is_leftover(const char *index, bool valid)
{
	size_t		length = strlen(index);

	if (valid)
		return false;
	while (length > 0 && index[length - 1] >= '0' && index[length - 1] <= '9')
		length--;
	return length > 6 && (strncmp(index + length - 6, "_ccnew", 6) == 0 || strncmp(index + length - 6, "_ccold", 6) == 0);
}
