/*
 * log.c: the log, and what it decides for the next version; see state.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "store/rows.h"
#include "store/state.h"

void
sd_log_head(SdHead *head)
{
	static SdStatement statement = {
		.sql = "SELECT version, chain FROM schemadrift_store.log ORDER BY version DESC LIMIT 1"
	};

	memset(head, 0, sizeof(*head));
	if (sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return;
	head->version = sd_store_int64(0, 1);
	sd_row_hash(0, 2, head->chain.sha);
}

bool
sd_log_find(int64 version, SdChain *chain, SdEntryRef *entry)
{
	static SdStatement statement = {
		.sql = "SELECT chain, entry_id, hash FROM schemadrift_store.log WHERE version = $1",
		.nargs = 1, .types = {INT8OID}
	};

	if (sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return false;
	if (chain)
		sd_row_hash(0, 1, chain->sha);
	if (entry)
		sd_row_ref(0, 2, entry);
	return true;
}

SdEntry *
sd_log_entry(int64 version)
{
	static SdStatement statement = {
		.sql = "SELECT body FROM schemadrift_store.log WHERE version = $1", .nargs = 1, .types = {INT8OID}
	};
	bytea	   *bytes;

	if (sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return NULL;
	bytes = sd_store_bytea(0, 1);
	return bytes ? sd_entry_decode(bytes) : NULL;
}

void
sd_log_insert(int64 version, const SdEntry *entry, const SdChain *chain)
{
	static SdStatement statement = {
		.sql = "INSERT INTO schemadrift_store.log (version, entry_id, kind, name, origin, incarnation, n, barrier, "
		"hlc, author, protocol, target, body, hash, chain) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
		.nargs = 15, .types = {INT8OID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT8OID, INT8OID,
		INT8OID, TEXTOID, INT4OID, INT8OID, BYTEAOID, BYTEAOID, BYTEAOID}
	};
	Datum		values[] = {
		Int64GetDatum(version), SD_UUID(&entry->id), CStringGetTextDatum(entry->kind),
		entry->name ? CStringGetTextDatum(entry->name) : (Datum) 0, CStringGetTextDatum(entry->origin),
		Int32GetDatum(entry->incarnation), Int64GetDatum(entry->n), Int64GetDatum(entry->barrier),
		Int64GetDatum(entry->hlc), CStringGetTextDatum(entry->author), Int32GetDatum(entry->protocol),
		Int64GetDatum(entry->target), PointerGetDatum(entry->bytes), sd_row_hash_datum(entry->hash), sd_row_hash_datum(chain->sha)
	};
	bool		nulls[lengthof(values)] = {[3] = entry->name == NULL, [11] = entry->target == 0};

	sd_store_run(&statement, values, nulls, 1);
}

int64
sd_log_find_id(const pg_uuid_t *entry_id)
{
	static SdStatement statement = {
		.sql = "SELECT version FROM schemadrift_store.log WHERE entry_id = $1", .nargs = 1, .types = {UUIDOID}
	};

	if (sd_store_run(&statement, (Datum[]) {SD_UUID(entry_id)}, NULL, SD_ANY_ROWS) == 0)
		return 0;
	return sd_store_int64(0, 1);
}

bool
sd_log_superseded(int64 version, int64 *by)
{
	static SdStatement statement = {
		.sql = "SELECT version FROM schemadrift_store.log WHERE target = $1 AND kind = 'supersede' LIMIT 1",
		.nargs = 1, .types = {INT8OID}
	};

	if (sd_store_run(&statement, (Datum[]) {Int64GetDatum(version)}, NULL, SD_ANY_ROWS) == 0)
		return false;
	*by = sd_store_int64(0, 1);
	return true;
}

int64
sd_log_next_dot(const char *origin, int32 incarnation)
{
	static SdStatement statement = {
		.sql = "SELECT greatest((SELECT n FROM schemadrift_store.log WHERE origin = $1 AND incarnation = $2 "
		"ORDER BY n DESC LIMIT 1), "
		"(SELECT max(n) FROM schemadrift_store.bypass), 0) + 1",
		.nargs = 2, .types = {TEXTOID, INT4OID}
	};

	sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(origin), Int32GetDatum(incarnation)}, NULL, 1);
	return sd_store_int64(0, 1);
}

void
sd_log_clear(void)
{
	static const char *const tables[] = {
		"self", "acceptor", "accepted", "log", "applied", "execution", "attempt", "peer", "bypass"
	};

	for (size_t i = 0; i < lengthof(tables); i++)
		if (SPI_execute(psprintf("DELETE FROM schemadrift_store.%s", tables[i]), false, 0) < 0)
			elog(ERROR, "could not clear table %s", tables[i]);
}

/* ---- what the log decides for the next version ---- */

/*
 * The newest of two kinds is the larger of two maxima, and so two looks into index log_kind: to sort by version and
 * take the first of either kind would read the log backwards, as far as the entry is old.
 */

static Jsonb *
newest_payload(SdStatement *statement, int64 *version)
{
	bytea	   *bytes;

	if (sd_store_run(statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return NULL;
	*version = sd_store_int64(0, 1);
	bytes = sd_store_bytea(0, 2);
	return sd_entry_payload(sd_entry_decode(bytes));
}

int64
sd_self_removed(const SdSelf *self)
{
	SdMembers  *members = palloc(sizeof(SdMembers));
	int64		removed = 0;
	int			me;

	sd_members_read(members);
	me = sd_config_find(&members->config, self->region);
	if (members->config.n > 0 && (me < 0 || members->config.member[me].incarnation != self->incarnation))
	{
		SdMemberHistory history;

		sd_members_history(self->region, self->incarnation, &history);
		removed = history.removed_by;
	}
	pfree(members);
	return removed;
}

static SdRole
role_from_text(const char *text)
{
	if (strcmp(text, "voter") == 0)
		return SD_ROLE_VOTER;
	if (strcmp(text, "witness") == 0)
		return SD_ROLE_WITNESS;
	return SD_ROLE_OBSERVER;
}

const char *
sd_role_text(SdRole role)
{
	switch (role)
	{
		case SD_ROLE_VOTER:
			return "voter";
		case SD_ROLE_WITNESS:
			return "witness";
		case SD_ROLE_OBSERVER:
			return "observer";
	}
	return "observer";
}

static void
members_parse(const SdEntry *entry, int64 since, SdMembers *members)
{
	Jsonb	   *list = sd_json_object(sd_entry_payload(entry), "members");
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	memset(members, 0, sizeof(*members));
	members->config.since = since;
	if (list == NULL || !JB_ROOT_IS_ARRAY(list))
		elog(ERROR, "config entry " INT64_FORMAT " has no members", since);

	iterator = JsonbIteratorInit(&list->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		int			i = members->config.n;
		SdMember   *member = &members->config.member[i];
		Jsonb	   *one;
		char	   *region;
		char	   *role;
		char	   *wants;

		if (token != WJB_ELEM)
			continue;
		if (i >= SD_MAX_REGIONS)
			elog(ERROR, "config entry " INT64_FORMAT " has more than %d members", since, SD_MAX_REGIONS);
		one = JsonbValueToJsonb(&value);
		region = sd_json_text(one, "region");
		role = sd_json_text(one, "role");
		wants = sd_json_text(one, "wants");
		if (region == NULL || role == NULL)
			elog(ERROR, "config entry " INT64_FORMAT " has a member without region or role", since);
		strlcpy(member->region, region, SD_NAME_SIZE);
		member->incarnation = (int32) sd_json_int64(one, "incarnation", 1);
		member->role = role_from_text(role);
		member->suspended = sd_json_int64(one, "suspended", 0) != 0;
		members->conninfo[i] = sd_json_text(one, "conninfo");
		members->priority[i] = (int32) sd_json_int64(one, "priority", 0);
		members->wants[i] = wants ? role_from_text(wants) : member->role;
		members->config.n++;
	}
}

void
sd_members_read(SdMembers *members)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE version = greatest("
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'baseline'), "
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'config'))"
	};

	memset(members, 0, sizeof(*members));
	if (sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) == 0)
		return;
	members_parse(sd_entry_decode(sd_store_bytea(0, 2)), sd_store_int64(0, 1), members);
}

void
sd_members_history(const char *region, int32 incarnation, SdMemberHistory *history)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE kind IN ('baseline', 'config') ORDER BY version"
	};
	uint64		rows = sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS);
	SdMembers  *members = palloc(sizeof(SdMembers));
	bool		was_in = false;

	memset(history, 0, sizeof(*history));
	for (uint64 i = 0; i < rows; i++)
	{
		bytea	   *bytes = sd_store_bytea(i, 2);
		int			m;
		bool		is_in;

		members_parse(sd_entry_decode(bytes), sd_store_int64(i, 1), members);
		m = sd_config_find(&members->config, region);
		if (m >= 0)
			history->last_incarnation = Max(history->last_incarnation, members->config.member[m].incarnation);
		is_in = m >= 0 && members->config.member[m].incarnation == incarnation;
		if (was_in && !is_in)
			history->removed_by = members->config.since;
		was_in = is_in;
		pfree(bytes);
	}
	if (was_in)
		history->removed_by = 0;
	pfree(members);
}

void
sd_members_copy(SdMembers *to, const SdMembers *from)
{
	*to = *from;
	for (int i = 0; i < from->config.n; i++)
		to->conninfo[i] = from->conninfo[i] ? pstrdup(from->conninfo[i]) : NULL;
}

char *
sd_members_json(const SdMembers *members)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < members->config.n; i++)
	{
		const SdMember *member = &members->config.member[i];

		appendStringInfoString(&out, i > 0 ? ",{\"region\":" : "{\"region\":");
		escape_json(&out, member->region);
		appendStringInfo(&out, ",\"incarnation\":%d,\"role\":\"%s\",\"suspended\":%d,\"priority\":%d,\"conninfo\":",
						 member->incarnation, sd_role_text(member->role), member->suspended ? 1 : 0, members->priority[i]);
		escape_json(&out, members->conninfo[i] ? members->conninfo[i] : "");
		if (members->wants[i] != member->role)
			appendStringInfo(&out, ",\"wants\":\"%s\"", sd_role_text(members->wants[i]));
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}

Jsonb *
sd_policy_read(void)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE version = greatest("
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'baseline'), "
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'policy'))"
	};
	Jsonb	   *payload;
	int64		version;

	payload = newest_payload(&statement, &version);
	return payload ? sd_json_object(payload, "policy") : NULL;
}

Jsonb *
sd_policy_applied(void)
{
	static SdStatement statement = {
		.sql = "SELECT version, body FROM schemadrift_store.log WHERE version = ("
		"SELECT greatest((SELECT max(version) FROM schemadrift_store.log WHERE kind = 'baseline' AND version <= a.version), "
		"(SELECT max(version) FROM schemadrift_store.log WHERE kind = 'policy' AND version <= a.version)) "
		"FROM (SELECT coalesce((SELECT version FROM schemadrift_store.applied), 9223372036854775807) AS version) a)"
	};
	Jsonb	   *payload;
	int64		version;

	payload = newest_payload(&statement, &version);
	return payload ? sd_json_object(payload, "policy") : NULL;
}
