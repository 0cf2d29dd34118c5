/*
 * analyze.c: schemadrift.analyze(): what a script would do, a row a statement.
 *
 * Runs in a backend with the rights of its caller; see analysis/analyze.h.
 */
#include "compat.h"

#include "commands/extension.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "analysis/analyze.h"
#include "gate/mode.h"
#include "gate/policy.h"
#include "store/rows.h"

PG_FUNCTION_INFO_V1(sd_analyze_script);

#define COLUMNS 17

static Datum
answer(SdRuleAnswer answer, bool *isnull)
{
	*isnull = answer == SD_ANSWER_DEPENDS || answer == SD_ANSWER_NONE;
	return BoolGetDatum(answer == SD_ANSWER_YES);
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

Datum
sd_analyze_script(PG_FUNCTION_ARGS)
{
	char	   *script = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SdGroundRules ground;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	(void) sd_gate_group_mode();	/* with the policy, which says what is local */
	ground = sd_gate_ground_rules(NULL);
	foreach(cell, sd_analyze(script, &ground))
	{
		SdStep	   *step = lfirst(cell);
		Datum		values[COLUMNS];
		bool		nulls[COLUMNS] = {false};

		values[0] = Int32GetDatum(step->number);
		values[1] = Int32GetDatum(step->line);
		values[2] = CStringGetTextDatum(step->command);
		values[3] = sd_row_texts(step->objects);
		values[4] = CStringGetTextDatum(sd_step_verdict_name(step->verdict));
		values[5] = CStringGetTextDatum(step->rule);
		values[6] = sd_row_texts(step->rules);
		values[7] = CStringGetTextDatum(step->lock);
		values[8] = sd_row_texts(step->rewrites);
		values[9] = sd_row_texts(step->scans);
		values[10] = answer(step->backward, &nulls[10]);
		values[11] = answer(step->forward, &nulls[11]);
		values[12] = CStringGetTextDatum(step->gate);
		values[13] = CStringGetTextDatum(step->reversible);
		values[14] = text_or_null(step->why, &nulls[14]);
		values[15] = text_or_null(step->safer, &nulls[15]);
		values[16] = text_or_null(sd_step_restores_name(step->restores), &nulls[16]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
