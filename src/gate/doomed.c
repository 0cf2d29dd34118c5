/*
 * doomed.c: what a client is told whose statement is cancelled because its transaction's version went to another region.
 *
 * Backend only.  The applier cancels such a statement like anybody would (worker/applier.c), and PostgreSQL says "canceling
 * statement due to user request", which no tool runs again by itself.  While the error is being raised it is made
 * what it is: 40001.  Statements run in the executor are watched from the first schema change of a session on; before
 * that its hook is not set, so that other sessions pay nothing.
 */
#include "compat.h"

#include "executor/executor.h"
#include "storage/lwlock.h"

#include "errors.h"
#include "gate/internal.h"

static ExecutorRun_hook_type previous_run;
static bool watching;

static bool
is_doomed(void)
{
	bool		doomed;

	LWLockAcquire(&sd_change.db->lock, LW_SHARED);
	doomed = sd_change.db->doomed && sd_change.db->ddl_pid == MyProcPid;
	LWLockRelease(&sd_change.db->lock);
	return doomed;
}

/* An error that reports a cancelled statement is raised where no lightweight lock is held. */
static void
tell_doomed(void *arg)
{
	(void) arg;
	if (geterrcode() != ERRCODE_QUERY_CANCELED || sd_change.stage != SD_STAGE_GRANTED || !is_doomed())
		return;
	errcode(SD_ERRCODE_PREEMPTED);
	errmsg("another region changed the schema first");
	errdetail("Nothing happened. The statement was cancelled, because the other regions' changes waited for this transaction.");
	errhint("Run the transaction again.");
}

bool
sd_doomed_enter(ErrorContextCallback *callback)
{
	if (sd_change.stage != SD_STAGE_GRANTED)
		return false;
	callback->callback = tell_doomed;
	callback->arg = NULL;
	callback->previous = error_context_stack;
	error_context_stack = callback;
	return true;
}

void
sd_doomed_leave(const ErrorContextCallback *callback)
{
	error_context_stack = callback->previous;
}

static void
run_watched(QueryDesc *query, ScanDirection direction, SD_COMPAT_RUN_PARAMETERS)
{
	ErrorContextCallback callback;
	bool		entered = sd_doomed_enter(&callback);

	if (previous_run)
		previous_run(query, direction, SD_COMPAT_RUN_ARGUMENTS);
	else
		standard_ExecutorRun(query, direction, SD_COMPAT_RUN_ARGUMENTS);
	if (entered)
		sd_doomed_leave(&callback);
}

void
sd_doomed_watch(void)
{
	if (watching)
		return;
	watching = true;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = run_watched;
}
