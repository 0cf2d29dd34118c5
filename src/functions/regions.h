/*
 * regions.h: the other regions of the group, for functions that ask them something as a client.
 *
 * Runs in backends.
 */
#ifndef SD_FUNCTIONS_REGIONS_H
#define SD_FUNCTIONS_REGIONS_H

#include "compat.h"

#include "peer/client.h"
#include "store/state.h"

typedef struct SdRegions
{
	SdSelf		self;
	SdMembers	members;		/* with our own addresses for them */
} SdRegions;

/* An error unless this database is a region. */
extern void sd_regions_read(SdRegions *regions);

/*
 * A connection to that region, or NULL: it is this one.  An error, which says what to do, if there is no region of that name, it is a
 * witness, it cannot be reached, or another one is at its address.
 */
extern SdClient *sd_region_connect(const SdRegions *regions, const char *region);

#endif							/* SD_FUNCTIONS_REGIONS_H */
