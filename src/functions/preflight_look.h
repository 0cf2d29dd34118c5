/*
 * preflight_look.h: what the files of preflight share about one look at this region.
 */
#ifndef SD_FUNCTIONS_PREFLIGHT_LOOK_H
#define SD_FUNCTIONS_PREFLIGHT_LOOK_H

#include "compat.h"

#include "nodes/pg_list.h"
#include "utils/timestamp.h"

#include "functions/preflight.h"

typedef struct SdPreflightLook
{
	const char *up;
	List	   *steps;			/* of SdStep */
	List	   *relations;		/* that are there already: identities, of char *, ... */
	Datum		oids;			/* ... and themselves, oid[] */
	bool		queries;
	TimestampTz frozen_at;
	List	   *findings;
} SdPreflightLook;

extern void sd_preflight_add(SdPreflightLook *look, const char *check, const char *status, char *detail, char *remedy);

/* ---- preflight_locks.c ---- */

extern void sd_preflight_holders(SdPreflightLook *look);
extern void sd_preflight_long(SdPreflightLook *look);
extern void sd_preflight_prepared(SdPreflightLook *look);

#endif							/* SD_FUNCTIONS_PREFLIGHT_LOOK_H */
