/*
 * describe_operator.c: canonical definitions of operators, their classes and families, access methods and casts; see describe.h.
 *
 * The members of a family are told with the family, not with the class that they came with: indexes use them alike.
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/describe.h"
#include "ddl/names.h"

/* A link may be left that leads nowhere: it means nothing. */
static void
put_linked(SdDescription *description, const char *property, Oid operator)
{
	if (SearchSysCacheExists1(OPEROID, ObjectIdGetDatum(operator)))
		sd_put_name(description, property, sd_append_operator, operator);
}

bool
sd_describe_operator(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_operator operator = (Form_pg_operator) GETSTRUCT(tuple);

	if (!sd_name_is_covered(describer, operator->oprnamespace, NameStr(operator->oprname)) ||
		sd_is_extension_member(describer, OperatorRelationId, operator->oid))
		return false;
	description->kind = "operator";
	description->objid = operator->oid;
	sd_append_operator(&description->identity, operator->oid);

	/* another operator's commutator or negator that is still to be made */
	sd_put_flag(description, "shell", !OidIsValid(operator->oprcode));
	sd_put_name(description, "function", sd_append_function, operator->oprcode);
	sd_put_type(description, "result", operator->oprresult, -1);
	put_linked(description, "commutator", operator->oprcom);
	put_linked(description, "negator", operator->oprnegate);
	sd_put_name(description, "restrict", sd_append_function, operator->oprrest);
	sd_put_name(description, "join", sd_append_function, operator->oprjoin);
	sd_put_flag(description, "merges", operator->oprcanmerge);
	sd_put_flag(description, "hashes", operator->oprcanhash);
	return true;
}

static void
append_method(SdDescription *description, Oid method)
{
	appendStringInfoString(&description->identity, " using ");
	sd_append_access_method(&description->identity, method);
}

bool
sd_describe_opclass(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_opclass opclass = (Form_pg_opclass) GETSTRUCT(tuple);

	if (!sd_begin_in_schema(describer, description, "operator class", opclass->oid,
							opclass->opcnamespace, NameStr(opclass->opcname)))
		return false;
	append_method(description, opclass->opcmethod);
	sd_put_type(description, "type", opclass->opcintype, -1);
	sd_put_name(description, "family", sd_append_opfamily, opclass->opcfamily);
	sd_put_flag(description, "default", opclass->opcdefault);
	sd_put_type(description, "storage", opclass->opckeytype, -1);
	return true;
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The indexes are sorted by the types' OIDs. */
static void
put_sorted(SdDescription *description, const char *property, char **lines, int n)
{
	qsort(lines, n, sizeof(char *), compare_strings);
	for (int i = 0; i < n; i++)
		sd_put(description, property, lines[i]);
}

static void
begin_member(StringInfo line, int number, Oid left, Oid right)
{
	initStringInfo(line);
	appendStringInfo(line, "%d (", number);
	sd_append_type(line, left, -1);
	appendStringInfoString(line, ", ");
	sd_append_type(line, right, -1);
	appendStringInfoString(line, ") ");
}

static char *
operator_line(HeapTuple tuple)
{
	Form_pg_amop member = (Form_pg_amop) GETSTRUCT(tuple);
	StringInfoData line;

	begin_member(&line, member->amopstrategy, member->amoplefttype, member->amoprighttype);
	sd_append_operator(&line, member->amopopr);
	if (OidIsValid(member->amopsortfamily))
	{
		appendStringInfoString(&line, " for order by ");
		sd_append_opfamily(&line, member->amopsortfamily);
	}
	return line.data;
}

static char *
function_line(HeapTuple tuple)
{
	Form_pg_amproc member = (Form_pg_amproc) GETSTRUCT(tuple);
	StringInfoData line;

	begin_member(&line, member->amprocnum, member->amproclefttype, member->amprocrighttype);
	sd_append_function(&line, member->amproc);
	return line.data;
}

static void
put_members(SdDescription *description, const char *property, Oid family,
			Oid catalog_oid, Oid index, AttrNumber family_column, char *(*line) (HeapTuple tuple))
{
	Relation	catalog = table_open(catalog_oid, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			size = 16;
	int			n = 0;
	char	  **lines = palloc(size * sizeof(char *));

	ScanKeyInit(&key, family_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(family));
	scan = systable_beginscan(catalog, index, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (n == size)
		{
			size *= 2;
			lines = repalloc(lines, size * sizeof(char *));
		}
		lines[n++] = line(tuple);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	put_sorted(description, property, lines, n);
}

bool
sd_describe_opfamily(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_opfamily family = (Form_pg_opfamily) GETSTRUCT(tuple);

	if (!sd_begin_in_schema(describer, description, "operator family", family->oid,
							family->opfnamespace, NameStr(family->opfname)))
		return false;
	append_method(description, family->opfmethod);
	put_members(description, "operator", family->oid, AccessMethodOperatorRelationId,
				AccessMethodStrategyIndexId, Anum_pg_amop_amopfamily, operator_line);
	put_members(description, "function", family->oid, AccessMethodProcedureRelationId,
				AccessMethodProcedureIndexId, Anum_pg_amproc_amprocfamily, function_line);
	return true;
}

bool
sd_describe_access_method(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_am method = (Form_pg_am) GETSTRUCT(tuple);

	if (!sd_begin_without_schema(describer, description, "access method", method->oid))
		return false;
	sd_append_identifier(&description->identity, NameStr(method->amname));
	sd_put_char(description, "type", method->amtype, '\0');
	sd_put_name(description, "handler", sd_append_function, method->amhandler);
	return true;
}

static bool
is_of_range(Form_pg_cast cast)
{
	HeapTuple	function = SearchSysCache1(PROCOID, ObjectIdGetDatum(cast->castfunc));
	bool		result = HeapTupleIsValid(function) && sd_is_range_constructor(function);

	if (HeapTupleIsValid(function))
		ReleaseSysCache(function);
	return result;
}

bool
sd_describe_cast(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_cast cast = (Form_pg_cast) GETSTRUCT(tuple);

	if (!sd_begin_without_schema(describer, description, "cast", cast->oid) || is_of_range(cast))
		return false;
	appendStringInfoChar(&description->identity, '(');
	sd_append_type(&description->identity, cast->castsource, -1);
	appendStringInfoString(&description->identity, " as ");
	sd_append_type(&description->identity, cast->casttarget, -1);
	appendStringInfoChar(&description->identity, ')');

	sd_put_name(description, "function", sd_append_function, cast->castfunc);
	sd_put_char(description, "context", cast->castcontext, COERCION_CODE_EXPLICIT);
	sd_put_char(description, "method", cast->castmethod, COERCION_METHOD_FUNCTION);
	return true;
}
