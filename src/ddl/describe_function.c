/*
 * describe_function.c: canonical definitions of functions, procedures and aggregates; see describe.h.
 *
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "ddl/canonical.h"
#include "ddl/describe.h"
#include "ddl/names.h"

static Datum
get(HeapTuple tuple, AttrNumber column, bool *isnull)
{
	return SysCacheGetAttr(PROCOID, tuple, column, isnull);
}

/* One line an argument, result columns of RETURNS TABLE included: mode, name, type. */
static void
put_arguments(SdDescription *description, HeapTuple tuple)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	Datum	   *types = NULL;
	Datum	   *names = NULL;
	Datum	   *modes = NULL;
	int			n = proc->pronargs;
	int			nnames = 0;
	int			nmodes = 0;
	Datum		value;
	bool		isnull;

	value = get(tuple, Anum_pg_proc_proallargtypes, &isnull);
	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(value), OIDOID, 4, true, TYPALIGN_INT, &types, NULL, &n);
	value = get(tuple, Anum_pg_proc_proargnames, &isnull);
	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &nnames);
	value = get(tuple, Anum_pg_proc_proargmodes, &isnull);
	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(value), CHAROID, 1, true, TYPALIGN_CHAR, &modes, NULL, &nmodes);

	for (int i = 0; i < n; i++)
	{
		StringInfoData line;
		char	   *name = i < nnames ? TextDatumGetCString(names[i]) : "";

		initStringInfo(&line);
		if (i < nmodes && DatumGetChar(modes[i]) != PROARGMODE_IN)
			appendStringInfo(&line, "%c ", DatumGetChar(modes[i]));
		if (*name)
		{
			sd_append_identifier(&line, name);
			appendStringInfoChar(&line, ' ');
		}
		sd_append_type(&line, types ? DatumGetObjectId(types[i]) : proc->proargtypes.values[i], -1);
		sd_put(description, "argument", line.data);
	}
	value = get(tuple, Anum_pg_proc_proargdefaults, &isnull);
	sd_put_expression(description, "defaults", value, isnull, InvalidOid);
}

static void
put_aggregate(SdDescription *description, Oid function)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(function));
	Form_pg_aggregate aggregate;
	Datum		value;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return;
	aggregate = (Form_pg_aggregate) GETSTRUCT(tuple);
	sd_put_char(description, "aggregate kind", aggregate->aggkind, AGGKIND_NORMAL);
	sd_put_int(description, "direct arguments", aggregate->aggnumdirectargs, 0);
	sd_put_name(description, "transition", sd_append_function, aggregate->aggtransfn);
	sd_put_name(description, "final", sd_append_function, aggregate->aggfinalfn);
	sd_put_name(description, "combine", sd_append_function, aggregate->aggcombinefn);
	sd_put_name(description, "serialize", sd_append_function, aggregate->aggserialfn);
	sd_put_name(description, "deserialize", sd_append_function, aggregate->aggdeserialfn);
	sd_put_name(description, "moving transition", sd_append_function, aggregate->aggmtransfn);
	sd_put_name(description, "moving inverse", sd_append_function, aggregate->aggminvtransfn);
	sd_put_name(description, "moving final", sd_append_function, aggregate->aggmfinalfn);
	sd_put_flag(description, "final extra", aggregate->aggfinalextra);
	sd_put_flag(description, "moving final extra", aggregate->aggmfinalextra);
	sd_put_char(description, "final modifies", aggregate->aggfinalmodify, AGGMODIFY_READ_ONLY);
	sd_put_char(description, "moving final modifies", aggregate->aggmfinalmodify, AGGMODIFY_READ_ONLY);
	sd_put_name(description, "sort operator", sd_append_operator, aggregate->aggsortop);
	sd_put_type(description, "state type", aggregate->aggtranstype, -1);
	sd_put_int(description, "state size", aggregate->aggtransspace, 0);
	sd_put_type(description, "moving state type", aggregate->aggmtranstype, -1);
	sd_put_int(description, "moving state size", aggregate->aggmtransspace, 0);
	value = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval, &isnull);
	if (!isnull)
		sd_put(description, "initial state", psprintf("'%s'", TextDatumGetCString(value)));
	value = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_aggminitval, &isnull);
	if (!isnull)
		sd_put(description, "moving initial state", psprintf("'%s'", TextDatumGetCString(value)));
	ReleaseSysCache(tuple);
}

static void
put_body(SdDescription *description, HeapTuple tuple)
{
	Datum		value;
	bool		isnull;

	/* an aggregate's source is a dummy */
	if (((Form_pg_proc) GETSTRUCT(tuple))->prokind == PROKIND_AGGREGATE)
		return;
	value = get(tuple, Anum_pg_proc_prosqlbody, &isnull);
	if (!isnull)
		sd_put_expression(description, "body", value, false, InvalidOid);
	else
	{
		value = get(tuple, Anum_pg_proc_prosrc, &isnull);
		sd_put(description, "source", isnull ? NULL : TextDatumGetCString(value));
	}
	value = get(tuple, Anum_pg_proc_probin, &isnull);
	sd_put(description, "library", isnull ? NULL : TextDatumGetCString(value));
}

/*
 * The functions that make a range or multirange come with the type, and no dump has their owners or privileges.  Nor the cast that
 * one of them is for.
 */
bool
sd_is_range_constructor(HeapTuple tuple)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	bool		isnull;
	Datum		source;
	char	   *name;
	bool		result;

	if (proc->prolang != INTERNALlanguageId)
		return false;
	source = get(tuple, Anum_pg_proc_prosrc, &isnull);
	if (isnull)
		return false;
	name = TextDatumGetCString(source);
	result = strncmp(name, "range_constructor", 17) == 0 || strncmp(name, "multirange_constructor", 22) == 0;
	pfree(name);
	return result;
}

bool
sd_describe_function(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	Datum		value;
	bool		isnull;

	if (!sd_name_is_covered(describer, proc->pronamespace, NameStr(proc->proname)) ||
		sd_is_extension_member(describer, ProcedureRelationId, proc->oid) || sd_is_range_constructor(tuple))
		return false;
	switch (proc->prokind)
	{
		case PROKIND_AGGREGATE:
			description->kind = "aggregate";
			break;
		case PROKIND_PROCEDURE:
			description->kind = "procedure";
			break;
		default:
			description->kind = "function";
			break;
	}
	description->objid = proc->oid;
	sd_append_function(&description->identity, proc->oid);

	sd_put_char(description, "kind", proc->prokind, PROKIND_FUNCTION);
	put_arguments(description, tuple);
	sd_put_type(description, "returns", proc->prorettype, -1);
	sd_put_flag(description, "set", proc->proretset);
	sd_put_type(description, "variadic", proc->provariadic, -1);
	sd_put_name(description, "language", sd_append_language, proc->prolang);
	sd_put_char(description, "volatility", proc->provolatile, PROVOLATILE_VOLATILE);
	sd_put_char(description, "parallel", proc->proparallel, PROPARALLEL_UNSAFE);
	sd_put_flag(description, "strict", proc->proisstrict);
	sd_put_flag(description, "security definer", proc->prosecdef);
	sd_put_flag(description, "leakproof", proc->proleakproof);
	sd_put(description, "cost", psprintf("%g", proc->procost));
	if (proc->prorows != 0)
		sd_put(description, "rows", psprintf("%g", proc->prorows));
	sd_put_name(description, "support", sd_append_function, proc->prosupport);
	value = get(tuple, Anum_pg_proc_proconfig, &isnull);
	sd_put_options(description, "settings", value, isnull);
	value = get(tuple, Anum_pg_proc_protrftypes, &isnull);
	if (!isnull)
	{
		Datum	   *types;
		int			n;

		deconstruct_array(DatumGetArrayTypeP(value), OIDOID, 4, true, TYPALIGN_INT, &types, NULL, &n);
		for (int i = 0; i < n; i++)
			sd_put_type(description, "transform", DatumGetObjectId(types[i]), -1);
	}
	put_body(description, tuple);
	if (proc->prokind == PROKIND_AGGREGATE)
		put_aggregate(description, proc->oid);
	return true;
}
