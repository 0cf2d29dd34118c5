/*
 * waits.c: wait events; see waits.h.
 */
#include "compat.h"

#include "waits.h"

static const char *const names[] = {
	[SD_WAIT_QUORUM] = "SchemadriftQuorum",
	[SD_WAIT_APPLIED] = "SchemadriftApplied",
	[SD_WAIT_COORDINATOR] = "SchemadriftCoordinatorMain",
	[SD_WAIT_LAUNCHER] = "SchemadriftLauncherMain",
	[SD_WAIT_APPLIER] = "SchemadriftApplierMain",
	[SD_WAIT_PEER] = "SchemadriftPeer",
	[SD_WAIT_STOP] = "SchemadriftWorkersStop",
};

uint32
sd_wait_event(SdWait wait)
{
	static uint32 events[lengthof(names)];

	if (events[wait] == 0)
		events[wait] = sd_compat_wait_event(names[wait]);
	return events[wait];
}
