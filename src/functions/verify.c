/*
 * verify.c: schemadrift.verify(): a region's whole schema against its digests, now; see verify.h.
 *
 * Runs in a backend, as a reader that nobody waits for; takes the DDL lock only if something does not fit.
 */
#include "compat.h"

#include "access/xact.h"
#include "funcapi.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "ddl/capture.h"
#include "ddl/drift.h"
#include "ddl/lock.h"
#include "ddl/properties.h"
#include "ddl/script.h"
#include "errors.h"
#include "functions/change.h"
#include "functions/verify.h"
#include "gate/change.h"
#include "progress.h"
#include "settings.h"
#include "store/drift.h"
#include "store/state.h"

PG_FUNCTION_INFO_V1(sd_verify);

static void
check_session(void)
{
	if (XactIsoLevel > XACT_READ_COMMITTED)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("schemadrift.verify() needs READ COMMITTED"),
				 errdetail("An older snapshot would hide the newest state of the schema."),
				 errhint("BEGIN ISOLATION LEVEL READ COMMITTED.")));
	if (sd_executing() != SD_EXECUTING_NOTHING || sd_change_active() || !sd_capture_is_empty())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("schemadrift.verify() cannot be part of a schema change"),
				 errhint("COMMIT first.")));
	sd_change_require_group();
}

static void
settle(SdTouched *set)
{
	int			guc_level = NewGUCNestLevel();
	SdScope		scope;

	/* a change that stays open for hours shall not keep whoever only asks waiting as long */
	if (LockTimeout == 0)
		sd_set_lock_timeout(sd_lock_timeout, GUC_ACTION_SAVE);
	sd_ddl_lock();
	AtEOXact_GUC(true, guc_level);
	sd_store_enter(&scope);
	sd_drift_settle(set);
	sd_store_leave(&scope);
}

List *
sd_verify_now(void)
{
	SdDatabase *db = sd_shared_mine();
	SdTouched  *set = sd_touched_create(CurrentMemoryContext);
	int64		began_us = sd_monotonic_us();
	int64		objects;
	List	   *rows;
	SdScope		scope;
	SdSelf		self;
	int			n;

	check_session();
	sd_store_enter(&scope);
	if (sd_self_read(&self) && strcmp(self.state, "witness") == 0)
		ereport(ERROR,
				(errcode(SD_ERRCODE_MAY_NOT_ORIGINATE),
				 errmsg("this region is a witness: it has no schema")));
	objects = sd_drift_suspect(set, &n);
	sd_store_leave(&scope);
	if (n > 0)
		settle(set);
	sd_touched_free(set);
	sd_store_enter(&scope);
	rows = sd_drift_rows(NULL);
	sd_store_leave(&scope);
	if (db)
		sd_progress_verified(db, objects, sd_monotonic_us() - began_us);
	return rows;
}

const char *
sd_verify_difference(const SdDriftRow *row)
{
	return !row->has_expected ? "extra" : !row->has_actual ? "missing" : "changed";
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
put(ReturnSetInfo *result, const SdDriftRow *row, const SdPropertyDifference *difference)
{
	Datum		values[7];
	bool		nulls[7] = {false};

	values[0] = CStringGetTextDatum(row->kind);
	values[1] = CStringGetTextDatum(row->identity);
	values[2] = CStringGetTextDatum(sd_verify_difference(row));
	values[3] = text_or_null(difference ? difference->property : NULL, &nulls[3]);
	values[4] = text_or_null(difference ? difference->a : NULL, &nulls[4]);
	values[5] = text_or_null(difference ? difference->b : NULL, &nulls[5]);
	values[6] = TimestampTzGetDatum(row->since);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
sd_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;
	List	   *rows;

	sd_change_require_group();
	rows = PG_ARGISNULL(0) ? sd_verify_now() : sd_verify_region(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, rows)
	{
		SdDriftRow *row = lfirst(cell);
		List	   *differences = NIL;
		ListCell   *other;

		if (row->expected_definition && row->actual_definition)
			differences = sd_properties_differ(row->expected_definition, row->actual_definition);
		foreach(other, differences)
			put(result, row, lfirst(other));
		if (differences == NIL)
			put(result, row, NULL);
	}
	return (Datum) 0;
}
