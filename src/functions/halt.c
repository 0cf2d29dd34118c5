/*
 * halt.c: schemadrift.retry() and mark_applied(): out of a halt, in this region.
 *
 * Runs in a backend.  mark_applied takes what the applier takes, in its order: the DDL lock, then the applied row.
 */
#include "compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ddl/lock.h"
#include "ddl/replay.h"
#include "ddl/script.h"
#include "errors.h"
#include "functions/change.h"
#include "gate/change.h"
#include "progress.h"
#include "store/object.h"
#include "store/state.h"
#include "store/task.h"

PG_FUNCTION_INFO_V1(sd_retry);
PG_FUNCTION_INFO_V1(sd_mark_applied);

static void
refuse_name(const char *name, const SdPlan *plan)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("migration \"%s\" is not the next one to be applied here", name),
			 errdetail("The next one is version " INT64_FORMAT ", \"%s\".", plan->version,
					   plan->entry->name ? plan->entry->name : plan->entry->kind)));
}

static bool
has_name(const SdPlan *plan, const char *name)
{
	return strcmp(plan->entry->name ? plan->entry->name : plan->entry->kind, name) == 0;
}

static void
refuse_current(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("this region is not halted: it has applied its whole log")));
}

/*
 * The applier runs the text as its author, not as the caller: who may not be that author may not make it run either.
 */
static void
check_author(const SdPlan *plan)
{
	ListCell   *lc;

	foreach(lc, sd_replay_roles(plan))
	{
		Oid			role = get_role_oid(lfirst(lc), true);

		if (OidIsValid(role) && !sd_compat_may_set_role(GetUserId(), role))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for version " INT64_FORMAT, plan->version),
					 errdetail("Its text runs as role \"%s\", to which \"%s\" may not SET ROLE.",
							   (char *) lfirst(lc), GetUserNameFromId(GetUserId(), false))));
	}
}

/* An online entry whose work is in trouble in this region, by name: try now. */
static bool
retry_task(SdDatabase *db, const char *name)
{
	SdScope		scope;
	ListCell   *lc;
	bool		found = false;

	sd_store_enter(&scope);
	foreach(lc, sd_task_list())
	{
		SdTask	   *task = lfirst(lc);

		if (strcmp(task->name, name) != 0 || task->retry_at == 0)
			continue;
		found = true;
		sd_task_retry_now(task->version);
	}
	sd_store_leave(&scope);
	if (found)
		sd_shared_wake_at_commit(db);
	return found;
}

Datum
sd_retry(PG_FUNCTION_ARGS)
{
	char	   *name = PG_ARGISNULL(0) ? NULL : sd_change_name_arg(fcinfo, 0);
	SdDatabase *db = sd_shared_mine();
	SdScope		scope;
	SdApplied	applied;
	SdPlan		plan;
	bool		behind;
	bool		failed;
	bool		applying;

	sd_change_require_group();
	if (name && db && retry_task(db, name))
		PG_RETURN_VOID();
	sd_store_enter(&scope);
	sd_applied_read(&applied);
	behind = sd_replay_plan(&applied, scope.caller, &plan);
	if (!behind || db == NULL)
		refuse_current();
	if (name && !has_name(&plan, name))
		refuse_name(name, &plan);
	sd_store_leave(&scope);
	check_author(&plan);

	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	applying = db->applying == plan.version;
	failed = db->attempts > 0;
	if (failed && !applying)
		db->retry_now = true;
	LWLockRelease(&db->lock);
	if (applying)
		ereport(NOTICE, (errmsg("version " INT64_FORMAT " is being applied just now", plan.version)));
	else if (!failed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this region is not halted"),
				 errdetail("No attempt to apply version " INT64_FORMAT " has failed; it is under way.", plan.version)));
	else
		sd_shared_wake(db);
	PG_RETURN_VOID();
}

/*
 * mark_applied(name, reason): somebody did by hand what the applier could not do.  Accepted if every object that the
 * entry changed at its origin is here as it is there.
 */
Datum
sd_mark_applied(PG_FUNCTION_ARGS)
{
	char	   *name = sd_change_name_arg(fcinfo, 0);
	char	   *reason = PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1));
	TimestampTz since = GetCurrentTimestamp();
	SdDatabase *db = sd_shared_mine();
	SdScope		scope;
	SdApplied	applied;
	SdPlan		plan;
	int			attempts = 0;

	if (reason[strspn(reason, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("mark_applied() needs a reason"),
				 errhint("It is kept with the version, for whoever looks at its history.")));
	if (sd_executing() != SD_EXECUTING_NOTHING || sd_change_active())
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("schemadrift.mark_applied() cannot be part of a schema change"),
				 errhint("Call it in a transaction of its own.")));
	if (XactIsoLevel > XACT_READ_COMMITTED)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("schemadrift.mark_applied() needs READ COMMITTED"),
				 errdetail("An older snapshot would hide the newest state of the schema."),
				 errhint("BEGIN ISOLATION LEVEL READ COMMITTED.")));
	sd_change_require_group();

	sd_ddl_lock();
	sd_store_enter(&scope);
	sd_digest_row_lock();
	sd_applied_lock(&applied);
	if (!sd_replay_plan(&applied, scope.caller, &plan))
		refuse_current();
	if (!has_name(&plan, name))
		refuse_name(name, &plan);
	sd_store_leave(&scope);

	if (db)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		attempts = db->attempts;
		LWLockRelease(&db->lock);
	}
	sd_replay_mark(&plan, since, attempts, psprintf("by hand: %s", reason));
	if (db)
		sd_progress_applied_at_commit(db, plan.version);
	PG_RETURN_VOID();
}
