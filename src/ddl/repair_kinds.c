/*
 * repair_kinds.c: what each kind is called in SQL, and who makes its statements; see repair_item.h.
 *
 * Backends.
 */
#include "compat.h"

#include "ddl/repair_item.h"

static const SdRepairKind kinds[] = {
	{"schema", 10, "SCHEMA", SD_CALL_NAME, NULL, "SCHEMA", sd_repair_create_schema, NULL},
	{"extension", 20, "EXTENSION", SD_CALL_NAME, "drops everything of the extension", NULL, sd_repair_create_extension, sd_repair_alter_extension},
	{"language", 30, "LANGUAGE", SD_CALL_NAME, NULL, "LANGUAGE", sd_repair_create_language, NULL},
	{"access method", 31, "ACCESS METHOD", SD_CALL_NAME, NULL, NULL, sd_repair_create_access_method, NULL},
	{"foreign data wrapper", 32, "FOREIGN DATA WRAPPER", SD_CALL_NAME, NULL, "FOREIGN DATA WRAPPER",
	sd_repair_create_foreign_data_wrapper, sd_repair_alter_foreign_data_wrapper},
	{"server", 33, "SERVER", SD_CALL_NAME, "loses its options, which each region has of its own", "FOREIGN SERVER",
	sd_repair_create_server, sd_repair_alter_server},
	{"collation", 35, "COLLATION", SD_CALL_NAME, NULL, NULL, sd_repair_create_collation, NULL},
	{"conversion", 36, "CONVERSION", SD_CALL_NAME, NULL, NULL, sd_repair_create_conversion, NULL},
	{"text search parser", 37, "TEXT SEARCH PARSER", SD_CALL_NAME, NULL, NULL, sd_repair_create_ts_parser, NULL},
	{"text search template", 37, "TEXT SEARCH TEMPLATE", SD_CALL_NAME, NULL, NULL, sd_repair_create_ts_template, NULL},
	{"text search dictionary", 38, "TEXT SEARCH DICTIONARY", SD_CALL_NAME, NULL, NULL, sd_repair_create_ts_dictionary, NULL},
	{"text search configuration", 39, "TEXT SEARCH CONFIGURATION", SD_CALL_NAME, NULL, NULL, sd_repair_create_ts_configuration, NULL},
	{"type", 40, "TYPE", SD_CALL_NAME, NULL, "TYPE", sd_repair_create_type, sd_repair_alter_type},
	{"domain", 41, "DOMAIN", SD_CALL_NAME, NULL, "TYPE", sd_repair_create_domain, sd_repair_alter_domain},
	{"domain constraint", 42, "CONSTRAINT", SD_CALL_CONSTRAINT, NULL, NULL, sd_repair_create_constraint, sd_repair_alter_constraint},
	{"function", 50, "FUNCTION", SD_CALL_SIGNATURE, NULL, "FUNCTION", sd_repair_create_function, sd_repair_alter_function},
	{"procedure", 51, "PROCEDURE", SD_CALL_SIGNATURE, NULL, "PROCEDURE", sd_repair_create_function, sd_repair_alter_function},
	/* the word for all: an aggregate's own calls its arguments otherwise than they are called everywhere else */
	{"aggregate", 52, "ROUTINE", SD_CALL_SIGNATURE, NULL, "ROUTINE", sd_repair_create_function, sd_repair_alter_function},
	{"operator", 53, "OPERATOR", SD_CALL_OPERATOR, NULL, NULL, sd_repair_create_operator, NULL},
	{"operator family", 54, "OPERATOR FAMILY", SD_CALL_VERBATIM, NULL, NULL, NULL, NULL},
	{"operator class", 55, "OPERATOR CLASS", SD_CALL_VERBATIM, NULL, NULL, NULL, NULL},
	{"cast", 56, "CAST", SD_CALL_VERBATIM, NULL, NULL, sd_repair_create_cast, NULL},
	{"transform", 57, "TRANSFORM", SD_CALL_VERBATIM, NULL, NULL, sd_repair_create_transform, NULL},
	{"sequence", 60, "SEQUENCE", SD_CALL_NAME, "loses where it was", "SEQUENCE", sd_repair_create_sequence, sd_repair_alter_sequence},
	{"table", 70, "TABLE", SD_CALL_NAME, "loses the rows of the table", "TABLE", sd_repair_create_table, sd_repair_alter_table},
	{"foreign table", 71, "FOREIGN TABLE", SD_CALL_NAME, NULL, "TABLE", sd_repair_create_table, sd_repair_alter_table},
	{"view", 80, "VIEW", SD_CALL_NAME, NULL, "TABLE", sd_repair_create_view, sd_repair_alter_view},
	{"materialized view", 81, "MATERIALIZED VIEW", SD_CALL_NAME, NULL, "TABLE", sd_repair_create_view, sd_repair_alter_view},
	{"index", 90, "INDEX", SD_CALL_NAME, NULL, NULL, sd_repair_create_index, sd_repair_alter_index},
	{"constraint", 95, "CONSTRAINT", SD_CALL_CONSTRAINT, NULL, NULL, sd_repair_create_constraint, sd_repair_alter_constraint},
	{"trigger", 100, "TRIGGER", SD_CALL_ON, NULL, NULL, sd_repair_create_trigger, sd_repair_alter_trigger},
	{"rule", 101, "RULE", SD_CALL_ON, NULL, NULL, sd_repair_create_rule, sd_repair_alter_rule},
	{"policy", 102, "POLICY", SD_CALL_ON, NULL, NULL, sd_repair_create_policy, NULL},
	{"statistics object", 103, "STATISTICS", SD_CALL_NAME, NULL, NULL, sd_repair_create_statistics, sd_repair_alter_statistics},
	{"default privileges", 110, "DEFAULT PRIVILEGES", SD_CALL_VERBATIM, NULL, NULL, NULL, NULL},
	{"event trigger", 120, "EVENT TRIGGER", SD_CALL_NAME, NULL, NULL, sd_repair_create_event_trigger, sd_repair_alter_event_trigger},
};

const SdRepairKind *
sd_repair_kind(const char *kind)
{
	for (size_t i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].kind, kind) == 0)
			return &kinds[i];
	return NULL;
}
