/*
 * text.c: schemadrift.migration_text(): what a version of the log runs.
 *
 * Runs in backends; reads the log with the owner's rights, for those who may see it: administrators, migrators, and who
 * wrote it.  The views show no text, because statements carry data (a default, a comment, rows).
 */
#include "compat.h"

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "ddl/capture.h"
#include "functions/group.h"
#include "store/state.h"

PG_FUNCTION_INFO_V1(sd_migration_text);

/* The statements of plain DDL, one after another. */
static char *
commands_text(Jsonb *commands)
{
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	foreach(lc, sd_commands_from_json(sd_json_serialized(commands)))
		appendStringInfo(&out, "%s%s;", out.len > 0 ? "\n" : "", ((SdCommand *) lfirst(lc))->text);
	return out.data;
}

Datum
sd_migration_text(PG_FUNCTION_ARGS)
{
	int64		version = PG_GETARG_INT64(0);
	TupleDesc	desc;
	Datum		values[2] = {0};
	bool		nulls[2] = {true, true};
	SdScope		scope;
	SdEntry    *entry;
	char	   *author = NULL;
	char	   *up = NULL;
	char	   *down = NULL;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	sd_store_enter(&scope);
	entry = sd_log_entry(version);
	MemoryContextSwitchTo(scope.caller);
	if (entry)
	{
		Jsonb	   *payload = sd_entry_payload(entry);
		Jsonb	   *commands = sd_json_object(payload, "commands");

		author = pstrdup(entry->author);
		up = commands ? commands_text(commands) : sd_json_text(payload, "up");
		down = sd_json_text(payload, "down");
	}
	sd_store_leave(&scope);

	/* as for every function of the server, who may not is told so whether or not there is something to see */
	if (!sd_group_has_role("schemadrift_admin") && !sd_group_has_role("schemadrift_migrator") && (author == NULL || !sd_group_has_role(author)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the text of version " INT64_FORMAT, version),
				 errdetail("It is shown to members of schemadrift_admin and schemadrift_migrator, and to its author.")));
	if (up)
	{
		values[0] = CStringGetTextDatum(up);
		nulls[0] = false;
	}
	if (down)
	{
		values[1] = CStringGetTextDatum(down);
		nulls[1] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
