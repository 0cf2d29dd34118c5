/*
 * guards.c: the triggers that keep everybody but our own code out of the store's tables.
 *
 * A FOR ALL TABLES publication ships our tables like any other, and the subscriber's apply worker would overwrite a
 * promise with a lower one (measured).  guard_row is enabled for replicated changes only and discards them;
 * guard_truncate refuses, always.
 */
#include "compat.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "consensus/mistakes.h"

PG_FUNCTION_INFO_V1(sd_guard_row);
PG_FUNCTION_INFO_V1(sd_guard_truncate);

static TriggerData *
trigger_data(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("the guards of schemadrift_store can only be called as triggers")));
	return (TriggerData *) fcinfo->context;
}

Datum
sd_guard_row(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo);

	if (SD_MISTAKE(REPLICATED_STATE))
		return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple);
	return PointerGetDatum(NULL);	/* before a row change: leave the row as it is */
}

Datum
sd_guard_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo);

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot truncate \"%s\"", RelationGetRelationName(data->tg_relation)),
			 errdetail("It holds this region's votes and its copy of the log."),
			 errhint("To take this database out of its group, use schemadrift.leave().")));
	return PointerGetDatum(NULL);
}
