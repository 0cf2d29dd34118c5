/*
 * worker.c: what schemadrift's background workers have in common.
 *
 * Runs in launcher, probes, coordinators and appliers.  Takes SdShared.lock, briefly.
 */
#include "compat.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "worker/worker.h"

typedef struct WorkerDescription
{
	const char *type;			/* backend_type in pg_stat_activity */
	const char *function;
} WorkerDescription;

static const WorkerDescription descriptions[] = {
	[SD_WORKER_PROBE] = {"schemadrift probe", "sd_probe_main"},
	[SD_WORKER_COORDINATOR] = {"schemadrift coordinator", "sd_coordinator_main"},
	[SD_WORKER_APPLIER] = {"schemadrift applier", "sd_applier_main"},
	[SD_WORKER_TASK] = {"schemadrift task", "sd_task_main"},
	[SD_WORKER_RESULT] = {"schemadrift result", "sd_task_result_main"},
	[SD_WORKER_VERIFY] = {"schemadrift verify", "sd_verify_main"},
	[SD_WORKER_REHEARSAL] = {"schemadrift dry run", "sd_rehearsal_main"},
};

BackgroundWorkerHandle *
sd_worker_start(SdWorkerKind kind, Oid database, const char *database_name)
{
	return sd_worker_start_with(kind, database, database_name, NULL, 0);
}

BackgroundWorkerHandle *
sd_worker_start_with(SdWorkerKind kind, Oid database, const char *database_name, const void *extra, Size size)
{
	const WorkerDescription *d = &descriptions[kind];
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;

	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s for %s", d->type, database_name);
	strlcpy(worker.bgw_type, d->type, BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	/* whoever starts it decides when to start it again: the postmaster knows nothing of held databases */
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "schemadrift", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, d->function, sizeof(worker.bgw_function_name));
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	Assert(size <= BGW_EXTRALEN);
	if (size > 0)
		memcpy(worker.bgw_extra, extra, size);
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

bool
sd_worker_has_ended(BackgroundWorkerHandle **handle)
{
	pid_t		pid;

	if (*handle == NULL)
		return true;
	if (GetBackgroundWorkerPid(*handle, &pid) != BGWH_STOPPED)
		return false;
	pfree(*handle);
	*handle = NULL;
	return true;
}

void
sd_worker_signals(void)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
}

static SdDatabase *claimed = NULL;

/*
 * Registered before the connection is made, so it runs after the process has left the list of the database's
 * backends: whoever waits for `changed` finds the database free at its first look.
 */
static void
leave_slot(int code, Datum arg)
{
	(void) code;
	(void) arg;

	/* an error outside a transaction may have left us with a lock, perhaps with this one */
	LWLockReleaseAll();
	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	if (claimed->coordinator_pid == MyProcPid)
	{
		claimed->coordinator_pid = 0;
		claimed->ended_at = GetCurrentTimestamp();
		claimed->coordinator_latch = NULL;
		if (claimed->applier_latch)
			SetLatch(claimed->applier_latch);
	}
	if (claimed->applier_pid == MyProcPid)
	{
		claimed->applier_pid = 0;
		claimed->applier_latch = NULL;
	}
	if (claimed->task_pid == MyProcPid)
		claimed->task_pid = 0;
	if (claimed->result_pid == MyProcPid)
		claimed->result_pid = 0;
	if (claimed->verify_pid == MyProcPid)
		claimed->verify_pid = 0;
	sd_shared_wake_launcher();
	LWLockRelease(&sd_shared->lock);
	ConditionVariableBroadcast(&claimed->changed);
}

SdDatabase *
sd_worker_claim(SdWorkerKind kind, Oid database)
{
	SdDatabase *db;
	bool		entered = false;

	Assert(kind != SD_WORKER_PROBE);
	Assert(claimed == NULL);

	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	db = sd_shared_find(database, false);
	if (db != NULL && db->wanted && db->held == 0)
	{
		if (kind == SD_WORKER_COORDINATOR && db->coordinator_pid == 0)
		{
			db->coordinator_pid = MyProcPid;
			db->coordinator_latch = MyLatch;
			db->told_to_stop = false;
			entered = true;
		}
		else if (kind == SD_WORKER_APPLIER && db->applier_pid == 0)
		{
			db->applier_pid = MyProcPid;
			db->applier_latch = MyLatch;
			entered = true;
		}
		else if (kind == SD_WORKER_TASK && db->task_pid == 0)
		{
			db->task_pid = MyProcPid;
			entered = true;
		}
		else if (kind == SD_WORKER_RESULT && db->result_pid == 0)
		{
			db->result_pid = MyProcPid;
			entered = true;
		}
		else if (kind == SD_WORKER_VERIFY && db->verify_pid == 0)
		{
			db->verify_pid = MyProcPid;
			entered = true;
		}
	}
	else if (db != NULL && kind == SD_WORKER_COORDINATOR)
		db->told_to_stop = true;
	LWLockRelease(&sd_shared->lock);

	if (!entered)
		proc_exit(0);
	claimed = db;
	on_shmem_exit(leave_slot, (Datum) 0);
	return db;
}

bool
sd_worker_has_extension(SdDatabase *db)
{
	uint32		notices;
	bool		found;

	LWLockAcquire(&sd_shared->lock, LW_SHARED);
	notices = db->notices;
	LWLockRelease(&sd_shared->lock);

	StartTransactionCommand();
	found = OidIsValid(get_extension_oid("schemadrift", true));
	CommitTransactionCommand();
	if (found)
		return true;

	/* unless a CREATE EXTENSION committed since our snapshot: then the launcher starts another */
	LWLockAcquire(&sd_shared->lock, LW_EXCLUSIVE);
	if (db->notices == notices)
		db->wanted = false;
	db->told_to_stop = true;
	LWLockRelease(&sd_shared->lock);
	return false;
}

void
sd_worker_pin_settings(void)
{
	static const struct
	{
		const char *name;
		const char *value;
	}			pinned[] = {
		{"role", "none"},
		{"session_replication_role", "origin"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"transaction_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"exit_on_error", "off"},
		{"schemadrift.ddl_mode", "default"},
		{"schemadrift.scope", "group"},
	};

	for (size_t i = 0; i < lengthof(pinned); i++)
		if (GetConfigOption(pinned[i].name, true, false) != NULL)
			SetConfigOption(pinned[i].name, pinned[i].value, PGC_SUSET, PGC_S_OVERRIDE);
}

void
sd_worker_set_name(const char *name)
{
	char	   *fitting = pstrdup(name);

	/* a longer one would be cut too, with a NOTICE in the log */
	truncate_identifier(fitting, strlen(fitting), false);
	SetConfigOption("application_name", fitting, PGC_USERSET, PGC_S_OVERRIDE);
	pfree(fitting);
}

void
sd_worker_check(int exit_code)
{
	Assert(!IsTransactionState());

	/* asked to stop while idle is no event for the server's log; in the middle of work it is, and `die` says so */
	if (ProcDiePending)
		proc_exit(exit_code);
	/* there is no statement to cancel: whoever cancels everything in sight shall not stop schema changes by it */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

ErrorData *
sd_worker_recover(MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	RESUME_INTERRUPTS();
	return error;
}
