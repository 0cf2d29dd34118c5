/*
 * query.c: queries that live versions of an application rely on; see query.h.
 *
 * Runs in backends.  Reads the log by its index on kind.
 */
#include "compat.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "store/entry.h"
#include "store/query.h"
#include "store/sql.h"

/* ---- reading ---- */

static TimestampTz
time_of(Jsonb *item, const char *key, TimestampTz missing)
{
	char	   *text = sd_json_text(item, key);

	return text == NULL ? missing :
		DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static void
forget(List **queries, const char *name)
{
	SdQuery    *known = sd_query_find(*queries, name);

	if (known)
		*queries = list_delete_ptr(*queries, known);
}

/* What is none, of whatever version it comes, is passed over. */
static void
take(List **queries, Jsonb *item, const SdEntry *entry, int64 version)
{
	SdQuery    *query = palloc(sizeof(SdQuery));
	Jsonb	   *run_as = sd_json_object(item, "run_as");

	query->name = sd_json_text(item, "name");
	query->text = sd_json_text(item, "query");
	if (query->name == NULL)
		return;
	forget(queries, query->name);
	if (query->text == NULL || run_as == NULL)
		return;
	query->since = time_of(item, "since", DT_NOBEGIN);
	query->until = time_of(item, "until", DT_NOEND);
	query->run_as = sd_json_serialized(run_as);
	query->version = version;
	query->author = pstrdup(entry->author);
	query->hlc = entry->hlc;
	*queries = lappend(*queries, query);
}

static void
take_entry(List **queries, bytea *bytes, int64 version)
{
	SdEntry    *entry = sd_entry_decode(bytes);
	Jsonb	   *items = sd_json_object(sd_entry_payload(entry), "queries");

	if (items == NULL || !JB_ROOT_IS_ARRAY(items))
		return;
	for (uint32 i = 0; i < JB_ROOT_COUNT(items); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(&items->root, i);

		if (item && item->type == jbvBinary)
			take(queries, JsonbValueToJsonb(item), entry, version);
	}
}

static bool
is_sound(Jsonb *item)
{
	Jsonb	   *run_as = JB_ROOT_IS_OBJECT(item) ? sd_json_object(item, "run_as") : NULL;

	if (!JB_ROOT_IS_OBJECT(item) || sd_json_text(item, "name") == NULL)
		return false;
	if (sd_json_text(item, "query") == NULL)
		return sd_json_object(item, "removed") != NULL;
	(void) time_of(item, "since", DT_NOBEGIN);
	(void) time_of(item, "until", DT_NOEND);
	return run_as && JB_ROOT_IS_OBJECT(run_as);
}

bool
sd_queries_sound(Jsonb *payload)
{
	Jsonb	   *items = sd_json_object(payload, "queries");

	if (items == NULL || !JB_ROOT_IS_ARRAY(items) || JB_ROOT_IS_SCALAR(items))
		return false;
	for (uint32 i = 0; i < JB_ROOT_COUNT(items); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(&items->root, i);

		if (item->type != jbvBinary || !is_sound(JsonbValueToJsonb(item)))
			return false;
	}
	return true;
}

static int
by_name(const ListCell *a, const ListCell *b)
{
	return strcmp(((const SdQuery *) lfirst(a))->name, ((const SdQuery *) lfirst(b))->name);
}

List *
sd_queries_read(MemoryContext context)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE kind = 'query' AND body IS NOT NULL ORDER BY version"
	};
	uint64		n = sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *queries = NIL;

	for (uint64 i = 0; i < n; i++)
		take_entry(&queries, sd_store_bytea(i, 2), sd_store_int64(i, 1));
	list_sort(queries, by_name);
	MemoryContextSwitchTo(old);
	return queries;
}

SdQuery *
sd_query_find(List *queries, const char *name)
{
	ListCell   *cell;

	foreach(cell, queries)
		if (strcmp(((SdQuery *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	return NULL;
}

bool
sd_query_is_live(const SdQuery *query, TimestampTz now)
{
	return query->since <= now && now < query->until;
}

/* ---- writing ---- */

static void
append_time(StringInfo out, const char *key, TimestampTz time)
{
	if (!TIMESTAMP_NOT_FINITE(time))
		appendStringInfo(out, ",\"%s\":\"%s\"", key, sd_time_text(time));
}

char *
sd_query_to_json(const SdQuery *query)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"name\":");
	escape_json(&out, query->name);
	appendStringInfoString(&out, ",\"query\":");
	escape_json(&out, query->text);
	append_time(&out, "since", query->since);
	append_time(&out, "until", query->until);
	appendStringInfo(&out, ",\"run_as\":%s}", query->run_as);
	return out.data;
}

char *
sd_query_removed_json(const char *name)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"name\":");
	escape_json(&out, name);
	appendStringInfoString(&out, ",\"removed\":true}");
	return out.data;
}
