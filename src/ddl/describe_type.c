/*
 * describe_type.c: canonical definitions of types and domains; see describe.h.
 *
 * Row types of tables, array types and multiranges are no objects by themselves: they follow from the table, the element, the
 * range.  Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/datum.h"
#include "ddl/describe.h"
#include "ddl/names.h"
#include "ddl/rows.h"

static void
append_function_or_none(StringInfo out, Oid oid)
{
	if (OidIsValid(oid))
		sd_append_function(out, oid);
}

typedef struct Label
{
	float4		order;
	Oid			oid;
	char		label[NAMEDATALEN];
} Label;

static int
compare_order(const void *a, const void *b)
{
	float4		difference = ((const Label *) a)->order - ((const Label *) b)->order;

	return difference < 0 ? -1 : difference > 0;
}

static void
put_enum(SdDescription *description, Oid type)
{
	Relation	catalog = table_open(EnumRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			size = 16;
	int			n = 0;
	Label	   *labels = palloc(size * sizeof(Label));

	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(type));
	scan = systable_beginscan(catalog, EnumTypIdLabelIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_enum row = (Form_pg_enum) GETSTRUCT(tuple);

		if (n == size)
		{
			size *= 2;
			labels = repalloc(labels, size * sizeof(Label));
		}
		labels[n].order = row->enumsortorder;
		labels[n].oid = row->oid;
		strlcpy(labels[n].label, NameStr(row->enumlabel), NAMEDATALEN);
		n++;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	qsort(labels, n, sizeof(Label), compare_order);
	for (int i = 0; i < n; i++)
	{
		StringInfoData quoted;

		initStringInfo(&quoted);
		sd_append_quoted(&quoted, labels[i].label);
		sd_put(description, "label", quoted.data);
		/* constants of this type are written with their labels */
		sd_add_name(description, labels[i].label, labels[i].oid);
	}
	pfree(labels);
}

static void
put_composite(SdDescription *description, Oid relation)
{
	HeapTuple	tuple = sd_rows_relation(relation);
	int			natts;

	if (!HeapTupleIsValid(tuple))
		return;
	natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	for (int i = 1; i <= natts; i++)
	{
		Form_pg_attribute column;

		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(i));
		if (!HeapTupleIsValid(tuple))
			continue;
		column = (Form_pg_attribute) GETSTRUCT(tuple);
		if (!column->attisdropped)
		{
			StringInfoData line;

			initStringInfo(&line);
			sd_append_identifier(&line, NameStr(column->attname));
			appendStringInfoChar(&line, ' ');
			sd_append_type(&line, column->atttypid, column->atttypmod);
			if (OidIsValid(column->attcollation) && column->attcollation != get_typcollation(column->atttypid))
			{
				appendStringInfoString(&line, " collate ");
				sd_append_collation(&line, column->attcollation);
			}
			sd_put(description, "attribute", line.data);
			sd_add_name(description, NameStr(column->attname), i);
		}
		ReleaseSysCache(tuple);
	}
}

static void
put_domain(SdDescription *description, HeapTuple tuple)
{
	Form_pg_type type = (Form_pg_type) GETSTRUCT(tuple);
	Datum		initial;
	bool		isnull;

	sd_put_type(description, "base", type->typbasetype, type->typtypmod);
	if (OidIsValid(type->typcollation) && type->typcollation != get_typcollation(type->typbasetype))
		sd_put_name(description, "collation", sd_append_collation, type->typcollation);
	sd_put_flag(description, "not null", type->typnotnull);
	initial = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefaultbin, &isnull);
	sd_put_expression(description, "default", initial, isnull, InvalidOid);
}

static void
put_range(SdDescription *description, Oid type)
{
	HeapTuple	tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	Form_pg_range range;

	if (!HeapTupleIsValid(tuple))
		return;
	range = (Form_pg_range) GETSTRUCT(tuple);
	sd_put_type(description, "subtype", range->rngsubtype, -1);
	sd_put_type(description, "multirange", range->rngmultitypid, -1);
	sd_put_name(description, "operator class", sd_append_opclass, range->rngsubopc);
	sd_put_name(description, "collation", sd_append_collation, range->rngcollation);
	sd_put_name(description, "canonical", append_function_or_none, range->rngcanonical);
	sd_put_name(description, "difference", append_function_or_none, range->rngsubdiff);
	ReleaseSysCache(tuple);
}

static void
put_base(SdDescription *description, HeapTuple tuple)
{
	Form_pg_type type = (Form_pg_type) GETSTRUCT(tuple);
	Datum		value;
	bool		isnull;

	sd_put_flag(description, "shell", !type->typisdefined);
	sd_put_int(description, "length", type->typlen, 0);
	sd_put_flag(description, "by value", type->typbyval);
	sd_put_char(description, "alignment", type->typalign, '\0');
	sd_put_char(description, "storage", type->typstorage, '\0');
	sd_put_char(description, "category", type->typcategory, '\0');
	sd_put_flag(description, "preferred", type->typispreferred);
	sd_put_char(description, "delimiter", type->typdelim, ',');
	sd_put_type(description, "element", type->typelem, -1);
	sd_put_name(description, "collation", sd_append_collation, type->typcollation);
	sd_put_name(description, "subscript", append_function_or_none, type->typsubscript);
	sd_put_name(description, "input", append_function_or_none, type->typinput);
	sd_put_name(description, "output", append_function_or_none, type->typoutput);
	sd_put_name(description, "receive", append_function_or_none, type->typreceive);
	sd_put_name(description, "send", append_function_or_none, type->typsend);
	sd_put_name(description, "typmod in", append_function_or_none, type->typmodin);
	sd_put_name(description, "typmod out", append_function_or_none, type->typmodout);
	sd_put_name(description, "analyze", append_function_or_none, type->typanalyze);
	value = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefault, &isnull);
	sd_put(description, "default", isnull ? NULL : TextDatumGetCString(value));
}

typedef struct SdArrayTypes
{
	int			n;
	Oid		   *oids;			/* sorted */
} SdArrayTypes;

SdArrayTypes *
sd_read_array_types(void)
{
	SdArrayTypes *arrays = palloc(sizeof(SdArrayTypes));
	Relation	catalog = table_open(TypeRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	int			size = 1024;
	HeapTuple	tuple;

	arrays->n = 0;
	arrays->oids = palloc(size * sizeof(Oid));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			array = ((Form_pg_type) GETSTRUCT(tuple))->typarray;

		if (array < FirstNormalObjectId)
			continue;
		if (arrays->n == size)
		{
			size *= 2;
			arrays->oids = repalloc_huge(arrays->oids, size * sizeof(Oid));
		}
		arrays->oids[arrays->n++] = array;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	qsort(arrays->oids, arrays->n, sizeof(Oid), oid_cmp);
	return arrays;
}

/* Is it the array type that its elements' type has by itself? */
static bool
is_array_type(SdDescriber *describer, Form_pg_type type)
{
	HeapTuple	tuple;
	bool		result;

	if (!OidIsValid(type->typelem))
		return false;
	if (describer->arrays)
		return bsearch(&type->oid, describer->arrays->oids, describer->arrays->n, sizeof(Oid), oid_cmp) != NULL;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type->typelem));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_type) GETSTRUCT(tuple))->typarray == type->oid;
	ReleaseSysCache(tuple);
	return result;
}

/* Follows from something else. */
static bool
is_derived(SdDescriber *describer, Form_pg_type type)
{
	HeapTuple	tuple;

	if (type->typtype == TYPTYPE_MULTIRANGE)
		return true;
	if (type->typtype == TYPTYPE_COMPOSITE)
	{
		tuple = sd_rows_relation(type->typrelid);
		return !HeapTupleIsValid(tuple) || ((Form_pg_class) GETSTRUCT(tuple))->relkind != RELKIND_COMPOSITE_TYPE;
	}
	return is_array_type(describer, type);
}

bool
sd_describe_type(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_type type = (Form_pg_type) GETSTRUCT(tuple);

	if (!sd_name_is_covered(describer, type->typnamespace, NameStr(type->typname)) || is_derived(describer, type) ||
		sd_is_extension_member(describer, TypeRelationId, type->oid))
		return false;
	description->kind = type->typtype == TYPTYPE_DOMAIN ? "domain" : "type";
	description->objid = type->oid;
	sd_append_qualified(&description->identity, type->typnamespace, NameStr(type->typname));
	sd_put_char(description, "kind", type->typtype, '\0');

	switch (type->typtype)
	{
		case TYPTYPE_ENUM:
			put_enum(description, type->oid);
			break;
		case TYPTYPE_COMPOSITE:
			put_composite(description, type->typrelid);
			sd_put_notes(describer, description, RelationRelationId, type->typrelid);
			break;
		case TYPTYPE_DOMAIN:
			put_domain(description, tuple);
			break;
		case TYPTYPE_RANGE:
			put_range(description, type->oid);
			break;
		default:
			put_base(description, tuple);
			break;
	}
	return true;
}
