/*
 * task_result.c: the process that proposes the result of an online entry; or, with version 0, a no-op, by which preflight() measures how
 * long an entry takes (functions/propagation.h).
 *
 * A dynamic background worker for one result, started by the coordinator of the region whose turn it is; for a no-op by a backend.  It takes the path
 * of every change (gate/change.h), so another region that does the same at the same time is no harm: under the DDL lock, with the
 * head of the log applied, it looks again whether a result is there.
 */
#include "compat.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "clock.h"
#include "ddl/replay.h"
#include "gate/change.h"
#include "online_regions.h"
#include "store/task.h"
#include "worker/task.h"
#include "worker/worker.h"

BackgroundWorkerHandle *
sd_task_start_result(Oid database, int64 version)
{
	return sd_worker_start_with(SD_WORKER_RESULT, database, get_database_name(database), &version, sizeof(version));
}

/* What there is to propose; NULL: nothing.  The fields of the entry's payload. */
static char *
judge(SdDatabase *db, int64 version, bool *ok, char **name)
{
	SdOnlineView view;
	SdOnlineVerdict verdict;
	SdTask		task;
	SdScope		scope;
	StringInfoData out;
	int			who;
	bool		known;

	initStringInfo(&out);
	sd_store_enter(&scope);
	known = sd_task_result(version, NULL) == 0 && sd_task_read(version, &task);
	if (known)
		sd_online_view(db, version, &view);
	sd_store_leave(&scope);
	if (!known)
		return NULL;
	verdict = sd_online_verdict(&view, &who);
	*ok = verdict == SD_ONLINE_OK;
	*name = task.name;
	if (verdict == SD_ONLINE_WAIT || (*ok && task.state != SD_TASK_DONE))
		return NULL;
	appendStringInfo(&out, "\"outcome\":\"%s\"", *ok ? "ok" : "failed");
	if (!*ok)
	{
		appendStringInfoString(&out, ",\"region\":");
		escape_json(&out, view.region[who].region);
		appendStringInfoString(&out, ",\"error\":");
		escape_json(&out, view.region[who].report.what);
	}
	return out.data;
}

static void
propose(SdDatabase *db, int64 version)
{
	char	   *payload;
	char	   *name;
	bool		ok;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	payload = judge(db, version, &ok, &name);
	if (payload)
	{
		sd_change_set_subject(psprintf("result of %s", name));
		sd_change_begin(NIL);
		payload = judge(db, version, &ok, &name);
	}
	if (payload)
	{
		if (ok)
		{
			SdScope		scope;

			sd_store_enter(&scope);
			sd_replay_close_task(version, true);
			sd_store_leave(&scope);
		}
		/* of what failed, this region too has to clean up before it has applied that */
		sd_change_describe(SD_KIND_RESULT, name, version, payload, ok);
	}
	CommitTransactionCommand();
}

/* ---- a no-op ---- */

/* It waits for no other change: who measures has no hurry. */
#define NOOP_LOCK_TIMEOUT	"1s"

static void
note_noop(SdDatabase *db, int64 version, int64 begun, const char *error)
{
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->noop_attempts++;
	strlcpy(db->noop_error, error ? error : "", sizeof(db->noop_error));
	if (error == NULL)
		sd_shared_noop_chosen(db, version, begun, sd_monotonic_us());
	LWLockRelease(&db->lock);
	ConditionVariableBroadcast(&db->changed);
}

static void
propose_noop(SdDatabase *db)
{
	int64		begun = sd_monotonic_us();
	int64		version;

	SetConfigOption("lock_timeout", NOOP_LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	sd_change_set_subject("preflight");
	sd_change_begin(NIL);
	version = sd_change_version();
	sd_change_describe(SD_KIND_NOOP, NULL, 0, "\"for\":\"preflight\"", true);
	sd_change_set_subject("preflight");
	CommitTransactionCommand();
	note_noop(db, version, begun, NULL);
}

void
sd_task_result_main(Datum main_arg)
{
	Oid			database = DatumGetObjectId(main_arg);
	int64		version;
	SdDatabase *db;
	MemoryContext context;

	memcpy(&version, MyBgworkerEntry->bgw_extra, sizeof(version));
	sd_worker_signals();
	db = sd_worker_claim(SD_WORKER_RESULT, database);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	sd_worker_pin_settings();
	if (!sd_worker_has_extension(db))
		proc_exit(0);
	context = AllocSetContextCreate(TopMemoryContext, "schemadrift result", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (version == 0)
			propose_noop(db);
		else
			propose(db, version);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		RESUME_INTERRUPTS();
		if (version == 0)
			note_noop(db, 0, 0, error->message);
		else
			ereport(LOG,
					(errmsg("schemadrift could not propose the result of version " INT64_FORMAT " yet: %s", version, error->message),
					 error->detail ? errdetail_internal("%s", error->detail) : 0));
	}
	PG_END_TRY();
	proc_exit(0);
}
