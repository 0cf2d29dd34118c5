/*
 * digest_testing.c: test build only: a statement between two digests, without gate or group.
 *
 * t/030_digest.pl declares the functions for itself; a release has no such symbols.
 */
#ifdef SD_TESTING

#include "compat.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/parsenodes.h"
#include "portability/instr_time.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "ddl/describe.h"
#include "ddl/digest.h"

PG_FUNCTION_INFO_V1(sd_testing_digest_step);
PG_FUNCTION_INFO_V1(sd_testing_digest_coverage);

static object_access_hook_type previous_hook;
static ProcessUtility_hook_type previous_utility;
static SdTouched *current_set;

static void
collect(ObjectAccessType access, Oid classid, Oid objid, int subid, void *arg)
{
	if (previous_hook)
		previous_hook(access, classid, objid, subid, arg);
	sd_touched_object_access(current_set, access, classid, objid, subid, arg);
}

/* as the gate does, also with the statements inside of others */
static void
utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree, ProcessUtilityContext context,
		ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	sd_touched_statement(current_set, pstmt->utilityStmt);
	if (previous_utility)
		previous_utility(pstmt, query_string, read_only_tree, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params, environment, dest, completion);
}

static void
run(const char *sql)
{
	if (SPI_connect() != SPI_OK_CONNECT || SPI_execute(sql, false, 0) < 0 || SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "could not run \"%s\"", sql);
}

/* (sql) -> (kind, identity, dropped) of what it changed, the last row being (NULL, microseconds of the update, NULL) */
Datum
sd_testing_digest_step(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *changed;
	ListCell   *cell;
	instr_time	start;
	instr_time	end;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	InitMaterializedSRF(fcinfo, 0);
	current_set = sd_touched_create(CurrentMemoryContext);
	previous_hook = object_access_hook;
	object_access_hook = collect;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	PG_TRY();
	{
		run(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	}
	PG_FINALLY();
	{
		object_access_hook = previous_hook;
		ProcessUtility_hook = previous_utility;
	}
	PG_END_TRY();

	INSTR_TIME_SET_CURRENT(start);
	(void) sd_digest_update(current_set, &changed, NULL);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	sd_touched_free(current_set);

	foreach(cell, changed)
	{
		SdObjectDigest *object = lfirst(cell);

		values[0] = CStringGetTextDatum(object->kind);
		values[1] = CStringGetTextDatum(object->identity);
		values[2] = BoolGetDatum(object->dropped);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	nulls[0] = nulls[2] = true;
	values[1] = CStringGetTextDatum(psprintf("%.0f", INSTR_TIME_GET_MICROSEC(end) * 1.0));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/* (catalog) -> object, part, local; null if nothing is known of it */
Datum
sd_testing_digest_coverage(PG_FUNCTION_ARGS)
{
	switch (sd_coverage_of(PG_GETARG_OID(0)))
	{
		case SD_COVERAGE_OBJECT:
			PG_RETURN_TEXT_P(cstring_to_text("object"));
		case SD_COVERAGE_PART:
			PG_RETURN_TEXT_P(cstring_to_text("part"));
		case SD_COVERAGE_LOCAL:
			PG_RETURN_TEXT_P(cstring_to_text("local"));
		case SD_COVERAGE_UNKNOWN:
			break;
	}
	PG_RETURN_NULL();
}

#endif							/* SD_TESTING */
