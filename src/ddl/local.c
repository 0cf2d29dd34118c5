/*
 * local.c: objects that the group's policy calls local: never gated, never in the digest.
 *
 * Runs anywhere; no locking.  The patterns come from the log, so they are the same in every region.
 */
#include "compat.h"

#include "ddl/local.h"

/* "*" is any number of any characters, all else is itself */
static bool
matches(const char *text, const char *pattern)
{
	const char *star = NULL;
	const char *resume = NULL;

	while (*text)
	{
		if (*pattern == '*')
		{
			star = pattern++;
			resume = text;
		}
		else if (*pattern == *text)
		{
			pattern++;
			text++;
		}
		else if (star)
		{
			/* let the last star swallow one more */
			pattern = star + 1;
			text = ++resume;
		}
		else
			return false;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

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
		found = found || matches(full, lfirst(cell));
	pfree(full);
	return found;
}
