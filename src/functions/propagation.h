/*
 * propagation.h: how long an entry takes from this region to the others, measured by a no-op.
 *
 * Runs in backends.  The no-op is a version of the log, and changes nothing of any schema.  One is proposed at most each minute in a region,
 * whoever asks; until then its figures are told again.
 */
#ifndef SD_FUNCTIONS_PROPAGATION_H
#define SD_FUNCTIONS_PROPAGATION_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "clock.h"
#include "functions/look.h"

/* The longest that its decision is waited for, and then that others are. */
#define SD_PROPAGATION_LIMIT_US	(5 * SD_US_PER_S)

typedef struct SdPropagation
{
	const char *why_not;		/* it was not measured; NULL: it was */
	int64		version;
	int64		chosen_us;		/* until it was decided, ... */
	int64	   *applied_us;		/* ... and until this region knew that others had applied it; -1: they had not yet */
	int64		age_us;			/* since then */
} SdPropagation;

/* regions: names of others that shall be waited for, of char *; applied_us is in their order. */
extern void sd_propagation_measure(const SdHere *here, List *regions, SdPropagation *result);

#endif							/* SD_FUNCTIONS_PROPAGATION_H */
