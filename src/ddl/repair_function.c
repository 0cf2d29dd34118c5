/*
 * repair_function.c: functions, procedures and aggregates elsewhere made what they are here; see repair_item.h.
 *
 * Backends.
 */
#include "compat.h"

#include "catalog/pg_type.h"

#include "ddl/repair_item.h"

static char *
function_definition(Oid function)
{
	static SdStatement statement = {.sql = "SELECT rtrim(pg_get_functiondef($1), E'\\n')", .nargs = 1, .types = {OIDOID}};

	return sd_repair_ask(&statement, function);
}

static char *
aggregate_definition(Oid function)
{
	static SdStatement statement = {
		.sql = "SELECT format(E'CREATE OR REPLACE AGGREGATE %I.%I(%s) (\\n\\t%s\\n)', n.nspname, p.proname, "
		"CASE WHEN p.pronargs = 0 THEN '*' ELSE pg_get_function_arguments(p.oid) END, concat_ws(E',\\n\\t', "
		"format('SFUNC = %s', a.aggtransfn), format('STYPE = %s', format_type(a.aggtranstype, NULL)), "
		"'SSPACE = ' || nullif(a.aggtransspace, 0), 'FINALFUNC = ' || nullif(a.aggfinalfn::oid, 0)::regproc, "
		"CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END, "
		"CASE WHEN a.aggfinalfn::oid <> 0 THEN 'FINALFUNC_MODIFY = ' || CASE a.aggfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END, "
		"'COMBINEFUNC = ' || nullif(a.aggcombinefn::oid, 0)::regproc, 'SERIALFUNC = ' || nullif(a.aggserialfn::oid, 0)::regproc, "
		"'DESERIALFUNC = ' || nullif(a.aggdeserialfn::oid, 0)::regproc, 'INITCOND = ' || quote_literal(a.agginitval), "
		"'MSFUNC = ' || nullif(a.aggmtransfn::oid, 0)::regproc, 'MINVFUNC = ' || nullif(a.aggminvtransfn::oid, 0)::regproc, "
		"CASE WHEN a.aggmtranstype <> 0 THEN 'MSTYPE = ' || format_type(a.aggmtranstype, NULL) END, 'MSSPACE = ' || nullif(a.aggmtransspace, 0), "
		"'MFINALFUNC = ' || nullif(a.aggmfinalfn::oid, 0)::regproc, CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END, "
		"CASE WHEN a.aggmfinalfn::oid <> 0 THEN 'MFINALFUNC_MODIFY = ' || CASE a.aggmfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END, "
		"'MINITCOND = ' || quote_literal(a.aggminitval), "
		"(SELECT format('SORTOP = OPERATOR(%I.%s)', s.nspname, o.oprname) FROM pg_operator o JOIN pg_namespace s ON s.oid = o.oprnamespace "
		"WHERE o.oid = a.aggsortop), "
		"CASE p.proparallel WHEN 's' THEN 'PARALLEL = SAFE' WHEN 'r' THEN 'PARALLEL = RESTRICTED' END, "
		"CASE WHEN a.aggkind = 'h' THEN 'HYPOTHETICAL' END)) "
		"FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = $1",
		.nargs = 1, .types = {OIDOID}
	};

	return sd_repair_ask(&statement, function);
}

static bool
is_aggregate(const SdRepairItem *item)
{
	return strcmp(item->kind, "aggregate") == 0;
}

void
sd_repair_create_function(SdRepairItem *item)
{
	sd_repair_do(item, SD_REPAIR_MAKE, *sd_repair_here(item, "library") ? "its library has to be installed there" : NULL, "%s",
				 is_aggregate(item) ? aggregate_definition(item->objid) : function_definition(item->objid));
}

/* Members of "({...} {...})". */
static int
count_members(const char *list)
{
	int			depth = 0;
	int			n = 0;

	for (const char *c = list; *c; c++)
	{
		if (*c == '"')
		{
			/* a constant's text */
			for (c++; *c && *c != '"'; c++)
				c += *c == '\\' && c[1];
			if (*c == '\0')
				break;
		}
		n += *c == '{' && depth == 1;
		depth += (*c == '{' || *c == '(') - (*c == '}' || *c == ')');
	}
	return n;
}

void
sd_repair_alter_function(SdRepairItem *item)
{
	static const char *const fixed[] = {"kind", "arguments", "returns", "set", "variadic", "aggregate kind", "direct arguments"};
	bool		replace = count_members(sd_repair_here(item, "defaults")) >= count_members(sd_repair_there(item, "defaults"));

	for (size_t i = 0; i < lengthof(fixed); i++)
		replace &= !sd_repair_differs(item, fixed[i]);
	if (replace)
		sd_repair_create_function(item);
	else
		sd_repair_replace(item, NULL);
}
