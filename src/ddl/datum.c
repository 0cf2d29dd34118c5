/*
 * datum.c: a value as text, without locks; see datum.h.
 *
 * Output functions take no locks, with one exception: record_out() opens the relation behind a composite type, and so waits
 * behind somebody's ALTER TABLE when the type is a table's row type.  So composites are taken apart here, by
 * system caches, and columns are named: a restored copy has no dropped ones.
 *
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/datum.h"
#include "ddl/names.h"

void
sd_append_quoted(StringInfo out, const char *string)
{
	appendStringInfoChar(out, '"');
	for (; *string; string++)
	{
		if (*string == '"' || *string == '\\')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, *string);
	}
	appendStringInfoChar(out, '"');
}

/* A descriptor built from pg_attribute by the system cache, so without opening the relation. */
static TupleDesc
describe_composite(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	TupleDesc	descriptor;
	int			natts;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);

	descriptor = CreateTemplateTupleDesc(natts);
	for (int i = 1; i <= natts; i++)
	{
		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(i));
		if (!HeapTupleIsValid(tuple))
			return NULL;
		memcpy(TupleDescAttr(descriptor, i - 1), GETSTRUCT(tuple), ATTRIBUTE_FIXED_PART_SIZE);
		/* a value older than a column lacks it: as for any composite value that reads as NULL, not as the table's default */
		TupleDescAttr(descriptor, i - 1)->atthasmissing = false;
		populate_compact_attribute(descriptor, i - 1);
		ReleaseSysCache(tuple);
	}
	return descriptor;
}

static void
append_composite(StringInfo out, Oid relation, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	TupleDesc	descriptor = describe_composite(relation);
	HeapTupleData tuple;
	Datum	   *values;
	bool	   *nulls;

	if (descriptor == NULL)
	{
		sd_append_relation(out, relation);
		return;
	}
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	values = palloc(descriptor->natts * sizeof(Datum));
	nulls = palloc(descriptor->natts * sizeof(bool));
	heap_deform_tuple(&tuple, descriptor, values, nulls);

	appendStringInfoChar(out, '(');
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(descriptor, i);

		if (column->attisdropped || nulls[i])
			continue;
		appendStringInfoChar(out, ' ');
		sd_append_identifier(out, NameStr(column->attname));
		appendStringInfoChar(out, ' ');
		sd_append_datum(out, column->atttypid, values[i]);
	}
	appendStringInfoChar(out, ')');
}

static void
append_composite_array(StringInfo out, Oid element, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int16		length;
	bool		byval;
	char		align;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	get_typlenbyvalalign(element, &length, &byval, &align);
	deconstruct_array(array, element, length, byval, align, &elements, &nulls, &n);
	appendStringInfoChar(out, '[');
	for (int i = 0; i < ARR_NDIM(array); i++)
		appendStringInfo(out, " %d:%d", ARR_LBOUND(array)[i], ARR_DIMS(array)[i]);
	for (int i = 0; i < n; i++)
	{
		appendStringInfoChar(out, ' ');
		if (nulls[i])
			appendStringInfoString(out, "NULL");
		else
			sd_append_datum(out, element, elements[i]);
	}
	appendStringInfoChar(out, ']');
}

void
sd_append_datum(StringInfo out, Oid type, Datum value)
{
	Oid			base = getBaseType(type);
	Oid			relation = get_typ_typrelid(base);
	Oid			element;
	Oid			function;
	bool		is_varlena;

	check_stack_depth();
	if (OidIsValid(relation))
	{
		append_composite(out, relation, value);
		return;
	}
	element = get_element_type(base);
	if (OidIsValid(element) && OidIsValid(get_typ_typrelid(getBaseType(element))))
	{
		append_composite_array(out, element, value);
		return;
	}
	getTypeOutputInfo(base, &function, &is_varlena);
	sd_append_quoted(out, OidOutputFunctionCall(function, value));
}
