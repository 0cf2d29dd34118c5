/*
 * describe_other.c: canonical definitions of statistics objects, event triggers, languages, transforms, foreign data wrappers
 * and servers, default privileges; see describe.h.
 *
 * Not the options of servers, which each region has of its own, nor user mappings, which are secrets.
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_default_acl.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_language.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_transform.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/canonical.h"
#include "ddl/describe.h"
#include "ddl/names.h"

static void
put_function(SdDescription *description, const char *property, Oid function)
{
	sd_put_name(description, property, sd_append_function, function);
}

static void
put_text(SdDescription *description, const char *property, int cache, HeapTuple tuple, AttrNumber column)
{
	bool		isnull;
	Datum		value = SysCacheGetAttr(cache, tuple, column, &isnull);

	sd_put(description, property, isnull ? NULL : TextDatumGetCString(value));
}

static void
put_options(SdDescription *description, const char *property, int cache, HeapTuple tuple, AttrNumber column)
{
	bool		isnull;
	Datum		value = SysCacheGetAttr(cache, tuple, column, &isnull);

	sd_put_options(description, property, value, isnull);
}

/* --- statistics objects --- */

/* They are the business of whoever has the table, as indexes are. */
static bool
is_covered_statistics(SdDescriber *describer, Form_pg_statistic_ext statistics)
{
	HeapTuple	table = SearchSysCache1(RELOID, ObjectIdGetDatum(statistics->stxrelid));
	Form_pg_class of;
	bool		covered;

	if (!HeapTupleIsValid(table))
		return false;
	of = (Form_pg_class) GETSTRUCT(table);
	covered = of->relpersistence != RELPERSISTENCE_TEMP && !isAnyTempNamespace(statistics->stxnamespace) &&
		sd_name_is_covered(describer, of->relnamespace, NameStr(of->relname)) &&
		!sd_is_extension_member(describer, RelationRelationId, of->oid) &&
		!sd_is_extension_member(describer, StatisticExtRelationId, statistics->oid);
	ReleaseSysCache(table);
	return covered;
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Sorted, because they are stored by the columns' numbers. */
static void
put_statistics_columns(SdDescription *description, Form_pg_statistic_ext statistics)
{
	int			n = statistics->stxkeys.dim1;
	char	  **names = palloc(Max(n, 1) * sizeof(char *));
	StringInfoData joined;

	initStringInfo(&joined);
	for (int i = 0; i < n; i++)
	{
		StringInfoData name;

		initStringInfo(&name);
		sd_append_column(&name, statistics->stxrelid, statistics->stxkeys.values[i]);
		names[i] = name.data;
	}
	qsort(names, n, sizeof(char *), compare_strings);
	for (int i = 0; i < n; i++)
		appendStringInfo(&joined, "%s%s", i > 0 ? ", " : "", names[i]);
	sd_put(description, "columns", joined.data);
}

static void
put_statistics_kinds(SdDescription *description, Datum value)
{
	Datum	   *kinds;
	int			n;
	StringInfoData sorted;

	initStringInfo(&sorted);
	deconstruct_array(DatumGetArrayTypeP(value), CHAROID, 1, true, TYPALIGN_CHAR, &kinds, NULL, &n);
	for (char c = 'A'; c <= 'z'; c++)
		for (int i = 0; i < n; i++)
			if (DatumGetChar(kinds[i]) == c)
				appendStringInfoChar(&sorted, c);
	sd_put(description, "kinds", sorted.data);
}

bool
sd_describe_statistics(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_statistic_ext statistics = (Form_pg_statistic_ext) GETSTRUCT(tuple);
	ListCell   *cell;
	Datum		value;
	bool		isnull;

	if (!is_covered_statistics(describer, statistics))
		return false;
	description->kind = "statistics object";
	description->objid = statistics->oid;
	sd_append_qualified(&description->identity, statistics->stxnamespace, NameStr(statistics->stxname));
	sd_put_name(description, "table", sd_append_relation, statistics->stxrelid);
	put_statistics_kinds(description, SysCacheGetAttr(STATEXTOID, tuple, Anum_pg_statistic_ext_stxkind, &isnull));
	put_statistics_columns(description, statistics);
	value = SysCacheGetAttr(STATEXTOID, tuple, Anum_pg_statistic_ext_stxexprs, &isnull);
	if (!isnull)
		foreach(cell, sd_canonical_members(TextDatumGetCString(value), statistics->stxrelid))
			sd_put(description, "expression", lfirst(cell));
	value = SysCacheGetAttr(STATEXTOID, tuple, Anum_pg_statistic_ext_stxstattarget, &isnull);
	sd_put_int(description, "target", isnull ? -1 : sd_statistics_target(value), -1);
	return true;
}

/* --- event triggers --- */

bool
sd_describe_event_trigger(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_event_trigger trigger = (Form_pg_event_trigger) GETSTRUCT(tuple);

	if (!sd_begin_without_schema(describer, description, "event trigger", trigger->oid))
		return false;
	sd_append_identifier(&description->identity, NameStr(trigger->evtname));
	sd_put(description, "event", NameStr(trigger->evtevent));
	put_options(description, "tags", EVENTTRIGGEROID, tuple, Anum_pg_event_trigger_evttags);
	put_function(description, "function", trigger->evtfoid);
	sd_put_char(description, "enabled", trigger->evtenabled, TRIGGER_FIRES_ON_ORIGIN);
	return true;
}

/* --- languages and transforms --- */

bool
sd_describe_language(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_language language = (Form_pg_language) GETSTRUCT(tuple);

	if (!sd_begin_without_schema(describer, description, "language", language->oid))
		return false;
	sd_append_identifier(&description->identity, NameStr(language->lanname));
	sd_put_flag(description, "trusted", language->lanpltrusted);
	put_function(description, "handler", language->lanplcallfoid);
	if (OidIsValid(language->laninline))
		put_function(description, "inline", language->laninline);
	if (OidIsValid(language->lanvalidator))
		put_function(description, "validator", language->lanvalidator);
	return true;
}

bool
sd_describe_transform(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_transform transform = (Form_pg_transform) GETSTRUCT(tuple);

	if (!sd_begin_without_schema(describer, description, "transform", transform->oid))
		return false;
	appendStringInfoString(&description->identity, "for ");
	sd_append_type(&description->identity, transform->trftype, -1);
	appendStringInfoString(&description->identity, " language ");
	sd_append_language(&description->identity, transform->trflang);
	if (OidIsValid(transform->trffromsql))
		put_function(description, "from sql", transform->trffromsql);
	if (OidIsValid(transform->trftosql))
		put_function(description, "to sql", transform->trftosql);
	return true;
}

/* --- foreign data --- */

bool
sd_describe_foreign_data_wrapper(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_foreign_data_wrapper wrapper = (Form_pg_foreign_data_wrapper) GETSTRUCT(tuple);

	if (!sd_begin_without_schema(describer, description, "foreign data wrapper", wrapper->oid))
		return false;
	sd_append_identifier(&description->identity, NameStr(wrapper->fdwname));
	put_function(description, "handler", wrapper->fdwhandler);
	put_function(description, "validator", wrapper->fdwvalidator);
	put_options(description, "options", FOREIGNDATAWRAPPEROID, tuple, Anum_pg_foreign_data_wrapper_fdwoptions);
	return true;
}

bool
sd_describe_server(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_foreign_server server = (Form_pg_foreign_server) GETSTRUCT(tuple);

	if (!sd_begin_without_schema(describer, description, "server", server->oid))
		return false;
	sd_append_identifier(&description->identity, NameStr(server->srvname));
	sd_put_name(description, "wrapper", sd_append_foreign_data_wrapper, server->srvfdw);
	put_text(description, "type", FOREIGNSERVEROID, tuple, Anum_pg_foreign_server_srvtype);
	put_text(description, "version", FOREIGNSERVEROID, tuple, Anum_pg_foreign_server_srvversion);
	return true;
}

/* --- default privileges --- */

static const struct
{
	char		code;
	ObjectType	type;
	const char *word;
}			defaults[] =
{
	{DEFACLOBJ_RELATION, OBJECT_TABLE, "tables"},
	{DEFACLOBJ_SEQUENCE, OBJECT_SEQUENCE, "sequences"},
	{DEFACLOBJ_FUNCTION, OBJECT_FUNCTION, "functions"},
	{DEFACLOBJ_TYPE, OBJECT_TYPE, "types"},
	{DEFACLOBJ_NAMESPACE, OBJECT_SCHEMA, "schemas"},
	{SD_COMPAT_DEFACLOBJ_LARGEOBJECT, OBJECT_LARGEOBJECT, "large objects"},
};

/* Those for all schemas replace what PostgreSQL gives by itself; those for one schema are added. */
bool
sd_describe_default_privileges(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_default_acl entry = (Form_pg_default_acl) GETSTRUCT(tuple);
	bool		everywhere = !OidIsValid(entry->defaclnamespace);
	bool		isnull;
	Datum		acl;

	if ((!everywhere && !sd_name_is_covered(describer, entry->defaclnamespace, "")) ||
		!sd_begin_without_schema(describer, description, "default privileges", entry->oid))
		return false;
	appendStringInfoString(&description->identity, "for role ");
	sd_append_role(&description->identity, entry->defaclrole);
	if (!everywhere)
	{
		appendStringInfoString(&description->identity, " in schema ");
		sd_append_namespace(&description->identity, entry->defaclnamespace);
	}
	acl = SysCacheGetAttr(DEFACLROLENSPOBJ, tuple, Anum_pg_default_acl_defaclacl, &isnull);
	for (size_t i = 0; i < lengthof(defaults); i++)
	{
		if (defaults[i].code != entry->defaclobjtype)
			continue;
		appendStringInfo(&description->identity, " on %s", defaults[i].word);
		if (!isnull)
			sd_put_privileges(description, "privileges", acl, defaults[i].type,
							  everywhere ? acldefault(defaults[i].type, entry->defaclrole) : NULL);
		return true;
	}
	/* a kind that a newer server knows */
	appendStringInfo(&description->identity, " on %c", entry->defaclobjtype);
	return true;
}
