/*
 * online_json.c: steps and names of an online entry as JSON and back, for its body; see online.h.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "ddl/online.h"
#include "store/entry.h"

static const char *const kind_texts[] = {
	[SD_ONLINE_PLAIN] = "plain",
	[SD_ONLINE_CREATE_INDEX] = "create_index",
	[SD_ONLINE_DROP_INDEX] = "drop_index",
	[SD_ONLINE_DETACH] = "detach",
};

static void
append_field(StringInfo out, const char *key, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(out, ",\"%s\":", key);
	escape_json(out, value);
}

char *
sd_online_steps_json(List *steps)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	foreach(cell, steps)
	{
		SdOnlineStep *step = lfirst(cell);

		appendStringInfo(&out, "%s{\"kind\":\"%s\"", foreach_current_index(cell) > 0 ? "," : "", kind_texts[step->kind]);
		if (step->is_ddl)
			appendStringInfoString(&out, ",\"ddl\":1");
		append_field(&out, "schema", step->schema);
		append_field(&out, "table", step->table);
		append_field(&out, "name_schema", step->name_schema);
		append_field(&out, "name", step->name);
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}

static void
require_array(Jsonb *json)
{
	if (json == NULL || !JB_ROOT_IS_ARRAY(json))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the online entry does not say what it works on")));
}

/* What the work on it relies on; a step that IF EXISTS made a no-op at the origin names nothing at all. */
static bool
is_complete(const SdOnlineStep *step)
{
	bool		named = step->schema && step->table && step->name && (step->kind != SD_ONLINE_DETACH || step->name_schema);
	bool		nothing = !step->schema && !step->table && !step->name && !step->name_schema;

	return step->kind == SD_ONLINE_PLAIN || named || (nothing && step->kind != SD_ONLINE_CREATE_INDEX);
}

List *
sd_online_steps_read(Jsonb *json)
{
	List	   *steps = NIL;

	require_array(json);
	for (uint32 i = 0; i < JB_ROOT_COUNT(json); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&json->root, i);
		Jsonb	   *object = value->type == jbvBinary ? JsonbValueToJsonb(value) : NULL;
		SdOnlineStep *step = palloc0(sizeof(SdOnlineStep));
		char	   *kind;
		bool		known = false;

		require_array(object && JB_ROOT_IS_OBJECT(object) ? json : NULL);
		kind = sd_json_text(object, "kind");
		for (size_t k = 0; kind && k < lengthof(kind_texts); k++)
			if (strcmp(kind, kind_texts[k]) == 0)
			{
				step->kind = (SdOnlineKind) k;
				known = true;
			}
		step->is_ddl = sd_json_int64(object, "ddl", 0) != 0;
		step->schema = sd_json_text(object, "schema");
		step->table = sd_json_text(object, "table");
		step->name_schema = sd_json_text(object, "name_schema");
		step->name = sd_json_text(object, "name");
		require_array(known && is_complete(step) ? json : NULL);
		steps = lappend(steps, step);
	}
	return steps;
}

char *
sd_online_names_json(List *names)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	foreach(cell, names)
	{
		appendStringInfoString(&out, foreach_current_index(cell) > 0 ? "," : "");
		escape_json(&out, lfirst(cell));
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}

List *
sd_online_names_read(Jsonb *json)
{
	List	   *names = NIL;

	require_array(json);
	for (uint32 i = 0; i < JB_ROOT_COUNT(json); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&json->root, i);

		if (value->type == jbvString)
			names = lappend(names, pnstrdup(value->val.string.val, value->val.string.len));
	}
	return names;
}
