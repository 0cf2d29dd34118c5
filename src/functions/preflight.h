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
 * mean.  extensions: as sd_wanted_extensions() there.  queries: the caller may see what others run.  frozen_at: ddl/fill.h; 0: the time is
 * not frozen.
 */
extern List *sd_preflight(const char *up, const SdRunAs *run_as, List *needs, List *extensions, bool queries, TimestampTz frozen_at);

/* ---- preflight_disk.c ---- */

/* Of SdFinding: have the file systems here room for what these steps (of SdStep) write anew? */
extern List *sd_disk_findings(List *steps);

/* ---- preflight_extensions.c ---- */

/*
 * Which version of which extension a script would make or update to here: "hstore", "1.8" and "named", or "default" where the script
 * names none, with tabs between; of char *.  An extension that there is not here is left out.
 */
extern List *sd_wanted_extensions(const char *up);

/* Of SdFinding: would the same come here? */
extern List *sd_extension_findings(List *wanted);

/*
 * Where policy "roles" coordinates them: the roles of the region that asks, lines of char * among the needs.  What is otherwise here,
 * sentences.
 */
#define SD_PREFLIGHT_ROLE	"same role:"
extern List *sd_preflight_tell_roles(void);
extern List *sd_preflight_unlike_roles(List *told);

#endif							/* SD_FUNCTIONS_PREFLIGHT_H */
