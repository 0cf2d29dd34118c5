/*
 * capture_json.c: captured commands as JSON text and back, for the body of an entry.
 *
 * Runs in backends and the applier; no locking.  The form, in the encoding of the database:
 *
 *	{"run_as": [{"session_user": "...", "user": "...", "local_user": false, "settings": {"search_path": "...", ...}}],
 *	 "commands": [{"run_as": 0, "tag": "CREATE TABLE", "text": "..."}]}
 *
 * Circumstances are listed once and referred to by position: thousands of commands usually share one.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "ddl/capture.h"
#include "store/entry.h"

static void
append_member(StringInfo out, const char *key, const char *value)
{
	escape_json(out, key);
	appendStringInfoString(out, ": ");
	escape_json(out, value);
}

static void
append_run_as(StringInfo out, const SdRunAs *run_as)
{
	appendStringInfoChar(out, '{');
	append_member(out, "session_user", run_as->session_user);
	appendStringInfoString(out, ", ");
	append_member(out, "user", run_as->user);
	appendStringInfo(out, ", \"local_user\": %s, \"settings\": {", run_as->local_user ? "true" : "false");
	for (int i = 0; i < run_as->n_settings; i++)
	{
		if (i > 0)
			appendStringInfoString(out, ", ");
		append_member(out, run_as->names[i], run_as->values[i]);
	}
	appendStringInfoString(out, "}}");
}

char *
sd_run_as_to_json(const SdRunAs *run_as)
{
	StringInfoData out;

	initStringInfo(&out);
	append_run_as(&out, run_as);
	return out.data;
}

char *
sd_script_to_json(const char *up, const char *down, Jsonb *options, const SdRunAs *run_as)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "\"up\":");
	escape_json(&out, up);
	if (down)
	{
		appendStringInfoString(&out, ",\"down\":");
		escape_json(&out, down);
	}
	if (options && JB_ROOT_COUNT(options) > 0)
		appendStringInfo(&out, ",\"options\":%s", sd_json_serialized(options));
	appendStringInfo(&out, ",\"run_as\":%s", sd_run_as_to_json(run_as));
	return out.data;
}

char *
sd_commands_to_json(List *commands)
{
	StringInfoData out;
	StringInfoData list;
	const SdRunAs *last = NULL;
	int			n_run_as = 0;
	ListCell   *cell;

	initStringInfo(&out);
	initStringInfo(&list);
	appendStringInfoString(&out, "{\"run_as\": [");
	foreach(cell, commands)
	{
		const SdCommand *command = lfirst(cell);

		/* capture gives neighbours with equal circumstances the same pointer */
		if (command->run_as != last)
		{
			if (n_run_as++ > 0)
				appendStringInfoString(&out, ", ");
			append_run_as(&out, command->run_as);
			last = command->run_as;
		}
		if (list.len > 0)
			appendStringInfoString(&list, ", ");
		appendStringInfo(&list, "{\"run_as\": %d, ", n_run_as - 1);
		append_member(&list, "tag", command->tag);
		appendStringInfoString(&list, ", ");
		append_member(&list, "text", command->text);
		appendStringInfoChar(&list, '}');
	}
	appendStringInfoString(&out, "], \"commands\": [");
	appendBinaryStringInfo(&out, list.data, list.len);
	appendStringInfoString(&out, "]}");
	pfree(list.data);
	return out.data;
}

static void
pg_attribute_noreturn()
malformed(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("malformed list of commands: %s", what)));
}

static Jsonb *
parse(const char *json)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

/* a member that must be there and of this type */
static JsonbValue *
member(JsonbContainer *object, const char *key, enum jbvType type)
{
	JsonbValue *value = NULL;

	if (JsonContainerIsObject(object))
		value = getKeyJsonValueFromContainer(object, key, strlen(key), NULL);
	if (value == NULL || value->type != type)
		malformed(key);
	return value;
}

static char *
string_member(JsonbContainer *object, const char *key)
{
	JsonbValue *value = member(object, key, jbvString);

	return pnstrdup(value->val.string.val, value->val.string.len);
}

static JsonbContainer *
container_member(JsonbContainer *object, const char *key)
{
	return member(object, key, jbvBinary)->val.binary.data;
}

static JsonbContainer *
element(JsonbContainer *array, uint32 i)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array, i);

	if (value == NULL || value->type != jbvBinary)
		malformed("element");
	return value->val.binary.data;
}

static SdRunAs *
read_run_as(JsonbContainer *object)
{
	SdRunAs    *run_as = palloc0(sizeof(SdRunAs));
	JsonbContainer *settings = container_member(object, "settings");
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	run_as->session_user = string_member(object, "session_user");
	run_as->user = string_member(object, "user");
	run_as->local_user = member(object, "local_user", jbvBool)->val.boolean;
	if (!JsonContainerIsObject(settings))
		malformed("settings");
	run_as->names = palloc(sizeof(char *) * Max(1, JsonContainerSize(settings)));
	run_as->values = palloc(sizeof(char *) * Max(1, JsonContainerSize(settings)));
	iterator = JsonbIteratorInit(settings);
	/* an object or array in it is one value, which is no string; its members would have no room */
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_KEY && token != WJB_VALUE)
			continue;
		if (value.type != jbvString)
			malformed("settings");
		if (token == WJB_KEY)
			run_as->names[run_as->n_settings] = pnstrdup(value.val.string.val, value.val.string.len);
		else
			run_as->values[run_as->n_settings++] = pnstrdup(value.val.string.val, value.val.string.len);
	}
	return run_as;
}

SdRunAs *
sd_run_as_from_json(const char *json)
{
	return read_run_as(&parse(json)->root);
}

List *
sd_commands_from_json(const char *json)
{
	Jsonb	   *whole = parse(json);
	JsonbContainer *circumstances = container_member(&whole->root, "run_as");
	JsonbContainer *list = container_member(&whole->root, "commands");
	SdRunAs   **run_as;
	List	   *commands = NIL;

	if (!JsonContainerIsArray(circumstances) || !JsonContainerIsArray(list))
		malformed("not an array");
	run_as = palloc(sizeof(SdRunAs *) * Max(1, JsonContainerSize(circumstances)));
	for (uint32 i = 0; i < JsonContainerSize(circumstances); i++)
		run_as[i] = read_run_as(element(circumstances, i));
	for (uint32 i = 0; i < JsonContainerSize(list); i++)
	{
		JsonbContainer *object = element(list, i);
		SdCommand  *command = palloc0(sizeof(SdCommand));
		uint32		which;

		which = DatumGetInt32(DirectFunctionCall1(numeric_int4,
												  NumericGetDatum(member(object, "run_as", jbvNumeric)->val.numeric)));
		if (which >= JsonContainerSize(circumstances))
			malformed("run_as");
		command->run_as = run_as[which];
		command->tag = string_member(object, "tag");
		command->text = string_member(object, "text");
		command->disposition = SD_DISPOSE_COORDINATE;
		command->class = SD_CLASS_COORDINATED;
		commands = lappend(commands, command);
	}
	pfree(whole);
	return commands;
}
