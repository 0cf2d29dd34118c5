/*
 * applier.h: the process that brings this region's schema forward, one entry of the log after the other.
 */
#ifndef SD_WORKER_APPLIER_H
#define SD_WORKER_APPLIER_H

#include "postmaster/bgworker.h"

/*
 * Start it, connected as the author's role.  In a transaction; the handle is allocated in the current memory
 * context; NULL: every background worker of the server is in use.
 */
extern BackgroundWorkerHandle *sd_applier_start(Oid database, const char *author);

#endif							/* SD_WORKER_APPLIER_H */
