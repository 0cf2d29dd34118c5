/*
 * testing.c: looks into the gate for the regression tests; in the test build only.
 *
 * The tests declare these functions themselves, so that no install script mentions them.
 */
#include "compat.h"

#ifdef SD_TESTING

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

#include "ddl/capture.h"
#include "ddl/classify.h"
#include "ddl/script.h"
#include "gate/mode.h"

PG_FUNCTION_INFO_V1(sd_testing_classify);
PG_FUNCTION_INFO_V1(sd_testing_needs);
PG_FUNCTION_INFO_V1(sd_testing_group_mode);
PG_FUNCTION_INFO_V1(sd_testing_local);
PG_FUNCTION_INFO_V1(sd_testing_captured);
PG_FUNCTION_INFO_V1(sd_testing_captured_json);
PG_FUNCTION_INFO_V1(sd_testing_script);
PG_FUNCTION_INFO_V1(sd_testing_replay);

static Node *
one_statement(text *sql)
{
	return linitial_node(RawStmt, raw_parser(text_to_cstring(sql), RAW_PARSE_DEFAULT))->stmt;
}

/* classify(sql) returns text: class, then reason */
Datum
sd_testing_classify(PG_FUNCTION_ARGS)
{
	SdVerdict	verdict;

	sd_classify(one_statement(PG_GETARG_TEXT_PP(0)), sd_gate_is_local_name, &verdict);
	PG_RETURN_TEXT_P(cstring_to_text(verdict.reason ?
									 psprintf("%s: %s", sd_class_name(verdict.class), verdict.reason) :
									 sd_class_name(verdict.class)));
}

/* needs(sql) returns text[] */
Datum
sd_testing_needs(PG_FUNCTION_ARGS)
{
	List	   *needs = sd_classify_needs(one_statement(PG_GETARG_TEXT_PP(0)));
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, needs)
		appendStringInfo(&out, "%s%s", out.len > 0 ? " " : "", (char *) lfirst(cell));
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

/* group_mode(mode) */
Datum
sd_testing_group_mode(PG_FUNCTION_ARGS)
{
	char	   *mode = text_to_cstring(PG_GETARG_TEXT_PP(0));

	sd_testing_set_group_mode(strcmp(mode, "observe") == 0 ? SD_MODE_OBSERVE :
							  strcmp(mode, "coordinate") == 0 ? SD_MODE_COORDINATE :
							  strcmp(mode, "require_apply") == 0 ? SD_MODE_REQUIRE_APPLY : SD_MODE_DEFAULT);
	PG_RETURN_VOID();
}

/* local(pattern) */
Datum
sd_testing_local(PG_FUNCTION_ARGS)
{
	sd_testing_set_local(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/* captured() returns setof record(disposition, class, tag, user, local_user, search_path, text) of this transaction */
Datum
sd_testing_captured(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"coordinate", "observe", "bypass"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int d = SD_DISPOSE_COORDINATE; d <= SD_DISPOSE_BYPASS; d++)
	{
		ListCell   *cell;

		foreach(cell, sd_capture_commands(d))
		{
			SdCommand  *command = lfirst(cell);
			Datum		values[7];
			bool		nulls[7] = {false};

			values[0] = CStringGetTextDatum(names[d]);
			values[1] = CStringGetTextDatum(sd_class_name(command->class));
			values[2] = CStringGetTextDatum(command->tag);
			values[3] = CStringGetTextDatum(command->run_as->user);
			values[4] = BoolGetDatum(command->run_as->local_user);
			values[5] = CStringGetTextDatum(command->run_as->values[0]);
			values[6] = CStringGetTextDatum(command->text);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

/* captured_json() returns text: written, read, and written again */
Datum
sd_testing_captured_json(PG_FUNCTION_ARGS)
{
	char	   *json = sd_commands_to_json(sd_capture_commands(SD_DISPOSE_COORDINATE));
	char	   *again = sd_commands_to_json(sd_commands_from_json(json));
	List	   *a = sd_commands_from_json(json);
	List	   *b = sd_commands_from_json(again);
	ListCell   *ca;
	ListCell   *cb;

	(void) fcinfo;
	forboth(ca, a, cb, b)
	{
		if (strcmp(((SdCommand *) lfirst(ca))->text, ((SdCommand *) lfirst(cb))->text) != 0)
			elog(ERROR, "command changed on the way through JSON");
	}
	PG_RETURN_TEXT_P(cstring_to_text(again));
}

/* script(sql): as apply() runs it */
Datum
sd_testing_script(PG_FUNCTION_ARGS)
{
	SdScript   *script = sd_script_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	sd_capture_begin_script();
	sd_script_run(script, SD_EXECUTING_SCRIPT);
	PG_RETURN_INT32(sd_script_statements(script));
}

/* replay(json): as the applier runs plain DDL */
Datum
sd_testing_replay(PG_FUNCTION_ARGS)
{
	ListCell   *cell;

	foreach(cell, sd_commands_from_json(text_to_cstring(PG_GETARG_TEXT_PP(0))))
		sd_command_execute(lfirst(cell));
	PG_RETURN_VOID();
}

#endif
