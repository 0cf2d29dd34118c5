/*
 * diff.c: what differs between the schemas of two regions, down to the property.
 *
 * Runs in a backend, as a client of the regions: at most four calls to each, whatever the size of their schemas, unless
 * hundreds of objects differ.  Reads, and changes nothing.  Addresses are those that the coordinator uses; none is shown.
 */
#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "ddl/properties.h"
#include "functions/compare.h"
#include "functions/group.h"
#include "functions/regions.h"

PG_FUNCTION_INFO_V1(sd_diff);
PG_FUNCTION_INFO_V1(sd_differing);

#define NAMED_MOST		3		/* properties in a row of view drift */

typedef struct Diff
{
	SdRegions	regions;
	SdSide	   *a;
	SdSide	   *b;
} Diff;

/* ---- the regions ---- */

static SdSide *
side_of(const Diff *diff, const char *region)
{
	SdClient   *client = sd_region_connect(&diff->regions, region);

	return client ? sd_side_there(client, region) : sd_side_here(region);
}

static void
tell_versions(const Diff *diff)
{
	if (diff->a->version != diff->b->version)
		ereport(NOTICE,
				(errmsg("the regions are at different versions, so some of this is only late"),
				 errdetail("Region \"%s\" is at version " INT64_FORMAT ", region \"%s\" at version " INT64_FORMAT ".",
						   diff->a->region, diff->a->version, diff->b->region, diff->b->version)));
}

static Datum
shown(const char *value, const char *other, bool *isnull)
{
	*isnull = value == NULL;
	return value ? CStringGetTextDatum(sd_property_shown(value, other)) : (Datum) 0;
}

/* ---- rows ---- */

typedef struct Row
{
	const SdDifference *difference;
	const char *word;
	const char *property;
	const char *in_a;
	const char *in_b;
} Row;

static void
put_row(FunctionCallInfo fcinfo, const Row *row)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[6];
	bool		nulls[6] = {false};

	values[0] = CStringGetTextDatum(row->difference->kind);
	values[1] = CStringGetTextDatum(row->difference->identity);
	values[2] = CStringGetTextDatum(row->word);
	nulls[3] = row->property == NULL;
	values[3] = row->property ? CStringGetTextDatum(row->property) : (Datum) 0;
	values[4] = shown(row->in_a, row->in_b, &nulls[4]);
	values[5] = shown(row->in_b, row->in_a, &nulls[5]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Lines of privileges without this right; a line with no other goes. */
static char *
without_right(const char *lines, const char *right)
{
	StringInfoData out;
	char	   *copy = pstrdup(lines ? lines : "");
	char	   *rest;

	initStringInfo(&out);
	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
	{
		/* after the names, which are in quotes and may have anything in them */
		char	   *names = strrchr(line, '"');
		const char *separator = ":";
		int			before = out.len;
		char	   *more;

		names = names ? names + 1 : line;
		appendBinaryStringInfo(&out, line, names - line);
		for (char *word = strtok_r(names, ":, ", &more); word; word = strtok_r(NULL, ":, ", &more))
			if (strncmp(word, right, strlen(right)) != 0)
			{
				appendStringInfo(&out, "%s %s", separator, word);
				separator = ",";
			}
		appendStringInfoChar(&out, '\n');
		if (*separator == ':')
		{
			out.len = before;
			out.data[before] = '\0';
		}
	}
	return out.data;
}

/*
 * What one of two majors does not have: MAINTAIN, of 17 (docs/fingerprint.md).  Of that nothing can be said.
 */
static bool
comparable(const Diff *diff, const SdPropertyDifference *property)
{
	if ((diff->a->major < 17) == (diff->b->major < 17) || strcmp(property->property, "privileges") != 0)
		return true;
	return strcmp(without_right(property->a, "maintain"), without_right(property->b, "maintain")) != 0;
}

static void
put_changed(FunctionCallInfo fcinfo, const Diff *diff, const SdDifference *difference, const char *in_a, const char *in_b)
{
	ListCell   *lc;
	List	   *properties = sd_properties_differ(in_a, in_b);

	/* too long to be sent, or equal by now */
	if (properties == NIL)
		put_row(fcinfo, &(Row) {.difference = difference, .word = difference->difference});
	foreach(lc, properties)
	{
		SdPropertyDifference *property = lfirst(lc);

		put_row(fcinfo, &(Row) {
			.difference = difference, .word = comparable(diff, property) ? difference->difference : "unverified",
			.property = property->property,
			.in_a = property->a, .in_b = property->b
		});
	}
}

static void
put_differences(FunctionCallInfo fcinfo, const Diff *diff, List *differences)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;
	List	   *of_a;
	List	   *of_b;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, differences)
	{
		SdDifference *d = lfirst(lc);

		if (strcmp(d->difference, SD_CHANGED) != 0)
			continue;
		kinds = lappend(kinds, d->kind);
		identities = lappend(identities, d->identity);
	}
	of_a = sd_side_definitions(diff->a, kinds, identities);
	of_b = sd_side_definitions(diff->b, kinds, identities);
	foreach(lc, differences)
	{
		SdDifference *d = lfirst(lc);

		if (strcmp(d->difference, SD_CHANGED) != 0)
			put_row(fcinfo, &(Row) {.difference = d, .word = d->difference});
		else
		{
			put_changed(fcinfo, diff, d, list_nth(of_a, n), list_nth(of_b, n));
			n++;
		}
	}
}

Datum
sd_diff(PG_FUNCTION_ARGS)
{
	Diff		diff;
	char	   *a = sd_group_text_arg(fcinfo, 0, "region_a");
	char	   *b;
	List	   *differences;

	sd_regions_read(&diff.regions);
	b = PG_ARGISNULL(1) ? diff.regions.self.region : text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (strcmp(a, b) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("region \"%s\" is compared with itself", a),
				 errhint("Name two regions, or another one than this. Whether a region is what the log says: SELECT * FROM schemadrift.drift.")));
	diff.a = side_of(&diff, a);
	diff.b = side_of(&diff, b);
	differences = sd_sides_differ(diff.a, diff.b);
	tell_versions(&diff);
	InitMaterializedSRF(fcinfo, 0);
	put_differences(fcinfo, &diff, differences);
	return (Datum) 0;
}

/* For view drift; null: they differ in nothing. */
Datum
sd_differing(PG_FUNCTION_ARGS)
{
	List	   *properties = sd_properties_differ(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)));

	if (properties == NIL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(sd_properties_names(properties, NAMED_MOST)));
}
