/*
 * repair_other.c: schemas, extensions, and the kinds that are rarer, elsewhere made what they are here; see repair_item.h.
 *
 * What has no ALTER for its properties is dropped and made again: each of these is made by one statement.  Backends.
 */
#include "compat.h"

#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "ddl/repair_item.h"

/* --- schemas and extensions --- */

void
sd_repair_create_schema(SdRepairItem *item)
{
	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE SCHEMA %s", item->name);
}

void
sd_repair_create_extension(SdRepairItem *item)
{
	sd_repair_do(item, SD_REPAIR_MAKE, "its files have to be installed there", "CREATE EXTENSION %s SCHEMA %s VERSION %s", item->name,
				 sd_repair_quote(sd_repair_here(item, "schema")), quote_literal_cstr(sd_repair_here(item, "version")));
}

/* By the scripts that are installed here, for want of those there. */
static bool
can_update(const SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "SELECT FROM pg_extension_update_paths($1) WHERE source = $2 AND target = $3 AND path IS NOT NULL",
		.nargs = 3, .types = {NAMEOID, TEXTOID, TEXTOID}
	};
	Datum		values[] = {
		DirectFunctionCall1(namein, CStringGetDatum(linitial(sd_repair_parts(item->identity)))),
		CStringGetTextDatum(sd_repair_there(item, "version")), CStringGetTextDatum(sd_repair_here(item, "version"))
	};

	return sd_store_run(&statement, values, NULL, SD_ANY_ROWS) > 0;
}

void
sd_repair_alter_extension(SdRepairItem *item)
{
	const char *version = sd_repair_here(item, "version");

	if (sd_repair_differs(item, "version") && can_update(item))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER EXTENSION %s UPDATE TO %s", item->name, quote_literal_cstr(version));
	else if (sd_repair_differs(item, "version"))
		sd_repair_cannot(item, "version: no script leads from %s to %s: drop and create the extension, if nothing uses it, or bring all regions to %s with "
						 "ALTER EXTENSION here", sd_repair_there(item, "version"), version, sd_repair_there(item, "version"));
	if (sd_repair_differs(item, "schema"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER EXTENSION %s SET SCHEMA %s", item->name, sd_repair_quote(sd_repair_here(item, "schema")));
}

/* --- statistics objects --- */

static void
put_target(SdRepairItem *item)
{
	const char *target = sd_repair_here(item, "target");

	if (sd_repair_differs(item, "target"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER STATISTICS %s SET STATISTICS %s", item->name, *target ? target : "-1");
}

void
sd_repair_create_statistics(SdRepairItem *item)
{
	static SdStatement statement = {.sql = "SELECT pg_get_statisticsobjdef($1)", .nargs = 1, .types = {OIDOID}};

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s", sd_repair_ask(&statement, item->objid));
	put_target(item);
}

void
sd_repair_alter_statistics(SdRepairItem *item)
{
	static const char *const changeable[] = {"target", NULL};

	if (sd_repair_only(item, changeable))
		put_target(item);
	else
		sd_repair_replace(item, NULL);
}

/* --- event triggers --- */

static void
put_event_trigger_state(SdRepairItem *item)
{
	const char *state = sd_repair_here(item, "enabled");

	if (sd_repair_differs(item, "enabled"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER EVENT TRIGGER %s %s", item->name,
					 *state == TRIGGER_DISABLED ? "DISABLE" : *state == TRIGGER_FIRES_ON_REPLICA ? "ENABLE REPLICA" :
					 *state == TRIGGER_FIRES_ALWAYS ? "ENABLE ALWAYS" : "ENABLE");
}

void
sd_repair_create_event_trigger(SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "SELECT format('CREATE EVENT TRIGGER %I ON %I%s EXECUTE FUNCTION %s()', evtname, evtevent, "
		"' WHEN TAG IN (' || (SELECT string_agg(quote_literal(t), ', ') FROM unnest(evttags) t) || ')', evtfoid::regproc) "
		"FROM pg_event_trigger WHERE oid = $1",
		.nargs = 1, .types = {OIDOID}
	};

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s", sd_repair_ask(&statement, item->objid));
	put_event_trigger_state(item);
}

void
sd_repair_alter_event_trigger(SdRepairItem *item)
{
	static const char *const changeable[] = {"enabled", NULL};

	if (sd_repair_only(item, changeable))
		put_event_trigger_state(item);
	else
		sd_repair_replace(item, NULL);
}

/* --- foreign data wrappers and servers --- */

/* "HANDLER f", "NO VALIDATOR" */
static char *
wrapper_function(const SdRepairItem *item, const char *property, const char *word)
{
	const char *function = sd_repair_here(item, property);

	return *function ? psprintf("%s %s", word, sd_repair_quote(sd_repair_routine(function))) : psprintf("NO %s", word);
}

void
sd_repair_create_foreign_data_wrapper(SdRepairItem *item)
{
	char	   *options = sd_repair_foreign_list(sd_repair_here(item, "options"));

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE FOREIGN DATA WRAPPER %s %s %s%s%s%s", item->name, wrapper_function(item, "handler", "HANDLER"),
				 wrapper_function(item, "validator", "VALIDATOR"), options ? " OPTIONS (" : "", options ? options : "", options ? ")" : "");
}

void
sd_repair_alter_foreign_data_wrapper(SdRepairItem *item)
{
	char	   *options = sd_repair_foreign_options(sd_repair_here(item, "options"), sd_repair_there(item, "options"));

	if (sd_repair_differs(item, "handler"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER FOREIGN DATA WRAPPER %s %s", item->name, wrapper_function(item, "handler", "HANDLER"));
	if (sd_repair_differs(item, "validator"))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER FOREIGN DATA WRAPPER %s %s", item->name, wrapper_function(item, "validator", "VALIDATOR"));
	if (options)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER FOREIGN DATA WRAPPER %s OPTIONS (%s)", item->name, options);
}

/* Each region has options of its own for a server: where it is, from there. */
void
sd_repair_create_server(SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "SELECT format('CREATE SERVER %I%s%s FOREIGN DATA WRAPPER %I', s.srvname, ' TYPE ' || quote_literal(s.srvtype), "
		"' VERSION ' || quote_literal(s.srvversion), w.fdwname) FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw "
		"WHERE s.oid = $1",
		.nargs = 1, .types = {OIDOID}
	};

	sd_repair_do(item, SD_REPAIR_MAKE, "add its OPTIONS and user mappings: each region has its own", "%s", sd_repair_ask(&statement, item->objid));
}

void
sd_repair_alter_server(SdRepairItem *item)
{
	static const char *const changeable[] = {"version", NULL};
	const char *version = sd_repair_here(item, "version");

	if (sd_repair_only(item, changeable))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER SERVER %s VERSION %s", item->name, *version ? quote_literal_cstr(version) : "NULL");
	else
		sd_repair_cannot(item, "its wrapper or type differs: note its OPTIONS, user mappings and foreign tables there, drop it, and ask again");
}

/* --- what one statement makes --- */

void
sd_repair_create_collation(SdRepairItem *item)
{
	const char *locale = sd_repair_here(item, "locale");
	char		provider = *sd_repair_here(item, "provider");
	StringInfoData clause;

	initStringInfo(&clause);
	appendStringInfo(&clause, "PROVIDER = %s", provider == 'i' ? "icu" : provider == 'b' ? "builtin" : "libc");
	if (*locale)
		appendStringInfo(&clause, ", LOCALE = %s", quote_literal_cstr(locale));
	if (*sd_repair_here(item, "collate"))
		appendStringInfo(&clause, ", LC_COLLATE = %s, LC_CTYPE = %s", quote_literal_cstr(sd_repair_here(item, "collate")),
						 quote_literal_cstr(sd_repair_here(item, "ctype")));
	if (*sd_repair_here(item, "nondeterministic"))
		appendStringInfoString(&clause, ", DETERMINISTIC = false");
	if (*sd_repair_here(item, "rules"))
		appendStringInfo(&clause, ", RULES = %s", quote_literal_cstr(sd_repair_here(item, "rules")));
	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE COLLATION %s (%s)", item->name, clause.data);
}

void
sd_repair_create_conversion(SdRepairItem *item)
{
	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE %sCONVERSION %s FOR %s TO %s FROM %s", *sd_repair_here(item, "default") ? "DEFAULT " : "", item->name,
				 quote_literal_cstr(sd_repair_here(item, "from")), quote_literal_cstr(sd_repair_here(item, "to")),
				 sd_repair_quote(sd_repair_routine(sd_repair_here(item, "function"))));
}

void
sd_repair_create_cast(SdRepairItem *item)
{
	const char *function = sd_repair_here(item, "function");
	char		method = *sd_repair_here(item, "method");
	char		context = *sd_repair_here(item, "context");

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE %s %s%s%s", item->called,
				 *function ? "WITH FUNCTION " : method == 'i' ? "WITH INOUT" : "WITHOUT FUNCTION", *function ? sd_repair_quote(function) : "",
				 context == 'i' ? " AS IMPLICIT" : context == 'a' ? " AS ASSIGNMENT" : "");
}

void
sd_repair_create_operator(SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "SELECT format('CREATE OPERATOR %I.%s (%s)', n.nspname, o.oprname, concat_ws(', ', "
		"format('FUNCTION = %s', o.oprcode), CASE WHEN o.oprleft <> 0 THEN 'LEFTARG = ' || format_type(o.oprleft, NULL) END, "
		"'RIGHTARG = ' || format_type(o.oprright, NULL), "
		"(SELECT format('COMMUTATOR = OPERATOR(%I.%s)', m.nspname, x.oprname) FROM pg_operator x JOIN pg_namespace m ON m.oid = x.oprnamespace WHERE x.oid = o.oprcom), "
		"(SELECT format('NEGATOR = OPERATOR(%I.%s)', m.nspname, x.oprname) FROM pg_operator x JOIN pg_namespace m ON m.oid = x.oprnamespace WHERE x.oid = o.oprnegate), "
		"'RESTRICT = ' || nullif(o.oprrest::oid, 0)::regproc, 'JOIN = ' || nullif(o.oprjoin::oid, 0)::regproc, "
		"CASE WHEN o.oprcanmerge THEN 'MERGES' END, CASE WHEN o.oprcanhash THEN 'HASHES' END)) "
		"FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE o.oid = $1 AND o.oprcode::oid <> 0",
		.nargs = 1, .types = {OIDOID}
	};
	char	   *definition = sd_repair_ask(&statement, item->objid);

	if (definition)
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "%s", definition);
	else
		sd_repair_cannot(item, "it is only named here, as another operator's commutator or negator: it comes with that");
}

void
sd_repair_create_language(SdRepairItem *item)
{
	const char *inlined = sd_repair_here(item, "inline");
	const char *validator = sd_repair_here(item, "validator");

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE %sLANGUAGE %s HANDLER %s%s%s%s%s", *sd_repair_here(item, "trusted") ? "TRUSTED " : "", item->name,
				 sd_repair_quote(sd_repair_routine(sd_repair_here(item, "handler"))), *inlined ? " INLINE " : "",
				 *inlined ? sd_repair_quote(sd_repair_routine(inlined)) : "", *validator ? " VALIDATOR " : "",
				 *validator ? sd_repair_quote(sd_repair_routine(validator)) : "");
}

void
sd_repair_create_transform(SdRepairItem *item)
{
	const char *from = sd_repair_here(item, "from sql");
	const char *to = sd_repair_here(item, "to sql");

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE %s (%s%s%s%s%s)", item->called, *from ? "FROM SQL WITH FUNCTION " : "",
				 *from ? sd_repair_quote(from) : "", *from && *to ? ", " : "", *to ? "TO SQL WITH FUNCTION " : "", *to ? sd_repair_quote(to) : "");
}

void
sd_repair_create_access_method(SdRepairItem *item)
{
	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE ACCESS METHOD %s TYPE %s HANDLER %s", item->name,
				 *sd_repair_here(item, "type") == 't' ? "TABLE" : "INDEX", sd_repair_quote(sd_repair_routine(sd_repair_here(item, "handler"))));
}

/* --- text search --- */

void
sd_repair_create_ts_dictionary(SdRepairItem *item)
{
	const char *options = sd_repair_here(item, "options");

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE TEXT SEARCH DICTIONARY %s (TEMPLATE = %s%s%s)", item->name,
				 sd_repair_quote(sd_repair_here(item, "template")), *options ? ", " : "", options);
}

void
sd_repair_create_ts_configuration(SdRepairItem *item)
{
	static SdStatement statement = {
		.sql = "SELECT string_agg(format('ADD MAPPING FOR %I WITH %s', alias, dictionaries), E'\\n' ORDER BY tokid) FROM ("
		"SELECT t.tokid, t.alias, string_agg(format('%I.%I', n.nspname, d.dictname), ', ' ORDER BY m.mapseqno) AS dictionaries "
		"FROM pg_ts_config c JOIN pg_ts_config_map m ON m.mapcfg = c.oid JOIN LATERAL ts_token_type(c.cfgparser) t ON t.tokid = m.maptokentype "
		"JOIN pg_ts_dict d ON d.oid = m.mapdict JOIN pg_namespace n ON n.oid = d.dictnamespace WHERE c.oid = $1 GROUP BY 1, 2) x",
		.nargs = 1, .types = {OIDOID}
	};
	char	   *mappings = sd_repair_ask(&statement, item->objid);

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE TEXT SEARCH CONFIGURATION %s (PARSER = %s)", item->name,
				 sd_repair_quote(sd_repair_here(item, "parser")));
	for (char *line = mappings; line && *line;)
	{
		int			length = strcspn(line, "\n");

		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER TEXT SEARCH CONFIGURATION %s %.*s", item->name, length, line);
		line += length + (line[length] == '\n');
	}
}

void
sd_repair_create_ts_parser(SdRepairItem *item)
{
	const char *headline = sd_repair_here(item, "headline");

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE TEXT SEARCH PARSER %s (START = %s, GETTOKEN = %s, END = %s, LEXTYPES = %s%s%s)", item->name,
				 sd_repair_quote(sd_repair_routine(sd_repair_here(item, "start"))), sd_repair_quote(sd_repair_routine(sd_repair_here(item, "gettoken"))),
				 sd_repair_quote(sd_repair_routine(sd_repair_here(item, "end"))), sd_repair_quote(sd_repair_routine(sd_repair_here(item, "lextypes"))),
				 *headline ? ", HEADLINE = " : "", *headline ? sd_repair_quote(sd_repair_routine(headline)) : "");
}

void
sd_repair_create_ts_template(SdRepairItem *item)
{
	const char *init = sd_repair_here(item, "init");

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "CREATE TEXT SEARCH TEMPLATE %s (LEXIZE = %s%s%s)", item->name,
				 sd_repair_quote(sd_repair_routine(sd_repair_here(item, "lexize"))), *init ? ", INIT = " : "",
				 *init ? sd_repair_quote(sd_repair_routine(init)) : "");
}
