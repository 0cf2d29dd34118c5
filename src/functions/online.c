/*
 * online.c: schemadrift.apply_online(), and the rows of view "tasks".
 *
 * Runs in backends.  apply_online is a procedure: it ends the transaction that the CALL began in, which agrees on the
 * intent, and waits without a snapshot.
 */
#include "compat.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "ddl/online.h"
#include "errors.h"
#include "functions/change.h"
#include "gate/change.h"
#include "gate/online.h"
#include "gate/policy.h"
#include "online_regions.h"
#include "store/task.h"

PG_FUNCTION_INFO_V1(sd_apply_online);
PG_FUNCTION_INFO_V1(sd_task_rows);

/* The version that a CALL with the same name and text made, and that is not finished yet; else 0. */
static int64
still_open(int64 version)
{
	SdScope		scope;
	SdTask		task;
	bool		open;

	sd_store_enter(&scope);
	open = sd_task_read(version, &task) && task.state != SD_TASK_APPLIED && task.state != SD_TASK_CANCELLED;
	sd_store_leave(&scope);
	return open ? version : 0;
}

Datum
sd_apply_online(PG_FUNCTION_ARGS)
{
	char	   *name;
	SdScriptArgs args;
	SdGranted	granted;
	List	   *steps;
	List	   *relations = NIL;
	int64		version;

	sd_change_require_top_call(fcinfo, "schemadrift.apply_online()");
	name = sd_change_name_arg(fcinfo, 0);
	sd_change_script_args(fcinfo, name, &args);
	version = sd_change_begin_script(name, &args, true, &granted);
	if (version == 0)
	{
		steps = sd_online_steps(granted.script, &relations);
		if (sd_gate_freezes_at(args.options) != 0)
			sd_change_freeze();
		sd_online_describe(name, args.up, args.down, args.options, 0, steps, relations, granted.run_as);
		version = sd_change_version();
	}
	else
		version = still_open(version);
	/* what is described becomes the entry */
	sd_store_commit();
	if (version > 0)
		sd_online_wait(version);
	PG_RETURN_VOID();
}

/* ---- rows of view "tasks" ---- */

static Datum
text_datum(const char *text, bool *isnull)
{
	int			length = pg_mbcliplen(text, strlen(text), strlen(text));

	*isnull = length == 0;
	return *isnull ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(text, length));
}

static void
put_rows(ReturnSetInfo *result, int64 version, const SdOnlineView *view)
{
	for (int i = 0; i < view->n; i++)
	{
		const SdOnlineRegion *region = &view->region[i];
		const SdTaskReport *report = &region->report;
		Datum		values[7];
		bool		nulls[7] = {0};

		values[0] = Int64GetDatum(version);
		values[1] = CStringGetTextDatum(region->region);
		values[2] = BoolGetDatum(region->own);
		values[3] = CStringGetTextDatum(report->state[0] ? report->state : "pending");
		values[4] = Int64GetDatum(report->done);
		values[5] = Int64GetDatum(report->total);
		nulls[4] = nulls[5] = report->total == 0;
		values[6] = text_datum(report->what, &nulls[6]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

Datum
sd_task_rows(PG_FUNCTION_ARGS)
{
	SdDatabase *db = sd_shared_mine();
	SdScope		scope;
	List	   *tasks;
	ListCell   *lc;
	int64		versions[SD_MAX_TASKS];
	SdOnlineView views[SD_MAX_TASKS];
	int			n = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (db == NULL)
		return (Datum) 0;
	sd_store_enter(&scope);
	tasks = sd_task_list();
	foreach(lc, tasks)
	{
		if (n == SD_MAX_TASKS)
			break;
		versions[n] = ((SdTask *) lfirst(lc))->version;
		sd_online_view(db, versions[n], &views[n]);
		n++;
	}
	sd_store_leave(&scope);
	for (int i = 0; i < n; i++)
		put_rows((ReturnSetInfo *) fcinfo->resultinfo, versions[i], &views[i]);
	return (Datum) 0;
}
