/*
 * applier.h: the process that carries out the log in this region.
 */
#ifndef SD_WORKER_APPLIER_H
#define SD_WORKER_APPLIER_H

#include "compat.h"

#include "postmaster/bgworker.h"

/*
 * Start the applier for the next version, whose author is this session user of its origin.  Called by the coordinator,
 * in a transaction; its latch is set when the applier starts and ends.  NULL: every background worker is in use.
 * The handle is allocated in the current memory context.
 */
extern BackgroundWorkerHandle *sd_applier_start(Oid database, const char *author);

/* The author, if a worker can be connected as that role; else the bootstrap superuser. */
extern Oid	sd_applier_role(Oid database, const char *author);

extern PGDLLEXPORT void sd_applier_main(Datum main_arg);

#endif							/* SD_WORKER_APPLIER_H */
