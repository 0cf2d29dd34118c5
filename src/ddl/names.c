/*
 * names.c: catalog objects by name; see names.h.
 *
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/heap.h"
#include "catalog/pg_am.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/names.h"
#include "ddl/rows.h"

static void
append_unknown(StringInfo out, Oid oid)
{
	appendStringInfo(out, "?%u", oid);
}

static void
append_in_quotes(StringInfo out, const char *name)
{
	appendStringInfoChar(out, '"');
	for (const char *c = name; *c; c++)
	{
		if (*c == '"')
			appendStringInfoChar(out, '"');
		appendStringInfoChar(out, *c);
	}
	appendStringInfoChar(out, '"');
}

void
sd_append_identifier(StringInfo out, const char *name)
{
	const char *c = name;

	if ((*c >= 'a' && *c <= 'z') || *c == '_')
	{
		while ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_')
			c++;
		if (*c == '\0')
		{
			appendStringInfoString(out, name);
			return;
		}
	}
	append_in_quotes(out, name);
}

void
sd_append_namespace(StringInfo out, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(oid));

	if (!HeapTupleIsValid(tuple))
	{
		append_unknown(out, oid);
		return;
	}
	sd_append_identifier(out, NameStr(((Form_pg_namespace) GETSTRUCT(tuple))->nspname));
	ReleaseSysCache(tuple);
}

void
sd_append_qualified(StringInfo out, Oid namespace, const char *name)
{
	sd_append_namespace(out, namespace);
	appendStringInfoChar(out, '.');
	sd_append_identifier(out, name);
}

void
sd_append_relation(StringInfo out, Oid oid)
{
	HeapTuple	tuple = sd_rows_relation(oid);
	Form_pg_class relation;

	if (!HeapTupleIsValid(tuple))
	{
		append_unknown(out, oid);
		return;
	}
	relation = (Form_pg_class) GETSTRUCT(tuple);
	sd_append_qualified(out, relation->relnamespace, NameStr(relation->relname));
}

void
sd_append_column(StringInfo out, Oid relation, AttrNumber number)
{
	const char *preloaded;
	char	   *name;

	if (number == InvalidAttrNumber)
		appendStringInfoChar(out, '*');
	else if (number < 0)
		sd_append_identifier(out, NameStr(SystemAttributeDefinition(number)->attname));
	else if ((preloaded = sd_rows_column_name(relation, number)) != NULL)
		sd_append_identifier(out, preloaded);
	else if ((name = get_attname(relation, number, true)) != NULL)
	{
		sd_append_identifier(out, name);
		pfree(name);
	}
	else
		append_unknown(out, number);
}

static void
append_typmod(StringInfo out, Form_pg_type type, int32 typmod)
{
	if (typmod < 0)
		return;
	if (OidIsValid(type->typmodout))
	{
		char	   *text = DatumGetCString(OidFunctionCall1(type->typmodout, Int32GetDatum(typmod)));

		appendStringInfoString(out, text);
		pfree(text);
	}
	else
		appendStringInfo(out, "(%d)", typmod);
}

void
sd_append_type(StringInfo out, Oid oid, int32 typmod)
{
	HeapTuple	tuple;
	Form_pg_type type;

	if (!OidIsValid(oid))
	{
		appendStringInfoChar(out, '-');
		return;
	}
	if (oid < FirstGenbkiObjectId)
	{
		/* a built-in type: its SQL name, which is the same in every major */
		char	   *name = format_type_extended(oid, typmod, FORMAT_TYPE_TYPEMOD_GIVEN |
												FORMAT_TYPE_ALLOW_INVALID | FORMAT_TYPE_FORCE_QUALIFY);

		appendStringInfoString(out, strncmp(name, "pg_catalog.", 11) == 0 ? name + 11 : name);
		pfree(name);
		return;
	}
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
	{
		append_unknown(out, oid);
		return;
	}
	type = (Form_pg_type) GETSTRUCT(tuple);
	/* array types are named after their elements: their own names are made up, and differ after renames */
	if (type->typsubscript == F_ARRAY_SUBSCRIPT_HANDLER && OidIsValid(type->typelem))
	{
		sd_append_type(out, type->typelem, typmod);
		appendStringInfoString(out, "[]");
	}
	else
	{
		sd_append_qualified(out, type->typnamespace, NameStr(type->typname));
		append_typmod(out, type, typmod);
	}
	ReleaseSysCache(tuple);
}

void
sd_append_function(StringInfo out, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	Form_pg_proc proc;

	if (!HeapTupleIsValid(tuple))
	{
		append_unknown(out, oid);
		return;
	}
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	sd_append_qualified(out, proc->pronamespace, NameStr(proc->proname));
	appendStringInfoChar(out, '(');
	for (int i = 0; i < proc->pronargs; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		sd_append_type(out, proc->proargtypes.values[i], -1);
	}
	appendStringInfoChar(out, ')');
	ReleaseSysCache(tuple);
}

void
sd_append_operator(StringInfo out, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(oid));
	Form_pg_operator operator;

	if (!HeapTupleIsValid(tuple))
	{
		append_unknown(out, oid);
		return;
	}
	operator = (Form_pg_operator) GETSTRUCT(tuple);
	sd_append_namespace(out, operator->oprnamespace);
	appendStringInfo(out, ".%s(", NameStr(operator->oprname));
	sd_append_type(out, operator->oprleft, -1);
	appendStringInfoChar(out, ',');
	sd_append_type(out, operator->oprright, -1);
	appendStringInfoChar(out, ')');
	ReleaseSysCache(tuple);
}

/* Of an object that has a name in a schema, or a name alone (schema 0), and nothing more. */
static void
append_plain(StringInfo out, int cache, Oid oid, AttrNumber schema, AttrNumber name)
{
	HeapTuple	tuple = SearchSysCache1(cache, ObjectIdGetDatum(oid));
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
	{
		append_unknown(out, oid);
		return;
	}
	if (schema != InvalidAttrNumber)
		sd_append_qualified(out, DatumGetObjectId(SysCacheGetAttr(cache, tuple, schema, &isnull)),
							NameStr(*DatumGetName(SysCacheGetAttr(cache, tuple, name, &isnull))));
	else
		sd_append_identifier(out, NameStr(*DatumGetName(SysCacheGetAttr(cache, tuple, name, &isnull))));
	ReleaseSysCache(tuple);
}

void
sd_append_opclass(StringInfo out, Oid oid)
{
	append_plain(out, CLAOID, oid, Anum_pg_opclass_opcnamespace, Anum_pg_opclass_opcname);
}

void
sd_append_opfamily(StringInfo out, Oid oid)
{
	append_plain(out, OPFAMILYOID, oid, Anum_pg_opfamily_opfnamespace, Anum_pg_opfamily_opfname);
}

void
sd_append_collation(StringInfo out, Oid oid)
{
	append_plain(out, COLLOID, oid, Anum_pg_collation_collnamespace, Anum_pg_collation_collname);
}

void
sd_append_constraint(StringInfo out, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(oid));
	Form_pg_constraint constraint;

	if (!HeapTupleIsValid(tuple))
	{
		append_unknown(out, oid);
		return;
	}
	constraint = (Form_pg_constraint) GETSTRUCT(tuple);
	if (OidIsValid(constraint->conrelid))
		sd_append_relation(out, constraint->conrelid);
	else
		sd_append_type(out, constraint->contypid, -1);
	appendStringInfoChar(out, '.');
	sd_append_identifier(out, NameStr(constraint->conname));
	ReleaseSysCache(tuple);
}

void
sd_append_access_method(StringInfo out, Oid oid)
{
	append_plain(out, AMOID, oid, InvalidAttrNumber, Anum_pg_am_amname);
}

void
sd_append_language(StringInfo out, Oid oid)
{
	append_plain(out, LANGOID, oid, InvalidAttrNumber, Anum_pg_language_lanname);
}

void
sd_append_ts_parser(StringInfo out, Oid oid)
{
	append_plain(out, TSPARSEROID, oid, Anum_pg_ts_parser_prsnamespace, Anum_pg_ts_parser_prsname);
}

void
sd_append_ts_template(StringInfo out, Oid oid)
{
	append_plain(out, TSTEMPLATEOID, oid, Anum_pg_ts_template_tmplnamespace, Anum_pg_ts_template_tmplname);
}

void
sd_append_ts_dictionary(StringInfo out, Oid oid)
{
	append_plain(out, TSDICTOID, oid, Anum_pg_ts_dict_dictnamespace, Anum_pg_ts_dict_dictname);
}

void
sd_append_foreign_data_wrapper(StringInfo out, Oid oid)
{
	append_plain(out, FOREIGNDATAWRAPPEROID, oid, InvalidAttrNumber, Anum_pg_foreign_data_wrapper_fdwname);
}

void
sd_append_role(StringInfo out, Oid oid)
{
	HeapTuple	tuple;

	if (!OidIsValid(oid))
	{
		appendStringInfoString(out, "public");
		return;
	}
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
	{
		append_unknown(out, oid);
		return;
	}
	/* in quotes, unlike everybody */
	append_in_quotes(out, NameStr(((Form_pg_authid) GETSTRUCT(tuple))->rolname));
	ReleaseSysCache(tuple);
}
