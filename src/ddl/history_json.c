/*
 * history_json.c: rows of a tool's history as JSON text and back, for the payload of an entry; see history_rows.h.
 *
 * Runs in backends and the applier; takes no lock.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "ddl/history_rows.h"
#include "settings.h"
#include "store/entry.h"

static void
append_value(StringInfo out, const char *value)
{
	if (value)
		escape_json(out, value);
	else
		appendStringInfoString(out, "null");
}

static void
append_names(StringInfo out, const char *member, List *names)
{
	ListCell   *lc;

	appendStringInfo(out, ",\"%s\":[", member);
	foreach(lc, names)
	{
		appendStringInfoString(out, foreach_current_index(lc) > 0 ? "," : "");
		escape_json(out, lfirst(lc));
	}
	appendStringInfoChar(out, ']');
}

/* Rows of many megabytes are refused here, before one string of them all gets too long to be one. */
static void
check_size(const StringInfoData *out, const SdHistoryRows *rows)
{
	if (out->len > (int64) sd_max_entry_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows of %s.%s are written in one transaction", rows->schema, rows->table),
				 errdetail("It is a migration tool's history, whose rows go to all regions; they may take %d kB.", sd_max_entry_size),
				 errhint("Write them in several transactions, raise schemadrift.max_entry_size in every region, "
						 "or leave the table to each region: policy \"history_tables\" with \"-%s.%s\".", rows->schema, rows->table)));
}

static void
append_images(StringInfo out, const char *member, const SdHistoryRows *rows, List *images)
{
	ListCell   *lc;

	appendStringInfo(out, ",\"%s\":[", member);
	foreach(lc, images)
	{
		char	  **image = lfirst(lc);

		appendStringInfoString(out, foreach_current_index(lc) > 0 ? ",[" : "[");
		for (int i = 0; i < list_length(rows->columns); i++)
		{
			appendStringInfoString(out, i > 0 ? "," : "");
			append_value(out, image[i]);
			check_size(out, rows);
		}
		appendStringInfoChar(out, ']');
	}
	appendStringInfoChar(out, ']');
}

char *
sd_history_to_json(List *rows)
{
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	foreach(lc, rows)
	{
		const SdHistoryRows *one = lfirst(lc);

		appendStringInfoString(&out, foreach_current_index(lc) > 0 ? ",{\"schema\":" : "{\"schema\":");
		escape_json(&out, one->schema);
		appendStringInfoString(&out, ",\"table\":");
		escape_json(&out, one->table);
		appendStringInfo(&out, ",\"run_as\":%s", sd_run_as_to_json(one->run_as));
		append_names(&out, "columns", one->columns);
		append_names(&out, "key", one->key);
		if (one->whole)
			appendStringInfoString(&out, ",\"whole\":true");
		append_images(&out, "delete", one, one->deleted);
		append_images(&out, "insert", one, one->inserted);
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}

/* ---- reading ---- */

static void
pg_attribute_noreturn()
malformed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("malformed rows of a history table")));
}

static char *
text_of(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static JsonbContainer *
array_of(Jsonb *object, const char *member)
{
	Jsonb	   *list = sd_json_object(object, member);

	if (list == NULL || !JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list))
		malformed();
	return &list->root;
}

static List *
read_names(Jsonb *object, const char *member)
{
	JsonbContainer *array = array_of(object, member);
	List	   *names = NIL;

	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(array, i);

		if (value->type != jbvString)
			malformed();
		names = lappend(names, text_of(value));
	}
	return names;
}

static char **
read_image(JsonbValue *row, int n)
{
	char	  **image = palloc(sizeof(char *) * Max(1, n));

	if (row->type != jbvBinary || !JsonContainerIsArray(row->val.binary.data) || JsonContainerSize(row->val.binary.data) != (uint32) n)
		malformed();
	for (int i = 0; i < n; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(row->val.binary.data, i);

		if (value->type != jbvString && value->type != jbvNull)
			malformed();
		image[i] = value->type == jbvNull ? NULL : text_of(value);
	}
	return image;
}

static List *
read_images(Jsonb *object, const char *member, int n)
{
	JsonbContainer *array = array_of(object, member);
	List	   *images = NIL;

	for (uint32 i = 0; i < JsonContainerSize(array); i++)
		images = lappend(images, read_image(getIthJsonbValueFromContainer(array, i), n));
	return images;
}

static SdHistoryRows *
read_table(Jsonb *object)
{
	SdHistoryRows *rows = palloc0(sizeof(SdHistoryRows));
	Jsonb	   *run_as = JB_ROOT_IS_OBJECT(object) ? sd_json_object(object, "run_as") : NULL;

	if (run_as == NULL)
		malformed();
	rows->schema = sd_json_text(object, "schema");
	rows->table = sd_json_text(object, "table");
	if (rows->schema == NULL || rows->table == NULL)
		malformed();
	rows->run_as = sd_run_as_from_json(sd_json_serialized(run_as));
	rows->columns = read_names(object, "columns");
	rows->key = read_names(object, "key");
	rows->whole = sd_json_object(object, "whole") != NULL;
	rows->deleted = read_images(object, "delete", list_length(rows->columns));
	rows->inserted = read_images(object, "insert", list_length(rows->columns));
	return rows;
}

List *
sd_history_from_json(Jsonb *json)
{
	List	   *all = NIL;

	if (json == NULL)
		return NIL;
	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		malformed();
	for (uint32 i = 0; i < JB_ROOT_COUNT(json); i++)
	{
		JsonbValue *table = getIthJsonbValueFromContainer(&json->root, i);

		if (table->type != jbvBinary)
			malformed();
		all = lappend(all, read_table(JsonbValueToJsonb(table)));
	}
	return all;
}
