/*
 * worker.h: what schemadrift's background workers have in common.
 *
 * A worker's life: claim the slot of its database (before it connects), connect, look whether the extension is
 * there, then turn in its loop with sd_worker_check() at the top.
 */
#ifndef SD_WORKER_WORKER_H
#define SD_WORKER_WORKER_H

#include "postmaster/bgworker.h"

#include "shared.h"

typedef enum SdWorkerKind
{
	SD_WORKER_PROBE,			/* looks for the extension, then ends */
	SD_WORKER_COORDINATOR,
	SD_WORKER_APPLIER,
	SD_WORKER_TASK,				/* does this region's share of an online entry */
	SD_WORKER_RESULT,			/* proposes the result of one */
	SD_WORKER_VERIFY,			/* compares the whole schema with its digests */
	SD_WORKER_REHEARSAL			/* tries what another region's dry_run() asks for */
} SdWorkerKind;

/*
 * Start a worker in a database; this process is told by its latch when the worker starts and ends.  NULL: every
 * background worker of the server is in use.  The handle is allocated in the current memory context.
 */
extern BackgroundWorkerHandle *sd_worker_start(SdWorkerKind kind, Oid database, const char *database_name);

/* The same with something in bgw_extra. */
extern BackgroundWorkerHandle *sd_worker_start_with(SdWorkerKind kind, Oid database, const char *database_name,
													const void *extra, Size size);

/* Has the worker ended (or was there none)?  Then its handle is freed. */
extern bool sd_worker_has_ended(BackgroundWorkerHandle **handle);

/* A worker's first call: handlers for signals, which are let in. */
extern void sd_worker_signals(void);

/*
 * Enter the slot as its coordinator, applier and so on, until this process ends.  Ends the process quietly if there is
 * nothing to do: not wanted, held for a database command, or somebody else is it already.
 */
extern SdDatabase *sd_worker_claim(SdWorkerKind kind, Oid database);

/*
 * Once connected: settings of the server, the database or the role are for people's sessions.  Above READ COMMITTED a
 * coordinator would read a promise as it was, and what an entry needs of settings it carries with it.
 */
extern void sd_worker_pin_settings(void);

/* What pg_stat_activity calls this process; cut to what fits there. */
extern void sd_worker_set_name(const char *name);

/* Once connected: is the extension here?  If not, the launcher is told, and the process shall end. */
extern bool sd_worker_has_extension(SdDatabase *db);

/*
 * At the top of each turn of a loop, outside a transaction: ends quietly when told to (exit code as given),
 * serves interrupts and barriers, reads changed settings.
 */
extern void sd_worker_check(int exit_code);

/* As the main loop of a backend does after an error: the error, in that context, and no transaction. */
extern ErrorData *sd_worker_recover(MemoryContext context);

extern PGDLLEXPORT void sd_launcher_main(Datum main_arg);
extern PGDLLEXPORT void sd_probe_main(Datum main_arg);
extern PGDLLEXPORT void sd_coordinator_main(Datum main_arg);

#endif							/* SD_WORKER_WORKER_H */
