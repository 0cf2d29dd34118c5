/*
 * coordinator.c: the process that speaks for one database.
 *
 * Runs as a background worker that the launcher keeps, one a database that has the extension.  Holds no lock
 * and no transaction while it waits, so DROP EXTENSION and DROP DATABASE never wait for it.
 */
#include "compat.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "waits.h"
#include "worker/worker.h"

void
sd_coordinator_main(Datum main_arg)
{
	SdDatabase *db;

	sd_worker_signals();
	db = sd_worker_claim(SD_WORKER_COORDINATOR, DatumGetObjectId(main_arg));
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(main_arg), InvalidOid, 0);
	if (!sd_worker_has_extension(db))
		proc_exit(0);

	for (;;)
	{
		sd_worker_check(0);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1L,
						 sd_wait_event(SD_WAIT_COORDINATOR));
		ResetLatch(MyLatch);
	}
}
