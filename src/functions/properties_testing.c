/*
 * properties_testing.c: test build only: what differs between two definitions.
 *
 * t/035_properties.pl declares the function for itself; a release has no such symbol.
 */
#ifdef SD_TESTING

#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "ddl/properties.h"

PG_FUNCTION_INFO_V1(sd_testing_properties);

static char *
text_arg(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static void
put(ReturnSetInfo *result, const char *property, const char *a, const char *b)
{
	const char *texts[3] = {property, a, b};
	Datum		values[3] = {0};
	bool		nulls[3];

	for (int i = 0; i < 3; i++)
	{
		nulls[i] = texts[i] == NULL;
		if (texts[i])
			values[i] = CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* (a, b) -> (property, a, b), the last row being what sd_properties_names() makes of it with at most two */
Datum
sd_testing_properties(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *differences = sd_properties_differ(text_arg(fcinfo, 0), text_arg(fcinfo, 1));
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, differences)
	{
		SdPropertyDifference *difference = lfirst(lc);

		put(result, difference->property, difference->a, difference->b);
	}
	put(result, NULL, sd_properties_names(differences, 2), NULL);
	return (Datum) 0;
}

#endif							/* SD_TESTING */
