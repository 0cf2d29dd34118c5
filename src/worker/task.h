/*
 * task.h: the work of online entries in this region, and their results.
 *
 * Two kinds of processes, at most one of each a database, both started by the coordinator: one works on a task (task.c), one
 * proposes a result (task_result.c).
 */
#ifndef SD_WORKER_TASK_H
#define SD_WORKER_TASK_H

#include "compat.h"

#include "worker/coordinator.h"

/*
 * Start the process for a task, connected as the author of its entry if that role can connect; the proposer of a result.
 * or, for version 0, of a no-op, of which SdDatabase says what became of it.  In a transaction.  NULL: every background worker is in use.
 */
extern BackgroundWorkerHandle *sd_task_start(Oid database, int64 version, const char *author);
extern BackgroundWorkerHandle *sd_task_start_result(Oid database, int64 version);

extern PGDLLEXPORT void sd_task_main(Datum main_arg);
extern PGDLLEXPORT void sd_task_result_main(Datum main_arg);

#endif							/* SD_WORKER_TASK_H */
