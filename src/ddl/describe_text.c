/*
 * describe_text.c: canonical definitions of what is about text: collations, conversions, text search; see describe.h.
 *
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_conversion.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_config_map.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/describe.h"
#include "ddl/names.h"

static void
put_function(SdDescription *description, const char *property, Oid function)
{
	sd_put_name(description, property, sd_append_function, function);
}

static char *
collation_text(HeapTuple tuple, AttrNumber column)
{
	Datum		value;
	bool		isnull;

	if (column == InvalidAttrNumber)
		return NULL;
	value = SysCacheGetAttr(COLLOID, tuple, column, &isnull);
	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * Not the encoding: where the provider is libc, it is the database's.  Nor the version of the library that it was made with.
 * Until 15 a locale of ICU is stored as it was written, afterwards as a language tag: de_DE becomes de-DE.
 */
bool
sd_describe_collation(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_collation collation = (Form_pg_collation) GETSTRUCT(tuple);
	char	   *locale;

	if (!sd_begin_in_schema(describer, description, "collation", collation->oid,
							collation->collnamespace, NameStr(collation->collname)))
		return false;
	sd_put_char(description, "provider", collation->collprovider, '\0');
	sd_put_flag(description, "nondeterministic", !collation->collisdeterministic);
	sd_put(description, "collate", collation_text(tuple, Anum_pg_collation_collcollate));
	sd_put(description, "ctype", collation_text(tuple, Anum_pg_collation_collctype));
	locale = collation_text(tuple, SD_COMPAT_COLLATION_LOCALE);
	if (locale && collation->collprovider == COLLPROVIDER_ICU)
		for (char *c = locale; *c; c++)
			if (*c == '_')
				*c = '-';
	sd_put(description, "locale", locale);
	sd_put(description, "rules", collation_text(tuple, SD_COMPAT_COLLATION_RULES));
	return true;
}

bool
sd_describe_conversion(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_conversion conversion = (Form_pg_conversion) GETSTRUCT(tuple);

	if (!sd_begin_in_schema(describer, description, "conversion", conversion->oid,
							conversion->connamespace, NameStr(conversion->conname)))
		return false;
	sd_put(description, "from", pg_encoding_to_char(conversion->conforencoding));
	sd_put(description, "to", pg_encoding_to_char(conversion->contoencoding));
	put_function(description, "function", conversion->conproc);
	sd_put_flag(description, "default", conversion->condefault);
	return true;
}

/* --- text search --- */

bool
sd_describe_ts_parser(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_ts_parser parser = (Form_pg_ts_parser) GETSTRUCT(tuple);

	if (!sd_begin_in_schema(describer, description, "text search parser", parser->oid,
							parser->prsnamespace, NameStr(parser->prsname)))
		return false;
	put_function(description, "start", parser->prsstart);
	put_function(description, "gettoken", parser->prstoken);
	put_function(description, "end", parser->prsend);
	put_function(description, "headline", parser->prsheadline);
	put_function(description, "lextypes", parser->prslextype);
	return true;
}

bool
sd_describe_ts_template(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_ts_template template = (Form_pg_ts_template) GETSTRUCT(tuple);

	if (!sd_begin_in_schema(describer, description, "text search template", template->oid,
							template->tmplnamespace, NameStr(template->tmplname)))
		return false;
	put_function(description, "init", template->tmplinit);
	put_function(description, "lexize", template->tmpllexize);
	return true;
}

bool
sd_describe_ts_dictionary(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_ts_dict dictionary = (Form_pg_ts_dict) GETSTRUCT(tuple);
	Datum		value;
	bool		isnull;

	if (!sd_begin_in_schema(describer, description, "text search dictionary", dictionary->oid,
							dictionary->dictnamespace, NameStr(dictionary->dictname)))
		return false;
	sd_put_name(description, "template", sd_append_ts_template, dictionary->dicttemplate);
	value = SysCacheGetAttr(TSDICTOID, tuple, Anum_pg_ts_dict_dictinitoption, &isnull);
	sd_put(description, "options", isnull ? NULL : TextDatumGetCString(value));
	return true;
}

/* A line for each of the parser's token types, by number: dictionaries in the order in which they are asked. */
static void
put_mappings(SdDescription *description, Oid configuration)
{
	Relation	catalog = table_open(TSConfigMapRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	StringInfoData line;
	int			token = -1;

	initStringInfo(&line);
	ScanKeyInit(&key, Anum_pg_ts_config_map_mapcfg, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(configuration));
	/* the index is on (configuration, token type, number) */
	scan = systable_beginscan(catalog, TSConfigMapIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_ts_config_map map = (Form_pg_ts_config_map) GETSTRUCT(tuple);

		if (map->maptokentype != token)
		{
			sd_put(description, "mapping", line.data);
			resetStringInfo(&line);
			token = map->maptokentype;
			appendStringInfo(&line, "%d ", token);
		}
		else
			appendStringInfoString(&line, ", ");
		sd_append_ts_dictionary(&line, map->mapdict);
	}
	sd_put(description, "mapping", line.data);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

bool
sd_describe_ts_configuration(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_ts_config configuration = (Form_pg_ts_config) GETSTRUCT(tuple);

	if (!sd_begin_in_schema(describer, description, "text search configuration", configuration->oid,
							configuration->cfgnamespace, NameStr(configuration->cfgname)))
		return false;
	sd_put_name(description, "parser", sd_append_ts_parser, configuration->cfgparser);
	put_mappings(description, configuration->oid);
	return true;
}
