/*
 * diff.c: what differs between the schemas of two regions, down to the property.
 *
 * Runs in a backend, as a client of the regions: at most five calls to each, whatever the size of their schemas, unless
 * hundreds of objects differ.  Reads, and changes nothing.  Addresses are those that the coordinator uses; none is shown.
 */
#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "ddl/beside.h"
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

static void
put_changed(FunctionCallInfo fcinfo, const SdDifference *difference, const char *in_a, const char *in_b)
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
			.difference = difference, .word = difference->difference,
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
			put_changed(fcinfo, d, list_nth(of_a, n), list_nth(of_b, n));
			n++;
		}
	}
}

/* ---- what no digest counts ---- */

/* It differs as a whole, and that was said. */
static bool
is_in_one_only(List *differences, const SdBeside *object)
{
	ListCell   *lc;

	foreach(lc, differences)
	{
		SdDifference *d = lfirst(lc);

		if (strcmp(d->kind, object->kind) == 0 && strcmp(d->identity, object->identity) == 0)
			return strcmp(d->difference, SD_CHANGED) != 0;
	}
	return false;
}

/* One of them cannot say: never called a difference, and not mentioned where it is as the same statements leave it. */
static void
put_unverified(FunctionCallInfo fcinfo, SdDifference *d, const SdBeside *object, const char *in_a, const char *in_b)
{
	if (!object->apart)
		return;
	d->difference = "unverified";
	/* he who has all other rights, and not this one */
	if (strcmp(in_a, in_b) == 0)
		put_row(fcinfo, &(Row) {.difference = d, .word = d->difference, .property = "maintain"});
	else
		put_changed(fcinfo, d, in_a, in_b);
}

static void
put_beside(FunctionCallInfo fcinfo, const Diff *diff, List *differences)
{
	bool		known_a;
	bool		known_b;
	List	   *of_a = sd_side_beside(diff->a, &known_a);
	List	   *of_b = sd_side_beside(diff->b, &known_b);
	List	   *names = list_concat(list_copy(of_a), of_b);
	const SdBeside *last = NULL;
	ListCell   *lc;

	list_sort(names, sd_beside_compare);
	foreach(lc, names)
	{
		const SdBeside *object = lfirst(lc);
		SdDifference d = {.identity = object->identity, .difference = SD_CHANGED};
		const char *in_a = sd_beside_text(of_a, object->kind, object->identity);
		const char *in_b = sd_beside_text(of_b, object->kind, object->identity);

		if ((last && strcmp(last->kind, object->kind) == 0 && strcmp(last->identity, object->identity) == 0) ||
			is_in_one_only(differences, object))
			continue;
		last = object;
		d.kind = psprintf(SD_BESIDE_KIND "%s", object->kind);
		if (!known_a || !known_b)
			put_unverified(fcinfo, &d, object, in_a, in_b);
		else if (strcmp(in_a, in_b) != 0)
			put_changed(fcinfo, &d, in_a, in_b);
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
				 errhint("Name two regions, or another one than this. Whether a region is what the log says: SELECT * FROM schemadrift.drift;")));
	diff.a = side_of(&diff, a);
	diff.b = side_of(&diff, b);
	differences = sd_sides_differ(diff.a, diff.b);
	tell_versions(&diff);
	InitMaterializedSRF(fcinfo, 0);
	put_differences(fcinfo, &diff, differences);
	put_beside(fcinfo, &diff, differences);
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
