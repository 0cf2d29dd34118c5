/*
 * waits.h: the names our waits carry in pg_stat_activity.wait_event.
 *
 * 17 and later show the names; earlier majors have no way to register one and show "Extension".
 */
#ifndef SD_WAITS_H
#define SD_WAITS_H

#include "compat.h"

typedef enum SdWait
{
	SD_WAIT_QUORUM,				/* a backend waits for its coordinator, which waits for regions */
	SD_WAIT_APPLIED,			/* a backend waits for the applier, here or elsewhere */
	SD_WAIT_COORDINATOR,		/* the coordinator has nothing to do */
	SD_WAIT_LAUNCHER,
	SD_WAIT_APPLIER,
	SD_WAIT_PEER,				/* a function waits for another region's answer */
	SD_WAIT_STOP				/* a database command waits for our workers there to stop */
} SdWait;

extern uint32 sd_wait_event(SdWait wait);

#endif							/* SD_WAITS_H */
