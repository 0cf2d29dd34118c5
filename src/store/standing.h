/*
 * standing.h: what is in the tables of how this region's schema came to be: the events of each origin that it contains.
 *
 * All functions need a scope (sql.h).
 */
#ifndef SD_STORE_STANDING_H
#define SD_STORE_STANDING_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "store/state.h"

/* Of one life of a region: so many entries of it. */
typedef struct SdOriginCount
{
	char		region[SD_NAME_SIZE];
	int32		incarnation;
	int64		n;
} SdOriginCount;

/* Versions after one and up to another, by origin: of SdOriginCount *, in the current context. */
extern List *sd_standing_origins(int64 after, int64 upto);

/* Which of them were skipped here. */
extern int64 sd_standing_skipped(int64 after, int64 upto);

/*
 * Changes outside the log that are part of this region's schema.  None while an entry of its own is not applied here
 * (it was chosen after its transaction had failed): in a vector the two would look like one another, and a vector may
 * say less than the truth, never more.
 */
extern int64 sd_standing_outside(const SdSelf *self, int64 applied);

#endif							/* SD_STORE_STANDING_H */
