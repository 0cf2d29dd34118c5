/*
 * preflight.h: what may be in the way of a script in this region.
 *
 * Runs in backends: of who calls preflight(), and of another region that asks.  Looks, and changes nothing.
 */
#ifndef SD_FUNCTIONS_PREFLIGHT_H
#define SD_FUNCTIONS_PREFLIGHT_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "ddl/capture.h"

/* One thing that was looked at. */
typedef struct SdFinding
{
	const char *check;			/* a word that stays the same */
	const char *status;			/* SD_FINDING_... */
	char	   *detail;
	char	   *remedy;			/* what to paste; NULL if all is well */
} SdFinding;

#define SD_FINDING_OK		"ok"
#define SD_FINDING_WARNING	"warning"
#define SD_FINDING_FAILED	"failed"
#define SD_FINDING_UNKNOWN	"unknown"

/*
 * Of SdFinding, for the script as run_as would run it.  needs: as sd_script_needs() of the region that asks, whose roles the names
 * mean.  queries: the caller may see what others run.
 */
extern List *sd_preflight(const char *up, const SdRunAs *run_as, List *needs, bool queries);

#endif							/* SD_FUNCTIONS_PREFLIGHT_H */
