/*
 * probe.h: what an ALTER COLUMN TYPE does to files, tried on an empty copy of the table and rolled back.
 *
 * Whether a change of type rewrites, builds indexes again or scans depends on casts, operator families, expressions and the
 * session's TimeZone: the server alone knows.  The copy is a temporary table made by LIKE ... INCLUDING ALL; the user's table
 * gets ACCESS SHARE for as long as that takes, and if it cannot have that at once, there is no probe.
 */
#ifndef SD_ANALYSIS_PROBE_H
#define SD_ANALYSIS_PROBE_H

#include "compat.h"

#include "nodes/parsenodes.h"

#include "analysis/form.h"

typedef struct SdProbe
{
	SdProbed	seen;
	char	   *error;			/* the server refuses it, in these words; NULL: it does not */
	int			sqlerrcode;		/* of it */
	char	   *not_made;		/* why there was no probe; NULL: there was one */
} SdProbe;

/* gone, before: indexes that the table has no longer by then, and commands that make the copy what it is otherwise. */
extern void sd_probe(SdThing *table, List *gone, List *before, AlterTableCmd *command, SdProbe *probe);

/* A probe is under way in this process: what runs and is made is none of the user's doing. */
extern bool sd_probing;

#endif							/* SD_ANALYSIS_PROBE_H */
